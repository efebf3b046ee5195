"""Streams that are closed, full or broken, folders that are gone, odd files to write to: a line, never a traceback."""

from __future__ import annotations

import os
import shlex
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli

LAKEFOLIO = f"{sys.executable} -m lakefolio.cli"
COMMANDS = (
    "ls",
    "ls experiments/clf",
    "log",
    "show",
    "sql 'select * from items' --format csv",
    "get experiments/clf:config",
    "--help",
    "lineage experiments/clf:emb",
)


def shell(command: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, shell=True, capture_output=True, text=True, check=False, timeout=60, **options)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("where", [">&-", ">/dev/full", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_a_stream_that_takes_nothing(stocked: str, command: str, where: str) -> None:
    done = shell(f"{LAKEFOLIO} {command} {where}")
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    if where in (">&-", ">/dev/full"):
        assert done.returncode == 7, done
        assert done.stderr.startswith("error: output can't be written: ")
    elif where.startswith(("2>", "<&- >")) or where == "<&-":
        assert done.returncode in (0, 7)


def test_what_changes_the_lake_is_done_whoever_listens(stocked: str, tmp_path: Path) -> None:
    shell(f"{LAKEFOLIO} add other:new {__file__} >&-")
    assert "new" in lf.open(stocked).folio("other")


def test_a_reader_that_stops_reading(stocked: str) -> None:
    for command in (COMMANDS[1], COMMANDS[4], COMMANDS[5]):  # lines, rows as they come, the bytes of an item
        done = shell(f"{LAKEFOLIO} {command} | true; exit ${{PIPESTATUS[0]}}", executable="/bin/bash")
        assert done.stderr == "", command
        assert done.returncode in (0, 141), command


def test_a_working_directory_that_is_gone(stocked: str, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = shell(f"cd {gone} && rmdir {gone} && {LAKEFOLIO} --lake {stocked} ls")
    assert (done.returncode, done.stderr) == (0, "")
    gone.mkdir()
    done = shell(f"cd {gone} && rmdir {gone} && {LAKEFOLIO} --lake ./lake ls")
    assert done.returncode in (2, 3, 7), done
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_commands_of_a_process_whose_working_directory_is_gone(
    stocked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for command in COMMANDS:
        done = CliRunner().invoke(cli, ["--lake", stocked, *shlex.split(command)])
        assert (done.exit_code, done.stderr) == (0, ""), command
    for command in (
        "--lake ./lake ls",
        "--lake lake init",
        "get other:blob -o x --lake " + stocked,
        f"--lake {stocked} add other:y file",
    ):
        done = CliRunner().invoke(cli, shlex.split(command))
        assert isinstance(done.exception, SystemExit), command
        assert done.exit_code in (2, 3, 7), command
        assert done.stderr.startswith("error: ")


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("10GB", True),
        ("10 GiB", True),
        ("512M", True),
        ("1048576", True),
        ("ten", False),
        ("-5", False),
        ("10XB", False),
    ],
)
def test_the_size_of_the_cache(stocked: str, text: str, good: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEFOLIO_CACHE_BYTES", text)
    result = CliRunner().invoke(cli, ["get", "other:blob", "-o", "blob.bin", "--force"])
    assert result.exit_code == (0 if good else 2), result.output
    if not good:
        assert "LAKEFOLIO_CACHE_BYTES" in result.stderr
        assert "10GiB" in result.stderr


# -- where get writes ----------------------------------------------------------------------------------------


def test_devices_and_pipes_are_written_into(run, stocked: str, tmp_path: Path) -> None:
    null = tmp_path / "null"
    os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3)) if os.geteuid() == 0 else null.symlink_to("/dev/null")
    for force in ((), ("--force",)):
        for item in ("other:blob", "experiments/clf:scores", "experiments/clf:config"):
            for target in (null, Path("/dev/null")):
                run("get", item, "-o", str(target), *force)
                assert stat.S_ISCHR(target.stat().st_mode)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for force in ((), ("--force",)):
        got: list[bytes] = []
        reader = threading.Thread(target=lambda got=got: got.append(fifo.read_bytes()))
        reader.start()
        run("get", "other:blob", "-o", str(fifo), *force)
        reader.join(30)
        assert got == [bytes(range(256)) * 40]
        assert stat.S_ISFIFO(fifo.stat().st_mode)
    run("get", "experiments/clf:plots", "-o", "/dev/null", code=2)


def test_sockets_and_folders_are_never_replaced(
    run, stocked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
        result = run("get", "other:blob", "-o", "socket", "--force", code=4)
        assert "socket" in result.stderr
        assert stat.S_ISSOCK(os.lstat("socket").st_mode)
    (tmp_path / "blob").mkdir()
    run("get", "other:blob", "-o", str(tmp_path), "--force", code=4)


def test_of_a_link_its_file_is_meant(run, stocked: str, tmp_path: Path) -> None:
    content = bytes(range(256)) * 40
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("file")
    run("get", "other:blob", "-o", str(tmp_path / "link"), code=4)
    assert (tmp_path / "file").read_text() == "mine"
    run("get", "other:blob", "-o", str(tmp_path / "link"), "--force")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == content
    (tmp_path / "dangling").symlink_to(tmp_path / "new")
    run("get", "other:blob", "-o", str(tmp_path / "dangling"))
    assert (tmp_path / "new").read_bytes() == content
    (tmp_path / "loop").symlink_to("loop")
    run("get", "other:blob", "-o", str(tmp_path / "loop"), "--force", code=7)
    run("lineage", "experiments/clf:emb", "--format", "html", "-o", "/dev/null", "--force")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    done = shell(f"{LAKEFOLIO} get other:blob -o /dev/stdout | wc -c")
    assert done.stdout.split()[0] == str(len(content)), done


# -- gc asks -------------------------------------------------------------------------------------------------


@pytest.fixture
def wasteful(stocked: str) -> lf.Lake:
    lake = lf.open(stocked)
    for number in range(3):
        lake.folio("other").add_data("waste", bytes([number]) * 9000, overwrite=True)
    return lake


def test_gc_asks_before_it_deletes(run, wasteful: lf.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    args = ("gc", "--grace", "0", "--keep-last", "1", "--delete")
    version = wasteful.version
    result = run(*args, code=2)
    assert "--yes" in result.stderr
    monkeypatch.setattr("lakefolio.cli.gc.asked", lambda: True)
    result = run(*args, stdin="n\n", code=130)
    assert "would delete" in result.stderr
    assert wasteful.version == version
    result = run(*args, stdin="y\n")
    assert "deleted 2 blobs" in result.stdout
    assert wasteful.version > version
    assert "0 blobs" in run(*args).stdout  # nothing to ask


def test_gc_asks_before_it_deletes_what_lies_inline(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lf.open(tmp_path / "small")
    monkeypatch.setenv("LAKEFOLIO_LAKE", lake.uri)
    folio = lake.folio("small")
    folio.add("x", {"a": "given up"}).delete("x")
    version = lake.version
    args = ("gc", "--grace", "0", "--keep-days", "0", "--delete")
    assert "--yes" in run(*args, code=2).stderr
    assert lake.version == version
    assert folio.get("x", at=1) == {"a": "given up"}
    assert "contents that lay inline: 1" in run(*args, "--yes").stdout


def test_gc_with_yes_asks_nothing(run, wasteful: lf.Lake) -> None:
    assert "deleted 2 blobs" in run("gc", "--grace", "0", "--keep-last", "1", "--delete", "--yes").stdout
