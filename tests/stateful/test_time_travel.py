"""Whatever happened, the state filtered at version V equals Delta's own time travel to V, as deltalake reads it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import lakefolio as lf

FOLIOS = st.sampled_from(["a", "b/c"])
ITEMS = st.sampled_from(["x", "y", "z"])
VALUES = st.one_of(st.integers(), st.text(max_size=5), st.lists(st.integers(), max_size=3))


class Journal(RuleBasedStateMachine):
    """Several handles on one lake, against a dict; every version's state is remembered and must stay so."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.uri = str(Path(self.folder.name) / "lake")
        self.handles = [lf.open(self.uri, author="one"), lf.open(self.uri, author="two")]
        self.model: dict[tuple[str, str], object] = {}
        self.past: dict[int, dict[tuple[str, str], object]] = {0: {}}
        self.snapshots: dict[str, int] = {}

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.compare_with_delta()
            report = self.handles[0].check(read_data=True)
            assert report.ok, str(report)
            self.folder.cleanup()

    def remember(self) -> None:
        version = self.handles[0].version
        for missing in range(max(self.past) + 1, version):
            self.past[missing] = self.past[missing - 1]
        self.past[version] = dict(self.model)

    @rule(which=st.integers(0, 1), folio=FOLIOS, item=ITEMS, value=VALUES)
    def add(self, which: int, folio: str, item: str, value: object) -> None:
        self.handles[which].folio(folio).add_json(item, value, overwrite=True)
        self.model[folio, item] = value
        self.remember()

    @rule(which=st.integers(0, 1), folio=FOLIOS, item=ITEMS)
    def delete(self, which: int, folio: str, item: str) -> None:
        try:
            self.handles[which].folio(folio).delete(item, warn_dependents=False)
        except lf.NotFoundError:
            assert (folio, item) not in self.model
        else:
            del self.model[folio, item]
        self.remember()

    @rule(
        which=st.integers(0, 1),
        values=st.dictionaries(st.tuples(FOLIOS, ITEMS), VALUES, max_size=4),
        fail=st.booleans(),
    )
    def batch(self, which: int, values: dict[tuple[str, str], object], fail: bool) -> None:
        try:
            with self.handles[which].batch("several"):
                for (folio, item), value in values.items():
                    self.handles[which].folio(folio).add_json(item, value, overwrite=True)
                if fail:
                    raise RuntimeError("changed my mind")
        except RuntimeError:
            pass
        else:
            self.model |= values
        self.remember()

    @rule(which=st.integers(0, 1), folio=FOLIOS, value=VALUES)
    def annotate(self, which: int, folio: str, value: object) -> None:
        self.handles[which].folio(folio).metadata["note"] = value
        assert self.handles[1 - which].folio(folio).metadata["note"] == value
        self.remember()

    @rule(which=st.integers(0, 1), name=st.sampled_from(["one", "two"]))
    def snapshot(self, which: int, name: str) -> None:
        try:
            self.snapshots[name] = self.handles[which].snapshot(name).target_version
        except lf.AlreadyExistsError:
            assert name in self.snapshots
        self.remember()

    @precondition(lambda self: len(self.past) > 1)
    @rule(which=st.integers(0, 1), data=st.data())
    def restore(self, which: int, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted(self.past)))
        self.handles[which].restore(version)
        self.model = dict(self.past[version])
        self.remember()

    @rule(which=st.integers(0, 1))
    def compact(self, which: int) -> None:
        self.handles[which].compact()
        self.remember()

    @rule()
    def reopen(self) -> None:
        self.handles[0] = lf.open(self.uri, author="one")

    @invariant()
    def both_handles_see_the_model(self) -> None:
        for lake in getattr(self, "handles", ()):
            assert contents(lake) == self.model

    @invariant()
    def snapshots_keep_their_answer(self) -> None:
        for name, version in getattr(self, "snapshots", {}).items():
            assert contents(self.handles[0].at(name)) == self.past[version]

    def compare_with_delta(self) -> None:
        import deltalake

        lake = self.handles[0]
        rows = lake.scan("manifests").collect().to_arrow()
        for version in range(lake.version + 1):
            travelled = deltalake.DeltaTable(f"{self.uri}/tables/manifests", version=version)
            native = pa.table(travelled.to_pyarrow_table())
            ours = rows.filter(pc.less_equal(rows["version"], version))
            assert keys(native) == keys(ours), version
            if version in self.past:
                assert contents(lake.at(version)) == self.past[version], version


def contents(lake: lf.Lake) -> dict[tuple[str, str], object]:
    """Return what is live in a lake: (folio, item) -> value."""
    return {
        (name, item): lake.folio(name).get_data(item)
        for name in lake.folios()
        for item in lake.folio(name).list_contents()["json_data"]
    }


def keys(rows: pa.Table) -> list[tuple[object, ...]]:
    """Return rows in order, as far as they tell rows apart."""
    names = ["version", "ordinal", "commit_id", "op", "folio", "item", "digest", "content"]
    return sorted(tuple(row.values()) for row in rows.select(names).to_pylist())


TestJournal = Journal.TestCase
TestJournal.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
