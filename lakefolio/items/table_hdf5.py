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
from lakefolio.items.hdf5_frames import bad_file, frame_kind, frame_parts
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
_OF_FRAMES: Final = ("_i_table", "meta")
"""Groups that belong to a frame of pandas; others in its group have keys of their own."""


@contextlib.contextmanager
def open_hdf5(path: Path, table: str | None) -> Iterator[pa.RecordBatchReader]:
    """Open a dataset, or a frame that pandas stored, of an HDF5 file: its only one by default.

    A dataset of records has its fields as columns, one of one dimension is a column, one of two has its columns
    numbered. Frames have the columns and types that they had in pandas, see ``hdf5_frames``.
    """
    h5py = need("h5py", "reading HDF5 files")
    with h5py.File(path, "r") as file:
        there = _tables(h5py, file, path)
        wanted = None if table is None else table.strip("/")
        chosen = chosen_table(list(there), wanted, path.name)
        found = there[chosen]
        if isinstance(found, h5py.Group):
            parts = frame_parts(h5py, found, path, lambda one: _checked(one, path), _step)
            yield _reader(parts, {}, path, [])
        else:
            yield _dataset(found, path)


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
            raise bad_file(path, f"{dataset.name!r} is of type {dataset.dtype}, and no array of numbers")
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
                raise bad_file(path, "holds more than 100,000 objects")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue  # it may lead out of the file
            one, key = group[name], f"{prefix}/{name}".strip("/")
            if isinstance(one, h5py.Dataset):
                if prefix not in found:  # else it is a part of a frame
                    found[key] = one
            elif prefix in found and name in _OF_FRAMES:
                continue
            elif isinstance(one, h5py.Group):
                if frame_kind(h5py, one) is not None:
                    found[key] = one
                if (address := h5py.h5o.get_info(one.id).addr) not in known:  # a group can lie in itself
                    known.add(address)
                    waiting.append((key, one))
    return found


def _checked(dataset: Any, path: Path) -> Any:
    """Return a dataset that lies in its file, in the size that it says, and can be read without more code."""
    name = dataset.name
    if dataset.is_virtual or dataset.external:
        raise bad_file(path, f"{name!r} lies in other files")
    plan = dataset.id.get_create_plist()
    filters = {plan.get_filter(number)[0] for number in range(plan.get_nfilters())}
    if unknown := sorted(filters - _FILTERS):
        raise bad_file(path, f"{name!r} is packed by filter {unknown[0]}, which h5py does not bring")
    if dataset.shape is None:
        raise bad_file(path, f"{name!r} is empty")
    if dataset.nbytes > _FREE_BYTES + _RATIO * dataset.id.get_storage_size():
        raise bad_file(path, f"{name!r} says {dataset.nbytes:,} bytes, and holds {dataset.id.get_storage_size():,}")
    return dataset


def _dataset(dataset: Any, path: Path) -> pa.RecordBatchReader:
    dataset = _checked(dataset, path)
    names: list[str] | None = None
    if dataset.dtype.names:
        if dataset.ndim != 1:
            raise bad_file(path, f"{dataset.name!r} has records in {dataset.ndim} dimensions")
    elif dataset.ndim in (1, 2):
        width = 1 if dataset.ndim == 1 else dataset.shape[1]
        if width > _MOST_COLUMNS:
            raise bad_file(path, f"{dataset.name!r} has {width:,} columns; it is an array", "add it as an array")
        short = dataset.name.rpartition("/")[2]
        names = [short] if dataset.ndim == 1 else [f"{short}_{number}" for number in range(width)]
    else:
        raise bad_file(path, f"{dataset.name!r} has {dataset.ndim} dimensions", "a table has one or two")
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
    if isinstance(values, pa.Array):
        return values
    mask = None if missing is None else np.asarray(missing, dtype=bool)
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8").astype(object)
    if values.dtype.kind == "O":  # texts of any length: h5py gives bytes, nothing else
        texts = [one.decode("utf-8") if isinstance(one, bytes) else one for one in values]
        if not all(isinstance(one, str) for one in texts):
            raise bad_file(path, f"column {name!r} holds objects that are no texts")
        return pa.array(texts, pa.string(), mask=mask)
    if values.ndim != 1:
        values = list(values.reshape(len(values), -1))
        return pa.array(values, mask=mask)
    if values.dtype.kind not in "biuf":
        raise bad_file(path, f"column {name!r} is of type {values.dtype}")
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


def _labels(values: Sequence[object]) -> list[str]:
    return [one.decode("utf-8") if isinstance(one, bytes) else str(one) for one in values]


def write_hdf5(table: pa.Table, target: Path) -> None:
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
    # in memory: a file that the library could not complete ends the process when it is closed
    with h5py.File(target, "w", driver="core", backing_store=False) as file:
        made = file.create_dataset("data", data=records, chunks=True if len(records) else None)
        notes = (table.schema.metadata or {}).get(_NOTE)
        for key, value in (json.loads(notes) if notes else {}).items():
            made.attrs[key] = value
        if flags:
            made.attrs[_FLAGS] = flags
        file.flush()
        image = file.id.get_file_image()
    target.write_bytes(image)
