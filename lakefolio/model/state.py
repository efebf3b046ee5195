"""What the journal says at one version: the live items, the snapshots, the contents known (pure: no I/O).

Everything here is derived from ``manifests`` rows in their total order (version, ordinal) and can be derived again
from any prefix of them: the state at version V is the replay of the rows with ``version <= V`` (FORMAT.md, "As-of").
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefolio.format.arrow_rows import RowLog, from_micros, to_micros
from lakefolio.format.schema import MANIFESTS_SCHEMA, PURGEABLE
from lakefolio.model.entries import (
    Entry,
    Snapshot,
    edges_from_row,
    entry_from_row,
    facts_from_row,
    snapshot_from_row,
)

if TYPE_CHECKING:
    from lakefolio.model.changes import Stored

__all__ = ["State"]


_REPLAYED = ("version", "op", "folio", "item", "kind", "digest", "run_id")
_RUNNING = '"running"'


class State:
    """The replay of the journal up to ``version``; its Journal extends it in place, under a lock."""

    def __init__(self, version: int = -1) -> None:
        self.version = version
        self.committed_at: datetime | None = None
        self.rows = RowLog(MANIFESTS_SCHEMA)
        self._heads: dict[str, dict[str, int]] = {}
        self._past: dict[tuple[str, str], list[int]] = {}
        self._contents: dict[tuple[str, str], int] = {}
        self._purged: dict[str, int] = {}
        self._snapshots: dict[tuple[str | None, str], Snapshot] = {}
        self._notes: dict[tuple[str, str], list[int]] = {}  # the rows about the lake, each folio and each run
        self._started: dict[str, None] = {}  # the runs that may be running: they were, and no look found them ended
        self._versions: list[int] = []
        self._times: list[int] = []  # microseconds since 1970, for each of _versions
        self._row_counts: list[int] = []

    def extend(self, rows: pa.Table, version: int, values: Sequence[Mapping[str, Any]] | None = None) -> None:
        """Replay further rows, given in order, and move to ``version`` (compaction makes one without rows).

        Args:
            rows: The rows.
            version: The version they lead to.
            values: The same rows as Python values, if the caller has them: they need not be taken out of Arrow then.
        """
        first = self.rows.append(rows)
        replayed: Iterable[tuple[Any, ...]]
        if values is None:
            replayed = zip(*(rows.column(name).to_pylist() for name in _REPLAYED), strict=True)
            times = rows.column("committed_at").cast("int64").to_pylist()
        else:
            replayed = [tuple(map(row.get, _REPLAYED)) for row in values]
            times = [to_micros(row["committed_at"]) for row in values]
        self._started |= dict.fromkeys(_noting(rows, "status", _RUNNING))
        for number, (at, op, folio, item, kind, digest, run_id) in enumerate(replayed, start=first):
            if not self._versions or self._versions[-1] != at:
                self._versions.append(at)
                self._times.append(times[number - first])
                self._row_counts.append(number)
            if op in ("put", "delete") and (folio is None or item is None):
                continue  # says nothing; `check` names it
            if op == "put":
                self._heads.setdefault(folio, {})[item] = number
                self._past.setdefault((folio, item), []).append(number)
                if digest:
                    self._contents[kind, digest] = number
            elif op == "delete":
                self._heads.get(folio, {}).pop(item, None)
                self._past.setdefault((folio, item), []).append(number)
            elif op == "snapshot":
                row = self.rows.row(number)
                if row["snapshot"] is not None and row["target_version"] is not None:
                    self._snapshots[folio, row["snapshot"]] = snapshot_from_row(row)
            elif op == "drop_snapshot":
                self._snapshots.pop((folio, self.rows.value(number, "snapshot")), None)
            elif op == "annotate":
                self._notes.setdefault(("lake", "") if folio is None else ("folio", folio), []).append(number)
            elif op == "run" and run_id is not None:
                self._notes.setdefault(("run", run_id), []).append(number)
            elif op == "purge":
                blob = self.rows.value(number, "blob_digest")
                generation = self.rows.value(number, "generation") or 0
                if blob is None:
                    continue
                self._purged[blob] = max(self._purged.get(blob, -1), generation)
        self.version = version
        if self._times:
            self.committed_at = from_micros(self._times[-1])

    # -- what is live -------------------------------------------------------------------------------------

    def entry(self, folio: str, item: str) -> Entry | None:
        """See View."""
        number = self._heads.get(folio, {}).get(item)
        return None if number is None else entry_from_row(self.rows.row(number))

    def live(self, folio: str, item: str) -> bool:
        """See View."""
        return item in self._heads.get(folio, ())

    def names(self, folio: str) -> list[str]:
        """See View."""
        return list(self._heads.get(folio, ()))

    def entries(self, folio: str) -> list[Entry]:
        """Return the live entries of a folio in the order of their first addition."""
        return self._entries_of(list(self._heads.get(folio, {}).values()))

    def listing(self, folio: str, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
        """See View. Reads those columns instead of whole rows; null is None."""
        numbers = pa.array(list(self._heads.get(folio, {}).values()), pa.int64())
        rows = self.rows.table().select(list(columns)).take(numbers)
        return list(zip(*(column.to_pylist() for column in rows.columns), strict=True))

    def _entries_of(self, numbers: list[int]) -> list[Entry]:
        if len(numbers) < 32:
            return [entry_from_row(self.rows.row(number)) for number in numbers]
        return [entry_from_row(row) for row in self.rows.table().take(numbers).to_pylist()]

    def folios(self) -> list[str]:
        """See View."""
        return sorted(folio for folio, items in list(self._heads.items()) if items)

    def content(self, digest: str, kind: str) -> Entry | None:
        """See View."""
        number = self._contents.get((kind, digest))
        if number is None:
            return None
        entry = entry_from_row(self.rows.row(number))
        return None if self.is_purged(entry) else entry

    def generation(self, blob_digest: str) -> int:
        """See View."""
        return self._purged.get(blob_digest, -1) + 1

    def is_purged(self, stored: Stored | Entry) -> bool:
        """See View."""
        return (
            stored.storage in PURGEABLE
            and stored.blob_digest is not None
            and max(stored.generation or 0, 0) < self.generation(stored.blob_digest)  # a negative one was forged
        )

    @property
    def purged(self) -> bool:
        """Whether any content was ever purged."""
        return bool(self._purged)

    def purge_of(self, blob_digest: str, generation: int) -> tuple[int, str | None] | None:
        """Return the version that gave a blob up, and why, or None."""
        import pyarrow.compute as pc

        rows = self.rows.table().select(["version", "op", "blob_digest", "generation", "reason"])
        rows = rows.filter(pc.equal(rows.column("blob_digest"), blob_digest))
        for row in rows.to_pylist():
            if row["op"] == "purge" and (row["generation"] or 0) >= generation:
                return row["version"], row["reason"]
        return None

    def blobs_put_since(self, version: int) -> set[tuple[str, int]]:
        """Return (digest, generation) of all content that rows above ``version`` need, whatever their op."""
        rows = self.rows.table().slice(self.row_count_at(version)).select(["op", "blob_digest", "generation"])
        columns = (column.to_pylist() for column in rows.columns)
        return {
            (digest, generation or 0)
            for op, digest, generation in zip(*columns, strict=True)
            if op != "purge" and digest
        }

    def snapshot(self, folio: str | None, name: str) -> Snapshot | None:
        """See View."""
        return self._snapshots.get((folio, name))

    def snapshots(self, folio: str | None = None) -> list[Snapshot]:
        """See View."""
        every = sorted(self._snapshots.values(), key=lambda one: (one.version, one.name))
        return [one for one in every if folio is None or one.folio == folio]

    # -- what is noted of the lake, of folios and of runs ------------------------------------------------------

    def metadata(self, kind: str, subject_id: str, version: int | None = None) -> dict[str, str]:
        """See View. Keys are in the order in which they were first set."""
        values: dict[str, str] = {}
        for number in self._notes.get((kind, subject_id), ()):
            if version is not None and self.rows.value(number, "version") > version:
                break
            for key, value in facts_from_row({"facts": self.rows.value(number, "facts")}):
                if value is None:
                    values.pop(key, None)
                else:
                    values[key] = value
        return values

    def run_inputs(self, run_id: str) -> list[dict[str, Any]]:
        """See View."""
        return [
            {**edge, "version": self.rows.value(number, "version")}
            for number in self._notes.get(("run", run_id), ())
            for edge in edges_from_row({"inputs": self.rows.value(number, "inputs")})
        ]

    def runs_noting(self, key: str, text: str | None = None) -> list[str]:
        """Return the runs of which a fact was ever noted, in that order; ``text``: with this JSON text as its value."""
        return _noting(self.rows.table(), key, text)

    def running(self) -> dict[str, dict[str, str]]:
        """Return the runs whose status is ``running``, each with its facts; the cost is that of those runs alone."""
        found = {}
        for run_id in list(self._started):
            facts = self.metadata("run", run_id)
            if facts.get("status") == _RUNNING:
                found[run_id] = facts
            else:
                self._started.pop(run_id, None)
        return found

    # -- the past -----------------------------------------------------------------------------------------

    def history(self, folio: str, item: str) -> list[Entry]:
        """Return every entry an item ever had, oldest first (deletions are left out)."""
        numbers = self._past.get((folio, item), [])
        return self._entries_of([number for number in numbers if self.rows.value(number, "op") == "put"])

    def entry_at(self, folio: str, item: str, version: int) -> Entry | None:
        """Return the entry of an item that was live at ``version``, or None."""
        numbers = self._past.get((folio, item), [])
        for number in reversed(numbers):
            if self.rows.value(number, "version") <= version:
                row = self.rows.row(number)
                return entry_from_row(row) if row["op"] == "put" else None
        return None

    def known(self, folio: str, item: str) -> bool:
        """Say whether an item exists or ever existed."""
        return (folio, item) in self._past

    def first_at(self) -> datetime | None:
        """Return when the first commit was made, or None for an empty lake."""
        return from_micros(self._times[0]) if self._times else None

    def version_at(self, when: datetime) -> int | None:
        """Return the last version committed at or before ``when``, or None before the first commit."""
        index = bisect_right(self._times, to_micros(when)) - 1
        return None if index < 0 else self._versions[index]

    def versions_up_to(self, version: int) -> int:
        """Return how many versions up to ``version`` have a commit."""
        return bisect_right(self._versions, version)

    def back(self, version: int, count: int) -> int | None:
        """Return the version ``count`` steps before ``version``, counting those with a commit, or None."""
        left = self.versions_up_to(version) - count
        return None if left < 0 else self._versions[left - 1] if left else 0

    def time_of(self, version: int) -> datetime | None:
        """Return when the state at ``version`` was last changed."""
        index = bisect_right(self._versions, version) - 1
        return None if index < 0 else from_micros(self._times[index])

    def version_of(self, commit_id: str) -> int | None:
        """Return the version that carries a commit, or None. Looks through all rows."""
        import pyarrow.compute as pc

        rows = self.rows.table().select(["commit_id", "version"])
        number = pc.index(rows.column("commit_id"), commit_id).as_py()
        return None if number < 0 else int(rows.column("version")[number].as_py())

    def row_count_at(self, version: int) -> int:
        """Return how many rows the journal had at ``version``."""
        index = bisect_right(self._versions, version)
        return len(self.rows) if index >= len(self._row_counts) else self._row_counts[index]

    def at(self, version: int) -> State:
        """Return the state as it was at ``version`` (a replay; cost linear in the rows up to there)."""
        past = State()
        past.extend(self.rows.table(self.row_count_at(version)), version)
        return past

    def table(self) -> pa.Table:
        """Return the ``manifests`` rows in order, without copying."""
        return self.rows.table()


def _noting(rows: pa.Table, key: str, text: str | None) -> list[str]:
    """Return the runs of which rows note a fact, in order; those with one value of it only, if that is given."""
    import pyarrow.compute as pc

    rows = rows.select(["op", "run_id", "facts"]).filter(pc.equal(rows.column("op"), "run")).combine_chunks()
    if not rows.num_rows:
        return []
    facts = rows.column("facts").chunk(0)
    flat, of_row = pc.list_flatten(facts), pc.list_parent_indices(facts)
    wanted = pc.equal(flat.field("key"), key)
    if text is not None:
        wanted = pc.and_(wanted, pc.equal(flat.field("value"), text))
    found = rows.column("run_id").take(of_row.filter(pc.fill_null(wanted, False)))
    return [run_id for run_id in found.unique().to_pylist() if run_id is not None]
