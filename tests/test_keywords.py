"""A misspelt keyword is refused where it was written, as a TypeError that names the nearest one there is."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

import lakefolio as lf
from lakefolio.errors import InvalidInputError, UnsupportedTypeError


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    lake = lf.open(str(tmp_path / "lake"), author="ada")
    lake.folio("f").add_json("x", 1).add_numpy("n", __import__("numpy").arange(3))
    return lake


MISSPELT: dict[str, tuple[Any, str]] = {
    "add": (lambda lake: lake.folio("f").add("y", 1, desciption="d"), "description"),
    "add tag": (lambda lake: lake.folio("f").add("y", 1, tag="d"), "tags"),
    "add_data": (lambda lake: lake.folio("f").add_data("y", 1, desciption="d"), "description"),
    "add_data input": (lambda lake: lake.folio("f").add_data("y", 1, input="x"), "inputs"),
    "add_json": (lambda lake: lake.folio("f").add_json("y", 1, meta={}), "metadata"),
    "add_table": (lambda lake: lake.folio("f").add_table("y", {"a": [1]}, descripton="d"), "description"),
    "add_file": (lambda lake: lake.folio("f").add_file(__file__, tag="d"), "tags"),
    "add_model": (lambda lake: lake.folio("f").add_model("y", 1, hyperparameter={}), "hyperparameters"),
    "overwrite": (lambda lake: lake.folio("f").add("x", 1, overwite=True), "overwrite"),
    "get": (lambda lake: lake.folio("f").get("x", att=1), "at"),
    "get kind": (lambda lake: lake.folio("f").get("n", mmapp=True), "mmap"),
    "get_numpy": (lambda lake: lake.folio("f").get_numpy("n", mmapp=True), "mmap"),
    "get_json": (lambda lake: lake.folio("f").get_json("x", trust=[]), "trusted"),
    "get_many": (lambda lake: lake.folio("f").get_many(["x"], thread=3), "threads"),
    "lake get": (lambda lake: lake.get("f:x", att=1), "at"),
    "query": (lambda lake: lake.query(nam="x"), "name"),
    "query order": (lambda lake: lake.query(orderby="x"), "order_by"),
    "snapshot": (lambda lake: lake.snapshot("s", mesage="x"), "message"),
    "run": (lambda lake: lake.run("r", param={}), "params"),
    "open": (lambda lake: lf.open(lake.uri, storage_option={}), "storage_options"),
    "Folio": (lambda lake: lf.Folio(lake.uri, "f", readonly=True), "read_only"),
    "log": (lambda lake: lake.log(limt=3), "limit"),
    "restore": (lambda lake: lake.restore(1, dryrun=True), "dry_run"),
    "gc": (lambda lake: lake.gc(keep_day=3), "keep_days"),
    "capture": (lambda lake: lf.capture(runtype="x"), "run_type"),
    "lake capture": (lambda lake: lake.capture(runtype="x"), "run_type"),
    "describe": (lambda lake: lake.folio("f").describe(pattren="x"), "pattern"),
    "load_snapshot": (lambda lake: lf.Folio.load_snapshot(lake.uri, "s", foli="f"), "folio"),
}


@pytest.mark.parametrize("case", MISSPELT)
def test_a_misspelt_keyword_names_the_nearest(lake: lf.Lake, case: str) -> None:
    action, right = MISSPELT[case]
    version = lake.version
    with pytest.raises(TypeError) as caught:
        action(lake)
    assert f"did you mean {right!r}" in str(caught.value), caught.value
    assert "encode" not in str(caught.value)
    assert "decode" not in str(caught.value)
    assert "Handler" not in str(caught.value)
    assert lake.version == version


def test_at_is_taken_by_every_get(lake: lf.Lake) -> None:
    lake.folio("f").add_json("x", 2, overwrite=True)
    assert lake.get("f:x", at=1) == 1
    with pytest.raises(lf.InvalidInputError, match="both say as of when"):
        lake.get("f:x@1", at=1)


WORDS = ("description", "inputs", "tags", "metadata", "overwrite", "keep")


@pytest.mark.parametrize("name", [name for name in dir(lf.Folio) if name.startswith(("add", "import_", "reference_"))])
def test_the_help_of_adding_shows_what_it_takes(name: str) -> None:
    parameters = inspect.signature(getattr(lf.Folio, name)).parameters
    assert set(WORDS) <= parameters.keys(), name


PUBLIC = (lf.Folio, lf.Lake, lf.Run)
"""Classes whose methods are called by users."""
OPEN = {
    "query": "fields",
    "name_of": "fields",
    "annotate": "more",
    "set_params": "more",
    "log": "metrics",
    "capture": "options",
}
"""Methods whose keywords are the user's own names."""


def test_a_message_is_that_of_a_commit(lake: lf.Lake) -> None:
    for call in (lake.folio("f").add, lake.folio("f").add_json):
        with pytest.raises(TypeError, match=r"with lake\.batch\('…'\)"):
            call("y", 1, message="x")


def test_no_public_method_swallows_options() -> None:
    for owner in PUBLIC:
        for name, method in inspect.getmembers(owner, inspect.isfunction):
            if name.startswith("_"):
                continue
            for one in inspect.signature(method).parameters.values():
                if one.kind is inspect.Parameter.VAR_KEYWORD:
                    with_words = "options" in one.name and name.startswith(("get", "scan", "add", "input", "objects"))
                    assert with_words or name in OPEN or name == "load_snapshot", (
                        f"{owner.__name__}.{name}(**{one.name})"
                    )


@pytest.mark.parametrize("owner", PUBLIC, ids=lambda one: one.__name__)
def test_each_method_of_named_keywords_says_which_there_are(owner: type) -> None:
    checked = 0
    for name, method in inspect.getmembers(owner, inspect.isfunction):
        parameters = inspect.signature(method).parameters.values()
        if name.startswith("_") or any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters):
            continue
        with pytest.raises(TypeError, match="unexpected keyword argument 'no_such_keyword'"):
            method(None, no_such_keyword=1)
        named = [
            one.name
            for one in parameters
            if one.name != "self" and one.kind.name in ("POSITIONAL_OR_KEYWORD", "KEYWORD_ONLY")
        ]
        if named:
            longest = max(named, key=len)
            with pytest.raises(TypeError, match=rf"did you mean '{longest}'\?"):
                method(None, **{f"{longest}x": 1})
            checked += 1
    assert checked > 5


NOT_MADE = {
    "Entry": "history",
    "Lake": "lakefolio.open",
    "Run": "lake.run",
    "RunManifest": "lake.get_run",
    "Snapshot": "lake.snapshot",
}
"""Public classes whose objects the library makes -> what their error names."""


@pytest.mark.parametrize("name", NOT_MADE)
def test_a_class_that_is_not_called_says_how_to_get_an_object(name: str) -> None:
    for given in ((), ("x",), (1, 2), (None, "x", "y")):
        with pytest.raises(UnsupportedTypeError) as caught:
            getattr(lf, name)(*given)
        assert NOT_MADE[name] in str(caught.value)


def test_every_public_class_is_made_or_says_how() -> None:
    """Errors, conditions and the enumerations are made by calling them; a folio by its name."""
    called = {"DataFolio", "Folio", "Q", "RunType", "StorageMode"}
    classes = {name for name in lf.__all__ if isinstance(getattr(lf, name), type)}
    assert {one for one in classes if not issubclass(getattr(lf, one), Exception)} == called | NOT_MADE.keys()


def test_an_enumeration_names_the_nearest() -> None:
    with pytest.raises(InvalidInputError, match="did you mean 'experiment'"):
        lf.RunType("experimnt")
    with pytest.raises(InvalidInputError, match="did you mean 'by_date'"):
        lf.StorageMode("by_dat")
    assert lf.RunType("analysis") is lf.RunType.ANALYSIS
