"""Odd surroundings: no home, a deleted or oddly named working directory, full or closed temporary folders, odd keys."""

from __future__ import annotations

import copy
import errno
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.process.places import absolute_path, printable, user_folder
from lakefolio.storage.errors import is_panic

WORK = """
import pathlib, sys, warnings
warnings.simplefilter("error")
import lakefolio as lf

lake = lf.open(sys.argv[1])
folio = lake.folio("f")
file = pathlib.Path(sys.argv[1] + ".bin")
file.write_bytes(b"bytes")
folio.add("number", 1, overwrite=True).add("file", file, overwrite=True)
assert pathlib.Path(folio.get("file")).read_bytes() == b"bytes"
with lake.run("r", params={"a": 1}) as run:
    run.log(loss=1.0)
lake.capture(lambda: 2)()
folio.create_snapshot("s", capture_environment=True, capture_execution=True)
assert lake.sql("select count(*) from runs").fetchall() == [(2,)]
assert lake.check(read_data=True).ok
print("author", ascii(lake.author), "directory", ascii(lake.runs()[0].directory))
"""
NO_ACCOUNT = """
import os, pwd
def unknown(*_):
    raise KeyError("uid not found")
pwd.getpwuid = pwd.getpwnam = unknown
for name in ("USER", "LOGNAME", "LNAME", "USERNAME"):
    os.environ.pop(name, None)
"""


def run_work(folder: Path, *, code: str = WORK, cwd: Any = None, without: tuple[str, ...] = (), **around: Any) -> str:
    """Run code in a process of its own and return what it printed."""
    left_out = {"XDG_CACHE_HOME", "XDG_CONFIG_HOME", *without}
    env = {os.fsencode(name): os.fsencode(value) for name, value in os.environ.items() if name not in left_out}
    env |= {os.fsencode(name): os.fsencode(value) for name, value in around.items()}
    env[b"PYTHONPATH"] = os.fsencode(Path(lf.__file__).parents[1])
    command = [sys.executable, "-c", code, str(folder / "lake")]
    done = subprocess.run(command, cwd=cwd or folder, env=env, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- homes --------------------------------------------------------------------------------------------------------

HOMES = {
    "none": {"without": ("HOME",)},
    "one that is not there": {"HOME": "/no/such/home"},
    "one that can't be written to": {"HOME": "/proc"},
    "a relative one": {"HOME": "relative"},
    "an empty one": {"HOME": ""},
    "a file": {"HOME": "/dev/null"},
    "none and an odd cache": {"without": ("HOME",), "XDG_CACHE_HOME": "relative", "XDG_CONFIG_HOME": "relative"},
}


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("account", ["known", "unknown"])
def test_everything_works_whatever_the_home(tmp_path: Path, home: str, account: str) -> None:
    (tmp_path / "tmp").mkdir()
    code = WORK if account == "known" else NO_ACCOUNT + WORK
    said = run_work(tmp_path, code=code, **{"TMPDIR": str(tmp_path / "tmp"), **HOMES[home]})
    assert account == "known" or "unknown@" in said
    left = [one.name for one in (tmp_path / "tmp").iterdir() if not one.name.startswith(f"lakefolio-{os.getuid()}")]
    assert left == []  # a cache of its own goes with the process
    assert not (tmp_path / "relative").exists() or home == "a relative one"


def test_a_cache_that_is_named_and_can_not_be_used_is_named_in_the_error(tmp_path: Path, monkeypatch) -> None:
    lake = lf.open(tmp_path / "lake")
    (tmp_path / "x.bin").write_bytes(b"x")
    lake.folio("f").add("x", tmp_path / "x.bin")
    monkeypatch.setenv("LAKEFOLIO_CACHE", "/proc/cache")
    with pytest.raises((lf.StorageError, FileNotFoundError)) as caught:
        lf.open(lake.uri).folio("f").get("x")
    assert "/proc/cache" in str(caught.value)
    for size in ("10GB", "512 MiB", "1024", "1.5g", ""):
        monkeypatch.setenv("LAKEFOLIO_CACHE_BYTES", size)
        lf.open(lake.uri)
    for size in ("ten", "-1", "10 apples", "1e9"):
        monkeypatch.setenv("LAKEFOLIO_CACHE_BYTES", size)
        with pytest.raises(lf.InvalidInputError, match="LAKEFOLIO_CACHE_BYTES"):
            lf.open(lake.uri)


def test_a_file_that_one_handle_gave_stays_for_all(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("LAKEFOLIO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LAKEFOLIO_CACHE_BYTES", "1")
    uri = str(tmp_path / "lake")
    for number in range(3):
        (tmp_path / f"{number}.bin").write_bytes(bytes([number]) * 100)
        lf.open(uri).folio("f").add(f"x{number}", tmp_path / f"{number}.bin")
    paths = [Path(lf.open(uri).folio("f").get(f"x{number}")) for number in range(3)]
    assert [path.read_bytes()[0] for path in paths] == [0, 1, 2]


def test_base_folders(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_folder("XDG_CACHE_HOME", ".cache") == tmp_path / ".cache"
    monkeypatch.setenv("HOME", "relative")
    assert user_folder("XDG_CACHE_HOME", ".cache") is None
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert user_folder("XDG_CACHE_HOME", ".cache") == tmp_path / "x"


# -- working directories ------------------------------------------------------------------------------------------


@pytest.fixture
def deleted(tmp_path: Path) -> Iterator[None]:
    before = os.getcwd()
    (tmp_path / "gone").mkdir()
    os.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    yield
    os.chdir(before)


def test_everything_works_in_a_deleted_working_directory(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    code = f"import os, shutil\nshutil.rmtree({str(tmp_path / 'gone')!r})\n{WORK}"
    assert "directory None" in run_work(tmp_path, code=code, cwd=tmp_path / "gone")


RELATIVE: dict[str, Callable[[lf.Lake], Any]] = {
    "a lake": lambda lake: lf.open("lake"),
    "the default lake": lambda lake: lf.open(),
    "a folio": lambda lake: lf.Folio("./clf"),
    "a reference": lambda lake: lake.folio("f").reference_table("t", "x.csv"),
    "a file": lambda lake: lake.folio("f").add_file("t", "x.csv"),
    "a table": lambda lake: lake.folio("f").import_table("t", "x.csv"),
}


@pytest.mark.parametrize("what", RELATIVE)
def test_relative_paths_in_a_deleted_working_directory(tmp_path: Path, deleted: None, what: str) -> None:
    lake = lf.open(tmp_path / "lake")
    with pytest.raises(lf.LakefolioError) as caught:
        RELATIVE[what](lake)
    assert "\n" not in str(caught.value)
    assert what in ("a file", "a table") or caught.value.kind == "no-working-directory"
    assert lake.folios() == []


@pytest.mark.parametrize("words", [["ls"], ["init"], ["config"], ["--lake", "x", "ls"], ["add", "f:x", "y"]])
def test_commands_in_a_deleted_working_directory(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "gone").mkdir()
    script = "import os, sys; os.rmdir(os.getcwd()); sys.argv[1:]; from lakefolio.cli.program import main; main()"
    done = subprocess.run([sys.executable, "-c", script, *words], cwd=tmp_path / "gone", capture_output=True, text=True)
    assert done.returncode == (0 if words == ["config"] else 2), done.stderr
    assert "Traceback" not in done.stderr


ODD = os.fsdecode(b"od\xff\xfe")


def test_everything_works_in_a_working_directory_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / ODD).mkdir()
    subprocess.run(["git", "init", "-q"], cwd=tmp_path / ODD, check=True)
    said = run_work(tmp_path, cwd=tmp_path / ODD)
    assert r"od\\xff\\xfe" in said


@pytest.mark.parametrize("variable", ["LAKEFOLIO_AUTHOR", "LOGNAME"])
def test_authors_that_are_not_utf8_are_shown_as_what_they_are(tmp_path: Path, variable: str) -> None:
    said = run_work(tmp_path, **{variable: os.fsdecode(b"ad\xffa")})
    assert r"ad\\xffa" in said


def test_sql_tells_times_in_utc_whatever_the_zone_of_the_process(tmp_path: Path) -> None:
    lf.open(tmp_path / "lake").folio("f").add_json("x", 1)
    code = (
        "import lakefolio as lf; lake = lf.open('lake')\n"
        "for one in (lake.sql, lake.connect().cursor().sql): "
        "print(*one('select right(committed_at::varchar, 3), committed_at from items').fetchone())"
    )
    env = os.environ | {"TZ": "Asia/Kathmandu"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert [line[:3] + line[-6:] for line in done.stdout.splitlines()] == ["+00+00:00"] * 2, done.stderr


def test_an_author_given_as_an_argument(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake", author="a\udcff\ud800")
    lake.folio("f").add("x", 1)
    assert lake.author == "a\\udcff\\ud800"
    assert (
        [one.author for one in lake.history("f:x").changes] == [lake.author]
        if hasattr(lake.history("f:x"), "changes")
        else True
    )


@pytest.mark.parametrize("place", [f"{ODD}/lake", f"lake-{ODD}"])
def test_a_lake_in_a_folder_that_is_not_utf8_is_refused(tmp_path: Path, monkeypatch, place: str) -> None:
    for call in (lambda: lf.open(tmp_path / place), lambda: lf.Folio(str(tmp_path / place))):
        with pytest.raises(lf.InvalidInputError, match="not UTF-8") as caught:
            call()
        assert caught.value.kind == "bad-uri"
        str(caught.value).encode()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ODD).mkdir()
    monkeypatch.chdir(tmp_path / ODD)
    with pytest.raises(lf.InvalidInputError, match="not UTF-8"):
        lf.open()


def test_files_with_names_that_are_not_utf8(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f")
    (tmp_path / f"{ODD}.bin").write_bytes(b"content")
    (tmp_path / f"{ODD}.csv").write_text("a\n1\n")
    (tmp_path / f"folder-{ODD}").mkdir()
    (tmp_path / f"folder-{ODD}" / "x").write_bytes(b"x")
    folio.add("file", tmp_path / f"{ODD}.bin").add_artifact("again", str(tmp_path / f"{ODD}.bin"))
    folio.add("folder", tmp_path / f"folder-{ODD}")
    assert Path(folio.get("file")).read_bytes() == Path(folio.get("again")).read_bytes() == b"content"
    assert (Path(folio.get("folder")) / "x").read_bytes() == b"x"
    for register in (folio.reference_table, folio.import_table):
        with pytest.raises(lf.InvalidInputError, match="not UTF-8") as caught:
            register("table", tmp_path / f"{ODD}.csv")
        assert caught.value.kind == "bad-path"
    (tmp_path / f"folder-{ODD}" / ODD).write_bytes(b"x")
    with pytest.raises(lf.InvalidInputError, match="not UTF-8"):
        folio.add("other", tmp_path / f"folder-{ODD}")
    assert lake.check(read_data=True).ok


def test_text_of_paths() -> None:
    assert printable(os.fsdecode(b"a\xff")) == r"a\xff"
    assert printable("a\ud800") == r"a\ud800"
    assert printable("äß") == "äß"
    assert absolute_path("~") == os.path.expanduser("~")


# -- temporary folders --------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path, monkeypatch) -> Iterator[Path]:
    """A folder for temporary files that holds 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system can be mounted by root only")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_temporary_folder_is_named(tmp_path: Path, small: Path) -> None:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f").add("x", 1)
    noise = np.random.default_rng(1).random((4000, 1000))
    for obj in (pd.DataFrame(noise), pa.table({"a": noise.ravel()})):
        with pytest.raises(lf.StorageError) as caught:
            folio.add("large", obj)
        assert caught.value.kind == "no-scratch"
        assert str(small) in str(caught.value)
        assert "TMPDIR" in str(caught.value)
    assert {one.name for one in small.iterdir()} <= {f"lakefolio-{os.getuid()}"}
    assert list(folio) == ["x"]
    assert lake.check(read_data=True).ok


def test_temporary_folders_that_can_not_be_used(tmp_path: Path, monkeypatch) -> None:
    import pandas as pd

    lake = lf.open(tmp_path / "lake")
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    with pytest.raises(lf.StorageError, match="TMPDIR") as caught:
        lake.folio("f").add("x", pd.DataFrame({"a": [1]}))
    assert "/proc/nowhere" in str(caught.value)
    assert lake.folios() == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_cache_without_space_is_named(tmp_path: Path, monkeypatch, number: int) -> None:
    from lakefolio.content.file_cache import FileCache

    cache = FileCache(tmp_path / "cache")

    def fetch(path: Path) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(lf.StorageError, match="LAKEFOLIO_CACHE") as caught:
        cache.file("sha256:" + "0" * 64, "x", fetch)
    assert (caught.value.kind, str(tmp_path / "cache") in str(caught.value)) == ("no-space", True)
    assert list((tmp_path / "cache" / ("0" * 64)).iterdir()) == []


# -- keys and addresses that no request can carry -----------------------------------------------------------------

ODD_VALUES = ["value\n", "value\r\n", " value", "va\nlue", "va\x00lue", "va\x7flue", "välue", "va\tlue", "va\udcfflue"]
OPTIONS = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_endpoint_url", "aws_region"]


@pytest.mark.parametrize("value", ODD_VALUES)
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("where", ["options", "environment"])
def test_odd_options_are_refused_by_name(monkeypatch, option: str, value: str, where: str) -> None:
    options = {"aws_access_key_id": "k", "aws_secret_access_key": "s", "aws_endpoint_url": "http://127.0.0.1:1"}
    value = f"http://127.0.0.1:1{value}" if option == "aws_endpoint_url" and value[0] != " " else value
    if where == "environment":
        if "\x00" in value:
            return  # no variable can hold it
        for name, one in (options | {option: value}).items():
            monkeypatch.setenv(name.upper(), one)
        options = {}
        said = option.upper()
    else:
        options[option] = value
        said = option.removeprefix("aws_").removesuffix("_url")
    with pytest.raises(lf.InvalidInputError) as caught:
        lf.open("s3://bucket/lake", storage_options=options)
    assert caught.value.kind == "bad-option"
    assert said in str(caught.value)
    assert option == "aws_region" or "lue" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "variable"),
    [
        ("az://container/lake", "AZURE_STORAGE_ACCOUNT_KEY"),
        ("az://container/lake", "AZURE_STORAGE_TOKEN"),
        ("az://container/lake", "AZURE_STORAGE_SAS_KEY"),
        ("gs://bucket/lake", "GOOGLE_BEARER_TOKEN"),
        ("gs://bucket/lake", "GOOGLE_BASE_URL"),
        ("s3://bucket/lake", "AWS_ENDPOINT"),
        ("s3://bucket/lake", "AWS_ENDPOINT_URL_S3"),
        ("s3://bucket/lake", "AWS_DEFAULT_REGION"),
    ],
)
def test_odd_variables_of_all_stores_are_refused_by_name(monkeypatch, uri: str, variable: str) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv(variable, "hush-hush\n")
    with pytest.raises(lf.InvalidInputError, match=f"{variable} ends with a line break") as caught:
        lf.open(uri)
    assert "hush" not in str(caught.value)


def test_texts_of_several_lines_are_no_oddity(tmp_path: Path) -> None:
    from lakefolio.storage.options import refuse_odd

    refuse_odd({"service_account_key": '{\n"a": 1\n}\n', "root_certificate": "-----BEGIN\n"}, {}, "gs")
    refuse_odd({}, {"AWS_NOTES": "a\nb", "AWS_PROFILE": "über"}, "s3")


class PanicException(BaseException):
    __module__ = "pyo3_runtime"


class Panicking:
    def __getattr__(self, name: str) -> Any:
        def panic(*args: Any, **kwargs: Any) -> Any:
            raise PanicException("called `Result::unwrap()` on an `Err` value: token=hush")

        return panic


def test_panics_of_the_client_never_leave(monkeypatch) -> None:
    lake = lf.open("memory://panics")
    lake.folio("f").add("x", 1)
    store = session_of(lake).store
    assert is_panic(PanicException("x"))
    assert not is_panic(KeyboardInterrupt())
    monkeypatch.setattr(store, "_vendor", Panicking())
    calls: list[Callable[[], Any]] = [
        lambda: store.get("a"),
        lambda: store.find("a"),
        lambda: store.head("a"),
        lambda: list(store.list("")),
        lambda: list(store.get_stream("a")),
        lambda: store.create("a", b"x"),
        lambda: store.put("a", b"x"),
        lambda: store.delete(["a"]),
        lambda: store.delete(["a", "b"]),
        lambda: store.upload("a", [b"x" * (1 << 20)] * 20, 20 << 20),
        lambda: store.get_many(["a", "b"]),
        lambda: lake.folio("f").add("y", 2),
        lambda: lake.folios(),
    ]
    for call in calls:
        with pytest.raises(lf.StorageError) as caught:
            call()
        assert "hush" not in f"{caught.value} {caught.value.__cause__}"
        assert isinstance(caught.value.__cause__, Exception)


# -- handles ------------------------------------------------------------------------------------------------------


def _never(*args: Any) -> None:
    raise AssertionError("it was pickled")


def test_handles_say_what_to_do_instead_of_pickling_them(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f").add("x", 1)
    with lake.run("r") as run:
        for handle in (lake, folio, run, lake.at(lake.version), lake.query(folio="f"), [lake], {"a": folio}):
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                with pytest.raises(TypeError, match=r"can't be pickled or copied: .* pass its address") as caught:
                    pickle.dumps(handle, protocol)
                assert f"lakefolio.open({lake.uri!r})" in str(caught.value)
    with pytest.raises(TypeError, match="for another process pass its address and names, and open it there"):
        copy.deepcopy(lake)
    process = multiprocessing.get_context("spawn").Process(target=_never, args=(folio,))
    with pytest.raises(TypeError, match="for another process pass its address and names, and open it there"):
        process.start()
