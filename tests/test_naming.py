"""Patterns of names: what they give reads back, what could not is refused, and fields find items."""

import json
import re
from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from inside import session_of

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.errors import InvalidInputError, LakefolioError
from lakefolio.model.changes import Annotate
from lakefolio.model.naming import NAMING, NamePattern

PATTERN = "{experiment}/{subject}/{date:%Y%m%d}/{kind}"


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    return lf.open(tmp_path / "lake")


@pytest.mark.parametrize(
    ("pattern", "fields", "name"),
    [
        (PATTERN, {"experiment": "e", "subject": "s", "date": date(2026, 1, 2), "kind": "raw"}, "e/s/20260102/raw"),
        ("sub-{subject}_{run:03d}.csv", {"subject": "s.1", "run": 7}, "sub-s.1_007.csv"),
        ("{run:d}", {"run": -12}, "-12"),
        ("{at:%Y-%m-%dT%H%M%S.%f}", {"at": datetime(987, 1, 2, 3, 4, 5, 6)}, "0987-01-02T030405.000006"),
        ("{a}-{b}", {"a": "x", "b": "y-z"}, "x-y-z"),
        ("{a} (+) [{b}]", {"a": "x", "b": "ü"}, "x (+) [ü]"),
    ],
)
def test_a_name_reads_back_as_it_was_made(pattern: str, fields: dict, name: str) -> None:
    found = NamePattern.parse(pattern)
    assert found.name_of({**fields, "other": 1}) == name
    assert found.fields_of(name) == fields
    sql = "select regexp_extract($1, $2, 1)"
    assert duckdb.execute(sql, [name, f"^(?:{found.regex})$"]).fetchone() == (re.fullmatch(found.regex, name)[1],)  # type: ignore[index]


texts = st.text(st.sampled_from("ab-_.7 é"), min_size=1, max_size=6)


@given(texts, texts, st.integers(-3, 2000), st.dates())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_what_is_given_reads_back_or_is_refused(a: str, b: str, count: int, day: date) -> None:
    found = NamePattern.parse("{a}-{b}/{count:02d}_{day:%Y.%j}")
    fields = {"a": a, "b": b, "count": count, "day": day}
    try:
        name = found.name_of(fields)
    except InvalidInputError as exc:  # an end that is white space, or a text that holds what stands between
        assert exc.kind == "bad-name" or "-" in a or b != b.strip() or count < 0
        return
    assert found.fields_of(name) == fields


@pytest.mark.parametrize(
    "pattern",
    [
        *("", "raw", "{}", "{a}{b}", "{a}/{a}", "{a", "a}", "{a b}", "{a:%b}", "{a:x}", "{a:%Y/%m}", "{a}:{b}", "/{a}"),
        *("{a}/", "../{a}", "{a}//{b}", "{a:%}", "{1a}", "/".join(f"{{f{one}}}" for one in range(10)), "{a}" * 300, 7),
    ],
)
def test_a_pattern_that_could_not_be_read_back_is_refused(lake: lf.Lake, pattern: object) -> None:
    with pytest.raises(InvalidInputError) as failed:
        lake.folio("f").set_naming(pattern)  # type: ignore[arg-type]
    assert failed.value.kind == "bad-naming"
    assert lake.version == 0


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"subject": "s01"}, "bad-naming"),
        ({"subject": "s/01", "kind": "raw"}, "bad-naming"),
        ({"subject": "", "kind": "raw"}, "bad-naming"),
        ({"subject": "a-b", "kind": "raw"}, "bad-naming"),
        ({"subject": 1.5, "kind": "raw"}, "bad-naming"),
        ({"subject": True, "kind": "raw"}, "bad-naming"),
        ({"subject": None, "kind": "raw"}, "bad-naming"),
        ({"subject": "a:b", "kind": "raw"}, "bad-name"),
        ({"subject": "..", "kind": "raw"}, "bad-naming"),
        ({"subject": "s", "kind": "raw "}, "bad-name"),
    ],
)
def test_fields_that_give_no_name_are_refused_and_nothing_is_stored(lake: lf.Lake, values: dict, kind: str) -> None:
    folio = lake.folio("f").set_naming("{subject}-{kind}")
    before = lake.version
    try:
        folio.add(None, 1, metadata=values)
    except InvalidInputError as exc:
        assert exc.kind == kind
        assert lake.version == before
    else:
        assert values["subject"] == ".."  # "..-raw" is a name like any other
        assert folio.fields_of("..-raw") == values


def test_items_are_added_and_found_by_their_fields(lake: lf.Lake) -> None:
    folio = lake.folio("f").set_naming(PATTERN)
    for subject, day in [("s01", "2026-01-02"), ("s01", "2026-01-03"), ("s02", "2026-01-02")]:
        folio.add(None, {"n": 1}, metadata={"experiment": "e", "subject": subject, "date": day, "kind": "raw"})
    folio.add_json(folio.name_of(experiment="e", subject="s03", date=date(2026, 1, 4), kind="clean"), 2)
    assert list(folio) == ["e/s01/20260102/raw", "e/s01/20260103/raw", "e/s02/20260102/raw", "e/s03/20260104/clean"]
    assert [one.item for one in folio.items(where={"subject": "s01"})] == list(folio)[:2]
    assert [one.item for one in folio.items(where={"date": date(2026, 1, 2), "subject": ["s02", "s03"]})] == [
        list(folio)[2]
    ]
    assert [one.item for one in folio.items(where={"date": "2026-01-04"})] == [list(folio)[3]]
    assert sorted(lake.query(fields={"subject": "s01"}).to_polars()["name"]) == list(folio)[:2]
    assert len(lake.query(fields={"subject": ("!=", "s01"), "kind": "raw"})) == 1
    assert len(lake.query(fields={"date": (">=", "20260103")})) == 2
    assert len(lake.query(fields={"nothing": "x"})) == 0
    lake.folio("other").add("e/s01/20260102/raw", 1)
    found = lake.sql("select folio, field, count(distinct value) from item_fields group by all order by all").fetchall()
    assert found == [("f", "date", 3), ("f", "experiment", 1), ("f", "kind", 2), ("f", "subject", 3)]
    for bad in ({"subjct": "s01"}, {"": 1}):
        with pytest.raises(InvalidInputError) as failed:
            folio.items(where=bad)
        assert failed.value.kind == "bad-naming"
    with pytest.raises(InvalidInputError):
        lake.folio("other").items(where={"subject": "s01"})
    with pytest.raises(LakefolioError):
        lake.query(fields="s01")
    assert lake.check().ok


def test_a_name_that_does_not_fit_is_refused_whoever_gives_it(lake: lf.Lake) -> None:
    folio = lake.folio("f").add("old", 1)
    with pytest.raises(InvalidInputError) as failed:
        folio.set_naming("{subject}/{kind}")
    assert failed.value.kind == "bad-naming"
    folio.set_naming("{subject}/{kind}", strict=False).add("odd", 1).set_naming(None).delete(["odd", "old"])
    folio.set_naming("{subject}/{kind}").add("s01/raw", 1)
    before = lake.version
    ways = [
        lambda: folio.add("raw", 1),
        lambda: folio.copy_item("s01/raw", "raw"),
        lambda: folio.rename("s01/raw", "a/b/c"),
        lambda: lake.folio("g").add("x", 1).copy_item("x", "f:x"),
        lambda: folio.import_table("raw", __file__, table_format="csv"),
    ]
    for way in ways:
        with pytest.raises(LakefolioError) as failed:
            way()
        assert failed.value.kind in ("bad-naming", "bad-table-file", "bad-file"), failed.value.kind
    with pytest.raises(InvalidInputError), folio.batch():
        folio.add("s02/raw", 1).add("raw", 1)
    assert list(folio) == ["s01/raw"]
    assert lake.version == before + 1  # the folio g
    with folio.batch():
        folio.set_naming(None).add("plain", 1)
    assert "plain" in folio


@pytest.mark.parametrize("text", ["7", '{"pattern":"{"}', "{}", '{"pattern":"{a}","regex":"(((","fields":["a"]}'])
def test_a_pattern_written_by_hand_is_told_and_breaks_nothing_else(lake: lf.Lake, text: str) -> None:
    folio = lake.folio("f").add("x", 1)
    session_of(folio).apply(Annotate("folio", "f", {NAMING: text}))
    assert lake.sql("select count(*) from item_fields").fetchall() == [(0,)]
    if "(((" not in text:
        with pytest.raises(InvalidInputError) as failed:
            folio.add("y", 1)
        assert failed.value.kind == "bad-naming"
    assert folio.set_naming(None).add("y", 1).get("y") == 1


def test_without_a_pattern_a_name_is_needed(lake: lf.Lake) -> None:
    with pytest.raises(InvalidInputError) as failed:
        lake.folio("f").add(None, 1)
    assert failed.value.kind == "bad-naming"


def test_the_commands(tmp_path: Path) -> None:
    lake = str(tmp_path / "lake")
    (tmp_path / "scan.csv").write_text("a\n1\n")

    def run(*args: str, fails: int = 0) -> str:
        done = CliRunner().invoke(cli, ["--lake", lake, *args])
        assert done.exit_code == fails, done.output
        return done.output

    run("init")
    assert "naming = {subject}/{date:%Y%m%d}" in run("policy", "f", "--naming", "{subject}/{date:%Y%m%d}")
    path = str(tmp_path / "scan.csv")
    assert "f:s01/20261126@" in run("add", "f:", path, "--meta", "subject=s01", "--meta", "date=2026-11-26")
    assert "no value" in run("add", "f:", path, "--meta", "subject=s01", fails=2)
    assert "does not fit" in run("add", "f:raw", path, fails=2)
    assert [one["name"] for one in json.loads(run("--json", "query", "--field", "subject=s01"))] == ["s01/20261126"]
    assert run("policy", "f", "--naming", "") == "no rules\n"
    run("policy", "--naming", "{a}", fails=2)


@pytest.mark.parametrize(
    ("form", "day", "text", "value"),
    [
        ("%Y%m", date(2024, 2, 29), "202402", "202402"),
        ("%Y", date(2024, 2, 29), "2024", "2024"),
        ("%m%d", date(2024, 2, 29), "0229", "0229"),
        ("%H%M", datetime(2024, 2, 29, 5, 6), "0506", "0506"),
        ("%Y-%j", date(2024, 2, 29), "2024-060", date(2024, 2, 29)),
        ("%d.%m.%Y", date(2024, 2, 29), "29.02.2024", date(2024, 2, 29)),
    ],
)
def test_a_format_without_a_whole_day_gives_no_date_back(form, day, text, value) -> None:
    pattern = NamePattern.parse(f"{{when:{form}}}")
    assert pattern.name_of({"when": day}) == text
    assert pattern.fields_of(text) == {"when": value}
    pattern.check(text)


def test_a_name_that_no_value_gives_is_not_of_the_pattern() -> None:
    count = NamePattern.parse("{run:03d}")
    assert [count.fields_of(name) for name in ("005", "0005", "-000")] == [{"run": 5}, None, None]
    assert NamePattern.parse("{day:%m%d}").fields_of("0230") is None
    for bad in ("{day:%Y%Y}", "{day:%Y%m%d%m}"):
        with pytest.raises(InvalidInputError, match="can't be read back"):
            NamePattern.parse(bad)
    with pytest.raises(InvalidInputError) as failed:
        count.name_of({"run": None})
    assert failed.value.hint == "give it as metadata"


def test_metadata_that_deny_the_name_are_refused(lake: lf.Lake) -> None:
    folio = lake.folio("scans").set_naming("{subject}/{date:%Y%m%d}/{run:03d}")
    name = "s1/20260102/007"
    for denied in ({"subject": "s2"}, {"date": date(2026, 1, 3)}, {"date": "2025-01-02"}, {"run": 8}, {"run": "8"}):
        with pytest.raises(InvalidInputError) as error:
            folio.add(name, 1, metadata=denied)
        assert (error.value.kind, error.value.objects["field"]) == ("bad-naming", next(iter(denied)))
    folio.add(name, 1, metadata={"subject": "s1", "date": date(2026, 1, 2), "run": 7, "other": "s2"})
    for change in (
        lambda: folio.add(name, 2, overwrite=True, metadata={"subject": "s2"}),
        lambda: folio.update_item(name, metadata={"other": 1, "subject": "s2"}),
    ):
        with pytest.raises(InvalidInputError, match="says subject="):
            change()
    assert [one.item for one in folio.items()] == [name]
    folio.set_naming("{subject}/{date:%Y%m%d}/{run:03d}", strict=False)
    folio.add("s3/20260102/007", 1, metadata={"subject": "s2"})


def test_metadata_follow_a_new_name(lake: lf.Lake) -> None:
    folio = lake.folio("scans").set_naming("{subject}/{date:%Y%m%d}/{run:03d}")

    def facts(name: str) -> dict:
        return {key: json.loads(text) for key, text in lake.item(f"scans:{name}").facts.items()}

    told = {"subject": "s1", "date": date(2026, 1, 2), "run": "007", "other": 5}
    folio.add("s1/20260102/007", 1, metadata=told)
    before = facts("s1/20260102/007")
    folio.copy_item("s1/20260102/007", "s2/20260103/008").rename("s1/20260102/007", "s3/20260102/007")
    assert facts("s3/20260102/007") == {**before, "subject": "s3"}
    day = {**before["date"], "value": "2026-01-03"}
    assert facts("s2/20260103/008") == {"subject": "s2", "date": day, "run": 8, "other": 5}
    folio.update_item("s3/20260102/007", metadata={"subject": None, "other": 6})
    folio.set_naming("{subject}/{date:%Y%m%d}/{run:03d}", strict=False)
    folio.rename("s2/20260103/008", "s4/20260103/008")
    assert facts("s4/20260103/008")["subject"] == "s2"
