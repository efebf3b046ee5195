"""What a page is told of registered models: their newest versions, and who moved aliases when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from lakefolio.lake import Lake

__all__ = ["registered"]

MODELS: Final = 200
VERSIONS: Final = 50
MOVES: Final = 50
_NAMES: Final = """
select run_id, coalesce(name, run_id) as name from runs where run_id in (select unnest($ids))
"""


def registered(lake: Lake) -> dict[str, Any]:
    """Return models, each with its aliases, versions and moves of aliases; the newest first."""
    every = lake.models()
    models, runs = [], set()
    for model in every[:MODELS]:
        versions = model.versions()[::-1]
        runs |= {one.run_id for one in versions[:VERSIONS] if one.run_id}
        moves = model.history()
        models.append(
            {
                "name": model.name,
                "description": model.description,
                "aliases": model.aliases,
                "versions": [one.to_dict() for one in versions[:VERSIONS]],
                "version_count": len(versions),
                "moves": [
                    {name: getattr(one, name) for name in ("alias", "before", "after", "version", "moved_at", "author")}
                    for one in moves[:MOVES]
                ],
            }
        )
    names = dict(lake.sql(_NAMES, {"ids": sorted(runs)}).fetchall()) if runs else {}
    return {"models": models, "total": len(every), "run_names": names}
