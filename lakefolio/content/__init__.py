"""Content-addressed storage: blobs, their local copies, and references to content that lies elsewhere."""

from __future__ import annotations

__all__: list[str] = []
