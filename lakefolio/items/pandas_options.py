"""The options of pandas' own readers that a reference takes: those that say how to read the text, and no others.

Not those that open something else (``storage_options``, ``filesystem``), run code (``converters``, functions) or give
back no frame (``chunksize``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from lakefolio.errors import InvalidInputError
from lakefolio.process.keywords import nearest

__all__ = ["check_options"]

_CSV: Final = frozenset(
    """
    cache_dates comment compression date_format dayfirst decimal delimiter dialect doublequote dtype dtype_backend
    encoding encoding_errors engine escapechar false_values float_precision header index_col keep_default_na
    lineterminator low_memory na_filter na_values names nrows on_bad_lines parse_dates quotechar quoting sep
    skip_blank_lines skipfooter skipinitialspace skiprows thousands true_values types
    """.split()  # noqa: SIM905 - a list of them would take forty lines
)
_PARQUET: Final = frozenset(("dtype_backend", "filters"))


def check_options(format: str, options: Mapping[str, object]) -> None:
    """Refuse options that a reader of pandas must not get.

    Raises:
        InvalidInputError: kind ``bad-option``; ``option`` names it.
    """
    known = _PARQUET if format == "parquet" else _CSV
    for name, value in options.items():
        if name not in known:
            raise InvalidInputError(
                f"a table in the format {format} is not read with the option {name!r}",
                kind="bad-option",
                hint=nearest(name, known),
                option=name,
            )
        if _runs(value):
            raise InvalidInputError(
                f"option {name!r} is or holds a function, which a reader is not given",
                kind="bad-option",
                hint="give plain values, and change the frame afterwards",
                option=name,
            )


def _runs(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_runs, value.values()))
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return isinstance(value, (list, tuple, set, frozenset)) and any(map(_runs, value))
    return callable(value) and not isinstance(value, type)
