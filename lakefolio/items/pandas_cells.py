"""One pandas column or index level as an Arrow array plus a *cell*, the JSON from which it is made again.

Longer than most modules: how each kind of column is taken apart stands beside how it is made again.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import decimal
import uuid
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from lakefolio.errors import InvalidInputError, brief
from lakefolio.format.json_decode import zone_of
from lakefolio.format.json_scalars import name_of_zone

__all__ = ["Cells", "cells_of", "check_dtype", "values_of"]

_TEXT_BYTES: Final = 64 << 20
_TEXT_FACTOR: Final = 64
_PLAIN: Final = {
    bool: pa.bool_(),
    bytes: pa.large_binary(),
    dt.date: pa.date32(),
    dt.time: pa.time64("us"),
    dt.timedelta: pa.duration("us"),
    float: pa.float64(),
    int: None,
    decimal.Decimal: None,
    dt.datetime: None,
    list: None,
    dict: None,
}
"""Python types that an object column may hold, and their Arrow type where it isn't looked for."""


@dataclass(frozen=True, slots=True)
class Cells:
    """A converted column."""

    array: pa.Array | pa.ChunkedArray
    plan: dict[str, Any]


def cells_of(values: Any, where: str, name: str) -> Cells:
    """Convert a Series or an Index that is no MultiIndex.

    Args:
        values: The values.
        where: How to call them in errors: ``column 'a'``.
        name: The column, for the errors' attribute.

    Raises:
        InvalidInputError: If the same values can't come back.
    """
    try:
        return _cells(values, where, name)
    except InvalidInputError:
        raise
    except Exception as exc:  # Arrow, pandas and the values themselves may raise anything
        raise InvalidInputError(
            f"{where} of dtype {values.dtype} can't be stored: {brief(exc)}",
            kind="unsupported-column",
            hint="convert it to a plain dtype with .astype first",
            column=name,
        ) from exc


def _cells(values: Any, where: str, name: str) -> Cells:
    import pandas as pd

    dtype = values.dtype
    if isinstance(dtype, np.dtype):
        if dtype.kind == "O":
            return _object_cells(values, where, name)
        if dtype.metadata is not None:
            raise InvalidInputError(
                f"{where} is of a dtype {dtype} with metadata, which would not come back",
                kind="unsupported-column",
                hint=f"make it anew of .to_numpy().astype({str(dtype)!r}), and note it as metadata of the item",
                column=name,
            )
        return Cells(pa.array(values.to_numpy(), from_pandas=True), {"kind": "numpy", "dtype": str(dtype)})
    if isinstance(dtype, pd.DatetimeTZDtype):
        zone = name_of_zone(dtype.tz, None) if dtype.tz is not None else None
        text = zone if isinstance(zone, str) else _offset_text(zone or 0)
        naive = (
            values.dt.tz_convert("UTC").dt.tz_localize(None)
            if isinstance(values, pd.Series)
            else values.tz_convert("UTC").tz_localize(None)
        )
        array = pa.array(naive.to_numpy(), from_pandas=True).cast(pa.timestamp(dtype.unit, "UTC"))
        plan = {"kind": "zoned", "unit": dtype.unit, "zone": zone}
        if type(dtype.tz).__module__.partition(".")[0] == "pytz":  # pandas 2 holds its zones unlike those of zoneinfo
            plan["library"] = "pytz"
        return Cells(array.cast(pa.timestamp(dtype.unit, text)), plan)
    if isinstance(dtype, pd.CategoricalDtype):
        codes = np.asarray(values.cat.codes if isinstance(values, pd.Series) else values.codes)
        inner = cells_of(dtype.categories, f"the categories of {where}", name)
        dictionary = inner.array.combine_chunks() if isinstance(inner.array, pa.ChunkedArray) else inner.array
        indices = pa.array(codes, mask=codes < 0)
        array = pa.DictionaryArray.from_arrays(indices, dictionary, ordered=bool(dtype.ordered))
        return Cells(array, {"kind": "category", "ordered": bool(dtype.ordered), "cell": inner.plan})
    if isinstance(dtype, pd.StringDtype):
        missing = "na" if getattr(dtype, "na_value", pd.NA) is pd.NA else "nan"
        return Cells(_arrow(values), {"kind": "string", "storage": dtype.storage, "missing": missing})
    if isinstance(dtype, pd.PeriodDtype):
        period = values.array
        array = pa.array(period.asi8, mask=np.asarray(period.isna()))
        return Cells(array, {"kind": "period", "freq": str(dtype)[len("period[") : -1]})
    if isinstance(dtype, pd.IntervalDtype):
        interval = values.array
        left = cells_of(pd.Index(interval.left), f"the left ends of {where}", name)
        right = cells_of(pd.Index(interval.right), f"the right ends of {where}", name)
        ends = [
            one.array.combine_chunks() if isinstance(one.array, pa.ChunkedArray) else one.array for one in (left, right)
        ]
        array = pa.StructArray.from_arrays(ends, ["left", "right"], mask=pa.array(np.asarray(interval.isna())))
        return Cells(array, {"kind": "interval", "closed": dtype.closed, "cell": left.plan})
    if isinstance(dtype, pd.ArrowDtype):
        return Cells(_arrow(values), {"kind": "arrow"})
    if isinstance(dtype, pd.SparseDtype):
        raise InvalidInputError(
            f"{where} is sparse ({dtype})",
            kind="unsupported-column",
            hint="use .sparse.to_dense(), or store the frame as a scipy sparse matrix",
            column=name,
        )
    if hasattr(dtype, "__from_arrow__"):
        kind = "masked" if str(dtype) in _MASKED else "extension"
        return Cells(_arrow(values), {"kind": kind, "dtype": str(dtype)})
    raise InvalidInputError(
        f"{where} is of the dtype {dtype}, which has no counterpart in Arrow",
        kind="unsupported-column",
        hint="convert it to a plain dtype with .astype first",
        column=name,
    )


_MASKED: Final = frozenset(
    {"boolean", "Float32", "Float64", *(f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))}
)


def _arrow(values: Any) -> pa.Array | pa.ChunkedArray:
    found = values.array.__arrow_array__()
    return found if isinstance(found, (pa.Array, pa.ChunkedArray)) else pa.array(found)


def _offset_text(seconds: float) -> str:
    if seconds % 60:
        raise ValueError(f"a time zone with an offset of {seconds} s")
    sign, minutes = ("-" if seconds < 0 else "+"), int(abs(seconds) // 60)
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}"


def _object_cells(values: Any, where: str, name: str) -> Cells:
    import pandas as pd

    found = values.to_numpy()
    absent = np.asarray(pd.isna(found))
    present = found[~absent] if absent.any() else found
    kinds = set(map(type, present))
    missing = _missing(found, absent, where, name)
    if len(kinds) > 1:
        names = sorted(kind.__qualname__ for kind in kinds)
        raise InvalidInputError(
            f"{where} holds values of mixed types: {', '.join(names)}",
            kind="mixed-types",
            hint="convert them to one type with .astype, or split the column",
            column=name,
            types=names,
        )
    if not kinds:
        return Cells(pa.nulls(len(found)), {"kind": "null", "missing": missing})
    (kind,) = kinds
    if kind is str:
        # one type whatever the library's default, so that the same frame has the same digest
        return Cells(pa.array(found, pa.large_string(), mask=absent), {"kind": "text", "missing": missing})
    array, plan = _object_array(found, absent, present, kind, where, name)
    cells = Cells(array, {"kind": "object", "missing": missing, **plan})
    _check_same(cells, present, absent, kind, where, name)
    return cells


def _object_array(
    found: Any, absent: Any, present: Any, kind: type, where: str, name: str
) -> tuple[pa.Array, dict[str, Any]]:
    if kind in _PLAIN:
        rows = [None if gone else value for value, gone in zip(found, absent, strict=True)]
        if kind is int and not all(-(2**63) <= value < 2**63 for value in present):
            texts = [None if value is None else str(value) for value in rows]  # no Arrow type holds them all
            return pa.array(texts, pa.large_string()), {"type": "integer"}
        return pa.array(rows, _PLAIN[kind]), {"type": kind.__name__}
    if kind is tuple:
        rows = [None if gone else list(value) for value, gone in zip(found, absent, strict=True)]
        return pa.array(rows), {"type": "tuple"}
    if kind is uuid.UUID:
        rows = [None if gone else str(value) for value, gone in zip(found, absent, strict=True)]
        return pa.array(rows, pa.large_string()), {"type": "UUID"}
    if kind is np.ndarray and all(
        one.ndim == 1 and one.dtype == present[0].dtype and not one.dtype.hasobject for one in present
    ):
        return pa.array(list(found), mask=absent), {"type": "ndarray", "dtype": present[0].dtype.str}
    if issubclass(kind, np.generic) and np.dtype(kind).kind in "biuf":
        dtype = np.dtype(kind)
        dense = np.zeros(len(found), dtype)
        dense[~absent] = present.astype(dtype)
        return pa.array(dense, mask=absent), {"type": "numpy", "dtype": dtype.str}
    text = f"{kind.__module__}.{kind.__qualname__}"
    raise InvalidInputError(
        f"{where} holds objects of type {text}, which a table can't store",
        kind="unsupported-column",
        hint="convert them to text or numbers first",
        column=name,
        types=[text],
    )


def _check_same(cells: Cells, present: Any, absent: Any, kind: type, where: str, name: str) -> None:
    """Refuse values that wouldn't come back equal (dicts of different keys, lists of mixed types)."""
    back = _objects(pa.chunked_array([cells.array]), cells.plan)[~absent]
    if kind in (list, dict, tuple):
        same = all(repr(one) == repr(other) for one, other in zip(back, present, strict=True))
    elif kind is np.ndarray:
        same = all(
            one.dtype == other.dtype and one.tobytes() == other.tobytes()
            for one, other in zip(back, present, strict=True)
        )
    else:
        pairs = zip(back, present, strict=True)
        same = all(one != one or (one == other and _fold(one) == _fold(other)) for one, other in pairs)
    if not same:
        raise InvalidInputError(
            f"{where} holds values of type {kind.__name__} that would not come back equal",
            kind="unsupported-column",
            hint="give all of them the same keys, types and precision, or store the column as JSON text",
            column=name,
        )


def _fold(value: object) -> int:
    """Return which of two equal times of a day with a changed clock a datetime means; equality doesn't look at it."""
    return getattr(value, "fold", 0)


def _missing(found: Any, absent: Any, where: str, name: str) -> dict[str, Any]:
    """Return which of None, NaN, NA and NaT stand for missing values: the most frequent, and rows of others."""
    import pandas as pd

    rows: dict[str, list[int]] = {}
    for row in np.flatnonzero(absent):
        value = found[row]
        if value is None:
            kind = "none"
        elif value is pd.NA:
            kind = "na"
        elif value is pd.NaT:
            kind = "nat"
        elif isinstance(value, float):
            kind = "nan"
        else:
            raise InvalidInputError(
                f"{where} holds {value!r} of type {type(value).__qualname__} for a missing value",
                kind="unsupported-column",
                hint="replace it by None or NaN",
                column=name,
            )
        rows.setdefault(kind, []).append(int(row))
    most = max(rows, key=lambda kind: len(rows[kind])) if rows else "none"
    return {"kind": most, "others": {kind: _pack(places) for kind, places in rows.items() if kind != most}}


def _pack(places: list[int]) -> str:
    return base64.b64encode(zlib.compress(np.asarray(places, "<i8").tobytes())).decode()


def _unpack(packed: str, rows: int) -> np.ndarray[Any, Any]:
    """Return the places that were packed: at most one for each row."""
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(base64.b64decode(packed), 8 * rows + 1)
    if len(content) > 8 * rows or not unpacker.eof:
        raise ValueError(f"more missing values than {rows} rows")
    return np.frombuffer(content, "<i8")


def check_dtype(name: str) -> str:
    """Return the name of a dtype whose values have a fixed size that is not chosen by the name.

    Raises:
        ValueError: For text, bytes and records of a given length.
    """
    try:
        dtype = np.dtype(name)
    except TypeError:
        return name  # one of pandas
    if dtype.kind in "SUV" and dtype.itemsize:
        raise ValueError(f"a column of the dtype {name[:40]!r}")
    return name


def _zone(plan: Mapping[str, Any]) -> dt.tzinfo:
    zone = zone_of(plan["zone"])
    if zone is None:
        return dt.UTC
    if plan.get("library") == "pytz":
        import pytz

        name = plan["zone"]
        with contextlib.suppress(pytz.UnknownTimeZoneError, ValueError):
            zone = pytz.timezone(name) if isinstance(name, str) else pytz.FixedOffset(round(name / 60))
    return zone


def values_of(column: pa.ChunkedArray, plan: Mapping[str, Any]) -> Any:
    """Return the pandas or numpy array of a column."""
    import pandas as pd

    kind = plan["kind"]
    if kind == "numpy":
        dtype = np.dtype(check_dtype(plan["dtype"]))
        found = _writable(column)
        return found if found.dtype == dtype else found.astype(dtype)
    if kind == "zoned":
        naive = column.cast(pa.timestamp(plan["unit"])).to_numpy().astype(f"datetime64[{plan['unit']}]")
        return pd.DatetimeIndex(naive).tz_localize("UTC").tz_convert(_zone(plan)).array
    if kind == "category":
        return _category(column, plan)
    if kind == "string":
        return _string_dtype(plan).__from_arrow__(column)
    if kind == "period":
        ordinals = column.fill_null(np.iinfo(np.int64).min).to_numpy()
        return pd.arrays.PeriodArray(ordinals.astype(np.int64), dtype=pd.PeriodDtype(plan["freq"]))
    if kind == "interval":
        struct = column.combine_chunks()
        struct = struct.combine_chunks() if isinstance(struct, pa.ChunkedArray) else struct
        left, right = (values_of(pa.chunked_array([end]), plan["cell"]) for end in struct.flatten())
        return pd.arrays.IntervalArray.from_arrays(left, right, closed=plan["closed"])
    if kind == "arrow":
        return pd.arrays.ArrowExtensionArray(column)
    if kind in ("masked", "extension"):
        found = pd.api.types.pandas_dtype(plan["dtype"]).__from_arrow__(column)
        if plan["dtype"] in ("Float32", "Float64"):  # pandas 3 makes every NaN a missing value there
            return type(found)(column.fill_null(1.0).to_numpy().copy(), column.is_null().to_numpy().copy())
        return found
    return _objects(column, plan)


def _writable(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """Return the values of a column that was just read, in its own memory where that works: nobody else holds it."""
    found: np.ndarray[Any, Any] = column.to_numpy()
    if found.flags.writeable:
        return found
    if column.num_chunks == 1:
        chunk = column.chunk(0)
        memory = chunk.buffers()[1]
        if memory is not None and memory.is_mutable:
            return np.frombuffer(memory, found.dtype)[chunk.offset : chunk.offset + len(chunk)]
    return found.copy()


def _string_dtype(plan: Mapping[str, object]) -> Any:
    import pandas as pd

    if plan["missing"] == "na":
        return pd.StringDtype(plan["storage"])
    try:
        return pd.StringDtype(plan["storage"], na_value=np.nan)
    except (TypeError, ImportError):  # pandas before 2.3, or without pyarrow strings
        return pd.StringDtype("pyarrow")


def _category(column: pa.ChunkedArray, plan: Mapping[str, Any]) -> Any:
    import pandas as pd

    chunks = column.unify_dictionaries().chunks if column.num_chunks > 1 else column.chunks
    dictionary = chunks[0].dictionary if chunks else pa.array([], column.type.value_type)
    categories = pd.Index(
        values_of(pa.chunked_array([dictionary]), plan["cell"]),
        dtype=object if plan["cell"]["kind"] in ("text", "object", "null") else None,
        tupleize_cols=False,
    )
    codes = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in chunks]
    joined = np.concatenate(codes) if codes else np.zeros(0, np.int8)
    return pd.Categorical.from_codes(joined, categories=categories, ordered=plan["ordered"])


def _objects(column: pa.ChunkedArray, plan: Mapping[str, Any]) -> Any:
    kind = plan.get("type", "str" if plan["kind"] == "text" else None)
    convert = _CONVERT.get(kind or "")
    if plan["kind"] == "null":
        found = np.full(len(column), None, dtype=object)
    elif kind in ("str", "bytes"):
        found = column.to_numpy().astype(object)
    else:
        rows = column.to_pylist()
        if kind in ("numpy", "ndarray"):
            dtype = np.dtype(plan["dtype"])
            count = sum(np.size(row) for row in rows if row is not None)
            if dtype.kind in "SUV" and count * dtype.itemsize > _TEXT_BYTES + _TEXT_FACTOR * column.nbytes:
                raise ValueError(f"{count} values of the dtype {dtype} in {column.nbytes} bytes")
            rows = [None if row is None else np.array(row, dtype)[()] for row in rows]
        elif convert is not None:
            rows = [None if row is None else convert(row) for row in rows]
        found = np.fromiter(rows, dtype=object, count=len(rows))
    return _with_missing(found, column, plan["missing"])


_CONVERT: Final[dict[str, Callable[[Any], Any]]] = {"tuple": tuple, "UUID": uuid.UUID, "integer": int}


def _with_missing(found: Any, column: pa.ChunkedArray, missing: Mapping[str, Any]) -> Any:
    import pandas as pd

    if not column.null_count:
        return found
    marks = {"none": None, "nan": np.nan, "na": pd.NA, "nat": pd.NaT}
    if not found.flags.writeable:
        found = found.copy()
    found[np.asarray(column.is_null())] = marks[missing["kind"]]
    for kind, packed in missing["others"].items():
        found[_unpack(packed, len(found))] = marks[kind]
    return found
