"""Files of other programs whose readers are not hardened, read in a child process: it gives rows, and nothing else.

A file of Excel, HDF5, SQLite, DuckDB, Arrow or JSON can crash its reader, or stand for any amount of memory or work. So
a child opens it, within limits that follow from its size, and sends record batches, which are validated here.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import pyarrow as pa

from lakefolio import errors
from lakefolio.errors import InvalidInputError, LakefolioError, StorageError, one_line
from lakefolio.process.child_process import say, start

__all__ = ["open_isolated"]

_LIBRARIES: Final = ("pyarrow", "numpy", "h5py", "openpyxl", "et_xmlfile", "defusedxml", "duckdb")
_MEMORY_MIB: Final = 1_024
_MEMORY_FACTOR: Final = 32
_SECONDS: Final = 60
_SECONDS_PER_MIB: Final = 60
_MESSAGE_BYTES: Final = 1 << 20


@contextmanager
def open_isolated(reader: str, path: Path, table: str | None, form: str) -> Iterator[pa.RecordBatchReader]:
    """Open a table of a file in a child process; memory here does not grow with it.

    Args:
        reader: Module and function of the reader: ``lakefolio.items.table_excel:open_excel``. It is given the path and
            the table, and is a context manager of a reader of batches.
        path: The file.
        table: The name of one of its tables, if it can have several.
        form: The format, for people.

    Raises:
        InvalidInputError: As the reader raises it; kind ``bad-table-file``: the child ended, or took more than it may.
        UnsupportedTypeError: A library is not installed.
        StorageError: kind ``no-process``: no process can be started.
    """
    size_mib = path.stat().st_size // 2**20
    request = {
        "reader": reader,
        "path": str(path.absolute()),
        "table": table,
        "memory_mib": _MEMORY_MIB + _MEMORY_FACTOR * size_mib,
        "seconds": _SECONDS + _SECONDS_PER_MIB * size_mib,
    }
    try:
        process = start("lakefolio.items.isolated_child", _LIBRARIES)
    except OSError as exc:
        raise StorageError(
            f"{path.name!r} can't be read: no process can be started for it: {exc.strerror}",
            kind="no-process",
            hint="let this user have more processes or memory",
            path=str(path),
        ) from exc
    assert process.stdin is not None
    assert process.stdout is not None
    out = process.stdout
    try:
        try:
            say(process.stdin, request)
            _hear(out, path, form)
            stream = pa.ipc.open_stream(out)
        except (pa.ArrowException, OSError) as exc:
            raise _ended(path, form) from exc

        def batches() -> Iterator[pa.RecordBatch]:
            try:
                for batch in stream:
                    _check(batch, path, form)
                    yield batch
            except (pa.ArrowException, OSError) as exc:
                raise _problem(out, path, form) from exc
            _hear(out, path, form)  # a stream that is cut off looks like one that ended

        yield pa.RecordBatchReader.from_batches(stream.schema, batches())
    finally:
        process.kill()
        for one in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # of what was written and never read
                one.close()
        process.wait()


def _check(batch: pa.RecordBatch, path: Path, form: str) -> None:
    """Raise InvalidInputError for values that are none of their type, as 24:00 is no time of a day."""
    try:
        batch.validate(full=True)
    except pa.ArrowException as exc:
        raise _unreadable(str(exc), path, form) from exc


def _problem(out: IO[bytes], path: Path, form: str) -> LakefolioError:
    """Return what the child said when it broke off in the middle of its batches."""
    try:
        _hear(out, path, form)
    except LakefolioError as exc:
        return exc
    return _ended(path, form)


def _hear(out: IO[bytes], path: Path, form: str) -> None:
    """Wait for the line that says that all went well; raise the error that it says otherwise."""
    try:
        said = json.loads(out.readline(_MESSAGE_BYTES))
    except ValueError:
        raise _ended(path, form) from None
    if not isinstance(said, dict) or "error" not in said:
        return
    kind = getattr(errors, str(said["error"]), None)
    if isinstance(kind, type) and issubclass(kind, LakefolioError):
        raise kind(said["message"], kind=said["kind"], hint=said["hint"], **{**said["objects"], "path": str(path)})
    raise _unreadable(str(said["message"]), path, form)


def _unreadable(reason: str, path: Path, form: str) -> InvalidInputError:
    return InvalidInputError(
        f"file {str(path)!r} can't be read as {form}: {one_line(reason, 200)}",
        kind="bad-table-file",
        hint="name another format, or keep the file as it is, as an artifact",
        path=str(path),
        format=form,
    )


def _ended(path: Path, form: str) -> InvalidInputError:
    return InvalidInputError(
        f"file {str(path)!r} can't be read as {form}: the process that reads it stopped; the file is damaged, or needs "
        "more memory or time than its size lets expect",
        kind="bad-table-file",
        hint="keep it as it is, as an artifact, or save it anew as CSV or Parquet",
        path=str(path),
        format=form,
    )
