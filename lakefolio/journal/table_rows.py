"""The rows of a Delta table's files in bounded memory: part by part in order, or as paths for DuckDB to scan.

Small files are read whole, verified, and kept in the cache of the handle. Large files are verified once
(``local_files``); then only the row groups and columns that are asked for are decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lakefolio.content.local_files import Immutable, LocalFiles
from lakefolio.delta.parquet_rows import fitted
from lakefolio.errors import brief
from lakefolio.format.arrow_rows import no_rows

if TYPE_CHECKING:
    from lakefolio.delta.actions import DataFile
    from lakefolio.delta.table import DeltaTable
    from lakefolio.readmodels.cache import Cache

__all__ = ["Scan", "TableRows"]

SMALL_BYTES: Final = 128 << 10
"""A merge leaves at most some hundred files below this size; they are decoded as a whole."""


@dataclass(frozen=True, eq=False)
class Scan:
    """Rows as they lie.

    Attributes:
        files: The large files.
        rows: The rows of the small ones.
    """

    files: tuple[Immutable, ...]
    rows: pa.Table


class TableRows:
    """The rows of the data files of one table. Safe to share between threads."""

    def __init__(self, table: DeltaTable, local: LocalFiles, cache: Cache) -> None:
        self._table = table
        self._local = local
        self._cache = cache

    def scan(self, files: Sequence[DataFile]) -> Scan:
        """Return the rows of files as they lie; of the large ones nothing is read."""
        large = tuple(self._immutable(file) for file in files if _is_large(file))
        small = self._small([file for file in files if not _is_large(file)])
        return Scan(large, pa.concat_tables([no_rows(self._table.schema), *small]))

    def parts(
        self, files: Sequence[DataFile], columns: Sequence[str], after: int, upto: int, *, newest_first: bool = False
    ) -> Iterator[pa.Table]:
        """Yield the rows of versions above ``after`` and up to ``upto``, in order, each part of whole files or groups.

        Args:
            files: Files that hold them; their rows carry a version.
            columns: Only these; ``version`` and ``ordinal`` are added.
            after: The version below the first.
            upto: The last version.
            newest_first: Yield the parts in falling order; rows within a part rise in any case.

        Raises:
            IntegrityError: If a data file is missing or damaged.
        """
        import pyarrow.compute as pc

        names = [name for name in self._table.schema.names if name in {*columns, "version", "ordinal"}]
        wanted = [file for file in files if file.versions is None or _meet(file.versions, after, upto)]
        groups = _apart(wanted)
        for some in reversed(groups) if newest_first else groups:
            if len(some) == 1 and _is_large(some[0]):
                parts = self._of_large(some[0], names, after, upto, newest_first=newest_first)
            else:
                parts = iter([self._of_many(some, names)])
            for rows in parts:
                mask = pc.and_(pc.greater(rows.column("version"), after), pc.less_equal(rows.column("version"), upto))
                if (found := rows.filter(mask)).num_rows:
                    yield found

    def matching(self, files: Sequence[DataFile], where: Sequence[tuple[str, str]]) -> pa.Table:
        """Return the rows of files that have a text in a column, or one in each of some, in no order.

        Of a large file only the row groups whose bounds admit the texts are read, and nothing of files that the log
        says hold no such run.

        Raises:
            IntegrityError: If a data file is missing or damaged.
        """
        if (run_id := dict(where).get("run_id")) is not None:
            files = [file for file in files if file.runs is None or file.runs[0] <= run_id <= file.runs[1]]
        names, large = self._table.schema.names, [file for file in files if _is_large(file)]
        small = self._small([file for file in files if not _is_large(file)])
        parts: Iterator[pa.Table] = chain(
            small, *(self._of_large(file, names, -1, None, where=where) for file in large)
        )
        for name, text in where:
            parts = map(partial(_having, name, text), parts)
        return pa.concat_tables([no_rows(self._table.schema), *parts])

    def _of_many(self, files: Sequence[DataFile], names: Sequence[str]) -> pa.Table:
        small = self._small([file for file in files if not _is_large(file)])
        parts = [rows.select(names) for rows in small]
        for file in files:
            if _is_large(file):
                parts += self._of_large(file, names, -1, None)
        rows = pa.concat_tables(parts)
        return rows if len(parts) == 1 else rows.sort_by([("version", "ascending"), ("ordinal", "ascending")])

    def _of_large(
        self,
        file: DataFile,
        names: Sequence[str],
        after: int,
        upto: int | None,
        *,
        newest_first: bool = False,
        where: Sequence[tuple[str, str]] = (),
    ) -> Iterator[pa.Table]:
        import pyarrow.parquet as pq

        one = self._immutable(file)
        self._local.ready([one])
        schema = pa.schema([self._table.schema.field(name) for name in names])
        try:
            with pq.ParquetFile(self._local.path(one), memory_map=True) as opened:
                known = [name for name in names if name in opened.schema_arrow.names]
                numbers = range(opened.metadata.num_row_groups)
                for number in reversed(numbers) if newest_first else numbers:
                    versions = _bounds(opened, number, "version")
                    bounds = ((_bounds(opened, number, name), text) for name, text in where)
                    admits = all(texts is None or texts[0] <= text <= texts[1] for texts, text in bounds)
                    if admits and (versions is None or _meet(versions, after, upto)):
                        yield fitted(opened.read_row_group(number, columns=known, use_threads=False), schema)
        except (pa.ArrowException, KeyError, ValueError, OSError) as exc:
            raise self._table.objects.damaged(one.key, f"is truncated or damaged: {brief(exc)}") from exc

    def _small(self, files: Sequence[DataFile]) -> list[pa.Table]:
        """Return the rows of each file; files that are not in the cache are read in one go."""
        found = {file.path: self._kept(file) for file in files}
        missing = [replace(file, rows=None) for file in files if found[file.path] is None]
        rows = self._table.objects.read(missing) if missing else None
        start = 0
        for file in missing:
            assert rows is not None
            part = rows.slice(start, file.row_count).combine_chunks()
            start += file.row_count
            self._cache.put((self._table.name, file.path), part, part.nbytes)
            found[file.path] = part
        return [found[file.path] for file in files]

    def _kept(self, file: DataFile) -> pa.Table | None:
        known = file.rows if not file.lacks else None  # from the copy in a log entry, or written by this handle
        return self._cache.get((self._table.name, file.path)) if known is None else known

    def _immutable(self, file: DataFile) -> Immutable:
        key = self._table.objects.key_of(file)
        prove: Callable[[str], str] = partial(self._table.seals.of, file.path)
        return Immutable(key, file.size_bytes, file.seal, prove, partial(self._table.objects.damaged, key))


def _having(name: str, text: str, rows: pa.Table) -> pa.Table:
    import pyarrow.compute as pc

    return rows.filter(pc.equal(rows.column(name), text))


def _bounds(opened: Any, group: int, column: str) -> tuple[Any, Any] | None:
    """Return the least and the greatest value of a column in a row group, or None without statistics."""
    leaves = opened.metadata.schema  # columns in lists have several
    at = next((at for at in range(opened.metadata.num_columns) if leaves.column(at).path == column), -1)
    found = opened.metadata.row_group(group).column(at).statistics if at >= 0 else None
    return None if found is None or not found.has_min_max else (found.min, found.max)


def _is_large(file: DataFile) -> bool:
    """Say whether a file is read in part; one without a seal can only be compared with itself, as a whole."""
    return file.size_bytes > SMALL_BYTES and bool(file.seal)


def _meet(versions: tuple[int, int], after: int, upto: int | None) -> bool:
    return versions[1] > after and (upto is None or versions[0] <= upto)


def _apart(files: Sequence[DataFile]) -> list[list[DataFile]]:
    """Group files by overlapping version ranges, in order of their versions."""
    found: list[list[DataFile]] = []
    last = -1
    for file in sorted(files, key=lambda one: one.versions or (-1, -1)):
        first, end = file.versions or (-1, 1 << 62)
        if found and first <= last:
            found[-1].append(file)
        else:
            found.append([file])
        last = max(last, end)
    return found
