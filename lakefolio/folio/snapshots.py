"""The part of a folio that takes, compares and restores snapshots, and read-only views of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from lakefolio.errors import InvalidInputError
from lakefolio.folio.base import FolioBase
from lakefolio.folio.putting import Tags
from lakefolio.folio.reproduction import reproduction_steps
from lakefolio.format.names import check_snapshot
from lakefolio.model.changes import DropSnapshot, Restore, TakeSnapshot
from lakefolio.model.resolve import snapshot_not_found
from lakefolio.process.provenance import snapshot_environment, snapshot_execution, snapshot_git
from lakefolio.session.annotations import check_tags, check_text

if TYPE_CHECKING:
    from lakefolio.folio import Folio
    from lakefolio.model.entries import Snapshot
    from lakefolio.session.session import Session

__all__ = ["SnapshotAccessor", "SnapshotView", "Snapshots"]

_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_TIMES = ("created_at", "updated_at", "_datafolio")


class Snapshots(FolioBase):
    """Snapshots of one folio: protected names of lake versions. Taking one copies nothing.

    All methods that take the name of a snapshot raise NotFoundError (a KeyError), naming the nearest, if
    there is none.
    """

    def create_snapshot(
        self,
        name: str,
        description: str | None = None,
        tags: Tags = None,
        capture_git: bool = True,
        capture_environment: bool = False,
        capture_execution: bool = False,
    ) -> Self:
        """Give the present state a name that protects it, in one commit.

        Args:
            name: Letters, digits, ``.``, ``_`` and ``-``, at most 100; not a number and not a time.
            description: Why it was taken.
            tags: Words to find it by.
            capture_git: Note commit, branch and remote (without credentials) of the git work tree here, if
                any.
            capture_environment: Note the Python version, the platform and the pinned requirements.
            capture_execution: Note the command line and the working directory.

        Raises:
            AlreadyExistsError: The folio has a snapshot of that name.
            InvalidInputError: The name can't be used.
        """
        self._check_writable()
        if isinstance(name, str) and not _NAME.fullmatch(name):
            raise InvalidInputError(
                f"snapshot name {name[:120]!r} can't be used",
                kind="bad-name",
                hint="use letters, digits, '.', '_' and '-', at most 100",
                name=name,
            )
        extra: dict[str, Any] = {}
        if capture_git and (git := snapshot_git()):
            extra["git"] = git
        if capture_environment:
            extra["environment"] = snapshot_environment()
        if capture_execution:
            extra["execution"] = snapshot_execution()
        self._apply(
            TakeSnapshot(
                name=check_snapshot(name),
                folio=self._name,
                message=check_text(description, "description") or None,
                tags=check_tags(tags),
                extra=extra,
            )
        )
        return self

    @property
    def snapshots(self) -> SnapshotAccessor:
        """The snapshots by name: ``folio.snapshots["v1"].get_table("results")``."""
        return SnapshotAccessor(self)

    def list_snapshots(self) -> list[dict[str, Any]]:
        """Return the snapshots, newest first: ``name timestamp description tags num_items`` of each."""
        return [
            {
                "name": one.name,
                "timestamp": one.committed_at.isoformat(),
                "description": one.message,
                "tags": list(one.tags),
                "num_items": self._count_in(one),
            }
            for one in reversed(self._reading.state().snapshots(self._name))
        ]

    def _count_in(self, snapshot: Snapshot) -> int:
        """Return how many items a snapshot holds; what a version holds never changes, so it is counted once."""
        count = self._counts.get(snapshot.target_version)
        if count is None:
            count = len(self._session_of(snapshot).state().names(self._name))
            if not self._is_pending(snapshot):
                self._counts[snapshot.target_version] = count
        return count

    def get_snapshot_info(self, snapshot: str) -> dict[str, Any]:
        """Return all that is known about a snapshot.

        Returns:
            ``name timestamp tags version item_versions metadata_snapshot``, and where there is any
            ``description author git environment execution``. ``item_versions`` maps each item to what
            identifies its content.
        """
        found = self._snapshot_named(snapshot)
        info: dict[str, Any] = {
            "name": found.name,
            "timestamp": found.committed_at.isoformat(),
            "tags": list(found.tags),
            "version": found.target_version,
            "item_versions": self._contents(self._session_of(found)),
            "metadata_snapshot": self._metadata_at(found),
        }
        for key, value in (("description", found.message), ("author", found.author)):
            if value:
                info[key] = value
        return info | {key: value for key, value in found.extra.items() if key not in info}

    def delete_snapshot(self, name: str, cleanup_orphans: bool = False) -> Self:
        """Give up a snapshot's name and protection, in one commit. No content goes away.

        Args:
            name: The snapshot.
            cleanup_orphans: Accepted for DataFolio; ``Lake.gc`` frees what nothing needs.
        """
        self._apply(DropSnapshot(name, self._name))
        return self

    def cleanup_orphaned_versions(self, dry_run: bool = False) -> list[str]:
        """Return no names: what nothing needs any more is found and freed by ``Lake.gc``, for the whole lake."""
        return []

    def restore_snapshot(self, snapshot: str, confirm: bool = False) -> Self:
        """Bring items and metadata back to what they were, in one new commit.

        Nothing of the history is lost, so another restore undoes it.

        Args:
            snapshot: The snapshot.
            confirm: Must be True.

        Raises:
            InvalidInputError: ``confirm`` is not True.
        """
        self._check_writable()
        found = self._snapshot_named(snapshot)
        if not confirm:
            raise InvalidInputError(
                f"restoring snapshot {snapshot!r} needs confirm=True",
                kind="not-confirmed",
                hint="it replaces the present items and metadata; the history keeps them",
                snapshot=snapshot,
            )
        self._apply(Restore(found.target_version, self._name), message=f"restore {self._name} to {snapshot}")
        return self

    # -- comparing -----------------------------------------------------------------------------------------

    def compare_snapshots(self, snapshot1: str, snapshot2: str) -> dict[str, Any]:
        """Return how the second snapshot differs from the first.

        Returns:
            ``added_items removed_items modified_items shared_items`` (sorted names) and ``metadata_changes``
            (key -> (value in the first, value in the second)).
        """
        first, second = self._snapshot_named(snapshot1), self._snapshot_named(snapshot2)
        return _difference(
            self._contents(self._session_of(first)),
            self._contents(self._session_of(second)),
            self._metadata_at(first),
            self._metadata_at(second),
            same="shared_items",
        )

    def diff_from_snapshot(self, snapshot: str | None = None) -> dict[str, Any]:
        """Return how the present state differs from a snapshot, by default the newest.

        Returns:
            ``snapshot_name added_items removed_items modified_items unchanged_items metadata_changes``.

        Raises:
            InvalidInputError: There is no snapshot at all.
        """
        found = self._newest() if snapshot is None else self._snapshot_named(snapshot)
        return {"snapshot_name": found.name} | _difference(
            self._contents(self._session_of(found)),
            self._contents(self._reading),
            self._metadata_at(found),
            self._reading.metadata("folio", self._name),
            same="unchanged_items",
        )

    def reproduce_instructions(self, snapshot: str | None = None) -> str:
        """Return, for people, the steps that lead back to a snapshot's code, environment and results.

        Raises:
            InvalidInputError: There is no snapshot at all.
        """
        name = self._newest().name if snapshot is None else snapshot
        return reproduction_steps(self.get_snapshot_info(name))

    # -- finding -------------------------------------------------------------------------------------------

    def _snapshot_named(self, name: str) -> Snapshot:
        view = self._reading.state()
        found = view.snapshot(self._name, name)
        if found is None:
            raise snapshot_not_found(view, self._name, name)
        return found

    def _newest(self) -> Snapshot:
        found = self._reading.state().snapshots(self._name)
        if not found:
            raise InvalidInputError(
                f"folio {self._name!r} has no snapshot",
                kind="no-snapshot",
                hint="take one with create_snapshot()",
            )
        return found[-1]

    def _is_pending(self, snapshot: Snapshot) -> bool:
        return snapshot.target_version > self._reading.journal.state.version

    def _session_of(self, snapshot: Snapshot) -> Session:
        """Return a session fixed to a snapshot; for one that the open batch takes, the batch's own."""
        reader = self._reading
        return reader if self._is_pending(snapshot) else reader.fixed(snapshot.target_version)

    def _contents(self, reader: Session) -> dict[str, str]:
        """Return, for each item, what identifies its content."""
        listing = reader.state().listing(self._name, ("item", "digest", "entry_id"))
        return {item: digest or f"entry:{entry_id}" for item, digest, entry_id in listing}

    def _metadata_at(self, snapshot: Snapshot) -> dict[str, Any]:
        return self._session_of(snapshot).metadata("folio", self._name)


class SnapshotView:
    """One snapshot of a folio, to be read. What it shows never changes."""

    def __init__(self, folio: Snapshots, name: str) -> None:
        self._folio = folio
        self._info = folio.get_snapshot_info(name)

    @property
    def name(self) -> str:
        """Its name."""
        return str(self._info["name"])

    @property
    def description(self) -> str | None:
        """Why it was taken."""
        return self._info.get("description")

    @property
    def tags(self) -> list[str]:
        """Its tags."""
        return list(self._info["tags"])

    @property
    def timestamp(self) -> str:
        """When it was taken, ISO 8601 in UTC."""
        return str(self._info["timestamp"])

    @property
    def version(self) -> int:
        """The lake version that it protects."""
        return int(self._info["version"])

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata that the folio had."""
        return dict(self._info["metadata_snapshot"])

    @property
    def item_versions(self) -> dict[str, str]:
        """The items that the folio had, each with what identifies its content."""
        return dict(self._info["item_versions"])

    @property
    def folio(self) -> Folio:
        """The folio as it was, read-only."""
        found: Folio = self._folio.get_snapshot(self.name)  # type: ignore[attr-defined]
        return found

    def get(self, name: str, **options: Any) -> Any:
        """Return an item as it was."""
        return self.folio.get_data(name, **options)

    def get_table(self, name: str, **options: Any) -> Any:
        """Return a table as it was."""
        return self.folio.get_table(name, **options)

    def __repr__(self) -> str:
        return f"SnapshotView({self.name!r}, version={self.version}, items={len(self.item_versions)})"


class SnapshotAccessor(Mapping[str, SnapshotView]):
    """The snapshots of a folio as a read-only mapping, oldest first."""

    def __init__(self, folio: Snapshots) -> None:
        self._folio = folio

    def _names(self) -> list[str]:
        return [one.name for one in self._folio._reading.state().snapshots(self._folio._name)]

    def __getitem__(self, name: str) -> SnapshotView:
        return SnapshotView(self._folio, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def _ipython_key_completions_(self) -> list[str]:
        return self._names()

    def __repr__(self) -> str:
        return f"SnapshotAccessor({', '.join(self._names()) or 'no snapshots'})"


def _difference(
    old: Mapping[str, str],
    new: Mapping[str, str],
    words_then: Mapping[str, Any],
    words_now: Mapping[str, Any],
    same: str,
) -> dict[str, Any]:
    both = sorted(old.keys() & new.keys())
    keys = [key for key in dict.fromkeys([*words_then, *words_now]) if key not in _TIMES]
    return {
        "added_items": sorted(new.keys() - old.keys()),
        "removed_items": sorted(old.keys() - new.keys()),
        "modified_items": [name for name in both if old[name] != new[name]],
        same: [name for name in both if old[name] == new[name]],
        "metadata_changes": {
            key: (words_then.get(key), words_now.get(key)) for key in keys if words_then.get(key) != words_now.get(key)
        },
    }
