"""Runs found again: listed by what is said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakefolio.errors import InvalidInputError
from lakefolio.runs.record import RunManifest, manifests_of
from lakefolio.runs.validation import check_status

if TYPE_CHECKING:
    from lakefolio.session.session import Session

__all__ = ["listed"]


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
    still = session.still()  # one look at the store for all of them
    found = still.query(f"select run_id from runs{where}{order}", values or None).fetchall()
    return manifests_of(session if session.in_batch else still, [run_id for (run_id,) in found])
