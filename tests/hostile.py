"""Items as somebody with another tool could write them: any bytes, under any kind, with any facts about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inside import session_of

import lakefolio as lf
from lakefolio.format.names import new_id
from lakefolio.items.handler import Buffers, Encoded
from lakefolio.model.changes import Put
from lakefolio.model.entries import Stored
from lakefolio.session.annotations import Annotations

__all__ = ["forge", "forge_reference"]


def forge(
    lake: lf.Lake,
    name: str,
    kind: str,
    format: str,
    content: bytes,
    *,
    details: Mapping[str, Any] | None = None,
    row_count: int | None = None,
    digest: str | None = None,
) -> None:
    """Store ``content`` as item ``name`` of folio ``f``."""
    encoded = Encoded(
        kind=kind,
        format=format,
        media_type="application/octet-stream",
        payload=Buffers((content,)),
        details=dict(details or {}),
        digest=digest,
        row_count=row_count,
    )
    session_of(lake).put_encoded("f", name, encoded, None, Annotations.of(overwrite=True))


def forge_reference(lake: lf.Lake, name: str, uri: str, details: Mapping[str, Any]) -> None:
    """Register ``uri`` as item ``name`` of folio ``f``, with any facts about it."""
    stored = Stored(kind="artifact", storage="reference", format="file", stored_bytes=0, uri=uri, details=dict(details))
    put = Put(folio="f", item=name, stored=stored, entry_id=new_id(), overwrite=True)
    session_of(lake).apply(put)
