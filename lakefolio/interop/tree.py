"""A lake as a tree of files: the place at an address, the places below it, and its verified bytes as a local file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakefolio.errors import AddressIsFolderError, AddressNotFoundError, nearest
from lakefolio.format.names import new_id
from lakefolio.interop.addresses import SCHEME, Address
from lakefolio.process.scratch import private_folder

if TYPE_CHECKING:
    from lakefolio.lake import Lake
    from lakefolio.model.entries import Entry

__all__ = ["Info", "Place", "find_place", "is_folder"]

Info = dict[str, Any]
"""``name`` (an address as fsspec names it), ``size`` in bytes, ``type`` (``file`` or ``directory``), and of an item
``kind``, ``version``, ``digest`` and ``created``."""


def find_place(lake: Lake, address: Address) -> Place:
    """Find the place that an address names: an item, a file in a folder item, or a level of names, which may be empty.

    Args:
        lake: The lake, at the version that the address names.
        address: The address.
    """
    entries = {entry.item: entry for entry in lake.items(address.folio)} if address.folio else {}
    head = address.path
    while head:
        entry = entries.get(head)
        if entry is not None and (head == address.path or entry.kind == "directory"):
            return Place(address, lake, entries, entry, address.path[len(head) + 1 :])
        head = head.rpartition("/")[0]
    return Place(address, lake, entries)


@dataclass(frozen=True)
class Place:
    """The place that an address names in a lake at one version.

    Attributes:
        address: The address.
        lake: The lake at the version that it names.
        entries: The items of its folio, by name.
        entry: The item that it is, or that it lies in; None for a level of names.
        inner: The path in a folder item; empty for the item itself.
    """

    address: Address
    lake: Lake
    entries: Mapping[str, Entry]
    entry: Entry | None = None
    inner: str = ""

    def local(self) -> Path:
        """Return a verified, read-only local file or folder with the content.

        Raises:
            AddressNotFoundError: Nothing lies here.
            InvalidInputError: kind ``wrong-kind``: a level of names has no content.
        """
        if self.entry is None:
            raise is_folder(self.address) if self.exists else self.missing()
        folio = self.lake.folio(self.entry.folio)
        if self.entry.storage == "reference":
            suffix = ".parquet" if self.entry.kind == "table" else ""
            found = folio.export(self.entry.item, private_folder() / f"{new_id()}{suffix}")
        else:
            found = Path(folio.item_path(self.entry.item))
        if not self.inner:
            return found
        try:
            inside = (found / self.inner).resolve()
            if inside.is_relative_to(found.resolve()) and inside.exists():
                return inside
        except (OSError, ValueError):  # a name that no file can have
            pass
        raise self.missing()

    def level(self) -> Iterator[Info]:
        """Give the names one level below a folio's or an item's name."""
        address = self.address
        if address.path:
            yield from self._items(f"{address.path}/")
            return
        before = f"{address.folio}/" if address.folio else ""
        below = {name[len(before) :].partition("/")[0] for name in self.lake.folios() if name.startswith(before)}
        yield from (_folder(replace(address, folio=before + name)) for name in below)
        yield from self._items("")

    def _items(self, before: str) -> Iterator[Info]:
        levels = set()
        for name, entry in self.entries.items():
            if not name.startswith(before):
                continue
            head, mark, _ = name[len(before) :].partition("/")
            if not mark:
                yield _entry_info(replace(self.address, path=name), entry)
            elif head not in levels and before + head not in self.entries:
                levels.add(head)
                yield _folder(replace(self.address, path=before + head))

    @property
    def exists(self) -> bool:
        """Whether anything lies here. A lake does, also an empty one; a file in a folder item is not looked for."""
        return self.entry is not None or not self.address.folio or any(True for _ in self.level())

    def info(self) -> Info:
        """Return the facts about it.

        Raises:
            AddressNotFoundError: Nothing lies here.
        """
        if self.entry is None:
            if not self.exists:
                raise self.missing()
            return _folder(self.address)
        return _file_info(self.address, self.local()) if self.inner else _entry_info(self.address, self.entry)

    def listed(self) -> list[Info]:
        """Return the places one level below; of a file, itself.

        Raises:
            AddressNotFoundError: Nothing lies here.
        """
        if self.entry is None:
            if not self.exists:
                raise self.missing()
            return list(self.level())
        if not self.inner and self.entry.kind != "directory":
            return [_entry_info(self.address, self.entry), *self._items(f"{self.address.path}/")]
        local = self.local()
        if not local.is_dir():
            return [_file_info(self.address, local)]
        return [
            _file_info(replace(self.address, path=f"{self.address.path}/{one.name}"), one) for one in local.iterdir()
        ]

    def missing(self) -> AddressNotFoundError:
        """Make the error that says that nothing lies here, and names the nearest."""
        address = self.address
        folios = self.lake.folios()
        if address.path and self.entries:
            close = nearest(address.path, self.entries)
        else:
            close = nearest(address.folio, folios) if folios else "the lake is empty"
        return AddressNotFoundError(
            f"nothing lies at {SCHEME}://{address}",
            hint=close,
            folio=address.folio or None,
            item=address.path or None,
            uri=f"{SCHEME}://{address}",
        )


def _folder(address: Address) -> Info:
    return {"name": str(address), "size": 0, "type": "directory"}


def _entry_info(address: Address, entry: Entry) -> Info:
    folder = entry.kind == "directory"
    return {
        "name": str(address),
        "size": 0 if folder else entry.size_bytes,
        "type": "directory" if folder else "file",
        "kind": entry.kind,
        "version": entry.version,
        "digest": entry.digest,
        "created": entry.committed_at,
    }


def _file_info(address: Address, local: Path) -> Info:
    if local.is_dir():
        return _folder(address)
    return {"name": str(address), "size": local.stat().st_size, "type": "file"}


def is_folder(address: Address) -> AddressIsFolderError:
    """Make the error for reading a folder as a file."""
    return AddressIsFolderError(
        f"{SCHEME}://{address} is a folder, not a file",
        kind="wrong-kind",
        hint="fs.ls lists its members",
        uri=f"{SCHEME}://{address}",
    )
