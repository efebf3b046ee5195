"""The formats of table files, and the file endings that name them."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

__all__ = [
    "COMPRESSIONS",
    "ENDINGS",
    "READABLE",
    "RECORDS",
    "SCANNED",
    "TABULAR",
    "WITH_NAMES",
    "WRITABLE",
    "compression_of",
    "ending_of_compressed",
    "format_of",
    "stem_of",
]

RECORDS: Final = "records"
"""The kind of record tables."""
TABULAR: Final = ("table", RECORDS)
"""The kinds whose content is rows."""
SCANNED: Final = ("parquet", "csv", "tsv", "feather", "arrow")
"""The formats of tables that are referred to where they lie."""
WRITABLE: Final = (
    *("parquet", "csv", "tsv", "json", "ndjson", "feather", "arrow"),
    *("excel", "hdf5", "sqlite", "duckdb"),
)
"""The formats that a table is written in."""
READABLE: Final = WRITABLE
"""The formats that a table is read from."""
ENDINGS: Final = {"excel": "xlsx", "hdf5": "h5"}
"""Format -> the ending of its files, where it is another word."""
WITH_NAMES: Final = ("excel", "hdf5", "sqlite", "duckdb")
"""The formats of files that hold several tables, each under a name."""
COMPRESSIONS: Final = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
"""The compressions of CSV and TSV files, by the ending that follows theirs."""
_STARTS: Final = {b"\x1f\x8b": ".gz", b"BZh": ".bz2", b"\x28\xb5\x2f\xfd": ".zst"}
"""How files of those compressions begin."""
_ENDINGS: Final = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".feather": "feather",
    ".arrow": "arrow",
    ".ipc": "arrow",
    ".json": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".hdf": "hdf5",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
    ".db": "sqlite",
    ".duckdb": "duckdb",
}
_COMPRESSIBLE: Final = ("csv", "tsv", "json", "ndjson")


def format_of(name: str) -> str | None:
    """Return the format that a file name ends with (``"csv"`` for ``x.csv.gz``), or None if it is not known."""
    path = PurePath(name.lower())
    if path.suffix in COMPRESSIONS:
        found = _ENDINGS.get(PurePath(path.stem).suffix)
        return found if found in _COMPRESSIBLE else None
    return _ENDINGS.get(path.suffix)


def compression_of(name: str) -> str | None:
    """Return the compression that a file name ends with, or None."""
    return COMPRESSIONS.get(PurePath(name.lower()).suffix)


def ending_of_compressed(start: bytes) -> str | None:
    """Return the ending for a file that begins with these bytes, or None if it is not compressed."""
    return next((ending for known, ending in _STARTS.items() if start.startswith(known)), None)


def stem_of(name: str) -> str:
    """Return a file name without the ending that says its format."""
    path = PurePath(name)
    return PurePath(path.stem).stem if compression_of(name) and format_of(name) else path.stem
