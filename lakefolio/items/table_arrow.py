"""Tables of Arrow and Feather files, read in the child process of ``isolated_reader``.

Compiled code follows the offsets in such a file without looking, and a few of its bytes can stand for any number of
rows: views that share their bytes, runs, columns of nulls.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from lakefolio.errors import InvalidInputError

__all__ = ["open_arrow"]

_FREE_BYTES: Final = 256 << 20
_RATIO: Final = 200
_ROWS: Final = 1 << 17


@contextmanager
def open_arrow(path: Path, table: str | None) -> Iterator[pa.RecordBatchReader]:
    """Open an Arrow file; ``table`` is not used."""
    with pa.memory_map(str(path)) if path.stat().st_size else pa.OSFile(str(path)) as file:
        source = pa.ipc.open_file(file)

        def batches() -> Iterator[pa.RecordBatch]:
            room = max(_FREE_BYTES, _RATIO * path.stat().st_size)
            for number in range(source.num_record_batches):
                batch = source.get_batch(number)
                batch.validate(full=True)
                room -= batch.num_rows // 8 + sum(map(_plain_bytes, batch.columns))
                if room < 0:
                    raise InvalidInputError(
                        f"{path.name!r} stands for more than {_RATIO} times its bytes",
                        kind="too-large",
                        hint="write it as Parquet, and import that",
                    )
                for start in range(0, max(1, batch.num_rows), _ROWS):
                    yield batch.slice(start, _ROWS)

        yield pa.RecordBatchReader.from_batches(source.schema, batches())


def _plain_bytes(column: pa.Array) -> int:
    """Return the bytes that the values of an array take where none are shared."""
    if isinstance(column, pa.ExtensionArray):
        return _plain_bytes(column.storage)
    if isinstance(column, pa.DictionaryArray):
        return _plain_bytes(column.indices) + _plain_bytes(column.dictionary)
    if isinstance(column, pa.RunEndEncodedArray):
        return len(column) * max(map(_plain_bytes, _each(column.values)), default=1)
    if isinstance(column, pa.StructArray):
        return sum(map(_plain_bytes, column.flatten()))
    if isinstance(column, pa.StringViewArray | pa.BinaryViewArray):
        views = np.frombuffer(column.buffers()[1] or b"", "<i4")  # of 16 bytes, which begin with the length
        lengths = views[4 * column.offset : 4 * (column.offset + len(column)) : 4]
        return 16 * len(column) + int(lengths.sum(dtype=np.int64))
    if isinstance(column, pa.ListViewArray | pa.LargeListViewArray):
        return 16 * len(column) + _plain_bytes(column.flatten())
    if isinstance(column, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
        return 8 * len(column) + _plain_bytes(column.flatten())
    return int(column.nbytes) + len(column) // 8


def _each(values: pa.Array) -> Iterator[pa.Array]:
    return (values.slice(number, 1) for number in range(len(values)))
