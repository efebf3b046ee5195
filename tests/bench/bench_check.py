"""How many requests a check takes, whatever the number of blobs: python tests/bench/bench_check.py [BLOBS]

On a local S3 server behind the counting proxy. The blobs are small and their objects are stored directly; ``check``
looks at the tables and lists the blobs, a thousand to a request, and asks for none of them.
"""

from __future__ import annotations

import hashlib
import sys
import time

import lakefolio as lf
from lakefolio.format.layout import blob_key
from lakefolio.format.names import new_id
from lakefolio.model.changes import Put
from lakefolio.model.entries import Stored
from lakefolio.session.session import session_of
from lakefolio.testing import CountingProxy, S3Server

AT_ONCE = 2_000


def fill(lake: lf.Lake, count: int) -> None:
    store = session_of(lake).store
    for start in range(0, count, AT_ONCE):
        bodies = [b"%d" % number for number in range(start, min(start + AT_ONCE, count))]
        digests = ["sha256:" + hashlib.sha256(body).hexdigest() for body in bodies]
        store.parallel(
            [
                lambda digest=digest, body=body: store.create(blob_key(digest), body)  # type: ignore[misc]
                for digest, body in zip(digests, bodies, strict=True)
            ]
        )
        puts = [
            Put(
                folio="f",
                item=str(start + number),
                entry_id=new_id(),
                stored=Stored(
                    kind="artifact",
                    storage="blob",
                    digest=digest,
                    blob_digest=digest,
                    generation=0,
                    size_bytes=len(body),
                    stored_bytes=len(body),
                ),
            )
            for number, (digest, body) in enumerate(zip(digests, bodies, strict=True))
        ]
        session_of(lake).apply(*puts)


def main(count: int) -> None:
    with S3Server() as server, CountingProxy(server) as proxy:
        uri = server.uri("lakes/many")
        fill(lf.open(uri, storage_options=server.storage_options), count)
        with proxy.count() as count_:
            lake = lf.open(uri, storage_options=proxy.storage_options)
        opening = count_.total
        began, began_cpu = time.perf_counter(), time.process_time()
        with proxy.count() as count_:
            report = lake.check()
        assert report.ok
        assert report.counts["blobs"] == count
        kinds = count_.by_kind
        took, cpu = time.perf_counter() - began, time.process_time() - began_cpu
        print(
            f"check of {count:,} blobs: {took:.1f} s (CPU {cpu:.1f} s), {count_.total} requests (opening {opening}): "
            f"{kinds['LIST', 'blob']} listings of blobs, "
            f"{kinds['GET', 'blob'] + kinds['HEAD', 'blob']} requests for a blob"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
