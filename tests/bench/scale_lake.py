"""Makes lakes of millions of entries through the format, without committing them one by one."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import lakefolio as lf
from lakefolio.delta.actions import stats_of, versions_of
from lakefolio.delta.parquet_rows import to_parquet
from lakefolio.delta.table import DataFile, DeltaTable, LogEntry
from lakefolio.format.layout import JOURNAL, log_key, table_prefix
from lakefolio.format.schema import INPUT_TYPE, MANIFESTS_SCHEMA, SPECS
from lakefolio.readmodels.store import Catalogue, ReadModels
from lakefolio.storage import Store

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_ROWS_AT_ONCE = 200_000
_FOLIO_ITEMS = 1000
_EPOCH_US = int(BEGIN.timestamp() * 1_000_000)


def names_of(entry: int) -> tuple[str, str]:
    """Return the folio and the item of an entry."""
    return f"folio-{entry // _FOLIO_ITEMS % 1_000_000:06}", f"item-{entry % _FOLIO_ITEMS:04}"


def hexes(seed: int, count: int, parts: int) -> pa.Array:
    """Return distinct random ids of 16 * parts hex digits."""
    raw = np.random.default_rng(seed).bytes(8 * parts * count)
    text = raw.hex().encode()
    offsets = np.arange(count + 1, dtype=np.int32) * (16 * parts)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets.tobytes()), pa.py_buffer(text))


def journal_rows(first: int, count: int, per_commit: int) -> pa.Table:
    """Return rows ``first`` to ``first + count`` of the journal: puts, every tenth of which overwrites a recent item.

    Every entry has the entry before it as its input, and one fact.
    """
    numbers = np.arange(first, first + count)
    overwrites = (numbers % 10 == 9) & (numbers >= 5000)
    about = np.where(overwrites, numbers - 4321, numbers)
    versions = numbers // per_commit + 1
    ids, digests = hexes(first + 1, count, 2), hexes(first + 2, count, 4)
    digest = pc.binary_join_element_wise("sha256", digests, ":")
    low, high = first // _FOLIO_ITEMS - 5, (first + count) // _FOLIO_ITEMS + 1
    folio = pa.array([f"folio-{one:06}" for one in range(low, high)])
    item = pa.array([f"item-{one:04}" for one in range(_FOLIO_ITEMS)])
    commits = hexes(7, int(versions[-1]) + 1, 2)
    edges = {field.name: pa.nulls(count, field.type) for field in INPUT_TYPE}
    before = pa.concat_arrays([pa.nulls(1, pa.string()), ids.slice(0, count - 1)])
    edges |= {"input_kind": pa.array(["entry"] * count), "input_id": before}
    ends = pa.array(np.arange(count + 1, dtype=np.int32))
    inputs = pa.ListArray.from_arrays(ends, pa.StructArray.from_arrays(list(edges.values()), fields=list(INPUT_TYPE)))
    fact_type = MANIFESTS_SCHEMA.field("facts").type.value_type
    score = pa.array((numbers % 1000) / 1000)
    values = [pa.array(["score"] * count), score.cast(pa.string()), score]
    facts = pa.StructArray.from_arrays(values, fields=list(fact_type))
    columns = {
        "version": pa.array(versions),
        "ordinal": pa.array((numbers % per_commit).astype(np.int32)),
        "committed_at": pa.array(_EPOCH_US + versions * 1_000_000, pa.timestamp("us", "UTC")),
        "commit_id": commits.take(pa.array(versions)),
        "op": pa.array(["put"] * count),
        "reason": pa.array(["add"] * count),
        "author": pa.array(["generator"] * count),
        "folio": folio.take(pa.array(about // _FOLIO_ITEMS - low)),
        "item": item.take(pa.array(about % _FOLIO_ITEMS)),
        "entry_id": ids,
        "kind": pa.array(["array"] * count),
        "format": pa.array(["npy"] * count),
        "storage": pa.array(["blob"] * count),
        "codec": pa.array(["none"] * count),
        "digest": digest,
        "blob_digest": digest,
        "generation": pa.array(np.zeros(count, np.int32)),
        "size_bytes": pa.array(numbers % 100_000),
        "stored_bytes": pa.array(numbers % 100_000),
        "details": pa.array(['{"dtype": "float64", "shape": [100, 100]}'] * count),
        "inputs": inputs,
        "facts": pa.ListArray.from_arrays(ends, facts),
    }
    arrays = [pc.cast(columns.get(field.name, pa.nulls(count, field.type)), field.type) for field in MANIFESTS_SCHEMA]
    return pa.Table.from_arrays(arrays, schema=MANIFESTS_SCHEMA)


def make(
    uri: str,
    entries: int,
    commits: int,
    options: dict[str, str] | None = None,
    *,
    rows_at_once: int = _ROWS_AT_ONCE,
) -> Catalogue | None:
    """Make a lake with so many entries in so many commits; its log entries but the last are left out.

    Args:
        uri: Where; nothing is there yet.
        entries: How many entries.
        commits: How many commits.
        options: Those of the store.
        rows_at_once: How many rows a data file has at most.
    """
    lake = lf.open(uri, storage_options=options)
    journal = lake._session.journal
    store, lake_id = journal.store, journal.lake_id
    table = DeltaTable(store, lake_id, SPECS[JOURNAL])
    table.load()
    models = ReadModels(store, lake_id)
    per_commit = max(entries // commits, 1)
    step = max(rows_at_once // per_commit, 1) * per_commit
    files = []
    catalogue = None
    for first in range(0, entries, step):
        rows = journal_rows(first, min(step, entries - first), per_commit)
        body = to_parquet(rows)
        newest = int(rows.column("version")[-1].as_py())
        path = f"{newest:020d}-{uuid.uuid4().hex}.parquet"
        seal = table.seals.of_bytes(path, body)
        store.create(f"{table_prefix(JOURNAL)}/{path}", body)
        files.append(DataFile(path, len(body), rows.num_rows, stats_of(rows), 0, seal, versions_of(rows)))
        catalogue = models.advance(lambda held, rows=rows: rows, newest) or catalogue
    _finish(store, table, files, newest, catalogue)
    return catalogue


def _finish(store: Store, table: DeltaTable, files: list[DataFile], version: int, catalogue: Catalogue | None) -> None:
    """Write the checkpoint of the last version and its log entry, as compacting would have left them."""
    table._replay(LogEntry(version, (), (), tuple(files), ()))
    info = {"timestamp": 0, "operation": "OPTIMIZE", "operationParameters": {}, "engineInfo": "lakefolio"}
    store.create(log_key(JOURNAL, version), table.seals.entry(version, info, {"total": table._total.to_plain()}, []))
    table._write_checkpoint(threading.RLock(), lambda: "" if catalogue is None else catalogue.to_json())
