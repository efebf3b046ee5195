"""Bundles of DataFolio: every version that the bundle still has, in the order they were made, and its snapshots.

1.x keeps ``items.json``, ``metadata.json`` and ``snapshots.json``, 2.x one ``items.json``. Models are pickles (joblib,
torch): their files are kept as they are and never loaded. 1.x does not keep overwritten content of most kinds; what a
snapshot then lacks is said.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlparse

from lakefolio.errors import InvalidInputError, LakefolioError
from lakefolio.format.quoting import quoted, quoted_path
from lakefolio.interop.importing.plan import NewItem, Plan, Step
from lakefolio.interop.importing.source_files import SourceFolder, digest_of, mapping

__all__ = ["read"]

_KINDS: Final = {
    "included_table": ("tables", "table"),
    "numpy_array": ("artifacts", "array"),
    "json_data": ("artifacts", "json"),
    "timestamp": ("artifacts", "timestamp"),
    "referenced_table": ("", "reference"),
    "model": ("models", "artifact"),
    "pytorch_model": ("models", "artifact"),
    "artifact": ("artifacts", "artifact"),
}
"""Type of an item -> the folder of its file, and the kind it gets."""
_PLACES: Final = ("artifacts", "models", "tables")


def read(source: str, folio: str | None, *, references: bool = False) -> Plan:
    """Plan the import of a bundle.

    Args:
        source: The bundle's folder.
        folio: The folio; by default the bundle's name.
        references: Register the tables that the bundle refers to: each is looked at where it lies, with your rights.

    Raises:
        InvalidInputError: kind ``bad-source``: it is no bundle.
    """
    files = SourceFolder(source)
    if not files.has("items.json"):
        raise InvalidInputError(
            f"{source!r} is no bundle of DataFolio: it has no items.json", kind="bad-source", path=source
        )
    index = files.json("items.json")
    items = index.get("items") if isinstance(index, dict) else index
    if not isinstance(items, list) or not all(isinstance(one, dict) for one in items):
        raise InvalidInputError("items.json lists no items", kind="bad-source", path=source)
    new = isinstance(index, dict) and "schema_version" in index
    metadata = index.get("metadata") if new else _optional(files, "metadata.json")
    snapshots = (index if new else _optional(files, "snapshots.json")).get("snapshots")
    plan = Plan(f"datafolio:{files.root}")
    bundle = _Bundle(files, plan, folio or quoted(files.root.name), items, references)
    bundle.steps(mapping(metadata), mapping(snapshots))
    return plan


def _optional(files: SourceFolder, name: str) -> dict[str, Any]:
    return mapping(files.json(name) if files.has(name) else None)


class _Bundle:
    """The records of a bundle, on their way into a plan."""

    def __init__(
        self, files: SourceFolder, plan: Plan, folio: str, items: Sequence[Mapping[str, object]], references: bool
    ) -> None:
        self._references = references
        self._files = files
        self._plan = plan
        self._folio = folio
        named = [one for one in items if isinstance(one.get("name"), str) and one["name"]]
        for _ in range(len(items) - len(named)):
            plan.leave_out("an item without name", "items.json gives it none")
        self._versions = sorted(named, key=_made_at)

    def steps(self, metadata: Mapping[str, object], snapshots: Mapping[str, object]) -> None:
        """Fill the plan."""
        facts = {key: value for key, value in metadata.items() if key not in ("_datafolio", "updated_at")}
        if facts:
            self._plan.steps.append(Step("metadata", "import metadata", facts={self._folio: facts}))
        live: dict[str, str] = {}
        waiting = list(self._versions)
        named = [(name, one) for name, one in snapshots.items() if isinstance(one, dict)]
        for name, snapshot in sorted(named, key=lambda pair: str(pair[1].get("timestamp"))):
            until = str(snapshot.get("timestamp") or "")
            while waiting and _made_at(waiting[0]) <= until:
                self._add(waiting.pop(0), live)
            wanted = snapshot.get("item_versions")
            self._match(name, wanted if isinstance(wanted, dict) else {}, live)
            self._plan.steps.append(
                Step(
                    f"snapshot {name}",
                    f"import snapshot {name}",
                    snapshot=(self._folio, name, snapshot.get("description"), _texts(snapshot.get("tags"))),
                )
            )
        for one in waiting:
            self._add(one, live)
        current = {one["name"] for one in self._versions if one.get("is_current", True)}
        self._delete([name for name in live if name not in current], "end", live)

    def _add(self, one: Mapping[str, Any], live: dict[str, str]) -> None:
        name, key = one["name"], _identity(one)
        item = self._item(one)
        if item is None:
            return
        live[name] = key
        self._plan.steps.append(
            Step(f"item {name} {key}", f"import {name} of {_made_at(one) or 'an unknown time'}", [item])
        )

    def _match(self, snapshot: str, wanted: Mapping[str, object], live: dict[str, str]) -> None:
        """Bring the folio to the state of a snapshot, as far as the bundle has its content."""
        for name, version in wanted.items():
            if live.get(name) != version:
                self._plan.leave_out(f"{name} of snapshot {snapshot}", "the bundle does not keep that version any more")
        gone = [name for name in live if name not in wanted]
        self._delete(gone, f"snapshot {snapshot}", live)

    def _delete(self, names: Sequence[str], when: str, live: dict[str, str]) -> None:
        if names:
            deleted = [(self._folio, quoted_path(name)) for name in names]
            self._plan.steps.append(
                Step(f"delete {when}", f"import the deletion of {', '.join(names)}", deletes=deleted)
            )
        for name in names:
            live.pop(name)

    def _item(self, one: Mapping[str, Any]) -> NewItem | None:
        name, kind = one["name"], str(one.get("item_type"))
        folder, becomes = _KINDS.get(kind, ("", "artifact"))
        try:
            content = self._content(one, folder, becomes)
        except LakefolioError as exc:
            self._plan.leave_out(name, str(exc))
            return None
        facts: dict[str, Any] = {
            "imported_from": str(one.get("filename") or one.get("path") or ""),
            "datafolio": {key: one[key] for key in ("created_at", "item_type", "serialization_format") if key in one},
        }
        facts |= {key: one[key] for key in ("code", "hyperparameters", "category", "models") if one.get(key)}
        if isinstance(one.get("metadata"), dict):
            facts = one["metadata"] | facts
        return NewItem(
            self._folio,
            quoted_path(name),
            becomes,
            content,
            description=one.get("description"),
            inputs=[quoted_path(text) for text in _texts(one.get("inputs"))],
            tags=_texts(one.get("tags")),
            facts=facts,
        )

    def _content(self, one: Mapping[str, Any], folder: str, becomes: str) -> Any:
        if becomes == "reference":
            if not self._references:
                raise InvalidInputError(f"it refers to {one.get('path')}; --references registers it", kind="bad-source")
            return _address(str(one.get("path") or ""))
        if becomes == "timestamp" and isinstance(one.get("iso_string"), str):
            return _time(one["iso_string"])
        filename = str(one.get("filename") or "")
        places = [place for place in (folder, *_PLACES) if place and self._files.has(f"{place}/{filename}")]
        path = self._files.file(f"{places[0] if places else folder}/{filename}")
        self._check(path, one)
        return path

    def _check(self, path: Path, one: Mapping[str, object]) -> None:
        said = one.get("checksum")
        if isinstance(said, str) and len(said) == 32 and path.is_file() and digest_of(path, "md5") != said:
            raise InvalidInputError(f"file {path.name!r} is damaged: its checksum differs", kind="bad-source")


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as exc:
        raise InvalidInputError(f"{text!r} is not a time", kind="bad-source") from exc


def _made_at(one: Mapping[str, object]) -> str:
    return str(one.get("created_at") or "")


def _identity(one: Mapping[str, object]) -> str:
    """Return the name of a version in snapshots: its id in 2.x, checksum or time in 1.x."""
    return str(one.get("version_id") or one.get("checksum") or f"v_{_made_at(one)}")


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str) and one] if isinstance(value, list) else []


def _address(text: str) -> str:
    """Return an address; that of a local file as a path."""
    parsed = urlparse(text)
    return os.path.abspath(unquote(parsed.path)) if parsed.scheme == "file" else text
