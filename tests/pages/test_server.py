"""The server answers its own page and nobody else: token, host, methods, paths; errors are one line."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import lakefolio as lf
from lakefolio.pages import PageServer
from lakefolio.pages.server import STATIC, files


@pytest.fixture(scope="module")
def server(shop: Path) -> Iterator[PageServer]:
    with PageServer(lf.open(shop, create=False, read_only=True)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield server
        server.shutdown()


class Said:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def error(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.body)["error"]
        return found


def ask(server: PageServer, path: str, method: str = "GET", *, token: bool = True, **headers: str) -> Said:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=20)
    try:
        given = {"Cookie": f"{server.cookie}={server.token}"} if token else {}
        connection.request(method, path, headers=given | {name.replace("_", "-"): one for name, one in headers.items()})
        return Said(connection.getresponse())
    finally:
        connection.close()


def test_a_body_does_not_wait_for_its_headers_to_be_acknowledged(server: PageServer) -> None:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=20)
    took = []
    for _ in range(20):
        began = time.perf_counter()
        connection.request("GET", "/api/head", headers={"Cookie": f"{server.cookie}={server.token}"})
        assert connection.getresponse().read() != b""
        took.append(time.perf_counter() - began)
    connection.close()
    assert min(took[5:]) < 0.035  # Linux delays an acknowledgement by 40 ms at least


def test_the_address_gives_a_cookie_that_opens_the_rest(server: PageServer) -> None:
    where = urlsplit(server.url)
    first = ask(server, f"{where.path}?{where.query}", token=False)
    assert (where.hostname, first.status) == ("127.0.0.1", 200)
    cookie = first.headers["Set-Cookie"]
    assert cookie.startswith(f"{server.cookie}={server.token};")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    again = ask(server, "/", token=False, Cookie=cookie.split(";")[0])
    assert (again.status, again.body) == (200, first.body)
    assert again.headers["Set-Cookie"] is None
    assert json.loads(ask(server, "/api/lake").body)["runs"] is True


@pytest.mark.parametrize(
    ("path", "status"),
    [("/?token=%C3%A9", 403), ("/?token=%ED%A0%80", 403), ("/?" + "&".join(["a=1"] * 60), 400), ("HTTP://[x/", 400)],
)
def test_an_address_that_nobody_can_read_is_refused_and_not_a_bug(
    server: PageServer, path: str, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert ask(server, path, token=False).status == status
    assert capfd.readouterr().err == ""


def test_every_address_wants_the_token(server: PageServer) -> None:
    for path in ("/", "/?token=", "/?token=wrong", "/static/app.js", "/api/lake", f"/api/lake?token={server.token}"):
        said = ask(server, path, token=False)
        assert (said.status, said.error["kind"]) == (403, "no-token"), path
    assert ask(server, "/api/head", token=False, Cookie=f"{server.cookie}=x; lakefolio-1={server.token}").status == 403
    assert ask(server, "/api/head", token=False, Cookie="\x7f;=;;").status == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1:1", "localhost", "", "[::1]:{port}"]
)
def test_another_host_name_is_refused_with_the_token_too(server: PageServer, host: str) -> None:
    said = ask(server, "/api/lake", Host=host.format(port=server.server_address[1]))
    assert (said.status, said.error["kind"]) == (403, "bad-host")


def test_localhost_is_this_host(server: PageServer) -> None:
    assert ask(server, "/api/head", Host=f"LocalHost:{server.server_address[1]}").status == 200


def test_another_site_is_refused(server: PageServer) -> None:
    assert ask(server, "/api/lake", Sec_Fetch_Site="cross-site").error["kind"] == "cross-site"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_only_reading_methods_are_answered(server: PageServer, method: str) -> None:
    said = ask(server, "/api/lake", method)
    assert (said.status, said.headers["Allow"]) == (405, "GET, HEAD")
    assert "Access-Control-Allow-Origin" not in said.headers


def test_head_sends_no_body(server: PageServer) -> None:
    said = ask(server, "/", "HEAD")
    assert (said.status, said.body) == (200, b"")
    assert int(said.headers["Content-Length"]) > 100


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/..%2fserver.py",
        "/static//etc/passwd",
        "/static/vendor/../../server.py",
        "/static/%2e%2e/server.py",
        "/static/vendor/VENDORED.md",
        "/static/",
        "/static",
        "/app.js",
        "//etc/passwd",
        "/etc/passwd",
        "/index.html",
        "/static/style.css%00",
    ],
)
def test_no_other_file_is_served(server: PageServer, path: str) -> None:
    assert ask(server, path).error["kind"] == "page-not-found"


def test_the_list_of_files_is_what_the_page_asks_for(server: PageServer) -> None:
    page = (STATIC / "index.html").read_text()
    asked = {name for name in files() if f"/static/{name}" in page}
    assert asked == set(files()) - {"index.html", "frozen.js"}
    for name in asked:
        assert ask(server, f"/static/{name}").body == (STATIC / name).read_bytes()


def test_no_answer_may_run_or_load_anything_from_elsewhere(server: PageServer) -> None:
    for path in ("/", "/static/app.js", "/api/lake", "/nowhere"):
        headers = ask(server, path).headers
        policy = dict(one.strip().split(" ", 1) for one in headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
    assert "<script>" not in (STATIC / "index.html").read_text()


def test_nothing_of_the_lake_becomes_html() -> None:
    for path in STATIC.glob("*.js"):
        text = path.read_text()
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "dangerously", "document.write", "eval("):
            assert word not in text, f"{path.name} has {word}"


def test_errors_are_one_line_and_say_what_to_do(server: PageServer) -> None:
    missing = ask(server, "/api/item?ref=shop/eu:rwa")
    assert (missing.status, missing.error["kind"]) == (404, "item-not-found")
    assert "raw" in missing.error["hint"]
    assert ask(server, "/api/items?sort=x").status == 400
    assert ask(server, "/api/none").status == 404
    assert "\n" not in missing.error["message"]


def test_a_bug_is_an_answer_too(
    server: PageServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(question: str, asked: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(server.answers, "answer", broken)
    said = ask(server, "/api/lake")
    assert (said.status, said.error["kind"]) == (500, "bug")
    assert "ZeroDivisionError" in said.error["message"]


def test_many_ask_at_once(server: PageServer) -> None:
    wanted = ["lake", "runs", "items", "storage", "log", "search?q=raw", "lineage?ref=shop/eu:raw"] * 3
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda one=one: found.append(ask(server, f"/api/{one}").status)) for one in wanted
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [200] * len(wanted)


def test_a_port_that_is_taken_is_said(server: PageServer, shop: Path) -> None:
    lake = lf.open(shop, create=False, read_only=True)
    with pytest.raises(lf.StorageError, match="can't be listened on") as failed:
        PageServer(lake, server.server_address[1])
    assert failed.value.kind == "port-taken"
    with pytest.raises(lf.InvalidInputError):
        PageServer(lake, 70_000)


def test_the_command_prints_its_address_first_and_ends_at_an_interrupt(shop: Path) -> None:
    command = [sys.executable, "-m", "lakefolio", "--lake", str(shop), "ui", "--no-open"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            where = urlsplit(process.stdout.readline().strip())
            assert process.stderr.readline().startswith("showing ")
            connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=20)
            connection.request("GET", f"/?{where.query}")
            assert connection.getresponse().status == 200
            connection.close()
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.kill()
