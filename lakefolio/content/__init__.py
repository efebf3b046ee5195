"""Content-addressed storage: blobs, their local copies, and references to external content."""

from __future__ import annotations

__all__: list[str] = []
