"""The contract of an item handler: how one kind of object becomes bytes and comes back (FORMAT.md, "Kinds").

A handler is pure conversion. It never sees a store, a folio or a key: it gets an object and gives an
:class:`Encoded`, or gets a :class:`Source` of verified bytes and gives the object. Handlers are found through
the entry point group ``lakefolio.items``, so that other packages can add kinds.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Protocol, TypeVar

from lakefolio.errors import InvalidInputError, UnsupportedTypeError, type_name

__all__ = [
    "Buffers",
    "Encoded",
    "FilePayload",
    "Handler",
    "Payload",
    "Source",
    "changed",
    "discard",
    "is_read_once",
    "unexpected",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Buffers:
    """Content that lies in memory in one or more pieces (so that a large array is never copied whole).

    Attributes:
        parts: Contiguous one-dimensional byte buffers in order: ``bytes`` that the handler made, ``memoryview``
            of format ``B`` for memory that others may change. It is read twice (digest, then upload), and content
            that is not the same both times is refused.
    """

    parts: tuple[bytes | memoryview, ...]

    @property
    def size_bytes(self) -> int:
        """The number of bytes in all parts."""
        return sum(len(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class FilePayload:
    """Content that lies in a local file.

    Attributes:
        path: The file. It is read twice (digest, then upload), in pieces, and refused if it changed in between.
        temporary: Whether the library made the file in a private folder, and removes it after the upload.
    """

    path: Path
    temporary: bool = False

    @property
    def size_bytes(self) -> int:
        """The size of the file in bytes."""
        return self.path.stat().st_size


Payload = Buffers | FilePayload


def discard(payload: Payload | None) -> None:
    """Remove a payload's file if the library made it."""
    if isinstance(payload, FilePayload) and payload.temporary:
        if payload.path.is_dir():
            shutil.rmtree(payload.path, ignore_errors=True)
        elif payload.path.exists():
            os.unlink(payload.path)


def changed(what: str, **objects: object) -> InvalidInputError:
    """Make the error for content that changed between being digested and being written (kind ``content-changed``)."""
    return InvalidInputError(
        f"{what} changed while it was being added",
        kind="content-changed",
        hint="add it again when nothing changes it, or add a copy",
        **objects,
    )


def unexpected(obj: object, expected: str, hint: str | None = None) -> UnsupportedTypeError:
    """Make the error for an object that a handler is given by name and does not store."""
    name = type_name(obj)
    return UnsupportedTypeError(f"expected {expected}, got a {name}", hint=hint, type=name)


def is_read_once(value: object) -> bool:
    """Say whether a value can be read only once: an iterator, a reader of batches, a stream."""
    if hasattr(value, "__next__"):
        return True
    library = type(value).__module__.partition(".")[0]
    return hasattr(value, "__arrow_c_stream__") and library not in ("pyarrow", "pandas", "polars")


@dataclass(slots=True)
class Encoded:
    """An encoded object.

    Attributes:
        kind: The handler's kind, ``"table"``.
        format: The format of the stored bytes, ``"parquet"``.
        media_type: The IANA media type of the stored bytes.
        payload: The bytes, or a function that makes them. A function is called only when no stored content
            has the same ``digest``, so a table that the lake holds already is not even encoded.
        details: Facts about the object for people (shape, dtypes, columns, …), JSON-able.
        digest: The identity of the content if it is not the SHA-256 of the bytes (tables have a logical
            digest).
        row_count: Rows of tabular content.
        description: One sentence that the object says of itself (a figure's title), for entries that get no other.
    """

    kind: str
    format: str
    media_type: str
    payload: Payload | Callable[[], Payload]
    details: dict[str, Any] = field(default_factory=dict)
    digest: str | None = None
    row_count: int | None = None
    description: str | None = None


class Source(Protocol):
    """Verified content to decode: a read gives the bytes that were stored, or raises IntegrityError."""

    size_bytes: int
    row_count: int | None
    """The number of rows that the item's row states, or None; the decoded table is compared with it."""

    @property
    def in_memory(self) -> bool:
        """Whether the content is small enough to be held in memory beside the decoded object."""
        ...

    def read(self) -> memoryview:
        """Return the whole content, verified.

        It belongs to the caller, who may change it and keep parts of it; only content of a few kilobytes is read-only.
        """
        ...

    def decoded(self, decode: Callable[[memoryview], T]) -> T:
        """Return what ``decode`` makes of the whole content, which may be verified while it does.

        So ``decode`` must bear any bytes, keep none of its result elsewhere, and not change what it is given; damage is
        raised as IntegrityError, whatever ``decode`` returned or raised.
        """
        ...

    def open(self) -> BinaryIO:
        """Return a seekable binary file of the content, verified before the first byte is given."""
        ...

    def path(self) -> Path:
        """Return a read-only local file with the content, verified; it lives at least as long as the process."""
        ...


class Handler(Protocol):
    """Converts one kind of object. Stateless; safe to call from many threads."""

    kind: ClassVar[str]

    def accepts(self, obj: object) -> bool:
        """Say whether this handler stores ``obj`` without being asked for by name.

        Must be cheap and must not import the library of the type: an object of a library that is not imported
        can't exist, so look into ``sys.modules``.
        """
        ...

    def encode(self, obj: object, *, scratch: Path, **options: object) -> Encoded:
        """Turn ``obj`` into bytes; ``obj`` is not changed.

        Args:
            obj: The object.
            scratch: A private, empty folder for temporary files; the caller removes it.
            **options: The options of the public ``add_*`` method of this kind, apart from the common arguments.

        Raises:
            InvalidInputError: If ``obj`` can't be stored so that the same object comes back.
        """
        ...

    def decode(self, source: Source, details: Mapping[str, object], **options: object) -> Any:
        """Turn stored bytes back into the object.

        Args:
            source: The verified bytes.
            details: The details that ``encode`` gave. They come from the bucket: never trust them.
            **options: The options of the public ``get_*`` method.

        Raises:
            IntegrityError: If verified bytes can't be decoded by this kind.
            UntrustedContentError: If decoding would run code that the reader has not trusted.
        """
        ...
