"""Import an optional library when an item needs it, and say which extra brings it when it is missing."""

from __future__ import annotations

import importlib
from typing import Any, Final

from lakefolio.errors import UnsupportedTypeError
from lakefolio.process.signals import HeldSignals

__all__ = ["need"]

_EXTRAS: Final = {
    "pandas": "pandas",
    "sklearn": "sklearn",
    "skops": "sklearn",
    "matplotlib": "plots",
    "safetensors": "torch",
    "torch": "torch",
    "openpyxl": "excel",
    "h5py": "hdf5",
}


def need(name: str, purpose: str) -> Any:
    """Import and return the module ``name``.

    Args:
        name: A dotted module name.
        purpose: The purpose, to complete "… needs pandas".

    Raises:
        UnsupportedTypeError: If it isn't installed; ``hint`` names the package to install.
    """
    try:
        with HeldSignals():
            return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        package = name.partition(".")[0]
        extra = _EXTRAS.get(package)
        install = f"'lakefolio[{extra}]'" if extra else package
        raise UnsupportedTypeError(
            f"{purpose} needs {package}, which is not installed",
            kind="missing-library",
            hint=f"pip install {install}",
            library=package,
        ) from exc
