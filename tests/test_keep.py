"""Overwriting an item: what is said about it is never lost without a word, and ``keep`` carries it over."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from inside import session_of

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.process.notice import LakefolioWarning


@pytest.fixture
def folio(tmp_path: Path) -> lf.Folio:
    lake = lf.open(str(tmp_path / "lake"), author="ada")
    folio = lake.folio("f")
    folio.add_json("raw", 0)
    folio.add_json(
        "x", 1, description="The first", tags=["draft"], metadata={"q": 0.5, "unit": "m"}, inputs=["raw"], code="x = 1"
    )
    return folio


WAYS: dict[str, Callable[..., Any]] = {
    "add": lambda folio, **words: folio.add("x", 2, **words),
    "add_data": lambda folio, **words: folio.add_data("x", 2, **words),
    "add_json": lambda folio, **words: folio.add_json("x", 2, **words),
    "add_table": lambda folio, **words: folio.add_table("x", pd.DataFrame({"a": [1]}), **words),
    "add_numpy": lambda folio, **words: folio.add_numpy("x", np.arange(3), **words),
    "add_timestamp": lambda folio, **words: folio.add_timestamp("x", 1.5, **words),
    "add_artifact": lambda folio, **words: folio.add_artifact("x", b"bytes", **words),
    "add_file": lambda folio, **words: folio.add_file(__file__, "x", **words),
    "import_table": lambda folio, **words: folio.import_table("x", _csv(folio), **words),
    "add_reference": lambda folio, **words: folio.add_reference("x", __file__, **words),
    "reference_table": lambda folio, **words: folio.reference_table("x", _csv(folio), **words),
    "add_sklearn": lambda folio, **words: folio.add_sklearn("x", _model(), **words),
    "add_model": lambda folio, **words: folio.add_model("x", _model(), **words),
}


def _csv(folio: lf.Folio) -> Path:
    path = Path(folio.lake_uri.removeprefix("file://")).parent / "t.csv"
    path.write_text("a\n1\n")
    return path


def _model() -> Any:
    from sklearn.linear_model import Ridge

    return Ridge()


@pytest.mark.parametrize("way", WAYS)
def test_overwriting_says_what_is_not_carried_over(folio: lf.Folio, way: str) -> None:
    with pytest.warns(LakefolioWarning, match="not carried over") as caught:
        WAYS[way](folio, overwrite=True)
    (told,) = [str(one.message) for one in caught]
    for part in ("'x'", "description", "tags", "metadata", "keep=True", "@2"):
        assert part in told, told
    assert caught[0].filename == __file__  # it is said of the caller's line
    info = folio.item_info("x")
    assert not {"description", "tags", "metadata"} & info.keys()


@pytest.mark.parametrize("way", WAYS)
def test_keep_carries_words_and_never_inputs(folio: lf.Folio, way: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        WAYS[way](folio, overwrite=True, keep=True)
    info = folio.item_info("x")
    assert (info["description"], info["tags"], info["metadata"]) == ("The first", ["draft"], {"q": 0.5, "unit": "m"})
    assert folio.get_inputs("x") == []
    assert "code" not in info  # it made the old content
    assert session_of(folio).state().entry("f", "x").inputs == ()


def test_what_is_given_wins_over_what_is_kept(folio: lf.Folio) -> None:
    folio.add_json("x", 2, overwrite=True, keep=True, tags=["final"], metadata={"q": 0.9, "n": 3}, inputs=["raw"])
    info = folio.item_info("x")
    assert (info["description"], info["tags"]) == ("The first", ["final"])
    assert info["metadata"] == {"q": 0.9, "unit": "m", "n": 3}
    assert folio.get_inputs("x") == ["raw"]
    folio.add_json("x", 3, overwrite=True, keep=True, tags=[], description="")
    info = folio.item_info("x")
    assert "tags" not in info
    assert "description" not in info


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ({"description": "d"}, "its tags and metadata"),
        ({"tags": "t"}, "its description and metadata"),
        ({"metadata": {"a": 1}}, "its description and tags"),
        ({"description": "d", "tags": ["t"]}, "its metadata"),
        ({"description": "d", "tags": ["t"], "metadata": {"a": 1}}, None),
        ({"description": "", "tags": [], "metadata": {}}, None),  # said that there is none
    ],
)
def test_only_what_is_lost_is_named(folio: lf.Folio, words: dict[str, Any], left: str | None) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        folio.add_json("x", 2, overwrite=True, **words)
    told = [str(one.message) for one in caught]
    assert len(told) == (left is not None)
    assert all(left in one for one in told)


def test_nothing_is_said_where_nothing_is_lost(folio: lf.Folio) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folio.add_json("raw", 1, overwrite=True)
        folio.add_json("new", 1, overwrite=True)
        folio.add_json("new", 2, overwrite=True, keep=True)
        folio.add_json("newer", 2, keep=True)
        folio.delete("x", warn_dependents=False)
        folio.add_json("x", 2)


def test_keep_holds_what_others_said_meanwhile(folio: lf.Folio) -> None:
    """The words that are kept are those at the commit, not those that the writer had seen."""
    other = lf.open(folio.lake_uri, author="bob").folio("f")

    def curate(number: int) -> None:
        other.update_item("x", metadata={f"k{number}": number})

    def overwrite(number: int) -> None:
        folio.add_json("x", [number], overwrite=True, keep=True)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(one, number) for number in range(20) for one in (curate, overwrite)]:
            done.result()
    assert folio.item_info("x")["metadata"] == {"q": 0.5, "unit": "m"} | {f"k{number}": number for number in range(20)}


def test_keep_in_a_batch(folio: lf.Folio) -> None:
    with folio.batch():
        folio.add_json("y", 1, description="new")
        folio.add_json("y", 2, overwrite=True, keep=True)
    assert folio.item_info("y")["description"] == "new"


def test_an_archived_item_that_is_overwritten(folio: lf.Folio) -> None:
    folio.archive("x")
    folio.add_json("x", 2, overwrite=True, keep=True)
    assert folio.item_info("x")["description"] == "The first"


def test_keep_on_the_command_line(folio: lf.Folio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAKEFOLIO_LAKE", folio.lake_uri)
    (tmp_path / "x.json").write_text("7")
    result = CliRunner().invoke(cli, ["add", "f:x", str(tmp_path / "x.json"), "--overwrite", "--keep"])
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert folio.item_info("x")["description"] == "The first"
    result = CliRunner().invoke(cli, ["add", "f:x", str(tmp_path / "x.json"), "--overwrite"])
    assert result.exit_code == 0, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("warning: ")
    assert "description, tags and metadata" in line
    assert "--keep" in line
    assert "keep=True" not in line
