"""From changes to rows: what a commit means on one exact state (pure: no I/O).

The planner checks every condition of every change against the state it is given and writes the rows of the three
tables. Nothing here is a guess about a later moment: the rows are committed only if that state is still the newest
(FORMAT.md, "Journal protocol"), and planned again otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from lakefolio.changes import (
    KEEP,
    Annotate,
    Change,
    Commit,
    CopyItem,
    Delete,
    DropSnapshot,
    LogBatch,
    LogBlob,
    Put,
    Restore,
    SetArchived,
    SetRun,
    Stored,
    TakeSnapshot,
    Update,
)
from lakefolio.errors import AlreadyExistsError, ConflictError, InvalidInputError, NotFoundError
from lakefolio.lookup import check_run, check_side_rows, item_not_found, resolve_at, snapshot_not_found
from lakefolio.overlay import Overlay, Side
from lakefolio.refs import is_uri, new_id, parse_ref
from lakefolio.state import Entry, Snapshot, State, View

__all__ = ["Plan", "plan_commit"]

_ENCODER = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))
_STORED = tuple(Stored.__dataclass_fields__)
_EDGE_KEPT = (
    "input_kind",
    "input_id",
    "input_folio",
    "input_item",
    "input_uri",
    "input_digest",
    "run_id",
    "role",
    "details",
)


class Plan:
    """The rows of one commit on one state.

    Attributes:
        manifests: Rows of the journal, as dicts; ``version``, ``ordinal`` and ``committed_at`` included.
        lineage: Rows of ``lineage``.
        metadata: Rows of ``metadata``.
        overlay: The state with the commit laid over it.
    """

    def __init__(
        self,
        commit: Commit,
        state: State,
        base: View,
        side: Side,
        *,
        version: int,
        committed_at: datetime,
        first_ordinal: int,
        txn_id: str,
    ) -> None:
        self.commit = commit
        self.state = state
        self.overlay = Overlay(base, side, version)
        self.manifests: list[dict[str, Any]] = []
        self.lineage: list[dict[str, Any]] = []
        self.metadata: list[dict[str, Any]] = []
        self._first_ordinal = first_ordinal
        self._common: dict[str, Any] = {
            "version": version,
            "committed_at": committed_at,
            "commit_id": commit.commit_id,
            "txn_id": txn_id,
            "author": commit.author,
            "message": commit.message,
        }
        for change in commit.changes:
            self._add(change)

    def _add(self, change: Change) -> None:
        match change:
            case Put():
                self._put(change)
            case Update():
                self._update(change)
            case Delete():
                self._head(change.folio, change.item)
                self._delete(change.folio, change.item, "delete")
            case SetArchived():
                entry = self._head(change.folio, change.item)
                if entry.archived != change.archived:
                    reason = "archive" if change.archived else "unarchive"
                    self._reput(entry, reason, archived=change.archived)
            case Annotate():
                self._annotate(change)
            case TakeSnapshot():
                self._snapshot(change)
            case DropSnapshot():
                self._drop_snapshot(change)
            case Restore():
                self._restore(change)
            case CopyItem():
                self._copy(change)
            case SetRun():
                self._set_run(change)
            case LogBatch():
                self._row(
                    "log",
                    change.reason,
                    entry_id=change.batch_id,
                    run_id=change.run_id,
                    row_count=change.row_count,
                    details=_json(change.details),
                )
            case LogBlob():
                self._log_blob(change)

    # -- rows ----------------------------------------------------------------------------------------------

    def _row(self, op: str, reason: str, **values: Any) -> dict[str, Any]:
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

    def _put_row(self, folio: str, item: str, reason: str, content: Mapping[str, Any], **values: Any) -> None:
        kept = {name: content[name] for name in _STORED}
        kept["details"] = _json(content["details"])
        values["tags"] = list(values.get("tags") or ()) or None
        self.overlay.put(self._row("put", reason, folio=folio, item=item, **kept, **values))

    def _delete(self, folio: str, item: str, reason: str) -> None:
        self._row("delete", reason, folio=folio, item=item)
        self.overlay.delete(folio, item)

    def _metadata_rows(
        self,
        kind: str,
        subject_id: str,
        folio: str | None,
        item: str | None,
        values: Mapping[str, str | None],
    ) -> int:
        for key, value in values.items():
            self.metadata.append(
                {
                    "txn_id": self._common["txn_id"],
                    "ordinal": len(self.metadata),
                    "subject_kind": kind,
                    "subject_id": subject_id,
                    "folio": folio,
                    "item": item,
                    "key": key,
                    "value": value,
                    "value_number": _number(value),
                }
            )
        return len(values)

    def _edge_rows(self, entry_id: str, folio: str, item: str, edges: Iterable[Mapping[str, Any]]) -> int:
        rows = [
            {
                "txn_id": self._common["txn_id"],
                "ordinal": len(self.lineage) + number,
                "output_kind": "entry",
                "output_id": entry_id,
                "output_folio": folio,
                "output_item": item,
                **{name: edge.get(name) for name in _EDGE_KEPT},
            }
            for number, edge in enumerate(edges)
        ]
        self.lineage += rows
        self.overlay.set_edges(entry_id, rows)
        return len(rows)

    # -- changes -------------------------------------------------------------------------------------------

    def _head(self, folio: str, item: str) -> Entry:
        entry = self.overlay.entry(folio, item)
        if entry is None:
            raise item_not_found(self.overlay, folio, item)
        return entry

    def _free(self, folio: str, item: str, *, overwrite: bool) -> str:
        if not self.overlay.live(folio, item):
            return "add"
        if not overwrite:
            current = self._head(folio, item)
            raise AlreadyExistsError(
                f"item {item!r} already exists in folio {folio!r} (since version {current.version})",
                kind="item-exists",
                hint="choose another name or pass overwrite=True; the old entry stays in the history",
                folio=folio,
                item=item,
                version=current.version,
            )
        return "overwrite"

    def _put(self, change: Put) -> None:
        reason = self._free(change.folio, change.item, overwrite=change.overwrite)
        stored = change.stored
        self._check_not_purged_meanwhile(stored)
        run_id = change.run_id or self.commit.run_id
        edges = [self._resolve(text, change.folio) for text in change.inputs]
        if change.run_id is not None:
            edges.append({"input_kind": "run", "input_id": change.run_id, "run_id": change.run_id})
        lineage_count = self._edge_rows(change.entry_id, change.folio, change.item, edges) if edges else 0
        metadata_count = self._entry_metadata(change.entry_id, change.folio, change.item, change.metadata)
        self._put_row(
            change.folio,
            change.item,
            reason,
            {name: getattr(stored, name) for name in _STORED},
            entry_id=change.entry_id,
            description=change.description,
            tags=change.tags,
            lineage_count=lineage_count,
            metadata_count=metadata_count,
            run_id=run_id,
        )

    def _check_not_purged_meanwhile(self, stored: Stored) -> None:
        if (
            stored.storage == "blob"
            and stored.blob_digest
            and (stored.generation or 0) < self.overlay.generation(stored.blob_digest)
        ):
            raise ConflictError(
                f"blob {stored.blob_digest} was purged while it was being added",
                kind="purged-meanwhile",
                hint="add it again",
                digest=stored.blob_digest,
            )

    def _entry_metadata(self, entry_id: str, folio: str, item: str, values: Mapping[str, str]) -> int:
        if not values:
            return 0
        self.overlay.set_metadata("entry", entry_id, values)
        return self._metadata_rows("entry", entry_id, folio, item, values)

    def _reput(self, entry: Entry, reason: str, *, archived: bool) -> None:
        """Make an entry that exists the head again, under its own id: its lineage and metadata come with it."""
        self._put_row(
            entry.folio,
            entry.item,
            reason,
            {name: getattr(entry, name) for name in _STORED},
            entry_id=entry.entry_id,
            description=entry.description,
            tags=entry.tags,
            archived=archived or None,
            lineage_count=entry.lineage_count,
            metadata_count=entry.metadata_count,
        )

    def _successor(
        self,
        entry: Entry,
        reason: str,
        *,
        folio: str,
        item: str,
        entry_id: str,
        description: str | None,
        tags: tuple[str, ...],
        metadata: Mapping[str, str],
        edges: list[dict[str, Any]],
        archived: bool,
    ) -> None:
        lineage_count = self._edge_rows(entry_id, folio, item, edges) if edges else 0
        metadata_count = self._entry_metadata(entry_id, folio, item, metadata)
        self._put_row(
            folio,
            item,
            reason,
            {name: getattr(entry, name) for name in _STORED},
            entry_id=entry_id,
            description=description,
            tags=tags,
            archived=archived or None,
            lineage_count=lineage_count,
            metadata_count=metadata_count,
        )

    def _words(self, entry: Entry) -> tuple[dict[str, str], list[dict[str, Any]]]:
        metadata = self.overlay.metadata("entry", entry.entry_id) if entry.metadata_count else {}
        edges = self.overlay.edges_of(entry.entry_id) if entry.lineage_count else []
        check_side_rows(entry, "metadata", len(metadata))
        check_side_rows(entry, "lineage", len(edges))
        return metadata, edges

    def _update(self, change: Update) -> None:
        entry = self._head(change.folio, change.item)
        metadata, edges = self._words(entry)
        if change.metadata is not KEEP:
            merged: dict[str, str | None] = {**metadata, **change.metadata}
            metadata = {key: value for key, value in merged.items() if value is not None}
        if change.inputs is not KEEP:
            edges = [self._resolve(text, change.folio) for text in change.inputs]
        self._successor(
            entry,
            "update",
            folio=change.folio,
            item=change.item,
            entry_id=new_id(),
            description=entry.description if change.description is KEEP else change.description,
            tags=entry.tags if change.tags is KEEP else change.tags,
            metadata=metadata,
            edges=edges,
            archived=entry.archived,
        )

    def _copy(self, change: CopyItem) -> None:
        self._free(change.folio, change.item, overwrite=change.overwrite)
        self._check_not_purged(change.source, "copied")
        metadata, edges = self._words(change.source)
        self._successor(
            change.source,
            "copy",
            folio=change.folio,
            item=change.item,
            entry_id=change.entry_id,
            description=change.source.description,
            tags=change.source.tags,
            metadata=metadata,
            edges=edges,
            archived=False,
        )

    def _annotate(self, change: Annotate) -> None:
        before = self.overlay.metadata(change.subject_kind, change.subject_id)
        values = {key: None for key in before if change.clear and key not in change.values} | dict(change.values)
        changed = {key: value for key, value in values.items() if before.get(key) != value}
        if not changed:
            return
        folio = change.subject_id if change.subject_kind == "folio" else None
        count = self._metadata_rows(change.subject_kind, change.subject_id, folio, None, changed)
        merged = {key: value for key, value in (before | changed).items() if value is not None}
        self.overlay.set_metadata(change.subject_kind, change.subject_id, merged)
        self._row("annotate", "metadata", folio=folio, metadata_count=count)

    def _snapshot(self, change: TakeSnapshot) -> None:
        taken = self.overlay.snapshot(change.folio, change.name)
        if taken is not None:
            raise AlreadyExistsError(
                f"snapshot {change.name!r} already exists (of version {taken.target_version})",
                kind="snapshot-exists",
                hint="choose another name, or drop the old one first",
                snapshot=change.name,
                version=taken.target_version,
            )
        version = self._common["version"]
        target = version if change.target_version is None else change.target_version
        if target < version and self.state.purged:
            past = self.state.at(target)
            for folio in past.folios() if change.folio is None else [change.folio]:
                for entry in past.entries(folio):
                    self._check_not_purged(entry, "protected by a snapshot")
        row = self._row(
            "snapshot",
            "snapshot",
            folio=change.folio,
            snapshot=change.name,
            target_version=target,
            description=change.message,
            tags=list(change.tags) or None,
            extra=_json(change.extra) if change.extra else None,
        )
        snapshot = Snapshot(
            name=change.name,
            folio=change.folio,
            target_version=target,
            version=version,
            committed_at=row["committed_at"],
            author=self.commit.author,
            message=change.message,
            tags=change.tags,
            extra=change.extra,
        )
        self.overlay.set_snapshot(change.folio, change.name, snapshot)

    def _drop_snapshot(self, change: DropSnapshot) -> None:
        if self.overlay.snapshot(change.folio, change.name) is None:
            raise snapshot_not_found(self.overlay, change.folio, change.name)
        self._row("drop_snapshot", "drop_snapshot", folio=change.folio, snapshot=change.name)
        self.overlay.set_snapshot(change.folio, change.name, None)

    def _restore(self, change: Restore) -> None:
        past = self.state.at(change.target_version)
        folios = [change.folio] if change.folio is not None else sorted({*past.folios(), *self.overlay.folios()})
        for folio in folios:
            then, now = past.names(folio), self.overlay.names(folio)
            names = list(dict.fromkeys([*then, *now])) if change.items is None else list(change.items)
            for name in names:
                old, new = past.entry(folio, name), self.overlay.entry(folio, name)
                if old is None and new is None:
                    raise item_not_found(past, folio, name)
                if old is None:
                    self._delete(folio, name, "restore")
                elif new is None or (old.entry_id, old.archived) != (new.entry_id, new.archived):
                    self._check_not_purged(old, "restored")
                    self._reput(old, "restore", archived=old.archived)
        if change.items is None:
            self._restore_words(change.target_version, change.folio, folios)

    def _check_not_purged(self, entry: Entry, what: str) -> None:
        if (
            entry.storage == "blob"
            and entry.blob_digest
            and (entry.generation or 0) < self.overlay.generation(entry.blob_digest)
        ):
            raise NotFoundError(
                f"content of {entry.ref} was given up by gc and can't be {what}",
                kind="content-purged",
                hint="choose a later version, or items whose content is still kept",
                item=entry.item,
                version=entry.version,
                digest=entry.digest,
            )

    def _restore_words(self, version: int, folio: str | None, folios: list[str]) -> None:
        subjects: list[tuple[Any, str]] = [("folio", one) for one in folios]
        if folio is None:
            subjects.append(("lake", ""))
        for kind, subject_id in subjects:
            then = self.overlay.metadata(kind, subject_id, version)
            self._annotate(Annotate(kind, subject_id, then, clear=True))

    # -- runs and what they log ----------------------------------------------------------------------------

    def _set_run(self, change: SetRun) -> None:
        before = self.overlay.metadata("run", change.run_id)
        check_run(change, before)
        changed = {key: value for key, value in change.values.items() if before.get(key) != value}
        pins, edges = [], []
        for name, text in zip(change.input_names, change.input_refs, strict=True):
            edge = self._resolve(text, "")
            edges.append({**edge, "run_id": change.run_id, "role": name})
            if edge["input_kind"] == "entry":
                pins.append((name, self._entry_of(text)))
        if not changed and not edges:
            return
        count = self._metadata_rows("run", change.run_id, None, None, changed)
        merged = {key: value for key, value in (before | changed).items() if value is not None}
        self.overlay.set_metadata("run", change.run_id, merged)
        lineage_count = self._run_edges(change.run_id, edges) if edges else 0
        self._row("annotate", "run", run_id=change.run_id, metadata_count=count, lineage_count=lineage_count or None)
        for name, entry in pins:
            self._pin(change.run_id, name, entry)

    def _run_edges(self, run_id: str, edges: list[dict[str, Any]]) -> int:
        before = self.overlay.edges_of(run_id)
        rows = [
            {
                "txn_id": self._common["txn_id"],
                "ordinal": len(self.lineage) + number,
                "output_kind": "run",
                "output_id": run_id,
                **{name: edge.get(name) for name in _EDGE_KEPT},
            }
            for number, edge in enumerate(edges)
        ]
        self.lineage += rows
        self.overlay.set_edges(run_id, [*before, *rows])
        return len(rows)

    def _pin(self, run_id: str, name: str, entry: Entry) -> None:
        self._check_not_purged(entry, "used by a run")
        kept = {column: getattr(entry, column) for column in _STORED if column not in ("content", "details")}
        self._row(
            "pin",
            "input",
            run_id=run_id,
            folio=entry.folio,
            item=entry.item,
            entry_id=entry.entry_id,
            description=name,
            **kept,
        )

    def _log_blob(self, change: LogBlob) -> None:
        self._check_not_purged_meanwhile(change.stored)
        kept = {column: getattr(change.stored, column) for column in _STORED if column not in ("content", "details")}
        self._row("log", "event", entry_id=change.event_id, run_id=change.run_id, **kept)

    # -- inputs --------------------------------------------------------------------------------------------

    def _entry_of(self, text: str) -> Entry:
        """Return the entry that a reference means; one that does not exist was refused before."""
        ref = parse_ref(text, folio="")
        if ref.at is None:
            return self._head(ref.folio or "", ref.item)
        version = resolve_at(self.overlay, self.state, ref.at, ref.folio)
        entry = self.overlay.entry_at(ref.folio or "", ref.item, version)
        if entry is None:
            raise item_not_found(self.overlay, ref.folio or "", ref.item)
        return entry

    def _resolve(self, text: str, folio: str) -> dict[str, Any]:
        if is_uri(text):
            return {"input_kind": "external", "input_uri": text}
        ref = parse_ref(text, folio=folio)
        where = ref.folio or folio
        try:
            if ref.at is None:
                entry = self.overlay.entry(where, ref.item)
            else:
                version = resolve_at(self.overlay, self.state, ref.at, where)
                entry = self.overlay.entry_at(where, ref.item, version)
            if entry is None:
                raise item_not_found(self.overlay, where, ref.item)
        except NotFoundError as exc:
            raise NotFoundError(
                f"input {text!r}: {exc.message}", kind="input-not-found", hint=exc.hint, input=text
            ) from exc
        return {
            "input_kind": "entry",
            "input_id": entry.entry_id,
            "input_folio": where,
            "input_item": ref.item,
            "input_digest": entry.digest,
        }


def plan_commit(
    commit: Commit, state: State, base: View, side: Side, *, first_ordinal: int, txn_id: str, **when: Any
) -> Plan:
    """Plan one commit on ``state`` with the changes in ``base`` already laid over it.

    Raises:
        AlreadyExistsError: A name is taken.
        NotFoundError: An item, input or snapshot does not exist.
        ConflictError: A blob was purged meanwhile.
    """
    return Plan(commit, state, base, side, first_ordinal=first_ordinal, txn_id=txn_id, **when)


def _json(value: Mapping[str, Any]) -> str | None:
    if not value:
        return None
    try:
        return _ENCODER.encode(dict(value))
    except (TypeError, ValueError) as exc:
        raise InvalidInputError(
            f"details can't be written as JSON: {exc}", kind="bad-details", hint="keep to plain values"
        ) from exc


def _number(value: str | None) -> float | None:
    if value is None or not value.removeprefix("-")[:1].isdigit():
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
