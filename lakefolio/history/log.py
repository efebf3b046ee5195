"""The history of one item, and the log of commits (pure: no I/O).

Both are read off the ``manifests`` rows in their total order, so compaction and gc do not change them.

Slightly longer than most modules: what a line of a history says, as text and as HTML, stands beside how it is found.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.errors import InvalidInputError, NotFoundError, nearest
from lakefolio.format.arrow_rows import dicts_of
from lakefolio.format.names import short_id
from lakefolio.format.schema import PURGEABLE
from lakefolio.format.times import shown_time
from lakefolio.model.item_versions import label_of, numbers
from lakefolio.render import html
from lakefolio.render.report import AsText
from lakefolio.render.text import counted
from lakefolio.terminal import cell_count, padded, shown_value, visible

if TYPE_CHECKING:
    from datetime import datetime

__all__ = [
    "CHANGE_COLUMNS",
    "COMMIT_COLUMNS",
    "CommitLine",
    "Event",
    "History",
    "Log",
    "history",
    "in_order",
    "is_in_order",
    "log",
    "text_table",
]

_SHOWN_NAMES = 4
_SHOWN_ROWS = 100


def text_table(rows: Sequence[tuple[str, ...]], limit: int = _SHOWN_ROWS) -> list[str]:
    """Return rows of text as lines with aligned columns."""
    shown = [tuple(visible(cell, keep="") for cell in row) for row in rows[:limit]]
    widths = [max(map(cell_count, column)) for column in zip(*shown, strict=True)]
    lines = [
        "".join(f"  {padded(cell, width)}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown
    ]
    return lines if len(rows) <= limit else [*lines, f"  … {len(rows) - limit:,} more"]


def is_in_order(manifests: pa.Table) -> bool:
    """Say whether rows lie in the total order (version, ordinal)."""
    versions = manifests.column("version").combine_chunks()
    if len(versions) < 2:
        return True
    ordinals = manifests.column("ordinal").combine_chunks()
    rises = pc.greater(versions[1:], versions[:-1])
    same = pc.and_(pc.equal(versions[1:], versions[:-1]), pc.greater(ordinals[1:], ordinals[:-1]))
    return bool(pc.all(pc.or_(rises, same)).as_py())


def in_order(rows: pa.Table) -> pa.Table:
    """Return rows in the total order (version, ordinal)."""
    return rows if is_in_order(rows) else rows.sort_by([("version", "ascending"), ("ordinal", "ascending")])


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one item: a put or a delete.

    Attributes:
        reason: ``add``, ``overwrite``, ``update``, ``delete``, ``restore``, ``archive``, ``unarchive``,
            ``copy``.
        entry_id: The entry put; an archive or a restore puts an old one again.
        purged: Whether gc purged its content since: it can't be read or restored any more.
        number: The number of the version of the item that was put, from 1; an update makes none. None of a delete.
        label: The label of that version, a semantic version.
        aliases: The aliases that name that version now.
        quality: The quality that is noted of it, where the folio's version policy says which fact that is.
        run_name: The name of the run that put it.
    """

    version: int
    committed_at: datetime
    op: str
    reason: str | None
    author: str | None
    message: str | None
    entry_id: str | None
    kind: str | None
    digest: str | None
    size_bytes: int | None
    row_count: int | None
    description: str | None
    archived: bool
    run_id: str | None
    commit_id: str
    purged: bool = False
    number: int | None = None
    label: str | None = None
    aliases: tuple[str, ...] = ()
    quality: float | None = None
    run_name: str | None = None

    @property
    def called(self) -> str:
        """The version as people read it: ``#3 1.2.0 (golden)``; empty for a delete."""
        words = ["" if self.number is None else f"#{self.number}", self.label or ""]
        words.append(f"({', '.join(self.aliases)})" if self.aliases else "")
        return " ".join(one for one in words if one)

    def to_dict(self) -> dict[str, Any]:
        """The attributes as JSON-able values."""
        return _plain(self) | {"aliases": list(self.aliases)}


@dataclass(frozen=True, slots=True)
class CommitLine:
    """One commit: an atomic set of changes.

    Attributes:
        changes: ``"+ folio:item"`` for what was put new, ``"~ …"`` for what was put again, ``"- …"`` for what
            was deleted, ``"snapshot …"`` and the like for the rest; in the order they were made.
        change_count: How many there are.
    """

    version: int
    commit_id: str
    committed_at: datetime
    author: str | None
    message: str | None
    change_count: int
    changes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The attributes as JSON-able values."""
        return _plain(self) | {"changes": list(self.changes)}


def _plain(one: Any) -> dict[str, Any]:
    values = {name: getattr(one, name) for name in one.__dataclass_fields__}
    return values | {"committed_at": one.committed_at.isoformat()}


Line = TypeVar("Line", Event, CommitLine)


class _Lines(AsText, Sequence[Line], Generic[Line]):
    """A sequence of changes, newest first, that prints as a table."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines: list[Line] = list(lines)

    def __getitem__(self, index: Any) -> Any:
        return self._lines[index]

    def __len__(self) -> int:
        return len(self._lines)

    def to_dicts(self) -> list[dict[str, Any]]:
        """The changes as JSON-able values."""
        return [one.to_dict() for one in self._lines]

    @abstractmethod
    def _columns(self) -> dict[str, list[str]]:
        """Return the texts of the table, by the headings of its columns."""

    def _html(self) -> html.Markup:
        columns = self._columns() | {"when": [one.committed_at for one in self]}
        return html.row_table(list(columns), zip(*columns.values(), strict=True), right=("size",))

    def _rows(self) -> list[tuple[str, ...]]:
        return list(zip(*self._columns().values(), strict=True))


class History(_Lines[Event]):
    """Every change of one item, newest first."""

    def __init__(self, lines: Sequence[Event], folio: str, item: str) -> None:
        super().__init__(lines)
        self.folio = folio
        self.item = item

    def __str__(self) -> str:
        head = f"{self.folio}:{self.item}, {counted(len(self), 'change')}, newest first"
        return "\n".join([visible(head, keep=""), *text_table(self._rows())])

    def _repr_html_(self) -> str:
        head = html.heading("history", f"{self.folio}:{self.item}", f"{counted(len(self), 'change')}, newest first")
        return html.block(head, self._html())

    def _columns(self) -> dict[str, list[str]]:
        columns = {
            "version": [f"@{one.version}" for one in self],
            "of the item": [one.called for one in self],
            "when": [shown_time(one.committed_at) for one in self],
            "change": [(one.reason or one.op) + (" (purged)" if one.purged else "") for one in self],
            "author": [_line(one.author) for one in self],
            "size": ["" if one.size_bytes is None else f"{one.size_bytes:,} B" for one in self],
            "digest": [(one.digest or "").removeprefix("sha256:")[:10] for one in self],
            "quality": [_quality(one.quality) for one in self],
            "run": [_run(one.run_id, one.run_name) for one in self],
            "message": [_line(one.message) for one in self],
        }
        return {name: texts for name, texts in columns.items() if name not in ("quality", "run") or any(texts)}


class Log(_Lines[CommitLine]):
    """Commits, newest first."""

    def __str__(self) -> str:
        if not self:
            return "no commits"
        return "\n".join(line.removeprefix("  ") for line in text_table(self._rows(), len(self)))

    def _repr_html_(self) -> str:
        return html.block(self._html() if self else html.muted("no commits"))

    def _columns(self) -> dict[str, list[str]]:
        return {
            "version": [f"@{one.version}" for one in self],
            "when": [shown_time(one.committed_at) for one in self],
            "author": [_line(one.author) for one in self],
            "message": [_line(one.message) for one in self],
            "changes": [_named(one) for one in self],
        }


def _run(run_id: str | None, name: str | None, what: str = "run") -> str:
    """Return a run as people name it: ``run train (82fcb373)``."""
    if run_id is None:
        return ""
    return f"{what} {short_id(run_id)}" if name is None else f"{what} {_line(name)} ({short_id(run_id)})"


def _quality(value: float | None) -> str:
    return "" if value is None else f"quality {value:g}"


def _line(text: str | None) -> str:
    """Return a message as one line: a second line could be taken for another commit."""
    return " ".join((text or "").splitlines())


def _named(one: CommitLine) -> str:
    changes = list(dict.fromkeys(one.changes))  # a run's metrics may be several rows of one commit
    more = len(changes) - _SHOWN_NAMES
    return ", ".join(changes[:_SHOWN_NAMES]) + (f" and {more:,} more" if more > 0 else "")


_DERIVED: Final = ("purged", "number", "label", "aliases", "quality", "run_name")
CHANGE_COLUMNS = (
    *(name for name in Event.__dataclass_fields__ if name not in _DERIVED),
    "facts",
    "extra",
    "storage",
    "blob_digest",
    "generation",
)
"""The columns that :func:`history` reads."""

COMMIT_COLUMNS = (
    "version",
    "commit_id",
    "committed_at",
    "author",
    "message",
    "op",
    "reason",
    "folio",
    "item",
    "snapshot",
    "blob_digest",
    "run_id",
)
"""The columns that :func:`log` reads."""


def history(
    manifests: pa.Table,
    folio: str,
    item: str,
    generation: Callable[[str], int] | None = None,
    *,
    aliases: Mapping[str, int] | None = None,
    quality: str | None = None,
    runs: Mapping[str, str] | None = None,
) -> History:
    """Return every change of an item, newest first, also of one that was deleted.

    Args:
        manifests: Rows of ``manifests``, those of the item among them.
        folio: Its folio.
        item: Its name.
        aliases: The aliases of the item, each with the number of its version.
        quality: The key of the facts that hold the quality of an entry.
        generation: Gives the lowest generation of a blob that was not purged; by default the rows tell.
        runs: The names of runs, by id.

    Raises:
        NotFoundError: If there never was such an item.
    """
    ours = pc.and_kleene(pc.equal(manifests.column("folio"), folio), pc.equal(manifests.column("item"), item))
    wanted = pc.and_kleene(ours, pc.is_in(manifests.column("op"), value_set=pa.array(["put", "delete"])))
    names = [name for name in Event.__dataclass_fields__ if name not in (*_DERIVED, "archived")]
    rows = dicts_of(in_order(manifests.select([*CHANGE_COLUMNS, "ordinal"]).filter(wanted)))
    if not rows:
        near = manifests.filter(pc.equal(manifests.column("folio"), folio)).column("item").drop_null()
        raise NotFoundError(
            f"item {item!r} was never in folio {folio!r}",
            kind="item-not-found",
            hint=nearest(item, near.unique().to_pylist()),
            folio=folio,
            item=item,
        )
    if generation is None:
        purged = _purged(manifests)

        def generation(digest: str) -> int:
            return purged.get(digest, -1) + 1

    puts = [row for row in rows if row["op"] == "put"]
    made = numbers((row["entry_id"], row["reason"]) for row in puts)
    number_of = {(row["version"], row["ordinal"]): number for row, number in zip(puts, made, strict=True)}
    labels: dict[int | None, str] = {}
    for row, one in zip(puts, made, strict=True):
        if label := label_of(row["extra"]):
            labels.setdefault(one, label)
    named: dict[int | None, list[str]] = {}
    for alias, one in (aliases or {}).items():
        named.setdefault(one, []).append(alias)
    events = [
        Event(
            number=(number := number_of.get((row["version"], row["ordinal"]))),
            label=labels.get(number),
            aliases=tuple(named.get(number, ())),
            quality=_number(row["facts"], quality),
            run_name=(runs or {}).get(row["run_id"]),
            **{name: row[name] for name in names},
            archived=bool(row["archived"]),
            purged=row["storage"] in PURGEABLE
            and row["blob_digest"] is not None
            and (row["generation"] or 0) < generation(row["blob_digest"]),
        )
        for row in reversed(rows)
    ]
    return History(events, folio, item)


def _number(facts: Sequence[Mapping[str, Any]] | None, key: str | None) -> float | None:
    found = [fact.get("value_number") for fact in facts or () if key is not None and fact.get("key") == key]
    return found[-1] if found else None


def _purged(manifests: pa.Table) -> dict[str | None, int]:
    """Return the highest generation of each blob that was purged."""
    rows = manifests.select(["op", "blob_digest", "generation"])
    rows = rows.filter(pc.equal(rows.column("op"), "purge"))
    found: dict[str | None, int] = {}
    for row in dicts_of(rows):
        found[row["blob_digest"]] = max(found.get(row["blob_digest"], -1), row["generation"] or 0)
    return found


def log(
    manifests: pa.Table,
    limit: int | None = None,
    folio: str | None = None,
    names: Callable[[set[str]], Mapping[str, str]] | None = None,
) -> Log:
    """Return the commits, newest first; the cost follows ``limit``, not the length of the history.

    Args:
        manifests: The rows of ``manifests``, in order.
        limit: How many commits at most; all if None.
        folio: Only commits that change this folio, and of those only the changes to it.
        names: Gives the names of runs, by id, of those that have one.

    Raises:
        InvalidInputError: If ``limit`` is negative.
    """
    if limit is not None and limit < 0:
        raise InvalidInputError(f"limit is {shown_value(limit)}, expected 0 or more", kind="bad-limit", limit=limit)
    if folio is not None:
        manifests = manifests.filter(pc.equal(manifests.column("folio"), folio))
    rows = _tail(in_order(manifests) if limit is None else manifests, limit)
    commits: dict[str, dict[str, Any]] = {}
    read = dicts_of(rows.select(COMMIT_COLUMNS))
    runs = names({row["run_id"] for row in read if row["run_id"] is not None}) if names is not None else {}
    for row in read:
        commit = commits.setdefault(row["commit_id"], {**row, "changes": []})
        commit["changes"].append(_described(row, runs))
    lines = [
        CommitLine(
            one["version"],
            one["commit_id"],
            one["committed_at"],
            one["author"],
            one["message"],
            len(one["changes"]),
            tuple(one["changes"]),
        )
        for one in reversed(commits.values())
    ]
    return Log(lines[:limit])


def _tail(rows: pa.Table, limit: int | None) -> pa.Table:
    """Return the last rows that hold at least ``limit`` whole commits."""
    count = rows.num_rows if limit is None else max(1, 4 * limit)
    while count < rows.num_rows:
        tail = rows.slice(rows.num_rows - count)
        # the slice may cut into its first version
        whole = tail.filter(pc.greater(tail.column("version"), tail.column("version")[0]))
        if limit is not None and pc.count_distinct(whole.column("commit_id")).as_py() >= limit:
            return whole
        count *= 4
    return rows


def _described(row: dict[str, Any], runs: Mapping[str, str]) -> str:
    name = f"{row['folio']}:{row['item']}"
    match row["op"]:
        case "put":
            sign = "+" if row["reason"] in ("add", "copy") else "~"
            extra = f" ({row['reason']})" if row["reason"] in ("archive", "unarchive", "restore") else ""
            return f"{sign} {name}{extra}"
        case "delete":
            return f"- {name}"
        case "snapshot" | "drop_snapshot":
            where = f" of {row['folio']}" if row["folio"] is not None else ""
            return f"{row['op'].replace('_', ' ')} {row['snapshot']}{where}"
        case "annotate":
            return f"metadata of {row['folio'] or 'lake'}"
        case _ if row["op"] != "pin" and row["run_id"] is not None:
            return _run(row["run_id"], runs.get(row["run_id"]), row["op"] if row["op"] == "run" else f"{row['op']} of")
        case _:
            return f"{row['op']} {(row['blob_digest'] or '')[:17]}".strip()
