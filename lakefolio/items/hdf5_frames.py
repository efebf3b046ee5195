"""Frames and series that pandas stored in HDF5 files, in its fixed and its table format.

PyTables writes what is no number or text as pickles: names of columns, for instance. They are never unpickled: of their
opcodes those alone are read that stand for plain values (see ``plain_pickle``), and for anything else there is None.

Columns come as in the frame; an index that only counts the rows is left out, the levels of others come first. Times get
their unit and zone, categories their values, and what pandas takes for missing is null.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from lakefolio.errors import InvalidInputError

__all__ = ["bad_file", "frame_kind", "frame_parts", "plain_pickle", "text_of"]

Check = Callable[[Any], Any]
"""Returns a dataset if it may be read."""
_FIXED: Final = ("frame", "series")
_TABLES: Final = ("frame_table", "series_table")
_LONGEST_PICKLE: Final = 1 << 20
_EPOCH: Final = 719_163
"""The ordinal of 1970-01-01, as ``date.toordinal`` counts."""
_MARK: Final = object()
_GLOBAL: Final = object()


def frame_kind(h5py: Any, group: Any) -> str | None:
    """Return which of the formats of pandas a group is in: ``fixed``, ``table`` or none."""
    said = text_of(group.attrs.get("pandas_type"))
    if said in _FIXED:
        return "fixed"
    return "table" if said in _TABLES and isinstance(group.get("table"), h5py.Dataset) else None


def frame_parts(
    h5py: Any, group: Any, path: Path, check: Check, rows: Callable[[Any], int]
) -> Callable[[], Iterator[dict[str, pa.Array]]]:
    """Return what gives the parts of a frame: column -> values.

    Args:
        h5py: The library.
        group: What ``frame_kind`` knows.
        path: The file, for errors.
        check: Returns a dataset that may be read, and raises for others.
        rows: How many rows of a dataset are read at once.
    """
    if frame_kind(h5py, group) == "table":
        return _Table(h5py, group, path, check).parts(rows)
    whole = _Fixed(h5py, group, path, check).columns()
    return lambda: iter([whole])


class _Stored:
    """What both formats need."""

    def __init__(self, h5py: Any, group: Any, path: Path, check: Check) -> None:
        self._h5py, self._group, self._path, self._check = h5py, group, path, check

    def _dataset(self, name: str) -> Any:
        one = self._group.get(name)
        if not isinstance(one, self._h5py.Dataset) or not isinstance(
            self._group.get(name, getlink=True), self._h5py.HardLink
        ):
            raise bad_file(self._path, f"the frame {self._group.name!r} lacks {name!r}")
        one = self._check(one)
        if one.dtype.kind == "O" and self._h5py.check_string_dtype(one.dtype) is None:
            raise bad_file(
                self._path,
                f"{one.name!r} holds pickled objects, which are not read",
                "store texts with to_hdf(format='table')",
            )
        return one

    def _bad(self, problem: str) -> InvalidInputError:
        return bad_file(self._path, f"the frame {self._group.name!r} {problem}")


class _Fixed(_Stored):
    """A frame or series of ``to_hdf(format="fixed")``, the default: an array for each block of columns of one type."""

    def columns(self) -> dict[str, pa.Array]:
        """Return the whole: column -> values."""
        if text_of(self._group.attrs.get("pandas_type")) == "series":
            name = text_of(self._group.attrs.get("name"))
            columns = {name if name and name != "N." else "values": self._arrow(self._dataset("values"))}
            return self._with_index(columns, "index")
        names, blocks = self._labels("axis0"), dict[str, pa.Array]()
        for number in range(int(self._group.attrs.get("nblocks", 0))):
            items, dataset = self._labels(f"block{number}_items"), self._dataset(f"block{number}_values")
            if _is_empty(dataset):
                values = np.empty((0, len(items)), dataset.dtype)
            elif dataset.ndim != 2 or dataset.shape[1] != len(items):
                raise self._bad("has blocks that don't fit")
            else:
                values = dataset[()]
            blocks |= {name: self._arrow(dataset, values[:, at]) for at, name in enumerate(items)}
        if missing := [name for name in names if name not in blocks]:
            raise self._bad(f"lacks column {missing[0]!r}")
        return self._with_index({name: blocks[name] for name in names}, "axis1")

    def _with_index(self, columns: dict[str, pa.Array], name: str) -> dict[str, pa.Array]:
        levels = int(self._group.attrs.get(f"{name}_nlevels", 0))
        found: dict[str, pa.Array] = {}
        for number in range(levels):
            dataset = self._dataset(f"{name}_level{number}")
            codes = self._dataset(f"{name}_label{number}")[()]
            own = text_of(dataset.attrs.get("name"))
            called = own if own and own != "N." else f"level_{number}"
            found[_free(called, {*columns, *found})] = self._taken(self._arrow(dataset), codes)
        if not levels and name in self._group:
            dataset = self._dataset(name)
            values, own = self._arrow(dataset), text_of(dataset.attrs.get("name"))
            is_named = own is not None and own not in ("N.", "")
            if len(values) and (is_named or not _counts(values)):
                found[_free(own if own and is_named else "index", columns)] = values
        return found | columns

    def _labels(self, name: str) -> list[str]:
        if levels := int(self._group.attrs.get(f"{name}_nlevels", 0)):
            parts = [
                self._taken(
                    self._arrow(self._dataset(f"{name}_level{number}")), self._dataset(f"{name}_label{number}")[()]
                ).to_pylist()
                for number in range(levels)
            ]
            return list(map(str, zip(*parts, strict=True)))
        return [str(one) for one in self._arrow(self._dataset(name)).to_pylist()]

    def _taken(self, level: pa.Array, codes: Any) -> pa.Array:
        if codes.ndim != 1 or codes.dtype.kind not in "iu" or (len(codes) and int(codes.max()) >= len(level)):
            raise self._bad("has levels that don't fit")
        return level.take(pa.array(codes, mask=codes < 0))

    def _arrow(self, dataset: Any, values: Any = None) -> pa.Array:
        attrs = dataset.attrs
        said = text_of(attrs.get("value_type")) or text_of(attrs.get("kind")) or ""
        if values is None:
            values = np.empty(0, dataset.dtype) if _is_empty(dataset) else dataset[()]
        if values.ndim != 1:
            raise self._bad(f"has {dataset.name!r} of {values.ndim} dimensions")
        if dataset.id.get_type().get_class() == self._h5py.h5t.BITFIELD:
            said = "bool"
        missing = text_of(attrs.get("nan_rep")) or "nan"
        return _typed(values, said, text_of(attrs.get("tz")), missing, self._path, dataset.name)


class _Table(_Stored):
    """A frame or series of ``to_hdf(format="table")``: a dataset of records, which is read part by part."""

    def parts(self, rows: Callable[[Any], int]) -> Callable[[], Iterator[dict[str, pa.Array]]]:
        """Return what gives the parts, in the order of columns of the frame."""
        table = self._dataset("table")
        if table.ndim != 1 or not table.dtype.names:
            raise self._bad("is no table")
        chosen = {field: self._chosen(table, field) for field in table.dtype.names if field != "index"}
        names = [name for one in chosen.values() for name in one[0]]
        axes = plain_pickle(self._group.attrs.get("non_index_axes"))
        order = list(map(str, axes[0][1])) if _is_axes(axes) else []
        if sorted(order) != sorted(names):
            order = names
        if len(set(names)) < len(names):
            raise self._bad("has a column twice")
        index = self._index(table, names)

        def read() -> Iterator[dict[str, pa.Array]]:
            step = rows(table)
            for start in range(0, max(1, table.shape[0]), step):
                part = table[start : start + step]
                found = {name: one for field in chosen for name, one in self._columns(part[field], *chosen[field])}
                first = {} if index is None else {index[0]: index[1](part["index"])}
                yield first | {name: found[name] for name in order}

        return read

    def _index(self, table: Any, names: list[str]) -> tuple[str, Callable[[Any], pa.Array]] | None:
        """Return the name of the index, and what makes its values; None if it says nothing."""
        if "index" not in table.dtype.names or text_of(self._group.attrs.get("table_type")) in (
            "appendable_multiframe",
            "appendable_multiseries",
        ):
            return None
        own = self._info("index").get("index_name")
        kind = text_of(table.attrs.get("index_kind")) or ""
        if own is None and kind == "integer" and _counts(pa.array(table.fields("index")[:])):
            return None
        zone, missing = self._info("index").get("tz"), text_of(table.attrs.get("index_nan_rep")) or "nan"
        called = _free("index" if own is None else str(own), names)
        return called, lambda values: _typed(values, kind, zone, missing, self._path, "index")

    def _chosen(self, table: Any, field: str) -> tuple[list[str], Callable[[Any], pa.Array]]:
        """Return the columns of a field of the records, and what makes the values of one."""
        attrs = table.attrs
        kind, labels = text_of(attrs.get(f"{field}_dtype")) or "", plain_pickle(attrs.get(f"{field}_kind"))
        names = [str(one) for one in labels] if isinstance(labels, list) else [field]
        missing = text_of(attrs.get(f"{field}_nan_rep")) or "nan"
        zone = self._info(field).get("tz")

        def plain(values: Any) -> pa.Array:
            return _typed(values, kind, zone, missing, self._path, field)

        if text_of(attrs.get(f"{field}_meta")) != "category":
            return names, plain
        stored = self._dataset(f"meta/{field}/meta/table")
        values = stored.fields("values")[:] if stored.dtype.names and "values" in stored.dtype.names else np.empty(0)
        told = text_of(stored.attrs.get("values_dtype")) or ""
        known = _typed(values, told, None, "", self._path, field)

        def category(codes: Any) -> pa.Array:
            if codes.dtype.kind not in "iu" or (len(codes) and int(codes.max()) >= len(known)):
                raise self._bad("has categories that don't fit")
            return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), known)

        return names, category

    def _columns(
        self, values: Any, names: list[str], make: Callable[[Any], pa.Array]
    ) -> Iterator[tuple[str, pa.Array]]:
        block = values.reshape(len(values), -1)
        if block.shape[1] != len(names):
            raise self._bad("has blocks that don't fit")
        for at, name in enumerate(names):
            yield name, make(block[:, at])

    def _info(self, field: str) -> Mapping[str, Any]:
        told = plain_pickle(self._group.attrs.get("info"))
        found = told.get(field) if isinstance(told, dict) else None
        return found if isinstance(found, dict) else {}


def _typed(values: Any, kind: str, zone: object, missing: str, path: Path, name: str) -> pa.Array:
    """Return stored values as those that pandas meant; ``kind`` is how it wrote their type."""
    if kind.startswith(("datetime", "timedelta")):
        word = "datetime64" if kind.startswith("datetime") else "timedelta64"
        unit = kind.partition("[")[2].rstrip("]").partition(",")[0] or "ns"
        if unit not in ("s", "ms", "us", "ns"):
            raise bad_file(path, f"{name!r} holds times of type {kind!r:.40}")
        found = pa.array(values.astype("i8").view(f"{word}[{unit}]"))
        return found.cast(pa.timestamp(unit, str(zone))) if zone and word == "datetime64" else found
    if kind == "date":
        return pa.array((values.astype("i8") - _EPOCH).astype("i4"), pa.int32()).cast(pa.date32())
    if kind.startswith("bool"):
        return pa.array(values.astype(bool))
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8").astype(object)
    if values.dtype.kind == "O":
        texts = [one.decode("utf-8") if isinstance(one, bytes) else one for one in values]
        if not all(isinstance(one, str) for one in texts):
            raise bad_file(path, f"{name!r} holds objects that are no texts")
        return pa.array([None if one == missing else one for one in texts], pa.string())
    if values.dtype.kind not in "biuf":
        raise bad_file(path, f"{name!r} is of type {values.dtype}")
    if not len(values) and kind.startswith(("int", "uint", "float")):  # of an empty one pandas stores a float instead
        values = values.astype({"integer": "int64"}.get(kind, kind))
    return pa.array(values.astype(values.dtype.newbyteorder("=")))


def _is_empty(dataset: Any) -> bool:
    """Say whether an array has no values, of which PyTables stores one that says so."""
    shape = plain_pickle(dataset.attrs.get("shape"))
    return dataset.size == 0 or (isinstance(shape, tuple) and 0 in shape)


def _is_axes(axes: object) -> bool:
    return (
        isinstance(axes, list)
        and len(axes) == 1
        and isinstance(axes[0], tuple)
        and len(axes[0]) == 2
        and isinstance(axes[0][1], list)
    )


def _counts(values: pa.Array) -> bool:
    return pa.types.is_integer(values.type) and bool((values.to_numpy() == np.arange(len(values))).all())


def _free(name: str, taken: Any) -> str:
    while name in taken:
        name += "_"
    return name


def plain_pickle(value: object) -> Any:
    """Return the list, tuple, dict, text or number that a pickle of protocol 0 stands for, in which None is all else.

    Nothing is imported or called: the opcodes are read, as ``pickletools.dis`` does.
    """
    if not isinstance(value, bytes) or len(value) > _LONGEST_PICKLE:  # numpy's bytes are bytes
        return None
    stack: list[Any] = []
    memo: dict[str, Any] = {}
    try:
        for opcode, argument, _ in pickletools.genops(bytes(value)):
            match opcode.name:
                case "MARK":
                    stack.append(_MARK)
                case "LIST" | "TUPLE" | "DICT":
                    at = len(stack) - 1 - stack[::-1].index(_MARK)
                    items = stack[at + 1 :]
                    made = dict(zip(items[::2], items[1::2], strict=True)) if opcode.name == "DICT" else items
                    stack[at:] = [tuple(items) if opcode.name == "TUPLE" else made]
                case "APPEND":
                    one = stack.pop()
                    stack[-1].append(one)
                case "SETITEM":
                    one, key = stack.pop(), stack.pop()
                    stack[-1][key] = one
                case "PUT":
                    memo[str(argument)] = stack[-1]
                case "GET":
                    stack.append(memo[str(argument)])
                case "UNICODE" | "INT" | "LONG" | "FLOAT" | "STRING":
                    stack.append(argument)
                case "NONE":
                    stack.append(None)
                case "GLOBAL":
                    stack.append(_GLOBAL)
                case "REDUCE":
                    stack[-2:] = [None]
                case "STOP":
                    return stack.pop()
                case _:
                    return None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, UnicodeDecodeError):
        return None
    return None


def text_of(value: object) -> str | None:
    """Return an attribute that is a text."""
    if isinstance(value, bytes):
        return bytes(value).decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def bad_file(path: Path, problem: str, hint: str | None = None) -> InvalidInputError:
    """Make the error that says why a file can't be read."""
    return InvalidInputError(
        f"{path.name!r}: {problem}",
        kind="bad-table-file",
        hint=hint or "keep it as it is, as an artifact",
        path=str(path),
    )
