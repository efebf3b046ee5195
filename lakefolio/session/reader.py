"""One lake at one version: everything there is to read of it. A session adds what changes it.

Objects come from verified bytes only; a version, a time or a snapshot's name gives a reader that is fixed to the past.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

from lakefolio import items
from lakefolio.config.settings import setting
from lakefolio.content.blobs import Blobs
from lakefolio.content.external import References
from lakefolio.content.file_cache import file_cache
from lakefolio.errors import InvalidInputError, LakefolioError, NotFoundError
from lakefolio.format import json_decode
from lakefolio.format.arrow_rows import rows_of
from lakefolio.format.layout import JOURNAL, LOG_TABLES, TABLES
from lakefolio.format.marker import Marker
from lakefolio.format.names import check_folio, check_item
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.journal.journal import Journal
from lakefolio.model.changes import Stored
from lakefolio.model.derived import DERIVED, derive
from lakefolio.model.entries import Entry
from lakefolio.model.pending_state import Overlay
from lakefolio.model.resolve import At, item_not_found, resolve_at
from lakefolio.model.state import State
from lakefolio.process.keywords import check_keywords, keywords_of
from lakefolio.session.read_trace import looked_at, read_entry, read_version
from lakefolio.storage import Store

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from lakefolio.views.engine import Views
    from lakefolio.views.user_views import OwnViews

__all__ = ["Reader", "about"]


_KEPT_TABLES = 4


class Reader:
    """See the module. Safe to share between threads.

    Attributes:
        uri: The address of the lake, without secrets.
        marker: What its format marker says.
        author: Who is noted as the author of commits.
        pinned: The past version this reader is fixed to, or None.
        read_only: Whether writes are refused.
        deduplicate: Whether content that the lake holds is referred to rather than sent again.
        opened_read_only: Whether the user asked for that; otherwise the past is what can't be changed.
        references: Its references, as far as the reader follows them.
        lost: Runs that are recorded as running though their process died: what is read says so.
    """

    def __init__(
        self,
        store: Store,
        journal: Journal,
        marker: Marker,
        *,
        author: str | None,
        read_only: bool,
        pinned: int | None,
        deduplicate: bool = True,
        trust_references: tuple[str, ...] = (),
    ) -> None:
        self.store = store
        self.journal = journal
        self.marker = marker
        self.author = author
        self.opened_read_only = read_only
        self.read_only = read_only or pinned is not None
        self.pinned = pinned
        self.deduplicate = deduplicate
        self.blobs = Blobs(store, file_cache(), self._given_up, journal.content_of, deduplicate=deduplicate)
        self.references = References(store, marker.lake_id, trust_references)
        self.lost: frozenset[str] = frozenset()
        self._moves = pinned is None
        self._then: State | None = None  # the state at the pinned version, once it was asked for
        self._tables: dict[tuple[int, bool], Tables] = {}

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled, for whatever handle holds this: it has connections, threads and credentials."""
        raise TypeError(
            f"a handle of the lake {self.uri} can't be pickled: pass its address and names, "
            f"and open it in the worker: lakefolio.open({self.uri!r})"
        )

    @property
    def uri(self) -> str:
        """The address of the lake."""
        return self.store.uri

    @property
    def place(self) -> tuple[str, str]:
        """Which lake it is, through whichever handle."""
        return self.marker.lake_id, self.store.uri

    def was_read(self, *entries: Entry) -> None:
        """Take note that a user was given the content of entries; a session does, where it is in a run."""

    def _pending(self) -> Overlay | None:
        """Return what an open batch has changed already, which its own reader sees."""
        return None

    def state(self) -> State | Overlay:
        """Return what is there: the newest state (one request), the pinned one, or the open batch's view."""
        if self._moves:
            looked_at("what a lake holds")
        return self.unwatched_state()

    def unwatched_state(self) -> State | Overlay:
        """Return :meth:`state` to look up single items, which read traces are told of one by one."""
        if self.pinned is not None:
            return self.unwatched_committed()
        newest = self.journal.refresh()
        pending = self._pending()
        return newest if pending is None else pending

    def committed(self) -> State:
        """Return the newest committed state, or the pinned one, whatever batch is open."""
        if self._moves:
            looked_at("what a lake holds")
        return self.unwatched_committed()

    def unwatched_committed(self) -> State:
        """Return :meth:`committed` for the library's own use, which no read trace is told of."""
        if self.pinned is None:
            return self.journal.refresh()
        if self._then is None:
            self._then = self.journal.at(self.pinned)
        return self._then

    def resolve(self, at: At, folio: str | None = None) -> int:
        """Return the version that a number, a time or a snapshot's name means (NotFoundError otherwise)."""
        newest = self.journal.refresh()
        version = resolve_at(newest, newest, at, folio, head=self.pinned)
        if isinstance(at, str):
            read_version(self.place, folio, at, version)
        if self.pinned is not None and version > self.pinned:
            raise NotFoundError(
                f"version {version} lies after version {self.pinned}, which this lake is opened at",
                kind="version-not-found",
                hint="open the lake without at",
                version=version,
            )
        return version

    def at(self, at: At, folio: str | None = None) -> Self:
        """Return a read-only session fixed to a version, a time or a snapshot (a folio's first)."""
        return self.fixed(self.resolve(at, folio))

    def fixed(self, version: int, *, newest: bool = False) -> Self:
        """Return a read-only session at a version that is known to exist, without asking the store.

        Args:
            version: The version.
            newest: Whether it is meant as the newest one: for read traces that is not the past.
        """
        read_only = self.opened_read_only
        found = type(self)(
            self.store,
            self.journal,
            self.marker,
            author=self.author,
            read_only=read_only,
            pinned=version,
            deduplicate=self.deduplicate,
            trust_references=self.references.prefixes,
        )
        found.blobs.on_download = self.blobs.on_download
        found._moves = newest
        found._tables = self._tables  # and with them the views that are bound to them
        return found

    def still(self) -> Self:
        """Return a session whose state does not move while several things are asked: one look at the store in all."""
        if self.pinned is not None:
            return self
        state = self.unwatched_committed()
        found = self.fixed(state.version, newest=True)
        found._then = state
        found.lost = self.lost
        return found

    def entry(self, folio: str, item: str, at: At | None = None) -> Entry:
        """Return the live entry of an item, now or as of ``at``.

        Raises:
            NotFoundError: If there is none; the hint names the nearest.
        """
        if at is not None:
            return self.at(at, folio).entry(folio, item)
        view = self.unwatched_state()
        entry = view.entry(check_folio(folio), check_item(item))
        self.looked_up(folio, item, entry)
        if entry is None:
            raise item_not_found(view, folio, item, self.journal.state)
        return entry

    def looked_up(self, folio: str, item: str, entry: Entry | None) -> None:
        """Tell read traces of an item that was looked up here; the past never changes."""
        if self._moves:
            read_entry(self.place, folio, item, entry)

    def load(self, entry: Entry, *, verify: bool = True, **options: Any) -> Any:
        """Return the object of an entry, from verified bytes.

        Raises:
            IntegrityError: If the stored bytes are missing or not what was written.
            UntrustedContentError: If it would run code that ``trusted=`` does not name.
        """
        self.check_options(entry, options)
        try:
            if entry.storage == "reference":
                return self.references.load(entry, **options)
            handler = items.handler_of(entry.kind)
            return handler.decode(self.blobs.source(entry, verify=verify), entry.details, **options)
        except LakefolioError as exc:
            if "item" in exc.objects:
                raise
            found = about(exc, entry.folio, entry.item, f"item {entry.ref}", version=entry.version)
            if found.kind == "bad-content" and found.hint is None:
                found.hint = "its bytes are those that were stored: item_path() gives them to whoever can read them"
            raise found from exc

    def check_options(self, entry: Entry, options: Iterable[str], also: Iterable[str] = ("at",)) -> None:
        """Raise UnsupportedTypeError (kind ``unknown-keyword``) for options that the handler of an entry does not take.

        Args:
            entry: The entry.
            options: Their names.
            also: What the caller takes besides, to be named to who misspells it.
        """
        if options and entry.storage != "reference":
            known = keywords_of(items.handler_of(entry.kind).decode)
            if known is not None:
                check_keywords(f"getting {entry.ref}", options, (known - {"source", "details"}).union(also))

    def _given_up(self, entry: Entry, missing: bool) -> None:
        """Raise NotFoundError (kind ``content-purged``) if gc gave up an entry's content; ``missing``: look anew."""
        state = self.journal.refresh() if missing else self.journal.state
        if not state.is_purged(entry):
            return
        digest = entry.blob_digest or ""
        when = state.purge_of(digest, entry.generation or 0)
        raise NotFoundError(
            f"content of {entry.ref} was given up by gc"
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

    def local_path(self, entry: Entry) -> Path:
        """Return a local, read-only, verified file with the content of an entry."""
        if entry.storage == "reference":
            return self.references.local_path(entry)
        return self.blobs.source(entry).path()

    def stored(self, entry: Entry) -> Stored:
        """Return what an entry says of its content, for an entry of its own with the same; inline content included."""
        kept = {name: getattr(entry, name) for name in Stored.__dataclass_fields__}
        if entry.storage == "inline":
            kept["content"] = self.journal.content_of(entry)
        return Stored(**kept)

    def metadata(self, kind: str, subject_id: str) -> dict[str, Any]:
        """Return the metadata of the lake (``"lake", ""``) or a folio; for those of an entry, see metadata_of."""
        if self._moves and kind != "run":
            looked_at("metadata")
        pending = self._pending()
        if pending is not None and self.pinned is None:
            texts = pending.metadata(kind, subject_id)
        else:
            if self.pinned is None:
                self.journal.refresh()
            texts = self.journal.metadata(kind, subject_id, self.pinned)
        return {key: json_decode.loads(text.encode()) for key, text in texts.items()}

    def metadata_known(self, kind: str, subject_id: str) -> dict[str, Any]:
        """Return the metadata of a subject as far as it is known, without asking the store for what is new."""
        return {key: json_decode.loads(text.encode()) for key, text in self.metadata_texts(kind, subject_id).items()}

    def metadata_texts(self, kind: str, subject_id: str) -> dict[str, str]:
        """Return the same as JSON texts."""
        pending = self._pending()
        if pending is not None and self.pinned is None:
            return pending.metadata(kind, subject_id)
        return self.journal.metadata(kind, subject_id, self.pinned)

    def run_inputs(self, run_id: str) -> list[dict[str, Any]]:
        """Return the inputs of a run by this session's version (see View), those of an open batch included."""
        view = self._pending() or self.journal.state
        found = view.run_inputs(run_id)
        return found if self.pinned is None else [one for one in found if one["version"] <= self.pinned]

    def metadata_of(self, entry: Entry) -> dict[str, Any]:
        """Return the metadata of an entry."""
        return {key: json_decode.loads(text.encode()) for key, text in entry.facts.items()}

    def edges(self) -> pa.Table:
        """Return every lineage row (schema LINEAGE_SCHEMA), those of an open batch included."""
        import pyarrow as pa

        rows = self.tables()["lineage"]
        pending = self._pending()
        if pending is not None and (new := pending.pending_rows()):
            rows = pa.concat_tables([rows, derive("lineage", rows_of(MANIFESTS_SCHEMA, new))])
        return rows

    def tables(self, *, content: bool = False) -> Tables:
        """Return the rows of the tables that count at this session's version, without copying.

        Metric points and events are read when they are asked for, ``lineage`` and ``metadata`` derived. The same
        objects as last time if the lake has not moved, so that what was bound to them can be used again.

        Args:
            content: Whether the inline content of all items is wanted too; what is not at hand is read from data files.
        """
        state = self.committed()
        version = state.version
        kept = self._tables.get((version, content))
        if kept is not None:
            return kept
        rows = self.tables()[JOURNAL] if content else state.table()
        whole = self.journal.erase(self.journal.with_contents(rows)) if content else rows
        tables = Tables(whole, lambda name: self._log_rows(name, version, texts=True))
        self._tables[version, content] = tables
        for old in list(self._tables)[:-_KEPT_TABLES]:
            self._tables.pop(old, None)
        return tables

    def bare_tables(self) -> Tables:
        """Return the same without the texts of events that lie in blobs: for looking at what may be damaged."""
        manifests = self.tables()["manifests"].slice(0)  # another object: what is bound to it is bound apart
        version = self.committed().version
        return Tables(manifests, lambda name: self._log_rows(name, version, texts=False))

    def _log_rows(self, name: str, version: int, *, texts: bool) -> pa.Table:
        rows = self.journal.log_rows(name, version)
        if name != "event_rows" or not rows.num_rows or not texts:
            return rows
        from lakefolio.content.event_text import whole

        return whole(rows, self.journal.state.table(), self.blobs)

    def query(self, sql: str, params: Any = None) -> duckdb.DuckDBPyRelation:
        """Answer one reading SQL statement over the views (InvalidInputError of kind ``sql`` otherwise).

        The view files of the user and of the lake are looked for only if it names a view that there is not.
        """
        views = _views()
        named = isinstance(sql, str) and "content" in sql.lower()
        try:
            relation = views.query(self.tables(content=named), sql, params, lost=self.lost)
        except InvalidInputError as exc:
            if not exc.objects.get("unknown"):
                raise
            own = self.own_views()
            if not any(view.name.lower() in sql.lower() for view in own.views):
                raise
            views, named = own.all(), named or own.ask_for_content
            relation = views.query(self.tables(content=named), sql, params, lost=self.lost)
        if named or "content" not in relation.columns:
            return relation
        return views.query(self.tables(content=True), sql, params, lost=self.lost)

    def own_views(self) -> OwnViews:
        """Return the view files of the user and of the lake, as they are now."""
        from lakefolio.views.user_views import own_views

        folder = setting("views")
        return own_views(self.store, None if folder is None else Path(folder))

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return a DuckDB connection with the views bound at this session's version."""
        return _views().connect(self.tables(content=True), lost=self.lost)

    def audit(self) -> list[tuple[str, str, str]]:
        """Return what the audits of ``sql/`` object to, as (audit, object, message)."""
        return _views().audit(self.bare_tables())


class Tables(Mapping[str, "pa.Table"]):
    """The tables of a lake at one version, by name; what is not the journal is read or derived when it is asked for."""

    def __init__(self, manifests: pa.Table, load: Callable[[str], pa.Table]) -> None:
        self._known = {JOURNAL: manifests}
        self._load = load

    def __getitem__(self, name: str) -> pa.Table:
        """Return the rows of a table."""
        if name not in self._known:
            if name in DERIVED:
                self._known[name] = derive(name, self._known[JOURNAL])
            elif name in LOG_TABLES:
                self._known[name] = self._load(name)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        """Give the names."""
        return iter((*TABLES, *LOG_TABLES, *DERIVED))

    def __len__(self) -> int:
        """Say how many there are."""
        return len(TABLES) + len(LOG_TABLES) + len(DERIVED)


@cache
def _views() -> Views:
    from lakefolio.views.engine import Views

    return Views()


def about(exc: LakefolioError, folio: str, item: str, what: str, **objects: Any) -> LakefolioError:
    """Say of which item it is that a handler, which knows no names, objects to something."""
    objects = {"folio": folio, "item": item, **objects, **exc.objects}
    return type(exc)(f"{what}: {exc.message}", kind=exc.kind, hint=exc.hint, **objects)
