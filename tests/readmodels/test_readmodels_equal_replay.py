"""The read models say what a replay of the whole journal says: at the head and as of every version, however merged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_models import MemoryModels, parts_of
from thoroughness import examples

from lakefolio.format.arrow_rows import rows_of
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.model.state import State
from lakefolio.readmodels import anew
from lakefolio.readmodels.anew import edges_of, made_of
from lakefolio.readmodels.fold import fold
from lakefolio.readmodels.merge import merged, sorted_rows
from lakefolio.readmodels.models import LINEAGE, MODELS
from lakefolio.readmodels.totals import COUNTED, TOTALS, counted

if TYPE_CHECKING:
    from lakefolio.model.base_state import BaseState

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
FOLIOS = ("a", "a/b", "é")
ITEMS = ("x", "x\u00e9", "z")
DIGESTS = tuple("sha256:" + digit * 64 for digit in "012")
SNAPSHOTS = ("s", "t")
RUNS = ("r1", "r2")
NODES = [*(("entry", f"{number:032x}") for number in range(10)), ("run", "r1"), ("run", "r2")]


def facts() -> st.SearchStrategy[dict[str, Any]]:
    statuses = st.sampled_from(['"running"', '"done"', None])
    others = st.sampled_from(["1", "2", None])
    status = st.builds(lambda value: {"key": "status", "value": value}, statuses)
    return status | st.builds(lambda key, value: {"key": key, "value": value}, st.sampled_from(["memo", "k"]), others)


def inputs() -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        dict,
        role=st.sampled_from("pq"),
        input_kind=st.sampled_from(["entry", "entry", "external", None]),
        input_id=st.sampled_from([None, *(one for _, one in NODES[:4])]),
        input_uri=st.sampled_from([None, "file:///x"]),
    )


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    op = draw(
        st.sampled_from(["put"] * 6 + ["delete"] * 3 + ["snapshot", "drop_snapshot", "purge", "annotate", "run", "run"])
    )
    row: dict[str, Any] = {"op": op, "reason": op}
    if op in ("put", "delete"):
        row |= {"folio": draw(st.sampled_from(FOLIOS)), "item": draw(st.sampled_from(ITEMS))}
    if op == "put":
        digest = draw(st.sampled_from(DIGESTS))
        row |= {"entry_id": f"{draw(st.integers(0, 9)):032x}", "kind": draw(st.sampled_from(["json", "array"]))}
        row |= {"digest": digest, "blob_digest": digest, "generation": draw(st.integers(0, 1)), "details": '{"a": 1}'}
        row |= {"storage": draw(st.sampled_from(["blob", "inline"])), "tags": draw(st.sampled_from([None, ["t", "u"]]))}
        row |= {"size_bytes": (None, 1, 20)[int(row["entry_id"], 16) % 3], "archived": (None, True)[row["generation"]]}
    elif op == "purge":
        row |= {"blob_digest": draw(st.sampled_from(DIGESTS)), "generation": draw(st.sampled_from([None, 0, 1]))}
    elif op in ("snapshot", "drop_snapshot"):
        row |= {"folio": draw(st.sampled_from([None, "a"])), "snapshot": draw(st.sampled_from(SNAPSHOTS))}
        row |= {"target_version": draw(st.integers(0, 3))} if op == "snapshot" else {}
    elif op == "annotate":
        row |= {"folio": draw(st.sampled_from([None, "a"]))}
    elif op == "run":
        row |= {"run_id": draw(st.sampled_from(RUNS))}
    if op in ("annotate", "run", "put"):
        row |= {"facts": draw(st.lists(facts(), min_size=int(op == "annotate"), max_size=3))}
    if op in ("run", "put"):
        row |= {"inputs": draw(st.lists(inputs(), max_size=2))}
    return row


commits = st.lists(st.lists(changes(), min_size=1, max_size=4), min_size=1, max_size=14)
merges = st.lists(
    st.tuples(st.sampled_from([model.name for model in MODELS]), st.integers(0, 3), st.integers(2, 4)), max_size=6
)


def table_of(made: list[list[dict[str, Any]]]) -> pa.Table:
    """Return commits as rows of the journal; every third version is one without rows."""
    rows = []
    for number, change_rows in enumerate(made):
        version = 1 + number + number // 2
        common = {"version": version, "committed_at": BEGIN + timedelta(seconds=version)}
        common |= {
            "commit_id": f"{number % 7}{number:031x}",
        }
        rows += [common | {"ordinal": ordinal} | row for ordinal, row in enumerate(change_rows)]
    return rows_of(MANIFESTS_SCHEMA, rows)


def sensible(changes: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return changes of an item, newest first, without the deletes of what was not there."""
    found: list[tuple[int, str]] = []
    for version, op in reversed(changes):
        if op == "put" or (found and found[-1][1] == "put"):
            found.append((version, op))
    return found


def needless_deletes(rows: pa.Table) -> set[tuple[str, str]]:
    """Return the names (of items, of snapshots) that were deleted or dropped while they were not there."""
    makes = {"delete": "put", "drop_snapshot": "snapshot"}
    ops: dict[tuple[str, str], str] = {}
    found = set()
    for row in rows.select(["op", "folio", "item", "snapshot"]).to_pylist():
        name = row["folio"], row["item"] or row["snapshot"]
        if row["op"] in makes and ops.get(name) != makes[row["op"]]:
            found.add(name)
        if row["op"] in makes.keys() | makes.values():
            ops[name] = row["op"]
    return found


def in_order(rows: pa.Table) -> list[dict[str, Any]]:
    return rows.sort_by([("version", "ascending"), ("ordinal", "ascending")]).to_pylist()


def edges_around(view: State) -> list[list[dict[str, Any]]]:
    """Return the edges that are found by each output, and by each input."""
    since = edges_of(view.rows.table(), view.base)
    ids = pa.array([one for _, one in NODES])
    found = []
    for by_input in (False, True):
        both = since if view.base is None else pa.concat_tables([view.base.edges(NODES, by_input=by_input), since])
        wanted = pc.is_in(both.column("input_id" if by_input else "output_id"), value_set=ids)
        if by_input:
            wanted = pc.and_(wanted, pc.fill_null(pc.equal(both.column("input_kind"), "entry"), False))
        found.append(both.filter(wanted))
    return [rows.sort_by([(name, "ascending") for name in LINEAGE.position]).to_pylist() for rows in found]


def said(view: State, rows: pa.Table) -> dict[str, Any]:
    """Return everything that a view answers about what a journal may speak of."""
    idle = {folio for folio, item in needless_deletes(rows)}
    answers: dict[str, Any] = {"folios": view.folios(), "first": view.first_at(), "totals": list(view.totals().items())}
    assert list(view.totals()) == view.folios()
    for folio, total in view.totals().items():
        entries = view.entries(folio)
        archived = [one for one in entries if one.archived]
        told = [fact for some in (entries, archived) for fact in (len(some), sum(one.size_bytes or 0 for one in some))]
        assert list(total[:4]) == told
        puts = [one for item in ITEMS for one in view.puts(folio, item)]
        assert total.put_version == max(one.version for one in puts)
        assert total.put_at == view.time_of(total.put_version)
    for folio in FOLIOS:
        answers["names", folio] = view.names(folio)
        answers["entries", folio] = view.entries(folio)
        answers["listing", folio] = view.listing(folio, ("item", "kind", "digest"))
        for item in ITEMS:
            answers["item", folio, item] = (
                view.entry(folio, item),
                view.live(folio, item),
                view.known(folio, item),
                view.history(folio, item),
                view.puts(folio, item),
                view.users(folio, item),
                [view.entry_at(folio, item, version) for version in (1, 4, 8)],
                sensible(view.changes_of(folio, item)),
                in_order(view.puts_of([(folio, item)])),
            )
        if folio not in idle:
            answers["span", folio] = view.change_span(folio)
    names = [(folio, item) for folio in reversed(FOLIOS) for item in ITEMS]
    called = view.entries_called(names)
    assert list(called.items()) == [(name, view.entry(*name)) for name in names if view.live(*name)]
    answers["called"] = called
    answers["heads"] = in_order(view.heads_of([(folio, item) for folio in FOLIOS for item in ITEMS]))
    for newest_first in (False, True):
        parts = list(view.parts(("op", "item"), 3, newest_first=newest_first))[:: -1 if newest_first else 1]
        answers["parts", newest_first] = [row for part in parts for row in part.to_pylist()]
    answers["edges"] = edges_around(view)
    for digest in DIGESTS:
        answers[digest] = [view.content(digest, kind) for kind in ("json", "array")]
        answers["purge", digest] = view.generation(digest), [view.purge_of(digest, number) for number in range(3)]
    for scope in (None, "a"):
        answers["snapshots", scope] = view.snapshots(scope), [view.snapshot(scope, name) for name in SNAPSHOTS]
    for subject in (("lake", ""), ("folio", "a"), *(("run", run) for run in RUNS)):
        answers[subject] = [list(view.metadata(*subject, version).items()) for version in (None, 2, 7)]
    answers["inputs"] = view.inputs_of_runs(RUNS)
    noted = (("status",), ("memo", ["1"]), ("status", ['"done"']), ("memo", ["1", "2", '"none"']), ("memo", []))
    answers["noting"] = [view.runs_noting(*what) for what in noted]
    answers["facts of runs"] = [view.facts_of_runs(key) for key in ("status", "memo", "name")]
    for version in range(0, 23, 2):
        answers["time", version] = view.time_of(version), view.version_at(BEGIN + timedelta(seconds=version))
    answers["back"] = [(view.versions_up_to(version), view.back(version, 3)) for version in range(0, 23, 2)]
    answers["commits"] = [view.version_of(one) for one in set(rows.column("commit_id").to_pylist())]
    return answers


def shown(view: State) -> list[Any]:
    """Return all that a listing and the completion of names ask."""
    columns = ("version", "item", "size_bytes", "archived", "committed_at")
    folios = [(one, view.entries(one), view.listing(one, columns)) for one in view.folios()]
    names = [view.entry(folio, item) for folio in FOLIOS for item in ITEMS]
    return [folios, names, view.totals(), [view.is_purged(one) for one in names if one is not None]]


@settings(max_examples=examples(20), deadline=None)
@given(
    made=commits,
    cuts=st.sets(st.integers(1, 22), max_size=5),
    merging=merges,
    past=st.integers(0, 22),
    tail=st.booleans(),
)
def test_read_models_answer_as_a_replay_does(
    made: list[list[dict[str, Any]]], cuts: set[int], merging: list[tuple[str, int, int]], past: int, tail: bool
) -> None:
    rows = table_of(made)
    newest = rows.column("version")[-1].as_py()
    state = State().extended(rows, newest)
    models = MemoryModels()
    versions = rows.column("version").to_numpy()
    steps = sorted({cut for cut in cuts if cut < newest} | {newest})
    for step, upto in enumerate(steps):
        part = rows.filter(pa.array((versions > models.through) & (versions <= upto)))
        if step and step == len(steps) - 1 and tail:
            break  # what came last is not folded, but lies in the state
        models.fold(part, upto)
        for name, first, count in merging[step::2]:
            models.merge(name, first, count)

    bounded = state.on(models.folded(parts_of(rows)))

    assert len(bounded.rows) < len(state.rows) or models.through < 0
    folded = models.folded()
    told = pa.concat_tables([TOTALS.nothing, *merged([[folded.model(TOTALS.name).rows(())]], TOTALS, bottom=True)])
    off_entries = sorted_rows(counted([folded.model("entries").rows((), None, COUNTED)]), TOTALS)
    without_links = [name for name in TOTALS.schema.names if name not in TOTALS.replaces]
    assert told.select(without_links).to_pylist() == off_entries.select(without_links).to_pylist()
    assert said(bounded, rows) == said(state, rows)
    assert bounded.running() == state.running()
    assert bounded.rows_since(-1).equals(state.rows_since(-1))
    glanced = State(base=cast("BaseState", models.heads(models.through)))
    assert shown(glanced.extended(state.rows_since(models.through), newest)) == shown(state)
    earlier = min(past, models.through)  # models may go further than what names them
    glanced = State(base=cast("BaseState", models.heads(earlier)))
    assert shown(glanced.extended(state.rows_since(earlier), newest)) == shown(state)
    past = min(past, newest)
    assert said(bounded.at(past), rows) == said(state.at(past), rows)


def without_room(**named: Any) -> Any:
    raise OSError(28, "No space left on device")


@settings(max_examples=examples(20), deadline=None)
@given(made=commits, part_rows=st.integers(1, 6), held_bytes=st.sampled_from([0, 20_000]), room=st.booleans())
def test_a_model_made_part_by_part_is_that_of_the_whole_journal(
    made: list[list[dict[str, Any]]], part_rows: int, held_bytes: int, room: bool
) -> None:
    rows = table_of(made)
    newest = rows.column("version")[-1].as_py()
    at_once = fold(rows, MemoryModels().folded())
    largest = max(len(rows.filter(pc.equal(rows.column("version"), one))) for one in rows.column("version").unique())
    folded: list[int] = []

    def counted(part: pa.Table, *given: Any, **named: Any) -> dict[str, pa.Table]:
        folded.append(part.num_rows)
        return fold(part, *given, **named)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(anew, "_PART_ROWS", part_rows)
        patched.setattr(anew, "_FILE_ROWS", 2)
        patched.setattr(anew, "_HELD_BYTES", held_bytes)
        patched.setattr(anew, "fold", counted)
        if not room:
            patched.setattr(anew.tempfile, "TemporaryFile", without_room)
        for model in MODELS:
            folded.clear()
            found = made_of(model.name, parts_of(rows)(rows.schema.names, -1, newest), newest)
            expected = pa.concat_tables([model.nothing, *merged([[at_once[model.name]]], model, bottom=True)])
            assert found.reader().read_all().to_pylist() == expected.to_pylist()
            assert len(found.runs) <= 1
            assert sum(folded) == len(rows)
            assert max(folded) <= 2 * part_rows + largest
