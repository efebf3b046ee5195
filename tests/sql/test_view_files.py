"""The SQL files: their form, the columns of the views, exact rows on small lakes, audits, and Polars beside DuckDB."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inside import session_of
from lake_tables import START, Rows, empty_tables, sha, small_lake
from thoroughness import examples

from lakefolio.format.schema import SCHEMAS
from lakefolio.maintenance.row_audits import RowAudits
from lakefolio.maintenance.row_numbers import RowNumbers
from lakefolio.views.engine import Views
from lakefolio.views.relations import bind
from lakefolio.views.view_files import create_view, load_views
from lakefolio.views.workbench import Workbench

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def views():
    return Views()


def rows(views, lake, sql, params=None):
    tables = lake if isinstance(lake, dict) else lake.tables()
    return views.query(tables, sql, params).fetchall()


# -- form ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", load_views(), ids=lambda view: view.name)
def test_a_file_is_a_header_and_one_bare_select(view):
    import duckdb

    assert view.description
    assert view.grain
    assert view.source
    (statement,) = duckdb.connect().extract_statements(view.sql)
    assert statement.type == duckdb.StatementType.SELECT
    assert ";" not in view.sql


@pytest.mark.parametrize("view", load_views(), ids=lambda view: view.name)
def test_a_view_reads_what_its_header_says_and_lower_layers_only(view):
    import duckdb

    # (an ASOF join can't be looked through without its tables)
    read = set(duckdb.connect().get_table_names(view.sql.replace("asof left join", "left join")))
    assert read == {name.strip() for name in view.source.split(",")}
    layer_of = {one.name: int(one.folder[:2]) for one in load_views()} | dict.fromkeys(SCHEMAS, 0)
    assert all(layer_of[name] < int(view.folder[:2]) for name in read)
    assert not any("_scan(" in line or "select *" in line for line in _last_select(view.sql))


def _last_select(sql):
    return sql[sql.rindex("\nselect") if "\nselect" in sql else 0 :].splitlines()


def test_names_and_types_are_what_they_were(views):
    expected = json.loads((HERE / "columns.json").read_text())
    found = {name: dict(columns) for name, columns in views.columns().items()}
    assert {name: list(columns.items()) for name, columns in found.items()} == {
        name: list(columns.items()) for name, columns in expected.items()
    }


def test_all_views_bind_and_are_empty_on_empty_tables(views):
    connection = views.connect(empty_tables(), locked=True)
    for view in views.files:
        assert connection.execute(f"select count(*) from {view.name}").fetchall() == [(0,)]


def test_headers_become_comments(views):
    connection = views.connect(empty_tables())
    comments = dict(
        connection.execute("select view_name, comment from duckdb_views() where comment is not null").fetchall()
    )
    assert set(comments) == {view.name for view in views.files}
    assert "Grain: one row per (folio, item)." in comments["items"]


# -- exact rows ------------------------------------------------------------------------------------------------


def test_items_are_the_latest_live_entries(views):
    found = rows(views, small_lake(), "select folio, item, version, entry_id, archived, reason from items order by all")
    assert found == [
        ("a", "clean", 7, "e2", True, "archive"),
        ("a", "model", 3, "e3", False, "add"),
        ("a", "raw", 6, "e5", False, "overwrite"),
    ]


def test_items_as_of_a_version_is_a_filter_of_the_journal(views):
    found = rows(views, small_lake().tables(at=3), "select folio, item, entry_id from items order by all")
    assert found == [("a", "clean", "e2"), ("a", "model", "e3"), ("a", "raw", "e1"), ("b", "copy", "e4")]


def test_entries_are_all_puts_and_say_when_they_ended(views):
    found = rows(
        views,
        small_lake(),
        "select folio, item, version, superseded_version, is_live from entries order by version, item",
    )
    assert found == [
        ("a", "raw", 1, 6, False),
        ("a", "clean", 2, 7, False),
        ("b", "copy", 3, 8, False),
        ("a", "model", 3, None, True),
        ("a", "raw", 6, None, True),
        ("a", "clean", 7, None, True),
    ]


def test_commits(views):
    found = rows(
        views,
        small_lake(),
        "select version, commit_id, message, change_count, put_count, delete_count, folios from commits order by 1",
    )
    assert found[:4] == [
        (1, "c1", "load", 1, 1, 0, ["a"]),
        (2, "c2", "clean", 1, 1, 0, ["a"]),
        (3, "c3", "train", 2, 2, 0, ["a", "b"]),
        (4, "c4", None, 1, 0, 0, []),
    ]
    assert len(found) == 11


def test_commits_of_one_version_are_told_apart(views):
    lake = Rows().put("a", "x").put("a", "y").commit()
    lake.rows["manifests"][1]["commit_id"] = "other"
    assert rows(views, lake, "select version, commit_id, change_count from commits order by commit_id") == [
        (1, "c1", 1),
        (1, "other", 1),
    ]


def test_snapshots_that_were_dropped_are_gone(views):
    found = rows(views, small_lake(), "select name, folio, target_version, version, description, tags from snapshots")
    assert found == [("paper", None, 4, 4, "as printed", ["p"])]


def test_a_snapshot_of_a_version_without_rows_has_the_time_of_the_last_change(views):
    lake = Rows().put("a", "x").commit()
    lake.version = 5  # compaction made versions 2 to 5
    lake.snapshot("s", target=4).commit()
    found = rows(views, lake, "select target_committed_at from snapshots")
    assert found == [(START + timedelta(seconds=1),)]


def test_lineage_of_dead_writers_does_not_count(views):
    found = rows(
        views,
        small_lake(),
        "select output_item, input_kind, coalesce(input_item, input_uri), input_version from lineage_edges order by 1",
    )
    assert found == [
        ("clean", "entry", "raw", 1),
        ("model", "entry", "clean", 2),
        ("raw", "external", "s3://bucket/raw.csv", None),
    ]


def test_metadata_the_last_value_wins_and_null_removes(views):
    found = rows(views, small_lake(), "select subject_kind, subject_id, key, value from current_metadata order by all")
    assert found == [
        ("entry", "e1", "note", '"x"'),
        ("entry", "e1", "rows", "3"),
        ("entry", "e5", "rows", "4"),
        ("folio", "a", "topic", '"x"'),
        ("lake", "", "owner", '"bob"'),
    ]
    assert rows(views, small_lake(), "select folio, item, key, value_number from item_metadata") == [
        ("a", "raw", "rows", 4.0)
    ]


def test_metadata_of_two_commits_in_one_version_follows_the_journal(views):
    lake = Rows().annotate("lake", "", {"a": 1, "b": 1, "k": "first"}).annotate("lake", "", {"k": "second"}).commit()
    lake.rows["manifests"][1]["commit_id"] = "c1b"
    assert rows(views, lake, "select value from current_metadata where key = 'k'") == [('"second"',)]


def test_blob_refs(views):
    lake = small_lake()
    found = rows(views, lake, "select folio, item, generation, is_live, purged, key from blob_refs order by all")
    key = f"blobs/sha256/{sha('m1')[7:9]}/{sha('m1')[7:]}"
    assert found == [("a", "model", 0, True, False, key), ("b", "copy", 0, False, False, key)]
    lake.blob("c", "m", "m1", generation=2).commit()
    lake.change("purge", blob_digest=sha("m1"), generation=1).commit()
    assert rows(views, lake, "select folio, generation, purged, key = ? from blob_refs order by all", [key + ".2"]) == [
        ("a", 0, True, False),
        ("b", 0, True, False),
        ("c", 2, False, True),
    ]


def test_storage_savings_count_a_shared_blob_once_for_its_first_folio(views):
    lake = Rows()
    lake.blob("a", "x", "shared", size=1000, stored=400).blob("a", "y", "own", size=500, stored=100).commit()
    lake.blob("b", "x", "shared", size=1000, stored=400).put("b", "small", content="12345").commit()
    lake.blob("b", "x2", "shared", size=1000, stored=400).commit()
    lake.again("b", "x", "archive", archived=True).commit()  # the same entry: nothing more
    lake.put("b", "ref", storage="reference", uri="s3://x/y", size_bytes=10**9).commit()
    found = rows(
        views,
        lake,
        "select folio, entry_count, logical_bytes, stored_bytes, saved_bytes, shared_bytes, exclusive_bytes"
        " from storage_savings order by folio",
    )
    assert found == [("a", 2, 1500, 500, 1000, 400, 100), ("b", 3, 2005, 5, 2000, 400, 5)]
    total = rows(views, lake, "select sum(stored_bytes) from storage_savings")
    assert total == [(400 + 100 + 5,)]


def test_storage_savings_leave_out_what_was_purged_and_keep_empty_folios(views):
    lake = Rows().blob("a", "x", "gone").commit().delete("a", "x").commit()
    lake.change("purge", blob_digest=sha("gone"), generation=0).commit()
    assert rows(views, lake, "from storage_savings") == [("a", 0, 0, 0, 0, None, 0, 0)]


# -- runs ------------------------------------------------------------------------------------------------------


def lake_with_runs():
    lake = Rows().put("a", "data").commit()
    for number, (project, kind) in enumerate([("churn", "production"), ("churn", "experiment"), (None, "analysis")]):
        facts = {
            "type": kind,
            "model": "rf",
            "status": "done",
            "started_at": f"2026-11-2{number}T23:30:00+01:00",
            "ended_at": f"2026-11-2{number}T23:30:02.500+01:00",
            "tags": ["x", "y"],
            "params.lr": 0.1 * (number + 1),
            "params.name": "it's",
            "params.warm": True,
            "metrics.auc": 0.9 + number / 100,
            "metrics.status": 1,
        }
        if project:
            facts["project"] = project
        lake.run(f"r{number}", **facts)
        lake.uses(f"r{number}", "e1")
        lake.put("a", f"out{number}", run_id=f"r{number}").commit()
    return lake


def test_runs_are_pivoted_from_metadata(views):
    found = rows(
        views,
        lake_with_runs(),
        "select run_id, type, project, model, status, started_at, duration_s, tags, input_count, output_count,"
        " params ->> 'name', metrics from runs order by run_id limit 1",
    )
    assert found == [
        (
            "r0",
            "production",
            "churn",
            "rf",
            "done",
            datetime(2026, 11, 20, 22, 30, tzinfo=UTC),
            2.5,
            ["x", "y"],
            1,
            1,
            "it's",
            '{"auc":0.9,"status":1}',
        )
    ]


@pytest.mark.parametrize(
    ("view", "paths"),
    [
        ("runs_by_project", ["churn", "churn", "-"]),
        ("runs_by_date", ["2026/11/20", "2026/11/21", "2026/11/22"]),
        ("runs_by_type", ["production/2026-11", "experiment/2026-11", "analysis/2026-11"]),
        ("runs_by_model", ["rf", "rf", "rf"]),
        ("runs_flat", ["", "", ""]),
    ],
)
def test_every_organisation_is_a_view_with_paths(views, view, paths):
    assert [path for (path,) in rows(views, lake_with_runs(), f"select path from {view} order by run_id")] == paths


def test_points_count_once_their_batch_is_named(views):
    lake = lake_with_runs()
    lake.run("live", status="running")
    lake.log(
        "live", [("loss", 1, 0.5), ("auc", None, 0.7)], batch_id="one", last={"loss": [0.5, 1], "auc": [0.7, None]}
    )
    lake.commit()
    lake.log("live", [("loss", 2, 0.25)], batch_id="two", last={"loss": [0.25, 2]}).commit()
    lake.log("live", [], batch_id="two").commit()  # the same batch named again counts once
    lake.rows["metric_rows"].append({**lake.rows["metric_rows"][0], "batch_id": "dead"})
    found = rows(views, lake, "select name, step, value from metrics order by batch, ordinal")
    assert found == [("loss", 1, 0.5), ("auc", None, 0.7), ("loss", 2, 0.25)]
    assert rows(views, lake, "select metrics ->> 'loss', loss, auc from runs where run_id = 'live'") == [
        ("0.25", 0.25, 0.7)
    ]
    assert rows(views, lake, "select status, auc from runs where run_id = 'r0'") == [("done", 0.9)]


def test_events_and_what_runs_use_and_make(views):
    lake = lake_with_runs()
    lake.log("r0", [{"metadata": '{"a": {"b": 7}}', "stage": "s"}, {"metadata": "{broken"}], reason="events").commit()
    assert rows(views, lake, "select event_id, run_id, stage, metadata ->> '$.a.b' from events order by 1") == [
        ("e0", "r0", "s", "7"),
        ("e1", "r0", None, None),
    ]
    assert rows(views, lake, "select run_id, folio, item, version, entry_id from run_inputs order by 1")[0] == (
        "r0",
        "a",
        "data",
        1,
        "e1",
    )
    assert rows(views, lake, "select run_id, name from run_outputs order by 1") == [
        ("r0", "out0"),
        ("r1", "out1"),
        ("r2", "out2"),
    ]


def test_views_read_what_their_headers_say(views):
    connection = views.connect(empty_tables())
    for view in views.files:
        try:
            read = connection.get_table_names(view.sql)
        except duckdb.Error:
            continue  # ASOF joins can't be told without their tables
        assert {name.lower() for name in read} <= view.reads, view.name


def test_parameters_and_metrics_are_columns_of_the_run_views(views):
    lake = lake_with_runs()
    found = rows(
        views,
        lake,
        "select run_id, auc, lr, params ->> 'name', warm, status, name from runs_by_project "
        "where auc > 0.905 order by 1",
    )
    assert [row[:2] for row in found] == [("r1", 0.91), ("r2", 0.92)]
    # a metric called status does not hide the run's, nor a parameter called name
    assert found[0][2:] == (0.2, "it's", True, "done", None)
    connection = views.connect(lake.tables())
    assert connection.sql("select count(auc) from runs_flat").fetchall() == [(3,)]


def test_text_that_is_not_json_does_not_break_the_runs(views):
    lake = lake_with_runs()
    every = [fact for row in lake.rows["manifests"] for fact in row.get("facts") or ()]
    next(fact for fact in every if fact["key"] == "params.name")["value"] = "{broken"
    assert rows(views, lake, "select params ->> 'name' from runs where run_id = 'r0'") == [("{broken",)]
    assert [kind for kind, _, _ in audited(lake.tables())] == ["metadata_value"]


# -- audits ----------------------------------------------------------------------------------------------------


def audited(tables):
    """Return the problems that the audits find in a whole journal at once, as (audit, object, message)."""
    audits = [view.name for view in load_views() if view.folder == "90_audits"]
    read = {*audits}
    for view in reversed(load_views()):
        read |= view.reads if view.name in read else set()
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for name in ("manifests", "metric_rows", "event_rows"):
            bind(connection, name, tables[name])
        for view in load_views():
            if view.name in read:
                connection.execute(create_view(view))
        return [
            (name.removeprefix("audit_"), *row)
            for name in audits
            for row in connection.execute(f"select object, message from {name} order by all").fetchall()
        ]


def test_audits_find_nothing_on_healthy_lakes(views):
    for lake in (Rows(), small_lake(), lake_with_runs()):
        assert audited(lake.tables()) == []


def test_an_op_that_is_not_known_is_no_damage(views):
    lake = small_lake().change("hold", folio="a", item="raw", blob_digest=sha("x")).commit()
    assert audited(lake.tables()) == []


def test_audits_find_nothing_on_a_lake_that_the_journal_wrote(views, tmp_path):
    import lakefolio

    lake = lakefolio.open(str(tmp_path / "lake"))
    folio = lake.folio("a")
    folio.add_json("raw", {"x": 1}, metadata={"k": 1}).add_json("clean", [1], inputs=["raw", "s3://b/x.csv"])
    folio.add_json("large", list(range(9000)))
    lake.folio("b").add_json("same", list(range(9000)))
    lake.snapshot("s")
    with lake.batch("many"):
        folio.add_json("raw", {"x": 2}, overwrite=True)
        folio.delete("large")
        folio.metadata["owner"] = "ada"
    folio.archive("clean")
    lake.restore("s")
    assert audited(session_of(lake).tables()) == []
    found = lake.sql("select folio, entry_count, stored_bytes > 0, shared_bytes > 0 from storage_savings order by 1")
    assert found.fetchall() == [("a", 4, True, True), ("b", 1, False, True)]
    assert lake.sql("select count(*) from items").fetchall() == [(4,)]


def damaged(name):
    lake = small_lake()
    journal = lake.rows["manifests"]
    put = next(row for row in journal if row["op"] == "put")
    match name:
        case "row_position":
            journal[3]["ordinal"] = journal[2]["ordinal"]
        case "row_shape":
            put["kind"] = None
        case "row_shape/fact":
            put["facts"][0]["key"] = None
        case "row_shape/input":
            next(row for row in journal if row["item"] == "clean")["inputs"][0]["input_kind"] = None
        case "row_shape/delete":
            lake.change("delete", folio="a", item="raw", facts=[{"key": None, "value": "1"}]).commit()
        case "row_shape/nothing":
            put["facts"].append(None)
        case "row_shape/run":
            lake.change("run", facts=[]).commit()
        case "row_shape/item":
            put["item"] = None
        case "commit_once":
            journal[-1]["commit_id"] = journal[0]["commit_id"]
        case "commit_time":
            journal[4]["committed_at"] = START
        case "entry_identity":
            next(row for row in journal if row["reason"] == "archive")["digest"] = sha("else")
        case "delete_target":
            lake.delete("a", "never").commit()
        case "blob_size":
            next(row for row in journal if row["item"] == "copy")["stored_bytes"] += 1
        case "blob_size/content":
            lake.put("a", "one", content="same").put("a", "two", content="same", size_bytes=99).commit()
        case "blob_purged":
            lake.change("purge", blob_digest=sha("m1"), generation=0).commit()
        case "snapshot_target":
            next(row for row in journal if row["op"] == "snapshot")["target_version"] = 99
        case "snapshot_name":
            lake.snapshot("paper").commit()
        case "snapshot_name/drop":
            lake.change("drop_snapshot", snapshot="nope").commit()
        case "entry_identity/inputs":
            next(row for row in journal if row["reason"] == "archive")["inputs"] = None
        case "metadata_value":
            put["facts"][0]["value"] = "{"
        case "lineage_ends":
            next(row for row in journal if row["item"] == "clean")["inputs"][0]["input_id"] = "nobody"
        case "batch_count":
            lake.log("r", [("loss", 1, 0.5), ("loss", 2, 0.4)], found=1).commit()
        case "batch_count/events":
            lake.log("r", [{"metadata": "{}"}], reason="events", found=0).commit()
        case "batch_count/some events":
            lake.log("r", [{"metadata": "{}"}, {"metadata": "[]"}], reason="events", found=1).commit()
        case "batch_count/run":
            lake.log("r", [("loss", 1, 0.5), ("loss", 2, 0.4)]).commit()
            lake.rows["metric_rows"][-1]["run_id"] = "another"
        case "pin_entry":
            lake.change("pin", run_id="r", folio="a", item="raw", entry_id="nobody").commit()
        case "pin_entry/digest":
            lake.change("pin", run_id="r", entry_id=put["entry_id"], digest="sha256:other").commit()
    return lake


DAMAGES = [
    "row_position",
    "row_shape",
    "row_shape/fact",
    "row_shape/input",
    "row_shape/delete",
    "row_shape/nothing",
    "row_shape/run",
    "row_shape/item",
    "commit_once",
    "commit_time",
    "entry_identity",
    "entry_identity/inputs",
    "delete_target",
    "blob_size",
    "blob_size/content",
    "blob_purged",
    "snapshot_target",
    "snapshot_name",
    "snapshot_name/drop",
    "batch_count",
    "batch_count/events",
    "batch_count/some events",
    "batch_count/run",
    "pin_entry",
    "pin_entry/digest",
    "metadata_value",
    "lineage_ends",
]
"""An audit, or an audit and which of its damages; see ``damaged``."""


@cache
def audited_damage(name):
    """Return what the audits find of one damage; two tests ask."""
    return audited(damaged(name).tables())


@pytest.mark.parametrize("name", DAMAGES)
def test_an_audit_sees_the_damage_it_is_for(views, name):
    found = audited_damage(name)
    mine = [problem for problem in found if problem[0] == name.partition("/")[0]]
    assert mine
    assert all(thing and message for _, thing, message in mine)


# of each audit its first damage, and all in the slow tests
@pytest.mark.parametrize(
    "name", [None, *(pytest.param(name, marks=pytest.mark.slow if "/" in name else ()) for name in DAMAGES)]
)
def test_audits_of_a_journal_that_passes_in_parts_say_the_same(views, name):
    """Each is asked about few rows then, and finds no less and nothing else."""
    tables = (small_lake() if name is None else damaged(name)).tables()
    journal = tables["manifests"]
    newest = max(journal.column("version").to_pylist())

    def each(take):
        for first in range(0, newest + 1, 2):
            with bench.part(journal.filter(pc.is_in(journal.column("version"), pa.array([first, first + 1])))) as part:
                take(part)

    with Workbench(few=True) as bench:
        numbers = RowNumbers(bench, newest)
        audits = RowAudits(bench, numbers)
        each(lambda part: (numbers.add(part), audits.add(part)))
        numbers.complete()
        for table in ("metric_rows", "event_rows"):
            with bench.part(tables[table]) as part:
                audits.add_logged(table, part)
        found = audits.problems(each, logged=True)
    expected = audited(tables) if name is None else audited_damage(name)
    assert sorted(one for one in found if one[0] != "protected_purged") == sorted(expected)


def test_every_audit_is_tested(views):
    tested = {re.match(r"\w+", one)[0] for one in DAMAGES}
    assert tested == {view.name.removeprefix("audit_") for view in views.files if view.folder == "90_audits"}


# -- Polars computes the same ------------------------------------------------------------------------------------


NAMES = st.sampled_from(["x", "y", "z"])
FOLIOS = st.sampled_from(["a", "b"])
CONTENTS = st.sampled_from(["one", "two", "three"])
STEPS = st.one_of(
    st.tuples(st.just("put"), FOLIOS, NAMES, CONTENTS, st.booleans()),
    st.tuples(st.just("delete"), FOLIOS, NAMES),
    st.tuples(st.just("archive"), FOLIOS, NAMES),
    st.tuples(st.just("restore"), FOLIOS, NAMES, st.integers(0, 5)),
)


def play(commits):
    """Write random changes to a builder and to a dict."""
    lake, model, history = Rows(), {}, {}
    for commit in commits:
        for step in commit:
            name = step[1:3]
            if step[0] == "put":
                if step[4]:
                    lake.blob(*name, step[3], size=len(step[3]), stored=10 * len(step[3]))
                else:
                    lake.put(*name, content=step[3])
                history.setdefault(name, []).append(dict(lake.heads[name]))
            elif step[0] == "restore" and name in history:
                lake.again(*name, "restore", entry=history[name][step[3] % len(history[name])])
            elif step[0] == "archive" and name in model:
                lake.again(*name, "archive", archived=True)
            elif step[0] == "delete" and name in model:
                lake.delete(*name)
                del model[name]
                continue
            else:
                continue
            model[name] = lake.heads[name]
        lake.commit()
    return lake, model, history


def model_savings(lake, history):
    """By folio: what the entries would take one by one, and what each object takes where it was first used."""
    logical, stored, seen = {}, {}, set()
    for folio, _ in history:
        logical[folio] = stored[folio] = 0
    done = set()
    for row in lake.rows["manifests"]:
        if row["op"] != "put" or (row["folio"], row["item"], row["entry_id"]) in done:
            continue
        done.add((row["folio"], row["item"], row["entry_id"]))
        logical[row["folio"]] += row["size_bytes"]
        if row["storage"] == "inline":
            stored[row["folio"]] += len(row["content"])
        elif row["blob_digest"] not in seen:
            seen.add(row["blob_digest"])
            stored[row["folio"]] += row["stored_bytes"]
    return {folio: (logical[folio], stored[folio]) for folio in logical}


def polars_items(manifests):
    return (
        pl.DataFrame(pl.from_arrow(manifests))
        .lazy()
        .filter(pl.col("op").is_in(["put", "delete"]))
        .sort("version", "ordinal")
        .group_by("folio", "item")
        .last()
        .filter(pl.col("op") == "put")
        .select("folio", "item", "entry_id", "version")
    )


def polars_savings(manifests):
    entries = (
        pl.DataFrame(pl.from_arrow(manifests))
        .lazy()
        .filter(pl.col("op") == "put")
        .sort("version", "ordinal")
        .unique(["folio", "item", "entry_id"], keep="first", maintain_order=True)
    )
    logical = entries.group_by("folio").agg(pl.col("size_bytes").sum().alias("logical_bytes"))
    inline = entries.filter(pl.col("storage") == "inline").select("folio", pl.col("content").bin.size().alias("stored"))
    objects = entries.filter(pl.col("storage") == "blob").unique(
        ["blob_digest", "generation"], keep="first", maintain_order=True
    )
    stored = (
        pl.concat([inline.cast({"stored": pl.Int64}), objects.select("folio", pl.col("stored_bytes").alias("stored"))])
        .group_by("folio")
        .agg(pl.col("stored").sum())
    )
    return logical.join(stored, on="folio", how="left").with_columns(pl.col("stored").fill_null(0))


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(st.lists(STEPS, min_size=1, max_size=4), max_size=6))
def test_duckdb_polars_and_a_dict_agree(commits):
    lake, model, history = play(commits)
    tables, views = lake.tables(), Views()
    expected = sorted((*name, row["entry_id"]) for name, row in model.items())
    found = rows(views, tables, "select folio, item, entry_id, version from items order by all")
    assert [row[:3] for row in found] == expected
    assert sorted(polars_items(tables["manifests"]).collect().rows()) == found
    savings = {
        folio: numbers
        for folio, *numbers in rows(views, tables, "select folio, logical_bytes, stored_bytes from storage_savings")
    }
    assert {folio: tuple(numbers) for folio, numbers in savings.items()} == model_savings(lake, history)
    assert sorted(polars_savings(tables["manifests"]).collect().rows()) == sorted(
        (folio, *numbers) for folio, numbers in savings.items()
    )
    assert audited(tables) == []


# -- the same files over delta_scan ------------------------------------------------------------------------------

OUTSIDE = """
import json, sys
from pathlib import Path
import duckdb
from lakefolio.views.engine import Views

root, extension = Path(sys.argv[1]), sys.argv[2]
connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
connection.execute("set enable_progress_bar = false")
connection.execute(f"load '{extension}'")
for name in ("manifests",):
    connection.execute(f"create view {name} as select * from delta_scan('{root / name}')")
views = Views()
views.install(connection)
connection.execute("set TimeZone = 'UTC'")
queries = json.loads(sys.stdin.read())
print(json.dumps({name: connection.execute(sql).fetchall() for name, sql in queries.items()}, default=str), flush=True)
"""


@pytest.mark.parametrize(
    "make", [pytest.param(lake_with_runs, id="full"), pytest.param(Rows, id="empty", marks=pytest.mark.slow)]
)
def test_the_files_run_unchanged_over_delta_scan(views, make, tmp_path):
    extension = pytest.importorskip("duckdb_extension_delta")
    from deltalake import write_deltalake

    tables = make().tables()
    for name, table in tables.items():
        write_deltalake(str(tmp_path / name), table)
    (path,) = Path(extension.__file__).parent.rglob("delta.duckdb_extension*")
    queries = {name: f"select * exclude (extra) from {name} order by all" for name in ("snapshots",)} | {
        name: f"select * from {name} order by all"
        for name in views.names()
        if name not in ("snapshots", "entries", "items")
    }
    queries["items"] = "select * exclude (content) from items order by all"
    queries["entries"] = "select * exclude (content) from entries order by all"
    # (in a process of its own: the extension and deltalake don't share one well)
    done = subprocess.run(
        [sys.executable, "-c", OUTSIDE, str(tmp_path), str(path)],
        input=json.dumps(queries),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    outside = json.loads(done.stdout)
    inside = {name: views.query(tables, sql).fetchall() for name, sql in queries.items()}
    assert outside == json.loads(json.dumps(inside, default=str))
