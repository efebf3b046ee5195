"""What mutating and summarising calls return: a dict for programs that prints as text for people (pure: no I/O)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from lakefolio.lake import Lake

__all__ = [
    "CompactReport",
    "DoctorReport",
    "GcReport",
    "Info",
    "RepairReport",
    "Report",
    "RestoreReport",
    "Stats",
    "WhyReport",
    "format_bytes",
]


def format_bytes(count: float) -> str:
    """Return a number of bytes for people: ``1.5 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(count) < 1024 or unit == "TiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def counted(count: int, what: str) -> str:
    """Return a number with its word: ``1 item``, ``2,000 entries``."""
    many = what[:-1] + "ies" if what.endswith("y") else what + "s"
    return f"{count:,} {what if count == 1 else many}"


class Report(dict[str, Any]):
    """A JSON-able dict whose values are attributes too; ``str`` gives lines for people."""

    title = ""

    def __getattr__(self, name: str) -> Any:
        """Give a value as an attribute."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no {name!r}; it has {', '.join(self)}") from None

    def __str__(self) -> str:
        """Lines for people."""
        width = max((len(name) for name in self), default=0)
        lines = [f"{name.replace('_', ' '):<{width}}  {_shown(name, value)}" for name, value in self.items()]
        return "\n".join(([self.title] if self.title else []) + lines)

    def __repr__(self) -> str:
        return str(self)


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name.endswith("bytes"):
        return format_bytes(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


class Info(Report):
    """What a lake is; see ``Lake.info``."""


class RestoreReport(Report):
    """What a restore brought back (or, as a dry run, would): ``version``, ``changed``, ``dry_run``."""

    @classmethod
    def of(
        cls, rows: Sequence[Mapping[str, Any]], version: int, *, dry_run: bool, at: int | str | datetime
    ) -> RestoreReport:
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
            metadata_changes=sum(row.get("metadata_count") or 0 for row in rows if row["op"] == "annotate"),
        )

    def __str__(self) -> str:
        """Lines for people."""
        counts = Counter(one["action"] for one in self["changed"])
        what = ", ".join(f"{count} {action}" for action, count in sorted(counts.items())) or "nothing to change"
        would = "would restore" if self["dry_run"] else "restored"
        named = "" if str(self["version"]) == self["at"] else f" ({self['at']})"
        head = f"{would} to version {self['version']}{named}: {what}"
        lines = [f"  {one['action']:<13} {one['folio']}:{one['item']}" for one in self["changed"][:20]]
        more = len(self["changed"]) - 20
        return "\n".join([head, *lines, *([f"  … and {more} more"] if more > 0 else [])])


class CompactReport(Report):
    """What compaction did, for each table: ``files_before``, ``files_after``, ``checkpoint_version``."""

    def __str__(self) -> str:
        """Lines for people."""
        return "\n".join(
            f"{name:<10} {one['files_before']} -> {one['files_after']} files, checkpoint at version "
            f"{one['checkpoint_version']}"
            for name, one in self.items()
        )


class GcReport(Report):
    """What gc found and did (or, as a dry run, would do), in blobs and bytes; see ``Lake.gc``.

    ``stored_…`` is all objects; ``found_…`` those that nothing needs; of these ``kept_by_grace_…`` are young,
    ``purged_…`` were given up now, ``deleted_…`` are gone (those given up before included); ``needed_meanwhile_…``
    were saved by somebody who came between. ``reasons`` says why, ``largest`` names the largest.
    """

    def __str__(self) -> str:
        """Lines for people."""
        would = "would delete" if self["dry_run"] else "deleted"
        lines = [
            f"version {self['version']:,}: {would} {self._of('deleted')} of {self._of('stored')}",
            *(
                f"  {_WHY.get(name, name):<46} {counted(one['blobs'], 'blob'):>14} {format_bytes(one['bytes']):>10}"
                for name, one in self["reasons"].items()
            ),
        ]
        if self["kept_by_grace_blobs"]:
            lines.append(f"kept back, younger than {self['grace_s']:,.0f} s: {self._of('kept_by_grace')}")
        if self["needed_meanwhile_blobs"]:
            lines.append(f"needed again meanwhile: {self._of('needed_meanwhile')}")
        for name in ("tickets", "table_files", "unfinished_uploads", "foreign_objects"):
            if self[name]:
                lines.append(f"{_LEFT[name]}: {self[name]:,}")
        return "\n".join(lines)

    def _of(self, name: str) -> str:
        return f"{counted(self[f'{name}_blobs'], 'blob')} ({format_bytes(self[f'{name}_bytes'])})"


_WHY = {
    "orphan": "no entry refers to it",
    "history": "only superseded entries refer to it",
    "purged-before": "given up by an earlier gc",
}
_LEFT = {
    "tickets": "tickets of dead writers",
    "table_files": "table files that no version names",
    "unfinished_uploads": "unfinished writes",
    "foreign_objects": "objects below blobs/ that are no blobs, left alone",
}


class WhyReport(Report):
    """What keeps content alive; see ``Lake.why``. One of ``blobs`` for each object."""

    def __str__(self) -> str:
        """Lines for people."""
        lines = []
        for blob in self["blobs"]:
            lines.append(f"{blob['key']}  {format_bytes(blob['stored_bytes'])}{'  given up' if blob['purged'] else ''}")
            for name in ("heads", "snapshots", "runs", "events", "history"):
                some = blob[name][:10]
                more = len(blob[name]) - len(some)
                if some:
                    what = {"heads": "live", "snapshots": "snapshot", "runs": "run", "events": "event"}.get(name, name)
                    lines.append(f"  {what:<9} {', '.join(some)}" + (f" and {more:,} more" if more else ""))
        if not lines:
            return f"{self['ref']} has no objects: its content is inline or elsewhere"
        exclusive, shared = format_bytes(self["exclusive_bytes"]), format_bytes(self["shared_bytes"])
        lines.append(f"{exclusive} exclusive, {shared} shared with others")
        return "\n".join(lines)


class RepairReport(Report):
    """What a repair brought back (``repaired``) and could not (``left``), each with ``kind`` and ``object``."""

    def __str__(self) -> str:
        """Lines for people."""
        would = "would bring back" if self["dry_run"] else "brought back"
        lines = [f"{would} {counted(len(self['repaired']), 'object')}, {len(self['left']):,} stay lost"]
        lines += [f"  {one['kind']:<12} {one['object']}" for one in self["repaired"][:50]]
        lines += [f"  lost: {one['message']}" for one in self["left"][:50]]
        return "\n".join(lines)


class DoctorReport(Report):
    """What is well or ill with a place; ``findings`` with ``name``, ``level``, ``message``, ``hint``."""

    def __str__(self) -> str:
        """Lines for people."""
        lines = [f"{self['uri']}: {'fit for a lake' if self['ok'] else 'not fit for a lake: do not write here'}"]
        for one in self["findings"]:
            lines.append(f"  {one['level']:<8} {one['name']:<12} {one['message']}")
            if one["hint"] and one["level"] != "ok":
                lines.append(f"  {'':<21} {one['hint']}")
        return "\n".join(lines)


class Stats(Report):
    """What a lake holds and costs; see ``Lake.stats``."""

    @classmethod
    def of(cls, lake: Lake) -> Stats:
        """Collect the numbers; the views ``storage_savings``, ``entries`` and ``commits`` say the same."""
        folios = lake.sql("select * from storage_savings order by folio nulls first").pl().to_dicts()
        totals = lake.sql(
            "select (select count(*) from items) as items, (select count(*) from entries) as entries, "
            "(select count(*) from commits) as commits, (select count(*) from snapshots) as snapshots, "
            "(select count(*) from lineage_edges) as lineage_edges"
        ).fetchone()
        assert totals is not None
        names = ("item_count", "entry_count", "commit_count", "snapshot_count", "lineage_edge_count")
        return cls(**dict(zip(names, totals, strict=True)), version=lake.version, folios=folios)

    def __str__(self) -> str:
        """Lines for people."""
        lines = [
            f"version {self['version']:,}: "
            + ", ".join(
                counted(self[f"{what}_count"], what.replace("_", " "))
                for what in ("item", "entry", "commit", "snapshot", "lineage_edge")
            )
        ]
        for row in self["folios"]:
            logical, stored = row.get("logical_bytes") or 0, row.get("stored_bytes") or 0
            name = row.get("folio") or "(whole lake)"
            lines.append(f"  {name:<30} {format_bytes(logical):>10} logical, {format_bytes(stored):>10} stored")
        return "\n".join(lines)
