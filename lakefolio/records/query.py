"""Rows of a record table that a question asks for: filters and columns are pushed down to files and row groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.errors import InvalidInputError, nearest
from lakefolio.records.expressions import condition, condition_errors

if TYPE_CHECKING:
    import pyarrow.dataset as ds

__all__ = ["rows_of"]

_AT_LEAST: Final = 10_000


def rows_of(
    dataset: ds.Dataset,
    *,
    columns: Sequence[str] | str | None = None,
    where: str | None = None,
    order: Sequence[str] | str | None = None,
    limit: int | None = None,
) -> pa.Table:
    """Return rows of a dataset.

    Args:
        dataset: All rows.
        columns: Only these columns, in this order.
        where: Only rows of which this condition is true.
        order: The columns to sort by, ``-column`` for the largest first; nulls come last. Without it rows come in the
            order in which they were added, as far as nothing was replaced.
        limit: At most so many rows; with ``order`` memory is that of a few times as many.

    Raises:
        InvalidInputError: kind ``bad-condition`` or ``bad-option``.
    """
    schema = dataset.schema
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
        raise InvalidInputError(f"limit={limit!r} is no whole number from 0 on", kind="bad-option")
    wanted = None if columns is None else _named(schema, [columns] if isinstance(columns, str) else columns, "columns")
    keys = _keys(schema, [order] if isinstance(order, str) else order or ())
    expression = None if where is None else condition(where, schema).expression
    read = None if wanted is None else list(dict.fromkeys([*wanted, *(name for name, _ in keys)]))
    with condition_errors(where):
        scanner = dataset.scanner(columns=read, filter=expression)
        if not keys:
            rows = scanner.to_table() if limit is None else scanner.head(limit)
        elif limit is None:
            rows = scanner.to_table().sort_by(keys)
        else:
            rows = _first(scanner, keys, limit)
    return rows if wanted is None else rows.select(wanted)


def _first(scanner: ds.Scanner, keys: Sequence[tuple[str, str]], limit: int) -> pa.Table:
    """Return the first rows of an order, without all of them in memory."""
    kept = scanner.projected_schema.empty_table()
    for batch in scanner.to_batches():
        kept = pa.concat_tables([kept, pa.Table.from_batches([batch])])
        if kept.num_rows > 4 * limit + _AT_LEAST:
            kept = kept.take(pc.sort_indices(kept, sort_keys=keys)[:limit])
    return kept.take(pc.sort_indices(kept, sort_keys=keys)[:limit])


def _keys(schema: pa.Schema, order: Iterable[Any]) -> list[tuple[str, str]]:
    keys = []
    for one in order:
        falling = isinstance(one, str) and one.startswith("-") and one not in schema.names
        name = one[1:] if falling else one
        _named(schema, [name], "order")
        if pa.types.is_nested(schema.field(name).type):
            raise InvalidInputError(f"order={one!r}: a nested column has no order", kind="bad-option")
        keys.append((name, "descending" if falling else "ascending"))
    return keys


def _named(schema: pa.Schema, names: Iterable[Any], option: str) -> list[str]:
    found = list(names)
    for name in found:
        if not isinstance(name, str) or name not in schema.names:
            raise InvalidInputError(
                f"{option}: there is no column {name!r}",
                kind="bad-option",
                hint=nearest(str(name), schema.names),
                column=str(name),
            )
    return found
