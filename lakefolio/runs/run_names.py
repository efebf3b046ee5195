"""Which run a text means: its id, the beginning or the end of one, or a name; and how a run is called.

An id begins with the time, so that those of runs begun together begin alike: a short id is the end of one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from lakefolio.errors import InvalidInputError
from lakefolio.format.names import short_id

if TYPE_CHECKING:
    from lakefolio.model.state import State

__all__ = ["display_name", "known_names", "run_id_of"]

_SHORTEST: Final = 4
_MOST_SHOWN: Final = 5
_MOST_NAMED: Final = 1_000
"""Among so many of the newest runs the one that a mistyped name means is looked for."""


def display_name(run_id: str, name: str | None) -> str:
    """Return what people call a run: its name and short id."""
    return short_id(run_id) if not name or name == run_id else f"{name} ({short_id(run_id)})"


def known_names(state: State) -> list[str]:
    """Return what the newest runs may be named by: names, and ids of those that have none."""
    facts = state.metadata_of_runs(state.newest_runs(_MOST_NAMED))
    return list(dict.fromkeys(_text(known.get("name")) or short_id(one) for one, known in facts.items()))


def run_id_of(state: State, text: str) -> str:
    """Return the id of the run that a text means; the text itself if it means none.

    An id comes first, then a name, then the beginning or the end of an id, of at least four characters.

    Raises:
        InvalidInputError: kind ``ambiguous-run``: it means several; ``hint`` lists them, newest first.
    """
    if not text or state.metadata("run", text):
        return text
    named, alike = state.runs_called(text)
    found = [run_id for run_id, facts in state.metadata_of_runs(named).items() if _text(facts.get("name")) == text]
    if not found and len(text) >= _SHORTEST:
        found = [run_id for run_id, facts in state.metadata_of_runs(alike).items() if "status" in facts]
    if len(found) > 1:
        known = [(run_id, state.metadata("run", run_id)) for run_id in found]
        known.sort(key=lambda one: one[1].get("started_at", ""), reverse=True)
        shown = [_described(*one) for one in known[:_MOST_SHOWN]]
        more = f" and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
        raise InvalidInputError(
            f"{text!r} means {len(found)} runs",
            kind="ambiguous-run",
            hint=f"give the id of one: {', '.join(shown)}{more}",
            name=text,
        )
    return found[0] if found else text


def _described(run_id: str, facts: Mapping[str, str]) -> str:
    said = [_text(facts.get(key)) for key in ("name", "status", "started_at")]
    known = ", ".join(one for one in [*said[:2], said[2] and said[2][:19]] if one)
    return f"{short_id(run_id)} ({known})" if known else short_id(run_id)


def _text(value: str | None) -> str | None:
    """Return a fact that is a text; what was written by hand and is no JSON is one."""
    if value is None or not value.startswith('"'):
        return None if value in (None, "null") else value
    try:
        return str(json.loads(value))
    except ValueError:
        return value
