from datetime import UTC, datetime
from typing import Any

import pytest

from lakefolio.model.compatibility import compare_schemas
from lakefolio.model.entries import Entry


def entry(version: int, kind: str = "table", **details: Any) -> Entry:
    return Entry(
        version=version,
        ordinal=0,
        committed_at=datetime(2024, 3, 1, tzinfo=UTC),
        commit_id="0" * 32,
        reason="add",
        author=None,
        message=None,
        folio="f",
        item="x",
        entry_id=f"{version:032x}",
        kind=kind,
        storage="inline",
        details=details,
    )


def table(version: int, **columns: str) -> Entry:
    return entry(version, columns=[{"name": name, "dtype": kind} for name, kind in columns.items()])


WIDER = [
    ("int8", "int16"),
    ("int32", "int64"),
    ("uint8", "int16"),
    ("uint32", "uint64"),
    ("int16", "float"),
    ("int32", "double"),
    ("float", "double"),
    ("null", "string"),
    ("date32[day]", "date64[ms]"),
    ("timestamp[ms]", "timestamp[us]"),
    ("timestamp[ms, tz=UTC]", "timestamp[us, tz=UTC]"),
    ("decimal128(10, 2)", "decimal128(12, 3)"),
]
OTHER = [
    ("int64", "double"),
    ("uint32", "int32"),
    ("int32", "uint64"),
    ("string", "int64"),
    ("timestamp[ms]", "timestamp[us, tz=UTC]"),
    ("decimal128(10, 2)", "decimal128(10, 3)"),
    ("list<item: int64>", "list<item: double>"),
]


@pytest.mark.parametrize(("old", "new"), WIDER)
def test_a_wider_type_holds_every_value(old: str, new: str) -> None:
    found = compare_schemas(table(1, a=old), table(2, a=new))
    assert ([one.change for one in found.changes], found.level, found.bump) == (["widened"], "backward", "minor")
    back = compare_schemas(table(1, a=new), table(2, a=old))
    assert ([one.change for one in back.changes], back.level, back.bump) == (["narrowed"], "forward", "major")


@pytest.mark.parametrize(("old", "new"), OTHER)
def test_types_that_lose_values_either_way_break_both(old: str, new: str) -> None:
    found = compare_schemas(table(1, a=old), table(2, a=new))
    assert ([one.change for one in found.changes], found.level, found.bump) == (["changed"], "none", "major")


@pytest.mark.parametrize(
    "new", ["large_string", "string_view", "dictionary<values=string, indices=int32, ordered=0>", "string"]
)
def test_how_values_are_kept_makes_no_difference(new: str) -> None:
    assert compare_schemas(table(1, a="string"), table(2, a=new)).level == "full"


def test_columns_that_come_go_and_are_renamed() -> None:
    old = table(1, a="int64", b="string")
    assert compare_schemas(old, table(2, b="string", a="int64")).level == "full"
    assert compare_schemas(old, table(2, a="int64", b="string", c="double")).level == "backward"
    gone = compare_schemas(old, table(2, a="int64"))
    assert (gone.level, gone.bump, [one.name for one in gone.changes]) == ("forward", "major", ["b"])
    moved = compare_schemas(old, table(2, a="int64", c="string"), renamed={"b": "c"})
    assert (moved.level, [one.change for one in moved.changes]) == ("none", ["renamed"])
    both = compare_schemas(table(1, a="int32"), table(2, b="int64"), renamed={"a": "b"})
    assert [one.change for one in both.changes] == ["renamed", "widened"]


def test_kinds_and_arrays() -> None:
    assert compare_schemas(entry(1, "json"), entry(2, "table")).level == "none"
    assert compare_schemas(entry(1, "json"), entry(2, "json")).bump == "patch"
    old = entry(1, "array", dtype="float32", shape=[3, 2])
    assert compare_schemas(old, entry(2, "array", dtype="float32", shape=[9, 2])).level == "full"
    assert compare_schemas(old, entry(2, "array", dtype="float64", shape=[3, 2])).level == "backward"
    assert compare_schemas(old, entry(2, "array", dtype="float32", shape=[3])).level == "none"


@pytest.mark.parametrize("columns", [None, 7, "ab", [1], [{"dtype": "int64"}], {"a": 1}])
def test_details_of_others_are_not_trusted(columns: object) -> None:
    assert compare_schemas(entry(1, columns=columns), table(2, a="int64")).backward
