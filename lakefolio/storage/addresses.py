"""Addresses of stores as users write them, taken apart and normalised (pure: no I/O)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from lakefolio.errors import InvalidInputError, nearest
from lakefolio.process.places import absolute_path, printable

__all__ = ["Location", "check_host_part", "check_slashes", "parse_uri", "same_bucket"]

_SCHEMES: Final = {
    "file": "file",
    "s3": "s3",
    "s3a": "s3",
    "s3n": "s3",
    "gs": "gs",
    "gcs": "gs",
    "az": "az",
    "azure": "az",
    "abfs": "az",
    "abfss": "az",
    "adl": "az",
    "memory": "memory",
    "http": "http",
    "https": "http",
}
_ODD_SLASHES: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):((?!//(?!/))/*)(.*)", re.DOTALL)
_NO_COLON: Final = re.compile(r"([A-Za-z][A-Za-z0-9]*)//+")
_NO_WEB: Final = (
    "a lake lies in a folder or a bucket: write s3://bucket/prefix, and the address of an S3 server as "
    "storage_options={'aws_endpoint_url': 'https://…'} or AWS_ENDPOINT_URL"
)

_ACCOUNT_HINT: Final = "write abfss://container@account.dfs.core.windows.net/prefix"
_HOST: Final = re.compile(r"[A-Za-z0-9_$.-]{1,255}")
"""Of what a bucket, account or region may consist: the client puts it into the name of a host as it is."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where a URI points to.

    Attributes:
        scheme: ``file``, ``s3``, ``gs``, ``az``, ``memory`` or ``http``.
        bucket: The bucket, container or memory name; scheme and host for http; "" for files.
        prefix: The rest without slashes around it; the absolute path for files.
        account: The storage account, if the URI of an Azure container names it.
        query: What follows ``?`` in an http URL.
    """

    scheme: str
    bucket: str
    prefix: str
    account: str | None = None
    query: str = field(default="", repr=False)

    @property
    def uri(self) -> str:
        """The normalised address, without credentials."""
        if self.scheme == "file":
            return self.prefix
        root = self.bucket if self.scheme == "http" else f"{self.scheme}://{self.bucket}"
        return f"{root}/{self.prefix}" if self.prefix else root


def parse_uri(uri: str | Path, *, objects: bool = False) -> Location:
    """Take an address apart.

    Args:
        uri: A path (relative ones and ``~`` are resolved) or a URI.
        objects: Whether it names an object that is only read: http(s) is allowed, and keys may hold ``?``.

    Raises:
        InvalidInputError: kind ``bad-uri``; the message never repeats what may be a credential.
    """
    text = str(uri)
    scheme, separator, rest = text.partition("://")
    if not text.strip() or "\0" in text or "\n" in text:
        what = "holds control characters" if text.strip() else "is blank" if text else "is empty"
        raise _bad(uri, what, "write s3://bucket/prefix or ./lake")
    check_slashes(text, objects=objects)
    if not separator:
        place = absolute_path(text)
        if printable(place) != place:
            raise _bad(printable(place), "is not UTF-8", "rename the folder, or choose another")
        return Location("file", "", place)
    known = _SCHEMES.get(scheme.lower())
    if known is None or (known == "http" and not objects):
        shown = [f"{name}://" for name in _SCHEMES if _SCHEMES[name] != "http" or objects]
        hint = nearest(f"{scheme}://", shown) if known is None else _NO_WEB
        raise _bad(f"{scheme}://", "is of a kind that is not supported", hint)
    if known == "file":
        host, _, path = rest.partition("/")
        if host not in ("", "localhost"):
            raise _bad(text, "names another host", "write file:///path or a plain path")
        return Location("file", "", os.path.abspath("/" + unquote(path)))
    rest, mark, query = rest.partition("?") if known == "http" or not objects else (rest, "", "")
    if mark and known != "http":
        raise _bad(f"{scheme}://…?…", "holds a query", "give credentials as storage_options, not in the address")
    bucket, _, prefix = rest.partition("/")
    account = None
    if "@" in bucket:
        before, _, host = bucket.rpartition("@")
        if known != "az" or ":" in before:
            raise _bad(f"{scheme}://…@…", "holds credentials", "give them as storage_options or in the environment")
        if not _HOST.fullmatch(host):
            raise _bad(f"{scheme}://{before}@…", "names an account that can't be", _ACCOUNT_HINT)
        bucket, account = before, host.partition(".")[0]
    if known != "memory" and not bucket:
        raise _bad(text, "names no bucket", f"write {scheme.lower()}://bucket/prefix")
    if known in ("s3", "gs", "az") and not _HOST.fullmatch(bucket):
        raise _bad(f"{scheme}://{bucket}", "names a bucket that can't be", "use letters, digits, '-', '_' and '.'")
    segments = prefix.split("/")
    if ".." in segments or "." in segments:
        raise _bad(text.partition("?")[0], "climbs out of its prefix", "write it without . and ..")
    if known == "http":
        return Location("http", f"{scheme.lower()}://{bucket}", prefix.strip("/"), query=query)
    if objects:
        return Location(known, bucket, prefix, account)
    return Location(known, bucket, "/".join(part for part in segments if part), account)


def check_slashes(text: str, *, objects: bool = False) -> None:
    """Refuse an address whose scheme is not followed by a colon and two slashes; it would be taken for a local path.

    ``Path("s3://bucket/x")`` is one: a Path drops a slash.

    Raises:
        InvalidInputError: kind ``bad-uri``; the hint is the address as it is written right.
    """
    colonless = _NO_COLON.match(text)
    if colonless is not None and colonless[1].lower() in _SCHEMES:
        right = f"{colonless[1].lower()}://{text[colonless.end() :]}"
        raise _bad(f"{colonless[1]}//…" if "@" in text or "?" in text else text, "has no colon", f"write {right!r}")
    match = _ODD_SLASHES.fullmatch(text)
    known = match and _SCHEMES.get(match[1].lower())
    if match is None or known is None or (known == "file" and match[2].startswith("//")):
        return
    scheme, slashes, rest = match.groups()
    if known == "memory" and len(slashes) == 3:
        return
    right = f"{scheme.lower()}:{'///' if known == 'file' else '//'}{rest or 'bucket/prefix'}"
    hint = _NO_WEB if known == "http" and not objects else f"write {right!r}, as a text: a Path drops a slash"
    shown = f"{scheme}:{slashes}…" if "@" in rest or "?" in rest else text
    count = {0: "no slash", 1: "one slash"}.get(len(slashes), "too many slashes")
    raise _bad(shown, f"has {count} after {scheme + ':'!r}", hint)


def _bad(uri: str | Path, what: str, hint: str | None = None) -> InvalidInputError:
    return InvalidInputError(f"address {str(uri)[:200]!r} {what}", kind="bad-uri", hint=hint, uri=str(uri)[:200])


def check_host_part(option: str, value: str) -> None:
    """Refuse a region or account that would lead requests to another host.

    Raises:
        InvalidInputError: kind ``bad-option``.
    """
    if not _HOST.fullmatch(value):
        raise InvalidInputError(
            f"option {option} is {value[:60]!r}, which is no name of a region or account",
            kind="bad-option",
            hint="use letters, digits and '-'",
            option=option,
        )


def same_bucket(uri: str, other: str) -> bool:
    """Say whether two addresses lie in one bucket, container or memory; local files and web servers never do."""
    try:
        one, two = parse_uri(uri, objects=True), parse_uri(other)
    except InvalidInputError:
        return False
    if one.scheme in ("file", "http"):
        return False
    return (one.scheme, one.bucket, one.account) == (two.scheme, two.bucket, two.account)
