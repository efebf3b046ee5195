"""Renaming, copying and tagging items, a folio as a mapping, and their commands."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from bad_input_support import refused, unchanged
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.errors import AlreadyExistsError, InvalidInputError, NotFoundError, ReadOnlyError
from lakefolio.runs.savings import Savings


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> lf.Lake:
    lake = lf.open(str(tmp_path / "lake"), author="ada")
    monkeypatch.setenv("LAKEFOLIO_LAKE", lake.uri)
    folio = lake.folio("f")
    folio.add_json("raw", 0)
    folio.add("x", b"1" * 9000, description="The first", tags=["draft"], metadata={"q": 1}, inputs=["raw"])
    folio.add_json("y", 2, inputs=["x"])
    return lake


def run(*args: str, code: int = 0) -> Any:
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == code, result.output
    return result


def test_a_renamed_item_is_the_same_in_one_commit(lake: lf.Lake) -> None:
    folio, before = lake.folio("f"), lake.version
    folio.archive("x")
    folio.rename("x", "z")
    assert lake.version == before + 2
    assert "x" not in folio
    info = folio.item_info("z")
    assert (info["description"], info["tags"], info["metadata"]) == ("The first", ["draft"], {"q": 1})
    assert info["archived"]
    assert folio.get("z") == b"1" * 9000
    assert folio.get_inputs("z") == ["raw"]
    assert folio.get("x", at=before) == b"1" * 9000
    assert lake.check(read_data=True).ok
    folio.rename("z", "other:moved")
    assert lake.get("other:moved") == b"1" * 9000
    assert "z" not in folio
    folio.rename("y", "y")
    assert folio.get("y") == 2


def test_what_can_not_be_renamed(lake: lf.Lake) -> None:
    folio = lake.folio("f")
    with unchanged(lake):
        refused(AlreadyExistsError, "item-exists", lambda: folio.rename("x", "y"))
        refused(NotFoundError, "item-not-found", lambda: folio.rename("nothing", "z"))
        refused(InvalidInputError, "bad-name", lambda: folio.rename("x", "../z"))
        refused(InvalidInputError, "bad-name", lambda: folio.rename("x", "z@3"))
        refused(ReadOnlyError, "read-only-version", lambda: lake.at(2).folio("f").rename("x", "z"))
    folio.rename("x", "y", overwrite=True)
    assert folio.get("y") == b"1" * 9000
    with folio.batch():
        folio.rename("y", "w")
        assert "y" not in folio
    assert folio.get("w") == b"1" * 9000


def test_a_copied_item_stays_where_it_was(lake: lf.Lake) -> None:
    folio = lake.folio("f")
    folio.copy_item("x", "twin").copy_item("x", "other:twin").copy_item("raw@1", "old")
    assert folio.get("twin") == lake.get("other:twin") == folio.get("x")
    assert folio.get("old") == 0
    assert folio.item_info("twin")["description"] == "The first"
    refused(AlreadyExistsError, "item-exists", lambda: folio.copy_item("x", "twin"))


def test_tags_are_added_and_taken_away(lake: lf.Lake) -> None:
    folio = lake.folio("f")
    folio.tag("x", "final", "draft", remove=["nothing"])
    assert folio.item_info("x")["tags"] == ["draft", "final"]
    version = lake.version
    folio.tag("x", "final")
    assert lake.version == version
    folio.tag("x", remove="draft")
    assert folio.item_info("x")["tags"] == ["final"]


def test_a_folio_is_a_mapping(lake: lf.Lake) -> None:
    folio = lake.folio("f")
    assert folio["raw"] == 0
    assert "raw" in folio
    assert list(folio) == ["raw", "x", "y"]
    assert len(folio) == 3
    assert [one.item for one in folio.items()] == ["raw", "x", "y"]
    with pytest.raises(KeyError):
        folio["nothing"]
    assert [one.version for one in folio.history("x")] == [2]
    assert len(folio.log()) == 3
    lake.folio("g").add_json("other", 1)
    assert len(folio.log()) == 3
    assert [one.item for one in folio.diff(1)] == ["x", "y"]
    assert {node.ref for node in folio.lineage("y").upstream(1)} >= {"f:x@2"}
    assert folio.sql("select count(*) from items").fetchone() == (4,)


def test_the_commands(lake: lf.Lake, tmp_path: Path) -> None:
    assert run("mv", "f:x", "z").stdout == "moved f:x to f:z\n"
    run("cp", "f:z", "g:z")
    run("tag", "g:z", "a", "b", "--remove", "draft")
    assert lake.item("g:z").tags == ("a", "b")
    run("archive", "f:z", "g:z")
    assert lake.item("f:z").archived
    run("archive", "f:z", "g:z", "--undo")
    assert not lake.item("g:z").archived
    done = run("rm", "f:z", "g:z", "-m", "away")
    assert lake.folios() == ["f"]
    assert lake.log(1)[0].message == "away"
    back = done.stdout.splitlines()[-1].partition("lakefolio ")[2]
    run(*shlex.split(back), "--yes")
    assert lake.folios() == ["f", "g"]
    version = lake.version
    run("rm", "f:z", "f:nothing", code=3)
    assert lake.version == version
    run("rm", "z", code=2)
    run("cp", "f:z@1", "old", code=3)
    run("cp", "f:raw@1", "old")
    assert lake.get("f:old") == 0
    run("datasets", "create", "paper", "f:z", "f:raw@1", "--description", "What the paper used")
    assert len(lake.get_dataset("paper")) == 2


def test_what_was_purged_is_marked(lake: lf.Lake) -> None:
    lake.folio("f").add("x", b"2" * 9000, overwrite=True, keep=True)
    assert "purged" not in str(lake.history("f:x")) + run("ls", "f", "--at", "2").stdout
    run("gc", "--keep-last", "1", "--grace", "0", "--delete", "--yes")
    events = lake.history("f:x")
    assert [one.purged for one in events] == [False, True]
    assert [one["purged"] for one in events.to_dicts()] == [False, True]
    assert str(events).count("(purged)") == run("history", "f:x").stdout.count("(purged)") == 1
    assert "x (purged)" in run("ls", "f", "--at", "2").stdout
    assert "purged" not in run("ls", "f").stdout
    assert "purged by gc" in run("show", "f:x@2").stdout
    assert "purged by gc" not in run("show", "f:x").stdout


def test_inline_content_that_was_purged_is_marked(lake: lf.Lake) -> None:
    lake.folio("f").add("small", "the first text").add("small", "the second text", overwrite=True)
    run("gc", "--keep-last", "1", "--grace", "0", "--delete", "--yes")
    for found in (lake, lf.open(lake.uri)):
        assert [one.purged for one in found.history("f:small")] == [False, True]
        with pytest.raises(lf.NotFoundError, match="purged by gc"):
            found.get(f"f:small@{found.history('f:small')[1].version}")
    assert run("history", "f:small").stdout.count("(purged)") == 1


@pytest.mark.parametrize(
    ("savings", "text"),
    [
        (Savings(1, 100, 50, 0), "1 run with inputs; all content would take 100 B, stored are 50 B: 50.0% saved"),
        (Savings(2, 100, 287, 0), "2 runs with inputs; all content would take 100 B, stored are 287 B: 187.0% more"),
        (Savings(0, 0, 0, 0), "nothing is stored"),
    ],
)
def test_what_storing_once_saves_is_said_right(savings: Savings, text: str) -> None:
    assert str(savings).startswith(text)
