"""The data files that a Delta table has at one version, as its log says (pure: no I/O)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from lakefolio.delta.actions import DataFile, LogEntry, Total, check_protocol, file_of, metadata_of, removed_by
from lakefolio.delta.checkpoint import actions_in
from lakefolio.errors import IntegrityError
from lakefolio.render.text import counted

if TYPE_CHECKING:
    from typing import Self

__all__ = ["FileSet"]

_KEPT_TOMBSTONES: Final = 500
"""A checkpoint with all of them would be as large as the history is long."""


class FileSet:
    """The active data files, and those that were replaced recently. Not thread-safe: its owner holds a lock.

    Attributes:
        table: The name of the table.
        version: The version, -1 before the first.
        checkpoint_version: The version of the checkpoint that it began with or that was written since, else -1.
        active: Path -> data file.
        tombstones: Path -> replaced file, and the time of that in milliseconds since 1970; the newest 500.
        total: Of the active files.
        metadata: The metadata of the table.
    """

    def __init__(self, table: str) -> None:
        self.table = table
        self.version = self.checkpoint_version = -1
        self.active: dict[str, DataFile] = {}
        self.tombstones: dict[str, tuple[DataFile, int]] = {}
        self.total = Total()
        self.metadata: dict[str, Any] = {}

    @classmethod
    def of_checkpoint(cls, table: str, version: int, body: bytes) -> Self:
        """Return the files that a checkpoint names; raises what Arrow and the checks of its actions raise."""
        found = cls(table)
        for kind, action in actions_in(body):
            if kind == "protocol":
                check_protocol(action, table)
            elif kind == "metaData":
                found.metadata = metadata_of(action)
            elif kind == "add":
                file = file_of(action, version)
                found.active[file.path] = file
            else:
                path, size, when = removed_by(action)
                found.tombstones[path] = (DataFile(path, size, 0, "", 0), when)
        found._forget_tombstones()
        found.total = Total().with_changes(found.active.values(), ())
        found.version = found.checkpoint_version = version
        return found

    @property
    def listed(self) -> list[DataFile]:
        """The active files."""
        return list(self.active.values())

    @property
    def sizes(self) -> dict[str, int]:
        """The paths of the active files with their sizes in bytes."""
        return {file.path: file.size_bytes for file in self.active.values()}

    @property
    def replaced(self) -> dict[str, int]:
        """The paths of recently replaced files with the time of their replacement, in milliseconds since 1970."""
        return {path: at for path, (_, at) in self.tombstones.items()}

    def with_version(self, version: int) -> list[DataFile]:
        """Return the data files that may hold rows of a version, first those that hold no others.

        Recently replaced files are among them: they are smaller than their replacements.
        """
        known = [*(file for file, _ in self.tombstones.values() if file.versions), *self.active.values()]
        found = [file for file in known if file.versions is None or file.versions[0] <= version <= file.versions[1]]
        return sorted(found, key=lambda file: (file.versions or (-1, -1)) != (version, version))

    def between(self, version: int, upto: int | None) -> Sequence[DataFile]:
        """Return the active files that may hold rows after a version, and up to another if given, the oldest first."""
        found = [
            file
            for file in self.active.values()
            if file.versions is None or (file.versions[1] > version and (upto is None or file.versions[0] <= upto))
        ]
        return sorted(found, key=lambda file: -1 if file.versions is None else file.versions[0])

    def replay(self, entry: LogEntry, total: Total | None = None) -> None:
        """Move on by a log entry; ``total`` is that of the table from then on, if the caller made it up already."""
        removed = [gone for path in entry.removed if (gone := self.active.pop(path, None)) is not None]
        for gone in removed:
            self.tombstones[gone.path] = (gone.without_rows(), entry.removed[gone.path])
        if len(self.tombstones) > _KEPT_TOMBSTONES:
            self._forget_tombstones()
        if entry.metadata is not None:
            self.metadata = dict(entry.metadata)
        added = (*entry.added, *entry.compacted)
        for file in added:
            self.active[file.path] = file
        self.total = self.total.with_changes(added, removed) if total is None else total
        self.version = entry.version

    def _forget_tombstones(self) -> None:
        """Keep the newest: the order of a dict is that of insertion."""
        for path in list(self.tombstones)[: max(0, len(self.tombstones) - _KEPT_TOMBSTONES)]:
            del self.tombstones[path]

    def differs(self, key: str, kind: str, found: Total) -> IntegrityError:
        """Return the error for an object that claims another total than the log leads to."""
        expected = self.total
        return IntegrityError(
            f"{key} says that table {self.table!r} has {counted(found.files, 'file')} with "
            f"{counted(found.rows, 'row')}, by the log it has {expected.files:,} with {expected.rows:,}"
            + ("" if found.digest == expected.digest else ", not all the same"),
            kind=kind,
            hint="delete the checkpoint, the log tells all"
            if kind == "checkpoint-differs"
            else "restore the table from a copy",
            key=key,
            table=self.table,
        )
