"""Tables of HDF5 files, read and written with h5py: datasets of records, arrays, and the keys of pandas.

Files are read in the child process of ``isolated_reader``. Nothing outside of a file is opened (external links,
external storage and virtual datasets are refused), nothing is unpickled, and no filter is loaded that h5py does not
bring. Attributes come along in the schema's metadata, as JSON under ``hdf5``.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from lakefolio.errors import InvalidInputError
from lakefolio.items.guessed_columns import checked_names
from lakefolio.items.isolated_reader import open_isolated
from lakefolio.items.optional_imports import need
from lakefolio.items.table_sqlite import chosen_table

__all__ = ["open_array", "open_hdf5", "read_array", "write_hdf5"]

_BYTES: Final = 16 << 20
_FREE_BYTES: Final = 256 << 20
_RATIO: Final = 1_032
"""What deflate can do at most: what is larger was never stored, and is filled in."""
_MOST_OBJECTS: Final = 100_000
_MOST_COLUMNS: Final = 10_000
_FILTERS: Final = frozenset({1, 2, 3, 4, 5, 6, 32000})
_MISSING: Final = "__missing"
_FLAGS: Final = "lakefolio_flags"
"""The attribute of a dataset that was written here: the column of flags, the column that they are of, and so on."""
_NOTE: Final = b"hdf5"


@contextlib.contextmanager
def open_hdf5(path: Path, table: str | None) -> Iterator[pa.RecordBatchReader]:
    """Open a dataset, or a frame that pandas stored, of an HDF5 file: its only one by default.

    A dataset of records has its fields as columns, one of one dimension is a column, one of two has its columns
    numbered.
    """
    h5py = need("h5py", "reading HDF5 files")
    with h5py.File(path, "r") as file:
        there = _tables(h5py, file, path)
        wanted = None if table is None else table.strip("/")
        chosen = chosen_table(list(there), wanted, path.name)
        found = there[chosen]
        yield _frame(h5py, found, path) if isinstance(found, h5py.Group) else _dataset(found, path)


def read_array(path: Path, name: str | None) -> np.ndarray[Any, np.dtype[Any]]:
    """Return a dataset of numbers of any dimensions as an array; by default the only one of the file."""
    with open_isolated(f"{__name__}:open_array", path, name, "hdf5") as reader:
        told = json.loads(reader.schema.metadata[_NOTE])
        content = bytearray()
        for batch in reader:
            for piece in batch.column(0):
                content += memoryview(piece.as_buffer())
    return np.frombuffer(content, dtype=np.dtype(told["dtype"])).reshape(told["shape"])


@contextlib.contextmanager
def open_array(path: Path, name: str | None) -> Iterator[pa.RecordBatchReader]:
    """Open a dataset of numbers as its bytes, in pieces; the schema's metadata say their type and shape."""
    h5py = need("h5py", "reading HDF5 files")
    with h5py.File(path, "r") as file:
        there = {key: one for key, one in _tables(h5py, file, path).items() if isinstance(one, h5py.Dataset)}
        chosen = chosen_table(list(there), None if name is None else name.strip("/"), path.name)
        dataset = _checked(there[chosen], path)
        if dataset.dtype.kind not in "biufc":
            raise _bad(path, f"{dataset.name!r} is of type {dataset.dtype}, and no array of numbers")
        notes = {"dtype": dataset.dtype.str, "shape": list(dataset.shape)}
        schema = pa.schema([("bytes", pa.large_binary())], {_NOTE: json.dumps(notes)})

        def batches() -> Iterator[pa.RecordBatch]:
            step = _step(dataset)
            for start in range(0, dataset.shape[0] if dataset.ndim else 1, step):
                part = np.asarray(dataset[start : start + step] if dataset.ndim else dataset[()])
                yield pa.RecordBatch.from_arrays([pa.array([part.tobytes()], pa.large_binary())], schema=schema)

        yield pa.RecordBatchReader.from_batches(schema, batches())


def _step(dataset: Any) -> int:
    """Return how many rows are read at once."""
    return max(1, int(_BYTES // max(1, dataset.dtype.itemsize * math.prod(dataset.shape[1:]))))


def _tables(h5py: Any, file: Any, path: Path) -> dict[str, Any]:
    """Return the datasets and the frames of pandas in a file, by their paths."""
    found: dict[str, Any] = {}
    waiting = [("", file)]
    known = {h5py.h5o.get_info(file.id).addr}
    seen = 0
    while waiting:
        prefix, group = waiting.pop()
        for name in group:
            seen += 1
            if seen > _MOST_OBJECTS:
                raise _bad(path, "holds more than 100,000 objects")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue  # it may lead out of the file
            one, key = group[name], f"{prefix}/{name}".strip("/")
            if isinstance(one, h5py.Dataset):
                found[key] = one
            elif isinstance(one, h5py.Group):
                kind = _text(one.attrs.get("pandas_type"))
                if kind in ("frame", "series"):
                    found[key] = one
                elif kind == "frame_table" and isinstance(one.get("table"), h5py.Dataset):
                    found[key] = one["table"]
                elif (address := h5py.h5o.get_info(one.id).addr) not in known:  # a group can lie in itself
                    known.add(address)
                    waiting.append((key, one))
    return found


def _text(value: object) -> str | None:
    if isinstance(value, bytes | np.bytes_):
        return bytes(value).decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def _checked(dataset: Any, path: Path) -> Any:
    """Return a dataset that lies in its file, in the size that it says, and can be read without more code."""
    name = dataset.name
    if dataset.is_virtual or dataset.external:
        raise _bad(path, f"{name!r} lies in other files")
    plan = dataset.id.get_create_plist()
    filters = {plan.get_filter(number)[0] for number in range(plan.get_nfilters())}
    if unknown := sorted(filters - _FILTERS):
        raise _bad(path, f"{name!r} is packed by filter {unknown[0]}, which h5py does not bring")
    if dataset.shape is None:
        raise _bad(path, f"{name!r} is empty")
    if dataset.nbytes > _FREE_BYTES + _RATIO * dataset.id.get_storage_size():
        raise _bad(path, f"{name!r} says {dataset.nbytes:,} bytes, and holds {dataset.id.get_storage_size():,}")
    return dataset


def _dataset(dataset: Any, path: Path) -> pa.RecordBatchReader:
    dataset = _checked(dataset, path)
    names: list[str] | None = None
    if dataset.dtype.names:
        if dataset.ndim != 1:
            raise _bad(path, f"{dataset.name!r} has records in {dataset.ndim} dimensions")
    elif dataset.ndim in (1, 2):
        width = 1 if dataset.ndim == 1 else dataset.shape[1]
        if width > _MOST_COLUMNS:
            raise _bad(path, f"{dataset.name!r} has {width:,} columns; it is an array", "add it as an array")
        short = dataset.name.rpartition("/")[2]
        names = [short] if dataset.ndim == 1 else [f"{short}_{number}" for number in range(width)]
    else:
        raise _bad(path, f"{dataset.name!r} has {dataset.ndim} dimensions", "a table has one or two")
    step = _step(dataset)

    def parts() -> Iterator[dict[str, Any]]:
        for start in range(0, max(1, dataset.shape[0]), step):
            part = dataset[start : start + step]
            if dataset.dtype.names:
                yield {name: part[name] for name in dataset.dtype.names}
            else:
                assert names is not None
                yield {name: part if dataset.ndim == 1 else part[:, at] for at, name in enumerate(names)}

    notes = {name: value for name, value in _attributes(dataset).items() if name != _FLAGS}
    return _reader(parts, notes, path, _labels(list(np.ravel(dataset.attrs.get(_FLAGS, [])))))


def _reader(parts: Any, notes: dict[str, Any], path: Path, flags: list[str]) -> pa.RecordBatchReader:
    """Make batches of parts; ``flags`` are pairs of columns: the one tells where the other has no value."""
    flag_of = dict(zip(flags[1::2], flags[::2], strict=True))

    def batches() -> Iterator[pa.RecordBatch]:
        for part in parts():
            columns = {name: one for name, one in part.items() if name not in flag_of.values()}
            arrays = [_arrow(one, part.get(flag_of.get(name, "")), name, path) for name, one in columns.items()]
            yield pa.RecordBatch.from_arrays(arrays, checked_names(list(columns), repr(path.name)))

    stream = batches()
    first = next(stream)
    schema = first.schema.with_metadata({_NOTE: json.dumps(notes)} if notes else None)

    def all_of_them() -> Iterator[pa.RecordBatch]:
        yield first.cast(schema) if first.schema != schema else first.replace_schema_metadata(schema.metadata)
        for one in stream:
            yield one.cast(schema)

    return pa.RecordBatchReader.from_batches(schema, all_of_them())


def _arrow(values: Any, missing: Any, name: str, path: Path) -> pa.Array:
    mask = None if missing is None else np.asarray(missing, dtype=bool)
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8").astype(object)
    if values.dtype.kind == "O":  # texts of any length: h5py gives bytes, nothing else
        texts = [one.decode("utf-8") if isinstance(one, bytes) else one for one in values]
        if not all(isinstance(one, str) for one in texts):
            raise _bad(path, f"column {name!r} holds objects that are no texts")
        return pa.array(texts, pa.string(), mask=mask)
    if values.ndim != 1:
        values = list(values.reshape(len(values), -1))
        return pa.array(values, mask=mask)
    if values.dtype.kind not in "biuf":
        raise _bad(path, f"column {name!r} is of type {values.dtype}")
    return pa.array(values.astype(values.dtype.newbyteorder("=")), mask=mask)


def _attributes(found: Any) -> dict[str, Any]:
    """Return the attributes that are numbers, texts or short lists of them."""
    notes: dict[str, Any] = {}
    for name, value in found.attrs.items():
        if isinstance(value, np.generic | np.ndarray):
            value = value.tolist()
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        plain = isinstance(value, str | bool | int | float) or (
            isinstance(value, list)
            and len(value) <= 1_000
            and all(isinstance(one, str | bool | int | float) for one in value)
        )
        if plain and len(str(value)) <= 10_000:
            notes[str(name)] = value
    return notes


def _frame(h5py: Any, group: Any, path: Path) -> pa.RecordBatchReader:
    """Read what ``DataFrame.to_hdf`` (format fixed) wrote, as far as it is no pickle."""

    def read(name: str) -> Any:
        one = group.get(name)
        if not isinstance(one, h5py.Dataset) or not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise _bad(path, f"the frame {group.name!r} lacks {name!r}")
        one = _checked(one, path)
        if one.dtype.kind == "O" and h5py.check_string_dtype(one.dtype) is None:
            raise _bad(
                path, f"{one.name!r} holds pickled objects, which are not read", "store texts with format='table'"
            )
        return one[()]

    columns: dict[str, Any] = {}
    if _text(group.attrs.get("pandas_type")) == "series":
        columns["values"] = read("values")
        index = read("index") if "index" in group else None
    else:
        names = _labels(read("axis0"))
        blocks: dict[str, Any] = {}
        for number in range(int(group.attrs.get("nblocks", 0))):
            items = _labels(read(f"block{number}_items"))
            values = read(f"block{number}_values")
            if values.ndim != 2 or values.shape[1] != len(items):
                raise _bad(path, f"the frame {group.name!r} has blocks that don't fit")
            blocks |= {name: values[:, at] for at, name in enumerate(items)}
        if missing := [name for name in names if name not in blocks]:
            raise _bad(path, f"the frame {group.name!r} lacks column {missing[0]!r}")
        columns = {name: blocks[name] for name in names}
        index = read("axis1") if "axis1" in group else None
    if index is not None and len(index) and not _is_range(index):
        columns = {"index" if "index" not in columns else "index_": index, **columns}
    return _reader(lambda: iter([columns]), {}, path, [])


def _labels(values: Sequence[object]) -> list[str]:
    return [one.decode("utf-8") if isinstance(one, bytes) else str(one) for one in values]


def _is_range(index: Any) -> bool:
    return index.dtype.kind in "iu" and bool((np.asarray(index) == np.arange(len(index))).all())


def _bad(path: Path, problem: str, hint: str | None = None) -> InvalidInputError:
    return InvalidInputError(
        f"{path.name!r}: {problem}",
        kind="bad-table-file",
        hint=hint or "keep it as it is, as an artifact",
        path=str(path),
    )


def write_hdf5(table: pa.Table, target: Path, name: str = "data") -> None:
    """Write a table as one dataset of records.

    A column with missing values has another, ``<name>__missing``, of flags: an attribute names the two. Numbers keep
    their types; times, decimals and nested values become texts.
    """
    h5py = need("h5py", "writing HDF5 files")
    from lakefolio.items.table_export import as_texts, csv_text

    fields: list[tuple[str, Any, Any]] = []
    flags: list[str] = []
    for number, one in enumerate(table.schema):
        column = table.column(number)
        if pa.types.is_integer(one.type) or pa.types.is_floating(one.type) or pa.types.is_boolean(one.type):
            dtype: Any = np.dtype(one.type.to_pandas_dtype())
            values: Any = column.fill_null(0 if not pa.types.is_boolean(one.type) else False).to_numpy()
        else:
            dtype = h5py.string_dtype("utf-8")
            texts = as_texts(column, csv_text).to_pylist()
            if any(text is not None and "\0" in text for text in texts):
                raise InvalidInputError(
                    f"column {one.name!r} holds a NUL, which a text of HDF5 can't", kind="bad-format", column=one.name
                )
            values = np.array([text or "" for text in texts], dtype=object)
        fields.append((one.name, dtype, values))
        if column.null_count:
            flag = one.name + _MISSING
            while flag in table.column_names:
                flag += "_"
            flags += [flag, one.name]
            fields.append((flag, np.dtype(bool), column.is_null().to_numpy()))
    records = np.empty(table.num_rows, dtype=[(name, dtype) for name, dtype, _ in fields])
    for field_name, _, values in fields:
        records[field_name] = values
    with h5py.File(target, "w") as file:
        made = file.create_dataset(name, data=records, chunks=True if len(records) else None)
        notes = (table.schema.metadata or {}).get(_NOTE)
        for key, value in (json.loads(notes) if notes else {}).items():
            made.attrs[key] = value
        if flags:
            made.attrs[_FLAGS] = flags
