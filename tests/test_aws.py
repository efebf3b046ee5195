"""Credentials and settings from AWS configuration files, against the real server."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from lakefolio.errors import InvalidInputError, StorageError
from lakefolio.storage import aws, open_store


@pytest.fixture
def profiles(tmp_path, monkeypatch, s3_server):
    """Write AWS configuration files as people have them; gives the function that adds to the config."""
    config, credentials = tmp_path / "config", tmp_path / "credentials"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    keys = f"aws_access_key_id = {s3_server.access_key_id}\naws_secret_access_key = {s3_server.secret_access_key}\n"
    credentials.write_text(f"[default]\n{keys}\n[work]\n{keys}\n[wrong]\n{keys.replace('-secret', '-other')}\n")

    def add(text):
        with config.open("a") as file:
            file.write(text.format(endpoint=s3_server.endpoint))

    return add


def _works(store):
    store.put("a", b"1")
    return store.find("a") == b"1"


def test_the_default_profile_gives_keys_region_and_endpoint(profiles, s3_server):
    profiles("[default]\nregion = eu-north-1\nendpoint_url = {endpoint}\n")
    store = open_store(s3_server.uri("lakes/default-profile"))
    assert _works(store)
    given = store.options_for_delta()
    assert given["aws_region"] == "eu-north-1"
    assert given["aws_endpoint_url"] == s3_server.endpoint
    assert given["aws_secret_access_key"] == s3_server.secret_access_key


@pytest.mark.parametrize("how", ["option", "environment"])
def test_a_named_profile(profiles, s3_server, monkeypatch, how):
    profiles("[default]\nregion = eu-north-1\n[profile work]\nregion = us-west-2\nendpoint_url = {endpoint}\n")
    if how == "environment":
        monkeypatch.setenv("AWS_PROFILE", "work")
    store = open_store(s3_server.uri("lakes/named"), {"aws_profile": "work"} if how == "option" else None)
    assert _works(store)
    assert store.options_for_delta()["aws_region"] == "us-west-2"


def test_a_profile_asked_for_wins_over_keys_of_the_environment(profiles, s3_server, monkeypatch):
    profiles("[profile work]\nendpoint_url = {endpoint}\n")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    assert _works(open_store(s3_server.uri("lakes/asked"), {"profile": "work"}))


def test_keys_of_the_environment_win_over_the_default_profile(profiles, s3_server, monkeypatch):
    profiles("[default]\nregion = eu-north-1\nendpoint_url = {endpoint}\n")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    store = open_store(s3_server.uri("lakes/default-profile"))
    assert store.options_for_delta()["aws_region"] == "eu-north-1"
    with pytest.raises(StorageError) as caught:
        store.find("a")
    assert caught.value.kind == "unauthenticated"


def test_an_endpoint_for_s3_alone_and_an_addressing_style(profiles):
    profiles(
        "[profile work]\nservices = mine\nendpoint_url = http://elsewhere\ns3 =\n  addressing_style = virtual\n"
        "[services mine]\ns3 =\n  endpoint_url = {endpoint}\n"
    )
    found = aws.profile_settings("work")
    assert found.endpoint is not None
    assert found.endpoint.startswith("http://127.0.0.1:")
    assert found.addressing_style == "virtual"
    assert found.region is None


def test_endpoints_of_profiles_can_be_switched_off(profiles, monkeypatch):
    profiles("[default]\nendpoint_url = {endpoint}\n")
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert "aws_endpoint_url" not in open_store("s3://bucket/x").options_for_delta()


def test_wrong_keys_of_a_profile_are_refused(profiles, s3_server):
    profiles("[profile wrong]\nendpoint_url = {endpoint}\n")
    with pytest.raises(StorageError) as caught:
        open_store(s3_server.uri("lakes/x"), {"profile": "wrong"}).find("a")
    assert caught.value.kind == "unauthenticated"


@pytest.mark.parametrize("how", ["option", "environment"])
def test_an_unknown_profile_names_the_nearest(profiles, monkeypatch, how):
    profiles("[profile work]\nregion = us-west-2\n")
    if how == "environment":
        monkeypatch.setenv("AWS_PROFILE", "wrok")
    with pytest.raises(InvalidInputError) as caught:
        open_store("s3://bucket/x", {"aws_profile": "wrok"} if how == "option" else None)
    assert caught.value.kind == "unknown-profile"
    assert caught.value.objects["profile"] == "wrok"
    assert "work" in caught.value.hint


def test_a_damaged_configuration_is_told(profiles):
    profiles("[default\nregion\n")
    with pytest.raises(InvalidInputError) as caught:
        open_store("s3://bucket/x")
    assert caught.value.kind == "bad-aws-config"
    assert "\n" not in str(caught.value)


def test_credentials_of_a_process_are_taken_and_refreshed(profiles, s3_server, tmp_path):
    """As with SSO and roles: they come from outside, with a session token, and expire."""
    session = s3_server.temporary_credentials()
    calls = tmp_path / "calls"
    answer = {
        "Version": 1,
        "AccessKeyId": session["aws_access_key_id"],
        "SecretAccessKey": session["aws_secret_access_key"],
        "SessionToken": session["aws_session_token"],
        # Less than botocore's ten minutes: it asks the process again at each use.
        "Expiration": (datetime.now(UTC) + timedelta(minutes=5)).isoformat(),
    }
    program = tmp_path / "login.py"
    program.write_text(f"open({str(calls)!r}, 'a').write('x')\nprint({json.dumps(answer)!r})\n")
    profiles(f"[profile sso]\ncredential_process = {sys.executable} {program}\n")
    profiles("endpoint_url = {endpoint}\n")
    store = open_store(s3_server.uri("lakes/process"), {"profile": "sso"})
    assert _works(store)
    before = len(calls.read_text())
    given = store.options_for_delta()
    assert given["aws_session_token"] == session["aws_session_token"]
    assert len(calls.read_text()) > before


def test_credentials_that_can_no_longer_be_had_are_told(profiles, s3_server, tmp_path):
    program = tmp_path / "login.py"
    program.write_text("import sys\nsys.exit('the login has expired')\n")
    profiles(f"[profile sso]\ncredential_process = {sys.executable} {program}\n")
    with pytest.raises(StorageError) as caught:
        open_store("s3://bucket/x", {"profile": "sso"})
    assert caught.value.kind == "unauthenticated"
    assert "the login has expired" in str(caught.value)
    assert "aws sso login" in caught.value.hint
    assert "\n" not in str(caught.value)


def test_credentials_that_fail_later_are_told_too(profiles, s3_server, monkeypatch):
    """A refresh fails within a request, where the error has to come through the vendor's code."""

    def failing():
        raise StorageError("AWS credentials of profile 'x' can't be had: expired", kind="unauthenticated")

    monkeypatch.setattr(aws, "credential_provider", lambda profile: failing)
    profiles("[default]\nendpoint_url = {endpoint}\n")
    store = open_store(s3_server.uri("lakes/x"), {"profile": "default"})
    for call in (lambda: store.find("a"), lambda: list(store.list("")), lambda: store.create("a", b"")):
        with pytest.raises(StorageError) as caught:
            call()
        assert caught.value.kind == "unauthenticated", str(caught.value)


def test_boto3_is_not_imported_where_it_is_not_needed(tmp_path):
    script = (
        "import sys\n"
        "from lakefolio.storage import open_store\n"
        "open_store(sys.argv[1]).put('a', b'1')\n"
        "open_store('s3://b/x', {'key': 'k', 'secret': 's'})\n"
        "assert 'boto3' not in sys.modules and 'botocore' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "lake")], check=True, timeout=60)


def test_the_client_makes_buckets(s3_server):
    uri = s3_server.create_bucket("made-by-client")
    assert s3_server.create_bucket("made-by-client") == uri
    assert list(open_store(uri, s3_server.storage_options).list("")) == []
