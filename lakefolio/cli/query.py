"""``lakefolio query``."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import folios, tags
from lakefolio.format.times import shown_time
from lakefolio.render.text import format_bytes

__all__ = ["found_items", "query"]

_FACT: Final = re.compile(r"([^<>=!]+?)\s*(<=|>=|!=|=|<|>)\s*(.*)", re.DOTALL)


@command(example="lakefolio query --type table --metadata 'quality_score>=0.9' --order-by -created_at", light=True)
@click.option("--folio", metavar="FOLIO", shell_complete=folios, help="In this folio.")
@click.option("--name", metavar="NAME", help="Of this name.")
@click.option("--type", "--kind", "kind", metavar="TYPE", help="Of this kind, or of this metadata 'type'.")
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="TAG",
    shell_complete=tags,
    help="With this tag; repeatable, all must be there.",
)
@click.option("--source", metavar="SOURCE", help="From this source: of the metadata, an address, or an input.")
@click.option(
    "--metadata",
    "facts",
    multiple=True,
    metavar="CONDITION",
    help="KEY, or KEY=VALUE with one of = != < <= > >=; VALUE is JSON, or else text. Repeatable, all must hold.",
)
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Of the name, by the pattern of its folio; as --metadata, VALUE is text. Repeatable, all must hold.",
)
@click.option("--where", metavar="SQL", help="An SQL expression over the columns of the view items, and metadata.")
@click.option(
    "--order-by", "order_by", multiple=True, metavar="FIELD", help="Repeatable; prefix - for descending order."
)
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="Maximum number of results.")
def query(
    app: App,
    folio: str | None,
    name: str | None,
    kind: str | None,
    tags: tuple[str, ...],
    source: str | None,
    facts: tuple[str, ...],
    fields: tuple[str, ...],
    where: str | None,
    order_by: tuple[str, ...],
    limit: int | None,
) -> None:
    """Find items by what is known about them; all conditions must hold.

    A comparison with a fact that an item lacks is false. Archived items are left out.
    """
    from lakefolio.query.conditions import Q

    asked = {"folio": folio, "name": name, "type": kind, "source": source}
    conditions = [Q(**{field: value}) for field, value in asked.items() if value is not None]
    conditions += [Q(tag=tag) for tag in tags]
    conditions += [Q(metadata=_fact(fact)) for fact in facts]
    conditions += [Q(fields=_fact(field, "--field")) for field in fields]
    found = app.open().query(*conditions, where=where, order_by=order_by, limit=limit)
    found_items(app, found, "no item is like that")


def found_items(app: App, found: Any, empty: str) -> None:
    """Print the items of a query or a dataset."""
    rows = found.to_arrow().to_pylist()
    app.output.rows(
        rows,
        ("item", "kind", "size", "rows", "when", "tags", "description"),
        [
            (
                row["ref"],
                row["kind"],
                "" if row["size_bytes"] is None else format_bytes(row["size_bytes"]),
                "" if row["row_count"] is None else f"{row['row_count']:,}",
                shown_time(row["created_at"]),
                ", ".join(row["tags"] or ()),
                row["description"] or "",
            )
            for row in rows
        ],
        right=("size", "rows"),
        empty=empty,
    )


def _fact(text: str, option: str = "--metadata") -> dict[str, object]:
    match = _FACT.fullmatch(text.strip())
    if match is None:
        if not text.strip() or re.search(r"[<>=!]", text):
            raise click.BadParameter(f"{text!r} is neither KEY nor KEY=VALUE", param_hint=option)
        return {text.strip(): ("exists", True)}
    key, operator, value = match.groups()
    try:
        found = value if option == "--field" else json.loads(value)
    except ValueError:
        found = value
    return {key: (operator, found)}
