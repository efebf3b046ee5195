"""``lakefolio import``."""

from __future__ import annotations

import os

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import files, folios
from lakefolio.errors import InvalidInputError, LakeNotFoundError
from lakefolio.interop.importing import KINDS, import_from

__all__ = ["import_"]

_OF_RUNS = ("mlflow", "mltrack")
_OPTIONS = {"as_files": "folder", "artifacts": "mlflow", "references": "datafolio"}


@command("import", example="lakefolio import folder . --folio archive --dry-run")
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.argument("source", shell_complete=files)
@click.option(
    "--folio", metavar="FOLIO", shell_complete=folios, help="Where items go; by default what the source is called."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--as-files", is_flag=True, help="folder: keep Parquet files as they are instead of as tables.")
@click.option(
    "--artifacts", metavar="DIR", shell_complete=files, help="mlflow: also read artifacts that lie below this folder."
)
@click.option(
    "--references",
    is_flag=True,
    help="datafolio: register the tables that the bundle refers to; each is looked at where it lies, with your rights.",
)
def import_(app: App, kind: str, source: str, folio: str | None, dry_run: bool, **given: object) -> None:
    """Bring in what MLflow, DVC, DataFolio, MLtrack or a folder keeps.

    It comes with its history; run it again, and nothing is imported twice. KIND is folder, datafolio (bundles of 1.x
    and 2.x), mlflow (a folder mlruns, or a SQLite file), mltrack or dvc; SOURCE is where it lies. Links are not
    followed out of it, nothing in it is run, no pickle is loaded; what can't be imported is said. An import that
    breaks off goes on where it was.

    More: lakefolio help importing.
    """
    options = {name: value for name, value in given.items() if value}
    for name in options:
        if _OPTIONS[name] != kind:
            raise InvalidInputError(
                f"--{name.replace('_', '-')} is for {_OPTIONS[name]}, not for {kind}",
                kind="bad-import",
                hint="leave it out",
            )
    try:
        lake = app.open(writing=not dry_run)
    except LakeNotFoundError as exc:
        if not dry_run or exc.kind != LakeNotFoundError.default_kind:
            raise
        from lakefolio.lake import open_lake

        app.output.note("there is no lake yet (lakefolio init makes one): this is for an empty one")
        lake = open_lake(f"memory://dry-run-{os.getpid()}")
    doing = f"importing {source}"
    with app.output.working(doing) as say:
        report = import_from(
            lake, kind, source, folio=folio, dry_run=dry_run, progress=lambda text: say(f"{doing}: {text}"), **options
        )
    app.output.emit(report)
    if not dry_run and (kind in _OF_RUNS or report["folios"]):
        where = ("runs",) if kind in _OF_RUNS else ("ls", report["folios"][0])
        app.output.note(f"look around: {app.line(*where)}")
