"""Reading table files that somebody else wrote (references): Parquet, CSV, TSV, Arrow; a file or a folder of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from lakefolio.errors import InvalidInputError, UnsupportedTypeError

__all__ = ["read"]


def read(path: Path, format: str, *, as_: str | None = None, columns: list[str] | None = None, **options: Any) -> Any:
    """Return the table in a file or a folder of files.

    Args:
        path: The file or folder.
        format: ``parquet``, ``csv``, ``tsv`` or ``arrow``.
        as_: ``pandas``, ``polars``, ``arrow`` or ``lazy``; by default pandas where it is installed, else
            Arrow.
        columns: Only these columns.
        **options: For the reader of pandas, when a pandas frame is asked for.

    Raises:
        UnsupportedTypeError: If the format is none of these.
        InvalidInputError: If the file is not of that format.
    """
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.dataset as ds

    if as_ is None:
        as_ = "pandas" if _has_pandas() else "arrow"
    formats: dict[str, Any] = {
        "parquet": "parquet",
        "csv": "csv",
        "tsv": ds.CsvFileFormat(parse_options=csv.ParseOptions(delimiter="\t")),
        "arrow": "ipc",
    }
    if format not in formats:
        raise UnsupportedTypeError(
            f"table format {format!r} can't be read",
            hint="it is one of " + ", ".join(formats),
            kind="bad-format",
        )
    try:
        if as_ == "pandas" and format in ("parquet", "csv", "tsv") and path.is_file():
            return _pandas(path, format, columns, options)
        dataset = ds.dataset(path, format=formats[format])
        if as_ == "lazy":
            import polars as pl

            lazy = pl.scan_pyarrow_dataset(dataset)
            return lazy if columns is None else lazy.select(columns)
        table = dataset.to_table(columns=columns)
    except (pa.ArrowException, ValueError, OSError) as exc:
        raise InvalidInputError(
            f"{str(path)!r} can't be read as {format}: {(str(exc).splitlines() or [''])[0][:160]}",
            kind="bad-table-file",
            hint="give format= when you register it",
            path=str(path),
        ) from exc
    if as_ == "arrow":
        return table
    if as_ == "polars":
        import polars as pl

        return pl.from_arrow(table)
    if as_ == "pandas":
        return table.to_pandas()
    raise InvalidInputError(f"as_={as_!r} is not one of 'pandas', 'polars', 'arrow', 'lazy'", kind="bad-option")


def _has_pandas() -> bool:
    if "pandas" in sys.modules:
        return True
    import importlib.util

    return importlib.util.find_spec("pandas") is not None


def _pandas(path: Path, format: str, columns: list[str] | None, options: dict[str, Any]) -> Any:
    import pandas as pd

    if format == "parquet":
        return pd.read_parquet(path, columns=columns, **options)
    return pd.read_csv(path, usecols=columns, sep="\t" if format == "tsv" else ",", **options)
