"""Completion as people meet it: in bash, zsh and fish on a terminal, with the script that the command prints."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest

import lakefolio as lf
from lakefolio.testing.need import need, need_program

WAIT = 60
BEGIN = {
    "bash": ["--norc", "--noprofile", "-i"],
    "zsh": ["-f", "-i"],
    "fish": ["--no-config", "-i"],
}
SCRIPT = {
    "bash": 'eval "$(lakefolio completion bash)"',
    "zsh": 'eval "$(lakefolio completion zsh)"',
    "fish": "lakefolio completion fish | source",
}

TYPED = {
    "get exp/": "get|exp/a:",
    "get exp/a:fi": "get|exp/a:fine",
    "get exp/a:fine@pap": "get|exp/a:fine@paper-v1",
    "show exp/a:fine@1": "show|exp/a:fine@14",
    "--at pap": "--at|paper-v1",
    "tag exp/a:fine --remove che": "tag|exp/a:fine|--remove|checked",
    "log --folio=ex": "log|--folio=exp/a",
    "get other:two\\ ": "get|other:two words, really",
    "get other:it": "get|other:it's $5; (né) & more!",
    "get my\\ f": "get|my folio:",
    "get 'other:two w": "get|other:two words, really",
    "get my\\ folio:a\\ ": "get|my folio:a b",
    "run show tra": "run|show|train-a",
    "get sta": "get|state-👩\u200d🔬:",
    "add new:x da": "add|new:x|data.csv",
    "snapshot drop pap": "snapshot|drop|paper-v1",
}
"""What is typed before the tab key -> the words of the line then."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("exp/a")
    for number in range(13):
        folio.add("other", number, overwrite=True)
    folio.add("fine", 1, tags=["checked"])
    lake.snapshot("paper-v1")
    lake.folio("other").add("two words, really", 2)
    lake.folio("other").add("it's $5; (né) & more!", 2)
    lake.folio("my folio").add("a b", 2)
    lake.folio("state-👩\u200d🔬").add("x", 1)
    with lake.run("train-a"):
        pass
    (tmp_path / "data.csv").write_text("a\n1\n")
    return tmp_path


@pytest.mark.parametrize("shell", BEGIN)
def test_a_shell_completes_what_was_begun(shell: str, place: Path) -> None:
    pexpect = need("pexpect", "test")
    program = need_program(shell, shell)
    bin_ = place / "bin"
    bin_.mkdir()
    code = "from lakefolio.cli import main; main()"
    for name, text in {
        "lakefolio": f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$@"\n',
        "words": '#!/bin/sh\nshift\necho "<$(IFS=\'|\'; echo "$*")>"\n',
    }.items():
        (bin_ / name).write_text(text)
        (bin_ / name).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name in ("PYTHONPATH", "HOME", "LANG", "LC_ALL")}
    environment = kept | {
        "PATH": f"{bin_}:{os.environ['PATH']}",
        "LAKEFOLIO_LAKE": str(place / "lake"),
        "TERM": "xterm",
        "HOME": str(place),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    terminal = pexpect.spawn(
        program, BEGIN[shell], env=environment, cwd=str(place), encoding="utf-8", dimensions=(50, 200), timeout=WAIT
    )
    try:
        terminal.send(SCRIPT[shell] + "; echo re''ady\r")
        terminal.expect("ready")
        for typed, words in TYPED.items():
            terminal.send(f"lakefolio {typed}\t")
            terminal.send("\x01words \r")  # to the beginning of the line, where another command is put before it
            terminal.expect(r"<([^>\r\n]*\|[^>\r\n]*)>\r?\n")
            assert terminal.match.group(1).rstrip() == words, (shell, typed)
    finally:
        terminal.close(force=True)
