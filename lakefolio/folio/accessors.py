"""Access to items by attribute and key, with completion: ``folio.data.results.content``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lakefolio.errors import NotFoundError, ReadOnlyError
from lakefolio.terminal import visible

if TYPE_CHECKING:
    from lakefolio.folio import Folio

__all__ = ["DataAccessor", "ItemProxy"]


class ItemProxy:
    """One item of a folio. Everything is looked up when asked for, so a proxy never goes stale."""

    __slots__ = ("_folio", "_name")

    def __init__(self, folio: Folio, name: str) -> None:
        self._folio = folio
        self._name = name

    @property
    def name(self) -> str:
        """The name of the item."""
        return self._name

    @property
    def ref(self) -> str:
        """The reference of exactly the present entry; ``inputs=[proxy]`` records it."""
        info = self.metadata
        return f"{self._folio.name}:{info['name']}@{info['lake_version']}"

    @property
    def content(self) -> Any:
        """The object that was stored; for a file or folder, the path of a verified local copy."""
        return self._folio.get_data(self._name)

    @property
    def lazy(self) -> Any:
        """The table as a polars LazyFrame; a ValueError for other items."""
        return self._folio.scan_table(self._name)

    @property
    def description(self) -> str | None:
        """The description of the item, or None."""
        return self.metadata.get("description")

    @property
    def tags(self) -> list[str]:
        """The tags of the item."""
        return list(self.metadata.get("tags", ()))

    @property
    def type(self) -> str:
        """The item type, such as ``included_table``, ``referenced_table``, ``numpy_array`` or ``model``."""
        return str(self.metadata["item_type"])

    @property
    def version(self) -> int:
        """The lake version that added the current content or words."""
        return int(self.metadata["lake_version"])

    @property
    def path(self) -> str | None:
        """Where a reference points to, or the path of a local copy of a file; None for other items."""
        if self.type in ("referenced_table", "artifact"):
            return self._folio.item_path(self._name)
        return None

    @property
    def inputs(self) -> list[str]:
        """The items this one was made from."""
        return self._folio.get_inputs(self._name)

    @property
    def dependents(self) -> list[str]:
        """The items that were made from this one."""
        return self._folio.get_dependents(self._name)

    @property
    def metadata(self) -> dict[str, Any]:
        """Everything known about the item (see ``Folio.item_info``); a copy."""
        return self._folio.item_info(self._name)

    def __repr__(self) -> str:
        """Return name, type and description; never raises, because notebooks show it."""
        try:
            info = self.metadata
        except Exception:
            return f"ItemProxy({self._name!r}, missing)"
        words = f": {visible(info['description'], keep='')}" if info.get("description") else ""
        return f"ItemProxy({self._name!r}, type={info['item_type']!r}{words})"


class DataAccessor:
    """The items of a folio as attributes and keys. A name that is no identifier is reached as a key."""

    __slots__ = ("_folio",)
    _folio: Folio

    def __init__(self, folio: Folio) -> None:
        object.__setattr__(self, "_folio", folio)

    def __setattr__(self, name: str, value: object) -> None:
        raise ReadOnlyError(
            f"item {name!r} can't be set here: nothing would be recorded",
            kind="attribute-read-only",
            hint=f"write: folio.add({name!r}, value, overwrite=True)",
        )

    __setitem__ = __setattr__

    def __getattr__(self, name: str) -> ItemProxy:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        try:
            return self[name]
        except NotFoundError as missing:
            raise AttributeError(str(missing)) from None

    def __getitem__(self, name: str) -> ItemProxy:
        self._folio.require(name)
        return ItemProxy(self._folio, name)

    def __contains__(self, name: object) -> bool:
        return name in self._folio

    def __iter__(self) -> Iterator[str]:
        return iter(self._folio)

    def __len__(self) -> int:
        return len(self._folio)

    def __dir__(self) -> list[str]:
        """Complete the names of items that can be written as attributes."""
        return sorted({*object.__dir__(self), *(name for name in self._folio if name.isidentifier())})

    def _ipython_key_completions_(self) -> list[str]:
        return sorted(self._folio)

    def __repr__(self) -> str:
        contents = {section: names for section, names in self._folio.list_contents().items() if names}
        if not contents:
            return "DataAccessor(no items)"
        return "\n".join(
            [
                "DataAccessor:",
                *(visible(f"  {section}: {', '.join(sorted(names))}") for section, names in contents.items()),
            ]
        )
