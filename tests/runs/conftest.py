"""A lake of one's own for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

import lakefolio as lf


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    return lf.open(tmp_path / "lake")
