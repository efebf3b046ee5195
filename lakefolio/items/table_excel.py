"""Sheets of Excel files (``.xlsx``), read and written with openpyxl: the first row names the columns.

Excel has one kind of number, a double: what it can't hold is written as text. Files are read in the child process of
``isolated_reader``. openpyxl passes over some that Excel would not open, or shows nothing where there is something:
rows and cells out of order, formulas without a value. So the XML of a sheet is looked at before, and such are refused.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from xml.parsers import expat

import pyarrow as pa

from lakefolio.errors import InvalidInputError
from lakefolio.items.guessed_columns import checked_names, reader_of
from lakefolio.items.optional_imports import need
from lakefolio.items.table_sqlite import chosen_table

__all__ = ["open_excel", "write_excel"]

_MOST_PARTS: Final = 10_000
_RATIO: Final = 200
_FREE_BYTES: Final = 64 << 20
_MOST_ROWS: Final = 1_048_576
_MOST_COLUMNS: Final = 16_384
_LONGEST_TEXT: Final = 32_767
_EXACT: Final = 2**53


@contextlib.contextmanager
def open_excel(path: Path, table: str | None) -> Iterator[pa.RecordBatchReader]:
    """Open a sheet of an Excel file, its only one by default. Formulas are not computed: their last values are read."""
    openpyxl = need("openpyxl", "reading Excel files")
    _check_size(path)
    with warnings.catch_warnings(action="ignore"):
        # openpyxl would give a text for a value that it can't read
        warnings.filterwarnings("error", message="Cell .* is marked as a date")
        try:
            book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
        except Exception as exc:  # openpyxl raises whatever its parsers do
            raise _unreadable(path, exc) from exc
        try:
            sheet = book[chosen_table([one.title for one in book.worksheets], table, path.name)]
            try:
                _check_cells(path, sheet._worksheet_path.lstrip("/"))
                sheet.reset_dimensions()  # what a file says of its size is not believed
                first = next(_rows(sheet), ())
            except Exception as exc:
                raise _unreadable(path, exc) from exc
            names = checked_names(_trimmed(first), f"the first row of sheet {sheet.title!r}")
            if not names:
                raise InvalidInputError(
                    f"the first row of sheet {sheet.title!r} names no columns", kind="bad-table-file", path=str(path)
                )
            yield reader_of(names, lambda: _body(sheet, len(names), path))
        finally:
            book.close()


class _CellChecks:
    """Looks at the XML of a sheet, and raises ValueError for what openpyxl would get wrong without a word."""

    def __init__(self) -> None:
        self._row = self._column = 0
        self._cell = ""
        self._formula = self._filled = self._in_value = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """See the beginning of an element."""
        kind = name.rpartition(" ")[2]
        if kind == "row":
            row = int(attributes.get("r", self._row + 1))
            if not self._row < row <= _MOST_ROWS:
                raise ValueError(f"row {row} stands after row {self._row}")
            self._row, self._column = row, 0
        elif kind == "c":
            self._cell = attributes.get("r", "")
            column = _column_of(self._cell) if self._cell else self._column + 1
            if not self._column < column <= _MOST_COLUMNS:
                raise ValueError(f"cell {self._cell} of row {self._row} stands at the wrong place")
            self._column = column
            self._formula, self._filled = False, attributes.get("t") == "str"
        elif kind == "f":
            self._formula = True
        elif kind == "v":
            self._in_value = True

    def end(self, name: str) -> None:
        """See the end of an element."""
        kind = name.rpartition(" ")[2]
        if kind == "v":
            self._in_value = False
        elif kind == "c" and self._formula and not self._filled:
            raise ValueError(f"cell {self._cell} is a formula that was never computed; save the file with Excel")

    def text(self, text: str) -> None:
        """See text."""
        self._filled = self._filled or (self._in_value and bool(text.strip()))

    def doctype(self, *_: object) -> None:
        """See a document type."""
        raise ValueError("it holds a document type")


def _column_of(cell: str) -> int:
    number = 0
    for one in cell.rstrip("0123456789").replace("$", ""):
        number = 26 * number + int(one, 36) - 9
    return number


def _check_cells(path: Path, part: str) -> None:
    checks = _CellChecks()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = checks.start, checks.end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = checks.text, checks.doctype
    with zipfile.ZipFile(path) as archive, archive.open(part) as file:
        parser.ParseFile(file)


def _check_size(path: Path) -> None:
    """Refuse a file that would unpack to far more than it is."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError) as exc:
        raise _unreadable(path, exc) from exc
    unpacked = sum(one.file_size for one in parts)
    if len(parts) > _MOST_PARTS or unpacked > max(_FREE_BYTES, _RATIO * path.stat().st_size):
        raise InvalidInputError(
            f"{path.name!r} would unpack to {unpacked:,} bytes in {len(parts):,} parts",
            kind="too-large",
            hint="save it anew as .xlsx or .csv",
            path=str(path),
        )


def _rows(sheet: Any) -> Iterator[tuple[Any, ...]]:
    return iter(sheet.iter_rows(values_only=True))


def _trimmed(row: tuple[object, ...]) -> list[Any]:
    found = list(row)
    while found and found[-1] is None:
        found.pop()
    return found


def _body(sheet: Any, width: int, path: Path) -> Iterator[list[Any]]:
    rows = _rows(sheet)
    try:
        next(rows, None)
        for number, row in enumerate(rows, 2):
            found = _trimmed(row)
            if not found:
                continue  # Excel has no end but the last cell that was ever used
            if len(found) > width:
                raise InvalidInputError(
                    f"row {number} of sheet {sheet.title!r} has {len(found)} cells, the first row names {width}",
                    kind="bad-table-file",
                )
            yield [*map(_value, found), *[None] * (width - len(found))]
    except InvalidInputError:
        raise
    except Exception as exc:
        raise _unreadable(path, exc) from exc


def _value(value: object) -> Any:
    if type(value) in (int, float, str, bool, bytes, type(None), dt.datetime, dt.date, dt.time, dt.timedelta):
        return value
    return str(value)


def _unreadable(path: Path, exc: BaseException) -> InvalidInputError:
    return InvalidInputError(
        f"{path.name!r} can't be read as Excel: {' '.join(str(exc).split())[:160] or type(exc).__name__}",
        kind="bad-table-file",
        hint=".xlsx is read; save .xls files anew",
        path=str(path),
    )


def write_excel(table: pa.Table, target: Path) -> None:
    """Write a table to an Excel file of one sheet. What a double can't hold, and all that Excel lacks, is text.

    Raises:
        InvalidInputError: kind ``too-large``: a sheet has not as many rows, columns or characters in a cell.
    """
    openpyxl = need("openpyxl", "writing Excel files")
    from lakefolio.items.table_export import plain_rows

    if table.num_rows >= _MOST_ROWS or table.num_columns > _MOST_COLUMNS:
        raise InvalidInputError(
            f"the table has {table.num_rows:,} rows and {table.num_columns:,} columns; a sheet of Excel has "
            f"{_MOST_ROWS - 1:,} and {_MOST_COLUMNS:,}",
            kind="too-large",
            hint="export it as csv, sqlite or parquet",
        )
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("data")
    try:
        sheet.append([_cell(openpyxl, sheet, one) for one in table.column_names])
        for rows in plain_rows(table, keep=(dt.datetime, dt.date, dt.time)):
            for row in rows:
                sheet.append([_cell(openpyxl, sheet, value) for value in row])
    except BaseException:
        sheet.close()  # its file would be closed before its writer otherwise
        raise
    made = io.BytesIO()  # a file that could not be completed would be completed again, in vain, when it is collected
    book.save(made)
    target.write_bytes(made.getbuffer())


def _cell(openpyxl: Any, sheet: Any, value: Any) -> Any:
    if (
        (isinstance(value, dt.datetime) and value.tzinfo is not None)
        or (isinstance(value, dt.date) and value.year < 1900)
        or (isinstance(value, dt.datetime | dt.time) and value.microsecond % 1000)  # which Excel's reader rounds
    ):
        value = value.isoformat()
    elif (isinstance(value, int) and abs(value) > _EXACT) or (
        isinstance(value, float) and not abs(value) < float("inf")
    ):
        value = str(value)
    if not isinstance(value, str):
        return value
    if len(value) > _LONGEST_TEXT:
        raise InvalidInputError(
            f"a text of {len(value):,} characters does not fit a cell of Excel",
            kind="too-large",
            hint="export it as csv",
        )
    cell = openpyxl.cell.WriteOnlyCell(sheet)
    try:
        cell.value = value
    except openpyxl.utils.exceptions.IllegalCharacterError as exc:
        raise InvalidInputError(
            f"a text holds a character that Excel can't: {value[:40]!r}", kind="bad-format", hint="export it as csv"
        ) from exc
    cell.data_type = "s"  # never a formula
    return cell
