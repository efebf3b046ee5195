"""The relation that SQL of a lake is answered with: DuckDB's own, whose errors are errors of this library.

DuckDB computes rows when they are fetched, so that a cast of a text that is no number fails then, far from the call
that was given the statement. Everything a ``DuckDBPyRelation`` has is here, under the same names; it says that it is
one (``isinstance``), and what makes a relation of it (``filter``, ``limit``, …) makes another of these.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, cast

import pyarrow as pa

from lakefolio.errors import ConflictError, InvalidInputError, LakefolioError, UnsupportedTypeError
from lakefolio.process.local_files import outside_lakes
from lakefolio.process.signals import HeldSignals
from lakefolio.views.connecting import connect_in_memory
from lakefolio.views.resource_errors import resource_error
from lakefolio.views.sql_guard import check_select, first_line

if TYPE_CHECKING:
    import duckdb

__all__ = ["Use", "Uses", "as_relation", "interruptible", "translated"]

_INTERRUPTED: Final = re.compile(r"KeyboardInterrupt: <EMPTY MESSAGE>|^KeyboardInterrupt$", re.MULTILINE)
"""How pybind11 and Arrow write the exception of Python that Ctrl-C raises."""
_MAKE: Final = frozenset({"create", "create_view", "insert", "insert_into", "to_table", "to_view", "update"})
"""What would change the relations that all SQL over the same state reads."""
_ARROW: Final = frozenset(
    {
        "arrow",
        "fetch_arrow_reader",
        "fetch_arrow_table",
        "fetch_record_batch",
        "to_arrow_reader",
        "to_arrow_table",
    }
)
"""What gives rows through Arrow, which would change values of some types."""
_FRAMES: Final = frozenset({"df", "fetch_df", "fetch_df_chunk", "fetchdf", "fetchnumpy", "tf", "to_df", "torch"})
"""What gives columns through numpy, which would change values of others."""
_ROWS: Final = frozenset({"fetchall", "fetchmany", "fetchone"})
_WRITE: Final = frozenset({"to_csv", "to_parquet", "write_csv", "write_parquet"})


@contextmanager
def interruptible(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Raise again what the handler of a signal raised while a statement was computed, which ends."""
    import duckdb

    with HeldSignals():
        try:
            yield
        except (RuntimeError, duckdb.Error) as exc:
            if str(exc) != "Query interrupted" and not _INTERRUPTED.search(str(exc)):
                raise
            connection.interrupt()  # its threads would go on
            raise KeyboardInterrupt from exc


@contextmanager
def translated(
    failed: Callable[[Exception], InvalidInputError], *cursors: duckdb.DuckDBPyConnection, held: bool = True
) -> Iterator[list[duckdb.DuckDBPyConnection]]:
    """Turn what DuckDB objects to into an error of this library; of parameters it does so with errors of Python.

    A signal comes out of DuckDB as a RuntimeError, or as an error of its own where it fell into Python code that DuckDB
    had called, and is what its handler raised again: KeyboardInterrupt, SystemExit, or an exception of the caller's.
    DuckDB's threads would go on computing for nobody then, at worst for ever: they are told to end.

    Args:
        failed: Makes the error.
        cursors: Those on which it computes; the block adds its own to the list that it gets.
        held: Whether to ask handlers what they raised, which takes 10 µs; else every signal is a KeyboardInterrupt.
    """
    with HeldSignals() if held else nullcontext():
        yield from _translated(failed, [*cursors])


def _translated(
    failed: Callable[[Exception], InvalidInputError], cursors: list[duckdb.DuckDBPyConnection]
) -> Iterator[list[duckdb.DuckDBPyConnection]]:
    import duckdb

    try:
        yield cursors
    except RuntimeError as exc:
        if str(exc) == "Query interrupted":
            for cursor in cursors:
                cursor.interrupt()
            raise KeyboardInterrupt from exc
        raise failed(exc) from exc
    except (duckdb.Error, pa.ArrowException, OverflowError, TypeError) as exc:
        if isinstance(exc, duckdb.Error) and _INTERRUPTED.search(str(exc)):
            raise KeyboardInterrupt from exc
        raise _error(exc, failed) from exc


def _error(exc: Exception, failed: Callable[[Exception], InvalidInputError]) -> LakefolioError:
    """Return the error to raise; that there is no room is not the fault of a statement."""
    other = failed(exc)
    return resource_error(exc, other.message.partition(" can't be run")[0]) or other


@contextmanager
def _fetching(
    failed: Callable[[Exception], InvalidInputError], cursor: duckdb.DuckDBPyConnection, *, held: bool = True
) -> Iterator[None]:
    """Do so while rows are fetched, where a file of theirs may be gone that was not held (``process.held_files``)."""
    import duckdb

    try:
        with translated(failed, cursor, held=held):
            yield
    except InvalidInputError as exc:
        if not isinstance(exc.__cause__, duckdb.IOException | duckdb.PermissionException):
            raise
        raise ConflictError(
            f"the rows can't be read: a merge or gc removed a file of theirs: {first_line(exc.__cause__)}",
            kind="files-replaced",
            hint="ask again, which reads the files that took its place",
        ) from exc


class Uses:
    """Tells whether anybody may still read the rows that a connection is bound to, and keeps it for as long.

    A scan of an Arrow table asks the connection that the table was given to, which DuckDB itself does not keep.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Begin with nobody."""
        self._connection = connection
        self._uses: weakref.WeakSet[Use] = weakref.WeakSet()

    def begin(self) -> Use:
        """Return a use, which lasts as long as the object."""
        use = Use(self)
        self._uses.add(use)
        return use

    def are_over(self) -> bool:
        """Say whether all uses are."""
        return not len(self._uses)


class Use:
    """The use of a connection by a relation, and by those that are made of it; see ``Uses``."""

    __slots__ = ("__weakref__", "_all")

    def __init__(self, uses: Uses) -> None:
        """Begin; see ``Uses.begin``."""
        self._all = uses


def as_relation(
    relation: duckdb.DuckDBPyRelation,
    failed: Callable[[Exception], InvalidInputError],
    cursor: duckdb.DuckDBPyConnection,
    *uses: Use,
) -> duckdb.DuckDBPyRelation:
    """Return a relation of a cursor, with errors that ``failed`` makes, which prolongs uses of its connection."""
    found: Any = _Answer(relation, failed, cursor, uses)
    return found  # type: ignore[no-any-return]


class _Answer:
    __slots__ = ("__weakref__", "_cursor", "_failed", "_fetched", "_has_begun", "_relation", "_uses")

    def __init__(
        self,
        relation: duckdb.DuckDBPyRelation,
        failed: Callable[[Exception], InvalidInputError],
        cursor: duckdb.DuckDBPyConnection,
        uses: tuple[Use, ...],
    ) -> None:
        self._relation = relation
        self._failed = failed
        self._has_begun = False  # to be fetched row by row
        self._fetched: dict[frozenset[str], duckdb.DuckDBPyRelation] = {}  # each goes on where it was left
        self._cursor = cursor
        self._uses = uses

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._relation)

    def __copy__(self) -> Self:
        return self  # a relation never changes

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise UnsupportedTypeError(
            "an answer of SQL can't be pickled: its rows are computed when they are fetched, by this process",
            kind="not-picklable",
            hint="pickle its rows: .df(), .pl() or .arrow()",
        )

    def __getattr__(self, name: str) -> Any:
        from lakefolio.views.arrow_types import check_finite

        if name == "pl":
            return self._polars
        if not callable(getattr(type(self._relation), name, None)):
            with _fetching(self._failed, self._cursor):
                return getattr(self._relation, name)
        if name in _MAKE:
            return self._refuse
        if name in _WRITE:
            return partial(self._write, name)
        found = getattr(self._plain(name), name)

        def call(*args: object, **kwargs: object) -> Any:
            further = name == "fetchone" and self._has_begun
            self._has_begun |= name == "fetchone"
            with _fetching(self._failed, self._cursor, held=not further):
                made = found(*map(_plain, args), **{key: _plain(one) for key, one in kwargs.items()})
                if isinstance(made, pa.Table):
                    check_finite(made)
            if type(made) is type(self._relation):
                parts = [use for one in (*args, *kwargs.values()) if type(one) is _Answer for use in one._uses]
                return as_relation(made, self._failed, self._cursor, *self._uses, *parts)
            if isinstance(made, pa.RecordBatchReader):  # its rows are computed when it is read
                return pa.RecordBatchReader.from_batches(
                    made.schema, _batches(made, self._failed, self._cursor, self._uses)
                )
            return made

        return call

    def _plain(self, name: str) -> duckdb.DuckDBPyRelation:
        """Return the relation as a method of it can give its values without changing them."""
        from lakefolio.views.arrow_types import IN_PANDAS, LOSSLESS, exact, projected

        if name in _ARROW:
            return projected(self._relation, LOSSLESS)[0]
        for kind in (_FRAMES, _ROWS):
            if name in kind:
                if kind not in self._fetched:
                    rows = exact(self._relation, in_numpy=kind is _FRAMES)
                    self._fetched[kind] = projected(rows, IN_PANDAS)[0] if kind is _FRAMES else rows
                return self._fetched[kind]
        return self._relation

    def _polars(self, batch_size: int = 1_000_000, *, lazy: bool = False) -> Any:
        """Return the rows as a Polars frame."""
        import polars as pl

        from lakefolio.views.arrow_types import LOSSLESS, projected

        try:
            if lazy:
                from duckdb.polars_io import duckdb_source

                with _fetching(self._failed, self._cursor):
                    schema = projected(self._relation, LOSSLESS)[0].pl(batch_size, lazy=True).collect_schema()
                return duckdb_source(cast("duckdb.DuckDBPyRelation", self), schema)
            return pl.DataFrame(self.to_arrow_table(batch_size))
        except pl.exceptions.PolarsError as exc:
            raise self._failed(exc) from exc

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise InvalidInputError(
            "an answer of SQL makes no views or tables: all SQL of this process would read them",
            kind="sql",
            hint="connect() gives a connection of your own: lake.connect().from_arrow(answer.to_arrow_table())",
        )

    def _write(self, name: str, *args: object, **kwargs: object) -> None:
        """Write a file, by a connection that may do so."""
        if isinstance(target := args[0] if args else kwargs.get("file_name"), str):
            outside_lakes(target)
        with translated(self._failed, self._cursor), connect_in_memory({}) as connection:
            getattr(connection.from_arrow(self.to_arrow_reader()), name)(*args, **kwargs)

    def query(self, virtual_table_name: str, sql_query: str) -> duckdb.DuckDBPyRelation:
        """Ask a reading statement of the rows, by a name."""
        check_select(sql_query)
        asked: duckdb.DuckDBPyRelation = self.__getattr__("query")(virtual_table_name, sql_query)
        return asked

    def __dir__(self) -> list[str]:
        return dir(self._relation)

    def __repr__(self) -> str:
        with _fetching(self._failed, self._cursor):
            return repr(self._relation)

    def __len__(self) -> int:
        with _fetching(self._failed, self._cursor):
            return len(self._relation)

    def __contains__(self, name: str) -> bool:
        return name in self._relation

    def __getitem__(self, name: str) -> Any:
        found: Any = self._relation
        with _fetching(self._failed, self._cursor):
            return as_relation(found[name], self._failed, self._cursor, *self._uses)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.to_arrow_reader().__arrow_c_stream__(requested_schema)


def _plain(value: object) -> Any:
    return value._relation if type(value) is _Answer else value


def _batches(
    reader: pa.RecordBatchReader,
    failed: Callable[[Exception], InvalidInputError],
    cursor: duckdb.DuckDBPyConnection,
    uses: tuple[Use, ...],
) -> Iterator[pa.RecordBatch]:
    """Give the batches of a reader, whose errors become those of this library; ``uses`` last as long."""
    from lakefolio.views.arrow_types import check_finite

    while True:
        with _fetching(failed, cursor):
            if (batch := next(reader, None)) is None:
                return
            check_finite(batch)
        yield batch
