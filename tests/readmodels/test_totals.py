"""What ``ls`` prints of folios is exact, and costs the same however many items they have."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from memory_models import MemoryModels
from test_readmodels_equal_replay import table_of

import lakefolio as lf
from lakefolio.cli.glance import Glance
from lakefolio.lake.reading import folio_totals
from lakefolio.model.state import State
from lakefolio.model.totals import Total
from lakefolio.readmodels.totals import COUNTED, counted, totals_in
from lakefolio.storage import open_store

FIXTURE = Path(__file__).parent.parent / "compat" / "2" / "lake"


def looked_at(lake: lf.Lake) -> dict[str, Total]:
    """Return what a process says that looks once and ends."""
    return Glance(open_store(lake.uri), lake.lake_id).totals()


def added_up(lake: lf.Lake) -> dict[str, Total]:
    """Return what the items and histories of a lake add up to."""
    found = {}
    for folio in lake.folios():
        items = lake.items(folio)
        archived = [one for one in items if one.archived]
        sums = [fact for some in (items, archived) for fact in (len(some), sum(one.size_bytes or 0 for one in some))]
        puts = lake.sql("select max(version), max(epoch_us(committed_at)) from entries where folio = ?", [folio])
        found[folio] = Total(*sums, *puts.fetchall()[0])
    return found


def all_right(lake: lf.Lake) -> None:
    fresh = lf.open(lake.uri)
    expected = added_up(fresh)
    assert looked_at(lake) == folio_totals(lake) == folio_totals(fresh) == expected
    past = lake.at(max(lake.version - 3, 1))
    assert folio_totals(past) == added_up(past)


def changed(lake: lf.Lake) -> None:
    """Do all that changes what folios hold, with something of it in the read models and something behind them."""
    one, two = lake.folio("one"), lake.folio("two")
    with lake.batch():
        for number in range(12):
            one.add_json(f"i{number}", "x" * number)
        two.add_json("alone", 1)
    lake.snapshot("first")
    lake.compact()
    one.add_json("i3", "other", overwrite=True)
    one.delete("i4")
    one.archive("i5")
    one.rename("i6", "renamed")
    two.delete("alone")
    all_right(lake)
    lake.compact()
    one.unarchive("i5")
    one.archive("i7")
    one.archive("i8")
    one.delete("i8")
    two.add_json("again", [1, 2])
    one.add_json("i4", "back")
    one.update_item("i9", description="said later")
    all_right(lake)
    lake.restore("first", folio="one")
    all_right(lake)
    two.delete("again")
    lake.compact()
    lake.gc(dry_run=False, grace=0, keep_last=1)
    all_right(lake)


def test_totals_are_right_after_all_that_changes_them(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    changed(lake)
    assert list(folio_totals(lake)) == ["one"]
    assert lake.check().ok


@pytest.mark.parametrize("name", ["totals", "entries"])
def test_totals_of_another_version_than_the_entries_are_made_right(tmp_path: Path, name: str) -> None:
    """A process that was killed between two models leaves a lake so."""
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("one")
    for number in range(6):
        folio.add_json(f"i{number}", "x" * number)
        folio.delete("i1") if number == 3 else None
        lake.compact() if number % 2 else None
    folio.delete("i0")
    newest = max((tmp_path / "lake" / "tables" / name / "_delta_log").glob("*.json"))
    newest.unlink()
    all_right(lake)
    lf.open(lake.uri).compact()
    assert newest.is_file()
    all_right(lake)
    assert lf.open(lake.uri).check().ok


def test_a_lake_of_an_earlier_library_is_listed_and_gets_totals(tmp_path: Path) -> None:
    shutil.copytree(FIXTURE, tmp_path / "lake")
    lake = lf.open(tmp_path / "lake")
    assert not (tmp_path / "lake" / "tables" / "totals").exists()
    all_right(lake)
    lake.compact()
    assert (tmp_path / "lake" / "tables" / "totals").is_dir()
    all_right(lake)
    assert lake.check().ok


def test_the_delete_of_what_was_not_there_changes_no_total() -> None:
    """Of rows that no writer makes: a total says the same whether it was continued or counted."""
    delete = {"op": "delete", "folio": "f", "item": "never there"}
    models = MemoryModels()
    models.fold(table_of([[{"op": "put", "folio": "f", "item": "there", "size_bytes": 3}], [delete], [delete]]), 4)
    off_entries = counted([models.folded().model("entries").rows((), None, COUNTED)])
    assert off_entries.column("version").to_pylist() == [1]
    assert totals_in(off_entries) == models.folded().totals()


@pytest.mark.parametrize("items", [30, 120])
def test_what_a_listing_reads_does_not_grow_with_the_items(items: int) -> None:
    put = {"op": "put", "storage": "inline", "size_bytes": 3}
    rows = table_of([[put | {"folio": "f", "item": f"i{number:04}"} for number in range(items)]])
    tail = table_of([[], [put | {"folio": "f", "item": "i0007"}, put | {"folio": "f", "item": "new"}]])
    models = MemoryModels()
    models.fold(rows, 1)
    state = State(base=models.folded()).extended(tail, 3)
    models.reads.clear()
    assert state.totals()["f"][:2] == (items + 1, 3 * items + 3)
    read = [model for model, _ in models.reads]
    assert read.count("totals") == 1
    assert read.count("entries") <= 4
    assert set(read) == {"totals", "entries"}
