"""Kinds artifact, directory and timestamp."""

import datetime as dt
import io
import json
import os
import socket
import tarfile
import zoneinfo
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from items_support import MemorySource, roundtrip, store

from lakefolio.errors import (
    AlreadyExistsError,
    IntegrityError,
    InvalidInputError,
    LocalFileNotFoundError,
    UnsupportedTypeError,
)
from lakefolio.items import handler_for, handler_of
from lakefolio.items.handler import FilePayload
from lakefolio.testing.need import need


@given(st.binary())
def test_bytes_come_back(data: bytes) -> None:
    for value in (data, bytearray(data)):
        back = roundtrip(value)
        assert type(back) is type(value)
        assert back == value
    assert roundtrip(memoryview(data)) == data
    assert roundtrip(memoryview(data)[::-2]) == data[::-2]


def test_a_file_comes_back_as_a_path(tmp_path: Path) -> None:
    path = tmp_path / "plot.PNG"
    path.write_bytes(b"\x89PNG")
    source, encoded = store(path)
    assert isinstance(handler_of("artifact").encode(path, scratch=tmp_path).payload, FilePayload)
    assert encoded.media_type == "image/png"
    assert encoded.details["filename"] == "plot.PNG"
    assert encoded.details["size_bytes"] == 4
    back = handler_of("artifact").decode(source, encoded.details)
    assert isinstance(back, Path)
    assert back.read_bytes() == b"\x89PNG"
    assert handler_of("artifact").decode(source, encoded.details, as_="bytes") == b"\x89PNG"
    assert roundtrip(b"x", as_="path").read_bytes() == b"x"
    with pytest.raises(InvalidInputError) as caught:
        roundtrip(b"x", as_="text")
    assert caught.value.kind == "bad-option"


def test_names_and_media_types(tmp_path: Path) -> None:
    for name, media_type in (
        ("a.parquet", "application/vnd.apache.parquet"),
        ("a.csv", "text/csv"),
        ("a.tar.gz", "application/gzip"),
        ("noext", "application/octet-stream"),
    ):
        assert store(b"", "artifact", filename=name)[1].media_type == media_type
    assert store(b"", media_type="x/y")[1].media_type == "x/y"
    path = tmp_path / "f"
    path.touch()
    assert roundtrip(str(path), "artifact").read_bytes() == b""


def test_paths_that_cannot_be_added(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("nowhere")
    for missing in (tmp_path / "no", str(tmp_path / "no"), tmp_path / "dangling"):
        for kind in ("artifact", "directory"):
            with pytest.raises(LocalFileNotFoundError) as caught:
                store(missing, kind)
            assert isinstance(caught.value, FileNotFoundError)
    os.mkfifo(tmp_path / "pipe")
    for odd in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(InvalidInputError) as invalid:
            store(odd, "artifact")
        assert invalid.value.kind == "not-a-file"
    with pytest.raises(InvalidInputError):
        store("a\0b", "artifact")
    with pytest.raises(UnsupportedTypeError):
        store(3, "artifact")


def tree(root: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_dir():
            found[name] = ("dir", path.stat().st_mode & 0o777)
        else:
            found[name] = (path.read_bytes(), path.stat().st_mode & 0o777)
    return found


def make_tree(root: Path) -> Path:
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a.txt").write_text("a")
    (root / "run.sh").write_text("#!/bin/sh")
    (root / "run.sh").chmod(0o755)
    (root / "sub" / "größe 数.bin").write_bytes(b"\0" * 2000)
    (root / "sub" / "deep" / ("x" * 200)).write_bytes(b"long")
    (root / "sub" / "link").symlink_to("../a.txt")
    (root / "folder-link").symlink_to("sub/deep")
    return root


def test_a_directory_keeps_its_tree(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "data")
    assert handler_for(root).kind == "directory"
    source, encoded = store(root)
    assert encoded.details["file_count"] == 4
    assert encoded.details["filename"] == "data"
    back = handler_of("directory").decode(source, encoded.details)
    assert back.name == "data"
    assert tree(back) == tree(root)
    target = tmp_path / "out"
    assert handler_of("directory").decode(source, encoded.details, to=target) == target
    assert tree(target) == tree(root)
    with pytest.raises(AlreadyExistsError):
        handler_of("directory").decode(source, encoded.details, to=target)
    with tarfile.open(handler_of("directory").decode(source, encoded.details, as_="tar")) as archive:
        assert "a.txt" in archive.getnames()


def test_the_same_tree_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = make_tree(tmp_path / "one"), make_tree(tmp_path / "other")
    os.utime(other / "a.txt", (1, 1))
    assert store(one)[0].content == store(other)[0].content
    (other / "a.txt").write_text("b")
    assert store(one)[0].content != store(other)[0].content


@pytest.mark.parametrize("link", ["/etc/passwd", "../outside", "sub/../../x", "sub/../a.txt"])
def test_links_that_may_leave_the_directory_are_refused(tmp_path: Path, link: str) -> None:
    root = make_tree(tmp_path / "data")
    (root / "bad").symlink_to(link)
    with pytest.raises(InvalidInputError) as caught:
        store(root)
    assert caught.value.kind == "link-outside"


def test_sockets_in_a_directory_are_refused(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "d").mkdir()
    monkeypatch.chdir(tmp_path / "d")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(InvalidInputError) as caught:
            store(tmp_path / "d")
    assert caught.value.kind == "not-a-file"


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


@pytest.mark.parametrize(
    "members",
    [
        [member("../evil")],
        [member("/evil")],
        [member("a/../../evil")],
        [member("a//b")],
        [member("a\\..\\b")],
        [member("l", tarfile.SYMTYPE, "..")],
        [member("l", tarfile.SYMTYPE, "/tmp")],
        [member("l", tarfile.SYMTYPE, "."), member("l/evil")],
        [member("l/evil"), member("l", tarfile.SYMTYPE, ".")],
        [member("d", tarfile.DIRTYPE), member("d/b", tarfile.SYMTYPE, ".."), member("c", tarfile.SYMTYPE, "d/b/..")],
        [member("h", tarfile.LNKTYPE, "/etc/passwd")],
        [member("dev", tarfile.CHRTYPE)],
        [member("fifo", tarfile.FIFOTYPE)],
        [member("a"), member("a")],
    ],
    ids=lambda members: "+".join(f"{one.name}>{one.linkname}" for one in members).replace("/", "|"),
)
def test_hostile_tars_write_nothing(tmp_path: Path, members: list[tarfile.TarInfo]) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for one in members:
            archive.addfile(one)
    target = tmp_path / "inner" / "out"
    with pytest.raises(IntegrityError) as caught:
        handler_of("directory").decode(MemorySource(buffer.getvalue()), {}, to=target)
    assert caught.value.kind == "unsafe-member"
    assert list(tmp_path.rglob("*")) == []


def test_a_damaged_tar_is_an_integrity_error() -> None:
    with pytest.raises(IntegrityError):
        handler_of("directory").decode(MemorySource(b"x" * 2000), {})


zones = st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=5, minutes=30)), zoneinfo.ZoneInfo("America/New_York")])
aware = st.datetimes(dt.datetime(2, 1, 1), dt.datetime(9998, 1, 1), timezones=zones, allow_imaginary=False)


@settings(deadline=None)
@given(aware)
def test_an_instant_comes_back_in_utc(moment: dt.datetime) -> None:
    assert handler_for(moment).kind == "timestamp"
    back = roundtrip(moment)
    assert back == moment.astimezone(dt.UTC)
    assert back.tzinfo is dt.UTC
    original = roundtrip(moment, original_zone=True)
    assert original == moment
    assert original.replace(tzinfo=None, fold=0) == moment.replace(tzinfo=None, fold=0)
    assert roundtrip(moment, as_unix=True) == moment.timestamp()


def test_timestamp_content_and_details() -> None:
    source, encoded = store(dt.datetime(2024, 1, 15, 10, 30, tzinfo=zoneinfo.ZoneInfo("Europe/Paris")))
    assert json.loads(source.content) == "2024-01-15T09:30:00+00:00"
    assert encoded.details == {
        "iso_string": "2024-01-15T09:30:00+00:00",
        "unix_timestamp": 1705311000.0,
        "time_zone": "Europe/Paris",
    }
    assert roundtrip(1705311000, "timestamp") == dt.datetime(2024, 1, 15, 9, 30, tzinfo=dt.UTC)
    assert roundtrip(0.5, "timestamp", as_unix=True) == 0.5


def test_nanoseconds_survive() -> None:
    pd = need("pandas", "pandas")
    moment = pd.Timestamp("2024-01-15 10:30:00.123456789", tz="Asia/Tokyo")
    assert roundtrip(moment) == moment
    plain = roundtrip(pd.Timestamp("2024-01-15 10:30", tz="Asia/Tokyo"))
    assert type(plain) is dt.datetime


def test_times_that_are_no_instants_are_refused() -> None:
    naive = dt.datetime(2024, 1, 1)
    assert handler_for(naive).kind == "json"
    assert roundtrip(naive) == naive
    with pytest.raises(InvalidInputError) as caught:
        store(naive, "timestamp")
    assert caught.value.kind == "naive-datetime"
    for bad in (float("nan"), 1e300, float("inf")):
        with pytest.raises(InvalidInputError) as caught:
            store(bad, "timestamp")
        assert caught.value.kind == "bad-timestamp"
    for bad in ("2024-01-01", True, None, dt.date(2024, 1, 1)):
        with pytest.raises(UnsupportedTypeError):
            store(bad, "timestamp")
    with pytest.raises(IntegrityError):
        handler_of("timestamp").decode(MemorySource(b'"soon"'), {})
