"""Warnings that point at the line of the user's code, however deep in the library they arise."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Final

__all__ = ["notice"]

_PACKAGE: Final = str(Path(__file__).parents[1]) + "/"


def notice(message: str | Warning) -> None:
    """Warn the code that called the library: the nearest frame outside of it is the one that is named."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
