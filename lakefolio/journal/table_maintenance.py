"""Maintenance of a journal's tables: when it is due, and on which thread it runs (FORMAT.md, "Maintenance").

Files are merged and checkpoints written while other threads commit through the same handle: the lock of the head is
held only to choose the files and to create the log entry. The leader of a host runs it on a thread of its own.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from lakefolio.errors import LakefolioError
from lakefolio.format.layout import JOURNAL

if TYPE_CHECKING:
    from lakefolio.journal.batch_tables import LogTable
    from lakefolio.journal.head import JournalHead

__all__ = ["TableMaintenance"]

_MODELS_S: Final = 0.5
"""How long a writer waits for read models: most folds take a tenth of that."""


class TableMaintenance:
    """Maintenance of one journal's tables. Safe to call from many threads: one at a time runs it."""

    def __init__(self, head: JournalHead, settle: Callable[[], int]) -> None:
        """Maintain the tables of a head.

        Args:
            head: The journal as the handle knows it.
            settle: Commits or refuses the tickets of dead writers.
        """
        self._head = head
        self._settle = settle
        self._busy = threading.Lock()

    def run_if_due(self) -> None:
        """Settle tickets, merge small files and write a checkpoint once enough commits have gathered.

        A failure is suppressed: the next maintenance repeats the work.
        """
        table = self._head.table
        if not table.due() or not self._busy.acquire(blocking=False):
            return
        try:
            with contextlib.suppress(LakefolioError):
                self._settle()
            if table.due():
                with contextlib.suppress(LakefolioError):
                    self._maintain(everything=False)
        finally:
            self._busy.release()

    def start_if_due(self) -> None:
        """Run due maintenance on a non-daemon thread."""
        if self._head.table.due():
            thread = threading.Thread(target=self.run_if_due, name="lakefolio-maintenance", daemon=False)
            try:
                thread.start()
            except RuntimeError:  # the process is ending: no thread can be started any more
                self.run_if_due()

    def compact(self, logs: Mapping[str, LogTable], progress: Callable[[str], None]) -> dict[str, dict[str, int]]:
        """Merge the small files of all tables, whether due or not. The caller has read the journal to its end.

        Returns:
            For each table: ``files_before``, ``files_after``, ``checkpoint_version``.
        """
        counts = {}
        with self._busy:
            progress(JOURNAL)
            counts[JOURNAL] = self._maintain(everything=True)
        for name, table in logs.items():
            progress(name)
            if (done := table.compact()) is not None:
                counts[name] = done
        return counts

    def _maintain(self, *, everything: bool) -> dict[str, int]:
        head = self._head
        return head.table.maintain(
            head.lock,
            everything=everything,
            moved=head.skip_empty_version,
            erase=head.without_purged_content,
            note=lambda: self._models(everything=everything),
        )

    def _models(self, *, everything: bool) -> str:
        """Advance the read models and return the note of them for the checkpoint.

        Unless ``everything``, a long merge continues after the writer has its answer; the next checkpoint notes its
        result.
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
        return self._head.catalogue_note

    def _advance(self, *, everything: bool = False) -> None:
        with contextlib.suppress(LakefolioError):  # read models only save reading: the next maintenance tries again
            self._head.advance_models(everything=everything)
