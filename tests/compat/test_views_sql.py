"""``views.sql`` in a lake: DuckDB with its delta extension, and nothing else, answers what lakefolio answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import lakefolio as lf
from lakefolio.format.layout import SPECIFICATION, VIEWS_FILE
from lakefolio.testing import need
from lakefolio.views.engine import default_views
from lakefolio.views.views_sql import views_text

ALONE = """
import duckdb, duckdb_extension_delta, glob, json, os, sys
lake, questions = sys.argv[1], json.loads(sys.argv[2])
# without the bar that DuckDB prints on stdout after two seconds
connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
connection.execute("set enable_progress_bar = false")
folder = os.path.dirname(duckdb_extension_delta.__file__)
connection.execute("load '" + glob.glob(folder + "/**/*.duckdb_extension", recursive=True)[0] + "'")
connection.execute(f"set variable lake = '{lake}'; set TimeZone = 'UTC'")
connection.execute(open(lake + "/views.sql").read())
for question in questions:
    try:
        rows = connection.execute(question).fetchall()
    except duckdb.Error as error:
        print(json.dumps(str(error)))
        continue
    names = [column[0] for column in connection.description]
    print(json.dumps([names, sorted([str(value) for value in row] for row in rows)]))
assert "lakefolio" not in sys.modules
sys.stdout.flush()
os._exit(0)  # the extension may abort an interpreter that ends
"""


def test_without_the_address_of_the_lake_the_file_says_what_to_set() -> None:
    connection = duckdb.connect()
    with pytest.raises(duckdb.InvalidInputException, match="SET VARIABLE lake = "):
        connection.execute(views_text(()))
    assert connection.execute("select count(*) from duckdb_views() where not internal").fetchone() == (0,)


def asked(lake: Path, questions: list[str]) -> list[Any]:
    """Return the names and rows that answer each question, or what DuckDB objects to it, of one process."""
    need("duckdb_extension_delta", "test")
    command = [sys.executable, "-c", ALONE, str(lake), json.dumps(questions)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def filled(place: Path, *, folded: bool, logged: bool) -> lf.Lake:
    lake = lf.open(place, author="ada")
    folio = lake.folio("f")
    folio.add_json("x", {"n": 1}, tags=["t"], description="it's", metadata={"q": 0.5})
    folio.add_json("y", [1], inputs=["x"])
    for number in range(3):
        folio.add_json("x", {"n": number}, overwrite=True)
    folio.delete("y", warn_dependents=False)
    with folio.batch():
        folio.add_json("again", 1)
        folio.delete("again")
        folio.add_json("again", 2)
    if folded:
        lake.compact()
    lake.snapshot("s")
    folio.add_json("y", [2], inputs=["x"])
    if folded:
        lake.compact()
    folio.add_json("x", "tail", overwrite=True)
    folio.delete("again")
    with lake.run("r", run_id="r1") as run:
        run.set_params(lr=0.1)
        if logged:
            run.log(1, loss=0.5)
    return lake


@pytest.mark.parametrize(("folded", "logged"), [pytest.param(False, False, marks=pytest.mark.slow), (True, True)])
def test_duckdb_alone_answers_the_same(tmp_path: Path, folded: bool, logged: bool) -> None:
    lake = filled(tmp_path / "lake", folded=folded, logged=logged)
    names = default_views().names()
    items = ("x", "y", "again", "nothing")
    of_one = "version, ordinal, superseded_version, entry_id, digest, tags"
    questions = [f"select * from {name}" for name in names]
    questions += [f"select {of_one} from history_of('f', '{item}')" for item in items]
    answers = asked(tmp_path / "lake", questions)
    for item, (_, found) in zip(items, answers[len(names) :], strict=True):
        expected = lake.sql(f"select {of_one} from entries where item = '{item}'").fetchall()
        assert found == sorted([str(value) for value in row] for row in expected), item
    for name, (columns, rows) in zip(names, answers[: len(names)], strict=True):
        relation = lake.sql(f"select {', '.join(columns)} from {name}")  # a run's own parameters are columns here only
        assert rows == sorted([str(value) for value in row] for row in relation.fetchall()), name
        assert set(columns) <= set(lake.sql(f"select * from {name}").columns)


def test_a_lake_carries_its_specification(tmp_path: Path) -> None:
    lf.open(tmp_path / "lake")
    text = (tmp_path / "lake" / SPECIFICATION).read_text()
    assert text == (Path(lf.__file__).parent / "FORMAT.md").read_text()
    assert (tmp_path / "lake" / VIEWS_FILE).is_file()


def test_duckdb_alone_reads_the_rows_of_a_table(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    for count in (10_000, 20_000):
        rows = pa.table({"n": range(count), "word": [f"{n * 7919 % 9973:x}" * 4 for n in range(count)]})
        lake.folio("flights").add("features", rows, overwrite=True)
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    begin, end = readme.index("SET VARIABLE key"), readme.index("-- … but up to 4 KiB")
    said = readme[begin:end].replace("SELECT *", "SELECT count(*), max(n)")
    assert asked(tmp_path / "lake", [said]) == [[["count_star()", "max(n)"], [["20000", "19999"]]]]


def test_duckdb_alone_reads_the_rows_of_a_table_that_lies_in_the_journal(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("survey").add("answers", pa.table({"age": [31, 47]}))
    assert lake.item("survey:answers").storage == "inline"
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    said = readme[readme.index("COPY (SELECT") : readme.index("-- or the bare journal")]
    said = said.replace("answers.parquet", str(tmp_path / "answers.parquet"))
    assert asked(tmp_path / "lake", [said]) == [[["age"], [["31"], ["47"]]]]


def test_duckdb_alone_reads_a_record_table_as_the_file_says(tmp_path: Path) -> None:
    folio = lf.open(tmp_path / "lake").folio("my-folio")
    records = folio.create_table("my-records", {"id": "int64"}, key="id")
    records.append([{"id": 1}, {"id": 2}])
    records.delete_where("id = 1")
    head = (tmp_path / "lake" / VIEWS_FILE).read_text().partition("-- The rows of a record table")[2]
    lines = [line.removeprefix("--").strip() for line in head.partition("\n--\n")[0].splitlines()[1:]]
    told, rows = " ".join(lines).removesuffix(";").split(";")
    assert asked(tmp_path / "lake", [told, rows])[1] == [["id"], [["2"]]]


def test_content_that_is_not_in_the_journal_is_an_error_and_no_empty_file(tmp_path: Path) -> None:
    lf.open(tmp_path / "lake").folio("survey").add(
        "large", pa.table({"n": [f"{n * 7919 % 9973}" for n in range(9000)]})
    )
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    said = readme[readme.index("COPY (SELECT") : readme.index("FROM 'answers.parquet'")]
    said = said.replace("answers.parquet", str(tmp_path / "answers.parquet"))
    key = readme[readme.index("SET VARIABLE key") : readme.index("SELECT * FROM read_parquet")]
    key = key.replace("flights", "survey").replace("features", "answers")
    questions = [said.replace("'answers'", "'large'"), said.replace("'answers'", "'missing'"), key]
    large, missing, small = asked(tmp_path / "lake", questions)
    assert "not there, or larger than 4 KiB" in large
    assert "not there, or larger than 4 KiB" in missing
    assert "not there, or of at most 4 KiB" in small
    assert not (tmp_path / "answers.parquet").exists()


def test_duckdb_alone_puts_the_best_run_first_by_number(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    for auc in (9.5, 10.5, 1e-7):
        with lake.run(f"r{auc}", params={"lr": 0.1}) as run:
            run.log(auc=auc)
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    said = readme[readme.index("SELECT name, params ->> 'lr'") : readme.index("-- the rows of a table")]
    said = f"select string_agg(name, ' ') from ({said.strip().rstrip(';')})"
    assert asked(tmp_path / "lake", [said])[0][1] == [["r10.5 r9.5 r1e-07"]]
