"""Read models in lakes: who makes them, who stands on them, and that nothing depends on them but speed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pyarrow as pa
import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.errors import StorageError
from lakefolio.format.layout import JOURNAL, log_prefix, table_prefix
from lakefolio.journal.journal import Journal
from lakefolio.lake.reading import folio_totals
from lakefolio.model.state import State
from lakefolio.readmodels.levels import to_merge
from lakefolio.readmodels.models import FOLDED, MODELS
from lakefolio.readmodels.store import ReadModels
from lakefolio.testing import CountingProxy

NAMES = [model.name for model in MODELS]


def make(uri: str | Path, **options: Any) -> lf.Lake:
    """Make a lake with something in every read model, folded into two runs each, and a tail."""
    lake = lf.open(uri, **options)
    for part in range(3):
        folio = lake.folio("f")
        with folio.batch():
            for number in range(40):
                folio.add_json(f"i{number}", number + part, overwrite=True, metadata={"part": part})
        folio.add_json(f"made{part}", part, inputs=["i1", "i2"])
        folio.delete("i5")
        lake.folio(f"g{part}").add_json("only", part)
        lake.folio(f"g{part - 1}").delete("only") if part else None
        lake.snapshot(f"s{part}")
        run = lake.run(f"r{part}", run_id=f"run{part}", folio="f")
        run.add_input("x", "f:i3")
        if part < 2:
            run.finish()
        if part < 2:
            lake.compact()
    return lake


def journal_of(lake: lf.Lake) -> Journal:
    return session_of(lake).journal


def said(lake: lf.Lake) -> dict[str, Any]:
    """Return what a lake answers from its state, through the public API."""
    folio = lake.folio("f")
    return {
        "folios": lake.folios(),
        "names": list(folio),
        "values": {name: folio.get(name) for name in folio},
        "history": [str(one) for one in lake.history("f:i7")],
        "past": {name: lake.at("s0").folio("f").get(name) for name in lake.at("s0").folio("f")},
        "snapshots": [one.name for one in lake.snapshots()],
        "runs": lake.sql("select run_id, status from runs order by 1").fetchall(),
        "inputs": [edge["input_item"] for edge in session_of(lake).entry("f", "made1").inputs],
        "at": lake.at(3).folios(),
        "totals": folio_totals(lake),
    }


def replayed(lake: lf.Lake) -> State:
    """Return the state as it follows from the journal alone."""
    journal = journal_of(lake)
    rows = journal.anew(JOURNAL).load(trust_copies=False)
    return State().extended(rows, journal.known.version)


def equal_to_replay(lake: lf.Lake) -> bool:
    state, expected = session_of(lake).state(), replayed(lake)

    def without(entries: list[Any]) -> list[Any]:
        return [replace(entry, content=None) for entry in entries]

    return state.folios() == expected.folios() and all(
        (state.names(folio), without(state.entries(folio))) == (expected.names(folio), without(expected.entries(folio)))
        for folio in ("f", "g0", "g1", "g2")
    )


def test_a_new_handle_stands_on_them_and_answers_the_same(tmp_path: Path) -> None:
    lake = make(tmp_path / "lake")
    fresh = lf.open(tmp_path / "lake")
    state = journal_of(fresh).known
    assert 0 < state.base_version < state.version
    assert 0 < len(state.rows) < len(state.rows_since(-1))
    assert said(fresh) == said(lake)
    assert equal_to_replay(fresh)
    assert fresh.check(read_data=True).ok


def test_a_handle_moves_on_with_its_own_maintenance_and_that_of_others(tmp_path: Path) -> None:
    lake, other = lf.open(tmp_path / "lake"), lf.open(tmp_path / "lake")
    folio = lake.folio("f")
    folio.add_json("first", 0)
    other.folio("f").get("first")
    for number in range(250):
        folio.add_json("x", number, overwrite=True)
    assert journal_of(lake).known.base_version >= 200
    assert len(journal_of(lake).known.rows) < 100
    for part in range(5):
        with folio.batch():
            for number in range(1000):
                folio.add_json(f"{part}-{number}", number)
        lake.compact()
    assert len(other.folio("f")) == 5002
    assert len(journal_of(other).known.rows) < 1000, "it looked for what others had folded"
    assert equal_to_replay(other)


@pytest.mark.parametrize("name", NAMES)
def test_a_deleted_model_is_missed_by_nobody_and_made_again(tmp_path: Path, name: str) -> None:
    lake = make(tmp_path / "lake")
    expected = said(lake)
    open_before = lf.open(tmp_path / "lake")
    shutil.rmtree(tmp_path / "lake" / "tables" / name)
    assert said(open_before) == expected
    fresh = lf.open(tmp_path / "lake")
    assert said(fresh) == expected
    assert fresh.check().ok
    fresh.compact()
    assert (tmp_path / "lake" / "tables" / name / "_delta_log").is_dir()
    assert said(lf.open(tmp_path / "lake")) == expected
    assert fresh.check().ok


def test_all_of_them_may_go(tmp_path: Path) -> None:
    expected = said(make(tmp_path / "lake"))
    for name in NAMES:
        shutil.rmtree(tmp_path / "lake" / "tables" / name)
    fresh = lf.open(tmp_path / "lake")
    assert said(fresh) == expected
    fresh.compact()
    assert said(lf.open(tmp_path / "lake")) == expected


def test_a_lost_note_costs_requests_and_nothing_else(tmp_path: Path) -> None:
    expected = said(make(tmp_path / "lake"))
    (tmp_path / "lake" / log_prefix(JOURNAL) / "_last_checkpoint").unlink()
    fresh = lf.open(tmp_path / "lake")
    assert journal_of(fresh).known.base_version == -1
    assert said(fresh) == expected
    fresh.compact()
    assert journal_of(lf.open(tmp_path / "lake")).known.base_version > 0


def replicated(root: Path, *, pointer: bool) -> lf.Lake:
    """Return a lake whose read models are newer than its journal, as where a bucket is copied while it is written to.

    Args:
        root: Where to make it.
        pointer: Also the journal's checkpoint and the name of it.
    """
    lake = lf.open(root / "original")
    folio = lake.folio("f")
    with folio.batch():
        for number in range(3):
            folio.add_json(f"i{number}", number, metadata={"n": number})
    lake.compact()
    shutil.copytree(root / "original", root / "copy")
    for number in range(3):
        folio.add_json(f"i{number}", -number, overwrite=True, metadata={"later": True})
    lake.snapshot("later")
    lake.compact()
    for file in (root / "original" / "tables").rglob("*"):
        key = file.relative_to(root / "original")
        if file.is_file() and (JOURNAL not in key.parts or (pointer and "checkpoint" in key.name)):
            (root / "copy" / key).unlink(missing_ok=True)
            (root / "copy" / key).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, root / "copy" / key)
    return lake


@pytest.mark.parametrize("pointer", [False, True])
def test_models_of_versions_that_the_journal_lacks_are_not_believed(tmp_path: Path, pointer: bool) -> None:
    """Neither as long as the journal lacks these versions, nor when it has others of these numbers."""
    later = replicated(tmp_path, pointer=pointer).version
    copy = lf.open(tmp_path / "copy")
    expected = {f"i{number}": number for number in range(3)}
    assert {name: copy.folio("f").get(name) for name in copy.folio("f")} == expected
    assert {one.kind for one in copy.check().problems} == {"model-differs"}
    assert journal_of(copy).models.newest().through == -1
    for number in range(later):
        copy.folio("f").add_json("mine", number, overwrite=True)
    expected["mine"] = later - 1
    for _ in range(2):
        copy = lf.open(tmp_path / "copy")
        assert copy.version > later
        assert {name: copy.folio("f").get(name) for name in copy.folio("f")} == expected
        assert copy.snapshots() == []
        assert len(copy.query(metadata={"later": True})) == 0
        copy.compact()
    assert copy.check().ok


def damages(body: bytes) -> dict[str, bytes]:
    middle = len(body) // 3
    return {
        "flipped": body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :],
        "cut": body[:-20],
        "empty": b"",
    }


@pytest.mark.parametrize("how", ["flipped", *(pytest.param(how, marks=pytest.mark.slow) for how in ("cut", "empty"))])
def test_a_damaged_file_gives_no_wrong_answer_and_check_names_it(tmp_path: Path, how: str) -> None:
    expected = said(make(tmp_path / "lake"))
    for file in (tmp_path / "lake" / "tables" / "entries").glob("*.parquet"):
        file.chmod(0o644)
        file.write_bytes(damages(file.read_bytes())[how])
    fresh = lf.open(tmp_path / "lake")
    assert said(fresh) == expected
    problems = fresh.check().problems
    assert {one.kind for one in problems} == {"model-differs"}
    assert all(one.object.startswith("tables/entries/") for one in problems)
    shutil.rmtree(tmp_path / "lake" / "tables" / "entries")
    fresh.compact()
    assert fresh.check().ok


def test_check_finds_a_model_that_says_other_things_than_the_journal(tmp_path: Path) -> None:
    lake = make(tmp_path / "lake")
    journal = journal_of(lake)
    models, table = journal.models, journal.models._tables["entries"]
    published = table.newest()
    reader = models.open("entries", published.version, published.through)
    rows = reader.reader().read_all().combine_chunks()
    liar = rows.set_column(
        rows.schema.get_field_index("item"), rows.schema.field("item"), [pa.array(["y"] * len(rows))]
    )
    stored = models._stored(table, table.model, iter([liar]), published.version + 1, -1, published.through)
    assert table.publish(published, stored, published.through) is not None
    assert [(one.kind, one.object) for one in lake.check().problems] == [("model-differs", "tables/entries")]


def test_a_writer_killed_between_any_two_steps_leaves_models_that_answer_right(tmp_path: Path) -> None:
    make(tmp_path / "lake")
    expected = said(lf.open(tmp_path / "lake"))
    steps = 0
    while True:
        place = tmp_path / f"copy{steps}"
        shutil.copytree(tmp_path / "lake", place)
        lake = lf.open(place)
        journal = journal_of(lake)
        store, known = journal.store, journal.known
        left = [steps]

        def dying(key: str, data: Any, create: Callable[[str, Any], Any] = store.create, left: list[int] = left) -> Any:
            if key.startswith("tables/") and not left[0]:
                raise StorageError("the process is dead", kind="killed")
            left[0] -= 1
            return create(key, data)

        store.create = dying  # type: ignore[method-assign]
        try:
            models = ReadModels(store, journal.lake_id)
            done = models.advance(partial(known.parts, FOLDED), known.version)
        except StorageError:
            done = None
        fresh = lf.open(place)
        assert said(fresh) == expected, steps
        fresh.compact()
        assert said(lf.open(place)) == expected, steps
        assert fresh.check().ok, steps
        shutil.rmtree(place)
        if done is not None:
            break
        steps += 3
    assert steps > len(NAMES)


def test_gc_takes_replaced_files_away_and_an_older_handle_goes_on(tmp_path: Path) -> None:
    lake = make(tmp_path / "lake")
    older = lf.open(tmp_path / "lake")
    expected = said(lake)
    for _ in range(6):
        lake.folio("f").add_json("more", 1, overwrite=True)
        lake.folio("f").delete("more")
        lake.compact()
    before = len(list((tmp_path / "lake" / "tables" / "entries").glob("*.parquet")))
    lake.gc(dry_run=False, grace=0)
    kept = [file.path for file in journal_of(lake).models.published()["entries"].files]
    left = [file.name for file in (tmp_path / "lake" / "tables" / "entries").glob("*.parquet")]
    assert sorted(left) == sorted(kept)
    assert len(left) < before
    assert said(older.at(lf.open(tmp_path / "lake").version)) is not None
    assert said(older)["totals"] == folio_totals(lake)
    for whole in (found := said(older), expected):
        del whole["at"], whole["totals"]  # which tells that there was something more
    assert found == expected


def test_gc_leaves_two_checkpoints_of_each_table(tmp_path: Path) -> None:
    """The one that is named, and the one before; those of the read models, which other Delta readers take, likewise."""
    lake = make(tmp_path / "lake")
    for _ in range(32):
        lake.folio("f").add_json("more", 1, overwrite=True)
        lake.compact()
    tables = tmp_path / "lake" / "tables"
    before = {
        name: sorted((tables / name / "_delta_log").glob("*.checkpoint.parquet")) for name in ("manifests", *NAMES)
    }
    assert len(before["manifests"]) > 20
    assert len(before["entries"]) > 2
    expected = said(lake)
    named = json.loads((tables / "manifests" / "_delta_log" / "_last_checkpoint").read_text())["version"]
    assert before["manifests"][-1].name.startswith(f"{named:020d}")
    assert lake.gc(dry_run=True, grace=60).table_files == 0
    lake.gc(dry_run=False, grace=0)
    for name, there in before.items():
        assert sorted((tables / name / "_delta_log").glob("*.checkpoint.parquet")) == there[-2:], name
    fresh = lf.open(tmp_path / "lake")
    assert said(fresh) == expected
    assert fresh.check().ok
    assert deltalake.DeltaTable(str(tables / "entries")).to_pyarrow_table().num_rows > 0


def test_other_delta_readers_see_a_table(tmp_path: Path) -> None:
    lake = make(tmp_path / "lake")
    for name in NAMES:
        where = str(tmp_path / "lake" / "tables" / name)
        published = journal_of(lake).models.published()[name]
        count = sum(run.row_count for run in published.runs)
        table = deltalake.DeltaTable(where)
        assert table.version() == published.version
        assert table.to_pyarrow_table().num_rows == count
        assert pl.read_delta(where).height == count
    assert count or name
    entries = deltalake.DeltaTable(str(tmp_path / "lake" / table_prefix("entries"))).to_pyarrow_dataset()
    assert entries.to_table(filter=pa.compute.field("item") == "i7").num_rows == 2


@pytest.mark.parametrize(
    ("rows_per_fold", "total"),
    [(5_000, 10_000_000), (1_000, 10_000_000), (200, 10_000_000), (50, 2_000_000), (1, 50_000)],
)
def test_each_row_is_written_at_most_twelve_times(rows_per_fold: int, total: int) -> None:
    """And runs stay few: each that may hold a name is asked for it. A fold merges once, as here."""
    runs: list[int] = []
    written = most = 0
    for _ in range(total // rows_per_fold):
        runs.append(rows_per_fold)
        count = max(to_merge(runs), 1)
        runs[-count:] = [sum(runs[-count:])]
        written += runs[-1]
        most = max(most, len(runs))
    assert written / total < 12
    assert most < 24


def test_opening_and_one_get_are_few_requests_on_s3(s3_proxy: CountingProxy, s3_uri: str) -> None:
    options = s3_proxy.storage_options
    lake = make(s3_uri, storage_options=options)
    lake.folio("f").add_json("last", {"a": 1})
    lake.compact()
    with s3_proxy.count() as count:
        assert lf.open(s3_uri, storage_options=options).folio("f").get("i7") == 9
    assert count.total <= 10, count.by_operation
