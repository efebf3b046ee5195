"""Runs found again: listed by what is said of them, and those whose process died."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from lakefolio.changes import SetRun
from lakefolio.errors import InvalidInputError
from lakefolio.items import json_decode
from lakefolio.runs.environment import alive
from lakefolio.runs.manifest import RunManifest, logged, manifest_of
from lakefolio.runs.words import check_status, final_metrics
from lakefolio.words import metadata_texts

if TYPE_CHECKING:
    from lakefolio.session import Session

__all__ = ["SILENT_S", "listed", "mark_lost"]

SILENT_S: Final = 900.0
"""A run elsewhere that committed nothing for so long is taken for dead: three signs of life were missed."""


def listed(session: Session, wanted: dict[str, Any], tag: str | None, limit: int | None) -> list[RunManifest]:
    """Return the manifests of the runs of which all of ``wanted`` (column of the view ``runs`` -> value) is said.

    Newest first.
    """
    if wanted.get("status") is not None:
        check_status(wanted["status"])
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
        raise InvalidInputError(
            f"limit is {limit!r}, expected a whole number", kind="bad-limit", hint="or None for all"
        )
    given = {column: str(value) for column, value in wanted.items() if value is not None}
    conditions = [f"{column} = ?" for column in given]
    values: list[Any] = list(given.values())
    if tag is not None:
        conditions.append("list_contains(tags, ?)")
        values.append(tag)
    where = " where " + " and ".join(conditions) if conditions else ""
    order = " order by started_at desc nulls last, run_id desc" + ("" if limit is None else f" limit {limit}")
    found = session.query(f"select run_id from runs{where}{order}", values or None).fetchall()
    return [manifest_of(session, run_id) for (run_id,) in found]


def mark_lost(session: Session, silent_s: float = SILENT_S) -> list[str]:
    """Mark as lost the runs whose process died, and return their ids. One commit for all.

    On this host the process is looked for; of others silence tells. A run that is marked wrongly ends like any other.
    """
    session.check_writable()
    if not silent_s >= 0:
        raise InvalidInputError(f"silent_s is {silent_s!r}, expected 0 or more", kind="bad-limit", hint="give seconds")
    session.journal.refresh()
    now = datetime.now(UTC)
    changes = []
    for run_id in _running(session):
        facts = {
            key: json_decode.loads(text.encode())
            for key, text in session.journal.metadata("run", run_id).items()
            if key in ("host", "process", "status")
        }
        lives = alive(facts.get("host"), facts.get("process"))
        if lives is None:
            last = _last_commit(session, run_id)
            lives = last is not None and now - last < timedelta(seconds=silent_s)
        if lives or facts.get("status") != "running":
            continue
        texts = metadata_texts({"status": "lost", "ended_at": (_last_commit(session, run_id) or now).isoformat()})
        texts |= final_metrics(logged(session.journal.state, run_id))
        changes.append(SetRun(run_id=run_id, values=texts, alive=True))
    if changes:
        session.apply(*changes)
    return [change.run_id for change in changes]


def _running(session: Session) -> list[str]:
    """Return the runs that ever were running and may still be, by the last status that is known of each."""
    import pyarrow.compute as pc

    rows = session.journal.side_table("metadata")
    mask = pc.and_(pc.equal(rows.column("subject_kind"), "run"), pc.equal(rows.column("key"), "status"))
    status = rows.filter(mask).select(["subject_id", "value"])
    counts = status.group_by("subject_id").aggregate([("value", "list")])
    return [
        run_id
        for run_id, values in zip(counts.column("subject_id").to_pylist(), counts.column(1).to_pylist(), strict=True)
        if values.count('"running"') > sum(value in ('"done"', '"failed"', '"lost"') for value in values) - 1
        and '"running"' in values
    ]


def _last_commit(session: Session, run_id: str) -> datetime | None:
    import pyarrow.compute as pc

    rows = session.journal.state.table()
    found = pc.max(rows.filter(pc.equal(rows.column("run_id"), run_id)).column("committed_at")).as_py()
    return found if isinstance(found, datetime) else None
