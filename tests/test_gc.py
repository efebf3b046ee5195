"""gc: what it keeps and gives up, and the classic races, each replayed in the one order that loses data elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from bad_input_support import append_row
from inside import session_of

import lakefolio as lf
from lakefolio.format.layout import blob_key, log_version
from lakefolio.storage.store import Store


@pytest.fixture
def lake(lake_uri: str) -> lf.Lake:
    return lf.open(lake_uri)


@pytest.fixture
def other(lake: lf.Lake, lake_uri: str) -> lf.Lake:
    """Another handle on the same lake."""
    return lf.open(lake_uri)


def content(number: int, size: int = 6000) -> bytes:
    return bytes([number]) * size


def objects(lake: lf.Lake) -> set[str]:
    return {info.key for info in session_of(lake).store.list("blobs/")}


def generations(lake: lf.Lake) -> list[str]:
    return sorted(key.partition(".")[2] for key in objects(lake))


def between(blobs: Any, name: str, action: Callable[[], object]) -> None:
    """Run an action once, right after the first call of a method of a handle's blobs has done its work."""
    original = getattr(blobs, name)
    waiting = [action]

    def method(*args: Any, **options: Any) -> Any:
        result = original(*args, **options)
        if waiting:
            waiting.pop()()
        return result

    setattr(blobs, name, method)


def purge_everything(lake: lf.Lake) -> Callable[[], Any]:
    return lambda: lake.gc(dry_run=False, grace=0, keep_last=0)


# -- what is kept ------------------------------------------------------------------------------------------


def test_nothing_is_given_up_by_default(lake: lf.Lake) -> None:
    folio = lake.folio("f")
    for number in range(3):
        folio.add_artifact("x", content(number), overwrite=True)
    folio.delete("x")
    report = lake.gc(dry_run=False, grace=0)
    assert (report.found_blobs, report.purged_blobs, report.deleted_blobs, report.stored_blobs) == (0, 0, 0, 3)
    assert folio.get("x", at=2) == content(1)
    assert lake.version == 4


def test_orphans_go_after_their_grace(lake: lf.Lake) -> None:
    lake.folio("f").add_artifact("x", content(1))
    stray = blob_key("sha256:" + "ab" * 32)
    session_of(lake).store.create(stray, b"left by a killed writer")
    assert lake.gc().kept_by_grace_blobs == 1
    assert lake.gc(dry_run=False).deleted_blobs == 0
    planned = lake.gc(grace=0)
    assert (planned.deleted_blobs, planned.deleted_bytes, planned.reasons) == (
        1,
        23,
        {"orphan": {"blobs": 1, "bytes": 23}},
    )
    assert stray in objects(lake)
    done = lake.gc(dry_run=False, grace=0)
    assert (done.purged_blobs, done.deleted_blobs, done.deleted_bytes) == (1, 1, 23)
    assert len(objects(lake)) == 1
    assert lake.gc(grace=0).found_blobs == 0
    assert lake.check(read_data=True).ok


def test_history_is_given_up_but_never_a_head_or_a_snapshot(lake: lf.Lake) -> None:
    folio = lake.folio("f")
    for number in range(6):
        folio.add_artifact("x", content(number), overwrite=True)  # versions 1 to 6
    folio.add_artifact("hidden", content(10))
    folio.archive("hidden")
    folio.add_artifact("gone", content(11))
    folio.delete("gone")
    lake.snapshot("one", at=2)
    lake.snapshot("two", folio="f", at=3)
    lake.snapshot("dropped", at=1)
    lake.drop_snapshot("dropped")
    report = lake.gc(dry_run=False, grace=0, keep_last=2)
    assert "names, metadata, metric points, events and messages stay" in str(report)
    for number, version in ((1, 2), (2, 3), (4, 5), (5, 6)):
        assert folio.get("x", at=version) == content(number)
    assert folio.get("gone", at=9) == content(11)  # the newest entry of a deleted item counts among its last
    for version in (1, 4):
        with pytest.raises(lf.NotFoundError) as caught:
            folio.get("x", at=version)
        assert (caught.value.kind, caught.value.version, caught.value.reason) == ("content-purged", version, "history")
        assert caught.value.purged_at <= lake.version
    lake.gc(dry_run=False, grace=0, keep_last=0)
    with pytest.raises(lf.NotFoundError):
        folio.get("gone", at=9)
    assert [folio.get("x", at=2), folio.get("x", at="two"), folio.get("x")] == [content(1), content(2), content(5)]
    assert folio.get("hidden") == content(10)
    assert lake.check(read_data=True).ok


def test_keep_days_answers_every_question_from_then_on(lake: lf.Lake) -> None:
    folio = lake.folio("f")
    for number in range(3):
        folio.add_artifact("x", content(number), overwrite=True)
    assert lake.gc(grace=0, keep_days=1).found_blobs == 0
    assert lake.gc(grace=0, keep_days=0).found_blobs == 2
    assert lake.gc(grace=0, keep_days=0, keep_last=2).found_blobs == 1  # kept if either keeps it
    assert lake.gc(grace=0, keep_days=1, keep_last=0).found_blobs == 0


def test_the_same_entry_put_again_counts_once(lake: lf.Lake) -> None:
    folio = lake.folio("f")
    folio.add_artifact("x", content(0))
    folio.add_artifact("x", content(1), overwrite=True)
    folio.archive("x")
    folio.unarchive("x")
    assert lake.gc(grace=0, keep_last=2).found_blobs == 0
    assert lake.gc(grace=0, keep_last=1).found_blobs == 1


def test_content_shared_with_a_live_item_stays(lake: lf.Lake) -> None:
    lake.folio("a").add_artifact("x", content(1))
    lake.folio("b").add_artifact("y", content(1))
    lake.folio("a").delete("x")
    assert lake.gc(dry_run=False, grace=0, keep_last=0).found_blobs == 0
    assert lake.folio("b").get("y") == content(1)


def test_content_that_was_given_up_can_be_added_again(lake: lf.Lake, other: lf.Lake) -> None:
    folio = lake.folio("f")
    folio.add_artifact("x", content(1))
    folio.delete("x")
    other.gc(dry_run=False, grace=0, keep_last=0)
    folio.add_artifact("x", content(1))
    assert lake.item("f:x").generation == 1
    folio.delete("x")
    other.gc(dry_run=False, grace=0, keep_last=0)
    folio.add_artifact("x", content(1))
    assert lake.item("f:x").generation == 2
    other.gc(dry_run=False, grace=0)  # a handle that had not seen the purge stored it under the dead key first
    assert generations(lake) == ["2"]
    assert folio.get("x") == content(1)
    assert lake.check(read_data=True).ok


def test_objects_that_are_no_blobs_and_blobs_of_the_future_are_left_alone(lake: lf.Lake) -> None:
    store = session_of(lake).store
    lake.folio("f").add_artifact("x", content(1))
    strange = ["blobs/sha256/ab/notes.txt", "blobs/sha256/ab/" + "cd" * 32, blob_key("sha256:" + "ab" * 32, 7)]
    for key in strange:
        store.create(key, b"?")
    report = lake.gc(dry_run=False, grace=0)
    assert (report.deleted_blobs, report.foreign_objects) == (0, 2)
    assert set(strange) < objects(lake)


@pytest.mark.parametrize("wrong", [{"grace": -1}, {"keep_last": -1}, {"keep_days": -1}, {"keep_last": 1.5}])
def test_bad_retention_is_refused(lake: lf.Lake, wrong: dict[str, float]) -> None:
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.gc(**wrong)  # type: ignore[arg-type]
    assert caught.value.kind == "bad-retention"


def test_gc_is_refused_where_it_makes_no_sense(lake: lf.Lake, lake_uri: str) -> None:
    with lake.batch(), pytest.raises(lf.InvalidInputError) as caught:
        lake.gc()
    assert caught.value.kind == "gc-in-batch"
    lake.folio("f").add_json("x", 1)
    with pytest.raises(lf.InvalidInputError):
        lf.open(lake_uri, read_only=True).gc(dry_run=False)
    assert lf.open(lake_uri, read_only=True).gc().dry_run


def test_a_row_whose_op_is_not_known_keeps_what_it_names(tmp_path: Path) -> None:
    """As one of a later version of the format may: it is let be by everyone."""
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add_artifact("x", content(1)).add_json("y", 1)
    blob, inline = lake.item("f:x"), lake.item("f:y")
    for entry in (blob, inline):
        append_row(lake, op="hold", folio="f", item=None, storage=entry.storage, blob_digest=entry.blob_digest)
    for name in ("x", "y"):
        lake.folio("f").delete(name)
    for _ in range(2):
        report = lake.gc(dry_run=False, grace=0, keep_last=0, keep_runs=False)
        assert (report.purged_blobs, report.purged_inline) == (0, 0)
    assert lake.folio("f").get("x", at=1) == content(1)
    assert lf.open(tmp_path / "lake").check(read_data=True).ok


def test_what_killed_writers_leave_goes_too(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add_json("x", 1, metadata={"a": 1})
    lake.folio("f").add_json("y", 1, inputs=["x"])
    store, root = session_of(lake).store, tmp_path / "lake"
    never = [f"tables/manifests/{1:020d}-{'a' * 32}.parquet"]
    still = f"tables/manifests/{lake.version + 9:020d}-{'b' * 32}.parquet"  # a commit under way may name it yet
    for key in (*never, still, "pending/" + "c" * 32, "pending/" + "d" * 32):
        store.create(key, b"left")
    (root / "blobs").mkdir()
    for name in (root / "tables" / ".tmp-old", root / "pending" / ("c" * 32)):
        name.write_bytes(b"x")
        os.utime(name, (0, 0))
    (root / "blobs" / ".tmp-new").write_bytes(b"x")
    lake.compact()
    report = lake.gc(grace=0)
    replaced = 2
    assert (report.table_files, report.tickets, report.unfinished_uploads) == (1 + replaced, 1, 1)
    lake.gc(dry_run=False, grace=0)
    left = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert not left & {*never, "tables/.tmp-old", "pending/" + "c" * 32}
    assert {still, "blobs/.tmp-new", "pending/" + "d" * 32} <= left
    assert lf.open(root).check(read_data=True).ok


def test_data_files_that_were_replaced_go_after_the_grace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a merge replaced is kept for readers under way, then deleted; every version is answered as before."""
    import deltalake
    import polars as pl

    monkeypatch.setattr("lakefolio.delta.file_set._KEPT_TOMBSTONES", 3)
    lake = lf.open(tmp_path / "lake")
    for number in range(140):
        lake.folio("f").add_json("x", number, overwrite=True)
    table, store = session_of(lake).journal.manifests_table, session_of(lake).store
    refusing = lake.version + 1
    table.commit(refusing, None, [], datetime.now(UTC), refused=["c" * 32])  # as a combiner may: it names no file
    lake = lf.open(tmp_path / "lake")
    lake.compact()
    assert len(session_of(lake).journal.manifests_table.files.replaced) == 3
    files = {info.key for info in store.list("tables/manifests/") if info.key.endswith(".parquet")}
    files = {key for key in files if "_delta_log" not in key}
    assert len(files) == 143
    ahead = f"tables/manifests/{lake.version + 5:020d}-{'a' * 32}.parquet"  # a commit under way may name it yet
    store.create(ahead, b"left")
    for key in files:
        os.utime(tmp_path / "lake" / key, (0, 0))
    assert lake.gc(dry_run=True).table_files == 139, "those of the last merge are younger than a day"
    assert lake.gc(dry_run=False, grace=0).table_files == 142 + 1, "and the oldest of three checkpoints"
    assert len(files & {info.key for info in store.list("tables/manifests/")}) == 1
    assert store.find(ahead) == b"left"
    for fresh in (lake, lf.open(tmp_path / "lake")):
        assert [fresh.folio("f").get("x", at=at) for at in (1, 50, 52, 142)] == [0, 49, 50, 139]
        assert fresh.check(read_data=True).ok
    place = str(tmp_path / "lake" / "tables" / "manifests")
    for version in (0, lake.version):
        found = deltalake.DeltaTable(place, version=version).to_pyarrow_table().num_rows
        assert found == pl.scan_delta(place, version=version).collect().height
        assert found == session_of(lake.at(version)).committed().rows_since(-1).num_rows, version


def test_unfinished_uploads_on_s3_go(s3_uri: str, s3_server: Any) -> None:
    from lakefolio.storage import aws

    lake = lf.open(s3_uri)
    bucket, _, prefix = s3_uri.removeprefix("s3://").partition("/")
    options = session_of(lake).store.options_for_delta()
    aws.client("s3", options).create_multipart_upload(Bucket=bucket, Key=f"{prefix}/blobs/sha256/ab/x")
    assert lake.gc(dry_run=False, grace=0).unfinished_uploads == 0  # it may belong to a writer at work
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert session_of(lake).store.discard_unfinished(later, dry_run=True) == 1
    assert session_of(lake).store.discard_unfinished(later) == 1
    assert session_of(lake).store.discard_unfinished(later) == 0


# -- races -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [False, True])
def test_dedup_hit_against_purge(lake: lf.Lake, other: lf.Lake, batch: bool) -> None:
    lake.folio("f").add_artifact("x", content(1))
    lake.folio("f").delete("x")
    between(session_of(lake).blobs, "put", purge_everything(other))
    if batch:
        with lake.batch():
            lake.folio("f").add_artifact("y", content(1))
            lake.folio("f").add_artifact("z", content(1))
    else:
        lake.folio("f").add_artifact("y", content(1))
    assert lake.item("f:y").generation == 1
    assert lake.folio("f").get("y") == content(1)
    other.gc(dry_run=False, grace=0)  # in the batch, z was first stored again under the dead key
    assert generations(lake) == ["1"]
    assert lake.check(read_data=True).ok


@pytest.mark.parametrize("batch", [False, True])
def test_new_content_against_purge(lake: lf.Lake, other: lf.Lake, batch: bool) -> None:
    between(session_of(lake).blobs, "put", purge_everything(other))
    table = pa.table({"n": np.random.default_rng(0).integers(0, 2**62, 5000)})
    reader = pa.RecordBatchReader.from_batches(table.schema, iter(table.to_batches()))  # can be read only once
    if batch:
        with lake.batch():
            lake.folio("f").add_table("y", reader)
    else:
        lake.folio("f").add_table("y", reader)
    assert lake.item("f:y").generation == 1
    assert lake.folio("f").get_table("y", as_="arrow").equals(table)
    assert lake.check(read_data=True).ok


def test_content_of_a_batch_that_can_not_be_held_comes_from_the_old_object_or_not_at_all(
    lake: lf.Lake, other: lf.Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakefolio.content.reupload_buffer._BATCH_MEMORY_BYTES", 0)
    monkeypatch.setattr(type(session_of(other).store), "delete", lambda self, keys: list(keys))
    with lake.batch():
        lake.folio("f").add_artifact("y", content(1))
        purge_everything(other)()  # killed before it deleted anything
    assert lake.folio("f").get("y") == content(1)
    monkeypatch.undo()
    monkeypatch.setattr("lakefolio.content.reupload_buffer._BATCH_MEMORY_BYTES", 0)
    with pytest.raises(lf.LakefolioError) as caught:  # noqa: PT012, SIM117 - raised at the end of the block
        with lake.batch():
            lake.folio("f").add_artifact("z", content(2))
            purge_everything(other)()
    assert caught.value.kind == "purged-meanwhile"
    assert "z" not in lake.folio("f")
    assert lake.check(read_data=True).ok


def test_content_that_changed_since_it_was_added_to_a_batch_is_not_taken_for_it(lake: lf.Lake, other: lf.Lake) -> None:
    array = np.arange(5000)
    with pytest.raises(lf.LakefolioError) as caught:  # noqa: PT012, SIM117 - raised at the end of the block
        with lake.batch():
            lake.folio("f").add_numpy("y", array)
            array[0] = 7
            purge_everything(other)()
    assert caught.value.kind == "purged-meanwhile"
    assert lake.check(read_data=True).ok


def test_new_snapshot_against_purge(lake: lf.Lake, other: lf.Lake) -> None:
    folio = lake.folio("f")
    for number in range(3):
        folio.add_artifact("x", content(number), overwrite=True)
    report = lake.gc(
        dry_run=False, grace=0, keep_last=1, progress=once("purging", lambda: other.snapshot("late", at=1))
    )
    assert report.purged_blobs == 1
    assert folio.get("x", at="late") == content(0)
    with pytest.raises(lf.NotFoundError) as caught:
        other.snapshot("too late", at=2)
    assert caught.value.kind == "content-purged"
    assert lake.check(read_data=True).ok


def test_a_version_that_an_alias_names_keeps_its_content(lake: lf.Lake) -> None:
    folio = lake.folio("f")
    for number in range(5):
        folio.add("x", content(number), overwrite=True)
        folio.add("y", content(10 + number), overwrite=True)
        folio.update_item("x", description=f"the {number}.")
    folio.alias("x", "production", "#2")
    folio.alias("x", "old", "#1")
    folio.alias("x", "old", "#3")
    report = lake.gc(dry_run=False, grace=0, keep_last=1)
    assert report["purged_blobs"] == 2 + 4
    assert folio.get("x", at="production") == content(1)
    assert folio.get("x", at="#3") == content(2)
    for gone in ("#1", "#4"):
        with pytest.raises(lf.NotFoundError):
            folio.get("x", at=gone)
    folio.drop_alias("x", "old")
    assert lake.gc(dry_run=False, grace=0, keep_last=1)["purged_blobs"] == 1


def test_new_alias_against_purge(lake: lf.Lake, other: lf.Lake) -> None:
    folio = lake.folio("f")
    for number in range(3):
        folio.add("x", content(number), overwrite=True)
    set_alias = once("purging", lambda: other.folio("f").alias("x", "production", "#1"))
    lake.gc(dry_run=False, grace=0, keep_last=1, progress=set_alias)
    assert folio.get("x", at="production") == content(0)
    with pytest.raises(lf.NotFoundError):
        folio.get("x", at="#2")


@pytest.mark.parametrize("how", ["restore", "copy"])
def test_restore_and_copy_against_purge(lake: lf.Lake, other: lf.Lake, how: str) -> None:
    folio = lake.folio("f")
    for number in range(3):
        folio.add_artifact("x", content(number), overwrite=True)

    def bring_back() -> None:
        if how == "restore":
            other.restore(1)
        else:
            other.at(1).folio("f").copy("g")

    report = lake.gc(dry_run=False, grace=0, keep_last=1, progress=once("purging", bring_back))
    assert (report.purged_blobs, report.needed_meanwhile_blobs) == (1, 1)
    assert lake.folio("f" if how == "restore" else "g").get("x") == content(0)
    with pytest.raises(lf.NotFoundError) as caught:
        other.restore(2)
    assert caught.value.kind == "content-purged"
    assert lake.check(read_data=True).ok


def test_slow_upload_against_purge(lake: lf.Lake, other: lf.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writers send the same content; what the first sent is purged and deleted while the second still sends."""
    size = 17 << 20
    store: Store = session_of(lake).store
    upload, finished = store.upload, []

    def slow(key: str, parts: Any, size_bytes: int, on_progress: Any = None) -> bool:
        def pieces() -> Iterator[Any]:
            for number, piece in enumerate(parts()):
                if number == 1 and not finished:
                    finished.append(key)
                    with ThreadPoolExecutor(1) as pool:
                        pool.submit(first_writer_and_gc, key).result()
                yield piece

        return upload(key, pieces, size_bytes, on_progress)

    def first_writer_and_gc(key: str) -> None:
        session_of(other).store.upload(key, [content(1, size)], size)
        assert other.gc(dry_run=False, grace=0).deleted_blobs == 1

    monkeypatch.setattr(store, "upload", slow)
    lake.folio("f").add_artifact("x", content(1, size))
    assert lake.item("f:x").generation == 1
    assert lake.folio("f").get("x") == content(1, size)
    assert generations(lake) == ["1"]  # the slow upload landed under the dead key, and its writer deleted it there
    assert other.gc(dry_run=False, grace=0).reasons == {}
    assert generations(lake) == ["1"]
    assert lake.check(read_data=True).ok


def test_two_gcs(lake: lf.Lake, other: lf.Lake) -> None:
    for number in range(3):
        lake.folio("f").add_artifact("x", content(number), overwrite=True)
    inner: list[Any] = []
    outer = lake.gc(
        dry_run=False, grace=0, keep_last=1, progress=once("purging", lambda: inner.append(purge_everything(other)()))
    )
    assert (inner[0].purged_blobs, outer.purged_blobs, outer.needed_meanwhile_blobs) == (2, 0, 0)
    assert len(objects(lake)) == 1
    assert lake.scan("manifests").collect()["op"].to_list().count("purge") == 2
    assert lake.check(read_data=True).ok


def test_a_reader_that_did_not_see_the_purge_is_told_of_it(lake: lf.Lake, other: lf.Lake) -> None:
    lake.folio("f").add_artifact("x", content(1))
    past = other.at(1)
    lake.folio("f").delete("x")
    purge_everything(lake)()
    with pytest.raises(lf.NotFoundError) as caught:
        past.folio("f").get("x")
    assert (caught.value.kind, caught.value.reason) == ("content-purged", "history")


def test_check_beside_gc_finds_nothing_missing(lake: lf.Lake, other: lf.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.folio("f").add_artifact("x", content(1))
    lake.folio("f").delete("x")
    listing = session_of(lake).store.list

    def purged_first(prefix: str, **options: Any) -> Any:
        if prefix.startswith("blobs"):
            purge_everything(other)()
        return listing(prefix, **options)

    monkeypatch.setattr(session_of(lake).store, "list", purged_first)
    assert lake.check().ok
    assert lake.check(read_data=True).ok


def once(when: str, action: Callable[[], object]) -> Callable[[str, int], None]:
    waiting = [action]

    def progress(what: str, count: int) -> None:
        if what == when and waiting:
            waiting.pop()()

    return progress


# -- killed ------------------------------------------------------------------------------------------------


@pytest.mark.timeout(180)
def test_killed_at_every_request_gc_harms_nothing_and_is_resumed(tmp_path: Path) -> None:
    made = lf.open(tmp_path / "made")
    for number in range(4):
        made.folio("f").add_artifact("x", content(number), overwrite=True)
    made.snapshot("keep", at=2)
    session_of(made).store.create(blob_key("sha256:" + "ab" * 32), b"stray")
    program = Path(__file__).parent / "faults" / "gc_until_killed.py"
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path / "made"), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    runs = int(done.stdout)
    assert runs > 8
    for step in range(1, runs + 1):
        lake = lf.open(tmp_path / f"lake-{step}")
        assert lake.check().ok
        assert lake.folio("f").get("x") == content(3)
        assert lake.folio("f").get("x", at="keep") == content(1)
        lake.gc(dry_run=False, grace=0, keep_last=1)
        assert len(objects(lake)) == 2
        assert lake.sql("select count(*) from manifests where op = 'purge'").fetchone() == (3,)
    assert lake.check(read_data=True).ok


# -- copies ------------------------------------------------------------------------------------------------


def test_a_copy_answers_every_question_the_same(s3_uri: str, tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    for number in range(5):
        lake.folio("f").add_artifact("x", content(number), overwrite=True)
        lake.folio("f").add_json("y", number, overwrite=True, metadata={"n": number})
    lake.snapshot("s", at=4)
    lake.compact()
    lake.gc(dry_run=False, grace=0, keep_last=2)
    store, copied = session_of(lake).store, session_of(lf.open(s3_uri, create=True)).store
    copied.delete([info.key for info in copied.list("")])
    for info in store.list(""):
        copied.put(info.key, store.get(info.key))
    copy = lf.open(s3_uri, create=False)
    assert copy.lake_id == lake.lake_id
    assert copy.check(read_data=True).ok
    for version in range(lake.version + 1):
        assert answers(copy, version) == answers(lake, version)
    rows = lake.log(None)
    for commit in rows:
        at = commit["committed_at"] if isinstance(commit, dict) else commit.committed_at
        assert answers(copy, at) == answers(lake, at)


def answers(lake: lf.Lake, at: Any) -> list[Any]:
    past = lake.at(at)
    found: list[Any] = [past.version, past.folios()]
    for entry in past.items():
        try:
            found.append((entry, past.get(entry.ref.partition("@")[0])))
        except lf.NotFoundError as exc:
            found.append((entry, exc.kind, exc.purged_at))
    return found


def test_objects_stay_few_beside_the_log_entries(tmp_path: Path) -> None:
    """However many small commits there were: their data files are merged, and what was replaced goes."""
    lakes = [lf.open(tmp_path / "lake") for _ in range(2)]
    for number in range(500):
        lakes[number % 2].folio("f").add_json(f"item {number}", number)
    lakes[0].gc(dry_run=False, grace=0)
    keys = [info.key for info in session_of(lakes[0]).store.list("")]
    entries = [key for key in keys if log_version(key) is not None]
    assert len(entries) > 500
    assert len(keys) - len(entries) <= 100
