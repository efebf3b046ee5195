"""Adding items: any object, by its type; arrays, plain values and instants; files, folders and references.

Every method commits once (or joins the open batch), atomically, and returns the folio. Tables and models have modules
of their own.

Longer than most modules: each method states its whole signature and guarantees, for ``help()``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import InvalidInputError, UnsupportedTypeError
from lakefolio.folio.info import WORDS
from lakefolio.folio.item_names import filled_name
from lakefolio.folio.open_folio import SelfT
from lakefolio.items.artifact import existing_path
from lakefolio.model.version_policy import check_label
from lakefolio.process.imports import imported
from lakefolio.session.annotations import Annotations, Inputs, Tags
from lakefolio.session.column_sources import column_details
from lakefolio.session.inferred_inputs import tell_inferred_inputs, with_inferred_inputs
from lakefolio.session.path_like_text import warn_of_path
from lakefolio.session.plan_inputs import with_plan_inputs

if TYPE_CHECKING:
    from lakefolio.folio.folio import Folio

__all__ = [
    "ColumnsFrom",
    "add",
    "add_artifact",
    "add_data",
    "add_file",
    "add_json",
    "add_numpy",
    "add_reference",
    "add_timestamp",
    "check_name",
    "put",
    "put_reference",
    "with_columns",
]

ColumnsFrom = Mapping[str, Any] | None
"""The columns of its inputs that the columns of a table were made from; see ``Folio.add``."""
_MISSING: Final = object()
_IGNORED = ("custom", "preserve_index")
"""Options of DataFolio for behaviour that a lake always has."""


def add_data(
    folio: SelfT,
    /,
    name: str | None,
    data: Any = _MISSING,
    reference: str | Path | None = None,
    description: str | None = None,
    *,
    inputs: Inputs = None,
    tags: Tags = None,
    metadata: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    keep: bool = False,
    version: int | str | None = None,
    bump: str | None = None,
    columns_from: ColumnsFrom = None,
    **options: Any,
) -> SelfT:
    """Add any object as :meth:`add` does, or refer to a table as DataFolio's method of this name does.

    Args:
        data: The object. None is a value like any other.
        reference: Instead of an object, where a table lies that is not to be copied.
        version: The label of the version of the item; of a reference, a number is its own version.
    """
    given = data is not _MISSING
    if reference is not None:
        if given and data is not None:
            raise InvalidInputError(
                "both 'data' and 'reference' were given", kind="bad-arguments", hint="give one of them"
            )
        return folio.reference_table(
            name,
            reference,
            description=description,
            inputs=inputs,
            tags=tags,
            metadata=metadata,
            overwrite=overwrite,
            keep=keep,
            version=version,
            bump=bump,
            **options,
        )
    if not given:
        raise InvalidInputError(
            "either 'data' or 'reference' must be given",
            kind="bad-arguments",
            hint="pass the object to store",
        )
    warn_of_path(name, data)
    facts: dict[str, object] = {word: options.pop(word) for word in WORDS if word in options}
    for ignored in _IGNORED:
        options.pop(ignored, None)
    annotations = Annotations.of(
        description,
        inputs,
        tags,
        metadata,
        facts,
        overwrite=overwrite,
        keep=keep,
        version=check_label(version),
        bump=bump,
    )
    return put(folio, name, data, with_columns(annotations, columns_from), options=options)


def add(
    folio: SelfT,
    /,
    name: str | None,
    obj: object,
    description: str | None = None,
    *,
    inputs: Inputs = None,
    tags: Tags = None,
    metadata: Mapping[str, object] | None = None,
    overwrite: bool = False,
    keep: bool = False,
    version: str | None = None,
    bump: str | None = None,
    columns_from: ColumnsFrom = None,
    **options: object,
) -> SelfT:
    """Add any object; its type decides how it is stored. One commit, atomic, durable when this returns.

    Tables (pandas, polars, pyarrow, lazy frames, record batch readers) become Parquet, numpy arrays .npy,
    plain Python values JSON, estimators skops, torch modules safetensors; bytes and ``Path`` objects of
    files and folders are kept as they are. A text is always a text, with a warning if it looks like the name of a
    file or folder.

    Args:
        obj: The object. None is a value like any other.

    Raises:
        AlreadyExistsError: The name is taken, and ``overwrite`` is False (also a ValueError).
        InvalidInputError: The name or an annotation can't be used (also a ValueError).
        UnsupportedTypeError: No handler stores such objects (also a TypeError).
        NotFoundError: An input does not exist; the hint names the nearest.
        ReadOnlyError: The folio is read-only.
    """
    return folio.add_data(
        name,
        obj,
        None,
        description,
        inputs=inputs,
        tags=tags,
        metadata=metadata,
        overwrite=overwrite,
        keep=keep,
        version=version,
        bump=bump,
        columns_from=columns_from,
        **options,
    )


def add_numpy(
    folio: SelfT,
    /,
    name: str | None,
    array: object,
    description: str | None = None,
    overwrite: bool = False,
    inputs: Inputs = None,
    code: str | None = None,
    *,
    tags: Tags = None,
    metadata: Mapping[str, object] | None = None,
    keep: bool = False,
    version: str | None = None,
    bump: str | None = None,
) -> SelfT:
    """Add a numpy array of any dtype but object, or a scipy sparse one; dtype, shape and order come back.

    Args:
        array: The array.
    """
    sparse = imported("scipy.sparse")
    kind = "sparse" if sparse is not None and sparse.issparse(array) else "array"
    annotations = Annotations.of(
        description, inputs, tags, metadata, {"code": code}, overwrite=overwrite, keep=keep, version=version, bump=bump
    )
    return put(folio, name, array, annotations, kind=kind)


def add_json(
    folio: SelfT,
    /,
    name: str | None,
    data: object,
    description: str | None = None,
    overwrite: bool = False,
    inputs: Inputs = None,
    code: str | None = None,
    *,
    tags: Tags = None,
    metadata: Mapping[str, object] | None = None,
    keep: bool = False,
    version: str | None = None,
    bump: str | None = None,
) -> SelfT:
    """Add a plain Python value: dict, list, text, number, None, datetime, Decimal, Enum, dataclass.

    Args:
        data: The value. NaN and infinities come back.
    """
    annotations = Annotations.of(
        description, inputs, tags, metadata, {"code": code}, overwrite=overwrite, keep=keep, version=version, bump=bump
    )
    return put(folio, name, data, annotations, kind="json")


def add_timestamp(
    folio: SelfT,
    /,
    name: str | None,
    timestamp: datetime | float,
    description: str | None = None,
    overwrite: bool = False,
    inputs: Inputs = None,
    code: str | None = None,
    *,
    tags: Tags = None,
    metadata: Mapping[str, object] | None = None,
    keep: bool = False,
    version: str | None = None,
    bump: str | None = None,
) -> SelfT:
    """Add an instant: a datetime with a time zone, or seconds since 1970 in UTC. It comes back in UTC.

    Args:
        timestamp: The instant.
    """
    annotations = Annotations.of(
        description, inputs, tags, metadata, {"code": code}, overwrite=overwrite, keep=keep, version=version, bump=bump
    )
    return put(folio, name, timestamp, annotations, kind="timestamp")


def add_artifact(
    folio: SelfT,
    /,
    name: str | None,
    path: str | Path | bytes,
    category: str | None = None,
    description: str | None = None,
    overwrite: bool = False,
    *,
    inputs: Inputs = None,
    tags: Tags = None,
    metadata: Mapping[str, object] | None = None,
    code: str | None = None,
    keep: bool = False,
    version: str | None = None,
    bump: str | None = None,
) -> SelfT:
    """Add a file as it is, or a folder with its tree.

    Args:
        path: The file or folder; or the bytes themselves.
        category: A word for its purpose (``plots``, ``configs``, …).

    Raises:
        FileNotFoundError: The file does not exist.
    """
    folio._core.check_writable()
    kind = "artifact"
    if not isinstance(path, bytes | bytearray | memoryview) and existing_path(path).is_dir():
        kind = "directory"
    facts = {"category": category, "code": code}
    annotations = Annotations.of(
        description, inputs, tags, metadata, facts, overwrite=overwrite, keep=keep, version=version, bump=bump
    )
    return put(folio, name, path, annotations, kind=kind)


def add_file(
    folio: SelfT,
    /,
    path: str | Path,
    name: str | None = None,
    category: str | None = None,
    description: str | None = None,
    overwrite: bool = False,
    *,
    inputs: Inputs = None,
    tags: Tags = None,
    metadata: Mapping[str, object] | None = None,
    code: str | None = None,
    keep: bool = False,
    version: str | None = None,
    bump: str | None = None,
) -> SelfT:
    """Add a file under its own name (without extension) or another: ``add_artifact``, the file first.

    Args:
        path: The file.
        category: A word for its purpose.
    """
    return folio.add_artifact(
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
        version=version,
        bump=bump,
    )


def add_reference(
    folio: SelfT,
    /,
    name: str | None,
    uri: str | Path,
    kind: str | None = None,
    description: str | None = None,
    overwrite: bool = False,
    *,
    inputs: Inputs = None,
    tags: Tags = None,
    metadata: Mapping[str, object] | None = None,
    keep: bool = False,
    version: str | None = None,
    bump: str | None = None,
) -> SelfT:
    """Register a table, file or folder that lies elsewhere; nothing is copied.

    Its size, ETag and version id are noted, and checked when it is read.

    Args:
        uri: A path or URI.
        kind: ``table`` or ``artifact``; by default the extension decides.
    """
    annotations = Annotations.of(
        description, inputs, tags, metadata, overwrite=overwrite, keep=keep, version=version, bump=bump
    )
    return put_reference(folio, name, uri, annotations, kind=kind)


def with_columns(annotations: Annotations, columns_from: ColumnsFrom) -> Annotations:
    """Return annotations with the columns that a table was made from; inputs that only these name are inputs too."""
    if columns_from is None:
        return annotations
    inputs, details = column_details(columns_from, annotations.inputs)
    return replace(annotations, inputs=inputs, input_details=details, inputs_given=True)


def put(
    folio: SelfT,
    name: str | None,
    obj: object,
    annotations: Annotations,
    *,
    kind: str | None = None,
    options: Mapping[str, object] | None = None,
    used_up: bool = False,
) -> SelfT:
    """Add an object: the one way in which all methods do."""
    name = _named(folio, name, annotations)
    session = folio._core.session
    inferred = with_inferred_inputs(session, folio.name, name, annotations)
    is_inferred, annotations = inferred is not annotations, inferred
    if type(obj).__name__ == "LazyFrame":
        annotations = with_plan_inputs(session, folio.name, name, obj, annotations)
    session.put(folio.name, name, obj, annotations, kind=kind, options=options, used_up=used_up)
    if is_inferred:  # told once it is so: a refused item was made from nothing
        tell_inferred_inputs(session, folio.name, name, inferred.inputs)
    folio._core.move_pin()
    return folio


def put_reference(
    folio: SelfT,
    name: str | None,
    uri: str | Path,
    annotations: Annotations,
    *,
    kind: str | None,
    options: Mapping[str, object] | None = None,
) -> SelfT:
    """Register content that lies elsewhere: the one way in which all methods do."""
    name = _named(folio, name, annotations)
    folio._core.session.put_reference(folio.name, name, uri, annotations, kind=kind, options=options)
    folio._core.move_pin()
    return folio


def _named(folio: Folio, name: str | None, annotations: Annotations) -> str:
    """Return the name of a new item: the one that is given, else the one that the pattern makes of the metadata."""
    if name is not None:
        check_name(folio, name)
        return name
    folio._core.check_writable()
    return filled_name(folio, annotations.metadata)


def check_name(folio: Folio, name: object) -> None:
    """Refuse early a folio that can't be changed, and a name that is no text."""
    folio._core.check_writable()
    if not isinstance(name, str):
        raise UnsupportedTypeError(
            f"the item name is of type {type(name).__name__}, expected str",
            kind="bad-name",
            hint="the name comes first, then the object",
            name=name,
        )
