"""``lakefolio run``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lakefolio.cli.app import SETTINGS, App, Command, command, shared_options
from lakefolio.cli.naming import runs
from lakefolio.format.times import shown_time

if TYPE_CHECKING:
    from lakefolio.runs.record import RunManifest

__all__ = ["run"]


class _Run(Command, click.Group):
    """Commands about one run."""


@click.group(cls=_Run, context_settings=SETTINGS, no_args_is_help=True, example="lakefolio run show prod_001")
@shared_options
def run() -> None:
    """Show what is recorded of a run."""


@command(example="lakefolio run show prod_001", light=True)
@click.argument("run_id", shell_complete=runs)
def show(app: App, run_id: str) -> None:
    """Show what is recorded of a run: parameters, metrics, inputs, outputs, and where it ran."""
    found = app.open().get_run(run_id)
    app.output.emit(found, lambda: _text(found))


run.add_command(show)


def _text(run: RunManifest) -> str:
    facts: dict[str, object] = {
        "run": run.run_id,
        "name": run.name,
        "type": run.type,
        "status": run.status,
        "project": run.project,
        "model": run.model,
        "description": run.description,
        "started": run.started_at and shown_time(run.started_at),
        "ended": run.ended_at and shown_time(run.ended_at),
        "author": run.author,
        "tags": ", ".join(run.tags),
        "part of": run.parent,
        "parts": ", ".join(run.children),
        "command": run.command,
        "git": run.git_commit and run.git_commit + (" with changes" if run.git_dirty else ""),
        "host": run.host,
    }
    lines = [f"{name:<14} {value}" for name, value in facts.items() if value not in (None, "")]
    for title, values in (("parameters", run.params), ("metrics", run.metrics)):
        lines += [f"{title}:"] * bool(values) + [f"  {name} = {value}" for name, value in values.items()]
    for title, refs in (("inputs", run.inputs), ("outputs", run.outputs)):
        lines += [f"{title}:"] * bool(refs) + [f"  {one.name}  {one.ref}" for one in refs]
    return "\n".join([*lines, *(["error:", run.error] if run.error else [])])
