"""The rows of the view ``runs``, kept and brought from one version of a lake to the next; many of them in a file.

They are gathered from many facts, which takes a second for 30,000 runs. What a later version says of a run differs only
if a row since then is about it, so only those are asked for again: by the same view, over the rows about them alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.format.sql_text import sql_id
from lakefolio.process.scratch import named_if_full, private_folder
from lakefolio.views.arrow_relation import relation_of
from lakefolio.views.binding import count_keys, describe, make_view, open_tables
from lakefolio.views.bounded_json import shallow
from lakefolio.views.run_columns import KeyCounts, changed_counts, new_columns, run_columns
from lakefolio.views.view_files import ViewFile

if TYPE_CHECKING:
    import duckdb

__all__ = ["KeptRuns", "gathered", "kept", "renewed"]

_KEPT: Final = "runs as they are"
_AT_ONCE_ROWS: Final = 10_000
_MOST_BYTES: Final = 16 << 20
"""So many bytes of rows are held in memory: those of 30,000 runs with ten parameters and metrics."""
_LARGE_PART: Final = 4
"""If one run in so many is touched, all are gathered anew: that takes no longer."""
_LAST: Final = "select version, ordinal, commit_id from manifests order by version desc, ordinal desc limit 1"
_HOLDS: Final = "select count(*) from manifests where version = $1 and ordinal = $2 and commit_id = $3"
_TOUCHED: Final = """\
select distinct run_id from manifests
where run_id is not null and (version > $1 or (version = $1 and ordinal > $2))
order by run_id"""
_ABOUT: Final = "select * from manifests where run_id in (select unnest($1))"


@dataclass(frozen=True, eq=False)
class KeptRuns:
    """The rows of the view ``runs`` over some rows of the journal.

    Attributes:
        last: ``version``, ``ordinal`` and ``commit_id`` of the last of those rows.
        counts: The parameters and metrics there are.
        columns: The columns of the view as (name, type), those of parameters and metrics included.
        plain_count: How many of the columns are not of parameters and metrics: they come first.
        rows: The rows of the view.
    """

    last: tuple[int, int, str]
    counts: Mapping[str, KeyCounts]
    columns: tuple[tuple[str, str], ...]
    plain_count: int
    rows: pa.Table

    def make(self, connection: duckdb.DuckDBPyConnection, view: ViewFile, *, lost: bool = False) -> None:
        """Make the view of these rows in a connection."""
        _bind_rows(connection, self.rows, self.columns, view, lost=lost)

    def precedes(self, connection: duckdb.DuckDBPyConnection) -> bool:
        """Say whether the journal it is of is the beginning of that of a connection, or all of it."""
        return connection.execute(_HOLDS, list(self.last)).fetchone() == (1,)


def gathered(connection: duckdb.DuckDBPyConnection, files: Sequence[ViewFile]) -> KeptRuns:
    """Gather all runs of the journal of a connection, making the views that takes."""
    counts = count_keys(connection, files)
    view = _make_runs(connection, files)
    plain = len(describe(connection, view.name))
    columns, rows = _with_keys(connection, view.name, counts)
    return KeptRuns(_last_of(connection), counts, columns, plain, rows)


def renewed(old: KeptRuns, journal: duckdb.DuckDBPyConnection, files: Sequence[ViewFile]) -> KeptRuns | None:
    """Return the runs of the journal of a connection, which ``old`` precedes; None if all must be gathered anew."""
    touched = [row[0] for row in journal.execute(_TOUCHED, list(old.last[:2])).fetchall()]
    if len(touched) * _LARGE_PART > old.rows.num_rows:
        return None
    last = _last_of(journal)
    if not touched:
        return replace(old, last=last)
    there = pc.is_in(old.rows.column("run_id"), value_set=pa.array(touched, pa.string()))
    others = _where(old.rows, pc.invert(there))
    about = journal.sql(_ABOUT, params=[touched]).to_arrow_table()
    with open_tables({}, ()) as connection:
        less: Mapping[str, KeyCounts] = {}
        if others.num_rows < old.rows.num_rows:
            _bind_journal(connection, _up_to(about, old.last))
            less = count_keys(connection, files)
        _bind_journal(connection, about)
        counts = changed_counts(old.counts, less, count_keys(connection, files))
        view = _make_runs(connection, files)
        if run_columns(counts) == run_columns(old.counts):
            _, rows = _with_keys(connection, view.name, counts)
            return KeptRuns(last, counts, old.columns, old.plain_count, _joined(others, rows))
        rows = _joined(others, connection.sql(f"from {sql_id(view.name)}").to_arrow_table())
        _bind_rows(connection, rows, old.columns[: old.plain_count], view)
        columns, rows = _with_keys(connection, view.name, counts)
    return KeptRuns(last, counts, columns, old.plain_count, rows)


def kept(reader: pa.RecordBatchReader) -> pa.Table:
    """Return rows to be kept: a few in memory, many in a file that is mapped, whose pages the system may take back."""
    batches: list[pa.RecordBatch] = []
    size_bytes = 0
    for batch in reader:
        batches.append(batch)
        size_bytes += batch.nbytes
        if size_bytes > _MOST_BYTES:
            return _mapped(reader.schema, chain(batches, reader))
    return pa.Table.from_batches(batches, reader.schema).combine_chunks()


def _mapped(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.Table:
    place = private_folder() / uuid.uuid4().hex
    try:
        with named_if_full(), pa.ipc.new_file(str(place), schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        return pa.ipc.open_file(pa.memory_map(str(place))).read_all()
    finally:
        place.unlink(missing_ok=True)  # its bytes are there as long as they are mapped


def _where(rows: pa.Table, mask: pa.ChunkedArray) -> pa.Table:
    """Return some rows, filtered part by part so that no copy of all lies in memory."""
    starts = range(0, rows.num_rows, _AT_ONCE_ROWS)
    parts = (rows.slice(at, _AT_ONCE_ROWS).filter(mask.slice(at, _AT_ONCE_ROWS)) for at in starts)
    batches = (batch for part in parts for batch in part.to_batches())
    return kept(pa.RecordBatchReader.from_batches(rows.schema, batches))


def _last_of(connection: duckdb.DuckDBPyConnection) -> tuple[int, int, str]:
    found = connection.execute(_LAST).fetchone()
    assert found is not None, "there are runs, so there are rows"
    return found[0], found[1], found[2]


def _up_to(rows: pa.Table, last: tuple[int, int, str]) -> pa.Table:
    version, ordinal = rows.column("version"), rows.column("ordinal")
    same = pc.and_(pc.equal(version, last[0]), pc.less_equal(ordinal, last[1]))
    return rows.filter(pc.or_(pc.less(version, last[0]), same))


def _joined(others: pa.Table, rows: pa.Table) -> pa.Table:
    parts = [*others.select(rows.column_names).to_batches(_AT_ONCE_ROWS), *rows.to_batches(_AT_ONCE_ROWS)]
    return kept(pa.RecordBatchReader.from_batches(rows.schema, parts))


def _with_keys(
    connection: duckdb.DuckDBPyConnection, name: str, counts: Mapping[str, KeyCounts]
) -> tuple[tuple[tuple[str, str], ...], pa.Table]:
    """Return the rows of the view of runs, and its columns, with one for each parameter and metric."""
    columns = new_columns(run_columns(counts), {column.lower() for column, _ in describe(connection, name)})
    found = connection.sql(f"select *{', ' * bool(columns)}{columns} from {sql_id(name)}")
    described = tuple(zip(found.columns, map(str, found.types), strict=True))
    return described, kept(found.to_arrow_reader(_AT_ONCE_ROWS))


def _make_runs(connection: duckdb.DuckDBPyConnection, files: Iterable[ViewFile]) -> ViewFile:
    views = list(files)
    wanted = {"runs"}
    for view in reversed(views):
        if view.name in wanted:
            wanted |= view.reads
    for view in views:
        if view.name in wanted:
            make_view(connection, view, [])
            if view.name == "runs":
                return view
    raise AssertionError("there is no view of runs")


def _bind_journal(connection: duckdb.DuckDBPyConnection, rows: pa.Table) -> None:
    connection.from_arrow(shallow("manifests", rows)).create_view("manifests", replace=True)


def _bind_rows(
    connection: duckdb.DuckDBPyConnection,
    rows: pa.Table,
    columns: Iterable[tuple[str, str]],
    view: ViewFile,
    *,
    lost: bool = False,
) -> None:
    """Make the view over rows; columns whose type Arrow lacks (JSON) get it again."""
    relation_of(connection, rows).create_view(_KEPT)
    there = dict(describe(connection, _KEPT))
    casts = [f"cast({sql_id(name)} as {kind}) as {sql_id(name)}" for name, kind in columns if there[name] != kind]
    typed = f" replace ({', '.join(casts)})" if casts else ""
    make_view(connection, replace(view, sql=f"select *{typed} from {sql_id(_KEPT)}"), [], lost=lost)
