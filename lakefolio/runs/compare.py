"""Runs side by side: parameters, metrics, inputs, and the curves of their metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import InvalidInputError
from lakefolio.format.names import short_id
from lakefolio.format.times import shown_time
from lakefolio.process.facade import facade
from lakefolio.render import html
from lakefolio.render.curves import Curves, as_png, as_svg, as_text
from lakefolio.runs.record import manifest_of
from lakefolio.runs.run_names import display_name
from lakefolio.terminal import cell_count, padded, text_of, visible

if TYPE_CHECKING:
    from lakefolio.runs.record import RunManifest
    from lakefolio.session.session import Session

__all__ = ["Comparison", "compare"]

_FACTS: Final = ("name", "type", "status", "project", "model", "started_at", "duration_s", "git_commit", "author")
_RUNS_LIMIT: Final = 50


@facade({})
class Comparison:
    """Runs side by side, at one version of the lake. ``str`` gives lines for people.

    Attributes:
        runs: What is recorded of each, in the order asked for.
        facts, params, metrics, inputs: Each a dict of names to the values in the order of the runs, None where a run
            has none; inputs are exact references.
        curves: Each metric with more than one point in some run -> run -> its points (step, value).
    """

    def __init__(self, runs: Sequence[RunManifest], curves: dict[str, dict[str, list[tuple[float, float]]]]) -> None:
        self.runs = list(runs)
        self.curves = curves
        self.facts = self._beside(lambda run: {name: getattr(run, name) for name in _FACTS})
        self.params = self._beside(lambda run: run.params)
        self.metrics = self._beside(lambda run: run.metrics)
        self.inputs = self._beside(lambda run: {one.name: one.ref for one in run.inputs})
        self._labels = _labels(self.runs)

    def _beside(self, of: Callable[[RunManifest], Mapping[str, Any]]) -> dict[str, list[Any]]:
        values = [of(run) for run in self.runs]
        names = dict.fromkeys(name for one in values for name in one)
        return {name: [one.get(name) for one in values] for name in names}

    def sections(self) -> dict[str, dict[str, list[Any]]]:
        """Return what is side by side by section, without names that no run has a value for."""
        every = {"run": self.facts, "parameters": self.params, "metrics": self.metrics, "inputs": self.inputs}
        kept = {
            title: {name: row for name, row in rows.items() if any(one is not None for one in row)}
            for title, rows in every.items()
        }
        return {title: rows for title, rows in kept.items() if rows}

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"runs": [run.run_id for run in self.runs], **self.sections(), "curves": self.curves}

    def _plots(self) -> dict[str, Curves]:
        return {
            name: {label: by_run.get(run, []) for run, label in self._labels.items()}
            for name, by_run in self.curves.items()
        }

    def tables(self) -> list[list[list[str]]]:
        """Return the sections as rows of texts, the headings first: the title, then the runs."""
        return [
            [
                [title, *self._labels.values()],
                *([f"  {name}", *("-" if one is None else _text(one) for one in row)] for name, row in rows.items()),
            ]
            for title, rows in self.sections().items()
        ]

    def plots(self) -> str:
        """Return the curves, drawn for a terminal."""
        return visible("\n\n".join(as_text(name, curves) for name, curves in self._plots().items()))

    def to_html(self) -> str:
        """Return a standalone page: tables and curves, nothing loaded from anywhere."""
        return html.page("runs compared", *self._parts())

    def to_png(self, path: str | Path) -> Path:
        """Write the curves as a PNG picture, replacing a file that is there, and return its path.

        Raises:
            InvalidInputError: No run has a curve, or matplotlib is not installed.
        """
        if not self.curves:
            raise InvalidInputError(
                "none of the runs has a metric of more than one point", kind="no-curves", hint="str() shows the values"
            )
        as_png(self._plots(), Path(path))
        return Path(path)

    def _parts(self) -> list[html.Markup]:
        headings = ("", *self._labels.values())
        parts = []
        for title, rows in self.sections().items():
            parts.append(html.Markup(f"<h2>{html.shown(title)}</h2>"))
            table = [(name, *map(_marked(row), row)) for name, row in rows.items()]
            parts.append(html.row_table(headings, table, limit=200))
        return parts + [as_svg(name, curves) for name, curves in self._plots().items()]

    def _repr_html_(self) -> str:
        return html.block(*self._parts())

    def __str__(self) -> str:
        lines = []
        for cells in self.tables():
            widths = [max(map(cell_count, column)) for column in zip(*cells, strict=True)]
            lines += ["  ".join(map(padded, row, widths)).rstrip() for row in cells]
            lines.append("")
        return visible("\n".join(lines).rstrip())

    __repr__ = __str__


def compare(session: Session, run_ids: Sequence[str]) -> Comparison:
    """See ``Lake.compare``; ``session`` is fixed to a version."""
    runs = [manifest_of(session, run_id) for run_id in run_ids] if len(run_ids) <= _RUNS_LIMIT else []
    if not runs or len({one.run_id for one in runs}) < len(runs):
        raise InvalidInputError(
            f"{len(run_ids)} runs can't be compared",
            kind="bad-comparison",
            hint=f"name between 1 and {_RUNS_LIMIT} runs, each once",
        )
    run_ids = [one.run_id for one in runs]
    points = session.query(
        "select name, run_id, step, value from metrics where run_id in (select unnest($ids)) order by batch, ordinal",
        {"ids": list(run_ids)},
    ).fetchall()
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for name, run_id, step, value in points:
        curve = found.setdefault(name, {}).setdefault(run_id, [])
        curve.append((float(len(curve) if step is None else step), float(value)))
    curves = {
        name: {run_id: sorted(by_run[run_id], key=lambda one: one[0]) for run_id in run_ids if run_id in by_run}
        for name, by_run in sorted(found.items())
        if any(len(curve) > 1 for curve in by_run.values())
    }
    return Comparison(runs, curves)


def _labels(runs: Sequence[RunManifest]) -> dict[str, str]:
    names = [run.name or short_id(run.run_id) for run in runs]
    labels = [
        name if names.count(name) == 1 else display_name(run.run_id, run.name)
        for run, name in zip(runs, names, strict=True)
    ]
    unlike = labels if len(set(labels)) == len(labels) else [run.run_id for run in runs]
    return {run.run_id: label for run, label in zip(runs, unlike, strict=True)}


def _marked(row: Sequence[object]) -> Callable[[Any], Any]:
    """Return how the values of a row are shown: bold where they differ."""
    unlike = len({one if type(one) is int else text_of([one]) for one in row}) > 1
    return lambda one: html.Markup(f"<b>{html.shown(one)}</b>") if unlike and one is not None else one


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return shown_time(value, "seconds")
    text = f"{value:.6g}" if isinstance(value, float) else " ".join(text_of(value).split())
    return text if len(text) <= 40 else text[:39] + "…"
