"""The way from a user's handle to the parts below it, for tests of these parts: the one place that knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakefolio.session.session import Session

__all__ = ["session_of"]


def session_of(handle: Any) -> Session:
    """Return the session of a lake, a folio or a run."""
    found: Session = handle._session
    return found
