"""Record tables in a commit of the lake: the marks that its snapshots need, and the tables that its restores restore.

A restore writes a version of each table, and then commits the rest. It may end in between, so it begins with a fact of
the lake that names the tables, which its commit removes: whoever finds the fact knows that the lake and its tables are
apart (``check`` says so), and the same restore again, which skips what is done, brings them together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from lakefolio.format.names import new_id
from lakefolio.model.changes import Annotate, Change, Mark, Restore, TakeSnapshot
from lakefolio.model.item_versions import OWN_FACTS
from lakefolio.session.record_tables import has_tables, is_frozen, mark_of, origin_of, state_of, table_of, tables_in

if TYPE_CHECKING:
    from lakefolio.model.entries import Entry
    from lakefolio.session.session import Session

__all__ = ["before_commit", "behind", "unfinished_restores"]

_RESTORING: Final = f"{OWN_FACTS}restoring:"
_UNDER_WAY: Final = timedelta(hours=1)
"""How long a restore may take before it counts as one that ended before it was done."""


def before_commit(session: Session, changes: Sequence[Change]) -> list[Change]:
    """Return the changes with the marks that their snapshots need; tables that they restore are restored first."""
    if not has_tables(session):
        return list(changes)
    found: dict[tuple[str, str], Mark] = {}
    for change in changes:
        if isinstance(change, TakeSnapshot) and change.target_version is None:
            for entry in tables_in(session, change.folio):
                if not is_frozen(session, entry):
                    found[entry.folio, entry.item] = mark_of(session, entry)
    untouched = [
        mark
        for (folio, item), mark in found.items()
        if not any(getattr(one, "item", None) == item and getattr(one, "folio", None) == folio for one in changes)
    ]
    return [*untouched, *changes, *_restored(session, [one for one in changes if isinstance(one, Restore)])]


def behind(session: Session, changes: Sequence[Change]) -> list[tuple[Entry, int]]:
    """Return the record tables that restores would change, as of then, with the versions that they had."""
    found = []
    for change in changes:
        if not isinstance(change, Restore) or not has_tables(session):
            continue
        then = session.fixed(change.target_version)
        for entry in list(tables_in(then, change.folio)):
            if _is_in(change, entry.folio, entry.item) and not is_frozen(session, entry):
                state, now = state_of(then, entry), table_of(session, entry).state()
                if now.files.keys() != state.files.keys() or now.schema.arrow != state.schema.arrow:
                    found.append((entry, state.version))
    return found


def unfinished_restores(session: Session) -> list[str]:
    """Return, of each restore that began long ago and is not over, what it was to do."""
    found = []
    for key, text in session.unwatched_committed().metadata("lake", "").items():
        if key.startswith(_RESTORING):
            said = _read(text)
            begun = said.get("begun")
            if isinstance(begun, (int, float)) and begun > (datetime.now(UTC) - _UNDER_WAY).timestamp():
                continue
            found.append(f"to version {said.get('to')} of {', '.join(f'{one[0]}:{one[1]}' for one in _tables(said))}")
    return found


def _restored(session: Session, restores: Sequence[Restore]) -> list[Change]:
    """Restore tables, and return the change that says it is done, together with earlier tries that did not end."""
    tables = behind(session, restores)
    over: set[str] = set()
    facts = dict(session.unwatched_committed().metadata("lake", ""))
    for change in restores:  # a version that lies within a restore has its fact
        facts |= session.fixed(change.target_version).unwatched_committed().metadata("lake", "")
    for key, text in facts.items():
        named = _tables(_read(text)) if key.startswith(_RESTORING) else []
        if named and all(any(_is_in(change, *one) for change in restores) for one in named):
            over.add(key)
    if tables:
        key = _RESTORING + new_id()
        said = {
            "begun": int(datetime.now(UTC).timestamp()),
            "tables": sorted([entry.folio, entry.item] for entry, _ in tables),
            "to": restores[0].target_version,
        }
        session.commit_now(Annotate("lake", "", {key: json.dumps(said)}))
        over.add(key)
    for change in restores:
        for entry, version in behind(session, [change]):
            origin = origin_of(session, f"restore @{change.target_version}")
            table_of(session, entry).restore(version, origin)
    return [Annotate("lake", "", dict.fromkeys(sorted(over)))] if over else []


def _is_in(change: Restore, folio: str, item: str) -> bool:
    return change.folio in (None, folio) and (change.items is None or item in change.items)


def _read(text: str) -> Mapping[str, object]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _tables(said: Mapping[str, object]) -> list[tuple[str, str]]:
    tables = said.get("tables")
    pairs = [one for one in tables if isinstance(one, list) and len(one) == 2] if isinstance(tables, list) else []
    return [(str(folio), str(item)) for folio, item in pairs]
