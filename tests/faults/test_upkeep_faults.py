"""gc and compaction on S3, killed or disturbed at every request: nothing needed is lost, and the next one finishes."""

from __future__ import annotations

from pathlib import Path

import pytest
from inside import session_of
from killing import Nursery, killed_at_each_request

import lakefolio as lf
from lakefolio.errors import ConflictError
from lakefolio.format.layout import blob_key
from lakefolio.maintenance.purge import Purger
from lakefolio.storage import open_store
from lakefolio.testing import CountingProxy, Fault, Request, S3Server


def content(number: int) -> bytes:
    return bytes([number]) * 6000


def gc(lake: lf.Lake) -> None:
    lake.gc(dry_run=False, grace=0, keep_last=1)


def compact(lake: lf.Lake) -> None:
    lake.compact()


def fiftieth(lake: lf.Lake) -> None:
    """The commit that makes upkeep due."""
    lake.folio("f").add_json("fiftieth", 50, metadata={"n": 50})


def migrate(lake: lf.Lake) -> None:
    """A migration that writes every data file anew."""
    lake.folio("f").table("t").add_column("n", "int64", fill=7)


CHILDREN = {"gc": gc, "compact": compact, "fiftieth": fiftieth, "migrate": migrate}


class Made:
    """A lake that is made once, and copied object by object to each place where it is needed."""

    def __init__(self, lake: lf.Lake, options: dict[str, str]) -> None:
        store = session_of(lake).store
        self.objects = {info.key: bytes(store.get(info.key)) for info in store.list("")}
        self.options = options
        self.version = lake.version

    def copy_to(self, uri: str) -> None:
        store = open_store(uri, self.options)
        store.parallel([lambda key=key, body=body: store.put(key, body) for key, body in self.objects.items()])


@pytest.fixture
def made(tmp_path: Path, s3_server: S3Server) -> Made:
    """Four entries of one item, a snapshot of the second, and what a killed writer left of another."""
    lake = lf.open(tmp_path / "lake")
    for number in range(4):
        lake.folio("f").add_artifact("x", content(number), overwrite=True, metadata={"n": number})
    lake.snapshot("keep", at=2)
    session_of(lake).store.create(blob_key("sha256:" + "ab" * 32), b"stray")
    return Made(lake, s3_server.storage_options)


@pytest.fixture
def busy(tmp_path: Path, s3_server: S3Server) -> Made:
    """A lake at version 49, with a few commits since its last compaction, with inputs and metadata."""
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add_json("first", 0)
    for number in range(1, 48):
        lake.folio("f").add_json(f"i{number % 7}", number, overwrite=True, inputs=["first"], metadata={"n": number})
        if number == 43:
            lake.compact()
    assert lake.version == 49
    return Made(lake, s3_server.storage_options)


def judge_gc(uri: str, options: dict[str, str], what: str) -> None:
    lake = lf.open(uri, storage_options=options)
    report = lake.check(read_data=True)
    assert report.ok, f"{what}: {report}"
    folio = lake.folio("f")
    assert (folio.get("x"), folio.get("x", at="keep")) == (content(3), content(1)), what
    assert {2, 4} <= readable(lake), what
    gc(lake)
    assert len(list(session_of(lake).store.list("blobs/"))) == 2, what
    assert lake.sql("select count(*) from manifests where op = 'purge'").fetchone() == (3,), what
    assert readable(lake) == {2, 4}, what
    assert lake.check(read_data=True).ok, what


def readable(lake: lf.Lake) -> set[int]:
    """Return the versions whose content is there and right; that of the others is said to be given up."""
    found = set()
    for version in range(1, 5):
        try:
            assert lake.folio("f").get("x", at=version) == content(version - 1)
            found.add(version)
        except lf.NotFoundError as exc:
            assert (exc.kind, exc.objects["reason"]) == ("content-purged", "history")
    return found


def test_gc_may_be_killed_at_any_request(made: Made, s3_server: S3Server, s3_proxy: CountingProxy, s3_uri: str) -> None:
    def judged(uri: str, finished: bool, what: str) -> None:
        judge_gc(uri, s3_server.storage_options, what)

    with Nursery("test_upkeep_faults", s3_proxy.storage_options) as nursery:
        assert killed_at_each_request(nursery, s3_proxy, s3_uri, "gc", made.copy_to, judged) >= 10


def test_a_migration_may_be_killed_at_any_request(
    tmp_path: Path, s3_server: S3Server, s3_proxy: CountingProxy, s3_uri: str
) -> None:
    """The table is what it was, or wholly migrated; another try does the rest, and gc removes what was left."""
    lake = lf.open(tmp_path / "lake")
    table = lake.folio("f").create_table("t", {"k": "int64"}, key="k")
    for number in range(3):
        table.append({"k": number})
    lake.snapshot("before")
    old, new = [{"k": one} for one in range(3)], [{"k": one, "n": 7} for one in range(3)]

    def judged(uri: str, finished: bool, what: str) -> None:
        found = lf.open(uri, storage_options=s3_server.storage_options)
        assert found.check(read_data=True).ok, what
        now = found.folio("f").table("t")
        rows, is_new = now.query(order="k", as_="arrow").to_pylist(), len(now.schema.migrations) == 1
        assert rows == (new if is_new else old), what
        assert is_new or not finished, what
        if not is_new:
            migrate(found)
        found.gc(dry_run=False, grace=0)
        assert now.query(order="k", as_="arrow").to_pylist() == new, what
        assert found.folio("f").table("t", at="before").query(order="k", as_="arrow").to_pylist() == old, what
        assert found.check(read_data=True).ok, what

    with Nursery("test_upkeep_faults", s3_proxy.storage_options) as nursery:
        made = Made(lake, s3_server.storage_options)
        assert killed_at_each_request(nursery, s3_proxy, s3_uri, "migrate", made.copy_to, judged) >= 8


def answers(lake: lf.Lake, version: int) -> object:
    past = lake.at(version)
    return [(entry, past.get(f"{entry.folio}:{entry.item}")) for entry in past.items()]


@pytest.mark.parametrize("name", ["compact", "fiftieth"])
def test_compaction_may_be_killed_at_any_request(
    name: str, busy: Made, tmp_path: Path, s3_server: S3Server, s3_proxy: CountingProxy, s3_uri: str
) -> None:
    """By hand, and by the writer whose commit makes it due. Every version keeps its answer."""
    original = lf.open(tmp_path / "lake")
    wanted = {version: answers(original, version) for version in range(50)}

    def judged(uri: str, finished: bool, what: str) -> None:
        lake = lf.open(uri, storage_options=s3_server.storage_options)
        assert {version: answers(lake, version) for version in wanted} == wanted, what
        report = lake.check(read_data=True)
        assert report.ok, f"{what}: {report}"
        folio = lake.folio("f")
        assert "fiftieth" in folio or name != "fiftieth" or not finished, what
        if "fiftieth" in folio:
            assert (folio.get("fiftieth"), folio.item_info("fiftieth")["metadata"]) == (50, {"n": 50}), what
        commits = lake.sql("select count(*), count(distinct commit_id) from manifests").fetchone()
        assert commits == (48 + ("fiftieth" in folio),) * 2, what
        lake.folio("f").add_json("after", 1, metadata={"k": 1})
        lake.compact()
        assert len(session_of(lake).journal.data_files("manifests")) == 1
        report = lake.check()
        assert report.ok, f"{what}: {report}"

    with Nursery("test_upkeep_faults", s3_proxy.storage_options) as nursery:
        assert killed_at_each_request(nursery, s3_proxy, s3_uri, name, busy.copy_to, judged) >= 5


def test_the_answer_to_any_write_of_gc_may_be_lost(
    made: Made, s3_server: S3Server, s3_proxy: CountingProxy, s3_uri: str
) -> None:
    """What took effect is recognised: gc gets through, and counts what it did once. (Reads are simply repeated.)"""
    k = 1
    while True:
        uri = f"{s3_uri}/{k}"
        made.copy_to(uri)
        lake = lf.open(uri, storage_options=s3_proxy.storage_options)
        count = 0

        def once(request: Request, k: int = k) -> Fault | None:
            nonlocal count
            count += request.operation not in ("GET", "HEAD", "LIST")
            return Fault("drop_response") if count == k else None

        with s3_proxy.faulty(once):
            report = lake.gc(dry_run=False, grace=0, keep_last=1)
        assert (report.purged_blobs, report.deleted_blobs) == (3, 3), f"request {k}"
        if count < k:
            break
        fresh = lf.open(uri, storage_options=s3_server.storage_options)
        assert fresh.sql("select count(*) from manifests where op = 'purge'").fetchone() == (3,), f"request {k}"
        k += 1
    assert k > 3
    judge_gc(uri, s3_server.storage_options, "undisturbed")


@pytest.mark.parametrize("losses", [3, 10**9])
def test_gc_beside_a_writer_who_is_faster(losses: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks for less at a time, and gets through in the end, or says that it could not and has harmed nothing."""
    lake, other = lf.open(tmp_path / "lake"), lf.open(tmp_path / "lake")
    store = session_of(lake).store
    for number in range(120):
        store.create(blob_key(f"sha256:{number:064x}"), b"stray")
    monkeypatch.setattr("lakefolio.maintenance.purge._PATIENCE_S", 0.5)
    agreed, sizes = Purger._agreed, []

    def overtaken(self: Purger, some: list[object]) -> list[object]:
        sizes.append(len(some))
        if len(sizes) <= losses:
            other.folio("f").add_json("x", len(sizes), overwrite=True)
        return agreed(self, some)  # type: ignore[arg-type, return-value]

    monkeypatch.setattr(Purger, "_agreed", overtaken)
    if losses > 3:
        with pytest.raises(ConflictError) as caught:
            lake.gc(dry_run=False, grace=0)
        assert caught.value.kind == "contention"
        monkeypatch.undo()
    assert lake.gc(dry_run=False, grace=0).deleted_blobs == 120
    assert (sizes[0], sizes[1]) == (120, 50)
    assert lake.check().ok
    assert not list(store.list("blobs/"))
