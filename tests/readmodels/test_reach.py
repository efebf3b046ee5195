"""Walks over lineage: each row group is opened once, however deep the chain, and all ways are found."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from memory_models import MemoryModels, parts_of

from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.model.state import State
from lakefolio.readmodels.anew import edges_of
from lakefolio.readmodels.runs import ModelRuns
from lakefolio.session.edges import Edges

Node = tuple[str, str]


def journal(inputs: dict[str, list[Node]]) -> pa.Table:
    """Return rows that put an entry, or tell of a run, in each version, made of some nodes."""
    rows: list[dict[str, Any]] = []
    for version, (one, sources) in enumerate(inputs.items()):
        of_run = one.startswith("run")
        edges = [{f"input_{'uri' if kind == 'external' else 'id'}": at, "input_kind": kind} for kind, at in sources]
        what = {"op": "run", "run_id": one} if of_run else {"op": "put", "entry_id": one, "folio": "f", "item": one}
        when = datetime(2026, 1, 1, tzinfo=UTC)
        at = {"version": version, "ordinal": 0, "commit_id": f"c{version}", "committed_at": when}
        rows.append({**at, "inputs": edges, **what})
    return pa.Table.from_pylist(rows, MANIFESTS_SCHEMA)


def folded(rows: pa.Table, cuts: list[int], **sizes: int) -> MemoryModels:
    """Return models of which each run ends at one of some versions."""
    models = MemoryModels(**sizes)
    versions = rows.column("version").to_numpy()
    for cut in cuts:
        models.fold(rows.filter(pa.array((versions > models.through) & (versions <= cut))), cut)
    return models


def pairs(edges: pa.Table) -> list[tuple[Node, Node]]:
    """Return outputs and inputs, sorted."""
    names = ("output_kind", "output_id", "input_kind", "input_id", "input_uri")
    rows = zip(*(edges.column(name).to_pylist() for name in names), strict=True)
    return sorted(((kind, one), (source, at or uri)) for kind, one, source, at, uri in rows)


def walked(inputs: dict[str, list[Node]], roots: list[Node], by_input: bool) -> list[tuple[Node, Node]]:
    """Return the edges on all ways, by a plain search."""
    edges = [(("run" if one.startswith("run") else "entry", one), end) for one, ends in inputs.items() for end in ends]
    seen, todo, found = set(roots), list(roots), []
    while todo:
        node = todo.pop()
        for edge in (edge for edge in edges if edge[by_input] == node):
            found.append(edge)
            end = edge[not by_input]
            if end not in seen:
                seen.add(end)
                todo.append(end)
    return sorted(found)


@pytest.mark.parametrize("by_input", [False, True])
def test_a_chain_of_any_depth_opens_each_row_group_once(by_input: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    count, group_rows = 300, 20
    names = [f"e{number:05}" for number in range(count)]
    inputs = {name: [("entry", names[at - 1])] if at else [] for at, name in enumerate(names)}
    rows = journal(inputs)
    models = folded(rows, [count // 2, count - 1], file_rows=100, group_rows=group_rows, cache_bytes=20_000)
    opened: list[tuple[str, int]] = []
    group = ModelRuns.group
    monkeypatch.setattr(
        ModelRuns, "group", lambda self, file, number: opened.append((file.path, number)) or group(self, file, number)
    )
    root = ("entry", names[0 if by_input else -1])
    found, new = models.folded().all_edges([root], [root], by_input=by_input)
    assert len(new) == count - 1
    assert pairs(found) == walked(inputs, [root], by_input)
    assert len(opened) == len(set(opened)) <= count // group_rows + 4


@pytest.mark.parametrize("seed", range(2))
def test_all_ways_are_found_whatever_the_ids(seed: int) -> None:
    rng = random.Random(seed)
    names = [f"{rng.choice(['e', 'run-'])}{rng.randrange(10**6)}" for _ in range(40)]
    inputs: dict[str, list[Node]] = {}
    for at, name in enumerate(names):
        some = rng.sample(names[:at], min(at, rng.randrange(2))) + rng.sample(names, rng.random() < 0.05)  # cycles
        inputs[name] = [("run" if one.startswith("run") else "entry", one) for one in some]
        inputs[name] += [("external", f"s3://b/{rng.randrange(3)}")] * (rng.random() < 0.2)
    rows = journal(inputs)
    models = folded(rows, [12, 24, 30])
    state = State().extended(rows, 39).on(models.folded(parts_of(rows)))
    since = edges_of(rows.slice(31), state.base)
    for by_input in (False, True):
        for one in [*rng.sample(sorted(inputs), 3), "s3://b/1"]:
            root = ("external" if one.startswith("s3") else "run" if one.startswith("run") else "entry", one)
            edges = Edges(state, since, by_input=by_input)
            wanted = walked(inputs, [root], by_input)
            assert pairs(edges.all([root])) == wanted
            every, cut = edges.nearest([root], None, 10_000)
            assert (pairs(every), cut) == (wanted, False)
            some, cut = edges.nearest([root], None, 2)
            assert set(pairs(some)) <= set(wanted)
            assert cut or pairs(some) == wanted


def test_an_input_of_many_is_not_read_to_its_last_use() -> None:
    inputs: dict[str, list[Node]] = {"e0000": [], **{f"e{at:04}": [("entry", "e0000")] for at in range(1, 200)}}
    rows = journal(inputs)
    models = folded(rows, [199], file_rows=100, group_rows=10)
    state = State().extended(rows, 199).on(models.folded(parts_of(rows)))
    models.reads.clear()
    found, cut = Edges(state, edges_of(rows.slice(0, 0), state.base), by_input=True).nearest(
        [("entry", "e0000")], None, 25
    )
    assert cut
    assert 25 < found.num_rows <= 35
    assert len(models.reads) < 8
