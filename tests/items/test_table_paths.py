"""Dictionaries inside of tables are found by position, so that no names can make two of them one."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from items_support import MemorySource, roundtrip, store
from thoroughness import examples

import lakefolio as lf
from lakefolio.errors import InvalidInputError
from lakefolio.items import handler_of
from lakefolio.testing.need import need


def words(*values: str | None) -> pa.DictionaryArray:
    return pa.array(values, pa.string()).dictionary_encode()


def struct_of(**fields: pa.Array) -> pa.Array:
    return pa.StructArray.from_arrays(list(fields.values()), list(fields))


def lists_of(values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(range(len(values) + 1), pa.int32()), values)


def maps_of(keys: pa.Array, values: pa.Array) -> pa.Array:
    return pa.MapArray.from_arrays(pa.array(range(len(values) + 1), pa.int32()), keys, values)


def table(**columns: pa.Array) -> pa.Table:
    return pa.table({name.replace("_DOT_", ".").replace("_LIST", "[]"): column for name, column in columns.items()})


A, B, C = words("x", "y"), words("u", "v"), words("p", None)
TABLES = {
    "a.b beside a{b}": table(a_DOT_b=A, a=struct_of(b=B)),
    "a{b} beside a.b": table(a=struct_of(b=B), a_DOT_b=A),
    "c[] beside the list c": table(c_LIST=A, c=lists_of(B)),
    "d[].key beside the map d": pa.table({"d[].key": C, "d[].value": A, "d": maps_of(A, B)}),
    "a{b.c} beside a{b{c}}": table(a=pa.StructArray.from_arrays([A, struct_of(c=B)], ["b.c", "b"])),
    "an empty name": pa.table({"": A, ".": B, "..": C}),
    "list of struct of list": table(a=lists_of(struct_of(b=lists_of(A), c=B))),
    "map of struct": table(a=maps_of(pa.array(["k", "l"]), struct_of(b=A, c=C))),
    "map with keys and values": table(a=maps_of(A, B)),
    "numbers": table(a_DOT_b=pa.array([5, 6]).dictionary_encode(), a=struct_of(b=pa.array([7, 8]).dictionary_encode())),
    "no rows": table(a_DOT_b=A, a=struct_of(b=B)).slice(0, 0),
}


@pytest.mark.parametrize("name", TABLES)
def test_names_that_look_like_paths_come_back(name: str, tmp_path) -> None:
    added = TABLES[name]
    back = roundtrip(added)
    assert back.schema == added.schema
    assert back.equals(added)
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add("t", added)
    assert lake.get("f:t").equals(added)
    assert lake.check(read_data=True).ok
    for column in added.column_names:
        assert lake.get("f:t", columns=[column]).equals(added.select([column]))
        kept = lake.get("f:t", columns=[column], filters=~pc.field(column).is_null())
        assert kept.schema.names == [column]
    assert lake.get("f:t", columns=added.column_names[::-1]).equals(added.select(added.column_names[::-1]))


def test_the_paths_in_the_file_are_positions() -> None:
    import json

    source, _ = store(table(k=pa.array([1, 2]), a=struct_of(b=A, c=lists_of(B)), m=maps_of(A, C), e=C))
    footer = json.loads(pq.read_metadata(pa.BufferReader(source.content)).metadata[b"lakefolio:table"])
    assert sorted(footer["dictionaries"]) == ["1.0", "1.1.0", "2.0.0", "2.0.1", "3"]


def test_fields_of_one_name_are_refused() -> None:
    twice = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    for column in (twice, lists_of(twice), maps_of(pa.array(["k"]), twice)):
        with pytest.raises(InvalidInputError) as caught:
            store(table(x=column))
        assert caught.value.kind == "unsupported-column"
        assert caught.value.column == "x"
    with pytest.raises(InvalidInputError) as caught:
        store(pa.Table.from_arrays([A, B], names=["a", "a"]))
    assert caught.value.kind == "duplicate-columns"


def test_dictionaries_of_dictionaries_are_refused_or_come_back() -> None:
    inner = struct_of(a=A)
    nested = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), inner)
    with pytest.raises(InvalidInputError) as caught:
        store(table(x=nested))
    assert caught.value.column == "x"


def test_a_missing_dictionary_is_damage() -> None:
    from lakefolio.errors import IntegrityError

    source, encoded = store(table(a=A))
    content = source.content.replace(b'{"dictionaries": {"0":', b'{"dictionaries": {"9":')
    with pytest.raises(IntegrityError):
        handler_of("table").decode(MemorySource(content), encoded.details)


def test_categories_and_enums_beside_structs() -> None:
    pl, pd = need("polars", "polars"), need("pandas", "pandas")
    frame = pl.DataFrame(
        {
            "a.b": pl.Series(["x", "y"], dtype=pl.Categorical),
            "a": pl.Series([{"b": "u"}, {"b": "v"}], dtype=pl.Struct({"b": pl.Enum(["u", "v", "w"])})),
            "c[]": pl.Series(["x", None], dtype=pl.Enum(["x"])),
            "c": pl.Series([["u"], []], dtype=pl.List(pl.Categorical)),
        }
    )
    back = roundtrip(frame)
    assert back.equals(frame)
    assert back.schema == frame.schema
    category = pd.DataFrame({"a.b": pd.Categorical(["x", "y"]), "a[]": pd.Categorical(["u", "v"], ["v", "u", "w"])})
    pd.testing.assert_frame_equal(roundtrip(category), category)


NAMES = st.text("ab.[]", min_size=0, max_size=5)


@st.composite
def columns(draw: st.DrawFn, depth: int = 2) -> pa.Array:
    kind = draw(st.sampled_from(["words", "words", "numbers", *(["struct", "list", "map"] if depth else [])]))
    if kind == "words":
        return words(*draw(st.lists(st.sampled_from(["x", "y", "z", None]), min_size=2, max_size=2)))
    if kind == "numbers":
        return pa.array([1, 2])
    if kind == "list":
        return lists_of(draw(columns(depth - 1)))
    if kind == "map":
        return maps_of(pa.array(["k", "l"]), draw(columns(depth - 1)))
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    return struct_of(**{name: draw(columns(depth - 1)) for name in names})


@given(st.dictionaries(NAMES, columns(), min_size=1, max_size=4))
@settings(deadline=None, max_examples=examples(150), suppress_health_check=[HealthCheck.too_slow])
def test_whatever_the_names_are(found: dict[str, pa.Array]) -> None:
    added = pa.table(found)
    back = roundtrip(added)
    assert back.schema == added.schema
    assert back.equals(added)


def test_a_path_that_a_field_and_a_column_have_in_common() -> None:
    added = pa.table({"": struct_of(**{"": words("x", "x")}), ".": pa.array([1, 2])})
    assert roundtrip(added).equals(added)
    added = pa.table({".": words("x", None), "": struct_of(**{"": pa.array([1, 2])})})
    assert roundtrip(added).equals(added)
