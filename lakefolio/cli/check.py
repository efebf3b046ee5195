"""``lakefolio check``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command
from lakefolio.errors import IntegrityError

__all__ = ["check"]


@command(example="lakefolio check --read-data")
@click.option("--read-data", is_flag=True, help="Read and verify every stored byte too.")
@click.option("--sample", type=click.IntRange(min=0), metavar="N", help="Read and verify N objects chosen at random.")
def check(app: App, read_data: bool, sample: int | None) -> None:
    """Verify the lake; exit with 8 if anything is wrong.

    Looks at every row of the tables and at whether each object is there in its size. Changes nothing.
    """
    lake = app.open()
    with app.output.working("reading all content" if read_data else "checking") as say:
        report = lake.check(
            read_data, sample, progress=lambda done, all_of_them: say(f"read {done:,} of {all_of_them:,}")
        )
    app.output.emit(report)
    if not report.ok:
        lost = [
            one
            for one in report.problems
            if one.kind.endswith(("-missing", "-damaged")) and not one.kind.startswith("reference-")
        ]
        if lost and not app.as_json:
            app.output.note(
                f"hint: bring it back from a copy of the lake: {app.line('repair', '--from', 'URI', '--dry-run')}"
            )
        click.get_current_context().exit(IntegrityError.exit_code)
