"""What a version of a lake is, and what a commit does to it. Pure: no I/O."""

from __future__ import annotations

__all__: list[str] = []
