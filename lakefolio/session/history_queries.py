"""Questions about the past and about what was made of what, for which no more of the journal is read than it takes.

The pure packages ``history`` and ``lineage`` answer from rows. Here those rows are found: by name in the read models,
by version in the data files, and in the rows that are in memory.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.errors import InvalidInputError, nearest
from lakefolio.format.arrow_rows import dicts_of, rows_of
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.history.diff import COMPARED, Diff, diff
from lakefolio.history.log import CHANGE_COLUMNS, COMMIT_COLUMNS, History, Log, history, log
from lakefolio.lineage.graph import Lineage
from lakefolio.lineage.impact import Affected, Impact, reached_columns
from lakefolio.model.compatibility import column_names
from lakefolio.model.item_versions import aliases_of
from lakefolio.model.resolve import At, item_not_found
from lakefolio.model.version_policy import policy_of
from lakefolio.readmodels.anew import edges_of
from lakefolio.readmodels.models import LINEAGE
from lakefolio.session.batches import pending_view
from lakefolio.session.edges import Edges, ids_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from lakefolio.lineage.nodes import NodeId
    from lakefolio.model.entries import Entry
    from lakefolio.model.state import State
    from lakefolio.session.session import Session

__all__ = ["diff_of", "heads_behind", "history_of", "impact_of", "lineage_of", "log_of"]

_CHANGES: Final = pa.array(["put", "delete"])
_MANY_VERSIONS: Final = 8
"""This many versions are read in one pass over the rows between them."""
_MANY_RUNS: Final = 100
"""The names of more runs than these are read in one pass over the facts of all."""


def log_of(session: Session, limit: int | None, folio: str | None = None) -> Log:
    """Return the commits of a lake, or those that changed a folio, newest first; the cost follows ``limit``."""
    parts: list[pa.Table] = []
    commits: set[str] = set()
    for rows in session.committed().parts((*COMMIT_COLUMNS, "folio"), newest_first=True):
        found = rows if folio is None else rows.filter(pc.equal(rows.column("folio"), folio))
        parts.insert(0, found)
        commits |= set(found.column("commit_id").unique().to_pylist())
        if limit is not None and len(commits) > limit:  # the oldest may be cut
            break
    nothing = MANIFESTS_SCHEMA.empty_table()
    names = partial(_names_of_runs, session.committed())
    return log(pa.concat_tables([nothing, *parts], promote_options="default"), limit, folio, names)


def history_of(session: Session, folio: str, item: str) -> History:
    """Return every change of an item, newest first.

    Raises:
        NotFoundError: If there never was such an item.
    """
    state = session.committed()
    changes = state.changes_of(folio, item)
    if not changes:
        raise item_not_found(state, folio, item, session.journal.state)
    deletes = [version for version, op in changes if op == "delete"]
    rows = [state.puts_of([(folio, item)]), *(_about(rows, folio, item) for rows in _of_versions(state, deletes))]
    try:
        quality = policy_of(state, folio).quality
    except InvalidInputError:  # it is told where it would rule something
        quality = None
    aliases = aliases_of(state.metadata("folio", folio), item)
    joined = _joined(rows)
    runs = _names_of_runs(state, set(joined.column("run_id").to_pylist()))
    return history(joined, folio, item, state.generation, aliases=aliases, quality=quality, runs=runs)


def _about(rows: pa.Table, folio: str, item: str) -> pa.Table:
    ours = pc.and_kleene(pc.equal(rows.column("folio"), folio), pc.equal(rows.column("item"), item))
    return rows.filter(pc.and_kleene(ours, pc.equal(rows.column("op"), "delete")))


def _of_versions(state: State, versions: Sequence[int]) -> list[pa.Table]:
    """Return the rows of some versions, and maybe others between them."""
    spans = [(version, version) for version in versions]
    if len(versions) > _MANY_VERSIONS:
        spans = [(min(versions), max(versions))]
    found = []
    for first, last in spans:
        for rows in state.parts(("folio", "item", "op", *CHANGE_COLUMNS), first - 1):
            found.append(rows.filter(pc.less_equal(rows.column("version"), last)))
            if rows.column("version")[-1].as_py() > last:
                break
    return found


def diff_of(session: Session, a: At, b: At | None, folio: str | None = None) -> Diff:
    """Return the changes from ``a`` to ``b``, by default until now; the cost grows with the number of changes."""
    state = session.committed()
    newer = state.version if b is None else session.resolve(b, folio)
    older = session.resolve(a, folio)
    first, last = sorted((older, newer))
    changed = []
    for rows in state.parts((*COMPARED, "folio", "item", "op"), first):
        mask = pc.and_(pc.is_in(rows.column("op"), value_set=_CHANGES), pc.less_equal(rows.column("version"), last))
        for name in ("folio", "item"):
            mask = pc.and_(mask, pc.is_valid(rows.column(name)))
        if folio is not None:
            mask = pc.and_kleene(mask, pc.equal(rows.column("folio"), folio))
        changed.append(rows.filter(mask))
        if rows.column("version")[-1].as_py() > last:
            break
    names = {name for rows in changed for name in zip(*_lists(rows, "folio", "item"), strict=True)}
    before = session.journal.at(first).heads_of(names)
    return diff(_joined([before, *changed]), older, newer, folio, live=_live(session, older, folio))


def _live(session: Session, version: int, folio: str | None) -> int:
    """Return how many items were live at a version."""
    state = session.journal.at(version)
    found = state.live_count(folio)
    if found is None:
        counted = session.fixed(version).query("select count(*) from items where folio is not null").fetchone()
        found = counted[0] if counted else 0
    return found


def lineage_of(session: Session, entry: Entry, depth: int | None = None, limit: int | None = None) -> Lineage:
    """Return the lineage of an entry; of a large lake only its edges are read.

    Args:
        session: The session.
        entry: The entry.
        depth: How many steps to go each way at most.
        limit: How many nodes to return each way at most, the nearest.
    """
    state = session.committed()
    since = edges_of(_since(session, state), state.base)
    roots: list[NodeId] = [("entry", entry.entry_id)]
    ways = [Edges(state, since, by_input=by_input).nearest(roots, depth, limit) for by_input in (False, True)]
    edges = _once(pa.concat_tables([found for found, _ in ways]))
    names = {(entry.folio, entry.item)}
    for end in ("output", "input"):
        ends = edges.filter(pc.fill_null(pc.equal(edges.column(f"{end}_kind"), "entry"), False))
        names |= set(zip(*_lists(ends, f"{end}_folio", f"{end}_item"), strict=True))
    puts = _joined([state.puts_of([name for name in names if None not in name]), _since(session, state)])
    names_of_runs = _names_of_runs(state, _runs_in(edges))
    cut = any(cut for _, cut in ways)
    return Lineage(edges, puts, [entry.entry_id], names_of_runs, depth=depth, limit=limit, cut=cut)


def _runs_in(edges: pa.Table) -> set[str | None]:
    """Return the ids of the runs that edges speak of."""
    ids = set(edges.column("run_id").to_pylist())
    for end in ("output", "input"):
        ids |= set(edges.filter(pc.equal(edges.column(f"{end}_kind"), "run")).column(f"{end}_id").to_pylist())
    return ids


def _names_of_runs(state: State, ids: Iterable[str | None]) -> dict[str, str]:
    """Return the names of runs, by id, of those that have one."""
    runs = {one for one in ids if one is not None}
    if len(runs) > _MANY_RUNS:
        texts = state.facts_of_runs("name")
    else:
        texts = {one: state.metadata("run", one).get("name", "") for one in runs}
    return {one: name for one in runs if (name := _name(texts.get(one, "")))}


def _name(text: str) -> str | None:
    """Return the name that a fact of a run gives; whatever was written by hand is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, str) and value else None


def _since(session: Session, state: State) -> pa.Table:
    """Return the rows in memory, and those of an open batch."""
    batch = pending_view(session)
    pending = [{**row, "ordinal": number} for number, row in enumerate(batch.pending_rows() if batch else ())]
    return _joined([state.rows.table(), rows_of(MANIFESTS_SCHEMA, pending)]) if pending else state.rows.table()


def impact_of(session: Session, folio: str, item: str, column: str | None = None) -> Impact:
    """Return the live items that an item reaches downstream, whichever of its entries they were made of.

    Args:
        session: The session.
        folio: The folio.
        item: The item.
        column: Only what this column of it reaches, where that is known.

    Raises:
        NotFoundError: There is no such item.
        InvalidInputError: kind ``unknown-column``: its present entry is a table without that column.
    """
    state = session.committed()
    entry = session.entry(folio, item)
    columns = column_names(entry.details)
    if column is not None and columns is not None and column not in columns:
        raise InvalidInputError(
            f"{entry.ref} has no column {column!r}",
            kind="unknown-column",
            hint=nearest(column, columns),
            column=column,
            item=item,
        )
    since = edges_of(_since(session, state), state.base)
    roots: set[NodeId] = {("entry", one.entry_id) for one in state.history(folio, item)}
    edges = _once(Edges(state, since, by_input=True).all(roots))
    outputs = list(zip(*_lists(edges, "output_kind", "output_id"), strict=True))
    sources = list(zip(edges.column("input_kind").to_pylist(), ids_of(edges, "input").to_pylist(), strict=True))
    names = {one for one in zip(*_lists(edges, "output_folio", "output_item"), strict=True) if None not in one}
    heads = {("entry", row["entry_id"]): row for row in dicts_of(state.heads_of(names))}
    known = {node: one for node, row in heads.items() if (one := _columns_of(row["details"])) is not None}
    links: Any = list(zip(outputs, sources, edges.column("details").to_pylist(), strict=True))
    reached = reached_columns(links, roots, None if column is None else frozenset({column}), known)
    affected = [
        Affected(f"{row['folio']}:{row['item']}@{row['version']}", steps, None if some is None else tuple(sorted(some)))
        for node, (steps, some) in reached.items()
        if (row := heads.get(node)) is not None and (row["folio"], row["item"]) != (folio, item)
    ]
    return Impact(entry.ref, column, sorted(affected, key=lambda one: (one.steps, one.ref)))


def _columns_of(details: str | None) -> list[str] | None:
    try:
        found = json.loads(details or "{}")
    except (ValueError, RecursionError):
        return None
    return column_names(found) if isinstance(found, dict) else None


def heads_behind(
    session: Session, names: Collection[tuple[str, str]], limit: int | None = None
) -> tuple[pa.Table, pa.Table, bool]:
    """Return the newest entries of some items and of all that those were made of, and the edges between them.

    Unlike :func:`lineage_of` this goes on from the newest entry of an input, not from the one that was used.

    Args:
        session: The session.
        names: Folio and item of each.
        limit: No step back is gone once more items than these were looked at beside them.

    Returns:
        The entries, the edges, and whether the limit left some out. Every input of an edge has its entry.
    """
    state = session.committed()
    since = edges_of(_since(session, state), state.base)
    links = Edges(state, since)
    heads, edges = [state.heads_of(())], [since.slice(0, 0)]
    seen, frontier, runs = set(names), set(names), set[str]()
    while frontier:
        heads.append(state.heads_of(frontier))
        if limit is not None and len(seen) > limit + len(names):
            return pa.concat_tables(heads), pa.concat_tables(edges), True
        nodes: set[NodeId] = {("entry", one) for one in heads[-1].column("entry_id").to_pylist()}
        found = links.at(nodes)
        of_run = found.filter(pc.fill_null(pc.equal(found.column("input_kind"), "run"), False))
        new = set(of_run.column("input_id").to_pylist()) - runs - {None}
        runs |= new
        edges += [found, links.at([("run", one) for one in new])]
        used = set(zip(*_lists(pa.concat_tables(edges[-2:]), "input_folio", "input_item"), strict=True))
        frontier = {one for one in used if None not in one} - seen
        seen |= frontier
    return pa.concat_tables(heads), pa.concat_tables(edges), False


def _once(edges: pa.Table) -> pa.Table:
    """Return edges in order, each once."""
    edges = edges.sort_by([(name, "ascending") for name in LINEAGE.position]).combine_chunks()
    if edges.num_rows < 2:
        return edges
    same = np.ones(edges.num_rows - 1, np.bool_)
    for name in LINEAGE.position:
        column = edges.column(name)
        same &= pc.equal(column[1:], column[:-1]).to_numpy()
    return edges.filter(pa.array(np.insert(~same, 0, True)))


def _lists(rows: pa.Table, *names: str) -> list[list[object]]:
    return [rows.column(name).to_pylist() for name in names]


def _joined(rows: Sequence[pa.Table]) -> pa.Table:
    """Return rows of the journal, of which each table has some columns, in one, in order."""
    found = pa.concat_tables([MANIFESTS_SCHEMA.empty_table(), *rows], promote_options="default")
    return found.sort_by([("version", "ascending"), ("ordinal", "ascending")])
