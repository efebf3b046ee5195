"""Inline content lies in data files alone, and can be taken away for ever."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.storage import open_store
from lakefolio.testing import CountingProxy

SECRET = "the secret of the small item"


def holding(root: Path, text: str = SECRET) -> set[str]:
    """Return the files of a lake that hold a text, unpacked where they are Parquet."""
    import pyarrow.parquet as pq

    found = set()
    for path in root.rglob("*"):
        if path.is_file():
            body = path.read_bytes()
            if path.suffix == ".parquet" and "checkpoint" not in path.name:
                table = pq.read_table(path)
                body += b" ".join(str(column.to_pylist()).encode() for column in table.columns)
            if text.encode() in body:
                found.add(str(path.relative_to(root)))
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def test_it_lies_in_the_data_file_of_its_commit_alone(root: Path) -> None:
    lf.open(root).folio("f").add_json("x", SECRET)
    (only,) = holding(root)
    assert only.startswith("tables/manifests/00000000000000000001-")
    lf.open(root).compact()
    assert all(name.startswith("tables/manifests/0000000000000000000") for name in holding(root))


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("gone", ["overwritten", "deleted"])
def test_gc_takes_it_away_for_ever(root: Path, merged: bool, gone: str) -> None:
    lake = lf.open(root)
    folio = lake.folio("f")
    folio.add_json("kept", "kept text").add_json("x", SECRET, metadata={"k": 1})
    if gone == "deleted":
        folio.delete("x")
    else:
        folio.add_json("x", 2, overwrite=True)
    if merged:
        lake.compact()
    planned = lake.gc(grace=0, keep_last=0 if gone == "deleted" else 1)
    assert (planned.purged_inline, planned.rewritten_files) == (1, 1)
    assert holding(root)
    report = lake.gc(dry_run=False, grace=0, keep_last=0 if gone == "deleted" else 1)
    assert (report.purged_inline, report.purged_inline_bytes, report.rewritten_files) == (1, len(SECRET) + 2, 1)
    assert holding(root) == set()
    assert holding(root, "kept text")
    for handle in (lake, lf.open(root)):
        with pytest.raises(lf.NotFoundError) as caught:
            handle.folio("f").get("x", at=1 + 1)
        assert caught.value.kind == "content-purged"
        assert handle.folio("f").get("kept") == "kept text"
        assert handle.folio("f").item_info("x", at=2)["metadata"] == {"k": 1} if gone != "deleted" else True
        assert handle.sql("select count(*) from entries where item = 'x'").fetchone() == (
            1 if gone == "deleted" else 2,
        )
        assert handle.check(read_data=True).ok
    again = lake.gc(dry_run=False, grace=0, keep_last=0 if gone == "deleted" else 1)
    assert (again.purged_inline, again.rewritten_files) == (0, 0)


def test_the_same_content_comes_back_as_another_generation(root: Path) -> None:
    lake, other = lf.open(root), lf.open(root)
    lake.folio("f").add_json("x", SECRET)
    lake.folio("f").delete("x")
    lake.gc(dry_run=False, grace=0, keep_last=0)
    assert holding(root) == set()
    other.folio("f").add_json("y", SECRET)
    assert other.item("f:y").generation == 1
    lake.compact()
    assert lake.gc(dry_run=False, grace=0, keep_last=0).purged_inline == 0
    for handle in (lake, other, lf.open(root)):
        assert handle.folio("f").get("y") == SECRET
        assert handle.check(read_data=True).ok


def test_what_is_needed_stays(root: Path) -> None:
    """The head, snapshots, what runs used, and equal content under another name."""
    lake = lf.open(root)
    folio = lake.folio("f")
    folio.add_json("in snapshot", "s1").add_json("used", "u1").add_json("twin", "t1").add_json("same", "t1")
    lake.snapshot("s")
    with lake.run("r") as run:
        run.input("f:used")
    for name in ("in snapshot", "used", "twin"):
        folio.add_json(name, 2, overwrite=True)
    version = lake.version
    report = lake.gc(dry_run=False, grace=0, keep_last=1)
    assert report.purged_inline == 0
    fresh = lf.open(root)
    assert [fresh.get(f"f:{name}@s") for name in ("in snapshot", "used", "twin", "same")] == ["s1", "u1", "t1", "t1"]
    assert fresh.version == version


def between(monkeypatch: pytest.MonkeyPatch, where: str, act: Callable[[], Any]) -> None:
    """Act once, just before a create of a key that holds ``where``."""
    from lakefolio.storage.local import LocalStore

    create, acted = LocalStore.create, []

    def slow(self: Any, key: str, data: Any) -> None:
        if where in key and not acted:
            acted.append(1)
            act()
        create(self, key, data)

    monkeypatch.setattr(LocalStore, "create", slow)


def test_a_writer_beside_gc_keeps_what_it_adds(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, other = lf.open(root), lf.open(root)
    lake.folio("f").add_json("x", SECRET)
    lake.folio("f").delete("x")
    lake.folio("f").add_json("z", 1)
    assert other.version == lake.version
    between(monkeypatch, f"{lake.version + 1:020d}.json", lambda: other.gc(dry_run=False, grace=0, keep_last=0))
    lake.folio("f").add_json("y", SECRET)  # planned before the purge, committed after it
    assert lake.item("f:y").generation == 1
    lake.compact()
    lake.gc(dry_run=False, grace=0, keep_last=0)
    assert lf.open(root).folio("f").get("y") == SECRET
    assert lf.open(root).check(read_data=True).ok


def test_gc_beside_a_writer_leaves_what_came_meanwhile(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, other = lf.open(root), lf.open(root)
    lake.folio("f").add_json("x", SECRET)
    lake.folio("f").delete("x")
    between(monkeypatch, f"{lake.version + 1:020d}.json", lambda: lake.folio("f").add_json("y", SECRET))
    assert other.gc(dry_run=False, grace=0, keep_last=0).purged_inline == 0
    assert lf.open(root).folio("f").get("y") == SECRET


@pytest.mark.parametrize(
    "change",
    [
        lambda folio: folio.update_item("x", description="d"),
        lambda folio: folio.archive("x"),
        lambda folio: folio.copy("h"),
        lambda folio: folio.restore_snapshot("s", confirm=True),
    ],
    ids=["update", "archive", "copy", "restore"],
)
def test_who_learned_of_it_by_the_log_puts_it_again_whole(root: Path, change: Callable[[Any], Any]) -> None:
    lake = lf.open(root)
    lake.folio("f").add_json("x", SECRET)
    lake.folio("f").create_snapshot("s", capture_git=False)
    lake.folio("f").add_json("x", 2, overwrite=True)
    before = lake.version
    change(lf.open(root).folio("f"))
    found = lf.open(root)
    put = f"from manifests where version > {before} and op = 'put'"
    assert found.sql(f"select count(*), count(content) {put}").fetchone() == (1, 1)
    assert found.check(read_data=True).ok


def test_sql_and_frames_have_it(root: Path) -> None:
    lf.open(root).folio("f").add_json("x", SECRET).add_json("y", 1)
    fresh = lf.open(root)
    expected = [("x", f'"{SECRET}"'.encode()), ("y", b"1")]
    assert fresh.sql("select item, content from items order by 1").fetchall() == expected
    assert lf.open(root).sql("select * exclude (details) from items order by item").fetchall()[0][-1] == expected[0][1]
    assert lf.open(root).connect().execute("select item, content from entries order by 1").fetchall() == expected
    assert lf.open(root).scan("manifests").collect()["content"].to_list() == [expected[0][1], b"1"]
    assert lf.open(root).sql("select count(*) from items where octet_length(content) > 2").fetchone() == (1,)


def test_a_handle_goes_on_when_files_that_it_knows_are_gone(root: Path) -> None:
    """Merged by another one, and deleted by gc."""
    writer = lf.open(root)
    for number in range(10):
        writer.folio("f").add_json(f"i{number}", number)
    behind, late = lf.open(root), lf.open(root)
    with writer.batch():
        for number in range(300):  # more rows than a log entry copies
            writer.folio("g").add_json(f"i{number}", number)
    writer.compact()
    assert writer.gc(dry_run=False, grace=0).table_files == 11
    assert len(list((root / "tables/manifests").glob("*.parquet"))) == 1
    assert behind.folio("f").get("i3") == 3
    assert late.folio("g").get("i299") == 299
    assert [late.folio("f").get(f"i{number}") for number in range(10)] == list(range(10))
    assert late.check(read_data=True).ok


def test_what_reading_it_costs(s3_proxy: CountingProxy, s3_uri: str) -> None:
    """Nothing where it was written or read from a merged file, else one request for each data file."""
    lake = lf.open(s3_uri, storage_options=s3_proxy.storage_options)
    lake.folio("f").add_json("x", SECRET).add_json("y", 1)
    fresh = lf.open(s3_uri, storage_options=s3_proxy.storage_options, read_only=True)
    for handle, name, requests in ((lake, "x", 1), (fresh, "x", 2), (fresh, "x", 1), (fresh, "y", 2)):
        with s3_proxy.count() as count:
            handle.folio("f").get(name)
        assert count.total == requests, str(count)
    lake.compact()
    fresh = lf.open(s3_uri, storage_options=s3_proxy.storage_options, read_only=True)
    for requests in (6, 1):  # the first time what the read models say, and the content
        with s3_proxy.count() as count:
            fresh.folio("f").get("x")
        assert count.total <= requests, str(count)


def test_of_a_large_file_hardly_anything_is_read(s3_proxy: CountingProxy, s3_uri: str) -> None:
    import random

    chance = random.Random(1)
    lake = lf.open(s3_uri, storage_options=s3_proxy.storage_options)
    texts = {f"i{number}": chance.randbytes(600).hex() for number in range(3000)}
    for start in range(0, 3000, 500):
        with lake.batch():
            for name in list(texts)[start : start + 500]:
                lake.folio("f").add_json(name, texts[name])
    lake.compact()
    size = max(session_of(lake).journal.manifests_table.files.sizes.values())
    assert size > 1_000_000
    fresh = lf.open(s3_uri, storage_options=s3_proxy.storage_options, read_only=True)
    assert fresh.folio("f").get("i7") == texts["i7"]
    fresh = lf.open(s3_uri, storage_options=s3_proxy.storage_options, read_only=True)
    fresh.folio("f").get("i7")
    with s3_proxy.count() as count:
        assert [fresh.folio("f").get(name) for name in ("i7", "i8")] == [texts["i7"], texts["i8"]]
    assert count.total == 2, str(count)
    assert fresh.check(read_data=True).ok


def test_a_missing_content_is_told(root: Path) -> None:
    lake = lf.open(root)
    lake.folio("f").add_json("x", SECRET)
    (path,) = (root / "tables/manifests").glob("*.parquet")
    fresh = lf.open(root)
    os.rename(path, root / "away")
    for _ in range(2):
        with pytest.raises(lf.IntegrityError) as caught:
            fresh.folio("f").get("x")
        assert caught.value.kind == "table-file-damaged"
    os.rename(root / "away", path)
    assert fresh.folio("f").get("x") == SECRET
    assert open_store(root).find("README.txt")
