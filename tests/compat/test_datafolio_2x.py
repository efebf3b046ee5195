"""The names that DataFolio 2.x added, with the meaning its 2.3.0 gives them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars
import pytest

from lakefolio import DataFolio
from lakefolio.testing import need

pd = need("pandas", "pandas")


@pytest.fixture
def folio(lake_uri):
    return DataFolio(lake_uri, "exp")


@pytest.fixture
def frame():
    return pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})


def test_add_and_get_take_every_kind(folio, frame, tmp_path):
    (tmp_path / "note.txt").write_text("hi")
    when = datetime(2024, 1, 15, tzinfo=UTC)
    folio.add("table", frame).add("array", np.arange(3)).add("config", {"lr": 0.01}).add("score", 0.95)
    folio.add("when", when, description="d", inputs=["config"]).add_file(tmp_path / "note.txt")
    pd.testing.assert_frame_equal(folio.get("table"), frame)
    assert folio.get("array").tolist() == [0, 1, 2]
    assert folio.get("config") == {"lr": 0.01}
    assert folio.get("score") == 0.95
    assert folio.get("when") == when
    assert folio.get("when", as_unix=True) == when.timestamp()
    assert Path(folio.get("note")).read_text() == "hi"
    assert folio.item_info("when")["inputs"] == ["config"]


def test_add_refuses_what_it_should(folio, frame):
    folio.add("x", 1)
    with pytest.raises(ValueError, match="already exists"):
        folio.add("x", 2)
    folio.add("x", 2, overwrite=True)
    with pytest.raises(TypeError):
        folio.add("y", object())
    with pytest.raises(TypeError):
        folio.add("y", frame, no_such_option=1)
    with pytest.raises(ValueError, match="empty"):
        folio.add("", 1)
    with pytest.raises(KeyError):
        folio.get("nope")
    with pytest.raises(TypeError):
        folio.get("x", no_such_option=1)
    assert "y" not in folio


def test_strings_are_never_files(folio, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data.txt").write_text("content")
    folio.add("text", "data.txt")
    assert folio.get("text") == "data.txt"


def test_frames(folio, frame):
    folio.add("t", frame)
    assert folio.get("t", as_="polars").equals(polars.from_pandas(frame))
    assert folio.get_table("t", frame="polars")["a"].to_list() == [1, 2, 3]


def test_scan_table_is_lazy(folio, frame, tmp_path):
    frame.to_parquet(tmp_path / "outside.parquet")
    folio.add("t", frame).reference_table("ref", tmp_path / "outside.parquet")
    for name in ("t", "ref"):
        lazy = folio.scan_table(name)
        assert isinstance(lazy, polars.LazyFrame)
        assert lazy.filter(polars.col("a") > 1).select("b").collect()["b"].to_list() == ["y", "z"]
    assert folio.data.t.lazy.select("a").collect().shape == (3, 1)
    folio.add("x", 1)
    with pytest.raises(ValueError, match="not a table"):
        folio.scan_table("x")


def test_get_many(folio):
    for number in range(10):
        folio.add(f"n{number}", number)
    assert folio.get_many(["n3", "n1", "n3"]) == {"n3": 3, "n1": 1}
    assert list(folio.get_many(["n3", "n1"])) == ["n3", "n1"]
    assert folio.get_many([]) == {}
    assert folio.get_many([f"n{n}" for n in range(10)], threads=1)["n9"] == 9
    with pytest.raises(KeyError):
        folio.get_many(["n1", "nope"])


def test_item_info_is_a_copy(folio, frame):
    folio.add("t", frame, description="d")
    info = folio.item_info("t")
    assert info["num_rows"] == 3
    assert info["columns"] == ["a", "b"]
    info["columns"].append("c")
    info["description"] = "changed"
    assert folio.item_info("t")["columns"] == ["a", "b"]
    assert folio.item_info("t")["description"] == "d"
    with pytest.raises(KeyError):
        folio.item_info("nope")


def test_item_path(folio, frame, tmp_path):
    frame.to_parquet(tmp_path / "outside.parquet")
    folio.add("t", frame).reference_table("ref", tmp_path / "outside.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(folio.item_path("t")), frame)
    assert folio.item_path("ref").endswith("outside.parquet")
    assert folio.item_path("t").endswith(".parquet")
    with pytest.raises(KeyError):
        folio.item_path("nope")


def test_membership(folio):
    folio.add("x", 1)
    assert "x" in folio
    assert "y" not in folio
    assert 5 not in folio
    folio.archive("x")
    assert "x" in folio
    assert "x" in folio.data
    assert list(folio.data) == ["x"]


def test_pinned_reads_one_state(folio, lake_uri):
    other = DataFolio(lake_uri, "exp")
    folio.add("x", 1)
    with folio.pinned() as same:
        assert same is folio
        other.add("x", 2, overwrite=True).add("y", 3)
        assert folio.get("x") == 1
        assert "y" not in folio
        with folio.pinned():
            assert folio.get("x") == 1
        assert folio.list_contents()["json_data"] == ["x"]
    assert folio.get("x") == 2
    assert "y" in folio


def test_pinned_sees_its_own_writes(folio):
    with folio.pinned():
        folio.add("x", 1)
        assert folio.get("x") == 1
        folio.metadata["a"] = 1
        assert folio.metadata["a"] == 1
    with pytest.raises(RuntimeError, match="stop"), folio.pinned():
        raise RuntimeError("stop")
    folio.add("y", 2)
    assert folio.get("y") == 2


@pytest.mark.parametrize("kind", ["parquet", "csv", "feather", "arrow"])
def test_import_table(folio, frame, tmp_path, kind):
    import pyarrow as pa

    path = tmp_path / f"cells.{kind}"
    if kind == "parquet":
        frame.to_parquet(path)
    elif kind == "csv":
        frame.to_csv(path, index=False)
    else:
        table = pa.Table.from_pandas(frame)
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    folio.add("src", 1)
    assert folio.import_table(None, path, description="cells", inputs=["src"]) is folio
    pd.testing.assert_frame_equal(folio.get("cells"), frame)
    assert folio.item_info("cells")["num_rows"] == 3
    assert folio.get_inputs("cells") == ["src"]
    with pytest.raises(ValueError, match="already exists"):
        folio.import_table("cells", path)
    folio.import_table("cells", path, overwrite=True).import_table("other", path, table_format=kind)
    assert folio.list_contents()["included_tables"] == ["cells", "other"]


def test_import_table_errors(folio, tmp_path):
    with pytest.raises(FileNotFoundError):
        folio.import_table("x", tmp_path / "missing.parquet")
    (tmp_path / "what.xyz").write_text("?")
    with pytest.raises(ValueError, match="unknown"):
        folio.import_table("x", tmp_path / "what.xyz")
    with pytest.raises(ValueError, match="unknown"):
        folio.import_table("x", tmp_path / "what.xyz", table_format="xls")
    (tmp_path / "bad.parquet").write_bytes(b"not parquet")
    with pytest.raises(ValueError, match=r"bad\.parquet"):
        folio.import_table("x", tmp_path / "bad.parquet")
    (tmp_path / "mixed.csv").write_text("a\n" + "1\n" * 1000 + "word\n")
    folio.import_table("mixed", tmp_path / "mixed.csv", block_size=100)  # no word is lost, and no number either
    assert folio.get("mixed", as_="arrow")["a"].to_pylist() == ["1"] * 1000 + ["word"]
    folio.delete("mixed")
    assert "x" not in folio
