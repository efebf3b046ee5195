"""A journal in memory for tests of the pure core: commits are planned and replayed, and nothing is stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from lakefolio.format.arrow_rows import rows_of
from lakefolio.format.names import new_id
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.model.changes import (
    Annotate,
    Change,
    Commit,
    Delete,
    DropSnapshot,
    Put,
    Restore,
    SetArchived,
    SetRun,
    TakeSnapshot,
    Update,
)
from lakefolio.model.entries import Entry, Stored
from lakefolio.model.pending_state import Overlay
from lakefolio.model.plan import Plan
from lakefolio.model.planner import plan_commit
from lakefolio.model.state import State

START = datetime(2024, 3, 1, 12, tzinfo=UTC)
"""When version 0 is committed, unless a log begins at another time; each further one comes an hour later."""


def inline(text: str = "1") -> Stored:
    """Return a small content; another text is another content."""
    return Stored(
        kind="json", storage="inline", digest=f"sha256:{text}", size_bytes=len(text), content=text.encode(), details={}
    )


def blob(text: str = "b", generation: int = 0) -> Stored:
    """Return a content that lies in an object of its own."""
    digest = f"sha256:{text}"
    return Stored(kind="artifact", storage="blob", digest=digest, blob_digest=digest, generation=generation)


def put(item: str, text: str = "1", *, folio: str = "f", **values: Any) -> Put:
    """Return the change that adds an item with an inline content, unless ``stored`` gives another."""
    return Put(**{"folio": folio, "item": item, "stored": inline(text), "entry_id": new_id(), **values})


class Log:
    """What a journal does with the rows of a commit, without a store: they make the next state."""

    def __init__(self, start: datetime = START) -> None:
        """Begin with an empty lake, whose version 0 is to be committed at ``start``."""
        self.state = State()
        self.start = start

    def content_of(self, entry: Entry) -> bytes:
        """Return the inline content of a committed entry."""
        raise AssertionError(f"content of {entry.ref} is at hand, and nothing has to be read")

    def plan(self, *changes: Change, base: Overlay | None = None, first: int = 0, **of_commit: Any) -> Plan:
        """Plan a commit on the newest state, or on one with others laid over it that have made ``first`` rows."""
        version = self.state.version + 1
        return plan_commit(
            Commit(commit_id=new_id(), changes=changes, **of_commit),
            self.state,
            Overlay(self.state, self.content_of, version) if base is None else base,
            first_ordinal=first,
            version=version,
            committed_at=self.start + timedelta(hours=version),
        )

    def commit(self, *changes: Change, **of_commit: Any) -> list[dict[str, Any]]:
        """Plan a commit, make it the newest version unless it changes nothing, and return its rows."""
        plan = self.plan(*changes, **of_commit)
        if plan.manifests:
            self.append(plan.manifests)
        return plan.manifests

    def append(self, rows: Sequence[dict[str, Any]]) -> None:
        """Make rows the newest version."""
        self.state = self.state.extended(rows_of(MANIFESTS_SCHEMA, rows), self.state.version + 1)

    def purge(self, stored: Stored) -> None:
        """Do as gc does: say that a blob was given up."""
        version = self.state.version + 1
        row = {"op": "purge", "reason": "gc", "blob_digest": stored.blob_digest, "generation": stored.generation or 0}
        common = {"version": version, "ordinal": 0, "commit_id": new_id()}
        self.append([{**common, "committed_at": self.start + timedelta(hours=version), **row}])

    def entry(self, item: str, folio: str = "f") -> Entry:
        """Return the live entry of an item."""
        entry = self.state.entry(folio, item)
        assert entry is not None
        return entry


NAMES = st.sampled_from(["a", "b", "c"])
FOLIOS = st.sampled_from(["f", "g"])
TEXTS = st.sampled_from(["1", "2"])
KEYS = st.dictionaries(st.sampled_from(["k", "l"]), st.sampled_from(["1", '"x"', None]), max_size=2)
CHANGES: st.SearchStrategy[Change] = st.one_of(
    st.builds(
        lambda folio, item, text, overwrite, keep, inputs: Put(
            folio=folio,
            item=item,
            stored=inline(text),
            entry_id=new_id(),
            tags=(text,),
            overwrite=overwrite,
            keep=keep,
            inputs=inputs,
        ),
        FOLIOS,
        NAMES,
        TEXTS,
        st.booleans(),
        st.sampled_from([(), ("tags", "metadata")]),
        st.sampled_from([(), ("f:a",), ("b",)]),
    ),
    st.builds(Delete, FOLIOS, NAMES),
    st.builds(SetArchived, FOLIOS, NAMES, st.booleans()),
    st.builds(Update, FOLIOS, NAMES, description=TEXTS, metadata=KEYS),
    st.builds(Annotate, st.just("folio"), FOLIOS, KEYS, st.booleans()),
    st.builds(Restore, st.just(0), st.sampled_from([None, "f"])),
    st.builds(DropSnapshot, st.just("s")),
    st.builds(lambda: TakeSnapshot(name="s")),
    st.builds(lambda value, new: SetRun(run_id="r", values={"status": value}, new=new), TEXTS, st.booleans()),
)
"""Changes of a few items, two folios, a snapshot and a run, many of which the planner refuses at a given moment."""
