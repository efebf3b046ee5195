"""The description of a published folio as a whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from lakefolio.errors import InvalidInputError
from lakefolio.interop.publishing.files import PublishedFile
from lakefolio.runs.record import RunManifest

__all__ = ["Author", "Description", "license_address"]

_SPDX: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_ADDRESS: Final = re.compile(r"""[A-Za-z][A-Za-z0-9+.-]*:[^\s<>"{}|\\^`]+""")  # RFC 3987; others are dropped by readers


@dataclass(frozen=True, slots=True)
class Author:
    """A person who made a folio.

    Attributes:
        name: The name.
        affiliation: The organisation that the person belongs to, if that was said.
    """

    name: str
    affiliation: str | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """The facts about a folio that both forms contain.

    Attributes:
        name: Its title.
        description: A sentence or more about it.
        license: Address of its licence.
        authors: People.
        publisher: The organisation that publishes it, if that was said.
        url: Where it can be found, or else a name for it.
        version: The version of the lake, ``17``.
        published_at: When that version was committed.
        files: Its files.
        runs: The runs that made them.
    """

    name: str
    description: str
    license: str
    authors: Sequence[Author]
    publisher: str | None
    url: str
    version: int
    published_at: datetime
    files: Sequence[PublishedFile]
    runs: Sequence[RunManifest]


def license_address(text: str, folio: str) -> str:
    """Return the address of a licence that is given as one, or as its SPDX identifier.

    Raises:
        InvalidInputError: kind ``bad-license``: it is neither.
    """
    if _SPDX.fullmatch(text):
        return f"https://spdx.org/licenses/{text}"
    if not _ADDRESS.fullmatch(text):
        raise InvalidInputError(
            f"the licence of folio {folio!r}, {text!r:.80}, is neither an SPDX identifier nor an address",
            kind="bad-license",
            hint="write one identifier, such as CC-BY-4.0, or where its text lies: https://example.org/terms",
            folio=folio,
        )
    return text
