"""The reports of a lake, and of a restore: dicts that print as text for people (pure: no I/O)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from lakefolio.format.names import is_own_folio
from lakefolio.render import html
from lakefolio.render.report import Report
from lakefolio.render.text import counted, format_bytes
from lakefolio.terminal import cell_count, padded

if TYPE_CHECKING:
    import duckdb

    from lakefolio.model.resolve import At
    from lakefolio.model.totals import Total

__all__ = ["Info", "RestoreReport", "Stats"]

_COUNTS: Final = """
with made_of as (
    -- an entry that is put again says the same again
    select any_value(lineage_count) as edges from entries where lineage_count > 0 group by entry_id
    union all
    select len(inputs) from stg_manifests where op = 'run'
)

select
    (select count(*) from entries) as entry_count,
    (select count(*) from commits) as commit_count,
    (select count(*) from snapshots) as snapshot_count,
    (select coalesce(sum(edges), 0)::bigint from made_of) as lineage_edge_count
"""


class Info(Report):
    """Address, version and counts of a lake; see ``Lake.info``."""


class RestoreReport(Report):
    """The changes of a restore (of a dry run: those it would make): ``version``, ``changed``, ``dry_run``."""

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]], version: int, *, dry_run: bool, at: At) -> RestoreReport:
        """Make the report of the ``manifests`` rows of a restore."""
        changed = [
            {
                "folio": row["folio"],
                "item": row["item"],
                "action": "removed" if row["op"] == "delete" else "brought back",
            }
            for row in rows
            if row["op"] in ("put", "delete")
        ]
        return cls(
            at=str(at),
            version=version,
            dry_run=dry_run,
            changed=changed,
            metadata_changes=sum(len(row.get("facts") or ()) for row in rows if row["op"] == "annotate"),
        )

    def __str__(self) -> str:
        """Lines for people."""
        counts = Counter(one["action"] for one in self["changed"])
        what = ", ".join(f"{count} {action}" for action, count in sorted(counts.items())) or "nothing to change"
        would = "would restore" if self["dry_run"] else "restored"
        said = self["at"].removeprefix("@")
        named = "" if str(self["version"]) == said else f" ({said})"
        head = f"{would} to version {self['version']}{named}: {what}"
        lines = [f"  {one['action']:<13} {one['folio']}:{one['item']}" for one in self["changed"][:20]]
        more = len(self["changed"]) - 20
        return "\n".join([head, *lines, *([f"  … and {more} more"] if more > 0 else [])])


class Stats(Report):
    """Counts and sizes of a lake; see ``Lake.stats``."""

    @classmethod
    def of(
        cls,
        query: Callable[[str], duckdb.DuckDBPyRelation],
        totals: Mapping[str, Total],
        version: int,
        *,
        every_folio: bool,
    ) -> Stats:
        """Collect the numbers; the views of these names and ``storage_savings`` say the same.

        Edges are counted off the entries: the view of them would hold the inputs of all.
        """
        savings = query("select * from storage_savings order by folio nulls first")
        folios: list[dict[str, Any]] = []
        left_out: list[dict[str, Any]] = []
        for values in savings.fetchall():
            row = dict(zip(savings.columns, values, strict=True))
            own = row["folio"] and is_own_folio(row["folio"])
            (left_out if own and not every_folio else folios).append(row)
        hidden = {name: sum(row[name] or 0 for row in left_out) for name in ("logical_bytes", "stored_bytes")}
        counted_rows = query(_COUNTS)
        counts = counted_rows.fetchone()
        assert counts is not None
        own = sum(total.item_count for folio, total in totals.items() if is_own_folio(folio))
        return cls(
            item_count=sum(total.item_count for total in totals.values()),
            **dict(zip(counted_rows.columns, counts, strict=True)),
            version=version,
            folios=folios,
            hidden={"folio_count": len(left_out), "item_count": 0 if every_folio else own, **hidden},
        )

    def __str__(self) -> str:
        """Lines for people."""
        sizes = self.sizes()
        width = max((cell_count(name) for name, _, _ in sizes), default=0)
        lines = [
            f"  {padded(name, width)} {logical:>10} logical, {stored:>10} stored" for name, logical, stored in sizes
        ]
        return "\n".join([self._title(), *lines])

    def _repr_html_(self) -> str:
        headings = ("folio", "logical", "stored")
        return html.block(html.muted(self._title()), html.row_table(headings, self.sizes(), right=headings[1:]))

    def _title(self) -> str:
        hidden = self["hidden"]["item_count"]
        own = f" and {hidden:,} of runs and records" if hidden else ""
        items = f"{counted(self['item_count'] - hidden, 'item')}{own}"
        counts = ("entry", "commit", "snapshot", "lineage_edge")
        said = ", ".join([items, *(counted(self[f"{what}_count"], what.replace("_", " ")) for what in counts)])
        together = " (writers at once share a version)" if self["commit_count"] > self["version"] else ""
        return f"version {self['version']:,}: {said}{together}"

    def sizes(self) -> list[tuple[str, str, str]]:
        """Return names of folios with their logical and their stored size, for people."""
        hidden = self["hidden"]
        summed = {"folio": f"({counted(hidden['folio_count'], 'folio')} of runs and records)", **hidden}
        rows = [*self["folios"], *([summed] if hidden["folio_count"] else [])]
        names = [row.get("folio") or "(whole lake)" for row in rows]
        return [
            (name, format_bytes(row.get("logical_bytes") or 0), format_bytes(row.get("stored_bytes") or 0))
            for name, row in zip(names, rows, strict=True)
        ]
