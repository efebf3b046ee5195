"""``lakefolio export``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import click

from lakefolio.cli.app import App, command
from lakefolio.render.text import format_bytes

__all__ = ["export"]

_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


@command(example="lakefolio export --html lake.html")
@click.option(
    "--html",
    "target",
    metavar="FILE",
    required=True,
    help="The file to write, or an address: s3://bucket/site/index.html, or s3://bucket/site/ for index.html there.",
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def export(app: App, target: str, force: bool) -> None:
    """Freeze the page of lakefolio ui into one file that opens without a server.

    It loads nothing from anywhere. It holds the tables of runs and items, everything about the newest 200 runs and 300
    items, and says what it leaves out. With --at it shows the lake as of then.
    """
    from lakefolio.pages import freeze

    lake = app.open()
    with app.output.working("freezing") as progress:
        frozen = freeze(lake, progress=progress)
        if _ADDRESS.match(target):
            target = _put(target, frozen.html, force)
        else:
            _write(Path(target), frozen.html, force)
    if frozen.left_out:
        app.output.note(frozen.left_out)
    app.output.emit(
        {"path": target, **frozen.to_dict()},
        f"wrote {target}: version {frozen.version}, {format_bytes(len(frozen.html))}",
    )


def _write(path: Path, content: bytes, force: bool) -> None:
    from lakefolio.process.local_files import publish

    publish(path, lambda at: at.write_bytes(content), force=force)


def _put(address: str, content: bytes, force: bool) -> str:
    """Put the page into a bucket, and return its address."""
    from lakefolio.storage import open_store

    folder, _, name = address.rpartition("/")
    options = {} if address.lower().startswith(("file:", "memory:")) else {"default_content_type": "text/html"}
    store, key = open_store(folder, options), name or "index.html"
    if force:
        store.put(key, content)
    else:
        store.create(key, content)
    return store.uri_of(key)
