"""Organisations: views with a path, the library's and one's own, walked like folders; and files that mean no good."""

from __future__ import annotations

import time

import pytest

import lakefolio as lf


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("LAKEFOLIO_VIEWS", str(tmp_path / "own"))
    return tmp_path


@pytest.fixture
def lake(place):
    lake = lf.open(place / "lake")
    for number in range(4):
        lake.create_run(
            run_id=f"r{number}",
            run_type=["production", "analysis"][number % 2],
            project=["churn", "fraud/eu"][number % 2],
            params={"team": "x"},
            status="done",
            started_at=f"2026-11-0{number + 1}T10:00Z",
        )
    lake.create_run(run_id="bare", status="done", started_at="2026-10-31T10:00Z")
    lake.folio("a").add("raw", 1, tags=["raw"])
    return lake


def drop(place, where, name, sql):
    folder = place / {"lake": "lake/views", "user": "own"}[where]
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.sql").write_text(sql)


def test_the_ways_of_organising_and_their_folders(lake):
    assert list(lake.browse()) == ["by_date", "by_model", "by_project", "by_type", "flat"]
    assert lake.browse("by_project").folders == {"-": 1, "churn": 2, "fraud": 2}
    assert lake.browse("by_project/fraud").folders == {"eu": 2}
    assert lake.browse("by_type/production/2026-11").names == ["r2", "r0"]
    assert list(lake.browse("by_date/2026") / "11" / "01") == ["r0"]
    assert lake.browse("/by_project//churn/").names == ["r2", "r0"]
    assert lake.browse("flat").count == 5
    assert lake.browse("flat").to_polars()["run_id"].to_list() == ["r3", "r2", "r1", "r0", "bare"]
    assert "churn/" in repr(lake.browse("by_project"))


def test_the_past_is_walked_too(lake):
    assert lake.at(1).browse("by_project").folders == {"churn": 1}


@pytest.mark.parametrize("where", ["lake", "user"])
def test_a_file_dropped_into_a_folder_is_a_way_of_organising_and_moves_nothing(lake, place, where):
    before = sorted(str(one) for one in (place / "lake").rglob("*") if one.is_file())
    version = lake.version
    drop(place, where, "by_team", "-- description: By team\nselect params ->> 'team' as path, run_id from runs")
    drop(place, where, "by_tag", "select unnest(tags) as path, folio, item from items")
    drop(place, where, "no_path", "select 1 as one")
    assert {"by_team", "by_tag"} <= set(lake.browse())
    assert "no_path" not in lake.browse()
    assert lake.browse("by_team/x").count == 4
    assert lake.browse("by_tag/raw").names == ["a:raw"]
    assert lake.sql("select count(*) from by_team").fetchall() == [(5,)]
    assert lake.version == version
    after = sorted(str(one) for one in (place / "lake").rglob("*") if one.is_file() and one.parent.name != "views")
    assert after == before
    assert lake.check().ok


def test_what_a_view_file_leaves_out_is_known_from_the_runs_and_items(lake, place):
    drop(place, "lake", "by_team", "select params ->> 'team' as path, run_id, 'mine' as project from runs")
    drop(place, "lake", "by_tag", "select unnest(tags) as path, folio, item from items")
    row = lake.browse("by_team/x").rows[0]
    assert (row["run_id"], row["type"], row["project"], row["status"]) == ("r3", "analysis", "mine", "done")
    assert lake.browse("by_tag/raw").rows[0]["kind"] == "json"


def test_the_views_are_listed_with_ones_own(lake, place):
    drop(place, "lake", "by_team", "-- description: By team.\nselect params ->> 'team' as path, run_id from runs")
    drop(place, "user", "wrong", "selec 1")
    (place / "own/no text.sql").write_text("select 1")
    listed, problems = lake.views()
    found = {one["name"]: one for one in listed}
    assert found["by_team"] == {"name": "by_team", "description": "By team.", "grain": "", "columns": []}
    assert {"runs", "wrong"} <= found.keys()
    (problem,) = problems
    assert problem.startswith(f"view file {place}/own/no text.sql is left out: its name is not a word")
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.sql("from wrong")
    assert caught.value.message.startswith(f"view file {place}/own/wrong.sql can't be made a view: syntax error")


def test_a_way_of_organising_sees_what_is_committed_later(lake, place):
    drop(place, "lake", "by_team", "select params ->> 'team' as path, run_id from runs")
    lake.create_run(run_id="later", params={"team": "y"}, status="done")
    assert set(lake.browse("by_team").folders) == {"x", "y"}


HARM = {
    "reads": "select content as path, 'r' as run_id from read_text('/etc/passwd')",
    "calls": "select * from read_csv('https://example.org/?x')",
    "writes": "copy (select 1) to '{place}/harm.csv'",
    "logs": "select '' as path from enable_logging(storage = 'file', storage_path = '{place}/harm')",
    "attaches": "attach '{place}/harm.db'",
    "many": "select '' as path; select 2",
    "closes": "select 1 as path) ; copy (select 1) to '{place}/harm.csv'; (select 1",
    "settings": "set enable_external_access = true",
    "extension": "load httpfs",
    "pragma": "select * from pragma_storage_info('nothing')",
    "broken": "select nothing_like_it as path from runs",
    "binary": "\0\1\2",
    "project": "not sql",
    "path": "not sql",
    "run_id": "not sql",
    "runs": "select 'harm' as path, 'r' as run_id",
    "items": "select 'harm' as folio",
    "by_project": "select 'harm' as path, 'r' as run_id",
    "runs_by_model": "select 'harm' as path, 'r' as run_id",
    "odd name; drop view runs": "select 'x' as path",
}
ODD = "odd name; drop view runs"


@pytest.mark.parametrize("where", ["lake", "user"])
def test_files_that_mean_no_good_are_left_out_and_do_no_harm(lake, place, where):
    before = lake.browse("by_project").folders
    for name, sql in HARM.items():
        drop(place, where, name, sql.replace("{place}", str(place)))
    drop(place, where, "by_team", "select params ->> 'team' as path, run_id, project from runs")
    root = lake.browse()
    assert set(root) >= {"by_date", "by_model", "by_project", "by_type", "flat", "by_team"}
    left_out = [name for name in HARM if any(f"/{name}.sql is left out" in one for one in root.problems)]
    assert left_out == ["binary", "runs", "items", "by_project", "runs_by_model", ODD]
    assert all("\n" not in one for one in root.problems)
    assert lake.browse("by_project").folders == before
    assert lake.browse("by_team").folders == {"x": 4}
    for name in HARM.keys() - set(left_out):
        with pytest.raises(lf.InvalidInputError) as caught:
            lake.sql(f"select * from {name}").fetchall()
        assert caught.value.kind == "bad-view"
        assert f"{name}.sql" in caught.value.message
        assert "\n" not in str(caught.value)
    assert lake.sql("select count(*) from items").fetchall() == [(1,)]
    assert not [one for one in place.iterdir() if one.name.startswith("harm")]
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.browse("reads")
    assert "passwd" not in str(lake.browse("flat"))
    assert caught.value.kind == "bad-view"
    assert "reads.sql" in caught.value.message
    # nor in a connection that may read files: a lake's own files are not made there
    assert "reads" not in {row[0] for row in lake.connect().execute("show tables").fetchall()}


def test_files_of_a_lake_that_are_too_large_or_no_text(lake, place):
    drop(place, "lake", "large", "select 1 as path -- " + "x" * 70_000)
    (place / "lake/views/bytes.sql").write_bytes(b"select '\xff' as path")
    (place / "lake/views/deeper").mkdir()
    (place / "lake/views/deeper/by_x.sql").write_text("select '' as path")
    assert len(lake.browse().problems) == 3


@pytest.mark.parametrize(
    ("path", "kind", "hint"),
    [
        ("by_projec", "organisation-not-found", "by_project"),
        ("by_project/chur", "folder-not-found", "churn"),
        ("by_project/churn/x/y", "folder-not-found", None),
        ("by_project/'; drop view runs", "folder-not-found", None),
        ("\ud800", "bad-path", None),
        (5, "bad-path", None),
    ],
)
def test_what_is_not_there_names_the_nearest(lake, path, kind, hint):
    with pytest.raises(lf.LakefolioError) as caught:
        lake.browse(path)
    assert caught.value.kind == kind
    assert hint is None or hint in caught.value.hint


def test_an_empty_lake_is_walked(place):
    lake = lf.open(place / "empty")
    assert lake.browse("by_project").folders == {}
    assert lake.browse("flat").names == []


ENDLESS = {
    "recursive": "with recursive t(n) as (select 1 union all select n + 1 from t) select n::varchar as path from t",
    "cross join": "select count(*)::varchar as path from range(10000000) a, range(10000000) b, range(1000) c",
    "sorted": "select (a.range + b.range)::varchar as path from range(9000000) a, range(9000000) b order by 1",
}


@pytest.mark.parametrize("sql", ENDLESS.values(), ids=ENDLESS)
@pytest.mark.parametrize("where", ["lake", "user"])
def test_a_view_file_without_an_end_is_stopped_and_named(lake, place, where, sql, monkeypatch):
    monkeypatch.setenv("LAKEFOLIO_VIEW_SECONDS", "0.5")
    monkeypatch.setenv("LAKEFOLIO_VIEW_MEMORY_MIB", "64")
    drop(place, where, "forever", sql)
    drop(place, where, "good", "select 'x' as path, run_id from runs")
    for ask in (lambda: lake.browse("forever"), lambda: lake.sql("select * from forever").fetchall()):
        began = time.monotonic()
        with pytest.raises(lf.InvalidInputError) as caught:
            ask()
        assert time.monotonic() - began < 20
        assert caught.value.kind == "view-limit"
        assert "forever.sql" in caught.value.message
        assert "LAKEFOLIO_VIEW_" in caught.value.hint
    monkeypatch.delenv("LAKEFOLIO_VIEW_SECONDS")  # half a second is short for anything on a busy machine
    assert lake.browse("good/x").count == 5  # the others go on
    assert lake.sql("select count(*) from good").fetchall() == [(5,)]
    assert lake.browse("by_project/churn").count == 2


HUNGRY = {
    "one value": "select list(range)::varchar as path from range(100000000)",
    "groups": "select range::varchar as path, count(*) as n from range(50000000) group by 1",
    "rows": "select repeat('x', 1000) || range::varchar as path from range(100000000)",
}


@pytest.mark.parametrize("sql", HUNGRY.values(), ids=HUNGRY)
def test_a_view_file_gets_so_much_memory_and_no_disk(lake, place, sql, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setenv("LAKEFOLIO_VIEW_MEMORY_MIB", "32")
    drop(place, "lake", "hungry", sql)
    files = sorted(place.rglob("*"))
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.sql("select * from hungry").fetchall()
    assert (caught.value.kind, "32 MiB" in caught.value.message) == ("view-limit", True)
    assert "views/hungry.sql" in caught.value.message
    assert "LAKEFOLIO_VIEW_MEMORY_MIB" in caught.value.hint
    assert sorted(place.rglob("*")) == files


def test_an_answer_within_the_limits_is_what_it_was(lake, place):
    drop(place, "lake", "mine", "select 'x' as path, run_id, started_at, tags, params, 1::hugeint as n from runs")
    found = lake.sql("select * from mine order by run_id")
    assert found.columns == ["path", "run_id", "started_at", "tags", "params", "n"]
    direct = lake.sql("select 'x', run_id, started_at, tags, params, 1::hugeint from runs order by run_id")
    assert found.fetchall() == direct.fetchall()
    assert lake.sql("select count(*) from mine where path = ?", ["x"]).fetchall() == [(5,)]
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.sql("select run_id::int from mine").fetchall()
    assert caught.value.kind == "sql"
