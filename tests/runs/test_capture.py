"""``@capture``: each call is a run, and whatever fails in recording, the function does not."""

from __future__ import annotations

import asyncio
import hashlib
import time
import warnings
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.recording import recorder
from lakefolio.testing import CountingProxy


@pytest.fixture(autouse=True)
def _forgotten_warnings() -> None:
    recorder._warned.clear()


def the_run(lake: lf.Lake) -> lf.RunManifest:
    (found,) = lake.runs()
    return found


def load(lake: lf.Lake, ref: str):
    folio, _, rest = ref.partition(":")
    item, _, version = rest.rpartition("@")
    return lake.folio(folio).get_data(item, at=int(version))


def test_a_function(lake: lf.Lake) -> None:
    @lf.capture(lake=lake, run_type="production", project="churn", tags=["t"], params={"extra": 1})
    def process(data: pd.DataFrame, factor: int = 2, *rest: float, mode: str = "a", **more: object):
        """Multiply."""
        return data * factor, {"rows": len(data)}

    data = pd.DataFrame({"x": range(50)})
    table, facts = process(data, 3, 0.5, mode="b", codes=np.arange(9))
    assert facts == {"rows": 50}
    assert (process.__name__, process.__doc__) == ("process", "Multiply.")
    found = the_run(lake)
    assert (found.type, found.project, found.tags, found.status) == ("production", "churn", ["t"], "done")
    assert found.params == {"extra": 1, "factor": 3, "rest.0": 0.5, "mode": "b"}
    assert [one.name for one in found.inputs] == ["data", "codes"]
    assert [one.name for one in found.outputs] == ["return.0", "return.1"]
    assert load(lake, found.outputs[0].ref).equals(table)
    assert found.metadata["function"].endswith("process")
    process(data)
    assert len(lake.folio("inputs").list_contents()["included_tables"]) == 1  # recognised, not stored again


def test_defaults_none_and_errors(lake: lf.Lake) -> None:
    @lake.capture
    def fails(n: int) -> None:
        raise ValueError(f"no {n}")

    @lake.capture
    def nothing() -> None:
        return None

    with pytest.raises(ValueError, match="no 7"):
        fails(7)
    assert nothing() is None
    with pytest.raises(TypeError):
        nothing(1)
    states = {(one.name.rpartition(".")[2], one.status, one.error_type) for one in lake.runs()}
    assert states == {("fails", "failed", "ValueError"), ("nothing", "done", None), ("nothing", "failed", "TypeError")}
    assert all(one.outputs == [] for one in lake.runs())


def test_methods(lake: lf.Lake) -> None:
    class Model:
        @lake.capture
        def fit(self, x: np.ndarray) -> float:
            return float(x.sum())

        @classmethod
        @lake.capture
        def named(cls, n: int) -> str:
            return f"{cls.__name__}{n}"

        @lake.capture
        @staticmethod
        def plain(n: int) -> int:
            return n + 1

    assert Model().fit(np.ones(4)) == 4.0
    assert (Model.named(1), Model.plain(1), Model().plain(2)) == ("Model1", 2, 3)
    runs = lake.runs()
    assert len(runs) == 4
    assert {one.status for one in runs} == {"done"}
    assert runs[-1].params["self"].endswith("Model")
    assert [one.name for one in runs[-1].inputs] == ["x"]


def test_generators(lake: lf.Lake) -> None:
    @lake.capture
    def numbers(n: int):
        total = 0
        for number in range(n):
            total += (yield number) or 0
        yield np.full(3, total)
        return "end"

    generator = numbers(2)
    assert next(generator) == 0
    assert lake.runs()[0].status == "running"
    assert generator.send(5) == 1
    assert generator.send(6).tolist() == [11, 11, 11]
    with pytest.raises(StopIteration) as stopped:
        next(generator)
    assert stopped.value.value == "end"
    found = the_run(lake)
    assert {one.name: load(lake, one.ref) for one in found.outputs if one.kind == "json"} == {
        "yields": [0, 1],
        "return": "end",
    }
    assert "yield.2" in [one.name for one in found.outputs]
    short = numbers(9)
    next(short)
    short.close()
    assert lake.runs()[0].status == "done"


def test_coroutines_and_async_generators(lake: lf.Lake) -> None:
    @lake.capture
    async def add(n: int) -> int:
        await asyncio.sleep(0)
        return n + 1

    @lake.capture
    async def count(n: int):
        for number in range(n):
            yield number

    begun = asyncio.Event()

    @lake.capture
    async def slow() -> None:
        begun.set()
        await asyncio.sleep(60)

    async def main() -> tuple[list[int], list[int]]:
        together = await asyncio.gather(*(add(n) for n in range(3)))
        counted = [one async for one in count(3)]
        task = asyncio.create_task(slow())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return list(together), counted

    assert asyncio.run(main()) == ([1, 2, 3], [0, 1, 2])
    states = sorted((one.name.rpartition(".")[2], one.status) for one in lake.runs())
    assert states == [("add", "done")] * 3 + [("count", "done"), ("slow", "failed")]


def test_what_can_be_read_once_is_left_to_the_function_and_its_caller(lake: lf.Lake) -> None:
    table = pa.table({"a": [1, 2, 3]})

    def reader() -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(table.schema, table.to_batches())

    @lake.capture
    def rows(one, many) -> tuple:
        return one.read_all().num_rows, [other.read_all().num_rows for other in many["readers"]]

    @lake.capture
    def made() -> pa.RecordBatchReader:
        return reader()

    @lake.capture
    def made_in_turn():
        yield reader()

    @lake.capture
    def relation(one) -> list:
        return one.fetchall()

    with pytest.warns(RuntimeWarning, match="it can be read only once"):
        assert rows(reader(), {"readers": [reader()]}) == (3, [3])
    with pytest.warns(RuntimeWarning, match="its output 'return' was not kept: it can be read only once"):
        assert made().read_all().num_rows == 3
    with pytest.warns(RuntimeWarning, match="what it yields"):
        assert [one.read_all().num_rows for one in made_in_turn()] == [3]
    with pytest.warns(RuntimeWarning, match="argument 'one'"):
        assert relation(duckdb.sql("select 7")) == [(7,)]
    assert {run.status for run in lake.runs()} == {"done"}


def test_captured_calls_nest(lake: lf.Lake) -> None:
    @lf.capture
    def inner() -> int:
        return 1

    @lake.capture
    def outer() -> int:
        return inner() + 1

    assert outer() == 2
    by_name = {one.name.rpartition(".")[2]: one for one in lake.runs()}
    assert by_name["inner"].parent == by_name["outer"].run_id


def test_the_default_lake(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("LAKEFOLIO_LAKE", str(tmp_path / "default"))

    @lf.capture
    def f() -> int:
        return 7

    assert f() == 7
    assert the_run(lf.open()).status == "done"


def test_memoisation(lake: lf.Lake) -> None:
    calls = []
    factor = 2

    def make(body_version: int = 0, version: str | None = None):
        if body_version == 0:

            @lf.capture(lake=lake, cache=True, version=version)
            def f(x: np.ndarray, n: int):
                calls.append(n)
                return x * n * factor, n
        else:

            @lf.capture(lake=lake, cache=True, version=version)
            def f(x: np.ndarray, n: int):
                calls.append(n)
                return x * n * factor + 1, n

        return f

    x = np.arange(1_000.0)
    first = make()(x, 3)
    again = make()(x.copy(), 3)
    assert np.array_equal(first[0], again[0])
    assert first[1] == again[1] == 3
    assert calls == [3]
    make()(x, 4)
    make()(x + 1, 3)
    assert calls == [3, 4, 3]
    make(body_version=1)(x, 3)  # other code
    make(version="2")(x, 3)
    assert len(calls) == 5
    other = make()
    lake.folio("runs/" + lake.runs()[-1].run_id).delete("return.1", warn_dependents=False)
    other(x, 3)  # deleted items have a history: it is answered from there
    assert len(calls) == 5
    assert lake.check().ok


def test_a_call_whose_arguments_are_not_known_is_made(lake: lf.Lake) -> None:
    calls = []

    @lf.capture(lake=lake, cache=True)
    def f(x: object) -> int:
        calls.append(1)
        return 1

    with pytest.warns(RuntimeWarning, match="not kept"):  # noqa: PT031
        f(object())
        f(object())
    assert len(calls) == 2


def test_a_failure_inside_capture_never_breaks_the_function(lake: lf.Lake, monkeypatch) -> None:
    @lake.capture
    def f(x: object) -> object:
        return object()

    with pytest.warns(RuntimeWarning) as caught:  # noqa: PT031
        assert f(object()) is not None
        f(object())
    assert len(caught) == 2  # of the argument, and of what it returned; each once
    assert {one.status for one in lake.runs()} == {"done"}

    def broken(*given, **named):
        raise lf.StorageError("the network is gone")

    monkeypatch.setattr(session_of(lake), "apply", broken)
    with pytest.warns(RuntimeWarning, match="the network is gone"):
        assert f(1) is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recorder._warned.clear()
        assert f(1) is not None  # also where warnings are errors


@pytest.mark.parametrize(
    ("options", "kind"),
    [({"tags": [5]}, "bad-text"), ({"params": {"f": object()}}, "bad-params"), ({"name": 5}, "bad-text")],
)
def test_bad_options_are_told_where_they_are_given(lake: lf.Lake, options: dict, kind: str) -> None:
    with pytest.raises(lf.InvalidInputError) as caught:
        lf.capture(lake=lake, **options)
    assert caught.value.kind == kind


def test_what_can_not_be_captured(lake: lf.Lake) -> None:
    for what in (int, 5):
        with pytest.raises(lf.InvalidInputError) as caught:
            lake.capture(what)
        assert caught.value.kind == "bad-capture"

    def generator():
        yield 1

    with pytest.raises(lf.InvalidInputError) as caught:
        lake.capture(generator, cache=True)
    assert caught.value.kind == "bad-capture"


class _Counting:
    """A hash that counts what it is given."""

    bytes = 0

    def __init__(self, data: object = b"") -> None:
        self._real = _SHA256()
        self.update(data)

    def update(self, data: object) -> None:
        _Counting.bytes += memoryview(data).nbytes
        self._real.update(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


_SHA256 = hashlib.sha256


def test_an_unchanged_input_is_hashed_once_and_stored_not_at_all(
    s3_uri: str, s3_proxy: CountingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = lf.open(s3_uri, storage_options=s3_proxy.storage_options)
    data = np.random.default_rng(0).random(12_500_000)  # 100 MB

    @lake.capture
    def f(x: np.ndarray) -> None:
        return None

    f(data)
    f(data)
    monkeypatch.setattr(hashlib, "sha256", _Counting)
    _Counting.bytes = 0
    with s3_proxy.count() as count:
        f(data)
    assert data.nbytes <= _Counting.bytes < data.nbytes + 1_000_000
    assert count.total <= 10, str(count)  # what an empty run costs, and two for the edge
    assert not [one for one in count.requests if one.kind == "blob"], str(count)


def test_an_unchanged_input_costs_its_hash_and_30_ms(lake: lf.Lake) -> None:
    data = np.random.default_rng(0).random(12_500_000)

    @lake.capture
    def f(x: np.ndarray) -> None:
        return None

    f(data)
    beyond = []
    for _ in range(
        9
    ):  # of this thread's time, which others take nothing of; git and the store's threads are counted above
        began = time.thread_time()
        hashlib.sha256(data).digest()
        hashed = time.thread_time()
        f(data)
        beyond.append(time.thread_time() - hashed - (hashed - began))
    assert min(beyond) < 0.03


def test_capture_can_be_switched_off(lake: lf.Lake, monkeypatch) -> None:
    @lf.capture(lake=lake)
    def f(x: int) -> int:
        return x + 1

    monkeypatch.setenv("LAKEFOLIO_CAPTURE", "false")
    assert f(1) == 2
    assert lake.runs() == []
    monkeypatch.setenv("LAKEFOLIO_CAPTURE", "true")
    assert f(1) == 2
    assert len(lake.runs()) == 1


def test_a_generator_and_a_coroutine_run_unrecorded_where_capture_is_off(lake: lf.Lake, monkeypatch) -> None:
    monkeypatch.setenv("LAKEFOLIO_CAPTURE", "0")

    @lake.capture
    def numbers():
        yield from range(3)

    @lake.capture
    async def later() -> int:
        return 4

    assert list(numbers()) == [0, 1, 2]
    assert asyncio.run(later()) == 4
    assert lake.runs() == []
