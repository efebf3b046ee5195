"""The parts for other projects' tests: the server, the proxy, and skipping."""

import fcntl
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import lakefolio
from lakefolio.errors import LakeNotFoundError
from lakefolio.storage import open_store
from lakefolio.testing import CountingProxy, Fault, S3Server, need
from lakefolio.testing.http_stream import readable
from lakefolio.testing.proxy import kind_of_key

_CHILD_ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(lakefolio.__file__).parents[1])}


def test_servers_run_side_by_side_and_keep_objects_over_a_restart():
    with S3Server(["first"]) as one, S3Server(["second"]) as two:
        one.store("first/x").put("a", b"1")
        two.store("second/x").put("a", b"2")
        with pytest.raises(LakeNotFoundError):
            two.store("first/x").find("a")
        endpoint = one.endpoint
        one.restart()
        assert one.endpoint == endpoint
        assert one.store("first/x").find("a") == b"1"
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(endpoint.rsplit(":", 1)[1]))) != 0


def test_the_proxy_counts_by_operation_and_kind(s3_server, s3_proxy):
    store = open_store(s3_server.uri("lakes/proxy"), s3_proxy.storage_options)
    with s3_proxy.count() as outer:
        store.put("tables/manifests/_delta_log/00000000000000000001.json", b"{}")
        with s3_proxy.count() as inner:
            store.find("blobs/sha256/ab/cd")
            list(store.list("tables/manifests/_delta_log/"))
            store.delete(["x", "y"])
    assert outer.total == 4
    assert inner.total == 3
    assert outer.by_kind[("PUT", "log")] == 1
    assert inner.by_kind[("GET", "blob")] == 1
    assert inner.by_kind[("LIST", "log")] == 1
    assert inner.by_operation["DELETE_MANY"] == 1
    assert "blobs/sha256/ab/cd" in str(inner)


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("p/tables/manifests/_delta_log/00000000000000000010.json", "log"),
        ("p/tables/manifests/_delta_log/_last_checkpoint", "checkpoint"),
        ("p/tables/manifests/_delta_log/00000000000000000010.checkpoint.parquet", "checkpoint"),
        ("tables/manifests/part-1.parquet", "data"),
        ("p/blobs/sha256/ab/cd", "blob"),
        ("p/pending/1", "pending"),
        ("p/lakefolio.json", "marker"),
        ("p/README.txt", "other"),
    ],
)
def test_kinds_of_keys(key, kind):
    assert kind_of_key(key) == kind


def test_many_connections_and_large_bodies_pass_unchanged(s3_server, s3_proxy):
    store = open_store(s3_server.uri("lakes/through"), s3_proxy.storage_options)
    bodies = {f"b/{number}": os.urandom(number * 300_000) for number in range(8)}

    def there_and_back(item):
        store.put(*item)
        return bytes(store.get(item[0])) == item[1]

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(there_and_back, bodies.items()))


def test_bodies_in_chunks_and_expect_continue_pass(s3_server, s3_proxy):
    """boto3 sends both: chunked bodies with trailing checksums, and Expect: 100-continue with every upload."""
    from lakefolio.storage import aws

    client = aws.client("s3", s3_proxy.storage_options)
    seen = []
    s3_proxy.fault = lambda request: seen.append(request.headers)
    client.put_object(Bucket="lakes", Key="chunked/a", Body=b"x" * 3_000_000)
    assert client.get_object(Bucket="lakes", Key="chunked/a")["Body"].read() == b"x" * 3_000_000
    assert any("100-continue" in headers.get("expect", "") for headers in seen)


def _raw_server(answer, received):
    """A one-shot server that gives a fixed answer, to show the framing the real one does not use."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = listener.accept()
        with connection:
            data = b""
            while b"0\r\n\r\n" not in data and b"END" not in data:
                data += connection.recv(65536)
            received.append(data)
            connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return listener


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\n\r\nabcde",
    ],
)
def test_every_framing_of_requests_and_answers(answer):
    import http.client

    received = []
    with (
        _raw_server(answer, received) as listener,
        CountingProxy(f"http://127.0.0.1:{listener.getsockname()[1]}") as proxy,
    ):
        connection = http.client.HTTPConnection("127.0.0.1", int(proxy.endpoint.rsplit(":", 1)[1]), timeout=10)
        connection.request(
            "PUT",
            "/bucket/key",
            body=iter([b"12345", b"678"]),
            encode_chunked=True,
            headers={"Transfer-Encoding": "chunked"},
        )
        assert connection.getresponse().read() == b"abcde"
    assert received[0].endswith(b"5\r\n12345\r\n3\r\n678\r\n0\r\n\r\n")
    assert f"Host: 127.0.0.1:{proxy.endpoint.rsplit(':', 1)[1]}".encode() in received[0]


def test_a_refused_request_has_no_effect_and_a_dropped_one_has(s3_server, s3_proxy):
    options = s3_proxy.storage_options | {"max_retries": "0"}
    store = open_store(s3_server.uri("lakes/effects"), options)
    direct = s3_server.store("lakes/effects")
    for action, landed in (("refuse", None), ("drop_response", b"1")):
        with s3_proxy.faulty(lambda request, action=action: Fault(action)), pytest.raises(OSError, match="could not"):
            store.put(action, b"1")
        assert direct.find(action) == landed
    with s3_proxy.faulty(lambda request: Fault("delay", seconds=0.2)):
        store.put("delay", b"1")
    assert direct.find("delay") == b"1"


@pytest.mark.parametrize(
    ("required", "outcome"),
    [
        ("", pytest.skip.Exception),
        ("s3", pytest.skip.Exception),
        ("s3,odd", pytest.fail.Exception),
        ("all", pytest.fail.Exception),
        ("no_such_module_anywhere", pytest.fail.Exception),
    ],
)
def test_what_is_required_is_not_skipped(monkeypatch, required, outcome):
    monkeypatch.setenv("LAKEFOLIO_TEST_REQUIRE", required)
    assert need("json", "test").dumps([]) == "[]"
    with pytest.raises(outcome, match="no_such_module_anywhere"):
        need("no_such_module_anywhere", "odd")


def test_need_returns_the_module():
    assert need("math", "test").pi > 3


def test_fixtures_serve_other_projects(tmp_path):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["lakefolio.testing.fixtures"]\n')
    (tmp_path / "test_it.py").write_text(
        "from lakefolio.storage import open_store\n"
        "def test_it(lake_uri):\n"
        "    store = open_store(lake_uri)\n"
        "    assert list(store.list('')) == []\n"
        "    store.put('a', b'1')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        env=_CHILD_ENVIRONMENT,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
    )
    assert "2 passed" in done.stdout, done.stdout


def test_the_proxy_serves_beyond_a_thousand_descriptors() -> None:
    """A bench of 32 processes opened more connections than select() can look at."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2000), hard))
    ours, theirs = socket.socketpair()
    number = fcntl.fcntl(ours, fcntl.F_DUPFD, 1500)
    with ours, theirs, socket.socket(fileno=number) as high:
        assert high.fileno() >= 1500
        assert not readable(high)
        theirs.sendall(b"x")
        assert readable(high)


@pytest.mark.parametrize("name", ["x", "ab", "Lakes", "under_score", "-dash", "a" * 64, ""])
def test_a_bucket_that_no_server_would_make_is_refused_at_once(name: str) -> None:
    with pytest.raises(ValueError, match="3 to 63"):
        S3Server((name,))


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_a_server_ends_with_its_process(ending: signal.Signals, s3_server: S3Server) -> None:
    code = (
        "import signal, time\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # under nohup it is ignored
        "from lakefolio.testing import S3Server\n"
        "with S3Server(('lakes',)) as server:\n"
        "    print(server._process.pid, server._folder, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid, folder = process.stdout.readline().split()
        assert runs(pid)
        process.send_signal(ending)
        process.wait(30)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and (runs(pid) or Path(folder).exists()):
        time.sleep(0.05)
    assert not runs(pid)
    assert not Path(folder).exists()


def runs(pid: str) -> bool:
    """Say whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
