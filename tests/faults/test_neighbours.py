"""Processes of one host that commit through one of them: nothing is lost or doubled, whoever stops, dies or lies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.delta.parquet_rows import to_parquet
from lakefolio.errors import AlreadyExistsError, NotFoundError
from lakefolio.journal import host_leader
from lakefolio.journal.handoff_protocol import Answer, answer_bytes, read_answer
from lakefolio.journal.host_leader import HostPeers
from lakefolio.journal.pending_commit import Committed
from lakefolio.journal.tickets import Tickets
from lakefolio.testing import CountingProxy

CONTEXT = multiprocessing.get_context("spawn")
FOREVER = float("inf")


def meeting(lake: lf.Lake) -> HostPeers:
    found = session_of(lake).journal.committer.peers
    assert found is not None
    return found


def leading(lake: lf.Lake) -> lf.Lake:
    assert meeting(lake).lead()
    return lake


def following(lake: lf.Lake) -> lf.Lake:
    """Make a handle hand over what it commits."""
    session_of(lake).journal.committer.contend(FOREVER)
    return lake


@pytest.fixture(autouse=True)
def place(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A short path of each test's own to meet at; nobody leads on when the test is over."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
    yield
    host_leader.resign_all()


# -- real processes ------------------------------------------------------------------------------------------------


def write(uri: str, folder: str, number: int, count: int, ready: Any) -> None:
    """Commit one by one; note in a file what was acknowledged, and in another who leads."""
    host_leader._ANSWER_S = 0.5
    lake = following(lf.open(uri))
    folio = lake.folio("f")
    ready.wait(120)
    with open(f"{folder}/{number}", "w", buffering=1) as file:
        for n in range(count):
            folio.add_json(f"{number}-{n}", n)
            file.write(f"{number}-{n}\n")
            if meeting(lake).leading and n == 5:
                Path(f"{folder}/leader").write_text(str(os.getpid()))
            time.sleep(0.002)
    Path(f"{folder}/done-{number}").touch()


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_who_leads_may_stop_at_any_time(tmp_path: Path, sent: signal.Signals) -> None:
    uri, folder, count = str(tmp_path / "lake"), tmp_path / "notes", 30
    folder.mkdir()
    lf.open(uri)
    ready = CONTEXT.Barrier(5)
    processes = [CONTEXT.Process(target=write, args=(uri, str(folder), n, count, ready)) for n in range(5)]
    for process in processes:
        process.start()
    until = time.monotonic() + 120
    while not (folder / "leader").exists() or not (folder / "leader").read_text():
        assert time.monotonic() < until
        time.sleep(0.001)
    pid = int((folder / "leader").read_text())
    os.kill(pid, sent)
    for process in processes:
        if process.pid != pid:
            process.join(120)
            assert process.exitcode == 0
    if sent == signal.SIGSTOP:
        os.kill(pid, signal.SIGCONT)  # what it was given it may still be about to commit
    for process in processes:
        process.join(120)
    acknowledged = [line for n in range(5) for line in (folder / str(n)).read_text().splitlines()]
    lake = lf.open(uri)
    found = [item for (item,) in lake.sql("select item from manifests where op = 'put'").fetchall()]
    assert len(found) == len(set(found))
    assert set(acknowledged) <= set(found)
    assert len(set(found) - set(acknowledged)) <= (sent == signal.SIGKILL)
    assert len(acknowledged) == 5 * count or sent == signal.SIGKILL
    assert lake.check(read_data=True).ok


def test_a_forked_child_does_not_keep_the_lead(tmp_path: Path) -> None:
    program = f"""
import os, sys, time
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1])!r}]
import lakefolio as lf
from test_neighbours import leading
lake = leading(lf.open({str(tmp_path / "lake")!r}))
if os.fork() == 0:
    print("forked", flush=True)
    time.sleep(30)
os.read(0, 1)
os._exit(0)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"forked\n"
        mine = following(lf.open(str(tmp_path / "lake")))
        mine.folio("f").add_json("handed", 1)
        assert not meeting(mine).leading
        process.stdin.write(b"x")
        process.stdin.flush()
        process.wait(20)
        mine.folio("f").add_json("own", 2)
        assert meeting(mine).leading
        assert mine.check().ok
    finally:
        process.stdin.close()
        process.stdout.close()
        subprocess.run(["pkill", "-f", str(tmp_path / "lake")], check=False)


# -- one process, several handles ----------------------------------------------------------------------------------


def test_what_is_handed_over_costs_its_writer_nothing_and_is_read_back(s3_proxy: CountingProxy, s3_uri: str) -> None:
    first, second = (lf.open(s3_uri, storage_options=s3_proxy.storage_options) for _ in range(2))
    first.folio("f").add_json("first", 1)
    leading(first)
    following(second).folio("f").add_json("warm", 0)
    with s3_proxy.count() as count:
        second.folio("f").add_json("second", {"a": 2}, tags=["t"])
    assert count.total == 2, "the data file and the log entry, both of who leads"
    assert second.folio("f").get_json("second") == {"a": 2}
    assert second.version == first.version == 3
    assert second.folio("f").list_contents() == first.folio("f").list_contents()
    second.folio("f").add_json("third", 3, inputs=["second"], metadata={"k": 1})
    assert second.folio("f").get_inputs("third") == ["second"]
    assert second.check(read_data=True).ok


def test_objections_and_empty_changes_are_those_of_a_writer_alone(tmp_path: Path) -> None:
    first, second = (lf.open(str(tmp_path / "lake")) for _ in range(2))
    leading(first).folio("f").add_json("taken", 1)
    folio = following(second).folio("f")
    for _ in range(2):
        with pytest.raises(AlreadyExistsError) as caught:
            folio.add_json("taken", 2)
        assert caught.value.kind == "item-exists"
    with pytest.raises(NotFoundError):
        folio.add_json("other", 2, inputs=["nowhere:at-all@7"])
    assert first.version == second.version == 1
    folio.add_json("taken", 2, overwrite=True)
    assert first.folio("f").get_json("taken") == 2
    with second.batch():
        folio.add_json("a", 1)
        folio.add_json("b", 2)
    assert first.version == second.version == 3
    assert list(session_of(first).store.list("pending")) == []


def test_threads_of_who_leads_and_of_others_share_log_entries(tmp_path: Path) -> None:
    lakes = [lf.open(str(tmp_path / "lake")) for _ in range(4)]
    leading(lakes[0])
    start = threading.Barrier(8)

    def work(number: int) -> None:
        folio = following(lakes[number % 4]).folio("f")
        start.wait()
        for n in range(20):
            folio.add_json(f"{number}-{n}", n)
            assert folio.get_json(f"{number}-{n}") == n

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(session_of(lakes[0]).state().names("f")) == 160
    assert lakes[3].check().ok


def test_who_leads_answers_while_it_merges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leader, other = leading(lf.open(tmp_path / "lake")), following(lf.open(tmp_path / "lake"))
    answered, merging = [], threading.Event()

    def slow(rows: pa.Table) -> bytes:
        if rows.num_rows >= 50:
            merging.set()
            before = session_of(leader).journal.manifests_table.version
            other.folio("f").add_json("meanwhile", 1)
            answered.append(session_of(leader).journal.manifests_table.version - before)
        return to_parquet(rows)

    monkeypatch.setattr("lakefolio.delta.table.to_parquet", slow)
    for number in range(50):
        other.folio("f").add_json(f"i{number}", number)
    assert merging.wait(60)
    for thread in threading.enumerate():
        if thread.name == "lakefolio-maintenance":
            thread.join(60)
            assert not thread.is_alive()
    assert answered == [1]
    assert meeting(leader).leading
    assert len(session_of(leader).journal.manifests_table.files.listed) == 2
    assert other.check(read_data=True).ok


def test_where_other_hosts_are_faster_everybody_goes_by_ticket(tmp_path: Path) -> None:
    first, second, elsewhere = (lf.open(str(tmp_path / "lake")) for _ in range(3))
    session_of(elsewhere).journal.committer.peers = None
    leading(first).folio("f").add_json("first", 1)
    elsewhere.folio("f").add_json("rival", 1)
    following(second).folio("f").add_json("late", 1)  # who leads is beaten once, and tries again
    session_of(first).journal.committer.be_beaten(FOREVER)
    made: list[str] = []
    create = Tickets.create
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tickets, "create", lambda self, ticket: made.append(ticket.ticket_id) or create(self, ticket))
        second.folio("f").add_json("by-ticket", 1)
    assert len(made) == 1
    assert sorted(session_of(elsewhere).state().names("f")) == ["by-ticket", "first", "late", "rival"]
    assert list(Tickets(session_of(second).store).listed()) == []


def test_what_is_long_goes_to_the_store_by_itself(tmp_path: Path) -> None:
    first, second = (lf.open(str(tmp_path / "lake")) for _ in range(2))
    leading(first)
    with following(second).batch():
        for n in range(1000):
            second.folio("f").add_json(f"i{n}", {"text": "x" * 100})
    assert first.version == second.version == 1
    assert len(session_of(first).state().names("f")) == 1000


def test_nonsense_gets_no_answer_and_does_no_harm(tmp_path: Path) -> None:
    first, second = (lf.open(str(tmp_path / "lake")) for _ in range(2))
    path = meeting(leading(first)).path
    assert path is not None
    for said in (b"\x00\x00\x00\x05hello", b"\xff\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n", b"\x00"):
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(path)
            link.sendall(said)
            link.shutdown(socket.SHUT_WR)
            assert link.recv(100) == b""
    following(second).folio("f").add_json("item", 1)
    assert meeting(first).leading
    assert not meeting(second).leading
    assert first.version == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"outcomes": [[1, 2]], "contended": true}',
        b'{"outcomes": [], "contended": true, "beaten": false}',
        b'{"outcomes": [[-1, 2]], "contended": true, "beaten": false}',
        b'{"outcomes": [["x", 2]], "contended": true, "beaten": false}',
        b'{"outcomes": [[1, 1e400]], "contended": true, "beaten": false}',
    ],
)
def test_an_answer_that_is_none_is_seen(body: bytes) -> None:
    assert read_answer(body, 1) is None


def test_an_answer_survives() -> None:
    answer = Answer((None, Committed(3, datetime(2026, 1, 2, 3, 4, 5, 6, UTC))), contended=True, beaten=True)
    assert read_answer(answer_bytes(answer), 2) == answer


# -- who is a neighbour --------------------------------------------------------------------------------------------


def test_only_who_has_the_same_lake_rights_and_durability_is_a_neighbour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def path(lake: lf.Lake) -> str | None:
        return meeting(lake).path

    here, there = str(tmp_path / "lake"), str(tmp_path / "other")
    assert path(lf.open(here)) == path(lf.open(here)) != path(lf.open(there))
    assert path(lf.open(here)) != path(lf.open(here, storage_options={"fsync": "true"}))
    assert session_of(lf.open(here, read_only=True)).journal.committer.peers is None
    assert session_of(lf.open("memory://")).journal.committer.peers is None
    monkeypatch.setenv("LAKEFOLIO_COMBINE", "false")
    assert session_of(lf.open(here)).journal.committer.peers is None


def test_on_s3_rights_are_part_of_it_and_no_name_tells_them(s3_proxy: CountingProxy, s3_uri: str) -> None:
    options = s3_proxy.storage_options
    one, same = (meeting(lf.open(s3_uri, storage_options=options)).path for _ in range(2))
    assert one == same
    assert one is not None
    assert not any(value in one for value in options.values() if len(value) > 3)
    other = meeting(lf.open(s3_uri, storage_options={**options, "timeout": "20s"})).path
    assert other != one


def test_a_folder_that_others_may_enter_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = tmp_path / f"lakefolio-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o755)
    lake = following(lf.open(str(tmp_path / "lake")))
    assert meeting(lake).path is None
    lake.folio("f").add_json("item", 1)
    assert lake.version == 1


def test_who_is_asked_nothing_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_leader, "_IDLE_S", 0.05)
    first, second = (lf.open(str(tmp_path / "lake")) for _ in range(2))
    leading(first)
    until = time.monotonic() + 10
    while meeting(first).leading:
        assert time.monotonic() < until
        time.sleep(0.01)
    following(second).folio("f").add_json("item", 1)
    following(first).folio("f").add_json("other", 1)
    assert first.version == 2


def test_a_process_that_ends_lets_the_others_go_on_at_once(tmp_path: Path) -> None:
    """At the end of a process, who leads answers those who wait, and frees its lock."""
    program = f"""
import sys
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1])!r}]
import lakefolio as lf
from test_neighbours import leading
lake = leading(lf.open({str(tmp_path / "lake")!r}))
print("leads", flush=True)
sys.stdin.readline()
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"leads\n"
    lake = following(lf.open(str(tmp_path / "lake")))
    lake.folio("f").add_json("first", 1)
    process.stdin.close()
    assert process.wait(20) == 0
    process.stdout.close()
    path = meeting(lake).path
    assert path is not None
    assert not os.path.exists(path)
    lake.folio("f").add_json("second", 2)
    assert meeting(lake).leading
    assert lake.version == 2
