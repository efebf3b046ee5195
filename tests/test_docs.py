"""The README and the pages say what the program does."""

from __future__ import annotations

import re
from pathlib import Path

from cli_reference import BEGIN, END, reference, section_of, with_section

import lakefolio

README = Path(__file__).parent.parent / "README.md"
DOCS = Path(lakefolio.__file__).parent / "docs"


def test_the_pages_hold_the_reference_of_the_command_line() -> None:
    section = section_of((DOCS / "commands.md").read_text(encoding="utf-8"))
    assert section == reference(), "run: python tests/cli_reference.py lakefolio/docs/commands.md"


def test_every_page_is_named_by_the_readme_and_every_link_leads_to_a_file() -> None:
    text = README.read_text(encoding="utf-8")
    pages = sorted(DOCS.glob("*.md"))
    assert pages
    for page in pages:
        assert f"(lakefolio/docs/{page.name})" in text
    for source in [README, *pages]:
        for link in re.findall(r"\]\(([^):#]+)\)", source.read_text(encoding="utf-8")):
            assert (source.parent / link).is_file(), f"{source.name}: {link}"


def test_the_reference_is_put_between_its_markers() -> None:
    text = f"# A\n{BEGIN}\nold\n{END}\nrest\n"
    filled = with_section(text)
    assert section_of(filled) == reference()
    assert with_section(filled) == filled
    assert filled.startswith("# A\n")
    assert filled.endswith("rest\n")


def test_every_python_block_of_the_readme_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_every_section_of_the_format_that_is_cited_exists() -> None:
    package = Path(lakefolio.__file__).parent
    headings = set(re.findall(r"^#+ (.+)$", (package / "FORMAT.md").read_text(encoding="utf-8"), re.MULTILINE))
    for path in package.rglob("*.py"):
        for cited in re.findall(r'FORMAT\.md,? "([^"]+)"', path.read_text(encoding="utf-8")):
            assert cited in headings, f"{path.name} cites {cited!r}"


def test_the_format_names_every_column() -> None:
    from lakefolio.format.schema import SCHEMAS

    text = (Path(lakefolio.__file__).parent / "FORMAT.md").read_text(encoding="utf-8")
    for table, schema in SCHEMAS.items():
        section = text.split(f"### {table} ")[1].split("\n### ")[0].split("\n## ")[0]
        cells = {
            name.strip()
            for line in section.splitlines()
            if line.startswith("|")
            for name in line.split("|")[1].split(",")
        }
        assert set(schema.names) <= cells, table


def test_every_file_that_the_design_sends_to_exists() -> None:
    package = Path(__file__).parents[1] / "lakefolio"
    table = (package / "DESIGN.md").read_text(encoding="utf-8").split("## Where to change what")[1].split("\n## ")[0]
    named = re.findall(r"`([\w./]+(?:\.py|\.md|/))`", table)
    assert len(named) > 20
    assert [one for one in named if not (package / one).exists()] == []


def test_every_method_that_the_readme_and_the_pages_name_exists() -> None:
    lake = lakefolio.open("memory://names-in-the-pages")
    with lake.run("one") as run:
        pass
    known = {"lake": lake, "folio": lake.folio("f"), "run": run}
    named = {
        (page.name, object_, name)
        for page in [README, *DOCS.glob("*.md")]
        for object_, name in re.findall(r"\b(lake|folio|run)\.([a-z_]+)\(", page.read_text(encoding="utf-8"))
    }
    assert len(named) > 20
    assert [one for one in sorted(named) if not hasattr(known[one[1]], one[2])] == []
