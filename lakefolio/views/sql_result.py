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
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

import pyarrow as pa

from lakefolio.errors import ConflictError, InvalidInputError, LakefolioError, UnsupportedTypeError
from lakefolio.process.signals import HeldSignals
from lakefolio.views.shortage import shortage
from lakefolio.views.sql_guard import first_line

if TYPE_CHECKING:
    import duckdb

__all__ = ["Use", "Uses", "as_relation", "translated"]

_INTERRUPTED: Final = re.compile(r"KeyboardInterrupt: <EMPTY MESSAGE>|^KeyboardInterrupt$", re.MULTILINE)
"""How pybind11 and Arrow write the exception of Python that Ctrl-C raises."""
_AT_ONCE: Final = frozenset({"df", "fetchall", "fetchmany", "fetchnumpy", "fetchone", "pl", "to_arrow_table"})
"""What gives rows and reads none later; ``pl`` does if it is not told to be lazy."""


@contextmanager
def translated(failed: Callable[[Exception], InvalidInputError], *, held: bool = True) -> Iterator[None]:
    """Turn what DuckDB objects to into an error of this library; of parameters it does so with errors of Python.

    A signal comes out of DuckDB as a RuntimeError, or as an error of its own where it fell into Python code that DuckDB
    had called, and is what its handler raised again: KeyboardInterrupt, SystemExit, or an exception of the caller's.

    Args:
        failed: Makes the error.
        held: Whether to ask handlers what they raised, which takes 10 µs; else every signal is a KeyboardInterrupt.
    """
    with HeldSignals() if held else nullcontext():
        yield from _translated(failed)


def _translated(failed: Callable[[Exception], InvalidInputError]) -> Iterator[None]:
    import duckdb

    try:
        yield
    except RuntimeError as exc:
        if str(exc) == "Query interrupted":
            raise KeyboardInterrupt from exc
        raise failed(exc) from exc
    except (duckdb.Error, pa.ArrowException, OverflowError, TypeError) as exc:
        if isinstance(exc, duckdb.Error) and _INTERRUPTED.search(str(exc)):
            raise KeyboardInterrupt from exc
        raise _error(exc, failed) from exc


def _error(exc: Exception, failed: Callable[[Exception], InvalidInputError]) -> LakefolioError:
    """Return the error to raise; that there is no room is not the fault of a statement."""
    other = failed(exc)
    return shortage(exc, other.message.partition(" can't be run")[0]) or other


@contextmanager
def _fetching(failed: Callable[[Exception], InvalidInputError], *, held: bool = True) -> Iterator[None]:
    """Do so while rows are fetched, where a file of theirs may be gone that was not held (``process.held_files``)."""
    import duckdb

    try:
        with translated(failed, held=held):
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
    """Tells whether anybody may still read the rows that a connection is bound to."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._uses: weakref.WeakSet[Use] = weakref.WeakSet()
        self._is_kept = False

    def begin(self) -> Use:
        """Return a use, which lasts as long as the object, or for ever."""
        use = Use(self)
        self._uses.add(use)
        return use

    def are_over(self) -> bool:
        """Say whether all uses are."""
        return not self._is_kept and not len(self._uses)

    def keep(self) -> None:
        """Let them last for ever: something that is not known reads the rows when it likes."""
        self._is_kept = True


class Use:
    """The use of a connection by a relation, and by those that are made of it.

    Attributes:
        all: All uses of the connection.
    """

    __slots__ = ("__weakref__", "all")

    def __init__(self, uses: Uses) -> None:
        """Begin; see ``Uses.begin``."""
        self.all = uses


def as_relation(
    relation: duckdb.DuckDBPyRelation, failed: Callable[[Exception], InvalidInputError], use: Use
) -> duckdb.DuckDBPyRelation:
    """Return a relation whose errors are those that ``failed`` makes, and which prolongs a use of its connection."""
    found: Any = _Answer(relation, failed, use)
    return found  # type: ignore[no-any-return]


class _Answer:
    __slots__ = ("__weakref__", "_failed", "_has_begun", "_relation", "_use")

    def __init__(
        self, relation: duckdb.DuckDBPyRelation, failed: Callable[[Exception], InvalidInputError], use: Use
    ) -> None:
        self._relation = relation
        self._failed = failed
        self._has_begun = False  # to be fetched row by row
        self._use = use

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
        if not callable(getattr(type(self._relation), name, None)):
            with _fetching(self._failed):
                return getattr(self._relation, name)
        found = getattr(self._relation, name)

        def call(*args: object, **kwargs: object) -> Any:
            further = name == "fetchone" and self._has_begun
            self._has_begun |= name == "fetchone"
            with _fetching(self._failed, held=not further):
                made = found(*map(_plain, args), **{key: _plain(one) for key, one in kwargs.items()})
            if type(made) is type(self._relation):
                return as_relation(made, self._failed, self._use)
            if name not in _AT_ONCE or (name == "pl" and (args or kwargs)):
                self._use.all.keep()
            return made

        return call

    def __dir__(self) -> list[str]:
        return dir(self._relation)

    def __repr__(self) -> str:
        with _fetching(self._failed):
            return repr(self._relation)

    def __len__(self) -> int:
        with _fetching(self._failed):
            return len(self._relation)

    def __contains__(self, name: str) -> bool:
        return name in self._relation

    def __getitem__(self, name: str) -> Any:
        found: Any = self._relation
        with _fetching(self._failed):
            return as_relation(found[name], self._failed, self._use)


def _plain(value: object) -> Any:
    if type(value) is not _Answer:
        return value
    value._use.all.keep()  # it becomes a part of another relation
    return value._relation
