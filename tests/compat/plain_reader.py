"""A reader of local lakes written from FORMAT.md alone, with pyarrow and the standard library: nothing of lakefolio.

Each function names the section that it follows. It reads the journal; read models are speed, and left aside.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

__all__ = ["PlainLake", "UnreadableError"]

KNOWN_FORMAT = 2


class UnreadableError(Exception):
    """The lake says something that FORMAT.md has a reader refuse."""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def expect(found: object, wanted: object, what: str) -> None:
    if found != wanted:
        raise UnreadableError(f"{what}: expected {wanted!r}, got {found!r}")


class PlainLake:
    """One local lake, as it is when it is opened."""

    def __init__(self, root: Path) -> None:
        """Read the marker (Marker, Versions) and the journal."""
        self.root = root
        marker = json.loads((root / "lakefolio.json").read_text())
        if not marker["min_reader_version"] <= KNOWN_FORMAT <= marker["format_version"]:
            raise UnreadableError(f"format {marker['format_version']}")
        self.lake_id: str = marker["lake_id"]
        self.version, journal = self._table("manifests")
        self.rows = sorted(journal.to_pylist(), key=lambda row: (row["version"], row["ordinal"]))

    def _seal(self, table: str, name: str, content: bytes) -> str:
        """Return the seal of an object of a table (Seals)."""
        return sha256(f"lakefolio 2\n{self.lake_id}\n{table}\n{name}\n{sha256(content)}\n".encode())

    def _entry(self, table: str, version: int) -> list[dict[str, Any]]:
        """Return the actions of one log entry, its seal compared (Seals, Journal protocol)."""
        name = f"{version:020}.json"
        content = (self.root / "tables" / table / "_delta_log" / name).read_bytes()
        actions = [json.loads(line) for line in content.splitlines() if line]
        seal = actions[0]["commitInfo"]["lakefolio"]["seal"]
        start = b'{"commitInfo":{"lakefolio":{"seal":"'
        expect(content[: len(start) + 64], start + seal.encode(), f"start of {table}/{name}")
        bare = start + b"0" * 64 + content[len(start) + 64 :]
        expect(seal, self._seal(table, name, bare), f"seal of {table}/{name}")
        return actions

    def _table(self, table: str) -> tuple[int, pa.Table]:
        """Return the newest version and all rows of a table (Delta protocol; Seals: ``total``)."""
        log = self.root / "tables" / table / "_delta_log"
        versions = sorted(int(path.stem) for path in log.glob("*.json"))
        expect(versions, list(range(len(versions))), f"versions of {table}")
        files: dict[str, dict[str, Any]] = {}
        schema: pa.Schema | None = None
        for version in versions:
            for action in (actions := self._entry(table, version)):
                if protocol := action.get("protocol"):
                    expect(protocol["minReaderVersion"], 1, f"reader version of {table}")
                if "metaData" in action:
                    schema = arrow_schema(json.loads(action["metaData"]["schemaString"]))
                if "add" in action:
                    files[action["add"]["path"]] = action["add"]
                if "remove" in action:
                    files.pop(action["remove"]["path"])
            self._compare_total(table, actions[0]["commitInfo"]["lakefolio"]["total"], files.values())
        if schema is None:
            raise UnreadableError(f"{table} has no schema")
        parts = [self._data_file(table, add, schema) for add in files.values()]
        return versions[-1], pa.concat_tables([schema.empty_table(), *parts])

    def _compare_total(self, table: str, total: dict[str, Any], adds: Any) -> None:
        digest, rows = 0, 0
        for add in adds:
            count, seal = json.loads(add["stats"])["numRecords"], add.get("tags", {}).get("lakefolio.seal", "")
            digest ^= int(sha256(f"{add['path']}\n{add['size']}\n{count}\n{seal}\n".encode()), 16)
            rows += count
        expect(total, {"files": len(adds), "rows": rows, "digest": f"{digest:064x}"}, f"total of {table}")

    def _data_file(self, table: str, add: dict[str, Any], schema: pa.Schema) -> pa.Table:
        content = (self.root / "tables" / table / add["path"]).read_bytes()
        expect(add["tags"]["lakefolio.seal"], self._seal(table, add["path"], content), f"seal of {add['path']}")
        found = pq.read_table(pa.BufferReader(content))
        expect(found.num_rows, json.loads(add["stats"])["numRecords"], f"rows of {add['path']}")
        columns = [
            found[f.name].cast(f.type) if f.name in found.column_names else pa.nulls(len(found), f.type) for f in schema
        ]
        return pa.table(columns, schema=schema)

    def items(self, version: int | None = None) -> dict[tuple[str, str], dict[str, Any]]:
        """Return (folio, item) -> row of its entry as of a version (As-of, op ``put`` and ``delete``)."""
        head: dict[tuple[str, str], dict[str, Any]] = {}
        for row in self.rows:
            if version is not None and row["version"] > version:
                break
            if row["op"] == "put":
                head[row["folio"], row["item"]] = row
            elif row["op"] == "delete":
                head.pop((row["folio"], row["item"]))
        return head

    def purged(self, row: dict[str, Any]) -> dict[str, Any] | None:
        """Return the row that purged the content of a row, if there is one (op ``purge``)."""
        for one in self.rows:
            same = one["op"] == "purge" and one["blob_digest"] == row["blob_digest"]
            if same and (one["generation"] or 0) >= (row["generation"] or 0):
                return one
        return None

    def content(self, row: dict[str, Any]) -> bytes:
        """Return the stored bytes of a row, verified (Blobs, Inline content, Garbage collection)."""
        if purge := self.purged(row):
            raise UnreadableError(f"purged at version {purge['version']}: {purge['reason']}")
        if row["storage"] == "inline":
            content: bytes = row["content"]
        else:
            expect(row["storage"], "blob", "storage")
            hexed = row["blob_digest"].removeprefix("sha256:")
            generation = row["generation"] or 0
            path = self.root / "blobs" / "sha256" / hexed[:2] / (f"{hexed}.{generation}" if generation else hexed)
            expect(path.stat().st_size, row["stored_bytes"], f"size of {path.name}")
            content = path.read_bytes()
        expect("sha256:" + sha256(content), row["blob_digest"], "digest")
        return content

    def inputs(self, entry_id: str) -> list[dict[str, Any]]:
        """Return what an entry was made from (Derived tables: the first row of an entry counts)."""
        return next(
            (row["inputs"] or [] for row in self.rows if row["op"] == "put" and row["entry_id"] == entry_id), []
        )

    def facts(self, op: str, column: str, subject: str) -> dict[str, Any]:
        """Return key -> parsed value of the facts of a subject (fact; Tables)."""
        held: dict[str, Any] = {}
        for row in self.rows:
            if row["op"] == op and row[column] == subject:
                for fact in row["facts"] or []:
                    held.pop(fact["key"], None)
                    if fact["value"] is not None:
                        held[fact["key"]] = json.loads(fact["value"])
        return held

    def metrics(self, run_id: str, name: str) -> list[tuple[int | None, float]]:
        """Return (step, value) of the points of a run's metric, in order (Batches)."""
        place: dict[str, tuple[int, int]] = {}
        for row in self.rows:
            if row["op"] == "metrics" and row["run_id"] == run_id:
                place.setdefault(row["entry_id"], (row["version"], row["ordinal"]))
        _, points = self._table("metric_rows")
        points = points.filter(pc.equal(points["name"], name))
        mine = [point for point in points.to_pylist() if point["batch_id"] in place]
        mine.sort(key=lambda point: (place[point["batch_id"]], point["ordinal"]))
        return [(point["step"], point["value"]) for point in mine]

    def events(self) -> Iterator[dict[str, Any]]:
        """Give the events that count, ``metadata`` whole (Events, Blobs of events)."""
        counted = {row["entry_id"] for row in self.rows if row["op"] == "events"}
        blobs = {row["entry_id"]: row for row in self.rows if row["op"] == "event_blob"}
        for event in self._table("event_rows")[1].to_pylist():
            if event["batch_id"] in counted:
                if event["storage"] == "blob":
                    text = pa.input_stream(pa.BufferReader(self.content(blobs[event["event_id"]])), compression="zstd")
                    event["metadata"] = text.read().decode()
                expect("sha256:" + sha256(event["metadata"].encode()), event["digest"], "digest of an event")
                yield event


def arrow_schema(delta: dict[str, Any]) -> pa.Schema:
    """Return the Arrow schema of a Delta schema (Delta protocol, Schema Serialization Format)."""
    plain = {
        "string": pa.string(), "long": pa.int64(), "integer": pa.int32(), "double": pa.float64(),
        "boolean": pa.bool_(), "binary": pa.binary(), "timestamp": pa.timestamp("us", "UTC"),
    }  # fmt: skip

    def arrow(given: Any) -> pa.DataType:
        if isinstance(given, str):
            return plain[given]
        if given["type"] == "array":
            return pa.list_(arrow(given["elementType"]))
        return pa.struct([pa.field(one["name"], arrow(one["type"])) for one in given["fields"]])

    return pa.schema([pa.field(one["name"], arrow(one["type"])) for one in delta["fields"]])
