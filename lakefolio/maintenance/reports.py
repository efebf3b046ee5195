"""The reports of maintenance calls: dicts for programs that print as text for people (pure: no I/O)."""

from __future__ import annotations

from lakefolio.render.report import Report
from lakefolio.render.text import counted, counted_as, format_bytes

__all__ = ["CompactReport", "DoctorReport", "GcReport", "RepairReport", "WhyReport"]


class CompactReport(Report):
    """What compaction did, for each table: ``files_before``, ``files_after``, ``checkpoint_version``."""

    def __str__(self) -> str:
        """Lines for people."""
        return "\n".join(
            f"{name:<10} {one['files_before']} -> {counted(one['files_after'], 'file')}, checkpoint at version "
            f"{one['checkpoint_version']}"
            for name, one in self.items()
        )


class GcReport(Report):
    """What gc found and did (or, as a dry run, would do), in blobs and bytes; see ``Lake.gc``.

    ``stored_…`` is all objects; ``found_…`` those that nothing needs; of these ``kept_by_grace_…`` are young,
    ``purged_…`` were purged now, ``deleted_…`` are gone (including those purged before); ``needed_meanwhile_…``
    were saved by somebody who came between. ``purged_inline`` contents lay inline, ``purged_inline_bytes`` in all;
    ``rewritten_files`` table files held them. ``reasons`` says why, ``largest`` names the largest.
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
        if self["dry_run"] and self["largest"]:
            lines.append("the largest (`lakefolio why DIGEST` says what refers to it):")
            lines += [f"  {format_bytes(one['bytes']):>10}  {one['key']}" for one in self["largest"][:3]]
        if self["kept_by_grace_blobs"]:
            lines.append(f"kept back, younger than {_lasting(self['grace_s'])}: {self._of('kept_by_grace')}")
        if self["needed_meanwhile_blobs"]:
            lines.append(f"needed again meanwhile: {self._of('needed_meanwhile')}")
        for name in _LEFT:
            if self[name]:
                lines.append(f"{_LEFT[name]}: {self[name]:,}")
        if "history" in self["reasons"] or self["purged_inline"]:
            lines.append("names, metadata, metric points, events and messages stay: only content can be deleted")
        if self["dry_run"] and any(self[name] for name in ("deleted_blobs", "purged_inline", "tickets", "table_files")):
            lines.append("this was a dry run: nothing is deleted without --delete (in Python: dry_run=False)")
        return "\n".join(lines)

    def _of(self, name: str) -> str:
        return f"{counted(self[f'{name}_blobs'], 'blob')} ({format_bytes(self[f'{name}_bytes'])})"


def _lasting(seconds: float) -> str:
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            return counted_as(seconds / size, unit)
    return counted_as(seconds, "second")


_WHY = {
    "orphan": "no entry refers to it",
    "history": "only superseded entries refer to it",
    "purged-before": "purged by an earlier gc",
}
_LEFT = {
    "purged_inline": "contents that lay inline",
    "rewritten_files": "table files rewritten without them",
    "tickets": "tickets of dead writers",
    "table_files": "table files that no version needs",
    "unfinished_uploads": "unfinished writes",
    "foreign_objects": "objects below blobs/ that are no blobs, left alone",
}


class WhyReport(Report):
    """Why content is kept; see ``Lake.why``. One of ``blobs`` for each object."""

    def __str__(self) -> str:
        """Lines for people."""
        lines = []
        for blob in self["blobs"]:
            lines.append(f"{blob['key']}  {format_bytes(blob['stored_bytes'])}{'  purged' if blob['purged'] else ''}")
            for name in ("heads", "snapshots", "aliases", "runs", "events", "history"):
                some = blob[name][:10]
                more = len(blob[name]) - len(some)
                if some:
                    what = {"heads": "live", "aliases": "alias", "history": "history"}.get(name, name.removesuffix("s"))
                    lines.append(f"  {what:<9} {', '.join(some)}" + (f" and {more:,} more" if more else ""))
        if not lines:
            return f"{self['ref']} keeps no object: its content lies in the tables, or elsewhere"
        exclusive, shared = format_bytes(self["exclusive_bytes"]), format_bytes(self["shared_bytes"])
        lines.append(f"{exclusive} exclusive, {shared} shared with others")
        return "\n".join(lines)


class RepairReport(Report):
    """The objects that a repair brought back (``repaired``) or could not (``left``), by ``kind`` and ``object``."""

    def __str__(self) -> str:
        """Lines for people."""
        would = "would bring back" if self["dry_run"] else "brought back"
        lines = [f"{would} {counted(len(self['repaired']), 'object')}, {len(self['left']):,} stay lost"]
        lines += [f"  {one['kind']:<12} {one['object']}" for one in self["repaired"][:50]]
        lines += [f"  lost: {one['message']}" for one in self["left"][:50]]
        return "\n".join(lines)


class DoctorReport(Report):
    """The findings of doctor about a place; ``findings`` with ``name``, ``level``, ``message``, ``hint``."""

    def __str__(self) -> str:
        """Lines for people."""
        lines = [f"{self['uri']}: {'fit for a lake' if self['ok'] else 'not fit for a lake: do not write here'}"]
        for one in self["findings"]:
            lines.append(f"  {one['level']:<8} {one['name']:<12} {one['message']}")
            if one["hint"] and one["level"] != "ok":
                lines.append(f"  {'':<21} {one['hint']}")
        return "\n".join(lines)
