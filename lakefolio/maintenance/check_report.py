"""What a check of a lake found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from lakefolio.errors import one_line
from lakefolio.render import html
from lakefolio.render.report import AsText
from lakefolio.render.text import counted

__all__ = ["CheckReport", "Problem"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it must be.

    Attributes:
        kind: A stable name of what is wrong, such as ``blob-missing``.
        object: What it is about: a key, an item reference, a row.
        message: One line for people.
    """

    kind: str
    object: str
    message: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "object", one_line(self.object, 200))
        object.__setattr__(self, "message", one_line(self.message, 300))


@dataclass(slots=True, repr=False)
class CheckReport(AsText):
    """What a check found.

    Attributes:
        version: The lake version that was checked.
        problems: What is wrong; empty for a healthy lake.
        counts: What was looked at: rows, entries, blobs, bytes, orphans (objects that no entry refers to; harmless).
        notices: What could not be looked at, and how it could; one line each.
    """

    version: int
    problems: list[Problem] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-able values."""
        return {"ok": self.ok, **asdict(self)}

    def __str__(self) -> str:
        """Lines for people."""
        lines = [f"  {one.kind}: {one.message}" for one in self.problems]
        return "\n".join([self._title(), *lines, *(f"  note: {one_line(one, 400)}" for one in self.notices)])

    def _repr_html_(self) -> str:
        rows = [(one.kind, one.object, one.message) for one in self.problems]
        table = [html.row_table(("problem", "object", "what is wrong"), rows)] if rows else []
        notes = [html.muted(f"note: {one_line(one, 400)}") for one in self.notices]
        return html.block(html.muted(self._title()), *table, *notes)

    def _title(self) -> str:
        looked = ", ".join(f"{count:,} {_noun(name, count)}" for name, count in self.counts.items())
        found = "no problems" if self.ok else counted(len(self.problems), "problem")
        return f"version {self.version}: {found} ({looked})"

    def __bool__(self) -> bool:
        """A report is true when the lake is healthy."""
        return self.ok


_SINGULAR: Final = {"entries": "entry", "bytes": "byte"}


def _noun(name: str, count: int) -> str:
    """Return the name of a count, such as ``objects_read``, as words that fit the number."""
    words = name.split("_")
    if count == 1:
        words = [_SINGULAR.get(word, word.removesuffix("s")) for word in words]
    return " ".join(words)
