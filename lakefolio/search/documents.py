"""What is searched of a lake at a version: the documents of items and of runs.

Searched are names, folios, kinds, descriptions, tags, metadata, authors and column names of the live items that
are not archived; the text of JSON and of files that have some (see ``texts``); and of runs name, project, model,
type, status, description, tags, parameters and error.

Writers pay nothing for it: files in blobs are read, verified like all content, when they are indexed. Of those that are
met at once the newest ``_BLOBS`` are read.

All documents of a lake come one after the other: the rows that they are made of are put aside in a file, sorted some
thousand at a time, and merged as they are read. DuckDB sorts in less time, but held half a gigabyte of a million items.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lakefolio.errors import IntegrityError, NotFoundError
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.model.entries import entry_from_row
from lakefolio.process.scratch import scratch_folder
from lakefolio.readmodels.merge import merged, sorted_rows
from lakefolio.readmodels.model import Model
from lakefolio.search.gathering import Document
from lakefolio.search.texts import is_text_like, text_of

if TYPE_CHECKING:
    from lakefolio.session.session import Session

__all__ = ["JSON_BYTES", "all_documents", "documents_since", "heads", "item_documents", "run_documents"]

_FEW: Final = 2_000
_TEXT_LIMIT: Final = 4_000
_TEXT_KINDS: Final = ("json", "artifact")
_BLOB_BYTES: Final = 8 << 20
JSON_BYTES: Final = 64 << 10
"""JSON values up to this size are searched: their first ``texts.LIMIT`` characters."""

_BLOBS: Final = 5_000
_READ_AT_ONCE: Final = 16
_ROWS_AT_ONCE: Final = 10_000
_ROWS_SORTED: Final = 20_000
_ROWS_ASIDE: Final = 1_000
"""Of each 20,000 rows so many are held while all are merged."""
_HEADS: Final = """
select entry_id from items where folio is not null and item is not null and not archived
"""
_ITEM_COLUMNS: Final = {
    **dict.fromkeys(("folio", "item", "entry_id"), pa.string()),
    "version": pa.int64(),
    **dict.fromkeys(("kind", "author", "description"), pa.string()),
    "tags": pa.list_(pa.string()),
    "blob_digest": pa.string(),
    "generation": pa.int64(),
    "details": pa.string(),
}
_ITEMS: Final = f"""
select {", ".join(_ITEM_COLUMNS)} from items where folio is not null and item is not null and not archived
"""
_FILES: Final = f"""
select entry_id, folio, item, kind, coalesce(details ->> '$.filename', item) as name, media_type from items
where storage = 'blob' and kind in {_TEXT_KINDS} and stored_bytes <= {_BLOB_BYTES} and not archived
order by version desc, folio, item
"""
_FACTS: Final = "select entry_id, key, value from item_metadata where value is not null"
_FILE_NAME: Final = "case kind when 'json' then '' else coalesce(details ->> '$.filename', item) end"
"""Of inline content: its suffix says how the text is read."""

_CONTENT: Final = f"""
select entry_id, content, {_FILE_NAME} as name, media_type from items
where storage = 'inline' and kind in {_TEXT_KINDS}
"""
_RUN_COLUMNS: Final = {
    **dict.fromkeys(("run_id", "name", "project", "model", "type", "status", "author", "description"), pa.string()),
    "tags": pa.list_(pa.string()),
    **dict.fromkeys(("error_type", "error", "params"), pa.string()),
    "version": pa.int64(),
}
_RUNS: Final = f"select {', '.join(_RUN_COLUMNS)} from runs"
_REF: Final = "folio || ':' || item || '@' || version"
_ITEM: Final = "folio || ':' || item || '@'"
"""What the reference of an item begins with, and no other's does: in the order of references, whatever versions."""

_FACTS_OF: Final = f"""
select {_ITEM} as ref, subject_id, key, value from current_metadata
where subject_kind = 'entry' and folio is not null and item is not null and value is not null
"""
_CONTENT_OF: Final = f"""
select {_REF} as ref, content, {_FILE_NAME} as name, media_type from items
where folio is not null and storage = 'inline' and kind in {_TEXT_KINDS} and not archived
"""
_ASIDE: Final = {
    f"select {_REF} as ref, * from ({_ITEMS})": {"ref": pa.string(), **_ITEM_COLUMNS},
    _FACTS_OF: dict.fromkeys(("ref", "subject_id", "key", "value"), pa.string()),
    _CONTENT_OF: {"ref": pa.string(), "content": pa.binary(), "name": pa.string(), "media_type": pa.string()},
    _RUNS: _RUN_COLUMNS,
}
"""The queries whose rows are put aside, sorted by their first column, and the columns of each."""


def heads(session: Session) -> set[str]:
    """Return the entries that are searched."""
    return {row[0] for row in session.query(_HEADS).fetchall()}


def all_documents(session: Session) -> Iterator[Document]:
    """Give all documents in the order of their references; a few are held at once, whatever the lake's size.

    Raises:
        StorageError: kind ``no-scratch``: no temporary files can be made.
    """
    folder = scratch_folder("lakefolio-documents-")
    try:
        asides = [_Aside(folder / str(number), columns) for number, columns in enumerate(_ASIDE.values())]
        for aside, query in zip(asides, _ASIDE, strict=True):
            aside.take(session.query(query).to_arrow_reader(_ROWS_SORTED))
        items, facts, contents, runs = map(iter, asides)
        found = _all_items(session, items, _Beside(facts), _Beside(contents))
        yield from heapq.merge(found, map(_run, runs), key=lambda one: one.ref)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _all_items(
    session: Session, items: Iterator[tuple[Any, ...]], facts: _Beside, contents: _Beside
) -> Iterator[Document]:
    files = _of_files(session, _rows(session, _FILES))
    for ref, *values in items:
        row = dict(zip(_ITEM_COLUMNS, values, strict=True))
        found = contents.of(ref)
        text = _inline(*found[0]) if found else files.pop(row["entry_id"], None)
        noted = facts.of(f"{row['folio']}:{row['item']}@")  # of all its entries: a join with items outgrows memory
        yield _item(row, [(key, _plain(value)) for id_, key, value in noted if id_ == row["entry_id"]], text)


class _Aside:
    """Rows that are put aside in a file, to be read in the order of their first column."""

    def __init__(self, path: Path, columns: Mapping[str, pa.DataType]) -> None:
        schema = pa.schema(list(columns.items()))
        self._path = path
        self._model = Model("aside", schema, (schema.names[0],), ())
        self._places: list[list[int]] = []  # of the rows that were sorted together: where the batches of them begin

    def take(self, rows: pa.RecordBatchReader) -> None:
        """Put rows aside; those of a batch are sorted together."""
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.OSFile(str(self._path), "wb") as file:
            for batch in rows:
                some = sorted_rows(pa.Table.from_batches([batch]).cast(self._model.schema), self._model)
                self._places.append([])
                for start in range(0, some.num_rows, _ROWS_ASIDE):
                    self._places[-1].append(file.tell())
                    with pa.ipc.new_stream(file, some.schema, options=options) as writer:
                        writer.write_table(some.slice(start, _ROWS_ASIDE))

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Give the rows in order; they are read once."""
        with pa.OSFile(str(self._path), "rb") as file:
            for some in merged([self._sorted(file, places) for places in self._places], self._model, bottom=True):
                yield from zip(*(column.to_pylist() for column in some.columns), strict=True)

    def _sorted(self, file: pa.NativeFile, places: Iterable[int]) -> Iterator[pa.Table]:
        for place in places:
            file.seek(place)
            yield pa.ipc.open_stream(file).read_all()


def _rows(session: Session, query: str) -> Iterator[tuple[Any, ...]]:
    """Give the rows of a query, as they are asked for."""
    found = session.query(query)
    while some := found.fetchmany(_ROWS_AT_ONCE):
        yield from some


class _Beside:
    """Rows in the order of references, which come first in them; they are passed through once."""

    def __init__(self, rows: Iterator[tuple[Any, ...]]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def of(self, ref: str) -> list[tuple[Any, ...]]:
        """Return the rows of a reference, which lies behind the last one, without it."""
        found = []
        while self._next is not None and self._next[0] <= ref:
            if self._next[0] == ref:
                found.append(self._next[1:])
            self._next = next(self._rows, None)
        return found


def documents_since(session: Session, version: int) -> tuple[set[str], list[Document]]:
    """Return the keys of what changed since a version, and the documents that they have now.

    Of items only rows of the journal are read, as a rule those that a handle has in memory.
    """
    parts = list(session.committed().parts(MANIFESTS_SCHEMA.names, version))
    if not parts:
        return set(), []
    rows = pa.concat_tables(parts)
    newest: dict[tuple[str, str], int] = {}
    runs: set[str] = set()
    columns = (rows.column(name).to_pylist() for name in ("op", "folio", "item", "run_id"))
    for number, (op, folio, item, run_id) in enumerate(zip(*columns, strict=True)):
        if op in ("put", "delete") and folio is not None and item is not None:
            newest[folio, item] = number
        elif op == "run" and run_id is not None:
            runs.add(run_id)
    keys = {f"{folio}:{item}" for folio, item in newest} | runs
    found = [one for one in run_documents(session) if one.ref in runs] if runs else []
    kept = rows.take(pa.array(sorted(newest.values()), pa.int64()))
    live = [row["op"] == "put" and not row["archived"] for row in kept.select(["op", "archived"]).to_pylist()]
    kept = session.journal.with_contents(kept.filter(pa.array(live, pa.bool_())))
    described = session.store.parallel([partial(_of_row, session, row) for row in kept.to_pylist()])
    return keys, [*found, *described]


def _of_row(session: Session, row: Mapping[str, Any]) -> Document:
    """Return the document of a row of the journal."""
    text = None
    name, media_type = str(_mapping(row["details"]).get("filename") or row["item"]), row["media_type"]
    if row["kind"] in _TEXT_KINDS and row["storage"] == "inline":
        text = _inline(row["content"], "" if row["kind"] == "json" else name, media_type)
    elif row["kind"] in _TEXT_KINDS and row["storage"] == "blob" and (row["stored_bytes"] or 0) <= _BLOB_BYTES:
        file = name, media_type
        if _has_text(row["kind"], *file):
            text = _of_file(session, row, row["kind"], *file)[1]
    facts = [(one["key"], _plain(one["value"])) for one in row["facts"] or () if one["value"] is not None]
    return _item(row, facts, text)


def item_documents(session: Session, ids: Collection[str]) -> Iterator[Document]:
    """Give the documents of some live entries, in the order of their references."""
    if not ids:
        return
    few = len(ids) <= _FEW

    def rows(query: str) -> Iterator[tuple[Any, ...]]:
        if not few:
            yield from _rows(session, query)
            return
        wanted = " and " if " where " in query or "\nwhere" in query else " where "
        body, order, ending = query.partition(" order by ")
        asked = f"{body}{wanted}entry_id in (select unnest($ids)){order}{ending}"
        yield from session.query(asked, {"ids": sorted(ids)}).fetchall()

    facts: dict[str, list[tuple[str, str]]] = {}
    for entry_id, key, value in rows(_FACTS):
        facts.setdefault(entry_id, []).append((key, _plain(value)))
    contents = {entry_id: _inline(*row) for entry_id, *row in rows(_CONTENT)}
    contents |= _of_files(session, (row for row in _rows(session, _FILES) if row[0] in ids))
    for row in rows(f"{_ITEMS} order by {_REF}"):
        if (entry_id := row[2]) in ids:
            yield _item(
                dict(zip(_ITEM_COLUMNS, row, strict=True)), facts.pop(entry_id, ()), contents.pop(entry_id, None)
            )


def _item(row: Mapping[str, Any], facts: Iterable[tuple[str, str]], text: str | None) -> Document:
    """Return the document of an item, given as a row of ``manifests``, its metadata and the text of its content."""
    folio, item, kind = (row[name] for name in ("folio", "item", "kind"))
    author, description, digest = (row[name] for name in ("author", "description", "blob_digest"))
    texts = [("name", item), ("folio", folio), ("kind", kind or "")]
    named = tuple(tag for tag in row["tags"] or () if tag)
    texts += [("tag", tag) for tag in named]
    texts += [("description", description)] if description else []
    texts += [("author", author)] if author else []
    texts += [("metadata", f"{key} {value}") for key, value in sorted(facts)]
    texts += [("column", column) for column in _columns(row["details"] if kind in ("table", "records") else None)]
    if text is not None:
        texts.append(("content", text))
    blob = (digest, row["generation"] or 0) if digest else None
    ref = f"{folio}:{item}@{row['version']}"
    return Document(row["entry_id"], "item", ref, item, tuple(texts), folio, kind, author, named, description, blob)


def run_documents(session: Session) -> Iterator[Document]:
    """Give the documents of all runs, in the order of their ids."""
    return map(_run, _rows(session, _RUNS))


def _run(row: tuple[Any, ...]) -> Document:
    """Return the document of a run, given as a row of the query."""
    run_id, name, project, model, kind, status, author, description, tags, error_type, error, params, _ = row
    named = {"name": name or run_id, "project": project, "model": model, "kind": kind, "status": status}
    named |= {"author": author, "description": description}
    texts = [(field, str(value)) for field, value in named.items() if value]
    texts += [("kind", "run"), *([("name", run_id)] if name else [])]
    texts += [("error", f"{error_type or ''} {error or ''}".strip()[:_TEXT_LIMIT])] if error_type or error else []
    known = hashlib.sha256(repr(row).encode()).hexdigest()[:16]
    tags = tuple(tag for tag in tags or () if tag)
    texts += [("tag", tag) for tag in tags]
    texts += [("param", f"{key} {_plain(json.dumps(value))}") for key, value in _mapping(params).items()]
    return Document(
        f"{run_id} {known}",
        "run",
        run_id,
        name or run_id,
        tuple(texts),
        project,
        "run",
        author,
        tags,
        description,
        status=status,
    )


def _plain(value: str) -> str:
    """Return JSON as a text of its words."""
    return value.strip('"')[:_TEXT_LIMIT]


def _mapping(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _columns(details: str | None) -> list[str]:
    found = _mapping(details).get("columns")
    if not isinstance(found, list):
        return []
    return [str(one["name"]) for one in found if isinstance(one, dict) and "name" in one]


def _inline(content: bytes | None, name: str, media_type: str | None) -> str | None:
    """Return the text of inline content; bytes without a name are text if they look so."""
    if not content:
        return None
    if is_text_like(name, media_type):
        return text_of(content, name, media_type)
    try:
        return None if b"\0" in content else bytes(content).decode()
    except UnicodeDecodeError:
        return None


def _of_files(session: Session, found: Iterable[tuple[Any, ...]]) -> dict[str, str | None]:
    """Return the texts of content in blobs, by entry."""
    readable = (row for row in found if _has_text(*row[3:]))
    named = {(folio, item): file for _, folio, item, *file in islice(readable, _BLOBS)}
    wanted = list(named)
    texts: dict[str, str | None] = {}
    for start in range(0, len(wanted), _READ_AT_ONCE):
        rows = session.committed().heads_of(wanted[start : start + _READ_AT_ONCE]).to_pylist()
        calls = [partial(_of_file, session, row, *named[row["folio"], row["item"]]) for row in rows]
        texts |= dict(session.store.parallel(calls))
    return texts


def _has_text(kind: str, name: str, media_type: str | None) -> bool:
    return kind == "json" or is_text_like(name, media_type)


def _of_file(
    session: Session, row: Mapping[str, Any], kind: str, name: str, media_type: str | None
) -> tuple[str, str | None]:
    """Return an entry and the text of its blob; one that is missing or damaged has none."""
    entry_id = str(row["entry_id"])
    if kind == "json" and (row["stored_bytes"] or 0) > JSON_BYTES:
        return entry_id, None
    try:
        body = session.blobs.source(entry_from_row(row)).read()
    except (IntegrityError, NotFoundError):  # `check` tells of damage
        return entry_id, None
    return entry_id, text_of(body, "value.json" if kind == "json" else name, media_type)
