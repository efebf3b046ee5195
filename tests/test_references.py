"""References: checked by content, and followed only where the reader allows it."""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import lakefolio as lf
from lakefolio.content.reference_trust import ReferenceTrust
from lakefolio.errors import IntegrityError, InvalidInputError, NotFoundError, UntrustedContentError


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    return lf.open(tmp_path / "lake")


def folder(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    (root / "deep").mkdir(parents=True)
    (root / "a.parquet").write_bytes(b"a" * 10_000)
    (root / "deep" / "b.bin").write_bytes(b"b")
    return root


def become_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From here on this is another user, or another host."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other-home"))


# -- content ---------------------------------------------------------------------------------------------------


def test_a_folder_that_was_copied_or_touched_is_not_changed(lake: lf.Lake, tmp_path: Path) -> None:
    root = folder(tmp_path)
    lake.folio("f").add_reference("data", root)
    before = lake.item("f:data").details["listing"]
    for path in [root, *root.rglob("*")]:
        os.utime(path, (1, 1))
    assert lake.folio("f").get("data") == str(root)
    shutil.copytree(root, tmp_path / "copy")
    shutil.rmtree(root)
    (tmp_path / "copy").rename(root)
    assert lake.folio("f").get("data") == str(root)
    assert lake.check(read_data=True).ok
    lake.folio("f").add_reference("again", root)
    assert lake.item("f:again").details["listing"] == before


def test_a_listing_says_nothing_of_where_the_folder_lies(lake: lf.Lake, tmp_path: Path) -> None:
    root = folder(tmp_path)
    lake.folio("f").add_reference("one", root)
    root.rename(tmp_path / "moved")
    lake.folio("f").add_reference("two", tmp_path / "moved")
    assert lake.item("f:one").details["listing"] == lake.item("f:two").details["listing"]


@pytest.mark.parametrize("change", ["rewritten", "added", "removed", "renamed", "grown"])
def test_a_folder_that_changed_is_refused(lake: lf.Lake, tmp_path: Path, change: str) -> None:
    root = folder(tmp_path)
    lake.folio("f").add_reference("data", root)
    path = root / "deep" / "b.bin"
    if change == "rewritten":
        path.write_bytes(b"c")
    elif change == "added":
        (root / "c").write_bytes(b"")
    elif change == "removed":
        path.unlink()
    elif change == "renamed":
        path.rename(root / "deep" / "c.bin")
    else:
        path.write_bytes(b"bb")
    with pytest.raises(IntegrityError) as caught:
        lake.folio("f").get("data")
    assert caught.value.kind == "reference-changed"
    assert [one.kind for one in lake.check(read_data=True).problems] == ["reference-changed"]


def test_a_file_that_was_copied_is_not_changed_and_one_of_equal_size_is(lake: lf.Lake, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"1" * 100)
    lake.folio("f").add_reference("a", path)
    shutil.copyfile(path, tmp_path / "copy")
    (tmp_path / "copy").replace(path)
    assert lake.folio("f").get("a") == str(path)
    path.write_bytes(b"2" * 100)
    with pytest.raises(IntegrityError, match="sha256"):
        lake.folio("f").get("a")
    path.unlink()
    with pytest.raises(NotFoundError):
        lake.folio("f").get("a")


def test_a_folder_with_a_link_that_leads_back_ends(lake: lf.Lake, tmp_path: Path) -> None:
    root = folder(tmp_path)
    (root / "deep" / "up").symlink_to("..")
    lake.folio("f").add_reference("data", root)
    assert lake.item("f:data").details["objects"] == 2
    assert lake.folio("f").get("data") == str(root)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_is_refused_and_never_waited_for(lake: lf.Lake, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInputError, match="device, socket or pipe"):
        lake.folio("f").add_reference("pipe", tmp_path / "pipe")


# -- trust -----------------------------------------------------------------------------------------------------


def test_what_this_user_registered_is_followed_in_every_process(lake: lf.Lake, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")
    lake.folio("f").reference_table("t", path)
    lake.folio("f").add_reference("file", path, kind="artifact")
    assert lake.folio("f").get("t").shape == (1, 2)
    code = "import lakefolio as lf, sys; f = lf.open(sys.argv[1]).folio('f'); print(f.get('t').shape, f.validate())"
    ran = subprocess.run([sys.executable, "-c", code, lake.uri], capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "(1, 2) {'t': True, 'file': True}", ran.stderr


@pytest.mark.parametrize("home", ["none", "read-only"])
def test_a_user_without_a_place_for_settings_is_followed_in_this_process(
    lake: lf.Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    place = tmp_path / "file"
    place.write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place) if home == "read-only" else "relative")
    if home == "none":
        monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    lake.folio("f").add_reference("file", place)
    assert lf.open(lake.uri).folio("f").get("file") == str(place)


ADDRESSES = [
    "/etc/passwd",
    "file:///etc/passwd",
    "~/.ssh/id_rsa",
    "http://127.0.0.1:9/x",
    "http://169.254.169.254/latest/meta-data/",
    "https://example.com/x",
    "s3://somebody-elses/secret.parquet",
    "gs://somebody-elses/x",
]


@pytest.mark.parametrize("uri", ADDRESSES)
@pytest.mark.filterwarnings("ignore:reference")
def test_what_somebody_else_registered_is_described_and_not_asked(
    lake: lf.Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    from lakefolio.content import external

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with monkeypatch.context() as patched:  # registered without a look, as another tool may write it
        patched.setattr(external.References, "_observe", lambda *_, **__: {})
        lake.folio("f").add_reference("it", uri)
    become_another(monkeypatch, tmp_path)

    def asked(*_: Any, **__: Any) -> Any:
        raise AssertionError("it was asked")

    monkeypatch.setattr(external, "resolve_uri", asked)
    monkeypatch.setattr(external, "_observe_local", asked)
    fresh = lf.open(lake.uri)
    assert fresh.folio("f").item_info("it")["path"]
    for read in (fresh.folio("f").get, fresh.folio("f").get_data):
        with pytest.raises(UntrustedContentError) as caught:
            read("it")
        assert caught.value.kind == "untrusted-reference"
        assert "trust_references=" in str(caught.value)
        assert caught.value.objects["item"] == "it"
    report = fresh.check(read_data=True)
    assert report.ok
    assert report.counts["references_not_followed"] == 1
    assert "trust_references=" in str(report)
    with pytest.warns(UserWarning, match="trust_references="):
        assert fresh.folio("f").validate() == {"it": False}


def test_a_signature_counts_for_its_address_and_lake_alone(lake: lf.Lake, tmp_path: Path) -> None:
    from hostile import forge_reference

    mine, secret = tmp_path / "mine.txt", tmp_path / "secret.txt"
    mine.write_text("mine")
    secret.write_text("secret")
    lake.folio("f").add_reference("mine", mine)
    details = lake.item("f:mine").details
    for name, uri, facts in [
        ("other", str(secret), {"registered_by": details["registered_by"]}),
        ("climbing", f"{mine.parent}/x/../secret.txt", {"registered_by": details["registered_by"]}),
        ("number", str(secret), {"registered_by": 7}),
        ("text", str(secret), {"registered_by": "ünsigned"}),
        ("none", str(secret), {}),
    ]:
        forge_reference(lake, name, uri, facts)
        with pytest.raises(UntrustedContentError):
            lake.folio("f").get(name)
    trust = ReferenceTrust(lake.lake_id, lake.uri, ())
    assert trust.follows(str(mine), details["registered_by"])
    assert not trust.follows(str(mine), "\ud800")  # what JSON can say and UTF-8 can't
    other = lf.open(tmp_path / "other")
    forge_reference(other, "mine", str(mine), details)
    with pytest.raises(UntrustedContentError):
        other.folio("f").get("mine")


@pytest.mark.parametrize(
    "rest", ["../q", "%2e%2E/q", "%252e%252e/q", "%25252e./q", "a/%2e%2e%2fq", "a%2f..%2fq", "..;/q", "a\\..\\q", "q\0"]
)
@pytest.mark.parametrize("prefix", ["/data", "s3://bucket/data", "https://example.com/data"])
def test_an_address_that_climbs_is_below_no_prefix(prefix: str, rest: str) -> None:
    trust = ReferenceTrust("id", "s3://lake/x", (prefix,))
    assert trust.follows(f"{prefix}/a..b/%2e/c", None)
    assert not trust.follows(f"{prefix}/{rest}", None)


@pytest.mark.parametrize(
    "uri",
    [
        "https://example.com@evil.example/data/x",
        "https://example.com.evil.example/data/x",
        "https://example.com:99/data/x",
        "https://example.com\\@evil.example/data/x",
        "HTTPS://example.com/datax",
        "s3://lake@evil/x",
        "s3://lake.evil/x",
        "s3://LAKE/x",
        "s3a://lakes/x",
        "file://host/data/x",
        "\\\\host\\data\\x",
        "memory:///data",
    ],
)
def test_an_address_that_looks_like_a_trusted_one_is_not_followed(uri: str) -> None:
    trust = ReferenceTrust("id", "s3://lake/x", ("https://example.com/data", "/data"))
    assert not trust.follows(uri, None)


@pytest.mark.parametrize(
    ("prefix", "follows"),
    [
        ("{data}", True),
        ("{data}/", True),
        ("{data}/a.parquet", True),
        ("file://{data}", True),
        ("/", True),
        ("{data}/a.par", False),
        ("{data}/deep", False),
        ("{data}x", False),
    ],
)
def test_prefixes_that_the_reader_trusts_are_followed(
    lake: lf.Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str, follows: bool
) -> None:
    root = folder(tmp_path)
    lake.folio("f").add_reference("it", root / "a.parquet", kind="artifact")
    become_another(monkeypatch, tmp_path)
    given = prefix.format(data=root)
    for fresh in (
        lf.open(lake.uri, trust_references=[given]),
        lf.open(lake.uri, trust_references=given).at(lake.version),
    ):
        if follows:
            assert fresh.folio("f").get("it") == str(root / "a.parquet")
        else:
            with pytest.raises(UntrustedContentError):
                fresh.folio("f").get("it")
    with nullcontext() if follows else pytest.warns(UserWarning, match="trust_references="):
        assert lf.Folio(lake.uri, "f", trust_references=[given]).validate() == {"it": follows}


def test_prefixes_lead_nowhere_else_by_links(lake: lf.Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hostile import forge_reference

    root, secret = folder(tmp_path), tmp_path / "secret.txt"
    secret.write_text("secret")
    (root / "link").symlink_to(secret)
    become_another(monkeypatch, tmp_path)
    fresh = lf.open(lake.uri, trust_references=[str(root)])
    forge_reference(fresh, "link", str(root / "link"), {})
    with pytest.raises(UntrustedContentError):
        fresh.folio("f").get("link")


def test_prefixes_come_from_the_user_and_never_from_a_folder(
    lake: lf.Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder(tmp_path)
    lake.folio("f").add_reference("it", root)
    become_another(monkeypatch, tmp_path)
    with monkeypatch.context() as patched:
        patched.setenv("LAKEFOLIO_TRUST_REFERENCES", f"/nowhere,{root}")
        assert lf.open(lake.uri).folio("f").get("it") == str(root)
    file = tmp_path / "other-home" / "lakefolio" / "trust_references"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"s3://bucket\n\n{root}\n")
    assert lf.open(lake.uri).folio("f").get("it") == str(root)
    file.unlink()
    work = tmp_path / "work"
    work.mkdir()
    (work / "lakefolio.toml").write_text(f'trust_references = ["{root}"]\n')
    monkeypatch.chdir(work)
    with pytest.raises(InvalidInputError) as caught:
        lf.open(lake.uri).folio("f").get("it")
    assert "LAKEFOLIO_TRUST_REFERENCES" in str(caught.value)


@pytest.mark.parametrize("given", [["data"], [""], 7, [7], ["./x"]])
def test_prefixes_that_are_none_are_refused(lake: lf.Lake, given: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        lf.open(lake.uri, trust_references=given)
    assert caught.value.kind == "bad-option"


def test_a_copy_is_followed_where_its_original_is(
    lake: lf.Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder(tmp_path)
    lake.folio("f").add_reference("it", root)
    lake.folio("f").copy("g")
    assert lake.folio("g").get("it") == str(root)
    copied = lake.folio("f").copy(str(tmp_path / "two" / "f"))
    assert copied.get("it") == str(root)
    become_another(monkeypatch, tmp_path)
    third = lf.Folio(lake.uri, "f").copy(str(tmp_path / "three" / "f"))
    with pytest.raises(UntrustedContentError):
        third.get("it")


# -- other places ------------------------------------------------------------------------------------------------


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    (tmp_path / "web").mkdir()
    pd.DataFrame({"a": [1]}).to_csv(tmp_path / "web" / "t.csv", index=False)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(tmp_path / "web"))

        def log_message(self, format: str, *args: Any) -> None:
            asked.append(format % args)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()


def test_a_web_address_is_asked_only_where_it_is_trusted(
    lake: lf.Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, web: tuple[str, list[str]]
) -> None:
    address, asked = web
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    lake.folio("f").reference_table("t", f"{address}/t.csv")
    become_another(monkeypatch, tmp_path)
    asked.clear()
    with pytest.raises(UntrustedContentError, match=r"trust_references=\['http://127.0.0.1:"):
        lf.open(lake.uri).folio("f").get("t")
    lf.open(lake.uri).check(read_data=True)
    for wrong in ("http://127.0.0.1", "http://127.0.0.1:1", f"{address}/t", f"{address}@x"):
        with pytest.raises(UntrustedContentError):
            lf.open(lake.uri, trust_references=[wrong]).folio("f").get("t")
    assert asked == []
    assert lf.open(lake.uri, trust_references=[address]).folio("f").get("t").shape == (1, 1)
    assert asked


def test_the_lakes_own_bucket_is_followed_and_others_are_not(
    lake_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "://" not in lake_uri:
        pytest.skip("local folders have no bucket")
    from lakefolio.storage import open_store

    open_store(lake_uri).put("beside/t.csv", b"a\n1\n")
    lake = lf.open(f"{lake_uri}/lake")
    lake.folio("f").reference_table("t", f"{lake_uri}/beside/t.csv")
    become_another(monkeypatch, tmp_path)
    fresh = lf.open(lake.uri)
    assert fresh.folio("f").get("t").shape == (1, 1)
    assert fresh.check(read_data=True).ok


READS = """
import json, os, sys
import lakefolio as lf

uri, address, gone = sys.argv[1:]
folio = lf.open(uri, trust_references=[address]).folio("f")
print(folio.get("t").shape, folio.get_data_path("t"))
if os.fork() == 0:
    folio.get("t")
    sys.exit()
os.wait()
print(os.listdir(os.environ["TMPDIR"]))
os.remove(gone)
for name in ("t", "t"):
    try:
        folio.get(name)
    except lf.LakefolioError as exc:
        print(type(exc).__name__)
raise KeyboardInterrupt
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork")
def test_downloads_of_references_are_gone_with_their_process(
    lake: lf.Lake, tmp_path: Path, web: tuple[str, list[str]]
) -> None:
    address, _ = web
    (tmp_path / "scratch").mkdir()
    lake.folio("f").reference_table("t", f"{address}/t.csv")
    ran = subprocess.run(
        [sys.executable, "-c", READS, lake.uri, address, str(tmp_path / "web" / "t.csv")],
        capture_output=True, text=True, check=False, env={**os.environ, "TMPDIR": str(tmp_path / "scratch")},
    )  # fmt: skip
    assert ran.stderr.rstrip().endswith("KeyboardInterrupt"), ran.stderr
    assert "(1, 1)" in ran.stdout
    assert "lakefolio-ref-" in ran.stdout
    assert ran.stdout.count("ReferenceNotFoundError") == 2
    kept = {f"lakefolio-{os.getuid()}"}  # where processes that write to one lake meet
    assert {one.name for one in (tmp_path / "scratch").glob("lakefolio-*")} <= kept
