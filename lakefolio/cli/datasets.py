"""``lakefolio datasets create | list | show``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command, group
from lakefolio.cli.naming import datasets as complete
from lakefolio.cli.naming import items, tags
from lakefolio.cli.query import found_items
from lakefolio.render.text import counted, format_bytes

__all__ = ["datasets"]


@group(example="lakefolio datasets list", alone=True)
@click.pass_context
def datasets(ctx: click.Context) -> None:
    """Make, list and show datasets: collections of items under one name.

    Without a command it lists them.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_datasets)


@command(example="lakefolio datasets create paper experiments/clf:scores", light=True, of=datasets)
@click.argument("name")
@click.argument("refs", metavar="FOLIO:NAME[@VERSION]...", nargs=-1, required=True, shell_complete=items)
@click.option("--description", metavar="TEXT", help="One sentence that describes it.")
@click.option(
    "--tag", "tags", multiple=True, metavar="TAG", shell_complete=tags, help="A word to find it by; repeatable."
)
@click.option("--overwrite", is_flag=True, help="Replace a dataset of that name; its old state stays in the history.")
def create(
    app: App, name: str, refs: tuple[str, ...], description: str | None, tags: tuple[str, ...], overwrite: bool
) -> None:
    """Keep items under one name, at the versions they have now; copies no content."""
    lake = app.open(writing=True)
    made = lake.create_dataset(name, refs, description=description, tags=list(tags) or None, overwrite=overwrite)
    facts = {"name": made.name, "version": made.version, "items": len(made)}
    app.output.emit(facts, f"dataset {made.name}: {counted(len(made), 'item')} at version {made.version}")


@command("list", example="lakefolio datasets list", light=True, of=datasets)
def list_datasets(app: App) -> None:
    """List the datasets there are."""
    found = app.open().datasets()
    app.output.rows(
        list(found),
        ("dataset", "items", "size", "version", "tags", "description"),
        [
            (
                one["name"],
                f"{one['items']:,}",
                format_bytes(one["size_bytes"]),
                str(one["version"]),
                ", ".join(one["tags"]),
                one["description"] or "",
            )
            for one in found
        ],
        right=("items", "size", "version"),
        empty="no datasets; make one: lakefolio datasets create NAME FOLIO:NAME",
    )


@command(example="lakefolio datasets show paper", light=True, of=datasets)
@click.argument("name", shell_complete=complete)
def show(app: App, name: str) -> None:
    """Show the members of a dataset, and the exact versions of their sources."""
    found = app.open().get_dataset(name)
    sources = found.sources
    if app.as_json:
        members = [{**row, "source": sources.get(row["name"])} for row in found.to_arrow().to_pylist()]
        facts = {"name": found.name, "version": found.version, "metadata": found.metadata, "members": members}
        app.output.emit(facts)
        return
    said = {"description": found.description, "tags": ", ".join(found.tags)}
    lines = [f"{found.name}: {counted(len(found), 'item')} at version {found.version}"]
    lines += [f"{key}: {value}" for key, value in said.items() if value]
    lines += [f"{member} is {source}" for member, source in sources.items()]
    app.output.emit(None, "\n".join(lines))
    found_items(app, found, "no items")
