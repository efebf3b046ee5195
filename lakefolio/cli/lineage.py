"""``lakefolio lineage``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import items
from lakefolio.process.local_files import publish

if TYPE_CHECKING:
    from lakefolio.lineage.graph import Graph, Lineage

__all__ = ["lineage"]

_SHOWN: Final = 500


@command(example="lakefolio lineage experiments/clf:scores --upstream", light=True)
@click.argument("ref", shell_complete=items)
@click.option("--upstream", is_flag=True, help="Only its inputs.")
@click.option("--downstream", is_flag=True, help="Only its dependents.")
@click.option("--depth", type=click.IntRange(1), metavar="N", help="Number of steps; all by default.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help=f"Show the N nearest nodes each way: {_SHOWN} by default, all in JSON and openlineage.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["tree", "mermaid", "html", "openlineage"]),
    default="tree",
    show_default=True,
    help="How to show it.",
)
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), help="Write it to this file.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def lineage(
    app: App,
    ref: str,
    upstream: bool,
    downstream: bool,
    depth: int | None,
    limit: int | None,
    form: str,
    target: Path | None,
    force: bool,
) -> None:
    """Show the inputs and the dependents of an item.

    REF is FOLIO:NAME[@VERSION-OR-SNAPSHOT].
    """
    lake = app.open()
    output = app.output
    if limit is None and form != "openlineage" and not output.as_json:
        limit = _SHOWN
    graph = _part(lake.lineage(ref, depth=depth, limit=limit), upstream, downstream)
    if form == "html":
        text = graph.to_html()
    elif form == "mermaid":
        text = graph.to_mermaid()
    elif form == "openlineage":
        text = output.json(graph.to_openlineage(lake.uri))
    elif output.as_json:
        text = output.json(graph)
    else:
        text = graph.tree()
    if not graph.complete and (form != "tree" or target is not None):
        output.note(f"these are the {len(graph.nodes):,} nearest nodes; --limit N takes in more")
    if target is None:
        output.print(text.rstrip("\n"))
        return
    publish(target, lambda path: path.write_text(text.rstrip("\n") + "\n", encoding="utf-8"), force=force)
    output.emit({"path": str(target), "nodes": len(graph.nodes), "edges": len(graph.edges)}, f"wrote {target}")


def _part(found: Lineage, upstream: bool, downstream: bool) -> Graph:
    if upstream == downstream:
        return found
    return found.upstream() if upstream else found.downstream()
