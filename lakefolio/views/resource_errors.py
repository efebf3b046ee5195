"""DuckDB's lack of room as an error of this library: of memory, or of space for what it spills.

Such an error says nothing of the statement, nor of the rows: another machine, or the same one later, answers.
"""

from __future__ import annotations

import re
from typing import Final

from lakefolio.errors import StorageError
from lakefolio.views.sql_guard import first_line

__all__ = ["resource_error"]

_OF_LIMIT: Final = re.compile(r"/\s*([\d.]+ [A-Za-z]+) used\)")
_NO_FOLDER: Final = "no temporary directory is specified"
_SPILLED: Final = ("max_temp_directory_size", "failed to offload", "No space left", "Disk quota exceeded")


def resource_error(exc: Exception, what: str) -> StorageError | None:
    """Return the error to raise if DuckDB failed for lack of room; None if it did for another reason.

    Args:
        exc: What DuckDB raised.
        what: What it was doing, as the subject of the message.

    Returns:
        Of kind ``no-memory``, or ``no-scratch`` if its temporary files have no room.
    """
    import duckdb

    text = str(exc)
    if not isinstance(exc, duckdb.OutOfMemoryException) and not any(one in text for one in _SPILLED[2:]):
        return None
    if any(one in text for one in _SPILLED):
        return StorageError(
            f"{what} has no room for temporary files: {first_line(exc)}",
            kind="no-scratch",
            hint="free some space, or set TMPDIR to a folder with more",
        )
    limit = _OF_LIMIT.search(text)
    held = f"the {limit[1]} that DuckDB may hold" if limit else "DuckDB may hold"
    if _NO_FOLDER in text:
        hint = "set TMPDIR to a folder that can be written to: DuckDB then keeps there what memory does not hold"
    else:
        hint = "ask for less at once: fewer columns, a filter, no list of many rows"
    return StorageError(f"{what} needs more memory than {held}: {first_line(exc)}", kind="no-memory", hint=hint)
