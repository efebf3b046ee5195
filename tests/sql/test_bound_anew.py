"""A connection of SQL is bound to the next state of a lake, but never under the hands of who reads an earlier one."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import lakefolio as lf
from lakefolio.journal import table_rows
from lakefolio.session import sql_tables
from lakefolio.views import bound_views, engine

COUNT = "select count(*) from items"


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    """A lake after so many states that each further one takes the connection of an earlier one."""
    lake = lf.open(tmp_path / "lake")
    for number in range(engine._KEPT_BINDINGS + 1):
        lake.folio("f").add_json(f"item {number}", number)
        lake.sql(COUNT).fetchall()
    gc.collect()
    gc.freeze()  # what pytest holds need not be looked at by each further search for cycles
    return lake


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The connections that are opened meanwhile."""
    found: list[int] = []
    real = bound_views.open_tables

    def counted(*args: Any, **options: Any) -> Any:
        found.append(1)
        return real(*args, **options)

    monkeypatch.setattr(bound_views, "open_tables", counted)
    return found


def go_on(lake: lf.Lake, times: int = 8) -> int:
    """Let a lake get further states, each of which is asked; return how many items there are."""
    begin: int = lake.sql(COUNT).fetchall()[0][0]
    for number in range(begin, begin + times):
        lake.folio("f").add_json(f"item {number}", number)
        assert lake.sql(COUNT).fetchall() == [(number + 1,)]
        assert lake.sql("from items").to_arrow_table().num_rows == number + 1
    return begin + times


def test_further_states_open_no_connection(lake: lf.Lake, opened: list[int]) -> None:
    go_on(lake)
    assert opened == []


READS: list[Callable[[lf.Lake], Callable[[], Any]]] = [
    lambda lake: lake.sql("from items").fetchall,
    lambda lake: lake.sql("from items").filter("size_bytes > 0").fetchall,
    lambda lake: lake.sql("from items").filter("size_bytes > 0").order("item").limit(99).fetchall,
    lambda lake: lake.sql("from items").pl(lazy=True).collect,
    lambda lake: lake.sql("from items").to_arrow_reader(2).read_all,
    lambda lake: (one := lake.sql("select item from items")).filter("item > 'item 1'").union(one).fetchall,
    lambda lake: pa.RecordBatchReader.from_stream(lake.sql("from items")).read_all,
    lambda lake: lake.sql("from items").fetchmany,
    lambda lake: lake.sql("from items")["item"].fetchall,
    lambda lake: lake.sql("from items").select("item").df,
]


@pytest.mark.parametrize(
    "read",
    [pytest.param(read, marks=pytest.mark.slow if number % 3 else ()) for number, read in enumerate(READS)],
)
def test_who_reads_an_earlier_state_goes_on_reading_it(
    lake: lf.Lake, opened: list[int], read: Callable[[lf.Lake], Callable[[], Any]]
) -> None:
    expected = len(read(lake)())
    later = read(lake)
    go_on(lake)
    assert len(later()) == expected
    assert opened  # of those that were in use


def test_the_connection_that_tables_were_given_to_lives_as_long_as_their_rows_are_read(
    lake: lf.Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their scans ask it, by its address in memory alone."""
    opened: list[weakref.ref[Any]] = []
    real = bound_views.open_tables

    def remembered(*args: Any, **options: Any) -> Any:
        opened.append(weakref.ref(found := real(*args, **options)))
        return found

    monkeypatch.setattr(bound_views, "open_tables", remembered)
    readings: dict[Callable[[Any], Any], bool] = {
        (lambda found: found): True,
        (lambda found: found.union(found).limit(3)): True,
        (lambda found: found.to_arrow_reader(2)): True,
        (lambda found: found.pl(lazy=True).head(2)): True,
        pa.RecordBatchReader.from_stream: True,
        (lambda found: found.to_arrow_table()): False,
    }
    for read, holds_on in readings.items():
        sql_tables._views()._bindings.clear()
        rows = read(lake.sql("from items"))
        sql_tables._views()._bindings.clear()
        gc.collect()
        assert (opened[-1]() is not None) == holds_on
        del rows
        gc.collect()
        assert opened[-1]() is None


def test_lakes_do_not_see_one_another(lake: lf.Lake, tmp_path: Path, opened: list[int]) -> None:
    others = [lf.open(tmp_path / f"other {number}") for number in range(2)]
    for number, other in enumerate(others):
        for step in range(6):
            with other.run(f"r{step}", params={f"p{number}": step}) as run:
                run.log(**{f"m{number}": 1.5 * step})
            flat = other.sql(f"select p{number}, m{number} from runs_flat order by 1")
            assert flat.fetchall() == [(one, 1.5 * one) for one in range(step + 1)]
            columns = set(other.sql("from runs_flat limit 0").columns)
            assert not columns & {f"{kind}{one}" for kind in "pm" for one in range(2) if one != number}
            assert other.sql("select count(*) from items where folio = 'f'").fetchall() == [(0,)]
            assert other.sql("select count(*) from metrics").fetchall() == [(step + 1,)]
        assert lake.sql("select count(*) from runs").fetchall() == [(0,)]
        go_on(lake, 1)
    assert len(opened) < 2 * 6


def test_read_models_and_items_get_connections_of_their_own(lake: lf.Lake) -> None:
    for number in range(6):
        lake.folio("f").add_table("table", pa.table({"x": [number, 5]}), overwrite=True)
        assert lake.sql('select sum(x) from "f:table"').fetchall() == [(number + 5,)]
    lake.compact()
    go_on(lake)


def test_files_that_came_since_are_read(lake: lf.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_rows, "SMALL_BYTES", 0)  # each file of metric points is scanned where it lies
    points = engine._KEPT_BINDINGS + 2
    for number in range(points):
        with lake.run("r") as run:
            run.log(loss=float(number))
        assert lake.sql("select count(*) from events").fetchall() == [(0,)]  # knows metrics, and binds them not
    values = lake.sql("select value from metrics order by 1").fetchall()
    assert values == [(float(number),) for number in range(points)]
