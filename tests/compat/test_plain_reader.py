"""FORMAT.md is enough to read a lake by: a reader written from it alone gives what was stored.

``plain_reader.py`` imports the standard library and pyarrow. It reads the lake that stays for ever, and one of today.
"""

from __future__ import annotations

import ast
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import plain_reader
import pytest
from plain_reader import PlainLake, UnreadableError

import lakefolio as lf

FIRST = Path(__file__).parent / "2"
EXPECTED: dict[str, Any] = json.loads((FIRST / "expected.json").read_text())


def test_it_imports_nothing_of_lakefolio() -> None:
    tree = ast.parse(Path(plain_reader.__file__).read_text())
    modules = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert modules == {"__future__", "collections", "hashlib", "json", "pathlib", "typing", "pyarrow"}


def test_items_as_of_every_version() -> None:
    lake = PlainLake(FIRST / "lake")
    assert lake.version == EXPECTED["version"]
    head = {f"{folio}:{item}": row for (folio, item), row in lake.items().items()}
    assert {name: [row["version"], row["kind"], row["digest"]] for name, row in head.items()} == {
        name: said[:3] for name, said in EXPECTED["head"]["items"].items()
    }
    ours = lf.open(FIRST / "lake", read_only=True)
    for version in range(lake.version + 1):
        theirs = {(row["folio"], row["item"]): row["version"] for row in lake.items(version).values()}
        rows = ours.at(version).sql("select folio, item, version from items").fetchall()
        assert theirs == {(folio, item): put for folio, item, put in rows}, version


def test_content_is_verified_and_purges_are_told() -> None:
    lake = PlainLake(FIRST / "lake")
    read = purged = 0
    for row in lake.rows:
        if row["op"] == "put" and row["storage"] != "reference":
            said = EXPECTED["contents"].get(f"{row['folio']}:{row['item']}@{row['version']}")
            try:
                content = lake.content(row)
            except UnreadableError as refused:
                assert "purged" in str(refused)
                assert said == ["error", "content-purged"]
                purged += 1
                continue
            assert said is None or said[:2] != ["error", "content-purged"]
            if row["kind"] != "table":
                assert row["digest"] == "sha256:" + hashlib.sha256(content).hexdigest()
            read += 1
    assert (read, purged) == (56, 4)


def test_damage_is_told(tmp_path: Path) -> None:
    shutil.copytree(FIRST / "lake", tmp_path / "lake")
    for path in sorted((tmp_path / "lake" / "blobs").rglob("*")):
        if path.is_file():
            path.write_bytes(b"x" * path.stat().st_size)
    lake = PlainLake(tmp_path / "lake")
    row = next(row for row in lake.items().values() if row["storage"] == "blob" and lake.purged(row) is None)
    with pytest.raises(UnreadableError, match="digest"):
        lake.content(row)
    entry = tmp_path / "lake" / "tables" / "manifests" / "_delta_log" / f"{7:020}.json"
    entry.write_bytes(entry.read_bytes().replace(b'"version":7', b'"version":8'))
    with pytest.raises(UnreadableError, match="seal of manifests"):
        PlainLake(tmp_path / "lake")


def test_runs_metrics_and_events() -> None:
    lake = PlainLake(FIRST / "lake")
    facts = lake.facts("run", "run_id", "first")
    assert (facts["status"], facts["params.lr"], facts["params.layers"]) == ("done", 0.1, [1, 2])
    assert lake.metrics("first", "loss") == [(step, 1.0 / (step + 1)) for step in range(5)]
    texts = sorted(json.loads(event["metadata"])["text"] for event in lake.events() if event["event_type"] == "note")
    assert texts == ["long " * 20_000, "short"]


def test_a_lake_of_today(tmp_path: Path) -> None:
    ours = lf.open(tmp_path / "lake", author="ada")
    folio = ours.folio("a/b")
    folio.add_json("raw", {"n": 1}, metadata={"unit": "m"})
    raw = ours.item("a/b:raw")
    folio.add_json("clean", [1] * 5000, inputs=["raw"])
    for number in range(60):
        folio.add_json("raw", {"n": number}, overwrite=True)
    with ours.run("experiment", run_id="r") as run:
        run.add_input("x", "a/b:clean")
        run.log(0, loss=0.5)
        run.log(1, loss=float("nan"))
    folio.delete("clean", warn_dependents=False)
    ours.compact()
    ours.flush()
    before = ours.version - 1
    names = {row[0] for row in ours.at(before).sql("select item from items where folio = 'a/b'").fetchall()}
    lake = PlainLake(tmp_path / "lake")
    assert {item for of, item in lake.items(before) if of == "a/b"} == names
    assert json.loads(lake.content(lake.items()["a/b", "raw"])) == {"n": 59}
    clean = next(row for row in lake.rows if row["op"] == "put" and row["item"] == "clean")
    assert json.loads(lake.content(clean)) == [1] * 5000
    (made_from,) = lake.inputs(clean["entry_id"])
    assert (made_from["input_kind"], made_from["input_id"], made_from["input_item"]) == ("entry", raw.entry_id, "raw")
    assert lake.facts("put", "entry_id", raw.entry_id) == {"unit": "m"}
    assert [str(point) for point in lake.metrics("r", "loss")] == ["(0, 0.5)", "(1, nan)"]
