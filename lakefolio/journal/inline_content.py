"""Inline content, which lies in the data files of the journal alone (FORMAT.md, "Inline content").

Log entries leave it out of their copies of rows, so that a merge which leaves it out too takes it away for ever. Who
learned of a row by its log entry therefore reads the data file when the content is asked for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.errors import IntegrityError
from lakefolio.format.schema import MANIFESTS_SCHEMA

if TYPE_CHECKING:
    from lakefolio.delta.table import DataFile, DeltaTable
    from lakefolio.model.entries import Entry

__all__ = ["InlineContents", "without_purged"]

_MOST_BYTES: Final = 16 << 20
_SCHEMA: Final = pa.schema([MANIFESTS_SCHEMA.field(name) for name in ("version", "ordinal", "content")])


class InlineContents:
    """Inline content read lately. Not thread-safe: its owner holds a lock."""

    def __init__(self, table: DeltaTable) -> None:
        self._table = table
        self._read: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._bytes = 0

    def of(self, entry: Entry, refresh: Callable[[], Any]) -> bytes:
        """Return the content of an entry, from its data file if it was not read lately.

        Args:
            entry: Whose content; it is inline.
            refresh: Reads what is new in the log, for a data file that was replaced and deleted meanwhile.

        Raises:
            IntegrityError: kind ``inline-missing``, if no data file holds it; if one is missing or damaged.
        """
        place = (entry.version, entry.ordinal)
        if place not in self._read:
            self._fetch(entry.version, place, refresh)
        if place not in self._read:
            raise IntegrityError(
                f"inline content of item {entry.ref} is missing: no data file holds it",
                kind="inline-missing",
                hint="bring it back from a copy: lakefolio repair --from URI; or add the item again from its source",
                folio=entry.folio,
                item=entry.item,
                version=entry.version,
                digest=entry.digest,
            )
        self._read.move_to_end(place)
        return self._read[place]

    def into(self, rows: pa.Table, refresh: Callable[[], Any]) -> pa.Table:
        """Return rows of ``manifests`` with the inline content that they lack and a data file has."""
        lacking = pc.and_(pc.equal(rows.column("storage"), "inline"), pc.is_null(rows.column("content")))
        lacking = pc.and_(lacking, pc.equal(rows.column("op"), "put"))
        found = rows.filter(lacking)
        if not found.num_rows:
            return rows
        files: dict[str, DataFile] = {}
        for version in found.column("version").unique().to_pylist():
            files |= {file.path: file for file in self._table.with_version(version)[:1]}
        read = self._rows(list(files.values()), refresh)
        known = dict(zip(_places(read), read.column("content").to_pylist(), strict=True))
        contents = rows.column("content").to_pylist()
        places = _places(rows)
        for number in pc.indices_nonzero(lacking).to_pylist():
            contents[number] = known.get(places[number])
        at = rows.schema.get_field_index("content")
        return rows.set_column(at, rows.schema.field(at), [pa.array(contents, pa.binary())])

    def _fetch(self, version: int, wanted: tuple[int, int], refresh: Callable[[], Any]) -> None:
        for file in self._table.with_version(version):
            rows = self._rows([file], refresh)
            for place, content in zip(_places(rows), rows.column("content").to_pylist(), strict=True):
                if content is not None and place not in self._read:
                    self._read[place] = content
                    self._bytes += len(content)
            if any(at == version for at in rows.column("version").to_pylist()):
                break
        if wanted in self._read:
            self._read.move_to_end(wanted)  # its file may hold more than is kept
        while self._bytes > _MOST_BYTES and len(self._read) > 1:
            _, content = self._read.popitem(last=False)
            self._bytes -= len(content)

    def _rows(self, files: list[DataFile], refresh: Callable[[], Any]) -> pa.Table:
        try:
            return self._table.read(files, _SCHEMA, whole=True)
        except IntegrityError as exc:
            if not self._table.outdated(exc):
                raise
            refresh()
            active = {file.path for file in self._table.known_files}
        # some were replaced, and are gone: what replaced them has the same rows
        versions = {version for file in files if file.versions for version in file.versions}
        current = {
            file.path: file for version in versions for file in self._table.with_version(version) if file.path in active
        }
        return self._rows(list(current.values()), refresh)


def _places(rows: pa.Table) -> list[tuple[int, int]]:
    return list(zip(rows.column("version").to_pylist(), rows.column("ordinal").to_pylist(), strict=True))


def without_purged(rows: pa.Table, generation: Callable[[str], int]) -> pa.Table:
    """Return rows of ``manifests`` without the inline content that was purged.

    Args:
        rows: The rows; the same object is returned if none of them loses anything.
        generation: Gives the lowest generation of a digest that was not purged.
    """
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
