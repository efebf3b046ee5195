"""The definition of a read model: its columns, their sort order, and its keys (pure: no I/O).

A read model is a function of the journal: the same facts, sorted for one question. Each of its rows carries the
position of the journal row that it comes from. In a model whose rows *supersede* one another (the entries of a name,
the values of a metadata key) each row carries the version from which on it no longer holds, so that the state at
version V is the filter ``version <= V and (superseded_at is null or superseded_at > V)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from lakefolio.format.arrow_rows import no_rows

__all__ = ["POSITION", "REMOVED", "REPLACES", "SUPERSEDED_AT", "SUPERSEDED_BY", "Model", "succession"]

POSITION = ("version", "ordinal")
SUPERSEDED_AT = "superseded_at"
SUPERSEDED_BY = "superseded_by"
REMOVED = "removed"
REPLACES = "replaces"


def succession(position: tuple[str, ...]) -> list[pa.Field]:
    """Return the columns of a model whose rows supersede one another.

    ``superseded_at`` is the version of the next row of the key, null at the head as far as this run knows;
    ``superseded_by`` is ``put`` or ``delete``; ``removed`` marks the row of a delete, which says nothing else.
    ``replaces_<position>`` name the head that the row replaced, as long as that row lies in an older run: a reader of
    runs without merging them finds there which heads are none any more.
    """
    return [
        pa.field(SUPERSEDED_AT, pa.int64()),
        pa.field(SUPERSEDED_BY, pa.string()),
        pa.field(REMOVED, pa.bool_(), nullable=False),
        *(pa.field(f"{REPLACES}_{name}", pa.int64()) for name in position),
    ]


@dataclass(frozen=True)
class Model:
    """A read model.

    Attributes:
        name: That of its Delta table.
        schema: Its columns. Those of the order are never null.
        key: The columns of the order that name what a row is about. Rows of one key follow one another.
        position: The columns of the order within one key: where the row stands in the journal.
        filtered: How many of the key's columns, all of them text, are in the Bloom filter of a file.
        succeeding: Whether rows of one key supersede one another.
        past: Whether superseded rows are kept. Without them only the head can be asked for.
        searched: Columns that other readers search by equality: they get Parquet's own Bloom filters.
        scanned: Columns that SQL computes with, over all rows: they are compressed by Snappy, which is read in a third
            of the time of Zstandard. Columns of texts that all differ are not among them.
        group_rows: How many rows a row group has: few where a row is large, because a lookup decodes one group.
    """

    name: str
    schema: pa.Schema
    key: tuple[str, ...]
    position: tuple[str, ...] = POSITION
    filtered: int = 0
    succeeding: bool = False
    past: bool = True
    searched: tuple[str, ...] = ()
    scanned: tuple[str, ...] = ()
    group_rows: int = 8_192

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The columns that rows are sorted by; no two rows of a model are equal in all of them."""
        return (*self.key, *self.position)

    def key_of(self, noted: object) -> tuple[str | int, ...]:
        """Return the order columns of a row as a log entry or a footer notes them.

        Raises:
            ValueError: If they can't be those of a row of this model.
        """
        kinds = [str if pa.types.is_string(self.schema.field(name).type) else int for name in self.order]
        if type(noted) is not list or [type(one) for one in noted] != kinds:
            raise ValueError(f"{noted!r} is no key of {self.name}"[:200])
        return tuple(noted)

    @cached_property
    def nothing(self) -> pa.Table:
        """No rows of it."""
        return no_rows(self.schema)

    @cached_property
    def replaces(self) -> tuple[str, ...]:
        """The columns that name the replaced head."""
        return tuple(f"{REPLACES}_{name}" for name in self.position)
