"""The command line as a process of its own: streams, pipes, terminals."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

LAKEFOLIO = [sys.executable, "-m", "lakefolio.cli"]


def lakefolio(*args: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LAKEFOLIO, *args], capture_output=True, text=True, check=False, timeout=60, **options)


def test_results_and_errors_go_apart(stocked: str) -> None:
    done = lakefolio("ls", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert [one["folio"] for one in json.loads(done.stdout)] == ["experiments/clf", "experiments/old", "other"]
    done = lakefolio("get", "experiments/clf:nothing")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_the_package_runs_too(stocked: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lakefolio", "ls", "--json"], capture_output=True, text=True, check=True
    )
    assert done.stdout == lakefolio("ls", "--json").stdout


def test_a_reader_that_has_enough_is_no_error(stocked: str) -> None:
    query = "select range as n, repeat('x', 1000) as text from range(20000)"
    with subprocess.Popen(
        [*LAKEFOLIO, "sql", query, "--format", "csv"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"n,text\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


def test_binary_content_goes_through_a_pipe_unchanged(stocked: str) -> None:
    done = subprocess.run([*LAKEFOLIO, "get", "other:blob"], capture_output=True, check=True)
    assert done.stdout == bytes(range(256)) * 40


def read_all(ours: int) -> str:
    """Return what appears on a terminal until nobody has it open any more."""
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # how Linux says that the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    return shown.decode()


def on_a_terminal(*args: str, **environment: str) -> str:
    """Run with all streams on a terminal and return what appears there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*LAKEFOLIO, *args],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", **environment},
    )
    os.close(theirs)
    shown = read_all(ours)
    process.wait(60)
    return shown


def test_progress_is_not_mixed_into_results(stocked: str) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*LAKEFOLIO, "check", "--read-data"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    ) as process:
        os.close(theirs)
        assert "reading all content" in read_all(ours)
        assert process.stdout is not None
        assert process.stdout.read().startswith(b"version ")


def test_content_on_a_terminal_begins_a_line_of_its_own(stocked: str) -> None:
    """What says that the content is being got is erased before the content appears, and does not come back after it."""
    progress, _, content = on_a_terminal("get", "experiments/clf:scores").rpartition("\x1b[2K")
    assert "getting experiments/clf:scores" in progress
    assert content.split("\r\n")[0] == '"id","name","score"'
    assert "getting" not in content


def test_colours_are_for_terminals_that_want_them(stocked: str) -> None:
    assert "\x1b[" in on_a_terminal("ls")
    assert "\x1b[" not in on_a_terminal("ls", NO_COLOR="1")
    assert "\x1b[" not in on_a_terminal("ls", TERM="dumb")
    for plain in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):  # a table without colours fits, too, and the note below it
        shown = on_a_terminal("sql", "select * from items", COLUMNS="60", **plain)
        assert max(map(len, shown.replace("\r", "").splitlines())) <= 60
        assert "columns shown" in shown
    assert "\x1b[" not in lakefolio("ls").stdout
    assert "\x1b[" not in lakefolio("ls", "nope").stderr


def test_a_terminal_is_not_sent_binary(stocked: str) -> None:
    assert "-o PATH" in on_a_terminal("get", "other:blob")
    assert '{"lr":0.01}' in on_a_terminal("get", "experiments/clf:config").replace(" ", "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_utf8_stops_nothing(stocked: str, encoding: str) -> None:
    done = lakefolio("sql", "select chr(8230) as dots", env={**os.environ, "PYTHONIOENCODING": encoding})
    assert done.returncode == 0, done.stderr
    assert done.stdout in ("dots\n\\u2026\n", "dots\n…\n")  # click writes UTF-8 where the terminal claims ASCII


def test_a_listing_starts_no_threads_of_numpy_imports_no_pandas_and_leaves_the_collector_on(stocked: str) -> None:
    script = """
import atexit, gc, os, sys
from lakefolio.cli import main
seen = lambda: ("numpy" in sys.modules, os.environ["OPENBLAS_NUM_THREADS"], "pandas" in sys.modules, gc.isenabled())
atexit.register(lambda: print(*seen(), file=sys.stderr))
sys.argv[1:] = ["ls"]
main()
"""
    env = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    assert done.stderr == "False 1 False True\n"  # nor imports NumPy
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=env | {"OPENBLAS_NUM_THREADS": "2"},
    )
    assert done.stderr == "False 2 False True\n"


def test_stats_imports_no_library_of_frames(stocked: str) -> None:
    script = """
import atexit, sys
from lakefolio.cli import main
atexit.register(lambda: print(*sorted({"pandas", "polars"} & set(sys.modules)), file=sys.stderr))
sys.argv[1:] = ["stats"]
main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == "\n"
    assert "experiments/clf" in done.stdout
