"""Rows for changes of items: adding, replacing, copying, marking and describing them (pure: no I/O)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from lakefolio.errors import AlreadyExistsError, ConflictError, InvalidInputError, NotFoundError, nearest
from lakefolio.format.json_decode import loads_fact
from lakefolio.format.json_encode import dumps_fact
from lakefolio.format.names import new_id
from lakefolio.format.semver import SemVer
from lakefolio.model.changes import KEEP, CopyItem, Mark, Put, Update, content_facts
from lakefolio.model.compatibility import column_names
from lakefolio.model.entries import Entry, InputEdge, Stored
from lakefolio.model.equality import differences
from lakefolio.model.item_versions import label_of
from lakefolio.model.naming import NamePattern
from lakefolio.model.plan import Plan, facts_of, json_text, stored_values
from lakefolio.model.version_policy import check_new_label, label_for

__all__ = ["plan_copy", "plan_mark", "plan_put", "plan_update", "put_again"]


def plan_put(plan: Plan, change: Put) -> None:
    """Plan that content becomes an item, or that nothing happens if it is that already."""
    live = plan.overlay.live(change.folio, change.item)
    if live and not change.overwrite:
        _check_unchanged(plan, change)
        return
    if not live:
        _check_name(plan, change.folio, change.item)
    elif change.keep:
        change = _carried(plan, change)
    _check_fields(plan, change.folio, change.item, change.metadata)
    stored = change.stored
    plan.check_not_purged_meanwhile(stored)
    label = _label(plan, change)
    run_id = change.run_id or plan.commit.run_id
    edges = _edges(plan, change)
    if change.run_id is not None:
        edges.append({"input_kind": "run", "input_id": change.run_id, "run_id": change.run_id})
    plan.put_row(
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


def _check_name(plan: Plan, folio: str, item: str) -> None:
    """Refuse a new name that the pattern of the folio refuses."""
    pattern = plan.pattern(folio)
    if pattern is not None:
        pattern.check(item)


def _check_fields(plan: Plan, folio: str, item: str, metadata: Mapping[str, str]) -> None:
    """Refuse metadata that deny what the pattern of the folio reads from the name."""
    pattern = plan.pattern(folio) if metadata else None
    if pattern is not None:
        pattern.check_agrees(item, _values(pattern, metadata))


def _following(plan: Plan, folio: str, item: str, metadata: Mapping[str, str]) -> Mapping[str, str]:
    """Return metadata with the fields that the pattern of the folio reads from a new name, where they deny them."""
    pattern = plan.pattern(folio) if metadata else None
    if pattern is None:
        return metadata
    told = pattern.denied(item, _values(pattern, metadata))
    return {**metadata, **{key: dumps_fact(value).decode() for key, value in told.items()}}


def _values(pattern: NamePattern, metadata: Mapping[str, str]) -> dict[str, object]:
    return {key: loads_fact(metadata[key]) for key in pattern.fields if key in metadata}


def _label(plan: Plan, change: Put) -> str | None:
    """Return the label that a new version gets; looks at nothing but the policy where nobody asks for one."""
    policy = plan.policy(change.folio)
    if change.version is None and change.bump is None and policy.bump is None and policy.compatibility is None:
        return None
    return label_for(plan.overlay, change, policy)


def _edges(plan: Plan, change: Put) -> list[InputEdge]:
    """Return the inputs of a change, with what is said of their columns, which must be there."""
    edges = [plan.resolve(text, change.folio) for text in change.inputs]
    for number, edge in enumerate(edges):
        said = change.input_details.get(str(number))
        if not isinstance(said, Mapping):
            continue
        edge["details"] = json_text(said)
        entry = _entry_of_edge(plan, edge)
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


def _entry_of_edge(plan: Plan, edge: InputEdge) -> Entry | None:
    if edge["input_kind"] != "entry" or edge["input_folio"] is None or edge["input_item"] is None:
        return None
    history = plan.overlay.history(edge["input_folio"], edge["input_item"])
    return next((one for one in history if one.entry_id == edge["input_id"]), None)


def _check_unchanged(plan: Plan, change: Put) -> None:
    """Raise AlreadyExistsError unless an item already equals the result of the change."""
    current = plan.head(change.folio, change.item)
    try:
        edges = _edges(plan, change)
    except NotFoundError:  # it can't be an input of the entry that is there
        edges = [{"input_kind": "external", "input_uri": text} for text in change.inputs]
    found = differences(current, change, edges)
    if found:
        raise plan.taken(current, found)


def _carried(plan: Plan, change: Put) -> Put:
    """Return the change with the parts it keeps of the entry it replaces; inputs belong to the old content."""
    entry = plan.head(change.folio, change.item)
    other = content_facts(entry.storage)
    kept = {key: value for key, value in entry.facts.items() if key not in other}
    return replace(
        change,
        description=entry.description if "description" in change.keep else change.description,
        tags=entry.tags if "tags" in change.keep else change.tags,
        metadata={**kept, **change.metadata} if "metadata" in change.keep else change.metadata,
    )


def put_again(plan: Plan, entry: Entry, reason: str) -> None:
    """Make an entry the head of its name: one that exists, or one whose content exists and that says other things."""
    plan.put_row(
        entry.folio,
        entry.item,
        reason,
        plan.content_of(entry),
        entry_id=entry.entry_id,
        description=entry.description,
        tags=entry.tags,
        archived=entry.archived or None,
        inputs=list(entry.inputs) or None,
        facts=facts_of(entry.facts),
        extra=json_text(entry.extra),
    )


def plan_update(plan: Plan, change: Update) -> None:
    """Plan that what is said of an item changes, and its content stays."""
    entry = plan.head(change.folio, change.item)
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
    if change.metadata is not KEEP:
        merged: dict[str, str | None] = {**metadata, **change.metadata}
        metadata = {key: value for key, value in merged.items() if value is not None}
        told = {key: value for key, value in metadata.items() if key in change.metadata}
        _check_fields(plan, change.folio, change.item, told)
    inputs = entry.inputs
    if change.inputs is not KEEP:
        inputs = tuple(plan.resolve(text, change.folio) for text in change.inputs)
    successor = replace(
        entry,
        entry_id=new_id(),
        description=entry.description if change.description is KEEP else change.description,
        tags=entry.tags if change.tags is KEEP else change.tags,
        facts=metadata,
        inputs=inputs,
        extra=entry.extra if change.version is None else {**entry.extra, "version": _relabelled(plan, change, entry)},
    )
    put_again(plan, successor, "update")


def _relabelled(plan: Plan, change: Update, entry: Entry) -> str:
    """Return the label that the present version of an item gets; one that it has stays for ever."""
    label = SemVer.parse(change.version)
    versions = plan.overlay.versions(change.folio, change.item)
    own = versions.known[versions.number_of(entry) - 1]
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
    check_new_label(plan.overlay, change.folio, change.item, label, versions)
    return str(label)


def plan_mark(plan: Plan, change: Mark) -> None:
    """Plan that an item names another version of its own table (record tables); its description stays."""
    entry = plan.head(change.folio, change.item)
    if entry.entry_id != change.replaces:
        raise ConflictError(
            f"{change.folio}:{change.item} was changed meanwhile",
            kind="item-moved",
            hint="look at it again, and decide anew",
            folio=change.folio,
            item=change.item,
        )
    plan.check_not_purged_meanwhile(change.stored)
    plan.put_row(
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


def plan_copy(plan: Plan, change: CopyItem) -> None:
    """Plan that an entry becomes an item of another name."""
    if plan.check_free(change.folio, change.item, overwrite=change.overwrite):
        _check_name(plan, change.folio, change.item)
    plan.check_not_purged(change.source, "copied")
    copy = replace(
        change.source,
        folio=change.folio,
        item=change.item,
        entry_id=change.entry_id,
        facts=_following(plan, change.folio, change.item, change.source.facts),
        archived=False,
        extra=_copied(plan, change),
    )
    put_again(plan, copy, "copy")


def _copied(plan: Plan, change: CopyItem) -> Mapping[str, object]:
    """Return the label of an entry that is copied, if the new name never had one."""
    label = label_of(change.source.extra)
    if label is None or plan.overlay.versions(change.folio, change.item).highest is not None:
        return {}
    return {"version": label}
