"""``lakefolio get``."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.files import is_stream, publish
from lakefolio.cli.naming import items
from lakefolio.cli.output import Terminal, plain
from lakefolio.errors import InvalidInputError
from lakefolio.render.text import format_bytes

if TYPE_CHECKING:
    import pyarrow as pa

    from lakefolio.lake import Lake
    from lakefolio.model.entries import Entry

__all__ = ["get"]

_ENDINGS = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet", ".json": "json"}


@command(example="lakefolio get experiments/clf:scores -o scores.csv")
@click.argument("ref", shell_complete=items)
@click.option(
    "-o",
    "--output",
    "target",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="The file or folder to write; in an existing folder it gets the item's name. Without, or as -, stdout.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "parquet", "json"]),
    help="For tables; by default what PATH ends with, else Parquet. On stdout, CSV.",
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def get(app: App, ref: str, target: Path | None, form: str | None, force: bool) -> None:
    """Write the content of an item to a file or to stdout.

    REF is FOLIO:NAME[@VERSION-OR-SNAPSHOT]. Tables are written as CSV, Parquet or JSON, arrays as .npy, models in their
    stored format, files as they are, folders with their tree. All content is verified before the first byte appears.
    """
    lake = app.open()
    entry = lake.item(ref)
    if form is not None and entry.kind != "table":
        raise InvalidInputError(
            f"item {entry.ref} is not a table, but of kind {entry.kind}",
            kind="wrong-kind",
            hint="leave --format out",
            item=entry.item,
        )
    doing = f"getting {entry.ref}"
    with app.output.working(doing) as say:
        lake.on_download = lambda count, size: say(f"{doing}: {format_bytes(count)} of {format_bytes(size)}")
        written = (
            None if target is None or str(target) == "-" else _to_file(app, lake, entry, target, form, force=force)
        )
    if written is None:
        _to_stdout(app, lake, entry, form)
        return
    if is_stream(written):
        app.output.note(f"wrote {written} ({entry.kind} {entry.ref})")
        return
    done = {"ref": entry.ref, "path": str(written), "kind": entry.kind, "digest": entry.digest}
    app.output.emit(done, f"wrote {written} ({entry.kind} {entry.ref})")


def _to_file(app: App, lake: Lake, entry: Entry, target: Path, form: str | None, *, force: bool) -> Path:
    """Write an item to a file or folder, and return which."""
    if target.is_dir():
        target = target / _natural_name(entry, form)
    chosen = form or _ENDINGS.get(target.suffix.lower(), "parquet")
    if entry.kind == "table" and (chosen != "parquet" or entry.storage == "reference"):
        table = lake.get(entry.ref, as_="arrow")
        publish(target, lambda path: _write_table(app, table, path, chosen), force=force)
    else:
        content = _content(lake, entry)
        publish(target, lambda path: _copy(content, path), force=force)
    return target


def _content(lake: Lake, entry: Entry) -> Path:
    """Return a verified local copy of the content as it is stored; of a folder, the folder."""
    if entry.storage == "reference" or entry.kind == "directory":
        return Path(lake.get(entry.ref))
    return Path(lake.folio(entry.folio).item_path(entry.ref))


def _natural_name(entry: Entry, form: str | None) -> str:
    from lakefolio.folio.info import file_name

    name = file_name(entry)
    return name if form is None else f"{Path(name).stem}.{form}"


def _copy(content: Path, target: Path) -> None:
    if not content.is_dir():
        shutil.copyfile(content, target)
        return
    shutil.copytree(content, target, symlinks=True)
    for folder, _, files in os.walk(target):  # the verified copy is read-only, the user's own is not
        for path in (Path(folder), *(Path(folder, name) for name in files)):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | stat.S_IWUSR)


# -- stdout ---------------------------------------------------------------------------------------------


def _to_stdout(app: App, lake: Lake, entry: Entry, form: str | None) -> None:
    stdout: BinaryIO = Terminal(sys.stdout.buffer) if sys.stdout.isatty() else sys.stdout.buffer
    if entry.kind == "table":
        chosen = form or ("json" if app.as_json else "csv")
        _refuse_binary(entry, binary=chosen == "parquet")
        _write_table(app, lake.get(entry.ref, as_="arrow"), stdout, chosen)
    else:
        if app.as_json and entry.format != "json":
            raise InvalidInputError(
                f"item {entry.ref} of kind {entry.kind} can't be printed as JSON",
                kind="wrong-kind",
                hint="leave --json out, or give -o PATH",
                item=entry.item,
            )
        content = _content(lake, entry)
        if content.is_dir():
            raise InvalidInputError(
                f"item {entry.ref} is a folder, which can't be written to stdout",
                kind="wrong-kind",
                hint="give -o PATH",
                item=entry.item,
            )
        text = entry.format in ("json", "text") or (entry.media_type or "").startswith("text/")
        _refuse_binary(entry, binary=not text)
        with content.open("rb") as file:
            shutil.copyfileobj(file, stdout)
        if text and sys.stdout.isatty():
            stdout.write(b"\n")
    stdout.flush()


def _refuse_binary(entry: Entry, *, binary: bool) -> None:
    if binary and sys.stdout.isatty():
        raise InvalidInputError(
            f"item {entry.ref} is binary, which a terminal can't show",
            kind="binary-to-terminal",
            hint="give -o PATH, or send it to another program",
            item=entry.item,
        )


# -- tables ---------------------------------------------------------------------------------------------


def _write_table(app: App, table: pa.Table, where: Path | BinaryIO, form: str) -> None:
    if form == "json":
        body = (app.output.json(table.to_pylist()) + "\n").encode()
        if isinstance(where, Path):
            where.write_bytes(body)
        else:
            where.write(body)
    elif form == "csv":
        import pyarrow.csv

        pyarrow.csv.write_csv(_flat(table), where)
    else:
        import pyarrow.parquet

        pyarrow.parquet.write_table(table, where)


def _flat(table: pa.Table) -> pa.Table:
    """Return a table of what CSV can hold: nested and binary values, and other people's types, become text."""
    import pyarrow as pa

    for number, field in enumerate(table.schema):
        if not _holds(field.type):
            texts = [_text(one) for one in table.column(number).to_pylist()]
            table = table.set_column(number, field.name, pa.array(texts, pa.string()))
    return table


def _text(value: Any) -> str | None:
    found = plain(value)
    return found if found is None or isinstance(found, str) else json.dumps(found, ensure_ascii=False)


def _holds(kind: pa.DataType) -> bool:
    import pyarrow as pa

    is_other = (
        pa.types.is_nested,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_fixed_size_binary,
        pa.types.is_string_view,
        pa.types.is_binary_view,
    )
    return not (isinstance(kind, pa.BaseExtensionType) or any(test(kind) for test in is_other))
