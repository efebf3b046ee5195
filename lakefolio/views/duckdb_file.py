"""Tables of DuckDB files: read in a process of their own, and written.

A DuckDB file can hold views, macros and defaults, and its reader is a whole database. So a child process opens it,
without files, network, extensions and settings, within limits of memory and time, and gives the rows of one table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from lakefolio.errors import InvalidInputError, nearest, one_line

__all__ = ["open_duckdb", "write_duckdb"]

_MEMORY_MIB: Final = 1_024
_SECONDS: Final = 3_600
_CODE: Final = (
    "import sys, json; sys.path[:0] = json.loads(sys.argv[1]); from lakefolio.views.duckdb_child import main; main()"
)
_MESSAGE_BYTES: Final = 1 << 20


@contextmanager
def open_duckdb(path: Path, table: str | None) -> Iterator[pa.RecordBatchReader]:
    """Open a table of a DuckDB file, its only one by default; memory does not grow with it.

    Raises:
        InvalidInputError: It is no such file, it holds a type that is not read, or reading takes too much.
    """
    from lakefolio.views.cage import search_path

    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _CODE, json.dumps(search_path())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=os.sep,
        env={
            "LC_ALL": "C.UTF-8",
            "MALLOC_ARENA_MAX": "1",
            "ARROW_DEFAULT_MEMORY_POOL": "system",
            "OMP_NUM_THREADS": "1",
        },
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    out = process.stdout
    try:
        request = {"path": str(path.absolute()), "table": table, "memory_mib": _MEMORY_MIB, "seconds": _SECONDS}
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        said = _heard(out, path)
        if "tables" in said:
            raise _unnamed(path, table, said["tables"])
        try:
            stream = pa.ipc.open_stream(out)
        except (pa.ArrowException, OSError) as exc:
            raise _broken(path, "the process that reads it stopped") from exc

        def batches() -> Iterator[pa.RecordBatch]:
            try:
                for batch in stream:
                    batch.validate(full=True)
                    yield batch
                _heard(out, path)  # a stream that is cut off looks like one that ended
            except (pa.ArrowException, OSError) as exc:
                raise _broken(path, "the process that reads it stopped") from exc

        yield pa.RecordBatchReader.from_batches(stream.schema, batches())
    finally:
        process.kill()
        for one in (process.stdin, process.stdout):
            one.close()
        process.wait()


def _heard(out: Any, path: Path) -> dict[str, Any]:
    line = out.readline(_MESSAGE_BYTES)
    try:
        found = json.loads(line)
    except ValueError:
        raise _broken(
            path, "the process that reads it stopped: it needs more memory or time than it may take"
        ) from None
    if not isinstance(found, dict) or "problem" in found:
        raise _broken(path, one_line(str(found.get("problem")), 200) if isinstance(found, dict) else "it says nothing")
    return found


def _unnamed(path: Path, table: str | None, there: list[str]) -> InvalidInputError:
    what = "no table" if not there else f"no table {table!r}" if table is not None else f"{len(there)} tables"
    hint = nearest(table or "", there)
    if table is None and there:
        hint = "name one with table= (--table): " + ", ".join(map(repr, there[:10]))
    return InvalidInputError(f"{path.name!r} has {what}", kind="unknown-table", hint=hint, table=table)


def _broken(path: Path, problem: str) -> InvalidInputError:
    return InvalidInputError(
        f"{path.name!r} can't be read as DuckDB: {problem}",
        kind="bad-table-file",
        hint="keep it as it is, as an artifact",
        path=str(path),
    )


def write_duckdb(table: pa.Table, target: Path, name: str = "data") -> None:
    """Write a table to a new DuckDB file."""
    import duckdb

    target.unlink(missing_ok=True)
    with duckdb.connect(str(target)) as connection:
        connection.register("lakefolio_rows", table)
        connection.execute(f'create table "{name}" as select * from lakefolio_rows')
