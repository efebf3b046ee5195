"""Every public method with any arguments: only errors of the library leave it, and what is refused changes nothing."""

from __future__ import annotations

import os
import warnings
from contextlib import chdir
from pathlib import Path
from random import Random

import pytest
from calls import FACES, calls_of, methods, outcome
from fuzzing import Healthy

import lakefolio as lf

THOROUGH = 2


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Healthy:
    return Healthy(tmp_path_factory.mktemp("fuzz") / "lake")


def fuzz(healthy: Healthy, folder: Path, labels: list[str], seed: int) -> list[str]:
    """Call each method of some faces once, with what a seed gives; return what went wrong."""
    uri = healthy.written(folder / "work", {})
    (folder / "deep" / "cwd").mkdir(parents=True)
    lake, found = lf.open(uri), []
    with chdir(folder / "deep" / "cwd"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        every = ((label, Random(seed)) for label in labels)
        for call in (call for label, chance in every for call in calls_of(chance, label, lake)):
            lake.flush()
            before = lake.version
            refused, wrong = outcome(call)
            if wrong is not None:
                found.append(f"{call}: {wrong!r} left it")
            lake.flush()
            if refused and lake.version != before:
                found.append(f"{call}: it was refused, and version {before} became {lake.version}")
    problems = lf.open(uri).check(read_data=True).problems
    return [*found, *(str(one) for one in problems if "reference" not in one.kind)]  # files to refer to come and go


APART = ["lake", "folio", "run", "library"]
"""Faces that write, each to a lake of its own."""


@pytest.mark.parametrize("labels", [*([label] for label in APART), [one for one in FACES if one not in APART]], ids=str)
def test_any_arguments(healthy: Healthy, tmp_path: Path, labels: list[str]) -> None:
    assert fuzz(healthy, tmp_path, labels, 0) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("label", ["lake", "folio", "run"])
def test_any_arguments_thoroughly(healthy: Healthy, tmp_path: Path, label: str) -> None:
    for seed in range(1, 1 + int(os.environ.get("LAKEFOLIO_FUZZ", THOROUGH))):
        assert fuzz(healthy, tmp_path / str(seed), [label], seed) == []


def test_every_face_is_called(healthy: Healthy, tmp_path: Path) -> None:
    lake = lf.open(healthy.written(tmp_path / "work", {}))
    assert [label for label, face in FACES.items() if not methods(face(lake))] == []
