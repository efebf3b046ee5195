"""Which columns of its inputs the columns of a table were made from, as a user says it and as edges hold it.

The details of an input are ``{"columns": {column: [columns of the input]}, "rows": [columns of the input]}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakefolio.errors import InvalidInputError
from lakefolio.session.annotations import check_inputs
from lakefolio.terminal import shown_value

__all__ = ["column_details"]


def column_details(columns_from: object, inputs: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, dict[str, Any]]]:
    """Return the inputs, with those that only ``columns_from`` names, and the details of each by its position.

    Args:
        columns_from: Column -> columns of the one input, or -> {input: columns}; see ``Folio.add_table``.
        inputs: The inputs that were given.

    Raises:
        InvalidInputError: kind ``bad-columns``: it is not of this form, or there are several inputs and none is named.
    """
    if not isinstance(columns_from, Mapping):
        raise _bad(f"columns_from={shown_value(columns_from)} is no mapping")
    found: dict[str, dict[str, list[str]]] = {}
    known = list(inputs)
    for column, said in columns_from.items():
        if not isinstance(column, str):
            raise _bad(f"columns_from has a key {shown_value(column)}, expected the name of a column")
        if not isinstance(said, Mapping):
            if len(inputs) != 1:
                raise _bad(f"column {column!r}: there are {len(inputs)} inputs, and columns_from names none of them")
            said = {inputs[0]: said}
        for ref, names in said.items():
            (text,) = check_inputs(ref)
            if text not in known:
                known.append(text)
            found.setdefault(text, {})[column] = _columns(column, names)
    return tuple(known), {str(known.index(text)): {"columns": columns} for text, columns in found.items()}


def _columns(column: str, names: object) -> list[str]:
    texts = [names] if isinstance(names, str) else names
    if not isinstance(texts, list | tuple | set | frozenset) or not all(isinstance(one, str) for one in texts):
        raise _bad(f"column {column!r}: {shown_value(names)} is neither a column nor a list of columns")
    return list(dict.fromkeys(texts))


def _bad(message: str) -> InvalidInputError:
    return InvalidInputError(
        message, kind="bad-columns", hint="write columns_from={'total': {'raw': ['price', 'count']}}"
    )
