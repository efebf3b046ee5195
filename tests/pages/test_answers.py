"""What a page is told: plain values, bounded, of any version, and nothing of it is lost in JSON."""

from __future__ import annotations

import cProfile
import json
import pstats
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import lakefolio as lf
from lakefolio.errors import NotFoundError
from lakefolio.lake.reading import few_items
from lakefolio.pages.answers import Answers
from lakefolio.pages.curves import drawn
from lakefolio.pages.graphs import graph
from lakefolio.pages.values import as_json
from lakefolio.session.edges import Edges


@pytest.fixture(scope="module")
def answers(shop: Path) -> Answers:
    return Answers(lf.open(shop, create=False, read_only=True))


def asked(answers: Answers, question: str, **params: str) -> Any:
    return json.loads(as_json(answers.answer(question, params)))


def column(data: Any, name: str) -> list[Any]:
    return next(one["values"] for one in data["columns"] if one["name"] == name)


def test_runs_come_as_columns_newest_first(answers: Answers) -> None:
    data = asked(answers, "runs")
    assert data["rows"] == data["total"] == 4
    assert column(data, "name")[:3] == ["train-2", "train-1", "train-0"]
    assert column(data, "params.lr")[:3] == [pytest.approx(0.01), 0.1, 1.0]
    assert column(data, "metrics.auc") == [0.92, 0.91, 0.9, 0.1]
    assert column(data, "started_at")[3] == 1767225600000
    assert column(data, "duration_s")[3] == 3600
    assert column(data, "status") == ["done", "done", "done", "failed"]


def test_curves_of_several_runs_come_together(answers: Answers) -> None:
    runs = column(asked(answers, "runs"), "run_id")[:2]
    data = asked(answers, "curves", runs="\n".join(runs))
    assert list(data) == ["loss"]  # a metric of one point makes no curve
    assert data["loss"][runs[0]]["x"] == list(range(50))
    assert data["loss"][runs[0]]["y"][0] == pytest.approx(1 / 3)
    near = asked(answers, "curves", runs=runs[0], metric="loss", **{"from": "10", "to": "19"})
    assert near["loss"][runs[0]]["x"] == list(range(10, 20))
    assert asked(answers, "curves", runs=runs[0], x="time")["loss"][runs[0]]["x"][0] == 0


def test_a_long_curve_keeps_its_spikes() -> None:
    y = np.zeros(100_000)
    y[77_777], y[12] = 5.0, -3.0
    found = drawn({"a": (np.arange(100_000.0), y)}, 500)["a"]
    assert len(found["x"]) == len(found["y"]) == len(found["low"]) == 500
    assert (max(found["high"]), min(found["low"]), found["points"]) == (5.0, -3.0, 100_000)
    assert sum(found["y"]) * 200 == pytest.approx(2.0)  # means of 200 points each


def test_ids_and_names_of_metrics_are_texts_and_no_sql(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    with lake.run("one", run_id="it's") as run:
        run.log_points("it's a loss", [1.0, 2.0])
    assert lake.metric_history("it's", "it's a loss").column("value").to_pylist() == [1.0, 2.0]
    found = asked(Answers(lake), "curves", runs="it's\nx') or true --")
    assert found["it's a loss"]["it's"]["y"] == [1.0, 2.0]


def test_curves_share_the_axis_and_leave_out_what_is_not_finite() -> None:
    x = np.arange(4_000.0)
    found = drawn({"a": (x, x), "b": (x[::-1] + 4_000, np.where(x % 2, np.nan, x)), "c": (x[:0], x[:0])}, 100)
    assert found["a"]["x"][-1] < 4_000 < found["b"]["x"][0]
    assert (found["b"]["points"], found["c"]["x"]) == (2_000, [])


def test_items_are_filtered_and_sorted_by_the_lake(answers: Answers) -> None:
    assert column(asked(answers, "items", q="SALES BY"), "item") == ["raw"]
    assert column(asked(answers, "items", q="source"), "item") == ["raw"]
    data = asked(answers, "items", folio="shop/eu", kind="array", sort="-size_bytes")
    assert column(data, "item") == ["wave", "grid"]
    assert (data["total"], data["kinds"], data["folios"]) == (2, [["array", 2]], [["shop/eu", 2]])
    with pytest.raises(lf.InvalidInputError, match="no column"):
        asked(answers, "items", sort="item; drop table items")
    assert asked(answers, "items", q="' or 1=1 --")["total"] == 0


def test_a_long_list_of_items_begins_at_once_and_is_searched_by_the_views(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = asked(answers, "items", q="a", sort="size_bytes", all="1")
    monkeypatch.setattr("lakefolio.pages.item_list.ITEMS", 3)
    first = asked(answers, "items", all="1")
    assert (first["rows"], first["total"], len(first["folios"])) == (3, None, 5)
    assert column(first, "folio") == sorted(column(first, "folio"))
    found = asked(answers, "items", q="a", sort="size_bytes", all="1")
    assert (found["rows"], found["total"]) == (3, whole["total"])
    assert column(found, "item") == column(whole, "item")[:3]
    assert (found["folios"], found["kinds"]) == (whole["folios"], whole["kinds"])


def test_of_a_large_folio_the_first_items_are_read_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("many")
    with lake.batch("many"):
        for number in (*range(20, 40), *range(20)):
            folio.add(f"n{number:02}", number)
    lake.compact()
    monkeypatch.setattr("lakefolio.readmodels.view._FEW_GROUPS", 0)
    monkeypatch.setattr("lakefolio.pages.item_list.ITEMS", 6)

    def seen(name: str) -> list[Any]:
        return column(asked(Answers(lf.open(tmp_path / "lake")), "items"), name)

    assert seen("item") == [f"n{number}" for number in range(20, 26)]
    folio.delete("n20", warn_dependents=False)  # these lie beside the read models
    folio.add("n21", 7, overwrite=True)
    folio.add("n20", 8)
    folio.add("new", 9)
    assert seen("item") == [f"n{number}" for number in range(21, 27)]
    assert seen("version")[:2] == [3, 1]
    monkeypatch.setattr("lakefolio.pages.item_list.ITEMS", 100)
    assert len(seen("item")) == 41


def test_the_first_items_are_told_from_all_without_reading_these(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    with lake.batch("three folios"):
        for name, count in (("a", 4), ("b", 30), ("c", 6)):
            for number in range(count):
                lake.folio(name).add(f"n{number:02}", number)

    def check() -> None:
        names = lake.folios()
        every = [one.ref for name in names for one in lake.items(name)]
        for shown in (1, 3, 4, 5, 33, 34, 35, 60):
            for limit in (shown, max(shown, len(every) - 1), max(shown, len(every)), 100):
                found, whole = few_items(lake, names, limit, shown)
                assert whole == (len(every) <= limit)
                assert [one.ref for one in found] == (every if whole else every[:shown])

    check()
    profile = cProfile.Profile()
    profile.runcall(few_items, lake, lake.folios(), 20, 5)
    calls = {code[2]: counts[0] for code, counts in pstats.Stats(profile).stats.items()}
    assert calls["entry_from_row"] == 6
    lake.compact()
    lake.folio("b").delete("n03", warn_dependents=False)  # these lie beside the read models
    lake.folio("b").add("n00", "other", overwrite=True)
    lake.folio("a").add("new", 1)
    check()


def test_folios_of_runs_are_left_out_unless_asked_for(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    every = asked(answers, "items", all="1")
    own = {name for name, _ in every["folios"] if name.startswith("runs/") or name == "environments"}
    assert own
    for limit in (2_000, 1):  # also where the views are asked
        monkeypatch.setattr("lakefolio.pages.item_list.ITEMS", limit)
        mine = asked(answers, "items", sort="item")
        assert {name for name, _ in mine["folios"]} == {name for name, _ in every["folios"]} - own
        assert mine["hidden"] == len(own)
        assert asked(answers, "items", folio=min(own), sort="item")["rows"] > 0
    stored = asked(answers, "storage")["folios"]
    assert [one["folio_count"] for one in stored if one["folio"] is None] == [len(own)]
    assert {one["folio"] for one in asked(answers, "storage", all="1")["folios"]} >= own


@pytest.mark.parametrize("ref", ["a:b", "a:b@2", "a:b@3"])
def test_of_a_deleted_item_the_last_version_and_its_history_are_told(tmp_path: Path, ref: str) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("a").add("b", 1).add("b", 2, overwrite=True).delete("b").add("c", 1)
    for at in ("", "3"):
        answers = Answers(lake)
        data = asked(answers, "item", ref=ref, at=at)
        assert (data["deleted"], data["ref"], data["version"], data["latest_version"]) == (True, "a:b@2", 2, 3)
        assert asked(answers, "preview", ref=data["ref"], at=at)["value"] == 2
        history = asked(answers, "around", ref=data["ref"], at=at)["history"]
        assert [(one["version"], one["op"]) for one in history] == [(3, "delete"), (2, "put"), (1, "put")]
    with pytest.raises(NotFoundError, match="not found"):
        asked(answers, "item", ref="a:x")


def test_a_renamed_item_names_the_new_one(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("a").add("b", 1).rename("b", "c")
    data = asked(Answers(lake), "item", ref="a:b")
    assert (data["ref"], data["renamed_to"], data["latest_version"]) == ("a:b@1", "a:c", 2)
    assert asked(Answers(lake), "item", ref="a:c")["renamed_to"] is None


def test_everything_is_told_as_of_a_version(answers: Answers) -> None:
    old = asked(answers, "items", at="3")
    assert sorted(column(old, "item")) == ["clean", "config", "raw"]
    assert asked(answers, "lake", at="3")["version"] == 3
    assert asked(answers, "when", at="3")["committed_at"] < asked(answers, "when")["committed_at"]
    assert asked(answers, "runs", at="3")["rows"] == 0
    with pytest.raises(lf.NotFoundError):
        asked(answers, "items", at="9999")


def test_an_item_comes_with_its_neighbours_and_history(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    around = asked(answers, "around", ref="shop/eu:raw")
    assert [one["reason"] for one in around["history"]] == ["overwrite", "add"]
    data = asked(answers, "item", ref="shop/eu:raw")
    assert data["version"] == data["latest_version"]
    assert data["info"]["num_rows"] == 2
    clean = asked(answers, "around", ref="shop/eu:clean")
    assert [one["ref"] for one in clean["inputs"]] == ["shop/eu:raw@1"]
    assert len([one for one in clean["dependents"] if one["type"] == "run"]) == 3
    assert clean["neighbours_complete"]
    with monkeypatch.context() as patched:
        patched.setattr("lakefolio.pages.answers.CHANGES", 2)
        few = asked(answers, "around", ref="shop/eu:clean")
    assert (len(few["dependents"]), few["neighbours_complete"]) == (2, False)
    assert clean["run"] is None
    (run_id,) = (one["id"] for one in clean["dependents"][:1])
    made = asked(answers, "around", ref=f"runs/{run_id}:scores")
    assert made["run"]["run_id"] == run_id
    first = asked(answers, "item", ref="shop/eu:raw@1")
    assert first["version"] < first["latest_version"]


def test_lineage_marks_what_is_stale(answers: Answers) -> None:
    data = asked(answers, "lineage", ref="shop/eu:clean")
    nodes = {one.get("item", one["id"]): one for one in data["nodes"]}
    assert data["nodes"][0]["item"] == "clean"
    assert nodes["clean"]["stale"]
    assert nodes["clean"]["current"]
    assert not nodes["raw"]["current"]
    assert not nodes["raw"]["stale"]
    assert {one["name"] for one in data["nodes"] if one["type"] == "run"} == {"train-0", "train-1", "train-2"}
    position = [one.get("item") for one in data["nodes"]].index("raw")
    assert [0, position, None] in data["edges"]
    assert not any(one["stale"] for one in asked(answers, "lineage", ref="shop/eu:raw")["nodes"])


def test_lineage_stops_at_the_nearest_nodes(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakefolio.pages.graphs.NODES", 3)
    data = asked(answers, "lineage", ref="shop/eu:clean")
    assert len(data["nodes"]) == 3 < data["total"]
    assert not data["complete"]
    assert all(max(edge[:2]) < 3 for edge in data["edges"])


def test_a_long_chain_is_followed_as_far_as_it_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lf.open(tmp_path / "lake")
    with lake.batch():
        for number in range(60):
            inputs = [f"chain:n{number - 1}"] if number else []
            lake.folio("chain").add_json(f"n{number}", number, inputs=inputs)
    steps: list[int] = []
    at = Edges.at
    monkeypatch.setattr(Edges, "at", lambda self, *given: steps.append(1) or at(self, *given))
    monkeypatch.setattr("lakefolio.pages.graphs.NODES", 5)
    monkeypatch.setattr("lakefolio.pages.graphs._BEHIND", 3)
    data = graph(lake, "chain:n50", None)
    assert {one["item"] for one in data["nodes"]} == {"n50", "n49", "n48", "n51", "n52"}
    assert (data["complete"], data["stale_complete"]) == (False, False)
    assert len(steps) < 30
    assert graph(lake, "chain:n50", 1)["complete"]
    lake.folio("chain").add_json("n46", "new", overwrite=True)
    stale = [one["item"] for one in graph(lake, "chain:n50", None)["nodes"] if one["stale"]]
    assert set(stale) == {"n50", "n49", "n48", "n51", "n52"}


def test_log_and_diff(answers: Answers) -> None:
    log = asked(answers, "log")
    assert log["commits"][-1]["changes"] == ["+ shop/eu:raw"]
    older = asked(answers, "log", before="3")
    assert [one["version"] for one in older["commits"]] == [2, 1]
    diff = asked(answers, "diff", a="paper", folio="shop/eu")
    assert [one["item"] for one in diff["changed"]] == ["raw"]
    assert diff["unchanged_count"] == 8
    mine, every = (asked(answers, "diff", a="1", **more) for more in ({}, {"all": "1"}))
    own = [one for one in every["added"] if one["folio"].startswith("runs/") or one["folio"] == "environments"]
    assert (mine["hidden"], every["hidden"]) == (len(own), 0)
    assert mine["added"] == [one for one in every["added"] if one not in own] != every["added"]


def test_what_changed_inside_an_item(answers: Answers) -> None:
    raw = [one["version"] for one in asked(answers, "around", ref="shop/eu:raw")["history"]]
    data = asked(answers, "inside", ref="shop/eu:raw", a=str(raw[1]), b=str(raw[0]))
    assert (data["kind"], data["summary"]["rows_removed"], data["column_count"]) == ("table", 1, 3)
    assert [(one["change"], one["old"]["sales"]) for one in data["rows"]] == [("removed", "3.0")]
    by_key = asked(answers, "inside", ref="shop/eu:raw", a=str(raw[1]), b=str(raw[0]), key="city, n")
    assert by_key["key"] == ["city", "n"]
    assert asked(answers, "inside", ref="shop/eu:raw", a=str(raw[0]), b=str(raw[0]))["identical"]
    with pytest.raises(lf.InvalidInputError, match="no column"):
        asked(answers, "inside", ref="shop/eu:raw", a=str(raw[1]), b=str(raw[0]), key="nosuch")


def test_what_changed_inside_is_bounded(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("a")
    for value in ("x", "y"):
        folio.add("json", {f"name {place}": value * 5_000 for place in range(800)}, overwrite=True)
        folio.add("wide", pl.DataFrame({f"c{place}": [value * 5_000] for place in range(600)}), overwrite=True)
        folio.add("grid", np.full((2_000, 300), ord(value)), overwrite=True)
    said = Answers(lake)
    json_data = asked(said, "inside", ref="a:json", a="1", b="4")
    assert (len(json_data["changes"]), json_data["change_count"]) == (500, 800)
    assert max(len(one["new"]) for one in json_data["changes"]) <= 300
    wide = asked(said, "inside", ref="a:wide", a="2", b="5")
    assert (len(wide["columns"]), wide["column_count"], len(wide["rows"][0]["new"])) == (500, 600, 200)
    grid = asked(said, "inside", ref="a:grid", a="3", b="6")["heat_map"]
    assert (len(grid["levels"]), len(grid["levels"][0]), grid["levels"][0][0]) == (24, 64, 4)


def test_texts_that_differ_far_behind_are_shown_from_there(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("a")
    for value in ("old", "new"):
        folio.add("json", {"text": "x" * 5_000 + value}, overwrite=True)
        folio.add("table", pl.DataFrame({"id": [1, 2], "text": ["x" * 5_000 + value, None]}), overwrite=True)
    said = Answers(lake)
    (change,) = asked(said, "inside", ref="a:json", a="1", b="3")["changes"]
    (row,) = asked(said, "inside", ref="a:table", a="2", b="4")["rows"]
    for old, new in ((change["old"], change["new"]), (row["old"]["text"], row["new"]["text"])):
        assert (old.strip("…x'"), new.strip("…x'")) == ("old", "new")
        assert len(old) <= 300


def test_search_finds_items_and_runs_by_their_words_best_first(answers: Answers) -> None:
    def hits(query: str) -> list[dict[str, Any]]:
        return asked(answers, "search", q=query)["hits"]

    assert [one["name"] for one in hits('"BY CITY"')] == ["shop/eu:raw"]
    assert hits("sales by")[0]["name"] == "shop/eu:raw"
    assert [one["type"] for one in hits("trai")][:3] == ["run"] * 3
    assert {one["type"] for one in hits("train-1")} == {"run"}
    mark = hits('"BY CITY"')[0]["marks"][0]
    assert [mark["text"][start:end] for start, end in mark["spans"]] == ["by", "city"]
    everything = asked(answers, "search", q="-zzzz")
    kinds = {
        one["value"]: one["count"]
        for facet in everything["facets"]
        if facet["field"] == "kind"
        for one in facet["values"]
    }
    assert kinds["run"] == asked(answers, "search", q="kind:run")["total"] > 1


def test_storage_adds_up(answers: Answers) -> None:
    data = asked(answers, "storage")
    assert {one["folio"] for one in data["folios"]} >= {"shop/eu"}
    sizes = [one["size_bytes"] for one in data["largest"]]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ("raw", "table"),
        ("config", "json"),
        ("grid", "array"),
        ("wave", "array"),
        ("pixel", "image"),
        ("drawing", "image"),
        ("notes", "text"),
        ("blob", "none"),
    ],
)
def test_each_kind_has_its_preview(answers: Answers, item: str, kind: str) -> None:
    assert asked(answers, "preview", ref=f"shop/eu:{item}")["type"] == kind


def test_a_table_shows_rows_and_what_its_columns_hold(answers: Answers) -> None:
    data = asked(answers, "preview", ref="shop/eu:raw@1")
    assert data["rows"] == [["Oslo", 1.5, 1], ["Rome", "nan", 2], [None, 3.0, str(2**60)]]
    city, sales, n = data["columns"]
    assert (city["nulls"], city["unique"], city["top"][0][1]) == (1, 3, 1)
    assert (sales["mean"], sum(sales["histogram"]["counts"])) == (2.25, 2)
    assert n["max"] == str(2**60)


def test_arrays_are_pictures_or_lines(answers: Answers) -> None:
    grid = asked(answers, "preview", ref="shop/eu:grid")
    assert (grid["shape"], grid["min"], grid["max"]) == ([20, 30], 0, 599)
    assert (grid["picture"]["width"], grid["picture"]["height"]) == (30, 20)
    wave = asked(answers, "preview", ref="shop/eu:wave")
    assert (len(wave["line"]), wave["step"]) == (2_500, 2)
    assert asked(answers, "preview", ref="shop/eu:config")["value"]["nan"] == "nan"


def test_pictures_are_told_by_their_bytes_and_large_content_is_not_read(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asked(answers, "preview", ref="shop/eu:pixel")["source"].startswith("data:image/png;base64,iVBOR")
    assert asked(answers, "preview", ref="shop/eu:drawing")["media_type"] == "image/svg+xml"
    monkeypatch.setattr("lakefolio.pages.preview.READ_BYTES", 100)
    assert "more than a preview reads" in asked(answers, "preview", ref="shop/eu:wave")["note"]


@pytest.mark.parametrize("question", ["", "no-such", "__init__", "answer", "_at"])
def test_only_questions_are_answered(answers: Answers, question: str) -> None:
    with pytest.raises(lf.NotFoundError, match="no question"):
        answers.answer(question, {})


def test_a_question_that_lacks_something_says_so(answers: Answers) -> None:
    for question in ("run", "item", "preview", "lineage", "diff", "inside", "search", "curves"):
        with pytest.raises(lf.InvalidInputError, match="lacks"):
            answers.answer(question, {})
    with pytest.raises(lf.InvalidInputError, match="not a number"):
        answers.answer("curves", {"runs": "x", "from": "nan()"})


@pytest.mark.parametrize(
    "value",
    [np.array([2**64 - 1], "u8"), np.array([1e300]), np.array([1.0, np.nextafter(1.0, 2)]), np.array([1e300, -1e300])],
    ids=["uint64", "large", "near", "apart"],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_numbers_that_no_bins_part_are_shown_without(tmp_path: Path, value: Any) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add("x", value)
    said = asked(Answers(lake), "preview", ref="f:x")
    assert (said["type"], said["shape"]) == ("array", [len(value)])


def test_a_page_is_given_the_newest_runs_and_measures_of_these_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakefolio.pages.answers.RUNS", 2)
    lake = lf.open(tmp_path / "lake")
    assert asked(Answers(lake), "runs") == {"columns": [], "rows": 0, "total": 0}
    for number in range(4):
        lake.create_run(
            name=f"run {number}", status="done", metrics={"auc": number / 4}, started_at=f"2026-01-0{number + 1}T00:00Z"
        )
    said = asked(Answers(lake), "runs")
    columns = {one["name"]: one["values"] for one in said["columns"]}
    assert (said["rows"], said["total"], columns["name"]) == (2, 4, ["run 3", "run 2"])
    newest = dict(zip(columns["run_id"], ({"auc": 0.75}, {"auc": 0.5}), strict=True))
    assert asked(Answers(lake), "measures", of="best") == newest


def test_metrics_are_told_by_their_best_and_registered_models_by_their_aliases(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake", author="ada")
    with lake.run("sweep") as sweep, lake.run("trial") as trial:
        for step, loss in enumerate((3.0, 1.0, 2.0)):
            trial.log({"loss": loss}, step)
        made = trial.add_output("model", {"w": 1})
    for _ in range(2):
        lake.register_model("churn", made, alias="production")
    answers = Answers(lake)
    assert asked(answers, "measures", of="best") == {trial.run_id: {"loss": 1.0}}
    assert asked(answers, "measures", of="max") == {trial.run_id: {"loss": 3.0}}
    with pytest.raises(lf.InvalidInputError, match="metrics have no 'mean'"):
        asked(answers, "measures", of="mean")
    assert asked(answers, "run", id=sweep.run_id)["names"] == {trial.run_id: "trial"}
    assert asked(answers, "run", id=trial.run_id)["names"] == {sweep.run_id: "sweep"}
    said = asked(answers, "models")
    (model,) = said["models"]
    assert (model["name"], model["aliases"], said["run_names"]) == ("churn", {"production": 2}, {trial.run_id: "trial"})
    assert [(one["number"], one["aliases"], one["author"]) for one in model["versions"]] == [
        (2, ["production"], "ada"),
        (1, [], "ada"),
    ]
    assert [(one["before"], one["after"]) for one in model["moves"]] == [(1, 2), (None, 1)]
    assert asked(answers, "lake")["models"]
    before = str(model["moves"][0]["version"] - 1)
    assert asked(answers, "models", at=before)["models"][0]["aliases"] == {"production": 1}


def test_the_version_of_an_item_says_which_version_of_the_lake_is_shown(tmp_path: Path) -> None:
    lake = lf.open(tmp_path)
    folio = lake.folio("f")
    folio.add("x", {"n": 1}, version="1.0.0")
    folio.add("x", {"n": 2}, version="1.1.0", overwrite=True)
    folio.alias("x", "golden", "1.0.0")
    answers = Answers(lake)
    for at in ("1.0.0", "#1", "golden", "~1.0"):
        assert answers.answer("lake", {"at": at, "of": "f:x"})["version"] == 1
        assert answers.answer("item", {"at": at, "of": "f:x", "ref": "f:x"})["version"] == 1
    with pytest.raises(lf.LakefolioError):
        answers.answer("lake", {"at": "9.9.9", "of": "f:x"})
