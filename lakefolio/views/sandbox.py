"""View files of others, run in a process of their own: judged, limited, and killed when their time is over.

The process (``sandbox_child``) has no environment, no files and no network. It gets the rows of the relations that a
view file reads and gives back the rows of the view, both as Arrow streams through pipes.
"""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final

import pyarrow as pa

from lakefolio.errors import InvalidInputError, one_line
from lakefolio.process.child_process import say, start
from lakefolio.views.bounded_json import shallow
from lakefolio.views.view_files import ViewFile

if TYPE_CHECKING:
    import duckdb

__all__ = ["Limits", "Rows", "rows_of_view"]

_START_S: Final = 60.0
_MESSAGE_BYTES: Final = 1 << 20
_LIBRARIES: Final = ("duckdb", "pyarrow")


@dataclass(frozen=True, slots=True)
class Limits:
    """The time and memory that a view file may take.

    Attributes:
        seconds: How long it may be judged and run, without the start of its process.
        memory_mib: How much memory it may use beside the rows it reads, and how large its answer may be.
    """

    seconds: float
    memory_mib: float


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a relation.

    Attributes:
        table: The rows; columns that Arrow has no type for are text.
        types: DuckDB's types of those columns.
    """

    table: pa.Table
    types: dict[str, str]

    def bind(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        """Make them a view of a connection, every column of its own type."""
        from lakefolio.views.sandbox_child import arrived

        arrived(connection, shallow(name, self.table), self.types).create_view(name, replace=True)


def rows_of_view(
    wanted: ViewFile,
    views: Iterable[ViewFile],
    relations: Iterable[str],
    read: Callable[[str], duckdb.DuckDBPyRelation],
    limits: Limits,
) -> Rows:
    """Return the rows of a view file.

    Args:
        wanted: The view file.
        views: All view files that it may read, itself included.
        relations: The names of the library's relations that it may read.
        read: Gives one of those.
        limits: Its limits.

    Raises:
        InvalidInputError: kind ``bad-view``: it is not one allowed SELECT over these views; kind ``view-limit``: it
            takes too much time or memory; kind ``view-crashed``: the process that ran it died.
    """
    request = {
        "wanted": wanted.name,
        "views": [[view.name, view.sql] for view in views],
        "relations": [name.lower() for name in relations],
        "seconds": limits.seconds,
        "memory_mib": max(1, int(limits.memory_mib)),
    }
    try:
        sandbox = _Sandbox(wanted, limits)
    except OSError as exc:
        raise InvalidInputError(
            f"view file {wanted.path} can't be run: no process can be started: {exc}",
            kind="view-crashed",
            hint="view files run in a process of their own, which this system refuses",
            path=str(wanted.path),
        ) from exc
    try:
        return sandbox.ask(request, read)
    finally:
        sandbox.close()


class _OverError(Exception):
    """The process said no more."""


class _Sandbox:
    """One process, from its start to its end."""

    def __init__(self, view: ViewFile, limits: Limits) -> None:
        self._view = view
        self._limits = limits
        self._left_s = limits.seconds
        self._is_late = False
        self._process = start("lakefolio.views.sandbox_child", _LIBRARIES, without=("numpy",), stderr=subprocess.PIPE)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in = self._process.stdin
        self._out = _Bounded(self._process.stdout, _MESSAGE_BYTES)

    def ask(self, request: dict[str, Any], read: Callable[[str], duckdb.DuckDBPyRelation]) -> Rows:
        """Send a request and return the answer."""
        import duckdb
        from duckdb.sqltypes import DuckDBPyType

        from lakefolio.views.arrow_types import arrow_type

        try:
            with _Alarm(self, _START_S):
                self._hear()
            with _Alarm(self, self._left_s) as alarm:
                say(self._in, request)
                names: list[str] = self._hear()["reads"]
            self._left_s -= alarm.took_s
            sources = [read(name) for name in names]
            with _Alarm(self, self._left_s):
                for relation in sources:
                    self._send(relation)
                self._in.flush()
                told: dict[str, str] = self._hear()["types"]
                types = {name: arrow_type(DuckDBPyType(kind), {}) for name, kind in told.items()}  # as DuckDB writes it
                self._out.left = int(self._limits.memory_mib * 2**20)
                table = pa.ipc.open_stream(self._out).read_all()
                self._out.left = max(self._out.left, _MESSAGE_BYTES)
                self._hear()
                table.validate(full=True)
        except (OSError, ValueError, TypeError, KeyError, pa.ArrowException, duckdb.Error, _OverError) as exc:
            raise self._error() from exc
        return Rows(table, types)

    def kill(self) -> None:
        """End the process; a thread that waits for it gets an error."""
        self._is_late = True
        self._process.kill()

    def close(self) -> None:
        """End the process, and leave nothing of it."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            try:
                if stream is not None:
                    stream.close()
            except OSError:
                pass
        self._process.wait()

    def _send(self, relation: duckdb.DuckDBPyRelation) -> None:
        from lakefolio.views.arrow_types import AS_TEXT, projected

        plain, types = projected(relation, AS_TEXT)
        say(self._in, types)
        reader = plain.to_arrow_reader(100_000)
        with pa.ipc.new_stream(self._in, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)

    def _hear(self) -> dict[str, Any]:
        line = self._out.readline()
        if not line.endswith(b"\n"):
            raise _OverError
        found: dict[str, Any] = json.loads(line)
        return found

    def _error(self) -> InvalidInputError:
        """Return the error that tells why there is no answer."""
        limits, over = self._limits, self._out.left < 0
        said: dict[str, Any] = {}
        if over:
            self._process.kill()
        elif not self._is_late:
            assert self._process.stderr is not None
            with _Alarm(self, 5.0):
                text = self._process.stderr.read(_MESSAGE_BYTES)
                self._process.wait()
            lines = text.splitlines()
            try:
                said = json.loads(lines[-1]) if lines else {}
            except ValueError:
                said = {}
        code = self._process.wait()
        if over:
            return self._limit(f"gives more than {limits.memory_mib:,g} MiB", "view_memory_mib")
        if self._is_late or code == -getattr(signal, "SIGXCPU", 0):
            return self._limit(f"takes longer than {limits.seconds:,g} s", "view_seconds")
        if said.get("kind") == "memory" or code in (-getattr(signal, "SIGKILL", 9), -signal.SIGABRT):
            return self._limit(f"needs more memory than {limits.memory_mib:,g} MiB", "view_memory_mib")
        if said:
            reason = one_line(str(said.get("message")), 300)
            return InvalidInputError(
                f"view file {self._view.path} can't be made a view: {reason}",
                kind="bad-view",
                hint="a view file is one SELECT over the relations that `lakefolio sql --views` lists",
                path=str(self._view.path),
            )
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return InvalidInputError(
            f"view file {self._view.path} made the process that ran it stop ({name})",
            kind="view-crashed",
            hint="the lake and this process are unharmed; mend the file or take it away",
            path=str(self._view.path),
        )

    def _limit(self, what: str, key: str) -> InvalidInputError:
        return InvalidInputError(
            f"view file {self._view.path} {what}",
            kind="view-limit",
            hint=f"let it read less, or raise {key} in lakefolio.toml (LAKEFOLIO_{key.upper()})",
            path=str(self._view.path),
        )


class _Alarm:
    """Kills the process if a block takes too long."""

    def __init__(self, sandbox: _Sandbox, seconds: float) -> None:
        self._timer = threading.Timer(max(0.0, seconds), sandbox.kill)
        self._timer.daemon = True
        self.took_s = 0.0

    def __enter__(self) -> _Alarm:
        self._began = time.monotonic()
        self._timer.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._timer.cancel()
        self.took_s = time.monotonic() - self._began


class _Bounded:
    """A stream that is read for so many bytes and no more."""

    closed = False

    def __init__(self, stream: IO[bytes], left: int) -> None:
        self._stream = stream
        self.left = left

    def read(self, count: int = -1) -> bytes:
        """Read so many bytes."""
        return self._counted(self._stream.read(min(count, self.left + 1) if count >= 0 else self.left + 1))

    def readline(self) -> bytes:
        """Read a line."""
        return self._counted(self._stream.readline(self.left + 1))

    def _counted(self, found: bytes) -> bytes:
        self.left -= len(found)
        if self.left < 0:
            raise _OverError
        return found

    def readable(self) -> bool:
        """It is."""
        return True
