"""Data files of a Delta table that no log entry names, nor ever will (FORMAT.md, "Upkeep").

A file carries the version it was written for in its name, and only the log entry of that version may name it. Once that
version exists without naming it, its writer has lost or died. Nothing is called dead before that entry was read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from lakefolio.format.layout import data_file_version, log_key, table_prefix

if TYPE_CHECKING:
    from lakefolio.delta.table import DeltaTable
    from lakefolio.storage import ObjectInfo

__all__ = ["dead_files"]

_WINDOW: Final = 20_000
_AT_ONCE: Final = 32


def dead_files(table: DeltaTable, listed: Iterable[ObjectInfo]) -> Iterator[ObjectInfo]:
    """Yield those of some objects below a table that are dead data files.

    Few requests: a compaction's log entry names all that it replaced, so that hardly any other entry has to be read.
    Memory is bounded, however many objects there are.

    Args:
        table: The table; its log has been read.
        listed: What was listed below it, in the order of keys, so that files of neighbouring versions come together.
    """
    within = table_prefix(table.name) + "/"
    active = {file.path for file in table.known_files}
    named = active | table.tombstones
    window: dict[str, ObjectInfo] = {}
    asked = False
    for info in listed:
        path = info.key.removeprefix(within)
        version = data_file_version(path)
        if version is None or version > table.version or path in active:
            continue
        if not asked and path not in named:
            asked = True
            merged = [
                file.path for file in table.known_files if file.level and data_file_version(file.path) is not None
            ]
            named.update(*filter(None, _names(table, merged)))
        window[path] = info
        if len(window) >= _WINDOW:
            yield from _dead(table, window, set(named))
            window = {}
    yield from _dead(table, window, named)


def _dead(table: DeltaTable, window: dict[str, ObjectInfo], named: set[str]) -> Iterator[ObjectInfo]:
    """Read the entries of the largest files, and of those that no entry read so far names.

    What a compaction wrote is larger than what it replaced, and may have been replaced itself.
    """
    unread = dict.fromkeys(sorted(window, key=lambda path: -window[path].size_bytes))
    while doubted := [path for path in unread if path not in named]:
        some = list(dict.fromkeys([*islice(unread, _AT_ONCE), *doubted[:_AT_ONCE]]))
        for path, names in zip(some, _names(table, some), strict=True):
            del unread[path]
            named |= {path} if names is None else names
            if path not in named:
                yield window[path]


def _names(table: DeltaTable, paths: Sequence[str]) -> list[set[str] | None]:
    """Return what the log entries that may name some files add or remove; None for an entry that can't be read."""
    versions = [int(path.partition("-")[0]) for path in paths]
    keys = [log_key(table.name, version) for version in versions]
    bodies = table.store.get_many(keys)
    return [_names_in(table, version, body) for version, body in zip(versions, bodies, strict=True)]


def _names_in(table: DeltaTable, version: int, body: bytes | None) -> set[str] | None:
    try:
        if not table.seals.is_sealed(version, body or b""):
            return None
        actions = [json.loads(line) for line in (body or b"").splitlines()]
        return {unquote(one[kind]["path"]) for one in actions for kind in ("add", "remove") if kind in one}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
