"""The kept rows of the view of runs are what gathering them at each query would give."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.model.state import State
from lakefolio.views import bound_views, kept_rows
from lakefolio.views.engine import Views
from lakefolio.views.view_files import ViewFile

_ALL = "select * from runs order by run_id"


@pytest.fixture
def gathered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keep the runs of small lakes too; returns the views whose rows were gathered, each time that was done."""
    names: list[str] = []

    def keep(connection: Any, view: ViewFile, **options: Any) -> None:
        names.append(view.name)
        kept_rows.keep_view(connection, view, **options)

    monkeypatch.setattr(bound_views, "_MANY_CHANGES", 0)
    monkeypatch.setattr(bound_views, "keep_view", keep)
    return names


def answers(lake: lf.Lake) -> tuple[list[tuple[str, str]], list[Any]]:
    found = lake.sql(_ALL)
    return list(zip(found.columns, map(str, found.types), strict=True)), found.fetchall()


def anew(lake: lf.Lake, monkeypatch: pytest.MonkeyPatch) -> tuple[list[tuple[str, str]], list[Any]]:
    """Ask the views themselves, without anything kept."""
    with monkeypatch.context() as patched:
        patched.setattr(bound_views, "_MANY_CHANGES", 10**9)
        fresh = Views()
        found = fresh.query(session_of(lake).tables(), _ALL)
        return list(zip(found.columns, map(str, found.types), strict=True)), found.fetchall()


def change(lake: lf.Lake, rng: random.Random, going_on: list[lf.Run]) -> None:
    """Make one change at random."""
    choice = rng.randrange(9)
    run = rng.choice(going_on) if going_on else None
    if choice == 0 or run is None:
        params = {rng.choice(["lr", "Depth", "status", "it's"]): rng.choice([0.1, 3, True, "x", None, {"a": 1}])}
        going_on.append(lake.create_run(project=rng.choice(["a", "b", None]), params=params, tags=["t"]))
    elif choice == 1:
        run.log(**{rng.choice(["loss", "auc"]): rng.choice([0.5, float("nan"), 2.0])})
        run.flush()
    elif choice == 2:
        run.finish() if rng.random() < 0.5 else run.fail("no luck")
        going_on.remove(run)
    elif choice == 3:
        run.set_params(lr=rng.choice([0.2, "fast", False]))
    elif choice == 4:
        run.add_output(f"o{rng.randrange(10**9)}", rng.random())
    elif choice == 5:
        run.add_input(f"i{rng.randrange(10**9)}", "s3://elsewhere/x")
    elif choice == 6:
        lake.folio("f").add("x", rng.random(), overwrite=True, metadata={"k": 1})
    elif choice == 7:
        lake.create_run(status="done", metrics={rng.choice(["f1", "loss"]): rng.random()}, parent=run)
    else:
        with lake.batch():
            lake.create_run(status="failed", params={"only": rng.random()})
            lake.folio("f").add("y", 1, overwrite=True)


@pytest.mark.parametrize("seed", range(2))
def test_what_is_kept_is_what_gathering_gives(
    lake: lf.Lake, seed: int, gathered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if seed:  # as if they were many
        monkeypatch.setattr(kept_rows, "_MOST_BYTES", 0)
        monkeypatch.setattr(kept_rows, "_AT_ONCE_ROWS", 3)
    rng, going_on = random.Random(seed), []
    for number in range(4):
        lake.create_run(f"r{number}", status="done", params={"lr": number / 10}, metrics={"auc": 0.5})
    assert repr(answers(lake)) == repr(anew(lake, monkeypatch))
    for _ in range(8):
        for _ in range(rng.randrange(1, 5)):
            change(lake, rng, going_on)
        assert repr(answers(lake)) == repr(anew(lake, monkeypatch))  # by repr: NaN equals itself
    assert set(gathered) == {"runs"}


def test_many_rows_are_kept_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_rows, "_MOST_BYTES", 1_000)
    rows = pa.table({"number": range(100_000)})
    before = pa.total_allocated_bytes()
    kept = kept_rows.kept(pa.RecordBatchReader.from_batches(rows.schema, rows.to_batches(1_000)))
    assert pa.total_allocated_bytes() - before < 10_000
    assert kept.equals(rows)
    few = pa.table({"number": range(10)})
    assert kept_rows.kept(few.to_reader()).equals(few)


def test_another_lake_and_the_past_are_gathered_for_themselves(
    lake: lf.Lake, tmp_path: Path, gathered: list[str]
) -> None:
    other = lf.open(tmp_path / "other")
    for number in range(3):
        lake.create_run(f"mine{number}", status="done")
        other.create_run(f"theirs{number}", status="done")
    assert [row[0] for row in answers(lake)[1]] == ["mine0", "mine1", "mine2"]
    assert [row[0] for row in answers(other)[1]] == ["theirs0", "theirs1", "theirs2"]
    assert [row[0] for row in answers(lake.at(1))[1]] == ["mine0"]
    assert [row[0] for row in answers(lake)[1]] == ["mine0", "mine1", "mine2"]
    assert gathered == ["runs"] * 3
    assert lake.browse("flat").names == ["mine2", "mine1", "mine0"]


def test_a_question_about_items_gathers_no_run(lake: lf.Lake, gathered: list[str]) -> None:
    lake.create_run("r", status="done")
    lake.folio("f").add("x", 1)
    assert lake.sql("select item from items where folio = 'f'").fetchall() == [("x",)]
    assert lake.query(name="x")[0].item == "x"
    assert gathered == []


def test_what_is_noted_of_a_subject_is_found_however_the_rows_came(lake: lf.Lake) -> None:
    rows = []
    lake.annotate(description="d")
    lake.folio("f").add("x", 1, metadata={"k": 1})
    lake.folio("f").metadata["of"] = "the folio"
    lake.create_run("f", project="p", status="done")  # called like the folio
    going = lake.create_run("going")
    going.set_params(a=1)
    raw = session_of(lake).committed().rows_since(-1)
    for pieces in ([raw], [raw.slice(0, 3), raw.slice(3)], [raw.slice(at, 1) for at in range(raw.num_rows)]):
        found = State()
        for piece in pieces:
            found = found.extended(piece, piece.column("version")[-1].as_py())
        subjects = [("lake", ""), ("folio", "f"), ("run", "f"), ("run", "going")]
        rows.append([found.metadata(*subject) for subject in subjects])
        assert list(found.running()) == ["going"]
        assert found.metadata("run", "f")["project"] == '"p"'
        assert found.metadata("folio", "f") == {"of": '"the folio"'}
        assert found.metadata("run", "going", found.version - 1).get("params.a") is None
    assert rows[0] == rows[1] == rows[2]
    assert all(rows[0])
    going.finish()
