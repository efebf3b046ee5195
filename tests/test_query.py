"""Finding items: the compiler beside a plain Python filter, what is refused, what is found, and datasets."""

from __future__ import annotations

import math
import re
import uuid
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inside import session_of
from thoroughness import examples

import lakefolio as lf
from lakefolio import Q, all_of, any_of, not_
from lakefolio.format.times import period_of
from lakefolio.process.notice import LakefolioWarning
from lakefolio.query.compiler import Compiler
from lakefolio.readmodels.runs import ModelRuns
from lakefolio.session.session import Session
from lakefolio.views import kept_rows

# -- looking entries up ----------------------------------------------------------------------------------------


def test_entries_that_were_found_are_looked_up_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lf.open(tmp_path / "lake")
    with lake.batch():
        for number in range(30):
            lake.folio("f").add(f"x{number}", number)
    lake.compact()
    lake.folio("f").add("x7", "new", overwrite=True)
    lake.folio("f").add("x30", 30)
    lake.folio("f").delete("x3", warn_dependents=False)
    found = lf.open(lake.uri, read_only=True).query(folio="f", order_by="-name")
    asked: list[str] = []
    for name in ("rows_of", "newest"):
        monkeypatch.setattr(ModelRuns, name, noting(asked, name, getattr(ModelRuns, name)))
    entries = list(found)
    assert asked == ["rows_of"]
    assert found[::2] == entries[::2]
    assert [entry.ref for entry in entries] == found.refs
    assert (len(entries), entries[0], entries[-1]) == (30, found[0], found[-1])
    assert found.objects()["f:x7@2"] == "new"


def noting(asked: list[str], name: str, own: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        asked.append(name)
        return own(*args, **kwargs)

    return call


# -- the compiler beside a plain filter ------------------------------------------------------------------------

TEXTS = ["", "a", "ab", "b", "Ä", "a%", "it's", 'q"uote', "1", "null", "🙂"]
NUMBERS = [0, 1, -1, 2.5, 1.0, 10**6, -0.0, 1e300, math.inf, -math.inf]
VALUES = [*TEXTS, *NUMBERS, True, False, None, [1, "a"], [], {"a": 1}, datetime(2026, 1, 1, tzinfo=UTC)]
KEYS = ["k", "score", "odd key.with'quote"]


def made_items():
    """Forty items, each with some of everything; the same at each run."""
    found = []
    for number in range(40):
        metadata = {
            key: VALUES[(number * 7 + place * 5) % len(VALUES)]
            for place, key in enumerate(KEYS)
            if (number + place) % 3
        }
        found.append(
            {
                "folio": ["a", "b/c", "Ä"][number % 3],
                "name": f"item{number}",
                "tag": [TEXTS[1 + (number + step) % 6] for step in range(number % 3)],
                "description": None if number % 4 == 0 else TEXTS[1 + number % 10],
                "metadata": metadata,
            }
        )
    return found


@pytest.fixture(scope="module")
def stocked():
    items = made_items()
    lake = lf.open(f"memory://query-property-{uuid.uuid4().hex}")  # a worker may come back to this module
    with lake.batch():
        for one in items:
            lake.folio(one["folio"]).add(
                one["name"], 0, tags=one["tag"], description=one["description"], metadata=one["metadata"]
            )
    return lake, items


def is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def equal(found, value):
    if is_number(value) or is_number(found):
        return is_number(value) and is_number(found) and found == value
    return type(found) is type(value) and found == value


def ordered(sign, found, value):
    same = (is_number(found) and is_number(value)) or (type(found) is type(value) and isinstance(found, str | datetime))
    if not same:
        return False
    return {"<": found < value, "<=": found <= value, ">": found > value, ">=": found >= value}[sign]


def holds(there, found, value):
    """Whether one value of a field (``there`` says if there is one) does what is asked."""
    if isinstance(value, lf.query.conditions.Not):
        return not holds(there, found, value.part)
    if isinstance(value, lf.query.conditions.AnyOf):
        return any(holds(there, found, one) for one in value.parts)
    if isinstance(value, lf.query.conditions.AllOf):
        return all(holds(there, found, one) for one in value.parts)
    if isinstance(value, list):
        return there and any(equal(found, one) for one in value)
    if not isinstance(value, tuple):
        return there and equal(found, value)
    sign, operand = value
    if sign == "exists":
        return there is operand
    if not there:
        return False
    if sign in ("=", "!="):
        return equal(found, operand) is (sign == "=")
    if sign in ("in", "not in"):
        return any(equal(found, one) for one in operand) is (sign == "in")
    if sign == "between":
        return ordered(">=", found, operand[0]) and ordered("<=", found, operand[1])
    if sign == "startswith":
        return isinstance(found, str) and found.startswith(operand)
    if sign == "contains":
        return (isinstance(found, str) and isinstance(operand, str) and operand in found) or (
            isinstance(found, list) and any(equal(one, operand) for one in found)
        )
    if sign == "like":
        pattern = "".join({"%": ".*", "_": "."}.get(one, re.escape(one)) for one in operand)
        return isinstance(found, str) and re.fullmatch(pattern, found, re.DOTALL) is not None
    return ordered(sign, found, operand)


def some(found, value):
    """The same of a field that holds several texts."""
    if isinstance(value, lf.query.conditions.Not):
        return not some(found, value.part)
    if isinstance(value, lf.query.conditions.AnyOf):
        return any(some(found, one) for one in value.parts)
    if isinstance(value, lf.query.conditions.AllOf):
        return all(some(found, one) for one in value.parts)
    if isinstance(value, tuple) and value[0] == "exists":
        return bool(found) is value[1]
    return any(holds(True, one, value) for one in found)


def matches(item, condition):
    if isinstance(condition, lf.query.conditions.Not):
        return not matches(item, condition.part)
    if isinstance(condition, lf.query.conditions.AnyOf):
        return any(matches(item, one) for one in condition.parts)
    if isinstance(condition, lf.query.conditions.AllOf):
        return all(matches(item, one) for one in condition.parts)
    for field, value in condition.fields.items():
        if field == "metadata":
            if not all(holds(key in item["metadata"], item["metadata"].get(key), one) for key, one in value.items()):
                return False
        elif field == "tag":
            if not some(item["tag"], value):
                return False
        elif not holds(item[field] is not None, item[field], value):
            return False
    return True


def trees(leaf):
    return st.recursive(
        leaf,
        lambda inner: (
            st.lists(inner, max_size=3).map(lambda parts: any_of(*parts))
            | st.lists(inner, max_size=3).map(lambda parts: all_of(*parts))
            | inner.map(not_)
        ),
        max_leaves=4,
    )


texts = st.sampled_from(TEXTS)
asked_texts = trees(
    texts
    | st.lists(texts, max_size=3)
    | st.tuples(st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "like", "startswith", "contains"]), texts)
    | st.tuples(st.sampled_from(["in", "not in"]), st.lists(texts, max_size=3))
    | st.tuples(st.just("between"), st.tuples(texts, texts))
    | st.tuples(st.just("exists"), st.booleans())
)
with_order = st.sampled_from([*TEXTS, *NUMBERS, datetime(2026, 1, 1, tzinfo=UTC)])
anything = st.sampled_from(VALUES).filter(lambda one: not isinstance(one, list))
asked_values = trees(
    anything
    | st.tuples(st.sampled_from(["<", "<=", ">", ">="]), with_order)
    | st.tuples(st.sampled_from(["=", "!=", "contains"]), anything)
    | st.tuples(st.sampled_from(["in", "not in"]), st.lists(anything, max_size=3))
    | st.tuples(st.just("exists"), st.booleans())
    | st.tuples(st.sampled_from(["like", "startswith"]), texts)
)
questions = trees(
    st.builds(
        lambda fields, metadata: Q(**fields, **({"metadata": metadata} if metadata else {})),
        st.dictionaries(st.sampled_from(["folio", "name", "tag", "description"]), asked_texts, max_size=2),
        st.dictionaries(st.sampled_from(KEYS), asked_values, max_size=2),
    )
)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(condition=questions)
def test_a_query_finds_what_a_plain_filter_does(stocked, condition):
    lake, items = stocked
    expected = sorted((one["folio"], one["name"]) for one in items if matches(one, condition))
    found = lake.query(condition)
    assert sorted((one.folio, one.item) for one in found) == expected


# -- fields ----------------------------------------------------------------------------------------------------


@pytest.fixture
def lake(tmp_path):
    lake = lf.open(tmp_path / "fields")
    folio = lake.folio("exp/a")
    folio.add("raw", pd.DataFrame({"x": [1, 2, 3]}), tags=["raw"], metadata={"score": 0.95, "source_id": "sensor_1"})
    folio.add("clean", pd.DataFrame({"x": [1, 2]}), inputs=["raw"], metadata={"score": 0.5, "type": "reading"})
    folio.add("config", {"lr": 1}, metadata={"score": "high"})
    folio.add("other", pl.DataFrame({"y": ["a"]}), inputs=["s3://bucket/x.csv"], metadata={"score": 0.7})
    folio.add("old", 1).archive("old")
    return lake


def names(found):
    return [one.item for one in found]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"type": "table"}, ["clean", "other", "raw"]),
        ({"type": "reading"}, ["clean"]),
        ({"kind": "json"}, ["config"]),
        ({"tag": "raw"}, ["raw"]),
        ({"source": "sensor_1"}, ["raw"]),
        ({"source": "exp/a:raw"}, ["clean"]),
        ({"source": "exp/a:raw@1"}, ["clean"]),
        ({"source": ("startswith", "s3://")}, ["other"]),
        ({"metadata": {"score": (">=", 0.7)}}, ["other", "raw"]),
        ({"row_count": ("between", (2, 3))}, ["clean", "raw"]),
        ({"version": (">", 3), "archived": None}, ["old", "other"]),
        ({"archived": True}, ["old"]),
        ({"where": "row_count > 1 and name like 'r%'"}, ["raw"]),
        ({"where": "(metadata ->> 'score') = 'high'"}, ["config"]),
        ({"where": "exists (select 1 from lineage_edges e where e.input_id = found.entry_id)"}, ["raw"]),
        ({"where": "description is null -- a comment"}, ["clean", "config", "other", "raw"]),
        ({"order_by": "-metadata.score", "limit": 2}, ["raw", "other"]),
        ({"order_by": ["kind", "-name"], "offset": 1}, ["raw", "other", "clean"]),
        ({"created_at": (">", datetime.now(UTC) + timedelta(days=1))}, []),
    ],
)
def test_what_is_asked_is_what_is_found(lake, asked, expected):
    assert names(lake.query(**asked)) == expected


def test_between_takes_times_of_any_form_and_open_ends(lake):
    first, second = (lake.item(f"exp/a:{name}").committed_at for name in ("raw", "clean"))
    assert names(lake.query(between=(None, first))) == ["raw"]
    assert names(lake.query(between=(first.isoformat(), second))) == ["clean", "raw"]
    assert names(lake.query(between=(datetime.now(UTC).date() + timedelta(days=1), None))) == []


def test_conditions_combine_with_signs(lake):
    assert names(lake.query(Q(name="raw") | Q(name="clean"), ~Q(tag="raw"))) == ["clean"]
    assert names(lake.query(Q(type="table") & not_(Q(name=["raw", "other"])))) == ["clean"]
    with pytest.raises(TypeError):
        _ = Q(name="raw") and Q(name="clean")


def test_the_past_is_asked_like_the_present(lake):
    assert names(lake.at(1).query()) == ["raw"]


def test_negative_numbers_are_numbers():
    lake = lf.open("memory://query-negative")
    lake.folio("a").add("x", 0, metadata={"loss": -2.5})
    assert lake.sql("select value_number from item_metadata").fetchall() == [(-2.5,)]
    assert names(lake.query(metadata={"loss": ("<", -2)})) == ["x"]


# -- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        {"colour": "red"},
        {"type": 5},
        {"size_bytes": "large"},
        {"size_bytes": math.nan},
        {"archived": "yes"},
        {"name": ("~", "x")},
        {"name": ("=", "x", "y")},
        {"name": ("in", "abc")},
        {"name": ("between", (1,))},
        {"name": ("like", 5)},
        {"name": "\ud800"},
        {"metadata": "score > 1"},
        {"metadata": {1: 2}},
        {"metadata": {"score": (">", None)}},
        {"metadata": {"score": (">", True)}},
        {"metadata": {"score": ("exists", 1)}},
        {"metadata": {"score": object()}},
        {"metadata": {"score": Q(name="x")}},
        {"between": "2026"},
        {"order_by": "-colour"},
        {"order_by": 5},
        {"order_by": "name; drop view items"},
        {"limit": -1},
        {"limit": True},
        {"limit": "5"},
    ],
)
def test_what_can_not_be_asked_is_refused_in_one_line(lake, asked):
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.query(**asked)
    assert caught.value.kind in ("bad-query",)
    assert "\n" not in str(caught.value)
    assert len(lake.query()) == 4


def test_a_time_that_is_none_and_a_condition_that_is_none(lake):
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.query(between=("yesterday", None))
    assert caught.value.kind == "bad-time"
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.query("name = 'raw'")
    assert caught.value.kind == "bad-query"
    deep = Q(name="x")
    for _ in range(500):
        deep = not_(deep)
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.query(deep)
    assert caught.value.kind == "bad-query"


@pytest.mark.parametrize(
    "where",
    [
        "",
        "not sql at all",
        "size_bytes >",
        "1) union all (select 1",
        "true) or (true",
        "true; drop view items",
        "drop view items",
        "delete from items",
        "insert into manifests values (1)",
        "update items set folio = 'x'",
        "copy items to '/tmp/never.csv'",
        "select 1",
        "true from items",
        "true order by 1",
        "true, false",
        "*",
        "count(*) > 1",
        "nothing_like_it > 1",
        "folio = ?",
        "folio = $value_0",
        "true /*",
        "(select count(*) from read_text('/etc/passwd')) = 1",
        "(select count(*) from read_csv('https://example.org/x')) = 1",
        "exists (select 1 from secret)",
        5,
        "'\ud800' = folio",
    ],
)
def test_a_where_that_is_no_reading_expression_is_one_clear_error(lake, where):
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.query(where=where, name="raw")
    assert caught.value.kind == "sql"
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    assert names(lake.query(where="true", name="raw")) == ["raw"]


@given(st.text(max_size=30).filter(lambda key: not key.rstrip().endswith(("<", ">", "="))))  # refused as operators
@settings(max_examples=examples(50), deadline=None)
def test_values_never_become_sql(text):
    asked = Compiler()
    asked.add(Q(name=text, metadata={text: text}, tag=("like", text)))
    assert list(asked.params.values()).count(text) == 4
    marked = Compiler()
    # a key's dots are paths, and a time is compared with times too: else the statement is one and the same
    key = "".join(one if one == "." else "x" for one in text)
    value = "2026-01-01" if period_of(text) else ""
    marked.add(Q(name="", metadata={key: value}, tag=("like", "")))
    assert asked.sql == marked.sql


# -- results ---------------------------------------------------------------------------------------------------


def test_frames_of_what_is_known(lake):
    found = lake.query(order_by="created_at")
    table = found.to_arrow()
    assert table.column("name").to_pylist() == ["raw", "clean", "config", "other"]
    assert table.column("metadata.type").to_pylist() == [None, "reading", None, None]
    assert table.column("metadata.score").to_pylist() == ["0.95", "0.5", '"high"', "0.7"]  # of unlike types: JSON
    assert lake.query(type="table").to_polars()["metadata.score"].to_list() == [0.5, 0.7, 0.95]
    assert list(found.to_pandas()["ref"]) == found.refs
    assert "ref" in lake.query(name="nothing").to_polars().columns


def test_frames_of_the_content_of_tables(lake):
    found = lake.query(name=["raw", "clean", "config"])
    assert found.content.to_polars()["x"].to_list() == [1, 2, 1, 2, 3]
    assert list(found.content.to_pandas()["x"]) == [1, 2, 1, 2, 3]
    both = lake.query(type="table").content
    assert both.to_arrow().num_rows == 6
    assert both.to_polars()["y"].to_list() == [None, None, "a", None, None, None]
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.query(name="config").content.to_arrow()
    assert caught.value.kind == "no-tables"


def test_tables_that_do_not_fit_are_an_error():
    lake = lf.open("memory://query-unlike")
    lake.folio("a").add("x", pa.table({"x": [1]})).add("y", pa.table({"x": [[1]]}))
    for form in ("to_arrow", "to_polars"):
        with pytest.raises(lf.InvalidInputError) as caught:
            getattr(lake.query().content, form)()
        assert caught.value.kind == "unlike-tables"


def test_a_result_is_a_sequence_of_entries_and_keeps_to_its_version():
    lake = lf.open("memory://query-still")
    lake.folio("a").add("x", {"n": 1}).add("y", 2)
    lake.folio("b").add("x", 3)
    found = lake.query()
    lake.folio("a").add("x", {"n": 9}, overwrite=True).delete("y")
    assert [one.ref for one in found] == found.refs == ["a:x@1", "a:y@2", "b:x@3"]
    assert (len(found), found[-1].ref, [one.item for one in found[:2]]) == (3, "b:x@3", ["x", "y"])
    assert found.get("a:x") == {"n": 1}
    assert found.objects() == {"a:x@1": {"n": 1}, "a:y@2": 2, "b:x@3": 3}
    with pytest.raises(lf.NotFoundError):
        found.get("z")
    with pytest.raises(lf.InvalidInputError) as caught:
        found.get("x")
    assert caught.value.kind == "ambiguous-name"
    assert "a:x@1" in repr(found)


def test_a_lake_with_nothing_in_it_answers():
    lake = lf.open("memory://query-empty")
    assert not lake.query(metadata={"a": 1}, where="metadata is not null")
    assert lake.datasets() == []


# -- datasets --------------------------------------------------------------------------------------------------


def test_a_dataset_is_kept_and_given_back_as_one(lake):
    made = lake.create_dataset("train", lake.query(type="table"), description="Tables", tags="x", metadata={"n": 3})
    lake.folio("exp/a").add("raw", pd.DataFrame({"x": [9]}), overwrite=True)
    found = lake.get_dataset("train")
    assert found.names == made.names == ["clean", "other", "raw"]
    assert (found.description, found.tags, found.metadata["n"]) == ("Tables", ["x"], 3)
    assert list(found.get("raw")["x"]) == [1, 2, 3]
    assert found.sources["raw"] == "exp/a:raw@1"
    assert found.content.to_polars().height == 6
    assert "exp/a:clean@2" in [one.ref for one in lake.lineage("datasets/train:clean").upstream(1)]
    assert [one["name"] for one in lake.datasets()] == ["train"]
    assert lake.check(read_data=True).ok


def test_a_dataset_as_of_any_version():
    lake = lf.open("memory://dataset-versions")
    lake.folio("a").add("x", 1).add("y", 2)
    lake.create_dataset("d", ["a:x", "a:y"])
    then = lake.version
    lake.folio("a").add("x", 10, overwrite=True)
    lake.create_dataset("d", {"renamed": "a:x", "of its own": {"n": 1}}, overwrite=True)
    assert lake.get_dataset("d").get("renamed") == 10
    assert lake.get_dataset("d").names == ["of its own", "renamed"]
    assert lake.get_dataset("d").sources == {"renamed": "a:x@4"}
    assert lake.get_dataset("d", at=then).objects() == {f"datasets/d:x@{then}": 1, f"datasets/d:y@{then}": 2}
    assert lake.at(then).get_dataset("d").get("y") == 2


def test_gc_keeps_what_a_dataset_has(tmp_path):
    lake = lf.open(tmp_path / "lake")
    lake.folio("a").add("x", b"x" * 10_000)
    lake.create_dataset("d", ["a:x"])
    lake.folio("a").add("gone", b"z" * 10_000).add("gone", 0, overwrite=True)
    lake.folio("a").add("x", b"y" * 10_000, overwrite=True)
    lake.gc(dry_run=False, grace=0, keep_last=1)
    path = lake.get_dataset("d").get("x")
    assert (path if isinstance(path, bytes) else path.read_bytes()) == b"x" * 10_000
    with pytest.raises(lf.NotFoundError) as caught:  # what gc did give up can't become a member
        lake.create_dataset("e", ["a:gone@3"])
    assert caught.value.kind == "content-purged"


def test_members_of_one_name_are_called_by_their_folio_too():
    lake = lf.open("memory://dataset-names")
    lake.folio("a").add("x", 1)
    lake.folio("b").add("x", 2)
    assert lake.create_dataset("d", lake.query(name="x")).names == ["a/x", "b/x"]


@pytest.mark.parametrize(
    ("name", "items", "kind"),
    [
        ("d", ["a:x"], "dataset-exists"),
        ("e", [], "bad-dataset"),
        ("e", {}, "bad-dataset"),
        ("e", "a:x", "bad-dataset"),
        ("e", 5, "bad-dataset"),
        ("e", [5], "bad-dataset"),
        ("e", ["a:x", "a:x"], "bad-dataset"),
        ("e", ["x"], "bad-ref"),
        ("e", ["a:nothing"], "item-not-found"),
        ("e", {"../x": "a:x"}, "bad-name"),
        ("e", {"one": "a:x", "two": object()}, "unsupported-type"),
        ("../e", ["a:x"], "bad-name"),
        (5, ["a:x"], "bad-name"),
    ],
)
def test_a_dataset_that_can_not_be_is_refused_and_nothing_half_made(name, items, kind):
    lake = lf.open("memory://dataset-bad")
    if lake.version == 0:
        lake.folio("a").add("x", 1)
        lake.create_dataset("d", ["a:x"])
    before = lake.version
    with pytest.raises(lf.LakefolioError) as caught:
        lake.create_dataset(name, items)
    assert caught.value.kind == kind
    assert lake.version == before
    assert [one["name"] for one in lake.datasets()] == ["d"]


def test_a_dataset_that_is_not_there_names_the_nearest():
    lake = lf.open("memory://dataset-missing")
    lake.folio("a").add("x", 1)
    lake.create_dataset("training", ["a:x"])
    with pytest.raises(lf.NotFoundError) as caught:
        lake.get_dataset("trainin")
    assert caught.value.kind == "dataset-not-found"
    assert "'training'" in caught.value.hint
    with pytest.raises(lf.ReadOnlyError):
        lake.at(1).create_dataset("e", ["a:x"])


def test_numbers_in_lists_are_equal_however_they_were_written(tmp_path) -> None:
    """Found by the test above: 1.0 was not contained in [1]."""
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f")
    folio.add_json("ints", 0, metadata={"sizes": [1, "2", -3, True]})
    folio.add_json("floats", 0, metadata={"sizes": [1.0, -3e0, 1e300]})
    both = ["floats", "ints"]
    for asked, expected in ((1.0, both), (1, both), (-3, both), (2, []), (1e300, ["floats"])):
        found = lake.query(metadata={"sizes": ("contains", asked)})
        assert sorted(one.item for one in found) == expected


def test_a_dict_of_metadata_asks_for_each_of_its_values(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    noted = {"name": "x", "v": 2, "tags": ["a", "b"], "deep": {"k": None, "d": 1.5}}
    lake.folio("f").add("a", 1, metadata={"proc": noted}).add("b", 1, metadata={"proc": {}})
    for asked in (
        {"name": "x"},
        {"v": 2.0, "name": "x"},
        {"tags": ["a", "b"]},
        {"deep": {"d": 1.5}},
        {"deep": {"k": None}},
        {"v": (">", 1)},
        noted,
    ):
        assert [one.item for one in lake.query(metadata={"proc": asked})] == ["a"], asked
    assert [one.item for one in lake.query(metadata={"proc": {}})] == ["b"]
    for asked in ({"name": "y"}, {"tags": ["a"]}, {"deep": {"d": 1}}, {"name": "x", "v": 3}, {"a.b": 1}):
        assert list(lake.query(metadata={"proc": asked})) == []


@pytest.mark.parametrize(
    ("asked", "meant"), [({"lrr": 1}, "'lr'"), ({"proc": {"nme": "x"}}, "'proc.name'"), ({"prc.name": "x"}, "'proc'")]
)
def test_a_key_that_no_item_has_is_told_where_one_is_called_nearly_so(
    tmp_path: Path, asked: dict[str, Any], meant: str
) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add("a", 1, metadata={"lr": 1, "proc": {"name": "x"}})
    with pytest.warns(LakefolioWarning, match="no item has metadata") as told:
        assert list(lake.query(metadata=asked)) == []
    assert f"did you mean {meant}?" in str(told[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(lake.query(metadata={"something else": 1})) == []
        assert list(lake.query(metadata={"lr": 2})) == []


def test_a_question_holds_neither_content_nor_all_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a million items 0.3 GB were held for the first three, and 0.7 GB for those with metadata or a tag."""
    lake = lf.open(tmp_path / "lake")
    with lake.batch():
        for n in range(3):
            lake.folio("f").add(f"x{n}", n, tags=["t"], metadata={"n": n}, inputs=["https://a.example/x"])
    asked: list[tuple[str, Any]] = []
    own = Session.query

    def noted(self: Session, sql: str, params: Any = None, **more: Any) -> Any:
        asked.append((sql, params))
        return own(self, sql, params, **more)

    monkeypatch.setattr(Session, "query", noted)
    lake = lf.open(tmp_path / "lake")
    conditions = {"tag": "t", "type": "json", "source": "https://a.example/x", "metadata": {"n": (">", 0)}}
    for some in ({"order_by": ["metadata.n", "-metadata.m"]}, *({field: value} for field, value in conditions.items())):
        asked.clear()
        assert len(lake.query(**some)) == (2 if "metadata" in some else 3)
        ((sql, params),) = asked
        plan = own(session_of(lake), f"explain {sql}", params).fetchall()[0][1]
        assert "DELIM" not in plan, some
    assert [content for _, _, content, _ in session_of(lake).opened.tables] == [False]


def test_many_items_that_were_found_lie_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a lake of a million took 0.7 GB for as long as they were held."""
    lake = lf.open(tmp_path / "lake")
    with lake.batch():
        for number in range(40):
            lake.folio("f").add(f"x{number:02d}", number, tags=["t"])
    few, mapped = lake.query(), list[int]()
    own = kept_rows._mapped

    def noted(*given: Any) -> pa.Table:
        rows = own(*given)
        mapped.append(rows.num_rows)
        return rows

    monkeypatch.setattr(kept_rows, "_mapped", noted)
    monkeypatch.setattr(kept_rows, "_MOST_BYTES", 1_000)
    many = lake.query()
    assert mapped == [40]
    assert many.to_arrow().equals(few.to_arrow())
    assert (many.refs, list(many), many[-1], many[3:5]) == (few.refs, list(few), few[-1], few[3:5])
    assert (many.get("x07"), many.get("f:x08"), many.get(9), len(many)) == (7, 8, 9, 40)
