"""Checking the entries of a journal part by part, in SQL: only rows that are doubtful become Python values.

Names, what every entry has, the digests of inline content. What is needed of all entries later is kept: the objects
they refer to, as rows of the workbench, the rows that name tables of records and, where data is to be read, content
outside of the journal (``stored_objects``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.errors import IntegrityError, InvalidInputError
from lakefolio.format.layout import BLOBS, check_digest
from lakefolio.format.names import check_folio, check_item, check_snapshot
from lakefolio.format.table_formats import RECORDS as KIND
from lakefolio.maintenance.check_report import CheckReport, Problem
from lakefolio.model.entries import Entry, Stored, content_from_row
from lakefolio.render.text import counted

if TYPE_CHECKING:
    from lakefolio.maintenance.stored_objects import StoredObjects
    from lakefolio.model.state import State
    from lakefolio.storage import ObjectInfo
    from lakefolio.views.workbench import Workbench

__all__ = ["EntryCheck"]

_PLAIN: Final = r"\A[A-Za-z0-9_-]+(?:[./ ][A-Za-z0-9_-]+)*\z"
_PLAIN_LENGTH: Final = 255
_LISTED: Final = {"key": pa.string(), "size_bytes": pa.int64(), "archive": pa.string()}

_REQUIRED: Final = ("entry_id", "kind", "storage")
"""What every entry has, beside what every row of the journal has."""


def _is_doubtful(name: str) -> str:
    """Return the condition that a text may be that of no JSON object; Python has the last word on it."""
    brackets = f"length({name}) - length(replace(replace({name}, '[', ''), '{{', ''))"
    plain = f"json_valid({name}) and ltrim({name}, ' \t\r\n') like '{{%' and {brackets} < 100"
    digits = f"contains(translate({name}, '123456789', '000000000'), repeat('0', 1000))"  # a regex is slow to compile
    is_long = f"if(length({name}) < 1000, false, {digits})"
    return f"coalesce({name} <> '' and not ({plain} and not {is_long}), false)"


_IS_ENTRY: Final = "op in ('put', 'event_blob')"
_DOUBTFUL: Final = " or ".join(
    [
        *(f"{name} is null" for name in _REQUIRED),
        "(op = 'put' and (folio is null or item is null))",
        f"(op = 'put' and {_is_doubtful('details')})",
        _is_doubtful("extra"),
    ]
)
_INLINE_WRONG: Final = """
    storage = 'inline' and (content is null or ('sha256:' || sha256(content))
    is distinct from if(coalesce(strlen(blob_digest), 0) > 0, blob_digest, digest))"""
_FOUND: Final = {
    "odd-names": "op in ('put', 'snapshot') and (snapshot is not null or "
    + " or ".join(
        f"coalesce(strlen({name}) > {_PLAIN_LENGTH} or not regexp_matches({name}, '{_PLAIN}'), false)"
        for name in ("folio", "item")
    )
    + ")",
    "doubtful": f"{_IS_ENTRY} and ({_DOUBTFUL})",
    "inline-wrong": f"{_IS_ENTRY} and {_INLINE_WRONG}",
    "blobs": "storage = 'blob'",
    "records": f"kind = '{KIND}'",
    "purges": "op = 'purge'",
}
"""What there may be among rows that more has to be asked about. A sound part has none of the first three, but for names
in other scripts and of snapshots."""
_ENTRIES: Final = f"""(
    select * replace (
        if(op = 'put', folio, 'event') as folio,
        if(op = 'put', item, entry_id) as item,
        if(op = 'put', details, null) as details
    )
    from {{rows}} where {_IS_ENTRY}
)"""
_OF_INLINE: Final = ("folio", "item", "version", "kind", "storage", "blob_digest", "generation")
_KEY: Final = f"""
    '{BLOBS}/' || substr(blob_digest, 8, 2) || '/' || substr(blob_digest, 8)
    || if(generation > 0, '.' || generation, '')
"""


class EntryCheck:
    """Checks entries and adds what is wrong with them to a report.

    Attributes:
        count: How many entries can be read.
    """

    def __init__(self, bench: Workbench, state: State, report: CheckReport, stored: StoredObjects | None) -> None:
        """Begin.

        Args:
            bench: Where SQL is run.
            state: What was purged.
            report: Where problems go.
            stored: Where the rows of entries go whose objects are to be read.
        """
        self._bench = bench
        self._state = state
        self._report = report
        self._stored = stored
        if stored is not None:
            stored.clear()
        self._bad_names: set[tuple[str, str]] = set()
        self._records: list[pa.Table] = []
        self._refers = False
        self.count = 0
        bench.run(
            "create or replace table blobs (blob_digest varchar, generation integer, version bigint, ordinal integer, "
            "stored_bytes bigint, folio varchar, item varchar)"
        )
        bench.run("create or replace table purged (blob_digest varchar, generation integer)")

    def add(self, rows: str, *, inline: bool) -> None:
        """Check rows of the journal, of which ``RowNumbers`` in the same workbench has taken note.

        Args:
            rows: What stands for them, see ``Workbench.part``.
            inline: Whether they are as the data files hold them, inline content included.
        """
        conditions = {name: one for name, one in _FOUND.items() if inline or name != "inline-wrong"}
        judged = f"(from {rows} where {_IS_ENTRY} or op in ('purge', 'snapshot'))"
        found = self._bench.some(judged, conditions | {"gaps": "exists (from seen where gaps)"})
        if "odd-names" in found:
            self._check_names(rows)
        entries = _ENTRIES.format(rows=rows if found.isdisjoint(("doubtful", "gaps")) else self._readable(rows))
        if "inline-wrong" in found:
            self._check_inline(entries)
        self.count += self._bench.run(f"select count(*) from {entries}")[0][0]
        if "blobs" in found:
            self._refers = True
            self._bench.run(
                "insert into blobs "
                "select blob_digest, coalesce(generation, 0), version, ordinal, stored_bytes, folio, item "
                f"from {entries} where storage = 'blob'"
            )
        if "purges" in found:
            self._bench.run(
                "insert into purged select blob_digest, coalesce(generation, 0) "
                f"from {rows} where op = 'purge' and blob_digest is not null"
            )
        if "records" in found:
            some = f"select * exclude (content), null::blob as content from {entries}"
            self._records.append(self._bench.arrow(f"{some} where kind = '{KIND}'"))
        if self._stored is not None:
            outside = "storage <> 'inline' or kind = 'table'"
            some = f"select * exclude (content, inputs, facts) from {entries}"
            self._stored.add(self._bench.arrow(f"{some} where {outside} order by version, ordinal"))

    def records(self) -> list[Entry]:
        """Return the entries that name tables of records."""
        return _entries(self._records)

    def check_blobs(self, listed: Iterable[ObjectInfo], refresh: Callable[[], State], report: CheckReport) -> None:
        """Compare the objects that entries refer to with those that there are.

        Args:
            listed: All objects below ``blobs/``.
            refresh: Gives the newest state: a gc beside this check may have purged what is missing.
            report: Where problems go.
        """
        bench = self._bench
        if not self._refers:
            report.counts |= {"blobs": 0, "blob_bytes": 0, "orphans": sum(1 for _ in listed)}
            return
        for row in bench.arrow(
            r"select * from blobs where not coalesce(regexp_full_match(blob_digest, 'sha256:[0-9a-f]{64}'), false)"
        ).to_pylist():
            try:
                check_digest(row["blob_digest"] or "")
            except IntegrityError as exc:
                report.problems.append(Problem("bad-digest", _ref(row), f"{_ref(row)}: {exc.message}"))
        place = "version * 4294967296 + ordinal"
        firsts = ", ".join(f"arg_min({name}, {place}) as {name}" for name in ("stored_bytes", "folio", "item"))
        bench.run(f"""
            create or replace table expected as
            select *, {_KEY} as key from (
                select blob_digest, generation, min(version) as version, {firsts} from (
                    select b.* from blobs as b
                    left join (select blob_digest, max(generation) as gone from purged group by blob_digest) as p
                    on b.blob_digest = p.blob_digest
                    where b.generation > coalesce(p.gone, -1)
                    and regexp_full_match(b.blob_digest, 'sha256:[0-9a-f]{{64}}')
                ) group by blob_digest, generation
            )""")
        bench.keep("listed", _LISTED, ((one.key, one.size_bytes, one.archive) for one in listed))
        found = bench.arrow("""
            select e.*, l.key is not null as there, l.size_bytes as found_bytes, l.archive
            from expected as e left join listed as l on e.key = l.key
            where l.key is null or l.size_bytes is distinct from e.stored_bytes or l.archive is not null
            order by e.version, e.key""").to_pylist()
        newest = refresh() if any(not row["there"] for row in found) else self._state
        gone = 0
        for row in found:
            if row["generation"] < newest.generation(row["blob_digest"]):
                gone += 1
                continue
            key, ref = row["key"], _ref(row)
            if not row["there"]:
                report.problems.append(Problem("blob-missing", key, f"blob {key} of {ref} is missing"))
            elif row["found_bytes"] != row["stored_bytes"]:
                size = counted(row["found_bytes"], "byte")
                message = f"blob {key} of {ref} has {size}, expected {row['stored_bytes']}"
                report.problems.append(Problem("blob-truncated", key, message))
            else:
                message = (
                    f"blob {key} of {ref} lies in the storage class {row['archive']}: restore it before it is read"
                )
                report.problems.append(Problem("blob-archived", key, message))
        count, stored = bench.run(
            "select count(*), coalesce(sum(l.size_bytes), 0) from expected as e left join listed as l on e.key = l.key"
        )[0]
        orphans = bench.run("select count(*) from listed anti join expected using (key)")[0][0]
        report.counts |= {"blobs": count - gone, "blob_bytes": int(stored), "orphans": orphans}

    def _check_names(self, rows: str) -> None:
        """Report invalid names (FORMAT.md, "Names"): a name of another writer may lead out of a folder."""
        checks: dict[str, Callable[[object], str]] = {
            "folio": check_folio,
            "item": check_item,
            "snapshot": check_snapshot,
        }
        for column, check_name in checks.items():
            some = f"select distinct {column} from {rows} where op in ('put', 'snapshot') and {column} is not null"
            names = self._bench.arrow(some).column(0)
            if column != "snapshot":
                plain = pc.and_(
                    pc.match_substring_regex(names, _PLAIN), pc.less_equal(pc.binary_length(names), _PLAIN_LENGTH)
                )
                names = names.filter(pc.invert(plain))
            for name in names.to_pylist():
                try:
                    check_name(name)
                except InvalidInputError as exc:
                    if (column, name) not in self._bad_names:
                        self._bad_names.add((column, name))
                        self._report.problems.append(Problem("bad-name", name, exc.message))

    def _readable(self, rows: str) -> str:
        """Return the rows without those that no entry can be made of; report these."""
        bench, bad = self._bench, []
        entries = f"(from {rows} where {_IS_ENTRY})"
        bench.run(
            "create or replace temp table doubtful as select version, ordinal from seen where gaps "
            f"union all select version, ordinal from {entries} where {_DOUBTFUL}"
        )
        found = f"select * from {entries} semi join doubtful using (version, ordinal) order by version, ordinal"
        for row in bench.arrow(found).to_pylist():
            try:
                content_from_row(row)
            except IntegrityError as exc:
                self._report.problems.append(Problem(exc.kind, _ref(row), exc.message))
                bad.append(f"({row['version']}, {row['ordinal']})")
        return f"(from {rows} where (version, ordinal) not in ({', '.join(bad)}))" if bad else rows

    def _check_inline(self, entries: str) -> None:
        """Compare inline content with its digests; purged content may be there or not."""
        found = self._bench.arrow(
            f"select {', '.join(_OF_INLINE)}, content is not null as is_there from {entries} "
            f"where {_INLINE_WRONG} order by version, ordinal"
        )
        for row in found.to_pylist():
            ref = _ref(row)
            if row["is_there"]:
                message = f"inline content of {ref} does not match its digest"
                self._report.problems.append(Problem("inline-damaged", ref, message))
            elif not self._state.is_purged(Stored(**{name: row[name] for name in _OF_INLINE[3:]})):
                message = f"inline content of {ref} is missing"
                self._report.problems.append(Problem("inline-missing", ref, message))


def _entries(tables: list[pa.Table]) -> list[Entry]:
    rows = (row for table in tables for row in table.to_pylist())
    return [entry for row in rows if (entry := content_from_row(row)) is not None]


def _ref(row: dict[str, Any]) -> str:
    return f"{row['folio']}:{row['item']}@{row['version']}"
