"""Two tables as DuckDB reads them without loss, to be compared.

DuckDB cuts off nanoseconds of times of a day and of times with a zone, makes floats of decimals of more than 38 digits,
and takes names that differ in case only for one. Columns of these are compared as texts, and under names of their own:
only tables that have such are copied, batch by batch, and shown by their own names and types again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lakefolio.format.parquet_columns import bounded_columns, leaves
from lakefolio.items import parquet
from lakefolio.items.arrow_nested import with_children

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PlainTables", "plain_tables"]


@dataclass(frozen=True, slots=True)
class PlainTables:
    """Two tables for DuckDB.

    Attributes:
        old: The one table, a Parquet file or an Arrow table.
        new: The other.
        aliases: Name of a column -> what it is called here.
        shown_types: For each table, column as called here -> Arrow's name of its own type.
        texts: The columns, as called here, that are texts here.
    """

    old: Path | pa.Table
    new: Path | pa.Table
    aliases: Mapping[str, str]
    shown_types: tuple[Mapping[str, str], Mapping[str, str]]
    texts: frozenset[str]


@contextmanager
def plain_tables(old: Path | pa.Table, new: Path | pa.Table) -> Iterator[PlainTables]:
    """Give both tables as DuckDB reads them without loss, while the block runs."""
    sides = (old, new)
    schemas = [parquet.schemas_of(one)[0] if isinstance(one, Path) else one.schema for one in sides]
    aliases = _aliases([set(one.names) for one in schemas])
    common = [name for name in schemas[0].names if name in schemas[1].names]
    texts = {name for one in sides for name in _cut_columns(one, common)}
    types = [{aliases.get(field.name, field.name): str(field.type) for field in schema} for schema in schemas]
    shown = (types[0], types[1])
    if not texts and not aliases:
        yield PlainTables(old, new, {}, shown, frozenset())
        return
    with tempfile.TemporaryDirectory(prefix="lakefolio-") as folder:
        plain = [
            _copy(one, texts, aliases, Path(folder) / f"{place}.parquet")
            if isinstance(one, Path)
            else _plain(one, texts, aliases)
            for place, one in enumerate(sides)
        ]
        called = frozenset(aliases.get(one, one) for one in texts)
        yield PlainTables(plain[0], plain[1], aliases, shown, called)


def _aliases(names: list[set[str]]) -> dict[str, str]:
    """Return other names for columns of which one table has several that differ in case only."""
    folded = [[name.casefold() for name in side] for side in names]
    taken = {one for side in folded for one in side}
    found: dict[str, str] = {}
    for name in sorted(names[0] | names[1]):
        if any(side.count(name.casefold()) > 1 for side in folded):
            number = 1
            while (alias := f"{name} ({number})").casefold() in taken:
                number += 1
            taken.add(alias.casefold())
            found[name] = alias
    return found


def _cut_columns(rows: Path | pa.Table, names: Sequence[str]) -> list[str]:
    """Return those of some columns of a table of which DuckDB would lose a part."""
    import pyarrow.parquet as pq

    schema = pq.read_schema(rows) if isinstance(rows, Path) else rows.schema
    return [name for name in names if _loses(name, schema.field(name).type, rows)]


def _loses(name: str, kind: pa.DataType, rows: Path | pa.Table) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if any(pa.types.is_decimal256(leaf) for _, leaf in leaves(kind, name)):
        return True
    if not any(_has_nanoseconds(leaf) for _, leaf in leaves(kind, name)):
        return False
    if not _has_nanoseconds(kind):
        return True  # nested: not looked into
    if isinstance(rows, Path):
        with pq.ParquetFile(rows) as file:
            batches: Iterator[pa.Array] = (one.column(name) for one in file.iter_batches(columns=[name]))
            return any(_has_parts(one) for one in batches)
    return any(map(_has_parts, rows.column(name).chunks))


def _has_nanoseconds(kind: pa.DataType) -> bool:
    import pyarrow as pa

    is_zoned = pa.types.is_timestamp(kind) and kind.tz is not None
    return bool(is_zoned or pa.types.is_time64(kind)) and kind.unit == "ns"


def _has_parts(values: pa.Array) -> bool:
    """Say whether a time has a part of a microsecond."""
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = values.cast(pa.int64())
    return bool(pc.any(pc.not_equal(pc.multiply(pc.divide(numbers, 1000), 1000), numbers)).as_py())


def _plain(rows: pa.Table, texts: set[str], aliases: Mapping[str, str]) -> pa.Table:
    import pyarrow as pa

    columns = []
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        if name in texts:
            try:
                column = column.cast(_changed(column.type, finest=True))
            except pa.ArrowInvalid:  # too far away for nanoseconds
                column = column.cast(_changed(column.type, zone="UTC"))
            column = column.cast(_changed(column.type))
        columns.append(column)
    return pa.table(columns, names=[aliases.get(name, name) for name in rows.column_names])


def _changed(kind: pa.DataType, *, finest: bool = False, zone: str | None = None) -> pa.DataType:
    """Return a type with other leaves: texts; or ``finest`` times; or times of a ``zone``."""
    import pyarrow as pa

    def below(one: pa.DataType) -> pa.DataType:
        return _changed(one, finest=finest, zone=zone)

    if pa.types.is_timestamp(kind):
        unit = "ns" if finest else kind.unit
        return pa.timestamp(unit, kind.tz and "UTC") if finest or zone else pa.string()
    if pa.types.is_time(kind):
        return pa.time64("ns") if finest else kind if zone else pa.string()
    if pa.types.is_decimal(kind):
        return kind if finest or zone else pa.string()
    if pa.types.is_dictionary(kind):
        return below(kind.value_type)
    return with_children(kind, below)


def _copy(source: Path, texts: set[str], aliases: Mapping[str, str], target: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(source) as file:
        schema = _plain(file.schema_arrow.empty_table(), texts, aliases).schema
        with pq.ParquetWriter(target, schema, write_statistics=bounded_columns(schema)) as writer:
            for batch in file.iter_batches():
                writer.write_table(_plain(pa.table(batch), texts, aliases).cast(schema))
    return target
