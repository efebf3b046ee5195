"""pandas frames and series as Arrow tables, and back, equal in every dtype (FORMAT.md, "Kind table").

The Arrow table holds plain columns that any reader understands: the columns of the frame, then one per index level.
Facts that Arrow can't express lie as JSON in the metadata of its schema under ``lakefolio:pandas``: the *plan*.
It says how each column becomes a pandas column again (a *cell*), what the index and the column labels are,
and ``attrs``. Missing values are nulls in Arrow; an object column remembers whether they were None, NaN, NA
or NaT.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa

from lakefolio.errors import InvalidInputError, type_name
from lakefolio.format.json_decode import decode
from lakefolio.format.json_encode import encode
from lakefolio.items import arrow_ipc
from lakefolio.items.optional_imports import need
from lakefolio.items.pandas_cells import Cells, cells_of, check_dtype, values_of

__all__ = [
    "PLAN_KEY",
    "footer",
    "from_arrow",
    "index_names",
    "names_by_label",
    "plan_of",
    "to_arrow",
    "with_texts",
    "without_plan",
]

PLAN_KEY: Final = b"lakefolio:pandas"
_NULLABLE: Final = {
    "bool": "boolean",
    **{f"{sign}int{bits}": f"{sign.upper()}Int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
"""The dtypes that hold missing values of a dtype that has none."""
_MANY_COLUMNS: Final = 64
_FOREIGN_CELLS: Final = ("numpy", "zoned", "string", "masked", "category", "text")


def to_arrow(obj: Any) -> tuple[pa.Table, dict[str, Any]]:
    """Return a frame or series as an Arrow table, and the details to show about it.

    Raises:
        InvalidInputError: For duplicate columns, values of mixed types in a column, and dtypes or attrs that
            can't come back.
    """
    import pandas as pd

    series = isinstance(obj, pd.Series)
    if type(obj) not in (pd.DataFrame, pd.Series):
        kind = type_name(obj)
        raise InvalidInputError(
            f"the table is a {kind}, of which only the frame would come back",
            kind="frame-subclass",
            hint="add pandas.DataFrame(table), or a file in a format of that library",
            type=kind,
        )
    frame = obj.to_frame(name="values" if obj.name is None else obj.name) if series else obj
    if not frame.columns.is_unique:
        twice = [str(label) for label in frame.columns[frame.columns.duplicated()].unique()]
        raise InvalidInputError(
            f"the table has more than one column named {', '.join(map(repr, twice[:5]))}",
            kind="duplicate-columns",
            hint="rename or drop the duplicates",
            columns=twice,
        )
    names = _names(frame.columns)
    cells = [cells_of(frame.iloc[:, place], f"column {name!r}", name) for place, name in enumerate(names)]
    index_plan, index_cells = _index(frame.index, set(names))
    plan = {
        "attrs": _attrs(obj.attrs),
        "cells": [one.plan for one in cells],
        "columns": _axis(frame.columns),
        "index": index_plan,
        "names": names,
        "series": {"name": encode(obj.name)} if series else None,
        "version": 1,
    }
    if not obj.flags.allows_duplicate_labels:
        plan["duplicate_labels"] = False
    fields = [pa.field(name, one.array.type) for name, one in zip(names, cells, strict=True)]
    fields += [
        pa.field(level["name"], one.array.type)
        for level, one in zip(index_plan.get("levels", ()), index_cells, strict=True)
    ]
    metadata = {PLAN_KEY: json.dumps(plan, sort_keys=True).encode()}
    table = pa.Table.from_arrays([one.array for one in (*cells, *index_cells)], schema=pa.schema(fields, metadata))
    facts: dict[str, Any] = {
        "source": "pandas",
        "rows": len(frame),
        "hidden": [level["name"] for level in index_plan.get("levels", ())],
        "index": [str(name) for name in frame.index.names if name is not None] or type(frame.index).__name__,
    }
    if series:
        facts["series"] = True
    return table, facts


def plan_of(schema: pa.Schema) -> dict[str, Any] | None:
    """Return the plan of a stored pandas frame, or None if the table is no such."""
    text = (schema.metadata or {}).get(PLAN_KEY)
    return None if text is None else json.loads(text)


def without_plan(table: pa.Table) -> pa.Table:
    """Return the table as other libraries should see it."""
    metadata = {key: value for key, value in (table.schema.metadata or {}).items() if key != PLAN_KEY}
    return table.replace_schema_metadata(metadata or None)


def with_texts(table: pa.Table, plan: Mapping[str, Any]) -> pa.Table:
    """Return the table as other libraries should see it.

    Periods (numbers in Arrow) are texts as pandas shows them. Index levels without names have those of ``reset_index``.
    """
    cells = dict(zip(plan["names"], plan["cells"], strict=True))
    cells |= {level["name"]: level["cell"] for level in plan["index"].get("levels", ())}
    for place, name in enumerate(table.column_names):
        if cells.get(name, {}).get("kind") == "period":
            column = table.column(name)
            periods = values_of(column, cells[name]) if need("pandas", "a column of periods") else ()
            absent = column.is_null().to_pylist()
            texts = [None if gone else str(one) for one, gone in zip(periods, absent, strict=True)]
            table = table.set_column(place, name, pa.array(texts, pa.string()))
    names = list(table.column_names)
    for place, level in enumerate(plan["index"].get("levels", ())):
        name = f"level_{place}" if plan["index"]["multi"] or "index" in names else "index"
        if level["label"] is None and name not in names:
            names[names.index(level["name"])] = name
    return without_plan(table.rename_columns(names))


def index_names(plan: Mapping[str, Any]) -> list[str]:
    """Return the stored columns that make the index."""
    return [level["name"] for level in plan["index"].get("levels", ())]


def names_by_label(plan: Mapping[str, Any]) -> dict[Any, str]:
    """Return the stored column of each label, and of each index level's name."""
    labels = _axis_back(plan["columns"])
    found = dict(zip(labels, plan["names"], strict=True))
    return {**{name: name for name in index_names(plan) if name not in found}, **found}


def footer(obj: Any, table: pa.Table) -> dict[bytes, bytes]:
    """Return the footer entry by which ``pandas.read_parquet`` restores the index; empty if it couldn't read it."""
    import pandas as pd

    plan = plan_of(table.schema)
    if plan is None or any(cell["kind"] not in _FOREIGN_CELLS for cell in plan["cells"]):
        return {}
    with contextlib.suppress(pa.ArrowException, ValueError, TypeError, KeyError):
        empty = (obj.to_frame() if isinstance(obj, pd.Series) else obj).iloc[:0]
        empty = empty.set_axis(plan["names"], axis=1)
        if "levels" in plan["index"]:
            if any(level["cell"]["kind"] not in _FOREIGN_CELLS for level in plan["index"]["levels"]):
                return {}
            empty = empty.set_axis(
                empty.index.set_names(
                    [level["label"] if isinstance(level["label"], str) else None for level in plan["index"]["levels"]]
                )
            )
        empty.attrs = {}
        document = json.loads(pa.Schema.from_pandas(empty).metadata[b"pandas"])
        if "range" in plan["index"]:
            start, stop, step = plan["index"]["range"]
            name = plan["index"]["label"] if isinstance(plan["index"]["label"], str) else None
            document["index_columns"] = [{"kind": "range", "name": name, "start": start, "stop": stop, "step": step}]
        elif document["index_columns"] != index_names(plan):
            return {}
        return {b"pandas": json.dumps(document).encode()}
    return {}


def from_arrow(table: pa.Table, plan: Mapping[str, Any], rows: int, *, picked: list[Any] | None, filtered: bool) -> Any:
    """Return the frame or series.

    Args:
        table: Its columns, or some of them, and those of its index.
        plan: The result of ``plan_of``.
        rows: The number of rows of the whole table.
        picked: The labels asked for; all by default.
        filtered: Whether rows were left out, so that a range index no longer fits.
    """
    import pandas as pd

    names, labels = list(plan["names"]), _axis_back(plan["columns"])
    cells = dict(zip(names, plan["cells"], strict=True))
    levels = {level["name"]: level["cell"] for level in plan["index"].get("levels", ())}
    if picked is None:
        shown = names
    else:
        by_label = names_by_label(plan)
        shown = [by_label[label] for label in picked]
        labels = labels.take([names.index(name) for name in shown]) if set(shown) <= set(names) else pd.Index(picked)
    index = _index_back(plan["index"], table, None if filtered else rows)
    frame = _frame(table, shown, {**levels, **cells}, index)
    frame.columns = labels
    attrs = decode(plan["attrs"])
    unique = plan.get("duplicate_labels") is False
    if plan["series"] is not None and picked is None:
        found = frame.iloc[:, 0]
        found.name = decode(plan["series"]["name"])
        found.attrs = attrs
        return found.set_flags(allows_duplicate_labels=False) if unique else found
    frame.attrs = attrs
    return frame.set_flags(allows_duplicate_labels=False) if unique and picked is None and not filtered else frame


def _frame(table: pa.Table, shown: list[str], cells: Mapping[str, Any], index: Any) -> Any:
    """Put columns together, writable: each in the memory it was read to, many that numpy holds in blocks."""
    import pandas as pd

    if len(shown) > _MANY_COLUMNS and all(cells[name]["kind"] == "numpy" for name in shown):
        frame = table.select(shown).replace_schema_metadata(None).to_pandas(ignore_metadata=True)
        if all(str(dtype) == cells[name]["dtype"] for name, dtype in zip(shown, frame.dtypes, strict=True)):
            frame.index = index
            return frame
    made = {}
    for place, name in enumerate(shown):
        kind = cells[name]["kind"]
        dtype = object if kind in ("text", "object", "null") else None
        made[place] = pd.Series(values_of(table.column(name), cells[name]), index=index, dtype=dtype, copy=False)
    return pd.DataFrame(made, index=index, copy=False)


def _names(labels: Any) -> list[str]:
    taken: set[str] = {label for label in labels if type(label) is str}
    found: list[str] = []
    for label in labels:
        name = label if type(label) is str else str(label)
        if type(label) is not str:
            base, count = name, 1
            while name in taken:
                name, count = f"{base}.{count}", count + 1
            taken.add(name)
        try:
            encode(name)  # a lone surrogate is no name in Parquet
        except InvalidInputError as exc:
            raise InvalidInputError(
                f"column {name!r}: {exc.message}", kind=exc.kind, hint="rename the column", column=name
            ) from exc
        found.append(name)
    return found


def _attrs(attrs: Mapping[object, object]) -> Any:
    try:
        return encode(dict(attrs))
    except InvalidInputError as exc:
        raise InvalidInputError(
            f"the attrs of the table can't be stored: {exc.message}",
            kind="bad-attrs",
            hint="remove it from .attrs, or make it plain values",
        ) from exc


def _freq(index: Any, where: str) -> str | None:
    """Return the text of the frequency of an index; refuse one of which the text leaves out something, as holidays."""
    if type(index).__name__ not in ("DatetimeIndex", "TimedeltaIndex") or index.freq is None:
        return None
    from pandas.tseries.frequencies import to_offset

    text: str = index.freqstr
    with contextlib.suppress(ValueError):
        if to_offset(text) == index.freq:
            return text
    raise InvalidInputError(
        f"{where} has the frequency {index.freq!r}, of which only {text!r} would come back",
        kind="unsupported-column",
        hint="set its .freq to None first: the times themselves come back",
    )


def _level(index: object, place: int, where: str, name: str) -> Cells:
    import pandas as pd

    if not isinstance(index, pd.MultiIndex):
        return cells_of(index, where, name)
    level, codes = index.levels[place], np.asarray(index.codes[place])
    absent = codes < 0
    if str(level.dtype) in _NULLABLE and absent.any():  # the values alone would become floats
        cell = cells_of(level, where, name)
        return Cells(cell.array.take(pa.array(codes, mask=absent)), cell.plan)
    return cells_of(index.get_level_values(place), where, name)


def _index(index: Any, taken: set[str]) -> tuple[dict[str, Any], list[Cells]]:
    import pandas as pd

    if isinstance(index, pd.RangeIndex):
        return {"range": [index.start, index.stop, index.step], "label": encode(index.name)}, []
    levels, cells = [], []
    is_multi = isinstance(index, pd.MultiIndex)
    for place, label in enumerate(index.names):
        name = label if type(label) is str and label not in taken else f"__index_level_{place}__"
        while name in taken:
            name += "_"
        taken.add(name)
        cell = _level(index, place, f"index level {place if label is None else label!r}", name)
        levels.append({"name": name, "label": encode(label), "cell": cell.plan})
        if is_multi and (freq := _freq(index.levels[place], f"index level {label!r}")) is not None:
            levels[-1]["freq"] = freq
        cells.append(cell)
    return {"levels": levels, "multi": is_multi, "freq": _freq(index, "the index")}, cells


def _index_back(plan: Mapping[str, Any], table: pa.Table, rows: int | None) -> Any:
    import pandas as pd

    if "range" in plan:
        name = decode(plan["label"])
        if rows is None:
            return pd.RangeIndex(table.num_rows, name=name)
        return pd.RangeIndex(*plan["range"], name=name)
    levels = []
    for level in plan["levels"]:
        column, cell = table.column(level["name"]), level["cell"]
        if plan["multi"] and column.null_count and cell["kind"] == "numpy" and cell["dtype"] in _NULLABLE:
            values = values_of(column, {"kind": "masked", "dtype": _NULLABLE[cell["dtype"]]})
        else:
            values = values_of(column, cell)
        levels.append(_as_index(values, level["cell"], decode(level["label"])))
    if plan["multi"]:
        index = pd.MultiIndex.from_arrays(levels, names=[level.name for level in levels])
        for place, level in enumerate(plan["levels"]):
            if str(index.levels[place].dtype) in _NULLABLE.values() and level["cell"]["kind"] == "numpy":
                index = index.set_levels(index.levels[place].astype(check_dtype(level["cell"]["dtype"])), level=place)
            if "freq" in level and rows is not None:
                index = index.set_levels(_with_freq(index.levels[place].copy(), level["freq"]), level=place)
        return index
    return _with_freq(levels[0], plan.get("freq")) if rows is not None else levels[0]


def _as_index(values: object, cell: Mapping[str, object], name: object) -> Any:
    import pandas as pd

    plain = cell["kind"] in ("text", "object", "null")
    return pd.Index(values, dtype=object if plain else None, name=name, tupleize_cols=False)


def _with_freq(index: Any, freq: str | None) -> Any:
    if freq is not None:
        with contextlib.suppress(ValueError):
            index.freq = freq
    return index


def _axis(labels: Any) -> dict[str, Any]:
    """Return the plan of the column labels."""
    import pandas as pd

    if isinstance(labels, pd.RangeIndex):
        return {"range": [labels.start, labels.stop, labels.step], "label": encode(labels.name)}
    if isinstance(labels, pd.MultiIndex):
        dtypes = [str(level.dtype) for level in labels.levels]
        freqs = [_freq(level, "an index of the columns") for level in labels.levels]
        plan = {"tuples": encode(labels.tolist()), "labels": encode(list(labels.names)), "dtypes": dtypes}
        return {**plan, "freqs": freqs} if any(freqs) else plan
    if str(labels.dtype) in ("object", "str", "string"):
        return {"values": encode(labels.tolist()), "dtype": str(labels.dtype), "label": encode(labels.name)}
    cell = cells_of(labels, "column labels", "labels")
    array = cell.array.combine_chunks() if isinstance(cell.array, pa.ChunkedArray) else cell.array
    freq = _freq(labels, "the index of the columns")
    return {"arrow": arrow_ipc.packed(array), "cell": cell.plan, "label": encode(labels.name), "freq": freq}


def _axis_back(plan: Mapping[str, Any]) -> Any:
    import pandas as pd

    if "range" in plan:
        return pd.RangeIndex(*plan["range"], name=decode(plan["label"]))
    if "tuples" in plan:
        names = decode(plan["labels"])
        tuples = decode(plan["tuples"])
        dtypes = [check_dtype(dtype) for dtype in plan["dtypes"]]
        if not tuples:
            return pd.MultiIndex.from_arrays([pd.Index([], dtype=dtype) for dtype in dtypes], names=names)
        index = pd.MultiIndex.from_tuples(tuples, names=names)
        for place, dtype in enumerate(dtypes):
            if str(index.levels[place].dtype) != dtype:
                index = index.set_levels(index.levels[place].astype(dtype), level=place)
        for place, freq in enumerate(plan.get("freqs") or ()):
            index = index.set_levels(_with_freq(index.levels[place].copy(), freq), level=place)
        return index
    if "values" in plan:
        name = decode(plan["label"])
        return pd.Index(decode(plan["values"]), dtype=check_dtype(plan["dtype"]), name=name, tupleize_cols=False)
    values = values_of(pa.chunked_array([arrow_ipc.unpacked(plan["arrow"])]), plan["cell"])
    index = _as_index(values, plan["cell"], decode(plan["label"]))
    return _with_freq(index, plan.get("freq"))
