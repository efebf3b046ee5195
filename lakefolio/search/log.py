"""The log of searches: what was looked for, found, and chosen; kept as events of the lake if the user wants it.

Each search is an event of type ``search``, each choice one of type ``search_choice`` that names it. SQL reads them as
all events: ``select metadata ->> '$.query' from events where event_type = 'search'``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from lakefolio.config.settings import setting
from lakefolio.errors import InvalidInputError
from lakefolio.format.times import shown_time
from lakefolio.redaction import scrub
from lakefolio.render.report import AsText, Listing
from lakefolio.render.text import counted
from lakefolio.runs.events import log_event
from lakefolio.terminal import shown_value, visible

if TYPE_CHECKING:
    from lakefolio.search.result import SearchResult
    from lakefolio.session.session import Session

__all__ = ["SearchLog", "Searched", "choose", "log_search", "searches"]

_SEARCH: Final = "search"
_CHOICE: Final = "search_choice"
_NOTED: Final = 20
_SEARCHES: Final = f"""
with said as (
    select
        event_id,
        event_type,
        logged_at,
        metadata ->> '$.query' as query,
        try_cast(metadata ->> '$.total' as bigint) as total,
        metadata ->> '$.search' as search
    from events
    where event_type in ('{_SEARCH}', '{_CHOICE}')
),

chosen as (
    select search, count(*) as choices
    from said
    where event_type = '{_CHOICE}'
    group by search
)

select
    said.query,
    count(*) as times,
    arg_max(said.total, said.logged_at) as hits,
    coalesce(sum(chosen.choices), 0)::bigint as choices,
    max(said.logged_at) as last_at
from said
left join chosen on chosen.search = said.event_id
where said.event_type = '{_SEARCH}' and said.query is not null
group by said.query
order by times desc, last_at desc, said.query
"""


@dataclass(frozen=True, slots=True)
class Searched:
    """One query, as often as it was asked.

    Attributes:
        query: The query.
        times: How often.
        hits: What its last search found.
        choices: How many of its hits were chosen.
        last_at: When it was asked last, UTC.
    """

    query: str
    times: int
    hits: int
    choices: int
    last_at: datetime


class SearchLog(AsText, Listing[Searched]):
    """Queries, those that were asked most first."""

    def to_dict(self) -> dict[str, Any]:
        """The whole as JSON-able values."""
        return {"searches": [asdict(one) | {"last_at": one.last_at.isoformat()} for one in self._found]}

    def __str__(self) -> str:
        if not self._found:
            return "no searches are recorded; the setting search_log = true records them"
        lines = []
        for one in self._found:
            chosen = f", {one.choices} chosen" if one.choices else ""
            found = counted(one.hits, "hit") if one.hits else "nothing found"
            lines.append(f"{one.query!r}: asked {one.times}x, {found}{chosen}, last {shown_time(one.last_at)}")
        return visible("\n".join(lines))


def log_search(session: Session, found: SearchResult, options: dict[str, Any]) -> None:
    """Record a search, if the settings say so and this session may write; give the result the id of the record."""
    if session.read_only or session.pinned is not None or not setting("search_log"):
        return
    said = {
        "query": scrub(found.query),
        "total": found.total,
        "version": found.version,
        "hits": found.refs[:_NOTED],
    }
    said |= {name: value for name, value in options.items() if value is not None}
    found.search_id = log_event(session, event_type=_SEARCH, metadata=said)


def choose(session: Session, found: SearchResult, ref: object) -> None:
    """Record that a hit of a recorded search was chosen.

    Raises:
        InvalidInputError: kind ``not-recorded``, ``no-such-hit``.
    """
    if found.search_id is None:
        raise InvalidInputError(
            f"the search for {found.query!r} was not recorded, so a choice can't be",
            kind="not-recorded",
            hint="set search_log = true (or LAKEFOLIO_SEARCH_LOG=1) before searching",
        )
    if ref not in found.refs:
        raise InvalidInputError(
            f"{shown_value(ref)} is no hit of the search for {found.query!r}", kind="no-such-hit", hint=None
        )
    said = {"search": found.search_id, "query": scrub(found.query), "ref": ref, "rank": found.refs.index(str(ref)) + 1}
    log_event(session, event_type=_CHOICE, metadata=said)


def searches(session: Session, *, unanswered: bool = False, limit: int = 100) -> SearchLog:
    """Return the recorded queries of a session that is fixed to one version."""
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise InvalidInputError(f"limit is {shown_value(limit)}, expected a number from 0", kind="bad-option")
    rows = [Searched(query, times, hits or 0, choices, at) for query, times, hits, choices, at in _rows(session)]
    return SearchLog([one for one in rows if not unanswered or not one.hits][:limit])


def _rows(session: Session) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = session.query(_SEARCHES).fetchall()
    return found
