"""The entries whose objects a check reads: each object once, in order, and none of them held."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from lakefolio.format.arrow_rows import rows_of
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.maintenance.stored_objects import StoredObjects
from lakefolio.model.state import State

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def put(version: int, blob: str, **more: Any) -> dict[str, Any]:
    row = {"version": version, "ordinal": 0, "committed_at": WHEN, "commit_id": "c", "op": "put", "entry_id": "e"}
    row |= {"folio": "f", "item": f"i{version}", "kind": "artifact", "storage": "blob", "tags": ["x"]}
    return {**row, "digest": blob, "blob_digest": blob, "generation": 0, **more}


def of(*rows: dict[str, Any]) -> pa.Table:
    return rows_of(MANIFESTS_SCHEMA, rows)


def test_each_object_is_named_once_by_its_first_entry() -> None:
    purge = {"version": 9, "ordinal": 0, "committed_at": WHEN, "commit_id": "c", "op": "purge", "blob_digest": "gone"}
    state = State().extended(of({**purge, "generation": 0}), 9)
    reference = put(5, "r", storage="reference", blob_digest=None, generation=None, uri="s3://b/k")
    with StoredObjects() as stored:
        stored.add(of(put(1, "dropped")))
        stored.clear()
        stored.add(of(put(1, "a"), put(2, "gone"), put(3, "gone", generation=1), put(4, "a")))
        stored.add(of(reference, put(6, "b")))
        assert stored.choose(state, None) == 4
        found = list(stored)
        assert [one.version for one in found] == [1, 3, 5, 6]
        assert (found[2].uri, found[0].tags, found[0].committed_at) == ("s3://b/k", ("x",), WHEN)
        assert stored.choose(state, 2) == 2
        assert len({one.version for one in stored} & {1, 3, 5, 6}) == 2


def test_no_row_waits_in_memory() -> None:
    """As columns a million of them took 0.4 GB while the data of a lake was read."""
    with StoredObjects() as stored:
        before = pa.total_allocated_bytes()
        for first in range(0, 9_000, 3_000):
            rows = of(*(put(number, f"sha256:{number:064}") for number in range(first, first + 3_000)))
            stored.add(rows)
            del rows
        assert stored.choose(State(), None) == 9_000
        most = max(pa.total_allocated_bytes() - before for _ in stored)
        assert most < 1 << 20
        assert [one.version for one in stored] == list(range(9_000))
