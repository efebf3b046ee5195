"""The steps that lead a person back to a snapshot: its code, environment, command and results (pure: text only)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakefolio.render.text import counted

__all__ = ["reproduction_steps"]


def reproduction_steps(snapshot: Mapping[str, Any]) -> str:
    """Return the steps, to be read by a person, that lead back to a snapshot's code, environment and results.

    Args:
        snapshot: The result of ``Folio.get_snapshot_info``.
    """
    steps: list[tuple[str, list[str]]] = []
    git = snapshot.get("git")
    if git:
        body = [f"git clone {git['remote']}", "cd <repository>"] if git.get("remote") else []
        body.append(f"git checkout {git.get('commit_short') or git.get('commit', '')[:7]}")
        if git.get("dirty"):
            body.append("Note: the work tree had uncommitted changes")
        steps.append(("Restore code:", body))
    around = snapshot.get("environment")
    if around:
        steps.append(
            (
                "Restore environment:",
                [
                    f"python --version  # Should be {around.get('python_version', 'unknown')}",
                    "uv sync  # Or: pip install -r requirements.txt",
                ],
            )
        )
    ran = snapshot.get("execution")
    if ran:
        body = [ran["entry_point"]] if ran.get("entry_point") else []
        if ran.get("working_dir"):
            body.append(f"# Working directory: {ran['working_dir']}")
        steps.append(("Run:", body))
    results = {
        key: value
        for key, value in snapshot.get("metadata_snapshot", {}).items()
        if key not in ("created_at", "updated_at")
    }
    if results:
        body = [f"- {key}: {value}" for key, value in list(results.items())[:5]]
        if len(results) > 5:
            body.append(f"... and {counted(len(results) - 5, 'more field')}")
        steps.append(("Expected results:", body))

    lines = [f"To reproduce snapshot '{snapshot['name']}':"]
    if snapshot.get("description"):
        lines.append(f"Description: {snapshot['description']}")
    lines.append("")
    for number, (heading, body) in enumerate(steps, 1):
        lines += [f"{number}. {heading}", *(f"   {line}" for line in body), ""]
    return "\n".join(lines)
