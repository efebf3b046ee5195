"""Runs gc on copies of a lake, killed before its first request, its second, and so on: gc_until_killed.py LAKE FOLDER.

A program of its own, because a process that has used an S3 client can't be forked. Prints the number of the run that
lived to its end.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

import lakefolio as lf
from lakefolio.storage.local import LocalStore


def run(place: str, step: int) -> None:
    lake = lf.open(place)
    count = 0

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def method(*args: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **options)

        return method

    for name in ("get", "list", "create", "put", "head"):
        setattr(LocalStore, name, counted(getattr(LocalStore, name)))
    os.unlink = counted(os.unlink)  # each object's deletion, and that of each temporary file
    lake.gc(dry_run=False, grace=0, keep_last=1)


if __name__ == "__main__":
    for number in range(1, 200):
        copy = f"{sys.argv[2]}/lake-{number}"
        shutil.copytree(sys.argv[1], copy)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                run(copy, number)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        status = os.waitpid(child, 0)[1]
        if not os.WIFSIGNALED(status):
            print(number)
            sys.exit(os.WEXITSTATUS(status))
