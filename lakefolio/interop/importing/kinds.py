"""Which importers there are, and importing from one of them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lakefolio.errors import InvalidInputError, nearest
from lakefolio.interop.importing.execute import ImportReport, do_steps
from lakefolio.interop.importing.plan import Plan
from lakefolio.lake import Lake
from lakefolio.process.keywords import explained

__all__ = ["KINDS", "import_from"]

KINDS: Final = {
    "folder": "A folder: each file an item; Parquet files become tables.",
    "datafolio": "A bundle of DataFolio 1.x or 2.x, with its overwritten versions and snapshots.",
    "mlflow": "A tracking store of MLflow: a folder mlruns, or sqlite:///mlflow.db; also the model registry.",
    "mltrack": "A store of MLtrack: manifests/ and data/, and the defaults in .mltrack.yml.",
    "dvc": "A DVC repository: .dvc files and dvc.lock of each git commit, content from its cache.",
}


@explained
def import_from(
    lake: Lake,
    kind: str,
    source: str | Path,
    *,
    folio: str | None = None,
    dry_run: bool = False,
    progress: Callable[[str], None] | None = None,
    **options: object,
) -> ImportReport:
    """Import the data at ``source`` into a lake, with its history. A commit per step; safe to run again.

    Args:
        lake: The lake.
        kind: One of ``KINDS``.
        source: A folder; for MLflow also the address of its store.
        folio: The folio of the items; by default the name of the source.
        dry_run: Only list the steps.
        progress: Called with a line before each step.
        **options: Of the importer.

    Returns:
        The steps done, the steps done before, and the problems: data that can't be imported, and why.

    Raises:
        InvalidInputError: kinds ``bad-import`` and ``bad-source``: the source is not of that kind.
        LocalFileNotFoundError: There is no such source.
        IntegrityError: kind ``bad-source``: it can't be read.
    """
    if kind not in KINDS:
        raise InvalidInputError(
            f"there is no importer {kind!r}", kind="bad-import", hint=nearest(kind, KINDS), name=kind
        )
    read = importlib.import_module(f"lakefolio.interop.importing.{_MODULES.get(kind, kind)}").read
    plan: Plan = explained(read, "import_from")(os.fspath(source), folio, **options)
    return do_steps(lake, plan, dry_run=dry_run, progress=progress)


_MODULES: Final = {"mlflow": "mlflow_store", "dvc": "dvc_repository"}
