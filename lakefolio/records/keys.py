"""Which keys a record table has: an index in memory, of 64-bit hashes, for the files of one state.

It is made of the files' key columns when it is first asked, and carried on by what changed. A hash only says where to
look: rows that have one in common are compared. Not thread-safe: its owner holds a lock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lakefolio.readmodels import bloom
from lakefolio.records.state import RecordFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["KeyIndex", "all_different", "hashes"]


def hashes(keys: pa.Table) -> NDArray[np.uint64]:
    """Return a number for each row of key columns; equal rows have equal ones."""
    found = np.zeros(keys.num_rows, np.uint64)
    for column in keys.columns if keys.num_rows else ():
        found = bloom.mixed_array(found * np.uint64(0x9E3779B97F4A7C15) + _hashed(column))
    return found


def _hashed(column: pa.ChunkedArray) -> NDArray[np.uint64]:
    kind = column.type
    if pa.types.is_integer(kind):
        return column.cast(pa.int64()).to_numpy().view(np.uint64)  # type: ignore[no-any-return]  # an array
    if not (pa.types.is_string(kind) or pa.types.is_binary(kind)):
        column = column.cast(pa.string())
    return np.asarray(bloom.hashes([column.cast(pa.binary())]), dtype=np.uint64)


def all_different(found: Sequence[NDArray[np.uint64]]) -> bool:
    """Say whether no two rows have the same hash."""
    whole = np.sort(found[0] if len(found) == 1 else np.concatenate(found))  # a tenth of what np.unique takes
    return bool((whole[1:] != whole[:-1]).all())


class KeyIndex:
    """The hashes of all keys, in sorted arrays that grow by merging, and by file."""

    def __init__(self) -> None:
        """Know no file yet."""
        self._by_file: dict[str, NDArray[np.uint64]] = {}
        self._sorted: list[NDArray[np.uint64]] = []
        self._columns: tuple[str, ...] = ()

    def follow(
        self, files: Mapping[str, RecordFile], key: Sequence[str], read: Callable[[RecordFile], pa.Table]
    ) -> None:
        """Make the index that of some files; ``read`` gives a file's key columns."""
        if tuple(key) != self._columns:
            self._by_file, self._sorted, self._columns = {}, [], tuple(key)
        gone = self._by_file.keys() - files.keys()
        new = [file for path, file in files.items() if path not in self._by_file]
        for file in new:
            self.learn(file.path, hashes(read(file)))
        for path in gone:
            del self._by_file[path]
        if gone:
            self._sorted = [np.sort(np.concatenate(list(self._by_file.values())))] if self._by_file else []

    def learn(self, path: str, found: NDArray[np.uint64]) -> None:
        """Take the hashes of a file that was just added."""
        found = np.sort(found)
        self._by_file[path] = found
        self._sorted.append(found)
        while len(self._sorted) > 1 and 2 * len(self._sorted[-1]) >= len(self._sorted[-2]):
            last = self._sorted.pop()
            self._sorted[-1] = np.sort(np.concatenate([self._sorted[-1], last]), kind="stable")

    def moved(self, before: Sequence[str], after: str) -> None:
        """Note that one file has the rows of others, which are gone."""
        if any(path not in self._by_file for path in before):
            return  # not made yet, or not of these: ``follow`` will see
        self._by_file[after] = np.sort(np.concatenate([self._by_file.pop(path) for path in before]))

    def may_have(self, wanted: NDArray[np.uint64]) -> bool:
        """Say whether a key with one of these hashes may be there."""
        return any(_common(one, wanted).any() for one in self._sorted)

    def files_with(self, wanted: NDArray[np.uint64]) -> list[str]:
        """Return the files that may have a key with one of these hashes."""
        return [path for path, one in self._by_file.items() if _common(one, wanted).any()]


def _common(there: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> Any:
    """Return which of the wanted hashes are in a sorted array."""
    if not len(there) or not len(wanted):
        return np.zeros(len(wanted), bool)
    at = np.searchsorted(there, wanted)
    return there[np.minimum(at, len(there) - 1)] == wanted
