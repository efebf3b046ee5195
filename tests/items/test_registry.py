"""Which handler stores what, and what strangers' handlers can't break."""

import importlib.metadata
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from lakefolio import items
from lakefolio.errors import AlreadyExistsError, InvalidInputError, UnsupportedTypeError
from lakefolio.items.handler import Buffers, Encoded


class Song:
    pass


class SongHandler:
    kind = "song"

    def accepts(self, obj: object) -> bool:
        return isinstance(obj, Song)

    def encode(self, obj: object, *, scratch: Path) -> Encoded:
        return Encoded("song", "x", "audio/x", Buffers((b"la",)))

    def decode(self, source: object, details: object) -> Song:
        return Song()


class Broken:
    kind = "broken"

    def accepts(self, obj: object) -> bool:
        raise RuntimeError("oops")

    encode = decode = accepts


class Halved:
    kind = "halved"


class Thief(SongHandler):
    kind = "json"


@pytest.fixture
def installed(monkeypatch):
    """Pretend that packages with these entry points are installed."""

    def install(*values: str) -> None:
        found = [importlib.metadata.EntryPoint(value, value, items.ENTRY_POINT_GROUP) for value in values]
        ours = {items.ENTRY_POINT_GROUP: found}
        monkeypatch.setattr("importlib.metadata.entry_points", lambda group: ours.get(group, []))
        monkeypatch.setattr(items, "_found", None)
        monkeypatch.setattr(items, "_broken", set())
        monkeypatch.setattr(items, "_registered", {})

    return install


@pytest.mark.parametrize(
    "obj",
    [lambda: 1, sys, (one for one in ()), open, Song(), object(), Song, iter([])],
    ids=lambda obj: type(obj).__name__,
)
def test_what_nothing_stores_says_what_is_stored(obj: object) -> None:
    with pytest.raises(UnsupportedTypeError) as caught:
        items.handler_for(obj)
    assert caught.value.type == f"{type(obj).__module__}.{type(obj).__qualname__}"
    assert items.ENTRY_POINT_GROUP in caught.value.hint
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(("obj", "advice"), [(lambda: 1, "what it returns"), ((x for x in "ab"), "what it yields")])
def test_what_runs_is_not_stored_but_what_comes_of_it(obj: object, advice: str) -> None:
    with pytest.raises(UnsupportedTypeError) as caught:
        items.handler_for(obj)
    assert advice in caught.value.hint


def test_open_files_and_sockets_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "f").open("w") as file, socket.socket() as server:
        for obj in (file, server):
            with pytest.raises(UnsupportedTypeError):
                items.handler_for(obj)


def test_an_unknown_kind_names_the_group_and_the_nearest() -> None:
    with pytest.raises(UnsupportedTypeError) as caught:
        items.handler_of("tabel")
    assert caught.value.kind == "unknown-kind"
    assert items.ENTRY_POINT_GROUP in caught.value.hint
    assert "'table'" in caught.value.hint


def test_every_built_in_kind_is_found() -> None:
    kinds = [handler.kind for handler in items.handlers()]
    built_in = "table array sparse torch model figure timestamp directory artifact json"
    assert kinds[:10] == built_in.split()
    for kind in kinds:
        assert items.handler_of(kind).kind == kind


def test_entry_points_are_found_and_broken_ones_warn_once(installed) -> None:
    here = __name__
    installed("no_such_module:Handler", f"{here}:Halved", f"{here}:Thief", f"{here}:Broken", f"{here}:SongHandler")
    with pytest.warns(RuntimeWarning) as caught:
        assert items.handler_for(Song()).kind == "song"
    assert len(caught) == 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert items.handler_for(Song()).kind == "song"
        assert items.handler_of("song").kind == "song"
        assert items.handler_of("json").kind == "json"
        assert type(items.handler_of("json")).__name__ == "JsonHandler"
    with pytest.raises(UnsupportedTypeError):
        items.handler_of("halved")


def test_a_handler_can_be_registered_in_the_process(installed) -> None:
    installed()
    items.register(SongHandler())
    assert items.handler_for(Song()).kind == "song"
    with pytest.raises(AlreadyExistsError):
        items.register(Thief())
    with pytest.raises(InvalidInputError) as caught:
        items.register(Halved())
    assert caught.value.kind == "bad-handler"


def test_importing_items_loads_no_handler_and_no_library() -> None:
    code = (
        "import sys, lakefolio.items as items\n"
        "heavy = {'pandas', 'polars', 'sklearn', 'skops', 'torch', 'scipy', 'numpy', 'pyarrow'} & set(sys.modules)\n"
        "assert not [name for name in sys.modules if name.startswith('lakefolio.items.')], sys.modules\n"
        "items.handlers()\n"
        "heavy |= {'pandas', 'polars', 'sklearn', 'skops', 'torch', 'scipy', 'pyarrow.parquet'} & set(sys.modules)\n"
        "print(sorted(heavy))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
