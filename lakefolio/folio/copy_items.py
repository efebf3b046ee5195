"""Copying items from folio to folio: within a lake as rows alone, between lakes with their content.

A copy has the description, tags, metadata and version label of its original (not the label if the new name had one
before); that of a record table is a table of its present rows.
Its inputs are the copies of the original's inputs where those were copied along unchanged. Other inputs stay as they
are: an exact version in the same lake, or an address in the other lake. An output of a run has its original as an
input, too: the copy is none of the run's outputs, but its lineage leads to the run.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakefolio.errors import IntegrityError
from lakefolio.format.names import check_folio, check_item, new_id
from lakefolio.format.table_formats import RECORDS
from lakefolio.items.handler import Encoded, FilePayload
from lakefolio.items.table import TableHandler
from lakefolio.model.changes import Change, Put, SetArchived
from lakefolio.model.entries import Stored
from lakefolio.model.item_versions import label_of
from lakefolio.process.scratch import scratch_folder
from lakefolio.process.workers import Workers
from lakefolio.session.annotations import metadata_texts
from lakefolio.session.reading import about

if TYPE_CHECKING:
    from lakefolio.model.entries import Entry, StateView
    from lakefolio.session.session import Session

__all__ = ["copy_items", "with_their_inputs"]

_THREADS = 8


def with_their_inputs(names: Iterable[str], graph: Mapping[str, list[str]]) -> set[str]:
    """Return ``names`` and all they were made from, directly or not, as far as the graph knows it."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in graph and name not in found:
            found.add(name)
            waiting += graph[name]
    return found


def copy_items(
    entries: Sequence[Entry],
    source: Session,
    target: Session,
    folio: str,
    *,
    metadata: Mapping[str, object],
    message: str,
) -> None:
    """Copy entries, with their words, and folio metadata, as one commit.

    Atomic; content is verified on its way.

    Args:
        entries: The entries, all of one folio.
        source: Reads them.
        target: Writes the copies; of the same lake or another.
        folio: The folio to copy to.
        metadata: The metadata to set for that folio.
        message: The message of the commit.

    Raises:
        AlreadyExistsError: The folio has an item of one of the names.
        InvalidInputError: An entry has a name that no item may have, because another tool wrote it.
        IntegrityError: The stored bytes of an entry are damaged; nothing was copied.
    """
    check_folio(folio)
    for entry in entries:  # a row of another lake may hold an invalid name
        check_item(entry.item)
    same_lake = source.uri == target.uri and source.marker.lake_id == target.marker.lake_id
    with Workers(_THREADS, "lakefolio-copy") as workers:
        contents = workers.map(lambda entry: _content(entry, source, target, same_lake), entries)
    stored = dict(zip((entry.item for entry in entries), contents, strict=True))
    edges = {entry.item: entry.inputs for entry in entries}
    done: dict[str, Entry] = {}
    changes: list[Change] = []
    for entry in _inputs_first(entries, edges):
        changes.append(
            Put(
                folio=folio,
                item=entry.item,
                stored=stored[entry.item],
                entry_id=new_id(),
                description=entry.description,
                tags=entry.tags,
                inputs=tuple(_input(edge, entry, done, source, same_lake) for edge in edges[entry.item]),
                metadata=metadata_texts(source.metadata_of(entry)),
                version=_label(target.state(), folio, entry),
            )
        )
        if entry.archived:
            changes.append(SetArchived(folio, entry.item, True))
        done[entry.item] = entry
    with target.batch(message):
        if changes:
            target.apply(*changes)
        if metadata:
            target.annotate("folio", folio, metadata)


def _label(view: StateView, folio: str, entry: Entry) -> str | None:
    """Return the label of an entry if its copy can have it: as of a copy of one item, and if it names no snapshot."""
    label = label_of(entry.extra)
    if label is None or any(label_of(one.extra) for one in view.puts(folio, entry.item)):
        return None
    return label if view.snapshot(folio, label) is None and view.snapshot(None, label) is None else None


def _content(entry: Entry, source: Session, target: Session, same_lake: bool) -> Stored:
    """Return the stored content of an entry's copy; facts that the other lake records are verified, not believed."""
    check_item(entry.item)
    if entry.kind == RECORDS:
        return _rows_of_records(entry, source, target)
    if same_lake:
        return source.stored(entry)
    if entry.storage == "reference":
        return target.references.taken_over(source.stored(entry), source.references)
    is_table = entry.kind == "table"
    if is_table:
        try:
            TableHandler().check(source.blobs.source(entry), entry.details, entry.digest or "")
        except IntegrityError as exc:
            raise about(exc, entry.folio, entry.item, f"item {entry.ref}", version=entry.version) from exc
    encoded = Encoded(
        kind=entry.kind,
        format=entry.format or "",
        media_type=entry.media_type or "",
        payload=lambda: FilePayload(source.local_path(entry)),
        details=dict(entry.details),
        digest=entry.digest if is_table else None,
        row_count=entry.row_count,
    )
    return target.blobs.put(encoded, target.committed())


def _rows_of_records(entry: Entry, source: Session, target: Session) -> Stored:
    """Return the rows that a record table has, as a table: its copy is one of its own."""
    folder = scratch_folder()
    try:
        encoded = TableHandler().encode(source.load(entry, as_="arrow"), scratch=folder)
        return target.blobs.put(encoded, target.committed())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _inputs_first(entries: Sequence[Entry], edges: Mapping[str, Sequence[Mapping[str, object]]]) -> list[Entry]:
    """Return the entries so that each comes after those it was made from (a circle is broken somewhere)."""
    by_name = {entry.item: entry for entry in entries}
    ordered: dict[str, Entry] = {}
    for first in entries:
        path = [(first, False)]
        begun: set[str] = set()
        while path:
            entry, ready = path.pop()
            if ready:
                ordered.setdefault(entry.item, entry)
            elif entry.item not in begun and entry.item not in ordered:
                begun.add(entry.item)
                path.append((entry, True))
                names = [edge["input_item"] for edge in edges[entry.item] if edge["input_folio"] == entry.folio]
                path += [(by_name[name], False) for name in reversed(names) if name in by_name]
    return list(ordered.values())


def _input(edge: Mapping[str, Any], entry: Entry, done: Mapping[str, Entry], source: Session, same_lake: bool) -> str:
    """Return how the copy of an entry names what the edge leads to."""
    if edge["input_kind"] == "run":
        return _address(entry.ref, source, same_lake)
    if edge["input_item"] is None:
        return str(edge["input_uri"])
    copied = done.get(edge["input_item"]) if edge["input_folio"] == entry.folio else None
    if copied is not None and (
        copied.entry_id == edge["input_id"] or (copied.digest and copied.digest == edge["input_digest"])
    ):
        return copied.item
    past = source.state().history(edge["input_folio"], edge["input_item"])
    version = next((one.version for one in past if one.entry_id == edge["input_id"]), None)
    name = f"{edge['input_folio']}:{edge['input_item']}" + ("" if version is None else f"@{version}")
    return _address(name, source, same_lake)


def _address(name: str, source: Session, same_lake: bool) -> str:
    return name if same_lake else f"{source.uri.rstrip('/')}#{name}"
