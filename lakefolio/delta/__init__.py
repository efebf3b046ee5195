"""The part of the Delta protocol that a lake uses: log entries, checkpoints, data files.

FORMAT.md, "Journal protocol".
"""

from __future__ import annotations

__all__: list[str] = []
