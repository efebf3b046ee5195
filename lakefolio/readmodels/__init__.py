"""Read models: the facts of the journal, each sorted for one question (FORMAT.md, "Read models").

They are functions of the journal, made by maintenance as log-structured merge trees in Delta tables. A read model that
is deleted is made again.
"""

from __future__ import annotations

__all__: list[str] = []
