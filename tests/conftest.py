"""Fixtures of the whole suite: see lakefolio.testing.fixtures; and no test sees the user's own settings."""

import os

import pytest

pytest_plugins = ["lakefolio.testing.fixtures"]


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
