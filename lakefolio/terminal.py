"""What a terminal, a notebook or a page is shown of texts that others wrote (pure: no I/O).

A lake is not trusted, and neither are names, messages and cells in it: a control character could move the cursor, set
the clipboard (OSC 52) or restyle the terminal, and an invisible or direction-changing one could make a text look like
another. They are written out as escapes, the same everywhere.
"""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["visible", "visible_json"]

_UNSEEN: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
"""Letters and marks that show nothing; Unicode lists them as default ignorable."""


def _hidden(one: str) -> bool:
    return one in _UNSEEN or (not one.isprintable() and unicodedata.category(one) != "Zs")


def visible(text: str, *, keep: str = "\n\t") -> str:
    """Return ``text`` with every character that does something or shows nothing written out, such as ``ESC``.

    Control characters (C0, C1, DEL), marks of direction, zero-width and other invisible characters, lone surrogates and
    unassigned code points. Spaces of any width stay.

    Args:
        text: What somebody wrote.
        keep: Control characters that stay.
    """
    if text.isprintable() and _UNSEEN.isdisjoint(text):
        return text
    return "".join(_escaped(one) if one not in keep and _hidden(one) else one for one in text)


def visible_json(document: str) -> str:
    """Return a JSON document with the same characters as JSON escapes; it means the same."""
    if document.isascii() and "\x7f" not in document:
        return document
    return "".join(_json_escaped(one) if one != "\n" and _hidden(one) else one for one in document)


def _escaped(one: str) -> str:
    code = ord(one)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escaped(one: str) -> str:
    code = ord(one)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
