"""What commands print: text for people or JSON for programs on stdout, everything else on stderr.

Text that comes out of a lake was written by others, so control characters in it are shown, never sent to the terminal.
"""

from __future__ import annotations

import codecs
import json
import math
import os
import re
import shutil
import sys
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from lakefolio.cli.table_width import fitted, folded
from lakefolio.errors import LakefolioError
from lakefolio.redaction import scrub
from lakefolio.render.text import interval_text
from lakefolio.terminal import text_of, visible, visible_json

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Output", "Terminal", "plain"]

_LEFT_OUT = ("content",)
_NAMED = 8
_PLAIN_BITS: Final = 14_000
"""Longer integers are text: neither Python nor most readers of JSON take their digits."""
"""Up to so many columns that are left out are named."""


_BREAKS: Final = re.compile(r" *[^\S ]\s*")
"""White space that is not spaces alone: spaces indent the branches of a tree."""
_COLOURS: Final[dict[str, dict[str, Any]]] = {
    "old": {"fg": "red"},
    "new": {"fg": "green"},
    "changed": {"fg": "yellow"},
    "hunk": {"fg": "cyan"},
    "head": {"bold": True},
    "dim": {"dim": True},
}


class Output:
    """Where a command's results, notes and errors go.

    Attributes:
        as_json: Whether results are printed as JSON.
    """

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        self._live: Any = None

    # -- results, on stdout --------------------------------------------------------------------------------

    def emit(self, data: object, text: str | Callable[[], str] | None = None, *, as_is: bool = False) -> None:
        """Print a result.

        Args:
            data: What programs get, as one JSON document.
            text: What people get; by default ``str(data)``. A terminal shows its long lines folded between words.
            as_is: Leave long lines to the terminal, as those of examples that are copied.
        """
        if self.as_json:
            self._print(self.json(data))
            return
        shown = text() if callable(text) else str(data) if text is None else text
        if shown:
            width = None if as_is else self.width
            self._print(visible(shown) if width is None else folded(visible(shown), width))

    def rows(
        self,
        data: object,
        headings: Sequence[str],
        cells: Sequence[Sequence[str]],
        *,
        right: Sequence[str] = (),
        empty: str = "nothing",
        whole: str = "--json prints them all",
    ) -> None:
        """Print a result that people read as a table; on a terminal, one that fits, which says what is left out.

        Args:
            data: What programs get.
            headings: The names of the columns.
            cells: The rows; one text per column.
            right: The headings of columns that are aligned to the right.
            empty: What to say on stderr if there are no rows.
            whole: How all columns are seen.
        """
        if self.as_json:
            self._print(self.json(data))
        elif not cells:
            self.note(empty)
        elif _on_terminal(sys.stdout):
            left_out = _rich_table(headings, cells, right)
            if left_out:
                few = f" (not {', '.join(left_out)})" if len(left_out) <= _NAMED else ""
                said = f"{len(headings) - len(left_out)} of {len(headings)} columns shown{few}; {whole}"
                self.note(folded(said, self.width or len(said)))
        else:
            self._print(_plain_table(headings, cells, right))

    @property
    def width(self) -> int | None:
        """How many characters a line of the terminal has; None if nobody reads results on one."""
        return shutil.get_terminal_size().columns if _on_terminal(sys.stdout) else None

    def styled(self, data: object, lines: Iterable[Sequence[tuple[str, str]]]) -> None:
        """Print a result whose lines are pieces of text, each with a style that a terminal shows by its colour.

        Args:
            data: What programs get.
            lines: What people get; the styles are those of ``_COLOURS``, any other is plain.
        """
        if self.as_json:
            self._print(self.json(data))
            return
        is_fancy = _fancy(sys.stdout)
        for line in lines:
            pieces = [(" ".join(visible(text).split("\n")), _COLOURS.get(style)) for text, style in line]
            whole = "".join(text for text, _ in pieces)
            if self.width is not None and (short := folded(whole.rstrip(), self.width)) != whole.rstrip():
                pieces = [(short, next((how for _, how in pieces if how), None))]
            shown = (click.style(text, **how) if how and is_fancy else text for text, how in pieces)
            self._print("".join(shown) if is_fancy else "".join(shown).rstrip())

    def line(self, data: object) -> None:
        """Print a result that others follow, for programs: one JSON document on one line."""
        self._print(visible_json(json.dumps(plain(data), ensure_ascii=False, allow_nan=False)))

    def print(self, text: str) -> None:
        """Print a document, which is the same for people and programs."""
        self._print(visible(text))

    def json(self, data: object) -> str:
        """Return a JSON document; NaN and infinities, which JSON does not have, are null."""
        return visible_json(json.dumps(plain(data), indent=2, ensure_ascii=False, allow_nan=False))

    # -- the rest, on stderr -------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        """Tell people something that is no result."""
        self._print(visible(text), err=True)

    def fail(self, message: str, *, kind: str, hint: str | None, exit_code: int) -> None:
        """Print an error: one line, and a line that says what to do. With JSON, one object on one line."""
        message, hint = scrub(message), hint and scrub(hint)
        if self.as_json:
            error = {"kind": kind, "message": message, "hint": hint, "exit_code": exit_code}
            click.echo(visible_json(json.dumps({"error": error}, ensure_ascii=False)), err=True)
            return
        for label, text, colour in (("error", message, "red"), ("hint", hint, "cyan")):
            if text:
                one_line = visible(" ".join(text.split("\n")))
                shown = click.style(f"{label}:", fg=colour, bold=True) if _fancy(sys.stderr) else f"{label}:"
                click.echo(f"{shown} {one_line}", err=True)

    def failed(self, exc: LakefolioError) -> None:
        """Print an error of the library."""
        self.fail(exc.message, kind=exc.kind, hint=exc.hint, exit_code=exc.exit_code)

    def warn(self, text: str) -> None:
        """Print a warning."""
        self.note(f"warning: {scrub(text)}")

    @contextmanager
    def working(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show that something goes on, if a person watches; gives a function that says what it is now."""
        if self.as_json or not _fancy(sys.stderr):
            yield lambda text: None
            return
        from rich.console import Console
        from rich.live import Live
        from rich.spinner import Spinner
        from rich.text import Text

        spinner = Spinner("dots", Text(visible(text)))
        # left to itself, rich would send what is printed meanwhile to stderr
        live = Live(spinner, console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False)
        with live:
            self._live = live
            try:
                yield lambda text: spinner.update(text=Text(visible(text)))
            finally:
                self._live = None

    @contextmanager
    def live_table(self) -> Iterator[Callable[[Sequence[str], Sequence[Sequence[str]], Sequence[str]], None] | None]:
        """Give a function that shows a table (headings, rows, headings aligned right) in place of the one before.

        It is None where nobody watches a terminal: then print lines. The last table stays.
        """
        if self.as_json or not _fancy(sys.stdout):
            yield None
            return
        from rich.console import Console
        from rich.live import Live

        console = Console()
        with Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:

            def show(headings: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[str]) -> None:
                room = max(console.height - 3, 1)
                table, _ = _made_table(console.width, headings, cells[:room], right)
                more = len(cells) - room
                table.caption = f"… and {more:,} more" if more > 0 else None
                table.caption_justify = "left"
                live.update(table, refresh=True)

            yield show

    def _print(self, text: str, *, err: bool = False) -> None:
        """Print lines, taking the sign of work away for as long as that takes."""
        if self._live is None:
            click.echo(text, err=err)
            return
        self._live.stop()
        try:
            click.echo(text, err=err)
        finally:
            self._live.start()


class Terminal(BytesIO):
    """Takes bytes of text for a terminal, which is sent no character that does something to it."""

    def __init__(self, terminal: BinaryIO) -> None:
        super().__init__()
        self._terminal = terminal
        self._decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode

    def write(self, data: Any) -> int:
        """Show a piece of text; a character may be cut between two pieces."""
        text = self._decode(bytes(data)).replace("\r\n", "\n")
        self._terminal.write(visible(text).encode())
        return len(data)

    def flush(self) -> None:
        """Send what was written."""
        self._terminal.flush()


def plain(value: object) -> Any:
    """Return a value as what JSON knows. Binary becomes base64, times ISO 8601, what is unknown its text."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= _PLAIN_BITS else text_of(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return b64encode(value).decode()
    for method in ("to_dict", "to_dicts"):
        if hasattr(value, method) and not isinstance(value, type):
            return plain(getattr(value, method)())
    if isinstance(value, Mapping):
        return {text_of(key): plain(one) for key, one in value.items()}
    if type(value).__name__ == "MonthDayNano":  # Arrow's interval, which is a tuple
        return interval_text(*value)  # type: ignore[misc]
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    if is_dataclass(value) and not isinstance(value, type):
        known = {one.name: getattr(value, one.name) for one in fields(value) if one.name not in _LEFT_OUT}
        ref = getattr(value, "ref", None)
        return plain({"ref": ref, **known} if ref else known)
    return text_of(value)


def _on_terminal(stream: Any) -> bool:
    """Say whether a person reads the stream on a terminal, whose lines have an end."""
    return stream is not None and stream.isatty()


def _fancy(stream: object) -> bool:
    """Say whether a person reads the stream on a terminal that may be coloured."""
    return _on_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _shown(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """Return a table's texts, each as one line that a terminal may be sent."""
    return [_line(one) for one in headings], [[_line(cell) for cell in row] for row in cells]


def _line(text: str) -> str:
    return visible(_BREAKS.sub(" ", text).rstrip())


def _plain_table(headings: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[str]) -> str:
    from rich.cells import cell_len

    names, rows = _shown(headings, cells)
    lines = [names, *rows]
    sizes = [[cell_len(cell) for cell in line] for line in lines]
    widths = [max(column) for column in zip(*sizes, strict=True)]
    shown = []
    for line, size in zip(lines, sizes, strict=True):
        parts = [
            " " * (width - used) + cell if heading in right else cell + " " * (width - used)
            for heading, cell, used, width in zip(headings, line, size, widths, strict=True)
        ]
        shown.append("  ".join(parts).rstrip())
    return "\n".join(shown)


def _rich_table(headings: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[str]) -> list[str]:
    """Print a table that fits the terminal, and return the columns that are left out."""
    from rich.console import Console

    # colours alone are forbidden by NO_COLOR; the width of a dumb terminal is its own, too
    console = Console(width=shutil.get_terminal_size().columns, color_system="auto" if _fancy(sys.stdout) else None)
    table, left_out = _made_table(console.width, headings, cells, right)
    console.print(table)
    return left_out


def _made_table(
    width: int, headings: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[str]
) -> tuple[Table, list[str]]:
    """Return a table that fits a width, and the columns that are left out."""
    from rich.table import Table
    from rich.text import Text

    names, rows = _shown(headings, cells)
    cut = fitted(names, rows, width)
    numbers: Sequence[int | None] = range(len(names)) if cut is None else cut.numbers
    if cut is not None:
        names, rows = cut.headings, cut.cells
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for place, (name, number) in enumerate(zip(names, numbers, strict=True)):
        is_right = number is not None and headings[number] in right
        folds = cut is None and place == len(names) - 1
        table.add_column(Text(name), justify="right" if is_right else "left", overflow="fold", no_wrap=not folds)
    for row in rows:
        table.add_row(*map(Text, row))
    return table, [] if cut is None else cut.left_out
