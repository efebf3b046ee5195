"""The files that describe a lake: its format marker, and texts for people and programs without lakefolio.

See FORMAT.md, "Marker" and "Versions".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lakefolio.errors import FormatError, LakeNotFoundError, StorageError
from lakefolio.format.layout import MARKER, SPECIFICATION
from lakefolio.format.names import is_id, new_id
from lakefolio.format.schema import FORMAT_VERSION

__all__ = ["Marker", "new_marker", "note_unsafe", "parse_marker", "read_marker", "readme_text", "specification"]


@dataclass(frozen=True, slots=True)
class Marker:
    """The content of ``lakefolio.json``.

    Attributes:
        lake_id: 32 hex digits, chosen at creation; a copy of the lake keeps it.
        format_version: The format it was created with.
        min_reader_version: The lowest format version a reader must know.
        min_writer_version: The lowest format version a writer must know.
        digest_algorithm: ``sha256``.
        created_at: ISO 8601, UTC.
    """

    lake_id: str
    format_version: int
    min_reader_version: int
    min_writer_version: int
    digest_algorithm: str
    created_at: str

    def to_json(self) -> bytes:
        """Return the file's bytes."""
        return (json.dumps({name: getattr(self, name) for name in self.__slots__}, indent=2) + "\n").encode()


def new_marker() -> Marker:
    """Make the marker of a new lake."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Marker(new_id(), FORMAT_VERSION, FORMAT_VERSION, FORMAT_VERSION, "sha256", now)


def parse_marker(body: bytes | memoryview, uri: str, *, writing: bool) -> Marker:
    """Read a marker.

    Raises:
        FormatError: If it is damaged, the lake needs a newer library for what is asked (kind ``format-too-new``), or is
            of a version that is not read any more (kind ``format-too-old``).
        StorageError: kind ``unsafe-store``, if doctor noted that the place must not be written to.
    """
    try:
        found = json.loads(bytes(body))
        if not isinstance(found, dict):
            raise ValueError("it is no object")
        if lacks := [name for name in Marker.__slots__ if name not in found]:
            raise ValueError(f"it lacks {lacks[0]!r}")
        marker = Marker(**{name: found[name] for name in Marker.__slots__})
        if not (isinstance(marker.lake_id, str) and is_id(marker.lake_id)):
            raise ValueError("its lake_id is no id")
        versions = (marker.format_version, marker.min_reader_version, marker.min_writer_version)
        if not all(isinstance(version, int) for version in versions):
            raise ValueError("its versions are no numbers")
    except (ValueError, RecursionError) as exc:
        raise FormatError(
            f"lakefolio.json of {uri} is damaged: {exc}",
            kind="marker-damaged",
            hint="restore this object from a copy of the lake; everything else may be well",
            uri=uri,
        ) from exc
    if marker.format_version < FORMAT_VERSION:
        raise FormatError(
            f"lake {uri} has format version {marker.format_version}, this library reads version {FORMAT_VERSION} on",
            kind="format-too-old",
            hint="export its items with the release of lakefolio that wrote it, and add them to a new lake",
            uri=uri,
            format_version=marker.format_version,
        )
    needed = marker.min_writer_version if writing else marker.min_reader_version
    if needed > FORMAT_VERSION:
        raise FormatError(
            f"lake {uri} has format version {marker.format_version} and needs {needed} to "
            f"{'write' if writing else 'read'}, this library knows up to {FORMAT_VERSION}",
            kind="format-too-new",
            hint="upgrade lakefolio" + (", or open it with read_only=True" if writing else ""),
            uri=uri,
            format_version=marker.format_version,
        )
    if marker.digest_algorithm != "sha256":
        raise FormatError(
            f"lake {uri} uses the digest {marker.digest_algorithm!r}, this library knows 'sha256'",
            kind="format-too-new",
            hint="upgrade lakefolio",
            uri=uri,
        )
    if writing and found.get("unsafe"):
        raise StorageError(
            f"{uri} must not be written to: doctor found that {str(found['unsafe'])[:200]}",
            kind="unsafe-store",
            hint="copy the lake to a safe place; where the store was mended, `lakefolio doctor` allows writing again",
            uri=uri,
        )
    return marker


def read_marker(body: bytes | memoryview | None, uri: str, *, writing: bool) -> Marker:
    """Read the marker of a lake that exists; raises like :func:`parse_marker`.

    Raises:
        LakeNotFoundError: If there is none.
    """
    if body is None:
        raise LakeNotFoundError(
            f"no lake at {uri}: it has no {MARKER}",
            hint="check the address, or create the lake: lakefolio init, or lf.open(…, create=True)",
            uri=uri,
        )
    return parse_marker(body, uri, writing=writing)


def note_unsafe(body: bytes, why: str | None) -> bytes:
    """Return a marker with, or without, the note that writers must refuse the place; a damaged one as it is."""
    try:
        found: dict[str, Any] = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if not isinstance(found, dict) or found.get("unsafe") == why:
        return body
    found.pop("unsafe", None)
    return (json.dumps(found | ({"unsafe": why} if why else {}), indent=2) + "\n").encode()


def readme_text(marker: Marker) -> bytes:
    """Return README.txt: how to read the lake without lakefolio."""
    return _README.format(marker=marker).encode()


def specification() -> bytes:
    """Return FORMAT.md: all that a second implementation needs."""
    return Path(__file__).resolve().parents[1].joinpath(SPECIFICATION).read_bytes()


_README = """\
This folder is a lake: versioned data, written by lakefolio (format version {marker.format_version}).
Created {marker.created_at}, lake id {marker.lake_id}. Nothing else is needed to read it but a Delta reader.

  lakefolio.json      what wrote this, in which format
  FORMAT.md           the specification of all that follows
  views.sql           the relations of this lake for DuckDB: items, entries, lineage, runs, metrics and more
  tables/manifests/   Delta table, the journal: one row per change, never changed, only appended
  tables/entries/ and others   the same facts sorted for questions, made of the journal; may be missing, or lag behind
  tables/metric_rows/, tables/event_rows/   Delta tables, once something was logged: points of runs, and events
  blobs/sha256/       the contents; a file is named by the SHA-256 of its bytes: sha256sum verifies it
  records/<id>/       Delta tables of appended rows; the content of their item says the id under "table"
  pending/            commits on their way; empty when nobody writes

What is there now, in DuckDB (Polars, Spark, Trino and others read Delta as well):

  INSTALL delta; LOAD delta;
  SELECT * EXCLUDE (n) FROM (
    SELECT *, row_number() OVER (PARTITION BY folio, item ORDER BY version DESC, ordinal DESC) AS n
    FROM delta_scan('tables/manifests') WHERE op IN ('put', 'delete')
  ) WHERE n = 1 AND op = 'put';

What was there at version 17: add "AND version <= 17" beside op. A row says where its content is:

  storage 'inline'     in the column content
  storage 'blob'       blobs/sha256/<first two hex digits>/<blob_digest without 'sha256:'>
                       (with '.<generation>' behind it if generation is above 0)
  storage 'reference'  at the address in the column uri

and what it is: column format ('parquet', 'npy', 'json', 'tar', 'safetensors', ...). The column inputs says what
it was made from, facts what is noted of it. Rows of metric_rows and event_rows count only if a row of manifests
with op 'metrics' or 'events' has their batch_id as its entry_id.

Don't edit, move or delete anything here by hand, and never let a lifecycle rule expire objects.
With lakefolio: pip install lakefolio; lakefolio --lake <this folder> ls
"""
