"""A few seconds of the soak (``python -m tests.soak``): many processes, faults of all kinds, and nothing is lost."""

from __future__ import annotations

import pytest
from soak.__main__ import soak


@pytest.mark.parametrize("store", ["local", "s3"])
def test_a_few_seconds_of_the_soak(store: str, request: pytest.FixtureRequest) -> None:
    if store == "s3":
        request.getfixturevalue("s3_server")  # skips, or fails, where there is none
    counts, wrong = soak(store, 10, processes=3, seed=1)
    assert wrong == []
    assert counts["added"] > 0
