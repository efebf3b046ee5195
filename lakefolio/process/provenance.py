"""Provenance of the running code: host, user, command line, git state, Python and its packages.

Runs and snapshots record the same facts. Nothing is read from environment variables, where credentials live, and all
texts are scrubbed: a recorded fact stays for ever, and everyone who may read the lake sees it.
"""

from __future__ import annotations

import hashlib
import platform
import re
import socket
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from lakefolio.process.git import GitState, git_state
from lakefolio.process.identity import user_name
from lakefolio.process.places import printable, working_directory
from lakefolio.redaction import scrub, scrub_command

__all__ = ["packages", "run_facts", "snapshot_environment", "snapshot_execution", "snapshot_git"]

_GIT_KEPT_S: Final = 5.0
_LONGEST_COMMAND: Final = 2_000
_NAMED: Final = re.compile(r"(?m)^(Name|Version):[ \t]*(.*\S)")
_lock: Final = threading.Lock()
_git: dict[str, tuple[float, GitState | None]] = {}


def run_facts() -> dict[str, Any]:
    """Return the facts a run records of the process it starts in; costs a few milliseconds, for git."""
    folder = working_directory()
    found: dict[str, Any] = {"host": socket.gethostname(), "user": user_name(), "command": _command()}
    if folder is None:
        return found
    found["directory"] = printable(folder)
    state = _recent_git(folder)
    if state is None or not state.commit:
        return found
    found |= {"git_commit": state.commit, "git_dirty": state.dirty, "git_branch": state.branch}
    return found | ({"git_remote": state.remote} if state.remote else {})


@cache
def packages() -> dict[str, Any]:
    """Return Python, platform and the versions of the installed distributions; looked up once per process."""
    from importlib.metadata import distributions

    known: dict[str, str] = {}
    for one in distributions():
        try:  # the parser of importlib.metadata takes ten times as long: it reads the descriptions, too
            text = one.read_text("METADATA") or one.read_text("PKG-INFO") or ""
        except (ValueError, TypeError, AttributeError):
            continue  # a broken installation of somebody else
        said = dict(_NAMED.findall(text.partition("\n\n")[0]))
        if said.keys() >= {"Name", "Version"}:
            known.setdefault(said["Name"], said["Version"])
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(sorted(known.items(), key=lambda one: one[0].lower())),
    }


def snapshot_git() -> dict[str, Any] | None:
    """Return the state of the git work tree worked in, None outside of one: untracked files make it dirty.

    Returns:
        ``commit``, ``commit_short``, ``branch``, ``dirty`` and, if there is one, ``remote`` without credentials.
    """
    folder = working_directory()
    state = None if folder is None else git_state(folder, untracked=True)
    if state is None:
        return None
    found = {
        "commit": state.commit,
        "commit_short": state.commit[:7],
        "branch": "HEAD" if state.branch == "(detached)" else state.branch,
        "dirty": state.dirty,
    }
    return found | ({"remote": state.remote} if state.remote else {})


def snapshot_environment() -> dict[str, Any]:
    """Return the Python version, the platform, and what the working directory's lock files pin."""
    found: dict[str, Any] = {"python_version": platform.python_version(), "platform": platform.platform()}
    folder = working_directory()
    if folder is None:
        return found
    with suppress(OSError):
        found["uv_lock_hash"] = "sha256:" + hashlib.sha256(Path(folder, "uv.lock").read_bytes()).hexdigest()
    with suppress(OSError):
        found["requirements"] = scrub(Path(folder, "requirements.txt").read_text(encoding="utf-8", errors="replace"))
    return found


def snapshot_execution() -> dict[str, Any]:
    """Return the working directory and the command line of this process."""
    folder = working_directory()
    found: dict[str, Any] = {} if folder is None else {"working_dir": printable(folder)}
    if sys.argv:
        found["entry_point"] = printable(scrub_command(sys.argv))[:_LONGEST_COMMAND]
    return found


def _command() -> str:
    return printable(scrub_command(getattr(sys, "orig_argv", sys.argv)))[:_LONGEST_COMMAND]


def _recent_git(folder: str) -> GitState | None:
    with _lock:
        kept = _git.get(folder)
        if kept is not None and time.monotonic() - kept[0] < _GIT_KEPT_S:
            return kept[1]
    found = git_state(folder, untracked=False)
    with _lock:
        _git.clear()
        _git[folder] = (time.monotonic(), found)
    return found
