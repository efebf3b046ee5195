"""The way from a handle of a user to the parts below it, for tests of these parts."""

from __future__ import annotations

from lakefolio.session.session import session_of

__all__ = ["session_of"]
