"""What it saves that runs refer to data instead of copying it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lakefolio.render.report import AsText
from lakefolio.render.text import counted, format_bytes

if TYPE_CHECKING:
    from lakefolio.session.session import Session

__all__ = ["Savings", "savings_of"]


@dataclass(frozen=True, slots=True, repr=False)
class Savings(AsText):
    """What the lake stores, and what one copy per entry and per further use by a run would take.

    Attributes:
        run_count: The runs that use something.
        logical_bytes: One plain copy per entry, and per run that uses one after the first.
        stored_bytes: The objects and the inline content.
        other_bytes: Of both, what is no input of a run.
    """

    run_count: int
    logical_bytes: int
    stored_bytes: int
    other_bytes: int

    @property
    def saved_bytes(self) -> int:
        """The difference."""
        return self.logical_bytes - self.stored_bytes

    @property
    def saved_ratio(self) -> float | None:
        """``saved_bytes / logical_bytes``; None for nothing at all."""
        return self.saved_bytes / self.logical_bytes if self.logical_bytes else None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {**asdict(self), "saved_bytes": self.saved_bytes, "saved_ratio": self.saved_ratio}

    def __str__(self) -> str:
        """One line for people."""
        if self.saved_ratio is None:
            return "nothing is stored"
        share = f"{abs(self.saved_ratio):.1%}"
        saved = f"{share} saved" if self.saved_ratio >= 0 else f"{share} more than without sharing"
        return (
            f"{counted(self.run_count, 'run')} with inputs; all content would take {format_bytes(self.logical_bytes)},"
            f" stored are {format_bytes(self.stored_bytes)}: {saved}"
        )


def savings_of(session: Session) -> Savings:
    """Collect the numbers; the view ``storage_savings`` tells them by folio."""
    logical, stored = session.query(
        "select coalesce(sum(logical_bytes), 0), coalesce(sum(stored_bytes), 0) from storage_savings"
    ).fetchall()[0]
    (runs,) = session.query("select count(distinct run_id) from run_inputs").fetchall()[0]
    (other,) = session.query(
        "select coalesce(sum(coalesce(size_bytes, 0)), 0) from (select distinct entry_id, size_bytes from entries"
        " where storage <> 'reference'"
        " and entry_id not in (select entry_id from run_inputs where entry_id is not null))"
    ).fetchall()[0]
    return Savings(int(runs), int(logical), int(stored), int(other))
