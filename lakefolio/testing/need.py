"""Skipping where something optional is absent, and failing instead where it was promised to be there."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["need", "need_program"]


def _missing(what: str, extra: str) -> None:
    import pytest

    required = {name.strip() for name in os.environ.get("LAKEFOLIO_TEST_REQUIRE", "").split(",")}
    if required & {"all", extra, what}:
        pytest.fail(f"{what} is missing but LAKEFOLIO_TEST_REQUIRE asks for it", pytrace=False)
    pytest.skip(f"{what} is not installed: pip install 'lakefolio[{extra}]'", allow_module_level=True)


def need(module: str, extra: str) -> ModuleType:
    """Return an optional module, or skip the test with the reason.

    Args:
        module: The name to import.
        extra: The extra of lakefolio that brings it. If LAKEFOLIO_TEST_REQUIRE (a comma-separated list) names the
            extra, the module or ``all``, the test fails instead of being skipped.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        _missing(module, extra)
        raise  # not reached: one of the two outcomes was raised


def need_program(name: str, extra: str) -> str:
    """Return the path of an optional program, beside the interpreter or on PATH, or skip the test with the reason."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        _missing(name, extra)
        raise FileNotFoundError(name)  # not reached
    return found
