"""Runs as engineers use them: logged in the words of other trackers, named by name or short id, listed as a table."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from inside import session_of

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.model.changes import SetRun
from lakefolio.testing.need import need


@pytest.fixture
def lake(tmp_path):
    return lf.open(tmp_path / "lake")


def lakefolio(lake, *words):
    done = CliRunner().invoke(cli, ["--lake", lake.uri, *words])
    return done.exit_code, done.stdout, done.stderr


def test_all_ways_to_log(lake, tmp_path):
    need("matplotlib", "plots").use("agg")
    plt = need("matplotlib.pyplot", "plots")
    (tmp_path / "notes.md").write_text("x")
    figure, _ = plt.subplots()
    with lake.run("r") as run:
        run.log({"val/loss": 0.5}, 1)
        run.log({"val/loss": 0.25, "step": 2}, auc=0.5)
        run.log(7, acc=1.0)
        run.log_metric("acc", np.float32(0.5), 8)
        run.log_param("lr", 0.1)
        run.log_params({"depth": 3})
        run.set_tag("best")
        run.set_tag("owner", "ada")
        run.log_artifact(tmp_path / "notes.md")
        run.log_figure(figure, "curve")
        run.log_figure(figure, "curve", description="again")
        run.log_model(need("sklearn.linear_model", "sklearn").LinearRegression().fit([[0], [1]], [0, 1]))
    plt.close(figure)
    found = lake.get_run("r")
    assert (found.params, found.tags, found.metadata) == ({"lr": 0.1, "depth": 3}, ["best"], {"owner": "ada"})
    assert found.metrics == {"val/loss": 0.25, "auc": 0.5, "acc": 0.5}
    steps = lake.metric_history("r").to_pydict()
    points = {("val/loss", 1), ("val/loss", 2), ("auc", 2), ("acc", 7), ("acc", 8)}
    assert set(zip(steps["name"], steps["step"], strict=True)) == points
    assert {one.name: one.kind for one in found.outputs} == {
        "notes.md": "artifact",
        "curve": "figure",
        "model": "model",
    }
    with pytest.raises(lf.InvalidInputError):
        lake.resume_run("r").set_tag(3)


def test_a_run_is_named_by_its_name_or_a_part_of_its_id(lake):
    with lake.run("train", run_id="aaaa-one-zzz1"), lake.run("twice", run_id="aaaa-two-zzz2"):
        pass
    with lake.run("twice", run_id="bbbb-zzz3"):
        pass
    assert lake.get_run("train").run_id == "aaaa-one-zzz1"
    assert lake.get_run("bbbb").run_id == "bbbb-zzz3"
    assert lake.get_run("zzz2").run_id == "aaaa-two-zzz2"
    assert [one.run_id for one in lake.compare("train", "bbbb").runs] == ["aaaa-one-zzz1", "bbbb-zzz3"]
    assert lake.resume_run("train").run_id == "aaaa-one-zzz1"
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.get_run("twice")
    assert caught.value.kind == "ambiguous-run"
    said = r"give the id of one: bbbb-zzz3 \(twice, done, [-:T\d]{19}\), aaaa-two-zzz2 \(twice, done, [-:T\d]{19}\)"
    assert re.fullmatch(said, caught.value.hint)
    with pytest.raises(lf.InvalidInputError, match="2 runs"):
        lake.get_run("aaaa")
    for nothing in ("aaa", "nothing", ""):
        with pytest.raises(lf.LakefolioError):
            lake.get_run(nothing)
    code, out, _ = lakefolio(lake, "run", "show", "zzz3")
    assert (code, "bbbb-zzz3" in out) == (0, True)


def test_names_and_short_ids_lead_to_runs_in_a_lake_of_any_age(lake):
    with lake.run("größe") as first:
        pass
    with lake.run("old name", run_id="renamed"):
        pass
    session_of(lake).apply(SetRun(run_id="renamed", values={"name": '"new name"'}))
    for _ in range(102):  # now a read model holds the first ones
        with lake.run("many"):
            pass
    again = lf.open(lake.uri, read_only=True)
    assert again.get_run("größe").run_id == first.run_id
    assert again.get_run(first.run_id[-8:]).name == "größe"
    assert again.get_run("new name").run_id == "renamed"
    with pytest.raises(lf.NotFoundError, match="'new name'"):
        again.get_run("old name")
    with lake.run("child", parent="größe") as child:
        assert child.parent == first.run_id
        assert repr(child) == f"<Run child ({child.run_id[-8:]}) running>"
    with pytest.raises(lf.NotFoundError, match="did you mean 'new name'"):
        lake.create_run(parent="new nam")
    with pytest.raises(lf.InvalidInputError, match=rf"child \({child.run_id[-8:]}\)' has ended"):
        child.log(a=1)
    assert repr(lake.runs(limit=1)).split()[2:] == [child.run_id[-8:], "done", "child"]
    with pytest.raises(lf.InvalidInputError, match="2 runs can't be compared"):
        lake.compare("größe", first.run_id)


@pytest.fixture
def three(lake):
    for number in range(3):
        with lake.run(f"r{number}", params={"lr": number / 10}) as run:
            run.log({"val/loss": 1.0 / (number + 1)}, auc=number / 2)
    return lake


def test_runs_are_a_list_and_a_frame(three):
    found = three.runs()
    assert [one.name for one in found] == ["r2", "r1", "r0"]
    assert found.df()["metrics.auc"].tolist() == [1.0, 0.5, 0.0]
    assert found.pl()["params.lr"].to_list() == [0.2, 0.1, 0.0]
    assert repr(found).startswith("3 runs\n")
    assert "metrics.val/loss" in found._repr_html_()
    assert f">{found[0].run_id[-8:]}<" in found._repr_html_()
    assert three.runs(status="failed").df().empty


def test_runs_as_a_table_are_chosen_sorted_and_cut(three):
    names, rows = three.run_rows(where="auc > 0", sort="-val/loss", columns=["name", "val/loss", "lr"])
    assert (names, rows) == (["name", "val/loss", "lr"], [("r1", 0.5, 0.1), ("r2", 1 / 3, 0.2)])
    assert [row[1] for row in three.run_rows(limit=2)[1]] == ["r2", "r1"]
    for wrong in ({"sort": "-val/los"}, {"columns": ["nam"]}, {"where": "drop table runs"}, {"where": "nothing > 1"}):
        with pytest.raises(lf.InvalidInputError):
            three.run_rows(**wrong)


def test_the_command_line_lists_them(three):
    code, out, err = lakefolio(three, "runs", "--where", "auc > 0", "--sort", "val/loss", "--columns", "name,auc")
    assert (code, out.split()[:2], err) == (0, ["name", "auc"], "")
    assert [line.split() for line in out.splitlines()[-2:]] == [["r2", "1"], ["r1", "0.5"]]
    code, out, _ = lakefolio(three, "runs", "--limit", "1", "--json")
    assert [one["name"] for one in json.loads(out)] == ["r2"]
    code, _, err = lakefolio(three, "runs", "--sort", "-acu")
    assert (code != 0, "auc" in err) == (True, True)
    assert lakefolio(three, "runs", "flat", "--limit", "1")[0] == 2


def test_folios_of_runs_are_not_listed_unless_asked(three):
    three.folio("mine").add("x", 1)
    three.resume_run("r0").add_output("y", 2)
    _, out, err = lakefolio(three, "ls", "--json")
    assert [one["folio"] for one in json.loads(out)] == ["mine"]
    _, out, err = lakefolio(three, "ls")
    assert "not shown; --all" in err
    _, out, _ = lakefolio(three, "ls", "--all", "--json")
    assert {"mine", "environments"} < {one["folio"] for one in json.loads(out)}


def test_stats_and_show_sum_the_folios_of_runs_up_unless_asked(three):
    three.folio("mine").add("x", 1)
    three.resume_run("r0").add_output("y", 2)
    assert [row["folio"] for row in three.stats().folios] == ["mine"]
    own = three.stats().hidden["item_count"]
    assert own == three.stats().item_count - three.info().item_count > 0
    assert f" and {own} of runs and records, " in str(three.stats()).splitlines()[0]
    assert "of runs" not in str(three.stats(every_folio=True)).splitlines()[0]
    together = three.stats()
    assert "share a version" not in str(together)
    together["commit_count"] = together.version + 1
    assert "(writers at once share a version)" in str(together).splitlines()[0]
    assert three.stats().hidden["folio_count"] == len(three.stats(every_folio=True).folios) - 1 > 0
    every = three.stats(every_folio=True)
    total = sum(row["logical_bytes"] for row in every.folios)
    assert sum(row["logical_bytes"] for row in three.stats().folios) + three.stats().hidden["logical_bytes"] == total
    assert "of runs and records)" in str(three.stats())
    assert "of runs and records)" not in str(every)
    assert (three.info().folio_count, three.info().item_count, three.info().run_count) == (1, 1, 3)
    assert three.info(every_folio=True).folio_count > 1
    assert json.loads(lakefolio(three, "show", "--all", "--json")[1])["folio_count"] > 1
    assert "environments" in lakefolio(three, "stats", "--all")[1]
    assert "environments" not in lakefolio(three, "stats")[1] + three._repr_html_()
    assert "not shown" in three._repr_html_()


def test_a_lake_of_runs_alone_is_not_called_empty(three):
    _, out, err = lakefolio(three, "ls")
    assert (out, "empty" in err, "of runs and records not shown; --all" in err) == ("", False, True)
    assert json.loads(lakefolio(three, "ls", "--json")[1]) == []
