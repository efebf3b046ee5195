"""A folder tree: each file an item, named by its path. A file that changed since is a new version."""

from __future__ import annotations

from lakefolio.errors import IntegrityError
from lakefolio.format.quoting import quoted, quoted_path
from lakefolio.interop.importing.plan import NewItem, Plan, Step
from lakefolio.interop.importing.source_files import SourceFolder, digest_of, is_lake

__all__ = ["read"]


def read(source: str, folio: str | None, *, as_files: bool = False) -> Plan:
    """Plan the import of a folder.

    Args:
        source: The folder.
        folio: The folio; by default the folder's name.
        as_files: Keep Parquet files as they are instead of as tables.
    """
    files = SourceFolder(source)
    plan = Plan(f"folder:{files.root}")
    name = folio or quoted(files.root.name)
    found = []
    for relative, path, regular in files.walk():
        if not regular:
            plan.leave_out(relative, "a lake" if is_lake(path) else "a link or no regular file")
            continue
        try:
            digest = digest_of(path, "sha256")
        except IntegrityError as exc:
            plan.leave_out(relative, str(exc))
            continue
        kind = "table" if path.suffix == ".parquet" and not as_files else "artifact"
        item = quoted_path(relative.removesuffix(".parquet") if kind == "table" else relative)
        facts = {"imported_from": relative, "imported_sha256": digest}
        found.append((f"{relative} {digest}", NewItem(name, item, kind, path, facts=facts, origin=relative)))
    for key, new in found:
        plan.steps.append(Step(key, f"import {new.origin}", [new], joins=True))
    return plan
