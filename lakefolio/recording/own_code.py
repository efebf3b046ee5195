"""Which modules are their user's own: neither installed, nor Python's, nor this library."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["LIBRARY", "is_own", "is_own_package"]

LIBRARY: Final = __name__.partition(".")[0]


@cache
def is_own(module: str | None) -> bool:
    """Say whether a module is its user's own: neither installed, nor Python's, nor this library."""
    if not module or module.partition(".")[0] in (LIBRARY, *sys.builtin_module_names):
        return module == "__main__"
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return module.partition(".")[0] not in sys.stdlib_module_names
    return not _is_installed(Path(file))


@cache
def is_own_package(top: str) -> bool:
    """Say the same of a package or module that may not be imported yet; nothing is imported by this."""
    if top in sys.stdlib_module_names or top == LIBRARY:
        return False
    if top in sys.modules:
        return is_own(top)
    try:
        found = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    if found is None:
        return False
    places = [found.origin] if found.has_location and found.origin else list(found.submodule_search_locations or ())
    return bool(places) and not any(_is_installed(Path(one)) for one in places)


def _is_installed(path: Path) -> bool:
    installed = [sysconfig.get_path(one) for one in ("stdlib", "platstdlib", "purelib", "platlib")]
    return any(path.is_relative_to(one) for one in installed) or bool(
        {"site-packages", "dist-packages"} & {*path.parts}
    )
