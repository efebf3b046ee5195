"""Every public method that there is, called with arguments that fit and arguments that don't.

Methods are found by inspection, and arguments by the names and annotations of their parameters: a new method is called
without being listed here.
"""

from __future__ import annotations

import inspect
import math
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path
from random import Random
from traceback import extract_tb
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from fuzzing import NESTED, PLAIN, TEXTS

import lakefolio as lf
from lakefolio import pages
from lakefolio.errors import LakefolioError
from lakefolio.interop import importing, publishing

__all__ = ["FACES", "Call", "calls_of", "methods", "outcome"]


class Colour(Enum):
    RED = 1


class Word(str):
    pass


VALUES: list[Any] = [
    *PLAIN,
    *[text for text in TEXTS if not text.startswith(("..", "/"))],
    "[" * 300,
    "\ud800",
    "a:b:c@",
    "f:a@99",
    "@",
    "select",
    *NESTED,
    (),
    (1,),
    set(),
    {1: 2},
    {"a": {1, 2}},
    {None: 1},
    {"a": object()},
    b"",
    b"\xff\x00",
    bytearray(b"x"),
    memoryview(b"x"),
    object(),
    object,
    len,
    lambda: None,
    Colour.RED,
    Word("a"),
    Path("no such file"),
    Path("\0"),
    Decimal("NaN"),
    Decimal("1e400"),
    Fraction(1, 3),
    1j,
    range(3),
    uuid.UUID(int=0),
    deque([1]),
    OrderedDict(a=1),
    datetime.min,
    datetime.max.replace(tzinfo=UTC),
    datetime(2026, 1, 1, tzinfo=UTC),
    date.min,
    time(1),
    timedelta.max,
    np.float16(1),
    np.datetime64("NaT"),
    np.zeros((0, 3)),
    np.array(1),
    np.array(["a", None], object),
    np.arange(3),
    pd.NaT,
    pd.DataFrame(),
    pd.DataFrame({"k": [1], 2: ["x"]}),
    pd.Series([1, 2]),
    pl.DataFrame({"a": [1]}),
    pl.LazyFrame({"a": [1]}),
    pa.table({"a": [1], "b": pa.nulls(1)}),
    pa.array([1]),
    math,
    StopIteration(),
    lf.Q(tag="t"),
]
"""Odd ones. None is an absolute path, an address of a network, or something that never ends."""

NAMED: dict[str, list[Any]] = {
    "name": ["a", "t", "new", "r", "s"],
    "item": ["a", "t"],
    "item_name": ["a", "t"],
    "folio": ["f", "g", None],
    "ref": ["f:a", "f:t", "f:a@1"],
    "run_id": ["r1"],
    "run": ["r1"],
    "at": [1, "s", None],
    "snapshot": ["s"],
    "where": ["size_bytes > 1", "true"],
    "query": ["from items", "select * from runs where run_id = $1"],
    "path": ["out", Path("out2")],
    "target": ["out3"],
    "inputs": [["f:a"], "f:a"],
    "tags": [["x"], "x"],
    "metadata": [{"lr": 0.5}, {"a": {"b": 1}}],
    "limit": [1, 10],
    "pattern": ["a*"],
    "version": [1, 2],
    "dry_run": [True],
    "grace": [0],
    "silent_s": [1e9],
    "license": ["MIT"],
    "forms": [["croissant"], ["croissant", "ro-crate"]],
    "kind": ["folder", "dvc", "json"],
    "source": [Path(__file__).parent / "compat", "."],
    "address": ["http://127.0.0.1:1"],
}
"""What fits, by the name of a parameter; others are given an odd value, or what their annotation asks for."""

TYPED: dict[str, list[Any]] = {
    "str": ["a", "x y"],
    "int": [1, 3],
    "bool": [True, False],
    "float": [0.5],
    "Mapping": [{"a": 1}],
    "Iterable": [["a"]],
    "Any": [{"x": 1}, 5],
}


FACES: dict[str, Callable[[lf.Lake], Any]] = {
    "lake": lambda lake: lake,
    "folio": lambda lake: lake.folio("f"),
    "run": lambda lake: lake.run("fuzzed"),
    "past": lambda lake: lake.at(3),
    "pinned": lambda lake: lake.folio("f").load_snapshot(lake.uri, "s", folio="f"),
    "manifest": lambda lake: lake.get_run("r1"),
    "found": lambda lake: lake.query(folio="f"),
    "report": lambda lake: lake.check(),
    "runs": lambda lake: lake.runs(),
    "log": lambda lake: lake.log(),
    "diff": lambda lake: lake.diff(1, 3),
    "lineage": lambda lake: lake.lineage("f:a"),
    "comparison": lambda lake: lake.compare("r1"),
    "metadata": lambda lake: lake.folio("f").metadata,
    "folder": lambda lake: lake.browse("by_type"),
    "library": lambda lake: lf,
    "publishing": lambda lake: publishing,
    "importing": lambda lake: importing,
    "pages": lambda lake: pages,
}
"""The objects that users hold, each with its public methods: how they are made of a lake."""


def methods(face: Any) -> dict[str, Callable[..., Any]]:
    """Return the public methods of a face that this library made."""
    module = inspect.ismodule(face)
    names = face.__all__ if module else [name for name in dir(type(face)) if not name.startswith("_")]
    found = {}
    for name in names:
        static = getattr(face, name) if module else inspect.getattr_static(type(face), name)
        if isinstance(static, property) or inspect.isclass(static) or not callable(getattr(face, name, None)):
            continue
        method = getattr(face, name)
        inner = inspect.unwrap(getattr(method, "__func__", method))
        if str(getattr(inner, "__module__", "")).startswith("lakefolio"):
            found[name] = method
    return found


@dataclass
class Call:
    """A call that is to be made."""

    name: str
    method: Callable[..., Any]
    args: list[Any]
    kwargs: dict[str, Any]

    def __str__(self) -> str:
        given = [*map(short, self.args), *(f"{key}={short(one)}" for key, one in self.kwargs.items())]
        return f"{self.name}({', '.join(given)})"


def short(value: Any) -> str:
    return repr(value).replace("\n", " ")[:60]


def calls_of(chance: Random, label: str, lake: lf.Lake) -> Iterator[Call]:
    """Yield one call of each method of a face of a lake; a function is called with the lake, or with something else."""
    for name, method in methods(FACES[label](lake)).items():
        yield drawn(chance, f"{label}.{name}", method, {"lake": [lake]})


def drawn(chance: Random, name: str, method: Callable[..., Any], own: Mapping[str, list[Any]]) -> Call:
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for one in inspect.signature(method).parameters.values():
        needed = one.default is inspect.Parameter.empty
        if one.kind is one.VAR_POSITIONAL:
            args += [argument(chance, one, own) for _ in range(chance.choice([0, 0, 1]))]
        elif one.kind is one.VAR_KEYWORD:
            if chance.random() < 0.2:
                kwargs[chance.choice(["extra", "x", "name", "at", "folio", "as_", "metric"])] = argument(
                    chance, one, own
                )
        elif needed or chance.random() < 0.3:
            if one.kind is one.KEYWORD_ONLY or (not needed and one.kind is not one.POSITIONAL_ONLY):
                kwargs[one.name] = argument(chance, one, own)
            else:
                args.append(argument(chance, one, own))
    return Call(name, method, args, kwargs)


def argument(chance: Random, one: inspect.Parameter, own: Mapping[str, list[Any]]) -> Any:
    """Return what a parameter may be given: half of it fits."""
    fitting = list(own.get(one.name) or NAMED.get(one.name, ()))
    if not fitting:
        said = str(one.annotation)
        fitting = [value for word, values in TYPED.items() if word in said for value in values]
    return chance.choice(fitting if fitting and chance.random() < 0.5 else VALUES)


def outcome(call: Call) -> tuple[bool, Exception | None]:
    """Make a call; return whether it was refused, and what left it and is no error that may.

    Those of the library may, and a TypeError of the call itself, which does not take so many arguments.
    """
    try:
        made = call.method(*call.args, **call.kwargs)
    except LakefolioError as exc:
        return True, exc if "\n" in str(exc) or not str(exc).isprintable() else None
    except TypeError as exc:
        inside = [frame for frame in extract_tb(exc.__traceback__)[1:] if "/process/" not in frame.filename]
        return True, exc if inside else None
    except Exception as exc:
        return True, exc
    try:
        for close in ("finish", "stop", "close"):  # what was begun is ended
            if not isinstance(made, type) and callable(getattr(made, close, None)):
                getattr(made, close)()
        if isinstance(made, list | dict | str) or hasattr(made, "_repr_html_"):
            repr(made)
            str(made)
    except LakefolioError:
        return False, None
    except Exception as exc:
        return False, exc
    return False, None
