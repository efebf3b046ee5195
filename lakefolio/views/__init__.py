"""The SQL views of ``sql/``, bound to the tables of a lake on DuckDB and Polars."""

from __future__ import annotations

__all__: list[str] = []
