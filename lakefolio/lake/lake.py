"""The lake, which users open, read at any version, change in batches, snapshot, restore and query.

Its methods are the functions of the modules beside this one, bound in the class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakefolio.config.settings import blamed, place_of
from lakefolio.errors import InvalidInputError, UnsupportedTypeError
from lakefolio.format.names import check_folio
from lakefolio.lake import finding_runs, maintaining, querying, reading, registering, tracking_runs, versions
from lakefolio.model.resolve import At
from lakefolio.process.facade import closed, facade, obtained
from lakefolio.process.keywords import explained
from lakefolio.session.annotations import check_tags, check_text
from lakefolio.session.session import Session

if TYPE_CHECKING:
    from lakefolio.folio import Folio

__all__ = ["Lake", "open_lake"]


@explained
def open_lake(
    uri: str | Path | None = None,
    *,
    storage_options: Mapping[str, object] | None = None,
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
        author: The author that commits record; by default the configured one, else ``user@host``.
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


_ARGUMENTS: Final = {
    "ref": "The item: ``folio:name``, or one of its versions: ``folio:name@version-or-snapshot``.",
    "at": "The state to read: a version, a time or the name of a snapshot, see :meth:`at`; by default the newest.",
    "name": "The name.",
    "folio": "Only this folio; by default the whole lake.",
    "message": "The message of the commit.",
    "description": "One sentence that describes it.",
    "tags": "Words by which it can be found.",
    "metadata": "Facts about it; JSON values.",
    "run": "The run: its id, its manifest (of :meth:`get_run`), or a handle.",
    "run_id": "The id of the run.",
    "run_type": "A RunType, or a type of the lake's own (:meth:`add_run_type`); by default ``experiment``.",
    "project": "The project it belongs to.",
    "model": "The model it makes or uses.",
    "params": "Its parameters; JSON values.",
    "parent": "The run that encloses it; by default the run in whose block this is called.",
    "storage_modes": "The views that list the run (a ``StorageMode`` each); they change no storage.",
}
"""The descriptions of arguments in the docstrings of a lake's methods that don't describe them."""


@obtained("lakefolio.open(address) opens one")
@closed()
@facade(_ARGUMENTS)
class Lake:
    """A lake at its newest version, or (from :meth:`at`) at a past one. Safe to share between threads.

    Every read first looks for new commits: one small request if there are none.
    """

    def __init__(self, session: Session) -> None:
        if not isinstance(session, Session):
            message = f"a lake is opened, not made: write lakefolio.open({str(session)!r})"
            raise UnsupportedTypeError(message, kind="bad-argument")
        self._session = session

    def __repr__(self) -> str:
        pinned = "" if self._session.pinned is None else f" at version {self._session.pinned}"
        return f"<Lake {self.uri}{pinned}>"

    def _repr_html_(self) -> str:
        from lakefolio.render.notebook import lake_html

        return lake_html(self)

    # -- properties ---------------------------------------------------------------------------------------

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
        """The author that commits record."""
        return self._session.author

    @property
    def metadata(self) -> dict[str, Any]:
        """The facts noted of the lake as a whole, to be read; :meth:`annotate` changes them."""
        from lakefolio.runs.read_only import read_only

        return read_only(self._session.metadata("lake", ""), "metadata of the lake", "lake.annotate(key=value)")

    @property
    def description(self) -> str | None:
        """The description of the lake, or None; ``annotate(description=…)`` sets it."""
        return self.metadata.get("description")

    @property
    def tags(self) -> list[str]:
        """The tags of the lake (``annotate(tags=[…])``)."""
        found: list[str] = self.metadata.get("tags") or []
        return found

    def annotate(
        self, values: Mapping[str, object] | None = None, /, *, remove: Iterable[str] = (), **more: object
    ) -> Lake:
        """Set facts about the lake; ``description`` and ``tags`` are the ones that listings show. One commit.

        Args:
            values: Name -> JSON-able value.
            remove: Names of facts to remove.
            **more: Facts whose names are Python words.
        """
        facts: dict[str, Any] = {**(values or {}), **more}
        if facts.get("tags") is not None:
            facts["tags"] = list(check_tags(facts["tags"]))
        self._session.annotate("lake", "", facts, remove=remove)
        return self

    def folio(self, name: str) -> Folio:
        """Return the folio of that name; it exists from its first item on."""
        from lakefolio.folio import folio_in

        return folio_in(self._session, check_folio(name))

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

    @contextmanager
    def batch(self, message: str | None = None) -> Iterator[Lake]:
        """Make all changes in the block one commit, over any folios; an exception commits nothing.

        Blobs are stored as the block runs; the rows about them become visible together, at its end. Reads in the
        block see its changes, nobody else does before.
        """
        with self._session.batch(check_text(message, "message")):
            yield self

    @property
    def on_upload(self) -> Callable[[int, int], None] | None:
        """Called with (bytes sent, bytes in all) while content is uploaded; None, the default, for nobody."""
        return self._session.blobs.on_upload

    @on_upload.setter
    def on_upload(self, watcher: Callable[[int, int], None] | None) -> None:
        self._session.blobs.on_upload = watcher

    @property
    def on_download(self) -> Callable[[int, int], None] | None:
        """Called with (bytes read, bytes in all) while content is read into a file; None, the default, for nobody."""
        return self._session.blobs.on_download

    @on_download.setter
    def on_download(self, watcher: Callable[[int, int], None] | None) -> None:
        self._session.blobs.on_download = watcher

    # -- its contents --------------------------------------------------------------------------------------

    get = reading.get
    item = reading.item
    is_purged = reading.is_purged
    items = reading.items
    folios = reading.folios
    lineage = reading.lineage
    impact = reading.impact
    sql = reading.sql
    connect = reading.connect
    scan = reading.scan
    stats = reading.stats
    info = reading.info

    # -- its versions ------------------------------------------------------------------------------------

    log = versions.log
    history = versions.history
    diff = versions.diff
    set_version_policy = versions.set_version_policy
    version_policy = versions.version_policy
    snapshot = versions.snapshot
    snapshots = versions.snapshots
    drop_snapshot = versions.drop_snapshot
    restore = versions.restore

    # -- finding --------------------------------------------------------------------------------------------

    query = querying.query
    browse = querying.browse
    search = querying.search
    similar = querying.similar
    searches = querying.searches
    choose = querying.choose
    status = querying.status
    views = querying.views
    compare = querying.compare
    create_dataset = querying.create_dataset
    get_dataset = querying.get_dataset
    datasets = querying.datasets

    # -- runs, metrics and events ---------------------------------------------------------------------------

    run = tracking_runs.run
    create_run = tracking_runs.create_run
    resume_run = tracking_runs.resume_run
    add_run_type = tracking_runs.add_run_type
    run_types = tracking_runs.run_types
    add_run_input = tracking_runs.add_run_input
    add_run_output = tracking_runs.add_run_output
    get_run = finding_runs.get_run
    get_run_manifest = finding_runs.get_run_manifest
    runs = finding_runs.runs
    run_rows = finding_runs.run_rows
    follow_run = finding_runs.follow_run
    follow_runs = finding_runs.follow_runs
    metric_history = finding_runs.metric_history
    mark_lost_runs = finding_runs.mark_lost_runs
    storage_savings = finding_runs.storage_savings
    log_event = tracking_runs.log_event
    get_event = finding_runs.get_event
    event_stats = finding_runs.event_stats
    flush = tracking_runs.flush
    capture = tracking_runs.capture
    track = tracking_runs.track

    # -- registered models -----------------------------------------------------------------------------------

    models = registering.models
    model = registering.model
    register_model = registering.register_model

    # -- keeping it well ------------------------------------------------------------------------------------

    check = maintaining.check
    gc = maintaining.gc
    why = maintaining.why
    repair = maintaining.repair
    doctor = maintaining.doctor
    compact = maintaining.compact
