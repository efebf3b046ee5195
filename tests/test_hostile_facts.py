"""Names are checked when they are logged; a lake that holds bad ones, or texts nested without end, is still read."""

from __future__ import annotations

import os
import subprocess
import sys

import pyarrow as pa
import pytest
from sql.lake_tables import Rows

import lakefolio as lf
from lakefolio.process.notice import LakefolioWarning
from lakefolio.views.bounded_json import shallow
from lakefolio.views.engine import Views

BAD = ["a\0b", "\0", "a\nb", "\x1b[31m", "a\x7fb", "a\x9bb", "\ud800", "tab\there"]


@pytest.fixture
def lake(tmp_path):
    return lf.open(tmp_path / "lake")


ACTIONS = {
    "parameter": lambda lake, name, run: lake.create_run(params={name: 1}),
    "later parameter": lambda lake, name, run: lake.create_run(run_id=run).set_params({name: 1}),
    "metric": lambda lake, name, run: lake.create_run(run_id=run).log({name: 1.0}),
    "points": lambda lake, name, run: lake.create_run(run_id=run).log_points(name, [1.0]),
    "final metric": lambda lake, name, run: lake.create_run(status="done", metrics={name: 1.0}),
    "tag": lambda lake, name, run: lake.folio("a").add("x", 1, tags=[name]),
    "tag of a run": lambda lake, name, run: lake.create_run(tags=[name]),
    "metadata": lambda lake, name, run: lake.folio("a").add("x", 1, metadata={name: 1}),
    "metadata of a run": lambda lake, name, run: lake.create_run(metadata={name: 1}),
    "metadata of a folio": lambda lake, name, run: lake.folio("a").metadata.update({name: 1}),
    "metadata of a lake": lambda lake, name, run: lake.annotate({name: 1}),
    "project": lambda lake, name, run: lake.create_run(project=name),
    "model": lambda lake, name, run: lake.create_run(model=name),
    "name of a run": lambda lake, name, run: lake.create_run(name=name),
    "stage": lambda lake, name, run: lake.log_event(stage=name),
}


def test_a_name_with_control_characters_is_refused_when_it_is_given(lake):
    for what, action in ACTIONS.items():
        for number, name in enumerate(BAD):
            with pytest.raises(lf.InvalidInputError) as caught:
                action(lake, name, f"{what} {number}")
            assert "\n" not in str(caught.value), (what, name)
            assert "\0" not in str(caught.value), (what, name)
    lake.flush()
    told = lake.sql("select params, metrics, tags, project, model, name from runs").fetchall()
    assert not {name for name in BAD for row in told if name in str(row) or repr(name)[1:-1] in str(row)}


def test_odd_names_that_are_text_are_columns(lake):
    odd = {
        "a'b": 1,
        'a"b': 2,
        "a.b": 3,
        "a b": 4,
        "select": 5,
        "ä–🙂": 6,
        "--": 7,
        "/*": 8,
        "a\\b": 9,
        "%_": 10,
        "$.x": 11,
        "/a~b": 12,
    }
    lake.create_run(run_id="r", params=odd, status="done")
    for name, value in odd.items():
        quoted = '"' + name.replace('"', '""') + '"'
        assert lake.sql(f"select {quoted} from runs").fetchall() == [(value,)], name


@pytest.mark.parametrize("prefix", ["params.", "metrics."])
def test_runs_of_a_lake_that_has_such_names_are_listed(prefix):
    names = [one for one in BAD if one != "\ud800"]
    rows = Rows().run("r1", status="done", **{prefix + name: 1 for name in [*names, "good"]}).commit()
    rows.run("r2", status="running").commit()
    last = {name: [0.5, 1] for name in names} | {"fine": [1.5, 1]}
    rows.log("r2", [(name, 1, 0.5) for name in names], last=last).commit()
    views = Views()
    found = views.query(rows.tables(), "select run_id, good from runs order by 1").fetchall()
    assert found == [("r1", 1), ("r2", None)]
    assert views.query(rows.tables(), "select fine from runs_flat where run_id = 'r2'").fetchall() == [(1.5,)]
    connection = views.connect(rows.tables())
    assert connection.execute("select count(*) from runs").fetchall() == [(2,)]


DEEP = {
    "lists": "[" * 100_000 + "]" * 100_000,
    "objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "unended": "[" * 100_000,
}


@pytest.mark.parametrize(
    "deep",
    [pytest.param(text, id=name, marks=() if name == "lists" else pytest.mark.slow) for name, text in DEEP.items()],
)
def test_texts_nested_without_end_harm_no_reader(deep):
    rows = Rows().put("a", "x", details=deep, extra=deep).commit()
    rows.run("r1", status="done", **{"params.p": 1, "metrics.m": 2}).commit()
    rows.run("r2", status="running").commit()
    rows.log("r2", [("loss", 1, 0.5)], last={"loss": [0.5, 1]}).commit()
    rows.log("r1", [{"metadata": deep}], reason="events").commit()
    for row in rows.rows["manifests"]:
        if row["op"] == "metrics":
            row["details"] = '{"last":' + deep + "}"
        for fact in row.get("facts") or ():
            if fact["key"] in ("params.p", "metrics.m"):
                fact["value"] = deep
    views = Views()
    with pytest.warns(LakefolioWarning, match="given null for 5 texts of 'manifests' nested more"):
        views.query(rows.tables(), "select count(*) from manifests")
    for name in views.names():
        assert len(views.query(rows.tables(), f"select * from {name}").fetchall()) >= 0, name
    assert views.query(rows.tables(), "select run_id from runs order by 1").fetchall() == [("r1",), ("r2",)]
    assert len(views.query(rows.tables(), "select params ->> 'p' from runs").fetchall()) == 2
    connection = views.connect(rows.tables())
    assert connection.execute("select count(*), count(metadata) from events").fetchall() == [(1, 0)]


@pytest.mark.parametrize("last", ["[1]", "1", '"x"', "null", '{"a": 1}', '{"a": {"b": 1}}', "{"])
def test_what_is_logged_in_another_shape_spoils_nothing(last):
    rows = Rows().run("r", status="running").commit()
    rows.log("r", [("loss", 1, 0.5)], last={"loss": [0.5, 1]}).commit()
    rows.log("r", [("auc", 1, 0.5)], last={"auc": [0.5, 1]}).commit()
    next(row for row in rows.rows["manifests"] if row["op"] == "metrics")["details"] = '{"last":' + last + "}"
    assert Views().query(rows.tables(), "select auc from runs").fetchall() == [(0.5,)]


def _nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


ENDLESS = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize("value", [_nested(100_000), {"a": _nested(300)}, ENDLESS], ids=["deep", "deeper", "cycle"])
def test_facts_nested_too_deep_are_refused_when_they_are_given(lake, value):
    for action in (
        lambda: lake.folio("a").add("x", 1, metadata={"k": value}),
        lambda: lake.create_run(params={"k": value}),
        lambda: lake.log_event(metadata=value),
        lambda: lake.annotate({"k": value}),
    ):
        with pytest.raises(lf.LakefolioError) as caught:
            action()
        assert len(str(caught.value)) < 1000
    assert lake.folios() == []


JSON_CALLS = """
import json, sys, warnings
import lakefolio as lf
from sql.lake_tables import Rows
from lakefolio.views.engine import Views

warnings.simplefilter("ignore")
deep = {"lists": "[" * 200_000 + "]" * 200_000, "objects": '{"a":' * 200_000 + "1" + "}" * 200_000}[sys.argv[1]]
fine = "[" * 900 + "]" * 900
rows = Rows().put("a", "x", details=deep, extra=fine, description=deep).commit()
rows.run("r1", status="done").commit()
rows.log("r1", [{"metadata": deep}, {"metadata": fine}], reason="events").commit()
for row in rows.rows["manifests"]:
    for fact in row.get("facts") or ():
        fact["value"] = deep
views, tables = Views(), rows.tables()
calls = ["json_contains(x, '1')", "json_contains(x, x)", "json_merge_patch(x, x)", "json_structure(x)", "json_valid(x)"]
calls += ["json_keys(x)", "json_extract(x, '$.a')", "x::json::varchar", "json(x)"]
for call in calls:
    for source in (
        "select details as x from manifests", "select extra as x from manifests", "select metadata as x from events",
        "select description as x from manifests", "select unnest(facts).value as x from manifests",
        "select value as x from metadata",
    ):
        views.query(tables, f"select {call} from ({source}) where json_valid(x)").fetchall()
print(len(calls))
"""


@pytest.mark.parametrize("shape", ["lists", "objects"])
def test_no_text_of_a_lake_ends_the_process_of_who_asks(shape):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", JSON_CALLS, shape]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment, check=False)
    assert (done.returncode, done.stdout) == (0, "9\n"), done.stderr[-2000:]


def test_texts_are_bounded_wherever_they_lie_and_nothing_else_changes():
    texts = [
        None,
        "[" * 1001 + "]" * 1001,
        '{"a": "' + "[" * 5000 + '"}',
        "x" * 5000,
        "[" * 1000 + "]" * 1000,
        '"\\"["',
    ]
    bounded = [None, None, *texts[2:]]
    struct = pa.struct([pa.field("key", pa.string()), pa.field("value", pa.string())])
    made = [None if text is None else [{"key": "k", "value": text}, {"key": "l", "value": None}] for text in texts]
    wanted = [None, [{"key": "k", "value": None}, {"key": "l", "value": None}], *made[2:]]
    table = pa.table({"n": range(6), "plain": texts, "large": pa.array(texts, pa.large_string())})
    table = table.append_column("facts", pa.array(made, pa.list_(struct)))
    for start in (0, 1):
        with pytest.warns(LakefolioWarning, match="null for 3 texts of 't' nested more than 1,000 deep"):
            found = shallow("t", table.slice(start))
        assert found.column("plain").to_pylist() == bounded[start:]
        assert found.column("large").to_pylist() == bounded[start:]
        assert found.column("facts").to_pylist() == wanted[start:]
        assert found.column("n").to_pylist() == list(range(start, 6))
    whole = table.slice(2)
    assert shallow("t", whole) is whole
