"""What a skops file holds as plain values, with nothing built and no class imported: for looking at a model.

An object becomes the dict of its attributes, with its class under ``class``; arrays are arrays.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

from lakefolio.errors import IntegrityError
from lakefolio.items import npy
from lakefolio.items.sklearn_bounds import check_bounds

__all__ = ["plain_model"]


def plain_model(path: Path) -> object:
    """Return what a stored model is made of: dicts, lists, texts, bytes, numbers and numpy arrays.

    Raises:
        IntegrityError: kind ``bad-content``: It is no skops file.
    """
    data = path.read_bytes()
    try:
        check_bounds(data)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _plain(json.loads(archive.read("schema.json")), archive)
    except (*npy.DAMAGE, zipfile.BadZipFile, RecursionError) as exc:
        raise IntegrityError(f"the stored model can't be read: {exc}", kind="bad-content") from exc


def _plain(node: object, archive: zipfile.ZipFile) -> Any:
    if isinstance(node, list):
        return [_plain(one, archive) for one in node]
    if not isinstance(node, dict):
        return node
    file, loader, content = node.get("file"), node.get("__loader__"), node.get("content")
    if isinstance(file, str) and file.endswith((".npy", ".npz")):
        held = archive.read(file)
        if file.endswith(".npy"):
            return npy.in_memory(memoryview(held))
        return npy.read_npz(io.BytesIO(held), len(held))
    if loader == "JsonNode" and isinstance(content, str):
        return json.loads(content) if node.get("is_json", True) else content
    if isinstance(file, str) and loader in ("BytesNode", "BytearrayNode"):
        return archive.read(file)
    name = f"{node.get('__module__')}.{node.get('__class__')}"
    if loader in ("TypeNode", "FunctionNode"):
        return name
    if isinstance(content, list):
        return [_plain(one, archive) for one in content]
    if loader == "DictNode" and isinstance(content, dict):
        return {key: _plain(one, archive) for key, one in content.items()}
    if "__class__" not in node:
        return {key: _plain(one, archive) for key, one in node.items()}
    found = {"class": name}
    parts = content if isinstance(content, dict) and "__class__" not in content else {"": content}
    parts = {**parts, **{key: node[key] for key in node if key not in _ABOUT}}
    for key, one in parts.items():
        value = _plain(one, archive)
        found |= value if key in _MERGED and isinstance(value, dict) else {key: value}
    return found


_ABOUT = frozenset(
    ("__class__", "__module__", "__loader__", "__id__", "content", "protocol", "_skops_version", "is_json")
)
_MERGED = frozenset(("", "attrs"))
"""Parts of a node that are the attributes of its object."""
