"""The default lake and author: what wins over what, and errors that say where."""

import os
import re
import socket

import pytest
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.config.files import config_files
from lakefolio.config.settings import KEYS, default_author, found, place_of, setting
from lakefolio.config.trust import trust
from lakefolio.errors import InvalidInputError


def lake_uri(start=None):
    """Return the address of the default lake, and the variable or file that names it."""
    lake = found("lake", start=start)
    return lake.value, re.sub(r", line \d+$", "", lake.source)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in KEYS:
        monkeypatch.delenv(f"LAKEFOLIO_{name.upper()}", raising=False)


def test_without_anything_it_is_the_folder_lake(tmp_path):
    assert lake_uri(tmp_path) == ("./lake", "default")


def test_the_environment_wins(tmp_path, monkeypatch):
    (tmp_path / "lakefolio.toml").write_text('lake = "s3://file/lake"\nauthor = "file"\n')
    monkeypatch.setenv("LAKEFOLIO_LAKE", "s3://env/lake")
    monkeypatch.setenv("LAKEFOLIO_AUTHOR", "env")
    assert lake_uri(tmp_path) == ("s3://env/lake", "LAKEFOLIO_LAKE")
    assert default_author(tmp_path) == "env"


def test_a_relative_path_is_relative_to_its_file(tmp_path):
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "lakefolio.toml").write_text('lake = "data/lake"\n')
    assert lake_uri(below) == (str(tmp_path / "data" / "lake"), str(tmp_path / "lakefolio.toml"))


@pytest.mark.parametrize("value", ["s3://bucket/prefix", "/data/lake", "~/lake"])
def test_absolute_places_stay_as_written(tmp_path, value):
    (tmp_path / "lakefolio.toml").write_text(f'lake = "{value}"\n')
    assert lake_uri(tmp_path)[0] == value


def test_pyproject_is_read_and_wins_over_lakefolio_toml_beside_it(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\n[tool.lakefolio]\nlake = "gs://b/p"\nauthor = "ada"\n'
    )
    assert lake_uri(tmp_path) == ("gs://b/p", str(tmp_path / "pyproject.toml"))
    assert default_author(tmp_path) == "ada"
    (tmp_path / "lakefolio.toml").write_text('lake = "gs://b/q"\ndefault_run_type = "analysis"\n')
    assert lake_uri(tmp_path)[0] == "gs://b/p"
    assert setting("default_run_type", start=tmp_path) == "analysis"  # said in one file only


def test_the_nearest_file_wins_and_silent_ones_are_passed(tmp_path):
    below = tmp_path / "project"
    below.mkdir()
    (tmp_path / "lakefolio.toml").write_text('lake = "s3://b/far"\n')
    (below / "pyproject.toml").write_text('[project]\nname = "x"\n')
    assert lake_uri(below)[0] == "s3://b/far"
    (below / "lakefolio.toml").write_text('lake = "s3://b/near"\n')
    assert lake_uri(below)[0] == "s3://b/near"


def test_the_current_folder_is_where_it_starts(tmp_path, monkeypatch):
    (tmp_path / "lakefolio.toml").write_text('lake = "here"\n')
    monkeypatch.chdir(tmp_path)
    assert lake_uri()[0] == os.path.join(os.getcwd(), "here")


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ('author = "ada"\nlake = 5\n', "lake", 2),
        ('lake = ""\n', "lake", 1),
        ('\nlakes = "s3://b/p"\n', "lakes", 2),
        ('author = "ada"\nlake = "open\n', "lake", 2),
        ('lake = "a"\nlake = "b"\n', "lake", None),
    ],
)
def test_a_bad_file_is_named_with_line_and_key(tmp_path, text, key, line):
    path = tmp_path / "lakefolio.toml"
    path.write_text(text)
    with pytest.raises(InvalidInputError) as caught:
        lake_uri(tmp_path)
    error = caught.value
    assert (error.kind, error.path, error.key) == ("bad-config", str(path), key)
    assert str(path) in str(error)
    assert "\n" not in str(error)
    if line is not None:
        assert error.objects["line"] == line


def test_an_unknown_key_names_the_nearest(tmp_path):
    (tmp_path / "lakefolio.toml").write_text('lakes = "x"\n')
    with pytest.raises(InvalidInputError) as caught:
        lake_uri(tmp_path)
    assert "'lake'" in caught.value.hint


def test_bytes_that_are_no_text_and_a_table_of_the_wrong_kind(tmp_path):
    (tmp_path / "lakefolio.toml").write_bytes(b"lake = \xff")
    with pytest.raises(InvalidInputError) as caught:
        lake_uri(tmp_path)
    assert (caught.value.kind, caught.value.objects["line"]) == ("bad-config", 1)
    (tmp_path / "lakefolio.toml").unlink()
    (tmp_path / "pyproject.toml").write_text('[tool]\nlakefolio = "s3://b/p"\n')
    with pytest.raises(InvalidInputError) as caught:
        lake_uri(tmp_path)
    assert caught.value.kind == "bad-config"


@pytest.mark.parametrize(
    "text", ["x = " + "[" * 100_000, "x = " + "9" * 5_000, 'author = "' + "x" * (1 << 20) + '"', "x = {a = " * 2_000]
)
def test_a_file_that_is_too_deep_or_too_large_is_one_error(tmp_path, text):
    (tmp_path / "lakefolio.toml").write_text(text)
    with pytest.raises(lf.InvalidInputError) as caught:
        list(config_files(tmp_path))
    assert caught.value.kind == "bad-config"
    assert len(str(caught.value)) < 500


def test_what_is_no_file_of_text_is_passed_by(tmp_path):
    for name, make in {
        "pipe": os.mkfifo,
        "loop": lambda path: path.symlink_to(path),
        "device": lambda path: path.symlink_to("/dev/zero"),
        "folder": lambda path: path.mkdir(),
        "lost": lambda path: path.symlink_to("/nowhere/at/all"),
    }.items():
        (tmp_path / name).mkdir()
        for file in ("lakefolio.toml", "pyproject.toml"):
            make(tmp_path / name / file)
        assert all(one.path.parent != tmp_path / name for one in config_files(tmp_path / name))


def test_a_mark_of_byte_order_is_no_text(tmp_path):
    (tmp_path / "lakefolio.toml").write_bytes(b'\xef\xbb\xbfauthor = "ada"\n')
    assert next(config_files(tmp_path)).values == {"author": "ada"}


def test_a_damaged_foreign_pyproject_does_no_harm(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project\n")
    assert lake_uri(tmp_path)[0] == "./lake"


def test_the_author_is_user_and_host_by_default(tmp_path, monkeypatch):
    monkeypatch.setenv("LOGNAME", "ada")
    assert default_author(tmp_path) == f"ada@{socket.gethostname()}"


# -- every key -------------------------------------------------------------------------------------------------


def test_each_key_grows_in_precedence_from_file_to_argument(tmp_path, monkeypatch):
    def source_and_value():
        one = found("default_run_type", start=tmp_path)
        return one.value, one.source

    assert source_and_value() == ("experiment", "default")
    (tmp_path / "lakefolio.toml").write_text('author = "ada"\ndefault_run_type = "analysis"\n')
    assert source_and_value() == ("analysis", f"{tmp_path / 'lakefolio.toml'}, line 2")
    (tmp_path / "pyproject.toml").write_text('[tool.lakefolio]\ndefault_run_type = "evaluation"\n')
    assert source_and_value() == ("evaluation", f"{tmp_path / 'pyproject.toml'}, line 2")
    monkeypatch.setenv("LAKEFOLIO_DEFAULT_RUN_TYPE", "production")
    assert source_and_value() == ("production", "LAKEFOLIO_DEFAULT_RUN_TYPE")
    one = found("default_run_type", "development", said="run_type=", start=tmp_path)
    assert (one.value, one.source) == ("development", "argument run_type=")


@pytest.mark.parametrize(("text", "value"), [("0", False), ("off", False), ("No", False), ("TRUE", True), ("on", True)])
def test_switches_in_the_environment(tmp_path, monkeypatch, text, value):
    monkeypatch.setenv("LAKEFOLIO_CAPTURE", text)
    assert setting("capture", start=tmp_path) is value


def test_a_switch_that_is_none_names_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("LAKEFOLIO_DEDUPLICATION", "perhaps")
    with pytest.raises(InvalidInputError) as caught:
        setting("deduplication", start=tmp_path)
    assert (caught.value.kind, caught.value.key) == ("bad-config", "deduplication")
    assert "LAKEFOLIO_DEDUPLICATION" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ('capture = "yes"\n', "capture", 1),
        ("# one\n\ndeduplication = 1\n", "deduplication", 3),
        ('default_run_type = ["a"]\n', "default_run_type", 1),
        ('storage_options = "secret-text"\n', "storage_options", 1),
        ('lake = "x"\n[storage_options]\nendpoint = ["http://x"]\n', "storage_options", 2),
        ('lake = "x"\n[colours]\n', "colours", 2),
        ('lake = "x"\n[colours.bright]\nred = 1\n', "colours", 2),
        ("[[storage_options]]\na = 1\n", "storage_options", 1),
        ('lake = "x"\nauthor = \n', "author", 2),
        ('lake = "x"\nauthor "ada"\n', "author", 2),
        ('lake = "x"\nlake = "y"\n', "lake", 2),
        ('lake = """x\n', "lake", 1),
        ("view_seconds = 0\n", "view_seconds", 1),
        ("view_seconds = true\n", "view_seconds", 1),
        ('view_memory_mib = "1 GB"\n', "view_memory_mib", 1),
        ("view_memory_mib = nan\n", "view_memory_mib", 1),
    ],
)
@pytest.mark.parametrize("form", ["lakefolio.toml", "pyproject.toml"])
def test_a_bad_value_is_named_in_either_file(tmp_path, text, key, line, form):
    if form == "pyproject.toml":
        text = '[project]\nname = "x"\n[tool.lakefolio]\n' + re.sub(r"\[(?=[sc])", "[tool.lakefolio.", text)
        line += 3
    path = tmp_path / form
    path.write_text(text)
    with pytest.raises(InvalidInputError) as caught:
        setting("author", start=tmp_path)  # whichever key is asked for
    error = caught.value
    assert (error.kind, error.path, error.key, error.objects["line"]) == ("bad-config", str(path), key, line)
    assert "secret-text" not in str(error)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[tool.lakefolio]\nlake = "x"\n', "without [tool.lakefolio]"),
        ('s3_bucket = "b"\n', "s3://bucket/prefix"),
        ('default_storage_mode = "by_type"\n', "default_organisation"),
        ("data_deduplication = true\n", "deduplication = true"),
        ("enable_flexible_storage = true\n", "capture = false"),
    ],
)
def test_keys_that_people_bring_along_are_told_their_place(tmp_path, text, said):
    (tmp_path / "lakefolio.toml").write_text(text)
    with pytest.raises(InvalidInputError) as caught:
        setting("author", start=tmp_path)
    assert (caught.value.objects["line"], said in caught.value.hint) == (1, True)


def test_an_address_that_is_none_names_where_it_was_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lakefolio.toml").write_text('author = "ada"\nlake = "ftp://x/y"\n')
    with pytest.raises(
        InvalidInputError, match=r"lakefolio.toml, line 2 sets lake: address 'ftp://' is of a kind"
    ) as one:
        lf.open()
    assert one.value.kind == "bad-uri"
    monkeypatch.setenv("LAKEFOLIO_LAKE", "s3://")
    with pytest.raises(InvalidInputError, match=r"^LAKEFOLIO_LAKE sets lake: address 's3://' names no bucket"):
        lf.open()
    with pytest.raises(InvalidInputError, match=r"^address 's3://' names no bucket"):
        lf.open("s3://")


@pytest.mark.parametrize("text", ["0", "-1", "soon", "inf", "nan"])
def test_a_number_that_is_none_names_the_variable(tmp_path, monkeypatch, text):
    (tmp_path / "lakefolio.toml").write_text("view_seconds = 2.5\n")
    assert setting("view_seconds", start=tmp_path) == 2.5
    monkeypatch.setenv("LAKEFOLIO_VIEW_SECONDS", "7")
    assert setting("view_seconds", start=tmp_path) == 7
    monkeypatch.setenv("LAKEFOLIO_VIEW_SECONDS", text)
    with pytest.raises(InvalidInputError) as caught:
        setting("view_seconds", start=tmp_path)
    assert (caught.value.kind, caught.value.key) == ("bad-config", "view_seconds")


def test_there_are_no_other_settings(tmp_path):
    with pytest.raises(InvalidInputError) as caught:
        setting("captur", start=tmp_path)
    assert caught.value.kind == "bad-config"
    assert "'capture'" in caught.value.hint


def test_storage_options_belong_to_the_configured_lake_and_hide_their_secrets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lakefolio.toml").write_text(
        'lake = "s3://b/p"\n[storage_options]\nendpoint = "http://x"\nsecret_access_key = "hush"\n'
        'access_key_id = "me"\nallow_http = true\n'
    )
    assert place_of("s3://other/lake") == ("s3://other/lake", None)
    trust(tmp_path)
    uri, options = place_of(None)
    assert uri == "s3://b/p"
    assert options == {"endpoint": "http://x", "secret_access_key": "hush", "access_key_id": "me", "allow_http": "true"}
    one = found("storage_options", start=tmp_path)
    assert "hush" not in str(one.shown)
    assert one.shown["endpoint"] == "http://x"


def test_whatever_opens_the_configured_lake_takes_its_options(tmp_path, monkeypatch, s3_server):
    monkeypatch.chdir(tmp_path)
    options = "".join(f'{name} = "{value}"\n' for name, value in s3_server.storage_options.items())
    uri = s3_server.uri("lakes/configured")
    (tmp_path / "lakefolio.toml").write_text(f'lake = "{uri}"\n[storage_options]\n{options}')
    trust(tmp_path)

    @lf.capture
    def double(x):
        return 2 * x

    assert double(2) == 4
    assert [run.status for run in lf.open().runs()] == ["done"]
    for command in (["gc"], ["ls"], ["check"], ["doctor", "--no-write"], ["why", "environments:x"]):
        result = CliRunner().invoke(cli, command)
        assert result.exit_code == (3 if command[0] == "why" else 0), result.output


@pytest.mark.parametrize("address", ["s3://me:hush@bucket/p", "https://x.blob/y?sig=hush", "az://c/p?sas_token=hush"])
def test_secrets_in_an_address_are_not_shown(tmp_path, monkeypatch, address):
    monkeypatch.setenv("LAKEFOLIO_LAKE", address)
    assert "hush" not in found("lake", start=tmp_path).shown


def test_every_key_says_what_it_is_and_has_a_value(tmp_path):
    for name, key in KEYS.items():
        assert key.about
        assert found(name, start=tmp_path).source == "default"


@pytest.mark.parametrize("switch", [True, False])
def test_with_and_without_deduplication_equal_bytes_share_one_object(tmp_path, monkeypatch, switch):
    import numpy as np
    import pyarrow as pa

    import lakefolio as lf
    from lakefolio.content.blobs import Blobs

    asked = []
    real = Blobs._known
    monkeypatch.setattr(Blobs, "_known", lambda *args: asked.append(1) or real(*args))
    monkeypatch.setenv("LAKEFOLIO_DEDUPLICATION", str(switch))
    lake = lf.open(tmp_path / "lake")
    table = pa.table({"x": np.random.default_rng(0).random(5000)})
    lake.folio("a").add("one", table)
    lake.folio("b").add("two", table)
    assert bool(asked) is switch
    assert len(list((tmp_path / "lake" / "blobs").rglob("*/*/*"))) == 1
    assert lake.get("b:two").equals(table)
    assert lake.at(1).get("a:one").equals(table)
