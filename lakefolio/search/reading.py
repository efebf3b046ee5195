"""Searching a lake at a version: the index that a handle keeps, in memory or in the lake.

An entry never changes, so neither does its document. The index of another version is made of one at hand: only what
changed is read. A large lake may have an index of its own (``stored_part``): a handle then holds what changed since,
and reads of the index what a query needs. Without one the first search of a handle reads all documents.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from lakefolio import items
from lakefolio.errors import IntegrityError, InvalidInputError, LakefolioError, NotFoundError, nearest
from lakefolio.format.names import parse_ref
from lakefolio.process.fork import ForkLock
from lakefolio.runs.starting import types_of
from lakefolio.runs.validation import RUN_TYPES, STATUSES
from lakefolio.search.answer import answer, similar
from lakefolio.search.documents import documents_since, heads, item_documents, run_documents
from lakefolio.search.index import Index
from lakefolio.search.meaning import Encoder, StaticEncoder, encoder_of_settings
from lakefolio.search.parse import Bag, Node, parse, terms
from lakefolio.search.result import SearchResult
from lakefolio.search.stored_part import is_of_index
from lakefolio.search.upkeep import stored_index, warn_of_none
from lakefolio.search.words import tokens
from lakefolio.terminal import shown_value

if TYPE_CHECKING:
    from lakefolio.model.entries import Entry
    from lakefolio.session.session import Session

__all__ = ["search_of", "similar_of"]

_KEPT: Final = 3
_SENTENCE: Final = 3
"""From so many plain words on a query is a question, of which the meaning counts too."""


def search_of(
    session: Session,
    query: str,
    *,
    folio: str | None = None,
    kind: str | None = None,
    limit: int = 20,
    meaning: bool | None = None,
) -> SearchResult:
    """Return the items and runs that match a query, at the version of a session that is fixed to one.

    Raises:
        InvalidInputError: kind ``bad-search``, ``unknown-field``, ``bad-option``, ``unknown-kind``,
            ``unknown-status``, ``bad-encoder``.
        NotFoundError: kind ``folio-not-found``.
    """
    _check_limit(limit)
    if meaning is not None and not isinstance(meaning, bool):
        raise InvalidInputError(f"meaning is {shown_value(meaning)}, expected True or False", kind="bad-option")
    node = parse(query)

    def asked(indexes: _Indexes) -> tuple[Index, SearchResult]:
        index = indexes.at(session, whole=bool(meaning) and node is not None and _is_own(encoder_of_settings()))
        only, purged = _searched(session, index, node, folio, kind)
        # the vectors of documents are not in the lake: who asks for the meaning waits until they are made
        sentence = isinstance(node, Bag) and len(node.nodes) >= _SENTENCE and index.stored is None
        encoder = encoder_of_settings() if (sentence if meaning is None else meaning and node is not None) else None
        version = session.committed().version
        return index, answer(
            index, node, query, version=version, limit=limit, only=only, purged=purged, encoder=encoder
        )

    return _answered(session, asked)


def similar_of(
    session: Session, ref: str, *, folio: str | None = None, kind: str | None = None, limit: int = 10
) -> SearchResult:
    """Return the items and runs that mean most alike an item, at the version of a session that is fixed to one.

    Raises:
        InvalidInputError: kind ``bad-option``, ``unknown-kind``, ``bad-encoder``, ``not-searched``, or a bad reference.
        NotFoundError: There is no such item or folio.
    """
    _check_limit(limit)
    named = parse_ref(ref)
    entry = session.entry(named.folio or "", named.item, named.at)
    encoder = encoder_of_settings()

    def asked(indexes: _Indexes) -> tuple[Index, SearchResult]:
        index = indexes.at(session, whole=_is_own(encoder))
        return index, _similar(session, index, entry, encoder, folio, kind, limit)

    return _answered(session, asked)


def _answered(session: Session, asked: Callable[[_Indexes], tuple[Index, SearchResult]]) -> SearchResult:
    """Return what is asked of an index: if that of the lake can't be read, now or later, it is asked of another."""
    indexes = session.opened.part(_Indexes, _Indexes)
    try:
        index, found = asked(indexes)
    except (IntegrityError, NotFoundError) as exc:
        if not is_of_index(exc) or not indexes.give_up():
            raise
        return _answered(session, asked)

    def instead(exc: LakefolioError) -> SearchResult:
        if not is_of_index(exc):
            raise exc
        indexes.give_up()
        return _answered(session, asked)

    return found if index.stored is None else found.or_else(instead)


def _is_own(encoder: Encoder) -> bool:
    """Say whether an encoder is the user's own, which needs the texts of all documents."""
    return not isinstance(encoder, StaticEncoder)


def _similar(
    session: Session, index: Index, entry: Entry, encoder: Encoder, folio: str | None, kind: str | None, limit: int
) -> SearchResult:
    only, purged = _searched(session, index, None, folio, kind)
    place = index.place_of(entry.ref, f"{entry.folio}:{entry.item}")
    if place is None:
        raise InvalidInputError(
            f"item {entry.ref} is not searched: it is archived, or not the one of this version",
            kind="not-searched",
            hint="search at its version: similar(…, at=…)",
            folio=entry.folio,
            item=entry.item,
        )
    version = session.committed().version
    return similar(index, place, version=version, limit=limit, only=only, purged=purged, encoder=encoder)


def _check_limit(limit: object) -> None:
    """Refuse a limit that is no number from 0."""
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise InvalidInputError(f"limit is {shown_value(limit)}, expected a number from 0", kind="bad-option")


def _searched(
    session: Session, index: Index, node: Node | None, folio: str | None, kind: str | None
) -> tuple[dict[str, str], dict[str, int]]:
    """Return the facets that hits must have, and what was purged; refuse what nothing can have."""
    if folio is not None and folio not in (known := session.committed().folios()):
        raise NotFoundError(
            f"folio {folio!r} has no items", kind="folio-not-found", hint=nearest(folio, known), folio=folio
        )
    only = {name: value for name, value in (("folio", folio), ("kind", kind)) if value is not None}
    if folio is not None:
        only["type"] = "item"
    _check_closed(session, index, node, kind)
    purged = dict(zip(*(one.to_pylist() for one in session.journal.state.purges().columns), strict=True))
    return only, purged


def _check_closed(session: Session, index: Index, node: Node | None, kind: str | None) -> None:
    """Refuse a kind and a status that nothing can have: they are few, and one that is misspelt would find nothing."""
    fields = [one for one in terms(node) if one.field in ("kind", "status") and not one.prefix]
    if kind is None and not fields:
        return
    items_and_runs = {*items.kinds(), "run"}.union(*(part.kinds for part, _ in index.parts))
    known = {"kind": items_and_runs | {*RUN_TYPES, *types_of(session)}, "status": set(STATUSES)}
    asked = [("kind", kind, items_and_runs)] if kind is not None else []
    asked += [(one.field, one.text, known[one.field]) for one in fields if one.field]
    for field, text, among in asked:
        words = {token for one in among for token in tokens(one)}
        if text not in among if text is kind else not words.issuperset(tokens(text)):
            raise InvalidInputError(
                f"no {field} is called {text!r}", kind=f"unknown-{field}", hint=nearest(text, among), field=field
            )


class _Indexes:
    """The indexes that a handle made last, by version. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = ForkLock()  # guards changes; who finds its version there does not wait
        self._known: dict[tuple[int, bool], Index] = {}
        self._stored = True

    def give_up(self) -> bool:
        """Do without the index in the lake from now on; False if that was so before."""
        with self._lock:
            before, self._stored = self._stored, False
            self._known = {key: index for key, index in self._known.items() if index.stored is None}
        return before

    def at(self, session: Session, *, whole: bool) -> Index:
        """Return the index of a session's version; threads that need a new one wait for the first to make it.

        Args:
            session: The session.
            whole: Whether all documents must lie in memory.
        """
        version = session.committed().version
        for key in ((version, True), (version, False)):
            if (found := self._known.get(key)) is not None and (key[1] or not whole):
                return found
        with self._lock:
            if (version, whole) not in self._known:
                made = self._made(session, version, whole=whole)
                whole = made.stored is None
                newest = sorted(one for one in {*self._known, (version, whole)} if one[1] == whole)[-_KEPT:]
                kept = {one: index for one, index in self._known.items() if one in newest or one[1] != whole}
                self._known = kept | {(version, whole): made}
            return self._known[version, whole]

    def _made(self, session: Session, version: int, *, whole: bool) -> Index:
        known = [one for one in self._known if one[1]]
        if not known and not whole and version == session.journal.state.version:
            before = [one for one, of_all in self._known if not of_all and one <= version]
            base = self._known[max(before), False] if before else stored_index(session) if self._stored else None
            if base is not None:
                keys, documents = documents_since(session, max(before, default=base.stored or 0))
                return base.with_changes(keys, documents)
            warn_of_none(session)
        near = min(known, key=lambda one: abs(one[0] - version), default=None)
        return _changed(session, Index.of([]) if near is None else self._known[near])


def _changed(session: Session, base: Index) -> Index:
    """Return the index of a session's version, made of another."""
    runs = {one.id: one for one in run_documents(session)}
    ids = heads(session) | runs.keys()
    new = ids - base.keys.keys()
    added = [*item_documents(session, new - runs.keys()), *(one for id_, one in runs.items() if id_ in new)]
    return base.with_changes({key for id_, key in base.keys.items() if id_ not in ids}, added)
