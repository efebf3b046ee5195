r"""What identifies content: SHA-256 of bytes, and of the logical content of a table (FORMAT.md, "Digests").

Pure: no store, no folio. Digests are written ``sha256:<64 hex digits>``.

**Bytes.** The SHA-256 of the uncompressed bytes, as ``sha256sum`` prints it.

**Tables.** The digest of a table says what a reader gets, not how it lies in memory or on disk: chunk and
batch boundaries, offsets of slices, the bytes under a null, Parquet encodings and row groups don't change it;
any value, bit of a float, null, order of rows or columns, name, type or piece of metadata does. It is::

    SHA-256(UTF-8(JSON {"columns": [C1, C2, …], "format": "lakefolio-table-1", "rows": n, "schema": S}))

JSON is written without spaces, keys sorted, non-ASCII characters as ``\uXXXX``.

``S`` is ``{"fields": [F1, …], "metadata": M}``. A field ``F`` is
``{"metadata": M, "name": …, "nullable": …, "type": T}``. A type ``T`` is the text that pyarrow prints for it
(``"int64"``, ``"timestamp[us, tz=UTC]"``) or, for nested ones, a list:
``["list"|"large_list"|"list_view"|"large_list_view", F']``, ``["fixed_size_list", size, F']``,
``["map", sorted, F', F']``, ``["struct", [F, …]]``, ``["dictionary", index T, value T, ordered]``,
``["extension", name, parameters, storage T]``. ``F'`` is a field without its name (writers call the item of a
list ``item`` or ``element``). Metadata ``M`` is a list of ``[base64 key, base64 value]`` sorted by key,
without ``ARROW:schema`` and ``PARQUET:field_id``; of the value of ``pandas`` only what is no library version
counts: parsed as JSON, without ``pandas_version`` and ``creator``, written again as above.

``C`` is the hexadecimal digest of a column: the SHA-256 of ``tag || rows || D0 || D1 || …`` with an ASCII
tag, the number of rows as 8 bytes, and the 32-byte SHA-256 of each stream. All numbers are little-endian.
``D0`` is
that of the nulls: their row numbers, 8 bytes each, counted from the start of the column (of a child: of the
child). The other streams by tag:

``null``
    None, and no ``D0`` either.
``bool``
    One byte per row: 0 or 1; 0 for a null.
``fixed``
    The value as Arrow lays it out (numbers, dates, times, decimals, fixed-size binary); zero bytes for a
    null.
``bytes``
    (1) The length of each value in bytes, 4 bytes, 0 for a null. (2) All values, one after the other.
``list``
    (1) The length of each list in items, 4 bytes, 0 for a null; nothing for a fixed-size list. (2) Instead of
    a stream the column digest of all items of the lists that are not null. A map is a list of structs.
``struct``
    Instead of streams the column digest of each field, null where the struct is null.
``dict``
    (1) The code of each value in the dictionary, 4 bytes, 0 for a null. (2) The column digest of the
    dictionary: the values of all dictionaries of the column in order of first appearance, each once, without
        null.

An extension type is hashed as its storage.

One long module, so that the algorithm and its specification are read and changed together.
"""

from __future__ import annotations

import base64
import hashlib
import json
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]
    """Which rows are not null."""

__all__ = [
    "TableDigest",
    "grow_dictionary",
    "map_as_list",
    "sha256_of_bytes",
    "sha256_of_file",
    "sha256_of_parts",
    "table_digest",
]

_PIECE_ROWS: Final = 1 << 18  # rows copied at a time where nulls must be zeroed: bounds the extra memory
_PIECE_BYTES: Final = 1 << 20
_PARALLEL_BYTES: Final = 1 << 20  # below this, starting threads costs more than it saves
_SKIPPED_METADATA: Final = (b"ARROW:schema", b"PARQUET:field_id")


def sha256_of_bytes(data: bytes | bytearray | memoryview) -> str:
    """Return the digest of bytes in memory."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def sha256_of_parts(parts: Iterable[bytes | bytearray | memoryview]) -> str:
    """Return the digest of the joined bytes; holds one piece at a time."""
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(part)
    return "sha256:" + hasher.hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the digest of a local file, read in pieces."""
    with path.open("rb", buffering=0) as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def table_digest(table: pa.Table, *, threads: int = 2) -> str:
    """Return the logical digest of a table in memory."""
    digest = TableDigest(table.schema, threads=threads)
    digest.update(table)
    return digest.digest()


class TableDigest:
    """The logical digest of a table that comes in batches.

    Holds no rows: memory is bounded by one batch and the dictionaries. Not safe to call from several threads.
    """

    def __init__(self, schema: pa.Schema, *, threads: int = 2) -> None:
        """Start with no rows.

        Args:
            schema: The schema of every batch to come.
            threads: How many columns to hash at the same time.
        """
        self._schema = schema
        self._threads = threads
        self._columns = [_column(field.type, field.name) for field in schema]
        self.row_count = 0

    def update(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Add rows after those given before.

        Raises:
            InvalidInputError: If the columns or types differ from the schema's.
        """
        if rows.schema.names != self._schema.names or rows.schema.types != self._schema.types:
            raise InvalidInputError(
                f"a batch has the columns {_columns_text(rows.schema)}, "
                f"the table before it {_columns_text(self._schema)}",
                kind="schema-changed",
            )
        self.row_count += rows.num_rows
        jobs = list(zip(self._columns, rows.columns, strict=True))
        if self._threads > 1 and len(jobs) > 1 and rows.nbytes >= _PARALLEL_BYTES:
            with ThreadPoolExecutor(self._threads) as pool:
                list(pool.map(_feed, jobs))
        else:
            for job in jobs:
                _feed(job)

    def dictionaries(self) -> dict[str, pa.Array]:
        """Return the values of every dictionary so far by place: positions from the table down, ``"3"``, ``"3.0.1"``.

        A struct's fields are 0, 1, …; the items of a list are 0; the entries of a map are 0, in them the key is 0 and
        the value is 1.
        """
        found: dict[str, pa.Array] = {}
        for position, column in enumerate(self._columns):
            column.dictionaries(found, str(position))
        return found

    def digest(self) -> str:
        """Return the digest of the rows so far."""
        document = {
            "columns": [column.digest().hex() for column in self._columns],
            "format": "lakefolio-table-1",
            "rows": self.row_count,
            "schema": {
                "fields": [_field_spec(field) for field in self._schema],
                "metadata": _metadata_spec(self._schema.metadata),
            },
        }
        return sha256_of_bytes(_canonical_json(document).encode())


def _columns_text(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema)[:300]


def _feed(job: tuple[_Column, pa.Array | pa.ChunkedArray]) -> None:
    column, values = job
    for chunk in values.chunks if isinstance(values, pa.ChunkedArray) else (values,):
        column.update(chunk)


def _canonical_json(document: object) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _metadata_spec(metadata: dict[bytes, bytes] | None) -> list[list[str]]:
    found = []
    for key, value in sorted((metadata or {}).items()):
        if key in _SKIPPED_METADATA:
            continue
        found.append([_text(key), _text(_without_versions(value) if key == b"pandas" else value)])
    return found


def _without_versions(value: bytes) -> bytes:
    try:
        document = json.loads(value)
        for key in ("pandas_version", "creator"):
            document.pop(key, None)
    except (ValueError, AttributeError):
        return value
    return _canonical_json(document).encode()


def _field_spec(field: pa.Field, *, named: bool = True) -> dict[str, Any]:
    spec = {
        "metadata": _metadata_spec(field.metadata),
        "nullable": field.nullable,
        "type": _type_spec(field.type),
    }
    return {**spec, "name": field.name} if named else spec


def _type_spec(kind: pa.DataType) -> Any:
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        parameters = _text(kind.__arrow_ext_serialize__()) if isinstance(kind, pa.ExtensionType) else str(kind)
        return ["extension", kind.extension_name, parameters, _type_spec(kind.storage_type)]
    if types.is_map(kind):
        fields = (_field_spec(field, named=False) for field in (kind.key_field, kind.item_field))
        return ["map", kind.keys_sorted, *fields]
    if types.is_fixed_size_list(kind):
        return ["fixed_size_list", kind.list_size, _field_spec(kind.value_field, named=False)]
    for name in ("list", "large_list", "list_view", "large_list_view"):
        if getattr(types, f"is_{name}")(kind):
            return [name, _field_spec(kind.value_field, named=False)]
    if types.is_struct(kind):
        return ["struct", [_field_spec(field) for field in kind]]
    if types.is_dictionary(kind):
        return ["dictionary", _type_spec(kind.index_type), _type_spec(kind.value_type), kind.ordered]
    return str(kind)


def _column(kind: pa.DataType, path: str) -> _Column:
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


class _Column(Protocol):
    """The running digest of one column; see the table in the module's docstring."""

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
        """See _Column."""
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
        """See _Column."""
        whole = hashlib.sha256(self.tag + self.count.to_bytes(8, "little"))
        for stream in (self._nulls.digest(), *self._streams()):
            whole.update(stream)
        return whole.digest()

    def dictionaries(self, found: dict[str, pa.Array], place: str) -> None:  # noqa: B027  # most columns have none
        """See _Column."""


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
        self._items = _column(items, f"{path}[]")

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
        self._fields = [_column(field.type, f"{path}.{field.name}") for field in kind]

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
        self._storage = _column(kind.storage_type, path)

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
        values = _column(self._value_type, f"{self.path}{{}}")
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
