"""The base of what mutating and summarising calls return (pure: no I/O)."""

from __future__ import annotations

from typing import Any

from lakefolio.render import html
from lakefolio.render.text import format_bytes
from lakefolio.terminal import visible

__all__ = ["Report"]


class Report(dict[str, Any]):
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

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return html.lines(str(self))


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name.endswith("bytes"):
        return format_bytes(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)
