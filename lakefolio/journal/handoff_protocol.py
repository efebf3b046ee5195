"""What neighbours say to each other: a ticket is handed over, its fate comes back (DESIGN.md, "On one host").

Nothing said is trusted more than what lies in a bucket: tickets are read as those under ``pending/`` are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lakefolio.format.arrow_rows import from_micros, to_micros
from lakefolio.journal.log_writer import Committed
from lakefolio.journal.tickets import Ticket, parse_ticket, ticket_bytes

__all__ = ["Answer", "answer_bytes", "answers_of", "message_of", "read_answer"]

_ID_BYTES = 32


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of the commits of one ticket.

    Attributes:
        fates: For each commit what it became, or None: not decided, its writer sees to it by itself.
        crowded: Whether others want to commit too, so that it is better to hand over the next one as well.
        beaten: Whether what is None is so because other hosts were faster.
    """

    fates: tuple[Committed | None, ...]
    crowded: bool = False
    beaten: bool = False


def message_of(ticket: Ticket) -> bytes:
    """Return a ticket as it is handed over: its id and its bytes."""
    return ticket.ticket_id.encode() + ticket_bytes(ticket)


def answers_of(messages: Sequence[bytes], serve: Callable[[Sequence[Ticket]], Sequence[Answer]]) -> list[bytes]:
    """Answer messages, in order.

    Raises:
        IntegrityError: kind ``ticket-damaged``, if one of them is not what a writer says. Nothing is committed then.
    """
    tickets = [parse_ticket(one[_ID_BYTES:], one[:_ID_BYTES].decode("ascii", "replace")) for one in messages]
    return [answer_bytes(answer) for answer in serve(tickets)]


def answer_bytes(answer: Answer) -> bytes:
    """Return an answer as bytes."""
    fates = [None if fate is None else [fate.version, to_micros(fate.committed_at)] for fate in answer.fates]
    return json.dumps({"fates": fates, "crowded": answer.crowded, "beaten": answer.beaten}).encode()


def read_answer(body: bytes, count: int) -> Answer | None:
    """Read what :func:`answer_bytes` wrote of so many commits; None if it is something else."""
    try:
        value = json.loads(body)
        fates = tuple(
            None if fate is None else Committed(int(fate[0]), from_micros(int(fate[1]))) for fate in value["fates"]
        )
        if len(fates) == count and all(fate is None or fate.version >= 0 for fate in fates):
            return Answer(fates, value["crowded"] is True, value["beaten"] is True)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError):
        pass
    return None
