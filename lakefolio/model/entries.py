"""Entries and snapshots, as rows of ``manifests`` record them, and the questions a state answers (pure: no I/O).

Slightly longer than most modules: an entry of one row, and lists of entries made by column, read the same fields.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol, TypedDict, cast

import pyarrow as pa

from lakefolio.errors import IntegrityError
from lakefolio.format.arrow_rows import dicts_of, values_of
from lakefolio.format.schema import INPUT_TYPE
from lakefolio.format.times import shown_time
from lakefolio.process.facade import maker, obtained
from lakefolio.render.text import counted, format_bytes
from lakefolio.terminal import visible

__all__ = [
    "ENTRY_COLUMNS",
    "SNAPSHOT_COLUMNS",
    "Entry",
    "InputEdge",
    "ItemPut",
    "Journaled",
    "RunInputEdge",
    "Snapshot",
    "StateView",
    "Stored",
    "content_from_row",
    "edges_from_row",
    "entries_from_rows",
    "entry_from_row",
    "facts_from_row",
    "snapshot_from_row",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The place and the kind of content: the content columns of a ``manifests`` row."""

    kind: str
    storage: str
    format: str | None = None
    media_type: str | None = None
    codec: str | None = None
    digest: str | None = None
    blob_digest: str | None = None
    generation: int | None = None
    size_bytes: int | None = None
    stored_bytes: int | None = None
    row_count: int | None = None
    content: bytes | None = field(default=None, repr=False)
    uri: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class InputEdge(TypedDict, total=False):
    """One input of an entry or a run, as ``INPUT_TYPE`` has it. Those of rows have all fields, planned ones some."""

    input_kind: str | None
    input_id: str | None
    input_folio: str | None
    input_item: str | None
    input_uri: str | None
    input_digest: str | None
    run_id: str | None
    role: str | None
    details: str | None


class RunInputEdge(InputEdge):
    """One input of a run, with the version that told it."""

    version: int


@obtained("folio.history(name) gives those of an item, lake.item(ref) one")
@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One version of an item: a ``put`` row of ``manifests``. The attributes are its columns.

    ``size_bytes`` is the content's logical size, ``stored_bytes`` what its object takes in the store (0 for inline
    content and references). ``content`` is None also where inline content has not been read yet. ``details`` is
    the record of the item's handler, ``inputs`` are the edges to its inputs, ``facts`` is its metadata: key ->
    JSON text.
    """

    version: int
    ordinal: int
    committed_at: datetime
    commit_id: str
    reason: str | None
    author: str | None
    message: str | None
    folio: str
    item: str
    entry_id: str
    run_id: str | None = None
    kind: str
    format: str | None = None
    media_type: str | None = None
    storage: str
    codec: str | None = None
    digest: str | None = None
    blob_digest: str | None = None
    generation: int | None = None
    size_bytes: int | None = None
    stored_bytes: int | None = None
    row_count: int | None = None
    content: bytes | None = field(default=None, repr=False, compare=False)
    uri: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    archived: bool = False
    inputs: tuple[InputEdge, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ref(self) -> str:
        """The reference that names exactly this entry: ``folio:item@version``."""
        return f"{self.folio}:{self.item}@{self.version}"

    def __repr__(self) -> str:
        size = "" if self.size_bytes is None else f", {format_bytes(self.size_bytes)}"
        rows = "" if self.row_count is None else f", {counted(self.row_count, 'row')}"
        words = f": {self.description}" if self.description else ""
        return visible(f"<Entry {self.ref}, {self.kind}{rows}{size}{words}>", keep="")

    def _repr_html_(self) -> str:
        from lakefolio.render import html

        said = {name: getattr(self, name) or None for name in ENTRY_COLUMNS[2:]}
        known = {name: value for name, value in said.items() if value is not None}
        return html.block(html.heading("item", self.ref), html.facts(known))


@obtained("lake.snapshot(name) makes one, lake.snapshots() lists them")
@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A protected name for a version, of the whole lake (``folio`` is None) or of one folio.

    Attributes:
        name: The name, unique among the snapshots of its scope.
        folio: The folio it was taken of, or None.
        target_version: The lake version it protects.
        version: The lake version that recorded it.
        committed_at: When it was taken, UTC.
    """

    name: str
    folio: str | None
    target_version: int
    version: int
    committed_at: datetime
    author: str | None = None
    message: str | None = None
    tags: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        scope = "the lake" if self.folio is None else f"folio {self.folio}"
        words = f": {self.message}" if self.message else ""
        when = f"version {self.target_version}, {shown_time(self.committed_at)}"
        return visible(f"<Snapshot {self.name} of {scope}, {when}{words}>", keep="")

    def _repr_html_(self) -> str:
        from lakefolio.render import html

        said = {name: getattr(self, name) or None for name in SNAPSHOT_COLUMNS[1:]}
        known = {name: value for name, value in said.items() if value is not None}
        return html.block(html.heading("snapshot", self.name), html.facts(known))


ENTRY_COLUMNS = ("folio", "item", "kind", "row_count", "size_bytes", "version", "committed_at", "tags", "description")
SNAPSHOT_COLUMNS = ("name", "folio", "target_version", "committed_at", "author", "tags", "message")
"""What people are shown of them."""
_ENTRY_COLUMNS = tuple(Entry.__dataclass_fields__)
_REQUIRED_BUT_NULLABLE = ("reason", "author", "message")
_NEEDED = {"version", "ordinal", "committed_at", "commit_id", "folio", "item", "entry_id", "kind", "storage"}
_INPUT_FIELDS = tuple(field.name for field in INPUT_TYPE)


def _decoded(text: Any) -> Mapping[str, object]:
    if not text:
        return {}
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"{text[:20]!r} is not a JSON object")
    return value


def edges_from_row(row: Mapping[str, Any]) -> tuple[InputEdge, ...]:
    """Return the inputs in a row, in order; each has all the fields of ``INPUT_TYPE``."""
    edges = row.get("inputs") or ()
    found = (
        dict(edge) if tuple(edge) == _INPUT_FIELDS else {name: edge.get(name) for name in _INPUT_FIELDS}
        for edge in edges
    )
    return cast("tuple[InputEdge, ...]", tuple(found))


def facts_from_row(row: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """Return the facts in a row, in order: (key, JSON text), None for a key that it removes."""
    return [(fact["key"], fact.get("value")) for fact in row.get("facts") or () if fact.get("key") is not None]


_entry = maker(Entry)


def entry_from_row(row: Mapping[str, Any]) -> Entry:
    """Make an Entry of a ``put`` row given as a dict of Python values.

    Raises:
        IntegrityError: If the row lacks what every entry has, or holds JSON that is none.
    """
    values = {name: value for name in _ENTRY_COLUMNS if (value := row.get(name)) is not None}
    for name in _REQUIRED_BUT_NULLABLE:
        values.setdefault(name, None)
    try:
        for name in ("details", "extra"):
            if name in values:
                values[name] = _decoded(values[name])
        if "tags" in values:
            values["tags"] = tuple(values["tags"])
        if "inputs" in values:
            values["inputs"] = edges_from_row(row)
        if "facts" in values:
            values["facts"] = {key: value for key, value in facts_from_row(row) if value is not None}
        return _entry(**values)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as exc:
        ref = f"{row.get('folio')}:{row.get('item')}@{row.get('version')}"
        raise IntegrityError(
            f"row of item {ref} can't be read: {str(exc).removeprefix('Entry.__init__() ')}",
            kind="bad-row",
            hint="it was written by hand or is damaged: run `lakefolio check`, add the item anew with overwrite=True",
            folio=row.get("folio"),
            item=row.get("item"),
            version=row.get("version"),
        ) from exc


_EMPTY: Final[Mapping[str, Callable[[], object]]] = {
    "tags": tuple,
    "details": dict,
    "archived": bool,
    "inputs": tuple,
    "facts": dict,
    "extra": dict,
}
"""The attributes that are not None where their columns are null."""
_READ: Final[Mapping[str, Callable[[Any], object]]] = {
    "tags": tuple,
    "details": _decoded,
    "inputs": lambda edges: edges_from_row({"inputs": edges}),
    "facts": lambda facts: {key: value for key, value in facts_from_row({"facts": facts}) if value is not None},
    "extra": _decoded,
}


def entries_from_rows(rows: pa.Table) -> list[Entry]:
    """Make Entries of ``put`` rows, attribute by attribute: in a third of the time that their rows take one by one.

    Raises:
        IntegrityError: See :func:`entry_from_row`.
    """
    found = [Entry.__new__(Entry) for _ in range(rows.num_rows)]
    try:
        for name in _ENTRY_COLUMNS:
            put = getattr(Entry, name).__set__  # a frozen class sets its own attributes in four times the time
            deque(map(put, found, _values(rows, name)), maxlen=0)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return [entry_from_row(row) for row in dicts_of(rows)]  # which says what is wrong with the first bad one
    return found


def _values(rows: pa.Table, name: str) -> Iterable[Any]:
    """Return a column as the values of an attribute of entries."""
    column = rows.column(name) if name in rows.schema.names else pa.chunked_array([pa.nulls(rows.num_rows)])
    if column.null_count and name in _NEEDED:
        raise ValueError(f"column {name!r} lacks values")
    values = values_of(column)
    empty = _EMPTY.get(name)
    if empty is None:
        return values
    read = _READ.get(name, bool)
    return [empty() if one is None else read(one) for one in values]


def content_from_row(row: Mapping[str, object]) -> Entry | None:
    """Make an Entry of a row that keeps content: a ``put``, or the ``event_blob`` row of an event; None of others.

    Raises:
        IntegrityError: See :func:`entry_from_row`.
    """
    if row["op"] == "put":
        return entry_from_row(row)
    if row["op"] == "event_blob":
        return entry_from_row({**row, "folio": "event", "item": row["entry_id"], "details": None})
    return None


def snapshot_from_row(row: Mapping[str, Any]) -> Snapshot:
    """Make a Snapshot of a ``snapshot`` row."""
    return Snapshot(
        name=row["snapshot"],
        folio=row.get("folio"),
        target_version=row["target_version"],
        version=row["version"],
        committed_at=row["committed_at"],
        author=row.get("author"),
        message=row.get("description"),
        tags=tuple(row.get("tags") or ()),
        extra=_extra(row.get("extra")),
    )


def _extra(text: object) -> Mapping[str, object]:
    """Return the further fields of a snapshot; none if they can't be read, so that the version stays readable."""
    try:
        return _decoded(text)
    except (ValueError, RecursionError):
        return {}


class ItemPut(NamedTuple):
    """What tells the versions of an item, of one row that put it; cheaper than an Entry.

    Attributes:
        extra: The JSON text of the column, or None.
    """

    version: int
    entry_id: str
    reason: str | None
    extra: str | None


class Journaled(Protocol):
    """The questions that a state and the base that it stands on both answer."""

    def entry(self, folio: str, item: str) -> Entry | None:
        """Return the live head of an item (archived ones included), or None."""
        ...

    def live(self, folio: str, item: str) -> bool:
        """Say whether an item has a live head; cheaper than asking for it."""
        ...

    def folios(self) -> list[str]:
        """Return the folios that have a live item, sorted."""
        ...

    def generation(self, blob_digest: str) -> int:
        """Return the generation under which content must be stored now (0 unless it was purged before)."""
        ...

    def snapshot(self, folio: str | None, name: str) -> Snapshot | None:
        """Return a live snapshot of exactly this scope, or None."""
        ...

    def entry_at(self, folio: str, item: str, version: int) -> Entry | None:
        """Return the entry of an item that was live at ``version``, or None."""
        ...

    def history(self, folio: str, item: str) -> list[Entry]:
        """Return every entry an item ever had, oldest first (deletions are left out)."""
        ...

    def puts(self, folio: str, item: str) -> list[ItemPut]:
        """Return the rows that :meth:`history` makes entries of."""
        ...

    def snapshots(self, folio: str | None = None) -> list[Snapshot]:
        """Return the live snapshots of a folio, or of every scope when ``folio`` is None, oldest first."""
        ...

    def metadata(self, kind: str, subject_id: str, version: int | None = None) -> dict[str, str]:
        """Return key -> JSON text of the lake, a folio or a run, as of ``version`` or the head.

        Args:
            kind: ``lake``, ``folio`` or ``run``; the metadata of an entry is its ``facts``.
            subject_id: Empty, the folio's name, or the run's id.
            version: Later changes do not count.
        """
        ...


class StateView(Journaled, Protocol):
    """The questions that a state answers, committed or with pending changes laid over it."""

    version: int

    def names(self, folio: str) -> list[str]:
        """Return the live items of a folio in the order of their first addition."""
        ...

    def users(self, folio: str, item: str) -> list[tuple[str, str]]:
        """Return the live items (folio, item) whose entries have an entry of an item as input, oldest entry first."""
        ...

    def listing(self, folio: str, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
        """Return some columns of the live entries of a folio, in the order of their items' first addition."""
        ...

    def content(self, digest: str, kind: str) -> Entry | None:
        """Return an entry of the same kind and content identity whose stored object is not purged, or None."""
        ...

    def is_purged(self, stored: Stored | Entry) -> bool:
        """Say whether the content of an entry, or of content to be put, was purged."""
        ...

    def entries(self, folio: str) -> list[Entry]:
        """Return the live entries of a folio in the order of their first addition."""
        ...

    def facts(self, kind: str, subject_id: str) -> Mapping[str, str]:
        """Return what :meth:`metadata` says of the lake or a folio at the head; looked up once until it changes."""
        ...

    def run_inputs(self, run_id: str) -> list[RunInputEdge]:
        """Return the inputs of a run, oldest first: the fields of ``INPUT_TYPE``, and the ``version`` that tells."""
        ...
