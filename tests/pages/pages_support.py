"""A small lake with one thing of each kind that a page shows, and a browser to look at it with."""

from __future__ import annotations

import io
import struct
import zlib
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

import lakefolio as lf

HOSTILE = "<img src=x onerror=\"document.title='pwned'\">"


def png() -> bytes:
    """Return a picture of one red pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0\xff\0\0"))
        + chunk(b"IEND", b"")
    )


def fill(lake: lf.Lake) -> None:
    """Add items of every kind, lineage with a stale output, runs with curves, a snapshot, and names that are HTML."""
    folio = lake.folio("shop/eu")
    frame = pl.DataFrame({"city": ["Oslo", "Rome", None], "sales": [1.5, float("nan"), 3.0], "n": [1, 2, 2**60]})
    folio.add("raw", frame, description="Sales by city", tags=["source"])
    folio.add("clean", frame.drop_nulls(), inputs=["raw"])
    folio.add("config", {"lr": 0.01, "layers": [1, 2], "nan": float("nan"), "text": HOSTILE}, tags=[HOSTILE])
    folio.add("grid", np.arange(600.0).reshape(20, 30))
    folio.add("wave", np.sin(np.arange(5_000) / 100))
    folio.add("pixel", io.BytesIO(png()).getvalue())
    folio.add("drawing", b'<svg xmlns="http://www.w3.org/2000/svg" onload="document.title=1"><rect/></svg>')
    folio.add("notes", f"first line\n{HOSTILE}\n".encode())
    folio.add("blob", bytes(range(256)))
    lake.snapshot("paper", message=HOSTILE)
    folio.add("raw", frame.head(2), overwrite=True, keep=True)
    began = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(3):
        with lake.run(
            f"train-{number}", project="churn", model="rf" if number else "xgb", params={"lr": 0.1**number}
        ) as run:
            run.add_input("data", "shop/eu:clean")
            for step in range(50):
                run.log(loss=1 / (step + number + 1), step=step)
            run.log(auc=0.9 + number / 100)
            run.add_output("scores", {"auc": 0.9})
    lake.create_run(
        name=HOSTILE,
        description=HOSTILE,
        status="failed",
        started_at=began,
        ended_at=began + timedelta(hours=1),
        metrics={"auc": 0.1},
    )
