"""The roots that keep a blob: the head, snapshots, aliases, runs, and the history that is kept (pure: no I/O).

The mark half of gc on whole Arrow columns. The result for an item depends on the rows of that item, and on the
snapshots and aliases, alone, so a large journal is marked in partitions (``mark``). Objects are then judged shard by
shard, a shard being the first two hex digits of a digest, which is also a folder of the store.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.format.arrow_rows import to_micros
from lakefolio.model.item_versions import ALIAS
from lakefolio.model.item_versions import numbers as version_numbers

__all__ = [
    "AHEAD",
    "HISTORY",
    "NEEDED",
    "ORPHAN",
    "PURGED",
    "Alias",
    "Bools",
    "Ints",
    "Keep",
    "Reach",
    "Snap",
    "aliases_in",
    "inline_history",
    "judge",
    "live_aliases",
    "live_snapshots",
]

ORPHAN: Final = 0
"""No row refers to the object: a writer was killed before its commit, or is still at work."""
HISTORY: Final = 1
"""Only entries that retention purges refer to the object."""
PURGED: Final = 2
"""The object was purged before and is not deleted yet."""
NEEDED: Final = 3
"""The head, a snapshot or kept history refers to the object."""
AHEAD: Final = 4
"""The object is of a generation that no row explains: a writer knows a newer version than this one."""

_GIVEN_UP, _KEPT, _SNAPSHOT, _HEAD = range(4)
_NEVER: Final = np.iinfo(np.int64).max
_SCOPE: Final = 1 << 40
_OBJECTS: Final = ("blob", "chunked", "packed", "inline")

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
"""Arrays with a value for each row."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Which superseded entries keep their content; with neither, all of them. Heads, snapshots and aliases always do.

    Attributes:
        since: Entries that were live at or after this time, so that every as-of question from then on is answered.
        last: So many entries of each item, the newest ones, whether the item still exists or not.
        runs: What runs used and made.
    """

    since: datetime | None = None
    last: int | None = None
    runs: bool = True

    @property
    def everything(self) -> bool:
        """Whether all history is kept."""
        return self.since is None and self.last is None


@dataclass(frozen=True, slots=True)
class Snap:
    """A live snapshot, as far as gc needs to know it."""

    name: str
    folio: str | None
    target_version: int


@dataclass(frozen=True, slots=True)
class Alias:
    """A name of a version of an item, as far as gc needs to know it."""

    folio: str
    item: str
    number: int


class Reach:
    """The content that a journal keeps, from its rows in order.

    Attributes:
        next_version: For each row, the version that superseded it; a huge number for the newest row of an item.
        snapshots: The live snapshots.
    """

    def __init__(
        self, rows: pa.Table, keep: Keep, snapshots: list[Snap] | None = None, aliases: Collection[Alias] = ()
    ) -> None:
        """Mark rows.

        Args:
            rows: ``manifests`` rows in order: all of a journal, or all of some items.
            keep: What retention keeps.
            snapshots: The live snapshots; by default those that the rows tell of.
            aliases: The aliases of items, if retention is to decide about anything.
        """
        self._rows = rows
        self._keep = keep
        self.snapshots = live_snapshots(rows) if snapshots is None else snapshots
        self._aliases = aliases
        self._versions = _ints(rows.column("version"))
        self._puts = _mask(pc.equal(rows.column("op"), "put"))
        self._stored = _mask(pc.not_equal(rows.column("op"), "purge"))  # rows of ops that are not known keep, too
        self._stored &= _mask(pc.is_in(rows.column("storage"), value_set=pa.array(_OBJECTS)))
        self._stored &= _mask(pc.is_valid(rows.column("blob_digest")))
        self.next_version = np.full(rows.num_rows, _NEVER, np.int64)
        self._why = np.full(rows.num_rows, _KEPT, np.uint8)  # a row that says nothing of an item keeps its blob
        self._mark()

    # -- mark ----------------------------------------------------------------------------------------------

    def _mark(self) -> None:
        rows = self._rows
        if not self._keep.runs:
            self._why[_mask(pc.equal(rows.column("op"), "pin"))] = _GIVEN_UP
        folios, folio_names = _codes(rows.column("folio"))
        items, item_names = _codes(rows.column("item"))
        of_item = self._puts | _mask(pc.equal(rows.column("op"), "delete"))
        numbers = np.flatnonzero(of_item & (folios >= 0) & (items >= 0))
        if not len(numbers):
            return
        names = folios[numbers] * max(len(item_names), 1) + items[numbers]
        del items, item_names
        order = np.argsort(names, kind="stable")
        numbers, names = numbers[order], names[order]
        del order
        superseded = np.zeros(len(numbers), bool)
        superseded[:-1] = names[1:] == names[:-1]
        following = np.zeros(len(numbers), np.int64)
        following[:-1] = numbers[1:]
        puts, versions = self._puts[numbers], self._versions[numbers]
        ends = np.where(superseded, self._versions[following], _NEVER)
        self.next_version[numbers] = ends
        why = np.full(len(numbers), _KEPT if self._keep.everything else _GIVEN_UP, np.uint8)
        if self._keep.since is not None:
            times = _ints(rows.column("committed_at").cast("int64"))
            why[times[following] >= to_micros(self._keep.since)] = _KEPT
        if self._keep.last is not None:
            why[self._newer_entries(numbers, names, puts) < self._keep.last] = _KEPT
        if self._keep.runs and not self._keep.everything:
            made = _mask(pc.is_valid(rows.column("run_id")))
            why[made[numbers]] = _KEPT
        why[self._in_snapshot(folios[numbers], folio_names.to_pylist(), versions, ends)] = _SNAPSHOT
        for row in self._aliased():
            why[numbers == row] = _SNAPSHOT
        why[~superseded] = _HEAD
        self._why[numbers[puts]] = why[puts]

    def _aliased(self) -> Iterator[int]:
        """Give the rows that put a version which an alias names."""
        for alias in self._aliases:
            folio, item = self._rows.column("folio"), self._rows.column("item")
            about = _mask(pc.and_(pc.equal(folio, alias.folio), pc.equal(item, alias.item)))
            found = np.flatnonzero(about & self._puts)
            puts = self._rows.select(["entry_id", "reason"]).take(pa.array(found)).to_pylist()
            made = version_numbers((one["entry_id"], one["reason"]) for one in puts)
            yield from (int(row) for row, number in zip(found, made, strict=True) if number == alias.number)

    def _newer_entries(self, numbers: Ints, names: Ints, puts: Bools) -> Ints:
        """Return for each row how many entries its item got after it; the same entry put again counts once."""
        rows, owners = numbers[puts], names[puts]
        ids = self._rows.column("entry_id").take(pa.array(rows))
        same = np.zeros(len(rows), bool)
        if len(rows) > 1:
            equal = _mask(pc.fill_null(pc.equal(ids[1:], ids[:-1]), False))
            same[1:] = equal & (owners[1:] == owners[:-1])
        counted = np.zeros(len(numbers), np.int64)
        counted[puts] = ~same
        total: Ints = np.cumsum(counted)
        last = np.append(np.flatnonzero(names[1:] != names[:-1]), len(names) - 1)
        newest: Ints = total[last][np.searchsorted(last, np.arange(len(names)))]
        return newest - total

    def _in_snapshot(self, folios: Ints, folio_names: list[str | None], versions: Ints, ends: Ints) -> Bools:
        """Say for each row whether it was live at the version that a snapshot of its scope protects."""
        code = {name: number for number, name in enumerate(folio_names)}
        whole = np.unique([one.target_version for one in self.snapshots if one.folio is None]).astype(np.int64)
        scoped = np.unique(
            [
                code[one.folio] * _SCOPE + one.target_version
                for one in self.snapshots
                if one.folio is not None and one.folio in code
            ]
        ).astype(np.int64)
        found = np.zeros(len(versions), bool)
        for targets, base in ((whole, 0), (scoped, folios * _SCOPE)):
            if len(targets):
                first = np.searchsorted(targets, base + versions)
                inside = first < len(targets)
                target = targets[np.minimum(first, len(targets) - 1)]
                found |= inside & (target < base + np.minimum(ends, _SCOPE - 1))
        return found

    # -- questions about few rows --------------------------------------------------------------------------

    def keepers(self, blob_digest: str) -> list[dict[str, Any]]:
        """Return each row that refers to a blob, with its effect on it, oldest first.

        Columns: ``folio``, ``item``, ``version``, ``until`` (the version that superseded it, or None), ``generation``,
        ``stored_bytes``, ``head`` (bool), ``snapshots`` (list of names), ``run_id`` (the run that uses it),
        ``event_id`` (the event it is of), ``purged`` (bool).
        """
        mask = pc.equal(self._rows.column("blob_digest"), blob_digest)
        numbers = np.flatnonzero(_mask(pc.fill_null(mask, False)))
        wanted = ["op", "folio", "item", "version", "generation", "stored_bytes", "run_id", "entry_id"]
        rows = self._rows.select(wanted).take(pa.array(numbers)).to_pylist()
        gone = max((row["generation"] or 0 for row in rows if row["op"] == "purge"), default=-1)
        found = []
        for number, row in zip(numbers, rows, strict=True):
            if not self._stored[number]:
                continue
            end = int(self.next_version[number])
            names = [
                one.name if one.folio is None else f"{one.folio}@{one.name}"
                for one in self.snapshots
                if one.folio in (None, row["folio"]) and row["version"] <= one.target_version < end
            ]
            found.append(
                {
                    "folio": row["folio"],
                    "item": row["item"],
                    "version": row["version"],
                    "until": None if end == _NEVER else end,
                    "generation": row["generation"] or 0,
                    "stored_bytes": row["stored_bytes"] or 0,
                    "head": bool(self._puts[number]) and end == _NEVER,
                    "run_id": row["run_id"] if row["op"] == "pin" else None,
                    "event_id": row["entry_id"] if row["op"] == "event_blob" else None,
                    "snapshots": names,
                    "purged": (row["generation"] or 0) <= gone,
                }
            )
        return found

    def references(self) -> pa.Table:
        """Return the effect of the rows on content, one row per reference.

        Columns: ``digest``, ``generation``, ``needed`` (bool), and of inline content ``inline_bytes`` and ``since``
        (when it was put, in microseconds since 1970), both null for objects.
        """
        stored = pa.array(self._stored)
        inline = pc.equal(self._rows.column("storage"), "inline")
        size = pc.if_else(inline, pc.fill_null(self._rows.column("size_bytes"), 0), None)
        since = pc.if_else(inline, self._rows.column("committed_at").cast("int64"), None)
        return pa.table(
            {
                "digest": self._rows.column("blob_digest").filter(stored),
                "generation": pc.fill_null(self._rows.column("generation"), 0).filter(stored),
                "needed": pa.chunked_array([pa.array(self._why[self._stored] > _GIVEN_UP)]),
                "inline_bytes": size.filter(stored),
                "since": since.filter(stored),
            }
        )

    def protected(self) -> pa.Table:
        """Return the rows whose blob a head or a snapshot needs."""
        return self._rows.filter(pa.array(self._stored & (self._why >= _SNAPSHOT)))


def live_snapshots(rows: pa.Table) -> list[Snap]:
    """Return the snapshots that are live after the rows, which are in order."""
    wanted = rows.select(["op", "folio", "snapshot", "target_version"])
    wanted = wanted.filter(pc.is_in(rows.column("op"), value_set=pa.array(["snapshot", "drop_snapshot"])))
    live: dict[tuple[str | None, str], Snap] = {}
    for row in wanted.to_pylist():
        key = (row["folio"], row["snapshot"])
        if row["op"] == "drop_snapshot":
            live.pop(key, None)
        elif row["snapshot"] is not None and row["target_version"] is not None:
            live[key] = Snap(row["snapshot"], row["folio"], row["target_version"])
    return list(live.values())


def aliases_in(rows: pa.Table) -> dict[tuple[str, str], str | None]:
    """Return the facts about aliases in rows that annotate folios, in order: folio and key -> the last value."""
    found: dict[tuple[str, str], str | None] = {}
    for row in rows.filter(pc.equal(rows.column("op"), "annotate")).select(["folio", "facts"]).to_pylist():
        for fact in row["facts"] or ():
            if row["folio"] is not None and str(fact["key"]).startswith(ALIAS):
                found[row["folio"], fact["key"]] = fact["value"]
    return found


def live_aliases(facts: Mapping[tuple[str, str], str | None]) -> list[Alias]:
    """Return the aliases that facts speak of; one that names no number names nothing."""
    found = []
    for (folio, key), text in facts.items():
        item, _, _ = key.removeprefix(ALIAS).rpartition("@")
        if text is not None and text.isdecimal() and len(text) < 19:
            found.append(Alias(folio, item, int(text)))
    return found


def judge(references: pa.Table, purges: pa.Table, digests: pa.Array, generations: Ints) -> npt.NDArray[np.int8]:
    """Judge each object of a shard: ORPHAN, HISTORY, PURGED, NEEDED or AHEAD.

    Args:
        references: What :meth:`Reach.references` says of the digests of the shard.
        purges: ``digest`` and ``generation`` of the ``purge`` rows about them.
        digests: ``sha256:<hex>`` of the objects.
        generations: Their generations.
    """
    purged_up_to = _purged_up_to(purges, digests)
    referred = _identities(references.column("digest"), references.column("generation"))
    objects = _identities(pa.chunked_array([digests]), pa.chunked_array([pa.array(generations, pa.int32())]))
    verdicts = np.full(len(digests), ORPHAN, np.int8)
    verdicts[_mask(pc.is_in(objects, value_set=referred.combine_chunks()))] = HISTORY
    needed = referred.filter(references.column("needed"))
    verdicts[_mask(pc.is_in(objects, value_set=needed.combine_chunks()))] = NEEDED
    verdicts[(verdicts != NEEDED) & (generations > purged_up_to + 1)] = AHEAD
    verdicts[generations <= purged_up_to] = PURGED
    return verdicts


def inline_history(references: pa.Table, purges: pa.Table) -> pa.Table:
    """Return the inline content that nothing needs and no row has purged yet.

    Args:
        references: As for :func:`judge`.
        purges: As for :func:`judge`.

    Returns:
        ``digest``, ``generation``, ``inline_bytes`` and ``since`` (of the newest row), one row for each.
    """
    found = references.group_by(["digest", "generation"]).aggregate(
        [("needed", "max"), ("inline_bytes", "max"), ("since", "max")]
    )
    found = found.rename_columns(["digest", "generation", "needed", "inline_bytes", "since"])
    found = found.filter(pc.and_(pc.is_valid(found.column("inline_bytes")), pc.invert(found.column("needed"))))
    digests = found.column("digest").combine_chunks()
    alive = _ints(found.column("generation")) > _purged_up_to(purges, digests)
    return found.filter(pa.array(alive)).drop(["needed"])


def _purged_up_to(purges: pa.Table, digests: pa.Array) -> Ints:
    """Return the highest generation of each digest that was purged, -1 for none."""
    if not purges.num_rows:
        return np.full(len(digests), -1, np.int64)
    latest = purges.group_by("digest").aggregate([("generation", "max")])
    at = pc.index_in(digests, value_set=latest.column("digest").combine_chunks())
    return _ints(pc.fill_null(latest.column("generation_max").combine_chunks().take(at), -1))


def _identities(digests: pa.ChunkedArray, generations: pa.ChunkedArray) -> pa.ChunkedArray:
    texts = pc.cast(pc.fill_null(generations, 0), pa.string())
    return pc.binary_join_element_wise(digests, texts, ".")


def _codes(column: pa.ChunkedArray) -> tuple[Ints, pa.Array]:
    """Return a number for each distinct value (-1 for null) and the values."""
    encoded = column.dictionary_encode().unify_dictionaries()
    if not encoded.num_chunks:
        return np.zeros(0, np.int64), pa.array([], pa.string())
    parts = [pc.fill_null(chunk.indices, -1).to_numpy(zero_copy_only=False) for chunk in encoded.chunks]
    return np.concatenate(parts).astype(np.int64), encoded.chunk(0).dictionary


def _ints(column: pa.Array | pa.ChunkedArray) -> Ints:
    found: Ints = column.to_numpy(zero_copy_only=False)
    return found


def _mask(column: pa.Array | pa.ChunkedArray) -> Bools:
    found: Bools = pc.fill_null(column, False).to_numpy(zero_copy_only=False).astype(bool)
    return found
