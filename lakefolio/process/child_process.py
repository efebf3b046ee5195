"""Child processes that parse what others wrote: without the environment, within limits of the operating system.

Compiled parsers crash, and small files unpack to any amount of memory: that ends a child and never this process. A
child has pipes to its parent, no variables, and imports this library and those named.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Final

__all__ = ["limit", "say", "start"]

_PASSED_ON: Final = ("SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")
_SLACK_BYTES: Final = 256 * 2**20
"""Address space beside what the child may use: code that is loaded late, stacks, what malloc keeps."""


def start(
    module: str, libraries: tuple[str, ...], *, without: tuple[str, ...] = (), stderr: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start a child that calls ``main()`` of a module of this library; its stdin and stdout are pipes.

    Args:
        module: The module, which calls :func:`limit` before it parses anything.
        libraries: The libraries that it imports; one that is not installed is left out.
        without: Libraries that these would import, and can do without: a child that is started for one question begins
            in half the time.
        stderr: As of ``subprocess.Popen``.

    Raises:
        OSError: No process can be started.
    """
    lacks = f"sys.modules.update(dict.fromkeys({without!r}))"
    code = f"import json, sys; {lacks}; sys.path += json.loads(sys.argv[1]); from {module} import main; main()"
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", code, json.dumps(_search_path(libraries))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        cwd=os.sep,
        env={
            **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            "LC_ALL": "C.UTF-8",
            "MALLOC_ARENA_MAX": "1",
            "ARROW_DEFAULT_MEMORY_POOL": "system",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        },
        start_new_session=True,
    )


def _search_path(libraries: tuple[str, ...]) -> list[str]:
    places = [str(Path(__file__).parents[1])]
    for name in libraries:
        found = importlib.util.find_spec(name)
        places += [] if found is None else list(found.submodule_search_locations or ())[:1]
    return list(dict.fromkeys(str(Path(place).resolve().parent) for place in places))


def say(out: IO[bytes], what: object) -> None:
    """Send a line of JSON to the process at the other end of a pipe."""
    out.write(json.dumps(what).encode() + b"\n")
    out.flush()


def limit(memory_mib: int, seconds: float) -> None:
    """Limit this process from here on, by what it takes already: memory, CPU time, and no file is written."""
    try:
        import resource
    except ImportError:  # Windows: the parent's clock remains, and DuckDB's own limit
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = int(used.ru_utime + used.ru_stime + seconds) + 2
    limits = {
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_AS: _address_space() + memory_mib * 2**20 + _SLACK_BYTES,
    }
    for which, wanted in limits.items():
        _, most = resource.getrlimit(which)
        with contextlib.suppress(ValueError, OSError):  # macOS refuses some
            resource.setrlimit(which, (wanted if most < 0 else min(wanted, most), most))


def _address_space() -> int:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 2**30
