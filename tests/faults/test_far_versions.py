"""Objects under the names of log entries that nobody wrote: a gap is a gap, and costs nothing."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

import pytest

import lakefolio as lf
from lakefolio.errors import IntegrityError, LakefolioError

FAR = ["00001000000000000000", "00000000000000000099", "99999999999999999999"]


@pytest.mark.parametrize(("table", "version"), [("manifests", FAR[0]), ("metric_rows", FAR[1]), ("manifests", FAR[2])])
def test_a_log_entry_of_a_far_version_costs_no_memory(tmp_path: Path, table: str, version: str) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add_json("a", 1)
    with lake.run("r") as run:
        run.log(loss=1.0)
    shutil.copytree(tmp_path / "lake", tmp_path / "copy")
    (tmp_path / "lake" / "tables" / table / "_delta_log" / f"{version}.json").write_bytes(b"{}\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    acts = {
        "open": lambda: lf.open(tmp_path / "lake").sql("select * from metrics").fetchall(),
        "check": lambda: lake.check(),
        "gc": lambda: lake.gc(dry_run=False),
        "repair": lambda: lake.repair(tmp_path / "copy", dry_run=True),
    }
    for name, act in acts.items():
        try:
            act()
        except LakefolioError as exc:
            assert exc.kind == "log-gap", name
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
    assert "log-gap" in {problem.kind for problem in lake.check().problems}


def test_the_first_missing_version_is_named(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    for n in range(5):
        lake.folio("f").add_json(f"i{n}", n)
    log = tmp_path / "lake" / "tables" / "manifests" / "_delta_log"
    (log / f"{3:020d}.json").unlink()
    with pytest.raises(IntegrityError) as caught:
        lf.open(tmp_path / "lake")
    assert (caught.value.kind, caught.value.version) == ("log-gap", 3)
