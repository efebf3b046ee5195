"""The command line as Markdown, made from the commands themselves; ``docs/commands.md`` holds it between two markers.

``python tests/cli_reference.py`` prints it, ``… lakefolio/docs/commands.md`` writes it into that file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from lakefolio.cli.app import SHARED_OPTIONS, Command
from lakefolio.cli.command_list import COMMANDS, EXIT_CODES
from lakefolio.cli.program import cli

__all__ = ["BEGIN", "END", "reference", "section_of", "with_section"]

BEGIN: Final = "<!-- cli -->"
END: Final = "<!-- /cli -->"


def reference() -> str:
    """Return the reference of all commands, without the markers."""
    lines = [
        "Every command takes these options, before or after its name:",
        "",
        *(_option(param) for param in cli.params if isinstance(param, click.Option) and param.name in SHARED_OPTIONS),
        "",
    ]
    context = click.Context(cli, info_name="lakefolio")
    for name in COMMANDS:
        found = cli.get_command(context, name)
        assert found is not None
        for title, one in _leaves(f"lakefolio {name}", found):
            lines += [*_described(title, one), ""]
    lines += ["Exit codes:", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join(lines)


def section_of(text: str) -> str | None:
    """Return what lies between the markers in a Markdown text, or None if they are not there."""
    _, mark, rest = text.partition(BEGIN)
    section, end, _ = rest.partition(END)
    return section.strip("\n") if mark and end else None


def with_section(text: str) -> str:
    """Return the text with the reference between its markers.

    Raises:
        ValueError: The markers are not there.
    """
    if section_of(text) is None:
        raise ValueError(f"the markers {BEGIN} and {END} are missing")
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}\n{reference()}\n{END}{rest.partition(END)[2]}"


def _leaves(title: str, found: click.Command) -> Iterator[tuple[str, click.Command]]:
    if isinstance(found, click.Group):
        if found.invoke_without_command:
            yield title, found
        for name, one in found.commands.items():
            yield from _leaves(f"{title} {name}", one)
        return
    yield title, found


def _described(title: str, found: click.Command) -> Iterator[str]:
    arguments = [param for param in found.params if isinstance(param, click.Argument)]
    names = [param.metavar or (param.name or "").upper() for param in arguments]
    words = [name if one.required else f"[{name}]" for name, one in zip(names, arguments, strict=True)]
    yield f"**`{' '.join([title, *words])}`**"
    yield ""
    yield "\n\n".join(" ".join(part.split()) for part in (found.help or "").split("\n\n"))
    yield ""
    options = [param for param in found.params if isinstance(param, click.Option) and param.name not in SHARED_OPTIONS]
    if options:
        yield from (_option(param) for param in options)
        yield ""
    assert isinstance(found, Command)
    yield f"Example: `{found.example}`"


def _option(param: click.Option) -> str:
    metavar = param.metavar or ""
    if isinstance(param.type, click.Choice):
        metavar = "|".join(map(str, param.type.choices))
    elif not metavar and not param.is_flag:
        metavar = {"integer range": "N", "path": "PATH"}.get(param.type.name, "TEXT")
    default = f" Default: {param.default}." if param.show_default and param.default is not None else ""
    return f"- `{', '.join(param.opts)}{' ' + metavar if metavar else ''}`: {param.help}{default}"


def _main(arguments: list[str]) -> None:
    if not arguments:
        print(f"{BEGIN}\n{reference()}\n{END}")
    for name in arguments:
        path = Path(name)
        path.write_text(with_section(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    _main(sys.argv[1:])
