"""Every request of a transaction goes wrong in every way: all or nothing, acknowledged means present exactly once."""

from __future__ import annotations

import itertools
import multiprocessing
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection

import numpy as np
import pytest
from inside import session_of
from killing import Freezing

import lakefolio as lf
from lakefolio.errors import ConflictError
from lakefolio.format.digest import sha256_of_bytes
from lakefolio.format.names import new_id
from lakefolio.journal import committer
from lakefolio.journal.tickets import Ticket, Tickets
from lakefolio.model.changes import Commit, Put
from lakefolio.model.entries import Stored
from lakefolio.testing import CountingProxy, Fault, Request, S3Server

ARRAY = np.random.default_rng(7).integers(0, 255, 6000, dtype=np.uint8)
FAULTS = {
    "lost answer": Fault("drop_response"),
    "cut before": Fault("refuse"),
    "500": Fault("status", status=500, code="InternalError"),
    "503": Fault("status", status=503, code="SlowDown"),
    "409": Fault("status", status=409, code="OperationAborted"),
    "delay": Fault("delay", seconds=0.05),
}


def add(lake: lf.Lake) -> None:
    lake.folio("f").add_numpy("new", ARRAY, inputs=["first"], metadata={"k": 1})


def batch(lake: lf.Lake) -> None:
    with lake.batch("two folios"):
        lake.folio("f").add_numpy("new", ARRAY, inputs=["first"], metadata={"k": 1})
        lake.folio("g").add_json("other", {"x": 1}, inputs=["f:new"])


def restore(lake: lf.Lake) -> None:
    lake.restore(1)


def contents(lake: lf.Lake) -> dict[str, list[str]]:
    return {name: sorted(session_of(lake).state().names(name)) for name in lake.folios()}


BEFORE = {"f": ["first", "second"]}
TRANSACTIONS: dict[str, tuple[Callable[[lf.Lake], None], dict[str, list[str]]]] = {
    "add": (add, {"f": ["first", "new", "second"]}),
    "batch": (batch, {"f": ["first", "new", "second"], "g": ["other"]}),
    "restore": (restore, {"f": ["first"]}),
}


def combine(lake: lf.Lake) -> None:
    """Commit by ticket, beside the ticket of a writer that is no more."""
    journal = session_of(lake).journal
    content = Stored(kind="json", storage="inline", format="json", content=b"1", digest=sha256_of_bytes(b"1"))
    put = Put(folio="f", item="of the dead", stored=content, entry_id=new_id(), inputs=("first",), metadata={"k": "1"})
    Tickets(journal.store).create(Ticket(journal.state.version, (Commit(commit_id=new_id(), changes=[put]),)))
    journal.committer.contend(float("inf"))
    journal.committer.peers = None
    batch(lake)


CHILDREN = {"batch": batch, "combine": combine}


def prepare(uri: str, options: dict[str, str]) -> lf.Lake:
    lake = lf.open(uri, storage_options=options)
    lake.folio("f").add_json("first", 1)
    lake.folio("f").add_json("second", 2, inputs=["first"], metadata={"k": 1})
    return lake


def judge(uri: str, options: dict[str, str], after: dict[str, list[str]], acknowledged: bool, what: str) -> None:
    """A fresh handle sees all or nothing, all if it was acknowledged, nothing twice, and nothing broken."""
    fresh = lf.open(uri, storage_options=options)
    found = contents(fresh)
    assert found == after or (found == BEFORE and not acknowledged), f"{what}: {found}"
    versions = fresh.sql("select count(distinct version), count(distinct commit_id) from manifests").fetchone()
    assert versions == ((3, 3) if found == after else (2, 2)), what
    report = fresh.check(read_data=True)
    assert report.ok, f"{what}: {report}"
    if "new" in found.get("f", ()):
        assert np.array_equal(fresh.folio("f").get_numpy("new"), ARRAY)
        assert fresh.folio("f").get_inputs("new") == ["first"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("transaction", TRANSACTIONS)
def test_any_request_may_fail(
    transaction: str, fault: str, s3_server: S3Server, s3_proxy: CountingProxy, s3_uri: str
) -> None:
    action, after = TRANSACTIONS[transaction]
    k = 1
    while True:
        uri = f"{s3_uri}/{k}"
        lake = prepare(uri, s3_proxy.storage_options)
        count = 0

        def once(request: Request, k: int = k) -> Fault | None:
            nonlocal count
            if fault == "409" and request.method in ("GET", "HEAD"):
                return None  # no store answers a question so
            count += 1
            return FAULTS[fault] if count == k else None

        acknowledged = True
        with s3_proxy.faulty(once):
            try:
                action(lake)
            except lf.StorageError:
                acknowledged = False
        if count < k:
            break  # there are no more requests: the transaction ran undisturbed
        assert acknowledged, f"request {k}: what passes is tried again"
        judge(uri, s3_server.storage_options, after, acknowledged, f"request {k}")
        assert contents(lake) == after
        k += 1
    assert k > 2


FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload([__name__, "lakefolio.journal.journal", "obstore.store", "pyarrow.compute"])


def child(uri: str, options: dict[str, str], name: str, talk: Connection) -> None:
    # A child waits for a dead writer too. One look proves as much as thirty, each of which would be a place to die.
    committer._SLOW_COMBINER_S, committer._SLOW_COMBINER_LOOKS = 0.0, 1
    lake = lf.open(uri, storage_options=options)
    talk.send("ready")
    talk.recv()
    CHILDREN[name](lake)
    talk.send("done")
    talk.recv()


class Child:
    """A writer process that is ready to begin, and is killed when it is told to."""

    def __init__(self, uri: str, options: dict[str, str], name: str) -> None:
        self.talk, theirs = FORKSERVER.Pipe()
        self.process = FORKSERVER.Process(target=child, args=(uri, options, name, theirs), daemon=True)
        self.process.start()
        theirs.close()
        assert self.talk.recv() == "ready"

    def runs_to_end_or(self, reached: threading.Event) -> bool:
        """Begin, and say whether the child got through before ``reached`` was set."""
        self.talk.send("begin")
        while not reached.is_set():
            if self.talk.poll(0.01):
                assert self.talk.recv() == "done"
                return True
        return False

    def kill(self) -> None:
        """Send SIGKILL, and return when the process is no more and that is what it died of."""
        self.process.kill()
        self.process.join()
        assert self.process.exitcode == -signal.SIGKILL
        self.talk.close()


def killed_at_each_request(
    s3_server: S3Server, proxy: CountingProxy, uri: str, name: str, judged: Callable[[str, bool, str], None]
) -> int:
    """Freeze the k-th request of a child and kill it, for k = 1, 2, … until the child gets through.

    What was written before the k-th request has taken effect, so that every boundary between two effects is met.
    """
    k = 1
    while True:
        place = f"{uri}/{k}"
        prepare(place, s3_server.storage_options)
        process = Child(place, proxy.storage_options, name)
        freeze = Freezing(k)
        with proxy.faulty(freeze):
            finished = process.runs_to_end_or(freeze.reached)
            process.kill()
            freeze.dead.set()
        judged(place, finished, f"killed at request {k}")
        if finished:
            return k - 1
        k += 1


def test_a_writer_may_be_killed_at_any_request(s3_server: S3Server, s3_proxy: CountingProxy, s3_uri: str) -> None:
    """All or nothing, and the next writer goes on as if nothing had been."""

    def judged(uri: str, finished: bool, what: str) -> None:
        judge(uri, s3_server.storage_options, TRANSACTIONS["batch"][1], finished, what)
        other = lf.open(uri, storage_options=s3_server.storage_options)
        other.folio("f").add_json("later", 3, inputs=["first"])
        assert other.check(read_data=True).ok

    assert killed_at_each_request(s3_server, s3_proxy, s3_uri, "batch", judged) >= 3


def test_a_combiner_may_be_killed_at_any_request(
    s3_server: S3Server, s3_proxy: CountingProxy, s3_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tickets it held are not lost, not doubled, and taken away; a writer that waits behind them is served."""
    options = s3_server.storage_options
    monkeypatch.setattr("lakefolio.journal.committer._SLOW_COMBINER_S", 0.05)  # the one who waits is in this process

    def judged(uri: str, finished: bool, what: str) -> None:
        lake = lf.open(uri, storage_options=options)
        journal = session_of(lake).journal
        journal.committer.contend(float("inf"))
        journal.committer.peers = None
        lake.folio("f").add_json("live", 3, inputs=["first"])
        fresh = lf.open(uri, storage_options=options)
        names = contents(fresh)
        assert "live" in names["f"], what
        assert not finished or {"of the dead", "new"} < set(names["f"]), what
        assert ("new" in names["f"]) == ("g" in names), what
        puts = fresh.sql("select count(*), count(distinct item) from manifests where op = 'put'").fetchone()
        assert puts is not None
        assert puts[0] == puts[1], f"{what}: something was committed twice"
        assert session_of(fresh).journal.settle() == 0, what
        report = fresh.check(read_data=True)
        assert report.ok, f"{what}: {report}"

    assert killed_at_each_request(s3_server, s3_proxy, s3_uri, "combine", judged) >= 10


def test_a_writer_that_always_loses_gives_up(
    s3_proxy: CountingProxy, s3_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rival that is always faster: the error says so, nothing of the commit is there, nor will it ever be."""
    monkeypatch.setattr("lakefolio.journal.committer._PATIENCE_S", 0.3)
    lake = lf.open(s3_uri, storage_options=s3_proxy.storage_options)
    rival = lf.open(s3_uri)
    numbers = itertools.count()

    def first(request: Request) -> None:
        if request.method == "PUT" and "manifests/_delta_log" in request.key:
            rival.folio("f").add_json(f"rival-{next(numbers)}", 1)

    with s3_proxy.faulty(first), pytest.raises(ConflictError) as caught:
        lake.folio("f").add_json("late", 1)
    assert caught.value.kind == "contention"
    assert session_of(rival.folio("f")).journal.settle() == 0
    assert "late" not in contents(lake)["f"]
    lake.folio("f").add_json("late", 1)
    assert rival.check(read_data=True).ok
