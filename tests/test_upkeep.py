"""why, repair, doctor, and check by sample."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from inside import session_of

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.delta.audit import audit
from lakefolio.delta.parquet_rows import to_parquet
from lakefolio.delta.table import DeltaTable
from lakefolio.errors import IntegrityError
from lakefolio.format.layout import blob_key, log_key
from lakefolio.maintenance.doctor import doctor, judge_rules
from lakefolio.maintenance.repair import repair
from lakefolio.storage import open_store
from lakefolio.storage.local import LocalStore
from lakefolio.testing import S3Server


def content(number: int, size: int = 6000) -> bytes:
    return bytes([number]) * size


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    """Three items: one that is shared, one with a history and a snapshot, one inline."""
    lake = lf.open(tmp_path / "lake")
    for number in range(3):
        lake.folio("a").add_artifact("x", content(number), overwrite=True, metadata={"n": number})
    lake.folio("b").add_artifact("y", content(2), inputs=["a:x"])
    lake.folio("b").add_json("small", 1)
    lake.snapshot("s", at=1)
    return lake


# -- why ---------------------------------------------------------------------------------------------------


def test_why_names_heads_snapshots_and_history(lake: lf.Lake) -> None:
    found = lake.why("a:x")
    assert [(one["heads"], one["snapshots"], one["history"]) for one in found.blobs] == [
        ([], ["s"], []),
        ([], [], ["a:x@2"]),
        (["a:x", "b:y"], [], []),
    ]
    assert (found.exclusive_bytes, found.shared_bytes, found.stored_bytes) == (12_000, 6_000, 18_000)
    digest = lake.item("a:x@2").blob_digest or ""
    assert lake.why(digest).blobs == [found.blobs[1]]
    assert lake.why("a:x@2").blobs == [found.blobs[1]]
    assert lake.why("b:small").blobs == []
    lake.gc(dry_run=False, grace=0, keep_last=1)
    assert [one["purged"] for one in lake.why("a:x").blobs] == [False, True, False]
    assert lake.why("a:x").exclusive_bytes == 6_000


def test_why_names_the_aliases(lake: lf.Lake) -> None:
    folio = lake.folio("a")
    folio.alias("x", "golden", "#2").alias("x", "current", "#3").alias("x", "gone", "#2").drop_alias("x", "gone")
    folio.tag("x", "good")  # the same version again
    assert [(one["heads"], one["aliases"], one["history"]) for one in lake.why("a:x").blobs] == [
        ([], [], []),
        ([], ["a:x@golden"], []),
        (["a:x", "b:y"], ["a:x@current"], []),
    ]
    assert "\n  alias     a:x@golden\n" in str(lake.why("a:x"))
    lake.gc(dry_run=False, grace=0, keep_last=1)
    assert not any(one["purged"] for one in lake.why("a:x").blobs)


def test_why_of_what_never_was(lake: lf.Lake) -> None:
    for ref, kind in (("sha256:" + "0" * 64, "blob-not-found"), ("a:nothing", "item-not-found")):
        with pytest.raises(lf.NotFoundError) as caught:
            lake.why(ref)
        assert caught.value.kind == kind
    with pytest.raises(lf.InvalidInputError) as wrong:
        lake.why("sha256:00")  # as shown in the log: cut
    assert wrong.value.kind == "bad-digest"


# -- check -------------------------------------------------------------------------------------------------


def test_check_by_sample_reads_so_many(lake: lf.Lake) -> None:
    assert lake.check(sample=2).counts["objects_read"] == 2
    report = lake.check(sample=100)
    assert (report.ok, report.counts["objects_read"], report.counts["bytes_read"]) == (True, 3, 18_000)
    damage(lake, "a:x@1")
    assert [one.kind for one in lake.check(sample=3).problems] == ["blob-damaged"]
    assert lake.check().ok


def damage(lake: lf.Lake, ref: str) -> str:
    entry = lake.item(ref)
    key = blob_key(entry.blob_digest or "", entry.generation or 0)
    body = bytearray(session_of(lake).store.get(key))
    body[10] ^= 1
    session_of(lake).store.put(key, bytes(body))
    return key


# -- repair ------------------------------------------------------------------------------------------------


@pytest.fixture
def copy(lake: lf.Lake, tmp_path: Path) -> LocalStore:
    lake.compact()
    shutil.copytree(tmp_path / "lake", tmp_path / "copy")
    store = open_store(tmp_path / "copy")
    assert isinstance(store, LocalStore)
    return store


def test_repair_brings_back_everything_from_a_copy(lake: lf.Lake, copy: LocalStore, tmp_path: Path) -> None:
    store = session_of(lake).store
    before = {info.key: bytes(store.get(info.key)) for info in store.list("")}
    for key in sorted(before):
        store.delete([key]) if "checkpoint" not in key and key != log_key("manifests", 0) else None
    with pytest.raises(lf.LakefolioError):
        lf.open(tmp_path / "lake", create=False)
    planned = repair(store, copy, dry_run=True)
    assert planned.repaired
    assert {info.key for info in store.list("")} < set(before)
    done = repair(store, copy)
    assert (done.ok, done.left) == (True, [])
    repaired = lf.open(tmp_path / "lake", create=False)
    assert repaired.check(read_data=True).ok
    assert repaired.lake_id == lake.lake_id
    assert repaired.folio("a").get("x", at=2) == content(1)
    assert repair(store, copy).repaired == []


def test_repair_mends_damage_within(lake: lf.Lake, copy: LocalStore) -> None:
    store = session_of(lake).store
    broken = [damage(lake, "a:x@1"), log_key("manifests", 2)]
    store.put(broken[1], bytes(store.get(broken[1]))[:-40])
    for path, size in session_of(lake).journal.data_files("manifests").items():
        broken.append(f"tables/manifests/{path}")
        store.put(broken[-1], bytes(size))
    assert not lake.check(read_data=True).ok
    assert {one["object"] for one in lake.repair(copy.uri).repaired} == set(broken)
    assert lake.check(read_data=True).ok
    damage(lake, "a:x@1")
    assert lake.repair(copy.uri, read_data=False).repaired == []


def test_what_neither_copy_has_stays_a_problem(lake: lf.Lake, copy: LocalStore) -> None:
    key = damage(lake, "a:x@1")
    copy.put(key, b"damaged too")
    report = lake.repair(copy.uri)
    assert (report.ok, report.repaired) == (False, [])
    assert [(one["kind"], one["object"]) for one in report.left] == [("blob-missing", key)]
    assert not lake.check(read_data=True).ok


def test_repair_refuses_another_lake_and_another_history(lake: lf.Lake, copy: LocalStore, tmp_path: Path) -> None:
    lf.open(tmp_path / "other").folio("a").add_json("x", 1)
    for place, error, kind, code in (
        ("other", lf.InvalidInputError, "other-lake", 2),
        ("lake", lf.InvalidInputError, "same-lake", 2),
        ("nothing", lf.LakeNotFoundError, "no-lake", 3),
    ):
        with pytest.raises(error) as caught:
            lake.repair(tmp_path / place)
        assert (caught.value.kind, caught.value.exit_code) == (kind, code)
    twin = lf.open(copy.uri)
    twin.folio("a").add_json("theirs", 1)
    lake.folio("a").add_json("ours", 1)
    version = lake.version
    report = lake.repair(copy.uri)
    assert [(one["kind"], one["object"]) for one in report.left] == [("diverged", log_key("manifests", version))]
    assert (lake.version, "theirs" in lake.folio("a")) == (version, False)


# -- doctor ------------------------------------------------------------------------------------------------


def levels(report: Any) -> dict[str, str]:
    return {one["name"]: one["level"] for one in report.findings}


def test_doctor_finds_a_good_place_good(lake_uri: str) -> None:
    report = doctor(lake_uri)
    assert report.ok, str(report)
    assert {
        levels(report)[name] for name in ("create", "get", "list", "put", "delete", "race", "listing", "clock")
    } == {"ok"}
    assert not list(open_store(lake_uri).list(""))
    lake = lf.open(lake_uri)
    assert levels(lake.doctor())["lake"] == "ok"
    assert "race" not in levels(lf.open(lake_uri, read_only=True).doctor())


def test_a_store_where_more_than_one_wins_is_refused(
    lake: lf.Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(LocalStore, "create", LocalStore.put)
        report = doctor(lake.uri)
        assert not report.ok
        assert levels(report)["race"] == "error"
        assert next(one["hint"] for one in report.findings if one["name"] == "race")
        with pytest.raises(lf.StorageError) as caught:
            lf.open(tmp_path / "new")
        assert caught.value.kind == "unsafe-store"
        assert not list(open_store(tmp_path / "new").list(""))
    with pytest.raises(lf.StorageError) as caught:
        lf.open(lake.uri)
    assert caught.value.kind == "unsafe-store"
    assert lf.open(lake.uri, read_only=True).folio("a").get("x") == content(2)
    assert doctor(lake.uri, write=False).ok
    assert doctor(lake.uri).ok  # the store was mended
    lf.open(lake.uri).folio("a").add_json("again", 1)


def test_doctor_names_unsafe_settings(s3_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_S3_ALLOW_UNSAFE_RENAME", "true")
    report = doctor(s3_uri)
    assert (report.ok, levels(report)) == (False, {"settings": "error"})


def test_doctor_says_which_permission_is_missing(s3_server: S3Server, s3_uri: str) -> None:
    report = doctor(s3_uri, {"access_key_id": "nobody", "secret_access_key": "nothing"})
    assert not report.ok
    assert levels(report)["create"] == "error"


def test_lifecycle_rules_that_would_harm_a_lake() -> None:
    expiring = {"ID": "tidy", "Filter": {"Prefix": "lakes/"}, "Expiration": {"Days": 30}}
    cold = {"Filter": {"And": {"Prefix": "lakes/one/blobs/"}}, "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}
    elsewhere = {"Prefix": "logs/", "Expiration": {"Days": 1}}
    uploads = {"Filter": {}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}
    harmful, aborts = judge_rules([expiring, cold, elsewhere, uploads], "lakes/one")
    assert [level for level, *_ in harmful] == ["error", "warning"]
    assert aborts
    assert judge_rules([elsewhere], "lakes/one") == ([], False)
    beside = {"Filter": {"Prefix": "lakes/one-scratch/"}, "Expiration": {"Days": 1}}
    tagged = {"Filter": {"Tag": {"Key": "temporary", "Value": "yes"}}, "Expiration": {"Days": 1}}
    both = {"Filter": {"And": {"Prefix": "lakes/", "Tags": [{"Key": "a", "Value": "b"}]}}, "Expiration": {"Days": 1}}
    assert judge_rules([beside, tagged, both], "lakes/one") == ([], False)
    for everything in ({"Expiration": {"Days": 1}, "Filter": {}}, {"Expiration": {"Days": 1}, "Prefix": "lakes/one"}):
        for prefix in ("lakes/one", "lakes/one/"):
            assert [level for level, *_ in judge_rules([everything], prefix)[0]] == ["error"]
    assert judge_rules([{"Expiration": {"Days": 1}, "Filter": {"Prefix": "blobs/"}}], "")[0]


def test_local_policy_of_flushing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert levels(doctor(tmp_path))["fsync"] == "note"
    assert levels(doctor(tmp_path, {"fsync": True}))["fsync"] == "ok"
    monkeypatch.setenv("LAKEFOLIO_FSYNC", "1")
    assert levels(doctor(tmp_path))["fsync"] == "ok"
    assert levels(doctor(tmp_path, {"fsync": False}))["fsync"] == "note"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lakefolio.toml").write_text("fsync = true\n")
    monkeypatch.setenv("LAKEFOLIO_FSYNC", "0")
    assert levels(doctor(tmp_path))["fsync"] == "note"
    monkeypatch.delenv("LAKEFOLIO_FSYNC")
    assert levels(doctor(tmp_path))["fsync"] == "ok"
    (tmp_path / "lakefolio.toml").write_text("fsync = 'yes'\n")
    with pytest.raises(lf.InvalidInputError) as caught:
        lf.open(tmp_path / "lake")
    assert (caught.value.kind, caught.value.key) == ("bad-config", "fsync")


# -- command line ------------------------------------------------------------------------------------------


def test_commands(lake: lf.Lake, copy: LocalStore) -> None:
    def run(*args: str, code: int = 0) -> Any:
        result = CliRunner().invoke(cli, [*args, "--lake", lake.uri, "--json"])
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    assert run("gc", "--grace", "0", "--keep-last", "1")["purged_blobs"] == 1
    assert run("gc", "--grace", "0", "--keep-last", "1", "--delete", "--yes")["deleted_blobs"] == 1
    assert run("why", "a:x")["exclusive_bytes"] == 6_000
    assert run("check", "--sample", "1")["counts"]["objects_read"] == 1
    assert run("doctor")["ok"]
    key = damage(lake, "b:y")
    assert run("repair", "--from", copy.uri, "--dry-run")["repaired"] == [{"kind": "blob", "object": key}]
    assert run("repair", "--from", copy.uri)["ok"]
    copy.delete([damage(lake, "b:y")])
    assert run("repair", "--from", copy.uri, code=8)["left"][0]["object"] == key
    for command in (["gc", "--grace", "0"], ["why", "a:x"], ["doctor"], ["repair", "--from", copy.uri, "--dry-run"]):
        shown = CliRunner().invoke(cli, [*command, "--lake", lake.uri])
        assert shown.exit_code in (0, 8)
        assert shown.stdout


# -- compaction -------------------------------------------------------------------------------------------------


def test_one_writer_compacts_and_nobody_waits_for_it(tmp_path: Path) -> None:
    """The creator of version 50 does; a commit that comes between makes it give up, and costs nobody anything."""
    one, other = lf.open(tmp_path / "lake"), lf.open(tmp_path / "lake")
    for number in range(49):
        one.folio("f").add_json(f"i{number}", number)
    table, store = session_of(one).journal.manifests_table, session_of(one).store
    others_table = session_of(other).journal.manifests_table
    create, between = store.create, []

    def slow(key: str, data: Any) -> None:
        if key == log_key("manifests", 51) and not between:
            between.append(other.folio("f").add_json("between", 1))  # the compaction is ready to be committed
            assert not others_table.due()
        create(key, data)

    store.create = slow  # type: ignore[method-assign]
    one.folio("f").add_json("fiftieth", 50)
    assert between
    assert len(table.files.listed) == 50
    assert other.version == 51
    assert one.check().ok
    for number in range(49):
        other.folio("f").add_json(f"j{number}", number)
    assert (len(others_table.files.listed), other.version) == (1, 101)
    assert sorted(one.folio("f").list_contents()["json_data"]) == sorted(other.folio("f").list_contents()["json_data"])
    assert one.check().ok
    report = one.compact()
    assert report["manifests"]["files_after"] == 1


def test_threads_commit_while_one_of_them_merges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even so many that it is due again: one thread at a time does it, and the others leave it to the next commit."""
    lake = lf.open(tmp_path / "lake")
    merging: list[int] = []

    def slow(rows: pa.Table) -> bytes:
        if rows.num_rows >= 50 and threading.current_thread() is threading.main_thread():
            merging.append(rows.num_rows)
            if len(merging) == 1:
                others = [threading.Thread(target=add_some, args=(n,)) for n in range(4)]
                for one in others:
                    one.start()
                for one in others:
                    one.join(60)
                    assert not one.is_alive(), "a commit waits for a compaction"
        return to_parquet(rows)

    def add_some(number: int) -> None:
        for n in range(60):
            lake.folio("f").add_json(f"{number}-{n}", n)

    monkeypatch.setattr("lakefolio.delta.table.to_parquet", slow)
    for number in range(50):
        lake.folio("f").add_json(f"i{number}", number)
    table = session_of(lake).journal.manifests_table
    assert merging == [50]
    assert sum(file.row_count for file in table.files.listed) == 290
    assert max(file.row_count for file in table.files.listed) == 50
    lake.folio("f").add_json("next", 1)
    assert (len(merging), len(table.files.listed)) == (2, 2)
    assert len(lf.open(tmp_path / "lake").folio("f").list_contents()["json_data"]) == 291
    assert lake.check(read_data=True).ok


def test_files_that_another_writer_has_merged_meanwhile_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = lf.open(tmp_path / "lake"), lf.open(tmp_path / "lake")
    for number in range(20):
        one.folio("f").add_json(f"i{number}", number)
    versions = []

    def slow(rows: pa.Table) -> bytes:
        monkeypatch.undo()
        other.compact()
        session_of(one).journal.refresh()  # as any thread of this handle may
        versions.append(one.version)
        return to_parquet(rows)

    monkeypatch.setattr("lakefolio.delta.table.to_parquet", slow)
    one.compact()
    assert versions == [one.version]
    assert len(session_of(one).journal.manifests_table.files.listed) == 1
    assert lf.open(tmp_path / "lake").check(read_data=True).ok


def test_compaction_holds_a_bounded_part_of_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most so many rows at once, and never again what is large."""
    lake = lf.open(tmp_path / "lake")
    for number in range(90):
        lake.folio("f").add_json("x", number, overwrite=True)
    wanted = lake.scan("manifests").collect()
    monkeypatch.setattr("lakefolio.delta.actions._LEVELS", (4, 8, 12))
    monkeypatch.setattr("lakefolio.delta.table._MOST_ROWS", 24)
    merged: list[int] = []
    replace_by = DeltaTable._replace_by

    def counted(table: DeltaTable, new: Any, body: bytes, files: Any) -> bool:
        merged.append(sum(file.row_count for file in files))
        return replace_by(table, new, body, files)

    monkeypatch.setattr(DeltaTable, "_replace_by", counted)
    lake = lf.open(tmp_path / "lake")
    table = session_of(lake).journal.manifests_table
    assert sorted(file.row_count for file in table.files.listed) == [1] * 40 + [50]
    lake.compact()
    assert merged == [24, 16]
    assert sorted(file.row_count for file in table.files.listed) == [16, 24, 50]
    version = lake.version
    lake.compact()
    assert (lake.version, merged) == (version, [24, 16])
    for number in range(60):
        lake.folio("g").add_json("y", number, overwrite=True)
    assert merged == [24, 16, 24]
    assert lake.scan("manifests").collect().head(90).equals(wanted)
    assert lf.open(tmp_path / "lake").check(read_data=True).ok


# -- other tools ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tombstones", [500, 0])
def test_what_deltalake_cleans_up_breaks_no_promised_version(
    tombstones: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the tables' own properties nothing goes; and where somebody insists, only Delta's own time travel suffers.

    Nor does what was replaced so long ago that checkpoints forgot it.
    """
    from deltalake import DeltaTable

    monkeypatch.setattr("lakefolio.delta.file_set._KEPT_TOMBSTONES", tombstones)
    lake = lf.open(tmp_path / "lake")
    for number in range(60):
        lake.folio("f").add_json("x", number, overwrite=True, metadata={"n": number})
    lake.compact()
    version = lake.version
    store = session_of(lake).store
    before = {info.key for info in store.list("tables/")}
    for key in before:
        os.utime(tmp_path / "lake" / key, (0, 0))  # however old
    tables = [DeltaTable(str(tmp_path / "lake" / "tables" / name)) for name in ("manifests",)]
    for table in tables:
        configuration = table.metadata().configuration
        assert configuration["delta.enableExpiredLogCleanup"] == "false"
        assert configuration["delta.logRetentionDuration"] == "interval 36500 days"
        assert configuration["delta.deletedFileRetentionDuration"] == "interval 36500 days"
        table.create_checkpoint()
        table.cleanup_metadata()
        assert table.vacuum(dry_run=False) == []
        assert table.vacuum(dry_run=False, full=True) == []
    assert before <= {info.key for info in store.list("tables/")}
    for at in (1, 30, version):
        assert DeltaTable(str(tmp_path / "lake" / "tables" / "manifests"), version=at).to_pyarrow_table().num_rows
    for table in tables:
        assert table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False, full=True)
    fresh = lf.open(tmp_path / "lake")
    dated = {"dated-ahead"}  # by the times of the files, which say 1970 here
    assert {problem.kind for problem in fresh.check(read_data=True).problems} <= dated
    assert [fresh.folio("f").get("x", at=at) for at in (1, 30, 60)] == [0, 29, 58]  # 51 is a compaction
    assert fresh.gc(dry_run=False, grace=0).table_files == 0
    fresh.folio("f").add_json("x", "more", overwrite=True)
    assert {problem.kind for problem in fresh.check().problems} <= dated


def objects_after(root: Path, commits: int) -> tuple[int, Counter[str]]:
    """Return the version after small commits, compaction and gc, and how many objects of each sort there are."""
    lake = lf.open(str(root))
    folio = lake.folio("f")
    for number in range(commits):
        folio.add_json(f"i{number % 50}", number, overwrite=True)
    lake.compact()
    before = [path for path in root.rglob("*.parquet") if path.parent.name == "manifests"]
    assert len(before) > commits  # as many as gc has to find
    lake.gc(grace=0, dry_run=False)
    assert lake.check().ok
    assert lake.at(50).folio("f").get_json("i49") == 49
    return lake.version, Counter(sort_of(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def sort_of(path: Path) -> str:
    if path.parent.name != "_delta_log":
        return "data file" if path.parts[0] == "tables" else "of the lake"
    table = "journal" if path.parts[1] == "manifests" else "read models"
    return f"{'log entry' if path.suffix == '.json' else 'checkpoint'} of the {table}"


def test_after_upkeep_a_lake_is_its_log_and_little_else(tmp_path: Path) -> None:
    """Counted: 5 data files, 6 checkpoints and the pointer to the newest one, 20 log entries of read models."""
    version, found = objects_after(tmp_path / "lake", 300)
    assert found.pop("log entry of the journal") == version + 1
    assert found.pop("checkpoint of the journal") <= version // 50 + 3
    assert found.pop("log entry of the read models") <= 30
    assert found["data file"] <= 7
    assert found.total() <= 13, found


def test_a_lake_of_many_commits_is_its_log_and_little_else_after_upkeep(tmp_path: Path) -> None:
    """Counted: 5 data files, 27 checkpoints and pointers to them, 132 log entries of read models."""
    version, found = objects_after(tmp_path / "lake", 2000)
    assert found.pop("log entry of the journal") == version + 1
    assert found.pop("checkpoint of the journal") <= version // 50 + 3
    assert found.pop("log entry of the read models") <= 165
    assert found["data file"] <= 16
    assert found.total() <= 52, found


def test_a_checkpoint_leaves_no_small_files_to_be_read(tmp_path: Path) -> None:
    """Each is a request for everybody who opens the lake: a merge takes all commits since the last one."""
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f")
    for number in range(160):
        folio.add_json(f"i{number}", number)
        table = session_of(lake).journal.manifests_table
        since = table.version - max(table.files.checkpoint_version, 0)
        assert len(table.files.listed) - since <= 3, number


@pytest.mark.parametrize("gone", [None, 1, 7, 8, 20])
def test_the_whole_log_is_read_part_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: int | None) -> None:
    monkeypatch.setattr("lakefolio.delta.objects._ENTRIES_AT_ONCE", 7)
    lake = lf.open(tmp_path / "lake")
    for number in range(22):
        lake.folio("f").add_json(f"i{number}", number)
    if gone is not None:
        (tmp_path / "lake" / log_key("manifests", gone)).unlink()
    table = session_of(lake).journal.manifests_table
    if gone is None:
        audit(table)
        assert [entry.version for entry in table.objects.each_entry()] == list(range(23))
    else:
        with pytest.raises(IntegrityError) as caught:
            audit(table)
        assert (caught.value.kind, caught.value.version) == ("log-gap", gone)
