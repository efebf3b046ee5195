"""The pool of requests while the interpreter ends: maintenance that is under way then finishes its work."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import threading
from lakefolio.storage.threads import submit

assert submit(lambda: 1).result() == 1
main = threading.main_thread()

def late():
    main.join()  # ends when the interpreter begins to, after which no thread can be started
    assert submit(lambda: threading.current_thread().name).result() == "late"
    try:
        submit(lambda: 1 / 0).result()
    except ZeroDivisionError:
        print("done")

threading.Thread(target=late, name="late").start()
"""


def test_requests_of_a_thread_that_outlives_the_main_one_are_made() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
