"""The difference of two versions (pure: no I/O); for one item or commit by commit, see ``log``.

Everything is read off the ``manifests`` rows in their total order, so it holds for any version that ever was,
whatever compaction and gc did since.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.format.arrow_rows import dicts_of
from lakefolio.format.names import is_own_folio
from lakefolio.history.log import in_order, is_in_order, text_table
from lakefolio.render import html
from lakefolio.render.report import AsText
from lakefolio.render.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["COMPARED", "Change", "Diff", "diff"]

COMPARED = (
    "folio",
    "item",
    "version",
    "op",
    "entry_id",
    "kind",
    "digest",
    "uri",
    "size_bytes",
    "row_count",
    "description",
    "tags",
    "archived",
    "inputs",
    "facts",
    "details",
)
"""The columns that are read."""


@dataclass(frozen=True, slots=True)
class Change:
    """How one item differs between two versions.

    Attributes:
        change: ``"added"``, ``"removed"`` or ``"changed"``.
        aspects: The parts of a changed item that differ: ``content``, ``description``, ``tags``, ``metadata``,
            ``inputs``, ``archived``; ``entry`` if it was merely put again.
        old_version: The version that put the old entry; None if the item was added.
        new_version: The version that put the new entry; None if the item was removed.
    """

    folio: str
    item: str
    change: str
    aspects: tuple[str, ...] = ()
    kind: str | None = None
    old_version: int | None = None
    new_version: int | None = None
    old_digest: str | None = None
    new_digest: str | None = None
    old_size_bytes: int | None = None
    new_size_bytes: int | None = None
    old_row_count: int | None = None
    new_row_count: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The attributes as JSON-able values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"aspects": list(self.aspects)}


class Diff(AsText):
    """The difference of two versions of a lake or folio. Iterable over the changes; prints as a table.

    Attributes:
        a: The version compared from.
        b: The version compared to.
        folio: The folio compared, or None for the whole lake.
        added: The items that are in ``b`` only, by folio and name.
        removed: The items that are in ``a`` only.
        changed: The items that are in both and differ.
        unchanged_count: How many items are the same.
    """

    def __init__(self, a: int, b: int, folio: str | None, changes: Sequence[Change], unchanged_count: int) -> None:
        self.a = a
        self.b = b
        self.folio = folio
        self.added = [one for one in changes if one.change == "added"]
        self.removed = [one for one in changes if one.change == "removed"]
        self.changed = [one for one in changes if one.change == "changed"]
        self.unchanged_count = unchanged_count

    def __iter__(self) -> Iterator[Change]:
        return iter([*self.added, *self.removed, *self.changed])

    def __len__(self) -> int:
        return len(self.added) + len(self.removed) + len(self.changed)

    def to_dict(self) -> dict[str, Any]:
        """The whole as JSON-able values."""
        return {
            "a": self.a,
            "b": self.b,
            "folio": self.folio,
            "added": [one.to_dict() for one in self.added],
            "removed": [one.to_dict() for one in self.removed],
            "changed": [one.to_dict() for one in self.changed],
            "unchanged_count": self.unchanged_count,
        }

    def __str__(self) -> str:
        return self.listed()

    def _repr_html_(self) -> str:
        rows, own = self._rows(every_folio=False)
        headings = ("", "item", "kind", "what changed", "size")
        table = [html.row_table(headings, rows)] if rows else []
        return html.block(html.muted(self._title()), *table, *map(html.muted, own))

    def listed(self, *, every_folio: bool = False) -> str:
        """Return the changes as lines of text.

        Args:
            every_folio: List those in folios that the library keeps for itself, as of runs, too; else they are counted
                where the whole lake was compared.
        """
        rows, own = self._rows(every_folio=every_folio)
        return "\n".join([self._title(), *text_table(rows), *(f"  ({one})" for one in own)])

    def _title(self) -> str:
        what = f"folio {self.folio}" if self.folio is not None else "lake"
        counts = f"{len(self.added):,} added, {len(self.removed):,} removed, {len(self.changed):,} changed"
        return f"{what}, version {self.a} to {self.b}: {counts}, {self.unchanged_count:,} unchanged"

    def _rows(self, *, every_folio: bool) -> tuple[list[tuple[str, ...]], list[str]]:
        """Return the cells of each change, and what is said of those that are not shown."""
        rows: list[tuple[str, ...]] = []
        own_count = 0
        for sign, changes in (("+", self.added), ("-", self.removed), ("~", self.changed)):
            for one in changes:
                if self.folio is None and not every_folio and is_own_folio(one.folio):
                    own_count += 1
                    continue
                name = one.item if self.folio is not None else f"{one.folio}:{one.item}"
                rows.append((sign, name, one.kind or "", ", ".join(one.aspects), _sizes(one)))
        return rows, [f"{counted(own_count, 'change')} in folios of runs and records"] if own_count else []


def _sizes(one: Change) -> str:
    def shown(size: int | None, rows: int | None) -> str:
        return "" if size is None else f"{size:,} B" + ("" if rows is None else f", {counted(rows, 'row')}")

    old, new = shown(one.old_size_bytes, one.old_row_count), shown(one.new_size_bytes, one.new_row_count)
    return f"{old} -> {new}" if old and new and "content" in one.aspects else new or old


def diff(manifests: pa.Table, a: int, b: int, folio: str | None = None, *, live: int | None = None) -> Diff:
    """Compare the items live at version ``a`` with those live at version ``b`` (which may be the earlier).

    Args:
        manifests: The rows of ``manifests``, in any order; of an item that no row between the two versions changes
            they may lack all if ``live`` is given, of others those before its head at the earlier one.
        a: The version to compare from; its own changes are in.
        b: The version to compare to.
        folio: Compare this folio only.
        live: How many items were live at ``a``; by default the rows tell.
    """
    wanted = pc.and_(
        pc.is_in(manifests.column("op"), value_set=pa.array(["put", "delete"])),
        pc.less_equal(manifests.column("version"), max(a, b)),
    )
    for name in ("folio", "item"):  # a row without them, written by hand, says nothing
        wanted = pc.and_(wanted, pc.is_valid(manifests.column(name)))
    if folio is not None:
        wanted = pc.and_kleene(wanted, pc.equal(manifests.column("folio"), folio))
    rows = in_order(manifests).filter(wanted) if is_in_order(manifests) else in_order(manifests.filter(wanted))
    columns = [rows.column(name).to_pylist() for name in ("folio", "item", "version")]
    old: dict[tuple[str, str], int] = {}
    new: dict[tuple[str, str], int] = {}
    for number, (where, item, version) in enumerate(zip(*columns, strict=True)):
        if version <= a:
            old[where, item] = number
        if version <= b:
            new[where, item] = number
    # only an item with another head at the other version can differ; a tombstone is no head
    differing = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    numbers = sorted({n for key in differing for n in (old.get(key), new.get(key)) if n is not None})
    found = dicts_of(rows.select(COMPARED).take(pa.array(numbers, pa.int64())))
    by_number = dict(zip(numbers, found, strict=True))

    def head(state: dict[tuple[str, str], int], key: tuple[str, str]) -> dict[str, Any] | None:
        row = by_number.get(state.get(key, -1))
        return row if row is not None and row["op"] == "put" else None

    changes = []
    for key in differing:
        before, after = head(old, key), head(new, key)
        if before is not None or after is not None:
            change = _change(key, before, after)
            if change is not None:
                changes.append(change)
    live_before = _live(rows, old) if live is None else live
    gone_or_changed = sum(1 for one in changes if one.change != "added")
    return Diff(a, b, folio, changes, live_before - gone_or_changed)


def _live(rows: pa.Table, state: dict[tuple[str, str], int]) -> int:
    ops = rows.column("op").take(pa.array(list(state.values()), pa.int64()))
    return int(pc.sum(pc.equal(ops, "put")).as_py() or 0)


def _change(key: tuple[str, str], old: dict[str, Any] | None, new: dict[str, Any] | None) -> Change | None:
    aspects: tuple[str, ...] = ()
    if old is not None and new is not None:
        aspects = _aspects(old, new)
        if not aspects:
            return None
    before, after = old or {}, new or {}
    return Change(
        *key,
        "added" if old is None else "removed" if new is None else "changed",
        aspects,
        after.get("kind") or before.get("kind"),
        before.get("version"),
        after.get("version"),
        before.get("digest"),
        after.get("digest"),
        before.get("size_bytes"),
        after.get("size_bytes"),
        before.get("row_count"),
        after.get("row_count"),
    )


def _aspects(old: dict[str, Any], new: dict[str, Any]) -> tuple[str, ...]:
    """Name the parts that differ; an entry that was put again unchanged (a restore, an archive undone) has none."""
    found = []
    identity = ("kind", "digest", "uri") if old["digest"] or new["digest"] else ("kind", "uri", "details")
    if any(old[name] != new[name] for name in identity):
        found.append("content")
    found += [name for name in ("description", "tags") if (old[name] or None) != (new[name] or None)]
    if bool(old["archived"]) != bool(new["archived"]):
        found.append("archived")
    if (old["inputs"] or []) != (new["inputs"] or []):
        found.append("inputs")
    if _facts(old) != _facts(new):
        found.append("metadata")
    if not found and old["entry_id"] != new["entry_id"]:
        found.append("entry")
    return tuple(found)


def _facts(row: dict[str, Any]) -> dict[str, Any]:
    return {fact["key"]: fact["value"] for fact in row["facts"] or ()}
