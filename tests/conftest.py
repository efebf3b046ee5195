"""Fixtures of the whole suite: see lakefolio.testing.fixtures; and no test sees the user's own settings."""

import os
from pathlib import Path

import pytest

pytest_plugins = ["lakefolio.testing.fixtures"]

SLOW = {
    "cli/test_cli_process.py",
    "faults/test_commit_faults.py",
    "faults/test_many_writers.py",
    "faults/test_neighbours.py",
    "faults/test_upkeep_faults.py",
    "faults/test_wrong_answers.py",
    "model/test_gc_model.py",
    "model/test_group_commit_model.py",
    "runs/test_lost.py",
    "stateful/test_gc_machine.py",
    "stateful/test_time_travel.py",
    "test_bench.py",
}
"""Files whose tests kill processes, race many of them or search a state space: ``pytest -m slow`` runs them."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.path.relative_to(here).as_posix() in SLOW:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch, tmp_path_factory):
    for name in os.environ:
        foreign = name.startswith(("AWS_", "AZURE_", "GOOGLE_", "LAKEFOLIO_"))
        if foreign and name not in ("AWS_CA_BUNDLE", "LAKEFOLIO_TEST_REQUIRE"):
            monkeypatch.delenv(name)
    empty = tmp_path_factory.getbasetemp() / "no-such-aws"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(empty / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(empty / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "config"))
