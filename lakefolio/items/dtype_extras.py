"""The parts of a numpy dtype that a .npy file leaves out: alignment, the record type and metadata of each part inside.

Each part that has some is one JSON object, ``{"at": path, "aligned": true, "record": true, "metadata": …}``, where a
path leads from the whole dtype into fields, by their positions, and with -1 into the items of a subarray.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from lakefolio.errors import InvalidInputError, LakefolioError
from lakefolio.format import json_decode, json_encode
from lakefolio.items.round_trip import first_difference

__all__ = ["extras_of", "with_extras", "without_metadata"]

_ITEM: Final = -1
_Path = tuple[int, ...]
_Dtype = np.dtype[Any]


def extras_of(dtype: _Dtype) -> list[dict[str, Any]]:
    """Return what a .npy file would leave out of a dtype, as JSON; an empty list of nearly all dtypes.

    Raises:
        InvalidInputError: kind ``unsupported-dtype``: metadata that would not come back.
    """
    found = []
    for path, part in _parts(dtype, ()):
        extra: dict[str, Any] = {}
        if part.subdtype is None:  # a subarray says of its items what they are
            if part.isalignedstruct:
                extra["aligned"] = True
            if part.type is np.record:
                extra["record"] = True
        if part.metadata is not None:
            extra["metadata"] = _metadata(part)
        if extra:
            found.append({"at": list(path), **extra})
    return found


def with_extras(array: np.ndarray[Any, Any], extras: object) -> np.ndarray[Any, Any]:
    """Return an array, over the same memory if that is aligned, whose dtype has its extras again.

    Raises:
        ValueError: If they are none of this dtype; ``npy.DAMAGE`` lists the others.
    """
    if not extras:
        return array
    if not isinstance(extras, list):
        raise ValueError(f"parts of a dtype that are a {type(extras).__name__}")
    given = {tuple(one["at"]): one for one in extras}
    if not given.keys() <= {path for path, _ in _parts(array.dtype, ())}:
        raise ValueError("parts that the dtype does not have")
    dtype = _made(array.dtype, given, ())
    if dtype != array.dtype:
        raise ValueError("parts of another dtype")
    found = array.view(dtype)
    return found if found.flags.aligned else found.copy(order="K")


def without_metadata(dtype: _Dtype) -> _Dtype:
    """Return the dtype of the same values that holds no metadata; the same one if it has none."""
    return _made(dtype, {}, ()) if any(part.metadata is not None for _, part in _parts(dtype, ())) else dtype


def _parts(dtype: _Dtype, path: _Path) -> Iterator[tuple[_Path, _Dtype]]:
    yield path, dtype
    if dtype.subdtype is not None:
        yield from _parts(dtype.subdtype[0], (*path, _ITEM))
    else:
        for position, field in enumerate(_fields(dtype)):
            yield from _parts(field[0], (*path, position))


def _fields(dtype: _Dtype) -> list[Any]:
    fields: Mapping[str, Any] = dtype.fields or {}
    return [fields[name] for name in dtype.names or ()]


def _made(dtype: _Dtype, extras: Mapping[_Path, Mapping[str, object]], path: _Path) -> _Dtype:
    extra = extras.get(path, {})
    metadata = extra.get("metadata")
    said: dict[str, Any] = {} if metadata is None else {"metadata": dict(json_decode.decode(metadata))}
    if dtype.subdtype is not None:
        return np.dtype((_made(dtype.subdtype[0], extras, (*path, _ITEM)), dtype.shape), **said)
    if dtype.names is not None:
        fields = _fields(dtype)
        parts = {
            "names": list(dtype.names),
            "formats": [_made(field[0], extras, (*path, position)) for position, field in enumerate(fields)],
            "offsets": [field[1] for field in fields],
            "itemsize": dtype.itemsize,
        }
        if any(len(field) > 2 for field in fields):
            parts["titles"] = [field[2] if len(field) > 2 else None for field in fields]
        made: _Dtype = np.dtype(parts, align=extra.get("aligned") is True, **said)  # type: ignore[call-overload]
        return np.dtype((np.record, made), **said) if extra.get("record") is True else made
    return np.dtype(dtype.str, **said) if dtype.metadata is not None or said else dtype


def _metadata(dtype: _Dtype) -> object:
    """Return the metadata of a dtype as a document; InvalidInputError if it would not come back."""
    given = dict(dtype.metadata or {})
    try:
        document = json_encode.encode(given)
        lost = first_difference(given, json_decode.decode(document))
        problem = None if lost is None else f"metadata{lost[0].path} {lost[1]}"
    except LakefolioError as exc:
        problem = exc.message
    if problem is not None:
        raise InvalidInputError(
            f"the metadata of the dtype {without_metadata(dtype)} can't be stored: {problem}",
            kind="unsupported-dtype",
            hint="use .astype with a dtype without it, and note it as metadata of the item",
            dtype=str(dtype),
        )
    return document
