"""Names of MLflow as names of items, its addresses, and records whose fields change one by one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lakefolio as lf
from lakefolio.format.names import check_item
from lakefolio.format.quoting import quoted, quoted_path, unquoted
from lakefolio.interop.mlflow.places import address_of, uri_of
from lakefolio.lake.documents import Documents


@given(st.text(min_size=1, max_size=300).filter(lambda text: not re.search("[\ud800-\udfff]", text)))
def test_any_name_becomes_a_name_of_an_item(name: str) -> None:
    item = quoted(name)
    assert check_item(f"{item}/v1") == f"{item}/v1"
    if "+" not in item:
        assert unquoted(item) == name


@pytest.mark.parametrize("name", ["precision@k", "a: b", "100%", " x ", "..", "é", "e\u0301", "~home", "x" * 400])
def test_names_that_items_can_not_have(name: str) -> None:
    assert check_item(quoted_path(f"plots/{name}"))
    assert len(name) > 200 or unquoted(quoted(name)) == name


def test_plain_names_stay_as_they_are() -> None:
    assert quoted_path("model/MLmodel") == "model/MLmodel"
    assert quoted("my model_v1.2-x") == "my model_v1.2-x"


@pytest.mark.parametrize(
    ("uri", "lake", "folio", "path"),
    [
        ("lakefolio:///data/lake", "/data/lake", "", ""),
        ("lakefolio:/data/lake!runs/7:/notes/a.txt", "/data/lake", "runs/7", "notes/a.txt"),
        ("lakefolio://s3://bucket/prefix!runs/7:", "s3://bucket/prefix", "runs/7", ""),
        (uri_of("/data/lake", "runs/7") + "/a", "/data/lake", "runs/7", "a"),
    ],
)
def test_addresses(uri: str, lake: str, folio: str, path: str) -> None:
    found = address_of(uri)
    assert (found.lake, found.folio, found.path) == (lake, folio, path)


@pytest.mark.parametrize("uri", ["lakefolio:lake", "lakefolio://lake", ""])
def test_relative_places_are_refused(uri: str) -> None:
    with pytest.raises(lf.InvalidInputError, match="names no lake"):
        address_of(uri)


def test_records(tmp_path: Path) -> None:
    known = Documents(lf.open(tmp_path / "lake"), "mlflow/things")
    other = Documents(lf.open(tmp_path / "lake"), "mlflow/things")
    assert known.create("a", {"x": 1, "none": None, "tags.k": "v"})
    assert not other.create("a", {"x": 2})
    other.set("a", {"y": [1, None]})
    known.set("a", {"tags.k": None, "x": 3})
    assert other.get("a") == {"x": 3, "y": [1, None]}
    assert known.get("b") is None
    known.create("b/v1", {"x": 1})
    assert list(other.all("b/")) == ["b/v1"]
    other.delete("a", "b/v1")
    assert known.all() == {}
    assert known.create("a", {"x": 4})


def test_mlflow_is_imported_by_its_own_modules_alone() -> None:
    code = (
        "import sys, lakefolio.lake, lakefolio.interop.tree, lakefolio.lake.documents,"
        " lakefolio.interop.mlflow.places; print('mlflow' in sys.modules, 'fsspec' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_importing_mlflow_opens_no_lake() -> None:
    """MLflow imports the stores of its entry points with itself, also for those who use none of them."""
    stores = ", ".join(f"lakefolio.interop.mlflow.{name}" for name in ("tracking", "artifacts", "dataset_source"))
    code = f"import sys, mlflow, {stores}; print(*[one for one in sys.modules if one.startswith('lakefolio')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1].split()
    assert not {"lakefolio.lake", "lakefolio.session", "lakefolio.storage", "lakefolio.runs"} & set(loaded)
    assert len(loaded) <= 40
