"""``lakefolio records create | append | upsert | query | delete | schema | migrate | history | mark``."""

from __future__ import annotations

import datetime as dt
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lakefolio.cli.app import App, Command, command, group
from lakefolio.cli.naming import files, items, named
from lakefolio.errors import InvalidInputError
from lakefolio.format.times import shown_time
from lakefolio.render.text import counted

if TYPE_CHECKING:
    import pyarrow as pa

    from lakefolio.folio.record_table import Records
    from lakefolio.records.change import Written

__all__ = ["records"]

_REF = "FOLIO:NAME"
_CHANGES = (
    *("add-column", "drop-column", "rename-column", "widen-column"),
    *("add-check", "drop-check", "required", "optional"),
)


@group(example="lakefolio records schema lab:scores")
def records() -> None:
    """Keep tables that grow by rows, under a declared schema."""


@command(
    example="lakefolio records create lab:scores id:int64 score:double --key id --check ok='score >= 0'", of=records
)
@click.argument("ref", metavar=_REF, shell_complete=items)
@click.argument("columns", nargs=-1, required=True, metavar="COLUMN:TYPE...")
@click.option("--key", "key", multiple=True, metavar="COLUMN", help="A column of the key; repeatable.")
@click.option("--check", "checks", multiple=True, metavar="NAME=CONDITION", help="What every row keeps; repeatable.")
@click.option("--description", metavar="TEXT", help="One sentence that describes it.")
@click.option("--overwrite", is_flag=True, help="Replace an item of that name; its old entry stays in the history.")
def create(
    app: App,
    ref: str,
    columns: tuple[str, ...],
    key: tuple[str, ...],
    checks: tuple[str, ...],
    description: str | None,
    overwrite: bool,
) -> None:
    """Make a record table.

    TYPE is int64, double, string, bool, date, timestamp, json, decimal(10,2), list<double>, …; with a ! at its end the
    column is never missing.
    """
    folio, name = named(ref)
    declared: dict[str, Any] = {}
    for one in columns:
        column, mark, kind = one.partition(":")
        if not mark or not column or not kind:
            raise click.BadParameter(f"{one!r} is not COLUMN:TYPE", param_hint="COLUMN:TYPE")
        declared[column] = {"type": kind.removesuffix("!"), "null": not kind.endswith("!")}
    conditions = dict(_pair(one) for one in checks)
    made = (
        app.open(writing=True)
        .folio(folio)
        .create_table(name, declared, key=key or None, checks=conditions, description=description, overwrite=overwrite)
    )
    app.output.emit({"ref": ref, "schema": made.schema.to_plain()}, f"created {made!r}")


def _pair(text: str) -> tuple[str, str]:
    name, mark, condition = text.partition("=")
    if not mark or not name:
        raise click.BadParameter(f"{text!r} is not NAME=CONDITION", param_hint="--check")
    return name, condition


def _table(app: App, ref: str, *, writing: bool = False) -> Records:
    folio, _ = named(ref, version=not writing)
    return app.open(writing=writing).folio(folio).table(ref)


def _report(app: App, written: Written) -> None:
    facts = {name: getattr(written, name) for name in ("version", "added", "updated", "deleted", "repeated")}
    app.output.emit(facts, str(written))


def _writer(verb: str, line: str) -> Command:
    """Make ``append`` or ``upsert``."""

    @command(verb, example=f"lakefolio records {verb} lab:scores new.csv --once 2026-11-26", of=records)
    @click.argument("ref", metavar=_REF, shell_complete=items)
    @click.argument("path", metavar="FILE", shell_complete=files)
    @click.option("--format", "form", metavar="FORMAT", help="The format of the file; by default by its ending.")
    @click.option("--once", metavar="NAME", help="A name for these rows: they come once, however often this is run.")
    @click.option("-m", "--message", metavar="TEXT", help="Why, for the history.")
    def write(app: App, ref: str, path: str, form: str | None, once: str | None, message: str | None) -> None:
        table = _table(app, ref, writing=True)
        with _rows(path, form, table) as rows:
            _report(app, getattr(table, verb)(rows, once=once, message=message))

    write.help = f"{line}\n\nFILE is a table file as `lakefolio add` reads it; - is stdin, one JSON object a line."
    return write


@contextmanager
def _rows(path: str, form: str | None, table: Records) -> Iterator[Any]:
    from lakefolio.format.table_formats import format_of
    from lakefolio.items.table_import import open_table_file

    if path == "-":
        yield _lines(sys.stdin, table.schema.arrow)
        return
    source = Path(path).expanduser()
    arrow = table.schema.arrow
    types = None
    if (form or format_of(source.name)) in ("csv", "tsv"):  # whose cells are text: the schema says of what
        with warnings.catch_warnings(action="ignore"), open_table_file(source, form) as reader:
            known = set(reader.schema.names) & set(arrow.names)
        types = {name: arrow.field(name).type for name in sorted(known)}
    with open_table_file(source, form, types=types) as reader:
        yield reader


def _lines(stream: Any, schema: pa.Schema) -> Iterator[dict[str, Any]]:
    """Give the rows that lines of JSON say; dates, times and decimals are texts there."""
    readers = {one.name: read for one in schema if (read := _reader_of(str(one.type))) is not None}
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as exc:
            raise InvalidInputError(f"line {number} of stdin is no JSON: {exc}", kind="bad-table-file") from exc
        if not isinstance(row, dict):
            raise InvalidInputError(f"line {number} of stdin is no JSON object", kind="bad-table-file")
        for name, read in readers.items():
            if isinstance(value := row.get(name), str):
                with suppress(ValueError, ArithmeticError):  # what is none is refused with its row and column
                    row[name] = read(value)
        yield row


def _reader_of(kind: str) -> Callable[[str], Any] | None:
    if kind.startswith("timestamp"):
        return dt.datetime.fromisoformat
    if kind.startswith("date"):
        return dt.date.fromisoformat
    return Decimal if kind.startswith("decimal") else None


append = _writer("append", "Add rows to a record table, all or none.")
upsert = _writer("upsert", "Add rows, and replace those of the same key, all or none.")


@command(example="lakefolio records query lab:scores --where 'score > 0.5' --order -score --limit 10", of=records)
@click.argument("ref", metavar="FOLIO:NAME[@VERSION]", shell_complete=items)
@click.option("--where", metavar="CONDITION", help="Only rows of which this is true, such as \"kind IN ('a', 'b')\".")
@click.option("--column", "columns", multiple=True, metavar="COLUMN", help="Only these; repeatable.")
@click.option("--order", "order", multiple=True, metavar="COLUMN", help="Sort by it; -COLUMN: falling; repeatable.")
@click.option("--limit", type=click.IntRange(min=0), default=100, show_default=True, help="The most rows.")
def query(app: App, ref: str, where: str | None, columns: tuple[str, ...], order: tuple[str, ...], limit: int) -> None:
    """Print rows of a record table."""
    from lakefolio.cli.sql import cells_of
    from lakefolio.pages.values import cell

    found = _table(app, ref).query(where, list(columns) or None, list(order) or None, limit, as_="arrow")
    shown, numbers = cells_of(found, found.schema.names)
    app.output.rows(
        [{name: cell(value) for name, value in row.items()} for row in found.to_pylist()] if app.as_json else None,
        found.schema.names,
        shown,
        right=numbers,
        empty="no rows",
    )


@command(example="lakefolio records delete lab:scores --where 'score IS NULL'", of=records)
@click.argument("ref", metavar=_REF, shell_complete=items)
@click.option("--where", required=True, metavar="CONDITION", help="The rows to remove.")
@click.option("-m", "--message", metavar="TEXT", help="Why, for the history.")
def delete(app: App, ref: str, where: str, message: str | None) -> None:
    """Remove rows of a record table; its history keeps them."""
    _report(app, _table(app, ref, writing=True).delete_where(where, message=message))


@command(example="lakefolio records schema lab:scores", light=True, of=records)
@click.argument("ref", metavar="FOLIO:NAME[@VERSION]", shell_complete=items)
def schema(app: App, ref: str) -> None:
    """Show columns, key, checks and migrations of a record table, and where other engines find it."""
    table = _table(app, ref)
    plain = table.schema.to_plain()
    data = {**plain, "rows": table.count(), "version": table.version, "uri": table.uri}
    lines = [f"{ref}: {counted(data['rows'], 'row')}, version {data['version']}, {data['uri']}"]
    for one in plain["columns"]:
        words = [one["type"], "" if one["null"] else "never missing", "key" if one["name"] in plain["key"] else ""]
        lines.append(f"  {one['name']:<20} {', '.join(filter(None, words))}  {one.get('description', '')}".rstrip())
    lines += [f"  check {name}: {text}" for name, text in plain["checks"].items()]
    lines += [
        f"  version {one['version']}, {one['at']}: {one['change']}" + (f" ({one['reason']})" if one["reason"] else "")
        for one in plain["migrations"]
    ]
    app.output.emit(data, "\n".join(lines))


@command(example="lakefolio records migrate lab:scores add-column note string --reason 'for remarks'", of=records)
@click.argument("ref", metavar=_REF, shell_complete=items)
@click.argument("change", type=click.Choice(_CHANGES))
@click.argument("words", nargs=-1, required=True)
@click.option("--fill", metavar="JSON", help="add-column: the value that present rows get.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for the history of migrations.")
def migrate(app: App, ref: str, change: str, words: tuple[str, ...], fill: str | None, reason: str) -> None:
    """Change the schema of a record table, and its rows with it; older versions stay as they were.

    WORDS are COLUMN TYPE of add-column and widen-column, OLD NEW of rename-column, NAME CONDITION of add-check, else
    COLUMN or NAME. required and optional say whether a column may be missing.
    """
    two = change in ("add-column", "rename-column", "widen-column", "add-check")
    if len(words) != 1 + two:
        raise click.UsageError(f"{change} takes {'two words' if two else 'one word'}, {len(words)} are given")
    if fill is not None and change != "add-column":
        raise click.UsageError("--fill is for add-column")
    table = _table(app, ref, writing=True)
    try:
        value = None if fill is None else json.loads(fill)
    except ValueError:
        value = fill
    calls: dict[str, Callable[[], Written]] = {
        "add-column": lambda: table.add_column(words[0], words[1], fill=value, reason=reason),
        "drop-column": lambda: table.drop_column(words[0], reason=reason),
        "rename-column": lambda: table.rename_column(words[0], words[1], reason=reason),
        "widen-column": lambda: table.widen_column(words[0], words[1], reason=reason),
        "add-check": lambda: table.add_check(words[0], words[1], reason=reason),
        "drop-check": lambda: table.drop_check(words[0], reason=reason),
        "required": lambda: table.set_null(words[0], False, reason=reason),
        "optional": lambda: table.set_null(words[0], True, reason=reason),
    }
    _report(app, calls[change]())


@command(example="lakefolio records history lab:scores --limit 5", light=True, of=records)
@click.argument("ref", metavar=_REF, shell_complete=items)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="The most versions.")
def history(app: App, ref: str, limit: int) -> None:
    """List the versions of a record table, newest first."""
    found = _table(app, ref).history(limit)
    for one in found:
        one["at"] = dt.datetime.fromtimestamp(one["at"], dt.UTC)
    app.output.rows(
        found,
        ("version", "at", "operation", "author", "tool", "message"),
        [
            (
                str(one["version"]),
                shown_time(one["at"]),
                one["operation"] or "",
                one["author"] or "",
                one["tool"] or "",
                one["message"] or "",
            )
            for one in found
        ],
        right=("version",),
    )
