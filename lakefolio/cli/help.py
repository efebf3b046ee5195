"""``lakefolio help``."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

import click
from click.shell_completion import CompletionItem

from lakefolio.cli.app import App, command
from lakefolio.cli.command_list import COMMANDS
from lakefolio.errors import NotFoundError, nearest

__all__ = ["help"]

_SPECIFICATIONS: Final = {"format": "FORMAT.md", "design": "DESIGN.md"}
"""Topics that are no page of ``docs``."""


@command(example="lakefolio help mlflow", light=True)
@click.argument("topic", required=False, shell_complete=lambda ctx, param, typed: _topics(typed))
@click.pass_context
def help(ctx: click.Context, app: App, topic: str | None) -> None:
    """Print a page of the documentation, or list the pages.

    TOPIC is a page, or a command, whose help is printed.
    """
    pages = _pages()
    if topic is None:
        titles = {name: _title(page) for name, page in pages.items()}
        width = max(map(len, titles))
        lines = [f"{name:<{width}}  {title}" for name, title in titles.items()]
        app.output.emit(titles, "\n".join([*lines, "", "lakefolio help TOPIC prints a page; lakefolio COMMAND --help"]))
    elif topic in pages:
        text = pages[topic].read_text(encoding="utf-8")
        app.output.emit({"topic": topic, "text": text}, text.rstrip("\n"), as_is=True)
    elif topic in COMMANDS:
        group = ctx.parent
        assert group is not None
        assert isinstance(group.command, click.Group)
        found = group.command.get_command(group, topic)
        assert found is not None
        with click.Context(found, parent=group, info_name=topic) as of_command:
            text = found.get_help(of_command)
        app.output.emit({"topic": topic, "text": text}, text)
    else:
        raise NotFoundError(
            f"there is no page and no command {topic!r}",
            kind="topic-not-found",
            hint=f"{nearest(topic, [*pages, *COMMANDS])} (lakefolio help lists the pages)",
        )


def _pages() -> dict[str, Traversable]:
    """Return the pages by topic, in the order of their names, the specifications last."""
    package = files("lakefolio")
    found = {
        one.name.removesuffix(".md"): one for one in package.joinpath("docs").iterdir() if one.name.endswith(".md")
    }
    return {name: found[name] for name in sorted(found)} | {
        name: package.joinpath(file) for name, file in _SPECIFICATIONS.items()
    }


def _topics(typed: str) -> list[CompletionItem]:
    """Complete pages, then commands."""
    return [CompletionItem(name) for name in [*_pages(), *COMMANDS] if name.startswith(typed)]


def _title(page: Traversable) -> str:
    """Return the first heading of a page."""
    return page.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ").replace("`", "")
