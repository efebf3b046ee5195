"""Kind table: pandas, polars and Arrow tables come back as they were."""

import datetime as dt
import decimal
import io
import uuid

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import pytz
from arrow_strategies import rechunked, tables
from hypothesis import given, settings
from hypothesis import strategies as st
from items_support import MemorySource, roundtrip, store
from polars.testing import assert_frame_equal as assert_polars_equal
from polars.testing.parametric import dataframes
from thoroughness import examples

from lakefolio.errors import IntegrityError, InvalidInputError, UnsupportedTypeError
from lakefolio.format.table_digest import table_digest
from lakefolio.items import handler_for, handler_of, parquet
from lakefolio.items.handler import FilePayload
from lakefolio.testing.need import need

pd = need("pandas", "pandas")


def check(obj: object) -> None:
    back = roundtrip(obj)
    assert type(back) is type(obj)
    if isinstance(obj, pd.Series):
        pd.testing.assert_series_equal(back, obj, check_freq=True)
    else:
        pd.testing.assert_frame_equal(back, obj, check_freq=True)
    assert back.attrs == obj.attrs


# Arrow


@settings(max_examples=examples(200), deadline=None)
@given(st.data())
def test_arrow_tables_come_back(data: st.DataObject) -> None:
    table = data.draw(tables())
    source, encoded = store(data.draw(rechunked(table)))
    back = handler_of("table").decode(source, encoded.details)
    assert back.schema.equals(table.schema, check_metadata=True)
    assert table_digest(back) == table_digest(table) == encoded.digest
    assert encoded.row_count == table.num_rows


def test_arrow_batches_readers_and_datasets_stream(tmp_path) -> None:
    table = pa.table({"a": range(10), "c": pa.array(["x", "y"] * 5).dictionary_encode()})
    wanted = table_digest(table)
    pq.write_table(table, tmp_path / "t.parquet")
    batches = table.to_batches(max_chunksize=3)
    assert len(batches) == 4
    sources = [
        table.combine_chunks().to_batches()[0],
        pa.RecordBatchReader.from_batches(table.schema, batches),
        ds.dataset(table),
        ds.dataset(table).scanner(),
        ds.dataset(tmp_path / "t.parquet"),
    ]
    for obj in sources:
        assert handler_for(obj).kind == "table"
        source, encoded = store(obj)
        assert encoded.digest == wanted
        assert encoded.row_count == 10
        assert handler_of("table").decode(source, encoded.details).equals(table)


def test_a_duckdb_relation_streams() -> None:
    import duckdb

    relation = duckdb.sql("select range as a, 'x' || range as b from range(5)")
    source, encoded = store(relation)
    assert handler_of("table").decode(source, encoded.details).to_pydict() == {
        "a": [0, 1, 2, 3, 4],
        "b": ["x0", "x1", "x2", "x3", "x4"],
    }


def test_small_batches_make_few_row_groups() -> None:
    schema = pa.schema([("a", pa.int64())])
    batches = (pa.record_batch([pa.array([number])], schema=schema) for number in range(500))
    source, encoded = store(pa.RecordBatchReader.from_batches(schema, batches))
    assert encoded.row_count == 500
    assert pq.read_metadata(io.BytesIO(source.content)).num_row_groups == 1


def test_other_readers_understand_the_file(tmp_path) -> None:
    import duckdb

    table = pa.table(
        {
            "n": pa.array([1, 2, 1]).dictionary_encode(),
            "s": pa.array([1, None, 3], pa.timestamp("s", "+01:00")),
            "l": pa.array([["x"], None, []]),
        }
    )
    path = store(table)[0].path()
    assert duckdb.sql(f"select n, l from read_parquet('{path}')").fetchall() == [(1, ["x"]), (2, None), (1, [])]
    assert pl.read_parquet(path)["n"].to_list() == [1, 2, 1]
    assert pl.scan_parquet(path).select("s").collect().height == 3


@pytest.mark.parametrize(
    "table",
    [
        pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]),
        pa.table({"u": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])}),
        pa.table(
            {
                "r": pa.array([1, 1])
                .dictionary_encode()
                .cast(pa.int64())
                .slice(0, 1)
                .cast(pa.run_end_encoded(pa.int32(), pa.int64()))
            }
        )
        if False
        else pa.table({"e": pa.array([{}], pa.struct([]))}),
        pa.table({"i": pa.array([None], pa.month_day_nano_interval())}),
        pa.table({"l": pa.array([None], pa.list_(pa.struct([])))}),
    ],
    ids=["duplicate", "union", "empty-struct", "interval", "nested"],
)
def test_what_parquet_cannot_hold_is_refused_by_column(table: pa.Table) -> None:
    with pytest.raises(InvalidInputError) as caught:
        store(table)
    assert caught.value.kind in ("duplicate-columns", "unsupported-column")
    assert table.column_names[0] in str(caught.value)


def nested(depth: int, kind: str) -> pa.Table:
    column = pa.array([1])
    for _ in range(depth):
        if kind == "struct":
            column = pa.StructArray.from_arrays([column], ["x"])
        elif kind == "map":
            column = pa.MapArray.from_arrays([0, 1], pa.array(["k"]), column)
        elif kind == "fixed":
            column = pa.FixedSizeListArray.from_arrays(column, 1)
        else:
            column = pa.ListArray.from_arrays([0, 1], column)
    return pa.table({"deep": column})


@pytest.mark.parametrize(("kind", "deepest"), [("list", 47), ("struct", 47), ("fixed", 47), ("map", 23)])
def test_types_that_lie_too_deep_in_one_another_are_refused(kind: str, deepest: int) -> None:
    assert roundtrip(nested(deepest, kind)).equals(nested(deepest, kind))
    for deeper in (deepest + 1, 60, 120):
        with pytest.raises(InvalidInputError, match=r"'deep'.* nested more than 48 deep"):
            store(nested(deeper, kind))


FIXED = pa.list_(pa.int8(), 2)
MISSING_LISTS = {
    "first": pa.array([None, [1, 2]], FIXED),
    "all": pa.array([None, None], FIXED),
    "in a list": pa.array([[None, [1, 2]]], pa.list_(FIXED)),
    "in a struct": pa.array([{"x": None}, None], pa.struct([("x", FIXED)])),
    "in a fixed list": pa.array([[[1, 2]], None, [None]], pa.list_(FIXED, 1)),
    "of dictionaries": pa.FixedSizeListArray.from_arrays(
        pa.array(["a", "b", None, None]).dictionary_encode(), 2, mask=pa.array([False, True])
    ),
}


@pytest.mark.parametrize("name", MISSING_LISTS)
def test_missing_fixed_size_lists_come_back_or_are_refused(name: str) -> None:
    table = pa.table({"lists": MISSING_LISTS[name]})
    try:
        source, encoded = store(table)
    except InvalidInputError as error:
        assert int(pa.__version__.split(".")[0]) < 26, error
        assert error.objects["column"] == "lists"
    else:
        back = handler_of("table").decode(source, encoded.details)
        assert back.to_pylist() == table.to_pylist()
        assert back.schema == table.schema


def test_an_arrow_that_does_not_read_missing_fixed_size_lists_refuses_them(monkeypatch) -> None:
    """As versions before 26 do: they write them, and fail when they read them."""
    read = pq.ParquetFile.read

    def old(self: object, **options: object) -> pa.Table:
        table = read(self, **options)
        if any(column.null_count for column in table.columns):
            raise pa.ArrowInvalid("Expected all lists to be of size=2 but index 1 had size=0")
        return table

    monkeypatch.setattr(pq.ParquetFile, "read", old)
    parquet._reads_missing_lists.cache_clear()
    try:
        with pytest.raises(InvalidInputError, match=r"'lists' .* has missing lists") as caught:
            store(pa.table({"n": [1, 2], "lists": MISSING_LISTS["first"]}))
        assert caught.value.objects["column"] == "lists"
        store(pa.table({"lists": pa.array([[1, 2]], FIXED)}))
    finally:
        parquet._reads_missing_lists.cache_clear()


def test_tables_that_differ_only_in_what_a_schema_says_are_different() -> None:
    """The numbers that Iceberg gives fields are part of a table: the one must not come back for the other."""
    schemas = [
        pa.schema([pa.field("a", pa.int64(), metadata=field)], metadata=whole)
        for field, whole in [(None, None), ({"PARQUET:field_id": "7"}, None), (None, {"ARROW:schema": "x"})]
    ]
    tables = [pa.table([[1]], schema=schema) for schema in schemas]
    assert len({table_digest(table) for table in tables}) == 3
    for table in tables:
        assert roundtrip(table).schema.equals(table.schema, check_metadata=True)


def test_values_that_parquet_cannot_hold_are_refused_by_column() -> None:
    far = pa.array([2**55], pa.timestamp("s"))  # Parquet has milliseconds
    table = pa.table({"a": pa.array([1]), "far": far})
    for kind in (table, table.to_reader(), pa.table({"a": [1], "far": pa.StructArray.from_arrays([far], ["inner"])})):
        with pytest.raises(InvalidInputError, match=r"column 'far' of the type .* Parquet can't hold") as caught:
            store(kind)
        assert caught.value.kind == "unsupported-column"


def test_an_equal_table_is_not_encoded_again() -> None:
    encoded = store(pa.table({"a": [1]}))[1]
    assert callable(handler_of("table").encode(pa.table({"a": [1]}), scratch=None).payload)
    assert encoded.digest == handler_of("table").encode(pa.table({"a": [1]}), scratch=None).digest


def test_large_tables_go_to_a_file(tmp_path) -> None:
    table = pa.table({"a": np.arange(2_000_000)})
    encoded = handler_of("table").encode(table, scratch=tmp_path)
    assert list(tmp_path.iterdir()) == []
    payload = encoded.payload()
    assert isinstance(payload, FilePayload)
    assert payload.temporary
    assert handler_of("table").decode(MemorySource(payload.path.read_bytes()), encoded.details).equals(table)


# pandas

N = [1, 2, 3]
DAYS = ["2020-01-01", None, "2021-01-01"]
COLUMNS = {
    "int8": pd.array(N, "int8"),
    "uint64": np.array([1, 2, 2**64 - 1], "u8"),
    "float": [1.0, np.nan, -0.0],
    "float32": np.array([1, np.inf, 3], "f4"),
    "float16": np.array([1, np.nan, 3], "f2"),
    "bool": [True, False, True],
    "datetime": pd.to_datetime(DAYS),
    "datetime-s": pd.array([*DAYS[:2], "1700-01-01"], "datetime64[s]"),
    "datetime-ns": pd.array(DAYS, "datetime64[ns]"),
    "zone": pd.to_datetime(DAYS).tz_localize("Europe/Paris"),
    "utc": pd.to_datetime(DAYS).tz_localize("UTC"),
    "offset": pd.to_datetime(DAYS).tz_localize(dt.timezone(dt.timedelta(hours=5, minutes=30))),
    "timedelta": pd.to_timedelta([1, None, 3], unit="s"),
    "timedelta-s": pd.array([1, None, 3], "timedelta64[s]"),
    "Int64": pd.array([1, None, 3], "Int64"),
    "UInt8": pd.array([1, None, 3], "UInt8"),
    "Float64": pd.array([1, None, 0.5], "Float64"),
    "boolean": pd.array([True, None, False], "boolean"),
    "str": ["x", None, "z"],
    "object-str": pd.Series(["x", None, "z"], dtype=object),
    "object-nan": pd.Series(["x", np.nan, "z"], dtype=object),
    "object-mixed-missing": pd.Series([np.nan, None, pd.NA], dtype=object),
    "string-python": pd.array(["x", None, "z"], pd.StringDtype("python")),
    "string-pyarrow": pd.array(["x", None, "z"], pd.StringDtype("pyarrow")),
    "category": pd.Categorical(["b", "a", None], categories=["zz", "b", "a"], ordered=True),
    "category-int": pd.Categorical([1, 2, None], categories=[3, 2, 1]),
    "category-object": pd.Categorical(["a", "b", None], categories=pd.Index(["c", "b", "a"], dtype=object)),
    "category-datetime": pd.Categorical(pd.to_datetime(DAYS)),
    "cut": pd.cut([1, 2, 3], [0, 1, 2, 5]),
    "period": pd.PeriodIndex(["2020-01", None, "2021-02"], freq="M"),
    "interval": pd.arrays.IntervalArray.from_tuples([(1, 2), None, (3, 4)]),
    "interval-left": pd.arrays.IntervalArray.from_tuples([(1, 2), (2, 3), (3, 4)], closed="left"),
    "interval-datetime": pd.interval_range(pd.Timestamp("2020"), periods=3),
    "arrow-int": pd.array([1, None, 3], "int64[pyarrow]"),
    "arrow-list": pd.array([[1], None, []], pd.ArrowDtype(pa.list_(pa.int8()))),
    "arrow-timestamp": pd.array([None, *DAYS[1:]], pd.ArrowDtype(pa.timestamp("s", "UTC"))),
    "arrow-dictionary": pd.array(["x", None, "y"], pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))),
    "bytes": [b"a", None, b""],
    "decimal": [decimal.Decimal("1.50"), None, decimal.Decimal("2.25")],
    "date": [dt.date(2020, 1, 1), None, dt.date(1, 1, 1)],
    "time": [dt.time(1, 2, 3), None, dt.time(0)],
    "object-int": pd.Series([1, None, 3], dtype=object),
    "object-bool": pd.Series([True, None, False], dtype=object),
    "object-float": pd.Series([1.5, np.nan, 2.0], dtype=object),
    "object-datetime": pd.Series([dt.datetime(2020, 1, 1), None, pd.NaT], dtype=object),
    "object-zoned": pd.Series([dt.datetime(2020, 1, 1, tzinfo=dt.UTC), None, None], dtype=object),
    "object-timedelta": pd.Series([dt.timedelta(1), None, dt.timedelta(2)], dtype=object),
    "object-numpy": pd.Series([np.float32(1), None, np.float32(2)], dtype=object),
    "list": [[1], None, []],
    "dict": [{"a": 1}, None, {"a": 2}],
    "array": [np.array([1, 2]), None, np.array([], dtype=int)],
    "tuple": [(1, 2), None, (3, 4)],
    "uuid": [uuid.UUID(int=1), None, uuid.UUID(int=2)],
    "null": pd.Series([None] * 3, dtype=object),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_every_dtype_comes_back_as_column_series_and_index(name: str) -> None:
    values = COLUMNS[name]
    frame = pd.DataFrame({name: values})
    for obj in (frame, frame.iloc[:0], frame.iloc[1:], frame.iloc[::-1], pd.Series(values, name=name)):
        check(obj)
    if name != "float16":  # pandas has no such index
        check(pd.DataFrame({"x": N}, index=pd.Index(values, name=name)))


def test_all_columns_together_with_a_multi_index_and_attrs() -> None:
    frame = pd.DataFrame(COLUMNS)
    frame.index = pd.MultiIndex.from_arrays(
        [["a", "b", "b"], [1, 2, None], pd.to_datetime(["2020", "2021", "2022"])], names=["x", None, ("t", 1)]
    )
    frame.attrs = {"unit": "m", "nested": {"shape": (1, 2)}}
    check(frame)
    back = roundtrip(frame, columns=["int8", "category"])
    pd.testing.assert_frame_equal(back, frame[["int8", "category"]])
    pd.testing.assert_frame_equal(roundtrip(frame, columns=[]), frame[[]])


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": range(4)}, index=pd.date_range("2020", periods=4, freq="ME", name="d")),
        pd.DataFrame({"a": range(4)}, index=pd.timedelta_range("1h", periods=4, freq="h")),
        pd.DataFrame({"a": range(3)}, index=pd.RangeIndex(5, 20, 5, name="r")),
        pd.DataFrame(np.zeros((3, 4))),
        pd.DataFrame({1: N, "1": N, (1, 2): N, None: N, 1.5: N, dt.date(2020, 1, 1): N}),
        pd.DataFrame({"": N, "a.b": N, "a": N, "ä": N}),
        pd.DataFrame(np.zeros((2, 4)), columns=pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["x", "y"])),
        pd.DataFrame(np.zeros((2, 3)), columns=pd.date_range("2020", periods=3, freq="D")),
        pd.DataFrame(np.zeros((2, 3)), columns=pd.CategoricalIndex(["a", "b", "c"], name="q")),
        pd.DataFrame(np.zeros((2, 3)), columns=[1, 5, 7]),
        pd.DataFrame(np.zeros((2, 2)), columns=[True, False]),
        pd.DataFrame(np.zeros((2, 2)), columns=pd.Index(["a", "b"], name=("n", 1))),
        pd.DataFrame(np.zeros((2, 2)), columns=pd.PeriodIndex(["2020", "2021"], freq="Y")),
        pd.DataFrame(index=range(3)),
        pd.DataFrame(index=["a", "b"]),
        pd.DataFrame(),
        pd.DataFrame(columns=["a", "b"]),
        pd.DataFrame({"i": N}, index=pd.Index(["a", "b", "c"], name="i")),
        pd.DataFrame({"__index_level_0__": N}, index=["a", "b", "c"]),
        pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([(1, "a"), (2, None)])),
        pd.Series(N),
        pd.Series(N, name=5, index=list("abc")),
        pd.Series([], dtype="float64", name="values"),
    ],
    ids=lambda frame: f"{type(frame).__name__}-{frame.shape}",
)
def test_labels_and_indexes_come_back(frame: object) -> None:
    check(frame)


def test_the_frequencies_of_the_levels_of_an_index_come_back() -> None:
    for level in (pd.date_range("2020", periods=3, freq="MS", tz="Europe/Berlin"), pd.timedelta_range("1h", periods=3)):
        index = pd.MultiIndex.from_product([["a", "b"], level], names=["k", "t"])
        back = roundtrip(pd.DataFrame({"v": range(6)}, index=index))
        assert back.index.levels[1].freq == level.freq is not None
        assert roundtrip(pd.DataFrame([range(6)], columns=index)).columns.levels[1].freq == level.freq
    business = pd.offsets.CustomBusinessDay(holidays=["2020-01-02"])
    index = pd.MultiIndex.from_product([["a"], pd.date_range("2020", periods=3, freq=business)])
    with pytest.raises(InvalidInputError, match="frequency"):
        roundtrip(pd.DataFrame({"v": range(3)}, index=index))


elements = st.sampled_from(
    ["int64", "float64", "bool", "str", "datetime64[us]", "Int64", "category", "object", "timedelta64[s]"]
)


@st.composite
def frames(draw: st.DrawFn) -> object:
    names = draw(st.lists(st.text(max_size=4) | st.integers(-5, 5), max_size=4, unique_by=repr))
    rows = draw(st.integers(0, 6))
    columns = {}
    for name in names:
        dtype = draw(elements)
        inner = {
            "int64": st.integers(-(2**63), 2**63 - 1),
            "float64": st.floats(),
            "bool": st.booleans(),
            "Int64": st.integers(-(2**63), 2**63 - 1) | st.just(pd.NA),
            "datetime64[us]": st.datetimes() | st.just(pd.NaT),
            "timedelta64[s]": st.integers(-100, 100).map(lambda s: np.timedelta64(s, "s")),
        }.get(dtype, st.text(max_size=3) | st.none())
        values = draw(st.lists(inner, min_size=rows, max_size=rows))
        columns[name] = pd.Series(values, dtype=dtype)
    frame = pd.DataFrame(columns, index=range(rows))
    if draw(st.booleans()):
        frame.index = pd.Index(
            draw(st.lists(st.text(max_size=2), min_size=rows, max_size=rows)),
            name=draw(st.none() | st.text(max_size=3)),
        )
    return frame


@settings(max_examples=examples(150), deadline=None)
@given(frames())
def test_random_frames_come_back(frame: object) -> None:
    check(frame)
    assert store(frame)[1].digest == store(frame.copy())[1].digest


def test_details_of_a_frame() -> None:
    frame = pd.DataFrame({"a": N, "b": list("xyz")}, index=pd.Index([1, 2, 3], name="key"))
    _, encoded = store(frame)
    assert encoded.details["columns"] == [{"name": "a", "dtype": "int64"}, {"name": "b", "dtype": "large_string"}]
    assert encoded.details["shape"] == [3, 2]
    assert encoded.details["source"] == "pandas"
    assert encoded.details["index"] == ["key"]
    assert encoded.row_count == 3
    assert store(pd.DataFrame(index=range(7)))[1].row_count == 7


def test_pandas_reads_the_file_itself() -> None:
    frame = pd.DataFrame({"a": N, "s": list("xyz"), "f": [1.0, np.nan, 2.0]}, index=pd.Index(list("abc"), name="key"))
    pd.testing.assert_frame_equal(pd.read_parquet(store(frame)[0].path()), frame)
    ranged = pd.DataFrame({"a": N}, index=pd.RangeIndex(2, 8, 2))
    pd.testing.assert_frame_equal(pd.read_parquet(store(ranged)[0].path()), ranged)


def test_a_table_in_other_libraries() -> None:
    frame = pd.DataFrame({"a": N, "f": [1.0, None, 2.0]}, index=pd.Index(list("abc"), name="key"))
    source, encoded = store(frame)
    decode = handler_of("table").decode
    arrow = decode(source, encoded.details, as_="arrow")
    assert arrow.to_pydict() == {"a": N, "f": [1.0, None, 2.0], "key": ["a", "b", "c"]}
    assert decode(source, encoded.details, as_="polars")["f"].to_list() == [1.0, None, 2.0]
    lazy = decode(source, encoded.details, as_="lazy", columns=["a"])
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.collect()["a"].to_list() == N
    kept = decode(source, encoded.details, filters=[("a", ">", 1)])
    pd.testing.assert_frame_equal(kept, frame[frame["a"] > 1])
    ranged = pd.DataFrame({"a": N})
    assert roundtrip(ranged, filters=[("a", ">", 1)]).index.tolist() == [0, 1]
    polars_to_pandas = roundtrip(pl.DataFrame({"a": N}), as_="pandas")
    assert polars_to_pandas["a"].tolist() == N


def test_without_its_library_a_table_comes_back_as_arrow(monkeypatch) -> None:
    import builtins
    import sys

    source, encoded = store(pd.DataFrame({"a": N}))
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert handler_of("table").decode(source, encoded.details).to_pydict() == {"a": N}
    with pytest.raises(UnsupportedTypeError) as caught:
        handler_of("table").decode(source, encoded.details, as_="pandas")
    assert caught.value.kind == "missing-library"
    assert builtins is not None


@pytest.mark.parametrize(
    ("frame", "kind", "named"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "duplicate-columns", "'a'"),
        (pd.DataFrame({"m": [1, "a", 2.5]}), "mixed-types", "'m'"),
        (pd.DataFrame({"m": [1, True]}, dtype=object), "mixed-types", "bool, int"),
        (pd.DataFrame({"o": [object()]}), "unsupported-column", "'o'"),
        (pd.DataFrame({"o": [{1, 2}]}), "unsupported-column", "builtins.set"),
        (pd.DataFrame({"m": np.zeros(2, np.dtype("f8", metadata={"unit": "m"}))}), "unsupported-column", "'m'"),
        (pd.DataFrame({"c": [1j]}), "unsupported-column", "'c'"),
        (pd.DataFrame({"s": pd.arrays.SparseArray([1, 0])}), "unsupported-column", "'s'"),
        (pd.DataFrame({"big": [[2**70], [1]]}), "unsupported-column", "'big'"),
        (pd.DataFrame({"d": [{"a": 1}, {"b": 1}]}), "unsupported-column", "'d'"),
        (pd.DataFrame({"l": [[1, "a"]]}), "unsupported-column", "'l'"),
        (pd.DataFrame({"t": pd.Series(["\ud800"], dtype=object)}), "unsupported-column", "'t'"),
        (pd.DataFrame({"x": [1]}, index=pd.Index([object()], dtype=object, name="i")), "unsupported-column", "'i'"),
    ],
)
def test_columns_that_cannot_come_back_are_named(frame: object, kind: str, named: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        store(frame)
    assert caught.value.kind == kind
    assert named in str(caught.value)


FREQUENCIES = {
    "holidays": pd.date_range("2020", periods=3, freq=pd.offsets.CustomBusinessDay(holidays=["2020-01-03"])),
    "hours": pd.date_range("2020", periods=3, freq=pd.offsets.BusinessHour(start="10:00", end="12:00")),
    "days": pd.date_range("2020", periods=3, freq=pd.DateOffset(months=1, day=3)),
    "normalized": pd.date_range("2020", periods=3, freq=pd.offsets.MonthEnd(normalize=True)),
}


@pytest.mark.parametrize("name", FREQUENCIES)
def test_a_frequency_that_its_text_does_not_say_is_refused(name: str) -> None:
    times = FREQUENCIES[name]
    for frame in (
        pd.DataFrame({"a": [1, 2, 3]}, times),
        pd.Series([1, 2, 3], times),
        pd.DataFrame([[1] * 3], columns=times),
    ):
        with pytest.raises(InvalidInputError, match=r"frequency .* \(set its \.freq to None first"):
            store(frame)
    times.freq = None
    check(pd.DataFrame({"a": [1, 2, 3]}, times))


def test_bad_attrs_and_labels_are_named() -> None:
    frame = pd.DataFrame({"a": N})
    frame.attrs = {"f": open}
    with pytest.raises(InvalidInputError) as caught:
        store(frame)
    assert caught.value.kind == "bad-attrs"
    with pytest.raises(InvalidInputError) as caught:
        store(pd.DataFrame([[1]], columns=pd.Index(["\ud800"], dtype=object)))
    assert caught.value.kind == "lone-surrogate"


# polars


@settings(max_examples=examples(60), deadline=None)
@given(dataframes(max_cols=4, max_size=6, excluded_dtypes=[pl.Int128, pl.Object]))
def test_random_polars_frames_come_back(frame: pl.DataFrame) -> None:
    if any("128" in str(dtype) for dtype in frame.dtypes):
        return
    back = roundtrip(frame)
    assert_polars_equal(back, frame, check_exact=True)
    assert back.schema == frame.schema


def test_polars_types_come_back() -> None:
    frame = pl.DataFrame(
        {
            "e": pl.Series(["a", "b", None], dtype=pl.Enum(["b", "a", "unused"])),
            "c": pl.Series(["a", "b", None], dtype=pl.Categorical),
            "t": [dt.time(1), None, None],
            "d": [dt.timedelta(1)] * 3,
            "dec": pl.Series(["1.5", "2", None]).cast(pl.Decimal(10, 2)),
            "arr": pl.Series([[1, 2], [3, 4], None], dtype=pl.Array(pl.Int8, 2)),
            "l": [["a"], [], None],
            "s": [{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}],
            "n": [None] * 3,
            "b": [b"a", b"", None],
            "z": pl.Series([dt.datetime(2020, 1, 1)] * 3).dt.replace_time_zone("Europe/Paris"),
            "le": pl.Series([["a"], ["b"], None], dtype=pl.List(pl.Enum(["b", "a", "unused"]))),
        }
    )
    back = roundtrip(frame)
    assert back.schema == frame.schema
    assert_polars_equal(back, frame, check_exact=True)
    series = frame["e"]
    assert roundtrip(series).equals(series)
    assert roundtrip(series).name == "e"
    for empty in (pl.DataFrame(), pl.DataFrame({"a": []}), frame.clear()):
        assert roundtrip(empty).equals(empty)
        assert roundtrip(empty).schema == empty.schema


def test_a_lazy_frame_streams_and_is_the_same_table() -> None:
    frame = pl.DataFrame({"a": range(1000), "c": ["x", "y"] * 500}).with_columns(pl.col("c").cast(pl.Enum(["x", "y"])))
    source, encoded = store(frame.lazy().with_columns(b=pl.col("a") * 2))
    back = handler_of("table").decode(source, encoded.details)
    eager = frame.with_columns(b=pl.col("a") * 2)
    assert_polars_equal(back, eager)
    assert encoded.digest == store(eager)[1].digest
    assert encoded.row_count == 1000
    with pytest.raises(InvalidInputError):
        store(pl.LazyFrame({"o": pl.Series([object()], dtype=pl.Object)}))


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"ok": [1], "o": pl.Series([object()], dtype=pl.Object)}),
        pl.DataFrame({"ok": [1], "o": pl.Series([1], dtype=pl.Int128)}),
    ],
)
def test_polars_columns_without_counterpart_are_named(frame: pl.DataFrame) -> None:
    with pytest.raises(InvalidInputError) as caught:
        store(frame)
    assert caught.value.kind == "unsupported-column"
    assert caught.value.column == "o"


# reading


def test_unknown_columns_and_options_are_refused() -> None:
    source, encoded = store(pd.DataFrame({"a": N, 7: N}))
    decode = handler_of("table").decode
    with pytest.raises(InvalidInputError) as caught:
        decode(source, encoded.details, columns=["b"])
    assert caught.value.kind == "unknown-column"
    assert caught.value.columns == ["b"]
    assert list(decode(source, encoded.details, columns=[7]).columns) == [7]
    for options in ({"as_": "spark"}, {"columns": "a"}):
        with pytest.raises(InvalidInputError) as caught:
            decode(source, encoded.details, **options)
        assert caught.value.kind == "bad-option"
    with pytest.raises(UnsupportedTypeError):
        store({"a": 1}, "table")


def test_damaged_files_are_integrity_errors() -> None:
    source, encoded = store(pd.DataFrame({"a": N}))
    for content in (source.content[:-10], source.content[:100], b"", b"PAR1"):
        with pytest.raises(IntegrityError):
            handler_of("table").decode(MemorySource(content), encoded.details)


@pytest.mark.parametrize("dtype", ["Float32", "Float64"])
def test_a_nan_beside_missing_values_stays_one(dtype: str) -> None:
    values = np.array([1.0, np.nan, 0.0, -0.0], dtype.lower())
    array = pd.arrays.FloatingArray(values, np.array([False, False, True, False]))
    back = roundtrip(pd.DataFrame({"x": array}))["x"]
    assert str(back.dtype) == dtype
    assert back.array._mask.tolist() == [False, False, True, False]
    assert back.array._data[[0, 1, 3]].tobytes() == values[[0, 1, 3]].tobytes()
    back.iloc[0] = 5.0  # its memory is its own


@pytest.mark.parametrize("zone", [pytz.timezone("Europe/Berlin"), pytz.UTC, pytz.FixedOffset(-330)], ids=str)
def test_a_zone_of_pytz_comes_back_as_one(zone: dt.tzinfo) -> None:
    """Pandas 2 names its zones so, and takes them for others than those of zoneinfo."""
    times = pd.date_range("2020-03-28", "2020-03-30", freq="6h", tz=zone)
    frame = pd.DataFrame({"t": times, "c": pd.Categorical(times)}, index=times)
    back = roundtrip(frame)
    for found in (back["t"].dt.tz, back["c"].cat.categories.tz, back.index.tz):
        assert type(found).__module__.partition(".")[0] == "pytz"
        assert str(found) == str(zone)
    assert back.equals(frame)
