"""The bases of what mutating, summarising and searching calls return (pure: no I/O)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, overload

from lakefolio.format.times import shown_time
from lakefolio.render import html
from lakefolio.render.text import format_bytes
from lakefolio.terminal import visible

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

__all__ = ["AsFrames", "AsText", "Listing", "Report"]

T = TypeVar("T")


class AsText:
    """A result that shows its ``str``, also in a notebook."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return html.lines(str(self))


class AsFrames:
    """A result whose rows are given as any kind of frame."""

    __slots__ = ()

    @abstractmethod
    def to_arrow(self) -> pa.Table:
        """Return the rows as a pyarrow table."""

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows of :meth:`to_arrow` as a pandas frame."""
        return self.to_arrow().to_pandas()

    def to_polars(self) -> pl.DataFrame:
        """Return the rows of :meth:`to_arrow` as a polars frame."""
        import polars as pl

        return pl.DataFrame(pl.from_arrow(self.to_arrow()))


class Listing(Sequence[T]):
    """A result that is a sequence of what was found; a slice of it is a tuple."""

    def __init__(self, found: Iterable[T]) -> None:
        self._found = tuple(found)

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[T]:
        return iter(self._found)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...

    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self._found[index]


class Report(AsText, dict[str, Any]):
    """A JSON-able dict whose values are attributes too; ``str`` gives lines for people."""

    title = ""

    def __getattr__(self, name: str) -> Any:
        """Give a value as an attribute."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no {name!r}; it has {', '.join(self)}") from None

    def __str__(self) -> str:
        """Lines for people."""
        width = max((len(name) for name in self), default=0)
        lines = [f"{name.replace('_', ' '):<{width}}  {_shown(name, value)}" for name, value in self.items()]
        return visible("\n".join(([self.title] if self.title else []) + lines))


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name.endswith("bytes"):
        return format_bytes(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if name.endswith("_at") and isinstance(value, str):
        return shown_time(datetime.fromisoformat(value), "auto")
    return str(value)
