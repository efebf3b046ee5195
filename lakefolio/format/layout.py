"""Every key of a lake, relative to its prefix, and the check that makes a key safe to use (FORMAT.md, "Layout").

Pure: no I/O. A key read from the bucket is never used before :func:`check_key` has passed it, so that a hand-edited
table can't point a reader outside its lake.
"""

from __future__ import annotations

import re
import uuid

from lakefolio.errors import IntegrityError
from lakefolio.process.places import LAKE_MARKER

__all__ = [
    "BLOBS",
    "JOURNAL",
    "LOG_TABLES",
    "MARKER",
    "PENDING",
    "README",
    "RECORDS",
    "SPECIFICATION",
    "TABLES",
    "VIEWS",
    "VIEWS_FILE",
    "blob_key",
    "check_digest",
    "check_key",
    "checkpoint_key",
    "checkpoint_name",
    "checkpoint_version",
    "data_file_path",
    "data_file_version",
    "log_key",
    "log_name",
    "log_prefix",
    "log_version",
    "pending_key",
    "pointer_key",
    "record_prefix",
    "table_prefix",
]

MARKER = LAKE_MARKER
README = "README.txt"
SPECIFICATION = "FORMAT.md"
VIEWS_FILE = "views.sql"
"""The relations of the lake for DuckDB alone."""
JOURNAL = "manifests"
TABLES = (JOURNAL,)
LOG_TABLES = ("metric_rows", "event_rows")
"""Tables that the first writer in need of them creates."""
BLOBS = "blobs/sha256"
PENDING = "pending"
VIEWS = "views"
RECORDS = "records"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LOG = re.compile(r"(?:.*/)?(\d{20})\.json")
_CHECKPOINT = re.compile(r"(?:.*/)?(\d{20})\.checkpoint\.parquet")
_DATA_FILE = re.compile(r"(\d{20})-[0-9a-f]{32}\.parquet")
_SEGMENT = re.compile(r"[A-Za-z0-9._=%-]+")


def check_digest(digest: str) -> str:
    """Return ``digest`` if it is written ``sha256:<64 hex digits>``.

    Raises:
        IntegrityError: For anything else; a digest becomes part of a key, so it is never taken on trust.
    """
    if not _DIGEST.fullmatch(digest):
        raise IntegrityError(
            f"digest {digest[:80]!r} is not of the form sha256:<64 hex digits>",
            kind="bad-digest",
            digest=digest,
        )
    return digest


def check_key(key: str, *, within: str) -> str:
    """Return ``key`` if it is a plain relative key below the prefix ``within``.

    Raises:
        IntegrityError: If it is absolute, climbs with ``..``, or holds unusual characters.
    """
    segments = key.split("/")
    plain = all(_SEGMENT.fullmatch(part) and part not in (".", "..") for part in segments)
    if not plain or not key.startswith(within.rstrip("/") + "/"):
        raise IntegrityError(
            f"key {key[:200]!r} does not lie below {within!r}",
            kind="bad-key",
            hint="the table that names it was edited by hand or is damaged; run `lakefolio check`",
            key=key,
        )
    return key


def blob_key(digest: str, generation: int = 0) -> str:
    """Return the key of a blob: ``blobs/sha256/ab/<hex>`` and, from the second generation on, ``.<generation>``."""
    hexadecimal = check_digest(digest).removeprefix("sha256:")
    suffix = f".{generation}" if generation else ""
    return f"{BLOBS}/{hexadecimal[:2]}/{hexadecimal}{suffix}"


def table_prefix(table: str) -> str:
    """Return the root of a Delta table of the lake."""
    return f"tables/{table}"


def log_prefix(table: str) -> str:
    """Return the folder of a table's Delta log."""
    return f"tables/{table}/_delta_log"


def log_key(table: str, version: int) -> str:
    """Return the key of the log entry that creates ``version``."""
    return f"{log_prefix(table)}/{log_name(version)}"


def log_name(version: int) -> str:
    """Return the file name of the log entry that creates ``version``."""
    return f"{version:020d}.json"


def checkpoint_name(version: int) -> str:
    """Return the file name of the checkpoint of ``version``."""
    return f"{version:020d}.checkpoint.parquet"


def checkpoint_key(table: str, version: int) -> str:
    """Return the key of the checkpoint of ``version``."""
    return f"{log_prefix(table)}/{checkpoint_name(version)}"


def pointer_key(table: str) -> str:
    """Return the key of the object that names the newest checkpoint."""
    return f"{log_prefix(table)}/_last_checkpoint"


def log_version(key: str) -> int | None:
    """Return the version that a log entry's key creates, or None for other files of the log."""
    match = _LOG.fullmatch(key)
    return int(match.group(1)) if match else None


def checkpoint_version(key: str) -> int | None:
    """Return the version that a checkpoint's key is of, or None for other files of the log."""
    match = _CHECKPOINT.fullmatch(key)
    return int(match.group(1)) if match else None


def data_file_path(version: int) -> str:
    """Return an unused path for a data file of a table, written for a log entry of a version or one after it."""
    return f"{version:020d}-{uuid.uuid4().hex}.parquet"


def data_file_version(path: str) -> int | None:
    """Return the version that a data file of a table was written for, or None for other file names."""
    match = _DATA_FILE.fullmatch(path)
    return int(match.group(1)) if match else None


def record_prefix(table_id: str) -> str:
    """Return the root of a record table, a Delta table of its own."""
    return f"{RECORDS}/{table_id}"


def pending_key(commit_id: str) -> str:
    """Return the key of a group-commit ticket."""
    return f"{PENDING}/{commit_id}"
