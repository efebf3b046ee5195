"""The process that view files run in: it may compute, and nothing else (the other end is ``sandbox``).

It is started with an empty environment, reads a request and the rows of relations from stdin and writes one answer to
stdout. Before any foreign SQL is parsed the operating system limits its memory, CPU time and files, and DuckDB its
memory, extensions, files and settings. Only DuckDB, pyarrow without NumPy, and a few small modules are imported: the
process is started anew for each answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from typing import Any, BinaryIO, Final

import duckdb
import pyarrow as pa

from lakefolio.format.sql_text import sql_id
from lakefolio.process.child_process import limit, say
from lakefolio.views.arrow_relation import relation_of
from lakefolio.views.arrow_types import AS_TEXT, projected
from lakefolio.views.sql_rules import Judgement, judge

__all__ = ["arrived", "main"]

_BATCH_ROWS: Final = 10_000
_SETTINGS: Final = (
    "set TimeZone = 'UTC'; set python_enable_replacements = false; set enable_progress_bar = false;"
    " set temp_directory = ''; set threads = 1; set memory_limit = '{}MiB'; set enable_external_access = false;"
    " set lock_configuration = true"
)


class RefusedError(Exception):
    """The SQL may not run."""


def main() -> None:
    """Answer one request and end the process."""
    out = sys.stdout.buffer
    try:
        _answer(sys.stdin.buffer, out)
        out.flush()
        code = 0
    except BaseException as exc:  # of any type: the process that asked must get it
        kind = "refused" if isinstance(exc, RefusedError) else "memory" if _is_memory(exc) else "sql"
        with contextlib.suppress(BaseException):
            out.flush()
            say(sys.stderr.buffer, {"kind": kind, "message": _first_line(exc)})
        code = 1
    os._exit(code)


def arrived(connection: Any, rows: pa.Table, types: dict[str, str]) -> Any:
    """Return rows as a relation in which the columns that travelled as text have their types again."""
    relation = relation_of(connection, rows)
    if not types:
        return relation
    casts = ", ".join(f"cast({sql_id(one)} as {kind}) as {sql_id(one)}" for one, kind in types.items())
    return relation.project(f"* replace ({casts})")


def _answer(source: BinaryIO, out: BinaryIO) -> None:
    say(out, {"ready": True})
    request = json.loads(source.readline())
    limit(request["memory_mib"], request["seconds"])
    connection = duckdb.connect(
        ":memory:", config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    )
    connection.execute(_SETTINGS.format(request["memory_mib"]))
    views = {name.lower(): (name, sql) for name, sql in request["views"]}
    known = frozenset(request["relations"]) | views.keys()
    order: dict[str, None] = {}
    reads: set[str] = set()
    _collect(connection, request["wanted"].lower(), views, known, order, reads, ())
    say(out, {"reads": sorted(reads)})
    _lift_memory()  # the rows it reads come from the process that asks, and do not count
    for name in sorted(reads):
        types = json.loads(source.readline())
        arrived(connection, pa.ipc.open_stream(source).read_all(), types).create_view(name)
    limit(request["memory_mib"], request["seconds"])
    for name in order:
        connection.execute(f"create view {sql_id(name)} as\n{views[name][1]}\n")
    relation, types = projected(connection.sql(f"from {sql_id(request['wanted'].lower())}"), AS_TEXT)
    reader = relation.to_arrow_reader(_BATCH_ROWS)
    say(out, {"types": types})
    with pa.ipc.new_stream(out, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
    say(out, {"done": True})  # a stream that is cut off looks like one that ended


def _collect(
    connection: object,
    name: str,
    views: dict[str, tuple[str, str]],
    known: frozenset[str],
    order: dict[str, None],
    reads: set[str],
    above: tuple[str, ...],
) -> None:
    """Judge a view file and those it reads; give them in the order they build on one another."""
    if name in order:
        return
    if name in above:
        raise RefusedError("it reads itself")
    found = _judged(connection, views[name][1], known)
    if found.refused is not None:
        raise RefusedError(found.refused if not above else f"it reads {views[name][0]!r}, and there {found.refused}")
    for read in sorted(found.reads):
        if read in views:
            _collect(connection, read, views, known, order, reads, (*above, name))
        else:
            reads.add(read)
    order[name] = None


def _judged(connection: Any, sql: str, known: frozenset[str]) -> Judgement:
    (serialised,) = connection.execute("select json_serialize_sql(?)", [sql]).fetchone()
    return judge(serialised, known=known)


def _lift_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _is_memory(exc: BaseException) -> bool:
    words = ("out of memory", "failed to allocate", "bad_alloc", "allocation failure", "could not allocate")
    return isinstance(exc, MemoryError | duckdb.OutOfMemoryException) or any(word in str(exc).lower() for word in words)


def _first_line(exc: BaseException) -> str:
    line = next(iter(str(exc).splitlines()), "").strip()[:1000]
    return re.sub(r"^[A-Z][A-Za-z ]* Error: ", "", line)
