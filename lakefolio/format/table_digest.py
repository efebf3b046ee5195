"""The digest of the logical content of a table: ``lakefolio-table-1`` (FORMAT.md, "Digests"; pure: no I/O).

It identifies the rows that a reader gets, not how they lie in memory or on disk: chunks, offsets of slices, bytes under
a null, Parquet encodings and row groups don't change it.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lakefolio.errors import InvalidInputError
from lakefolio.format.column_digest import column_digest
from lakefolio.format.digest import sha256_of_bytes
from lakefolio.process.workers import Workers

if TYPE_CHECKING:
    from lakefolio.format.column_digest import ColumnDigest

__all__ = ["TableDigest", "table_digest"]

_PARALLEL_BYTES: Final = 1 << 20  # below this, starting threads costs more than it saves


def table_digest(table: pa.Table, *, threads: int = 2) -> str:
    """Return the logical digest of a table in memory."""
    digest = TableDigest(table.schema, threads=threads)
    digest.update(table)
    return digest.digest()


class TableDigest:
    """The logical digest of a table that comes in batches.

    Holds no rows: memory is bounded by one batch and the dictionaries. Not safe to call from several threads.
    """

    def __init__(self, schema: pa.Schema, *, threads: int = 2) -> None:
        """Start with no rows.

        Args:
            schema: The schema of every batch to come.
            threads: How many columns to hash at the same time.
        """
        self._schema = schema
        self._threads = threads
        self._columns = [column_digest(field.type, field.name) for field in schema]
        self.row_count = 0

    def update(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Add rows after those given before.

        Raises:
            InvalidInputError: If the columns or types differ from the schema's.
        """
        if rows.schema.names != self._schema.names or rows.schema.types != self._schema.types:
            raise InvalidInputError(
                f"a batch has the columns {_columns_text(rows.schema)}, "
                f"the table before it {_columns_text(self._schema)}",
                kind="schema-changed",
            )
        self.row_count += rows.num_rows
        jobs = list(zip(self._columns, rows.columns, strict=True))
        if self._threads > 1 and len(jobs) > 1 and rows.nbytes >= _PARALLEL_BYTES:
            with Workers(self._threads, "lakefolio-digest") as workers:
                workers.map(_feed, jobs)
        else:
            for job in jobs:
                _feed(job)

    def dictionaries(self) -> dict[str, pa.Array]:
        """Return the values of every dictionary so far by place: positions from the table down, ``"3"``, ``"3.0.1"``.

        A struct's fields are 0, 1, …; the items of a list are 0; the entries of a map are 0, in them the key is 0 and
        the value is 1.
        """
        found: dict[str, pa.Array] = {}
        for position, column in enumerate(self._columns):
            column.dictionaries(found, str(position))
        return found

    def digest(self) -> str:
        """Return the digest of the rows so far."""
        document = {
            "columns": [column.digest().hex() for column in self._columns],
            "format": "lakefolio-table-1",
            "rows": self.row_count,
            "schema": {
                "fields": [_field_spec(field) for field in self._schema],
                "metadata": _metadata_spec(self._schema.metadata),
            },
        }
        return sha256_of_bytes(_canonical_json(document).encode())


def _columns_text(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema)[:300]


def _feed(job: tuple[ColumnDigest, pa.Array | pa.ChunkedArray]) -> None:
    column, values = job
    for chunk in values.chunks if isinstance(values, pa.ChunkedArray) else (values,):
        column.update(chunk)


def _canonical_json(document: object) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _metadata_spec(metadata: dict[bytes, bytes] | None) -> list[list[str]]:
    found = []
    for key, value in sorted((metadata or {}).items()):
        found.append([_text(key), _text(_without_versions(value) if key == b"pandas" else value)])
    return found


def _without_versions(value: bytes) -> bytes:
    try:
        document = json.loads(value)
        for key in ("pandas_version", "creator"):
            document.pop(key, None)
    except (ValueError, AttributeError):
        return value
    return _canonical_json(document).encode()


def _field_spec(field: pa.Field, *, named: bool = True) -> dict[str, Any]:
    spec = {
        "metadata": _metadata_spec(field.metadata),
        "nullable": field.nullable,
        "type": _type_spec(field.type),
    }
    return {**spec, "name": field.name} if named else spec


def _type_spec(kind: pa.DataType) -> object:
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        parameters = _text(kind.__arrow_ext_serialize__()) if isinstance(kind, pa.ExtensionType) else str(kind)
        return ["extension", kind.extension_name, parameters, _type_spec(kind.storage_type)]
    if types.is_map(kind):
        fields = (_field_spec(field, named=False) for field in (kind.key_field, kind.item_field))
        return ["map", kind.keys_sorted, *fields]
    if types.is_fixed_size_list(kind):
        return ["fixed_size_list", kind.list_size, _field_spec(kind.value_field, named=False)]
    for name in ("list", "large_list", "list_view", "large_list_view"):
        if getattr(types, f"is_{name}")(kind):
            return [name, _field_spec(kind.value_field, named=False)]
    if types.is_struct(kind):
        return ["struct", [_field_spec(field) for field in kind]]
    if types.is_dictionary(kind):
        return ["dictionary", _type_spec(kind.index_type), _type_spec(kind.value_type), kind.ordered]
    return str(kind)
