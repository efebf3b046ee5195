"""Items found and datasets shown on the command line; and what a person at a terminal sees of long work."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lakefolio as lf


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("LAKEFOLIO_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("LAKEFOLIO_CACHE", str(tmp_path / "cache"))
    lake = lf.open()
    folio = lake.folio("a")
    for number, score in enumerate((0.5, 0.9, 0.95)):
        frame = pd.DataFrame({"x": range(number + 1)})
        facts = {"quality_score": score, "label": f"l{number}", "source": "survey"}
        folio.add(f"t{number}", frame, tags=["toy", f"n{number}"], metadata=facts, description=f"table {number}")
    folio.add("plain", {"n": 1})
    lake.folio("b").add("other", [1, 2], tags=["toy"])
    return str(tmp_path / "lake")


FOUND = {
    "": ["plain", "t0", "t1", "t2", "other"],
    "--type table": ["t0", "t1", "t2"],
    "--tag toy": ["t0", "t1", "t2", "other"],
    "--tag toy --tag n1": ["t1"],
    "--tag toy --folio b": ["other"],
    "--source survey --name t2": ["t2"],
    "--metadata quality_score>=0.9": ["t1", "t2"],
    "--metadata quality_score>0.5 --metadata quality_score<0.95": ["t1"],
    "--metadata quality_score=0.5": ["t0"],
    "--metadata label=l1": ["t1"],
    "--metadata label!=l1": ["t0", "t2"],
    "--metadata label": ["t0", "t1", "t2"],
    "--where row_count>1": ["t1", "t2"],
    "--type table --order-by -metadata.quality_score --limit 2": ["t2", "t1"],
    "--limit 0": [],
    "--at 2 --type table": ["t0", "t1"],
}


def test_items_are_found(place: str, run: Any, said: Any) -> None:
    for asked, names in FOUND.items():
        found = said("query", *asked.split())
        assert [one["name"] for one in found] == names, asked
        shown = run("query", *asked.split())
        lines = shown.stdout.splitlines()[1:]
        assert [line.split("@")[0].partition(":")[2] for line in lines] == names, asked
        assert ("no item is like that" in shown.stderr) == (not names), asked


def test_what_is_known_of_them_is_shown(place: str, run: Any, said: Any) -> None:
    assert said("query", "--name", "t1")[0]["metadata.quality_score"] == 0.9
    (line,) = run("query", "--name", "t1").stdout.splitlines()[1:]
    assert line.startswith("a:t1@2  table")
    assert line.endswith("toy, n1  table 1")


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        (["--metadata", "=3"], "usage"),
        (["--metadata", " "], "usage"),
        (["--metadata", "a<=>"], None),
        (["--where", "drop table items"], "sql"),
        (["--order-by", "nothing"], "bad-query"),
        (["--limit", "-1"], "usage"),
    ],
)
def test_what_can_not_be_asked(place: str, said: Any, asked: list[str], kind: str | None) -> None:
    if kind is None:
        assert said("query", *asked) == []
    else:
        assert said("query", *asked, code=2).kind == kind


def test_datasets_are_listed_and_shown(place: str, run: Any, said: Any) -> None:
    assert "no datasets" in run("datasets", "list").stderr
    lake = lf.open()
    lake.create_dataset("paper", ["a:t1", "a:t2"], description="what it used", tags=["fig 1"], metadata={"k": 1})
    lake.create_dataset("mixed", {"m": "a:plain", "own": [1]})
    assert [one["name"] for one in said("datasets", "list")] == ["mixed", "paper"]
    assert [line.split()[:2] for line in run("datasets", "list").stdout.splitlines()[1:]] == [
        ["mixed", "2"],
        ["paper", "2"],
    ]
    found = said("datasets", "show", "paper")
    assert [(one["name"], one["source"]) for one in found["members"]] == [("t1", "a:t1@2"), ("t2", "a:t2@3")]
    assert found["metadata"]["k"] == 1
    text = run("datasets", "show", "paper").stdout
    assert "description: what it used" in text
    assert "t1 is a:t1@2" in text
    assert "datasets/paper:t2@" in text
    assert said("datasets", "show", "pape", code=3).kind == "dataset-not-found"
    lake.create_dataset("paper", ["a:t0"], overwrite=True)
    assert len(said("datasets", "show", "paper", "--at", str(found["version"]))["members"]) == 2
    assert len(said("datasets", "show", "paper")["members"]) == 1


# -- long work at a terminal -----------------------------------------------------------------------------------


def at_a_terminal(*words: str, cwd: Path) -> str:
    """Run a command whose stderr is a terminal and return what appears there."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    env.pop("NO_COLOR", None)
    with subprocess.Popen(
        [sys.executable, "-m", "lakefolio.cli", *words], cwd=cwd, stdout=subprocess.DEVNULL, stderr=theirs, env=env
    ) as process:
        os.close(theirs)
        seen = b""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    piece = os.read(ours, 65536)
                except OSError:  # the other side is closed
                    break
                seen += piece
            elif process.poll() is not None:
                break
        assert process.wait(10) == 0, seen
    os.close(ours)
    return seen.decode(errors="replace")


@pytest.fixture
def large(place: str, tmp_path: Path) -> str:
    lf.open().folio("a").add("big", unheard())
    return place


def unheard() -> np.ndarray:
    """Return 10 MB that no cache of this machine has."""
    return np.frombuffer(os.urandom(10_000_000), dtype=np.uint8)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("get a:big -o big.npy", "getting a:big@6: "),
        ("check --read-data", "read 4 of 4"),
        ("compact", "compacting event_rows"),
        ("repair --from copy", "looked at "),
    ],
)
def test_a_person_sees_how_far_it_is(large: str, run: Any, tmp_path: Path, words: str, shown: str) -> None:
    if "copy" in words:
        shutil.copytree(large, tmp_path / "copy")
    seen = at_a_terminal(*words.split(), cwd=tmp_path)
    assert shown in seen, seen
    assert run(*words.split(), *(["--force"] if "get" in words else [])).stderr == ""


def test_who_reads_is_told_how_far_it_is(place: str) -> None:
    lake = lf.open()
    data = unheard()
    lake.folio("a").add("big", data)
    told: list[tuple[int, int]] = []
    lake.on_download = lambda count, size: told.append((count, size))
    path = lake.folio("a").item_path("big", at=lake.version)
    assert np.array_equal(np.load(path), data)
    counts = [count for count, _ in told]
    assert counts == sorted(counts)
    assert told[-1][0] == told[-1][1] > data.nbytes
    seen: list[tuple[int, int]] = []
    lake.check(read_data=True, progress=lambda done, every: seen.append((done, every)))
    assert seen[-1][0] == seen[-1][1] == len(seen) - 1


def test_one_problem_is_one_problem_and_says_what_brings_it_back(place: str, run: Any) -> None:
    lake = lf.open()
    lake.folio("a").add("big", np.random.default_rng(0).random(50_000))
    (blob,) = (one for one in Path(place, "blobs").rglob("*") if one.is_file() and one.stat().st_size > 100_000)
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(content)
    assert ": 1 problem (" in run("check", "--read-data", code=8).stdout
    with pytest.raises(lf.IntegrityError) as caught:
        lf.open().get("a:big")
    assert "lakefolio repair --from URI" in caught.value.hint
