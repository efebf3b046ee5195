"""``lakefolio config``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakefolio.cli.app import App, command

__all__ = ["config"]


@command(example="lakefolio config", light=True)
def config(app: App) -> None:
    """Show each setting, its value and where that was said.

    Arguments win over the environment (LAKEFOLIO_LAKE, LAKEFOLIO_AUTHOR, …), that over [tool.lakefolio] of
    pyproject.toml and lakefolio.toml, searched upwards from here. Secrets are masked.
    """
    from lakefolio.config.settings import KEYS, found

    settings = [found(name, app.lake_uri if name == "lake" else None, said="--lake") for name in KEYS]
    app.output.rows(
        [
            {"name": one.name, "value": one.shown, "source": one.source, "about": KEYS[one.name].about}
            for one in settings
        ],
        ("setting", "value", "said by"),
        [(one.name, _text(one.shown), one.source) for one in settings],
    )


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {one}" for name, one in value.items()) or "-"
    return str(value).lower() if isinstance(value, bool) else str(value)
