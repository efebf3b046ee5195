"""``lakefolio completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from lakefolio.cli.app import App, command
from lakefolio.cli.program import cli

__all__ = ["completion"]


@command(example="lakefolio completion bash", light=True)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(app: App, shell: str) -> None:
    """Print the script that makes a shell complete commands and names.

    Write eval "$(lakefolio completion bash)" into ~/.bashrc, likewise with zsh into ~/.zshrc, or
    lakefolio completion fish | source into the config of fish.
    """
    found = get_completion_class(shell)
    assert found is not None
    made = found(cli, {}, "lakefolio", "_LAKEFOLIO_COMPLETE")
    click.echo(made.source_template % made.source_vars())
