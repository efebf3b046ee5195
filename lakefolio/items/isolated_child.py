"""The process that files of other programs are read in (the other end is ``isolated_reader``)."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import warnings
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from lakefolio.errors import LakefolioError
from lakefolio.process.child_process import limit, say

__all__ = ["main"]


def main() -> None:
    """Answer one request and end the process."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries print: DuckDB a bar of its progress
    warnings.simplefilter("ignore")
    try:
        _answer(json.loads(sys.stdin.buffer.readline()), out)
    except BaseException as exc:  # of any type: the process that asked must get it
        with contextlib.suppress(BaseException):
            say(out, _error_message(exc))
    with contextlib.suppress(BaseException):
        out.flush()
    os._exit(0)


def _answer(request: dict[str, Any], out: IO[bytes]) -> None:
    module, _, function = request["reader"].partition(":")
    read = getattr(importlib.import_module(module), function)
    limit(request["memory_mib"], request["seconds"])
    with read(Path(request["path"]), request["table"]) as reader:
        say(out, {})
        with pa.ipc.new_stream(out, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
        say(out, {})


def _error_message(exc: BaseException) -> dict[str, object]:
    if isinstance(exc, LakefolioError):
        objects = {key: one for key, one in exc.objects.items() if isinstance(one, str | int | float)}
        return {
            "error": type(exc).__name__,
            "message": exc.message,
            "kind": exc.kind,
            "hint": exc.hint,
            "objects": objects,
        }
    text = " ".join(str(exc).split())[:300] or type(exc).__name__
    if isinstance(exc, MemoryError):
        text = "it needs more memory than its size lets expect"
    return {"error": "", "message": text}
