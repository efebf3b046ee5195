"""The SQL files of the views: their places and their headers (no SQL is run here).

A file is ``sql/<layer>_<topic>/<view>.sql``: a header of ``-- description:``, ``-- grain:`` and
``-- source:``, each of which may go on in further comment lines, then one bare SELECT.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from lakefolio.errors import FormatError
from lakefolio.format.sql_text import sql_id, sql_text

__all__ = [
    "AUDITS",
    "MODELS",
    "STAGING",
    "ViewFile",
    "comment_view",
    "create_view",
    "load_model_views",
    "load_views",
    "parse_view",
]

STAGING = ("10_staging", "11_staging")
AUDITS = "90_audits"
MODELS = "models"
_MARKER = Path(STAGING[0], "stg_manifests.sql")
_HEADER = re.compile(r"--\s*(description|grain|source):\s*(.*)")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class ViewFile:
    """One SQL file.

    Attributes:
        name: The name of the view: the file's stem.
        folder: The folder it lies in, ``"20_content"``, or the name of a user's folder.
        description: The meaning of its rows, in a sentence or two.
        grain: The meaning of one row.
        source: The relations it reads.
        sql: One bare SELECT.
        path: The file.
    """

    name: str
    folder: str
    description: str
    grain: str
    source: str
    sql: str
    path: Path

    @cached_property
    def words(self) -> frozenset[str]:
        """The words of the SQL, in lower case: every relation that it reads is one of them."""
        return frozenset(_WORD.findall(self.sql.lower()))

    @cached_property
    def reads(self) -> frozenset[str]:
        """The relations that one of the library's own reads, as its header says."""
        return frozenset(_WORD.findall(self.source.lower()))

    @property
    def public(self) -> bool:
        """Whether people are meant to query it: neither staging nor an audit."""
        return self.folder not in (*STAGING, AUDITS)


@cache
def load_views() -> tuple[ViewFile, ...]:
    """Return the library's views, in the order they build on one another.

    Raises:
        FormatError: If the files are missing: a broken installation.
    """
    return tuple(_load(path, path.parent.name) for path in sorted(_sql_root().glob("[0-9]*/*.sql")))


@cache
def load_model_views() -> dict[str, ViewFile]:
    """Return the views that read a read model instead of the journal, by name; inline content is null in them."""
    return {path.stem: _load(path, MODELS) for path in sorted((_sql_root() / MODELS).glob("*.sql"))}


def create_view(view: ViewFile, columns: str = "") -> str:
    """Return the statement that makes a view, with further ``columns`` computed from its own."""
    body = f"select *, {columns} from (\n{view.sql}\n)" if columns else view.sql
    return f"create or replace view {sql_id(view.name)} as\n{body}\n"


def comment_view(view: ViewFile) -> str:
    """Return the statement that keeps a view's header in the database."""
    parts = [
        view.description,
        f"Grain: {view.grain}." if view.grain else "",
        f"Source: {view.source}." if view.source else "",
    ]
    return f"comment on view {sql_id(view.name)} is {sql_text(' '.join(part for part in parts if part))}"


def _sql_root() -> Path:
    """Return the checkout's ``sql/`` if this is one, else the installed copy."""
    package = Path(__file__).resolve().parents[1]
    for root in (package.parent / "sql", package / "sql"):
        if (root / _MARKER).is_file():
            return root
    raise FormatError(
        "the views of this installation are missing", kind="views-missing", hint="install lakefolio again"
    )


def _load(path: Path, folder: str) -> ViewFile:
    return parse_view(path, path.read_text(encoding="utf-8"), folder)


def parse_view(path: Path, text: str, folder: str) -> ViewFile:
    """Return the view that a file's text describes; its SQL is looked at when the view is made."""
    lines = text.splitlines()
    header: dict[str, str] = {}
    current = ""
    body = 0
    for body, line in enumerate(lines):  # noqa: B007
        if not line.startswith("--"):
            break
        match = _HEADER.match(line)
        if match:
            current = match[1]
            header[current] = match[2].strip()
        elif current:
            header[current] += " " + line.lstrip("- ").strip()
    sql = "\n".join(lines[body:]).strip().rstrip(";")
    return ViewFile(
        name=path.stem,
        folder=folder,
        description=header.get("description", ""),
        grain=header.get("grain", ""),
        source=header.get("source", ""),
        sql=sql,
        path=path,
    )
