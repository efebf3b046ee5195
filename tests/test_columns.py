"""Which columns were made from which: told by SQL, declared, and followed downstream."""

import json
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.errors import InvalidInputError, LakefolioError, NotFoundError
from lakefolio.lineage.impact import reached_columns
from lakefolio.views.polars_plan import columns_of_plan
from lakefolio.views.sql_columns import columns_of_query

SCHEMAS = {"f:x": ["a", "b", "k"], "f:u": ["k", "q", "s"]}


def told(sql: str) -> tuple[list[str], str] | None:
    """Return the sources of each column of a query and of its rows, as words."""
    row = duckdb.execute("select json_serialize_sql($1)", [sql]).fetchone()
    assert row is not None
    found = columns_of_query(json.loads(row[0]), SCHEMAS)
    if found is None:
        return None
    words = [" ".join(sorted(f"{name[-1]}.{column}" for name, column in one)) for one in (*found.outputs, found.rows)]
    return words[:-1], words[-1]


@pytest.mark.parametrize(
    ("sql", "outputs", "rows"),
    [
        ('select a, b + k as c, 1 from "f:x"', ["x.a", "x.b x.k", ""], ""),
        ('select * from "f:x"', ["x.a", "x.b", "x.k"], ""),
        ('select * exclude (b) from "f:x" where b > 1', ["x.a", "x.k"], "x.b"),
        ('select X.A, "f:u".q from "f:x" x join "f:u" on x.k = "f:u".k', ["x.a", "u.q"], "u.k x.k"),
        ('select * from "f:x" join "f:u" using (k)', ["x.a", "x.b", "u.k x.k", "u.q", "u.s"], "u.k x.k"),
        ('select u.* from "f:x", "f:u" u', ["u.k", "u.q", "u.s"], ""),
        ('select sum(a), k from "f:x" group by k having max(b) > 1', ["x.a", "x.k"], "x.b x.k"),
        ('select sum(a), k from "f:x" group by 2', ["x.a", "x.k"], "x.k"),
        ('select k + b as g, sum(a) from "f:x" group by all', ["x.b x.k", "x.a"], "x.b x.k"),
        ('select abs(k), list(a order by b), count(*) from "f:x" group by all', ["x.k", "x.a x.b", ""], "x.k"),
        (
            'select *, max(q) from "f:x" join "f:u" using (k) group by all',
            ["x.a", "x.b", "u.k x.k", "u.q", "u.s", "u.q"],
            "u.k u.q u.s x.a x.b x.k",
        ),
        ('select a from "f:x" group by 1, 7 order by b', ["x.a"], "x.a x.b"),
        ('select a, b from "f:x" order by 2 limit 1', ["x.a", "x.b"], "x.b"),
        (
            'select a, b from "f:x" union all select q, s from "f:u" order by 2 limit 1',
            ["u.q x.a", "u.s x.b"],
            "u.s x.b",
        ),
        ('select a as z from "f:x" order by z limit 3', ["x.a"], "x.a"),
        ('select a as z, z + b as y from "f:x"', ["x.a", "x.a x.b"], ""),
        ('with t as (select a + b as c, k from "f:x" where b > 0) select c from t', ["x.a x.b"], "x.b"),
        ('with t(m, n) as (select a, b from "f:x") select n, m from t', ["x.b", "x.a"], ""),
        ('select c from (select a c from "f:x") where c > 1', ["x.a"], "x.a"),
        ('select (select max(q) from "f:u" where "f:u".k = x.k) from "f:x" x', ["u.k u.q x.k"], ""),
        ('select a from "f:x" where k in (select k from "f:u")', ["x.a"], "u.k x.k"),
        ('select a, b from "f:x" union all select q, s from "f:u"', ["u.q x.a", "u.s x.b"], ""),
        ('select a from "f:x" except select q from "f:u"', ["u.q x.a"], "u.q x.a"),
        ('select sum(a) over (partition by k order by b) from "f:x"', ["x.a x.b x.k"], ""),
        ('select case when a > 1 then b end, cast(k as varchar) from "f:x"', ["x.a x.b", "x.k"], ""),
        ('select count(*) from "f:x" semi join "f:u" using (k)', [""], "u.k x.k"),
        ('select l.z from "f:x" x, lateral (select x.a + q as z from "f:u") l', ["u.q x.a"], ""),
        ('select a from "f:x" qualify row_number() over (order by b) = 1', ["x.a"], "x.b"),
        ('select b as a, k from "f:x" order by a limit 2', ["x.b", "x.k"], "x.b"),
        ('select b as a, k from "f:x" order by a + 0 limit 2', ["x.b", "x.k"], "x.a x.b"),
        ('select distinct on (a) b as a, k from "f:x"', ["x.b", "x.k"], "x.b"),
        ('select sum(a) as b from "f:x" group by k having b > 3', ["x.a"], "x.a x.b x.k"),
        ('select distinct a, b from "f:x"', ["x.a", "x.b"], "x.a x.b"),
        ('select a from "f:x" union select q from "f:u"', ["u.q x.a"], "u.q x.a"),
        ('select k, unnest([a, b]) as v from "f:x"', ["x.k", "x.a x.b"], "x.a x.b"),
        ('select count(*) from (select unnest(range(k)) from "f:x")', [""], "x.k"),
    ],
)
def test_the_sources_of_each_column(sql: str, outputs: list[str], rows: str) -> None:
    assert told(sql) == (outputs, rows)


@pytest.mark.parametrize(
    "sql",
    [
        'select a from "f:x" join items on true',
        'select columns(*) from "f:x"',
        'select nothing from "f:x"',
        'select * replace (1 as a) from "f:x"',
        'select * from "f:x" natural join "f:u"',
        'pivot "f:x" on a in (1, 2) using sum(b)',
        "with recursive t as (select 1 as n union all select n + 1 from t where n < 5) select n from t",
        'select list_transform([1], lambda e: e + a) from "f:x"',
        "select * from range(5)",
        "values (1)",
        'select a from main."f:x"',
        'select a from "f:x" union all by name select k as b from "f:u"',
    ],
)
def test_what_is_not_understood_is_not_told(sql: str) -> None:
    assert told(sql) is None


@pytest.mark.parametrize(
    "tree", [{}, {"statements": []}, {"statements": [{"node": 7}]}, {"statements": [{"node": {}}]}]
)
def test_no_tree_is_no_answer(tree: dict) -> None:
    assert columns_of_query(tree, SCHEMAS) is None


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add("raw", pd.DataFrame({"price": [1.0, 2.0], "count": [3, 4], "note": ["p", "q"]}))
    return lake


def reached(lake: lf.Lake, column: str | None = None) -> dict[str, object]:
    return {one.ref.partition("@")[0].partition(":")[2]: one.columns for one in lake.impact("f:raw", column)}


def test_a_query_becomes_a_table_with_its_sources(lake: lf.Lake) -> None:
    folio = lake.folio("f")
    folio.add_query("total", 'select price * count as total, note from "f:raw" where count > $1', [3])
    assert folio.get("total", as_="arrow").to_pylist() == [{"total": 8.0, "note": "q"}]
    (edge,) = lake.item("f:total").inputs
    assert (edge["input_item"], edge["input_id"]) == ("raw", lake.item("f:raw").entry_id)
    assert json.loads(edge["details"]) == {
        "columns": {"total": ["count", "price"], "note": ["note"]},
        "rows": ["count"],
    }
    folio.add_query("sum", 'select sum(total) as s from "f:total"')
    folio.add("report", {"s": 8}, inputs=["sum"]).add("other", 1)
    assert reached(lake, "price") == {"total": ("total",), "sum": ("s",), "report": None}
    assert reached(lake, "note") == {"total": ("note",)}
    assert reached(lake, "count") == {"total": ("note", "total"), "sum": ("s",), "report": None}
    assert reached(lake) == reached(lake, "count")
    folio.add("raw", pd.DataFrame({"price": [2.0], "count": [9], "note": ["z"]}), overwrite=True)
    assert reached(lake, "note") == {"total": ("note",)}, "an older version of it was used"
    folio.delete("report", warn_dependents=False)
    assert reached(lake, "price") == {"total": ("total",), "sum": ("s",)}
    folio.tag("total", "good").rename("sum", "all")
    assert reached(lake, "price")["all"] == ("s",)
    assert "column price of f:raw@" in str(lake.impact("f:raw", "price"))
    assert lake.check().ok


def test_what_is_read_by_name_and_version_is_one_input_each(lake: lf.Lake) -> None:
    folio = lake.folio("f")
    folio.add("raw", pd.DataFrame({"price": [7.0], "count": [1], "note": ["n"]}), version="1.0.0", overwrite=True)
    folio.add_query("both", 'select n.price as now, t.price as old from "f:raw@#1" t, "f:raw" n')
    said = [json.loads(one["details"])["columns"] for one in lake.item("f:both").inputs]
    assert said == [{"now": ["price"]}, {"old": ["price"]}] or said == [{"old": ["price"]}, {"now": ["price"]}]
    with folio.batch():
        folio.add("new", pd.DataFrame({"a": [1]})).add_query("of_new", 'select a + 1 as b from "f:new"')
    assert json.loads(lake.item("f:of_new").inputs[0]["details"]) == {"columns": {"b": ["a"]}, "rows": []}


def test_a_query_over_views_names_its_items_only(lake: lf.Lake) -> None:
    lake.folio("f").add_query("sizes", 'select item, size_bytes, r.price from items, "f:raw" r')
    (edge,) = lake.item("f:sizes").inputs
    assert edge["details"] is None
    assert reached(lake, "note") == {"sizes": None}


def test_a_run_adds_nothing_to_what_is_known_by_columns(lake: lf.Lake) -> None:
    folio = lake.folio("f")
    with lake.run("make") as run:
        run.input("f:raw")
        folio.add_query("total", 'select price as p from "f:raw"')
        run.add_output("result", 1)
    found = {one.ref.partition("@")[0]: one.columns for one in lake.impact("f:raw", "note")}
    assert [ref for ref in found if ref.endswith(":result")]
    assert "f:total" not in found


def test_declared_columns(lake: lf.Lake) -> None:
    folio = lake.folio("f").add("cfg", {"tax": 0.2})
    frame = pd.DataFrame({"net": [1.0], "gross": [1.2]})
    folio.add("out", frame, columns_from={"net": {"raw": "price"}, "gross": {"raw": ["price"], "cfg": []}})
    assert folio.get_inputs("out") == ["raw", "cfg"]
    folio.add_table("one", frame, inputs="raw", columns_from={"net": "note"})
    assert reached(lake, "note") == {"one": ("net",)}
    assert reached(lake, "price") == {"out": ("gross", "net")}
    before = lake.version
    folio.add_table("one", frame, inputs="raw", columns_from={"net": "note"})
    assert lake.version == before
    with pytest.raises(LakefolioError) as failed:
        folio.add_table("one", frame, inputs="raw", columns_from={"net": "price"})
    assert failed.value.differs == ["columns"]


@pytest.mark.parametrize(
    ("inputs", "columns", "kind"),
    [
        (["raw"], {"nte": "note"}, "unknown-column"),
        (["raw"], {"net": "nope"}, "unknown-column"),
        (["raw", "raw@1"], {"net": "note"}, "bad-columns"),
        (None, {"net": "note"}, "bad-columns"),
        (["raw"], {"net": 7}, "bad-columns"),
        (["raw"], {7: "note"}, "bad-columns"),
        (["raw"], ["net"], "bad-columns"),
        (None, {"net": {"nope": "note"}}, "input-not-found"),
    ],
)
def test_columns_that_there_are_not_are_refused(lake: lf.Lake, inputs: object, columns: object, kind: str) -> None:
    before = lake.version
    with pytest.raises(LakefolioError) as failed:
        lake.folio("f").add("out", pd.DataFrame({"net": [1.0]}), inputs=inputs, columns_from=columns)
    assert failed.value.kind == kind
    assert lake.version == before


def test_impact_of_what_there_is_not(lake: lf.Lake) -> None:
    with pytest.raises(NotFoundError):
        lake.impact("f:nope")
    with pytest.raises(InvalidInputError) as failed:
        lake.impact("f:raw", "prise")
    assert failed.value.kind == "unknown-column"
    assert "price" in str(failed.value)


@pytest.mark.parametrize("details", ["7", "{}", '{"columns": 3}', '{"columns": {"b": [1]}}', "[" * 3000, "{"])
def test_details_of_others_are_not_trusted(details: str) -> None:
    one, two = ("entry", "1"), ("entry", "2")
    assert reached_columns([(two, one, details)], [one], frozenset({"a"})) == {two: (1, None)}


def test_cycles_end() -> None:
    one, two, three = ("entry", "1"), ("entry", "2"), ("entry", "3")
    said = '{"columns": {"a": ["a"], "b": ["a"]}}'
    edges = [(two, one, said), (three, two, said), (two, three, said), (one, three, None)]
    assert reached_columns(edges, [one], frozenset({"a"})) == {
        two: (1, frozenset("ab")),
        three: (2, frozenset("ab")),
    }


def test_the_command(lake: lf.Lake) -> None:
    lake.folio("f").add_query("total", 'select price as p from "f:raw"')
    done = CliRunner().invoke(cli, ["--lake", lake.uri, "impact", "f:raw", "--column", "price"])
    assert done.output.splitlines()[1].split() == [lake.item("f:total").ref, "p"]
    said = CliRunner().invoke(cli, ["--lake", lake.uri, "impact", "f:raw", "--column", "note", "--json"])
    assert json.loads(said.output)["affected"] == []


def edges_of(lake: lf.Lake, item: str) -> dict[str, tuple[dict[str, list[str]], list[str]]]:
    """Return the columns and the rows that each input of an item is said to give."""
    return {
        f"{edge['input_folio']}:{edge['input_item']}": (said.get("columns"), said.get("rows"))
        for edge in lake.item(item).inputs
        for said in [json.loads(edge["details"] or "{}")]
    }


def test_a_polars_plan_tells_its_inputs_and_their_columns(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("sales")
    folio.add("raw", pl.DataFrame({"id": [1, 2], "price": [2.0, 3.0], "count": [1, 4], "note": ["a", "b"]}))
    folio.add("shops", pl.DataFrame({"id": [1, 2], "town": ["X", "Y"], "open": [True, False]}))
    plan = (
        folio.scan_table("raw")
        .filter(pl.col("count") > 0)
        .join(folio.scan_table("shops"), on="id", maintain_order="left")  # a join keeps no order by itself
        .select("town", total=pl.col("price") * 2)
    )
    folio.add("totals", plan)
    assert edges_of(lake, "sales:totals") == {
        "sales:raw": ({"town": ["count", "id"], "total": ["count", "id", "price"]}, ["count", "id"]),
        "sales:shops": ({"town": ["id", "town"], "total": ["id"]}, ["id"]),
    }
    impact = str(lake.impact("sales:shops", column="town"))
    assert "sales:totals@" in impact
    assert "town" in impact
    assert "sales:totals" not in str(lake.impact("sales:raw", column="note"))
    folio.add("totals", plan)  # unchanged
    assert lake.item("sales:totals").version == 3


def test_a_polars_plan_numbers_rows(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f")
    folio.add("x", pl.DataFrame({"a": [1, 2], "b": [2, 3]}))
    scanned = folio.scan_table("x")
    folio.add("numbered", scanned.with_row_index("place").select("place", "a"))
    folio.add("places", scanned.with_row_index().filter(pl.col("index") > 0).select("index"))
    assert edges_of(lake, "f:numbered") == {"f:x": ({"a": ["a"]}, [])}
    assert edges_of(lake, "f:places") == {"f:x": ({}, [])}


def test_constants_and_counts_of_a_polars_plan_are_made_of_no_column(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f")
    folio.add("x", pl.DataFrame({"a": [1, 2], "b": [2, 3], "c": [3, 4]}))
    one, total = pl.lit(1), pl.col("a") + pl.col("b")
    cases = {
        "beside all": (lambda x: x.with_columns(k=one, n=pl.int_range(pl.len())), {name: [name] for name in "abc"}, []),
        "beside one": (lambda x: x.select("b", k=one, n=pl.len()), {"b": ["b"]}, []),
        "beside a sum": (lambda x: x.select(t=total, k=one), {"t": ["a", "b"]}, []),
        "of chosen rows": (
            lambda x: x.filter(pl.col("c") > 3).select("a", k=one),
            {"a": ["a", "c"], "k": ["c"]},
            ["c"],
        ),
        "of a length that values decide": (
            lambda x: x.select(pl.col("a").filter(pl.col("b") > 2), k=one),
            {"a": ["a", "b"], "k": ["a", "b"]},
            ["a", "b"],
        ),
        "beside a function of Python": (
            lambda x: x.select(p=pl.col("a").map_batches(lambda a: a, return_dtype=pl.Int64)),
            {"p": ["a"]},
            ["a"],
        ),
    }
    found = {name: columns_of_plan(plan(folio.scan_table("x"))) for name, (plan, _, _) in cases.items()}
    told = {name: [(one.columns, one.rows) for one in files.values()] for name, files in found.items()}
    assert told == {name: [(columns, rows)] for name, (_, columns, rows) in cases.items()}


def test_inputs_that_are_given_stay_as_they_are_beside_a_polars_plan(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f")
    folio.add("x", pl.DataFrame({"a": [1], "b": [2]}))
    folio.add("other", 1)
    lazy = folio.scan_table("x").select("a")
    folio.add("none", lazy, inputs=[])
    assert edges_of(lake, "f:none") == {}
    folio.add("one", lazy, inputs=["other"])
    assert edges_of(lake, "f:one") == {"f:other": (None, None)}
    folio.add("both", lazy, inputs=["other", "x"])
    assert edges_of(lake, "f:both") == {"f:other": (None, None), "f:x": ({"a": ["a"]}, [])}
    folio.add("foreign", pl.LazyFrame({"a": [1]}))
    assert edges_of(lake, "f:foreign") == {}
    folio.add("x", folio.scan_table("x").select("b"), overwrite=True)  # its own former version is no input
    assert edges_of(lake, "f:x") == {}


def test_a_past_version_is_named_as_the_input_of_a_polars_plan(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f")
    folio.add("x", pl.DataFrame({"a": [1], "b": [2]}))
    first = lake.item("f:x").entry_id
    folio.add("x", pl.DataFrame({"a": [1], "b": [3]}), overwrite=True)
    folio.add("y", folio.scan_table("x", at=1).with_columns(c=pl.col("a") + 1))
    (edge,) = lake.item("f:y").inputs
    assert edge["input_id"] == first
    assert json.loads(edge["details"])["columns"] == {"a": ["a"], "b": ["b"], "c": ["a"]}
