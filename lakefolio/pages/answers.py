"""What a page may ask of a lake, and the plain values it gets: read-only, and every list bounded.

Each question is a method of :class:`Answers` that is named in ``QUESTIONS``; what it is asked with are texts. The same
answers go out through the server and into a frozen page.
"""

from __future__ import annotations

import json
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import InvalidInputError, NotFoundError, nearest
from lakefolio.pages import curves, graphs, preview
from lakefolio.pages.values import cell, cut, plain

if TYPE_CHECKING:
    import numpy as np

    from lakefolio.lake import Lake
    from lakefolio.model.entries import Entry

__all__ = ["QUESTIONS", "Answers"]

RUNS: Final = 20_000
ITEMS: Final = 2_000
KEYS: Final = 200
CHANGES: Final = 500
FOLIOS: Final = 2_000
CODE_CHARS: Final = 50_000
COMMITS: Final = 100
COMPARED: Final = 20
WIDTH: Final = 1_000
_KEPT_POINTS: Final = 4_000_000
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
_ITEM_COLUMNS: Final = {
    "folio": "text",
    "item": "text",
    "kind": "text",
    "size_bytes": "bytes",
    "row_count": "number",
    "version": "number",
    "committed_at": "time",
    "author": "text",
    "tags": "text",
    "description": "text",
    "format": "text",
    "media_type": "text",
    "storage": "text",
    "run_id": "text",
    "archived": "text",
}
_AT_ONCE: Final = ("head", "lake", "items", "item", "preview")
"""Questions that are answered without SQL (``items`` if it can be), and so while another is."""

_FOUND: Final = """
select 'item' as type, folio || ':' || item as name, kind, description, tags from items
where contains(lower(concat_ws(' ', folio, item, description, array_to_string(tags, ' '))), lower($q))
union all by name
select 'run' as type, run_id as id, coalesce(name, run_id) as name, status as kind, description, tags from runs
where contains(lower(concat_ws(' ', run_id, name, project, model, description, array_to_string(tags, ' '))), lower($q))
limit 50
"""


class Answers:
    """Answers the questions of a page. Safe to share between threads; keeps the points of the curves last looked at."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._lock = threading.Lock()
        self._querying = threading.RLock()  # DuckDB fails where two threads are the first to scan one Arrow table
        self._past: OrderedDict[str, Lake] = OrderedDict()
        self._points: OrderedDict[tuple[str, str], dict[str, np.ndarray[Any, Any]]] = OrderedDict()

    def answer(self, question: str, asked: Mapping[str, str]) -> Any:
        """Return plain values.

        Args:
            question: One of ``QUESTIONS``.
            asked: What the question takes; all of them take ``at``: a version, a time or a snapshot.

        Raises:
            NotFoundError: The question, or what it asks for, does not exist.
            InvalidInputError: It asks with something that can't be used.
            LakefolioError: The lake can't be read.
        """
        method = QUESTIONS.get(question)
        if method is None:
            hint = nearest(question, QUESTIONS)
            raise NotFoundError(f"there is no question {question!r}", kind="question-not-found", hint=hint)
        lake = self._at(asked.get("at"))
        if question in _AT_ONCE:
            return method(self, lake, asked)
        with self._querying:
            return method(self, lake, asked)

    def _at(self, at: str | None) -> Lake:
        """Return the lake as of a version, which never changes and is kept, or of anything else."""
        if not at:
            return self._lake
        if not at.isdecimal():
            return self._lake.at(at)
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
        """Say what each folio holds and takes, and which items are largest."""
        largest = "select folio, item, kind, size_bytes, stored_bytes, version from items order by 4 desc nulls last"
        folios = "select * from storage_savings order by logical_bytes desc limit 500"
        return plain({"folios": _rows(lake, folios), "largest": _rows(lake, f"{largest} limit 25")})

    # -- runs ------------------------------------------------------------------------------------------------

    def runs(self, lake: Lake, asked: Mapping[str, str]) -> Any:
        """Return the newest runs as columns: name, type and values of each; times are milliseconds since 1970."""
        names = ", ".join(_RUN_COLUMNS)
        query = f"select {names}, params, metrics from runs order by started_at desc nulls last, run_id limit {RUNS}"
        found = lake.sql(query).to_arrow_table()
        rows = len(found)
        columns = []
        for name, kind in _RUN_COLUMNS.items():
            values = found.column(name).to_pylist()
            if any(value not in (None, []) for value in values):
                columns.append({"name": name, "type": kind, "values": [_shown(one) for one in values]})
        for group in ("metrics", "params"):
            texts = found.column(group).to_pylist()
            columns += _keyed(group, [json.loads(one) if one else {} for one in texts])
        (total,) = lake.sql("select count(*) from runs").fetchall()[0]
        return {"columns": columns, "rows": rows, "total": total}

    def run(self, lake: Lake, asked: Mapping[str, str]) -> Any:
        """Return what is recorded of a run."""
        return plain(lake.get_run(_given(asked, "id")).to_dict())

    def curves(self, lake: Lake, asked: Mapping[str, str]) -> Any:
        """Return the curves of some runs: metric -> run -> points, as many as a screen has columns.

        Asked with ``runs`` (ids, by newline), and maybe ``metric`` (else all with more than one point), ``x`` (``step``
        or ``time``, in seconds from the run's first point), ``from``, ``to`` and ``width``.
        """
        ids = _given(asked, "runs").split("\n")[:COMPARED]
        width = min(max(int(_number(asked, "width") or WIDTH), 10), 4_000)
        span = (_number(asked, "from"), _number(asked, "to"))
        axis = "time" if asked.get("x") == "time" else "step"
        by_metric: dict[str, dict[str, Any]] = {}
        for run_id, metrics in self._points_of(lake, ids).items():
            for name, (steps, times, values) in metrics.items():
                if asked.get("metric") in (None, "", name):
                    by_metric.setdefault(name, {})[run_id] = (times if axis == "time" else steps, values)
        return {
            name: curves.drawn(some, width, span)
            for name, some in sorted(by_metric.items())
            if asked.get("metric") or any(len(values) > 1 for _, values in some.values())
        }

    def _points_of(self, lake: Lake, ids: list[str]) -> dict[str, Any]:
        """Return run -> metric -> (steps, seconds from the run's first point, values)."""
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

    # -- items -----------------------------------------------------------------------------------------------

    def items(self, lake: Lake, asked: Mapping[str, str]) -> Any:
        """Return items as columns.

        Asked with ``q`` (part of a name, description or tag), ``folio``, ``kind``, and ``sort`` (a column; ``-`` before
        it for falling order).
        """
        sort = asked.get("sort") or "-version"
        if sort.removeprefix("-") not in _ITEM_COLUMNS:
            hint = nearest(sort, _ITEM_COLUMNS)
            raise InvalidInputError(f"items have no column {sort!r}", kind="bad-sort", hint=hint)
        lake = lake.at(lake.version)  # one state for all that is read
        chosen = asked.get("folio")
        folios = lake.folios()
        entries: list[Entry] = []
        for folio in [chosen] if chosen else folios:
            if len(entries) > ITEMS:
                break
            entries += lake.items(folio)
        whole = len(entries) <= ITEMS
        if not whole and (asked.get("q") or asked.get("kind") or asked.get("sort")):
            with self._querying:
                return self._found_items(lake, asked, sort)
        found = sorted(filter(_asked_for(asked), entries), key=lambda one: (one.folio, one.item))
        if whole:
            column, falls = sort.removeprefix("-"), sort.startswith("-")
            found.sort(key=lambda one: _order(getattr(one, column), falls), reverse=falls)
        values = {name: [getattr(one, name) for one in found[:ITEMS]] for name in _ITEM_COLUMNS}
        total = len(found) if whole else None
        counts = Counter(one.folio for one in found) if whole else dict.fromkeys(folios)
        return _listed(values, total, counts, Counter(one.kind for one in found) if whole else {})

    def _found_items(self, lake: Lake, asked: Mapping[str, str], sort: str) -> Any:
        """Ask the views, which read every row of a large lake."""
        wanted, params = ["true"], {}
        for name in ("folio", "kind"):
            if asked.get(name):
                wanted.append(f"{name} = ${name}")
                params[name] = asked[name]
        if asked.get("q"):
            text = "concat_ws(' ', folio, item, kind, description, array_to_string(tags, ' '))"
            wanted.append(f"contains(lower({text}), lower($q))")
            params["q"] = asked["q"]
        where = " and ".join(wanted)
        order = f"{sort.removeprefix('-')} {'desc' if sort.startswith('-') else 'asc'} nulls last, folio, item"
        query = f"select {', '.join(_ITEM_COLUMNS)} from items where {where} order by {order} limit {ITEMS}"
        found = lake.sql(query, params or None).to_arrow_table()
        grouped = lake.sql(f"select folio, kind, count(*) from items where {where} group by all", params or None)
        folios: Counter[str] = Counter()
        kinds: Counter[str] = Counter()
        for folio, kind, count in grouped.fetchall():
            folios[folio] += count
            kinds[kind] += count
        values = {name: found.column(name).to_pylist() for name in _ITEM_COLUMNS}
        return _listed(values, kinds.total(), folios, kinds)

    def item(self, lake: Lake, asked: Mapping[str, str]) -> Any:
        """Return what is known about an item by itself: facts, and whether it is the newest of its name."""
        entry = lake.item(_given(asked, "ref"))
        name = f"{entry.folio}:{entry.item}"
        try:
            latest, deleted = lake.item(name).version, False
        except NotFoundError as exc:
            at = exc.objects.get("deleted_at")
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
                "purged": lake.is_purged(entry),
                "storage": entry.storage,
                "uri": entry.uri,
                "run_id": entry.run_id,
                "message": entry.message,
                "info": lake.folio(entry.folio).item_info(entry.ref),
            }
        )

    def around(self, lake: Lake, asked: Mapping[str, str]) -> Any:
        """Return what an item was made of, by which code, what was made of it, and its history."""
        entry = lake.item(_given(asked, "ref"))
        lineage = lake.lineage(entry.ref)
        events = lake.history(f"{entry.folio}:{entry.item}")
        origin = lake.folio(entry.folio).why(entry.ref)
        return plain(
            {
                "run": origin.run,
                "code": None if origin.code is None else cut(origin.code, CODE_CHARS),
                "inputs": [node.to_dict() for node in lineage.upstream(1)],
                "dependents": [node.to_dict() for node in lineage.downstream(1)],
                "history": [one.to_dict() for one in events[:CHANGES]],
                "history_count": len(events),
            }
        )

    def preview(self, lake: Lake, asked: Mapping[str, str]) -> Any:
        """Return the first look at an item's content."""
        return plain(preview.preview(lake, lake.item(_given(asked, "ref"))))

    def lineage(self, lake: Lake, asked: Mapping[str, str]) -> Any:
        """Return the graph around an item: nodes, edges (positions of output and input), and which are stale."""
        return plain(graphs.graph(lake, _given(asked, "ref"), int(_number(asked, "depth") or 0) or None))

    # -- history ---------------------------------------------------------------------------------------------

    def log(self, lake: Lake, asked: Mapping[str, str]) -> Any:
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

    def diff(self, lake: Lake, asked: Mapping[str, str]) -> Any:
        """Return what changed between the versions ``a`` and ``b`` (by default the newest)."""
        found = lake.diff(_given(asked, "a"), asked.get("b") or None, folio=asked.get("folio") or None)
        said = found.to_dict()
        counts = {f"{name}_count": len(said[name]) for name in ("added", "removed", "changed")}
        return plain({**said, **{name: said[name][:CHANGES] for name in ("added", "removed", "changed")}, **counts})

    def search(self, lake: Lake, asked: Mapping[str, str]) -> Any:
        """Return items and runs by a part of their name, description or tags."""
        return plain(_rows(lake, _FOUND, {"q": _given(asked, "q")}))


QUESTIONS: Final[Mapping[str, Callable[[Answers, Lake, Mapping[str, str]], Any]]] = {
    method.__name__: method
    for method in (
        Answers.lake,
        Answers.when,
        Answers.head,
        Answers.storage,
        Answers.runs,
        Answers.run,
        Answers.curves,
        Answers.items,
        Answers.item,
        Answers.around,
        Answers.preview,
        Answers.lineage,
        Answers.log,
        Answers.diff,
        Answers.search,
    )
}
"""Name -> the method that answers."""


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


def _shown(value: object) -> Any:
    """Return a value of a column: a number, a text or None; times are milliseconds since 1970, lists one text."""
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000)
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value)
    if isinstance(value, bool):
        return "yes" if value else ""
    return cell(value)


def _keyed(group: str, rows: list[Any]) -> list[dict[str, Any]]:
    """Return a column for each of the keys that most rows have."""
    counts: dict[str, int] = {}
    for row in rows:
        for key in row if isinstance(row, dict) else ():
            counts[key] = counts.get(key, 0) + 1
    columns = []
    for key in sorted(sorted(counts, key=lambda key: -counts[key])[:KEYS]):
        values = [_shown(row.get(key)) if isinstance(row, dict) else None for row in rows]
        numbers = any(isinstance(one, int | float) for one in values)
        columns.append({"name": f"{group}.{key}", "type": "number" if numbers else "text", "values": values})
    return columns


def _points(lake: Lake, ids: list[str]) -> dict[str, Any]:
    """Read the points of some runs; see :meth:`Answers._points_of`."""
    import numpy as np

    points = lake.sql(
        "select (list_position($ids, run_id) - 1)::integer as run, name, step::double as step, value, "
        "epoch_us(logged_at) as at from metrics where run_id in (select unnest($ids)) "
        "order by run, name, batch, ordinal",
        {"ids": ids},
    ).to_arrow_table()
    names = points.column("name").combine_chunks().dictionary_encode()
    runs, codes = points.column("run").to_numpy(), names.indices.to_numpy()
    steps, values, at = (points.column(name).to_numpy().astype(np.float64) for name in ("step", "value", "at"))
    found: dict[str, Any] = {one: {} for one in ids}
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


def _asked_for(asked: Mapping[str, str]) -> Callable[[Entry], bool]:
    kind, text = asked.get("kind"), (asked.get("q") or "").lower()

    def wanted(one: Entry) -> bool:
        if kind and one.kind != kind:
            return False
        return not text or text in " ".join([one.folio, one.item, one.kind, one.description or "", *one.tags]).lower()

    return wanted


def _order(value: object, falls: bool) -> Any:
    """Return what a value of a column is sorted by; rows without one come last either way."""
    if isinstance(value, tuple):
        value = ", ".join(value)
    return (value is not None) == falls, 0 if value is None else value


def _listed(
    values: Mapping[str, list[Any]],
    total: int | None,
    folios: Mapping[str, int | None],
    kinds: Mapping[str, int | None],
) -> dict[str, Any]:
    """Return items as a page gets them; ``total`` is None where nobody counted."""
    columns = [
        {"name": name, "type": kind, "values": [_shown(one) for one in values[name]]}
        for name, kind in _ITEM_COLUMNS.items()
    ]
    return {
        "columns": columns,
        "rows": len(columns[0]["values"]),
        "total": total,
        "folios": sorted(folios.items())[:FOLIOS],
        "kinds": sorted(kinds.items()),
    }


def _size(points: Mapping[str, Any]) -> int:
    return sum(len(values) for _, _, values in points.values())
