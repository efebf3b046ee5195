"""How many requests things cost, counted at the S3 server's door: the price list of docs/figures.md."""

from __future__ import annotations

import re

import numpy as np
import pytest

import lakefolio as lf
from lakefolio.storage import open_store
from lakefolio.testing import Count, CountingProxy, Request, S3Server


@pytest.fixture
def lake(s3_server: S3Server, s3_proxy: CountingProxy, s3_uri: str) -> lf.Lake:
    """A warm lake behind the counting proxy: written to once."""
    lake = lf.open(s3_uri, storage_options=s3_proxy.storage_options)
    lake.folio("f").add_json("first", 1)
    lake.folio("f").add_json("second", 2, inputs=["first"], metadata={"k": 1})
    return lake


def spent(proxy: CountingProxy, action: object, at_most: int) -> Count:
    with proxy.count() as count:
        action()  # type: ignore[operator]
    assert count.total <= at_most, str(count)
    return count


def test_adding(lake: lf.Lake, s3_proxy: CountingProxy) -> None:
    folio = lake.folio("f")
    array = np.random.default_rng(1).random(2**17)
    spent(s3_proxy, lambda: folio.add_json("small", {"lr": 0.01}), 2)
    spent(s3_proxy, lambda: folio.add_json("small", {"lr": 0.02}, overwrite=True), 2)
    spent(s3_proxy, lambda: folio.add_json("made", {"x": 1}, inputs=["small"], metadata={"q": 0.9}, tags=["t"]), 2)
    spent(s3_proxy, lambda: folio.add_numpy("array", array), 4)
    spent(s3_proxy, lambda: folio.add_numpy("array again", array), 3)  # nothing is stored twice

    def batch() -> None:
        with lake.batch("many"):
            for number in range(1000):
                folio.add_json(f"i{number}", {"n": number})

    spent(s3_proxy, batch, 2)


def test_reading(lake: lf.Lake, s3_proxy: CountingProxy) -> None:
    folio = lake.folio("f")
    folio.add_numpy("array", np.arange(2**17))
    spent(s3_proxy, lambda: folio.get_json("first"), 1)
    spent(s3_proxy, lambda: folio.get_numpy("array"), 2)
    lake.sql("select * from items").fetchall()
    spent(s3_proxy, lambda: lake.sql("select count(*) from lineage_edges").fetchall(), 1)
    spent(s3_proxy, lambda: folio.list_contents(), 1)
    spent(s3_proxy, lambda: folio.get_inputs("second"), 2)
    spent(s3_proxy, lambda: lake.at(1).folio("f").get_json("first"), 2)


def test_every_commit_is_a_data_file_and_a_log_entry(lake: lf.Lake, s3_proxy: CountingProxy) -> None:
    """Whatever it says, and exactly these two where its writer is warm and need not look first."""
    folio = lake.folio("f")
    run = lake.create_run("r", params={"lr": 0.1}, tags=["t"])
    changes = {
        "inputs and metadata": lambda: folio.add_json(
            "made", 1, inputs=["first", "s3://b/x"], metadata={"a": 1, "b": "x"}
        ),
        "update": lambda: folio.update_item("made", description="d", metadata={"c": 3}),
        "archive": lambda: folio.archive("made"),
        "facts of the folio": lambda: folio.metadata.update({"k": 1}),
        "inputs of a run": lambda: run.add_input("first", "f:first@1"),
        "facts of a run": lambda: run.set_params(x=1),
        "an output": lambda: run.add_output("out", [1, 2]),
        "the end of a run": lambda: run.finish(),
        "snapshot": lambda: lake.snapshot("s"),
        "restore": lambda: lake.restore("s"),
        "delete": lambda: folio.delete("made", warn_dependents=False),
    }
    for what, change in changes.items():
        before = lake.version
        with s3_proxy.count() as count:
            change()
        commits = lake.version - before
        puts = {kind: number for kind, number in count.by_kind.items() if kind[0] == "PUT"}
        assert puts == ({("PUT", "data"): commits, ("PUT", "log"): commits} if commits else {}), (what, str(count))
        assert commits == (what != "restore"), what
    spent(s3_proxy, lambda: folio.add_json("more", 1, inputs=["first"], metadata={"q": 0.9}), 2)
    with s3_proxy.count() as whole:
        lake.create_run("empty").finish()
    assert whole.total <= 6, str(whole)


def test_other_changes(lake: lf.Lake, s3_proxy: CountingProxy) -> None:
    folio = lake.folio("f")
    spent(s3_proxy, lambda: folio.delete("second", warn_dependents=False), 3)
    spent(s3_proxy, lambda: lake.snapshot("one"), 3)
    spent(s3_proxy, lambda: folio.metadata.update({"a": 1, "b": 2}), 4)


def test_an_objection_costs_one_look(lake: lf.Lake, s3_proxy: CountingProxy) -> None:
    with s3_proxy.count() as count, pytest.raises(lf.AlreadyExistsError):
        lake.folio("f").add_json("first", 2)
    assert count.total <= 1, str(count)


def test_opening(s3_uri: str, s3_proxy: CountingProxy) -> None:
    lake = lf.open(s3_uri, storage_options=s3_proxy.storage_options)
    for number in range(120):
        lake.folio("f").add_json(f"i{number}", number)
    lake.compact()
    with s3_proxy.count() as count:
        lf.open(s3_uri, storage_options=s3_proxy.storage_options)
    data_files = 1
    assert count.total <= 6 + data_files, str(count)
    opened = lf.open(s3_uri, storage_options=s3_proxy.storage_options, read_only=True)
    assert len(opened.folio("f").list_contents()["json_data"]) == 120


def test_upkeep_is_paid_every_fifty_commits(s3_uri: str, s3_proxy: CountingProxy) -> None:
    lake = lf.open(s3_uri, storage_options=s3_proxy.storage_options)
    lake.folio("f").add_json("first", 1)
    with s3_proxy.count() as count:
        for number in range(100):
            lake.folio("f").add_json(f"i{number}", number)
    assert count.total <= 100 * 2 + 2 * 6, str(count)


def test_check_lists_the_blobs_and_asks_for_none(lake: lf.Lake, s3_proxy: CountingProxy) -> None:
    with lake.batch():
        for number in range(100):
            lake.folio("f").add_artifact(f"blob {number}", bytes([number]) * 5000)
    with s3_proxy.count() as count:
        report = lake.check()
    assert (report.ok, report.counts["blobs"]) == (True, 100)
    assert (count.by_kind["LIST", "blob"], count.by_kind["HEAD", "blob"], count.by_kind["GET", "blob"]) == (1, 0, 0)
    assert count.total <= 60, str(count)  # of the tables, whatever the number of blobs


def test_planning_gc_costs_as_much_as_opening_and_a_listing(lake: lf.Lake, s3_proxy: CountingProxy) -> None:
    for number in range(10):
        lake.folio("f").add_artifact("x", bytes([number]) * 5000, overwrite=True)
    lake.compact()
    with s3_proxy.count() as count:
        report = lake.gc(grace=0, keep_last=1)
    assert report.deleted_blobs == 9
    assert (count.by_kind["LIST", "blob"], count.by_kind["HEAD", "blob"], count.by_kind["GET", "blob"]) == (1, 0, 0)
    assert count.total <= 24, str(count)


def test_opening_a_large_lake_and_getting_one_item(s3_uri: str, s3_proxy: CountingProxy) -> None:
    """With nothing at hand: what it takes depends on how much was committed since the last maintenance, not on all."""
    writer = lf.open(s3_uri)
    for start in range(0, 20_000, 4_000):
        with writer.batch():
            for number in range(start, start + 4_000):
                writer.folio(f"f{number % 50}").add_json(f"i{number}", {"n": number}, metadata={"k": number})
    writer.compact()
    writer.folio("f0").add_json("later", 1)
    with s3_proxy.count() as count:
        found = lf.open(s3_uri, storage_options=s3_proxy.storage_options, create=False).folio("f7").get("i7")
    assert found == {"n": 7}
    assert count.total <= 14, str(count)  # of which a merged file takes three: its content is read by ranges
    sizes = {info.key: info.size_bytes for info in open_store(s3_uri).list("")}
    read = sum(asked_for(request, sizes) for request in count.requests if request.operation == "GET")
    assert 0 < read <= 8 << 20


def asked_for(request: Request, sizes: dict[str, int]) -> int:
    """Return how many bytes a GET is answered with."""
    size = next((size for key, size in sizes.items() if request.key.endswith(f"/{key}")), 0)
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
    if asked is None:
        return size
    if not asked[1]:
        return int(asked[2])
    return min(int(asked[2] or size - 1), size - 1) - int(asked[1]) + 1
