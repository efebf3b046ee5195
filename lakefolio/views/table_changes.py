"""Differences between two tables, by DuckDB over their files: by key, or by position.

By key, rows are matched on the columns of the key (null is a value like others), and a row that is in both tables is
changed if the hash of its other columns is another: only the key, a hash of 64 bits and the number of a row are held,
so that the tables may be much larger than memory. That two rows differ and have one hash is as likely as one in 2^64
for each row that changed; no answer about content that somebody made to deceive should rest on it: compare digests. Of
the rows that changed, columns are compared value by value. By position, everything is.

A key that several rows of a table have is refused if the other table has it too; else they are all added or removed.

NaN equals NaN, null equals null. Columns are matched by name. Of a column whose type is another, numbers are compared
as numbers and everything else as text. Memory is bounded by ``MEMORY_BYTES``; larger joins spill to disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import InvalidInputError, nearest
from lakefolio.views.binding import open_tables
from lakefolio.views.relations import literal
from lakefolio.views.sql_guard import first_line
from lakefolio.views.view_files import quoted

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["ColumnChange", "RowChange", "TableChanges", "table_changes"]

MEMORY_BYTES: Final = 600 << 20
_NARROW: Final = 1_000_000
"""Up to so many changed rows are looked up by their numbers; of more the tables are joined once more."""
_FLOATS: Final = ("FLOAT", "DOUBLE", "DECIMAL")
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


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """How a column differs.

    Attributes:
        change: ``added``, ``removed``, ``changed`` (its values, maybe its type too), or nothing.
        old_type: DuckDB's name of the type; None of an added column.
        new_type: The same of the new table; None of a removed one.
        changed_count: Rows that are in both tables and whose values differ.
        statistics: Of a column that differs: ``old_nulls``, ``new_nulls`` (counts), ``old_min``, ``new_min``,
            ``old_max``, ``new_max`` (texts), ``old_mean``, ``new_mean`` (of numbers), as far as they exist.
    """

    name: str
    change: str
    old_type: str | None
    new_type: str | None
    changed_count: int = 0
    statistics: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RowChange:
    """How a row differs.

    Attributes:
        change: ``added``, ``removed`` or ``changed``.
        where: Its key as column -> text, or ``row`` -> its number from 0.
        old: Column -> text of its value: the whole row if it was removed, of a changed one the columns that differ.
        new: The same of the new table.
    """

    change: str
    where: dict[str, str | None]
    old: dict[str, str | None]
    new: dict[str, str | None]


@dataclass(frozen=True, slots=True)
class TableChanges:
    """How two tables differ; see the module.

    Attributes:
        key: The columns that rows were matched by; none for their position.
        columns: All columns of both tables, in the order of the new one, then the removed ones.
        examples: The first rows that were added, removed and changed, as many of each as asked for.
    """

    key: tuple[str, ...]
    old_rows: int
    new_rows: int
    added: int
    removed: int
    changed: int
    columns: tuple[ColumnChange, ...]
    examples: tuple[RowChange, ...]


def table_changes(old: Path | pa.Table, new: Path | pa.Table, key: Sequence[str], limit: int) -> TableChanges:
    """Compare two tables, each the verified local Parquet file or an Arrow table.

    Args:
        old: The one table.
        new: The other.
        key: Columns of both that identify a row; none to compare by position.
        limit: How many examples of each change there are at most.

    Raises:
        InvalidInputError: kind ``unknown-column``: a column of the key is not in both; ``duplicate-key``: several rows
            of a table have a key that is in both, an example is named; ``bad-comparison``: DuckDB can't compare the
            values.
    """
    import duckdb

    connection = open_tables({}, (), memory_bytes=MEMORY_BYTES)
    try:
        return _Comparison(connection, _Side(connection, "old", old), _Side(connection, "new", new), key).run(limit)
    except duckdb.Error as exc:
        raise InvalidInputError(
            f"the tables can't be compared: {first_line(exc)}",
            kind="bad-comparison",
            hint="a key of other columns, or none, may do",
        ) from exc
    finally:
        connection.close()


class _Side:
    """One of both tables, as a view with the number of each row as its last column."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, name: str, rows: Path | pa.Table) -> None:
        self.name = name
        self._connection = connection
        if isinstance(rows, Path):
            source = f"read_parquet({literal(str(rows))}, hive_partitioning = false"
        else:
            connection.from_arrow(rows).create_view(f"{name} rows")
            source = quoted(f"{name} rows")
        end = ")" if isinstance(rows, Path) else ""
        self.types = {row[0]: row[1] for row in self.all(f"describe select * from {source}{end}")}
        self.number = "number"
        while self.number.lower() in {one.lower() for one in self.types}:
            self.number += "_"
        number = quoted(self.number)
        if isinstance(rows, Path) and "file_row_number" not in {one.lower() for one in self.types}:
            selected = (
                f"* exclude (file_row_number), file_row_number as {number} from {source}, file_row_number = true)"
            )
        else:
            selected = f"*, row_number() over () - 1 as {number} from {source}{end}"
        connection.execute(f"create view {name} as select {selected}")
        self.count: int = self.all(f"select count(*) from {source}{end}")[0][0]

    def all(self, sql: str) -> list[Any]:
        return self._connection.execute(sql).fetchall()

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
        """Return column -> nulls, min, max and mean of some columns, in one scan."""
        own = [one for one in columns if one in self.types]
        if not own:
            return {}
        asked, names = [], []
        for one in own:
            kind, column = self.types[one], quoted(one)
            asked.append(f"count(*) - count({column})")
            names.append((one, "nulls"))
            if kind.startswith("DECIMAL") or not any(sign in kind for sign in _NO_ORDER):
                asked += [f"cast(min({column}) as varchar)", f"cast(max({column}) as varchar)"]
                names += [(one, "min"), (one, "max")]
            if _is_number(kind):
                asked.append(f"avg(cast({column} as double))")
                names.append((one, "mean"))
        (row,) = self.all(f"select {', '.join(asked)} from {self.name}")
        found: dict[str, dict[str, Any]] = {one: {} for one in own}
        for (one, what), value in zip(names, row, strict=True):
            found[one][f"{self.name}_{what}"] = value
        return found


class _Comparison:
    def __init__(self, connection: duckdb.DuckDBPyConnection, old: _Side, new: _Side, key: Sequence[str]) -> None:
        self._connection = connection
        self._old = old
        self._new = new
        self._key = tuple(key)
        for side in (old, new):
            if (lost := next((one for one in self._key if one not in side.types), None)) is not None:
                raise InvalidInputError(
                    f"the {side.name} table has no column {lost!r}, which the key names",
                    kind="unknown-column",
                    hint=nearest(lost, side.types),
                    column=lost,
                )
        self._common = [one for one in new.types if one in old.types and one not in self._key]

    def run(self, limit: int) -> TableChanges:
        old, new = self._old, self._new
        if self._key:
            added, removed, changed, counts, examples = self._by_key(limit)
        else:
            added, removed = max(new.count - old.count, 0), max(old.count - new.count, 0)
            changed, counts, examples = self._by_position(limit)
        columns = self._columns(counts)
        differing = [one.name for one in columns if one.changed_count]
        return TableChanges(
            self._key, old.count, new.count, added, removed, changed, columns, self._examples(*examples, differing)
        )

    def _by_position(
        self, limit: int
    ) -> tuple[int, dict[str, int], tuple[list[int], list[int], list[tuple[int, int]]]]:
        number_of_old, number_of_new = (f"{side.name}.{quoted(side.number)}" for side in (self._old, self._new))
        both = f"{number_of_old} is not null and {number_of_new} is not null"
        differs = list(map(self._differs, self._common))
        each = "".join(f", count(*) filter (where {both} and {one})" for one in differs)
        some = f"{both} and ({' or '.join(differs) or 'false'})"
        first = f"min({number_of_old}, {max(limit, 1)}) filter (where {some})"
        row = self._old.all(f"select count(*) filter (where {some}), {first}{each} from old positional join new")[0]
        pairs = [(one, one) for one in (row[1] or [])[:limit]]
        shorter, longer = sorted((self._old.count, self._new.count))
        further = list(range(shorter, min(longer, shorter + limit)))
        added, removed = (further, []) if self._new.count > self._old.count else ([], further)
        return row[0], dict(zip(self._common, row[2:], strict=True)), (added, removed, pairs)

    def _by_key(
        self, limit: int
    ) -> tuple[int, int, int, dict[str, int], tuple[list[int], list[int], list[tuple[int, int]]]]:
        hashed = ", ".join(map(self._value, self._common))
        keys = ", ".join(map(quoted, self._key))
        sides = [
            f"(select {keys}, {quoted(side.number)} as n, {f'hash({hashed})' if hashed else '0'} as h from {side.name})"
            for side in (self._old, self._new)
        ]
        count = max(limit, 1)
        self._connection.execute(
            f"create temp table found as select count(*) filter (where o.n is null) as added,"
            f" count(*) filter (where n.n is null) as removed, count(*) filter (where o.h <> n.h) as changed,"
            f" count(o.n) as old_rows, count(n.n) as new_rows,"
            f" min(n.n, {count}) filter (where o.n is null) as first_added,"
            f" min(o.n, {count}) filter (where n.n is null) as first_removed,"
            f" list(struct_pack(o := o.n, n := n.n)) filter (where o.h <> n.h) as pairs"
            f" from {sides[0]} as o full outer join {sides[1]} as n on {self._matched('o', 'n')}"
        )
        added, removed, changed, old_rows, new_rows, first_added, first_removed = self._old.all(
            "select * exclude (pairs) from found"
        )[0]
        for side, seen in ((self._old, old_rows), (self._new, new_rows)):
            if seen != side.count:
                self._refuse_duplicates()
        counts = dict.fromkeys(self._common, 0)
        pairs: list[tuple[int, int]] = []
        if changed:
            self._connection.execute("create temp table pairs as select unnest(pairs, recursive := true) from found")
            pairs = self._old.all(f"select o, n from pairs order by o limit {limit}")
            each = ", ".join(f"count(*) filter (where {self._differs(one)})" for one in self._common)
            by_number = [f"{side.name}.{quoted(side.number)}" for side in (self._old, self._new)]
            joined = (
                f"pairs join old on pairs.o = {by_number[0]} join new on pairs.n = {by_number[1]}"
                if changed <= _NARROW
                else f"old join new on {self._matched('old', 'new')}"
            )
            counts = dict(zip(self._common, self._old.all(f"select {each} from {joined}")[0], strict=True))
        first = (first_added or [])[:limit], (first_removed or [])[:limit], pairs
        return added, removed, changed, counts, first

    def _refuse_duplicates(self) -> None:
        keys = ", ".join(map(quoted, self._key))
        for side in (self._old, self._new):
            rows = side.all(
                f"select {', '.join(f'cast({quoted(one)} as varchar)' for one in self._key)}, count(*) from {side.name}"
                f" group by {keys} having count(*) > 1 limit 1"
            )
            if rows:
                *values, count = rows[0]
                named = ", ".join(f"{one}={value}" for one, value in zip(self._key, values, strict=True))
                raise InvalidInputError(
                    f"the key ({', '.join(self._key)}) identifies no row: {count:,} rows of the {side.name} table have"
                    f" {named}",
                    kind="duplicate-key",
                    hint="name more columns as the key, or none to compare rows by position",
                    key=self._key,
                )

    def _columns(self, counts: dict[str, int]) -> tuple[ColumnChange, ...]:
        old, new = self._old.types, self._new.types
        differing = [one for one in (*new, *old) if counts.get(one) or old.get(one) != new.get(one)]
        differing = list(dict.fromkeys(differing))
        of_old, of_new = self._old.statistics(differing), self._new.statistics(differing)
        found = []
        for one in (*new, *(name for name in old if name not in new)):
            change = "added" if one not in old else "removed" if one not in new else ""
            if not change and one in differing:
                change = "changed"
            statistics = {**of_old.get(one, {}), **of_new.get(one, {})}
            found.append(ColumnChange(one, change, old.get(one), new.get(one), counts.get(one, 0), statistics))
        return tuple(found)

    def _examples(
        self, added: list[int], removed: list[int], pairs: list[tuple[int, int]], differing: list[str]
    ) -> tuple[RowChange, ...]:
        of_old = self._old.texts([*removed, *(one for one, _ in pairs)], list(self._old.types))
        of_new = self._new.texts([*added, *(one for _, one in pairs)], list(self._new.types))

        def where(number: int, row: dict[str, str | None]) -> dict[str, str | None]:
            return {one: row[one] for one in self._key} if self._key else {"row": str(number)}

        def rest(row: dict[str, str | None]) -> dict[str, str | None]:
            return {one: value for one, value in row.items() if one not in self._key}

        found = [RowChange("removed", where(one, of_old[one]), rest(of_old[one]), {}) for one in removed]
        found += [RowChange("added", where(one, of_new[one]), {}, rest(of_new[one])) for one in added]
        for one, other in pairs:
            before, after = of_old[one], of_new[other]
            names = [name for name in differing if before[name] != after[name]]
            cells = ({name: row[name] for name in names} for row in (before, after))
            found.append(RowChange("changed", where(other, after), *cells))
        return tuple(found)

    def _value(self, column: str, table: str = "") -> str:
        """Return a column in the type that both tables' values are compared in."""
        kinds, name = (self._old.types[column], self._new.types[column]), f"{table}{quoted(column)}"
        if kinds[0] == kinds[1]:
            return name
        if not all(map(_is_number, kinds)):
            return f"cast({name} as varchar)"
        return f"cast({name} as {'double' if any(one.startswith(_FLOATS) for one in kinds) else 'hugeint'})"

    def _differs(self, column: str) -> str:
        return f"{self._value(column, 'old.')} is distinct from {self._value(column, 'new.')}"

    def _matched(self, left: str, right: str) -> str:
        pairs = ((self._value(one, f"{left}."), self._value(one, f"{right}.")) for one in self._key)
        return " and ".join(f"{one} is not distinct from {other}" for one, other in pairs)


def _is_number(kind: str) -> bool:
    return kind in _NUMBERS or (kind.startswith(_FLOATS) and "[" not in kind)
