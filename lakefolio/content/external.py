"""Items whose content lies elsewhere: registered by address, checked when read, never copied (FORMAT.md, "References").

What is noted at registration (size, ETag, version id, and the SHA-256 of local files) is what ``get`` compares with, so
a reference gives the content that was registered or an error, never something else in silence.
"""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from lakefolio.errors import IntegrityError, InvalidInputError, LakefolioError, NotFoundError, ReferenceNotFoundError
from lakefolio.format.digest import sha256_of_file
from lakefolio.format.names import is_uri
from lakefolio.format.table_formats import format_of
from lakefolio.model.changes import Stored
from lakefolio.redaction import scrub_address
from lakefolio.storage import ObjectInfo, Store, resolve_uri
from lakefolio.storage.options import check_slashes

if TYPE_CHECKING:
    from lakefolio.model.entries import Entry

__all__ = ["check", "load", "local_path", "register"]

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


def register(
    uri: str | Path,
    storage_options: Mapping[str, Any] | None,
    *,
    kind: str | None = None,
    format: str | None = None,
) -> Stored:
    """Describe the object or folder at ``uri`` as it is now.

    An address that can't be reached now is registered with a warning; its content is then not pinned.

    Args:
        uri: ``s3://…``, ``gs://…``, ``az://…``, ``https://…`` or a local path (made absolute).
        storage_options: Options for stores of the lake's own kind.
        kind: ``table`` or ``artifact``; by default by the file's ending.
        format: The format of a table (``parquet``, ``csv``, ``tsv``, ``arrow``, ``feather``, ``delta``) if the ending
            does not tell.

    Raises:
        InvalidInputError: If the address is empty or of a kind that can't be read, or a table's format is unknown; kind
            ``secret-in-address``: it holds credentials or a signature.
    """
    text = _absolute(uri)
    _refuse_secrets(text)
    format = _format(text, format, kind)
    details: dict[str, Any] = {"file_name": text.rstrip("/").rsplit("/", 1)[-1]}
    try:
        details |= _observe(text, storage_options)
    except LakefolioError as exc:
        if isinstance(exc, InvalidInputError):
            raise
        warnings.warn(
            f"reference {text!r} can't be reached now ({exc.message}); it is registered without size and checksum",
            UserWarning,
            stacklevel=4,
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


def _format(text: str, format: str | None, kind: str | None) -> str:
    """Return the format of what lies at an address: as the user says, else by the file's ending."""
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


def load(entry: Entry, storage_options: Mapping[str, Any] | None, **options: Any) -> Any:
    """Return what a reference names, checked: a table for tables, a local path for anything else.

    Raises:
        IntegrityError: If it is no longer what was registered.
        NotFoundError: If it is gone.
    """
    path = local_path(entry, storage_options)
    if entry.kind != "table":
        return path
    from lakefolio.items import external_tables

    return external_tables.read(path, entry.format or "parquet", **options)


def local_path(entry: Entry, storage_options: Mapping[str, Any] | None) -> Path:
    """Return a local path with the content of a reference: the file itself, or a checked download.

    Raises:
        IntegrityError: If it is no longer what was registered.
        NotFoundError: If it is gone.
    """
    text = _absolute(entry.uri or "")
    check(entry, storage_options)
    if text.startswith("/"):
        return Path(text)
    folder = Path(tempfile.mkdtemp(prefix="lakefolio-ref-"))
    store, key = resolve_uri(text, storage_options)
    if entry.details.get("objects") is not None:
        for info in _under(store, key):
            target = folder / info.key.removeprefix(key).lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            store.fetch_to(info.key, target)
        return folder
    target = folder / (str(entry.details.get("file_name") or "content").replace("/", "_") or "content")
    store.fetch_to(key, target)
    return target


def check(entry: Entry, storage_options: Mapping[str, Any] | None) -> None:
    """Compare what a reference names with what was noted when it was registered.

    Raises:
        IntegrityError: If size, ETag, version or checksum differ.
        NotFoundError: If it is gone.
    """
    text = _absolute(entry.uri or "")
    noted = entry.details
    try:
        found = _observe(text, storage_options, digest=False)
    except NotFoundError as exc:
        raise ReferenceNotFoundError(
            f"reference {entry.ref} names {text!r}, which no longer exists",
            hint="the content lies outside of the lake; bring it back, or register it again",
            item=entry.item,
            uri=text,
        ) from exc
    same_version = noted.get("version_id") and noted.get("version_id") == found.get("version_id")
    for fact in ("size_bytes", "objects", "etag", "listing"):
        if noted.get(fact) is None or noted.get(fact) == found.get(fact) or same_version:
            continue
        if fact == "etag" and noted.get("sha256") and sha256_of_file(Path(text)) == noted["sha256"]:
            continue  # touched or copied, not changed
        raise IntegrityError(
            f"reference {entry.ref} names {text!r}, whose {fact} is {found.get(fact)}, not {noted[fact]} as registered",
            kind="reference-changed",
            hint="the content changed outside of the lake; register it again with overwrite=True to accept it",
            item=entry.item,
            version=entry.version,
            uri=text,
        )


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
    return text if is_uri(text) and not text.startswith("/") else str(Path(text).expanduser().resolve())


def _observe(text: str, storage_options: Mapping[str, Any] | None, *, digest: bool = True) -> dict[str, Any]:
    path = Path(text) if text.startswith("/") else None
    if text.endswith("/") or (path is not None and path.is_dir()):
        store, key = resolve_uri(text.rstrip("/") + "/", storage_options)
        return _folder(_under(store, key), text)
    store, key = resolve_uri(text, storage_options)
    info = store.head(key)
    found: dict[str, Any] = {"size_bytes": info.size_bytes, "etag": info.etag, "version_id": info.version}
    if path is not None and digest:
        found["sha256"] = sha256_of_file(path)
    return {name: value for name, value in found.items() if value is not None}


def _under(store: Store, key: str) -> list[ObjectInfo]:
    prefix = key.rstrip("/")
    return sorted(store.list(f"{prefix}/" if prefix else ""), key=lambda info: info.key)


def _folder(objects: list[ObjectInfo], text: str) -> dict[str, Any]:
    if not objects:
        raise NotFoundError(f"folder {text!r} is empty or does not exist", kind="object-not-found", uri=text)
    lines = "".join(f"{info.key}\0{info.size_bytes}\0{info.etag}\n" for info in objects)
    return {
        "size_bytes": sum(info.size_bytes for info in objects),
        "objects": len(objects),
        "listing": hashlib.sha256(lines.encode()).hexdigest(),
    }
