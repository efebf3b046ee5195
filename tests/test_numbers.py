"""Numbers are numbers whatever type they came in, and exact: in metadata, parameters, queries and views."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from inside import session_of

import lakefolio as lf

LIKE_095 = {
    "float": 0.95,
    "np.float64": np.float64(0.95),
    "array": np.array(0.95),
    "longer than a double": np.longdouble("0.95"),
    "decimal": Decimal("0.95"),
}
LARGE = [2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30, -(2**53) - 1]


@pytest.fixture
def lake(tmp_path):
    return lf.open(tmp_path / "lake")


def names(found):
    return [one.item for one in found]


@pytest.mark.parametrize("value", LIKE_095.values(), ids=LIKE_095)
def test_a_number_is_found_whatever_type_it_came_in(lake, value):
    lake.folio("a").add("x", 1, metadata={"score": value})
    lake.create_run(run_id="r", params={"lr": value}, status="done")
    assert names(lake.query(metadata={"score": (">=", 0.9)})) == ["x"]
    assert names(lake.query(metadata={"score": 0.95})) == ["x"]
    assert names(lake.query(metadata={"score": ("between", (0.9, 1))})) == ["x"]
    assert names(lake.query(metadata={"score": ("<", 0.95)})) == []
    assert names(lake.query(where="(metadata ->> 'score')::double > 0.9")) == ["x"]
    assert lake.sql("select value_number from item_metadata where key = 'score'").fetchall() == [(0.95,)]
    assert lake.sql("select lr, params ->> 'lr' from runs where lr > .9").fetchall() == [(0.95, "0.95")]


def test_scalars_of_every_kind_are_plain_in_facts(lake):
    torch = pytest.importorskip("torch")
    values = {
        "int": (np.int64(3), 3),
        "small": (np.uint8(200), 200),
        "half": (np.float16(0.5), 0.5),
        "single": (np.float32(0.1), float(np.float32(0.1))),
        "switch": (np.bool_(True), True),
        "text": (np.str_("x"), "x"),
        "unsigned": (np.uint64(2**64 - 1), 2**64 - 1),
        "tensor": (torch.tensor(2.5), 2.5),
        "count": (torch.tensor(7), 7),
        "inside": ({"a": [np.float64(0.5)]}, {"a": [0.5]}),
        "stamp": (pd.Timestamp("2026-01-01T10:00Z"), pd.Timestamp("2026-01-01T10:00Z").to_pydatetime()),
        "decimal": (Decimal("0.10"), Decimal("0.10")),
        "fraction": (Fraction(1, 4), Fraction(1, 4)),
    }
    given = {key: value for key, (value, _) in values.items()}
    lake.folio("a").add("x", 1, metadata=given)
    found = lake.folio("a").info("x").metadata if hasattr(lake.folio("a"), "info") else None
    found = found or session_of(lake).metadata_of(lake.item("a:x"))
    for key, (_, plain) in values.items():
        assert found[key] == plain, key
        assert type(found[key]) is type(plain), key
    with lake.run(params=given) as run:
        pass
    assert lake.get_run(run.run_id).params["unsigned"] == 2**64 - 1
    assert names(lake.query(metadata={"fraction": (">", 0.2)})) == ["x"]
    assert names(lake.query(metadata={"switch": True})) == ["x"]
    event = lake.log_event("m", metadata={"loss": np.float64(0.25)})
    assert lake.get_event(event).metadata == {"loss": 0.25}
    assert lake.sql("select metadata ->> 'loss' from events").fetchall() == [("0.25",)]


def test_arrays_with_dimensions_are_still_refused(lake):
    with pytest.raises(lf.InvalidInputError):
        lake.folio("a").add("x", 1, metadata={"score": np.array([0.95])})


def test_items_keep_their_types(lake):
    lake.folio("a").add("x", {"n": np.float64(0.5)})
    assert type(lake.get("a:x")["n"]) is np.float64


def test_logspace_finds_its_runs(lake):
    for number, lr in enumerate(np.logspace(-4, -1, 4)):
        lake.create_run(run_id=f"r{number}", params={"lr": lr, "depth": np.int64(number)}, status="done")
    assert lake.sql("select run_id from runs where lr < .01 order by 1").fetchall() == [("r0",), ("r1",)]
    assert lake.sql("select depth from runs order by 1").fetchall() == [(0,), (1,), (2,), (3,)]


@pytest.mark.parametrize("asked", LARGE)
def test_integers_beyond_a_double_are_compared_exactly(lake, asked):
    folio = lake.folio("a")
    with lake.batch():
        for number, value in enumerate(LARGE):
            folio.add(f"x{number}", 1, metadata={"n": value})
    signs = {
        "=": lambda one: one == asked,
        "!=": lambda one: one != asked,
        "<": lambda one: one < asked,
        "<=": lambda one: one <= asked,
        ">": lambda one: one > asked,
        ">=": lambda one: one >= asked,
    }
    for sign, holds in signs.items():
        expected = [f"x{number}" for number, value in enumerate(LARGE) if holds(value)]
        assert names(lake.query(metadata={"n": (sign, asked)})) == expected, sign
    assert names(lake.query(metadata={"n": [asked]})) == [f"x{LARGE.index(asked)}"]
    assert names(lake.query(metadata={"n": ("between", (asked, asked))})) == [f"x{LARGE.index(asked)}"]
    assert names(lake.query(metadata={"n": asked})) == [f"x{LARGE.index(asked)}"]


def test_floats_beside_large_integers(lake):
    folio = lake.folio("a")
    folio.add("int", 1, metadata={"n": 2**53 + 1}).add("float", 1, metadata={"n": 2.0**53})
    assert names(lake.query(metadata={"n": ("<=", 2.0**53)})) == ["float"]
    assert names(lake.query(metadata={"n": (">", 2.0**53)})) == ["int"]
    assert names(lake.query(metadata={"n": 2.0**53})) == ["float"]
    assert names(lake.query(metadata={"n": 2**53})) == ["float"]


def test_decimals_are_compared_by_their_digits(lake):
    folio = lake.folio("a")
    for name, value in {
        "a": Decimal("0.1"),
        "b": Decimal("0.100000000000000001"),
        "c": 0.1,
        "d": Decimal("12345678901234567.89"),
        "e": Decimal("0.10"),
    }.items():
        folio.add(name, 1, metadata={"price": value})
    assert names(lake.query(metadata={"price": Decimal("0.1")})) == ["a", "c", "e"]
    assert names(lake.query(metadata={"price": (">", Decimal("0.1"))})) == ["b", "d"]
    assert names(lake.query(metadata={"price": Decimal("12345678901234567.89")})) == ["d"]
    assert names(lake.query(metadata={"price": (">", Decimal("12345678901234567.88"))})) == ["d"]
    assert names(lake.query(metadata={"price": ("<", 1)})) == ["a", "b", "c", "e"]
    assert lake.query(name="d").to_arrow()["metadata.price"].to_pylist() == [Decimal("12345678901234567.89")]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "BIGINT"),
        ([1, 0.5], "DOUBLE"),
        ([2**64 - 1, 1], "HUGEINT"),
        ([-(10**37), 10**38 - 1], "HUGEINT"),
        ([10**40, 1], "VARCHAR"),
        ([2**64 - 1, 0.5], "VARCHAR"),
        ([Decimal("0.1"), 1], "DOUBLE"),
        ([Decimal("12345678901234567.89"), 1], "VARCHAR"),
        ([True, False], "BOOLEAN"),
        ([True, 1], "VARCHAR"),
        ([1, "x"], "VARCHAR"),
        ([1, None], "VARCHAR"),
    ],
)
def test_a_parameter_is_a_column_that_tells_its_values_exactly(lake, values, kind):
    for number, value in enumerate(values):
        lake.create_run(run_id=f"r{number}", params={"p": value}, status="done")
    found = lake.sql("select p from runs order by run_id")
    assert list(map(str, found.types)) == [kind]
    wanted = [str(one).lower() if isinstance(one, bool) else str(one) for one in values]
    assert [None if one is None else str(one).lower() for (one,) in found.fetchall()] in (
        [None if one == "None" else one for one in wanted],
        [str(float(one)) for one in wanted] if kind == "DOUBLE" else [],
    )


def test_seeds_are_exact_however_many_runs_there_are(lake, monkeypatch):
    from lakefolio.views import bound_views

    monkeypatch.setattr(bound_views, "_MANY_CHANGES", 0)
    for number, seed in enumerate([2**64 - 1, 7]):
        lake.create_run(run_id=f"r{number}", params={"seed": seed}, status="done")
        assert lake.sql("select seed from runs order by run_id").fetchall()[number] == (seed,)
    assert lake.sql("select run_id from runs where seed = 18446744073709551615").fetchall() == [("r0",)]
    assert lake.sql("select run_id from runs where seed > 18446744073709551614").fetchall() == [("r0",)]


def test_metrics_without_a_number_are_still_doubles(lake):
    with lake.run(run_id="a") as run:
        run.log(loss=float("nan"), gain=float("inf"))
    with lake.run(run_id="b") as run:
        run.log(loss=0.5, gain=1.0)
    found = lake.sql("select run_id, loss, gain from runs order by 1")
    assert list(map(str, found.types))[1:] == ["DOUBLE", "DOUBLE"]
    (_, loss, gain), second = found.fetchall()
    assert loss != loss
    assert gain == float("inf")
    assert second == ("b", 0.5, 1.0)
