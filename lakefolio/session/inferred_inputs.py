"""The inputs of an item that is added without ``inputs``: all items that the code of the run around has read so far.

The newest read entry of each item counts. Left out are the item itself and what was made from it, which it can't have
been made from; a run that has read a great deal names nothing here, since it is no use to say that everything was made
from everything: the run itself says what it read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from lakefolio.process.notice import say
from lakefolio.session.annotations import Annotations
from lakefolio.session.input_tracking import active_run

if TYPE_CHECKING:
    from lakefolio.model.entries import Entry, InputEdge
    from lakefolio.model.state import State
    from lakefolio.session.session import Session

__all__ = ["tell_inferred_inputs", "with_inferred_inputs"]

_MOST_INPUTS: Final = 64
_MOST_STEPS: Final = 1_000


def with_inferred_inputs(session: Session, folio: str, item: str, annotations: Annotations) -> Annotations:
    """Return annotations with the inputs that the run's reads tell, unless inputs were given. No request.

    An item that is there already keeps its recorded inputs if all of them are among these: a cell that is run again has
    read more by then.
    """
    active = None if annotations.inputs_given else active_run(session.place)
    if active is None or active.reads is None:
        return annotations
    state = session.journal.state
    read = [
        entry
        for entry in active.reads.newest
        if (entry.folio, entry.item) != (folio, item) and not _is_made_from(state, entry, folio, item)
    ]
    if not 0 < len(read) <= _MOST_INPUTS:
        return annotations
    recorded = None if annotations.overwrite else state.entry(folio, item)
    found = _refs_among(recorded.inputs, read) if recorded is not None else None
    refs = found if found is not None else [entry.ref for entry in read]
    return replace(annotations, inputs=tuple(refs))


def tell_inferred_inputs(session: Session, folio: str, item: str, refs: Sequence[str]) -> None:
    """Print which inputs an added item got from the run's reads; once in a run."""
    active = active_run(session.place)
    if active is None or active.reads is None or active.reads.told:
        return
    active.reads.told = True
    named = ", ".join(refs[:4]) + (f" and {len(refs) - 4} more" if len(refs) > 4 else "")
    say(f"{folio}:{item} was made from {named or 'nothing'}, which this run has read (inputs=[] says otherwise)")


def _refs_among(edges: tuple[InputEdge, ...], read: list[Entry]) -> list[str] | None:
    """Return recorded inputs as references if all of them were read, else None."""
    known: dict[str | None, str] = {entry.entry_id: entry.ref for entry in read}
    recorded = [edge for edge in edges if edge["input_kind"] != "run"]
    if not recorded or any(edge["input_id"] not in known for edge in recorded):
        return None
    return [known[edge["input_id"]] for edge in recorded]


def _is_made_from(state: State, entry: Entry, folio: str, item: str) -> bool:
    """Say whether an entry was made, in any number of steps, from an item; of endless histories the first steps."""
    for steps, edge in enumerate(_edges_above(state, entry)):
        if (edge["input_folio"], edge["input_item"]) == (folio, item):
            return True
        if steps > _MOST_STEPS:
            break
    return False


def _edges_above(state: State, entry: Entry) -> Iterator[InputEdge]:
    seen: set[str | None] = {entry.entry_id}
    waiting = [entry]
    while waiting:
        for edge in waiting.pop().inputs:
            if edge["input_kind"] != "entry" or edge["input_id"] in seen:
                continue
            yield edge
            seen.add(edge["input_id"])
            if edge["input_folio"] is not None and edge["input_item"] is not None:
                history = state.history(edge["input_folio"], edge["input_item"])
                waiting += [one for one in history if one.entry_id == edge["input_id"]][:1]
