"""View files of others: judged by what is allowed, run in a process of their own, and stopped by their limits."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

import lakefolio as lf
from lakefolio.format.sql_text import sql_id
from lakefolio.process.child_process import start
from lakefolio.views import sandbox
from lakefolio.views.sandbox import Limits, Rows, rows_of_view
from lakefolio.views.sql_rules import judge
from lakefolio.views.view_files import load_views, parse_view

RUNS = """
select range::varchar as run_id, 'x' as project, '{"a": 1}'::json as params,
    1267650600228229401496703205376::hugeint as large, '550e8400-e29b-41d4-a716-446655440000'::uuid as id,
    timetz '10:00:00+01' as clock
from range(1000)
"""


@pytest.fixture
def connection():
    connection = duckdb.connect()
    connection.execute(f"create view runs as {RUNS}")
    connection.execute('create view "weird ""name" as select 1 as "a""b", [1, 2] as "c d"')
    return connection


def ask(connection, sql, *others, seconds=20.0, memory_mib=256.0) -> Rows:
    view = parse_view(Path("views/mine.sql"), sql, "lake")
    relations = ["runs", 'weird "name', *(one.name for one in load_views())]
    return rows_of_view(
        view,
        [view, *others],
        relations,
        lambda name: connection.cursor().sql("from " + sql_id(name)),
        Limits(seconds, memory_mib),
    )


def refused(connection, sql, **limits) -> lf.InvalidInputError:
    with pytest.raises(lf.InvalidInputError) as caught:
        ask(connection, sql, **limits)
    assert "views/mine.sql" in caught.value.message
    assert "\n" not in str(caught.value)
    return caught.value


# -- what may run ------------------------------------------------------------------------------------------------


SELECTS = [
    "select params ->> 'a' as path, run_id from runs",
    "with a as (select * from runs), b as (from a) select project as path, count(*) from b group by all",
    "select * exclude (id) replace (upper(project) as project) from runs where run_id[1] = '1' order by 1 limit 3",
    "pivot runs on project in ('x') using count(*)",
    "unpivot (select 1 as a, 2 as b) on a, b",
    "select unnest([1, 2]) as n, row_number() over (partition by 1 order by 2), [x for x in [1, 2] if x > 1]",
    "select d::varchar as path from generate_series(date '2026-01-01', date '2026-02-01', interval 1 day) t(d)",
    "select * from runs tablesample 10 rows",
    "select run_id.upper().lower() as path from runs as r semi join (values ('1')) v(run_id) using (run_id)",
    "with recursive t(n) as (select 1 union all select n + 1 from t where n < 9) select * from t",
    "from RUNS select run_id::int % 7, list_transform([1], lambda x: x + 1), {'a': [1]}.a, interval '1 day'",
    'select "a""b", "c d"[1] from "weird ""name"',
    "/* a */ select 1 as one -- the end",
]
FEW = (0, 1, 2, 9, 11)
"""Conditions, tables of its own, stars, recursion and quoted names; the slow tests try all."""


@pytest.mark.parametrize(
    "sql",
    [pytest.param(sql, marks=() if number in FEW else pytest.mark.slow) for number, sql in enumerate(SELECTS)],
)
def test_a_select_over_the_views_is_what_it_is(connection, sql):
    rows, direct = ask(connection, sql), connection.sql(sql)
    rows.bind(connection, "given")
    found = connection.sql("from given")
    assert found.columns == direct.columns
    assert list(map(str, found.types)) == list(map(str, direct.types))
    if "sample" not in sql:
        assert sorted(map(str, found.fetchall())) == sorted(map(str, direct.fetchall()))


def test_types_that_arrow_lacks_come_back(connection):
    rows = ask(connection, "select run_id, params, large, clock from runs where run_id = '7'")
    rows.bind(connection, "given")
    found = connection.sql("from given")
    assert list(map(str, found.types)) == ["VARCHAR", "JSON", "HUGEINT", "TIME WITH TIME ZONE"]
    assert found.fetchall()[0][:3] == ("7", '{"a": 1}', 2**100)
    sql = "select [params] p, {'x y': large} s, map {clock: '010'::bit} m from runs where run_id = '7'"
    ask(connection, sql).bind(connection, "nested")
    found, direct = connection.sql("from nested"), connection.sql(sql)
    assert (list(map(str, found.types)), found.fetchall()) == (list(map(str, direct.types)), direct.fetchall())


FORBIDDEN = [
    "select * from pandas_scan(null)",
    "select * from arrow_scan(1, 2, 3)",
    "select * from python_map_function()",
    "select * from json_execute_serialized_sql('{}')",
    "from json_execute_serialized_sql(json_serialize_sql('select 1'))",
    "select json_deserialize_sql('{}')",
    "select json_serialize_plan('select 1')",
    "from query('select 1')",
    "from query/**/('from ena' || 'ble_logging()')",
    "from \"query\" ('select 1')",
    "from query_table('runs')",
    "from enable_logging(storage = 'file', storage_path = '/tmp/never')",
    "from enable_profiling()",
    "from truncate_duckdb_logs()",
    "from read_csv('/etc/passwd')",
    "from read_text('/etc/passwd')",
    "from read_blob('/etc/passwd')",
    "from read_json('/etc/passwd')",
    "from read_parquet('/etc/passwd')",
    "from read_duckdb('/etc/passwd')",
    "from glob('/etc/*')",
    "from sniff_csv('/etc/passwd')",
    "from parquet_metadata('/etc/passwd')",
    "from parquet_file_metadata('/etc/passwd')",
    "from '/etc/passwd'",
    'from "/etc/passwd.csv"',
    "from tables",
    "from sys",
    "from duckdb_settings()",
    "from duckdb_secrets()",
    "from duckdb_functions()",
    "from pragma_database_size()",
    "from pragma_table_info('runs')",
    "from information_schema.tables",
    "from pg_catalog.pg_class",
    "from sqlite_master",
    "from duckdb_views",
    "from test_all_types()",
    "from test_vector_types(1)",
    "from seq_scan('x')",
    "from repeat_row(1, num_rows = 10)",
    "from system.main.runs",
    "from runs at (version => 1)",
    "from range((select count(*) from runs))",
    "select * from runs, range(runs.run_id::int)",
    "select getenv('HOME')",
    "select current_setting('temp_directory')",
    "select getvariable('x')",
    "select nextval('x')",
    "select write_log('x')",
    "select sleep_ms(1)",
    "select current_query()",
    "select finalize('x'::blob)",
    "select sum(run_id::int) export_state from runs",
    "select create_sort_key(1, 'asc')",
    "select variant_bytes_to_variant('x'::blob)",
    "select vector_type(1)",
    "select st_asbinary(null)",
    "select 1::geometry",
    "select 1::pointer",
    "select [write_log('x') for x in [1]]",
    "select list_transform([1], lambda x: write_log('x'))",
    "select * replace (write_log('x') as run_id) from runs",
    "select columns(lambda c: write_log(c) is null) from runs",
    "select 1 from runs order by write_log('x')",
    "select 1 from runs limit (from glob('/etc/*') select count(*))",
    "select 1 from runs group by write_log('x')",
    "select 1 from runs qualify write_log('x') is null",
    "select count(*) filter (where write_log('x') is null) from runs",
    "select sum(1) over (order by write_log('x')) from runs",
    "select case when true then write_log('x') end",
    "select exists (from glob('/etc/*'))",
    "select 1 in (from glob('/etc/*') select 1)",
    "with a as (from glob('/etc/*')) from a",
    "with recursive a as (select 1 union all from glob('/etc/*')) from a",
    "select * from runs join glob('/etc/*') on true",
    "select * from runs, lateral (from glob('/etc/*'))",
    "select 1 union all (from glob('/etc/*') select 1)",
    "values (write_log('x'))",
    "pivot runs on project in ('x') using max(write_log('x'))",
    "pivot runs on project using count(*)",
    "select run_id.write_log() from runs",
    "select system.main.write_log('x')",
    "select ?",
    "select $path",
    "describe runs",
    "summarize runs",
    "show tables",
    "explain select 1",
    "select 1; select 2",
    "copy (select 1) to '/tmp/never.csv'",
    "copy runs from '/tmp/never.csv'",
    "attach '/tmp/never.db'",
    "install httpfs",
    "load httpfs",
    "pragma enable_profiling",
    "call pragma_version()",
    "export database '/tmp/never'",
    "set threads = 8",
    "create table x as select 1",
    "create macro x() as 1",
    "prepare x as select 1",
    "checkpoint",
    "from nothing",
    "selec 1",
    "",
]


def test_nothing_else_is_allowed(connection):
    for sql in FORBIDDEN:
        (serialised,) = connection.execute("select json_serialize_sql(?)", [sql]).fetchone()
        reason = judge(serialised, known=frozenset({"runs"})).refused
        assert reason, sql
        assert "\n" not in reason.splitlines()[0], sql


@pytest.mark.parametrize("sql", FORBIDDEN[:: len(FORBIDDEN) // 3])
def test_nothing_else_runs(connection, sql):
    error = refused(connection, sql)
    assert error.kind == "bad-view"
    assert not Path("/tmp/never.csv").exists()
    assert not Path("/tmp/never").exists()


def test_rows_that_are_read_do_not_count_as_memory(connection):
    connection.execute("create view large as select range as n, repeat('x', 500) as text from range(1000000)")
    view = parse_view(Path("views/mine.sql"), "select count(*) as n, max(text) as text from large", "lake")
    read = lambda name: connection.cursor().sql(f"from {name}")  # noqa: E731
    rows = rows_of_view(view, [view], ["large"], read, Limits(60, 64))
    assert rows.table.to_pylist() == [{"n": 1_000_000, "text": "x" * 500}]


def test_a_system_without_processes_is_one_error(connection, monkeypatch):
    def popen(*given, **options):
        raise PermissionError("not here")

    monkeypatch.setattr(sandbox.subprocess, "Popen", popen)
    assert refused(connection, "select 1 as one").kind == "view-crashed"


def test_a_view_file_reads_others_and_never_itself(connection):
    other = parse_view(Path("views/other.sql"), "select run_id as r from runs limit 5", "lake")
    circle = parse_view(Path("views/circle.sql"), "from mine", "lake")
    bad = parse_view(Path("views/bad.sql"), "from glob('*')", "lake")
    assert ask(connection, "select count(*) as n from Other", other).table.to_pylist() == [{"n": 5}]
    with pytest.raises(lf.InvalidInputError, match="reads itself"):
        ask(connection, "from circle", circle)
    with pytest.raises(lf.InvalidInputError, match=r"reads 'bad', and there it reads glob\(\)"):
        ask(connection, "from bad", bad)


# -- what it may take --------------------------------------------------------------------------------------------

HARD = {
    "recursion": "with recursive t(n) as (select 1 union all select n + 1 from t) select max(n)::text as path from t",
    "ctes": "with a0 as (select 'x' as path)"
    + "".join(f", a{i} as (select * from a{i - 1} union all select * from a{i - 1})" for i in range(1, 40))
    + " from a39",
    "rows": "select range::varchar as path from range(9000000000000000000)",
    "deep rows": "select * from (" * 100 + "select 'x' as path from range(1000000000000)" + ")" * 100,
    "cross": "select count(*)::varchar as path from range(10000000) a, range(10000000) b, range(1000) c",
    "sort": "select (a.range + b.range)::varchar as path from range(9000000) a, range(9000000) b order by 1",
    "folding": "select repeat('x', 4000000000) as path",
    "folded lists": "select range(1000000000)::varchar as path",
    "format": "select format('{:>2000000000}', 'x') as path",
    "levenshtein": "select levenshtein(repeat('x', 1000000), repeat('y', 1000000))::varchar as path",
    "regex": "select max(regexp_matches(range || repeat('a', 500), '(a+)+$b'))::text as path from range(1000000000)",
    "json": "select json_extract(repeat('[', 10000000) || repeat(']', 10000000), '$[0]')::varchar as path",
    "crash": "select json_contains((repeat('[', 1000000) || repeat(']', 1000000))::json, '1')::text as path",
    "lambda": "select list_transform(range(1000000), lambda x: range(1000000))::varchar as path",
    "reduce": "select list_reduce(list_transform(range(1000000), lambda x: x::varchar), lambda x, y: x || y) as path",
    "aggregate": "select list(range)::varchar as path from range(1000000000)",
    "text": "select string_agg(repeat('x', 100), ',') as path from range(100000000)",
    "joins": "select count(*)::varchar as path from "
    + ", ".join(f"range(10) t{i}" for i in range(60))
    + " where "
    + " and ".join(f"t{i}.range <> t{(i * 7 + 3) % 60}.range" for i in range(60)),
    "comments": "select 'x' as path " + "/*" * 30_000,
}


@pytest.mark.parametrize("sql", HARD.values(), ids=HARD)
def test_hard_work_ends_by_its_limit(connection, sql):
    began = time.monotonic()
    error = refused(connection, sql, seconds=1.5, memory_mib=128)
    assert time.monotonic() - began < 60  # a busy machine starts a process slowly
    assert error.kind in ("view-limit", "view-crashed")
    if error.kind == "view-limit":
        assert "LAKEFOLIO_VIEW_" in error.hint


def test_the_clock_does_not_run_while_the_process_starts(connection, monkeypatch):
    real = subprocess.Popen

    def slow_to_start(command, **options):
        return real(["sh", "-c", 'sleep 4; exec "$@"', "sh", *command], **options)

    monkeypatch.setattr(sandbox.subprocess, "Popen", slow_to_start)
    assert ask(connection, "select 1 as one", seconds=3).table.num_rows == 1


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_the_process_imports_little():
    """It starts anew for each answer: NumPy and Arrow's functions would take as long as all the rest."""
    child = start("lakefolio.views.sandbox_child", ("duckdb", "pyarrow"), without=("numpy",))
    with child:
        assert child.stdout.readline() == b'{"ready": true}\n'
        mapped = Path(f"/proc/{child.pid}/maps").read_text()
        child.kill()
    assert "libarrow.so" in mapped
    assert "_multiarray_umath" not in mapped
    assert "pyarrow/_compute" not in mapped


def test_an_answer_that_is_cut_off_is_no_answer(connection):
    """A stream without its end reads like a shorter one."""
    sql = "select range as n from range(3000000) union all select n from (select sum(a.range)::bigint as n from"
    sql += " range(100000000) a, range(100000000) b)"
    assert refused(connection, sql, seconds=2).kind == "view-limit"


def test_the_process_has_no_environment_and_leaves_nothing(connection, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    monkeypatch.chdir(tmp_path)
    seen = {}
    real = subprocess.Popen

    def popen(*given, **options):
        seen.update(options)
        seen["process"] = real(*given, **options)
        return seen["process"]

    monkeypatch.setattr(sandbox.subprocess, "Popen", popen)
    refused(connection, "select count(*) from range(10000000) a, range(10000000) b", seconds=1)
    assert "AWS_SECRET_ACCESS_KEY" not in seen["env"]
    assert seen["process"].returncode is not None
    assert list(tmp_path.iterdir()) == []


def test_the_limits_are_those_of_the_system():
    """Memory, CPU time and files, whatever DuckDB believes."""
    resource = pytest.importorskip("resource")
    code = (
        "import resource, json; from lakefolio.process.child_process import limit; limit(64, 3)\n"
        "names = ['RLIMIT_AS', 'RLIMIT_CPU', 'RLIMIT_FSIZE', 'RLIMIT_CORE']\n"
        "print(json.dumps({name: resource.getrlimit(getattr(resource, name))[0] for name in names}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = __import__("json").loads(done.stdout)
    assert found["RLIMIT_FSIZE"] == found["RLIMIT_CORE"] == 0
    assert 3 < found["RLIMIT_CPU"] < 30
    if sys.platform == "linux":
        assert 0 < found["RLIMIT_AS"] < 2**32
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 0


# -- nobody runs them unasked ------------------------------------------------------------------------------------


@pytest.fixture
def lake(tmp_path, monkeypatch):
    monkeypatch.setenv("LAKEFOLIO_VIEWS", str(tmp_path / "own"))
    lake = lf.open(tmp_path / "lake")
    lake.create_run(run_id="r", project="churn", status="done")
    (tmp_path / "lake/views").mkdir()
    (tmp_path / "lake/views/crash.sql").write_text("select '' as path from pandas_scan(null)")
    return lake


def test_listing_completing_and_describing_run_no_view_file(lake, tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox.subprocess, "Popen", lambda *given, **options: pytest.fail("a process was started"))
    assert "crash" in lake.browse()
    assert "crash" in {one["name"] for one in lake.views()[0]}
    assert lake.browse("by_project/churn").names == ["r"]
    assert [one.run_id for one in lake.runs()] == ["r"]
    assert lake.sql("select count(*) from runs").fetchall() == [(1,)]
    assert ("runs",) in lake.sql("show tables").fetchall()
    assert lake.connect().execute("select count(*) from runs").fetchall() == [(1,)]


LISTING = (["runs", "nothing"], ["ls", "nothing"], ["sql", "--views"], ["ls"], ["info-that-is-not"])


@pytest.mark.parametrize("given", [["runs"], *(pytest.param(one, marks=pytest.mark.slow) for one in LISTING)])
def test_commands_that_list_run_no_view_file(lake, tmp_path, given):
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "lakefolio", "--lake", str(tmp_path / "lake"), *given],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in range(8)
    assert "lakefolio.views.sandbox_child" not in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "typed", ["by_project/", *(pytest.param(one, marks=pytest.mark.slow) for one in ("", "cr", "crash/", "crash/x"))]
)
def test_a_shell_that_completes_runs_no_view_file(lake, tmp_path, typed):
    environment = os.environ | {
        "_LAKEFOLIO_COMPLETE": "bash_complete",
        "COMP_LINE": f"lakefolio --lake {tmp_path / 'lake'} runs {typed}",
    }
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "lakefolio"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0
    assert "lakefolio.views.sandbox_child" not in done.stderr
    assert ("by_project/churn" in done.stdout) == (typed == "by_project/")


def test_a_view_file_that_would_crash_is_one_error(lake):
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.sql("from crash")
    assert caught.value.kind == "bad-view"
    assert "pandas_scan" in caught.value.message
    assert lake.sql("select count(*) from runs").fetchall() == [(1,)]


def test_a_view_file_runs_once_for_one_state_of_the_lake(lake, tmp_path, monkeypatch):
    (tmp_path / "lake/views/mine.sql").write_text("select project as path, run_id from runs")
    started = []
    real = subprocess.Popen
    monkeypatch.setattr(
        sandbox.subprocess, "Popen", lambda *given, **options: started.append(1) or real(*given, **options)
    )
    assert lake.browse("mine/churn").names == ["r"]
    assert lake.sql("select count(*) from mine").fetchall() == [(1,)]
    assert len(started) == 1
    (tmp_path / "lake/views/mine.sql").write_text("select 'new' as path, run_id from runs")
    assert lake.browse("mine").folders == {"new": 1}
    lake.create_run(run_id="r2", status="done")
    assert lake.browse("mine").folders == {"new": 2}
    assert isinstance(lake.sql("from mine").to_arrow_table(), pa.Table)


def test_a_view_file_reads_the_content_of_items(lake, tmp_path):
    lake.folio("a").add("x", "hello")
    (tmp_path / "lake/views/text.sql").write_text("select decode(content) as path, folio, item from items")
    anew = lf.open(tmp_path / "lake", read_only=True)
    assert anew.browse("text").folders == {'"hello"': 1}
    assert anew.sql("select path from text").fetchall() == [('"hello"',)]


def test_threads_ask_for_one_view_file_at_once(lake, tmp_path):
    (tmp_path / "lake/views/mine.sql").write_text("select project as path, run_id from runs")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: lake.sql("select * from mine").fetchall(), range(16)))
    assert found == [[("churn", "r")]] * 16


def test_the_past_is_asked_by_view_files_too(lake, tmp_path):
    (tmp_path / "lake/views/mine.sql").write_text("select project as path, run_id from runs")
    before = lake.version
    lake.create_run(run_id="later", project="churn", status="done")
    assert lake.at(before).browse("mine/churn").names == ["r"]
    assert len(lake.browse("mine/churn").names) == 2
