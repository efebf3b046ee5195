"""``@capture(cache=True)``: an earlier answer holds only where code, inputs, and what the code reads are the same."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import numpy as np
import pytest

import lakefolio as lf

_BEGIN = """
    import functools, types
    import numpy as np
    import pandas as pd

    @lf.capture(lake=lake, cache=True)
    def f(x):
        made.append(x)
        return compute(x)
"""

CHANGES = {
    "a function it calls": ("def compute(x): return x + 1", "def compute(x): return x + 2"),
    "a function that one calls": (
        "def compute(x): return inner(x)\ndef inner(x): return x + 1",
        "def inner(x): return x + 2",
    ),
    "a default": ("def compute(x, by=2): return x * by", "def compute(x, by=3): return x * by"),
    "a number": ("by = 2\ndef compute(x): return x * by", "by = 3"),
    "a dict": ("by = {'n': 2}\ndef compute(x): return x * by['n']", "by = {'n': 3}"),
    "a dict, from inside": ("by = {'n': 2}\ndef compute(x): return x * by['n']", "by['n'] = 3"),
    "a table": (
        "by = pd.DataFrame({'n': [2]})\ndef compute(x): return int(x * by.n.sum())",
        "by = pd.DataFrame({'n': [3]})",
    ),
    "an array in a list": ("by = [np.ones(2)]\ndef compute(x): return float(x * by[0].sum())", "by[0] = np.zeros(2)"),
    "settings": (
        "by = types.SimpleNamespace(n=2)\ndef compute(x): return x * by.n",
        "by.n = 3",
    ),
    "a closure": (
        "def make(by):\n    def compute(x): return x * by['n']\n    return compute\ncompute = make({'n': 2})",
        "compute = make({'n': 3})",
    ),
    "a partial": (
        "def times(x, by): return x * by\ncompute = functools.partial(times, by=2)",
        "compute = functools.partial(times, by=3)",
    ),
    "a method": (
        "class C:\n    def go(self, x): return x + 1\ndef compute(x): return C().go(x)",
        "class C:\n    def go(self, x): return x + 2",
    ),
    "an object of one's own": (
        "class C:\n    def __init__(self, by): self.by = by\nc = C(2)\ndef compute(x): return x * c.by",
        "c.by = 3",
    ),
    "a function of a library": ("op = np.add\ndef compute(x): return float(op(x, 3))", "op = np.multiply"),
    "functions in a list": (
        "def step(x): return x + 1\nsteps = [step]\ndef compute(x): return steps[0](x)",
        "def step(x): return x + 2\nsteps = [step]",
    ),
}


def notebook(lake: lf.Lake) -> dict:
    names: dict = {"__name__": "a_notebook", "lf": lf, "lake": lake, "made": []}
    exec(dedent(_BEGIN), names)
    return names


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_what_is_read_makes_the_call_again(lake: lf.Lake, change: str) -> None:
    before, after = CHANGES[change]
    cell = notebook(lake)
    exec(before, cell)
    first = cell["f"](5)
    assert cell["f"](5) == first
    assert cell["made"] == [5]
    exec(after, cell)
    assert cell["f"](5) == cell["compute"](5) != first
    assert cell["made"] == [5, 5]
    exec(before, cell)
    assert cell["f"](5) == first  # as it was: answered from the first
    assert cell["made"] == [5, 5]


def test_what_the_call_itself_changes_is_no_input_of_it(lake: lf.Lake) -> None:
    code = dedent("""
        @lf.capture(lake=lake, cache=True)
        def f(x):
            global count
            count, seen["n"] = count + 1, x
            return x
    """)
    cell: dict = {"__name__": "a_notebook", "lf": lf, "lake": lake, "count": 0, "seen": {}}
    exec(code, cell)
    assert [cell["f"](5), cell["f"](5), cell["count"]] == [5, 5, 1]
    again: dict = {"__name__": "a_notebook", "lf": lf, "lake": lake, "count": 70, "seen": {}}
    exec(code, again)
    assert [again["f"](5), again["count"]] == [5, 70]  # as in another process


def test_code_of_other_modules_of_ones_own_counts(lake: lf.Lake, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for number in (1, 2):
        (tmp_path / "own_features.py").write_text(f"def clean(x):\n    return x + {number}\n")
        module = ModuleType("own_features")
        module.__file__ = str(tmp_path / "own_features.py")
        exec((tmp_path / "own_features.py").read_text(), module.__dict__)
        monkeypatch.setitem(sys.modules, "own_features", module)
        cell = notebook(lake)
        cell["own_features"] = module
        exec("def compute(x): return own_features.clean(x)", cell)
        assert cell["f"](5) == cell["f"](5) == 5 + number
        assert cell["made"] == [5]


def test_containers_of_data_are_kept_member_by_member(lake: lf.Lake) -> None:
    calls = []

    @lake.capture(cache=True)
    def split(both: list, more: dict):
        calls.append(1)
        return {"a:b": both[0], "a_b": both[1], "n": 3}

    @lake.capture(cache=True)
    def halves(x: np.ndarray) -> list:
        calls.append(1)
        return [x[:2], x[2:]]

    arrays = [np.arange(3.0), np.arange(4.0)]
    first = split(arrays, {"scale": 2, "base": arrays[0]})
    again = split(arrays, {"scale": 2, "base": arrays[0]})
    assert list(first) == list(again) == ["a:b", "a_b", "n"]
    assert all(np.array_equal(first[key], again[key]) for key in first)
    (run,) = lake.runs()
    assert ([one.name for one in run.inputs], run.params) == (["both.0", "both.1", "more.base"], {"more.scale": 2})
    assert [one.name for one in run.outputs] == ["return.a_b", "return.a_b_2", "return.n"]
    assert [one.tolist() for one in halves(np.arange(4.0))] == [one.tolist() for one in halves(np.arange(4.0))]
    assert len(calls) == 2
    split(tuple(arrays), {"scale": 2, "base": arrays[0]})  # a tuple is no list
    assert len(calls) == 3


def test_odd_names_of_arguments_lose_nothing(lake: lf.Lake) -> None:
    @lake.capture
    def f(*rest: object, **more: object) -> None:
        return None

    f("first", **{"": 1, "rest.0": 2, "a:b": np.ones(2), "a/b": 3, "x" * 400: 4})
    (run,) = lake.runs()
    assert run.params == {"rest.0": "first", "_": 1, "rest.0_2": 2, "a.b": 3, "x" * 160: 4}
    assert [one.name for one in run.inputs] == ["a_b"]


def test_a_warning_and_a_traceback_lead_to_the_users_code(lake: lf.Lake) -> None:
    @lake.capture
    def f(x: object) -> None:
        raise ValueError("no")

    with pytest.warns(RuntimeWarning, match="argument 'x'") as caught, pytest.raises(ValueError, match="no"):
        f(object())
    assert [Path(one.filename).name for one in caught] == [Path(__file__).name]
    lines = str(lake.runs()[0].error).splitlines()
    assert Path(__file__).name in lines[1]
