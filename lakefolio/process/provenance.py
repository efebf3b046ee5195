"""What code runs here and where: the git state, the Python environment, the command line.

Only what is asked for is looked at, and never the environment variables, where credentials live.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

__all__ = ["environment", "execution", "git_state", "reproduction_steps", "without_credentials"]

_GIT_TIMEOUT_S = 5


def git_state(folder: Path | None = None) -> dict[str, Any] | None:
    """Return the state of the git work tree around ``folder``, or None outside of one or without git.

    The names of changed files are left out on purpose: they may tell more than the author meant to share.

    Args:
        folder: Where to look; the current directory if None.

    Returns:
        ``commit``, ``commit_short``, ``branch``, ``dirty`` and, if there is one, ``remote`` without
        credentials.
    """
    status = _git(folder, "status", "--porcelain=v2", "--branch")
    if status is None:
        return None
    lines = status.splitlines()
    head = {line.split()[1]: line.split(" ", 2)[2] for line in lines if line.startswith("# branch.")}
    commit = head.get("branch.oid", "")
    commit = "" if commit.startswith("(") else commit
    branch = head.get("branch.head", "")
    state: dict[str, Any] = {
        "commit": commit,
        "commit_short": commit[:7],
        "branch": "HEAD" if branch == "(detached)" else branch,
        "dirty": any(not line.startswith("#") for line in lines),
    }
    remote = without_credentials((_git(folder, "config", "--get", "remote.origin.url") or "").strip())
    if remote:
        state["remote"] = remote
    return state


def _git(folder: Path | None, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


def without_credentials(url: str) -> str | None:
    """Return a git remote without user name, password or token, or None if there is nothing safe to return."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https"):
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def environment(folder: Path | None = None) -> dict[str, Any]:
    """Return the Python version, the platform, and what ``uv.lock`` and ``requirements.txt`` of ``folder`` pin."""
    root = folder or Path.cwd()
    found: dict[str, Any] = {"python_version": platform.python_version(), "platform": platform.platform()}
    with suppress(OSError):
        found["uv_lock_hash"] = "sha256:" + hashlib.sha256((root / "uv.lock").read_bytes()).hexdigest()
    with suppress(OSError):
        found["requirements"] = (root / "requirements.txt").read_text(encoding="utf-8", errors="replace")
    return found


def execution() -> dict[str, Any]:
    """Return the working directory and the command line of this process."""
    found: dict[str, Any] = {"working_dir": str(Path.cwd())}
    if sys.argv:
        found["entry_point"] = " ".join(sys.argv)
    return found


def reproduction_steps(snapshot: Mapping[str, Any]) -> str:
    """Return the steps, to be read by a person, that lead back to a snapshot's code, environment and results.

    Args:
        snapshot: What ``Folio.get_snapshot_info`` gives.
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
            body.append(f"... and {len(results) - 5} more fields")
        steps.append(("Expected results:", body))

    lines = [f"To reproduce snapshot '{snapshot['name']}':"]
    if snapshot.get("description"):
        lines.append(f"Description: {snapshot['description']}")
    lines.append("")
    for number, (heading, body) in enumerate(steps, 1):
        lines += [f"{number}. {heading}", *(f"   {line}" for line in body), ""]
    return "\n".join(lines)
