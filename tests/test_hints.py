"""What an error says to do can be done: hints are whole, and what they say to copy runs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from bad_input_support import refused
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.errors import InvalidInputError, NotFoundError


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    """Version 1: f:old; 2: late:v; 3: f:mid; 4: f:old is deleted; 5: f:old is there again; 6: deleted again."""
    lake = lf.open(str(tmp_path / "my lake"), author="ada")
    folio = lake.folio("f")
    folio.add_json("old", 1)
    lake.folio("late").add_json("v", 2)
    folio.add_json("mid", 3)
    folio.delete("old")
    folio.add_json("old", 5)
    folio.delete("old")
    return lake


DOORS: dict[str, Callable[[lf.Lake, str, str, int | None], Any]] = {
    "folio get": lambda lake, folio, item, at: lake.folio(folio).get(item, at=at),
    "folio info": lambda lake, folio, item, at: lake.folio(folio).item_info(item, at=at),
    "lake get": lambda lake, folio, item, at: lake.get(f"{folio}:{item}", at=at),
    "lake item": lambda lake, folio, item, at: lake.item(f"{folio}:{item}", at=at),
    "pinned": lambda lake, folio, item, at: (lake if at is None else lake.at(at)).get(f"{folio}:{item}"),
    "in a reference": lambda lake, folio, item, at: lake.get(f"{folio}:{item}" + ("" if at is None else f"@{at}")),
    "lineage": lambda lake, folio, item, at: (lake if at is None else lake.at(at)).lineage(f"{folio}:{item}"),
}


@pytest.mark.parametrize("door", DOORS)
def test_an_item_that_came_later_says_when(lake: lf.Lake, door: str) -> None:
    for folio, item, came in (("late", "v", 2), ("f", "mid", 3)):
        error = refused(
            NotFoundError, "item-not-found", partial(DOORS[door], lake, folio, item, 1), "at version 1", f"@{came}"
        )
        assert "did you mean" not in str(error)
        assert lake.get(re.search(r"'(.*?)'", error.hint)[1]) == came
        assert lake.get(f"{folio}:{item}", at=int(re.search(r"at=(\d+)", error.hint)[1])) == came


@pytest.mark.parametrize("door", DOORS)
def test_an_item_that_was_deleted_says_how_it_comes_back(lake: lf.Lake, door: str) -> None:
    for at, gone, value in ((None, 6, 5), (6, 6, 5), (4, 4, 1)):
        error = refused(
            NotFoundError, "item-not-found", partial(DOORS[door], lake, "f", "old", at), f"deleted at @{gone}"
        )
        assert lake.get("f:old", at=int(re.search(r"at=(\d+)", error.hint)[1])) == value
    eval(re.search(r"lake\.restore\(.*\)", error.hint)[0], {"lake": lake})
    assert lake.get("f:old") == 1


@pytest.mark.parametrize("stored", [False, True])
def test_an_item_that_was_renamed_says_its_new_name(lake: lf.Lake, stored: bool) -> None:
    lake.folio("f").add_json("twin", 3).rename("mid", "g:new name")
    if stored:
        lake.compact()
        lake = lf.open(lake.uri)
    error = refused(
        NotFoundError,
        "item-not-found",
        lambda: lake.get("f:mid"),
        "'mid' of folio 'f' was renamed to 'g:new name' at @8",
    )
    assert (error.objects["deleted_at"], error.objects["renamed_to"]) == (8, "g:new name")
    assert lake.get(re.search(r"'(.*?)'", error.hint)[1]) == 3
    assert lake.get("f:mid", at=int(re.search(r"at=(\d+)", error.hint)[1])) == 3
    failed = CliRunner().invoke(cli, ["--lake", lake.uri, "get", "f:mid"])
    commands = re.findall(r"lakefolio (.*?)(?:;|$)", failed.stderr.split("read that")[1].strip())
    assert [CliRunner().invoke(cli, shlex.split(one)).stdout.strip() for one in commands] == ["3", "3"]
    refused(NotFoundError, "item-not-found", lambda: lake.get("f:old"), "deleted at @6")


def test_a_copy_that_stays_beside_a_deleted_item_is_no_new_name(lake: lf.Lake) -> None:
    folio = lake.folio("f").copy_item("mid", "copy").delete("mid")
    refused(NotFoundError, "item-not-found", lambda: folio.get("mid"), "deleted at @8")
    with lake.batch():
        folio.add_json("other", 4).delete("copy")
    refused(NotFoundError, "item-not-found", lambda: folio.get("copy"), "deleted at @9")


def test_what_changes_a_deleted_item_says_the_same(lake: lf.Lake) -> None:
    folio = lake.folio("f")
    for action in (
        lambda: folio.delete("old"),
        lambda: folio.archive("old"),
        lambda: folio.update_item("old", description="x"),
        lambda: folio.get_inputs("old"),
    ):
        refused(NotFoundError, "item-not-found", action, "deleted at @6")
    refused(NotFoundError, "input-not-found", lambda: folio.add_json("new", 1, inputs=["old"]), "deleted at @6")
    error = refused(NotFoundError, "input-not-found", lambda: folio.add_json("new", 1, inputs=["mid@2"]), "came at @3")
    assert "did you mean" not in str(error)
    assert "f:mid@3" in error.hint
    folio.add_json("new", 1, inputs=["f:mid@3"])


def test_a_name_that_never_was_names_the_nearest(lake: lf.Lake) -> None:
    assert "'mid'" in refused(NotFoundError, "item-not-found", lambda: lake.get("f:mdi")).hint


def test_commands_to_copy_run(lake: lf.Lake) -> None:
    def run(*args: str) -> Any:
        return CliRunner().invoke(cli, args)

    for args in (
        ("get", "f:old"),
        ("show", "f:old"),
        ("lineage", "f:old"),
        ("get", "late:v@1"),
        ("--at", "1", "get", "f:mid"),
    ):
        failed = run("--lake", lake.uri, *args)
        assert failed.exit_code == 3
        hint = failed.stderr.splitlines()[1].removeprefix("hint: ")
        commands = [shlex.split(part.partition("lakefolio ")[2]) for part in hint.split("; or ")]
        for command in commands:
            command += ["--dry-run"] * ("restore" in command)
            done = run(*command)
            assert done.exit_code == 0, (command, done.output)


@given(st.text(min_size=1, max_size=400), st.text(max_size=500), st.text(min_size=1, max_size=200))
def test_a_hint_is_never_cut_in_the_middle(message: str, advice: str, command: str) -> None:
    command = "".join(one for one in command if one.isalnum()) or "x"
    error = NotFoundError(message, hint=f"do this first; or copy: lakefolio get {command}")
    assert len(str(error)) < 400
    assert "…" not in error.hint
    assert error.hint.startswith("do this first")
    if len(command) < 150:
        assert error.hint.endswith(f"lakefolio get {command}")


def test_names_as_long_as_they_may_be(tmp_path: Path) -> None:
    lake = lf.open(str(tmp_path / "lake"))
    folio = lake.folio("f" * 250)
    folio.add_json("i" * 250, 1)
    folio.delete("i" * 250)
    error = refused(NotFoundError, "item-not-found", lambda: folio.get("i" * 250))
    assert "…" not in error.hint
    assert "at=1" in error.hint


def test_what_newcomers_write_first(tmp_path: Path) -> None:
    lake = lf.open(str(tmp_path / "lake"))
    folio = lake.folio("survey")
    folio.add("answers", pd.DataFrame({"age": [31, 47]}))
    with pytest.raises(TypeError, match=r"got 'yesterday', one argument too many without a name: write at="):
        folio.get("answers", "yesterday")  # type: ignore[misc]
    with pytest.raises(NotFoundError) as missing:
        folio.diff("answers")
    assert "diff(-1, item='answers')" in str(missing.value)
    for sql in ("select * from answers", "select * from ANSWERS", "select * from survey.answers"):
        with pytest.raises(InvalidInputError) as refused:
            folio.sql(sql)
        assert '"folio:item"' in str(refused.value)
    with pytest.raises(InvalidInputError) as refused:
        folio.sql("select * from anwers")
    assert '"folio:item"' not in str(refused.value)
    assert "answers" in folio.items()._repr_html_()  # type: ignore[attr-defined]
    assert str(lake.snapshot("v").committed_at.year) in repr(lake.snapshots())
    lake.annotate(note="nothing but records")
    with lake.run("train"):
        pass
    with pytest.raises(NotFoundError) as missing:
        lake.get("surveys:answers")
    assert "survey" in str(missing.value)
    assert "environments" not in str(missing.value)


def test_an_item_without_its_folio_is_found(lake: lf.Lake) -> None:
    lake.folio("late").add_json("mid", 4)
    for call in (lake.get, lake.history):
        with pytest.raises(InvalidInputError, match="names no folio") as caught:
            call("mid")
        assert caught.value.hint == "there is f:mid, late:mid"
    with pytest.raises(InvalidInputError) as caught:
        lake.get("nowhere")
    assert caught.value.hint == "write folio:name"
