"""Whatever is added, given up, restored, compacted, vacuumed and killed: after every step the head, each snapshot and
every past version keep their answer, in open handles and in one that is opened then, and check finds nothing wrong."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from inside import session_of

import lakefolio as lf
from lakefolio.format.layout import blob_key
from lakefolio.model.entries import Entry

FOLIOS = st.sampled_from(["a", "b"])
ITEMS = st.sampled_from(["x", "y"])
VALUES = st.integers(0, 5)
WHICH = st.integers(0, 1)
Model = dict[tuple[str, str], int]
Known = dict[tuple[int, str], int | None]


class Killed(BaseException):
    """Stands for the end of a process: nothing of it runs any more, and its handle is never used again."""


def content(value: int) -> bytes:
    return bytes([value]) * 5000


class Collected(RuleBasedStateMachine):
    """Two handles on one lake, against a dict; content of every past version is either right or said to be given up."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.uri = str(Path(self.folder.name) / "lake")
        self.handles = [lf.open(self.uri, author="one"), lf.open(self.uri, author="two")]
        self.model: Model = {}
        self.past: dict[int, Model] = {0: {}}
        self.snapshots: dict[str, int] = {}
        self.given_up = False
        self.gone: dict[int, set[tuple[str, str]]] = {}

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            assert self.handles[0].check(read_data=True).ok
            self.folder.cleanup()

    def remember(self) -> None:
        version = self.handles[0].version
        for missing in range(max(self.past) + 1, version):
            self.past[missing] = self.past[missing - 1]
        self.past[version] = dict(self.model)

    @rule(which=WHICH, folio=FOLIOS, item=ITEMS, value=VALUES)
    def add(self, which: int, folio: str, item: str, value: int) -> None:
        self.handles[which].folio(folio).add_artifact(item, content(value), overwrite=True)
        self.model[folio, item] = value
        self.remember()

    @rule(which=WHICH, folio=FOLIOS, item=ITEMS)
    def delete(self, which: int, folio: str, item: str) -> None:
        try:
            self.handles[which].folio(folio).delete(item, warn_dependents=False)
        except lf.NotFoundError:
            assert (folio, item) not in self.model
        else:
            del self.model[folio, item]
        self.remember()

    @rule(which=WHICH, values=st.dictionaries(st.tuples(FOLIOS, ITEMS), VALUES, max_size=3), collect=st.booleans())
    def batch(self, which: int, values: Model, collect: bool) -> None:
        """A batch, and perhaps a gc of the other handle before its commit."""
        with self.handles[which].batch("several"):
            for (folio, item), value in values.items():
                self.handles[which].folio(folio).add_artifact(item, content(value), overwrite=True)
            if collect:
                self.handles[1 - which].gc(dry_run=False, grace=0)
        self.model |= values
        self.remember()

    @precondition(lambda self: len(self.past) > 1)
    @rule(which=WHICH, name=st.sampled_from(["one", "two"]), data=st.data())
    def snapshot(self, which: int, name: str, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted(self.past)))
        try:
            self.handles[which].snapshot(name, at=version)
        except lf.AlreadyExistsError:
            assert name in self.snapshots
        except lf.NotFoundError as exc:
            self.only_what_was_given_up(exc)
        else:
            self.snapshots[name] = version
        self.remember()

    @precondition(lambda self: self.snapshots)
    @rule(which=WHICH, data=st.data())
    def drop(self, which: int, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.snapshots)))
        self.handles[which].drop_snapshot(name)
        del self.snapshots[name]
        self.remember()

    @precondition(lambda self: len(self.past) > 1)
    @rule(which=WHICH, data=st.data())
    def restore(self, which: int, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted(self.past)))
        try:
            self.handles[which].restore(version)
        except lf.NotFoundError as exc:
            self.only_what_was_given_up(exc)
        else:
            self.model = dict(self.past[version])
        self.remember()

    def only_what_was_given_up(self, error: lf.NotFoundError) -> None:
        assert (error.kind, self.given_up) == ("content-purged", True)

    @rule(which=WHICH, keep_last=st.one_of(st.none(), st.integers(0, 2)))
    def gc(self, which: int, keep_last: int | None) -> None:
        self.handles[which].gc(dry_run=False, grace=0, keep_last=keep_last)
        self.given_up |= keep_last is not None
        self.remember()

    @rule(which=WHICH, when=st.sampled_from(["listed", "purging", "purged"]), keep_last=st.integers(0, 1))
    def gc_is_killed(self, which: int, when: str, keep_last: int) -> None:
        def progress(what: str, count: int) -> None:
            if what == when:
                raise Killed

        try:
            self.handles[which].gc(dry_run=False, grace=0, keep_last=keep_last, progress=progress)
        except Killed:
            self.handles[which] = lf.open(self.uri)
        self.given_up = True
        self.remember()

    @rule(value=VALUES)
    def writer_is_killed(self, value: int) -> None:
        """After its blob, before its commit."""
        import hashlib

        body = content(value)
        store, state = session_of(self.handles[0]).store, session_of(self.handles[0]).journal.state
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        store.create_if_absent(blob_key(digest, state.generation(digest)), body)

    @rule(when=st.integers(1, 12), values=st.dictionaries(st.tuples(FOLIOS, ITEMS), VALUES, min_size=1, max_size=2))
    def writer_is_killed_at_a_write(self, when: int, values: Model) -> None:
        """A batch that dies at its n-th write: all of it is there, or nothing."""
        lake = lf.open(self.uri)
        store = session_of(lake).store
        count = 0

        def dying(original: Any) -> Any:
            def method(*args: Any, **options: Any) -> Any:
                nonlocal count
                count += 1
                if count == when:
                    raise Killed
                return original(*args, **options)

            return method

        for name in ("create", "put", "upload"):
            setattr(store, name, dying(getattr(store, name)))
        try:
            with lake.batch("dies"):
                for (folio, item), value in values.items():
                    lake.folio(folio).add_artifact(item, content(value), overwrite=True, metadata={"v": value})
        except Killed:
            found, _ = contents(self.handles[0])
            if found != self.model:
                assert found == self.model | values
                self.model |= values
        else:
            self.model |= values
        self.remember()

    @rule(forced=st.booleans())
    def vacuum(self, forced: bool) -> None:
        """Deltalake's own, at any place: by the table's properties, or as somebody may force it."""
        from deltalake import DeltaTable

        options: dict[str, Any] = {"retention_hours": 0, "enforce_retention_duration": False} if forced else {}
        DeltaTable(f"{self.uri}/tables/manifests").vacuum(dry_run=False, full=forced, **options)
        if forced:  # what a handle has read, it need not read again; one that is opened now must find everything
            self.handles[1] = lf.open(self.uri, author="two")
        self.remember()  # it notes in the log that it was there: versions without rows

    @rule(which=WHICH)
    def compact(self, which: int) -> None:
        self.handles[which].compact()
        self.remember()

    @invariant()
    def nothing_is_wrong(self) -> None:
        if hasattr(self, "handles"):
            report = self.handles[1].check()
            assert report.ok, str(report)

    @invariant()
    def the_head_and_snapshots_are_right(self) -> None:
        if hasattr(self, "handles"):
            for lake in self.handles:
                assert contents(lake) == (self.model, set())
            for name, version in self.snapshots.items():
                assert contents(self.handles[0].at(name)) == (self.past[version], set())

    @invariant()
    def every_past_version_is_right_or_given_up(self) -> None:
        """As the store has it now, not as a handle remembers it. What was given up stays so, and nothing else is."""
        if hasattr(self, "handles"):
            lake = lf.open(self.uri)
            assert sorted(self.past) == list(range(lake.version + 1))
            known: Known = {}
            for version, wanted in self.past.items():
                found, gone = contents(lake.at(version), known)
                assert found.keys() | gone == wanted.keys()
                assert found.items() <= wanted.items()
                assert gone >= self.gone.get(version, set())
                assert self.given_up or not gone
                self.gone[version] = gone


def contents(lake: lf.Lake, known: Known | None = None) -> tuple[Model, set[tuple[str, str]]]:
    """Return what can be read, and the items whose content is said to be given up.

    Args:
        lake: A lake at a version.
        known: What was read of the same store at other versions since it changed last; an entry is read once.
    """
    known = {} if known is None else known
    answers = {}
    for entry in lake.items():
        if (entry.version, entry.entry_id) not in known:
            known[entry.version, entry.entry_id] = value_of(lake, entry)
        answers[entry.folio, entry.item] = known[entry.version, entry.entry_id]
    found = {name: value for name, value in answers.items() if value is not None}
    return found, answers.keys() - found.keys()


def value_of(lake: lf.Lake, entry: Entry) -> int | None:
    """Return what an item holds; None if reading it says, as it should, that gc gave it up."""
    try:
        body = lake.folio(entry.folio).get(entry.item)
    except lf.NotFoundError as exc:
        assert (exc.kind, exc.objects["reason"]) == ("content-purged", "history")
        assert (exc.objects["folio"], exc.objects["item"]) == (entry.folio, entry.item)
        assert exc.objects["version"] < exc.objects["purged_at"]
        return None
    assert body == content(body[0])
    return int(body[0])


TestCollected = Collected.TestCase
TestCollected.settings = settings(
    max_examples=8, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
