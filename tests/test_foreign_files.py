"""Files that others wrote to do harm, or broke: one error, within memory and time, and never a wrong value."""

from __future__ import annotations

import datetime as dt
import json
import random
import resource
import sqlite3
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import h5py
import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakefolio as lf
from lakefolio.errors import InvalidInputError
from lakefolio.items import isolated_reader
from lakefolio.items.table_excel import open_excel
from lakefolio.items.table_hdf5 import open_hdf5
from lakefolio.items.table_import import open_table_file
from lakefolio.items.table_json import open_json, open_ndjson
from lakefolio.items.table_sqlite import open_sqlite

HEAD = '<row r="1"><c r="A1" t="str"><v>a</v></c><c r="B1" t="str"><v>b</v></c></row>'
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


@pytest.fixture
def folio(tmp_path: Path) -> lf.Folio:
    return lf.open(tmp_path / "lake").folio("f")


def rows(reader: Callable[..., Any], path: Path, table: str | None = None) -> list[dict[str, Any]]:
    """Read a file as the child process does."""
    with reader(path, table) as found:
        read: list[dict[str, Any]] = found.read_all().to_pylist()
        return read


def refused(folio: lf.Folio, path: Path, match: str = ".", **options: Any) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InvalidInputError, match=match) as error:
        folio.import_table("bad", path, **options)
    assert "\n" not in str(error.value)
    assert "bad" not in [one.item for one in folio.items()]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600 << 10


# -- the process ---------------------------------------------------------------------------------------------------


def test_a_reader_that_is_killed_is_one_error(folio: lf.Folio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start(*given: Any) -> subprocess.Popen[bytes]:
        process = real(*given)
        process.kill()
        started.append(process)
        return process

    real = isolated_reader.start
    monkeypatch.setattr(isolated_reader, "start", start)
    path = tmp_path / "a.json"
    path.write_text("[]")
    refused(folio, path, "the process that reads it stopped")
    assert started[0].returncode is not None


def test_what_takes_more_memory_than_its_size_lets_expect_is_refused(
    folio: lf.Folio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolated_reader, "_MEMORY_MIB", 64)
    path = tmp_path / "a.feather"
    batch = pa.record_batch([pa.array(np.zeros(1 << 26))], names=["a"])  # half a gigabyte, in some kilobytes
    with pa.ipc.new_file(str(path), batch.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_batch(batch)
    del batch
    refused(folio, path, "more memory")
    deep = tmp_path / "deep.json"
    deep.write_text('[{"a":' + "[" * 900 + "]" * 900 + "}]")
    refused(folio, deep)


def test_a_reader_that_prints_harms_nothing(folio: lf.Folio, tmp_path: Path) -> None:
    """Its stdout is the pipe to this process: DuckDB shows its progress there after two seconds."""
    code = "from lakefolio.items.isolated_child import main; main()"
    path = tmp_path / "a.json"
    path.write_text('[{"a": 1}]')
    request = {"path": str(path), "table": None, "memory_mib": 512, "seconds": 30}
    for reader, answer in (("lakefolio.items.table_json:open_json", b"{}\n"), ("builtins:print", b'{"error"')):
        done = subprocess.run(
            [sys.executable, "-u", "-c", code],
            input=json.dumps({**request, "reader": reader}).encode() + b"\n",
            capture_output=True,
            check=True,
        )
        assert done.stdout.startswith(answer)


# -- Excel ---------------------------------------------------------------------------------------------------------


def sheet(path: Path, body: str, before: str = "", dimension: str = "A1:XFD1048576") -> Path:
    """Write a file of one sheet, as raw XML."""
    types = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" ContentType='
        f'"application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" '
        f'ContentType="{types}.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType='
        f'"{types}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r" '
        f'Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets><sheet name="s" sheetId="1" '
        'r:id="r"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r" '
        f'Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'{before}<worksheet xmlns="{MAIN}"><dimension ref="{dimension}"/>'
        f"<sheetData>{HEAD}{body}</sheetData></worksheet>",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return path


def row(number: int, *cells: str) -> str:
    return f'<row r="{number}">{"".join(cells)}</row>'


def number(cell: str, text: str = "1") -> str:
    return f'<c r="{cell}"><v>{text}</v></c>'


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (row(99_999_999_999, number("A2")), "row 99999999999"),
        (row(1_048_577, number("A2")), "row 1048577"),
        (row(2, number("ZZZZZ2")), "wrong place"),
        (row(2, number("A2")) + row(2, number("A2", "2")), "row 2 stands after row 2"),
        (row(3, number("A3")) + row(2, number("A2")), "row 2 stands after row 3"),
        (row(2, number("B2"), number("A2")), "A2 of row 2"),
        (row(2, number("A2"), number("A2")), "A2 of row 2"),
        (row(2, '<c r="A2"><f>1+1</f></c>'), "never computed"),
        (row(2, '<c r="A2"><f>1+1</f><v></v></c>'), "never computed"),
        (row(2, number("A2", "9" * 5_000)), "digits"),
        (row(2, '<c r="A2" t="s"><v>7</v></c>'), "index"),
        (row(2, number("XFD2")), "16384 cells"),
        ("<x>" * 10, "Excel"),
    ],
)
def test_a_sheet_that_openpyxl_gets_wrong_is_refused(tmp_path: Path, body: str, why: str) -> None:
    with pytest.raises(InvalidInputError, match=why):
        rows(open_excel, sheet(tmp_path / "a.xlsx", body))


def test_a_sheet_with_entities_is_refused(tmp_path: Path) -> None:
    for entity in ('SYSTEM "file:///etc/passwd"', '"aaaa"'):
        doctype = f"<!DOCTYPE z [<!ENTITY x {entity}>]>"
        path = sheet(tmp_path / "a.xlsx", row(2, '<c r="A2" t="str"><v>&x;</v></c>'), doctype)
        with pytest.raises(InvalidInputError, match="document type"):
            rows(open_excel, path)


def test_what_a_sheet_says_of_its_size_is_not_believed(tmp_path: Path) -> None:
    body = row(2, number("A2")) + row(1_048_576, number("A1048576", "2"), '<c t="str"><f>""</f><v></v></c>')
    assert rows(open_excel, sheet(tmp_path / "a.xlsx", body)) == [{"a": 1, "b": None}, {"a": 2, "b": None}]


@pytest.mark.parametrize("epoch", [openpyxl.utils.datetime.WINDOWS_EPOCH, openpyxl.utils.datetime.MAC_EPOCH])
def test_values_of_excel_are_exact(tmp_path: Path, epoch: dt.datetime) -> None:
    book = openpyxl.Workbook()
    book.epoch = epoch
    one = book.active
    one.append(["when", "took", "at", "code", "big", "yes", "merged", "gap"])
    one.append([dt.datetime(1999, 12, 31, 23, 59, 59), dt.timedelta(days=3), dt.time(12, 30), "007", 2**53, True, 1.5])
    one.append([dt.datetime(2026, 3, 1), dt.timedelta(hours=1, seconds=1), dt.time(0, 0, 1), "", 1, False])
    one.merge_cells("G2:G3")
    book.save(tmp_path / "a.xlsx")
    first, second = rows(open_excel, tmp_path / "a.xlsx")
    assert first["when"] == dt.datetime(1999, 12, 31, 23, 59, 59)
    assert (first["took"], second["took"]) == (dt.timedelta(days=3), dt.timedelta(hours=1, seconds=1))
    assert (first["at"], first["code"], first["big"], first["yes"]) == (dt.time(12, 30), "007", 2**53, True)
    assert (first["merged"], second["merged"], first["gap"], second["code"]) == (1.5, None, None, None)


def test_a_date_that_is_none_is_refused_and_no_text(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["when"])
    book.active.append([dt.datetime(2026, 1, 1)])
    book.save(tmp_path / "a.xlsx")
    with zipfile.ZipFile(tmp_path / "a.xlsx") as old, zipfile.ZipFile(tmp_path / "b.xlsx", "w") as new:
        for part in old.namelist():
            new.writestr(part, old.read(part).replace(b"<v>46023</v>", b"<v>99999999</v>"))
    with pytest.raises(InvalidInputError, match="marked as a date"):
        rows(open_excel, tmp_path / "b.xlsx")


# -- HDF5 ----------------------------------------------------------------------------------------------------------


def test_a_group_that_lies_in_itself_is_walked_once(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["g/x"] = np.arange(2)
        file["g/self"] = file["g"]
        file["g/top"] = file["/"]
    assert rows(open_hdf5, tmp_path / "a.h5", "g/x") == [{"x": 0}, {"x": 1}]
    assert rows(open_hdf5, tmp_path / "a.h5") == [{"x": 0}, {"x": 1}]


def test_columns_are_flags_only_where_this_library_says_so(folio: lf.Folio, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        dtype = [("age", "i8"), ("age__missing", "?"), ("n__missing", "i4")]
        file["t"] = np.array([(1, True, 3)], dtype=dtype)
    assert rows(open_hdf5, path) == [{"age": 1, "age__missing": True, "n__missing": 3}]
    table = pa.table({"x": pa.array([1, None]), "x__missing": [7, 8]})
    folio.add("out", table)
    assert rows(open_hdf5, folio.export("out", tmp_path / "b.h5")) == table.to_pylist()


@pytest.mark.parametrize(
    "make",
    [
        lambda file: file.create_dataset("x", data=np.array([file.create_group("g").ref], dtype=h5py.ref_dtype)),
        lambda file: file.create_dataset("x", shape=(1,), dtype=h5py.vlen_dtype("i4")),
        lambda file: file.create_dataset("x", data=np.array([1.5], dtype=np.longdouble)),
        lambda file: file.create_dataset("x", data=np.array([b"\xff"])),
        lambda file: file.create_dataset("x", data=h5py.Empty("f8")),
        lambda file: file.create_dataset("x", shape=(2, 50_000), dtype="i1"),
        lambda file: file.create_dataset("x", shape=(1 << 28,), dtype="f8", chunks=(1 << 28,)),
        lambda file: file.__setitem__("l", h5py.ExternalLink("/etc/passwd", "/x")),
        lambda file: file.__setitem__("l", h5py.SoftLink("/l")),
    ],
)
def test_datasets_that_are_no_tables_are_refused(folio: lf.Folio, tmp_path: Path, make: Callable[[Any], Any]) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        make(file)
    refused(folio, tmp_path / "a.h5")


# -- SQLite and DuckDB ---------------------------------------------------------------------------------------------


def database(path: Path, sql: str) -> Path:
    connection = sqlite3.connect(path)
    connection.executescript(sql)
    connection.close()
    return path


def test_a_table_is_no_virtual_one_for_its_name(tmp_path: Path) -> None:
    path = database(tmp_path / "a.db", "create table virtual_sites (a); insert into virtual_sites values (1)")
    assert rows(open_sqlite, path) == [{"a": 1}]
    path = database(tmp_path / "b.db", "create virtual table v using rtree(id, x, y); create table t (a)")
    with pytest.raises(InvalidInputError, match="no table 'v'"):
        rows(open_sqlite, path, "v")


def test_a_database_in_the_middle_of_a_write_is_refused(tmp_path: Path) -> None:
    path = database(tmp_path / "a.db", "create table t (a); insert into t values (1)")
    (tmp_path / "a.db-journal").write_bytes(b"x")
    with pytest.raises(InvalidInputError, match="is being written"):
        rows(open_sqlite, path)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("create table t (a text); insert into t values (cast(x'ff' as text))", "utf-8"),
        ("create table t (a); insert into t values (zeroblob(100000000))", "too big"),
        ("create table t (a); insert into t values (1), (x'00')", "binary"),
        ("create view v as select 1", "no table"),
    ],
)
def test_a_database_that_can_not_be_read_is_one_error(tmp_path: Path, sql: str, why: str) -> None:
    with pytest.raises(InvalidInputError, match=why):
        rows(open_sqlite, database(tmp_path / "a.db", sql))


def test_a_damaged_database_is_one_error(folio: lf.Folio, tmp_path: Path) -> None:
    inserts = "".join(f"insert into t values ({number});" for number in range(2_000))
    path = database(tmp_path / "a.db", f"begin; create table t (a); {inserts} commit")
    content = bytearray(path.read_bytes())
    for at in range(4_104, len(content), 131):
        content[at] ^= 0x7F
    path.write_bytes(content)
    refused(folio, path, "malformed")


def test_duckdb_of_another_version_and_of_odd_types(folio: lf.Folio, tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "create macro m(x) as x + 1; create table t (a int, b int default (m(1)), c interval);"
            "insert into t (a, c) values (1, interval '1 day 2 hours');"
            "create view v as select * from read_csv('/etc/passwd')"
        )
    folio.import_table("t", path)
    assert folio.get("t", as_="arrow").to_pylist() == [{"a": 1, "b": 2, "c": "1 day 02:00:00"}]
    content = bytearray(path.read_bytes())
    content[12] = 99
    path.write_bytes(content)
    refused(folio, path, "duckdb")


# -- text ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_a_csv_file_of_millions_of_columns_is_refused_unparsed(folio: lf.Folio, tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / ("a.csv" if delimiter == "," else "a.tsv")
    path.write_text(delimiter * 2_000_000 + "\n")
    refused(folio, path, "100,000 columns")


def test_json_of_empty_or_too_many_keys_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[{}, {}]")
    with pytest.raises(InvalidInputError, match="all empty"):
        rows(open_json, path)
    path.write_text("\n".join(json.dumps({f"k{number}": 1}) for number in range(100_001)))
    with pytest.raises(InvalidInputError, match="100,001 columns"):
        rows(open_ndjson, path)


# -- Parquet and Arrow ---------------------------------------------------------------------------------------------


def test_texts_that_a_parquet_file_repeats_are_read_in_small_batches_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    for count, size in ((200_000, 300_000), (10_000, 100_000)):
        texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, dtype="i4")), pa.array(["x" * size]))
        pq.write_table(pa.table({"a": texts}), path, store_schema=False)
        if count == 200_000:
            with pytest.raises(InvalidInputError, match="far more bytes"), open_table_file(path, None):
                pass
            continue
        with open_table_file(path, None) as reader:
            batch = reader.read_next_batch()
            assert 0 < batch.num_rows * size < 256 << 20


def test_flipped_bytes_of_parquet_and_arrow_files_are_values_or_one_error(tmp_path: Path) -> None:
    table = pa.table({"a": ["abc", None, "ghi"] * 100, "b": [[1], [2, 3], None] * 100})
    chance = random.Random(7)
    path = tmp_path / "a.parquet"
    for _ in range(40):
        pq.write_table(table, path)
        content = bytearray(path.read_bytes())
        for _ in range(8):
            content[chance.randrange(8, len(content) - 8)] = chance.randrange(256)
        path.write_bytes(content)
        try:
            with open_table_file(path, None) as reader:
                reader.read_all()
        except InvalidInputError as exc:
            assert exc.kind == "bad-table-file"


def test_arrow_that_lies_is_refused(folio: lf.Folio, tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"

    def write(column: pa.Array) -> bytearray:
        batch = pa.record_batch([column], names=["a"])
        with pa.ipc.new_file(str(path), batch.schema) as writer:
            writer.write_batch(batch)
        return bytearray(path.read_bytes())

    write(pa.Array.from_buffers(pa.null(), 2**31 - 1, [None]))
    refused(folio, path, "200 times")
    view = struct.pack("<i4sii", 1_000_000, b"xxxx", 0, 0)
    write(
        pa.Array.from_buffers(pa.string_view(), 4_000, [None, pa.py_buffer(view * 4_000), pa.py_buffer(b"x" * 10**6)])
    )
    refused(folio, path, "200 times")
    content = write(pa.array(["abc", "def", "ghi"] * 100))
    at = content.find(struct.pack("<iii", 0, 3, 6))
    content[at + 4 : at + 8] = struct.pack("<i", 2**31 - 1)
    path.write_bytes(content)
    refused(folio, path, "out of bounds")
