"""Configuration files of folders that others filled send no credentials anywhere before their folder is trusted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.config.settings import found, place_of, setting
from lakefolio.config.trust import trust, untrust

SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIAQQQQQQQQQQQQQQQQ",
    "AWS_SECRET_ACCESS_KEY": "aws-secret-in-the-environment",
    "AWS_SESSION_TOKEN": "aws-session-token-in-the-environment",
    "AZURE_STORAGE_ACCOUNT_NAME": "account",
    "AZURE_STORAGE_TOKEN": "azure-bearer-in-the-environment",
    "GOOGLE_BEARER_TOKEN": "google-bearer-in-the-environment",
}


@pytest.fixture
def stranger() -> Iterator[tuple[str, list[str]]]:
    """A server that answers nothing useful, and what it was sent."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            seen.append(f"{self.command} {self.path}\n{self.headers}")
            self.send_response(404)
            self.send_header("content-length", "0")
            self.end_headers()

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_CONNECT = answer  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()
    thread.join()


HOSTILE = {
    "an endpoint of S3": 'lake = "s3://bucket/x"\n[storage_options]\nendpoint = "$URL"\nallow_http = true\n',
    "its name at AWS": 'lake = "s3://bucket/x"\n[storage_options]\nAWS_ENDPOINT_URL_S3 = "$URL"\nallow_http = 1\n',
    "a proxy": 'lake = "s3://bucket/x"\n[storage_options]\nproxy_url = "$URL"\nregion = "us-east-1"\n',
    "an endpoint of Azure": 'lake = "az://bucket/x"\n[storage_options]\nazure_endpoint = "$URL"\nallow_http = true\n',
    "the emulator of Azure": 'lake = "az://bucket/x"\n[storage_options]\nuse_emulator = true\n',
    "an account": 'lake = "az://bucket/x"\n[storage_options]\naccount_name = "evil"\n',
    "an authority": 'lake = "az://bucket/x"\n[storage_options]\nauthority_host = "$URL"\n',
    "an endpoint of GCS": 'lake = "gs://bucket/x"\n[storage_options]\nbase_url = "$URL"\nallow_http = true\n',
    "a profile": 'lake = "s3://bucket/x"\n[storage_options]\nprofile = "production"\n',
    "certificates": 'lake = "s3://bucket/x"\n[storage_options]\nallow_invalid_certificates = true\n',
    "keys of others": 'lake = "s3://bucket/x"\n[storage_options]\nkey = "k"\nsecret = "s"\n',
    "unsigned requests": 'lake = "s3://bucket/x"\n[storage_options]\nskip_signature = true\n',
    "a token": 'lake = "s3://bucket/x"\n[storage_options]\nAWS_SESSION_TOKEN = "t"\n',
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("file", ["lakefolio.toml", "pyproject.toml"])
def test_listing_in_a_folder_of_others_sends_nothing(stranger, tmp_path, monkeypatch, name: str, file: str) -> None:
    url, seen = stranger
    text = HOSTILE[name].replace("$URL", url)
    if file == "pyproject.toml":
        text = "[tool.lakefolio]\n" + text.replace("[storage_options]", "[tool.lakefolio.storage_options]")
    below = tmp_path / "evil" / "deep"
    below.mkdir(parents=True)
    (tmp_path / "evil" / file).write_text(text)
    for variable, value in SECRETS.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(below)
    for words in (
        ["ls"],
        ["init"],
        ["check"],
        ["gc"],
        ["sql", "select 1"],
        ["doctor"],
        ["runs"],
        ["completion", "bash"],
    ):
        result = CliRunner().invoke(cli, words)
        if words[0] != "completion":
            assert (result.exit_code, "lakefolio config trust" in result.output) == (2, True), words
    with pytest.raises(lf.InvalidInputError) as caught:
        lf.open()
    assert caught.value.kind == "untrusted-config"
    assert str(tmp_path / "evil") in str(caught.value.hint)
    with pytest.raises(lf.InvalidInputError):
        lf.Folio("clf_v1").list_contents()
    monkeypatch.setenv("LAKEFOLIO_LAKE", "s3://bucket/y")  # options of the file are not for it to use either
    assert CliRunner().invoke(cli, ["ls"]).exit_code == 2

    def double(x: int) -> int:
        return 2 * x

    double.__qualname__ = f"{name} {file}"  # each function is warned of once
    double = lf.capture(double)
    with pytest.warns(RuntimeWarning, match="lakefolio config trust"):
        assert double(2) == 4
    assert seen == []


def test_a_process_of_its_own_sends_nothing(stranger, tmp_path) -> None:
    url, seen = stranger
    (tmp_path / "lakefolio.toml").write_text(HOSTILE["an endpoint of S3"].replace("$URL", url))
    done = subprocess.run(
        [sys.executable, "-m", "lakefolio", "ls"],
        cwd=tmp_path,
        env=os.environ | SECRETS,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, seen) == (2, [])
    assert "Traceback" not in done.stderr
    assert f"lakefolio config trust {tmp_path}" in done.stderr


def test_a_trusted_folder_is_asked_and_only_as_it_was(stranger, tmp_path, monkeypatch) -> None:
    url, seen = stranger
    file = tmp_path / "lakefolio.toml"
    file.write_text(HOSTILE["an endpoint of S3"].replace("$URL", url))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    told = CliRunner().invoke(cli, ["config", "trust"])
    assert (told.exit_code, "endpoint" in told.output) == (0, True)
    assert CliRunner().invoke(cli, ["ls"]).exit_code == 3
    assert seen
    seen.clear()
    file.write_text(file.read_text() + "# a comment\n")
    assert CliRunner().invoke(cli, ["ls"]).exit_code == 3  # it says the same
    seen.clear()
    file.write_text(file.read_text().replace("bucket", "other"))
    assert CliRunner().invoke(cli, ["ls"]).exit_code == 2
    assert CliRunner().invoke(cli, ["config", "trust", "."]).exit_code == 0
    assert CliRunner().invoke(cli, ["ls"]).exit_code == 3
    assert CliRunner().invoke(cli, ["config", "untrust", str(tmp_path)]).exit_code == 0
    seen.clear()
    assert CliRunner().invoke(cli, ["ls"]).exit_code == 2
    assert seen == []


def test_trust_is_for_one_place_however_it_is_named(tmp_path, monkeypatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lakefolio.toml").write_text('views = "v"\n')
    (tmp_path / "link").symlink_to("a")
    trust(tmp_path / "link")
    assert setting("views", start=tmp_path / "a") == str(tmp_path / "a" / "v")
    assert setting("views", start=tmp_path / "link") == str(tmp_path / "link" / "v")
    with pytest.raises(lf.InvalidInputError):
        setting("views", start=tmp_path / "b")
    os.rename(tmp_path / "a", tmp_path / "c")
    with pytest.raises(lf.InvalidInputError):
        setting("views", start=tmp_path / "c")
    untrust(tmp_path / "b")  # was not trusted: nothing to do
    monkeypatch.setenv("LAKEFOLIO_TRUST", f"relative{os.pathsep}{tmp_path / 'b'}")
    assert setting("views", start=tmp_path / "b")


def test_options_of_a_trusted_folder_are_not_for_a_lake_that_another_names(tmp_path, monkeypatch) -> None:
    (tmp_path / "evil").mkdir()
    (tmp_path / "lakefolio.toml").write_text(
        'lake = "s3://mine/x"\n[storage_options]\nendpoint = "http://127.0.0.1:1"\n'
    )
    (tmp_path / "evil" / "lakefolio.toml").write_text('lake = "s3://evil/x"\n')
    trust(tmp_path)
    monkeypatch.chdir(tmp_path / "evil")
    with pytest.raises(lf.InvalidInputError) as caught:
        lf.open()
    assert (caught.value.kind, f"trust {tmp_path / 'evil'}" in str(caught.value.hint)) == ("untrusted-config", True)
    trust(tmp_path / "evil")
    assert place_of(None) == ("s3://evil/x", {"endpoint": "http://127.0.0.1:1"})
    monkeypatch.chdir(tmp_path)
    assert place_of(None) == ("s3://mine/x", {"endpoint": "http://127.0.0.1:1"})
    monkeypatch.setenv("LAKEFOLIO_LAKE", "s3://said/x")
    assert place_of(None)[0] == "s3://said/x"


def test_harmless_settings_need_no_trust(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lakefolio.toml").write_text(
        'lake = "data/lake"\nauthor = "ada"\ndefault_run_type = "production"\ncombine = false\nfsync = true\n'
        "view_seconds = 5\n[storage_options]\nregion = 'eu-central-1'\naws_max_retries = 2\ntimeout = '5s'\n"
    )
    lake = lf.open()
    assert (lake.author, lake.uri) == ("ada", str(tmp_path / "data" / "lake"))
    assert [one.needs_trust for one in map(found, ("lake", "author", "storage_options"))] == [None, None, None]
    assert CliRunner().invoke(cli, ["ls"]).exit_code == 0


def test_view_files_and_higher_limits_need_trust(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    lf.open("lake").folio("f").add("x", 1)
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "mine.sql").write_text("select 'forty' || '-two' as answer")
    for line in ('views = "v"', "view_memory_mib = 500000", "view_seconds = 999999.5"):
        (tmp_path / "lakefolio.toml").write_text(line + "\n")
        result = CliRunner().invoke(cli, ["sql", "select * from mine"])
        assert (result.exit_code, "forty-two" in result.output) == (2, False)
        assert line.split()[0] != "views" or "lakefolio config trust" in result.output
    (tmp_path / "lakefolio.toml").write_text('views = "v"\n')
    assert CliRunner().invoke(cli, ["ls"]).exit_code == 0  # asks for no view
    trust(tmp_path)
    assert "forty-two" in CliRunner().invoke(cli, ["sql", "select * from mine"]).output


def test_config_shows_what_has_no_effect(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lakefolio.toml").write_text('[storage_options]\nsecret = "hush"\nendpoint = "https://u:hush@x/"\n')
    shown = CliRunner().invoke(cli, ["config"])
    assert (shown.exit_code, "hush" in shown.output) == (0, False)
    assert "(not trusted)" in shown.output
    rows = {row["name"]: row for row in json.loads(CliRunner().invoke(cli, ["--json", "config"]).stdout)}
    assert rows["storage_options"]["needs_trust"] == "endpoint, secret"
    assert rows["lake"]["needs_trust"] is None
    CliRunner().invoke(cli, ["config", "trust"])
    assert "(not trusted)" not in CliRunner().invoke(cli, ["config"]).output


def test_a_folder_without_a_file_and_a_user_without_a_home(tmp_path, monkeypatch) -> None:
    with pytest.raises(lf.InvalidInputError, match="neither a lakefolio") as caught:
        trust(tmp_path)
    assert caught.value.kind == "no-config"
    (tmp_path / "lakefolio.toml").write_text('views = "v"\n')
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    with pytest.raises(lf.InvalidInputError) as caught:
        trust(tmp_path)
    assert caught.value.kind == "no-home"
    with pytest.raises(lf.InvalidInputError) as caught:
        setting("views", start=tmp_path)
    assert caught.value.kind == "untrusted-config"
    monkeypatch.setenv("XDG_CONFIG_HOME", "/dev/null/x")
    with pytest.raises(lf.StorageError, match="XDG_CONFIG_HOME"):
        trust(tmp_path)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://127.0.0.1:9#/x",
        "s3://evil.example#x/y",
        "s3://evil%2eexample/y",
        "s3://a b/x",
        "gs://127.0.0.1:9#/x",
        "az://c@127.0.0.1:9#.dfs.core.windows.net/x",
        "abfss://c@evil?x.dfs.core.windows.net/x",
        "abfss://c@evil:pw.dfs.core.windows.net/x",
        "az://c#@account/x",
    ],
)
def test_an_address_names_no_other_host(uri: str, monkeypatch) -> None:
    for variable, value in SECRETS.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(lf.InvalidInputError) as caught:
        lf.open(uri, create=False)
    assert caught.value.kind == "bad-uri"


@pytest.mark.parametrize("options", [{"region": "127.0.0.1:9#"}, {"region": "x.evil.example/"}, {"region": "a\nb"}])
def test_a_region_names_no_other_host(options: dict[str, str], monkeypatch) -> None:
    for variable, value in SECRETS.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(lf.InvalidInputError) as caught:
        lf.open("s3://bucket/x", storage_options=options, create=False)
    assert caught.value.kind == "bad-option"


def test_an_account_names_no_other_host(monkeypatch) -> None:
    with pytest.raises(lf.InvalidInputError) as caught:
        lf.open("az://c/x", storage_options={"account_name": "127.0.0.1:9/#"}, create=False)
    assert caught.value.kind == "bad-option"
