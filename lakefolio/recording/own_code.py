"""Which modules are the user's own (neither installed, nor Python's, nor this library), and which objects use them."""

from __future__ import annotations

import functools
import importlib.util
import sys
import sysconfig
from functools import cache
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any, Final

__all__ = ["LIBRARY", "OwnCode", "cell_content", "is_own_package"]

_MOST_MEMBERS: Final = 1_000
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


class OwnCode:
    """The code that counts as a function's own: its user's modules, and the package that it lies in."""

    def __init__(self, module: str | None) -> None:
        """Take the name of the module of the function."""
        self._module = module or ""

    def has(self, module: str | None) -> bool:
        """Say whether a module is of one's own."""
        return bool(module) and (module == self._module or self._is_package(module or "") or is_own(module))

    def _is_package(self, module: str) -> bool:
        """Say whether a module is of the package of the function that is looked at, installed or not."""
        top = self._module.partition(".")[0]
        return top not in ("", "__main__", LIBRARY) and module.partition(".")[0] == top

    def leads_to(self, value: Any, depth: int = 0) -> bool:
        """Say whether a value is, or leads a few steps further to, code of one's own."""
        if depth > 4:
            return False
        if isinstance(value, FunctionType):
            if self.has(value.__globals__.get("__name__")):
                return True
            inner = [*map(cell_content, value.__closure__ or ()), vars(value).get("__wrapped__")]
            return any(self.leads_to(one, depth + 1) for one in inner)
        if isinstance(value, type):
            return self.has(value.__module__)
        if isinstance(value, MethodType):
            return self.leads_to(value.__func__, depth + 1) or self.has(type(value.__self__).__module__)
        if isinstance(value, functools.partial):
            return self.leads_to(value.func, depth + 1)
        if type(value) in (list, tuple, dict) and len(value) <= _MOST_MEMBERS:
            return any(self.leads_to(one, depth + 1) for one in (value.values() if type(value) is dict else value))
        return self.has(type(value).__module__)


def cell_content(cell: Any) -> object:
    """Return the content of a cell of a closure; None if it has none yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


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
