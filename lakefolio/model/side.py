"""What ``lineage`` and ``metadata`` say, of the rows that count (pure: no I/O).

A row of a side table counts only if a ``manifests`` row carries its ``txn_id`` too (FORMAT.md, "Journal protocol"), and
it counts from that row's version on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.format.arrow_rows import RowLog
from lakefolio.format.schema import LINEAGE_SCHEMA, METADATA_SCHEMA

__all__ = ["LineageRows", "MetadataRows"]

_RUNNING: Final = '"running"'
_COLUMNS: Final = ("subject_kind", "subject_id", "txn_id", "ordinal", "key", "value")
_MANY: Final = 4096


class MetadataRows:
    """The rows of ``metadata``, found by subject."""

    schema = METADATA_SCHEMA

    def __init__(self) -> None:
        self.rows = RowLog(METADATA_SCHEMA)
        self._subjects: dict[tuple[str, str], list[tuple[str, int, str, str | None]]] = {}
        self._bulks: list[_Bulk] = []
        self._started: dict[str, None] = {}  # the runs that may be running: they were, and no look found them ended

    def extend(self, rows: pa.Table) -> None:
        """Take in further rows, visible or not."""
        self.rows.append(rows)
        if rows.num_rows >= _MANY:
            self._bulks.append(_Bulk(rows))
        else:
            self._index(rows)
        is_run = pc.and_(pc.equal(rows.column("subject_kind"), "run"), pc.equal(rows.column("key"), "status"))
        running = rows.filter(pc.and_(is_run, pc.equal(rows.column("value"), _RUNNING)))
        self._started |= dict.fromkeys(running.column("subject_id").to_pylist())

    def _index(self, rows: pa.Table) -> None:
        columns = [rows.column(name).to_pylist() for name in _COLUMNS]
        for kind, subject_id, txn_id, ordinal, key, value in zip(*columns, strict=True):
            self._subjects.setdefault((kind, subject_id), []).append((txn_id, ordinal, key, value))

    def _of(self, kind: str, subject_id: str) -> list[tuple[str, int, str, str | None]]:
        for bulk in self._bulks:
            if (rows := bulk.take(subject_id)) is not None:
                self._index(rows)
        return self._subjects.get((kind, subject_id), [])

    def running(self, txns: Mapping[str, tuple[int, int]], version: int) -> dict[str, dict[str, str]]:
        """Return the runs whose status is ``running``, each with its values; the cost is that of those runs alone."""
        found = {}
        for run_id in list(self._started):
            values = self.values("run", run_id, txns, version)
            if values.get("status") == _RUNNING:
                found[run_id] = values
            elif all(txn_id in txns for txn_id, _, key, _ in self._of("run", run_id) if key == "status"):
                self._started.pop(run_id, None)
        return found

    def values(self, kind: str, subject_id: str, txns: Mapping[str, tuple[int, int]], version: int) -> dict[str, str]:
        """Return key -> JSON text of a subject as of ``version``, keys in the order they were first set.

        Args:
            kind: ``lake``, ``folio``, ``entry`` or ``run``.
            subject_id: Empty, a folio's name, an entry's id or a run's id.
            txns: The version and the journal row that made each transaction visible.
            version: Rows of later versions don't count.
        """
        counted = [
            (at, ordinal, key, value)
            for txn_id, ordinal, key, value in self._of(kind, subject_id)
            if (at := txns.get(txn_id)) is not None and at[0] <= version
        ]
        values: dict[str, str] = {}
        for _, _, key, value in sorted(counted, key=lambda one: one[:2]):
            if value is None:
                values.pop(key, None)
            else:
                values[key] = value
        return values


class _Bulk:
    """Many rows at once, of which few subjects are ever asked for: indexed as columns, made Python values when asked.

    570,000 rows take 0.1 s so, and 0.8 s as values.
    """

    def __init__(self, rows: pa.Table) -> None:
        import numpy as np

        self._rows = rows.select(list(_COLUMNS)).combine_chunks()
        ids = self._rows.column("subject_id").combine_chunks().dictionary_encode()
        codes = ids.indices.to_numpy()
        self._order = np.argsort(codes, kind="stable")
        self._starts = np.searchsorted(codes, range(len(ids.dictionary) + 1), sorter=self._order)
        self._codes = {subject_id: code for code, subject_id in enumerate(ids.dictionary.to_pylist())}

    def take(self, subject_id: str) -> pa.Table | None:
        """Return the rows of a subject, of whichever kind, the first time that it is asked for."""
        code = self._codes.pop(subject_id, None)
        return None if code is None else self._rows.take(self._order[self._starts[code] : self._starts[code + 1]])


class LineageRows:
    """The rows of ``lineage``, found by output."""

    schema = LINEAGE_SCHEMA

    def __init__(self) -> None:
        self.rows = RowLog(LINEAGE_SCHEMA)
        self._outputs: dict[str, list[int]] = {}

    def extend(self, rows: pa.Table) -> None:
        """Take in further rows, visible or not."""
        first = self.rows.append(rows)
        for offset, output_id in enumerate(rows.column("output_id").to_pylist()):
            self._outputs.setdefault(output_id, []).append(first + offset)

    def edges_of(self, output_id: str, txns: Mapping[str, tuple[int, int]]) -> list[dict[str, Any]]:
        """Return the visible rows of one output, in order."""
        rows = [self.rows.row(number) for number in self._outputs.get(output_id, ())]
        return sorted((row for row in rows if row["txn_id"] in txns), key=lambda row: row["ordinal"])
