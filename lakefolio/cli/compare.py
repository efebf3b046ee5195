"""``lakefolio compare``."""

from __future__ import annotations

from pathlib import Path

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import runs as complete_runs
from lakefolio.cli.table_width import cut
from lakefolio.process.local_files import publish
from lakefolio.terminal import cell_count

__all__ = ["compare"]

_NARROWEST = 12


@command(example="lakefolio compare prod_001 prod_002")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, shell_complete=complete_runs)
@click.option("--html", "html_path", metavar="PATH", type=click.Path(path_type=Path), help="Write a standalone page.")
@click.option(
    "--png", "png_path", metavar="PATH", type=click.Path(path_type=Path), help="Write a picture of the curves."
)
@click.option("--no-curves", is_flag=True, help="Draw no curves here.")
@click.option("--force", is_flag=True, help="Replace the files if they exist.")
def compare(
    app: App, runs: tuple[str, ...], html_path: Path | None, png_path: Path | None, no_curves: bool, force: bool
) -> None:
    """Put runs side by side: parameters, metrics, inputs, and curves.

    The page loads nothing from anywhere. The picture needs matplotlib (lakefolio[plots]).
    """
    lake = app.open()
    with app.output.working("reading the runs"):
        found = lake.compare(*runs)
    if html_path is not None:
        publish(html_path, lambda path: path.write_text(found.to_html(), encoding="utf-8"), force=force)
        app.output.note(f"wrote {html_path}")
    if png_path is not None:
        publish(png_path, found.to_png, force=force)
        app.output.note(f"wrote {png_path}")
    plots = "" if no_curves or not found.curves else f"\n\n{found.plots()}"
    if app.as_json or app.output.width is None:
        app.output.emit(found, lambda: f"{found}{plots}")
        return
    for number, table in enumerate(found.tables()):
        if number:
            app.output.print("")
        room = (app.output.width - max(cell_count(row[0]) for row in table)) // len(found.runs) - 2
        headings, *cells = ([row[0], *(cut(one, max(room, _NARROWEST)) for one in row[1:])] for row in table)
        app.output.rows(None, headings, cells)
    if plots:
        app.output.print(plots.removeprefix("\n"))
