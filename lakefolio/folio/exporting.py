"""Items as local files in the format that the file's name asks for."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import InvalidInputError, LakefolioError
from lakefolio.folio.info import file_name
from lakefolio.format.table_formats import ENDINGS, RECORDS, TABULAR, WRITABLE, compression_of, format_of, stem_of
from lakefolio.process.local_files import publish
from lakefolio.session.reading import about

if TYPE_CHECKING:
    from lakefolio.model.entries import Entry
    from lakefolio.session.session import Session

__all__ = ["export"]

_ENDINGS: Final = {
    "array": {"npy": (".npy",), "npz": (".npz",)},
    "sparse": {"npz": (".npz",)},
    "json": {"json": (".json",)},
    "timestamp": {"json": (".json",)},
    "model": {"skops": (".skops",)},
    "torch": {"safetensors": (".safetensors",)},
    "figure": {"png": (".png",), "svg": (".svg",), "json": (".json",)},
}
"""Kind and format -> the endings that a file of this content may have."""
_TEXTS: Final = (".txt", ".md")
_ARCHIVES: Final = (".tar", ".zip", ".gz", ".tgz", ".7z")


def export(session: Session, entry: Entry, target: Path, format: str | None, *, overwrite: bool) -> Path:
    """Write the content of an entry to a local file or folder; it appears when it is complete.

    Args:
        session: Reads it.
        entry: The entry to write.
        target: Where; in an existing folder it gets the item's name.
        format: Of a table: one of ``table_formats.WRITABLE``; by default the format of the ending of ``target``, and
            Parquet where there is none.
        overwrite: Whether to replace a file. A folder is never replaced.

    Returns:
        The path that was written.

    Raises:
        InvalidInputError: kind ``bad-format`` if the ending of ``target`` asks for a format that the content can't be
            written in, ``wrong-kind`` if a format is given for an item that is no table.
        AlreadyExistsError: Something is there already.
        StorageError: It can't be written.
        IntegrityError: The stored bytes are missing or damaged.
    """
    if entry.kind not in TABULAR and format is not None:
        raise InvalidInputError(
            f"item {entry.ref} is not a table, but of kind {entry.kind}",
            kind="wrong-kind",
            hint="leave the format out",
            item=entry.item,
        )
    if target.is_dir():
        target = target / _natural_name(entry, format)
    if entry.kind in TABULAR:
        _export_table(session, entry, target, format, overwrite)
    elif entry.kind == "json" and target.suffix.lower() in _TEXTS:
        text = session.load(entry)
        if not isinstance(text, str):
            raise _no_such_format(entry, target, (".json",))
        publish(target, lambda path: path.write_text(text, encoding="utf-8"), force=overwrite)
    else:
        _check_ending(entry, target)
        content = _content(session, entry)
        publish(target, lambda path: _copy(content, path), force=overwrite)
    return target


def _natural_name(entry: Entry, format: str | None) -> str:
    name = f"{entry.item.rpartition('/')[2]}.parquet" if entry.kind == RECORDS else file_name(entry)
    return name if format is None else f"{stem_of(name)}.{ENDINGS.get(format, format)}"


def _export_table(session: Session, entry: Entry, target: Path, format: str | None, overwrite: bool) -> None:
    chosen = format or format_of(target.name) or (None if target.suffix else "parquet")
    if chosen not in WRITABLE:
        raise _no_such_format(entry, target, tuple(f".{ENDINGS.get(one, one)}" for one in WRITABLE))
    compression = compression_of(target.name)
    if chosen == "parquet" and entry.storage != "reference" and entry.kind != RECORDS:
        content = session.local_path(entry)
        publish(target, lambda path: _copy(content, path), force=overwrite)
        return
    publish(target, lambda path: _write_table(session, entry, path, chosen, compression), force=overwrite)


def _write_table(session: Session, entry: Entry, path: Path, format: str, compression: str | None) -> None:
    from lakefolio.items.table import TableHandler

    try:
        if entry.storage == "reference" or entry.kind == RECORDS:
            table = session.load(entry, as_="arrow")
        else:
            table = TableHandler().plain(session.blobs.source(entry), entry.details)
        if format == "duckdb":
            from lakefolio.views.duckdb_file import write_duckdb

            write_duckdb(table, path)
        else:
            from lakefolio.items.table_export import write_table

            write_table(table, path, format, compression)
    except LakefolioError as exc:
        raise about(exc, entry.folio, entry.item, f"item {entry.ref}", version=entry.version) from exc


def _check_ending(entry: Entry, target: Path) -> None:
    """Refuse a name that promises another format than the one that is written."""
    ending = target.suffix.lower()
    if entry.storage == "reference" or not ending:
        return
    if entry.kind == "directory":
        if ending in _ARCHIVES:
            raise _no_such_format(entry, target, ())
        return
    known = _ENDINGS.get(entry.kind, {}).get(entry.format or "")
    if known is not None and ending not in known:
        raise _no_such_format(entry, target, known)


def _no_such_format(entry: Entry, target: Path, endings: tuple[str, ...]) -> InvalidInputError:
    there = f"{', '.join(endings)} or no ending" if endings else "a folder"
    more = ", or name the format" if entry.kind in TABULAR else ""
    return InvalidInputError(
        f"item {entry.ref} of kind {entry.kind} can't be written as {target.name!r}",
        kind="bad-format",
        hint=f"it can be written as {there}{more}",
        item=entry.item,
        path=str(target),
    )


def _content(session: Session, entry: Entry) -> Path:
    """Return a verified local copy of the content as it is stored; of a folder, the folder."""
    if entry.storage == "reference" or entry.kind == "directory":
        found: Any = session.load(entry)
        return Path(found)
    return session.local_path(entry)


def _copy(content: Path, target: Path) -> None:
    if not content.is_dir():
        shutil.copyfile(content, target)
        return
    shutil.copytree(content, target, symlinks=True)
    for folder, _, files in os.walk(target):  # the verified copy is read-only, the user's own is not
        for path in (Path(folder), *(Path(folder, name) for name in files)):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | stat.S_IWUSR)
