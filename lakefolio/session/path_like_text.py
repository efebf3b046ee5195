"""Texts that were added but look like the name of a file: a warning says how to add the file instead."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from lakefolio.process.notice import LakefolioWarning, notice

__all__ = ["looks_like_path", "warn_of_path"]

_LONGEST_PATH: Final = 4096
_FILE_NAME: Final = re.compile(
    r"(?:[\\/]|~/)?(?:[^\\/:*?\"<>|]+[\\/])*[^\\/:*?\"<>|\s.][^\\/:*?\"<>|]*\.(?:"
    r"arrow|bin|bmp|csv|docx?|feather|gif|gz|h5|hdf5|html?|ipynb|jpe?g|jsonl?|log|md|mp[34]|nc|npy|npz|onnx|orc|parquet|pdf"
    r"|pickle|pkl|png|pptx?|pt|pth|py|rds|safetensors|skops|sqlite|svg|tar|tex|tiff?|toml|tsv|txt|wav|webp|xlsx?|xml"
    r"|ya?ml|zip|zst)",
    re.IGNORECASE,
)
"""Texts that end as files do which people add."""


def warn_of_path(name: str | None, data: object) -> None:
    """Warn of a text that is an existing path, or looks like a file name: it is stored as the text that it is."""
    if not isinstance(data, str) or not looks_like_path(data):
        return
    notice(
        LakefolioWarning(
            f"item {name!r} is the text {data!r}, not the file of that name",
            kind="text-like-path",
            hint=f"to store the file: add({name!r}, Path({data!r})), or add_file({data!r}, {name!r})",
        )
    )


def looks_like_path(text: str) -> bool:
    """Say whether a text is an existing path, or ends as the names of files do."""
    if not text or len(text) > _LONGEST_PATH or not text.isprintable() or text != text.strip() or "://" in text:
        return False
    if _FILE_NAME.fullmatch(text):
        return True
    try:
        path = Path(text).expanduser()
        # a plain word may be the name of a folder by chance
        return path.exists() if "/" in text or os.sep in text else path.is_file()
    except (OSError, RuntimeError, ValueError):
        return False
