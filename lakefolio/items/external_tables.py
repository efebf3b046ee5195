"""Reading table files that other programs wrote (references): a file or a folder of files."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from lakefolio.errors import InvalidInputError, LakefolioError, UnsupportedTypeError, brief, one_line
from lakefolio.format.table_formats import SCANNED, format_of
from lakefolio.items.conversions import lazy_frame, to_pandas, to_polars
from lakefolio.items.optional_imports import need
from lakefolio.process.keywords import nearest

__all__ = ["read"]

_FORMATS: Final = (*SCANNED, "delta")
_CSV_OPTIONS: Final = frozenset(
    """
    cache_dates comment compression date_format dayfirst decimal delimiter dialect doublequote dtype dtype_backend
    encoding encoding_errors engine escapechar false_values float_precision header index_col keep_default_na
    lineterminator low_memory na_filter na_values names nrows on_bad_lines parse_dates quotechar quoting sep
    skip_blank_lines skipfooter skipinitialspace skiprows thousands true_values types
    """.split()  # noqa: SIM905 - a list of them would take forty lines
)
_PARQUET_OPTIONS: Final = frozenset(("dtype_backend", "filters"))
"""What says how pandas reads a text: nothing that opens something else (``storage_options``, ``filesystem``), runs code
(``converters``) or gives back no frame (``chunksize``)."""


def read(
    path: Path, format: str, /, *, as_: str | None = None, columns: list[str] | None = None, **options: object
) -> Any:
    """Return the table in a file or a folder of files.

    Args:
        path: The file or folder.
        format: ``parquet``, ``csv``, ``tsv``, ``arrow`` or ``feather``, or ``delta`` for the folder of a Delta table.
        as_: ``pandas``, ``polars``, ``arrow`` or ``lazy``; by default pandas where it is installed, else
            Arrow.
        columns: Only these columns.
        **options: For the reader of pandas, if a frame is asked for of one Parquet or CSV file: those of
            ``_PARQUET_OPTIONS`` and ``_CSV_OPTIONS``. Of CSV also, whatever is asked for, ``types``, ``encoding`` and
            ``delimiter``, as ``import_table`` takes them.

    Raises:
        UnsupportedTypeError: If the format is none of these, or the library can't hold a column.
        InvalidInputError: If the file is not of that format; kind ``bad-option`` for options that can't be used.
    """
    import pyarrow as pa

    if as_ is None:
        as_ = "pandas" if _has_pandas() else "arrow"
    if as_ not in ("pandas", "polars", "arrow", "lazy"):
        raise InvalidInputError(f"as_={as_!r} is not one of 'pandas', 'polars', 'arrow', 'lazy'", kind="bad-option")
    if format not in _FORMATS:
        raise UnsupportedTypeError(
            f"table format {format!r} can't be read", hint="it is one of " + ", ".join(_FORMATS), kind="bad-format"
        )
    csv: dict[str, object] = {name: options.pop(name) for name in ("types", "encoding", "delimiter") if name in options}
    if options:
        if as_ != "pandas" or format not in ("parquet", "csv", "tsv") or not path.is_file():
            raise InvalidInputError(
                f"option {next(iter(options))!r} is for one Parquet or CSV file that is read as a pandas frame",
                kind="bad-option",
                hint="leave it out, or ask for as_='pandas'",
                option=next(iter(options)),
            )
        return _by_pandas(path, format, columns, options | csv)
    try:
        if as_ == "lazy" and format in ("parquet", "arrow", "feather", "delta"):
            return _lazy(path, format, columns)
        table = _table(path, format, columns, csv)
    except LakefolioError:
        raise
    except (pa.ArrowException, ValueError, OSError, KeyError) as exc:
        raise InvalidInputError(
            f"{str(path)!r} can't be read as {format}: {brief(exc)}",
            kind="bad-table-file",
            hint="give format= when you register it",
            path=str(path),
        ) from exc
    if as_ == "arrow":
        return table
    if as_ == "pandas":
        return to_pandas(table)
    frame = to_polars(table)
    return frame.lazy() if as_ == "lazy" else frame


def _has_pandas() -> bool:
    if "pandas" in sys.modules:
        return True
    import importlib.util

    return importlib.util.find_spec("pandas") is not None


def _table(path: Path, format: str, columns: list[str] | None, csv: dict[str, Any]) -> Any:
    if format in ("csv", "tsv"):
        from lakefolio.items.table_import import open_csv

        if format == "tsv":
            csv.setdefault("delimiter", "\t")
        with open_csv(_files(path, format), **csv) as reader:
            table = reader.read_all()
        return table if columns is None else table.select(columns)
    if format == "parquet":
        import pyarrow.parquet as pq

        return pq.read_table(path, columns=columns, use_pandas_metadata=True)
    if format == "delta":
        return _lazy(path, format, columns).collect().to_arrow()
    import pyarrow.dataset as ds

    table = ds.dataset(path, format="ipc").to_table(columns=columns)
    table.validate(full=True)  # compiled code follows offsets without looking
    return table


def _files(path: Path, format: str) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(one for one in path.rglob("*") if one.is_file() and not one.name.startswith((".", "_")))
    of_format = [one for one in found if format_of(one.name) == format]
    return of_format or found


def _lazy(path: Path, format: str, columns: list[str] | None) -> Any:
    if format == "delta":
        lazy = need("polars", "a lazy frame").scan_delta(str(path))
    else:
        import pyarrow.dataset as ds

        lazy = lazy_frame(ds.dataset(path, format="parquet" if format == "parquet" else "ipc"))
    return lazy if columns is None else lazy.select(columns)


def _by_pandas(path: Path, format: str, columns: list[str] | None, options: dict[str, object]) -> object:
    import pandas as pd

    _check_options(format, options)
    given = dict(options)
    try:
        if format == "parquet":
            return pd.read_parquet(path, columns=columns, engine="pyarrow", **options)
        options.setdefault("sep", options.pop("delimiter", None) or ("\t" if format == "tsv" else ","))
        if "types" in options:
            options["dtype"] = options.pop("types")
        return pd.read_csv(path, usecols=columns, **options)
    except Exception as exc:  # pandas raises errors of any type for options that don't fit
        reason = brief(exc)
        blamed = next((name for name in given if name in reason), next(iter(given)))
        shown = ", ".join(f"{name}={one_line(repr(value), 40)}" for name, value in given.items())
        raise InvalidInputError(
            f"{str(path)!r} can't be read as {format} with {shown}: {reason}",
            kind="bad-option",
            hint=f"correct or leave out {blamed!r}",
            option=blamed,
            path=str(path),
        ) from exc


def _check_options(format: str, options: Mapping[str, object]) -> None:
    """Refuse options that a reader of pandas must not get."""
    known = _PARQUET_OPTIONS if format == "parquet" else _CSV_OPTIONS
    for name, value in options.items():
        if name not in known:
            raise InvalidInputError(
                f"a table in the format {format} is not read with the option {name!r}",
                kind="bad-option",
                hint=nearest(name, known),
                option=name,
            )
        if _runs(value):
            raise InvalidInputError(
                f"option {name!r} is or holds a function, which a reader is not given",
                kind="bad-option",
                hint="give plain values, and change the frame afterwards",
                option=name,
            )


def _runs(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_runs, value.values()))
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return isinstance(value, (list, tuple, set, frozenset)) and any(map(_runs, value))
    return callable(value) and not isinstance(value, type)
