"""Items as relations of SQL: ``select * from "folio:name"``, or ``"folio:name@version"``.

Whatever SQL names with a colon is an item, addresses apart; no view is called so. A stored table is scanned from its
verified local Parquet file, of which DuckDB reads the columns and row groups that a query needs. SQL gets the rows,
never the file: the connection stays kept from files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefolio.errors import InvalidInputError
from lakefolio.views.shallow import shallow as bounded

if TYPE_CHECKING:
    import duckdb

__all__ = ["ItemContent", "ItemRows", "ItemTables"]

ItemContent = tuple[str, Callable[[], Any]]
"""Which entry an item is now, and what loads its rows: an Arrow dataset or table."""

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

    def bind(self, name: str, entry: str, load: Callable[[], Any], *, shallow: bool = False) -> None:
        """Make an item a relation of its reference.

        Args:
            name: The reference, as it is written.
            entry: Which entry it is.
            load: Gives its rows.
            shallow: Whether its texts must be nested no deeper than DuckDB's functions can take; its text columns are
                read whole for this.

        Raises:
            InvalidInputError: kind ``sql``: another item's name differs in case alone, or a column's holds a NUL.
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
        if broken := next((column for column in content.schema.names if "\0" in column), None):
            raise InvalidInputError(
                f"SQL can't read item {name!r}: its column {broken!r} holds a NUL",
                kind="sql",
                hint="read it with lake.get",
            )
        if shallow:
            content = bounded(name, content if isinstance(content, pa.Table) else content.to_table())
        self._connection.from_arrow(content).create_view(name)
        self._bound[name.lower()] = (name, shallow)
        self._entries[name] = entry
