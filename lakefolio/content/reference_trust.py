"""Which references a reader follows: not every address that a lake names (FORMAT.md, "References").

A row can name any file of the reader's, any address inside of its network, any bucket that its credentials reach. So a
reference is followed only if it lies in the lake's own bucket, below a prefix that the reader trusts, or was registered
by this user on this host. The last is proved by a signature in the row, made with a key in the user's configuration
folder: nothing grows with the number of references, and it holds in every process of that user.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from lakefolio.errors import InvalidInputError, one_line
from lakefolio.process.places import user_folder
from lakefolio.storage import same_bucket

__all__ = ["SIGNATURE", "ReferenceTrust", "trusted_prefixes"]

SIGNATURE: Final = "registered_by"
"""The key in ``details`` under which the signature lies."""

_VARIABLE: Final = "LAKEFOLIO_TRUST_REFERENCES"
_FILE: Final = "trust_references"
_KEY_FILE: Final = "reference-key"
_KEY_BYTES: Final = 32


class ReferenceTrust:
    """The rules by which one reader of one lake follows references. Immutable."""

    def __init__(self, lake_id: str, lake_uri: str, prefixes: tuple[str, ...]) -> None:
        """Trust addresses below ``prefixes``, absolute paths and URIs."""
        self._lake_id = lake_id
        self._lake_uri = lake_uri
        self.prefixes = prefixes

    def follows(self, uri: str, signature: object) -> bool:
        """Say whether to follow a reference.

        Args:
            uri: Its address, absolute and without links.
            signature: What its row says under ``SIGNATURE``.
        """
        if _climbs(uri):
            return False
        if same_bucket(uri, self._lake_uri) or any(_covers(prefix, uri) for prefix in self.prefixes):
            return True
        return isinstance(signature, str) and hmac.compare_digest(
            signature.encode(errors="surrogatepass"), self.sign(uri).encode()
        )

    def sign(self, uri: str) -> str:
        """Return a signature by which this user, on this host, recognises an address registered in this lake."""
        content = json.dumps([self._lake_id, uri]).encode(errors="surrogatepass")
        return hmac.new(_key(), content, hashlib.sha256).hexdigest()


def trusted_prefixes(given: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return the prefixes that a reader trusts: the given ones, else those of the environment and the user's own file.

    A file found by searching folders is never asked: somebody else may have written it.

    Raises:
        InvalidInputError: kind ``bad-option``: they are no list of absolute paths and URIs.
    """
    if given is not None:
        found = [given] if isinstance(given, str | Path) else list(given) if isinstance(given, Iterable) else [given]
    else:
        found = os.environ.get(_VARIABLE, "").split(",")
        folder = user_folder("XDG_CONFIG_HOME", ".config")
        with contextlib.suppress(OSError, UnicodeDecodeError):
            found += [] if folder is None else (folder / "lakefolio" / _FILE).read_text(encoding="utf-8").splitlines()
    prefixes = []
    for one in found:
        text = str(one).strip() if isinstance(one, str | Path) else ""
        if isinstance(one, str) and not text and given is None:
            continue
        text = os.path.expanduser(text.removeprefix("file://"))
        if not (text.startswith("/") or os.path.isabs(text) or "://" in text):
            raise InvalidInputError(
                f"trust_references names {one!r}, expected absolute paths and URIs",
                kind="bad-option",
                hint='write trust_references=["/data", "s3://bucket/prefix"]',
                option="trust_references",
            )
        try:
            prefixes.append(text if "://" in text else os.path.realpath(text))
        except ValueError as exc:  # a NUL, or half a character
            raise InvalidInputError(
                f"trust_references has {one_line(text, 60)!r}, which is no path", kind="bad-option"
            ) from exc
    return tuple(prefixes)


def _climbs(uri: str) -> bool:
    """Say whether an address has a part ``..``, however often it is percent-encoded, or holds a NUL."""
    text = uri
    while True:
        if "\0" in text or any(one.partition(";")[0] == ".." for one in text.replace("\\", "/").split("/")):
            return True
        plain = unquote(text)
        if plain == text:
            return False
        text = plain


def _covers(prefix: str, uri: str) -> bool:
    if prefix == uri or prefix == uri + "/":
        return True
    return uri.startswith(prefix if prefix.endswith("/") else prefix + "/")


def _key() -> bytes:
    """Return this user's key; for a user without a folder for it, one that lives as long as the process."""
    folder = user_folder("XDG_CONFIG_HOME", ".config")
    if folder is None:
        return _process_key()
    path = folder / "lakefolio" / _KEY_FILE
    try:
        found = _read(path)
        if found is None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _create(path)
            found = _read(path)
    except OSError:
        found = None
    return _process_key() if found is None else found


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            owner = os.fstat(file.fileno()).st_uid
            content = file.read(_KEY_BYTES)
    except FileNotFoundError:
        return None
    mine = not hasattr(os, "getuid") or owner == os.getuid()
    return content if mine and len(content) == _KEY_BYTES else None


def _create(path: Path) -> None:
    """Create the file whole, unless another process has."""
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        os.unlink(temporary)


@cache
def _process_key() -> bytes:
    return secrets.token_bytes(_KEY_BYTES)
