"""A lake with one object changed so that it passes every seal, and everything a reader and a writer do with it.

Whoever may write to a bucket may seal what is written there. So what a lake says is anything at all, and only errors
of the library leave the library.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

import lakefolio as lf
from lakefolio.delta.checkpoint import to_pointer
from lakefolio.delta.parquet_rows import from_parquet, to_parquet
from lakefolio.delta.seal import Seals
from lakefolio.errors import LakefolioError
from lakefolio.format.layout import checkpoint_name, log_key
from lakefolio.format.schema import MANIFESTS_SCHEMA

__all__ = ["ODD", "TREES", "Healthy", "changed_tree", "exercise", "healthy"]

DEEP: Any = json.loads("[" * 300 + "]" * 300)
PLAIN = [None, True, False, 0, 1, -1, 7, 2**31, 2**63 - 1, 2**63, -(2**70), 0.5, 1e308, math.inf, math.nan]
TEXTS = [
    "",
    "x",
    "a/../b",
    "../../etc/passwd",
    "a\0b",
    "\x1b[31m",
    "é" * 300,
    "null",
    "{}",
    "[1]",
    '{"a":1}',
    "2026-01-01",
]
HARD = ["[" * 300, "sha256:" + "0" * 64, "0" * 32, "file:///etc/passwd", "-1", "1-0", "9" * 400, "1e999", '"\\ud800"']
NESTED: list[Any] = [
    [],
    {},
    [None],
    [[1]],
    {"a": None},
    {"$type": "tuple", "value": 1},
    {"$type": []},
    ["a", 1, {}],
    DEEP,
]
ODD: list[Any] = [*PLAIN, *TEXTS, *HARD, *NESTED]
TREES = st.sampled_from(ODD)


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where the values of a JSON value lie."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))][:400]


def changed_tree(draw: Callable[[st.SearchStrategy[Any]], Any], tree: Any) -> Any:
    """Return a JSON value with one of its values replaced, taken away or doubled."""
    tree = json.loads(json.dumps(tree))
    path = draw(st.sampled_from(places(tree)[1:] or [()]))
    if not path:
        return draw(TREES)
    holder = tree
    for key in path[:-1]:
        holder = holder[key]
    how = draw(st.sampled_from(["replace", "replace", "replace", "drop", "wrap", "more"]))
    if how == "replace":
        holder[path[-1]] = draw(TREES)
    elif how == "drop":
        del holder[path[-1]]
    elif how == "wrap":
        holder[path[-1]] = [holder[path[-1]]]
    elif isinstance(holder, dict):
        holder[draw(st.sampled_from(["seal", "total", "rows", "extra", "refused", "apart", "tags", "$type"]))] = draw(
            TREES
        )
    else:
        holder.append(draw(TREES))
    return tree


class Healthy:
    """A small lake of everything, as its objects."""

    def __init__(self, folder: Path) -> None:
        lake = lf.open(folder)
        folio = lake.folio("f")
        folio.add_json("a", {"x": 1}, metadata={"lr": 0.5, "name": "n"}, tags=["t"], description="d")
        folio.add_json("b", [1, 2], inputs=["f:a"]).add("large", bytes(range(256)) * 20)
        folio.add_table("t", pa.table({"k": [1, 2], "s": ["a", "b"]}))
        folio.delete("b")
        with lake.run("r", run_id="r1", params={"lr": 0.1}, project="p") as run:
            run.add_input("in", "f:a")
            run.add_output("out", 5)
            run.log(0, loss=1.5)
            run.log_event("step", metadata={"n": 1})
        lake.snapshot("s", folio="f", message="m")
        lake.annotate({"k": 1})
        folio.metadata["m"] = 2
        lake.compact()
        folio.add_json("tail", {"y": 2}, metadata={"z": None})
        folio.update_item("a", description="other")
        self.lake_id = lake.lake_id
        self.version = lake.version
        self.objects = {
            path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }

    def written(self, folder: Path, changed: Mapping[str, bytes]) -> str:
        """Write the lake with some objects changed into a folder, in place of what was there."""
        shutil.rmtree(folder, ignore_errors=True)
        for key, body in (self.objects | dict(changed)).items():
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        return str(folder)

    def seals(self, table: str) -> Seals:
        return Seals(self.lake_id, table)

    def entry(self, table: str, version: int) -> list[dict[str, Any]]:
        """Return the actions of a log entry."""
        return [json.loads(line) for line in self.objects[log_key(table, version)].splitlines()]

    def sealed(self, table: str, version: int, actions: list[Any]) -> dict[str, bytes]:
        """Return the object of a log entry that says something else."""
        first = actions[0] if actions and isinstance(actions[0], dict) else {}
        info = first.get("commitInfo")
        ours = info.get("lakefolio") if isinstance(info, dict) else None
        lines = [json.dumps(action) for action in actions]
        body = ("\n".join(lines) + "\n").encode()
        if isinstance(info, dict) and isinstance(ours, dict):
            ours = {key: value for key, value in ours.items() if key != "seal"}
            others = {key: value for key, value in info.items() if key != "lakefolio"}
            with suppress(ValueError):  # what is no JSON can't be sealed
                body = self.seals(table).entry(version, others, ours, actions[1:])
        return {log_key(table, version): body}

    def tail_rows(self) -> tuple[int, list[dict[str, Any]]]:
        """Return the version of the newest commit and its rows."""
        add = next(action["add"] for action in self.entry("manifests", self.version) if "add" in action)
        body = self.objects["tables/manifests/" + add["path"]]
        return self.version, from_parquet(body, MANIFESTS_SCHEMA).to_pylist()

    def with_rows(self, rows: list[dict[str, Any]]) -> dict[str, bytes]:
        """Return the objects of the newest commit if it said other rows: the file alone says them."""
        version = self.version
        table = pa.Table.from_pylist(rows, MANIFESTS_SCHEMA)
        body = to_parquet(table)
        actions = self.entry("manifests", version)
        add = next(action["add"] for action in actions if "add" in action)
        add["size"] = len(body)
        add["stats"] = json.dumps({"numRecords": len(rows)})
        seal = self.seals("manifests").of_bytes(add["path"], body)
        versions = table.column("version").to_pylist() or [version]
        add["tags"] = {"lakefolio.seal": seal, "lakefolio.versions": f"{min(versions)}-{max(versions)}"}
        actions[0]["commitInfo"]["lakefolio"].pop("rows", None)
        actions[0]["commitInfo"]["lakefolio"].pop("total", None)
        return {**self.sealed("manifests", version, actions), "tables/manifests/" + add["path"]: body}

    def checkpoint(self) -> tuple[int, pa.Table]:
        """Return the newest checkpoint of the journal."""
        pointer = json.loads(self.objects["tables/manifests/_delta_log/_last_checkpoint"])
        body = self.objects["tables/manifests/_delta_log/" + checkpoint_name(pointer["version"])]
        return pointer["version"], pq.read_table(pa.BufferReader(body))

    def with_checkpoint(self, version: int, body: bytes) -> dict[str, bytes]:
        """Return the objects of another checkpoint and of the pointer to it."""
        prefix, name = "tables/manifests/_delta_log/", checkpoint_name(version)
        pointer = to_pointer(self.seals("manifests"), version, body, 1, 3)
        return {prefix + name: body, prefix + "_last_checkpoint": pointer}

    def model_files(self) -> list[tuple[str, int, list[Any]]]:
        """Return of each read model its newest version and the files of its runs, as its log entry notes them."""
        found = []
        for key in self.objects:
            if key.startswith("tables/") and "_delta_log" in key and key.endswith(".json"):
                table, version = key.split("/")[1], int(key.rpartition("/")[2][:20])
                noted = self.entry(table, version)[0]["commitInfo"].get("lakefolio", {})
                files = [file for run in noted.get("runs", []) for file in run[2]]
                if files:
                    found.append((table, version, files))
        return found

    def with_model_file(self, table: str, version: int, number: int, body: bytes) -> dict[str, bytes]:
        """Return the objects of a read model one of whose files has other bytes."""
        actions = self.entry(table, version)
        files = [file for run in actions[0]["commitInfo"]["lakefolio"]["runs"] for file in run[2]]
        file = files[number]
        footer = int.from_bytes(body[-8:-4], "little") + 8
        file[1], file[3], file[4] = len(body), hashlib.sha256(body).hexdigest(), footer
        file[5] = hashlib.sha256(body[-footer:]).hexdigest()
        return {**self.sealed(table, version, actions), f"tables/{table}/{file[0]}": body}


@cache
def healthy(folder: Path) -> Healthy:
    """Return the lake, made once."""
    return Healthy(folder)


def looks(lake: lf.Lake) -> list[Callable[[], object]]:
    """Return how a lake is read, each by itself."""
    folio = lake.folio("f")

    def items() -> None:
        for entry in lake.items(archived=True):
            str(entry)
            repr(entry)
            for act in (lambda ref=entry.ref: lake.get(ref), lambda ref=entry.ref: lake.history(ref)):
                with suppress(LakefolioError):
                    act()

    return [
        items,
        lambda: repr([*folio]),
        lambda: folio.get("a"),
        lambda: folio.get_table("t"),
        lambda: folio.item_info("tail"),
        lambda: folio.describe(return_string=True),
        lambda: dict(folio.metadata),
        lambda: str(lake.log(limit=50)),
        lambda: str(lake.runs()),
        lambda: str(lake.get_run("r1")),
        lambda: str(lake.metric_history("r1", "loss")),
        lambda: lake.sql("from runs").fetchall(),
        lambda: lake.sql("from items").fetchall(),
        lambda: lake.sql("from item_metadata").fetchall(),
        lambda: lake.sql("from events").fetchall(),
        lambda: lake.sql("from lineage_edges").fetchall(),
        lambda: str(lake.query(metadata={"lr": {">": 0.1}})),
        lambda: lake.lineage("f:a").downstream(),
        lambda: str(lake.diff(1, lake.version)),
        lambda: str(lake.snapshots()),
        lambda: lake.at(3).folio("f").get("a"),
        lambda: folio.get("a", at="s"),
        lambda: str(lake.info()),
    ]


def upkeep(lake: lf.Lake) -> list[Callable[[], object]]:
    """Return what looks at everything."""
    return [
        lambda: str(lake.stats()),
        lambda: str(lake.why("f:a")),
        lambda: str(lake.check(read_data=True)),
        lambda: str(lake.gc(grace=0, keep_last=1)),
    ]


def changes(lake: lf.Lake) -> list[Callable[[], object]]:
    """Return what a writer does with it."""
    return [
        lambda: lake.folio("f").add_json("new", {"a": 1}, overwrite=True, metadata={"q": 1}),
        lambda: lake.folio("f").update_item("a", description="x"),
        lambda: lake.create_run(run_id="r9", status="done", metrics={"m": 1.0}),
        lambda: lake.snapshot("later"),
        lambda: lake.restore(2),
        lambda: lake.compact(),
        lambda: lake.gc(dry_run=False, grace=0, keep_last=1),
        lambda: lf.open(lake.uri).check(),
    ]


def exercise(uri: str, *, writing: bool) -> tuple[int, list[Exception]]:
    """Do everything with a lake, or only read; return how often it was refused, and what is no error of the library."""
    refused, raw = 0, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for make in (looks, upkeep, changes) if writing else (looks,):
            acts: list[Callable[[], object]] = []
            try:
                acts = make(lf.open(uri, read_only=make is not changes, create=False))
            except LakefolioError:
                refused += 1
            except Exception as exc:
                raw.append(exc)
            for act in acts:
                try:
                    act()
                except LakefolioError as exc:
                    if "\n" in str(exc):
                        raw.append(exc)
                    refused += 1
                except Exception as exc:
                    raw.append(exc)
    return refused, raw
