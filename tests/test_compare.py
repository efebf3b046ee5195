"""What changed inside an item between two versions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.views.table_changes import table_changes


@pytest.fixture
def folio(lake_uri):
    return lf.open(lake_uri).folio("a")


def changed(folio, old, new, **options):
    folio.add("x", old, overwrite=True)
    folio.add("x", new, overwrite=True)
    return folio.diff(-1, item="x", **options)


def triples(diff):
    return [(one.change, one.where, one.column, one.old, one.new) for one in diff]


OLD = pl.DataFrame({"id": [1, 2, 3, None], "name": ["a", "b", "c", "d"], "v": [1.0, float("nan"), None, 4.0]})
NEW = pl.DataFrame({"id": [5, None, 3, 2], "name": ["e", "d", "C", "b"], "v": [5.0, 4.5, None, float("nan")]})


def test_tables_by_key_tell_rows_cells_and_columns(folio):
    diff = changed(folio, OLD, NEW, key="id")
    assert {name: diff.summary[name] for name in ("rows_added", "rows_removed", "rows_changed")} == {
        "rows_added": 1,
        "rows_removed": 1,
        "rows_changed": 2,
    }
    assert triples(diff) == [
        ("removed", "id=1", None, "name=a, v=1.0", None),
        ("added", "id=5", None, None, "name=e, v=5.0"),
        ("changed", "id=3", "name", "c", "C"),
        ("changed", "id=null", "v", "4.0", "4.5"),
    ]
    columns = {row["name"]: row for row in diff.columns.to_pylist()}
    assert (columns["name"]["changed_count"], columns["v"]["changed_count"]) == (1, 1)
    assert (columns["v"]["old_nulls"], columns["v"]["new_max"], columns["id"]["change"]) == (1, "NaN".lower(), "")
    text = str(diff)
    assert text.startswith("--- a:x@1\n+++ a:x@2\ntable: the content differs")
    assert text.splitlines()[-5:] == [
        "   id    name   v", "-  1     a      1.0", "+  5     e      5.0", "~  3     c → C", "~  null         4.0 → 4.5"
    ]  # fmt: skip
    page = diff._repr_html_()
    assert [page.count(f">{sign}</td>") for sign in "-+~"] == [1, 1, 2]
    assert "–</span></td>" in page  # the key that is null


def test_tables_by_position(folio):
    diff = changed(folio, OLD, NEW.head(3))
    assert (diff.summary["rows_removed"], diff.summary["rows_added"], diff.summary["rows_changed"]) == (1, 0, 3)
    assert ("changed", "row=0", "id", "1", "5") in triples(diff)
    assert ("removed", "row=3", None, "id=null, name=d, v=4.0", None) in triples(diff)


def test_columns_come_go_and_change_their_type(folio):
    diff = changed(
        folio, pl.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": ["1", "2"]}),
        pl.DataFrame({"a": [1.0, 2.5], "c": [1, 3], "d": [True, None]}),
    )  # fmt: skip
    columns = {row["name"]: (row["change"], row["changed_count"]) for row in diff.columns.to_pylist()}
    assert columns == {"a": ("changed", 1), "c": ("changed", 1), "d": ("added", 0), "b": ("removed", 0)}
    assert "+ column d bool" in str(diff)
    assert "- column b large_string" in str(diff)


def test_examples_are_limited_and_counts_are_not(folio):
    old = pl.DataFrame({"k": range(100), "v": [0] * 100})
    new = pl.DataFrame({"k": range(50, 200), "v": [1] * 150})
    diff = changed(folio, old, new, key=["k"], limit=3)
    assert diff.summary["rows_added"] == 100
    assert diff.summary["rows_changed"] == diff.summary["rows_removed"] == 50
    assert [one.change for one in diff] == ["removed"] * 3 + ["added"] * 3 + ["changed"] * 3
    assert len(folio.diff(1, item="x", key="k", limit=0)) == 0


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"key": "idd"}, "unknown-column"),
        ({"key": ""}, "unknown-column"),
        ({"key": 5}, "unsupported-type"),
        ({"key": ["id", None]}, "unsupported-type"),
        ({"key": "name"}, "duplicate-key"),
        ({"limit": -1}, "bad-option"),
    ],
)
def test_a_key_that_is_none_is_refused(folio, options, kind):
    twice = OLD.with_columns(name=pl.lit("b"))
    with pytest.raises(lf.InvalidInputError) as caught:
        changed(folio, twice, NEW, **options)
    assert caught.value.kind == kind


def test_frames_with_an_index_and_nested_values(folio):
    old = pd.DataFrame({"v": [[1, 2], [3]]}, index=pd.Index(["a", "b"], name="key"))
    new = pd.DataFrame({"v": [[1, 2], [3, 4]]}, index=pd.Index(["a", "b"], name="key"))
    diff = changed(folio, old, new, key="key")
    assert triples(diff) == [("changed", "key=b", "v", "[3]", "[3, 4]")]


def test_names_that_sql_could_take_for_its_own(folio):
    name = "o.\"x' n."
    old = pl.DataFrame({"file_row_number": [1, 2], name: [1, 2], "number": [1, 2]})
    for key in ("n", "h", "o", "Number", "hash", "old", "new", "pairs"):
        rows = pl.DataFrame({key: [7, 8, 9], "hash_": [1, 2, 3]})
        diff = changed(folio, rows, rows.slice(1).with_columns(hash_=pl.Series([5, 3])), key=key)
        assert [one[:2] for one in triples(diff)] == [("removed", f"{key}=7"), ("changed", f"{key}=8")]
    diff = changed(folio, old, old.with_columns(pl.Series(name, [1, 3])), key="file_row_number")
    assert triples(diff) == [("changed", "file_row_number=2", name, "2", "3")]


rows = st.lists(st.tuples(st.integers(0, 8), st.sampled_from([None, 0.0, 1.5, float("nan")])), max_size=8)


@settings(deadline=None, max_examples=25)
@given(rows, rows)
def test_any_two_tables_by_key_differ_as_dicts_do(one, other):
    old, new = dict(one), dict(other)
    tables = [
        pa.table({"k": pa.array(list(side), pa.int64()), "v": pa.array(list(side.values()), pa.float64())})
        for side in (old, new)
    ]
    found = table_changes(*tables, ["k"], 100)
    both = [key for key in old if key in new and repr(old[key]) != repr(new[key])]
    assert (found.added, found.removed, found.changed) == (len(new.keys() - old), len(old.keys() - new), len(both))
    assert sorted(int(row.where["k"]) for row in found.examples if row.change == "changed") == sorted(both)
    assert {one.name: one.changed_count for one in found.columns}["v"] == len(both)


def test_many_changed_rows_are_counted_by_a_join(folio, monkeypatch):
    monkeypatch.setattr("lakefolio.views.table_changes._NARROW", 2)
    diff = changed(folio, pl.DataFrame({"k": [1, 2, 3, 4], "v": [1, 2, 3, 4]}),
                   pl.DataFrame({"k": [4, 3, 2, 1], "v": [0, 0, 0, 1]}), key="k")  # fmt: skip
    assert diff.columns.to_pylist()[1]["changed_count"] == 3


def test_json_by_paths(folio):
    old = {"lr": 0.1, "layers": [1, 2, {"n": 1}], "nan": float("nan"), "gone": None, "a b": 1}
    new = {"lr": 0.2, "layers": [1, 2, {"n": 1.0}, 4], "nan": float("nan"), "a b": 1, "new": {}}
    assert triples(changed(folio, old, new)) == [
        ("changed", "$.lr", None, "0.1", "0.2"),
        ("changed", "$.layers[2].n", None, "1", "1.0"),
        ("added", "$.layers[3]", None, None, "4"),
        ("removed", "$.gone", None, "None", None),
        ("added", "$.new", None, None, "{}"),
    ]


@dataclass
class Setting:
    lr: float
    layers: list


def test_dataclasses_by_their_fields(folio):
    diff = changed(folio, Setting(0.1, [1]), Setting(0.1, [2]))
    assert triples(diff) == [("changed", "$.layers[0]", None, "1", "2")]


def test_arrays_by_cells_and_norms(folio):
    old = np.zeros((3000, 500))
    old[1, 1] = np.nan
    new = old.copy()
    new[2500, 3], new[7, 8] = 4.0, -3.0
    diff = changed(folio, old, new)
    assert (diff.summary["cells_changed"], diff.summary["largest_difference"], diff.summary["l2_norm"]) == (2, 4.0, 5.0)
    assert triples(diff) == [("changed", "[2500, 3]", None, "0.0", "4.0"), ("changed", "[7, 8]", None, "0.0", "-3.0")]


def test_arrays_of_other_shapes_and_of_text(folio):
    diff = changed(folio, np.array(["a", "b"]), np.array(["a", "c", "d"]))
    assert diff.summary["shape"] == "(2,) → (3,)"
    assert triples(diff) == [("changed", "[1]", None, "b", "c")]
    folio.add("y", np.zeros(2))
    folio.add("y", np.zeros((2, 2)), overwrite=True)
    assert folio.diff(3, item="y").summary["shape"] == "(2,) → (2, 2)"
    folio.add("z", np.array(1.0))
    folio.add("z", np.array(2.0), overwrite=True)
    diff = folio.diff(5, item="z")
    assert (diff.summary["cells_changed"], triples(diff)) == (1, [("changed", "[]", None, "1.0", "2.0")])


def test_texts_line_by_line(folio):
    diff = changed(folio, b"one\ntwo\nthree\n", b"one\n2\nthree\nfour\n")
    assert str(diff).splitlines()[2:] == [
        "artifact: the content differs", "@@ -1,3 +1,4 @@", " one", "-two", "+2", " three", "+four"
    ]  # fmt: skip
    assert diff.summary == {"lines_added": 2, "lines_removed": 1}


def test_bytes_that_are_no_text(folio):
    diff = changed(folio, b"\0\1", b"\0\2\3")
    assert diff.summary["size_bytes"] == "2 → 3"


def test_folders_by_files(folio, tmp_path: Path):
    for version in ("old", "new"):
        (tmp_path / version / "d").mkdir(parents=True)
        (tmp_path / version / "same").write_text("same")
        (tmp_path / version / "d" / "f").write_text(version)
        (tmp_path / version / f"{version}.txt").write_text("x")
    diff = changed(folio, tmp_path / "old", tmp_path / "new")
    assert [(one.change, one.where, one.line) for one in diff] == [
        ("changed", "d/f", None), ("", "d/f", 0), ("removed", "d/f", 1), ("added", "d/f", 1),
        ("added", "new.txt", None), ("removed", "old.txt", None),
    ]  # fmt: skip
    assert diff.summary == {"files_added": 1, "files_removed": 1, "files_changed": 1}
    assert str(diff).splitlines()[-6:] == [
        "~ d/f: 3 bytes → 3 bytes", "@@ -1 +1 @@", "-old", "+new", "+ new.txt: 1 bytes", "- old.txt: 1 bytes"
    ]  # fmt: skip


def test_models_by_parameters_and_tensors(folio):
    sklearn = pytest.importorskip("sklearn.linear_model", reason="needs scikit-learn")
    fit = ([[0.0], [1.0]], [0.0, 1.0])
    diff = changed(folio, sklearn.Ridge(alpha=1.0).fit(*fit), sklearn.Ridge(alpha=2.0).fit(*fit))
    assert [(one.where, one.old, one.new) for one in diff] == [
        ("model.alpha", "1.0", "2.0"),
        ("model.coef_", "0.3333333333333333", "0.2"),
        ("model.intercept_", "0.33333333333333337", "0.4"),
    ]
    assert diff.summary == {"parameters_changed": 1, "learned_parts_changed": 2, "notes_changed": 0}
    torch = pytest.importorskip("torch", reason="needs torch")
    folio.add("t", {"w": torch.zeros(2), "b": torch.ones(1)})
    folio.add("t", {"w": torch.tensor([3.0, 4.0]), "b": torch.ones(1)}, overwrite=True)
    diff = folio.diff(3, item="t")
    assert ("changed", "w", None, "norm 0", "norm 5; 2 of 2 values differ, by 4 at most, norm 5") in triples(diff)
    assert not any(one.where == "b" for one in diff)


def test_equal_content_is_not_read_and_another_kind_is_told(folio):
    diff = changed(folio, OLD, OLD)
    assert diff.identical
    assert not diff
    assert "the content is the same" in str(diff)
    folio.add("x", [1], overwrite=True)
    diff = folio.diff(1, item="x")
    assert diff.kind == "table → json"
    with pytest.raises(lf.InvalidInputError) as caught:
        folio.diff(1, item="x", key="id")
    assert caught.value.kind == "bad-option"


def test_mistakes_are_told(folio, lake_uri):
    lake = lf.open(lake_uri)
    folio.add("x", 1)
    for options, kind in (
        ({"item": "a:x", "folio": "a"}, "bad-option"),
        ({"key": "id"}, "bad-option"),
        ({"item": "x"}, "bad-ref"),
        ({"item": "a:x@1"}, "bad-ref"),
    ):
        with pytest.raises(lf.InvalidInputError) as caught:
            lake.diff(0, **options)
        assert (options, caught.value.kind) == (options, kind)
    with pytest.raises(lf.NotFoundError):
        lake.diff(0, item="a:x")


def test_the_command_line_says_the_same(folio, lake_uri):
    folio.add("x", OLD)
    folio.add("x", NEW, overwrite=True)

    def run(*arguments):
        return CliRunner().invoke(cli, ["--lake", lake_uri, "diff", *arguments])

    assert "~  3     c → C\n" in run("1", "--item", "a:x", "--key", "id").output
    found = json.loads(run("1", "2", "--item", "a:x", "--key", "id", "--json").output)
    assert found["summary"]["rows_changed"] == 2
    assert run("1", "--key", "id").exit_code == 2
    assert run("1", "--item", "a:x", "--folio", "a").exit_code == 2
