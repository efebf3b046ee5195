"""Reading a lake at one version: its state, single items and their objects, metadata.

Objects come from verified bytes only; a version, a time or a snapshot's name gives a session that is fixed to the past.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakefolio import items
from lakefolio.errors import LakefolioError, NotFoundError
from lakefolio.format import json_decode
from lakefolio.format.names import check_folio, check_item
from lakefolio.format.table_formats import RECORDS
from lakefolio.model.entries import Entry, RunInputEdge, Stored
from lakefolio.model.item_versions import OWN_FACTS, find_version, names_one_version
from lakefolio.model.pending_state import Overlay
from lakefolio.model.resolve import At, item_not_found, resolve_at
from lakefolio.model.state import State
from lakefolio.process.keywords import check_keywords, keywords_of
from lakefolio.session.batches import pending_view
from lakefolio.session.read_trace import looked_at, read_entry, read_version
from lakefolio.session.record_tables import load_records

if TYPE_CHECKING:
    from lakefolio.journal.journal import Journal
    from lakefolio.session.session import Session

__all__ = [
    "about",
    "at",
    "beside",
    "calling_lost",
    "check_options",
    "committed",
    "content_purged",
    "entry",
    "entry_called",
    "facts_now",
    "fixed",
    "load",
    "local_path",
    "looked_up",
    "metadata",
    "metadata_known",
    "metadata_of",
    "metadata_texts",
    "pending_facts",
    "resolve",
    "run_inputs",
    "state",
    "steady",
    "stored",
    "unwatched_committed",
    "unwatched_state",
]


def state(session: Session, /) -> State | Overlay:
    """Return the state that reads see: the newest one (one request), the pinned one, or the open batch's view."""
    if session.moves:
        looked_at("the contents of a lake")
    return session.unwatched_state()


def unwatched_state(session: Session, /) -> State | Overlay:
    """Return :meth:`state` to look up single items, which read traces are told of one by one."""
    if session.pinned is not None:
        return session.unwatched_committed()
    newest = session.journal.refresh()
    pending = pending_view(session)
    return newest if pending is None else pending


def committed(session: Session, /) -> State:
    """Return the newest committed state, or the pinned one, without the changes of an open batch."""
    if session.moves:
        looked_at("the contents of a lake")
    return session.unwatched_committed()


def unwatched_committed(session: Session, /) -> State:
    """Return :meth:`committed` for the library's own use, which no read trace is told of."""
    if session.pinned is None:
        return session.journal.refresh()
    if session._then is None:
        session._then = session.journal.at(session.pinned)
    return session._then


def resolve(session: Session, /, at: At, folio: str | None = None, item: str | None = None) -> int:
    """Return the version that a number, a time or a snapshot's name means, of an item too; else NotFoundError."""
    newest = session.journal.refresh()
    version = resolve_at(newest, newest, at, folio, item=item, head=session.pinned)
    if isinstance(at, str):
        read_version(session.place, folio, at, version)
    if session.pinned is not None and version > session.pinned:
        raise NotFoundError(
            f"version {version} lies after version {session.pinned}, which this lake is opened at",
            kind="version-not-found",
            hint="open the lake without at",
            version=version,
        )
    return version


def at(session: Session, /, at: At, folio: str | None = None, item: str | None = None) -> Session:
    """Return a read-only session fixed to a version, a time or a snapshot (a folio's first), also of an item."""
    return session.fixed(session.resolve(at, folio, item))


def fixed(session: Session, /, version: int, *, newest: bool = False) -> Session:
    """Return a read-only session at a version that is known to exist, without asking the store.

    Args:
        version: The version.
        newest: Whether it is meant as the newest one: for read traces that is not the past.
    """
    return beside(session, pinned=version, moves=newest)


def steady(session: Session, /) -> Session:
    """Return a session whose state does not move during several reads: one look at the store in all."""
    if session.pinned is not None:
        return session
    state = session.unwatched_committed()
    return beside(session, pinned=state.version, state=state, lost=session.lost)


def beside(
    session: Session,
    *,
    pinned: int | None,
    moves: bool = True,
    state: State | None = None,
    lost: frozenset[str] = frozenset(),
) -> Session:
    """Return another session of the same handle."""
    found = type(session)(session.opened, pinned=pinned, moves=moves, state=state, lost=lost)
    found.blobs.on_download = session.blobs.on_download
    return found


def calling_lost(session: Session, /, run_ids: frozenset[str]) -> Session:
    """Return a session of the same state whose reads call some running runs lost."""
    return beside(session, pinned=session.pinned, moves=session.moves, state=session._then, lost=run_ids)


def entry(session: Session, /, folio: str, item: str, at: At | None = None) -> Entry:
    """Return the live entry of an item, now or as of ``at``.

    Raises:
        NotFoundError: If there is none; the hint names the nearest.
    """
    if at is not None:
        found = session.entry_called(folio, item, at)
        return session.at(at, folio, item).entry(folio, item) if found is None else found
    view = session.unwatched_state()
    entry = view.entry(check_folio(folio), check_item(item))
    session.looked_up(folio, item, entry)
    if entry is None:
        raise item_not_found(view, folio, item, session.journal.state)
    return entry


def entry_called(session: Session, /, folio: str, item: str, at: At) -> Entry | None:
    """Return the entry of the version of an item that ``at`` names by number, label, range or alias; None if none so.

    Raises:
        NotFoundError: kind ``version-not-found``: the item has no such version.
    """
    found = find_version(session.unwatched_state(), check_folio(folio), check_item(item), at)
    if found is not None and session.moves and not names_one_version(str(at)):
        looked_at(f"{folio}:{item}@{at}")
    return found


def looked_up(session: Session, /, folio: str, item: str, entry: Entry | None) -> None:
    """Tell read traces of an item that was looked up here; the past never changes."""
    if session.moves:
        read_entry(session.place, folio, item, entry)


def load(session: Session, /, entry: Entry, **options: object) -> Any:
    """Return the object of an entry, from verified bytes.

    Raises:
        IntegrityError: If the stored bytes are missing or damaged.
        UntrustedContentError: If it would run code that ``trusted=`` does not name.
    """
    if entry.kind == RECORDS and entry.storage != "reference":
        return load_records(session, entry, **options)
    session.check_options(entry, options)
    try:
        if entry.storage == "reference":
            return session.references.load(entry, **options)
        handler = items.handler_of(entry.kind)
        found = handler.decode(session.blobs.source(entry), entry.details, **options)
        if options.get("as_") == "lazy":
            from lakefolio.session.plan_inputs import note_scan

            note_scan(session, found, entry)
        return found
    except LakefolioError as exc:
        if "item" in exc.objects:
            raise
        found = about(exc, entry.folio, entry.item, f"item {entry.ref}", version=entry.version)
        if found.kind == "bad-content" and found.hint is None:
            found.hint = "its bytes are undamaged: item_path() gives the path of a file that holds them"
        raise found from exc


def check_options(session: Session, /, entry: Entry, options: Iterable[str], also: Iterable[str] = ("at",)) -> None:
    """Raise UnsupportedTypeError (kind ``unknown-keyword``) for options that the handler of an entry does not take.

    Args:
        entry: The entry.
        options: Their names.
        also: Further arguments of the caller, which an error about a misspelt one names.
    """
    if options and entry.storage != "reference" and entry.kind != RECORDS:
        known = keywords_of(items.handler_of(entry.kind).decode)
        if known is not None:
            check_keywords(f"getting {entry.ref}", options, (known - {"source", "details"}).union(also))


def local_path(session: Session, /, entry: Entry) -> Path:
    """Return a local, read-only, verified file with the content of an entry."""
    if entry.storage == "reference":
        return session.references.local_path(entry)
    return session.blobs.source(entry).path()


def stored(session: Session, /, entry: Entry) -> Stored:
    """Return the stored content of an entry, for another entry of the same content; inline content included."""
    kept = {name: getattr(entry, name) for name in Stored.__dataclass_fields__}
    if entry.storage == "inline":
        kept["content"] = session.journal.content_of(entry)
    return Stored(**kept)


def metadata(session: Session, /, kind: str, subject_id: str) -> dict[str, Any]:
    """Return the metadata of the lake (``"lake", ""``) or a folio; for those of an entry, see metadata_of.

    The facts that the library keeps there itself (policies, aliases) are left out.
    """
    facts = facts_now(session, kind, subject_id)
    return {key: json_decode.loads_fact(text) for key, text in facts.items() if not key.startswith(OWN_FACTS)}


def facts_now(session: Session, /, kind: str, subject_id: str) -> Mapping[str, str]:
    """Return the JSON texts of all of them, not to be changed; in a batch the same mapping until it changes them."""
    if session.moves and kind != "run":
        looked_at("metadata")
    pending = pending_view(session)
    if pending is not None and session.pinned is None:
        return pending.metadata(kind, subject_id) if kind == "run" else pending.facts(kind, subject_id)
    if session.pinned is None:
        session.journal.refresh()
    return session.journal.metadata(kind, subject_id, session.pinned)


def pending_facts(session: Session, /, folio: str) -> Mapping[str, str] | None:
    """Return the same of a folio in a batch, without noting that they were read; None outside of one."""
    pending = pending_view(session) if session.pinned is None else None
    return None if pending is None else pending.facts("folio", folio)


def metadata_known(session: Session, /, kind: str, subject_id: str) -> dict[str, Any]:
    """Return the metadata of a subject as of the state in memory, without a look at the store."""
    return {key: json_decode.loads_fact(text) for key, text in session.metadata_texts(kind, subject_id).items()}


def metadata_texts(session: Session, /, kind: str, subject_id: str) -> dict[str, str]:
    """Return the JSON texts of that."""
    pending = pending_view(session)
    if pending is not None and session.pinned is None:
        return pending.metadata(kind, subject_id)
    return session.journal.metadata(kind, subject_id, session.pinned)


def run_inputs(session: Session, /, run_id: str) -> list[RunInputEdge]:
    """Return the inputs of a run by this session's version (see View), those of an open batch included."""
    view = pending_view(session) or session.journal.state
    found = view.run_inputs(run_id)
    return found if session.pinned is None else [one for one in found if one["version"] <= session.pinned]


def metadata_of(session: Session, /, entry: Entry) -> dict[str, Any]:
    """Return the metadata of an entry."""
    return {key: json_decode.loads_fact(text) for key, text in entry.facts.items()}


def content_purged(journal: Journal, entry: Entry, missing: bool) -> None:
    """Raise NotFoundError (kind ``content-purged``) if gc purged the content; reads the log if ``missing``."""
    state = journal.refresh() if missing else journal.state
    if not state.is_purged(entry):
        return
    digest = entry.blob_digest or ""
    when = state.purge_of(digest, entry.generation or 0)
    raise NotFoundError(
        f"content of {entry.ref} was purged by gc"
        + ("" if when is None else f" at version {when[0]} (reason: {when[1]})"),
        kind="content-purged",
        hint="gc keeps the head, snapshots, and what keep_days and keep_last name; a copy of the lake may have it",
        folio=entry.folio,
        item=entry.item,
        version=entry.version,
        digest=digest,
        purged_at=None if when is None else when[0],
        reason=None if when is None else when[1],
    )


def about(exc: LakefolioError, folio: str, item: str, what: str, **objects: object) -> LakefolioError:
    """Say of which item it is that a handler, which knows no names, objects to something."""
    objects = {"folio": folio, "item": item, **objects, **exc.objects}
    return type(exc)(f"{what}: {exc.message}", kind=exc.kind, hint=exc.hint, **objects)
