"""The storage contract on every kind of store that can be had here."""

import itertools

import pytest

from lakefolio.storage import open_store
from lakefolio.testing.contract import StorageContract

_numbers = itertools.count(1)


class TestMemory(StorageContract):
    @pytest.fixture
    def store(self):
        return open_store(f"memory://contract-{next(_numbers)}/lake")

    @pytest.fixture
    def again(self, store):
        return open_store(store.uri)


class TestLocal(StorageContract):
    @pytest.fixture
    def store(self, tmp_path):
        return open_store(tmp_path / "made with the first write" / "lake")

    @pytest.fixture
    def again(self, store):
        return open_store(store.uri)

    @pytest.fixture
    def residue(self, store):
        return lambda: [str(path) for path in store.local_path.rglob("*") if path.is_file()]

    def test_folders_are_listed_after_a_key_that_begins_with_their_name(self, store):
        """The names of a folder are not looked at if they come before the key; a folder's comes with a slash."""
        keys = ["log/a-b", "log/a-b.json", "log/a.b/0", "log/a/00", "log/a/1/2", "log/a0", "log/b/0"]
        for key in keys:
            store.put(key, b"")
        for after in (*keys, "log/a", "log/a-", "log/a/", "log/a/1", "log/a/1/0", "log/a-b/c", "log/A"):
            expected = [key for key in keys if key > after]
            assert [info.key for info in store.list("log", after=after)] == expected, after


class TestLocalWithFsync(TestLocal):
    @pytest.fixture
    def store(self, tmp_path):
        return open_store(tmp_path / "lake", {"fsync": True})


class TestS3(StorageContract):
    @pytest.fixture
    def store(self, s3_uri):
        return open_store(f"{s3_uri}/lake")

    @pytest.fixture
    def again(self, store):
        return open_store(store.uri)

    @pytest.fixture
    def residue(self, s3_server):
        def unfinished():
            found = s3_server.client().list_multipart_uploads(Bucket="lakes").get("Uploads", [])
            return [upload["Key"] for upload in found]

        return unfinished


class TestS3WithSessionToken(StorageContract):
    @pytest.fixture
    def store(self, s3_server):
        return open_store(s3_server.uri(f"lakes/token-{next(_numbers)}"), s3_server.temporary_credentials())

    @pytest.fixture
    def again(self, store):
        return open_store(store.uri, store.options)
