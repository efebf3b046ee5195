"""``lakefolio add``."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import files, items, named, tags
from lakefolio.errors import InvalidInputError, LocalFileNotFoundError
from lakefolio.format.names import check_folio
from lakefolio.format.table_formats import READABLE, format_of
from lakefolio.model.item_versions import label_of
from lakefolio.model.version_policy import BUMPS
from lakefolio.process.notice import LakefolioWarning, notice
from lakefolio.render.text import counted, format_bytes
from lakefolio.session.path_like_text import looks_like_path

if TYPE_CHECKING:
    from lakefolio.folio import Folio

__all__ = ["add"]

_KINDS: Final = {".npy": "array", ".json": "json"}
_TEXT: Final = ("", ".txt", ".dat", ".data")
"""Endings that may mean CSV where a table is asked for."""
_IN_MEMORY_BYTES: Final = 64 * 2**20
"""Up to this size stdin is added as bytes, which have no file name to be noted."""
_LONGEST_PATH: Final = 4096
_MAGIC: Final = {b"PAR1": "parquet", b"ARROW1": "arrow"}


@command(example='lakefolio add experiments/clf:scores scores.csv --description "Scores of the first run" --tag draft')
@click.argument("ref", shell_complete=items)
@click.argument("path", shell_complete=files)
@click.option(
    "--as",
    "kind",
    type=click.Choice(["table", "array", "json", "artifact"]),
    help="The kind to store it as. By default by the ending of PATH: .parquet .csv .tsv .csv.gz .ndjson .feather "
    ".arrow .xlsx .h5 .sqlite .duckdb are "
    "tables, .npy arrays, .json JSON, everything else is kept as it is.",
)
@click.option("--format", "form", type=click.Choice(READABLE), help="Of a table: the format of the file.")
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="COLUMN=TYPE",
    help="Of a CSV file: the type of a column (string, int64, float64, date32, …), instead of one that loses nothing "
    "of its text. * is every column. Repeatable.",
)
@click.option("--encoding", metavar="NAME", help="Of a CSV file: its encoding, such as latin-1; UTF-8 by default.")
@click.option(
    "--delimiter", metavar="CHARACTER", help="Of a CSV file: the character between cells; a comma by default."
)
@click.option("--table", "table", metavar="NAME", help="Of Excel, HDF5, SQLite and DuckDB: which of its tables.")
@click.option("--description", metavar="TEXT", help="One sentence that describes it.")
@click.option(
    "--tag", "tags", multiple=True, metavar="TAG", shell_complete=tags, help="A word to find it by; repeatable."
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="REF",
    shell_complete=items,
    help="An item it was made from: [FOLIO:]NAME[@VERSION], or a URI; repeatable.",
)
@click.option(
    "--meta",
    "facts",
    multiple=True,
    metavar="KEY=VALUE",
    help="A fact to note; VALUE is JSON, or else text. Repeatable.",
)
@click.option("--version", metavar="LABEL", help="The label of the new version, such as 1.2.0; above all it has.")
@click.option(
    "--bump", type=click.Choice(BUMPS), help="Take the next label instead; auto is by what changed. The first is 1.0.0."
)
@click.option("-m", "--message", metavar="TEXT", help="Why, for the log.")
@click.option("--overwrite", is_flag=True, help="Replace an item of that name; its old entry stays in the history.")
@click.option("--keep", is_flag=True, help="Carry its description, tags and metadata over, where none are given here.")
@click.option("--reference", is_flag=True, help="Register where it lies instead of copying it; PATH may be a URI.")
def add(
    app: App,
    ref: str,
    path: str,
    kind: str | None,
    form: str | None,
    types: tuple[str, ...],
    encoding: str | None,
    delimiter: str | None,
    table: str | None,
    description: str | None,
    tags: tuple[str, ...],
    inputs: tuple[str, ...],
    facts: tuple[str, ...],
    version: str | None,
    bump: str | None,
    message: str | None,
    overwrite: bool,
    keep: bool,
    reference: bool,
) -> None:
    """Add a file, a folder or stdin as an item.

    REF is FOLIO:NAME; the folio exists from its first item on. FOLIO: alone lets the pattern of the folio's names fill
    the name from --meta. PATH is a file or a folder; - is stdin, which
    is kept as it is unless --as gives its kind.
    """
    folio_name, name = (check_folio(ref[:-1]), "") if ref.endswith(":") else named(ref)
    annotations: dict[str, Any] = {
        "description": description,
        "inputs": list(inputs) or None,
        "tags": list(tags) or None,
        "metadata": _facts(facts) or None,
        "overwrite": overwrite,
        "keep": keep,
        "version": version,
        "bump": bump,
    }
    csv: dict[str, Any] = {"types": _types(types), "encoding": encoding, "delimiter": delimiter, "table": table}
    lake = app.open(writing=True)
    folio = lake.folio(folio_name)
    if not name:
        name = named(ref)[1] if folio.naming() is None else folio.name_of(annotations["metadata"])
    before = lake.version
    doing = f"adding {path}"
    with app.output.working(doing) as say, nullcontext() if message is None else lake.batch(message):
        lake.on_upload = lambda sent, size: say(f"{doing}: {format_bytes(sent)} of {format_bytes(size)} sent")
        if reference:
            _refer(folio, name, path, kind, annotations)
        else:
            with _local(path) as source:
                chosen = kind or _kind_of(source, form)
                if chosen == "table":
                    folio.import_table(name, source, table_format=form or _table_format(source), **csv, **annotations)
                elif chosen == "array" and format_of(source.name) == "hdf5":
                    from lakefolio.items.table_hdf5 import read_array

                    folio.add_numpy(name, read_array(source, table), **annotations)
                elif form is not None or any(csv.values()):
                    raise click.UsageError(
                        "--format, --type, --encoding, --delimiter and --table are for tables; give --as table"
                    )
                else:
                    _store(folio, name, source, chosen, annotations, stdin=path == "-")
    entry = lake.item(f"{folio_name}:{name}")
    size = "" if entry.size_bytes is None else f", {counted(entry.size_bytes, 'byte')}"
    rows = "" if entry.row_count is None else f", {counted(entry.row_count, 'row')}"
    label = label_of(entry.extra)
    called = "" if label is None else f" version {label}"
    done = "added" if entry.version > before else "unchanged:"
    app.output.emit(entry, f"{done} {entry.ref}{called} ({entry.kind}{rows}{size})")


def _facts(given: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for fact in given:
        key, mark, text = fact.partition("=")
        if not mark or not key:
            raise click.BadParameter(f"{fact!r} is not KEY=VALUE", param_hint="--meta")
        try:
            found[key] = json.loads(text)
        except ValueError:
            found[key] = text
    return found


@contextmanager
def _local(path: str) -> Iterator[Path]:
    """Give the file or folder that the user named; stdin as a file for as long as it is needed."""
    if path != "-":
        source = Path(os.path.expanduser(path))
        if not source.exists():
            raise LocalFileNotFoundError(
                f"there is no file or folder {path!r}",
                hint="a URI is added with --reference" if "://" in path else "check the path",
                path=path,
            )
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="lakefolio-") as folder:
        source = Path(folder) / "stdin"
        with source.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield source


def _refer(folio: Folio, name: str, path: str, kind: str | None, annotations: dict[str, Any]) -> None:
    if kind not in (None, "table", "artifact"):
        raise click.UsageError("a reference is a table or an artifact; leave --as out, or give one of these")
    if path == "-":
        raise click.UsageError("stdin can't be referred to")
    if "://" not in path and not os.path.exists(os.path.expanduser(path)):
        raise LocalFileNotFoundError(f"there is no file or folder {path!r}", hint="check the path", path=path)
    folio.add_reference(name, path, kind=kind, **annotations)


def _kind_of(source: Path, form: str | None) -> str:
    if source.is_dir():
        return "artifact"
    found = format_of(source.name)
    if form is not None or (found in READABLE and found != "json"):
        return "table"
    return _KINDS.get(source.suffix.lower(), "artifact")


def _types(given: tuple[str, ...]) -> dict[str, str] | None:
    found = {}
    for one in given:
        column, mark, name = one.rpartition("=")
        if not mark or not column:
            raise click.BadParameter(f"{one!r} is not COLUMN=TYPE", param_hint="--type")
        found[column] = name
    return found or None


def _store(folio: Folio, name: str, source: Path, kind: str, annotations: dict[str, Any], *, stdin: bool) -> None:
    if kind == "array":
        folio.add_numpy(name, _array(source), **annotations)
    elif kind == "json":
        from lakefolio.items.table_json import read_json_file

        data = read_json_file(source)
        _notice_path(name, data)
        folio.add_json(name, data, **annotations)
    elif stdin and source.stat().st_size <= _IN_MEMORY_BYTES:
        content = source.read_bytes()
        if len(content) <= _LONGEST_PATH:
            _notice_path(name, content.decode("utf-8", "replace").strip("\n"))
        folio.add_data(name, content, **annotations)
    else:
        folio.add_artifact(name, source, **annotations)


def _notice_path(name: str, data: object) -> None:
    """Say that a text was given that names a file: perhaps the file was meant."""
    if isinstance(data, str) and looks_like_path(data):
        notice(
            LakefolioWarning(
                f"item {name!r} is the text {data!r}, not the file of that name",
                kind="text-like-path",
                hint=f"to store the file: lakefolio add FOLIO:{name} {shlex.quote(data)} --overwrite",
            )
        )


def _table_format(source: Path) -> str:
    """Return the format of a file that is to become a table: by its ending, else by its first bytes."""
    found = format_of(source.name)
    if found in READABLE:
        return found
    with source.open("rb") as file:
        head = file.read(8)
    found = next((form for magic, form in _MAGIC.items() if head.startswith(magic)), None)
    if found is None and source.suffix.lower() not in _TEXT:
        raise InvalidInputError(
            f"{source.name!r} ends with no format that a table is read from",
            kind="bad-format",
            hint=f"give --format with one of {', '.join(READABLE)}, or another --as",
            path=str(source),
        )
    return found or "csv"


def _array(source: Path) -> Any:
    import numpy as np

    try:
        return np.load(source, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as exc:
        raise InvalidInputError(
            f"{source.name!r} can't be read as an .npy file: {exc}",
            kind="bad-file",
            hint="give --as artifact to keep it as it is",
            path=str(source),
        ) from exc
