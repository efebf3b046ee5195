"""The snapshots of a folio as a mapping of views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakefolio.folio.folio import Folio

__all__ = ["SnapshotAccessor", "SnapshotView"]


class SnapshotView:
    """One snapshot of a folio, read-only. Its state never changes."""

    def __init__(self, folio: Folio, name: str) -> None:
        self._folio = folio
        self._info = folio.get_snapshot_info(name)

    @property
    def name(self) -> str:
        """Its name."""
        return str(self._info["name"])

    @property
    def description(self) -> str | None:
        """Why it was taken."""
        return self._info.get("description")

    @property
    def tags(self) -> list[str]:
        """Its tags."""
        return list(self._info["tags"])

    @property
    def timestamp(self) -> str:
        """When it was taken, ISO 8601 in UTC."""
        return str(self._info["timestamp"])

    @property
    def version(self) -> int:
        """The lake version that it protects."""
        return int(self._info["version"])

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata that the folio had."""
        return dict(self._info["metadata_snapshot"])

    @property
    def item_versions(self) -> dict[str, str]:
        """The items that the folio had, each with the digest of its content or the id of its entry."""
        return dict(self._info["item_versions"])

    @property
    def folio(self) -> Folio:
        """The folio as it was, read-only."""
        return self._folio.get_snapshot(self.name)

    def get(self, name: str, **options: Any) -> Any:
        """Return an item as it was."""
        return self.folio.get_data(name, **options)

    def get_table(self, name: str, **options: Any) -> Any:
        """Return a table as it was."""
        return self.folio.get_table(name, **options)

    def __repr__(self) -> str:
        return f"SnapshotView({self.name!r}, version={self.version}, items={len(self.item_versions)})"


class SnapshotAccessor(Mapping[str, SnapshotView]):
    """The snapshots of a folio as a read-only mapping, oldest first."""

    def __init__(self, folio: Folio) -> None:
        self._folio = folio

    def _names(self) -> list[str]:
        return [one.name for one in self._folio._core.reading.state().snapshots(self._folio.name)]

    def __getitem__(self, name: str) -> SnapshotView:
        return SnapshotView(self._folio, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def _ipython_key_completions_(self) -> list[str]:
        return self._names()

    def __repr__(self) -> str:
        return f"SnapshotAccessor({', '.join(self._names()) or 'no snapshots'})"
