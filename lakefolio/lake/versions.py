"""The history of a lake, snapshots of its versions, and restoring one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal, overload

from lakefolio.errors import InvalidInputError, NotFoundError, nearest
from lakefolio.format.names import check_folio, check_snapshot, parse_ref
from lakefolio.lake.reading import item_named
from lakefolio.lake.reports import RestoreReport
from lakefolio.model.changes import Annotate, DropSnapshot, Restore, TakeSnapshot
from lakefolio.model.entries import SNAPSHOT_COLUMNS, Snapshot
from lakefolio.model.resolve import At, said_twice
from lakefolio.model.version_policy import POLICY, policy_of, policy_text
from lakefolio.render.listing import Listing
from lakefolio.render.text import counted
from lakefolio.session.annotations import check_tags, check_text, without_secrets

if TYPE_CHECKING:
    from lakefolio.compare.item_diff import ItemDiff
    from lakefolio.history.diff import Diff
    from lakefolio.history.log import History, Log
    from lakefolio.lake.lake import Lake
    from lakefolio.model.compatibility import Level

__all__ = [
    "diff",
    "drop_snapshot",
    "history",
    "log",
    "restore",
    "set_version_policy",
    "snapshot",
    "snapshots",
    "version_policy",
]


def log(lake: Lake, /, limit: int | None = 20, *, folio: str | None = None) -> Log:
    """Return the commits, newest first; all of them if ``limit`` is None.

    Raises:
        NotFoundError: kind ``folio-not-found``: nothing was ever committed to this folio; the hint names the nearest.
    """
    from lakefolio.session.history_queries import log_of

    found = log_of(lake._session, limit, folio)
    if not len(found) and limit != 0:
        _check_known(lake, folio)
    return found


def history(lake: Lake, /, ref: str) -> History:
    """Return every change of an item, newest first; also of one that was deleted.

    Raises:
        NotFoundError: If there never was such an item.
    """
    from lakefolio.session.history_queries import history_of

    return history_of(lake._session, *item_named(lake, ref))


@overload
def diff(lake: Lake, /, a: At, b: At | None = None, folio: str | None = None) -> Diff: ...


@overload
def diff(
    lake: Lake,
    /,
    a: At,
    b: At | None = None,
    *,
    item: str,
    key: str | Iterable[str] | None = None,
    limit: int = 10,
) -> ItemDiff: ...


def diff(
    lake: Lake,
    /,
    a: At,
    b: At | None = None,
    folio: str | None = None,
    *,
    item: str | None = None,
    key: str | Iterable[str] | None = None,
    limit: int = 10,
) -> Diff | ItemDiff:
    """Return the changes from ``a`` to ``b`` (by default, until now): the changed items, or the changes inside one.

    Of an item the content is compared: a table's rows and columns, an array's cells, the values of JSON by their paths,
    a text's lines, a model's parameters, fitted attributes and tensors, a picture's pixels, a folder's files. Tables
    are compared in at most 600 MiB, spilling to disk; row groups whose bytes are equal are not decoded, and equal
    digests cost nothing. No code of a model is run. See ``docs/differences.md``.

    Args:
        a: A version, a time or a snapshot.
        b: Another one.
        folio: Compare this folio only; ``folio:name`` is an item, as ``item`` is.
        item: Compare the content of this item: ``folio:name``.
        key: The columns that identify a row of a table; by default the index of pandas frames if it has no duplicates,
            else rows are compared by their position.
        limit: How many rows of each change, or cells, are given as examples at most; all are counted.

    Raises:
        NotFoundError: There is no such version or folio, or the item is not there at one of both.
        InvalidInputError: kind ``unknown-column`` or ``duplicate-key`` for a key that is none of both tables;
            ``bad-option``.
    """
    if item is None and folio is not None and ":" in folio:
        folio, item = None, folio
    if item is None:
        if key is not None:
            raise InvalidInputError(
                "key= is for the rows of an item, and none is named", kind="bad-option", hint="pass item='folio:name'"
            )
        from lakefolio.session.history_queries import diff_of

        found = diff_of(lake._session, a, b, folio)
        if not len(found) and not found.unchanged_count:
            _check_known(lake, folio)
        return found
    from lakefolio.compare.reading import diff_item

    if folio is not None:
        raise InvalidInputError(
            f"both folio={folio!r} and item={item!r} are given", kind="bad-option", hint="pass item='folio:name' alone"
        )
    if parse_ref(item).at is not None:
        raise said_twice(item, a)
    return diff_item(lake._session.steady(), *item_named(lake, item), a, b, key=key, limit=limit)


def set_version_policy(
    lake: Lake,
    /,
    bump: Literal["auto", "major", "minor", "patch"] | None = None,
    compatibility: Level | None = None,
    quality: str | None = None,
    jump: float | None = None,
) -> Lake:
    """Set the rules for new versions of all items whose folios say nothing else; see ``Folio.set_version_policy``.

    One commit. They don't hold for the folios that the library keeps for itself.

    Args:
        bump: Give every new version a label: ``auto``, or always this part of the last label.
        compatibility: Refuse a version that is not ``backward``, ``forward`` or ``full`` compatible.
        quality: The key of the items' metadata that holds a number for their quality.
        jump: How large a difference of quality makes a major version; by default 0.1.

    Raises:
        InvalidInputError: kind ``bad-policy``.
    """
    given = {"bump": bump, "compatibility": compatibility, "quality": quality, "jump": jump}
    change = Annotate("lake", "", {POLICY: policy_text(given, "the lake")})
    lake._session.apply(change, message="version policy")
    return lake


def version_policy(lake: Lake, /) -> dict[str, object]:
    """Return the rules for new versions that hold where a folio says nothing else; see ``set_version_policy``."""
    return policy_of(lake._session.state()).to_dict()


def snapshot(
    lake: Lake,
    /,
    name: str,
    folio: str | None = None,
    message: str | None = None,
    tags: str | Iterable[str] | None = None,
    *,
    at: At | None = None,
    extra: Mapping[str, object] | None = None,
) -> Snapshot:
    """Give a version a protected name. Atomic; the name is unique among the folio's or the lake's snapshots.

    Args:
        name: The name; not a number and not a time.
        folio: The folio it is taken of; by default the whole lake.
        message: Why it was taken.
        tags: Words to find it by.
        at: The version, time or snapshot to name; by default the state that the commit leaves.
        extra: Anything JSON-able to keep with it.

    Raises:
        AlreadyExistsError: The name is taken.
    """
    take = TakeSnapshot(
        name=check_snapshot(name),
        folio=None if folio is None else check_folio(folio),
        message=check_text(message, "message"),
        tags=check_tags(tags),
        extra=dict(without_secrets("extra", dict(extra or {}))),
        target_version=None if at is None else lake._session.resolve(at, folio),
    )
    lake._session.apply(take, message=take.message)
    found = lake._session.state().snapshot(folio, name)
    assert found is not None
    return found


def snapshots(lake: Lake, /, folio: str | None = None) -> list[Snapshot]:
    """Return the snapshots, oldest first: all of them, or a folio's."""
    return Listing(lake._session.state().snapshots(folio), "snapshot", SNAPSHOT_COLUMNS)


def drop_snapshot(lake: Lake, /, name: str, folio: str | None = None) -> Lake:
    """Give up a snapshot's name; the version stays readable as long as retention keeps it.

    Raises:
        NotFoundError: If there is none of that name.
    """
    lake._session.apply(DropSnapshot(name, folio))
    return lake


def restore(
    lake: Lake,
    /,
    at: At,
    folio: str | None = None,
    items: str | Iterable[str] | None = None,
    dry_run: bool = False,
) -> RestoreReport:
    """Restore the lake, a folio or some items to a past state: one new commit; no history is lost.

    Rows of record tables are brought back first, each table in a commit of its own. If it is interrupted in between,
    ``check`` says so (``restore-unfinished``), and the same call again ends it.

    Args:
        at: The version, time or snapshot to go back to; ``-1`` is the state before the newest commit, of each of
            ``items`` the one before its newest change. Of items also one of their own: ``#3``, ``1.2.0``, an alias.
        folio: Only this folio.
        items: Only these items: names in ``folio``, or references ``folio:name``.
        dry_run: Only return the changes that would be made.

    Raises:
        NotFoundError: If there is no such version, folio or item, neither then nor now.
    """
    lake._session.check_writable()
    texts = [items] if isinstance(items, str) else list(items or ())
    version = 0 if texts else lake._session.resolve(at, folio)
    wanted: dict[tuple[int, str], list[str]] = {}
    for text in texts:
        ref = parse_ref(text, folio=folio)
        if ref.folio is None:
            raise InvalidInputError(
                f"item {text!r} names no folio", kind="bad-ref", hint="write folio:name, or pass folio="
            )
        called = lake._session.entry_called(ref.folio, ref.item, at)
        version = lake._session.resolve(at, ref.folio, ref.item) if called is None else called.version
        wanted.setdefault((version, ref.folio), []).append(ref.item)
    if items is not None:
        changes = [Restore(then, name, tuple(names)) for (then, name), names in wanted.items()]
    else:
        _check_restorable(lake, folio, version)
        changes = [Restore(version, folio)]
    from lakefolio.session.record_commits import behind

    rows = lake._session.plan(*changes) if changes else []
    tables = [(entry.folio, entry.item) for entry, _ in behind(lake._session, changes)]
    if changes and not dry_run:
        what, when = folio or "lake", _target_text(at, version)
        if refs := [f"{name}:{item}" for (_, name), names in wanted.items() for item in names]:
            what = refs[0] if len(refs) == 1 else counted(len(refs), "item")
            when = when if len({then for then, _ in wanted}) == 1 else str(at)  # each to a version of its own
        lake._session.apply(*changes, message=f"restore {what} to {when}")
    told = {(row["folio"], row.get("item")) for row in rows}
    rows += [{"op": "put", "folio": folio, "item": item} for folio, item in tables if (folio, item) not in told]
    return RestoreReport.of(rows, version, dry_run=dry_run, at=at)


def _target_text(at: At, version: int) -> str:
    """Return a point in time as the log says it: ``-1`` and "yesterday" mean another version later on."""
    named = str(at).removeprefix("@")
    return f"@{version}" if named == str(version) else f"@{version} ({named})"


def _check_known(lake: Lake, folio: str | None) -> None:
    """Refuse a folio about which the journal says nothing: its name is misspelt."""
    from lakefolio.session.history_queries import log_of

    if folio is None or len(log_of(lake._session, 1, folio)):
        return
    raise NotFoundError(
        f"folio {folio!r} has no items and no history",
        kind="folio-not-found",
        hint=nearest(folio, lake._session.committed().folios()),
        folio=folio,
    )


def _check_restorable(lake: Lake, folio: str | None, version: int) -> None:
    if folio is None:
        return
    state = lake._session.committed()
    if not state.names(check_folio(folio)) and not lake._session.journal.at(version).names(folio):
        raise NotFoundError(
            f"folio {folio!r} has no items, neither at version {version} nor now",
            kind="folio-not-found",
            hint=nearest(folio, state.folios()),
            folio=folio,
        )
