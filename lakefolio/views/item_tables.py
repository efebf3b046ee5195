"""Items as relations of SQL: ``select * from "folio:name"``, or ``"folio:name@version"``.

Whatever SQL names with a colon is an item, addresses apart; no view is called so. A stored table is scanned from its
verified local Parquet file, of which DuckDB reads the columns and row groups that a query needs. SQL gets the rows,
never the file: the connection stays kept from files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefolio.errors import InvalidInputError
from lakefolio.views.shallow import shallow as bounded

if TYPE_CHECKING:
    import duckdb

__all__ = ["ItemRows", "ItemTables"]

ItemRows = Callable[[str], Any]
"""Gives the rows of an item by its reference: an Arrow dataset or table."""


class ItemTables:
    """The items that are relations of one connection, which is fixed to one version of the lake. Bound once each."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._bound: dict[str, tuple[str, bool]] = {}

    def bind(self, name: str, rows: ItemRows, *, shallow: bool = False) -> None:
        """Make an item a relation of its reference.

        Args:
            name: The reference, as it is written.
            rows: Gives its rows.
            shallow: Whether its texts must be nested no deeper than DuckDB's functions can take; its text columns are
                read whole for this.

        Raises:
            NotFoundError: There is no such item.
            InvalidInputError: It is no table; or kind ``sql``: another item's name differs in case alone.
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
        content = rows(name)
        if shallow:
            content = bounded(name, content if isinstance(content, pa.Table) else content.to_table())
        self._connection.from_arrow(content).create_view(name)
        self._bound[name.lower()] = (name, shallow)
