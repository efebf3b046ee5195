"""What every store must do, as tests: subclass :class:`StorageContract` and give it a ``store``.

Nothing here is overridden by the stores of lakefolio; an exception would be listed with its reason.
"""

# ruff: noqa: D102 - the name of a test says what it shows

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lakefolio.errors import AlreadyExistsError, IntegrityError, InvalidInputError, NotFoundError, StorageError
from lakefolio.storage import Store

__all__ = ["StorageContract"]

_MIB = 1 << 20


class StorageContract:
    """The storage contract. A subclass must define the fixtures ``store`` and ``again``.

    ``store`` is an empty store, ``again`` a second handle on the same place.
    """

    @pytest.fixture
    def residue(self, store: Store) -> Callable[[], list[str]]:
        """Return a function that lists the leftovers of unfinished writes; override it where the place shows them."""
        return list

    # Reading

    def test_an_empty_place_reads_as_empty(self, store: Store) -> None:
        assert store.find("a") is None
        assert list(store.list("")) == []
        assert store.get_many(["a", "b/c"]) == [None, None]

    @pytest.mark.parametrize("read", ["get", "head", "get_stream"])
    def test_a_missing_object_is_not_found_by_name(self, store: Store, read: str) -> None:
        store.put("there", b"1")
        with pytest.raises(NotFoundError) as caught:
            list(getattr(store, read)("not/there"))
        assert caught.value.kind == "object-not-found"
        assert caught.value.key == "not/there"
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("size", [0, 1, 4096, 3 * _MIB])
    def test_what_was_stored_comes_back(self, store: Store, again: Store, size: int) -> None:
        data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        store.create("a/b", data)
        assert again.get("a/b") == data
        assert again.find("a/b") == data
        assert isinstance(again.find("a/b"), bytes)
        assert b"".join(again.get_stream("a/b")) == data
        assert again.head("a/b").size_bytes == size

    @pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
    def test_any_buffer_is_taken(self, store: Store, make: Callable[[bytes], bytes]) -> None:
        store.create("created", make(b"data"))
        store.put("put", make(b"data"))
        store.upload("uploaded", [make(b"da"), make(b"ta")], 4)
        assert store.get_many(["created", "put", "uploaded"]) == [b"data"] * 3

    def test_a_buffer_of_wide_elements_is_stored_as_its_bytes(self, store: Store) -> None:
        wide = memoryview(bytes(range(16))).cast("I", (2, 2))
        store.create("wide", wide)
        assert store.find("wide") == bytes(range(16))

    def test_head_tells_size_etag_and_time(self, store: Store) -> None:
        store.put("a", b"123")
        info = store.head("a")
        assert (info.key, info.size_bytes) == ("a", 3)
        assert info.etag
        assert info.modified_at.tzinfo is not None
        assert abs(datetime.now(UTC) - info.modified_at) < timedelta(minutes=5)
        assert store.head("a") == info
        store.put("a", b"456")
        assert store.head("a").etag != info.etag

    def test_a_stream_comes_in_pieces_that_stay_valid(self, store: Store) -> None:
        data = b"".join(hashlib.sha256(bytes([n])).digest() * (_MIB // 32) for n in range(10))
        store.put("big", data)
        pieces = list(store.get_stream("big", _MIB))
        assert len(pieces) >= 2
        assert max(map(len, pieces)) < 5 * _MIB
        assert b"".join(pieces) == data

    def test_get_many_keeps_the_order(self, store: Store) -> None:
        for number in range(60):
            store.put(f"many/{number:02}", str(number).encode())
        keys = [f"many/{number:02}" for number in (*range(59, -1, -1), 77)]
        assert store.get_many(keys) == [str(number).encode() for number in range(59, -1, -1)] + [None]
        assert store.get_many([]) == []

    def test_fetch_to_makes_a_file_and_shows_each_piece(self, store: Store, tmp_path: Path) -> None:
        data = b"0123456789" * 1000
        store.put("a", data)
        seen: list[bytes] = []
        assert store.fetch_to("a", tmp_path / "copy", on_chunk=lambda piece: seen.append(bytes(piece))) == len(data)
        assert (tmp_path / "copy").read_bytes() == data == b"".join(seen)

    def test_fetch_to_leaves_nothing_when_it_fails(self, store: Store, tmp_path: Path) -> None:
        store.put("a", b"data")
        folder = tmp_path / "copies"
        folder.mkdir()
        (folder / "kept").write_bytes(b"before")

        def refuse(piece: memoryview) -> None:
            raise ValueError("wrong digest")

        with pytest.raises(ValueError, match="wrong digest"):
            store.fetch_to("a", folder / "kept", on_chunk=refuse)
        with pytest.raises(NotFoundError):
            store.fetch_to("missing", folder / "new")
        assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [("kept", b"before")]

    # Creating and replacing

    def test_create_refuses_a_taken_key_and_leaves_it(self, store: Store, again: Store) -> None:
        store.create("a", b"first")
        with pytest.raises(AlreadyExistsError) as caught:
            again.create("a", b"second")
        assert caught.value.kind == "object-exists"
        assert caught.value.key == "a"
        assert store.find("a") == b"first"
        assert again.create_if_absent("a", b"third") is False
        assert again.create_if_absent("b", b"third") is True

    def test_one_of_many_creators_wins(self, store: Store, again: Store) -> None:
        for round_ in range(5):
            key = f"log/{round_:020}.json"
            barrier = threading.Barrier(6)

            def attempt(number: int, key: str = key, barrier: threading.Barrier = barrier) -> int | None:
                barrier.wait()
                try:
                    (store if number % 2 else again).create(key, str(number).encode() * 500)
                except AlreadyExistsError:
                    return None
                return number

            with ThreadPoolExecutor(6) as threads:
                winners = [number for number in threads.map(attempt, range(6)) if number is not None]
            assert len(winners) == 1
            assert store.find(key) == str(winners[0]).encode() * 500

    def test_put_replaces_whole_objects_under_readers_eyes(self, store: Store, again: Store) -> None:
        store.put("a", b"0" * 200_000)
        stop = threading.Event()

        def write() -> None:
            number = 0
            while not stop.is_set():
                number = (number + 1) % 10
                again.put("a", str(number).encode() * (100_000 + 10_000 * number))

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(60):
                found = store.find("a")
                assert found is not None
                assert len(set(found)) == 1
        finally:
            stop.set()
            writer.join()

    def test_keys_stay_below_the_root(self, store: Store) -> None:
        for key in ("", "/absolute", "../above", "a/../../above", "a\0b"):
            with pytest.raises(InvalidInputError) as caught:
                store.create(key, b"x")
            assert caught.value.kind == "bad-key"
            with pytest.raises(InvalidInputError):
                store.find(key)
        assert list(store.list("")) == []

    # Listing

    def test_a_list_shows_what_was_just_written(self, store: Store, again: Store) -> None:
        keys = ["a-b/c", "a/0", "a/b/c/d", "a/b/e", "a/b0", "a.json", "b", "B", "a_"]
        for number, key in enumerate(keys):
            store.create(key, b"x" * number)
            assert key in [info.key for info in again.list("")]
        listed = list(again.list(""))
        assert sorted(info.key for info in listed) == sorted(keys)
        assert {info.key: info.size_bytes for info in listed} == {key: n for n, key in enumerate(keys)}
        store.delete(["a/0"])
        assert "a/0" not in [info.key for info in again.list("")]

    def test_a_prefix_is_whole_segments(self, store: Store) -> None:
        for key in ("a/b/c", "a/bc/d", "a/b.json", "ab/c"):
            store.put(key, b"")
        assert [info.key for info in store.list("a/b")] == ["a/b/c"]
        assert [info.key for info in store.list("a/b/")] == ["a/b/c"]
        assert sorted(info.key for info in store.list("a")) == ["a/b.json", "a/b/c", "a/bc/d"]
        assert list(store.list("nothing/here")) == []
        assert list(store.list("a/b/c")) == []

    def test_a_folder_is_listed_in_order_and_after_a_key(self, store: Store) -> None:
        keys = ["log/00", "log/01", "log/02.json", "log/02_", "log/1", "log/A", "log/a", "log/a-1", "log/a.b"]
        for key in reversed(keys):
            store.put(key, b"")
        store.put("other/00", b"")
        assert [info.key for info in store.list("log")] == keys
        for after in (*keys, "log/0", "log/01x", "log/zz"):
            expected = [key for key in keys if key > after]
            assert [info.key for info in store.list("log", after=after)] == expected, after

    def test_a_long_list_is_complete(self, store: Store) -> None:
        keys = [f"log/{number:020}.json" for number in range(1203)]
        store.parallel([lambda key=key: store.create(key, b"{}") for key in keys])  # type: ignore[misc]
        assert [info.key for info in store.list("log")] == keys
        assert [info.key for info in store.list("log", after=keys[1000])] == keys[1001:]

    # Uploading

    @pytest.mark.parametrize("size", [0, 5, 20 * _MIB + 7])
    def test_an_upload_is_done_once(self, store: Store, again: Store, size: int) -> None:
        data = hashlib.sha256(b"content").digest() * (size // 32) + b"x" * (size % 32)
        progress: list[int] = []
        sent = store.upload("blob", lambda: [data[: size // 3], data[size // 3 :]], size, progress.append)
        assert sent is True
        assert again.get("blob") == data
        assert progress == sorted(progress)
        assert progress[-1:] == ([size] if size else [])
        assert again.upload("blob", [data], size) is False

    def test_a_large_upload_that_is_there_does_not_read_its_content(self, store: Store) -> None:
        size = 20 * _MIB
        store.upload("blob", [b"x" * size], size)

        def never() -> Iterator[bytes]:
            raise AssertionError("the content was asked for")

        assert store.upload("blob", never, size) is False

    def test_many_uploads_of_one_content_end_well(self, store: Store, again: Store) -> None:
        data = b"y" * (3 * _MIB)
        with ThreadPoolExecutor(6) as threads:
            sent = list(
                threads.map(lambda n: (store if n % 2 else again).upload("blob", lambda: [data], len(data)), range(6))
            )
        assert True in sent
        assert store.get("blob") == data

    @pytest.mark.parametrize("size", [1000, 24 * _MIB])
    def test_a_source_that_fails_leaves_nothing(
        self, store: Store, residue: Callable[[], list[str]], size: int
    ) -> None:
        def broken() -> Iterator[bytes]:
            for _ in range(9):
                yield b"z" * (size // 10)
            raise OSError("the disk of the source broke")

        with pytest.raises(OSError, match="the disk of the source broke") as caught:
            store.upload("blob", broken, size)
        assert type(caught.value) is OSError
        assert store.find("blob") is None
        assert residue() == []
        assert store.upload("blob", [b"z" * size], size) is True

    @pytest.mark.parametrize("size", [1000, 24 * _MIB])
    @pytest.mark.parametrize("off", [-1, 1])
    def test_a_source_of_another_size_leaves_nothing(
        self, store: Store, residue: Callable[[], list[str]], size: int, off: int
    ) -> None:
        with pytest.raises(IntegrityError) as caught:
            store.upload("blob", [b"z" * (size + off)], size)
        assert caught.value.kind == "size-mismatch"
        assert store.find("blob") is None
        assert residue() == []

    @pytest.mark.parametrize("size", [1000, 24 * _MIB])
    def test_an_object_of_another_size_is_not_replaced(self, store: Store, size: int) -> None:
        store.put("blob", b"damaged")
        with pytest.raises(AlreadyExistsError) as caught:
            store.upload("blob", [b"z" * size], size)
        assert caught.value.kind == "object-differs"
        assert (caught.value.objects["size_bytes"], caught.value.objects["expected_bytes"]) == (7, size)
        assert store.find("blob") == b"damaged"

    # Deleting

    def test_delete_takes_missing_objects_and_many(self, store: Store, again: Store) -> None:
        keys = [f"many/{number}" for number in range(1100)]
        store.parallel([lambda key=key: store.put(key, b"x") for key in keys])  # type: ignore[misc]
        store.put("kept", b"x")
        again.delete([*keys, "never/there"])
        assert [info.key for info in store.list("")] == ["kept"]
        again.delete(keys[:3])
        again.delete([])
        store.create(keys[0], b"again")

    # At once

    def test_parallel_keeps_order_and_ends_all_before_it_raises(self, store: Store) -> None:
        done = []

        def fine(number: int) -> int:
            store.put(f"p/{number}", b"")
            done.append(number)
            return number

        def fails() -> int:
            store.create("p/0", b"")
            raise AssertionError("not reached")

        assert store.parallel([lambda n=n: fine(n) for n in range(20)]) == list(range(20))  # type: ignore[misc]
        done.clear()
        with pytest.raises(AlreadyExistsError):
            store.parallel([fails, *[lambda n=n: fine(n) for n in range(20)]])
        assert sorted(done) == list(range(20))
        assert store.parallel([]) == []

    def test_parallel_within_parallel_does_not_hang(self, store: Store) -> None:
        store.put("a", b"1")

        def inner() -> list[bytes | None]:
            return store.get_many(["a"] * 5)

        assert store.parallel([inner] * 40) == [[b"1"] * 5] * 40

    # Telling about itself

    def test_it_says_where_it_is_and_keeps_secrets(self, store: Store) -> None:
        assert store.uri in repr(store)
        assert store.uri_of("a/b") == f"{store.uri}/a/b"
        for name, value in store.options_for_delta().items():
            if "secret" in name or "token" in name:
                assert value not in repr(store)
                assert value not in store.uri

    def test_resolve_uri_leads_back_to_an_object(self, store: Store) -> None:
        store.put("a/b c.txt", b"data")
        there, key = store.resolve_uri(store.uri_of("a/b c.txt"))
        assert there.find(key) == b"data"
        there, key = store.resolve_uri(store.uri_of("a/"))
        assert [info.size_bytes for info in there.list(key)] == [4]

    def test_errors_survive_processes(self, store: Store) -> None:
        with pytest.raises(NotFoundError) as caught:
            store.get("missing")
        assert not isinstance(caught.value, StorageError)
        make, arguments = caught.value.__reduce__()[:2]
        assert str(make(*arguments)) == str(caught.value)
