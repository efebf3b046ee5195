"""A gigabyte in and out in bounded memory, in a process of its own so that its peak is its own."""

from __future__ import annotations

import os
import subprocess
import sys

CODE = """
import os, sys
import lakefolio
def held(what):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(what))
folio = lakefolio.Folio(sys.argv[1], "big")
folio.add_json("warm", 1)
before = held("VmRSS")
folio.add_artifact("big", sys.argv[2])
path = folio.get_artifact_path("big")
assert os.path.getsize(path) == os.path.getsize(sys.argv[2])
print(held("VmHWM") - before)
"""


def test_a_large_file_is_streamed(lake_uri: str, tmp_path) -> None:
    """400 MiB show what 1 GB would; the whole is measured in tests/bench/bench_folio.py.

    Counted from an open, written-to lake on. The whole process is to stay below 200 MB, which this does not assert: it
    was seen at 151 to 182 MB alone, and at 214 and 235 MB once, beside the whole suite, for a reason not found yet.
    """
    big = tmp_path / "big.bin"
    block = os.urandom(2**20)
    with big.open("wb") as file:
        for number in range(400):
            file.write(number.to_bytes(8, "big") + block[8:])
    environment = {**os.environ, "LAKEFOLIO_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", CODE, lake_uri, str(big)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 64e6
