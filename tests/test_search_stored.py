"""The search index that lies in a lake: it answers as one in memory, at few requests, and is never believed blindly."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import shutil
import tempfile
import warnings
import weakref
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.process.notice import LakefolioWarning
from lakefolio.readmodels.cache import Cache
from lakefolio.search import answer as answers_module
from lakefolio.search import (
    chunks,
    index_files,
    index_making,
    reading,
    rows_aside,
    stored_part,
    upkeep,
    word_group,
)
from lakefolio.search.answer import answer
from lakefolio.search.document import ASIDE, Document, Label
from lakefolio.search.document_rows import documents_of, tables_of
from lakefolio.search.documents import all_documents, heads, item_documents, run_documents
from lakefolio.search.facets import Column
from lakefolio.search.gathering import BITS, Gathering
from lakefolio.search.index import Index
from lakefolio.search.index_files import COLUMNS, NAME, PREFIX, IndexName
from lakefolio.search.index_making import files_of
from lakefolio.search.parse import parse
from lakefolio.search.reading import _Indexes
from lakefolio.testing import CountingProxy, S3Server

WORDS = "fog snow rain hail sun wind delayed delays delaying airport planes late flight weather"
QUERIES = [
    *("fog", "fog -snow", "delays", "delayed rain", "+airport late", '"snow rain"', "kind:json", "item 1", "Item 12"),
    *("name:item*", "metadata.owner:ada", "tag:clean fog", "wethr", "flig*", "nothing", "", "-fog", "zzzz"),
    *("fog AND (sun OR hail)", "folio:f1 fog", "author:ada", "airprot wind", '"blizzard"', "status:done", "planes"),
]

Forgery = Callable[[dict[str, bytes], dict[str, Any]], None]


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
    session = session_of(lake).steady()
    return session.opened.part(_Indexes, _Indexes).at(session, whole=False)


def answers(lake: lf.Lake, queries: list[str] = QUERIES) -> list[object]:
    found = [lake.search(query, meaning=False, limit=7) for query in queries]
    return [
        (one.query, one.total, one.facets, [(hit.ref, round(hit.score, 3), hit.why, hit.highlights) for hit in one])
        for one in found
    ]


def drawn(count: int) -> Iterator[Document]:
    """Give documents of a few common words and many rare ones, in order."""
    chance = random.Random(3)
    for number in range(count):
        words = [*chance.choices(WORDS.split(), k=9), *(f"rare{chance.randrange(count)}" for _ in range(3))]
        name = chance.choice(["Same Name", f"item {number}", "äther"])
        texts = (("name", name), ("description", " ".join(words)), ("tag", chance.choice("abc")))
        yield Document(f"e{number:04}", "item", f"f:n{number:04}@1", name, texts, "f", "json", tags=("a", "a", "b"))


def part_of(documents: list[Document], folder: Path, chunk_characters: int):
    folder.mkdir()
    files = files_of(tables_of(documents), folder, chunk_characters)
    return upkeep._as_part(files, "0" * 32, IndexName(1, "a" * 32, 0, ""))


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
    some = ["fog -snow", "tag:clean fog", "wethr", "flig*"]
    expected = answers(lf.open(uri), some)
    make(lake)
    saved = {path: path.read_bytes() for path in objects(uri)}
    for path, body in saved.items():
        for place in (10, len(body) // 2, len(body) - 20):
            path.write_bytes(body[:place] + bytes([body[place] ^ 0x55]) + body[place + 1 :])
            assert answers(lf.open(uri), some) == expected, (path.name, place)
        path.unlink()
        assert answers(lf.open(uri), some) == expected, path.name
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
        patched.setattr(upkeep, "all_documents", lambda session: (rows.slice(1) for rows in whole(session)))
        make(lake)
    assert lake.check().ok
    assert [one.kind for one in lake.check(read_data=True).problems] == ["index-differs"]


def _directory(**said: Any) -> Forgery:
    return lambda files, directory: directory.update(said)


def _texts_of(name: str, **said: Any) -> Forgery:
    return lambda files, directory: directory[name].update({**directory[name], **said})


def _column(name: str, texts: list[str], sizes: list[int], numbers: list[int]) -> Forgery:
    return _column_bytes(
        name, Column(pa.array(texts, pa.string()), np.array(sizes, np.int32), np.array(numbers, np.int32)).packed()
    )


def _column_bytes(name: str, body: bytes) -> Forgery:
    def forge(files: dict[str, bytes], directory: dict[str, Any]) -> None:
        said, number = directory["columns"], COLUMNS.index(name)
        ends = sum(directory["words"]["lengths"]) + np.cumsum(said["lengths"])
        start, stop = int(ends[number]) - said["lengths"][number], int(ends[number])
        files["words"] = files["words"][:start] + body + files["words"][stop:]
        said["lengths"][number] = len(body)
        digests = base64.b64decode(said["digests"])
        digest = index_files.digest_of(body)
        said["digests"] = base64.b64encode(digests[: 8 * number] + digest + digests[8 * number + 8 :]).decode()

    return forge


def _words(group: Callable[[bytes], bytes]) -> Forgery:
    def forge(files: dict[str, bytes], directory: dict[str, Any]) -> None:
        assert len(directory["words"]["lengths"]) == 1
        size = directory["words"]["lengths"][0]
        made = group(files["words"][:size])
        files["words"] = made + files["words"][size:]
        digest = base64.b64encode(index_files.digest_of(made)).decode()
        directory["words"].update(lengths=[len(made)], digests=digest)

    return forge


def _weights(group: bytes) -> bytes:
    plain = bytearray(word_group.expanded(group))
    words, postings, refs, _ = np.frombuffer(bytes(plain[:16]), "<i4").tolist()
    start = 16 + 4 * (2 * words + refs + postings)
    plain[start : start + 4 * postings] = b"\xff" * (4 * postings)
    return word_group.shrunk(bytes(plain))


FORGERIES: dict[str, tuple[Forgery, bool]] = {
    "more documents than memory": (_directory(counts=[2**40], count=2**40), True),
    "fewer than no documents": (_directory(counts=[2**63 - 1, 2**63 - 1], count=-2), True),
    "a block of too many": (_directory(counts=[10**9], count=10**9), True),
    "no weight": (_directory(total_length=float("nan")), True),
    "another weight": (_directory(total_length=1.0), False),
    "other kinds": (_directory(kinds=["x"]), False),
    "no columns": (_directory(columns={}), True),
    "columns larger than memory": (_texts_of("columns", lengths=[2**31] * 6), True),
    "other columns": (_texts_of("columns", firsts=["x"] * 6), True),
    "datasets beyond the end": (_directory(aside={**{key: [0, 0] for key in ASIDE}, "datasets/": [0, 61]}), True),
    "all are members of datasets": (_directory(aside={key: [0, 60] for key in ASIDE}), False),
    "no word of code": (_directory(aside={"datasets/": [0, 0]}), True),
    "a block larger than memory": (_texts_of("texts", lengths=[2**40]), True),
    "blocks that wrap": (_texts_of("texts", lengths=[2**63 - 1]), True),
    "an empty group": (_words(lambda group: b""), True),
    "a group cut off": (_words(lambda group: group[: len(group) // 2]), True),
    "no words": (_words(lambda group: word_group.shrunk(bytes(16))), False),
    "weights that are none": (_words(_weights), True),
    "no vocabulary": (_column("vocabulary", [], [], []), False),
    "a word in fewer than no documents": (_column("vocabulary", ["weather"], [], [-1]), True),
    "more words than counts": (_column("vocabulary", ["weather", "fog"], [], [1]), True),
    "a column of 4 GB": (_column_bytes("vocabulary", (2**32 - 1).to_bytes(4, "little") + b"x"), True),
    "a column of nothing": (_column_bytes("tag", b""), True),
    "a column cut off": (_column_bytes("kind", word_group.shrunk(b"\xff\xff\xff\x7f" * 3)), True),
    "fewer than no kinds": (_column_bytes("kind", word_group.shrunk(b"\xff\xff\xff\xff" * 3)), True),
    "a kind that there is not": (_column("kind", ["json"], [], [1] * 60), True),
    "kinds of fewer documents": (_column("kind", ["json"], [], [0] * 59), True),
    "tags of fewer documents": (_column("tag", ["clean"], [1] * 59, [0] * 59), True),
    "tags that end elsewhere": (_column("tag", ["clean"], [1] * 60, [0] * 61), True),
    "fewer than no tags": (_column("tag", ["clean"], [2, -1, *[1] * 58], [0] * 59), True),
    "a document without a tag": (_column("tag", ["clean"], [1] * 60, [-1] * 60), True),
}
"""Something else said under digests and a seal that are right, and whether nobody can believe it."""


@pytest.mark.filterwarnings("error")
def test_an_index_that_someone_forged_ends_no_search_and_is_told(uri: str) -> None:
    lake = lf.open(uri)
    fill(lake, 60)
    queries = ["fog -snow", "tag:clean fog", "wethr", "flig*"]
    expected = answers(lf.open(uri), queries)
    make(lake)
    session = session_of(lake)
    assert list(upkeep.audit(session, read_data=True)) == []
    saved = {path: path.read_bytes() for path in objects(uri)}
    name = next(found for path in saved if (found := IndexName.parse(f"{PREFIX}/{path.name}")))
    parts = {path.suffix[1:].partition("-")[0]: body for path, body in saved.items()}
    for what, (forge, unbelievable) in FORGERIES.items():
        files = {**parts, "words": parts["words"][: -name.footer_bytes]}
        directory = json.loads(zlib.decompress(parts["words"][-name.footer_bytes :]))
        forge(files, directory)
        footer = zlib.compress(json.dumps(directory).encode())
        files["words"] += footer
        forged = IndexName.of(name.version, name.id, footer, session.marker.lake_id)
        for path in objects(uri):
            path.unlink()
        for one, body in files.items():
            (Path(uri) / forged.key(one)).write_bytes(body)
        found = answers(lf.open(uri), queries)
        assert not unbelievable or found == expected, what
        assert len(list(upkeep.audit(session, read_data=True))) == 1, what


@pytest.mark.parametrize("count", [0, 1])
def test_an_index_of_next_to_nothing_is_whole(uri: str, count: int) -> None:
    lake = lf.open(uri)
    fill(lake, count)
    make(lake)
    assert list(upkeep.audit(session_of(lake), read_data=True)) == []
    assert len(lf.open(uri).search("", meaning=False)) == count


def test_purged_content_leaves_no_words_behind(uri: str) -> None:
    lake = lf.open(uri)
    folio = lake.folio("f")
    folio.add("secret", {"text": "avalanche"})
    folio.add("other", {"text": "fog"})
    make(lake)
    assert len(objects(uri)) == 2
    folio.add("secret", {"text": "nothing"}, overwrite=True)
    lake.gc(dry_run=True, keep_last=1, grace=0)
    assert len(objects(uri)) == 2
    lake.gc(dry_run=False, keep_last=1, grace=0)
    assert objects(uri) == []
    assert lf.open(uri).search("avalanche").total == 0


def test_an_index_made_while_content_was_purged_is_given_up(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lf.open(uri)
    folio = lake.folio("f")
    folio.add("secret", {"text": "avalanche"})
    made = upkeep.files_of

    def purged_meanwhile(*given, **named):
        files = made(*given, **named)
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
    assert len(first) == 2
    lake.compact()  # nothing has changed
    assert objects(uri) == first
    fill(lake, 10, seed=2)
    lake.compact()
    assert len(objects(uri)) == 4
    monkeypatch.setattr("lakefolio.maintenance.gc._INDEX_AGE_S", 0)
    lake.gc(dry_run=False, grace=0)
    assert len(objects(uri)) == 2
    assert not set(objects(uri)) & set(first)
    monkeypatch.setattr(upkeep, "INDEXED_FROM", 10**9)
    fill(lake, 10, seed=3)
    lake.compact()
    assert len(objects(uri)) == 2


def test_all_documents_are_those_of_items_and_runs_in_order(uri: str) -> None:
    lake = lf.open(uri, author="ada")
    fill(lake, 120)
    lake.folio("f1").add("notes.txt", b"a text in a blob " * 20_000)
    lake.folio("f1").add("empty", {})
    lake.folio("f1").archive("empty")
    lake.folio("f1").add("many facts", [1], metadata={"b": 1, "a": "x", "c": None, "aa": [1]})
    lake.folio("f2").add("twice", [1], metadata={"a": 1})
    lake.folio("f2").add("twice", [2], overwrite=True, metadata={"b": 2})
    lake.folio("f2").update_item("twice", metadata={"c": 3})
    lake.folio("f2").add("twice more", [3], metadata={"d": 4})  # a blank comes before @ and after nothing
    lake.folio("f2").copy_item("twice", "copied")
    lake.folio("f2").rename("twice more", "twice-again")
    for number in range(3):
        with lake.run(f"train {number}", tags=["x"]) as run:
            run.log(score=number)
            run.set_params(lr=0.1, deep={"a": [1]})
    session = session_of(lake).steady()
    expected = [*item_documents(session, heads(session)), *run_documents(session)]
    found = [one for rows in all_documents(session) for one in documents_of(rows)]
    assert found == sorted(expected, key=lambda one: one.ref)
    assert Counter(one.type for one in found)["run"] == 3
    assert not any(one.ref.startswith("f1:empty@") for one in found)
    (twice,) = [one for one in found if one.ref.startswith("f2:twice@")]
    assert [text for field, text in twice.texts if field == "metadata"] == ["b 2", "c 3"]
    assert any("a text in a blob" in text for one in found for _, text in one.texts)


def test_the_files_do_not_depend_on_how_documents_fall_into_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "_GROUP_POSTINGS", 50)
    monkeypatch.setattr(chunks, "_GROUP_WORDS", 7)
    monkeypatch.setattr(index_making, "_VOCABULARY", 40)
    documents = list(drawn(400))
    aside: list[int] = []
    whole = index_making.put_aside
    monkeypatch.setattr(index_making, "put_aside", lambda *given: (aside.append(given[-1]), whole(*given)))
    bodies = []
    for number, characters in enumerate((1 << 30, 5_000, 1)):
        folder = tmp_path / str(number)
        folder.mkdir()
        aside.clear()
        files = files_of(tables_of(documents), folder, characters)
        assert len(aside) == {0: 1, 1: 7, 2: 400}[number]
        bodies.append([b"".join(files.pieces(what)) for what in ("texts", "words")])
        assert sorted(path.name for path in folder.iterdir()) == ["texts", "words"]
        assert files.footer == bodies[0][1][-len(files.footer) :]
    assert bodies[0] == bodies[1] == bodies[2]

    part = part_of(documents, tmp_path / "part", 5_000)
    gathering = Gathering()
    for rows in tables_of(documents):
        gathering.add(rows)
    table = gathering.done()
    assert len(part.directory.words.firsts) > 50
    assert part.total_length == table.lengths.sum()
    assert list(part.documents()) == [one._replace(id=one.ref) for one in documents]
    found = dict(part.words())
    assert list(found) == sorted(found)
    assert {word for word in found if not word.startswith(NAME)} == set(table.numbers)
    for word in table.numbers:
        assert all(map(np.array_equal, found[word], table.of(word)))
    assert found[NAME + "same name"].documents.tolist() == [
        number for number, one in enumerate(documents) if one.name == "Same Name"
    ]
    counts = Counter({word: len(table.of(word).documents) for word in table.numbers})
    most = sorted(sorted(counts), key=lambda word: -counts[word])[:40]
    stored, _, numbers = part.columns(["vocabulary"])["vocabulary"]
    assert dict(zip(stored.to_pylist(), numbers.tolist(), strict=True)) == {word: counts[word] for word in most}
    assert stored.to_pylist() == sorted(most)


def test_an_index_of_nothing(tmp_path: Path) -> None:
    part = part_of([], tmp_path / "part", 10)
    assert (part.count, list(part.documents()), list(part.words()), part.postings("fog")) == (0, [], [], None)
    assert part.kinds == ()
    assert [part.aside(start) for start in ASIDE] == [slice(0, 0)] * 3
    assert part.counts(["type", "tag"], np.zeros(0, np.int64)) == {"type": {}, "tag": {}}


def test_documents_are_not_held_while_the_files_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_making, "_BLOCK_DOCUMENTS", 2)
    given_so_far: list[weakref.ref[pa.Table]] = []
    most = 0

    def given() -> Iterator[pa.Table]:
        nonlocal most
        for one in drawn(300):
            rows = next(tables_of([one]))
            given_so_far.append(weakref.ref(rows))
            most = max(most, sum(known() is not None for known in given_so_far))
            yield rows
            del rows

    files_of(given(), tmp_path, 2_000)
    assert 0 < most < 5


def test_an_index_of_a_version_that_the_journal_lacks_is_told_and_replaced(uri: str, tmp_path: Path) -> None:
    """As in a copy that was made while the lake was written to, and then reaches versions of these numbers itself."""
    lake = lf.open(uri)
    folio = lake.folio("f")
    folio.add_json("a", 1, description="first")
    lake.compact()
    shutil.copytree(uri, tmp_path / "copy")
    for number in range(3):
        folio.add_json("a", number, description="later", overwrite=True)
    make(lake)
    shutil.rmtree(tmp_path / "copy" / PREFIX, ignore_errors=True)
    shutil.copytree(Path(uri) / PREFIX, tmp_path / "copy" / PREFIX)
    copy = lf.open(tmp_path / "copy")
    assert len(copy.search("later", meaning=False)) == 0
    (problem,) = copy.check().problems
    assert (problem.kind, "beyond the journal" in problem.message) == ("index-differs", True)
    make(copy)
    assert copy.check(read_data=True).ok
    for number in range(5):
        copy.folio("f").add_json("b", number, overwrite=True)
    assert len(lf.open(tmp_path / "copy").search("later", meaning=False)) == 0


def test_an_index_of_another_journal_is_not_believed_once_the_copy_reaches_its_version(
    uri: str, tmp_path: Path
) -> None:
    lake = lf.open(uri)
    lake.folio("f").add_json("a", 1, description="first")
    lake.compact()
    shutil.copytree(uri, tmp_path / "copy")
    lake.folio("f").add_json("b", 1, description="later")
    make(lake)
    shutil.rmtree(tmp_path / "copy" / PREFIX, ignore_errors=True)
    shutil.copytree(Path(uri) / PREFIX, tmp_path / "copy" / PREFIX)
    copy = lf.open(tmp_path / "copy")
    copy.folio("f").add_json("c", 1, description="own")  # of the same number as the version that the index is of
    assert [len(copy.search(word, meaning=False)) for word in ("first", "own", "later")] == [1, 1, 0]
    (problem,) = copy.check().problems
    assert (problem.kind, "another journal" in problem.message) == ("index-differs", True)
    make(copy)
    assert copy.check(read_data=True).ok
    assert len(lf.open(tmp_path / "copy").search("own", meaning=False)) == 1


def test_an_index_that_does_not_say_whose_it_is_is_not_believed(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lf.open(uri)
    fill(lake, 20)
    with monkeypatch.context() as patched:
        patched.setattr(upkeep, "_entry_digest", lambda session, version: "")
        make(lake)
    assert index_of(lf.open(uri)).stored is None
    (problem,) = lake.check().problems
    assert (problem.kind, "compact replaces it" in problem.message) == ("index-differs", True)
    make(lake)
    assert lake.check().ok
    assert index_of(lf.open(uri)).stored is not None


def test_check_compares_all_words(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lf.open(uri)
    fill(lake, 30)
    whole = index_making.merged

    def without_the_first(paths):
        for rows in whole(paths):
            yield rows.part(1, len(rows.words))

    with monkeypatch.context() as patched:
        patched.setattr(index_making, "merged", without_the_first)
        make(lake)
        assert lake.check(read_data=True).ok
    lacking = lake.check(read_data=True).problems
    for path in objects(uri):
        path.unlink()
    make(lake)
    assert lake.check(read_data=True).ok
    monkeypatch.setattr(index_making, "merged", without_the_first)
    further = lake.check(read_data=True).problems
    assert [one.kind for one in (*lacking, *further)] == ["index-differs"] * 2
    assert lacking[0].message == further[0].message
    assert "other documents for" in lacking[0].message


def test_no_temporary_files_are_left(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lf.open(uri)
    fill(lake, 20)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    make(lake)
    assert lake.check(read_data=True).ok

    def failing(*given: object) -> None:
        raise lf.StorageError("no", kind="no-space")

    for path in objects(uri):
        path.unlink()
    monkeypatch.setattr(index_making, "put_aside", failing)
    with pytest.raises(lf.StorageError):
        lake.compact()
    assert [path for path in (tmp_path / "scratch").iterdir() if "process" not in path.name] == []


def test_of_too_many_entries_none_is_made(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lf.open(uri)
    fill(lake, 20)
    monkeypatch.setattr(upkeep, "INDEXED_TO", 19)
    with pytest.warns(LakefolioWarning, match="20 entries, more than 19") as told:
        lake.compact()
    assert [one.message.kind for one in told if isinstance(one.message, LakefolioWarning)] == ["no-search-index"]
    assert not (Path(uri) / PREFIX).exists()
    monkeypatch.setattr(upkeep, "WARNED_FROM", 20)
    with pytest.warns(LakefolioWarning, match="this search reads 20 entries into memory first.*more than 19") as told:
        found = lake.search("fog", meaning=False)
    assert [one.filename for one in told] == [__file__]
    monkeypatch.setattr(upkeep, "INDEXED_TO", 20)
    with pytest.warns(LakefolioWarning, match="compact` makes one"):
        assert lf.open(uri).search("fog", meaning=False).refs == found.refs
    lake.compact()
    with warnings.catch_warnings(action="error"):
        assert lf.open(uri).search("fog", meaning=False).refs == found.refs
    assert len(objects(uri)) == 2


def test_a_cold_search_takes_few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_GROUP_POSTINGS", 400)
    monkeypatch.setattr(index_making, "_BLOCK_DOCUMENTS", 1)  # as in a large lake each hit lies in a block of its own
    monkeypatch.setattr(stored_part, "_GAP_BYTES", 0)
    monkeypatch.setattr(stored_part, "_VAIN_BYTES", 0)
    with S3Server() as server, CountingProxy(server) as proxy:
        lake = lf.open(server.uri("lakes/search"), storage_options=server.storage_options)
        fill(lake, 200)
        lake.compact()
        starts = index_of(lake).parts[0][0].directory.columns.starts
        monkeypatch.setattr(stored_part, "_TAIL_BYTES", int(starts[-1] - starts[0]))  # as there are many words before
        expected = lake.search("delayed weather fog", limit=10, meaning=False)
        cold = lf.open(server.uri("lakes/search"), storage_options=proxy.storage_options)
        with proxy.count() as count:
            found = cold.search("delayed weather fog", limit=10)
            printed = str(found)
        assert found.refs == expected.refs
        assert found.total > 10
        assert count.total <= 6, [one.key for one in count.requests]
        for query in ("delaied", "fli*", "rain"):  # misspelt, a prefix, a common word
            again = lf.open(server.uri("lakes/search"), storage_options=proxy.storage_options)
            with proxy.count() as count:
                some = again.search(query, limit=10)
                assert all(one.ref in str(some) for one in some)
            assert some.refs == lake.search(query, limit=10).refs
            assert count.total <= 6, [one.key for one in count.requests]
        assert [line for line in str(expected).splitlines() if not line.startswith("      ")] == printed.splitlines()
        with proxy.count() as count:
            assert [one.why for one in found] == [one.why for one in expected]
            assert [(one.name, one.folio, one.kind) for one in found] == [(o.name, o.folio, o.kind) for o in expected]
        assert count.total == 0
        with proxy.count() as count:
            assert [one.to_dict() for one in found] == [one.to_dict() for one in expected]
        assert 5 < count.total <= 10, count.by_operation


def test_words_are_looked_for_in_no_group_that_has_none_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "_GROUP_POSTINGS", 50)
    documents = list(drawn(200))
    part = part_of(documents, tmp_path / "part", 5_000)
    plain = Index.of(documents).parts[0][0]
    read: set[int] = set()
    whole = part._groups
    monkeypatch.setattr(part, "_groups", lambda numbers: (read.update(numbers := list(numbers)), whole(numbers))[1])
    firsts = part.directory.words.firsts
    assert len(firsts) > 20
    for number, first in enumerate(firsts[1:], 1):
        for prefix in (first, first[:-1] or first, f"{first}~", chr(ord(first[0]) - 1) + "~"):
            read.clear()
            assert part.words_from(prefix, 9) == plain.words_from(prefix, 9) or first.startswith(NAME)
            assert all(firsts[one].startswith(prefix) for one in sorted(read)[1:]), (number, prefix)
    read.clear()
    assert list(part.named("zzzz")) == list(part.named("fog zzzz")) == []
    assert not any(firsts[one].startswith(NAME) for one in read)
    ((numbers, exact),) = part.named("same name")
    assert exact
    assert numbers.tolist() == [at for at, one in enumerate(documents) if one.name == "Same Name"]


def test_texts_of_many_documents_are_read_a_few_blocks_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_making, "_BLOCK_DOCUMENTS", 3)
    monkeypatch.setattr(stored_part, "_BLOCKS_AT_ONCE", 2)
    documents = [one._replace(description=f'],\n["{one.ref}\u2028') for one in drawn(60)]
    part = part_of(documents, tmp_path / "part", 5_000)
    sizes: list[int] = []
    whole = part._bodies
    monkeypatch.setattr(part, "_bodies", lambda what, spans: (sizes.append(len(spans)), whole(what, spans))[1])
    assert [one[1:10] for one in part.read(range(60)).values()] == [one[1:10] for one in documents]
    assert sorted(part.find([one.key for one in documents])) == list(range(60))
    assert (len(sizes), max(sizes)) == (20, 2)


def test_groups_that_lie_near_one_another_are_one_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_GROUP_POSTINGS", 50)
    monkeypatch.setattr(stored_part, "_GAP_BYTES", 0)
    monkeypatch.setattr(stored_part, "_TAIL_BYTES", 0)
    part = part_of(list(drawn(200)), tmp_path / "part", 5_000)
    spans = [part.directory.words.span(number) for number in (0, 8, 16)]
    calls: list[int] = []
    read = part._store.get_range
    monkeypatch.setattr(part._store, "get_range", lambda *given: (calls.append(given[2]), read(*given))[1])
    monkeypatch.setattr(stored_part, "_VAIN_BYTES", 0)
    apart = part._bodies("words", spans)
    assert calls == [length for _, length in spans]
    monkeypatch.setattr(stored_part, "_VAIN_BYTES", 1 << 20)
    assert part._bodies("words", spans) == apart
    assert calls[3:] == [spans[-1][0] + spans[-1][1] - spans[0][0]]


def test_words_of_a_phrase_that_stand_in_no_field_together_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [("name", "late train"), ("description", "fog at night")]
    documents = [
        Document(f"{at}", "item", f"f:{at}@1", "late train", (*texts, ("tag", "fog late" if at == 3 else "x")))
        for at in range(6)
    ]
    part = part_of(documents, tmp_path / "part", 5_000)
    index = Index([(part, np.ones(6, np.bool_))])
    read: list[int] = []
    whole = part.texts
    monkeypatch.setattr(part, "texts", lambda numbers, fields: (read.extend(numbers), whole(numbers, fields))[1])
    for query, right in (('"late fog"', []), ('"fog late"', [3]), ('description:"late fog"', [])):
        read.clear()
        found = answer(index, parse(query), query, version=1, limit=0, only={}, purged={}, members=True)
        assert (found.total, set(read)) == (len(right), set() if query.startswith("d") else {3}), query


def test_texts_of_some_fields_are_given_with_their_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_making, "_BLOCK_DOCUMENTS", 7)
    documents = list(drawn(60))
    part, plain = part_of(documents, tmp_path / "part", 5_000), Index.of(documents).parts[0][0]
    for fields in (BITS["name"], BITS["tag"] | BITS["description"], BITS["error"], 0):
        for numbers in (np.arange(60), np.array([3, 7, 13, 14, 59]), np.zeros(0, np.int64)):
            assert list(part.texts(numbers, fields)) == list(plain.texts(numbers, fields))
    assert next(part.texts(np.array([9]), BITS["description"])) == (9, documents[9].texts[1][1])


def test_texts_are_read_of_documents_alone_that_the_rest_of_a_query_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = ["owner ada", "owner bob", "height 3", "reader ada"]
    documents = [
        Document(
            f"{at}",
            "item",
            f"f:{at}@1",
            f"n{at}",
            (("name", f"n{at}"), ("description", "late fog"), ("tag", "x" if at % 2 else "y"), ("metadata", fact)),
        )
        for at, fact in enumerate(facts)
    ]
    part = part_of(documents, tmp_path / "part", 5_000)
    index = Index([(part, np.array([True, True, True, False]))])
    read: list[int] = []
    whole = part.texts
    monkeypatch.setattr(part, "texts", lambda numbers, fields: (read.extend(numbers), whole(numbers, fields))[1])
    for query, right, texts in (
        ('"late fog"', {0, 1, 2}, {0, 1, 2}),
        ('"late fog" AND tag:x', {1}, {1}),
        ('tag:x -"late fog"', set(), {1}),
        ('tag:x OR "late fog"', {0, 1, 2}, {0, 2}),
        ('-(tag:y OR "late fog")', set(), {1}),
        ("metadata.owner:ada", {0}, {0}),
        ('metadata.owner:ada AND "late fog" AND tag:x', set(), set()),
        ('-metadata.owner:ada AND NOT "fog late"', {1, 2}, {0, 1, 2}),
    ):
        read.clear()
        found = answer(index, parse(query), query, version=1, limit=0, only={}, purged={}, members=True)
        plain = answer(Index.of(documents[:3]), parse(query), query, version=1, limit=9, only={}, purged={})
        assert (found.total, set(read)) == (len(right), texts), query
        assert {int(one.name[1:]) for one in plain} == right, query


def test_many_names_that_begin_so_and_a_name_of_several_words_read_few_groups_and_no_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "_GROUP_POSTINGS", 40)
    monkeypatch.setattr(answers_module, "_NAMED", 10)
    names = [f"item-{at:04}" for at in range(200)]
    part = part_of(
        [Document(one, "item", f"f:{one}@1", one, (("name", one),), "f", "json") for one in names],
        tmp_path / "part",
        5_000,
    )
    index = Index([(part, np.ones(200, np.bool_))])
    read: list[int] = []
    whole = part.texts
    monkeypatch.setattr(part, "texts", lambda numbers, fields: (read.extend(numbers), whole(numbers, fields))[1])

    def asked(query: str):
        part._cache = Cache(1 << 20)
        index._frequencies.clear()
        found = answer(index, parse(query), query, version=1, limit=3, only={}, purged={}, members=True)
        return found, sum(part._cache.get(("words", one)) is not None for one in range(len(part._firsts)))

    assert len(part._firsts) > 10
    for query, total in (("item", 200), ("item*", 200), ("item-0042", 1)):
        found, groups = asked(query)
        assert (found.total, groups <= 4, read) == (total, True, []), (query, groups)
    assert found[0].why.startswith("this is its name")
    assert asked("item")[0][0].why.startswith("its name begins so")


def test_of_words_whose_number_alone_is_asked_for_the_postings_are_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = part_of(list(drawn(200)), tmp_path / "part", 5_000)
    words = ("fog", "rare7", f"{NAME}same name", "nothing")
    with monkeypatch.context() as patch:
        patch.setattr(word_group.WordGroup, "_decoded", lambda group: pytest.fail("postings were decoded"))
        counts = [part.frequency(word) for word in words]
    assert counts == [len(found.documents) if (found := part.postings(word)) else 0 for word in words]
    assert min(counts[:3]) > 0


def test_what_is_read_later_of_an_index_that_is_gone(uri: str) -> None:
    lake = lf.open(uri)
    fill(lake, 60)
    expected = [one.to_dict() for one in lf.open(uri).search("delayed fog", limit=7)]
    make(lake)
    found = lf.open(uri).search("delayed fog", limit=7)
    for path in objects(uri):
        path.unlink()
    assert [one.to_dict() for one in found] == expected
    assert found.facets == lake.search("delayed fog").facets


def test_words_of_many_documents_have_the_labels_of_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_making, "LABELLED", 60)
    documents = list(drawn(300))
    part = part_of(documents, tmp_path / "part", 5_000)
    words = {word: found.documents.tolist() for word, found in part.words()}
    assert 100 < sum(len(numbers) <= 60 for numbers in words.values()) < len(words)
    read: list[int] = []
    whole = part.read
    monkeypatch.setattr(part, "read", lambda numbers: (read.extend(numbers), whole(numbers))[1])
    index = Index([(part, np.ones(part.count, np.bool_))], 1)
    for word, numbers in words.items():
        assert part.labels(numbers, [word]) == {number: documents[number].label for number in numbers}
        assert len(read) == max(len(numbers) - 60, 0)
        read.clear()
        if not word.startswith(NAME):
            found = answer(index, parse(f'"{word}"'), "", version=1, limit=60, only={}, purged={})
            assert len(found.refs) == min(len(numbers), 60)
            assert read == [], "the best of a word are known without their texts"
    for query in ("fog delays", "wethr", "fligth late", "rare1*"):
        found = answer(index, parse(query), "", version=1, limit=10, only={}, purged={})
        assert found.refs
        assert read == [], query
        expected = answer(Index.of(documents), parse(query), "", version=1, limit=10, only={}, purged={})
        assert found.refs == expected.refs


def test_an_index_of_another_layout_is_no_damage_and_is_replaced(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lf.open(uri)
    fill(lake, 30)
    for number in range(2):  # whichever of two names of one version comes first
        with monkeypatch.context() as patched:
            patched.setattr(index_files, "LAYOUT", index_files.LAYOUT - 1 + 2 * number)
            patched.setattr(upkeep, "_CHANGED", 1 << 40)
            make(lake)
        assert lake.check(read_data=True).ok
        other = lf.open(uri)
        assert index_of(other).stored is None
        assert other.search("fog").total
        lake.compact()
        assert len(objects(uri)) == 2
        assert index_of(lf.open(uri)).stored is not None
        assert lake.check(read_data=True).ok


def test_what_is_made_of_texts_changes_with_the_layout_alone(tmp_path: Path) -> None:
    """Who changes tokens, weights or fields raises the layout, else indexes of before would be told as damaged."""
    texts = (
        *(("name", "Flight-Delays_2013.csv"), ("folio", "runs/x"), ("tag", "clean"), ("column", "ArrDelay v2")),
        *(("description", "naïve Categories of 東京都 data"), ("metadata", "owner ada"), ("content", "HTTPServer 3")),
    )
    some = [
        Document("e1", "item", "f:a@1", "Flight-Delays_2013.csv", texts, "f", "json"),
        Document("e2", "item", "runs/1:b@2", "b", texts[:2], "runs/1", "json"),
    ]
    part = part_of(some, tmp_path / "part", 5_000)
    said = [(word, *(one.tolist() for one in postings)) for word, postings in part.words()]
    assert index_files.LAYOUT == 7
    assert hashlib.sha256(repr(said).encode()).hexdigest()[:16] == "223ed0728b03eb98"


def test_a_group_of_words_that_contradicts_itself_is_refused() -> None:
    words, labels = pa.array(["a", "b"]), pa.array(["f:x@1\0json", "f:y@2\0", "f:x@1\0json"])
    numbers = np.array([0, 1, 0], np.int32)
    fields = numbers | word_group.WITH_LABEL
    body = word_group.packed_group(
        words, np.array([2, 1]), (numbers, numbers.astype(np.float32), fields, numbers.astype(np.float32)), labels
    )
    group = word_group.WordGroup(body, 2)
    assert group.words == ["a", "b"]
    assert list(group.labels("a", [1, 7])) == [(1, Label("f:y@2", "item", "y", "f", None, None))]
    assert group.of("b") is not None
    assert group.of("c") is None
    plain = bytearray(word_group.expanded(body))
    for place in range(len(plain)):
        for value in (0x80, 0xFF, 0x01):
            damaged = bytes(plain[:place]) + bytes([plain[place] ^ value]) + bytes(plain[place + 1 :])
            try:
                found = word_group.WordGroup(word_group.shrunk(damaged), 2)
                for word in found.words:
                    rows = found.of(word)
                    assert rows is not None
                    assert all(0 <= number < 2 for number in rows.documents.tolist())
                    list(found.labels(word, [0, 1]))
            except (ValueError, pa.ArrowException):
                continue
    with pytest.raises(ValueError, match="too short"):
        word_group.WordGroup(word_group.shrunk(b"short"), 2)
    with pytest.raises(ValueError, match="there are not"):
        word_group.WordGroup(body, 1).of("a")


def test_the_meaning_is_found_without_the_texts(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_GROUP_POSTINGS", 400)
    lake = lf.open(uri)
    fill(lake, 120)
    lake.folio("f1").add("a storm", {"text": "a blizzard"}, description="heavy snow and fog delay the planes")

    def found(lake: lf.Lake) -> list[object]:
        some = [lake.search(query, meaning=True, limit=8) for query in ("snow storm", "late planes in fog", "airport")]
        some.append(lake.similar("f1:a storm"))
        return [[(hit.ref, round(hit.score, 3), hit.why) for hit in one] for one in some]

    expected = found(lf.open(uri))
    make(lake)
    monkeypatch.setattr(reading, "_changed", lambda *given: pytest.fail("all documents were read"))
    stored = lf.open(uri)
    assert found(stored) == expected
    stored.folio("f1").add("another storm", {"text": "a blizzard"}, description="heavy snow and fog delay the planes")
    assert stored.similar("f1:a storm", limit=1).refs[0].startswith("f1:another storm@")
    (before,) = [one.ref for one in stored.search("", limit=300) if one.ref.startswith("f1:a storm@")]
    stored.folio("f1").add("a storm", {"text": "calm"}, overwrite=True)
    with pytest.raises(lf.InvalidInputError, match="is not searched"):
        stored.similar(before)


def test_a_meaning_that_can_not_be_read_is_found_in_memory(uri: str) -> None:
    lake = lf.open(uri)
    fill(lake, 60)
    expected = lf.open(uri).search("snow storm", meaning=True).refs
    make(lake)
    stored = lf.open(uri)
    index_of(stored)
    for path in objects(uri):
        path.unlink()
    assert stored.search("snow storm", meaning=True).refs == expected


def test_rows_that_were_put_aside_are_merged_as_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the rows that were sorted together a few are held, however many there are."""
    monkeypatch.setattr(rows_aside, "_SORTED_BYTES", 1_600)  # a hundred rows, in some ten pieces
    monkeypatch.setattr(rows_aside, "_ASIDE_BYTES", 160)
    monkeypatch.setattr(rows_aside, "_ROWS_AT_ONCE", 10)
    rows = [(f"{number * 7919 % 1000:04}", number) for number in range(1_000)]
    columns = {"ref": pa.string(), "number": pa.int64()}
    whole = pa.table(
        [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), columns.values(), strict=True)],
        schema=pa.schema(list(columns.items())),
    )
    aside = rows_aside.RowsAside(tmp_path / "aside", columns)
    aside.take(pa.RecordBatchReader.from_batches(whole.schema, whole.to_batches(max_chunksize=100)))
    read, opened = [], pa.ipc.open_stream

    def counted(file: pa.NativeFile) -> object:
        read.append(file.tell())
        return opened(file)

    monkeypatch.setattr(pa.ipc, "open_stream", counted)
    given = iter(aside)
    first = next(given)
    assert len(read) <= 20
    tables = [first, *given]
    assert max(map(len, tables)) == 10
    found = [one for some in tables for one in zip(*some.to_pydict().values(), strict=True)]
    assert found == sorted(rows)
    assert 100 <= len(read) <= 130
