"""Every interleaving of writers, a snapshot, a restore, collectors and crashes over one piece of content.

The model keeps what decides: the log, which objects exist, and for each actor where it is, what it has read of the log
and what it holds in its hands. It mirrors ``gc`` (look, list, purge, delete), ``purging`` and the way a writer commits
(store, then create the next log entry; stored again under the next generation if it was purged meanwhile). A step is
what one request does to the store; between two steps anything may happen, a crash included. All actors are about one
digest: in the beginning one item had it as generation 0, and has been overwritten since.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

PUT, SNAPSHOT, PURGE, OTHER = "put", "snapshot", "purge", "other"
Row = tuple[str, int]
"""What a log entry says of the content: ``put`` or ``purge`` of a generation, ``snapshot`` of a version, or other."""


class Actor(NamedTuple):
    """``at`` is its next step, ``seen`` how many log entries it has read, ``base`` what a collector looked at."""

    role: str
    at: str
    seen: int = 0
    base: int = 0
    generation: int = 0
    held: frozenset[int] = frozenset()


class World(NamedTuple):
    """The store and the actors. Versions are positions in the log, from 1."""

    log: tuple[Row, ...]
    objects: frozenset[int]
    actors: tuple[Actor, ...]
    crashes: int


class Bug(NamedTuple):
    """Rules that are left out, to see that the model needs them."""

    delete_first: bool = False
    trust_the_hit: bool = False
    same_key_again: bool = False
    blind_to_snapshots: bool = False
    blind_to_puts: bool = False


def purged(log: tuple[Row, ...]) -> int:
    """Return the highest generation given up, -1 for none."""
    return max((generation for op, generation in log if op == PURGE), default=-1)


def needed(log: tuple[Row, ...]) -> set[int]:
    """Return the generations that a head or a snapshot needs. Each put is of an item of its own but the first."""
    found = {generation for version, (op, generation) in enumerate(log, 1) if op == PUT and version > 1}
    if any(op == SNAPSHOT and target == 1 for op, target in log):
        found.add(log[0][1])
    return found


def steps(world: World, bug: Bug) -> Iterator[World]:
    """Yield what may come next."""
    for number, actor in enumerate(world.actors):
        if actor.at in ("done", "crashed"):
            continue
        if world.crashes:
            yield put(world, number, actor._replace(at="crashed"))._replace(crashes=world.crashes - 1)
        yield from MOVES[actor.role](world, number, actor, bug)


def put(world: World, number: int, actor: Actor) -> World:
    return world._replace(actors=(*world.actors[:number], actor, *world.actors[number + 1 :]))


def commit(world: World, number: int, actor: Actor, row: Row, then: str, lost: str) -> World:
    """Create the next log entry if it is absent: only who has read the whole log wins."""
    if len(world.log) > actor.seen:
        return put(world, number, actor._replace(at=lost, seen=len(world.log)))
    after = world._replace(log=(*world.log, row))
    return put(after, number, actor._replace(at=then, seen=len(after.log)))


def writer(world: World, number: int, actor: Actor, bug: Bug) -> Iterator[World]:
    known = world.log[: actor.seen]
    current = 0 if bug.same_key_again else purged(known) + 1
    match actor.at:
        case "look":
            yield put(world, number, actor._replace(at="head", seen=len(world.log)))
        case "head":
            # is it there already? then nothing is sent
            at = "commit" if current in world.objects else "send"
            yield put(world, number, actor._replace(at=at, generation=current))
        case "send":
            # any time passes between the question and the moment at which the object appears
            stored = world._replace(objects=world.objects | {actor.generation})
            yield put(stored, number, actor._replace(at="commit"))
        case "commit":
            if not bug.trust_the_hit and not bug.same_key_again and actor.generation <= purged(known):
                yield put(world, number, actor._replace(at="head"))
            elif bug.same_key_again and purged(known) >= 0 and actor.generation not in world.objects:
                yield put(world, number, actor._replace(at="send"))
            else:
                yield commit(world, number, actor, (PUT, actor.generation), "done", "commit")


def snapshotter(world: World, number: int, actor: Actor, bug: Bug) -> Iterator[World]:
    """Protects version 1, or puts its entry again (a restore, a copy); refused if it is given up."""
    if purged(world.log[: actor.seen]) >= 0:
        at = "commit" if len(world.log) > actor.seen else "done"
        yield put(world, number, actor._replace(at=at, seen=len(world.log)))
    else:
        row = (SNAPSHOT, 1) if actor.role == "snapshotter" else (PUT, 0)
        yield commit(world, number, actor, row, "done", "commit")


def collector(world: World, number: int, actor: Actor, bug: Bug) -> Iterator[World]:
    known = world.log[: actor.base]
    match actor.at:
        case "look":
            newest = len(world.log)
            yield put(world, number, actor._replace(at="list", seen=newest, base=newest))
        case "list":
            # what the objects are is judged by the version that was looked at; the listing is later
            kept, gone = needed(known), purged(known)
            dead = frozenset(one for one in world.objects if one <= gone)
            candidates = frozenset(one for one in world.objects if one == gone + 1 and one not in kept)
            if candidates and bug.delete_first:
                yield put(world, number, actor._replace(at="delete", held=dead | candidates))
            elif candidates:
                yield put(world, number, actor._replace(at="purge", held=dead, generation=min(candidates)))
            else:
                yield put(world, number, actor._replace(at="delete", held=dead))
        case "purge":
            since = world.log[actor.base : actor.seen]
            if not bug.blind_to_snapshots and any(op == SNAPSHOT and target < actor.base for op, target in since):
                yield put(world, number, actor._replace(at="look"))
            elif not bug.blind_to_puts and (PUT, actor.generation) in since:
                yield put(world, number, actor._replace(at="delete"))
            elif purged(since) >= actor.generation:
                yield put(world, number, actor._replace(at="delete", held=actor.held | {actor.generation}))
            else:
                won = commit(world, number, actor, (PURGE, actor.generation), "delete", "purge")
                if len(won.log) > len(world.log):
                    won = put(won, number, won.actors[number]._replace(held=actor.held | {actor.generation}))
                yield won
        case "delete":
            if not actor.held:
                yield put(world, number, actor._replace(at="done"))
            for one in actor.held:
                left = world._replace(objects=world.objects - {one})
                yield put(left, number, actor._replace(held=actor.held - {one}))


def bystander(world: World, number: int, actor: Actor, bug: Bug) -> Iterator[World]:
    """Commits something else, so that others lose."""
    yield commit(world, number, actor, (OTHER, 0), "done", "commit")


MOVES = {
    "writer": writer,
    "snapshotter": snapshotter,
    "restorer": snapshotter,
    "collector": collector,
    "bystander": bystander,
}
STARTS = {"writer": "look", "collector": "look"}


def explore(*roles: str, crashes: int = 0, bug: Bug | None = None) -> tuple[int, list[str]]:
    """Visit every reachable state; return how many there are, and what is wrong with any of them."""
    log: tuple[Row, ...] = ((PUT, 0), (OTHER, 0))
    actors = tuple(Actor(role, STARTS.get(role, "commit"), seen=len(log)) for role in roles)
    start = World(log, frozenset({0}), actors, crashes)
    seen, border, wrong = {start}, [start], []
    while border:
        world = border.pop()
        kept, gone = needed(world.log), purged(world.log)
        if not kept <= world.objects:
            wrong.append(f"lost: {world}")
        if any(one <= gone for one in kept):
            wrong.append(f"needed and given up: {world}")
        if gone < 0 and 0 not in world.objects:
            wrong.append(f"history is gone without a word: {world}")
        after = list(steps(world, bug or Bug()))
        if not after and any(actor.at not in ("done", "crashed") for actor in world.actors):
            wrong.append(f"nobody can go on: {world}")
        if wrong:
            break
        for one in after:
            if one not in seen:
                seen.add(one)
                border.append(one)
    return len(seen), wrong


@pytest.mark.parametrize(
    ("roles", "crashes"),
    [
        (("writer", "collector", "collector"), 2),
        (("writer", "writer", "collector"), 1),
        (("writer", "writer", "collector", "collector"), 0),
        (("writer", "snapshotter", "collector", "collector"), 1),
        (("snapshotter", "restorer", "collector", "bystander"), 1),
        (("writer", "restorer", "collector", "collector"), 0),
    ],
)
def test_no_interleaving_loses_what_is_needed(roles: tuple[str, ...], crashes: int) -> None:
    count, wrong = explore(*roles, crashes=crashes)
    assert not wrong, wrong[0]
    assert 100 < count < 1_000_000


@pytest.mark.parametrize(
    ("roles", "bug", "found"),
    [
        (("writer", "collector"), Bug(delete_first=True), "history is gone"),
        (("writer", "collector"), Bug(trust_the_hit=True), "needed and given up"),
        (("writer", "collector"), Bug(same_key_again=True), "needed and given up"),
        (("snapshotter", "collector"), Bug(blind_to_snapshots=True), "needed and given up"),
        (("writer", "collector"), Bug(blind_to_puts=True), "needed and given up"),
    ],
)
def test_the_model_finds_what_each_rule_is_for(roles: tuple[str, ...], bug: Bug, found: str) -> None:
    _, wrong = explore(*roles, bug=bug)
    assert any(one.startswith(found) for one in wrong)
