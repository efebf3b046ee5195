"""Versioned data on a bare bucket: the bucket is the database.

>>> import lakefolio as lf
>>> lake = lf.open("./lake")                      # or s3://bucket/prefix; created if absent
>>> folio = lake.folio("experiments/clf_v1")
>>> folio.add_data("config", {"lr": 0.01})
>>> folio.get_data("config", at="yesterday's snapshot")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lakefolio.process.signals import HeldSignals

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lakefolio.errors import (
        AlreadyExistsError,
        ConflictError,
        FormatError,
        IntegrityError,
        InvalidInputError,
        LakefolioError,
        LakeNotFoundError,
        NotFoundError,
        ReadOnlyError,
        StorageError,
        UnsupportedTypeError,
        UntrustedContentError,
    )
    from lakefolio.folio import Folio
    from lakefolio.folio import Folio as DataFolio
    from lakefolio.lake import Lake
    from lakefolio.lake import open_lake as open
    from lakefolio.model.entries import Entry, Snapshot
    from lakefolio.provenance.chain import verify_provenance
    from lakefolio.query.conditions import Q, all_of, any_of, not_
    from lakefolio.recording.decorator import capture
    from lakefolio.runs.record import RunManifest
    from lakefolio.runs.run import Run
    from lakefolio.runs.validation import RunType, StorageMode

__all__ = [
    "AlreadyExistsError",
    "ConflictError",
    "DataFolio",
    "Entry",
    "Folio",
    "FormatError",
    "IntegrityError",
    "InvalidInputError",
    "Lake",
    "LakeNotFoundError",
    "LakefolioError",
    "NotFoundError",
    "Q",
    "ReadOnlyError",
    "Run",
    "RunManifest",
    "RunType",
    "Snapshot",
    "StorageError",
    "StorageMode",
    "UnsupportedTypeError",
    "UntrustedContentError",
    "__version__",
    "all_of",
    "any_of",
    "capture",
    "not_",
    "open",
    "verify_provenance",
]

_HOMES = {
    "DataFolio": ("lakefolio.folio", "Folio"),
    "Entry": ("lakefolio.model.entries", "Entry"),
    "Folio": ("lakefolio.folio", "Folio"),
    "Lake": ("lakefolio.lake", "Lake"),
    "Run": ("lakefolio.runs.run", "Run"),
    "RunManifest": ("lakefolio.runs.record", "RunManifest"),
    "RunType": ("lakefolio.runs.validation", "RunType"),
    "Snapshot": ("lakefolio.model.entries", "Snapshot"),
    "Q": ("lakefolio.query.conditions", "Q"),
    "all_of": ("lakefolio.query.conditions", "all_of"),
    "any_of": ("lakefolio.query.conditions", "any_of"),
    "not_": ("lakefolio.query.conditions", "not_"),
    "StorageMode": ("lakefolio.runs.validation", "StorageMode"),
    "capture": ("lakefolio.recording.decorator", "capture"),
    "open": ("lakefolio.lake", "open_lake"),
    "verify_provenance": ("lakefolio.provenance.chain", "verify_provenance"),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: Arrow alone takes a quarter of a second."""
    if name in _HOMES:
        module, attribute = _HOMES[name]
    elif name in __all__:
        module, attribute = "lakefolio.errors", name
    else:
        raise AttributeError(f"module 'lakefolio' has no attribute {name!r}")
    with HeldSignals():
        value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def load_ipython_extension(shell: object) -> None:
    """``%load_ext lakefolio``: track the lake that is open, and add ``%lake`` and ``%%lake`` (SQL in a cell)."""
    from lakefolio.lake import Lake, open_lake
    from lakefolio.recording.magics import load

    load(shell, open_lake, Lake)


def unload_ipython_extension(shell: object) -> None:
    """``%unload_ext lakefolio``."""
    from lakefolio.recording.magics import unload

    unload(shell)


def __dir__() -> list[str]:
    return sorted(__all__)
