"""Files of a folder that somebody else made: never outside of it, never through a link, of a size that is looked at."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final

from lakefolio.errors import IntegrityError, InvalidInputError, LocalFileNotFoundError, brief
from lakefolio.process.places import LAKE_MARKER

__all__ = ["SourceFolder", "digest_of", "is_lake", "mapping", "plain_yaml", "source_path"]

_TEXT_BYTES: Final = 64 * 2**20


def source_path(source: str) -> Path:
    """Return the file or folder that a user names, links resolved.

    Raises:
        LocalFileNotFoundError: kind ``no-source``: it is not there.
        InvalidInputError: kind ``bad-source``: nothing can have that name.
    """
    if not source:  # as of a variable that is not set; it is not the working directory
        raise InvalidInputError("the source is an empty text", kind="bad-source", hint="name a folder", path=source)
    try:
        found = Path(source).expanduser().resolve()
        there = found.exists()
    except (OSError, ValueError, RuntimeError) as exc:  # too long, a NUL, a home of nobody
        why = exc.strerror if isinstance(exc, OSError) else exc
        raise InvalidInputError(
            f"source {source[:200]!r} can't be looked at: {why}", kind="bad-source", path=source
        ) from exc
    if not there:
        raise LocalFileNotFoundError(f"source {source!r} is not there", kind="no-source", path=source)
    return found


class SourceFolder:
    """A folder to read from.

    Args:
        path: The folder, which may itself be reached through links.

    Raises:
        LocalFileNotFoundError: It is not there.
        InvalidInputError: It is no folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.root = source_path(str(path))
        if not self.root.is_dir():
            raise InvalidInputError(f"source {str(path)!r} is no folder", kind="bad-source", path=str(path))

    def file(self, relative: str) -> Path:
        """Return a file or folder of the source.

        Raises:
            IntegrityError: kind ``bad-source``: it would lie outside, or is a link, a device, a socket or a pipe.
            LocalFileNotFoundError: It is not there.
        """
        parts = PurePosixPath(relative.replace("\\", "/")).parts
        found = self.root.joinpath(*parts)
        steps = [self.root.joinpath(*parts[: count + 1]) for count in range(len(parts))]
        try:
            linked = any(one.is_symlink() for one in steps)
        except (OSError, ValueError):  # a name that no file can have
            linked = False
        if not parts or PurePosixPath(*parts).is_absolute() or ".." in parts or linked:
            raise IntegrityError(
                f"source names {relative!r}, which lies outside of it or behind a link",
                kind="bad-source",
                hint="copy the target of the link into the source",
                path=relative,
            )
        if not os.path.lexists(found):
            raise LocalFileNotFoundError(f"source has no file {relative!r}", kind="no-source", path=relative)
        if not found.is_file() and not found.is_dir():
            raise IntegrityError(
                f"source names {relative!r}, a device, socket or pipe", kind="bad-source", path=relative
            )
        return found

    def has(self, relative: str) -> bool:
        """Say whether there is a file or folder that may be read."""
        try:
            self.file(relative)
        except (IntegrityError, LocalFileNotFoundError):
            return False
        return True

    def json(self, relative: str) -> Any:
        """Return the content of a JSON file.

        Raises:
            IntegrityError: kind ``bad-source``: it can't be read.
        """
        text = self.text(relative)
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise IntegrityError(f"file {relative!r} is no JSON: {exc}", kind="bad-source", path=relative) from exc

    def text(self, relative: str) -> str:
        """Return the content of a text file, up to 64 MiB."""
        path = self.file(relative)
        if path.is_dir() or path.stat().st_size > _TEXT_BYTES:
            raise IntegrityError(
                f"file {relative!r} is no file of at most {_TEXT_BYTES:,} bytes", kind="bad-source", path=relative
            )
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise IntegrityError(f"file {relative!r} can't be read: {exc}", kind="bad-source", path=relative) from exc

    def walk(self) -> Iterator[tuple[str, Path, bool]]:
        """Give every regular file (relative path, path, True), and every link, lake or other thing (…, False), sorted.

        What lies in a lake is not walked through: it may be the one that the files go to.

        Raises:
            IntegrityError: kind ``bad-source``: a folder in it can't be listed.
        """

        def failed(error: OSError) -> None:
            raise _unread(Path(str(error.filename)), error) from error

        for folder, folders, files in os.walk(self.root, onerror=failed):
            if LAKE_MARKER in files:
                folders.clear()
                yield Path(folder).relative_to(self.root).as_posix(), Path(folder), False
                continue
            folders.sort()
            linked = [one for one in folders if Path(folder, one).is_symlink()]
            for name in sorted([*files, *linked]):
                path = Path(folder, name)
                yield path.relative_to(self.root).as_posix(), path, path.is_file() and not path.is_symlink()


def plain_yaml(text: str) -> object:
    """Return what a YAML document says, as texts, lists and dicts; nothing in it is made, merged or said again.

    Raises:
        InvalidInputError: kind ``no-library``: PyYAML is not installed; ``bad-source``: it is no such document, or
            holds an alias, by which a few lines can stand for any number.
    """
    try:
        import yaml
    except ImportError as exc:
        raise InvalidInputError(
            "reading YAML needs PyYAML, which is not installed", kind="no-library", hint="pip install pyyaml"
        ) from exc
    loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        if "*" in text and any(isinstance(one, yaml.AliasEvent) for one in yaml.parse(text, Loader=loader)):
            raise InvalidInputError("it is YAML with an alias, which is not read", kind="bad-source")
        return yaml.load(text, Loader=loader)
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        if isinstance(exc, InvalidInputError):
            raise
        raise InvalidInputError(f"it is no YAML: {brief(exc)}", kind="bad-source") from exc


def mapping(value: object) -> dict[str, Any]:
    """Return an object of JSON, empty if it is none."""
    return value if isinstance(value, dict) else {}


def is_lake(path: Path) -> bool:
    """Say whether a place that :meth:`SourceFolder.walk` gives is a lake."""
    return path.is_dir() and not path.is_symlink() and (path / LAKE_MARKER).is_file()


def digest_of(path: Path, algorithm: str) -> str:
    """Return the digest of a file's bytes as hex digits; IntegrityError (kind ``bad-source``) if it can't be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    except OSError as exc:
        raise _unread(path, exc) from exc


def _unread(path: Path, error: OSError) -> IntegrityError:
    return IntegrityError(f"{str(path)!r} can't be read: {error.strerror or error}", kind="bad-source", path=str(path))
