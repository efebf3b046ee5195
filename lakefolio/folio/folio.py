"""The folio: a named bundle of items in a lake, and what most users hold in their hands.

Code written for DataFolio 1.x works on it unchanged; ``tests/compat/test_datafolio_1x.py`` says what that
means and where, on purpose, it does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lakefolio.errors import InvalidInputError, NotFoundError, nearest
from lakefolio.folio.accessors import DataAccessor
from lakefolio.folio.adding import Adding
from lakefolio.folio.arranging import Arranging
from lakefolio.folio.copies import Copies
from lakefolio.folio.describe import describe_folio, describe_snapshot, snapshot_lines
from lakefolio.folio.metadata import FolioMetadata
from lakefolio.folio.places import is_location, open_place, with_suffix
from lakefolio.folio.reading import Reading
from lakefolio.format.names import check_folio
from lakefolio.model.changes import Annotate
from lakefolio.process.keywords import explains_keywords
from lakefolio.session.annotations import check_text, metadata_texts
from lakefolio.session.session import Session
from lakefolio.terminal import visible

if TYPE_CHECKING:
    from lakefolio.model.entries import Entry

__all__ = ["Folio"]

_TIMES = ("created_at", "updated_at")


@explains_keywords
class Folio(Adding, Reading, Arranging, Copies):
    """A named bundle of items. It exists from its first item, metadata or snapshot on.

    Every change is one commit, atomic and durable when the method returns; every read sees what anyone has
    committed before it. Safe to share between threads; any number of handles, threads and processes may work
    on one folio.

    >>> folio = Folio("experiments/clf_v1")
    >>> folio.add_table("clean", frame, inputs=["raw"]).add_json("config", {"lr": 0.01})
    >>> folio.get_table("clean", at="paper-v1")
    """

    def __init__(
        self,
        path: str | Path,
        folio: str | Mapping[str, Any] | None = None,
        random_suffix: bool = False,
        read_only: bool = False,
        cache_enabled: bool = False,
        cache_dir: str | Path | None = None,
        cache_ttl: float | None = None,
        use_https: bool = False,
        *,
        metadata: Mapping[str, Any] | None = None,
        storage_options: Mapping[str, Any] | None = None,
        create: bool = True,
        author: str | None = None,
        trust_references: str | Iterable[str] | None = None,
    ) -> None:
        """Open a folio.

        Args:
            path: With ``folio``: the lake. Alone, a name: a folio of the default lake. Alone, an absolute
                path or a
                URI: the folio of the lake that lies there, named by the last segment (see
                    ``places.open_place``).
            folio: The name of the folio in the lake ``path``. (A dict in this place is ``metadata``, as in
                DataFolio.)
            random_suffix: Append words to the name that make it new.
            read_only: Refuse to write.
            cache_enabled: Accepted for DataFolio. Local copies are always kept under their digest, so none is
                stale.
            cache_dir: Accepted for DataFolio; LAKEFOLIO_CACHE says where local copies are kept.
            cache_ttl: Accepted for DataFolio.
            use_https: Accepted for DataFolio.
            metadata: What to note of the folio if it is new; ignored if it exists.
            storage_options: Options of the store, as for ``lakefolio.open``.
            create: Whether lake and folio may be new; if not, NotFoundError says that they are missing.
            author: Who is noted as the author of commits.
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
        self._begin(session, name, None)
        self._set_up()
        if not create and not self._exists():
            folios = session.state().folios()
            raise NotFoundError(
                f"folio {name!r} does not exist in lake {session.uri}",
                kind="folio-not-found",
                hint=nearest(name, folios) or "the lake is empty",
                folio=name,
            )
        if metadata and not self._exists():
            session.annotate("folio", name, metadata)

    @classmethod
    def _of(cls, session: Session, name: str, snapshot: str | None = None) -> Self:
        """Make a folio over an open session."""
        self = cls.__new__(cls)
        self._begin(session, name, snapshot)
        self._set_up()
        return self

    def _set_up(self) -> None:
        self._opened_at = datetime.now(UTC)
        self._metadata = FolioMetadata(self._annotate)
        self._data = DataAccessor(self)

    # -- what it is ----------------------------------------------------------------------------------------

    @property
    def read_only(self) -> bool:
        """Whether writes are refused."""
        return self._session.read_only

    @property
    def in_snapshot_mode(self) -> bool:
        """Whether it was loaded from a snapshot."""
        return self._snapshot is not None

    @property
    def loaded_snapshot(self) -> str | None:
        """The snapshot it was loaded from, or None."""
        return self._snapshot

    @property
    def data(self) -> DataAccessor:
        """The items by attribute and key: ``folio.data.results.content``."""
        return self._data

    def __contains__(self, name: object) -> bool:
        """Say whether there is an item of that name, archived or not."""
        return isinstance(name, str) and self._reading.state().entry(self._name, name) is not None

    def __iter__(self) -> Iterator[str]:
        """Go through the names of the items in the order in which they were first added."""
        return iter(self._reading.state().names(self._name))

    def __len__(self) -> int:
        return len(self._reading.state().names(self._name))

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        text = f"DataFolio({self.path!r}"
        try:
            view = self._reading.state()
            text += f", items={len(view.names(self._name))}, snapshots={len(view.snapshots(self._name))})"
        except Exception:
            text += ", unreachable)"
        if self.read_only:
            text += " [READ-ONLY]"
        return text + (f" [snapshot: {self._snapshot}]" if self._snapshot else "")

    def _repr_html_(self) -> str:
        from lakefolio.render.notebook import folio_html

        return folio_html(self, [one for one in self._reading.state().entries(self._name) if not one.archived])

    def refresh(self) -> Self:
        """Bring ``metadata`` up to date. Every read looks for what others committed by itself."""
        self._show_metadata()
        return self

    @contextmanager
    def batch(self, message: str | None = None) -> Iterator[Self]:
        """Make all changes in the block one commit; an exception commits nothing.

        Reads through this folio, in the block, see its changes; nobody else does before its end.
        """
        self._check_writable()
        try:
            with self._session.batch(check_text(message, "message")):
                yield self
        except BaseException:
            self._show_metadata()
            raise
        finally:
            self._move_pin()

    # -- metadata ------------------------------------------------------------------------------------------

    @property
    def metadata(self) -> FolioMetadata:
        """The metadata of the folio: a dict whose changes are commits. Looking it up brings it up to date."""
        self._show_metadata()
        return self._metadata

    def _show_metadata(self) -> None:
        values = self._reading.metadata("folio", self._name)
        self._metadata.show(dict(zip(_TIMES, self._times(), strict=True)) | values)

    def _times(self) -> tuple[str, ...]:
        """Return when the folio was first and last changed, as far as it is known without asking the store."""
        import pyarrow.compute as pc

        reader = self._reading
        rows = (reader.journal.state if reader.pinned is None else reader.committed()).table()
        own = rows.column("committed_at").filter(pc.equal(rows.column("folio"), self._name))
        found = pc.min_max(own).as_py()
        return tuple((found[end] or self._opened_at).isoformat() for end in ("min", "max"))

    def _annotate(self, values: Mapping[str, Any], remove: Iterable[str], clear: bool) -> None:
        texts: dict[str, str | None] = dict(metadata_texts(values))
        texts |= dict.fromkeys(remove)
        if texts or clear:
            self._apply(Annotate("folio", self._name, texts, clear=clear))
        else:
            self._check_writable()
        self._show_metadata()

    # -- describing ----------------------------------------------------------------------------------------

    def describe(
        self,
        pattern: str | None = None,
        return_string: bool = False,
        show_empty: bool = False,
        max_metadata_fields: int = 10,
        snapshot: str | None = None,
        include_archived: bool = False,
        show_paths: bool = False,
    ) -> str | None:
        """Print what the folio holds, or return the text.

        Args:
            pattern: A glob that the names must match, such as ``examples/*``.
            return_string: Return the text instead of printing it.
            show_empty: Show sections without items too.
            max_metadata_fields: How many metadata fields to show.
            snapshot: Describe this snapshot instead.
            include_archived: Show archived items too.
            show_paths: Show where each item can be read; fetches the items that have no local copy yet.
        """
        with self.pinned():
            text = (
                self._description(pattern, show_empty, max_metadata_fields, include_archived, show_paths)
                if snapshot is None
                else self._description_of(snapshot)
            )
        text = visible(text)
        if return_string:
            return text
        print(text)
        return None

    def _description(
        self,
        pattern: str | None,
        show_empty: bool,
        max_metadata_fields: int,
        include_archived: bool,
        show_paths: bool,
    ) -> str:
        reader = self._reading
        view = reader.state()
        head = []
        if self._snapshot is not None:
            head += [*snapshot_lines(self.get_snapshot_info(self._snapshot)), ""]
        if self.read_only:
            head += ["[READ-ONLY MODE]", ""]
        text = describe_folio(
            self._name,
            lake=self._session.uri,
            version=view.version,
            metadata=dict(self.metadata),
            snapshots=self.list_snapshots(),
            items=self._infos(view.entries(self._name), include_archived),
            pattern=pattern,
            show_empty=show_empty,
            max_metadata_fields=max_metadata_fields,
            path_of=self.item_path if show_paths else None,
        )
        return "\n".join([*head, text])

    def _infos(self, entries: Iterable[Entry], include_archived: bool) -> list[dict[str, Any]]:
        return [
            self._info(self._reading, entry, snapshots=False)
            for entry in entries
            if include_archived or not entry.archived
        ]

    def _description_of(self, snapshot: str) -> str:
        info = self.get_snapshot_info(snapshot)
        then = self._session_of(self._snapshot_named(snapshot))
        items = [self._info(then, entry, snapshots=False) for entry in then.state().entries(self._name)]
        return describe_snapshot(info, items)

    # -- snapshots as folios --------------------------------------------------------------------

    def get_snapshot(self, snapshot: str) -> Self:
        """Return the folio as it was at a snapshot, read-only.

        Raises:
            NotFoundError: There is no such snapshot.
        """
        found = self._snapshot_named(snapshot)
        return type(self)._of(self._session_of(found), self._name, snapshot)

    @classmethod
    def load_snapshot(cls, bundle_dir: str | Path, snapshot: str, **options: Any) -> Self:
        """Open a folio as it was at a snapshot, read-only.

        Args:
            bundle_dir: Where the folio lies, or its name in the default lake.
            snapshot: The snapshot.
            **options: What opening a folio takes besides (``folio``, ``storage_options``).
        """
        return cls(bundle_dir, read_only=True, **options).get_snapshot(snapshot)

    # -- what DataFolio users may still call ---------------------------------------------------------------

    def cache_status(self, item_name: str | None = None) -> dict[str, Any] | None:
        """Return None, as DataFolio does without a cache: local copies are never stale."""
        return None

    def clear_cache(self, item_name: str | None = None) -> None:
        """Do nothing: local copies are verified at each use, bounded, and may be deleted at any time."""

    def invalidate_cache(self, item_name: str) -> None:
        """Do nothing; see ``clear_cache``."""

    def refresh_cache(self, item_name: str) -> None:
        """Do nothing; see ``clear_cache``."""
