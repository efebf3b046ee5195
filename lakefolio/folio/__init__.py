"""The folio: a named bundle of items, as notebooks use it; also the class that DataFolio users know.

``folio`` has the class, which binds the functions of the other modules as its methods: ``adding`` and its siblings put
items in, ``reading`` gets them out, ``item_facts`` tells the facts about them, ``changing`` renames, describes and
deletes them, ``folio_snapshots`` and ``copy_folio`` keep and copy the whole folio. All of them work on an
``open_folio.OpenFolio``.
"""

from lakefolio.folio.folio import Folio, folio_in

__all__ = ["Folio", "folio_in"]
