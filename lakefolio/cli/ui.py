"""``lakefolio ui``."""

from __future__ import annotations

import click

from lakefolio.cli.app import App, command

__all__ = ["ui"]


@command(example="lakefolio ui --no-open", light=True)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port to listen on; by default a free one.")
@click.option("--no-open", is_flag=True, help="Open no browser; the address is printed anyway.")
def ui(app: App, port: int, no_open: bool) -> None:
    """Look at a lake in a browser: runs, curves, items, history.

    The first line on stdout is the address to open. It carries a token, and only this machine reaches it. The lake is
    only read. Ctrl-C ends it.

    More: lakefolio help pages.
    """
    import webbrowser

    from lakefolio.pages import PageServer

    lake = app.open()
    with PageServer(lake, port) as server:
        app.output.emit({"url": server.url, "lake": lake.uri}, server.url)
        app.output.note(f"showing {lake.uri}; Ctrl-C ends it")
        if not no_open:
            webbrowser.open(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            app.output.note("")
