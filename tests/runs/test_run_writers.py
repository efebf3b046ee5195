"""Many writers of runs: tickets hold what they ask for, nothing is lost and nothing is there twice."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import threading

import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.errors import IntegrityError
from lakefolio.format.names import new_id
from lakefolio.journal.tickets import Ticket, parse_ticket, ticket_bytes
from lakefolio.model.changes import Commit, LogBatch, LogBlob, Put, SetRun
from lakefolio.model.entries import Stored
from lakefolio.runs.starting import open_run

DIGEST = "sha256:" + "a" * 64
BLOB = Stored(kind="event", storage="blob", codec="zstd", digest=DIGEST, blob_digest=DIGEST, generation=0, size_bytes=9)
CHANGES = (
    SetRun(
        run_id="r", values={"status": '"done"', "ended_at": None}, new=True, input_names=("a",), input_refs=("f:a@1",)
    ),
    SetRun(run_id="r", values={"status": '"done"'}, alive=True),
    LogBatch(reason="metrics", batch_id=new_id(), run_id="r", row_count=3, details={"last": {"loss": [0.5, None]}}),
    LogBatch(reason="heartbeat", run_id="r"),
    LogBlob(event_id=new_id(), stored=BLOB, run_id=None),
    Put(folio="f", item="i", stored=BLOB, entry_id=new_id(), run_id="r"),
)


def test_tickets_carry_what_runs_ask_for() -> None:
    ticket = Ticket(3, (Commit(commit_id=new_id(), changes=CHANGES),))
    assert parse_ticket(ticket_bytes(ticket), ticket.ticket_id) == ticket


@pytest.mark.parametrize(
    ("number", "field", "value"),
    [
        (0, "run_id", "a/b"),
        (0, "run_id", 7),
        (0, "values", {"status": "not json"}),
        (0, "values", ["x"]),
        (0, "input_refs", []),
        (0, "new", "yes"),
        (2, "reason", "other"),
        (2, "batch_id", "../x"),
        (2, "row_count", -1),
        (2, "details", "x"),
        (4, "event_id", "x"),
        (4, "stored", {"kind": "event", "storage": "inline", "content": "AA=="}),
        (5, "run_id", ".."),
    ],
)
def test_a_ticket_that_no_writer_wrote_is_none(number: int, field: str, value: object) -> None:
    import hashlib

    ticket = Ticket(3, (Commit(commit_id=new_id(), changes=CHANGES),))
    body = json.loads(ticket_bytes(ticket).partition(b"\n")[2])
    body["commits"][0]["changes"][number][field] = value
    text = json.dumps(body).encode()
    with pytest.raises(IntegrityError) as caught:
        parse_ticket(hashlib.sha256(text).hexdigest().encode() + b"\n" + text, ticket.ticket_id)
    assert caught.value.kind == "ticket-damaged"


def test_many_processes_record_runs_in_one_lake(lake: lf.Lake) -> None:
    code = f"""
        import sys, lakefolio as lf
        lake = lf.open({lake.uri!r})
        for number in range(10):
            with lake.run(run_id=f"{{sys.argv[1]}}-{{number}}", params={{"n": number}}) as run:
                run.log(loss=number, step=number)
                run.add_output("out", number)
    """
    writers = [subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(one)]) for one in range(4)]
    assert [one.wait() for one in writers] == [0] * 4
    found = lake.sql("select count(*), count(distinct run_id), sum(output_count), sum(loss) from runs").fetchone()
    assert found == (40, 40, 40, 180.0)
    assert lake.sql("select count(*) from metrics").fetchone() == (40,)
    assert lake.check(read_data=True).ok


def test_of_those_who_want_one_id_one_gets_it(lake: lf.Lake) -> None:
    handles = [lf.open(lake.uri) for _ in range(6)]
    won: list[int] = []
    refused: list[str] = []

    def create(number: int) -> None:
        try:
            handles[number].create_run("r", params={"writer": number})
            won.append(number)
        except lf.AlreadyExistsError as exc:
            refused.append(exc.kind)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(won) == 1
    assert refused == ["run-exists"] * 5
    assert lake.get_run("r").params == {"writer": won[0]}


def test_of_those_who_end_a_run_one_does(lake: lf.Lake) -> None:
    lake.create_run("r")
    both = [open_run(session_of(lf.open(lake.uri)), "r") for _ in range(2)]
    both[0].finish()
    with pytest.raises(lf.InvalidInputError) as caught:
        both[1].fail("too late")
    assert caught.value.kind == "run-ended"
    assert lake.get_run("r").status == "done"
