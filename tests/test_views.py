"""Binding and querying: what a query may do, what it says when it may not, and how long its answer lives."""

from __future__ import annotations

import _thread
import gc
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pyarrow as pa
import pytest
from sql.lake_tables import Rows, empty_tables, small_lake

from lakefolio.errors import InvalidInputError
from lakefolio.format.schema import SCHEMAS
from lakefolio.redaction import scrub
from lakefolio.views import bound_views, polars_scan
from lakefolio.views.engine import Views
from lakefolio.views.run_columns import RUN_COLUMNS_LIMIT
from lakefolio.views.view_files import parse_view


@pytest.fixture
def views():
    return Views()


@pytest.fixture(scope="module")
def tables():
    return small_lake().tables()


# -- what reads ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "select * from items",
        "from items",
        "  -- a comment\n with x as (from items) select * from x;",
        "values (1), (2)",
        "table items",
        "describe items",
        "show tables",
        "summarize items",
        "explain select * from items",
        "explain analyze select * from items",
        "pivot items on folio using count(*)",
        "pivot items on folio in ('a', 'b') using count(*)",
        "unpivot (select 1 as a, 2 as b) on a, b",
        "select * from query_table('items')",
        "select * from manifests",
        "select * from stg_metadata",
        "select * from audit_blob_size",
        "(select 1) union all (select 2)",
    ],
)
def test_every_statement_that_reads_is_answered(views, tables, sql):
    views.query(tables, sql).fetchall()


def test_show_tables_lists_every_view(views, tables):
    found = {name for (name,) in views.query(tables, "show tables").fetchall()}
    assert found == {view.name for view in views.files} | set(SCHEMAS)


def test_parameters(views, tables):
    assert views.query(tables, "select count(*) from items where folio = ?", ["a"]).fetchall() == [(3,)]
    assert views.query(tables, "select count(*) from items where folio = $f", {"f": "b"}).fetchall() == [(0,)]


def test_an_answer_comes_in_every_form_and_outlives_the_views(tables):
    def ask():
        return Views().query(tables, "select folio, item, committed_at, tags from items order by item")

    relation = ask()
    gc.collect()
    assert [row[1] for row in relation.fetchall()] == ["clean", "model", "raw"]
    assert ask().pl()["item"].to_list() == ["clean", "model", "raw"]
    arrow = ask().arrow()
    gc.collect()
    table = arrow.read_all() if isinstance(arrow, pa.RecordBatchReader) else arrow
    assert table.column("item").to_pylist() == ["clean", "model", "raw"]
    derived = ask().filter("item = 'raw'")
    gc.collect()
    assert len(derived.fetchall()) == 1


def test_an_answer_as_a_pandas_frame(tables):
    pytest.importorskip("pandas")
    frame = Views().query(tables, "select item, committed_at from items order by item").df()
    assert list(frame["item"]) == ["clean", "model", "raw"]
    assert str(frame["committed_at"].dt.tz) == "UTC"


def test_an_answer_keeps_to_its_state_while_others_are_asked(views):
    lake = Rows().put("a", "x").commit()
    before, lazy = lake.tables(), None
    lazy = views.query(before, "select count(*) from items")
    for number in range(8):
        lake.put("a", f"y{number}").commit()
        assert views.query(lake.tables(), "select count(*) from items").fetchall() == [(number + 2,)]
    assert lazy.fetchall() == [(1,)]


# -- what does not ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "insert into manifests select * from manifests",
        "create table x as select 1",
        "create or replace view items as select 1",
        "create table x as pivot items on folio using count(*)",
        "drop view items",
        "delete from items",
        "update items set folio = 'b'",
        "copy items to '/tmp/never.csv'",
        "copy items from '/tmp/never.csv'",
        "export database '/tmp/never'",
        "attach '/tmp/never.db'",
        "install httpfs",
        "load httpfs",
        "set threads = 1",
        "reset threads",
        "pragma enable_profiling",
        "call pragma_version()",
        "begin transaction",
        "checkpoint",
        "prepare x as select 1",
        "execute x",
        "explain analyze create table x as select 1",
        "explain (analyze) create table x as select 1",
        "select 1; select 2",
        "select 1; drop view items",
        "pivot items on folio using count(*); drop view items",
        "",
        "-- nothing",
        "selec 1",
        "select * from nothing_like_it",
        "select nothing_like_it from items",
        "select nothing_like_it(1)",
        "select * from items where folio = ?",
        "select * from read_csv('/etc/passwd')",
        "select * from '/etc/passwd'",
        "select * from read_text('/etc/passwd')",
        "select * from glob('/etc/*')",
        "select * from read_parquet('s3://bucket/x.parquet')",
        "select * from tables",
        "from enable_logging(storage = 'file', storage_path = '/tmp/never')",
        "pivot (from enable_logging()) on x using count(*)",
        "pivot items on folio using count(*), write_log('x')",
        "pivot (from \"query\" /* x */ ('select 1')) on x",
        "explain analyze from enable_logging()",
        "from query/**/('from ena' || 'ble_logging()')",
        "select * from pandas_scan(null)",
        "select * from json_execute_serialized_sql('{}')",
        "select json_deserialize_sql('{}')",
        "select getenv('HOME')",
        "select current_setting('temp_directory')",
        "select finalize('x'::blob)",
        "select 1 where exists (select write_log('x'))",
        "select list_transform([1], lambda x: write_log('x'))",
        "select * from items order by (select count(*) from glob('/etc/*'))",
        "from items limit (select max(size) from read_blob('/etc/passwd'))",
        "from duckdb_secrets()",
        "from which_secret('s3://x', 's3')",
        "select 1 \0 from items",
        "select * from query('from enable_' || 'logging()')",
        "select * from \"query\" ('select 1')",
        "select write_log('x')",
    ],
)
def test_anything_else_is_refused_in_one_line(views, tables, sql):
    with pytest.raises(InvalidInputError) as caught:
        views.query(tables, sql)
    assert caught.value.kind == "sql"
    assert caught.value.objects["sql"] in scrub(sql)
    assert "\n" not in str(caught.value)
    # and the connection is as it was
    assert views.query(tables, "select count(*) from items").fetchall() == [(3,)]


@pytest.mark.parametrize(
    ("sql", "hint"),
    [
        ("select * from itmes", "'items'"),
        ("select itme from items", '"item"'),
        ("select * from read_csv('/etc/passwd')", "connect()"),
    ],
)
def test_the_hint_names_what_there_is(views, tables, sql, hint):
    with pytest.raises(InvalidInputError) as caught:
        views.query(tables, sql)
    assert hint in caught.value.hint


def test_python_variables_are_not_tables(views, tables):
    secret = pa.table({"x": [1]})
    with pytest.raises(InvalidInputError):
        views.query(tables, "select * from secret")
    assert secret.num_rows == 1


# -- binding -----------------------------------------------------------------------------------------------------


def test_a_connection_is_used_again_for_the_same_tables(views, tables, monkeypatch):
    opened = []
    real = bound_views.open_tables
    monkeypatch.setattr(bound_views, "open_tables", lambda *given, **named: opened.append(1) or real(*given, **named))
    for _ in range(3):
        views.query(tables, "select * from items").fetchall()
        views.query(dict(tables), "select * from commits").fetchall()
    assert len(opened) == 1
    views.query(tables | {"manifests": tables["manifests"].slice(0, 2)}, "select * from items").fetchall()
    assert len(opened) == 2


def test_only_the_views_a_query_reads_are_made(views, tables):
    views.query(tables, "select * from items").fetchall()
    assert views._binding(tables, frozenset(), {}, frozenset())[0]._made == {"stg_manifests", "items"}


def test_threads_share_a_binding(tables):
    shared = Views()

    def ask(number):
        name = shared.names()[number % len(shared.names())]
        return name, len(shared.query(tables, f"select * from {name}").fetchall())

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(ask, range(80)))
    assert len(found) == len(shared.names())


def test_a_connection_of_ones_own_may_do_more(views, tables, tmp_path):
    (tmp_path / "x.csv").write_text("folio,owner\na,ada\n")
    connection = views.connect(tables)
    connection.execute(f"create table owners as from read_csv('{tmp_path / 'x.csv'}')")
    found = connection.execute("select distinct owner from items join owners using (folio)").fetchall()
    assert found == [("ada",)]
    assert connection.execute("select current_setting('autoinstall_known_extensions')").fetchall() == [(False,)]
    assert views.query(tables, "select count(*) from items").fetchall() == [(3,)]


def test_names_are_the_public_ones_of_the_contract(views):
    contract = {
        "entries items commits runs snapshots lineage_edges item_metadata blob_refs storage_savings",
        "runs_by_project runs_by_date runs_by_type runs_by_model runs_flat",
    }
    assert {name for line in contract for name in line.split()} <= set(views.names())
    assert not any(name.startswith(("stg_", "audit_")) for name in views.names())
    assert set(views.columns()) == set(views.names())


def view_files(folder):
    return [parse_view(path, path.read_text(), "user") for path in sorted(folder.glob("*.sql"))]


def test_views_of_ones_own(tmp_path, tables):
    (tmp_path / "mine.sql").write_text("-- description: Items of mine\nselect item from items where folio = 'a'")
    (tmp_path / "deeper.sql").write_text("select count(*) as n from entries")
    (tmp_path / "pair.sql").write_text("select * from MINE cross join deeper")
    views = Views(given=view_files(tmp_path))
    assert views.query(tables, "select count(*) from mine").fetchall() == [(3,)]
    found = views.query(tables, "from deeper")
    assert list(zip(found.columns, map(str, found.types), strict=True)) == [("n", "BIGINT")]
    assert views.query(tables, "select count(*), max(n) from pair").fetchall() == [(3, 6)]


def test_a_broken_view_of_ones_own_is_named_and_spoils_nothing_else(tmp_path, tables):
    texts = ["select nope from items", "drop view items", "select 1; select 2", "not sql", "from bad_4", "from bad_6"]
    bad = {f"bad_{number}": text for number, text in enumerate([*texts, "from bad_5"])}  # two circles among them
    for name, text in bad.items():
        (tmp_path / f"{name}.sql").write_text(text)
    views = Views(given=view_files(tmp_path))
    assert views.query(tables, "select count(*) from items").fetchall() == [(3,)]
    assert ("items",) in views.query(tables, "show tables").fetchall()
    for name in bad:
        with pytest.raises(InvalidInputError) as caught:
            views.query(tables, f"select * from {name}")
        assert caught.value.kind == "bad-view"
        assert caught.value.path == str(tmp_path / f"{name}.sql")


def test_run_columns_have_a_limit_and_odd_names_do_no_harm(views):
    odd = {'metrics.a"b': 1, "metrics.it's": 2, "metrics.$.x": 3, "metrics./y": 4, "metrics.": 5, "metrics.RUN_ID": 6}
    many = {f"params.p{number:03}": number for number in range(RUN_COLUMNS_LIMIT + 20)}
    tables = Rows().run("r1", type="analysis", **odd, **many).commit().tables()
    relation = views.query(tables, "select * from runs")
    assert relation.columns.count('a"b') == 1
    assert {"it's", "p000"} <= set(relation.columns)
    assert len(relation.columns) == len(views.columns()["runs"]) + RUN_COLUMNS_LIMIT
    assert views.query(tables, """select "it's", "a""b", run_id from runs""").fetchall() == [(2.0, 1.0, "r1")]


# -- frames ------------------------------------------------------------------------------------------------------


def scan(table: pa.Table) -> pl.LazyFrame:
    def batches(columns, limit, rows):
        return iter(table.select(columns).slice(0, limit).to_batches(max_chunksize=rows))

    return polars_scan.scan(batches, table.schema)


def test_scan_pushes_filters_columns_and_limits_into_the_scan(tables):
    frame = scan(tables["manifests"])
    plan = frame.filter(pl.col("folio") == "a").select("item").explain()
    assert "SELECTION:" in plan
    assert "FILTER" not in plan
    assert "PROJECT 2/" in plan
    assert frame.filter(pl.col("folio") == "a").select("item").collect().height == 8


def test_scan_is_the_table(tables):
    for table in (*tables.values(), *empty_tables().values()):
        whole = scan(table).collect()
        assert whole.columns == table.column_names
        assert whole.to_dicts() == pl.DataFrame(pl.from_arrow(table)).to_dicts()
        assert scan(table).head(2).collect().height == min(2, table.num_rows)
        assert scan(table).collect_schema() == whole.schema


def test_scan_reads_in_pieces_and_counts_a_limit_before_a_filter():
    table = pa.table({"x": list(range(200_000))})
    assert scan(table).select(pl.col("x").sum()).collect().item() == sum(range(200_000))
    assert scan(table).head(70_000).filter(pl.col("x") >= 69_998).collect()["x"].to_list() == [69_998, 69_999]
    assert scan(table).filter(pl.col("x") >= 199_998).head(1).collect()["x"].to_list() == [199_998]


def test_the_engines_are_imported_when_they_are_needed():
    code = "import sys, lakefolio.views.engine; print([one for one in ('duckdb', 'polars') if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_interrupt_while_sql_runs_is_an_interrupt():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    timer = threading.Timer(0.5, _thread.interrupt_main)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            Views().query(
                empty_tables(), "select sum(a.range * b.range) from range(100000000) a, range(100000000) b"
            ).fetchall()
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)
