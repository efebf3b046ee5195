"""Makes lakes of a million runs and a hundred million metric points through the format, without running anything.

Each run has a name, a project, tags, five parameters, four metrics and a curve of two metrics; all have ended. The
journal, the points and the read models are written as merges and folds leave them: many at once, in large sorted files.
What is written to the lake afterwards through the library is the tail.
"""

from __future__ import annotations

import tempfile
import threading
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scale_lake import _EPOCH_US, _data_file, _FirstRuns, _ids, _last_entry

import lakefolio as lf
from lakefolio.delta.actions import DataFile, LogEntry, runs_of, stats_of
from lakefolio.delta.parquet_rows import to_parquet
from lakefolio.delta.table import DeltaTable
from lakefolio.format.layout import JOURNAL, log_key, table_prefix
from lakefolio.format.schema import FACT_TYPE, MANIFESTS_SCHEMA, METRIC_ROWS_SCHEMA, SPECS
from lakefolio.readmodels.catalogue import Catalogue
from lakefolio.readmodels.fold import _FOLDS
from lakefolio.readmodels.merge import settled, sorted_rows
from lakefolio.readmodels.models import COMMITS, METADATA, RUN_FACTS
from lakefolio.readmodels.run_states import RUN_STATES
from lakefolio.readmodels.store import ReadModels

METRICS = ("acc", "auc", "f1", "loss")
PARAMS = ("batch", "depth", "lr", "opt", "seed")
CURVES = ("auc", "loss")
_GROUP = 100
"""So many runs begin, log and end together, each in one commit."""
_AT_ONCE = 50_000


def run_id_of(number: int) -> str:
    """Return the id of a run of a lake that this module made."""
    return str(_run_ids(number // _GROUP * _GROUP, _GROUP)[number % _GROUP].as_py())


def _run_ids(first: int, count: int) -> pa.Array:
    """Return ids of whole groups of runs."""
    groups = range(first // _GROUP, (first + count) // _GROUP)
    ids = [_ids(np.full(_GROUP, 3 * group + 1), np.arange(_GROUP), group) for group in groups]
    return pa.concat_arrays(ids)


def _texts(values: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise('"', values, '"', "")


def _facts(columns: dict[str, pa.Array], numbers: dict[str, pa.Array]) -> pa.Array:
    """Return the facts of rows, the same keys in each."""
    count, width = len(next(iter(columns.values()))), len(columns)
    order = pa.array(np.arange(count * width).reshape(width, count).T.ravel())
    values = pa.concat_arrays(list(columns.values())).take(order)
    doubles = [numbers.get(key, pa.nulls(count, pa.float64())) for key in columns]
    keys = pa.array(list(columns)).take(pa.array(np.tile(np.arange(width), count)))
    found = pa.StructArray.from_arrays([keys, values, pa.concat_arrays(doubles).take(order)], fields=list(FACT_TYPE))
    return pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int32) * width), found)


class _Some:
    """Some runs of whole groups: their rows in each table."""

    def __init__(self, first: int, count: int, points: int) -> None:
        rng = np.random.default_rng(first)
        numbers = np.arange(first, first + count)
        self._count, self._points = count, points
        self._groups, self._ordinals = numbers // _GROUP, (numbers % _GROUP).astype(np.int32)
        self.ids = _run_ids(first, count)
        self._batches = _ids(3 * self._groups + 2, self._ordinals, first + 1)
        self._values = {name: rng.random(count) for name in METRICS}
        params = {
            "batch": np.full(count, 64.0),
            "depth": rng.integers(1, 20, count).astype(np.float64),
            "lr": rng.choice([0.1, 0.01, 0.001], count),
            "seed": numbers.astype(np.float64),
        }
        texts = {name: pa.array(some.astype(np.int64)).cast(pa.string()) for name, some in params.items()}
        texts["lr"] = pa.array(params["lr"]).cast(pa.string())
        texts["opt"] = pa.array(['"adam"', '"sgd"']).take(pa.array(rng.integers(0, 2, count)))
        self._param_texts = {name: texts[name] for name in PARAMS}
        self._param_numbers = {name: pa.array(some) for name, some in params.items()}
        self._metric_texts = {name: pa.array(some).cast(pa.string()) for name, some in self._values.items()}
        self._started = self._times(1)
        names = pc.binary_join_element_wise("run ", pa.array(numbers).cast(pa.string()), "")
        self._said = {
            "type": pa.array(['"experiment"'] * count),
            "name": _texts(names),
            "project": pa.array([f'"project {one}"' for one in range(20)]).take(pa.array(rng.integers(0, 20, count))),
            "author": pa.array(['"ada"'] * count),
            "tags": pa.array(['["sweep","a"]', '["sweep"]', "[]"]).take(pa.array(rng.integers(0, 3, count))),
            "host": pa.array(['"node"'] * count),
            "started_at": self._started,
        }
        self._ended = self._times(3)

    def _times(self, place: int) -> pa.Array:
        micros = _EPOCH_US + (3 * self._groups + place) * 1_000_000
        text = pc.strftime(pa.array(micros, pa.timestamp("us", "UTC")), "%Y-%m-%dT%H:%M:%S+00:00")
        return _texts(text)

    def journal(self) -> pa.Table:
        params = {f"params.{name}": texts for name, texts in self._param_texts.items()}
        numbers = {f"params.{name}": some for name, some in self._param_numbers.items()}
        begun = self._said | {"status": pa.array(['"running"'] * self._count)} | params
        ended = {f"metrics.{name}": texts for name, texts in self._metric_texts.items()}
        last = {f"metrics.{name}": pa.array(some) for name, some in self._values.items()}
        ended |= {"ended_at": self._ended, "status": pa.array(['"done"'] * self._count)}
        auc, loss = (self._metric_texts[name] for name in CURVES)
        details = pc.binary_join_element_wise('{"last":{"auc":[', auc, ',49],"loss":[', loss, ",49]}}", "")
        parts = [
            self._rows(1, op="run", facts=_facts(begun, numbers)),
            self._rows(
                2,
                op="metrics",
                entry_id=self._batches,
                row_count=pa.array(np.full(self._count, self._points), pa.int64()),
                details=details,
            ),
            self._rows(3, op="run", facts=_facts(ended, last)),
        ]
        return pa.concat_tables(parts).sort_by([("version", "ascending"), ("ordinal", "ascending")]).combine_chunks()

    def _rows(self, place: int, *, op: str, **columns: pa.Array) -> pa.Table:
        versions = 3 * self._groups + place
        commits = _ids(np.unique(versions), np.zeros(len(np.unique(versions))), 7)
        columns |= {
            "version": pa.array(versions),
            "ordinal": pa.array(self._ordinals),
            "committed_at": pa.array(_EPOCH_US + versions * 1_000_000, pa.timestamp("us", "UTC")),
            "commit_id": commits.take(pa.array(self._groups - self._groups[0])),
            "op": pa.array([op] * self._count),
            "run_id": self.ids,
        }
        arrays = [columns.get(one.name, pa.nulls(self._count, one.type)) for one in MANIFESTS_SCHEMA]
        return pa.Table.from_arrays(
            [one.cast(of.type) for one, of in zip(arrays, MANIFESTS_SCHEMA, strict=True)], schema=MANIFESTS_SCHEMA
        )

    def states(self) -> pa.Table:
        """Return the rows of ``run_states``, as folding would make them."""
        count = self._count

        def lists(columns: dict[str, pa.Array]) -> pa.Array:
            width = len(columns)
            order = pa.array(np.arange(count * width).reshape(width, count).T.ravel())
            ends = pa.array(np.arange(count + 1, dtype=np.int32) * width)
            return pa.ListArray.from_arrays(ends, pa.concat_arrays(list(columns.values())).take(order))

        def names(some: tuple[str, ...]) -> pa.Array:
            return lists({one: pa.array([one] * count) for one in some})

        doubles = {name: self._param_numbers.get(name, pa.nulls(count, pa.float64())) for name in PARAMS}
        nothing = pa.ListArray.from_arrays(pa.array(np.zeros(count + 1, np.int32)), pa.array([], pa.string()))
        none = pa.array(np.zeros(count, np.int64))
        columns: dict[str, Any] = self._said | {
            "run_id": self.ids,
            "version": pa.array(3 * self._groups + 3),
            "ordinal": pa.array(self._ordinals),
            "begun": pa.array(3 * self._groups + 1),
            "since": pa.array(3 * self._groups + 1),
            "status": pa.array(['"done"'] * count),
            "ended_at": self._ended,
            "param_names": names(PARAMS),
            "param_values": lists(self._param_texts),
            "param_numbers": lists(doubles),
            "metric_names": names(METRICS),
            "metric_values": lists(self._metric_texts),
            "metric_numbers": lists({name: pa.array(some) for name, some in self._values.items()}),
            "logged_names": names(CURVES),
            "logged_values": lists({name: self._metric_texts[name] for name in CURVES}),
            "input_count": none,
            "output_count": none,
            "inputs": nothing,
            "outputs": nothing,
            "removed": pa.array(np.zeros(count, np.bool_)),
        }
        arrays = [columns.get(one.name, pa.nulls(count, one.type)) for one in RUN_STATES.schema]
        return pa.Table.from_arrays(arrays, schema=RUN_STATES.schema)

    def points(self) -> pa.Table:
        """Return the points, sorted by run, name and step."""
        width, rng = self._points, np.random.default_rng(5)
        steps = width // len(CURVES)
        runs = pa.array(np.repeat(np.arange(self._count), width))
        total = self._count * width
        micros = _EPOCH_US + np.repeat(3 * self._groups + 1, width) * 1_000_000
        columns = [
            self._batches.take(runs),
            pa.array(np.tile(np.arange(width, dtype=np.int32), self._count)),
            self.ids.take(runs),
            pa.array(CURVES).take(pa.array(np.tile(np.repeat(np.arange(len(CURVES)), steps), self._count))),
            pa.array(np.tile(np.tile(np.arange(steps), len(CURVES)), self._count)),
            pa.array(np.round(rng.random(total), 4)),
            pa.array(micros, pa.timestamp("us", "UTC")),
        ]
        return pa.Table.from_arrays(columns, schema=METRIC_ROWS_SCHEMA)


def make(uri: str, runs: int, points: int, *, at_once: int = _AT_ONCE) -> Catalogue:
    """Make a lake with so many runs (a multiple of 100), each with so many points (an even number).

    Only the log entry of the last version is there, which is all that readers ask for.
    """
    lake = lf.open(uri)
    journal = lake._session.journal
    store, lake_id = journal.store, journal.lake_id
    table = DeltaTable(store, lake_id, SPECS[JOURNAL])
    table.load()
    metric_rows = DeltaTable(store, lake_id, SPECS["metric_rows"])
    metric_rows.create()
    metric_rows.follow()
    files: list[DataFile] = []
    batches: list[DataFile] = []
    going_on: list[pa.Table] = []
    with tempfile.TemporaryDirectory() as scratch:
        models = _FirstRuns(store, lake_id, Path(scratch))
        for first in range(0, runs, at_once):
            some = _Some(first, min(at_once, runs - first), points)
            rows = some.journal()
            through = int(rows.column("version")[-1].as_py())
            for start in range(0, rows.num_rows, 200_000):
                files.append(_data_file(table, rows.slice(start, 200_000), through))
            models._write(METADATA, settled(sorted_rows(_FOLDS["metadata"](rows), METADATA), METADATA))
            models._write(COMMITS, _FOLDS["commits"](rows))
            models._write(RUN_STATES, some.states())
            facts = sorted_rows(_FOLDS["run_facts"](rows), RUN_FACTS)
            is_done = pc.equal(facts.column("value"), '"done"')
            models._write(RUN_FACTS, facts.filter(is_done))
            going_on.append(facts.filter(pc.invert(is_done)))
            logged = some.points()
            for start in range(0, logged.num_rows, 250_000):
                batches.append(_points_file(metric_rows, logged.slice(start, 250_000), len(batches) + 1))
        for facts in going_on:
            models._write(RUN_FACTS, facts)
        models.publish(through)
    newest = _last_entry(table, files, through)
    catalogue = ReadModels(store, lake_id).advance(lambda _: (), newest)
    assert catalogue is not None
    table._write_checkpoint(threading.RLock(), catalogue.to_json)
    _last_points(metric_rows, batches)
    return catalogue


def _points_file(table: DeltaTable, rows: pa.Table, version: int) -> DataFile:
    body = to_parquet(rows)
    path = f"{version:020d}-{uuid.uuid4().hex}.parquet"
    table.store.create(f"{table_prefix(table.name)}/{path}", body)
    seal = table.seals.of_bytes(path, body)
    return DataFile(path, len(body), rows.num_rows, stats_of(rows), 0, seal, runs=runs_of(rows))


def _last_points(table: DeltaTable, files: list[DataFile]) -> None:
    """Write the log entry of the last version alone, and its checkpoint."""
    version = len(files)
    table.files.replay(LogEntry(version, (), (), tuple(files), {}))
    info = {"timestamp": 0, "operation": "OPTIMIZE", "operationParameters": {}, "engineInfo": "lakefolio"}
    body = table.seals.entry(version, info, {"total": table.files.total.to_plain()}, [])
    table.store.create(log_key(table.name, version), body)
    table._write_checkpoint(threading.RLock(), lambda: "")
