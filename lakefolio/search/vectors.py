"""Vectors of documents, and those that are nearest to another (pure).

Numbers are kept as bytes (a quarter of the memory). Of many documents the signs alone are compared first, and the
numbers of those that differ least.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = ["Vectors"]

_ALL: Final = 4_000
_CANDIDATES: Final = 2_000


class Vectors:
    """Rows of length 1, or of zeros. Immutable."""

    def __init__(self, parts: Iterable[Floats], count: int, size: int) -> None:
        """Take rows part by part (shape of each: documents, size)."""
        self._scales = np.zeros(count, np.float32)
        self._rows = np.zeros((count, size), np.int8)
        # one array for each 64 of the signs: they are gone through one after the other
        self._signs = [np.zeros(count, np.uint64) for _ in range(-(-size // 64))]
        start = 0
        for rows in parts:
            some = slice(start, start + len(rows))
            scales = np.abs(rows).max(axis=1, initial=1e-9).astype(np.float32) / 127
            self._scales[some] = scales
            self._rows[some] = np.rint(rows / scales[:, None])
            bits = np.packbits(rows > 0, axis=1)
            signs = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8))).view(np.uint64)
            for column, one in enumerate(self._signs):
                one[some] = signs[:, column]
            start += len(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, number: int) -> Floats:
        """Return the vector of one document."""
        found: Floats = self._rows[number] * self._scales[number]
        return found

    def nearest(
        self, vector: Floats, among: npt.NDArray[np.bool_], limit: int, least: float
    ) -> list[tuple[float, int]]:
        """Return similarity and number of the documents that are nearest to a vector, nearest first.

        Args:
            vector: Of length 1.
            among: Which documents may be returned.
            limit: How many at most.
            least: The similarity, -1 to 1, that they have at least.
        """
        few = len(self._rows) <= _ALL or not hasattr(np, "bitwise_count")
        numbers = np.flatnonzero(among) if few else self._candidates(vector, among)
        # not by BLAS: its threads wait for one another longer than these few numbers take
        alike = np.einsum("ij,j->i", self._rows[numbers].astype(np.float32), vector) * self._scales[numbers]
        kept = np.flatnonzero(alike >= least)
        best = kept[np.argsort(-alike[kept], kind="stable")[:limit]]
        return [(float(alike[one]), int(numbers[one])) for one in best]

    def _candidates(self, vector: Floats, among: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Return the documents whose signs differ least; of those that differ as much the first."""
        bits = np.packbits(vector > 0)
        wanted = np.pad(bits, (0, -len(bits) % 8)).view(np.uint64)
        small = 64 * len(wanted) < 255
        left_out = 255 if small else 65_535
        far: npt.NDArray[np.uint8 | np.uint16] = np.zeros(len(self._rows), np.uint8 if small else np.uint16)
        for signs, one in zip(self._signs, wanted, strict=True):
            far += np.bitwise_count(signs ^ one)
        if not among.all():
            far[~among] = left_out
        low, high = 0, 64 * len(wanted)
        while low < high:  # counting what is below a bound takes a tenth of a partition
            middle = (low + high) // 2
            low, high = (low, middle) if np.count_nonzero(far <= middle) >= _CANDIDATES else (middle + 1, high)
        nearer = np.flatnonzero(far < low) if low else np.zeros(0, np.int64)
        as_far = np.flatnonzero((far == low) & among)
        found: npt.NDArray[np.int64] = np.concatenate([nearer, as_far[: max(_CANDIDATES - len(nearer), 0)]])
        return found
