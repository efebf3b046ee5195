"""A table in another library: the same values, or UnsupportedTypeError that names column, type and library."""

import datetime as dt
import decimal
import subprocess
import sys
import textwrap

import pyarrow as pa
import pytest
from items_support import roundtrip, store

from lakefolio.errors import IntegrityError, InvalidInputError, UnsupportedTypeError
from lakefolio.items import handler_of
from lakefolio.testing.need import need

pd = need("pandas", "pandas")
pl = need("polars", "polars")

D = decimal.Decimal
BIG = 1582218195625938945
FAR = dt.datetime(9999, 12, 31)

ARRAYS = {
    "far seconds": pa.array([10**14], pa.timestamp("s")),
    "far microseconds": pa.array([FAR]),
    "nanoseconds": pa.array([1], pa.timestamp("ns")),
    "time of day in nanoseconds": pa.array([1], pa.time64("ns")),
    "list of times of day in nanoseconds": pa.array([[1]], pa.list_(pa.time64("ns"))),
    "list view": pa.array([[1, None], None], pa.list_view(pa.int64())),
    "large list view": pa.array([[1]], pa.large_list_view(pa.int64())),
    "list view in a struct": pa.array([{"a": [1]}], pa.struct([("a", pa.list_view(pa.int64()))])),
    "list view in a map": pa.array([[("k", [1])]], pa.map_(pa.string(), pa.list_view(pa.int64()))),
    "text view": pa.array(["a", None], pa.string_view()),
    "binary view": pa.array([b"a", None], pa.binary_view()),
    "decimal of 256 bits": pa.array([D("1.5"), None], pa.decimal256(50, 1)),
    "decimal of 256 bits that is too long": pa.array([D(10) ** 45], pa.decimal256(50, 0)),
    "list of decimals of 256 bits": pa.array([[D("1.5")]], pa.list_(pa.decimal256(50, 1))),
    "decimal of 32 bits": pa.array([D("1.5")], pa.decimal32(5, 1)),
    "far duration": pa.array([10**14], pa.duration("s")),
    "duration in nanoseconds": pa.array([1], pa.duration("ns")),
    "date of 64 bits": pa.array([0], pa.date64()),
    "far date": pa.array([10**7], pa.date32()),
    "half float": pa.array([1.5], pa.float16()),
    "categories of numbers": pa.array([5, None]).dictionary_encode(),
    "categories of times": pa.array([FAR]).dictionary_encode(),
    "zone that is an offset": pa.array([0], pa.timestamp("us", "+05:30")),
    "zone that nobody knows": pa.array([0], pa.timestamp("us", "Mars/Base")),
    "long integers and none": pa.array([BIG, None]),
    "long unsigned integers and none": pa.array([2**64 - 1, None], pa.uint64()),
    "bytes and none": pa.array([1, None], pa.int8()),
    "list of long integers and none": pa.array([[BIG, None]]),
    "struct of long integers and none": pa.array([{"a": BIG}, {"a": None}]),
    "map to long integers and none": pa.array([[("a", None), ("b", BIG)]], pa.map_(pa.string(), pa.int64())),
    "booleans and none": pa.array([True, None]),
    "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16], pa.binary(16))),
    "tensor": pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.int32(), [2]), pa.array([[1, 2]], pa.list_(pa.int32(), 2))
    ),
}


def plain(value: object) -> object:
    """A value without what pandas and polars wrap it in; maps as dicts."""
    if isinstance(value, pl.Series):
        value = value.to_list()
    elif hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list) and value and all(isinstance(one, tuple) for one in value):
        value = dict(value)
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return None if value is pd.NA or value is pd.NaT or value != value else value


@pytest.mark.parametrize("library", ["pandas", "polars", "lazy"])
@pytest.mark.parametrize("name", ARRAYS)
def test_the_same_values_or_an_error_that_names_the_column(name: str, library: str) -> None:
    array = ARRAYS[name]
    table = pa.table({"good": pa.array(range(len(array))), "x": array})
    source, encoded = store(table)
    decode = handler_of("table").decode
    assert decode(source, encoded.details).equals(table)
    try:
        found = decode(source, encoded.details, as_=library)
    except UnsupportedTypeError as exc:
        assert exc.kind == "unsupported-column"
        assert exc.column == "x"
        assert str(array.type) in str(exc)
        assert ("polars" if library == "lazy" else library) in str(exc)
        assert decode(source, encoded.details, as_=library, columns=["good"]) is not None
        return
    if library == "lazy":
        found = found.collect()
    assert len(found) == len(array)
    if any(word in name for word in ("integers", "bytes and", "decimal", "list view")):
        assert plain(found["x"]) == plain(array.to_pylist())


REFUSED_AT_ADD = {
    "a decimal with a negative scale": pa.array([D("100")], pa.decimal128(5, -2)),
    "binary of size 0": pa.array([b"", None], pa.binary(0)),
    "binary of size 0 in a list": pa.array([[b""]], pa.list_(pa.binary(0))),
    "a list of size 0": pa.array([[]], pa.list_(pa.int64(), 0)),
    "a list of size 0 in a struct": pa.array([{"a": []}], pa.struct([("a", pa.list_(pa.int64(), 0))])),
    "month intervals": pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
    "run ends": pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array([1, 2])),
    "a union": pa.UnionArray.from_dense(
        pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32()), [pa.array([1]), pa.array(["a"])]
    ),
}


@pytest.mark.parametrize("name", REFUSED_AT_ADD)
def test_what_parquet_cannot_give_back_is_refused_when_it_is_added(name: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        store(pa.table({"x": REFUSED_AT_ADD[name]}))
    assert caught.value.kind == "unsupported-column"
    assert caught.value.column == "x"


def test_integers_with_none_are_nullable_in_pandas_and_others_as_they_were() -> None:
    table = pa.table({"a": pa.array([BIG, None]), "b": pa.array([1, 2]), "c": pa.array([2**64 - 1, None], pa.uint64())})
    frame = roundtrip(table, as_="pandas")
    assert [str(dtype) for dtype in frame.dtypes] == ["Int64", "int64", "UInt64"]
    assert frame["a"].tolist() == [BIG, pd.NA]
    assert frame["c"].tolist() == [2**64 - 1, pd.NA]
    assert pa.Table.from_pandas(frame).cast(table.schema).equals(table)


def test_a_pandas_frame_that_polars_cannot_hold_is_no_damage() -> None:
    frame = pd.DataFrame({"ok": [1], "t": pd.Series([dt.time(1)], dtype=object), "d": [D(10) ** 45]})
    source, encoded = store(frame)
    with pytest.raises(UnsupportedTypeError) as caught:
        handler_of("table").decode(source, encoded.details, as_="polars")
    assert caught.value.column == "d"
    assert not isinstance(caught.value, IntegrityError)


def test_no_panic_leaves_the_library() -> None:
    """A panic of polars derives from BaseException: ``except Exception`` would miss it."""
    code = """
        import decimal, sys
        sys.path.insert(0, "tests/items")
        import pyarrow as pa
        import lakefolio as lf, tempfile
        folio = lf.open(tempfile.mkdtemp()).folio("f")
        folio.add("t", pa.table({"x": pa.array([decimal.Decimal(10) ** 45], pa.decimal256(50, 0))}))
        for as_ in ("polars", "lazy"):
            try:
                folio.get("t", as_=as_)
            except lf.UnsupportedTypeError as exc:
                assert exc.item == "t", exc.objects
                print("refused")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["refused", "refused"]


def test_a_nul_in_the_name_of_a_polars_column_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="holds a NUL") as caught:
        store(pl.DataFrame({"a": [1], "b\0": [2]}))
    assert caught.value.column == "b\0"
