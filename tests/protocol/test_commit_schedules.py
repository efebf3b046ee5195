"""The real committer under every interleaving of its requests: writers, lost answers, deaths, a leader of a host."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any

import pytest
from exploring import explore, sample
from scheduled_world import Desk, Face, Leading, ScheduledHost, World

import lakefolio as lf
from lakefolio.delta.table import lake_id_of
from lakefolio.errors import AlreadyExistsError, StorageError
from lakefolio.format.digest import sha256_of_bytes
from lakefolio.journal.committer import Committer
from lakefolio.journal.journal import Journal
from lakefolio.journal.log_writer import LogWriter
from lakefolio.journal.outcomes import Outcomes
from lakefolio.journal.pending_commit import PendingCommit
from lakefolio.journal.tickets import Ticket
from lakefolio.model.changes import Commit, Put
from lakefolio.model.entries import Stored
from lakefolio.storage import open_store


@cache
def template() -> tuple[str, dict[str, bytes]]:
    """Return the id and the objects of a lake with one commit, which vouches for the clock."""
    uri = "memory://schedules-of-commits"
    lf.open(uri).folio("f").add_json("first", 1)
    store = open_store(uri)
    return lake_id_of(store), {info.key: bytes(store.get(info.key)) for info in store.list("")}


def commit_of(name: str, number: int, item: str | None = None) -> Commit:
    body = f'"{name}"'.encode()
    digest = sha256_of_bytes(body)
    stored = Stored(
        kind="json",
        storage="inline",
        format="json",
        digest=digest,
        blob_digest=digest,
        size_bytes=len(body),
        stored_bytes=0,
        content=body,
    )
    put = Put(folio="f", item=item or name, stored=stored, entry_id=f"{number:032x}", overwrite=item is None)
    return Commit(commit_id=f"{number:032x}", changes=(put,), author=None, message=name)


def write(face: Face, journal: Journal, commits: list[Commit]) -> None:
    """Commit one after another; a commit whose fate is unknown is given again, as its user would."""
    for commit in commits:
        before = sorted(note[1] for note in face.world.notes if note[0] == "acknowledged")
        face.note("began", commit.message, before)
        for _ in range(4):
            try:
                outcome = journal.commit(commit)
            except StorageError:
                continue
            except AlreadyExistsError:
                face.note("refused", commit.message)
            else:
                face.note("acknowledged", commit.message, outcome.version)
            break
        else:
            face.note("gave up", commit.message)


def opened(face: Face) -> Journal:
    journal = Journal(face, template()[0], clock=face)
    for _ in range(3):
        with contextlib.suppress(StorageError):
            journal.load()
            break
    return journal


def writer(face: Face, *, commits: list[Commit]) -> None:
    """A process that has opened the lake before anything happened."""
    journal = opened(face)
    face.begin()
    write(face, journal, commits)


def latecomer(face: Face, *, commits: list[Commit]) -> None:
    """A process that opens the lake while others are at work: what they left may be older than all that it has read."""
    face.begin()
    write(face, opened(face), commits)


def settler(face: Face) -> None:
    """A process that opens the lake and does what maintenance does about tickets that lie there."""
    face.begin()
    with contextlib.suppress(StorageError):
        opened(face).settle()


def follower(face: Face, *, desk: Desk, commits: list[Commit]) -> None:
    """A process that asks the leader of its host when it was beaten."""
    journal = opened(face)
    journal.join_host(partial(ScheduledHost, face, desk))
    face.begin()
    write(face, journal, commits)


def leader(face: Face, *, desk: Desk, late: bool) -> None:
    """A process that commits for its host; if ``late``, it opens the lake while the others are at work."""
    if late:
        face.begin()
    journal = opened(face)
    hosts: list[Leading] = []

    def lead(*args: object, **options: object) -> Leading:
        hosts.append(Leading(face, desk, *args, **options))
        return hosts[0]

    journal.join_host(lead)
    face.begin()
    hosts[0].run()


def world(
    *, writers: int, commits: int = 1, late: int = 0, settles: bool = False, leads: str = "", faults: int = 0
) -> World:
    """Return a world of so many processes that commit items of their own, one after another."""
    act: dict[str, Callable[[Face], None]] = {}
    desk = Desk()
    for number in range(writers + late):
        own = [commit_of(f"{number}.{count}", 1 + 16 * number + count) for count in range(commits)]
        if number >= writers:
            act[f"late {number}"] = partial(latecomer, commits=own)
        elif leads:
            act[f"follower {number}"] = partial(follower, desk=desk, commits=own)
        else:
            act[f"writer {number}"] = partial(writer, commits=own)
    if leads:
        act["leader"] = partial(leader, desk=desk, late=leads == "late")
    if settles:
        act["settler"] = settler
    return World(template()[1], act, faults=faults, desk=desk)


def check(world: World) -> str:
    """Say what is wrong with a log once everybody has ended or died."""
    lake_id, _ = template()
    errors = [actor.outcome for actor in world.actors if actor.outcome not in ("ended", "died")]
    if errors:
        return f"an error came out: {errors[0]!r}"

    def look(face: Face) -> None:
        journal = Journal(face, lake_id, clock=face)
        journal.load()
        left = journal.settle()
        journal.refresh()
        face.note(
            left, journal.anew("manifests").load(trust_copies=False).to_pylist(), len(list(face.list("pending/")))
        )

    last = World(world.objects, {"last": look}, faults=0)
    while choices := last.choices():
        last.step(choices[0])
    if last.actors[0].outcome != "ended":
        return f"the lake can't be read: {last.actors[0].outcome!r}"
    ((left, rows, still),) = last.notes
    if still:
        return f"{still} tickets are left that nobody settles"
    if left and not world.faulty:
        return f"{left} tickets are left though nobody died and nothing failed"
    versions: dict[str, list[int]] = {}
    for row in rows:
        if row["op"] == "put":
            versions.setdefault(row["message"], []).append(row["version"])
    if twice := [name for name, found in versions.items() if len(found) > 1]:
        return f"committed twice: {twice}"
    ends = {}
    for note in world.notes:
        if note[0] == "acknowledged":
            _, name, version = note
            if versions.get(name) != [version]:
                return f"{name} was acknowledged at version {version}, and is at {versions.get(name)}"
            ends[name] = version
        elif note[0] == "refused" and note[1] in versions:
            return f"{note[1]} was refused and committed"
    for note in world.notes:
        if note[0] == "began":
            _, name, before = note
            for other in before:
                if name in versions and versions[name][0] <= ends[other]:
                    return f"{name} began after {other} was acknowledged, and comes before it"
    return ""


def one_name(*, faults: int) -> World:
    """Return a world of two processes that want the same name for an item."""
    writers = {name: partial(writer, commits=[commit_of(name, number, "same")]) for number, name in enumerate("ab", 1)}
    return World(template()[1], writers, faults=faults)


def check_one_name(world: World) -> str:
    """Say what is wrong with a log in which one at most was to get the name, and the other to be refused."""
    told = {note[1]: note[0] for note in world.notes if note[0] in ("acknowledged", "refused")}
    if list(told.values()).count("acknowledged") > 1:
        return "both got the name"
    if list(told.values()).count("refused") > 1:
        return "nobody got the name"
    return check(world)


def test_no_interleaving_of_two_writers_loses_or_doubles_a_commit() -> None:
    """With one fault anywhere: a death, a failure, a lost answer, a create whose own retry says that it exists."""
    found = explore(partial(world, writers=2, faults=1), check)
    assert not found.wrong, found.wrong
    assert found.states > 500
    assert found.runs > 50


def test_of_two_who_want_a_name_one_gets_it() -> None:
    found = explore(partial(one_name, faults=1), check_one_name)
    assert not found.wrong, found.wrong
    assert found.states > 200


@pytest.mark.parametrize(
    ("kind", "states", "runs"),
    [
        ({"writers": 3}, 2_434, 165),
        ({"writers": 2, "faults": 2}, 10_060, 1_682),
        ({"writers": 1, "late": 1, "faults": 1}, 1_349, 178),
        ({"writers": 2, "leads": "early", "faults": 1}, 3_929, 404),
        ({"writers": 2, "leads": "late"}, 321, 20),
        ({"writers": 2, "settles": True}, 600, 38),
    ],
    ids=str,
)
def test_nor_does_any_interleaving_of_more(kind: dict[str, Any], states: int, runs: int) -> None:
    """So many states there were when this was written, and ends that differ; with half of them, something is unseen."""
    found = explore(partial(world, **kind), check, most=60_000)
    assert not found.wrong, found.wrong
    assert found.states > states // 2
    assert found.runs > runs // 2


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "kind",
    [
        {"writers": 3, "commits": 2, "late": 1, "faults": 3},
        {"writers": 3, "commits": 2, "leads": "late", "faults": 3},
        {"writers": 5, "faults": 2},
    ],
    ids=str,
)
def test_nor_do_runs_that_are_drawn_of_a_crowd(kind: dict[str, Any], seed: int) -> None:
    found = sample(partial(world, **kind), check, runs=100, seed=seed)
    assert not found.wrong, found.wrong
    assert found.runs == 100


def test_a_commit_that_is_handed_over_twice_is_committed_once() -> None:
    """A neighbour that gave up waiting asks again, and the leader finds both questions."""

    def act(face: Face) -> None:
        journal = opened(face)
        ticket = Ticket(journal.known.version, (commit_of("one", 1),))
        answers = journal.commit_for([ticket, ticket])
        face.note([outcome is not None for answer in answers for outcome in answer.outcomes], journal.state.version)
        face.note(journal.anew("manifests").load(trust_copies=False).column("message").to_pylist())

    alone = World(template()[1], {"leader": act}, faults=0)
    assert alone.notes == [([True, False], 2), ([None, "one"],)]


def forgets_what_was_decided(self: Outcomes, entries: Any) -> None:
    """A writer that reads the log and takes no note of whose commits are in it."""


def answers_by_itself(self: LogWriter, batch: Iterable[PendingCommit]) -> list[PendingCommit]:
    """A writer that does not look for its own commit in the log when a create says that the entry exists."""
    return [pending for pending in batch if not pending.done]


def knows_enough(self: Outcomes, base: int) -> bool:
    """A combiner that does not read the log above a ticket's base."""
    return base <= self._table.version


def takes_all(self: Committer, batch: list[PendingCommit]) -> list[PendingCommit]:
    """A leader that does not look in the log for what it was given."""
    return batch


@pytest.mark.parametrize(
    ("where", "name", "broken", "kind"),
    [
        (Outcomes, "note", forgets_what_was_decided, {"writers": 2, "faults": 1}),
        (LogWriter, "undecided", answers_by_itself, {"writers": 2, "faults": 1}),
        (Outcomes, "complete_from", knows_enough, {"writers": 2, "settles": True}),
        (Committer, "_judged", takes_all, {"writers": 2, "leads": "late"}),
    ],
)
def test_what_each_rule_is_for_is_found(monkeypatch, where, name, broken, kind) -> None:
    """The same worlds, with a library that lacks one rule of the protocol, show what the rule prevents."""
    monkeypatch.setattr(where, name, broken)
    found = explore(partial(world, **kind), check, most=60_000)
    assert found.wrong
