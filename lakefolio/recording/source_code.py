"""The code of this process as its user wrote it: the cells of a notebook so far, or the script. Scrubbed of secrets."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lakefolio.process.imports import imported
from lakefolio.process.places import absolute_path, printable
from lakefolio.redaction import scrub, scrub_code

__all__ = ["Place", "code_so_far", "here", "shell"]

_MOST_CHARACTERS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where code is written.

    Attributes:
        kind: ``notebook``, ``script`` or ``prompt``.
        path: The file, if it is known.
    """

    kind: str
    path: str | None

    @property
    def name(self) -> str:
        """Its name for people: the name of the file without its ending, else its kind."""
        return Path(self.path).stem if self.path else self.kind


def shell() -> Any:
    """Return IPython's shell if this process runs in one (a notebook's kernel, or its prompt), else None."""
    ipython = imported("IPython")
    return None if ipython is None else ipython.get_ipython()


def here(path: str | os.PathLike[str] | None = None) -> Place:
    """Return where the code of this process is written.

    Args:
        path: The file, for environments that do not tell; JupyterLab and VS Code do.
    """
    running = shell()
    kernel = running is not None and getattr(running, "kernel", None) is not None
    if path is None and kernel:
        path = running.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    elif path is None and running is None:
        path = getattr(sys.modules.get("__main__"), "__file__", None)
    kind = "notebook" if kernel else "script" if running is None and path is not None else "prompt"
    return Place(kind, None if path is None else printable(scrub(absolute_path(Path(path)))))


def code_so_far() -> str | None:
    """Return the cells that were executed, or the text of the script; None if it can't be seen."""
    running = shell()
    if running is not None:
        cells = list(getattr(running.history_manager, "input_hist_raw", ()))
        text = "".join(f"# %% [{number}]\n{cell.rstrip()}\n\n" for number, cell in enumerate(cells) if cell.strip())
    else:
        file = getattr(sys.modules.get("__main__"), "__file__", None)
        try:
            text = "" if file is None else Path(file).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
    return scrub_code(text)[-_MOST_CHARACTERS:] or None  # a cut could part a secret from its name
