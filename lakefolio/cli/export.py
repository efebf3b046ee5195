"""``lakefolio export``."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.naming import files, folios
from lakefolio.render.text import counted, format_bytes

if TYPE_CHECKING:
    from lakefolio.lake import Lake

__all__ = ["export"]

_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


@command(example="lakefolio export --html lake.html")
@click.argument("folio", required=False, shell_complete=folios)
@click.option(
    "--html",
    "target",
    metavar="FILE",
    shell_complete=files,
    help="The page of the lake as one file: a path, - for stdout, or an address: s3://bucket/site/index.html, or "
    "s3://bucket/site/ for index.html there.",
)
@click.option(
    "--croissant",
    metavar="DIR",
    shell_complete=files,
    help="FOLIO's files with croissant.json, for tools of machine learning.",
)
@click.option(
    "--ro-crate", metavar="DIR", shell_complete=files, help="FOLIO's files with ro-crate-metadata.json, for archives."
)
@click.option(
    "--openlineage",
    metavar="FILE|URL",
    shell_complete=files,
    help="Lineage of FOLIO, or of all, as events: a file, - for stdout, or a catalogue (http://localhost:5000).",
)
@click.option("--title", metavar="TEXT", help="What FOLIO is called where it is published.")
@click.option("--description", metavar="TEXT", help="What it is.")
@click.option("--license", metavar="ID|URL", help="Its licence, such as CC-BY-4.0.")
@click.option("--author", "authors", multiple=True, metavar="NAME", help="Who made it; repeatable.")
@click.option("--affiliation", metavar="NAME", help="The organisation of its authors.")
@click.option("--publisher", metavar="NAME", help="The organisation that publishes it.")
@click.option("--url", metavar="URL", help="Where it will be found.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def export(
    app: App,
    folio: str | None,
    target: str | None,
    croissant: str | None,
    ro_crate: str | None,
    openlineage: str | None,
    force: bool,
    **words: object,
) -> None:
    """Freeze the page of a lake, or publish a folio for others to read.

    --html loads nothing from anywhere. It holds the tables of runs and items, everything about the newest 200 runs and
    300 items, and says what it leaves out.

    --croissant and --ro-crate write the files of FOLIO and their description into a new folder; both may name the same
    one. What is not given is taken from the folio's metadata (license, title, description, authors, affiliation,
    publisher, url).

    With --at it is the lake as of then, such as a snapshot.

    More: lakefolio help publishing and lakefolio help pages.
    """
    forms = {"croissant": croissant, "ro-crate": ro_crate}
    asked = [one for one in (target, openlineage, croissant or ro_crate) if one]
    if len(asked) != 1:
        raise click.UsageError("give --html, --openlineage, or --croissant and --ro-crate")
    if target is not None:
        _freeze(app, target, force)
    elif openlineage is not None:
        _tell(app, folio, openlineage, force)
    elif folio is None:
        raise click.UsageError("name the folio to publish: lakefolio export FOLIO --croissant DIR")
    else:
        _publish(app, folio, {form: place for form, place in forms.items() if place}, words)


def _publish(app: App, folio: str, forms: Mapping[str, str], words: Mapping[str, Any]) -> None:
    from lakefolio.interop.publishing import publish

    lake = _lake(app, folio)
    places: dict[str, list[str]] = {}
    for form, place in forms.items():
        places.setdefault(place, []).append(form)
    with app.output.working(f"publishing {folio}"):
        reports = [publish(lake, folio, place, chosen, **words) for place, chosen in places.items()]
    app.output.emit(reports if len(reports) > 1 else reports[0], "\n\n".join(map(str, reports)))


def _lake(app: App, folio: str | None) -> Lake:
    """Return the lake at ``--at``, which may name a snapshot of the folio."""
    at, app.at = app.at, None
    lake = app.open()
    if at is None:
        return lake
    named = {one.name: one.target_version for one in lake.snapshots(folio)} if folio else {}
    return lake.at(named.get(at, at))


def _tell(app: App, folio: str | None, place: str, force: bool) -> None:
    from lakefolio.interop.publishing import events_of, send_events

    events = events_of(_lake(app, folio), folio)
    if _ADDRESS.match(place):
        count = send_events(events, place)
        app.output.emit({"events": count, "address": place}, f"sent {counted(count, 'event')}")
    elif place == "-":
        app.output.print(app.output.json(events))
    else:
        _write(Path(place), (app.output.json(events) + "\n").encode(), force)
        app.output.emit({"path": place, "events": len(events)}, f"wrote {place}: {counted(len(events), 'event')}")


def _freeze(app: App, target: str, force: bool) -> None:
    from lakefolio.pages import freeze
    from lakefolio.process.local_files import publish

    lake = app.open()
    with app.output.working("freezing") as progress:
        if _ADDRESS.match(target):
            frozen = freeze(lake, progress=progress)
            target = _put(lake, target, frozen.html, force)
        elif target == "-":
            frozen = freeze(lake, progress=progress)
        else:
            made = []

            def write(at: Path) -> None:
                made.append(freeze(lake, progress=progress))
                at.write_bytes(made[0].html)

            publish(Path(target), write, force=force)  # asks first whether it can be written
            (frozen,) = made
    if frozen.left_out:
        app.output.note(frozen.left_out)
    if target == "-":
        sys.stdout.buffer.write(frozen.html)
        return
    app.output.emit(
        {"path": target, **frozen.to_dict()},
        f"wrote {target}: version {frozen.version}, {format_bytes(len(frozen.html))}",
    )


def _write(path: Path, content: bytes, force: bool) -> None:
    from lakefolio.process.local_files import publish

    publish(path, lambda at: at.write_bytes(content), force=force)


def _put(lake: Lake, address: str, content: bytes, force: bool) -> str:
    """Put the page into a bucket, and return its address."""
    from urllib.parse import unquote, urlsplit

    from lakefolio.errors import InvalidInputError
    from lakefolio.process.local_files import outside_lakes
    from lakefolio.storage import open_store

    if address.lower().startswith("file:"):
        outside_lakes(unquote(urlsplit(address).path))
    elif f"{address}/".startswith(f"{lake.uri}/"):
        raise InvalidInputError(
            f"{address} lies in lake {lake.uri}, where only the lake writes",
            kind="inside-lake",
            hint="choose a place outside of it",
            uri=address,
        )
    folder, _, name = address.rpartition("/")
    options = {} if address.lower().startswith(("file:", "memory:")) else {"default_content_type": "text/html"}
    store, key = open_store(folder, options), name or "index.html"
    if force:
        store.put(key, content)
    else:
        store.create(key, content)
    return store.uri_of(key)
