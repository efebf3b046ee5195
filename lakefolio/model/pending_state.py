"""A state with uncommitted changes laid over it (pure: no I/O).

It serves the planner, so that later changes of a commit see earlier ones, and an open batch, so that reads in the
block see the writes of the block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lakefolio.model.changes import Put
from lakefolio.model.entries import Entry, InputEdge, ItemPut, RunInputEdge, Snapshot, StateView, Stored, entry_from_row
from lakefolio.model.item_versions import Versions

__all__ = ["Overlay"]


class _Pending:
    """A row that is not committed yet; made an Entry only if somebody asks."""

    __slots__ = ("_entry", "_make", "_row")

    def __init__(self, make: Callable[[], Mapping[str, object]], row: Mapping[str, object] | None = None) -> None:
        self._make = make
        self._row = row
        self._entry: Entry | None = None

    @property
    def row(self) -> Mapping[str, Any]:
        if self._row is None:
            self._row = self._make()
        return self._row

    @property
    def entry(self) -> Entry:
        if self._entry is None:
            self._entry = entry_from_row(self.row)
        return self._entry


class Overlay:
    """A StateView over another StateView. Cheap to make; merged into its base or thrown away."""

    def __init__(self, base: StateView, content: Callable[[Entry], bytes], version: int) -> None:
        """Lay nothing over a view yet.

        Args:
            base: The committed state below.
            content: Gives the inline content of a committed entry; it may have to be read.
            version: The version that the changes are to have.
        """
        self.base = base
        self.content_of = content
        self.version = version
        self._heads: dict[str, dict[str, _Pending | None]] = {}
        self._deleted: set[tuple[str, str]] = set()  # also if added again: their place in the folio is another
        self._entries: dict[tuple[str, str], list[_Pending]] = {}
        self._users: dict[tuple[Any, Any], list[tuple[str, str, _Pending]]] = {}  # of each item that is an input
        self._contents: dict[tuple[str, str], _Pending] = {}
        self._snapshots: dict[tuple[str | None, str], Snapshot | None] = {}
        self._metadata: dict[tuple[str, str], dict[str, str]] = {}
        self._run_inputs: dict[str, list[InputEdge]] = {}
        self._versions: dict[tuple[str, str], tuple[StateView, Versions, int]] = {}  # as far as they were asked for

    # -- laying changes over ------------------------------------------------------------------------------

    def put(self, row: Mapping[str, Any]) -> None:
        """Make the entry of a ``put`` row the head of its item."""
        pending = _Pending(dict, row)
        self._pend(pending, row["folio"], row["item"], row["kind"], row.get("digest"))
        for edge in (row["inputs"] or ()) if "inputs" in row else ():
            used = (edge.get("input_folio"), edge.get("input_item"))
            self._users.setdefault(used, []).append((row["folio"], row["item"], pending))

    def put_later(self, change: Put, make: Callable[[], Mapping[str, object]]) -> None:
        """Make the entry of a change without inputs the head of its item; ``make`` gives its row when it is read."""
        self._pend(_Pending(make), change.folio, change.item, change.stored.kind, change.stored.digest)

    def _pend(self, pending: _Pending, folio: str, item: str, kind: str, digest: str | None) -> None:
        self._set_head(folio, item, pending)
        self._entries.setdefault((folio, item), []).append(pending)
        if digest:
            self._contents[kind, digest] = pending

    def _set_head(self, folio: str, item: str, pending: _Pending) -> None:
        items = self._heads.setdefault(folio, {})
        if items.get(item, _BELOW) is None:
            del items[item]  # so that it stands last
        items[item] = pending

    def delete(self, folio: str, item: str) -> None:
        """Take an item from the head."""
        self._heads.setdefault(folio, {})[item] = None
        self._deleted.add((folio, item))

    def set_snapshot(self, folio: str | None, name: str, snapshot: Snapshot | None) -> None:
        """Add a snapshot, or drop it (None)."""
        self._snapshots[folio, name] = snapshot

    def set_metadata(self, kind: str, subject_id: str, values: Mapping[str, str]) -> None:
        """Make ``values`` the whole metadata of the lake, a folio or a run."""
        self._metadata[kind, subject_id] = dict(values)

    def add_run_inputs(self, run_id: str, edges: list[InputEdge]) -> None:
        """Add inputs of a run."""
        self._run_inputs.setdefault(run_id, []).extend(edges)

    def absorb(self, other: Overlay) -> None:
        """Take over everything that was laid over this overlay in ``other``."""
        for folio, item in other._deleted:
            self.delete(folio, item)
        for folio, items in other._heads.items():
            for item, pending in items.items():
                if pending is not None:
                    self._set_head(folio, item, pending)
        for name, entries in other._entries.items():
            self._entries.setdefault(name, []).extend(entries)
        for name, users in other._users.items():
            self._users.setdefault(name, []).extend(users)
        self._contents |= other._contents
        self._snapshots |= other._snapshots
        self._metadata |= other._metadata
        for run_id, edges in other._run_inputs.items():
            self.add_run_inputs(run_id, edges)

    # -- StateView ----------------------------------------------------------------------------------------------

    def entry(self, folio: str, item: str) -> Entry | None:
        """See StateView."""
        items = self._heads.get(folio)
        if items is not None and item in items:
            pending = items[item]
            return None if pending is None else pending.entry
        return self.base.entry(folio, item)

    def entry_id(self, folio: str, item: str) -> str | None:
        """Return the id of the live entry of a name, or None."""
        entry = self.entry(folio, item)
        return None if entry is None else entry.entry_id

    def live(self, folio: str, item: str) -> bool:
        """See StateView."""
        items = self._heads.get(folio)
        if items is not None and item in items:
            return items[item] is not None
        return self.base.live(folio, item)

    def names(self, folio: str) -> list[str]:
        """See StateView."""
        items = self._heads.get(folio, {})
        below = self.base.names(folio)
        kept = [name for name in below if items.get(name, _BELOW) is not None and (folio, name) not in self._deleted]
        known = set(kept)
        return kept + [name for name, pending in items.items() if pending is not None and name not in known]

    def users(self, folio: str, item: str) -> list[tuple[str, str]]:
        """See StateView."""
        below = [name for name in self.base.users(folio, item) if name[1] not in self._heads.get(name[0], ())]
        own = self._users.get((folio, item), ())
        return [*below, *dict.fromkeys((of, one) for of, one, pending in own if self._heads[of][one] is pending)]

    def listing(self, folio: str, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
        """See StateView."""
        below = {item: values for item, *values in self.base.listing(folio, ("item", *columns))}
        heads = self._heads.get(folio, {})
        found: list[tuple[Any, ...]] = []
        for item in self.names(folio):
            pending = heads.get(item)
            values = below[item] if pending is None else [getattr(pending.entry, name) for name in columns]
            found.append(tuple(values))
        return found

    def entries(self, folio: str) -> list[Entry]:
        """See StateView."""
        found = [self.entry(folio, name) for name in self.names(folio)]
        return [entry for entry in found if entry is not None]

    def first_names(self, folio: str, most: int) -> list[str]:
        """Return the first ``most`` of :meth:`names`."""
        return self.names(folio)[:most]

    def first_entries(self, folio: str, most: int) -> list[Entry]:
        """Return the first ``most`` of :meth:`entries`."""
        found = [self.entry(folio, name) for name in self.names(folio)[:most]]
        return [entry for entry in found if entry is not None]

    def folios(self) -> list[str]:
        """See StateView."""
        return sorted(folio for folio in {*self.base.folios(), *self._heads} if self.names(folio))

    def content(self, digest: str, kind: str) -> Entry | None:
        """See StateView."""
        pending = self._contents.get((kind, digest))
        return self.base.content(digest, kind) if pending is None else pending.entry

    def generation(self, blob_digest: str) -> int:
        """See StateView."""
        return self.base.generation(blob_digest)

    def entry_at(self, folio: str, item: str, version: int) -> Entry | None:
        """See StateView; pending entries have no version yet and are not seen."""
        return self.base.entry_at(folio, item, version)

    def history(self, folio: str, item: str) -> list[Entry]:
        """See StateView."""
        return [*self.base.history(folio, item), *(one.entry for one in self._entries.get((folio, item), ()))]

    def puts(self, folio: str, item: str) -> list[ItemPut]:
        """See StateView; pending entries have the version that they are to get."""
        return [*self.base.puts(folio, item), *map(self._put, self._entries.get((folio, item), ()))]

    def versions(self, folio: str, item: str) -> Versions:
        """Return the versions of an item; they go on as it is put again. Rows are looked at once, by all overlays."""
        pending = self._entries.get((folio, item), ())
        if not pending and isinstance(self.base, Overlay):
            return self.base.versions(folio, item)
        base, found, count = self._versions.get((folio, item), (None, Versions(), 0))
        if base is not self.base:
            found = Versions(self.base.puts(folio, item))
            count = found.put_count
            self._versions[folio, item] = self.base, found, count
        found.extend(map(self._put, pending[found.put_count - count :]))
        return found

    def _put(self, pending: _Pending) -> ItemPut:
        row = pending.row
        return ItemPut(self.version, row["entry_id"], row.get("reason"), row.get("extra"))

    def snapshot(self, folio: str | None, name: str) -> Snapshot | None:
        """See StateView."""
        if (folio, name) in self._snapshots:
            return self._snapshots[folio, name]
        return self.base.snapshot(folio, name)

    def snapshots(self, folio: str | None = None) -> list[Snapshot]:
        """See StateView."""
        kept = [one for one in self.base.snapshots(folio) if (one.folio, one.name) not in self._snapshots]
        new = [one for one in self._snapshots.values() if one is not None]
        return kept + [one for one in new if folio is None or one.folio == folio]

    def is_purged(self, stored: Stored | Entry) -> bool:
        """See StateView."""
        return self.base.is_purged(stored)

    def metadata(self, kind: str, subject_id: str, version: int | None = None) -> dict[str, str]:
        """See StateView."""
        if version is None and (kind, subject_id) in self._metadata:
            return dict(self._metadata[kind, subject_id])
        return self.base.metadata(kind, subject_id, version)

    def facts(self, kind: str, subject_id: str) -> Mapping[str, str]:
        """See StateView."""
        if (kind, subject_id) in self._metadata:
            return self._metadata[kind, subject_id]
        return self.base.facts(kind, subject_id)

    def run_inputs(self, run_id: str) -> list[RunInputEdge]:
        """See StateView; pending entries have the version that they are to get."""
        pending: list[RunInputEdge] = [{**edge, "version": self.version} for edge in self._run_inputs.get(run_id, ())]
        return [*self.base.run_inputs(run_id), *pending]

    def pending_rows(self) -> list[Mapping[str, Any]]:
        """Return rows that say what entries and runs laid over were made from, as those of ``manifests`` do."""
        runs = [
            {"op": "run", "run_id": run_id, "inputs": edges, "version": self.version, "commit_id": ""}
            for run_id, edges in self._run_inputs.items()
        ]
        entries = (one for pending in self._entries.values() for one in pending)
        return [*({**one.row, "version": self.version, "commit_id": ""} for one in entries), *runs]


_BELOW: Any = object()
