"""The README says what the program does."""

from __future__ import annotations

import re
from pathlib import Path

from lakefolio.cli.reference import BEGIN, END, reference, section_of, with_section

README = Path(__file__).parent.parent / "README.md"


def test_the_readme_holds_the_reference_of_the_command_line() -> None:
    section = section_of(README.read_text(encoding="utf-8"))
    assert section == reference(), "run: python -m lakefolio.cli.reference README.md"


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
