"""DataFolio 1.x code keeps working: what its released 1.3.0 does, said as tests.

Every test here passes against the real ``datafolio==1.3.0`` too, which is how we know that it states the
truth: set LAKEFOLIO_COMPAT_MODULE=datafolio in an environment that has it, with a ``lake_uri`` fixture that
gives an empty folder.

What we do differently on purpose, and why; tests of our side are in ``tests/test_folio.py``.

Where things lie:
- A relative name is a folio of the default lake (``./lake``), not a folder below the current directory:
  many folios share one journal.
- Paths point at a verified, read-only copy, not into the bundle: the lake may be on S3, and blobs are
  content-addressed.
- ``DataFolio("https://…")`` is not supported: a plain web server has no list.
- An existing but empty folder is used, not refused: nothing in it can be lost.
- Opening a missing place read-only raises FileNotFoundError instead of creating it: a reader writes
  nothing.
- Names that are no file name everywhere (``:*?<>|"``, ``..``) are refused, and snapshot names that read
  as a number or a time, because ``at=`` takes all three.

Adding:
- An existing name always needs ``overwrite=True``, unless the item is already what is added: then nothing happens, so
  that a notebook can be run twice. 1.3.0 refuses that too, and replaces silently through ``add_data``, and
  through ``add_table`` once a snapshot holds the item: that is how data is lost by accident.
- ``add_data(name, None)`` stores None, as its README promises.
- ``add_data`` with ``inputs=``, a model or a file works; there, it fails with a TypeError.
- A text that names an existing file is a text: meaning must not depend on the current directory. Pass a
  ``Path``.
- A datetime without zone is stored as such by ``add_data``; ``add_timestamp`` refuses it, as there.
- An unknown input is a NotFoundError that names the nearest, and a URI is an external input: lineage
  names exact versions.
- Models are stored with skops, never pickled, and loading checks the reader's trust: loading must not run
  code.
- ``add_artifact`` keeps the tree of a folder, which it refuses there.
- NaN and infinities in JSON survive; there, they become null.

Reading:
- A polars or Arrow table comes back as what it was, not as a pandas frame; ``get_table(as_="pandas")``
  makes it one.
- ``get_data`` gives models, and the paths of files, too: one reader for all kinds, as in 2.x.
- ``checksum`` is a SHA-256; ``in_snapshots`` is computed, because an entry never changes.
- Local copies are kept under their digest, so they are never stale; the ``cache_*`` methods do nothing.

Changing:
- Every write through a read-only handle raises RuntimeError; there, ``add_numpy``, ``add_json``,
  ``add_sklearn`` and others still write.
- An exception inside ``batch()`` commits nothing; there, half stays.
- Deleting and replacing keep the old content in the history (``at=``, restore, lineage).
- Deleting several items does not warn of dependents that are deleted with them.
- ``metadata["created_at"]`` and ``["updated_at"]`` are facts of the journal, and there is no
  ``["_datafolio"]``.

Snapshots:
- A loaded snapshot stays what it was; there, it turns into the present at the first ``get_table`` or
  ``list_contents`` after a change.
- ``restore_snapshot`` brings deleted items back and can be undone.
- ``diff_from_snapshot()`` takes the newest snapshot, as its text says; there, the oldest, and it fails on
  references.
"""

from __future__ import annotations

import importlib
import os
import warnings
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")

DataFolio = importlib.import_module(os.environ.get("LAKEFOLIO_COMPAT_MODULE", "lakefolio")).DataFolio


@pytest.fixture
def where(lake_uri):
    """Give the location of a named bundle in a fresh place."""
    return lambda name="exp": f"{lake_uri}/{name}"


@pytest.fixture
def folio(where):
    return DataFolio(where())


@pytest.fixture
def frame():
    return pd.DataFrame({"a": [1, 2, 3], "b": [4.5, 5.5, 6.5], "c": ["x", "y", "z"]})


@pytest.fixture
def full(folio, frame, tmp_path):
    """A folio with one item of every kind."""
    plot = tmp_path / "plot.png"
    plot.write_bytes(b"\x89PNG....")
    outside = tmp_path / "outside.parquet"
    frame.to_parquet(outside)
    folio.reference_table("raw", str(outside), description="where it came from")
    folio.add_table("clean", frame, "cleaned rows", inputs=["raw"])
    folio.add_numpy("vectors", np.arange(6.0).reshape(2, 3), "embeddings", inputs=["clean"])
    folio.add_json("config", {"lr": 0.01}, description="settings")
    folio.add_timestamp("started", datetime(2024, 1, 15, 10, 30, tzinfo=UTC))
    folio.add_artifact("plot", plot, "plots", "a picture")
    return folio


def same_frame(left, right):
    pd.testing.assert_frame_equal(left, right)


# ---------------------------------------------------------------------- opening


def test_a_new_folio_is_empty(folio):
    assert folio.list_contents() == {
        "referenced_tables": [],
        "included_tables": [],
        "numpy_arrays": [],
        "json_data": [],
        "timestamps": [],
        "models": [],
        "artifacts": [],
    }
    assert folio.tables == []
    assert folio.models == []
    assert folio.artifacts == []
    assert folio.list_snapshots() == []
    assert folio.read_only is False
    assert folio.in_snapshot_mode is False
    assert folio.loaded_snapshot is None
    assert folio.is_valid() is True
    assert folio.validate() == {}
    assert folio.get_lineage_graph() == {}


def test_metadata_given_at_creation_is_kept(where):
    DataFolio(where(), metadata={"experiment": "test_001", "n": 3})
    again = DataFolio(where())
    assert again.metadata["experiment"] == "test_001"
    assert again.metadata["n"] == 3


def test_metadata_given_for_an_existing_folio_is_ignored(where):
    DataFolio(where(), metadata={"experiment": "first"})
    again = DataFolio(where(), metadata={"experiment": "second"})
    assert again.metadata["experiment"] == "first"


def test_metadata_is_the_second_positional_argument(where):
    assert DataFolio(where(), {"who": "ada"}).metadata["who"] == "ada"


def test_the_mapping_given_as_metadata_may_be_a_path_object(tmp_path):
    bundle = DataFolio(tmp_path / "bundle")
    bundle.add_json("x", 1)
    assert DataFolio(str(tmp_path / "bundle")).get_json("x") == 1


def test_a_relative_name_opens_the_same_folio_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LAKEFOLIO_LAKE", raising=False)
    first = DataFolio("experiments/my_exp")
    first.add_json("x", [1, 2])
    assert DataFolio("experiments/my_exp").get_json("x") == [1, 2]
    assert Path(first.path).is_absolute()
    assert DataFolio(first.path).get_json("x") == [1, 2]


def test_path_opens_the_same_folio(folio):
    folio.add_json("x", 1)
    assert isinstance(folio.path, str)
    assert DataFolio(folio.path).get_json("x") == 1


def test_random_suffix_makes_a_new_name_each_time(where):
    one = DataFolio(where(), random_suffix=True)
    two = DataFolio(where(), random_suffix=True)
    assert one.path != two.path
    last = one.path.rsplit("/", 1)[1]
    assert last.startswith("exp-")
    assert len(last.split("-")) == 4


def test_cache_arguments_are_accepted(where, tmp_path):
    folio = DataFolio(where(), cache_enabled=True, cache_dir=tmp_path / "cache", cache_ttl=60, use_https=False)
    folio.add_json("x", 1)
    assert folio.get_json("x") == 1


def test_an_existing_folder_that_is_no_folio_is_refused(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("buy milk")
    with pytest.raises(FileExistsError):
        DataFolio(tmp_path / "notes")
    assert (tmp_path / "notes" / "todo.txt").read_text() == "buy milk"


def test_repr_counts_items_and_snapshots(full):
    full.create_snapshot("v1")
    assert "items=6" in repr(full)
    assert "snapshots=1" in repr(full)
    assert "DataFolio" in repr(full) or "Folio" in repr(full)


# ---------------------------------------------------------------------- tables


def test_table_round_trip(folio, frame):
    assert folio.add_table("t", frame) is folio
    same_frame(folio.get_table("t"), frame)


def test_table_positional_arguments(folio, frame):
    folio.add_json("src", 1)
    folio.add_json("net", 2)
    folio.add_table("t", frame, "what it is", False, ["src"], ["net"], "t = f(src)")
    info = folio.get_table_info("t")
    assert info["description"] == "what it is"
    assert info["inputs"] == ["src"]
    assert info["models"] == ["net"]
    assert info["code"] == "t = f(src)"
    assert folio.get_inputs("t") == ["src", "net"]


def test_table_columns_and_filters(folio, frame):
    folio.add_table("t", frame)
    assert list(folio.get_table("t", columns=["a"]).columns) == ["a"]
    assert folio.get_table("t", filters=[("a", ">", 1)])["a"].tolist() == [2, 3]
    assert folio.get_table("t", filters=[("a", ">", 1)], engine="pyarrow")["a"].tolist() == [2, 3]


def test_table_info(folio, frame):
    folio.add_table("t", frame, description="d")
    info = folio.get_table_info("t")
    assert info["name"] == "t"
    assert info["item_type"] == "included_table"
    assert info["table_format"] == "parquet"
    assert info["is_directory"] is False
    assert info["num_rows"] == 3
    assert info["num_cols"] == 3
    assert info["columns"] == ["a", "b", "c"]
    assert set(info["dtypes"]) == {"a", "b", "c"}
    assert info["dtypes"]["a"] == "int64"
    assert info["dtypes"]["b"] == "double"
    assert info["filename"].endswith(".parquet")
    assert info["checksum"]
    assert info["in_snapshots"] == []
    assert info["is_current"] is True
    assert datetime.fromisoformat(info["created_at"]).tzinfo is not None


def test_nullable_integers_survive(folio):
    frame = pd.DataFrame({"n": pd.array([1, None, 3], dtype="Int64")})
    folio.add_table("t", frame)
    assert folio.get_table("t")["n"].isna().tolist() == [False, True, False]


def test_empty_frame(folio):
    folio.add_table("t", pd.DataFrame({"a": pd.Series([], dtype="int64")}))
    assert len(folio.get_table("t")) == 0
    assert list(folio.get_table("t").columns) == ["a"]


def test_existing_table_is_refused_then_overwritten(folio, frame):
    folio.add_table("t", frame)
    with pytest.raises(ValueError, match="already exists"):
        folio.add_table("t", frame.tail(1))
    folio.add_table("t", frame.head(1), overwrite=True)
    assert len(folio.get_table("t")) == 1


@pytest.mark.parametrize("wrong", [[1, 2, 3], {"a": [1]}, "text", 3.5, None])
def test_add_table_refuses_other_types(folio, wrong):
    with pytest.raises(TypeError):
        folio.add_table("t", wrong)
    assert folio.tables == []


def test_missing_table(folio):
    with pytest.raises(KeyError):
        folio.get_table("nope")
    with pytest.raises(KeyError):
        folio.get_table_info("nope")
    with pytest.raises(KeyError):
        folio.get_table_path("nope")


def test_not_a_table(folio):
    folio.add_json("x", 1)
    for call in (folio.get_table, folio.get_table_info, folio.get_table_path):
        with pytest.raises(ValueError, match="not a table"):
            call("x")


def test_table_path_is_a_parquet_file(folio, frame):
    folio.add_table("t", frame)
    same_frame(pd.read_parquet(folio.get_table_path("t")), frame)
    assert folio.get_data_path("t") == folio.get_table_path("t")
    assert folio.get_item_path("t") == folio.get_table_path("t")
    assert folio.get_table_path("t").endswith(".parquet")


# ---------------------------------------------------------------------- references


def test_reference_is_read_from_where_it_lies(folio, frame, tmp_path):
    outside = tmp_path / "data.parquet"
    frame.to_parquet(outside)
    assert folio.reference_table("raw", outside, description="outside") is folio
    same_frame(folio.get_table("raw"), frame)
    same_frame(folio.get_data("raw"), frame)
    info = folio.get_table_info("raw")
    assert info["item_type"] == "referenced_table"
    assert info["table_format"] == "parquet"
    assert info["is_directory"] is False
    assert info["path"].endswith("data.parquet")
    assert folio.get_table_path("raw") == info["path"]
    assert folio.get_data_path("raw") == info["path"]
    assert folio.list_contents()["referenced_tables"] == ["raw"]
    assert folio.tables == ["raw"]


def test_reference_positional_arguments(folio, tmp_path, frame):
    outside = tmp_path / "d.csv"
    frame.to_csv(outside, index=False)
    folio.reference_table("raw", outside, "csv", 3, 7, "text", None, "code()")
    info = folio.get_table_info("raw")
    assert info["table_format"] == "csv"
    assert info["num_rows"] == 3
    assert info["version"] == 7
    assert info["description"] == "text"
    assert info["code"] == "code()"
    same_frame(folio.get_table("raw"), frame)


def test_reference_through_add_data(folio, tmp_path, frame):
    outside = tmp_path / "data.parquet"
    frame.to_parquet(outside)
    folio.add_data("raw", reference=str(outside), description="d")
    assert folio.get_table_info("raw")["description"] == "d"
    same_frame(folio.get_data("raw"), frame)


def test_reference_of_an_unknown_format(folio, tmp_path):
    with pytest.raises(ValueError, match="format"):
        folio.reference_table("raw", tmp_path / "d.xyz", table_format="xyz")


def test_reference_with_an_existing_name(folio, tmp_path):
    folio.add_json("raw", 1)
    with pytest.raises(ValueError, match="already exists"):
        folio.reference_table("raw", tmp_path / "d.parquet")


def test_reference_that_has_gone(folio, tmp_path, frame):
    outside = tmp_path / "data.parquet"
    frame.to_parquet(outside)
    folio.reference_table("raw", outside)
    assert folio.validate() == {"raw": True}
    outside.unlink()
    assert folio.validate() == {"raw": False}
    assert folio.is_valid() is False
    with pytest.raises(FileNotFoundError):
        folio.get_table("raw")


def test_deleting_a_reference_leaves_the_file(folio, tmp_path, frame):
    outside = tmp_path / "data.parquet"
    frame.to_parquet(outside)
    folio.reference_table("raw", outside)
    folio.delete("raw")
    assert outside.exists()
    assert folio.tables == []


# ---------------------------------------------------------------------- arrays


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12).reshape(3, 4),
        np.array([1.5, np.nan, np.inf]),
        np.array([True, False]),
        np.array([1 + 2j]),
        np.zeros((0, 3)),
        np.array(3.0),
        np.array(["a", "bc"]),
        np.array(["2024-01-01"], dtype="datetime64[D]"),
    ],
    ids=["int", "nan", "bool", "complex", "empty", "zero-d", "text", "date"],
)
def test_array_round_trip(folio, array):
    folio.add_numpy("x", array)
    back = folio.get_numpy("x")
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    np.testing.assert_array_equal(back, array)
    np.testing.assert_array_equal(folio.get_data("x"), array)


def test_array_positional_arguments_and_info(folio):
    folio.add_json("src", 1)
    folio.add_numpy("x", np.zeros((2, 3), "float32"), "what", False, ["src"], "x = f()")
    info = folio.data["x"].metadata
    assert info["item_type"] == "numpy_array"
    assert info["shape"] == [2, 3]
    assert info["dtype"] == "float32"
    assert info["description"] == "what"
    assert info["inputs"] == ["src"]
    assert info["code"] == "x = f()"
    assert info["filename"].endswith(".npy")


def test_array_errors(folio):
    with pytest.raises(TypeError):
        folio.add_numpy("x", [1, 2, 3])
    folio.add_numpy("x", np.zeros(2))
    with pytest.raises(ValueError, match="already exists"):
        folio.add_numpy("x", np.zeros(3))
    folio.add_numpy("x", np.ones(2), overwrite=True)
    assert folio.get_numpy("x").tolist() == [1.0, 1.0]
    with pytest.raises(KeyError):
        folio.get_numpy("nope")
    folio.add_json("j", 1)
    with pytest.raises(ValueError, match="not a numpy array"):
        folio.get_numpy("j")
    with pytest.raises(ValueError, match="not a numpy array"):
        folio.get_numpy_path("j")


def test_array_path_is_an_npy_file(folio):
    folio.add_numpy("x", np.arange(3))
    assert np.load(folio.get_numpy_path("x")).tolist() == [0, 1, 2]
    assert folio.get_item_path("x") == folio.get_numpy_path("x")
    assert folio.get_data_path("x") == folio.get_numpy_path("x")


# ---------------------------------------------------------------------- JSON


@pytest.mark.parametrize(
    "value",
    [
        {"lr": 0.01, "deep": {"a": [1, 2, {"b": None}]}},
        ["cat", "dog"],
        {},
        [],
        0.95,
        5,
        "text",
        "",
        True,
        False,
        None,
    ],
    ids=repr,
)
def test_json_round_trip(folio, value):
    folio.add_json("x", value)
    back = folio.get_json("x")
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("value", [{"a": 1}, [1, "two"], 0.95, 7, "just text", True], ids=repr)
def test_add_data_stores_json_values(folio, value):
    folio.add_data("x", value)
    assert folio.get_data("x") == value
    assert folio.list_contents()["json_data"] == ["x"]


def test_json_positional_arguments_and_info(folio):
    folio.add_json("src", 1)
    folio.add_json("x", {"a": 1}, "what", False, ["src"], "x = {}")
    info = folio.data.x.metadata
    assert info["item_type"] == "json_data"
    assert info["data_type"] == "dict"
    assert info["description"] == "what"
    assert info["inputs"] == ["src"]
    assert info["code"] == "x = {}"
    assert info["filename"].endswith(".json")


def test_json_errors(folio):
    with pytest.raises(TypeError):
        folio.add_json("x", object())
    with pytest.raises(TypeError):
        folio.add_json("x", {"a": object()})
    folio.add_json("x", 1)
    with pytest.raises(ValueError, match="already exists"):
        folio.add_json("x", 2)
    folio.add_json("x", 2, overwrite=True)
    assert folio.get_json("x") == 2
    with pytest.raises(KeyError):
        folio.get_json("nope")
    folio.add_numpy("arr", np.zeros(1))
    with pytest.raises(ValueError, match="not JSON"):
        folio.get_json("arr")
    with pytest.raises(ValueError, match="not JSON"):
        folio.get_json_path("arr")


def test_json_path_is_a_json_file(folio):
    import json

    folio.add_json("x", {"a": [1]})
    assert json.loads(Path(folio.get_json_path("x")).read_text()) == {"a": [1]}


# ---------------------------------------------------------------------- timestamps


def test_timestamp_round_trip_is_in_utc(folio):
    local = datetime(2024, 1, 15, 5, 30, tzinfo=timezone(timedelta(hours=-5)))
    assert folio.add_timestamp("t", local) is folio
    back = folio.get_timestamp("t")
    assert back == local
    assert back.utcoffset() == timedelta(0)
    assert folio.get_timestamp("t", as_unix=True) == local.timestamp()
    assert folio.get_timestamp("t", True) == local.timestamp()
    assert folio.get_data("t") == local


def test_timestamp_from_unix_seconds(folio):
    folio.add_timestamp("i", 1705318200)
    folio.add_timestamp("f", 1705318200.5)
    assert folio.get_timestamp("i") == datetime.fromtimestamp(1705318200, UTC)
    assert folio.get_timestamp("f", as_unix=True) == 1705318200.5


def test_timestamp_through_add_data(folio):
    now = datetime.now(UTC)
    folio.add_data("t", now)
    assert folio.get_timestamp("t") == now
    assert folio.list_contents()["timestamps"] == ["t"]


def test_timestamp_info(folio):
    folio.add_timestamp("t", datetime(2024, 1, 15, 10, 30, tzinfo=UTC), "when", False, None, "now()")
    info = folio.data.t.metadata
    assert info["item_type"] == "timestamp"
    assert info["iso_string"] == "2024-01-15T10:30:00+00:00"
    assert info["unix_timestamp"] == datetime(2024, 1, 15, 10, 30, tzinfo=UTC).timestamp()
    assert info["description"] == "when"
    assert info["code"] == "now()"


def test_timestamp_errors(folio):
    with pytest.raises(ValueError):  # noqa: PT011 - the message is the library's own
        folio.add_timestamp("t", datetime(2024, 1, 1))
    with pytest.raises(TypeError):
        folio.add_timestamp("t", "2024-01-01")
    with pytest.raises(KeyError):
        folio.get_timestamp("t")
    folio.add_json("j", 1)
    with pytest.raises(ValueError, match="not a timestamp"):
        folio.get_timestamp("j")
    with pytest.raises(ValueError, match="not a timestamp"):
        folio.get_timestamp_path("j")
    folio.add_timestamp("t", 0)
    with pytest.raises(ValueError, match="already exists"):
        folio.add_timestamp("t", 1)
    folio.add_timestamp("t", 1, overwrite=True)
    assert folio.get_timestamp("t", as_unix=True) == 1.0
    assert Path(folio.get_timestamp_path("t")).exists()


# ---------------------------------------------------------------------- models


@pytest.fixture
def model():
    linear = pytest.importorskip("sklearn.linear_model")
    return linear.LogisticRegression(C=0.5).fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])


def test_model_round_trip(folio, model):
    folio.add_json("src", 1)
    assert folio.add_model("clf", model, "a classifier", inputs=["src"], hyperparameters={"C": 0.5}) is folio
    for back in (folio.get_model("clf"), folio.get_sklearn("clf"), folio.data.clf.content):
        assert back.predict([[0.0], [3.0]]).tolist() == [0, 1]
        assert back.get_params() == model.get_params()
    assert folio.models == ["clf"]
    assert folio.list_contents()["models"] == ["clf"]


def test_model_info(folio, model):
    folio.add_sklearn("clf", model, "text", False, None, {"C": 0.5}, "fit()")
    info = folio.get_model_info("clf")
    assert info["item_type"] == "model"
    assert info["model_type"] == "LogisticRegression"
    assert info["hyperparameters"] == {"C": 0.5}
    assert info["code"] == "fit()"
    assert info["description"] == "text"
    assert info["sklearn_version"]


def test_custom_models_in_skops_format(folio, model):
    folio.add_model("clf", model, custom=True)
    assert folio.get_model_info("clf")["serialization_format"] == "skops"
    assert folio.get_model("clf").predict([[3.0]]).tolist() == [1]
    assert Path(folio.get_model_path("clf")).exists()
    assert folio.get_model_path("clf").endswith(".skops")


def test_model_errors(folio, model):
    folio.add_model("clf", model)
    with pytest.raises(ValueError, match="already exists"):
        folio.add_model("clf", model, description="another")
    with pytest.raises(ValueError, match="already exists"):
        folio.add_sklearn("clf", model, description="another")
    folio.add_sklearn("clf", model, overwrite=True)
    for call in (folio.get_model, folio.get_sklearn, folio.get_model_info, folio.get_model_path):
        with pytest.raises(KeyError):
            call("nope")
    folio.add_json("j", 1)
    for call in (folio.get_model, folio.get_sklearn, folio.get_model_info, folio.get_model_path):
        with pytest.raises(ValueError, match="not a"):
            call("j")


# ---------------------------------------------------------------------- files


def test_artifact_round_trip(folio, tmp_path):
    source = tmp_path / "loss.png"
    source.write_bytes(b"picture")
    assert folio.add_artifact("plot", source, "plots", "loss curve") is folio
    path = folio.get_artifact_path("plot")
    assert isinstance(path, str)
    assert Path(path).read_bytes() == b"picture"
    assert path.endswith(".png")
    assert folio.get_item_path("plot") == path
    assert folio.get_data_path("plot") == path
    assert folio.artifacts == ["plot"]
    info = folio.get_artifact_info("plot")
    assert info["item_type"] == "artifact"
    assert info["category"] == "plots"
    assert info["description"] == "loss curve"
    assert info["file_size"] == 7
    assert info["original_path"] == str(source)
    with open(folio.data.plot.content, "rb") as file:
        assert file.read() == b"picture"


def test_add_file_names_the_item_after_the_file(folio, tmp_path):
    for name in ("readme.md", "train.py", "config.yaml"):
        (tmp_path / name).write_text(name)
    folio.add_file(tmp_path / "readme.md").add_file(tmp_path / "train.py", category="code")
    folio.add_file(tmp_path / "config.yaml", "settings", description="d")
    assert folio.artifacts == ["readme", "train", "settings"]
    assert folio.get_artifact_info("train")["category"] == "code"
    with pytest.raises(ValueError, match="already exists"):
        folio.add_file(tmp_path / "train.py", "readme")
    folio.add_file(tmp_path / "readme.md", overwrite=True)


def test_artifact_errors(folio, tmp_path):
    with pytest.raises(FileNotFoundError):
        folio.add_artifact("x", tmp_path / "missing.txt")
    with pytest.raises(FileNotFoundError):
        folio.add_file(tmp_path / "missing.txt")
    with pytest.raises(KeyError):
        folio.get_artifact_path("x")
    with pytest.raises(KeyError):
        folio.get_artifact_info("x")
    folio.add_json("j", 1)
    with pytest.raises(ValueError, match="not an artifact"):
        folio.get_artifact_path("j")
    with pytest.raises(ValueError, match="not an artifact"):
        folio.get_artifact_info("j")


# ---------------------------------------------------------------------- any kind


def test_add_data_finds_the_kind(folio, frame):
    folio.add_data("frame", frame).add_data("array", np.arange(3)).add_data("dict", {"a": 1}, description="d")
    assert folio.list_contents()["included_tables"] == ["frame"]
    assert folio.list_contents()["numpy_arrays"] == ["array"]
    assert folio.list_contents()["json_data"] == ["dict"]
    assert folio.data["dict"].description == "d"
    same_frame(folio.get_data("frame"), frame)


def test_add_data_needs_exactly_one_of_data_and_reference(folio):
    with pytest.raises(ValueError, match="either"):
        folio.add_data("x")
    with pytest.raises(ValueError, match="both"):
        folio.add_data("x", {"a": 1}, reference="s3://bucket/x.parquet")


def test_add_data_of_an_unsupported_type(folio):
    with pytest.raises(TypeError, match="object"):
        folio.add_data("x", object())
    assert folio.list_contents()["json_data"] == []


def test_get_data_of_a_missing_item(folio):
    with pytest.raises(KeyError):
        folio.get_data("nope")
    with pytest.raises(KeyError):
        folio.get_data_path("nope")
    with pytest.raises(KeyError):
        folio.get_item_path("nope")


@pytest.mark.parametrize("name", ["", " x", "x ", "model@v1", "x" * 256], ids=["empty", "left", "right", "at", "long"])
def test_bad_names(folio, frame, name):
    with pytest.raises(ValueError):  # noqa: PT011 - the message is the library's own
        folio.add_table(name, frame)
    with pytest.raises(ValueError):  # noqa: PT011
        folio.add_data(name, {"a": 1})


def test_a_name_that_is_not_text(folio, frame):
    with pytest.raises(TypeError):
        folio.add_table(5, frame)


@pytest.mark.parametrize("name", ["examples/weights", "model-v1", "a.b", "x_1", "Ünï", "two words"])
def test_good_names(folio, name):
    folio.add_data(name, {"name": name})
    assert folio.get_data(name) == {"name": name}
    assert folio.data[name].content == {"name": name}


def test_items_are_listed_in_order_of_first_addition(folio):
    for name in ("zeta", "alpha", "mid"):
        folio.add_json(name, 1)
    folio.add_json("alpha", 2, overwrite=True)
    assert folio.list_contents()["json_data"] == ["zeta", "alpha", "mid"]


def test_list_contents_of_everything(full):
    assert full.list_contents() == {
        "referenced_tables": ["raw"],
        "included_tables": ["clean"],
        "numpy_arrays": ["vectors"],
        "json_data": ["config"],
        "timestamps": ["started"],
        "models": [],
        "artifacts": ["plot"],
    }
    assert full.tables == ["raw", "clean"]


# ---------------------------------------------------------------------- update, delete, archive


def test_update_item(folio):
    folio.add_json("a", 1)
    folio.add_json("b", 2)
    folio.add_json("x", 3, "old", inputs=["a"])
    assert folio.update_item("x", "new", ["a", "b"], "f()") is folio
    info = folio.data.x.metadata
    assert info["description"] == "new"
    assert info["inputs"] == ["a", "b"]
    assert info["code"] == "f()"
    folio.update_item("x", code="g()")
    assert folio.data.x.metadata["code"] == "g()"
    assert folio.data.x.description == "new"
    folio.update_item("x", description="", inputs=[], code="")
    info = folio.data.x.metadata
    assert "description" not in info
    assert "inputs" not in info
    assert "code" not in info
    assert folio.data.x.description is None
    assert folio.get_json("x") == 3
    with pytest.raises(KeyError):
        folio.update_item("nope", description="x")


def test_delete_one_and_many(folio):
    for name in "abcd":
        folio.add_json(name, name)
    assert folio.delete("a") is folio
    folio.delete(["b", "c"])
    assert folio.list_contents()["json_data"] == ["d"]
    with pytest.raises(KeyError):
        folio.get_json("a")
    folio.add_json("a", "again")
    assert folio.get_json("a") == "again"


def test_delete_validates_all_names_first(folio):
    folio.add_json("a", 1)
    with pytest.raises(KeyError):
        folio.delete(["a", "nope"])
    with pytest.raises(KeyError):
        folio.delete("nope")
    assert folio.get_json("a") == 1


def test_delete_warns_of_dependents(folio):
    folio.add_json("a", 1)
    folio.add_json("b", 2, inputs=["a"])
    with pytest.warns(UserWarning, match="Deleting 'a' which is used by: b"):
        folio.delete("a")
    assert folio.get_inputs("b") == ["a"]


def test_delete_without_warning(folio):
    folio.add_json("a", 1)
    folio.add_json("b", 2, inputs=["a"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folio.delete("b")
        folio.add_json("b", 2, inputs=["a"])
        folio.delete("a", warn_dependents=False)


def test_archive_hides_but_keeps(folio):
    folio.add_json("a", 1)
    folio.add_json("b", 2)
    assert folio.archive("a") is folio
    assert folio.list_contents()["json_data"] == ["b"]
    assert folio.list_contents(include_archived=True)["json_data"] == ["a", "b"]
    assert folio.get_json("a") == 1
    assert "a" not in folio.describe(return_string=True).split("JSON Data")[1]
    assert "• a:" in folio.describe(return_string=True, include_archived=True)
    assert folio.unarchive("a") is folio
    assert folio.list_contents()["json_data"] == ["a", "b"]


def test_archive_lists_and_patterns(folio):
    for name in ("keep", "tmp/a", "tmp/b"):
        folio.add_json(name, 1)
    folio.archive("tmp/*")
    assert folio.list_contents()["json_data"] == ["keep"]
    folio.unarchive(["tmp/a"])
    assert folio.list_contents()["json_data"] == ["keep", "tmp/a"]
    folio.unarchive("tmp/*").archive(["keep", "tmp/b"])
    assert folio.list_contents()["json_data"] == ["tmp/a"]
    folio.archive("nothing/*")
    for call in (folio.archive, folio.unarchive):
        with pytest.raises(KeyError):
            call("nope")
        with pytest.raises(KeyError):
            call(["keep", "nope"])


# ---------------------------------------------------------------------- lineage


def test_lineage(folio, frame):
    folio.add_table("raw", frame)
    folio.add_table("clean", frame, inputs=["raw"])
    folio.add_json("net", 1, inputs=["clean"])
    folio.add_table("scores", frame, inputs=["clean"], models=["net"])
    assert folio.get_inputs("raw") == []
    assert folio.get_inputs("scores") == ["clean", "net"]
    assert folio.get_dependents("clean") == ["net", "scores"]
    assert folio.get_dependents("scores") == []
    assert folio.get_lineage_graph() == {
        "raw": [],
        "clean": ["raw"],
        "net": ["clean"],
        "scores": ["clean", "net"],
    }
    assert folio.data.scores.inputs == ["clean", "net"]
    assert folio.data.clean.dependents == ["net", "scores"]
    with pytest.raises(KeyError):
        folio.get_inputs("nope")
    with pytest.raises(KeyError):
        folio.get_dependents("nope")


def test_replacing_an_item_replaces_its_inputs(folio):
    folio.add_json("a", 1)
    folio.add_json("b", 1, inputs=["a"])
    folio.add_json("b", 2, overwrite=True)
    assert folio.get_inputs("b") == []
    assert folio.get_dependents("a") == []


# ---------------------------------------------------------------------- metadata


def test_metadata_is_a_dict_that_is_saved(folio, where):
    assert isinstance(folio.metadata, dict)
    folio.metadata["name"] = "rf"
    folio.metadata.update({"tags": ["a", "b"], "nested": {"x": [1, None]}}, score=0.5)
    again = DataFolio(where())
    assert again.metadata["name"] == "rf"
    assert again.metadata["tags"] == ["a", "b"]
    assert again.metadata["nested"] == {"x": [1, None]}
    assert again.metadata["score"] == 0.5
    del folio.metadata["name"]
    assert "name" not in DataFolio(where()).metadata
    assert folio.metadata.setdefault("score", 9) == 0.5
    assert folio.metadata.setdefault("fresh", 9) == 9
    assert DataFolio(where()).metadata["fresh"] == 9
    assert dict(folio.metadata)["fresh"] == 9
    assert "fresh" in list(folio.metadata)
    folio.metadata.clear()
    assert "fresh" not in DataFolio(where()).metadata


def test_metadata_errors(folio):
    with pytest.raises(KeyError):
        folio.metadata["nope"]
    with pytest.raises(KeyError):
        del folio.metadata["nope"]
    assert folio.metadata.get("nope") is None
    assert folio.metadata.get("nope", 3) == 3


def test_metadata_knows_when(folio):
    before = folio.metadata["updated_at"]
    assert datetime.fromisoformat(folio.metadata["created_at"]) <= datetime.fromisoformat(before)
    folio.metadata["x"] = 1
    assert datetime.fromisoformat(folio.metadata["updated_at"]) > datetime.fromisoformat(before)
    middle = folio.metadata["updated_at"]
    folio.add_json("y", 1)
    assert datetime.fromisoformat(folio.metadata["updated_at"]) > datetime.fromisoformat(middle)


# ---------------------------------------------------------------------- access by attribute


def test_data_accessor(full):
    same_frame(full.data.clean.content, full.get_table("clean"))
    same_frame(full.data["raw"].content, full.get_table("raw"))
    assert full.data.vectors.content.shape == (2, 3)
    assert full.data.config.content == {"lr": 0.01}
    assert full.data.started.content == datetime(2024, 1, 15, 10, 30, tzinfo=UTC)
    assert full.data.clean.description == "cleaned rows"
    assert full.data.started.description is None
    assert full.data.clean.inputs == ["raw"]
    assert full.data.clean.dependents == ["vectors"]
    assert full.data.raw.path.endswith("outside.parquet")
    assert full.data.plot.path == full.get_artifact_path("plot")
    kinds = {name: full.data[name].type for name in ("raw", "clean", "vectors", "config", "started", "plot")}
    assert kinds == {
        "raw": "referenced_table",
        "clean": "included_table",
        "vectors": "numpy_array",
        "config": "json_data",
        "started": "timestamp",
        "plot": "artifact",
    }
    assert full.data.clean.metadata["num_rows"] == 3
    assert "clean" in repr(full.data.clean)
    assert "included_table" in repr(full.data.clean)


def test_data_accessor_completes_names(folio):
    folio.add_json("alpha", 1)
    assert "alpha" in dir(folio.data)
    assert folio.data._ipython_key_completions_() == ["alpha"]
    folio.add_json("beta", 2)
    assert "beta" in dir(folio.data)
    folio.delete("alpha")
    assert "alpha" not in dir(folio.data)
    assert "beta" in repr(folio.data)


def test_data_accessor_errors(folio):
    with pytest.raises(AttributeError):
        folio.data.nope  # noqa: B018 - the access is what is tested
    with pytest.raises(AttributeError):
        folio.data._private  # noqa: B018
    with pytest.raises(KeyError):
        folio.data["nope"]
    assert not hasattr(folio.data, "nope")
    assert "no items" in repr(folio.data)


# ---------------------------------------------------------------------- snapshots


@pytest.fixture
def snapped(folio, frame):
    """Snapshot v1 of a table, a config and a metadata value; then everything changes."""
    folio.metadata["accuracy"] = 0.89
    folio.add_table("results", frame)
    folio.add_json("config", {"lr": 0.01})
    folio.add_json("same", 1)
    folio.create_snapshot("v1", "first results", ["baseline", "paper"])
    folio.add_table("results", frame.head(1), overwrite=True)
    folio.add_json("extra", 2)
    folio.metadata["accuracy"] = 0.91
    return folio


def test_create_and_list_snapshots(snapped):
    assert snapped.create_snapshot("v2") is snapped
    listed = snapped.list_snapshots()
    assert [one["name"] for one in listed] == ["v2", "v1"]
    assert set(listed[0]) == {"name", "timestamp", "description", "tags", "num_items"}
    assert listed[1]["description"] == "first results"
    assert listed[1]["tags"] == ["baseline", "paper"]
    assert listed[1]["num_items"] == 3
    assert listed[0]["description"] is None
    assert listed[0]["tags"] == []
    assert listed[0]["num_items"] == 4
    assert datetime.fromisoformat(listed[0]["timestamp"]) > datetime.fromisoformat(listed[1]["timestamp"])


@pytest.mark.parametrize("name", ["", "a b", "a@b", "a/b", "x" * 101, " v1"])
def test_bad_snapshot_names(folio, name):
    with pytest.raises(ValueError):  # noqa: PT011 - the message is the library's own
        folio.create_snapshot(name)


def test_snapshot_names_are_unique(snapped):
    with pytest.raises(ValueError, match="already exists"):
        snapped.create_snapshot("v1")


def test_load_snapshot(snapped, where, frame):
    for old in (DataFolio.load_snapshot(where(), "v1"), snapped.get_snapshot("v1")):
        assert isinstance(old, DataFolio)
        assert old.in_snapshot_mode is True
        assert old.loaded_snapshot == "v1"
        assert old.read_only is True
        same_frame(old.get_data("results"), frame)
        assert old.get_data("config") == {"lr": 0.01}
        assert old.metadata["accuracy"] == 0.89
        with pytest.raises(KeyError):
            old.get_data("extra")
        assert "v1" in repr(old)
        with pytest.raises(RuntimeError):
            old.add_table("new", frame)
        with pytest.raises(RuntimeError):
            old.metadata["accuracy"] = 1.0
    assert len(snapped.get_table("results")) == 1
    assert snapped.metadata["accuracy"] == 0.91


def test_missing_snapshots(snapped, where, tmp_path):
    calls = [
        lambda: DataFolio.load_snapshot(where(), "nope"),
        lambda: snapped.get_snapshot("nope"),
        lambda: snapped.get_snapshot_info("nope"),
        lambda: snapped.delete_snapshot("nope"),
        lambda: snapped.restore_snapshot("nope", confirm=True),
        lambda: snapped.compare_snapshots("v1", "nope"),
        lambda: snapped.compare_snapshots("nope", "v1"),
        lambda: snapped.diff_from_snapshot("nope"),
        lambda: snapped.reproduce_instructions("nope"),
        lambda: snapped.export_snapshot("nope", str(tmp_path / "out")),
        lambda: snapped.snapshots["nope"],
        lambda: snapped.describe(snapshot="nope"),
    ]
    for call in calls:
        with pytest.raises(KeyError):
            call()


def test_snapshots_accessor(snapped, frame):
    assert "v1" in snapped.snapshots
    assert "nope" not in snapped.snapshots
    assert len(snapped.snapshots) == 1
    assert list(snapped.snapshots) == ["v1"]
    assert list(snapped.snapshots.keys()) == ["v1"]
    assert [one.name for one in snapped.snapshots.values()] == ["v1"]
    assert [name for name, _ in snapped.snapshots.items()] == ["v1"]
    view = snapped.snapshots["v1"]
    assert view.name == "v1"
    assert view.description == "first results"
    assert view.tags == ["baseline", "paper"]
    assert view.metadata["accuracy"] == 0.89
    assert set(view.item_versions) == {"results", "config", "same"}
    assert datetime.fromisoformat(view.timestamp).tzinfo is not None
    same_frame(view.get_table("results"), frame)
    with pytest.raises(KeyError):
        view.get_table("extra")


def test_snapshot_info(snapped):
    info = snapped.get_snapshot_info("v1")
    assert info["name"] == "v1"
    assert info["description"] == "first results"
    assert info["tags"] == ["baseline", "paper"]
    assert info["metadata_snapshot"]["accuracy"] == 0.89
    assert set(info["item_versions"]) == {"results", "config", "same"}
    assert "environment" not in info
    assert "execution" not in info


def test_snapshot_captures_what_is_asked_for(folio):
    folio.create_snapshot("v1", capture_git=False, capture_environment=True, capture_execution=True)
    info = folio.get_snapshot_info("v1")
    assert "git" not in info
    assert info["environment"]["python_version"]
    assert info["environment"]["platform"]
    assert info["execution"]["working_dir"] == str(Path.cwd())
    text = folio.reproduce_instructions("v1")
    assert "To reproduce snapshot 'v1'" in text
    assert info["environment"]["python_version"] in text


def test_snapshot_arguments_are_positional(folio):
    folio.create_snapshot("v1", "text", ["t"], False, True, False)
    info = folio.get_snapshot_info("v1")
    assert "environment" in info
    assert "git" not in info


def test_reproduce_instructions_of_the_newest(snapped):
    text = snapped.reproduce_instructions()
    assert "'v1'" in text
    assert "first results" in text
    assert "accuracy: 0.89" in text


def test_without_snapshots(folio):
    with pytest.raises(ValueError, match="napshot"):
        folio.diff_from_snapshot()
    with pytest.raises(ValueError, match="napshot"):
        folio.reproduce_instructions()


def test_compare_snapshots(snapped):
    snapped.delete("config")
    snapped.create_snapshot("v2")
    diff = snapped.compare_snapshots("v1", "v2")
    assert set(diff) == {"added_items", "removed_items", "modified_items", "shared_items", "metadata_changes"}
    assert diff["added_items"] == ["extra"]
    assert diff["removed_items"] == ["config"]
    assert diff["modified_items"] == ["results"]
    assert diff["shared_items"] == ["same"]
    assert diff["metadata_changes"]["accuracy"] == (0.89, 0.91)


def test_diff_from_snapshot(snapped):
    snapped.metadata["fresh"] = 1
    for diff in (snapped.diff_from_snapshot("v1"), snapped.diff_from_snapshot()):
        assert diff == {
            "snapshot_name": "v1",
            "added_items": ["extra"],
            "removed_items": [],
            "modified_items": ["results"],
            "unchanged_items": ["config", "same"],
            "metadata_changes": {"accuracy": (0.89, 0.91), "fresh": (None, 1)},
        }


def test_restore_snapshot(snapped, frame):
    with pytest.raises(ValueError, match="confirm"):
        snapped.restore_snapshot("v1")
    assert len(snapped.get_table("results")) == 1
    assert snapped.restore_snapshot("v1", confirm=True) is snapped
    same_frame(snapped.get_table("results"), frame)
    assert snapped.metadata["accuracy"] == 0.89
    assert snapped.list_contents()["json_data"] == ["config", "same"]
    assert "v1" in snapped.snapshots
    assert snapped.diff_from_snapshot("v1")["modified_items"] == []


def test_delete_snapshot(snapped):
    assert snapped.delete_snapshot("v1") is snapped
    assert snapped.list_snapshots() == []
    assert len(snapped.get_table("results")) == 1
    snapped.create_snapshot("v1")
    snapped.delete_snapshot("v1", cleanup_orphans=True)
    assert "v1" not in snapped.snapshots


def test_cleanup_orphaned_versions_lists_nothing_by_default(folio):
    folio.add_json("a", 1)
    assert folio.cleanup_orphaned_versions() == []
    assert folio.cleanup_orphaned_versions(dry_run=True) == []


def test_in_snapshots(snapped):
    assert snapped.data.config.metadata["in_snapshots"] == ["v1"]
    assert snapped.data.results.metadata["in_snapshots"] == []
    assert snapped.data.extra.metadata["in_snapshots"] == []


def test_export_snapshot(snapped, where, frame):
    exported = snapped.export_snapshot("v1", where("exported"))
    assert isinstance(exported, DataFolio)
    same_frame(exported.get_table("results"), frame)
    assert exported.get_json("config") == {"lr": 0.01}
    assert exported.metadata["accuracy"] == 0.89
    assert exported.metadata["_source_snapshot"]["name"] == "v1"
    assert exported.metadata["_source_snapshot"]["description"] == "first results"
    assert exported.read_only is False
    assert exported.list_snapshots() == []
    assert "extra" not in exported.list_contents()["json_data"]
    again = DataFolio(where("exported"))
    same_frame(again.get_table("results"), frame)


def test_export_snapshot_without_its_origin(snapped, where):
    exported = snapped.export_snapshot("v1", where("clean"), include_snapshot_metadata=False)
    assert "_source_snapshot" not in exported.metadata
    assert exported.metadata["accuracy"] == 0.89


def test_export_snapshot_into_an_existing_place(snapped, tmp_path):
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "file.txt").write_text("x")
    with pytest.raises(ValueError, match="exists"):
        snapped.export_snapshot("v1", taken)


# ---------------------------------------------------------------------- copies


def test_copy(full, where):
    full.metadata["stage"] = "one"
    twin = full.copy(where("twin"), metadata_updates={"stage": "two", "origin": "exp"})
    assert isinstance(twin, DataFolio)
    assert twin.metadata["stage"] == "two"
    assert twin.metadata["origin"] == "exp"
    assert full.metadata["stage"] == "one"
    assert {k: sorted(v) for k, v in twin.list_contents().items()} == {
        k: sorted(v) for k, v in full.list_contents().items()
    }
    same_frame(twin.get_table("clean"), full.get_table("clean"))
    same_frame(twin.get_table("raw"), full.get_table("raw"))
    assert twin.get_inputs("vectors") == ["clean"]
    assert twin.data.clean.description == "cleaned rows"
    assert Path(twin.get_artifact_path("plot")).read_bytes() == b"\x89PNG...."
    twin.add_json("config", {"lr": 9}, overwrite=True)
    assert full.get_json("config") == {"lr": 0.01}
    same_frame(DataFolio(where("twin")).get_table("clean"), full.get_table("clean"))


def test_copy_with_a_name_below_the_path(full, where):
    twin = full.copy(where("group"), "v2")
    assert twin.path.endswith("group/v2")
    assert DataFolio(where("group/v2")).get_json("config") == {"lr": 0.01}


def test_copy_of_some_items(full, where):
    assert full.copy(where("one"), include_items=["config"]).list_contents()["json_data"] == ["config"]
    assert full.copy(where("two"), include_items=["config"]).tables == []
    some = full.copy(where("three"), exclude_items=["plot", "raw"])
    assert some.artifacts == []
    assert some.tables == ["clean"]
    with pytest.raises(ValueError, match="both"):
        full.copy(where("four"), include_items=["config"], exclude_items=["plot"])


def test_copy_follows_lineage(full, where):
    closed = full.copy(where("closed"), include_items=["vectors"], follow_lineage=True)
    assert sorted(closed.tables) == ["clean", "raw"]
    assert closed.list_contents()["numpy_arrays"] == ["vectors"]
    assert closed.list_contents()["json_data"] == []


def test_copy_leaves_archived_items_out(full, where):
    full.archive("config")
    assert full.copy(where("one")).list_contents(include_archived=True)["json_data"] == []
    twin = full.copy(where("two"), include_archived=True)
    assert twin.list_contents(include_archived=True)["json_data"] == ["config"]


# ---------------------------------------------------------------------- several handles, batches, checks


def test_two_handles_see_each_other(where, frame):
    one, two = DataFolio(where()), DataFolio(where())
    one.add_table("results", frame)
    assert two.list_contents()["included_tables"] == ["results"]
    same_frame(two.get_table("results"), frame)
    two.add_json("note", "hi")
    assert one.get_json("note") == "hi"
    one.delete("results")
    with pytest.raises(KeyError):
        two.get_table("results")
    assert two.refresh() is two
    assert "note" in two.describe(return_string=True)


def test_batch_saves_everything(folio, where):
    with folio.batch():
        for number in range(20):
            folio.add_numpy(f"array_{number}", np.full(3, number))
        assert folio.get_numpy("array_3").tolist() == [3, 3, 3]
    again = DataFolio(where())
    assert len(again.list_contents()["numpy_arrays"]) == 20
    assert again.get_numpy("array_19").tolist() == [19, 19, 19]


def test_validate(full):
    assert full.validate() == dict.fromkeys(["raw", "clean", "vectors", "config", "started", "plot"], True)
    assert full.is_valid() is True


def test_read_only(full, where, frame):
    reader = DataFolio(where(), read_only=True)
    assert reader.read_only is True
    assert "[READ-ONLY]" in repr(reader)
    assert "READ-ONLY" in reader.describe(return_string=True)
    same_frame(reader.get_table("clean"), frame)
    writes = [
        lambda: reader.add_table("new", frame),
        lambda: reader.add_data("new", {"a": 1}),
        lambda: reader.update_item("clean", description="x"),
        lambda: reader.delete("clean"),
        lambda: reader.archive("clean"),
        lambda: reader.unarchive("clean"),
        lambda: reader.create_snapshot("v1"),
        lambda: reader.delete_snapshot("v1"),
        lambda: reader.restore_snapshot("v1", confirm=True),
        lambda: reader.metadata.__setitem__("x", 1),
        lambda: reader.metadata.__delitem__("x"),
        lambda: reader.metadata.update(x=1),
        lambda: reader.metadata.clear(),
        lambda: reader.metadata.setdefault("x", 1),
    ]
    for write in writes:
        with pytest.raises(RuntimeError):
            write()
    assert "x" not in reader.metadata
    assert full.list_contents()["included_tables"] == ["clean"]


def test_cache_methods_do_no_harm(full):
    full.clear_cache()
    full.clear_cache("clean")
    full.invalidate_cache("clean")
    assert len(full.get_table("clean")) == 3
    assert full.cache_status() is None
    assert full.cache_status("clean") is None


# ---------------------------------------------------------------------- describe


def test_describe_prints(full, capsys):
    assert full.describe() is None
    printed = capsys.readouterr().out
    assert printed.strip() == full.describe(return_string=True).strip()


def test_describe_shows_every_kind(full):
    text = full.describe(return_string=True)
    for line in (
        "Tables (2):",
        "  • raw (reference): where it came from",
        "  • clean: cleaned rows",
        "    ↳ inputs: raw",
        "Numpy Arrays (1):",
        "  • vectors: embeddings",
        "shape: [2, 3], dtype: float64",
        "JSON Data (1):",
        "  • config: settings",
        "↳ type: dict",
        "Artifacts (1):",
        "  • plot (plots): a picture",
        "Timestamps (1):",
        "2024-01-15 10:30:00 UTC",
        "Created: ",
        "Updated: ",
    ):
        assert line in text, line
    assert text.startswith("DataFolio: ")
    assert "(no description)" in text
    assert "Models" not in text
    assert "outside.parquet" in text


def test_describe_shows_empty_sections_on_request(folio):
    assert "Tables" not in folio.describe(return_string=True)
    text = folio.describe(return_string=True, show_empty=True)
    for heading in ("Tables (0):", "Models (0):", "Artifacts (0):", "Numpy Arrays (0):", "JSON Data (0):"):
        assert heading in text
    assert "(none)" in text


def test_describe_takes_a_pattern(folio):
    for name in ("examples/a", "examples/b", "other"):
        folio.add_json(name, 1)
    text = folio.describe("examples/*", True)
    assert "JSON Data (2):" in text
    assert "other" not in text.split("JSON Data")[1]


def test_describe_metadata_is_shortened(folio):
    folio.metadata.update({f"key_{n:02}": n for n in range(12)}, long="x" * 100, many=list(range(20)))
    text = folio.describe(return_string=True)
    assert "Metadata (14 fields):" in text
    assert "  • key_00: 0" in text
    assert "... (4 more fields)" in text
    text = folio.describe(return_string=True, max_metadata_fields=20)
    assert "x" * 60 + "... (40 more chars)" in text
    assert "[0, 1, 2, 3, 4, ...] (15 more items)" in text
    assert "created_at" not in text


def test_describe_snapshots(snapped):
    text = snapped.describe(return_string=True)
    assert "Snapshots (1):" in text
    assert "  • v1: first results" in text
    assert "tags: baseline, paper" in text
    text = snapped.describe(snapshot="v1", return_string=True)
    assert text.startswith("Snapshot: v1")
    assert "Description: first results" in text
    assert "Items (3):" in text
    assert "results" in text
    assert "extra" not in text
    assert "Snapshot: v1" in snapped.get_snapshot("v1").describe(return_string=True)


def test_describe_shows_paths_on_request(full):
    path = full.get_item_path("clean")
    assert path in full.describe(return_string=True, show_paths=True)
    assert path not in full.describe(return_string=True)


def test_describe_model(folio, model):
    folio.add_json("src", 1)
    folio.add_model("clf", model, "a model", hyperparameters={"a": 1, "b": 2, "c": 3, "d": 4}, inputs=["src"])
    text = folio.describe(return_string=True)
    assert "Models (1):" in text
    assert "  • clf: a model" in text
    assert "hyperparameters: a=1, b=2, c=3, ... (1 more)" in text
