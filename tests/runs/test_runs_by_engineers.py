"""Runs as engineers use them: logged in the words of other trackers, named by name or short id, listed as a table."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli
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
    assert (caught.value.kind, "bbbb-zzz3, aaaa-two-zzz2" in caught.value.hint) == ("ambiguous-run", True)
    with pytest.raises(lf.InvalidInputError, match="2 runs"):
        lake.get_run("aaaa")
    for nothing in ("aaa", "nothing", ""):
        with pytest.raises(lf.LakefolioError):
            lake.get_run(nothing)
    code, out, _ = lakefolio(lake, "run", "show", "zzz3")
    assert (code, "bbbb-zzz3" in out) == (0, True)


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
