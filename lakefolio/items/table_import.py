"""Table files of other formats as streams of record batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from lakefolio.errors import InvalidInputError, LocalFileNotFoundError

__all__ = ["FORMATS", "open_table_file"]

FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".feather": "feather",
    ".arrow": "arrow",
    ".ipc": "arrow",
}
"""The format that each file extension means."""


@contextmanager
def open_table_file(path: Path, table_format: str | None, block_size: int | None = None) -> Iterator[Any]:
    """Open a table file as a ``pyarrow.RecordBatchReader``; memory use does not grow with the file.

    Args:
        path: The file.
        table_format: One of the values of FORMATS, or None to go by the extension.
        block_size: Bytes of CSV parsed at once.

    Raises:
        LocalFileNotFoundError: The file does not exist (also a FileNotFoundError).
        InvalidInputError: The format is unknown, or the file is not of it.
    """
    if not path.is_file():
        raise LocalFileNotFoundError(
            f"there is no table file {str(path)!r}", hint="check the path and that it is a file", path=str(path)
        )
    chosen = table_format or FORMATS.get(path.suffix.lower())
    if chosen is None or chosen not in FORMATS.values():
        raise InvalidInputError(
            f"table format of {path.name!r} is unknown" if chosen is None else f"table format {chosen!r} is unknown",
            kind="bad-format",
            hint="pass table_format= parquet, csv, feather or arrow, or keep the file as it is with add_file()",
            path=str(path),
            format=chosen,
        )
    try:
        with pa.memory_map(str(path)) if path.stat().st_size else pa.OSFile(str(path)) as file:
            yield _reader(file, chosen, block_size)
    except pa.ArrowInvalid as exc:
        raise InvalidInputError(
            f"file {str(path)!r} can't be read as {chosen}: {' '.join(str(exc).split())}",
            kind="bad-table-file",
            hint="pass another table_format=, or keep the file as it is with add_file()",
            path=str(path),
            format=chosen,
        ) from exc


def _reader(file: Any, table_format: str, block_size: int | None) -> Any:
    if table_format == "parquet":
        import pyarrow.parquet as pq

        source = pq.ParquetFile(file)
        return pa.RecordBatchReader.from_batches(source.schema_arrow, source.iter_batches())
    if table_format == "csv":
        from pyarrow import csv

        return csv.open_csv(file, read_options=csv.ReadOptions(block_size=block_size))
    source = pa.ipc.open_file(file)
    return pa.RecordBatchReader.from_batches(
        source.schema, (source.get_batch(number) for number in range(source.num_record_batches))
    )
