"""Kind ``artifact``: bytes or a file, stored as is (FORMAT.md, "Kind artifact")."""

from __future__ import annotations

import mimetypes
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from lakefolio.errors import InvalidInputError, LocalFileNotFoundError
from lakefolio.items.handler import Buffers, Encoded, FilePayload, Source, unexpected
from lakefolio.process.places import absolute_path, printable, working_directory

__all__ = ["ArtifactHandler", "existing_path"]

_DEFAULT_TYPE: Final = "application/octet-stream"
_OWN_TYPES: Final = {
    ".arrow": "application/vnd.apache.arrow.file",
    ".ipynb": "application/x-ipynb+json",
    ".jsonl": "application/jsonl",
    ".md": "text/markdown",
    ".npy": "application/x-npy",
    ".npz": "application/x-npz",
    ".parquet": "application/vnd.apache.parquet",
    ".toml": "application/toml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}


class ArtifactHandler:
    """Stores bytes in memory and local files."""

    kind: ClassVar[str] = "artifact"
    uses_scratch: ClassVar[bool] = False

    def accepts(self, obj: object) -> bool:
        """Say whether ``obj`` is bytes or a ``Path``; a str is text, unless ``add_artifact`` is asked for."""
        return isinstance(obj, (bytes, bytearray, memoryview, Path))

    def encode(
        self, obj: object, *, scratch: Path, filename: str | None = None, media_type: str | None = None
    ) -> Encoded:
        """Describe bytes or a file; neither is copied.

        Args:
            obj: bytes, bytearray, memoryview, or the path of a file (``Path`` or str). The file must not
                change until it is stored.
            scratch: Not used.
            filename: The name to give the content when it is written to disk; by default that of the file.
            media_type: The IANA media type; by default guessed from the file name.

        Raises:
            LocalFileNotFoundError: If there is no such file.
            InvalidInputError: If the path is a directory or a device.
        """
        if isinstance(obj, (str, Path)):
            path = existing_path(obj)
            mode = path.stat().st_mode
            if not stat.S_ISREG(mode):
                what = "a directory" if stat.S_ISDIR(mode) else "no regular file"
                raise InvalidInputError(f"{str(path)!r} is {what}", kind="not-a-file", path=str(path))
            name = filename or printable(path.name)
            details = {"source": "file", "filename": name, "original_path": printable(str(obj))}
            payload: Buffers | FilePayload = FilePayload(path)
        elif isinstance(obj, (bytes, bytearray, memoryview)):
            view = memoryview(obj)
            flat = view.cast("B") if view.contiguous and view.nbytes else memoryview(view.tobytes())
            payload = Buffers((obj if isinstance(obj, bytes) else flat,))
            name = filename or ""
            details = {"source": "bytes", "type": "bytearray" if isinstance(obj, bytearray) else "bytes"}
            if filename:
                details["filename"] = filename
        else:
            raise unexpected(obj, "bytes or the path of a file", "add_data stores other objects")
        return Encoded(
            kind=self.kind,
            format="file",
            media_type=media_type or _guess(name),
            payload=payload,
            details={**details, "size_bytes": payload.size_bytes},
        )

    def decode(
        self, source: Source, details: Mapping[str, object], *, as_: str | None = None
    ) -> bytes | bytearray | Path:
        """Return bytes as bytes, and a file as the path of a read-only local copy.

        Args:
            source: The content.
            details: Says which of both it was.
            as_: ``"bytes"`` or ``"path"`` to choose.

        Raises:
            InvalidInputError: For any other ``as_``.
        """
        if as_ not in (None, "bytes", "path"):
            raise InvalidInputError(f"as_ is {as_!r}, expected 'bytes' or 'path'", kind="bad-option")
        if as_ == "path" or (as_ is None and details.get("source") == "file"):
            return source.path()
        data = source.read()
        return bytearray(data) if details.get("type") == "bytearray" else bytes(data)


def existing_path(path: str | Path) -> Path:
    """Return ``path`` as an absolute ``Path``.

    Raises:
        LocalFileNotFoundError: If nothing lies there; also a ``FileNotFoundError``.
        InvalidInputError: If it can't be a path.
    """
    found = Path(os.path.expanduser(path))
    try:
        if found.exists():
            return Path(absolute_path(found))
    except (OSError, ValueError) as exc:
        raise InvalidInputError(
            f"{str(path)[:200]!r} is no usable path: {exc}", kind="bad-path", hint="give the path of a file or folder"
        ) from exc
    dangling = " (a link that leads nowhere)" if found.is_symlink() else ""
    raise LocalFileNotFoundError(
        f"there is no file {str(path)!r}{dangling}",
        hint=f"check the path; relative ones start at {printable(working_directory() or '(deleted)')!r}",
        path=str(path),
    )


def _guess(name: str) -> str:
    suffix = Path(name).suffix.lower()
    if suffix in _OWN_TYPES:
        return _OWN_TYPES[suffix]
    guessed, encoding = mimetypes.guess_type(name, strict=False)
    if encoding:
        return f"application/{encoding}"
    return guessed or _DEFAULT_TYPE
