"""The content of an item at two versions, compared by the means of its kind.

Content with equal digests is the same and is not read. Everything else is read from verified bytes; no code of a model
is run or trusted for it. Tables are compared where they lie, in bounded memory; texts up to 8 MiB line by line.
"""

from __future__ import annotations

import importlib.util
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakefolio.compare.item_diff import ContentChange, Differences, ItemDiff
from lakefolio.errors import IntegrityError, InvalidInputError, LakefolioError, UnsupportedTypeError
from lakefolio.format.table_formats import RECORDS
from lakefolio.items.table import TableHandler
from lakefolio.session.reading import about
from lakefolio.session.record_tables import reader_of
from lakefolio.terminal import shown_value
from lakefolio.views.table_changes import RowChange, table_changes

if TYPE_CHECKING:
    import pyarrow as pa

    from lakefolio.model.entries import Entry
    from lakefolio.model.resolve import At
    from lakefolio.session.session import Session

__all__ = ["diff_item"]


def diff_item(
    session: Session,
    folio: str,
    item: str,
    a: At,
    b: At | None = None,
    *,
    key: str | Iterable[str] | None = None,
    limit: int = 10,
) -> ItemDiff:
    """Return the differences inside an item from ``a`` to ``b``, by default until now; see ``Lake.diff``."""
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise InvalidInputError(f"limit is {shown_value(limit)}, expected a number from 0", kind="bad-option")
    columns = _key(key)
    old, new = session.entry(folio, item, a), session.entry(folio, item, b)
    if old.kind == new.kind == RECORDS:
        columns = columns or _key(new.details.get("key"))
        before, after = (_rows(reader_of(session, one, when), one) for one, when in ((old, a), (new, b)))
        rows = _tables(before, after, columns, limit)
        same = not rows.changes and "rows_moved" not in rows.summary
        return ItemDiff(old.ref, new.ref, RECORDS, rows, identical=same)
    if columns and not old.kind == new.kind == "table":
        raise InvalidInputError(
            f"{new.ref} is of kind {new.kind!r}, and only tables have a key", kind="bad-option", hint="leave out key"
        )
    kind = old.kind if old.kind == new.kind else f"{old.kind} → {new.kind}"
    same = old.kind == new.kind and old.digest is not None and old.digest == new.digest
    found = Differences({}) if same else _compared(session, old, new, columns, limit)
    return ItemDiff(old.ref, new.ref, kind, found, identical=same)


def _key(key: object) -> tuple[str, ...]:
    """Return the columns of a key, each once."""
    found = (key,) if isinstance(key, str) else () if key is None else key
    if isinstance(found, list | tuple | set | frozenset) and all(isinstance(one, str) for one in found):
        return tuple(dict.fromkeys(found))
    raise UnsupportedTypeError(
        f"key is {str(key)[:60]!r}, expected the name of a column or a list of names", hint='write key=["id", "day"]'
    )


def _compared(session: Session, old: Entry, new: Entry, key: tuple[str, ...], limit: int) -> Differences:
    if old.kind == new.kind == "table":
        return _tables(_rows(session, old), _rows(session, new), key, limit)
    if old.kind != new.kind or "reference" in (old.storage, new.storage):
        return _as_bytes(old, new)
    try:
        found = _by_kind(session, old, new, limit)
    except LakefolioError:
        raise
    except (tarfile.TarError, OSError) as exc:
        raise IntegrityError(f"{old.ref} or {new.ref} can't be read: {exc}", kind="bad-content") from exc
    return _as_bytes(old, new) if found is None else found


def _by_kind(session: Session, old: Entry, new: Entry, limit: int) -> Differences | None:
    """Return the differences of two entries of one kind; None if nothing can look into it."""
    from lakefolio.compare.arrays import compare_arrays, compare_pictures, compare_sparse
    from lakefolio.compare.models import compare_estimators, compare_tensors
    from lakefolio.compare.texts import compare_folders, compare_texts, text_of_file
    from lakefolio.compare.values import compare_values

    kind, notes = new.kind, (old.details, new.details)
    if kind == "array":
        return compare_arrays(session.load(old, mmap=True), session.load(new, mmap=True), limit)
    if kind == "sparse":
        return compare_sparse(session.load(old), session.load(new), limit)
    if kind in ("json", "timestamp"):
        found = compare_values(*(session.load(one) for one in (old, new)))
        note = {"note": "every value is equal; the order of names differs, or how a value is written"}
        return found if found.changes else Differences({**found.summary, **note})
    if kind == "directory":
        return compare_folders(*(session.local_path(one) for one in (old, new)))
    if kind == "model":
        from lakefolio.items.sklearn_reading import plain_model

        before, after = (plain_model(session.local_path(one)) for one in (old, new))
        return compare_estimators(before, after, notes)
    if kind == "torch":
        before, after = (_state(session.load(one, reconstruct=False)) for one in (old, new))
        return compare_tensors(before, after, notes)
    if kind == "figure" and {old.media_type, new.media_type} == {"image/png"}:
        if importlib.util.find_spec("PIL") is None:
            return None
        import numpy as np

        pictures = [session.load(one, as_="pil") for one in (old, new)]
        modes = {one.mode for one in pictures}
        if len(modes) > 1 or "P" in modes:
            pictures = [one.convert("RGBA") for one in pictures]
        return compare_pictures(np.asarray(pictures[0]), np.asarray(pictures[1]), limit)
    if kind == "figure" and all("json" in (one.media_type or "") for one in (old, new)):
        return compare_values(*(session.load(one, as_="spec") for one in (old, new)))
    if kind in ("artifact", "figure"):
        texts = [text_of_file(session.local_path(one)) for one in (old, new)]
        if texts[0] is not None and texts[1] is not None:
            return compare_texts(texts[0], texts[1])
    return None


def _state(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {"tensor": found}


def _rows(session: Session, entry: Entry) -> Path | pa.Table:
    if entry.storage == "reference" or entry.kind == RECORDS:
        found: pa.Table = session.load(entry, as_="arrow")
        return found
    try:
        file = TableHandler().file(session.blobs.source(entry), entry.details)
    except LakefolioError as exc:
        raise about(exc, entry.folio, entry.item, f"item {entry.ref}", version=entry.version) from exc
    return file or session.load(entry, as_="arrow")


def _as_bytes(old: Entry, new: Entry) -> Differences:
    facts: dict[str, Any] = {}
    for name in ("kind", "size_bytes", "digest", "uri"):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            facts[name] = f"{before} → {after}"
    return Differences(facts)


def _tables(old: Path | pa.Table, new: Path | pa.Table, key: tuple[str, ...], limit: int) -> Differences:
    rows = old, new
    index = () if key else _index(*rows)
    try:
        found = table_changes(*rows, key or index, limit)
    except InvalidInputError as exc:
        if not index or exc.kind not in ("duplicate-key", "unknown-column"):
            raise
        found = table_changes(*rows, (), limit)  # an index may have duplicates
    compared = f"by key ({', '.join(found.key)})" if found.key else "by position; a key would match rows by columns"
    summary: dict[str, Any] = {
        "rows": f"{found.old_rows:,} → {found.new_rows:,}",
        "rows_added": found.added,
        "rows_removed": found.removed,
        "rows_changed": found.changed,
        "compared": compared,
    }
    if found.shared:
        summary["rows_shared"] = found.shared
    if found.moved and not (found.added or found.removed):
        summary["rows_moved"] = found.moved
    if not (found.added or found.removed or found.changed or any(one.change for one in found.columns)):
        summary["note"] = (
            "every value is equal; the order of rows or columns, the sign of a zero or what is noted differs"
        )
    columns = [
        {
            "name": one.name,
            "change": one.change,
            "renamed_from": one.renamed_from,
            "old_type": one.old_type,
            "new_type": one.new_type,
            "changed_count": one.changed_count,
            **one.statistics,
        }
        for one in found.columns
    ]
    changes = [change for one in found.examples for change in _cells(one)]
    return Differences(summary, changes, columns, found.key, found.examples)


def _index(old: Path | pa.Table, new: Path | pa.Table) -> tuple[str, ...]:
    """Return the columns that hold the index of both frames of pandas; none if they have no such, or another."""
    import pyarrow.parquet as pq

    try:
        noted = [(pq.read_schema(one) if isinstance(one, Path) else one.schema).pandas_metadata for one in (old, new)]
    except ValueError:  # others wrote it
        return ()
    found, other = (one.get("index_columns") if isinstance(one, dict) else None for one in noted)
    if isinstance(found, list) and found == other and all(isinstance(one, str) for one in found):
        return tuple(found)
    return ()


def _cells(row: RowChange) -> list[ContentChange]:
    where = ", ".join(f"{name}={_plain(value)}" for name, value in row.where.items())
    if row.change == "changed":
        return [ContentChange("changed", where, name, row.old[name], row.new[name]) for name in row.new]
    old, new = (
        ", ".join(f"{name}={_plain(value)}" for name, value in one.items()) or None for one in (row.old, row.new)
    )
    return [ContentChange(row.change, where, None, old, new)]


def _plain(value: str | None) -> str:
    return "null" if value is None else value
