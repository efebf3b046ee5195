"""The first look at an item: bounded in time and bytes, and made of plain values.

Content is untrusted. Nothing is executed: models are told by what their entry says, pictures are passed on only if
their first bytes are those of a picture (SVG shows as an image, where browsers run no script), all else is text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakefolio.lake.reading import present_ref
from lakefolio.pages.values import cell, cut, data_uri, heading, plain
from lakefolio.render.text import format_bytes

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from lakefolio.lake import Lake
    from lakefolio.model.entries import Entry

__all__ = ["READ_BYTES", "preview"]

ROWS: Final = 100
COLUMNS: Final = 60
STATS_ROWS: Final = 100_000
BINS: Final = 24
READ_BYTES: Final = 64 * 2**20
"""Content that is larger is looked at only if it is a table."""
PICTURE_BYTES: Final = 4 * 2**20
TEXT_BYTES: Final = 64 * 2**10
PIXELS: Final = 256

_MAGIC: Final = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
}


def preview(lake: Lake, entry: Entry) -> dict[str, Any]:
    """Return the first look at an item.

    Returns:
        ``type`` (``table``, ``array``, ``json``, ``image``, ``text`` or ``none``) and what belongs to it; ``note`` says
        what is left out, and why there is nothing.

    Raises:
        LakefolioError: The content can't be read.
    """
    show = _SHOWN.get(entry.kind, _file)
    if entry.kind != "table" and (entry.size_bytes or 0) > READ_BYTES:
        size = format_bytes(entry.size_bytes or 0)
        return {"type": "none", "note": f"{size} is more than a preview reads ({format_bytes(READ_BYTES)})"}
    return show(lake, entry)


# -- tables ------------------------------------------------------------------------------------------------------


def _table(lake: Lake, entry: Entry) -> dict[str, Any]:
    lazy: pl.LazyFrame = lake.folio(entry.folio).scan_table(present_ref(lake, entry))
    names = lazy.collect_schema().names()
    shown = lazy.select(names[:COLUMNS])
    looked_at = shown.head(STATS_ROWS).collect()
    rows = looked_at.head(ROWS)
    notes = []
    if len(names) > COLUMNS:
        notes.append(f"{COLUMNS} of {len(names):,} columns")
    if entry.row_count is None or entry.row_count > STATS_ROWS:
        notes.append(f"statistics of the first {len(looked_at):,} rows")
    return {
        "type": "table",
        "columns": [_column(looked_at.get_column(name)) for name in names[:COLUMNS]],
        "rows": [[cell(one) for one in row] for row in rows.rows()],
        "row_count": entry.row_count if entry.kind == "table" else None,
        "note": "; ".join(notes) or None,
    }


def _column(values: pl.Series) -> dict[str, Any]:
    """Return what a column holds: type, nulls, different values, and its range and histogram or most frequent value."""
    import polars as pl

    found: dict[str, Any] = {
        "name": heading(values.name),
        "dtype": _type_name(values.dtype),
        "nulls": values.null_count(),
    }
    try:
        if values.dtype.is_numeric():
            numbers = values.cast(pl.Float64, strict=False).drop_nulls()
            numbers = numbers.filter(numbers.is_finite())
            if len(numbers):
                found |= {"min": cell(values.min()), "max": cell(values.max()), "mean": cell(numbers.mean())}
                found["histogram"] = _histogram(numbers.to_numpy())
        elif not values.dtype.is_nested():
            found |= {"min": cell(values.min()), "max": cell(values.max()), "unique": values.n_unique()}
            if values.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean):
                top = values.drop_nulls().value_counts(sort=True).head(3)
                found["top"] = [[cell(value), count] for value, count in top.rows()]
    except pl.exceptions.PolarsError:  # a type that can't be ordered or counted
        pass
    return found


def _type_name(dtype: pl.DataType) -> str:
    """Return the name of a type as a heading has room for: with unit and zone, without the categories or fields."""
    base, inner = str(dtype.base_type()), getattr(dtype, "inner", None)
    if inner is not None:
        return f"{base}[{_type_name(inner)}]"
    units = [str(one) for name in ("time_unit", "time_zone") if (one := getattr(dtype, name, None)) is not None]
    return f"{base}[{', '.join(units)}]" if units else base


def _histogram(values: np.ndarray[Any, np.dtype[Any]]) -> dict[str, Any] | None:
    import numpy as np

    low, high = float(values.min()), float(values.max())
    if not np.isfinite(high - low):
        return None
    try:
        counts, _ = np.histogram(values.astype(np.float64), bins=BINS if high > low else 1)
    except ValueError:  # so large, or so near to each other, that floats can't part them into bins
        return None
    return {"low": low, "high": high, "counts": counts.tolist()}


# -- arrays ------------------------------------------------------------------------------------------------------


def _array(lake: Lake, entry: Entry) -> dict[str, Any]:
    import numpy as np

    found = lake.folio(entry.folio).get_numpy(entry.ref)
    sparse = not isinstance(found, np.ndarray)
    values = found.data if sparse else found
    said: dict[str, Any] = {"type": "array", "shape": list(found.shape), "dtype": str(found.dtype)}
    if sparse:
        said["note"] = f"sparse, {values.size:,} stored values; these are shown"
    numeric = values.dtype.kind in "biuf"
    if not numeric or not values.size:
        said["text"] = cut(np.array2string(values[tuple(slice(6) for _ in values.shape)], threshold=200), 4_000)
        return said
    finite = values[np.isfinite(values)].astype(np.float64) if values.dtype.kind == "f" else values.ravel()
    if finite.size:
        numbers = finite.astype(np.float64)
        said |= {"min": numbers.min(), "max": numbers.max(), "mean": numbers.mean(), "std": numbers.std()}
        said["histogram"] = _histogram(numbers)
    said["missing"] = int(values.size - finite.size)
    if not sparse:
        said |= _picture(found)
    return {key: value.item() if isinstance(value, np.generic) else value for key, value in said.items()}


def _picture(values: np.ndarray[Any, np.dtype[Any]]) -> dict[str, Any]:
    """Return an array as pixels (grey levels, or RGB of an image), or as a line if it has one dimension."""
    import numpy as np

    colour = values.ndim == 3 and values.shape[2] in (3, 4) and values.dtype == np.uint8
    note = None
    if values.ndim == 1 and values.size > 1:
        step = max(1, values.size // 2_000)
        return {"line": [plain(float(one)) for one in values[::step]], "step": step}
    while values.ndim > 2 and not colour:
        note = f"the first of {len(values):,} along axis 0"
        values = values[0]
        colour = values.ndim == 3 and values.shape[2] in (3, 4) and values.dtype == np.uint8
    if values.ndim < 2 or 0 in values.shape or min(values.shape[:2]) < 2:
        return {}
    steps = [max(1, -(-size // PIXELS)) for size in values.shape[:2]]
    small = values[:: steps[0], :: steps[1]]
    height, width = small.shape[:2]
    if colour:
        pixels = small[:, :, :3].astype(np.uint8)
    else:
        numbers = small.astype(np.float64)
        finite = np.isfinite(numbers)
        low, high = (numbers[finite].min(), numbers[finite].max()) if finite.any() else (0.0, 0.0)
        scale = 255.0 / (high - low) if high > low else 0.0
        pixels = np.nan_to_num((numbers - low) * scale, nan=0, posinf=255, neginf=0).clip(0, 255).astype(np.uint8)
    picture = {"width": width, "height": height, "colour": colour, "pixels": data_uri("", pixels.tobytes())[13:]}
    return {"picture": picture, "picture_note": note}


# -- the rest ----------------------------------------------------------------------------------------------------


def _json(lake: Lake, entry: Entry) -> dict[str, Any]:
    value = plain(lake.folio(entry.folio).get_data(entry.ref))
    if isinstance(value, str) and "\n" in value:  # lines are read as lines
        note = f"the first {TEXT_BYTES:,} characters" if len(value) > TEXT_BYTES else None
        return {"type": "text", "text": cut(value, TEXT_BYTES), "note": note}
    text = json.dumps(value, ensure_ascii=False)
    if len(text) > 4 * TEXT_BYTES:
        return {"type": "text", "text": cut(text, TEXT_BYTES), "note": f"the first {TEXT_BYTES:,} characters"}
    return {"type": "json", "value": value}


def _described(lake: Lake, entry: Entry) -> dict[str, Any]:
    """Show a model, or anything else that is never loaded, by what its entry records."""
    return {"type": "json", "value": plain(entry.details), "note": "recorded when it was added; it is not loaded here"}


def _file(lake: Lake, entry: Entry) -> dict[str, Any]:
    if entry.storage == "reference":
        return {"type": "none", "note": f"a reference to {entry.uri}: its content is not read here"}
    path = Path(lake.folio(entry.folio).item_path(entry.ref))
    if not path.is_file():
        return _described(lake, entry)
    with path.open("rb") as file:
        head = file.read(TEXT_BYTES)
    media_type = picture_type(head)
    if media_type is not None:
        if path.stat().st_size > PICTURE_BYTES:
            return {"type": "none", "note": f"a picture of {format_bytes(path.stat().st_size)}, too large to show here"}
        return {"type": "image", "source": data_uri(media_type, path.read_bytes()), "media_type": media_type}
    try:
        # the last character may have been cut
        text = head.decode("utf-8", "strict" if len(head) < TEXT_BYTES else "ignore")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        return {"type": "none", "note": f"{entry.media_type or 'binary data'}: nothing to show as text or picture"}
    note = f"the first {format_bytes(TEXT_BYTES)}" if (entry.size_bytes or 0) > TEXT_BYTES else None
    return {"type": "text", "text": text, "note": note}


def picture_type(head: bytes) -> str | None:
    """Return the media type of a picture by its first bytes, whatever its entry says; None if it is none."""
    for media_type, begins in _MAGIC.items():
        if head.startswith(begins) and (media_type != "image/webp" or head[8:12] == b"WEBP"):
            return media_type
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<svg") or (start.startswith((b"<?xml", b"<!--", b"<!DOCTYPE svg")) and b"<svg" in start):
        return "image/svg+xml"
    return None


_SHOWN: Final[Mapping[str, Callable[[Lake, Entry], dict[str, Any]]]] = {
    "table": _table,
    "records": _table,
    "array": _array,
    "sparse": _array,
    "json": _json,
    "timestamp": _json,
    "model": _described,
    "torch": _described,
    "directory": _described,
}
