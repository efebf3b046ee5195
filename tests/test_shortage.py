"""DuckDB's lack of room is told as such, whoever asked it: it is no fault of the statement."""

from __future__ import annotations

from pathlib import Path

import pytest

import lakefolio as lf
from lakefolio.views.resource_errors import resource_error
from lakefolio.views.workbench import Workbench

LISTS = "select list(i || repeat('abcdefgh', 100)) as found from range(20000000) as t(i)"


def test_a_statement_that_needs_too_much_memory(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add("a", 1)
    with pytest.raises(lf.StorageError, match=r"select list.*needs more memory than the 512.0 MiB") as caught:
        lake.sql(LISTS).fetchall()
    assert caught.value.kind == "no-memory"
    assert "ask for less at once" in str(caught.value.hint)
    assert lake.sql("select item from items").fetchall() == [("a",)]
    with pytest.raises(lf.InvalidInputError) as wrong:
        lake.sql("select nothing from items")
    assert wrong.value.kind == "sql"


def test_maintenance_that_needs_too_much_memory() -> None:
    with Workbench(24 << 20) as bench, pytest.raises(lf.StorageError, match="needs more memory") as caught:
        bench.run(LISTS)
    assert caught.value.kind == "no-memory"


def test_what_is_lacking_is_told_apart() -> None:
    import duckdb

    def kind_of(exc: Exception) -> tuple[str, str | None] | None:
        found = resource_error(exc, "it")
        return None if found is None else (found.kind, found.hint)

    full = duckdb.OutOfMemoryException(
        "Out of Memory Error: failed to offload data block of size 32 KiB (9 MiB/9 MiB used).\n"
        "This limit was set by the 'max_temp_directory_size' setting."
    )
    alone = duckdb.OutOfMemoryException(
        "Out of Memory Error: could not allocate block of size 256.0 KiB (47.6 MiB/47.6 MiB used)\n"
        "Database is launched in in-memory mode and no temporary directory is specified."
    )
    disk = duckdb.IOException('IO Error: Could not write file "/tmp/x": No space left on device')
    assert kind_of(full) == kind_of(disk) == ("no-scratch", "free some space, or set TMPDIR to a folder with more")
    assert (kind_of(alone) or ("", ""))[0] == "no-memory"
    assert "TMPDIR" in str((kind_of(alone) or ("", ""))[1])
    assert kind_of(duckdb.BinderException("Binder Error: no such column")) is None
