"""Open the store of an address and its options."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lakefolio.config.settings import default_fsync
from lakefolio.errors import InvalidInputError, LakefolioError, PlaceTakenError
from lakefolio.storage.addresses import Location, parse_uri
from lakefolio.storage.errors import cause, is_vendor_error
from lakefolio.storage.local import LocalStore
from lakefolio.storage.options import CLIENT, normalise, refuse_odd, refuse_unsafe, truthy
from lakefolio.storage.store import Store

if TYPE_CHECKING:
    from obstore.store import MemoryStore

__all__ = ["open_store", "resolve_uri"]

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|min|)\s*")
_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0}

# A refused connection is given up after about 3 seconds, an unreachable host after 20; a stalled answer is noticed
# after 30, however long a transfer that moves may take (obstore's own limit is 30 seconds for a whole request).
_CLIENT_DEFAULTS = {"connect_timeout": "5s", "read_timeout": "30s", "timeout": "2h"}
_RETRIES = 6
_RETRY_TIMEOUT_S = 15.0


_memories: dict[str, MemoryStore] = {}
_memories_lock = threading.Lock()


def open_store(uri: str | Path, storage_options: Mapping[str, object] | None = None) -> Store:
    """Open the place of a lake. Makes no request and no folder; a wrong address shows with the first use.

    Args:
        uri: A local path (relative ones and ``~`` are resolved), or file://, s3://, gs://, az://, abfss:// or memory://;
            handles on one memory:// address in one process share their objects.
        storage_options: Named as deltalake and AWS users name them, in any case; they win over the environment
            (AWS_*, GOOGLE_*, AZURE_*), which wins over AWS profiles. Local folders know ``fsync``,
            by default LAKEFOLIO_FSYNC or ``fsync`` of a configuration file: whether a write returns only when the
            disk has it.

    Raises:
        InvalidInputError: kind ``bad-uri``, ``unknown-option``, ``bad-option``, ``conflicting-options``,
            ``unsafe-option`` (settings that let concurrent writers lose commits), ``unknown-profile``.
        PlaceTakenError: kind ``not-a-directory``, if a file lies at a local path.
        StorageError: kind ``unauthenticated``, if there are no AWS credentials at all.
    """
    location = parse_uri(uri)
    options = normalise(storage_options, location.scheme)
    refuse_unsafe(options, os.environ)
    refuse_odd(options, os.environ, location.scheme)
    if location.scheme == "file" and os.path.exists(location.prefix) and not os.path.isdir(location.prefix):
        raise PlaceTakenError(
            f"{location.prefix!r} is a file, not the folder of a lake",
            kind="not-a-directory",
            hint="give another path",
            uri=location.uri,
        )
    return _open(location, options)


def resolve_uri(uri: str | Path, storage_options: Mapping[str, object] | None = None) -> tuple[Store, str]:
    """Return the store and the key of any readable object: s3, gs, az, http(s), memory or a local path.

    Stores are kept for the life of the process, one for each bucket, host and set of options. A final slash of the
    address is kept in the key, which then is a prefix to list.

    Args:
        uri: The address of the object; it may hold a query (a presigned URL), which is never shown.
        storage_options: Used where they fit the kind of store, ignored where they don't.

    Raises:
        InvalidInputError: kind ``bad-uri``.
    """
    slash = "/" if str(uri).endswith("/") else ""
    location = parse_uri(uri, objects=True)
    options = normalise(storage_options, location.scheme, lenient=True)
    if location.scheme == "file":
        return _FILES, (location.prefix.lstrip("/") + slash).lstrip("/")
    refuse_unsafe(options, os.environ)
    refuse_odd(options, os.environ, location.scheme)
    key = unquote(location.prefix) + slash if location.scheme == "http" else location.prefix.lstrip("/")
    root = Location(location.scheme, location.bucket, "", location.account, location.query)
    return _cached(root, tuple(sorted(options.items()))), key


_FILES = LocalStore(Path("/"), links=True)
"""The user's own files, where links are followed."""


@lru_cache(maxsize=64)
def _cached(location: Location, options: tuple[tuple[str, str], ...]) -> Store:
    return _open(location, dict(options))


def _open(location: Location, options: dict[str, str]) -> Store:
    if location.scheme == "file":
        fsync = truthy(options["fsync"]) if "fsync" in options else default_fsync()
        return LocalStore(Path(location.prefix), fsync=fsync)
    client, retry = _client_options(options), _retry_options(options)
    try:
        return _opener(location.scheme)(location, options, client, retry)
    except BaseException as exc:
        if not is_vendor_error(exc) or isinstance(exc, LakefolioError):
            raise
        raise InvalidInputError(
            f"{location.uri} can't be opened with these options",
            kind="bad-option",
            hint="check storage_options and the environment; the cause above tells what is wrong",
            uri=location.uri,
        ) from cause(exc)


def _client_options(options: Mapping[str, str]) -> dict[str, Any]:
    given = {name: value for name, value in options.items() if name in CLIENT}
    flags = {name: truthy(value) for name, value in given.items() if name.startswith(("allow_", "http", "randomize"))}
    return {**_CLIENT_DEFAULTS, **given, **flags}


def _retry_options(options: Mapping[str, str]) -> dict[str, Any]:
    text = options.get("max_retries", str(_RETRIES))
    if not text.isdigit():
        raise InvalidInputError("option max_retries is no number", kind="bad-option", option="max_retries")
    seconds = _seconds(options["retry_timeout"]) if "retry_timeout" in options else _RETRY_TIMEOUT_S
    return {
        "max_retries": int(text),
        "retry_timeout": timedelta(seconds=seconds),
        "backoff": {
            "init_backoff": timedelta(milliseconds=100),
            "max_backoff": timedelta(seconds=2),
            "base": 2,
        },
    }


def _seconds(text: str) -> float:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InvalidInputError(
            "option retry_timeout is no duration, such as '15s'",
            kind="bad-option",
            option="retry_timeout",
        )
    return float(match.group(1)) * _UNITS[match.group(2)]


def _open_memory(location: Location, options: dict[str, str], client: object, retry: object) -> Store:
    from obstore.store import MemoryStore

    from lakefolio.storage.object_store import RemoteStore

    with _memories_lock:
        opened = _memories.setdefault(location.bucket, MemoryStore())
    return RemoteStore("memory", location.uri, opened, prefix=location.prefix)


def _opener(scheme: str) -> Callable[[Location, dict[str, str], Any, Any], Store]:
    """Return the function that opens a store of a scheme; imports the modules of its vendor only."""
    if scheme == "s3":
        from lakefolio.storage.s3 import open_s3

        return open_s3
    if scheme == "memory":
        return _open_memory
    from lakefolio.storage import clouds

    return {"gs": clouds.open_gs, "az": clouds.open_az, "http": clouds.open_http}[scheme]
