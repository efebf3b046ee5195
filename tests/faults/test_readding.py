"""Content that gc purged is stored once when it is added again, and nothing is left over."""

from __future__ import annotations

from pathlib import Path

import pytest

import lakefolio as lf
from lakefolio.storage.local import LocalStore

TEXT = "x" * 10_000


def purged(tmp_path: Path) -> lf.Lake:
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f")
    folio.add_json("a", TEXT)
    folio.delete("a")
    return lake


def blobs(tmp_path: Path) -> int:
    return sum(path.is_file() for path in (tmp_path / "lake" / "blobs").rglob("*"))


@pytest.mark.parametrize("handle", ["same", "older"])
def test_the_first_adding_after_gc_stores_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handle: str) -> None:
    lake = purged(tmp_path)
    (lake if handle == "same" else lf.open(tmp_path / "lake")).gc(dry_run=False, grace=0, keep_days=0)
    assert blobs(tmp_path) == 0
    sent = []
    upload = LocalStore.upload

    def counted(self: LocalStore, key: str, *rest: object) -> bool:
        sent.append(key)
        return upload(self, key, *rest)

    monkeypatch.setattr(LocalStore, "upload", counted)
    lake.folio("f").add_json("a", TEXT)
    assert lake.folio("f").get_json("a") == TEXT
    assert blobs(tmp_path) == 1  # what was sent under a generation that was purged meanwhile is taken away again
    assert len(sent) == (1 if handle == "same" else 2)
    assert lake.check(read_data=True).problems == []
