"""The raw tables of a small lake, written row by row."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from lakefolio.format.schema import SCHEMAS

START = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)


def sha(text):
    """A digest that is easy to tell from others."""
    return "sha256:" + f"{text}".encode().hex().ljust(64, "0")[:64]


class Rows:
    """Builds tables: every ``commit`` is one version; between them, ``put`` and the like add changes to the next."""

    def __init__(self):
        self.rows = {name: [] for name in SCHEMAS}
        self.version = 0
        self.heads = {}
        self._open = []
        self._ids = 0

    def change(self, op, **values):
        self._open.append({"op": op, **values})
        return self

    def put(self, folio, item, *, content=None, inputs=(), metadata=None, reason="add", entry_id=None, **values):
        self._ids += 1
        entry_id = entry_id or f"e{self._ids}"
        body = str(content if content is not None else item).encode()
        row = {
            "folio": folio,
            "item": item,
            "entry_id": entry_id,
            "reason": reason,
            "kind": "json",
            "format": "json",
            "storage": "inline",
            "digest": sha(body.decode()),
            "blob_digest": sha(body.decode()),  # what it would be called; inline content has no object
            "size_bytes": len(body),
            "stored_bytes": 0,
            "content": body,
            "inputs": [self.edge_to(source) for source in inputs] or None,
            "facts": facts(metadata or {}) or None,
            **values,
        }
        self.heads[folio, item] = row
        return self.change("put", **row)

    def blob(self, folio, item, name, *, size=1000, stored=400, generation=0, **values):
        """Put content that lies in a blob; equal names are equal contents."""
        self.put(
            folio,
            item,
            storage="blob",
            digest=sha(name),
            blob_digest=sha(name),
            generation=generation,
            size_bytes=size,
            stored_bytes=stored,
            **values,
        )
        self._open[-1]["content"] = self.heads[folio, item]["content"] = None
        return self

    def again(self, folio, item, reason, *, entry=None, **values):
        """Put an entry that exists, under its id."""
        row = dict(entry or self.heads[folio, item], reason=reason, **values)
        self.heads[folio, item] = row
        return self.change("put", **row)

    def delete(self, folio, item, **values):
        self.heads.pop((folio, item), None)
        return self.change("delete", folio=folio, item=item, reason="delete", **values)

    def edge_to(self, source, **values):
        """An edge to ``source``: an entry id known to the builder, a URI, or ``run:<id>``."""
        if "://" in source:
            row = {"input_kind": "external", "input_uri": source}
        elif source.startswith("run:"):
            row = {"input_kind": "run", "input_id": source[4:]}
        else:
            known = {one["entry_id"]: one for one in [*self.heads.values(), *self._puts()]}
            entry = known.get(source, {})
            row = {
                "input_kind": "entry",
                "input_id": source,
                "input_folio": entry.get("folio"),
                "input_item": entry.get("item"),
                "input_digest": entry.get("digest"),
            }
        return row | values

    def uses(self, run_id, source, **values):
        """An input of a run."""
        return self.change("run", reason="run", run_id=run_id, inputs=[self.edge_to(source, **values)])

    def log(self, run_id, points, *, reason="metrics", batch_id=None, found=None, last=None):
        """A batch of metric points ``(name, step, value)`` or of events ``{column: value}``."""
        batch_id = batch_id or f"batch{self.version}-{len(self._open)}"
        for ordinal, point in enumerate(points if found is None else points[:found]):
            row = {"batch_id": batch_id, "ordinal": ordinal, "run_id": run_id, "logged_at": START}
            if reason == "metrics":
                self.rows["metric_rows"].append(row | dict(zip(("name", "step", "value"), point, strict=True)))
            else:
                fixed = {"storage": "inline", "codec": "none", "digest": "sha256:e", "size_bytes": 2, "stored_bytes": 0}
                self.rows["event_rows"].append(row | fixed | {"event_id": f"e{ordinal}"} | point)
        details = json.dumps({"last": last}) if last else None
        return self.change(
            reason, reason=reason, run_id=run_id, entry_id=batch_id, row_count=len(points), details=details
        )

    def _puts(self):
        return [row for row in [*self.rows["manifests"], *self._open] if row["op"] == "put"]

    def annotate(self, kind, subject_id, values):
        if kind == "run":
            return self.change("run", run_id=subject_id, reason="run", facts=facts(values))
        folio = subject_id if kind == "folio" else None
        return self.change("annotate", folio=folio, reason="metadata", facts=facts(values))

    def run(self, run_id, **values):
        """A run, as the header of runs.sql expects it."""
        return self.annotate("run", run_id, values)

    def snapshot(self, name, *, folio=None, target=None, **values):
        target = self.version + 1 if target is None else target
        return self.change("snapshot", snapshot=name, folio=folio, target_version=target, reason="snapshot", **values)

    def commit(self, message=None, *, author="ada", versions=1):
        """Close the version."""
        self.version += versions
        common = {
            "version": self.version,
            "committed_at": START + timedelta(seconds=self.version),
            "commit_id": f"c{self.version}",
            "author": author,
            "message": message,
        }
        for ordinal, row in enumerate(self._open):
            self.rows["manifests"].append({**common, "ordinal": ordinal, **row})
        self._open = []
        return self

    def tables(self, at=None):
        """The tables, as of a version if given."""
        kept = dict(self.rows)
        if at is not None:
            kept["manifests"] = [row for row in self.rows["manifests"] if row["version"] <= at]
        return {name: pa.Table.from_pylist(kept[name], schema=schema) for name, schema in SCHEMAS.items()}


def facts(values):
    return [
        {
            "key": key,
            "value": None if value is None else json.dumps(value),
            "value_number": float(value) if type(value) in (int, float) else None,
        }
        for key, value in values.items()
    ]


def empty_tables():
    return {name: schema.empty_table() for name, schema in SCHEMAS.items()}


def small_lake():
    """Two folios with an overwrite, a delete, an archive, metadata, lineage and snapshots."""
    lake = Rows()
    lake.put("a", "raw", content="raw", metadata={"rows": 3, "note": "x"}, inputs=["s3://bucket/raw.csv"])  # e1
    lake.commit("load")
    lake.put("a", "clean", content="clean", inputs=["e1"], tags=["t"], description="tidy").commit("clean")  # e2
    lake.blob("a", "model", "m1", inputs=["e2"], kind="model").blob("b", "copy", "m1", kind="model")  # e3 e4
    lake.commit("train")
    lake.snapshot("paper", description="as printed", tags=["p"]).commit()
    lake.commit()  # a version without rows
    lake.put("a", "raw", content="raw2", reason="overwrite", metadata={"rows": 4}).commit("again")  # e5
    lake.again("a", "clean", "archive", archived=True).commit()
    lake.delete("b", "copy").commit("tidy up")
    lake.annotate("lake", "", {"owner": "ada", "gone": 1}).annotate("folio", "a", {"topic": "x"}).commit()
    lake.annotate("lake", "", {"gone": None, "owner": "bob"}).commit()
    lake.snapshot("other", folio="a").commit()
    lake.change("drop_snapshot", snapshot="other", folio="a").commit()
    return lake
