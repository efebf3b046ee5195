"""Which versions of the read models a reader takes: a text that ``_last_checkpoint`` of the journal carries.

It lets a lake be opened without a request for its models, and the first lookup in one cost one. It only saves requests:
without it the newest versions are looked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lakefolio.readmodels.models import ENTRIES, MODELS
from lakefolio.readmodels.runs import Run
from lakefolio.readmodels.table import NOTHING, Published, runs_of, runs_to_plain
from lakefolio.readmodels.totals import TOTALS

__all__ = ["Catalogue"]

_NOTED_BYTES: Final = 64 << 10
"""So much of runs is noted beside the checkpoint: each noted model saves a reader a request."""

_NAMES: Final = tuple(model.name for model in MODELS)
_MAY_LACK: Final = TOTALS.name
"""The model that a lake of an earlier writer lacks, and whose rows are those of one version only."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Which versions of the read models to read.

    Attributes:
        through: The journal version that all of them hold; -1 for none.
        versions: The version of each model's table; -1 of one that is lacking.
        runs: The runs of models that are known without reading the log entries of these versions.
    """

    through: int
    versions: tuple[int, ...]
    runs: Mapping[str, tuple[Run, ...]] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, published: Mapping[str, Published]) -> Catalogue:
        """Return that of versions which were read or made."""
        through = min(published[name].through for name in _NAMES if name != _MAY_LACK)
        known = {name: published[name] for name in _NAMES}
        if known[_MAY_LACK].through != through:
            known[_MAY_LACK] = NOTHING
        runs = {name: one.runs for name, one in known.items() if one is not NOTHING}
        return cls(through, tuple(one.version for one in known.values()), runs)

    def to_json(self) -> str:
        """Return it as a text, with the runs of as many models as there is room for: entries, then the small ones."""
        runs: dict[str, Any] = {}
        room = _NOTED_BYTES
        plain = {name: runs_to_plain(some) for name, some in self.runs.items()}
        for name in sorted(plain, key=lambda one: (one != ENTRIES.name, len(plain[one]), one)):
            room -= len(json.dumps(plain[name]))
            if room >= 0:
                runs[name] = plain[name]
        versions = {name: one for name, one in zip(_NAMES, self.versions, strict=True) if one >= 0}
        return json.dumps({"through": self.through, "versions": versions, "runs": runs}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | None) -> Catalogue | None:
        """Read such a text; None if it is none, or does not speak of all models that each lake has."""
        try:
            value = json.loads(text or "null")
            through, told = value["through"], {_MAY_LACK: -1, **value["versions"]}
            versions = tuple(told[name] for name in _NAMES)
            noted = value.get("runs") or {}
            runs = {model.name: runs_of(model, noted[model.name]) for model in MODELS if model.name in noted}
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        numbers = (through, *(one for name, one in zip(_NAMES, versions, strict=True) if name in value["versions"]))
        return cls(through, versions, runs) if all(type(one) is int and one >= 0 for one in numbers) else None
