"""Table files that other programs wrote, as streams of record batches.

Slightly longer than most modules: which format a file has, and what is said of one that is none, is decided here alone.
"""

from __future__ import annotations

import io
import itertools
import re
import struct
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final, TypeAlias

import pyarrow as pa

from lakefolio.errors import InvalidInputError, LocalFileNotFoundError
from lakefolio.format.table_formats import (
    COMPRESSIONS,
    READABLE,
    WITH_NAMES,
    compression_of,
    ending_of_compressed,
    format_of,
)
from lakefolio.items.csv_types import ColumnTypes, converted, type_named
from lakefolio.items.guessed_columns import MOST_COLUMNS
from lakefolio.items.isolated_reader import open_isolated
from lakefolio.items.parquet_bounds import safe_batch_rows
from lakefolio.items.unpacked import unpacked

__all__ = ["Types", "open_csv", "open_table_file"]

_READERS: Final = {
    "json": "lakefolio.items.table_json:open_json",
    "ndjson": "lakefolio.items.table_json:open_ndjson",
    "excel": "lakefolio.items.table_excel:open_excel",
    "sqlite": "lakefolio.items.table_sqlite:open_sqlite",
    "hdf5": "lakefolio.items.table_hdf5:open_hdf5",
    "duckdb": "lakefolio.views.duckdb_file:open_duckdb",
    "feather": "lakefolio.items.table_arrow:open_arrow",
    "arrow": "lakefolio.items.table_arrow:open_arrow",
}
"""Format -> module and function that read its files, in a child process; nothing of them is imported in this one."""
_BLOCK_BYTES: Final = 8 << 20
_MOST_BLOCK_BYTES: Final = (1 << 31) - 1
_ROW_TOO_LONG: Final = ("straddl", "Empty CSV file or block")
"""What Arrow says where a row, or the first, does not end within a block."""
_PIECE_BYTES: Final = 1 << 20
_END_BYTES: Final = 4096
_BLANKS: Final = b" \t\r\n\0"
"""Stand after the last cell, also in UTF-16."""
_MARKS: Final = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"\xef\xbb\xbf": "utf-8-sig",
}
"""How a text begins whose encoding is marked, the longer first."""

Types: TypeAlias = str | pa.DataType | Mapping[str, str | pa.DataType] | None
"""The type of all columns of a CSV file, or of some by name."""

_JSON: Final = re.compile(rb'[\xef\xbb\xbf\xfe\xff\0]*\s*[\[{][\s\0]*(["\[{}\]]|$)')
"""How a first line begins that no header of CSV does."""


@contextmanager
def open_table_file(
    path: Path,
    table_format: str | None,
    block_size: int | None = None,
    *,
    types: Types = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    table: str | None = None,
) -> Iterator[Any]:
    """Open a table file as a ``pyarrow.RecordBatchReader``; memory use does not grow with the file.

    Args:
        path: The file.
        table_format: One of READABLE, or None to go by the ending.
        block_size: Bytes of CSV parsed at once.
        types: Of CSV: the types of columns, instead of those that ``csv_types`` chooses.
        encoding: Of CSV: the encoding of the text, UTF-8 by default.
        delimiter: Of CSV: the character between cells; by default a comma, in a ``.tsv`` a tab.
        table: Of files with several tables: the name of one, a sheet of Excel, a path in HDF5.

    Raises:
        LocalFileNotFoundError: The file does not exist (also a FileNotFoundError).
        InvalidInputError: The format is unknown, or the file is not of it; kind ``file-changed`` after the last batch:
            the file was written while it was read, so its rows may be of no state that it ever had.
    """
    if not path.is_file():
        raise LocalFileNotFoundError(
            f"there is no table file {str(path)!r}", hint="check the path and that it is a file", path=str(path)
        )
    chosen = table_format or format_of(path.name)
    if chosen not in READABLE:
        raise InvalidInputError(
            f"table format of {path.name!r} is unknown" if chosen is None else f"table format {chosen!r} is unknown",
            kind="bad-format",
            hint=f"unpack it, or compress it as {', '.join(COMPRESSIONS)}"
            if chosen is None and format_of(path.stem) is not None
            else f"a table is read from {', '.join(READABLE)}; name one of them, or keep the file as it is",
            path=str(path),
            format=chosen,
        )
    if table is not None and chosen not in WITH_NAMES:
        raise InvalidInputError(
            f"table={table!r} is for files of several tables; {path.name!r} is read as {chosen}",
            kind="bad-option",
            hint="leave it out",
            path=str(path),
        )
    before = _state(path)
    with _opened_as(chosen, path, block_size, types, encoding, delimiter, table) as reader:
        yield pa.RecordBatchReader.from_batches(reader.schema, _unchanged(reader, path, before))


@contextmanager
def _opened_as(
    chosen: str,
    path: Path,
    block_size: int | None,
    types: Types,
    encoding: str | None,
    delimiter: str | None,
    table: str | None,
) -> Iterator[Any]:
    if chosen in ("csv", "tsv"):
        by_tabs = delimiter is None and chosen == "tsv"
        between = "\t" if by_tabs else delimiter
        with open_csv([path], block_size, types=types, encoding=encoding, delimiter=between) as reader:
            if by_tabs:
                _check_delimiter(path, reader.schema.names, "\t")
            yield reader
        return
    if types is not None or encoding is not None or delimiter is not None:
        raise InvalidInputError(
            f"types, encoding and delimiter are for CSV files; {path.name!r} is read as {chosen}",
            kind="bad-option",
            hint="leave them out",
            path=str(path),
        )
    if chosen in _READERS:
        with open_isolated(_READERS[chosen], path, table, chosen) as reader:
            yield reader
        return
    with _open_parquet(path) as reader:
        yield reader


def _unchanged(batches: Iterable[pa.RecordBatch], path: Path, before: tuple[int, ...]) -> Iterator[pa.RecordBatch]:
    yield from batches
    if _state(path) != before:
        raise InvalidInputError(
            f"file {str(path)!r} changed while it was being read",
            kind="file-changed",
            hint="import it again when nothing writes to it",
            path=str(path),
        )


def _state(path: Path) -> tuple[int, ...]:
    """Return what changes with each write to a file, and when another takes its place."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


@contextmanager
def _open_parquet(path: Path) -> Iterator[Any]:
    import pyarrow.parquet as pq

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from source.iter_batches(rows)
        except (pa.ArrowException, OSError, MemoryError) as exc:  # Thrift's errors and a page's are OSError
            raise _unreadable(path, "parquet", exc) from exc

    with ExitStack() as opened:
        try:
            # a map of the file would end the process with SIGBUS where another one truncates it
            source = pq.ParquetFile(opened.enter_context(pa.OSFile(str(path))), buffer_size=_PIECE_BYTES)
            rows = safe_batch_rows(path, source)
            reader = pa.RecordBatchReader.from_batches(source.schema_arrow, batches())
        except (pa.ArrowException, OSError, MemoryError, ValueError, IndexError, KeyError, struct.error) as exc:
            raise _unreadable(path, "parquet", exc) from exc
        yield reader


def _unreadable(path: Path, table_format: str, exc: BaseException) -> InvalidInputError:
    hint = f"a table is read from {', '.join(READABLE)}; name another of them, or keep the file as it is"
    if (suffix := _compression_untold(path)) is not None:
        hint = f"it is compressed; let its name end with {suffix}"
    elif isinstance(exc, UnicodeError) or "UTF8" in str(exc):
        hint = "it is not UTF-8 text; name its encoding, such as latin-1 or cp1252"
    elif table_format == "csv" and "Expected" in str(exc):
        hint = "all lines need as many cells as the first; name the delimiter if it is another, such as ';'"
    return InvalidInputError(
        f"file {str(path)!r} can't be read as {table_format}: {exc}",
        kind="bad-table-file",
        hint=hint,
        path=str(path),
        format=table_format,
    )


def _compression_untold(path: Path) -> str | None:
    """Return the ending for a file that is compressed and does not say so."""
    try:
        with path.open("rb") as file:
            return None if compression_of(path.name) else ending_of_compressed(file.read(4))
    except OSError:
        return None


# -- CSV ----------------------------------------------------------------------------------------------------


@contextmanager
def open_csv(
    paths: list[Path],
    block_size: int | None = None,
    *,
    types: Types = None,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> Iterator[Any]:
    """Open CSV files of the same columns as one reader; arguments as for :func:`open_table_file`.

    The files are read twice: once to choose types that lose nothing, once for the values. A warning names the columns
    of numbers that are not stored as int64 or float64, since those would lose digits.
    """
    if not 0 <= (block_size or 0) <= _MOST_BLOCK_BYTES:
        raise InvalidInputError(
            f"block_size={block_size!r} is no count of bytes from 1 to {_MOST_BLOCK_BYTES:,}",
            kind="bad-option",
            hint=f"leave it out for {_BLOCK_BYTES:,}, or name more than the largest row has",
            option="block_size",
        )
    options = {"block_size": block_size or _BLOCK_BYTES, "encoding": encoding, "delimiter": delimiter}
    asked = _asked(types)
    names = _check_columns(paths, options)
    guesses = [None if name in asked or "*" in asked else ColumnTypes() for name in names]
    for path in paths if any(guesses) else ():
        for batch in _batches(path, names, options):
            for guess, column in zip(guesses, batch.columns, strict=True):
                if guess is not None:
                    guess.update(column)
    unknown = sorted(asked.keys() - {"*", *names})
    if unknown:
        raise InvalidInputError(
            f"types names {unknown[0]!r}, which is no column of {paths[0].name!r}",
            kind="unknown-column",
            hint=f"it has {', '.join(map(repr, names[:20]))}",
            column=unknown[0],
        )
    fields, notes = [], []
    # a file with names in quotes has its texts in quotes: a cell without quotes is missing, not the empty text
    nullable = set(names) if all(_starts_quoted(path, encoding) for path in paths) else set()
    for name, guess in zip(names, guesses, strict=True):
        if guess is None:
            fields.append(pa.field(name, asked.get(name, asked.get("*"))))
            continue
        choice = guess.choice()
        fields.append(pa.field(name, choice.type))
        if choice.reason is not None:
            nullable.add(name)
            notes.append(f"{name!r} is stored as {choice.type}, since {choice.reason}")
    if notes:
        more = f" (and {len(notes) - 5} columns more)" if len(notes) > 5 else ""
        warnings.warn(f"{paths[0].name}: {'; '.join(notes[:5])}{more}", UserWarning, stacklevel=9)
    schema = pa.schema(fields)
    batches = itertools.chain.from_iterable(_batches(path, names, options) for path in paths)
    yield pa.RecordBatchReader.from_batches(schema, _typed(batches, schema, nullable, paths[0]))


def _asked(types: Types) -> dict[str, pa.DataType]:
    given = types if isinstance(types, Mapping) else {} if types is None else {"*": types}
    found = {}
    for column, name in given.items():
        try:
            found[str(column)] = type_named(name)
        except (ValueError, TypeError, AttributeError) as exc:
            raise InvalidInputError(
                f"type {name!r} of column {column!r} is unknown",
                kind="bad-option",
                hint="name an Arrow type: string, int64, float64, bool, date32, timestamp[us], decimal128(20, 4)",
                column=column,
            ) from exc
    return found


def _check_columns(paths: list[Path], options: Mapping[str, object]) -> list[str]:
    """Return the columns of the files, which must be the same in all."""
    names: list[str] | None = None
    for path in paths:
        _check_first_line(path, options)
        with _opened(path, None, options) as (reader, _):
            found = list(reader.schema.names)
        if names is not None and found != names:
            raise InvalidInputError(
                f"file {str(path)!r} has other columns than {str(paths[0])!r}",
                kind="bad-table-file",
                hint="the files of one table have the same columns in the same order",
                path=str(path),
            )
        names = found
    assert names is not None
    if options["delimiter"] is None:
        _check_delimiter(paths[0], names, ",")
    return names


def _check_delimiter(path: Path, names: list[str], own: str) -> None:
    """Refuse a single column whose name holds what other files have between their cells."""
    mark = next((mark for mark in (";", "\t", "|", ",") if len(names) == 1 and mark in names[0]), None)
    if mark is not None:
        raise InvalidInputError(
            f"file {str(path)!r} has a single column {names[0]!r}",
            kind="bad-table-file",
            hint=f"name the delimiter: {mark!r}, or {own!r} if that is one column",
            path=str(path),
        )


def _check_first_line(path: Path, options: Mapping[str, object]) -> None:
    """Refuse JSON, UTF-16 that does not say so, and a file of millions of columns, each of which takes kilobytes."""
    delimiter = str(options["delimiter"] or ",").encode(errors="replace")
    count = 0
    try:
        with _text_of(path) as file:
            while piece := file.readline(_PIECE_BYTES):
                if not count and _JSON.match(piece):
                    raise _is_json(path)
                unsaid = not count and not options["encoding"] and not _marked(piece) and not _compression_untold(path)
                if unsaid and b"\0" in piece:
                    raise InvalidInputError(
                        f"file {str(path)!r} has NUL characters in its first line, as UTF-16 has that is read as UTF-8",
                        kind="bad-table-file",
                        hint="name its encoding, such as utf-16-le",
                        path=str(path),
                    )
                count += piece.count(delimiter)
                if count >= MOST_COLUMNS or piece.endswith(b"\n"):
                    break
    except OSError as exc:
        raise _unreadable(path, "csv", exc) from exc
    if count >= MOST_COLUMNS:
        raise InvalidInputError(
            f"file {str(path)!r} has more than {MOST_COLUMNS:,} columns",
            kind="too-large",
            hint="turn it on its side, or name its delimiter",
            path=str(path),
        )


def _is_json(path: Path) -> InvalidInputError:
    return InvalidInputError(
        f"file {str(path)!r} is JSON, and no table of cells",
        kind="bad-table-file",
        hint="name its format: json for a list of rows, ndjson for a row a line",
        path=str(path),
    )


def _batches(path: Path, names: list[str], options: Mapping[str, object]) -> Iterator[pa.RecordBatch]:
    last: pa.RecordBatch | None = None
    with _opened(path, names, options) as (reader, text):
        for batch in reader:
            last = batch.slice(batch.num_rows - 1) if batch.num_rows else last
            yield batch
        _check_closed(path, last, text.end)


def _check_closed(path: Path, last: pa.RecordBatch | None, end: bytes) -> None:
    """Refuse a file that ends within quotes: its parser takes all that follows the quote for one cell."""
    cell = None if last is None or not last.num_columns else last.column(last.num_columns - 1)[0].as_py()
    if cell is not None and ("\n" in cell or "\r" in cell) and not end.rstrip(_BLANKS).endswith(b'"'):
        raise InvalidInputError(
            f"file {str(path)!r} ends within quotes: its last cell goes on for {cell.count(chr(10)) + 1:,} lines",
            kind="bad-table-file",
            hint=f"close the quote before {cell[:30]!r}",
            path=str(path),
        )


class _Text:
    """A file that is read once, of which the end and the size so far are remembered."""

    def __init__(self, file: IO[bytes] | io.BufferedIOBase) -> None:
        self._file = file
        self.end = b""
        self.size = 0

    @property
    def closed(self) -> bool:
        return self._file.closed

    def read(self, size: int = -1) -> bytes:
        body = self._file.read(size)
        self.end = (self.end + body)[-_END_BYTES:]
        self.size += len(body)
        return body

    def close(self) -> None:
        self._file.close()


@contextmanager
def _opened(path: Path, names: list[str] | None, options: Mapping[str, Any]) -> Iterator[tuple[Any, _Text]]:
    """Open one file as a reader of texts, null for empty cells; without ``names`` only its schema counts."""
    from pyarrow import csv

    delimiter = options["delimiter"] or ","
    if len(delimiter) != 1:
        raise InvalidInputError(f"delimiter {delimiter!r} is not one character", kind="bad-option", hint="give one")
    text: _Text | None = None
    try:
        with ExitStack() as opened:
            text = _Text(opened.enter_context(_text_of(path)))
            reader = csv.open_csv(
                text,
                read_options=csv.ReadOptions(
                    block_size=options["block_size"], encoding=options["encoding"] or _encoding_of(path)
                ),
                # a single column has no other way to say that a cell is empty than an empty line
                parse_options=csv.ParseOptions(
                    delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=names is None or len(names) > 1
                ),
                convert_options=csv.ConvertOptions(
                    column_types=dict.fromkeys(names or (), pa.string()),
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
            yield reader, text
    except LookupError as exc:
        raise InvalidInputError(
            f"encoding {options['encoding']!r} is unknown",
            kind="bad-option",
            hint="name one such as latin-1 or cp1252",
            option="encoding",
        ) from exc
    except (pa.ArrowException, MemoryError, UnicodeError, OSError) as exc:
        block = options["block_size"]
        if text is not None and text.size >= block and any(sign in str(exc) for sign in _ROW_TOO_LONG):
            raise InvalidInputError(
                f"file {str(path)!r} has a row that does not end within {block:,} bytes, which are parsed at once",
                kind="bad-table-file",
                hint="close the quote if one is left open; if a cell is as large as that, "
                f"folio.import_table(…, block_size={min(8 * block, _MOST_BLOCK_BYTES)})",
                path=str(path),
            ) from exc
        raise _unreadable(path, "csv", exc) from exc


def _starts_quoted(path: Path, encoding: object) -> bool:
    with _text_of(path) as file:
        head = file.read(64)
    return head.decode(str(encoding or _marked(head) or "utf-8"), errors="ignore").lstrip("\ufeff").startswith('"')


def _encoding_of(path: Path) -> str:
    with _text_of(path) as file:
        found = _marked(file.read(4)) or "utf8"
    return "utf8" if found == "utf-8-sig" else found  # Arrow skips that mark by itself, and quickly


def _marked(head: bytes) -> str | None:
    """Return the encoding that the first bytes of a text name."""
    return next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)


def _text_of(path: Path) -> AbstractContextManager[IO[bytes] | io.BufferedIOBase]:
    """Open a file for its text, which may be compressed."""
    compression = compression_of(path.name)
    return unpacked(path, compression) if compression else path.open("rb")


def _typed(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, nullable: set[str], path: Path
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        columns = []
        for column, field in zip(batch.columns, schema, strict=True):
            try:
                columns.append(converted(column, field.type, words=field.name not in nullable))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as exc:
                raise InvalidInputError(
                    f"column {field.name!r} of {path.name!r} can't be read as {field.type}: {exc}",
                    kind="bad-table-file",
                    hint="ask for another type of that column, or for none",
                    column=field.name,
                    path=str(path),
                ) from exc
        yield pa.RecordBatch.from_arrays(columns, schema=schema)
