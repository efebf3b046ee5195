"""``%load_ext lakefolio``: tracking without a line of code, and SQL in cells.

``%load_ext lakefolio`` tracks the lake that the notebook has open, or the configured one if it exists, and calls it
``lake``; else the first lake that a cell opens, from the next cell on. That one is also tracked instead of the
configured one, unless this was read or added to meanwhile: then both are. A cell that has ``%load_ext lakefolio``
again, as after ``stop()`` and Run All, tracks again: IPython itself does not load what is loaded.

``%%lake`` makes a cell one SQL query over the lake; ``%%lake name`` keeps the answer in a variable; ``%lake URI`` opens
another lake and tracks it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import InvalidInputError, LakefolioError
from lakefolio.process.notice import say
from lakefolio.recording.tracking import Tracking, track
from lakefolio.runs.starting import RunSpec
from lakefolio.session.input_tracking import active_run
from lakefolio.session.session import session_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["load", "unload"]

_LOADS: Final = re.compile(r"^[ \t]*%?load_ext[ \t]+lakefolio\b", re.MULTILINE)


def load(shell: Any, open_lake: Callable[..., Any], lake_class: type) -> None:
    """Add the magics to a shell, and track its lake if there is one.

    Args:
        shell: IPython's.
        open_lake: ``lakefolio.open``.
        lake_class: The class of the lakes that a notebook may have open.
    """

    def opened() -> Any:
        lakes = [value for name, value in shell.user_ns.items() if isinstance(value, lake_class) and name[:1] != "_"]
        return lakes[-1] if lakes else None

    def begin(lake: Any) -> Tracking | None:
        session = session_of(lake)
        if not lake.read_only and active_run(session.place) is None:
            return track(session, RunSpec())
        return None

    def magic(line: str, cell: str | None = None) -> Any:
        word = line.strip()
        if cell is None:
            lake = open_lake(word or None)
            shell.user_ns["lake"] = lake
            begin(lake)
            return lake
        lake = opened()
        if lake is None:
            raise InvalidInputError("this notebook has no lake open", kind="no-lake", hint="run %lake URI first")
        if word and not word.isidentifier():
            raise InvalidInputError(
                f"{word!r} is no name of a variable", kind="bad-name", hint="write %%lake name, or %%lake alone"
            )
        found = lake.sql(cell).df()
        if word:
            shell.user_ns[word] = found
            return None
        return found

    def watch(_result: object = None) -> None:
        """Begin with the lake that a cell has opened, once there is one."""
        lake = opened()
        if lake is None or (assumed is not None and session_of(lake).place == session_of(assumed).place):
            return
        _unregister(shell, "post_run_cell")
        if tracked is not None and tracked.unused:
            tracked.stop()
            say(f"{session_of(assumed).uri} is not tracked any more: nothing was read from it or added to it")
        begin(lake)

    def again(info: Any) -> None:
        """Begin anew where a cell asks for it after ``stop()``, as the first one does in Run All."""
        lake = opened()
        if lake is not None and _LOADS.search(info.raw_cell or ""):
            begin(lake)

    _unregister(shell, "pre_run_cell")
    shell.events.register("pre_run_cell", again)
    shell.register_magic_function(magic, magic_kind="line_cell", magic_name="lake")
    lake = opened()
    assumed: Any = None
    tracked: Tracking | None = None
    if lake is None:
        _unregister(shell, "post_run_cell")
        shell.events.register("post_run_cell", watch)
        try:
            lake = assumed = open_lake(create=False)
        except LakefolioError:
            print(
                "lakefolio: no lake is open yet; %lake URI opens one and tracks it, "
                "and one that a cell opens is tracked from the next cell on"
            )
            return
        shell.user_ns.setdefault("lake", lake)
    tracked = begin(lake)


def _unregister(shell: Any, event: str) -> None:
    """Take the callbacks of this module away from an event: ``post_run_cell`` has what looks at the lakes opened."""
    for one in [one for one in shell.events.callbacks[event] if one.__module__ == __name__]:
        shell.events.unregister(event, one)


def unload(shell: Any) -> None:
    """Take the magics away; what is tracked goes on until it is stopped."""
    _unregister(shell, "post_run_cell")
    _unregister(shell, "pre_run_cell")
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("lake", None)
