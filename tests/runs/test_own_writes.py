"""A process sees what it has just logged, however it asks."""

from __future__ import annotations

from pathlib import Path

import pytest

import lakefolio as lf


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    return lf.open(tmp_path / "lake")


def test_a_metric_is_there_when_it_is_asked_for(lake: lf.Lake) -> None:
    with lake.run(run_id="r") as run:
        for number in range(3):
            run.log(loss=1.0 / (number + 1))
            found = lake.sql("select count(*), min(value) from metrics").fetchone()
            assert found == (number + 1, 1.0 / (number + 1))
            assert lake.sql("select loss from runs").fetchall() == [(1.0 / (number + 1),)]
            assert lake.get_run("r").metrics["loss"] == 1.0 / (number + 1)
            assert lake.metric_history("r").num_rows == number + 1
            assert lake.scan("metric_rows").collect().height == number + 1
            assert lake.connect().sql("select count(*) from metrics").fetchone() == (number + 1,)


def test_an_event_is_there_when_it_is_asked_for(lake: lf.Lake) -> None:
    for number in range(3):
        event = lake.log_event("m", "train", metadata={"n": number})
        assert lake.sql("select count(*) from events").fetchone() == (number + 1,)
        assert lake.get_event(event).metadata == {"n": number}
        lake.log_event("m", "train", metadata={"n": number})
        assert lake.event_stats().event_count == 2 * number + 2
        lake.sql("select 1")
        assert lake.scan("event_rows").collect().height == 2 * number + 2
        break


def test_another_handle_of_this_process_sees_it_too(lake: lf.Lake) -> None:
    lake.log_event("m", metadata={"n": 1})
    reader = lf.open(lake.uri, read_only=True)
    assert reader.sql("select count(*) from events").fetchone() == (1,)
    elsewhere = lf.open(Path(lake.uri).with_name("other"))
    assert elsewhere.sql("select count(*) from events").fetchone() == (0,)


def test_the_past_and_other_questions_commit_nothing(lake: lf.Lake) -> None:
    lake.folio("a").add("x", 1)
    version = lake.version
    for _ in range(3):
        lake.sql("select * from runs")
        lake.runs()
        lake.browse("flat")
    assert lake.version == version
    past = lake.at(version)
    lake.log_event("m", metadata={"n": 1})
    assert past.sql("select count(*) from events").fetchone() == (0,)
    lake.flush()


def test_what_can_not_be_committed_is_told_and_does_not_stop_a_question(
    lake: lf.Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lakefolio.session.session import Session

    lake.folio("a").add("x", 1)

    def refuse(session: Session, *changes: object) -> None:
        raise lf.StorageError("denied", kind="access-denied")

    monkeypatch.setattr(Session, "commit_now", refuse)
    lake.log_event("m", metadata={"n": 1})
    with pytest.warns(RuntimeWarning, match="could not be committed yet"):
        assert lake.sql("select count(*) from items").fetchone() == (1,)
    monkeypatch.undo()
    assert lake.sql("select count(*) from events").fetchone() == (1,)


def test_the_blobs_of_events_are_among_the_references(lake: lf.Lake) -> None:
    event = lake.log_event("m", metadata={"text": "x" * 100_000})
    found = lake.sql("select folio, item, entry_id, is_live, purged, key from blob_refs").fetchall()
    ((folio, item, entry_id, is_live, purged, key),) = found
    assert (folio, item, entry_id, is_live, purged) == (None, None, event, True, False)
    assert (Path(lake.uri) / key).is_file()
    assert lake.sql("select * from storage_savings").fetchall() == []
    assert lake.check().ok


def test_many_runs_are_listed_with_all_that_is_recorded_of_them(lake: lf.Lake) -> None:
    with lake.run(run_id="outer", project="p"), lake.run(run_id="inner", project="p") as run:
        run.log(loss=0.5)
        run.add_output("o", [1])
    lake.create_run(run_id="plain", status="done", project="p", metrics={"auc": 0.9})
    listed = {one.run_id: one for one in lake.runs(project="p")}
    assert set(listed) == {"outer", "inner", "plain"}
    for run_id, one in listed.items():
        assert one == lake.get_run(run_id)
    assert listed["outer"].children == ["inner"]
    assert listed["inner"].metrics == {"loss": 0.5}
    assert [one.name for one in listed["inner"].outputs] == ["o"]


def test_the_list_of_runs_is_what_the_view_says(lake: lf.Lake) -> None:
    for number in range(6):
        lake.create_run(
            run_id=f"r{number}",
            project=["a", "it's", None][number % 3],
            model="m" if number % 2 else None,
            run_type=["production", "analysis"][number % 2],
            tags=["x", 'a "b"'] if number < 3 else [],
            status=["done", "failed", "lost"][number % 3],
            started_at=f"2026-11-0{number % 4 + 1}T10:00+02:00",
            parent="r0" if number == 5 else None,
        )
    lake.resume_run("r3").add_tags("later")
    lake.resume_run("r4").finish()
    asked = [
        ({"project": "it's"}, "project = 'it''s'"),
        ({"status": "running"}, "status = 'running'"),
        ({"status": "done", "project": "a"}, "status = 'done' and project = 'a'"),
        ({"type": "analysis", "model": "m"}, "type = 'analysis' and model = 'm'"),
        ({"parent": "r0"}, "parent = 'r0'"),
        ({"tag": 'a "b"'}, "list_contains(tags, 'a \"b\"')"),
        ({"tag": "later"}, "list_contains(tags, 'later')"),
        ({"project": "none"}, "false"),
        ({}, "true"),
    ]
    for given, where in asked:
        order = "order by started_at desc nulls last, run_id desc"
        expected = [row[0] for row in lake.sql(f"select run_id from runs where {where} {order}").fetchall()]
        assert [one.run_id for one in lake.runs(**given)] == expected, given
        assert [one.run_id for one in lake.runs(**given, limit=2)] == expected[:2]
