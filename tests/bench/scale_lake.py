"""Makes lakes of millions of entries through the format, without committing them one by one.

A lake of small values as many jobs write them: nine of ten entries are new items, the tenth overwrites a recent one;
each has the entry before it as its input, and one fact. Every thousandth is a blob, the others lie inline. The journal
is written as merges leave it; each read model as one large run and a few small ones, as folding leaves it. With
``whole_log`` the log of every commit is there, too, so that ``check`` has nothing to object to.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather

import lakefolio as lf
from lakefolio.delta.actions import DataFile, LogEntry, stats_of, versions_of
from lakefolio.delta.parquet_rows import to_parquet
from lakefolio.delta.table import DeltaTable
from lakefolio.format.layout import JOURNAL, blob_key, log_key, table_prefix
from lakefolio.format.schema import INPUT_TYPE, MANIFESTS_SCHEMA, SPECS
from lakefolio.readmodels.catalogue import Catalogue
from lakefolio.readmodels.fold import _FOLDS, _uses
from lakefolio.readmodels.merge import settled, sorted_rows
from lakefolio.readmodels.model import Model
from lakefolio.readmodels.models import COMMITS, CONTENTS, ENTRIES, FOLIOS, LINEAGE, METADATA, MODELS, USES
from lakefolio.readmodels.run_file import FILE_ROWS, RunFile, encode
from lakefolio.readmodels.runs import Run
from lakefolio.readmodels.store import ReadModels
from lakefolio.readmodels.table import NOTHING, ModelTable
from lakefolio.readmodels.totals import TOTALS
from lakefolio.storage import Store

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_ROWS_AT_ONCE = 200_000
_FOLIO_ITEMS = 1000
_BACK = 4321
"""How many entries before itself an overwriting one finds its item."""
_EPOCH_US = int(BEGIN.timestamp() * 1_000_000)
_NEWEST_RUNS = (60_000, 15_000, 4_000, 1_000)
"""The rows of the journal that the last folds had: with the rest before them, a run of each model for each."""


def names_of(entry: int) -> tuple[str, str]:
    """Return the folio and the item of an entry."""
    return f"folio-{entry // _FOLIO_ITEMS % 1_000_000:06}", f"item-{entry % _FOLIO_ITEMS:04}"


def _ids(seconds: np.ndarray, ordinals: np.ndarray, seed: int) -> pa.Array:
    """Return ids as writers make them, of 32 hex digits that begin with the time; those of one time count on."""
    count = len(seconds)
    raw = np.empty((count, 2), ">u8")
    raw[:, 0] = (np.uint64(_EPOCH_US // 1000) + seconds.astype(np.uint64) * np.uint64(1000)) << np.uint64(16)
    raw[:, 0] |= ordinals.astype(np.uint64)
    raw[:, 1] = np.random.default_rng(seed).integers(0, 2**64, count, np.uint64, endpoint=False)
    ends = np.arange(count + 1, dtype=np.int32) * 32
    return pa.StringArray.from_buffers(count, pa.py_buffer(ends.tobytes()), pa.py_buffer(raw.tobytes().hex().encode()))


def _is_blob(number: int) -> bool:
    return number % 1000 == 500


def _content(number: int) -> bytes:
    """Return what an entry holds, as JSON."""
    score = number % 1000 / 1000
    return (
        b'{"n":%d,"score":%r,"text":"%s"}' % (number, score, b"x" * 5000)
        if _is_blob(number)
        else (b'{"n":%d,"score":%a}' % (number, score))
    )


def journal_rows(
    first: int, count: int, per_commit: int, before: str | None = None, chain: int | None = None
) -> pa.Table:
    """Return rows ``first`` to ``first + count`` of the journal; ``before`` is the id of the entry before them.

    Every entry has the entry before it as its input, but each ``chain``-th something outside of the lake.
    """
    numbers = np.arange(first, first + count)
    overwrites = (numbers % 10 == 9) & (numbers >= 5000)
    about = np.where(overwrites, numbers - _BACK, numbers)
    versions = numbers // per_commit + 1
    ordinals = numbers % per_commit
    ids = _ids(versions, ordinals, first + 1)
    contents = [_content(number) for number in range(first, first + count)]
    sizes = pa.array([len(content) for content in contents], pa.int64())
    blobs = pa.array(numbers % 1000 == 500)
    digest = pa.array([f"sha256:{hashlib.sha256(content).hexdigest()}" for content in contents])
    low, high = first // _FOLIO_ITEMS - 5, (first + count) // _FOLIO_ITEMS + 1
    folio = pa.array([f"folio-{one:06}" for one in range(low, high)])
    item = pa.array([f"item-{one:04}" for one in range(_FOLIO_ITEMS)])
    commits = _ids(np.unique(versions), np.zeros(len(np.unique(versions))), 7)
    edges = {field.name: pa.nulls(count, field.type) for field in INPUT_TYPE}
    inputs_of = pa.concat_arrays([pa.array([before], pa.string()), ids.slice(0, count - 1)])
    named = np.maximum(numbers - 1, 0)  # the entry before, by the name that it was put under
    sources = np.where((named % 10 == 9) & (named >= 5000), named - _BACK, named)
    begins = np.zeros(count, np.bool_) if chain is None else numbers % chain == 0
    edges |= {"input_kind": pc.if_else(pa.array(begins), "external", "entry"), "input_id": inputs_of}
    edges |= {"input_folio": folio.take(pa.array(sources // _FOLIO_ITEMS - low))}
    edges |= {"input_item": item.take(pa.array(sources % _FOLIO_ITEMS))}
    ends = pa.array(np.arange(count + 1, dtype=np.int32))
    members = pa.StructArray.from_arrays(list(edges.values()), fields=list(INPUT_TYPE))
    inputs = pa.ListArray.from_arrays(ends, members)
    if before is None:
        inputs = pa.concat_arrays([pa.nulls(1, inputs.type), inputs.slice(1)])
    fact_type = MANIFESTS_SCHEMA.field("facts").type.value_type
    score = pa.array((numbers % 1000) / 1000)
    values = [pa.array(["score"] * count), score.cast(pa.string()), score]
    facts = pa.StructArray.from_arrays(values, fields=list(fact_type))
    columns = {
        "version": pa.array(versions),
        "ordinal": pa.array(ordinals.astype(np.int32)),
        "committed_at": pa.array(_EPOCH_US + versions * 1_000_000, pa.timestamp("us", "UTC")),
        "commit_id": commits.take(pa.array(versions - versions[0])),
        "op": pa.array(["put"] * count),
        "reason": pc.if_else(pa.array(overwrites), "overwrite", "add"),
        "author": pa.array(["generator"] * count),
        "folio": folio.take(pa.array(about // _FOLIO_ITEMS - low)),
        "item": item.take(pa.array(about % _FOLIO_ITEMS)),
        "entry_id": ids,
        "kind": pa.array(["json"] * count),
        "format": pa.array(["json"] * count),
        "storage": pc.if_else(blobs, "blob", "inline"),
        "codec": pa.array(["none"] * count),
        "digest": digest,
        "blob_digest": digest,
        "generation": pa.array(np.zeros(count, np.int32)),
        "size_bytes": sizes,
        "stored_bytes": pc.if_else(blobs, sizes, 0),
        "content": pc.if_else(blobs, None, pa.array(contents)),
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
    whole_log: bool = False,
    chain: int | None = None,
) -> Catalogue | None:
    """Make a lake with so many entries in so many commits, of which the last is version ``commits``.

    Args:
        uri: Where; nothing is there yet.
        entries: How many entries.
        commits: How many commits.
        options: Those of the store.
        rows_at_once: How many rows a data file has at most.
        whole_log: Write the log entry of each commit, and those of the merges, at further versions. Else only that of
            the last version is there, which is all that readers ask for.
        chain: How long the chains of inputs are; None for one of all.
    """
    lake = lf.open(uri, storage_options=options)
    journal = lake._session.journal
    store, lake_id = journal.store, journal.lake_id
    table = DeltaTable(store, lake_id, SPECS[JOURNAL])
    table.load()
    per_commit = max(entries // commits, 1)
    step = max(rows_at_once // per_commit, 1) * per_commit
    newest = max(entries // per_commit, 1)
    with tempfile.TemporaryDirectory() as scratch:
        runs = _FirstRuns(store, lake_id, Path(scratch))
        folded = max(entries - sum(_NEWEST_RUNS), entries // 2) // step * step or step
        files, commit_ids, later, before = [], [], [], None
        for first in range(0, entries, step):
            rows = journal_rows(first, min(step, entries - first), per_commit, before, chain)
            before = rows.column("entry_id")[-1].as_py()
            through = int(rows.column("version")[-1].as_py())
            merged_at = newest + 1 + len(files) if whole_log else through
            files.append(_data_file(table, rows, merged_at))
            for number in filter(_is_blob, range(first, first + rows.num_rows)):
                content = _content(number)
                store.create(blob_key(f"sha256:{hashlib.sha256(content).hexdigest()}"), content)
            commit_ids += _FOLDS["commits"](rows).column("commit_id").to_pylist()
            if first < folded:
                runs.add(rows, first + rows.num_rows)
                held = through
            else:
                later.append(rows)
        catalogue = runs.publish(held)
    newest = _whole_log(table, files, commit_ids, per_commit) if whole_log else _last_entry(table, files, newest)
    models = ReadModels(store, lake_id)
    for rows, through in _folds(later, held, newest):
        catalogue = models.advance(lambda _, rows=rows: [rows], through) or catalogue
    table._write_checkpoint(threading.RLock(), catalogue.to_json)
    return catalogue


def _data_file(table: DeltaTable, rows: pa.Table, version: int) -> DataFile:
    """Store rows as the data file that a merge at some version made of them."""
    body = to_parquet(rows)
    path = f"{version:020d}-{uuid.uuid4().hex}.parquet"
    table.store.create(f"{table_prefix(JOURNAL)}/{path}", body)
    seal = table.seals.of_bytes(path, body)
    return DataFile(path, len(body), rows.num_rows, stats_of(rows), 0, seal, versions_of(rows))


def _folds(later: list[pa.Table], held: int, newest: int) -> Iterator[tuple[pa.Table, int]]:
    """Yield the rows that are not in the first run, in portions of which each becomes a run, and up to where they go.

    The last one goes up to the newest version, whatever it has.
    """
    if not later:
        yield MANIFESTS_SCHEMA.empty_table(), newest
        return
    rows = pa.concat_tables(later)
    versions = rows.column("version").to_numpy()
    ends = np.cumsum((rows.num_rows - sum(_NEWEST_RUNS), *_NEWEST_RUNS))
    bounds = [held, *(int(versions[end - 1]) for end in ends if 0 < end < rows.num_rows), int(versions[-1])]
    for after, upto in pairwise(bounds):
        start, stop = np.searchsorted(versions, [after, upto], side="right")
        yield rows.slice(start, stop - start), newest if upto == versions[-1] else upto


class _FirstRuns:
    """The oldest run of each read model, written while the journal is: its rows come nearly in the model's order."""

    def __init__(self, store: Store, lake_id: str, scratch: Path) -> None:
        self._tables = {model.name: ModelTable(store, lake_id, model) for model in MODELS}
        self._files: dict[str, list[RunFile]] = {model.name: [] for model in MODELS}
        self._waiting: dict[str, list[pa.Table]] = {model.name: [] for model in MODELS}
        self._held = ENTRIES.schema.empty_table()
        self._scratch = scratch
        self._parts = 0

    def add(self, rows: pa.Table, done: int) -> None:
        """Take rows of the journal, of which ``done`` are known with these."""
        folio = f"folio-{max(done - _BACK, 0) // _FOLIO_ITEMS:06}"  # no later row overwrites what lies before
        found = settled(sorted_rows(pa.concat_tables([self._held, _FOLDS["entries"](rows)]), ENTRIES), ENTRIES)
        cut = pc.sum(pc.less(found.column("folio"), folio)).as_py() or 0
        self._write(ENTRIES, found.slice(0, cut))
        self._held = found.slice(cut)
        edges = _FOLDS["lineage"](rows)
        self._write(LINEAGE, sorted_rows(edges, LINEAGE))
        self._write(USES, sorted_rows(_uses(edges), USES))
        self._write(METADATA, settled(sorted_rows(_FOLDS["metadata"](rows), METADATA), METADATA))
        self._write(COMMITS, _FOLDS["commits"](rows))
        begun = rows.filter(pc.and_(pc.equal(rows.column("item"), "item-0000"), pc.equal(rows.column("reason"), "add")))
        begun = begun.append_column("removed", pa.array(np.zeros(begun.num_rows, np.bool_)))
        columns = [
            begun.column(field.name) if field.name in begun.schema.names else pa.nulls(begun.num_rows, field.type)
            for field in FOLIOS.schema
        ]
        self._write(FOLIOS, pa.Table.from_arrays(columns, schema=FOLIOS.schema))
        feather.write_feather(_FOLDS["contents"](rows), self._scratch / str(self._parts), compression="uncompressed")
        self._parts += 1

    def _write(self, model: Model, rows: pa.Table, *, last: bool = False) -> None:
        self._waiting[model.name].append(rows)
        waiting = pa.concat_tables(self._waiting[model.name])
        while waiting.num_rows >= FILE_ROWS or (last and waiting.num_rows):
            file, body = encode(waiting.slice(0, FILE_ROWS).combine_chunks(), model, after=-1, through=0)
            named = self._tables[model.name].named(0, file)
            self._tables[model.name].store_file(named, body)
            self._files[model.name].append(named)
            waiting = waiting.slice(FILE_ROWS)
        self._waiting[model.name] = [waiting]

    def publish(self, through: int) -> Catalogue:
        """Write what is left, and the first version of each model."""
        self._write(ENTRIES, self._held)
        digits = 2 if self._parts > 10 else 1  # so much of the contents is sorted at once
        for number in range(16**digits):
            start = f"sha256:{number:0{digits}x}"
            found = [
                part.filter(pc.starts_with(part.column("digest"), start))
                for part in (feather.read_table(self._scratch / str(one)) for one in range(self._parts))
            ]
            self._write(CONTENTS, sorted_rows(pa.concat_tables([CONTENTS.nothing, *found]), CONTENTS))
        for model in (one for one in MODELS if one is not TOTALS):  # that is counted off the entries
            self._write(model, model.schema.empty_table(), last=True)
            files = tuple(replace(one, through=through) for one in self._files[model.name])
            self._tables[model.name].publish(NOTHING, [Run(files)] if files else [], through)
        return Catalogue(through, tuple(-1 if model is TOTALS else 0 for model in MODELS))


def _last_entry(table: DeltaTable, files: list[DataFile], version: int) -> int:
    """Write the log entry of the last version alone."""
    table.files.replay(LogEntry(version, (), (), tuple(files), {}))
    info = {"timestamp": 0, "operation": "OPTIMIZE", "operationParameters": {}, "engineInfo": "lakefolio"}
    body = table.seals.entry(version, info, {"total": table.files.total.to_plain()}, [])
    table.store.create(log_key(JOURNAL, version), body)
    return version


def _whole_log(table: DeltaTable, files: list[DataFile], commits: list[str], per_commit: int) -> int:
    """Write the log: an entry for each commit, then one for each merge, whose data files are there; return the last."""
    info = {"timestamp": 0, "operation": "WRITE", "operationParameters": {"mode": "Append"}, "engineInfo": "lakefolio"}
    stats, paths = f'{{"numRecords": {per_commit}}}', np.random.default_rng(11)
    small = []
    for version, commit_id in enumerate(commits, start=1):
        number = paths.bytes(48).hex()
        path = f"{version:020d}-{number[:32]}.parquet"
        small.append(DataFile(path, 9_000, per_commit, stats, 0, number[32:], (version, version)))
        table.files.replay(LogEntry(version, (), (small[-1],), (), {}))
        ours = {"commits": [commit_id], "total": table.files.total.to_plain()}
        body = table.seals.entry(version, info, ours, [{"add": small[-1].add(data_change=True)}])
        table.store.create(log_key(JOURNAL, version), body)
    for file in files:
        version += 1
        assert file.versions is not None
        replaced = small[file.versions[0] - 1 : file.versions[1]]
        table.files.replay(LogEntry(version, (), (), (file,), {one.path: 0 for one in replaced}))
        actions = [*({"remove": one.remove(0)} for one in replaced), {"add": file.add(data_change=False)}]
        ours = {"total": table.files.total.to_plain()}
        body = table.seals.entry(version, info | {"operation": "OPTIMIZE"}, ours, actions)
        table.store.create(log_key(JOURNAL, version), body)
    return version
