"""Checking the entries of a journal part by part, column by column: few rows become Python values.

Names, what every entry has, the digests of inline content. What is needed of all entries later is kept: the objects
they refer to, and the rows that name tables of records or, where data is to be read, content outside of the journal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.errors import IntegrityError, InvalidInputError
from lakefolio.format.digest import sha256_of_bytes
from lakefolio.format.layout import blob_key, check_digest
from lakefolio.format.names import check_folio, check_item, check_snapshot
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.format.table_formats import RECORDS as KIND
from lakefolio.maintenance.check_report import CheckReport, Problem
from lakefolio.model.entries import Entry, Stored, content_from_row

if TYPE_CHECKING:
    from lakefolio.model.state import State

__all__ = ["UNREAD", "Blob", "EntryCheck"]

UNREAD: Final = ("content", "inputs", "facts")
"""The columns that a reader of content does not need."""

_REQUIRED: Final = ("version", "ordinal", "committed_at", "commit_id", "folio", "item", "entry_id", "kind", "storage")
_OF_BLOBS: Final = ("folio", "item", "version", "blob_digest", "generation", "stored_bytes")
_PLAIN: Final = r"\A[A-Za-z0-9_-]+(?:[./ ][A-Za-z0-9_-]+)*\z"
_PLAIN_LENGTH: Final = 255
_DIGEST: Final = r"\Asha256:[0-9a-f]{64}\z"


@dataclass(frozen=True, slots=True)
class Blob:
    """An object that entries refer to, and the first of them."""

    key: str
    ref: str
    digest: str
    generation: int
    stored_bytes: int | None


class EntryCheck:
    """Checks entries and adds what is wrong with them to a report.

    Attributes:
        count: How many entries can be read.
    """

    def __init__(self, state: State, report: CheckReport, *, with_data: bool) -> None:
        """Begin.

        Args:
            state: What was purged.
            report: Where problems go.
            with_data: Whether :meth:`sources` is going to be asked.
        """
        self._state = state
        self._report = report
        self._with_data = with_data
        self._bad_names: set[tuple[str, str]] = set()
        self._blobs: list[pa.Table] = []
        self._records: list[pa.Table] = []
        self._sources: list[pa.Table] = []
        self.count = 0

    def add(self, rows: pa.Table, *, inline: bool) -> None:
        """Check rows of the journal.

        Args:
            rows: Some rows, in order.
            inline: Whether they are as the data files hold them, inline content included.
        """
        self._check_names(rows)
        rows = self._readable(rows.filter(pc.is_in(rows.column("op"), value_set=pa.array(["put", "event_blob"]))))
        self.count += rows.num_rows
        storage = rows.column("storage")
        if inline:
            self._check_inline(rows.filter(pc.equal(storage, "inline")))
        rows = rows.drop(["content"])
        self._blobs.append(rows.filter(pc.equal(storage, "blob")).select(_OF_BLOBS).combine_chunks())
        kind = rows.column("kind")
        self._records.append(rows.filter(pc.equal(kind, KIND)).combine_chunks())
        if self._with_data:
            outside = pc.or_(pc.not_equal(storage, "inline"), pc.equal(kind, "table"))
            self._sources.append(
                rows.drop([name for name in UNREAD if name in rows.schema.names]).filter(outside).combine_chunks()
            )

    def records(self) -> list[Entry]:
        """Return the entries that name tables of records."""
        return _entries(self._records)

    def sources(self) -> pa.Table:
        """Return the rows of entries with content outside of the journal, and of tables, without :data:`UNREAD`."""
        empty = MANIFESTS_SCHEMA.empty_table().drop(UNREAD)
        return pa.concat_tables(
            [empty, *(rows.select(empty.schema.names).cast(empty.schema) for rows in self._sources)]
        )

    def blobs(self) -> Iterator[Blob]:
        """Yield each object that entries refer to; report digests that are none."""
        if not self._blobs:
            return
        rows = pa.concat_tables(self._blobs)
        formed = pc.fill_null(pc.match_substring_regex(rows.column("blob_digest"), _DIGEST), False)
        for row in rows.filter(pc.invert(formed)).to_pylist():
            try:
                check_digest(row["blob_digest"] or "")
            except IntegrityError as exc:
                self._report.problems.append(Problem("bad-digest", _ref(row), f"{_ref(row)}: {exc.message}"))
        rows = rows.filter(formed)
        generations = pc.cast(pc.fill_null(rows.column("generation"), 0), pa.string())
        names = pc.binary_join_element_wise(rows.column("blob_digest"), generations, ".")
        codes = names.combine_chunks().dictionary_encode()
        codes = pa.concat_arrays(codes.chunks) if isinstance(codes, pa.ChunkedArray) else codes
        first = np.unique(codes.indices.to_numpy(zero_copy_only=False), return_index=True)[1]
        for row in rows.take(pa.array(first, pa.int64())).to_pylist():
            digest, generation = row["blob_digest"], row["generation"] or 0
            yield Blob(blob_key(digest, generation), _ref(row), digest, generation, row["stored_bytes"])

    def _check_names(self, rows: pa.Table) -> None:
        """Report invalid names (FORMAT.md, "Names"): a name of another writer may lead out of a folder."""
        rows = rows.filter(pc.is_in(rows.column("op"), value_set=pa.array(["put", "snapshot"])))
        checks: tuple[tuple[str, Callable[[object], str]], ...] = (
            ("folio", check_folio),
            ("item", check_item),
            ("snapshot", check_snapshot),
        )
        for column, check_name in checks:
            names = rows.column(column).unique().drop_null()
            if column != "snapshot":
                plain = pc.and_(
                    pc.match_substring_regex(names, _PLAIN), pc.less_equal(pc.binary_length(names), _PLAIN_LENGTH)
                )
                names = names.filter(pc.invert(plain))
            for name in names.to_pylist():
                try:
                    check_name(name)
                except InvalidInputError as exc:
                    if (column, name) not in self._bad_names:
                        self._bad_names.add((column, name))
                        self._report.problems.append(Problem("bad-name", name, exc.message))

    def _readable(self, rows: pa.Table) -> pa.Table:
        """Return the rows that entries can be made of, named as those; report the others."""
        is_event = pc.equal(rows.column("op"), "event_blob")
        ids = rows.column("entry_id")
        columns = {
            "folio": pc.if_else(is_event, "event", rows.column("folio")),
            "item": pc.if_else(is_event, ids, rows.column("item")),
            "details": pc.if_else(is_event, None, rows.column("details")),
        }
        named = rows
        for name, column in columns.items():
            named = named.set_column(named.schema.get_field_index(name), name, column)
        doubtful = np.zeros(rows.num_rows, np.bool_)
        for name in _REQUIRED:
            doubtful |= _mask(pc.is_null(named.column(name)))
        for name in ("details", "extra"):
            texts = named.column(name)
            bad = [text for text in texts.unique().drop_null().to_pylist() if not _is_object(text)]
            if bad:
                doubtful |= _mask(pc.is_in(texts, value_set=pa.array(bad, texts.type)))
        for name in ("inputs", "facts"):
            if any(chunk.flatten().null_count for chunk in named.column(name).chunks):
                doubtful[:] = True
        for number in np.flatnonzero(doubtful):
            row = rows.slice(int(number), 1).to_pylist()[0]
            try:
                content_from_row(row)
            except IntegrityError as exc:
                self._report.problems.append(Problem(exc.kind, _ref(row), exc.message))
            else:
                doubtful[number] = False
        return named.filter(pa.array(~doubtful)) if doubtful.any() else named

    def _check_inline(self, rows: pa.Table) -> None:
        """Compare inline content with its digests; purged content may be there or not."""
        expected = pc.if_else(
            pc.greater(pc.fill_null(pc.binary_length(rows.column("blob_digest")), 0), 0),
            rows.column("blob_digest"),
            rows.column("digest"),
        )
        content = rows.column("content")
        found = [None if one is None else sha256_of_bytes(one) for one in content.to_pylist()]
        same = pc.fill_null(pc.equal(pa.chunked_array([pa.array(found, pa.string())]), expected), False)
        said = ("folio", "item", "version", "kind", "storage", "blob_digest", "generation")
        wrong = rows.append_column("is_there", pc.is_valid(content)).filter(pc.invert(same))
        for row in wrong.select([*said, "is_there"]).to_pylist():
            ref = _ref(row)
            if row["is_there"]:
                message = f"inline content of {ref} does not match its digest"
                self._report.problems.append(Problem("inline-damaged", ref, message))
            elif not self._state.is_purged(Stored(**{name: row[name] for name in said[3:]})):
                message = f"inline content of {ref} is missing"
                self._report.problems.append(Problem("inline-missing", ref, message))


def _entries(tables: list[pa.Table]) -> list[Entry]:
    rows = (row for table in tables for row in table.to_pylist())
    return [entry for row in rows if (entry := content_from_row(row)) is not None]


def _ref(row: dict[str, Any]) -> str:
    return f"{row['folio']}:{row['item']}@{row['version']}"


def _is_object(text: str) -> bool:
    """Say whether a text is empty or that of a JSON object."""
    try:
        return not text or isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _mask(column: object) -> Any:
    return column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()  # type: ignore[attr-defined]
