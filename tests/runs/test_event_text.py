"""The texts of large events are bounded where they are written and where they are read."""

from __future__ import annotations

import dataclasses
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.content import event_text
from lakefolio.views import kept_rows

MOST = 64 << 20


def test_a_text_above_the_limit_is_refused_and_nothing_is_logged(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    text = b"x" * (MOST + 1)
    with pytest.raises(lf.InvalidInputError) as caught:
        event_text.compressed(text)
    assert caught.value.kind == "bad-event"
    assert "64" in str(caught.value) or "67,108,864" in str(caught.value)
    assert len(pa.decompress(event_text.compressed(text[:-1]), MOST, "zstd", asbytes=True)) == MOST
    event = lake.log_event("m", metadata={"x": "y" * 1_000_000})
    assert lake.get_event(event).metadata == {"x": "y" * 1_000_000}


@pytest.mark.parametrize("said", [-1, None, MOST + 1, 1 << 40, 5])
def test_a_row_that_says_another_size_is_refused_before_memory_is_taken(tmp_path: Path, said: int | None) -> None:
    lake = lf.open(tmp_path / "lake")
    text = bytes(1 << 20)
    stored = event_text.store(text, event_text.compressed(text), session_of(lake).blobs, session_of(lake).journal.state)
    good = dataclasses.replace(entry_of(lake), **{field: getattr(stored, field) for field in FIELDS})
    assert event_text.text_of(good, session_of(lake).blobs) == text
    tracemalloc.start()
    with pytest.raises(lf.IntegrityError) as caught:
        event_text.text_of(dataclasses.replace(good, size_bytes=said), session_of(lake).blobs)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
    assert caught.value.kind == "event-damaged"


FIELDS = ("storage", "codec", "digest", "blob_digest", "generation", "size_bytes", "stored_bytes", "format", "kind")


def entry_of(lake: lf.Lake):
    lake.folio("f").add("x", list(range(5000)))
    return lake.item("f:x")


def test_all_texts_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lf.open(tmp_path / "lake")
    ids = [lake.log_event("m", metadata={"x": str(number) * 200_000}) for number in range(3)]
    question = "select max(length(metadata)) from events"
    assert lake.sql(question).fetchone()[0] > 200_000
    lake.log_event("m", metadata={"x": "3" * 200_000})
    monkeypatch.setattr(event_text, "_MOST_TOGETHER_BYTES", 500_000)
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.sql(question)
    assert caught.value.kind == "too-many-events"
    assert lake.get_event(ids[0]).metadata == {"x": "0" * 200_000}


def test_texts_wait_in_a_file_while_sql_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each state of a lake that was asked held them in memory, up to 1 GiB."""
    lake = lf.open(tmp_path / "lake")
    for number in range(20):
        lake.log_event("m", metadata={"x": str(number % 10) * 300_000})
    monkeypatch.setattr(event_text, "_PART_BYTES", 600_000)
    monkeypatch.setattr(kept_rows, "_MOST_BYTES", 600_000)
    read, before, most = event_text.text_of, pa.total_allocated_bytes(), [0, 0]

    def counted(*args: Any) -> bytes:
        most[:] = most[0] + 1, max(most[1], pa.total_allocated_bytes() - before)
        return read(*args)

    monkeypatch.setattr(event_text, "text_of", counted)
    question = "select count(*), min(length(metadata ->> 'x')), count(distinct metadata ->> 'x') from events"
    assert lake.sql(question).fetchone() == (20, 300_000, 10)
    assert lake.sql("select count(*) from events where contains(metadata::varchar, '777')").fetchone() == (2,)
    assert most[0] == 20
    assert most[1] < 3_000_000, "6 MB of texts were read"
    assert pa.total_allocated_bytes() - before < 1_000_000


def test_a_damaged_text_is_told_of_by_sql(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.log_event("m", metadata={"x": "y" * 100_000})
    lake.sql("select count(*) from events").fetchall()
    (blob,) = (one for one in (tmp_path / "lake" / "blobs").rglob("*") if one.is_file())
    blob.chmod(0o644)
    blob.write_bytes(b"damaged")
    with pytest.raises(lf.IntegrityError):
        lf.open(tmp_path / "lake").sql("select metadata from events").fetchall()
