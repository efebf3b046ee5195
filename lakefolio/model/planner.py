"""From changes to rows: the effect of a commit on one exact state (pure: no I/O).

The planner checks every condition of every change against the state it is given and writes the rows of the journal.
The rows are committed only if that state is still the newest (FORMAT.md, "Journal protocol"); otherwise the commit is
planned again.

Longer than most modules: each change is planned by one function, and all of them write to the same plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from lakefolio.errors import AlreadyExistsError, ConflictError, InvalidInputError, NotFoundError, nearest
from lakefolio.format.names import is_own_folio, new_id
from lakefolio.format.semver import SemVer
from lakefolio.model.changes import (
    KEEP,
    Annotate,
    Change,
    Commit,
    CopyItem,
    Delete,
    DropSnapshot,
    LogBatch,
    LogBlob,
    Mark,
    Put,
    Restore,
    SetArchived,
    SetRun,
    TakeSnapshot,
    Update,
    content_facts,
)
from lakefolio.model.compatibility import column_names
from lakefolio.model.entries import Entry, Snapshot, Stored
from lakefolio.model.equality import differences
from lakefolio.model.item_versions import OWN_FACTS, label_of, number_of, versions_of
from lakefolio.model.naming import NamePattern, naming_of
from lakefolio.model.pending_state import Overlay
from lakefolio.model.plan_builder import REFERRED, PlanRows, facts_of, json_text, stored_values
from lakefolio.model.resolve import check_run, item_not_found, snapshot_not_found
from lakefolio.model.state import State
from lakefolio.model.version_policy import NO_POLICY, VersionPolicy, check_new_label, label_for, policy_of

__all__ = ["Plan", "plan_commit"]


class Plan(PlanRows):
    """The rows of one commit on one state.

    Attributes:
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
        super().__init__(
            commit,
            state,
            Overlay(base, base.content_of, version),
            version=version,
            committed_at=committed_at,
            first_ordinal=first_ordinal,
        )
        self._policies: dict[str, VersionPolicy] = {}
        self._patterns: dict[str, NamePattern | None] = {}
        for change in commit.changes:
            self._add(change)

    def _add(self, change: Change) -> None:
        match change:
            case Put():
                self._put(change)
            case Update():
                self._update(change)
            case Mark():
                self._mark(change)
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
                    change.reason,
                    change.reason,
                    entry_id=change.batch_id,
                    run_id=change.run_id,
                    row_count=change.row_count,
                    details=json_text(change.details),
                )
            case LogBlob():
                self._log_blob(change)

    def _put(self, change: Put) -> None:
        live = self.overlay.live(change.folio, change.item)
        if live and not change.overwrite:
            self._check_unchanged(change)
            return
        if not live:
            self._check_name(change.folio, change.item)
        elif change.keep:
            change = self._carried(change)
        stored = change.stored
        self._check_not_purged_meanwhile(stored)
        label = self._label(change)
        run_id = change.run_id or self.commit.run_id
        edges = self._edges(change)
        if change.run_id is not None:
            edges.append({"input_kind": "run", "input_id": change.run_id, "run_id": change.run_id})
        self._put_row(
            change.folio,
            change.item,
            "overwrite" if live else "add",
            stored_values(stored),
            entry_id=change.entry_id,
            description=change.description,
            tags=change.tags,
            inputs=edges or None,
            facts=facts_of(change.metadata),
            run_id=run_id,
            extra=None if label is None else json_text({"version": label}),
        )

    def _check_name(self, folio: str, item: str) -> None:
        """Refuse a new name that the pattern of the folio refuses."""
        if folio not in self._patterns:
            self._patterns[folio] = None if is_own_folio(folio) else naming_of(self.overlay, folio)
        pattern = self._patterns[folio]
        if pattern is not None:
            pattern.check(item)

    def _label(self, change: Put) -> str | None:
        """Return the label that a new version gets; looks at nothing but the policy where nobody asks for one."""
        folio = change.folio
        if folio not in self._policies:
            self._policies[folio] = NO_POLICY if is_own_folio(folio) else policy_of(self.overlay, folio)
        policy = self._policies[folio]
        if change.version is None and change.bump is None and policy.bump is None and policy.compatibility is None:
            return None
        return label_for(self.overlay, change, policy)

    def _edges(self, change: Put) -> list[dict[str, Any]]:
        """Return the inputs of a change, with what is said of their columns, which must be there."""
        edges = [self._resolve(text, change.folio) for text in change.inputs]
        for number, edge in enumerate(edges):
            said = change.input_details.get(str(number))
            if not isinstance(said, Mapping):
                continue
            edge["details"] = json_text(said)
            entry = self._entry_of_edge(edge)
            known: list[tuple[Stored | Entry, Iterable[str], str]] = [
                (change.stored, said.get("columns") or {}, "the table")
            ]
            if entry is not None:
                used = [name for names in (said.get("columns") or {}).values() for name in names]
                known.append((entry, [*used, *(said.get("rows") or ())], f"input {entry.ref}"))
            for content, names, what in known:
                columns = column_names(content.details)
                unknown = None if columns is None else next((name for name in names if name not in columns), None)
                if unknown is not None:
                    raise InvalidInputError(
                        f"{change.folio}:{change.item}: {what} has no column {unknown!r}",
                        kind="unknown-column",
                        hint=nearest(unknown, columns or ()),
                        column=unknown,
                        folio=change.folio,
                        item=change.item,
                    )
        return edges

    def _entry_of_edge(self, edge: Mapping[str, Any]) -> Entry | None:
        if edge["input_kind"] != "entry":
            return None
        history = self.overlay.history(edge["input_folio"], edge["input_item"])
        return next((one for one in history if one.entry_id == edge["input_id"]), None)

    def _check_unchanged(self, change: Put) -> None:
        """Raise AlreadyExistsError unless an item already equals the result of the change."""
        current = self._head(change.folio, change.item)
        try:
            edges = self._edges(change)
        except NotFoundError:  # it can't be an input of the entry that is there
            edges = [{"input_kind": "external", "input_uri": text} for text in change.inputs]
        found = differences(current, change, edges)
        if found:
            raise self._taken(current, found)

    def _carried(self, change: Put) -> Put:
        """Return the change with the parts it keeps of the entry it replaces; inputs belong to the old content."""
        entry = self._head(change.folio, change.item)
        other = content_facts(entry.storage)
        kept = {key: value for key, value in entry.facts.items() if key not in other}
        return replace(
            change,
            description=entry.description if "description" in change.keep else change.description,
            tags=entry.tags if "tags" in change.keep else change.tags,
            metadata={**kept, **change.metadata} if "metadata" in change.keep else change.metadata,
        )

    def _reput(self, entry: Entry, reason: str, *, archived: bool) -> None:
        """Make an entry that exists the head again, under its own id and with all that is said of it."""
        self._put_row(
            entry.folio,
            entry.item,
            reason,
            self._content_of(entry),
            entry_id=entry.entry_id,
            description=entry.description,
            tags=entry.tags,
            archived=archived or None,
            inputs=list(entry.inputs) or None,
            facts=facts_of(entry.facts),
            extra=json_text(entry.extra),
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
        edges: Sequence[Mapping[str, object]],
        archived: bool,
        extra: Mapping[str, object],
    ) -> None:
        self._put_row(
            folio,
            item,
            reason,
            self._content_of(entry),
            entry_id=entry_id,
            description=description,
            tags=tags,
            archived=archived or None,
            inputs=list(edges) or None,
            facts=facts_of(metadata),
            extra=json_text(extra),
        )

    def _update(self, change: Update) -> None:
        entry = self._head(change.folio, change.item)
        metadata: Mapping[str, str] = entry.facts
        for key, value in change.only_if.items():
            if metadata.get(key) != value:
                raise ConflictError(
                    f"{change.folio}:{change.item} was changed: {key} is {metadata.get(key)}, expected {value}",
                    kind="facts-changed",
                    hint="look at it again, and decide anew",
                    folio=change.folio,
                    item=change.item,
                )
        edges: Sequence[Mapping[str, Any]] = entry.inputs
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
            extra=entry.extra
            if change.version is None
            else {**entry.extra, "version": self._relabelled(change, entry)},
        )

    def _relabelled(self, change: Update, entry: Entry) -> str:
        """Return the label that the present version of an item gets; one that it has stays for ever."""
        label = SemVer.parse(change.version)
        puts = self.overlay.puts(change.folio, change.item)
        known = versions_of(puts)
        own = known[number_of(puts, entry) - 1]
        if own.label == str(label):
            return own.label
        if own.label is not None:
            raise AlreadyExistsError(
                f"{change.folio}:{change.item} is version {own.label} already, and can't be {label}",
                kind="version-exists",
                hint="a label is for ever; an alias can be moved",
                folio=change.folio,
                item=change.item,
                version=entry.version,
            )
        labels = [SemVer.parse(one.label) for one in known if one.label is not None]
        check_new_label(self.overlay, change.folio, change.item, label, labels)
        return str(label)

    def _mark(self, change: Mark) -> None:
        entry = self._head(change.folio, change.item)
        if entry.entry_id != change.replaces:
            raise ConflictError(
                f"{change.folio}:{change.item} was changed meanwhile",
                kind="item-moved",
                hint="look at it again, and decide anew",
                folio=change.folio,
                item=change.item,
            )
        self._check_not_purged_meanwhile(change.stored)
        self._put_row(
            change.folio,
            change.item,
            "mark",
            stored_values(change.stored),
            entry_id=change.entry_id,
            description=entry.description,
            tags=entry.tags,
            archived=entry.archived or None,
            inputs=list(entry.inputs) or None,
            facts=facts_of(entry.facts),
        )

    def _copy(self, change: CopyItem) -> None:
        if self._free(change.folio, change.item, overwrite=change.overwrite):
            self._check_name(change.folio, change.item)
        self._check_not_purged(change.source, "copied")
        self._successor(
            change.source,
            "copy",
            folio=change.folio,
            item=change.item,
            entry_id=change.entry_id,
            description=change.source.description,
            tags=change.source.tags,
            metadata=change.source.facts,
            edges=change.source.inputs,
            archived=False,
            extra=self._copied(change),
        )

    def _copied(self, change: CopyItem) -> Mapping[str, object]:
        """Return the label of an entry that is copied, if the new name never had one."""
        label = label_of(change.source.extra)
        if label is None or any(label_of(one.extra) for one in self.overlay.puts(change.folio, change.item)):
            return {}
        return {"version": label}

    def _annotate(self, change: Annotate) -> None:
        before = self.overlay.metadata(change.subject_kind, change.subject_id)
        gone = [key for key in before if change.clear and not key.startswith(OWN_FACTS)]
        values = {**dict.fromkeys(gone), **change.values}
        changed = {key: value for key, value in values.items() if before.get(key) != value}
        if not changed:
            return
        folio = change.subject_id if change.subject_kind == "folio" else None
        merged = {key: value for key, value in (before | changed).items() if value is not None}
        self.overlay.set_metadata(change.subject_kind, change.subject_id, merged)
        self._policies.clear()
        self._patterns.clear()
        self._row("annotate", "metadata", folio=folio, facts=facts_of(changed))

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
            extra=json_text(change.extra) if change.extra else None,
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
                    raise item_not_found(past, folio, name, self.state)
                if old is None:
                    self._delete(folio, name, "restore")
                elif new is None or (old.entry_id, old.archived) != (new.entry_id, new.archived):
                    self._check_not_purged(old, "restored")
                    self._reput(old, "restore", archived=old.archived)
        if change.items is None:
            self._restore_words(change.target_version, change.folio, folios)

    def _restore_words(self, version: int, folio: str | None, folios: list[str]) -> None:
        subjects: list[tuple[Any, str]] = [("folio", one) for one in folios]
        if folio is None:
            subjects.append(("lake", ""))
        for kind, subject_id in subjects:
            now, then = (self.overlay.metadata(kind, subject_id, when) for when in (None, version))
            self._annotate(Annotate(kind, subject_id, {**dict.fromkeys(now), **then}))

    # -- runs and their logs -------------------------------------------------------------------------------

    def _set_run(self, change: SetRun) -> None:
        before = self.overlay.metadata("run", change.run_id)
        if any(before.get(key) != value for key, value in change.only_if.items()):
            return
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
        merged = {key: value for key, value in (before | changed).items() if value is not None}
        self.overlay.set_metadata("run", change.run_id, merged)
        self.overlay.add_run_inputs(change.run_id, edges)
        self._row("run", "run", run_id=change.run_id, facts=facts_of(changed), inputs=edges or None)
        for name, entry in pins:
            self._pin(change.run_id, name, entry)

    def _pin(self, run_id: str, name: str, entry: Entry) -> None:
        self._check_not_purged(entry, "used by a run")
        kept = {column: getattr(entry, column) for column in REFERRED}
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
        kept = {column: getattr(change.stored, column) for column in REFERRED}
        self._row("event_blob", "event", entry_id=change.event_id, run_id=change.run_id, **kept)


def plan_commit(commit: Commit, state: State, base: Overlay, *, first_ordinal: int, **when: Any) -> Plan:
    """Plan one commit on ``state`` with the changes in ``base`` already laid over it.

    Raises:
        AlreadyExistsError: A name is taken by another content, or by the same of which other things are said.
        NotFoundError: An item, input or snapshot does not exist.
        ConflictError: A blob was purged meanwhile.
    """
    return Plan(commit, state, base, first_ordinal=first_ordinal, **when)
