"""Record tables do as a plain dict of rows does: writes, conditions, order, limits, versions, restores."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

import lakefolio as lf
from lakefolio.errors import InvalidInputError

Row = dict[str, Any]
Truth = Callable[[Row], bool | None]
"""A condition: true, false, or unknown as in SQL."""

COLUMNS = {
    "id": "int64",
    "site": "string",
    "score": {"type": "double", "null": True, "min": 0},
    "name": {"type": "string", "null": True},
}
COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda one, other: one == other,
    "<>": lambda one, other: one != other,
    "<": lambda one, other: one < other,
    ">=": lambda one, other: one >= other,
}


def drawn_row(chance: random.Random) -> Row:
    return {
        "id": chance.randrange(12),
        "site": chance.choice("ab"),
        "score": chance.choice([None, 0.0, 0.5, 2.0, 7.25]),
        "name": chance.choice([None, "", "fog", "snow", "it's"]),
    }


def drawn_condition(chance: random.Random, depth: int = 0) -> tuple[str, Truth]:
    kind = chance.randrange(7 if depth < 2 else 4)
    if kind < 2:
        column, values = chance.choice([("id", (3, 7)), ("score", (0.5, 2)), ("name", ("fog", "it's")), ("site", "ab")])
        sign, value = chance.choice(list(COMPARED)), chance.choice(values)
        said = "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)
        return (
            f"{column} {sign} {said}",
            lambda row: None if row[column] is None else COMPARED[sign](row[column], value),
        )
    if kind == 2:
        column = chance.choice(["score", "name"])
        return f"{column} IS NULL", lambda row: row[column] is None
    if kind == 3:
        low = chance.randrange(10)
        return f"id BETWEEN {low} AND {low + 4} ", lambda row: low <= row["id"] <= low + 4
    left, one = drawn_condition(chance, depth + 1)
    if kind == 4:
        return f"NOT ({left})", lambda row: None if one(row) is None else not one(row)
    right, other = drawn_condition(chance, depth + 1)
    if kind == 5:
        return (
            f"({left}) AND ({right})",
            lambda row: False if False in (one(row), other(row)) else None if None in (one(row), other(row)) else True,
        )
    return (
        f"({left}) OR ({right})",
        lambda row: True if True in (one(row), other(row)) else None if None in (one(row), other(row)) else False,
    )


def in_order(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["id"], row["site"]))


@pytest.mark.parametrize("seed", range(2))
def test_a_table_does_as_a_dict_does(tmp_path, seed: int) -> None:
    chance = random.Random(seed)
    folio = lf.open(tmp_path / "lake").folio("exp")
    table = folio.create_table("scores", COLUMNS, key=["id", "site"])
    model: dict[tuple[int, str], Row] = {}
    past = {table.version: model}
    for _ in range(16):
        given = [drawn_row(chance) for _ in range(chance.randrange(1, 6))]
        keys = [(row["id"], row["site"]) for row in given]
        what = chance.choice(["append", "append", "upsert", "upsert", "delete", "restore", "compact"])
        if what in ("append", "upsert"):
            bad = len(set(keys)) < len(keys) or (what == "append" and any(key in model for key in keys))
            if bad:
                with pytest.raises(InvalidInputError):
                    getattr(table, what)(given)
            else:
                written = getattr(table, what)(given)
                replaced = sum(key in model for key in keys)
                assert (written.added, written.updated) == (len(given) - replaced, replaced)
                model = model | dict(zip(keys, given, strict=True))
        elif what == "delete":
            where, truth = drawn_condition(chance)
            gone = {key for key, row in model.items() if truth(row) is True}
            assert table.delete_where(where).deleted == len(gone), where
            model = {key: row for key, row in model.items() if key not in gone}
        elif what == "restore":
            version = chance.choice(sorted(past))
            table.restore(version=version)
            model = past[version]
        else:
            table.compact()
        past[table.version] = model
        where, truth = drawn_condition(chance)
        limit = chance.randrange(5)
        for reader in (table, lf.open(tmp_path / "lake").folio("exp").table("scores")):
            expected = in_order([row for row in model.values() if truth(row) is True])
            found = reader.query(where, order=["id", "site"], as_="arrow").to_pylist()
            assert found == expected, where
            best = reader.query(where, order=["-id", "site"], limit=limit, columns="id", as_="arrow").to_pylist()
            assert [row["id"] for row in best] == sorted((row["id"] for row in expected), reverse=True)[:limit]
            assert reader.count(where) == len(expected)
            assert len(reader) == len(model)
