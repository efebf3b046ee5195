"""The files of a published folio: each item's content as it is stored, under a name of its own."""

from __future__ import annotations

import itertools
import mimetypes
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import quote

from lakefolio.folio import Folio
from lakefolio.interop.importing.source_files import digest_of
from lakefolio.model.entries import Entry

__all__ = ["DATA", "PublishedFile", "address_of", "columns_of", "write_files"]

DATA: Final = "data"
_ENDINGS: Final = {"table": ".parquet", "array": ".npy", "sparse": ".npz", "json": ".json", "timestamp": ".json"}
_TYPES: Final = {
    ".parquet": "application/vnd.apache.parquet",
    ".npy": "application/x-npy",
    ".npz": "application/x-npz",
    ".json": "application/json",
    ".safetensors": "application/x-safetensors",
    ".skops": "application/x-skops",
}
_RESERVED: Final = "%:/?#[]@!$&'()*+,;="  # RFC 3986: these stay as they are


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file of a published folio.

    Attributes:
        entry: The item that it is, or is a part of.
        path: Its path below the published folder, or its address if it lies elsewhere.
        size_bytes: Its size; None if it lies elsewhere.
        sha256: Its digest, hex; None if it lies elsewhere.
        media_type: Its media type.
    """

    entry: Entry
    path: str
    size_bytes: int | None
    sha256: str | None
    media_type: str

    @property
    def is_local(self) -> bool:
        """Whether it lies in the published folder."""
        return self.sha256 is not None


def address_of(place: str) -> str:
    """Return where something lies elsewhere as an address that others' tools accept."""
    if "://" in place:
        return quote(place, safe=_RESERVED, errors="backslashreplace")
    return f"file://{quote(place, errors='backslashreplace')}"


def write_files(folio: Folio, entries: Iterable[Entry], target: Path) -> list[PublishedFile]:
    """Write the content of items below ``target``, verified; references stay where they lie."""
    found = []
    names = _Names()
    for entry in entries:
        if entry.storage == "reference":
            uri = address_of(str(entry.uri))
            found.append(PublishedFile(entry, uri, entry.size_bytes, None, entry.media_type or _type_of(uri)))
            continue
        place = target / DATA / names.of(_file_name(entry))
        place.parent.mkdir(parents=True, exist_ok=True)
        folio.export(entry.item, place)
        found += [_file(entry, path, target) for path in _files_of(place)]
    return found


class _Names:
    """Gives each item a path that no other has, is in, or holds, also where case and accents do not count."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def of(self, wanted: str) -> str:
        """Return the path for an item: the wanted one, or one like it."""
        path = PurePosixPath(wanted)
        flat = wanted.replace("/", "%2F")
        stem, ending = flat.removesuffix(path.suffix), path.suffix
        tries = itertools.chain((wanted, flat), (f"{stem}-{number}{ending}" for number in itertools.count(2)))
        return next(one for one in tries if self._take(one))

    def _take(self, path: str) -> bool:
        plain = PurePosixPath(unicodedata.normalize("NFC", path.casefold()))
        above = {str(one) for one in plain.parents} - {"."}
        if str(plain) in self._files or str(plain) in self._folders or above & self._files:
            return False
        self._files.add(str(plain))
        self._folders |= above
        return True


def _files_of(place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from (one for one in sorted(place.rglob("*")) if one.is_file() and not one.is_symlink())
    else:
        yield place


def _file(entry: Entry, path: Path, target: Path) -> PublishedFile:
    own = entry.media_type if entry.kind == "artifact" else None
    return PublishedFile(
        entry,
        path.relative_to(target).as_posix(),
        path.stat().st_size,
        digest_of(path, "sha256"),
        own or _type_of(path.name),
    )


def _file_name(entry: Entry) -> str:
    """Return the name of an item's file: the item's, ending as its content does."""
    ending = _ENDINGS.get(entry.kind) or ""
    if not ending and entry.kind not in ("artifact", "directory") and (entry.format or "").isalnum():
        ending = f".{entry.format}"
    if entry.kind == "artifact":
        original = entry.details.get("filename")
        ending = Path(original).suffix if isinstance(original, str) else ""
    return entry.item if entry.item.endswith(ending) else entry.item + ending


def _type_of(name: str) -> str:
    return _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def columns_of(entry: Entry) -> list[tuple[str, str]]:
    """Return name and type of a table's columns, as its handler recorded them."""
    columns = entry.details.get("columns")
    found: list[object] = columns if isinstance(columns, list) else []
    return [(str(one["name"]), str(one.get("dtype"))) for one in found if isinstance(one, dict) and "name" in one]
