"""Walking organisations like folders. An organisation is a view with a text column ``path``; nothing is ever moved.

``by_project`` is the view ``runs_by_project``; a view file of one's own called ``by_team`` is one if it has a ``path``.
The folders hold runs if the view has a ``run_id``, items if it has ``folio`` and ``item``, else its rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lakefolio.errors import InvalidInputError, NotFoundError, nearest
from lakefolio.format.sql_text import sql_id
from lakefolio.render import html
from lakefolio.render.text import counted
from lakefolio.terminal import cell_count, has_surrogate, padded, visible
from lakefolio.views.engine import default_views, described, described_view
from lakefolio.views.view_files import load_views

if TYPE_CHECKING:
    import polars as pl

    from lakefolio.session.session import Session
    from lakefolio.views.engine import Views

__all__ = ["Folder", "all_views", "browse", "library_organisations", "organisations"]

_PREFIX: Final = "runs_"
_LIMIT: Final = 1000
_PREFERRED: Final = {
    "run": ("run_id", "name", "type", "project", "model", "status", "started_at", "duration_s", "author"),
    "item": ("folio", "item", "version", "kind", "committed_at", "size_bytes", "description"),
}
_KNOWN_FROM: Final = {
    "run": "left join (select run_id as of_run{} from runs) on of_run = cast(run_id as varchar)",
    "item": "left join (select folio as of_folio, item as of_item{} from items)"
    " on of_folio = cast(folio as varchar) and of_item = cast(item as varchar)",
}
_PLACED: Final = (
    "(select *, list_filter(string_split(coalesce(path, ''), '/'), lambda one: one <> '') as segments from {})"
)


class Folder:
    """One folder of an organisation, at one version of the lake. ``folder / "churn"`` goes on; iterating gives names.

    Attributes:
        path: Its path, such as ``by_project/churn``; empty for the folder of all organisations.
        folders: The folders in it with how many runs (or items) lie below each.
        rows: The rows directly in it, newest first; at most 1,000.
        count: How many lie directly in it.
        holds: The kind of the rows: ``run``, ``item`` or ``row``.
        problems: View files that can't be used, each with the reason; only of the folder of all organisations.
    """

    def __init__(
        self,
        reader: Session,
        path: str,
        folders: dict[str, int | None],
        rows: pa.Table,
        *,
        count: int = 0,
        holds: str = "run",
        problems: tuple[str, ...] = (),
    ) -> None:
        self._reader = reader
        self.path = path
        self.folders = folders
        self.rows: list[dict[str, Any]] = rows.to_pylist()
        self.count = count
        self.holds = holds
        self.problems = problems
        self._table = rows

    def __truediv__(self, name: str) -> Folder:
        """Return a folder in this one."""
        return browse(self._reader, f"{self.path}/{name}")

    def __iter__(self) -> Iterator[str]:
        yield from self.folders
        yield from self.names

    def __len__(self) -> int:
        return len(self.folders) + len(self.rows)

    @property
    def names(self) -> list[str]:
        """The members directly in it, by name: run ids, or references of items; empty for other rows."""
        if self.holds == "run":
            return [str(row["run_id"]) for row in self.rows]
        return [f"{row['folio']}:{row['item']}" for row in self.rows] if self.holds == "item" else []

    def to_arrow(self) -> pa.Table:
        """Return the rows directly in it as a pyarrow table."""
        return self._table

    def to_polars(self) -> pl.DataFrame:
        """Return the rows directly in it as a polars frame."""
        import polars as pl

        return pl.DataFrame(pl.from_arrow(self._table))

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        folders = [{"name": name, "count": count} for name, count in self.folders.items()]
        return {"path": self.path, "holds": self.holds, "folders": folders, "rows": self.rows, "count": self.count}

    def __repr__(self) -> str:
        width = max(map(cell_count, self), default=0)
        lines = [f"{self.path or 'organisations'}/"]
        for name, count in self.folders.items():
            lines.append(
                f"  {padded(name + '/', width + 1)}  {'' if count is None else counted(count, self.holds)}".rstrip()
            )
        lines += [f"  {name}" for name in self.names[:50]]
        more = self.count - len(self.names[:50])
        lines += [f"  … and {counted(more, self.holds)} more"] if more > 0 else []
        return visible("\n".join([*lines, *self.problems]))

    def _repr_html_(self) -> str:
        parts = [html.heading("folder", self.path or "organisations")]
        if self.folders:
            counted_folders = [(f"{name}/", count) for name, count in self.folders.items()]
            parts.append(html.row_table(("folder", f"{self.holds}s"), counted_folders, right=(f"{self.holds}s",)))
        if self.rows:
            parts.append(
                html.row_table(list(self.rows[0]), [list(row.values()) for row in self.rows], total=self.count)
            )
        return html.block(*parts, *map(html.muted, self.problems))


def organisations(reader: Session) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the ways of organising (name -> view), and the view files that can't be used.

    View files are not run for that: one whose SQL has the word ``path`` is taken for a way of organising.
    """
    own = reader.own_views()
    found, problems = dict(library_organisations()), list(own.problems)
    for view in own.views:
        name = view.name.removeprefix(_PREFIX)
        if "path" not in view.words:
            continue
        if name in found:
            problems.append(f"view file {view.path} is left out: there is {name} already")
        else:
            found[name] = view.name
    return found, tuple(problems)


@cache
def library_organisations() -> Mapping[str, str]:
    """Return the ways of organising that the library has: name -> view."""
    return {
        view.name.removeprefix(_PREFIX): view.name
        for view in load_views()
        if view.name.startswith(_PREFIX) and view.folder.endswith("_runs") and view.folder[:2] == "40"
    }


def all_views(reader: Session) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """See ``Lake.views``; ``reader`` is fixed to a version."""
    own = reader.own_views()
    return [*described(), *(described_view(view, ()) for view in own.views)], own.problems


def browse(reader: Session, path: str = "") -> Folder:
    """See ``Lake.browse``; ``reader`` is fixed to a version."""
    if not isinstance(path, str) or has_surrogate(path):
        raise InvalidInputError(
            f"path {path!r} is not a text", kind="bad-path", hint="write it like 'by_project/churn'", path=path
        )
    first, *segments = [one for one in path.split("/") if one] or [""]
    if first in library_organisations():
        return _folder(reader, first, library_organisations()[first], segments)
    known, problems = organisations(reader)
    if not first:
        return Folder(reader, "", dict.fromkeys(known), pa.table({}), problems=problems)
    if first not in known and first in (named := {view.name: view.name for view in reader.own_views().views}):
        known = named  # a query that names a file gets its error
    if first not in known:
        raise NotFoundError(
            f"there is no organisation {first!r}",
            kind="organisation-not-found",
            hint=next((one for one in problems if f"/{first}.sql" in one), None) or nearest(first, known),
            organisation=first,
        )
    return _folder(reader, first, known[first], segments)


def _columns(tables: Mapping[str, pa.Table], views: Views, view: str, lost: frozenset[str]) -> dict[str, str]:
    relation = views.query(tables, f"select * from {sql_id(view)} limit 0", lost=lost)
    return dict(zip(relation.columns, map(str, relation.types), strict=True))


def _folder(reader: Session, organisation: str, view: str, segments: list[str]) -> Folder:
    own = None if organisation in library_organisations() else reader.own_views()
    views = default_views() if own is None else own.all()
    tables = reader.tables(content=own is not None and own.ask_for_content)
    kinds = _columns(tables, views, view, reader.lost)
    if kinds.get("path") != "VARCHAR":
        raise InvalidInputError(
            f"view {view} is no way of organising: it has no text column path",
            kind="bad-view",
            hint="cast it: … ::varchar as path",
            view=view,
        )
    columns = list(kinds)
    holds = "run" if "run_id" in columns else "item" if {"folio", "item"} <= set(columns) else "row"
    placed, here = _PLACED.format(sql_id(view)), {"here": segments, "depth": len(segments)}
    inside = f"from {placed} where segments[1:$depth] = cast($here as varchar[])"
    folders = views.query(
        tables,
        f"select segments[$depth + 1] as name, count(*) {inside} and len(segments) > $depth group by 1 order by 1",
        here,
        lost=reader.lost,
    ).fetchall()
    shown = list(_PREFERRED[holds]) if holds in _PREFERRED else [one for one in columns if one != "path"][:20]
    time = next((one for one in ("started_at", "committed_at") if one in (*columns, *shown)), None)
    order = f"{sql_id(time)} desc nulls last, " if time else ""
    known = _KNOWN_FROM.get(holds, "").format(
        "".join(f", {sql_id(one)}" for one in shown if one not in columns)
    )  # the columns of its runs that the view lacks
    inside = f"from {placed} {known} where segments[1:$depth] = cast($here as varchar[])"
    leaves = views.query(
        tables,
        f"select {', '.join(map(sql_id, shown))}, count(*) over () as count_of_all {inside} and len(segments) = $depth"
        f" order by {order}{sql_id(shown[0])} limit {_LIMIT}",
        here,
        lost=reader.lost,
    ).to_arrow_table()
    if segments and not folders and not leaves.num_rows:
        above = _folder(reader, organisation, view, segments[:-1])
        raise NotFoundError(
            f"folder {'/'.join([organisation, *segments])!r} is empty or not there",
            kind="folder-not-found",
            hint=nearest(segments[-1], above.folders),
            path="/".join([organisation, *segments]),
        )
    count = leaves.column("count_of_all")[0].as_py() if leaves.num_rows else 0
    rows = leaves.drop_columns(["count_of_all"])
    return Folder(reader, "/".join([organisation, *segments]), dict(folders), rows, count=count, holds=holds)
