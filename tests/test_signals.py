"""Signals in a call of the library: imports end, other threads notice nothing, and what a handler raised arrives."""

from __future__ import annotations

import faulthandler
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import lakefolio as lf
from lakefolio.process import signals
from lakefolio.process.keywords import explained
from lakefolio.process.signals import HeldSignals
from lakefolio.storage import open_store
from lakefolio.storage.conformance import race
from lakefolio.views import bound_views

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals as POSIX has them")


class StoppedError(Exception):
    """What a handler of the caller's raises."""


def stop(number: int, frame: FrameType | None) -> None:
    raise StoppedError(number)


def leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(7)


@pytest.fixture
def handlers() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in numbers}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGUSR1, stop)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


SIGNALS = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: SystemExit, signal.SIGUSR1: StoppedError}


def module(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> str:
    name = f"imported_by_test_{folder.name}".replace("-", "_")
    (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    return name


@pytest.mark.parametrize("number", SIGNALS)
def test_a_handler_waits_for_an_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handlers: None, number: signal.Signals
) -> None:
    name = module(tmp_path, monkeypatch, f"import signal\nsignal.raise_signal({int(number)})\nwhole = True\n")

    def imported() -> None:
        with HeldSignals():
            importlib.import_module(name)
            signal.sigtimedwait([signal.SIGCHLD], 60)  # the signal comes by itself

    with pytest.raises(SIGNALS[number]):
        imported()
    assert sys.modules.pop(name).whole
    with pytest.raises(SIGNALS[number]):
        importlib.import_module(name)
    assert name not in sys.modules


def test_an_import_that_does_not_end_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handlers: None
) -> None:
    monkeypatch.setattr(signals, "LONGEST_S", 0.02)
    text = "import signal, time\nsignal.raise_signal(signal.SIGINT)\ntime.sleep(60)\n"
    name = module(tmp_path, monkeypatch, text)
    with pytest.raises(KeyboardInterrupt), HeldSignals():
        importlib.import_module(name)
    assert name not in sys.modules


def test_an_import_around_the_block_delays_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handlers: None
) -> None:
    text = """
import signal
from lakefolio.process.keywords import explained
from lakefolio.process.signals import HeldSignals
reached = []
try:
    with HeldSignals():
        signal.raise_signal(signal.SIGINT)
        reached.append(True)
except KeyboardInterrupt:
    interrupted = True
"""
    name = module(tmp_path, monkeypatch, text)
    found = importlib.import_module(name)
    assert found.interrupted
    assert not found.reached


def test_what_a_handler_raised_leaves_the_block_in_place_of_another_error(handlers: None) -> None:
    def swallowed(number: signal.Signals) -> None:
        try:
            signal.raise_signal(number)
        except BaseException:
            raise RuntimeError("interrupted") from None

    for number, kind in SIGNALS.items():
        with pytest.raises(kind), HeldSignals(), HeldSignals():
            swallowed(number)
    with HeldSignals(), pytest.raises(RuntimeError):  # it was handled in the block
        swallowed(signal.SIGUSR1)


def test_handlers_are_what_they_were_afterwards(handlers: None) -> None:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    with HeldSignals():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert {number: signal.getsignal(number) for number in SIGNALS} == before
    with pytest.raises(KeyboardInterrupt), HeldSignals():
        signal.raise_signal(signal.SIGINT)
    assert {number: signal.getsignal(number) for number in SIGNALS} == before
    with HeldSignals():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    done = threading.Thread(target=HeldSignals().__enter__)
    done.start()
    done.join()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_compiled_code_set_for_a_signal_is_kept(tmp_path: Path, handlers: None) -> None:
    with open(tmp_path / "stacks", "w+") as file:
        faulthandler.register(signal.SIGUSR1, file, all_threads=False, chain=True)
        try:
            with HeldSignals():
                pass
            with pytest.raises(StoppedError):
                signal.raise_signal(signal.SIGUSR1)
        finally:
            faulthandler.unregister(signal.SIGUSR1)
        assert "test_signals.py" in (tmp_path / "stacks").read_text()


def comes_to_rest() -> bool:
    """Say whether a time comes, within 30 seconds, in which no thread of this process computes."""
    for _ in range(150):
        before = time.process_time()
        time.sleep(0.2)
        if time.process_time() - before < 0.01:
            return True
    return False


@pytest.mark.parametrize("number", SIGNALS)
def test_what_a_handler_raises_while_duckdb_computes_reaches_the_caller(
    tmp_path: Path, handlers: None, number: signal.Signals
) -> None:
    lake = lf.open(tmp_path / "lake")
    endless = lake.sql("select count(*) from range(10000000000) a, range(1000000) b where a.range * 7 = b.range")
    threading.Timer(0.3, os.kill, (os.getpid(), number)).start()
    with pytest.raises(SIGNALS[number]) as raised:
        endless.fetchall()
    assert comes_to_rest()
    if number == signal.SIGTERM:
        assert raised.value.code == 7  # type: ignore[attr-defined]
    assert lake.sql("select 1").fetchall() == [(1,)]


def test_an_interrupt_while_a_store_is_tried_leaves_no_thread_that_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = ThreadPoolExecutor.submit
    submitted = []

    def interrupted(self: ThreadPoolExecutor, *args: Any) -> Any:
        if submitted:
            raise KeyboardInterrupt
        submitted.append(submit(self, *args))
        return submitted[0]

    monkeypatch.setattr(ThreadPoolExecutor, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        race(open_store(str(tmp_path)), 2)
    assert isinstance(submitted[0].exception(), threading.BrokenBarrierError)


STEPS = """
import importlib, signal, sys, threading
from lakefolio.process.keywords import explained
from lakefolio.process.signals import HeldSignals

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
sys.path.insert(0, sys.argv[1])
step = interrupts = 0
more = True


def hook(frame, event, argument):
    global left, more
    if event in ("call", "return", "c_return") and frame.f_code.co_filename == "<frozen importlib._bootstrap>":
        left -= 1
        if left == 0:
            more = True
            signal.raise_signal(signal.SIGINT)


while more:
    step += 1
    left, more = step, False
    sys.modules.pop("empty", None)
    other = threading.Thread(target=importlib.import_module, args=("empty",), daemon=True)
    try:
        sys.setprofile(hook)
        with HeldSignals():
            import empty
            if more:
                signal.sigtimedwait([signal.SIGCHLD], 60)  # it comes by itself
    except KeyboardInterrupt:
        interrupts += 1
    finally:
        sys.setprofile(None)
    other.start()
    other.join(20)
    assert not other.is_alive(), f"a lock stays held after an interrupt at step {step}"
    assert sys.modules["empty"].whole
print(step, interrupts)
"""


def ran(program: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


def test_an_interrupt_at_any_step_of_an_import_leaves_no_lock_held(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("whole = True\n")
    steps, interrupts = map(int, ran(STEPS, tmp_path).split())
    assert interrupts == steps - 1 > 50


def test_a_call_of_the_main_thread_holds_signals_though_others_called_before() -> None:
    """What those imported may not be all that it needs."""

    @explained
    def held() -> bool:
        return HeldSignals._outermost is not None

    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(held()))
    thread.start()
    thread.join()
    assert [*answers, held(), held()] == [False, True, False]


FIRST_CALLS = """
import signal, sys, threading, traceback
import lakefolio as lf

main, interrupting = threading.get_ident(), True
interrupts, left, problems = 0, 0, []
begun = threading.Event()


def hook(event, arguments):
    global left
    if event == "exec" and interrupting and threading.get_ident() == main:  # the text of a module begins
        begun.set()
        left -= 1
        if left == 0:
            signal.raise_signal(signal.SIGINT)


def work(name):
    lake = lf.open(sys.argv[1])
    folio = lake.folio(name)
    import pyarrow as pa
    folio.add("t", pa.table({"x": [1, 2]}), overwrite=True)
    folio.add_json("j", [1], overwrite=True)
    assert folio.get("j") == [1]
    assert lake.sql("select count(*) from items").fetchone()[0] >= 2
    with lake.run("r") as run:
        run.log(loss=1.0)
    assert lake.search("t")


def worker(name):
    begun.wait()
    try:
        work(name)
    except BaseException:
        problems.append(traceback.format_exc())


signal.signal(signal.SIGINT, signal.default_int_handler)
threads = [threading.Thread(target=worker, args=(f"t{n}",)) for n in range(2)]
for thread in threads:
    thread.start()
sys.addaudithook(hook)
while interrupting:
    left = 3 + interrupts * (1 + interrupts // 10)  # some modules run hundreds of texts, and begin anew each time
    try:
        work("main")
        interrupting = False
    except KeyboardInterrupt:
        interrupts += 1
for thread in threads:
    thread.join()
print(interrupts)
print(*problems, sep="\\n")
exec("pass")  # CPython would end by SIGINT if the last text that exec ran was interrupted
"""


def test_interrupts_of_first_calls_are_not_noticed_by_other_threads(tmp_path: Path) -> None:
    interrupts, *problems = ran(FIRST_CALLS, tmp_path / "lake").strip().split("\n")
    assert problems == []
    assert int(interrupts) >= 1


def test_an_interrupt_after_any_relation_was_bound_leaves_sql_usable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = lf.open(tmp_path / "lake")
    for number in range(3):
        lake.create_run(name=f"r{number}", status="done", metrics={"loss": number})
        lake.folio("f").add_json("j", number, overwrite=True)
    lake.compact()
    left, whole, passed, step = 0, bound_views.bind, False, 0

    def bind(*arguments: Any) -> None:
        nonlocal left
        whole(*arguments)
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(bound_views, "bind", bind)
    while not passed:
        step += 1
        lake.folio("f").add_json("next", step, overwrite=True)  # so that all is bound anew
        left = step
        with suppress(KeyboardInterrupt):
            lake.sql("select count(*) from runs, items").fetchall()
            passed = True
        left = 0
        assert lake.sql("select name, loss from runs order by name").fetchall() == [("r0", 0), ("r1", 1), ("r2", 2)]
        assert lake.sql("select count(*) from items where folio = 'f'").fetchall() == [(2,)]
    assert step > 2
