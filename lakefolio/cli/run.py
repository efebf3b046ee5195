"""``lakefolio run``."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import click

from lakefolio.cli.app import App, command, group
from lakefolio.cli.naming import runs
from lakefolio.cli.runs import clock
from lakefolio.errors import NotFoundError
from lakefolio.format.times import shown_time
from lakefolio.runs.run_names import display_name

if TYPE_CHECKING:
    from datetime import datetime

    from lakefolio.lake import Lake
    from lakefolio.runs.following import RunNews
    from lakefolio.runs.record import RunManifest

__all__ = ["run"]


@group(example="lakefolio run show prod_001", stray="to list runs: lakefolio runs; to see one: lakefolio run show NAME")
def run() -> None:
    """Show what is recorded of a run."""


@command(example="lakefolio run show prod_001", light=True, of=run)
@click.argument("run_id", shell_complete=runs)
@click.option("--follow", is_flag=True, help="Print metrics and events as they come, until the run ends or Ctrl-C.")
@click.option(
    "--every", type=click.FloatRange(0.1, 3600), default=2.0, show_default=True, help="Seconds between looks."
)
def show(app: App, run_id: str, follow: bool, every: float) -> None:
    """Show what is recorded of a run: parameters, metrics, inputs, outputs, and where it ran.

    RUN_ID is its id, the beginning or the end of it, or its name. A look of --follow costs one request.
    """
    lake = app.open()
    if follow:
        with suppress(KeyboardInterrupt):
            for news in lake.follow_run(run_id, every_s=every):
                if app.as_json:
                    app.output.line(news)
                else:
                    for line in _lines(news):
                        app.output.print(line)
        return
    found = lake.get_run(run_id)
    app.output.emit(found, lambda: _text(lake, found))


def _lines(news: RunNews) -> list[str]:
    """Return what came of a run: a line for each step, for each event, and for its status."""
    steps: dict[tuple[int | None, datetime], list[str]] = {}
    for name, step, value, at in news.points:
        steps.setdefault((step, at), []).append(f"{name} {value:.6g}")
    timed = [
        (at, "  ".join([clock(at), *([] if step is None else [f"step {step}"]), *texts]))
        for (step, at), texts in steps.items()
    ]
    for event_type, stage, model, metadata, at in news.events:
        said = " ".join(one for one in (event_type, stage, model) if one)
        timed.append(
            (at, f"{clock(at)}  event {said}: {metadata if len(metadata) <= _LONGEST else metadata[:_LONGEST] + '…'}")
        )
    timed.sort(key=lambda one: one[0])
    lines = [line for _, line in timed]
    if len(lines) > _MOST_LINES:
        lines = [f"… {len(lines) - _MOST_LINES:,} lines before", *lines[-_MOST_LINES:]]
    error = f": {news.error}" if news.error else ""
    return (
        [*lines, f"run {display_name(news.run_id, news.name)} is {news.status}{error}"]
        if news.status != "running"
        else lines
    )


_LONGEST: Final = 200
_MOST_LINES: Final = 1_000
_SPANS: Final = "select name, min, max, best, best_step from run_metrics where run_id = $1 and point_count > 1"


def _spans(lake: Lake, run_id: str) -> dict[str, str]:
    """Return between what the metrics of a run lay, for people."""
    found = {}
    for name, low, high, best, step in lake.sql(_SPANS, [run_id]).fetchall():
        if low is not None:
            where = "" if step is None else f" at step {step}"
            found[name] = f"  (best {best:.6g}{where}, {low:.6g} to {high:.6g})"
    return found


def _rounded(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _called(lake: Lake, run_id: str) -> str:
    try:
        return display_name(run_id, lake.get_run(run_id).name)
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
        "parts": ", ".join(display_name(*one) for one in reversed(children)),
        "command": run.command,
        "git": run.git_commit and run.git_commit + (" with changes" if run.git_dirty else ""),
        "host": run.host,
    }
    lines = [f"{name:<14} {value}" for name, value in facts.items() if value not in (None, "")]
    lines += ["parameters:"] * bool(run.params) + [f"  {name} = {value}" for name, value in run.params.items()]
    spans = _spans(lake, run.run_id)
    lines += ["metrics:"] * bool(run.metrics)
    lines += [f"  {name} = {_rounded(value)}{spans.get(name, '')}" for name, value in run.metrics.items()]
    for title, refs in (("inputs", run.inputs), ("outputs", run.outputs)):
        lines += [f"{title}:"] * bool(refs) + [f"  {one.name}  {one.ref}" for one in refs]
    return "\n".join([*lines, *(["error:", run.error] if run.error else [])])
