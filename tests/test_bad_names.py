"""Names that can't be used are refused wherever a name is given, before anything happens."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bad_input_support import LONGEST, refused, unchanged
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.errors import InvalidInputError, LakefolioError, NotFoundError
from lakefolio.format.names import hidden_character

BAD = {
    "empty": "",
    "absolute": "/etc/passwd",
    "home": "~/x",
    "drive": "C:\\x",
    "dot-dot": "..",
    "climbing": "a/../../b",
    "dot": "a/./b",
    "double slash": "a//b",
    "final slash": "a/",
    "too long": "n" * 700,
    "too long in bytes": "é" * 300,
    "not NFC": "cafe\u0301",
    "newline": "a\nb",
    "nul": "a\0b",
    "escape": "\x1b[31mred",
    "delete": "a\x7fb",
    "line separator": "a\u2028b",
    "zero-width space": "\u200b",
    "byte order mark": "\ufeffid",
    "direction override": "a\u202efdp.exe",
    "direction mark": "a\u200e",
    "isolate": "\u2066a\u2069",
    "joiner alone": "\u200d",
    "letter that shows nothing": "a\u3164",
    "lone surrogate": "a\udc80b",
    "leading space": " a",
    "trailing space": "a ",
    "trailing tab": "a\t",
    "non-breaking space": "a\u00a0",
    "wildcard": "a*",
    "quote": 'a"b',
    "pipe": "a|b",
    "backslash": "a\\..\\b",
}
IN_REFERENCES = {"colon": "a:b", "at": "a@b", "colon first": ":a", "at last": "a@"}
"""What has a meaning in a reference, and so can't be in a name."""

BAD_NAMES = list((BAD | IN_REFERENCES).values())


@pytest.fixture
def lake(lake_uri: str) -> lf.Lake:
    lake = lf.open(lake_uri)
    lake.folio("f").add_json("config", {"lr": 0.01})
    lake.folio("f").add_data("big", bytes(5000))
    lake.snapshot("v-one")
    return lake


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> lf.Lake:
    """One local lake for all names: none of them may change it, so it can be used again."""
    lake = lf.open(tmp_path_factory.mktemp("names") / "lake")
    lake.folio("f").add_json("config", {"lr": 0.01})
    lake.folio("f").add_data("big", bytes(5000))
    lake.snapshot("v-one")
    lake.folio("f").create_snapshot("v-two", capture_git=False)
    return lake


WRITES: dict[str, Callable[[lf.Lake, str], Any]] = {
    "add": lambda lake, name: lake.folio("f").add(name, 1),
    "add overwrite": lambda lake, name: lake.folio("f").add_json(name, 1, overwrite=True),
    "add_data large": lambda lake, name: lake.folio("f").add_data(name, bytes(9000)),
    "add_artifact": lambda lake, name: lake.folio("f").add_artifact(name, __file__),
    "add_file": lambda lake, name: lake.folio("f").add_file(__file__, name),
    "add_reference": lambda lake, name: lake.folio("f").add_reference(name, __file__),
    "reference_table": lambda lake, name: lake.folio("f").reference_table(name, __file__),
    "folio": lambda lake, name: lake.folio(name),
    "Folio": lambda lake, name: lf.Folio(lake.uri, name),
    "snapshot": lambda lake, name: lake.snapshot(name),
    "snapshot of folio": lambda lake, name: lake.snapshot("fine", folio=name),
    "create_snapshot": lambda lake, name: lake.folio("f").create_snapshot(name, capture_git=False),
}


@pytest.mark.parametrize("way", WRITES)
def test_a_bad_name_is_not_taken(kept: lf.Lake, way: str) -> None:
    version = kept.version
    for name in BAD_NAMES:
        error = refused(InvalidInputError, "bad-name", lambda name=name: WRITES[way](kept, name))
        assert error.name == name
        assert isinstance(error, ValueError)
        assert kept.version == version, repr(name)


READS: dict[str, Callable[[lf.Lake, str], Any]] = {
    "get": lambda lake, name: lake.folio("f").get(name),
    "get_data": lambda lake, name: lake.folio("f").get_data(name),
    "get_table": lambda lake, name: lake.folio("f").get_table(name),
    "item_path": lambda lake, name: lake.folio("f").item_path(name),
    "item_info": lambda lake, name: lake.folio("f").item_info(name),
    "data[]": lambda lake, name: lake.folio("f").data[name],
    "get_inputs": lambda lake, name: lake.folio("f").get_inputs(name),
    "get at": lambda lake, name: lake.folio("f").get("config", at=name),
    "lake.get": lambda lake, name: lake.get(f"f:{name}"),
    "lake.get folio": lambda lake, name: lake.get(f"{name}:config"),
    "lake.history": lambda lake, name: lake.history(f"f:{name}"),
    "lake.lineage": lambda lake, name: lake.lineage(f"f:{name}"),
    "lake.at": lambda lake, name: lake.at(name),
    "delete": lambda lake, name: lake.folio("f").delete(name),
    "delete some": lambda lake, name: lake.folio("f").delete(["config", name]),
    "update_item": lambda lake, name: lake.folio("f").update_item(name, description="x"),
    "input": lambda lake, name: lake.folio("f").add_json("new", 1, inputs=[name]),
    "lake.restore": lambda lake, name: lake.restore(name),
    "restore items": lambda lake, name: lake.restore(1, folio="f", items=[name]),
    "restore folio": lambda lake, name: lake.restore(1, folio=name),
    "restore_snapshot": lambda lake, name: lake.folio("f").restore_snapshot(name, confirm=True),
    "get_snapshot": lambda lake, name: lake.folio("f").get_snapshot(name),
    "delete_snapshot": lambda lake, name: lake.folio("f").delete_snapshot(name),
    "drop_snapshot": lambda lake, name: lake.drop_snapshot(name),
}


@pytest.mark.parametrize("way", READS)
def test_a_bad_name_finds_nothing(kept: lf.Lake, way: str) -> None:
    """Reading, deleting and restoring say that there is no such thing, or that there can't be; never anything else."""
    version = kept.version
    for name in BAD_NAMES:
        if way == "input" and name.startswith("/"):
            continue  # an absolute path is an input from outside
        with pytest.raises((InvalidInputError, NotFoundError)) as caught:
            READS[way](kept, name)
        error = caught.value
        text = str(error)
        assert text.isprintable(), repr(name)
        assert len(text) < LONGEST, repr(name)
        assert error.hint, text
        assert kept.version == version, repr(name)


def test_archive_and_copy_of_bad_names(kept: lf.Lake) -> None:
    version = kept.version
    for name in BAD_NAMES:
        if not {"*", "["} & set(name):  # a glob may match nothing
            with pytest.raises((InvalidInputError, NotFoundError)):
                kept.folio("f").archive(name)
        if not name.startswith("~"):
            with pytest.raises(InvalidInputError):
                kept.folio("f").copy(f"x/{name}")
        assert kept.version == version, repr(name)


@pytest.mark.parametrize(
    "args",
    [
        ["add", "f:{}", __file__],
        ["add", "{}:x", __file__],
        ["get", "f:{}"],
        ["get", "{}:config"],
        ["show", "f:{}"],
        ["history", "f:{}"],
        ["lineage", "f:{}"],
        ["snapshot", "create", "{}"],
        ["snapshot", "drop", "{}"],
        ["restore", "{}", "--yes"],
        ["restore", "1", "--item", "f:{}", "--yes"],
        ["--at", "{}", "ls"],
    ],
    ids=lambda args: " ".join(args).replace(__file__, "FILE"),
)
def test_bad_names_on_the_command_line(kept: lf.Lake, args: list[str]) -> None:
    version = kept.version
    for name in BAD_NAMES:
        if args[0] == "--at" and not name:
            continue  # an empty option is none
        argv = ["--lake", kept.uri, "--json", *(arg.replace("{}", name) for arg in args)]
        result = CliRunner().invoke(cli, argv)
        assert result.exit_code in (2, 3, 4), (name, result.output, result.exception)
        assert result.stdout == "", repr(name)
        said = json.loads(result.stderr.splitlines()[-1])["error"]
        assert said["hint"], said
        assert len(said["message"]) < LONGEST, repr(name)
        kinds = ("bad-name", "bad-ref", "usage", "item-not-found", "snapshot-not-found", "folio-not-found")
        assert said["kind"] in kinds, said
        assert kept.version == version, repr(name)


def test_the_kept_lake_is_still_whole(kept: lf.Lake) -> None:
    with unchanged(kept):
        assert kept.folios() == ["f"]
        assert kept.folio("f").get("config") == {"lr": 0.01}


@pytest.mark.parametrize("name", ["..", "a\nb", "a\udc80", "a@b", "n" * 700])
def test_bad_names_store_nothing(lake: lf.Lake, name: str) -> None:
    with unchanged(lake):
        refused(InvalidInputError, "bad-name", lambda: lake.folio("f").add_data(name, bytes(9000)))
        refused(InvalidInputError, "bad-name", lambda: lake.folio(name))
        refused(InvalidInputError, "bad-name", lambda: lake.snapshot(name))

        def in_a_batch() -> None:
            with lake.batch("two"):
                lake.folio("f").add_json("fine", 1)
                lake.folio("f").add_json(name, 2)

        refused(InvalidInputError, "bad-name", in_a_batch)


@pytest.mark.parametrize("name", [None, 3, b"x", ("f", "x"), Path("x")])
def test_names_that_are_no_text(kept: lf.Lake, name: Any) -> None:
    version = kept.version
    for action in (
        lambda: kept.folio(name),
        lambda: kept.snapshot(name),
        lambda: kept.folio("f").add_json(name, 1),
        lambda: kept.folio("f").get(name),
        lambda: kept.get(name),
        lambda: kept.drop_snapshot(name),
        lambda: kept.folio("f").create_snapshot(name, capture_git=False),
    ):
        with pytest.raises(LakefolioError) as caught:
            action()
        assert str(caught.value).isprintable()
    assert kept.version == version


@pytest.mark.parametrize("name", ["17", "2026-01-01", "20260101", "2026-01-01T10:00Z", "٣"])
def test_a_snapshot_is_not_called_like_a_version_or_a_time(lake: lf.Lake, name: str) -> None:
    with unchanged(lake):
        refused(InvalidInputError, "bad-name", lambda: lake.snapshot(name), name)


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "a b",
        "a.b/c-d_e",
        "ünï/çødé",
        "数据",
        "n" * 255,
        "é" * 127,
        "a..b",
        ".hidden",
        "a=b&c",
        "%2e%2e",
        "-x",
        "🦆",
        "می\u200cخواهم",
        "👩\u200d🔬",
    ],
)
def test_good_names_are_kept_as_they_are(kept: lf.Lake, tmp_path: Path, name: str) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio(name).add_json(name, 1, description=name, tags=[name], metadata={name: name})
    lake.snapshot(f"s{name}"[:100])
    fresh = lf.open(tmp_path / "lake")
    assert fresh.folios() == [name]
    assert fresh.get(f"{name}:{name}") == 1
    assert fresh.at(f"s{name}"[:100]).items()[0].tags == (name,)
    assert Path(fresh.folio(name).item_path(name)).read_bytes() == b"1"


@pytest.mark.parametrize("name", [pytest.param(value, id=key) for key, value in BAD.items() if value])
def test_words_may_hold_what_names_may_not(tmp_path: Path, name: str) -> None:
    """Descriptions and values are free text without half characters; tags and keys are one line of printable text."""
    folio = lf.open(tmp_path / "lake").folio("f")
    if "\udc80" in name:
        for words in ({"description": name}, {"tags": [name]}, {"metadata": {"k": name}}, {"metadata": {name: 1}}):
            with pytest.raises(InvalidInputError) as caught:
                folio.add_json("x", 1, **words)
            str(caught.value).encode()
            assert caught.value.hint
        return
    word = name
    if hidden_character(name):
        word = "word"
        for words in ({"tags": [name]}, {"metadata": {name: 1}}):
            with pytest.raises(InvalidInputError, match=r"control character|invisible character"):
                folio.add_json("x", 1, **words)
    folio.add_json("x", 1, description=name, tags=[word], metadata={word: name})
    info = lf.open(tmp_path / "lake").folio("f").item_info("x")
    assert (info["description"], info["tags"]) == (name, [word])
    assert info["metadata"][word] == name if "metadata" in info else info[word] == name


WORDS: dict[str, Callable[[lf.Lake, str], object]] = {
    "tag": lambda lake, word: lake.folio("f").add("t", 1, tags=["ok", word]),
    "key of metadata": lambda lake, word: lake.folio("f").add("t", 1, metadata={word: 1}),
    "key of a folio": lambda lake, word: lake.folio("f").metadata.update({word: 1}),
    "key of the lake": lambda lake, word: lake.annotate({word: 1}),
    "tag of the lake": lambda lake, word: lake.annotate(tags=[word]),
    "tag of a snapshot": lambda lake, word: lake.snapshot("s", tags=[word]),
    "name of a run": lambda lake, word: lake.run(word),
    "project": lambda lake, word: lake.run(project=word),
    "model": lambda lake, word: lake.run(model=word),
    "tag of a run": lambda lake, word: lake.run(tags=[word]),
    "parameter": lambda lake, word: lake.run(params={word: 1}),
    "fact of a run": lambda lake, word: lake.run(metadata={word: 1}),
    "metric": lambda lake, word: lake.create_run(status="done", metrics={word: 1.0}),
    "event type": lambda lake, word: lake.log_event(event_type=word),
    "stage": lambda lake, word: lake.log_event(stage=word),
    "model of an event": lambda lake, word: lake.log_event(model_name=word),
    "captured name": lambda lake, word: lake.capture(name=word)(len),
    "run type": lambda lake, word: lake.add_run_type(word),
    "dataset": lambda lake, word: lake.create_dataset(word, ["f:kept"]),
    "registered model": lambda lake, word: lake.register_model(word, "f:kept"),
}


@pytest.mark.parametrize("way", WORDS)
def test_a_word_that_nobody_sees_is_refused(tmp_path: Path, way: str) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add("kept", 1)
    before = lake.version
    blank = ("", " ", "\t", "\u00a0", "\u200b", "\u200d")
    for word in (*blank, "a\nb", "a\0", "\x1b[2J", "a\u2028", "prod\u200b", "\u202eab"):
        with pytest.raises(InvalidInputError) as caught:
            WORDS[way](lake, word)
        assert caught.value.hint, word
        assert str(caught.value).isprintable()
    assert lake.version == before


def test_words_of_other_scripts_are_kept(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    for number, word in enumerate(("می\u200cخواهم", "👩\u200d🔬", "café au lait", "λ=0.1", "a/b:c@d")):
        lake.folio("f").add(f"x{number}", 1, tags=[word], metadata={word: word})
        entry = lake.item(f"f:x{number}")
        assert (entry.tags, lake.folio("f").item_info(f"x{number}")["metadata"]) == ((word,), {word: word})
