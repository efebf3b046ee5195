"""Bloom filters over text keys: they tell that a key is absent without reading rows (FORMAT.md, "Read models").

Pure: no I/O. The hash is part of the format, so it is defined here and not taken from a library: the sum of the bytes
of the key, each multiplied by a 64-bit weight of its position, mixed once. All keys of a run are hashed in a few array
operations; asking for a key needs none, and imports no arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from operator import mul
from typing import Any, Final

import pyarrow as pa

__all__ = ["BITS_PER_KEY", "build", "hash_of", "hashes", "may_hold", "mixed_array", "place_of"]

BITS_PER_KEY: Final = 10
"""With seven probes, one key in 120 that is not there passes."""

_PROBES: Final = 7
_PLACES: Final = 1024
_MASK: Final = (1 << 64) - 1
_BYTES_AT_ONCE: Final = 1 << 20
"""So much of the keys is hashed at once: up to 32 times as much is held for it."""


def _mixed(value: int) -> int:
    """The finaliser of SplitMix64."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
    return value ^ (value >> 31)


_WEIGHTS: Final = [_mixed((place + 1) * 0x9E3779B97F4A7C15 & _MASK) | 1 for place in range(_PLACES)]
_SUMS: Final = [0, *accumulate(_WEIGHTS)]


@cache
def _weights() -> Any:
    import numpy as np

    return np.array(_WEIGHTS, np.uint64)


def hash_of(key: Sequence[str]) -> int:
    """Return the 64-bit hash of one key, whose parts are joined by NUL."""
    raw = "\0".join(key).encode()
    total = _SUMS[len(raw) % _PLACES] + len(raw) // _PLACES * _SUMS[_PLACES]
    for start in range(0, len(raw), _PLACES):
        total += sum(map(mul, raw[start : start + _PLACES], _WEIGHTS))
    return _mixed((total + len(raw)) & _MASK)


def hashes(columns: Sequence[pa.Array | pa.ChunkedArray]) -> Any:
    """Return the 64-bit hashes of many keys as a NumPy array of uint64.

    Args:
        columns: The parts of the keys, text without nulls.
    """
    import numpy as np
    import pyarrow.compute as pc

    joined = columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, "\0")
    texts = joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined
    if isinstance(texts, pa.ChunkedArray):  # no chunk at all, or more text than one array may hold
        return np.concatenate([hashes([chunk]) for chunk in texts.chunks]) if texts.chunks else np.zeros(0, np.uint64)
    ends = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    data = texts.buffers()[2]
    raw = np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    totals = np.zeros(len(texts), np.uint64)
    first = 0
    while first < len(texts):
        last = max(first + 1, int(np.searchsorted(ends, ends[first] + _BYTES_AT_ONCE, side="right")) - 1)
        last = min(last, len(texts))
        totals[first:last] = _sums(raw[ends[first] : ends[last]], ends[first : last + 1] - ends[first])
        first = last
    return mixed_array(totals)


def _sums(raw: Any, ends: Any) -> Any:
    import numpy as np

    lengths = np.diff(ends)
    width = int(lengths[0]) if len(lengths) else 0
    if 0 < width <= _PLACES and (lengths == width).all():  # ids and digests: a fifth of the time
        weights = _weights()[:width]
        texts = raw.reshape(len(lengths), width).astype(np.uint64)
        return texts @ weights + weights.sum(dtype=np.uint64) + np.uint64(width)
    places = np.arange(len(raw)) - np.repeat(ends[:-1], lengths)
    products = (raw.astype(np.uint64) + np.uint64(1)) * _weights()[places % _PLACES]
    sums = np.add.reduceat(np.append(products, np.uint64(0)), ends[:-1], dtype=np.uint64)
    return np.where(lengths > 0, sums, np.uint64(0)) + lengths.astype(np.uint64)


def mixed_array(values: Any) -> Any:
    """Return numbers with their bits mixed, so that those near to each other are far apart (shape and dtype stay)."""
    import numpy as np

    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def place_of(hashed: int, probe: int, bits: int) -> int:
    """Return the bit that a probe looks at: ``(low + probe * high) mod bits``, of the hash's two halves."""
    return ((hashed & 0xFFFFFFFF) + probe * (hashed >> 32)) % bits


def build(hashed: Any) -> bytes:
    """Return the filter of keys given by their hashes (see :func:`hashes`); bit b is bit b % 8 of byte b // 8."""
    import numpy as np

    distinct = np.unique(hashed)
    bits = max(64, -(-len(distinct) * BITS_PER_KEY // 64) * 64)
    low, high = distinct & np.uint64(0xFFFFFFFF), distinct >> np.uint64(32)
    marks = np.zeros(bits, np.bool_)
    for probe in range(_PROBES):
        marks[(low + np.uint64(probe) * high) % np.uint64(bits)] = True
    return np.packbits(marks, bitorder="little").tobytes()


def may_hold(filter_bytes: bytes, hashed: int) -> bool:
    """Say whether a filter may hold a key; False is certain."""
    bits = len(filter_bytes) * 8
    for probe in range(_PROBES):
        place = place_of(hashed, probe, bits)
        if not filter_bytes[place >> 3] >> (place & 7) & 1:
            return False
    return True
