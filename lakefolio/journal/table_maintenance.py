"""Upkeep of a journal's tables: when it is due, who does it, and that nobody waits for it (FORMAT.md, "Maintenance").

Files are merged and checkpoints made while others commit through the same handle; its lock is held only to choose the
files and to create the log entry. Where a handle commits for its neighbours, a thread of its own does it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from lakefolio.errors import LakefolioError
from lakefolio.format.layout import JOURNAL
from lakefolio.format.schema import LOG_SCHEMAS

if TYPE_CHECKING:
    from lakefolio.journal.journal import Journal

__all__ = ["Tidying"]

_MODELS_S = 0.5
"""How long a writer waits for read models: most folds take a tenth of that."""


class Tidying:
    """The upkeep of one journal. Safe to call from many threads: one at a time does it."""

    def __init__(self, journal: Journal, settle: Callable[[], int]) -> None:
        self._journal = journal
        self._settle = settle
        self._busy = threading.Lock()

    def when_due(self) -> None:
        """Merge small files and write a checkpoint once enough commits have gathered; a failure waits for the next.

        That is also when a writer that nobody disturbs looks for tickets that were left or are never heard.
        """
        table = self._journal.manifests_table
        if not table.due() or not self._busy.acquire(blocking=False):
            return
        try:
            with contextlib.suppress(LakefolioError):
                self._settle()
            if table.due():
                with contextlib.suppress(LakefolioError):
                    self._tidy(everything=False)
        finally:
            self._busy.release()

    def beside(self) -> None:
        """Do what is due in a thread of its own, which the process waits for at its end."""
        if self._journal.manifests_table.due():
            thread = threading.Thread(target=self.when_due, name="lakefolio-upkeep", daemon=False)
            try:
                thread.start()
            except RuntimeError:  # the process is ending: no thread can be started any more
                self.when_due()

    def compact(self, progress: Callable[[str], None]) -> dict[str, dict[str, int]]:
        """Merge the small files of all tables, whether due or not; the journal has read them up to now.

        Returns:
            For each table: ``files_before``, ``files_after``, ``checkpoint_version``.
        """
        counts = {}
        with self._busy:
            progress(JOURNAL)
            counts[JOURNAL] = self._tidy(everything=True)
        for name in LOG_SCHEMAS:
            progress(name)
            if (done := self._journal.logs[name].compact()) is not None:
                counts[name] = done
        return counts

    def _tidy(self, *, everything: bool) -> dict[str, int]:
        journal = self._journal
        return journal.manifests_table.upkeep(
            journal.lock,
            everything=everything,
            moved=journal.moved,
            erase=journal.erase,
            note=lambda: self._models(everything=everything),
        )

    def _models(self, *, everything: bool) -> str:
        """Bring the read models up to the journal and return what the checkpoint notes of them.

        Large ones are merged while the writer, who is to be answered, goes on; the next checkpoint notes that.
        """
        if everything:
            self._advance(everything=True)
        else:
            thread = threading.Thread(target=self._advance, name="lakefolio-models", daemon=False)
            try:
                thread.start()
            except RuntimeError:  # the process is ending: no thread can be started any more
                self._advance()
            else:
                thread.join(_MODELS_S)
        catalogue = self._journal.catalogue
        return "" if catalogue is None else catalogue.to_json()

    def _advance(self, *, everything: bool = False) -> None:
        with contextlib.suppress(LakefolioError):  # they save reading, nothing else: the next one tries again
            self._journal.advance_models(everything=everything)
