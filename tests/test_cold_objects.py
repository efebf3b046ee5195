"""Objects that were moved to a storage class which must be restored before they are read, by a rule for instance."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lakefolio as lf
from lakefolio.errors import StorageError
from lakefolio.process.notice import LakefolioWarning

moto = pytest.importorskip("moto.server")
serving = pytest.importorskip("werkzeug.serving")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """An S3 server that answers one request at a time: two conditional creates at once could both win in moto."""
    app, alone = moto.DomainDispatcherApplication(moto.create_backend_app), threading.Lock()

    def answer(environ: Any, start: Any) -> Any:
        with alone:
            return app(environ, start)

    running = serving.make_server("127.0.0.1", 0, answer, threaded=True)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{running.port}"
    running.shutdown()
    thread.join()
    running.server_close()


NUMBERS = itertools.count(1)


class Bucket:
    """A bucket of its own, whose objects can be moved to another storage class."""

    def __init__(self, endpoint: str, name: str) -> None:
        import boto3

        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
        self.name = name
        self.client: Any = boto3.client("s3", endpoint_url=endpoint, **keys)
        self.client.create_bucket(Bucket=name)
        self.options = {"endpoint_url": endpoint, "allow_http": "true", **dict.fromkeys(list(keys)[:2], "x")}
        self.uri = f"s3://{name}/lake"

    def open(self) -> lf.Lake:
        return lf.open(self.uri, storage_options={**self.options, "region": "us-east-1"})

    def blobs(self) -> dict[str, str]:
        found = self.client.list_objects_v2(Bucket=self.name, Prefix="lake/blobs/").get("Contents", [])
        return {one["Key"]: one["StorageClass"] for one in found}

    def move(self, kind: str) -> None:
        for key in self.blobs():
            body = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
            self.client.put_object(Bucket=self.name, Key=key, Body=body, StorageClass=kind)


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Bucket:
    monkeypatch.setenv("LAKEFOLIO_CACHE", str(tmp_path / "cache"))
    return Bucket(server, f"bucket-{next(NUMBERS)}")


ARRAY = np.arange(10_000)
FRAME = pd.DataFrame({"x": np.random.default_rng(0).random(10_000)})


@pytest.mark.parametrize("kind", ["GLACIER", "DEEP_ARCHIVE"])
def test_a_cold_object_is_named_with_its_class_and_what_to_do(bucket: Bucket, kind: str) -> None:
    bucket.open().folio("f").add("array", ARRAY).add("frame", FRAME).add("small", {"a": 1})
    bucket.move(kind)
    fresh = bucket.open()
    for read in (
        lambda: fresh.folio("f").get("array"),
        lambda: fresh.folio("f").get("frame"),
        lambda: fresh.folio("f").item_path("array"),
    ):
        with pytest.raises(StorageError) as caught:
            read()
        assert caught.value.kind == "archived"
        assert kind in caught.value.message
        assert "restore" in str(caught.value)
        assert "AWS_ACCESS_KEY_ID" not in str(caught.value)
    assert fresh.folio("f").get("small") == {"a": 1}
    assert fresh.folio("f").validate() == {"array": False, "frame": False, "small": True}


def test_check_finds_cold_objects_without_reading_them(bucket: Bucket) -> None:
    bucket.open().folio("f").add("array", ARRAY).add("frame", FRAME)
    assert bucket.open().check(read_data=True).ok
    bucket.move("DEEP_ARCHIVE")
    for report in (bucket.open().check(), bucket.open().check(read_data=True)):
        assert [one.kind for one in report.problems] == ["blob-archived"] * 2
        assert all("DEEP_ARCHIVE" in one.message for one in report.problems)


@pytest.mark.parametrize("kind", ["STANDARD_IA", "GLACIER_IR", "INTELLIGENT_TIERING"])
def test_classes_that_are_read_at_once_are_nothing_special(bucket: Bucket, kind: str) -> None:
    bucket.open().folio("f").add("array", ARRAY)
    bucket.move(kind)
    assert bucket.open().check().ok
    bucket.open().folio("f").add("again", ARRAY)
    assert bucket.open().item("f:again").blob_digest == bucket.open().item("f:array").blob_digest


@pytest.mark.parametrize(
    ("name", "value", "orphan"),
    [
        pytest.param("array", ARRAY, False, id="array-known"),
        pytest.param("frame", FRAME, True, id="frame-orphan"),
        pytest.param("large", np.zeros(2_500_000), True, id="large-orphan"),
    ],
)
def test_equal_content_is_stored_again_and_says_so(bucket: Bucket, name: str, value: Any, orphan: bool) -> None:
    bucket.open().folio("f").add("first", value)
    bucket.move("GLACIER")
    if orphan:  # another lake in the place of this one knows nothing of its blobs
        for one in bucket.client.list_objects_v2(Bucket=bucket.name)["Contents"]:
            if "/blobs/" not in one["Key"]:
                bucket.client.delete_object(Bucket=bucket.name, Key=one["Key"])
    with pytest.warns(LakefolioWarning, match="GLACIER") as caught:
        bucket.open().folio("f").add("second", value)
    assert [one.message.kind for one in caught] == ["archived-content"]
    assert set(bucket.blobs().values()) == {"STANDARD"}
    found = bucket.open().folio("f").get("second")
    assert found.equals(value) if name == "frame" else (found == value).all()
    assert bucket.open().check(read_data=True).ok
