"""``lakefolio get``."""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import items
from lakefolio.cli.output import Terminal
from lakefolio.errors import InvalidInputError
from lakefolio.format.table_formats import RECORDS, TABULAR, WRITABLE
from lakefolio.render.text import format_bytes

if TYPE_CHECKING:
    from lakefolio.folio import Folio
    from lakefolio.model.entries import Entry

__all__ = ["get"]


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
    type=click.Choice(WRITABLE),
    help="For tables; by default what PATH ends with, and Parquet if it has no ending. On stdout, CSV.",
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def get(app: App, ref: str, target: Path | None, form: str | None, force: bool) -> None:
    """Write the content of an item to a file or to stdout.

    REF is FOLIO:NAME[@VERSION-OR-SNAPSHOT]. Tables are written in the format that PATH ends with: .parquet .csv .tsv
    .json .ndjson .feather .arrow .xlsx .h5 .sqlite .duckdb, text also compressed (.csv.gz); arrays as .npy, models in
    their stored format, files as they are, folders with their tree. All content is verified before the first byte
    appears.
    """
    from lakefolio.process.local_files import is_stream

    app.spare_imports()
    lake, ref = app.open_for(ref)
    entry = lake.item(ref)
    app.allow_imports(entry.kind)
    named = ref if entry.kind == RECORDS else entry.ref  # an entry marks a version of a record table
    doing = f"getting {entry.ref}"
    with ExitStack() as scratch:
        with app.output.working(doing) as say:
            lake.on_download = lambda count, size: say(f"{doing}: {format_bytes(count)} of {format_bytes(size)}")
            folio = lake.folio(entry.folio)
            if target is None or str(target) == "-":
                folder = Path(scratch.enter_context(tempfile.TemporaryDirectory(prefix="lakefolio-")))
                content = _for_stdout(app, folio, entry, named, form, folder)
            else:
                content, written = None, folio.export(named, target, format=form, overwrite=force)
        if content is not None:  # after what is being done: a terminal shows both
            _print(content, entry)
            return
    if is_stream(written):
        app.output.note(f"wrote {written} ({entry.kind} {entry.ref})")
        return
    done = {"ref": entry.ref, "path": str(written), "kind": entry.kind, "digest": entry.digest}
    app.output.emit(done, f"wrote {written} ({entry.kind} {entry.ref})")


# -- stdout ---------------------------------------------------------------------------------------------


def _for_stdout(app: App, folio: Folio, entry: Entry, ref: str, form: str | None, scratch: Path) -> Path:
    """Write the content to a file in ``scratch``, verified; refuse what can't be printed."""
    if entry.kind in TABULAR:
        form = form or ("json" if app.as_json else "csv")
    if app.as_json and entry.kind not in TABULAR and entry.format != "json":
        raise InvalidInputError(
            f"item {entry.ref} of kind {entry.kind} can't be printed as JSON",
            kind="wrong-kind",
            hint="leave --json out, or give -o PATH",
            item=entry.item,
        )
    text = form in ("csv", "tsv", "json", "ndjson") if entry.kind in TABULAR else _is_text(entry)
    _refuse_binary(entry, binary=not text and entry.kind != "directory")
    content = folio.export(ref, scratch / "content", format=form)
    if content.is_dir():
        raise InvalidInputError(
            f"item {entry.ref} is a folder, which can't be written to stdout",
            kind="wrong-kind",
            hint="give -o PATH",
            item=entry.item,
        )
    return content


def _is_text(entry: Entry) -> bool:
    return entry.format in ("json", "text") or (entry.media_type or "").startswith("text/")


def _print(content: Path, entry: Entry) -> None:
    stdout: BinaryIO = Terminal(sys.stdout.buffer) if sys.stdout.isatty() else sys.stdout.buffer
    with content.open("rb") as file:
        shutil.copyfileobj(file, stdout)
    if _is_text(entry) and entry.kind not in TABULAR and sys.stdout.isatty():
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
