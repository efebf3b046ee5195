"""What every refusal must be: the right class and kind, one short line that names its object and says what to do.

And what must be true afterwards: nothing was stored or changed, and everything else can still be read.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import deltalake
import pyarrow as pa
import pytest

import lakefolio as lf
from lakefolio.errors import LakefolioError
from lakefolio.format.names import new_id
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.storage import open_store

SECRETS = ("s3cr3t",)
LONGEST = 400


def refused(
    expected: type[LakefolioError], kind: str, action: Callable[[], Any], *named: str, hint: bool = True
) -> LakefolioError:
    """Run ``action``, which must be refused with exactly this class and kind; return the error.

    Args:
        expected: The class, not one above it.
        kind: The machine name of the problem.
        action: What is tried.
        named: Texts that the line must hold: the objects that it is about.
        hint: Whether something can be done about it, which the error must then say.
    """
    with pytest.raises(LakefolioError) as caught:
        action()
    error = caught.value
    check_line(error, *named, hint=hint)
    assert (type(error), error.kind) == (expected, kind), repr(error)
    return error


def check_line(error: LakefolioError, *named: str, hint: bool = True) -> None:
    text = str(error)
    assert text.isprintable(), repr(text)
    assert 10 < len(text) < LONGEST, (len(text), text)
    text.encode()
    for one in named:
        assert one in text, text
    if hint:
        assert error.hint, text
        assert len(error.hint) > 8, text
    shown = "".join(traceback.format_exception(error))
    for secret in SECRETS:
        assert secret not in text
        assert secret not in str(error.objects)
        assert secret not in shown


@contextmanager
def unchanged(lake: lf.Lake) -> Iterator[None]:
    """Insist that a block leaves the lake as it was: its version, its items, all content whole and readable.

    So it is where no byte of any object changed; else all is looked at.
    """
    before = lake.version, {one.ref: one.digest for one in lake.items()}, [one.name for one in lake.snapshots()]
    objects = {info.key for info in open_store(lake.uri).list("blobs")}
    stored = contents(lake)
    yield
    if lake.version == before[0] and contents(lake) == stored:
        return
    fresh = lf.open(lake.uri, read_only=True)
    after = fresh.version, {one.ref: one.digest for one in fresh.items()}, [one.name for one in fresh.snapshots()]
    assert after == before
    assert {info.key for info in open_store(lake.uri).list("blobs")} == objects
    report = fresh.check(read_data=True)
    assert report.ok, str(report)
    for entry in fresh.items():
        fresh.get(entry.ref)


def contents(lake: lf.Lake) -> dict[str, bytes]:
    """Return all objects of a lake."""
    store = open_store(lake.uri)
    return {info.key: bytes(store.get(info.key)) for info in store.list("")}


def append_row(lake: lf.Lake, **values: Any) -> dict[str, Any]:
    """Append a row to ``manifests`` as anyone can who has a Delta library, and return it."""
    return append_rows(lake, values)[0]


def append_rows(lake: lf.Lake, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    """Append rows of one version to ``manifests`` as anyone can who has a Delta library, and return them."""
    version = lf.open(lake.uri, read_only=True).version + 1
    whole = [
        {
            "version": version,
            "ordinal": ordinal,
            "committed_at": datetime.now(UTC),
            "commit_id": new_id(),
            "op": "put",
            "folio": "f",
            "item": "forged",
            "entry_id": new_id(),
            "kind": "json",
            "format": "json",
            "storage": "inline",
        }
        | values
        for ordinal, values in enumerate(rows)
    ]
    store = open_store(lake.uri)
    deltalake.write_deltalake(
        store.uri_of("tables/manifests"),
        pa.Table.from_pylist(whole, MANIFESTS_SCHEMA),
        mode="append",
        storage_options=store.options_for_delta(),
    )
    return whole
