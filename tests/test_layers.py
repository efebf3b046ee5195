"""Packages use each other one way, through public names, and each third-party library lives behind one adapter."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import lakefolio

PACKAGE = Path(lakefolio.__file__).parent

ORDER = [
    *("terminal", "redaction", "errors", "_version"),
    *("process", "config", "format", "render"),
    *("storage", "model", "items", "history", "lineage"),
    *("delta", "content", "readmodels", "records", "views"),
    *("journal", "session"),
    *("runs", "query", "search", "status", "compare", "maintenance", "provenance", "folio"),
    *("recording", "lake", "interop", "demo"),
    *("pages", "cli", "__main__"),
]
"""Each package uses only what stands left of it. Imports for types and imports inside of functions count."""

BESIDE = {"testing": {"errors", "storage"}}
"""What other projects import stands beside the order, and uses these packages only."""

HOMES = {
    "obstore": {"storage", "testing"},
    "boto3": {"storage", "testing"},
    "botocore": {"storage", "testing"},
    "deltalake": {"delta"},
    "duckdb": {"views", "testing"},
    "click": {"cli"},
    "cryptography": {"provenance"},
    "rich": {"cli"},
    "pytest": {"testing"},
    "hypothesis": {"testing"},
    "sklearn": {"items", "demo"},
    "skops": {"items"},
    "torch": {"items"},
    "safetensors": {"items"},
    "matplotlib": {"render", "demo"},
    "fsspec": {"interop"},
    "rapidfuzz": {"search"},
    "mlflow": {"interop"},
}
"""Third-party library -> the packages that import it when they run; types may be named anywhere."""

FLAT = {"terminal", "errors", "demo", "__main__"}
"""The modules that lie in no package."""

FOREIGN = {
    *("_asdict", "_fields", "_replace"),  # of named tuples: public, as Python documents them
    *("_exit", "_getframe"),  # of os and sys, likewise
    *("_bit_generator", "_compute_n_features_outs", "_impl", "_raw_predict_init"),  # of a scikit-learn model
    *(
        "_buffers",
        "_forward_pre_hooks",
        "_modules",
        "_non_persistent_buffers_set",
        "_parameters",
    ),  # of a PyTorch module
    "_ldf",  # Polars's view of an optimised plan, as its own GPU engine asks for it
    "_worksheet_path",  # openpyxl's part of a sheet
    "_tags",  # MLflow's tags as a list
}
"""Private names of other libraries that nothing public stands for."""


@cache
def modules() -> dict[str, Path]:
    """Return the name below ``lakefolio`` -> file of every module but ``lakefolio`` itself."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        if name != "__init__":
            found[name] = path
    return found


@cache
def tree_of(module: str) -> ast.Module:
    """Return the syntax tree of a module; collecting these tests reads none."""
    return ast.parse(modules()[module].read_text())


def package(module: str) -> str:
    return module.split(".")[0]


@cache
def imports(module: str, *, types: bool) -> tuple[tuple[str, str | None], ...]:
    """Return (module, name) of everything a module imports, at any depth; with ``types`` for type checkers too."""
    found: list[tuple[str, str | None]] = []
    left: list[ast.AST] = [tree_of(module)]
    while left:
        node = left.pop()
        if isinstance(node, ast.Import):
            found += [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found += [(node.module or "", alias.name) for alias in node.names]
        elif isinstance(node, ast.expr):
            continue  # holds no statement
        elif not types and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        else:
            left += ast.iter_child_nodes(node)
    return tuple(found)


def own_imports(module: str) -> Iterator[tuple[str, str | None]]:
    """Give (module below ``lakefolio``, name or None for the module itself) of what a module imports of the library."""
    for imported, name in imports(module, types=True):
        below = imported.removeprefix("lakefolio").removeprefix(".")
        if package(imported) != "lakefolio" or name is None:
            assert package(imported) != "lakefolio" or module in {"demo"}, f"write from … import in {module}"
        elif (full := f"{below}.{name}".removeprefix(".")) in modules():
            yield full, None
        elif below:
            yield below, name


@cache
def exported(module: str) -> frozenset[str]:
    for node in tree_of(module).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == "__all__":
            return frozenset(ast.literal_eval(node.value))  # type: ignore[attr-defined]  # an assignment has a value
    return frozenset()


def test_every_module_has_its_place() -> None:
    known = {*ORDER, *BESIDE}
    assert {package(module) for module in modules()} <= known
    assert {module for module in modules() if "." not in module and not (PACKAGE / module).is_dir()} <= FLAT | {
        "_version"
    }


def test_packages_use_each_other_one_way() -> None:
    for module in modules():
        own = package(module)
        for imported, _ in own_imports(module):
            other = package(imported)
            if other == own:
                continue
            if own in BESIDE:
                assert other in BESIDE[own], f"{module} imports {imported}: {own} uses {sorted(BESIDE[own])} only"
            else:
                assert other in ORDER, f"{module} imports {imported}, which is for other projects and tests"
                assert ORDER.index(other) < ORDER.index(own), f"{module} imports {imported}: {other} stands above {own}"


def test_packages_import_public_names_of_others() -> None:
    for module in modules():
        for imported, name in own_imports(module):
            if name is not None and package(imported) != package(module):
                assert name in exported(imported), f"{module} imports {name}, which __all__ of {imported} does not show"


@cache
def named_within(own: str) -> frozenset[str]:
    """Return the names that the modules of a package define or set: functions, classes, variables, attributes."""
    found = set()
    for module in modules():
        for node in ast.walk(tree_of(module)) if package(module) == own else ():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.attr if isinstance(node, ast.Attribute) else node.id)
    return frozenset(found)


def test_private_attributes_are_those_of_the_own_package() -> None:
    for module in modules():
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__"):
                own = isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}
                known = own or node.attr in named_within(package(module)) or node.attr in FOREIGN
                assert known, f"{module}, line {node.lineno}: {ast.unparse(node)}"


def test_third_party_libraries_live_behind_one_adapter() -> None:
    for module in modules():
        for imported, _ in imports(module, types=False):
            homes = HOMES.get(package(imported))
            assert homes is None or package(module) in homes, f"{module} imports {imported}, which belongs in {homes}"


def test_importing_lakefolio_imports_nothing_heavy() -> None:
    heavy = ["pyarrow", "numpy", "pandas", "polars", "duckdb", "deltalake", "boto3", "sklearn", "torch", "click"]
    code = f"import sys, lakefolio; print([m for m in sys.modules if m in {heavy!r}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_two_files_of_tests_are_called_alike() -> None:
    """They are no packages: pytest collects none of two that have one name."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert len(names) == len(set(names)), sorted(name for name in set(names) if names.count(name) > 1)
