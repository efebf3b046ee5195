"""Tables from CSV files and references: no digit of the text is lost, and what was chosen is said."""

import bz2
import csv
import decimal
import gzip
import io
import math
import random
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from thoroughness import examples

import lakefolio as lf
from lakefolio.errors import InvalidInputError
from lakefolio.folio import Folio
from lakefolio.items.table_import import open_csv, open_table_file
from lakefolio.testing.need import need


@pytest.fixture
def folio(tmp_path: Path) -> Folio:
    return lf.open(tmp_path / "lake").folio("f")


def table_of(path: Path, text: str | bytes, **options: object) -> pa.Table:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with warnings.catch_warnings(), open_table_file(path, None, **options) as reader:
        warnings.simplefilter("ignore")
        return reader.read_all()


D = decimal.Decimal
COLUMNS = {
    "int64": (["1", "-5", "", "9223372036854775807"], pa.int64(), [1, -5, None, 2**63 - 1]),
    "long ids with an empty cell": (
        ["1582218195625938945", "", "1582218195625938946"],
        pa.int64(),
        [1582218195625938945, None, 1582218195625938946],
    ),
    "ids of 20 digits": (["12345678901234567890", "", "1"], pa.uint64(), [12345678901234567890, None, 1]),
    "ids of 20 digits, some negative": (
        ["12345678901234567890", "-1"],
        pa.decimal128(20, 0),
        [D("12345678901234567890"), D(-1)],
    ),
    "ids of 25 digits": (["1234567890123456789012345"], pa.decimal128(25, 0), [D("1234567890123456789012345")]),
    "ids of 40 digits": (["1" * 40, "2"], pa.string(), ["1" * 40, "2"]),
    "leading zeros": (["01234", "99999", ""], pa.string(), ["01234", "99999", None]),
    "plus signs": (["+4912345", "+1"], pa.string(), ["+4912345", "+1"]),
    "minus zero": (["-0", "1"], pa.float64(), [-0.0, 1.0]),
    "floats": (["0.1", "1e-5", "", "-2.5E3", "3"], pa.float64(), [0.1, 1e-5, None, -2500.0, 3.0]),
    "floats of 17 digits": ([repr(math.pi), repr(0.1 + 0.2)], pa.float64(), [math.pi, 0.1 + 0.2]),
    "floats as numpy writes them": ([f"{0.1:.18e}", f"{-math.e:.18e}"], pa.float64(), [0.1, -math.e]),
    "not finite": (["nan", "inf", "-inf", "1.5", ""], pa.float64(), [math.nan, math.inf, -math.inf, 1.5, None]),
    "more digits than a float holds": (
        ["0.12345678901234567890", "1.5"],
        pa.decimal128(21, 20),
        [D("0.12345678901234567890"), D("1.50000000000000000000")],
    ),
    "a whole part that a float loses": (
        ["12345678901234567.89", "2"],
        pa.decimal128(19, 2),
        [D("12345678901234567.89"), D("2.00")],
    ),
    "beyond the floats": (["1e400", "1"], pa.string(), ["1e400", "1"]),
    "below the floats": (["1e-400", "1"], pa.string(), ["1e-400", "1"]),
    "subnormal with lost digits": (["5.123e-324"], pa.string(), ["5.123e-324"]),
    "bool": (["true", "FALSE", ""], pa.bool_(), [True, False, None]),
    "dates": (["2020-01-31", "", "0001-01-01"], pa.date32(), None),
    "no date": (["2020-02-30"], pa.string(), ["2020-02-30"]),
    "ambiguous dates": (["01/02/2020"], pa.string(), ["01/02/2020"]),
    "times of day": (["12:30:00", "00:00:01"], pa.time32("s"), None),
    "times of day with fractions": (["12:30:00.25"], pa.time64("us"), None),
    "durations": (["25:00:00"], pa.string(), ["25:00:00"]),
    "moments": (["2020-01-01 10:00:00", "2020-01-01T10:00"], pa.timestamp("s"), None),
    "moments with fractions": (["2020-01-01 10:00:00.123456", "1800-01-01 00:00:00"], pa.timestamp("us"), None),
    "moments in UTC": (["2020-01-01T10:00:00Z", "2020-01-01T10:00:00+00:00"], pa.timestamp("s", "UTC"), None),
    "moments in one zone": (["2020-01-01T10:00:00+05:30"], pa.timestamp("s", "+05:30"), None),
    "moments in several zones": (
        ["2020-01-01T10:00:00+05:30", "2020-01-01T10:00:00Z"],
        pa.string(),
        ["2020-01-01T10:00:00+05:30", "2020-01-01T10:00:00Z"],
    ),
    "nanoseconds too far away": (
        ["1500-01-01 00:00:00", "2020-01-01 00:00:00.123456789"],
        pa.string(),
        ["1500-01-01 00:00:00", "2020-01-01 00:00:00.123456789"],
    ),
    "words for missing among numbers": (["1", "NA", "null"], pa.int64(), [1, None, None]),
    "words for missing alone": (["NA", "NA", ""], pa.string(), ["NA", "NA", ""]),
    "words for missing among text": (["NA", "DE"], pa.string(), ["NA", "DE"]),
    "nothing": (["", ""], pa.null(), [None, None]),
    "text": (["a", "", "1"], pa.string(), ["a", "", "1"]),
    "decimal commas": (["1,5", "2,5"], pa.string(), ["1,5", "2,5"]),
    "other digits": (["１２", "1"], pa.string(), ["１２", "1"]),
    "underscores": (["1_000"], pa.string(), ["1_000"]),
    "hexadecimal": (["0x10"], pa.string(), ["0x10"]),
    "spaces around numbers": ([" 1", "2 "], pa.int64(), [1, 2]),
    "spaces around text": ([" a", "b "], pa.string(), [" a", "b "]),
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("block_size", [None, 64])
def test_a_column_gets_the_type_that_loses_nothing(tmp_path: Path, name: str, block_size: int | None) -> None:
    cells, kind, expected = COLUMNS[name]
    text = io.StringIO()
    csv.writer(text).writerows([["k", "x"], *(["k", cell] for cell in cells)])
    table = table_of(tmp_path / "t.csv", text.getvalue(), block_size=block_size)
    assert table.schema.field("x").type == kind
    assert table.num_rows == len(cells)
    if expected is not None:
        assert repr(table.column("x").to_pylist()) == repr(expected)


def test_the_last_row_of_a_long_file_counts_too(tmp_path: Path) -> None:
    """Types used to be taken from the first megabyte."""
    rows = "".join(f"{number},{number}\n" for number in range(200_000))
    table = table_of(tmp_path / "t.csv", f"a,b\n{rows}01,12345678901234567890\n")
    assert table.schema.types == [pa.string(), pa.uint64()]
    assert table.column("a")[-1].as_py() == "01"
    assert table.column("b")[-1].as_py() == 12345678901234567890


def test_what_was_chosen_is_said(tmp_path: Path, folio: Folio) -> None:
    path = tmp_path / "t.csv"
    path.write_text("zip,id,big,n\n01234,12345678901234567890,1234567890123456789012345,1\n")
    with pytest.warns(UserWarning, match="zip") as caught:
        folio.import_table("t", path)
    (message,) = {str(one.message) for one in caught}
    assert "'zip' is stored as string" in message
    assert "'01234'" in message
    assert "'big' is stored as decimal128(25, 0)" in message
    assert "'n'" not in message
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path.write_text("a,b\n1,x\n")
        folio.import_table("plain", path)


def test_types_can_be_asked_for(tmp_path: Path, folio: Folio) -> None:
    path = tmp_path / "t.csv"
    path.write_text("zip,id,price,when\n01234,1,1.10,2020-01-01 10:00Z\n,2,,\n")
    types = {"zip": "int64", "id": pa.string(), "price": "decimal128(10, 2)", "when": "timestamp[us, tz=UTC]"}
    folio.import_table("t", path, types=types)
    table = folio.get_table("t", as_="arrow")
    assert table.schema.types == [pa.int64(), pa.string(), pa.decimal128(10, 2), pa.timestamp("us", "UTC")]
    assert table.column("price").to_pylist() == [D("1.10"), None]
    folio.import_table("text", path, types="string")
    assert folio.get_table("text", as_="arrow").to_pylist()[0] == {
        "zip": "01234",
        "id": "1",
        "price": "1.10",
        "when": "2020-01-01 10:00Z",
    }
    for wrong, kind in (({"zip": "intt"}, "bad-option"), ({"zap": "int64"}, "unknown-column")):
        with pytest.raises(InvalidInputError) as caught:
            folio.import_table("no", path, types=wrong)
        assert caught.value.kind == kind
    with pytest.raises(InvalidInputError) as caught:
        folio.import_table("no", path, types={"when": "int64"})
    assert caught.value.column == "when"
    assert "no" not in folio.tables


def test_ids_keep_their_digits_all_the_way_to_pandas(tmp_path: Path, folio: Folio) -> None:
    need("pandas", "pandas")
    path = tmp_path / "t.csv"
    path.write_text("id,big,zip,n\n1582218195625938945,12345678901234567890,01234,1\n,,,\n7,8,9,2\n")
    with pytest.warns(UserWarning, match="'zip' is stored as string"):
        folio.import_table("t", path)
    folio.reference_table("r", path)
    for name in ("t", "r"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frame = folio.get_table(name, as_="pandas")
        assert str(frame["id"].dtype) == "Int64"
        assert frame["id"].iloc[0] == 1582218195625938945
        assert frame["big"].iloc[0] == 12345678901234567890
        assert frame["zip"].iloc[0] == "01234"
        folio.add(f"{name}-again", frame)
        back = folio.get(f"{name}-again")
        assert back["id"].iloc[0] == 1582218195625938945
        assert back.equals(frame)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("ending", ["csv", "csv.gz", "csv.bz2"])
def test_an_encoding_that_is_marked_needs_no_name(tmp_path: Path, encoding: str, ending: str) -> None:
    pack = {"csv": bytes, "csv.gz": gzip.compress, "csv.bz2": bz2.compress}[ending]
    text = pack('"a","b"\n"é",\n"x,\ny",""\n'.encode(encoding))
    found = table_of(tmp_path / f"t.{ending}", text).to_pylist()
    assert found == [{"a": "é", "b": None}, {"a": "x,\ny", "b": ""}]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["name\nabc\n", "a,b\n1,2\n"])
def test_utf_16_without_a_mark_is_no_table_of_nul_characters(tmp_path: Path, encoding: str, text: str) -> None:
    for name, body in {"t.csv": text.encode(encoding), "t.csv.gz": gzip.compress(text.encode(encoding))}.items():
        with pytest.raises(InvalidInputError, match=f"{name}.*name its encoding, such as utf-16-le"):
            table_of(tmp_path / name, body)
        assert table_of(tmp_path / name, body, encoding=encoding).num_rows == 1


def test_a_table_in_an_archive_is_to_be_unpacked(tmp_path: Path) -> None:
    for name in ("t.csv.zip", "t.csv.xz"):
        with pytest.raises(InvalidInputError, match=r"unpack it, or compress it as \.gz"):
            table_of(tmp_path / name, b"PK")


def test_tabs_compression_and_encodings(tmp_path: Path) -> None:
    rows = [{"a": "é", "b": 1}, {"a": "x,y", "b": 2}]
    text = 'a\tb\né\t1\n"x,y"\t2\n'
    assert table_of(tmp_path / "t.tsv", text).to_pylist() == rows
    assert table_of(tmp_path / "t.tab", text).to_pylist() == rows
    comma = 'a,b\né,1\n"x,y",2\n'
    assert table_of(tmp_path / "t.csv.gz", gzip.compress(comma.encode())).to_pylist() == rows
    assert table_of(tmp_path / "t.tsv.bz2", bz2.compress(text.encode())).to_pylist() == rows
    assert table_of(tmp_path / "t.csv.zst", pa.compress(comma.encode(), "zstd", asbytes=True)).to_pylist() == rows
    assert table_of(tmp_path / "bom.csv", comma.encode("utf-8-sig")).to_pylist() == rows
    assert (
        table_of(
            tmp_path / "semi.csv", comma.replace("a,b", "a;b").replace(",1", ";1").replace(",2", ";2"), delimiter=";"
        ).to_pylist()
        == rows
    )
    latin = comma.encode("latin-1")
    assert table_of(tmp_path / "l.csv", latin, encoding="latin-1").to_pylist() == rows
    for content in (latin, latin.replace(b"a,b", b"\xe9,b")):
        with pytest.raises(InvalidInputError) as caught:
            table_of(tmp_path / "l.csv", content)
        assert caught.value.kind == "bad-table-file"
        assert "latin-1" in caught.value.hint
    for options in ({"encoding": "klingon"}, {"delimiter": "::"}, {"types": {"a": 3}}):
        with pytest.raises(InvalidInputError) as caught:
            table_of(tmp_path / "t.csv", comma, **options)
        assert caught.value.kind == "bad-option"
    with pytest.raises(InvalidInputError) as caught:
        table_of(tmp_path / "one.csv", "a;b\n1;2\n")
    assert "';'" in caught.value.hint
    assert table_of(tmp_path / "one.csv", "a;b\n1;2\n", delimiter=",").column_names == ["a;b"]
    with pytest.raises(InvalidInputError) as caught:
        table_of(tmp_path / "commas.tsv", "a,b\n1,2\n")
    assert "name the delimiter: ','" in caught.value.hint
    assert table_of(tmp_path / "commas.tsv", "a,b\n1,2\n", delimiter=",").column_names == ["a", "b"]
    assert table_of(tmp_path / "one.tsv", "a,b\n1,2\n", delimiter="\t").column_names == ["a,b"]


@pytest.mark.parametrize(
    "text", ['[\n  {"a": 1},\n  {"a": 2}\n]\n', '{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n', "[[1, 2], [3, 4]]\n"]
)
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_json_that_is_called_a_table_of_cells_is_refused(tmp_path, name, text):
    with pytest.raises(InvalidInputError) as caught:
        table_of(tmp_path / name, text)
    assert caught.value.kind == "bad-table-file"
    assert "ndjson" in caught.value.hint
    assert table_of(tmp_path / "b.csv", "[m],{s}\n1,2\n").column_names == ["[m]", "{s}"]


def test_odd_files(tmp_path: Path) -> None:
    assert table_of(tmp_path / "t.csv", "a\n1\n\n3\n").to_pylist() == [{"a": 1}, {"a": None}, {"a": 3}]
    assert table_of(tmp_path / "t.csv", "a,b\n").schema.names == ["a", "b"]
    assert table_of(tmp_path / "t.csv", 'a,b\n"x\ny",1\n"",\n,2\n').to_pylist() == [
        {"a": "x\ny", "b": 1},
        {"a": "", "b": None},
        {"a": "", "b": 2},
    ]
    for text in ("", "a,b\n1,2\n1\n", b"\x00\x01\xff"):
        with pytest.raises(InvalidInputError) as caught:
            table_of(tmp_path / "t.csv", text)
        assert caught.value.kind == "bad-table-file"
    other = tmp_path / "u.csv"
    other.write_text("b,a\n1,2\n")
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InvalidInputError), open_csv([tmp_path / "t.csv", other]):
        pass


def test_a_folder_of_files_has_one_type_for_each_column(tmp_path: Path, folio: Folio) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    (parts / "1.csv").write_text("zip,n\n12345,1\n")
    (parts / "2.csv").write_text("zip,n\n01234,12345678901234567890\n")
    folio.reference_table("t", parts, table_format="csv")
    with pytest.warns(UserWarning, match="'zip' is stored as string"):
        table = folio.get_table("t", as_="arrow")
    assert table.to_pylist() == [{"zip": "12345", "n": 1}, {"zip": "01234", "n": 12345678901234567890}]


def test_references_of_every_format_that_is_named(tmp_path: Path, folio: Folio) -> None:
    import polars as pl
    import pyarrow.feather as feather
    import pyarrow.parquet as pq
    from deltalake import write_deltalake

    table = pa.table({"a": pa.array([1582218195625938945, None])})
    pq.write_table(table, tmp_path / "x.parquet")
    pq.write_table(table, tmp_path / "bare")
    feather.write_feather(table, tmp_path / "x.feather")
    feather.write_feather(table, tmp_path / "x.arrow", compression="uncompressed")
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(b"a\n1582218195625938945\n\n"))
    (tmp_path / "x.tsv").write_text("a\n1582218195625938945\n\n")
    write_deltalake(str(tmp_path / "delta"), table)
    for number, name in enumerate(("x.parquet", "bare", "x.feather", "x.arrow", "x.csv.gz", "x.tsv", "delta")):
        folio.reference_table(f"r{number}", tmp_path / name, table_format="delta" if name == "delta" else None)
        assert folio.get_table(f"r{number}", as_="arrow").column("a").to_pylist() == [1582218195625938945, None]
        assert folio.get_table(f"r{number}", as_="lazy").collect()["a"].to_list() == [1582218195625938945, None]
        assert isinstance(folio.get_table(f"r{number}", as_="polars"), pl.DataFrame)
        assert folio.get_table(f"r{number}", as_="pandas")["a"].iloc[0] == 1582218195625938945
    for name in ("x.h5", "x.xlsx", "x.json", "x.parquet.gz"):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(InvalidInputError) as caught:
            folio.reference_table("no", tmp_path / name)
        assert caught.value.kind == "bad-format"
        assert "parquet, csv, tsv" in caught.value.hint
        with pytest.raises(InvalidInputError):
            folio.add_data("no", reference=tmp_path / name)
        folio.add_reference(f"file {name}", tmp_path / name)
    assert "no" not in folio.tables


NUMBERS = st.one_of(
    st.integers(-(10**45), 10**45).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(allow_nan=False, allow_infinity=False, places=None).map(str),
    st.from_regex(r"[+-]?[0-9]{1,30}(\.[0-9]{0,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True).filter(str.isascii),
    st.just(""),
)


@given(st.lists(NUMBERS, min_size=1, max_size=6))
@example(["1", "0.12345678901234567"])
@settings(deadline=None, max_examples=examples(200))
def test_numbers_keep_their_value_whatever_they_look_like(tmp_path_factory, cells: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "numbers.csv"
    path.write_text("k,x\n" + "".join(f"k,{cell}\n" for cell in cells))
    with warnings.catch_warnings(), open_table_file(path, None) as reader:
        warnings.simplefilter("ignore")
        back = reader.read_all().column("x").to_pylist()
    for cell, value in zip(cells, back, strict=True):
        if not cell:
            assert value is None
        elif isinstance(value, str):
            assert value == cell
        elif isinstance(value, float):
            digits = max(len(cell.lower().partition("e")[0].replace(".", "").strip("+-").lstrip("0")), 1)
            assert D(f"{value:.{digits - 1}e}") == D(cell)
        else:
            assert D(value) == D(cell)


def test_a_table_that_a_program_wrote_comes_back(tmp_path: Path) -> None:
    pd = need("pandas", "pandas")
    random.seed(0)
    frame = pd.DataFrame(
        {
            "i": [random.randrange(2**63) for _ in range(100)],
            "f": np.random.default_rng(0).normal(size=100),
            "g": np.random.default_rng(1).normal(size=100) * 1e-300,
            "s": [f"n°{i}" for i in range(100)],
        }
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    with open_table_file(tmp_path / "t.csv", None) as reader:
        table = reader.read_all()
    assert table.schema.types == [pa.int64(), pa.float64(), pa.float64(), pa.string()]
    for name in frame:
        assert table.column(name).to_pylist() == frame[name].tolist()


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (gzip.compress(b"a,b\n1,2\n"), "let its name end with .gz"),
        (bz2.compress(b"a,b\n1,2\n"), "let its name end with .bz2"),
        (b"a;b\n1,5;2,5\n", "name the delimiter if it is another, such as ';'"),
        ("ä,b\n".encode("latin-1"), "name its encoding"),
    ],
    ids=["gz", "bz2", "another delimiter", "another encoding"],
)
def test_the_error_says_what_would_read_the_file(folio: Folio, tmp_path: Path, content: bytes, hint: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InvalidInputError) as refused:
        folio.import_table("a", tmp_path / "a.csv")
    assert refused.value.kind == "bad-table-file"
    assert hint in str(refused.value)


@pytest.mark.parametrize(
    "text",
    ['a,b\n1,x\n2,"' + "y" * 500 + '"\n3,z\n', "a," + "y" * 500 + "\n1,2\n", 'a,b\n1,"x\n' + "2,y\n" * 100],
    ids=["cell", "name", "open quote"],
)
def test_a_row_larger_than_a_block_is_told_with_what_helps(tmp_path: Path, text: str) -> None:
    with pytest.raises(lf.InvalidInputError, match="a row that does not end within 100 bytes") as caught:
        table_of(tmp_path / "t.csv", text, block_size=100)
    assert "quote" in str(caught.value.hint)
    assert "block_size=800" in str(caught.value.hint)


@pytest.mark.parametrize("size", [-1, 1 << 31])
def test_a_block_size_is_a_count_of_bytes(tmp_path: Path, size: int) -> None:
    with pytest.raises(lf.InvalidInputError, match="no count of bytes"):
        table_of(tmp_path / "t.csv", "a\n1\n", block_size=size)
