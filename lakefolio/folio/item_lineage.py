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
    """Return the items of this folio whose present entries have an item as input, the oldest entry first."""
    _, entry = folio._core.find(item_name)
    return dependents(folio, entry.folio, entry.item)


def get_lineage_graph(folio: Folio, /) -> dict[str, list[str]]:
    """Return the inputs of every item, by its name."""
    reader = folio._core.reading
    names = ("input_id", "input_folio", "input_item", "input_uri")
    return {
        item: [folio._core.input_name(*(edge[name] for name in names)) for edge in inputs or ()]
        for item, inputs in reader.state().listing(folio.name, ("item", "inputs"))
    }


def dependents(folio: Folio, of_folio: str, item: str) -> list[str]:
    """Return the items of a folio whose present entries have an item as input."""
    users = folio._core.reading.state().users(of_folio, item)
    return [one for used_in, one in users if used_in == folio.name]


def provenance(folio: Folio, /, name: str, *, at: At = None) -> Provenance:
    """Return all that an item was made from, down to its sources, with the digest of each.

    It prints as a tree. ``save(path, key=…)`` writes it to one file, signed if a key is given, which
    ``lakefolio.verify_provenance`` and ``lakefolio verify`` verify without the lake. One SHA-256, ``root``, holds all
    of it.
    """
    from lakefolio.provenance.chain import provenance_of

    _, entry = folio._core.find(name, at)
    return provenance_of(folio._core.reading.steady(), entry)


def lineage(folio: Folio, /, name: str, *, depth: int | None = None, limit: int | None = None) -> Lineage:
    """Return the lineage of an item, a graph of exact versions; see ``Lake.lineage``.

    Args:
        name: The item.
        depth: How many steps to go each way at most.
        limit: How many nodes to return each way at most, the nearest. ``complete`` says whether these are all.
    """
    from lakefolio.session.history_queries import lineage_of

    return lineage_of(*folio._core.find(name), depth, limit)
