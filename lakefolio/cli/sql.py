"""``lakefolio sql``."""

from __future__ import annotations

import csv
import json
import sys
import textwrap
from datetime import datetime
from typing import TYPE_CHECKING, Final

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.output import Output, plain
from lakefolio.errors import InvalidInputError, NotFoundError
from lakefolio.format.times import shown_time
from lakefolio.render.text import counted
from lakefolio.terminal import visible

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["cells_of", "sql"]

_SHOWN_ROWS: Final = 1000
_SHOWN_LETTERS: Final = 80
_WHOLE: Final = "--vertical shows all, --format csv or json prints them"
_NUMBERS: Final = ("int", "uint", "float", "double", "decimal", "halffloat")


@command(example='lakefolio sql "select folio, item, kind, size_bytes from items order by size_bytes desc limit 5"')
@click.argument("query", required=False)
@click.option("--views", is_flag=True, help="List the views with their columns instead.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json"]),
    help="How to print the rows; table by default, json with --json.",
)
@click.option("--vertical", is_flag=True, help="Print each row as lines of NAME VALUE, nothing left out.")
def sql(app: App, query: str | None, views: bool, form: str | None, vertical: bool) -> None:
    """Answer a SQL query over the lake's views.

    QUERY is one SELECT in DuckDB's dialect over the views that --views lists, and over tables of the lake by their
    references, such as "folio:name" or "folio:name@v3" in double quotes; - reads it from stdin.
    Nothing can be changed. On a terminal, columns that have no room are left out, and that is said.
    """
    if views == (query is not None):
        raise click.UsageError("give either a QUERY or --views")
    output = Output(app.as_json or form == "json")
    if views:
        _views(app, output)
        return
    assert query is not None

    try:
        rows = app.open().sql(sys.stdin.read() if query == "-" else query).to_arrow_table()
    except InvalidInputError as exc:
        if exc.hint and "connect()" in exc.hint:
            exc.hint = "a query only reads; other commands change the lake"
        exc.hint = exc.hint or "lakefolio sql --views lists what can be asked"
        raise
    names = _unique(rows.column_names)
    if output.as_json:
        columns = [column.to_pylist() for column in rows.columns]
        output.emit([dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)])
    elif form == "csv":
        _csv(rows, names)
    else:
        (_vertical if vertical else _table)(output, rows, names)
        if rows.num_rows > _SHOWN_ROWS:
            output.note(f"… the first {_SHOWN_ROWS:,} of {rows.num_rows:,} rows; --format csv prints them all")


def _unique(names: list[str]) -> list[str]:
    """Return the names of the columns, with a number where one occurs again."""
    return [f"{name}_{number}" if name in names[:number] else name for number, name in enumerate(names)]


def _views(app: App, output: Output) -> None:
    """List the library's views, and if there is a lake the view files of the user and of the lake."""
    from lakefolio.views.engine import described

    problems: tuple[str, ...] = ()
    try:
        listed, problems = app.open().views()
    except NotFoundError:
        listed = described()
    for problem in problems:
        output.warn(problem)
    blocks, width = [], output.width or 100
    for one in listed:
        sentence = one["description"].split(". ")[0].rstrip(".") or "a view file without a description"
        # a name stays beside its type
        names = ", ".join(f"{column['name']} {column['type']}".replace(" ", "\xa0") for column in one["columns"])
        names = names or "a view file, which runs only when it is asked"
        blocks.append(textwrap.fill(f"{one['name']}: {sentence}.", width, subsequent_indent="  "))
        blocks.append(textwrap.fill(names, width, initial_indent="    ", subsequent_indent="    ").replace("\xa0", " "))
    output.emit(listed, "\n".join(blocks), as_is=True)


def _csv(rows: pa.Table, names: list[str]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    shown = visible if sys.stdout.isatty() else str
    writer.writerow(map(shown, names))
    for batch in rows.to_batches():
        columns = [[shown(_text(value)) for value in column.to_pylist()] for column in batch.columns]
        writer.writerows(zip(*columns, strict=True))
    sys.stdout.flush()


def _table(output: Output, rows: pa.Table, names: list[str]) -> None:
    shown = rows.slice(0, _SHOWN_ROWS)
    cells, numbers = cells_of(shown, names)
    output.rows(None, names, cells, right=numbers, empty="no rows", whole=_WHOLE)


def cells_of(rows: pa.Table, names: list[str]) -> tuple[list[tuple[str, ...]], list[str]]:
    """Return rows as texts for people, and the names of the columns that hold numbers."""
    columns = [[_cell(value) for value in column.to_pylist()] for column in rows.columns]
    numbers = [name for name, field in zip(names, rows.schema, strict=True) if str(field.type).startswith(_NUMBERS)]
    return list(zip(*columns, strict=True)), numbers


def _vertical(output: Output, rows: pa.Table, names: list[str]) -> None:
    from rich.cells import cell_len

    width = max(map(cell_len, names), default=0)
    for number, row in enumerate(rows.slice(0, _SHOWN_ROWS).rename_columns(names).to_pylist(), 1):
        lines = [f"-- row {number:,}"]
        for name, value in zip(names, row.values(), strict=True):
            lines.append(f"{name}{' ' * (width - cell_len(name))}  {_text(value)}".rstrip())
        output.print("\n".join(lines))
    if not rows.num_rows:
        output.note("no rows")


def _cell(value: object) -> str:
    if isinstance(value, bytes):
        return f"({counted(len(value), 'byte')})"
    if isinstance(value, datetime) and value.tzinfo is not None:
        return shown_time(value)
    text = _text(value)
    return text if len(text) <= _SHOWN_LETTERS else text[: _SHOWN_LETTERS - 1] + "…"


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value)
    found = plain(value)
    return json.dumps(found, ensure_ascii=False) if isinstance(found, list | dict) else str(found)
