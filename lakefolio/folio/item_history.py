"""What happened to a folio and its items, and how two of its states differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefolio.format.names import check_item
from lakefolio.model.resolve import item_not_found

if TYPE_CHECKING:
    from lakefolio.folio.folio import Folio
    from lakefolio.folio.open_folio import At
    from lakefolio.history.diff import Diff, History, Log

__all__ = ["diff", "history", "log"]


def history(folio: Folio, /, name: str) -> History:
    """Return every change of an item, newest first, also of one that was deleted; see ``Lake.history``."""
    from lakefolio.history.log import history

    state = folio._core.reading.committed()
    if not state.known(folio.name, check_item(name)):
        raise item_not_found(state, folio.name, name)
    return history(state.table(), folio.name, name)


def log(folio: Folio, /, limit: int | None = 20) -> Log:
    """Return the commits that changed this folio, newest first; all if ``limit`` is None."""
    from lakefolio.history.log import log

    return log(folio._core.reading.committed().table(), limit, folio=folio.name)


def diff(folio: Folio, /, a: At, b: At = None) -> Diff:
    """Return what changed in this folio from ``a`` to ``b``, by default until now."""
    from lakefolio.history.diff import diff

    reader = folio._core.reading
    newer = reader.committed().version if b is None else reader.resolve(b, folio.name)
    older = reader.resolve(a if a is not None else 0, folio.name)
    return diff(reader.committed().table(), older, newer, folio=folio.name)
