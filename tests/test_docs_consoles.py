"""What the README and the pages print on a console is what the program prints, and every command they name exists."""

from __future__ import annotations

import contextlib
import io
import itertools
import re
import shlex
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import polars as pl
import pytest
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.testing.need import need, need_program

README = Path(__file__).parent.parent / "README.md"
PAGES = [README, *sorted((Path(lf.__file__).parent / "docs").glob("*.md"))]


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the language and the text of each fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def printed(line: str) -> str:
    """Return what a line of a console prints, as a terminal shows it."""
    words = shlex.split(line, comments=True)
    if words[0] == "cat":
        return Path(words[1]).read_text(encoding="utf-8")
    assert words[0] == "lakefolio", line
    done = CliRunner().invoke(cli, words[1:], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_runs_arranged_print_as_the_readme_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAKEFOLIO_LAKE", "lake")
    lake = lf.open("lake", author="ada@host")
    began = datetime(2026, 11, 21, 12, 36, 16, tzinfo=UTC)
    for n in range(6):
        lake.create_run(
            run_id=f"r{n}",
            name=f"n{n}",
            run_type="experiment" if n % 2 else "production",
            project="churn",
            model="rf",
            params={"lr": n / 10, "team": "xy"[n in (1, 3, 4)]},
            metrics={"loss": 1 / (10 * n + 10)},
            status="done",
            started_at=began + timedelta(minutes=n),
            ended_at=began + timedelta(minutes=n, seconds=30 + n),
        )
    (block,) = [text for kind, text in blocks(README) if kind == "console" and "by_team" in text]
    view = re.search(r"\$ cat (\S+)\n(.*?)(?=^\$ )", block, re.DOTALL | re.MULTILINE)
    assert view is not None
    Path(view[1]).parent.mkdir()
    Path(view[1]).write_text(view[2], encoding="utf-8")
    said = "".join(f"{line}\n{printed(line[2:])}" for line in block.splitlines() if line.startswith("$ "))
    lines = [".*?" if line == "..." else re.escape(line) for line in block.splitlines()]
    assert re.fullmatch("\n".join(lines), said.strip("\n"), re.DOTALL), f"the program prints:\n{said}"


def test_the_block_behind_code_is_what_that_code_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = blocks(README)
    compared = 0
    for (kind, code), (next_kind, text) in itertools.pairwise(found):
        if (kind, next_kind) == ("python", ""):
            code = code.replace("memory://", f"memory://{tmp_path.name}-")  # it lives as long as the process
            with contextlib.redirect_stdout(io.StringIO()) as said:
                exec(compile(code, "README.md", "exec"), {})
            assert said.getvalue().strip() == text.strip()
            compared += 1
    assert compared >= 1


def test_the_provenance_page_is_done_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("cryptography", "sign")
    need_program("openssl", "test")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAKEFOLIO_LAKE", "lake")
    lf.open("lake").folio("sales").add("totals", pl.DataFrame({"sum": [1]}))
    (page,) = [one for one in PAGES if one.name == "provenance.md"]
    said = ""
    for line in blocks(page)[0][1].splitlines():
        if line.startswith("$ openssl"):
            subprocess.run(line[2:], shell=True, check=True, capture_output=True, timeout=60)
        else:
            said = printed(line[2:])
    assert "sales:totals" in said


def commands() -> list[tuple[str, str]]:
    """Return each command line that a page names, in a block or in the text, with the page."""
    found = []
    for page in PAGES:
        for _, text in blocks(page):
            lines = [line.removeprefix("$ ") for line in text.splitlines() if re.match(r"(\$ )?lakefolio ", line)]
            found += [(page.name, re.split(r" {2,}", line)[0]) for line in lines]
        prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        found += [(page.name, one) for one in re.findall(r"`(lakefolio [^`]+)`", prose)]
    return found


def test_every_command_and_option_that_the_pages_name_exists() -> None:
    found = commands()
    assert len(found) > 60
    unknown = []
    for page, line in found:
        at: click.Command = cli
        options = {"--help"}
        for word in line.replace("\\|", " ").split()[1:]:
            option = re.match(r"(--[a-z][a-z0-9-]*|-[a-zA-Z])(?=$|=)", word.strip('[]()…,.;"'))
            if option is not None:
                options |= {name for param in at.params for name in (*param.opts, *param.secondary_opts)}
                if option[1] not in options:
                    unknown.append(f"{page}: {line}: {option[1]}")
            elif isinstance(at, click.Group):
                at = at.get_command(click.Context(at), word) or at
        if at is cli and not re.match(r"lakefolio (-|[A-Z…])", line):
            unknown.append(f"{page}: {line}")
    assert unknown == []
