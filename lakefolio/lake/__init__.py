"""The lake: ``lake`` has the class and how it is opened, ``upkeep`` what keeps it well."""

from lakefolio.lake.lake import Lake, open_lake

__all__ = ["Lake", "open_lake"]
