"""What was vendored is what VENDORED.md says, and its licences lie beside it."""

from __future__ import annotations

import hashlib
import re

from lakefolio.pages.server import STATIC

VENDOR = STATIC / "vendor"


def test_vendored_files_are_those_of_the_packages() -> None:
    said = dict(re.findall(r"^\| `(\S+)` .*`([0-9a-f]{64})` \|$", (VENDOR / "VENDORED.md").read_text(), re.MULTILINE))
    there = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.glob("*.[jc]s*")}
    assert said == there


def test_licences_lie_beside_them() -> None:
    for name in ("htm", "preact", "uplot"):
        assert len((VENDOR / f"LICENSE-{name}.txt").read_text()) > 500
