"""The rows of all data files of a table, verified, part by part, for SQL to read each once.

A file that was sealed and has the table's columns as they should be is decoded by DuckDB; of any other Arrow says what
is wrong with it, or how it is read. Memory is that of one file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from lakefolio.format.arrow_rows import VERSIONS_END
from lakefolio.format.layout import table_prefix
from lakefolio.format.sql_text import sql_id
from lakefolio.views.workbench import UnreadableRowsError, Workbench

if TYPE_CHECKING:
    from lakefolio.delta.actions import DataFile
    from lakefolio.delta.table import DeltaTable

__all__ = ["LOOKS", "each_part"]

LOOKS: Final = 20
"""How often files may be replaced and deleted while they are read."""

_SMALL_BYTES: Final = 128 << 10
_TOGETHER: Final = 1_000
_TOGETHER_BYTES: Final = 8 << 20


def each_part(table: DeltaTable, bench: Workbench, take: Callable[[str], None]) -> None:
    """Read all data files that a table's handle knows, and hand out their rows.

    Args:
        table: The table; its log has been read.
        bench: Where SQL is run.
        take: Given what stands for the rows of some files (see ``Workbench.part``). What it inserts is taken back, and
            it is called again, if the rows turn out to be unreadable.

    Raises:
        IntegrityError: If a data file is missing or damaged, or differs from the copy of its rows in the log.
    """
    for some in _portions(table.files.listed):
        if not (len(some) == 1 and _take_file(table, some[0], bench, take)):
            with bench.copied(table.objects.compared(some)) as rows, bench.all_or_nothing():
                try:
                    take(rows)
                except UnreadableRowsError as exc:
                    raise table.objects.damaged(
                        f"{table_prefix(table.name)}/{some[0].path}", f"can't be read: {exc}"
                    ) from exc


def _portions(files: Sequence[DataFile]) -> Iterator[list[DataFile]]:
    """Yield the files: each large one by itself, the others some at once."""
    some: list[DataFile] = []
    size_bytes = 0
    for file in files:
        if file.size_bytes > _SMALL_BYTES:
            yield [file]
            continue
        some.append(file)
        size_bytes += file.size_bytes
        if len(some) >= _TOGETHER or size_bytes >= _TOGETHER_BYTES:
            yield some
            some, size_bytes = [], 0
    if some:
        yield some


def _take_file(table: DeltaTable, file: DataFile, bench: Workbench, take: Callable[[str], None]) -> bool:
    """Hand out the rows of a file as it lies; False, with nothing handed out, if Arrow has to look at it."""
    if file.rows is not None or file.size_bytes <= _SMALL_BYTES:
        return False
    body = table.objects.body_of(file)
    if body is None or not _has_columns(body, table.schema):
        return False
    try:
        place = table.objects.place_of(file)
        with bench.part(body if place is None else place) as rows:
            del body
            if not _fits(file, table.schema, bench, rows):
                return False
            with bench.all_or_nothing():
                take(rows)
    except UnreadableRowsError:
        return False
    return True


def _has_columns(body: bytes, schema: pa.Schema) -> bool:
    """Say whether a Parquet file has all columns of a table, in its types."""
    import pyarrow.parquet as pq

    try:
        found = pq.read_schema(pa.BufferReader(body))
    except (pa.ArrowException, OSError, ValueError):
        return False
    return found.names == schema.names and all(
        _bare(one.type) == _bare(other.type) for one, other in zip(found, schema, strict=True)
    )


def _bare(kind: pa.DataType) -> object:
    """Return a type without what does not change its values: the name of a list's items, what may be null."""
    if pa.types.is_list(kind):
        return ("list", _bare(kind.value_type))
    if pa.types.is_struct(kind):
        return ("struct", *((field.name, _bare(field.type)) for field in kind))
    return kind


def _fits(file: DataFile, schema: pa.Schema, bench: Workbench, rows: str) -> bool:
    """Say whether rows are as many as the log says, of its versions, and such as a table may have (``check_rows``)."""
    right = [f"count(*) = {file.row_count}"]
    right += [f"count({sql_id(field.name)}) = count(*)" for field in schema if not field.nullable]
    for field in schema:
        if pa.types.is_timestamp(field.type):
            name = sql_id(field.name)
            right.append(f"coalesce(min({name}) >= '0001-01-01' and max({name}) < '10000-01-01', true)")
    if "version" in schema.names:
        first, last = (0, VERSIONS_END - 1) if file.versions is None else file.versions
        bounds = ("=", "=") if file.versions is not None else (">=", "<=")
        right.append(f"coalesce(min(version) {bounds[0]} {first} and max(version) {bounds[1]} {last}, true)")
    return bool(bench.run(f"select {' and '.join(right)} from {rows}")[0][0])
