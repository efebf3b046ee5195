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


STRUCT = "struct<a: int32, b: string>"
NESTED = [
    ("struct<b: string, a: int32>", [], "full"),
    ("struct<a: int32, b: string, c: list<item: double>>", ["+ {}.c added: list<item: double>"], "backward"),
    ("struct<a: int32>", ["- {}.b removed: string"], "forward"),
    ("struct<a: int64, b: large_string>", ["~ {}.a widened: int32 → int64"], "backward"),
    ("struct<a: int16 not null, b: string>", ["~ {}.a narrowed: int32 → int16"], "forward"),
    ("struct<z: int32, b: string>", ["- {}.a removed: int32", "+ {}.z added: int32"], "none"),
    ("struct<a: timestamp[us, tz=UTC], b: string>", ["~ {}.a changed: int32 → timestamp[us, tz=UTC]"], "none"),
]
AROUND = {
    "x": "{}",
    "x[]": "list<item: {}>",
    "x[value]": "map<string, {}>",
    "x.in[].deep": "struct<in: large_list<element: struct<deep: {}>>, d: decimal128(3, 1)>",
    "x[][]": "fixed_size_list<item: list<item: {} not null>>[3]",
}


@pytest.mark.parametrize("path", AROUND)
@pytest.mark.parametrize(("new", "changes", "level"), NESTED)
def test_nested_types_are_compared_part_by_part(path: str, new: str, changes: list[str], level: str) -> None:
    old, later = (AROUND[path].format(one) for one in (STRUCT, new))
    found = compare_schemas(table(1, x=old), table(2, x=later))
    assert [str(one) for one in found.changes] == [one.format(path) for one in changes]
    assert found.level == level


def test_a_field_of_a_struct_that_is_known_to_be_the_same() -> None:
    renamed = {"x.a": "x.z"}
    found = compare_schemas(table(1, x=STRUCT), table(2, x="struct<z: int64, b: string>"), renamed=renamed)
    assert [one.change for one in found.changes] == ["renamed", "widened"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (STRUCT, f"list<item: {STRUCT}>"),
        ("fixed_size_list<item: int32>[3]", "fixed_size_list<item: int32>[4]"),
        ("map<string, int32>", "struct<key: string, value: int32>"),
        ("struct<a, b: int32>", "struct<a, b: int64>"),
        ("struct<>", STRUCT),
        ("list<item: " * 5_000 + "int32" + ">" * 5_000, "list<item: " * 5_000 + "int64" + ">" * 5_000),
    ],
)
def test_types_that_are_nested_otherwise_are_changed_as_a_whole(old: str, new: str) -> None:
    found = compare_schemas(table(1, x=old), table(2, x=new))
    assert [(one.change, one.name) for one in found.changes] == [("changed", "x")]
