"""How long and how much the view files of others may work: a lake's were written by anybody who may write to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from lakefolio.errors import InvalidInputError

if TYPE_CHECKING:
    import duckdb

    from lakefolio.views.view_files import View

__all__ = ["Limits", "answered", "limit_memory", "within"]

_BATCH_ROWS = 10_000
_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Limits:
    """What an answer may take.

    Attributes:
        seconds: How long it may take.
        memory_mib: How much memory DuckDB may use for it, and how large it may be.
    """

    seconds: float
    memory_mib: float


def limit_memory(connection: duckdb.DuckDBPyConnection, limits: Limits) -> None:
    """Keep a connection to its memory; what does not fit is refused, not written to the disk."""
    connection.execute(f"set memory_limit = '{max(1, int(limits.memory_mib))}MiB'; set temp_directory = ''")


@contextmanager
def within(limits: Limits, asked: duckdb.DuckDBPyConnection, files: Sequence[View]) -> Iterator[None]:
    """Interrupt what is asked with a cursor in the block when its time is over.

    Args:
        limits: What it may take.
        asked: The cursor.
        files: The view files that are read.

    Raises:
        InvalidInputError: kind ``view-limit``, naming the files, for what takes more time or memory.
    """
    import duckdb

    done, over = threading.Event(), threading.Event()

    def watch() -> None:
        if not done.wait(limits.seconds):
            over.set()
            asked.interrupt()
        while not done.wait(_AGAIN_S):  # an interrupt between two steps is forgotten with the next
            asked.interrupt()

    threading.Thread(target=watch, name="lakefolio-view-limit", daemon=True).start()
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError, RuntimeError, MemoryError) as exc:
        # Arrow hands on DuckDB's errors as its own
        if over.is_set():
            raise _refused(files, f"takes longer than {limits.seconds:,g} s", "view_seconds") from exc
        if isinstance(exc, duckdb.OutOfMemoryException | MemoryError) or "out of memory" in str(exc).lower():
            raise _refused(files, f"needs more memory than {limits.memory_mib:,g} MiB", "view_memory_mib") from exc
        if isinstance(exc, pa.ArrowException | OSError):
            raise duckdb.Error(str(exc)) from exc
        raise
    finally:
        done.set()


def answered(
    connection: duckdb.DuckDBPyConnection, relation: duckdb.DuckDBPyRelation, limits: Limits, files: Sequence[View]
) -> duckdb.DuckDBPyRelation:
    """Return the whole answer of a relation, found here and now, as a relation of a connection.

    Raises:
        InvalidInputError: kind ``view-limit``, if it is larger than the memory allowed.
    """
    batches: list[pa.RecordBatch] = []
    left = limits.memory_mib * 2**20
    reader = relation.to_arrow_reader(_BATCH_ROWS)
    for batch in reader:
        batches.append(batch)
        left -= batch.nbytes
        if left < 0:
            raise _refused(files, f"gives more than {limits.memory_mib:,g} MiB", "view_memory_mib")
    return connection.from_arrow(pa.Table.from_batches(batches, reader.schema))


def _refused(files: Sequence[View], what: str, key: str) -> InvalidInputError:
    paths = ", ".join(str(view.path) for view in files)
    return InvalidInputError(
        f"view file {paths} {what}",
        kind="view-limit",
        hint=f"let it read less, or raise {key} in lakefolio.toml (LAKEFOLIO_{key.upper()})",
        path=paths,
    )
