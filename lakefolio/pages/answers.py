"""What a page may ask of a lake, and the plain values it gets: read-only, and every list bounded.

Each question is a method of :class:`Answers` that is named in ``QUESTIONS``; what it is asked with are texts. The same
answers go out through the server and into a frozen page.

Slightly longer than most modules: it lists every question, so that what a page can learn is read in one place.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from lakefolio.compare.shown import around
from lakefolio.errors import InvalidInputError, NotFoundError, nearest
from lakefolio.format.names import is_own_folio
from lakefolio.lake.registry import REGISTRY
from lakefolio.pages import curves, graphs, item_list, preview
from lakefolio.pages.points import KeptPoints
from lakefolio.pages.registered import registered
from lakefolio.pages.values import CELL_CHARS, column_value, cut, plain
from lakefolio.runs.table import MEASURES

if TYPE_CHECKING:
    from lakefolio.lake import Lake

__all__ = ["QUESTIONS", "Answers"]

RUNS: Final = 20_000
KEYS: Final = 200
CHANGES: Final = 500
CODE_CHARS: Final = 50_000
COMMITS: Final = 100
FOUND: Final = 50
FACETS: Final = 5
"""The values of a facet that a search shows."""
MARKS: Final = 2
"""The pieces of text of a hit that a search shows."""
_SHOWN_ANYWAY: Final = ("name", "folio", "kind")
COMPARED: Final = 20
WIDTH: Final = 1_000
_LAKES: Final = 8

_RUN_COLUMNS: Final = {
    "run_id": "text",
    "name": "text",
    "status": "text",
    "started_at": "time",
    "duration_s": "number",
    "type": "text",
    "project": "text",
    "model": "text",
    "author": "text",
    "tags": "text",
    "description": "text",
    "parent": "text",
    "git_commit": "text",
    "host": "text",
    "error_type": "text",
    "input_count": "number",
    "output_count": "number",
    "version": "number",
}
_NAMES: Final = "select run_id, name from runs where name is not null and run_id in (select unnest($ids))"
_AT_ONCE: Final = ("head", "lake", "items", "item", "preview", "inside")
"""Questions that are answered without SQL (``items`` if it can be), and so while another is."""


class Answers:
    """Answers the questions of a page. Safe to share between threads; keeps the points of the curves last looked at."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._lock = threading.Lock()
        self._querying = threading.RLock()  # DuckDB fails where two threads are the first to scan one Arrow table
        self._past: OrderedDict[str, Lake] = OrderedDict()
        self._points = KeptPoints()

    def answer(self, question: str, asked: Mapping[str, str]) -> object:
        """Return plain values.

        Args:
            question: One of ``QUESTIONS``.
            asked: What the question takes; all of them take ``at``: a version, a time or a snapshot; with ``of``, an
                item, also a version of that (a label, ``#2``, an alias).

        Raises:
            NotFoundError: The question, or what it asks for, does not exist.
            InvalidInputError: It asks with something that can't be used.
            LakefolioError: The lake can't be read.
        """
        method = QUESTIONS.get(question)
        if method is None:
            hint = nearest(question, QUESTIONS)
            raise NotFoundError(f"there is no question {question!r}", kind="question-not-found", hint=hint)
        lake = self._at(asked.get("at"), asked.get("of"))
        if question in _AT_ONCE:
            return method(self, lake, asked)
        with self._querying:
            return method(self, lake, asked)

    def _at(self, at: str | None, item: str | None = None) -> Lake:
        """Return the lake as of a version, which never changes and is kept, or of anything else."""
        if not at:
            return self._lake
        if not at.isdecimal():
            if item is None:
                return self._lake.at(at)
            at = str(self._lake.item(f"{item.partition('@')[0]}@{at}").version)
        with self._lock:
            found = self._past.pop(at, None)
        found = self._lake.at(at) if found is None else found
        with self._lock:
            self._past[at] = found
            while len(self._past) > _LAKES:
                self._past.popitem(last=False)
        return found

    # -- the lake --------------------------------------------------------------------------------------------

    def lake(self, lake: Lake, asked: Mapping[str, str]) -> Any:
        """Say what the lake is, and the snapshots: what is known without going through its history."""
        folios = lake.folios()
        return plain(
            {
                "uri": lake.uri,
                "version": lake.version,
                "newest": self._lake.version,
                "description": lake.description,
                "tags": lake.tags,
                "folios": len(folios),
                # every run of this library notes its environment; others are still a click away
                "models": REGISTRY in folios,
                "runs": any(name == "environments" or name.startswith("runs/") for name in folios),
                "snapshots": [
                    {
                        "name": one.name,
                        "folio": one.folio,
                        "version": one.target_version,
                        "committed_at": one.committed_at,
                        "author": one.author,
                        "message": one.message,
                        "tags": one.tags,
                    }
                    for one in self._lake.snapshots()
                ],
            }
        )

    def when(self, lake: Lake, asked: Mapping[str, str]) -> Any:
        """Return when the lake was changed last."""
        commits = lake.log(1)
        return plain({"committed_at": commits[0].committed_at if commits else None})

    def head(self, lake: Lake, asked: Mapping[str, str]) -> Any:
        """Return the newest version: what a page asks again and again to see whether something happened."""
        return {"version": lake.version}

    def storage(self, lake: Lake, asked: Mapping[str, str]) -> Any:
        """Say what each folio holds and takes, and which items are largest.

        The folios that the library keeps for itself are one row without a name, unless ``all`` is asked.
        """
        largest = "select folio, item, kind, size_bytes, stored_bytes, version from items order by 4 desc nulls last"
        named = "folio" if asked.get("all") else f"case when {item_list.NOT_OWN} then folio end as folio"
        numbers = ("entry_count", "logical_bytes", "stored_bytes", "shared_bytes")
        sums = ", ".join(f"sum({one})::bigint as {one}" for one in numbers)
        folios = f"select {named}, {sums}, count(*) as folio_count from storage_savings group by 1"
        return plain(
            {
                "folios": _rows(lake, f"from ({folios}) order by logical_bytes desc limit 500"),
                "largest": _rows(lake, f"{largest} limit 25"),
            }
        )

    # -- runs ------------------------------------------------------------------------------------------------

    def runs(self, lake: Lake, asked: Mapping[str, str]) -> Any:
        """Return the newest runs as columns: name, type and values of each; times are milliseconds since 1970."""
        newest, since, total = _newest_runs(lake)
        found = lake.sql(f"select {', '.join(_RUN_COLUMNS)}, params, metrics from {newest}", since).to_arrow_table()
        rows = len(found)
        columns = []
        for name, kind in _RUN_COLUMNS.items():
            values = found.column(name).to_pylist()
            if any(value not in (None, []) for value in values):
                columns.append({"name": name, "type": kind, "values": [column_value(one) for one in values]})
        for group in ("metrics", "params"):
            texts = found.column(group).to_pylist()
            columns += _keyed(group, [json.loads(one) if one else {} for one in texts])
        return {"columns": columns, "rows": rows, "total": total}

    def measures(self, lake: Lake, asked: Mapping[str, str]) -> object:
        """Return run -> metric -> ``min``, ``max`` or ``best`` of its points, as ``of`` asks, of the newest runs."""
        of = _given(asked, "of")
        if of not in MEASURES:
            raise InvalidInputError(f"metrics have no {of!r}", kind="bad-question", hint=nearest(of, MEASURES))
        found: dict[str, dict[str, Any]] = {}
        newest, since, _ = _newest_runs(lake)
        query = f"select run_id, name, {of} from run_metrics where run_id in (select run_id from {newest})"
        for run_id, name, value in lake.sql(query, since).fetchall():
            found.setdefault(run_id, {})[name] = column_value(value)
        return found

    def run(self, lake: Lake, asked: Mapping[str, str]) -> Any:
        """Return what is recorded of a run, and the names of its parent and children."""
        found = lake.get_run(_given(asked, "id"))
        near = [*found.children, *([found.parent] if found.parent else [])]
        names = dict(lake.sql(_NAMES, {"ids": near}).fetchall()) if near else {}
        return plain({**found.to_dict(), "names": names})

    def models(self, lake: Lake, asked: Mapping[str, str]) -> Any:
        """Return the registered models, with their versions and aliases."""
        return plain(registered(lake.at(lake.version)))

    def curves(self, lake: Lake, asked: Mapping[str, str]) -> object:
        """Return the curves of some runs: metric -> run -> points, as many as a screen has columns.

        Asked with ``runs`` (ids, by newline), and maybe ``metric`` (else all with more than one point), ``x`` (``step``
        or ``time``, in seconds from the run's first point), ``from``, ``to`` and ``width``.
        """
        ids = _given(asked, "runs").split("\n")[:COMPARED]
        width = min(max(int(_number(asked, "width") or WIDTH), 10), 4_000)
        span = (_number(asked, "from"), _number(asked, "to"))
        axis = "time" if asked.get("x") == "time" else "step"
        by_metric: dict[str, dict[str, Any]] = {}
        for run_id, metrics in self._points.of(lake, ids).items():
            for name, (steps, times, values) in metrics.items():
                if asked.get("metric") in (None, "", name):
                    by_metric.setdefault(name, {})[run_id] = (times if axis == "time" else steps, values)
        return {
            name: curves.drawn(some, width, span)
            for name, some in sorted(by_metric.items())
            if asked.get("metric") or any(len(values) > 1 for _, values in some.values())
        }

    # -- items -----------------------------------------------------------------------------------------------

    def items(self, lake: Lake, asked: Mapping[str, str]) -> Any:
        """Return items as columns; see ``item_list.listed``."""
        return item_list.listed(lake, asked, self._querying)

    def item(self, lake: Lake, asked: Mapping[str, str]) -> Any:
        """Return what is known about an item by itself: facts, and whether it is the newest of its name.

        Of an item that was deleted it is told of the last version.
        """
        ref, renamed_to = _given(asked, "ref"), None
        try:
            entry = lake.item(ref)
        except NotFoundError as exc:
            gone = exc.objects.get("deleted_at")
            if not isinstance(gone, int):
                raise
            entry = lake.item(f"{exc.objects['folio']}:{exc.objects['item']}@{gone - 1}")
        try:
            latest, deleted = lake.item(f"{entry.folio}:{entry.item}").version, False
        except NotFoundError as exc:
            at, renamed_to = exc.objects.get("deleted_at"), exc.objects.get("renamed_to")
            latest, deleted = at if isinstance(at, int) else entry.version, True
        return plain(
            {
                "ref": entry.ref,
                "folio": entry.folio,
                "item": entry.item,
                "kind": entry.kind,
                "version": entry.version,
                "latest_version": latest,
                "deleted": deleted,
                "renamed_to": renamed_to,
                "purged": lake.is_purged(entry),
                "storage": entry.storage,
                "uri": entry.uri,
                "run_id": entry.run_id,
                "message": entry.message,
                "info": lake.folio(entry.folio).item_info(entry.ref),
            }
        )

    def around(self, lake: Lake, asked: Mapping[str, str]) -> object:
        """Return what an item was made of, by which code, what was made of it, and its history."""
        entry = lake.item(_given(asked, "ref"))
        lineage = lake.lineage(entry.ref, depth=1, limit=CHANGES)
        events = lake.history(f"{entry.folio}:{entry.item}")
        origin = lake.folio(entry.folio).why(entry.ref)
        return plain(
            {
                "run": origin.run,
                "code": None if origin.code is None else cut(origin.code, CODE_CHARS),
                "inputs": [node.to_dict() for node in lineage.upstream(1)],
                "dependents": [node.to_dict() for node in lineage.downstream(1)],
                "neighbours_complete": lineage.complete,
                "history": [one.to_dict() for one in events[:CHANGES]],
                "history_count": len(events),
            }
        )

    def preview(self, lake: Lake, asked: Mapping[str, str]) -> object:
        """Return the first look at an item's content."""
        return plain(preview.preview(lake, lake.item(_given(asked, "ref"))))

    def lineage(self, lake: Lake, asked: Mapping[str, str]) -> object:
        """Return the graph around an item: nodes, edges (positions of output and input), and which are stale."""
        return plain(graphs.graph(lake, _given(asked, "ref"), int(_number(asked, "depth") or 0) or None))

    # -- history ---------------------------------------------------------------------------------------------

    def log(self, lake: Lake, asked: Mapping[str, str]) -> object:
        """Return commits, newest first; those before the version ``before`` if that is asked."""
        before = _number(asked, "before")
        if before is not None:
            lake = self._at(str(int(before) - 1))
        found = lake.log(COMMITS, folio=asked.get("folio") or None)
        commits = [
            {**one, "changes": one["changes"][:CHANGES]}
            for one in found.to_dicts()  # a commit may hold a million changes
        ]
        return plain({"commits": commits, "more": len(commits) == COMMITS})

    def diff(self, lake: Lake, asked: Mapping[str, str]) -> object:
        """Return what changed between the versions ``a`` and ``b`` (by default the newest).

        The folios that the library keeps for itself are only counted, as ``hidden``, unless ``all`` or one is asked.
        """
        found = lake.diff(_given(asked, "a"), asked.get("b") or None, folio=asked.get("folio") or None)
        said = found.to_dict()
        parts = {name: said[name] for name in ("added", "removed", "changed")}
        if not asked.get("all") and not asked.get("folio"):
            parts = {name: [one for one in some if not is_own_folio(one["folio"])] for name, some in parts.items()}
        hidden = len(found) - sum(map(len, parts.values()))
        counts = {f"{name}_count": len(some) for name, some in parts.items()}
        return plain({**said, **{name: some[:CHANGES] for name, some in parts.items()}, **counts, "hidden": hidden})

    def inside(self, lake: Lake, asked: Mapping[str, str]) -> object:
        """Return what changed inside the item ``ref`` between the versions ``a`` and ``b``; see ``Lake.diff``.

        ``key`` names the columns of a table's key, with commas between them.
        """
        key = [one.strip() for one in asked.get("key", "").split(",") if one.strip()]
        found = lake.diff(_given(asked, "a"), _given(asked, "b"), item=_given(asked, "ref"), key=key or None, limit=50)
        said = found.to_dict()
        if found.heat_map is not None:
            said["heat_map"]["levels"] = found.heat_map.levels
        columns = sorted(said["columns"], key=lambda one: not one["change"])
        return plain(
            {
                **said,
                "changes": [_cut_values(one._asdict() | _beside(one.old, one.new)) for one in found.changes[:CHANGES]],
                "change_count": len(found),
                "rows": [_cut_row(one) for one in said["rows"]],
                "columns": columns[:CHANGES],
                "column_count": len(columns),
            }
        )

    def search(self, lake: Lake, asked: Mapping[str, str]) -> Any:
        """Return items and runs by words, best first, where the words stand, and facets; see ``Lake.search``."""
        found = lake.search(_given(asked, "q"), limit=FOUND)
        hits = []
        for hit in found:
            said: dict[str, Any] = {"type": hit.type, "description": hit.description, "why": hit.why}
            said["marks"] = [
                {"field": one.field, "text": one.text, "spans": one.spans}
                for one in hit.highlights
                if one.field not in _SHOWN_ANYWAY
            ][:MARKS]
            if hit.type == "run":
                hits.append(said | {"id": hit.ref, "name": hit.name, "kind": hit.status})
            else:
                hits.append(said | {"name": f"{hit.folio}:{hit.name}", "kind": hit.kind})
        facets = [
            {"field": name, "values": [{"value": value, "count": count} for value, count in values.items()][:FACETS]}
            for name in ("kind", "tag", "folio", "author")
            if len(values := found.facets[name]) > 1
        ]
        return plain({"hits": hits, "total": found.total, "facets": facets})


QUESTIONS: Final[Mapping[str, Callable[[Answers, Lake, Mapping[str, str]], Any]]] = {
    method.__name__: method
    for method in (
        Answers.lake,
        Answers.when,
        Answers.head,
        Answers.storage,
        Answers.runs,
        Answers.run,
        Answers.measures,
        Answers.models,
        Answers.curves,
        Answers.items,
        Answers.item,
        Answers.around,
        Answers.preview,
        Answers.lineage,
        Answers.log,
        Answers.diff,
        Answers.inside,
        Answers.search,
    )
}
"""Name -> the method that answers."""


def _newest_runs(lake: Lake) -> tuple[str, dict[str, Any] | None, int]:
    """Return what stands for the runs that a page shows in ``from``, its parameters, and how many runs there are."""
    order = "order by started_at desc nulls last, run_id limit"
    oldest = f"select started_at from runs {order} 1 offset {RUNS - 1}"
    ((total, since),) = lake.sql(f"select (select count(*) from runs), ({oldest})").fetchall()
    holds = "true" if since is None else "started_at >= $since"  # so that all else is read of those alone
    return f"(from runs where {holds} {order} {RUNS})", None if since is None else {"since": since}, total


def _rows(lake: Lake, query: str, params: object = None) -> list[dict[str, Any]]:
    relation = lake.sql(query, params)
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def _given(asked: Mapping[str, str], name: str) -> str:
    value = asked.get(name)
    if not value:
        raise InvalidInputError(f"the question lacks {name!r}", kind="bad-question", hint=f"add {name}=")
    return value


def _number(asked: Mapping[str, str], name: str) -> float | None:
    text = asked.get(name)
    if not text:
        return None
    try:
        number = float(text)
        if abs(number) < 1e300:
            return number
    except ValueError:
        pass
    raise InvalidInputError(f"{name}={text!r} is not a number", kind="bad-question", hint="write it with digits")


def _cut_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row that differs, its texts of bounded length."""
    told = {side: dict(row[side]) for side in ("old", "new")}
    for name, value in row["new"].items():
        for side, text in _beside(row["old"].get(name), value).items():
            told[side][name] = text
    return {**row, **{side: _cut_values(one) for side, one in (told | {"where": row["where"]}).items()}}


def _beside(old: str | None, new: str | None) -> dict[str, str]:
    """Return two texts that differ without most of what both begin with, if that is long."""
    return {} if old is None or new is None else dict(zip(("old", "new"), around(old, new, CELL_CHARS), strict=True))


def _cut_values(values: Mapping[str, object]) -> dict[str, Any]:
    """Return the first cells of a row, each of bounded length."""
    return {name: cut(one) if isinstance(one, str) else one for name, one in list(values.items())[:KEYS]}


def _keyed(group: str, rows: list[Any]) -> list[dict[str, Any]]:
    """Return a column for each of the keys that most rows have."""
    counts: dict[str, int] = {}
    for row in rows:
        for key in row if isinstance(row, dict) else ():
            counts[key] = counts.get(key, 0) + 1
    columns = []
    for key in sorted(sorted(counts, key=lambda key: -counts[key])[:KEYS]):
        values = [column_value(row.get(key)) if isinstance(row, dict) else None for row in rows]
        numbers = any(isinstance(one, int | float) for one in values)
        columns.append({"name": f"{group}.{key}", "type": "number" if numbers else "text", "values": values})
    return columns
