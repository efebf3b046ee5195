"""What things cost in requests, counted at the S3 server's door: python tests/bench/bench_requests.py

Needs `pip install '.[test]'`. Nothing is timed: the numbers are the same on every machine. deltalake's ways stand
beside ours where it has one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

import lakefolio as lf
from lakefolio.delta.table import DeltaTable
from lakefolio.format.schema import SPECS
from lakefolio.session.session import session_of
from lakefolio.testing import CountingProxy, S3Server


def main() -> None:
    with S3Server() as server, CountingProxy(server) as proxy:
        options = proxy.storage_options

        def show(what: str, action: Callable[[], object]) -> None:
            with proxy.count() as count:
                action()
            parts = ", ".join(f"{times} {operation}" for operation, times in sorted(count.by_operation.items()))
            print(f"{what:<62} {count.total:>4}  ({parts})", flush=True)

        lake = lf.open(server.uri("lakes/prices"), storage_options=options)
        folio = lake.folio("f")
        folio.add_json("first", 1)
        folio.add_json("second", 2, inputs=["first"], metadata={"k": 1})
        show("add a small dict", lambda: folio.add_json("small", {"lr": 0.01}))
        show(
            "add a small dict with inputs and metadata",
            lambda: folio.add_json("made", {"x": 1}, inputs=["small"], metadata={"q": 0.9}),
        )
        array = np.random.default_rng(1).random(2**17)
        show("add a 1 MB array", lambda: folio.add_numpy("array", array))
        show("add the same array under another name", lambda: folio.add_numpy("again", array))

        def batch() -> None:
            with folio.batch():
                for number in range(1000):
                    folio.add_json(f"i{number}", {"n": number})

        show("add 1,000 small dicts in a batch", batch)
        show("get a small dict", lambda: folio.get_json("small"))
        show("get a 1 MB array", lambda: folio.get_numpy("array"))
        lake.sql("select count(*) from items").fetchall()
        show("ask a question in SQL, nothing new", lambda: lake.sql("select count(*) from items").fetchall())
        for number in range(100):
            folio.add_json(f"later{number}", number)
        show("compact the lake", lake.compact)
        show("open the lake", lambda: lf.open(lake.uri, storage_options=options))

        print("\nupkeep after 50 one-row commits")
        uri = server.uri("lakes/upkeep")
        lake = lf.open(uri, storage_options=options)
        for number in range(48):
            lake.folio("f").add_json(f"i{number}", number)
        show("open before it: rows copied into the log entries", lambda: lf.open(uri, storage_options=options))
        without = DeltaTable(session_of(lake).store, lake.lake_id, SPECS["manifests"])
        show("  reading the data files instead (all versions, both)", lambda: without.load(trust_copies=False))
        table = session_of(lake).journal.manifests_table
        show("our compaction and checkpoint", lambda: table.maintain(everything=True))
        other = server.uri("lakes/upkeep-deltalake")
        lake = lf.open(other, storage_options=options)
        for number in range(48):
            lake.folio("f").add_json(f"i{number}", number)
        import deltalake

        def theirs() -> None:
            opened = deltalake.DeltaTable(f"{other}/tables/manifests", storage_options=options)
            opened.optimize.compact()
            opened.create_checkpoint()

        show("deltalake's compaction and checkpoint", theirs)
        rows = pa.table({"x": [1]})
        place = server.uri("lakes/append")
        deltalake.write_deltalake(place, rows, storage_options=options)
        opened = deltalake.DeltaTable(place, storage_options=options)
        show("deltalake's append on a warm handle", lambda: deltalake.write_deltalake(opened, rows, mode="append"))


if __name__ == "__main__":
    main()
