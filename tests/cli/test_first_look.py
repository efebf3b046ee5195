"""``lakefolio show`` prints the beginning of what an item holds, of every kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import lakefolio as lf

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> lf.Lake:
    monkeypatch.setenv("LAKEFOLIO_LAKE", str(tmp_path / "lake"))
    return lf.open()


def folder(tmp_path: Path) -> Path:
    (tmp_path / "run" / "logs").mkdir(parents=True)
    (tmp_path / "run" / "logs" / "a.txt").write_text("abc")
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (pd.DataFrame({"n": range(12), "word": ["x"] * 12, "f": [1 / 3] * 12}), "  first 10 of 12 rows:"),
        (pd.DataFrame({"n": range(12), "f": [1 / 3] * 12}), "9  0.333333"),
        (pd.DataFrame({"n": [7]}), "  rows:\nn\n7\n"),
        (pd.DataFrame({"n": [7]}, index=["a"]), "  rows:\nn  (index)\n7  a\n"),
        (pd.DataFrame({"n": []}), "  no rows\n"),
        (np.arange(10_000).reshape(100, 100), "    [[   0    1    2 ...   97   98   99]\n"),
        (sp.csr_array(np.eye(3)), "  stored values:\n    [1. 1. 1.]\n"),
        ({"lr": 0.1, "layers": [1, 2]}, '  value:\n    {"lr": 0.1, "layers": [1, 2]}\n'),
        ({f"key{n}": n for n in range(30)}, '      "key18": 18,\n    … 12 more lines\n'),
        ("a text", '  value:\n    "a text"\n'),
        (None, "  value:\n    null\n"),
        (b"one\ntwo\n", "  text:\n    one\n    two\n"),
        (b"evil \x1b[2J", "  text:\n    evil \\x1b[2J\n"),
        (b"\0\1", "nothing to show as text or picture"),
        (PNG, "a picture (image/png): lakefolio get exp:item@1 -o FILE"),
        (folder, "  files:\n    logs/a.txt  3 B\n"),
    ],
)
def test_what_an_item_holds_is_shown(lake: lf.Lake, run: Any, tmp_path: Path, content: Any, shown: str) -> None:
    lake.folio("exp").add("item", content(tmp_path) if callable(content) else content)
    said = run("show", "exp:item").stdout
    assert said.startswith("exp:item@1\n")
    assert shown in said


def test_programs_get_facts_and_no_content(lake: lf.Lake, run: Any) -> None:
    lake.folio("exp").add("item", b"one\ntwo\n")
    assert "two" not in run("--json", "show", "exp:item").stdout


def test_content_that_is_large_is_not_fetched(lake: lf.Lake, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakefolio.cli.first_look.READ_BYTES", 100)
    lake.folio("exp").add("item", pd.DataFrame({"n": range(1000)}))
    said = run("show", "exp:item")
    assert "rows:" not in said.stdout
    assert "content not shown: larger than 100 B; lakefolio sql 'select * from \"exp:item@1\" limit 10'" in said.stderr


def test_content_that_is_damaged_is_said_after_what_is_known(lake: lf.Lake, run: Any, tmp_path: Path) -> None:
    lake.folio("exp").add("item", b"\0" * 100_000)
    for path in (tmp_path / "lake").rglob("*"):
        if path.is_file() and path.stat().st_size and "blobs" in path.parts:
            path.chmod(0o644)
            path.write_bytes(b"damaged")
    said = run("show", "exp:item")
    assert "100,000 bytes" in said.stdout
    assert "warning: the content can't be shown: " in said.stderr


def test_models_are_told_and_never_loaded(lake: lf.Lake, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.linear_model import LinearRegression

    lake.folio("exp").add("item", LinearRegression().fit([[0], [1]], [0, 1]))
    monkeypatch.setattr("skops.io.load", lambda *_, **__: pytest.fail("loaded"))
    assert "LinearRegression" in run("show", "exp:item").stdout
