"""A check of a Delta table: its log, read from its start, against its checkpoint and its totals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefolio.delta.checkpoint import parse_pointer
from lakefolio.errors import IntegrityError
from lakefolio.format.layout import checkpoint_key, log_key, pointer_key

if TYPE_CHECKING:
    from lakefolio.delta.log import DeltaLog

__all__ = ["audit"]


def audit(table: DeltaLog) -> None:
    """Read the log from its start and compare its checkpoint and totals with it; the data files are not read.

    The handle is at the newest version then, also if the log can be read and says something else than it should.

    Raises:
        FormatError: If the table is missing.
        IntegrityError: kind ``log-differs``, if a log entry says of the table what does not follow from the log;
            kind ``checkpoint-differs``, if the checkpoint holds other files than the log; kind
            ``checkpoint-damaged``, if it can't be read. This library reads the log then, other readers fail.
    """
    place = pointer_key(table.name)
    named = table.store.find(place)
    pointer = parse_pointer(named)
    claimed = None if pointer is None else table.checkpointed(*pointer)
    problem: IntegrityError | None = None
    for entry in table.replayed():
        if problem is not None:
            continue
        if entry.total is not None and entry.total != table.files.total:
            problem = table.files.differs(log_key(table.name, entry.version), "log-differs", entry.total)
        elif claimed is not None and entry.version == claimed.version and claimed.total != table.files.total:
            key = checkpoint_key(table.name, entry.version)
            problem = table.files.differs(key, "checkpoint-differs", claimed.total)
    if problem is not None:
        raise problem
    if table.version < 0:
        raise table.missing()
    if named is not None and claimed is None:
        key = place if pointer is None else checkpoint_key(table.name, pointer[0])
        raise IntegrityError(
            f"{key} is missing or damaged: nothing is lost, but other readers of the Delta table "
            f"{table.name!r} may not open it",
            kind="checkpoint-damaged",
            hint="lakefolio compact writes another",
            key=key,
            table=table.name,
        )
