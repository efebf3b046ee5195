"""The part of a folio that adds items."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

from lakefolio.errors import InvalidInputError
from lakefolio.folio.info import WORDS
from lakefolio.folio.models import AddingModels
from lakefolio.folio.putting import Inputs, Tags, as_list, check_is_text
from lakefolio.folio.tables import AddingTables
from lakefolio.items.artifact import existing_path
from lakefolio.process.imports import imported
from lakefolio.process.notice import LakefolioWarning, notice

__all__ = ["Adding"]

_MISSING: Final = object()
_LONGEST_PATH: Final = 4096
_FILE_NAME: Final = re.compile(
    r"(?:[\\/]|~/)?(?:[^\\/:*?\"<>|]+[\\/])*[^\\/:*?\"<>|\s.][^\\/:*?\"<>|]*\.(?:"
    r"arrow|bin|bmp|csv|docx?|feather|gif|gz|h5|hdf5|html?|ipynb|jpe?g|jsonl?|log|md|mp[34]|nc|npy|npz|onnx|orc|parquet|pdf"
    r"|pickle|pkl|png|pptx?|pt|pth|py|rds|safetensors|skops|sqlite|svg|tar|tex|tiff?|toml|tsv|txt|wav|webp|xlsx?|xml"
    r"|ya?ml|zip|zst)",
    re.IGNORECASE,
)
"""Texts that end as files do which people add."""
_IGNORED = ("custom", "preserve_index")
"""Options of DataFolio that ask for what always happens here."""


class Adding(AddingTables, AddingModels):
    """Adds items. Every method commits once (or joins the open batch), atomically, and returns the folio.

    All of them take, besides what is their own:
        description: One sentence on what the item is.
        inputs: What it was made from; each is resolved to the exact version it has now. NotFoundError names
            the nearest item if there is none of that name.
        tags: Words to find it by.
        metadata: Facts to note of it; JSON values.
        overwrite: Replace an item of that name. Its old entry stays in the history. A warning says which of
            description, tags and metadata the old entry has and the new one lacks.
        keep: Carry those over where none are given; metadata are merged. Inputs, which belong to the old content,
            never are.
        code: The code that made it, for people to read.

    All of them raise AlreadyExistsError (a ValueError) for a name that is taken, InvalidInputError (a
    ValueError) for a name that can't be used, UnsupportedTypeError (a TypeError) for an object they don't
    store, and ReadOnlyError (a RuntimeError) if the folio is read-only.
    """

    def add_data(
        self,
        name: str,
        data: Any = _MISSING,
        reference: str | Path | None = None,
        description: str | None = None,
        *,
        inputs: Inputs = None,
        tags: Tags = None,
        metadata: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        keep: bool = False,
        **options: Any,
    ) -> Self:
        """Add any object; its type decides how it is stored.

        Tables (pandas, polars, pyarrow, lazy frames, record batch readers) become Parquet, numpy arrays .npy,
        plain Python values JSON, estimators skops, torch modules safetensors; bytes and ``Path`` objects of
        files and folders are kept as they are. A text is always a text, with a warning if it looks like the name of a
        file or folder.

        Args:
            name: The name; ``/`` may group names.
            data: The object. None is a value like any other.
            reference: Instead of an object, where a table lies that is not to be copied.
            description: One sentence on what it is.
            inputs: What it was made from: names, references ``[folio:]name[@version]``, or URIs of things
                outside.
            tags: Words to find it by.
            metadata: Facts to note of it; JSON values.
            keep: With ``overwrite``, carry description, tags and metadata over where none are given here.
            overwrite: Replace an item of that name; its old entry stays in the history.
            **options: What the method of that kind takes besides (``hyperparameters``, ``init_args``, …). One that it
                does not take is a TypeError that names the nearest.
        """
        given = data is not _MISSING
        if reference is not None:
            if given and data is not None:
                raise InvalidInputError(
                    "both 'data' and 'reference' were given", kind="bad-arguments", hint="give one of them"
                )
            return self.reference_table(
                name,
                reference,
                description=description,
                inputs=inputs,
                tags=tags,
                metadata=metadata,
                overwrite=overwrite,
                keep=keep,
                **options,
            )
        if not given:
            raise InvalidInputError(
                "either 'data' or 'reference' must be given",
                kind="bad-arguments",
                hint="pass the object to store",
            )
        _warn_of_path(name, data)
        words = {word: options.pop(word) for word in WORDS if word in options}
        for ignored in _IGNORED:
            options.pop(ignored, None)
        return self._put(name, data, None, description, inputs, tags, metadata, overwrite, keep, options, **words)

    def add(
        self,
        name: str,
        obj: Any,
        description: str | None = None,
        *,
        inputs: Inputs = None,
        tags: Tags = None,
        metadata: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        keep: bool = False,
        **options: Any,
    ) -> Self:
        """Add any object: ``add_data`` under its shorter name, which see."""
        return self.add_data(
            name,
            obj,
            None,
            description,
            inputs=inputs,
            tags=tags,
            metadata=metadata,
            overwrite=overwrite,
            keep=keep,
            **options,
        )

    def add_numpy(
        self,
        name: str,
        array: Any,
        description: str | None = None,
        overwrite: bool = False,
        inputs: Inputs = None,
        code: str | None = None,
        *,
        tags: Tags = None,
        metadata: Mapping[str, Any] | None = None,
        keep: bool = False,
    ) -> Self:
        """Add a numpy array of any dtype but object, or a scipy sparse one; dtype, shape and order come back."""
        sparse = imported("scipy.sparse")
        kind = "sparse" if sparse is not None and sparse.issparse(array) else "array"
        return self._put(name, array, kind, description, inputs, tags, metadata, overwrite, keep, code=code)

    def add_json(
        self,
        name: str,
        data: Any,
        description: str | None = None,
        overwrite: bool = False,
        inputs: Inputs = None,
        code: str | None = None,
        *,
        tags: Tags = None,
        metadata: Mapping[str, Any] | None = None,
        keep: bool = False,
    ) -> Self:
        """Add a plain Python value: dict, list, text, number, None, datetime, Decimal, Enum, dataclass."""
        return self._put(name, data, "json", description, inputs, tags, metadata, overwrite, keep, code=code)

    def add_timestamp(
        self,
        name: str,
        timestamp: datetime | float,
        description: str | None = None,
        overwrite: bool = False,
        inputs: Inputs = None,
        code: str | None = None,
        *,
        tags: Tags = None,
        metadata: Mapping[str, Any] | None = None,
        keep: bool = False,
    ) -> Self:
        """Add an instant: a datetime with a time zone, or seconds since 1970 in UTC. It comes back in UTC."""
        return self._put(name, timestamp, "timestamp", description, inputs, tags, metadata, overwrite, keep, code=code)

    def add_artifact(
        self,
        name: str,
        path: str | Path | bytes,
        category: str | None = None,
        description: str | None = None,
        overwrite: bool = False,
        *,
        inputs: Inputs = None,
        tags: Tags = None,
        metadata: Mapping[str, Any] | None = None,
        code: str | None = None,
        keep: bool = False,
    ) -> Self:
        """Add a file as it is, or a folder with its tree.

        Args:
            name: The name; ``/`` may group names.
            path: The file or folder; or the bytes themselves.
            category: A word on what it is for (``plots``, ``configs``, …).
            description: One sentence on what it is.
            overwrite: Replace an item of that name; its old entry stays in the history.
            inputs: What it was made from: names, references ``[folio:]name[@version]``, or URIs of things
                outside.
            tags: Words to find it by.
            metadata: Facts to note of it; JSON values.
            keep: With ``overwrite``, carry description, tags and metadata over where none are given here.
            code: The code that made it, for people to read.

        Raises:
            FileNotFoundError: The file does not exist.
        """
        self._check_writable()
        kind = "artifact"
        if not isinstance(path, bytes | bytearray | memoryview) and existing_path(path).is_dir():
            kind = "directory"
        return self._put(
            name, path, kind, description, inputs, tags, metadata, overwrite, keep, category=category, code=code
        )

    def add_file(
        self,
        path: str | Path,
        name: str | None = None,
        category: str | None = None,
        description: str | None = None,
        overwrite: bool = False,
        *,
        inputs: Inputs = None,
        tags: Tags = None,
        metadata: Mapping[str, Any] | None = None,
        code: str | None = None,
        keep: bool = False,
    ) -> Self:
        """Add a file under its own name (without extension) or another: ``add_artifact``, the file first."""
        return self.add_artifact(
            Path(path).stem if name is None else name,
            path,
            category,
            description,
            overwrite,
            inputs=inputs,
            tags=tags,
            metadata=metadata,
            code=code,
            keep=keep,
        )

    def add_reference(
        self,
        name: str,
        uri: str | Path,
        kind: str | None = None,
        description: str | None = None,
        overwrite: bool = False,
        *,
        inputs: Inputs = None,
        tags: Tags = None,
        metadata: Mapping[str, Any] | None = None,
        keep: bool = False,
    ) -> Self:
        """Register a table, file or folder that lies elsewhere; nothing is copied.

        Its size, ETag and version id are noted, and checked when it is read.

        Args:
            name: The name.
            uri: A path or URI.
            kind: ``table`` or ``artifact``; by default what the extension says.
            description: One sentence on what it is.
            overwrite: Replace an item of that name; its old entry stays in the history.
            inputs: What it was made from: names, references ``[folio:]name[@version]``, or URIs of things
                outside.
            tags: Words to find it by.
            metadata: Facts to note of it; JSON values.
            keep: With ``overwrite``, carry description, tags and metadata over where none are given here.
        """
        self._check_writable()
        check_is_text(name)
        self._session.put_reference(
            self._name,
            name,
            uri,
            kind=kind,
            description=description,
            inputs=as_list(inputs),
            tags=tags,
            metadata=metadata,
            overwrite=overwrite,
            keep=keep,
        )
        self._move_pin()
        return self


def _warn_of_path(name: str, data: Any) -> None:
    """Warn of a text that is an existing path, or looks like a file name: it is stored as the text that it is."""
    if not isinstance(data, str) or not _looks_like_path(data):
        return
    notice(
        LakefolioWarning(
            f"item {name!r} is the text {data!r}, not the file of that name",
            kind="text-like-path",
            hint=f"to store the file: add({name!r}, Path({data!r})), or add_file({data!r}, {name!r})",
        )
    )


def _looks_like_path(text: str) -> bool:
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
