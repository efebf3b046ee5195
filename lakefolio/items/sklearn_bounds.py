"""A check of a skops file before skops builds anything of it: it takes no more memory than it has bytes.

skops reads its members without limits: compressed ones, arrays whose headers say any shape, sparse matrices whose
indices compiled code follows without looking, and a generator of random numbers that mixes a pool of any size.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from lakefolio.items import npy
from lakefolio.items.sklearn_round_trip import schema_nodes
from lakefolio.items.sparse import from_parts

__all__ = ["check_bounds", "plain_member"]

_MAX_POOL: Final = 1024
"""numpy's own is 4 words; mixing takes the square of it."""


def check_bounds(data: bytes) -> None:
    """Refuse a skops file that is compressed, or whose members contradict their headers.

    Raises:
        ValueError: If so; ``npy.DAMAGE`` lists the other errors that damaged bytes raise.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        npy.check_stored(members, len(data))
        for member in members:
            with archive.open(member) as file:
                if member.filename.endswith(".npy"):
                    npy.read_header(file, member.file_size)  # type: ignore[arg-type]
                elif member.filename.endswith(".npz"):
                    from_parts(npy.read_npz(io.BytesIO(file.read()), member.file_size))
        for node in schema_nodes(json.loads(archive.read("schema.json"))):
            if node.get("__loader__") == "RandomGeneratorNode":
                _check_pool(node)


def _check_pool(node: Mapping[str, Any]) -> None:
    size = json.loads(node["content"]["seed_seq"]["content"]["pool_size"]["content"])
    if type(size) is not int or not 0 < size <= _MAX_POOL:
        raise ValueError(f"a generator of random numbers with a pool of {size!r} words")


def plain_member(content: bytes, file_name: str) -> bytes:
    """Return a member that skops wrote as it is stored: not compressed, and without leftovers of memory.

    Records have bytes between their fields, which hold leftovers of memory.
    """
    target = io.BytesIO()
    if file_name.endswith(".npz"):
        with np.load(io.BytesIO(content), allow_pickle=False) as parts, zipfile.ZipFile(target, "w") as archive:
            for name in parts.files:
                npy.write_member(archive, name, parts[name])
        return target.getvalue()
    if not content.startswith(b"\x93NUMPY"):
        return content
    array = np.load(io.BytesIO(content), allow_pickle=False, max_header_size=npy.MAX_HEADER_BYTES)
    if array.dtype.names is None:
        return content
    clean = np.zeros(array.shape, array.dtype)
    for field in array.dtype.names:
        clean[field] = array[field]
    np.save(target, clean, allow_pickle=False)
    return target.getvalue()
