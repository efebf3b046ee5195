"""The queue of one process's commits, driven by Hypothesis: leaders succeed, fail and are interrupted half-way.

Real threads, on a stand-in for the committer whose every step the machine decides.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import Empty, Queue, SimpleQueue

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from thoroughness import examples

from lakefolio.errors import StorageError
from lakefolio.journal import commit_queue
from lakefolio.journal.commit_queue import CommitQueue
from lakefolio.journal.pending_commit import Committed, PendingCommit
from lakefolio.model.changes import Commit

LIMIT_S = 20.0


class QueueMachine(RuleBasedStateMachine):
    """Each commit is decided once; an interrupt ends the thread that it hit, and no other."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = CommitQueue(self._commit_all, lambda: False)
        self.verdicts: SimpleQueue[tuple[str, int]] = SimpleQueue()
        self.at_work: Queue[list[PendingCommit]] = Queue()
        self.leaders = 0
        self.most_leaders = 0
        self.interrupted: set[int] = set()
        self.threads: dict[int, threading.Thread] = {}
        self.results: dict[int, str] = {}
        self.decided: list[int] = []

    def _commit_all(self, undecided: Callable[[], list[PendingCommit]]) -> None:
        batch = undecided()
        self.leaders += 1
        self.most_leaders = max(self.most_leaders, self.leaders)
        try:
            self.at_work.put(batch)
            verdict, count = self.verdicts.get(timeout=LIMIT_S)
            for waiting in batch if verdict == "commit" else batch[:count]:
                if verdict == "fail":
                    break
                self.decided.append(int(waiting.commit.commit_id))
                waiting.outcome = Committed(len(self.decided), None)  # type: ignore[arg-type]
                waiting.end()
            if verdict == "interrupt":
                self.interrupted.add(threading.get_ident())
                raise KeyboardInterrupt
            if verdict == "fail":
                for waiting in batch:
                    waiting.fail(StorageError("no"))
        finally:
            self.leaders -= 1

    def _thread(self, number: int, many: int) -> None:
        commits = [PendingCommit(Commit(commit_id=str(number + n), changes=())) for n in range(many)]
        try:
            if many == 1:
                self.queue.commit(commits[0])
            else:
                self.queue.commit_many(commits)
            for n, commit in enumerate(commits):  # a leader that was interrupted may have decided one of them
                self.results[number + n] = "failed" if commit.error is not None else "committed"
        except KeyboardInterrupt:
            result = "interrupted" if threading.get_ident() in self.interrupted else "somebody else's interrupt"
            self.results.update(dict.fromkeys(range(number, number + many), result))

    @rule(many=st.sampled_from([1, 1, 1, 2]))
    def bring(self, many: int) -> None:
        number = 10 * len(self.threads)
        self.threads[number] = threading.Thread(target=self._thread, args=(number, many), daemon=True)
        self.threads[number].start()

    @rule(verdict=st.sampled_from(["commit", "fail", "interrupt"]), count=st.integers(0, 3))
    def lead(self, verdict: str, count: int) -> None:
        """Whatever happened before, a thread leads while others wait; without threads nothing happens."""
        until = time.monotonic() + LIMIT_S
        while any(thread.is_alive() for thread in self.threads.values()):
            try:
                self.at_work.get(timeout=0.005)
            except Empty:
                assert time.monotonic() < until, "threads wait and nobody leads"
                continue
            self.verdicts.put((verdict, count))
            return

    @invariant()
    def one_leads(self) -> None:
        assert self.most_leaders <= 1

    def teardown(self) -> None:
        until = time.monotonic() + LIMIT_S
        while any(thread.is_alive() for thread in self.threads.values()):
            assert time.monotonic() < until, "threads wait and nobody leads"
            try:
                self.at_work.get(timeout=0.005)
            except Empty:
                continue
            self.verdicts.put(("commit", 0))
        assert len(self.decided) == len(set(self.decided))
        assert "somebody else's interrupt" not in self.results.values()
        for number, result in self.results.items():
            if result == "committed":
                assert number in self.decided
        assert self.queue.waiting == 0
        assert not self.queue._leading.locked()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_queue, "_PATIENCE_S", 0.05)


class Steps:
    """A stand-in for the committer: each leader stops before and after it has ended its batch, until told to go on."""

    def __init__(self) -> None:
        self.queue = CommitQueue(self._commit_all, lambda: False)
        self.batches: Queue[list[str]] = Queue()
        self.ends: SimpleQueue[None] = SimpleQueue()
        self.returns: SimpleQueue[None] = SimpleQueue()

    def _commit_all(self, undecided: Callable[[], list[PendingCommit]]) -> None:
        batch = undecided()
        self.batches.put([waiting.commit.commit_id for waiting in batch])
        self.ends.get(timeout=LIMIT_S)
        for waiting in batch:
            waiting.end()
        self.returns.get(timeout=LIMIT_S)

    def begin(self, name: str) -> threading.Thread:
        """Commit in a thread of its own; return when the commit waits."""
        before = self.queue.waiting
        commit = PendingCommit(Commit(commit_id=name, changes=()))
        thread = threading.Thread(target=self.queue.commit, args=(commit,), daemon=True)
        thread.start()
        until = time.monotonic() + LIMIT_S
        while self.queue.waiting == before:
            assert time.monotonic() < until
            time.sleep(0.001)
        return thread


def test_a_thread_whose_commit_is_decided_does_not_wait_for_the_leader() -> None:
    """Also if it has lost its patience before: threads that wait for the lock of the leader pass one after another."""
    steps = Steps()
    first = steps.begin("a")
    assert steps.batches.get(timeout=LIMIT_S) == ["a"]
    others = [steps.begin(name) for name in "bcd"]
    time.sleep(3 * commit_queue._PATIENCE_S)
    steps.ends.put(None)
    steps.returns.put(None)
    first.join(LIMIT_S)
    assert steps.batches.get(timeout=LIMIT_S) == ["b", "c", "d"]
    time.sleep(3 * commit_queue._PATIENCE_S)
    steps.ends.put(None)
    until = time.monotonic() + LIMIT_S
    while sum(thread.is_alive() for thread in others) > 1:
        assert time.monotonic() < until, "decided, and still waiting for the one that leads"
        time.sleep(0.001)
    steps.returns.put(None)
    for thread in others:
        thread.join(LIMIT_S)
    assert steps.queue.waiting == 0


def test_a_leader_waits_for_the_threads_that_committed_a_moment_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_queue, "_GATHERED", 1e9)
    monkeypatch.setattr(commit_queue, "_LONGEST_GATHERED_S", LIMIT_S)
    steps = Steps()
    threads = [steps.begin("a")]
    assert steps.batches.get(timeout=LIMIT_S) == ["a"]
    threads.append(steps.begin("b"))
    steps.ends.put(None)
    steps.returns.put(None)
    threads[0].join(LIMIT_S)
    threads.append(steps.begin("a again"))
    assert steps.batches.get(timeout=LIMIT_S) == ["b", "a again"]
    steps.ends.put(None)
    steps.returns.put(None)
    for thread in threads:
        thread.join(LIMIT_S)
    assert not any(thread.is_alive() for thread in threads)


def test_the_commit_queue(request: pytest.FixtureRequest) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        QueueMachine,
        settings=settings(
            max_examples=examples(60), stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
