"""What is digested is exactly what is written: what changes while it is added is refused, and poisons nothing."""

from __future__ import annotations

import collections
import dataclasses
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse
import torch

import lakefolio as lf
from lakefolio.errors import InvalidInputError
from lakefolio.items.table_import import open_table_file

ROWS = 200_000


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAKEFOLIO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    return lf.open(tmp_path / "lake")


def memory() -> np.ndarray[Any, Any]:
    return np.arange(ROWS, dtype=np.float64)


def masked(data: Any) -> Any:
    return np.ma.MaskedArray(data, mask=np.arange(len(data)) % 7 == 0)


def sparse(data: Any) -> Any:
    places = np.arange(len(data), dtype=np.int32)
    return scipy.sparse.csr_array((data, places, np.array([0, len(data)], np.int32)), shape=(1, len(data)), copy=False)


def batches(data: Any) -> Any:
    table = pa.table({"x": pa.array(data)})
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=10_000))


OBJECTS: dict[str, Callable[[Any], Any]] = {
    "array": lambda data: data,
    "fortran array": lambda data: data.reshape(400, 500).T,
    "strided array": lambda data: data.reshape(400, 500)[:, ::2],
    "small array": lambda data: data[:100],
    "read-only array": lambda data: np.frombuffer(memoryview(data).toreadonly(), np.float64),
    "masked array": masked,
    "memoryview": lambda data: memoryview(data).cast("B"),
    "small memoryview": lambda data: memoryview(data[:100]).cast("B"),
    "bytearray": lambda data: bytearray(0),  # replaced below: it has memory of its own
    "pandas frame": lambda data: pd.DataFrame({"x": data}, copy=False),
    "pandas block": lambda data: pd.DataFrame(data.reshape(-1, 4), columns=list("abcd"), copy=False),
    "pandas series": lambda data: pd.Series(data, copy=False),
    "pandas index": lambda data: pd.DataFrame({"y": range(ROWS)}, index=pd.Index(data, copy=False)),
    "arrow table": lambda data: pa.table({"x": pa.array(data)}),
    "arrow struct": lambda data: pa.table({"s": pa.StructArray.from_arrays([pa.array(data)], ["x"])}),
    "arrow dictionary": lambda data: pa.table(
        {"d": pa.DictionaryArray.from_arrays(pa.array(np.arange(100) % 50, pa.int8()), pa.array(data[:50]))}
    ),
    "arrow reader": batches,
    "polars frame": lambda data: pl.from_arrow(pa.table({"x": pa.array(data)})),
    "sparse": sparse,
    "tensor": lambda data: torch.from_numpy(data),
    "state dict": lambda data: {"w": torch.from_numpy(data), "v": torch.zeros(3)},
    "large state dict": lambda data: {"w": torch.from_numpy(data), "v": torch.zeros(5_000_000)},
}


def made(name: str) -> tuple[Any, np.ndarray[Any, Any]]:
    """Return an object and the memory it lies in."""
    if name == "bytearray":
        whole = bytearray(memory().tobytes())
        return whole, np.frombuffer(whole, np.float64)
    data = memory()
    return OBJECTS[name](data), data


def plain(value: Any) -> Any:
    """Return the values of an object, to be compared."""
    if isinstance(value, (pa.RecordBatchReader,)):
        value = value.read_all()
    if isinstance(value, pa.Table):
        return value.to_pydict()
    if isinstance(value, (pd.DataFrame, pd.Series)):
        return value.reset_index().to_dict("list")
    if isinstance(value, pl.DataFrame):
        return value.to_dict(as_series=False)
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, torch.Tensor):
        return value.numpy().tolist()
    if scipy.sparse.issparse(value):
        return value.toarray().tolist()
    if isinstance(value, np.ma.MaskedArray):
        return value.filled(-1).tolist()
    return value.tolist() if isinstance(value, np.ndarray) else bytes(value)


def sound(lake: lf.Lake, expected: dict[str, Any]) -> None:
    """A fresh handle finds nothing wrong, and every item as it was added."""
    fresh = lf.open(lake.uri)
    report = fresh.check(read_data=True)
    assert report.ok, report
    for name, value in expected.items():
        assert plain(fresh.folio("f").get(name)) == value, name
    for path in (Path(lake.uri) / "blobs" / "sha256").glob("*/*"):
        import hashlib

        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name.partition(".")[0]


@contextmanager
def changing(change: Callable[[int], None]) -> Iterator[None]:
    """Change something over and over in another thread."""
    ended = threading.Event()

    def work() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            change(number)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def upload_after(monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    """Change the content at the last moment: it is digested, and about to be written by the thread of this test.

    What a background thread of another lake writes meanwhile is no such moment.
    """
    from lakefolio.storage.local import LocalStore

    original, write, adding = LocalStore.upload, pq.ParquetWriter.write_table, threading.get_ident()

    def upload(self: Any, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() == adding:
            change()
        return original(self, *args, **kwargs)

    def write_table(self: Any, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() == adding:
            change()
        return write(self, *args, **kwargs)

    monkeypatch.setattr(LocalStore, "upload", upload)
    monkeypatch.setattr(pq.ParquetWriter, "write_table", write_table)


@pytest.mark.parametrize("name", OBJECTS)
def test_what_changes_all_the_time_is_refused_or_whole(lake: lf.Lake, name: str) -> None:
    obj, data = made(name)
    stored = 0

    def change(number: int) -> None:
        data[number % len(data)] = -number

    folio = lake.folio("f")
    with changing(change):
        for attempt in range(15):
            try:
                folio.add(f"item{attempt}", obj if name != "arrow reader" else batches(data))
                stored += 1
            except InvalidInputError as exc:
                assert "changed while it was being added" in str(exc)
    data[:] = memory()
    obj = OBJECTS[name](data) if name != "bytearray" else obj
    folio.add("clean", obj)
    expected = {"clean": plain(made(name)[0])}
    sound(lake, expected)
    for attempt in range(15):  # an item that was accepted can be read
        if f"item{attempt}" in {one for names in folio.list_contents().values() for one in names}:
            folio.get(f"item{attempt}")
            stored -= 1
    assert stored == 0


@pytest.mark.parametrize("name", [name for name in OBJECTS if name != "arrow reader"])
def test_what_changes_before_it_is_written_never_poisons_equal_content(
    lake: lf.Lake, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Equal content that is added later comes back as it was, whatever was stored when it changed."""
    obj, data = made(name)

    def change() -> None:
        data[7] = -1.0

    with monkeypatch.context() as patched:
        upload_after(patched, change)
        try:
            lake.folio("f").add("changed", obj)
        except InvalidInputError as exc:
            assert "changed while it was being added" in str(exc)
    original, _ = made(name)
    lake.folio("f").add("clean", original)
    sound(lake, {"clean": plain(made(name)[0])})


@pytest.mark.parametrize("name", ["array", "memoryview", "fortran array", "read-only array"])
def test_memory_that_changes_before_it_is_written_is_refused(
    lake: lf.Lake, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    obj, data = made(name)

    def change() -> None:
        data[7] = -1.0

    with monkeypatch.context() as patched:
        upload_after(patched, change)
        with pytest.raises(InvalidInputError, match="changed while it was being added") as caught:
            lake.folio("f").add("changed", obj)
    assert caught.value.objects["item"] == "changed"
    assert lake.version == 0
    assert not list((Path(lake.uri) / "blobs").glob("**/*.*"))


@pytest.mark.parametrize("library", ["pandas", "polars", "arrow"])
def test_a_table_that_changes_while_it_is_written_is_refused(
    lake: lf.Lake, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    """It is larger than a row group, and its last row changes while the first group is written."""
    data = np.zeros(20_000_000)
    table = pa.table({"x": pa.array(data)})
    frames = {"pandas": lambda: pd.DataFrame({"x": data}, copy=False), "polars": lambda: pl.from_arrow(table)}

    def change() -> None:
        data[-1] = -1.0

    with monkeypatch.context() as patched:
        upload_after(patched, change)
        with pytest.raises(InvalidInputError, match="changed while it was being added") as caught:
            lake.folio("f").add("changed", frames.get(library, lambda: table)())
    assert caught.value.objects["item"] == "changed"
    assert lake.version == 0


@pytest.mark.parametrize("size", [100, 4_000, 100_000, 20_000_000])
def test_a_file_that_changes_before_it_is_written_is_refused(
    lake: lf.Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int
) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(b"a" * size)
    real = Path.open
    opened = 0

    def open_(self: Path, *args: Any, **kwargs: Any) -> Any:
        nonlocal opened
        if self == path:
            opened += 1
            if opened == 2:
                path.write_bytes(b"b" * size)
        return real(self, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", open_)
        with pytest.raises(InvalidInputError, match="changed while it was being added"):
            lake.folio("f").add("file", path)
    lake.folio("f").add("clean", b"a" * size)
    sound(lake, {"clean": b"a" * size})


def _parquet(path: Path, value: int) -> None:
    pq.write_table(pa.table({"x": pa.array([value] * ROWS)}), path, row_group_size=1_000, use_dictionary=False)


TABLES: dict[str, Callable[[Path, int], object]] = {
    "csv": lambda path, value: path.write_text("x\n" + f"{value}\n" * ROWS),
    "parquet": _parquet,
}


def add_while(lake: lf.Lake, path: Path, change: Callable[[], object]) -> None:
    with open_table_file(path, None, 100_000) as reader:
        reader.read_next_batch()
        change()
        lake.folio("f").add("table", reader)


@pytest.mark.parametrize("form", TABLES)
def test_a_table_file_that_changes_while_it_is_read_is_refused(lake: lf.Lake, tmp_path: Path, form: str) -> None:
    path = tmp_path / f"data.{form}"
    TABLES[form](path, 1)

    def change() -> None:
        TABLES[form](path, 2)
        os.utime(path, ns=(0, 0))  # another time than before, however coarse the clock of files is

    with pytest.raises(InvalidInputError, match="changed while it was being read"):
        add_while(lake, path, change)
    assert lake.version == 0


def test_a_parquet_file_that_is_cut_off_while_it_is_read_is_one_error(lake: lf.Lake, tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    _parquet(path, 1)
    with pytest.raises(InvalidInputError, match=r"changed while it was being read|can't be read as parquet"):
        add_while(lake, path, lambda: os.truncate(path, 100))  # whoever maps the file is ended by SIGBUS
    assert lake.version == 0


def test_a_file_that_grows_all_the_time_is_refused_or_whole(lake: lf.Lake, tmp_path: Path) -> None:
    path = tmp_path / "grows.log"
    path.write_bytes(b"")
    folio = lake.folio("f")
    with path.open("ab", buffering=0) as file, changing(lambda number: file.write(b"%d\n" % number) and None):
        for attempt in range(60):
            try:
                folio.add(f"log{attempt}", path)
            except InvalidInputError as exc:
                assert "changed while it was being added" in str(exc)
    sound(lake, {})


@dataclasses.dataclass
class Mischievous:
    """Changes the container that it lies in, as another thread would, once it is looked at."""

    here: bool = True
    change: ClassVar[Callable[[], None]]

    def __getattribute__(self, name: str) -> Any:
        if name == "here":
            Mischievous.change()
        return object.__getattribute__(self, name)


CONTAINERS: dict[str, Callable[[], tuple[Any, Callable[[Any], None]]]] = {
    "dict": lambda: ({}, lambda held: held.update({f"new{len(held)}": 1})),
    "dict with other keys": lambda: ({1: 1}, lambda held: held.update({len(held): 1})),
    "ordered dict": lambda: (collections.OrderedDict(), lambda held: held.update({len(held): 1})),
    "deque": lambda: (collections.deque(), lambda held: held.append(1)),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_that_changes_while_it_is_added_is_refused(
    lake: lf.Lake, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    held, change = CONTAINERS[name]()
    calls: list[int] = []

    def once() -> None:
        if not calls:
            calls.append(1)
            change(held)

    monkeypatch.setattr(Mischievous, "change", once, raising=False)
    for one in (Mischievous(), Mischievous()):
        held.append(one) if name == "deque" else held.update({f"k{len(held)}": one})
    folio = lake.folio("f")
    with pytest.raises(InvalidInputError, match="'x' can't be stored: the value changed while it was being added"):
        folio.add("x", [held])
    calls.clear()
    with pytest.raises(InvalidInputError, match="changed while it was being added"):
        folio.add("y", 1, metadata={"held": held})
    calls.clear()
    with pytest.raises(InvalidInputError, match="changed while it was being added"), lake.run("r", params={"p": held}):
        pass
    assert lake.version == 0


def test_a_batch_holds_what_was_added_not_what_it_became(lake: lf.Lake) -> None:
    data = memory()
    with lake.batch():
        lake.folio("f").add("a", data)
        data[0] = -1
        lake.folio("f").add("b", data)
    assert lake.folio("f").get("a")[0] == 0.0
    assert lake.folio("f").get("b")[0] == -1.0


# -- folders --------------------------------------------------------------------------------------------------


def folder(tmp_path: Path, size: int = 3_000_000) -> Path:
    root = tmp_path / "folder"
    (root / "sub").mkdir(parents=True)
    (root / "a.bin").write_bytes(b"a" * size)
    (root / "sub" / "b.txt").write_text("b")
    return root


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "a.bin").write_bytes(b"z" * 3_000_000),
        lambda root: (root / "a.bin").write_bytes(b"z" * 10),
        lambda root: (root / "a.bin").open("ab").write(b"more"),
        lambda root: (root / "a.bin").unlink(),
        lambda root: (root / "new.txt").write_text("new"),
        lambda root: (root / "sub" / "b.txt").write_text("c"),
        lambda root: ((root / "sub" / "b.txt").unlink(), (root / "sub" / "b.txt").symlink_to("../a.bin")),
    ],
    ids=["rewritten", "shorter", "longer", "removed", "added", "rewritten small", "became a link"],
)
def test_a_folder_that_changes_while_it_is_added_is_refused(
    lake: lf.Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: Callable[[Path], Any]
) -> None:
    import tarfile

    root = folder(tmp_path)
    stamps = {path: os.stat(path) for path in root.rglob("*")}
    original = tarfile.TarFile.close

    def close(self: Any) -> None:
        if not self.closed and self.mode == "w":
            change(root)
            for path, stamp in stamps.items():  # a clock that stands still hides nothing
                if path.exists() and not path.is_symlink():
                    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        original(self)

    monkeypatch.setattr(tarfile.TarFile, "close", close)
    with pytest.raises(InvalidInputError, match="changed while it was being added"):
        lake.folio("f").add("folder", root)
    assert lake.version == 0


def test_a_folder_with_a_file_that_is_rewritten_all_the_time_is_refused_or_whole(lake: lf.Lake, tmp_path: Path) -> None:
    root = folder(tmp_path)
    descriptor = os.open(root / "a.bin", os.O_WRONLY)

    def change(number: int) -> None:
        os.pwrite(descriptor, bytes([number % 256]) * 3_000_000, 0)

    refused = 0
    with changing(change):
        for attempt in range(10):
            try:
                lake.folio("f").add(f"folder{attempt}", root)
            except InvalidInputError as exc:
                assert "changed while it was being added" in str(exc)
                refused += 1
    os.close(descriptor)
    for name in lake.folio("f").artifacts:  # the writer may have paused for a while
        assert (Path(lake.folio("f").get(name)) / "a.bin").stat().st_size == 3_000_000
    assert refused
    assert lf.open(lake.uri).check(read_data=True).ok


@pytest.mark.parametrize("name", ["back\\slash.txt", "sub\\", "\\", "a\\..\\b"])
def test_a_folder_with_a_name_that_could_not_be_unpacked_is_refused(lake: lf.Lake, tmp_path: Path, name: str) -> None:
    root = folder(tmp_path, 10)
    (root / "sub" / name).write_text("x")
    with pytest.raises(InvalidInputError) as caught:
        lake.folio("f").add("folder", root)
    assert repr(f"sub/{name}") in str(caught.value)
    assert lake.version == 0


def test_a_folder_with_names_that_windows_lacks_is_stored_with_a_warning(lake: lf.Lake, tmp_path: Path) -> None:
    root = folder(tmp_path, 10)
    (root / "12:30.log").write_text("x")
    with pytest.warns(UserWarning, match="12:30.log"):
        lake.folio("f").add("folder", root)
    assert (Path(lake.folio("f").get("folder")) / "12:30.log").read_text() == "x"


# -- tables that were poisoned before ---------------------------------------------------------------------------


def test_check_finds_a_table_whose_bytes_are_not_what_its_digest_says(lake: lf.Lake) -> None:
    from hostile import forge

    other = lf.open(Path(lake.uri).parent / "other")
    other.folio("f").add("good", pd.DataFrame({"x": [1.0, 2.0, 3.0]}))
    other.folio("f").add("bad", pd.DataFrame({"x": [1.0, 2.0, 9.0]}))
    entry, content = other.item("f:good"), Path(other.folio("f").item_path("bad")).read_bytes()
    forge(lake, "poisoned", "table", "parquet", content, details=entry.details, row_count=3, digest=entry.digest)
    assert lake.check().ok
    report = lake.check(read_data=True)
    assert [problem.kind for problem in report.problems] == ["table-digest"]
    assert "f:poisoned" in report.problems[0].message
