"""Kind ``figure``: figures of matplotlib, plotly and altair, and images of Pillow (FORMAT.md, "Kind figure").

A matplotlib figure is drawn, as PNG or SVG, and comes back as a :class:`Picture`: its Python objects can't be stored
without pickle. A Pillow image is stored as PNG, without loss. A plotly or altair figure is its own specification in
JSON, which its library turns into the figure again, and a notebook draws without the library. The bytes hold no date:
the same figure is the same content.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from lakefolio.errors import IntegrityError, InvalidInputError, UnsupportedTypeError
from lakefolio.items.handler import Buffers, Encoded, Source, unexpected
from lakefolio.items.optional_imports import need
from lakefolio.items.picture import MAX_PIXELS, Picture, checked_png, svg_size
from lakefolio.process.imports import imported
from lakefolio.redaction import scrub

__all__ = ["FigureHandler"]

_PNG: Final = "image/png"
_SVG: Final = "image/svg+xml"
_PLOTLY: Final = "application/vnd.plotly.v1+json"
_VEGA_LITE: Final = re.compile(r"application/vnd\.vegalite\.v[0-9]{1,2}\+json")
_AS: Final = (None, "picture", "bytes", "pil", "spec")
_LONGEST_LABEL: Final = 200
_MOST_AXES: Final = 16


class FigureHandler:
    """Stores figures and images; see the module."""

    kind: ClassVar[str] = "figure"
    uses_scratch: ClassVar[bool] = False

    def accepts(self, obj: object) -> bool:
        """Say whether ``obj`` is a figure of a library that is imported, or a picture that was got from a lake."""
        return _library_of(obj) is not None

    def encode(self, obj: Any, *, scratch: Path, format: str | None = None, dpi: float | None = None) -> Encoded:
        """Draw a figure, or write its specification; the figure is not changed.

        Args:
            obj: The figure, the axes of one, or an image.
            scratch: Not used.
            format: ``png`` or ``svg``, of a matplotlib figure; PNG if None.
            dpi: Pixels per inch of a matplotlib figure; its own if None.

        Raises:
            UnsupportedTypeError: It is no figure, or an image that PNG can't hold (CMYK, floats, animations).
            InvalidInputError: It can't be drawn, or ``format`` is another one.
        """
        library = _library_of(obj)
        if library != "matplotlib" and (format is not None or dpi is not None):
            raise InvalidInputError(
                "format and dpi are for figures of matplotlib", kind="bad-option", hint="leave them out"
            )
        match library:
            case "matplotlib":
                return _matplotlib(obj, format or "png", dpi)
            case "plotly":
                return _plotly(obj)
            case "altair":
                return _altair(obj)
            case "pillow":
                return _pillow(obj)
            case "lakefolio":
                return _encoded(obj.data, obj.media_type, dict(obj.details))
        raise unexpected(obj, "a figure", "use add, which stores it as it is")

    def decode(self, source: Source, details: Mapping[str, object], *, as_: str | None = None) -> Any:
        """Return the figure: an image as an image, plotly and altair as theirs, all else as a picture.

        Args:
            source: The content.
            details: Its ``media_type`` is the type of the content.
            as_: ``picture``; ``bytes``; ``pil`` for an image of Pillow (of PNG); ``spec`` for the specification as a
                dict. By default what was added if its library is installed, else a picture.

        Raises:
            IntegrityError: The content is not of its media type, or larger than its bytes can be.
        """
        if as_ not in _AS:
            raise InvalidInputError(f"as_ is {as_!r}, expected 'picture', 'bytes', 'pil' or 'spec'", kind="bad-option")
        content = source.read()
        media_type = details.get("media_type")
        if as_ == "bytes":
            return bytes(content)
        if media_type == _PNG:
            checked_png(content)
            if as_ == "spec":
                raise _no_spec()
            if as_ == "pil" or (as_ is None and details.get("library") == "pillow" and _installed("PIL")):
                return _image(content)
            return Picture(bytes(content), _PNG, dict(details))
        if media_type == _SVG:
            if as_ in ("spec", "pil"):
                raise _no_spec() if as_ == "spec" else _no_pixels()
            return Picture(bytes(content), _SVG, dict(details))
        if media_type == _PLOTLY or _VEGA_LITE.fullmatch(str(media_type)):
            spec = _spec(content)
            if as_ == "spec":
                return spec
            if as_ == "pil":
                raise _no_pixels()
            name = "plotly" if media_type == _PLOTLY else "altair"
            if as_ == "picture" or not _installed(name):
                return Picture(bytes(content), str(media_type), dict(details))
            return _rebuilt(name, spec)
        raise IntegrityError(f"the content is a figure of the unknown type {media_type!r}", kind="bad-content")


# -- its library -----------------------------------------------------------------------------------------------


def _library_of(obj: object) -> str | None:
    if isinstance(obj, Picture):
        return "lakefolio"
    for module, names, library in (
        ("matplotlib.figure", ("Figure",), "matplotlib"),
        ("matplotlib.axes", ("Axes",), "matplotlib"),
        ("plotly.basedatatypes", ("BaseFigure",), "plotly"),
        ("altair", ("TopLevelMixin",), "altair"),
        ("PIL.Image", ("Image",), "pillow"),
    ):
        loaded = imported(module)
        if loaded is not None and isinstance(obj, tuple(_classes(loaded, names))):
            return library
    return None


def _classes(module: object, names: tuple[str, ...]) -> Iterator[type]:
    for name in names:
        found = getattr(module, name, None)
        if isinstance(found, type):
            yield found


def _installed(name: str) -> bool:
    from importlib.util import find_spec

    return imported(name) is not None or find_spec(name) is not None


def _encoded(content: bytes, media_type: str, details: dict[str, Any]) -> Encoded:
    formats = {_PNG: "png", _SVG: "svg"}
    known = {key: value for key, value in details.items() if value not in (None, "", [])}
    return Encoded(
        kind=FigureHandler.kind,
        format=formats.get(media_type, "json"),
        media_type=media_type,
        payload=Buffers((content,)),
        details={**known, "media_type": media_type},
        description=_described(known),
    )


def _described(details: Mapping[str, Any]) -> str | None:
    """Return title and axes of a figure as the description of a figure that has none."""
    axes = [one for one in details.get("axes", ()) if isinstance(one, dict)]
    said = details.get("title") or next((one["title"] for one in axes if one.get("title")), None)
    labels = [f"{one['y']} against {one['x']}" for one in axes if one.get("x") and one.get("y")]
    parts = [str(said)] if said else []
    if labels and labels[0] != said:
        parts.append("; ".join(dict.fromkeys(labels)))
    return ": ".join(parts)[: 2 * _LONGEST_LABEL] or None


def _label(text: object) -> str | None:
    line = " ".join(str(text or "").split())
    return str(scrub(line))[:_LONGEST_LABEL] or None


# -- how each library's become bytes ------------------------------------------------------------------------------


def _matplotlib(obj: Any, format: str, dpi: float | None) -> Encoded:
    if format not in ("png", "svg"):
        raise InvalidInputError(
            f"format is {format!r}, expected 'png' or 'svg'",
            kind="bad-option",
            hint="other formats: save the figure to a file and add its Path",
        )
    matplotlib = need("matplotlib", "a figure")
    figure = obj if hasattr(obj, "savefig") else obj.get_figure(root=True)
    if figure is None:
        raise InvalidInputError("the axes belong to no figure", kind="bad-figure", hint="add the figure")
    buffer = io.BytesIO()
    metadata = {"Software": None} if format == "png" else {"Date": None, "Creator": None}
    try:
        with matplotlib.rc_context({"svg.hashsalt": "lakefolio"}):
            figure.savefig(buffer, format=format, metadata=metadata, dpi="figure" if dpi is None else dpi)
    except Exception as exc:  # drawing runs code of the figure's artists
        raise InvalidInputError(
            f"the figure can't be drawn: {type(exc).__name__}: {exc}", kind="bad-figure", hint="does savefig draw it?"
        ) from exc
    content = buffer.getvalue()
    size = checked_png(content) if format == "png" else svg_size(content)
    axes = [
        {
            key: text
            for key, text in (
                ("title", _label(one.get_title())),
                ("x", _label(one.get_xlabel())),
                ("y", _label(one.get_ylabel())),
            )
            if text
        }
        for one in figure.axes[:_MOST_AXES]
    ]
    heading = getattr(figure, "get_suptitle", lambda: "")()
    details = {"title": _label(heading), "axes": [one for one in axes if one], **_size(size)}
    return _encoded(content, _PNG if format == "png" else _SVG, _made_by(matplotlib, "matplotlib") | details)


def _plotly(obj: Any) -> Encoded:
    try:
        spec = json.loads(obj.to_json())
    except Exception as exc:  # values of any kind may stand in a figure
        raise InvalidInputError(
            f"the figure can't be written as JSON: {type(exc).__name__}: {exc}", kind="bad-figure", hint="does to_json?"
        ) from exc
    layout = spec.get("layout") or {}

    def said(place: Any) -> str | None:
        title = (place or {}).get("title")
        return _label(title.get("text") if isinstance(title, dict) else title)

    axis = {key: text for key, text in (("x", said(layout.get("xaxis"))), ("y", said(layout.get("yaxis")))) if text}
    details = {"title": said(layout), "axes": [axis] if axis else []}
    width, height = layout.get("width"), layout.get("height")
    if isinstance(width, int | float) and isinstance(height, int | float):
        details |= _size((round(width), round(height)))
    return _encoded(_canonical(spec), _PLOTLY, _made_by(need("plotly", "a figure"), "plotly") | details)


def _altair(obj: Any) -> Encoded:
    altair = need("altair", "a chart")
    try:
        spec = obj.to_dict()
    except Exception as exc:  # altair validates here, and counts rows
        rows = type(exc).__name__ == "MaxRowsError"
        hint = "altair.data_transformers.disable_max_rows() lifts its limit" if rows else "does to_json?"
        raise InvalidInputError(
            f"the chart can't be written as JSON: {type(exc).__name__}: {exc}", kind="bad-figure", hint=hint
        ) from exc
    version = re.search(r"/v(\d+)", str(spec.get("$schema", "")))
    media_type = f"application/vnd.vegalite.v{version[1] if version else 5}+json"
    title = spec.get("title")
    encoding = spec.get("encoding") or {}

    def said(channel: str) -> str | None:
        one = encoding.get(channel)
        return _label(one.get("title") or one.get("field")) if isinstance(one, dict) else None

    axis = {key: text for key, text in (("x", said("x")), ("y", said("y"))) if text}
    named = _label(title.get("text") if isinstance(title, dict) else title)
    details: dict[str, Any] = {"title": named, "axes": [axis] if axis else []}
    return _encoded(_canonical(spec), media_type, _made_by(altair, "altair") | details)


def _pillow(image: Any) -> Encoded:
    if getattr(image, "n_frames", 1) > 1:
        raise UnsupportedTypeError(
            "an image of several frames can't be stored as one picture", hint="add the Path of its file"
        )
    if image.width * image.height > MAX_PIXELS:
        raise UnsupportedTypeError(
            f"an image of {image.width} x {image.height} pixels is too large for a picture",
            hint="add it as an array: numpy.asarray(image)",
        )
    pillow = need("PIL.Image", "an image")
    buffer = io.BytesIO()
    try:
        bare = image.copy()
        bare.info = {key: bare.info[key] for key in ("icc_profile", "transparency") if key in bare.info}
        bare.save(buffer, format="PNG")
        content = buffer.getvalue()
        back = pillow.open(io.BytesIO(content), formats=["PNG"])
        same = (back.mode, back.size, back.tobytes()) == (image.mode, image.size, image.tobytes())
        same = same and back.getpalette() == image.getpalette()
    except (OSError, ValueError) as exc:
        raise _no_png(image, str(exc)) from exc
    if not same:
        raise _no_png(image, "it would come back changed")
    details = _made_by(need("PIL", "an image"), "pillow") | _size(image.size) | {"mode": image.mode}
    return _encoded(content, _PNG, details)


def _no_png(image: Any, why: str) -> UnsupportedTypeError:
    return UnsupportedTypeError(
        f"an image of mode {image.mode!r} can't be stored as PNG: {why}",
        hint="convert('RGB') first, add numpy.asarray(image), or add the Path of its file",
    )


def _made_by(module: object, library: str) -> dict[str, Any]:
    return {"library": library, "library_version": str(getattr(module, "__version__", "unknown"))}


def _size(size: tuple[int, int] | None) -> dict[str, Any]:
    return {} if size is None else {"width": int(size[0]), "height": int(size[1])}


def _canonical(spec: object) -> bytes:
    return json.dumps(spec, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode()


# -- how they come back -------------------------------------------------------------------------------------------


def _image(content: memoryview) -> Any:
    pillow = need("PIL.Image", "an image")
    try:
        image = pillow.open(io.BytesIO(content), formats=["PNG"])
        image.load()
    except Exception as exc:  # Pillow raises many kinds: OSError, SyntaxError, ValueError, its own
        raise IntegrityError(f"the content can't be read as a PNG: {exc}", kind="bad-content") from exc
    return image


def _spec(content: memoryview) -> dict[str, Any]:
    try:
        spec = json.loads(bytes(content))
    except (ValueError, RecursionError) as exc:
        raise IntegrityError(f"the content is no specification of a figure: {exc}", kind="bad-content") from exc
    if not isinstance(spec, dict):
        raise IntegrityError("the content is no specification of a figure: no object", kind="bad-content")
    return spec


def _rebuilt(name: str, spec: dict[str, Any]) -> Any:
    try:
        if name == "plotly":
            return need("plotly.graph_objects", "a figure").Figure(spec)
        return need("altair", "a chart").Chart.from_dict(spec)
    except Exception as exc:  # any error of a library of another version, or of crafted content
        if isinstance(exc, MemoryError):
            raise
        raise IntegrityError(
            f"the installed {name} can't build the figure: {type(exc).__name__}: {str(exc)[:200]}",
            kind="bad-content",
            hint="as_='spec' gives the specification",
        ) from exc


def _no_spec() -> InvalidInputError:
    return InvalidInputError("this figure was stored as a picture", kind="bad-option", hint="leave as_ out")


def _no_pixels() -> InvalidInputError:
    return InvalidInputError("this figure is not stored in pixels", kind="bad-option", hint="leave as_ out")
