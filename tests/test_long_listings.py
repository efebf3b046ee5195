"""Listings of many objects are passed through: what looks at all objects of a lake does not hold them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import lakefolio as lf
from lakefolio.format.layout import blob_key, log_key, log_prefix
from lakefolio.maintenance.doctor import doctor
from lakefolio.maintenance.repair import repair
from lakefolio.maintenance.repair_work import RepairWork
from lakefolio.storage import ObjectInfo, aws, open_store
from lakefolio.storage.local import LocalStore
from lakefolio.views import workbench

MANY = 10_000
HELD = 2_000_000
"""Bytes; so many infos take more."""


def peak_of(call: Callable[[], object]) -> int:
    """Return how many bytes Python held at most during a call, more than before."""
    call()  # what is imported and cached
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def infos(key_of: Callable[[int], str]) -> Iterator[ObjectInfo]:
    for number in range(MANY):
        yield ObjectInfo(key_of(1_000 + number), number, f"etag-{number}", datetime.fromtimestamp(number, UTC))


@pytest.fixture
def longer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[int], str]], None]:
    """Let listings of a prefix end with many objects more."""

    def begin(prefix: str, key_of: Callable[[int], str]) -> None:
        of_folder = LocalStore.list

        def listed(self: LocalStore, given: str, *, after: str | None = None) -> Iterator[ObjectInfo]:
            yield from of_folder(self, given, after=after)
            if given == prefix:
                yield from infos(key_of)

        monkeypatch.setattr(LocalStore, "list", listed)

    return begin


def log_of_journal(version: int) -> str:
    return log_key("manifests", version)


def test_infos_that_are_held_are_seen() -> None:
    assert peak_of(lambda: list(infos(log_of_journal))) > HELD


def test_doctor_holds_no_log(tmp_path: Path, longer: Callable[[str, Callable[[int], str]], None]) -> None:
    lf.open(tmp_path / "lake").folio("f").add_json("a", 1)
    longer(log_prefix("manifests") + "/", log_of_journal)
    assert peak_of(lambda: doctor(tmp_path / "lake", write=False)) < HELD  # opening a store takes half of that


def test_a_repair_goes_through_two_logs_side_by_side(
    tmp_path: Path, longer: Callable[[str, Callable[[int], str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = log_prefix("manifests")
    longer(prefix + "/", log_of_journal)
    monkeypatch.setattr(LocalStore, "find", lambda self, key: b"whole")
    read: list[int] = []

    def problem(version: int, body: bytes) -> str | None:
        if not read or read[-1] != version:
            read[:] = [version]
        return None

    work = RepairWork(open_store(tmp_path / "a"), open_store(tmp_path / "b"), True, lambda key, count: None)
    taken = peak_of(lambda: work.log_entries("manifests", prefix, log_of_journal, problem, is_whole=False))
    assert read == [1_000 + MANY - 1]
    assert work.left == []
    assert taken < HELD / 3


def test_a_repair_holds_no_blobs(
    tmp_path: Path, longer: Callable[[str, Callable[[int], str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    lf.open(tmp_path / "lake").folio("f").add_artifact("a", b"x" * 10_000)
    (tmp_path / "copy").mkdir()
    places = [open_store(tmp_path / name) for name in ("lake", "copy")]
    for info in places[0].list(""):
        places[1].put(info.key, places[0].get(info.key))
    longer("blobs/", lambda number: blob_key(f"sha256:{number:064x}"))
    monkeypatch.setattr(workbench, "_ROWS_AT_ONCE", 500)
    assert peak_of(lambda: repair(*places)) < HELD
    key = next(info.key for info in places[1].list("blobs/"))
    places[0].put(key, b"short")
    assert [one["object"] for one in repair(*places, read_data=False).repaired] == [key]


def test_archives_are_looked_for_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"access_key_id": "x", "secret_access_key": "x", "region": "us-east-1"}
    store, begun = open_store("s3://bucket/lake", keys), []

    def objects(bucket: str, prefix: str, options: object) -> Iterator[ObjectInfo]:
        for info in infos(lambda number: f"{prefix}{number}"):
            begun.append(info.key)
            yield info

    monkeypatch.setattr(aws, "objects_of", objects)
    found = store.list_archives("blobs/")
    assert next(found).key == "blobs/1000"
    assert len(begun) == 1
    assert [one.key for one in found] == [f"blobs/{number}" for number in range(1_001, 1_000 + MANY)]
