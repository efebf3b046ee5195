"""Processes that register models and move aliases at once."""

import subprocess
import sys

import lakefolio as lf


def test_processes_that_register_and_promote_at_once_lose_nothing(tmp_path):
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add("m", 1)
    code = """
import sys, lakefolio as lf
lake = lf.open(sys.argv[1], author=sys.argv[2])
sys.stdin.readline()
for _ in range(4):
    number = lake.register_model("churn", "f:m").number
    lake.model("churn").promote(number, "production")
"""
    workers = [
        subprocess.Popen([sys.executable, "-c", code, lake.uri, name], stdin=subprocess.PIPE, text=True)
        for name in ("ada", "bob", "eve")
    ]
    for one in workers:
        one.stdin.write("go\n")
        one.stdin.flush()
    for one in workers:
        one.communicate(timeout=120)
    assert [one.returncode for one in workers] == [0, 0, 0]
    model = lake.model("churn")
    versions = model.versions()
    assert [one.number for one in versions] == list(range(1, 13))  # each got a number of their own
    moves = model.history("production")[::-1]
    assert sorted(one.after for one in moves) == list(range(1, 13))  # every promotion is told
    assert [one.before for one in moves] == [None, *(one.after for one in moves[:-1])]
    assert model.aliases == {"production": moves[-1].after}
    authors = {one.number: one.author for one in versions}
    assert all(authors[one.after] == one.author for one in moves)
