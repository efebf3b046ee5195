"""Search over what a lake holds, as of any version: words, phrases, fields, ranked, with facets and reasons."""

from __future__ import annotations

__all__: list[str] = []
