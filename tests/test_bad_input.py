"""Objects, tables, names and questions that can't be accepted, and odd ones that must come back as they were."""

from __future__ import annotations

import dataclasses
import math
import re
import threading
import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from bad_input_support import append_row, refused, unchanged

import lakefolio as lf
from lakefolio.errors import (
    AlreadyExistsError,
    InvalidInputError,
    LakeNotFoundError,
    LocalFileNotFoundError,
    NotFoundError,
    PlaceTakenError,
    ReadOnlyError,
    ReferenceNotFoundError,
    UnsupportedTypeError,
)
from lakefolio.process.notice import LakefolioWarning
from lakefolio.testing import need


@pytest.fixture
def lake(lake_uri: str) -> lf.Lake:
    lake = lf.open(lake_uri)
    folio = lake.folio("experiments/clf")
    folio.add_json("config", {"lr": 0.01})
    folio.add_numpy("weights", np.arange(1000.0), inputs=["config"])
    lake.folio("experiments/old").add_json("config", [1])
    lake.snapshot("paper-v1")
    folio.create_snapshot("draft", capture_git=False)
    return lake


@pytest.fixture
def local(tmp_path: Path) -> lf.Lake:
    """A local lake for what does not depend on the store."""
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add_json("config", {"lr": 0.01})
    return lake


def test_the_lakes_that_are_to_stay_as_they_are_are_whole(lake: lf.Lake, local: lf.Lake) -> None:
    for one in (lake, local):
        assert one.check(read_data=True).ok
        for item in one.items():
            assert lf.open(one.uri).get(item.ref) is not None


# -- what is taken, what is not there -----------------------------------------------------------------------


def test_an_existing_name_needs_overwrite(lake: lf.Lake, tmp_path: Path) -> None:
    folio = lake.folio("experiments/clf")
    with unchanged(lake):
        for action in (
            lambda: folio.add("config", 1),
            lambda: folio.add_json("config", {"lr": 0.02}),
            lambda: folio.add_numpy("config", np.zeros(5000)),
            lambda: folio.add_artifact("config", __file__),
            lambda: folio.add_reference("config", __file__),
        ):
            error = refused(
                AlreadyExistsError, "item-exists", action, "'config'", "'experiments/clf'", "overwrite=True"
            )
            assert isinstance(error, ValueError)
        refused(AlreadyExistsError, "snapshot-exists", lambda: lake.snapshot("paper-v1"), "'paper-v1'")
        refused(AlreadyExistsError, "snapshot-exists", lambda: folio.create_snapshot("draft"), "'draft'")
        old = lake.folio("experiments/old")
        refused(AlreadyExistsError, "item-exists", lambda: folio.copy("experiments/old"), "'config'")
        refused(AlreadyExistsError, "folio-exists", lambda: folio.export_snapshot("draft", old.name), "experiments/old")

        def late() -> None:
            with lake.batch("two"):
                folio.add_json("new", 1)
                folio.add_json("new", 2)

        refused(AlreadyExistsError, "item-exists", late, "'new'")


def test_a_name_taken_meanwhile_by_another_writer(lake: lf.Lake) -> None:
    """The loser of a race is told, whichever of both comes first, and the winner's content stays."""
    outcomes: list[Any] = []
    start = threading.Barrier(4)

    def add(number: int) -> None:
        folio = lf.open(lake.uri).folio("race")
        start.wait()
        try:
            folio.add_json("x", number)
            outcomes.append(number)
        except AlreadyExistsError as error:
            assert error.kind == "item-exists"

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lake.folio("race").get("x") == outcomes[0]
    assert len(outcomes) == 1


NOT_THERE: dict[str, tuple[str, Callable[[lf.Lake], Any], str]] = {
    "item": ("item-not-found", lambda lake: lake.folio("experiments/clf").get("confg"), "'config'"),
    "item of any type": (
        "item-not-found",
        lambda lake: lake.folio("experiments/clf").get_numpy("weihgts"),
        "'weights'",
    ),
    "path": ("item-not-found", lambda lake: lake.folio("experiments/clf").item_path("weight"), "'weights'"),
    "attribute": ("item-not-found", lambda lake: lake.folio("experiments/clf").data["wights"], "'weights'"),
    "by reference": ("item-not-found", lambda lake: lake.get("experiments/clf:confg"), "'config'"),
    "of a folio": ("item-not-found", lambda lake: lake.get("experiments/cfl:config"), "'experiments/clf'"),
    "history": ("item-not-found", lambda lake: lake.history("experiments/clf:confg"), "'config'"),
    "lineage": ("item-not-found", lambda lake: lake.lineage("experiments/clf:confg"), "'config'"),
    "delete": ("item-not-found", lambda lake: lake.folio("experiments/clf").delete("confg"), "'config'"),
    "archive": ("item-not-found", lambda lake: lake.folio("experiments/clf").archive("confg"), "'config'"),
    "update": ("item-not-found", lambda lake: lake.folio("experiments/clf").update_item("confg", "x"), "'config'"),
    "inputs": ("item-not-found", lambda lake: lake.folio("experiments/clf").get_inputs("confg"), "'config'"),
    "restore": ("item-not-found", lambda lake: lake.restore(1, "experiments/clf", ["confg"]), "'config'"),
    "not yet there": ("item-not-found", lambda lake: lake.get("experiments/clf:weights@1"), "came at @"),
    "input": (
        "input-not-found",
        lambda lake: lake.folio("experiments/clf").add_json("new", 1, inputs=["config", "weigths"]),
        "'weights'",
    ),
    "input of a folio": (
        "input-not-found",
        lambda lake: lake.folio("experiments/clf").add_json("new", 1, inputs=["experiments/odl:config"]),
        "'experiments/old'",
    ),
    "folio": ("folio-not-found", lambda lake: lf.Folio(lake.uri, "experiments/clg", create=False), "'experiments/clf'"),
    "restore of a folio": ("folio-not-found", lambda lake: lake.restore(1, "experiments/clv"), "'experiments/clf'"),
    "snapshot": ("snapshot-not-found", lambda lake: lake.at("paper-v2"), "'paper-v1'"),
    "snapshot of a folio": (
        "snapshot-not-found",
        lambda lake: lake.folio("experiments/clf").get_snapshot("drft"),
        "'draft'",
    ),
    "get at": ("snapshot-not-found", lambda lake: lake.folio("experiments/clf").get("config", at="drafft"), "'draft'"),
    "drop": ("snapshot-not-found", lambda lake: lake.drop_snapshot("paper-v2"), "'paper-v1'"),
    "delete_snapshot": (
        "snapshot-not-found",
        lambda lake: lake.folio("experiments/clf").delete_snapshot("darft"),
        "'draft'",
    ),
    "restore to": ("snapshot-not-found", lambda lake: lake.restore("paperv1"), "'paper-v1'"),
    "diff": ("snapshot-not-found", lambda lake: lake.diff("paper-v1", "paper-v3"), "'paper-v1'"),
    "version": ("version-not-found", lambda lake: lake.at(99), "0 to 5"),
    "version as text": ("version-not-found", lambda lake: lake.at("99"), "0 to 5"),
    "version below zero": ("version-not-found", lambda lake: lake.at(-6), "the oldest is -5"),
    "version of an item": ("version-not-found", lambda lake: lake.get("experiments/clf:config@99"), "0 to 5"),
    "a huge version": ("snapshot-not-found", lambda lake: lake.at("9" * 5000), "paper-v1"),
    "time": ("version-not-found", lambda lake: lake.at("2001-01-01"), "the first commit was @"),
    "aware time": ("version-not-found", lambda lake: lake.at(datetime(2001, 1, 1, tzinfo=UTC)), "the first commit was"),
    "naive time": ("version-not-found", lambda lake: lake.at(datetime(2001, 1, 1)), "the first commit was"),
    "day": ("version-not-found", lambda lake: lake.at(date(2001, 1, 1)), "the first commit was"),
    "first of all times": ("version-not-found", lambda lake: lake.at(datetime.min), "the first commit was"),
    "scan": ("table-not-found", lambda lake: lake.scan("manifest"), "'manifests'"),
}


@pytest.mark.parametrize("case", NOT_THERE)
def test_what_is_not_there_names_the_nearest(lake: lf.Lake, case: str) -> None:
    kind, action, nearest = NOT_THERE[case]
    with unchanged(lake):
        error = refused(NotFoundError, kind, lambda: action(lake), nearest)
    assert isinstance(error, KeyError)
    assert isinstance(error, LookupError)


@pytest.mark.parametrize("at", [True, 1.5, b"1", object(), "not a name", "2026-13-45", "0001-01-01T00:00+23:59"])
def test_an_at_that_means_nothing(local: lf.Lake, at: Any) -> None:
    with unchanged(local), pytest.raises((InvalidInputError, NotFoundError)) as caught:
        local.at(at)
    assert caught.value.kind in ("bad-at", "snapshot-not-found", "version-not-found")
    assert caught.value.hint


def test_an_empty_lake_says_so(lake_uri: str) -> None:
    lake = lf.open(lake_uri)
    refused(NotFoundError, "item-not-found", lambda: lake.get("f:x"), "f")
    refused(NotFoundError, "version-not-found", lambda: lake.at("2001-01-01"), "empty")
    refused(NotFoundError, "snapshot-not-found", lambda: lake.at("x"), "no snapshot")
    refused(NotFoundError, "folio-not-found", lambda: lf.Folio(lake.uri, "f", create=False), "'f'", "empty")
    assert lake.version == 0


def test_nothing_is_created_unasked(lake_uri: str) -> None:
    refused(LakeNotFoundError, "lake-not-found", lambda: lf.open(lake_uri, create=False), lake_uri)
    error = refused(LakeNotFoundError, "lake-not-found", lambda: lf.open(lake_uri, read_only=True), lake_uri)
    assert isinstance(error, FileNotFoundError)
    assert isinstance(error, KeyError)
    refused(LakeNotFoundError, "lake-not-found", lambda: lf.Folio(lake_uri, "f", create=False), lake_uri)
    if "://" not in lake_uri:
        assert not Path(lake_uri).exists()
    assert lf.open(lake_uri).version == 0


def test_places_that_are_taken(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    error = refused(PlaceTakenError, "not-a-directory", lambda: lf.open(tmp_path / "file"), "file")
    assert isinstance(error, FileExistsError)
    refused(PlaceTakenError, "place-taken", lambda: lf.Folio(tmp_path / "full"), "full")
    assert (tmp_path / "file").read_text() == "x"
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["x"]


def test_local_files_that_are_not_there(lake: lf.Lake, tmp_path: Path) -> None:
    folio = lake.folio("experiments/clf")
    gone = tmp_path / "gone.csv"
    (tmp_path / "dangling").symlink_to(gone)
    with unchanged(lake):
        for action in (
            lambda: folio.add_artifact("a", gone),
            lambda: folio.add_file(gone),
            lambda: folio.add("a", gone),
            lambda: folio.import_table("a", gone),
        ):
            error = refused(LocalFileNotFoundError, "local-file-not-found", action, "gone.csv")
            assert isinstance(error, FileNotFoundError)
        refused(LocalFileNotFoundError, "local-file-not-found", lambda: folio.add_artifact("a", tmp_path / "dangling"))
        refused(LocalFileNotFoundError, "local-file-not-found", lambda: folio.add_artifact("a", "a\0b"))
        refused(InvalidInputError, "bad-uri", lambda: folio.add_reference("a", ""))


def test_a_reference_whose_content_is_gone_or_changed(lake: lf.Lake, tmp_path: Path) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_text("a,b\n1,2\n")
    folio = lake.folio("experiments/clf")
    folio.reference_table("ref", outside)
    assert len(folio.get_table("ref")) == 1
    outside.write_text("a,b\n3,4\n")
    error = refused(lf.IntegrityError, "reference-changed", lambda: folio.get_table("ref"), "ref", str(outside)[-20:])
    assert error.item == "ref"
    outside.unlink()
    for _ in range(2):
        error = refused(ReferenceNotFoundError, "reference-missing", lambda: folio.get_table("ref"), "ref")
        assert isinstance(error, FileNotFoundError)
    assert [problem.kind for problem in lake.check(read_data=True).problems] == ["reference-missing"]


def test_content_given_up_while_it_was_being_added(lake: lf.Lake) -> None:
    """A purge commits between a writer's look and its own commit: it is stored again, under the next generation."""
    content = bytes(range(256)) * 40
    lake.folio("experiments/clf").add_data("blob", content)
    late = lf.open(lake.uri)
    digest = late.item("experiments/clf:blob").blob_digest
    append_row(
        lake,
        op="purge",
        blob_digest=digest,
        generation=0,
        **dict.fromkeys(("folio", "item", "entry_id", "kind", "format", "storage")),
    )
    late.folio("experiments/old").add_data("again", content)
    assert late.item("experiments/old:again").generation == 1
    assert late.folio("experiments/old").get("again") == content


# -- objects that can't be stored ---------------------------------------------------------------------------


class Unknown:
    """Nothing stores this."""


def _cycle() -> list[Any]:
    found: list[Any] = [1]
    found.append(found)
    return found


def _deep() -> list[Any]:
    found: list[Any] = []
    for _ in range(5000):
        found = [found]
    return found


@dataclasses.dataclass
class Config:
    lr: float
    model: Any


OBJECTS: dict[str, tuple[type[InvalidInputError], str, Callable[[], Any]]] = {
    "object array": (InvalidInputError, "object-array", lambda: np.array([{}, 1], dtype=object)),
    "array of objects in fields": (
        InvalidInputError,
        "object-array",
        lambda: np.zeros(2, dtype=[("a", "i4"), ("b", "O")]),
    ),
    "0-d object array": (InvalidInputError, "object-array", lambda: np.array(Unknown(), dtype=object)),
    "object": (UnsupportedTypeError, "unsupported-type", lambda: Unknown()),
    "class": (UnsupportedTypeError, "unsupported-type", lambda: Unknown),
    "function": (UnsupportedTypeError, "unsupported-type", lambda: _cycle),
    "lambda": (UnsupportedTypeError, "unsupported-type", lambda: lambda: None),
    "generator": (UnsupportedTypeError, "unsupported-type", lambda: (one for one in [1])),
    "lock": (UnsupportedTypeError, "unsupported-type", threading.Lock),
    "open file": (UnsupportedTypeError, "unsupported-type", lambda: open(__file__)),  # noqa: SIM115
    "module": (UnsupportedTypeError, "unsupported-type", lambda: math),
    "object in a dict": (UnsupportedTypeError, "unsupported-type", lambda: {"a": [1, Unknown()]}),
    "lambda in a dict": (UnsupportedTypeError, "unsupported-type", lambda: {"f": lambda: None}),
    "object in a dataclass": (UnsupportedTypeError, "unsupported-type", lambda: Config(0.1, Unknown())),
    "array in a dict": (InvalidInputError, "array-in-json", lambda: {"a": np.zeros(3)}),
    "frame in a list": (InvalidInputError, "array-in-json", lambda: [pl.DataFrame({"a": [1]})]),
    "cycle": (InvalidInputError, "cycle", _cycle),
    "too deep": (InvalidInputError, "too-deep", _deep),
    "lone surrogate": (InvalidInputError, "lone-surrogate", lambda: "a\ud800b"),
    "lone surrogate in a key": (InvalidInputError, "lone-surrogate", lambda: {"\udfff": 1}),
    "lone surrogate deep inside": (InvalidInputError, "lone-surrogate", lambda: {"a": [{"b": ("c", "\udc80")}]}),
    "lone surrogate in a long text": (InvalidInputError, "lone-surrogate", lambda: "x" * 10_000 + "\ud800"),
}


@pytest.mark.parametrize("case", OBJECTS)
def test_objects_that_can_not_be_stored(local: lf.Lake, case: str) -> None:
    cls, kind, make = OBJECTS[case]
    with unchanged(local):
        error = refused(cls, kind, lambda: local.folio("f").add("odd", make()), "'odd'")
        assert (error.item, error.folio) == ("odd", "f")
        refused(cls, kind, lambda: local.folio("f").add("config", make(), overwrite=True), "'config'")


def test_methods_refuse_what_they_do_not_store(local: lf.Lake) -> None:
    folio = local.folio("f")
    with unchanged(local):
        for action in (
            lambda: folio.add_numpy("x", [1, 2]),
            lambda: folio.add_table("x", {"a": [1]}),
            lambda: folio.add_table("x", 3),
            lambda: folio.add_timestamp("x", "2026-01-01"),
            lambda: folio.add_json("x", Unknown()),
        ):
            error = refused(UnsupportedTypeError, "unsupported-type", action, "'x'")
            assert isinstance(error, TypeError)
            assert error.item == "x"
        refused(InvalidInputError, "naive-datetime", lambda: folio.add_timestamp("x", datetime(2026, 1, 1)), "'x'")
        for number in (math.nan, math.inf, 1e300, -1e300):
            refused(InvalidInputError, "bad-timestamp", lambda number=number: folio.add_timestamp("x", number), "'x'")
        refused(InvalidInputError, "wrong-kind", lambda: folio.get_table("config"), "'config'", "json_data")
        refused(InvalidInputError, "wrong-kind", lambda: folio.get_numpy("config"), "'config'")
        refused(InvalidInputError, "wrong-kind", lambda: folio.get_model("config"), "'config'")
        refused(InvalidInputError, "bad-arguments", lambda: folio.add_data("x"))


WORDS: dict[str, dict[str, Any]] = {
    "description of another type": {"description": 3},
    "description with half a character": {"description": "a\ud800"},
    "tags of another type": {"tags": 3},
    "a tag of another type": {"tags": ["a", 3]},
    "an empty tag": {"tags": [""]},
    "inputs of another type": {"inputs": 3},
    "an input of another type": {"inputs": [3]},
    "an input that is a frame": {"inputs": [pl.DataFrame({"a": range(1000)})]},
    "an empty input": {"inputs": [""]},
    "metadata of another type": {"metadata": [1]},
    "metadata with a key of another type": {"metadata": {1: 2}},
    "metadata with an empty key": {"metadata": {"": 2}},
    "metadata that can't be stored": {"metadata": {"a": Unknown()}},
    "metadata with an array": {"metadata": {"a": np.zeros(3)}},
    "metadata with half a character": {"metadata": {"a": "\udc80"}},
}


@pytest.mark.parametrize("case", WORDS)
def test_words_that_can_not_be_stored(local: lf.Lake, case: str) -> None:
    with unchanged(local):
        with pytest.raises(InvalidInputError) as caught:
            local.folio("f").add("x", bytes(9000), **WORDS[case])
        refused(type(caught.value), caught.value.kind, lambda: local.folio("f").add("x", bytes(9000), **WORDS[case]))


@pytest.mark.parametrize(
    ("word", "usual", "said"),
    [
        (" prod", "'prod'", "has white space at an end"),
        ("prod\u00a0", "'prod'", "has white space at an end"),
        ("cafe\u0301", r"'caf\xe9'", "is not in Unicode normal form NFC"),
    ],
)
def test_words_that_look_like_others_are_kept_and_said(local: lf.Lake, word: str, usual: str, said: str) -> None:
    folio = local.folio("f")
    warned = {"match": re.escape(f"{said}: queries for {usual} don't find it (write {usual})")}
    with pytest.warns(LakefolioWarning, **warned) as caught:
        folio.add("x", 1, tags=[word, "ok"])
    assert [one.message.kind for one in caught] == ["looks-like-another"]
    with pytest.warns(LakefolioWarning, **warned):
        folio.add("y", 1, metadata={word: 1})
    with pytest.warns(LakefolioWarning, **warned), local.run("r", params={word: 1}) as run:
        run.log(loss=1.0)
    assert [len(local.query(tag=word)), len(local.query(metadata={word: 1}))] == [1, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folio.tag("x", "more")
        folio.tag("x", remove=word)
    assert list(folio.data.x.tags) == ["ok", "more"]


def test_items_are_not_set_through_data_nor_runs_left_that_were_not_entered(local: lf.Lake) -> None:
    folio = local.folio("f").add_json("x", 1)
    run = local.create_run("r")
    with unchanged(local):
        for act in (lambda: setattr(folio.data, "x", 2), lambda: folio.data.__setitem__("x", 2)):
            with pytest.raises(ReadOnlyError) as caught:
                act()
            assert "folio.add('x', value, overwrite=True)" in str(caught.value.hint)
        with pytest.raises(InvalidInputError, match="was not entered"):
            run.__exit__(None, None, None)
    run.finish()
    assert folio.data.x.content == 1


def test_folio_metadata_that_can_not_be_stored(local: lf.Lake) -> None:
    folio = local.folio("f")
    with unchanged(local):
        with pytest.raises(InvalidInputError):
            folio.metadata["a"] = Unknown()
        with pytest.raises(InvalidInputError):
            folio.metadata[3] = 1
        with pytest.raises(InvalidInputError):
            folio.metadata.update(good=1, bad="\ud800")
        with pytest.raises(InvalidInputError):
            local.annotate({"a": Unknown()})
    assert "good" not in folio.metadata


def test_models_that_can_not_be_stored(local: lf.Lake) -> None:
    need("skops", "sklearn")
    preprocessing = need("sklearn.preprocessing", "sklearn")
    with unchanged(local):
        lambda_inside = preprocessing.FunctionTransformer(lambda x: x)
        refused(
            InvalidInputError,
            "unreachable-class",
            lambda: local.folio("f").add_model("m", lambda_inside),
            "'m'",
            "lambda",
        )
        holds_a_lock = preprocessing.FunctionTransformer(kw_args={"lock": threading.Lock()})
        refused(
            InvalidInputError, "unreachable-class", lambda: local.folio("f").add_model("m", holds_a_lock), "'m'", "lock"
        )


# -- tables -------------------------------------------------------------------------------------------------


def pandas() -> Any:
    return need("pandas", "pandas")


TABLES: dict[str, tuple[str, Callable[[], Any]]] = {
    "mixed types": ("mixed-types", lambda: pandas().DataFrame({"id": [1, 2], "value": [1, "two"]})),
    "mixed numbers and dates": ("mixed-types", lambda: pandas().DataFrame({"value": [date(2026, 1, 1), 2]})),
    "bytes and text": ("mixed-types", lambda: pandas().DataFrame({"value": [b"a", "a"]})),
    "objects": ("unsupported-column", lambda: pandas().DataFrame({"value": [Unknown(), Unknown()]})),
    "dicts of different keys": ("unsupported-column", lambda: pandas().DataFrame({"value": [{"a": 1}, {"b": 1}]})),
    "duplicate columns": ("duplicate-columns", lambda: pandas().DataFrame([[1, 2]], columns=["value", "value"])),
    "duplicate columns in arrow": (
        "duplicate-columns",
        lambda: pa.table([pa.array([1])] * 2, names=["value", "value"]),
    ),
    "duplicate columns in a stream": (
        "duplicate-columns",
        lambda: pa.table([pa.array([1])] * 2, names=["value", "value"]).to_reader(),
    ),
    "polars objects": ("unsupported-column", lambda: pl.DataFrame({"value": pl.Series([Unknown()], dtype=pl.Object)})),
    "half a character in a column name": (
        "lone-surrogate",
        lambda: pandas().DataFrame([[1]], columns=pandas().Index(["value\udc80"], dtype=object)),
    ),
    "attrs": ("bad-attrs", lambda: _with_attrs()),
    "unions": (
        "unsupported-column",
        lambda: pa.table({"value": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])}),
    ),
}


def _with_attrs() -> Any:
    frame = pandas().DataFrame({"value": [1]})
    frame.attrs["value"] = Unknown()
    return frame


@pytest.mark.parametrize("case", TABLES)
@pytest.mark.parametrize("method", ["add", "add_table"])
def test_tables_that_can_not_be_stored(local: lf.Lake, case: str, method: str) -> None:
    kind, make = TABLES[case]
    with unchanged(local):
        refused(InvalidInputError, kind, lambda: getattr(local.folio("f"), method)("odd", make()), "'odd'", "value")


def test_half_a_character_in_a_column(local: lf.Lake) -> None:
    frame = pandas().DataFrame({"value": pandas().Series(["fine", "a\udc80"], dtype=object)})
    add = local.folio("f").add_table
    with unchanged(local):
        error = refused(InvalidInputError, "unsupported-column", lambda: add("odd", frame), "'value'", "surrogate")
        assert error.item == "odd"


def test_a_stream_that_breaks_stores_nothing(local: lf.Lake) -> None:
    schema = pa.schema([("a", pa.int64())])

    def batches() -> Any:
        yield pa.record_batch([pa.array([1])], schema)
        raise ConnectionResetError("the source is gone")

    with unchanged(local), pytest.raises(ConnectionResetError):
        local.folio("f").add_table("odd", pa.RecordBatchReader.from_batches(schema, batches()))
    with unchanged(local):
        lazy = pl.LazyFrame({"a": [1]}).select(pl.col("nothing"))
        with pytest.raises(pl.exceptions.ColumnNotFoundError):
            local.folio("f").add_table("odd", lazy)


def test_files_that_are_no_tables(local: lf.Lake, tmp_path: Path) -> None:
    for name in ("bad.parquet", "bad.arrow", "bad.feather"):
        (tmp_path / name).write_bytes(b"no table at all, whatever the name says")
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n1,2,3\n")
    (tmp_path / "odd.xyz").write_text("a")
    with unchanged(local):
        for name in ("bad.parquet", "bad.arrow", "bad.feather", "empty.csv", "ragged.csv"):
            refused(
                InvalidInputError,
                "bad-table-file",
                lambda name=name: local.folio("f").import_table("x", tmp_path / name),
                name,
            )
        refused(
            InvalidInputError, "bad-format", lambda: local.folio("f").import_table("x", tmp_path / "odd.xyz"), "odd.xyz"
        )


def test_options_that_a_table_does_not_have(local: lf.Lake) -> None:
    local.folio("f").add_table("t", pa.table({"price": [1], "count": [2]}))
    with unchanged(local):
        get = local.folio("f").get_table
        refused(InvalidInputError, "unknown-column", lambda: get("t", columns=["prize"]), "'prize'", "'price'", "f:t@")
        refused(InvalidInputError, "bad-option", lambda: get("t", as_="spark"), "'spark'", "pandas", hint=False)
        refused(InvalidInputError, "bad-option", lambda: get("t", columns="price"), "'price'", hint=False)


# -- odd things that come back ------------------------------------------------------------------------------


def same(one: Any, other: Any) -> bool:
    """Equal in type and value, NaN included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return (one == other and math.copysign(1, one) == math.copysign(1, other)) or (one != one and other != other)
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            same(a, c) and same(b, d) for (a, b), (c, d) in zip(one.items(), other.items(), strict=True)
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


VALUES: dict[str, Any] = {
    "NaN": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "minus zero": -0.0,
    "NaN inside": {"a": [math.nan, math.inf, {"b": -math.inf}]},
    "the smallest float": 5e-324,
    "non-string keys": {1: "a", 2.5: "b", None: "c", False: "d", (1, "x"): "e", date(2026, 1, 1): "f"},
    "keys that look alike": {"1": "text", 1: "number"},
    "keys that look like tags": {"$type": "tuple", "value": [1]},
    "empty key": {"": 1},
    "a huge integer": 10**400,
    "a huge negative integer": -(2**5000),
    "integers around 64 bits": [2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63), -(2**63) - 1],
    "empty text": "",
    "empty dict": {},
    "empty list": [],
    "empty tuple": (),
    "empty bytes": b"",
    "None": None,
    "False": False,
    "text with a nul": "a\0b",
    "control characters": "".join(map(chr, range(32))),
    "an emoji": "🦆",
    "the last character": "\U0010ffff",
    "not NFC": "cafe\u0301",
    "line separators": "a\u2028b\u2029c",
    "nested": [[[[[[[[[[]]]]]]]]]],
    "the first day": date.min,
    "the last moment": datetime.max,
    "a negative time span": timedelta(days=-1, microseconds=1),
    "a text of 5,000 characters": "x" * 5000,
}


def test_odd_values_come_back(local: lf.Lake) -> None:
    for case, value in VALUES.items():
        local.folio("f").add(case, value)
        assert same(lf.open(local.uri).folio("f").get(case), value), case
        if isinstance(value, str | float | int | dict) or value is None:
            local.folio("f").metadata[case] = value
            assert same(lf.open(local.uri).folio("f").metadata[case], value), case
    assert lf.open(local.uri).check(read_data=True).ok


ARRAYS: dict[str, Any] = {
    "0-d": np.array(3.5),
    "0-d text": np.array("text"),
    "0-d time": np.array("2026-01-01", "datetime64[D]"),
    "zero length": np.zeros(0),
    "zero rows": np.zeros((0, 5), np.int8),
    "zero columns": np.zeros((5, 0, 3), ">f4"),
    "zero length text": np.zeros(0, "U7"),
    "empty texts": np.zeros(3, "S0"),
    "NaN and infinities": np.array([math.nan, math.inf, -math.inf, -0.0]),
    "NaN with a payload": np.array([0x7FF8DEADBEEF0001], np.uint64).view(np.float64),
    "half floats": np.array([math.nan, 65504], np.float16),
    "NaT": np.array(["NaT", "2026-01-01"], "datetime64[ns]"),
    "complex": np.array([complex(math.nan, math.inf)]),
    "records": np.zeros(2, [("a", "i4"), ("b", "U3"), ("c", "f8", (2, 2))]),
    "records without fields": np.zeros(3, []),
    "big-endian Fortran": np.asfortranarray(np.arange(6, dtype=">i8").reshape(2, 3)),
    "a strided view": np.arange(20)[::-3],
    "broadcast": np.broadcast_to(np.float32(1), (100, 100)),
    "bool": np.array([True, False]),
    "bytes with nuls": np.array([b"a\0b", b"\0"], "S4"),
    "the largest integers": np.array([2**64 - 1], np.uint64),
}


def test_odd_arrays_come_back(local: lf.Lake) -> None:
    for case, array in ARRAYS.items():
        local.folio("f").add_numpy(case, array)
        found = lf.open(local.uri).folio("f").get_numpy(case)
        assert type(found) is np.ndarray, case
        assert (found.shape, found.dtype) == (array.shape, array.dtype), case
        assert found.tobytes() == array.tobytes(), case
    assert local.check(read_data=True).ok


FRAMES: dict[str, Callable[[], Any]] = {
    "pandas without rows": lambda: pandas().DataFrame({"a": pandas().Series([], dtype="int8"), "b": []}),
    "pandas without columns": lambda: pandas().DataFrame(index=range(3)),
    "pandas without anything": lambda: pandas().DataFrame(),
    "pandas without anything, an index": lambda: pandas().DataFrame(index=pandas().Index([], name="i")),
    "pandas NaN and infinities": lambda: pandas().DataFrame({"a": [math.nan, math.inf, -math.inf, -0.0]}),
    "pandas of None": lambda: pandas().DataFrame({"a": [None, None]}),
    "pandas non-string columns": lambda: pandas().DataFrame([[1, 2, 3]], columns=[0, 1.5, ("a", 1)]),
    "pandas numbered columns": lambda: pandas().DataFrame(np.zeros((2, 3))),
    "pandas huge integers": lambda: pandas().DataFrame({"a": [2**64 - 1, 0]}, dtype="uint64"),
    "pandas an empty column name": lambda: pandas().DataFrame({"": [1]}),
    "pandas an index twice": lambda: pandas().DataFrame({"a": [1, 2]}, index=["x", "x"]),
    "pandas NaN in the index": lambda: pandas().DataFrame({"a": [1, 2]}, index=[math.nan, 1.0]),
    "polars without rows": lambda: pl.DataFrame(schema={"a": pl.Int8, "b": pl.Categorical}),
    "polars without anything": lambda: pl.DataFrame(),
    "polars of nulls": lambda: pl.DataFrame({"a": [None, None]}),
    "arrow without rows": lambda: pa.schema([("a", pa.decimal128(38, 3)), ("b", pa.list_(pa.null()))]).empty_table(),
    "arrow without columns": lambda: pa.table({}),
    "arrow of nothing but rows": lambda: pa.table({"a": [1, 2, 3]}).select([]),
    "arrow decimals": lambda: pa.table({"a": pa.array([None], pa.decimal256(76, 0))}),
}


def test_odd_tables_come_back(local: lf.Lake) -> None:
    for case, make in FRAMES.items():
        table = make()
        local.folio("f").add_table(case, table)
        found = lf.open(local.uri).folio("f").get_table(case)
        assert type(found) is type(table), case
        if case.startswith("pandas"):
            pandas().testing.assert_frame_equal(found, table, check_column_type="exact", check_index_type="exact")
            assert len(found) == len(table), case
        elif case.startswith("polars"):
            assert found.schema == table.schema, case
            assert found.equals(table), case
        else:
            assert found.schema == table.schema, case
            assert found.num_rows == table.num_rows, case
            assert found.equals(table), case
    assert local.check(read_data=True).ok


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097])
def test_files_around_the_size_of_inline_content(lake: lf.Lake, tmp_path: Path, size: int) -> None:
    (tmp_path / "file.bin").write_bytes(bytes(size))
    lake.folio("f").add_artifact("file", tmp_path / "file.bin").add("bytes", bytes(size))
    assert lf.open(lake.uri).folio("f").get("bytes") == bytes(size)
    assert Path(lf.open(lake.uri).folio("f").get_artifact_path("file")).read_bytes() == bytes(size)
    assert lake.check(read_data=True).ok


# -- SQL ----------------------------------------------------------------------------------------------------


SQL = {
    "delete": "delete from manifests",
    "insert": "insert into items values (1)",
    "update": "update manifests set item = 'x'",
    "drop": "drop view items",
    "drop table": "DROP TABLE manifests",
    "create": "create table t as select 1",
    "create or replace": "create or replace view items as select 1",
    "copy to": "copy (select * from items) to '{folder}/out.csv'",
    "copy from": "copy manifests from '/etc/passwd'",
    "export": "export database '{folder}/out'",
    "attach": "attach '{folder}/x.db' as x",
    "load": "load httpfs",
    "install": "install httpfs",
    "set": "set enable_external_access = true",
    "pragma": "pragma enable_external_access",
    "call": "call pragma_version()",
    "read_csv": "select * from read_csv('/etc/passwd')",
    "read_csv_auto": "select * from read_csv_auto('/etc/passwd', header=false)",
    "read_text": "select * from read_text('/etc/passwd')",
    "read_blob": "select * from read_blob('{folder}/*')",
    "read_parquet": "select * from read_parquet('{folder}/x.parquet')",
    "a file as a table": "select * from '/etc/passwd.csv'",
    "glob": "select * from glob('/etc/*')",
    "hidden in a CTE": "with x as (select * from read_csv('/etc/passwd')) select * from x",
    "in explain analyze": "explain analyze copy (select 1) to '{folder}/out.csv'",
    "several": "select 1; select 2",
    "several, the second writes": "select 1; drop view items",
    "nothing": "",
    "a comment": "-- nothing",
    "a semicolon": ";",
    "syntax": "selct * from items",
    "an open quote": "select 'abc",
    "an open parenthesis": "select (1 from items",
    "several lines": "select *\nfrom items\nwhere\nnonsense nonsense",
    "a nul": "select 'a\0b'",
    "unknown function": "select levensteinn('a', 'b')",
    "unknown column": "select itm from items",
    "a wrong type": "select item + 1 from items where item > interval '1 day'",
    "python variables": "select * from secret_frame",
    "a missing parameter": "select * from items where item = ?",
    "half a character": "select 'a\udc80'",
}


@pytest.mark.parametrize("case", SQL)
def test_sql_that_is_refused(local: lf.Lake, tmp_path: Path, case: str) -> None:
    secret_frame = pl.DataFrame({"a": [1]})
    assert secret_frame.height == 1
    folder = tmp_path / "folder"
    folder.mkdir()
    query = SQL[case].replace("{folder}", str(folder))
    with unchanged(local):
        for _ in range(2):
            refused(InvalidInputError, "sql", lambda: local.sql(query).fetchall(), hint=False)
        assert local.sql("select item from items").fetchall() == [("config",)]
    assert list(folder.iterdir()) == []


def test_sql_names_the_nearest(local: lf.Lake) -> None:
    refused(InvalidInputError, "sql", lambda: local.sql("select * from itmes"), "'items'")
    refused(InvalidInputError, "sql", lambda: local.sql("select * from manifest"), "'manifests'")
    refused(InvalidInputError, "sql", lambda: local.sql("select itm from items"), "item")
    refused(InvalidInputError, "sql", lambda: local.sql("select * from read_csv('/etc/passwd')"), "connect()")
    for query in (None, 3, b"select 1"):
        refused(InvalidInputError, "sql", lambda query=query: local.sql(query))
