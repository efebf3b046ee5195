"""What other tools keep is brought in with its history, once, and nothing outside of the source is read."""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import itertools
import json
import os
import pickle
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli.program import cli
from lakefolio.errors import IntegrityError
from lakefolio.interop.importing import import_from
from lakefolio.interop.importing.execute import _Work
from lakefolio.interop.importing.recorded_run import RecordedRun, record

FRAME = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    return lf.open(tmp_path / "lake")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


def everything(lake: lf.Lake) -> bytes:
    """Return all bytes of all items, to look for what should not be there."""
    return b"\n".join(
        Path(path).read_bytes()
        for entry in lake.items()
        if Path(path := lake.folio(entry.folio).item_path(entry.item)).is_file()
    )


def again(lake: lf.Lake, kind: str, source: Path, **options: Any) -> None:
    before = lake.version
    report = import_from(lake, kind, str(source), **options)
    assert (report.steps, lake.version) == ([], before)


class Exploit:
    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/lakefolio-was-run",)


# -- folders ---------------------------------------------------------------------------------------------------


def test_a_folder(lake: lf.Lake, source: Path) -> None:
    (source / "deep").mkdir()
    FRAME.to_parquet(source / "deep" / "table.parquet")
    (source / "note@1.txt").write_text("one")
    (source / "link.txt").symlink_to(source.parent / "secret.txt")
    (source / "folder").symlink_to(source.parent)
    report = import_from(lake, "folder", str(source), dry_run=True)
    assert (len(report.steps), lake.version) == (2, 0)
    assert str(report).endswith("\nitems would be in: source")
    report = import_from(lake, "folder", str(source))
    assert str(report).endswith("\nitems are in: source")
    assert {one["what"] for one in report.problems} == {"link.txt", "folder"}
    folio = lake.folio("source")
    pd.testing.assert_frame_equal(folio.get_table("deep/table"), FRAME)
    assert Path(folio.get("note%401.txt")).read_text() == "one"
    assert b"secret" not in everything(lake)
    again(lake, "folder", source)
    (source / "note@1.txt").write_text("two")
    assert len(import_from(lake, "folder", str(source)).steps) == 1
    assert len(lake.history("source:note%401.txt")) == 2


def test_a_lake_within_a_folder_is_left_out(source: Path) -> None:
    (source / "data.txt").write_text("one")
    inner = lf.open(source / "deep" / "lake")
    report = import_from(inner, "folder", str(source), folio="f")
    assert {(one["what"], one["why"]) for one in report.problems} == {("deep/lake", "a lake")}
    assert list(inner.folio("f")) == ["data.txt"]
    again(inner, "folder", source, folio="f")
    assert not import_from(inner, "folder", str(source / "deep" / "lake"), dry_run=True).steps


def test_what_of_a_folder_can_not_be_read_is_said(lake: lf.Lake, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source / "bad.txt").write_text("x")
    (source / "good.txt").write_text("x")
    (source / "locked").mkdir()
    opened, listed = Path.open, os.scandir

    def open_(path: Path, *args: Any, **options: Any) -> Any:
        if path.name == "bad.txt":
            raise OSError(errno.EIO, "Input/output error")
        return opened(path, *args, **options)

    def scandir(path: Any) -> Any:
        if os.fspath(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(Path, "open", open_)
    report = import_from(lake, "folder", str(source))
    assert [(one["what"], "Input/output error" in one["why"]) for one in report.problems] == [("bad.txt", True)]
    assert "good.txt" in lake.folio("source")
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(IntegrityError, match="locked' can't be read: Permission denied"):
        import_from(lake, "folder", str(source))


def test_a_table_that_is_none_is_said_and_tried_again(lake: lf.Lake, source: Path) -> None:
    (source / "bad.parquet").write_bytes(b"PAR1 no")
    (source / "good.txt").write_text("x")
    report = import_from(lake, "folder", str(source))
    assert [one["what"] for one in report.problems] == ["source:bad"]
    assert "good.txt" in lake.folio("source")
    assert len(import_from(lake, "folder", str(source)).steps) == 1
    import_from(lake, "folder", str(source), as_files=True)
    assert Path(lake.folio("source").get("bad.parquet")).read_bytes() == b"PAR1 no"


def test_an_import_that_breaks_off_goes_on(lake: lf.Lake, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle(source)
    seen = []

    def stop(text: str) -> None:
        seen.append(text)
        if len(seen) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_from(lake, "datafolio", str(source), progress=stop)
    report = import_from(lake, "datafolio", str(source))
    assert report.done_before == 3
    assert [one.name for one in lake.snapshots("source")] == ["v1"]
    again(lake, "datafolio", source)


POINTS = [
    ("loss", value, step, dt.datetime(2024, 5, 1, second=step, tzinfo=dt.UTC))
    for step, value in enumerate([0.5, 0.25, float("nan"), 0.25, float("inf"), 1.0])
] + [("loss", 1.0, 5, dt.datetime(2024, 5, 1, second=5, tzinfo=dt.UTC))]


@pytest.mark.parametrize("step", ["points", "outputs", "note", "end"])
def test_a_run_whose_import_breaks_off_is_whole_after_the_next(
    lake: lf.Lake, source: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    (source / "out.txt").write_text("out")
    broken = [step]

    def points() -> Iterator[tuple[str, float, int | None, dt.datetime]]:
        for number, point in enumerate(POINTS):
            if number == 4 and "points" in broken:
                lake.resume_run("r").flush()
                raise KeyboardInterrupt
            yield point

    def outputs() -> list[tuple[str, Path]]:
        if "outputs" in broken:
            raise KeyboardInterrupt
        return [("out", source / "out.txt")]

    began = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
    told = RecordedRun("r", "test", {"name": "r"}, began, began, facts={"a": 1}, points=points, outputs=outputs)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if step in ("note", "end"):
            patched.setattr(lf.Run, "annotate" if step == "note" else "finish", stop)
        with pytest.raises(KeyboardInterrupt):
            record(lake, told)
    broken.clear()
    for _ in range(2):
        record(lf.open(lake.uri), told)
        run = lf.open(lake.uri).get_run("r")
        assert (run.status, run.ended_at, run.metadata["a"]) == ("done", began, 1)
        assert [one.name for one in run.outputs] == ["out"]
        rows = lf.open(lake.uri).metric_history("r").to_pylist()
        found = sorted((one["step"], repr(one["value"])) for one in rows)
        assert found == sorted((one[2], repr(one[1])) for one in POINTS)


# -- DataFolio -------------------------------------------------------------------------------------------------


def bundle(source: Path, *, new: bool = True) -> None:
    """Write a bundle as DataFolio 2.3 or 1.3 does: raw overwritten after a snapshot, temp deleted, a model."""
    for name in ("tables", "artifacts", "models"):
        (source / name).mkdir(exist_ok=True)
    items: list[dict[str, Any]] = []

    def put(name: str, kind: str, file: str, minute: int, **more: Any) -> None:
        checksum = hashlib.md5((source / file).read_bytes()).hexdigest()
        own = {"name": name, "item_type": kind, "filename": Path(file).name, "checksum": checksum}
        identity = {"version_id": f"{name}--r{minute}"} if new else {}
        items.append(own | identity | {"created_at": f"2024-01-01T00:{minute:02}:00+00:00", "is_current": True} | more)

    FRAME.to_parquet(source / "tables/raw--r1.parquet")
    FRAME[:2].to_parquet(source / "tables/raw--r5.parquet")
    np.save(source / "artifacts/temp--r2.npy", np.arange(3))
    (source / "artifacts/config--r3.json").write_text('{"lr": 0.1}')
    (source / "models/clf--r4.joblib").write_bytes(pickle.dumps(Exploit()))
    put("raw", "included_table", "tables/raw--r1.parquet", 1, description="first", is_current=False)
    put("temp", "numpy_array", "artifacts/temp--r2.npy", 2, inputs=["raw"], is_current=False)
    put("config", "json_data", "artifacts/config--r3.json", 3, tags=["t"])
    put("clf", "model", "models/clf--r4.joblib", 4, inputs=["raw", "gone"], hyperparameters={"n": 1})
    put("raw", "included_table", "tables/raw--r5.parquet", 7, description="second")
    identity = "version_id" if new else "checksum"
    held = {one["name"]: one[identity] for one in items[:4]}
    snapshots = {
        "v1": {"timestamp": "2024-01-01T00:06:00+00:00", "item_versions": held, "description": "paper", "tags": ["p"]}
    }
    metadata = {"project": "churn", "_datafolio": {"version": "x"}}
    if new:
        index = {"schema_version": 2, "metadata": metadata, "items": items, "snapshots": snapshots}
        (source / "items.json").write_text(json.dumps(index))
    else:
        (source / "items.json").write_text(json.dumps({"items": items}))
        (source / "metadata.json").write_text(json.dumps(metadata))
        (source / "snapshots.json").write_text(json.dumps({"snapshots": snapshots}))


@pytest.mark.parametrize("new", [True, False], ids=["2.x", "1.x"])
def test_a_bundle_comes_with_versions_and_snapshots(lake: lf.Lake, source: Path, new: bool) -> None:
    bundle(source, new=new)
    report = import_from(lake, "datafolio", str(source), folio="exp/clf")
    assert report.problems == []
    folio = lake.folio("exp/clf")
    assert sorted(folio) == ["clf", "config", "raw"]
    assert len(folio.get("raw")) == 2
    assert folio.metadata["project"] == "churn"
    then = folio.get_snapshot("v1")
    pd.testing.assert_frame_equal(then.get("raw"), FRAME)
    assert then.get("temp").tolist() == [0, 1, 2]
    assert folio.item_info("config")["tags"] == ["t"]
    assert folio.get_inputs("clf") == ["raw"]
    assert Path(folio.get("clf")).read_bytes() == (source / "models/clf--r4.joblib").read_bytes()
    assert not Path("/tmp/lakefolio-was-run").exists()
    assert len(lake.history("exp/clf:raw")) == 2
    assert lake.check().ok
    again(lake, "datafolio", source, folio="exp/clf")


def test_what_a_bundle_lost_or_forged_is_said(lake: lf.Lake, source: Path) -> None:
    bundle(source, new=False)
    index = json.loads((source / "items.json").read_text())
    index["items"][2]["filename"] = "../../secret.txt"
    index["items"].append({"name": "ref", "item_type": "referenced_table", "path": str(source.parent / "secret.txt")})
    index["items"].append({"item_type": "artifact"})
    (source / "items.json").write_text(json.dumps(index))
    (source / "tables/raw--r1.parquet").write_bytes(b"damaged")
    report = import_from(lake, "datafolio", str(source))
    said = {one["what"]: one["why"] for one in report.problems}
    assert "outside" in said["config"]
    assert "checksum differs" in said["raw"]
    assert "--references" in said["ref"]
    assert "raw of snapshot v1" in said
    assert sorted(lake.folio("source")) == ["clf", "raw"]
    assert b"secret" not in everything(lake)


@pytest.mark.parametrize("text", ["no json", "[1]", '{"items": 3}', "[" * 100_000])
def test_a_bundle_that_is_none(lake: lf.Lake, source: Path, text: str) -> None:
    (source / "items.json").write_text(text)
    with pytest.raises((lf.InvalidInputError, lf.IntegrityError)):
        import_from(lake, "datafolio", str(source))


# -- MLtrack ---------------------------------------------------------------------------------------------------


def test_a_store_of_mltrack(lake: lf.Lake, source: Path) -> None:
    config = {"lr": 0.1}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()
    place = source / "mltrack" / "data" / digest[:2] / digest
    place.mkdir(parents=True)
    (place / "data.json").write_text(json.dumps(config, indent=2))
    ref = {
        "hash": digest,
        "format": "json",
        "size_bytes": (place / "data.json").stat().st_size,
        "storage_path": "s3://x",
    }
    model = source / "mltrack" / "models" / "registry" / "churn" / "v1"
    model.mkdir(parents=True)
    (model / "model.pkl").write_bytes(pickle.dumps(Exploit()))
    (source / "mltrack" / "manifests").mkdir()
    for number, run_type in enumerate(("production", "nightly")):
        manifest = {
            "run_id": f"run_{number}",
            "run_type": run_type,
            "created_at": f"2024-05-0{number + 1}T10:00:00",
            "project": "churn",
            "inputs": {"config": ref},
            "outputs": {"scores": ref, "lost": {**ref, "hash": "0" * 64}},
            "metrics": {"auc": 0.9},
            "tags": {"team": "a"},
            "storage_locations": ["mltrack/runs/by_type/production/run_0"],
        }
        (source / "mltrack" / "manifests" / f"run_{number}.json").write_text(json.dumps(manifest))
    (source / ".mltrack.yml").write_text(
        's3_bucket: "b"\ndefault_run_type: "production"  # ours\n'
        "default_storage_mode: by_type\ndata_deduplication: true\n"
    )
    report = import_from(lake, "mltrack", str(source))
    said = {one["what"]: one["why"] for one in report.problems}
    assert said["default_run_type of .mltrack.yml"] == 'write default_run_type = "production" into lakefolio.toml'
    assert 'default_organisation = "by_type"' in said["default_storage_mode of .mltrack.yml"]
    assert "deduplication = true" in said["data_deduplication of .mltrack.yml"]
    assert "lost (000000000000)" in said
    run = lake.get_run("run_0")
    assert (run.type, run.project, run.status, run.metrics) == ("production", "churn", "done", {"auc": 0.9})
    assert run.started_at.isoformat() == run.ended_at.isoformat() == "2024-05-01T10:00:00+00:00"
    assert [one.name for one in run.inputs] == ["config"]
    assert [one.name for one in run.outputs] == ["scores"]
    assert (run.host, run.git_commit, run.packages) == (None, None, {})
    assert run.metadata["tags.team"] == "a"
    assert lake.get_run("run_1").type == "nightly"
    assert lake.get(f"mltrack/data:{digest}") == config
    assert Path(lake.folio("mltrack/models").get("registry/churn/v1/model.pkl")).exists()
    assert not Path("/tmp/lakefolio-was-run").exists()
    again(lake, "mltrack", source)


# -- DVC -------------------------------------------------------------------------------------------------------


def cached(source: Path, content: bytes, suffix: str = "") -> str:
    md5 = hashlib.md5(content).hexdigest() + suffix
    place = source / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return md5


def git(source: Path, *words: str) -> None:
    own = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *own, *words], cwd=source, check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="reads the history that git keeps")
def test_a_dvc_repository_with_its_history(lake: lf.Lake, source: Path) -> None:
    git(source, "init", "-q")
    first, second = cached(source, b"one"), cached(source, b"two")
    listing = [{"md5": cached(source, b"deep"), "relpath": "a/b.txt"}]
    folder = cached(source, json.dumps(listing).encode(), ".dir")
    (source / "raw.csv.dvc").write_text(f"outs:\n- md5: {first}\n  size: 3\n  path: raw.csv\n")
    git(source, "add", "raw.csv.dvc")
    git(source, "commit", "-qm", "add raw")
    (source / "raw.csv.dvc").write_text(
        f"outs:\n- md5: {second}\n  path: raw.csv\n- md5: {'0' * 32}\n  path: lost.csv\n"
    )
    outs = f"    outs:\n    - path: data\n      md5: {folder}\n"
    stage = f"    cmd: python prepare.py\n    deps:\n    - path: raw.csv\n{outs}"
    (source / "dvc.lock").write_text(f"schema: '2.0'\nstages:\n  prepare:\n{stage}")
    git(source, "add", ".")
    git(source, "commit", "-qm", "prepare")
    (source / "raw.csv.dvc").unlink()
    git(source, "commit", "-qam", "drop raw")
    report = import_from(lake, "dvc", str(source))
    assert ["add raw" in one or "prepare" in one or "drop raw" in one for one in report.steps] == [True] * 3
    assert [one["what"].split(" ")[0] for one in report.problems] == ["lost.csv"]
    folio = lake.folio("source")
    assert list(folio) == ["data"]
    assert (Path(folio.get("data")) / "a" / "b.txt").read_text() == "deep"
    assert folio.get_inputs("data") == ["raw.csv"]
    assert folio.item_info("data")["metadata"]["dvc"]["stage"] == "prepare"
    versions = [one.version for one in lake.history("source:raw.csv")]
    texts = [Path(lake.get(f"source:raw.csv@{one}")).read_bytes() for one in sorted(versions)[:2]]
    assert texts == [b"one", b"two"]


def committed(source: Path, message: str, *branch: str, **content: bytes | None) -> None:
    """Commit what DVC tracks, as files of its cache; None stops tracking."""
    for name, data in content.items():
        place = source / f"{name}.dvc"
        if data is None:
            place.unlink()
        else:
            place.write_text(f"outs:\n- md5: {cached(source, data)}\n  path: {name}\n")
    git(source, "add", ".")
    git(source, "commit", "-qm", message)


def texts(lake: lf.Lake, ref: str) -> list[bytes]:
    """Return the contents that an item had, oldest first."""
    found = [one.version for one in lake.history(ref) if one.op == "put"]
    return [Path(lake.get(f"{ref}@{one}")).read_bytes() for one in sorted(found)]


@pytest.mark.skipif(shutil.which("git") is None, reason="reads the history that git keeps")
def test_branches_that_were_merged_and_tags_of_a_dvc_repository(lake: lf.Lake, source: Path) -> None:
    git(source, "init", "-q", "-b", "main")
    (source / ".gitignore").write_text("/.dvc/cache\n")
    git(source, "add", ".")
    git(source, "commit", "-qm", "nothing yet")
    git(source, "tag", "empty")
    committed(source, "first", raw=b"1", kept=b"k")
    git(source, "tag", "v1")
    git(source, "checkout", "-qb", "side")
    committed(source, "side", raw=b"2", extra=b"e")
    git(source, "tag", "release/side")
    git(source, "checkout", "-q", "main")
    committed(source, "main", raw=b"3")
    git(source, "tag", "-a", "v2", "-m", "second")
    git(source, "merge", "-q", "-s", "ours", "-m", "ours", "side")
    git(source, "checkout", "-qb", "open")
    committed(source, "never merged", raw=b"5")
    git(source, "tag", "loose")
    git(source, "checkout", "-q", "main")
    (source / "notes").write_text("x")
    git(source, "add", "notes")
    git(source, "commit", "-qm", "nothing of DVC")
    git(source, "tag", "v2.1")
    report = import_from(lake, "dvc", str(source))
    assert {one["what"] for one in report.problems} == {"tag empty", "tag loose"}
    tags = {"v1": b"1", "release/side": b"2", "v2": b"3", "v2.1": b"3"}
    assert {name: Path(lake.get("source:raw", at=name)).read_bytes() for name in tags} == tags
    assert Path(lake.get("source:extra", at="release/side")).read_bytes() == b"e"
    assert sorted(lake.folio("source")) == ["kept", "raw"]
    again(lake, "dvc", source)
    git(source, "tag", "late", "v1")
    (problem,) = [one for one in import_from(lake, "dvc", str(source)).problems if "late" in one["what"]]
    assert "snapshot create late" in problem["why"]
    assert "late" not in {one.name for one in lake.snapshots("source")}


def without_cache(source: Path, *contents: bytes) -> None:
    """Remove content from DVC's cache."""
    for content in contents:
        md5 = hashlib.md5(content).hexdigest()
        (source / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]).unlink()


@pytest.mark.skipif(shutil.which("git") is None, reason="reads the history that git keeps")
@pytest.mark.parametrize("broken", [False, True], ids=["whole", "broken off"])
def test_a_tag_whose_content_came_later_is_completed(
    lake: lf.Lake, source: Path, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    git(source, "init", "-q", "-b", "main")
    (source / ".gitignore").write_text("/.dvc/cache\n")
    committed(source, "first", raw=b"1", lost=b"L1", gone=b"g", far=b"F")
    git(source, "tag", "v1")
    committed(source, "second", raw=b"2", gone=None, new=b"n")
    git(source, "tag", "v2")
    committed(source, "third", raw=b"3", lost=b"L3")
    without_cache(source, b"L1", b"F")
    report = import_from(lake, "dvc", str(source))
    assert {one["what"].split(" ")[0] for one in report.problems} == {"lost", "far"}
    assert "lost" not in lake.folio("source").get_snapshot("v1")
    own = lake.folio("source").add("mine", [1])
    cached(source, b"L1")
    if broken:
        with monkeypatch.context() as patched:
            patched.setattr(_Work, "go_back", breaks_at(3, _Work.go_back))
            with pytest.raises(KeyboardInterrupt):
                import_from(lake, "dvc", str(source))
    assert {one["what"].split(" ")[0] for one in import_from(lake, "dvc", str(source)).problems} == {"far"}
    expected: dict[str | None, dict[str, bytes]] = {
        "v1": {"raw": b"1", "lost": b"L1", "gone": b"g"},
        "v2": {"raw": b"2", "lost": b"L1", "new": b"n"},
        None: {"raw": b"3", "lost": b"L3", "new": b"n"},
    }
    for at, items in expected.items():
        then = lake.folio("source") if at is None else lake.folio("source").get_snapshot(at)
        assert {name: Path(then.get(name)).read_bytes() for name in then if name != "mine"} == items, at
    assert own.get("mine") == [1]
    cached(source, b"F")
    assert not import_from(lake, "dvc", str(source)).problems
    for at in ("v1", "v2", None):
        assert Path(lake.get("source:far", at=at)).read_bytes() == b"F"
    assert "gone" not in lake.folio("source")
    again(lake, "dvc", source)
    assert lake.check(read_data=True).ok


def breaks_at(call: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that is interrupted at its n-th call, before it does anything."""
    calls = itertools.count(1)

    def broken(*args: Any) -> Any:
        if next(calls) == call:
            raise KeyboardInterrupt
        return function(*args)

    return broken


@pytest.mark.skipif(shutil.which("git") is None, reason="reads the history that git keeps")
def test_a_branch_that_was_merged_since_does_not_hide_what_is_newer(lake: lf.Lake, source: Path) -> None:
    git(source, "init", "-q", "-b", "main")
    (source / ".gitignore").write_text("/.dvc/cache\n")
    committed(source, "first", raw=b"1")
    git(source, "checkout", "-qb", "side")
    committed(source, "side", raw=b"2", extra=b"e")
    git(source, "checkout", "-q", "main")
    committed(source, "main", raw=b"3")
    import_from(lake, "dvc", str(source))
    git(source, "merge", "-q", "-s", "ours", "-m", "ours", "side")
    import_from(lake, "dvc", str(source))
    assert texts(lake, "source:raw")[-1] == b"3"
    assert b"2" in texts(lake, "source:raw")
    assert "extra" not in lake.folio("source")
    again(lake, "dvc", source)


@pytest.mark.skipif(shutil.which("git") is None, reason="reads the history that git keeps")
@pytest.mark.parametrize("broken_off", [False, True])
def test_content_that_was_fetched_later_is_imported_and_the_newest_stays_the_newest(
    lake: lf.Lake, source: Path, broken_off: bool
) -> None:
    git(source, "init", "-q")
    (source / ".gitignore").write_text("/.dvc/cache\n")
    committed(source, "first", raw=b"1", other=b"a")
    committed(source, "second", raw=b"2")
    committed(source, "third", raw=b"3", other=b"b")
    md5 = hashlib.md5(b"1").hexdigest()
    place = source / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
    place.rename(source / "elsewhere")
    dry = import_from(lake, "dvc", str(source), dry_run=True)
    report = import_from(lake, "dvc", str(source))
    assert dry.problems == report.problems
    assert ["fetch" in one["why"] for one in report.problems] == [True]
    assert texts(lake, "source:raw") == [b"2", b"3"]
    before = lake.version
    assert len(import_from(lake, "dvc", str(source)).problems) == 1
    assert texts(lake, "source:raw") == [b"2", b"3"]  # what lacks is told again, and nothing is done twice
    assert lake.version == before
    (source / "elsewhere").rename(place)
    if broken_off:
        told: list[str] = []

        def stop(text: str) -> None:
            told.append(text)
            if len(told) == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            import_from(lake, "dvc", str(source), progress=stop)
    assert import_from(lake, "dvc", str(source)).problems == []
    assert texts(lake, "source:raw")[:3] == [b"2", b"3", b"1"]
    assert texts(lake, "source:raw")[-2:] == [b"2", b"3"]
    assert texts(lake, "source:other") == [b"a", b"b"]
    again(lake, "dvc", source)


@pytest.mark.skipif(shutil.which("git") is None, reason="reads the history that git keeps")
def test_an_import_that_breaks_off_again_and_again_does_each_step_once(lake: lf.Lake, source: Path) -> None:
    git(source, "init", "-q")
    (source / ".gitignore").write_text("/.dvc/cache\n")
    for number in range(4):
        committed(source, f"number {number}", raw=b"%d" % number)
    told: list[str] = []

    def stop(text: str) -> None:
        told.append(text)
        if len(told) % 2 == 0:
            raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            import_from(lake, "dvc", str(source), progress=stop)
    import_from(lake, "dvc", str(source))
    assert texts(lake, "source:raw") == [b"0", b"1", b"2", b"3"]
    again(lake, "dvc", source)


@pytest.mark.skipif(shutil.which("git") is None, reason="reads the history that git keeps")
def test_outputs_that_git_keeps_come_from_git(lake: lf.Lake, source: Path) -> None:
    git(source, "init", "-q")
    (source / ".dvc").mkdir()
    (source / ".dvc" / "config").touch()
    for number in (1, 2):
        text = f'{{"auc": 0.{number}}}\n'.encode()
        (source / "metrics.json").write_bytes(text)
        outs = f"    outs:\n    - path: metrics.json\n      md5: {hashlib.md5(text).hexdigest()}\n"
        (source / "dvc.lock").write_text(f"schema: '2.0'\nstages:\n  train:\n    cmd: python train.py\n{outs}")
        git(source, "add", ".")
        git(source, "commit", "-qm", f"train {number}")
    assert import_from(lake, "dvc", str(source)).problems == []
    assert texts(lake, "source:metrics.json") == [b'{"auc": 0.1}\n', b'{"auc": 0.2}\n']
    again(lake, "dvc", source)


def test_a_file_of_dvc_that_can_not_be_read_hurts_no_other(lake: lf.Lake, source: Path) -> None:
    (source / "good.dvc").write_text(f"outs:\n- md5: {cached(source, b'good')}\n  path: good\n")
    (source / "bytes.dvc").write_bytes(b"\xff\0")
    (source / "link.dvc").symlink_to(source / "good.dvc")
    report = import_from(lake, "dvc", str(source))
    assert {one["what"] for one in report.problems} == {"bytes.dvc", "link.dvc"}
    assert list(lake.folio("source")) == ["good"]


@pytest.mark.skipif(shutil.which("git") is None, reason="reads the history that git keeps")
@pytest.mark.parametrize("how", ["link", "file", "common", "around"])
def test_a_history_that_lies_outside_is_not_read(lake: lf.Lake, source: Path, tmp_path: Path, how: str) -> None:
    other = tmp_path if how == "around" else tmp_path / "other"
    other.mkdir(exist_ok=True)
    git(other, "init", "-q")
    (other / "secret.dvc").write_text(f"outs:\n- md5: {cached(source, b'x')}\n  path: secret\n")
    git(other, "add", "secret.dvc")
    git(other, "commit", "-qm", "secret")
    if how == "link":
        (source / ".git").symlink_to(other / ".git")
    elif how == "file":
        (source / ".git").write_text(f"gitdir: {other / '.git'}\n")
    elif how == "common":
        git(source, "init", "-q")
        (source / ".git" / "commondir").write_text(f"{other / '.git'}\n")
    else:
        (source / ".git").mkdir()  # none, and git would look for one above
    with pytest.raises(lf.InvalidInputError, match="lies outside of it") as caught:
        import_from(lake, "dvc", str(source))
    assert caught.value.kind == "bad-source"
    assert lake.version == 0


def test_a_dvc_repository_that_lies(lake: lf.Lake, source: Path) -> None:
    bad = cached(source, b"content")
    (source / ".dvc" / "cache" / "files" / "md5" / bad[:2] / bad[2:]).write_bytes(b"changed")
    listing = json.dumps([{"md5": cached(source, b"x"), "relpath": "../../out.txt"}]).encode()
    climbing = cached(source, listing, ".dir")
    link = "ab" + "0" * 30
    place = source / ".dvc" / "cache" / "files" / "md5" / "ab" / ("0" * 30)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(source.parent / "secret.txt")
    outs = [(bad, "bad"), (climbing, "climbing"), (link, "link"), (cached(source, b"y"), "../up"), ("zz", "odd")]
    outs.append(("0" * 32, "gone"))
    (source / "all.dvc").write_text("outs:\n" + "".join(f"- md5: {md5}\n  path: {path}\n" for md5, path in outs))
    (source / "exploit.dvc").write_text("outs: !!python/object/apply:os.system ['touch /tmp/lakefolio-was-run']")
    report = import_from(lake, "dvc", str(source))
    assert len(report.problems) == 7
    fetched = [one["what"] for one in report.problems if "dvc fetch --all-commits" in one["why"]]
    assert "gone of the work tree" in fetched
    assert [entry.folio for entry in lake.items() if entry.folio != "imports"] == []
    assert not (source.parent / "out.txt").exists()
    assert not Path("/tmp/lakefolio-was-run").exists()


@pytest.mark.skipif(shutil.which("git") is None, reason="reads the history that git keeps")
def test_a_dvc_repository_whose_settings_name_a_command(lake: lf.Lake, source: Path, tmp_path: Path) -> None:
    """Git would fetch the object that a partial clone lacks by the command that its settings name."""
    ran = tmp_path / "ran"
    command = tmp_path / "command"
    command.write_text(f"#!/bin/sh\ntouch {ran}\nexit 1\n")
    command.chmod(0o755)
    git(source, "init", "-q")
    (source / ".dvc").mkdir()
    (source / "raw.dvc").write_text(f"outs:\n- md5: {'0' * 32}\n  path: raw\n")
    git(source, "add", ".")
    git(source, "commit", "-qm", "add raw")
    name = subprocess.check_output(["git", "rev-parse", "HEAD:raw.dvc"], cwd=source, text=True).strip()
    (source / ".git" / "objects" / name[:2] / name[2:]).unlink()
    for key, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": str(source),
        "remote.origin.uploadpack": str(command),
        "log.showSignature": "true",
        "gpg.program": str(command),
    }.items():
        git(source, "config", key, value)
    with pytest.raises(lf.InvalidInputError, match="git cat-file fails"):
        import_from(lake, "dvc", str(source))
    assert not ran.exists()
    subprocess.run(["git", "cat-file", "blob", name], cwd=source, check=False, capture_output=True)
    assert ran.exists(), "git itself would not have run it either"


BOMB = "a0: &a0 [lol]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))


@pytest.mark.parametrize(
    "text",
    [
        BOMB + "outs:\n- path: x\n  md5: *a9\n",
        BOMB + "outs:\n- path: *a9\n  md5: x\n",
        "m0: &m0 {k: v}\n"
        + "".join(f"m{n}: &m{n}\n  <<: [{', '.join([f'*m{n - 1}'] * 10)}]\n" for n in range(1, 10))
        + "outs: [{}]\n",
        "[" * 5000,
        "outs:\n- path: 2020-99-99\n  md5: x\n",
    ],
    ids=["digest", "path", "merged", "deep", "no-date"],
)
def test_yaml_that_would_grow_or_is_odd_is_left_out(lake: lf.Lake, source: Path, text: str) -> None:
    (source / ".dvc").mkdir()
    (source / "bad.dvc").write_text(text)
    (source / "good.dvc").write_text(f"outs:\n- md5: {cached(source, b'good')}\n  path: good\ncmd: [a, b]\n")
    report = import_from(lake, "dvc", str(source))
    assert len(report.problems) == 1
    assert list(lake.folio("source")) == ["good"]
    assert lake.folio("source").item_info("good")["code"] == "a\nb"


ENTRY = {"relpath": "a", "md5": hashlib.md5(b"good").hexdigest()}


@pytest.mark.parametrize(
    "listing",
    [5, [1], [{**ENTRY, "relpath": "a\0"}], [{**ENTRY, "relpath": "a" * 300}], [ENTRY, {**ENTRY, "relpath": "a/b"}]],
    ids=["no-list", "no-entry", "nul", "long", "file-and-folder"],
)
def test_a_tracked_folder_that_is_none_hurts_no_other(lake: lf.Lake, source: Path, listing: object) -> None:
    md5s = [cached(source, b"good"), cached(source, json.dumps(listing).encode(), ".dir")]
    (source / "all.dvc").write_text("outs:\n" + "".join(f"- md5: {md5}\n  path: p{md5[:4]}\n" for md5 in md5s))
    report = import_from(lake, "dvc", str(source))
    assert [one["what"] for one in report.problems] == [f"source:p{md5s[1][:4]}"]
    assert list(lake.folio("source")) == [f"p{md5s[0][:4]}"]


def test_names_that_no_item_can_have_hurt_no_other(lake: lf.Lake, source: Path) -> None:
    for name in (b"a\xff.txt", b"b\x1b[31m.txt", b"good.txt", b"line\n.txt"):
        Path(os.fsdecode(os.fsencode(source) + b"/" + name)).write_bytes(name)
    report = import_from(lake, "folder", str(source))
    assert report.problems == []
    assert str(report).encode()
    assert sorted(lake.folio("source")) == ["a%ED%B3%BF.txt", "b%1B[31m.txt", "good.txt", "line%0A.txt"]
    again(lake, "folder", source)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("json_data", b"no json"),
        ("json_data", b"[" * 100_000),
        ("json_data", b"9" * 6000),
        ("numpy_array", b"\x93NUMPY\x01\x00v\x00{"),
        (
            "numpy_array",
            b"\x93NUMPY\x01\x00v\x00"
            + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }".ljust(118),
        ),
        ("timestamp", b""),
    ],
    ids=["json", "deep", "digits", "cut", "bomb", "time"],
)
def test_content_that_cannot_be_read_hurts_no_other(lake: lf.Lake, source: Path, kind: str, content: bytes) -> None:
    (source / "artifacts").mkdir()
    (source / "artifacts" / "bad").write_bytes(content)
    (source / "artifacts" / "good").write_bytes(b"1")
    items = [
        {"name": "bad", "item_type": kind, "filename": "bad", "iso_string": "yesterday"},
        {"name": "good", "item_type": "json_data", "filename": "good"},
    ]
    told = {"schema_version": 2, "items": items, "metadata": 5, "snapshots": 5}
    (source / "items.json").write_text(json.dumps(told))
    report = import_from(lake, "datafolio", str(source))
    assert [one["what"].removeprefix("source:") for one in report.problems] == ["bad"]
    assert list(lake.folio("source")) == ["good"]


def test_a_run_that_cannot_be_recorded_hurts_no_other(lake: lf.Lake, source: Path) -> None:
    (source / "manifests").mkdir()
    digest = "a" * 64
    (source / "data" / "aa" / digest).mkdir(parents=True)
    (source / "data" / "aa" / digest / "data.parquet").write_bytes(b"no parquet")
    lacking = {"x": {"hash": digest, "format": "parquet"}}
    manifests = [
        {"inputs": lacking},
        {"storage_locations": 5},
        {"project": {}},
        {"created_at": "0001-01-01T00:00+14:00"},
    ]
    manifests += [{"inputs": {"x": {"hash": digest, "format": "x" * 300}}}, {"metrics": {"a": 10**400}}]
    for number, one in enumerate(manifests):
        (source / "manifests" / f"{number}.json").write_text(json.dumps({"run_id": f"r{number}", **one}))
    report = import_from(lake, "mltrack", str(source))
    assert sorted(one.run_id for one in lake.runs()) == ["r1", "r4"]
    assert len(report.problems) == 6
    assert import_from(lake, "mltrack", str(source))["done_before"] == 2


@pytest.mark.parametrize("text", ["[[[", "a: 1", "5"])
def test_a_store_of_mlflow_that_mlflow_cannot_read_is_said_in_one_line(lake: lf.Lake, source: Path, text: str) -> None:
    pytest.importorskip("mlflow", reason="MLflow reads its own stores")
    (source / "0").mkdir()
    (source / "0" / "meta.yaml").write_text(text)
    with pytest.raises(lf.InvalidInputError, match="MLflow can't read") as caught:
        import_from(lake, "mlflow", str(source))
    assert "\n" not in caught.value.message


@pytest.mark.filterwarnings("error")
def test_a_password_in_the_address_of_a_server_is_not_stored(lake: lf.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="MLflow reads its own stores")
    from mlflow.entities import Experiment
    from mlflow.store.entities import PagedList

    found = {"experiments": [Experiment("7", "e", "s3://b/7", "active")]}
    for name in ("experiments", "runs", "logged_models", "registered_models"):
        page = PagedList(found.get(name, []), None)
        monkeypatch.setattr(mlflow.MlflowClient, f"search_{name}", lambda *_, page=page, **__: page)
    done = [import_from(lake, "mlflow", f"https://me:hunter{n}pw@mlflow.example.org")["done_before"] for n in (1, 2)]
    assert done == [0, 1]  # the store is the same whatever its password is
    stored = str(lake.sql("select * from entries").fetchall() + lake.sql("select * from commits").fetchall())
    assert "mlflow.example.org" in stored
    assert "hunter" not in stored


def test_a_server_of_mlflow_that_does_not_answer_is_asked_for_seconds(
    lake: lf.Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="MLflow reads its own stores")
    names = ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT")
    asked = []

    def ask(client: object, **options: object) -> None:
        asked.append([os.environ.get(name) for name in names])
        raise mlflow.MlflowException("no answer")

    for name in names:
        monkeypatch.delenv(name, raising=False)
    with monkeypatch.context() as patched:
        patched.setattr(mlflow.MlflowClient, "search_experiments", ask)
        with pytest.raises(lf.InvalidInputError, match="no answer"):
            import_from(lake, "mlflow", "http://127.0.0.1:9")
    assert asked == [["1", "15"]]
    assert not [name for name in names if name in os.environ]

    monkeypatch.setenv(names[0], "0")  # what the user has set holds
    with pytest.raises(lf.InvalidInputError, match="refused") as caught:
        import_from(lake, "mlflow", "http://127.0.0.1:9")
    assert "that the server runs" in str(caught.value.hint)


@pytest.mark.parametrize("kind", ["datafolio", "mltrack", "dvc"])
def test_a_pipe_in_a_source_is_said_and_never_waited_for(lake: lf.Lake, source: Path, kind: str) -> None:
    if kind == "datafolio":
        pipe = source / "artifacts" / "x"
        items = [{"name": "x", "item_type": "json_data", "filename": "x"}]
        (source / "items.json").write_text(json.dumps({"schema_version": 2, "items": items}))
    elif kind == "mltrack":
        digest = "a" * 64
        pipe = source / "data" / "aa" / digest / "data.json"
        (source / "manifests").mkdir()
        told = {"run_id": "r", "inputs": {"x": {"hash": digest, "format": "json"}}}
        (source / "manifests" / "r.json").write_text(json.dumps(told))
    else:
        md5 = cached(source, b"x")
        pipe = source / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
        pipe.unlink()
        (source / "x.dvc").write_text(f"outs:\n- md5: {md5}\n  path: x\n")
    pipe.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(pipe)
    report = import_from(lake, kind, str(source))
    (problem,) = report.problems
    assert ("lacks" if kind == "dvc" else "pipe") in problem["why"]


def test_a_tracked_folder_with_many_aliases_is_left_out(lake: lf.Lake, source: Path) -> None:
    """A thousand stages with a thousand outputs each, in some kilobytes."""
    outs = "".join(f"  - {{path: p{number}, md5: {'0' * 32}}}\n" for number in range(1_000))
    stages = "".join(f"  s{number}: {{outs: *o, deps: *o}}\n" for number in range(1_000))
    (source / ".dvc").mkdir()
    (source / "dvc.lock").write_text(f"o: &o\n{outs}stages:\n{stages}")
    report = import_from(lake, "dvc", str(source))
    assert [(one["what"], "alias" in one["why"]) for one in report.problems] == [("dvc.lock of work tree", True)]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [("meta.yaml", BOMB + "name: *a9\n", "alias"), ("tags/mlflow.note", None, "no regular file")],
)
def test_a_store_of_mlflow_that_would_grow_or_hang_is_refused(
    lake: lf.Lake, source: Path, name: str, text: str | None, why: str
) -> None:
    pytest.importorskip("mlflow", reason="MLflow reads its own stores")
    (source / "0" / "tags").mkdir(parents=True)
    (source / "0" / "meta.yaml").write_text("experiment_id: '0'\nname: Default\nlifecycle_stage: active\n")
    path = source / "0" / name
    if text is None:
        os.mkfifo(path)
    else:
        path.write_text(text)
    with pytest.raises(lf.InvalidInputError, match=why):
        import_from(lake, "mlflow", str(source))


@pytest.mark.parametrize(
    "sql",
    [
        "create view v as with recursive r(n) as (select 1 union all select n + 1 from r) select * from r",
        "create view experiments as select 1",
        "create virtual table f using rtree(id, x, y)",
        "create trigger g after insert on t begin select 1; end; create virtual table f using rtree(id, x, y)",
        "create trigger g after insert on t begin select 1; end; pragma writable_schema = on;"
        "update sqlite_master set name = 'h' where type = 'trigger'",
    ],
)
def test_a_database_of_mlflow_that_computes_is_refused_and_left_as_it_is(lake: lf.Lake, source: Path, sql: str) -> None:
    pytest.importorskip("mlflow", reason="MLflow reads its own stores")
    connection = sqlite3.connect(source / "mlflow.db")
    connection.execute("pragma journal_mode = wal")
    connection.executescript(f"create table t (a); {sql}")
    before = {path.name: path.read_bytes() for path in source.iterdir() if path.name != "mlflow.db-shm"}
    with pytest.raises(lf.InvalidInputError, match=r"view or virtual table|no SQLite file"):
        import_from(lake, "mlflow", str(source / "mlflow.db"))
    assert {path.name: path.read_bytes() for path in source.iterdir() if path.name != "mlflow.db-shm"} == before
    connection.close()


# -- mistakes and the command ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["folder", "datafolio", "mltrack", "dvc"])
def test_sources_that_are_none(lake: lf.Lake, source: Path, kind: str) -> None:
    with pytest.raises(lf.LakefolioError) as caught:
        import_from(lake, kind, str(source / "nothing"))
    assert caught.value.kind == "no-source"
    if kind != "folder":
        with pytest.raises(lf.InvalidInputError):
            import_from(lake, kind, str(source))
    with pytest.raises(lf.InvalidInputError, match="no importer"):
        import_from(lake, "datafoli", str(source))


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 5_000, "~nobody-has-this-name/x"])
@pytest.mark.parametrize("kind", ["folder", "datafolio", "mltrack", "dvc", "mlflow"])
def test_names_that_no_source_can_have(lake: lf.Lake, kind: str, name: str) -> None:
    """An empty one, as of a variable that is not set, is not the working directory."""
    with pytest.raises(lf.LakefolioError) as caught:
        import_from(lake, kind, name)
    assert caught.value.kind in ("bad-source", "no-source")
    assert len(str(caught.value)) < 1000


def test_the_command(lake: lf.Lake, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle(source)
    place = lake.uri.removeprefix("file://")
    with pytest.raises(SystemExit):
        cli(["import", "datafolio", str(source), "--dry-run", "--lake", place])
    assert "8 steps would be done" in capsys.readouterr().out
    assert lake.version == 0
    with pytest.raises(SystemExit) as caught:
        cli(["import", "dvc", str(source), "--as-files", "--lake", place])
    assert caught.value.code == 2
    with pytest.raises(SystemExit) as caught:
        cli(["import", "datafolio", str(source), "--lake", place, "--json"])
    assert caught.value.code == 0
    assert len(json.loads(capsys.readouterr().out)["steps"]) == 8


def test_after_an_import_of_runs_the_command_says_where_they_are(lake: lf.Lake, source: Path) -> None:
    place = lake.uri.removeprefix("file://")
    (source / "manifests").mkdir()
    (source / "manifests" / "a.json").write_text('{"run_id": "a", "created_at": "2026-01-01T00:00:00"}')
    done = CliRunner().invoke(cli, ["--lake", place, "import", "mltrack", str(source)])
    assert f"look around: lakefolio --lake {place} runs" in done.stderr, done.output


def test_a_dry_run_needs_no_lake_and_makes_none(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.csv").write_text("x\n1\n")
    place = str(tmp_path / "absent")
    done = CliRunner().invoke(cli, ["--lake", place, "import", "folder", str(tmp_path / "src"), "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "a" in done.stdout
    assert "there is no lake yet" in done.stderr
    assert not Path(place).exists()
    assert CliRunner().invoke(cli, ["--lake", place, "import", "folder", str(tmp_path / "src")]).exit_code == 3
