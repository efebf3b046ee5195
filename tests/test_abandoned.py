"""Temporary folders of killed processes go with the next process; those of living ones stay."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lakefolio.process.abandoned import hold, sweep

HOLDS = """
import sys, pathlib
from lakefolio.process.abandoned import hold
hold(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def aged(folder: Path, seconds: float = 7200) -> None:
    os.utime(folder, (time.time() - seconds,) * 2)


def test_the_folder_of_a_killed_process_is_swept_and_that_of_a_living_one_is_not(tmp_path):
    folder = tmp_path / "mine-1"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        (folder / "spilled").write_bytes(b"x")
        aged(folder)
        assert sweep(tmp_path, "mine-") == 0
        process.kill()
    assert sweep(tmp_path, "mine-") == 1
    assert not folder.exists()


@pytest.mark.parametrize("what", ["young", "unmarked", "link", "other name"])
def test_what_may_belong_to_somebody_stays(tmp_path, what):
    folder = tmp_path / "place" / ("other" if what == "other name" else "mine-1")
    folder.parent.mkdir()
    real = tmp_path / "elsewhere" if what == "link" else folder
    real.mkdir()
    (real / "kept").write_bytes(b"x")
    if what != "unmarked":
        (real / ".owner").write_bytes(b"")
    if what == "link":
        folder.symlink_to(real)
    if what != "young":
        aged(real)
    assert sweep(tmp_path / "place", "mine-") == 0
    assert (real / "kept").exists()


def test_holding_a_folder_that_is_gone_is_no_error(tmp_path):
    hold(tmp_path / "gone")
    assert list(tmp_path.iterdir()) == []
