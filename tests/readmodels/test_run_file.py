"""Files of runs: their footers are short, and their row groups no larger than what is decoded and kept at once."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.readmodels import bloom
from lakefolio.readmodels.models import CONTENTS, ENTRIES
from lakefolio.readmodels.run_file import RunFile, encode, read_footer, read_group
from lakefolio.views import bound_views
from lakefolio.views.relations import FileScan

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
import scale_lake

COUNT = 20_000


def _contents(count: int) -> pa.Table:
    folded = {
        "digest": [f"sha256:{hashlib.sha256(b'%d' % number).hexdigest()}" for number in range(count)],
        "kind": ["json"] * count,
        "version": list(range(count)),
        "ordinal": [0] * count,
        "folio": ["f"] * count,
        "item": [f"i{number}" for number in range(count)],
    }
    return pa.table(folded, schema=CONTENTS.schema).sort_by("digest")


def _entries(count: int, details: str | None = None) -> pa.Table:
    known: dict[str, Any] = {
        "folio": ["f"] * count,
        "item": [f"i{number:06}" for number in range(count)],
        "version": list(range(count)),
        "ordinal": [0] * count,
        "details": [details] * count,
        "removed": [False] * count,
    }
    columns = [
        pa.array(known[field.name], field.type) if field.name in known else _values(field, count)
        for field in ENTRIES.schema
    ]
    return pa.Table.from_arrays(columns, schema=ENTRIES.schema)


def _values(field: pa.Field, count: int) -> pa.Array:
    if field.nullable:
        return pa.nulls(count, field.type)
    return pa.array([0] * count).cast(field.type) if pa.types.is_timestamp(field.type) else pa.array(["x"] * count)


def _own_footer(body: bytes) -> bytes:
    return body[-(int.from_bytes(body[-8:-4], "little") + 8) :]


def test_the_filter_is_read_with_the_footer_and_no_part_of_it() -> None:
    """DuckDB keeps what a footer says: it would hold each file's filter, which it knows nothing of."""
    rows = _contents(COUNT)
    file, body = encode(rows, CONTENTS, after=-1, through=1)
    own = _own_footer(body)
    footer = read_footer(body[-file.footer_bytes :], file, CONTENTS)
    assert file.footer_bytes - len(own) == (10 * COUNT + 63) // 64 * 64 // 8
    assert len(own) < 8_000 < file.footer_bytes
    for at in range(0, COUNT, 997):
        assert footer.may_hold(bloom.hash_of((rows.column("digest")[at].as_py(), "json")))
    assert sum(footer.may_hold(bloom.hash_of((f"sha256:{number}", "json"))) for number in range(1_000)) < 40
    group = footer.groups[1]
    piece = body[group.start : group.start + group.length]
    assert read_group(piece, file, footer, 1, CONTENTS).equals(rows.slice(8_192, 8_192))
    assert pq.read_table(io.BytesIO(body)).equals(rows)


def test_a_filter_in_the_index_is_read_as_well() -> None:
    """Files of lakes that were written before it lay beside it."""
    rows = _contents(100)
    file, body = encode(rows, CONTENTS, after=-1, through=1)
    keys = body[-file.footer_bytes : -len(_own_footer(body))]
    index = json.loads(pq.read_metadata(io.BytesIO(body)).metadata[b"lakefolio.index"])
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, rows.schema, store_schema=False) as writer:
        writer.write_table(rows)
        writer.add_key_value_metadata(
            {"lakefolio.index": json.dumps(index | {"filter": base64.b64encode(keys).decode()})}
        )
    own = _own_footer(sink.getvalue())
    former = replace(file, footer_bytes=len(own), footer_sha256=hashlib.sha256(own).hexdigest())
    found, other = read_footer(own, former, CONTENTS), read_footer(body[-file.footer_bytes :], file, CONTENTS)
    hashes = [bloom.hash_of((f"sha256:{number}", "json")) for number in range(1_000)]
    hashes += [bloom.hash_of((digest, "json")) for digest in rows.column("digest").to_pylist()]
    assert [found.may_hold(one) for one in hashes] == [other.may_hold(one) for one in hashes]
    assert sum(map(found.may_hold, hashes)) < 200


def _groups(file: RunFile, body: bytes) -> list[int]:
    return [group.row_count for group in read_footer(body[-file.footer_bytes :], file, ENTRIES).groups]


def test_a_row_group_has_fewer_rows_where_they_are_large() -> None:
    """A lookup decodes a whole one: 16,384 rows, each with the 5 kB that a table's schema takes, were 80 MB."""
    assert _groups(*encode(_entries(40_000), ENTRIES, after=-1, through=1)) == [16_384, 16_384, 7_232]
    counts = _groups(*encode(_entries(8_000, '"' + "x" * 5_000 + '"'), ENTRIES, after=-1, through=1))
    assert sum(counts) == 8_000
    assert 2_000 < counts[0] < 2_500


def test_sums_over_many_files_read_each_footer_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted by DuckDB: bytes that it read the first time, and again."""
    monkeypatch.setattr(scale_lake, "FILE_ROWS", 100)
    monkeypatch.setattr(scale_lake, "_NEWEST_RUNS", (100,))
    scale_lake.make(str(tmp_path / "lake"), 4_400, 440, rows_at_once=2_000)
    open_tables = bound_views.open_tables
    opened = []

    def logged(*given: Any, **named: Any) -> Any:
        opened.append(open_tables(*given, **named))
        opened[-1].execute("call enable_logging('FileSystem')")
        return opened[-1]

    monkeypatch.setattr(bound_views, "open_tables", logged)
    lake = lf.open(tmp_path / "lake", read_only=True)
    files = session_of(lake).tables()["entries_model"]
    assert isinstance(files, FileScan)
    assert len(files.paths) > 32
    read: list[int] = []
    for _ in range(2):
        assert lake.sql("select count(*), sum(size_bytes) from items where kind = 'json'").fetchall()[0][0] == 4_400
        (connection,) = opened
        asked = "select sum(bytes) from duckdb_logs_parsed('FileSystem') where op = 'READ'"
        read.append(int(connection.execute(asked).fetchall()[0][0]) - sum(read))
    assert read[1] < 0.7 * read[0]  # half of what is read of so small a file is its footer
