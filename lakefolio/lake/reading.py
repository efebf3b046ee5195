"""Reading a lake: its items and their objects, their lineage, and its views and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from lakefolio import __version__
from lakefolio.errors import InvalidInputError
from lakefolio.format.names import is_own_folio, parse_ref
from lakefolio.lake.reports import Info, Stats
from lakefolio.model.entries import ENTRY_COLUMNS, Entry
from lakefolio.model.resolve import At, said_twice
from lakefolio.render.listing import Listing
from lakefolio.runs.settled import settled

if TYPE_CHECKING:
    import duckdb
    import polars as pl

    from lakefolio.lake.lake import Lake
    from lakefolio.lineage.graph import Lineage

__all__ = [
    "connect",
    "folios",
    "get",
    "info",
    "is_purged",
    "item",
    "item_named",
    "items",
    "lineage",
    "scan",
    "sql",
    "stats",
]


def get(lake: Lake, /, ref: str, *, at: At | None = None, **options: object) -> Any:
    """Return the object that ``folio:name[@version-or-snapshot]`` names, verified.

    Args:
        ref: The item.
        at: As of when, if the reference does not say it: a version, a time or a snapshot, see :meth:`at`.
        **options: Further options of the handler of the item's kind (``as_``, ``columns``, ``trusted``, …).
    """
    entry = _entry(lake, ref, at)
    found = lake._session.load(entry, **options)
    lake._session.was_read(entry)
    return found


def item(lake: Lake, /, ref: str, *, at: At | None = None) -> Entry:
    """Return the entry that ``folio:name[@version-or-snapshot]`` names: its facts, not its content."""
    return _entry(lake, ref, at)


def is_purged(lake: Lake, /, entry: Entry) -> bool:
    """Say whether gc purged the content of an entry of the past, as far as is known without asking the store.

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


def folios(lake: Lake, /) -> list[str]:
    """Return the names of the folios that have an item, sorted."""
    return lake._session.state().folios()


def lineage(lake: Lake, /, ref: str) -> Lineage:
    """Return the lineage of an item's entry: ``.upstream()``, ``.downstream()``, and ways to draw it.

    Raises:
        NotFoundError: If there is no such item.
    """
    from lakefolio.session.past import lineage_of

    return lineage_of(lake._session, _entry(lake, ref))


def sql(lake: Lake, /, query: str, params: object = None) -> duckdb.DuckDBPyRelation:
    """Answer a read-only SQL query over the views and tables of the lake, as a DuckDB relation.

    Items that are tables are relations called by their references, ``from "folio:name@v3"``, and are read as far as
    the query needs, from verified files.

    The relation is of the version it was asked at, whenever it is fetched: files that a merge or gc removes meanwhile
    stay open for it. Where they can't (beyond a quarter of the files that the process may open, and on other systems
    than Linux), fetching raises DuckDB's ``IOException``, and the query has to be asked again.

    A text of the lake that is nested more than 1,000 deep, which lakefolio writes none of, is null: DuckDB's JSON
    functions could end the process. A warning says how many.

    Args:
        query: One SELECT.
        params: Values for its ``?``, ``$1`` or ``$name``.

    Raises:
        InvalidInputError: If it is no valid query, or one that would change or reach out for something. What the
            rows can't be computed for (a cast of a text that is no number) raises it when they are fetched.
    """
    return settled(lake._session).query(query, params)


def connect(lake: Lake, /, at: At | None = None) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB connection of one's own with all views of lakefolio bound at one version.

    View files of the lake or of the user are left out: a connection of one's own may reach files and networks,
    which what lies in a bucket must not; ``sql`` asks them.
    """
    return (settled(lake._session) if at is None else lake._session.at(at)).connect()


def scan(
    lake: Lake, /, table: Literal["manifests", "lineage", "metadata", "metric_rows", "event_rows"] = "manifests"
) -> pl.LazyFrame:
    """Return the rows of a table as a Polars LazyFrame: those that count at this version.

    Args:
        table: Its name in FORMAT.md.
    """
    from lakefolio.session.scans import scan_of

    return scan_of(settled(lake._session), table)


def stats(lake: Lake, /, *, every_folio: bool = False) -> Stats:
    """Return counts and sizes of the lake, in all and by folio.

    Args:
        every_folio: List the folios that the library keeps for itself, as of runs, too; else they are summed up.
    """
    return Stats.of(lake.sql, lake.version, every_folio=every_folio)


def info(lake: Lake, /, *, every_folio: bool = False) -> Info:
    """Return address, format and version of the lake, and its numbers of folios, items, runs and snapshots.

    Args:
        every_folio: Count the folios that the library keeps for itself, as of runs, and their items too.
    """
    state = lake._session.committed()
    every = state.folios()
    folios = [name for name in every if every_folio or not is_own_folio(name)]
    first, last = state.first_at(), state.committed_at
    return Info(
        uri=lake.uri,
        lake_id=lake.lake_id,
        format_version=lake._session.marker.format_version,
        created_at=lake._session.marker.created_at,
        version=state.version,
        folio_count=len(folios),
        item_count=sum(len(state.names(folio)) for folio in folios),
        run_count=len(state.runs_noting("status")),
        snapshot_count=len(state.snapshots()),
        first_commit_at=first.isoformat() if first else None,
        last_commit_at=last.isoformat() if last else None,
        read_only=lake.read_only,
        author=lake.author,
        library_version=__version__,
    )


def item_named(ref: str) -> tuple[str, str]:
    """Return the folio and the item that a reference names; InvalidInputError if it names no folio."""
    parsed = parse_ref(ref)
    if parsed.folio is None:
        raise InvalidInputError(
            f"item reference {ref!r} names no folio", kind="bad-ref", hint="write folio:name", ref=ref
        )
    return parsed.folio, parsed.item


def _entry(lake: Lake, ref: str, at: At | None = None) -> Entry:
    folio, item = item_named(ref)
    within = parse_ref(ref).at
    if within is not None and at is not None:
        raise said_twice(ref, at)
    return lake._session.entry(folio, item, at if within is None else within)
