"""Content-addressed storage: nothing twice, nothing unverified, and adding again mends what was lost."""

from __future__ import annotations

import os

import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.format.layout import blob_key


@pytest.fixture
def lake(lake_uri: str) -> lf.Lake:
    return lf.open(lake_uri)


def key_of(lake: lf.Lake, ref: str) -> str:
    entry = lake.item(ref)
    assert entry.storage == "blob"
    return blob_key(entry.blob_digest or "", entry.generation or 0)


def test_equal_content_is_stored_once(lake: lf.Lake) -> None:
    content = os.urandom(50_000)
    lake.folio("a").add_artifact("x", content)
    lake.folio("b").add_artifact("y", content)
    assert key_of(lake, "a:x") == key_of(lake, "b:y")
    assert len(list(session_of(lake).store.list("blobs/"))) == 1
    assert lake.sql("select sum(stored_bytes) from storage_savings").fetchone() == (50_000,)


def test_small_content_is_inline(lake: lf.Lake) -> None:
    lake.folio("a").add_artifact("limit", b"x" * 4096)
    lake.folio("a").add_artifact("above", b"x" * 4097)
    assert lake.item("a:limit").storage == "inline"
    assert lake.item("a:above").storage == "blob"
    assert lake.folio("a").get("limit") == b"x" * 4096


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_adding_again_mends_a_lost_blob(lake: lf.Lake, damage: str) -> None:
    content = os.urandom(50_000)
    lake.folio("a").add_artifact("x", content)
    store, key = session_of(lake).store, key_of(lake, "a:x")
    store.delete([key])
    if damage == "truncated":
        store.create(key, content[:1000])
    with pytest.raises(lf.IntegrityError) as caught:
        lake.folio("a").get("x")
    assert caught.value.kind == f"blob-{damage}"
    assert caught.value.key == key
    assert not lake.check().ok
    lake.folio("b").add_artifact("y", content)
    assert lake.folio("a").get("x") == content
    assert lake.check(read_data=True).ok


def test_a_file_that_changes_while_it_is_added_is_refused(lake: lf.Lake, tmp_path, monkeypatch) -> None:
    from lakefolio.content import blobs

    path = tmp_path / "growing.bin"
    path.write_bytes(b"a" * 100_000)
    digest_of = blobs.sha256_of_file

    def then_change(which):
        digest = digest_of(which)
        path.write_bytes(b"b" * 100_000)
        return digest

    # the change has to fall between the two reads of one call, which no other process can time
    monkeypatch.setattr(blobs, "sha256_of_file", then_change)
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.folio("a").add_artifact("x", path)
    assert caught.value.kind == "file-changed"
    monkeypatch.undo()
    assert lake.folios() == []
    assert lake.check().counts["orphans"] == 0


def test_an_orphan_is_taken_over(lake: lf.Lake) -> None:
    """A writer that was killed after its upload leaves a blob; the next one with that content uses it."""
    content = os.urandom(50_000)
    lake.folio("a").add_artifact("x", content)
    orphan = key_of(lake, "a:x")
    other = lf.open(lake.uri + "-other")
    session_of(other).store.create(orphan, content)
    assert other.check().counts["orphans"] == 1
    other.folio("a").add_artifact("x", content)
    assert other.check(read_data=True).counts["orphans"] == 0
