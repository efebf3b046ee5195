"""A store whose every request waits to be allowed, and the actors that make them: real code, one request at a time.

Each actor is a thread that runs the library itself on an in-memory store of its own face. A request is a *point*: the
thread stops before it, and the test says which actor goes on, and how its request ends. Between two points only one
thread runs, so a run is a function of the choices made, and every interleaving of requests can be had by choosing.

What may become of a request, see :data:`ENDINGS`: it is answered; its process dies before it; it fails and nothing
happened; it took place and its answer is lost; it took place, its answer was lost, and the client asked again by
itself, so that a create says that the object exists.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from lakefolio.errors import AlreadyExistsError, NotFoundError, StorageError
from lakefolio.storage import ObjectInfo, Store

__all__ = ["FREE", "Choice", "Desk", "Face", "Leading", "ScheduledHost", "World"]

DEADLOCK_S = 30.0
ENDINGS = {
    "get": ("answered", "dies", "fails"),
    "head": ("answered", "dies", "fails"),
    "list": ("answered", "dies", "fails"),
    "create": ("answered", "dies", "fails", "lost", "again"),
    "put": ("answered", "dies", "fails", "lost"),
    "upload": ("answered", "dies", "fails", "lost"),
    "delete": ("answered", "dies", "fails", "lost"),
    "serve": ("answered", "dies"),
    "hear": ("answered", "gives up", "dies"),
}
"""Operation -> how it may end; what is not in FREE counts as a fault."""
FREE = ("answered", "gives up")
_DATA_FILE = re.compile(r"tables/\w+/\d{20}-[0-9a-f]{32}\.parquet")
_LOG_ENTRY = re.compile(r"tables/(\w+)/_delta_log/(\d{20})\.json")


class Died(BaseException):
    """Raised in a thread whose process the test lets die, at this request and at every later one."""


class Choice(NamedTuple):
    """Which actor goes on, and how the request ends before which it stands."""

    actor: int
    ending: str


class Signal:
    """Wakes the one thread that waits for it, or that will; cheaper than an event, and used up by being heard."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def give(self) -> None:
        self._lock.release()

    def wait(self, timeout_s: float = -1) -> bool:
        return self._lock.acquire(timeout=timeout_s)


@dataclass
class Actor:
    """One process.

    Attributes:
        at: The request before which it stands: operation and key; None once it has ended.
        heard: A digest of all answers it has had. What it does next depends on nothing else.
        outcome: ``ended``, ``died``, or the error that came out of it.
    """

    name: str
    act: Callable[[Face], None]
    at: tuple[str, str] | None = None
    heard: str = ""
    outcome: Any = None
    begun: bool = False
    dying: bool = False
    now_s: float = 0.0
    ending: str = ""
    may_go: Signal = field(default_factory=Signal)
    ready: Callable[[], bool] = lambda: True
    answerable: Callable[[], bool] = lambda: True

    @property
    def over(self) -> bool:
        return self.outcome is not None


class World:
    """Objects and actors; a run is a list of choices."""

    def __init__(
        self,
        objects: dict[str, bytes],
        actors: dict[str, Callable[[Face], None]],
        *,
        faults: int,
        desk: Desk | None = None,
    ) -> None:
        self.desk = desk or Desk()
        self.objects: dict[str, bytes] = {}
        self._telling: dict[str, str] = {}
        self.labels: dict[str, str] = {}
        for key, body in sorted(objects.items()):
            self.store(key, body)
        self.actors = [Actor(name, act) for name, act in actors.items()]
        self.faults = faults
        self.faulty = False
        self.notes: list[tuple[Any, ...]] = []
        self.story: list[str] = []
        self._parked = Signal()
        self._threads = [
            threading.Thread(target=self._live, args=(actor,), daemon=True, name=actor.name) for actor in self.actors
        ]
        for thread, actor in zip(self._threads, self.actors, strict=True):
            thread.start()
            self._wait(actor)

    # -- what may come next --------------------------------------------------------------------------------

    def choices(self) -> list[Choice]:
        """Return what may happen now.

        A request that no other actor can notice goes first, alone: a data file has a name that nobody else uses.
        """
        alive = [number for number, actor in enumerate(self.actors) if not actor.over and actor.ready()]
        private = [number for number in alive if self._is_private(self.actors[number].at)]
        found = []
        for number in private[:1] or alive:
            actor = self.actors[number]
            found += [
                Choice(number, ending)
                for ending in ENDINGS[actor.at[0]]
                if (self.faults or ending in FREE) and (ending != "answered" or actor.answerable())
            ]
        return found

    def step(self, choice: Choice) -> None:
        """Let an actor make its request, and run until it stands before the next one."""
        actor = self.actors[choice.actor]
        if actor.at is not None:
            self.story.append(f"{actor.name}: {self._place(*actor.at)} {choice.ending}")
        if choice.ending not in FREE:
            self.faults -= 1
            self.faulty = True
        self._release(actor, choice.ending)

    def end(self) -> None:
        """Let everybody die who is still there."""
        for actor in self.actors:
            if not actor.over:
                self._release(actor, "dies")
        for thread in self._threads:
            thread.join(DEADLOCK_S)

    @property
    def key(self) -> str:
        """Say which state this is: two of the same key have the same futures.

        Names that are drawn at random count by what they stand for; times do not count. So a note must say what is to
        be judged by, and nothing else: each different note makes for states of its own.
        """
        said: list[Any] = [
            sorted(self._telling.values()),
            self.faults,
            sorted(map(str, self.notes)),
            [*self.desk.asked],
        ]
        said += [(actor.at and self._place(*actor.at), actor.heard, str(actor.outcome)) for actor in self.actors]
        return hashlib.sha256(repr(said).encode()).hexdigest()

    def log(self) -> list[str]:
        """Return what the entries of the log say, in order."""
        return [self._telling[key] for key in sorted(self.objects) if _LOG_ENTRY.fullmatch(key)]

    # -- what was said, without what is random -------------------------------------------------------------

    def _is_private(self, at: tuple[str, str] | None) -> bool:
        return at is not None and at[0] == "create" and _DATA_FILE.fullmatch(at[1]) is not None

    def _place(self, operation: str, key: str) -> str:
        return f"{operation} {self._called(key)}"

    def _called(self, key: str) -> str:
        if _DATA_FILE.fullmatch(key):
            return key[:37]
        head, _, name = key.rpartition("/")
        return f"{head}/{self.labels.get(name, name)}"

    def _told(self, key: str) -> str:
        """Return what an object says."""
        return self._telling[key] if key in self._telling else f"no {self._called(key)}"

    def _telling_of(self, key: str, body: bytes) -> str:
        if _LOG_ENTRY.fullmatch(key):
            ours = json.loads(body.partition(b"\n")[0])["commitInfo"].get("lakefolio", {})
            rows = [
                [row.get(name) for name in ("op", "folio", "item", "blob_digest", "generation", "message", "snapshot")]
                for row in ours.get("rows", [])
            ]
            names = [[self.labels.get(one, "?") for one in ours.get(some, [])] for some in ("commits", "refused")]
            return f"{key} {rows} {names}"
        if key.startswith("pending/"):
            base = json.loads(body.partition(b"\n")[2])["base"]
            return f"{self._called(key)} {base}"
        return self._called(key)

    def store(self, key: str, body: bytes) -> None:
        """Put an object in its place."""
        self.objects[key] = body
        self._name(key, body)
        self._telling[key] = self._telling_of(key, body)

    def remove(self, key: str) -> None:
        """Take an object away, if it is there."""
        self.objects.pop(key, None)
        self._telling.pop(key, None)

    def _name(self, key: str, body: bytes) -> None:
        """Learn which commit an id stands for, that was drawn by the library."""
        if key.startswith("pending/"):
            for commit in json.loads(body.partition(b"\n")[2])["commits"]:
                self._label(commit["commit_id"], commit["message"])
        elif _LOG_ENTRY.fullmatch(key):
            ours = json.loads(body.partition(b"\n")[0])["commitInfo"].get("lakefolio", {})
            for row in ours.get("rows", []):
                self._label(row["commit_id"], row.get("message"))

    def _label(self, commit_id: str, message: str | None) -> None:
        if commit_id not in self.labels:
            before = sum(1 for label in self.labels.values() if label.rpartition("#")[0] == str(message))
            self.labels[commit_id] = f"{message}#{before}"

    # -- threads -------------------------------------------------------------------------------------------

    def _live(self, actor: Actor) -> None:
        try:
            actor.act(Face(self, actor))
            outcome: Any = "ended"
        except Died:
            outcome = "died"
        except BaseException as exc:
            outcome = exc
        actor.at, actor.outcome = None, outcome
        self._parked.give()

    def _release(self, actor: Actor, ending: str) -> None:
        actor.ending = ending
        actor.may_go.give()
        self._wait(actor)

    def _wait(self, actor: Actor) -> None:
        assert self._parked.wait(DEADLOCK_S), f"{actor.name} neither asks for anything nor ends"

    def stop_before(self, actor: Actor, operation: str, key: str) -> str:
        """Called in an actor's thread: wait to be let on, and return how the request is to end."""
        if not actor.begun:
            return "answered"
        if actor.dying:
            raise Died
        actor.at = operation, key
        self._parked.give()
        actor.may_go.wait()
        if actor.ending == "dies":
            actor.dying = True
            raise Died
        return actor.ending


class Face(Store):
    """The store as one actor sees it, and its clock, which goes on only while it sleeps: two seconds at least.

    So whoever waits for others takes them for dead after a single look, which is the worst that they can think.
    """

    scheme = "memory"
    uri = "memory://world"
    written_at = datetime.now(UTC) - timedelta(minutes=30)

    def __init__(self, world: World, actor: Actor) -> None:
        self.world = world
        self.actor = actor

    def identity(self) -> str:
        return "world"

    # the clock

    def monotonic(self) -> float:
        return self.actor.now_s

    def sleep(self, seconds: float) -> None:
        self.actor.now_s += max(seconds, 2.0)

    # the store

    def begin(self) -> None:
        """Say that the actor is ready: what it asked for until now nobody interrupts."""
        self.actor.begun = True

    def rest(self) -> None:
        """Say that the actor has done its part: what it asks for from now on nobody interrupts."""
        self.actor.begun = False

    def heard(self, what: str) -> None:
        """Take note of something that decides what the actor does next."""
        self.actor.heard = hashlib.sha256(f"{self.actor.heard} {what}".encode()).hexdigest()

    def note(self, *what: Any) -> None:
        """Say something to be judged at the end."""
        self.world.notes.append(what)

    def _asked(self, operation: str, key: str, act: Callable[[], Any], tell: Callable[[Any], str] = str) -> Any:
        """Make a request as the test wants it to end; the actor knows no more than the answer afterwards."""
        ending = self.world.stop_before(self.actor, operation, key)
        answer: Any = None
        failure: Exception | None = None
        if ending != "fails":
            try:
                answer = act()
            except (AlreadyExistsError, NotFoundError) as exc:
                failure = exc
        if ending in ("fails", "lost"):
            failure = StorageError(f"{operation} {key}: {ending}", kind="unreachable")
        elif ending == "again":
            failure = AlreadyExistsError(f"object {key!r} exists", kind="object-exists", key=key)
        told = type(failure).__name__ if failure is not None else tell(answer)
        self.heard(f"{self.world._place(operation, key)} {told}")
        if failure is not None:
            raise failure
        return answer

    def _found(self, key: str) -> bytes:
        if key not in self.world.objects:
            raise NotFoundError(f"no object {key!r}", kind="object-not-found", key=key)
        return self.world.objects[key]

    def _info(self, key: str) -> ObjectInfo:
        return ObjectInfo(key, len(self._found(key)), None, self.written_at)

    def get(self, key: str) -> memoryview:
        return memoryview(self._asked("get", key, lambda: self._found(key), lambda body: self.world._told(key)))

    def get_stream(self, key: str, chunk_bytes: int = 1 << 20) -> Iterator[memoryview]:
        yield self.get(key)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        return bytes(self.get(key)[start : start + length])

    def head(self, key: str) -> ObjectInfo:
        return self._asked("head", key, lambda: self._info(key), lambda info: self.world._told(key))

    def list(self, prefix: str, *, after: str | None = None) -> Iterator[ObjectInfo]:
        folder = prefix if not prefix or prefix.endswith("/") else prefix + "/"

        def listed() -> list[ObjectInfo]:
            keys = sorted(key for key in self.world.objects if key.startswith(folder) and (not after or key > after))
            return [self._info(key) for key in keys]

        def told(infos: list[ObjectInfo]) -> str:
            return " ".join(self.world._called(info.key) for info in infos)

        return iter(self._asked("list", prefix, listed, told))

    def create(self, key: str, data: Any) -> None:
        def act() -> None:
            if key in self.world.objects:
                raise AlreadyExistsError(f"object {key!r} exists", kind="object-exists", key=key)
            self.world.store(key, bytes(data))

        self._asked("create", key, act)

    def put(self, key: str, data: Any) -> None:
        self._asked("put", key, lambda: self.world.store(key, bytes(data)))

    def upload(self, key, parts, size_bytes, on_progress=None, *, replace=False) -> bool:
        """Ask whether the object is there, then send it: any time passes between the two."""
        if not replace and self._present(key, size_bytes):
            return False
        body = b"".join(bytes(part) for part in (parts() if callable(parts) else parts))
        self._asked("upload", key, lambda: self.world.store(key, body))
        return True

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._asked("delete", key, lambda key=key: self.world.remove(key))


class ScheduledHost:
    """Stands for ``HostPeers``: one actor leads its host, the others ask it, and may give up waiting at any time."""

    leading = False

    def __init__(self, face: Face, desk: Desk, identity: str, serve: Any, *, after: Any, waiting: Any) -> None:
        self.face = face
        self.desk = desk
        self.serve = serve

    questions = 0
    count = 1

    def nudge(self) -> bool:
        return False

    def ask_or_lead(self, message: bytes) -> bytes | None:
        actor, desk = self.face.actor, self.desk
        self.questions += 1  # each has a connection of its own once one was given up, so no answer is mistaken
        question = f"{actor.name}, {self.questions}"
        desk.asked[question] = message
        actor.answerable = lambda: question in desk.answers
        try:
            ending = self.face.world.stop_before(actor, "hear", "the leader")
        finally:
            actor.answerable = lambda: True
        answer = desk.answers.pop(question, None) if ending == "answered" else None
        self.face.heard("nothing" if answer is None else re.sub(rb"\[(\d+), \d+\]", rb"\1", answer).decode())
        return answer


class Leading(ScheduledHost):
    """The one who leads: it answers all who have asked, and ends when nobody is left to ask."""

    leading = True

    def run(self) -> None:
        actor, desk = self.face.actor, self.desk
        others = [one for one in self.face.world.actors if one is not actor]
        actor.ready = lambda: bool(desk.asked) or all(one.over for one in others)
        while True:
            self.face.world.stop_before(actor, "serve", "who asked")
            names, messages = list(desk.asked), list(desk.asked.values())
            if not names:
                return
            desk.asked.clear()
            self.face.heard(f"asked by {names}")
            actor.ready = lambda: True
            with contextlib.suppress(StorageError):  # who asked gets no answer then
                desk.answers |= dict(zip(names, self.serve(messages), strict=True))
            actor.ready = lambda: bool(desk.asked) or all(one.over for one in others)


@dataclass
class Desk:
    """What lies between those who ask and the one who answers."""

    asked: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, bytes] = field(default_factory=dict)
