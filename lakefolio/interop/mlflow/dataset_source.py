"""Items of a lake as sources of MLflow's datasets: ``mlflow.data.from_pandas(frame, source="lake:///…!flights:clean")``.

The version that is there when the dataset is made is noted with it; logged as an input of a run in the same lake, it is
the run's input there too.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow.data.dataset_source import DatasetSource

from lakefolio.interop.addresses import SCHEME, Address

if TYPE_CHECKING:
    from lakefolio.interop.tree import Place

__all__ = ["LakeDatasetSource"]


class LakeDatasetSource(DatasetSource):
    """An item at a version.

    Attributes:
        uri: Its address.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @staticmethod
    def _get_source_type() -> str:
        return SCHEME

    def load(self, dst_path: str | None = None) -> str:
        """Return a local, verified file or folder with the content, at ``dst_path`` if that is given.

        Raises:
            AddressNotFoundError: Nothing lies there.
        """
        address = Address.parse(self.uri)
        found = _place_at(address).local()
        if dst_path is None:
            return str(found)
        target = Path(dst_path) / found.name
        copy = shutil.copytree if found.is_dir() else shutil.copyfile
        return str(copy(found, target))

    @staticmethod
    def _can_resolve(raw_source: object) -> bool:
        return isinstance(raw_source, str) and raw_source.startswith(f"{SCHEME}://")

    @classmethod
    def _resolve(cls, raw_source: str) -> LakeDatasetSource:
        address = Address.parse(raw_source)
        if address.at is None and address.path:
            place = _place_at(address)
            if place.entry is not None:
                address = replace(address, at=str(place.entry.version))
        return cls(f"{SCHEME}://{address}")

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {"uri": self.uri}

    @classmethod
    def from_dict(cls, source_dict: dict[str, Any]) -> LakeDatasetSource:
        """Make it from the result of :meth:`to_dict`."""
        return cls(str(source_dict.get("uri")))


def _place_at(address: Address) -> Place:
    from lakefolio.interop.tree import find_place
    from lakefolio.lake import open_lake

    lake = open_lake(address.lake, create=False, read_only=True)
    return find_place(lake if address.at is None else lake.at(address.at), address)
