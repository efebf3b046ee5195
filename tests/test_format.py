"""FORMAT.md is testable: its vectors, its tags, its tickets and its ops are what the code does."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from dataclasses import MISSING, fields
from pathlib import Path

import pyarrow as pa
import pytest
from inside import session_of

import lakefolio
import lakefolio as lf
from lakefolio.delta.seal import Seals
from lakefolio.errors import FormatError
from lakefolio.format import json_decode
from lakefolio.format.schema import FACT_TYPE, FORMAT_VERSION, INPUT_TYPE, OPS
from lakefolio.format.table_digest import table_digest
from lakefolio.journal import tickets
from lakefolio.storage import open_store

TEXT = (Path(lakefolio.__file__).parent / "FORMAT.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """Return the text below a heading, up to the next one of its level."""
    (found,) = re.findall(rf"^(#+) {re.escape(heading)}$", TEXT, re.MULTILINE)
    body = TEXT.split(f"{found} {heading}\n", 1)[1]
    return re.split(rf"^#{{1,{len(found)}}} ", body, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str, header: str) -> list[list[str]]:
    """Return the cells of the table whose header line begins so."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {header}"))
    found = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def tables() -> list[pa.Table]:
    codes = pa.array([0, 1, 0, None], pa.int8())
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.UTC)
    nested = pa.struct([("x", pa.int32()), ("y", pa.string())])
    return [
        pa.table({}),
        pa.table({"a": pa.array([1, None, 3], pa.int64())}),
        pa.table({"s": ["ü", "", None], "b": [True, None, False]}),
        pa.table({"l": pa.array([[1.5, float("nan")], None, []], pa.list_(pa.float64()))}),
        pa.table({"d": pa.DictionaryArray.from_arrays(codes, pa.array(["x", "y"]))}),
        pa.table({"t": pa.array([moment], pa.timestamp("us", "UTC")), "r": pa.array([{"x": 1, "y": "a"}], nested)}),
    ]


def test_digests_of_tables_are_those_of_the_vectors() -> None:
    noted = [row[-1].strip("`") for row in rows(section("Digests"), "table | digest")]
    assert noted == [table_digest(table) for table in tables()]


def test_a_seal_is_that_of_the_vector() -> None:
    lake_id, name = "0" * 32, "0" * 19 + "1-" + "a" * 32 + ".parquet"
    text = section("Seals")
    assert lake_id in text
    assert name in text
    sha256 = hashlib.sha256(b"abc").hexdigest()
    spelled = hashlib.sha256(f"lakefolio 2\n{lake_id}\nmanifests\n{name}\n{sha256}\n".encode()).hexdigest()
    assert Seals(lake_id, "manifests").of_bytes(name, b"abc") == spelled
    assert f"`{spelled}`" in text


def test_every_tag_of_json_is_there() -> None:
    noted = {tag.strip() for row in rows(section("Kind json"), "tag |") for tag in row[0].split(",")}
    assert noted == {*json_decode._SCALARS, *json_decode._COMPOUNDS}


def test_every_op_and_every_field_of_a_row_is_there() -> None:
    noted = {op.strip() for row in rows(section("Tables"), "op | what") for op in row[0].split(",")}
    assert noted == set(OPS)
    text = section("Tables")
    for name in (*INPUT_TYPE.names, *FACT_TYPE.names):
        assert f"`{name}`" in text, name
    for reserved in ("hold", "tier", "erase", "verified"):
        assert f"`{reserved}`" in section("Versions")


def test_every_change_of_a_ticket_is_there() -> None:
    noted = {row[0]: row[1] for row in rows(section("Changes in tickets"), "op |")}
    assert noted.keys() == tickets._CHANGES.keys()
    for op, kind in tickets._CHANGES.items():
        for field in fields(kind):
            assert f"`{field.name}`" in noted[op], (op, field.name)
            optional = field.default is not MISSING or field.default_factory is not MISSING
            assert optional or not re.search(rf"`{field.name}` (null|\[\]|\{{\}}|false|0)", noted[op]), (op, field.name)


def test_version_1_is_refused_with_one_error(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    assert session_of(lake).marker.format_version == FORMAT_VERSION == 2
    store = open_store(tmp_path / "lake")
    store.put("lakefolio.json", bytes(store.get("lakefolio.json")).replace(b'_version": 2', b'_version": 1'))
    for read_only in (False, True):
        with pytest.raises(FormatError) as caught:
            lf.open(tmp_path / "lake", read_only=read_only)
        assert (caught.value.kind, caught.value.objects["format_version"]) == ("format-too-old", 1)
        assert caught.value.hint


def test_two_creators_at_once_make_one_lake(tmp_path: Path) -> None:
    """Who loses the create of the first log entry takes the id that it names."""
    from lakefolio.delta.table import DeltaTable
    from lakefolio.format.schema import SPECS
    from lakefolio.session.create import create_lake

    store = open_store(tmp_path / "lake")
    DeltaTable(store, "e" * 32, SPECS["manifests"]).create()  # another one, killed before its marker
    assert b"e" * 32 in create_lake(store)
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add_json("x", 1)
    assert (lake.lake_id, lf.open(tmp_path / "lake").check(read_data=True).ok) == ("e" * 32, True)
