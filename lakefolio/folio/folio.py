"""The folio: a named bundle of items in a lake, the object that most users work with.

Its methods are the functions of the modules beside this one, bound in the class; each function is written once, beside
those of the same purpose. This module lists them all, which makes it longer than the others. Code written for
DataFolio 1.x works on it unchanged; ``tests/compat/test_datafolio_1x.py`` shows how far, and where it deliberately
does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from lakefolio.errors import InvalidInputError, NotFoundError, nearest
from lakefolio.folio import (
    adding,
    adding_models,
    adding_tables,
    changing,
    copy_folio,
    datafolio,
    describing,
    folio_snapshots,
    item_facts,
    item_history,
    item_lineage,
    item_names,
    item_versions,
    origin,
    reading,
    record_table,
)
from lakefolio.folio.accessors import DataAccessor
from lakefolio.folio.metadata import FolioMetadata
from lakefolio.folio.open_folio import OpenFolio
from lakefolio.folio.places import is_location, open_place, with_suffix
from lakefolio.folio.snapshot_view import SnapshotAccessor
from lakefolio.format.names import check_folio
from lakefolio.process.facade import closed, facade
from lakefolio.session.annotations import check_text
from lakefolio.session.session import Session

__all__ = ["Folio", "folio_in"]


_ARGUMENTS: Final = {
    "name": "The name of the item; ``/`` may group names. Methods that add take None where the folio has a pattern of "
    "names, which fills it from ``metadata`` (:meth:`set_naming`). Methods that read also take "
    "``[folio:]name[@version-or-snapshot]``.",
    "item_name": "The name of the item.",
    "description": "One sentence that describes it.",
    "inputs": "The items it was made from: names, references ``[folio:]name[@version]``, or URIs of external data. "
    "Each is resolved to the exact version it has now.",
    "tags": "Words by which it can be found.",
    "metadata": "Facts about it; JSON values.",
    "overwrite": "Replace an item of that name; its old entry stays in the history. A warning says which of "
    "description, tags and metadata the old entry has and the new one lacks.",
    "keep": "With ``overwrite``, carry description, tags and metadata over where none are given here. Metadata are "
    "merged; inputs belong to the old content and are never carried over.",
    "version": "The label of the new version, a semantic version such as ``1.2.0``, above all that the item has. It is "
    "for ever.",
    "bump": "Take the next label instead: ``major``, ``minor`` or ``patch`` of the last one (the first is 1.0.0), or "
    "``auto``: major if what reads the last version can't read this one, minor if columns are new, else patch. Of two "
    "writers that do so at once each gets a label of its own.",
    "columns_from": "The columns of its inputs that each column of a table was made from: column -> columns of the one "
    "input, or -> ``{input: columns}``, as in ``{'total': {'raw': ['price', 'count']}}``; its inputs are inputs.",
    "code": "The code that made it, for people to read.",
    "snapshot": "The name of the snapshot.",
    "at": "The state to read: a lake version, a time or the name of a snapshot; or a version of the item: its number "
    "``#3``, its label ``1.2.0``, the greatest label of a range ``^1.2``, ``latest`` or an alias. By default the "
    "newest.",
    "options": "Further options of the method for an item of that kind. An unknown one is a TypeError that names the "
    "nearest.",
    "message": "The message of the commit.",
}
"""The descriptions of arguments in the docstrings of a folio's methods that don't describe them."""


@closed()
@facade(_ARGUMENTS)
class Folio:
    """A named bundle of items. It exists from its first item, metadata or snapshot on.

    Every change is one commit, atomic and durable when the method returns; every read sees all
    commits made before it. Safe to share between threads; any number of handles, threads and processes may work
    on one folio.

    Methods that add return the folio. They raise AlreadyExistsError (a ValueError) for a name that is taken,
    InvalidInputError (a ValueError) for a name or annotation that can't be used, UnsupportedTypeError (a TypeError) for
    an object they don't store, NotFoundError for an input that does not exist, and ReadOnlyError (a RuntimeError).
    Methods that read verify the bytes. They raise NotFoundError (a KeyError), whose hint names the nearest item,
    InvalidInputError for an item of another type than the method is for, and IntegrityError if stored bytes are missing
    or damaged.

    >>> folio = Folio("experiments/clf_v1")
    >>> folio.add_table("clean", frame, inputs=["raw"]).add_json("config", {"lr": 0.01})
    >>> folio.get_table("clean", at="paper-v1")
    """

    def __init__(
        self,
        path: str | Path,
        folio: str | Mapping[str, object] | None = None,
        random_suffix: bool = False,
        read_only: bool = False,
        cache_enabled: bool = False,
        cache_dir: str | Path | None = None,
        cache_ttl: float | None = None,
        use_https: bool = False,
        *,
        metadata: Mapping[str, object] | None = None,
        storage_options: Mapping[str, object] | None = None,
        create: bool = True,
        author: str | None = None,
        trust_references: str | Iterable[str] | None = None,
    ) -> None:
        """Open a folio.

        Args:
            path: With ``folio``: the lake. Alone, a name: a folio of the default lake. Alone, an absolute path or a
                URI: the folio of the lake that lies there, named by the last segment.
            folio: The name of the folio in the lake ``path``. (A dict in this place is ``metadata``, as in
                DataFolio.)
            random_suffix: Append words to the name that make it new.
            read_only: Refuse to write.
            cache_enabled: Accepted for DataFolio. Local copies are always kept under their digest, so none is
                stale.
            cache_dir: Accepted for DataFolio; LAKEFOLIO_CACHE says where local copies are kept.
            cache_ttl: Accepted for DataFolio.
            use_https: Accepted for DataFolio.
            metadata: Metadata of a new folio; ignored if the folio exists.
            storage_options: Options of the store, as for ``lakefolio.open``.
            create: Whether lake and folio may be new; if not, NotFoundError says that they are missing.
            author: The author that commits record.
            trust_references: Which references are followed, as for ``lakefolio.open``.

        Raises:
            LakeNotFoundError: There is no lake and none may be made (also a FileNotFoundError).
            PlaceTakenError: Something else lies there (also a FileExistsError).
            InvalidInputError: The name can't be used.
        """
        if isinstance(folio, Mapping):
            folio, metadata = None, folio
        if not str(path):
            raise InvalidInputError("no name or location was given", kind="bad-location", hint="name the folio")
        options: dict[str, Any] = {
            "storage_options": storage_options,
            "read_only": read_only,
            "author": author,
            "trust_references": trust_references,
        }
        place = str(path)
        if folio is not None:
            name = check_folio(folio)
            session = Session.open(place, create=create and not read_only, **options)
        elif random_suffix and is_location(place):
            place = with_suffix(place.rstrip("/"))
            session, name = open_place(place, create=create, **options)
        else:
            session, name = open_place(place, create=create, **options)
        if random_suffix and (folio is not None or not is_location(place)):
            name = with_suffix(name)
        self._hold(OpenFolio(session, name))
        if not create and not self._core.exists():
            folios = session.state().folios()
            raise NotFoundError(
                f"folio {name!r} does not exist in lake {session.uri}",
                kind="folio-not-found",
                hint=nearest(name, folios) or "the lake is empty",
                folio=name,
            )
        if metadata and not self._core.exists():
            session.annotate("folio", name, metadata)

    @classmethod
    def _of(cls, session: Session, name: str, snapshot: str | None = None) -> Self:
        """Make a folio over an open session."""
        self = cls.__new__(cls)
        self._hold(OpenFolio(session, name, snapshot))
        return self

    def _hold(self, core: OpenFolio) -> None:
        self._core = core
        self._metadata = FolioMetadata(core)
        self._data = DataAccessor(self)

    @classmethod
    def load_snapshot(cls, bundle_dir: str | Path, snapshot: str, **options: Any) -> Self:
        """Open a folio as it was at a snapshot, read-only.

        Args:
            bundle_dir: Where the folio lies, or its name in the default lake.
            snapshot: The snapshot.
            **options: Further options of opening a folio (``folio``, ``storage_options``).
        """
        return cls(bundle_dir, read_only=True, **options).get_snapshot(snapshot)

    # -- properties ---------------------------------------------------------------------------------------

    @property
    def _session(self) -> Session:
        return self._core.session

    @property
    def name(self) -> str:
        """The name of the folio in its lake."""
        return self._core.name

    @property
    def lake_uri(self) -> str:
        """The address of its lake."""
        return self._core.session.uri

    @property
    def path(self) -> str:
        """Where it lies: an absolute path or a URI; ``Folio(folio.path)`` opens it again."""
        return self._core.path

    @property
    def read_only(self) -> bool:
        """Whether writes are refused."""
        return self._core.session.read_only

    @property
    def in_snapshot_mode(self) -> bool:
        """Whether it was loaded from a snapshot."""
        return self._core.snapshot is not None

    @property
    def loaded_snapshot(self) -> str | None:
        """The snapshot it was loaded from, or None."""
        return self._core.snapshot

    @property
    def data(self) -> DataAccessor:
        """The items by attribute and key: ``folio.data.results.content``."""
        return self._data

    @property
    def metadata(self) -> FolioMetadata:
        """The metadata of the folio: a dict whose changes are commits. Each access brings it up to date."""
        return self._metadata.look()

    @property
    def snapshots(self) -> SnapshotAccessor:
        """The snapshots by name: ``folio.snapshots["v1"].get_table("results")``."""
        return SnapshotAccessor(self)

    @property
    def tables(self) -> list[str]:
        """The names of all tables, included and referenced, archived ones included."""
        return item_facts.names_of(self, "referenced_tables", "included_tables")

    @property
    def models(self) -> list[str]:
        """The names of all models, archived ones included."""
        return item_facts.names_of(self, "models")

    @property
    def artifacts(self) -> list[str]:
        """The names of all files and folders, archived ones included."""
        return item_facts.names_of(self, "artifacts")

    def __contains__(self, name: object) -> bool:
        """Say whether there is an item of that name, archived or not."""
        return isinstance(name, str) and self._core.reading.state().entry(self.name, name) is not None

    def __iter__(self) -> Iterator[str]:
        """Go through the names of the items in the order in which they were first added."""
        return iter(self._core.reading.state().names(self.name))

    def __len__(self) -> int:
        return len(self._core.reading.state().names(self.name))

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, name: str) -> Any:
        """Return an item's object: ``folio["x"]`` is ``folio.get("x")``."""
        return self.get(name)

    def __repr__(self) -> str:
        text = f"DataFolio({self.path!r}"
        try:
            view = self._core.reading.state()
            text += f", items={len(view.names(self.name))}, snapshots={len(view.snapshots(self.name))})"
        except Exception:
            text += ", unreachable)"
        if self.read_only:
            text += " [READ-ONLY]"
        return text + (f" [snapshot: {self._core.snapshot}]" if self._core.snapshot else "")

    def _repr_html_(self) -> str:
        from lakefolio.render.notebook import folio_html

        return folio_html(self, [one for one in self._core.reading.state().entries(self.name) if not one.archived])

    def refresh(self) -> Self:
        """Bring ``metadata`` up to date. Reads of items need no refresh: each looks for new commits."""
        self._metadata.look()
        return self

    @contextmanager
    def batch(self, message: str | None = None) -> Iterator[Self]:
        """Make all changes in the block one commit; an exception commits nothing.

        Reads through this folio, in the block, see its changes; nobody else does before its end.
        """
        self._core.check_writable()
        try:
            with self._core.session.batch(check_text(message, "message")):
                yield self
        except BaseException:
            self._metadata.look()
            raise
        finally:
            self._core.move_pin()

    # -- putting items in -----------------------------------------------------------------------------------

    add_data = adding.add_data
    add = adding.add
    add_numpy = adding.add_numpy
    add_json = adding.add_json
    add_timestamp = adding.add_timestamp
    add_artifact = adding.add_artifact
    add_file = adding.add_file
    add_reference = adding.add_reference

    add_table = adding_tables.add_table
    add_query = adding_tables.add_query
    import_table = adding_tables.import_table
    reference_table = adding_tables.reference_table

    create_table = record_table.create_table
    table = record_table.table

    add_sklearn = adding_models.add_sklearn
    add_model = adding_models.add_model
    add_pytorch = adding_models.add_pytorch

    # -- getting them out -----------------------------------------------------------------------------------

    get_data = reading.get_data
    get = reading.get
    get_many = reading.get_many
    get_table = reading.get_table
    scan_table = reading.scan_table
    get_numpy = reading.get_numpy
    get_json = reading.get_json
    get_timestamp = reading.get_timestamp
    get_model = reading.get_model
    get_sklearn = reading.get_sklearn
    get_pytorch = reading.get_pytorch
    export = reading.export
    pinned = reading.pinned
    sql = reading.sql
    item_path = item_facts.item_path
    get_table_path = item_facts.get_table_path
    get_numpy_path = item_facts.get_numpy_path
    get_json_path = item_facts.get_json_path
    get_timestamp_path = item_facts.get_timestamp_path
    get_model_path = item_facts.get_model_path
    get_artifact_path = item_facts.get_artifact_path
    require = item_facts.require
    item_info = item_facts.item_info
    get_table_info = item_facts.get_table_info
    get_model_info = item_facts.get_model_info
    get_artifact_info = item_facts.get_artifact_info
    list_contents = item_facts.list_contents
    items = item_facts.items
    why = origin.why
    similar = reading.similar
    validate = reading.validate
    is_valid = reading.is_valid

    # -- changing them --------------------------------------------------------------------------------------

    update_item = changing.update_item
    rename = changing.rename
    copy_item = changing.copy_item
    tag = changing.tag
    delete = changing.delete
    archive = changing.archive
    unarchive = changing.unarchive

    # -- their history and lineage --------------------------------------------------------------------------

    history = item_history.history
    log = item_history.log
    diff = item_history.diff
    alias = item_versions.alias
    aliases = item_versions.aliases
    drop_alias = item_versions.drop_alias
    compatibility = item_versions.compatibility
    set_naming = item_names.set_naming
    naming = item_names.naming
    name_of = item_names.name_of
    fields_of = item_names.fields_of
    set_version_policy = item_versions.set_version_policy
    version_policy = item_versions.version_policy

    get_inputs = item_lineage.get_inputs
    get_dependents = item_lineage.get_dependents
    get_lineage_graph = item_lineage.get_lineage_graph
    lineage = item_lineage.lineage
    provenance = item_lineage.provenance

    # -- snapshots and copies -------------------------------------------------------------------------------

    create_snapshot = folio_snapshots.create_snapshot
    list_snapshots = folio_snapshots.list_snapshots
    get_snapshot_info = folio_snapshots.get_snapshot_info
    delete_snapshot = folio_snapshots.delete_snapshot
    restore_snapshot = folio_snapshots.restore_snapshot
    compare_snapshots = folio_snapshots.compare_snapshots
    diff_from_snapshot = folio_snapshots.diff_from_snapshot
    reproduce_instructions = folio_snapshots.reproduce_instructions
    get_snapshot = folio_snapshots.get_snapshot

    export_snapshot = copy_folio.export_snapshot
    copy = copy_folio.copy

    # -- for people, and for users of DataFolio -------------------------------------------------------------

    describe = describing.describe

    get_item_path = datafolio.get_item_path
    get_data_path = datafolio.get_data_path
    cleanup_orphaned_versions = datafolio.cleanup_orphaned_versions
    cache_status = datafolio.cache_status
    clear_cache = datafolio.clear_cache
    invalidate_cache = datafolio.invalidate_cache
    refresh_cache = datafolio.refresh_cache


def folio_in(session: Session, name: str) -> Folio:
    """Return the folio of a name over an open session; it exists from its first item on."""
    return Folio._of(session, name)
