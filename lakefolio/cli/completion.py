"""``lakefolio completion``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command
from lakefolio.cli.program import cli
from lakefolio.cli.shells import SHELLS

__all__ = ["completion"]


@command(example="lakefolio completion bash", light=True)
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(app: App, shell: str) -> None:
    """Print the script that lets a shell complete items and tags.

    Write eval "$(lakefolio completion bash)" into ~/.bashrc, likewise with zsh into ~/.zshrc, or
    lakefolio completion fish | source into the config of fish.
    """
    click.echo(SHELLS[shell](cli, {}, "lakefolio", "_LAKEFOLIO_COMPLETE").source().strip())
