"""``lakefolio verify``."""

from __future__ import annotations

from pathlib import Path

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import files
from lakefolio.errors import IntegrityError

__all__ = ["verify"]


@command(example="lakefolio verify scores.provenance.json", light=True)
@click.argument("file", shell_complete=files, type=click.Path(path_type=Path))
@click.option(
    "--key", metavar="PEM", type=click.Path(path_type=Path), help="The public Ed25519 key that must have signed it."
)
@click.option(
    "--content", metavar="PATH", type=click.Path(path_type=Path), help="A file that must be the item's bytes."
)
def verify(app: App, file: Path, key: Path | None, content: Path | None) -> None:
    """Verify a file that lakefolio provenance wrote; needs no lake.

    Exits with 8 if anything is wrong: a digest, something left out or added, the signature, the content.
    """
    from lakefolio.provenance.chain import verify_provenance

    found = verify_provenance(file, key=key, content=content)
    app.output.emit(found)
    if not found.ok:
        click.get_current_context().exit(IntegrityError.exit_code)
