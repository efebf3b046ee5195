"""Differences between two tables, by DuckDB over their files: by key, or by position.

Row groups whose bytes are equal in both files are not read (see ``shared_rows``), and where the bytes of the key are
equal, rows match by position and only columns that differ are read. What is left is joined: by key, rows are matched on
the columns of the key (null is a value like others), and a row that is in both tables is changed if the hash of its
other columns is another: only the key, a hash of 64 bits and the number of a row are held, so that the tables may be
much larger than memory. That two rows differ and have one hash is as likely as one in 2^64 for each row that changed;
no answer about content that somebody made to deceive should rest on it: compare digests. Of the rows that changed,
columns are compared value by value. By position, everything is; of tables of different lengths the equal beginnings and
ends are matched first, so that a row that was inserted is one.

A key that several rows of a table have is refused if the other table has it too; else they are all added or removed.
The keys of row groups that match as bytes are not looked at again.

Longer than most modules: the statements of both ways use the same tables and names.

NaN equals NaN, null equals null, -0.0 equals 0.0. Columns are matched by name; a column that is gone and a new one of
its type that holds the same values are one that was renamed. Of a column whose type is another, numbers are compared
exactly (one that is no double equals none, but a decimal equals the double that is written so), spans of time as such,
and everything else as text. Memory is bounded by ``MEMORY_BYTES``; larger joins spill to disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import InvalidInputError, nearest
from lakefolio.format.sql_text import sql_id
from lakefolio.views.binding import open_tables
from lakefolio.views.plain_tables import PlainTables, plain_tables
from lakefolio.views.shared_rows import NOTHING_SHARED, SharedRows, shared_rows
from lakefolio.views.table_side import TableSide, comparable

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["ColumnChange", "RowChange", "TableChanges", "table_changes"]

MEMORY_BYTES: Final = 600 << 20
_NARROW: Final = 1_000_000
"""Up to so many changed rows are looked up by their numbers; of more the tables are joined once more."""
_FEW: Final = 100_000
"""Rows of a table of which one thread is enough: a row group or less."""
_AT_ONCE: Final = 256
"""Columns that are compared in one query: DuckDB plans a query of thousands for minutes."""
_SAMPLE: Final = 100_000
_MOST_PAIRS: Final = 200
_LIKE: Final = 0.95
_SOME: Final = 20


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """How a column differs.

    Attributes:
        change: ``added``, ``removed``, ``renamed`` (its values maybe changed too), ``changed`` (its values, maybe its
            type too), or nothing.
        old_type: Arrow's name of the type; None of an added column.
        new_type: The same of the new table; None of a removed one.
        changed_count: Rows that are in both tables and whose values differ.
        statistics: Of a column that differs: ``old_nulls``, ``new_nulls`` (counts), ``old_min``, ``new_min``,
            ``old_max``, ``new_max`` (texts), ``old_mean``, ``new_mean`` (of numbers), as far as they exist.
        renamed_from: The name it had.
    """

    name: str
    change: str
    old_type: str | None
    new_type: str | None
    changed_count: int = 0
    statistics: dict[str, Any] = field(default_factory=dict)
    renamed_from: str | None = None


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
        shared: Rows that are not decoded because their bytes are equal in both files.
        moved: Rows that both tables have, at another position; of a comparison by key.
        columns: All columns of both tables, in the order of the new one, then the removed ones.
        examples: The first rows that were added, removed and changed, as many of each as asked for.
    """

    key: tuple[str, ...]
    old_rows: int
    new_rows: int
    added: int
    removed: int
    changed: int
    shared: int
    moved: int
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
        with plain_tables(old, new) as plain:
            sides = (
                TableSide(connection, "old", plain.old, plain.shown_types[0], plain.texts),
                TableSide(connection, "new", plain.new, plain.shown_types[1], plain.texts),
            )
            if max(one.count for one in sides) <= _FEW:
                connection.execute("set threads = 1")  # of which DuckDB has more wait than work
            columns = [plain.aliases.get(one, one) for one in key]
            return _named(_Comparison(connection, *sides, columns).run(limit), plain)
    except duckdb.Error as exc:
        from lakefolio.views.sql_guard import first_line

        raise InvalidInputError(
            f"the tables can't be compared: {first_line(exc)}",
            kind="bad-comparison",
            hint="a key of other columns, or none, may do",
        ) from exc
    finally:
        connection.close()


def _named(found: TableChanges, plain: PlainTables) -> TableChanges:
    """Return what was found with the names that columns have in the tables."""
    own = {alias: name for name, alias in plain.aliases.items()}
    if not own:
        return found

    def named(values: dict[str, str | None]) -> dict[str, str | None]:
        return {own.get(one, one): value for one, value in values.items()}

    return replace(
        found,
        key=tuple(own.get(one, one) for one in found.key),
        columns=tuple(
            replace(
                one, name=own.get(one.name, one.name), renamed_from=own.get(one.renamed_from or "", one.renamed_from)
            )
            for one in found.columns
        ),
        examples=tuple(
            RowChange(one.change, named(one.where), named(one.old), named(one.new)) for one in found.examples
        ),
    )


@dataclass(slots=True)
class _Rows:
    """What was found so far: counts, and the numbers of the first rows of each change."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    moved: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    first_added: list[int] = field(default_factory=list)
    first_removed: list[int] = field(default_factory=list)
    pairs: list[tuple[int, int]] = field(default_factory=list)

    def count(self, columns: Sequence[str], counts: Sequence[int]) -> None:
        """Add rows that differ in each of some columns."""
        for column, count in zip(columns, counts, strict=True):
            self.counts[column] = self.counts.get(column, 0) + count


class _Comparison:
    def __init__(
        self, connection: duckdb.DuckDBPyConnection, old: TableSide, new: TableSide, key: Sequence[str]
    ) -> None:
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
        self._renamed = self._find_renamed()
        if self._renamed:
            old.rename(self._renamed)
        self._common = [one for one in new.types if one in old.types and one not in self._key]

    def run(self, limit: int) -> TableChanges:
        old, new = self._old, self._new
        shared, found = NOTHING_SHARED, _Rows(counts=dict.fromkeys(self._common, 0))
        if old.path is not None and new.path is not None:
            names = {one: self._renamed.get(one, one) for one in (*self._key, *self._common)}
            shared = shared_rows(old.path, new.path, self._key, names)
        if self._key:
            self._beside(found, shared, limit)
            self._by_key(found, shared, limit)
        else:
            self._by_position(found, shared, limit)
        columns = self._columns(found.counts)
        differing = [one.name for one in columns if one.changed_count]
        return TableChanges(
            self._key, old.count, new.count, found.added, found.removed, found.changed, shared.row_count, found.moved,
            columns, self._examples(found, limit, differing),
        )  # fmt: skip

    # -- columns ---------------------------------------------------------------------------------------------

    def _find_renamed(self) -> dict[str, str]:
        """Return new name -> old name of columns that were renamed: of one type, with the values of another.

        A sample of the rows tells: all must be equal, or most where the column has many different values.
        """
        old, new = self._old, self._new
        gone = [one for one in old.types if one not in new.types]
        come = [one for one in new.types if one not in old.types]
        pairs = [(one, other) for one in gone for other in come if old.types[one] == new.types[other]]
        if not pairs or len(pairs) > _MOST_PAIRS:
            return {}
        asked = ["count(*)"]
        for one, other in pairs:
            before, after = f"o.{sql_id(one)}", f"n.{sql_id(other)}"
            asked.append(f"count(*) filter (where {before} is not distinct from {after})")
            asked.append(f"approx_count_distinct({before})")
        number = (sql_id(old.number), sql_id(new.number))
        sample = f"(select * from old where {number[0]} < {_SAMPLE})"
        matched = self._matched("o", "n") if self._key else f"o.{number[0]} = n.{number[1]}"
        ((rows, *told),) = old.all(f"select {', '.join(asked)} from {sample} o join new n on {matched}")
        found: dict[str, str] = {}
        for (one, other), equal, different in zip(pairs, told[::2], told[1::2], strict=True):
            is_like = equal == rows if different <= _SOME else equal >= _LIKE * rows
            if rows and different and is_like and other not in found and one not in found.values():
                found[other] = one
        return found

    def _columns(self, counts: Mapping[str, int]) -> tuple[ColumnChange, ...]:
        old, new = self._old.shown_types, self._new.shown_types
        differing = [one for one in (*new, *old) if counts.get(one) or old.get(one) != new.get(one)]
        differing = list(dict.fromkeys(differing))
        of_old, of_new = self._old.statistics(differing), self._new.statistics(differing)
        found = []
        for one in (*new, *(name for name in old if name not in new)):
            change = "added" if one not in old else "removed" if one not in new else ""
            if not change and one in differing:
                change = "changed"
            statistics = {**of_old.get(one, {}), **of_new.get(one, {})}
            found.append(
                ColumnChange(
                    one, "renamed" if one in self._renamed else change, old.get(one), new.get(one), counts.get(one, 0),
                    statistics, self._renamed.get(one),
                )
            )  # fmt: skip
        return tuple(found)

    # -- rows ------------------------------------------------------------------------------------------------

    def _by_position(self, found: _Rows, shared: SharedRows, limit: int) -> None:
        shorter, longer = sorted((self._old.count, self._new.count))
        left = [(start, min(stop, shorter)) for start, stop in shared.left(longer) if start < shorter]
        columns = self._common if left else [one for one in self._common if one in shared.columns]
        ranges = sorted([*left, *shared.beside])
        if shorter < longer and (ends := self._equal_ends(ranges)) is not None:
            shorter, longer, columns = shorter - ends[1], longer - ends[1], self._common
            ranges = [(ends[0], shorter)] if ends[0] < shorter else []
        self._matched_by_number(found, ranges, columns, limit)
        more = self._new.count - self._old.count
        found.added, found.removed = max(more, 0), max(-more, 0)
        further = list(range(shorter, min(longer, shorter + limit)))
        found.first_added, found.first_removed = (further, []) if found.added else ([], further)

    def _equal_ends(self, ranges: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
        """Return how many rows are equal at the beginning and at the end of tables of different lengths.

        None if no row at the end is, or all are at the beginning. So a row that was inserted is one row.

        Args:
            ranges: The rows, by their numbers, that may differ from that of the same number.
        """
        old, new = (f"{side.name}.{sql_id(side.number)}" for side in (self._old, self._new))
        more, some = self._old.count - self._new.count, self._some(self._common)
        if not ranges or not self._common:
            return None

        def told(what: str, numbers: Sequence[tuple[int, int]], shift: int) -> Any:
            sides = ((self._old, numbers), (self._new, [(start - shift, stop - shift) for start, stop in numbers]))
            source = " join ".join(f"{side.only(some)} as {side.name}" for side, some in sides)
            return self._old.all(f"select {what} from {source} on {old} = {new} + {shift}")[0][0]

        last = self._old.count - 1
        if told(f"count(*) filter (where {some})", [(last, last + 1)], more):
            return None
        start = told(f"min({old}) filter (where {some})", ranges, 0)
        if start is None:
            return None
        first = max(start, more + start)
        differing = told(f"max({old}) filter (where {some})", [(first, self._old.count)], more)
        end = last - (first - 1 if differing is None else differing)
        return start, end

    def _beside(self, found: _Rows, shared: SharedRows, limit: int) -> None:
        """Compare the rows whose keys are equal at their position."""
        columns = [one for one in self._common if one in shared.columns]
        self._matched_by_number(found, shared.beside, columns, limit)

    def _matched_by_number(
        self, found: _Rows, ranges: Sequence[tuple[int, int]], columns: Sequence[str], limit: int
    ) -> None:
        """Compare rows that have one number in both tables, in some columns."""
        if not ranges or not columns:
            return
        numbers = [f"{side.name}.{sql_id(side.number)}" for side in (self._old, self._new)]
        if sum(stop - start for start, stop in ranges) == min(self._old.count, self._new.count):
            source, both = "old positional join new", f"{numbers[0]} is not null and {numbers[1]} is not null"
        else:
            sides = (f"{side.only(ranges)} as {side.name}" for side in (self._old, self._new))
            source, both = f"{' join '.join(sides)} on {numbers[0]} = {numbers[1]}", "true"
        some = self._some(columns)
        first = f"min({numbers[0]}, {max(limit, 1)}) filter (where {both} and ({some}))"
        asked = f"count(*) filter (where {both} and ({some})), {first}"
        for part in _parts(columns):
            each = ", ".join(f"count(*) filter (where {both} and {self._differs(one)})" for one in part)
            ((changed, firsts, *counts),) = self._old.all(f"select {asked}, {each} from {source}")
            found.count(part, counts)
            if not changed:
                break
        found.changed += changed
        found.pairs += [(one, one) for one in (firsts or [])[:limit]]

    def _by_key(self, found: _Rows, shared: SharedRows, limit: int) -> None:
        sides = (self._old, self._new)
        left = [shared.left(side.count) for side in sides]
        if not any(left):
            return
        keys = ", ".join(map(sql_id, self._key))
        place, values = (sql_id(self._unused(name)) for name in ("number", "hash"))
        parts = []
        for side, ranges in zip(sides, left, strict=True):
            hashed = ", ".join(self._value(one, side) for one in self._common)
            parts.append(
                f"(select {keys}, {sql_id(side.number)} as {place}, {f'hash({hashed})' if hashed else '0'} as {values}"
                f" from {side.only(ranges)})"
            )
        count = max(limit, 1)
        o, n, differs = f"o.{place}", f"n.{place}", f"o.{values} <> n.{values}"
        self._connection.execute(
            f"create temp table found as select count(*) filter (where {o} is null) as added,"
            f" count(*) filter (where {n} is null) as removed, count(*) filter (where {differs}) as changed,"
            f" count({o}) as old_rows, count({n}) as new_rows, count(*) filter (where {o} <> {n}) as moved,"
            f" min({n}, {count}) filter (where {o} is null) as first_added,"
            f" min({o}, {count}) filter (where {n} is null) as first_removed,"
            f" list(struct_pack(o := {o}, n := {n})) filter (where {differs}) as pairs"
            f" from {parts[0]} as o full outer join {parts[1]} as n on {self._matched('o', 'n')}"
        )
        added, removed, changed, old_rows, new_rows, moved, first_added, first_removed = self._old.all(
            "select * exclude (pairs) from found"
        )[0]
        for ranges, seen in zip(left, (old_rows, new_rows), strict=True):
            if seen != sum(stop - start for start, stop in ranges):
                self._refuse_duplicates()
        found.added, found.removed, found.moved = added, removed, moved
        found.first_added, found.first_removed = (first_added or [])[:limit], (first_removed or [])[:limit]
        if changed:
            self._connection.execute("create temp table pairs as select unnest(pairs, recursive := true) from found")
            by_number = [f"{side.name}.{sql_id(side.number)}" for side in sides]
            parts = [f"{side.only(ranges)} as {side.name}" for side, ranges in zip(sides, left, strict=True)]
            if all(side.path for side in sides):  # files are skipped by the pairs' numbers, Arrow tables can't be
                self._connection.execute("reset disabled_optimizers")
            joined = (
                f"pairs join {parts[0]} on pairs.o = {by_number[0]} join {parts[1]} on pairs.n = {by_number[1]}"
                if changed <= _NARROW
                else f"{parts[0]} join {parts[1]} on {self._matched('old', 'new')}"
            )
            for columns in _parts(self._common):
                each = ", ".join(f"count(*) filter (where {self._differs(one)})" for one in columns)
                found.count(columns, self._old.all(f"select {each} from {joined}")[0])
            found.changed += changed
            found.pairs += self._old.all(f"select o, n from pairs order by o limit {limit}")

    def _refuse_duplicates(self) -> None:
        keys = ", ".join(map(sql_id, self._key))
        for side in (self._old, self._new):
            rows = side.all(
                f"select {', '.join(f'cast({sql_id(one)} as varchar)' for one in self._key)}, count(*) from {side.name}"
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

    def _examples(self, found: _Rows, limit: int, differing: Sequence[str]) -> tuple[RowChange, ...]:
        added, removed, pairs = found.first_added, found.first_removed, sorted(found.pairs)[:limit]
        kinds = {one: {self._old.types[one], self._new.types[one]} for one in (*self._key, *self._common)}
        wide = frozenset(one for one, both in kinds.items() if both == {"FLOAT", "DOUBLE"})
        of_old = self._old.rows([*removed, *(one for one, _ in pairs)], wide)
        of_new = self._new.rows([*added, *(one for _, one in pairs)], wide)

        def where(number: int, row: dict[str, str | None]) -> dict[str, str | None]:
            return {one: row[one] for one in self._key} if self._key else {"row": str(number)}

        def rest(row: dict[str, str | None]) -> dict[str, str | None]:
            return {one: value for one, value in row.items() if one not in self._key}

        changes = [RowChange("removed", where(one, of_old[one]), rest(of_old[one]), {}) for one in removed]
        changes += [RowChange("added", where(one, of_new[one]), {}, rest(of_new[one])) for one in added]
        for one, other in pairs:
            before, after = of_old[one], of_new[other]
            cells: tuple[dict[str, str | None], dict[str, str | None]] = ({}, {})
            for name in differing:
                if before[name] != after[name]:
                    cells[0][name], cells[1][name] = before[name], after[name]
            changes.append(RowChange("changed", where(other, after), *cells))
        return tuple(changes)

    def _unused(self, name: str) -> str:
        """Return a name that no column of the tables has."""
        taken = {one.lower() for side in (self._old, self._new) for one in (*side.types, side.number)}
        while name in taken:
            name += "_"
        return name

    # -- SQL -------------------------------------------------------------------------------------------------

    def _value(self, column: str, side: TableSide, table: str = "") -> str:
        """Return a column of a side as a value that equals that of the other side if both are the same."""
        other = self._new if side is self._old else self._old
        types = [(one.types[column], one.shown_types[column]) for one in (side, other)]
        return comparable(f"{table}{sql_id(column)}", types[0], types[1])

    def _differs(self, column: str) -> str:
        old, new = self._value(column, self._old, "old."), self._value(column, self._new, "new.")
        return f"{old} is distinct from {new}"

    def _some(self, columns: Sequence[str]) -> str:
        """Say in SQL whether some of the columns differ."""
        if len(columns) <= _AT_ONCE:
            return " or ".join(map(self._differs, columns))
        hashes = (
            f"hash({', '.join(self._value(one, side, f'{side.name}.') for one in columns)})"
            for side in (self._old, self._new)
        )
        return " <> ".join(hashes)  # DuckDB does not plan the other

    def _matched(self, left: str, right: str) -> str:
        pairs = (
            (self._value(one, self._old, f"{left}."), self._value(one, self._new, f"{right}.")) for one in self._key
        )
        return " and ".join(f"{one} is not distinct from {other}" for one, other in pairs)


def _parts(columns: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut columns into as many as DuckDB can plan at once."""
    for start in range(0, len(columns), _AT_ONCE):
        yield columns[start : start + _AT_ONCE]
