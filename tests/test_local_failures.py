"""Local files that can't be written or read are named; devices and pipes are written into, never replaced."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.errors import InvalidInputError, StorageError
from lakefolio.storage import open_store


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add("it", b"content" * 1000)
    return lake


def test_a_full_folder_for_temporary_files_is_named(
    lake: lf.Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tarfile
    import tempfile

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_bytes(b"a")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    with pytest.raises(StorageError) as caught:
        lake.folio("f").add("data", tmp_path / "data")
    assert caught.value.kind == "no-scratch"
    assert tempfile.gettempdir() in caught.value.message
    assert "TMPDIR" in str(caught.value)


def test_no_folder_for_temporary_files_is_an_error_of_the_library(
    lake: lf.Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")
    with pytest.raises(StorageError, match="TMPDIR"):
        lake.folio("f").add("array", np.zeros(3))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser reads every file")
def test_a_file_that_may_not_be_read_is_named(lake: lf.Lake, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(InvalidInputError, match="secret"):
        lake.folio("f").add("it2", path)


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_device_is_written_into_and_stays(lake: lf.Lake, force: list[str]) -> None:
    before = os.stat(os.devnull)
    found = CliRunner().invoke(cli, ["--lake", lake.uri, "get", "f:it", "-o", os.devnull, *force])
    assert found.exit_code == 0, found.output
    after = os.stat(os.devnull)
    assert stat.S_ISCHR(after.st_mode)
    assert (before.st_ino, before.st_rdev) == (after.st_ino, after.st_rdev)
    lake.folio("f").add("table", __import__("pandas").DataFrame({"a": [1]}))
    found = CliRunner().invoke(cli, ["--lake", lake.uri, "get", "f:table", "-o", os.devnull, *force])
    assert found.exit_code == 0, found.output
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_gets_the_content_and_stays(lake: lf.Lake, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    found = CliRunner().invoke(cli, ["--lake", lake.uri, "get", "f:it", "-o", str(pipe), "--force"])
    reader.join(10)
    assert found.exit_code == 0, found.output
    assert got == [b"content" * 1000]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="this system has no file whose reading fails")
def test_a_file_whose_disk_fails_is_named(lake: lf.Lake, tmp_path: Path) -> None:
    failing = Path("/proc/self/mem")  # it is regular, and reading its begin is an input/output error
    folio = lake.folio("f")
    folio.add("good", Path(__file__))
    before = lake.version
    for add in (
        lambda: folio.add("bad", failing),
        lambda: folio.add_file(failing, "bad"),
        lambda: folio.add_reference("bad", failing),
        lambda: folio.reference_table("bad", failing, table_format="csv"),
        lambda: folio.import_table("bad", failing, table_format="csv"),
    ):
        with pytest.raises(InvalidInputError, match="/mem' can't be read"):
            add()
    shown = CliRunner().invoke(cli, ["--lake", lake.uri, "add", "f:bad", str(failing)])
    assert (shown.exit_code, "can't be read: Input/output error" in shown.output) == (2, True)
    assert lake.version == before


def test_a_file_whose_disk_fails_while_it_is_sent_is_an_error_of_the_library(
    lake: lf.Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tarfile

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_bytes(b"a")

    def failing(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(tarfile.TarFile, "addfile", failing)
    with pytest.raises(InvalidInputError, match="can't be read: Input/output error") as caught:
        lake.folio("f").add("data", tmp_path / "data")
    assert "disk or server" in str(caught.value)


def test_many_objects_of_one_folder_open_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(str(tmp_path / "lake"))
    keys = [f"a/b/{number}" for number in range(50)]
    for key in keys:
        store.create(key, key.encode())
    os.symlink(tmp_path / "lake" / "a" / "b" / "7", tmp_path / "lake" / "a" / "b" / "link")
    opened: list[object] = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, *rest, **named: opened.append(path) or real(path, *rest, **named))
    asked = [*keys[:25], "a/b/missing", *keys[25:], "c/d", "c/e"]
    assert store.get_many(asked) == [None if key not in keys else key.encode() for key in asked]
    assert len(opened) <= len(keys) + 20
    with pytest.raises(StorageError):
        store.get_many([keys[0], "a/b/link"])
    with pytest.raises(InvalidInputError):
        store.get_many([keys[0], "a/b/.."])


def test_nothing_is_written_into_the_folder_of_a_lake(lake: lf.Lake, tmp_path: Path) -> None:
    from lakefolio.interop.publishing import publish

    folio, root, link = lake.folio("f"), tmp_path / "lake", tmp_path / "link"
    folio.add_table("t", pa.table({"a": [1]}))
    link.symlink_to(root / "blobs")
    (tmp_path / "page").symlink_to(root / "page.html")
    before = sorted(root.rglob("*"))
    acts = [
        act
        for place in (root / "out", root / "blobs" / "sha256" / "out", link / "out")
        for act in (
            lambda place=place: folio.export("it", place),
            lambda place=place: folio.export("it", place, overwrite=True),
            lambda place=place: publish(lake, "f", place, ["ro-crate"], license="MIT"),
            lambda place=place: lf.open(place),
            lambda place=place: lake.sql("from items").write_parquet(str(place)),
            lambda place=place: lake.sql("from items").write_csv(file_name=str(place)),
        )
    ]
    acts.append(lambda: folio.export("it", root / "lakefolio.json", overwrite=True))
    for act in acts:
        with pytest.raises(InvalidInputError) as caught:
            act()
        assert caught.value.kind == "inside-lake"
    for target in (root / "page.html", tmp_path / "page", f"file://{root}/page.html", link / "page.html"):
        result = CliRunner().invoke(cli, ["export", "--html", str(target), "--force", "--lake", str(root)])
        assert result.exit_code
    assert sorted(root.rglob("*")) == before
    assert folio.export("it", tmp_path / "beside").read_bytes() == b"content" * 1000
