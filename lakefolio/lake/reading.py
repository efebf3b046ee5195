"""Reading a lake: its items and their objects, their lineage, and its views and tables."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from lakefolio import __version__
from lakefolio.errors import InvalidInputError
from lakefolio.format.names import is_own_folio, parse_ref
from lakefolio.format.table_formats import RECORDS
from lakefolio.lake.reports import Info, Stats
from lakefolio.model.entries import ENTRY_COLUMNS, Entry
from lakefolio.model.resolve import At, said_twice
from lakefolio.render.listing import Listing
from lakefolio.runs.liveness import settled
from lakefolio.session.record_tables import reader_of

if TYPE_CHECKING:
    import duckdb
    import polars as pl

    from lakefolio.lake.lake import Lake
    from lakefolio.lineage.graph import Lineage
    from lakefolio.lineage.impact import Impact
    from lakefolio.model.totals import Total

__all__ = [
    "connect",
    "few_items",
    "folio_totals",
    "folios",
    "get",
    "impact",
    "info",
    "is_purged",
    "item",
    "item_named",
    "items",
    "lineage",
    "present_ref",
    "scan",
    "sql",
    "stats",
]


def get(lake: Lake, /, ref: str, *, at: At | None = None, **options: object) -> Any:
    """Return the object of an item: ``folio:name[@version-or-snapshot]``; its bytes are verified first.

    Args:
        ref: The item.
        at: As of when, if the reference does not say it: a version, a time or a snapshot, see :meth:`at`.
        **options: Further options of the handler of the item's kind (``as_``, ``columns``, ``trusted``, …).

    Raises:
        NotFoundError: No such item or version, or its content was purged; the hint names the nearest item.
        IntegrityError: Stored bytes are missing or damaged.
    """
    entry = _entry(lake, ref, at)
    at = parse_ref(ref).at if at is None else at
    found = reader_of(lake._session, entry, at).load(entry, **options)
    lake._session.was_read(entry)
    return found


def item(lake: Lake, /, ref: str, *, at: At | None = None) -> Entry:
    """Return the entry of an item, ``folio:name[@version-or-snapshot]``: its facts, not its content.

    Raises:
        NotFoundError: No such item or version; the hint names the nearest item.
    """
    return _entry(lake, ref, at)


def present_ref(lake: Lake, entry: Entry) -> str:
    """Return how the content of an entry is referred to: by its version, but of a record table's head by its name.

    The entry of a record table marks a version of it; the table may have moved on.
    """
    if entry.kind == RECORDS and lake.item(f"{entry.folio}:{entry.item}").entry_id == entry.entry_id:
        return f"{entry.folio}:{entry.item}"
    return entry.ref


def is_purged(lake: Lake, /, entry: Entry) -> bool:
    """Say whether gc purged the content of an entry, by the newest state that this handle knows.

    Args:
        entry: An entry, as ``item`` or ``items`` returns it.
    """
    return lake._session.journal.state.is_purged(entry)


def items(lake: Lake, /, folio: str | None = None, *, archived: bool = True) -> list[Entry]:
    """Return the entry of every item: its facts, not its content, in the order of first addition.

    Args:
        folio: Only this folio's; a folio without items gives an empty list.
        archived: Whether to include archived items.
    """
    state = lake._session.state()
    names = state.folios() if folio is None else [folio]
    found = (one for name in names for one in state.entries(name) if archived or not one.archived)
    return Listing(found, "item", ENTRY_COLUMNS)


def few_items(lake: Lake, folios: Iterable[str], limit: int, shown: int) -> tuple[list[Entry], bool]:
    """Return the entries of all items of some folios if there are at most ``limit``, else the first ``shown`` of them.

    Returns:
        The entries, and whether they are all. No more is read than it takes, however large the lake.
    """
    state = lake._session.state()
    found: list[Entry] = []
    left = list(folios)
    while left and len(found) <= shown:
        part = state.first_entries(left[0], shown + 1 - len(found))
        found += part
        if len(found) <= shown:
            left.pop(0)
    if not left:
        return found, True
    count = len(found) - len(part)
    for folio in left:
        count += len(state.first_names(folio, limit + 1 - count))
        if count > limit:
            return found[:shown], False
    del found[len(found) - len(part) :]
    return found + [one for folio in left for one in state.entries(folio)], True


def folios(lake: Lake, /) -> list[str]:
    """Return the names of the folios that have an item, sorted."""
    return lake._session.state().folios()


def folio_totals(lake: Lake) -> dict[str, Total]:
    """Return what each folio holds in all, sorted by name; of the newest state at a cost that no item adds to."""
    return lake._session.committed().totals()


def lineage(lake: Lake, /, ref: str, *, depth: int | None = None, limit: int | None = None) -> Lineage:
    """Return the lineage of an item's entry, a graph of exact versions.

    ``.upstream()`` and ``.downstream()`` walk it, nearest nodes first; ``.to_mermaid()``, ``.to_html()`` and
    ``.to_openlineage()`` draw and export it. Time and memory follow what is returned: all of it, by default.

    Args:
        ref: The item: ``folio:name[@version]``.
        depth: How many steps to go each way at most.
        limit: How many nodes to return each way at most, the nearest. ``complete`` says whether these are all.

    Raises:
        NotFoundError: If there is no such item.
    """
    from lakefolio.session.history_queries import lineage_of

    return lineage_of(lake._session, _entry(lake, ref), depth, limit)


def impact(lake: Lake, /, ref: str, column: str | None = None) -> Impact:
    """Return the live items that were made of an item, directly or not, and which of their columns are affected.

    Columns are followed where the edges say which were used: those of ``Folio.add_query``, and of ``columns_from``.
    Elsewhere every column may be affected, which ``columns`` None says. Whichever version of the item was used counts.

    Args:
        ref: The item: ``folio:name``.
        column: Only what this column reaches, as far as that is known.

    Raises:
        NotFoundError: If there is no such item.
        InvalidInputError: kind ``unknown-column``: it has no such column.
    """
    from lakefolio.session.history_queries import impact_of

    return impact_of(lake._session.steady(), *item_named(lake, ref), column)


def sql(lake: Lake, /, query: str, params: object = None) -> duckdb.DuckDBPyRelation:
    """Answer a read-only SQL query over the views and tables of the lake, as a DuckDB relation.

    The hits of a search are rows too, best first: ``from search('delayed flights', kind := 'table')``, with its options
    ``folio``, ``kind``, ``"limit"`` and ``meaning``; columns as :meth:`SearchResult.to_arrow`.

    A table item is a relation named by its reference, ``from "folio:name@v3"``. DuckDB reads only the columns and row
    groups that the query needs, from verified files, in at most 512 MiB; beyond that it spills to disk. An index of
    pandas is a column, ``__index_level_0__`` if it has no name. ``from "folio:name@v3" except from "folio:name@v2"``
    gives the rows that a version added; :meth:`diff` with ``item=`` says what changed.

    Python, numpy, pandas and Arrow have no infinite times, and pandas no integers of more than 64 bits: the fetch of
    such a value is refused.

    The relation shows the version at which it was asked, whenever it is fetched: files that a merge or gc removes
    meanwhile stay open for it. If they can't stay open (beyond a quarter of the process's limit of open files, or on
    systems other than Linux), fetching raises ConflictError, kind ``files-replaced``; ask the query again.

    A JSON text nested more than 1,000 deep, which lakefolio never writes, reads as null with a warning: DuckDB's JSON
    functions could end the process.

    Args:
        query: One SELECT, in DuckDB's dialect.
        params: Values for its ``?``, ``$1`` or ``$name``.

    Raises:
        InvalidInputError: kind ``sql``: the query is not valid, or would change data, read files or use the network. A
            row that can't be computed (a cast of a text that is not a number) raises it at the fetch.
    """
    from lakefolio.search.in_sql import query as answer

    return answer(settled(lake._session), query, params)


def connect(lake: Lake, /, at: At | None = None) -> duckdb.DuckDBPyConnection:
    """Return a private DuckDB connection with all views of lakefolio bound at one version.

    View files of the lake or of the user are left out, because this connection may read files and the network, which
    SQL from a bucket must not; ``sql`` runs them in a sandbox.
    """
    return (settled(lake._session) if at is None else lake._session.at(at)).connect()


def scan(
    lake: Lake, /, table: Literal["manifests", "lineage", "metadata", "metric_rows", "event_rows"] = "manifests"
) -> pl.LazyFrame:
    """Return the rows of a table as a Polars LazyFrame, as of this version.

    Filters, columns and limits are pushed into the scan, which reads in bounded memory.

    Args:
        table: Its name in FORMAT.md, which lists the columns and their types. Of ``metric_rows`` and ``event_rows``
            only the rows of committed batches are returned.
    """
    from lakefolio.session.scans import scan_of

    return scan_of(settled(lake._session), table)


def stats(lake: Lake, /, *, every_folio: bool = False) -> Stats:
    """Return counts and sizes of the lake, in all and by folio.

    Args:
        every_folio: List the folios that the library keeps for itself, as of runs, too; else they are summed up.
    """
    steady = settled(lake._session).steady()
    state = steady.committed()
    return Stats.of(steady.query, state.totals(), state.version, every_folio=every_folio)


def info(lake: Lake, /, *, every_folio: bool = False) -> Info:
    """Return address, format and version of the lake, and its numbers of folios, items, runs and snapshots.

    Args:
        every_folio: Count the folios that the library keeps for itself, as of runs, and their items too.
    """
    state = lake._session.committed()
    totals = state.totals()
    folios = [name for name in totals if every_folio or not is_own_folio(name)]
    first, last = state.first_at(), state.committed_at
    return Info(
        uri=lake.uri,
        lake_id=lake.lake_id,
        format_version=lake._session.marker.format_version,
        created_at=lake._session.marker.created_at,
        version=state.version,
        folio_count=len(folios),
        item_count=sum(totals[folio].item_count for folio in folios),
        run_count=len(state.runs_noting("status")),
        snapshot_count=len(state.snapshots()),
        first_commit_at=first.isoformat() if first else None,
        last_commit_at=last.isoformat() if last else None,
        read_only=lake.read_only,
        author=lake.author,
        library_version=__version__,
    )


def item_named(lake: Lake, ref: str) -> tuple[str, str]:
    """Return the folio and the item that a reference names.

    Raises:
        InvalidInputError: kind ``bad-ref``: it names no folio; the hint names some that have such an item.
    """
    parsed = parse_ref(ref)
    if parsed.folio is None:
        state = lake._session.committed()
        there = (f"{folio}:{ref}" for folio in state.folios() if state.live(folio, parsed.item))
        meant = ", ".join(islice(there, 3))
        raise InvalidInputError(
            f"item reference {ref!r} names no folio",
            kind="bad-ref",
            hint=f"there is {meant}" if meant else "write folio:name",
            ref=ref,
        )
    return parsed.folio, parsed.item


def _entry(lake: Lake, ref: str, at: At | None = None) -> Entry:
    folio, item = item_named(lake, ref)
    within = parse_ref(ref).at
    if within is not None and at is not None:
        raise said_twice(ref, at)
    return lake._session.entry(folio, item, at if within is None else within)
