"""The state of a git work tree, read by git with every feature disabled that could run a command of the repository.

A repository may come from anywhere, and its configuration names commands: ``core.fsmonitor``, filters, hooks, external
diffs, transports of a partial clone, and all that its submodules configure. Overrides in the environment win over all
files; filters, whose names a repository chooses, are listed first and overridden one by one. So content that only a
filter would make equal (Git LFS) counts as changed until git itself has read it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lakefolio.redaction import scrub, scrub_address

__all__ = ["GitState", "git_output", "git_state"]

_TIMEOUT_S: Final = 2.0
_PASSED_ON: Final = frozenset(
    [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_COMMON_DIR",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_CEILING_DIRECTORIES",
        "GIT_DISCOVERY_ACROSS_FILESYSTEM",
        "GIT_EXEC_PATH",
        "GIT_CONFIG_GLOBAL",
    ]
)
"""Which variables of git's it sees of those of this process."""
_QUIET: Final = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_OFF: Final = {
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.attributesFile": os.devnull,
    "core.sshCommand": "false",
    "core.askPass": "false",
    "core.gitProxy": "",
    "core.alternateRefsCommand": "",
    "credential.helper": "",
    "diff.external": "",
    "diff.ignoreSubmodules": "all",
    "log.showSignature": "false",
    "protocol.allow": "never",
    "safe.bareRepository": "explicit",
    "status.submoduleSummary": "false",
    "submodule.recurse": "false",
}
_ASKED: Final = r"^(filter\..*|remote\.origin\.url)$"


@dataclass(frozen=True, slots=True)
class GitState:
    """A work tree at one moment. The names of changed files are left out: they may tell more than was meant.

    Attributes:
        commit: Hex digits; "" before the first commit.
        branch: The branch, or ``(detached)``.
        dirty: Whether files differ from the commit.
        remote: The address of ``origin`` without credentials, or None.
    """

    commit: str
    branch: str
    dirty: bool
    remote: str | None


def git_state(folder: str | Path, *, untracked: bool) -> GitState | None:
    """Return the state of the work tree around a folder; None outside of one, without git, or if git takes too long.

    Runs no command but git, and changes nothing.

    Args:
        folder: Where to look.
        untracked: Whether files that git does not track make the work tree dirty.
    """
    git = shutil.which("git")
    if git is None or not os.path.isabs(git):  # a relative PATH would take it from the repository
        return None
    settings = _settings(git, folder)
    if settings is None:
        return None
    filters = {key: "false" if key.endswith(".required") else "" for key, _ in settings if key.startswith("filter.")}
    files = "normal" if untracked else "no"
    status = _run(
        [git, "status", "--porcelain=v2", "--branch", f"--untracked-files={files}", "--ignore-submodules=all"],
        folder,
        _OFF | filters,
    )
    if status is None:
        return None
    lines = status.splitlines()
    heads = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# ") and " " in line[2:])
    commit = heads.get("branch.oid", "")
    remotes = [value for key, value in settings if key == "remote.origin.url" and value]
    return GitState(
        commit=commit if re.fullmatch(r"[0-9a-f]{40,64}", commit) else "",
        branch=heads.get("branch.head", ""),
        dirty=any(not line.startswith("#") for line in lines),
        remote=scrub(scrub_address(remotes[-1].strip())) if remotes else None,
    )


def git_output(folder: str | Path, *words: str, seconds: float) -> str | None:
    """Return what git prints about the repository of a folder; None if it fails. Its settings run nothing.

    Args:
        folder: The folder of the repository; variables of the environment do not lead elsewhere.
        *words: The command of git and its arguments.
        seconds: How long it may take.
    """
    git = shutil.which("git")
    if git is None or not os.path.isabs(git):
        return None
    return _run([git, *words], folder, _OFF, seconds=seconds, passed_on=frozenset())


def _settings(git: str, folder: str | Path) -> list[tuple[str, str]] | None:
    """Return the filters and the remote that are configured, in the order in which they win."""
    found = _run([git, "config", "-z", "--get-regexp", _ASKED], folder, _OFF, empty=1)
    if found is None:
        return None
    pairs = [one.partition("\n") for one in found.split("\0") if one]
    return [(key, value) for key, _, value in pairs]


def _run(
    words: list[str],
    folder: str | Path,
    settings: dict[str, str],
    *,
    empty: int = 0,
    seconds: float = _TIMEOUT_S,
    passed_on: frozenset[str] = _PASSED_ON,
) -> str | None:
    """Run git; None if it fails. ``empty`` is the exit code that says that there is nothing."""
    around = {key: one for key, one in os.environ.items() if not key.startswith("GIT_") or key in passed_on}
    numbered = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        numbered |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    try:
        done = subprocess.run(
            [words[0], "--no-pager", *words[1:]],
            cwd=folder,
            env=around | _QUIET | numbered,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace") if done.returncode in (0, empty) else None
