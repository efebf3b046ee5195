"""Any lake and any argument: what leaves the library is a LakefolioError, or a TypeError of a wrong call."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fuzzing
import pyarrow as pa
import pytest
from fuzzing import Healthy, changed_tree, exercise
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import lakefolio as lf
from lakefolio.errors import IntegrityError
from lakefolio.format.schema import INPUT_TYPE, MANIFESTS_SCHEMA, SCHEMAS
from lakefolio.views.engine import default_views

FAST, THOROUGH = 1, 2
WHAT = ["marker", "log entry", "checkpoint", "row", "ticket", "model entry", "model file", "pointer", "view"]
SETTINGS: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.generate],
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Healthy:
    return Healthy(tmp_path_factory.mktemp("fuzz") / "lake")


def odd_row(draw: Any, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with some values replaced by odd ones of the column's type."""
    row = rows[0]
    for _ in range(draw(st.integers(1, 3))):
        field = MANIFESTS_SCHEMA.field(draw(st.sampled_from(MANIFESTS_SCHEMA.names)))
        if field.type == pa.string():
            value: Any = draw(st.sampled_from([one for one in fuzzing.ODD if isinstance(one, str)] + OPS))
        elif field.type == pa.binary():
            value = draw(st.sampled_from([b"", b"x", b"[" * 300, b"\xff\xfe"]))
        elif pa.types.is_integer(field.type):
            value = draw(st.sampled_from([0, 1, -1, 2**31 - 1] + [2**63 - 1, -(2**63)] * (field.type == pa.int64())))
        elif pa.types.is_timestamp(field.type):
            value = draw(st.sampled_from([0, -1, 2**62, -(2**62), -62135596800000001, 253402300800000000]))
            value = pa.scalar(value, pa.timestamp("us", tz="UTC"))
        elif field.name == "inputs":
            text = st.sampled_from([None, *(one for one in fuzzing.ODD if isinstance(one, str))])
            value = [{one.name: draw(text) for one in INPUT_TYPE}]
        elif field.name == "facts":
            texts = [one for one in fuzzing.ODD if isinstance(one, str)]
            key = draw(st.sampled_from([*texts, *RUN_KEYS]))
            value = [{"key": key, "value": draw(st.sampled_from([*texts, *RUN_VALUES, None]))}]
        elif field.name == "tags":
            value = draw(st.sampled_from([[], ["\0"], [""], ["a", "a"], [None]]))
        else:
            value = draw(st.booleans())
        if value is None and not field.nullable:
            continue
        row = row | {field.name: value}
    return [row, *rows[1:]]


RUN_KEYS = ["status", "started_at", "ended_at", "tags", "params.p", "metrics.m", "organisation", "parent", "memo"]
RUN_VALUES = ['"infinity"', '"294246-01-01"', '"0001-01-01 (BC)"', '{"$type":"decimal","value":"1e9"}', "[[1]]"]
OPS = ["put", "delete", "snapshot", "drop_snapshot", "annotate", "run", "pin", "metrics", "events", "purge", "later"]
OPS += ["inline", "blob", "reference", "table", "json", "model", "torch", "array", "sparse", "directory", "artifact"]


def hostile(draw: Any, lake: Healthy, what: str) -> dict[str, bytes]:
    """Return objects of the lake that say something else, sealed as if lakefolio had written them."""
    if what == "marker":
        marker = json.loads(lake.objects["lakefolio.json"])
        return {"lakefolio.json": json.dumps(changed_tree(draw, marker)).encode()}
    if what == "log entry":
        table = draw(st.sampled_from(["manifests", "manifests", "metric_rows", "event_rows"]))
        versions = [version for version in range(30) if log(table, version) in lake.objects]
        version = draw(st.sampled_from(versions))
        tree = changed_tree(draw, lake.entry(table, version))
        return lake.sealed(table, version, tree if isinstance(tree, list) else [tree])
    if what == "checkpoint":
        version, table = lake.checkpoint()
        rows = changed_tree(draw, json.loads(json.dumps(table.to_pylist())))
        try:
            sink = pa.BufferOutputStream()
            import pyarrow.parquet as pq

            pq.write_table(pa.Table.from_pylist(rows, table.schema), sink)
            body = sink.getvalue().to_pybytes()
        except (pa.ArrowException, TypeError, AttributeError, OverflowError):
            body = json.dumps(rows).encode()
        return lake.with_checkpoint(version, body)
    if what == "pointer":
        key = "tables/manifests/_delta_log/_last_checkpoint"
        return {key: json.dumps(changed_tree(draw, json.loads(lake.objects[key]))).encode()}
    if what == "row":
        try:
            return lake.with_rows(odd_row(draw, lake.tail_rows()[1]))
        except (pa.ArrowException, UnicodeError):
            return {}
    if what == "ticket":
        number = draw(st.integers(0, len(TICKETS) - 1))
        value = changed_tree(draw, TICKETS[number])
        body = json.dumps(value).encode()
        return {f"pending/{TICKET_ID}": hashlib.sha256(body).hexdigest().encode() + b"\n" + body}
    if what == "view":
        text = draw(
            st.sampled_from([one for one in fuzzing.ODD if isinstance(one, str)] + ["select", "select 1; drop"])
        )
        return {f"views/{draw(st.sampled_from(['v', 'runs', '-', 'é']))}.sql": text.encode("utf-8", "replace")}
    table, version, files = draw(st.sampled_from(lake.model_files()))
    if what == "model entry":
        tree = changed_tree(draw, lake.entry(table, version))
        return lake.sealed(table, version, tree if isinstance(tree, list) else [tree])
    number = draw(st.integers(0, len(files) - 1))
    body = bytearray(lake.objects[f"tables/{table}/{files[number][0]}"])
    for _ in range(draw(st.integers(1, 8))):  # in the footer, or anywhere
        at = draw(st.integers(max(0, len(body) - 3000), len(body) - 9) | st.integers(4, len(body) - 9))
        body[at] = draw(st.integers(0, 255))
    return lake.with_model_file(table, version, number, bytes(body))


def log(table: str, version: int) -> str:
    return f"tables/{table}/_delta_log/{version:020d}.json"


TICKET_ID = "0" * 32
TICKETS = [
    {
        "format": 2,
        "base": 3,
        "commits": [{"commit_id": TICKET_ID, "author": "a", "message": None, "run_id": None, "changes": [change]}],
    }
    for change in (
        {
            "op": "put",
            "folio": "f",
            "item": "by ticket",
            "entry_id": "1" * 32,
            "stored": {
                "kind": "json",
                "storage": "inline",
                "format": "json",
                "content": base64.b64encode(b"1").decode(),
                "digest": "sha256:" + hashlib.sha256(b"1").hexdigest(),
                "size_bytes": 1,
            },
            "inputs": ["f:a"],
            "metadata": {"k": "1"},
        },
        {"op": "run", "run_id": "r1", "values": {"status": '"done"'}},
        {"op": "annotate", "subject_kind": "folio", "subject_id": "f", "values": {"k": "1"}},
        {"op": "snapshot", "name": "x", "tags": ["a"], "extra": {"a": 1}, "target_version": 2},
        {"op": "restore", "target_version": 2, "folio": "f", "items": ["a"]},
        {
            "op": "log",
            "reason": "metrics",
            "batch_id": "2" * 32,
            "run_id": "r1",
            "row_count": 1,
            "details": {"last": {}},
        },
    )
]


def fuzz(lake: Healthy, folder: Path, what: str, count: int, *, writing: bool, seeded: bool) -> None:
    @settings(max_examples=count, derandomize=seeded, **SETTINGS)
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        uri = lake.written(folder / "hostile", hostile(data.draw, lake, what))
        assert exercise(uri, writing=writing)[1] == []

    run()


@pytest.mark.parametrize("what", WHAT)
def test_whatever_a_lake_says(lake: Healthy, tmp_path: Path, what: str) -> None:
    fuzz(lake, tmp_path, what, FAST, writing=False, seeded=True)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("what", WHAT)
def test_whatever_a_lake_says_thoroughly(lake: Healthy, tmp_path: Path, what: str) -> None:
    count = os.environ.get("LAKEFOLIO_FUZZ")  # a number: so many new examples, for a hunt of hours
    fuzz(lake, tmp_path, what, int(count or THOROUGH), writing=True, seeded=count is None)


def test_what_is_healthy_is_refused_nowhere(lake: Healthy, tmp_path: Path) -> None:
    assert exercise(lake.written(tmp_path / "hostile", {}), writing=True) == (0, [])


def test_a_row_is_of_the_version_that_its_log_entry_makes(lake: Healthy, tmp_path: Path) -> None:
    version, rows = lake.tail_rows()
    for wrong in (version + 1, version - 1, -1, 2**31, 2**63 - 1):
        uri = lake.written(tmp_path / "hostile", lake.with_rows([{**rows[0], "version": wrong}, *rows[1:]]))
        with pytest.raises(IntegrityError):
            lf.open(uri, read_only=True).items()


def test_a_version_that_can_not_be_fails_no_view(tmp_path: Path) -> None:
    row = {"version": 2**63 - 1, "ordinal": 0, "committed_at": datetime.now(UTC), "commit_id": "c", "op": "put"}
    rows = pa.Table.from_pylist([{**row, "folio": "f", "item": "a", "size_bytes": 2**63 - 1}] * 2, MANIFESTS_SCHEMA)
    tables = {name: schema.empty_table() for name, schema in SCHEMAS.items()} | {"manifests": rows}
    with default_views().connect(tables, locked=True) as connection:
        for name in default_views().names():
            connection.sql(f"from {name}").fetchall()


@pytest.mark.parametrize("table", ["manifests", "metric_rows"])
def test_what_is_no_description_of_a_table_is_damage(lake: Healthy, tmp_path: Path, table: str) -> None:
    for wrong in ([{}], [], "x", {"configuration": [["a", "b"]]}, {"partitionColumns": [1]}, {"id": "\ud800"}):
        actions = lake.entry(table, 0)
        actions[2]["metaData"] = wrong
        uri = lake.written(tmp_path / "hostile", lake.sealed(table, 0, actions))
        assert [one.kind for one in lf.open(uri, read_only=True).check().problems].count("log-damaged") >= 1
