"""The runs of one read model, and its lookups: the newest row of a key, the rows of a prefix.

Immutable. A lookup goes from the newest run to the oldest. In each it reads at most the one file, and of that the row
groups, whose bounds admit the key, and nothing if the filter of the file excludes the key. Array functions are imported
by who merges or filters: looking up a key needs none.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from lakefolio.errors import IntegrityError
from lakefolio.format.arrow_rows import dicts_of
from lakefolio.readmodels import bloom
from lakefolio.readmodels.cache import Cache
from lakefolio.readmodels.keys import Key, Rows
from lakefolio.readmodels.model import Model
from lakefolio.readmodels.run_file import Footer, Ranges, RunFile, damaged, read_footer, read_group

__all__ = ["ModelRuns", "Run", "up_to"]

_WHOLE_BYTES: Final = 128 << 10
"""A file up to this size is read at once: that is one request instead of two."""

_AT_ONCE_BYTES: Final = 4 << 20
_FEW_KEYS: Final = 8
"""So many keys are each looked for in a row group: quicker than to compare all of its rows, a tenth for one key."""
_FILTERED_KEYS: Final = 1_000
"""Of more keys than these no filter is asked: some are in each row group of the file, and asking costs 10 µs a key."""
_FOOTER_WEIGHT: Final = 4
"""The memory of a decoded footer beside its bytes."""


@dataclass(frozen=True, slots=True)
class Run:
    """Sorted files whose key ranges follow one another; rows of the journal versions ``after`` < v <= ``through``."""

    files: tuple[RunFile, ...]

    @property
    def after(self) -> int:
        """The journal version after which it begins."""
        return self.files[0].after

    @property
    def through(self) -> int:
        """The journal version up to which it goes."""
        return self.files[0].through

    @property
    def row_count(self) -> int:
        """How many rows it has."""
        return sum(file.row_count for file in self.files)

    def files_between(self, first: Key, last: Key) -> Sequence[RunFile]:
        """Return the files that may hold rows from one key up to another (prefixes of the order)."""
        start = bisect_left(self.files, first, key=lambda one: one.last[: len(first)])
        stop = bisect_right(self.files, last, key=lambda one: one.first[: len(last)])
        return self.files[start:stop]


class ModelRuns:
    """One read model as its runs, the oldest first."""

    def __init__(self, model: Model, runs: Sequence[Run], ranges: Ranges, cache: Cache, *, stored: bool = True) -> None:
        """Take runs.

        Args:
            model: The model.
            runs: Its runs.
            ranges: Where their files are read from.
            cache: Keeps footers and row groups.
            stored: Whether the files are objects of the lake.
        """
        self.model = model
        self.stored = stored
        self.runs = tuple(runs)
        self.through = max((run.through for run in self.runs), default=-1)
        self._ranges = ranges
        self._cache = cache

    def reader(self) -> pa.RecordBatchReader:
        """Read all rows as one run, part by part, as if all were merged. Every file is read and verified."""
        from lakefolio.readmodels.merge import merged

        parts = merged([self.parts(run) for run in self.runs], self.model, bottom=True)
        batches = (batch for part in parts for batch in part.to_batches())
        return pa.RecordBatchReader.from_batches(self.model.schema, batches)

    def newest(self, key: Key, upto: int | None = None, columns: Sequence[str] | None = None) -> dict[str, Any] | None:
        """Return the last row of a key, of those up to a journal version, as Python values; None if there is none.

        Args:
            key: The key.
            upto: The version.
            columns: Only these, those of the order, and those that relate rows to one another.
        """
        names = None if columns is None else self._needed(columns)
        hashed = self._hash(key) if self.runs else None
        for run in reversed(self.runs):
            if upto is not None and run.after >= upto:
                continue
            for file in reversed(run.files_between(key, key)):
                for rows in self._groups(file, key, key, hashed, names=names, newest_first=True):
                    at = self._last_of(rows, key, upto)
                    if at is not None:
                        found: dict[str, Any] = dicts_of(rows.slice(at, 1))[0]
                        return found
        return None

    def _last_of(self, rows: pa.Table, key: Key, upto: int | None) -> int | None:
        bound = key if upto is None else (*key, upto)
        view = Rows(rows, self.model.order[: len(bound)])
        at = bisect_right(view, bound) - 1
        return at if at >= 0 and view[at][: len(key)] == key else None

    def rows(self, prefix: Key, upto: int | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows whose order columns begin with a prefix, sorted and settled.

        Args:
            prefix: Values of the first order columns; empty for all rows.
            upto: Leave out later rows than this journal version. Rows that they superseded still say so.
            columns: Only these (those that settling needs are added).
        """
        parts = list(self.slices(prefix, upto, columns))
        if not parts:
            return self.model.nothing if columns is None else self.model.nothing.select(self._needed(columns))
        return self._settled(pa.concat_tables(parts).combine_chunks(), upto)

    def slices(
        self, prefix: Key, upto: int | None = None, columns: Sequence[str] | None = None, *, keep: bool = False
    ) -> Iterator[pa.Table]:
        """Yield the same rows as they lie in the runs, the oldest run first, each run in order.

        They are not settled, and those of a run that begins before ``upto`` may be later. With ``keep``, row groups are
        kept for whoever asks for the same columns.
        """
        names = None if columns is None else self._needed(columns)
        hashed = self._hash(prefix) if self.runs else None
        for run in self.runs:
            if upto is not None and run.after >= upto:
                continue
            for file in run.files_between(prefix, prefix):
                for rows in self._groups(file, prefix, prefix, hashed, names=names, keep=keep):
                    view = Rows(rows, self.model.order[: len(prefix)])
                    start, stop = bisect_left(view, prefix), bisect_right(view, prefix)
                    if start < stop:
                        yield rows.slice(start, stop - start)

    def _settled(self, rows: pa.Table, upto: int | None) -> pa.Table:
        """Return rows of several runs, without those later than a version, sorted and settled."""
        rows = up_to(rows, upto)
        if len(self.runs) == 1:
            return rows
        from lakefolio.readmodels.merge import settled, sorted_rows

        return settled(sorted_rows(rows, self.model), self.model)

    def group_count(self, prefix: Key) -> int:
        """Return how many row groups may hold rows whose order columns begin with a prefix."""
        files = (file for run in self.runs for file in run.files_between(prefix, prefix))
        return sum(len(self._footer(file).groups_between(prefix, prefix)) for file in files)

    def rows_of(self, keys: Collection[Key], upto: int | None = None, limit: int | None = None) -> pa.Table:
        """Return the rows of many keys, sorted and settled; each row group that may hold some is read once.

        Args:
            keys: Values of the whole key or, all as long, of its first columns; all text.
            upto: See :meth:`rows`.
            limit: Read no further row group once there are more rows than these: so many or more tell that it was cut.
        """
        wanted = sorted(set(keys))
        names = self.model.key[: len(wanted[0])] if wanted else ()
        parts = []
        count = 0
        for file in (file for run in self.runs if upto is None or run.after < upto for file in run.files):
            for number, some in sorted(self.groups_with(file, wanted).items()):
                found = up_to(_with_keys(self.group(file, number), names, some), upto)
                if found.num_rows:
                    parts.append(found)
                    count += found.num_rows
                if limit is not None and count > limit:
                    break
            if limit is not None and count > limit:
                break
        if not parts:
            return self.model.nothing
        return self._settled(pa.concat_tables(parts).combine_chunks(), None)

    def groups_with(self, file: RunFile, keys: Sequence[Key]) -> dict[int, list[Key]]:
        """Return the numbers of the row groups of a file that may hold some of sorted keys, each with these."""
        width = len(keys[0]) if keys else 0
        some = keys[bisect_left(keys, file.first[:width]) : bisect_right(keys, file.last[:width])]
        found: dict[int, list[Key]] = {}
        if not some:
            return found
        footer = self._footer(file)
        if len(some) <= _FILTERED_KEYS:
            some = [key for key in some if (hashed := self._hash(key)) is None or footer.may_hold(hashed)]
        for number in footer.groups_between(some[0], some[-1]) if some else ():
            group = footer.groups[number]
            start, stop = bisect_left(some, group.first[:width]), bisect_right(some, group.last[:width])
            if start < stop:
                found[number] = list(some[start:stop])
        return found

    def _needed(self, columns: Sequence[str]) -> list[str]:
        wanted = {*columns, *self.model.order}
        if self.model.succeeding:
            wanted |= {*self.model.replaces, "superseded_at", "superseded_by", "removed"}
        return [name for name in self.model.schema.names if name in wanted]

    def parts(self, run: Run, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows of a run in order, a group or a few at once; nothing of it is kept.

        Args:
            run: The run.
            columns: Only these, those of the order, and those that relate rows to one another.
        """
        names = None if columns is None else self._needed(columns)
        for file in run.files:
            yield from self._read(file, self._footer(file), range(len(self._footer(file).groups)), names, keep=False)

    def bodies(self, run: Run) -> Iterator[tuple[RunFile, bytes]]:
        """Yield the files of a run with their bytes, which were verified: as a whole, the footer, each row group.

        Raises:
            NotFoundError: If one is missing.
            IntegrityError: If one is damaged.
        """
        for file in run.files:
            body = self._ranges.read(self.model.name, file, 0, file.size_bytes)
            footer = read_footer(body[len(body) - file.footer_bytes :], file, self.model)
            for number, group in enumerate(footer.groups):
                piece = memoryview(body)[group.start : group.start + group.length]
                if hashlib.sha256(piece).hexdigest() != group.sha256:
                    raise damaged(self.model, file, f"has another row group {number} than was written")
            if hashlib.sha256(body).hexdigest() != file.sha256:
                raise damaged(self.model, file, "is not what was written")
            yield file, body

    def unreadable(self, file: RunFile) -> IntegrityError:
        """Return the error for a file whose bytes are as they were written and can't be decoded."""
        return damaged(self.model, file, "can't be read")

    def footers(self, run: Run) -> Iterator[tuple[RunFile, Footer]]:
        """Yield the files of a run with what their footers say."""
        for file in run.files:
            yield file, self._footer(file)

    def bounds(self, file: RunFile, number: int) -> tuple[Key, Key]:
        """Return the order columns of the first and of the last row of a row group."""
        group = self._footer(file).groups[number]
        return group.first, group.last

    def group(self, file: RunFile, number: int) -> pa.Table:
        """Return the rows of one row group."""
        return next(self._read(file, self._footer(file), range(number, number + 1), None, keep=True))

    def _hash(self, key: Key) -> int | None:
        if not self.model.filtered or len(key) < self.model.filtered:
            return None
        return bloom.hash_of(key[: self.model.filtered])

    def _groups(
        self,
        file: RunFile,
        first: Key,
        last: Key,
        hashed: int | None,
        *,
        names: Sequence[str] | None = None,
        newest_first: bool = False,
        keep: bool = False,
    ) -> Iterator[pa.Table]:
        footer = self._footer(file)
        if hashed is not None and not footer.may_hold(hashed):
            return
        numbers = footer.groups_between(first, last)
        if newest_first:
            for number in reversed(numbers):
                yield from self._read(file, footer, range(number, number + 1), names, keep=True)
        else:
            yield from self._read(file, footer, numbers, names, keep=keep or names is None)

    def _footer(self, file: RunFile) -> Footer:
        def read() -> tuple[Footer, int]:
            start = 0 if file.size_bytes <= _WHOLE_BYTES else file.size_bytes - file.footer_bytes
            body = self._ranges.read(self.model.name, file, start, file.size_bytes - start)
            footer = read_footer(body[len(body) - file.footer_bytes :], file, self.model)
            if start == 0:
                for number, group in enumerate(footer.groups):
                    piece = body[group.start : group.start + group.length]
                    rows = read_group(piece, file, footer, number, self.model)
                    self._cache.put(self._cached(file, number, None), rows, rows.nbytes)
            return footer, file.footer_bytes * _FOOTER_WEIGHT

        found: Footer = self._cache.get_or((self.model.name, file.path), read)
        return found

    def _read(
        self, file: RunFile, footer: Footer, numbers: range, names: Sequence[str] | None, *, keep: bool
    ) -> Iterator[pa.Table]:
        """Yield row groups in order; neighbours that are not kept are read in one request."""
        number = numbers.start
        while number < numbers.stop:
            known = self._known(file, number, names)
            if known is not None:
                yield known
                number += 1
                continue
            start, stop = number, number + 1
            begin, end = footer.groups[start].start, footer.groups[start].start + footer.groups[start].length
            while (
                stop < numbers.stop and footer.groups[stop].start + footer.groups[stop].length - begin <= _AT_ONCE_BYTES
            ):
                if self._known(file, stop, names) is not None:
                    break
                end = footer.groups[stop].start + footer.groups[stop].length
                stop += 1
            body = self._ranges.read(self.model.name, file, begin, end - begin)
            for number in range(start, stop):
                group = footer.groups[number]
                piece = body[group.start - begin : group.start - begin + group.length]
                rows = read_group(piece, file, footer, number, self.model, names)
                if keep:
                    self._cache.put(self._cached(file, number, names), rows, rows.nbytes)
                yield rows
            number = stop

    def _known(self, file: RunFile, number: int, names: Sequence[str] | None) -> pa.Table | None:
        """Return a row group that is kept, with all columns or with these."""
        whole: pa.Table | None = self._cache.get(self._cached(file, number, None))
        if names is None:
            return whole
        narrow: pa.Table | None = self._cache.get(self._cached(file, number, names))
        return narrow if whole is None else whole.select(list(names))

    def _cached(self, file: RunFile, number: int, names: Sequence[str] | None) -> tuple[Hashable, ...]:
        return (self.model.name, file.path, number, None if names is None else tuple(names))


def up_to(rows: pa.Table, version: int | None) -> pa.Table:
    """Return the rows up to a journal version."""
    if version is None:
        return rows
    import pyarrow.compute as pc

    return rows.filter(pc.less_equal(rows.column("version"), version))


def _with_keys(rows: pa.Table, names: Sequence[str], keys: Sequence[Key]) -> pa.Table:
    """Return the rows, which are in order, whose key is one of some; a copy that does not hold the others in memory."""
    if len(keys) <= _FEW_KEYS:
        view = Rows(rows, names)
        spans = [range(bisect_left(view, key), bisect_right(view, key)) for key in keys]
        return rows.take(pa.array([at for span in spans for at in span], pa.int64()))
    import pyarrow.compute as pc

    for at, name in enumerate(names):
        rows = rows.filter(pc.is_in(rows.column(name), value_set=pa.array({key[at] for key in keys}, pa.string())))
    if sum(len({key[at] for key in keys}) > 1 for at in range(len(names))) <= 1 or not rows.num_rows:
        return rows
    known = set(keys)  # each column has the value of one of them, but maybe of several
    cells = zip(*(rows.column(name).to_pylist() for name in names), strict=True)
    return rows.filter(pa.array([cell in known for cell in cells], pa.bool_()))
