"""This operating-system process: hooks at fork and exit, its identity, and the provenance of the code it runs."""

from __future__ import annotations

__all__: list[str] = []
