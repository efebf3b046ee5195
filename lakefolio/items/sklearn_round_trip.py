"""Prove that a model comes back from its skops file before the file is stored.

skops writes more than it can read: it loses the items of a ``deque``, the fill value of a masked array and keys of a
dict that are equal as text, and it fails on loading an Enum member or a ``pandas.Timestamp``. So the file is loaded and
compared with the model, and a model that would not come back is refused with the path of the part that is at fault.
"""

from __future__ import annotations

import copyreg
import types
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lakefolio.errors import IntegrityError, UnsupportedTypeError, brief
from lakefolio.items.round_trip import Part, first_difference, how_to_rebuild, parts_of, walk
from lakefolio.items.sklearn_checks import check_model

__all__ = ["check_comes_back", "culprit", "refusal", "schema_nodes"]


def check_comes_back(obj: object, content: bytes, schema: Mapping[str, object]) -> None:
    """Load a skops file and compare it with the model it was made from.

    Args:
        obj: The model. Code of its classes runs, as it does when a reader who trusts them loads it.
        content: The skops file.
        schema: The document in its ``schema.json``.

    Raises:
        UnsupportedTypeError: If the model would not come back, or not pass the checks that loading makes; ``path``
            and ``type`` name the part.
    """
    from skops import io as skops

    _check_can_be_built(obj, schema)
    try:
        back = skops.loads(content, trusted=skops.get_untrusted_types(data=content))
    except Exception as exc:  # skops and the model's own classes may raise anything
        raise refusal(obj, culprit(obj), f"can't be read back: {brief(exc)}") from exc
    found = first_difference(obj, back)
    if found is not None:
        raise refusal(obj, *found)
    try:
        check_model(back)
    except IntegrityError as exc:
        raise refusal(obj, Part("", obj), f"would be refused when it is loaded: {exc.message}") from exc


def refusal(obj: object, part: Part, reason: str) -> UnsupportedTypeError:
    """Return the error for a model that can't be stored because of one part."""
    name, kind = _name(type(obj)), _name(type(part.value))
    where = f"its {part.path.lstrip('.')} (a {kind})" if part.path else "it"
    return UnsupportedTypeError(
        f"skops can't store this {name}: {where} {reason}",
        kind="unsupported-model",
        hint="turn the part into plain values, or export the model in a format of its own library and add that file",
        type=kind,
        path=part.path,
    )


def culprit(obj: object) -> Part:
    """Return the innermost part of ``obj`` that skops alone can't write and read back; ``obj`` if there is none."""
    part, seen = Part("", obj), {id(obj)}
    while _is_open(part.value):
        inner = next((one for one in parts_of(part) if id(one.value) not in seen and not _comes_back(one.value)), None)
        if inner is None:
            break
        seen.add(id(inner.value))
        part = inner
    return part


def _is_open(obj: object) -> bool:
    """Say whether users know what lies inside of an object: it is a container, an estimator, or of a plain class."""
    kind = type(obj)
    reduce: object = kind.__reduce__
    plain = reduce is object.__reduce__ and not hasattr(kind, "__setstate__")
    return plain or hasattr(kind, "fit") or isinstance(obj, (dict, list, tuple, set, frozenset, np.ndarray))


def schema_nodes(document: object) -> Iterator[dict[str, Any]]:
    """Yield every node of the document in a ``schema.json``."""
    if isinstance(document, dict):
        if "__class__" in document:
            yield document
        for value in list(document.values()):
            yield from schema_nodes(value)
    elif isinstance(document, list):
        for value in document:
            yield from schema_nodes(value)


def _comes_back(obj: object) -> bool:
    import json
    import zipfile
    from io import BytesIO

    from skops import io as skops

    try:
        data = skops.dumps(obj)
        with zipfile.ZipFile(BytesIO(data)) as archive:
            _check_can_be_built(obj, json.loads(archive.read("schema.json")))
        back = skops.loads(data, trusted=skops.get_untrusted_types(data=data))
    except Exception:  # as above
        return False
    return first_difference(obj, back) is None


def _check_can_be_built(obj: object, schema: Mapping[str, object]) -> None:
    """Refuse objects that skops makes with ``__new__`` alone, where pickle calls something else.

    skops ignores how such a type is built. For a type written in C the process would crash when the object is used.
    """
    nodes = (node for node in schema_nodes(schema) if node.get("__loader__") == "ObjectNode")
    wanted = {(str(node.get("__module__")), str(node["__class__"])) for node in nodes}
    for part in walk(obj) if wanted else ():
        kind = type(part.value)
        if (kind.__module__, kind.__name__) in wanted and not _built_by_new(part.value):
            raise refusal(obj, part, "is of a type that skops can't build again")


def _built_by_new(obj: object) -> bool:
    kind = type(obj)
    make: object = kind.__new__
    if make is object.__new__ or isinstance(make, types.FunctionType):
        return True
    if kind.__module__.partition(".")[0] == "sklearn":
        return True
    how = how_to_rebuild(obj)
    return how is not None and how[0] is copyreg.__newobj__ and not any(how[3:5])  # type: ignore[attr-defined]


def _name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
