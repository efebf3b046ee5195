"""``lakefolio init``."""

from __future__ import annotations

from contextlib import suppress

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import files
from lakefolio.errors import LakeNotFoundError

__all__ = ["init"]


@command(example="lakefolio init ./lake", light=True)
@click.argument("uri", required=False, shell_complete=files)
def init(app: App, uri: str | None) -> None:
    """Create a lake.

    URI is a local folder, s3://bucket/prefix, gs://… or az://…; by default --lake. A lake that is
    there already is left as it is.
    """
    from lakefolio.lake import open_lake

    if uri is not None and app.lake_uri is not None and uri != app.lake_uri:
        raise click.UsageError(f"both URI {uri} and --lake {app.lake_uri} were given")
    place = uri if uri is not None else app.lake_uri
    found = None
    with suppress(LakeNotFoundError):
        found = open_lake(place, create=False)
    lake, created = found or open_lake(place), found is None
    info = lake.info()
    text = f"created lake {lake.uri}" if created else f"lake {lake.uri} is there already, at version {info.version}"
    app.output.emit({**info, "created": created}, text)
