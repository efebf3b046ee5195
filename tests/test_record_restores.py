"""A restore with record tables is several commits: one that ends in between is told, and the next one ends it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import lakefolio as lf
from lakefolio.journal.journal import Journal
from lakefolio.model.changes import Restore
from lakefolio.records.table import RecordTable
from lakefolio.session import record_commits


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    lake = lf.open(tmp_path / "lake")
    for folio in ("f", "g"):
        lake.folio(folio).create_table("t", {"id": "int64"}).append({"id": 1})
    lake.folio("f").add("x", 1)
    lake.snapshot("s")
    for folio in ("f", "g"):
        lake.folio(folio).table("t").append({"id": 2})
    return lake


def interrupted(lake: lf.Lake, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """Restore, and be interrupted when the second table, or the rest, is about to be restored."""
    commit, restore, count = Journal.commit, RecordTable.restore, [0]

    def commits(journal: Journal, said: Any) -> Any:
        if any(isinstance(change, Restore) for change in said.changes):
            raise KeyboardInterrupt
        return commit(journal, said)

    def restores(*given: Any) -> Any:
        count[0] += 1
        if count[0] == 2:
            raise KeyboardInterrupt
        return restore(*given)

    with monkeypatch.context() as patched:
        if at == "the commit":
            patched.setattr(Journal, "commit", commits)
        else:
            patched.setattr(RecordTable, "restore", restores)
        with pytest.raises(KeyboardInterrupt):
            lake.restore("s")


@pytest.mark.parametrize(("at", "changed"), [("the second table", True), ("the commit", False)])
def test_a_restore_that_ended_half_way_is_told_and_ends_with_the_next(
    lake: lf.Lake, monkeypatch: pytest.MonkeyPatch, at: str, changed: bool
) -> None:
    if changed:
        lake.folio("f").add("x", 2, overwrite=True, keep=True)
    interrupted(lake, monkeypatch, at)
    apart = lake.version
    assert lf.open(lake.uri).check().ok  # it may be under way
    monkeypatch.setattr(record_commits, "_UNDER_WAY", timedelta(0))
    (problem,) = lf.open(lake.uri).check().problems
    assert problem.kind == "restore-unfinished"
    assert "f:t, g:t" in problem.message
    lake.restore("s", folio="f")  # the other table is none of it
    assert [one.kind for one in lf.open(lake.uri).check().problems] == ["restore-unfinished"]
    lf.open(lake.uri).restore("s")
    fresh = lf.open(lake.uri)
    assert fresh.check(read_data=True).problems == []
    assert [fresh.folio(folio).table("t").count() for folio in "fg"] == [1, 1]
    assert fresh.folio("f").get("x") == 1
    assert dict(fresh.metadata) == {}
    fresh.restore(apart)  # what was said there is not said again
    assert fresh.check().problems == []


def test_a_restore_without_tables_is_one_commit(lake: lf.Lake) -> None:
    lake.restore("s")
    before = lake.version
    lake.folio("f").add("x", 2, overwrite=True, keep=True)
    lake.restore("s")
    assert lake.version == before + 2


def test_the_restore_of_a_folio_ends_one_that_lacks_nothing_but_its_end(
    lake: lf.Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(record_commits, "_restored", ended(record_commits._restored, fails))
        with pytest.raises(KeyboardInterrupt):
            lake.restore("s", folio="g")
    monkeypatch.setattr(record_commits, "_UNDER_WAY", timedelta(0))
    assert [one.kind for one in lf.open(lake.uri).check().problems] == ["restore-unfinished"]
    lake.restore("s", folio="g", dry_run=True)
    assert not lf.open(lake.uri).check().ok
    lake.restore("s", folio="g")
    assert lf.open(lake.uri).check().problems == []


def ended(function: Any, end: Any) -> Any:
    """Return a function that does all, and then something else than to return."""

    def all_of_it(*given: Any) -> Any:
        function(*given)
        return end()

    return all_of_it
