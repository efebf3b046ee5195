"""Reading items: their objects, tables by SQL, files written from them, and whether their content is intact.

All functions that take ``name`` take an item's name, or a reference ``[folio:]name[@version-or-snapshot]``, and raise
NotFoundError, naming the nearest item, if there is none. Every read sees all commits made before it begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakefolio.errors import LakefolioError, UntrustedContentError
from lakefolio.folio.info import MODEL_TYPES, TABLE_TYPES
from lakefolio.folio.open_folio import At, SelfT
from lakefolio.process.notice import LakefolioWarning, notice
from lakefolio.process.workers import Workers

if TYPE_CHECKING:
    import duckdb

    from lakefolio.folio.folio import Folio
    from lakefolio.model.entries import Entry
    from lakefolio.search.result import SearchResult
    from lakefolio.session.session import Session

__all__ = [
    "export",
    "get",
    "get_data",
    "get_json",
    "get_many",
    "get_model",
    "get_numpy",
    "get_pytorch",
    "get_sklearn",
    "get_table",
    "get_timestamp",
    "is_valid",
    "pinned",
    "scan_table",
    "similar",
    "sql",
    "validate",
]

_THREADS = 16


def get_data(folio: Folio, /, name: str, *, at: At = None, **options: object) -> Any:
    """Return the object of an item of any type; for a file or folder, the path of a local copy.

    Args:
        **options: Further options of the method for the item's type (``as_``, ``columns``, ``trusted``, …).
    """
    reader, entry = folio._core.find(name, at)
    return _load(reader, entry, options)


def get(folio: Folio, /, name: str, *, at: At = None, **options: object) -> Any:
    """Return the object of an item of any type, as it was added; for a file or folder, the path of a local copy.

    The bytes are verified by their SHA-256 before they are decoded. A frame comes back in the library that it was added
    from, an array with its shape and dtype, a model as its class. ``get_data`` is the same method.

    Args:
        **options: Options of the item's kind: ``as_``, ``columns`` and ``filters`` of tables, ``mmap`` of arrays,
            ``trusted`` of models. An unknown one is a TypeError that names the nearest.

    Raises:
        NotFoundError: No such item or version, or its content was purged; the hint names the nearest item.
        IntegrityError: Stored bytes are missing or damaged.
        UntrustedContentError: The item needs classes, or an address, that the reader does not trust.
    """
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
    with Workers(max(1, min(threads, len(found) or 1)), "lakefolio-load") as workers:
        objects = workers.map(lambda one: _load(one[0], one[1], options), found)
    for reader, entry in found:  # the threads of the pool are in nobody's run
        reader.was_read(entry)
    return dict(zip(wanted, objects, strict=True))


def get_table(
    folio: Folio, /, name: str, *, at: At = None, as_: str | None = None, frame: str | None = None, **options: object
) -> Any:
    """Return a table, stored here or referred to.

    Args:
        as_: ``pandas``, ``polars``, ``arrow`` or ``lazy``; by default the type that was added, and pandas (where
            it is installed) for references and imported files. An index of pandas is a column elsewhere, called
            ``__index_level_0__`` if it has no name, as in every Parquet file of pandas.
        frame: Another word for ``as_``.
        **options: ``columns`` and ``filters`` (lists of tuples ``(column, operator, value)``), and
            further options of the reader of the format. ``engine`` is accepted and ignored.
    """
    reader, entry = folio._core.find_kind(name, TABLE_TYPES, "a table", at)
    chosen = as_ or frame
    if chosen is not None:
        options["as_"] = chosen
    return _load(reader, entry, options)


def scan_table(folio: Folio, /, name: str, *, at: At = None, **options: Any) -> Any:
    """Return a table as a polars LazyFrame, which reads only the columns and rows that a query needs.

    Args:
        **options: As for ``get_table``.

    Raises:
        NotFoundError: No such item; the hint names the nearest.
        InvalidInputError: The item is not a table.
        IntegrityError: Stored bytes are missing or damaged.
    """
    return folio.get_table(name, at=at, as_="lazy", **options)


def get_numpy(folio: Folio, /, name: str, *, at: At = None, **options: object) -> Any:
    """Return a numpy (or scipy sparse) array; ``mmap=True`` maps a local copy instead of reading it."""
    return _load(*folio._core.find_kind(name, ("numpy_array",), "a numpy array", at), options)


def get_json(folio: Folio, /, name: str, *, at: At = None, **options: object) -> Any:
    """Return a plain Python value: types that JSON lacks (tuples, sets, datetimes, …) come back, too."""
    return _load(*folio._core.find_kind(name, ("json_data",), "JSON data", at), options)


def get_timestamp(folio: Folio, /, name: str, as_unix: bool = False, *, at: At = None) -> datetime | float:
    """Return an instant as a datetime in UTC, or with ``as_unix`` as seconds since 1970."""
    found: datetime = _load(*folio._core.find_kind(name, ("timestamp",), "a timestamp", at), {})
    return found.timestamp() if as_unix else found


def get_model(folio: Folio, /, name: str, *, at: At = None, **options: object) -> Any:
    """Return a model of any library. Takes the options of ``get_sklearn`` and ``get_pytorch``."""
    return _load(*folio._core.find_kind(name, MODEL_TYPES, "a model", at), options)


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
        **options: Further options of the handler of torch models.
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
            default the ending of ``path`` (``.csv.gz`` is compressed), and Parquet if it has no ending.
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
    """Read one state of the folio in the block, unaffected by commits of others.

    Reads in the block do not look for new commits, which saves a request each. The block belongs to its thread (or
    task): other threads that use this folio meanwhile read the newest state.

    A write through this folio in the block is visible in it, and moves the block to the version that it made. Inner
    blocks join the outer.
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


# -- integrity -----------------------------------------------------------------------------------------


def similar(folio: Folio, /, name: str, *, at: At = None, kind: str | None = None, limit: int = 10) -> SearchResult:
    """Find the items and runs of the lake whose meaning is nearest to an item's, nearest first; see ``Lake.similar``.

    Args:
        kind: Only items of this kind; ``run`` for runs.
        limit: Maximum number of hits.
    """
    from lakefolio.search.reading import similar_of

    reader, entry = folio._core.find(name, at)
    return similar_of(reader.steady(), entry.ref, kind=kind, limit=limit)


def validate(folio: Folio, /) -> dict[str, bool]:
    """Read every item and say whether its content is there and undamaged.

    References are not read: it is checked that they exist, with the registered size and version. References that are
    not followed (see ``trust_references`` of ``lakefolio.open``) count as not good, with a warning.

    Returns:
        Name -> whether it is good. Never raises for a bad item.
    """
    reader = folio._core.steady()
    entries = reader.state().entries(folio.name)
    _warn_of_unfollowed(reader, entries)
    with Workers(_THREADS, "lakefolio-validate") as workers:
        good = workers.map(lambda entry: _is_good(reader, entry), entries)
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
