"""Snapshots of one folio: protected names of lake versions. Taking one copies nothing.

All functions that take the name of a snapshot raise NotFoundError (a KeyError), naming the nearest, if there is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lakefolio.errors import InvalidInputError
from lakefolio.folio.open_folio import SelfT
from lakefolio.folio.reproduction import reproduction_steps
from lakefolio.format.names import check_snapshot
from lakefolio.model.changes import DropSnapshot, Restore, TakeSnapshot
from lakefolio.model.resolve import snapshot_not_found
from lakefolio.process.provenance import snapshot_environment, snapshot_execution, snapshot_git
from lakefolio.session.annotations import Tags, check_tags, check_text

if TYPE_CHECKING:
    from lakefolio.folio.folio import Folio
    from lakefolio.model.entries import Snapshot
    from lakefolio.session.session import Session

__all__ = [
    "compare_snapshots",
    "create_snapshot",
    "delete_snapshot",
    "diff_from_snapshot",
    "get_snapshot",
    "get_snapshot_info",
    "list_snapshots",
    "reproduce_instructions",
    "restore_snapshot",
    "session_at",
    "snapshot_named",
]

_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_TIMES = ("created_at", "updated_at", "_datafolio")


def create_snapshot(
    folio: SelfT,
    /,
    name: str,
    description: str | None = None,
    tags: Tags = None,
    capture_git: bool = True,
    capture_environment: bool = False,
    capture_execution: bool = False,
) -> SelfT:
    """Give the present state a name that protects it, in one commit.

    Args:
        name: Letters, digits, ``.``, ``_`` and ``-``, at most 100; not a number and not a time.
        description: Why it was taken.
        capture_git: Note commit, branch and remote (without credentials) of the git work tree here, if
            any.
        capture_environment: Note the Python version, the platform and the pinned requirements.
        capture_execution: Note the command line and the working directory.

    Raises:
        AlreadyExistsError: The folio has a snapshot of that name.
        InvalidInputError: The name can't be used.
    """
    folio._core.check_writable()
    if isinstance(name, str) and not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"snapshot name {name[:120]!r} can't be used",
            kind="bad-name",
            hint="use letters, digits, '.', '_' and '-', at most 100",
            name=name,
        )
    extra: dict[str, object] = {}
    if capture_git and (git := snapshot_git()):
        extra["git"] = git
    if capture_environment:
        extra["environment"] = snapshot_environment()
    if capture_execution:
        extra["execution"] = snapshot_execution()
    folio._core.apply(
        TakeSnapshot(
            name=check_snapshot(name),
            folio=folio.name,
            message=check_text(description, "description") or None,
            tags=check_tags(tags),
            extra=extra,
        )
    )
    return folio


def list_snapshots(folio: Folio, /) -> list[dict[str, Any]]:
    """Return the snapshots, newest first: ``name timestamp description tags num_items`` of each."""
    return [
        {
            "name": one.name,
            "timestamp": one.committed_at.isoformat(),
            "description": one.message,
            "tags": list(one.tags),
            "num_items": _count_in(folio, one),
        }
        for one in reversed(folio._core.reading.state().snapshots(folio.name))
    ]


def _count_in(folio: Folio, snapshot: Snapshot) -> int:
    """Return how many items a snapshot holds. A version never changes, so it is counted once."""
    count = folio._core.counts.get(snapshot.target_version)
    if count is None:
        count = len(_session_at(folio, snapshot).state().names(folio.name))
        if not _is_pending(folio, snapshot):
            folio._core.counts[snapshot.target_version] = count
    return count


def get_snapshot_info(folio: Folio, /, snapshot: str) -> dict[str, Any]:
    """Return all that is known about a snapshot.

    Returns:
        ``name timestamp tags version item_versions metadata_snapshot``, and where there is any
        ``description author git environment execution``. ``item_versions`` maps each item to what
        identifies its content.
    """
    found = snapshot_named(folio, snapshot)
    info: dict[str, object] = {
        "name": found.name,
        "timestamp": found.committed_at.isoformat(),
        "tags": list(found.tags),
        "version": found.target_version,
        "item_versions": _contents(folio, _session_at(folio, found)),
        "metadata_snapshot": _metadata_at(folio, found),
    }
    said = {"description": found.message, "author": found.author}
    info |= {key: value for key, value in said.items() if value}
    return info | {key: value for key, value in found.extra.items() if key not in info}


def delete_snapshot(folio: SelfT, /, name: str, cleanup_orphans: bool = False) -> SelfT:
    """Give up a snapshot's name and protection, in one commit. No content goes away.

    Args:
        name: The snapshot.
        cleanup_orphans: Accepted for DataFolio; ``Lake.gc`` frees unused content.
    """
    folio._core.apply(DropSnapshot(name, folio.name))
    return folio


def restore_snapshot(folio: SelfT, /, snapshot: str, confirm: bool = False) -> SelfT:
    """Restore items and metadata to the state of a snapshot, in one new commit.

    Nothing of the history is lost, so another restore undoes it.

    Args:
        confirm: Must be True.

    Raises:
        InvalidInputError: ``confirm`` is not True.
    """
    folio._core.check_writable()
    found = snapshot_named(folio, snapshot)
    if not confirm:
        raise InvalidInputError(
            f"restoring snapshot {snapshot!r} needs confirm=True",
            kind="not-confirmed",
            hint="it replaces the present items and metadata; the history keeps them",
            snapshot=snapshot,
        )
    folio._core.apply(Restore(found.target_version, folio.name), message=f"restore {folio.name} to {snapshot}")
    return folio


# -- comparing -----------------------------------------------------------------------------------------


def compare_snapshots(folio: Folio, /, snapshot1: str, snapshot2: str) -> dict[str, Any]:
    """Return how the second snapshot differs from the first.

    Args:
        snapshot1: The name of the first.
        snapshot2: The name of the second.

    Returns:
        ``added_items removed_items modified_items shared_items`` (sorted names) and ``metadata_changes``
        (key -> (value in the first, value in the second)).
    """
    first, second = snapshot_named(folio, snapshot1), snapshot_named(folio, snapshot2)
    return _difference(
        _contents(folio, _session_at(folio, first)),
        _contents(folio, _session_at(folio, second)),
        _metadata_at(folio, first),
        _metadata_at(folio, second),
        same="shared_items",
    )


def diff_from_snapshot(folio: Folio, /, snapshot: str | None = None) -> dict[str, Any]:
    """Return how the present state differs from a snapshot, by default the newest.

    Returns:
        ``snapshot_name added_items removed_items modified_items unchanged_items metadata_changes``.

    Raises:
        InvalidInputError: There is no snapshot at all.
    """
    found = _newest(folio) if snapshot is None else snapshot_named(folio, snapshot)
    return {"snapshot_name": found.name} | _difference(
        _contents(folio, _session_at(folio, found)),
        _contents(folio, folio._core.reading),
        _metadata_at(folio, found),
        folio._core.reading.metadata("folio", folio.name),
        same="unchanged_items",
    )


def reproduce_instructions(folio: Folio, /, snapshot: str | None = None) -> str:
    """Return, for people, the steps that lead back to a snapshot's code, environment and results.

    Raises:
        InvalidInputError: There is no snapshot at all.
    """
    name = _newest(folio).name if snapshot is None else snapshot
    return reproduction_steps(folio.get_snapshot_info(name))


# -- finding -------------------------------------------------------------------------------------------


def snapshot_named(folio: Folio, name: str) -> Snapshot:
    """Return a snapshot; NotFoundError, naming the nearest, if there is none."""
    view = folio._core.reading.state()
    found = view.snapshot(folio.name, name)
    if found is None:
        raise snapshot_not_found(view, folio.name, name)
    return found


def _newest(folio: Folio) -> Snapshot:
    found = folio._core.reading.state().snapshots(folio.name)
    if not found:
        raise InvalidInputError(
            f"folio {folio.name!r} has no snapshot",
            kind="no-snapshot",
            hint="take one with create_snapshot()",
        )
    return found[-1]


def _is_pending(folio: Folio, snapshot: Snapshot) -> bool:
    return snapshot.target_version > folio._core.reading.journal.state.version


def get_snapshot(folio: SelfT, /, snapshot: str) -> SelfT:
    """Return the folio as it was at a snapshot, read-only.

    Raises:
        NotFoundError: There is no such snapshot.
    """
    return type(folio)._of(session_at(folio, snapshot), folio.name, snapshot)


def session_at(folio: Folio, snapshot: str) -> Session:
    """Return a session fixed to a snapshot; NotFoundError if there is none of that name."""
    return _session_at(folio, snapshot_named(folio, snapshot))


def _session_at(folio: Folio, snapshot: Snapshot) -> Session:
    """Return a session fixed to a snapshot; for one that the open batch takes, the batch's own."""
    reader = folio._core.reading
    return reader if _is_pending(folio, snapshot) else reader.fixed(snapshot.target_version)


def _contents(folio: Folio, reader: Session) -> dict[str, str]:
    """Return the identity of each item's content: its digest, or the id of its entry."""
    listing = reader.state().listing(folio.name, ("item", "digest", "entry_id"))
    return {item: digest or f"entry:{entry_id}" for item, digest, entry_id in listing}


def _metadata_at(folio: Folio, snapshot: Snapshot) -> dict[str, object]:
    return _session_at(folio, snapshot).metadata("folio", folio.name)


def _difference(
    old: Mapping[str, str],
    new: Mapping[str, str],
    words_then: Mapping[str, object],
    words_now: Mapping[str, object],
    same: str,
) -> dict[str, object]:
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
