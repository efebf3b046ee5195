"""A check beside busy writers and gc says nothing that is not so; see ``tests/soak/checks.py`` for the long run."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from soak import checks

import lakefolio as lf
from lakefolio.storage.local import LocalStore


def test_checks_beside_writers_find_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    counts = checks.run(str(tmp_path), {}, checks=6, writers=2, of_a_lake=4, pause=0.1)
    assert not [what for what in counts if what == "WRITER FAILED" or what.startswith("PROBLEM")]
    assert counts["checks"] == 6
    assert counts["add"] > 0


def test_a_file_that_is_missing_is_said_beside_a_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f")
    for n in range(5):
        folio.add_json(f"i{n}", "x" * 9000 + str(n))
    blob = next(path for path in (tmp_path / "lake" / "blobs").rglob("*") if path.is_file())
    blob.unlink()
    listed, other = LocalStore.list, lf.open(tmp_path / "lake").folio("other")

    def busy(self: LocalStore, prefix: str, *, after: str | None = None) -> object:
        other.add_json(f"{time.monotonic_ns()}", 1)
        return listed(self, prefix, after=after)

    monkeypatch.setattr(LocalStore, "list", busy)
    assert [problem.kind for problem in lake.check().problems] == ["blob-missing"]
