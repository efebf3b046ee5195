"""Datasets: collections of items under one name (FORMAT.md, "Datasets").

A dataset is the folio ``datasets/<name>``. Its members are entries of their own with the content of others, made from
exactly those; so versions, snapshots, lineage, gc and SQL know datasets without being told of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import AlreadyExistsError, InvalidInputError, NotFoundError, nearest
from lakefolio.format.names import check_folio, check_item, new_id, parse_ref
from lakefolio.model.changes import Annotate, Change, Delete, Put
from lakefolio.model.entries import Entry
from lakefolio.query.compiler import Compiler
from lakefolio.query.conditions import Q
from lakefolio.query.result import QueryResult
from lakefolio.render import html
from lakefolio.render.text import counted, format_bytes
from lakefolio.session.annotations import Annotations, check_tags, check_text, metadata_texts
from lakefolio.session.record_tables import marked
from lakefolio.terminal import visible

if TYPE_CHECKING:
    import pyarrow as pa

    from lakefolio.session.session import Session

__all__ = ["PREFIX", "Dataset", "Datasets", "create", "get", "listed"]

PREFIX: Final = "datasets/"


class Dataset(QueryResult):
    """A dataset as of one version of the lake; a :class:`QueryResult` whose items are its members.

    Attributes:
        name: Its name.
        folio: The folio it is.
        metadata: Its metadata, description and tags included.
    """

    _what = "members"

    def __init__(self, reader: Session, rows: pa.Table, name: str) -> None:
        super().__init__(reader, rows)
        self.name = name
        self.folio = PREFIX + name
        self.metadata = reader.metadata("folio", self.folio)

    @property
    def description(self) -> str | None:
        """One sentence that describes it."""
        return self.metadata.get("description")

    @property
    def tags(self) -> list[str]:
        """Words to find it by."""
        return list(self.metadata.get("tags") or [])

    @property
    def names(self) -> list[str]:
        """The names of the members."""
        return list(self._rows.column("name").to_pylist())

    @property
    def sources(self) -> dict[str, str]:
        """The members' names with the exact items they were taken from; those stored with the dataset are missing."""
        found = {}
        for entry in self:
            for edge in entry.inputs:
                folio, item = edge["input_folio"], edge["input_item"]
                if edge["role"] is None and folio is not None and item is not None:
                    past = self._reader.state().history(folio, item)
                    version = next((one.version for one in past if one.entry_id == edge["input_id"]), None)
                    found[entry.item] = f"{folio}:{item}@{version}"
        return found

    def __repr__(self) -> str:
        said = f": {self.description}" if self.description else ""
        return visible(f"dataset {self.name}{said}\n{super().__repr__()}")

    def _repr_html_(self) -> str:
        return html.block(
            html.heading("dataset", self.name, self.description or ""), html.Markup(super()._repr_html_())
        )


class Datasets(list[dict[str, Any]]):
    """The datasets of a lake: dicts with ``name description tags items size_bytes version``."""

    def __repr__(self) -> str:
        return visible("\n".join(map(self._line, self))) or "no datasets"

    @staticmethod
    def _line(one: dict[str, Any]) -> str:
        return f"{one['name']}  {counted(one['items'], 'item')}, {format_bytes(one['size_bytes'])}" + (
            f"  {one['description']}" if one["description"] else ""
        )

    def _repr_html_(self) -> str:
        names = ("name", "items", "size_bytes", "version", "tags", "description")
        return html.block(html.row_table(names, [[one[name] for name in names] for one in self], right=names[1:4]))


def create(
    session: Session,
    name: str,
    items: Iterable[object] | Mapping[str, object],
    *,
    description: str | None,
    tags: str | Iterable[str] | None,
    metadata: Mapping[str, object] | None,
    overwrite: bool,
) -> Dataset:
    """See ``Lake.create_dataset``."""
    session.check_writable()
    folio = _folio(name)
    said = dict(metadata or {}) | {
        "tags": list(check_tags(tags)),
        "description": check_text(description, "description"),
    }
    texts: dict[str, str] = dict(metadata_texts({key: value for key, value in said.items() if value}))
    members = _members(session, items)
    with session.batch(f"dataset {name}"):
        there = session.state().entries(folio)
        if there and not overwrite:
            raise AlreadyExistsError(
                f"dataset {name!r} exists", kind="dataset-exists", hint="pass overwrite=True, or choose another name"
            )
        gone: list[Change] = [Delete(folio, one.item) for one in there if one.item not in members]
        session.apply(Annotate("folio", folio, texts, clear=True), *gone)
        for member, one in members.items():
            if isinstance(one, Entry):
                session.apply(_taken(session, folio, member, one))
            else:
                session.put(folio, member, one, Annotations.of(overwrite=True))
    return get(session if session.in_batch else session.fixed(session.committed().version), name)


def get(reader: Session, name: str) -> Dataset:
    """See ``Lake.get_dataset``; ``reader`` is fixed to a version."""
    folio = _folio(name)
    if not reader.state().names(folio):
        raise NotFoundError(
            f"dataset {name!r} does not exist",
            kind="dataset-not-found",
            hint=nearest(name, [one.removeprefix(PREFIX) for one in reader.state().folios() if one.startswith(PREFIX)])
            or "there are no datasets",
            dataset=name,
        )
    asked = Compiler()
    asked.add(Q(folio=folio))
    return Dataset(reader, reader.query(asked.sql, asked.params).to_arrow_table(), name)


def listed(reader: Session) -> Datasets:
    """See ``Lake.datasets``."""
    found = Datasets()
    for folio in reader.state().folios():
        if folio.startswith(PREFIX):
            entries, said = reader.state().entries(folio), reader.metadata("folio", folio)
            found.append(
                {
                    "name": folio.removeprefix(PREFIX),
                    "description": said.get("description"),
                    "tags": said.get("tags") or [],
                    "items": len(entries),
                    "size_bytes": sum(one.size_bytes or 0 for one in entries),
                    "version": max(one.version for one in entries),
                }
            )
    return found


def _folio(name: object) -> str:
    if not isinstance(name, str):
        raise InvalidInputError(
            f"dataset name {name!r} is of type {type(name).__name__}, expected str", kind="bad-name", name=name
        )
    return check_folio(PREFIX + check_folio(name))


def _members(session: Session, items: Iterable[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """Return the members' names with entries, or with objects to be stored."""
    if isinstance(items, Mapping):
        found = {
            check_item(name): _entry(session, one) if isinstance(one, str | Entry) else one
            for name, one in items.items()
        }
    else:
        if isinstance(items, str | bytes) or not isinstance(items, Iterable):
            raise InvalidInputError(
                f"items={items!r:.80} is not a list of items",
                kind="bad-dataset",
                hint="write items=['folio:a', 'folio:b'], or a mapping of names to items or objects",
            )
        found = _named([_entry(session, one) for one in items])
    if not found:
        raise InvalidInputError(
            "a dataset needs at least one item", kind="bad-dataset", hint="the query it was made from found nothing?"
        )
    return found


def _named(entries: Sequence[Entry]) -> dict[str, Entry]:
    unlike = {(one.folio, one.item): one for one in entries}
    names = [one.item for one in unlike.values()]
    if len(set(names)) < len(names):
        names = [check_item(f"{one.folio}/{one.item}") for one in unlike.values()]
    found = dict(zip(names, unlike.values(), strict=True))
    if len(unlike) < len(entries) or len(found) < len(unlike):
        raise InvalidInputError(
            "two members would be called the same", kind="bad-dataset", hint="give a mapping of names to items"
        )
    return found


def _entry(session: Session, one: object) -> Entry:
    if isinstance(one, str):
        ref = parse_ref(one)
        if ref.folio is None:
            raise InvalidInputError(
                f"item reference {one!r} names no folio", kind="bad-ref", hint="write folio:name", ref=one
            )
        found = session.entry(ref.folio, ref.item, ref.at)
        if ref.at is None:
            found = marked(session, found)
    elif isinstance(one, Entry):
        found = one
    else:
        raise InvalidInputError(
            f"{type(one).__name__} {one!r:.60} is neither a reference nor an entry",
            kind="bad-dataset",
            hint="objects are stored under names: give a mapping",
        )
    if found.storage != "reference":
        session.blobs.source(found)  # raises if gc purged it
    return found


def _taken(session: Session, folio: str, member: str, source: Entry) -> Put:
    """Make the change that adds an entry with the content and words of another, made from that one."""
    return Put(
        folio=folio,
        item=member,
        stored=session.stored(source),
        entry_id=new_id(),
        description=source.description,
        tags=source.tags,
        inputs=(source.ref,),
        metadata=metadata_texts(session.metadata_of(source)),
        overwrite=True,
    )
