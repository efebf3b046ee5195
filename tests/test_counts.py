"""Reports count one thing in the singular."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli

_WRONG = re.compile(
    r"(?<![\d.,/@-])1 (?:\w+ )?(?:rows|columns|bytes|items|entries|blobs|events|runs|files|fields|changes)\b"
)


def test_one_of_each_is_told_in_the_singular(tmp_path: Path) -> None:
    lake = lf.open(str(tmp_path / "lake"))
    lake.folio("f").add("t", pd.DataFrame({"a": [1]}), metadata={"q": 1})
    lake.log_event("model", "train", "begun", {"a": 1})
    lake.flush()
    shown = [lake.check(read_data=True), lake.stats(), lake.event_stats(), lake.gc(), lake.history("f:t"), lake.query()]
    told = [str(one) for one in shown]
    told.append(str(lake.folio("f").describe(return_string=True)))
    for words in (["show", "f:t"], ["show"], ["check"], ["ls"], ["stats"]):
        told.append(CliRunner().invoke(cli, ["--lake", lake.uri, *words]).stdout)
    assert [found for text in told for found in _WRONG.findall(text)] == []
    assert "1 row, 1 column" in told[7]
    assert "1 event (0 in blobs)" in told[2]
    assert "-" not in told[2].partition("events")[2], "compression that costs more than it saves is no saving"
