"""The rows that staleness is read off: of a whole lake by SQL, of some items by their names.

Both give the same answer for the same items. The first costs one pass over the entries and edges of the lake, the
second follows what the items were made of, step by step, and costs only that.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc

from lakefolio.errors import NotFoundError, nearest
from lakefolio.query.dataset import PREFIX
from lakefolio.session.history_queries import heads_behind
from lakefolio.status.report import Status
from lakefolio.status.staleness import EDGE_COLUMNS, HEAD_COLUMNS, PUT_COLUMNS, find_stale, used_names

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lakefolio.session.session import Session

__all__ = ["stale_among", "status_of"]

_HEADS = f"select {', '.join(HEAD_COLUMNS)} from items where folio is not null order by folio, item"
_EDGES = f"""
with of_items as (
    select version, inputs, 'entry' as output_kind, entry_id as output_id from stg_manifests
    where len(inputs) > 0 and op = 'put' and entry_id in (select entry_id from items)
),

of_runs as (
    select version, inputs, 'run' as output_kind, run_id as output_id from stg_manifests
    where
        len(inputs) > 0 and op = 'run'
        and run_id in (
            select run_id from items
            union all
            select unnest(list_transform(list_filter(inputs, lambda e: e.input_kind = 'run'), lambda e: e.input_id))
            from of_items -- an entry that was restored is of no run, but made by one
        )
),

edges as (
    select
        * exclude (inputs),
        unnest(inputs) as edge,
        generate_subscripts(inputs, 1) as ordinal
    from (from of_items union all from of_runs)
)

select {", ".join(f"{'edge.' * one.startswith('input')}{one}" for one in EDGE_COLUMNS)} from edges
where output_kind = 'entry' or edge.input_kind = 'entry'
order by version, ordinal
"""
"""Not the view ``lineage``, which drops the edges of an entry that was put again: its window over all rows takes as
long as the rest of the query, and an edge that is there twice changes no answer."""
_PUTS = f"""
select {", ".join(PUT_COLUMNS)} from entries
where (folio, item) in (select unnest($folios), unnest($items)) order by version, ordinal
"""
_MOST_RUNS: Final = 20
"""The commands of so many runs are read: of what a person makes again first."""


def status_of(session: Session, folio: str | None = None, *, archived: bool = False) -> Status:
    """Return which items of a lake, or of a folio, are stale at the version of a session that is fixed to one.

    Args:
        session: The session.
        folio: Only this folio; its items are stale for what changed in others too.
        archived: Whether archived items are told of too.

    Raises:
        NotFoundError: kind ``folio-not-found``: no item is in the folio.
    """
    if folio is not None and folio not in (known := session.committed().folios()):
        raise NotFoundError(
            f"folio {folio!r} has no items", kind="folio-not-found", hint=nearest(folio, known), folio=folio
        )
    heads = session.query(_HEADS).to_arrow_table()
    edges = session.query(_EDGES).to_arrow_table()
    names = used_names(heads, edges)
    asked = {"folios": [one for one, _ in names], "items": [one for _, one in names]}
    puts = session.query(_PUTS, asked).to_arrow_table() if names else heads.slice(0, 0)
    stale = find_stale(heads, edges, puts, fixed=PREFIX).shown(folio, archived=archived)
    chosen = heads if folio is None else heads.filter(pc.equal(heads.column("folio"), folio))
    if not archived:
        chosen = chosen.filter(pc.invert(chosen.column("archived")))
    return Status(session.committed().version, folio, chosen.num_rows, stale, _commands(session, stale.runs()))


def _commands(session: Session, runs: Sequence[str]) -> dict[str, str]:
    """Return run -> what was called, of the first of some runs; its name if that is not known."""
    found = {}
    for run_id in runs[:_MOST_RUNS]:
        texts = session.metadata_texts("run", run_id)
        command, name = (_text(texts.get(key)) for key in ("command", "name"))
        if command or name:
            found[run_id] = command or f"run {name}"
    return found


def _text(text: str | None) -> str | None:
    """Return a fact that is a text; others may have written anything."""
    try:
        found = None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, str) else None


def stale_among(
    session: Session, names: Collection[tuple[str, str]], limit: int | None = None
) -> tuple[set[tuple[str, str]], bool]:
    """Return those of some items (folio, item) that are stale at the version of a session that is fixed to one.

    Args:
        session: The session.
        names: The items.
        limit: Look no further back than it takes to look at more items than these beside them.

    Returns:
        The stale ones, and whether these are all: beyond the limit an item may be stale that makes others stale.
    """
    state = session.committed()
    heads, edges, cut = heads_behind(session, names, limit)
    order = [("version", "ascending"), ("ordinal", "ascending")]
    puts = state.puts_of(used_names(heads, edges)).sort_by(order)
    return {(one.folio, one.item) for one in find_stale(heads, edges, puts, fixed=PREFIX)} & set(names), not cut
