"""A page frozen into one file: complete, bounded, and with no script but its own."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from click.testing import CliRunner
from pages_support import HOSTILE

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.pages import freeze


def frozen_data(html: bytes) -> Any:
    block = re.search(rb'<script type="application/json" id="frozen">(.*?)</script>', html, re.DOTALL)
    assert block is not None
    return json.loads(block[1])


def test_it_holds_the_answers_and_only_its_own_scripts(shop: Path) -> None:
    frozen = freeze(lf.open(shop, create=False, read_only=True))
    html = frozen.html.decode()
    data = frozen_data(frozen.html)
    assert (frozen.runs, frozen.left_out, data["version"]) == (4, "", frozen.version)
    assert data["answers"]["preview?ref=shop/eu:clean@2"]["type"] == "table"
    assert HOSTILE not in html
    assert HOSTILE in json.dumps(data, ensure_ascii=False).replace('\\"', '"').replace("\\\\", "\\")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    for tag in ("script", "style"):
        for text in re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy[1]
    assert "unsafe" not in policy[1]
    assert "connect-src" not in policy[1]  # so default-src 'none' holds


def test_what_can_not_be_read_is_there_as_an_error(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    (tmp_path / "there.csv").write_text("a\n1\n")
    lake.folio("a").reference_table("gone", tmp_path / "there.csv")
    (tmp_path / "there.csv").unlink()
    data = frozen_data(freeze(lake).html)
    error = data["answers"]["preview?ref=a:gone@1"]["error"]
    assert "there.csv" in error["message"]


def test_a_large_lake_is_frozen_in_part_and_says_so(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakefolio.pages.frozen.RUNS", 1)
    monkeypatch.setattr("lakefolio.pages.frozen.ITEMS", 2)
    lake = lf.open(shop, create=False, read_only=True)
    frozen = freeze(lake)
    assert frozen.left_out == f"It holds details of 1 run of 4 and previews of 2 items of {len(lake.items())}."
    assert frozen_data(frozen.html)["left_out"] == frozen.left_out


def test_the_past_is_frozen_too(shop: Path) -> None:
    data = frozen_data(freeze(lf.open(shop, create=False, read_only=True).at(2)).html)
    assert (data["version"], data["answers"]["items?"]["total"]) == (2, 2)


@pytest.fixture
def stall(tmp_path: Path) -> Path:
    """The place of a lake with little in it."""
    lf.open(tmp_path / "stall").folio("f").add_json("config", {"lr": 0.1})
    return tmp_path / "stall"


def test_the_command_writes_a_file_and_replaces_none_unasked(
    stall: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "lake.html"
    done = CliRunner().invoke(cli, ["--lake", str(stall), "export", "--html", str(target), "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["path"], said["bytes"]) == (str(target), target.stat().st_size)
    with monkeypatch.context() as patched:
        patched.setattr("lakefolio.pages.freeze", None)  # what can't be written is refused before the work
        again = CliRunner().invoke(cli, ["--lake", str(stall), "export", "--html", str(target)])
    assert again.exit_code == 4
    assert CliRunner().invoke(cli, ["--lake", str(stall), "export", "--html", str(target), "--force"]).exit_code == 0


def test_the_command_writes_to_stdout(stall: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    done = CliRunner().invoke(cli, ["--lake", str(stall), "export", "--html", "-"])
    assert done.exit_code == 0, done.output
    assert frozen_data(done.stdout.encode())["version"] == 1
    assert sorted(tmp_path.iterdir()) == before


def test_the_command_puts_a_site_beside_the_lake(stall: Path, s3_uri: str) -> None:
    done = CliRunner().invoke(cli, ["--lake", str(stall), "export", "--html", f"{s3_uri}/site/"])
    assert done.exit_code == 0, done.output
    from lakefolio.storage import open_store

    assert f"{s3_uri}/site/index.html" in done.stdout
    assert bytes(open_store(f"{s3_uri}/site").get("index.html")).startswith(b"<!doctype html>")
    where = urlsplit(f"{s3_uri}/site/index.html")
    said = boto3.client("s3").head_object(Bucket=where.netloc, Key=where.path.lstrip("/"))
    assert said["ContentType"] == "text/html"  # or a browser would save it
    assert CliRunner().invoke(cli, ["--lake", str(stall), "export", "--html", f"{s3_uri}/site/"]).exit_code == 4
