"""Which configuration files found by searching upwards may direct credentials, as ``direnv allow`` does it.

A file is trusted by path and content: what one of its keys says can't be changed later without being asked again. Trust
lies in the user's own configuration folder, an empty file for each, so that processes need no lock.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lakefolio.config.files import ConfigFile, config_files
from lakefolio.errors import InvalidInputError, StorageError
from lakefolio.process.places import user_folder

__all__ = ["LIMITS", "is_trusted", "needs_trust", "trust", "untrust"]

_VARIABLE: Final = "LAKEFOLIO_TRUST"
"""Folders that are trusted whatever their files say, for containers and CI; separated as in PATH."""

LIMITS: Final[Mapping[str, int]] = {"view_seconds": 30, "view_memory_mib": 1024}
"""What protects from views that others wrote, and its defaults."""

_HARMLESS: Final = frozenset(
    [
        "region",
        "default_region",
        "connect_timeout",
        "timeout",
        "read_timeout",
        "pool_idle_timeout",
        "pool_max_idle_per_host",
        "http1_only",
        "http2_only",
        "randomize_addresses",
        "max_retries",
        "retry_timeout",
        "fsync",
    ]
)
"""Options of stores that say nothing of where requests go, as whom, and how they are protected."""


def needs_trust(name: str, value: object) -> str | None:
    """Return what of a setting in a file has no effect without trust, in words; None if nothing."""
    if name == "views":
        return "a folder of view files"
    if name == "encoder":
        return "a function that is run"
    if name in LIMITS:
        return "a higher limit" if isinstance(value, int | float) and value > LIMITS[name] else None
    if name != "storage_options" or not isinstance(value, Mapping):
        return None
    wary = sorted(str(option)[:80] for option in value if not _is_harmless(str(option)))
    return ", ".join(wary) if wary else None


def _is_harmless(option: str) -> bool:
    plain = option.strip().lower()
    for prefix in ("aws_", "google_", "azure_storage_", "azure_"):
        plain = plain.removeprefix(prefix)
    return plain in _HARMLESS


def is_trusted(file: ConfigFile) -> bool:
    """Say whether the user trusts a file as it is now."""
    folder = os.path.realpath(file.path.parent)
    if any(os.path.isabs(one) and os.path.realpath(one) == folder for one in _from_environment()):
        return True
    place = _place()
    return place is not None and (place / _mark(file)).is_file()


def trust(folder: Path) -> list[ConfigFile]:
    """Trust the configuration files of one folder as they are now, and return them. Idempotent.

    Raises:
        InvalidInputError: kind ``no-config``: it has none; ``no-home``: this user has no place for settings.
        StorageError: kind ``permission-denied``: that place can't be written to.
    """
    place = _place()
    if place is None:
        raise InvalidInputError(
            "trust can't be kept: this user has no home folder",
            kind="no-home",
            hint=f"set XDG_CONFIG_HOME, or name the folder in {_VARIABLE}",
        )
    files = _files_of(folder)
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        for file in files:
            _forget(place, file)
            (place / _mark(file)).touch(mode=0o600)
    except OSError as exc:
        raise StorageError(
            f"trust can't be kept in {str(place)!r}: {exc.strerror}",
            kind="permission-denied",
            hint=f"set XDG_CONFIG_HOME to a folder of yours, or name the folder in {_VARIABLE}",
        ) from exc
    return files


def untrust(folder: Path) -> list[ConfigFile]:
    """Trust the configuration files of one folder no longer, and return them. Idempotent.

    Raises:
        InvalidInputError: kind ``no-config``: it has none.
    """
    files = _files_of(folder)
    place = _place()
    for file in files if place is not None and place.is_dir() else ():
        assert place is not None
        _forget(place, file)
    return files


def _files_of(folder: Path) -> list[ConfigFile]:
    absolute = Path(os.path.abspath(folder))
    files = [file for file in config_files(absolute) if file.path.parent == absolute]
    if not files:
        raise InvalidInputError(
            f"folder {str(absolute)!r} has neither a lakefolio.toml nor a pyproject.toml with [tool.lakefolio]",
            kind="no-config",
            hint="name the folder in which the file lies: lakefolio config trust DIR",
        )
    return files


def _from_environment() -> list[str]:
    return [one for one in os.environ.get(_VARIABLE, "").split(os.pathsep) if one]


def _place() -> Path | None:
    folder = user_folder("XDG_CONFIG_HOME", ".config")
    return None if folder is None else folder / "lakefolio" / "trusted"


def _mark(file: ConfigFile) -> str:
    content = json.dumps(file.values, sort_keys=True, default=str)
    return f"{_path_mark(file)}-{hashlib.sha256(content.encode(errors='surrogateescape')).hexdigest()}"


def _path_mark(file: ConfigFile) -> str:
    path = os.path.join(os.path.realpath(file.path.parent), file.path.name)
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:32]


def _forget(place: Path, file: ConfigFile) -> None:
    for known in place.glob(f"{_path_mark(file)}-*"):
        known.unlink(missing_ok=True)
