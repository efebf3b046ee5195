"""The real garbage collector under every interleaving of its requests with writers, snapshots, restores and deaths.

All actors are about one piece of content: an item had it as generation 0 and has been overwritten since, so that a
collector which keeps the newest entry only gives it up, while others add it again, or protect the version that has it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import cache, partial

import pytest
from exploring import explore, sample
from scheduled_world import Face, World

import lakefolio as lf
from lakefolio.content.external import References
from lakefolio.delta.table import lake_id_of
from lakefolio.errors import NotFoundError, StorageError
from lakefolio.format.layout import blob_key
from lakefolio.format.marker import read_marker
from lakefolio.journal.journal import Journal
from lakefolio.maintenance.gc import collect
from lakefolio.maintenance.purge import PurgedBlob, Purger
from lakefolio.model.changes import Change, Restore, TakeSnapshot
from lakefolio.model.pending_state import Overlay
from lakefolio.model.state import State
from lakefolio.session.annotations import Annotations
from lakefolio.session.create import find_marker
from lakefolio.session.open_lake import OpenLake
from lakefolio.session.session import Session
from lakefolio.storage import open_store

CONTENT = "content " * 1000
WITH_CONTENT = 1
"""The version at which an item has the content."""


@cache
def template() -> tuple[str, dict[str, bytes]]:
    """Return the id and the objects of a lake whose history alone has the content."""
    uri = "memory://schedules-of-gc"
    folio = lf.open(uri).folio("f")
    folio.add_json("x", CONTENT)
    folio.add_json("x", 1, overwrite=True)
    store = open_store(uri)
    return lake_id_of(store), {info.key: bytes(store.get(info.key)) for info in store.list("")}


@cache
def digest() -> str:
    (key,) = (key for key in template()[1] if key.startswith("blobs/"))
    return "sha256:" + key.rpartition("/")[2]


def opened(face: Face) -> Session:
    journal = Journal(face, template()[0], clock=face)
    journal.load()
    marker = read_marker(find_marker(face), face.uri, writing=True)
    references = References(face, marker.lake_id, ())
    return Session(
        OpenLake(face, journal, marker, author="a", read_only=False, deduplicate=True, references=references)
    )


def writer(face: Face, *, item: str) -> None:
    """Add the content again, as an item of its own."""
    session = opened(face)
    face.begin()
    with contextlib.suppress(StorageError):
        session.put("f", item, CONTENT, Annotations.of(), kind="json")
        face.note("added", item)


def committer(face: Face, *, change: Change, name: str) -> None:
    """Commit something; content that was given up can be neither protected nor restored."""
    session = opened(face)
    face.begin()
    try:
        session.apply(change)
        face.note("done", name)
    except NotFoundError as exc:
        face.note("refused", name, exc.kind)
    except StorageError:
        pass


def collector(face: Face) -> None:
    """Give up and delete what nothing needs; what other tests are about, tickets and tables, nobody interrupts."""
    face.begin()
    with contextlib.suppress(StorageError):
        collect(face, template()[0], dry_run=False, grace=0, keep_last=1, progress=partial(_told, face), clock=face)
        face.note("collected")


def _told(face: Face, what: str, count: int) -> None:
    if what == "deleted":
        face.rest()


ACTORS: dict[str, Callable[[Face], None]] = {
    "writer": partial(writer, item="y"),
    "writer too": partial(writer, item="z"),
    "snapshotter": partial(committer, name="snapshot", change=TakeSnapshot(name="s", target_version=WITH_CONTENT)),
    "restorer": partial(committer, name="restore", change=Restore(WITH_CONTENT)),
    "collector": collector,
    "collector too": collector,
}


def world(*names: str, faults: int = 0) -> World:
    return World(template()[1], {name: ACTORS[name] for name in names}, faults=faults)


def check(world: World) -> str:
    """Say what is wrong with the lake once everybody has ended or died."""
    errors = [actor.outcome for actor in world.actors if actor.outcome not in ("ended", "died")]
    if errors:
        return f"an error came out: {errors[0]!r}"

    def look(face: Face) -> None:
        face.note(opened(face).journal.known)

    ((state,),) = World(world.objects, {"last": look}, faults=0).notes
    protected = [state.at(one.target_version) for one in state.snapshots()]
    needed = [entry for one in (state, *protected) for entry in one.entries("f")]
    for entry in needed:
        if state.is_purged(entry):
            return f"needed and given up: {entry!r}"
        if entry.storage == "blob" and blob_key(entry.blob_digest, entry.generation or 0) not in world.objects:
            return f"lost: {entry!r}"
    if state.generation(digest()) == 0 and blob_key(digest(), 0) not in world.objects:
        return "history is gone without a word"
    names = {entry.item for entry in state.entries("f")}
    for kind, *said in world.notes:
        if kind == "added" and said[0] not in names:
            return f"{said[0]} was acknowledged and is not there"
        if kind == "refused" and said[1] != "content-purged":
            return f"{said[0]} was refused: {said[1]}"
    if not world.faulty and not any(note[0] == "collected" for note in world.notes):
        return "nothing was collected"
    return ""


PAIRS = [("writer", "collector"), ("snapshotter", "collector"), ("restorer", "collector")]
CROWDS = [
    ("writer", "writer too", "collector"),
    ("writer", "collector", "collector too"),
    ("snapshotter", "restorer", "collector"),
    ("writer", "snapshotter", "collector", "collector too"),
]


@pytest.mark.parametrize("names", PAIRS, ids=" and ".join)
def test_no_interleaving_loses_what_is_needed(names: tuple[str, ...]) -> None:
    found = explore(partial(world, *names), check, most=2_000)
    assert not found.wrong, found.wrong
    assert found.states > 30
    assert found.runs >= 3


@pytest.mark.parametrize("names", PAIRS, ids=" and ".join)
def test_nor_does_any_with_a_fault(names: tuple[str, ...]) -> None:
    """A death, a failure or a lost answer, at any request."""
    found = explore(partial(world, *names, faults=1), check, most=20_000)
    assert not found.wrong, found.wrong
    assert found.states > 300
    assert found.runs > 50


@pytest.mark.parametrize("names", CROWDS, ids=" and ".join)
def test_nor_do_runs_that_are_drawn_of_more_actors(names: tuple[str, ...]) -> None:
    found = sample(partial(world, *names, faults=2), check, runs=40, seed=1)
    assert not found.wrong, found.wrong
    assert found.runs == 40


def deletes_first(self: Purger, blobs: Sequence[PurgedBlob]) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
    """A collector that deletes without a row that says so."""
    return {blob.identity for blob in blobs}, set()


def trusts_its_look(self: Purger, some: Sequence[PurgedBlob]) -> list[PurgedBlob]:
    """A collector that does not look at what happened since it looked."""
    return list(some)


def believes_all(self: Overlay, stored: object) -> bool:
    """A planner for which no content was given up."""
    return False


def same_key(self: State, blob_digest: str) -> int:
    """A lake in which content that was given up is stored under its old key again."""
    return 0


@pytest.mark.parametrize(
    ("where", "name", "broken", "names", "wrong"),
    [
        (Purger, "purge", deletes_first, PAIRS[0], "lost"),
        (Purger, "_agreed", trusts_its_look, PAIRS[0], "needed and given up"),
        (Purger, "_agreed", trusts_its_look, PAIRS[1], "needed and given up"),
        (Overlay, "is_purged", believes_all, PAIRS[0], "needed and given up"),
        (Overlay, "is_purged", believes_all, PAIRS[2], "needed and given up"),
        (State, "generation", same_key, PAIRS[0], "lost"),
    ],
)
def test_what_each_rule_is_for_is_found(
    monkeypatch: pytest.MonkeyPatch, where: type, name: str, broken: object, names: tuple[str, ...], wrong: str
) -> None:
    """The same worlds, with a library that lacks one rule, show what the rule prevents."""
    template(), digest()
    monkeypatch.setattr(where, name, broken)
    found = explore(partial(world, *names), check, most=2_000)
    assert found.wrong.startswith(wrong), found.wrong
