"""The list of items that a page shows: bounded, filtered and sorted, from the listing of the lake or by SQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import InvalidInputError, nearest
from lakefolio.format.names import OWN_FOLIOS, is_own_folio
from lakefolio.lake.reading import few_items
from lakefolio.pages.values import column_value

if TYPE_CHECKING:
    from lakefolio.lake import Lake
    from lakefolio.model.entries import Entry

__all__ = ["NOT_OWN", "listed"]

ITEMS: Final = 2_000
FIRST: Final = 500
"""The items of a larger list that are shown before anything is asked of it."""
FOLIOS: Final = 2_000
NOT_OWN: Final = f"not regexp_full_match(folio, '{OWN_FOLIOS}', 's')"
"""Tells the folios of users from those that the library keeps for itself, in SQL."""
_ITEM_COLUMNS: Final = {
    "folio": "text",
    "item": "text",
    "kind": "text",
    "size_bytes": "bytes",
    "row_count": "number",
    "version": "number",
    "committed_at": "time",
    "author": "text",
    "tags": "text",
    "description": "text",
    "format": "text",
    "media_type": "text",
    "storage": "text",
    "run_id": "text",
    "archived": "text",
}


def listed(lake: Lake, asked: Mapping[str, str], querying: AbstractContextManager[object]) -> dict[str, Any]:
    """Return items as columns.

    Asked with ``q`` (part of a name, description or tag), ``folio``, ``kind``, ``sort`` (a column; ``-`` before it
    for falling order), and ``all`` for the folios that the library keeps for itself, too. ``querying`` is held while
    SQL is asked, which only lists too long to go through are.
    """
    sort = asked.get("sort") or "-version"
    if sort.removeprefix("-") not in _ITEM_COLUMNS:
        hint = nearest(sort, _ITEM_COLUMNS)
        raise InvalidInputError(f"items have no column {sort!r}", kind="bad-sort", hint=hint)
    lake = lake.at(lake.version)  # one state for all that is read
    chosen = asked.get("folio")
    every = lake.folios()
    folios = [one for one in every if asked.get("all") or not is_own_folio(one)]
    hidden = {"hidden": len(every) - len(folios)}
    entries, whole = few_items(lake, [chosen] if chosen else folios, ITEMS, min(FIRST, ITEMS))
    if not whole and (asked.get("q") or asked.get("kind") or asked.get("sort")):
        with querying:
            return _by_sql(lake, asked, sort) | hidden
    found = sorted(filter(_asked_for(asked), entries), key=lambda one: (one.folio, one.item))
    if whole:
        column, falls = sort.removeprefix("-"), sort.startswith("-")
        found.sort(key=lambda one: _order(getattr(one, column), falls), reverse=falls)
    values = {name: [getattr(one, name) for one in found] for name in _ITEM_COLUMNS}
    total = len(found) if whole else None
    counts = Counter(one.folio for one in found) if whole else dict.fromkeys(folios)
    return _page(values, total, counts, Counter(one.kind for one in found) if whole else {}) | hidden


def _by_sql(lake: Lake, asked: Mapping[str, str], sort: str) -> dict[str, Any]:
    """Ask the views, which read every row of a large lake."""
    wanted, params = ["true"], {}
    for name in ("folio", "kind"):
        if asked.get(name):
            wanted.append(f"{name} = ${name}")
            params[name] = asked[name]
    if not asked.get("all") and not asked.get("folio"):
        wanted.append(NOT_OWN)
    if asked.get("q"):
        text = "concat_ws(' ', folio, item, kind, description, array_to_string(tags, ' '))"
        wanted.append(f"contains(lower({text}), lower($q))")
        params["q"] = asked["q"]
    where = " and ".join(wanted)
    order = f"{sort.removeprefix('-')} {'desc' if sort.startswith('-') else 'asc'} nulls last, folio, item"
    query = f"select {', '.join(_ITEM_COLUMNS)} from items where {where} order by {order} limit {ITEMS}"
    found = lake.sql(query, params or None).to_arrow_table()
    grouped = lake.sql(f"select folio, kind, count(*) from items where {where} group by all", params or None)
    folios: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for folio, kind, count in grouped.fetchall():
        folios[folio] += count
        kinds[kind] += count
    values = {name: found.column(name).to_pylist() for name in _ITEM_COLUMNS}
    return _page(values, kinds.total(), folios, kinds)


def _asked_for(asked: Mapping[str, str]) -> Callable[[Entry], bool]:
    kind, text = asked.get("kind"), (asked.get("q") or "").lower()

    def wanted(one: Entry) -> bool:
        if kind and one.kind != kind:
            return False
        return not text or text in " ".join([one.folio, one.item, one.kind, one.description or "", *one.tags]).lower()

    return wanted


def _order(value: object, falls: bool) -> Any:
    """Return what a value of a column is sorted by; rows without one come last either way."""
    if isinstance(value, tuple):
        value = ", ".join(value)
    return (value is not None) == falls, 0 if value is None else value


def _page(
    values: Mapping[str, list[Any]],
    total: int | None,
    folios: Mapping[str, int | None],
    kinds: Mapping[str, int | None],
) -> dict[str, Any]:
    """Return items as a page gets them; ``total`` is None where nobody counted."""
    columns = [
        {"name": name, "type": kind, "values": [column_value(one) for one in values[name]]}
        for name, kind in _ITEM_COLUMNS.items()
    ]
    return {
        "columns": columns,
        "rows": len(columns[0]["values"]),
        "total": total,
        "folios": sorted(folios.items())[:FOLIOS],
        "kinds": sorted(kinds.items()),
    }
