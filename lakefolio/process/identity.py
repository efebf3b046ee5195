"""What a process runs on and from: host, user, command, git, Python and packages; and whether it still lives.

Nothing is read from the environment variables, and credentials are taken out of addresses and commands: what is
recorded is there for ever, for everyone who may read the lake.
"""

from __future__ import annotations

import getpass
import os
import platform
import re
import socket
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any, Final

__all__ = ["alive", "environment", "process", "surroundings"]

_GIT_S: Final = 2.0
_GIT_KEPT_S: Final = 5.0
_LONGEST_COMMAND: Final = 2_000
_URL_SECRET: Final = re.compile(r"(?<=://)[^/\s@]+@")
_OPTION: Final = re.compile(
    r"(?i)^-{0,2}[\w.-]*(password|passwd|secret|token|credential|api[_-]?key|access[_-]?key)[\w.-]*"
)
_lock: Final = threading.Lock()
_git: dict[str, tuple[float, dict[str, Any]]] = {}


def surroundings() -> dict[str, Any]:
    """Return what a run notes of the process it starts in; costs a few milliseconds, for git."""
    found: dict[str, Any] = {
        "host": socket.gethostname(),
        "user": _user(),
        "command": command(getattr(sys, "orig_argv", sys.argv)),
        "directory": os.getcwd(),
    }
    return found | _git_of(found["directory"])


@cache
def environment() -> dict[str, Any]:
    """Return Python, platform and the versions of the installed distributions; looked up once per process."""
    from importlib.metadata import distributions

    packages: dict[str, str] = {}
    for one in distributions():
        try:
            packages.setdefault(one.name, one.version)
        except (KeyError, TypeError, AttributeError):
            continue  # a broken installation of somebody else
    known = {str(name): str(version) for name, version in packages.items() if name and version}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(sorted(known.items(), key=lambda one: one[0].lower())),
    }


def command(argv: list[str]) -> str:
    """Return a command line without what looks like a secret."""
    shown = []
    hide_next = False
    for word in argv:
        if hide_next and not word.startswith("-"):
            word = "***"
            hide_next = False
        elif _OPTION.match(word):
            name, mark, _ = word.partition("=")
            hide_next = not mark
            word = f"{name}=***" if mark else name
        shown.append(_URL_SECRET.sub("***@", word))
    return " ".join(shown)[:_LONGEST_COMMAND].encode(errors="replace").decode()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _git_of(folder: str) -> dict[str, Any]:
    with _lock:
        kept = _git.get(folder)
        if kept is not None and time.monotonic() - kept[0] < _GIT_KEPT_S:
            return kept[1]
    found = _asked(folder)
    with _lock:
        _git.clear()
        _git[folder] = (time.monotonic(), found)
    return found


def _asked(folder: str) -> dict[str, Any]:
    status = _run(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    if status is None:
        return {}
    lines = status.splitlines()
    heads = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# ") and " " in line[2:])
    commit = heads.get("branch.oid", "")
    if not re.fullmatch(r"[0-9a-f]{40,64}", commit):
        return {}
    found: dict[str, Any] = {
        "git_commit": commit,
        "git_dirty": any(not line.startswith("#") for line in lines),
        "git_branch": heads.get("branch.head"),
    }
    remote = _run(folder, "config", "--get", "remote.origin.url")
    if remote:
        found["git_remote"] = _URL_SECRET.sub("", remote.strip())
    return {key: value for key, value in found.items() if value is not None}


def _run(folder: str, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *words], cwd=folder, capture_output=True, timeout=_GIT_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


# -- is a process alive? ---------------------------------------------------------------------------------------


def process() -> dict[str, Any]:
    """Return what tells this process from every other, for whoever looks from the same host."""
    pid = os.getpid()
    return {"pid": pid, "started": _started(pid), "boot": _boot(), "namespace": _namespace()}


def alive(host: str | None, noted: Any) -> bool | None:
    """Say whether a process still lives; None if that can't be seen from here.

    Args:
        host: Where it ran.
        noted: What :func:`process` gave there.
    """
    if host != socket.gethostname() or not isinstance(noted, dict) or type(noted.get("pid")) is not int:
        return None
    if os.name != "posix":
        return None  # elsewhere os.kill(pid, 0) is no question
    if noted.get("boot") != _boot():
        return False if noted.get("boot") and _boot() else None
    if noted.get("namespace") != _namespace():
        return None  # a container beside this one: its numbers mean other processes
    pid = noted["pid"]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    started = _started(pid)
    return started is None or noted.get("started") is None or started == noted["started"]


def _started(pid: int) -> int | None:
    """Return when a process began, in ticks since the host did; None where the system does not say, or for a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return -1 if fields[0] in "ZX" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


@cache
def _boot() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


@cache
def _namespace() -> str | None:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None
