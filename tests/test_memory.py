"""A gigabyte in and out in bounded memory, in a process of its own so that its peak is its own."""

from __future__ import annotations

import os
import subprocess
import sys

CODE = """
import os, sys
import lakefolio
folio = lakefolio.Folio(sys.argv[1], "big")
folio.add_artifact("big", sys.argv[2])
path = folio.get_artifact_path("big")
assert os.path.getsize(path) == os.path.getsize(sys.argv[2])
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(*(int(status[name].split()[0]) * 1024 for name in ("VmHWM", "RssFile")))
"""


def test_a_large_file_is_streamed(lake_uri: str, tmp_path) -> None:
    """400 MiB show what 1 GB would; the whole is measured in tests/bench/bench_folio.py.

    Pages that map the files of shared libraries are not counted: they are the kernel's cache, and how many of them a
    process is charged with depends on how those files came to lie there. The same program was seen with 75 MB of them,
    and with 135 MB right after its libraries were installed.
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
    peak, libraries = map(int, done.stdout.split())
    assert peak - libraries < 200e6
