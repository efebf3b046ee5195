"""Removing purged inline content from the data files that hold it (FORMAT.md, "Inline content").

A file is replaced by one with the same rows but for that content. The old file is deleted like every data file that no
version needs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from lakefolio.errors import IntegrityError
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.journal.inline_content import without_purged

if TYPE_CHECKING:
    from lakefolio.delta.table import DeltaTable

__all__ = ["erase"]

_LOOKED_AT: Final = pa.schema(
    [MANIFESTS_SCHEMA.field(name) for name in ("version", "storage", "blob_digest", "generation", "content")]
)
_TRIES: Final = 20


def erase(table: DeltaTable, generation: Callable[[str], int], last_purge: int, *, dry_run: bool = False) -> int:
    """Rewrite the data files of the journal that hold purged inline content, and return how many there were.

    Idempotent. Each rewriting is atomic and verified, and loses a race without harm: it is tried again on the files of
    the newest version.

    Args:
        table: The journal's table; its log has been read. Nobody else uses this handle.
        generation: Gives the lowest generation of a digest that was not purged.
        last_purge: The newest version that purged inline content; files of later versions alone hold none.
        dry_run: Only count.

    Raises:
        IntegrityError: If a data file is missing or damaged.
    """
    lock = threading.RLock()
    count = 0
    for _ in range(_TRIES):
        beaten = False
        for file in table.files.listed:
            if file.versions is not None and file.versions[0] > last_purge:
                continue
            try:
                rows = table.objects.read([file], _LOOKED_AT, whole=True)
            except IntegrityError as exc:
                if not table.outdated(exc):
                    raise
                beaten = True
                break
            if without_purged(rows, generation) is rows:
                continue
            if dry_run or table.merge([file], lock, lambda rows: without_purged(rows, generation)):
                count += 1
            else:
                beaten = True
                break
        if not beaten:
            break
        table.poll()
    return count
