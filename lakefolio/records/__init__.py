"""Record tables: Delta tables of their own below ``records/``, with a declared schema (FORMAT.md, "Record tables").

Any engine that knows Delta reads and writes them. This package knows no folio and no journal: it gets a store and a
prefix. Which version of the lake shows which version of a table is said by ``folio.record_table``.
"""

from __future__ import annotations

__all__: list[str] = []
