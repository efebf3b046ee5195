"""Imports go down the layers only, and each third-party library lives behind one adapter."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import lakefolio

PACKAGE = Path(lakefolio.__file__).parent
LAYERS: dict[str, int] = {}
for number, names in enumerate(
    [
        # pure: no I/O
        "errors ending forking layout schema refs digest rows marker reports delta_actions",
        "faces faces.html faces.curves faces.notebook",
        "items.base items.library items.nested",
        "items.parquet",
        "entries",
        "state side",
        "changes overlay lookup reach",
        "plan_rows",
        "planner",
        # adapters
        "configfiles config aws aws_upload storage storage.* delta_log delta delta_scan delta_dead neighbours",
        # domain
        "items items.* cache",
        "blob_source",
        "tickets logs log_writing turns handing committing tidying journal blobs references kept purging marking "
        "probe eventtext",
        # read
        "nodes viewfiles run_columns statements viewmaking kept_runs limits frames views ownviews",
        "query query.conditions query.compiler",
        "history diff lineage_drawing openlineage lineage table_files table_import",
        # facade and upkeep
        "words reader reads batches writer creating",
        "query.result query.dataset browse session check gc why repair doctor",
        "runs runs.*",
        "compare",
        "surroundings folio.* lake.*",
        "folio folio.folio lake lake.lake",
        # edge
        "demo cli cli.* __main__",
        "testing testing.*",
    ]
):
    for name in names.split():
        LAYERS[name] = number

HOMES = {
    "obstore": {"storage.*", "aws", "testing.*"},
    "boto3": {"aws", "aws_upload", "testing.*"},
    "botocore": {"aws", "aws_upload", "testing.*"},
    "deltalake": {"delta"},
    "duckdb": {"views", "viewmaking", "limits", "statements", "testing.*"},
    "click": {"cli", "cli.*"},
    "rich": {"cli", "cli.*"},
    "pytest": {"testing", "testing.*"},
    "hypothesis": {"testing", "testing.*"},
    "sklearn": {"items.*", "demo"},
    "skops": {"items.*"},
    "torch": {"items.*"},
    "safetensors": {"items.*"},
}


@cache
def modules() -> dict[str, ast.Module]:
    """Return the name below the package -> syntax tree of every module."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        if name != "__init__":
            found[name] = ast.parse(path.read_text())
    return found


def layer(module: str) -> int | None:
    """Return the layer of a module: its own, or that of the nearest pattern."""
    if module in LAYERS:
        return LAYERS[module]
    for pattern, number in LAYERS.items():
        if pattern.endswith("*") and module.startswith(pattern[:-1]):
            return number
    return None


def belongs(module: str, homes: set[str]) -> bool:
    return any(module == home or (home.endswith("*") and module.startswith(home[:-1])) for home in homes)


def imports(tree: ast.Module) -> set[str]:
    """Return what a module imports when it runs, anywhere in it; what only types need does not count."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "lakefolio":
                found.update(f"lakefolio.{alias.name}" for alias in node.names)
            else:
                found.add(node.module)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return found


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_go_down(module: str) -> None:
    own = layer(module)
    assert own is not None, f"{module} has no layer: say in this test where it belongs"
    for imported in imports(modules()[module]):
        if not imported.startswith("lakefolio."):
            continue
        below = imported.removeprefix("lakefolio.")
        number = layer(below)
        if number is None:  # a name of the package itself, such as __version__
            continue
        assert number <= own, f"{module} (layer {own}) imports {below} (layer {number})"


@pytest.mark.parametrize("module", sorted(modules()))
def test_third_party_libraries_live_behind_one_adapter(module: str) -> None:
    for imported in imports(modules()[module]):
        homes = HOMES.get(imported.split(".")[0])
        assert homes is None or belongs(module, homes), f"{module} imports {imported}, which belongs in {homes}"


def test_importing_lakefolio_imports_nothing_heavy() -> None:
    heavy = ["pyarrow", "numpy", "pandas", "polars", "duckdb", "deltalake", "boto3", "sklearn", "torch", "click"]
    code = f"import sys, lakefolio; print([m for m in sys.modules if m in {heavy!r}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
