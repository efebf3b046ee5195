"""Completing what users name: items, versions, tags, folios, runs. A shell that completes shows no errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import click
from click.shell_completion import CompletionItem

from lakefolio.cli.app import App
from lakefolio.errors import InvalidInputError, LakefolioError
from lakefolio.format.names import is_own_folio, parse_ref
from lakefolio.format.times import shown_time
from lakefolio.terminal import visible

__all__ = ["datasets", "files", "folders", "folios", "items", "models", "named", "runs", "snapshots", "tags", "whens"]

_LIMIT = 200
_LOOKED_AT = 20_000
_FOLIOS_LOOKED_AT = 100


def items(context: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete ``folio:item@version``: folios first, then the items of the folio, then versions and snapshots."""
    folio, colon, rest = typed.partition(":")
    item, at, _ = rest.rpartition("@")
    lake = _lake(context) if at else _glance(context)
    if lake is None:
        return []
    if not colon:
        return _beginning([CompletionItem(f"{name}:", "open") for name in _folios(lake, typed)], typed)
    if at:
        return _beginning(_versions(lake, folio, item), typed)
    found = (
        lake.present(folio)
        if hasattr(lake, "present")
        else [(one.item, one.description or one.kind) for one in lake.items(folio, archived=False)]
    )
    return _beginning((CompletionItem(f"{folio}:{name}", help=told) for name, told in _fitting(found, rest)), typed)


def _fitting(items: Iterable[tuple[str, str]], typed: str) -> Iterator[tuple[str, str]]:
    """Yield the first items that begin as was typed; a folio may have a hundred thousand."""
    return islice((one for one in items if one[0].startswith(typed) and one[0].isprintable()), _LIMIT)


def _versions(lake: Any, folio: str, item: str) -> list[CompletionItem]:
    """Return an item with each of its versions, newest first, and with each snapshot of the lake or its folio."""
    ref = f"{folio}:{item}"
    try:
        events = lake.history(ref)
    except LakefolioError:
        return []
    called = {
        f"{ref}@{name}": CompletionItem(f"{ref}@{name}", help=f"#{one.number} of @{one.version}")
        for one in reversed(events)
        for name in (*one.aliases, *([one.label] if one.label else []))
    }
    taken = [one for one in lake.snapshots() if one.folio in (None, folio)]
    return [
        *(
            CompletionItem(f"{ref}@{one.version}", help=f"{one.reason or one.op} {shown_time(one.committed_at)}")
            for one in events
        ),
        *called.values(),
        *(CompletionItem(f"{ref}@{one.name}", help=_described(one)) for one in taken),
    ]


def _described(snapshot: Any) -> str:
    return f"snapshot of {snapshot.target_version}" + (f": {snapshot.message}" if snapshot.message else "")


def whens(context: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete snapshots and the newest versions, with what each commit changed."""
    lake = _lake(context)
    if lake is None:
        return []
    commits = lake.log(_LIMIT // 4)
    named = {one.name: CompletionItem(one.name, help=_described(one)) for one in lake.snapshots()}
    versions = [
        CompletionItem(str(one.version), help=f"{shown_time(one.committed_at)} {one.message or ''}") for one in commits
    ]
    return _beginning([*named.values(), *versions], typed)


def snapshots(context: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete names of snapshots."""
    lake = _lake(context)
    return (
        []
        if lake is None
        else _beginning([CompletionItem(one.name, help=_described(one)) for one in lake.snapshots()], typed)
    )


def folios(context: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete folios."""
    lake = _glance(context)
    return [] if lake is None else _beginning(map(CompletionItem, _folios(lake, typed)), typed)


def _folios(lake: Any, typed: str) -> list[str]:
    """Return the folios to choose from; those that the library keeps, as of runs, once nothing else is meant."""
    names = [name for name in lake.folios() if name.startswith(typed)]
    return [name for name in names if not is_own_folio(name)] or names


def tags(context: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete tags: of the item that the line names, else of the first items of the lake."""
    lake = _lake(context)
    if lake is None:
        return []
    found: dict[str, None] = {}
    try:
        ref = context.params.get("ref")
        entries = _first_items(lake) if ref is None or param.name == "tags" else [lake.item(ref)]
    except LakefolioError:
        return []
    for one in entries:
        found.update(dict.fromkeys(one.tags))
    return _beginning(map(CompletionItem, sorted(found)), typed)


def _first_items(lake: Any) -> list[Any]:
    entries: list[Any] = []
    for folio in lake.folios()[:_FOLIOS_LOOKED_AT]:
        if len(entries) > _LOOKED_AT:
            break
        entries += lake.items(folio)
    return entries


def files(context: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Let the shell complete files and folders."""
    return [CompletionItem(typed, "file")]


def folders(context: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete folios, and paths of organisations; view files are named, never run."""
    from lakefolio.query.browse import library_organisations

    lake = _lake(context)
    if lake is None:
        return []
    above = typed.rpartition("/")[0]
    if above.split("/")[0] not in ("", *library_organisations()):
        above = ""
    try:
        names = [f"{above}/{one}" if above else one for one in lake.browse(above)]
    except LakefolioError:
        names = []
    return _beginning(map(CompletionItem, [*_folios(lake, typed), *names]), typed)


def runs(context: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete the names of runs; the id of one that has no name of its own, or whose id is typed."""
    lake = _lake(context)
    found = [] if lake is None else list(lake.runs(limit=_LIMIT))
    named = Counter(run.name for run in found)
    names = [
        CompletionItem(run.name, help=run.status) for run in found if run.name is not None and named[run.name] == 1
    ]
    ids = [
        CompletionItem(run.run_id, help=run.name)
        for run in found
        if run.name is None or named[run.name] > 1 or (typed and run.run_id.startswith(typed))
    ]
    return _beginning([*names, *ids], typed)


def models(context: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete names of registered models."""
    lake = _lake(context)
    return [] if lake is None else _beginning([CompletionItem(one.name) for one in lake.models()], typed)


def datasets(context: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete names of datasets."""
    lake = _lake(context)
    return [] if lake is None else _beginning([CompletionItem(one["name"]) for one in lake.datasets()], typed)


def named(ref: str, *, version: bool = False) -> tuple[str, str]:
    """Return the folio and the item that FOLIO:NAME names; with ``version``, the item may be of the past.

    Raises:
        InvalidInputError: kind ``bad-ref``: it names no folio, or a version.
    """
    parsed = parse_ref(ref)
    if parsed.folio is None or (parsed.at is not None and not version):
        what = "names no folio" if parsed.folio is None else "names a version, which only the lake can give"
        raise InvalidInputError(f"item reference {ref!r} {what}", kind="bad-ref", hint="write FOLIO:NAME", ref=ref)
    return parsed.folio, parsed.item if parsed.at is None else f"{parsed.item}@{parsed.at}"


def _lake(context: click.Context) -> Any:
    """Open the lake of the line; None where there is none."""
    return _opened(context, App.open)


def _glance(context: click.Context) -> Any:
    """Read the folios and items of the lake of the line; None where there is none."""
    return _opened(context, App.glance)


def _opened(context: click.Context, how: Callable[[App], object]) -> Any:
    app = context.ensure_object(App)
    app.spare_imports()
    try:
        return how(app)
    except (LakefolioError, OSError):
        return None


def _beginning(found: Iterable[CompletionItem], typed: str) -> list[CompletionItem]:
    """Return what begins as was typed, each once."""
    fitting = {one.value: one for one in found if one.value.startswith(typed)}
    return [one for one in fitting.values() if visible(one.value, keep="") == one.value][:_LIMIT]
