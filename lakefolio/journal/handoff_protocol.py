"""Messages between the processes of one host: a ticket is asked, its outcomes are answered (DESIGN.md, "On one host").

Messages are trusted no more than the objects in a bucket: tickets are parsed like those under ``pending/``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lakefolio.format.arrow_rows import from_micros, to_micros
from lakefolio.format.checked_json import flag, listed, mapped, number, optional
from lakefolio.journal.pending_commit import Committed
from lakefolio.journal.tickets import Ticket, parse_ticket, ticket_bytes

__all__ = ["Answer", "answer_bytes", "answers_of", "message_of", "read_answer"]

_ID_BYTES = 32


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcomes of the commits of one ticket.

    Attributes:
        outcomes: For each commit its outcome, or None if it is undecided: its writer then commits by itself.
        contended: Whether other writers are at work, so that the asker should hand over its next commit as well.
        beaten: Whether commits are undecided because other hosts were faster.
    """

    outcomes: tuple[Committed | None, ...]
    contended: bool = False
    beaten: bool = False


def message_of(ticket: Ticket) -> bytes:
    """Return a ticket as a message: its id and its bytes."""
    return ticket.ticket_id.encode() + ticket_bytes(ticket)


def answers_of(messages: Sequence[bytes], serve: Callable[[Sequence[Ticket]], Sequence[Answer]]) -> list[bytes]:
    """Answer messages, in order.

    Raises:
        IntegrityError: kind ``ticket-damaged``, if one of them is not a ticket. Nothing is committed then.
    """
    tickets = [parse_ticket(one[_ID_BYTES:], one[:_ID_BYTES].decode("ascii", "replace")) for one in messages]
    return [answer_bytes(answer) for answer in serve(tickets)]


def answer_bytes(answer: Answer) -> bytes:
    """Return an answer as bytes."""
    outcomes = [one and [one.version, to_micros(one.committed_at)] for one in answer.outcomes]
    return json.dumps({"outcomes": outcomes, "contended": answer.contended, "beaten": answer.beaten}).encode()


def read_answer(body: bytes, count: int) -> Answer | None:
    """Parse the bytes of :func:`answer_bytes` for ``count`` commits; None if they are not an answer."""
    try:
        value = mapped(json.loads(body))
        outcomes = tuple(optional(_outcome, one) for one in listed(value["outcomes"]))
        return Answer(outcomes, flag(value["contended"]), flag(value["beaten"])) if len(outcomes) == count else None
    except (ValueError, KeyError, OverflowError, RecursionError):
        return None


def _outcome(value: object) -> Committed:
    version, micros = listed(value)
    return Committed(number(version, 0), from_micros(number(micros)))
