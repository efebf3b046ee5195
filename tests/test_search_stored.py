"""The search index that lies in a lake: it answers as one in memory, at few requests, and is never believed blindly."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.search import upkeep
from lakefolio.search.index_files import PREFIX
from lakefolio.search.reading import _Indexes
from lakefolio.testing import CountingProxy, S3Server

WORDS = "fog snow rain hail sun wind delayed delays delaying airport planes late flight weather"
QUERIES = [
    *("fog", "fog -snow", "delays", "delayed rain", "+airport late", '"snow rain"', "kind:json", "item 1", "Item 12"),
    *("name:item*", "metadata.owner:ada", "tag:clean fog", "wethr", "flig*", "nothing", "", "-fog", "zzzz"),
    *("fog AND (sun OR hail)", "folio:f1 fog", "author:ada", "airprot wind", '"blizzard"', "status:done", "planes"),
]


@pytest.fixture(autouse=True)
def indexed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "INDEXED_FROM", 0)


def fill(lake: lf.Lake, count: int, seed: int = 1) -> None:
    chance = random.Random(seed)
    with lake.batch("all"):
        for number in range(count):
            folio = lake.folio(f"f{chance.randrange(4)}/x" if number % 3 else f"f{chance.randrange(4)}")
            text = " ".join(chance.choices(WORDS.split(), k=chance.randrange(1, 9)))
            folio.add(
                f"{chance.choice(WORDS.split())}/Item {seed}{number}",
                {"text": text} if number % 4 else np.zeros(number % 5),
                description=" ".join(chance.choices(WORDS.split(), k=chance.randrange(1, 9))),
                tags=chance.sample(["clean", "draft", "old"], chance.randrange(3)),
                metadata={"owner": chance.choice(["ada", "bob"])},
            )


def make(lake: lf.Lake) -> None:
    session = session_of(lake)
    session.journal.refresh()
    assert upkeep.make_index(session) is not None


def index_of(lake: lf.Lake):
    session = session_of(lake).still()
    return session.opened.part(_Indexes, _Indexes).at(session, whole=False)


def answers(lake: lf.Lake) -> list[object]:
    found = [lake.search(query, meaning=False, limit=7) for query in QUERIES]
    return [
        (one.query, one.total, one.facets, [(hit.ref, round(hit.score, 3), hit.why, hit.highlights) for hit in one])
        for one in found
    ]


def objects(uri: str) -> list[Path]:
    return sorted((Path(uri) / PREFIX).iterdir())


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return str(tmp_path / "lake")


def test_it_answers_as_one_in_memory(uri: str) -> None:
    lake = lf.open(uri, author="ada")
    fill(lake, 150)
    with lake.run("train") as run:
        run.log(score=1)
    expected = answers(lf.open(uri))
    make(lake)
    stored = lf.open(uri)
    assert answers(stored) == expected
    assert index_of(stored).stored is not None
    assert lf.open(uri).search("fog", folio="f1").facets == lake.search("fog", folio="f1").facets
    assert lf.open(uri).search("fog", kind="json").total == lake.search("fog", kind="json").total
    assert lake.check(read_data=True).ok


def test_what_changed_since_is_laid_over(uri: str) -> None:
    lake = lf.open(uri, author="ada")
    fill(lake, 80)
    make(lake)
    before = lake.version
    stored = lf.open(uri)
    assert stored.search("blizzard").total == 0
    names = [(item.folio, item.name) for item in lake.search("", limit=200) if item.type == "item"]
    lake.folio(names[0][0]).delete(names[0][1])
    lake.folio(names[1][0]).archive(names[1][1])
    lake.folio(names[2][0]).add(names[2][1], {"text": "a blizzard"}, overwrite=True, keep=True)
    lake.folio("new").add("notes.txt", b"a blizzard in march")
    lake.folio("new").add("long", {"text": "x" * 5_000 + " avalanche"})
    with lake.run("train") as run:
        run.log(score=1)
    fresh = lf.open(uri)
    assert index_of(fresh).stored == before
    assert answers(stored) == answers(fresh)
    assert fresh.search("blizzard").total == 2
    assert [one.name for one in fresh.search("avalanche")] == ["long"]
    for path in objects(uri):
        path.unlink()
    assert answers(fresh) == answers(lf.open(uri))  # an index in memory, made of all
    assert lf.open(uri).search("blizzard", at=before).total == 0


def test_an_index_that_is_damaged_or_foreign_is_not_believed(uri: str, tmp_path: Path) -> None:
    lake = lf.open(uri)
    fill(lake, 60)
    expected = answers(lf.open(uri))
    make(lake)
    saved = {path: path.read_bytes() for path in objects(uri)}
    for path, body in saved.items():
        for place in (10, len(body) // 2, len(body) - 20):
            path.write_bytes(body[:place] + bytes([body[place] ^ 0x55]) + body[place + 1 :])
            assert answers(lf.open(uri)) == expected, (path.name, place)
        path.unlink()
        assert answers(lf.open(uri)) == expected, path.name
        path.write_bytes(body)
    other = lf.open(tmp_path / "other")
    fill(other, 70, seed=2)
    expected = answers(lf.open(tmp_path / "other"))
    (tmp_path / "other" / PREFIX).mkdir(parents=True)
    for path, body in saved.items():
        (tmp_path / "other" / PREFIX / path.name).write_bytes(body)
    assert answers(lf.open(tmp_path / "other")) == expected
    assert [one.kind for one in other.check().problems] == ["index-differs"]


def test_check_tells_an_index_that_says_something_else(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lf.open(uri)
    fill(lake, 30)
    whole = upkeep.all_documents
    with monkeypatch.context() as patched:
        patched.setattr(upkeep, "all_documents", lambda session: list(whole(session))[1:])
        make(lake)
    assert lake.check().ok
    assert [one.kind for one in lake.check(read_data=True).problems] == ["index-differs"]


def test_purged_content_leaves_no_words_behind(uri: str) -> None:
    lake = lf.open(uri)
    folio = lake.folio("f")
    folio.add("secret", {"text": "avalanche"})
    folio.add("other", {"text": "fog"})
    make(lake)
    assert len(objects(uri)) == 4
    folio.add("secret", {"text": "nothing"}, overwrite=True)
    lake.gc(dry_run=True, keep_last=1, grace=0)
    assert len(objects(uri)) == 4
    lake.gc(dry_run=False, keep_last=1, grace=0)
    assert objects(uri) == []
    assert lf.open(uri).search("avalanche").total == 0


def test_an_index_made_while_content_was_purged_is_given_up(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lf.open(uri)
    folio = lake.folio("f")
    folio.add("secret", {"text": "avalanche"})
    made = upkeep.files_of

    def purged_meanwhile(*given):
        files = made(*given)
        folio.add("secret", {"text": "nothing"}, overwrite=True)
        lake.gc(dry_run=False, keep_last=1, grace=0)
        return files

    monkeypatch.setattr(upkeep, "files_of", purged_meanwhile)
    assert upkeep.make_index(session_of(lake)) is None
    assert objects(uri) == []


def test_compaction_makes_it_and_gc_keeps_the_newest(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lf.open(uri)
    fill(lake, 40)
    lake.compact()
    first = objects(uri)
    assert len(first) == 4
    lake.compact()  # nothing has changed
    assert objects(uri) == first
    fill(lake, 10, seed=2)
    lake.compact()
    assert len(objects(uri)) == 8
    monkeypatch.setattr("lakefolio.maintenance.gc._INDEX_AGE_S", 0)
    lake.gc(dry_run=False, grace=0)
    assert len(objects(uri)) == 4
    assert not set(objects(uri)) & set(first)
    monkeypatch.setattr(upkeep, "INDEXED_FROM", 10**9)
    fill(lake, 10, seed=3)
    lake.compact()
    assert len(objects(uri)) == 4


def test_a_cold_search_takes_few_requests() -> None:
    with S3Server() as server, CountingProxy(server) as proxy:
        lake = lf.open(server.uri("lakes/search"), storage_options=server.storage_options)
        fill(lake, 200)
        lake.compact()
        cold = lf.open(server.uri("lakes/search"), storage_options=proxy.storage_options)
        with proxy.count() as count:
            found = cold.search("delayed weather fog", limit=1)
        assert found.total > 10
        assert count.total <= 8, count.by_operation
