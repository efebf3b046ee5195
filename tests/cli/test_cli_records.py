"""``lakefolio records``: a record table from a shell, and the mistakes people make with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def table(run: Any) -> str:
    run("init")
    columns = ("id:int64", "score:double", "day:date", "zip:string!")
    run("records", "create", "lab:scores", *columns, "--key", "id", "--check", "ok=score IS NULL OR score <= 1")
    Path("a.csv").write_text("id,score,day,zip\n1,0.5,2026-01-02,00123\n2,,2026-01-03,00999\n")
    return "lab:scores"


def test_rows_come_from_files_and_stdin(run: Any, said: Any, table: str) -> None:
    assert said("records", "append", table, "a.csv", "--once", "first")["added"] == 2
    assert said("records", "append", table, "a.csv", "--once", "first")["repeated"]
    run("records", "append", table, "-", stdin='{"id": 3, "zip": "1", "day": "2026-02-03"}\n\n')
    done = said("records", "upsert", table, "-", stdin='{"id": 3, "zip": "2"}\n{"id": 4, "zip": "3", "score": 0.25}')
    assert (done["added"], done["updated"]) == (1, 1)
    found = said("records", "query", table, "--where", "id > 1", "--order", "-id", "--column", "zip")
    assert found == [{"zip": "3"}, {"zip": "2"}, {"zip": "00999"}]
    assert "4 rows" in run("records", "schema", table).stdout
    assert run("get", table).stdout.splitlines()[1] == '1,0.5,2026-01-02,"00123"'
    assert "00123" in run("show", table).stdout
    assert said("records", "delete", table, "--where", "id = 1")["deleted"] == 1
    assert [one["operation"] for one in said("records", "history", table)][:2] == ["DELETE", "MERGE"]


def test_the_schema_moves(run: Any, said: Any, table: str) -> None:
    run("records", "append", table, "a.csv")
    run("records", "migrate", table, "add-column", "n", "int32", "--fill", "7", "--reason", "to count")
    run("records", "migrate", table, "widen-column", "n", "int64")
    run("records", "migrate", table, "rename-column", "n", "count")
    run("records", "migrate", table, "add-check", "few", "count < 10")
    run("records", "migrate", table, "required", "count")
    assert "to count" in run("records", "schema", table).stdout
    assert {row["count"] for row in said("records", "query", table)} == {7}
    run("records", "migrate", table, "drop-check", "few")
    run("records", "migrate", table, "optional", "count")
    run("records", "migrate", table, "drop-column", "count")
    assert len(said("records", "schema", table)["migrations"]) == 8


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (("append", "lab:scores", "a.csv"), "key of a row"),
        (("append", "lab:scores", "none.csv"), "no table file"),
        (("append", "lab:scores", "a.txt"), "unknown"),
        (("append", "lab:score", "a.csv"), "scores"),
        (("append", "lab:x", "a.csv"), "no record table"),
        (("append", "lab:scores@1", "a.csv"), "@"),
        (("append", "lab:scores", "-"), "line 1"),
        (("query", "lab:scores", "--where", "scor > 1"), "score"),
        (("query", "lab:scores", "--order", "scor"), "score"),
        (("delete", "lab:scores", "--where", "id >"), "too early"),
        (("create", "lab:scores", "id:int64"), "already exists"),
        (("create", "lab:other", "id"), "COLUMN:TYPE"),
        (("create", "lab:other", "id:int65"), "int64"),
        (("create", "lab:other", "id:int64", "--check", "x"), "NAME=CONDITION"),
        (("migrate", "lab:scores", "add-column", "n"), "two words"),
        (("migrate", "lab:scores", "drop-column", "n", "--fill", "1"), "add-column"),
        (("migrate", "lab:scores", "drop-column", "id"), "key"),
    ],
)
def test_mistakes_are_said_in_a_line(run: Any, table: str, line: tuple[str, ...], word: str) -> None:
    run("records", "append", table, "a.csv")
    run("add", "lab:x", "-", stdin=b"1")
    Path("a.txt").write_text("x")
    result = run(
        "records",
        *line,
        stdin="{",
        code={"lab:score": 3, "id:int64": 4}.get(line[1] if line[0] == "append" else line[-1], 2),
    )
    assert word in result.output
    assert "Traceback" not in result.output
