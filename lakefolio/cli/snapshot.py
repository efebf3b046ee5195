"""``lakefolio snapshot create | list | drop``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command, group
from lakefolio.cli.naming import folios, snapshots, tags
from lakefolio.format.times import shown_time

__all__ = ["snapshot"]


@group(
    example='lakefolio snapshot create paper-v1 --message "as submitted"',
    alone=True,
    stray="to take a snapshot: lakefolio snapshot create {}",
)
@click.pass_context
def snapshot(ctx: click.Context) -> None:
    """Take, list and drop snapshots: protected names for versions.

    Without a command it lists them.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@command(example='lakefolio snapshot create paper-v1 --message "as submitted"', light=True, of=snapshot)
@click.argument("name")
@click.option(
    "--folio", metavar="FOLIO", shell_complete=folios, help="Name it among this folio's snapshots, not the lake's."
)
@click.option("-m", "--message", metavar="TEXT", help="Why it is taken.")
@click.option(
    "--tag", "tags", multiple=True, metavar="TAG", shell_complete=tags, help="A word to find it by; repeatable."
)
def create(app: App, name: str, folio: str | None, message: str | None, tags: tuple[str, ...]) -> None:
    """Take a snapshot.

    It names the newest version, or the one that --at says. A name belongs to one version until it is dropped.
    """
    at, app.at = app.at, None
    taken = app.open(writing=True).snapshot(name, folio, message, tags, at=at)
    scope = f"folio {taken.folio}" if taken.folio is not None else "the lake"
    app.output.emit(taken, f"snapshot {taken.name} of {scope} at version {taken.target_version}")


@command("list", example="lakefolio snapshot list", light=True, of=snapshot)
@click.option("--folio", metavar="FOLIO", shell_complete=folios, help="Only this folio's.")
def list_(app: App, folio: str | None) -> None:
    """List snapshots, oldest first."""
    found = app.open().snapshots(folio)
    app.output.rows(
        found,
        ("name", "folio", "version", "taken", "author", "tags", "message"),
        [
            (
                one.name,
                one.folio or "(whole lake)",
                str(one.target_version),
                shown_time(one.committed_at),
                one.author or "",
                ", ".join(one.tags),
                one.message or "",
            )
            for one in found
        ],
        right=("version",),
        empty="no snapshots; take one: lakefolio snapshot create NAME",
    )


@command(example="lakefolio snapshot drop paper-v1", light=True, of=snapshot)
@click.argument("name", shell_complete=snapshots)
@click.option(
    "--folio", metavar="FOLIO", shell_complete=folios, help="The folio it was taken of, if it was taken of one."
)
def drop(app: App, name: str, folio: str | None) -> None:
    """Give up a snapshot's name.

    The version stays readable as long as retention keeps it.
    """
    app.open(writing=True).drop_snapshot(name, folio)
    app.output.emit({"dropped": name, "folio": folio}, f"dropped snapshot {name}")
