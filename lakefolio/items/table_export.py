"""Arrow tables as files of other formats, whose readers get the same values or texts of them."""

from __future__ import annotations

import json
import math
import os
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from lakefolio.errors import LakefolioError
from lakefolio.items.conversions import checked

__all__ = ["as_texts", "csv_text", "duration_text", "plain_rows", "write_table"]

_ROWS: Final = 1 << 16


def write_table(table: pa.Table, target: Path, format: str, compression: str | None = None) -> None:
    """Write a table.

    CSV and TSV hold text, so nested values are written as JSON, binary ones as base64, and durations as
    ``2 days 03:04:05.5``. JSON writes times as ISO 8601 and NaN and infinities, which it does not have, as null.

    Args:
        table: The table.
        target: The file.
        format: One of ``table_formats.WRITABLE``.
        compression: Of CSV, TSV and JSON: one of ``table_formats.COMPRESSIONS``.

    Raises:
        UnsupportedTypeError: If the format can't hold a value of a column; ``column`` names it.
    """
    if format == "parquet":
        import pyarrow.parquet

        pyarrow.parquet.write_table(table, str(target))
        return
    if format in ("excel", "sqlite", "hdf5"):
        from lakefolio.items import table_excel, table_hdf5, table_sqlite

        writers: dict[str, Callable[[pa.Table, Path], None]] = {
            "excel": table_excel.write_excel,
            "sqlite": table_sqlite.write_sqlite,
            "hdf5": table_hdf5.write_hdf5,
        }
        try:
            writers[format](table, target)
        except LakefolioError:
            raise
        except (ArithmeticError, ValueError):

            def write_alone(part: pa.Table) -> None:
                target.unlink(missing_ok=True)
                writers[format](part, target)

            checked(table, format, write_alone, "export it as parquet")
            raise
        return
    if format in ("feather", "arrow"):
        import pyarrow.feather

        pyarrow.feather.write_feather(table, str(target), compression="lz4" if format == "feather" else "uncompressed")
        return
    try:
        with _opened(target, compression) as file:
            _write_text(table, file, format)
    except (ArithmeticError, ValueError):  # pyarrow's among them
        with open(os.devnull, "wb") as sink:
            checked(table, format, lambda part: _write_text(part, sink, format), "export it as parquet")
        raise


def _write_text(table: pa.Table, file: Any, format: str) -> None:
    if format in ("csv", "tsv"):
        import pyarrow.csv as csv

        csv.write_csv(_flat(table), file, csv.WriteOptions(delimiter="\t" if format == "tsv" else ","))
    elif format == "ndjson":
        for rows in _rows(table):
            file.write("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode())
    else:
        rows = [row for part in _rows(table) for row in part]
        file.write(json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n")


@contextmanager
def _opened(target: Path, compression: str | None) -> Iterator[Any]:
    with target.open("wb") as file:
        if compression is None:
            yield file
            return
        with pa.CompressedOutputStream(file, compression) as packed:
            yield packed


def _rows(table: pa.Table) -> Iterator[list[dict[str, Any]]]:
    for batch in table.to_batches(max_chunksize=_ROWS):
        columns = [list(map(_json_value, _values(column))) for column in batch.columns]
        yield [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def _flat(table: pa.Table) -> pa.Table:
    """Return a table of types that CSV can hold."""
    for number, field in enumerate(table.schema):
        if not _csv_holds(field.type):
            table = table.set_column(number, field.name, as_texts(table.column(number), csv_text))
    return table


def as_texts(column: pa.ChunkedArray, text_of: Callable[[Any], str]) -> pa.Array:
    """Return a column of texts, null where the column is."""
    return pa.array([None if value is None else text_of(value) for value in _values(column)], pa.string())


def plain_rows(table: pa.Table, keep: tuple[type, ...] = ()) -> Iterator[list[tuple[Any, ...]]]:
    """Give rows of null, truth values, numbers and texts; values of the types to keep as they are, others as text."""
    for batch in table.to_batches(max_chunksize=_ROWS):
        columns = [[_plain(value, keep) for value in _values(column)] for column in batch.columns]
        yield list(zip(*columns, strict=True))


def _plain(value: object, keep: tuple[type, ...]) -> Any:
    if value is None or isinstance(value, (str, bool, int, float, *keep)):
        return value
    return csv_text(value)


def _values(column: Any) -> list[Any]:
    """Return the values of a column as Python's; nanoseconds, which Python has none of, as text."""
    if pa.types.is_duration(column.type) and column.type.unit == "ns":
        return [None if one is None else duration_text(one) for one in column.cast(pa.int64()).to_pylist()]
    if getattr(column.type, "unit", None) == "ns":
        return [one if one is None else one.rstrip("0").rstrip(".") for one in column.cast(pa.string()).to_pylist()]
    found: list[Any] = column.to_pylist()
    return found


def _csv_holds(kind: pa.DataType) -> bool:
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return False
    if types.is_dictionary(kind):
        return bool(types.is_string(kind.value_type) or types.is_large_string(kind.value_type))
    plain = (types.is_boolean, types.is_integer, types.is_float32, types.is_float64, types.is_decimal128)
    others = (types.is_string, types.is_large_string, types.is_date, types.is_time, types.is_timestamp, types.is_null)
    return any(test(kind) for test in (*plain, *others))


def csv_text(value: object) -> str:
    """Return a value as the text of a cell."""
    found = _json_value(value)
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)


def _json_value(value: object) -> object:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, timedelta):
        return duration_text((value.days * 86_400 + value.seconds) * 10**9 + value.microseconds * 1000)
    if isinstance(value, bytes | bytearray | memoryview):
        return b64encode(value).decode()
    if isinstance(value, dict):
        return {str(key): _json_value(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_json_value(one) for one in value]
    if isinstance(value, tuple):  # an entry of a map
        return [_json_value(one) for one in value]
    return value.tolist() if hasattr(value, "tolist") else str(value)


def duration_text(nanoseconds: int) -> str:
    """Return a duration as pandas and DuckDB read it: ``-1 days +23:59:59.5``."""
    seconds, rest = divmod(nanoseconds, 10**9)
    days, seconds = divmod(seconds, 86_400)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    sign = "+" if days < 0 else ""
    return f"{days} days {sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"
