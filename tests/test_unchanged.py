"""Run All twice: adding what is there already changes nothing, and what differs is refused and named."""

import logging
import re
import sys
import threading

import numpy as np
import pandas as pd
import pytest

import lakefolio as lf
from lakefolio.session import batches
from lakefolio.testing import CountingProxy

frame = pd.DataFrame({"a": [1, 2, 3]})


@pytest.fixture
def folio(tmp_path):
    folio = lf.open(tmp_path / "lake").folio("f")
    return folio.add_json("raw", [1]).add_json("other", [2])


def cell(folio, path):
    """Everything a notebook adds."""
    folio.add("table", frame, "three rows", inputs=["raw"], tags=["a", "b"], metadata={"k": 1.5})
    folio.add("array", np.arange(50_000)).add("json", {"lr": 0.1}).add("text", "hello").add("none", None)
    folio.add("masked", np.ma.masked_array([1, 2], [True, False]))
    folio.add("file", path).add("folder", path.parent).add("bytes", b"x" * 100_000)
    folio.reference_table("ref", path.with_suffix(".parquet"), inputs="https://example.org/x")
    folio.add_sklearn("clf", _model(), hyperparameters={"C": 1})
    folio.import_table("csv", path.with_suffix(".csv"))


def _model():
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit([[0.0], [1.0]], [0, 1])


def test_the_same_cells_twice_commit_nothing_and_say_so(folio, tmp_path, caplog):
    home = tmp_path / "data"
    home.mkdir()
    frame.to_parquet(home / "x.parquet")
    frame.to_csv(home / "x.csv", index=False)
    (home / "x.bin").write_bytes(b"1234")
    lake = lf.open(tmp_path / "lake")
    cell(folio, home / "x.bin")
    version, entries = lake.version, {one.item: one.entry_id for one in lake.items("f")}
    with caplog.at_level(logging.INFO, "lakefolio"):
        cell(folio, home / "x.bin")
    assert lake.version == version
    assert {one.item: one.entry_id for one in lake.items("f")} == entries
    said = [one.getMessage() for one in caplog.records]
    assert sorted(re.findall(r"f:(\w+) is unchanged \(@\d+\)", "\n".join(said))) == sorted(
        entries.keys() - {"raw", "other"}
    )


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"obj": [9]}, "content"),
        ({"description": "other"}, "description"),
        ({"description": None}, "description"),
        ({"tags": ["a", "c"]}, "tags"),
        ({"metadata": {"k": 2}}, "metadata"),
        ({"inputs": ["other"]}, "inputs"),
        ({"inputs": ["raw", "other"]}, "inputs"),
        ({"inputs": []}, "inputs"),
        ({"inputs": ["https://example.org/x"]}, "inputs"),
        ({"inputs": ["nothing"]}, "inputs"),
        ({"obj": {"a": 1}, "tags": []}, "content, tags"),
    ],
)
def test_what_differs_is_refused_and_named(folio, change, differs):
    base = {"obj": [1, 2], "description": "d", "tags": ["a", "b"], "metadata": {"k": 1}, "inputs": ["raw"]}
    folio.add("x", **base)
    before = folio.item_info("x")
    with pytest.raises(lf.AlreadyExistsError) as caught:
        folio.add("x", **base | change)
    assert caught.value.differs == differs.split(", ")
    assert all(f"{name}: " in caught.value.message for name in differs.split(", "))
    assert "overwrite=True" in caught.value.hint
    assert folio.item_info("x") == before
    folio.add("x", **{**base, "tags": ("b", "a")})  # the order of tags says nothing


def test_an_input_that_changed_since_differs(folio):
    folio.add("x", 1, inputs="raw")
    folio.add("raw", [2], overwrite=True)
    with pytest.raises(lf.AlreadyExistsError, match="inputs: f:raw"):
        folio.add("x", 1, inputs="raw")
    folio.add("x", 1, inputs="raw@1")


def test_overwrite_always_makes_a_new_entry(folio):
    folio.add("x", 1).add("x", 1, overwrite=True)
    assert len(folio.history("x")) == 2


def test_an_archived_or_deleted_item_is_no_longer_there(folio):
    folio.add("x", 1).archive("x")
    with pytest.raises(lf.AlreadyExistsError, match="archived"):
        folio.add("x", 1)
    folio.delete("x")
    folio.add("x", 1)
    assert folio.get("x") == 1


def test_in_a_batch_too(folio, tmp_path):
    lake = lf.open(tmp_path / "lake")
    with folio.batch():
        folio.add("x", 1).add("x", 1).add("raw", [1])
        with pytest.raises(lf.AlreadyExistsError):
            folio.add("x", 2)
    assert len(folio.history("x")) == 1
    version = lake.version
    with folio.batch():
        folio.add("x", 1)
    assert lake.version == version


def test_a_reader_of_batches_is_refused_unread(folio):
    import pyarrow as pa

    table = pa.table({"a": [1, 2]})
    folio.add("x", table.to_reader())
    reader = table.to_reader()
    with pytest.raises(lf.AlreadyExistsError, match="only once"):
        folio.add("x", reader)
    folio.add("x", reader, overwrite=True)
    assert folio.get("x", as_="arrow").num_rows == 2


def test_writers_of_the_same_at_the_same_time_all_succeed(tmp_path):
    lakes = [lf.open(tmp_path / "lake") for _ in range(4)]
    start, failed = threading.Barrier(4), []

    def work(lake):
        start.wait()
        try:
            lake.folio("f").add("x", {"a": 1})
        except lf.LakefolioError as exc:
            failed.append(exc)

    threads = [threading.Thread(target=work, args=(one,)) for one in lakes]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failed == []
    assert len(lakes[0].history("f:x").to_dicts()) == 1


def test_unchanged_content_is_neither_sent_nor_committed(s3_proxy: CountingProxy, s3_uri: str):
    folio = lf.open(s3_uri, storage_options=s3_proxy.storage_options).folio("f").add("x", np.arange(100_000))
    with s3_proxy.count() as count:
        folio.add("x", np.arange(100_000))
    assert count.total == 1, str(count)  # is there news?
    with s3_proxy.count() as count, pytest.raises(lf.AlreadyExistsError):
        folio.add("x", np.arange(100_001))
    assert count.total == 1, str(count)


def test_in_another_run_it_stays_what_it_is(folio, tmp_path):
    lake = lf.open(tmp_path / "lake")
    made = []
    for _ in range(2):
        with lake.run("same"):
            lake.folio("f").add("x", 1)
        made.append(lake.item("f:x").entry_id)
    assert made[0] == made[1]


def test_a_batch_of_new_items_is_planned_once(folio, monkeypatch):
    """A batch plans when it is committed; what was added is planned before only if somebody asks for it."""
    made = []
    plan = batches.planned
    monkeypatch.setattr(batches, "planned", lambda *given: made.append(given) or plan(*given))
    with folio.batch():
        for number in range(10):
            folio.add_json(f"i{number}", number)
        assert made == []
        assert folio.get("i3") == 3
        assert len(made) == 1
        folio.add_json("i3", 3)
    assert len(folio) == 12


def test_a_prompt_says_that_a_lake_was_created_and_no_more_when_it_is_there(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    lf.open(tmp_path / "lake")
    assert capsys.readouterr().out == f"created lake {tmp_path / 'lake'}\n"
    lf.open(tmp_path / "lake")
    lf.open("memory://created")
    assert capsys.readouterr().out == ""
