"""What others wrote does nothing to a terminal, a notebook or a page, whichever way it is shown."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa
import pytest
from bad_input_support import append_row
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.errors import InvalidInputError
from lakefolio.terminal import visible, visible_json

EVIL = {
    "ESC": "\x1b[31mred",
    "OSC 52": "\x1b]52;c;cm0gLXJmIC8=\x07",
    "C1 CSI": "\x9b31mred",
    "C1 OSC": "\x9d52;c;cm0=\x9c",
    "BEL": "\x07",
    "backspace": "good\x08\x08\x08\x08evil",
    "carriage return": "good\revil",
    "delete": "\x7f",
    "right to left": "\u202egnp.exe",
    "isolate": "\u2066x\u2069",
    "left mark": "\u200e\u200f\u061c",
    "zero width": "a\u200bb\u200cc\u200dd\u2060e\ufefff",
    "soft hyphen": "a\u00adb",
    "tags": "\U000e0041\U000e007f",
    "fillers": "\u3164\u115f\uffa0",
    "line separator": "a\u2028b\u2029c",
}
ALL = "".join(EVIL.values())
DOES = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\u3164]"
    "|(?<![\ufe0f\u2190-\u2bff\U0001f000-\U0001faff])\u200d|\u200d(?![\u2190-\u2bff\U0001f000-\U0001faff])"
    "|[\U000e0000-\U000e007f]"
)


def harmless(text: str) -> None:
    found = DOES.search(text)
    assert found is None, (hex(ord(found[0])), text[max(0, found.start() - 60) : found.end() + 20])


@given(st.text())
def test_what_is_visible_can_be_shown(text: str) -> None:
    shown = visible(text)
    harmless(shown)
    shown.encode()
    assert visible(shown) == shown
    if text.isascii() and text.isprintable():
        assert shown == text
    assert json.loads(visible_json(json.dumps(text, ensure_ascii=False))) == text
    harmless(visible_json(json.dumps(text, ensure_ascii=False)))


def test_ordinary_text_of_any_language_stays() -> None:
    for text in ("Grüße", "données", "данные", "数据 集", "ข้อมูล", "💾 ✓ → …", "a\tb\nc", "12\u00a0%", "١٢٣"):
        assert visible(text) == text


def test_a_joiner_stays_between_emoji_alone() -> None:
    for text in (
        "👩\u200d🔬",
        "👩🏽\u200d🔬",
        "🏳\ufe0f\u200d🌈",
        "❤\ufe0f\u200d🔥",
        "👨\u200d👩\u200d👧",
        "🙂\u200d↔\ufe0f",
    ):
        assert visible(text) == text
        assert visible_json(f'"{text}"') == f'"{text}"'
    for text in (
        "\u200d🔬",
        "👩\u200d",
        "👩\u200da",
        "a\u200d🔬",
        "👩\u200d\u200d🔬",
        "a\ufe0f\u200d🔬",
        "│\u200d│",
        "°\u200d°",
    ):
        assert visible(text) == text.replace("\u200d", r"\u200d"), text
    assert visible("👩\u200b🔬\u200c🔬") == r"👩\u200b🔬\u200c🔬"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> lf.Lake:
    """A lake with such characters wherever others may write them, forged rows included; it is only read."""
    lake = lf.open(str(tmp_path_factory.mktemp("terminal") / "lake"), author=f"ada{ALL}")
    folio = lake.folio("f")
    folio.add_json("x", {ALL: ALL}, description=ALL, metadata={"note": ALL}, inputs=[f"s3://b/{EVIL['zero width']}"])
    folio.add_table("t", pa.table({ALL: [ALL, None]}), inputs=["x"], description=ALL)
    folio.add_artifact("text", ALL.encode(), category=ALL)
    folio.metadata["note"] = ALL
    lake.snapshot("s", message=ALL)
    with lake.run("run", run_id="r", params={"p": ALL}, description=ALL) as run:
        run.add_input("d", "f:t")
        run.add_output("o", 1, inputs=["f:x"])
    append_row(lake, item=f"forged{ALL}", content=b"1", message=ALL, author=ALL, description=ALL, tags=[ALL])
    return lf.open(lake.uri, read_only=True)


FACES: dict[str, Callable[[lf.Lake], str]] = {
    "lake": lambda lake: repr(lake) + lake._repr_html_(),
    "info": lambda lake: str(lake.info()),
    "log": lambda lake: str(lake.log()) + repr(lake.log()),
    "history": lambda lake: str(lake.history("f:x")),
    "diff": lambda lake: str(lake.diff(0)),
    "describe": lambda lake: lake.folio("f").describe(return_string=True) or "",
    "describe a snapshot": lambda lake: str(lake.snapshots()),
    "folio": lambda lake: repr(lake.folio("f")) + lake.folio("f")._repr_html_(),
    "data": lambda lake: repr(lake.folio("f").data) + repr(lake.folio("f").data["x"]),
    "items": lambda lake: repr(lake.items()),
    "query": lambda lake: repr(lake.query()) + lake.query()._repr_html_(),
    "run": lambda lake: repr(lake.get_run("r")) + lake.get_run("r")._repr_html_(),
    "compare": lambda lake: str(lake.compare("r")) + lake.compare("r").to_html() + lake.compare("r")._repr_html_(),
    "browse": lambda lake: str(lake.browse("by_project")) + lake.browse("flat")._repr_html_(),
    "lineage": lambda lake: str(lake.lineage("f:x")) + lake.lineage("f:x").tree(),
    "mermaid": lambda lake: lake.lineage("f:x").to_mermaid(),
    "html": lambda lake: lake.lineage("f:x").to_html(),
    "stats": lambda lake: str(lake.stats()),
    "check": lambda lake: str(lake.check()),
}


@pytest.mark.parametrize("face", FACES)
def test_what_python_shows(lake: lf.Lake, face: str) -> None:
    harmless(FACES[face](lake))


COMMANDS = [
    ("ls",), ("ls", "f"), ("ls", "--all", "f"), ("show",), ("show", "f"), ("show", "f:x"), ("show", "f:t"), ("log",),
    ("history", "f:x"), ("diff", "0"), ("snapshot", "list"), ("runs",), ("runs", "by_project"), ("run", "show", "r"),
    ("compare", "r"), ("query",), ("lineage", "f:x"), ("lineage", "f:x", "--format", "mermaid"),
    ("lineage", "f:x", "--format", "html"), ("lineage", "f:x", "--format", "openlineage"), ("check",), ("stats",),
    ("why", "f:x"), ("sql", "select * from items"), ("sql", "select * from entries", "--format", "json"),
    ("get", f"f:x{ALL}"), ("show", ALL), ("ls", ALL), ("sql", f"select '{ALL}"), (ALL,), ("--at", ALL, "ls"),
    ("get", "f:x", f"--{ALL}"),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: " ".join(one)[:40].encode("ascii", "ignore").decode())
def test_what_the_command_line_shows(lake: lf.Lake, command: tuple[str, ...]) -> None:
    for more in ((), ("--json",)):
        result = CliRunner().invoke(cli, ["--lake", lake.uri, *command, *more])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        harmless(result.output)


def on_a_terminal(*args: str) -> str:
    """Return what a command shows on a terminal, which is this process's output meanwhile."""
    ours, theirs = pty.openpty()
    shown = b""

    def read() -> None:
        nonlocal shown
        with contextlib.suppress(OSError):  # the command's end is closed
            while piece := os.read(ours, 65536):
                shown += piece

    reader = threading.Thread(target=read)
    reader.start()
    with open(theirs, "w") as terminal, pytest.MonkeyPatch.context() as patched:
        patched.setenv("NO_COLOR", "1")
        with contextlib.redirect_stdout(terminal), contextlib.redirect_stderr(terminal):
            code = cli(args, standalone_mode=False)
    reader.join()
    os.close(ours)
    assert code in (None, 0)
    assert shown
    return shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    "command",
    [
        ("get", "f:x"),
        ("get", "f:t"),
        ("get", "f:t", "--format", "json"),
        ("sql", "select * from entries", "--format", "csv"),
        ("ls", "f"),
    ],
    ids=" ".join,
)
def test_content_on_a_terminal(lake: lf.Lake, command: tuple[str, ...]) -> None:
    harmless(on_a_terminal("--lake", lake.uri, *command))


def test_content_in_a_pipe_is_as_it_is(lake: lf.Lake) -> None:
    command = [sys.executable, "-m", "lakefolio.cli", "--lake", lake.uri, "get", "f:text"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == ALL.encode()


# -- a lineage in a notebook ---------------------------------------------------------------------------------


def test_the_picture_of_a_lineage_is_an_image_of_its_own(lake: lf.Lake) -> None:
    """It styles nothing beside it, and a notebook that is not trusted shows it."""
    for graph in (lake.lineage("f:x"), lake.lineage("f:x").downstream()):
        found = re.fullmatch(
            r'<img alt="lineage" style="max-width:100%" src="data:image/svg\+xml;base64,([^"]*)">', graph._repr_html_()
        )
        assert found is not None
        root = ElementTree.fromstring(base64.b64decode(found[1]))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert {one.tag.rpartition("}")[2] for one in root.iter()} <= {"svg", "g", "path", "rect", "text", "title"}
        harmless("".join(root.itertext()))
    page = lake.lineage("f:x").to_html()
    assert "<style>" not in page[page.index("<svg") :]
    assert not re.search(r"<svg[^>]*\son", page)


def test_names_that_come_from_elsewhere_are_checked_when_they_are_copied(tmp_path: Path) -> None:
    for number, bad in enumerate(("../../x", "/etc/x", "a/../b", "x\x1b[31m")):
        other = lf.open(str(tmp_path / f"other{number}"))
        append_row(other, item=bad, content=b"1")
        source = lf.open(other.uri, read_only=True).folio("f")
        assert len(source) == 1
        with pytest.raises(InvalidInputError) as caught:
            source.copy(str(tmp_path / f"target{number}"))
        assert caught.value.kind == "bad-name"
        harmless(str(caught.value))
