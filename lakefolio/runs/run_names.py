"""Which run a text means: its id, the beginning or the end of one, or a name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from lakefolio.errors import InvalidInputError

if TYPE_CHECKING:
    from lakefolio.model.state import State

__all__ = ["run_id_of"]

_SHORTEST: Final = 4
_MOST_SHOWN: Final = 5


def run_id_of(state: State, text: str) -> str:
    """Return the id of the run that a text means; the text itself if it means none.

    An id comes first, then a name, then the beginning or the end of an id, of at least four characters.

    Raises:
        InvalidInputError: kind ``ambiguous-run``: it means several; ``hint`` lists them, newest first.
    """
    if not text or state.metadata("run", text):
        return text
    found = state.runs_noting("name", json.dumps(text))
    if not found and len(text) >= _SHORTEST:
        found = [one for one in state.runs_noting("status") if one.startswith(text) or one.endswith(text)]
    if len(found) > 1:
        newest = found[::-1][:_MOST_SHOWN]
        more = f" and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
        raise InvalidInputError(
            f"{text!r} means {len(found)} runs",
            kind="ambiguous-run",
            hint=f"give the id of one: {', '.join(newest)}{more}",
            name=text,
        )
    return found[0] if found else text
