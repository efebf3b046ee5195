"""What ``lakefolio show`` prints of an item's content: the first rows, values, lines or files.

Content is untrusted and may be large: nothing is executed, models are not loaded, and what is larger than
``READ_BYTES`` is not fetched.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lakefolio.errors import LakefolioError
from lakefolio.format.table_formats import TABULAR
from lakefolio.lake.reading import present_ref
from lakefolio.pages.preview import READ_BYTES, preview
from lakefolio.pages.values import cell, cut, heading
from lakefolio.render.text import counted, format_bytes
from lakefolio.terminal import cell_count, padded

if TYPE_CHECKING:
    from lakefolio.cli.app import App
    from lakefolio.lake import Lake
    from lakefolio.model.entries import Entry

__all__ = ["first_look"]

_ROWS: Final = 10
_COLUMNS: Final = 60
_LINES: Final = 20
_SHORT: Final = 72
_CELL_CHARS: Final = 60
_MODELS: Final = ("model", "torch", "state_dict")


def first_look(app: App, lake: Lake, entry: Entry) -> None:
    """Print the beginning of an item's content, or why there is none to print."""
    if entry.kind in _MODELS or lake.is_purged(entry):
        return  # what is known of it stands above
    if entry.storage == "reference":
        app.output.note("  a reference: lakefolio get reads where it points to")
        return
    if (entry.size_bytes or 0) > READ_BYTES:
        sql = f"""; lakefolio sql 'select * from "{entry.ref}" limit 10'""" if entry.kind == "table" else ""
        app.output.note(f"  content not shown: larger than {format_bytes(READ_BYTES)}{sql}")
        return
    try:
        if entry.kind in TABULAR:
            _rows(app, lake, entry)
        else:
            title, text = _array(lake, entry) if entry.kind in ("array", "sparse") else _text(lake, entry)
            app.output.emit(None, "\n".join([f"  {title}:", *(f"    {line}" for line in _first_lines(text))]))
    except LakefolioError as exc:
        app.output.warn(f"the content can't be shown: {exc.message}")


def _rows(app: App, lake: Lake, entry: Entry) -> None:
    import polars as pl

    lazy = lake.folio(entry.folio).scan_table(present_ref(lake, entry))
    schema = lazy.collect_schema()
    names = schema.names()[:_COLUMNS]
    found: pl.DataFrame = lazy.select(names).head(_ROWS).collect()
    if not names or not len(found):
        app.output.emit(None, "  no rows" if names else "  no columns")
        return
    count = None if entry.kind != "table" else entry.row_count  # a record table has other rows than its entry says
    whole = count is not None and count <= len(found)
    of = "" if count is None else f" of {count:,}"
    app.output.emit(None, "  rows:" if whole else f"  first {len(found)}{of} rows:")
    app.output.rows(
        None,
        [heading(name) for name in names],
        [[_shown(value) for value in row] for row in found.rows()],
        right=[heading(name) for name in names if schema[name].is_numeric()],
        whole="lakefolio get prints them all",
    )


def _shown(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else cut(str(cell(value)), _CELL_CHARS)


def _array(lake: Lake, entry: Entry) -> tuple[str, str]:
    import numpy as np

    found = lake.folio(entry.folio).get_numpy(entry.ref)
    if not isinstance(found, np.ndarray):
        return "stored values", np.array2string(found.data, threshold=100)
    return "values", np.array2string(found, threshold=100)


def _text(lake: Lake, entry: Entry) -> tuple[str, str]:
    if entry.kind == "directory":
        return "files", _files(Path(lake.folio(entry.folio).item_path(entry.ref)))
    found = preview(lake, entry)
    if found["type"] == "json":
        line = json.dumps(found["value"], ensure_ascii=False)
        return "value", line if len(line) <= _SHORT else json.dumps(found["value"], indent=2, ensure_ascii=False)
    if found["type"] == "text":
        return "text", found["text"]
    if found["type"] == "image":
        return "content", f"a picture ({found['media_type']}): lakefolio get {entry.ref} -o FILE, or lakefolio ui"
    return "content", found["note"]


def _files(folder: Path) -> str:
    """Return the files of a folder with their sizes, by name."""
    found = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.as_posix())
    names = [path.relative_to(folder).as_posix() for path in found]
    width = max(map(cell_count, names), default=0)
    return "\n".join(
        f"{padded(name, width)}  {format_bytes(path.lstat().st_size)}" for name, path in zip(names, found, strict=True)
    )


def _first_lines(text: str) -> list[str]:
    lines = text.splitlines()
    more = len(lines) - _LINES
    shown = [cut(line, 200) for line in lines[:_LINES]]
    return [*shown, f"… {counted(more, 'more line')}"] if more > 0 else shown
