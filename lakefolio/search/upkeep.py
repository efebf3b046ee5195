"""The index that lies in a lake: when it is made, which one counts, and which are needless (FORMAT.md, "Search index").

It is made by maintenance that is asked for (``lake.compact()``), never by writers, and nothing depends on it: whoever
deletes ``index/search/`` makes searches slower. Words of content that is purged leave the lake with the index: gc
deletes all there are, and a maker that finds purges above the version that it read gives its own up.
"""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow.compute as pc

from lakefolio.errors import IntegrityError, NotFoundError
from lakefolio.format.layout import JOURNAL, log_key
from lakefolio.process.notice import LakefolioWarning, notice
from lakefolio.process.scratch import named_if_full, scratch_folder
from lakefolio.readmodels.models import ENTRIES
from lakefolio.readmodels.view import Folded
from lakefolio.search.documents import all_documents
from lakefolio.search.index import Index
from lakefolio.search.index_files import COLUMNS, PREFIX, IndexName
from lakefolio.search.index_making import Files, files_of
from lakefolio.search.stored_part import StoredPart, opened
from lakefolio.storage import open_store

if TYPE_CHECKING:
    from lakefolio.session.session import Session
    from lakefolio.storage import ObjectInfo, Store

__all__ = ["INDEXED_FROM", "INDEXED_TO", "audit", "forget", "make_index", "needless", "stored_index", "warn_of_none"]

INDEXED_FROM: Final = 100_000
"""A lake of fewer entries needs no index: a handle makes one in memory in seconds."""

INDEXED_TO: Final = 5_000_000
"""Of a lake of more entries none is made: of a million it takes half a minute, and one of 2^23 is not read."""

WARNED_FROM: Final = 300_000
"""Whoever searches a lake of as many entries without an index is told: the process takes gigabytes."""

_FILES: Final = ("texts", "words")
_CHANGED: Final = 50
"""An index is made anew once the rows since are a 50th of its documents."""


def _entry_count(session: Session) -> int:
    """Return how many entries the read model holds; no request as a rule."""
    base = session.committed().base
    files = base.files(ENTRIES) if isinstance(base, Folded) else None
    return sum(file.row_count for file in files or ())


def _newest(store: Store) -> tuple[IndexName, ObjectInfo] | None:
    found = [(name, info) for info in store.list(f"{PREFIX}/") if (name := IndexName.parse(info.key)) is not None]
    return max(found, key=lambda one: one[0], default=None)


def _part(session: Session) -> StoredPart | None:
    """Return the newest index up to a session's version; None if there is none that can be read."""
    newest = _newest(session.store)
    if newest is None or newest[0].version > session.committed().version:
        return None
    try:
        part = opened(session.store, session.marker.lake_id, newest[0], newest[1].size_bytes)
    except (IntegrityError, NotFoundError):
        return None
    return part if _is_of_journal(session, part) else None


def _entry_digest(session: Session, version: int) -> str:
    """Return the digest of a log entry of the journal; empty if there is none."""
    body = session.store.find(log_key(JOURNAL, version))
    return "" if body is None else hashlib.sha256(body).hexdigest()


def _is_of_journal(session: Session, part: StoredPart) -> bool:
    """Say whether an index is of the version that the journal has, not of another one of that number. One request.

    One of another lies in a copy that was made while the lake was written to, and has gone on by itself since. One that
    does not say whose it is, as the library once made them, may be of either, and is made anew.
    """
    noted = part.directory.journal
    return bool(noted) and noted == _entry_digest(session, part.name.version)


def stored_index(session: Session) -> Index | None:
    """Return the index of the lake, as of the version that it was made at; None if there is none.

    Two requests, of which a small lake is spared.
    """
    if _entry_count(session) < INDEXED_FROM or (part := _part(session)) is None:
        return None
    return Index([(part, np.ones(part.count, np.bool_))], part.name.version)


def warn_of_none(session: Session) -> None:
    """Say of a large lake that a search of it reads all of it into memory, and what helps."""
    if (count := _entry_count(session)) < WARNED_FROM:
        return
    hint = "`lakefolio compact` makes one: a search then reads only what it needs"
    if count > INDEXED_TO:
        hint = f"none is made of more than {INDEXED_TO:,} entries; SQL finds items by name, tag and metadata without it"
    notice(
        LakefolioWarning(
            f"this search reads {count:,} entries into memory first: the lake has no search index that can be read",
            kind="no-search-index",
            hint=hint,
        )
    )


def make_index(session: Session, begin: Callable[[], None] = lambda: None) -> IndexName | None:
    """Make the index of a lake, unless it is small or the one there is does still. Safe beside any writer and gc.

    Of a lake of more than :data:`INDEXED_TO` entries none is made, which a LakefolioWarning says.

    Args:
        session: The lake, at its newest version.
        begin: Called before an index is made.

    Returns:
        The index that was made; None if none was.
    """
    count = _entry_count(session)
    if count < INDEXED_FROM:
        return None
    before, part = _newest(session.store), _part(session)
    if part is not None and _row_count(session, part.name.version) * _CHANGED <= part.count:
        return None
    if count > INDEXED_TO:
        notice(
            LakefolioWarning(
                f"no search index is made: the lake has {count:,} entries, more than {INDEXED_TO:,}",
                kind="no-search-index",
                hint="a search without one reads all documents into memory first",
            )
        )
        return None
    begin()
    fixed = session.steady()
    version = fixed.committed().version
    with _made(fixed) as files:
        name = IndexName.of(version, uuid.uuid4().hex, files.footer, session.marker.lake_id)
        for what in _FILES:  # the last one says that the index is complete
            session.store.upload(name.key(what), partial(files.pieces, what), files.size_bytes(what))
    session.journal.refresh()
    unread = before is not None and before[0].version == version  # it would still be taken for newer
    if before is not None and (unread or _is_beyond(session, before[0])):
        session.store.delete([before[0].key(what) for what in reversed(_FILES)])
    if any(pc.any(pc.equal(rows.column("op"), "purge")).as_py() for rows in session.committed().parts(["op"], version)):
        session.store.delete([name.key(what) for what in reversed(_FILES)])
        return None
    return name


@contextmanager
def _made(session: Session) -> Iterator[Files]:
    """Give the files of an index of a lake at a session's version, which are removed at the end of the block.

    Raises:
        StorageError: kind ``no-scratch`` or ``no-space``: there is no room for temporary files, some 300 bytes an entry
            and what DuckDB spills.
    """
    folder = scratch_folder("lakefolio-search-")
    try:
        with named_if_full(folder):
            journal = _entry_digest(session, session.committed().version)
            files = files_of(all_documents(session), folder, journal=journal)
        yield files
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_beyond(session: Session, name: IndexName) -> bool:
    """Say whether an index is of a version that the journal, read to its end, lacks, as may be in a copy of a lake."""
    return name.version > session.journal.known.version


def _row_count(session: Session, version: int) -> int:
    return sum(rows.num_rows for rows in session.committed().parts(["version"], version))


def needless(store: Store) -> Iterator[ObjectInfo]:
    """Yield the objects of all indexes but the newest, and those of makers that were killed."""
    infos = list(store.list(f"{PREFIX}/"))
    newest = max((name for info in infos if (name := IndexName.parse(info.key)) is not None), default=None)
    kept = f"{PREFIX}/{newest.version:020d}-{newest.id}." if newest is not None else None
    yield from (info for info in infos if kept is None or not info.key.startswith(kept))


def forget(store: Store) -> None:
    """Delete all indexes: they may have words of content that was purged."""
    keys = [info.key for info in store.list(f"{PREFIX}/")]
    store.delete(sorted(keys, key=lambda key: IndexName.parse(key) is None))


def audit(session: Session, *, read_data: bool) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the index of a lake, as key and message.

    Args:
        session: The lake.
        read_data: Also read all of it, and see that it is what is made of the journal: byte for byte, or if another
            version of the library compressed it otherwise every document and every word.
    """
    newest = _newest(session.store)
    if newest is None:
        return
    name, info = newest
    if name.version > session.committed().version:
        session.journal.refresh()
        if _is_beyond(session, name):
            yield info.key, f"the search index is of version {name.version}, beyond the journal: compact replaces it"
        return
    try:
        part = opened(session.store, session.marker.lake_id, name, info.size_bytes, cache_bytes=0)
        if not _is_of_journal(session, part):
            yield info.key, f"the search index is of another journal up to version {name.version}: compact replaces it"
        elif read_data:
            part.verify()
            with _made(session.at(name.version)) as files:
                if files.footer != part.footer:  # it has the digests of all parts
                    yield from _differences(part, _as_part(files, session.marker.lake_id, name))
    except (IntegrityError, NotFoundError) as exc:
        if exc.kind != "index-layout":  # compaction replaces it
            yield str(exc.objects.get("key", info.key)), exc.message


def _said(part: StoredPart) -> tuple[object, ...]:
    """Return what the directory of an index says, without how many bytes its parts take."""
    said = part.directory
    firsts = said.words.firsts, said.texts.firsts
    return said.count, said.total_length, said.kinds, said.aside, *firsts, said.ends.tolist()


def _as_part(files: Files, lake_id: str, name: IndexName) -> StoredPart:
    """Return an index that was just made as one that is read, called like another."""
    own = IndexName.of(name.version, name.id, files.footer, lake_id)
    for what in _FILES:
        place = files.folder / own.key(what)
        place.parent.mkdir(parents=True, exist_ok=True)
        files.path(what).rename(place)
    return opened(open_store(files.folder), lake_id, own, place.stat().st_size, cache_bytes=0)


def _differences(part: StoredPart, made: StoredPart) -> Iterator[tuple[str, str]]:
    """Tell the first thing that an index has otherwise than one that was made of the journal.

    Documents, words, facets, vocabulary and counts are compared; not how well each part of it was compressed.
    """
    for one, other in zip_longest(made.documents(), part.documents()):
        if one != other:
            ref = one.ref if one is not None else other.ref if other is not None else ""
            yield part.name.key("texts"), f"the search index says something else of {ref} than the journal"
            return
    for mine, its in zip_longest(made.words(), part.words()):
        if mine is None or its is None or mine[0] != its[0] or not all(map(np.array_equal, mine[1], its[1])):
            word = min(one[0] for one in (mine, its) if one is not None)
            yield part.name.key("words"), f"the search index has other documents for {word!r} than the journal"
            return
    for what, mine in made.columns(COLUMNS).items():
        its = part.columns([what])[what]
        if not mine.texts.equals(its.texts) or not all(map(np.array_equal, mine[1:], its[1:])):
            yield part.name.key("words"), f"the search index has another column {what!r} than the journal"
            return
    if _said(part) != _said(made):
        yield part.name.key("words"), "the directory of the search index says something else than the journal"
