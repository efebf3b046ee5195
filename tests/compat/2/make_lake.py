"""Makes the lake beside this file, and what is expected of it: ``python tests/compat/2/make_lake.py FOLDER``.

It was run once, by the library that first wrote format version 2, and its lake stays as it was then: every later
library reads it, and goes on writing to it. It is kept to say how the lake came to be, and to make the lake of the next
format version.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import deltalake
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import scipy.sparse
import torch
from PIL import Image

import lakefolio as lf
from lakefolio.runs import log_buffer

HERE = Path(__file__).parent
WHEN = dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.UTC)


def plain(value: Any) -> Any:
    """Return what an item is, as JSON: its type, and all that it holds."""
    if isinstance(value, Path):
        files = sorted(one for one in value.rglob("*") if one.is_file()) if value.is_dir() else [value]
        return ["path", {one.relative_to(value).as_posix(): one.read_bytes().hex() for one in files}]
    if isinstance(value, np.ndarray):
        return ["array", str(value.dtype), list(value.shape), [str(one) for one in value.ravel().tolist()]]
    if isinstance(value, pd.DataFrame | pd.Series):
        frame = value.reset_index() if isinstance(value, pd.DataFrame) else value.to_frame().reset_index()
        return ["pandas", [[name, str(frame[name].dtype), [str(one) for one in frame[name]]] for name in frame]]
    if isinstance(value, pl.DataFrame):
        return ["polars", [[one.name, str(one.dtype), [str(cell) for cell in one.to_list()]] for one in value]]
    if isinstance(value, pa.Table):
        return ["arrow", str(value.schema), [str(row) for row in value.to_pylist()]]
    if scipy.sparse.issparse(value):
        return ["sparse", type(value).__name__, plain(value.toarray())]
    if isinstance(value, dt.datetime):
        return ["time", value.isoformat()]
    if isinstance(value, bytes):
        return ["bytes", value.hex()]
    if isinstance(value, torch.nn.Module):
        value = value.state_dict()
    if isinstance(value, dict) and value and all(isinstance(one, torch.Tensor) for one in value.values()):
        return ["torch", {name: [str(one.dtype), one.tolist()] for name, one in value.items()}]
    if isinstance(value, Image.Image):
        return ["image", value.mode, list(value.size), value.tobytes().hex()]
    if hasattr(value, "predict"):
        return ["model", type(value).__name__, value.predict([[0.0, 0.0], [2.0, 2.0]]).tolist()]
    return ["json", json.loads(json.dumps(value, default=str))]


def state(lake: lf.Lake, version: int) -> dict[str, Any]:
    """Return what a lake said at a version: its items, with all that is noted of each, and its snapshots."""
    then = lake.at(version)
    items = {
        f"{one.folio}:{one.item}": [
            one.version,
            one.kind,
            one.digest,
            one.size_bytes,
            one.description,
            sorted(one.tags),
            json.loads(json.dumps(dict(one.facts), default=str)),
        ]
        for one in then.items()
    }
    return {"items": items, "snapshots": sorted(one.name for one in then.snapshots())}


def brief(value: Any) -> str:
    """Return a digest of something plain."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def contents(lake: lf.Lake) -> dict[str, Any]:
    """Return each entry that there ever was, and what it holds; the kind of the error where it was purged."""
    found = {}
    rows = lake.sql("select folio, item, version, storage, uri from entries order by all").fetchall()
    for folio, item, version, storage, uri in rows:
        ref = f"{folio}:{item}@{version}"
        if storage == "reference":
            found[ref] = ["reference", uri]
            continue
        try:
            whole = plain(lake.get(ref))
            found[ref] = whole if len(str(whole)) < 2_000 else ["digest", brief(whole)]
        except lf.NotFoundError as error:
            found[ref] = ["error", error.kind]
    return found


def make(place: Path, scratch: Path) -> None:
    lake = lf.open(place, author="ada")
    folio = lake.folio("kinds/all")
    folio.add("pandas", pd.DataFrame({"a": [1, 2], "when": pd.to_datetime(["2026-01-02", None])}, index=["x", "ÿ"]))
    folio.add("polars", pl.DataFrame({"a": [1.5, None], "c": pl.Series(["u", "v"], dtype=pl.Categorical)}))
    folio.add("arrow", pa.table({"l": [[1, None], None], "s": [{"x": 1}, {"x": 2}], "d": pa.array([b"\0", None])}))
    folio.add("wide", pa.table({"n": range(3000), "square": [one * one for one in range(3000)]}))
    folio.add("array", np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    folio.add("large array", np.arange(2000, dtype=np.int16))
    folio.add("texts", np.array([["a", "ü"]]))
    folio.add("sparse", scipy.sparse.csr_matrix(np.diag([1.0, 0.0, 3.0])))
    folio.add_json("json", {"list": [1, 2.5, None, True], "text": "ü\n"}, description="settings", tags=["t", "ü"])
    folio.add_timestamp("time", WHEN)
    folio.add("bytes", bytes(range(256)) * 20)
    (scratch / "folder/deep").mkdir(parents=True)
    (scratch / "folder/deep/a.txt").write_text("deep")
    (scratch / "folder/b.bin").write_bytes(b"\0\1")
    folio.add_artifact("folder", scratch / "folder")
    folio.add_artifact("file", scratch / "folder/b.bin")
    from sklearn.linear_model import LogisticRegression
    from sklearn.tree import DecisionTreeClassifier

    points, labels = [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [0.0, 1.0]], [0, 1, 1, 0]
    folio.add("regression", LogisticRegression().fit(points, labels), inputs=["array"])
    folio.add("tree", DecisionTreeClassifier(random_state=0).fit(points, labels), inputs=["regression", "wide"])
    folio.add("net", {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2, dtype=torch.float16)})
    folio.add("figure", Image.linear_gradient("L").resize((4, 3)))
    folio.add_reference("reference", "https://example.org/data.csv")

    other = lake.folio("history")
    for number in range(4):
        other.add_json("x", {"n": number}, overwrite=True, inputs=["kinds/all:json"], metadata={"number": number})
    other.add("blob", bytes(3000) + b"first")
    other.add("blob", bytes(3000) + b"second", overwrite=True)
    lake.snapshot("before", tags=["paper"])
    lake.snapshot("dropped")
    lake.drop_snapshot("dropped")
    with other.batch("many at once"):
        for number in range(30):
            other.add_json(f"i{number:03}", number)
    other.delete("i007", warn_dependents=False)
    other.rename("i008", "renamed")
    other.copy_item("x", "copied")
    other.archive("i009")
    lake.annotate(note={"of": "the lake"})
    other.metadata["note"] = "of a folio"
    lake.compact()

    log_buffer.HEARTBEAT_S = 0.1
    with lake.run("training", run_id="first", metadata={"by": "hand"}) as run:
        run.set_params(lr=0.1, layers=[1, 2])
        run.add_input("settings", "kinds/all:json")
        folio.get("array")
        for step in range(5):
            run.log(step, loss=1.0 / (step + 1), acc=step)
        lake.log_event("model", "train", "note", {"text": "short"})
        lake.log_event("model", "train", "note", {"text": "long " * 20_000})
        time.sleep(2.5)
        folio.add("trained", np.arange(3), inputs=["array"])
    with lake.run("training", run_id="second", tags=["again"]) as run:
        run.log(0, loss=float("nan"))
    with contextlib.suppress(RuntimeError), lake.run("failing", run_id="third"):
        raise RuntimeError("on purpose")
    lake.restore("before", folio="history", items=["x"])
    lake.compact()
    lake.gc(dry_run=False, grace=0, keep_last=1, keep_runs=True)
    other.add_json("last", "after gc")
    other.add_json("x", "the end", overwrite=True)


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        make(folder / "lake", Path(scratch))
    lake = lf.open(folder / "lake", read_only=True)
    rows = deltalake.DeltaTable(folder / "lake/tables/manifests").to_pyarrow_table()
    expected = {
        "format_version": lake.info().format_version,
        "version": lake.version,
        "ops": sorted(Counter(rows.column("op").to_pylist()).items()),
        "states": {str(version): brief(state(lake, version)) for version in range(1, lake.version + 1)},
        "head": state(lake, lake.version),
        "contents": contents(lake),
    }
    (folder / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    shutil.rmtree(target / "lake", ignore_errors=True)
    main(target)
