"""A published folio is what others' tools take: Croissant and RO-Crate by their rules, OpenLineage by file and HTTP."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import time, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli.program import cli
from lakefolio.interop.publishing import events_of, publish, send_events

FRAME = pd.DataFrame({"carrier name": ["UA"], "delay": [1.5], "ok": [True], "when": pd.to_datetime(["2024-01-01"])})


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    lake = lf.open(tmp_path / "lake", author="ada")
    folio = lake.folio("exp/clf")
    (tmp_path / "logs" / "a b").mkdir(parents=True)
    (tmp_path / "logs" / "a b" / "x.txt").write_text("hi")
    with lake.run("prepare", description="clean it"):
        folio.add_table("raw", FRAME, description="raw rows", tags=["t"])
    with lake.run("train") as run:
        run.input("exp/clf:raw")
        run.add_input("outside", "s3://bucket/key")
        folio.add_numpy("w", np.arange(3)).add_json("conf", {"a": 1}).add_artifact("logs", tmp_path / "logs")
    folio.add_artifact("note", b"hello")
    folio.metadata.update({"license": "CC-BY-4.0", "description": "Test data."})
    lake.snapshot("paper", folio="exp/clf")
    folio.delete("w")
    return lake


def described(place: Path, name: str) -> dict[str, Any]:
    return json.loads((place / name).read_text())


def test_croissant_says_what_tables_hold(lake: lf.Lake, tmp_path: Path) -> None:
    report = publish(lake, "exp/clf", tmp_path / "out", ["croissant"])
    assert report.files == 4
    found = described(tmp_path / "out", "croissant.json")
    assert (found["license"], found["version"]) == ("https://spdx.org/licenses/CC-BY-4.0", f"{lake.version}.0.0")
    (table,) = found["recordSet"]
    types = {one["name"]: one["dataType"] for one in table["field"]}
    assert types == {
        "table/raw/carrier name": "sc:Text",
        "table/raw/delay": "sc:Float",
        "table/raw/ok": "sc:Boolean",
        "table/raw/when": "sc:DateTime",
    }
    files = {one["@id"] for one in found["distribution"]}
    ids = [*files, table["@id"], *(one["@id"] for one in table["field"])]
    assert len(set(ids)) == len(ids)
    assert not any(" " in one for one in ids)
    assert {one["source"]["fileObject"]["@id"] for one in table["field"]} <= files


def test_croissant_is_valid_and_its_tables_load(lake: lf.Lake, tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip(
        "mlcroissant", reason="it brings pandas-stubs, which mypy would read: install it to check"
    )
    publish(lake, "exp/clf", tmp_path / "out", ["croissant"], authors=["Ada Lovelace"])
    dataset = mlcroissant.Dataset(jsonld=str(tmp_path / "out" / "croissant.json"))
    assert dataset.metadata.issues.errors == set()
    assert dataset.metadata.issues.warnings == set()
    (row,) = dataset.records("table/raw")
    assert row["table/raw/delay"] == 1.5


def test_columns_have_the_types_that_readers_of_croissant_take(lake: lf.Lake, tmp_path: Path) -> None:
    table = pa.table(
        {
            "list": pa.array([[1, 2]]),
            "names": pa.array([["a"]], pa.large_list(pa.field("item", pa.large_string(), nullable=False))),
            "pair": pa.array([[1.5, 2]], pa.list_(pa.float32(), 2)),
            "time": pa.array([time(1, 2)]),
            "price": pa.array([Decimal("1.23")]),
            "category": pa.array(["x"]).dictionary_encode(),
            "code": pa.array([7], pa.dictionary(pa.int8(), pa.int64())),
            "bytes": pa.array([b"\xff"]),
            "took": pa.array([timedelta(1)]),
            "point": pa.array([{"x": 1}]),
            "matrix": pa.array([[[1]]]),
        }
    )
    lake.folio("exp/clf").add("columns", table, description="All sorts.")
    lake.folio("exp/clf").add("points", table.select(["point"]))
    publish(lake, "exp/clf", tmp_path / "out", ["croissant"])
    sets = {one["name"]: one for one in described(tmp_path / "out", "croissant.json")["recordSet"]}
    assert sorted(sets) == ["table/columns", "table/raw"]
    fields = sets["table/columns"]["field"]
    found = {one["name"].rpartition("/")[2]: (one["dataType"], one.get("repeated", False)) for one in fields}
    assert found == {
        "list": ("sc:Integer", True),
        "names": ("sc:Text", True),
        "pair": ("sc:Float", True),
        "time": ("sc:Time", False),
        "price": ("sc:Float", False),
        "category": ("sc:Text", False),
        "code": ("sc:Integer", False),
        "bytes": ("sc:Text", False),
    }
    said = sets["table/columns"]["description"]
    assert said.startswith(
        "All sorts. Croissant has no type for: took (duration[us]), point (struct<x: int64>), matrix"
    )


def test_what_is_said_of_files_is_so(lake: lf.Lake, tmp_path: Path) -> None:
    publish(lake, "exp/clf", tmp_path / "out", ["croissant", "ro-crate"])
    files = described(tmp_path / "out", "croissant.json")["distribution"]
    everything = (tmp_path / "out" / "data").rglob("*")
    there = {one.relative_to(tmp_path / "out").as_posix() for one in everything if one.is_file()}
    assert {one["contentUrl"] for one in files} == there
    for one in files:
        content = (tmp_path / "out" / one["contentUrl"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == one["sha256"]
        assert one["contentSize"] == f"{len(content)} B"


def test_a_crate_tells_who_made_what_from_what(lake: lf.Lake, tmp_path: Path) -> None:
    publish(lake, "exp/clf", tmp_path / "out", ["ro-crate"], title="A title")
    graph = described(tmp_path / "out", "ro-crate-metadata.json")["@graph"]
    entities = {one["@id"]: one for one in graph}
    assert len(entities) == len(graph)
    root = entities["./"]
    assert (root["name"], root["description"], root["author"]) == ("A title", "Test data.", {"@id": "#ada"})
    parts = {one["@id"] for one in root["hasPart"]}
    assert parts == {"data/raw.parquet", "data/conf.json", "data/logs/a%20b/x.txt", "data/note"}
    actions = {one["name"]: one for one in graph if one["@type"] == "CreateAction"}
    assert actions["prepare"]["result"] == {"@id": "data/raw.parquet"}
    assert actions["train"]["object"] == [{"@id": "data/raw.parquet"}, {"@id": "s3://bucket/key"}]
    assert {one["@id"] for one in actions["train"]["result"]} == {"data/conf.json", "data/logs/a%20b/x.txt"}

    def refs(value: Any) -> Iterator[str]:
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict) and set(one) == {"@id"}:
                yield one["@id"]

    named = {ref for one in graph for key, value in one.items() if key != "conformsTo" for ref in refs(value)}
    assert named <= set(entities)


def test_organisations_are_named_where_they_were_given(lake: lf.Lake, tmp_path: Path) -> None:
    authors = [{"name": "Ada", "affiliation": "London"}, "Bob"]
    lake.folio("exp/clf").metadata.update({"authors": authors, "affiliation": "Paris"})
    publish(lake, "exp/clf", tmp_path / "out", ["ro-crate", "croissant"], publisher="London")
    graph = described(tmp_path / "out", "ro-crate-metadata.json")["@graph"]
    entities = {one["@id"]: one for one in graph}
    assert len(entities) == len(graph)

    def name_of(found: dict[str, str]) -> str:
        return entities[found["@id"]]["name"]

    assert [(name_of(one), name_of(entities[one["@id"]]["affiliation"])) for one in entities["./"]["author"]] == [
        ("Ada", "London"),
        ("Bob", "Paris"),
    ]
    assert name_of(entities["./"]["publisher"]) == "London"
    assert described(tmp_path / "out", "croissant.json")["publisher"]["name"] == "London"


def test_no_path_of_this_computer_is_published(lake: lf.Lake, tmp_path: Path) -> None:
    publish(lake, "exp/clf", tmp_path / "out", ["ro-crate", "croissant"])
    for name in ("ro-crate-metadata.json", "croissant.json"):
        assert str(tmp_path) not in (tmp_path / "out" / name).read_text()
    named = described(tmp_path / "out", "croissant.json")["url"]
    assert named.replace("-", "").startswith(f"urn:uuid:{lake.lake_id}#exp/clf@")


def test_a_snapshot_is_published_as_it_was(lake: lf.Lake, tmp_path: Path) -> None:
    then = lake.at(lake.snapshots("exp/clf")[0].target_version)
    publish(then, "exp/clf", tmp_path / "out", ["croissant"], license="https://example.org/terms")
    assert np.load(tmp_path / "out" / "data" / "w.npy").tolist() == [0, 1, 2]
    assert described(tmp_path / "out", "croissant.json")["license"] == "https://example.org/terms"


def test_what_lies_elsewhere_is_named_not_copied(lake: lf.Lake, tmp_path: Path) -> None:
    (tmp_path / "of all").mkdir()
    FRAME.to_parquet(tmp_path / "of all" / "far.parquet")
    lake.folio("exp/clf").reference_table("far", tmp_path / "of all" / "far.parquet")
    publish(lake, "exp/clf", tmp_path / "out", ["croissant", "ro-crate"])
    assert not (tmp_path / "out" / "data" / "far.parquet").exists()
    parts = [one["@id"] for one in described(tmp_path / "out", "ro-crate-metadata.json")["@graph"]]
    assert f"{tmp_path.as_uri()}/of%20all/far.parquet" in parts


def test_refusals(lake: lf.Lake, tmp_path: Path) -> None:
    with pytest.raises(lf.NotFoundError):
        publish(lake, "exp/clg", tmp_path / "out", ["croissant"])
    with pytest.raises(lf.InvalidInputError, match="no form"):
        publish(lake, "exp/clf", tmp_path / "out", ["crate"])
    del lake.folio("exp/clf").metadata["license"]
    with pytest.raises(lf.InvalidInputError, match="no licence"):
        publish(lake, "exp/clf", tmp_path / "out", ["croissant"])
    for words in ("MIT OR Apache-2.0", "ask Ada", "https://example.org/my terms", "https://example.org/<terms>"):
        with pytest.raises(lf.InvalidInputError, match="neither an SPDX identifier nor an address"):
            publish(lake, "exp/clf", tmp_path / "out", ["ro-crate"], license=words)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(FileExistsError):
        publish(lake, "exp/clf", tmp_path / "full", ["croissant"], license="MIT")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["full", "lake", "logs"]


@pytest.mark.parametrize(
    ("authors", "names"),
    [
        ("Ada", ["Ada"]),
        ([{"name": "Ada"}, "Bob"], ["Ada", "Bob"]),
        (["A\ud800"], ["A\ud800"]),
        ([1], None),
        ([{}], None),
    ],
)
def test_authors_are_names_or_refused(lake: lf.Lake, tmp_path: Path, authors: Any, names: list[str] | None) -> None:
    try:
        publish(lake, "exp/clf", tmp_path / "out", ["croissant", "ro-crate"], authors=authors)
    except lf.InvalidInputError as exc:
        assert (names, exc.kind, sorted(one.name for one in tmp_path.iterdir())) == (
            None,
            "bad-authors",
            ["lake", "logs"],
        )
        return
    creators = described(tmp_path / "out", "croissant.json")["creator"]
    assert [one["name"] for one in creators] == names


def test_items_whose_files_would_meet_get_places_of_their_own(lake: lf.Lake, tmp_path: Path) -> None:
    folio = lake.folio("close")
    for name in ("a", "A"):
        folio.add_json(name, {"x": 1})
    (tmp_path / "dir").mkdir()
    for name in ("a.json", "dir/b.json"):
        (tmp_path / name).write_text(name)
    folio.add_artifact("a.json", tmp_path / "a.json")
    folio.add_artifact("d", tmp_path / "dir")
    folio.add_json("d/b", {"x": 2})
    publish(lake, "close", tmp_path / "out", ["croissant"], license="MIT")
    data = tmp_path / "out" / "data"
    found = sorted(path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file())
    assert found == ["A-2.json", "a-3.json", "a.json", "d%2Fb.json", "d/b.json"]
    assert (data / "a-3.json").read_text() == "a.json"
    assert len({one["@id"] for one in described(tmp_path / "out", "croissant.json")["distribution"]}) == 5


@pytest.mark.parametrize("place", [".", "out\0", "file/out", "x" * 300, "dangling", "/proc/none"])
def test_places_that_can_not_be_are_one_error_and_nothing_is_left(
    lake: lf.Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("file").touch()
    Path("dangling").symlink_to(tmp_path / "nowhere")
    if place == ".":
        (tmp_path / "empty").mkdir()
        monkeypatch.chdir(tmp_path / "empty")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(lf.LakefolioError):
        publish(lake, "exp/clf", place, ["croissant"], license="MIT")
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_is_filled_and_a_failure_leaves_it_empty(
    lake: lf.Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("lakefolio.interop.publishing.files.digest_of", broken)
        with pytest.raises(lf.StorageError, match="No space"):
            publish(lake, "exp/clf", tmp_path / "out", ["croissant"], license="MIT")
    assert list((tmp_path / "out").iterdir()) == []
    assert not list(tmp_path.glob(".out*"))
    publish(lake, "exp/clf", tmp_path / "out", ["croissant"], license="MIT", title="\ud800")
    assert described(tmp_path / "out", "croissant.json")["alternateName"] == "\ud800"


class _Catalogue(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.took.append((self.path, self.headers.get("Authorization"), json.loads(body)))  # type: ignore[attr-defined]
        self.send_response(201 if self.server.good else 503)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def catalogue() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), _Catalogue)
    server.took, server.good = [], True  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_events_reach_a_catalogue(lake: lf.Lake, catalogue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "sesame")
    events = events_of(lake, "exp/clf")
    made = {out["name"]: event for event in events for out in event["outputs"]}
    assert "exp/clf/raw" in [one["name"] for one in made["exp/clf/conf"]["inputs"]]
    assert made["exp/clf/conf"] is made["exp/clf/logs"]
    address = f"http://127.0.0.1:{catalogue.server_port}"
    assert send_events(events, address) == len(events)
    assert [one[2] for one in catalogue.took] == events
    assert {one[:2] for one in catalogue.took} == {("/api/v1/lineage", "Bearer sesame")}
    catalogue.good = False
    with pytest.raises(lf.StorageError) as caught:
        send_events(events, f"{address}/own/path")
    assert "sesame" not in str(caught.value)
    assert catalogue.took[-1][0] == "/own/path"
    with pytest.raises(lf.InvalidInputError):
        send_events(events, "file:///etc/passwd")


@pytest.mark.parametrize("address", ["http://[::1", "http://a b/", "http://h:99999/", "http://\u2603.invalid/"])
def test_addresses_that_are_none_are_one_error(address: str) -> None:
    with pytest.raises(lf.LakefolioError):
        send_events([{}], address)


@pytest.mark.parametrize("answer", [b"x\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 300 + b"\r\n", b""])
def test_a_catalogue_that_speaks_no_http_is_one_error(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answers() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=answers, daemon=True)
        thread.start()
        with pytest.raises(lf.StorageError, match="does not take event 1"):
            send_events([{}], f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n"])
def test_a_catalogue_that_answers_drop_by_drop_holds_nobody(start: bytes) -> None:
    drop, over = start or b"H", threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drips() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.sendall(start)
                while not over.wait(0.02):
                    connection.sendall(b"x: y\r\n" if start.endswith(b"OK\r\n") else drop)

        thread = threading.Thread(target=drips, daemon=True)
        thread.start()
        with pytest.raises(lf.StorageError, match=r"event 1: no answer within 0.2 s"):
            send_events([{}], f"http://127.0.0.1:{server.getsockname()[1]}", timeout_s=0.2)
        over.set()
        thread.join()


def test_an_endless_answer_is_not_read_and_what_it_says_of_itself_is_cut_short() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answers() -> None:
            for head in (b"HTTP/1.1 200 OK", b"HTTP/1.1 500 " + b"no\x1b[2J " * 5_000):
                connection, _ = server.accept()
                with connection, suppress(OSError):
                    connection.recv(65_536)
                    connection.sendall(head + b"\r\n\r\n")
                    while True:
                        connection.sendall(b"x" * 65_536)

        thread = threading.Thread(target=answers, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert send_events([{}], address) == 1
        with pytest.raises(lf.StorageError) as caught:
            send_events([{}], address)
        assert len(str(caught.value)) < 400
        assert str(caught.value).isprintable()
        thread.join()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_key_goes_to_no_other_host(catalogue: Any, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "sesame")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def points_elsewhere() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                place = f"http://localhost:{catalogue.server_port}/api/v1/lineage"
                connection.sendall(f"HTTP/1.1 {status} Over There\r\nLocation: {place}\r\n\r\n".encode())

        thread = threading.Thread(target=points_elsewhere, daemon=True)
        thread.start()
        with pytest.raises(lf.StorageError, match=str(status)):
            send_events([{}], f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert catalogue.took == []


def test_an_address_that_holds_a_password_is_refused_without_it() -> None:
    with pytest.raises(lf.InvalidInputError, match="OPENLINEAGE_API_KEY") as caught:
        send_events([{}], "http://ada:hunter2@127.0.0.1:1")
    assert "hunter2" not in str(caught.value)


def test_a_catalogue_that_is_not_there_is_said_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(lf.StorageError, match=r"event 1: \[Errno \d+\] Connection refused \(check"):
        send_events([{}], f"http://127.0.0.1:{port}")


def test_the_command(lake: lf.Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = lake.uri.removeprefix("file://")

    def run(*args: str) -> Any:
        with pytest.raises(SystemExit) as caught:
            cli(["export", *args, "--lake", place])
        return caught.value.code

    out = str(tmp_path / "out")
    assert run("exp/clf", "--croissant", out, "--ro-crate", out, "--author", "Ada") == 0
    assert {one.name for one in Path(out).iterdir()} == {"croissant.json", "data", "ro-crate-metadata.json"}
    assert run("exp/clf", "--openlineage", str(tmp_path / "events.json")) == 0
    assert len(json.loads((tmp_path / "events.json").read_text())) == 2
    capsys.readouterr()
    assert run("exp/clf", "--croissant", str(tmp_path / "then"), "--at", "paper") == 0
    assert (tmp_path / "then" / "data" / "w.npy").exists()
    capsys.readouterr()
    assert run("--openlineage", "-") == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert run("--croissant", out) == 2
    assert run("exp/clf") == 2


@pytest.mark.parametrize(
    "wrong",
    [{"title": 5}, {"description": b"x"}, {"license": 5}, {"authors": 5}, {"url": ["x"]}, {"forms": 5}, {"titel": "x"}],
)
def test_an_argument_of_a_wrong_type_is_named_and_nothing_is_written(
    lake: lf.Lake, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    given: Any = {"license": "MIT", "forms": ["croissant", "ro-crate"], **wrong}
    with pytest.raises(lf.UnsupportedTypeError, match=next(iter(wrong))):
        publish(lake, "exp/clf", tmp_path / "out", given.pop("forms"), **given)
    assert not (tmp_path / "out").exists()


def test_two_folders_are_told_in_one_document(lake: lf.Lake, tmp_path: Path) -> None:
    places = ["--croissant", str(tmp_path / "a"), "--ro-crate", str(tmp_path / "b")]
    result = CliRunner().invoke(cli, ["export", "exp/clf", *places, "--lake", lake.uri, "--json"])
    assert result.exit_code == 0, result.output
    assert [one["forms"] for one in json.loads(result.stdout)] == ["croissant", "ro-crate"]
