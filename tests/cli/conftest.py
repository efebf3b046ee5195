"""A stocked lake, and the command line run inside of this process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import lakefolio as lf
from lakefolio.cli import cli

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in an empty folder; ``code`` is what it must exit with."""
    monkeypatch.chdir(tmp_path)

    def invoke(*args: str, code: int = 0, stdin: str | bytes | None = None) -> Result:
        result = CliRunner().invoke(cli, args, input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return invoke


@pytest.fixture
def said(run: Run) -> Callable[..., Any]:
    """Run a command line with ``--json`` and return what it says: the result, or the error if ``code`` is not 0."""

    def invoke(*args: str, code: int = 0, **options: Any) -> Any:
        result = run(*args, "--json", code=code, **options)
        if code in (0, 8) and result.stdout:
            return json.loads(result.stdout)
        assert result.stdout == ""
        return SimpleNamespace(**json.loads(result.stderr.splitlines()[-1])["error"])

    return invoke


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with one file of each sort."""
    return _write_files(tmp_path)


def _write_files(tmp_path: Path) -> Path:
    (tmp_path / "scores.csv").write_text("id,name,score\n1,ada,0.5\n2,bob,0.75\n3,,\n")
    (tmp_path / "better.csv").write_text("id,name,score\n1,ada,0.9\n2,bob,0.95\n")
    (tmp_path / "config.json").write_text('{"lr": 0.01, "layers": [1, 2]}')
    (tmp_path / "notes.txt").write_text("first try\n")
    np.save(tmp_path / "emb.npy", np.arange(12.0).reshape(3, 4))
    (tmp_path / "plots" / "deep").mkdir(parents=True)
    (tmp_path / "plots" / "a.svg").write_text("<svg/>")
    (tmp_path / "plots" / "deep" / "b.svg").write_text("<svg></svg>")
    return tmp_path


@pytest.fixture
def stocked(run: Run, files: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    """A local lake that LAKEFOLIO_LAKE names: folios, lineage, a snapshot, and a change after it."""
    uri = str(shutil.copytree(_stocked_once(tmp_path_factory.getbasetemp() / "stocked"), files / "lake"))
    monkeypatch.setenv("LAKEFOLIO_LAKE", uri)
    return uri


@cache
def _stocked_once(place: Path) -> Path:
    """Make the lake that each test gets a copy of."""
    place.mkdir()
    files = _write_files(place)
    lake = lf.open(files / "lake", author="ada")
    folio = lake.folio("experiments/clf")
    folio.add_json("config", {"lr": 0.01}, description="Hyperparameters", tags=["draft"])
    folio.import_table("scores", files / "scores.csv", inputs=["config"])
    folio.add_numpy("emb", np.arange(12.0).reshape(3, 4), inputs=["scores", "s3://elsewhere/x"])
    folio.add_artifact("plots", files / "plots")
    folio.add_artifact("notes", files / "notes.txt")
    lake.folio("experiments/old").add_json("config", [1, 2])
    lake.folio("other").add_data("blob", bytes(range(256)) * 40)
    lake.snapshot("paper-v1", message="as submitted", tags=["paper"])
    folio.import_table("scores", files / "better.csv", overwrite=True)
    return files / "lake"
