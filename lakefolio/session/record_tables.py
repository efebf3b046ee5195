"""Record tables of a lake: which table an entry is, which of its versions a version of the lake shows, and marks.

An entry of kind ``records`` names a table and a version of it (FORMAT.md, "Record tables"). Appends leave the journal
alone. A *mark* is an entry that notes the version that a table has: a snapshot makes one of every table in its scope,
in its own commit, so it shows exactly what had been acknowledged when it was asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import ConflictError, FormatError, IntegrityError, InvalidInputError, LakefolioError
from lakefolio.format.arrow_rows import to_micros
from lakefolio.format.checked_json import mapped, need, number, strings, text
from lakefolio.format.layout import record_prefix
from lakefolio.format.names import is_id, new_id
from lakefolio.format.table_formats import RECORDS
from lakefolio.items.handler import Buffers, Encoded
from lakefolio.model.changes import Mark
from lakefolio.model.entries import Entry

if TYPE_CHECKING:
    from lakefolio.model.resolve import At
    from lakefolio.records.change import Origin
    from lakefolio.records.schema import TableSchema
    from lakefolio.records.state import TableState
    from lakefolio.records.table import RecordTable
    from lakefolio.session.session import Session

__all__ = [
    "TableContent",
    "content_of",
    "dataset_of",
    "encoded",
    "has_tables",
    "is_frozen",
    "load_records",
    "mark_of",
    "marked",
    "origin_of",
    "reader_of",
    "state_of",
    "table_of",
    "tables_in",
]

_FORMAT: Final = "lakefolio-records-1"
_OPTIONS: Final = ("as_", "columns", "where", "order", "limit")


@dataclass(frozen=True, slots=True)
class TableContent:
    """What the content of an entry says: the table, whose it is, its version, and at first its schema."""

    table: str
    owner: str
    version: int
    created_ms: int
    metadata: Mapping[str, Any] | None


@dataclass(slots=True)
class _Known:
    """The tables that a handle has open, and the contents that it has read. Both never change."""

    tables: dict[str, RecordTable] = field(default_factory=dict)
    contents: dict[str, TableContent] = field(default_factory=dict)
    any: bool = False


def encoded(table: str, owner: str, version: int, created_ms: int, schema: TableSchema, *, first: bool) -> Encoded:
    """Return the content of an entry that names a table at a version; the first one holds its schema."""
    content: dict[str, Any] = {
        "format": _FORMAT,
        "table": table,
        "owner": owner,
        "version": version,
        "created": created_ms,
        "mark": new_id(),
    }
    if first:
        content["metadata"] = schema.metadata(_uuid(table), created_ms)
    columns = [{"name": one["name"], "type": one["type"]} for one in schema.to_plain()["columns"]]
    details = {"table": table, "version": version, "key": list(schema.key), "columns": columns}
    body = json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
    return Encoded(RECORDS, "json", "application/json", Buffers((body,)), details)


def _uuid(table: str) -> str:
    return "-".join((table[:8], table[8:12], table[12:16], table[16:20], table[20:]))


def content_of(session: Session, entry: Entry) -> TableContent:
    """Return what the content of an entry says, verified.

    Raises:
        IntegrityError: It is none of a record table.
        NotFoundError: kind ``content-purged``: gc gave it up.
    """
    known = session.opened.part(_Known, _Known)
    found = known.contents.get(entry.entry_id)
    if found is None:
        body = bytes(session.blobs.source(entry).read())
        try:
            said = mapped(json.loads(body))
            need(said.get("format") == _FORMAT, "its format is another")
            need(is_id(text(said["table"])), "its table is not one")
            metadata = None if said.get("metadata") is None else mapped(said["metadata"])
            found = TableContent(
                said["table"], text(said["owner"]), number(said["version"], 0), number(said["created"], 0), metadata
            )
        except (ValueError, KeyError, TypeError, RecursionError) as exc:
            raise IntegrityError(f"item {entry.ref} names no record table: {exc}", kind="bad-content") from exc
        known.contents[entry.entry_id] = found
    return found


def table_of(session: Session, entry: Entry) -> RecordTable:
    """Return the table that an entry names. Writes nothing: version 0 is in the store from the first write on."""
    from lakefolio.records.schema import TableSchema
    from lakefolio.records.table import RecordTable

    content = content_of(session, entry)
    known = session.opened.part(_Known, _Known)
    table = known.tables.get(content.table)
    if table is None:
        table = RecordTable(session.store, record_prefix(content.table), content.owner)
        if content.metadata is not None:
            try:
                schema = TableSchema.of(
                    text(content.metadata["schemaString"]), strings(content.metadata.get("configuration"))
                )
            except (ValueError, KeyError, TypeError, FormatError) as exc:
                raise IntegrityError(f"the schema of {entry.ref} can't be read: {exc}", kind="bad-content") from exc
            # not by the clock that dated its making, if that was ahead of the commit's
            created_ms = min(content.created_ms, to_micros(entry.committed_at) // 1000)
            table.versions.begin(schema, _uuid(content.table), created_ms)
        table = known.tables.setdefault(content.table, table)
    return table


def is_frozen(session: Session, entry: Entry) -> bool:
    """Say whether an entry is another item's table, as of one version: a copy."""
    return content_of(session, entry).owner != f"{entry.folio}:{entry.item}"


def state_of(session: Session, entry: Entry) -> TableState:
    """Return the state of a table that a session sees, see FORMAT.md, "Record tables".

    At the newest version of the lake that is the newest state of the table. At a past one it is exactly the marked one
    where that version made the mark; else the newest up to that version's time, between the marks around it.
    """
    table, content = table_of(session, entry), content_of(session, entry)
    if is_frozen(session, entry):
        return table.versions.at(content.version)
    if session.pinned is None or (session.moves and session.pinned == session.journal.state.version):
        head = session.unwatched_state().entry(entry.folio, entry.item)
        past = head is None or (head.entry_id != entry.entry_id and head.blob_digest != entry.blob_digest)
        return table.versions.at(content.version) if past else table.state()
    journal = session.journal.refresh()
    marks: list[tuple[int, str]] = []
    for one in journal.history(entry.folio, entry.item):
        if one.kind == RECORDS and all(digest != one.blob_digest for _, digest in marks):
            marks.append((one.version, one.blob_digest or ""))
    first = next((version for version, digest in marks if digest == entry.blob_digest), entry.version)
    if first == session.pinned:
        return table.versions.at(content.version)
    newest = table.state().version
    for version, digest in marks:
        if version > session.pinned:
            later = next(one for one in journal.history(entry.folio, entry.item) if one.blob_digest == digest)
            if (bound := _bound(session, later, content.table)) is not None:
                newest = min(newest, bound)
                break
    at = journal.time_of(session.pinned)
    return table.versions.at(_version_by(table, content.version, newest, 0 if at is None else to_micros(at)))


def _bound(session: Session, entry: Entry, table: str) -> int | None:
    try:
        content = content_of(session, entry)
    except LakefolioError:
        return None
    return content.version if content.table == table else None


def _version_by(table: RecordTable, least: int, most: int, at_us: int) -> int:
    """Return the newest version up to a time, between two: times rise with versions."""
    while least < most:
        middle = (least + most + 1) // 2
        if table.versions.moment(middle) <= at_us:
            least = middle
        else:
            most = middle - 1
    return least


def origin_of(session: Session, message: str | None = None) -> Origin:
    """Return who writes: the write is dated after all that this session has seen of the lake."""
    from lakefolio.records.change import Origin

    state = session.journal.state
    seen = 0 if state.committed_at is None else to_micros(state.committed_at)
    return Origin(session.author, message, state.version, seen)


def reader_of(session: Session, entry: Entry, at: At | None) -> Session:
    """Return the session that reads an entry as it was asked for: other kinds never change, a record table does."""
    if at is None or entry.kind != RECORDS:
        return session
    if session.entry_called(entry.folio, entry.item, at) is not None:
        return session.fixed(entry.version)
    return session.at(at, entry.folio, entry.item)


# -- reading ----------------------------------------------------------------------------------------------------------


def dataset_of(session: Session, entry: Entry, state: TableState | None = None) -> Any:
    """Return the rows that a session sees of a table, as a dataset of Arrow."""
    table = table_of(session, entry)
    state = state or state_of(session, entry)
    files = sorted(state.files.values(), key=lambda one: one.path)
    return table.files.dataset(files, state.schema.arrow)


def load_records(session: Session, entry: Entry, **options: Any) -> Any:
    """Return the rows of a record table, see ``Records.query``; ``as_`` is as of tables, or ``dataset``."""
    from lakefolio.items.conversions import lazy_frame, to_pandas, to_polars
    from lakefolio.process.keywords import check_keywords
    from lakefolio.records.query import rows_of

    check_keywords(f"getting {entry.ref}", options, {*_OPTIONS, "at"})
    as_ = options.get("as_")
    if as_ not in (None, "pandas", "polars", "arrow", "lazy", "dataset"):
        raise InvalidInputError(
            f"as_={as_!r} is not one of 'pandas', 'polars', 'arrow', 'lazy', 'dataset'", kind="bad-option"
        )
    dataset = dataset_of(session, entry)
    asked = [name for name in ("where", "columns", "order", "limit") if options.get(name) is not None]
    if as_ == "dataset":
        if asked:  # a dataset has no rows yet, and knows no order
            raise InvalidInputError(
                f"getting {entry.ref} as a dataset takes no {asked[0]}",
                kind="bad-option",
                hint="ask the dataset: dataset.to_table(columns=…, filter=…); or as_='arrow'",
                item=entry.item,
            )
        return dataset
    if as_ == "lazy" and not asked:
        return lazy_frame(dataset)
    table = rows_of(
        dataset,
        columns=options.get("columns"),
        where=options.get("where"),
        order=options.get("order"),
        limit=options.get("limit"),
    )
    if as_ == "arrow":
        return table
    if as_ in ("polars", "lazy"):
        frame = to_polars(table)
        return frame.lazy() if as_ == "lazy" else frame
    return to_pandas(table)


# -- marks ------------------------------------------------------------------------------------------------------------


def mark_of(session: Session, entry: Entry) -> Mark:
    """Return the change that notes the newest version of an item's table."""
    from lakefolio.session.batches import known

    table, content = table_of(session, entry), content_of(session, entry)
    state = table.state()
    if state.version == 0:
        table.versions.create()  # a mark does not tell what version 0 was
    noted = encoded(content.table, content.owner, state.version, content.created_ms, state.schema, first=False)
    stored = session.blobs.put(noted, known(session))
    return Mark(folio=entry.folio, item=entry.item, stored=stored, entry_id=new_id(), replaces=entry.entry_id)


def marked(session: Session, entry: Entry) -> Entry:
    """Return an entry that names exactly what its table holds now: of a record table a mark, which is committed."""
    if entry.kind != RECORDS or session.pinned is not None or session.in_batch or is_frozen(session, entry):
        return entry
    for _ in range(20):
        try:
            session.apply(mark_of(session, entry), message=f"mark {entry.folio}:{entry.item}")
        except ConflictError as exc:
            if exc.kind != "item-moved":
                raise
        else:
            break
        entry = session.entry(entry.folio, entry.item)
    return session.entry(entry.folio, entry.item)


def has_tables(session: Session) -> bool:
    """Say whether the lake has any record table: at most one request, and none for a lake that is held in memory."""
    known = session.opened.part(_Known, _Known)
    if not known.any:
        state = session.journal.state
        kinds = set(state.rows_since(state.base_version).column("kind").unique().to_pylist())
        # what read models hold is not looked through: one listing says it
        known.any = RECORDS in kinds or (
            state.base is not None and next(iter(session.store.list("records/")), None) is not None
        )
    return known.any


def tables_in(session: Session, folio: str | None) -> Iterator[Entry]:
    """Give the entries of the record tables of a folio, or of the lake."""
    state = session.committed()
    if folio is None:
        for name, item in session.query("select folio, item from items where kind = 'records'").fetchall():
            if (entry := state.entry(name, item)) is not None:
                yield entry
        return
    for item, kind in state.listing(folio, ("item", "kind")):
        if kind == RECORDS and (entry := state.entry(folio, item)) is not None:
            yield entry
