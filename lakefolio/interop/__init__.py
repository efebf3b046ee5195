"""Interfaces to other tools: fsspec addresses, MLflow's stores, importers and published descriptions.

Everything here stands on the public facade (``lakefolio.lake``, ``lakefolio.folio``). Other people's libraries are
imported by the one module that serves them, and only when it is used.
"""

__all__: list[str] = []
