"""``lakefolio add`` of table files: types, encodings and formats are options, and errors speak of these."""

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

import lakefolio as lf


@pytest.fixture(autouse=True)
def lake(run) -> None:
    run("init")


def test_what_was_chosen_is_said_on_stderr(run) -> None:
    Path("t.csv").write_text("zip,n\n01234,1\n")
    done = run("add", "a:t", "t.csv")
    assert "'zip' is stored as string" in done.stderr
    assert lf.open("lake").get("a:t", as_="arrow").to_pylist() == [{"zip": "01234", "n": 1}]


def test_types_encodings_delimiters_and_formats_are_options(run, said) -> None:
    Path("t.csv").write_bytes("zip;namé\n01234;é\n".encode("latin-1"))
    assert "such as latin-1" in said("add", "a:t", "t.csv", code=2).hint
    run("add", "a:t", "t.csv", "--encoding", "latin-1", "--delimiter", ";", "--type", "zip=int64")
    table = lf.open("lake").get("a:t", as_="arrow")
    assert table.schema.types == [pa.int64(), pa.string()]
    assert table.to_pylist() == [{"zip": 1234, "namé": "é"}]
    Path("t.tsv").write_text("a\tb\n1\tx,y\n")
    run("add", "a:u", "t.tsv")
    assert lf.open("lake").get("a:u", as_="arrow").to_pylist() == [{"a": 1, "b": "x,y"}]
    Path("t.log").write_text("a\tb\n1\tx,y\n")
    run("add", "a:v", "t.log", "--as", "table", "--format", "tsv")
    assert lf.open("lake").get("a:v", as_="arrow").to_pylist() == [{"a": 1, "b": "x,y"}]


@pytest.mark.parametrize(
    ("args", "kind"),
    [
        (["rec.json", "--as", "table"], "bad-table-file"),
        (["x.docx", "--as", "table"], "bad-format"),
        (["x.csv", "--table", "a"], "bad-option"),
        (["x.csv", "--type", "a"], "usage"),
        (["rec.json", "--type", "a=int64"], "usage"),
        (["x.csv", "--type", "b=int64"], "unknown-column"),
        (["x.csv", "--type", "a=number"], "bad-option"),
    ],
)
def test_mistakes_are_named_in_words_of_the_command(said, args: list[str], kind: str) -> None:
    Path("rec.json").write_text('{"a": 1}')
    Path("x.csv").write_text("a\n1\n")
    Path("x.docx").write_text("a")
    error = said("add", "a:j", *args, code=2)
    assert error.kind == kind
    text = f"{error.message} {error.hint}"
    assert "table_format=" not in text
    assert "add_file()" not in text
    if kind == "bad-format":
        assert "--format" in text
        assert "CSV" not in text


def test_numbers_of_json_keep_their_digits(run, said) -> None:
    Path("n.json").write_text('{"id": 12345678901234567890, "pi": 3.14159265358979323846, "x": 0.1, "far": 1e400}')
    assert "3.14159265358979323846" in run("add", "a:n", "n.json").stderr
    back = lf.open("lake").get("a:n")
    assert back == {
        "id": 12345678901234567890,
        "pi": Decimal("3.14159265358979323846"),
        "x": 0.1,
        "far": Decimal("1E+400"),
    }
    Path("twice.json").write_text('{"a": 1, "b": {"c": 1, "c": 2}}')
    refused = said("add", "a:no", "twice.json", code=2)
    assert refused.kind == "bad-file"
    assert "'c'" in refused.message
