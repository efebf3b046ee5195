"""What is searched of a lake at a version: the documents of items and of runs.

Searched are names, folios, kinds, descriptions, tags, metadata, authors and column names of the live items that
are not archived; the text of JSON and of files that have some (see ``texts``); and of runs name, project, model,
type, status, description, tags, parameters and error.

Writers pay nothing for it: files in blobs are read, verified like all content, when they are indexed. Of those that are
met at once the newest ``_BLOBS`` are read.

All documents of a lake come one after the other, made of rows that are put aside (``rows_aside``).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.errors import IntegrityError, NotFoundError
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.model.entries import entry_from_row
from lakefolio.process.scratch import scratch_folder
from lakefolio.search.document import Document
from lakefolio.search.document_rows import PLAIN_LIMIT, documents_of, item_rows, tables_of
from lakefolio.search.rows_aside import RowsAside, RowsBeside
from lakefolio.search.texts import is_text_like, text_of

if TYPE_CHECKING:
    from lakefolio.session.session import Session

__all__ = ["JSON_BYTES", "all_documents", "documents_since", "heads", "item_documents", "run_documents"]

_FEW: Final = 2_000
_TEXT_KINDS: Final = ("json", "artifact")
_BLOB_BYTES: Final = 8 << 20
JSON_BYTES: Final = 64 << 10
"""JSON values up to this size are searched: their first ``texts.LIMIT`` characters."""

_BLOBS: Final = 5_000
_READ_AT_ONCE: Final = 16
_ROWS_AT_ONCE: Final = 10_000
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
_FACT_COLUMNS: Final = dict.fromkeys(("entry_id", "key", "value"), pa.string())
_CONTENT_COLUMNS: Final = {
    "entry_id": pa.string(),
    "content": pa.binary(),
    **dict.fromkeys(("name", "media_type"), pa.string()),
}
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
select {_ITEM} as ref, subject_id as entry_id, key, value from current_metadata
where subject_kind = 'entry' and folio is not null and item is not null and value is not null
"""
_CONTENT_OF: Final = f"""
select {_REF} as ref, entry_id, content, {_FILE_NAME} as name, media_type from items
where folio is not null and storage = 'inline' and kind in {_TEXT_KINDS} and not archived
"""
_ASIDE: Final = {
    f"select {_REF} as ref, * from ({_ITEMS})": {"ref": pa.string(), **_ITEM_COLUMNS},
    _FACTS_OF: {"ref": pa.string(), **_FACT_COLUMNS},
    _CONTENT_OF: {"ref": pa.string(), **_CONTENT_COLUMNS},
    _RUNS: _RUN_COLUMNS,
}
"""The queries whose rows are put aside, sorted by their first column, and the columns of each."""


def heads(session: Session) -> set[str]:
    """Return the entries that are searched."""
    return {row[0] for row in session.query(_HEADS).fetchall()}


def all_documents(session: Session) -> Iterator[pa.Table]:
    """Give all documents in the order of their references; a few are held at once, whatever the lake's size.

    Raises:
        StorageError: kind ``no-scratch``: no temporary files can be made.
    """
    folder = scratch_folder("lakefolio-documents-")
    try:
        asides = [RowsAside(folder / str(number), columns) for number, columns in enumerate(_ASIDE.values())]
        for aside, query in zip(asides, _ASIDE, strict=True):
            aside.take(session.query(query).to_arrow_reader(_ROWS_AT_ONCE))
        items, facts, contents, runs = map(iter, asides)
        run_rows = (documents for some in runs for documents in tables_of(map(_run, _each(some))))
        yield from _merged(_all_items(session, items, RowsBeside(facts), RowsBeside(contents)), RowsBeside(run_rows))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _all_items(
    session: Session, items: Iterator[pa.Table], facts: RowsBeside, contents: RowsBeside
) -> Iterator[pa.Table]:
    files = _of_files(session, _rows(session, _FILES))
    for some in items:
        ref, folio, item = (some.column(name)[-1].as_py() for name in ("ref", "folio", "item"))
        noted = facts.up_to(f"{folio}:{item}@")  # of all its entries: a join with items outgrows memory
        texts = pa.concat_tables([files, *map(_inline_texts, contents.up_to(ref))])
        yield _described(some, noted, texts)


def _merged(items: Iterable[pa.Table], runs: RowsBeside) -> Iterator[pa.Table]:
    """Give the documents of items and runs in the order of their references."""
    for rows in items:
        between = runs.up_to(rows.column("ref")[-1].as_py())
        yield pa.concat_tables([rows, *between]).sort_by("ref") if between else rows
    yield from runs.up_to(None)


def _rows(session: Session, query: str) -> Iterator[tuple[Any, ...]]:
    """Give the rows of a query, as they are asked for."""
    found = session.query(query)
    while some := found.fetchmany(_ROWS_AT_ONCE):
        yield from some


def _each(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in rows.columns), strict=True)


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
    texts = session.store.parallel([partial(_text_of_row, session, row) for row in kept.to_pylist()])
    facts = [
        (row["entry_id"], one["key"], one["value"])
        for row in kept.select(["entry_id", "facts"]).to_pylist()
        for one in row["facts"] or ()
        if one["value"] is not None
    ]
    return keys, [*found, *_documents(kept, [_of_rows(facts, _FACT_COLUMNS)], _texts_of(texts))]


def _text_of_row(session: Session, row: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return the entry of a row of the journal and the text of its content."""
    text = None
    name, media_type = str(_mapping(row["details"]).get("filename") or row["item"]), row["media_type"]
    if row["kind"] in _TEXT_KINDS and row["storage"] == "inline":
        text = _inline(row["content"], "" if row["kind"] == "json" else name, media_type)
    elif row["kind"] in _TEXT_KINDS and row["storage"] == "blob" and (row["stored_bytes"] or 0) <= _BLOB_BYTES:
        file = name, media_type
        if _has_text(row["kind"], *file):
            text = _of_file(session, row, row["kind"], *file)[1]
    return row["entry_id"], text


def item_documents(session: Session, ids: Collection[str]) -> Iterator[Document]:
    """Give the documents of some live entries, in the order of their references."""
    if not ids:
        return
    few = len(ids) <= _FEW
    wanted = pa.array(sorted(ids), pa.string())

    def table(query: str, columns: Mapping[str, pa.DataType]) -> pa.Table:
        schema = pa.schema(list(columns.items()))
        if few:
            body, order, ending = query.partition(" order by ")
            where = " and " if " where " in query or "\nwhere" in query else " where "
            query = f"{body}{where}entry_id in (select unnest($ids)){order}{ending}"
        batches = session.query(query, {"ids": sorted(ids)} if few else None).to_arrow_reader(_ROWS_AT_ONCE)
        some = (pa.Table.from_batches([batch]).cast(schema) for batch in batches)
        return pa.concat_tables(
            [schema.empty_table(), *(one.filter(pc.is_in(one["entry_id"], wanted)) for one in some)]
        )

    files = _of_files(session, (row for row in _rows(session, _FILES) if row[0] in ids))
    texts = pa.concat_tables([files, _inline_texts(table(_CONTENT, _CONTENT_COLUMNS))])
    yield from _documents(table(f"{_ITEMS} order by {_REF}", _ITEM_COLUMNS), [table(_FACTS, _FACT_COLUMNS)], texts)


def _documents(items: pa.Table, facts: Sequence[pa.Table], texts: pa.Table) -> Iterator[Document]:
    """Give the documents of items in turn, however many there are."""
    for start in range(0, items.num_rows, _ROWS_AT_ONCE):
        yield from documents_of(_described(items.slice(start, _ROWS_AT_ONCE), facts, texts))


def _described(items: pa.Table, facts: Sequence[pa.Table], texts: pa.Table) -> pa.Table:
    """Return the documents of items, their metadata and the texts of their content, see :func:`item_rows`."""
    tables = np.flatnonzero(pc.is_in(items.column("kind"), pa.array(["table", "records"])).to_numpy())
    details = items.column("details").take(pa.array(tables)).to_pylist()
    columns = {place: names for place, text in zip(tables.tolist(), details, strict=True) if (names := _columns(text))}
    named = pa.concat_tables([_of_rows([], _FACT_COLUMNS), *(one.select(list(_FACT_COLUMNS)) for one in facts)])
    return item_rows(items, named, columns, texts)


def _of_rows(rows: Sequence[tuple[Any, ...]], columns: Mapping[str, pa.DataType]) -> pa.Table:
    values = zip(*rows, strict=True) if rows else [()] * len(columns)
    return pa.table([pa.array(one, kind) for one, kind in zip(values, columns.values(), strict=True)], list(columns))


def _texts_of(texts: Iterable[tuple[str, str | None]]) -> pa.Table:
    """Return the texts of entries as a table, without those that have none."""
    return _of_rows([one for one in texts if one[1] is not None], dict.fromkeys(("entry_id", "text"), pa.string()))


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
    texts += [("error", f"{error_type or ''} {error or ''}".strip()[:PLAIN_LIMIT])] if error_type or error else []
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
    return value.strip('"')[:PLAIN_LIMIT]


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


def _inline_texts(rows: pa.Table) -> pa.Table:
    """Return the texts of inline content, given with entries, names and media types; most are plain JSON."""
    rows = rows.filter(pc.greater(pc.fill_null(pc.binary_length(rows.column("content")), 0), 0))
    types = [one for one in pc.unique(rows.column("media_type")).to_pylist() if not is_text_like("", one)]
    plain = pc.is_in(rows.column("media_type"), pa.array(types, pa.string()))
    plain = pc.and_not(plain, pc.match_substring(rows.column("name"), "."))
    some = rows.filter(plain).select(["entry_id", "content"])
    try:
        texts = some.set_column(1, "text", some.column("content").cast(pa.string()))
        texts = texts.filter(pc.invert(pc.match_substring(texts.column("text"), "\0")))
        rows = rows.filter(pc.invert(plain))
    except pa.ArrowInvalid:  # some are no text
        texts = _texts_of(())
    others = ((entry_id, _inline(*row)) for entry_id, *row in _each(rows.select(list(_CONTENT_COLUMNS))))
    return pa.concat_tables([texts, _texts_of(others)])


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


def _of_files(session: Session, found: Iterable[tuple[Any, ...]]) -> pa.Table:
    """Return the texts of content in blobs."""
    readable = (row for row in found if _has_text(*row[3:]))
    named = {(folio, item): file for _, folio, item, *file in islice(readable, _BLOBS)}
    wanted = list(named)
    texts: dict[str, str | None] = {}
    for start in range(0, len(wanted), _READ_AT_ONCE):
        rows = session.committed().heads_of(wanted[start : start + _READ_AT_ONCE]).to_pylist()
        calls = [partial(_of_file, session, row, *named[row["folio"], row["item"]]) for row in rows]
        texts |= dict(session.store.parallel(calls))
    return _texts_of(texts.items())


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
