"""Tickets: what is written is read back, what nobody wrote is refused, and every ticket gets its answer."""

from __future__ import annotations

import hashlib
import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.errors import AlreadyExistsError, IntegrityError
from lakefolio.format.digest import sha256_of_bytes
from lakefolio.format.names import new_id
from lakefolio.format.schema import INPUT_TYPE
from lakefolio.journal.tickets import Ticket, Tickets, parse_ticket, ticket_bytes
from lakefolio.model.changes import (
    KEEP,
    Annotate,
    Change,
    Commit,
    CopyItem,
    Delete,
    DropSnapshot,
    Put,
    Restore,
    SetArchived,
    TakeSnapshot,
    Update,
)
from lakefolio.model.entries import Entry, Stored
from lakefolio.testing import CountingProxy

INLINE = Stored(kind="json", storage="inline", format="json", content=b"1", digest=sha256_of_bytes(b"1"), size_bytes=1)
BLOB = Stored(
    kind="array", storage="blob", blob_digest=sha256_of_bytes(b"2"), generation=1, details={"shape": [2, None]}
)
ENTRY = Entry(
    version=3,
    ordinal=0,
    committed_at=datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
    commit_id=new_id(),
    reason=None,
    author="Ünal",
    message=None,
    folio="f/g",
    item="i",
    entry_id=new_id(),
    kind="json",
    storage="inline",
    content=b"1",
    digest=sha256_of_bytes(b"1"),
    tags=("a",),
    inputs=(dict.fromkeys(INPUT_TYPE.names) | {"input_kind": "external", "input_uri": "s3://a/b"},),
    facts={"k": "1"},
)
EVERY: list[Change] = [
    Put(
        folio="f", item="i", stored=INLINE, entry_id=new_id(), tags=("t",), inputs=("g:x@3",), metadata={"k": '{"a":1}'}
    ),
    Put(folio="f", item="i/ü", stored=BLOB, entry_id=new_id(), description="words", overwrite=True),
    Update("f", "i"),
    Update("f", "i", description=None, tags=(), metadata={"a": None, "b": "1"}, inputs=("x",)),
    Update("f", "i", description="d", tags=KEEP),
    Delete("f", "i"),
    SetArchived("f", "i", archived=True),
    Annotate("lake", "", {"a": "1", "b": None}),
    Annotate("folio", "f", {}, clear=True),
    TakeSnapshot(name="s", folio="f", message="m", tags=("a", "b"), extra={"x": [1]}, target_version=4),
    DropSnapshot("s"),
    Restore(3, "f", ("a", "b")),
    Restore(0),
    CopyItem(source=ENTRY, folio="f", item="j", entry_id=new_id()),
    Put(folio="f", item="v", stored=INLINE, entry_id=new_id(), version="1.2.0-rc.1"),
    Put(folio="f", item="b", stored=INLINE, entry_id=new_id(), bump="auto"),
    Update("f", "v", version="1.2.0"),
]


def made(*changes: Change) -> Ticket:
    return Ticket(7, (Commit(commit_id=new_id(), changes=changes, author="a", message=None, run_id=None),))


@pytest.mark.parametrize("change", EVERY, ids=lambda change: type(change).__name__)
def test_every_change_survives(change: Change) -> None:
    ticket = made(change)
    assert parse_ticket(ticket_bytes(ticket), ticket.ticket_id) == ticket


def broken(change: Change, edit: Any) -> tuple[bytes, str]:
    ticket = made(change)
    value = json.loads(ticket_bytes(ticket).partition(b"\n")[2])
    edit(value)
    body = json.dumps(value).encode()
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body, ticket.ticket_id


def changed(**values: Any) -> Any:
    return lambda value: value["commits"][0]["changes"][0].update(values)


@pytest.mark.parametrize(
    ("change", "edit"),
    [
        (EVERY[0], changed(folio="../f")),
        (EVERY[0], changed(item="")),
        (EVERY[0], changed(item=7)),
        (EVERY[0], changed(description="\ud800")),
        (EVERY[0], changed(entry_id="x")),
        (EVERY[0], changed(overwrite=1)),
        (EVERY[0], changed(op="purge")),
        (EVERY[0], changed(version="1.2")),
        (EVERY[0], changed(bump="huge")),
        (EVERY[0], changed(unknown=1)),
        (EVERY[0], changed(metadata={"k": "not json"})),
        (EVERY[0], changed(metadata={"k": None})),
        (EVERY[0], lambda value: value["commits"][0]["changes"][0]["stored"].update(content="Mg==")),
        (EVERY[0], lambda value: value["commits"][0]["changes"][0]["stored"].update(storage="elsewhere")),
        (EVERY[1], lambda value: value["commits"][0]["changes"][0]["stored"].update(blob_digest="sha256:../..")),
        (EVERY[1], lambda value: value["commits"][0]["changes"][0]["stored"].update(generation=2**31)),
        (EVERY[1], lambda value: value["commits"][0]["changes"][0]["stored"].update(row_count=2**70)),
        (EVERY[7], changed(subject_kind="entry")),
        (EVERY[11], changed(target_version="3")),
        (EVERY[0], lambda value: value.update(base=-1)),
        (EVERY[0], lambda value: value.update(format=1)),
        (EVERY[0], lambda value: value.update(commits=[])),
        (EVERY[0], lambda value: value["commits"][0].update(commit_id=new_id())),
        (EVERY[0], lambda value: value["commits"][0].update(author=3)),
    ],
)
def test_what_no_writer_writes_is_refused(change: Change, edit: Any) -> None:
    body, ticket_id = broken(change, edit)
    with pytest.raises(IntegrityError) as caught:
        parse_ticket(body, ticket_id)
    assert caught.value.kind == "ticket-damaged"


def test_damage_is_seen() -> None:
    ticket = made(EVERY[0])
    body = ticket_bytes(ticket)
    for at in range(0, len(body), 7):
        with pytest.raises(IntegrityError):
            parse_ticket(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :], ticket.ticket_id)


def crowd(lake: lf.Lake) -> lf.Lake:
    """Make a handle go by ticket."""
    session_of(lake).journal.committer.contend(float("inf"))
    session_of(lake).journal.committer.peers = None
    return lake


def left(lake: lf.Lake, *changes: Change) -> Ticket:
    """Leave the ticket of a writer that is no more."""
    journal = session_of(lake).journal
    ticket = Ticket(journal.state.version, (Commit(commit_id=new_id(), changes=changes),))
    Tickets(journal.store).create(ticket)
    return ticket


def pending(lake: lf.Lake) -> list[str]:
    return list(Tickets(session_of(lake).store).listed())


def test_a_writer_by_ticket_commits_what_others_left(lake_uri: str) -> None:
    lake = lf.open(lake_uri)
    lake.folio("f").add_json("first", 1)
    left(lake, Put(folio="f", item="left", stored=INLINE, entry_id=new_id(), inputs=("first",), metadata={"k": "1"}))
    left(lake, Put(folio="f", item="first", stored=INLINE, entry_id=new_id()))  # its name is taken
    left(lake, SetArchived("f", "first", archived=False))  # makes no rows
    session_of(lake).store.create(f"pending/{new_id()}", b"nonsense")
    crowd(lake).folio("f").add_json("own", 2, inputs=["first"])
    assert lake.version == 2
    assert pending(lake) == []
    fresh = lf.open(lake_uri)
    assert sorted(session_of(fresh).state().names("f")) == ["first", "left", "own"]
    assert fresh.folio("f").get_inputs("left") == ["first"]
    assert fresh.check(read_data=True).ok
    lake.folio("f").add_json("alone", 3)
    assert pending(lake) == []


def test_a_ticket_that_was_decided_is_only_taken_away(lake_uri: str) -> None:
    lake = lf.open(lake_uri)
    ticket = left(lake, Put(folio="f", item="once", stored=INLINE, entry_id=new_id(), overwrite=True))
    refused = left(lake, Delete("f", "later"))
    assert session_of(lake).journal.settle() == 2
    assert session_of(lake).state().names("f") == ["once"]
    lake.folio("f").add_json("later", 1)
    other = crowd(lf.open(lake_uri))  # has not read what was decided
    for one in (ticket, refused):
        Tickets(session_of(lake).store).create(one)
    other.folio("f").add_json("more", 2)
    assert pending(lake) == []
    assert other.folio("f").get_json("later") == 1, "it was refused once, and for good"
    assert len(other.history("f:once").to_dicts()) == 1
    assert other.check().ok


def test_who_is_refused_by_another_gets_its_own_error(tmp_path) -> None:
    """The first of two that want one name wins; the other is told, by whoever combines."""
    uri = str(tmp_path / "lake")
    lf.open(uri).folio("f").add_json("first", 1)
    lakes = [crowd(lf.open(uri)) for _ in range(8)]
    start = threading.Barrier(len(lakes))
    outcomes: list[object] = []

    def work(lake: lf.Lake, number: int) -> None:
        start.wait()
        try:
            put = Put(folio="f", item="one", stored=INLINE, entry_id=new_id(), description=str(number))
            outcomes.append(session_of(lake).journal.commit(Commit(commit_id=new_id(), changes=[put])).version)
        except AlreadyExistsError as exc:
            outcomes.append(exc.kind)

    threads = [threading.Thread(target=work, args=(lake, number)) for number, lake in enumerate(lakes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("item-exists") == 7
    assert len(lf.open(uri).history("f:one").to_dicts()) == 1
    assert pending(lakes[0]) == []
    assert lakes[0].check().ok


def test_upkeep_looks_for_tickets(tmp_path) -> None:
    lake = lf.open(str(tmp_path / "lake"))
    left(lake, Put(folio="f", item="left", stored=INLINE, entry_id=new_id()))
    for number in range(51):
        lake.folio("f").add_json(f"i{number}", number)
    assert "left" in session_of(lake).state().names("f")
    assert pending(lake) == []


def test_a_collector_commits_no_ticket_of_others(tmp_path) -> None:
    lake = lf.open(str(tmp_path / "lake"))
    lake.folio("f").add("orphan", b"x" * 5000)
    lake.folio("f").delete("orphan", warn_dependents=False)
    left(lake, Put(folio="f", item="left", stored=INLINE, entry_id=new_id()))
    lake.gc(dry_run=False, grace=0, keep_last=0)
    rows = lf.open(str(tmp_path / "lake")).scan("manifests").collect()
    (purged,) = rows.filter(rows["op"] == "purge")["version"].to_list()
    assert set(rows.filter(rows["version"] == purged)["op"]) == {"purge"}


def test_nobody_pays_for_tickets_who_is_alone(s3_proxy: CountingProxy, s3_uri: str) -> None:
    lake = lf.open(s3_uri, storage_options=s3_proxy.storage_options)
    lake.folio("f").add_json("first", 1)
    with s3_proxy.count() as count:
        lake.folio("f").add_json("second", 2)
    assert count.total == 2
    assert not any(request.kind == "pending" for request in count.requests)


def test_deltalake_reads_a_log_with_empty_entries(tmp_path) -> None:
    import deltalake

    lake = lf.open(str(tmp_path / "lake"))
    lake.folio("f").add_json("first", 1)
    session_of(lake).journal.committer.claim()
    left(lake, Delete("f", "nothing"))
    session_of(lake).journal.settle()
    lake.folio("f").add_json("second", 2)
    table = deltalake.DeltaTable(str(tmp_path / "lake/tables/manifests"))
    assert table.version() == lake.version == 4
    assert table.to_pyarrow_table().num_rows == 2
