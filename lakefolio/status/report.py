"""The stale items of a lake: as text, as HTML, as frames (pure: no I/O)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, overload

from lakefolio.render import html
from lakefolio.render.report import AsFrames, AsText
from lakefolio.render.text import counted
from lakefolio.terminal import cell_count, padded, visible

if TYPE_CHECKING:
    import pyarrow as pa

    from lakefolio.status.staleness import Cause, Stale, StaleItems

__all__ = ["Status"]

_SHOWN: Final = 50
_SHOWN_OF_CYCLE: Final = 10
_HEADINGS: Final = ("step", "item", "because")


class Status(AsFrames, AsText, Sequence["Stale"]):
    """The stale items of a lake or a folio, in the order to make them again; see ``Lake.status``.

    Attributes:
        version: The lake version that was looked at.
        folio: The folio, or None for the whole lake.
        item_count: How many items were looked at.
        cycles: Items that are made of each other, each as ``folio:item``: no order makes all of them current.
        commands: What was called to make the stale items, each once, in the order to call it again; of the first 20
            runs. The name of a run whose command is not known.
    """

    def __init__(
        self,
        version: int,
        folio: str | None,
        item_count: int,
        stale: StaleItems,
        commands: Mapping[str, str] | None = None,
    ) -> None:
        self.version = version
        self.folio = folio
        self.item_count = item_count
        self._stale = stale
        self.commands = tuple(dict.fromkeys((commands or {}).values()))
        self.cycles = tuple(tuple(f"{folio}:{item}" for folio, item in cycle) for cycle in stale.all_cycles())

    def __len__(self) -> int:
        return len(self._stale)

    def __iter__(self) -> Iterator[Stale]:
        return iter(self._stale)

    @overload
    def __getitem__(self, index: int) -> Stale: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Stale, ...]: ...

    def __getitem__(self, index: int | slice) -> Stale | tuple[Stale, ...]:
        return self._stale[index]

    @property
    def refs(self) -> list[str]:
        """The stale items as ``folio:item``, in order."""
        return [f"{one.folio}:{one.item}" for one in self._stale]

    def to_dict(self) -> dict[str, Any]:
        """The whole as JSON-able values."""
        return {
            "version": self.version,
            "folio": self.folio,
            "item_count": self.item_count,
            "stale": self._rows(),
            "cycles": [list(one) for one in self.cycles],
            "commands": list(self.commands),
        }

    def to_arrow(self) -> pa.Table:
        """Return the stale items as a pyarrow table.

        Columns: step (int64), ref, folio, item (string), version (int64), run_id (string), archived (bool),
        versions_behind (int64), seconds_behind (double), stale_since (timestamp, UTC), stale_inputs (list of string),
        causes (list of struct: ref, used_version, newest_version, versions_behind, seconds_behind, since,
        moved_to).
        Grain: one row per stale item.
        """
        import pyarrow as pa

        when = pa.timestamp("us", "UTC")
        behind = [("versions_behind", pa.int64()), ("seconds_behind", pa.float64())]
        cause = [("ref", pa.string()), ("used_version", pa.int64()), ("newest_version", pa.int64()), *behind]
        schema = pa.schema(
            [
                ("step", pa.int64()),
                *((name, pa.string()) for name in ("ref", "folio", "item")),
                ("version", pa.int64()),
                ("run_id", pa.string()),
                ("archived", pa.bool_()),
                *behind,
                ("stale_since", when),
                ("stale_inputs", pa.list_(pa.string())),
                ("causes", pa.list_(pa.struct([*cause, ("since", when), ("moved_to", pa.string())]))),
            ]
        )
        return pa.Table.from_pylist(self._rows(), schema=schema)

    def __str__(self) -> str:
        lines = [self._title()]
        cells = [_HEADINGS, *map(_cells, self._stale[:_SHOWN])]
        widths = [max(cell_count(row[column]) for row in cells) for column in range(2)]
        if self._stale:
            lines += [f"  {step:>{widths[0]}}  {padded(item, widths[1])}  {why}".rstrip() for step, item, why in cells]
        if len(self) > _SHOWN:
            lines.append(f"  … and {len(self) - _SHOWN:,} more; to_arrow() has them all")
        lines += ["to make them again, in this order:"] * bool(self.commands)
        lines += [f"  {' '.join(one.split())}" for one in self.commands]
        lines += [f"cycle: {_some(one)} are made of each other" for one in self.cycles]
        return visible("\n".join(lines))

    def _repr_html_(self) -> str:
        cycles = [html.muted(f"cycle: {_some(one)}") for one in self.cycles]
        if not self._stale:
            return html.block(html.muted(self._title()))
        rows = map(_cells, self._stale[:_SHOWN])
        again = [html.facts({"to make them again": "; ".join(self.commands)})] if self.commands else []
        return html.block(html.muted(self._title()), html.row_table(_HEADINGS, rows, total=len(self)), *again, *cycles)

    def _title(self) -> str:
        what = "lake" if self.folio is None else f"folio {self.folio}"
        stale = f"{len(self):,} of {counted(self.item_count, 'item')} {'is' if len(self) == 1 else 'are'} stale"
        return f"{what}, version {self.version}: {stale if self._stale else 'nothing is stale'}"

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "step": one.step,
                "ref": f"{one.folio}:{one.item}@{one.version}",
                "folio": one.folio,
                "item": one.item,
                "version": one.version,
                "run_id": one.run_id,
                "archived": one.archived,
                "versions_behind": max((cause.versions_behind for cause in one.causes), default=0),
                "seconds_behind": max(map(_seconds, one.causes), default=None, key=lambda value: value or 0.0),
                "stale_since": min((cause.since for cause in one.causes if cause.since is not None), default=None),
                "stale_inputs": [f"{folio}:{item}" for folio, item in one.stale_inputs],
                "causes": [
                    {
                        "ref": f"{cause.folio}:{cause.item}",
                        "used_version": cause.used_version,
                        "newest_version": cause.newest_version,
                        "versions_behind": cause.versions_behind,
                        "seconds_behind": _seconds(cause),
                        "since": cause.since,
                        "moved_to": cause.moved_to,
                    }
                    for cause in one.causes
                ],
            }
            for one in self._stale
        ]


def _cells(stale: Stale) -> tuple[str, str, str]:
    def named(folio: str, item: str) -> str:
        return item if folio == stale.folio else f"{folio}:{item}"

    reasons = [_reason(named(one.folio, one.item), one) for one in stale.causes]
    changed = {(one.folio, one.item) for one in stale.causes}
    reasons += [f"{named(*one)} is stale" for one in stale.stale_inputs if one not in changed]
    more = f" … and {len(reasons) - 3:,} more" if len(reasons) > 3 else ""
    return str(stale.step), f"{stale.folio}:{stale.item}@{stale.version}", "; ".join(reasons[:3]) + more


def _reason(name: str, cause: Cause) -> str:
    used = name if cause.used_version is None else f"{name}@{cause.used_version}"
    if cause.newest_version is None:
        return f"{used} is gone" if cause.moved_to is None else f"{used} is gone, {cause.moved_to} has its content"
    how = [counted(cause.versions_behind, "version")] if cause.versions_behind else []
    if cause.time_behind is not None:
        how.append(_amount(cause.time_behind))
    behind = f" ({', '.join(how)} behind)" if how else ""
    return f"{used} is now @{cause.newest_version}{behind}"


def _amount(time: timedelta) -> str:
    seconds = max(time.total_seconds(), 0.0)
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            return counted(int(seconds // size), unit)
    return "less than a minute"


def _seconds(cause: Cause) -> float | None:
    return None if cause.time_behind is None else cause.time_behind.total_seconds()


def _some(names: Sequence[str]) -> str:
    """Return names for people, or the first and how many there are."""
    more = len(names) - _SHOWN_OF_CYCLE
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:_SHOWN_OF_CYCLE])} and {more:,} more"
