"""Readers whose data files were merged and deleted since they read the log look at the log again, each kind of them."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.content import local_files
from lakefolio.errors import ConflictError, IntegrityError
from lakefolio.process import held_files
from lakefolio.storage.local import LocalStore

TEXT = "x" * 9000


@pytest.fixture
def writer(tmp_path: Path) -> lf.Lake:
    """A lake with read models, so that who opens it reads no data file of the journal, and some commits after that."""
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f")
    for number in range(6):
        folio.add_json(f"i{number}", {"n": number}, metadata={"n": number})
    folio.add_json("large", TEXT)
    with lake.run("r", run_id="r1") as run:
        run.add_input("a", "f:i0")
        run.log(0, loss=1.5)
        run.log_event("step", metadata={"n": 1})
    lake.snapshot("s", folio="f")
    lake.compact()
    folio.add_json("late", {"n": 99}, metadata={"n": 99})
    return lake


def replace_files(lake: lf.Lake) -> None:
    """Merge all data files into others, and delete those they replaced."""
    lake.folio("other").add_json("x", lake.version, overwrite=True)
    with lake.run("r") as run:
        run.log(0, loss=2.5)
        run.log_event("step", metadata={"n": 2})
    lake.compact()
    lake.gc(dry_run=False, grace=0)


def inline(lake: lf.Lake) -> object:
    return [lake.folio("f").get_json(f"i{number}")["n"] for number in range(6)]


def points(lake: lf.Lake) -> object:
    return lake.sql("select value from metrics where run_id = 'r1'").fetchall()


def events(lake: lf.Lake) -> object:
    return lake.sql("select count(*) from events where run_id = 'r1'").fetchall()


READS: dict[str, tuple[Callable[[lf.Lake], object], object]] = {
    "get": (inline, [0, 1, 2, 3, 4, 5]),
    "get of the tail": (lambda lake: lake.folio("f").get_json("late"), {"n": 99}),
    "sql": (
        lambda lake: lake.sql("select count(*) from manifests where folio = 'f' and op = 'put'").fetchall(),
        [(8,)],
    ),
    "content": (
        lambda lake: lake.sql("select count(content) from manifests where folio = 'f' and item like 'i%'").fetchall(),
        [(6,)],
    ),
    "metadata": (lambda lake: lake.sql("select count(*) from metadata where key = 'n'").fetchall(), [(7,)]),
    "points": (points, [(1.5,)]),
    "events": (events, [(1,)]),
    "log": (lambda lake: len(lake.log(folio="f")), 10),
    "diff": (lambda lake: len(lake.diff(1, 7, folio="f").to_dict()["added"]) > 0, True),
    "lineage": (lambda lake: "r1" in str(lake.lineage("f:i0").to_mermaid()), True),
    "at a version": (lambda lake: lake.at(3).folio("f").get_json("i2"), {"n": 2}),
    "a snapshot": (lambda lake: lake.folio("f").get_json("i5", at="s"), {"n": 5}),
    "sql at a version": (lambda lake: lake.at(3).sql("select count(*) from manifests").fetchall(), [(3,)]),
    "check": (lambda lake: lake.check(read_data=True).ok, True),
    "gc": (lambda lake: lake.gc(dry_run=False, grace=0) is not None, True),
    "compact": (lambda lake: lake.compact() is not None, True),
}


def test_files_are_replaced_before_they_are_read(writer: lf.Lake) -> None:
    readers = {name: lf.open(writer.uri) for name in READS}
    pinned = {name: lf.open(writer.uri).at(writer.version) for name in ("get", "sql", "content", "points", "log")}
    replace_files(writer)
    for name, lake in pinned.items():
        assert READS[name][0](lake) == READS[name][1], name
    for name, (read, expected) in READS.items():
        assert read(readers[name]) == expected, name


@contextmanager
def replaced_beside(monkeypatch: pytest.MonkeyPatch, writer: lf.Lake, times: int) -> Iterator[list[str]]:
    """Replace the files right before a reader reads some, so many times on end."""
    asked: list[str] = []
    get_many, within = LocalStore.get_many, [False]

    def get(self: LocalStore, keys: list[str]) -> object:
        if keys and keys[0].endswith(".parquet") and len(asked) < times and not within[0]:
            within[0] = True
            asked.append(keys[0])
            replace_files(writer)
            within[0] = False
        return get_many(self, keys)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "get_many", get)
        yield asked


def test_files_are_replaced_while_they_are_read(writer: lf.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    met = set()
    for name in ("sql", "content", "points", "check", "gc"):
        reader = lf.open(writer.uri)
        read, expected = READS[name]
        with replaced_beside(monkeypatch, writer, 1) as asked:
            assert read(reader) == expected, name
        if asked:
            met.add(name)
    assert met == {"sql", "content", "points", "check", "gc"}


def test_opening_and_following_beside_replacements(writer: lf.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = lf.open(writer.uri)
    with replaced_beside(monkeypatch, writer, 2):
        opened = lf.open(writer.uri)
        assert inline(opened) == [0, 1, 2, 3, 4, 5]
        assert inline(follower) == [0, 1, 2, 3, 4, 5]
    assert follower.version == opened.version == writer.version


def test_a_file_that_the_newest_log_names_is_missing(writer: lf.Lake) -> None:
    reader = lf.open(writer.uri)
    replace_files(writer)
    store = session_of(writer).store
    for file in session_of(writer).journal.files_of("manifests"):
        store.delete([f"tables/manifests/{file.path}"])
    with pytest.raises(IntegrityError, match="is missing") as caught:
        reader.sql("select count(*) from manifests").fetchall()
    assert caught.value.kind == "table-file-damaged"


def test_a_check_that_can_not_follow_says_so(writer: lf.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakefolio.maintenance.check_rows.LOOKS", 2)
    reader = lf.open(writer.uri)
    with replaced_beside(monkeypatch, writer, 9), pytest.raises(ConflictError) as caught:
        reader.check()
    assert caught.value.kind == "table-restless"
    assert reader.check().ok


FETCHES: dict[str, Callable[[duckdb.DuckDBPyRelation], object]] = {
    "fetchall": lambda found: [list(row) for row in found.fetchall()],
    "df": lambda found: found.df().values.tolist(),
    "pl": lambda found: [list(row) for row in found.pl().rows()],
    "arrow": lambda found: [list(row.values()) for row in found.to_arrow_table().to_pylist()],
    "reader": lambda found: [list(row.values()) for row in found.to_arrow_reader(1).read_all().to_pylist()],
    "further": lambda found: [list(row) for row in found.filter("true").fetchall()],
}
ASKED = {
    "entries": "select count(*) from items where folio = 'f'",
    "journal": "select count(*) from commits",
    "points": "select count(*) from metrics where run_id = 'r1'",
    "events": "select count(*) from events where run_id = 'r1'",
    "content": "select count(content) from manifests where folio = 'f'",
    "runs": "select count(*) from runs",
}


def test_files_are_replaced_before_rows_are_fetched(writer: lf.Lake) -> None:
    reader = lf.open(writer.uri, read_only=True)
    expected = {name: reader.sql(query).fetchall()[0][0] for name, query in ASKED.items()}
    relations = {(name, fetch): reader.sql(query) for name, query in ASKED.items() for fetch in FETCHES}
    connection = reader.connect()
    del reader
    replace_files(writer)
    replace_files(writer)
    for (name, fetch), relation in relations.items():
        assert FETCHES[fetch](relation) == [[expected[name]]], (name, fetch)
    for name, query in ASKED.items():
        assert connection.sql(query).fetchall() == [(expected[name],)], name


@pytest.mark.skipif(held_files.DESCRIPTORS is None, reason="files are held on Linux only")
def test_files_are_held_no_longer_than_relations_live(writer: lf.Lake, tmp_path: Path) -> None:
    def held() -> set[str]:
        gc.collect()
        opened = {os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")}
        return {path for path in opened if path.startswith(writer.uri) and path.endswith(".parquet")}

    reader = lf.open(writer.uri, read_only=True)
    relation = reader.sql(ASKED["entries"]).filter("true")
    assert held()
    other = lf.open(tmp_path / "other")
    for number in range(6):  # connections of the newest versions are kept, to be used again
        other.folio("f").add_json("x", number, overwrite=True)
        other.sql("select count(*) from items").fetchall()
    del reader
    assert held()
    assert relation.fetchall() == [(8,)]
    del relation
    assert not held()


def test_files_that_are_not_held_are_asked_for_again(writer: lf.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_files, "most_held", lambda: 0)
    reader = lf.open(writer.uri, read_only=True)
    relation = reader.sql(ASKED["entries"])
    replace_files(writer)
    replace_files(writer)
    with pytest.raises(ConflictError, match="a merge or gc removed") as caught:
        relation.to_arrow_table()
    assert caught.value.kind == "files-replaced"
    assert "ask again" in str(caught.value.hint)
    assert reader.sql(ASKED["entries"]).to_arrow_table().to_pylist() == [{"count_star()": 8}]
