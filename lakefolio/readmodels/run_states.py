"""The read model ``run_states``: one row per run, with all that is said of it (pure: no I/O).

Searching runs by parameters and metrics scans it, and gathers nothing: the facts of a run lie in one row, names and
values of its parameters in lists side by side. A run that goes on is continued from its row: the row holds what the
next one depends on (which outputs and inputs were counted, and what was logged last), so that folding reads no other
model and no part of the journal again. Earlier states are not kept.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import pyarrow as pa

from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.readmodels.model import POSITION, REMOVED, Model, succession

__all__ = ["READ_COLUMNS", "READ_OPS", "RUN_STATES", "states_of"]

_TEXTS: Final = (
    *("type", "project", "model", "status", "started_at", "ended_at", "author", "tags", "name", "parent"),
    *("description", "host", "git_commit", "git_dirty", "error_type", "error", "organisation"),
)
"""The facts that are columns of the view ``runs``."""
READ_OPS: Final = ("run", "put", "metrics")
"""The ops of the rows that a state follows from."""
READ_COLUMNS: Final = ("version", "ordinal", "op", "run_id", "entry_id", "details", "inputs", "facts")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NO_JSON: Final = {f'{{"$type":"float","value":"{one}"}}': float(one) for one in ("nan", "inf", "-inf")}
_LISTS: Final = (
    *("param_names", "param_values", "param_numbers"),
    *("metric_names", "metric_values", "metric_numbers"),
    *("logged_names", "logged_values"),
)


def _fields() -> list[pa.Field]:
    def some(kind: pa.DataType) -> pa.DataType:
        return pa.list_(kind)

    lists = [pa.field(name, some(pa.float64() if name.endswith("numbers") else pa.string())) for name in _LISTS]
    counts = [pa.field(name, pa.int64(), nullable=False) for name in ("input_count", "output_count")]
    position = [MANIFESTS_SCHEMA.field(name).with_nullable(False) for name in POSITION]
    return [
        pa.field("run_id", pa.string(), nullable=False),
        *position,
        pa.field("begun", pa.int64(), nullable=False),
        pa.field("since", pa.int64()),
        *(pa.field(name, pa.string()) for name in _TEXTS),
        *lists,
        *counts,
        pa.field("inputs", some(pa.string())),
        pa.field("outputs", some(pa.string())),
        *succession(POSITION),
    ]


RUN_STATES: Final = Model(
    name="run_states",
    schema=pa.schema(_fields()),
    key=("run_id",),
    filtered=1,
    succeeding=True,
    past=False,
    scanned=(
        *("version", "ordinal", "begun", "since", "type", "project", "model", "status", "started_at", "input_count"),
        *(f"{kind}_{part}.list.element" for kind in ("param", "metric", "logged") for part in ("names", "numbers")),
        *("output_count", *(field.name for field in succession(POSITION))),
    ),
    group_rows=2_048,
)
"""One row per run: its newest state. ``begun`` is the version of the first row about it, ``since`` that of the first
which noted a fact, null as long as none did."""


class _State:
    """What rows say of one run so far."""

    def __init__(self, run_id: str, row: Mapping[str, Any] | None) -> None:
        self.run_id = run_id
        self.position = (-1, -1)
        self.begun = -1
        self.since: int | None = None
        self.texts: dict[str, str | None] = dict.fromkeys(_TEXTS)
        self.params: dict[str, tuple[str, float | None]] = {}
        self.metrics: dict[str, tuple[str, float | None]] = {}
        self.logged: dict[str, str] = {}
        self.inputs: dict[str, None] = {}
        self.outputs: dict[str, None] = {}
        if row is not None:
            self.begun, self.since = row["begun"], row["since"]
            self.texts = {name: row[name] for name in _TEXTS}
            for kind, values in (("param", self.params), ("metric", self.metrics)):
                texts, numbers = row[f"{kind}_values"] or (), row[f"{kind}_numbers"] or ()
                values |= zip(row[f"{kind}_names"] or (), zip(texts, numbers, strict=True), strict=True)
            self.logged = dict(zip(row["logged_names"] or (), row["logged_values"] or (), strict=True))
            self.inputs = dict.fromkeys(row["inputs"] or ())
            self.outputs = dict.fromkeys(row["outputs"] or ())

    def noted(self, version: int, facts: Collection[Mapping[str, Any]]) -> None:
        if facts and self.since is None:
            self.since = version
        for fact in facts:
            key, value = fact["key"], fact["value"]
            if key in self.texts:
                self.texts[key] = value
            elif key is not None and key.startswith(("params.", "metrics.")):
                kind, _, name = key.partition(".")
                values = self.params if kind == "params" else self.metrics
                if value is None:
                    values.pop(name, None)
                else:
                    values[name] = (value, _number(value, fact["value_number"]))

    def row(self) -> dict[str, Any]:
        found: dict[str, Any] = dict(zip(POSITION, self.position, strict=True))
        found |= {"run_id": self.run_id, "begun": self.begun, "since": self.since, **self.texts}
        for kind, values in (("param", self.params), ("metric", self.metrics)):
            names = sorted(values)
            found[f"{kind}_names"] = names
            found[f"{kind}_values"] = [values[name][0] for name in names]
            found[f"{kind}_numbers"] = [values[name][1] for name in names]
        found["logged_names"] = sorted(self.logged)
        found["logged_values"] = [self.logged[name] for name in found["logged_names"]]
        found |= {"input_count": len(self.inputs), "output_count": len(self.outputs), REMOVED: False}
        return found | {"inputs": sorted(self.inputs), "outputs": sorted(self.outputs)}


def states_of(rows: pa.Table, known: Callable[[Collection[str]], Mapping[str, Mapping[str, Any]]]) -> pa.Table:
    """Return the rows of the model that rows of the journal make: one per run that they are about, in no order.

    Args:
        rows: Rows of ``manifests`` in their order.
        known: Returns what was known of some runs before them: rows of this model, by their ids.
    """
    import pyarrow.compute as pc

    about = pc.and_(pc.is_in(rows.column("op"), value_set=pa.array(READ_OPS)), pc.is_valid(rows.column("run_id")))
    rows = rows.select(READ_COLUMNS).filter(about)
    if not rows.num_rows:
        return RUN_STATES.nothing
    ids = rows.column("run_id").unique().to_pylist()
    before = known(ids)
    states = {run_id: _State(run_id, before.get(run_id)) for run_id in ids}
    for batch in rows.to_batches(max_chunksize=10_000):
        for row in batch.to_pylist():
            state, op = states[row["run_id"]], row["op"]
            state.position = (row["version"], row["ordinal"])
            state.begun = row["version"] if state.begun < 0 else state.begun
            if op == "run":
                state.noted(row["version"], row["facts"] or ())
                sources = [edge["input_id"] or edge["input_uri"] for edge in row["inputs"] or ()]
                state.inputs |= dict.fromkeys(one for one in sources if one is not None)
            elif op == "metrics":
                state.logged |= _last_logged(row["details"])
            elif row["entry_id"] is not None:
                state.outputs[row["entry_id"]] = None
    found = [state.row() for state in states.values()]
    schema = RUN_STATES.schema
    arrays = [pa.array([row.get(field.name) for row in found], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _number(text: str, noted: float | None) -> float | None:
    """Return the number that a fact's text says; of a tagged one that which was noted beside it."""
    if _NUMBER.fullmatch(text):
        number = 0.0 if text == "-0" else float(text)
        return number if math.isfinite(number) else None
    return _NO_JSON[text] if text in _NO_JSON else noted if text.startswith("{") else None


class _Digits(str):
    """A number as its text has it."""

    __slots__ = ()


def _no_json(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _last_logged(details: str | None) -> dict[str, str]:
    """Return the last value of each metric as JSON text, as the views tell it; what is not understood says nothing."""
    try:
        told = json.loads(details or "null", parse_float=_Digits, parse_int=_Digits, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return {}
    last = told.get("last") if isinstance(told, dict) else None
    pairs = last.items() if isinstance(last, dict) else ()
    return {name: _text(pair[0]) for name, pair in pairs if isinstance(pair, list) and pair}


def _text(value: object) -> str:
    if isinstance(value, _Digits):
        return str(value)
    if isinstance(value, dict):
        return f"{{{','.join(f'{json.dumps(name)}:{_text(one)}' for name, one in value.items())}}}"
    return f"[{','.join(map(_text, value))}]" if isinstance(value, list) else json.dumps(value)
