"""Lakes that can't be reached, entered or changed: no bucket, wrong keys, no network, read-only, the past."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from bad_input_support import refused, unchanged
from click.testing import CliRunner

import lakefolio as lf
from lakefolio import errors
from lakefolio.cli import cli
from lakefolio.errors import InvalidInputError, LakeNotFoundError, ReadOnlyError, StorageError
from lakefolio.testing import CountingProxy, Fault, S3Server

# -- stores that can't be reached ---------------------------------------------------------------------------

OPENINGS: dict[str, Callable[..., Any]] = {
    "open": lambda uri, options: lf.open(uri, storage_options=options),
    "open without create": lambda uri, options: lf.open(uri, storage_options=options, create=False),
    "open read-only": lambda uri, options: lf.open(uri, storage_options=options, read_only=True),
    "Folio": lambda uri, options: lf.Folio(uri, "f", storage_options=options),
    "Folio alone": lambda uri, options: lf.Folio(f"{uri}/f", storage_options=options),
}


@pytest.mark.parametrize("way", OPENINGS)
def test_a_missing_bucket(s3_server: S3Server, way: str) -> None:
    uri = "s3://no-such-bucket/lake"
    action = OPENINGS[way]
    error = refused(
        LakeNotFoundError, "bucket-not-found", lambda: action(uri, s3_server.storage_options), "no-such-bucket"
    )
    assert isinstance(error, FileNotFoundError)
    assert error.exit_code == 3


@pytest.mark.parametrize("way", OPENINGS)
@pytest.mark.parametrize("wrong", ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"])
def test_wrong_credentials(s3_server: S3Server, s3_uri: str, way: str, wrong: str) -> None:
    options = s3_server.storage_options | {wrong: "WRONG-s3cr3t"}
    error = refused(StorageError, "unauthenticated", lambda: OPENINGS[way](s3_uri, options), "AWS_ACCESS_KEY_ID")
    assert s3_server.secret_access_key not in str(error)
    assert isinstance(error, OSError)
    assert error.exit_code == 7
    assert lf.open(s3_uri).version == 0


def test_wrong_credentials_of_the_environment(s3_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lf.open(s3_uri).folio("f").add_json("x", 1)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "WRONG-s3cr3t")
    refused(StorageError, "unauthenticated", lambda: lf.open(s3_uri))
    for args in (["ls"], ["get", "f:x"], ["add", "f:y", __file__], ["check"]):
        result = CliRunner().invoke(cli, ["--lake", s3_uri, *args])
        assert (result.exit_code, result.stdout) == (7, "")
        assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["error", "hint"]
        assert "s3cr3t" not in result.output


def test_no_credentials_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    refused(StorageError, "unauthenticated", lambda: lf.open("s3://bucket/lake"), "AWS_PROFILE")
    for uri in ("s3://key:s3cr3t@bucket/x", "az://box/x?sig=s3cr3t", "s3://", "ftp://host/x", "s3://bucket/../x"):
        refused(InvalidInputError, "bad-uri", lambda uri=uri: lf.open(uri))


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("way", OPENINGS)
def test_no_network(closed_port: int, way: str) -> None:
    options = {
        "aws_access_key_id": "key",
        "aws_secret_access_key": "s3cr3t",
        "aws_endpoint_url": f"http://127.0.0.1:{closed_port}",
    }
    started = time.monotonic()
    error = refused(StorageError, "connection", lambda: OPENINGS[way]("s3://bucket/lake", options), "network")
    assert time.monotonic() - started < 20
    assert isinstance(error, OSError)


def test_a_network_that_goes_away(s3_server: S3Server, s3_proxy: CountingProxy, s3_uri: str) -> None:
    """In the middle of work: each call says so, nothing is lost or half done, and the handle works on afterwards."""
    options = s3_proxy.storage_options | {"max_retries": "1", "retry_timeout": "1s"}
    lake = lf.open(s3_uri, storage_options=options)
    folio = lake.folio("f")
    folio.add_json("small", 1).add("large", bytes(9000))
    direct = lf.open(s3_uri)
    with unchanged(direct), s3_proxy.faulty(lambda request: Fault("refuse")):
        for action in (
            lambda: lake.version,
            lambda: folio.get("small"),
            lambda: folio.get("large"),
            lambda: folio.list_contents(),
            lambda: folio.add_json("more", 2),
            lambda: folio.add("larger", bytes(9001)),
            lambda: folio.delete("small"),
            lambda: lake.snapshot("s"),
            lambda: lake.sql("select * from items").fetchall(),
            lambda: lake.check(),
        ):
            refused(StorageError, "connection", action, s3_uri)
    folio.add_json("more", 2)
    assert direct.get("f:more") == 2
    assert direct.check(read_data=True).ok


def test_a_commit_without_an_answer_is_found_out(s3_proxy: CountingProxy, s3_uri: str) -> None:
    """The answer to the commit itself is lost: it counts once, and its caller is told that it landed."""
    lake = lf.open(s3_uri, storage_options=s3_proxy.storage_options)
    lake.folio("f").add_json("first", 1)
    dropped: list[str] = []

    def drop_once(request: Any) -> Fault | None:
        if request.method == "PUT" and "manifests/_delta_log" in request.key and not dropped:
            dropped.append(request.key)
            return Fault("drop_response")
        return None

    with s3_proxy.faulty(drop_once):
        lake.folio("f").add_json("second", 2)
    assert dropped
    assert lf.open(s3_uri).version == 2
    assert lake.get("f:second") == 2
    assert lake.check(read_data=True).ok


def test_a_local_place_that_can_not_be_written() -> None:
    if not Path("/sys/kernel").is_dir():
        return  # elsewhere there is no folder that refuses even the superuser
    refused(StorageError, "permission-denied", lambda: lf.open("/sys/kernel/lakefolio-test"), "/sys/kernel")
    refused(LakeNotFoundError, "lake-not-found", lambda: lf.open("/sys/kernel/lakefolio-test", read_only=True))


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """A limit on the size of files stands in for it: what was written before is whole, what failed left nothing."""
    resource = pytest.importorskip("resource")
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add("x", bytes(9000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        with pytest.raises(StorageError) as caught:
            lake.folio("f").add("y", np.random.default_rng(1).bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert str(caught.value).isprintable()
    assert caught.value.hint
    assert [one.item for one in lf.open(lake.uri).items()] == ["x"]
    assert lake.check(read_data=True).ok
    assert not list(Path(lake.uri).rglob(".tmp-*"))


# -- what may not be changed --------------------------------------------------------------------------------


@pytest.fixture
def lake(lake_uri: str) -> lf.Lake:
    lake = lf.open(lake_uri)
    folio = lake.folio("f")
    lake.create_run("r1").finish()
    folio.add_json("x", 1, metadata={"a": 1}).add_json("hidden", 2, inputs=["x"]).archive("hidden")
    folio.metadata["k"] = 1
    folio.create_snapshot("v1", capture_git=False)
    lake.snapshot("whole")
    folio.add_json("x", 3, overwrite=True)
    return lake


FRAME = pa.table({"a": [1]})


def _in_a_batch(holder: Any) -> None:
    with holder.batch("message"):
        raise AssertionError("the batch must not open")


LAKE_WRITES: dict[str, Callable[[lf.Lake], Any]] = {
    "set_version_policy": lambda lake: lake.set_version_policy(bump="minor"),
    "annotate": lambda lake: lake.annotate(description="x"),
    "snapshot": lambda lake: lake.snapshot("new"),
    "drop_snapshot": lambda lake: lake.drop_snapshot("whole"),
    "restore": lambda lake: lake.restore("whole"),
    "batch": _in_a_batch,
    "compact": lambda lake: lake.compact(),
    "gc": lambda lake: lake.gc(dry_run=False),
    "repair": lambda lake: lake.repair(lake.uri),
    "run": lambda lake: lake.run(),
    "create_run": lambda lake: lake.create_run("r2"),
    "resume_run": lambda lake: lake.resume_run("r1"),
    "add_run_input": lambda lake: lake.add_run_input("r1", "x", "f:x"),
    "add_run_output": lambda lake: lake.add_run_output("r1", "y", 1),
    "add_run_type": lambda lake: lake.add_run_type("survey"),
    "register_model": lambda lake: lake.register_model("churn", "f:x"),
    "mark_lost_runs": lambda lake: lake.mark_lost_runs(),
    "log_event": lambda lake: lake.log_event(event_type="x"),
    "create_dataset": lambda lake: lake.create_dataset("d", ["f:x"]),
    "track": lambda lake: lake.track(),
}
LAKE_READS = {
    "search",
    "is_purged",
    "follow_run",
    "follow_runs",
    "model",
    "models",
    "status",
    "browse",
    "capture",  # decorates; a call whose run can't be recorded warns and goes on
    "choose",  # noted where searches are, and those of a lake that can't be changed are not
    "impact",
    "searches",
    "similar",
    "version_policy",
    "compare",
    "datasets",
    "event_stats",
    "flush",
    "get_dataset",
    "get_event",
    "get_run",
    "get_run_manifest",
    "metric_history",
    "query",
    "run_types",
    "run_rows",
    "runs",
    "storage_savings",
    "at",
    "author",
    "check",
    "connect",
    "description",
    "diff",
    "doctor",
    "folio",
    "folios",
    "get",
    "history",
    "info",
    "item",
    "items",
    "lake_id",
    "lineage",
    "log",
    "metadata",
    "on_download",
    "on_upload",
    "read_only",
    "scan",
    "snapshots",
    "sql",
    "stats",
    "tags",
    "uri",
    "version",
    "views",
    "why",
}
FOLIO_WRITES: dict[str, Callable[[lf.Folio], Any]] = {
    "add_query": lambda folio: folio.add_query("new", "select 1 as a"),
    "alias": lambda folio: folio.alias("x", "golden"),
    "create_table": lambda folio: folio.create_table("new", {"id": "int64"}),
    "drop_alias": lambda folio: folio.drop_alias("x", "golden"),
    "set_naming": lambda folio: folio.set_naming("{subject}/{run:d}"),
    "set_version_policy": lambda folio: folio.set_version_policy(bump="minor"),
    "copy_item": lambda folio: folio.copy_item("x", "new"),
    "rename": lambda folio: folio.rename("x", "new"),
    "tag": lambda folio: folio.tag("x", "new"),
    "add": lambda folio: folio.add("new", 1),
    "add_artifact": lambda folio: folio.add_artifact("new", __file__),
    "add_data": lambda folio: folio.add_data("new", bytes(9000)),
    "add_file": lambda folio: folio.add_file(__file__),
    "add_json": lambda folio: folio.add_json("new", 1),
    "add_model": lambda folio: folio.add_model("new", object()),
    "add_numpy": lambda folio: folio.add_numpy("new", np.zeros(3)),
    "add_pytorch": lambda folio: folio.add_pytorch("new", {}),
    "add_reference": lambda folio: folio.add_reference("new", __file__),
    "add_sklearn": lambda folio: folio.add_sklearn("new", object()),
    "add_table": lambda folio: folio.add_table("new", FRAME),
    "add_timestamp": lambda folio: folio.add_timestamp("new", 0),
    "archive": lambda folio: folio.archive("x"),
    "batch": _in_a_batch,
    "create_snapshot": lambda folio: folio.create_snapshot("new"),
    "delete": lambda folio: folio.delete("x"),
    "delete_snapshot": lambda folio: folio.delete_snapshot("v1"),
    "import_table": lambda folio: folio.import_table("new", __file__),
    "metadata": lambda folio: folio.metadata.update(k=2),
    "reference_table": lambda folio: folio.reference_table("new", __file__),
    "restore_snapshot": lambda folio: folio.restore_snapshot("v1", confirm=True),
    "unarchive": lambda folio: folio.unarchive("hidden"),
    "update_item": lambda folio: folio.update_item("x", description="new"),
}
MORE_FOLIO_WRITES: dict[str, Callable[[lf.Folio], Any]] = {
    "metadata[]": lambda folio: folio.metadata.__setitem__("k", 2),
    "del metadata[]": lambda folio: folio.metadata.__delitem__("k"),
    "metadata.clear": lambda folio: folio.metadata.clear(),
    "metadata.pop": lambda folio: folio.metadata.pop("k"),
    "metadata.popitem": lambda folio: folio.metadata.popitem(),
    "metadata.setdefault": lambda folio: folio.metadata.setdefault("new", 1),
    "metadata |=": lambda folio: folio.metadata.__ior__({"k": 3}),
    "overwrite": lambda folio: folio.add_json("x", 1, overwrite=True),
    "delete many": lambda folio: folio.delete(["x", "hidden"]),
    "archive by glob": lambda folio: folio.archive("*"),
}
FOLIO_COPIES: dict[str, Callable[[lf.Folio], Any]] = {
    "copy": lambda folio: folio.copy("new"),
    "export_snapshot": lambda folio: folio.export_snapshot("v1", "new"),
}
"""They write to another folio: of the same lake, here. From the past of a lake that may be written that is fine."""
FOLIO_READS = {
    "aliases",
    "compatibility",
    "fields_of",
    "name_of",
    "naming",
    "provenance",
    "similar",
    "table",
    "version_policy",
    "diff",
    "history",
    "items",
    "lineage",
    "log",
    "sql",
    "artifacts",
    "cache_status",
    "cleanup_orphaned_versions",
    "clear_cache",
    "compare_snapshots",
    "data",
    "describe",
    "diff_from_snapshot",
    "export",
    "get",
    "get_artifact_info",
    "get_artifact_path",
    "get_data",
    "get_data_path",
    "get_dependents",
    "get_inputs",
    "get_item_path",
    "get_json",
    "get_json_path",
    "get_lineage_graph",
    "get_many",
    "get_model",
    "get_model_info",
    "get_model_path",
    "get_numpy",
    "get_numpy_path",
    "get_pytorch",
    "get_sklearn",
    "get_snapshot",
    "get_snapshot_info",
    "get_table",
    "get_table_info",
    "get_table_path",
    "get_timestamp",
    "get_timestamp_path",
    "in_snapshot_mode",
    "invalidate_cache",
    "is_valid",
    "item_info",
    "item_path",
    "lake_uri",
    "list_contents",
    "list_snapshots",
    "load_snapshot",
    "loaded_snapshot",
    "models",
    "name",
    "path",
    "pinned",
    "read_only",
    "refresh",
    "refresh_cache",
    "reproduce_instructions",
    "require",
    "scan_table",
    "snapshots",
    "tables",
    "validate",
    "why",
}


def test_every_method_is_known_to_write_or_not_to() -> None:
    """So that a new method can't be forgotten below."""
    assert {name for name in dir(lf.Lake) if name[0] != "_"} == LAKE_WRITES.keys() | LAKE_READS
    names = {name for name in dir(lf.Folio) if name[0] != "_"}
    assert names == FOLIO_WRITES.keys() | FOLIO_COPIES.keys() | FOLIO_READS


def readers(lake: lf.Lake) -> Iterator[tuple[str, lf.Lake]]:
    """Give every sort of lake that can't be changed, with the kind of its refusals."""
    yield "read-only", lf.open(lake.uri, read_only=True)
    yield "read-only-version", lake.at(lake.version)
    yield "read-only-version", lake.at("whole")
    yield "read-only-version", lf.open(lake.uri, read_only=True).at(7)


def check_refusals(kind: str, action: Callable[[], Any], uri: str) -> None:
    error = refused(ReadOnlyError, kind, action)
    assert isinstance(error, RuntimeError)
    assert isinstance(error, ValueError)
    assert error.exit_code == 6
    assert uri in str(error) or "snapshot" in str(error)


def test_every_write_to_a_lake_that_can_not_be_changed(lake: lf.Lake) -> None:
    with unchanged(lake):
        for kind, reader in readers(lake):
            assert reader.read_only
            for action in LAKE_WRITES.values():
                check_refusals(kind, lambda action=action, reader=reader: action(reader), lake.uri)


def test_every_write_to_a_folio_that_can_not_be_changed(lake: lf.Lake) -> None:
    folio = lake.folio("f")
    folios = [(kind, reader.folio("f")) for kind, reader in readers(lake)]
    folios += [
        ("read-only", lf.Folio(lake.uri, "f", read_only=True)),
        ("read-only-version", folio.get_snapshot("v1")),
        ("read-only-version", folio.snapshots["v1"].folio),
        ("read-only-version", lf.Folio.load_snapshot(lake.uri, "v1", folio="f")),
    ]
    with unchanged(lake):
        for kind, reader in folios:
            assert reader.read_only
            for action in (FOLIO_WRITES | MORE_FOLIO_WRITES).values():
                check_refusals(kind, lambda action=action, reader=reader: action(reader), lake.uri)
        for reader in (folios[0][1], folios[3][1]):
            for action in FOLIO_COPIES.values():
                with pytest.raises(ReadOnlyError):
                    action(reader)


def test_the_past_may_be_copied_where_writing_is_allowed(lake: lf.Lake) -> None:
    lake.at("whole").folio("f").copy("from-the-past")
    lake.folio("f").get_snapshot("v1").copy("from-the-snapshot")
    assert lake.get("from-the-past:x") == lake.get("from-the-snapshot:x") == 1
    assert lake.get("f:x") == 3


def test_a_reader_sees_what_others_write(lake: lf.Lake) -> None:
    reader = lf.open(lake.uri, read_only=True)
    lake.folio("f").add_json("later", 1)
    assert reader.get("f:later") == 1
    assert reader.check(read_data=True).ok


def test_read_only_on_the_command_line(lake: lf.Lake) -> None:
    with unchanged(lake):
        for args in (
            ["--at", "whole", "add", "f:y", __file__],
            ["--at", "1", "restore", "1", "--yes"],
            ["--at", "1", "snapshot", "drop", "whole"],
            ["--at", "1", "compact"],
        ):
            result = CliRunner().invoke(cli, ["--lake", lake.uri, *args])
            assert (result.exit_code, result.stdout) == (6, ""), (args, result.output)
            assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["error", "hint"]


def test_a_read_only_handle_needs_no_permission_to_write(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add_json("x", 1).add("large", bytes(9000))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "lake").rglob("*")}
    for folder, _, _ in os.walk(tmp_path / "lake"):
        os.chmod(folder, stat.S_IRUSR | stat.S_IXUSR)
    try:
        reader = lf.open(tmp_path / "lake", read_only=True)
        assert reader.folio("f").get("large") == bytes(9000)
        assert reader.check(read_data=True).ok
        assert reader.at(1).folio("f").get("x") == 1
        assert reader.sql("select count(*) from items").fetchone() == (2,)
    finally:
        for folder, _, _ in os.walk(tmp_path / "lake"):
            os.chmod(folder, stat.S_IRWXU)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "lake").rglob("*")} == before


# -- the tests have met them all ----------------------------------------------------------------------------


def test_every_error_class_is_raised_by_a_test_of_bad_input() -> None:
    """Not only rendered: each has a test in which the library itself raises it."""
    folder = Path(__file__).parent
    places = ("test_bad_*.py", "faults/test_*.py", "interop/test_*.py")
    files = [*(path for place in places for path in folder.glob(place)), Path(__file__)]
    expected = set(re.findall(r"\((?:\s|\()*([A-Z]\w+Error)\b", "".join(path.read_text() for path in files)))
    classes = {name for name in errors.__all__ if isinstance(getattr(errors, name), type)}
    assert classes - {"LakefolioError"} <= expected
