"""Items whose content lies elsewhere: registered by address, checked when read, never copied (FORMAT.md, "References").

``get`` compares with the size, ETag, version id and (for local files) SHA-256 noted at registration. So a reference
gives the registered content or an error, never other content silently. An address that the reader does not follow
(``reference_trust``) gets no request.
"""

from __future__ import annotations

import atexit
import dataclasses
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from lakefolio.content.reference_trust import SIGNATURE, ReferenceTrust
from lakefolio.errors import (
    IntegrityError,
    InvalidInputError,
    LakefolioError,
    NotFoundError,
    ReferenceNotFoundError,
    UntrustedContentError,
)
from lakefolio.format.digest import sha256_of_file
from lakefolio.format.names import is_uri
from lakefolio.format.table_formats import format_of
from lakefolio.model.entries import Stored
from lakefolio.process.notice import LakefolioWarning, notice
from lakefolio.process.places import absolute_path, file_name_of, printable
from lakefolio.process.scratch import named_failures, scratch_folder
from lakefolio.redaction import scrub_address
from lakefolio.storage import ObjectInfo, Store, resolve_uri
from lakefolio.storage.addresses import check_slashes

if TYPE_CHECKING:
    from lakefolio.model.entries import Entry

__all__ = ["References"]

_MEDIA_TYPES = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "arrow": "application/vnd.apache.arrow.file",
    "feather": "application/vnd.apache.arrow.file",
    "delta": "application/vnd.apache.parquet",
}
_ONE_READER = {"feather": "arrow"}
"""Formats that are read as another one."""


class References:
    """The references of one lake, as one reader follows them. Immutable; safe to share between threads."""

    def __init__(self, store: Store, lake_id: str, prefixes: tuple[str, ...]) -> None:
        """Follow addresses below ``prefixes``, in the lake's own bucket, and those registered by this user here."""
        self._options: Mapping[str, Any] = store.options
        self._trust = ReferenceTrust(lake_id, store.uri, prefixes)

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The trusted prefixes."""
        return self._trust.prefixes

    def register(self, uri: str | Path, *, kind: str | None = None, format: str | None = None) -> Stored:
        """Describe the object or folder at ``uri`` as it is now.

        An address that can't be reached now is registered with a warning; its content is then not pinned.

        Args:
            uri: ``s3://…``, ``gs://…``, ``az://…``, ``https://…`` or a local path (made absolute).
            kind: ``table`` or ``artifact``; by default by the file's ending.
            format: The format of a table (``parquet``, ``csv``, ``tsv``, ``arrow``, ``feather``, ``delta``) if the
                ending does not tell.

        Raises:
            InvalidInputError: If the address is empty or of a kind that can't be read, or a table's format is unknown;
                kind ``secret-in-address``: it holds credentials or a signature.
        """
        text = _absolute(uri)
        _refuse_secrets(text)
        format = _format(text, format, kind)
        details: dict[str, Any] = {"file_name": text.rstrip("/").rsplit("/", 1)[-1], SIGNATURE: self._trust.sign(text)}
        try:
            details |= self._observe(text, content=True)
        except LakefolioError as exc:
            if isinstance(exc, InvalidInputError):
                raise
            notice(
                LakefolioWarning(
                    f"reference {text!r} can't be reached now ({exc.message}); it is registered without size and"
                    " checksum",
                    kind="reference-unreachable",
                    hint="register it again once it can be reached",
                )
            )
        return Stored(
            kind=kind or ("table" if format in _MEDIA_TYPES else "artifact"),
            storage="reference",
            format=format,
            media_type=_MEDIA_TYPES.get(format, "application/octet-stream"),
            digest=details.get("sha256"),
            size_bytes=details.get("size_bytes"),
            stored_bytes=0,
            uri=text,
            details=details,
        )

    def taken_over(self, stored: Stored, source: References) -> Stored:
        """Return a reference of another lake as a reference of this lake; followed here if ``source`` follows it."""
        text = _absolute(stored.uri or "")
        details = {name: value for name, value in stored.details.items() if name != SIGNATURE}
        if source._trust.follows(text, stored.details.get(SIGNATURE)):
            details[SIGNATURE] = self._trust.sign(text)
        return dataclasses.replace(stored, details=details)

    def follows(self, entry: Entry) -> bool:
        """Say whether a reference is followed; no request."""
        try:
            return self._trust.follows(_absolute(entry.uri or ""), entry.details.get(SIGNATURE))
        except (InvalidInputError, OSError, ValueError):
            return False

    def load(self, entry: Entry, **options: Any) -> Any:
        """Return the content of a reference, checked: a table for tables, a local path for anything else.

        Raises:
            UntrustedContentError: kind ``untrusted-reference``, if it is not followed.
            IntegrityError: If it is no longer what was registered.
            NotFoundError: If it is gone.
        """
        path = self.local_path(entry)
        if entry.kind != "table":
            return path
        from lakefolio.items import external_tables

        return external_tables.read(path, entry.format or "parquet", **options)

    def local_path(self, entry: Entry) -> Path:
        """Return a local path with the content of a reference: the file itself, or a checked download.

        A download lives as long as the process. Raises like :meth:`load`.
        """
        self.check(entry)
        text = _absolute(entry.uri or "")
        if text.startswith("/"):
            return Path(text)
        folder = scratch_folder("lakefolio-ref-")
        atexit.register(_remove, folder, os.getpid())
        try:
            store, key = resolve_uri(text, self._options)
            if entry.details.get("objects") is None:
                target = folder / file_name_of(str(entry.details.get("file_name") or ""))
                store.fetch_to(key, target)
                return target
            for info in _under(store, key):
                target = folder / _inside(info.key.removeprefix(key.rstrip("/")).lstrip("/"), entry)
                target.parent.mkdir(parents=True, exist_ok=True)
                store.fetch_to(info.key, target)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder

    def check(self, entry: Entry) -> None:
        """Compare the content of a reference with the facts noted at registration. Raises like :meth:`load`."""
        if not self.follows(entry):
            raise _not_followed(entry)
        text = _absolute(entry.uri or "")
        noted = entry.details
        try:
            found = self._observe(text, content=False)
            if text.startswith("/") and noted.get("etag") != found.get("etag"):  # touched, copied or changed
                found = self._observe(text, content=True)
                found["etag"] = noted.get("etag")
        except NotFoundError as exc:
            raise ReferenceNotFoundError(
                f"reference {entry.ref} names {text!r}, which no longer exists",
                hint="the content lies outside of the lake; bring it back, or register it again",
                item=entry.item,
                uri=text,
            ) from exc
        if noted.get("version_id") and noted.get("version_id") == found.get("version_id"):
            return
        for fact in ("size_bytes", "objects", "etag", "sha256", "listing"):
            if noted.get(fact) is None or noted.get(fact) == found.get(fact, noted[fact] if text[0] == "/" else None):
                continue
            raise IntegrityError(
                f"reference {entry.ref} names {text!r}, whose {fact} is {found.get(fact)}, not {noted[fact]} as "
                "registered",
                kind="reference-changed",
                hint="the content changed outside of the lake; register it again with overwrite=True to accept it",
                item=entry.item,
                version=entry.version,
                uri=text,
            )

    def _observe(self, text: str, *, content: bool) -> dict[str, Any]:
        """Return the facts of the object at an address; with ``content`` also the SHA-256 of local files."""
        if text.startswith("/"):
            with named_failures(None):
                return _observe_local(Path(text), text, content=content)
        store, key = resolve_uri(text, self._options)
        if text.endswith("/"):
            return _remote_folder(_under(store, key), key, text)
        info = store.head(key)
        found = {"size_bytes": info.size_bytes, "etag": info.etag, "version_id": info.version}
        return {name: value for name, value in found.items() if value is not None}


def _not_followed(entry: Entry) -> UntrustedContentError:
    place = entry.uri or ""
    return UntrustedContentError(
        f"reference {entry.ref} names {place!r}, which is not followed: you did not register it on this host",
        kind="untrusted-reference",
        hint=f"if you trust who wrote it, open the lake with trust_references=[{_prefix_of(place)!r}], "
        "or set LAKEFOLIO_TRUST_REFERENCES",
        folio=entry.folio,
        item=entry.item,
        version=entry.version,
        uri=place,
    )


def _prefix_of(uri: str) -> str:
    """Return a prefix that covers an address: its bucket or host, or its folder."""
    scheme, mark, rest = uri.partition("://")
    if mark and scheme != "file":
        return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}"
    return str(PurePosixPath(rest if mark else uri).parent)


def _format(text: str, format: str | None, kind: str | None) -> str:
    """Return the format of the object at an address: the user's choice, else by the file's ending."""
    name = PurePosixPath(text.split("?", 1)[0]).name
    found = format or format_of(name)
    if found in _MEDIA_TYPES:
        return _ONE_READER.get(found, found)
    if kind != "table":
        return "file"
    folder = text.endswith("/") or (text.startswith("/") and Path(text).is_dir())
    if format is None and (folder or not PurePosixPath(name).suffix):
        return "parquet"
    raise InvalidInputError(
        f"reference {text!r} names no table: its format is " + ("unknown" if format is None else repr(format)),
        kind="bad-format",
        hint=f"give table_format= with one of {', '.join(_MEDIA_TYPES)}, or refer to it as an artifact",
        uri=text,
        format=format,
    )


def _utf8(path: str) -> str:
    if printable(path) != path:
        raise InvalidInputError(
            f"path {printable(path)!r} is not UTF-8, so that no reference can name it",
            kind="bad-path",
            hint="rename the file, or add it as a file under a name of its own",
            path=printable(path),
        )
    return path


def _refuse_secrets(text: str) -> None:
    if "://" in text and scrub_address(text) != text:
        raise InvalidInputError(
            f"reference {scrub_address(text)!r} was given with credentials or a signature, which would lie in the lake",
            kind="secret-in-address",
            hint="name it without them and give credentials as storage_options, or download it and add the file",
        )


def _absolute(uri: str | Path) -> str:
    text = str(uri)
    if not text:
        raise InvalidInputError("reference has an empty address", kind="bad-uri", hint="give a path or a URI")
    check_slashes(text, objects=True)
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    return text if is_uri(text) and not text.startswith("/") else _utf8(os.path.realpath(absolute_path(text)))


def _observe_local(path: Path, text: str, *, content: bool) -> dict[str, Any]:
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            return _local_folder(path, text, content=content)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise NotFoundError(f"there is no file {text!r}", kind="object-not-found", uri=text) from exc
    if not stat.S_ISREG(found.st_mode):
        raise InvalidInputError(f"{text!r} is a device, socket or pipe", kind="not-a-file", uri=text)
    facts: dict[str, Any] = {"size_bytes": found.st_size, "etag": _stamp(found)}
    return {**facts, "sha256": sha256_of_file(path)} if content else facts


def _stamp(found: os.stat_result) -> str:
    """Return a stamp of a local file that stays the same for as long as nothing writes to the file."""
    return f"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"


def _local_folder(root: Path, text: str, *, content: bool) -> dict[str, Any]:
    sizes, stamps, lines = [], [], []
    for path in _files_in(root):
        name, found = path.relative_to(root).as_posix(), path.stat()
        sizes.append(found.st_size)
        stamps.append(f"{name}\0{_stamp(found)}\n")
        if content:
            lines.append(f"{name}\0{found.st_size}\0{sha256_of_file(path)}\n")
    if not sizes:
        raise NotFoundError(f"folder {text!r} is empty", kind="object-not-found", uri=text)
    facts: dict[str, Any] = {"size_bytes": sum(sizes), "objects": len(sizes), "etag": _sha256("".join(stamps))}
    return {**facts, "listing": _sha256("".join(lines))} if content else facts


def _files_in(root: Path) -> Iterator[Path]:
    """Yield the regular files below a folder in the order of their names, including those behind links to folders."""
    found, seen = [], set()
    for folder, folders, names in os.walk(root, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        found += [path for path in (Path(folder, name) for name in names) if path.is_file()]
    return iter(sorted(found, key=lambda path: os.fsencode(path.relative_to(root))))


def _remote_folder(objects: list[ObjectInfo], key: str, text: str) -> dict[str, Any]:
    if not objects:
        raise NotFoundError(f"folder {text!r} is empty or does not exist", kind="object-not-found", uri=text)
    below = key.rstrip("/")
    lines = (f"{info.key.removeprefix(below).lstrip('/')}\0{info.size_bytes}\0{info.etag}\n" for info in objects)
    return {
        "size_bytes": sum(info.size_bytes for info in objects),
        "objects": len(objects),
        "listing": _sha256("".join(lines)),
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _under(store: Store, key: str) -> list[ObjectInfo]:
    prefix = key.rstrip("/")
    return sorted(store.list(f"{prefix}/" if prefix else ""), key=lambda info: info.key)


def _inside(name: str, entry: Entry) -> str:
    """Return the name of a download below its folder, if it stays there."""
    if not name or any(part in ("", ".", "..") or "\\" in part for part in name.split("/")):
        raise IntegrityError(
            f"reference {entry.ref} holds {name!r}, a name that leaves the folder",
            kind="unsafe-member",
            item=entry.item,
        )
    return name


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # a forked child leaves the downloads of its parent alone
        shutil.rmtree(folder, ignore_errors=True)
