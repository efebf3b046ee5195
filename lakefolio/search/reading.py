"""The documents of a lake at a version, and the index over them that a handle keeps.

Searched are names, folios, kinds, descriptions, tags, metadata, authors and column names of the live items that
are not archived; the text of JSON and of files that have some (see ``texts``); and of runs name, project, model,
type, status, description, tags, parameters and error. Purged items are left out, of past versions too.

Writers pay nothing for it: files in blobs are read, verified like all content, when a handle indexes them. Of those
it meets at once it reads the newest ``_BLOBS``.

An entry never changes, so neither does its document. The index of another version is made of one at hand: only entries
that it lacks are read. The first search of a handle reads all.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from lakefolio import items
from lakefolio.errors import IntegrityError, InvalidInputError, NotFoundError, nearest
from lakefolio.format.names import parse_ref
from lakefolio.model.entries import entry_from_row
from lakefolio.process.fork import at_forks
from lakefolio.runs.starting import types_of
from lakefolio.runs.validation import RUN_TYPES, STATUSES
from lakefolio.search.answer import answer, similar
from lakefolio.search.index import Document, Index
from lakefolio.search.meaning import encoder_of_settings
from lakefolio.search.parse import Bag, Node, parse, terms
from lakefolio.search.texts import is_text_like, text_of
from lakefolio.search.words import tokens
from lakefolio.terminal import shown_value

if TYPE_CHECKING:
    from lakefolio.search.result import SearchResult
    from lakefolio.session.session import Session

__all__ = ["search_of", "similar_of"]

_KEPT: Final = 3
_SENTENCE: Final = 3
"""From so many plain words on a query is a question, of which the meaning counts too."""

_FEW: Final = 2_000
_TEXT_LIMIT: Final = 4_000
_TEXT_KINDS: Final = ("json", "artifact")
_BLOB_BYTES: Final = 8 << 20
_BLOBS: Final = 5_000
_READ_AT_ONCE: Final = 16
_HEADS: Final = """
select entry_id from items where folio is not null and item is not null and not archived
"""
_ITEMS: Final = """
select
    folio, item, entry_id, version, kind, author, description, tags, blob_digest, coalesce(generation, 0) as generation,
    case when kind in ('table', 'records') then details end as details
from items where folio is not null and item is not null and not archived
"""
_FILES: Final = f"""
select entry_id, folio, item, coalesce(details ->> '$.filename', item) as name, media_type from items
where storage = 'blob' and kind in {_TEXT_KINDS} and stored_bytes <= {_BLOB_BYTES} and not archived
order by version desc
"""
_FACTS: Final = "select entry_id, key, value from item_metadata where value is not null"
_CONTENT: Final = f"""
select entry_id, content, coalesce(details ->> '$.filename', '') as name, media_type from items
where storage = 'inline' and kind in {_TEXT_KINDS}
"""
_RUNS: Final = """
select run_id, name, project, model, type, status, author, description, tags, error_type, error, params, version
from runs
"""


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
    index, only, purged = _searched(session, node, folio, kind)
    sentence = isinstance(node, Bag) and len(node.nodes) >= _SENTENCE
    encoder = encoder_of_settings() if (sentence if meaning is None else meaning and node is not None) else None
    version = session.committed().version
    return answer(index, node, query, version=version, limit=limit, only=only, purged=purged, encoder=encoder)


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
    index, only, purged = _searched(session, None, folio, kind)
    if entry.entry_id not in index.places:
        raise InvalidInputError(
            f"item {entry.ref} is not searched: it is archived, or not the one of this version",
            kind="not-searched",
            hint="search at its version: similar(…, at=…)",
            folio=entry.folio,
            item=entry.item,
        )
    version = session.committed().version
    encoder = encoder_of_settings()
    return similar(index, entry.entry_id, version=version, limit=limit, only=only, purged=purged, encoder=encoder)


def _check_limit(limit: object) -> None:
    """Refuse a limit that is no number from 0."""
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise InvalidInputError(f"limit is {shown_value(limit)}, expected a number from 0", kind="bad-option")


def _searched(
    session: Session, node: Node | None, folio: str | None, kind: str | None
) -> tuple[Index, dict[str, str], dict[str, int]]:
    """Return the index of a session's version, the facets that hits must have, and what was purged."""
    if folio is not None and folio not in (known := session.committed().folios()):
        raise NotFoundError(
            f"folio {folio!r} has no items", kind="folio-not-found", hint=nearest(folio, known), folio=folio
        )
    index = session.opened.part(_Indexes, _Indexes).at(session)
    only = {name: value for name, value in (("folio", folio), ("kind", kind)) if value is not None}
    if folio is not None:
        only["type"] = "item"
    _check_closed(session, index, node, kind)
    purged = dict(zip(*(one.to_pylist() for one in session.journal.state.purges().columns), strict=True))
    return index, only, purged


def _check_closed(session: Session, index: Index, node: Node | None, kind: str | None) -> None:
    """Refuse a kind and a status that nothing can have: they are few, and one that is misspelt would find nothing."""
    in_lake = {value for segment, _ in index.parts for value in segment.facets["kind"][0]}
    items_and_runs = in_lake | {*items.kinds(), "run"}
    known = {"kind": items_and_runs | {*RUN_TYPES, *types_of(session)}, "status": set(STATUSES)}
    asked = [("kind", kind, items_and_runs)] if kind is not None else []
    asked += [(one.field, one.text, known[one.field]) for one in terms(node) if one.field in known and not one.prefix]
    for field, text, among in asked:
        words = {token for one in among for token in tokens(one)}
        if text not in among if text is kind else not words.issuperset(tokens(text)):
            raise InvalidInputError(
                f"no {field} is called {text!r}", kind=f"unknown-{field}", hint=nearest(text, among), field=field
            )


class _Indexes:
    """The indexes that a handle made last, by version. Safe to share between threads."""

    def __init__(self) -> None:
        self._making = threading.Lock()  # guards changes of _known; who finds its version there does not wait
        self._known: dict[int, Index] = {}
        at_forks(self)

    def before_fork(self) -> None:
        """Nothing has to come to an end."""

    def after_fork(self, *, child: bool) -> None:
        """Let a child begin with a lock that nobody holds."""
        if child:
            self._making = threading.Lock()

    def at(self, session: Session) -> Index:
        """Return the index of a session's version; threads that need a new one wait for the first to make it."""
        version = session.committed().version
        if (found := self._known.get(version)) is not None:
            return found
        with self._making:
            if version not in self._known:
                near = min(self._known, key=lambda one: abs(one - version), default=None)
                made = _changed(session, Index.of([]) if near is None else self._known[near])
                newest = sorted({*self._known, version})[-_KEPT:]
                kept = {one: index for one, index in self._known.items() if one in newest}
                self._known = kept | {version: made}
            return self._known[version]


def _changed(session: Session, base: Index) -> Index:
    """Return the index of a session's version, made of another."""
    runs = {one.id: one for one in _runs(session)}
    ids = {row[0] for row in session.query(_HEADS).fetchall()} | runs.keys()
    new = ids - base.places.keys()
    added = [*_items(session, new - runs.keys()), *(one for id_, one in runs.items() if id_ in new)]
    return base.with_changes([one for one in base.places if one not in ids], added)


def _items(session: Session, ids: Collection[str]) -> Iterator[Document]:
    """Give the documents of some live entries."""
    if not ids:
        return
    few = len(ids) <= _FEW

    def rows(query: str) -> Iterable[tuple[Any, ...]]:
        if not few:
            return session.query(query).fetchall()
        wanted = " and " if " where " in query or "\nwhere" in query else " where "
        return session.query(f"{query}{wanted}entry_id in (select unnest($ids))", {"ids": sorted(ids)}).fetchall()

    facts: dict[str, list[tuple[str, str]]] = {}
    for entry_id, key, value in rows(_FACTS):
        facts.setdefault(entry_id, []).append((key, _plain(value)))
    contents = {entry_id: _inline(*row) for entry_id, *row in rows(_CONTENT)}
    contents |= _of_files(session, [row for row in session.query(_FILES).fetchall() if row[0] in ids])
    for folio, item, entry_id, version, kind, author, description, tags, digest, generation, details in rows(_ITEMS):
        if entry_id not in ids:
            continue
        texts = [("name", item), ("folio", folio), ("kind", kind or "")]
        tags = tuple(tag for tag in tags or () if tag)
        texts += [("tag", tag) for tag in tags]
        texts += [("description", description)] if description else []
        texts += [("author", author)] if author else []
        texts += [("metadata", f"{key} {value}") for key, value in facts.get(entry_id, ())]
        texts += [("column", column) for column in _columns(details)]
        if (text := contents.get(entry_id)) is not None:
            texts.append(("content", text))
        yield Document(
            entry_id,
            "item",
            f"{folio}:{item}@{version}",
            item,
            tuple(texts),
            folio,
            kind,
            author,
            tags,
            description,
            (digest, generation) if digest else None,
        )


def _runs(session: Session) -> Iterator[Document]:
    for row in session.query(_RUNS).fetchall():
        run_id, name, project, model, kind, status, author, description, tags, error_type, error, params, _ = row
        named = {"name": name or run_id, "project": project, "model": model, "kind": kind, "status": status}
        named |= {"author": author, "description": description}
        texts = [(field, str(value)) for field, value in named.items() if value]
        texts += [("kind", "run"), *([("name", run_id)] if name else [])]
        texts += [("error", f"{error_type or ''} {error or ''}".strip()[:_TEXT_LIMIT])] if error_type or error else []
        tags = tuple(tag for tag in tags or () if tag)
        texts += [("tag", tag) for tag in tags]
        texts += [("param", f"{key} {_plain(json.dumps(value))}") for key, value in _mapping(params).items()]
        known = hashlib.sha256(repr(row).encode()).hexdigest()[:16]
        yield Document(
            f"{run_id} {known}",
            "run",
            run_id,
            name or run_id,
            tuple(texts),
            project,
            "run",
            author,
            tags,
            description,
            status=status,
        )


def _plain(value: str) -> str:
    """Return JSON as a text of its words."""
    return value.strip('"')[:_TEXT_LIMIT]


def _mapping(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _columns(details: str | None) -> list[str]:
    found = _mapping(details).get("columns")
    if not isinstance(found, list):
        return []
    return [str(one["name"]) for one in found if isinstance(one, dict) and "name" in one]


def _inline(content: bytes | None, name: str, media_type: str | None) -> str | None:
    """Return the text of inline content; bytes without a name are text if they look so."""
    if not content:
        return None
    if is_text_like(name, media_type):
        return text_of(content, name, media_type)
    try:
        return None if b"\0" in content else bytes(content).decode()
    except UnicodeDecodeError:
        return None


def _of_files(session: Session, found: Sequence[tuple[str, str, str, str, str | None]]) -> dict[str, str | None]:
    """Return the texts of files in blobs, by entry; those that are missing or damaged have none."""
    named = {(folio, item): (name, media_type) for _, folio, item, name, media_type in found}
    wanted = [one for one, file in named.items() if is_text_like(*file)][:_BLOBS]
    texts: dict[str, str | None] = {}

    def read(row: Mapping[str, Any]) -> tuple[str, str | None]:
        try:
            entry = entry_from_row(row)
            return entry.entry_id, text_of(session.blobs.source(entry).read(), *named[entry.folio, entry.item])
        except (IntegrityError, NotFoundError):  # `check` tells of damage
            return str(row["entry_id"]), None

    for start in range(0, len(wanted), _READ_AT_ONCE):
        rows = session.committed().heads_of(wanted[start : start + _READ_AT_ONCE]).to_pylist()
        texts |= dict(session.store.parallel([partial(read, row) for row in rows]))
    return texts
