"""Modules that another thread may be importing: no caller sees a module that is half initialised.

A module is in ``sys.modules`` from the beginning of its import. A thread that looks there while another thread imports
the module finds most of its names missing. A process that forks meanwhile leaves the lock of that import held for ever
in its child.
"""

from __future__ import annotations

import importlib
import sys
import threading
import time
from typing import Any, Final

__all__ = ["imported", "wait_for_imports"]

_PAUSE_S: Final = 0.001


def imported(name: str) -> Any:
    """Return a module if this process has imported it, else None: objects of a module not imported can't exist.

    Waits for a module that another thread is importing.
    """
    module = sys.modules.get(name)
    if module is None or not getattr(getattr(module, "__spec__", None), "_initializing", False):
        return module
    try:
        return importlib.import_module(name)
    except ImportError:  # it failed in the other thread
        return None


def wait_for_imports(seconds: float) -> bool:
    """Wait until no other thread is importing a module, up to a limit; return whether none is."""
    until = time.monotonic() + seconds
    while _others_import():
        if time.monotonic() > until:
            return False
        time.sleep(_PAUSE_S)
    return True


def _others_import() -> bool:
    """Say whether another thread holds the lock of a module. Where the interpreter does not tell: no."""
    me = threading.get_ident()
    references = getattr(sys.modules.get("_frozen_importlib"), "_module_locks", {})
    locks = [reference() for reference in list(references.values())]
    return any(getattr(lock, "owner", None) not in (None, me) for lock in locks)
