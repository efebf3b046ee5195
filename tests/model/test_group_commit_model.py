"""Every interleaving of a few writers, combiners and crashes, by exhausting the states of a model of committing.py.

The model keeps what decides: the log (which commits each entry carries), the tickets, and for each writer where it is,
what it has read of the log and which tickets it holds. Names of steps are those of ``Committer``. A step is what one
request does to the store, or what a process does without looking at it; between two steps anything may happen, a crash
and a wrong belief that another writer is dead included. One process may lead its host: writers hand their commits over
to it, and may give up waiting for its answer at any time, whether it is dead, slow or just about to commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest


class Writer(NamedTuple):
    """One writer with one commit, which is its number.

    ``at`` is the next step: direct, beaten, handed, ticket, list, read, plan, create, remove, told, or done, crashed.
    ``seen`` is how many log entries it has read, ``base`` that number when it made its ticket, ``held`` what it took.
    """

    at: str = "direct"
    seen: int = 0
    base: int = 0
    held: frozenset[int] = frozenset()
    carried: frozenset[int] = frozenset()
    acknowledged: bool = False


class Leader(NamedTuple):
    """Who commits for its host: what it was given, what it is about to create, and whom it has answered."""

    alive: bool = False
    seen: int = 0
    handed: frozenset[int] = frozenset()
    carried: frozenset[int] = frozenset()
    answered: frozenset[int] = frozenset()


class World(NamedTuple):
    """The store and the writers."""

    log: tuple[frozenset[int], ...]
    tickets: frozenset[int]
    writers: tuple[Writer, ...]
    crashes: int
    leader: Leader = Leader()


def steps(world: World, *, look_first: bool = True, leader_looks: bool = True) -> Iterator[tuple[str, World]]:
    """Yield what may happen next."""
    if world.leader.alive:
        if world.crashes:
            yield "the leader crashes", world._replace(leader=Leader(), crashes=world.crashes - 1)
        for name, leader, log in leads(world, leader_looks):
            yield f"the leader {name}", world._replace(leader=leader, log=log)
    for number, writer in enumerate(world.writers):
        if writer.at in ("done", "crashed"):
            continue
        if world.crashes:
            dead = writer._replace(at="crashed")
            yield f"{number} crashes", put(world, number, dead)._replace(crashes=world.crashes - 1)
        for name, after in moves(world, number, writer, look_first):
            yield f"{number} {name}", after


def leads(world: World, looks: bool) -> Iterator[tuple[str, Leader, tuple[frozenset[int], ...]]]:
    leader, log = world.leader, world.log
    if leader.carried:
        if len(log) > leader.seen:
            # it takes what it was given once more, by what it has read now
            yield "loses", leader._replace(seen=len(log), carried=frozenset()), log
        else:
            done = leader._replace(seen=leader.seen + 1, carried=frozenset(), handed=leader.handed - leader.carried)
            yield "creates", done._replace(answered=leader.answered | leader.carried), (*log, leader.carried)
        return
    if leader.handed:
        known = {commit for entry in log[: leader.seen] for commit in entry} if looks else set()
        told = leader.handed & known
        if told:
            yield "tells", leader._replace(handed=leader.handed - told, answered=leader.answered | told), log
        else:
            yield "takes what it was given", leader._replace(carried=leader.handed), log
            # other hosts are faster, or its planner objects: who gave it sees to it by itself
            yield "hands back", leader._replace(handed=frozenset()), log


def put(world: World, number: int, writer: Writer) -> World:
    return world._replace(writers=(*world.writers[:number], writer, *world.writers[number + 1 :]))


def decided(world: World, writer: Writer) -> set[int]:
    return {commit for entry in world.log[: writer.seen] for commit in entry}


def moves(world: World, number: int, writer: Writer, look_first: bool) -> Iterator[tuple[str, World]]:
    newest = len(world.log)
    match writer.at:
        case "direct":
            # the state it knows may be older than the newest; the create is exact all the same
            yield (
                "loses" if newest > writer.seen else "wins directly",
                created(world, number, writer._replace(carried=frozenset({number})), lost="beaten"),
            )
            yield "was beaten a moment ago", put(world, number, writer._replace(at="beaten"))
        case "beaten":
            yield "goes by ticket", put(world, number, writer._replace(at="ticket"))
            if world.leader.alive:
                leader = world.leader
                seen = max(leader.seen, writer.seen)  # it knows every entry above the base of what it takes
                given = leader._replace(handed=leader.handed | {number}, seen=seen if leader.handed else newest)
                if not leader.carried:
                    yield "hands over", put(world, number, writer._replace(at="handed"))._replace(leader=given)
        case "handed":
            if number in world.leader.answered:
                yield "is answered", put(world, number, writer._replace(at="told"))
            # at any time, whatever the leader is about to do
            found = any(number in entry for entry in world.log)
            yield "gives up", put(world, number, writer._replace(at="told" if found else "again", seen=newest))
        case "again":
            alone = writer._replace(carried=frozenset({number}))
            yield "tries directly", created(world, number, alone, lost="ticket")
            yield "goes by ticket", put(world, number, writer._replace(at="ticket"))
        case "ticket":
            made = put(world, number, writer._replace(at="list", base=writer.seen))
            yield "leaves a ticket", made._replace(tickets=world.tickets | {number})
        case "list":
            if number in decided(world, writer):
                yield "is told", put(world, number, writer._replace(at="remove", held=frozenset()))
            else:
                yield "lists", put(world, number, writer._replace(at="read", held=world.tickets))
                if newest > writer.seen:  # it waits, and the log moves
                    yield "sees the log move", put(world, number, writer._replace(seen=newest))
        case "read":
            # polling comes after the listing, so that nothing decided before a ticket was listed is missed
            seen = newest if look_first else writer.seen
            yield "polls", put(world, number, writer._replace(at="plan", seen=seen))
        case "plan":
            known = decided(world, writer) if look_first else set()
            carried = frozenset((writer.held | {number}) - known)
            if number in known:
                yield "is told", put(world, number, writer._replace(at="remove"))
            else:
                yield "plans", put(world, number, writer._replace(at="create", carried=carried))
        case "create":
            # the answer may be lost: it then polls and knows as much as if it had come
            yield "creates", created(world, number, writer, lost="list")
        case "remove":
            left = put(world, number, writer._replace(at="told"))
            yield "removes", left._replace(tickets=world.tickets - (decided(world, writer) & (writer.held | {number})))
        case "told":
            yield "returns", put(world, number, writer._replace(at="done", acknowledged=True, held=frozenset()))


def created(world: World, number: int, writer: Writer, *, lost: str) -> World:
    if len(world.log) > writer.seen:
        seen = len(world.log)
        found = any(number in entry for entry in world.log)
        at = "remove" if found else lost
        return put(world, number, writer._replace(at=at, seen=seen, carried=frozenset()))
    after = world._replace(log=(*world.log, writer.carried))
    return put(after, number, writer._replace(at="remove", seen=len(after.log), carried=frozenset()))


def explore(
    writers: int,
    crashes: int,
    limit: int = 12,
    *,
    look_first: bool = True,
    leader: bool = False,
    leader_looks: bool = True,
) -> tuple[int, list[str]]:
    """Visit every reachable state; return how many there are, and what is wrong with any of them."""
    start = World((), frozenset(), (Writer(),) * writers, crashes, Leader(alive=leader))
    seen, border, wrong = {start}, [start], []
    while border:
        world = border.pop()
        flat = [commit for entry in world.log for commit in entry]
        if len(flat) != len(set(flat)):
            wrong.append(f"committed twice: {world}")
            continue
        for number, writer in enumerate(world.writers):
            if writer.acknowledged and number not in flat:
                wrong.append(f"acknowledged and lost: {world}")
        after = [one for _, one in steps(world, look_first=look_first, leader_looks=leader_looks)]
        alive = [writer for writer in world.writers if writer.at not in ("done", "crashed")]
        if alive and not after:
            wrong.append(f"nobody can go on: {world}")
        if not alive and not any(writer.at == "crashed" for writer in world.writers) and world.tickets:
            wrong.append(f"tickets are left though nobody died: {world}")
        for one in after:
            if one not in seen and len(one.log) <= limit:
                seen.add(one)
                border.append(one)
    return len(seen), wrong


@pytest.mark.parametrize(("writers", "crashes"), [(2, 0), (2, 2), (3, 0), (3, 1)])
def test_no_interleaving_loses_or_doubles_a_commit(writers: int, crashes: int) -> None:
    count, wrong = explore(writers, crashes)
    assert not wrong, wrong[0]
    assert count > 100


@pytest.mark.parametrize(("writers", "crashes"), [(2, 0), (2, 2)])
def test_nor_does_any_where_one_leads(writers: int, crashes: int) -> None:
    count, wrong = explore(writers, crashes, leader=True)
    assert not wrong, wrong[0]
    assert count > 200


@pytest.mark.parametrize(
    "start",
    [World((), frozenset(), (Writer(),) * 3, 1), World((), frozenset(), (Writer(),) * 2, 1, Leader(alive=True))],
)
def test_every_state_leads_to_an_end(start: World) -> None:
    """From wherever the writers are, those who live can all be acknowledged, whoever crashed holding what."""
    following: dict[World, list[World]] = {}
    border = [start]
    while border:
        world = border.pop()
        if world not in following:
            following[world] = [one for _, one in steps(world)]
            border += following[world]
    before: dict[World, list[World]] = {}
    for world, after in following.items():
        for one in after:
            before.setdefault(one, []).append(world)
    ends = [world for world in following if all(writer.at in ("done", "crashed") for writer in world.writers)]
    reaching = set(ends)
    border = ends
    while border:
        for one in before.get(border.pop(), []):
            if one not in reaching:
                reaching.add(one)
                border.append(one)
    assert reaching == set(following)


def test_the_model_finds_what_the_rules_are_for() -> None:
    """A combiner that does not read the log above a ticket's base commits what has been committed."""
    _, wrong = explore(2, 0, look_first=False)
    assert any(one.startswith("committed twice") for one in wrong)


def test_the_model_finds_what_the_rules_of_a_host_are_for() -> None:
    """Who leads and does not look for what it was given in the log commits what its writer has committed by itself."""
    _, wrong = explore(2, 0, leader=True, leader_looks=False)
    assert any(one.startswith("committed twice") for one in wrong)
