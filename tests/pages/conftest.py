"""The lake that the tests of the page look at."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages_support import fill

import lakefolio as lf


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The place of a filled lake, which nobody changes."""
    place = tmp_path_factory.mktemp("pages") / "shop"
    fill(lf.open(place))
    return place
