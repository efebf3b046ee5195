"""Files that are pieces of others, for Arrow to read."""

from __future__ import annotations

import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakefolio.content.byte_files import piece_file

READ = """
import io, os, pyarrow as pa, pyarrow.parquet as pq
from lakefolio.content.byte_files import piece_file
whole = io.BytesIO()
pq.write_table(pa.table({"a": range(1000), "b": list(map(str, range(1000)))}), whole, row_group_size=500)
body = whole.getvalue()
footer = pq.read_metadata(pa.BufferReader(body))
begin = footer.row_group(1).column(0).dictionary_page_offset
before = os.listdir("/proc/self/task")
with pq.ParquetFile(piece_file(begin, body[begin:-100]), metadata=footer) as opened:
    assert opened.read_row_group(1, use_threads=False).column("a").to_pylist() == list(range(500, 1000))
assert os.listdir("/proc/self/task") == before
"""


def test_arrow_reads_a_piece_in_the_thread_that_asks() -> None:
    """A process that ends soon after a thread of Arrow read something may abort."""
    subprocess.run([sys.executable, "-c", READ], check=True)


@pytest.mark.parametrize("start", [-1, 1 << 46, 1 << 70])
def test_a_piece_that_lies_nowhere_is_refused(start: int) -> None:
    with pytest.raises(OSError, match="can't begin at"):
        piece_file(start, b"x")


def test_what_is_no_part_of_a_piece_is_zeros() -> None:
    footer = pq.read_metadata(pa.BufferReader(pq_bytes()))
    with pytest.raises((OSError, pa.ArrowException)), pq.ParquetFile(piece_file(400, b"x"), metadata=footer) as opened:
        opened.read_row_group(0, use_threads=False)


def pq_bytes() -> pa.Buffer:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": range(10)}), sink)
    return sink.getvalue()
