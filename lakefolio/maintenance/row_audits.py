"""The audits of ``sql/90_audits`` over a journal of any length: each is asked about the few rows that may break it.

An audit is about rows that have something in common: an entry, a name, a commit. So a first pass keeps a few numbers of
each row, hashes of what it has in common with others, and finds the groups that can't all be right; a second, only if
there are any, takes the rows of these groups, and the audit says what is wrong with them. Two values of one hash make a
group too much, and never hide one, but for two contents of one entry that have the same hash of 64 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from lakefolio.format.schema import LOG_SCHEMAS
from lakefolio.maintenance.reachability import Keep, Reach, live_snapshots
from lakefolio.maintenance.row_numbers import DELETE, EVENT, PLACE, PUT, RowNumbers

if TYPE_CHECKING:
    from lakefolio.views.workbench import Workbench

__all__ = ["RowAudits"]

_OF_ITEM: Final = f"op in ({PUT}, {DELETE})"

_WHOLE: Final = ("row_shape",)
"""The audits of single rows, which are asked about all of them in the first pass, but for inputs and facts."""

_SUSPECTS: Final = {
    "row_shape": "select version, ordinal from seen where gaps",
    "row_position": "select version, ordinal from seen group by version, ordinal having count(*) > 1",
    "entry_identity": f"""
        select entry from seen semi join put_twice using (entry) where op = {PUT} group by entry
        having min(what) <> max(what)""",
    "delete_target": f"""
        select distinct name from (
            select name, op, lag(op) over (partition by name order by version, ordinal) as before
            from seen semi join (select distinct name from seen where op = {DELETE}) using (name) where {_OF_ITEM}
        ) where op = {DELETE} and coalesce(before, {DELETE}) = {DELETE}""",
    "commit_once": "select commit_id from commit_rows group by commit_id having min(version) <> max(version)",
    "commit_time": """
        select version from (
            select version, first_at, max(last_at) over (
                order by version rows between unbounded preceding and 1 preceding
            ) as before_at
            from (select version, min(first_at) as first_at, max(last_at) as last_at from commit_rows group by version)
        ) where first_at <= before_at""",
    "blob_size": """
        select blob as hashed from seen where stored_bytes is not null group by blob, greatest(generation, 0)
        having min(stored_bytes) <> max(stored_bytes)
        union
        select digest from seen where size_bytes is not null group by digest
        having min(size_bytes) <> max(size_bytes)""",
    "lineage_ends": f"""
        select edges.version, edges.ordinal from edges
        anti join (select entry, version from seen where op = {PUT}) as puts
        on edges.entry = puts.entry and puts.version <= edges.version
        where edges.entry is not null""",
    "pin_entry": f"""
        select pins.* from pins
        left join (
            select entry, min(version) as version, arg_min(digest, {PLACE}) as digest
            from seen semi join pins using (entry) where op = {PUT} group by entry
        ) as puts on pins.entry = puts.entry
        where puts.entry is null or puts.version > pins.version or puts.digest is distinct from pins.digest""",
    "metadata_value": """
        select noted.version, noted.ordinal, seen.entry
        from noted join seen using (version, ordinal) where noted.wrong""",
    "batch_count": """
        select batch_id from (select batch_id, max(row_count) as expected from batches group by batch_id) as b
        left join (
            select batch_id, sum(row_count) as found from batch_rows
            where logged = 'event_rows' or (batch_id, run_id) in (select (batch_id, run_id) from batches)
            group by batch_id
        ) as f using (batch_id)
        where expected <> coalesce(found, 0)""",
    "blob_purged": f"""
        with gone as (
            select version, ordinal, op, name, folio, blob
            from seen join (select blob, max(generation) as upto from purges group by blob) as p using (blob)
            where generation <= upto and op in ({PUT}, {EVENT})
        ),
        next as (
            select version, ordinal, lead(version) over (partition by name order by version, ordinal) as until
            from seen semi join gone using (name) where {_OF_ITEM}
        )
        select gone.name, gone.blob from gone left join next using (version, ordinal)
        where op = {EVENT} or until is null or exists (
            select 1 from targets where coalesce(targets.folio = gone.folio, true)
            and targets.version >= gone.version and targets.version < until
        )""",
}
"""The groups that may break an audit; each has one row or more in ``suspects_<audit>``."""

_ABOUT: Final = {
    "entry_identity": "put_twice",
    "delete_target": "deletes",
    "lineage_ends": "edges",
    "pin_entry": "pins",
    "metadata_value": "noted",
    "batch_count": "batches",
    "blob_purged": "purges",
}
"""Without what (``RowNumbers.present``) no group can break an audit: it need not be asked."""

_AT: Final = "(version, ordinal) in (select (version, ordinal) from suspects_{audit})"
_OF: Final = {
    "row_shape": _AT,
    "row_position": _AT,
    "entry_identity": "op = 'put' and hash(entry_id) in (from suspects_{audit})",
    "delete_target": "op in ('put', 'delete') and hash(folio, item) in (from suspects_{audit})",
    "commit_once": "hash(commit_id) in (from suspects_{audit})",
    "blob_size": "op = 'put' and "
    "(hash(blob_digest) in (from suspects_{audit}) or hash(digest) in (from suspects_{audit}))",
    "lineage_ends": f"{_AT} or (op = 'put' and hash(entry_id) in "
    "(select entry from edges semi join suspects_{audit} using (version, ordinal)))",
    "pin_entry": f"(op = 'pin' and {_AT}) or (op = 'put' and hash(entry_id) in (select entry from suspects_{{audit}}))",
    "metadata_value": f"{_AT} or (op = 'put' and hash(entry_id) in (select entry from suspects_{{audit}}))",
    "batch_count": "op in ('metrics', 'events') and entry_id in (from suspects_{audit})",
    "blob_purged": "(op in ('put', 'delete') and hash(folio, item) in (select name from suspects_{audit})) "
    "or (op in ('event_blob', 'purge') and hash(blob_digest) in (select blob from suspects_{audit}))",
}
"""The rows of these groups."""

Each = Callable[[Callable[[str], None]], None]
"""Hands out the rows of a table once more, part by part."""


class RowAudits:
    """The audits over a journal whose rows it is given part by part, up to a version."""

    def __init__(self, bench: Workbench, numbers: RowNumbers) -> None:
        """Begin.

        Args:
            bench: Where SQL is run.
            numbers: What is kept there of the same rows.
        """
        self._bench = bench
        self._numbers = numbers
        self._found: dict[str, list[tuple[str, str]]] = {}
        bench.run(
            "create or replace table batch_rows (logged varchar, batch_id varchar, run_id varchar, row_count bigint)"
        )
        bench.run("create or replace view manifests as from no_manifests")
        bench.make_views(*(f"audit_{audit}" for audit in _WHOLE))

    def add(self, rows: str) -> None:
        """Take rows of the journal; see ``Workbench.part``."""
        rows = f"(from {rows} where version <= {self._numbers.version})"
        flat = "select * replace (null as inputs, null as facts)"
        self._bench.run(f"create or replace view manifests as {flat} from {rows}")
        for audit in _WHOLE:
            self._found.setdefault(audit, []).extend(self._ask(audit))

    def add_logged(self, table: str, rows: str) -> None:
        """Take rows of ``metric_rows`` or ``event_rows``."""
        self._bench.run(f"insert into batch_rows select '{table}', batch_id, run_id, count(*) from {rows} group by all")

    def forget_logged(self, table: str) -> None:
        """Forget the rows that were taken of one of these tables."""
        self._bench.run(f"delete from batch_rows where logged = '{table}'")

    def _ask(self, audit: str) -> list[tuple[str, str]]:
        return self._bench.run(f"select object, message from audit_{audit} order by all")

    @property
    def counted(self) -> int:
        """How many rows there are, those of batches that count among them."""
        count = int(self._bench.run("select count(*) from seen")[0][0])
        if "batches" in self._numbers.present:
            logged = "select coalesce(sum(row_count), 0) from batch_rows semi join batches using (batch_id)"
            count += int(self._bench.run(logged)[0][0])
        return count

    def doubled(self) -> list[tuple[str, int]]:
        """Return the batches that more than one row names, and how many do."""
        if "batches" not in self._numbers.present:
            return []
        return self._bench.run(
            "select batch_id, count(*) from batches group by batch_id having count(*) > 1 order by all"
        )

    def problems(self, each: Each, *, logged: bool) -> list[tuple[str, str, str]]:
        """Return what the audits find as (audit, object, message).

        Args:
            each: Gives the rows of the journal again.
            logged: Whether all points and events could be read and were added.
        """
        bench, present = self._bench, self._numbers.present
        if "purges" in present:
            self._make_targets()
        suspected = []
        for audit, query in _SUSPECTS.items():
            if (audit in _ABOUT and _ABOUT[audit] not in present) or (audit == "batch_count" and not logged):
                continue
            if bench.run(f"create or replace table suspects_{audit} as {query}")[0][0]:  # how many rows it has
                suspected.append(audit)
        for audit in () if "snapshot_rows" not in present else ("snapshot_name", "snapshot_target"):
            self._judge(audit, "snapshot_rows")
        if "commit_time" in suspected:
            suspected.remove("commit_time")
            self._judge_times()
        if suspected:
            self._judge_rows(suspected, each)
        return [(audit, *row) for audit in sorted(self._found) for row in self._found[audit]]

    def _make_targets(self) -> None:
        """Keep what the live snapshots protect."""
        bench = self._bench
        live = live_snapshots(bench.arrow("from snapshot_rows order by version, ordinal"))
        folios = pa.array([one.folio for one in live], pa.string())
        versions = pa.array([one.target_version for one in live], pa.int64())
        with bench.part(pa.table({"folio": folios, "version": versions})) as rows:
            hashed = "if(folio is null, null, hash(folio)) as folio"
            bench.run(f"create or replace table targets as select distinct {hashed}, version from {rows}")

    def _judge(self, audit: str, rows: str) -> None:
        self._bench.run(f"create or replace view manifests as from {rows}")
        self._bench.make_views(f"audit_{audit}")
        self._found[audit] = list(dict.fromkeys([*self._found.get(audit, ()), *self._ask(audit)]))

    def _judge_times(self) -> None:
        bench = self._bench
        bench.run("create or replace table rows_of_times as from no_manifests")
        for at in ("first_at", "last_at"):
            bench.run(
                f"insert into rows_of_times by name select version, 0::integer as ordinal, {at} as committed_at, "
                "'' as commit_id, '' as op from commit_rows"
            )
        self._judge("commit_time", "rows_of_times")

    def _judge_rows(self, suspected: list[str], each: Each) -> None:
        """Take the rows of the groups that may be wrong, and ask the audits."""
        bench = self._bench
        for audit in suspected:
            bench.run(f"create or replace table rows_{audit} as from no_manifests")

        def take(rows: str) -> None:
            rows = f"(from {rows} where version <= {self._numbers.version})"
            for audit in suspected:
                only = _OF[audit].format(audit=audit)
                inputs = f"if({_AT.format(audit=audit)}, inputs, null) as inputs"
                chosen = f"select * replace ({inputs})" if audit == "lineage_ends" else "select *"
                bench.run(f"insert into rows_{audit} {chosen} from {rows} where {only}")

        each(take)
        if "batch_count" in suspected:
            self._take_batches()
        for audit in suspected:
            self._judge(audit, f"rows_{audit}")
        if "blob_purged" in suspected:
            self._judge_protected()

    def _take_batches(self) -> None:
        """Let the audit see as many rows of each batch that may be wrong as were counted; it asks for nothing else."""
        for table, schema in LOG_SCHEMAS.items():
            with self._bench.part(schema.empty_table()) as rows:
                self._bench.run(f"create or replace table no_{table} as from {rows}")
            columns = ", ".join(
                f"null::{kind} as {name}"
                for name, kind, *_ in self._bench.run(f"describe no_{table}")
                if name not in ("batch_id", "run_id", "ordinal")
            )
            self._bench.run(
                f"create or replace view {table} as "
                f"select batch_id, run_id, unnest(range(row_count))::integer as ordinal, {columns} "
                f"from batch_rows semi join suspects_batch_count using (batch_id) where logged = '{table}'"
            )

    def _judge_protected(self) -> None:
        """Report purged content of snapshots; the audit reports that of heads."""
        rows = self._bench.arrow(
            "select * replace (null::blob as content) from (from rows_blob_purged union all from snapshot_rows) "
            "order by version, ordinal"
        )
        gone = dict(
            self._bench.run(
                "select blob_digest, max(coalesce(generation, 0)) from rows_blob_purged where op = 'purge' group by all"
            )
        )
        wanted = ["folio", "item", "version", "blob_digest", "generation"]
        for row in Reach(rows, Keep()).protected().select(wanted).to_pylist():
            if (row["generation"] or 0) <= gone.get(row["blob_digest"], -1):
                ref = f"{row['folio']}:{row['item']}@{row['version']}"
                message = f"{ref} is protected, but gc purged {row['blob_digest']}"
                self._found.setdefault("protected_purged", []).append((ref, message))
