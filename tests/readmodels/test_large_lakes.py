"""A lake whose journal does not fit in a handle: what is asked of it is read from files, and little of them is read."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.content.local_files import Immutable, LocalFiles
from lakefolio.errors import IntegrityError
from lakefolio.journal import table_rows
from lakefolio.journal.table_rows import TableRows
from lakefolio.readmodels import anew, store
from lakefolio.testing import CountingProxy, S3Server
from lakefolio.views import bound_views
from lakefolio.views.relations import FileScan

BENCH = Path(__file__).parents[1] / "bench"
sys.path.insert(0, str(BENCH))
import scale_lake  # noqa: E402

ENTRIES = 12_000
FOLIO = "folio-000003"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of some thousand entries in two data files and as many runs of each read model, never changed."""
    root = tmp_path_factory.mktemp("large") / "lake"
    scale_lake.make(str(root), ENTRIES, ENTRIES // 10, rows_at_once=ENTRIES // 2)
    return root


@pytest.fixture
def large(made: Path, monkeypatch: pytest.MonkeyPatch) -> lf.Lake:
    """The lake through a new handle, whose data files are all taken for large."""
    monkeypatch.setattr(table_rows, "SMALL_BYTES", 0)
    return lf.open(made, read_only=True)


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of every part of the journal that is read."""
    counts: list[int] = []
    read = TableRows._of_large

    def counted(self: TableRows, *given: Any, **named: Any) -> Iterator[pa.Table]:
        for rows in read(self, *given, **named):
            counts.append(rows.num_rows)
            yield rows

    monkeypatch.setattr(TableRows, "_of_large", counted)
    return counts


def test_a_generated_lake_is_a_lake(tmp_path: Path) -> None:
    """What the benchmarks measure is what writers leave: ``check`` finds nothing, and more can be written."""
    uri = str(tmp_path / "lake")
    scale_lake.make(uri, 6_000, 300, rows_at_once=2_000, whole_log=True)
    lake = lf.open(uri)
    assert lake.check().ok
    assert lake.folio("folio-000000").get_json("item-0500")["n"] == 500
    lake.folio("folio-000000").add_json("item-0500", 1, overwrite=True, metadata={"score": 0})
    assert lake.gc(dry_run=True).found_blobs == 0
    assert lake.check().ok


def test_nothing_of_the_journal_is_in_memory(large: lf.Lake) -> None:
    state = session_of(large).committed()
    assert len(state.rows) == 0
    assert state.base_version == state.version
    assert large.sql("select count(*) from items").fetchall() == [(session_of(large).query(LIVE).fetchone()[0],)]
    assert len(state.rows) == 0


def test_a_missing_model_is_made_while_the_journal_is_read(
    made: Path, tmp_path: Path, parts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the journal nor the model is ever in memory as a whole."""
    shutil.copytree(made, tmp_path / "lake")
    shutil.rmtree(tmp_path / "lake" / "tables" / "folios")
    monkeypatch.setattr(table_rows, "SMALL_BYTES", 0)
    monkeypatch.setattr(anew, "_PART_ROWS", 1_000)
    fold, folded = anew.fold, []

    def counted(rows: pa.Table, *given: Any, **named: Any) -> dict[str, pa.Table]:
        folded.append((rows.num_rows, len(parts)))
        return fold(rows, *given, **named)

    monkeypatch.setattr(anew, "fold", counted)
    assert lf.open(tmp_path / "lake", read_only=True).folios() == lf.open(made, read_only=True).folios()
    assert len(folded) > 10
    assert sum(rows for rows, _ in folded) == sum(parts)
    assert max(rows for rows, _ in folded) <= 1_100
    assert folded[0][1] == 1 < len(parts) == folded[-1][1]


def test_maintenance_makes_missing_models_part_by_part(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a reader does, and what it folded is published part by part: who is killed goes on from there."""
    shutil.copytree(made, tmp_path / "lake")
    for name in ("entries", "uses"):
        shutil.rmtree(tmp_path / "lake" / "tables" / name)
    monkeypatch.setattr(table_rows, "SMALL_BYTES", 0)
    monkeypatch.setattr(anew, "_PART_ROWS", 1_000)
    lake = lf.open(tmp_path / "lake")
    fold, folded = store.fold, []

    def counted(rows: pa.Table, *given: Any, **named: Any) -> dict[str, pa.Table]:
        folded.append(rows.num_rows)
        if killed and len(folded) == 3:
            raise KeyboardInterrupt
        return fold(rows, *given, **named)

    monkeypatch.setattr(store, "fold", counted)
    killed = True
    with pytest.raises(KeyboardInterrupt):
        lake.compact()
    before, killed = sum(folded[:2]), False
    folded.clear()
    lake.compact()
    assert max(folded) <= 1_100
    assert sum(folded) == ENTRIES - before
    asked = "select folio, item, version, superseded_version from entries order by all"
    assert lf.open(tmp_path / "lake").sql(asked).fetchall() == lf.open(made, read_only=True).sql(asked).fetchall()
    assert not [one for one in lake.check().problems if one.kind == "model-differs"]


def test_compaction_makes_a_missing_model_though_nothing_was_committed_since(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "lake")
    lf.open(tmp_path / "lake").compact()
    uses, pointer = tmp_path / "lake/tables/uses", tmp_path / "lake/tables/manifests/_delta_log/_last_checkpoint"
    shutil.rmtree(uses)
    noted = pointer.read_bytes()
    lf.open(tmp_path / "lake").compact()
    assert sum(pq.read_metadata(path).num_rows for path in uses.glob("*.parquet")) == ENTRIES - 1
    assert pointer.read_bytes() != noted  # a reader finds it without looking for it
    written = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "lake").rglob("*"))
    lf.open(tmp_path / "lake").compact()
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "lake").rglob("*")) == written


LIVE = "select count(*) from (select max(position) from stg_manifests group by folio, item)"
COLUMNS = "folio, item, version, committed_at, entry_id, kind, digest, size_bytes, tags, archived, lineage_count"


@pytest.mark.parametrize("at", [None, 700])
def test_views_over_read_models_say_what_the_journal_says(made: Path, at: int | None) -> None:
    lake = lf.open(made, read_only=True)
    lake = lake if at is None else lake.at(at)
    assert "entries_model" in session_of(lake).tables()
    assert "entries_model" not in session_of(lake).tables(content=True)
    for view, columns in (("items", COLUMNS), ("entries", f"{COLUMNS}, ordinal, superseded_version, is_live")):
        of_model = lake.sql(f"select {columns} from {view} order by folio, item, version")
        of_journal = lake.sql(f"select {columns}, content from {view} order by folio, item, version")
        assert of_model.columns == of_journal.columns[:-1]
        assert of_model.types == of_journal.types[:-1]
        rows = of_model.fetchall()
        assert rows == [row[:-1] for row in of_journal.fetchall()]
        assert len(rows) > 5_000


def test_rows_are_joined_of_files_alone_in_which_some_were_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was overwritten and deleted since, in a run or after all runs, views of a model leave out what went."""
    monkeypatch.setattr(scale_lake, "FILE_ROWS", 500)
    monkeypatch.setattr(scale_lake, "_NEWEST_RUNS", (400, 100))
    scale_lake.make(str(tmp_path / "lake"), 12_000, 1_200, rows_at_once=2_000)
    lake = lf.open(tmp_path / "lake")
    joined: list[tuple[int, int]] = []
    parted = FileScan.parted

    def counted(self: FileScan, keys: Any) -> tuple[FileScan, FileScan]:
        found = parted(self, keys)
        joined.append((len(found[0].paths), len(found[1].paths)))
        return found

    def agrees() -> int:
        of_model = lake.sql(f"select {COLUMNS} from items order by folio, item").fetchall()
        of_journal = lake.sql(f"select {COLUMNS}, content from items order by folio, item").fetchall()
        assert of_model == [row[:-1] for row in of_journal]
        return len(of_model)

    monkeypatch.setattr(FileScan, "parted", counted)
    count = agrees()
    assert joined
    few, others = joined[-1]
    assert 0 < few < others
    folio = lake.folio("folio-000001")
    folio.add_json("item-0250", 1, overwrite=True)
    folio.delete("item-0251")
    folio.add_json("new", 2)
    assert agrees() == count
    deep = "select count(*) from items where json_contains(coalesce(details, '{}'), '1') is not null"
    assert lake.sql(deep).fetchall() == [(count,)]  # reads relations that have no text which is nested too deep
    assert joined[-1] == (few + 2, others - 2)  # those of the two items, and of the end of their folio
    monkeypatch.setattr(bound_views, "_MANY_NAMES", 2)
    folio.delete("item-0252")
    assert agrees() == count - 1
    assert len(joined) == 2


def test_the_facts_in_force_are_those_that_the_journal_says(tmp_path: Path) -> None:
    """Set, replaced, removed and said again since the last fold, in runs, of items, folios, the lake and runs."""
    scale_lake.make(str(tmp_path / "lake"), 4_000, 400, rows_at_once=2_000)
    columns = "subject_kind, subject_id, folio, item, key, value, value_number, version, committed_at"

    def agrees(lake: lf.Lake) -> list[Any]:
        of_model = lake.sql(f"select {columns} from current_metadata order by all")
        of_journal = lake.sql(f"select {columns} from current_metadata /* content */ order by all")
        assert (of_model.columns, of_model.types) == (of_journal.columns, of_journal.types)
        rows: list[Any] = of_model.fetchall()
        assert rows == of_journal.fetchall()
        return rows

    lake = lf.open(tmp_path / "lake")
    assert "metadata_model" in session_of(lake).tables()
    assert len(agrees(lake)) == 4_000
    folio = lake.folio(FOLIO)
    old, first, second, *_ = list(folio)
    version = lake.version
    folio.add_json("new", 1, metadata={"a": 1, "b": "x"}, inputs=[first])
    folio.add_json(first, 1, overwrite=True, metadata={"score": 2})
    folio.archive(second)
    folio.delete(old)
    folio.metadata["note"] = {"k": [1]}
    lake.annotate(note="x", gone=1)
    with lake.run("trained", params={"p": 1}) as run:
        run.log_metric("loss", 0.5)
    before = agrees(lake)
    lake.annotate(remove=["gone"])
    folio.metadata["note"] = 2
    rows = agrees(lake)
    assert {row[4] for row in before} - {row[4] for row in rows} == {"gone"}
    assert len(rows) == len(before) - 1
    assert len(agrees(lake.at(version))) == 4_000
    assert len(agrees(lake.at(200))) == 2_000
    lake.compact()
    assert agrees(lf.open(tmp_path / "lake")) == rows
    flat = "select count(*) from item_metadata"
    assert lake.sql(flat).fetchall() == lake.sql(f"{flat} /* content */").fetchall()
    assert lake.sql("select count(*) from runs").fetchall() == [(1,)]


def test_facts_are_told_without_their_read_model(made: Path, tmp_path: Path) -> None:
    """Where it is damaged, or deleted with that of the commits, it is made of the journal in memory."""
    shutil.copytree(made, tmp_path / "lake")
    ask = "select count(*), round(sum(value_number)), count(committed_at) from current_metadata"
    expected = lf.open(tmp_path / "lake").sql(ask).fetchall()
    assert expected[0][0] == ENTRIES
    for file in (tmp_path / "lake" / "tables" / "metadata").glob("*.parquet"):
        file.write_bytes(file.read_bytes()[:-9] + bytes(9))
    assert lf.open(tmp_path / "lake").sql(ask).fetchall() == expected
    for name in ("metadata", "commits"):
        shutil.rmtree(tmp_path / "lake" / "tables" / name)
    assert lf.open(tmp_path / "lake").sql(ask).fetchall() == expected


def test_what_scans_read_is_cheap_to_decompress(made: Path) -> None:
    """Zstandard takes three times as long for small blocks, and Snappy makes no text smaller that differs from all."""
    path = max((made / "tables" / "entries").glob("*.parquet"), key=lambda one: one.stat().st_size)
    group = pq.read_metadata(path).row_group(0)
    codecs = {column.path_in_schema: column.compression for column in map(group.column, range(group.num_columns))}
    of_scans = {"kind", "size_bytes", "committed_at", "superseded_at", "removed", "version", "ordinal"}
    assert {codecs[name] for name in of_scans} == {"SNAPPY"}
    of_others = {
        "entry_id",
        "digest",
        "commit_id",
        "details",
        "inputs.list.element.input_id",
        "facts.list.element.value",
    }
    assert {codecs[name] for name in of_others} == {"ZSTD"}


@pytest.mark.parametrize("asked", ["", f".item('{FOLIO}:item-0007').committed_at"])
def test_opening_a_lake_and_finding_an_item_imports_no_pandas(made: Path, asked: str) -> None:
    """It takes as long as the rest, and 30 MiB; Arrow imports it for a time that is to be Python's."""
    code = f"import sys, lakefolio as lf; lf.open({str(made)!r}, read_only=True){asked}; print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("damage", ["through", "seal"])
def test_a_note_that_is_not_as_it_was_written_is_not_believed(made: Path, tmp_path: Path, damage: str) -> None:
    """The read models are looked for instead: the journal is too much to hold."""
    shutil.copytree(made, tmp_path / "lake")
    pointer = tmp_path / "lake" / "tables/manifests/_delta_log/_last_checkpoint"
    text = pointer.read_text()
    damaged = {
        "through": text.replace('through\\":1200', 'through\\":1100'),
        "seal": text.replace("models.seal", "models.sealed"),
    }
    assert damaged[damage] != text
    pointer.write_text(damaged[damage])
    lake = lf.open(tmp_path / "lake", read_only=True)
    state = session_of(lake).committed()
    assert (state.base_version, len(state.rows)) == (1200, 0)
    assert lake.folio(FOLIO).get_json("item-0007")["n"] == 3007


def test_of_a_large_file_the_contents_around_one_are_kept(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lf.open(made, read_only=True)
    contents = session_of(lake).journal._head._contents
    store = contents._table.store
    reads: list[str] = []
    get_range = type(store).get_range

    def counted(self: Any, key: str, start: int, length: int) -> bytes:
        reads.extend([key] if "/manifests/" in key else [])
        return get_range(self, key, start, length)

    folio = lake.folio(FOLIO)
    names = [name for name in list(folio)[:40] if name != "item-0500"]
    monkeypatch.setattr(type(store), "get_range", counted)
    assert len({folio.get_json(name)["n"] for name in names}) == len(names)
    assert len(reads) <= 4  # footer and row group of the two files they lie in
    assert len(contents._read) <= 2 * 1_024


def test_a_log_reads_the_end_of_the_journal_only(large: lf.Lake, parts: list[int]) -> None:
    assert [one.version for one in large.log(3)] == [1200, 1199, 1198]
    assert sum(parts) <= 16_384
    assert len(parts) == 1
    assert len(large.log(None)) == ENTRIES // 10


def test_the_log_of_a_folio_goes_back_as_far_as_it_must(large: lf.Lake, parts: list[int]) -> None:
    found = large.log(2, folio="folio-000000")
    assert len(found) == 2
    assert all("folio-000000:" in change for one in found for change in one.changes)
    assert [one.version for one in large.log(1_000_000, folio=FOLIO)] == sorted(
        {row[0] for row in large.sql(f"select version from entries where folio = '{FOLIO}'").fetchall()}, reverse=True
    )


def test_a_history_reads_no_journal(large: lf.Lake, parts: list[int]) -> None:
    folio, item = scale_lake.names_of(5009 - 4321 + 10_000 // 10_000 - 1)
    found = large.history(f"{folio}:{item}")
    assert [one.op for one in found] == ["put", "put"]
    assert found[0].version > found[1].version
    assert parts == []
    assert large.folio(folio).history(item).to_dicts() == found.to_dicts()


def test_a_diff_reads_what_lies_between(large: lf.Lake, parts: list[int]) -> None:
    found = large.diff(1100, 1105)
    assert len(found.added) == 45
    assert len(found.changed) == 5
    assert found.unchanged_count == large.at(1100).sql("select count(*) from items").fetchone()[0] - 5
    assert len(parts) == 1
    back = large.diff(1105, 1100)
    assert [one.item for one in back.removed] == [one.item for one in found.added]
    assert back.unchanged_count == found.unchanged_count
    folio = found.added[0].folio
    within = large.diff(1100, 1105, folio=folio)
    assert [one.to_dict() for one in within.added] == [one.to_dict() for one in found.added if one.folio == folio]


def test_lineage_reads_the_edges_of_its_nodes_only(large: lf.Lake, parts: list[int]) -> None:
    entry = large.folio(FOLIO).items()[10]
    models = session_of(large).journal.models
    models.cache.clear()
    reads: list[str] = []
    read = models.read

    def counted(model: str, *given: Any) -> bytes:
        reads.append(model)
        return read(model, *given)

    models.read = counted  # type: ignore[method-assign]
    below = session_of(large).committed().base.edges([("entry", entry.entry_id)], by_input=True)  # type: ignore[union-attr]
    assert below.num_rows == 1
    assert reads == ["uses"] * len(reads)
    assert len(reads) <= 4  # a footer and a row group of the one or two runs that may have it
    assert parts == []


@pytest.mark.parametrize("place", ["folder", pytest.param("s3", marks=pytest.mark.slow)])
def test_every_question_after_more_was_written(place: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Runs, tail and data files together answer what one replay of the journal does."""
    options: dict[str, Any] = {}
    uri = str(tmp_path / "lake")
    if place == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        uri, options = server.uri(f"lakes/{tmp_path.name}"), {"storage_options": server.storage_options}
    scale_lake.make(uri, 2_000, 200, options.get("storage_options"), rows_at_once=1_000)
    lake = lf.open(uri, **options)
    folio = lake.folio("folio-000001")
    first, *_ = names = list(folio)[:30]
    folio.add_json(first, 1, overwrite=True, inputs=["folio-000000:item-0003"], metadata={"k": 1})
    folio.delete(names[1])
    folio.add_json("new", 2, inputs=[first])
    lake.folio("other").add_json("made", 3, inputs=["folio-000001:new"])
    lake.log_event("m", "s", "t", {"text": "x" * 70_000})

    fresh = lf.open(uri, **options)
    assert session_of(fresh).committed().base_version > 0
    for one in (lake, fresh):
        assert one.sql("select count(*) from items").fetchall() == [(one.stats().item_count,)]
        assert set(one.folio("folio-000001")) == {row[0] for row in one.sql(ITEMS).fetchall()}
        assert [row[0] for row in one.sql(f"select version from entries {OF_FIRST}", [first]).fetchall()] == [
            event.version for event in one.history(f"folio-000001:{first}")
        ]
        assert [event.op for event in one.history(f"folio-000001:{names[1]}")] == ["delete", "put"]
        assert one.history(f"folio-000001:{names[1]}")[0].message is None
        graph = one.lineage("folio-000001:new")
        assert f"folio-000001:{first}" in graph.upstream()
        assert "folio-000000:item-0003" in graph.upstream()
        assert [node.ref.partition("@")[0] for node in graph.downstream()] == ["other:made"]
        changed = one.diff(200)
        assert [(row.item, row.change) for row in changed] == [
            ("new", "added"),
            ("made", "added"),
            (names[1], "removed"),
            (first, "changed"),
        ]
        assert [len(text) for (text,) in one.sql("select metadata ->> '$.text' from events").fetchall()] == [70_000]
        assert one.sql("select content from items where item = 'made'").fetchall() == [(b"3",)]
        assert one.scan("lineage").collect().height == one.sql("select count(*) from lineage").fetchone()[0]
        assert one.why("folio-000001:item-0500").blobs[0]["heads"] == ["folio-000001:item-0500"]


def test_opening_and_one_get_of_a_large_lake(s3_proxy: CountingProxy, s3_uri: str) -> None:
    """Marker, pointer, checkpoint, its log entry, a LIST; a look; footer and rows of the name, and of its content."""
    options = s3_proxy.storage_options
    scale_lake.make(s3_uri, ENTRIES, ENTRIES // 10, options)
    for name in ("item-0007", "item-0500"):
        with s3_proxy.count() as count:
            assert lf.open(s3_uri, storage_options=options).folio(FOLIO).get_json(name)["n"] > 3_000
        assert count.total <= 10, count.by_operation
        assert not [one.key for one in count.requests if "/_delta_log/" in one.key and "/manifests/" not in one.key]


ITEMS = "select item from items where folio = 'folio-000001'"
OF_FIRST = "where folio = 'folio-000001' and item = $1 order by version desc"


def test_duckdb_reads_no_file_that_was_not_verified(made: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    (largest,) = sorted((copy / "tables/manifests").glob("*.parquet"), key=lambda one: one.stat().st_size)[-1:]
    body = bytearray(largest.read_bytes())
    body[len(body) // 2] ^= 1
    largest.write_bytes(body)
    lake = lf.open(copy, read_only=True)
    assert lake.sql("select count(*) from items").fetchone()[0] > 0  # which are in the read model
    with pytest.raises(IntegrityError) as caught:
        lake.sql("select count(*) from commits")
    assert caught.value.key == f"tables/manifests/{largest.name}"


def test_no_footer_of_a_file_that_was_scanned_is_kept(large: lf.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a lake of 10 million entries take 70 MiB, and a sum as long with them as without."""
    made: list[Any] = []
    lock = bound_views.lock

    def noted(connection: Any, paths: Any) -> None:
        made.append(connection)
        lock(connection, paths)

    monkeypatch.setattr(bound_views, "lock", noted)
    assert large.sql("select count(*) from items").fetchone()[0] > 5_000
    assert large.sql("select count(*) from manifests").fetchall() == [(ENTRIES,)]
    held = "select tag, memory_usage_bytes from duckdb_memory() where tag = 'OBJECT_CACHE'"
    assert [one.cursor().execute(held).fetchall() for one in made] == [[("OBJECT_CACHE", 0)]] * len(made) != []


def test_a_read_model_that_is_damaged_is_done_without(made: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    expected = lf.open(copy, read_only=True).sql("select count(*) from items").fetchall()
    for path in (copy / "tables/entries").glob("*.parquet"):
        body = bytearray(path.read_bytes())
        body[100] ^= 1
        path.write_bytes(body)
    assert lf.open(copy, read_only=True).sql("select count(*) from items").fetchall() == expected


def test_a_file_is_hashed_once_and_again_when_it_is_another(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lf.open(made, read_only=True)
    local = session_of(lake).journal.local
    hashed: list[str] = []
    verify = LocalFiles._verify

    def counted(self: LocalFiles, one: Immutable) -> None:
        hashed.append(one.key)
        verify(self, one)

    monkeypatch.setattr(LocalFiles, "_verify", counted)
    for _ in range(3):
        lake.sql("select count(*) from items").fetchall()
    assert hashed
    assert len(hashed) == len(set(hashed))
    count, path = len(hashed), made / hashed[0]
    body = path.read_bytes()
    path.write_bytes(body)
    lake.sql("select count(*) from items").fetchall()
    assert hashed[count:] == hashed[:1]
    assert local is session_of(lake).journal.local


def test_sql_of_users_reaches_no_file_of_the_lake(large: lf.Lake, made: Path) -> None:
    (path, *_) = (made / "tables/manifests").glob("*.parquet")
    for sql in (
        f"select * from '{path}'",
        f"select * from read_parquet('{path}')",
        "select * from '/proc/self/fd/3'",
        "select * from read_text('/proc/self/fd/0')",
    ):
        with pytest.raises(lf.errors.InvalidInputError):
            large.sql(sql).fetchall()


def test_a_curve_lies_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: list[int]) -> None:
    """Points are logged run by turns, and sorted by run, name and step when their files are merged."""
    lake = lf.open(tmp_path / "lake")
    runs = [lake.create_run(run_id=f"r{number}") for number in range(8)]
    for part in range(4):
        for run in runs:
            steps = range(part * 1_000, (part + 1) * 1_000)
            run.log_points("loss", [1.0 / (step + 1) for step in steps], steps)
            run.log_points("auc", [0.5] * 1_000, steps)
        lake.flush()
    lake.compact()
    (merged,) = session_of(lake).journal.data_files("metric_rows")
    file = pq.ParquetFile(tmp_path / "lake/tables/metric_rows" / merged)
    keys = file.read(["run_id", "name", "step"]).to_pylist()
    assert len(keys) == 8 * 4_000 * 2
    assert keys == sorted(keys, key=lambda row: (row["run_id"], row["name"], row["step"]))
    groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    assert len(groups) == 4
    at = [file.schema.column(number).path for number in range(len(file.schema))].index("run_id")
    assert sum(one.column(at).statistics.min <= "r3" <= one.column(at).statistics.max for one in groups) <= 2

    monkeypatch.setattr(table_rows, "SMALL_BYTES", 0)
    fresh = lf.open(tmp_path / "lake")
    assert isinstance(session_of(fresh).tables()["metric_rows"], FileScan)
    curve = fresh.sql("select step, value from metrics where run_id = 'r3' and name = 'loss' order by batch, ordinal")
    assert curve.fetchall() == [(step, 1.0 / (step + 1)) for step in range(4_000)]
    assert fresh.sql("select count(*) from metrics").fetchall() == [(64_000,)]
    assert fresh.at(0).sql("select count(*) from metrics").fetchall() == [(0,)]
    found = session_of(fresh).journal.logs["metric_rows"].matching(fresh.version, ("run_id", "r3"))
    assert found.num_rows == 8_000
    assert sum(parts) <= 2 * 16_384


CODE = """
import functools, sys
import lakefolio as lf
from lakefolio.readmodels import store
from lakefolio.session.session import session_of
from scale_lake import names_of

store.Cache = functools.partial(store.Cache, 8 << 20)  # what is kept of row groups: 64 MiB otherwise

def peak():
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return (int(status["VmHWM"].split()[0]) - int(status["RssFile"].split()[0])) * 1024

lake = lf.open(sys.argv[1])
lake.sql("select 1").fetchall()
before, entries = peak(), int(sys.argv[2])
for number in range(100):
    lake.item("{}:{}".format(*names_of(number * entries // 120)))
list(lake.folio(names_of(5)[0]))
folio = lake.folio("added")
for number in range(100):
    folio.add_json(f"i{number}", number)
lake.sql("select kind, count(*), sum(size_bytes) from items group by kind").fetchall()
lake.sql("select folio, max(committed_at) from entries group by folio").fetchall()
lake.sql("select count(distinct commit_id) from manifests").fetchall()
lake.log(20), lake.diff(-5), lake.history("{}:{}".format(*names_of(77)))
lake.lineage("added:i3"), lake.why("added:i3")
assert len(session_of(lake).committed().rows) < 1000
print(before, peak())
"""


def test_memory_does_not_follow_the_lake(tmp_path: Path) -> None:
    """The most that a handle takes beside its libraries, for four times as many entries."""
    taken = []
    for entries in (30_000, 120_000):
        uri = str(tmp_path / str(entries))
        scale_lake.make(uri, entries, entries // 10, rows_at_once=30_000)
        given = [sys.executable, "-c", CODE, uri, str(entries)]
        done = subprocess.run(given, capture_output=True, text=True, check=False, cwd=BENCH)
        assert done.returncode == 0, done.stderr
        before, peak = map(int, done.stdout.split())
        taken.append(peak - before)
    # it takes 105e6 and 140 to 150e6; four times as many entries took 400e6 more when a handle held the journal
    assert taken[1] < 180e6
    assert taken[1] < taken[0] + 70e6


CHECK = """
import sys
import lakefolio as lf

def peak():
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return (int(status["VmHWM"].split()[0]) - int(status["RssFile"].split()[0])) * 1024

warm = lf.open(sys.argv[1] + "-small")
warm.folio("f").add_json("i", 1)
assert warm.check().ok
before = peak()
report = lf.open(sys.argv[1]).check()
assert report.ok and report.counts["entries"] == int(sys.argv[2]), report
print(before, peak())
"""


def test_the_memory_of_a_check_does_not_follow_the_lake(tmp_path: Path) -> None:
    """What it takes at most beside its libraries, for ten times as many entries in as many commits.

    Of two runs the lesser: by how threads fall together it differs by 6e6.
    """
    taken = []
    for entries in (10_000, 100_000):
        uri = str(tmp_path / str(entries))
        scale_lake.make(uri, entries, 500, rows_at_once=20_000, whole_log=True)
        peaks = []
        for _ in range(2):
            given = [sys.executable, "-c", CHECK, uri, str(entries)]
            done = subprocess.run(given, capture_output=True, text=True, check=False, cwd=BENCH)
            assert done.returncode == 0, done.stderr
            before, peak = map(int, done.stdout.split())
            peaks.append(peak - before)
        taken.append(min(peaks))
    assert taken[1] < taken[0] + 90e6  # ten times as many entries took 270e6 more when a check held the journal
