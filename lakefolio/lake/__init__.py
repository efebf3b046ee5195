"""The lake: ``lake`` has the class and how it is opened; its methods are functions of the modules beside it.

``reading`` reads a lake, ``versions`` has its history, ``querying`` and ``finding_runs`` find items and runs,
``tracking_runs`` records runs, ``registering`` and ``models`` name models, ``maintaining`` keeps it well.
"""

from lakefolio.lake.lake import Lake, open_lake

__all__ = ["Lake", "open_lake"]
