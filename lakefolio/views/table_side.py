"""One of two tables that are compared, as a view of DuckDB that numbers its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakefolio.format.sql_text import sql_id, sql_text
from lakefolio.views.arrow_relation import relation_of
from lakefolio.views.shared_rows import Range

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["NANOSECONDS", "TableSide", "comparable"]

_FLOATS: Final = ("FLOAT", "DOUBLE")
NANOSECONDS: Final = {
    "duration[s]": 1_000_000_000,
    "duration[ms]": 1_000_000,
    "duration[us]": 1_000,
    "duration[ns]": 1,
}
"""Of each span of time that DuckDB takes for a whole number."""
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


def _is_number(kind: str) -> bool:
    """Say whether a type of DuckDB is one of numbers."""
    return kind in _NUMBERS or kind in _FLOATS or (kind.startswith("DECIMAL") and "[" not in kind)


def comparable(name: str, types: tuple[str, str], other: tuple[str, str]) -> str:
    """Return SQL for a column's values that equal those of the other table's column if they are the same.

    Args:
        name: The column in SQL.
        types: DuckDB's and Arrow's names of its type.
        other: The same of the other column.
    """
    if types[1] != other[1] and types[1] in NANOSECONDS and other[1] in NANOSECONDS:
        return f"cast({name} as hugeint) * {NANOSECONDS[types[1]]}"
    kind, kinds = types[0], (types[0], other[0])
    if kind == other[0]:
        return name
    text = f"cast({name} as varchar)"
    if not all(map(_is_number, kinds)):
        return text
    is_decimal = kind.startswith("DECIMAL")
    if any(one in _FLOATS for one in kinds):
        number = f"cast({name} as double)"
        back = f"try_cast(cast({number} as varchar) as {kind})" if is_decimal else f"try_cast({number} as hugeint)"
        rest = "''" if kind in _FLOATS else f"case when {back} = {name} then '' else {text} end"
        return f"case when {name} is not null then struct_pack(number := {number}, rest := {rest}) end"
    if any(one.startswith("DECIMAL") for one in kinds):
        return f"rtrim(rtrim({text}, '0'), '.')" if is_decimal and not kind.endswith(",0)") else text
    return f"cast({name} as hugeint)"


def _shown(name: str, kind: str | None) -> str:
    """Return SQL for the text of a column's values; ``kind`` is the type of Arrow of spans that are numbers here."""
    if kind is None:
        return f"cast({name} as varchar)"
    micros = f"try_cast(cast({name} as hugeint) * {NANOSECONDS[kind]} // 1000 as bigint)"  # of some, too many
    text = f"coalesce(cast(to_microseconds({micros}) as varchar), {name} || ' {kind[9:-1]}')"
    rest = f" || case when {name} % 1000 = 0 then '' else ' and ' || {name} % 1000 || ' ns' end"
    return text + rest if kind == "duration[ns]" else text


class TableSide:
    """One of both tables.

    Attributes:
        name: ``old`` or ``new``; the view is called so.
        path: Its file, if it is one.
        types: Column -> DuckDB's name of its type.
        shown_types: Column -> Arrow's name of its own type.
        texts: Columns that are texts here alone: their least and greatest are not those of their own type.
        number: The column of the view that holds the number of each row, from 0.
        count: How many rows it has.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        name: str,
        rows: Path | pa.Table,
        shown_types: Mapping[str, str],
        texts: frozenset[str] = frozenset(),
    ) -> None:
        self.name = name
        self.shown_types = dict(shown_types)
        self.texts = texts
        self.path = rows if isinstance(rows, Path) else None
        self._connection = connection
        if not isinstance(rows, Path) and not rows.num_columns:  # DuckDB has no tables without columns
            self.types, self.number, self.count = {}, "number", rows.num_rows
            self._selected = f"range as number from range({self.count})"
            connection.execute(f"create view {name} as select {self._selected}")
            return
        if isinstance(rows, Path):
            source = f"read_parquet({sql_text(str(rows))}, hive_partitioning = false"
        else:
            relation_of(connection, rows).create_view(f"{name} rows")
            source = sql_id(f"{name} rows")
        end = ")" if isinstance(rows, Path) else ""
        self.types = {row[0]: row[1] for row in self.all(f"describe select * from {source}{end}")}
        self.number = "number"
        while self.number.lower() in {one.lower() for one in self.types}:
            self.number += "_"
        number = sql_id(self.number)
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
        renamed = ", ".join(f"{sql_id(before)} as {sql_id(after)}" for before, after in others.items())
        self._connection.execute(
            f"create or replace view {self.name} as select * rename ({renamed}) from (select {self._selected})"
        )
        self.types = {others.get(one, one): kind for one, kind in self.types.items()}
        self.shown_types = {others.get(one, one): kind for one, kind in self.shown_types.items()}
        self.texts = frozenset(others.get(one, one) for one in self.texts)

    def only(self, ranges: Sequence[Range]) -> str:
        """Return a relation of the rows of some ranges; DuckDB reads no row group without any."""
        if list(ranges) == [(0, self.count)]:
            return self.name
        number = sql_id(self.number)
        parts = [f"select * from {self.name} where {number} >= {start} and {number} < {stop}" for start, stop in ranges]
        return f"({' union all '.join(parts) or f'select * from {self.name} where false'})"

    def rows(self, numbers: Sequence[int], wide: frozenset[str]) -> dict[int, dict[str, str | None]]:
        """Return number -> column -> text of some rows; floats that are ``wide`` with all digits of a double."""
        if not numbers:
            return {}
        columns = list(self.types)
        values = "".join(
            f", {_shown(f'cast({sql_id(one)} as double)' if one in wide else sql_id(one), self._kind(one))}"
            for one in columns
        )
        number = sql_id(self.number)
        listed = ", ".join(map(str, numbers))
        rows = self.all(f"select {number}{values} from {self.name} where {number} in ({listed})")
        return {row[0]: dict(zip(columns, row[1:], strict=True)) for row in rows}

    def _kind(self, column: str) -> str | None:
        """Return Arrow's type of a span of time that is a number here; those of Arrow tables are intervals."""
        kind = self.shown_types.get(column)
        return kind if kind in NANOSECONDS and self.types[column] == "BIGINT" else None

    def statistics(self, columns: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return column -> nulls, min, max and mean (without NaN), in as few scans as DuckDB can plan."""
        own = [one for one in columns if one in self.types]
        found: dict[str, dict[str, Any]] = {one: {} for one in own}
        for start in range(0, len(own), _AT_ONCE):
            asked, names = [], []
            for one in own[start : start + _AT_ONCE]:
                kind, column = self.types[one], sql_id(one)
                asked.append(f"count(*) - count({column})")
                names.append((one, "nulls"))
                is_ordered = kind.startswith("DECIMAL") or not any(sign in kind for sign in _NO_ORDER)
                if is_ordered and one not in self.texts:
                    asked += [_shown(f"{what}({column})", self._kind(one)) for what in ("min", "max")]
                    names += [(one, "min"), (one, "max")]
                if _is_number(kind) and self._kind(one) is None:
                    some = f" filter (where not isnan({column}))" if kind in ("FLOAT", "DOUBLE") else ""
                    asked.append(f"avg(cast({column} as double)){some}")
                    names.append((one, "mean"))
            (row,) = self.all(f"select {', '.join(asked)} from {self.name}")
            for (one, what), value in zip(names, row, strict=True):
                found[one][f"{self.name}_{what}"] = value
        return found
