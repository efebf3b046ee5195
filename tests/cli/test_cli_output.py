"""Text for people and JSON for programs."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

import lakefolio as lf
from lakefolio.cli.output import Output, plain
from lakefolio.terminal import visible


@dataclass
class Point:
    x: float
    content: bytes = b"left out"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, None),
        ({"a": math.inf, 1: (1, 2)}, {"a": None, "1": [1, 2]}),
        (datetime(2026, 11, 1, tzinfo=UTC), "2026-11-01T00:00:00+00:00"),
        (date(2026, 11, 1), "2026-11-01"),
        (b"\x00\xff", "AP8="),
        (Decimal("1.50"), "1.50"),
        (Point(1.0), {"x": 1.0}),
        (True, True),
        (2**80, 2**80),
        (pa.MonthDayNano([14, 2, 10_800 * 10**9]), "14 months 2 days 03:00:00"),
        ([pa.MonthDayNano([0, 1, 0]), pa.MonthDayNano([0, 0, 0])], ["1 day", "00:00:00"]),
        (pa.MonthDayNano([0, -1, -1_500_000_000]), "-1 days -00:00:01.5"),
    ],
)
def test_plain(value: object, expected: object) -> None:
    assert plain(value) == expected
    assert json.loads(Output().json(value)) == expected


def test_control_characters_are_shown_not_sent() -> None:
    assert visible("a\x1b[31mb\x00\x9b\n\tc") == "a\\x1b[31mb\\x00\\x9b\n\tc"


def test_what_others_wrote_cant_drive_the_terminal(run, stocked: str) -> None:
    evil = "\x1b]0;owned\x07"
    shown = run("sql", f"select '{evil}' as x").stdout
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "owned" in shown


def test_options_may_stand_before_or_after(run, stocked: str) -> None:
    lf.open("second").folio("f").add_json("x", 1)
    expected = run("--lake", "second", "--at", "1", "--json", "ls").stdout
    assert [one["folio"] for one in json.loads(expected)] == ["f"]
    assert run("ls", "--lake", "second", "--at", "1", "--json").stdout == expected
    assert run("--lake", "first", "--json", "ls", "--lake", "second", "--at", "1").stdout == expected
    assert json.loads(run("snapshot", "--json", "list").stdout) == json.loads(run("--json", "snapshot", "list").stdout)


def test_tables_are_aligned_and_never_cut(run, stocked: str) -> None:
    lines = run("ls", "experiments/clf").stdout.splitlines()
    assert lines[0].split() == ["name", "kind", "size", "version", "when", "description"]
    assert len({line.index("2026") if "2026" in line else line.index("20") for line in lines[1:]}) == 1
    assert lines[1].endswith("Hyperparameters")


def test_sql_formats(run, said, stocked: str) -> None:
    query = "select 1 as a, 2 as a, null as b, [1, 2] as l, 'x,\"y' as t, true as f, 'é' as u"
    assert said("sql", query) == [{"a": 1, "a_1": 2, "b": None, "l": [1, 2], "t": 'x,"y', "f": True, "u": "é"}]
    assert run("sql", query, "--format", "csv").stdout == 'a,a_1,b,l,t,f,u\n1,2,,"[1, 2]","x,""y",true,é\n'
    assert json.loads(run("sql", query, "--format", "json").stdout) == said("sql", query)
    assert run("sql", "-", stdin="select 7 as n").stdout == "n\n7\n"
    many = run("sql", "select * from range(1200)")
    assert len(many.stdout.splitlines()) == 1001
    assert "1,200" in many.stderr
    assert len(run("sql", "select * from range(1200)", "--format", "csv").stdout.splitlines()) == 1201


def test_views_are_listed_without_a_lake(run, said) -> None:
    listed = {one["name"]: one for one in said("sql", "--views")}
    for name in ("entries", "items", "commits", "snapshots", "lineage_edges", "storage_savings", "runs_by_project"):
        assert name in listed
        assert name in run("sql", "--views").stdout
    assert {"name": "size_bytes", "type": "BIGINT"} in listed["items"]["columns"]


def test_warnings_are_a_line(run, stocked: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = run("add", "f:far", "https://localhost:1/none.csv", "--reference")
    assert result.stderr.startswith("warning: ")
    assert ".py" not in result.stderr


def test_lineage_formats(run, said, stocked: str) -> None:
    assert run("lineage", "experiments/clf:emb", "--format", "mermaid").stdout.startswith("graph")
    assert len(json.loads(run("lineage", "experiments/clf:emb", "--format", "openlineage").stdout)) >= 1
    run("lineage", "experiments/clf:emb", "--format", "html", "-o", "l.html")
    run("lineage", "experiments/clf:emb", "--format", "html", "-o", "l.html", code=4)
    run("lineage", "experiments/clf:emb", "--format", "html", "-o", "l.html", "--force")
    with open("l.html") as file:
        assert file.read().startswith("<!doctype html>")
    short = run("lineage", "experiments/clf:emb", "--limit", "1")
    assert short.stdout.splitlines()[-1].endswith("nearest nodes; a higher limit shows more")
    assert "--limit N" in run("lineage", "experiments/clf:emb", "--limit", "1", "--format", "mermaid").stderr
    assert said("lineage", "experiments/clf:emb")["complete"]
    assert not said("lineage", "experiments/clf:emb", "--limit", "1")["complete"]
    tree = run("lineage", "experiments/clf:scores@2").stdout
    assert "experiments/clf:config@1" in tree
    assert "experiments/clf:emb@3" in tree
    up = said("lineage", "experiments/clf:emb", "--upstream", "--depth", "1")
    assert len(up["nodes"]) == 3
    both = said("lineage", "experiments/clf:scores@2", "--depth", "1")
    assert {one["ref"] for one in both["nodes"]} == {
        "experiments/clf:scores@2",
        "experiments/clf:config@1",
        "experiments/clf:emb@3",
    }


def test_show_tells_all_of_an_item(run, stocked: str) -> None:
    shown = run("show", "experiments/clf:config").stdout
    for fact in ("Hyperparameters", "draft", "sha256:", "paper-v1", "used by"):
        assert fact in shown
    columns = run("show", "experiments/clf:scores").stdout
    for fact in ("id", "int64", "score", "double", "2 rows", "2 changes"):
        assert fact in columns
    assert "experiments/clf" in run("show", "experiments/clf").stdout
    assert stocked in run("show").stdout


def test_archived_items_are_listed_on_request(said, stocked: str) -> None:
    lf.open(stocked).folio("experiments/clf").archive("notes")
    assert "notes" not in [one["item"] for one in said("ls", "experiments/clf")]
    assert "notes" in [one["item"] for one in said("ls", "experiments/clf", "--all")]


def test_show_counts_the_runs_that_used_an_item(run, tmp_path) -> None:
    lake = lf.open(tmp_path / "used_by_many")
    lake.folio("f").add("x", 1)
    lake.folio("f").add("made", 2, inputs=["x"])
    ids = []
    for number in range(7):
        with lake.run(f"r{number}") as one:
            one.input("f:x")
        ids.append(one.run_id)
    shown = run("--lake", lake.uri, "show", "f:x").stdout
    assert "f:made@2" in shown
    assert f"7 runs, the newest {ids[-1][-8:]}" in shown
    assert ids[0][-8:] not in shown
