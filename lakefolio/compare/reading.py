"""The content of an item at two versions, compared by the means of its kind.

Content with equal digests is the same and is not read. Everything else is read from verified bytes; no code of a model
is run or trusted for it. Tables are compared where they lie, in bounded memory; texts up to 8 MiB line by line.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakefolio.compare.item_diff import ContentChange, Found, ItemDiff
from lakefolio.compare.values import compare_arrays, compare_folders, compare_tensors, compare_texts, compare_values
from lakefolio.errors import InvalidInputError, UnsupportedTypeError
from lakefolio.terminal import shown_value
from lakefolio.views.table_changes import RowChange, TableChanges, table_changes

if TYPE_CHECKING:
    import pyarrow as pa

    from lakefolio.model.entries import Entry
    from lakefolio.model.resolve import At
    from lakefolio.session.session import Session

__all__ = ["diff_item"]

_TEXT_BYTES: Final = 8 << 20


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
    old = session.at(a, folio).entry(folio, item)
    new = session.entry(folio, item) if b is None else session.at(b, folio).entry(folio, item)
    if columns and not old.kind == new.kind == "table":
        raise InvalidInputError(
            f"{new.ref} is of kind {new.kind!r}, and only tables have a key", kind="bad-option", hint="leave out key"
        )
    kind = old.kind if old.kind == new.kind else f"{old.kind} → {new.kind}"
    same = old.kind == new.kind and old.digest is not None and old.digest == new.digest
    found = Found({}) if same else _compared(session, old, new, columns, limit)
    return ItemDiff(old.ref, new.ref, kind, found, identical=same)


def _key(key: object) -> tuple[str, ...]:
    """Return the columns of a key, each once."""
    found = (key,) if isinstance(key, str) else () if key is None else key
    if isinstance(found, list | tuple | set | frozenset) and all(isinstance(one, str) for one in found):
        return tuple(dict.fromkeys(found))
    raise UnsupportedTypeError(
        f"key is {str(key)[:60]!r}, expected the name of a column or a list of names", hint='write key=["id", "day"]'
    )


def _compared(session: Session, old: Entry, new: Entry, key: tuple[str, ...], limit: int) -> Found:
    is_table = old.kind == new.kind == "table"
    if not is_table and (old.kind != new.kind or "reference" in (old.storage, new.storage)):
        return _as_bytes(old, new)
    if is_table:
        return _tables(table_changes(_rows(session, old), _rows(session, new), key, limit))
    if new.kind == "array":
        return compare_arrays(session.load(old, mmap=True), session.load(new, mmap=True), limit)
    if new.kind in ("json", "timestamp"):
        return compare_values(*(session.load(one) for one in (old, new)))
    if new.kind == "directory":
        return compare_folders(*(session.local_path(one) for one in (old, new)))
    if new.kind in ("model", "torch"):
        told = compare_values(old.details, new.details, "model")
        if new.kind == "torch" and all(one.details.get("object") != "tensor" for one in (old, new)):
            before, after = (session.load(one, reconstruct=False) for one in (old, new))
            return compare_tensors(before, after, told.changes)
        note = {} if told.changes else {"learned": "its parameters are the same; what it learned differs"}
        return Found({**told.summary, **note}, told.changes)
    if new.kind == "artifact" and max(old.size_bytes or 0, new.size_bytes or 0) <= _TEXT_BYTES:
        texts = [_text(session.local_path(one)) for one in (old, new)]
        if texts[0] is not None and texts[1] is not None:
            return compare_texts(texts[0], texts[1])
    return _as_bytes(old, new)


def _rows(session: Session, entry: Entry) -> Path | pa.Table:
    if entry.storage == "reference":
        found: pa.Table = session.load(entry, as_="arrow")
        return found
    content = session.load(entry, as_="dataset")
    files = getattr(content, "files", None)
    return Path(files[0]) if files else content


def _text(path: Path) -> str | None:
    data = path.read_bytes()
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def _as_bytes(old: Entry, new: Entry) -> Found:
    facts: dict[str, Any] = {}
    for name in ("kind", "size_bytes", "digest", "uri"):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            facts[name] = f"{before} → {after}"
    return Found(facts)


def _tables(found: TableChanges) -> Found:
    compared = f"by key ({', '.join(found.key)})" if found.key else "by position; key names the columns of a row's key"
    summary = {
        "rows": f"{found.old_rows:,} → {found.new_rows:,}",
        "rows_added": found.added,
        "rows_removed": found.removed,
        "rows_changed": found.changed,
        "compared": compared,
    }
    columns = [
        {
            "name": one.name,
            "change": one.change,
            "old_type": one.old_type,
            "new_type": one.new_type,
            "changed_count": one.changed_count,
            **one.statistics,
        }
        for one in found.columns
    ]
    return Found(summary, [change for one in found.examples for change in _cells(one)], columns)


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
