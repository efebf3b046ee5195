"""Completing what users name: items, folios, runs, organisations. A shell that completes shows no errors."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from lakefolio.errors import InvalidInputError, LakefolioError
from lakefolio.format.names import parse_ref

__all__ = ["datasets", "folders", "items", "named", "runs"]

_LIMIT = 200


def items(context: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete ``folio:item``: folios first, then the items of the folio that was typed."""
    lake = _lake(context)
    if lake is None:
        return []
    folio, colon, _ = typed.partition(":")
    names = [f"{folio}:{one.item}" for one in lake.items(folio, archived=False)] if colon else lake.folios()
    return _beginning(names, typed)


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
    return _beginning([*lake.folios(), *names], typed)


def runs(context: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete run ids."""
    lake = _lake(context)
    return [] if lake is None else _beginning([run.run_id for run in lake.runs(limit=_LIMIT)], typed)


def datasets(context: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete names of datasets."""
    lake = _lake(context)
    return [] if lake is None else _beginning([one["name"] for one in lake.datasets()], typed)


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
    from lakefolio.lake import open_lake

    try:
        return open_lake(getattr(context.find_object(object), "lake_uri", None), create=False, read_only=True)
    except (LakefolioError, OSError):
        return None


def _beginning(names: list[str], typed: str) -> list[CompletionItem]:
    plain = [name for name in dict.fromkeys(names) if name.startswith(typed) and name.isprintable()]
    return [CompletionItem(name) for name in plain[:_LIMIT]]
