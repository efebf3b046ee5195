"""Inline content, which lies in the data files of the journal alone (FORMAT.md, "Inline content").

Log entries leave it out of their copies of rows, so that a merge that drops it from the data files erases it for good.
A handle that learned of a row from its log entry therefore reads the data file when the content is asked for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lakefolio.content.byte_files import RangeFile, piece_file
from lakefolio.delta.parquet_rows import fitted
from lakefolio.errors import IntegrityError, NotFoundError, brief
from lakefolio.format.arrow_rows import no_rows
from lakefolio.format.digest import sha256_of_bytes
from lakefolio.format.layout import table_prefix
from lakefolio.format.schema import MANIFESTS_SCHEMA

if TYPE_CHECKING:
    from lakefolio.delta.actions import DataFile
    from lakefolio.delta.table import DeltaTable
    from lakefolio.model.entries import Entry

__all__ = ["InlineContents", "without_purged"]

_MOST_BYTES: Final = 8 << 20
_WHOLE_BYTES: Final = 256 << 10
"""A data file up to this size is read as a whole: one request. Of a larger one its footer and a row group."""
_SPAN_BYTES: Final = 4 << 20
"""Largest range that is read in one request for the place and content columns of a row group, gaps included."""
_LOOKS: Final = 20
_SCHEMA: Final = pa.schema([MANIFESTS_SCHEMA.field(name) for name in ("version", "ordinal", "content")])


_FOOTERS: Final = 3
_BEFORE: Final = 128
_BESIDE: Final = 1_024
"""Number of contents of a row group that are cached around the one that was asked for."""
_PLACE_BYTES: Final = 300
"""Memory of one cached content beyond its bytes: the Python objects for it and its place."""


class InlineContents:
    """Inline content read lately. Not thread-safe: its owner holds a lock."""

    def __init__(self, table: DeltaTable) -> None:
        self._table = table
        self._read: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._bytes = 0
        self._footers: dict[str, Any] = {}  # the footer of the file that was read last

    def of(self, entry: Entry, refresh: Callable[[], object]) -> bytes:
        """Return the content of an entry, from its data file if it was not read lately.

        Args:
            entry: Whose content; it is inline.
            refresh: Reads the new log entries, for a data file that was replaced and deleted meanwhile.

        Raises:
            IntegrityError: kind ``inline-missing``, if no data file holds it, ``inline-damaged``, if it has another
                digest; if a data file is missing or damaged.
        """
        place = (entry.version, entry.ordinal)
        if place not in self._read:
            self._fetch(place, refresh)
        if place not in self._read:
            raise _lost(entry, "inline-missing", "is missing: no data file holds it")
        self._read.move_to_end(place)
        content = self._read[place]
        if sha256_of_bytes(content) != (entry.blob_digest or entry.digest):
            del self._read[place]
            self._bytes -= len(content) + _PLACE_BYTES
            raise _lost(entry, "inline-damaged", "is damaged")
        return content

    def into(self, rows: pa.Table, refresh: Callable[[], object]) -> pa.Table:
        """Return rows of ``manifests`` with the inline content that a data file has and the rows lack."""
        import pyarrow.compute as pc

        lacking = pc.and_(pc.equal(rows.column("storage"), "inline"), pc.is_null(rows.column("content")))
        lacking = pc.and_(lacking, pc.equal(rows.column("op"), "put"))
        found = rows.filter(lacking)
        if not found.num_rows:
            return rows
        files: dict[str, DataFile] = {}
        for version in found.column("version").unique().to_pylist():
            files |= {file.path: file for file in self._table.files.with_version(version)[:1]}
        read = self._rows(list(files.values()), refresh)
        known = dict(zip(_places(read), read.column("content").to_pylist(), strict=True))
        contents = rows.column("content").to_pylist()
        places = _places(rows)
        for number in pc.indices_nonzero(lacking).to_pylist():
            contents[number] = known.get(places[number])
        at = rows.schema.get_field_index("content")
        return rows.set_column(at, rows.schema.field(at), [pa.array(contents, pa.binary())])

    def _fetch(self, wanted: tuple[int, int], refresh: Callable[[], object]) -> None:
        try:
            self._look(wanted, self._table.files.with_version(wanted[0]))
        except IntegrityError:  # a replaced file may be gone: its replacement has the same rows
            self._look_again(wanted, refresh)
        if wanted in self._read:
            self._read.move_to_end(wanted)  # its file may hold more than is kept
        while self._bytes > _MOST_BYTES and len(self._read) > 1:
            _, content = self._read.popitem(last=False)
            self._bytes -= len(content) + _PLACE_BYTES

    def _look_again(self, wanted: tuple[int, int], refresh: Callable[[], object]) -> None:
        for look in range(_LOOKS):
            refresh()
            try:
                self._look(wanted, self._active(wanted[0]))
                return
            except IntegrityError as exc:
                if look == _LOOKS - 1 or not self._table.outdated(exc):
                    raise

    def _active(self, version: int) -> list[DataFile]:
        """Return the data files of the newest version read that may hold rows of a version."""
        active = {file.path for file in self._table.files.listed}
        return [file for file in self._table.files.with_version(version) if file.path in active]

    def _look(self, wanted: tuple[int, int], files: list[DataFile]) -> None:
        for file in files:
            large = file.size_bytes > _WHOLE_BYTES
            rows = self._part(file, wanted) if large else self._table.objects.read([file], _SCHEMA, whole=True)
            places = _places(rows)
            for place, content in zip(places, rows.column("content").to_pylist(), strict=True):
                if content is not None and place not in self._read:
                    self._read[place] = content
                    self._bytes += len(content) + _PLACE_BYTES
            if wanted in places:
                return

    def _part(self, file: DataFile, wanted: tuple[int, int]) -> pa.Table:
        """Return the row at a place and rows near it, from the row groups that may hold it; no row if none does.

        Only contents are verified, each by its digest. Two requests, one if the footer has been read.
        """
        import pyarrow.parquet as pq

        key = f"{table_prefix(self._table.name)}/{file.path}"
        try:
            fetch = partial(self._table.store.get_range, key)
            if file.path not in self._footers:
                kept = list(self._footers.items())[-_FOOTERS:]
                self._footers = {**dict(kept), file.path: pq.read_metadata(RangeFile(file.size_bytes, fetch))}
            footer, rows, version = self._footers[file.path], [no_rows(_SCHEMA)], wanted[0]
            for number in range(footer.num_row_groups):
                bounds = footer.row_group(number).column(0).statistics
                if bounds is None or bounds.min <= version <= bounds.max:
                    start, length = _span(footer.row_group(number))
                    near = 0 < length <= _SPAN_BYTES
                    part = piece_file(start, fetch(start, length)) if near else None
                    with pq.ParquetFile(part or RangeFile(file.size_bytes, fetch), metadata=footer) as opened:
                        read = opened.read_row_group(number, columns=_SCHEMA.names, use_threads=False)
                    rows.append(_around(fitted(read, _SCHEMA), wanted))
            return pa.concat_tables(rows)
        except NotFoundError:
            raise self._table.objects.damaged(key, "is missing") from None
        except (pa.ArrowException, KeyError, ValueError, TypeError, OSError) as exc:
            self._footers = {}
            raise self._table.objects.damaged(key, f"is truncated or damaged: {brief(exc)}") from exc

    def _rows(self, files: list[DataFile], refresh: Callable[[], object]) -> pa.Table:
        versions = {version for file in files if file.versions for version in file.versions}
        for look in range(_LOOKS):
            try:
                return self._table.objects.read(files, _SCHEMA, whole=True)
            except IntegrityError as exc:
                if look == _LOOKS - 1 or not self._table.outdated(exc):
                    raise
            refresh()  # some were replaced, and are gone: the replacements have the same rows
            files = list({file.path: file for version in versions for file in self._active(version)}.values())
        raise AssertionError("the last look returns or raises")


def _lost(entry: Entry, kind: str, problem: str) -> IntegrityError:
    return IntegrityError(
        f"inline content of item {entry.ref} ({entry.blob_digest or entry.digest}) {problem}",
        kind=kind,
        hint="bring it back from a copy: lakefolio repair --from URI; or add the item again from its source",
        folio=entry.folio,
        item=entry.item,
        version=entry.version,
        digest=entry.digest,
    )


def _span(group: Any) -> tuple[int, int]:
    """Return the first byte of the wanted columns of a row group, and the length up to their last."""
    columns = [group.column(at) for at in range(group.num_columns)]
    wanted = [one for one in columns if one.path_in_schema in _SCHEMA.names]
    starts = [min(one.data_page_offset, one.dictionary_page_offset or one.data_page_offset) for one in wanted]
    ends = [start + one.total_compressed_size for start, one in zip(starts, wanted, strict=True)]
    return min(starts), max(ends) - min(starts)


def _around(rows: pa.Table, place: tuple[int, int]) -> pa.Table:
    """Return the row at a place with the rows around it; no row if the place is not in the table."""
    import pyarrow.compute as pc

    there = pc.and_(pc.equal(rows.column("version"), place[0]), pc.equal(rows.column("ordinal"), place[1]))
    at = pc.index(there, value=True).as_py()
    return rows.slice(0, 0) if at < 0 else rows.slice(max(0, at - _BEFORE), _BESIDE)


def _places(rows: pa.Table) -> list[tuple[int, int]]:
    return list(zip(rows.column("version").to_pylist(), rows.column("ordinal").to_pylist(), strict=True))


def without_purged(rows: pa.Table, generation: Callable[[str], int]) -> pa.Table:
    """Return rows of ``manifests`` without the inline content that was purged.

    Args:
        rows: The rows; the same object is returned if none of them loses anything.
        generation: Gives the lowest generation of a digest that was not purged.
    """
    import pyarrow.compute as pc

    held = pc.and_(pc.equal(rows.column("storage"), "inline"), pc.is_valid(rows.column("content")))
    some = rows.select(["blob_digest", "generation"]).filter(held).to_pylist()
    purged = [
        row["blob_digest"] is not None and (row["generation"] or 0) < generation(row["blob_digest"]) for row in some
    ]
    if not any(purged):
        return rows
    mask = held.combine_chunks()
    erased = pc.replace_with_mask(pa.array([False] * rows.num_rows), mask, pa.array(purged))
    contents = pc.if_else(erased, pa.scalar(None, pa.binary()), rows.column("content"))
    return rows.set_column(rows.schema.get_field_index("content"), rows.schema.field("content"), contents)
