"""Vectors of documents, and those that are nearest to another (pure).

Numbers are kept as bytes (a quarter of the memory). Of many documents the signs alone are compared first, and the
numbers of those that differ least.
"""

from __future__ import annotations

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

    def __init__(self, rows: Floats) -> None:
        """Take rows (shape: documents, size)."""
        self._scales = np.abs(rows).max(axis=1, initial=1e-9).astype(np.float32) / 127
        self._rows = np.rint(rows / self._scales[:, None]).astype(np.int8)
        bits = np.packbits(rows > 0, axis=1)
        self._signs = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8))).view(np.uint64)

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
        numbers = np.flatnonzero(among)
        if len(numbers) > _ALL and hasattr(np, "bitwise_count"):
            bits = np.packbits(vector > 0)
            signs = np.pad(bits, (0, -len(bits) % 8)).view(np.uint64)
            chosen = self._signs if len(numbers) == len(self._rows) else self._signs[numbers]
            far = np.zeros(len(chosen), np.uint16)
            for column in range(chosen.shape[1]):
                far += np.bitwise_count(chosen[:, column] ^ signs[column])
            least_far = np.partition(far, _CANDIDATES)[_CANDIDATES]
            nearer, as_far = np.flatnonzero(far < least_far), np.flatnonzero(far == least_far)
            numbers = numbers[np.concatenate([nearer, as_far[: _CANDIDATES - len(nearer)]])]
        # not by BLAS: its threads wait for one another longer than these few numbers take
        alike = np.einsum("ij,j->i", self._rows[numbers].astype(np.float32), vector) * self._scales[numbers]
        kept = np.flatnonzero(alike >= least)
        best = kept[np.argsort(-alike[kept], kind="stable")[:limit]]
        return [(float(alike[one]), int(numbers[one])) for one in best]
