"""How much work a small item is for its writer, counted in calls and files: nobody's clock decides."""

from __future__ import annotations

import cProfile
import gc
import json
import os
import pstats
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.delta.table import DeltaTable
from lakefolio.format.arrow_rows import rows_of
from lakefolio.format.schema import MANIFESTS_SCHEMA
from lakefolio.model.state import State

ADDS = 20
ITEMS = 300
MOST_OF_AN_ADD = 690
MOST_OF_AN_ITEM = 300


def calls_of(action: Callable[[], None]) -> Counter[str]:
    """Return how often this thread called each function meanwhile, by file and name, and ``all`` of them.

    No garbage is collected meanwhile: what other tests left would be counted with it.
    """
    profile = cProfile.Profile()
    gc.disable()
    try:
        profile.runcall(action)
    finally:
        gc.enable()
    stats = pstats.Stats(profile)
    found: Counter[str] = Counter({"all": stats.total_calls})  # type: ignore[attr-defined]
    for (path, _, name), (_, count, *_) in stats.stats.items():  # type: ignore[attr-defined]
        found[f"{Path(path).name}:{name}"] += count
    return found


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    """A lake with a warm handle that states no rules."""
    return warm(lf.open(tmp_path / "lake"))


def warm(lake: lf.Lake) -> lf.Lake:
    for number in range(5):
        lake.folio("f").add_json(f"warm-{number}", {"n": number})
    return lake


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Counter[str], Counter[str]]:
    """What a few adds call, and what many in a batch do, in a process that did nothing else: always as much."""
    folder = tmp_path_factory.mktemp("counted")
    code = "import sys, test_cost_of_adding as this; this.print_counts(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder / "lake")],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith(("LAKEFOLIO_", "AWS_"))},
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
            "XDG_CONFIG_HOME": str(folder),
            "XDG_CACHE_HOME": str(folder),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    one, many = json.loads(done.stdout)
    return Counter(one), Counter(many)


def print_counts(place: str) -> None:
    lake = warm(lf.open(place))
    print(json.dumps([calls_of(lambda: add_some(lake)), calls_of(lambda: add_many(lake))]))


def add_some(lake: lf.Lake) -> None:
    for number in range(ADDS):
        lake.folio("f").add_json(f"one-{number}", {"lr": 0.01, "n": number})


def add_many(lake: lf.Lake) -> None:
    with lake.batch():
        for number in range(ITEMS):
            lake.folio("f").add_json(f"many-{number}", {"lr": 0.01, "n": number})


def test_a_small_item_is_few_calls(counted: tuple[Counter[str], Counter[str]]) -> None:
    one, many = counted
    assert one["all"] / ADDS < MOST_OF_AN_ADD
    assert many["all"] / ITEMS < MOST_OF_AN_ITEM


def test_rules_that_no_lake_states_cost_a_look_up(counted: tuple[Counter[str], Counter[str]]) -> None:
    found, _ = counted
    assert found["version_policy.py:policy_of"] == found["naming.py:naming_of"] == ADDS  # once a plan
    for part in (
        "state_facts.py:metadata",
        "version_policy.py:label_for",
        "version_policy.py:over",
        "naming.py:check",
        "item_versions.py:versions_of",
    ):
        assert found[part] == 0, part


def test_rules_of_a_batch_are_looked_up_once(counted: tuple[Counter[str], Counter[str]]) -> None:
    _, found = counted
    assert found["version_policy.py:policy_of"] <= 4
    assert found["naming.py:naming_of"] <= 4


def test_an_add_opens_two_files_below_the_folders_on_the_way(counted: tuple[Counter[str], Counter[str]]) -> None:
    found, _ = counted
    assert found["local.py:_write"] == 2 * ADDS
    opened = found["~:<built-in method posix.open>"]
    assert opened == found["~:<built-in method posix.close>"]
    assert opened <= 10 * ADDS
    assert found["~:<built-in method io.open>"] == 0


def test_a_rule_stated_later_holds_at_once(lake: lf.Lake, tmp_path: Path) -> None:
    """What is remembered of a folio's facts is forgotten with the commit that changes them, whoever makes it."""
    folio, other = lake.folio("g"), lf.open(tmp_path / "lake").folio("g")
    folio.add_json("run-001", 1)
    other.set_naming("run-{n:03d}")
    with pytest.raises(lf.LakefolioError, match="does not fit"):
        folio.add_json("anything", 1)
    other.set_naming(None)
    folio.add_json("anything", 1)
    lake.set_version_policy(bump="minor")
    other.add_json("labelled", 1)
    assert other.get_json("labelled", at="1.0.0") == 1


class Base:
    """A base that notes which names it is asked for, and knows all of them."""

    version = 3

    def __init__(self) -> None:
        self.asked: list[str] = []

    def live(self, folio: str, item: str) -> bool:
        self.asked.append(f"{folio}:{item}")
        return True


def test_a_base_is_asked_once_whether_a_name_is_taken() -> None:
    """Who adds an item asks several times; each answer of a read model costs the hash of the name."""
    base = Base()
    state = State(3, None, base)  # type: ignore[arg-type]
    assert all(state.live("f", item) for item in ("x", "x", "y", "y", "x"))
    assert base.asked == ["f:x", "f:y"]
    row = {"op": "delete", "folio": "f", "item": "x", "version": 4, "committed_at": datetime.now(UTC)}
    gone = state.extended(rows_of(MANIFESTS_SCHEMA, [row]), 4)
    assert not gone.live("f", "x")
    assert gone.live("f", "y")
    assert state.live("f", "x")
    assert base.asked == ["f:x", "f:y"]
    assert all(state.live("f", f"n{number}") for number in range(20_000))
    assert len(state._asked) <= 5000


class WatchedLock:
    """A lock that notes, each time it is given back, the version of a table and that which its owner follows."""

    def __init__(self, table: DeltaTable) -> None:
        self.table = table
        self.followed = table.version
        self.seen: list[tuple[int, int]] = []

    def __enter__(self) -> None:
        pass

    def __exit__(self, *args: object) -> None:
        self.seen.append((self.table.version, self.followed))

    def moved(self) -> None:
        self.followed = self.table.version


def test_no_thread_finds_a_merge_that_its_journal_does_not_know(lake: lf.Lake) -> None:
    """Whoever takes the lock between the two would take it for an interrupted commit, and read the journal anew."""
    table = session_of(lake).journal.manifests_table
    lock, before = WatchedLock(table), table.version
    table.maintain(lock, everything=True, moved=lock.moved)  # type: ignore[arg-type]
    assert table.version == before + 1
    assert all(version == followed for version, followed in lock.seen), lock.seen


@pytest.mark.parametrize("row", [{}, {"op": "put", "version": 3, "item": None, "tags": ["a"], "unknown": 1}])
def test_one_row_is_made_as_several_are(row: dict[str, object]) -> None:
    several = rows_of(MANIFESTS_SCHEMA, [row, row])
    one = rows_of(MANIFESTS_SCHEMA, [row])
    assert one.schema.equals(MANIFESTS_SCHEMA)
    assert pa.concat_tables([one, one]).equals(several)


@pytest.mark.parametrize("change", ["delete", "restore", "dependents"])
def test_the_cost_of_a_change_does_not_follow_the_items_beside_it(tmp_path: Path, change: str) -> None:
    """Each of many deletes in a batch would else cost as much as the folio has items."""

    def calls(items: int) -> int:
        lake = lf.open(tmp_path / str(items))
        folio = lake.folio("f")
        with lake.batch():
            for number in range(items):
                folio.add_json(f"i{number}", number, inputs=[f"i{number - 1}"] * (0 < number < 10))
        folio.add_json("i0", "another", overwrite=True)

        def act() -> None:
            with lake.batch(), warnings.catch_warnings():
                warnings.simplefilter("error")
                for number in reversed(range(10)):
                    if change == "delete":
                        folio.delete(f"i{number}")
                    elif change == "restore":
                        lake.restore(0, "f", [f"i{number}"])
                    else:
                        assert folio.get_dependents(f"i{number}") == [f"i{number + 1}"] * (number < 9)

        return calls_of(act)["all"]

    calls(20)  # what is imported and cached on the way
    few, many = calls(30), calls(400)
    assert many < 1.2 * few, (few, many)
