"""``lakefolio diff``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import folios, items, whens
from lakefolio.format.names import is_own_folio

if TYPE_CHECKING:
    from lakefolio.compare.item_diff import ItemDiff

__all__ = ["diff"]

_WIDTH = 130
_STYLES = {"+": "new", "-": "old", "~": "changed"}


@command(example="lakefolio diff paper-v1", light=True, whens=True)
@click.argument("a", shell_complete=whens)
@click.argument("b", required=False, shell_complete=whens)
@click.option("--folio", metavar="FOLIO", shell_complete=folios, help="Compare this folio only.")
@click.option("--item", metavar="FOLIO:NAME", shell_complete=items, help="Show what changed inside this item.")
@click.option("--key", "keys", multiple=True, metavar="COLUMN", help="Match a table's rows by this column; repeatable.")
@click.option(
    "--limit", type=click.IntRange(0), default=10, show_default=True, metavar="N", help="Examples of each change."
)
@click.option("--all", "every_folio", is_flag=True, help="The folios that the library keeps, as of runs, too.")
@click.option("--stat", is_flag=True, help="Tell of each item how much changed inside it; its content is read.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if anything differs, with 0 if not.")
@click.option(
    "--html",
    "html_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the differences inside --item as a standalone page.",
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def diff(
    app: App,
    a: str,
    b: str | None,
    folio: str | None,
    item: str | None,
    keys: tuple[str, ...],
    limit: int,
    every_folio: bool,
    stat: bool,
    exit_code: bool,
    html_path: Path | None,
    force: bool,
) -> None:
    """Show what changed between two versions.

    A and B are versions, times or snapshots, as for --at; without B, the newest version.
    + was added, - was removed, ~ was changed. With --item, the rows, values or lines of its content.
    """
    for given, option in ((keys, "--key"), (html_path, "--html")):
        if item is None and given:
            raise click.UsageError(f"{option} is for what is inside an item: name it with --item FOLIO:NAME")
    if item is not None and folio is not None:
        raise click.UsageError("--folio and --item exclude each other: an item is named FOLIO:NAME")
    if html_path is not None and stat:
        raise click.UsageError("--html and --stat exclude each other")
    lake, output = app.open(), app.output

    def look(ref: str) -> ItemDiff:
        return lake.diff(a, b, item=ref, key=keys or None, limit=0 if stat else limit)

    if item is not None:
        with output.working(f"comparing {item}"):
            inside = look(item)
        is_different = bool(inside)
        if html_path is not None:
            from lakefolio.process.local_files import publish

            publish(html_path, lambda path: path.write_text(inside.to_html(), encoding="utf-8"), force=force)
            output.note(f"wrote {html_path}")
        elif stat:
            _emit_counts(app, [(item, inside.kind, inside.counts, "" if inside else "the same")], inside.counts)
        else:
            from lakefolio.compare.shown import shown_lines

            output.styled(inside, shown_lines(inside, output.width or _WIDTH))
    else:
        found = lake.diff(a, b, folio=folio)
        is_different = len(found) > 0
        if stat:
            from lakefolio.compare.counts import counts_of

            with output.working("comparing items") as say:
                shown = [one for one in found if every_folio or folio is not None or not is_own_folio(one.folio)]
                counts = [one for one in counts_of(shown, look) if say(f"compared {one.ref}") is None]
            _emit_counts(app, [(one.ref, one.kind, one.counts, one.note) for one in counts], counts)
        else:
            output.styled(found, _coloured(found.listed(every_folio=every_folio)))
    if exit_code and is_different:
        click.get_current_context().exit(1)


def _coloured(text: str) -> Iterator[list[tuple[str, str]]]:
    first, *lines = text.split("\n")
    yield [(first, "head")]
    for line in lines:
        yield [(line, _STYLES.get(line.lstrip()[:1], ""))]


def _emit_counts(app: App, counts: list[tuple[str, str, dict[str, int], str]], data: object) -> None:
    from lakefolio.compare.shown import stat_lines

    if not counts and not app.as_json:
        app.output.note("nothing differs")
        return
    app.output.styled(data, stat_lines(counts, app.output.width or _WIDTH))
