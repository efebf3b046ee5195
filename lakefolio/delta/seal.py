"""Seals: the digest of an object of a table with its lake, its table and its name (FORMAT.md, "Seals"; pure: no I/O).

A seal is not a signature: it detects damage, and another object in place of this one. The name of a log entry, a
checkpoint or a data file begins with its version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lakefolio.format.checked_json import mapped
from lakefolio.format.layout import log_name

__all__ = ["Seals"]

_START: Final = b'{"commitInfo":{"lakefolio":{"seal":"'
_ZEROS: Final = "0" * 64
_END: Final = len(_START) + len(_ZEROS)
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)  # json.dumps makes one at each call


@dataclass(frozen=True, slots=True)
class Seals:
    """The seals of one table of one lake."""

    lake_id: str
    table: str

    def of(self, name: str, sha256: str) -> str:
        """Return the seal of an object.

        Args:
            name: Its name in the table: the path of a data file, or that of a log entry or checkpoint in its folder.
            sha256: The SHA-256 of its bytes, in hex.
        """
        return hashlib.sha256(f"lakefolio 2\n{self.lake_id}\n{self.table}\n{name}\n{sha256}\n".encode()).hexdigest()

    def of_bytes(self, name: str, body: bytes | memoryview) -> str:
        """Return the seal of an object whose bytes are in memory."""
        return self.of(name, hashlib.sha256(body).hexdigest())

    def entry(
        self,
        version: int,
        info: Mapping[str, object],
        ours: Mapping[str, object],
        actions: Sequence[Mapping[str, object]],
    ) -> bytes:
        """Return a log entry that holds its own seal, taken with zeros in the seal's place.

        Args:
            version: The version it creates.
            info: The ``commitInfo``, for every reader.
            ours: What lakefolio notes in it.
            actions: The other actions.
        """
        first = {"commitInfo": {"lakefolio": {"seal": _ZEROS, **ours}, **info}}
        lines = [_ENCODER.encode(action) for action in (first, *actions)]
        body = ("\n".join(lines) + "\n").encode()
        seal = self.of_bytes(log_name(version), body)
        return b"".join((body[: len(_START)], seal.encode(), body[_END:]))

    def is_sealed(self, version: int, body: bytes) -> bool:
        """Say whether a log entry is sealed; False for an entry that another tool wrote.

        Raises:
            ValueError: If it is damaged, of another lake, table or version, or no log entry.
        """
        if body.startswith(_START):
            written = body[len(_START) : _END]
            found = self.of_bytes(log_name(version), body[: len(_START)] + _ZEROS.encode() + body[_END:])
            if found.encode() != written:
                raise ValueError(f"it has the seal {found[:16]}…, expected {written[:16].decode('latin1')}…")
            return True
        actions = [mapped(json.loads(line)) for line in body.splitlines()]
        infos = [mapped(action["commitInfo"]) for action in actions if "commitInfo" in action]
        if not infos:
            raise ValueError("it is no log entry")
        if any("lakefolio" in info or info.get("engineInfo") == "lakefolio" for info in infos):
            raise ValueError("its seal is missing")
        return False
