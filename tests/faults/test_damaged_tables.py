"""Damage to the tables, their logs, checkpoints and the marker: told with the key, or no more than a loss of time."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import deltalake
import numpy as np
import pytest
from bad_input_support import check_line, refused
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.errors import FormatError, IntegrityError, LakefolioError
from lakefolio.format.layout import MARKER, log_key, log_prefix, table_prefix
from lakefolio.storage import Store, open_store
from lakefolio.storage.local import LocalStore

TABLES = ("manifests",)
SAID = ("manifests", "lineage", "metadata")


def fill(uri: str) -> lf.Lake:
    """Make a lake whose tables have files with and without copies of their rows in the log."""
    lake = lf.open(uri, author="ada")
    folio = lake.folio("f")
    folio.add_json("raw", {"lr": 0.01}, metadata={"source": "survey"})
    folio.add_json("made", [1], inputs=["raw"], metadata={"quality": 0.9})
    with lake.batch("many"):
        for number in range(120):
            folio.add_json(f"item {number}", number, inputs=["raw"], metadata={"number": number})
    folio.add_numpy("array", np.arange(1000.0), inputs=["made", "s3://elsewhere/x"], metadata={"a": 1, "b": 2})
    lake.snapshot("taken")
    folio.add_json("last", 3, inputs=["array"], metadata={"c": 3})
    return lake


@pytest.fixture
def lake(lake_uri: str) -> lf.Lake:
    return fill(lake_uri)


def everything(lake: lf.Lake) -> dict[str, Any]:
    """Return all that a lake says."""
    return {name: lake.scan(name).collect().to_dicts() for name in SAID}  # type: ignore[arg-type]


def files_of(lake: lf.Lake, table: str) -> list[str]:
    """Return the keys of the data files that must be read: those whose rows are not copied into the log."""
    store = open_store(lake.uri)
    largest = max(store.list(table_prefix(table)), key=lambda info: (info.key.endswith(".parquet"), info.size_bytes))
    return [largest.key]


DAMAGES: dict[str, Callable[[Store, str, bytes], None]] = {
    "half": lambda store, key, body: store.put(key, body[: len(body) // 2]),
    "one byte short": lambda store, key, body: store.put(key, body[:-1]),
    "empty": lambda store, key, body: store.put(key, b""),
    "zeros": lambda store, key, body: store.put(key, bytes(len(body))),
    "one byte more": lambda store, key, body: store.put(key, body + b" "),
    "a bit in the middle": lambda store, key, body: store.put(key, flipped(body, len(body) // 2)),
    "first byte": lambda store, key, body: store.put(key, flipped(body, 0, 255)),
    "a late bit": lambda store, key, body: store.put(key, flipped(body, len(body) - 12)),
    "missing": lambda store, key, body: store.delete([key]),
}


CHECKED = {"half", "zeros", "a late bit", "missing"}
"""Of another size, of the same one, in the last bytes, and none at all: a check, which looks three times, is tried."""


def flipped(body: bytes, place: int, mask: int = 1) -> bytes:
    changed = bytearray(body)
    changed[place] ^= mask
    return bytes(changed)


# -- data files and log entries -----------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_a_data_file(lake: lf.Lake, table: str) -> None:
    store = open_store(lake.uri)
    before = everything(lake)
    (key,) = files_of(lake, table)
    body = store.find(key) or b""
    for name, damage in DAMAGES.items():
        damage(store, key, body)
        for _ in range(2):
            error = refused(
                IntegrityError, "table-file-damaged", lambda: everything(lf.open(lake.uri)), key, repr(table)
            )
            assert error.key == key, name
        if name in CHECKED:
            assert ("table-file-damaged", key) in {(one.kind, one.object) for one in lake.check().problems}, name
        store.put(key, body)
    assert everything(lf.open(lake.uri)) == before
    assert lf.open(lake.uri).check(read_data=True).ok


@pytest.mark.parametrize("table", TABLES)
def test_a_log_entry(lake: lf.Lake, table: str) -> None:
    store = open_store(lake.uri)
    before = everything(lake)
    for name in set(DAMAGES) - {"missing"}:
        for version in (0, 4, 2):
            key = log_key(table, version)
            body = store.find(key) or b""
            DAMAGES[name](store, key, body)
            for _ in range(2):
                error = refused(IntegrityError, "log-damaged", lambda: everything(lf.open(lake.uri)), key)
                assert (error.key, error.version) == (key, version), name
            if version == 2 and name in CHECKED:
                assert ("log-damaged", key) in {(one.kind, one.object) for one in lake.check().problems}, name
            store.put(key, body)
    assert everything(lf.open(lake.uri)) == before


@pytest.mark.parametrize("table", TABLES)
def test_a_gap_in_the_log(lake: lf.Lake, table: str) -> None:
    store = open_store(lake.uri)
    before = everything(lake)
    for version in (0, 1, 3):
        key = log_key(table, version)
        body = store.find(key) or b""
        store.delete([key])
        for _ in range(2):
            error = refused(IntegrityError, "log-gap", lambda: everything(lf.open(lake.uri)), repr(table), str(version))
            assert (error.table, error.version) == (table, version)
        assert "log-gap" in {one.kind for one in lake.check().problems}
        store.put(key, body)
    assert everything(lf.open(lake.uri)) == before


def test_an_open_handle_meets_damage(lake: lf.Lake) -> None:
    """It says so at every look, and goes on where it was when the damage is mended."""
    warm, other, store = lf.open(lake.uri), lf.open(lake.uri), open_store(lake.uri)
    everything(warm)
    with other.batch():
        for number in range(150):
            other.folio("new").add_json(f"x{number}", number, inputs=["f:raw"], metadata={"k": number})
    key = log_key("manifests", other.version)
    (data,) = [
        info.key
        for info in store.list(table_prefix("manifests"))
        if info.key.startswith(f"{table_prefix('manifests')}/{other.version:020d}")
    ]
    for damaged, kind in ((key, "log-damaged"), (data, "table-file-damaged")):
        body = store.find(damaged) or b""
        store.put(damaged, body[:-3])
        for _ in range(2):
            refused(IntegrityError, kind, lambda: warm.version, damaged)
            refused(IntegrityError, kind, lambda: warm.folio("f").get("raw"), damaged)
            refused(IntegrityError, kind, lambda: warm.folio("f").add_json("more", 1), damaged)
        store.put(damaged, body)
    assert warm.folio("new").get("x149") == 149
    warm.folio("f").add_json("more", 1)
    assert everything(warm) == everything(lf.open(lake.uri))
    assert warm.check(read_data=True).ok


def test_any_flipped_bit_in_the_tables_is_told_or_means_nothing(tmp_path: Any) -> None:
    """Each object of the tables, flipped in many places: an error that names it, or the very same answers."""
    lake = fill(str(tmp_path / "lake"))
    before = everything(lake)
    store = open_store(lake.uri)
    chance = random.Random(3)
    for info in [info for table in TABLES for info in store.list(table_prefix(table))]:
        body = store.find(info.key) or b""
        for place in {0, len(body) - 1, *(chance.randrange(len(body)) for _ in range(6))}:
            store.put(info.key, flipped(body, place, 1 << chance.randrange(8)))
            try:
                assert everything(lf.open(lake.uri)) == before, (info.key, place)
                if place > 40:  # the first characters say where a log entry keeps its digest
                    assert not info.key.endswith(".json"), (info.key, place)
            except LakefolioError as error:
                check_line(error, info.key)
                assert error.kind in ("log-damaged", "table-file-damaged"), error.kind
        store.put(info.key, body)
    assert everything(lf.open(lake.uri)) == before


# -- checkpoints --------------------------------------------------------------------------------------------


def pointer_of(table: str) -> str:
    return f"{log_prefix(table)}/_last_checkpoint"


@pytest.fixture
def checkpointed(lake: lf.Lake) -> lf.Lake:
    lake.compact()
    lake.folio("f").add_json("after", 1, inputs=["last"], metadata={"d": 4})
    return lake


@pytest.mark.parametrize("table", TABLES)
def test_a_damaged_checkpoint_costs_time(checkpointed: lf.Lake, table: str) -> None:
    store = open_store(checkpointed.uri)
    before = everything(checkpointed)
    version = json.loads(store.find(pointer_of(table)) or b"")["version"]
    key = f"{log_prefix(table)}/{version:020d}.checkpoint.parquet"
    body = store.find(key) or b""
    places = [len(body) // 7 * part for part in range(1, 7)]
    wrong = [flipped(body, place, 16) for place in places]
    wrong += [body[:-1], body[: len(body) // 2], b"", bytes(len(body)), b"PAR1", None]
    for one in wrong:
        store.put(key, one) if one is not None else store.delete([key])
        fresh = lf.open(checkpointed.uri)
        assert everything(fresh) == before
        assert [(found.kind, found.object) for found in fresh.check().problems] == [("checkpoint-damaged", key)]
    fresh.folio("f").add_json("more", 1, inputs=["after"])
    fresh.compact()
    assert fresh.check().ok
    assert everything(lf.open(checkpointed.uri)) == everything(fresh)


@pytest.mark.parametrize("table", TABLES)
def test_a_damaged_pointer_costs_time(checkpointed: lf.Lake, table: str) -> None:
    store = open_store(checkpointed.uri)
    before = everything(checkpointed)
    pointer = json.loads(store.find(pointer_of(table)) or b"")
    for wrong in (
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps({}).encode(),
        json.dumps(pointer | {"version": pointer["version"] + 1}).encode(),
        json.dumps(pointer | {"version": 10**30}).encode(),
        json.dumps(pointer | {"version": -1}).encode(),
        json.dumps(pointer | {"version": str(pointer["version"])}).encode(),
        json.dumps(pointer | {"version": True}).encode(),
        json.dumps(pointer | {"parts": 3}).encode(),
        json.dumps(pointer | {"tags": 3}).encode(),
        json.dumps(pointer | {"tags": {"lakefolio.seal": "0" * 64}}).encode(),
    ):
        store.put(pointer_of(table), wrong)
        fresh = lf.open(checkpointed.uri)
        assert everything(fresh) == before, wrong[:50]
        assert [found.kind for found in fresh.check().problems] == ["checkpoint-damaged"], wrong[:50]
    store.delete([pointer_of(table)])
    assert everything(lf.open(checkpointed.uri)) == before


def test_check_reports_and_goes_on_where_events_are_damaged(checkpointed: lf.Lake) -> None:
    with checkpointed.run("r") as run:
        run.log_event("step", metadata={"n": 1})
    checkpointed.folio("f").add("large", bytes(9000))
    store = open_store(checkpointed.uri)
    (key,) = (one.key for one in store.list(table_prefix("event_rows") + "/") if one.key.endswith(".parquet"))
    blob = next(one.key for one in store.list("blobs/") if one.size_bytes == 9000)
    store.delete([key, blob])
    assert {(found.kind, found.object) for found in lf.open(checkpointed.uri).check(read_data=True).problems} >= {
        ("table-file-missing", key),
        ("blob-missing", blob),
    }


def test_a_gap_below_the_checkpoint_is_found_by_check(checkpointed: lf.Lake) -> None:
    before = everything(checkpointed)
    open_store(checkpointed.uri).delete([log_key("manifests", 2)])
    fresh = lf.open(checkpointed.uri)
    assert everything(fresh) == before
    assert [one.kind for one in fresh.check().problems] == ["log-gap"]


def test_a_file_that_the_checkpoint_names_is_gone(checkpointed: lf.Lake) -> None:
    """Who needs its rows is refused; who does not, because read models answer, is not. Check says so."""
    key = next(
        info.key
        for info in open_store(checkpointed.uri).list(table_prefix("manifests"))
        if f"/{lf.open(checkpointed.uri).version - 1:020d}-" in info.key
    )
    expected = {name: list(checkpointed.folio(name)) for name in checkpointed.folios()}
    open_store(checkpointed.uri).delete([key])
    lake = lf.open(checkpointed.uri)
    assert {name: list(lake.folio(name)) for name in lake.folios()} == expected
    for _ in range(2):
        refused(IntegrityError, "table-file-damaged", lambda: lake.sql("select count(*) from manifests"), key)
    assert key in {one.object for one in lake.check().problems}


def test_other_libraries_read_sealed_logs_and_checkpoints(checkpointed: lf.Lake) -> None:
    store = open_store(checkpointed.uri)
    for table in TABLES:
        found = deltalake.DeltaTable(
            store.uri_of(table_prefix(table)), storage_options=store.options_for_delta()
        ).to_pyarrow_table()
        assert found.num_rows == checkpointed.scan(table).collect().height  # type: ignore[arg-type]


# -- the marker and versions --------------------------------------------------------------------------------


def write_marker(lake: lf.Lake, **changes: Any) -> None:
    store = open_store(lake.uri)
    store.put(MARKER, json.dumps(json.loads(store.find(MARKER) or b"") | changes).encode())


OPENINGS: dict[str, Callable[[str], Any]] = {
    "open": lambda uri: lf.open(uri),
    "open without create": lambda uri: lf.open(uri, create=False),
    "Folio": lambda uri: lf.Folio(uri, "f"),
}
READINGS: dict[str, Callable[[str], Any]] = {
    "open read-only": lambda uri: lf.open(uri, read_only=True),
    "Folio read-only": lambda uri: lf.Folio(uri, "f", read_only=True),
}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"lake_id": "x", "format_version": 1, "min_reader_version": 1, "min_writer_version": 1}',
    ],
    ids=lambda body: str(body[:12]),
)
def test_a_damaged_marker(lake: lf.Lake, body: bytes) -> None:
    store = open_store(lake.uri)
    whole = store.find(MARKER) or b""
    store.put(MARKER, body)
    for action in (OPENINGS | READINGS).values():
        refused(FormatError, "marker-damaged", lambda action=action: action(lake.uri), MARKER, lake.uri)
    assert store.find(MARKER) == body  # nobody "repairs" it
    store.put(MARKER, whole)
    assert lf.open(lake.uri).folio("f").get("last") == 3


@pytest.mark.parametrize(
    ("body", "why"),
    [(b"[]", "it is no object"), (b"null", "it is no object"), (b'{"lake_id": ""}', "it lacks 'format_version'")],
)
def test_a_marker_that_is_another_document_says_what_is_wrong(lake: lf.Lake, body: bytes, why: str) -> None:
    open_store(lake.uri).put(MARKER, body)
    with pytest.raises(FormatError, match=f"is damaged: {why}"):
        lf.open(lake.uri)


def test_marker_fields_of_other_types(lake: lf.Lake) -> None:
    store = open_store(lake.uri)
    whole = store.find(MARKER) or b""
    for change in (
        {"lake_id": 3},
        {"lake_id": "../x"},
        {"format_version": "1"},
        {"min_reader_version": None},
        {"min_writer_version": 1.5},
    ):
        write_marker(lake, **change)
        refused(FormatError, "marker-damaged", lambda: lf.open(lake.uri), MARKER)
        store.put(MARKER, whole)
    write_marker(lake, something_new=1)
    assert lf.open(lake.uri).folio("f").get("last") == 3


def test_a_newer_format_that_may_not_be_read(lake: lf.Lake) -> None:
    write_marker(lake, format_version=7, min_reader_version=7, min_writer_version=7)
    for action in (OPENINGS | READINGS).values():
        error = refused(FormatError, "format-too-new", lambda action=action: action(lake.uri), lake.uri, "7", "upgrade")
        assert error.objects["format_version"] == 7
    for args in (["ls"], ["get", "f:last"], ["add", "f:x", __file__], ["check"], ["sql", "select 1"]):
        result = CliRunner().invoke(cli, ["--lake", lake.uri, *args])
        assert (result.exit_code, result.stdout) == (9, "")
        assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["error", "hint"]


def test_a_newer_format_that_may_be_read_but_not_written(lake: lf.Lake) -> None:
    before = lake.version
    write_marker(lake, format_version=7, min_writer_version=7)
    for action in OPENINGS.values():
        refused(FormatError, "format-too-new", lambda action=action: action(lake.uri), "read_only=True")
    reader = lf.open(lake.uri, read_only=True)
    assert (reader.version, reader.get("f:last")) == (before, 3)
    assert reader.check(read_data=True).ok
    result = CliRunner().invoke(cli, ["--lake", lake.uri, "get", "f:last"])
    assert (result.exit_code, result.stdout.strip()) == (0, "3")
    result = CliRunner().invoke(cli, ["--lake", lake.uri, "add", "f:x", __file__])
    assert (result.exit_code, result.stdout) == (9, "")
    assert lf.open(lake.uri, read_only=True).version == before


def test_another_digest_algorithm(lake: lf.Lake) -> None:
    write_marker(lake, digest_algorithm="blake3")
    refused(FormatError, "format-too-new", lambda: lf.open(lake.uri), "'blake3'")


def test_a_marker_that_is_gone(lake: lf.Lake) -> None:
    open_store(lake.uri).delete([MARKER])
    for options in ({}, {"create": False}, {"read_only": True}):
        refused(FormatError, "marker-missing", partial(lf.open, lake.uri, **options), lake.uri, MARKER)
    assert open_store(lake.uri).find(MARKER) is None


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_is_gone(lake: lf.Lake, table: str) -> None:
    store = open_store(lake.uri)
    store.delete([info.key for info in store.list(table_prefix(table))])
    for _ in range(2):
        error = refused(FormatError, "table-missing", lambda: everything(lf.open(lake.uri)), repr(table), lake.uri)
        assert error.table == table


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_somebody_upgraded(lake: lf.Lake, table: str) -> None:
    """Another tool raised the Delta protocol: refused at the next look, by readers and writers alike."""
    warm, store = lf.open(lake.uri), open_store(lake.uri)
    everything(warm)
    upgraded = deltalake.DeltaTable(store.uri_of(table_prefix(table)), storage_options=store.options_for_delta())
    upgraded.alter.add_feature(deltalake.TableFeatures.DeletionVectors, allow_protocol_versions_increase=True)
    for _ in range(2):
        error = refused(FormatError, "table-protocol", lambda: everything(lf.open(lake.uri)), repr(table), "3")
        assert error.table == table
    add = warm.folio("f").add_json
    for _ in range(2):
        refused(FormatError, "table-protocol", lambda: add("x", 1, inputs=["raw"], metadata={"a": 1}), repr(table))
    assert not any(info.key.endswith(f"{9:020d}.json") for info in store.list(log_prefix("manifests")))


@pytest.mark.parametrize("wrong", [lambda body: body[: len(body) // 2], lambda body: body[:-9] + b"X" + body[-8:]])
def test_what_comes_wrong_once_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: Callable[[bytes], bytes]
) -> None:
    """The first answer of each log entry and data file is damaged on its way, the object is not."""
    fill(str(tmp_path / "lake")).compact()
    lf.open(tmp_path / "lake").folio("f").add_json("after", "x" * 9000)
    find, get_many, seen = LocalStore.find, LocalStore.get_many, set[str]()

    def once(key: str, body: bytes | None) -> bytes | None:
        if body is None or key in seen or not key.startswith("tables/manifests/") or key.endswith("_last_checkpoint"):
            return body
        seen.add(key)
        return wrong(bytes(body))

    monkeypatch.setattr(LocalStore, "find", lambda store, key: once(key, find(store, key)))
    monkeypatch.setattr(
        LocalStore,
        "get_many",
        lambda store, keys: [once(*each) for each in zip(keys, get_many(store, keys), strict=True)],
    )
    lake = lf.open(tmp_path / "lake")
    assert lake.folio("f").get_json("last") == 3
    assert lake.check().ok
    assert lake.gc(dry_run=False, grace=0).deleted_blobs == 0
    assert len(seen) > 4
