"""Whether adding an item would change anything: its entry compared with the new one (pure: no I/O).

Two entries are equal if their content, description, tags, metadata and inputs are. The author, the time, the run and
facts about how the content was made (a library's version, the path of the file) do not count.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from lakefolio.model.changes import Put
from lakefolio.model.entries import Entry, Stored
from lakefolio.model.item_versions import label_of
from lakefolio.process.places import printable
from lakefolio.render.text import counted

__all__ = ["differences"]

_OF_THE_MAKING: Final = frozenset({"versions", "library_version", "original_path"})
_SHOWN: Final = 12
_MOST: Final = 3


def differences(entry: Entry, put: Put, edges: Iterable[Mapping[str, object]]) -> dict[str, str]:
    """Return in what an entry and a change that would replace it differ, each with words on how; empty if in nothing.

    Args:
        entry: The live entry of the item.
        put: The change.
        edges: The inputs of the change, as they would be recorded.

    Returns:
        Some of ``content``, ``details``, ``description``, ``tags``, ``metadata``, ``version``, ``inputs`` and
        ``archived``; ``columns`` if those are other columns of the inputs.
    """
    found: dict[str, str] = {}
    edges = list(edges)
    stored = put.stored
    if not stored.kind:
        found["content"] = "the given content can be read only once, and is not compared"
    elif _identity(entry) != _identity(stored):
        found["content"] = f"{_shown(entry)}, given {_shown(stored)}"
    else:
        here, given = _details(entry.details), _details(stored.details)
        if here != given:
            names = sorted(key for key in here.keys() | given.keys() if here.get(key) != given.get(key))
            found["details"] = _listed(names)
    if (entry.description or None) != (put.description or None):
        found["description"] = f"{_text(entry.description)}, given {_text(put.description)}"
    if set(entry.tags) != set(put.tags):
        found["tags"] = f"{_listed(entry.tags)}, given {_listed(put.tags)}"
    facts = {key: value for key, value in entry.facts.items() if value is not None}
    if facts != dict(put.metadata):
        keys = [key for key in sorted(facts.keys() | put.metadata.keys()) if facts.get(key) != put.metadata.get(key)]
        found["metadata"] = _listed(keys)
    label = label_of(entry.extra)
    if put.version is not None and put.version != label:
        found["version"] = f"{label or 'none'}, given {put.version}"
    before, after = _inputs(entry.inputs), _inputs(edges)
    if put.input_details and before.keys() == after.keys():
        told = [{one.get("input_id"): one.get("details") for one in edges} for edges in (entry.inputs, edges)]
        if any(told[0].get(key) != details for key, details in told[1].items() if details is not None):
            found["columns"] = "the columns that it was made from"
    if before.keys() != after.keys():
        old = [before[key] for key in before if key not in after]
        new = [after[key] for key in after if key not in before]
        found["inputs"] = f"{_listed(old)}, given {_listed(new)}"
    if entry.archived:
        found["archived"] = "the item is archived"
    return found


def _identity(one: Entry | Stored) -> tuple[Any, ...]:
    if one.storage == "reference":
        return (one.kind, one.uri, one.digest, one.size_bytes)
    return (one.kind, one.digest)


def _details(details: Mapping[str, object]) -> dict[str, str]:
    return {
        key: json.dumps(value, sort_keys=True, default=str)
        for key, value in details.items()
        if key not in _OF_THE_MAKING
    }


def _inputs(edges: Iterable[Mapping[str, object]]) -> dict[tuple[Any, ...], str]:
    """Return identity -> name of each input; the run that made the entry is none."""
    found = {}
    for edge in edges:
        if edge.get("input_kind") == "run":
            continue
        if edge.get("input_kind") == "entry":
            found[("entry", edge.get("input_id"))] = f"{edge.get('input_folio')}:{edge.get('input_item')}"
        else:
            found[("external", edge.get("input_uri"))] = str(edge.get("input_uri"))
    return found


def _shown(one: Entry | Stored) -> str:
    if one.storage == "reference":
        return str(one.uri)
    size = "" if one.size_bytes is None else f" of {counted(one.size_bytes, 'byte')}"
    return f"{one.kind}{size} ({(one.digest or '')[: 7 + _SHOWN]}…)"


def _text(text: str | None) -> str:
    return "none" if not text else repr(text if len(text) <= 40 else text[:39] + "…")


def _listed(names: Iterable[str]) -> str:
    some = [printable(str(one)) for one in names]
    more = f" and {len(some) - _MOST} more" if len(some) > _MOST else ""
    return (", ".join(some[:_MOST]) + more) or "none"
