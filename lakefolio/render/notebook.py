"""What a lake, a folio and a run look like in a notebook; all of it is asked of what is shown."""

from __future__ import annotations

from typing import Any, Final

from lakefolio.errors import LakefolioError
from lakefolio.format.names import is_own_folio
from lakefolio.render import html
from lakefolio.render.text import counted, format_bytes

__all__ = ["folio_html", "lake_html", "run_html"]

_FACTS: Final = ("type", "status", "project", "model", "started_at", "duration_s", "git_commit", "author")
_ERROR_LIMIT: Final = 2_000
_MORE: Final = ("description", "host", "user", "command", "error_type")


def lake_html(lake: Any) -> str:
    """Return what a lake holds: the folios of its users. A lake that can't be read says so."""
    try:
        entries = lake.items(archived=False)
        version, snapshots = lake.version, len(lake.snapshots())
    except LakefolioError as exc:
        return html.block(html.heading("lake", lake.uri), html.muted(exc.message))
    folios: dict[str, list[Any]] = {}
    for entry in entries:
        folios.setdefault(entry.folio, []).append(entry)
    own = [name for name in folios if is_own_folio(name)]
    kept = sum(len(folios.pop(name)) for name in own)
    rows = [
        (name, len(some), format_bytes(sum(one.size_bytes or 0 for one in some)), max(one.committed_at for one in some))
        for name, some in folios.items()
    ]
    said = f"version {version:,}, {counted(len(rows), 'folio')}, {counted(len(entries) - kept, 'item')}"
    said += f", {counted(snapshots, 'snapshot')}" if snapshots else ""
    table = html.row_table(("folio", "items", "size", "changed"), rows, right=("items", "size"))
    own_said = f"{counted(len(own), 'folio')} of runs and records not shown"
    parts = [table] * bool(rows) + [html.muted(own_said)] * bool(own)
    return html.block(html.heading("lake", lake.uri, said), *(parts or [html.muted("nothing in it yet")]))


def folio_html(folio: Any, entries: Any) -> str:
    """Return what a folio holds: its items."""
    rows = [
        (
            one.item,
            one.kind,
            None if one.size_bytes is None else format_bytes(one.size_bytes),
            one.row_count,
            one.version,
            one.committed_at,
            one.tags or None,
            one.description,
        )
        for one in entries
    ]
    headings = ("item", "kind", "size", "rows", "version", "changed", "tags", "description")
    said = counted(len(rows), "item") + (", read-only" if folio.read_only else "")
    table = html.row_table(headings, rows, right=("size", "rows", "version")) if rows else html.muted("no items yet")
    return html.block(html.heading("folio", folio.name, said), table)


def run_html(run: Any) -> str:
    """Return what is recorded of a run, for a notebook."""
    known = {name: getattr(run, name) for name in (*_FACTS, *_MORE)}
    parts = [html.heading("run", run.name or run.run_id, run.run_id if run.name else "")]
    parts.append(html.facts({name: value for name, value in known.items() if value not in (None, "")}))
    for title, values in (("parameter", run.params), ("metric", run.metrics)):
        if values:
            parts.append(html.row_table((title, "value"), list(values.items()), right=("value",)))
    for title, rows in (("input", run.inputs), ("output", run.outputs)):
        if rows:
            parts.append(html.row_table((title, "item"), [(one.name, one.ref) for one in rows]))
    if run.error:
        error = (
            run.error if len(run.error) <= _ERROR_LIMIT else "…" + run.error[1 - _ERROR_LIMIT :]
        )  # the end says most
        parts.append(html.Markup(f'<pre style="font-size:.9em">{html.shown(error, _ERROR_LIMIT)}</pre>'))
    return html.block(*parts)
