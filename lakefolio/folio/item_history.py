"""The history of a folio and its items, and the difference of two of its states."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, overload

from lakefolio.errors import InvalidInputError, NotFoundError
from lakefolio.format.names import check_item

if TYPE_CHECKING:
    from lakefolio.compare.item_diff import ItemDiff
    from lakefolio.folio.folio import Folio
    from lakefolio.folio.open_folio import At
    from lakefolio.history.diff import Diff
    from lakefolio.history.log import History, Log

__all__ = ["diff", "history", "log"]


def history(folio: Folio, /, name: str) -> History:
    """Return every change of an item, newest first; also of a deleted item.

    Returns:
        A sequence with one event per change: ``version``, ``committed_at`` (UTC), ``op``, ``reason``, ``author``,
        ``digest`` and more. ``to_dicts()`` gives plain values.

    Raises:
        NotFoundError: There never was such an item.
    """
    from lakefolio.session.history_queries import history_of

    return history_of(folio._core.reading, folio.name, check_item(name))


def log(folio: Folio, /, limit: int | None = 20) -> Log:
    """Return the commits that changed this folio, newest first; all if ``limit`` is None."""
    from lakefolio.session.history_queries import log_of

    return log_of(folio._core.reading, limit, folio.name)


@overload
def diff(folio: Folio, /, a: At, b: At = None) -> Diff: ...


@overload
def diff(
    folio: Folio, /, a: At, b: At = None, *, item: str, key: str | Iterable[str] | None = None, limit: int = 10
) -> ItemDiff: ...


def diff(
    folio: Folio,
    /,
    a: At,
    b: At = None,
    *,
    item: str | None = None,
    key: str | Iterable[str] | None = None,
    limit: int = 10,
) -> Diff | ItemDiff:
    """Return the changes in this folio from ``a`` to ``b``, by default until now, or those inside one item.

    Args:
        a: A version, a time or a snapshot.
        b: The same.
        item: Compare the content of this item; see ``Lake.diff``.
        key: The columns that identify a row of a table; by default the index of pandas frames if it has no duplicates,
            else rows are compared by their position.
        limit: How many rows of each change, or cells, are given as examples at most; all are counted.
    """
    reading, start = folio._core.reading, 0 if a is None else a
    if item is None:
        from lakefolio.session.history_queries import diff_of

        if key is not None:
            raise InvalidInputError("key= is for the rows of an item, and none is named", kind="bad-option")
        try:
            return diff_of(reading, start, b, folio.name)
        except NotFoundError as exc:
            if exc.kind == "snapshot-not-found" and a in folio:
                exc.hint = f"of the item {a!r}: diff(-1, item={a!r}), which is what its newest change did"
            raise
    from lakefolio.compare.reading import diff_item

    return diff_item(reading, folio.name, check_item(item), start, b, key=key, limit=limit)
