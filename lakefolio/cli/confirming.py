"""Questions before something that can't be undone easily."""

from __future__ import annotations

import sys

import click

from lakefolio.cli.command_list import DECLINED

__all__ = ["asked", "confirmed"]


def asked() -> bool:
    """Say whether there is somebody to answer a question."""
    return sys.stdin.isatty()


def confirmed(question: str, what: str, *, somebody: bool) -> None:
    """Ask, and return if the answer is yes; no ends the command.

    Args:
        question: What to ask.
        what: What nobody can be asked, and what to do then, if there is nobody.
        somebody: Whether there is somebody to answer.

    Raises:
        UsageError: There is nobody to ask.
    """
    if not somebody:
        raise click.UsageError(f"nobody can be asked {what}")
    if not click.confirm(question, err=True):
        click.echo("nothing was changed", err=True)
        click.get_current_context().exit(DECLINED)
