"""pytest fixtures: ``pytest_plugins = ["lakefolio.testing.fixtures"]``."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakefolio.testing.need import need_program
from lakefolio.testing.proxy import CountingProxy
from lakefolio.testing.s3 import S3Server

__all__ = ["lake_uri", "s3_proxy", "s3_server", "s3_uri"]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A real S3 server for the whole session, with the bucket ``lakes``; it starts with the first test that asks."""
    with S3Server(program=need_program("weed", "s3")) as server:
        yield server


@pytest.fixture
def s3_uri(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place on the S3 server; the environment holds what reaches it, for this and child processes."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server.uri(f"lakes/test-{next(_numbers)}")


@pytest.fixture
def s3_proxy(s3_server: S3Server) -> Iterator[CountingProxy]:
    """A counting proxy of its own before the S3 server; open lakes with its ``storage_options``."""
    with CountingProxy(s3_server) as proxy:
        yield proxy


@pytest.fixture(params=["local", "s3"])
def lake_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place for a lake, once in a local folder and once on S3."""
    if request.param == "local":
        return str(tmp_path / "lake")
    return str(request.getfixturevalue("s3_uri"))
