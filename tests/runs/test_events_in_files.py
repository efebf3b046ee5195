"""Events are read where they lie: SQL scans their files, one event is looked up, and counting reads no text."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.journal import table_rows
from lakefolio.model.state import State
from lakefolio.runs import events
from lakefolio.session import relations
from lakefolio.views.relations import FileScan

LARGE = {"text": "long " * 40_000, "n": 1}


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> lf.Lake:
    monkeypatch.setattr(table_rows, "SMALL_BYTES", 0)
    lake = lf.open(tmp_path / "lake")
    for number in range(3):
        for part in range(50):
            lake.log_event("m", "s", "small", {"n": part})
        if number == 1:
            lake.log_event("m", "s", "large", LARGE)
            lake.log_event("m", "s", "large", LARGE)
        lake.flush()
    return lf.open(lake.uri)


def held(lake: lf.Lake) -> list[str]:
    """Return the types of the events that SQL would hold in memory."""
    rows = session_of(lake).tables()["event_rows"]
    assert isinstance(rows, FileScan)
    assert len(rows.paths) >= 1
    found: list[str] = rows.rows.column("event_type").to_pylist()
    return found


def test_sql_over_events_holds_those_alone_whose_texts_lie_in_blobs(lake: lf.Lake) -> None:
    count = "select event_type, count(*), max(length(metadata ->> '$.text')) from events group by 1 order by 1"
    assert lake.sql(count).fetchall() == [("large", 2, 200_000), ("small", 150, None)]
    assert held(lake) == ["large", "large"]
    lake.compact()
    assert lake.sql(count).fetchall() == [("large", 2, 200_000), ("small", 150, None)]
    assert held(lf.open(lake.uri)) == ["large", "large"]
    assert lake.scan("event_rows").collect().height == 152
    assert lake.at(1).sql("select count(*) from events").fetchall() == [(50,)]
    assert held(lake.at(1)) == ["large", "large"]  # views leave them out


def test_counting_events_reads_no_text(lake: lf.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(relations, "whole", lambda rows, *_: (asked.append(rows.num_rows), rows.to_reader())[1])
    stats = lake.event_stats()
    assert (stats.event_count, stats.blob_count, asked) == (152, 2, [])
    assert 2 * 200_000 < stats.text_bytes < 2 * 200_000 + 152 * 20
    assert stats.stored_bytes > 0
    lake.sql("select metadata from events")
    assert asked == [2]


def test_an_event_is_looked_for_in_the_journal_of_its_time(lake: lf.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    early = lake.sql("select event_id from events order by logged_at limit 1").fetchone()[0]
    for number in range(3):
        lake.folio("f").add(f"x{number}", number)
    before = lake.version
    late = lake.log_event("m", metadata={"n": 7})
    lake.flush()
    lake.compact()
    asked: list[int] = []
    own = State.parts

    def parts(self: State, columns: Any, after: int = -1, *args: Any, **kwargs: Any) -> Any:
        if "entry_id" in columns:
            asked.append(after)
        return own(self, columns, after, *args, **kwargs)

    monkeypatch.setattr(State, "parts", parts)
    assert lake.get_event(late).metadata == {"n": 7}
    assert asked == [before]
    assert lake.get_event(early).metadata == {"n": 0}
    assert lake.at(before).sql("select count(*) from events where event_id = $1", [late]).fetchall() == [(0,)]
    with pytest.raises(lf.NotFoundError):
        lake.at(before).get_event(late)


def test_an_event_of_a_wrong_clock_is_found(lake: lf.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def log(text: str, time_ns: int) -> str:
        monkeypatch.setattr(events, "time", SimpleNamespace(time_ns=lambda: time_ns))
        return lake.log_event("m", metadata=text)

    ahead, behind = log("in 2100", 4_102_444_800_000_000_000), log("in 1970", 0)
    lake.flush()
    assert [lake.get_event(one).metadata for one in (ahead, behind)] == ["in 2100", "in 1970"]
