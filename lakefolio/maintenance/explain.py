"""Why a blob is kept, and how much space purging an item would free."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from lakefolio.errors import InvalidInputError, NotFoundError
from lakefolio.format.layout import blob_key
from lakefolio.format.names import parse_ref
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.maintenance.reachability import Keep, Reach
from lakefolio.maintenance.reports import WhyReport
from lakefolio.model.item_versions import aliases_of, numbers
from lakefolio.model.resolve import item_not_found

if TYPE_CHECKING:
    from lakefolio.model.state import State
    from lakefolio.session.session import Session

__all__ = ["why"]

_LEFT_OUT = {"content", "inputs", "facts", "details", "extra"}
_READ = [name for name in MANIFESTS_SCHEMA.names if name not in _LEFT_OUT]
_SNAPSHOTS = pa.array(["snapshot", "drop_snapshot"])
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


def why(session: Session, ref: str) -> WhyReport:
    """Return the reasons why the content of a digest or an item reference is kept.

    Args:
        session: The lake.
        ref: ``sha256:<hex>``, or ``folio:name`` for all entries the item ever had, or with ``@version`` for one.

    Raises:
        NotFoundError: No entry ever had that digest, or there never was such an item.
        InvalidInputError: No digest (kind ``bad-digest``) and no reference.
    """
    state = session.committed()
    named = _DIGEST.fullmatch(ref.strip())
    folio: str | None = None
    item: str | None = None
    if named:
        digests = ["sha256:" + named[1]]
    elif ref.strip().startswith("sha256:"):
        raise InvalidInputError(
            f"{ref!r} is no digest", kind="bad-digest", hint="write sha256: and all 64 hex digits", digest=ref
        )
    else:
        parsed = parse_ref(ref)
        folio, item = parsed.folio, parsed.item
        if folio is None:
            raise InvalidInputError(f"item reference {ref!r} names no folio", kind="bad-ref", hint="write folio:name")
        if parsed.at is not None:
            entries = [session.entry(folio, item, parsed.at)]
        elif state.known(folio, item):
            entries = state.history(folio, item)
        else:
            raise item_not_found(state, folio, item, session.journal.state)
        digests = list(dict.fromkeys(one.blob_digest for one in entries if one.storage == "blob" and one.blob_digest))
    reach = Reach(_about(state, digests), Keep())
    blobs = [blob for digest in digests for blob in _blobs(state, reach, digest, folio, item)]
    if named and not blobs:
        raise NotFoundError(
            f"no entry ever referred to blob {digests[0]}",
            kind="blob-not-found",
            hint="an object of that name is an orphan, which gc removes; inline content has no object",
            digest=digests[0],
        )
    alive = [blob for blob in blobs if not blob["purged"]]
    return WhyReport(
        ref=ref,
        version=state.version,
        blobs=blobs,
        stored_bytes=sum(blob["stored_bytes"] for blob in alive),
        exclusive_bytes=sum(blob["stored_bytes"] for blob in alive if blob["exclusive"]),
        shared_bytes=sum(blob["stored_bytes"] for blob in alive if not blob["exclusive"]),
    )


def _about(state: State, digests: Sequence[str]) -> pa.Table:
    """Return the rows that decide about some blobs: of the items that ever had them, and of the snapshots."""
    wanted = pa.array(digests, pa.string())
    folios, items = set[str | None](), set[str | None]()
    for rows in state.parts(("folio", "item", "blob_digest")):
        having = rows.filter(pc.is_in(rows.column("blob_digest"), value_set=wanted))
        folios.update(having.column("folio").unique().to_pylist())
        items.update(having.column("item").unique().to_pylist())
    named = {"folio": pa.array(folios, pa.string()), "item": pa.array(items, pa.string())}
    found = [pa.schema([MANIFESTS_SCHEMA.field(name) for name in _READ]).empty_table()]
    for rows in state.parts(_READ):
        mask = pc.is_in(rows.column("blob_digest"), value_set=wanted)
        mask = pc.or_(mask, pc.is_in(rows.column("op"), value_set=_SNAPSHOTS))
        of_item = [pc.is_in(rows.column(name), value_set=some) for name, some in named.items()]
        found.append(rows.filter(pc.or_(mask, pc.and_(*of_item))))
    return pa.concat_tables(found)


def _aliases(state: State, folio: str, item: str, version: int) -> list[str]:
    """Return the aliases that name the version of an item that a version of the lake put."""
    named = aliases_of(state.facts("folio", folio), item)
    if not named:
        return []
    puts = state.puts(folio, item)
    made = numbers((one.entry_id, one.reason) for one in puts)
    put_here = {number for one, number in zip(puts, made, strict=True) if one.version == version}
    return [f"{folio}:{item}@{alias}" for alias, number in named.items() if number in put_here]


def _blobs(state: State, reach: Reach, digest: str, folio: str | None, item: str | None) -> list[dict[str, Any]]:
    by_generation: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in reach.keepers(digest):
        row["aliases"] = [] if row["item"] is None else _aliases(state, row["folio"], row["item"], row["version"])
        by_generation[row["generation"]].append(row)
    blobs = []
    for generation, rows in sorted(by_generation.items()):
        owners = {(row["folio"], row["item"]) for row in rows}
        blobs.append(
            {
                "digest": digest,
                "generation": generation,
                "key": blob_key(digest, generation),
                "stored_bytes": max(row["stored_bytes"] for row in rows),
                "purged": rows[0]["purged"],
                "exclusive": len(owners) == 1 if item is None else owners == {(folio, item)},
                "heads": sorted(f"{row['folio']}:{row['item']}" for row in rows if row["head"]),
                "snapshots": sorted({name for row in rows for name in row["snapshots"]}),
                "aliases": sorted({name for row in rows for name in row["aliases"]}),
                "runs": sorted({row["run_id"] for row in rows if row["run_id"]}),
                "events": sorted({row["event_id"] for row in rows if row["event_id"]}),
                "history": [
                    f"{row['folio']}:{row['item']}@{row['version']}"
                    for row in rows
                    if not any(row[name] for name in ("head", "snapshots", "aliases", "run_id", "event_id"))
                ],
            }
        )
    return blobs
