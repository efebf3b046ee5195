"""The points of metrics as pages draw them; those of the runs last looked at are kept in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from lakefolio.format.sql_text import sql_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lakefolio.lake import Lake

    Curve = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
    """The steps of a curve, seconds from the run's first point, and values: arrays of equal length."""

__all__ = ["KeptPoints"]

_KEPT_POINTS: Final = 4_000_000


class KeptPoints:
    """The points of some runs by metric. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._points: OrderedDict[tuple[str, str], dict[str, Curve]] = OrderedDict()

    def of(self, lake: Lake, ids: Sequence[str]) -> dict[str, dict[str, Curve]]:
        """Return run -> metric -> curve, reading the runs that are not kept."""
        version = str(lake.version)  # a run that goes on has more points at the next
        with self._lock:
            found = {one: self._points[version, one] for one in ids if (version, one) in self._points}
        missing = [one for one in dict.fromkeys(ids) if one not in found]
        if missing:
            read = _points(lake, missing)
            with self._lock:
                for run_id, metrics in read.items():
                    self._points[version, run_id] = metrics
                while sum(map(_size, self._points.values())) > _KEPT_POINTS and len(self._points) > len(ids):
                    self._points.popitem(last=False)
            found |= read
        return {one: found[one] for one in dict.fromkeys(ids)}


def _points(lake: Lake, ids: list[str]) -> dict[str, dict[str, Curve]]:
    """Read the points of some runs by one query."""
    import numpy as np

    named = ", ".join(map(sql_text, ids))  # as literals: DuckDB holds the rows of a query with parameters one by one
    points = lake.sql(
        f"select (list_position([{named}], run_id) - 1)::integer as run, name, step::double as step, value, "
        f"epoch_us(logged_at) as at from metrics where run_id in ({named}) order by run, name, batch, ordinal"
    ).to_arrow_table()
    names = points.column("name").combine_chunks().dictionary_encode()
    runs, codes = points.column("run").to_numpy(), names.indices.to_numpy()
    steps, values, at = (points.column(name).to_numpy().astype(np.float64) for name in ("step", "value", "at"))
    found: dict[str, dict[str, Curve]] = {one: {} for one in ids}
    if not len(runs):
        return found
    begins = np.flatnonzero((np.diff(runs, prepend=-1) != 0) | (np.diff(codes, prepend=-1) != 0))
    first = {int(run): float(at[runs == run].min()) for run in np.unique(runs)}
    for begin, end in zip(begins, [*begins[1:], len(runs)], strict=True):
        run, own = int(runs[begin]), steps[begin:end]
        own = np.where(np.isnan(own), np.arange(end - begin), own)
        name = names.dictionary[int(codes[begin])].as_py()
        found[ids[run]][name] = (own, (at[begin:end] - first[run]) / 1e6, values[begin:end])
    return found


def _size(points: Mapping[str, Curve]) -> int:
    return sum(len(values) for _, _, values in points.values())
