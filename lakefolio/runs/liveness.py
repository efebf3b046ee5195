"""Runs whose process died: called lost wherever runs are looked at, marked as lost by writers and when asked for.

On this host the process is looked for; of others silence tells. Looking asks nothing of the store: what a run noted of
its process is known with the rest of it.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.errors import InvalidInputError, LakefolioError
from lakefolio.format import json_decode
from lakefolio.model.changes import SetRun
from lakefolio.process.identity import alive
from lakefolio.runs.log_buffer import settle_logged
from lakefolio.runs.record import logged, time_of
from lakefolio.runs.validation import final_metrics
from lakefolio.session.annotations import metadata_texts
from lakefolio.terminal import shown_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lakefolio.session.session import Session

__all__ = ["SILENT_S", "mark_lost", "notice", "settled"]

SILENT_S: Final = 900.0
"""A run elsewhere that committed nothing for so long is taken for dead: three signs of life were missed."""
_CONCLUDED_FROM: Final = ("status", "host", "process")


class _Watch:
    """What one handle of a lake knows of the runs that go on.

    Attributes:
        last: When each run elsewhere was last seen to commit: before ``SILENT_S`` have passed since, it need not be
            looked up again.
        refused: The runs that could not be marked; it is not tried again for them alone.
    """

    def __init__(self) -> None:
        self.last: dict[str, datetime] = {}
        self.refused: frozenset[str] = frozenset()


def mark_lost(session: Session, silent_s: float = SILENT_S) -> list[str]:
    """Mark as lost the runs whose process died, and return their ids. One commit for all.

    On this host the process is looked for; of others silence tells. A run that is marked wrongly ends like any other.
    """
    session.check_writable()
    if not silent_s >= 0:
        raise InvalidInputError(
            f"silent_s is {shown_value(silent_s)}, expected 0 or more", kind="bad-limit", hint="give seconds"
        )
    session.journal.refresh()
    found = _dead(session, silent_s)
    if found:
        session.apply(*_changes(session, found))
    return list(found)


def settled(session: Session) -> Session:
    """Return a session whose state does not move, to look at runs through.

    What this process logged is in it, and runs whose process died are called lost. Nothing is written but what was
    logged. Inside of a batch it is the session itself, which sees the batch.
    """
    settle_logged(session)
    if session.in_batch:
        session.committed()
        return session.calling_lost(_lost_runs(session))
    return session if session.pinned is not None else session.steady().calling_lost(_lost_runs(session))


def _lost_runs(session: Session) -> frozenset[str]:
    """Return the runs of the state that is known whose process died, though they are recorded as running.

    Nothing is asked of the store, nothing is written. The past is left as it was recorded.
    """
    return frozenset() if session.pinned is not None else frozenset(_dead(session, SILENT_S))


def notice(session: Session) -> None:
    """Mark as lost, by the way, the runs of the state that is known whose process died; for who writes anyway.

    Where nothing can be written (a batch that is open, a store that refuses) they stay as they are. Nothing is asked of
    the store unless there is something to mark; never raises.
    """
    found = _dead(session, SILENT_S)
    if found and not session.read_only and not session.in_batch and not found.keys() <= _watch(session).refused:
        try:
            session.commit_now(*_changes(session, found))
        except LakefolioError:
            _watch(session).refused = frozenset(found)


def _watch(session: Session) -> _Watch:
    return session.opened.part(_Watch, _Watch)


def _dead(session: Session, silent_s: float) -> dict[str, Mapping[str, str]]:
    """Return the runs that are recorded as running though their process died, with what is recorded of them."""
    running = session.journal.running()
    dead: dict[str, Mapping[str, str]] = {}
    elsewhere = []
    for run_id, facts in running.items():
        lives = alive(_value(facts, "host"), _value(facts, "process"))
        if lives is None:
            elsewhere.append(run_id)
        elif not lives:
            dead[run_id] = facts
    if not elsewhere:
        return dead
    last, now = _watch(session).last, datetime.now(UTC)
    silent = timedelta(seconds=silent_s)
    for run_id in last.keys() - running.keys():
        last.pop(run_id, None)
    unsure = [run_id for run_id in elsewhere if run_id not in last or now - last[run_id] >= silent]
    last |= _last_commits(session, unsure)
    for run_id in unsure:
        if run_id not in last or now - last[run_id] >= silent:
            dead[run_id] = running[run_id]
    return dead


def _changes(session: Session, found: Mapping[str, Mapping[str, str]]) -> list[SetRun]:
    last = _last_commits(session, found)
    changes = []
    for run_id, facts in found.items():
        started = time_of(_value(facts, "started_at"))
        ended = last.get(run_id, datetime.now(UTC))
        ended = ended if started is None else max(ended, started)
        texts = metadata_texts({"status": "lost", "ended_at": ended.isoformat()})
        with suppress(LakefolioError):  # a name edited by hand: its value stays with what was logged
            texts |= final_metrics(logged(session.journal.state, run_id))
        # whoever resumed it meanwhile is another process
        only_if = {key: facts.get(key) for key in _CONCLUDED_FROM}
        changes.append(SetRun(run_id=run_id, values=texts, only_if=only_if))
    return changes


def _last_commits(session: Session, run_ids: Iterable[str]) -> dict[str, datetime]:
    ids = list(run_ids)
    if not ids:
        return {}
    wanted = pa.array(ids, pa.string())
    last: dict[str, datetime] = {}
    for rows in session.journal.state.parts(("run_id", "committed_at"), newest_first=True):
        rows = rows.filter(pc.is_in(rows.column("run_id"), value_set=wanted))
        for run_id, at in zip(*(rows.column(name).to_pylist() for name in ("run_id", "committed_at")), strict=True):
            last[run_id] = max(at, last.get(run_id, at))
        if len(last) == len(ids):  # at the latest, at what began them
            break
    return last


def _value(facts: Mapping[str, str], key: str) -> Any:
    try:
        return json_decode.loads(facts[key].encode()) if key in facts else None
    except LakefolioError:
        return None  # edited by hand
