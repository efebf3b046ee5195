"""A bucket, a container, a web server or this process's memory as a store, through obstore.

What each method guarantees is said by :class:`Store`.
"""

# ruff: noqa: D102 - the docstrings are those of Store
from __future__ import annotations

import builtins
import contextlib
import dataclasses
import json
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar

from lakefolio.errors import AlreadyExistsError, NotFoundError, StorageError
from lakefolio.storage.errors import cause, is_broken, is_missing, is_vendor_error, status_of, translate
from lakefolio.storage.ranges import in_ranges
from lakefolio.storage.store import CHUNK_BYTES, Buffer, ObjectInfo, Parts, Store, check_plain, flat, pieces_of
from lakefolio.storage.threads import check_same_process, in_pool, submit

if TYPE_CHECKING:
    from obstore.store import ObjectStore

__all__ = ["RemoteStore"]

T = TypeVar("T")

_SINGLE_BYTES = 16 << 20
"""Content up to this size goes up in one request; larger content in parts."""
_IN_FLIGHT_BYTES = 24 << 20
_RESUMED_BYTES = 64 << 20
"""From this size on it is worth a request to look whether an upload was begun before and can be finished."""
_MOST_PARTS = 9000  # S3 allows 10,000
_MOST_DELETED = 1000  # by one request of S3
_NO_SUCH_RANGE = 416
_CREATE_TRIES = 5
_RANGE_TRIES = 4
_BROKEN_S = 10.0
"""Time for which a create whose connection broke is tried again; obstore has tried for longer where nothing listens."""


class RemoteStore(Store):
    """Any store that obstore supports."""

    def __init__(
        self,
        scheme: str,
        uri: str,
        vendor_store: ObjectStore,
        *,
        prefix: str = "",
        delta_options: Callable[[], dict[str, str]] = dict,
        given: dict[str, str] | None = None,
    ) -> None:
        """Wrap a store of obstore.

        Args:
            scheme: The kind of store.
            uri: The address of bucket and prefix, without credentials.
            vendor_store: The obstore object for the bucket.
            prefix: What all keys start with in the bucket, without slashes around it.
            delta_options: Gives the options that reach the same place through deltalake.
            given: The user's options, for references to other places of the same kind.
        """
        self.scheme = scheme
        self.uri = uri
        self._vendor = vendor_store
        self._prefix = f"{prefix}/" if prefix else ""
        self._delta_options = delta_options
        self._given = dict(given or {})

    @property
    def options(self) -> dict[str, str]:
        return dict(self._given)

    def identity(self) -> str | None:
        if self.scheme == "memory":
            return None
        around = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "GOOGLE_", "AZURE_"))}
        return json.dumps([self.uri, self._given, around], sort_keys=True)

    def check_process(self) -> None:
        if self.scheme != "memory":
            check_same_process(self.uri)

    def options_for_delta(self) -> dict[str, str]:
        return self._delta_options()

    def _path(self, key: str) -> str:
        self.check_process()
        return self._prefix + check_plain(key)

    @contextlib.contextmanager
    def _translated(self, action: str, key: str) -> Iterator[None]:
        try:
            yield
        except BaseException as exc:
            if not is_vendor_error(exc):
                raise
            raise translate(exc, action, key, self) from cause(exc)

    def get(self, key: str) -> memoryview:
        path = self._path(key)
        with self._translated("read", key):
            return memoryview(self._vendor.get(path).bytes())

    def find(self, key: str) -> bytes | None:
        path = self._path(key)
        try:
            return bytes(memoryview(self._vendor.get(path).bytes()))
        except BaseException as exc:
            if not is_vendor_error(exc):
                raise
            if is_missing(exc):
                return None
            raise translate(exc, "read", key, self) from cause(exc)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        path = self._path(key)
        with self._translated("read", key):
            return bytes(memoryview(self._vendor.get_range(path, start=start, length=length)))

    def get_stream(
        self, key: str, chunk_bytes: int = CHUNK_BYTES, *, size_bytes: int | None = None
    ) -> Iterator[memoryview]:
        if size_bytes is not None and size_bytes > CHUNK_BYTES and self.scheme != "memory" and not in_pool():
            return in_ranges(lambda start, length: self._range(key, start, length), size_bytes)
        return self._stream(key, chunk_bytes)

    def _stream(self, key: str, chunk_bytes: int) -> Iterator[memoryview]:
        path = self._path(key)
        with self._translated("read", key):
            stream = iter(self._vendor.get(path).stream(min_chunk_size=chunk_bytes))
        while True:
            with self._translated("read", key):
                piece = next(stream, None)
            if piece is None:
                return
            whole = memoryview(piece)
            for start in range(0, len(whole), chunk_bytes):  # memory gives all at once
                yield whole[start : start + chunk_bytes]

    def _range(self, key: str, start: int, length: int) -> memoryview:
        """Return some bytes of an object, up to its end; tried again by itself if the connection breaks."""
        path, attempt = self._path(key), 0
        while True:
            try:
                return memoryview(self._vendor.get_range(path, start=start, length=length))
            except BaseException as exc:
                if not is_vendor_error(exc):
                    raise
                if status_of(exc) == _NO_SUCH_RANGE:
                    return memoryview(b"")
                error, attempt = translate(exc, "read", key, self), attempt + 1
                if attempt == _RANGE_TRIES or not is_broken(exc, error.kind):
                    raise error from cause(exc)
            time.sleep(random.uniform(0.5, 1.0) * 0.05 * 2**attempt)

    def get_many(self, keys: Sequence[str]) -> builtins.list[bytes | None]:
        return self.parallel([lambda key=key: self.find(key) for key in keys])  # type: ignore[misc]

    def head(self, key: str) -> ObjectInfo:
        path = self._path(key)
        with self._translated("look at", key):
            return self._info(self._vendor.head(path))

    def head_readable(self, key: str) -> ObjectInfo:
        if self.scheme not in ("s3", "gs", "az"):
            return self.head(key)
        path = self._path(key)
        try:  # one byte: a HEAD says nothing of whether the object can be read
            found = self._vendor.get(path, options={"range": (0, 1)})
            found.bytes()
            return self._info(found.meta)
        except BaseException as exc:
            if not is_vendor_error(exc):
                raise
            if status_of(exc) == _NO_SUCH_RANGE:  # it is empty
                return self.head(key)
            raise translate(exc, "read", key, self) from cause(exc)

    def list_archives(self, prefix: str) -> Iterator[ObjectInfo]:
        if self.scheme != "s3":
            yield from self.list(prefix)
            return
        from lakefolio.storage import aws

        bucket = self.uri.removeprefix("s3://").partition("/")[0]
        try:
            found = aws.objects_of(bucket, self._path(prefix.rstrip("/")) + "/", self.options_for_delta())
            first = builtins.list(islice(found, 1))
        except StorageError:  # boto3 asks nothing without credentials, which a public bucket needs none of
            yield from self.list(prefix)
            return
        for one in chain(first, found):
            yield dataclasses.replace(one, key=one.key.removeprefix(self._prefix))

    def list(self, prefix: str, *, after: str | None = None) -> Iterator[ObjectInfo]:
        base = prefix.rstrip("/")
        path = self._path(base) if base else self._prefix.rstrip("/")
        offset = self._prefix + after if after else None
        with self._translated("list", prefix):
            pages = iter(self._vendor.list(path or None, offset=offset, chunk_size=1000))
        while True:
            with self._translated("list", prefix):
                page = next(pages, None)
            if page is None:
                return
            yield from map(self._info, page)

    def _info(self, found: Any) -> ObjectInfo:
        return ObjectInfo(
            key=found["path"].removeprefix(self._prefix),
            size_bytes=found["size"],
            etag=found["e_tag"],
            modified_at=found["last_modified"],
            version=found["version"],
        )

    def create(self, key: str, data: Buffer) -> None:
        path, body = self._path(key), flat(data)
        began = time.monotonic()
        for attempt in range(_CREATE_TRIES):
            try:
                self._vendor.put(path, body, mode="create", use_multipart=False)
                return
            except BaseException as exc:
                if not is_vendor_error(exc):
                    raise
                error = translate(exc, "create", key, self)
                # 412 says that an object is there. 409 says only that another request on the key was under way,
                # which may have been a deletion or may fail itself: look, and try again if nothing is there.
                # A connection that broke says nothing at all; obstore tries such again only where it is harmless to
                # act twice. It is here: who is told that the object exists looks whether it is its own.
                last = attempt == _CREATE_TRIES - 1
                broken = is_broken(exc, error.kind) and not last and time.monotonic() - began < _BROKEN_S
                conflict = error.kind == "object-exists" and status_of(exc) == 409
                if not broken and (not conflict or self._exists(key)):
                    raise error from cause(exc)
            time.sleep(random.uniform(0.5, 1.0) * 0.05 * 2**attempt)
        raise StorageError(
            f"could not create {key!r} in {self.uri}: other requests on it were under way {_CREATE_TRIES} times",
            kind="throttled",
            hint="try again",
            key=key,
            uri=self.uri,
        )

    def _exists(self, key: str) -> bool:
        try:
            self.head(key)
        except NotFoundError:
            return False
        return True

    def put(self, key: str, data: Buffer) -> None:
        path = self._path(key)
        with self._translated("write", key):
            self._vendor.put(path, flat(data), use_multipart=False)

    def upload(
        self,
        key: str,
        parts: Parts,
        size_bytes: int,
        on_progress: Callable[[int], None] | None = None,
        *,
        replace: bool = False,
    ) -> bool:
        if size_bytes <= _SINGLE_BYTES:
            pieces = list(pieces_of(parts, size_bytes, key, on_progress))
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            if replace:
                self.put(key, body)
                return True
            while True:
                try:
                    self.create(key, body)
                    return True
                except AlreadyExistsError:
                    if self._present(key, size_bytes):
                        return False
        if not replace and self._present(key, size_bytes):
            return False
        path = self._path(key)
        part_bytes = max(CHUNK_BYTES, -(-size_bytes // _MOST_PARTS))
        if self.scheme == "s3" and size_bytes >= _RESUMED_BYTES and callable(parts):
            self._upload_long(key, parts, size_bytes, part_bytes, on_progress)
            return True
        source = _Remembering(pieces_of(parts, size_bytes, key, on_progress))
        try:
            self._vendor.put(
                path,
                source,
                use_multipart=True,
                chunk_size=part_bytes,
                max_concurrency=_parts_at_once(part_bytes),
            )
        except BaseException as exc:
            if source.failure is not None:
                if exc is source.failure:
                    raise
                raise source.failure from None
            if is_vendor_error(exc):
                raise translate(exc, "upload", key, self) from cause(exc)
            raise
        return True

    def _upload_long(
        self, key: str, parts: Parts, size_bytes: int, part_bytes: int, on_progress: Callable[[int], None] | None
    ) -> None:
        """Upload content in parts; after any failure the parts that were sent stay, so that the next try can resume.

        (obstore's own upload removes them after an error, its writer does not; gc does, after a day.)
        """
        import obstore

        from lakefolio.storage import multipart_resume

        path, bucket = self._path(key), self.uri.removeprefix("s3://").partition("/")[0]
        content = pieces_of(parts, size_bytes, key, on_progress)
        if multipart_resume.resume(bucket, path, self.options_for_delta(), content, part_bytes):
            return
        writer = obstore.open_writer(
            self._vendor, path, buffer_size=part_bytes, max_concurrency=_parts_at_once(part_bytes)
        )
        for piece in pieces_of(parts, size_bytes, key, on_progress):
            with self._translated("upload", key):
                writer.write(piece)
        with self._translated("upload", key):
            writer.close()  # only now there is an object

    def delete(self, keys: Iterable[str]) -> None:
        paths = [self._path(key) for key in keys]
        for start in range(0, len(paths), _MOST_DELETED):
            some = paths[start : start + _MOST_DELETED]
            if len(some) == 1:
                self._delete_one(some[0])
                continue
            try:
                with self._translated("delete", some[0].removeprefix(self._prefix)):
                    self._vendor.delete(some)
            except NotFoundError as missing:
                if missing.kind != "object-not-found":
                    raise
                # GCS and Azure refuse a missing one and may leave the rest of the batch.
                self.parallel([lambda path=path: self._delete_one(path) for path in some])  # type: ignore[misc]

    def _delete_one(self, path: str) -> None:
        try:
            with self._translated("delete", path.removeprefix(self._prefix)):
                self._vendor.delete(path)
        except NotFoundError as missing:
            if missing.kind != "object-not-found":
                raise

    def discard_unfinished(self, before: datetime, *, dry_run: bool = False) -> int:
        if self.scheme != "s3":
            return 0  # the others drop unfinished uploads by themselves, after a week at most
        from lakefolio.storage import aws

        bucket = self.uri.removeprefix("s3://").partition("/")[0]
        return aws.discard_uploads(bucket, self._prefix, self.options_for_delta(), before, dry_run=dry_run)

    def parallel(self, calls: Sequence[Callable[[], T]]) -> builtins.list[T]:
        if len(calls) < 2 or self.scheme == "memory" or in_pool():
            return super().parallel(calls)
        check_same_process(self.uri)
        futures = [submit(call) for call in calls]
        failures = [failure for future in futures if (failure := future.exception()) is not None]
        if failures:
            raise failures[0]
        return [future.result() for future in futures]


def _parts_at_once(part_bytes: int) -> int:
    return max(1, min(6, _IN_FLIGHT_BYTES // part_bytes))


class _Remembering(Iterator[Buffer]):
    """Passes an iterator on and keeps the exception it raises, so that it is not mistaken for an error of the store."""

    def __init__(self, inner: Iterator[Buffer]) -> None:
        self._inner = inner
        self.failure: BaseException | None = None

    def __next__(self) -> Buffer:
        try:
            return next(self._inner)
        except StopIteration:
            raise
        except BaseException as exc:
            self.failure = exc
            raise
