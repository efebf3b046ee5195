"""Exact-version commits: races, lost answers, many writers; everything acknowledged is there exactly once."""

from __future__ import annotations

import json
import multiprocessing
import threading
from datetime import UTC, datetime, timedelta

import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.delta import objects
from lakefolio.delta.commit_clock import CommitClock
from lakefolio.errors import AlreadyExistsError, StorageError
from lakefolio.format.digest import sha256_of_bytes
from lakefolio.format.names import new_id
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.journal.head import JournalHead
from lakefolio.journal.journal import Journal
from lakefolio.model.changes import Commit, Put
from lakefolio.model.entries import Stored
from lakefolio.storage import Store, open_store
from lakefolio.testing import CountingProxy


def put(
    item: str, text: bytes = b"1", *, folio: str = "f", overwrite: bool = False, inputs: tuple[str, ...] = ()
) -> Put:
    stored = Stored(
        kind="json", storage="inline", format="json", content=text, digest=sha256_of_bytes(text), size_bytes=len(text)
    )
    return Put(folio=folio, item=item, stored=stored, entry_id=new_id(), overwrite=overwrite, inputs=inputs)


def commit(journal: Journal, *changes: Put) -> int:
    return journal.commit(Commit(commit_id=new_id(), changes=changes)).version


def opened(uri: str, store: Store | None = None) -> Journal:
    journal = Journal(store or open_store(uri), lf.open(uri).lake_id)
    journal.load()
    return journal


def combined(journal: Journal, commits: list[Commit]) -> list[int | Exception]:
    """Commit all in threads of their own, in one log entry; return the version or the error of each."""
    results: list[int | Exception] = [0] * len(commits)

    def work(number: int) -> None:
        try:
            results[number] = journal.commit(commits[number]).version
        except Exception as exc:
            results[number] = exc

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(commits))]
    journal.before_fork()  # no thread commits until it has gone on
    for count, thread in enumerate(threads, start=1):
        thread.start()
        while journal.waiting < count:
            pass
    journal.after_fork(child=False)
    for thread in threads:
        thread.join()
    return results


class Faulty:
    """A real store whose answer to some creates gets lost, before or after they took effect."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.after: list[str] = []
        self.before: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def create(self, key: str, data: bytes) -> None:
        for part in self.before:
            if part in key:
                self.before.remove(part)
                raise StorageError(f"connection reset on {key}", kind="connection", key=key)
        self._store.create(key, data)
        for part in self.after:
            if part in key:
                self.after.remove(part)
                raise StorageError(f"connection reset on {key}", kind="connection", key=key)


def test_versions_count_commits_and_times_increase(lake_uri: str) -> None:
    journal = opened(lake_uri)
    versions = [commit(journal, put(f"i{n}")) for n in range(5)]
    assert versions == [1, 2, 3, 4, 5]
    times = [journal.state.time_of(version) for version in versions]
    assert times == sorted(set(times))


def test_times_increase_even_if_the_clock_does_not(tmp_path) -> None:
    future = datetime.now(UTC) + timedelta(days=365)
    clock = CommitClock(open_store(str(tmp_path / "lake")))
    assert clock.now(future) == future + timedelta(microseconds=1)
    assert clock.now(None) < future


def test_a_stale_handle_commits_on_the_newest_state(lake_uri: str) -> None:
    one, two = opened(lake_uri), opened(lake_uri)
    commit(one, put("a"))
    assert commit(two, put("b")) == 2
    with pytest.raises(AlreadyExistsError) as caught:
        commit(one, put("b", b"2"))
    assert caught.value.kind == "item-exists"
    assert commit(two, put("c")) == 3
    assert one.refresh().names("f") == ["a", "b", "c"]


def test_a_lost_create_writes_its_data_file_under_another_name(tmp_path) -> None:
    uri = str(tmp_path / "lake")
    journal, stale = opened(uri), opened(uri)
    commit(journal, put("x"))
    commit(stale, put("y"))
    named = {path.name for path in (tmp_path / "lake" / "tables" / "manifests").glob("*.parquet")}
    added = {}
    for path in (tmp_path / "lake" / "tables" / "manifests" / "_delta_log").glob("*.json"):
        for line in path.read_text().splitlines():
            if add := json.loads(line).get("add"):
                added[add["path"]] = int(path.stem)
    assert {name: int(name.partition("-")[0]) for name in added} == added
    assert sorted(added.values()) == [1, 2]
    assert {int(name.partition("-")[0]) for name in named - added.keys()} == {1}, "the file of the lost create"


def test_an_objection_on_a_stale_state_is_looked_at_again(lake_uri: str) -> None:
    one, two = lf.open(lake_uri), lf.open(lake_uri)
    one.folio("f").add_json("a", 1)
    two.folio("f").get_data("a")
    one.folio("f").delete("a")
    two.folio("f").add_json("a", 2)  # two has not seen the deletion yet
    assert one.folio("f").get_data("a") == 2


@pytest.mark.parametrize("part", ["tables/manifests/0", "manifests/_delta_log"])
def test_a_lost_answer_is_not_a_conflict(lake_uri: str, part: str) -> None:
    lf.open(lake_uri).folio("f").add_json("a", 1)
    faulty = Faulty(open_store(lake_uri))
    journal = opened(lake_uri, faulty)
    faulty.after = [part]
    added = Commit(commit_id=new_id(), changes=[put("b", b"2", inputs=("a",))])
    if part.startswith("manifests"):
        assert journal.commit(added).version == 2
    else:
        with pytest.raises(StorageError):
            journal.commit(added)
        assert journal.commit(added).version == 2
    other = lf.open(lake_uri)
    assert other.folio("f").get_inputs("b") == ["a"]
    assert len(other.history("f:b").to_dicts()) == 1
    assert other.check(read_data=True).ok


@pytest.mark.parametrize("part", ["tables/manifests/0", "manifests/_delta_log"])
def test_a_failed_commit_leaves_nothing_visible(lake_uri: str, part: str) -> None:
    lf.open(lake_uri).folio("f").add_json("a", 1)
    faulty = Faulty(open_store(lake_uri))
    journal = opened(lake_uri, faulty)
    faulty.before = [part]
    with pytest.raises(StorageError):
        commit(journal, put("b", b"2", inputs=("a",)))
    other = lf.open(lake_uri)
    assert other.folio("f").list_contents()["json_data"] == ["a"]
    assert other.sql("select count(*) from lineage_edges").fetchone() == (0,)
    assert other.check(read_data=True).ok
    commit(journal, put("b", b"3", inputs=("a",)))
    assert other.folio("f").get_data("b") == 3


def test_the_same_commit_given_again_is_recognised(lake_uri: str) -> None:
    """A commit id that is in the log already is found when the create is lost to it."""
    one, two = opened(lake_uri), opened(lake_uri)
    again = Commit(commit_id=new_id(), changes=[put("a")])
    assert one.commit(again).version == 1
    assert two.commit(again).version == 1
    assert two.refresh().version == 1


def test_the_same_commit_given_to_another_handle_is_recognised(lake_uri: str) -> None:
    """Whether that handle was there before the commit, or read of it when it was opened."""
    once = Commit(commit_id=new_id(), changes=[put("once")])
    before = opened(lake_uri)
    done = opened(lake_uri).commit(once)
    commit(before, put("more"))
    for journal in (before, opened(lake_uri)):
        again = journal.commit(once)
        assert (again.version, again.committed_at) == (done.version, done.committed_at)
        assert [row["item"] for row in journal.state.rows_since(-1).to_pylist()].count("once") == 1
    assert before.refresh().version == 2


def test_threads_combine(lake_uri: str) -> None:
    journal = opened(lake_uri)
    errors: list[BaseException] = []
    start = threading.Barrier(8)

    def work(number: int) -> None:
        try:
            start.wait()
            for n in range(10):
                commit(journal, put(f"{number}-{n}"))
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    fresh = lf.open(lake_uri)
    assert sorted(session_of(fresh).state().names("f")) == sorted(f"{a}-{b}" for a in range(8) for b in range(10))
    assert fresh.check().ok
    assert fresh.sql("select count(distinct commit_id) from commits").fetchone() == (80,)


def test_one_objection_does_not_spoil_what_is_combined_with_it(tmp_path) -> None:
    journal = opened(str(tmp_path / "lake"))
    commit(journal, put("taken", b"other"))
    three = [Commit(commit_id=new_id(), changes=[put(item)]) for item in ("x", "taken", "y")]
    first, refused, last = combined(journal, three)
    assert first == last == 2
    assert isinstance(refused, AlreadyExistsError)


def _writer(uri: str, number: int, count: int, done: multiprocessing.Queue[list[str]]) -> None:
    folio = lf.open(uri).folio("f")
    acknowledged = []
    for n in range(count):
        folio.add_json(f"{number}-{n}", n, inputs=[f"{number}-{n - 1}"] if n else None)
        acknowledged.append(f"{number}-{n}")
    done.put(acknowledged)


def test_processes_lose_nothing(lake_uri: str) -> None:
    lf.open(lake_uri)
    context = multiprocessing.get_context("spawn")
    done = context.Queue()
    workers = [context.Process(target=_writer, args=(lake_uri, number, 15, done)) for number in range(4)]
    for worker in workers:
        worker.start()
    acknowledged = [item for _ in workers for item in done.get(timeout=120)]
    for worker in workers:
        worker.join()
    lake = lf.open(lake_uri)
    assert sorted(session_of(lake).state().names("f")) == sorted(acknowledged)
    assert len(acknowledged) == 60
    assert lake.folio("f").get_inputs("3-9") == ["3-8"]
    report = lake.check(read_data=True)
    assert report.ok, str(report)


def test_of_two_commits_in_one_version_the_later_metadata_holds(tmp_path) -> None:
    """The ordinal of a metadata row counts within its transaction only."""
    from lakefolio.model.changes import Annotate

    journal = opened(str(tmp_path / "lake"))
    both = [
        Commit(commit_id=new_id(), changes=[Annotate("folio", "f", {"a": "1", "b": "1", "c": '"early"'})]),
        Commit(commit_id=new_id(), changes=[Annotate("folio", "f", {"c": '"late"'})]),
    ]
    assert combined(journal, both) == [1, 1]
    lake = lf.open(str(tmp_path / "lake"))
    assert lake.folio("f").metadata["c"] == "late"
    assert lake.sql("select value from current_metadata where key = 'c'").fetchall() == [('"late"',)]


def test_who_is_far_behind_catches_up_by_merged_files(s3_proxy: CountingProxy, s3_uri: str) -> None:
    """With few requests, to the very state and outcomes that reading entry by entry gives."""
    lake_id = lf.open(s3_uri, storage_options=s3_proxy.storage_options).lake_id
    late, slow = (JournalHead(open_store(s3_uri, s3_proxy.storage_options), lake_id) for _ in range(2))
    journal = opened(s3_uri, open_store(s3_uri, s3_proxy.storage_options))
    other = opened(s3_uri, open_store(s3_uri, s3_proxy.storage_options))
    late.load()
    slow.load()
    for number in range(300):
        commit(journal, put(f"i{number}", overwrite=True), put("same", overwrite=True))
    with s3_proxy.count() as count:
        late.poll(skip=True)
    assert count.total < 120, "and not one for each entry"
    slow.poll()
    assert late.state.version == slow.state.version == journal.state.version
    columns = [name for name in MANIFESTS_SCHEMA.names if name != "content"]  # that is read when it is asked for
    assert late.state.rows_since(-1).select(columns).equals(slow.state.rows_since(-1).select(columns))
    assert late.state.names("f") == slow.state.names("f")
    assert late.table.files.sizes == slow.table.files.sizes
    assert set(late.outcomes) < set(slow.outcomes)
    assert late.outcomes.complete_from(0)
    assert [late.outcomes.get(one) for one in slow.outcomes] == [slow.outcomes.get(one) for one in slow.outcomes]
    other.refresh()
    commit(other, put("after"))
    commit(journal, put("after that"))
    assert journal.state.names("f")[-2:] == ["after", "after that"]


def test_an_entry_that_a_listing_lacks_is_asked_for(lake_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is listed while others write in it may show what was created last and not what was before."""
    late, journal = opened(lake_uri), opened(lake_uri)
    for number in range(6):
        commit(journal, put(f"i{number}"))
    listed = late.store.list
    monkeypatch.setattr(
        late.store, "list", lambda *a, **k: (one for one in listed(*a, **k) if not one.key.endswith("4.json"))
    )
    assert late.refresh().version == 6
    assert len(late.state.names("f")) == 6


def test_the_log_entry_beside_a_checkpoint_is_not_parsed_to_its_end(tmp_path, monkeypatch):
    """A merge of thousands of files is an entry of as many lines, of which the checkpoint says what is left."""
    lake = lf.open(tmp_path / "lake")
    for number in range(12):
        lake.folio("f").add(f"x{number}", number)
    lake.compact()
    log = tmp_path / "lake" / "tables" / "manifests" / "_delta_log"
    last = max(log.glob("*[0-9].json"))
    assert last.read_text().count('"remove"') > 3
    assert any(log.glob(f"{last.stem}.checkpoint.parquet"))
    parsed = []
    removed = objects.removed_by
    monkeypatch.setattr(objects, "removed_by", lambda action: parsed.append(action) or removed(action))
    assert len(lf.open(tmp_path / "lake").items("f")) == 12
    assert not parsed
    body = last.read_bytes()
    place = body.index(b'"remove"')
    last.chmod(0o644)
    last.write_bytes(body[:place] + b'"remowe"' + body[place + 8 :])
    with pytest.raises(lf.IntegrityError) as caught:
        lf.open(tmp_path / "lake").items("f")
    assert caught.value.kind == "log-damaged"
