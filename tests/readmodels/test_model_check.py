"""A check finds every difference between a read model and the journal, and none where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, zip_longest
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_models import MemoryModels
from test_readmodels_equal_replay import BEGIN, commits, merges, table_of

from lakefolio.maintenance.model_check import ModelCheck
from lakefolio.maintenance.row_numbers import RowNumbers
from lakefolio.readmodels.cache import Cache
from lakefolio.readmodels.model import REMOVED, Model, succession
from lakefolio.readmodels.models import MODELS
from lakefolio.readmodels.run_file import RunFile
from lakefolio.readmodels.runs import ModelRuns, Run
from lakefolio.readmodels.table import Published
from lakefolio.views.workbench import Workbench


class Files:
    """Models whose files lie in memory, instead of those of a lake."""

    def __init__(self, models: MemoryModels) -> None:
        self.models = models

    def place_of(self, model: str, file: RunFile) -> None:
        """They lie nowhere."""

    def anew(self, name: str, runs: Sequence[Run]) -> ModelRuns:
        model = next(one for one in MODELS if one.name == name)
        return ModelRuns(model, runs, self.models, Cache(0))


def found(models: MemoryModels, parts: Sequence[pa.Table]) -> set[str]:
    """Return the models that a check finds to differ."""
    published = {
        model.name: Published(version=1, through=models.through, runs=tuple(models.runs(model.name)))
        for model in MODELS
    }
    with Workbench(few=True) as bench:
        numbers = RowNumbers(bench, models.through)
        check = ModelCheck(bench, Files(models), published)  # type: ignore[arg-type]
        for part in parts:
            with bench.part(part) as rows:
                numbers.add(rows)
                check.add(rows)
        numbers.complete()
        return {key.removeprefix("tables/") for key, _ in check.problems(models.through)}


def parts_of(rows: pa.Table, cuts: set[int]) -> list[pa.Table]:
    """Return rows in parts, cut between versions, the newest first: their order does not matter."""
    versions = rows.column("version").to_numpy()
    bounds = [-1, *sorted(cuts), 1 << 40]
    parts = [rows.filter(pa.array((versions > after) & (versions <= upto))) for after, upto in pairwise(bounds)]
    return parts[::-1]


@settings(max_examples=4, deadline=None, derandomize=True)
@given(
    made=commits,
    folds=st.sets(st.integers(1, 22), max_size=4),
    cuts=st.sets(st.integers(1, 22), max_size=4),
    merging=merges,
)
def test_models_of_any_journal_are_found_right_however_they_were_merged(
    made: list[list[dict[str, Any]]], folds: set[int], cuts: set[int], merging: list[tuple[str, int, int]]
) -> None:
    rows = table_of(made)
    versions = rows.column("version").to_numpy()
    models = MemoryModels()
    for step, upto in enumerate(sorted({*folds, int(versions.max())})):
        models.fold(rows.filter(pa.array((versions > models.through) & (versions <= upto))), upto)
        for name, first, count in merging[step::2]:
            models.merge(name, first, count)
    assert found(models, parts_of(rows, cuts)) == set()


def journal() -> pa.Table:
    """Return rows of a journal with something in each model, entries put again and folios that lost all items."""
    one, two = ({"entry_id": f"{number:032x}", "digest": "sha256:" + f"{number}" * 64} for number in (1, 2))
    put = {"op": "put", "kind": "json", "storage": "inline", "details": '{"a": 1}', "tags": ["t"]}
    edge = {"role": "p", "input_kind": "entry", "input_id": one["entry_id"]}
    fact = {"key": "k", "value": "1", "value_number": 1.0}
    noted = {"inputs": [edge], "facts": [fact]}
    run = {"op": "run", "run_id": "r", "inputs": [edge]}
    return table_of(
        [
            [put | one | {"folio": "f", "item": "x"}, {"op": "snapshot", "snapshot": "s", "target_version": 0}],
            [
                put | two | noted | {"folio": "g", "item": "y"},
                run | {"facts": [{"key": "status", "value": '"running"'}]},
            ],
            [
                {"op": "delete", "folio": "g", "item": "y"},
                {"op": "purge", "blob_digest": one["digest"], "generation": 0},
            ],
            [put | two | noted | {"folio": "g", "item": "y"}, put | two | noted | {"folio": "f", "item": "x"}],
            [{"op": "annotate", "folio": "f", "facts": [fact]}, {"op": "drop_snapshot", "snapshot": "s"}],
            [{"op": "annotate", "folio": "f", "facts": [{"key": "k", "value": None}]}],
        ]
    )


def test_rows_of_a_large_run_wait_for_those_of_the_same_key_in_others() -> None:
    rows = journal()
    versions = rows.column("version").to_numpy()
    models = MemoryModels()
    for upto in sorted(set(versions.tolist())):
        models.fold(rows.filter(pa.array(versions == upto)), upto)
    assert len(models.runs("entries")) > 1
    assert found(models, [rows]) == set()


def changed(rows: pa.Table, name: str) -> pa.Table:
    """Return rows with another value in the last cell of a column."""
    field = rows.schema.field(name)
    values = rows.column(name).to_pylist()
    if pa.types.is_boolean(field.type):
        values[-1] = not values[-1]
    elif values[-1] is not None and field.nullable:
        values[-1] = None
    elif pa.types.is_list(field.type):
        values[-1] = []
    elif pa.types.is_timestamp(field.type):
        values[-1] = BEGIN
    else:
        values[-1] = "other" if pa.types.is_string(field.type) else 77
    return rows.set_column(rows.schema.get_field_index(name), field, [pa.array(values, field.type)])


def lies(model: Model, whole: pa.Table) -> list[pa.Table]:
    """Return rows of a model without one of them, and with another value in each column."""
    made_by_merging = {one.name for one in succession(model.position)} - {REMOVED}
    others = [name for name in model.schema.names if name not in {*model.order, *made_by_merging}]
    return [whole.slice(1), *(changed(whole, name) for name in others)]


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_a_row_too_few_or_another_value_is_found(step: int) -> None:
    """Each model tells one lie at a time, and a check of all models finds those that lie.

    Every seventh lie by the fast tests, a row too few among them, and all of them by the slow ones.
    """
    rows = journal()
    newest = rows.column("version")[-1].as_py()
    models = MemoryModels()
    models.fold(rows, newest)
    assert found(models, [rows]) == set()
    whole = {
        model.name: Files(models).anew(model.name, models.runs(model.name)).reader().read_all() for model in MODELS
    }
    assert all(table.num_rows for table in whole.values()), "the journal has something in each"
    for told in zip_longest(*(lies(model, whole[model.name])[::step] for model in MODELS)):
        for model, lie in zip(MODELS, told, strict=True):
            rows_told = whole[model.name] if lie is None else lie
            models._runs[model.name] = models._stored(model.name, [rows_told], -1, newest)
        expected = {model.name for model, lie in zip(MODELS, told, strict=True) if lie is not None}
        assert found(models, [rows]) == expected, told
