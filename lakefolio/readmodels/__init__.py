"""Read models: the facts of the journal sorted for the questions that are asked (FORMAT.md, "Read models").

They are functions of the journal, made by maintenance as log-structured merge trees in Delta tables. Deleting one only
means that it is made again.
"""

from __future__ import annotations

__all__: list[str] = []
