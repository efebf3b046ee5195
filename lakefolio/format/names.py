"""Names and references: ``[folio:]name[@version-or-snapshot]``, everywhere a user names an item (pure: no I/O).

Names are checked once, on their way in. They must be usable as a path, a file name and a word in a terminal, on every
system and for ever (FORMAT.md, "Names").
"""

from __future__ import annotations

import os
import re
import time
import unicodedata
from dataclasses import dataclass
from typing import Final

from lakefolio.errors import InvalidInputError, StorageError
from lakefolio.format.times import is_time
from lakefolio.terminal import UNSEEN, has_surrogate

__all__ = [
    "JOINERS",
    "OWN_FOLIOS",
    "RECORD_FOLIOS",
    "ItemRef",
    "check_folio",
    "check_item",
    "check_run_id",
    "check_snapshot",
    "hidden_character",
    "is_id",
    "is_own_folio",
    "is_uri",
    "new_id",
    "parse_ref",
    "short_id",
]

NAME_LIMIT_BYTES = 255
FOLIO_LIMIT_BYTES = 512
OWN_FOLIOS: Final = r"(?:runs|mlflow)/.*|inputs|environments|code|imports|registry"
"""The folios that the library keeps for itself, as a pattern of a whole name that Python and DuckDB read alike."""
RECORD_FOLIOS: Final = ("code", "environments")
"""Those of them that hold nothing but what runs note of themselves; no question finds it unless it names the folio."""
_OWN_FOLIO = re.compile(OWN_FOLIOS, re.DOTALL)
_MADE_ID = re.compile(r"[0-9a-f]{32}")
_SIMPLE = re.compile(r"[A-Za-z0-9_-]+(?:[./ ][A-Za-z0-9_-]+)*")
JOINERS: Final = "\u200c\u200d"
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.+", re.DOTALL)


def is_own_folio(name: str) -> bool:
    """Say whether the library keeps a folio for itself; listings leave it out unless the user asks for it."""
    return _OWN_FOLIO.fullmatch(name) is not None


def hidden_character(name: str) -> str | None:
    """Return in words which character of a name nobody sees (a control, a line separator, a direction), or None.

    Two names that look alike would be two names. The joiners that words of some scripts need are no such characters,
    beside others that are seen.
    """
    kinds = [unicodedata.category(one) for one in name if one not in JOINERS]
    if any(one in ("Cc", "Zl", "Zp") for one in kinds):
        return "a control character"
    if (
        "Cf" in kinds
        or not UNSEEN.isdisjoint(name)
        or any(part and not part.strip(JOINERS) for part in name.split("/"))
    ):
        return "an invisible character"
    return None


@dataclass(frozen=True, slots=True)
class ItemRef:
    """A parsed reference.

    Attributes:
        folio: The folio, or None for the one at hand.
        item: The name of the item.
        at: A version number, or the name of a snapshot or a time as written, or None for the head.
    """

    folio: str | None
    item: str
    at: int | str | None = None


def _check(name: object, what: str, limit: int) -> str:
    if isinstance(name, str) and len(name) <= limit and _SIMPLE.fullmatch(name):
        return name
    problem = None
    if not isinstance(name, str):
        problem = f"is of type {type(name).__name__}, expected str"
    elif not name:
        problem = "is empty"
    elif has_surrogate(name):
        problem = "holds a lone surrogate, which no UTF-8 text can"
    elif hidden := hidden_character(name):
        problem = f"holds {hidden}"
    elif unicodedata.normalize("NFC", name) != name:
        problem = "is not in Unicode normal form NFC"
    elif len(name.encode()) > limit:
        problem = f"has {len(name.encode())} bytes, at most {limit} are allowed"
    elif any(part != part.strip() for part in name.split("/")):
        problem = "has white space at an end"
    elif name.startswith(("/", "\\", "~")) or re.match(r"[A-Za-z]:[\\/]", name):
        problem = "is an absolute path"
    elif any(part in ("", ".", "..") for part in name.replace("\\", "/").split("/")):
        problem = "has an empty, '.' or '..' part"
    else:
        bad = [one for one in ':@\\"<>|?*' if one in name]
        if bad:
            problem = f"holds {bad[0]!r}"
    if problem is None:
        return str(name)
    shown = repr(name) if len(repr(name)) <= 80 else repr(name)[:77] + "…"
    raise InvalidInputError(
        f"{what} name {shown} {problem}",
        kind="bad-name",
        hint="use letters, digits, '-', '_', '.', spaces inside, and '/' between parts",
        name=name,
    )


def check_item(name: object) -> str:
    """Return ``name`` if an item may be called so; raise InvalidInputError (kind ``bad-name``) otherwise."""
    return _check(name, "item", NAME_LIMIT_BYTES)


def check_folio(name: object) -> str:
    """Return ``name`` if a folio may be called so; raise InvalidInputError (kind ``bad-name``) otherwise."""
    return _check(name, "folio", FOLIO_LIMIT_BYTES)


def check_run_id(name: object) -> str:
    """Return ``name`` if a run may have this id: as an item's name, without ``/``."""
    checked = _check(name, "run", NAME_LIMIT_BYTES)
    if "/" in checked:
        raise InvalidInputError(
            f"run name {checked!r} holds '/'", kind="bad-name", hint="use '-' or '_' instead", name=checked
        )
    return checked


def check_snapshot(name: object) -> str:
    """Return ``name`` if a snapshot may be called so: as an item, and not to be taken for a version or a time.

    Nor for a version of an item: its number ``#3``, its label ``1.2.0``, a range such as ``^1.2``, or ``latest``.
    """
    from lakefolio.format.semver import is_range, is_semver

    checked = _check(name, "snapshot", NAME_LIMIT_BYTES)
    if is_semver(checked) or is_range(checked) or re.fullmatch(r"#\d+|latest", checked):
        raise InvalidInputError(
            f"snapshot name {checked!r} could be taken for a version of an item",
            kind="bad-name",
            hint=f"put a word before it, such as 'release {checked.lstrip('#^~<>=')}'",
            name=checked,
        )
    if re.fullmatch(r"-?\d+", checked) or is_time(checked):
        raise InvalidInputError(
            f"snapshot name {checked!r} could be taken for a version or a time",
            kind="bad-name",
            hint=f"put a word before it, such as 'paper {checked.lstrip('-')}'",
            name=checked,
        )
    return checked


def is_uri(text: str) -> bool:
    """Say whether ``text`` is an absolute URI (``scheme://…``) or an absolute path: an external input."""
    return bool(_URI.fullmatch(text)) or text.startswith("/")


def parse_ref(text: str, *, folio: str | None = None) -> ItemRef:
    """Parse ``[folio:]name[@version-or-snapshot]``.

    Args:
        text: What the user wrote.
        folio: The folio to assume if the reference names none.

    Raises:
        InvalidInputError: If a part of it can't be a name.
    """
    if not isinstance(text, str):
        raise InvalidInputError(
            f"item reference {text!r} is of type {type(text).__name__}, expected str",
            kind="bad-ref",
            hint="write folio:name, or folio:name@version",
            ref=text,
        )
    if "://" in text:
        raise InvalidInputError(
            f"item reference {text!r} is an address",
            kind="bad-ref",
            hint="write folio:name, or folio:name@version; reference_table(name, address) registers an address",
            ref=text,
        )
    body, mark, at = text.rpartition("@")
    if not mark:
        body, at = text, ""
    elif not at:
        raise InvalidInputError(
            f"item reference {text!r} ends with '@'",
            kind="bad-ref",
            hint="name a version or snapshot after it",
            ref=text,
        )
    if body.endswith("@"):
        raise InvalidInputError(
            f"item reference {text!r} has two '@'",
            kind="bad-ref",
            hint=f"write {body.rstrip('@')}@{at}; after '@' stands a version of the lake, a snapshot, or of the item a"
            " number (#3), a label or an alias",
            ref=text,
        )
    head, mark, item = body.rpartition(":")
    named = check_folio(head) if mark else folio
    return ItemRef(named, check_item(item), int(at) if at.isdecimal() and len(at) < 19 else at or None)


def new_id() -> str:
    """Return a fresh identifier: 32 hex digits, 12 of them milliseconds since 1970, so that ids sort by time.

    Raises:
        StorageError: kind ``bad-clock``, if the clock of this machine says that it is before 1970.
    """
    millis = int(time.time() * 1000)
    if not 0 <= millis < 1 << 48:
        raise StorageError(
            f"the clock of this machine is {abs(millis) / 3.15576e10:,.0f} years "
            + ("before" if millis < 0 else "after")
            + " 1970, which no commit can be dated",
            kind="bad-clock",
            hint="set the clock",
        )
    return f"{millis:012x}{os.urandom(10).hex()}"


def is_id(text: str) -> bool:
    """Say whether a text has the form of an identifier that :func:`new_id` makes."""
    return _MADE_ID.fullmatch(text) is not None


def short_id(run_id: str) -> str:
    """Return the end of an id that this library made, the whole of one that its user chose; either names the run."""
    return run_id[-8:] if is_id(run_id) else run_id
