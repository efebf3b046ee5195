"""The result of a query: items of one state of the lake, as entries, as frames, and with their content."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, overload

import pyarrow as pa

from lakefolio.errors import InvalidInputError, NotFoundError, UnsupportedTypeError, nearest
from lakefolio.process.facade import facade
from lakefolio.process.workers import Workers
from lakefolio.render import html
from lakefolio.render.report import AsFrames
from lakefolio.render.text import counted, format_bytes
from lakefolio.terminal import visible

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from lakefolio.model.entries import Entry
    from lakefolio.session.session import Session

__all__ = ["Content", "QueryResult"]

_THREADS: Final = 8
_KEYS_LIMIT: Final = 256
_SHOWN: Final = 20
_PAGE: Final = 1_000


@facade({})
class QueryResult(AsFrames, Sequence["Entry"]):
    """The items that a query found, in its order: a sequence of entries, all of one version of the lake.

    Later commits change neither the entries nor their content.

    Attributes:
        version: The lake version they were found at.
    """

    _what = "found"

    def __init__(self, reader: Session, rows: pa.Table) -> None:
        """Wrap the rows of a query of :mod:`lakefolio.query.compiler`; ``reader`` is fixed to a version."""
        self._reader = reader
        self._rows = rows
        self.version = reader.committed().version

    # -- entries -------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return int(self._rows.num_rows)

    def __bool__(self) -> bool:
        return len(self) > 0

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...

    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        if isinstance(index, slice):
            return list(self._entries(range(len(self))[index]))
        return self._entry(range(len(self))[index])

    def __iter__(self) -> Iterator[Entry]:
        return self._entries(range(len(self)))

    def _entry(self, number: int) -> Entry:
        ((folio, item),) = self._names(range(number, number + 1))
        return self._reader.entry(folio, item)

    def _entries(self, numbers: range) -> Iterator[Entry]:
        """Yield entries, of which a page is looked up at once."""
        for start in range(0, len(numbers), _PAGE):
            names = self._names(numbers[start : start + _PAGE])
            for name, entry in self._reader.unwatched_committed().entries_called(names).items():
                self._reader.looked_up(*name, entry)
                yield entry

    def _names(self, numbers: range) -> list[tuple[str, str]]:
        """Return the folios and names of some of the items."""
        some = self._rows.select(["folio", "name"]).take(pa.array(numbers, pa.int64()))
        return list(zip(*(column.to_pylist() for column in some.columns), strict=True))

    @property
    def refs(self) -> list[str]:
        """The exact references: ``folio:name@version``."""
        return list(self._rows.column("ref").to_pylist())

    # -- their facts --------------------------------------------------------------------------------------

    def to_arrow(self) -> pa.Table:
        """Return the facts about the items as a pyarrow table.

        Columns: ref, folio, name, kind, created_at, version, size_bytes, row_count, description, tags, author, run_id,
        uri, digest, entry_id, archived; then ``metadata.<key>`` for each key that any of them has (the first 256), of
        the type that all of its values have, else as JSON text. Grain: one row per item.
        """
        return self._with_metadata

    @property
    def _with_metadata(self) -> pa.Table:
        ids = self._rows.column("entry_id").to_pylist()
        noted = self._reader.query(
            "select entry_id, key, value from item_metadata"
            " where entry_id in (select unnest($ids)) group by all order by key",
            {"ids": ids},
        ).fetchall()
        by_key: dict[str, dict[str, str]] = {}
        for entry_id, key, value in noted:
            if key in by_key or len(by_key) < _KEYS_LIMIT:
                by_key.setdefault(key, {})[entry_id] = value
        table = self._rows
        for key, values in by_key.items():
            table = table.append_column(f"metadata.{key}", _column([values.get(one) for one in ids]))
        return table

    # -- their content -------------------------------------------------------------------------------------

    def get(self, ref: str | int, **options: object) -> Any:
        """Return the object of one item, verified.

        Args:
            ref: Its name, if no other item found is called so; ``folio:name``; the exact reference; or its number.
            **options: As for ``Lake.get``.

        Raises:
            NotFoundError: Nothing found is called so.
        """
        return self._loaded([self._entry(self._number(ref))], lambda entry: self._reader.load(entry, **options))[0]

    def objects(self, **options: object) -> dict[str, Any]:
        """Return the objects of all items, verified, by exact reference; read several at a time.

        The first failure is raised and nothing returned.
        """
        loaded = self._loaded(list(self), lambda entry: self._reader.load(entry, **options))
        return dict(zip(self.refs, loaded, strict=True))

    @property
    def content(self) -> Content:
        """The content of the tables among the items, as one table."""
        return Content(self)

    def _number(self, ref: str | int) -> int:
        if isinstance(ref, int):
            if not -len(self) <= ref < len(self):
                raise NotFoundError(f"there is no item {ref}: {counted(len(self), 'item')} were found", item=str(ref))
            return range(len(self))[ref]
        if not isinstance(ref, str):
            raise UnsupportedTypeError(f"get() got {ref!r:.60}, expected the name of an item or its number")
        called = self._names(range(len(self)))
        named = [f"{folio}:{item}" for folio, item in called]
        for names in (self.refs, named, [item for _, item in called]):
            if names.count(ref) == 1:
                return names.index(ref)
            if ref in names:
                raise InvalidInputError(
                    f"{names.count(ref)} of the items found are called {ref!r}",
                    kind="ambiguous-name",
                    hint="name the folio too: " + ", ".join(one for one in named if one.endswith(f":{ref}"))[:200],
                    item=ref,
                )
        raise NotFoundError(
            f"item {ref!r} is not among the {len(self)} {self._what}",
            kind="item-not-found",
            hint=nearest(ref, named),
            item=ref,
        )

    def _loaded(self, entries: list[Entry], load: Callable[[Entry], Any]) -> list[Any]:
        if not entries:
            return []
        with Workers(min(_THREADS, len(entries)), "lakefolio-load") as workers:
            loaded = workers.map(load, entries)
        self._reader.was_read(*entries)
        return loaded

    # -- faces ---------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        lines = [f"{counted(len(self), 'item')} at version {self.version}"]
        lines += [f"  {ref}  {kind}" for ref, kind, *_ in self._cells()]
        more = len(self) - _SHOWN
        return visible("\n".join([*lines, *([f"  … and {more:,} more"] if more > 0 else [])]))

    def _repr_html_(self) -> str:
        return html.block(
            html.heading(self._what, counted(len(self), "item"), f"version {self.version}"),
            html.row_table(
                ("item", "kind", "created", "size", "rows", "tags", "description"),
                self._cells(),
                right=("size", "rows"),
                total=len(self),
            ),
        )

    def _cells(self) -> list[tuple[Any, ...]]:
        return [
            (
                row["ref"],
                row["kind"],
                row["created_at"],
                None if row["size_bytes"] is None else format_bytes(row["size_bytes"]),
                row["row_count"],
                row["tags"] or None,
                row["description"],
            )
            for row in self._rows.slice(0, _SHOWN).to_pylist()
        ]


@facade({})
class Content:
    """The content of the tables among some items, one below the other; other items are left out.

    A column that only some tables have is missing (null) in the rows of the others. All methods raise InvalidInputError
    of kind ``no-tables`` if no item is a table, and of kind ``unlike-tables`` if a column's types can't be united.
    """

    def __init__(self, found: QueryResult) -> None:
        self._found = found
        self.entries = [entry for entry in found if entry.kind == "table"]

    def to_arrow(self) -> pa.Table:
        """Return the rows as a pyarrow table."""
        return self._joined("arrow", lambda tables: pa.concat_tables(tables, promote_options="permissive"))

    def to_polars(self) -> pl.DataFrame:
        """Return the rows as a polars frame."""
        import polars as pl

        found: pl.DataFrame = self._joined("polars", lambda frames: pl.concat(frames, how="diagonal_relaxed"))
        return found

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows as a pandas frame; each keeps its index."""
        import pandas as pd

        return self._joined("pandas", pd.concat)

    def _joined(self, form: str, join: Callable[[list[Any]], Any]) -> Any:
        found = self._found
        if not self.entries:
            raise InvalidInputError(
                f"of {counted(len(found), 'item')} {found._what} none is a table",
                kind="no-tables",
                hint="objects() gives any",
            )
        parts = found._loaded(self.entries, lambda entry: found._reader.load(entry, as_=form))
        if len(parts) == 1:
            return parts[0]
        try:
            return join(parts)
        except Exception as exc:  # each library has its own for this, and all of them are about the schemas
            raise InvalidInputError(
                f"the {len(parts)} tables can't be put below one another: {exc}",
                kind="unlike-tables",
                hint="objects() gives them one by one",
            ) from exc


def _column(texts: list[str | None]) -> pa.Array:
    """Return JSON texts as a column of the type that all have and that tells each exactly, else as they are."""
    try:
        values = [None if text is None else _value(text) for text in texts]
    except (ValueError, RecursionError, ArithmeticError):
        return pa.array(texts, pa.string())
    kinds = {type(value) for value in values if value is not None}
    for wanted, kind in ((bool, pa.bool_()), (int, pa.int64()), (str, pa.string())):
        if kinds == {wanted}:
            try:
                return pa.array(values, kind)
            except (OverflowError, pa.ArrowInvalid):
                return pa.array(texts, pa.string())
    if kinds and kinds <= {int, float} and all(abs(one) <= 2**53 for one in values if type(one) is int):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if Decimal in kinds and kinds <= {int, Decimal}:
        try:
            return pa.array([None if value is None else Decimal(value) for value in values])
        except pa.ArrowInvalid:
            return pa.array(texts, pa.string())
    return pa.array(texts, pa.string())


def _value(text: str) -> Any:
    found = json.loads(text)
    is_decimal = isinstance(found, dict) and found.get("$type") == "decimal"
    return Decimal(found["value"]) if is_decimal and isinstance(found.get("value"), str) else found
