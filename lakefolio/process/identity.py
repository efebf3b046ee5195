"""Which process this is, and of which user; and whether another process of the host still lives."""

from __future__ import annotations

import getpass
import os
import socket
from functools import cache
from pathlib import Path
from typing import Any

from lakefolio.process.places import printable

__all__ = ["alive", "process", "user_name"]


def process() -> dict[str, Any]:
    """Return facts that tell this process from every other process of its host."""
    pid = os.getpid()
    return {"pid": pid, "started": _started(pid), "boot": _boot(), "namespace": _namespace()}


def user_name() -> str:
    """Return the name of the account, ``unknown`` for one without a name, as in some containers."""
    try:
        return printable(getpass.getuser()) or "unknown"
    except (KeyError, OSError, ImportError):
        return "unknown"


def alive(host: str | None, noted: object) -> bool | None:
    """Say whether a process still lives; None if this host can't tell.

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
