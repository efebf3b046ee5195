"""``search(…)`` in SQL, and the log of what was searched for."""

from __future__ import annotations

import json

import polars as pl
import pytest
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.views.table_calls import TableCall, replaced_calls


@pytest.fixture
def lake(lake_uri):
    lake = lf.open(lake_uri)
    with lake.batch("all"):
        flights = lake.folio("flights")
        flights.add("delays", pl.DataFrame({"airport": ["JFK"], "minutes": [1]}), description="Late planes")
        flights.add("note", {"note": "fog and snow"}, description="Why planes were late")
    return lake


ASKED = [
    ("select name from search('planes')", ["delays", "note"]),
    ("select name from search('planes', kind := 'json')", ["note"]),
    ("select name from SEARCH('planes', folio := 'flights', \"limit\" := 1)", ["delays"]),
    ("select h.name from search('planes') as h join items on items.item = h.name where items.kind = 'json'", ["note"]),
    ("with a as (from search('snow')) select name from a union all select name from search('airport')", None),
    ("select name from search('planes') where kind = ?", ["delays"]),
    ("select name from search('\"planes\" OR it''s') order by name desc", ["note", "delays"]),
    ("select name from search('snow storms tonight', meaning := false)", ["note"]),
    ("select name from search('zzzz')", []),
    ("select count(*)::varchar from search('planes') a, search('planes', kind := 'json') b", ["2"]),
]


@pytest.mark.parametrize(("sql", "expected"), ASKED)
def test_hits_are_rows(lake, sql, expected):
    found = lake.sql(sql, ["table"] if "?" in sql else None).fetchall()
    assert [name for (name,) in found] == (["note", "delays"] if expected is None else expected)


def test_hits_are_those_of_the_version(lake):
    first = lake.at(lake.version)
    columns = lake.sql("from search('planes')").columns
    assert columns == ["type", "ref", "name", "folio", "kind", "description", "score", "why"]
    lake.folio("flights").add("more", {"x": 1}, description="planes")
    count = "select count(*) from search('planes')"
    assert lake.sql(count).fetchone() == (3,)
    assert first.sql(count).fetchone() == (2,)


@pytest.mark.parametrize(
    ("sql", "error", "kind"),
    [
        ("from search()", lf.InvalidInputError, "sql"),
        ("from search('a', 'b')", lf.InvalidInputError, "sql"),
        ("from search('a', kin := 'b')", lf.InvalidInputError, "sql"),
        ("from search(?)", lf.InvalidInputError, "sql"),
        ("from search(null)", lf.InvalidInputError, "sql"),
        ("from search('a' || 'b')", lf.InvalidInputError, "sql"),
        ("from search(7)", lf.InvalidInputError, "bad-search"),
        ("from search('(a')", lf.InvalidInputError, "bad-search"),
        ("from search('tags:a')", lf.InvalidInputError, "unknown-field"),
        ("from search('a', kind := 'tabel')", lf.InvalidInputError, "unknown-kind"),
        ("from search('a', folio := 'flight')", lf.NotFoundError, "folio-not-found"),
        ("select search('a')", lf.InvalidInputError, "sql"),
        ("from search('a", lf.InvalidInputError, "sql"),
        ("create table a as from search('a')", lf.InvalidInputError, "sql"),
        ("from search('planes'), read_text('/etc/passwd')", lf.InvalidInputError, "sql"),
        ('from "search?:0123456789abcdef"', lf.InvalidInputError, None),
    ],
)
def test_what_can_not_be_searched_is_one_error(lake, sql, error, kind):
    with pytest.raises(error) as caught:
        lake.sql(sql, ["a"] if "?)" in sql else None).fetchall()
    assert kind in (None, caught.value.kind)


def test_other_sql_stays_as_it_is():
    for sql in ("select 'search' as a", "select 1", "from search", "nonsense search(", "select research('a')"):
        assert replaced_calls(sql, "search") == (sql, {})
    sql, calls = replaced_calls("from search('a', kind := 'b', meaning := true) t(x)", "search")
    assert list(calls.values()) == [TableCall(("a",), {"kind": "b", "meaning": True})]
    assert "t(" in sql


def test_searches_are_recorded_if_the_user_wants_it(lake, monkeypatch):
    assert lake.search("planes").search_id is None
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.choose(lake.search("planes"), "flights:delays@1")
    assert caught.value.kind == "not-recorded"
    assert len(lake.searches()) == 0
    assert "search_log" in str(lake.searches())
    monkeypatch.setenv("LAKEFOLIO_SEARCH_LOG", "1")
    found = lake.search("planes", kind="table")
    lake.choose(found, found[0].ref)
    lake.search("planes")
    lake.search("blizzard")
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.choose(found, "flights:note@1")
    assert caught.value.kind == "no-such-hit"
    planes, blizzard = lake.searches()
    assert (planes.query, planes.times, planes.hits, planes.choices) == ("planes", 2, 2, 1)
    assert (blizzard.query, blizzard.times, blizzard.hits, blizzard.choices) == ("blizzard", 1, 0, 0)
    assert [one.query for one in lake.searches(unanswered=True)] == ["blizzard"]
    assert [one.query for one in lake.searches(limit=1)] == ["planes"]
    asked = "select metadata ->> '$.kind' from events where event_type = 'search' order by logged_at limit 1"
    assert lake.sql(asked).fetchall() == [("table",)]
    done = CliRunner().invoke(cli, ["--lake", lake.uri, "searches", "--unanswered", "--json"])
    assert [one["query"] for one in json.loads(done.output)["searches"]] == ["blizzard"]
    assert "nothing found" in str(lake.searches())
    assert lf.open(lake.uri, read_only=True).search("planes").search_id is None
    assert lake.at(lake.version).search("planes").search_id is None
    assert lake.search("planes", at=1).search_id is not None
    assert CliRunner().invoke(cli, ["--lake", lake.uri, "search", "hail"]).exit_code == 0
    assert CliRunner().invoke(cli, ["--lake", lake.uri, "--at", "1", "search", "hail"]).exit_code == 0
    hail = next(one for one in lake.searches() if one.query == "hail")
    assert (hail.times, hail.hits) == (1, 0)
