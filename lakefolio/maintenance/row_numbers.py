"""What a check keeps of each row of a journal: where it stands, and hashes of what it has in common with others.

Rows pass once. Their texts stay in the files: a table here has a few numbers for each row, input and fact, and spills
to temporary files, so that groups, joins and windows over a journal of any length take bounded memory. A column with
the name of something that is a text (``entry``, ``digest``) is its hash; ``own`` is that of a whole row of a read
model, but for what depends on other rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.format.sql_text import sql_id
from lakefolio.readmodels.model import Model, succession
from lakefolio.readmodels.models import ENTRIES, FOLIOS, LINEAGE, USES
from lakefolio.readmodels.totals import TOTALS
from lakefolio.views.workbench import hash_of

if TYPE_CHECKING:
    from lakefolio.views.workbench import Workbench

__all__ = ["DELETE", "EVENT", "PLACE", "PUT", "RowNumbers", "own_columns", "own_hash"]

PUT, DELETE, EVENT = 1, 2, 3
"""Of ops, in the table ``seen``."""

PLACE: Final = "version * 4294967296 + ordinal"
"""A number that sorts like the place of a row in the journal."""

_SAID: Final = "hash(inputs, facts)"
_HASHED: Final = {
    "hash(folio, item)": ("folio", "item"),
    "hash(entry_id)": ("entry_id",),
    "hash(digest)": ("digest",),
    "hash(blob_digest)": ("blob_digest",),
    _SAID: ("inputs", "facts"),
}
"""Hashes of columns of an entry that are kept, too: to hash such a column twice costs as much as to decode it."""
_GAPS: Final = """
    coalesce(len(inputs), 0) + coalesce(len(facts), 0)
    <> coalesce(list_count(list_transform(inputs, one -> one.input_kind)), 0)
    + coalesce(list_count(list_transform(facts, one -> one.key)), 0)"""
"""Says that an input has no kind or a fact no key, or that one of them is null."""
_OBJECTS: Final = "('blob', 'chunked', 'packed', 'inline')"
_SOURCE: Final = "if(input_kind = 'external', coalesce(input_uri, input_id), coalesce(input_id, input_uri))"


def own_columns(model: Model) -> list[str]:
    """Return the columns of a row of a model that do not depend on other rows."""
    others = {one.name for one in succession(model.position)} if model.succeeding else set()
    return [name for name in model.schema.names if name not in others]


def own_hash(model: Model) -> str:
    """Return the expression of the hash of these columns."""
    names = own_columns(model)
    if model is FOLIOS:
        return "hash(hash(folio), version, ordinal)"
    if model is TOTALS:
        return f"hash(hash(folio), {', '.join(names[1:])})"
    if model is USES:
        return f"hash({hash_of(LINEAGE.schema.names, LINEAGE.schema)}, source_kind, source)"
    if model is ENTRIES:
        plain = [name for name in names if all(name not in some for some in _HASHED.values())]
        return f"hash({hash_of(plain, model.schema)}, {', '.join(_HASHED)}, inputs is null, facts is null)"
    return hash_of(names, model.schema)


_TABLES: Final = {
    "seen": "version bigint, ordinal integer, op utinyint, name ubigint, folio ubigint, entry ubigint, what ubigint, "
    "digest ubigint, size_bytes bigint, put_bytes bigint, archived boolean, stored_bytes bigint, "
    "blob ubigint, generation integer, own ubigint, gaps boolean",
    "edges": "version bigint, ordinal integer, is_entry boolean, subject ubigint, entry ubigint, own ubigint, "
    "own_use ubigint",
    "noted": "version bigint, ordinal integer, place integer, is_entry boolean, subject ubigint, key ubigint, "
    "removed boolean, own ubigint, wrong boolean",
    "pins": "version bigint, ordinal integer, entry ubigint, digest ubigint",
    "commit_rows": "version bigint, commit_id ubigint, first_at timestamptz, last_at timestamptz",
    "purges": "blob ubigint, generation integer",
    "batches": "batch_id varchar, run_id varchar, version bigint, row_count bigint",
}

_KEPT: Final = {
    "seen": f"""
        with hashed as (
            select *, hash(folio, item) as name, hash(entry_id) as entry, hash(digest) as digest_hash,
                hash(blob_digest) as blob, {own_hash(ENTRIES)} as own, {_GAPS} as gaps,
                hash(kind, hash(digest), hash(blob_digest), size_bytes, uri, {_SAID}) as what
            from {{rows}}
        )
        select version, ordinal,
            case op when 'put' then {PUT} when 'delete' then {DELETE} when 'event_blob' then {EVENT} else 0 end,
            name, hash(folio), entry, what, digest_hash,
            if(
                op = 'put' and storage in ('inline', 'blob') and kind <> 'table' and digest is not null,
                size_bytes, null
            ),
            if(op = 'put', coalesce(size_bytes, 0), null), op = 'put' and coalesce(archived, false),
            if(op = 'put' and storage = 'blob', stored_bytes, null),
            if(op <> 'purge' and storage in {_OBJECTS} and blob_digest is not null, blob, null),
            coalesce(generation, 0),
            if(op in ('put', 'delete') and folio is not null and item is not null, own, null), gaps
        from hashed""",
    "edges": f"""
        with told as (
            select version, ordinal, commit_id, op, folio as output_folio, item as output_item,
                if(op = 'put', 'entry', 'run') as output_kind, if(op = 'put', entry_id, run_id) as output_id,
                unnest(inputs) as edge, (generate_subscripts(inputs, 1) - 1)::integer as place
            from {{rows}} where op in ('put', 'run', 'annotate') and len(inputs) > 0
        ),
        named as (select * exclude (edge), edge.* from told),
        hashed as (
            select *, {hash_of(LINEAGE.schema.names, LINEAGE.schema)} as own, {_SOURCE} as source from named
        )
        select version, ordinal, op = 'put', if(output_id is null, null, hash(output_kind, output_id)),
            if(input_kind = 'entry' and op in ('put', 'run'), if(input_id is null, 0, hash(input_id)), null), own,
            if(input_kind is null or source is null, null, hash(own, input_kind, source))
        from hashed""",
    "noted": """
        with told as (
            select version, ordinal, commit_id, folio, item, op = 'put' as is_entry,
                case op when 'put' then 'entry' when 'run' then 'run' else if(folio is null, 'lake', 'folio') end
                as subject_kind,
                case op when 'put' then entry_id when 'run' then run_id else coalesce(folio, '') end as subject_id,
                unnest(facts) as fact, (generate_subscripts(facts, 1) - 1)::integer as place
            from {rows} where op in ('put', 'run', 'annotate') and len(facts) > 0
        ),
        named as (select * exclude (fact), fact.* from told)
        select version, ordinal, place, is_entry, hash(subject_kind, subject_id),
            if(subject_id is null or key is null, null, hash(subject_kind, subject_id, key)), value is null,
            hash(subject_kind, subject_id, key, version, ordinal, place, commit_id, folio, item, value, value_number),
            value is not null and not json_valid(value)
        from named""",
    "pins": """
        select version, ordinal, if(entry_id is null, 0, hash(entry_id)), hash(digest) from {rows} where op = 'pin'""",
    "commit_rows": """
        select version, hash(commit_id), min(committed_at), max(committed_at)
        from {rows} group by version, commit_id""",
    "purges": """
        select hash(blob_digest), coalesce(generation, 0) from {rows} where op = 'purge' and blob_digest is not null""",
    "batches": """
        select entry_id, run_id, version, row_count from {rows}
        where op in ('metrics', 'events') and entry_id is not null""",
    "snapshot_rows": "from {rows} where op in ('snapshot', 'drop_snapshot')",
}


_WANTED: Final = {
    "edges": "len(inputs) > 0",
    "noted": "len(facts) > 0",
    "pins": "op = 'pin'",
    "purges": "op = 'purge'",
    "batches": "op in ('metrics', 'events')",
    "snapshot_rows": "op in ('snapshot', 'drop_snapshot')",
    "deletes": "op = 'delete'",
}
"""What rows there must be for some of these tables to get any: most parts of most journals have few kinds of rows."""


class RowNumbers:
    """Keeps them, up to a version, in tables of a workbench: ``seen`` (a row for each), ``edges``, ``noted``, ….

    A caller knows the tables by name: there are too many questions to them for methods.

    Attributes:
        version: The version up to which rows are taken.
        present: The tables that may have rows, besides those that always have; ``"deletes"`` stands for rows that
            delete.
    """

    def __init__(self, bench: Workbench, version: int) -> None:
        """Begin with empty tables."""
        self._bench = bench
        self.version = version
        self.present: set[str] = set()
        for name, columns in _TABLES.items():
            bench.run(f"create or replace table {sql_id(name)} ({columns})")
        with bench.part(MANIFESTS_SCHEMA.empty_table()) as rows:
            bench.run(f"create or replace table no_manifests as from {rows}")
        bench.run("create or replace table snapshot_rows as from no_manifests")

    def add(self, rows: str) -> None:
        """Take rows of the journal; see ``Workbench.part``."""
        rows = f"(from {rows} where version <= {self.version})"
        found = self._bench.some(rows, _WANTED)
        self.present |= found
        for name, kept in _KEPT.items():
            if name in found or name not in _WANTED:
                self._bench.run(f"insert into {name} {kept.format(rows=rows)}")

    def complete(self) -> None:
        """Find the entries that were put twice, now that all rows were taken."""
        twice = f"select entry from seen where op = {PUT} group by entry having count(*) > 1"
        if self._bench.run(f"create or replace table put_twice as {twice}")[0][0]:  # how many rows it has
            self.present.add("put_twice")
