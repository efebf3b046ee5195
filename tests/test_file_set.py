"""The files of a Delta table at a version: pure, so that each rule is asked by itself."""

from __future__ import annotations

import pytest

from lakefolio.delta.actions import DataFile, LogEntry, Total
from lakefolio.delta.checkpoint import to_checkpoint
from lakefolio.delta.file_set import FileSet


def data_file(path: str, first: int, last: int, rows: int = 1) -> DataFile:
    stats = f'{{"numRecords": {rows}}}'
    return DataFile(path, 10 * rows, rows, stats, 0, f"seal of {path}", (first, last))


def appended(*counts: int) -> FileSet:
    """A table of a file a version, with so many rows each."""
    files = FileSet("manifests")
    for version, rows in enumerate(counts):
        file = data_file(f"{version}.parquet", version, version, rows)
        files.replay(LogEntry(version, (f"commit {version}",), (file,), (), {}))
    return files


def merged(files: FileSet, *paths: str) -> FileSet:
    """Replace files by one with the same rows, in a version of its own."""
    gone = [files.active[path] for path in paths]
    first, last = gone[0].versions[0], gone[-1].versions[1]
    one = data_file(f"merged-{first}-{last}", first, last, sum(file.row_count for file in gone))
    files.replay(LogEntry(files.version + 1, (), (), (one,), dict.fromkeys(paths, 77)))
    return files


def test_an_append_adds_its_file_and_its_rows() -> None:
    files = appended(3, 4)
    assert (files.version, files.sizes) == (1, {"0.parquet": 30, "1.parquet": 40})
    assert (files.total.files, files.total.rows) == (2, 7)
    assert appended(3, 4).total == files.total != appended(4, 3).total


def test_a_merge_changes_no_row_and_what_it_replaced_is_known_for_a_while() -> None:
    files = merged(appended(1, 2, 3), "0.parquet", "1.parquet")
    assert [file.path for file in files.listed] == ["2.parquet", "merged-0-1"]
    assert (files.total.files, files.total.rows) == (2, 6)
    assert files.replaced == {"0.parquet": 77, "1.parquet": 77}


def test_rows_of_a_version_are_looked_for_where_fewest_others_are() -> None:
    files = merged(appended(1, 1, 1, 1), "0.parquet", "1.parquet", "2.parquet")
    assert [file.path for file in files.with_version(1)] == ["1.parquet", "merged-0-2"]
    assert [file.path for file in files.with_version(3)] == ["3.parquet"]


@pytest.mark.parametrize(
    ("after", "upto", "paths"),
    [
        (-1, None, ["merged-0-1", "2.parquet", "3.parquet"]),
        (0, 1, ["merged-0-1"]),
        (1, None, ["2.parquet", "3.parquet"]),
        (2, 2, []),
    ],
)
def test_only_files_that_may_hold_the_rows_are_read_the_oldest_first(
    after: int, upto: int | None, paths: list[str]
) -> None:
    files = merged(appended(1, 1, 1, 1), "0.parquet", "1.parquet")
    assert [file.path for file in files.between(after, upto)] == paths


def test_the_newest_replaced_files_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakefolio.delta.file_set._KEPT_TOMBSTONES", 3)
    files = merged(appended(*[1] * 5), *(f"{number}.parquet" for number in range(5)))
    assert list(files.replaced) == ["2.parquet", "3.parquet", "4.parquet"]


def test_a_checkpoint_gives_the_files_that_it_was_made_of() -> None:
    files = merged(appended(1, 2, 3), "0.parquet", "1.parquet")
    body = to_checkpoint({"id": "t", "configuration": {}}, files.listed, list(files.tombstones.values()))
    found = FileSet.of_checkpoint("manifests", files.version, body)
    assert (found.version, found.checkpoint_version, found.total) == (3, 3, files.total)
    assert found.sizes == files.sizes
    assert found.replaced == files.replaced


def test_a_total_that_the_log_contradicts_is_told_with_both_counts() -> None:
    error = appended(1, 2).differs("_delta_log/1.json", "log-differs", Total())
    assert (error.kind, error.key, error.table) == ("log-differs", "_delta_log/1.json", "manifests")
    assert "0 files" in error.message
    assert "2 with 3" in error.message
