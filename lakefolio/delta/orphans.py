"""Data files and checkpoints of a Delta table that no version needs any more (FORMAT.md, "Maintenance").

A file carries the version it was written for in its name, and only the log entry of that version may name it. Once that
version exists, a file that is not active was replaced, or its writer lost or died: no later entry can name it.
Of the checkpoints readers take the one that ``_last_checkpoint`` names; the one before is left for readers under way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from lakefolio.format.layout import checkpoint_version, data_file_version, table_prefix

if TYPE_CHECKING:
    from lakefolio.delta.table import DeltaTable
    from lakefolio.storage import ObjectInfo

__all__ = ["needless_checkpoints", "needless_files"]


def needless_files(table: DeltaTable, listed: Iterable[ObjectInfo], before_ms: int) -> Iterator[ObjectInfo]:
    """Yield the listed data files and checkpoints of a table that no version needs.

    Args:
        table: The table; its log has been read, and what its checkpoint says was compared with the log.
        listed: The objects that were listed below it after that.
        before_ms: Files that were replaced later than this stay for readers under way. Milliseconds since 1970.
    """
    within = table_prefix(table.name) + "/"
    active = {file.path for file in table.files.listed}
    replaced = table.files.replaced
    logged: list[ObjectInfo] = []
    for info in listed:
        if checkpoint_version(info.key) is not None:
            logged.append(info)
        path = info.key.removeprefix(within)
        version = data_file_version(path)
        if version is None or version > table.version or path in active:
            continue
        if replaced.get(path, 0) <= before_ms:
            yield info
    yield from needless_checkpoints(logged, table.files.checkpoint_version)


def needless_checkpoints(listed: Iterable[ObjectInfo], named: int) -> list[ObjectInfo]:
    """Return the listed checkpoints of one table that are older than the one before ``named``.

    Args:
        listed: What was listed in the table.
        named: The version that ``_last_checkpoint`` names, whose checkpoint is as it should be; below 0 for none.
    """
    versions = {version: info for info in listed if (version := checkpoint_version(info.key)) is not None}
    older = sorted(version for version in versions if version < named)
    return [versions[version] for version in older[:-1]]
