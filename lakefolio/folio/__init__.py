"""The folio: a named bundle of items, as notebooks use it; also the class that DataFolio users know.

``folio`` has the class; its methods are grouped by what people do: ``putting``, ``adding``, ``tables`` and ``models``
put items in, ``reading`` gets them out, ``curating`` updates and deletes, ``snapshots`` and ``copies`` keep and copy.
"""

from lakefolio.folio.folio import Folio

__all__ = ["Folio"]
