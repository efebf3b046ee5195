"""Items as relations of SQL: ``select * from "folio:name"``, or ``"folio:name@version"``.

A name with a colon in SQL is an item, unless it is an address; no view has such a name. A stored table is scanned from
its verified local Parquet file, of which DuckDB reads the columns and row groups that a query needs. SQL gets the rows,
never the file: the connection stays kept from files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefolio.errors import InvalidInputError, brief
from lakefolio.items.arrow_nested import with_children
from lakefolio.views.arrow_relation import relation_of
from lakefolio.views.bounded_json import shallow as bounded

if TYPE_CHECKING:
    import duckdb

__all__ = ["ItemContent", "ItemRows", "ItemTables"]

ItemContent = tuple[str, Callable[[], Any]]
"""The id of an item's present entry, and the function that loads its rows: an Arrow dataset or table."""

_DECIMAL_DIGITS = 38

ItemRows = Callable[[str], ItemContent]
"""Gives an item by its reference; NotFoundError if there is none, InvalidInputError if it is no table."""


class ItemTables:
    """The items that are relations of one connection, which is fixed to one version of the lake. Bound once each."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._bound: dict[str, tuple[str, bool]] = {}
        self._entries: dict[str, str] = {}

    def fit(self, entries: Mapping[str, str]) -> bool:
        """Say whether no item is bound as another entry than these, as one is that an open batch changed since."""
        return all(self._entries.get(name, entry) == entry for name, entry in entries.items())

    def are_any(self) -> bool:
        """Say whether an item is bound."""
        return bool(self._bound)

    def bind(self, name: str, entry: str, load: Callable[[], Any], *, shallow: bool = False) -> None:
        """Make an item a relation of its reference.

        Args:
            name: The reference, as it is written.
            entry: Which entry it is.
            load: Gives its rows.
            shallow: Whether its texts must be nested no deeper than DuckDB's functions can take; its text columns are
                read whole for this.

        Raises:
            InvalidInputError: kind ``sql``: another item's name differs in case alone, or a column is one that DuckDB
                can't read.
        """
        found = self._bound.get(name.lower())
        if found is not None and found[0] != name:
            raise InvalidInputError(
                f"SQL can't tell the items {found[0]!r} and {name!r} apart: it has no upper and lower case",
                kind="sql",
                hint="read one of them with lake.get",
            )
        if found is not None and (found[1] or not shallow):
            return
        content = load()
        content = _readable(name, content)
        if shallow:
            content = bounded(name, content if isinstance(content, pa.Table) else content.to_table())
        relation_of(self._connection, content).create_view(name)
        self._bound[name.lower()] = (name, shallow)
        self._entries[name] = entry


def _readable(name: str, content: Any) -> Any:
    """Return rows in types that DuckDB reads: float16 as float32, and decimals and durations as long as they fit."""
    from lakefolio.views.arrow_types import has_zoned_nanoseconds, is_cut  # imports DuckDB

    for number, field in enumerate(content.schema):
        reason = "is called by a name that holds a NUL" if "\0" in field.name else None
        if has_zoned_nanoseconds(field.type):
            read = content if isinstance(content, pa.Table) else content.to_table(columns=[field.name])
            if is_cut(read.column(field.name)):
                reason = f"of the type {field.type} holds nanoseconds, which DuckDB cuts off"
        wanted = field.type if reason else _known(field.type)
        if wanted != field.type:
            content = content if isinstance(content, pa.Table) else content.to_table()
            try:
                column = content.column(number).cast(wanted)
            except (pa.ArrowException, OverflowError) as exc:
                reason = f"of the type {field.type} holds what DuckDB can't: {brief(exc)}"
            else:
                content = content.set_column(number, field.with_type(wanted), column)
        if reason:
            message = f"SQL can't read item {name!r}: its column {field.name!r} {reason}"
            raise InvalidInputError(message, kind="sql", hint="read it with lake.get", column=field.name)
    return content


def _known(kind: pa.DataType) -> pa.DataType:
    """Return a type that DuckDB reads in place of one that it does not; the same otherwise."""
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_decimal256(kind):
        return pa.decimal128(38, kind.scale) if kind.scale <= _DECIMAL_DIGITS else kind
    if pa.types.is_duration(kind) and kind.unit in ("s", "ms"):
        return pa.duration("us")
    return with_children(kind, _known)
