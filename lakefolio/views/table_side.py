"""One of two tables that are compared, as a view of DuckDB that numbers its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakefolio.items import parquet
from lakefolio.views.relations import literal
from lakefolio.views.shared_rows import Range
from lakefolio.views.view_files import quoted

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["FLOATS", "TableSide", "is_number"]

FLOATS: Final = ("FLOAT", "DOUBLE", "DECIMAL")
_NUMBERS: Final = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
)
_NO_ORDER: Final = ("[", "(", "BLOB", "MAP", "STRUCT", "UNION")
_AT_ONCE: Final = 256
"""Columns whose statistics are taken in one scan: DuckDB plans a select of thousands of aggregates for minutes."""


def is_number(kind: str) -> bool:
    """Say whether a type of DuckDB is one of numbers."""
    return kind in _NUMBERS or (kind.startswith(FLOATS) and "[" not in kind)


class TableSide:
    """One of both tables.

    Attributes:
        name: ``old`` or ``new``; the view is called so.
        path: Its file, if it is one.
        types: Column -> DuckDB's name of its type.
        shown_types: Column -> Arrow's name of its type.
        number: The column of the view that holds the number of each row, from 0.
        count: How many rows it has.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, name: str, rows: Path | pa.Table) -> None:
        self.name = name
        self.path = rows if isinstance(rows, Path) else None
        self._connection = connection
        if not isinstance(rows, Path) and not rows.num_columns:  # DuckDB has no tables without columns
            self.types, self.shown_types, self.number, self.count = {}, {}, "number", rows.num_rows
            self._selected = f"range as number from range({self.count})"
            connection.execute(f"create view {name} as select {self._selected}")
            return
        if isinstance(rows, Path):
            source = f"read_parquet({literal(str(rows))}, hive_partitioning = false"
            schema = parquet.schemas_of(rows)[0]
        else:
            connection.from_arrow(rows).create_view(f"{name} rows")
            source, schema = quoted(f"{name} rows"), rows.schema
        end = ")" if isinstance(rows, Path) else ""
        self.types = {row[0]: row[1] for row in self.all(f"describe select * from {source}{end}")}
        self.shown_types = {field.name: str(field.type) for field in schema}
        self.number = "number"
        while self.number.lower() in {one.lower() for one in self.types}:
            self.number += "_"
        number = quoted(self.number)
        if isinstance(rows, Path) and "file_row_number" not in {one.lower() for one in self.types}:
            self._selected = (
                f"* exclude (file_row_number), file_row_number as {number} from {source}, file_row_number = true)"
            )
        else:
            self._selected = f"*, row_number() over () - 1 as {number} from {source}{end}"
        connection.execute(f"create view {name} as select {self._selected}")
        self.count = int(self.all(f"select count(*) from {source}{end}")[0][0])

    def all(self, sql: str) -> list[Any]:
        """Return the rows of a query."""
        return self._connection.execute(sql).fetchall()

    def rename(self, names: Mapping[str, str]) -> None:
        """Call columns by other names from now on: new name -> old name."""
        others = {before: after for after, before in names.items()}
        renamed = ", ".join(f"{quoted(before)} as {quoted(after)}" for before, after in others.items())
        self._connection.execute(
            f"create or replace view {self.name} as select * rename ({renamed}) from (select {self._selected})"
        )
        self.types = {others.get(one, one): kind for one, kind in self.types.items()}
        self.shown_types = {others.get(one, one): kind for one, kind in self.shown_types.items()}

    def only(self, ranges: Sequence[Range]) -> str:
        """Return a relation of the rows of some ranges; DuckDB reads no row group without any."""
        if list(ranges) == [(0, self.count)]:
            return self.name
        number = quoted(self.number)
        parts = [f"select * from {self.name} where {number} >= {start} and {number} < {stop}" for start, stop in ranges]
        return f"({' union all '.join(parts) or f'select * from {self.name} where false'})"

    def texts(self, numbers: Sequence[int], columns: Sequence[str]) -> dict[int, dict[str, str | None]]:
        """Return number -> column -> text of some rows."""
        if not numbers:
            return {}
        values = "".join(f", cast({quoted(one)} as varchar)" for one in columns)
        number = quoted(self.number)
        listed = ", ".join(map(str, numbers))
        rows = self.all(f"select {number}{values} from {self.name} where {number} in ({listed})")
        return {row[0]: dict(zip(columns, row[1:], strict=True)) for row in rows}

    def statistics(self, columns: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return column -> nulls, min, max and mean (without NaN), in as few scans as DuckDB can plan."""
        own = [one for one in columns if one in self.types]
        found: dict[str, dict[str, Any]] = {one: {} for one in own}
        for start in range(0, len(own), _AT_ONCE):
            asked, names = [], []
            for one in own[start : start + _AT_ONCE]:
                kind, column = self.types[one], quoted(one)
                asked.append(f"count(*) - count({column})")
                names.append((one, "nulls"))
                if kind.startswith("DECIMAL") or not any(sign in kind for sign in _NO_ORDER):
                    asked += [f"cast(min({column}) as varchar)", f"cast(max({column}) as varchar)"]
                    names += [(one, "min"), (one, "max")]
                if is_number(kind):
                    some = f" filter (where not isnan({column}))" if kind in ("FLOAT", "DOUBLE") else ""
                    asked.append(f"avg(cast({column} as double)){some}")
                    names.append((one, "mean"))
            (row,) = self.all(f"select {', '.join(asked)} from {self.name}")
            for (one, what), value in zip(names, row, strict=True):
                found[one][f"{self.name}_{what}"] = value
        return found
