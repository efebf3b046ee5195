"""Addresses of lakes, folios and items for tools that only know URLs (pure: no I/O).

``lake:///abs/path!folio:item@version`` and ``lake://s3://bucket/prefix!folio:item``: after the scheme stands the lake
as ``lakefolio.open`` takes it, then ``!``, then a reference. ``lake:///abs/path`` is the lake, ``…!folio`` a folio.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["SCHEME", "Address"]

SCHEME = "lake"


@dataclass(frozen=True, slots=True)
class Address:
    """A place in a lake.

    Attributes:
        lake: The lake, as ``lakefolio.open`` takes it.
        folio: The folio, or the first parts of the names of some; empty for the lake itself.
        path: The item, the first parts of the names of some, or a file in a folder item; empty for the folio itself.
        at: The version, snapshot or time, or None for the newest.
    """

    lake: str
    folio: str = ""
    path: str = ""
    at: str | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Parse an address, with or without ``lake://``. The first ``!`` ends the lake; nothing is refused here."""
        text = text.removeprefix(f"{SCHEME}://")
        lake, _, ref = text.partition("!")
        body, mark, at = ref.rpartition("@")
        folio, _, path = (body if mark else ref).partition(":")
        return cls(lake.rstrip("/") or "/", folio.strip("/"), path.strip("/"), at if mark else None)

    def __str__(self) -> str:
        """The address as fsspec names things: without its scheme, but for a lake that has one of its own.

        Tools that put the scheme back (Hugging Face datasets) leave names with ``://`` as they are, and would ask
        another filesystem for ``s3://bucket/prefix!folio:item``.
        """
        lake = f"{SCHEME}://{self.lake}" if "://" in self.lake else self.lake
        if not self.folio:
            return lake if self.at is None else f"{lake}!@{self.at}"
        item = f":{self.path}" if self.path else ""
        return f"{lake}!{self.folio}{item}" + ("" if self.at is None else f"@{self.at}")

    @property
    def ref(self) -> str:
        """The reference ``folio:path``, without a version."""
        return f"{self.folio}:{self.path}"

    @property
    def parent(self) -> Address:
        """The place around this one: of an item its folio, of a folio the lake."""
        if self.path:
            return replace(self, path=self.path.rpartition("/")[0])
        return replace(self, folio=self.folio.rpartition("/")[0])
