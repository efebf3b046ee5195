"""Every command of the command line with any arguments: a line ``error: …`` and an exit code, never a traceback.

Commands and what they take are found by inspection, so that a new one is tried without being listed here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import click
import pytest
from click.testing import CliRunner
from fuzzing import Healthy

from lakefolio.cli import cli
from lakefolio.cli.command_list import EXIT_CODES

FAST, THOROUGH = 1, 3
WORDS = [
    "", "x", "f", "f:a", "f:t", "f:a@1", "f:a@s", "f:gone", "f:a@99", "r1", "s", "1", "0", "-1", "3", "2026-01-01",
    "size_bytes > 1", "from items", "select", "out", "a/../b", ".", "\x1b[31m", "é" * 300, "\udcff", "[1]", "{}",
    "lr=0.1", "9" * 400, "1e999", "nan", "a:b:c@", "@", ":", "--", "-", "null", "k=v", "=",
    "bad://x", "f:*", "[" * 300, "'", '"',
]  # fmt: skip
"""None is an address of a network, or a path outside of the folder it is tried in."""
LEFT_OUT = {
    "ui": "serves until it is stopped",
    "doctor": "tries the store for seconds, whatever it is given",
    "demo": "makes a lake for seconds, whatever it is given",
}


UNTRIED = {"--lake", "--help", "--follow"}
"""Options that lead elsewhere, ask for nothing, or go on until they are stopped."""


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command there is, with its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        if name not in LEFT_OUT:
            yield (*path, name), command


def word(chance: Random, parameter: click.Parameter) -> str:
    """Return what a parameter may be given: half of it is of its type."""
    kind = parameter.type
    if chance.random() < 0.5:
        if isinstance(kind, click.Choice):
            return str(chance.choice(list(kind.choices)))
        if isinstance(kind, click.types.IntParamType | click.types.FloatParamType):
            return chance.choice(["0", "1", "7"])
    return chance.choice(WORDS)


def arguments(chance: Random, command: click.Command) -> list[str]:
    """Return arguments and options for a command."""
    given: list[str] = []
    for one in command.params:
        if isinstance(one, click.Option):
            if UNTRIED & {*one.opts} or chance.random() > (0.9 if one.required else 0.2):
                continue
            given.append(chance.choice(one.opts))
            if not (one.is_flag or one.count):
                given += [word(chance, one) for _ in range(max(one.nargs, 1))]
        elif one.required or chance.random() < 0.6:
            given += [word(chance, one) for _ in range(one.nargs if one.nargs > 0 else chance.choice([1, 1, 2]))]
    return given


def problem(args: list[str], uri: str) -> str | None:
    """Run a command; return what is wrong with how it ended."""
    result = CliRunner(env={"LAKEFOLIO_LAKE": uri, "COLUMNS": "100"}).invoke(cli, args, input="")
    said = [line for line in result.stderr.splitlines() if line.startswith(("error: ", '{"error": {'))]
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return f"{result.exception!r} left it"
    if "Traceback" in result.stderr:
        return "a traceback was printed"
    if result.exit_code not in EXIT_CODES:
        return f"exit code {result.exit_code} is not told in --help"
    helped = result.exit_code == 2 and result.stderr.startswith("Usage: ")  # a group without a command
    if result.exit_code and len(said) != 1 and not helped and not (result.exit_code == 8 and result.stdout):
        return f"exit code {result.exit_code} with {len(said)} lines of errors: {result.stderr[:300]}"
    return None


def fuzz(folder: Path, rounds: int) -> list[str]:
    """Run each command so many times, with other arguments each time; return what went wrong."""
    lake, here, found = Healthy(folder / "lake"), Path.cwd(), []
    try:
        for number in range(rounds):
            chance = Random(number)
            uri = lake.written(folder / str(number) / "work", {})
            (folder / str(number) / "a" / "cwd").mkdir(parents=True)
            os.chdir(folder / str(number) / "a" / "cwd")
            for path, command in commands():
                args = [*path, *arguments(chance, command)]
                if (wrong := problem(args, uri)) is not None:
                    found.append(f"lakefolio {' '.join(map(ascii, args))}: {wrong}")
    finally:
        os.chdir(here)
    return found


def test_any_arguments(tmp_path: Path) -> None:
    assert fuzz(tmp_path, FAST) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_any_arguments_thoroughly(tmp_path: Path) -> None:
    assert fuzz(tmp_path, int(os.environ.get("LAKEFOLIO_FUZZ", THOROUGH))) == []
