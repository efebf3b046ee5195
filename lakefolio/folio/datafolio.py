"""Methods of DataFolio that a lake does not need, or has under another name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakefolio.folio.folio import Folio
    from lakefolio.folio.open_folio import At

__all__ = [
    "cache_status",
    "cleanup_orphaned_versions",
    "clear_cache",
    "get_data_path",
    "get_item_path",
    "invalidate_cache",
    "refresh_cache",
]


def get_item_path(folio: Folio, /, name: str, *, at: At = None) -> str:
    """Return where an item can be read: ``item_path`` under another name."""
    return folio.item_path(name, at=at)


def get_data_path(folio: Folio, /, name: str, *, at: At = None) -> str:
    """Return where an item can be read: ``item_path`` under another name."""
    return folio.item_path(name, at=at)


def cleanup_orphaned_versions(folio: Folio, /, dry_run: bool = False) -> list[str]:
    """Return no names: ``Lake.gc`` finds and frees unused content, for the whole lake.

    Args:
        dry_run: Accepted for DataFolio.
    """
    return []


def cache_status(folio: Folio, /, item_name: str | None = None) -> dict[str, Any] | None:
    """Return None, as DataFolio does without a cache: local copies are never stale."""
    return None


def clear_cache(folio: Folio, /, item_name: str | None = None) -> None:
    """Do nothing: local copies are verified at each use, bounded, and may be deleted at any time."""


def invalidate_cache(folio: Folio, /, item_name: str) -> None:
    """Do nothing; see ``clear_cache``."""


def refresh_cache(folio: Folio, /, item_name: str) -> None:
    """Do nothing; see ``clear_cache``."""
