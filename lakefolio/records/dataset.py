"""The rows of a record table as a dataset of Arrow that may be pickled and copied.

Arrow's own datasets over verified bytes crash the interpreter then (pyarrow 26: they name no file system), and so does
a Polars LazyFrame over such a dataset, wherever one is handed to another process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow.fs import LocalFileSystem

from lakefolio.records.files import reader_of

__all__ = ["RecordDataset"]


class RecordDataset(ds.FileSystemDataset):  # type: ignore[misc]  # pyarrow has no types
    """Data files as a dataset. It never changes, so a copy is itself; pickled are its rows, all of them."""

    def __init__(self, fragments: list[ds.Fragment], schema: pa.Schema, form: ds.ParquetFileFormat) -> None:
        """Make a dataset of fragments, each of verified bytes or of a file of this host."""
        super().__init__(fragments, schema, form, filesystem=LocalFileSystem())

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[bytes]]:
        """Pickle the rows: the files may be gone where they are unpickled."""
        rows, stream = self.to_table(), pa.BufferOutputStream()
        with pa.ipc.new_stream(stream, rows.schema) as writer:
            writer.write_table(rows)
        return _unpickled, (stream.getvalue().to_pybytes(),)

    def __copy__(self) -> RecordDataset:
        """Return itself."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> RecordDataset:
        """Return itself."""
        return self


def _unpickled(rows: bytes) -> ds.Dataset:
    with pa.ipc.open_stream(reader_of(rows)) as reader:
        return ds.dataset(reader.read_all())
