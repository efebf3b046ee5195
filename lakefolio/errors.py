"""Every error lakefolio raises, grouped by what a handler of it would do.

One line says what failed, on which object, what was expected and what was found; ``hint`` says what to do.
Errors also inherit from the builtin that code written for a plain folder library expects: a missing item is a
``KeyError``, an existing name a ``ValueError``, a write to a read-only lake a ``RuntimeError``. Messages, hints and
objects hold no secrets, whatever they were made from.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar

from lakefolio.redaction import scrub, scrub_value
from lakefolio.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "AddressIsFolderError",
    "AddressNotFoundError",
    "AlreadyExistsError",
    "ConflictError",
    "FormatError",
    "IntegrityError",
    "InvalidInputError",
    "LakeNotFoundError",
    "LakefolioError",
    "LocalFileNotFoundError",
    "NotFoundError",
    "PlaceTakenError",
    "ReadOnlyError",
    "ReferenceNotFoundError",
    "StorageError",
    "UnsupportedTypeError",
    "UntrustedContentError",
    "brief",
    "nearest",
    "one_line",
    "type_name",
]

_WRITTEN = frozenset({"sql", "query", "command"})
"""The objects that are texts of programs and people, where secrets have a name or a place; names of items have none."""
_LINE_LIMIT = 395
_MESSAGE_LIMIT = 290
_MESSAGE_LEAST = 130
_NAME_LIMIT = 60


def _whole(hint: str) -> str:
    """Return a hint that leaves room for a message: what is to be copied is never cut, but left out as a whole."""
    limit = _LINE_LIMIT - _MESSAGE_LEAST
    while len(hint) > limit:
        shorter = max(hint.rfind(mark) for mark in ("; ", ", or ", ": "))
        if shorter < _NAME_LIMIT // 4:
            return one_line(hint, limit)
        hint = hint[:shorter]
    return hint


class LakefolioError(Exception):
    """Base of every error of this library.

    Attributes:
        kind: A stable, append-only machine name of what failed, such as ``"item-not-found"``.
        hint: What to do about it, or None.
        exit_code: The exit code of the command line for this class of error.
        objects: Everything that the error is about, by name. Those that most handlers look for are attributes too:
        version, folio, item, snapshot, run_id: What of a lake it is about, or None.
        digest, key: The content or the object of the store, or None.
        path, uri: The file or the address, or None.
        column, columns, field, option, table, name, type: The part of the input, or None.
        reason, purged_at: Why and at which version content was purged, or None.
        differs: In what an existing item is not what was given (``content``, ``tags``, …), or None.
    """

    exit_code: ClassVar[int] = 1
    default_kind: ClassVar[str] = "error"

    version: int | None
    folio: str | None
    item: str | None
    snapshot: str | None
    run_id: str | None
    digest: str | None
    key: str | None
    path: str | None
    uri: str | None
    column: str | None
    columns: Sequence[str] | None
    field: str | None
    option: str | None
    table: str | None
    name: str | None
    type: str | None
    reason: str | None
    purged_at: int | None
    differs: Sequence[str] | None

    def __init__(self, message: str, *, kind: str | None = None, hint: str | None = None, **objects: object) -> None:
        shown = None if hint is None else _whole(visible(" ".join(scrub(hint).split()), keep=""))
        message = one_line(scrub(message), max(_MESSAGE_LEAST, min(_MESSAGE_LIMIT, _LINE_LIMIT - len(shown or ""))))
        super().__init__(message)
        self.message = message
        self.kind = kind or self.default_kind
        self.hint = shown
        self.objects = {key: scrub_value(one, shapes_only=key not in _WRITTEN) for key, one in objects.items()}
        for name in _FIELDS:
            setattr(self, name, self.objects.get(name))

    def __str__(self) -> str:
        """The message and the hint on one line (KeyError would quote it, OSError would show errno)."""
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep kind, hint and objects when an error crosses a process boundary."""
        return (_rebuild, (type(self), self.message, self.kind, self.hint, self.objects))


_FIELDS = tuple(name for name in LakefolioError.__annotations__ if name not in ("exit_code", "default_kind"))


def _rebuild(
    cls: type[LakefolioError], message: str, kind: str, hint: str | None, objects: dict[str, object]
) -> LakefolioError:
    return cls(message, kind=kind, hint=hint, **objects)


class NotFoundError(LakefolioError, KeyError):
    """A folio, item, version, snapshot or object that does not exist. Check the name."""

    exit_code = 3
    default_kind = "not-found"


class LakeNotFoundError(NotFoundError, FileNotFoundError):
    """No lake lies at the given place, or its bucket does not exist."""

    default_kind = "lake-not-found"


class AddressNotFoundError(NotFoundError, FileNotFoundError):
    """Nothing lies at an address ``lake://…``. Check its folio and item."""

    default_kind = "address-not-found"


class ReferenceNotFoundError(NotFoundError, FileNotFoundError):
    """What a reference names no longer exists. Bring it back, or register it again."""

    default_kind = "reference-missing"


class AlreadyExistsError(LakefolioError, ValueError):
    """A name is taken. Choose another, or pass ``overwrite=True``."""

    exit_code = 4
    default_kind = "already-exists"


class PlaceTakenError(AlreadyExistsError, FileExistsError):
    """A folder or file lies where something new should be made. Choose another place."""

    default_kind = "place-taken"


class ConflictError(LakefolioError):
    """Another writer changed what this change depends on. Look again, then retry."""

    exit_code = 5
    default_kind = "conflict"


class InvalidInputError(LakefolioError, ValueError):
    """The caller's input can't be accepted. Nothing was stored; retrying unchanged will fail again."""

    exit_code = 2
    default_kind = "invalid-input"


class LocalFileNotFoundError(InvalidInputError, FileNotFoundError):
    """A local file or directory that is to be added does not exist."""

    default_kind = "local-file-not-found"


class AddressIsFolderError(InvalidInputError, IsADirectoryError):
    """A folder at an address ``lake://…`` was to be read as a file. List its members."""

    default_kind = "wrong-kind"


class UnsupportedTypeError(InvalidInputError, TypeError):
    """An object that no handler stores, an argument of a wrong type, or a keyword that a call does not take."""

    default_kind = "unsupported-type"


class ReadOnlyError(InvalidInputError, RuntimeError):
    """A write through a read-only handle, or into a past version."""

    exit_code = 6
    default_kind = "read-only"


class StorageError(LakefolioError, OSError):
    """The object store refused or failed: network, credentials, permissions, space. Retry or repair the set-up."""

    exit_code = 7
    default_kind = "storage"


class IntegrityError(LakefolioError):
    """Stored bytes are missing or not what was written. Never retried silently; restore them from a copy."""

    exit_code = 8
    default_kind = "integrity"


class FormatError(LakefolioError):
    """The lake is of a format this library can't read or write. Use a newer library."""

    exit_code = 9
    default_kind = "format"


class UntrustedContentError(LakefolioError, TypeError):
    """Loading would run code the reader has not said to trust."""

    exit_code = 10
    default_kind = "untrusted-content"


def one_line(text: str, limit: int) -> str:
    """Return ``text`` as one printable line of at most ``limit`` characters; what is left out is in the middle.

    Names, paths and other libraries' messages come from outside: whatever they hold, an error stays one line that any
    terminal and log can take.
    """
    if not text.isprintable():
        text = " ".join(text.split())
    text = visible(text, keep="")
    if len(text) <= limit:
        return text
    kept = limit - 1
    return f"{text[: kept - kept // 3]}…{text[len(text) - kept // 3 :]}"


def brief(exc: BaseException | None, limit: int = 160) -> str:
    """Return what an error of other code says, for a message: the beginning of its first line, else its type."""
    return (str(exc).splitlines() or [type(exc).__name__])[0][:limit]


def type_name(obj: object) -> str:
    """Return the type of an object as a message names it: ``pandas.core.frame.DataFrame``."""
    return f"{type(obj).__module__}.{type(obj).__qualname__}"


def nearest(name: str, candidates: Iterable[str], *, limit: int = 3) -> str | None:
    """Return a hint naming the nearest of ``candidates``, or the few there are, or None when there are none.

    Args:
        name: What the user asked for.
        candidates: The names that exist.
        limit: How many names to give at most.
    """
    known = sorted(set(candidates))
    if not known:
        return None
    close = get_close_matches(name, known, n=limit, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(one_line(repr(one), _NAME_LIMIT) for one in close) + "?"
    shown = ", ".join(one_line(repr(one), _NAME_LIMIT) for one in known[:5])
    return f"there are {shown}" + (f" and {len(known) - 5} more" if len(known) > 5 else "")
