"""What passes is tried again, with pauses and an end; what stays is not. A long upload goes on where it broke off."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.storage import Store, open_store
from lakefolio.testing import CountingProxy, Fault, Request, S3Server

MIB = 1 << 20
ACTIONS: dict[str, Callable[[Store], Any]] = {
    "get": lambda store: bytes(store.get("there")),
    "head": lambda store: store.head("there"),
    "list": lambda store: list(store.list("")),
    "create": lambda store: store.create("new", b"x"),
    "put": lambda store: store.put("there", b"x"),
    "delete": lambda store: store.delete(["there"]),
    "upload": lambda store: store.upload("big", lambda: [bytes(MIB)] * 20, 20 * MIB),
}
PASSING = {
    "500": Fault("status", status=500, code="InternalError"),
    "503": Fault("status", status=503, code="SlowDown"),
    "reset": Fault("refuse"),
}
STAYING = {
    "403": (Fault("status", status=403, code="AccessDenied"), "permission-denied"),
    "404": (Fault("status", status=404, code="NoSuchBucket"), "bucket-not-found"),
    "400": (Fault("status", status=400, code="InvalidArgument"), "storage"),
}


def first(count: int, fault: Fault) -> Callable[[Request], Fault | None]:
    """Let the first so many requests go wrong."""
    numbers, lock = itertools.count(1), threading.Lock()

    def choose(request: Request) -> Fault | None:
        with lock:
            return fault if next(numbers) <= count else None

    return choose


@pytest.fixture
def store(s3_proxy: CountingProxy, s3_uri: str) -> Store:
    store = open_store(s3_uri, s3_proxy.storage_options)
    store.create("there", b"x")
    return store


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("action", ACTIONS)
def test_what_passes_is_tried_again(action: str, fault: str, store: Store, s3_proxy: CountingProxy) -> None:
    with s3_proxy.count() as undisturbed:
        ACTIONS[action](store)
    store.delete(["new", "big"])
    store.put("there", b"x")
    with s3_proxy.count() as count, s3_proxy.faulty(first(2, PASSING[fault])):
        ACTIONS[action](store)
    # a lost create looks whether it was its own
    assert undisturbed.total + 2 <= count.total <= undisturbed.total + 3, str(count)


@pytest.mark.parametrize("action", ["get", "create", "list"])
def test_with_pauses_and_an_end(action: str, s3_proxy: CountingProxy, s3_uri: str) -> None:
    store = open_store(s3_uri, s3_proxy.storage_options | {"max_retries": "3"})
    began = time.monotonic()
    with (
        s3_proxy.count() as count,
        s3_proxy.faulty(lambda request: PASSING["503"]),
        pytest.raises(lf.StorageError) as caught,
    ):
        ACTIONS[action](store)
    assert caught.value.kind == "throttled"
    assert count.total == 4
    assert time.monotonic() - began > 0.1


@pytest.mark.parametrize("fault", STAYING)
@pytest.mark.parametrize("action", ["get", "create", "put", "list"])
def test_what_stays_is_not_tried_again(action: str, fault: str, store: Store, s3_proxy: CountingProxy) -> None:
    given, kind = STAYING[fault]
    with (
        s3_proxy.count() as count,
        s3_proxy.faulty(lambda request: given),
        pytest.raises((lf.StorageError, lf.LakeNotFoundError)) as caught,
    ):
        ACTIONS[action](store)
    assert (caught.value.kind, count.total) == (kind, 1)


@pytest.mark.parametrize("action", ["get", "create", "put", "list"])
def test_an_answer_that_does_not_come_is_asked_for_again(action: str, s3_proxy: CountingProxy, s3_uri: str) -> None:
    store = open_store(s3_uri, s3_proxy.storage_options | {"read_timeout": "400ms"})
    store.create("there", b"x")
    with s3_proxy.count() as count, s3_proxy.faulty(first(1, Fault("delay", seconds=1.5))):
        if action == "create":
            assert store.create_if_absent("new", b"x") in (True, False)  # the late one may have been it
        else:
            ACTIONS[action](store)
    assert 2 <= count.total <= 3
    assert bytes(store.get("there")) == b"x"


CHILD = """
import sys, lakefolio as lf
from lakefolio.testing import S3Server
lf.open(sys.argv[1]).folio("f").add_artifact("big", sys.argv[2])
"""


def test_an_upload_that_was_killed_goes_on_where_it_broke_off(
    s3_proxy: CountingProxy, s3_server: S3Server, s3_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 96 * MIB
    path = tmp_path / "big"
    path.write_bytes(b"".join(bytes([number]) * MIB for number in range(96)))
    lf.open(s3_uri)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_proxy.endpoint)
    parts, seventh, dead = itertools.count(1), threading.Event(), threading.Event()

    def freeze(request: Request) -> Fault | None:
        if request.operation != "PART" or next(parts) < 7:
            return None
        seventh.set()
        dead.wait(60)
        return Fault("refuse")

    with s3_proxy.faulty(freeze):
        child = subprocess.Popen([sys.executable, "-c", CHILD, s3_uri, str(path)])
        assert seventh.wait(60)
        time.sleep(0.5)  # those before it arrive
        child.kill()
        child.wait()
        dead.set()
    lake = lf.open(s3_uri, storage_options=s3_proxy.storage_options)
    seen: list[tuple[int, int]] = []
    lake.on_upload = lambda sent, whole: seen.append((sent, whole))
    with s3_proxy.count() as count:
        lake.folio("f").add_artifact("big", path)
    assert count.by_operation["PART"] == 12 - 6
    assert count.by_operation["COMPLETE_UPLOAD"] == 1
    assert seen[-1] == (size, size)
    assert [sent for sent, _ in seen] == sorted(sent for sent, _ in seen)
    assert lake.check(read_data=True).ok
    with s3_proxy.count() as count:
        lake.folio("f").add_artifact("again", path)
    assert count.by_operation["PART"] == 0


def test_an_upload_that_failed_goes_on_where_it_broke_off(s3_proxy: CountingProxy, s3_uri: str, tmp_path: Path) -> None:
    """The store is gone after some parts, and again while it goes on; in the end each part was sent once."""
    path = tmp_path / "big"
    path.write_bytes(b"".join(bytes([number]) * MIB for number in range(70)))
    lake = lf.open(s3_uri, storage_options=s3_proxy.storage_options | {"max_retries": "1"})
    received: dict[int, int] = {}  # part -> how often

    def gone_after(count: int, gone: Fault) -> Callable[[Request], Fault | None]:
        lock, left = threading.Lock(), [count]

        def choose(request: Request) -> Fault | None:
            with lock:
                if request.operation == "PART" and left[0]:
                    left[0] -= 1
                    number = int(request.query["partNumber"])
                    received[number] = received.get(number, 0) + 1
                    return None
                if left[0]:
                    return None
            time.sleep(0.5)  # those that were let through arrive
            return gone

        return choose

    for parts, gone, kind in ((4, PASSING["reset"], "connection"), (3, PASSING["503"], "throttled")):
        with s3_proxy.faulty(gone_after(parts, gone)), pytest.raises(lf.StorageError) as caught:
            lake.folio("f").add_artifact("big", path)
        assert caught.value.kind == kind
    assert "big" not in lake.folio("f")
    seen: list[int] = []
    lake.on_upload = lambda sent, whole: seen.append(sent)
    with s3_proxy.count() as count:
        lake.folio("f").add_artifact("big", path)
    sent = [int(one.headers["content-length"]) for one in count.requests if one.operation == "PART"]
    left = [6 * MIB if part == 9 else 8 * MIB for part in set(range(1, 10)) - received.keys()]
    assert len(received) == 4 + 3
    assert sorted(sent) == sorted(left)
    assert count.by_operation["START_UPLOAD"] == count.by_operation["ABORT_UPLOAD"] == 0
    assert set(received.values()) == {1}
    assert (seen, seen[-1]) == (sorted(seen), 70 * MIB)
    assert lake.check(read_data=True).ok
    assert session_of(lake).store.discard_unfinished(datetime.now(UTC) + timedelta(minutes=1), dry_run=True) == 0
