"""Maintenance of a lake: check, garbage collection, repair, doctor, and why content is kept."""

from __future__ import annotations

__all__: list[str] = []
