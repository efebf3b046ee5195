"""Every command once, on a local folder and on S3."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq


def test_a_lake_from_its_beginning(run, said, files: Path, lake_uri: str) -> None:
    at = ("--lake", lake_uri)
    assert said("init", lake_uri)["created"] is True
    assert said(*at, "init")["created"] is False
    assert said("ls", *at) == []
    assert said(*at, "log") == []
    assert said(*at, "snapshot", "list") == []

    added = said(
        *at, "add", "exp/clf:config", "config.json", "--description", "Settings", "--tag", "a", "--tag", "b",
        "--meta", "seed=3", "--meta", "who=ada", "--meta", "id=001", "-m", "begin",
    )  # fmt: skip
    assert added["ref"] == "exp/clf:config@1"
    assert (added["kind"], added["tags"], added["message"]) == ("json", ["a", "b"], "begin")
    assert said(*at, "add", "exp/clf:scores", "scores.csv", "--input", "config")["row_count"] == 3
    assert said(*at, "add", "exp/clf:emb", "emb.npy", "--input", "scores@2")["kind"] == "array"
    assert said(*at, "add", "exp/clf:plots", "plots")["kind"] == "directory"
    assert said(*at, "add", "other:raw", "-", stdin=b"\x00\xff")["size_bytes"] == 2

    assert [(one["folio"], one["items"]) for one in said(*at, "ls")] == [("exp/clf", 4), ("other", 1)]
    assert [one["item"] for one in said(*at, "ls", "exp/clf")] == ["config", "scores", "emb", "plots"]
    assert [one["folio"] for one in said(*at, "ls", "exp/")] == ["exp/clf"]
    assert [one["folio"] for one in said(*at, "--at", "4", "ls")] == ["exp/clf"]

    shown = said(*at, "show", "exp/clf:scores")
    assert shown["inputs"] == ["exp/clf:config@1"]
    assert shown["dependents"] == ["exp/clf:emb@3"]
    assert shown["info"]["num_rows"] == 3
    assert said(*at, "show", "exp/clf:config")["info"]["metadata"] == {"seed": 3, "who": "ada", "id": "001"}
    assert said(*at, "show")["item_count"] == 5
    assert [one["item"] for one in said(*at, "show", "other")["items"]] == ["raw"]

    assert said(*at, "snapshot", "create", "v1", "-m", "first", "--tag", "t")["target_version"] == 6
    assert said(*at, "snapshot", "create", "early", "--at", "2")["target_version"] == 2
    assert [one["name"] for one in said(*at, "snapshot", "list")] == ["v1", "early"]
    run(*at, "snapshot", "drop", "early")
    assert [one["name"] for one in said(*at, "snapshot", "list")] == ["v1"]

    run(*at, "add", "exp/clf:scores", "better.csv", "--overwrite")
    diff = said(*at, "diff", "v1")
    assert [one["item"] for one in diff["changed"]] == ["scores"]
    assert (diff["added"], diff["removed"]) == ([], [])
    assert said(*at, "diff", "0", "v1", "--folio", "other")["added"][0]["item"] == "raw"
    assert [one["reason"] for one in said(*at, "history", "exp/clf:scores")] == ["overwrite", "add"]
    assert [one["message"] for one in said(*at, "log", "-n", "0")][-1] == "begin"
    assert len(said(*at, "log", "-n", "2")) == 2
    assert len(said(*at, "log", "--folio", "other")) == 1

    planned = said(*at, "restore", "v1", "--dry-run")
    assert [one["item"] for one in planned["changed"]] == ["scores"]
    assert said(*at, "history", "exp/clf:scores")[0]["reason"] == "overwrite"
    assert said(*at, "restore", "v1", "--folio", "exp/clf", "--item", "scores", "--yes")["changed"]
    assert run(*at, "get", "exp/clf:scores").stdout == '"id","name","score"\n1,"ada",0.5\n2,"bob",0.75\n3,"",\n'

    query = "select item, kind from items where folio = 'exp/clf' order by item"
    assert [one["item"] for one in said(*at, "sql", query)] == ["config", "emb", "plots", "scores"]
    assert said(*at, "--at", "1", "sql", query) == [{"item": "config", "kind": "json"}]

    nodes = {one["ref"] for one in said(*at, "lineage", "exp/clf:emb", "--upstream")["nodes"]}
    assert nodes == {"exp/clf:emb@3", "exp/clf:scores@2", "exp/clf:config@1"}
    assert said(*at, "check", "--read-data")["ok"] is True
    assert said(*at, "compact")["manifests"]["files_after"] == 1
    assert said(*at, "stats")["item_count"] == 5
    assert said(*at, "check")["ok"] is True


def test_content_comes_back(run, files: Path, lake_uri: str) -> None:
    at = ("--lake", lake_uri)
    run("init", lake_uri)
    for name, file in (("config", "config.json"), ("scores", "scores.csv"), ("emb", "emb.npy"), ("notes", "notes.txt")):
        run(*at, "add", f"f:{name}", file)
    run(*at, "add", "f:plots", "plots")
    out = files / "out"
    out.mkdir()
    assert json.loads(run(*at, "get", "f:config").stdout) == {"lr": 0.01, "layers": [1, 2]}
    assert run(*at, "get", "f:notes").stdout == "first try\n"
    for name in ("config", "scores", "emb", "notes", "plots"):
        run(*at, "get", f"f:{name}", "-o", str(out))
    names = sorted(one.name for one in out.iterdir())
    assert names == ["config.json", "emb.npy", "notes.txt", "plots", "scores.parquet"]
    assert (out / "emb.npy").read_bytes() == (files / "emb.npy").read_bytes()
    assert (out / "plots" / "deep" / "b.svg").read_text() == "<svg></svg>"
    assert pq.read_table(out / "scores.parquet").num_rows == 3
    np.testing.assert_array_equal(np.load(out / "emb.npy"), np.arange(12.0).reshape(3, 4))


def test_references_are_registered_and_checked(run, said, files: Path, lake_uri: str) -> None:
    at = ("--lake", lake_uri)
    run("init", lake_uri)
    assert said(*at, "add", "f:far", "scores.csv", "--reference")["storage"] == "reference"
    assert said(*at, "add", "f:notes", "notes.txt", "--reference")["kind"] == "artifact"
    assert len(said(*at, "get", "f:far")) == 3
    assert run(*at, "get", "f:notes").stdout == "first try\n"
    (files / "notes.txt").write_text("something else altogether\n")
    run(*at, "get", "f:notes", code=8)


def test_why_says_where_an_item_comes_from_and_what_keeps_it(run, said, stocked: str) -> None:
    shown = run("why", "experiments/clf:emb").stdout
    assert "by ada" in shown
    assert "experiments/clf:scores@" in shown
    assert "keeps no object" in shown
    found = said("why", "experiments/clf:emb")
    assert [one["ref"].partition("@")[0] for one in found["origin"]["sources"]] == [
        "experiments/clf:scores",
        "s3://elsewhere/x",
    ]
    run("rm", "experiments/clf:emb")
    assert said("why", "experiments/clf:emb")["origin"] is None
