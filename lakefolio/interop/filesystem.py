"""The fsspec filesystem ``lake://``: pandas, Polars, Dask, DuckDB and Hugging Face datasets read items by address.

Reading only. An item reads as the bytes that the lake stores: a table is a Parquet file, an array ``.npy``, plain
values JSON text, an artifact its own bytes; a folder item is a directory. Writing is refused: an address names neither
the kind, the inputs nor the description that an item has, so that writing through one would give a Parquet file where
the lake has a table.

Bytes are verified before the first of them is handed on, and lie in the local cache under their digest, so that
columns and row groups are read from there at random.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO, ClassVar, NoReturn

from fsspec.core import has_magic
from fsspec.spec import AbstractFileSystem
from fsspec.utils import glob_translate

from lakefolio.errors import (
    AddressNotFoundError,
    InvalidInputError,
    LakefolioError,
    LakeNotFoundError,
    NotFoundError,
    ReadOnlyError,
)
from lakefolio.format.digest import sha256_of_bytes
from lakefolio.format.layout import MARKER
from lakefolio.interop.addresses import SCHEME, Address
from lakefolio.interop.tree import Info, Place, find_place, is_folder
from lakefolio.lake import Lake, open_lake
from lakefolio.model.resolve import At

__all__ = ["LakeFileSystem"]


def _refused(doing: str) -> ReadOnlyError:
    return ReadOnlyError(
        f"{doing} by an address {SCHEME}://… is not possible: it reads",
        kind="read-only",
        hint="lakefolio.open(lake).folio(name).add(item, object), or lakefolio add",
    )


def _refusing(doing: str) -> Callable[..., NoReturn]:
    def refuse(self: object, *args: object, **options: object) -> NoReturn:
        """Refuse."""
        raise _refused(doing)

    return refuse


class LakeFileSystem(AbstractFileSystem):
    """Lakes as a tree of folios and items, read-only. Safe to share between threads.

    Args:
        at: A version, snapshot or time at which everything is read whose address does not name one.
        trust_references: Which references are followed, as for ``lakefolio.open``.
        **options: Those of fsspec, and the options of the store (endpoint, keys, …) as for ``lakefolio.open``.
    """

    protocol: ClassVar[str] = SCHEME
    root_marker = ""
    _OWN: ClassVar[tuple[str, ...]] = (
        *("skip_instance_cache", "use_listings_cache", "listings_expiry_time", "max_paths", "asynchronous", "loop"),
        *("batch_size", "auto_mkdir"),
    )

    def __init__(
        self, at: At | None = None, trust_references: str | Iterable[str] | None = None, **options: object
    ) -> None:
        super().__init__(**{name: value for name, value in options.items() if name in self._OWN})
        self._at = at
        self._trusted = trust_references
        self._options = {name: value for name, value in options.items() if name not in self._OWN}
        self._lakes: dict[str, Lake] = {}
        self._lock = threading.Lock()

    # -- names -----------------------------------------------------------------------------------------------

    @classmethod
    def _strip_protocol(cls, path: Any) -> object:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return str(_address(path))

    def unstrip_protocol(self, name: str) -> str:
        """Return an address with its scheme."""
        return f"{SCHEME}://{str(_address(name)).removeprefix(f'{SCHEME}://')}"

    @classmethod
    def _parent(cls, path: str) -> str:
        return str(_address(path).parent)

    # -- reading names --------------------------------------------------------------------------------------

    def _lake(self, address: Address) -> Lake:
        """Return the lake of an address at the version that it names; a folio's snapshots count before the lake's."""
        with self._lock:
            lake = self._lakes.get(address.lake)
            if lake is None:
                try:
                    lake = open_lake(
                        _place_of(address.lake),
                        storage_options=self._options or None,
                        create=False,
                        read_only=True,
                        trust_references=self._trusted,
                    )
                except LakeNotFoundError as exc:
                    if address.folio:
                        raise
                    hint = f"{SCHEME}://LAKE!FOLIO:ITEM: a ! ends the lake"
                    raise LakeNotFoundError(exc.message, kind=exc.kind, hint=hint, **exc.objects) from exc
                self._lakes[address.lake] = lake
        at = self._at if address.at is None else address.at
        if at is None:
            return lake
        if isinstance(at, str) and address.folio:
            named = next((one for one in lake.snapshots(address.folio) if one.name == at), None)
            if named is not None:
                return lake.at(named.target_version)
        try:
            return lake.at(at)
        except NotFoundError as exc:
            found = _item_version(lake, address, at)
            if found is None:  # to fsspec a version that is not there is a missing file
                raise AddressNotFoundError(exc.message, kind=exc.kind, hint=exc.hint, **exc.objects) from exc
            return lake.at(found)

    def _look(self, path: str) -> Place:
        address = _address(path)
        return find_place(self._lake(address), address)

    def info(self, path: str, **options: object) -> Info:
        """Return ``name``, ``size`` in bytes and ``type`` of a place; of an item also its facts.

        Raises:
            AddressNotFoundError: There is no such folio, item or version; also a FileNotFoundError.
        """
        return self._look(path).info()

    def ls(self, path: str, detail: bool = True, **options: object) -> list[Info] | list[str]:
        """List the folios of a lake, the items of a folio, or the files of a folder item; a file lists itself.

        Names with ``/`` are levels: ``plots/loss`` is ``loss`` in ``plots``. Archived items are listed as others.

        Raises:
            AddressNotFoundError: There is no such folio, item or version; also a FileNotFoundError.
        """
        found = sorted(self._look(path).listed(), key=lambda one: str(one["name"]))
        return found if detail else [one["name"] for one in found]

    def glob(self, path: str, maxdepth: int | None = None, **options: object) -> list[str] | dict[str, Info]:
        """Return the addresses that match a pattern, sorted: ``lake:///data/lake!flights:2026/*.parquet``.

        ``*`` stops at ``/``, ``**`` does not. The lake itself holds no pattern.
        """
        detail = bool(options.pop("detail", False))
        address = _address(path)
        folio, item = _matcher(address.folio), _matcher(address.path)
        root = Address(address.lake, "" if has_magic(address.folio) else address.folio, at=address.at)
        try:
            if not has_magic(address.ref):  # it may name a version of the item, which its folio has not
                return {str(address): self.info(path)} if detail else [str(self.info(path)["name"])]
            found = self.find(str(root), maxdepth=maxdepth, withdirs=True, detail=True)
        except FileNotFoundError:
            return {} if detail else []
        places = ((name, Address.parse(name)) for name in sorted(found))
        kept = {name: found[name] for name, place in places if folio(place.folio) and item(place.path)}
        return kept if detail else list(kept)

    def walk(
        self,
        path: str,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: str | Callable[[OSError], object] = "omit",
        **options: object,
    ) -> Iterator[tuple[str, Any, Any]]:
        """Give each level below a place as ``(root, dirs, files)``, as ``os.walk`` does; ``f"{root}/{name}"`` is there.

        So the names of folios right below a lake begin with ``!``, those of items right below a folio with ``:``, and
        if the address has a version, the names have it instead of the root. With ``detail`` each name has its facts.

        Raises:
            AddressNotFoundError: Nothing lies there, and ``on_error`` is ``"raise"``.
            InvalidInputError: kind ``bad-limit``: ``maxdepth`` is less than 1.
        """
        if maxdepth is not None and maxdepth < 1:
            raise InvalidInputError(f"maxdepth is {maxdepth}, expected 1 or more", kind="bad-limit", hint="or None")
        try:
            listing = self._look(path).listed()
        except OSError as exc:
            if on_error == "raise":
                raise
            if callable(on_error):
                on_error(exc)
            return
        root, detail = str(replace(_address(path), at=None)), bool(options.get("detail"))
        dirs: dict[str, Info] = {}
        files: dict[str, Info] = {}
        for info in sorted(listing, key=lambda one: str(one["name"])):
            level = dirs if info["type"] == "directory" else files
            level[info["name"][len(root) :].lstrip("/")] = info
        found = (root, dirs, files) if detail else (root, list(dirs), list(files))
        if topdown:
            yield found
        if maxdepth is None or maxdepth > 1:
            deeper = None if maxdepth is None else maxdepth - 1
            for name in found[1]:
                yield from self.walk(dirs[name]["name"], deeper, topdown, on_error, detail=detail)
        if not topdown:
            yield found

    # -- reading ---------------------------------------------------------------------------------------------

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: object = None,
        **options: object,
    ) -> BinaryIO:
        if mode != "rb":
            raise _refused("writing")
        place = self._look(path)
        local = place.local()
        if local.is_dir():
            raise is_folder(place.address)
        return local.open("rb")

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: object) -> bytes:
        """Return the bytes of an item, verified, or some of them; ends count as those of a slice."""
        with self._open(path) as file:
            if start is None and end is None:
                return file.read()
            size = os.fstat(file.fileno()).st_size
            first, last, _ = slice(start, end).indices(size)
            file.seek(first)
            return file.read(max(0, last - first))

    def created(self, path: str) -> object:
        """Return when the version of an item was committed, in UTC."""
        return self.info(path).get("created")

    modified = created

    def ukey(self, path: str) -> str:
        """Return a text that is another one when the content is another one: the item's digest."""
        info = self.info(path)
        return str(info.get("digest") or info["name"])

    def checksum(self, path: str) -> int:
        """Return a number that is another one when the content is another one."""
        return int(sha256_of_bytes(self.ukey(path).encode()).rpartition(":")[2], 16)

    # -- writing is refused ----------------------------------------------------------------------------------

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Refuse, unless the place exists and may."""
        if not (exist_ok and self.exists(path)):
            raise _refused("making a folder")

    mkdir = _refusing("making a folder")
    rmdir = rm = rm_file = _refusing("removing")
    cp_file = _refusing("copying")
    mv = _refusing("moving")
    touch = _refusing("writing")


def _address(path: str | os.PathLike[str]) -> Address:
    """Parse an address, which may be a path; a TypeError for what can be none, as Python's own ``open`` raises."""
    return Address.parse(os.fsdecode(path))


def _place_of(lake: str) -> str:
    """Return where the lake of an address lies; Hugging Face datasets lose the first ``/`` when they stream.

    Raises:
        InvalidInputError: kind ``ambiguous-lake``: one lies there with the ``/``, and another one without.
    """
    if "://" in lake or os.path.isabs(lake):
        return lake
    there = [one for one in (lake, f"/{lake}") if os.path.exists(os.path.join(one, MARKER))]
    if len(there) == 2 and not os.path.samefile(*there):
        raise InvalidInputError(
            f"{SCHEME}://{lake} may be the lake {os.path.abspath(lake)!r} or {there[1]!r}",
            kind="ambiguous-lake",
            hint="change the working directory: a tool lost the first /, or a relative path was meant",
        )
    return there[0] if there else lake


def _item_version(lake: Lake, address: Address, at: At) -> int | None:
    """Return the lake's version that put the version of an item which ``at`` names by number, label or alias."""
    head = address.path
    while head:
        try:
            return lake.item(f"{address.folio}:{head}", at=at).version
        except LakefolioError:
            head = head.rpartition("/")[0]  # of a file in a folder item the folder has the versions
    return None


def _matcher(pattern: str) -> Callable[[str], object]:
    try:
        return re.compile(glob_translate(pattern)).match
    except ValueError as exc:
        raise InvalidInputError(f"{pattern!r} is no pattern: {exc}", kind="bad-pattern", hint="write **/*.txt") from exc
