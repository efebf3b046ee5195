"""Secrets in recorded values: nested lists and mappings of texts and numbers (pure: no I/O)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from lakefolio.redaction.recognition import MASK, is_secret_name, scrub_shapes
from lakefolio.redaction.texts import scrub

__all__ = ["scrub_value"]

_LEAST_PIN: Final = 1000


def scrub_value(value: object, name: str = "", *, shapes_only: bool = False) -> object:
    """Return a value of plain containers and texts without secrets; what holds none comes back as it is.

    Args:
        value: A text, number, list, tuple or mapping, nested; anything else comes back as it is.
        name: What it is called: under the name of a secret every text in it is one.
        shapes_only: Whether names tell nothing, as in what people wrote themselves (:func:`scrub_shapes`).
    """
    if shapes_only:
        return _scrubbed(value, scrub_shapes, None)
    return _scrubbed(value, scrub, _secrecy(name))


def _secrecy(name: object) -> str:
    """Return what of a value under a name is secret: ``texts``, ``numbers`` too (of passwords), or nothing."""
    if not isinstance(name, str) or not is_secret_name(name):
        return ""
    return "numbers" if re.search(r"(?i)pass|pwd|secret$|^auth$|cred", name) else "texts"


_DEPTH_LIMIT: Final = 250


def _scrubbed(value: Any, clean: Callable[[str], str], secret: str | None, depth: int = 0) -> object:
    """Scrub texts by ``clean``, all that is ``secret`` whole; None says that keys of mappings tell nothing."""
    if depth > _DEPTH_LIMIT:
        return value  # or without an end: no text that is recorded nests so deep
    if isinstance(value, str):
        if secret:
            return MASK if value and not _is_special(value) else value
        text = clean(str(value))
        return value if text == value else text
    if isinstance(value, bytes | bytearray):
        return MASK if secret and value else value
    if type(value) is int:
        return MASK if secret == "numbers" and abs(value) >= _LEAST_PIN else value
    if isinstance(value, Mapping):
        found = {
            key: _scrubbed(one, clean, _secrecy(key) if secret == "" else secret, depth + 1)
            for key, one in value.items()
        }
        return value if all(found[key] is value[key] for key in found) else found
    if type(value) in (list, tuple):
        members = [_scrubbed(one, clean, secret, depth + 1) for one in value]
        return value if all(one is other for one, other in zip(members, value, strict=True)) else type(value)(members)
    return value


def _is_special(value: str) -> bool:
    """Say whether it is a special token of a language model: ``<pad>``, ``[CLS]``, ``</s>``."""
    return bool(re.fullmatch(r"<[^<>]{1,40}>|\[[A-Z_0-9]{1,40}\]", value))
