"""SQL reads tables of the lake by their references, of any version, lazily, and nothing else."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import lakefolio as lf
from lakefolio.errors import InvalidInputError, NotFoundError


@pytest.fixture
def lake(tmp_path):
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("exp/flights")
    folio.add("features", pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None]}))
    folio.add("features", pd.DataFrame({"a": [10, 20]}), overwrite=True)
    folio.add("Names 2", pl.DataFrame({"a": [10], "name": ["ten"]})).add("array", np.arange(3))
    return lake


def test_a_table_is_a_relation_of_its_reference_and_joins_with_others_and_views(lake):
    assert lake.sql('select sum(a) from "exp/flights:features"').fetchone() == (30,)
    joined = 'select name from "exp/flights:features" join "exp/flights:Names 2" using (a)'
    assert lake.sql(joined).fetchall() == [("ten",)]
    both = """
        with old as (select count(*) n from "exp/flights:features@1")
        select (select n from old), count(*) from items where item = 'features'
    """
    assert lake.sql(both).fetchall() == [(3, 1)]
    assert lake.folio("exp/flights").sql('from "exp/flights:features" where a > $1', [15]).fetchall() == [(20,)]


@pytest.mark.parametrize("at", ["@1", "@v1", "@first"])
def test_as_of_a_version_or_a_snapshot(lake, at):
    lake.snapshot("first", at=1)
    assert lake.sql(f'select max(a), min(b) from "exp/flights:features{at}"').fetchall() == [(3, "x")]
    assert lake.at(1).sql('select count(*) from "exp/flights:features"').fetchone() == (3,)


def test_a_pivot_that_looks_for_its_values_itself_reads_tables(lake):
    lake.folio("p").add("Sales", pl.DataFrame({"city": ["A", "B", "A"], "year": [1, 1, 2], "sum:m": [10, 20, 30]}))
    wanted = {(1, 10, 20), (2, 30, None)}
    for sql in (
        'pivot "p:Sales" on city using sum("sum:m") group by year',
        "from \"p:Sales@latest\" pivot (sum(\"sum:m\") for city in ('A', 'B') group by year)",
    ):
        assert set(lake.sql(sql).fetchall()) == wanted
    inner = 'select a.year, a.city, a."sum:m" as m from "p:Sales" as a join "p:Sales@latest" as b using (city, year)'
    joined = f"pivot ({inner}) on city using max(m) group by year"
    assert set(lake.sql(joined).fetchall()) == wanted
    lake.folio("p").add_query("wide", 'pivot "p:Sales" on city using sum("sum:m") group by year')
    assert [one.ref for one in lake.lineage("p:wide").upstream()] == [lake.item("p:Sales").ref]
    with pytest.raises(NotFoundError):
        lake.sql('pivot "p:nothing" on city using count(*)')


def test_the_newest_entry_is_read_after_a_change(lake):
    sql = 'select count(*) from "exp/flights:features"'
    assert lake.sql(sql).fetchone() == (2,)
    lake.folio("exp/flights").add("features", pd.DataFrame({"a": [1]}), overwrite=True)
    assert lake.sql(sql).fetchone() == (1,)


def test_what_is_read_is_an_input(lake):
    with lake.run("sql") as run:
        lake.sql('from "exp/flights:features"').fetchall()
    assert [one.ref for one in lake.get_run(run.run_id).inputs] == ["exp/flights:features@2"]


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ('from "exp/flights:featurs"', NotFoundError),
        ('from "nowhere:x"', NotFoundError),
        ('from "exp/flights:features@99"', NotFoundError),
        ('from "exp/flights:array"', InvalidInputError),
        ('from ":x"', InvalidInputError),
        ("from 'exp/flights:features.parquet'", NotFoundError),
        ("from 's3://bucket/x.parquet'", InvalidInputError),
        ("from '/etc/passwd'", InvalidInputError),
        ('insert into "exp/flights:features" values (1)', InvalidInputError),
    ],
)
def test_what_is_no_table_says_so(lake, sql, error):
    with pytest.raises(error) as caught:
        lake.sql(sql)
    assert type(caught.value) is error or issubclass(type(caught.value), error)


@pytest.mark.parametrize("name", ["features", "FEATURES@1", "features@yesterday"])
def test_a_name_without_its_folio_is_told_how_it_is_written(lake, name):
    at = name.lower().removeprefix("features")
    with pytest.raises(InvalidInputError) as caught:
        lake.sql(f'select * from "{name}"')
    assert f'"exp/flights:features{at}"' in caught.value.hint


def test_the_name_of_a_query_of_ones_own_is_no_item(lake):
    assert lake.sql('with "exp/flights:features" as (select 1 as a) from "exp/flights:features"').fetchall() == [(1,)]


def test_only_what_is_needed_is_read(lake, monkeypatch):
    rows = 400_000
    table = pa.table({"n": np.arange(rows), "wide": pa.array(["x" * 20] * rows)})
    lake.folio("big").add("t", table)
    plan = lake.sql('explain select max(n) from "big:t" where n < 10').fetchall()
    text = " ".join(str(one) for row in plan for one in row)
    assert "wide" not in text
    assert "n<10" in text.replace(" ", "")
    assert lake.sql('select count(*), max(n) from "big:t" where n < 10').fetchone() == (10, 9)


def test_types_that_parquet_has_not_come_as_a_table(lake):
    categories = pd.DataFrame({"c": pd.Categorical(["u", "v", "u"]), "d": pd.to_timedelta([1, 2, 3], unit="s")})
    lake.folio("f").add("t", categories)
    assert lake.sql('select count(distinct c) from "f:t"').fetchone() == (2,)


@pytest.mark.parametrize("nested", [False, True])
def test_nanoseconds_that_duckdb_cuts_off_are_refused(lake, nested):
    folio, kind = lake.folio("f"), pa.timestamp("ns", "UTC")
    for name, number in (("whole", 1_600_000_000_123_456_000), ("finer", 1_600_000_000_123_456_789)):
        times = pa.array([number, None], kind)
        column = pa.array([times.to_pylist()], pa.list_(kind)) if nested else times
        folio.add(name, pa.table({"n": range(len(column)), "t": column}))
    assert "123456+00" in lake.sql('select t::varchar from "f:whole" order by n limit 1').fetchone()[0]
    with pytest.raises(InvalidInputError, match=r"'t' of the type .* holds nanoseconds, which DuckDB cuts off"):
        lake.sql('select * from "f:finer"')
    folio.add("time", pa.table({"t": pa.array([123_456_789], pa.time64("ns"))}))
    with pytest.raises(InvalidInputError, match="'t' holds a time with nanoseconds"):
        lake.sql('select t from "f:time"').fetchall()
    assert lake.sql('select t from "f:time"').pl()["t"].to_physical()[0] == 123_456_789


def test_a_damaged_table_is_refused(lake, tmp_path):
    lake.folio("f").add("big", pa.table({"n": np.random.default_rng(1).random(5000)}))
    [blob] = [one for one in (tmp_path / "lake" / "blobs").rglob("*") if one.is_file() and one.stat().st_size > 30_000]
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[:-100] + b"\0" * 100)
    with pytest.raises(lf.IntegrityError):
        lf.open(tmp_path / "lake").sql('from "f:big"')


def test_texts_that_would_end_the_process_are_null_where_functions_take_them(lake):
    lake.folio("f").add("deep", pa.table({"j": ["[" * 100_000, '{"a": 1}']}))
    sql = 'select count(j), max(json_structure(j)) from "f:deep"'
    assert lake.sql('select count(j) from "f:deep"').fetchone() == (2,)
    with pytest.warns(UserWarning, match="nested more than"):
        assert lake.sql(sql).fetchone() == (1, '{"a":"UBIGINT"}')


def test_a_batch_reads_what_it_changed_last_and_nothing_of_it_stays(tmp_path):
    lake = lf.open(tmp_path / "of_batches")
    folio = lake.folio("f")
    folio.add("t", pa.table({"a": [1]}))
    with lake.batch("changes"):
        before = lake.sql('select a from "f:t"')
        for value in (2, 3):
            folio.add("t", pa.table({"a": [value]}), overwrite=True)
            assert lake.sql('select a from "f:t"').fetchall() == [(value,)]
        assert before.fetchall() == [(1,)]
    assert lake.sql('select a from "f:t"').fetchall() == [(3,)]

    def undone():
        with lake.batch("undone"):
            folio.add("t", pa.table({"a": [4]}), overwrite=True).add("u", pa.table({"a": [5]}))
            assert lake.sql('select t.a, u.a from "f:t" t, "f:u" u').fetchall() == [(4, 5)]
            raise KeyError("undone")

    with pytest.raises(KeyError, match="undone"):
        undone()
    assert lake.sql('select a from "f:t"').fetchall() == [(3,)]
    with pytest.raises(NotFoundError, match="'u' not found"):
        lake.sql('select a from "f:u"')


def test_a_column_whose_name_sql_cannot_say_is_refused(tmp_path):
    lake = lf.open(tmp_path / "of_names")
    lake.folio("f").add("t", pa.table({"a\0b": [1], "c": [2]}))
    with pytest.raises(InvalidInputError, match=r"its column .* holds a NUL"):
        lake.sql('select c from "f:t"')
