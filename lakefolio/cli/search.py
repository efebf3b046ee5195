"""``lakefolio search``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import folios
from lakefolio.config.settings import setting

__all__ = ["search"]


@command(example="lakefolio search 'delayed flights -draft' --kind table", light=True)
@click.argument("words", nargs=-1, required=True)
@click.option("--folio", metavar="FOLIO", shell_complete=folios, help="Only the items of this folio.")
@click.option("--kind", metavar="KIND", help="Only what is of this kind: table, array, json, run, …")
@click.option("--limit", type=click.IntRange(0), default=20, show_default=True, metavar="N", help="Hits at most.")
@click.option("--meaning/--no-meaning", default=None, help="Search by meaning too; by default from three words on.")
def search(
    app: App, words: tuple[str, ...], folio: str | None, kind: str | None, limit: int, meaning: bool | None
) -> None:
    """Find items and runs by words in their names, texts and metadata.

    WORDS may hold "phrases", +must, -must-not, AND, OR, parentheses, prefixes (fli*) and field:word. Fields are name,
    folio, kind, tag, description, column, metadata, metadata.KEY, author, content, param, error, project, model and
    status.
    A word that stands nowhere is taken for those that are spelt alike. After -- words may begin with a minus.
    """
    recorded = app.at is None and bool(setting("search_log"))
    found = app.open(writing=recorded).search(" ".join(words), folio=folio, kind=kind, limit=limit, meaning=meaning)
    app.output.emit(found)
