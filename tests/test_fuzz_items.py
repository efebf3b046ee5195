"""Items whose bytes are what the lake says and lie all the same: an error of the library, or a value, and no crash.

Run as a script, it tries examples in a process of its own, which a decoder may end, and prints what went wrong.
"""

from __future__ import annotations

import copy
import io
import json
import os
import subprocess
import sys
import tempfile
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
from fuzzing import ODD, places
from hostile import forge
from inside import session_of

import lakefolio as lf
from lakefolio.errors import LakefolioError

FAST, THOROUGH = 4, 24
MEMORY_BYTES = 6 << 30  # of addresses: what libraries reserve counts

Good = dict[str, tuple[str, str, bytes, dict[str, Any]]]


def good_items(folder: Path) -> Good:
    """Return one item of each kind: its kind, format, bytes and details."""
    import torch
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    (folder / "tree" / "inner").mkdir(parents=True)
    (folder / "tree" / "inner" / "a.txt").write_text("a" * 100)
    frame = pd.DataFrame({"k": range(300), "s": pd.Categorical(["x", "y", "z"] * 100), "t": pd.Timestamp("2026-01-01")})
    labels = [0, 1] * 6
    objects = {
        "pandas": frame.set_index("k"),
        "polars": pl.DataFrame({"a": [[1], [2, 3]], "b": [{"x": 1}, {"x": 2}]}),
        "arrow": pa.table({"d": pa.array(["a", "b"] * 50).dictionary_encode(), "n": pa.nulls(100)}),
        "array": np.arange(60.0).reshape(5, 12),
        "records": np.array([("a", 1)], dtype=[("s", "U5"), ("n", "i4")]),
        "csr": scipy.sparse.csr_matrix(np.eye(20)),
        "coo": scipy.sparse.coo_matrix(np.eye(20)),
        "json": {"a": [1, {"b": float("nan")}], "t": pd.Timestamp("2026-01-01").to_pydatetime(), "p": (1, 2)},
        "timestamp": pd.Timestamp("2026-01-01", tz="UTC").to_pydatetime(),
        "state": torch.nn.Linear(3, 2).state_dict(),
        "linear": LogisticRegression().fit(np.eye(12), labels),
        "forest": RandomForestClassifier(2, random_state=0).fit(np.eye(12), labels),
        "bytes": b"plain",
    }
    lake = lf.open(folder / "good")
    folio = lake.folio("f")
    for name, one in objects.items():
        folio.add(name, one)
    folio.add_file(folder / "tree", "tree")
    found = {}
    for entry in lake.items():
        path = session_of(lake).local_path(entry)
        if path.is_dir():  # it was unpacked
            name = str(entry.blob_digest).removeprefix("sha256:")
            path = folder / "good" / "blobs" / "sha256" / name[:2] / name
        found[entry.item] = (entry.kind, str(entry.format), path.read_bytes(), dict(entry.details))
    return found


def changed_bytes(chance: Random, body: bytes) -> bytes:
    """Return bytes that lie: some of them others, cut off, put in or doubled; inside of an archive, of one member."""
    if body[:2] == b"PK" and chance.random() < 0.8:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            members = {one: archive.read(one) for one in archive.namelist()}
        chosen = chance.choice(list(members))
        members[chosen] = changed_bytes(chance, members[chosen])
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return sink.getvalue()
    if body[:1] in b"{[" and chance.random() < 0.6:
        return json.dumps(changed_tree(chance, json.loads(body))).encode()
    at = chance.choice([chance.randrange(len(body) + 1), chance.randrange(max(1, len(body) // 20 + 1))])
    at = chance.choice([at, len(body) - at])
    how = chance.choice(["flip", "flip", "flip", "cut", "insert", "double", "zero"])
    if how == "cut":
        return body[:at]
    if how == "insert":
        return body[:at] + chance.randbytes(chance.randrange(1, 9)) + body[at:]
    if how == "double":
        return body + body[at:]
    if how == "zero":
        return body[:at] + bytes(8) + body[at + 8 :]
    changed = bytearray(body)
    for _ in range(chance.randrange(1, 6)):
        if changed:
            changed[min(max(0, at + chance.randrange(-20, 20)), len(changed) - 1)] = chance.randrange(256)
    return bytes(changed)


def changed_tree(chance: Random, tree: Any) -> Any:
    """Return a JSON value with one of its values replaced, or left out."""
    tree = copy.deepcopy(tree)
    path = chance.choice(places(tree)[1:] or [()])
    if not path:
        return chance.choice(ODD)
    holder = tree
    for key in path[:-1]:
        holder = holder[key]
    if chance.random() < 0.2:
        del holder[path[-1]]
    else:
        holder[path[-1]] = chance.choice(ODD)
    return tree


def looks(lake: lf.Lake) -> Iterator[Callable[[], object]]:
    """Yield how an item ``x`` is read."""
    folio = lake.folio("f")
    yield lambda: repr(lake.get("f:x"))
    yield lambda: folio.item_info("x")
    yield lambda: folio.describe(return_string=True)
    entry = lake.item("f:x")
    if entry.kind == "table":
        for as_ in ("pandas", "polars", "arrow"):
            yield lambda as_=as_: folio.get_table("x", as_=as_)
        yield lambda: lake.sql('select * from "f:x"').fetchall()
    if entry.kind == "array":
        yield lambda: folio.get_numpy("x").tolist()
        yield lambda: repr(folio.get_numpy("x", mmap=True))
    if entry.kind == "sparse":
        yield lambda: lake.get("f:x").toarray()
    if entry.kind == "model":
        yield lambda: lake.get("f:x").predict(np.eye(12))
    yield lambda: str(lake.check(read_data=True))


def attempt(folder: Path, good: Good, seed: int) -> list[str]:
    """Store one item that lies, and read it; return what went wrong."""
    chance = Random(seed)
    name = chance.choice(list(good))
    kind, format_, body, details = good[name]
    if chance.random() < 0.8:
        body = changed_bytes(chance, body)
    else:
        details = changed_tree(chance, details)
        details = details if isinstance(details, dict) else {}
    if chance.random() < 0.05:
        kind, format_, _, details = good[chance.choice(list(good))]
    lake = lf.open(folder / "lake")
    wrong = []
    try:
        forge(lake, "x", kind, format_, body, details=details)
    except (LakefolioError, ValueError):
        return []  # what no row can say
    for look in looks(lake):
        try:
            look()
        except LakefolioError as exc:
            if not str(exc).isprintable():
                wrong.append(f"{seed} {name}: {exc!r}")
        except MemoryError:
            wrong.append(f"{seed} {name}: out of memory")
        except Exception as exc:
            frames = [one for one in traceback.extract_tb(exc.__traceback__) if "/lakefolio/" in one.filename]
            where = " ".join(f"{Path(one.filename).name}:{one.name}" for one in frames[-3:])
            wrong.append(f"{seed} {name}: {exc!r:.200} in {where}")
    return wrong


def main(first: int, count: int) -> None:
    """Try some examples; print each before it is tried, and what went wrong."""
    import resource

    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as text:
        good = good_items(Path(text))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        for seed in range(first, first + count):
            print(f"trying {seed}", flush=True)
            for line in attempt(Path(text), good, seed):
                print(line, flush=True)


def tried(first: int, count: int) -> list[str]:
    """Return what went wrong with some examples, tried in another process."""
    command = [sys.executable, __file__, str(first), str(count)]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    wrong = [line for line in lines if not line.startswith("trying ")]
    return (
        wrong if done.returncode == 0 else [*wrong, f"{lines[-1:]} ended it: {done.returncode} {done.stderr[-2000:]}"]
    )


def test_bytes_that_lie() -> None:
    assert tried(0, FAST) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_bytes_that_lie_thoroughly() -> None:
    assert tried(FAST, int(os.environ.get("LAKEFOLIO_FUZZ", THOROUGH))) == []


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
