"""The history of a folio and its items, and the difference of two of its states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefolio.format.names import check_item

if TYPE_CHECKING:
    from lakefolio.folio.folio import Folio
    from lakefolio.folio.open_folio import At
    from lakefolio.history.diff import Diff, History, Log

__all__ = ["diff", "history", "log"]


def history(folio: Folio, /, name: str) -> History:
    """Return every change of an item, newest first, also of one that was deleted; see ``Lake.history``."""
    from lakefolio.session.past import history_of

    return history_of(folio._core.reading, folio.name, check_item(name))


def log(folio: Folio, /, limit: int | None = 20) -> Log:
    """Return the commits that changed this folio, newest first; all if ``limit`` is None."""
    from lakefolio.session.past import log_of

    return log_of(folio._core.reading, limit, folio.name)


def diff(folio: Folio, /, a: At, b: At = None) -> Diff:
    """Return the changes in this folio from ``a`` to ``b``, by default until now."""
    from lakefolio.session.past import diff_of

    return diff_of(folio._core.reading, 0 if a is None else a, b, folio.name)
