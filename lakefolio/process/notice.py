"""Messages to people: warnings that point at the line of the user's code, and lines printed in interactive sessions."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from typing import Any, Final

from lakefolio.errors import one_line
from lakefolio.redaction import scrub

__all__ = ["LakefolioWarning", "notice", "say"]

_PACKAGE: Final = str(Path(__file__).parents[1]) + "/"
_LIMIT: Final = 290


class LakefolioWarning(UserWarning):
    """The library did something that the user may not have intended.

    Attributes:
        kind: A stable, append-only machine name, such as ``"words-dropped"``.
        hint: What to do about it.
    """

    def __init__(self, message: str, *, kind: str, hint: str) -> None:
        self.message = one_line(scrub(message), _LIMIT)
        self.kind = kind
        self.hint = hint
        super().__init__(f"{self.message} ({hint})")

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep kind and hint when a warning crosses a process boundary."""
        return (_rebuild_warning, (self.message, self.kind, self.hint))


def _rebuild_warning(message: str, kind: str, hint: str) -> LakefolioWarning:
    return LakefolioWarning(message, kind=kind, hint=hint)


def notice(message: str | Warning) -> None:
    """Warn the code that called the library: the warning names the nearest frame outside of it."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


def say(text: str) -> None:
    """Tell a person something that is not a warning: printed in notebooks and prompts, logged everywhere.

    The logger is ``lakefolio``, the level INFO.
    """
    line = one_line(scrub(text), _LIMIT)
    logging.getLogger("lakefolio").info(line)
    if hasattr(sys, "ps1"):  # the interpreter sets it, and IPython does, where input is read from a person
        print(line)
