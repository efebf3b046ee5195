"""What changed inside arrays, sparse matrices, pictures, models, folders and frames, with odd values."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import lakefolio as lf
from lakefolio.compare.arrays import compare_arrays, compare_sparse
from lakefolio.compare.models import compare_estimators
from lakefolio.compare.values import compare_values

NAN = float("nan")


@pytest.fixture
def folio(tmp_path: Path):
    return lf.open(tmp_path / "lake").folio("a")


def changed(folio, old, new, **options):
    """Return the difference, having made every form of it."""
    folio.add("x", old, overwrite=True)
    folio.add("x", new, overwrite=True)
    diff = folio.diff(-1, item="x", **options)
    assert str(diff)
    assert diff.to_html().startswith("<!doctype html>")
    assert diff.to_polars().height == len(diff)
    json.dumps(diff.to_dict())
    return diff


def triples(diff):
    return [(one.change, one.where, one.old, one.new) for one in diff]


# -- arrays ----------------------------------------------------------------------------------------------------------


def test_differences_of_an_array_are_measured():
    old, new = np.array([[1.0, 2.0], [4.0, 0.0]]), np.array([[1.0, 3.0], [2.0, 3.0]])
    found = compare_arrays(old, new, 10).summary
    assert (found["cells"], found["cells_changed"], found["largest_difference"]) == (4, 3, 3.0)
    assert (found["mean_difference"], found["l2_norm"]) == (1.5, 14**0.5)
    assert (found["largest_relative_difference"], found["mean_relative_difference"]) == (0.5, 0.5)
    assert found["l2_norm_relative_to_old"] == pytest.approx((14 / 21) ** 0.5)


@pytest.mark.parametrize(
    ("old", "new", "count"),
    [
        (np.array([NAN, 1.0]), np.array([NAN, NAN]), 1),
        (np.array([0.0]), np.array([-0.0]), 0),
        (np.array([np.inf, 1]), np.array([-np.inf, 1]), 1),
        (np.array([2**62]), np.array([2**62 + 1]), 1),
        (np.array([2**63 + 1], np.uint64), np.array([-1], np.int64), 1),
        (np.array([2**53 + 1]), np.array([float(2**53)]), 1),
        (np.array([2**64 - 1], np.uint64), np.array([2.0**64]), 1),
        (np.array([2**63 - 1, 3, -4]), np.array([2.0**63, 3.0, -4.0]), 1),
        (np.array([1 + 1j]), np.array([1 - 1j]), 1),
        (np.array([complex(1, NAN), complex(NAN, 1)]), np.array([complex(2, NAN), complex(NAN, 1)]), 1),
        (np.array(["1", "2"]), np.array([1, 3]), 1),
        (np.array(["2020-01-01", "NaT"], "M8[D]"), np.array(["2020-01-02", "NaT"], "M8[D]"), 1),
        (np.array([(1, NAN)], "i4,f8"), np.array([(1, NAN)], "i4,f8"), 0),
        (np.array([(1, 2.0)], "i4,f8"), np.array([(1, 3.0)], "i4,f8"), 1),
        (np.array([(1, 2.0)], "i4,f8"), np.array([(1,)], [("f0", "i4")]), 1),
        (np.ma.MaskedArray([1.0, 2.0], [0, 1]), np.ma.MaskedArray([1.0, 3.0], [1, 0]), 2),
        (np.ma.MaskedArray([1.0, 2.0], [0, 1]), np.ma.MaskedArray([1.0, 3.0], [0, 1]), 0),
        (np.zeros((0, 3)), np.zeros((1, 3)), 0),
        (np.zeros((2, 3, 4), bool), np.ones((2, 3, 4), bool), 24),
    ],
)
def test_odd_cells(old, new, count):
    assert compare_arrays(old, new, 10).summary["cells_changed"] == count


def test_a_difference_that_is_not_finite_is_counted_and_comes_first(folio):
    diff = changed(folio, np.array([1.0, 2.0, 3.0]), np.array([1.5, NAN, 3.0]))
    assert (diff.summary["infinite_differences"], diff.summary["largest_difference"]) == (1, 0.5)
    assert triples(diff)[0] == ("changed", "[1]", "2.0", "nan")


def test_cells_of_other_shapes_are_added_or_removed(folio):
    diff = changed(folio, np.zeros((3, 4)), np.zeros((2, 6)))
    assert diff.counts == {"added": 4, "removed": 4, "changed": 0}


def test_a_heat_map_says_where(folio):
    old = np.zeros((3, 240, 640))
    new = old.copy()
    new[1, 125, 333], new[2, 5, 3] = 8.0, 1.0
    diff = changed(folio, old, new)
    assert diff.heat_map is not None
    assert (len(diff.heat_map.cells), len(diff.heat_map.cells[0])) == (24, 64)
    assert (diff.heat_map.cells[12][33], diff.heat_map.cells[0][0], np.sum(diff.heat_map.cells)) == (8.0, 1.0, 9.0)
    assert (diff.heat_map.levels[12][33], diff.heat_map.levels[0][0]) == (4, 2)
    drawn = [line.strip()[1:-1] for line in str(diff).splitlines() if line.startswith("  │")]
    assert (drawn[12][33], drawn[0][0], len(drawn)) == ("█", "▒", 24)
    assert diff.to_html().count("<rect") == 2


def test_sparse_matrices_by_their_entries(folio):
    sparse = pytest.importorskip("scipy.sparse", reason="needs scipy")
    new = sparse.eye(10, format="lil")
    new[3, 4], new[0, 0], new[9, 9] = 7, 2, 0
    diff = changed(folio, sparse.eye(10, format="csr"), new.tocsc())
    assert diff.counts == {"added": 1, "removed": 1, "changed": 1}
    assert set(triples(diff)) == {
        ("added", "[3, 4]", None, "7.0"), ("removed", "[9, 9]", "1.0", None), ("changed", "[0, 0]", "1.0", "2.0")
    }  # fmt: skip
    assert diff.summary["format"] == "csr → csc"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (np.array([[0, 2**53 + 1]]), np.array([[0, float(2**53)]])),
        (np.array([[0, 2**63 - 1]]), np.array([[0, 2**63]], np.uint64)),
    ],
)
def test_entries_of_sparse_matrices_keep_their_digits(old, new):
    sparse = pytest.importorskip("scipy.sparse", reason="needs scipy")
    assert compare_sparse(sparse.csr_matrix(old), sparse.csr_matrix(new), 3).summary["entries_changed"] == 1


def test_pictures_by_their_pixels(folio):
    image = pytest.importorskip("PIL.Image", reason="needs Pillow")
    new = image.new("RGB", (100, 80))
    new.putpixel((5, 6), (255, 0, 0))
    diff = changed(folio, image.new("RGB", (100, 80)), new)
    assert triples(diff) == [("changed", "x=5, y=6", "#000000", "#ff0000")]
    assert diff.summary["pixels_changed"] == 1
    diff = changed(folio, image.new("L", (100, 90)), new)
    assert (diff.summary["size"], diff.summary["pixels_changed"]) == ("100 × 90 → 100 × 80", 1)


# -- models ----------------------------------------------------------------------------------------------------------


def test_trees_are_told_by_their_nodes(folio):
    tree = pytest.importorskip("sklearn.tree", reason="needs scikit-learn")
    data = np.random.default_rng(0).random((60, 3))
    labels = (data[:, 0] + data[:, 1] > 1).astype(int)
    old, new = (tree.DecisionTreeClassifier(max_depth=depth, random_state=0).fit(data, labels) for depth in (2, 3))
    diff = changed(folio, old, new)
    told = {one.where: (one.old, one.new) for one in diff}
    assert told["model.max_depth"] == ("2", "3")
    counts = (str(old.tree_.node_count), str(new.tree_.node_count))
    assert told["model.tree_.node_count"] == counts
    assert told["model.tree_.nodes"] == tuple(f"records of shape ({one},)" for one in counts)
    assert diff.summary["parameters_changed"] == 1


def test_a_booster_is_told_by_its_trees():
    tree = "Tree={}\nnum_leaves=2\nthreshold={}\nleaf_value=-0.5 0.5\nshrinkage=1\n\n\n"
    text = "tree\nversion=v4\ntree_sizes={}\n\n{}end of trees\n\nparameters:\n[boosting: gbdt]\nend of parameters\n"
    old = {"_handle": text.format("9 9", tree.format(0, 1.5) + tree.format(1, 2.5)), "note": "a\nb"}
    new = {
        "_handle": text.format("9 9 9", tree.format(0, 1.5) + tree.format(1, 3.5) + tree.format(2, 4.5)),
        "note": "a\nc",
    }
    found = compare_estimators(old, new, ({}, {}))
    assert [(one.change, one.where, one.old) for one in found.changes] == [
        ("changed", "model._handle.tree_sizes", "'9 9'"),
        ("changed", "model._handle.trees[1].threshold", "'2.5'"),
        ("added", "model._handle.trees[2]", None),
        ("changed", "model.note", "'a\\nb'"),
    ]
    assert found.summary["learned_parts_changed"] == 3


def ubjson(value) -> bytes:
    """Return a value as XGBoost writes it."""

    def text(one: str) -> bytes:
        return b"L" + struct.pack(">q", len(one)) + one.encode()

    if isinstance(value, dict):
        return b"{" + b"".join(text(name) + ubjson(one) for name, one in value.items()) + b"}"
    if isinstance(value, list):
        return b"[#L" + struct.pack(">q", len(value)) + b"".join(map(ubjson, value))
    if isinstance(value, np.ndarray):
        return b"[$d#L" + struct.pack(">q", len(value)) + value.astype(">f4").tobytes()
    return b"S" + text(value) if isinstance(value, str) else b"i" + struct.pack(">b", value)


def xgboost(*thresholds: float) -> bytes:
    trees = [{"id": place, "split_conditions": np.array([one, 1.0])} for place, one in enumerate(thresholds)]
    model = {"learner": {"gradient_booster": {"model": {"trees": trees}, "name": "gbtree"}}}
    return ubjson({"Config": {"seed": "0"}, "Model": model})


def test_a_booster_of_xgboost_is_told_by_its_trees_and_other_bytes_as_they_are():
    old, new = ({"_Booster": {"handle": xgboost(*one)}} for one in ((0.5, 1.5), (0.5, 2.5, 3.5)))
    found = compare_estimators(old, new, ({}, {}))
    assert [(one.change, one.where) for one in found.changes] == [
        ("changed", "model._Booster.handle.trees[1].split_conditions"),
        ("added", "model._Booster.handle.trees[2]"),
    ]
    assert "1 of 2 values differ, by 1 at most" in found.changes[0].new
    assert found.summary == {"parameters_changed": 0, "learned_parts_changed": 2, "notes_changed": 0}
    for damaged in (
        xgboost(0.5)[:-1],
        b"[$d#L" + struct.pack(">q", 1 << 60),
        b"{" * 10_000,
        b"{i\xff",
        b"[#i\x01x",
        b"",
    ):
        found = compare_estimators({"handle": damaged}, {"handle": b"1"}, ({}, {}))
        assert [(one.where, one.new) for one in found.changes] == [("model.handle", "b'1'")]


def test_bytes_in_a_model_are_compared(folio):
    estimator = pytest.importorskip("sklearn.linear_model", reason="needs scikit-learn").LinearRegression
    old, new = estimator(), estimator()
    old._note, new._note = b"1", b"2"
    diff = changed(folio, old, new)
    assert triples(diff) == [("changed", "model._note", "b'1'", "b'2'")]
    assert diff.summary["learned_parts_changed"] == 1


def test_weights_are_told_by_tensor_whatever_their_type(folio):
    torch = pytest.importorskip("torch", reason="needs torch")
    old = {"w": torch.zeros(3, dtype=torch.bfloat16), "gone": torch.ones(1), "same": torch.tensor([NAN])}
    new = {"w": torch.ones(3, dtype=torch.bfloat16), "new": torch.ones(2), "same": torch.tensor([NAN])}
    diff = changed(folio, old, new)
    assert triples(diff) == [
        ("changed", "w", "norm 0", "norm 1.73205; 3 of 3 values differ, by 1 at most, norm 1.73"),
        ("removed", "gone", "float32 of shape (1,)", None),
        ("added", "new", None, "float32 of shape (2,)"),
    ]
    diff = changed(folio, torch.zeros(2), torch.ones(2))
    assert [one.where for one in diff] == ["tensor"]


# -- values, texts, folders ------------------------------------------------------------------------------------------


def test_a_member_that_is_inserted_into_a_list_is_one_change():
    found = compare_values({"l": [1, NAN, 3]}, {"l": [0, 1, NAN, 3]})
    assert [(one.change, one.where, one.new) for one in found.changes] == [("added", "$.l[0]", "0")]
    found = compare_values([1, 2, 3], [1, 3])
    assert [(one.change, one.where, one.old) for one in found.changes] == [("removed", "$[1]", "2")]


def test_odd_values(folio):
    old = {"big": 10**5000, "day": dt.date(2020, 1, 1), "set": {1, 2}, "b": True}
    new = {"b": 1, "set": {2, 3}, "day": dt.date(2020, 1, 2), "big": 10**5000 + 1}
    found = {(one.change, one.where, one.new) for one in changed(folio, old, new)}
    assert found == {
        ("changed", "$.big", "an int of 16610 bits"), ("changed", "$.day", "2020-01-02"), ("changed", "$.b", "1"),
        ("removed", "$.set", None), ("added", "$.set", "3"),
    }  # fmt: skip
    assert "order of names" in changed(folio, {"a": 1, "b": 2}, {"b": 2, "a": 1}).summary["note"]


def test_texts_that_differ_in_no_line_say_so(folio):
    assert "ends of lines" in changed(folio, b"a\r\nb\n", b"a\nb\n").summary["note"]


@pytest.mark.parametrize("mark", ["\x0b", "\x0c", "\x1e", "\x85", "\u2028"])
def test_a_mark_that_ends_no_line_is_a_part_of_it(folio, mark):
    diff = changed(folio, b"a\nb\n", f"a{mark}b\n".encode())
    assert diff.counts == {"added": 1, "removed": 2, "changed": 0}


def test_what_a_text_does_to_a_terminal_is_written_out(folio):
    assert "\\x1b[31mred" in str(changed(folio, b"a\n", b"\x1b[31mred\n"))


def test_links_modes_and_empty_folders_count(folio, tmp_path: Path):
    for version in ("old", "new"):
        root = tmp_path / version
        root.mkdir()
        (root / "link").symlink_to(version)
        (root / version).mkdir()
        (root / "tool").write_text("x")
        (root / "tool").chmod(0o644 if version == "old" else 0o755)
    assert triples(changed(folio, tmp_path / "old", tmp_path / "new")) == [
        ("changed", "link", "link to old", "link to new"),
        ("added", "new", None, "folder"),
        ("removed", "old", "folder", None),
        ("changed", "tool", "1 bytes, mode 644", "1 bytes, mode 755"),
    ]


# -- tables ----------------------------------------------------------------------------------------------------------


def test_the_index_of_a_frame_is_its_key(folio):
    old = pd.DataFrame({"v": [1, 2]}, index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", "y"]))
    diff = changed(folio, old, old.iloc[::-1].assign(v=[2, 5]))
    assert (diff.key, triples(diff)) == (("x", "y"), [("changed", "x=a, y=1", "1", "5")])
    twice = pd.DataFrame({"v": [1, 2]}, index=["a", "a"])
    assert changed(folio, twice, pd.concat([twice, twice])).key == ()


def test_a_column_that_was_renamed_is_one_column(folio):
    old = pl.DataFrame({"k": range(50), "before": [f"r{one}" for one in range(50)], "gone": [1] * 50})
    new = pl.DataFrame(
        {"k": range(50), "after": ["z" if one == 7 else f"r{one}" for one in range(50)], "come": [2] * 50}
    )
    diff = changed(folio, old, new, key="k")
    columns = {
        one["name"]: (one["change"], one["renamed_from"], one["changed_count"]) for one in diff.columns.to_pylist()
    }
    assert columns == {
        "k": ("", None, 0), "after": ("renamed", "before", 1), "come": ("added", None, 0), "gone": ("removed", None, 0)
    }  # fmt: skip
    assert triples(diff) == [("changed", "k=7", "r7", "z")]
    assert "~ column before → after: 1 changed" in str(diff)


@pytest.mark.parametrize("key", [None, "k"])
def test_tables_that_differ_in_no_value_say_so(folio, key):
    diff = changed(folio, pl.DataFrame({"k": [1], "v": [0.0]}), pl.DataFrame({"k": [1], "v": [-0.0]}), key=key)
    assert diff.counts == {"added": 0, "removed": 0, "changed": 0}
    assert "sign of a zero" in diff.summary["note"]


def test_rows_in_another_order_are_told(folio):
    diff = changed(folio, pl.DataFrame({"k": [1, 2, 3]}), pl.DataFrame({"k": [3, 2, 1]}), key="k")
    assert (diff.summary["rows_moved"], diff.summary["rows_changed"]) == (2, 0)


@pytest.mark.parametrize("swapped", [False, True])
def test_tables_without_rows_or_columns(folio, swapped):
    sides = [pl.DataFrame(), pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [1]}).clear()]
    for old, new in (sides[:2], (sides[2], sides[1]), (sides[0], sides[2])):
        one, other = (new, old) if swapped else (old, new)
        diff = changed(folio, one, other)
        assert diff.counts["removed" if swapped else "added"] == max(one.height, other.height)


def test_types_that_duckdb_does_not_tell_apart(folio):
    diff = changed(folio, pd.DataFrame({"c": pd.Categorical(["x", "y"])}), pd.DataFrame({"c": ["x", "y"]}))
    (column,) = diff.columns.to_pylist()
    assert (column["change"], column["changed_count"], column["new_type"]) == ("changed", 0, "large_string")
    assert column["old_type"].startswith("dictionary")


def _column(values, kind):
    if isinstance(values[0], str):
        values = [decimal.Decimal(one) for one in values]
    return pa.table({"v": pa.array(values, kind)})


_DIGITS = decimal.Decimal("1" * 60)


@pytest.mark.parametrize(
    ("old", "new", "count"),
    [
        (_column([_DIGITS], pa.decimal256(60, 0)), _column([_DIGITS + 1], pa.decimal256(60, 0)), 1),
        (_column([[_DIGITS]], pa.list_(pa.decimal256(60, 0))), _column([[_DIGITS]], pa.list_(pa.decimal256(61, 0))), 0),
        (_column([[(1, _DIGITS)]], pa.map_(pa.int8(), pa.decimal256(60, 0))),
         _column([[(1, _DIGITS + 1)]], pa.map_(pa.int8(), pa.decimal256(60, 0))), 1),
        (_column([1, None], pa.time64("ns")), _column([2, None], pa.time64("ns")), 1),
        (_column([1000], pa.time64("ns")), _column([1], pa.time64("us")), 0),
        (_column([1000, 7], pa.timestamp("ns", "UTC")), _column([1001, 7], pa.timestamp("ns", "UTC")), 1),
        (_column([1000, 7000], pa.timestamp("ns", "UTC")), _column([1, 7], pa.timestamp("us", "Europe/Berlin")), 0),
        (_column([1000, 7001], pa.timestamp("ns", "UTC")), _column([1, 7], pa.timestamp("us", "Europe/Berlin")), 1),
        (_column([{"a": 1000}], pa.struct({"a": pa.timestamp("ns", "UTC")})),
         _column([{"a": 1001}], pa.struct({"a": pa.timestamp("ns", "UTC")})), 1),
        (_column([1001], pa.timestamp("ns", "UTC")), _column([2**62], pa.timestamp("us", "UTC")), 1),
        (_column([1000], pa.duration("ns")), _column([1000], pa.duration("us")), 1),
        (_column([1000], pa.duration("ns")), _column([1], pa.duration("us")), 0),
        (_column([2**53 + 1, 3, None], pa.int64()), _column([2**53, 3, None], pa.float64()), 1),
        (_column([2**64 - 1], pa.uint64()), _column([2.0**64], pa.float64()), 1),
        (_column(["12345678901234567890", "0.1", "2.50"], pa.decimal128(38, 10)),
         _column([12345678901234567890.0, 0.1, 2.5], pa.float64()), 1),
        (_column(["9007199254740993", "7"], pa.decimal128(38, 0)), _column([2**53, 7], pa.int64()), 1),
        (_column(["1.10", "2.00", "9"], pa.decimal128(10, 2)), _column(["1.1", "2.1", "9"], pa.decimal128(9, 1)), 1),
        (_column(["100.00"], pa.decimal128(10, 2)), _column([100], pa.int16()), 0),
        (_column([0.1], pa.float32()), _column([0.1], pa.float64()), 1),
        (_column([float("nan"), -0.0], pa.float32()), _column([float("nan"), 0.0], pa.float64()), 0),
    ],
)  # fmt: skip
def test_no_digit_is_lost_between_tables(folio, old, new, count):
    diff = changed(folio, old, new)
    assert diff.summary["rows_changed"] == count
    (column,) = diff.columns.to_pylist()
    assert column["changed_count"] == len(diff.changes) == count
    assert (column["old_type"], column["new_type"]) == (str(old.schema[0].type), str(new.schema[0].type))
    keyed = changed(
        folio, old.append_column("k", [range(len(old))]), new.append_column("k", [range(len(new))]), key="k"
    )
    assert keyed.summary["rows_changed"] == count


def test_keys_of_other_types_match_if_they_are_the_same_number(folio):
    old, new = pl.DataFrame({"k": [2**53 + 1, 4]}), pl.DataFrame({"k": [float(2**53), 4.0]})
    diff = changed(folio, old, new, key="k")
    assert diff.counts == {"added": 1, "removed": 1, "changed": 0}


def test_columns_whose_names_differ_in_case_only_are_others(folio):
    old = pl.DataFrame({"k": [1, 2], "a": [1, 2], "A": ["x", "y"], "A (1)": [5, 6]})
    diff = changed(folio, old, old.with_columns(A=pl.Series(["x", "z"])), key="k")
    assert triples(diff) == [("changed", "k=2", "y", "z")]
    assert [row["name"] for row in diff.columns.to_pylist()] == ["k", "a", "A", "A (1)"]
    swapped = changed(folio, old, old.select("k", pl.col("A").alias("a"), pl.col("a").alias("A"), "A (1)"))
    assert {row["name"] for row in swapped.columns.to_pylist() if row["change"]} == {"a", "A"}
    by_upper = changed(
        folio, pl.DataFrame({"k": [1, 1], "K": [1, 2]}), pl.DataFrame({"k": [2, 1], "K": [2, 3]}), key="K"
    )
    assert by_upper.counts == {"added": 1, "removed": 1, "changed": 1}
    assert (by_upper.key, by_upper.changes[-1].where) == (("K",), "K=2")


def test_many_columns(folio, monkeypatch):
    monkeypatch.setattr("lakefolio.views.table_changes._AT_ONCE", 7)
    monkeypatch.setattr("lakefolio.views.table_side._AT_ONCE", 7)
    old = pl.DataFrame({f"c{place}": [1, 2] for place in range(30)})
    new = old.with_columns(c11=pl.Series([1, 3]), c29=pl.Series([4, 2]))
    for key in (None, "c0"):
        diff = changed(folio, old, new, key=key)
        assert {one["name"] for one in diff.columns.to_pylist() if one["changed_count"]} == {"c11", "c29"}
        assert diff.summary["rows_changed"] == 2


def test_spans_of_time_are_shown_as_such(folio):
    def spans(nanos: list[int | None], seconds: list[int | None]) -> pa.Table:
        given = {"ns": nanos, "s": seconds}
        return pa.table({unit: pa.array(one, pa.int64()).cast(pa.duration(unit)) for unit, one in given.items()})

    old = spans([5, None, 7], [3_600, None, 8])
    diff = changed(folio, old, spans([5, None, 7], [3_605, None, 2**62]))
    assert [(one.old, one.new) for one in diff.rows] == [
        ({"s": "01:00:00"}, {"s": "01:00:05"}),
        ({"s": "00:00:08"}, {"s": f"{2**62} s"}),
    ]
    other = changed(folio, old, spans([6, None, 1_000], [3_600, None, 8]))
    assert [one.old for one in other.rows] == [{"ns": "00:00:00 and 5 ns"}, {"ns": "00:00:00 and 7 ns"}]
    assert [one.new for one in other.rows] == [{"ns": "00:00:00 and 6 ns"}, {"ns": "00:00:00.000001"}]


def test_long_texts_are_shown_around_what_differs(folio):
    old, new = ("lorem ipsum " * 40 + end for end in ("old", "new"))
    diff = changed(folio, pa.table({"t": [old]}), pa.table({"t": [new]}))
    assert "…m ipsum old → …m ipsum new" in str(diff)
    assert "…m ipsum old</span> → " in diff.to_html()
    assert "…m ipsum new</span>" in diff._repr_html_()
    diff = changed(folio, {"t": old}, {"t": new})
    assert "…m ipsum old' → …m ipsum new'" in str(diff)
    diff = changed(folio, {"t": "the beginning of both"}, {"t": "the beginning of both, and a long end of one alone"})
    assert "'the beginning of both' → 'the beginning of both, and" in str(diff)


def test_columns_are_told_alike_as_text_and_html(folio):
    old = pa.table({"z": [1.0, None], "a": pa.array([1, 2], pa.int32()), "gone": ["x", "y"]})
    new = pa.table({"z": [None, 2.0], "a": [1, 2], "came": [True, False]})
    diff = changed(folio, old, new)
    text, page = str(diff), diff.to_html()
    for told in ("2 changed, min 1.0 → 2.0, max 1.0 → 2.0, mean 1 → 2", "int32 → int64"):
        assert told in text
        assert told in page
    assert "min 1 → 1" not in text  # of values that are written alike
    assert ["row", "z"] in [one.split() for one in text.splitlines()]
