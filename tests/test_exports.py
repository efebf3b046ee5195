"""What the package offers is what it says it offers."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import lakefolio

EDGES = {"lakefolio.cli.__main__", "lakefolio.__main__"}


def module_names() -> list[str]:
    return [found.name for found in pkgutil.walk_packages(lakefolio.__path__, "lakefolio.") if found.name not in EDGES]


def test_every_module_says_what_it_exports() -> None:
    for name in module_names():
        module = importlib.import_module(name)
        assert module.__doc__, f"{name} has no docstring"
        exported = getattr(module, "__all__", None)
        assert exported is not None, f"{name} has no __all__"
        assert [one for one in exported if not hasattr(module, one)] == [], name


def test_public_names() -> None:
    assert set(dir(lakefolio)) == set(lakefolio.__all__)
    for name in lakefolio.__all__:
        assert getattr(lakefolio, name) is not None
    assert lakefolio.DataFolio is lakefolio.Folio
    with pytest.raises(AttributeError):
        lakefolio.nothing  # noqa: B018


def test_no_package_hides_a_public_name() -> None:
    packages = {found.name for found in pkgutil.iter_modules(lakefolio.__path__)}
    assert packages & set(lakefolio.__all__) == set()
