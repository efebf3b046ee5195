"""Runs as tables: measures of metrics as columns, names without quotes, and runs below their parents."""

import json
import math

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from thoroughness import examples

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.journal import head
from lakefolio.readmodels.view import Folded
from lakefolio.runs.table import nested


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    lake = lf.open(tmp_path_factory.mktemp("tables") / "lake")
    with lake.run("sweep"):
        for number, losses in enumerate(([3.0, 1.0, 2.0], [5.0, math.nan, 0.5], [4.0, 2.5, 2.0])):
            with lake.run(f"fold-{number}", params={"lr-max": number / 10}) as run:
                for step, loss in enumerate(losses):
                    run.log({"val/loss": loss, "auc": 1 - loss / 10}, step)
    lake.create_run("imported", status="done", metrics={"auc": 0.25}, started_at="2020-01-01T00:00Z")
    return lake


def lakefolio(lake, *words):
    done = CliRunner().invoke(cli, ["--lake", lake.uri, *words])
    assert done.exit_code == 0, done.stderr
    return done.stdout, done.stderr


def test_each_metric_has_its_last_min_max_and_best(lake):
    columns = ["name", *(f"val/loss{one}" for one in ("", ".last", ".min", ".max", ".best")), "auc.best", "auc.min"]
    _, rows = lake.run_rows(columns=columns, sort=["val/loss.min", "started_at"])
    assert rows == [
        ("fold-1", 0.5, 0.5, 0.5, 5.0, 0.5, 0.95, 0.5),  # what is not a number is no extreme
        ("fold-0", 2.0, 2.0, 1.0, 3.0, 1.0, 0.9, 0.7),
        ("fold-2", 2.0, 2.0, 2.0, 4.0, 2.0, 0.8, 0.6),
        (None, None, None, None, None, None, 0.25, 0.25),
        ("sweep", None, None, None, None, None, None, None),
    ]
    sql = "select best, best_step, point_count from run_metrics where name = 'val/loss' order by best"
    assert lake.sql(sql).fetchall() == [(0.5, 2, 3), (1.0, 1, 3), (2.0, 2, 3)]


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("val/loss.min < 1.5 and val/loss.max>3", ["fold-1"]),
        ("\"val/loss.min\" < 1.5 and name <> 'val/loss.min'", ["fold-1", "fold-0"]),
        ("val/loss < 1", ["fold-1"]),
        ("lr-max >= 0.1 and auc.best > .85", ["fold-1"]),
        ("auc.last = 0.25 or name = 'sweep'", ["sweep", None]),
        ("duration_s/1000 < 1e9 and auc.min = .25", [None]),
    ],
)
def test_conditions_name_metrics_as_people_do(lake, where, names):
    assert [name for _, name in lake.run_rows(where=where, columns=["started_at", "name"])[1]] == names
    assert [one.name for one in lake.runs(where=where)] == names


def test_what_is_asked_for_is_shown_first(lake):
    names, _ = lake.run_rows(sort="-auc.max", where="val/loss.min > 0")
    assert names == ["run_id", "name", "auc.max", "val/loss.min", "status", "started_at", "parent", "auc", "val/loss"]
    with pytest.raises(lf.InvalidInputError, match=r"did you mean 'auc\.max'"):
        lake.run_rows(sort="auc.mx")
    with pytest.raises(lf.InvalidInputError):
        lake.run_rows(where="auc.min > 0); drop table runs; --")


def test_a_frame_of_runs_has_the_measures(lake):
    found = lake.runs(sort="-auc.best", limit=2, parent="sweep")
    assert [one.name for one in found] == ["fold-1", "fold-0"]
    assert found.df()["metrics.val/loss.min"].tolist() == [0.5, 1.0]
    assert found.pl()["metrics.auc.best"].to_list() == [0.95, 0.9]
    table = found.arrow()
    assert table.column("metrics.val/loss.max").to_pylist() == [5.0, 3.0]
    assert table.column("metrics.val/loss").to_pylist() == [0.5, 2.0]


def test_a_metric_that_is_called_as_a_measure_keeps_its_value(tmp_path):
    lake = lf.open(tmp_path / "lake")
    with lake.run("both") as run:
        run.log({"loss": 3.0, "loss.min": 100.0})
    with lake.run("one") as run:
        run.log(loss=1.0)
    frame = lake.runs(sort="name").df()
    assert frame["metrics.loss.min"].fillna(-1).tolist() == [100.0, -1.0]
    assert frame["metrics.loss.max"].tolist() == [3.0, 1.0]
    assert [one.name for one in lake.runs(where="loss.min > 50")] == ["both"]


def test_a_table_shows_runs_below_their_parents(lake):
    out, _ = lakefolio(lake, "runs", "--sort", "val/loss.min")
    names = [line[10:].split("  ")[0] for line in out.splitlines()]
    assert names == ["name", "sweep", "├─ fold-1", "├─ fold-0", "└─ fold-2", ""]
    out, _ = lakefolio(lake, "runs", "--where", "name = 'fold-2'")
    assert "─" not in out  # its parent is not among them
    out, err = lakefolio(lake, "runs", "--columns", "name", "--limit", "2")
    assert (out.split(), err) == (["name", "fold-2", "fold-1"], "")
    rows = json.loads(lakefolio(lake, "runs", "--columns", "name,auc", "--json")[0])
    assert set(rows[0]) == {"name", "auc"}
    assert len(json.loads(lakefolio(lake, "runs", "--json")[0])) == 5


def test_a_run_below_the_last_of_a_family_is_not_shown_beside_it(tmp_path):
    lake = lf.open(tmp_path / "lake")
    with lake.run("outer"):
        for number in range(2):
            with lake.run(f"inner-{number}"), lake.run(f"part of {number}"):
                pass
    out, _ = lakefolio(lake, "runs", "--columns", "name")
    tree = ["outer", "├─ inner-1", "│  └─ part of 1", "└─ inner-0", "   └─ part of 0"]
    assert [line.rstrip() for line in out.splitlines()[1:]] == tree


def test_a_long_list_says_that_it_is_cut(lake, monkeypatch):
    monkeypatch.setattr("lakefolio.cli.runs._SHOWN", 2)
    out, err = lakefolio(lake, "runs")
    assert (len(out.splitlines()), "--limit 0 all" in err) == (3, True)
    assert lakefolio(lake, "runs", "--limit", "0")[1] == ""


def test_a_run_shows_between_what_its_metrics_lay(lake):
    out, _ = lakefolio(lake, "run", "show", "fold-0")
    assert "val/loss = 2  (best 1 at step 1, 1 to 3)" in out
    assert f"part of        sweep ({lake.get_run('sweep').run_id[-8:]})" in out
    out, _ = lakefolio(lake, "run", "show", "sweep")
    assert "parts          fold-0 (" in out


@given(st.lists(st.one_of(st.none(), st.integers(0, 12)), max_size=12))
@settings(max_examples=examples(200), derandomize=True)
def test_a_tree_has_every_run_once_and_families_together(parents):
    runs = [(str(place), None if parent is None else str(parent)) for place, parent in enumerate(parents)]
    found = nested(runs)
    assert sorted(place for place, _ in found) == list(range(len(runs)))
    depth = {}
    for number, (place, branch) in enumerate(found):
        depth[place] = len(branch) // 3
        parent = parents[place]
        if depth[place]:
            before = [one for one, _ in found[:number] if depth[one] == depth[place] - 1]
            assert before[-1] == parent
        elif parent is not None and parent < len(runs) and parent != place:
            chain, above = [place], parent  # only who is its own ancestor stands by itself
            while above is not None and above < len(runs) and above not in chain:
                chain.append(above)
                above = parents[above]
            assert above in chain


def test_runs_are_listed_by_one_read_however_many(tmp_path, monkeypatch):
    monkeypatch.setattr(head, "_FOLDED_VERSIONS", 20)  # so that read models answer for most of them
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add("x", {"a": 1})
    asked, ask = [], Folded._ask

    def counted(self, model, question):
        asked.append(model.name)
        return ask(self, model, question)

    monkeypatch.setattr(Folded, "_ask", counted)
    counts = []
    for count in (3, 30):
        outer = lake.create_run(name="outer", project=f"p{count}")
        for n in range(count):
            with lake.run(f"r{n}", project=f"p{count}", params={"n": n}, parent=outer.run_id) as run:
                run.input("f:x")
                run.log(loss=float(n))
                run.set_tag("late", n)
        outer.finish()
        lake.compact()
        assert lake._session.journal.state.base_version > 0
        for handle in (lake, lf.open(lake.uri)):
            asked.clear()
            runs = handle.runs(project=f"p{count}")
            counts.append(asked.count("metadata"))
            assert [one.params.get("n") for one in runs] == [*reversed(range(count)), None]
            assert runs == [handle.get_run(one.run_id) for one in runs]
            assert runs[-1].children == [one.run_id for one in reversed(runs[:-1])]
            assert {one.inputs[0].ref for one in runs[:-1]} == {"f:x@1"}
    assert max(counts) <= min(counts) + 1


def test_columns_are_named_by_their_headings_too(lake):
    by_name, _ = lakefolio(lake, "runs", "--columns", "run_id,started_at,name", "--sort", "-started_at")
    by_title, _ = lakefolio(lake, "runs", "--columns", "run,started,name", "--sort", "-started")
    assert by_title == by_name
    assert by_name.split("\n")[0].split() == ["run", "started", "name"]


def test_names_that_differ_in_case_only_are_never_taken_for_each_other(tmp_path):
    lake = lf.open(tmp_path / "cases")
    for name, upper, lower in (("a", 1.0, 40.0), ("b", 3.0, 20.0)):
        with lake.run(name, params={"LR": upper, "lr": lower}) as run:
            run.log(0, Loss=upper, loss=lower)
    with lake.run("c", params={"lr": 5.0}) as run:
        run.log(0, loss=9.0)
    for _ in range(2):
        for sql in (
            "select Loss from runs",
            'select "loss" from runs',
            "from runs where lr > 1",
            "select LR from runs_flat",
        ):
            with pytest.raises(lf.InvalidInputError, match="not found"):
                lake.sql(sql).fetchall()
        told = "select metrics ->> 'Loss', metrics ->> 'loss', params ->> 'LR', params ->> 'lr' from runs order by name"
        assert lake.sql(told).fetchall() == [
            ("1.0", "40.0", "1.0", "40.0"),
            ("3.0", "20.0", "3.0", "20.0"),
            (None, "9.0", None, "5.0"),
        ]
        assert [run.name for run in lake.runs(where="Loss > 2")] == ["b"]
        assert [run.name for run in lake.runs(where="loss > 10 and Loss.max < 2")] == ["a"]
        assert [run.name for run in lake.runs(sort="Loss")] == ["a", "b", "c"]
        assert [run.name for run in lake.runs(sort="-loss.min")] == ["a", "b", "c"]
        assert lake.runs(sort="Loss").df()[["metrics.Loss", "metrics.loss"]].values[1].tolist() == [3.0, 20.0]
        columns, rows = lake.run_rows(columns=["Loss", "loss", "Loss.max", "loss.max"], sort=["name"])
        assert columns == ["Loss", "loss", "Loss.max", "loss.max"]
        assert rows[:2] == [(1.0, 40.0, 1.0, 40.0), (3.0, 20.0, 3.0, 20.0)]
        shown = CliRunner().invoke(cli, ["--json", "runs", "--lake", str(tmp_path / "cases")])
        assert json.loads(shown.stdout)[0]["loss"] in (9.0, 20.0, 40.0)
        lake.compact()
