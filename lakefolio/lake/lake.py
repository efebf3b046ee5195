"""The lake: what users open, read at any version, change in batches, snapshot, restore and query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lakefolio import __version__
from lakefolio.config.settings import blamed, place_of
from lakefolio.errors import InvalidInputError, NotFoundError, nearest
from lakefolio.format.names import check_folio, check_snapshot, parse_ref
from lakefolio.lake.maintenance_api import LakeUpkeep
from lakefolio.lake.reports import Info, RestoreReport, Stats
from lakefolio.lake.runs_api import LakeRuns
from lakefolio.model.changes import DropSnapshot, Restore, TakeSnapshot
from lakefolio.model.entries import Entry, Snapshot
from lakefolio.model.resolve import At, item_not_found, said_twice
from lakefolio.process.keywords import explained, explains_keywords
from lakefolio.session.annotations import check_tags, check_text, without_secrets
from lakefolio.session.session import Session

if TYPE_CHECKING:
    import duckdb
    import polars as pl

    from lakefolio.folio import Folio
    from lakefolio.history.diff import Diff, History, Log
    from lakefolio.lineage.graph import Lineage

__all__ = ["Lake", "open_lake"]


@explained
def open_lake(
    uri: str | Path | None = None,
    *,
    storage_options: Mapping[str, Any] | None = None,
    create: bool = True,
    read_only: bool = False,
    author: str | None = None,
    trust_references: str | Iterable[str] | None = None,
) -> Lake:
    """Open the lake at ``uri``, and create it if it is absent.

    Args:
        uri: ``s3://bucket/prefix``, ``gs://…``, ``az://…``, ``memory://…``, ``file://…`` or a local path. By
            default LAKEFOLIO_LAKE, else ``lake`` in ``lakefolio.toml`` or ``[tool.lakefolio]`` of
            ``pyproject.toml`` (searched upwards), else ``./lake``.
        storage_options: Options of the store (endpoint, region, keys, …), named as AWS and deltalake users do. By
            default, and for the configured lake only, those configured.
        create: Whether to create an absent lake.
        read_only: Refuse writes, and don't create.
        author: Who is noted as the author of commits; by default the configured one, else ``user@host``.
        trust_references: Absolute paths and URIs: references that lie below one of them are followed, besides those
            in the lake's own bucket and those that you registered on this host. Others are described, not followed.
            By default LAKEFOLIO_TRUST_REFERENCES (separated by commas), and the lines of
            ``~/.config/lakefolio/trust_references``.

    Raises:
        LakeNotFoundError: There is no lake and it may not be created, or the bucket does not exist.
        FormatError: The lake needs a newer library.
        StorageError: The store can't be reached or refuses.
    """
    place, options = place_of(uri, storage_options)
    try:
        session = Session.open(
            place,
            storage_options=options,
            create=create,
            read_only=read_only,
            author=author,
            trust_references=trust_references,
        )
    except InvalidInputError as exc:
        if uri is None and exc.kind == "bad-uri":
            raise blamed("lake", exc) from None
        raise
    return Lake(session)


@explains_keywords
class Lake(LakeRuns, LakeUpkeep):
    """A lake at its newest version, or (from :meth:`at`) at a past one. Safe to share between threads.

    Every read looks first whether somebody committed meanwhile: one small request when nobody did.
    """

    def __init__(self, session: Session) -> None:
        if not isinstance(session, Session):
            raise TypeError(f"a lake is opened, not made: write lakefolio.open({str(session)!r})")
        self._session = session

    def __repr__(self) -> str:
        pinned = "" if self._session.pinned is None else f" at version {self._session.pinned}"
        return f"<Lake {self.uri}{pinned}>"

    def _repr_html_(self) -> str:
        from lakefolio.render.notebook import lake_html

        return lake_html(self)

    # -- what it is ----------------------------------------------------------------------------------------

    @property
    def uri(self) -> str:
        """The address of the lake, without secrets."""
        return self._session.uri

    @property
    def lake_id(self) -> str:
        """The lake's identity; a copy of the lake keeps it."""
        return self._session.marker.lake_id

    @property
    def version(self) -> int:
        """The newest version, or the one this lake is opened at. The Delta version of ``manifests``."""
        return self._session.committed().version

    @property
    def read_only(self) -> bool:
        """Whether writes are refused."""
        return self._session.read_only

    @property
    def author(self) -> str | None:
        """Who is noted as the author of commits."""
        return self._session.author

    @property
    def metadata(self) -> dict[str, Any]:
        """The facts noted of the lake as a whole, to be read; :meth:`annotate` changes them."""
        from lakefolio.runs.read_only import read_only

        return read_only(self._session.metadata("lake", ""), "metadata of the lake", "lake.annotate(key=value)")

    @property
    def description(self) -> str | None:
        """What this lake is for, if somebody said so (``annotate(description=…)``)."""
        return self.metadata.get("description")

    @property
    def tags(self) -> list[str]:
        """The tags of the lake (``annotate(tags=[…])``)."""
        found: list[str] = self.metadata.get("tags") or []
        return found

    def annotate(self, values: Mapping[str, Any] | None = None, /, *, remove: Iterable[str] = (), **more: Any) -> Lake:
        """Set facts about the lake; ``description`` and ``tags`` are the ones that listings show. One commit."""
        self._session.annotate("lake", "", {**(values or {}), **more}, remove=remove)
        return self

    def folios(self) -> list[str]:
        """Return the names of the folios that have an item, sorted."""
        return self._session.state().folios()

    def folio(self, name: str) -> Folio:
        """Return the folio of that name; it exists from its first item on."""
        from lakefolio.folio import Folio

        return Folio._of(self._session, check_folio(name))

    def items(self, folio: str | None = None, *, archived: bool = True) -> list[Entry]:
        """Return what is known of every item, without its content, in the order of first addition.

        Args:
            folio: Only this folio's; a folio without items gives an empty list.
            archived: Whether to include archived items.
        """
        state = self._session.state()
        names = state.folios() if folio is None else [folio]
        return [one for name in names for one in state.entries(name) if archived or not one.archived]

    def info(self) -> Info:
        """Return what this lake is: address, format, version, counts of folios, items and snapshots."""
        state = self._session.committed()
        folios = state.folios()
        first, last = state.first_at(), state.committed_at
        return Info(
            uri=self.uri,
            lake_id=self.lake_id,
            format_version=self._session.marker.format_version,
            created_at=self._session.marker.created_at,
            version=state.version,
            folio_count=len(folios),
            item_count=sum(len(state.names(folio)) for folio in folios),
            snapshot_count=len(state.snapshots()),
            first_commit_at=first.isoformat() if first else None,
            last_commit_at=last.isoformat() if last else None,
            read_only=self.read_only,
            author=self.author,
            library_version=__version__,
        )

    # -- the past ------------------------------------------------------------------------------------------

    def at(self, at: At) -> Lake:
        """Return a read-only lake at a version, a time or a snapshot.

        Args:
            at: A version (``17``, ``"@17"``; ``-1`` is the state before the newest commit), the name of a snapshot, or
                a time: a datetime, a date, or a text such as ``"2026-11-25 21:27"``, ``"21:27"``, ``"yesterday"`` or
                ``"2 days ago"``. The local zone is meant unless another is named. A text means the period that it
                names, and the state is that of its end: of a day, a minute, a second. Every time that lakefolio prints
                leads back to the commit that it stands beside.

        Raises:
            NotFoundError: If there is no such version or snapshot, or the time precedes the first commit.
        """
        return Lake(self._session.at(at))

    def log(self, limit: int | None = 20, *, folio: str | None = None) -> Log:
        """Return the commits, newest first; all of them if ``limit`` is None."""
        from lakefolio.history import diff

        return diff.log(self._session.committed().table(), limit, folio=folio)

    def history(self, ref: str) -> History:
        """Return every change of an item, newest first; also of one that was deleted.

        Raises:
            NotFoundError: If there never was such an item.
        """
        from lakefolio.history import diff

        folio, item = self._named(ref)
        state = self._session.committed()
        if not state.known(folio, item):
            raise item_not_found(state, folio, item, self._session.journal.state)
        return diff.history(state.table(), folio, item)

    def diff(self, a: At, b: At | None = None, folio: str | None = None) -> Diff:
        """Return what changed from ``a`` to ``b`` (by default, until now)."""
        from lakefolio.history import diff

        newer = self._session.committed().version if b is None else self._session.resolve(b, folio)
        older = self._session.resolve(a, folio)
        return diff.diff(self._session.committed().table(), older, newer, folio=folio)

    def snapshot(
        self,
        name: str,
        folio: str | None = None,
        message: str | None = None,
        tags: str | Iterable[str] | None = None,
        *,
        at: At | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Snapshot:
        """Give a version a protected name. Atomic; the name is unique among the folio's or the lake's snapshots.

        Args:
            name: The name; not a number and not a time.
            folio: The folio it is taken of; by default the whole lake.
            message: Why it was taken.
            tags: Words to find it by.
            at: The version, time or snapshot to name; by default the state that the commit leaves.
            extra: Anything JSON-able to keep with it.

        Raises:
            AlreadyExistsError: The name is taken.
        """
        take = TakeSnapshot(
            name=check_snapshot(name),
            folio=None if folio is None else check_folio(folio),
            message=check_text(message, "message"),
            tags=check_tags(tags),
            extra=dict(without_secrets("extra", dict(extra or {}))),
            target_version=None if at is None else self._session.resolve(at, folio),
        )
        self._session.apply(take, message=take.message)
        found = self._session.state().snapshot(folio, name)
        assert found is not None
        return found

    def snapshots(self, folio: str | None = None) -> list[Snapshot]:
        """Return the snapshots, oldest first: all of them, or a folio's."""
        return self._session.state().snapshots(folio)

    def drop_snapshot(self, name: str, folio: str | None = None) -> Lake:
        """Give up a snapshot's name; the version stays readable as long as retention keeps it.

        Raises:
            NotFoundError: If there is none of that name.
        """
        self._session.apply(DropSnapshot(name, folio))
        return self

    def restore(
        self,
        at: At,
        folio: str | None = None,
        items: str | Iterable[str] | None = None,
        dry_run: bool = False,
    ) -> RestoreReport:
        """Bring the lake, a folio or some items back to what they were: one new commit; no history is lost.

        Args:
            at: The version, time or snapshot to go back to.
            folio: Only this folio.
            items: Only these items: names in ``folio``, or references ``folio:name``.
            dry_run: Only say what would happen.

        Raises:
            NotFoundError: If there is no such version, folio or item, neither then nor now.
        """
        self._session.check_writable()
        version = self._session.resolve(at, folio)
        wanted: dict[str, list[str]] = {}
        for text in [items] if isinstance(items, str) else items or ():
            ref = parse_ref(text, folio=folio)
            if ref.folio is None:
                raise InvalidInputError(
                    f"item {text!r} names no folio", kind="bad-ref", hint="write folio:name, or pass folio="
                )
            wanted.setdefault(ref.folio, []).append(ref.item)
        if items is not None:
            changes = [Restore(version, name, tuple(names)) for name, names in wanted.items()]
        else:
            self._check_restorable(folio, version)
            changes = [Restore(version, folio)]
        rows = self._session.plan(*changes) if changes else []
        if rows and not dry_run:
            self._session.apply(*changes, message=f"restore {folio or 'lake'} to {at}")
        return RestoreReport.of(rows, version, dry_run=dry_run, at=at)

    def _check_restorable(self, folio: str | None, version: int) -> None:
        if folio is None:
            return
        state = self._session.committed()
        if not state.names(check_folio(folio)) and not self._session.journal.at(version).names(folio):
            raise NotFoundError(
                f"folio {folio!r} has no items, neither at version {version} nor now",
                kind="folio-not-found",
                hint=nearest(folio, state.folios()),
                folio=folio,
            )

    @contextmanager
    def batch(self, message: str | None = None) -> Iterator[Lake]:
        """Make all changes in the block one commit, over any folios; an exception commits nothing.

        Blobs are stored as the block runs; the rows about them become visible together, at its end. Reads in the
        block see its changes, nobody else does before.
        """
        with self._session.batch(check_text(message, "message")):
            yield self

    # -- questions -----------------------------------------------------------------------------------------

    def sql(self, query: str, params: Any = None) -> duckdb.DuckDBPyRelation:
        """Answer a read-only SQL query over the views and tables of the lake, as a DuckDB relation.

        Raises:
            InvalidInputError: If it is no valid query, or one that would change or reach out for something.
        """
        return self._seen(lambda session: session.query(query, params))

    def connect(self, at: At | None = None) -> duckdb.DuckDBPyConnection:
        """Return a DuckDB connection of one's own with all views of lakefolio bound at one version.

        View files of the lake or of the user are left out: a connection of one's own may reach files and networks,
        which what lies in a bucket must not; ``sql`` asks them.
        """
        return self._seen(lambda session: session.connect()) if at is None else self._session.at(at).connect()

    def scan(
        self, table: Literal["manifests", "lineage", "metadata", "metric_rows", "event_rows"] = "manifests"
    ) -> pl.LazyFrame:
        """Return the rows of a table as a Polars LazyFrame: those that count at this version."""
        from lakefolio.views import engine

        tables = self._seen(lambda session: session.tables(content=table == "manifests"))
        if table not in tables:
            raise NotFoundError(f"table {table!r} does not exist", kind="table-not-found", hint=nearest(table, tables))
        return engine.scan(tables[table])

    def lineage(self, ref: str) -> Lineage:
        """Return the lineage of an item's entry: ``.upstream()``, ``.downstream()``, and ways to draw it.

        Raises:
            NotFoundError: If there is no such item.
        """
        from lakefolio.lineage.graph import Lineage

        entry = self._entry(ref)
        return Lineage(self._session.edges(), self._session.committed().table(), [entry.entry_id])

    def _named(self, ref: str) -> tuple[str, str]:
        parsed = parse_ref(ref)
        if parsed.folio is None:
            raise InvalidInputError(
                f"item reference {ref!r} names no folio", kind="bad-ref", hint="write folio:name", ref=ref
            )
        return parsed.folio, parsed.item

    def _entry(self, ref: str, at: At | None = None) -> Entry:
        folio, item = self._named(ref)
        within = parse_ref(ref).at
        if within is not None and at is not None:
            raise said_twice(ref, at)
        return self._session.entry(folio, item, at if within is None else within)

    def get(self, ref: str, *, at: At | None = None, **options: Any) -> Any:
        """Return the object that ``folio:name[@version-or-snapshot]`` names, verified.

        Args:
            ref: The item.
            at: As of when, if the reference does not say it: a version, a time or a snapshot, see :meth:`at`.
            **options: What the handler of the item's kind takes besides (``as_``, ``columns``, ``trusted``, …).
        """
        entry = self._entry(ref, at)
        found = self._session.load(entry, **options)
        self._session.was_read(entry)
        return found

    def item(self, ref: str, *, at: At | None = None) -> Entry:
        """Return the entry that ``folio:name[@version-or-snapshot]`` names: what is known about it, not its content."""
        return self._entry(ref, at)

    def is_purged(self, entry: Entry) -> bool:
        """Say whether gc purged the content of an entry of the past, as far as is known without asking the store."""
        return self._session.journal.state.is_purged(entry)

    def stats(self) -> Stats:
        """Return what the lake holds and what it costs, in all and by folio."""
        return Stats.of(self.sql, self.version)
