"""The read model of runs: searching scans it, and the answers are those of the journal."""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.content.local_files import Immutable, LocalFiles
from lakefolio.views import model_runs
from lakefolio.views.engine import Views

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
import scale_runs

_ALL = "select * from runs order by run_id"


def answers(lake: lf.Lake, sql: str = _ALL) -> tuple[list[tuple[str, str]], str]:
    """Return columns with types, and rows as text: NaN equals itself."""
    found = lake.sql(sql)
    return list(zip(found.columns, map(str, found.types), strict=True)), repr(found.fetchall())


def brute(lake: lf.Lake, sql: str = _ALL) -> tuple[list[tuple[str, str]], str]:
    """Ask the views over the journal, without any read model."""
    session = session_of(lake)
    found = Views().query(session.tables(content=True), sql, lost=session.lost)
    return list(zip(found.columns, map(str, found.types), strict=True)), repr(found.fetchall())


def is_of_states(lake: lf.Lake) -> bool:
    return "run_states_model" in list(session_of(lake).tables())


_VALUES: list[Any] = [
    *(0.1, 3, -0.0, 1e300, 2**60, 10**30, True, "x", "0.5", 'q"é\n', None, {"a": [1.5, None]}, [1, 2.0], float("nan")),
    *(float("-inf"), Decimal("1.50"), Decimal("1.23456789012345678"), 10**400, (1, 2), 1e-5, 9007199254740993),
]


def change(lake: lf.Lake, rng: random.Random, going_on: list[lf.Run]) -> None:
    """Make one change at random."""
    choice = rng.randrange(10)
    run = rng.choice(going_on) if going_on else None
    if choice < 3 or run is None:
        kinds = _VALUES if rng.random() < 0.5 else [0.5, 0.25, 3]
        params = {name: rng.choice(kinds) for name in rng.sample(["lr", "Depth", "status", "it's", "$x", "/y"], 3)}
        made = lake.create_run(project=rng.choice(["a", "b", None]), params=params, tags=["t"])
        going_on.append(made)
    elif choice == 3:
        run.log(**{rng.choice(["loss", "auc"]): rng.choice([0.5, float("nan"), 2.0, 1e-7])})
        run.flush()
    elif choice == 4:
        run.finish() if rng.random() < 0.5 else run.fail("no luck")
        going_on.remove(run)
    elif choice == 5:
        run.set_params(lr=rng.choice([0.2, "fast", False, 7]))
    elif choice == 6:
        run.add_output(f"o{rng.randrange(10**9)}", rng.random())
        if rng.random() < 0.5:  # the same entry is put again: it is one output
            folio, before = lake.folio(f"runs/{run.run_id}"), lake.version
            folio.delete(next(iter(folio)))
            lake.restore(before, folio=folio.name)
    elif choice == 7:
        run.add_input(f"i{rng.randrange(10**9)}", "s3://elsewhere/x")
    elif choice == 8:
        metrics = {rng.choice(["f1", "loss"]): rng.random()}
        lake.create_run(status="done", metrics=metrics, params={"lr": 0.5}, parent=run)
    else:
        run.finish()
        going_on[going_on.index(run)] = lake.resume_run(run.run_id)


@pytest.mark.parametrize(
    ("seed", "rounds"), [(0, 2), *(pytest.param(seed, 4, marks=pytest.mark.slow) for seed in (0, 1))]
)
def test_runs_are_told_as_the_journal_tells_them(tmp_path: Path, seed: int, rounds: int) -> None:
    lake, rng, going_on = lf.open(tmp_path / "lake"), random.Random(seed), []
    for _ in range(rounds):
        for _ in range(rng.randrange(2, 14)):
            change(lake, rng, going_on)
        if rng.random() < 0.3:
            with lake.batch():
                lake.folio("f").add("y", 1, overwrite=True)
                lake.create_run(status="failed", params={"only": rng.random()})
        assert answers(lake) == brute(lake)
        lake.compact()
        lake = lf.open(tmp_path / "lake")
        going_on = [lake.resume_run(one.run_id) for one in going_on if one.finish() is None]
        assert is_of_states(lake)
        assert answers(lake) == brute(lake)
        past = lake.at(rng.randrange(1, lake.version + 1))
        assert answers(past) == brute(past)
    assert lake.check().ok
    for run in going_on:
        run.finish()


def without_models(root: Path, copy: Path) -> lf.Lake:
    """Open a copy of a lake that has nothing but its journal and its points."""
    shutil.copytree(root, copy)
    for table in (copy / "tables").iterdir():
        if table.name not in ("manifests", "metric_rows", "event_rows"):
            shutil.rmtree(table)
    (copy / "tables/manifests/_delta_log/_last_checkpoint").unlink()  # it says which models there are
    return lf.open(copy, read_only=True)


def said(lake: lf.Lake) -> dict[str, Any]:
    """Return what is told of runs beside SQL."""
    found = lake.runs()
    some = [run for run in found if run.name]
    wheres = ("lr = '0.5'", "f1 > 0.5 and project is null", "status = 'done'", "loss.min < 1", "name = 'run 3'")
    return {
        "all": repr([run.to_dict() for run in found]),
        "of": [
            [run.run_id for run in lake.runs(**one)] for one in ({"project": "a"}, {"status": "lost"}, {"tag": "t"})
        ],
        "newest": [run.run_id for run in lake.runs(limit=3)],
        "where": [repr(lake.run_rows(where=where, sort="-f1", limit=5)) for where in wheres],
        "rows": repr(lake.run_rows()),
        "sorted": [run.run_id for run in lake.runs(where="lr is not null", sort="-started_at", limit=4)],
        "by name": [lake.get_run(run.name).run_id for run in some],
        "by the end of the id": [lake.get_run(run.run_id[-9:]).run_id for run in found],
        "children": [run.children for run in found],
    }


def test_runs_are_listed_named_and_looked_up_as_without_read_models(tmp_path: Path) -> None:
    lake, rng, going_on = lf.open(tmp_path / "lake"), random.Random(7), []
    for part in range(2):
        for number in range(4):
            lake.create_run(
                name=f"run {part}{number}é",
                status="done",
                metrics={"f1": rng.random(), "loss": 0.5},
                params={"lr": 0.5},
            )
        for _ in range(12):
            change(lake, rng, going_on)
        lake.compact()
    lake.create_run(name="in the tail", status="done", parent=going_on[0], params={"lr": 2})
    for run in going_on:
        run.finish()
    fresh = lf.open(tmp_path / "lake")
    assert is_of_states(fresh)
    expected = without_models(tmp_path / "lake", tmp_path / "copy")
    assert session_of(expected).committed().base_version < 0
    assert said(fresh) == said(expected)
    early = fresh.version // 2
    assert said(fresh.at(early)) == said(expected.at(early))
    with pytest.raises(lf.LakefolioError, match="not found") as refused:
        fresh.get_run("in the tial")
    assert "in the tail" in str(refused.value.hint)


def test_a_run_that_changed_since_the_last_merge_is_told_once(tmp_path: Path) -> None:
    """Several runs of the read model have a row of it; only the newest one counts, however they were merged."""
    lake = lf.open(tmp_path / "lake")
    for number in range(40):  # so that what follows is merged apart from them
        lake.create_run(f"old{number}", status="done", params={"lr": number})
    run = lake.create_run("r", params={"lr": 1, "gone": 1})
    lake.compact()
    for number in range(4):
        run.set_params(lr=number, **{f"p{number}": number})
        lake.compact()
        fresh = lf.open(tmp_path / "lake")
        assert fresh.sql("select count(*), max(lr) from runs where run_id = 'r'").fetchall() == [(1, number)]
        assert answers(fresh) == brute(fresh)
    run.finish()
    assert lake.check().ok


def test_a_search_of_many_runs_reads_the_read_model_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = str(tmp_path / "lake")
    scale_runs.make(uri, 400, 2, at_once=200)
    held: list[str] = []
    counted: list[str] = []
    hold, count = LocalFiles.held, model_runs._count

    def noted(self: LocalFiles, some: Sequence[Immutable]) -> Any:
        held.extend(one.key.split("/")[1] for one in some)
        return hold(self, some)

    def counting(connection: Any, rows: str, file: str = "''") -> Any:
        counted.append(file)
        return count(connection, rows, file)

    monkeypatch.setattr(LocalFiles, "held", noted)
    monkeypatch.setattr(model_runs, "_count", counting)
    lake = lf.open(uri)
    search = "select run_id, auc, seed from runs where auc > 0.5 and lr = 0.01 order by auc desc"
    assert len(lake.sql(search).fetchall()) > 20
    assert set(held) == {"run_states"}
    assert len(lake.run_rows(where="auc > 0.5", limit=5)[1]) == 5
    assert set(held) == {"run_states"}
    lake.create_run("later", status="done", params={"lr": 0.01, "seed": 7}, metrics={"auc": 2.0})
    assert lake.sql(search).fetchall()[0] == ("later", 2.0, 7)
    assert set(held) == {"run_states"}
    assert counted.count("filename") == 1, "what is counted of a file is known as of the next version"
    assert answers(lake) == brute(lake)
    first = scale_runs.run_id_of(0)
    assert lake.get_run(first).name == lake.runs(where="name = 'run 0'")[0].name == "run 0"
    assert lake.metric_history(first, "auc").num_rows == 1
