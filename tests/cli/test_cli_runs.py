"""Runs on the command line: listed, walked, shown, compared; settings; completion."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli, naming
from lakefolio.cli.app import App
from lakefolio.cli.shells import teach_shells


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("LAKEFOLIO_VIEWS", str(tmp_path / "own"))
    monkeypatch.setenv("LAKEFOLIO_LAKE", str(tmp_path / "lake"))
    lake = lf.open()
    lake.folio("exp/a").add("raw", {"n": 1})
    for number in range(2):
        with lake.run(f"n{number}", run_id=f"r{number}", project="churn", params={"lr": number / 10}) as run:
            run.log_points("loss", [1.0, 0.5 - number / 10])
    return str(tmp_path / "lake")


def test_runs_are_listed_and_walked(place: str, run: Any, said: Any) -> None:
    assert run("runs").stdout.split("\n")[1].startswith("r1")
    assert "churn/" in run("ls", "by_project").stdout
    assert run("ls", "by_project/churn").stdout == run("runs", "churn").stdout == run("runs", "by_project/churn").stdout
    assert [one["run_id"] for one in said("runs", "by_project/churn")["rows"]] == ["r1", "r0"]
    assert said("runs", "by_project/chur", code=3)


def test_a_view_file_is_listed_and_a_broken_one_says_why(place: str, run: Any, said: Any) -> None:
    for name, sql in (("by_lr", "select params ->> 'lr' as path, run_id from runs"), ("by_typo", "selec 1")):
        Path(place, "views").mkdir(exist_ok=True)
        Path(place, "views", f"{name}.sql").write_text(sql)
    assert "by_lr" in {one["name"] for one in said("sql", "--views")}
    listed = run("sql", "--views")
    assert "by_lr: " in listed.stdout
    assert "by_typo: " in listed.stdout
    assert "n0" in run("ls", "by_lr/0.0").stdout
    assert 'views/by_typo.sql can\'t be made a view: syntax error at or near "selec"' in (
        run("ls", "by_typo", code=2).stderr
    )
    Path(place, "views", "no text.sql").write_text("select 1")
    assert "views/no text.sql is left out: its name" in run("sql", "--views").stderr


def test_the_default_organisation_is_the_configured_one(place: str, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEFOLIO_DEFAULT_ORGANISATION", "by_type")
    assert "r1" not in run("runs", "experiment").stdout
    run("runs", "churn", code=3)
    monkeypatch.setenv("LAKEFOLIO_DEFAULT_ORGANISATION", "by_nothing")
    assert "LAKEFOLIO_DEFAULT_ORGANISATION sets default_organisation" in run("runs", "churn", code=2).stderr


def test_a_run_is_shown(place: str, run: Any, said: Any) -> None:
    text = run("run", "show", "r1").stdout
    assert "lr = 0.1" in text
    assert "loss = 0.4" in text
    assert said("run", "show", "r1")["params"] == {"lr": 0.1}
    run("run", "show", "r9", code=3)


def test_a_run_whose_process_died_is_shown_as_lost(place: str, run: Any, said: Any) -> None:
    code = "import os, lakefolio as lf; lf.open().create_run('dead'); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], check=False)
    version = lf.open(read_only=True).version
    assert [line.split()[1] for line in run("runs").stdout.splitlines() if line.startswith("dead")] == ["lost"]
    assert "status         lost" in run("run", "show", "dead").stdout
    assert said("sql", "select status from runs where run_id = 'dead'")[0]["status"] == "lost"
    assert lf.open(read_only=True).version == version  # looking at the command line writes nothing


def test_runs_are_compared_and_pages_written(place: str, run: Any, said: Any, tmp_path: Path) -> None:
    text = run("compare", "r0", "r1").stdout
    assert "parameters" in text
    assert "●" in text
    assert "●" not in run("compare", "r0", "r1", "--no-curves").stdout
    assert said("compare", "r0", "r1")["parameters"]["lr"] == [0.0, 0.1]
    run("compare", "r0", "r1", "--html", "x.html")
    assert (tmp_path / "x.html").read_text().startswith("<!doctype html>")
    run("compare", "r0", "r1", "--html", "x.html", code=4)
    run("compare", "r0", "r1", "--html", "x.html", "--force")
    run("compare", "r0", "r0", code=2)
    run("compare", "r0", "r9", code=3)


def test_settings_are_shown_with_where_they_were_said(place: str, run: Any, said: Any, tmp_path: Path) -> None:
    (tmp_path / "lakefolio.toml").write_text('author = "ada"\n[storage_options]\nsecret_access_key = "hush"\n')
    rows = {one["name"]: one for one in said("config")}
    assert rows["author"]["source"] == f"{tmp_path / 'lakefolio.toml'}, line 1"
    assert rows["lake"]["source"] == "LAKEFOLIO_LAKE"
    assert said("--lake", "x", "config")[0]["source"] == "argument --lake"
    assert "hush" not in run("config").stdout + run("config", "--json").stdout
    (tmp_path / "lakefolio.toml").write_text("author = 5\n")
    assert "line 1" in run("config", code=2).stderr


def completed(line: str, place: str) -> list[str]:
    """Return what a shell offers; that it does so in a process of its own: test_cli_help.py and test_shells.py."""
    environment = {"COMP_LINE": line, "_LAKEFOLIO_COMPLETE": "zsh_complete", "LAKEFOLIO_LAKE": place}
    teach_shells()
    done = CliRunner().invoke(cli, [], env=environment, prog_name="lakefolio")
    assert (done.exit_code, done.stderr) == (0, "")
    return [one.split("\t")[1] for one in done.stdout.splitlines() if one]


def test_folios_of_runs_are_offered_to_those_who_ask_for_them(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("exp/a").add("raw", 1)
    with lake.run("train", run_id="r1") as run:
        run.add_output("model", 2)
    place = str(tmp_path / "lake")
    assert "runs/r1" in lake.folios()
    assert "runs/r1" not in completed("lakefolio ls ", place)
    assert completed("lakefolio get ", place) == ["exp/a:"]
    assert completed("lakefolio ls ru", place) == ["runs/r1"]
    assert completed("lakefolio get runs/", place) == ["runs/r1:"]


def test_labels_and_aliases_of_versions_complete(tmp_path: Path) -> None:
    folio = lf.open(tmp_path / "lake").folio("exp")
    folio.add("raw", 1, version="1.0.0")
    folio.add("raw", 2, version="1.1.0", overwrite=True)
    folio.alias("raw", "golden", "1.0.0")
    place = str(tmp_path / "lake")
    assert {"exp:raw@1.0.0", "exp:raw@1.1.0", "exp:raw@golden"} <= set(completed("lakefolio get exp:raw@", place))
    assert completed("lakefolio get exp:raw@1.1", place) == ["exp:raw@1.1.0"]
    assert completed("lakefolio get exp:raw@g", place) == ["exp:raw@golden"]


def test_items_complete_in_their_order_without_archived_ones(tmp_path: Path) -> None:
    folio = lf.open(tmp_path / "lake").folio("exp")
    for name in ("b", "a2", "old", "a1", "two words"):
        folio.add(name, 1)
    folio.archive("old")
    folio.delete("a2")
    folio.add("a2", 2)
    place = str(tmp_path / "lake")
    found = ["exp:b", "exp:a1", "exp:two words", "exp:a2"]
    assert completed("lakefolio get exp:", place) == found
    assert completed("lakefolio get exp:a", place) == ["exp:a1", "exp:a2"]
    lf.open(tmp_path / "lake").compact()
    assert completed("lakefolio get exp:", place) == found


def test_tags_are_looked_for_in_some_folios_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lf.open(tmp_path / "lake")
    with lake.batch():
        for number in range(naming._FOLIOS_LOOKED_AT + 5):
            lake.folio(f"f{number:03}").add("x", 1, tags=[f"t{number:03}"])
    looked: list[str] = []
    items = lf.Lake.items
    monkeypatch.setattr(lf.Lake, "items", lambda lake, folio: looked.append(folio) or items(lake, folio))
    context = click.Context(click.Command("tag"), obj=App())
    context.obj.lake_uri = str(tmp_path / "lake")
    found = naming.tags(context, click.Argument(["tags"]), "t")
    assert [one.value for one in found] == [f"t{number:03}" for number in range(naming._FOLIOS_LOOKED_AT)]
    assert len(looked) == naming._FOLIOS_LOOKED_AT


def test_names_complete(place: str) -> None:
    assert sorted(completed("lakefolio comp", place)) == ["compact", "compare", "compat", "completion"]
    assert completed("lakefolio ls by_p", place) == ["by_project"]
    assert completed("lakefolio ls by_project/", place) == ["by_project/churn"]
    assert completed("lakefolio show exp/a:", place) == ["exp/a:raw"]
    assert completed("lakefolio compare r", place) == ["r1", "r0"]
    assert completed("lakefolio show x", place + "/nothing") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(run: Any, shell: str) -> None:
    assert f"_LAKEFOLIO_COMPLETE={shell}_complete" in run("completion", shell).stdout
    assert json.loads(run("--json", "completion", "ksh", code=2).stderr)["error"]["kind"] == "usage"
