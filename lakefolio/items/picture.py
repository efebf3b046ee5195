"""A picture that shows itself: the bytes of a PNG or SVG, or a figure's specification, as they lie in the lake."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lakefolio.errors import AlreadyExistsError, IntegrityError, StorageError
from lakefolio.process.local_files import outside_lakes
from lakefolio.render.text import counted
from lakefolio.terminal import visible

__all__ = ["MAX_PIXELS", "Picture", "checked_png"]

MAX_PIXELS: Final = 178_956_970
"""The largest picture in pixels: where Pillow's own bound stands."""

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_MOST_PACKED: Final = 1032
"""Maximum number of bytes that DEFLATE makes of one byte."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure that was added, as a picture. It shows itself in a notebook; ``save`` writes it to a file.

    Attributes:
        data: The bytes of the content.
        media_type: ``image/png``, ``image/svg+xml``, or that of a figure's specification.
        details: Facts about the figure: library, size in pixels, title and axes. It comes from the lake.
    """

    data: bytes
    media_type: str
    details: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        size = f" {self.details.get('width')}x{self.details.get('height')}" if "width" in self.details else ""
        title = self.details.get("title")
        said = f" {str(title)[:60]!r}" if title else ""
        return visible(f"<Picture {self.media_type}{size}, {counted(len(self.data), 'byte')}{said}>")

    def _repr_png_(self) -> bytes | None:
        return self.data if self.media_type == "image/png" else None

    def _repr_html_(self) -> str | None:
        """Show an SVG as an image: inserted as markup, it could run scripts and restyle the page."""
        return self.to_html() if self.media_type == "image/svg+xml" else None

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        """Give a notebook a specification that it can draw itself (plotly, Vega-Lite)."""
        if self.media_type.startswith("image/"):
            return {}
        return {self.media_type: json.loads(self.data), "text/plain": repr(self)}

    def to_html(self) -> str:
        """Return an ``<img>`` element that holds the picture; one line of text for a specification.

        An SVG in an ``<img>`` runs no script and loads nothing.
        """
        if not self.media_type.startswith("image/"):
            return f"<p>{html.escape(repr(self))}</p>"
        text = str(self.details.get("title") or "figure")
        body = base64.b64encode(self.data).decode()
        return (
            f'<img alt="{html.escape(text)}" style="max-width:100%" '
            f'src="data:{html.escape(self.media_type)};base64,{body}">'
        )

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the bytes to a file and return its path.

        Raises:
            AlreadyExistsError: The file exists and ``overwrite`` is False.
            StorageError: It can't be written.
        """
        target = Path(path).expanduser()
        outside_lakes(target)
        try:
            with target.open("wb" if overwrite else "xb") as file:
                file.write(self.data)
        except FileExistsError:
            raise AlreadyExistsError(
                f"{str(target)!r} exists already", hint="pass overwrite=True, or choose another name"
            ) from None
        except OSError as exc:
            raise StorageError(f"{str(target)!r} can't be written: {exc}", hint="check the folder") from exc
        return target


def checked_png(content: memoryview | bytes) -> tuple[int, int]:
    """Return width and height that a PNG's header gives, before anything is decoded.

    Raises:
        IntegrityError: It is no PNG, has more than ``MAX_PIXELS``, or more than its bytes can hold.
    """
    head = bytes(content[:33])
    if len(head) < 33 or head[:8] != _SIGNATURE or head[12:16] != b"IHDR":
        raise IntegrityError("the content is no PNG", kind="bad-content")
    width, height, depth, colour = struct.unpack(">IIBB", head[16:26])
    pixels = width * height
    row_bytes = (width * depth * _CHANNELS.get(colour, 4) + 7) // 8
    if not 0 < pixels <= MAX_PIXELS or row_bytes * height > len(content) * _MOST_PACKED:
        raise IntegrityError(
            f"the content says that it is a picture of {width} x {height} pixels, which its {len(content)} bytes "
            f"can't be or lakefolio does not read",
            kind="bad-content",
        )
    return width, height


_SVG_SIZE: Final = re.compile(
    rb"<svg\b[^>]*?\b(width|height)=\"([0-9.]+)(pt|px)?\"[^>]*?\b(?:width|height)=\"([0-9.]+)"
)


def svg_size(content: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels that an SVG's root element gives, or None."""
    found = _SVG_SIZE.search(content[:4096])
    if found is None:
        return None
    scale = 96 / 72 if found[3] == b"pt" else 1.0
    one, other = round(float(found[2]) * scale), round(float(found[4]) * scale)
    return (one, other) if found[1] == b"width" else (other, one)
