"""Opening stores, options, bad set-ups with real parts, faults on the wire, and what must not be in an error."""

import contextlib
import errno
import http.server
import os
import re
import socket
import subprocess
import sys
import threading
import time
import traceback
from functools import partial

import pytest
from obstore import exceptions as vendor

from lakefolio.errors import (
    AlreadyExistsError,
    InvalidInputError,
    LakefolioError,
    LakeNotFoundError,
    NotFoundError,
    PlaceTakenError,
    StorageError,
)
from lakefolio.storage import open_store, resolve_uri
from lakefolio.storage.addresses import parse_uri
from lakefolio.storage.errors import cause, kinds, translate
from lakefolio.testing import Fault

OPERATIONS = {
    "find": lambda store: store.find("a/b"),
    "get_stream": lambda store: list(store.get_stream("a/b")),
    "create": lambda store: store.create("a/b", b"x"),
    "put": lambda store: store.put("a/b", b"x"),
    "list": lambda store: list(store.list("a")),
    "delete": lambda store: store.delete(["a/b"]),
    "upload": lambda store: store.upload("a/b", [b"x" * 1000], 1000),
}


@pytest.fixture(params=list(OPERATIONS))
def operation(request):
    return OPERATIONS[request.param]


# -- addresses


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://bucket/a/b", "s3://bucket/a/b"),
        ("s3a://bucket//a///b/", "s3://bucket/a/b"),
        ("S3://bucket", "s3://bucket"),
        ("gcs://bucket/a", "gs://bucket/a"),
        ("abfss://box@account.dfs.core.windows.net/a/", "az://box/a"),
        ("memory://", "memory://"),
        ("memory://x/y/", "memory://x/y"),
        ("file:///data/a%20lake/", "/data/a lake"),
        ("/data/./x/../lake/", "/data/lake"),
    ],
)
def test_addresses_are_normalised(uri, expected):
    assert parse_uri(uri).uri == expected


def test_relative_paths_and_home_are_resolved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert open_store("./lake").local_path == tmp_path / "lake"
    assert open_store("lake").uri == str(tmp_path / "lake")
    assert open_store("~/lake").local_path == tmp_path / "home" / "lake"
    assert open_store("lake").scheme == "file"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "ftp://host/x",
        "s4://bucket/x",
        "s3://",
        "s3:///x",
        "s3://key:SECRET@bucket/x",
        "az://box/x?sig=SECRET",
        "s3://bucket/../other",
        "file://host/x",
        "https://host/lake",
        "a\0b",
        "a\nb",
    ],
)
def test_bad_addresses_are_refused_without_repeating_secrets(uri):
    with pytest.raises(InvalidInputError) as caught:
        open_store(uri)
    assert caught.value.kind == "bad-uri"
    assert "SECRET" not in str(caught.value)
    assert "SECRET" not in str(caught.value.objects)
    assert "\n" not in str(caught.value)


def test_opening_and_reading_make_no_folder(tmp_path):
    store = open_store(tmp_path / "a" / "lake")
    assert store.find("x") is None
    assert list(store.list("")) == []
    store.delete(["x"])
    assert not (tmp_path / "a").exists()


def test_handles_on_one_memory_address_share_their_objects():
    open_store("memory://shared/a").put("x", b"1")
    assert open_store("memory://shared/a/").find("x") == b"1"
    assert open_store("memory://shared/b").find("x") is None
    assert open_store("memory://other/a").find("x") is None


# -- options


def test_options_may_be_spelled_in_many_ways(s3_server):
    key, secret, endpoint = s3_server.access_key_id, s3_server.secret_access_key, s3_server.endpoint
    for options in (
        {"aws_access_key_id": key, "aws_secret_access_key": secret, "aws_endpoint_url": endpoint},
        {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_ENDPOINT_URL_S3": endpoint + "/"},
        {"access_key_id": key, "secret_access_key": secret, "endpoint": endpoint, "region": "eu-west-1"},
        {"key": key, "secret": secret, "endpoint_url": endpoint, "allow_http": True, "aws_session_token": None},
        {
            "aws_access_key_id": key,
            "aws_secret_access_key": secret,
            "aws_endpoint": endpoint,
            "aws_allow_http": "true",
            "aws_virtual_hosted_style_request": "false",
            "aws_s3_addressing_style": "path",
            "max_retries": 2,
            "retry_timeout": "5s",
            "connect_timeout": "2s",
            "google_service_account": "of another lake",
            "fsync": "true",
        },
    ):
        store = open_store(s3_server.uri("lakes/spelling"), options)
        store.put("a", b"1")
        assert store.find("a") == b"1"


def test_the_environment_is_enough(s3_server, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_access_key)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        with monkeypatch.context() as patch:
            patch.setenv(name, s3_server.endpoint)
            store = open_store(s3_server.uri("lakes/environment"))
            store.put(name, b"1")
            assert store.find(name) == b"1"
            assert store.options_for_delta()["aws_region"] == "eu-central-1"


def test_a_session_token_of_the_environment_is_used(s3_server, monkeypatch):
    session = s3_server.temporary_credentials()
    for name, value in session.items():
        monkeypatch.setenv(name.upper(), value)
    store = open_store(s3_server.uri("lakes/token"))
    store.put("a", b"1")
    assert store.options_for_delta()["aws_session_token"] == session["aws_session_token"]
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    with pytest.raises(StorageError) as caught:
        open_store(s3_server.uri("lakes/token")).find("a")
    assert caught.value.kind == "unauthenticated"


def test_explicit_options_win_over_the_environment_as_a_whole(s3_server, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of the other keys")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    store = open_store(s3_server.uri("lakes/explicit"), s3_server.storage_options)
    store.put("a", b"1")
    assert store.find("a") == b"1"
    assert store.options_for_delta()["aws_region"] == "us-east-1"
    assert "aws_session_token" not in store.options_for_delta()


@pytest.mark.parametrize(
    ("options", "virtual", "endpoint"),
    [
        ({}, "true", None),
        ({"aws_s3_addressing_style": "path"}, "false", None),
        ({"endpoint": "http://host:9000"}, "false", "http://host:9000"),
        ({"endpoint": "http://host:9000", "addressing_style": "virtual"}, "true", "http://box.host:9000"),
        (
            {"endpoint": "https://box.host", "aws_virtual_hosted_style_request": "true"},
            "true",
            "https://box.host",
        ),
    ],
)
def test_addressing_style(options, virtual, endpoint):
    keys = {"aws_access_key_id": "k", "aws_secret_access_key": "s"}
    given = open_store("s3://box/x", keys | options).options_for_delta()
    assert given["aws_virtual_hosted_style_request"] == virtual
    assert given.get("aws_endpoint_url") == endpoint
    assert given["aws_region"] == "us-east-1"
    assert given.get("aws_allow_http") == ("true" if endpoint and endpoint.startswith("http:") else None)


def test_a_bucket_with_dots_is_addressed_by_path():
    store = open_store("s3://my.box/x", {"key": "k", "secret": "s"})
    assert store.options_for_delta()["aws_virtual_hosted_style_request"] == "false"


@pytest.mark.parametrize(
    ("uri", "options", "kind", "hint"),
    [
        ("s3://b/p", {"aws_acess_key_id": "k"}, "unknown-option", "access_key_id"),
        ("s3://b/p", {"endpont": "http://x"}, "unknown-option", "endpoint"),
        ("/lake", {"fsnyc": "true"}, "unknown-option", "fsync"),
        ("gs://b/p", {"google_servce_account": "x"}, "unknown-option", "service_account"),
        ("s3://b/p", {"region": "a", "AWS_REGION": "b"}, "conflicting-options", None),
        ("s3://b/p", {"endpoint": "host:9000", "key": "k", "secret": "s"}, "bad-option", "http"),
        ("s3://b/p", {"endpoint": "http://u:SECRET@h", "key": "k", "secret": "s"}, "bad-option", None),
        ("s3://b/p", {"aws_access_key_id": "k"}, "bad-option", None),
        ("s3://b/p", {"max_retries": "many"}, "bad-option", None),
        ("s3://b/p", {"retry_timeout": "soon"}, "bad-option", None),
        ("s3://b/p", {"timeout": "soon", "key": "k", "secret": "s"}, "bad-option", None),
        ("s3://b/p", {"addressing_style": "odd"}, "bad-option", None),
        ("s3://b/p", {"AWS_S3_ALLOW_UNSAFE_RENAME": "true"}, "unsafe-option", None),
        ("s3://b/p", {"aws_s3_locking_provider": "dynamodb"}, "unsafe-option", None),
        ("s3://b/p", {"aws_conditional_put": "disabled"}, "unsafe-option", None),
        ("az://box/p", {}, "bad-option", "azure_storage_account_name"),
    ],
)
def test_bad_options_are_refused(uri, options, kind, hint):
    with pytest.raises(InvalidInputError) as caught:
        open_store(uri, options)
    assert caught.value.kind == kind
    assert "SECRET" not in str(caught.value)
    assert "\n" not in str(caught.value)
    if hint:
        assert hint in caught.value.hint


@pytest.mark.parametrize("uri", ["s3://b/p", "/tmp/lake", "memory://x"])
def test_an_environment_that_makes_commits_unsafe_is_refused(uri, monkeypatch):
    monkeypatch.setenv("AWS_S3_ALLOW_UNSAFE_RENAME", "true")
    with pytest.raises(InvalidInputError) as caught:
        open_store(uri)
    assert caught.value.kind == "unsafe-option"
    monkeypatch.setenv("AWS_S3_ALLOW_UNSAFE_RENAME", "false")
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", "etag")
    assert open_store("memory://x").find("nothing") is None


def test_deltalake_reaches_the_same_place(s3_server):
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake

    for options in (s3_server.storage_options, s3_server.temporary_credentials()):
        store = open_store(s3_server.uri(f"lakes/delta-{len(options)}"), options)
        write_deltalake(store.uri_of("tables/t"), pa.table({"a": [1, 2]}), storage_options=store.options_for_delta())
        assert store.find(f"tables/t/_delta_log/{0:020}.json")
        table = DeltaTable(store.uri_of("tables/t"), storage_options=store.options_for_delta())
        assert table.to_pyarrow_table().num_rows == 2


# -- bad set-ups, with real parts


def test_a_missing_bucket_is_told_from_a_missing_object(s3_server, operation):
    store = open_store("s3://no-such-bucket/lake", s3_server.storage_options)
    with pytest.raises(LakeNotFoundError) as caught:
        operation(store)
    assert caught.value.kind == "bucket-not-found"
    assert caught.value.uri == "s3://no-such-bucket/lake"
    assert isinstance(caught.value, FileNotFoundError)


@pytest.mark.parametrize(
    "wrong", [{"aws_access_key_id": "WRONGKEY"}, {"aws_secret_access_key": "WRONGSECRET"}, {"token": "WRONGTOKEN"}]
)
def test_wrong_credentials_are_told_on_one_line(s3_server, operation, wrong):
    store = open_store(s3_server.uri("lakes/wrong"), s3_server.storage_options | wrong)
    with pytest.raises(StorageError) as caught:
        operation(store)
    error = caught.value
    assert error.kind == "unauthenticated"
    assert "AWS_ACCESS_KEY_ID" in error.hint
    assert store.uri in str(error)
    whole = "".join(traceback.format_exception(error)) + repr(store) + str(error.objects)
    assert "\n" not in str(error)
    for secret in (s3_server.secret_access_key, "WRONGSECRET", "WRONGTOKEN"):
        assert secret not in whole


def test_no_credentials_at_all():
    with pytest.raises(StorageError) as caught:
        open_store("s3://bucket/lake")
    assert caught.value.kind == "unauthenticated"
    assert "AWS_PROFILE" in caught.value.hint


def test_unsigned_requests_are_refused_by_a_private_bucket(s3_server):
    store = open_store(s3_server.uri("lakes/x"), {"aws_endpoint_url": s3_server.endpoint, "aws_skip_signature": True})
    with pytest.raises(StorageError) as caught:
        store.find("a")
    assert caught.value.kind in ("permission-denied", "unauthenticated")


def test_a_closed_port_fails_within_seconds(operation):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    store = open_store("s3://bucket/lake", {"key": "k", "secret": "s", "endpoint": f"http://127.0.0.1:{port}"})
    started = time.monotonic()
    with pytest.raises(StorageError) as caught:
        operation(store)
    assert caught.value.kind == "connection"
    assert time.monotonic() - started < 20
    assert "network" in caught.value.hint


def test_a_server_that_never_answers_times_out():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = open_store(
            "s3://bucket/lake",
            {
                "key": "k",
                "secret": "s",
                "endpoint": f"http://127.0.0.1:{silent.getsockname()[1]}",
                "read_timeout": "300ms",
                "max_retries": 1,
            },
        )
        with pytest.raises(StorageError) as caught:
            store.find("a")
    assert caught.value.kind == "timeout"


def test_plain_http_that_was_not_asked_for_is_allowed_by_the_endpoint(s3_server):
    options = {name: value for name, value in s3_server.storage_options.items() if "allow_http" not in name}
    open_store(s3_server.uri("lakes/http"), options).put("a", b"1")


def test_a_file_is_no_lake(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(PlaceTakenError) as caught:
        open_store(tmp_path / "file")
    assert caught.value.kind == "not-a-directory"
    with pytest.raises(StorageError) as caught:
        open_store(tmp_path / "file" / "lake").create("a", b"x")
    assert caught.value.kind == "not-a-directory"


@pytest.mark.skipif(not os.path.isdir("/sys/kernel"), reason="needs a file system that refuses folders even to root")
def test_a_read_only_place():
    store = open_store("/sys/kernel/lakefolio-test")
    assert store.find("a") is None
    with pytest.raises(StorageError) as caught:
        store.create("a", b"x")
    assert caught.value.kind == "permission-denied"
    assert "/sys/kernel/lakefolio-test" in str(caught.value)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write into folders without permission"
)
def test_a_folder_without_permission(tmp_path):
    (tmp_path / "lake").mkdir(mode=0o500)
    with pytest.raises(StorageError) as caught:
        open_store(tmp_path / "lake").create("a", b"x")
    assert caught.value.kind == "permission-denied"


# -- translation


def test_every_vendor_error_has_a_translation():
    known = {
        member
        for name in dir(vendor)
        if isinstance(member := getattr(vendor, name), type) and issubclass(member, BaseException)
    }
    assert known - kinds().keys() == set()
    store = open_store("memory://translation")
    for kind in known:
        error = translate(kind("Generic S3 error:\n secret=abc"), "read", "a/b", store)
        assert isinstance(error, LakefolioError)
        assert error.key == "a/b"
        assert "\n" not in str(error)
        assert "abc" not in str(error)


@pytest.mark.parametrize(
    ("raised", "kind", "cls"),
    [
        (FileNotFoundError("x"), "object-not-found", NotFoundError),
        (IsADirectoryError(errno.EISDIR, "x"), "object-not-found", NotFoundError),
        (FileExistsError(errno.EEXIST, "x"), "object-exists", AlreadyExistsError),
        (PermissionError(errno.EACCES, "x"), "permission-denied", StorageError),
        (NotADirectoryError(errno.ENOTDIR, "x"), "not-a-directory", StorageError),
        (OSError(errno.ENOSPC, "x"), "no-space", StorageError),
        (OSError(errno.EROFS, "x"), "permission-denied", StorageError),
        (OSError(errno.EFBIG, "x"), "no-space", StorageError),
        (OSError(errno.EIO, "x"), "storage", StorageError),
        (OSError(errno.ENAMETOOLONG, "x"), "bad-key", InvalidInputError),
        (vendor.GenericError("status code: 503 x"), "throttled", StorageError),
        (vendor.GenericError("status code: 500 x"), "storage", StorageError),
        (vendor.GenericError("status code: 403 x <Code>AccessDenied</Code>"), "permission-denied", StorageError),
        (vendor.PermissionDeniedError("status code: 403 <Code>ExpiredToken</Code>"), "unauthenticated", StorageError),
        (vendor.GenericError("status code: 404 <Code>ContainerNotFound</Code>"), "bucket-not-found", LakeNotFoundError),
        (vendor.GenericError("Received redirect without LOCATION"), "wrong-region", StorageError),
        (vendor.GenericError("status code: 301 <Code>PermanentRedirect</Code>"), "wrong-region", StorageError),
        (
            vendor.GenericError("status code: 400 <Code>AuthorizationHeaderMalformed</Code>"),
            "unauthenticated",
            StorageError,
        ),
    ],
)
def test_what_errors_mean(raised, kind, cls):
    error = translate(raised, "read", "a/b", open_store("memory://translation"))
    assert error.kind == kind
    assert type(error) is cls


@pytest.mark.parametrize(
    ("text", "said", "advised"),
    [
        ("GET http://h:9/b/x kind: Connect Connection refused", "(http://h:9: connection refused)", "endpoint"),
        ("GET https://h:9/b/x kind: Connect InvalidContentType", "(https://h:9: it does not speak https;", "endpoint"),
        ("GET https://u:pw@h/b/x kind: Connect dns error", "(its name could not be resolved)", "endpoint"),
        (
            "status code: 400 <Code>AuthorizationHeaderMalformed</Code><Region>eu-west-3</Region>",
            "another region (eu-west-3, status 400",
            "AWS_REGION",
        ),
        ("status code: 400 <Code>ExpiredToken</Code>", "status 400, ExpiredToken", "log in again"),
        ("status code: 403 <Code>RequestTimeTooSkewed</Code>", "RequestTimeTooSkewed", "clock"),
    ],
)
def test_the_message_names_the_server_and_what_to_do(text, said, advised):
    error = translate(vendor.GenericError(text), "read", "a/b", open_store("memory://translation"))
    assert said in error.message
    assert error.hint is not None
    assert advised in error.hint


@pytest.mark.parametrize(
    ("number", "said", "advised"),
    [
        (errno.ENOSPC, "no space is left (ENOSPC)", "free some space"),
        (errno.EDQUOT, "no space is left (EDQUOT)", "quota"),
        (errno.EFBIG, "larger than the file system or a limit allows (EFBIG)", "ulimit -f"),
        (errno.EROFS, "the file system is read-only (EROFS)", "mount it for writing"),
        (errno.EIO, "the disk or the network drive failed (EIO)", "dmesg"),
        (errno.EMFILE, "too many files are open (EMFILE)", "ulimit -n"),
    ],
)
def test_the_message_of_a_failing_disk_says_what_to_do(number, said, advised):
    error = translate(OSError(number, "x"), "write", "a/b", open_store("memory://translation"))
    assert said in error.message
    assert advised in str(error.hint)


def test_an_endpoint_without_a_scheme_is_named(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "minio:9000")
    with pytest.raises(InvalidInputError, match="'minio:9000' is not a URL"):
        open_store("s3://bucket/x")


def test_the_cause_keeps_no_secret():
    dirty = vendor.GenericError(
        "GET https://u:pw@h/x?sv=2020&sig=SECRET1&X-Amz-Signature=SECRET2 secret_access_key: SECRET3\nrest"
    )
    clean = cause(dirty)
    assert type(clean) is type(dirty)
    assert "SECRET" not in str(clean)
    assert "pw@" not in str(clean)
    harmless = vendor.GenericError("GET https://h/x")
    assert cause(harmless) is harmless


# -- requests and faults on the wire


def test_each_operation_costs_what_is_promised(s3_server, s3_proxy):
    store = open_store(s3_server.uri("lakes/requests"), s3_proxy.storage_options)
    data = b"x" * (8 << 20)
    for cost, call in (
        (1, lambda: store.create("a", b"1")),
        (1, lambda: store.create("large", data)),
        (1, lambda: store.put("a", b"2")),
        (1, lambda: store.get("a")),
        (1, lambda: store.find("missing")),
        (1, lambda: store.head("a")),
        (1, lambda: list(store.get_stream("large"))),
        (1, lambda: list(store.list("", after="a"))),
        (1, lambda: store.upload("blob", [data], len(data))),
        (2, lambda: store.upload("blob", [data], len(data))),
        (1, lambda: store.delete(["a", "missing"])),
        (3, lambda: store.get_many(["x", "y", "z"])),
        (1 + 1 + 3 + 1, lambda: store.upload("huge", [data, data, data], 3 * len(data))),
        (1, lambda: store.upload("huge", [data, data, data], 3 * len(data))),
    ):
        with s3_proxy.count() as count:
            call()
        assert count.total == cost, str(count)


def test_a_list_starts_at_the_server(s3_server, s3_proxy):
    store = open_store(s3_server.uri("lakes/after"), s3_proxy.storage_options)
    store.put("log/1", b"")
    with s3_proxy.count() as count:
        assert list(store.list("log", after="log/1")) == []
    assert count.requests[0].operation == "LIST"
    assert count.requests[0].query["start-after"] == "after/log/1"


def _once(fault, operation="PUT"):
    done = []

    def decide(request):
        if request.operation == operation and not done:
            done.append(request)
            return fault
        return None

    return decide


def test_a_busy_store_is_asked_again(s3_server, s3_proxy):
    store = open_store(s3_server.uri("lakes/busy"), s3_proxy.storage_options)
    with s3_proxy.count() as count, s3_proxy.faulty(_once(Fault("status", status=503))):
        store.create("a", b"1")
    assert count.total == 2
    with s3_proxy.faulty(lambda request: Fault("status", status=503)), pytest.raises(StorageError) as caught:
        open_store(store.uri, s3_proxy.storage_options | {"max_retries": "1"}).find("a")
    assert caught.value.kind == "throttled"


def test_409_is_not_taken_for_an_existing_object(s3_server, s3_proxy):
    store = open_store(s3_server.uri("lakes/conflict"), s3_proxy.storage_options)
    conflict = Fault("status", status=409, code="ConditionalRequestConflict")
    with s3_proxy.faulty(_once(conflict)):
        store.create("a", b"1")
    assert store.find("a") == b"1"
    with s3_proxy.faulty(_once(conflict)), pytest.raises(AlreadyExistsError):
        store.create("a", b"2")
    always = partial(lambda request: conflict if request.method == "PUT" else None)
    with s3_proxy.faulty(always), pytest.raises(StorageError) as caught:
        store.create("b", b"2")
    assert caught.value.kind == "throttled"


@pytest.mark.parametrize("size", [100, 20 << 20])
def test_a_lost_response_is_told_and_the_object_is_whole(s3_server, s3_proxy, size):
    """A create whose answer is lost may have landed; whoever repeats it must look before it concludes."""
    store = open_store(s3_server.uri(f"lakes/lost-{size}"), s3_proxy.storage_options)
    data = b"x" * size
    if size < 1000:
        with (
            s3_proxy.faulty(_once(Fault("drop_response"))),
            pytest.raises((StorageError, AlreadyExistsError)) as caught,
        ):
            store.create("a", data)
        assert caught.value.kind in ("connection", "object-exists")
        assert store.find("a") == data
    with s3_proxy.faulty(_once(Fault("drop_response"), "PUT" if size < 1000 else "PART")):
        store.upload("b", [data], size)
    assert store.get("b") == data
    assert store.upload("b", [data], size) is False


def test_a_cut_download_is_never_taken_for_the_whole(s3_server, s3_proxy):
    store = open_store(s3_server.uri("lakes/cut"), s3_proxy.storage_options | {"max_retries": "1"})
    data = os.urandom(3 << 20)
    store.put("a", data)
    for after in (0, 1000, 2 << 20):
        with s3_proxy.faulty(_once(Fault("cut", after_bytes=after), "GET")), contextlib.suppress(StorageError):
            assert b"".join(store.get_stream("a")) == data
    with s3_proxy.faulty(lambda request: Fault("cut", after_bytes=1000)), pytest.raises(StorageError) as caught:
        store.get("a")
    assert caught.value.kind == "connection"


# -- what a killed or large writer does

_SCRIPT = """
import os, resource, sys
from lakefolio.storage import open_store
store = open_store(sys.argv[1])
size, action = int(sys.argv[2]), sys.argv[3]
def parts():
    for number in range(size >> 20):
        if action == "die" and number == (size >> 21):
            os._exit(9)
        yield bytes([number % 256]) * (1 << 20)
if action == "roundtrip":
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    store.upload("big", parts, size)
    assert sum(len(piece) for piece in store.get_stream("big")) == size
    store.fetch_to("big", __import__("pathlib").Path(sys.argv[4]))
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
elif action == "die":
    store.upload("big", parts, size)
"""


def _run(*arguments):
    return subprocess.run(
        [sys.executable, "-c", _SCRIPT, *map(str, arguments)], capture_output=True, text=True, timeout=120
    )


def test_large_content_passes_in_bounded_memory(lake_uri, tmp_path):
    done = _run(lake_uri, 320 << 20, "roundtrip", tmp_path / "copy")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 160  # MiB
    assert (tmp_path / "copy").stat().st_size == 320 << 20


def test_a_killed_writer_leaves_nothing_visible(lake_uri):
    assert _run(lake_uri, 40 << 20, "die").returncode == 9
    store = open_store(lake_uri)
    assert store.find("big") is None
    assert list(store.list("")) == []
    assert store.upload("big", [b"x" * 100], 100) is True


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_is_told_instead_of_hanging(s3_uri, tmp_path):
    script = (
        "import os, sys\n"
        "from lakefolio.storage import open_store\n"
        "store = open_store(sys.argv[1])\n"
        "store.put('a', b'1')\n"
        "if os.fork() == 0:\n"
        "    try:\n"
        "        store.find('a')\n"
        "    except Exception as exc:\n"
        "        print(exc.kind, flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    done = subprocess.run([sys.executable, "-c", script, s3_uri], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "forked-process", done.stderr


# -- references to objects anywhere


class _Quiet(http.server.SimpleHTTPRequestHandler):
    seen: list[str]

    def do_GET(self):
        self.seen.append(self.path)
        super().do_GET()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def web(tmp_path):
    """A web server: its URL, its folder and the paths it was asked for."""
    seen: list[str] = []
    (tmp_path / "www").mkdir()
    handler = type("Handler", (_Quiet,), {"seen": seen})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(tmp_path / "www"))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", tmp_path / "www", seen
        server.shutdown()


def test_a_web_address_is_read_with_its_query(web):
    url, folder, seen = web
    (folder / "a file.csv").write_bytes(b"1,2\n")
    store, key = resolve_uri(f"{url}/a%20file.csv?sig=SECRET%2F1")
    assert store.find(key) == b"1,2\n"
    assert store.head(key).size_bytes == 4
    assert seen == ["/a%20file.csv?sig=SECRET%2F1"]
    missing, key = resolve_uri(f"{url}/none.csv?sig=SECRET")
    with pytest.raises(NotFoundError) as caught:
        missing.get(key)
    assert "SECRET" not in "".join(traceback.format_exception(caught.value)) + repr(missing)
    with pytest.raises(LakefolioError):
        store.create("new", b"")


def test_paths_and_buckets_are_reached_from_any_lake(tmp_path, s3_uri, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "é 100%.txt").write_text("x")
    lake = open_store(s3_uri)
    for uri in (tmp_path / "data" / "é 100%.txt", f"file://{tmp_path}/data/%C3%A9%20100%25.txt"):
        store, key = lake.resolve_uri(str(uri))
        assert store.find(key) == b"x"
    store, prefix = resolve_uri(f"{tmp_path}/data/", {"aws_region": "of the lake"})
    assert prefix.endswith("/")
    assert len(list(store.list(prefix))) == 1
    for name in ("odd #1?.txt", "100%25.csv", "ü+~*.bin"):
        lake.put(name, name.encode())
        store, key = resolve_uri(f"{s3_uri}/{name}")
        assert store.find(key) == name.encode()
    assert resolve_uri(f"{s3_uri}/x")[0] is resolve_uri(f"{s3_uri}/y")[0]


@pytest.mark.parametrize(
    ("uri", "options", "path"),
    [
        (
            "gs://box/lake",
            {"google_base_url": "{url}", "google_skip_signature": "true"},
            r"/box/lake(/|%2F)a(/|%2F)b",
        ),
        (
            "az://box/lake",
            {"azure_storage_account_name": "acc", "azure_endpoint": "{url}/acc", "azure_skip_signature": "true"},
            r"/acc/box/lake(/|%2F)a(/|%2F)b",
        ),
    ],
)
def test_google_and_azure_are_reached_by_uri(web, uri, options, path):
    """Only the requests can be looked at here: neither service is at hand."""
    url, _, seen = web
    given = {name: value.replace("{url}", url) for name, value in options.items()} | {"allow_http": "true"}
    store = open_store(uri, given)
    assert store.uri == uri
    assert store.find("a/b") is None
    assert re.search(path, seen[0]), seen
    assert store.options_for_delta().keys() >= {name for name in given if "endpoint" not in name}
