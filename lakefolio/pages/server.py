"""A page for a browser on this machine: the standard library's threading server, made hard to misuse.

It listens on the loopback interface only. Each request must carry the token, in the address the first time and in a
cookie from then on (HttpOnly, SameSite=Strict): other users of this machine, and pages of other origins, have neither.
The ``Host`` header must name this server, so that no name that is bound to 127.0.0.1 (DNS rebinding) reaches it. Only
GET and HEAD are answered, nothing is ever written. The page may load scripts and styles from here alone, and no script
or style that stands in a document (Content-Security-Policy). Files are served from a fixed list of names.
"""

from __future__ import annotations

import hmac
import secrets
import sys
import traceback
from functools import cache
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from lakefolio.errors import InvalidInputError, LakefolioError, NotFoundError, StorageError
from lakefolio.pages.answers import Answers
from lakefolio.pages.values import as_json
from lakefolio.redaction import scrub

if TYPE_CHECKING:
    from lakefolio.lake import Lake

__all__ = ["STATIC", "PageServer", "files"]

STATIC: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_IDLE_S: Final = 60
_HOST: Final = "127.0.0.1"


class PageServer(ThreadingHTTPServer):
    """Serves the page of one lake until :meth:`shutdown`; ``serve_forever`` runs it.

    Attributes:
        url: The address to open, with the token.
        answers: What it answers questions with.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64  # a browser opens six for each tab; one more than can wait comes seconds later

    def __init__(self, lake: Lake, port: int = 0) -> None:
        """Take a port of the loopback interface.

        Args:
            lake: The lake; it is only read.
            port: The port; 0 takes a free one.

        Raises:
            StorageError: kind ``port-taken``: the port can't be listened on.
            InvalidInputError: kind ``bad-port``.
        """
        if not 0 <= port < 2**16:
            raise InvalidInputError(f"port {port} does not exist", kind="bad-port", hint="0 takes a free one")
        try:
            super().__init__((_HOST, port), _Handler)
        except OSError as exc:
            raise StorageError(
                f"port {port} can't be listened on: {exc.strerror}",
                kind="port-taken",
                hint="another program has it: take another, or 0 for a free one",
            ) from exc
        self.answers = Answers(lake)
        self.token = secrets.token_urlsafe(24)
        number = self.server_address[1]
        self.hosts = {f"{_HOST}:{number}", f"localhost:{number}"} | ({_HOST, "localhost"} if number == 80 else set())
        self.cookie = f"lakefolio-{number}"  # cookies are shared by all ports of a host
        self.url = f"http://{_HOST}:{number}/?token={self.token}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let a browser that went away go; anything else is a bug, and is shown."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version = "lakefolio"
    sys_version = ""
    timeout = _IDLE_S
    disable_nagle_algorithm = True  # else a body waits 40 ms for the browser to acknowledge the headers

    def do_GET(self) -> None:
        """Answer, or refuse with one line."""
        try:
            where = urlsplit(self.path)
            asked = dict(parse_qsl(where.query, keep_blank_values=True, max_num_fields=50))
        except ValueError:
            return self._refuse(400, "bad-address", "the address can't be read")
        if (self.headers.get("Host") or "").lower() not in self.server.hosts:
            return self._refuse(403, "bad-host", "the Host header names another server")
        if self.headers.get("Sec-Fetch-Site") == "cross-site" and where.path != "/":
            return self._refuse(403, "cross-site", "another site asked")
        first = where.path == "/" and "token" in asked
        token = (asked.get("token") if first else self._cookie()) or ""
        if not hmac.compare_digest(token.encode(errors="replace"), self.server.token.encode()):
            return self._refuse(403, "no-token", "open the address that lakefolio ui printed: it carries the token")
        cookie = f"{self.server.cookie}={self.server.token}; Path=/; HttpOnly; SameSite=Strict" if first else None
        if where.path.startswith("/api/"):
            return self._answer(where.path.removeprefix("/api/"), asked)
        name = "index.html" if where.path == "/" else where.path.removeprefix("/static/")
        path = files().get(name)
        if path is None or (name != "index.html" and not where.path.startswith("/static/")):
            return self._refuse(404, "page-not-found", "there is no such page")
        return self._send(200, _TYPES[path.suffix], path.read_bytes(), cookie)

    do_HEAD = do_GET  # noqa: N815

    def _not_allowed(self) -> None:
        self.close_connection = True  # a body may follow, which nobody reads
        self._refuse(405, "read-only", "this page is only read: GET and HEAD are answered")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = _not_allowed  # noqa: N815

    def _cookie(self) -> str | None:
        try:
            found = SimpleCookie(self.headers.get("Cookie") or "").get(self.server.cookie)
        except CookieError:
            return None
        return None if found is None else found.value

    def _answer(self, question: str, asked: dict[str, str]) -> None:
        try:
            body = as_json(self.server.answers.answer(question, asked))
        except NotFoundError as exc:
            return self._failed(404, exc)
        except InvalidInputError as exc:
            return self._failed(400, exc)
        except LakefolioError as exc:
            return self._failed(500, exc)
        except Exception as exc:
            traceback.print_exc()
            return self._refuse(500, "bug", f"{type(exc).__name__}: {exc}; the terminal has the traceback")
        return self._send(200, "application/json", body)

    def _failed(self, status: int, exc: LakefolioError) -> None:
        self._refuse(status, exc.kind, exc.message, exc.hint)

    def _refuse(self, status: int, kind: str, message: str, hint: str | None = None) -> None:
        error = {"kind": kind, "message": scrub(message), "hint": hint and scrub(hint)}
        self._send(status, "application/json", as_json({"error": error}))

    def _send(self, status: int, media_type: str, body: bytes, cookie: str | None = None) -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        if status == 405:
            self.send_header("Allow", "GET, HEAD")
        if cookie is not None:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: addresses hold the token."""


@cache
def files() -> dict[str, Path]:
    """Return the files that are served by the name they are asked for; no other name reaches the disk."""
    return {
        path.relative_to(STATIC).as_posix(): path
        for path in STATIC.rglob("*")
        if path.is_file() and path.suffix in _TYPES
    }
