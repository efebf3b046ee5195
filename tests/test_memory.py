"""A gigabyte in and out in bounded memory, in a process of its own so that its peak is its own."""

from __future__ import annotations

import os
import subprocess
import sys

CODE = """
import os, sys
import lakefolio

def there_and_back(name):
    folio.add_artifact(name, sys.argv[2] + name)
    path = folio.get_artifact_path(name)
    assert os.path.getsize(path) == os.path.getsize(sys.argv[2] + name)
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    peak, libraries = (int(status[name].split()[0]) * 1024 for name in ("VmHWM", "RssFile"))
    return peak - libraries

folio = lakefolio.Folio(sys.argv[1], "files")
print(there_and_back("small"), there_and_back("big"))
"""


def test_a_large_file_is_streamed(lake_uri: str, tmp_path) -> None:
    """A file of 400 MiB takes less than half of its size more than a file of 1 MiB does, which loads the libraries.

    400 MiB show what 1 GB would; the whole is measured in tests/bench/bench_folio.py. Pages that map the files of
    shared libraries are not counted: they are the kernel's cache, and how many of them a process is charged with
    depends on how those files came to lie there. The same program was seen with 75 MB of them, and with 135 MB right
    after its libraries were installed.
    """
    files = f"{tmp_path}/"
    block = os.urandom(2**20)
    for name, blocks in (("small", 1), ("big", 400)):
        with (tmp_path / name).open("wb") as file:
            for number in range(blocks):
                file.write(number.to_bytes(8, "big") + block[8:])
    environment = {**os.environ, "LAKEFOLIO_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", CODE, lake_uri, files], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    small, big = map(int, done.stdout.split())
    assert big - small < 200e6
