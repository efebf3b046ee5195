"""A planned commit: how its rows are made, and which conditions they must meet (pure: no I/O).

Which change makes which rows is decided by ``plan_items``, ``plan_lake`` and ``plan_runs``; ``planner`` chooses.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from operator import attrgetter
from typing import Any

from lakefolio.errors import AlreadyExistsError, ConflictError, InvalidInputError, NotFoundError
from lakefolio.format.names import is_own_folio, is_uri, parse_ref
from lakefolio.model.changes import Commit
from lakefolio.model.entries import Entry, InputEdge, Stored
from lakefolio.model.item_versions import find_version
from lakefolio.model.naming import NamePattern, naming_of
from lakefolio.model.pending_state import Overlay
from lakefolio.model.resolve import item_not_found, resolve_at
from lakefolio.model.state import State
from lakefolio.model.version_policy import NO_POLICY, VersionPolicy, policy_of

__all__ = ["REFERRED", "Plan", "facts_of", "json_text", "stored_values"]

_ENCODER = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))
_STORED = tuple(Stored.__dataclass_fields__)
"""The content columns of a ``put`` row."""
_VALUES = attrgetter(*_STORED)
REFERRED = tuple(column for column in _STORED if column not in ("content", "details"))
"""The content columns of a row that needs content without being an entry."""


class Plan:
    """The rows of one commit on one state, to be added to.

    Attributes:
        commit: The commit.
        state: The state that it is planned on.
        version: The version that it makes.
        manifests: Rows of the journal, as dicts; ``version``, ``ordinal`` and ``committed_at`` included.
        overlay: The state with the commit laid over it.
    """

    def __init__(
        self,
        commit: Commit,
        state: State,
        base: Overlay,
        *,
        version: int,
        committed_at: datetime,
        first_ordinal: int,
    ) -> None:
        """Plan no row yet; ``base`` is the state with the commits before laid over it."""
        self.commit = commit
        self.state = state
        self.version = version
        self.overlay = Overlay(base, base.content_of, version)
        self.manifests: list[dict[str, Any]] = []
        self._first_ordinal = first_ordinal
        self._policies: dict[str, VersionPolicy] = {}
        self._patterns: dict[str, NamePattern | None] = {}
        self._common: dict[str, Any] = {
            "version": version,
            "committed_at": committed_at,
            "commit_id": commit.commit_id,
            "author": commit.author,
            "message": commit.message,
        }

    # -- the rules of folios ---------------------------------------------------------------------------------

    def policy(self, folio: str) -> VersionPolicy:
        """Return the rules of a folio's versions; one look-up for a commit."""
        if folio not in self._policies:
            self._policies[folio] = NO_POLICY if is_own_folio(folio) else policy_of(self.overlay, folio)
        return self._policies[folio]

    def pattern(self, folio: str) -> NamePattern | None:
        """Return the pattern of a folio's names; one look-up for a commit."""
        if folio not in self._patterns:
            self._patterns[folio] = None if is_own_folio(folio) else naming_of(self.overlay, folio)
        return self._patterns[folio]

    def forget_rules(self) -> None:
        """Look rules up anew: facts have changed."""
        self._policies.clear()
        self._patterns.clear()

    # -- rows ----------------------------------------------------------------------------------------------

    def row(self, op: str, reason: str, **values: object) -> dict[str, Any]:
        """Add a row."""
        row = {
            **self._common,
            "ordinal": self._first_ordinal + len(self.manifests),
            "op": op,
            "reason": reason,
            "run_id": self.commit.run_id,
            **values,
        }
        self.manifests.append(row)
        return row

    def put_row(self, folio: str, item: str, reason: str, content: Mapping[str, Any], **values: Any) -> None:
        """Add a ``put`` row: content that becomes the head of a name."""
        content = {**content, "details": json_text(content["details"])}
        values["tags"] = list(values.get("tags") or ()) or None
        self.overlay.put(self.row("put", reason, folio=folio, item=item, **content, **values))

    def delete(self, folio: str, item: str, reason: str) -> None:
        """Add a row that deletes a live item."""
        self.row("delete", reason, folio=folio, item=item)
        self.overlay.delete(folio, item)

    def content_of(self, entry: Entry) -> dict[str, Any]:
        """Return the content columns of an entry that is put again, inline content included."""
        kept = stored_values(entry)
        if entry.storage == "inline" and entry.content is None:
            kept["content"] = self.overlay.content_of(entry)
        return kept

    # -- changes -------------------------------------------------------------------------------------------

    def head(self, folio: str, item: str) -> Entry:
        """Return the entry that an item is; NotFoundError if there is none."""
        entry = self.overlay.entry(folio, item)
        if entry is None:
            raise item_not_found(self.overlay, folio, item, self.state)
        return entry

    def check_free(self, folio: str, item: str, *, overwrite: bool) -> bool:
        """Say whether a name is free; AlreadyExistsError if it is not, and may not be replaced."""
        free = not self.overlay.live(folio, item)
        if not free and not overwrite:
            raise self.taken(self.head(folio, item))
        return free

    @staticmethod
    def taken(current: Entry, differs: Mapping[str, str] = {}) -> AlreadyExistsError:
        """Make the error for a name that is taken; ``differs`` names the parts that differ from the given ones."""
        said = "; ".join(f"{name}: {how}" for name, how in differs.items())
        return AlreadyExistsError(
            f"item {current.item!r} already exists in folio {current.folio!r} (since version {current.version})"
            + (f" and differs in {said}" if said else ""),
            kind="item-exists",
            hint="choose another name or pass overwrite=True; the old entry stays in the history",
            folio=current.folio,
            item=current.item,
            version=current.version,
            differs=sorted(differs),
        )

    def check_not_purged_meanwhile(self, stored: Stored) -> None:
        """Raise ConflictError if content that is to be put was purged since it was stored."""
        if self.overlay.is_purged(stored):
            raise ConflictError(
                f"content {stored.blob_digest} was purged while it was being added",
                kind="purged-meanwhile",
                hint="add it again",
                digest=stored.blob_digest,
            )

    def check_not_purged(self, entry: Entry, what: str) -> None:
        """Raise NotFoundError if the content of an entry was purged."""
        if self.overlay.is_purged(entry):
            raise NotFoundError(
                f"content of {entry.ref} was purged by gc and can't be {what}",
                kind="content-purged",
                hint="choose a later version, or items whose content is still kept",
                item=entry.item,
                version=entry.version,
                digest=entry.digest,
            )

    # -- inputs --------------------------------------------------------------------------------------------

    def entry_of(self, text: str) -> Entry:
        """Return the entry that a reference means; one that does not exist was refused before."""
        ref = parse_ref(text, folio="")
        return self._found(ref.folio or "", ref.item, ref.at)

    def _found(self, folio: str, item: str, at: int | str | None) -> Entry:
        version: int | None = None
        entry = self.overlay.entry(folio, item) if at is None else find_version(self.overlay, folio, item, at)
        if entry is None and at is not None:
            version = resolve_at(self.overlay, self.state, at, folio, item=item)
            entry = self.overlay.entry_at(folio, item, version)
        if entry is None:
            raise item_not_found(self.overlay, folio, item, self.state, version)
        return entry

    def resolve(self, text: str, folio: str) -> InputEdge:
        """Return a reference or URI as an edge; NotFoundError (kind ``input-not-found``) if there is no such entry."""
        if is_uri(text):
            return {"input_kind": "external", "input_uri": text}
        ref = parse_ref(text, folio=folio)
        where = ref.folio or folio
        try:
            entry = self._found(where, ref.item, ref.at)
        except NotFoundError as exc:
            raise NotFoundError(
                f"input {text!r}: {exc.message}",
                kind="input-not-found",
                hint=exc.hint,
                **{**exc.objects, "input": text},
            ) from exc
        return {
            "input_kind": "entry",
            "input_id": entry.entry_id,
            "input_folio": where,
            "input_item": ref.item,
            "input_digest": entry.digest,
        }


def stored_values(content: Stored | Entry) -> dict[str, Any]:
    """Return the content columns of a ``put`` row as a change or an entry has them."""
    return dict(zip(_STORED, _VALUES(content), strict=True))


def json_text(value: Mapping[str, object]) -> str | None:
    """Return details as a row holds them, None for none; InvalidInputError (kind ``bad-details``) if they can't be."""
    if not value:
        return None
    try:
        return _ENCODER.encode(dict(value))
    except (TypeError, ValueError) as exc:
        raise InvalidInputError(
            f"details can't be written as JSON: {exc}", kind="bad-details", hint="keep to plain values"
        ) from exc


def facts_of(values: Mapping[str, str | None]) -> list[dict[str, Any]] | None:
    """Return metadata as a row holds it, None for none."""
    return [{"key": key, "value": text, "value_number": _number(text)} for key, text in values.items()] or None


def _number(value: str | None) -> float | None:
    """Return the nearest double to a number in JSON text, tagged ones included, else None."""
    if value is None or not (value.removeprefix("-")[:1].isdigit() or value.startswith('{"$type":')):
        return None
    try:
        number = _tagged(json.loads(value)) if value[0] == "{" else float(value)
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError):
        return None
    return number if number is not None and math.isfinite(number) else None


def _tagged(document: Mapping[str, Any]) -> float | None:
    found = document["value"]
    match document["$type"]:
        case "decimal" | "float":
            return float(found)
        case "int":
            return float(int(found, 16))
        case "fraction":
            return float(found[0] / found[1])
        case "numpy" if not isinstance(found, bool | str):
            return float(found)
    return None
