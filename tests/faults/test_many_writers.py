"""Many processes on one lake: everything acknowledged is there once, in strictly increasing versions and times."""

from __future__ import annotations

import multiprocessing
from typing import Any

import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.format.digest import sha256_of_bytes
from lakefolio.format.names import new_id
from lakefolio.model.changes import Commit, Put
from lakefolio.model.entries import Stored


def write(uri: str, number: int, count: int, ready: Any, done: Any) -> None:
    try:
        journal = session_of(lf.open(uri)).journal
        ready.wait(240)
        acknowledged = []
        for n in range(count):
            commit = Commit(commit_id=new_id(), changes=[put(f"{number}-{n}")])
            acknowledged.append((f"{number}-{n}", journal.commit(commit).version, commit.commit_id))
        done.put((number, acknowledged, None))
    except BaseException as exc:
        done.put((number, [], repr(exc)))
        raise


def put(item: str) -> Put:
    body = item.encode()
    stored = Stored(kind="artifact", storage="inline", content=body, digest=sha256_of_bytes(body), size_bytes=len(body))
    return Put(folio="f", item=item, stored=stored, entry_id=new_id())


def race(uri: str, writers: int, count: int) -> None:
    lf.open(uri)
    context = multiprocessing.get_context("spawn")
    ready, done = context.Barrier(writers), context.Queue()
    processes = [context.Process(target=write, args=(uri, n, count, ready, done)) for n in range(writers)]
    for process in processes:
        process.start()
    found = [done.get(timeout=280) for _ in processes]
    for process in processes:
        process.join()
    assert [error for _, _, error in found if error] == []
    acknowledged = {item: (version, commit_id) for _, mine, _ in found for item, version, commit_id in mine}
    assert len(acknowledged) == writers * count
    for _, mine, _ in found:
        versions = [version for _, version, _ in mine]
        assert versions == sorted(set(versions))
    lake = lf.open(uri)
    rows = lake.sql(
        "select item, version, commit_id from manifests where op = 'put' order by version, ordinal"
    ).fetchall()
    assert len(rows) == writers * count
    assert {item: (version, commit_id) for item, version, commit_id in rows} == acknowledged
    times = lake.sql(
        "select version, min(committed_at), max(committed_at) from manifests group by 1 order by 1"
    ).fetchall()
    assert all(first == last for _, first, last in times)
    assert [at for _, at, _ in times] == sorted({at for _, at, _ in times})
    report = lake.check(read_data=True)
    assert report.ok, str(report)
    assert list(session_of(lake).store.list("pending")) == []


@pytest.fixture(params=["true", "false"], ids=["through one of them", "by ticket"])
def combine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As processes of one host commit, and as those of many do."""
    monkeypatch.setenv("LAKEFOLIO_COMBINE", request.param)


@pytest.mark.usefixtures("combine")
def test_thirty_two_processes_on_a_local_folder(tmp_path) -> None:
    race(str(tmp_path / "lake"), 32, 50)


@pytest.mark.usefixtures("combine")
def test_thirty_two_processes_on_s3(s3_uri: str) -> None:
    race(s3_uri, 32, 50)
