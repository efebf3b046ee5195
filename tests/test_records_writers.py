"""Many processes write one record table: all appends land once, keys stay unique, snapshots are exact."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import lakefolio as lf

WRITER = """
import json, sys
import lakefolio as lf

lake = lf.open(sys.argv[1])
number = int(sys.argv[2])
folio = lake.folio("exp")
plain, keyed = folio.table("plain"), folio.table("keyed")
won, snapshots = 0, {}
sys.stdout.write("ready\\n"); sys.stdout.flush(); sys.stdin.readline()
for turn in range(5):
    plain.append([{"writer": number, "turn": turn}], once=f"{number}-{turn}")
    try:  # everybody wants the same keys
        keyed.append([{"id": turn, "writer": number}, {"id": 100 + turn, "writer": number}])
        won += 1
    except lf.errors.InvalidInputError as exc:
        assert exc.kind == "invalid-rows", exc
    keyed.upsert([{"id": 1000, "writer": number}])
    if turn % 2 == 1:
        name = f"s-{number}-{turn}"
        lake.snapshot(name)
        mine = plain.count(f"writer = {number}")
        snapshots[name] = [turn + 1, mine]
print(json.dumps({"won": won, "snapshots": snapshots}))
"""


def test_processes_that_write_at_once(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("exp")
    plain = folio.create_table("plain", {"writer": "int64", "turn": "int64"})
    keyed = folio.create_table("keyed", {"id": "int64", "writer": "int64"}, key="id")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "lake"), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for one in writers:
        assert one.stdout is not None
        assert one.stdin is not None
        assert one.stdout.readline() == "ready\n"
    for one in writers:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    told: list[dict[str, Any]] = []
    for one in writers:
        out, err = one.communicate(timeout=240)
        assert one.returncode == 0, err[-3000:]
        told.append(json.loads(out))
    found = plain.to_arrow().to_pylist()
    assert sorted((row["writer"], row["turn"]) for row in found) == [(n, t) for n in range(3) for t in range(5)]
    assert sum(one["won"] for one in told) == 5
    ids = sorted(row["id"] for row in keyed.to_arrow().to_pylist())
    assert ids == sorted([*range(5), *range(100, 105), 1000])
    for number, one in enumerate(told):
        for name, (least, _) in one["snapshots"].items():
            then = folio.table("plain", at=name)
            assert then.count(f"writer = {number}") == least  # all it had acknowledged, and nothing later
    assert lf.open(tmp_path / "lake").check(read_data=True).ok
