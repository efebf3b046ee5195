"""``lakefolio run``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from lakefolio.cli.app import SETTINGS, App, Command, command, shared_options
from lakefolio.cli.naming import runs
from lakefolio.errors import NotFoundError
from lakefolio.format.times import shown_time
from lakefolio.runs.run_names import called

if TYPE_CHECKING:
    from lakefolio.lake import Lake
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
    lake = app.open()
    found = lake.get_run(run_id)
    app.output.emit(found, lambda: _text(lake, found))


run.add_command(show)


_SPANS: Final = "select name, min, max, best, best_step from run_metrics where run_id = $1 and point_count > 1"


def _spans(lake: Lake, run_id: str) -> dict[str, str]:
    """Return between what the metrics of a run lay, for people."""
    found = {}
    for name, low, high, best, step in lake.sql(_SPANS, [run_id]).fetchall():
        if low is not None:
            where = "" if step is None else f" at step {step}"
            found[name] = f"  (best {best:.6g}{where}, {low:.6g} to {high:.6g})"
    return found


def _called(lake: Lake, run_id: str) -> str:
    try:
        return called(run_id, lake.get_run(run_id).name)
    except NotFoundError:  # a parent that was recorded elsewhere
        return run_id


def _text(lake: Lake, run: RunManifest) -> str:
    children = [(one.run_id, one.name) for one in lake.runs(parent=run.run_id)] if run.children else []
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
        "part of": run.parent and _called(lake, run.parent),
        "parts": ", ".join(called(*one) for one in reversed(children)),
        "command": run.command,
        "git": run.git_commit and run.git_commit + (" with changes" if run.git_dirty else ""),
        "host": run.host,
    }
    lines = [f"{name:<14} {value}" for name, value in facts.items() if value not in (None, "")]
    lines += ["parameters:"] * bool(run.params) + [f"  {name} = {value}" for name, value in run.params.items()]
    spans = _spans(lake, run.run_id)
    lines += ["metrics:"] * bool(run.metrics)
    lines += [f"  {name} = {value}{spans.get(name, '')}" for name, value in run.metrics.items()]
    for title, refs in (("inputs", run.inputs), ("outputs", run.outputs)):
        lines += [f"{title}:"] * bool(refs) + [f"  {one.name}  {one.ref}" for one in refs]
    return "\n".join([*lines, *(["error:", run.error] if run.error else [])])
