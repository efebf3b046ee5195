"""The README's table of verbs: our column is run from top to bottom, DataFolio's is what our class of that name has."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.testing.need import need

README = Path(__file__).parent.parent / "README.md"


def rows() -> list[list[list[str]]]:
    """Return the code of each cell, row by row, without the first column."""
    text = README.read_text(encoding="utf-8")
    table = text[text.index("| to | MLflow |") :].split("\n\n")[0].splitlines()[2:]
    found = [[re.findall(r"`([^`]+)`", cell) for cell in line.strip("|").split("|")[1:]] for line in table]
    assert len(found) > 15
    assert {len(row) for row in found} == {4}
    return found


def test_our_column_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("sklearn", "sklearn")
    from sklearn.linear_model import LogisticRegression

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAKEFOLIO_LAKE", str(tmp_path / "lake"))
    frame = pd.DataFrame({"x": [0.0, 1.0], "y": [0, 1]})
    lake = lf.open("./lake")
    known: dict[str, Any] = {"lake": lake, "folio": lake.folio("survey"), "df": frame, "df2": frame * 2}
    known["clf"] = LogisticRegression().fit(frame[["x"]], frame["y"])
    answers: dict[str, Any] = {}
    for *_, codes in rows():
        if not codes:  # the end of the block
            known["block"].__exit__(None, None, None)
        for code in codes:
            if code == 'lake.compare("train", "again")':
                with lake.run("again") as again:
                    again.log(auc=0.5, step=1)
            block = re.fullmatch(r"with (.+) as run:", code)
            if block:
                known["block"] = eval(block[1], known)
                known["run"] = known["block"].__enter__()
            elif code == "lakefolio ui":  # it serves until it is told to stop
                assert "--port" in CliRunner().invoke(cli, ["ui", "--help"]).stdout
            elif code.startswith("lakefolio "):
                done = CliRunner().invoke(cli, shlex.split(code)[1:], catch_exceptions=False)
                assert (done.exit_code, done.stdout != "") == (0, True), code
            elif "=" in code.split("(")[0]:
                exec(code, known)
            else:
                answers[code] = eval(code, known)
    assert answers['folio.get("t")'].equals(frame)
    assert answers['folio.get("t", at="v1")'].equals(frame)
    assert "survey:t" in str(answers['lake.diff("v1")'])
    assert [node.item for node in answers['lake.lineage("survey:u")'].upstream()] == ["t"]
    assert answers['lake.runs(sort="-auc.max").df()']["metrics.auc"].max() == 0.9
    assert (answers['lake.model("churn").load("production")'].coef_ == known["clf"].coef_).all()
    assert lake.check(read_data=True).ok


def test_the_verbs_of_datafolio_are_those_of_the_class_of_that_name() -> None:
    named = [code for _, _, cell, _ in rows() for code in cell]
    assert len(named) >= 9
    for code in named:
        name, given = re.fullmatch(r"\w+\.(\w+)\((.*)\)", code).groups()  # type: ignore[union-attr]
        parameters = inspect.signature(getattr(lf.DataFolio, name)).parameters if name != "is_valid" else {}
        assert set(re.findall(r"(\w+)=", given)) <= set(parameters), code


def test_the_verbs_of_mlflow_exist() -> None:
    mlflow = need("mlflow", "mlflow")
    for code in (code for cell, *_ in rows() for code in cell):
        name = re.match(r"mlflow\.([a-z_]+)\(", code)
        assert name is None or hasattr(mlflow, name[1]), code
