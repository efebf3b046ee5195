"""Record tables of a folio: made, opened, and the handle that appends, queries and migrates them.

A record table is for streams of rows: an append costs two requests, whatever the table holds, and its rows are checked
against a declared schema before anything is stored. It is a Delta table of its own, so other engines read and write it.

Longer than most modules: a handle has one method for each thing that users do with a table, with its guarantee.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import InvalidInputError, ReadOnlyError
from lakefolio.folio.adding import check_name
from lakefolio.folio.open_folio import At
from lakefolio.format.names import new_id
from lakefolio.format.table_formats import RECORDS
from lakefolio.format.times import shown_time
from lakefolio.history.log import text_table
from lakefolio.process.clock import now_ms
from lakefolio.process.facade import facade
from lakefolio.render import html
from lakefolio.render.text import counted
from lakefolio.session.annotations import Annotations, Tags, check_text
from lakefolio.session.record_tables import (
    content_of,
    dataset_of,
    encoded,
    is_frozen,
    load_records,
    marked,
    origin_of,
    state_of,
    table_of,
)
from lakefolio.terminal import visible

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow as pa

    from lakefolio.folio.folio import Folio
    from lakefolio.model.entries import Entry
    from lakefolio.records.change import Written
    from lakefolio.records.schema import TableSchema
    from lakefolio.records.state import TableState
    from lakefolio.records.table import RecordTable
    from lakefolio.session.session import Session

__all__ = ["Records", "create_table", "table"]


def create_table(
    folio: Folio,
    /,
    name: str,
    columns: Mapping[str, object] | pa.Schema,
    *,
    key: str | Iterable[str] | None = None,
    checks: Mapping[str, str] | None = None,
    description: str | None = None,
    tags: Tags = None,
    metadata: Mapping[str, object] | None = None,
    overwrite: bool = False,
) -> Records:
    """Make a record table: a Delta table of its own, with a declared schema, for rows that come bit by bit.

    Atomic: one commit. Nothing else is written until the table is first used.

    Args:
        columns: Name -> type (``"int64"``, ``"double"``, ``"string"``, ``"timestamp"``, ``"decimal(10, 2)"``,
            ``"json"``, ``"list<double>"``, …), or a dict with ``type null min max values description``; or an
            Arrow schema.
        key: The column, or columns, whose values are unique and never missing.
        checks: Name -> condition that every row keeps, such as ``"ended >= started"``.

    Returns:
        A handle on it.

    Raises:
        AlreadyExistsError: The name is taken, and ``overwrite`` is False.
        InvalidInputError: kind ``bad-schema``, ``bad-type`` or ``bad-condition``: nothing was made.
    """
    from lakefolio.records.schema import declared

    check_name(folio, name)
    schema = declared(columns, key, checks)
    created_ms = now_ms()
    annotations = Annotations.of(description, None, tags, metadata, overwrite=overwrite)
    made = encoded(new_id(), f"{folio.name}:{name}", 0, created_ms, schema, first=True)
    folio._core.session.put_encoded(folio.name, name, made, None, annotations)
    folio._core.move_pin()
    return Records(folio, name)


def table(folio: Folio, /, name: str, *, at: At = None) -> Records:
    """Return a handle on a record table, as it is now or as of a version, a time or a snapshot (then for reading).

    Raises:
        NotFoundError: There is no such item.
        InvalidInputError: kind ``wrong-kind``: it is of another kind.
    """
    found = Records(folio, name, at)
    found._found()
    return found


class RecordHistory(list[dict[str, Any]]):
    """The versions of a record table, newest first. ``str`` gives a table, and so does a notebook."""

    _TOLD: Final = ("operation", "author", "message")

    def __str__(self) -> str:
        return visible("\n".join(line.removeprefix("  ") for line in text_table(self._rows(), len(self))))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        table = html.row_table(("version", "when", *self._TOLD), self._rows())
        return html.block(html.muted(f"{counted(len(self), 'version')}, newest first"), table)

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                f"@{one['version']}",
                shown_time(datetime.fromtimestamp(one["at"], UTC)),
                *(" ".join(str(one[name] or "").split()) for name in self._TOLD),
            )
            for one in self
        ]


@facade({})
class Records:
    """A handle on a record table. Safe to share between threads; any number of handles and processes may write.

    Writes are atomic, durable when they return, and checked before anything is stored: an InvalidInputError (kind
    ``invalid-rows``; its object ``rows`` has the first offending rows with column and value) means that nothing was.
    Appends of any number of writers all succeed; of concurrent upserts and deletes each sees what the others did. Keys
    are unique among all writers that are lakefolio.

    A write is a commit of its own, also within a batch of the lake.

    Reads see all writes made before. At a past version of the lake they see: if a snapshot was taken then, exactly the
    writes acknowledged before it began; else those dated up to that version, where a write by a process that had seen
    the version is never among them.
    """

    def __init__(self, folio: Folio, name: str, at: At = None) -> None:
        """Name the item; :func:`table` opens it."""
        self._folio = folio
        self._name = name
        self._at = at

    def __repr__(self) -> str:
        """The table, its version and its columns."""
        _, entry, _, state = self._seen()
        columns = ", ".join(f"{one['name']} {one['type']}" for one in state.schema.to_plain()["columns"])
        count = "" if state.row_count is None else f", {counted(state.row_count, 'row')}"
        return f"Records({entry.folio}:{entry.item}, version {state.version}{count}: {columns})"

    def _repr_html_(self) -> str:
        _, entry, _, state = self._seen()
        count = "" if state.row_count is None else f"{counted(state.row_count, 'row')}, "
        title = html.heading("record table", f"{entry.folio}:{entry.item}", f"{count}version {state.version}")
        columns = state.schema.to_plain()["columns"]
        names = list(dict.fromkeys(key for one in columns for key in one))
        return html.block(title, html.row_table(names, [[one.get(key) for key in names] for one in columns]))

    def __len__(self) -> int:
        """How many rows it has."""
        return self.count()

    def _found(self) -> tuple[Session, Entry]:
        reader, entry = self._folio._core.find(self._name, self._at)
        if entry.kind != RECORDS:
            raise InvalidInputError(
                f"item {entry.ref} is no record table, but of kind {entry.kind!r}",
                kind="wrong-kind",
                hint="get() reads items of every kind; create_table makes record tables",
                item=entry.item,
                folio=entry.folio,
            )
        return reader, entry

    def _seen(self) -> tuple[Session, Entry, RecordTable, TableState]:
        reader, entry = self._found()
        return reader, entry, table_of(reader, entry), state_of(reader, entry)

    def _writable(self) -> tuple[Session, Entry, RecordTable]:
        self._folio._core.check_writable()
        reader, entry = self._found()
        if reader.pinned is not None and not reader.moves:
            raise ReadOnlyError(
                f"{entry.ref} is the past and can't be changed", kind="read-only-version", hint="open it without at="
            )
        if is_frozen(reader, entry):
            owner = content_of(reader, entry).owner
            raise ReadOnlyError(
                f"{entry.folio}:{entry.item} is a copy of {owner} as it once was, and can't be changed",
                kind="read-only-copy",
                hint="create_table() and append() its rows",
                folio=entry.folio,
                item=entry.item,
            )
        if entry.version > reader.journal.state.version:
            raise InvalidInputError(
                f"{entry.folio}:{entry.item} is made in a batch that is open still",
                kind="in-batch",
                hint="write to it after the block: a write is a commit of its own",
                folio=entry.folio,
                item=entry.item,
            )
        return self._folio._core.session, entry, table_of(reader, entry)

    # -- what it is ------------------------------------------------------------------------------------------

    @property
    def schema(self) -> TableSchema:
        """Its columns, key and checks, and the migrations that led to them."""
        return self._seen()[3].schema

    @property
    def version(self) -> int:
        """Its own version, which every write raises by one or more; those of the lake are others."""
        return self._seen()[3].version

    @property
    def uri(self) -> str:
        """Where the Delta table lies: deltalake, Polars, DuckDB and Spark open it there."""
        session, _, found, _ = self._seen()
        return session.store.uri_of(found.prefix)

    def count(self, where: str | None = None) -> int:
        """Return how many rows there are, or how many of a condition."""
        from lakefolio.records.expressions import condition, condition_errors

        session, entry, _, state = self._seen()
        if where is None and state.row_count is not None:
            return state.row_count
        wanted = None if where is None else condition(where, state.schema.arrow).expression
        with condition_errors(where):
            return int(dataset_of(session, entry, state).count_rows(filter=wanted))

    def history(self, limit: int | None = 20) -> RecordHistory:
        """Return its versions, newest first: ``version at operation author message tool``. A request each."""
        _, _, found, state = self._seen()
        first = 0 if limit is None else max(0, state.version - limit + 1)
        past = []
        for version, actions in found.versions.log.entries(first, state.version):
            info: Mapping[str, Any] = next((one["commitInfo"] for one in actions if one.get("commitInfo")), {})
            ours = info.get("lakefolio") or {}
            past.append(
                {
                    "version": version,
                    "at": found.versions.moment(version) / 1e6,
                    "operation": info.get("operation"),
                    "author": ours.get("author"),
                    "message": ours.get("message"),
                    "tool": info.get("engineInfo"),
                }
            )
        return RecordHistory(past[::-1])

    # -- reading -----------------------------------------------------------------------------------------------

    def query(
        self,
        where: str | None = None,
        columns: Sequence[str] | str | None = None,
        order: Sequence[str] | str | None = None,
        limit: int | None = None,
        *,
        as_: str | None = None,
    ) -> Any:
        """Return rows. Filters, columns and limits are pushed down to files and row groups.

        Args:
            where: A condition: comparisons, ``AND``, ``OR``, ``NOT``, ``IN``, ``BETWEEN``, ``LIKE``, ``IS NULL``,
                arithmetic, ``length lower upper trim abs round``, fields of structs as ``place.x``.
            columns: Only these, in this order.
            order: The columns to sort by, ``-column`` for the largest first.
            limit: At most so many rows.
            as_: ``pandas`` (the default), ``polars``, ``arrow`` or ``lazy``.

        Raises:
            InvalidInputError: kind ``bad-condition`` or ``bad-option``; the hint names the nearest column.
        """
        session, entry = self._found()
        session.was_read(entry)
        options = {"where": where, "columns": columns, "order": order, "limit": limit, "as_": as_}
        return load_records(session, entry, **options)

    def to_pandas(self) -> pandas.DataFrame:
        """Return all rows as a pandas frame."""
        found: pandas.DataFrame = self.query(as_="pandas")
        return found

    def to_polars(self) -> polars.DataFrame:
        """Return all rows as a Polars frame."""
        found: polars.DataFrame = self.query(as_="polars")
        return found

    def to_arrow(self) -> pa.Table:
        """Return all rows as an Arrow table."""
        found: pa.Table = self.query(as_="arrow")
        return found

    def lazy(self) -> polars.LazyFrame:
        """Return all rows as a Polars LazyFrame, which reads the columns that a query needs.

        Without a column of floats, it reads the files and row groups that it needs alone; ``query`` always does.
        """
        from lakefolio.items.conversions import lazy_frame

        session, entry = self._found()
        session.was_read(entry)
        frame: polars.LazyFrame = lazy_frame(dataset_of(session, entry))
        return frame

    # -- writing -----------------------------------------------------------------------------------------------

    def append(self, rows: object, *, once: str | None = None, message: str | None = None) -> Written:
        """Add rows, all or none. Two requests, however large the table is.

        Args:
            rows: A pandas or Polars frame, an Arrow table or reader of batches (streamed), a dict of columns, one dict
                or an iterable of dicts. Columns that are left out are null.
            once: A name for these rows: a second append under it does nothing and says so, so it is safe to try again.
                It is remembered for at least 30 days.
            message: Why, for the history.

        Raises:
            InvalidInputError: kind ``invalid-rows`` or ``bad-schema``: rows don't fit. Nothing was stored.
        """
        session, _, found = self._writable()
        return found.append(rows, origin_of(session, message), once=once)

    def upsert(self, rows: object, *, once: str | None = None, message: str | None = None) -> Written:
        """Add rows, and replace those that have the same key, all or none; arguments as of ``append``.

        Columns that are left out become null, also where a row is replaced. Of a key that another engine doubled one
        row is left; the others count as deleted.

        Raises:
            InvalidInputError: Rows don't fit, or the table has no key. Nothing was stored.
        """
        session, _, found = self._writable()
        return found.upsert(rows, origin_of(session, message), once=once)

    def delete_where(self, where: str, *, message: str | None = None) -> Written:
        """Remove the rows of a condition (see ``query``), all or none. Idempotent."""
        session, _, found = self._writable()
        return found.delete_where(where, origin_of(session, message))

    def restore(self, at: At | None = None, *, version: int | None = None) -> Written:
        """Make rows and schema what they were, as a new version; nothing of the history is lost.

        Args:
            at: A version of the lake, a time or a snapshot; or
            version: a version of the table.
        """
        session, entry, found = self._writable()
        if (at is None) == (version is None):
            raise InvalidInputError("give either at= or version=", kind="bad-arguments")
        if version is None:
            reader, then = self._folio._core.find(self._name, at)
            version = state_of(reader, then).version
        return found.restore(version, origin_of(session, f"restore {entry.item} to version {version}"))

    def mark(self) -> int:
        """Note the newest version of the table in the lake, as snapshots do, and return the version of the lake."""
        session, entry, _ = self._writable()
        return marked(session, entry).version

    def compact(self) -> dict[str, int]:
        """Merge small files and write a checkpoint; writers do so by themselves now and then.

        Raises:
            FormatError: kind ``table-protocol``: another tool asks writers for more than this library knows.
        """
        _, _, found = self._writable()
        return found.maintain(everything=True)

    # -- migrations --------------------------------------------------------------------------------------------

    def add_column(self, name: str, type: object, *, fill: object = None, reason: str = "") -> Written:
        """Add a column. Without ``fill`` rows stay as they are, and have none.

        Args:
            name: The column.
            type: Its type, or a dict with it, as for ``create_table``.
            fill: The value that rows get that are there already; files are then written anew.
            reason: Why, for the history of migrations.
        """
        from lakefolio.records.migrations import adding

        return self._migrate(adding(name, type, fill), f"add column {name}", reason)

    def drop_column(self, name: str, *, reason: str = "") -> Written:
        """Drop a column that neither key nor checks need. Files are written anew; older versions keep it."""
        from lakefolio.records.migrations import dropping

        return self._migrate(dropping(name), f"drop column {name}", reason)

    def rename_column(self, old: str, new: str, *, reason: str = "") -> Written:
        """Give a column another name. Files are written anew."""
        from lakefolio.records.migrations import renaming

        return self._migrate(renaming(old, new), f"rename column {old} to {new}", reason)

    def widen_column(self, name: str, type: object, *, reason: str = "") -> Written:
        """Give a column a type that holds all its values. Files are written anew."""
        from lakefolio.records.migrations import widening

        return self._migrate(widening(name, type), f"widen column {name} to {type}", reason)

    def set_null(self, name: str, null: bool, *, reason: str = "") -> Written:
        """Say whether a column may miss values; refused where one does."""
        from lakefolio.records.migrations import nulling

        words = "may be missing" if null else "is never missing"
        return self._migrate(nulling(name, null=null), f"column {name} {words}", reason)

    def add_check(self, name: str, condition: str, *, reason: str = "") -> Written:
        """Add a condition that every row keeps; refused where one does not."""
        from lakefolio.records.migrations import checking

        return self._migrate(checking(name, condition), f"add check {name}: {condition}", reason)

    def drop_check(self, name: str, *, reason: str = "") -> Written:
        """Drop a check."""
        from lakefolio.records.migrations import unchecking

        return self._migrate(unchecking(name), f"drop check {name}", reason)

    def _migrate(self, step: Any, change: str, reason: str) -> Written:
        session, _, found = self._writable()
        return found.migrate(step, change, origin_of(session, change), check_text(reason, "reason") or "")

    def to_json(self) -> str:
        """Return the schema as JSON."""
        return json.dumps(self.schema.to_plain(), indent=2)
