"""Runs found again: listed by what is said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import InvalidInputError
from lakefolio.runs.record import RunManifest, manifests_of
from lakefolio.runs.validation import check_status

if TYPE_CHECKING:
    from lakefolio.session.session import Session

__all__ = ["listed"]

_KEYS: Final = ("type", "project", "model", "status", "parent", "started_at", "tags")
_PLAIN: Final = "coalesce(try_cast({0} as json), to_json({0})) ->> '$'"
_LAST: Final = ", ".join(f"arg_max_null(fact.value, rank) filter (where fact.key = '{key}') as {key}" for key in _KEYS)
_RUNS: Final = f"""
with noted as (
    select
        run_id,
        unnest(facts) as fact,
        cast(position as hugeint) * 4294967296 + generate_subscripts(facts, 1) as rank
    from stg_manifests
    where op = 'run' and len(facts) > 0
),

last_noted as (select run_id, {_LAST} from noted group by run_id),

found as (
    select
        run_id,
        {", ".join(f"{_PLAIN.format(key)} as {key}" for key in _KEYS if key not in ("tags", "status"))},
        case when status = '"running"' and list_contains($lost, run_id) then 'lost' else {_PLAIN.format("status")} end
            as status,
        try_cast({_PLAIN.format("tags")} as varchar[]) as tags
    from last_noted
)

select run_id from found
where {{}}
order by try_cast(started_at as timestamp with time zone) desc nulls last, run_id desc
"""
"""As the view ``runs`` has it, of the few facts that are asked for alone: the view gathers all of them."""


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
    conditions = [f"{column} = ${column}" for column in given]
    values: dict[str, Any] = {**given, "lost": sorted(session.lost)}
    if tag is not None:
        conditions.append("list_contains(tags, $tag)")
        values["tag"] = tag
    sql = _RUNS.format(" and ".join(conditions) or "true")
    if limit is not None:
        sql += "limit $most"
        values["most"] = limit
    still = session.still()  # one look at the store for all of them
    found = still.query(sql, values).fetchall()
    return manifests_of(session if session.in_batch else still, [run_id for (run_id,) in found])
