"""The inputs and the dependents of the items of a folio."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakefolio.folio.folio import Folio
    from lakefolio.folio.open_folio import At
    from lakefolio.lineage.graph import Lineage
    from lakefolio.provenance.chain import Provenance

__all__ = ["dependents", "get_dependents", "get_inputs", "get_lineage_graph", "lineage", "provenance"]


def get_inputs(folio: Folio, /, item_name: str) -> list[str]:
    """Return the inputs of an item: names of this folio, ``folio:name``, or URIs."""
    return folio._core.inputs_of(*folio._core.find(item_name))


def get_dependents(folio: Folio, /, item_name: str) -> list[str]:
    """Return the items of this folio whose present entries have an item as input, in order of addition."""
    folio._core.find(item_name)
    return dependents(folio).get(item_name, [])


def get_lineage_graph(folio: Folio, /) -> dict[str, list[str]]:
    """Return the inputs of every item, by its name."""
    reader = folio._core.reading
    names = ("input_id", "input_folio", "input_item", "input_uri")
    return {
        item: [folio._core.input_name(*(edge[name] for name in names)) for edge in inputs or ()]
        for item, inputs in reader.state().listing(folio.name, ("item", "inputs"))
    }


def dependents(folio: Folio) -> dict[str, list[str]]:
    """Return the dependents of every item that has some, by its name."""
    found: dict[str, list[str]] = {}
    for item, inputs in folio.get_lineage_graph().items():
        for name in inputs:
            found.setdefault(name, []).append(item)
    return found


def provenance(folio: Folio, /, name: str, *, at: At = None) -> Provenance:
    """Return all that an item was made from, down to its sources, with the digest of each.

    It prints as a tree. ``save(path, key=…)`` writes it to one file, signed if a key is given, which
    ``lakefolio.verify_provenance`` and ``lakefolio verify`` verify without the lake. One SHA-256, ``root``, holds all
    of it.
    """
    from lakefolio.provenance.chain import provenance_of

    _, entry = folio._core.find(name, at)
    return provenance_of(folio._core.reading.still(), entry)


def lineage(folio: Folio, /, name: str) -> Lineage:
    """Return the lineage of an item; see ``Lake.lineage``."""
    from lakefolio.session.history_queries import lineage_of

    return lineage_of(*folio._core.find(name))
