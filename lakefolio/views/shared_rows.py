"""Which rows two Parquet files share, by the bytes of their column chunks: they need not be decoded to be compared.

Equal values in equal order are written as equal bytes, so a row group of the old file and the one of the new file that
begins at the same row and has as many are compared chunk by chunk, as bytes. Rows whose chunks are all equal are
*shared*. Rows whose key is equal, chunk by chunk, match by their position: only columns whose chunks differ need to be
looked at. The footer says where chunks lie; both files are verified content.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lakefolio.format.parquet_columns import leaves

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["NOTHING_SHARED", "Range", "SharedRows", "shared_rows"]

Range = tuple[int, int]
"""The number of a row, and the one behind the last."""

_PIECE: Final = 4 << 20
_MOST_RANGES: Final = 32


@dataclass(frozen=True, slots=True)
class SharedRows:
    """What two files share.

    Attributes:
        same: Rows of both files that are equal in all columns that both have, by their numbers.
        beside: Rows that match by their position and may differ, in ``columns``.
        columns: The columns that differ somewhere in ``beside``.
    """

    same: tuple[Range, ...] = ()
    beside: tuple[Range, ...] = ()
    columns: frozenset[str] = frozenset()

    @property
    def row_count(self) -> int:
        """How many rows are the same."""
        return sum(stop - start for start, stop in self.same)

    def left(self, count: int) -> list[Range]:
        """Return the rows, of so many, that are neither the same nor beside."""
        found, at = [], 0
        for start, stop in (*sorted((*self.same, *self.beside)), (count, count)):
            if start > at:
                found.append((at, start))
            at = stop
        return found


NOTHING_SHARED: Final = SharedRows()


def shared_rows(old: Path, new: Path, key: Sequence[str], old_names: Mapping[str, str]) -> SharedRows:
    """Return what two files share.

    Args:
        old: The one file.
        new: The other.
        key: The columns by which rows match, by their new names; none for their position.
        old_names: The columns of both files: new name -> old name.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(old) as one, pq.ParquetFile(new) as other:
        columns = _columns(one, other, old_names)
        if not old_names or not set(key) <= columns.keys():
            return NOTHING_SHARED
        groups = {start: (number, one.metadata.row_group(number).num_rows) for number, start in enumerate(_starts(one))}
        same: list[Range] = []
        beside: list[Range] = []
        differing: set[str] = set()
        with _mapped(old) as first, _mapped(new) as second:
            for number, start in enumerate(_starts(other)):
                rows = other.metadata.row_group(number).num_rows
                if groups.get(start, (0, -1))[1] != rows or not rows:
                    continue

                def equal(name: str, at: int = groups[start][0], number: int = number) -> bool:
                    pairs = zip(*columns[name], strict=True)
                    return all(
                        _equal((one, at, a, first), (other, number, b, second)) for a, b in pairs
                    )  # fmt: skip

                if not all(map(equal, key)):
                    continue
                others = {name for name in old_names if name not in key and not (name in columns and equal(name))}
                (beside if others else same).append((start, start + rows))
                differing |= others
    return SharedRows(_longest(same), _longest(beside), frozenset(differing))


def _columns(
    old: pq.ParquetFile, new: pq.ParquetFile, old_names: Mapping[str, str]
) -> dict[str, tuple[list[int], list[int]]]:
    """Return the chunks of a row group that hold each column, of both files; only of columns of one type."""
    places = []
    for file in (old, new):
        at, found = 0, {}
        for field in file.schema_arrow:
            count = len(list(leaves(field.type, field.name)))
            found[field.name] = (field.type, list(range(at, at + count)))
            at += count
        if at != file.metadata.num_columns:
            return {}
        places.append(found)
    return {
        name: (places[0][before][1], places[1][name][1])
        for name, before in old_names.items()
        if before in places[0] and name in places[1] and places[0][before][0] == places[1][name][0]
    }


def _starts(file: pq.ParquetFile) -> Iterator[int]:
    at = 0
    for number in range(file.metadata.num_row_groups):
        yield at
        at += file.metadata.row_group(number).num_rows


def _equal(old: tuple[pq.ParquetFile, int, int, mmap.mmap], new: tuple[pq.ParquetFile, int, int, mmap.mmap]) -> bool:
    chunks = [file.metadata.row_group(group).column(place) for file, group, place, _ in (old, new)]
    facts = {
        (one.physical_type, one.compression, one.num_values, one.total_compressed_size, str(one.encodings))
        for one in chunks
    }
    if len(facts) != 1:
        return False
    starts = [
        one.data_page_offset if not one.has_dictionary_page else min(one.dictionary_page_offset, one.data_page_offset)
        for one in chunks
    ]
    size = chunks[0].total_compressed_size
    if any(start <= 0 or start + size > len(content) for start, content in zip(starts, (old[3], new[3]), strict=True)):
        return False
    pieces = range(0, size, _PIECE)
    return all(
        old[3][starts[0] + at : starts[0] + min(at + _PIECE, size)]
        == new[3][starts[1] + at : starts[1] + min(at + _PIECE, size)]
        for at in pieces
    )


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _longest(ranges: list[Range]) -> tuple[Range, ...]:
    """Return ranges in their order, those that touch as one; of many the longest, for the rest is compared anyway."""
    return tuple(sorted(sorted(_joined(ranges), key=lambda one: one[0] - one[1])[:_MOST_RANGES]))


def _joined(ranges: list[Range]) -> Iterator[Range]:
    """Join ranges that touch."""
    waiting: Range | None = None
    for start, stop in ranges:
        if waiting is not None and waiting[1] == start:
            waiting = (waiting[0], stop)
            continue
        if waiting is not None:
            yield waiting
        waiting = (start, stop)
    if waiting is not None:
        yield waiting
