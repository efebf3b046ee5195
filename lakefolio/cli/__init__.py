"""The command line: one file per command, each a thin call of the library.

Nothing heavy is imported before it is needed, so that ``--help`` is there at once.
"""

from __future__ import annotations

from lakefolio.cli.program import cli, main

__all__ = ["cli", "main"]
