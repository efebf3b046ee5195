"""Documents as the rows of tables (pure): what an index is made of, whether it lies in memory or in the lake.

An index of very many documents takes columns, for which nothing is done once per document; whoever looks at a few
takes documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.search.document import Document
from lakefolio.search.parse import FIELDS

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "DOCUMENT_ROWS",
    "FIELD_CODES",
    "PLAIN_LIMIT",
    "VALUES",
    "Flat",
    "documents_of",
    "flat",
    "item_rows",
    "tables_of",
    "whole",
]

VALUES: Final = ("type", "ref", "name", "folio", "kind", "author", "description", "status")
"""The columns that hold one text of each document, or none."""

FIELD_CODES: Final = {field: number for number, field in enumerate(FIELDS)}
DOCUMENT_ROWS: Final = pa.schema(
    [
        ("id", pa.string()),
        *((name, pa.string()) for name in VALUES),
        ("blob_digest", pa.string()),
        ("generation", pa.int64()),
        ("tags", pa.list_(pa.string())),
        ("fields", pa.list_(pa.uint8())),
        ("texts", pa.list_(pa.string())),
    ]
)
"""A row for each document; ``texts`` are its texts, ``fields`` of each the number of its field."""

_TABLE_BYTES: Final = 1 << 20
PLAIN_LIMIT: Final = 4_000
"""The characters of a value of metadata, or of an error, that are searched."""


class Flat(NamedTuple):
    """Texts, one after the other.

    Attributes:
        ends: Where each begins, and the last one ends: one more than there are texts.
        body: All of them, in UTF-8.
    """

    ends: npt.NDArray[np.int32]
    body: npt.NDArray[np.uint8]


def whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return a column as one array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def flat(texts: pa.Array) -> Flat:
    """Return the texts of an array; none is an empty one."""
    if texts.null_count:
        texts = pc.fill_null(texts, "")
    if not len(texts):
        return Flat(np.zeros(1, np.int32), np.zeros(0, np.uint8))
    ends = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    body = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[ends[0] : ends[-1]]
    return Flat(ends - ends[0], body)


def list_ends(lists: pa.Array) -> npt.NDArray[np.int32]:
    """Return where each list of an array begins among the members of all, and the last one ends."""
    ends: npt.NDArray[np.int32] = lists.offsets.to_numpy()
    return ends - ends[:1]


def tables_of(documents: Iterable[Document]) -> Iterator[pa.Table]:
    """Give documents as tables, of about a megabyte of texts each."""
    waiting: list[Document] = []
    size = 0
    for one in documents:
        waiting.append(one)
        size += 32 + sum([len(text) for _, text in one.texts])
        if size > _TABLE_BYTES:
            yield _table(waiting)
            waiting, size = [], 0
    if waiting:
        yield _table(waiting)


def _table(documents: Sequence[Document]) -> pa.Table:
    columns: dict[str, Any] = dict(zip(Document._fields, zip(*documents, strict=True), strict=True))
    texts, digests = columns.pop("texts"), columns.pop("digest")
    columns["blob_digest"] = [one and one[0] for one in digests]
    columns["generation"] = [one and one[1] for one in digests]
    columns = {name: pa.array(values, DOCUMENT_ROWS.field(name).type) for name, values in columns.items()}
    sizes, said = list(map(len, texts)), list(chain.from_iterable(texts))
    columns["fields"] = _lists(sizes, pa.array([FIELD_CODES[field] for field, _ in said], pa.uint8()))
    columns["texts"] = _lists(sizes, _texts([text for _, text in said]))
    return pa.Table.from_pydict(columns, schema=DOCUMENT_ROWS)


def _texts(texts: Sequence[str]) -> pa.Array:
    """Return texts as an array; halves of characters, as JSON can have, are replaced."""
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:
        return pa.array([text.encode("utf-8", "replace").decode() for text in texts], pa.string())


def _lists(sizes: Sequence[int] | npt.NDArray[np.int64], values: pa.Array) -> pa.Array:
    ends = np.concatenate([[0], np.cumsum(np.asarray(sizes, np.int64))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), values)


def documents_of(rows: pa.Table) -> Iterator[Document]:
    """Give the documents of a table."""
    for one in rows.to_pylist():
        digest, generation = one.pop("blob_digest"), one.pop("generation")
        texts = tuple(zip(map(FIELDS.__getitem__, one.pop("fields")), one.pop("texts"), strict=True))
        tags = tuple(one.pop("tags"))
        yield Document(texts=texts, tags=tags, digest=(digest, generation or 0) if digest else None, **one)


def item_rows(items: pa.Table, facts: pa.Table, columns: Mapping[int, Sequence[str]], texts: pa.Table) -> pa.Table:
    """Return the documents of items.

    Args:
        items: As ``manifests`` has them; at most 65,536.
        facts: Their metadata: ``entry_id``, ``key`` and ``value``, which is JSON; others' is passed over.
        columns: The column names of some items, given by their place.
        texts: The text of their content: ``entry_id`` and ``text``; others' is passed over.
    """
    given = {name: whole(items.column(name)) for name in items.column_names}
    ids, names, folios = given["entry_id"], given["item"], given["folio"]
    every = np.arange(len(items), dtype=np.uint16)
    tags = given["tags"].flatten()
    tagged = pc.list_parent_indices(given["tags"]).to_numpy().astype(np.uint16)
    kept = pc.fill_null(pc.not_equal(tags, ""), False)
    tags, tagged = tags.filter(kept), tagged[kept.to_numpy(zero_copy_only=False)]
    parts: list[tuple[str, npt.NDArray[np.uint16], pa.Array]] = [
        ("name", every, names),
        ("folio", every, folios),
        ("kind", every, pc.fill_null(given["kind"], "")),
        ("tag", tagged, tags),
    ]
    for name in ("description", "author"):
        said = pc.fill_null(pc.not_equal(given[name], ""), False)
        parts.append((name, every[said.to_numpy(zero_copy_only=False)], given[name].filter(said)))
    parts.append(("metadata", *_facts(facts, ids)))
    named = list(chain.from_iterable(columns.values()))
    places = np.repeat(np.fromiter(columns, np.uint16, len(columns)), list(map(len, columns.values())))
    parts.append(("column", places, _texts(named)))
    place = pc.index_in(whole(texts.column("entry_id")), value_set=ids)
    known = place.is_valid()
    parts.append(("content", _places(place), whole(texts.column("text")).filter(known)))
    places = np.concatenate([one for _, one, _ in parts])
    order = np.argsort(places, kind="stable")
    codes = np.repeat(
        np.array([FIELD_CODES[name] for name, _, _ in parts], np.uint8), [len(one) for _, one, _ in parts]
    )
    sizes = np.bincount(places, minlength=len(items))
    made = {name: given[name] for name in ("kind", "author", "description", "blob_digest", "generation")} | {
        "id": ids,
        "type": pa.repeat(pa.scalar("item"), len(items)),
        "ref": pc.binary_join_element_wise(
            pc.binary_join_element_wise(folios, names, ":"), given["version"].cast(pa.string()), "@"
        ),
        "name": names,
        "folio": folios,
        "status": pa.nulls(len(items), pa.string()),
        "tags": _lists(np.bincount(tagged, minlength=len(items)), tags),
        "fields": _lists(sizes, pa.array(codes[order])),
        "texts": _lists(sizes, pa.concat_arrays([one for *_, one in parts]).take(pa.array(order))),
    }
    return pa.Table.from_pydict(made, schema=DOCUMENT_ROWS)


def _places(found: pa.Array) -> npt.NDArray[np.uint16]:
    places: npt.NDArray[np.uint16] = found.drop_null().to_numpy().astype(np.uint16)
    return places


def _facts(facts: pa.Table, ids: pa.Array) -> tuple[npt.NDArray[np.uint16], pa.Array]:
    """Return of the metadata of entries the place of each and its text: in the order of keys, then of values."""
    found = pc.index_in(whole(facts.column("entry_id")), value_set=ids)
    facts, places = facts.filter(found.is_valid()), _places(found)
    keys, texts = whole(facts.column("key")), _plain_json(whole(facts.column("value")))
    if len(np.unique(places)) < len(places):
        some = pa.table({"place": pa.array(places), "key": keys, "text": texts})
        some = some.sort_by([(name, "ascending") for name in some.column_names])
        places, keys, texts = some.column("place").to_numpy(), whole(some.column("key")), whole(some.column("text"))
    return places, pc.binary_join_element_wise(keys, texts, " ")


def _plain_json(values: pa.Array) -> pa.Array:
    """Return JSON as texts of its words."""
    return pc.utf8_slice_codeunits(pc.utf8_trim(values, characters='"'), 0, PLAIN_LIMIT)
