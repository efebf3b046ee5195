"""The process that DuckDB files are opened in (the other end is ``duckdb_file``): it gives rows, and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

import duckdb
import pyarrow as pa

from lakefolio.views.cage_child import CARRIED, limit, quoted

__all__ = ["main"]

_BATCH_ROWS = 10_000


def main() -> None:
    """Answer one request and end the process."""
    out = sys.stdout.buffer
    try:
        _answer(json.loads(sys.stdin.buffer.readline()), out)
        code = 0
    except BaseException as exc:  # of any type: the process that asked must get it
        with contextlib.suppress(BaseException):
            _say(out, {"problem": (str(exc).splitlines() or [type(exc).__name__])[0][:300]})
        code = 1
    with contextlib.suppress(BaseException):
        out.flush()
    os._exit(code)


def _answer(request: dict[str, Any], out: Any) -> None:
    limit(request["memory_mib"], request["seconds"])
    connection = duckdb.connect(
        request["path"],
        read_only=True,
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "enable_external_access": "false",
            "threads": "1",
            "memory_limit": f"{request['memory_mib']}MiB",
            "temp_directory": "",
        },
    )
    connection.execute("set TimeZone = 'UTC'; set python_enable_replacements = false; set lock_configuration = true")
    found = connection.execute(
        "select schema_name, table_name from duckdb_tables() where not internal and not temporary order by all"
    ).fetchall()
    names = {name if schema == "main" else f"{schema}.{name}": (schema, name) for schema, name in found}
    wanted = request["table"]
    if wanted is None and len(names) == 1:
        (wanted,) = names
    if wanted not in names:
        _say(out, {"tables": sorted(names)})
        return
    schema, name = names[wanted]
    columns = connection.execute(
        "select column_name, data_type from duckdb_columns() where schema_name = ? and table_name = ?"
        " order by column_index",
        [schema, name],
    ).fetchall()
    # what Arrow lacks or changes goes as text: a HUGEINT would become a double
    chosen = [
        f"cast({quoted(one)} as varchar) as {quoted(one)}" if kind in CARRIED else quoted(one) for one, kind in columns
    ]
    reader = connection.sql(f"select {', '.join(chosen)} from {quoted(schema)}.{quoted(name)}").to_arrow_reader(
        _BATCH_ROWS
    )
    _say(out, {"table": wanted})
    with pa.ipc.new_stream(out, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
    _say(out, {"done": True})


def _say(out: Any, what: dict[str, object]) -> None:
    out.write(json.dumps(what).encode() + b"\n")
    out.flush()
