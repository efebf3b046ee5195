"""The guide to differences is run from its first block to its last, and prints what it says."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

from click.testing import CliRunner

import lakefolio
from lakefolio.cli import cli

GUIDE = Path(lakefolio.__file__).parent / "docs" / "differences.md"


def test_the_guide_prints_what_it_says(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAKEFOLIO_LAKE", str(tmp_path / "lake"))
    blocks = re.findall(r"```(python|sh|text)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert [kind for kind, _ in blocks].count("text") >= 5
    known: dict[str, object] = {}
    said = ""
    for kind, block in blocks:
        if kind == "text":
            assert said == block
        elif kind == "python":
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(block, GUIDE.name, "exec"), known)
            said = printed.getvalue()
        else:
            said = CliRunner().invoke(cli, shlex.split(block)[1:], catch_exceptions=False).stdout
