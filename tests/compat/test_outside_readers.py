"""A lake is read without lakefolio: DuckDB's delta_scan, Polars and deltalake see the same rows."""

from __future__ import annotations

import json
import subprocess
import sys

import polars as pl
import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.testing import need

# In a process of its own: DuckDB's Delta extension and deltalake in one interpreter abort at its exit.
DUCKDB = """
import duckdb, glob, json, os, sys
import duckdb_extension_delta, duckdb_extension_httpfs
uri, options = sys.argv[1], json.loads(sys.argv[2])
connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
connection.execute("set enable_progress_bar = false")
for package in (duckdb_extension_httpfs, duckdb_extension_delta):
    found = glob.glob(os.path.join(os.path.dirname(package.__file__), "**", "*.duckdb_extension"), recursive=True)
    connection.execute(f"load '{found[0]}'")
if options:
    connection.execute(
        "create secret (type s3, key_id $key, secret $secret, endpoint $endpoint, url_style 'path', use_ssl false, "
        "region 'us-east-1')".replace("$key", repr(options["key"])).replace("$secret", repr(options["secret"]))
        .replace("$endpoint", repr(options["endpoint"]))
    )
for table, version in json.loads(sys.argv[3]):
    at = "" if version is None else f", version={version}"
    rows = connection.execute(f"select * from delta_scan('{uri}/tables/{table}'{at}) order by all").fetchall()
    names = [column[0] for column in connection.description]
    print(json.dumps([names, [[str(value) for value in row] for row in rows]]))
"""


@pytest.fixture
def lake(lake_uri: str) -> lf.Lake:
    """A lake with everything in it: checkpoints, compactions, dead rows, columns that small files leave out."""
    lake = lf.open(lake_uri, author="ada")
    folio = lake.folio("a/b")
    folio.add_json("x", {"n": 1}, tags=["t", "ü"], description="it's", metadata={"q": 0.5})
    folio.add_json("y", [1, 2], inputs=["x"])
    for number in range(60):
        folio.add_json("x", {"n": number}, overwrite=True)
    lake.snapshot("s", tags=["paper"])
    with lake.batch("many"):
        for number in range(150):
            folio.add_json(f"i{number}", number, inputs=["x"])
    folio.delete("i7", warn_dependents=False)
    lake.compact()
    folio.metadata["note"] = "last"
    return lake


def options_of(lake: lf.Lake) -> dict[str, str]:
    return session_of(lake).store.options_for_delta()


def test_duckdb(lake: lf.Lake) -> None:
    need("duckdb_extension_delta", "test")
    options = options_of(lake)
    secret = {}
    if lake.uri.startswith("s3://"):
        lowered = {name.lower(): value for name, value in options.items()}
        secret = {
            "key": lowered["aws_access_key_id"],
            "secret": lowered["aws_secret_access_key"],
            "endpoint": lowered["aws_endpoint_url"].removeprefix("http://"),
        }
    asked = [["manifests", None], ["manifests", 1], ["manifests", 61]]
    done = subprocess.run(
        [sys.executable, "-c", DUCKDB, lake.uri, json.dumps(secret), json.dumps(asked)],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = lake.scan("manifests").collect()
    for (table, version), line in zip(asked, done.stdout.splitlines(), strict=True):
        names, found = json.loads(line)
        ours = rows
        if version is not None:
            ours = ours.filter(pl.col("version") <= version)
        assert names == ours.columns
        assert len(found) == ours.height
        for name in ("version", "ordinal", "commit_id", "op", "item", "description", "tags"):
            if name in names:
                column = sorted(row[names.index(name)] for row in found)
                assert column == sorted(python_text(value) for value in ours[name].to_list()), (table, version, name)


def python_text(value: object) -> str:
    return str(value)


def test_polars(lake: lf.Lake) -> None:
    theirs = pl.scan_delta(f"{lake.uri}/tables/manifests", storage_options=options_of(lake) or None).collect()
    ours = lake.scan("manifests").collect()
    order = ["version", "ordinal"]
    assert theirs.select(ours.columns).sort(order).equals(ours.sort(order))


def test_polars_travels_in_time(lake: lf.Lake) -> None:
    everything = lake.scan("manifests").collect()
    for version in (0, 1, 30, 61, lake.version):
        uri = f"{lake.uri}/tables/manifests"
        theirs = pl.scan_delta(uri, version=version, storage_options=options_of(lake) or None).collect()
        ours = everything.filter(pl.col("version") <= version)
        assert (
            theirs.select("version", "ordinal", "content").sort("version", "ordinal").rows()
            == ours.select("version", "ordinal", "content").rows()
        )


def test_deltalake(lake: lf.Lake) -> None:
    import deltalake

    table = deltalake.DeltaTable(f"{lake.uri}/tables/manifests", storage_options=options_of(lake) or None)
    assert table.version() == lake.version
    protocol = table.protocol()
    assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)
    assert table.metadata().configuration["delta.enableExpiredLogCleanup"] == "false"
    assert table.to_pyarrow_table().num_rows == lake.scan("manifests").collect().height
    assert len(table.history()) >= 60
    # deltalake's own upkeep does no harm either: it reads what we wrote, and we read what it wrote
    table.optimize.compact()
    table.create_checkpoint()
    fresh = lf.open(lake.uri)
    assert fresh.scan("manifests").collect().equals(lake.scan("manifests").collect())
    fresh.folio("a/b").add_json("after", 1)
    assert lake.folio("a/b").get_json("after") == 1
    assert fresh.check(read_data=True).ok
