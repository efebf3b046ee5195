"""``lakefolio config [trust | untrust]``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from lakefolio.cli.app import App, command, group

__all__ = ["config"]


@group(example="lakefolio config", light=True, alone=True)
@click.pass_context
def config(ctx: click.Context) -> None:
    """Show each setting, its value and where that was said.

    Arguments win over the environment (LAKEFOLIO_LAKE, LAKEFOLIO_AUTHOR, …), that over [tool.lakefolio] of
    pyproject.toml and lakefolio.toml, searched upwards from here. Secrets are masked. What such a file says about
    where requests go and with which credentials has no effect before its folder is trusted.

    More: lakefolio help settings.
    """
    if ctx.invoked_subcommand is None:
        _show(ctx.ensure_object(App))


def _show(app: App) -> None:
    from lakefolio.config.settings import KEYS, found

    settings = [found(name, app.lake_uri if name == "lake" else None, said="--lake") for name in KEYS]
    app.output.rows(
        [
            {
                "name": one.name,
                "value": one.shown,
                "source": one.source,
                "about": KEYS[one.name].about,
                "needs_trust": one.needs_trust,
            }
            for one in settings
        ],
        ("setting", "value", "said by"),
        [
            (one.name, _text(one.shown), one.source if one.needs_trust is None else f"{one.source} (not trusted)")
            for one in settings
        ],
    )
    for folder in dict.fromkeys(one.folder for one in settings if one.needs_trust is not None):
        app.output.note(f"not trusted, without effect: {folder}; look at it, then: lakefolio config trust {folder}")


@command(example="lakefolio config trust .", light=True, of=config)
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(exists=True, file_okay=False))
def trust(app: App, folder: str) -> None:
    """Let the configuration files of a folder direct requests and credentials.

    They are trusted as they are now: after a change of their settings you are asked again.
    """
    from lakefolio.config.trust import needs_trust
    from lakefolio.config.trust import trust as trusted

    files = trusted(Path(folder))
    lines = []
    for file in files:
        wary = [words for name, value in file.values.items() if (words := needs_trust(name, value)) is not None]
        lines.append(f"trusted {file.path}" + (f": {', '.join(wary)}" if wary else ""))
    app.output.emit({"trusted": [str(file.path) for file in files]}, "\n".join(lines))


@command(example="lakefolio config untrust .", light=True, of=config)
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(exists=True, file_okay=False))
def untrust(app: App, folder: str) -> None:
    """Trust the configuration files of a folder no longer."""
    from lakefolio.config.trust import untrust as untrusted

    files = untrusted(Path(folder))
    lines = [f"no longer trusted: {file.path}" for file in files]
    app.output.emit({"untrusted": [str(file.path) for file in files]}, "\n".join(lines))


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {one}" for name, one in value.items()) or "-"
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)
