"""Any text as the name of an item, and back (pure: no I/O)."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final
from urllib.parse import quote, unquote

from lakefolio.format.names import JOINERS
from lakefolio.terminal import UNSEEN

__all__ = ["quoted", "quoted_path", "unquoted"]

_ODD: Final = re.compile(r'[:@\\"<>|?*%~\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff/]')
_LONGEST_BYTES: Final = 200


def quoted(name: str) -> str:
    """Return a name as one part of an item's name: a forbidden character becomes ``%40``, a long name is cut."""
    if unicodedata.normalize("NFC", name) != name:
        text = quote(name, safe=" ", errors="surrogatepass").replace("~", "%7E")
    else:
        text = _ODD.sub(lambda found: _escaped(found[0]), name)
        hidden = {one for one in text if unicodedata.category(one) == "Cf" or one in UNSEEN} - set(JOINERS)
        text = "".join(_escaped(one) if one in hidden else one for one in text)
    text = re.sub(rf"^[\s.{JOINERS}]+$|^\s+|\s+$", lambda found: _escaped(found[0]), text)
    if len(text.encode()) > _LONGEST_BYTES:
        head = text.encode()[: _LONGEST_BYTES - 24].decode(errors="ignore").rstrip("% .")
        text = f"{head}+{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:16]}"
    return text


def _escaped(text: str) -> str:
    return "".join(f"%{one:02X}" for one in text.encode(errors="surrogatepass"))


def quoted_path(path: str) -> str:
    """Return a path of an artifact as the name of an item."""
    return "/".join(quoted(part) for part in path.split("/") if part)


def unquoted(name: str) -> str:
    """Return the path of an artifact of an item's name."""
    return unquote(name)
