"""Numbers beyond what Python writes, a double holds or a calendar has: refused in words, or taken for what they are."""

import datetime as dt
import fractions
import json
import pickle
import warnings
from decimal import Decimal

import pytest
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.errors import InvalidInputError, LakefolioError
from lakefolio.format import json_encode

HUGE = 10**5000
WEST = dt.timezone(dt.timedelta(hours=-12))
EAST = dt.timezone(dt.timedelta(hours=12))


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    made = lf.open(tmp_path_factory.mktemp("huge") / "lake")
    made.folio("f").add("v", 1, metadata={"a": 7, "b": 10**350, "c": -1.5})
    return made


def refused(call):
    with pytest.raises(LakefolioError) as caught:
        call()
    assert "4300" not in str(caught.value)
    assert "INT128" not in str(caught.value)
    return caught.value


FACTS = {
    "number": HUGE,
    "below zero": -HUGE,
    "inside": [{"b": (1, HUGE)}],
    "key inside": {HUGE: 1},
    "fraction": fractions.Fraction(HUGE, 3),
    "range": range(HUGE),
    "the first too long": 10**4300,
}


@pytest.mark.parametrize("value", FACTS.values(), ids=FACTS)
def test_a_fact_that_could_not_be_shown_is_refused(lake, value) -> None:
    error = refused(lambda: lake.folio("f").add("x", 1, metadata={"a": value}))
    assert error.kind == "long-integer"
    assert "more than 4,300 digits" in error.message
    assert refused(lambda: lake.folio("f").metadata.update(a=value)).kind == "long-integer"
    assert refused(lambda: lake.annotate(a=value)).kind == "long-integer"
    assert refused(lambda: lake.run(params={"a": value}).__enter__()).kind == "bad-params"
    assert refused(lambda: lake.log_event("e", metadata={"a": value})).kind == "bad-event"


def test_the_longest_fact_comes_back_and_is_shown(tmp_path) -> None:
    folio = lf.open(tmp_path / "lake").folio("f")
    folio.add("x", 1, metadata={"a": 10**4300 - 1})
    assert "999" in str(folio.describe(return_string=True))


def test_content_keeps_any_integer_and_is_shown(tmp_path) -> None:
    folio = lf.open(tmp_path / "lake").folio("f")
    folio.add("c", HUGE)
    assert folio.get("c") == HUGE
    for words in (["show", "f:c"], ["show", "--json", "f:c"]):
        said = CliRunner().invoke(cli, ["--lake", str(tmp_path / "lake"), *words])
        assert said.exit_code == 0, said.output


def test_a_lake_that_holds_such_a_fact_already_is_shown(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(json_encode, "MAX_FACT_INT", 10**10_000)
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f")
    facts = {"a": HUGE, "b": [-HUGE, {"c": HUGE}], "d": fractions.Fraction(HUGE, 3)}
    folio.add("x", 1, metadata=facts)
    for value in (HUGE, HUGE + 1):
        with lake.run(params={"a": value, "b": [value]}):
            pass
    assert "1000000" in str(folio.describe(return_string=True))
    runs = lake.runs()
    assert "1000000" in runs._repr_html_()
    assert all(run._repr_html_() and repr(run) for run in runs)
    both = lake.compare(*[run.run_id for run in runs])
    assert str(both)
    assert both.to_html()
    assert len(lake.query(metadata={"a": (">", 5)})) <= 1
    said = CliRunner().invoke(cli, ["--lake", str(tmp_path / "lake"), "show", "f:x"])
    assert said.exit_code == 0
    assert "1000000" in said.output
    said = CliRunner().invoke(cli, ["--lake", str(tmp_path / "lake"), "show", "--json", "f:x"])
    assert said.exit_code == 0
    assert str(json.loads(said.stdout)).count("0" * 5000) >= 3


CALLS = {
    "get at": lambda lake: lake.folio("f").get("v", at=HUGE),
    "get at, back": lambda lake: lake.folio("f").get("v", at=-HUGE),
    "lake.at": lambda lake: lake.at(-HUGE),
    "lake.at, digits": lambda lake: lake.at(10**400),
    "diff": lambda lake: lake.diff(HUGE),
    "restore": lambda lake: lake.restore(HUGE),
    "offset": lambda lake: lake.query(offset=-HUGE),
    "limit": lambda lake: lake.query(limit=-HUGE),
    "runs limit": lambda lake: lake.runs(limit=-HUGE),
    "log limit": lambda lake: lake.log(limit=-HUGE),
    "search limit": lambda lake: lake.search("a", limit=-HUGE),
    "metadata key": lambda lake: lake.folio("f").add("z", 1, metadata={HUGE: 1}),
    "metadata key asked": lambda lake: lake.query(metadata={HUGE: 1}),
    "item name": lambda lake: lake.folio("f").add(HUGE, 1),
    "input": lambda lake: lake.folio("f").add("q", 1, inputs=[HUGE]),
    "sql": lambda lake: lake.sql("select ?", [HUGE]),
    "sql, named": lambda lake: lake.sql("select $a", {"a": [HUGE]}),
    "sql text": lambda lake: lake.sql(HUGE),
    "time": lambda lake: lake.query(between=(HUGE, None)),
    "between": lambda lake: lake.query(between=[HUGE]),
    "author": lambda lake: lake.query(author=HUGE),
    "keep_days": lambda lake: lake.gc(keep_days=-HUGE),
    "keep_last": lambda lake: lake.gc(keep_last=-HUGE),
    "grace": lambda lake: lake.gc(grace=-HUGE),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_number_that_can_not_be_meant_is_refused_in_words(lake, call) -> None:
    refused(lambda: call(lake))


def test_a_metric_or_step_beyond_its_range_is_refused(lake) -> None:
    with lake.run() as run:
        for value in (HUGE, -HUGE, 10**400, Decimal("1e309"), Decimal("-1e400")):
            assert refused(lambda value=value: run.log({"a": value})).kind == "bad-metric"
            assert refused(lambda value=value: run.log({"a": 1}, step=value)).kind == "bad-metric"


@pytest.mark.parametrize("value", [10**400, HUGE, -(10**400), -HUGE], ids=["400", "5000", "-400", "-5000"])
def test_facts_are_compared_with_any_integer(lake, value) -> None:
    above = value > 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for key in ("a", "c"):
            assert len(lake.query(metadata={key: ("<", value)})) == above
            assert len(lake.query(metadata={key: (">", value)})) == (not above)
            assert len(lake.query(metadata={key: value})) == len(lake.query(metadata={key: [value]})) == 0
            assert len(lake.query(metadata={key: ("!=", value)})) == 1
        assert len(lake.query(name="v", size_bytes=("<", value))) == above
        assert len(lake.query(version=value)) == 0


NOTED = {
    "-inf": float("-inf"), "-401": -(10**401), "-400": -(10**400), "-d400": Decimal(1 - 10**400), "-305": -(10**305),
    "0": 0, "305": 10**305, "305+1": 10**305 + 1, "e305": Decimal("1.5e305"), "400": 10**400,
    "400+.5": Decimal("1" + "0" * 400 + ".5"), "400+1": 10**400 + 1, "e999": Decimal("1e999"),
    "max": Decimal("9e999999"), "inf": float("inf"),
}  # fmt: skip
"""In order."""


def test_numbers_beyond_all_doubles_have_an_order(tmp_path) -> None:
    folio = lf.open(tmp_path / "lake").folio("f")
    with folio.batch():
        for name, value in NOTED.items():
            folio.add(f"x{name}", 1, metadata={"n": value, "m": {"n": value}})
        folio.add("not", 1, metadata={"n": Decimal("NaN"), "m": {"n": float("nan")}})
        folio.add("text", 1, metadata={"n": "1e999", "m": {"n": "Infinity"}})
    order = list(NOTED)
    found = lambda key, operator, value: {  # noqa: E731
        one.item.removeprefix("x") for one in lf.open(folio.lake_uri).query(metadata={key: {operator: value}}, limit=99)
    }
    for key, values in (("n", order), ("m.n", ["-400", "305+1", "400", "e999", "inf"])):
        for name in values:
            value, place = NOTED[name], order.index(name)
            assert found(key, ">", value) == set(order[place + 1 :])
            assert found(key, "<=", value) == set(order[: place + 1])
            assert found(key, "=", value) == {name}
    assert found("n", "=", Decimal(10**400)) == {"400"}
    assert found("n", ">", Decimal("1.2e305")) == set(order[order.index("e305") :])


@pytest.mark.parametrize("limit", [2**63, 10**30, HUGE], ids=["2**63", "10**30", "5000"])
def test_a_limit_beyond_all_items_is_none(lake, limit) -> None:
    assert len(lake.query(folio="f", limit=limit)) == 1
    assert len(lake.query(offset=limit)) == 0
    lake.runs(limit=limit)


@pytest.mark.parametrize("span", [10**6, 10**12, 10**400, HUGE, float("inf"), 1e300], ids=range(6))
def test_gc_keeps_all_that_is_younger_than_the_calendar(lake, span) -> None:
    assert lake.gc(keep_days=span)["dry_run"]
    assert str(lake.gc(grace=span))


@pytest.mark.parametrize(
    "moment", [dt.datetime.max.replace(tzinfo=WEST), dt.datetime.min.replace(tzinfo=EAST)], ids=["last", "first"]
)
def test_a_time_beyond_the_calendar_says_so(lake, moment) -> None:
    for asked in ((moment, None), (None, moment), (moment.isoformat(), None)):
        with pytest.raises(InvalidInputError, match="beyond the calendar") as caught:
            lake.query(between=asked)
        assert caught.value.kind == "bad-time"


def test_what_a_lake_holds_of_them_is_printed_and_equal(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(json_encode, "MAX_FACT_INT", 10**10_000)
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f")
    facts = {"a": HUGE, "b": [-HUGE, {"c": (HUGE,)}], "d": fractions.Fraction(HUGE, 3), "e": "short"}
    folio.add("x", 1, metadata=facts)
    folio.metadata.update(facts)
    lake.annotate(facts)
    with lake.run("r", params=facts, metadata=facts) as run:
        event = run.log_event("e", metadata=facts)
    manifest = lake.get_run(run.run_id)
    shown = (
        run.params, manifest.params, manifest.metadata, manifest, manifest.to_dict(), lake.metadata, folio.metadata,
        folio.item_info("x"), lake.runs().rows(), lake.runs().df(), lake.get_event(event).metadata,
    )  # fmt: skip
    for one in shown:
        assert "short" in repr(one) + str(one) or one is manifest
    for found in (run.params, manifest.metadata, dict(folio.metadata), lake.get_event(event).metadata):
        assert (found["a"], found["b"], found["e"]) == (HUGE, [-HUGE, {"c": (HUGE,)}], "short")
        assert str(found["a"]) == "1" + "0" * 5000
        assert pickle.loads(pickle.dumps(found["a"])) == HUGE
