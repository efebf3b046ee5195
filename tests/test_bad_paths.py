"""A path that no file system takes is one error, wherever it is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import lakefolio as lf
from lakefolio.errors import InvalidInputError, LakefolioError

PATHS = {
    "a NUL": "a\0b",
    "half a character": "\ud800",
    "a long name": "x" * 300,
    "a long path": "y/" * 3000 + "x",
}
CALLS: dict[str, Callable[[lf.Lake, str], Any]] = {
    "export": lambda lake, path: lake.folio("f").export("t", path),
    "export as csv": lambda lake, path: lake.folio("f").export("t", path + ".csv"),
    "import_table": lambda lake, path: lake.folio("f").import_table("i", path),
    "reference_table": lambda lake, path: lake.folio("f").reference_table("r", path),
    "add_reference": lambda lake, path: lake.folio("f").add_reference("r", path),
    "add_file": lambda lake, path: lake.folio("f").add_file(path, "a"),
    "add": lambda lake, path: lake.folio("f").add("a", Path(path)),
    "export_snapshot": lambda lake, path: lake.folio("f").export_snapshot("s", str(Path.cwd() / path)),
    "copy": lambda lake, path: lake.folio("f").copy(Path.cwd() / path / "lake"),
    "save": lambda lake, path: lake.folio("f").provenance("t").save(path),
    "save with a key": lambda lake, path: lake.folio("f").provenance("t").save("x.json", key=path),
    "verify_provenance": lambda lake, path: lf.verify_provenance(path),
    "open": lambda lake, path: lf.open(path),
    "trust_references": lambda lake, path: lf.open(lake.uri, trust_references=["/\0"]),
}


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("call", CALLS)
def test_what_is_no_path_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add("t", pd.DataFrame({"a": [1]})).create_snapshot("s")
    with pytest.raises(LakefolioError) as caught:
        CALLS[call](lake, PATHS[name])
    assert "\0" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert [one.name for one in tmp_path.iterdir()] == ["lake"]


def test_an_address_is_no_local_folder(tmp_path: Path) -> None:
    folio = lf.open(tmp_path / "lake").folio("f").add("t", [1])
    with pytest.raises(InvalidInputError, match="files are written to local folders"):
        folio.export("t", "s3://bucket/x.json")
