"""Options for pandas' readers of referenced files: they say how to read the text, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import lakefolio as lf


@pytest.fixture
def folio(tmp_path: Path) -> lf.Folio:
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    folio = lf.open(tmp_path / "lake").folio("f")
    folio.reference_table("csv", tmp_path / "t.csv")
    folio.reference_table("parquet", tmp_path / "t.parquet")
    return folio


def test_what_says_how_to_read_is_passed_on(folio: lf.Folio) -> None:
    assert folio.get("csv", nrows=2)["a"].tolist() == [1, 2]
    assert folio.get("csv", types={"a": "float64"})["a"].dtype == float
    assert folio.get("csv", dtype={"a": str}, columns=["a"])["a"].tolist() == ["1", "2", "3"]
    assert folio.get("csv", index_col="a", na_values=["x"])["b"].isna().tolist() == [True, False, False]
    assert folio.get("parquet", filters=[("a", ">", 1)])["b"].tolist() == ["y", "z"]


@pytest.mark.parametrize(
    ("item", "option", "value"),
    [
        ("csv", "converters", {"a": print}),
        ("csv", "skiprows", lambda number: number > 1),
        ("csv", "on_bad_lines", print),
        ("csv", "na_values", {"a": [print]}),
        ("csv", "storage_options", {"anon": True}),
        ("csv", "filepath_or_buffer", "/etc/passwd"),
        ("csv", "chunksize", 1),
        ("csv", "iterator", True),
        ("csv", "memory_map", True),
        ("csv", "usecols", ["a"]),
        ("csv", "nrow", 1),
        ("csv", "nrows", "two"),
        ("csv", "nrows", -1),
        ("csv", "dtype", {"a": "no such dtype"}),
        ("csv", "index_col", "missing"),
        ("csv", "engine", "python-and-more"),
        ("csv", "compression", "gzip"),
        ("csv", "encoding", "no-such-encoding"),
        ("csv", "quoting", 17),
        ("csv", "header", 99),
        ("parquet", "filesystem", object()),
        ("parquet", "path", "/etc/passwd"),
        ("parquet", "engine", "fastparquet"),
        ("parquet", "filters", "a > 1"),
        ("parquet", "nrows", 1),
    ],
)
def test_other_options_and_values_are_refused_by_name(
    folio: lf.Folio, item: str, option: str, value: object, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(lf.InvalidInputError) as caught:
        folio.get(item, **{option: value})
    assert caught.value.kind == "bad-option"
    assert caught.value.option == option
    assert option in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("as_", ["arrow", "polars", "lazy"])
def test_options_of_pandas_are_not_left_out_in_silence(folio: lf.Folio, as_: str) -> None:
    with pytest.raises(lf.InvalidInputError, match="nrows") as caught:
        folio.get("csv", as_=as_, nrows=1)
    assert caught.value.kind == "bad-option"


def test_the_nearest_option_is_named(folio: lf.Folio) -> None:
    with pytest.raises(lf.InvalidInputError, match="did you mean 'nrows'"):
        folio.get("csv", nrow=1)
