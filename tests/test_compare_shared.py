"""Row groups whose bytes are equal are not decoded when two versions of a table are compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakefolio.views.shared_rows import shared_rows
from lakefolio.views.table_changes import table_changes

ROWS = 1_000


def table(count: int = 10 * ROWS) -> pa.Table:
    rng = np.random.default_rng(0)
    return pa.table({"k": np.arange(count), "v": rng.random(count), "s": pa.array(map(str, range(count)))})


def written(path: Path, rows: pa.Table) -> Path:
    pq.write_table(rows, path, row_group_size=ROWS, compression="zstd")
    return path


def with_value(rows: pa.Table, place: int, value: float) -> pa.Table:
    values = rows["v"].to_numpy().copy()
    values[place] = value
    return rows.set_column(1, "v", pa.array(values))


def spoilt(path: Path, group: int, column: int) -> None:
    """Overwrite the bytes of a column chunk, so that nothing can decode it."""
    chunk = pq.read_metadata(path).row_group(group).column(column)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xff" * chunk.total_compressed_size)


@pytest.mark.parametrize("key", [(), ("k",)])
def test_only_what_differs_is_decoded(tmp_path, key):
    paths = written(tmp_path / "a", table()), written(tmp_path / "b", with_value(table(), 4_321, -1.0))
    for group in range(10):
        for path in paths:
            spoilt(path, group, 2)  # a column that is equal everywhere
            if group != 4 and not key:
                spoilt(path, group, 0)
    if key:  # the key, where nothing else differs
        for group in (0, 9):
            for path in paths:
                spoilt(path, group, 0)
    with pytest.raises(OSError, match=r"."):
        pq.read_table(paths[0])
    found = table_changes(*paths, key, 0)
    assert (found.changed, found.shared, found.added, found.removed) == (1, 9 * ROWS, 0, 0)
    assert {one.name: one.changed_count for one in found.columns} == {"k": 0, "v": 1, "s": 0}


def test_equal_keys_are_matched_by_position_and_the_rest_joined(tmp_path):
    old = table()
    new = pa.concat_tables([with_value(old, 10, 5.0), table(12 * ROWS).slice(10 * ROWS)]).slice(0, 11_500)
    paths = written(tmp_path / "a", old), written(tmp_path / "b", new)
    shared = shared_rows(*paths, ["k"], {one: one for one in "kvs"})
    assert (shared.beside, shared.columns) == (((0, ROWS),), {"v"})
    assert (shared.same, shared.left(11_500)) == (((ROWS, 10 * ROWS),), [(10 * ROWS, 11_500)])
    found = table_changes(*paths, ["k"], 5)
    assert (found.changed, found.added, found.removed, found.shared) == (1, 1_500, 0, 9 * ROWS)
    assert [row.where["k"] for row in found.examples if row.change == "added"] == [
        "10000", "10001", "10002", "10003", "10004"
    ]  # fmt: skip


@pytest.mark.parametrize("key", [(), ("k",)])
def test_of_many_ranges_the_longest_are_shared_and_no_row_is_lost(tmp_path, key):
    old = table(100 * ROWS)
    places = [number * ROWS for number in range(0, 100, 2) if number != 50]  # every other row group but one
    new = old
    values = old["v"].to_numpy().copy()
    values[places] = -1.0
    new = old.set_column(1, "v", pa.array(values))
    paths = written(tmp_path / "a", old), written(tmp_path / "b", new)
    shared = shared_rows(*paths, key, {one: one for one in "kvs"})
    assert (len(shared.same), len(shared.beside)) == (32, 32)
    assert (49 * ROWS, 52 * ROWS) in shared.same
    found = table_changes(*paths, key, 100)
    assert (found.changed, [int(one.where["k" if key else "row"]) for one in found.examples]) == (49, places)
    whole = shared_rows(paths[0], written(tmp_path / "c", with_value(old, 0, -1.0)), key, {one: one for one in "kvs"})
    assert (whole.same, whole.beside) == (((ROWS, 100 * ROWS),), ((0, ROWS),))


def test_columns_of_other_types_or_encodings_are_not_shared(tmp_path):
    a = written(tmp_path / "a", table())
    other = table().set_column(0, "k", table()["k"].cast(pa.timestamp("us")))
    b = written(tmp_path / "b", other)
    names = {one: one for one in "kvs"}
    assert shared_rows(a, b, [], names).columns == {"k"}
    pq.write_table(table(), tmp_path / "c", row_group_size=ROWS, compression="snappy")
    assert shared_rows(a, tmp_path / "c", [], names).same == ()
    assert shared_rows(a, tmp_path / "c", ["k"], names) == shared_rows(a, b, ["k"], names)
    assert table_changes(a, tmp_path / "c", ["k"], 5).changed == 0


def test_nested_columns_have_many_chunks(tmp_path):
    rows = pa.table({"k": [1, 2, 3], "n": [{"a": [1], "b": "x"}, {"a": [], "b": None}, None]})
    other = rows.set_column(1, "n", pa.array([{"a": [1], "b": "x"}, {"a": [], "b": None}, {"a": [3], "b": "z"}]))
    for key in ([], ["k"]):
        paths = written(tmp_path / "a", rows), written(tmp_path / "b", other)
        assert shared_rows(*paths, key, {"k": "k", "n": "n"}).columns == {"n"}
        assert table_changes(*paths, key, 5).changed == 1


edits = st.lists(
    st.tuples(st.integers(0, 59), st.sampled_from(["value", "remove", "insert", "append", "swap"])), max_size=5
)


@settings(deadline=None, max_examples=15)
@given(edits, st.booleans())
def test_what_is_shared_changes_no_answer(tmp_path_factory, made, by_key):
    folder = tmp_path_factory.mktemp("shared")
    old = [(number, float(number)) for number in range(60)]
    new = list(old)
    for at, what in made:
        place = min(at, len(new) - 1)
        if what == "value":
            new[place] = (new[place][0], new[place][1] + 0.5)
        elif what == "remove":
            del new[place]
        elif what == "swap":
            new[0], new[place] = new[place], new[0]
        else:
            new.insert(place if what == "insert" else len(new), (1_000 + len(new) + at * 100, 0.0))
    key = ["k"] if by_key and len({one for one, _ in new}) == len(new) else []
    tables = [pa.table({"k": [one[0] for one in rows], "v": [one[1] for one in rows]}) for rows in (old, new)]
    paths = [folder / "a", folder / "b"]
    for path, rows in zip(paths, tables, strict=True):
        pq.write_table(rows, path, row_group_size=8)
    from_files, in_memory = table_changes(*paths, key, 3), table_changes(*tables, key, 3)
    for name in ("added", "removed", "changed", "columns", "examples"):
        assert getattr(from_files, name) == getattr(in_memory, name), name


EDITS = [
    ([0, 1, None, 2], [0, 1, 9, None, 2], (1, 0, 0), [2]),
    ([0, 1, None, 2], [0, None, 2], (0, 1, 0), [1]),
    ([0, 1, 2, 3, 4], [0, 9, 2, 8, 3, 4], (1, 0, 1), [3]),
    ([1, 1, 1], [1, 1, 1, 1], (1, 0, 0), [3]),
    ([1, 1], [9, 1, 1], (1, 0, 0), [0]),
    ([5, 1, 1], [1, 1], (0, 1, 0), [0]),
    ([1, 2], [3, 4, 5], (1, 0, 2), [2]),
    ([1, 2, 3, 4], [4], (0, 3, 0), [0, 1, 2]),
]


@pytest.mark.parametrize("are_files", [False, True])
@pytest.mark.parametrize(("old", "new", "counts", "rows"), EDITS)
def test_rows_that_were_inserted_or_removed_are_those_alone(tmp_path, old, new, counts, rows, are_files):
    tables = [pa.table({"a": pa.array(one, pa.int64()), "b": [1.5] * len(one)}) for one in (old, new)]
    sides = [written(tmp_path / str(place), one) for place, one in enumerate(tables)] if are_files else tables
    found = table_changes(*sides, (), 10)
    assert (found.added, found.removed, found.changed) == counts
    assert [int(one.where["row"]) for one in found.examples if one.change != "changed"] == rows


def test_a_row_inserted_into_a_long_table_is_found_behind_what_is_shared(tmp_path):
    old, row = table(), table(1)
    new = pa.concat_tables([old.slice(0, 4_500), row, old.slice(4_500)])
    paths = written(tmp_path / "a", old), written(tmp_path / "b", new)
    for path in paths:
        spoilt(path, 0, 0)  # it is not decoded
    found = table_changes(*paths, (), 3)
    assert (found.added, found.removed, found.changed, found.shared) == (1, 0, 0, 4 * ROWS)
    assert [(one.where, one.new["s"]) for one in found.examples] == [({"row": "4500"}, "0")]
    gone = table_changes(*reversed(paths), (), 3)
    assert (gone.added, gone.removed, gone.changed) == (0, 1, 0)
