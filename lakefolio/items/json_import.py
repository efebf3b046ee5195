"""JSON files that other programs wrote, as Python values that lose nothing of their text."""

from __future__ import annotations

import decimal
import json
import warnings
from pathlib import Path

from lakefolio.errors import InvalidInputError
from lakefolio.items.csv_types import keeps_digits
from lakefolio.render.text import counted

__all__ = ["read_json_file"]


def read_json_file(path: Path) -> object:
    """Return the value in a JSON file.

    A number with more digits than a float gives back becomes a Decimal, and a warning says so.

    Raises:
        InvalidInputError: If the file is no JSON, or an object has a key twice.
    """
    wide: list[str] = []

    def number(text: str) -> float | decimal.Decimal:
        if keeps_digits(text):
            return float(text)
        wide.append(text)
        return decimal.Decimal(text)

    try:
        found = json.loads(path.read_bytes(), parse_float=number, object_pairs_hook=_object)
    except (ValueError, RecursionError, OSError) as exc:
        raise InvalidInputError(
            f"{path.name!r} can't be read as JSON: {' '.join(str(exc).split())}",
            kind="bad-file",
            hint="keep it as it is, as an artifact",
            path=str(path),
        ) from exc
    if wide:
        warnings.warn(
            f"{path.name}: {counted(len(wide), 'number')} such as {wide[0][:60]} stored as Decimal, since a float "
            "would lose digits",
            UserWarning,
            stacklevel=3,
        )
    return found


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has the key {twice!r} more than once")
    return found
