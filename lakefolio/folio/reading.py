"""Reading items: their objects, their paths, what is known of them, and whether they are whole.

All functions that take ``name`` take an item's name, or a reference ``[folio:]name[@version-or-snapshot]``, and raise
NotFoundError, naming the nearest item, if there is none. Every read sees what is committed when it begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakefolio.errors import LakefolioError, UntrustedContentError
from lakefolio.folio.info import SECTIONS, section_of
from lakefolio.folio.open_folio import At, SelfT
from lakefolio.process.notice import LakefolioWarning, notice

if TYPE_CHECKING:
    import duckdb

    from lakefolio.folio.folio import Folio
    from lakefolio.model.entries import Entry
    from lakefolio.session.session import Session

__all__ = [
    "export",
    "get",
    "get_artifact_info",
    "get_artifact_path",
    "get_data",
    "get_json",
    "get_json_path",
    "get_many",
    "get_model",
    "get_model_info",
    "get_model_path",
    "get_numpy",
    "get_numpy_path",
    "get_pytorch",
    "get_sklearn",
    "get_table",
    "get_table_info",
    "get_table_path",
    "get_timestamp",
    "get_timestamp_path",
    "is_valid",
    "item_info",
    "item_path",
    "items",
    "list_contents",
    "names_of",
    "pinned",
    "require",
    "scan_table",
    "sql",
    "validate",
]

_TABLES = ("included_table", "referenced_table")
_MODELS = ("model", "pytorch_model")
_THREADS = 16


def get_data(folio: Folio, /, name: str, *, at: At = None, **options: object) -> Any:
    """Return an item of any type as what it was added as; a file or folder as the path of a local copy.

    Args:
        **options: What the method for the item's type takes besides (``as_``, ``columns``, ``trusted``,
            …).
    """
    reader, entry = folio._core.find(name, at)
    return _load(reader, entry, options)


def get(folio: Folio, /, name: str, *, at: At = None, **options: object) -> Any:
    """Return an item of any type: ``get_data`` under its shorter name."""
    return folio.get_data(name, at=at, **options)


def get_many(
    folio: Folio, /, names: Iterable[str], *, threads: int = _THREADS, at: At = None, **options: object
) -> dict[str, Any]:
    """Return several items of one state of the folio, read at the same time.

    Args:
        names: The items; one named twice is read once.
        threads: How many to read at once.
        **options: As for ``get``; they must suit every item.

    Returns:
        Name -> object, in the order asked for. The first failure is raised and nothing returned.
    """
    wanted = list(dict.fromkeys(names))
    with folio.pinned():
        found = [folio._core.find(name, at) for name in wanted]
    for reader, entry in found:
        reader.check_options(entry, options, ("at", "threads"))
    with ThreadPoolExecutor(max(1, min(threads, len(found) or 1))) as pool:
        objects = list(pool.map(lambda one: _load(one[0], one[1], options), found))
    for reader, entry in found:  # the threads of the pool are in nobody's run
        reader.was_read(entry)
    return dict(zip(wanted, objects, strict=True))


def get_table(
    folio: Folio, /, name: str, *, at: At = None, as_: str | None = None, frame: str | None = None, **options: object
) -> Any:
    """Return a table, stored here or referred to.

    Args:
        as_: ``pandas``, ``polars``, ``arrow`` or ``lazy``; by default what was added, and pandas (where it is
            installed) for references and imported files.
        frame: Another word for ``as_``.
        **options: ``columns`` and ``filters`` (lists of tuples ``(column, operator, value)``), and what
            the reader of the format takes besides. ``engine`` is accepted and ignored.
    """
    reader, entry = folio._core.find_kind(name, _TABLES, "a table", at)
    chosen = as_ or frame
    if chosen is not None:
        options["as_"] = chosen
    return _load(reader, entry, options)


def scan_table(folio: Folio, /, name: str, *, at: At = None, **options: Any) -> Any:
    """Return a table as a polars LazyFrame, which reads only what a query needs."""
    return folio.get_table(name, at=at, as_="lazy", **options)


def get_numpy(folio: Folio, /, name: str, *, at: At = None, **options: object) -> Any:
    """Return a numpy (or scipy sparse) array; ``mmap=True`` maps a local copy instead of reading it."""
    return _load(*folio._core.find_kind(name, ("numpy_array",), "a numpy array", at), options)


def get_json(folio: Folio, /, name: str, *, at: At = None, **options: object) -> Any:
    """Return a plain Python value."""
    return _load(*folio._core.find_kind(name, ("json_data",), "JSON data", at), options)


def get_timestamp(folio: Folio, /, name: str, as_unix: bool = False, *, at: At = None) -> datetime | float:
    """Return an instant as a datetime in UTC, or with ``as_unix`` as seconds since 1970."""
    found: datetime = _load(*folio._core.find_kind(name, ("timestamp",), "a timestamp", at), {})
    return found.timestamp() if as_unix else found


def get_model(folio: Folio, /, name: str, *, at: At = None, **options: object) -> Any:
    """Return a model, whichever library it is of. Takes what ``get_sklearn`` and ``get_pytorch`` take."""
    return _load(*folio._core.find_kind(name, _MODELS, "a model", at), options)


def get_sklearn(folio: Folio, /, name: str, *, at: At = None, **options: object) -> Any:
    """Return a scikit-learn estimator.

    Args:
        **options: ``trusted``, the types, by name, that *you* allow to be built besides scikit-learn's
            own.

    Raises:
        UntrustedContentError: Loading would build a type that is not trusted. Nothing was run.
    """
    return _load(*folio._core.find_kind(name, ("model",), "a scikit-learn model", at), options)


def get_pytorch(
    folio: Folio,
    /,
    name: str,
    *,
    model_class: object = None,
    reconstruct: bool = True,
    at: At = None,
    **options: object,
) -> Any:
    """Return a torch module, or its state dict.

    Args:
        model_class: The class to build; by default the one it was stored from, if it can be imported and
            you trust it (``trusted``).
        reconstruct: False returns the state dict.
        **options: What the handler of torch models takes besides.
    """
    if model_class is not None:
        options["model_class"] = model_class
    if not reconstruct:
        options["reconstruct"] = False
    return _load(*folio._core.find_kind(name, ("pytorch_model",), "a PyTorch model", at), options)


def export(
    folio: Folio, /, name: str, path: str | Path, *, format: str | None = None, at: At = None, overwrite: bool = False
) -> Path:
    """Write an item to a local file in the format that the file's name asks for; a folder to a folder.

    The file appears when it is complete. CSV, TSV and JSON hold text: durations, periods, nested and binary values
    are written so that people can read them.

    Args:
        path: The file or folder to write; in an existing folder it gets the item's name.
        format: Of a table: ``parquet``, ``csv``, ``tsv``, ``json``, ``ndjson``, ``feather`` or ``arrow``; by
            default what ``path`` ends with (``.csv.gz`` is compressed), and Parquet if it has no ending.
        overwrite: Replace a file that exists. A folder is never replaced.

    Returns:
        The path that was written.

    Raises:
        InvalidInputError: The ending of ``path`` asks for a format that the item can't be written in.
        AlreadyExistsError: Something is there already.
        StorageError: It can't be written.
    """
    from lakefolio.folio.exporting import export

    reader, entry = folio._core.find(name, at)
    written = export(reader, entry, Path(path).expanduser(), format, overwrite=overwrite)
    reader.was_read(entry)
    return written


@contextmanager
def pinned(folio: SelfT, /) -> Iterator[SelfT]:
    """Read one state of the folio in the block, whatever others commit meanwhile.

    Reads in the block ask nobody for news, which saves a request each. The block belongs to its thread (or task):
    other threads that use this folio meanwhile read the newest state.

    What is written through this folio in the block is seen in it, and moves the block to the version that
    it made. Inner blocks join the outer.
    """
    with folio._core.pin():
        yield folio


def sql(folio: Folio, /, query: str, params: object = None) -> duckdb.DuckDBPyRelation:
    """Answer a read-only SQL query over the views of the lake; see ``Lake.sql``.

    Args:
        query: One SELECT.
        params: Values for its ``?``, ``$1`` or ``$name``.
    """
    return folio._core.reading.query(query, params)


# -- paths ---------------------------------------------------------------------------------------------


def item_path(folio: Folio, /, name: str, *, at: At = None) -> str:
    """Return where an item can be read: a verified, read-only local copy; for references the URI."""
    return _path(*folio._core.find(name, at))


def get_table_path(folio: Folio, /, name: str, *, at: At = None) -> str:
    """Return the path of a table's Parquet file, or the URI of a reference."""
    return _path(*folio._core.find_kind(name, _TABLES, "a table", at))


def get_numpy_path(folio: Folio, /, name: str, *, at: At = None) -> str:
    """Return the path of an array's file."""
    return _path(*folio._core.find_kind(name, ("numpy_array",), "a numpy array", at))


def get_json_path(folio: Folio, /, name: str, *, at: At = None) -> str:
    """Return the path of a JSON file."""
    return _path(*folio._core.find_kind(name, ("json_data",), "JSON data", at))


def get_timestamp_path(folio: Folio, /, name: str, *, at: At = None) -> str:
    """Return the path of a timestamp's file."""
    return _path(*folio._core.find_kind(name, ("timestamp",), "a timestamp", at))


def get_model_path(folio: Folio, /, name: str, *, at: At = None) -> str:
    """Return the path of a model's file."""
    return _path(*folio._core.find_kind(name, _MODELS, "a model", at))


def get_artifact_path(folio: Folio, /, name: str, *, at: At = None) -> str:
    """Return the path of a file, or of an unpacked folder."""
    return _path(*folio._core.find_kind(name, ("artifact",), "an artifact", at))


# -- what is known -------------------------------------------------------------------------------------


def require(folio: Folio, /, name: str) -> None:
    """Raise NotFoundError, naming the nearest, unless there is an item of that name."""
    folio._core.find(name)


def item_info(folio: Folio, /, name: str, *, at: At = None) -> dict[str, Any]:
    """Return everything known about an item, as a dict of its own (see ``info.info_of``)."""
    return folio._core.info(*folio._core.find(name, at))


def get_table_info(folio: Folio, /, name: str, *, at: At = None) -> dict[str, Any]:
    """Return what is known about a table: ``num_rows``, ``columns``, ``dtypes``, …; see ``item_info``."""
    return folio._core.info(*folio._core.find_kind(name, _TABLES, "a table", at))


def get_model_info(folio: Folio, /, name: str, *, at: At = None) -> dict[str, Any]:
    """Return what is known about a model: ``model_type``, ``hyperparameters``, …; see ``item_info``."""
    return folio._core.info(*folio._core.find_kind(name, _MODELS, "a model", at))


def get_artifact_info(folio: Folio, /, name: str, *, at: At = None) -> dict[str, Any]:
    """Return what is known about a file: ``category``, ``file_size``, …; see ``item_info``."""
    return folio._core.info(*folio._core.find_kind(name, ("artifact",), "an artifact", at))


def list_contents(folio: Folio, /, include_archived: bool = False) -> dict[str, list[str]]:
    """Return the names of the items by type, each list in the order in which they were first added.

    Args:
        include_archived: Whether to list archived items too.

    Returns:
        ``referenced_tables included_tables numpy_arrays json_data timestamps models artifacts``; torch
        models are listed with the models, folders and items of other packages' kinds with the artifacts.
    """
    contents: dict[str, list[str]] = {section: [] for section in SECTIONS}
    listing = folio._core.reading.state().listing(folio.name, ("item", "kind", "storage", "archived"))
    for item, kind, storage, archived in listing:
        if include_archived or not archived:
            contents[section_of(kind, storage)].append(item)
    return contents


def items(folio: Folio, /) -> list[Entry]:
    """Return what is known of each item, without its content, in the order of first addition."""
    return folio._core.reading.state().entries(folio.name)


def names_of(folio: Folio, *sections: str) -> list[str]:
    """Return the names of all items of some sections of ``list_contents``, archived ones included."""
    listing = folio._core.reading.state().listing(folio.name, ("item", "kind", "storage"))
    return [item for item, kind, storage in listing if section_of(kind, storage) in sections]


# -- integrity -----------------------------------------------------------------------------------------


def validate(folio: Folio, /) -> dict[str, bool]:
    """Read every item and say whether its content is there and what was written.

    References are asked for, not read: whether they exist and are still what was registered. Those that are not
    followed (see ``trust_references`` of ``lakefolio.open``) count as not good, with a warning.

    Returns:
        Name -> whether it is good. Never raises for a bad item.
    """
    reader = folio._core.still()
    entries = reader.state().entries(folio.name)
    _warn_of_unfollowed(reader, entries)
    with ThreadPoolExecutor(_THREADS) as pool:
        good = pool.map(lambda entry: _is_good(reader, entry), entries)
        return dict(zip((entry.item for entry in entries), good, strict=True))


def is_valid(folio: Folio, /) -> bool:
    """Say whether ``validate`` finds every item good."""
    return all(folio.validate().values())


def _load(reader: Session, entry: Entry, options: dict[str, object]) -> Any:
    if entry.kind == "table" and "as_" not in options and _has_no_library(entry):
        options = {**options, "as_": "pandas"}
    found = reader.load(entry, **options)
    reader.was_read(entry)
    return str(found) if isinstance(found, Path) else found


def _has_no_library(entry: Entry) -> bool:
    """Say whether a table came from a file, so that no library's type is the natural one, and pandas is there."""
    if entry.details.get("source") != "arrow" or find_spec("pandas") is None:
        return False
    return "imported_from" in entry.facts


def _path(reader: Session, entry: Entry) -> str:
    found = _found_path(reader, entry)
    reader.was_read(entry)
    return found


def _found_path(reader: Session, entry: Entry) -> str:
    if entry.storage == "reference":
        return str(entry.uri)
    if entry.kind == "directory":
        return str(reader.load(entry))
    return str(reader.local_path(entry))


def _warn_of_unfollowed(reader: Session, entries: Iterable[Entry]) -> None:
    for entry in entries:
        if entry.storage == "reference" and not reader.references.follows(entry):
            try:
                reader.references.check(entry)
            except UntrustedContentError as exc:  # the one error that says why, and names the option
                notice(LakefolioWarning(exc.message, kind=exc.kind, hint=exc.hint or ""))
            return


def _is_good(reader: Session, entry: Entry) -> bool:
    try:
        if entry.storage == "reference":
            reader.references.check(entry)
        else:
            reader.blobs.verify(entry)
    except (LakefolioError, OSError):
        return False
    return True
