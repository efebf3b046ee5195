"""Data files of a Delta table that no version needs any more (FORMAT.md, "Maintenance").

A file carries the version it was written for in its name, and only the log entry of that version may name it. Once that
version exists, a file that is not active was replaced, or its writer lost or died: no later entry can name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from lakefolio.format.layout import data_file_version, table_prefix

if TYPE_CHECKING:
    from lakefolio.delta.table import DeltaTable
    from lakefolio.storage import ObjectInfo

__all__ = ["needless_files"]


def needless_files(table: DeltaTable, listed: Iterable[ObjectInfo], before_ms: int) -> Iterator[ObjectInfo]:
    """Yield those of some objects below a table that are data files which no version needs.

    Args:
        table: The table; its log has been read, and what its checkpoint says was compared with the log.
        listed: The objects that were listed below it after that.
        before_ms: Files that were replaced later than this stay for readers under way. Milliseconds since 1970.
    """
    within = table_prefix(table.name) + "/"
    active = {file.path for file in table.known_files}
    replaced = table.replaced
    for info in listed:
        path = info.key.removeprefix(within)
        version = data_file_version(path)
        if version is None or version > table.version or path in active:
            continue
        if replaced.get(path, 0) <= before_ms:
            yield info
