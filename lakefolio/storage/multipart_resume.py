"""Finishing a multipart upload that was killed or failed: parts that S3 has already are not sent again.

Only large content is worth the extra LIST. A part counts as sent if S3 knows it under the MD5 of exactly its bytes;
readers of the object verify the SHA-256 of the whole in any case. Where uploads can't be listed, or ETags are not MD5s
(some kinds of encryption), everything is sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any, Final

from lakefolio.errors import StorageError
from lakefolio.process.workers import Workers
from lakefolio.storage import aws

__all__ = ["resume"]

_AT_ONCE: Final = 4
_RETRIES: Final = 6


def resume(
    bucket: str,
    path: str,
    options: Mapping[str, str],
    content: Iterable[bytes | bytearray | memoryview],
    part_bytes: int,
) -> bool:
    """Finish the unfinished upload to ``path`` that has the most parts; return False if there is none.

    Idempotent and safe beside the writer that began it: both send the same content, and either may complete it.

    Args:
        bucket: The bucket.
        path: The whole key.
        options: As ``Store.options_for_delta`` gives them.
        content: All of it, in order; not read if there is nothing to finish. What it raises comes through, and the
            upload stays for the next try.
        part_bytes: The size of parts, the same as when it was begun.

    Returns:
        Whether the object is complete now. False also if somebody else aborted the upload meanwhile, or the store
        refuses to have it finished so: all is to be sent then.

    Raises:
        StorageError: The store can't be reached or is overloaded. What was sent stays.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        s3 = aws.client("s3", options, attempts=1 + int(options.get("max_retries", _RETRIES)))
        pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=path)
        begun = [one for page in pages for one in page.get("Uploads", ()) if one["Key"] == path]
        most: tuple[dict[str, str], dict[int, Any]] | None = None
        for one in begun:
            named = {"Bucket": bucket, "Key": path, "UploadId": one["UploadId"]}
            listed = s3.get_paginator("list_parts").paginate(**named)
            known = {part["PartNumber"]: part for page in listed for part in page.get("Parts", ())}
            if most is None or len(known) > len(most[1]):
                most = named, known
    except (BotoCoreError, ClientError):
        return False
    if most is None:
        return False
    try:
        parts = _send(s3, *most, _parts(content, part_bytes))
        s3.complete_multipart_upload(**most[0], MultipartUpload={"Parts": parts})
    except (BotoCoreError, ClientError) as exc:
        refused = isinstance(exc, ClientError) and exc.response["ResponseMetadata"]["HTTPStatusCode"] < 500
        if refused:
            return False
        raise StorageError(
            f"could not finish the upload of {path!r} to bucket {bucket!r}: {' '.join(str(exc).split())[:200]}",
            kind="throttled" if isinstance(exc, ClientError) else "connection",
            hint="try again later; what was sent is not sent again",
            key=path,
        ) from exc
    return True


def _send(s3: Any, named: dict[str, str], known: dict[int, Any], parts: Iterator[bytes]) -> list[dict[str, Any]]:
    """Send the missing parts, a few at once, and return the list that completes the upload."""
    done: list[dict[str, Any]] = []
    waiting: list[tuple[int, Future[Any]]] = []

    def gather() -> None:
        number, answer = waiting.pop(0)
        done.append({"PartNumber": number, "ETag": answer.result()["ETag"]})

    with Workers(_AT_ONCE, "lakefolio-upload") as workers:
        for number, body in enumerate(parts, 1):
            there = known.get(number)
            digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
            if there is not None and there["Size"] == len(body) and there["ETag"].strip('"') == digest:
                done.append({"PartNumber": number, "ETag": there["ETag"]})
                continue
            if len(waiting) >= _AT_ONCE:
                gather()
            send = partial(s3.upload_part, **named, PartNumber=number, Body=body)
            waiting.append((number, workers.submit(send)))
        while waiting:
            gather()
    return sorted(done, key=lambda part: int(part["PartNumber"]))


def _parts(content: Iterable[bytes | bytearray | memoryview], part_bytes: int) -> Iterator[bytes]:
    """Cut content into parts of exactly one size; the last may be smaller."""
    held = bytearray()
    for piece in content:
        held += piece
        while len(held) >= part_bytes:
            yield bytes(held[:part_bytes])
            del held[:part_bytes]
    if held:
        yield bytes(held)
