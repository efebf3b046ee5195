"""``@capture(cache=True)``: an earlier answer holds only where code, inputs, and what the code reads are the same."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import warnings
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import numpy as np
import pytest

import lakefolio as lf
from lakefolio.recording import recorder
from lakefolio.runs.run import current_run

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
    "a class attribute, through a global instance": (
        "class C:\n    by = 2\nc = C()\ndef compute(x): return x * c.by",
        "C.by = 3",
    ),
    "an inherited class attribute": (
        "class B:\n    by = 2\nclass C(B): pass\nc = C()\ndef compute(x): return x * c.by",
        "B.by = 3",
    ),
    "a class attribute of a class": ("class C:\n    by = 2\ndef compute(x): return x * C.by", "C.by = 3"),
    "a method of a global instance": (
        "class C:\n    def go(self, x): return x + 1\nc = C()\ndef compute(x): return c.go(x)",
        "C.go = lambda self, x: x + 2",
    ),
    "a property": (
        "class C:\n    @property\n    def by(self): return 2\nc = C()\ndef compute(x): return x * c.by",
        "C.by = property(lambda self: 3)",
    ),
    "a cached property": (
        "class C:\n    @functools.cached_property\n    def by(self): return 2\ndef compute(x): return x * C().by",
        "class C:\n    @functools.cached_property\n    def by(self): return 3",
    ),
    "a static method": (
        "class C:\n    @staticmethod\n    def go(x): return x + 1\nc = C()\ndef compute(x): return c.go(x)",
        "C.go = staticmethod(lambda x: x + 2)",
    ),
    "a class method": (
        "class C:\n    @classmethod\n    def go(cls, x): return x + 1\ndef compute(x): return C.go(x)",
        "C.go = classmethod(lambda cls, x: x + 2)",
    ),
    "an operator": (
        "class C:\n    def __mul__(self, x): return x * 2\nc = C()\ndef compute(x): return c * x",
        "C.__mul__ = lambda self, x: x * 3",
    ),
    "a metaclass": (
        "class M(type):\n    def go(cls, x): return x + 1\nclass C(metaclass=M): pass\ndef compute(x): return C.go(x)",
        "M.go = lambda cls, x: x + 2",
    ),
    "slots": (
        "class C:\n    __slots__ = ('by',)\n    def __init__(self, by): self.by = by\nc = C(2)\n"
        "def compute(x): return x * c.by",
        "c.by = 3",
    ),
    "a member of a member": (
        "class C: pass\nc = C()\nc.d = C()\nc.d.by = 2\ndef compute(x): return x * c.d.by",
        "c.d.by = 3",
    ),
    "an instance in a container": (
        "class C:\n    by = 2\nmodels = {'a': [C()]}\ndef compute(x): return x * models['a'][0].by",
        "C.by = 3",
    ),
    "a default that is an instance": (
        "class C:\n    by = 2\ndef compute(x, c=C()): return x * c.by",
        "compute.__defaults__[0].by = 3",
    ),
    "a keyword default": ("def compute(x, *, by=2): return x * by", "compute.__kwdefaults__['by'] = 3"),
    "a dataclass": (
        "import dataclasses\n@dataclasses.dataclass\nclass C:\n    by: int = 2\n"
        "    def go(self, x): return x * self.by\nc = C()\ndef compute(x): return c.go(x)",
        "C.go = lambda self, x: x + self.by",
    ),
    "a default of a dataclass": (
        "import dataclasses\n@dataclasses.dataclass\nclass C:\n    by: int = 2\ndef compute(x): return x * C().by",
        "@dataclasses.dataclass\nclass C:\n    by: int = 3",
    ),
    "a named tuple": (
        "import collections\nC = collections.namedtuple('C', 'by')\nc = C(2)\ndef compute(x): return x * c.by",
        "c = C(3)",
    ),
    "an enum": (
        "import enum\nclass E(enum.Enum):\n    A = 2\ndef compute(x): return x * E.A.value",
        "class E(enum.Enum):\n    A = 3",
    ),
    "a method of an enum": (
        "import enum\nclass E(enum.Enum):\n    A = 2\n    def go(self, x): return x * self.value\n"
        "e = E.A\ndef compute(x): return e.go(x)",
        "E.go = lambda self, x: x + self.value",
    ),
    "a decorated helper's body": (
        "def twice(f):\n    @functools.wraps(f)\n    def inner(x): return 2 * f(x)\n    return inner\n"
        "@twice\ndef compute(x): return x + 1",
        "@twice\ndef compute(x): return x + 2",
    ),
    "the decorator of a helper": (
        "def twice(f):\n    @functools.wraps(f)\n    def inner(x): return 2 * f(x)\n    return inner\n"
        "def plain(x): return x + 1\ncompute = twice(plain)",
        "def twice(f):\n    @functools.wraps(f)\n    def inner(x): return 3 * f(x)\n    return inner\n"
        "compute = twice(plain)",
    ),
    "the arguments of a decorator": (
        "def times(n):\n    def wrap(f):\n        @functools.wraps(f)\n        def inner(x): return n * f(x)\n"
        "        return inner\n    return wrap\ndef plain(x): return x + 1\ncompute = times(2)(plain)",
        "compute = times(3)(plain)",
    ),
    "a helper behind functools.lru_cache": (
        "@functools.lru_cache\ndef compute(x): return x + 1",
        "@functools.lru_cache\ndef compute(x): return x + 2",
    ),
    "a helper behind numpy.vectorize": (
        "def plain(x): return x + 1\ncompute2 = np.vectorize(plain)\ndef compute(x): return int(compute2(x))",
        "def plain(x): return x + 2\ncompute2 = np.vectorize(plain)",
    ),
    "a helper behind functools.singledispatch": (
        "@functools.singledispatch\ndef compute(x): return 0\n@compute.register\ndef _(x: int): return x + 1",
        "@compute.register\ndef _(x: int): return x + 2",
    ),
    "a helper behind a decorator of a library": (
        "import contextlib\n@contextlib.contextmanager\ndef inner(x):\n    yield x + 1\n"
        "def compute(x):\n    with inner(x) as y: return y",
        "@contextlib.contextmanager\ndef inner(x):\n    yield x + 2",
    ),
    "an attribute of a function": ("def compute(x): return x * compute.by\ncompute.by = 2", "compute.by = 3"),
    "a partial of a method": (
        "class C:\n    by = 2\n    def go(self, x): return x * self.by\ncompute = functools.partial(C().go)",
        "C.by = 3",
    ),
    "a bound method": (
        "class C:\n    def __init__(self, by): self.by = by\n    def go(self, x): return x * self.by\n"
        "compute = C(2).go",
        "compute = C(3).go",
    ),
    "an object that is called": (
        "class C:\n    def __call__(self, x): return x + 1\ncompute = C()",
        "C.__call__ = lambda self, x: x + 2",
    ),
    "an inner function": (
        "def compute(x):\n    def inner(y): return y + 1\n    return inner(x)",
        "def compute(x):\n    def inner(y): return y + 2\n    return inner(x)",
    ),
    "a handler of exceptions": (
        "def compute(x):\n    try: return x / 0\n    except ZeroDivisionError: return 1",
        "def compute(x):\n    try: return x / 0\n    except (ZeroDivisionError, ValueError): return 2",
    ),
    "an environment variable": (
        "import os\nos.environ['LAKEFOLIO_TEST_BY'] = '2'\n"
        "def compute(x): return x * int(os.environ['LAKEFOLIO_TEST_BY'])",
        "os.environ['LAKEFOLIO_TEST_BY'] = '3'",
    ),
    "a global that is looked up by name": (
        "by = 2\ndef compute(x): return x * globals()['by']",
        "by = 3",
    ),
    "a regular expression": (
        "import re\npattern = re.compile('a')\ndef compute(x): return len(pattern.findall('abb')) * x",
        "pattern = re.compile('b')",
    ),
    "a deque": (
        "import collections\nq = collections.deque([2], maxlen=3)\ndef compute(x): return x * sum(q)",
        "q.append(1)",
    ),
    "a set": ("s = {1, 'a', (2, 3)}\ndef compute(x): return x * len(s)", "s.add(None)"),
    "a random generator": (
        "rng = np.random.default_rng(1)\ndef compute(x): return x + rng.bit_generator.state['state']['inc'] % 97",
        "rng = np.random.default_rng(2)",
    ),
    "a range": ("r = range(2)\ndef compute(x): return x * len(r)", "r = range(3)"),
    "a class in a list": (
        "class C:\n    by = 2\nkinds = [C]\ndef compute(x): return x * kinds[0].by",
        "C.by = 3",
    ),
    "functions in a list": (
        "def step(x): return x + 1\nsteps = [step]\ndef compute(x): return steps[0](x)",
        "def step(x): return x + 2\nsteps = [step]",
    ),
}


@pytest.fixture(autouse=True)
def nothing_was_said() -> None:
    """Each test hears what is said once of a function: many of theirs are called the same."""
    recorder._warned.clear()


def notebook(lake: lf.Lake, **more: object) -> dict:
    names: dict = {"__name__": "a_notebook", "lf": lf, "lake": lake, "made": [], "current_run": current_run} | more
    exec(dedent(_BEGIN), names)
    return names


@pytest.fixture(autouse=True)
def _a_notebook(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "a_notebook", ModuleType("a_notebook"))


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


@pytest.mark.parametrize(
    "change", ["a dict", "an array in a list", "a decorated helper's body", "a set", "a dataclass"]
)
def test_an_answer_is_found_by_another_process(lake: lf.Lake, tmp_path: Path, change: str) -> None:
    code = f"""
import sys
import lakefolio as lf
lake = lf.open({lake.uri!r})
made = []
{dedent(_BEGIN)}
{CHANGES[change][0]}
print(f(5), len(made))
"""
    (tmp_path / "script.py").write_text(code)
    said = []
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-W", "error", tmp_path / "script.py"],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.split())
    assert [count for _, count in said] == ["1", "0"]
    assert said[0][0] == said[1][0]


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


def test_constants_of_modules_and_imports_inside_of_functions_count(lake: lf.Lake, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "__init__.py").write_text("")
    (tmp_path / "own_package" / "inner.py").write_text("BY = 2\ndef go(x):\n    return x * BY\n")
    (tmp_path / "own_package" / "steps.py").write_text(
        "def relative(x):\n    from .inner import go\n    return go(x)\n"
        "def submodule(x):\n    from own_package import inner\n    return inner.go(x)\n"
    )
    (tmp_path / "own_alone.py").write_text("BY = 2\ndef go(x):\n    return x * BY\n")
    try:
        for code, name in {
            "def compute(x):\n    import own_alone\n    return x * own_alone.BY": "own_alone",
            "def compute(x):\n    from own_alone import go\n    return go(x)": "own_alone",
            "import own_package.steps as s\ndef compute(x): return s.relative(x)": "own_package.inner",
            "import own_package.steps\ndef compute(x): return own_package.steps.submodule(x)": "own_package.inner",
            "import own_alone\ndef compute(x): return x * getattr(own_alone, 'BY')": "own_alone",
        }.items():
            for one in [one for one in sys.modules if one.startswith("own_")]:
                del sys.modules[one]
            cell = notebook(lake)
            exec(code, cell)
            assert [cell["f"](5), cell["f"](5), cell["made"]] == [10, 10, [5]], code
            sys.modules[name].BY = 3
            assert [cell["f"](5), cell["made"]] == [15, [5, 5]], code
    finally:
        for one in [one for one in sys.modules if one.startswith("own_")]:
            del sys.modules[one]


def test_the_class_of_an_argument_counts(lake: lf.Lake) -> None:
    cell = notebook(lake)
    code = "import dataclasses\n@dataclasses.dataclass\nclass C:\n    n: int\n    def go(self): return self.n + 1\n"
    exec(code + "def compute(c): return c[0].go()", cell)
    assert [cell["f"]([cell["C"](5)]), cell["f"]([cell["C"](5)]), len(cell["made"])] == [6, 6, 1]
    cell["C"].go = lambda self: self.n + 2
    assert [cell["f"]([cell["C"](5)]), len(cell["made"])] == [7, 2]


UNKNOWN = {
    "a generator": "by = (n for n in [1, 2])\ndef compute(x): return x + next(by, 0)",
    "a file": "by = open('$FILE')\ndef compute(x): return x + len(by.read())",
    "a lock beside a connection": "import sqlite3\nby = sqlite3.connect(':memory:')\n"
    "def compute(x): return x + by.execute('select 1').fetchone()[0]",
    "an object that refuses": "class C:\n    def __reduce_ex__(self, protocol): raise ValueError('no')\nc = C()\n"
    "def compute(x): return x + (c is not None)",
    "a very large container": "by = [object()] * 2000\ndef compute(x): return x + len(by)",
    "a context variable": "import contextvars\nby = contextvars.ContextVar('by', default=1)\n"
    "def compute(x): return x + by.get()",
    "an object inside of an object": "class C: pass\nc = C()\nc.d = [iter([1])]\ndef compute(x): return x + len(c.d)",
    "an import that fails": "def compute(x):\n    try:\n        import $MODULE\n    except ImportError:\n        pass\n"
    "    return x",
}


@pytest.mark.parametrize("reason", UNKNOWN)
def test_what_can_not_be_compared_is_not_used_again_and_said_once(
    lake: lf.Lake, tmp_path: Path, monkeypatch, reason: str
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "own_broken.py").write_text("raise ImportError('no')")
    monkeypatch.syspath_prepend(tmp_path)
    cell = notebook(lake)
    exec(UNKNOWN[reason].replace("$FILE", str(tmp_path / "file")).replace("$MODULE", "own_broken"), cell)
    cell["f"].__wrapped__.__qualname__ = reason  # each function is warned of once
    with pytest.warns(RuntimeWarning, match="the use of its cache") as caught:
        cell["f"](5)
    assert len([one for one in caught if one.category is RuntimeWarning]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        cell["f"](5)
    assert cell["made"] == [5, 5]
    assert [run.status for run in lake.runs()] == ["done", "done"]
    if close := getattr(cell.get("by"), "close", None):  # or a later test is warned of the file
        close()


@pytest.mark.parametrize(
    "harmless",
    [
        "import threading\nlock = threading.Lock()\ndef compute(x):\n    with lock: return x",
        "import logging\nlog = logging.getLogger('x')\ndef compute(x):\n    log.info('x')\n    return x",
        "class C:\n    def __init__(self):\n        import threading\n        self.lock = threading.RLock()\n"
        "c = C()\ndef compute(x):\n    with c.lock: return x",
        "import sys\nout = sys.stdout\ndef compute(x):\n    out.write('')\n    return x",
        "import abc\nclass C(abc.ABC):\n    @abc.abstractmethod\n    def go(self): ...\nclass D(C):\n"
        "    def go(self): return 1\nd = D()\ndef compute(x): return x + d.go() - 1",
        "from typing import Protocol, NamedTuple, TypedDict\nclass P(Protocol):\n    n: int\nclass N(NamedTuple):\n"
        "    n: int = 0\nclass T(TypedDict):\n    n: int\ndef compute(x): return x + N().n + len(T()) + (P is None)",
        "circle = []\ncircle.append(circle)\ndef compute(x): return x + len(circle) - 1",
        "class C: pass\nc = C()\nc.me = c\ndef compute(x): return x + (c.me is not c)",
        "nested = [1]\nfor _ in range(40): nested = [nested]\ndef compute(x): return x + len(nested) - 1",
        "def compute(x): return compute(x - 1) + 1 if x else 0",
        "pd.DataFrame\ndef compute(x): return int(pd.Series([x]).sum())",
        "import pathlib, datetime, decimal, uuid\n"
        "values = [pathlib.Path('x'), datetime.date(2020, 1, 1), decimal.Decimal(1), uuid.UUID(int=1), 1 + 2j, b'x']\n"
        "def compute(x): return x + len(values) - 6",
        "import sklearn.linear_model as m\nmodel = m.LinearRegression()\ndef compute(x): return x + (model is None)",
    ],
)
def test_what_no_result_depends_on_does_not_stand_in_the_way(lake: lf.Lake, harmless: str) -> None:
    cell = notebook(lake)
    exec(harmless, cell)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [cell["f"](5), cell["f"](5)] == [5, 5]
    assert cell["made"] == [5]


# -- what is read of lakes ----------------------------------------------------------------------------------------

READS = {
    "an item": ("folio.get('by')", "folio.add('by', 3, overwrite=True)"),
    "an item by its reference": ("lake.get('f:by')", "folio.add('by', 3, overwrite=True)"),
    "an item of its run": ("current_run().input('f:by')", "folio.add('by', 3, overwrite=True)"),
    "several items": ("folio.get_many(['by'])['by']", "folio.add('by', 3, overwrite=True)"),
    "an item in a pinned block": ("pinned(folio)", "folio.add('by', 3, overwrite=True)"),
    "an item in an inner run": ("inner(lake)", "folio.add('by', 3, overwrite=True)"),
    "an item in an inner captured function": ("captured(lake)", "folio.add('by', 3, overwrite=True)"),
    "an item in an inner cached function": ("cached(lake)", "folio.add('by', 3, overwrite=True)"),
    "an item in a thread": ("threaded(folio)", "folio.add('by', 3, overwrite=True)"),
    "an item that is not there": ("missing(folio)", "folio.add('more', 3)"),
    "an item as of a snapshot": (
        "folio.get('by', at='paper')",
        "folio.add('by', 3, overwrite=True); lake.drop_snapshot('paper'); lake.snapshot('paper')",
    ),
    "what is known of an item": ("lake.item('f:by').description and 2 or 3", "folio.add('by', 3, overwrite=True)"),
    "an item that is deleted": ("missing2(folio)", "folio.delete('by', warn_dependents=False)"),
}

_LAKE_HELPERS = """
    from concurrent.futures import ThreadPoolExecutor

    def pinned(folio):
        with folio.pinned():
            return folio.get("by")

    def inner(lake):
        with lake.run("inner"):
            return lake.get("f:by")

    @lf.capture(lake=lake)
    def captured(_):
        return lake.get("f:by")

    @lf.capture(lake=lake, cache=True)
    def deep():
        return lake.get("f:by")

    def cached(lake):
        return deep()

    def threaded(folio):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(folio.get, "by").result()

    def missing(folio):
        return folio.get("more") if "more" in folio else 2

    def missing2(folio):
        try:
            return folio.get("by")
        except KeyError:
            return 3
"""


@pytest.mark.parametrize("read", READS)
def test_a_change_of_an_item_that_is_read_makes_the_call_again(lake: lf.Lake, read: str) -> None:
    code, change = READS[read]
    folio = lake.folio("f").add("by", 2, description="two")
    lake.snapshot("paper")
    cell = notebook(lake, folio=folio)
    exec(dedent(_LAKE_HELPERS), cell)
    exec(f"def compute(x): return x * ({code})", cell)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a listing is not compared
        assert cell["f"](5) == 10
        exec(change, cell)
        assert cell["f"](5) == 15
    assert cell["made"] == [5, 5]


@pytest.mark.parametrize(
    "read",
    [one for one in READS if one not in ("an item that is not there", "an item in an inner captured function")],
)
def test_an_answer_holds_while_what_is_read_stays(lake: lf.Lake, read: str) -> None:
    folio = lake.folio("f").add("by", 2, description="two")
    lake.snapshot("paper")
    cell = notebook(lake, folio=folio)
    exec(dedent(_LAKE_HELPERS), cell)
    exec(f"def compute(x): return x * ({READS[read][0]})", cell)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert cell["f"](5) == 10
        folio.add("other", 3)
        folio.add("by", 3, overwrite=True).add("by", 2, overwrite=True, description="two")  # the same content again
        assert cell["f"](5) == 10
    assert cell["made"] == [5]


@pytest.mark.parametrize(
    "look",
    [
        "len(lake.sql('select 1 from items').fetchall())",
        "len(folio)",
        "len(list(folio))",
        "len(lake.folios())",
        "lake.version - lake.version + 1",
        "len(folio.metadata)",
        "len(lake.metadata) + 1",
        "len(lake.query(type='A')) + 1",
        "len(lake.log())",
        "len(folio.list_contents()) - 1",
        "other.get('by')",
    ],
)
def test_what_is_listed_is_not_compared_so_the_call_is_made_again(lake: lf.Lake, tmp_path: Path, look: str) -> None:
    folio = lake.folio("f").add("by", 1)
    folio.metadata["a"] = 1
    cell = notebook(lake, folio=folio, other=lf.open(tmp_path / "other").folio("f").add("by", 1))
    exec(f"def compute(x): return x + ({look}) * 0", cell)
    cell["f"].__wrapped__.__qualname__ = look
    with pytest.warns(RuntimeWarning, match="its answer, to be used again, was not kept") as caught:
        cell["f"](5)
    assert len([one for one in caught if one.category is RuntimeWarning]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        cell["f"](5)
    assert cell["made"] == [5, 5]


def test_the_past_never_changes(lake: lf.Lake) -> None:
    folio = lake.folio("f").add("by", 2)
    cell = notebook(lake, folio=folio, past=lake.at(lake.version), version=lake.version)
    exec("def compute(x): return x * folio.get('by', at=version) + past.get('f:by') + len(past.folios()) - 1", cell)
    assert cell["f"](5) == 12
    folio.add("by", 3, overwrite=True).add("more", 1)
    assert [cell["f"](5), cell["made"]] == [12, [5]]


def test_what_the_function_itself_logs_and_stores_does_not_stand_in_the_way(lake: lf.Lake) -> None:
    cell = notebook(lake)
    exec(
        "def compute(x):\n    run = current_run()\n    run.log(a=1.0)\n    run.set_params(b=2)\n"
        "    run.add_output('c', 3)\n    return x + run.params['b'] - 2",
        cell,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [cell["f"](5), cell["f"](5)] == [5, 5]
    assert cell["made"] == [5]


async def _twice(f) -> list[int]:
    return [await f(5), await f(5)]


def test_reads_of_a_coroutine_count(lake: lf.Lake) -> None:
    folio = lake.folio("f").add("by", 2)
    made = []

    @lf.capture(lake=lake, cache=True)
    async def f(x: int) -> int:
        made.append(x)
        await asyncio.sleep(0)
        return x * folio.get("by")

    assert asyncio.run(_twice(f)) == [10, 10]
    folio.add("by", 3, overwrite=True)
    assert asyncio.run(_twice(f)) == [15, 15]
    assert made == [5, 5]


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


FILE_READS = {
    "open": "float(open(path).read())",
    "pathlib": "float(path.read_text())",
    "bytes": "float(path.read_bytes())",
    "os": "float(os.read(os.open(path, os.O_RDONLY), 9))",
    "relative": "float(open(os.path.relpath(path)).read())",
    "numpy": "float(np.loadtxt(path))",
    "pandas": "float(pd.read_csv(path, header=None).iloc[0, 0])",
    "a thread": "in_thread(lambda: float(path.read_text()))",
}


@pytest.mark.parametrize("read", FILE_READS)
def test_a_change_of_a_file_that_is_read_makes_the_call_again(lake: lf.Lake, tmp_path: Path, read: str) -> None:
    path = tmp_path / "factor.txt"
    path.write_text("2")
    cell = notebook(lake, path=path)
    exec("import os\nfrom concurrent.futures import ThreadPoolExecutor", cell)
    exec("def in_thread(work):\n with ThreadPoolExecutor(1) as pool: return pool.submit(work).result()", cell)
    exec(f"def compute(x): return x * ({FILE_READS[read]})", cell)
    assert cell["f"](5) == 10
    assert cell["f"](5) == 10
    assert cell["made"] == [5]
    path.write_text("3")
    assert cell["f"](5) == 15
    path.unlink()
    with pytest.raises(FileNotFoundError):
        cell["f"](5)
    path.write_text("2")
    assert cell["f"](5) == 10  # the first answer holds again
    assert cell["made"] == [5, 5, 5]


def test_files_that_the_call_itself_writes_do_not_stand_in_the_way(lake: lf.Lake, tmp_path: Path) -> None:
    cell = notebook(lake, path=tmp_path / "scratch.txt")
    exec("def compute(x):\n path.write_text(str(x))\n return float(path.read_text())", cell)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cell["f"](5) == cell["f"](5) == 5
    assert cell["made"] == [5]


def test_a_file_that_changes_while_it_is_read_is_said(lake: lf.Lake, tmp_path: Path) -> None:
    path = tmp_path / "counter.txt"
    path.write_text("1")
    cell = notebook(lake, path=path)
    exec("def compute(x):\n n = int(path.read_text())\n path.write_text(str(n + 1))\n return n", cell)
    with pytest.warns(RuntimeWarning, match="counter.txt' changed while it was read"):
        assert cell["f"](5) == 1
    assert cell["f"](5) == 2


def test_another_write_in_the_same_tick_of_the_clock_is_a_change(lake: lf.Lake, tmp_path: Path) -> None:
    path = tmp_path / "counter.txt"
    path.write_text("1")
    found = path.stat()

    def interfere() -> None:  # another program, which leaves the size and the time as they were
        text = "import os, sys; p, n, m = sys.argv[1], *map(int, sys.argv[2:]); open(p, 'r+').write('2')"
        text += "; os.utime(p, ns=(n, m))"
        subprocess.run(
            [sys.executable, "-c", text, str(path), str(found.st_atime_ns), str(found.st_mtime_ns)], check=True
        )

    cell = notebook(lake, path=path, interfere=interfere)
    exec("def compute(x):\n n = int(path.read_text())\n interfere()\n return n", cell)
    with pytest.warns(RuntimeWarning, match="counter.txt' changed while it was read"):
        assert cell["f"](5) == 1
    assert cell["f"](5) == 2


def test_a_file_counts_for_the_answers_that_are_made_of_an_answer(lake: lf.Lake, tmp_path: Path) -> None:
    path = tmp_path / "factor.txt"
    path.write_text("2")
    cell = notebook(lake, path=path)
    exec("def compute(x): return x * float(path.read_text())", cell)
    exec("@lf.capture(lake=lake, cache=True)\ndef outer(x): return f(x) + 1", cell)
    assert cell["f"](5) == 10
    assert cell["outer"](5) == cell["outer"](5) == 11  # f is answered from its outputs
    path.write_text("3")
    assert cell["outer"](5) == 16


UNCOMPARED = {
    "listdir": ("len(os.listdir(folder))", "names in a folder"),
    "scandir": ("len([*os.scandir(folder)])", "names in a folder"),
    "glob": ("len(glob.glob(str(folder / '*')))", "names in a folder"),
    "path": ("len([*folder.iterdir()])", "names in a folder"),
    "walk": ("len([one for _, _, files in os.walk(folder) for one in files])", "names in a folder"),
    "program": ("int(subprocess.run(['sh', '-c', f'ls {folder} | wc -l'], capture_output=True).stdout)", "program"),
    "database": ("sqlite3.connect(folder.parent / 'db').execute('select count(*) from t').fetchone()[0]", "database"),
    "eval": ("eval('count[0]')", "eval"),
    "exec": ("[one for one in [[]] if not exec('one.append(count[0])', {'one': one, 'count': count})][0][0]", "exec"),
    "import": ("importlib.import_module('builtins').len(count) * count[0]", "import_module"),
    "modules": ("sys.modules['counted_here'].count[0]", "sys.modules"),
}


@pytest.mark.parametrize("way", UNCOMPARED)
def test_what_only_a_run_can_find_makes_the_call_again_and_is_said(lake: lf.Lake, tmp_path: Path, way: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "1").touch()
    with closing(sqlite3.connect(tmp_path / "db")) as made:
        made.execute("create table t as select 1")
        made.commit()
    sys.modules["counted_here"] = here = ModuleType("counted_here")
    cell = notebook(lake, folder=folder, count=[1])
    here.count = cell["count"]
    exec("import glob, importlib, os, sqlite3, subprocess, sys", cell)
    code, said = UNCOMPARED[way]
    exec(f"def compute(x): return x * {code}", cell)
    try:
        with pytest.warns(RuntimeWarning, match=said):
            assert cell["f"](5) == 5
        (folder / "2").touch()
        cell["count"][0] = 2
        with closing(sqlite3.connect(tmp_path / "db")) as made:
            made.execute("insert into t select 1")
            made.commit()
        assert cell["f"](5) == 10
    finally:
        del sys.modules["counted_here"]


def test_an_attribute_called_eval_is_no_dynamic_code(lake: lf.Lake) -> None:
    cell = notebook(lake)
    exec("import pandas as pd\ndef compute(x): return int(pd.DataFrame({'a': [x]}).eval('a * 2')[0])", cell)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cell["f"](5) == cell["f"](5) == 10
    assert cell["made"] == [5]
