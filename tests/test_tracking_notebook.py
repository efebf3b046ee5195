"""Tracking in a real kernel: cells, ``%load_ext lakefolio``, ``%%lake``, and what is shown."""

import pytest

import lakefolio as lf
from lakefolio.testing.need import need


@pytest.fixture
def run_cells(tmp_path, monkeypatch):
    nbclient, nbformat = need("nbclient", "test"), need("nbformat", "test")
    need("ipykernel", "test")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAKEFOLIO_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "analysis.ipynb"))

    def run(*cells):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in cells])
        nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=True).execute()
        return [cell.outputs for cell in notebook.cells]

    return run


def text(outputs):
    return "".join(one.get("text", "") or one.get("data", {}).get("text/plain", "") for one in outputs)


OPEN = "import lakefolio as lf, pandas as pd\nlake = lf.open(); folio = lake.folio('f')"
PLOT = (
    "import matplotlib; matplotlib.use('agg')\nimport matplotlib.pyplot as plt\n"
    "fig, ax = plt.subplots(); ax.plot(clean.x); folio.add('fig', fig); plt.close(fig)"
)


def test_cells_are_lineage_of_one_run_and_run_all_twice_works(run_cells, tmp_path):
    cells = [
        OPEN,
        "t = lake.track()",
        "folio.add('raw', pd.DataFrame({'x': [1, 2]}))",
        "raw = folio.get('raw')",
        "folio.add('clean', raw * 2); clean = folio.get('clean')",
        PLOT,
        "folio.get('fig')",
        "folio.why('fig')",
    ]
    first = run_cells(*cells)
    assert f"tracking {tmp_path}" in text(first[1])  # the lake is named: a default one may lie beside
    assert "was made from f:raw@" in text(first[4])
    assert "image/png" in first[6][0].data
    assert "data:image/png" in first[7][0].data["text/html"]
    lake = lf.open()
    [run] = lake.runs()
    assert (run.name, run.status) == ("analysis", "done")
    assert run.metadata["notebook"] == str(tmp_path / "analysis.ipynb")
    origin = lake.folio("f").why("fig")
    assert "# %% [6]" in origin.code
    entries = {one.item: one.entry_id for one in lake.items("f")}
    second = run_cells(*cells[:-1], *cells[2:-1], "1 / 0")  # Run All, then again without a new kernel, then an error
    assert [one for outputs in second[:-1] for one in outputs if one.output_type == "error"] == []
    assert "f:fig is unchanged (@" in text(second[5])
    assert {one.item: one.entry_id for one in lake.items("f")} == entries
    assert [one.status for one in lake.runs()] == ["failed", "done"]


def test_run_all_again_after_stop_is_tracked_again(run_cells):
    cells = [
        "import lakefolio as lf, pandas as pd; lake = lf.open(create=True)",
        "%load_ext lakefolio",
        "folio = lake.folio('f'); folio.add('raw', pd.DataFrame({'x': [1, 2]}))",
        "folio.add('clean', folio.get('raw') * 2)",
    ]
    outputs = run_cells(*cells, "lake.track().stop()", *cells)
    assert [one for cell in outputs for one in cell if one.output_type == "error"] == []
    assert "tracking" in text(outputs[6])
    assert "f:clean is unchanged" in text(outputs[8])
    assert [one.status for one in lf.open().runs()] == ["done"] * 3


def test_load_ext_tracks_and_cells_are_sql(run_cells):
    outputs = run_cells(
        "%load_ext lakefolio",
        "%lake",
        "import pandas as pd; folio = lake.folio('f'); folio.add('t', pd.DataFrame({'x': [1]})); folio.get('t')",
        "%%lake\nselect item, kind from items where folio = 'f'",
        "%%lake answer\nselect count(*) n from items where folio = 'f'",
        "int(answer.n[0])",
        "%%lake\ndrop table items",
        "%%lake no name\nselect 1",
    )
    assert "no lake is open yet" in text(outputs[0])
    assert "t" in outputs[3][0].data["text/html"]
    assert text(outputs[5]) == "1"
    assert [one[0].ename for one in outputs[6:]] == ["InvalidInputError"] * 2
    [run] = lf.open().runs()
    assert [one.name for one in run.outputs] == ["t"]
    again = run_cells("%load_ext lakefolio", "lake.folio('f').get('t')", "%unload_ext lakefolio")
    assert "tracking" in text(again[0])
    assert [len(one.inputs) for one in lf.open().runs()] == [1, 0]


def test_after_load_ext_the_lake_that_a_cell_opens_is_tracked(run_cells):
    outputs = run_cells(
        "%load_ext lakefolio",
        "%reload_ext lakefolio",
        OPEN + "\nfolio.add('raw', pd.DataFrame({'x': [1]}))",
        "folio.add('made', folio.get('raw') * 2)",
        "other = lf.open('memory://other')",
        "other.runs()",
        "%unload_ext lakefolio",
    )
    assert [one for cell in outputs for one in cell if one.output_type == "error"] == []
    assert "from the next cell on" in text(outputs[0])
    assert "tracking" in text(outputs[2])
    assert "was made from f:raw@" in text(outputs[3])
    assert text(outputs[5]) == "0 runs"  # one lake is tracked
    [run] = lf.open().runs()
    assert [one.name for one in run.outputs] == ["made"]


def test_a_lake_that_a_cell_opens_is_tracked_instead_of_the_configured_one(run_cells, tmp_path):
    lf.open().folio("f").add("old", 1)
    outputs = run_cells(
        "%load_ext lakefolio",
        "import lakefolio as lf\nlake = lf.open('mine')",
        "lake.folio('f').add('made', 1)",
        "%%lake\nselect item from items where folio = 'f'",
    )
    assert [one for cell in outputs for one in cell if one.output_type == "error"] == []
    assert f"{tmp_path / 'lake'} is not tracked any more" in text(outputs[1])
    assert "made" in outputs[3][0].data["text/html"]
    assert "old" not in outputs[3][0].data["text/html"]
    [run] = lf.open(tmp_path / "mine").runs()
    assert [one.name for one in run.outputs] == ["made"]
    assert [(one.status, one.outputs) for one in lf.open().runs()] == [("done", [])]
