"""Some columns of a whole Delta table, part by part, for callers that read every row in bounded memory."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from lakefolio.delta.actions import DataFile
from lakefolio.delta.parquet_rows import fitted
from lakefolio.errors import NotFoundError, brief

if TYPE_CHECKING:
    from lakefolio.delta.table import DeltaTable

__all__ = ["scan"]

_PART_BYTES = 32 << 20
_PART_ROWS = 200_000


def scan(table: DeltaTable, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield some columns of all rows of a table at its handle's version, in no order; memory holds one part.

    Files are verified like files that are read whole. A large file goes through a temporary file.

    Raises:
        IntegrityError: If a data file is missing or damaged.
    """
    schema = pa.schema([table.schema.field(name) for name in columns])
    copies: list[pa.Table] = []
    small: list[DataFile] = []
    size_bytes = 0
    for file in table.files.listed:
        if file.rows is not None and not set(columns) & set(file.lacks):
            copies.append(file.rows.select(columns))
        elif file.size_bytes > _PART_BYTES:
            yield from _large(table, file, schema)
        else:
            small.append(file)
            size_bytes += file.size_bytes
            if size_bytes > _PART_BYTES:
                yield table.objects.read(small, schema)
                small, size_bytes = [], 0
    if small:
        yield table.objects.read(small, schema)
    if copies:
        yield pa.concat_tables(copies)


def _large(table: DeltaTable, file: DataFile, schema: pa.Schema) -> Iterator[pa.Table]:
    import pyarrow.parquet as pq

    key = table.objects.key_of(file)
    with tempfile.TemporaryDirectory(prefix="lakefolio-") as folder:
        path = Path(folder) / "rows"
        hasher = hashlib.sha256()
        try:
            found_bytes = table.store.fetch_to(key, path, on_chunk=hasher.update)
        except NotFoundError:
            raise table.objects.damaged(key, "is missing") from None
        if found_bytes != file.size_bytes or (file.seal and table.seals.of(file.path, hasher.hexdigest()) != file.seal):
            raise table.objects.damaged(key, "is not what was written")
        try:
            with pq.ParquetFile(path) as opened:
                known = set(opened.schema_arrow.names)
                names = [name for name in schema.names if name in known]
                for batch in opened.iter_batches(_PART_ROWS, columns=names, use_threads=False):
                    yield fitted(pa.Table.from_batches([batch]), schema)
        except (pa.ArrowException, KeyError, ValueError, OSError) as exc:
            raise table.objects.damaged(key, f"is truncated or damaged: {brief(exc)}") from exc
