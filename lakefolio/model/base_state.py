"""The base of a state: the journal up to some version, in a form that answers questions by key.

Read models are such a base (``lakefolio.readmodels``). A State holds the later rows in memory and asks its base for
the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Protocol

import pyarrow as pa

from lakefolio.model.entries import Entry, Journaled, RunInputEdge
from lakefolio.model.totals import Size, Total

__all__ = ["BaseState"]


class BaseState(Journaled, Protocol):
    """The journal up to ``version``. Immutable; its methods may read the store, and mean what those of State mean."""

    @property
    def version(self) -> int:
        """The version up to which it goes."""
        ...

    def at(self, version: int) -> BaseState:
        """Return it as it was at an earlier version."""
        ...

    def parts(
        self, columns: Sequence[str], after: int = -1, upto: int | None = None, *, newest_first: bool = False
    ) -> Iterator[pa.Table]:
        """See State. Reads the data files of the journal that hold such rows."""
        ...

    def changes_of(self, folio: str, item: str) -> list[tuple[int, str]]:
        """See State; oldest first."""
        ...

    def change_span(self, folio: str) -> tuple[int, int] | None:
        """Return the first and the last version that changed a folio or its metadata, or None."""
        ...

    def edges(
        self, nodes: Collection[tuple[str, str]], *, by_input: bool = False, limit: int | None = None
    ) -> pa.Table:
        """Return the rows of the read model ``lineage`` whose output, or input, is one of some nodes, in order.

        With ``limit`` no more is read once there are more rows than these.
        """
        ...

    def all_edges(
        self, nodes: Collection[tuple[str, str]], seen: Collection[tuple[str, str]], *, by_input: bool = False
    ) -> tuple[pa.Table, list[tuple[str, str]]]:
        """Return the rows on all ways upstream from some nodes, or downstream, and the nodes that they lead to.

        The cost follows the rows returned, not the steps. The ways end at nodes that were ``seen`` before.
        """
        ...

    def heads_among(self, names: Collection[tuple[str, str]]) -> pa.Table:
        """Return the live rows among some names (folio, item), in the columns of ``entries``."""
        ...

    def puts_of(self, names: Collection[tuple[str, str]]) -> pa.Table:
        """Return every row that put an item of some names (folio, item), in the columns of ``entries``."""
        ...

    def known(self, folio: str, item: str) -> bool:
        """See State."""
        ...

    def heads_of(self, folio: str, columns: tuple[str, ...] | None = None) -> pa.Table:
        """Return the live rows of a folio in the order of their items' first addition; all columns or some."""
        ...

    def is_large(self, folio: str) -> bool:
        """Say whether the rows of a folio are so many that they are not read for a few of them."""
        ...

    def has_live(self, folio: str, besides: Collection[str] = ()) -> bool:
        """Say whether a folio has a live item that is none of some."""
        ...

    def totals(self) -> dict[str, Total]:
        """Return what each folio holds that has a live item."""
        ...

    def sizes_among(self, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], Size]:
        """Return the sizes of the live items among some names (folio, item)."""
        ...

    def newest_with(self, digest: str, kind: str) -> Entry | None:
        """Return the newest entry with a content, purged or not, or None."""
        ...

    @property
    def purged(self) -> bool:
        """See State."""
        ...

    def purges(self) -> dict[str, int]:
        """Return the highest generation of each blob that was purged."""
        ...

    def purge_of(self, blob_digest: str, generation: int) -> tuple[int, str | None] | None:
        """See State."""
        ...

    def metadata_of_runs(self, run_ids: Collection[str]) -> dict[str, dict[str, str]]:
        """See State."""
        ...

    def inputs_of_runs(self, run_ids: Collection[str]) -> dict[str, list[RunInputEdge]]:
        """See State."""
        ...

    def runs_noting(self, key: str, texts: Collection[str] | None = None) -> list[str]:
        """See State."""
        ...

    def facts_of_runs(self, key: str) -> dict[str, str]:
        """See State."""
        ...

    def spans_of_runs(self, run_ids: Collection[str]) -> list[tuple[int, int]]:
        """Return the first and the last version of rows about runs that tell of their facts, outputs and metrics."""
        ...

    def runs_called(self, text: str) -> tuple[list[str], list[str]]:
        """Return the runs that may have a name, and those whose id begins or ends with it."""
        ...

    def newest_runs(self, count: int) -> list[str]:
        """Return some of the newest runs."""
        ...

    def running_ids(self) -> list[str]:
        """Return the runs whose status is ``running``."""
        ...

    def first_at(self) -> datetime | None:
        """See State."""
        ...

    def version_at(self, when: datetime) -> int | None:
        """See State."""
        ...

    def time_of(self, version: int) -> datetime | None:
        """See State."""
        ...

    def version_of(self, commit_id: str) -> int | None:
        """See State."""
        ...

    def versions_up_to(self, version: int) -> int:
        """See State."""
        ...

    def back(self, version: int, count: int) -> int | None:
        """See State."""
        ...
