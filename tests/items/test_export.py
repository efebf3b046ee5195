"""Items as local files: the format that the name asks for is really written, or a refusal lists those there are."""

import datetime as dt
import gc
import gzip
import json
import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

import lakefolio as lf
from lakefolio.errors import AlreadyExistsError, InvalidInputError, UnsupportedTypeError
from lakefolio.folio import Folio
from lakefolio.format.table_formats import ENDINGS, WRITABLE
from lakefolio.testing.need import need

TABLE = pa.table(
    {
        "id": pa.array([1582218195625938945, None, 2]),
        "x": pa.array([0.1, math.nan, None]),
        "word": pa.array(["a", "", None]),
        "day": pa.array([dt.date(2020, 1, 31), None, dt.date(1, 1, 1)]),
        "when": pa.array([dt.datetime(2020, 1, 1, 12, 30, 0, 250), None, None]),
        "price": pa.array([Decimal("1.10"), None, Decimal("-0.05")]),
        "yes": pa.array([True, False, None]),
    }
)


@pytest.fixture
def folio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folio:
    monkeypatch.chdir(tmp_path)
    found = lf.open(tmp_path / "lake").folio("f")
    found.add("t", TABLE)
    return found


@pytest.mark.parametrize("name", ["t.parquet", "t.pq", "t"])
def test_parquet(folio: Folio, name: str) -> None:
    assert folio.export("t", name) == Path(name)
    assert repr(pq.read_table(name).to_pylist()) == repr(TABLE.to_pylist())


@pytest.mark.parametrize("name", ["t.feather", "t.arrow", "t.ipc"])
def test_arrow(folio: Folio, name: str) -> None:
    folio.export("t", name)
    assert repr(feather.read_table(name).to_pylist()) == repr(TABLE.to_pylist())


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.tsv", "t.tsv.gz", "t.csv.zst", "t.csv.bz2"])
def test_text_is_written_and_read_back_the_same(folio: Folio, name: str) -> None:
    folio.export("t", name)
    head = (gzip.decompress if name.endswith(".gz") else bytes)(Path(name).read_bytes())
    if name.endswith((".csv", ".tsv", ".gz")):
        assert head.startswith(b'"id"\t"x"' if "tsv" in name else b'"id","x"')
    folio.import_table("back", name)
    back = folio.get_table("back", as_="arrow")
    assert back.column("price").to_pylist() == [1.1, None, -0.05]
    assert repr(back.drop(["price"]).to_pylist()) == repr(TABLE.drop(["price"]).to_pylist())
    assert back.schema.field("id").type == pa.int64()


def test_json_and_ndjson(folio: Folio) -> None:
    folio.export("t", "t.json")
    rows = json.loads(Path("t.json").read_text())
    assert rows[0] == {
        "id": 1582218195625938945,
        "x": 0.1,
        "word": "a",
        "day": "2020-01-31",
        "when": "2020-01-01T12:30:00.000250",
        "price": "1.10",
        "yes": True,
    }
    folio.export("t", "t.ndjson.gz")
    lines = gzip.decompress(Path("t.ndjson.gz").read_bytes()).decode().splitlines()
    assert [json.loads(line) for line in lines] == rows
    folio.export("t", "t.jsonl")
    assert Path("t.jsonl").read_text().splitlines() == lines


@pytest.mark.parametrize("name", ["x.ods", "x.mat", "x.parquet.gz", "x.npy", "x.dat", "x.csv.7z", "x.pkl", "x.html"])
def test_an_ending_that_no_table_has_is_refused_with_those_there_are(folio: Folio, name: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        folio.export("t", name)
    assert caught.value.kind == "bad-format"
    for format in WRITABLE:
        assert f".{ENDINGS.get(format, format)}" in caught.value.hint
    assert not Path(name).exists()
    folio.export("t", name, format="csv")
    head = (gzip.decompress if name.endswith(".gz") else bytes)(Path(name).read_bytes())
    assert head.startswith(b'"id"')


def test_references_are_written_in_the_format_that_the_name_asks_for(folio: Folio) -> None:
    Path("r.csv").write_text("zip\n01234\n")
    folio.reference_table("r", "r.csv")
    with pytest.warns(UserWarning, match="zip"):
        folio.export("r", "r.parquet")
    assert pq.read_table("r.parquet").to_pylist() == [{"zip": "01234"}]


def test_other_kinds_keep_their_endings(folio: Folio) -> None:
    folio.add("array", np.arange(3)).add("json", {"a": 1}).add("text", "grüße\n")
    folio.add("masked", np.ma.MaskedArray([1, 2], [0, 1])).add("bytes", b"x")
    Path("folder").mkdir()
    Path("folder/a.txt").write_text("a")
    folio.add("folder", Path("folder"))
    folio.export("array", "a.npy")
    assert np.load("a.npy").tolist() == [0, 1, 2]
    folio.export("json", "j.json")
    assert json.loads(Path("j.json").read_text()) == {"a": 1}
    folio.export("text", "t.txt")
    assert Path("t.txt").read_text() == "grüße\n"
    folio.export("text", "t.json")
    assert json.loads(Path("t.json").read_text()) == "grüße\n"
    folio.export("masked", "m.npz")
    folio.export("bytes", "b.anything")
    folio.export("folder", "out.v2")
    assert Path("out.v2/a.txt").read_text() == "a"
    for item, name in (
        ("array", "a.csv"),
        ("array", "a.npz"),
        ("masked", "m.npy"),
        ("json", "j.yaml"),
        ("json", "j.txt"),
        ("folder", "f.zip"),
        ("folder", "f.tar.gz"),
    ):
        with pytest.raises(InvalidInputError) as caught:
            folio.export(item, name)
        assert caught.value.kind == "bad-format", name
        assert caught.value.item == item
        assert not Path(name).exists()
    with pytest.raises(InvalidInputError) as caught:
        folio.export("array", "a.csv", format="csv")
    assert caught.value.kind == "wrong-kind"


def test_models_keep_their_endings(folio: Folio) -> None:
    need("skops", "sklearn")
    from sklearn.linear_model import Ridge

    folio.add("model", Ridge())
    folio.export("model", "m.skops")
    folio.export("model", "m")
    assert Path("m").read_bytes() == Path("m.skops").read_bytes()
    with pytest.raises(InvalidInputError) as caught:
        folio.export("model", "m.pkl")
    assert ".skops" in caught.value.hint


def test_nothing_is_overwritten_unasked_and_a_past_version_is_reached(folio: Folio) -> None:
    folio.add("t", TABLE.slice(0, 1), overwrite=True)
    folio.export("t", "t.csv")
    with pytest.raises(AlreadyExistsError):
        folio.export("t", "t.csv")
    assert folio.export("t", "t.csv", at=1, overwrite=True) == Path("t.csv")
    assert len(Path("t.csv").read_text().splitlines()) == 4
    folio.export("t@1", "u.csv")
    Path("in").mkdir()
    assert folio.export("t", "in", format="tsv") == Path("in/t.tsv")


def test_periods_durations_nested_and_binary_values_are_readable_text(folio: Folio) -> None:
    pd = need("pandas", "pandas")
    frame = pd.DataFrame(
        {
            "quarter": pd.PeriodIndex(["2020Q1", "NaT"], freq="Q"),
            "took": pd.to_timedelta(["2 days 03:04:05.5", None]),
            "back": pd.to_timedelta(["-00:00:01", "0s"]),
            "nested": [[1582218195625938945, None], []],
            "raw": [b"\xff\x00", None],
        },
        index=pd.PeriodIndex(["2020-01", "2020-02"], freq="M", name="month"),
    )
    folio.add("p", frame)
    folio.export("p", "p.csv")
    folio.import_table("back", "p.csv")
    rows = folio.get_table("back", as_="arrow").to_pylist()
    assert rows[0] == {
        "quarter": "2020Q1",
        "took": "2 days 03:04:05.5",
        "back": "-1 days +23:59:59",
        "nested": "[1582218195625938945, null]",
        "raw": "/wA=",
        "month": "2020-01",
    }
    assert rows[1]["quarter"] is None
    assert rows[1]["took"] is None
    assert pd.to_timedelta([row["back"] for row in rows]).tolist() == frame["back"].tolist()
    assert pd.PeriodIndex([row["month"] for row in rows], freq="M").tolist() == frame.index.tolist()
    folio.export("p", "p.json")
    assert json.loads(Path("p.json").read_text())[0]["took"] == "2 days 03:04:05.5"
    folio.export("p", "p.feather")
    assert feather.read_table("p.feather").column("quarter").to_pylist() == ["2020Q1", None]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.duckdb"])
def test_an_index_without_a_name_is_called_what_pandas_calls_it(folio: Folio, name: str) -> None:
    pd = need("pandas", "pandas")
    pairs = pd.MultiIndex.from_tuples([(1, "p"), (2, "q")], names=[None, None])
    for frame in (
        pd.DataFrame({"a": [1, 2]}, index=["p", "q"]),
        pd.DataFrame({"index": [1, 2]}, index=["p", "q"]),
        pd.DataFrame({"a": [1, 2]}, index=pairs),
        pd.DataFrame({"a": [1, 2]}, index=pairs.set_names(["k", None])),
        pd.Series([1, 2], name="a", index=["p", "q"]),
        pd.DataFrame({"__index_level_0__": [1, 2]}),
    ):
        folio.add("p", frame, overwrite=True)
        folio.export("p", name, overwrite=True)
        folio.import_table("back", name, overwrite=True)
        flat = frame.reset_index() if type(frame.index) is not pd.RangeIndex else frame
        back = folio.get_table("back")
        pd.testing.assert_frame_equal(back[flat.columns.tolist()], flat)
        assert len(back.columns) == len(flat.columns)
    folio.add("q", pd.DataFrame({"index": [1], "level_0": [2]}, index=["p"]))
    folio.export("q", name, overwrite=True)
    folio.import_table("back", name, overwrite=True)
    assert folio.get_table("back").columns.tolist() == ["index", "level_0", "__index_level_0__"]


def test_an_index_without_a_name_has_a_heading_in_excel_and_json(folio: Folio) -> None:
    pd, openpyxl = need("pandas", "pandas"), need("openpyxl", "openpyxl")
    folio.add("p", pd.DataFrame({"a": [1]}, index=["p"]))
    rows = openpyxl.load_workbook(folio.export("p", "p.xlsx")).active.iter_rows(values_only=True)
    assert list(rows) == [("a", "index"), (1, "p")]
    assert json.loads(folio.export("p", "p.json").read_text()) == [{"a": 1, "index": "p"}]


def test_every_type_is_written_as_text_or_refused(folio: Folio) -> None:
    from arrow_strategies import LEAVES

    kinds = [kind for kind in LEAVES if not pa.types.is_null(kind)]
    table = pa.table({str(kind): pa.nulls(1, kind) for kind in kinds})
    values = {
        "ns": pa.array([1234567890123456789], pa.timestamp("ns")),
        "zone": pa.array([0], pa.timestamp("us", "Asia/Kolkata")),
        "time": pa.array([1], pa.time64("ns")),
        "half": pa.array([1.5], pa.float16()),
        "wide": pa.array([Decimal(10) ** 45], pa.decimal256(50, 0)),
        "word": pa.array(["x"]).dictionary_encode(),
        "code": pa.array([5]).dictionary_encode(),
        "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
    }
    for column, array in values.items():
        table = table.append_column(column, array)
    folio.add("all", table)
    for name in ("all.csv", "all.tsv", "all.json", "all.ndjson", "all.feather", "all.arrow", "all.parquet"):
        folio.export("all", name)
    folio.import_table("back", "all.csv")
    row = folio.get_table("back", as_="arrow").to_pylist()[0]
    assert row["wide"] == "1" + "0" * 45
    assert row["code"] == 5
    assert row["half"] == 1.5
    assert json.loads(Path("all.json").read_text())[0]["ns"] == "2009-02-13 23:31:30.123456789"


@pytest.mark.parametrize(
    ("column", "formats"),
    [
        (pa.array([0], pa.timestamp("us", "Mars/Base")), ("csv", "tsv")),
        (pa.array([2**62], pa.duration("s")), ("csv", "json", "ndjson")),
        (pa.array([2**30], pa.date32()), ("json", "ndjson")),
    ],
    ids=["zone", "duration", "date"],
)
def test_a_value_that_a_format_cannot_hold_is_refused_by_column(
    folio: Folio, column: pa.Array, formats: tuple[str, ...]
) -> None:
    folio.add("far", pa.table({"a": [1], "far": column}))
    for format in formats:
        with pytest.raises(UnsupportedTypeError, match=f"{format} can't hold column 'far' of the type") as caught:
            folio.export("far", f"far.{format}")
        assert "export it as parquet" in str(caught.value)
        assert not Path(f"far.{format}").exists()
    folio.export("far", "far.parquet")
    assert pq.read_table("far.parquet").column("far").type == column.type


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("ending", ["csv", "xlsx", "db", "duckdb", "h5", "parquet"])
def test_a_file_that_can_not_be_written_is_one_error_and_nothing_is_left(tmp_path: Path, ending: str) -> None:
    resource = pytest.importorskip("resource", reason="Windows has no limit of the size of files")
    folio = lf.open(tmp_path / "lake").folio("f")
    folio.add("t", pa.table({"x": np.random.default_rng(0).random(2_000)}))
    target = tmp_path / "out" / f"t.{ending}"
    target.parent.mkdir()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(lf.StorageError, match=r"can't (be written|hold so large a file)") as caught:
            folio.export("t", target)
        gc.collect()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.kind == ("no-space" if ending == "parquet" else "local-write-failed")  # a copy is cached first
    if ending not in ("db", "duckdb"):  # whose errors have no number
        assert "ulimit -f" in str(caught.value.hint)
    assert list(target.parent.iterdir()) == []
