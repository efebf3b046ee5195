"""``lakefolio models list | show | register | promote | rollback | history``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from lakefolio.cli.app import App, command, group
from lakefolio.cli.naming import items
from lakefolio.cli.naming import models as complete
from lakefolio.format.names import short_id
from lakefolio.format.times import shown_time

if TYPE_CHECKING:
    from datetime import datetime

    from lakefolio.lake.registry import AliasChange

__all__ = ["models"]

_PRODUCTION: Final = "production"


@group(example="lakefolio models list", alone=True)
@click.pass_context
def models(ctx: click.Context) -> None:
    """Register models under names; promote and roll back their versions.

    Without a command it lists them.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_models)


@command("list", example="lakefolio models list", light=True, of=models)
def list_models(app: App) -> None:
    """List the registered models there are; MLflow's are the same."""
    found = app.open().models().rows()
    app.output.rows(
        found,
        ("model", "versions", "aliases", "registered", "run", "description"),
        [
            (
                one["name"],
                str(one["versions"]),
                ", ".join(f"{alias} is v{number}" for alias, number in one["aliases"].items()),
                _when(one["registered_at"]),
                short_id(one["run_id"]) if one["run_id"] else "",
                one["description"] or "",
            )
            for one in found
        ],
        right=("versions",),
        empty="no registered models; register one: lakefolio models register NAME FOLIO:NAME",
    )


@command(example="lakefolio models show churn@production", light=True, of=models)
@click.argument("name", metavar="NAME[@VERSION|ALIAS|RUN]", shell_complete=complete)
def show(app: App, name: str) -> None:
    """Show the versions of a model, or one of them: what it was made from, by which run, and who registered it."""
    model, at, which = name.partition("@")
    found = app.open().model(model)
    if at:
        one = found.version(which)
        facts = {
            "model": f"{one.name} v{one.number}",
            "aliases": ", ".join(one.aliases),
            "description": one.description,
            "made from": one.source,
            "run": one.run_id,
            "registered": _when(one.created_at) + (f" by {one.author}" if one.author else ""),
            "tags": ", ".join(f"{key}={value}" if value else key for key, value in one.tags.items()),
            "stage": one.stage,
            "item": one.ref,
        }
        app.output.emit(one, "\n".join(f"{key:<12} {value}" for key, value in facts.items() if value))
        return
    versions = found.versions()[::-1]
    app.output.rows(
        {"name": found.name, "description": found.description, "aliases": found.aliases, "versions": versions},
        ("version", "aliases", "made from", "run", "registered", "author", "description"),
        [
            (
                f"v{one.number}",
                ", ".join(one.aliases),
                one.source or "",
                short_id(one.run_id) if one.run_id else "",
                _when(one.created_at),
                one.author or "",
                one.description or "",
            )
            for one in versions
        ],
        empty="no versions yet",
    )


@command(example="lakefolio models register churn experiments/clf:model --alias staging", light=True, of=models)
@click.argument("name", shell_complete=complete)
@click.argument("ref", metavar="FOLIO:NAME[@VERSION]", shell_complete=items)
@click.option("--description", metavar="TEXT", help="One sentence on this version.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="A word to find it by; repeatable.")
@click.option("--alias", metavar="ALIAS", help="Let this alias name it from now on.")
def register(app: App, name: str, ref: str, description: str | None, tags: tuple[str, ...], alias: str | None) -> None:
    """Make an item the next version of a model; copies no content.

    RUN:OUTPUT, with the id or name of a run, means what that run made.
    """
    lake = app.open(writing=True)
    made = lake.register_model(name, ref, description=description, tags=list(tags) or None, alias=alias)
    named = f", {alias}" if alias else ""
    app.output.emit(made, f"model {made.name} v{made.number}{named}: {made.source}")


@command(example="lakefolio models promote churn v3 --alias production", light=True, of=models)
@click.argument("name", shell_complete=complete)
@click.argument("version", metavar="VERSION|ALIAS|RUN")
@click.option("--alias", default=_PRODUCTION, show_default=True, metavar="ALIAS", help="The alias to move.")
@click.option("--replacing", type=click.IntRange(min=0), metavar="N", help="Only if it names version N now; 0: none.")
def promote(app: App, name: str, version: str, alias: str, replacing: int | None) -> None:
    """Let an alias name a version; what it named before stays in the history."""
    moved = app.open(writing=True).model(name).promote(version, alias, replacing=replacing)
    app.output.emit(_plain(moved), f"model {name}: {_moved(moved)}")


@command(example="lakefolio models rollback churn", light=True, of=models)
@click.argument("name", shell_complete=complete)
@click.option("--alias", default=_PRODUCTION, show_default=True, metavar="ALIAS", help="The alias to move.")
def rollback(app: App, name: str, alias: str) -> None:
    """Let an alias name what it named before its last promotion; again goes further back."""
    moved = app.open(writing=True).model(name).rollback(alias)
    app.output.emit(_plain(moved), f"model {name}: {_moved(moved)}")


@command(example="lakefolio models history churn", light=True, of=models)
@click.argument("name", shell_complete=complete)
@click.option("--alias", metavar="ALIAS", help="Only of this alias.")
def history(app: App, name: str, alias: str | None) -> None:
    """List who moved which alias when, newest first."""
    found = app.open().model(name).history(alias)
    app.output.rows(
        [_plain(one) for one in found],
        ("alias", "from", "to", "moved", "author", "version"),
        [
            (one.alias, _named(one.before), _named(one.after), _when(one.moved_at), one.author or "", str(one.version))
            for one in found
        ],
        right=("version",),
        empty="no alias was ever set",
    )


def _plain(moved: AliasChange) -> dict[str, object]:
    names = ("alias", "before", "after", "version", "moved_at", "author", "message", "run_id")
    return {name: getattr(moved, name) for name in names}


def _moved(moved: AliasChange) -> str:
    before = f" (was {_named(moved.before)})" if moved.before is not None and moved.before != moved.after else ""
    return f"{moved.alias} is {_named(moved.after) or 'nothing'}{before}"


def _named(number: int | None) -> str:
    return "" if number is None else f"v{number}"


def _when(at: datetime | None) -> str:
    return "" if at is None else shown_time(at, "seconds")
