"""What ``get`` writes where, and what it never does."""

from __future__ import annotations

import csv
import io
import os
import stat
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakefolio as lf


@pytest.mark.parametrize(("name", "rows"), [("t.csv", None), ("t.parquet", 2), ("t.pq", 2), ("t", 2), ("t.json", None)])
def test_tables_by_the_ending(run, stocked: str, name: str, rows: int | None) -> None:
    run("get", "experiments/clf:scores", "-o", name)
    if rows is not None:
        assert pq.read_table(name).num_rows == rows
    elif name.endswith(".csv"):
        assert Path(name).read_text() == '"id","name","score"\n1,"ada",0.9\n2,"bob",0.95\n'
    else:
        assert '"name": "bob"' in Path(name).read_text()


def test_format_wins_over_the_ending(run, stocked: str) -> None:
    run("get", "experiments/clf:scores", "-o", "t.data", "--format", "csv")
    assert Path("t.data").read_text().startswith('"id"')
    assert run("get", "experiments/clf:scores", "--format", "parquet").stdout_bytes.startswith(b"PAR1")


def test_a_past_version(run, said, stocked: str) -> None:
    assert len(said("get", "experiments/clf:scores@paper-v1")) == 3
    assert len(said("--at", "paper-v1", "get", "experiments/clf:scores")) == 3
    assert len(said("get", "experiments/clf:scores")) == 2


def test_csv_of_what_csv_can_hold_and_what_not(run, stocked: str) -> None:
    table = pa.table(
        {
            "plain": ["a", 'quote " and\nline'],
            "none": pa.array([None, 1], pa.int64()),
            "list": [[1, 2], []],
            "dict": pa.array(["x", "y"]).dictionary_encode(),
            "when": pa.array([datetime(2026, 11, 1, tzinfo=UTC)] * 2, pa.timestamp("us", "UTC")),
            "money": pa.array([Decimal("1.50"), Decimal("2.00")]),
            "binary": [b"\xff\x00", b""],
        }
    )
    lf.open(stocked).folio("t").add_table("wide", table)
    lines = list(csv.DictReader(io.StringIO(run("get", "t:wide").stdout)))
    assert lines[1]["plain"] == 'quote " and\nline'
    assert [one["none"] for one in lines] == ["", "1"]
    assert [one["list"] for one in lines] == ["[1, 2]", "[]"]
    assert [one["dict"] for one in lines] == ["x", "y"]
    assert [one["money"] for one in lines] == ["1.50", "2.00"]
    assert [one["binary"] for one in lines] == ["/wA=", ""]


def test_nothing_is_overwritten_unasked(run, said, stocked: str) -> None:
    Path("mine.csv").write_text("mine")
    assert said("get", "experiments/clf:scores", "-o", "mine.csv", code=4).kind == "local-file-exists"
    assert Path("mine.csv").read_text() == "mine"
    run("get", "experiments/clf:scores", "-o", "mine.csv", "--force")
    assert Path("mine.csv").read_text() != "mine"
    run("get", "experiments/clf:plots", "-o", "p")
    Path("p/mine").write_text("mine")
    run("get", "experiments/clf:plots", "-o", "p", "--force")  # into the folder, under its name
    assert sorted(os.listdir("p")) == ["a.svg", "deep", "mine", "plots"]
    assert said("get", "experiments/clf:plots", "-o", "p", "--force", code=4).kind == "local-file-exists"


def test_what_was_written_belongs_to_the_user(run, stocked: str) -> None:
    run("get", "experiments/clf:plots", "-o", "p")
    run("get", "experiments/clf:notes", "-o", "n.txt")
    for path in ("p", "p/a.svg", "p/deep", "n.txt"):
        assert os.stat(path).st_mode & stat.S_IWUSR, path


def blob_of(lake: str, ref: str) -> Path:
    digest = lf.open(lake).item(ref).blob_digest
    assert digest is not None
    (found,) = Path(lake, "blobs").rglob(digest.removeprefix("sha256:") + "*")
    return found


@pytest.mark.parametrize("target", ["out.bin", "-"])
def test_damage_is_told_and_nothing_appears(run, said, stocked: str, tmp_path: Path, monkeypatch, target: str) -> None:
    monkeypatch.setenv("LAKEFOLIO_CACHE", str(tmp_path / "cache"))
    blob = blob_of(stocked, "other:blob")
    blob.chmod(0o644)
    body = bytearray(blob.read_bytes())
    body[5000] ^= 1
    blob.write_bytes(body)
    before = set(os.listdir())
    result = run("get", "other:blob", "-o", target, code=8)
    assert result.stdout_bytes == b""
    assert set(os.listdir()) - {"cache"} == before - {"cache"}
    found = said("check", "--read-data", code=8)
    assert found["ok"] is False
    assert len(found["problems"]) == 1
    assert said("check")["ok"] is True  # the size is right, and that is all this looks at
    blob.unlink()
    assert [one["kind"] for one in said("check", code=8)["problems"]] == ["blob-missing"]


@pytest.mark.parametrize(
    ("args", "kind"),
    [
        (["experiments/clf:plots"], "wrong-kind"),
        (["experiments/clf:emb", "--json"], "wrong-kind"),
        (["experiments/clf:emb", "--format", "csv"], "wrong-kind"),
        (["experiments/clf:config", "-o", "no/such/folder/x.json"], "folder-missing"),
    ],
)
def test_what_cant_be_written(said, stocked: str, args: list[str], kind: str) -> None:
    assert said("get", *args, code=2).kind == kind


def test_an_unwritable_folder_is_one_line(said, stocked: str) -> None:
    assert said("get", "experiments/clf:config", "-o", "/proc/x.json", code=7).kind == "local-write-failed"


@pytest.mark.parametrize("name", ["x.ods", "x.mat", "x.dat"])
def test_a_format_that_there_is_not_is_refused_with_those_there_are(said, stocked: str, name: str) -> None:
    refused = said("get", "experiments/clf:scores", "-o", name, code=2)
    assert refused.kind == "bad-format"
    assert ".csv" in refused.hint
    assert not Path(name).exists()
    assert said("get", "experiments/clf:emb", "-o", "emb.csv", code=2).kind == "bad-format"


@pytest.mark.parametrize("name", ["t.tsv", "t.csv.gz", "t.feather", "t.arrow"])
def test_what_was_written_is_what_the_name_says(run, stocked: str, name: str) -> None:
    run("get", "experiments/clf:scores", "-o", name)
    run("add", "t:back", name)
    assert lf.open(stocked).get("t:back", as_="arrow").column("id").to_pylist() == [1, 2]
    assert run("get", "experiments/clf:scores", "--format", "tsv").stdout.startswith('"id"\t"name"')
