"""Comparing read models with the journal that they are functions of, in memory that does not grow with either.

A model and the rows that the journal makes of it are the same if they are as many and the sums of their rows' hashes
are equal (``workbench``): neither side is sorted or held, and the parts of the journal may come in any order. A row
that depends on others of its key (a superseded one, an entry that was put again) waits as a few numbers until all of
the journal has passed. What a model makes of the journal is said here once more, in SQL: a check that asked the code
which wrote the models would find none of its mistakes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from lakefolio.errors import IntegrityError, NotFoundError
from lakefolio.format.layout import table_prefix
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.maintenance.row_numbers import DELETE, PLACE, PUT, own_hash
from lakefolio.readmodels.model import Model, succession
from lakefolio.readmodels.models import (
    COMMITS,
    CONTENTS,
    ENTRIES,
    FOLIOS,
    LINEAGE,
    METADATA,
    MODELS,
    PURGES,
    RUN_FACTS,
    RUNNING,
    SNAPSHOTS,
    USES,
)
from lakefolio.readmodels.run_states import READ_COLUMNS, READ_OPS, RUN_STATES, states_of
from lakefolio.readmodels.totals import TOTALS
from lakefolio.views.workbench import UnreadableRowsError, Workbench

if TYPE_CHECKING:
    from lakefolio.readmodels.runs import ModelRuns
    from lakefolio.readmodels.store import ReadModels
    from lakefolio.readmodels.table import Published

__all__ = ["ModelCheck"]

_AT_ONCE_ROWS: Final = 20_000
"""About so many rows about runs are made Python values at once."""

_Sum = tuple[int, int]
"""How many rows there are, and the sum of their hashes."""

_FACTS: Final = """(
    select version, ordinal, place, run_id, fact.key as key, coalesce(fact.value, '') as value
    from (
        select version, ordinal, run_id, unnest(facts) as fact, unnest(range(len(facts)))::integer as place
        from {rows} where op = 'run' and run_id is not null and len(facts) > 0
    )
)"""
_FOLDS: Final = {
    CONTENTS.name: "(from {rows} where op = 'put' and folio is not null and item is not null "
    "and digest is not null and kind is not null)",
    PURGES.name: "(from {rows} where op = 'purge' and blob_digest is not null)",
    COMMITS.name: "(select version, commit_id, arg_min(committed_at, ordinal) as committed_at from {rows} "
    "group by version, commit_id)",
    SNAPSHOTS.name: "(select *, coalesce(folio, '') as scope, op = 'drop_snapshot' as removed from {rows} "
    "where snapshot is not null and (op = 'drop_snapshot' or (op = 'snapshot' and target_version is not null)))",
    RUN_FACTS.name: f"(from {_FACTS} where key in ('status', 'memo', 'parent'))",
    RUNNING.name: f"(select *, value <> '\"running\"' as removed from {_FACTS} where key = 'status')",
}
"""The rows that rows of the journal make of models, before they are related to one another."""

_NUMBERS: Final = {
    ENTRIES.name: f"(select *, name as key, op = {DELETE} as removed from seen where own is not null)",
    LINEAGE.name: "(from edges where subject is not null)",
    USES.name: "(select * replace (own_use as own) from edges where subject is not null and own_use is not null)",
    METADATA.name: "(from noted where key is not null)",
}
"""The rows of the large models, as ``row_numbers`` keeps them."""

_TOTALS: Final = f"""(
    select folio as key, false as removed, changed as version,
        hash(folio, changed, items, bytes, archived_items, archived_bytes, last_put, put_at) as own
    from (
        select folio, max(version) filter (op = {PUT} or before = {PUT}) as changed,
            max(version) filter (op = {PUT}) as last_put,
            count(*) filter (live) as items, coalesce(sum(put_bytes) filter (live), 0)::bigint as bytes,
            count(*) filter (live and archived) as archived_items,
            coalesce(sum(put_bytes) filter (live and archived), 0)::bigint as archived_bytes
        from (
            select *, lag(op) over item as before, op = {PUT} and lead(op) over item is null as live
            from seen where own is not null and version <= {{through}}
            window item as (partition by name order by version, ordinal)
        ) group by folio
    ) join (select version, min(first_at) as put_at from commit_rows group by version) as times
    on times.version = last_put
    where items > 0
)"""
"""The rows of ``totals``, as the rows that put and delete items make them."""

_OF_FIRST_PUTS: Final = (LINEAGE.name, USES.name, METADATA.name)
"""The models of whose rows only those of the first put of an entry count: an entry put again says the same again."""


class ModelCheck:
    """Compares all read models with a journal whose rows it is given part by part."""

    def __init__(self, bench: Workbench, models: ReadModels, published: Mapping[str, Published]) -> None:
        """Begin.

        Args:
            bench: Where rows wait, and where ``RowNumbers`` has what it keeps of them.
            models: The models.
            published: The versions of them to look at. One that reaches no version and has no rows is right.
        """
        self._bench = bench
        self._models = models
        self._published = {name: one for name, one in published.items() if one.through >= 0 or one.runs}
        self._sums: dict[str, _Sum] = {model.name: (0, 0) for model in MODELS}
        bench.run(f"create or replace table of_runs as select {', '.join(READ_COLUMNS)} from no_manifests")
        for model in MODELS:
            if model.name in self._published and model.name in _FOLDS and model.succeeding:
                columns = [*_numbers(model), "removed boolean"]
                bench.run(f"create or replace table waiting_{model.name} ({', '.join(columns)})")

    def add(self, rows: str) -> None:
        """Take rows of the journal: whole commits.

        Args:
            rows: What stands for them, see ``Workbench.part``.
        """
        sums = dict(self._sums)
        for model in MODELS:
            if model.name not in _FOLDS or model.name not in self._published:
                continue
            through = self._published[model.name].through
            if through < 0:
                continue
            made = _FOLDS[model.name].format(rows=f"(from {rows} where version <= {through})")
            if model.succeeding:
                values = [f"hash({', '.join(model.key)})", own_hash(model), *model.position, "removed"]
                self._bench.run(f"insert into waiting_{model.name} select {', '.join(values)} from {made}")
            else:
                sums[model.name] = _added(sums[model.name], self._sum(own_hash(model), made))
        if RUN_STATES.name in self._published:
            through = self._published[RUN_STATES.name].through
            about = f"version <= {through} and run_id is not null and op in {READ_OPS}"
            self._bench.run(f"insert into of_runs select {', '.join(READ_COLUMNS)} from {rows} where {about}")
        self._sums = sums  # after an error nothing was taken

    def _sum(self, hashed: str, rows: str) -> _Sum:
        count, total = self._bench.run(f"select count(*), coalesce(sum({hashed}), 0) from {rows}")[0]
        return int(count), int(total)

    def _expected(self, model: Model) -> _Sum:
        """Return the sum of the rows that the journal makes of a model."""
        through = self._published[model.name].through
        if model is FOLIOS:
            return self._sum(*_settled(model, _folio_rows(self._bench, through)))
        if model is TOTALS:
            return self._sum(*_settled(model, _TOTALS.format(through=through)))
        if model is RUN_STATES:
            return self._states()
        if model.name in _FOLDS and not model.succeeding:
            return self._sums[model.name]
        rows = f"(from {_NUMBERS.get(model.name, f'waiting_{model.name}')} where version <= {through})"
        if model.name in _OF_FIRST_PUTS:
            rows = self._of_first_puts(rows)
        return self._sum(*_settled(model, rows)) if model.succeeding else self._sum("own", rows)

    def _states(self) -> _Sum:
        """Return the sum of the states of all runs, each of which follows from all rows about it."""
        found = (0, 0)
        shards = 1 + self._bench.run("select count(*) from of_runs")[0][0] // _AT_ONCE_ROWS
        for shard in range(shards):
            some = f"from of_runs where hash(run_id) % {shards} = {shard} order by run_id, version, ordinal"
            rows = self._bench.arrow(some).cast(pa.schema([MANIFESTS_SCHEMA.field(name) for name in READ_COLUMNS]))
            with self._bench.part(states_of(rows, lambda _: {})) as states:
                found = _added(found, self._sum(f"hash({own_hash(RUN_STATES)}, removed)", states))
        return found

    def _of_first_puts(self, rows: str) -> str:
        """Leave out what entries say that were put before."""
        if not self._bench.run("select count(*) from put_twice")[0][0]:
            return rows
        self._bench.run(
            f"create or replace temp table put_again as select subject, min({PLACE}) as first "
            f"from {rows} where is_entry group by subject having min({PLACE}) < max({PLACE})"
        )
        return (
            f"(select rows.* from {rows} as rows left join put_again on rows.subject = put_again.subject "
            f"and rows.is_entry where coalesce(put_again.first = {PLACE}, true))"
        )

    def problems(self, version: int) -> Iterator[tuple[str, str]]:
        """Yield (key, problem) of the models that are not as the journal says. Called once, at the end.

        Args:
            version: The version of the journal.
        """
        for name, one in self._published.items():
            if one.through > version:
                yield table_prefix(name), f"read model {name!r} goes up to version {one.through}, beyond the journal"
                continue
            reader = self._models.anew(name, one.runs)
            try:
                if self._found(reader) != self._expected(reader.model):
                    yield table_prefix(name), f"read model {name!r} says other things than the journal: delete it"
            except (IntegrityError, NotFoundError) as exc:
                yield str(exc.objects.get("key") or table_prefix(name)), exc.message

    def _found(self, reader: ModelRuns) -> _Sum:
        """Return the sum of the rows that a model has; every file is read and verified."""
        model, found = reader.model, (0, 0)
        table = f"found_{model.name}"
        if model.succeeding:
            kinds = {"superseded_by": "varchar", "removed": "boolean"}
            columns = [f"{one.name} {kinds.get(one.name, 'bigint')}" for one in succession(model.position)]
            self._bench.run(f"create or replace table {table} ({', '.join([*_numbers(model), *columns])})")
        runs = sorted(reader.runs, key=lambda run: run.row_count)
        for run in runs:
            alone = run is runs[-1] and model.succeeding and model.past
            if alone:
                self._bench.run(f"create or replace temp table in_others as select distinct key from {table}")
            for file, body in reader.bodies(run):
                place = self._models.place_of(model.name, file)
                try:
                    with self._bench.part(body if place is None else place) as rows:
                        del body
                        found = _added(found, self._taken(model, rows, table, alone=alone))
                except UnreadableRowsError as exc:
                    raise reader.unreadable(file) from exc
        if model.succeeding:
            found = _added(found, self._sum(*_settled(model, table, noted=True)))
            self._bench.run(f"drop table {table}")
        return found

    def _taken(self, model: Model, rows: str, table: str, *, alone: bool) -> _Sum:
        """Return the sum of rows of a run, but for those that are related to rows of other runs, which wait in a table.

        Rows of one run are related to one another already. So of the largest, taken last, only keys wait that lie in
        others, too.
        """
        if not model.succeeding:
            return self._sum(own_hash(model), rows)
        said = [one.name for one in succession(model.position)]
        values = [f"hash({', '.join(model.key)}) as key", f"{own_hash(model)} as own", *model.position, *said]
        made = f"select {', '.join(values)} from {rows}"
        if not alone:
            self._bench.run(f"insert into {table} {made}")
            return (0, 0)
        self._bench.run(
            f"create or replace temp table taken as select *, key in (from in_others) as waits from ({made})"
        )
        self._bench.run(f"insert into {table} select * exclude (waits) from taken where waits")
        related = ["own", "removed", "superseded_at", "superseded_by", *model.replaces]
        return self._sum(f"hash({', '.join(related)})", "(from taken where not waits)")


def _numbers(model: Model) -> list[str]:
    """Return the columns of what is kept of a row."""
    return ["key ubigint", "own ubigint", "version bigint", *(f"{one} integer" for one in model.position[1:])]


def _settled(model: Model, rows: str, *, noted: bool = False) -> tuple[str, str]:
    """Return the hash of rows related to those of the same key, and the rows; see ``readmodels.merge.settled``.

    Args:
        model: Their model.
        rows: What stands for them.
        noted: Whether they say already how they are related, as far as rows of the same run are.
    """
    values = ["own", "removed"]
    if model.past:
        since, at, by = "following is not null", "null::bigint", "null::varchar"
        if noted:
            since, at, by = f"superseded_at is null and {since}", "superseded_at", "superseded_by"
        values.append(f"if({since}, following, {at})")
        values.append(f"if({since}, if(following_removed, 'delete', 'put'), {by})")
        values += [f"if(follows, null, {one})" if noted else "null::bigint" for one in model.replaces]
    related = (
        "(select *, lead(version) over w as following, lead(removed) over w as following_removed, "
        f"lag(version) over w is not null as follows from {rows} "
        f"window w as (partition by key order by {', '.join(model.position)}))"
    )
    kept = "not (removed and follows)" if model.past else "following is null and not removed"
    return f"hash({', '.join(values)})", f"(from {related} where {kept})"


def _folio_rows(bench: Workbench, through: int) -> str:
    """Return the rows at which folios came to have a live item, or to have none.

    A folio that never lost an item has one, the first. Those of the others are counted.
    """
    rows = f"(from {_NUMBERS[ENTRIES.name]} where version <= {through})"
    bench.run(f"create or replace temp table shrunk as select distinct folio from {rows} where removed")
    return f"""(
        select folio as key, hash(folio, version, ordinal) as own, version, ordinal, removed
        from (
            select folio, min(version) as version, arg_min(ordinal, {PLACE}) as ordinal, false as removed
            from {rows} anti join shrunk using (folio) group by folio
            union all
            select folio, version, ordinal, change < 0 as removed from (
                select *, sum(change) over (
                    partition by folio order by version, ordinal rows unbounded preceding
                ) as now
                from (
                    select folio, version, ordinal,
                        (not removed and not was)::integer - (removed and was)::integer as change
                    from (
                        select *, not coalesce(
                            lag(removed) over (partition by key order by version, ordinal), true
                        ) as was
                        from {rows} semi join shrunk using (folio)
                    )
                ) where change <> 0
            ) where now = 0 or now = change
        )
    )"""


def _added(one: _Sum, other: _Sum) -> _Sum:
    return one[0] + other[0], one[1] + other[1]
