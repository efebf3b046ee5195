"""The running digest of one column of a table, a class for each way Arrow lays values out (FORMAT.md, "Digests").

Pure: no I/O. Memory is bounded by one batch and the dictionaries of the column.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]
    """Which rows are not null."""

__all__ = ["ColumnDigest", "column_digest", "grow_dictionary", "map_as_list"]

_PIECE_ROWS: Final = 1 << 18  # rows copied at a time where nulls must be zeroed: bounds the extra memory
_PIECE_BYTES: Final = 1 << 20


def column_digest(kind: pa.DataType, path: str) -> ColumnDigest:
    """Return the digest of a column without rows yet.

    Args:
        kind: The type of the column.
        path: Its place, for errors.

    Raises:
        InvalidInputError: kind ``unsupported-column``: the type has no digest.
    """
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return _Extension(kind, path)
    if types.is_null(kind):
        return _Null()
    if types.is_boolean(kind):
        return _Bool(path)
    if types.is_dictionary(kind):
        return _Dictionary(kind, path)
    if types.is_struct(kind):
        return _Struct(kind, path)
    if types.is_nested(kind) and not types.is_union(kind) and not types.is_run_end_encoded(kind):
        return _List(kind, path)
    if any(getattr(types, f"is_{name}")(kind) for name in _BYTES_TYPES):
        return _Bytes(path)
    try:
        width = kind.bit_width
    except ValueError:
        width = 0
    if width % 8 or types.is_union(kind) or types.is_run_end_encoded(kind):
        raise InvalidInputError(
            f"column {path!r} has the type {kind}, which has no digest",
            kind="unsupported-column",
            column=path,
        )
    return _Fixed(kind, path)


_BYTES_TYPES: Final = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")


def _valid(values: pa.Array) -> Mask | None:
    """Return which rows are not null, or None when all are."""
    if not values.null_count:
        return None
    bits = values.buffers()[0]
    if bits is None:
        return np.asarray(values.is_valid())
    return _bits(bits, values.offset, len(values)).view(np.bool_)


def _bits(bits: pa.Buffer, offset: int, count: int) -> npt.NDArray[np.uint8]:
    first, shift = divmod(offset, 8)
    packed = np.frombuffer(bits, np.uint8, count=(shift + count + 7) // 8, offset=first)
    return np.unpackbits(packed, count=shift + count, bitorder="little")[shift:]


class ColumnDigest(Protocol):
    """The running digest of one column; see FORMAT.md, "Digests"."""

    def update(self, values: pa.Array) -> None:
        """Add a chunk."""
        ...

    def digest(self) -> bytes:
        """Return the 32 bytes."""
        ...

    def dictionaries(self, found: dict[str, pa.Array], place: str) -> None:
        """Add the dictionaries of this column, which lies at ``place``, and of its children to ``found``."""
        ...


class _Streams(ABC):
    """A column whose digest is that of its nulls and of the streams of its values."""

    tag: ClassVar[bytes]

    def __init__(self, path: str) -> None:
        self.path = path
        self.count = 0
        self._nulls = hashlib.sha256()

    def update(self, values: pa.Array) -> None:
        """See ColumnDigest."""
        if len(values):
            valid = _valid(values)
            if valid is not None:
                self._nulls.update((np.flatnonzero(~valid) + self.count).astype("<u8").data)
            self._update(values, valid)
            self.count += len(values)

    @abstractmethod
    def _update(self, values: pa.Array, valid: Mask | None) -> None:
        """Add a chunk of at least one row to the streams; ``valid`` says which rows are not null, None for all."""

    @abstractmethod
    def _streams(self) -> Iterator[bytes]:
        """Yield the digest of each stream but the nulls'."""

    def digest(self) -> bytes:
        """See ColumnDigest."""
        whole = hashlib.sha256(self.tag + self.count.to_bytes(8, "little"))
        for stream in (self._nulls.digest(), *self._streams()):
            whole.update(stream)
        return whole.digest()

    def dictionaries(self, found: dict[str, pa.Array], place: str) -> None:  # noqa: B027  # most columns have none
        """See ColumnDigest."""


class _Null:
    """A column of type null."""

    def __init__(self) -> None:
        self.count = 0

    def update(self, values: pa.Array) -> None:
        self.count += len(values)

    def digest(self) -> bytes:
        return hashlib.sha256(b"null" + self.count.to_bytes(8, "little")).digest()

    def dictionaries(self, found: dict[str, pa.Array], place: str) -> None:
        """It has none."""


class _Bool(_Streams):
    tag = b"bool"

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._values = hashlib.sha256()

    def _update(self, values: pa.Array, valid: Mask | None) -> None:
        bits = values.buffers()[1]
        for start in range(0, len(values), _PIECE_BYTES):
            count = min(_PIECE_BYTES, len(values) - start)
            piece = _bits(bits, values.offset + start, count)
            if valid is not None:
                piece = piece & valid[start : start + count].view(np.uint8)
            self._values.update(np.ascontiguousarray(piece).data)

    def _streams(self) -> Iterator[bytes]:
        yield self._values.digest()


class _Fixed(_Streams):
    tag = b"fixed"

    def __init__(self, kind: pa.DataType, path: str) -> None:
        super().__init__(path)
        self._width = kind.bit_width // 8
        self._values = hashlib.sha256()

    def _update(self, values: pa.Array, valid: Mask | None) -> None:
        width, data = self._width, values.buffers()[1]
        if not width or data is None:
            return
        cells = np.frombuffer(data, np.uint8, count=len(values) * width, offset=values.offset * width)
        if valid is None:
            self._values.update(cells.data)
            return
        cells = cells.view(f"u{width}") if width in (1, 2, 4, 8) else cells.reshape(-1, width)
        for start in range(0, len(cells), _PIECE_ROWS):
            piece = cells[start : start + _PIECE_ROWS].copy()
            piece[~valid[start : start + _PIECE_ROWS]] = 0
            self._values.update(piece.data)

    def _streams(self) -> Iterator[bytes]:
        yield self._values.digest()


class _Bytes(_Streams):
    tag = b"bytes"

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._lengths = hashlib.sha256()
        self._values = hashlib.sha256()

    def _update(self, values: pa.Array, valid: Mask | None) -> None:
        if pa.types.is_string_view(values.type):
            values = values.cast(pa.large_string())
        elif pa.types.is_binary_view(values.type):
            values = values.cast(pa.large_binary())
        offsets = _offsets(values)
        lengths = np.diff(offsets)
        if valid is not None and lengths[~valid].any():
            lengths[~valid] = 0
            values = values.drop_null()  # leaves out what lies under the nulls
            offsets = _offsets(values)
        self._lengths.update(_lengths(lengths, self.path).data)
        data = values.buffers()[2]
        if data is not None and len(offsets):
            self._values.update(memoryview(data)[int(offsets[0]) : int(offsets[-1])])

    def _streams(self) -> Iterator[bytes]:
        yield self._lengths.digest()
        yield self._values.digest()


def map_as_list(values: pa.MapArray) -> pa.ListArray:
    """Return a map as a list of structs of key and item (pyarrow 26's cast mixes up slices of nested maps)."""
    fields = [values.type.key_field, values.type.item_field]
    entries = pa.StructArray.from_arrays([values.keys, values.items], fields=fields)
    buffers = values.buffers()[:2]
    kind = pa.list_(pa.field("entries", entries.type, nullable=False))
    return pa.Array.from_buffers(kind, len(values), buffers, offset=values.offset, children=[entries])


def _offsets(values: pa.Array) -> npt.NDArray[np.signedinteger]:
    large = pa.types.is_large_string(values.type) or pa.types.is_large_binary(values.type)
    kind = np.dtype(np.int64 if large else np.int32)
    buffer = values.buffers()[1]
    if buffer is None or not len(values):
        return np.zeros(1, kind)
    return np.frombuffer(buffer, kind, count=len(values) + 1, offset=values.offset * kind.itemsize)


def _lengths(lengths: npt.NDArray[np.signedinteger], path: str) -> npt.NDArray[np.uint32]:
    if lengths.dtype.itemsize > 4 and len(lengths) and lengths.max() >= 2**31:
        raise InvalidInputError(
            f"column {path!r} holds a value of 2 GiB or more, which Parquet can't hold",
            kind="unsupported-column",
            column=path,
        )
    return np.ascontiguousarray(lengths, dtype="<u4")


class _List(_Streams):
    tag = b"list"

    def __init__(self, kind: pa.DataType, path: str) -> None:
        super().__init__(path)
        self._is_map = pa.types.is_map(kind)
        self._fixed_size = pa.types.is_fixed_size_list(kind)
        self._lengths = hashlib.sha256()
        items = pa.struct([kind.key_field, kind.item_field]) if self._is_map else kind.value_type
        self._items = column_digest(items, f"{path}[]")

    def _update(self, values: pa.Array, valid: Mask | None) -> None:
        if self._is_map:
            values = map_as_list(values)
        if not self._fixed_size:
            lengths = pc.list_value_length(values).fill_null(0)
            self._lengths.update(_lengths(lengths.to_numpy(zero_copy_only=False), self.path).data)
        self._items.update(pc.list_flatten(values))

    def _streams(self) -> Iterator[bytes]:
        yield self._lengths.digest()
        yield self._items.digest()

    def dictionaries(self, found: dict[str, pa.Array], place: str) -> None:
        self._items.dictionaries(found, f"{place}.0")


class _Struct(_Streams):
    tag = b"struct"

    def __init__(self, kind: pa.DataType, path: str) -> None:
        super().__init__(path)
        self._fields = [column_digest(field.type, f"{path}.{field.name}") for field in kind]

    def _update(self, values: pa.Array, valid: Mask | None) -> None:
        for column, child in zip(self._fields, values.flatten(), strict=True):
            column.update(child)

    def _streams(self) -> Iterator[bytes]:
        for column in self._fields:
            yield column.digest()

    def dictionaries(self, found: dict[str, pa.Array], place: str) -> None:
        for position, column in enumerate(self._fields):
            column.dictionaries(found, f"{place}.{position}")


class _Extension:
    """A column of an extension type: its digest is that of its storage."""

    def __init__(self, kind: pa.BaseExtensionType, path: str) -> None:
        self._storage = column_digest(kind.storage_type, path)

    def update(self, values: pa.Array) -> None:
        self._storage.update(values.storage)

    def digest(self) -> bytes:
        return self._storage.digest()

    def dictionaries(self, found: dict[str, pa.Array], place: str) -> None:
        self._storage.dictionaries(found, place)


class _Dictionary(_Streams):
    tag = b"dict"

    def __init__(self, kind: pa.DataType, path: str) -> None:
        super().__init__(path)
        self._value_type = kind.value_type
        self._values: pa.Array = pa.array([], kind.value_type)
        self._codes = hashlib.sha256()
        self._last: pa.Array | None = None
        self._mapping: pa.Array | None = None

    def update(self, values: pa.Array) -> None:
        if not len(values):
            self._map(values.dictionary)
            return
        mapping = self._map(values.dictionary)
        codes = pc.take(mapping, values.indices) if len(mapping) else pa.nulls(len(values), pa.uint32())
        super().update(codes)

    def _update(self, values: pa.Array, valid: Mask | None) -> None:
        codes = values.fill_null(0).to_numpy(zero_copy_only=False)
        self._codes.update(np.ascontiguousarray(codes, dtype="<u4").data)

    def _map(self, dictionary: pa.Array) -> pa.Array:
        """Return the code of each value of ``dictionary``; the column's own dictionary grows by new values."""
        if self._mapping is None or self._last is None or not _same(self._last, dictionary):
            self._values, self._mapping = grow_dictionary(self._values, dictionary)
            self._last = dictionary
        return self._mapping

    def _streams(self) -> Iterator[bytes]:
        yield self._codes.digest()
        values = column_digest(self._value_type, f"{self.path}{{}}")
        values.update(self._values)
        yield values.digest()

    def dictionaries(self, found: dict[str, pa.Array], place: str) -> None:
        found[place] = self._values


def _same(one: pa.Array, other: pa.Array) -> bool:
    return one is other or (len(one) == len(other) and bool(one.equals(other)))


def grow_dictionary(known: pa.Array, more: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return ``known`` followed by the new values of ``more``, and the code (uint32) of each of ``more``."""
    if not len(known) and not more.null_count and _all_different(more):
        return more, pa.array(np.arange(len(more), dtype=np.uint32))
    if isinstance(more.type, pa.BaseExtensionType) or pa.types.is_nested(more.type):
        # Arrow can't look nested values up, so this takes the slow way (categories that are intervals: few)
        seen = {repr(value): code for code, value in enumerate(known.to_pylist())}
        fresh, codes = [], []
        for row, value in enumerate(more.to_pylist()):
            if value is not None and repr(value) not in seen:
                seen[repr(value)] = len(seen)
                fresh.append(row)
            codes.append(None if value is None else seen[repr(value)])
        return pa.concat_arrays([known, more.take(pa.array(fresh, pa.int64()))]), pa.array(codes, pa.uint32())
    unknown = pc.and_(more.is_valid(), pc.is_null(pc.index_in(more, value_set=known)))
    grown = pa.concat_arrays([known, pc.unique(more.filter(unknown))])
    return grown, pc.index_in(more, value_set=grown, skip_nulls=True).cast(pa.uint32())


def _all_different(values: pa.Array) -> bool:
    if isinstance(values.type, pa.BaseExtensionType) or pa.types.is_nested(values.type):
        return len({repr(value) for value in values.to_pylist()}) == len(values)
    return len(pc.unique(values)) == len(values)
