"""The default lake and author: what wins over what, and errors that say where."""

import os
import socket

import pytest

from lakefolio.config import default_author, default_lake_uri
from lakefolio.errors import InvalidInputError


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    monkeypatch.delenv("LAKEFOLIO_LAKE", raising=False)
    monkeypatch.delenv("LAKEFOLIO_AUTHOR", raising=False)


def test_without_anything_it_is_the_folder_lake(tmp_path):
    assert default_lake_uri(tmp_path) == ("./lake", "default")


def test_the_environment_wins(tmp_path, monkeypatch):
    (tmp_path / "lakefolio.toml").write_text('lake = "s3://file/lake"\nauthor = "file"\n')
    monkeypatch.setenv("LAKEFOLIO_LAKE", "s3://env/lake")
    monkeypatch.setenv("LAKEFOLIO_AUTHOR", "env")
    assert default_lake_uri(tmp_path) == ("s3://env/lake", "LAKEFOLIO_LAKE")
    assert default_author(tmp_path) == "env"


def test_a_relative_path_is_relative_to_its_file(tmp_path):
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "lakefolio.toml").write_text('lake = "data/lake"\n')
    assert default_lake_uri(below) == (str(tmp_path / "data" / "lake"), str(tmp_path / "lakefolio.toml"))


@pytest.mark.parametrize("value", ["s3://bucket/prefix", "/data/lake", "~/lake"])
def test_absolute_places_stay_as_written(tmp_path, value):
    (tmp_path / "lakefolio.toml").write_text(f'lake = "{value}"\n')
    assert default_lake_uri(tmp_path)[0] == value


def test_pyproject_is_read_and_lakefolio_toml_beside_it_wins(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\n[tool.lakefolio]\nlake = "gs://b/p"\nauthor = "ada"\n'
    )
    assert default_lake_uri(tmp_path) == ("gs://b/p", str(tmp_path / "pyproject.toml"))
    assert default_author(tmp_path) == "ada"
    (tmp_path / "lakefolio.toml").write_text('lake = "gs://b/q"\n')
    assert default_lake_uri(tmp_path)[0] == "gs://b/q"
    assert default_author(tmp_path) == "ada"  # said in one file only


def test_the_nearest_file_wins_and_silent_ones_are_passed(tmp_path):
    below = tmp_path / "project"
    below.mkdir()
    (tmp_path / "lakefolio.toml").write_text('lake = "s3://b/far"\n')
    (below / "pyproject.toml").write_text('[project]\nname = "x"\n')
    assert default_lake_uri(below)[0] == "s3://b/far"
    (below / "lakefolio.toml").write_text('lake = "s3://b/near"\n')
    assert default_lake_uri(below)[0] == "s3://b/near"


def test_the_current_folder_is_where_it_starts(tmp_path, monkeypatch):
    (tmp_path / "lakefolio.toml").write_text('lake = "here"\n')
    monkeypatch.chdir(tmp_path)
    assert default_lake_uri()[0] == os.path.join(os.getcwd(), "here")


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ('author = "ada"\nlake = 5\n', "lake", 2),
        ('lake = ""\n', "lake", 1),
        ('\nlakes = "s3://b/p"\n', "lakes", 2),
        ('author = "ada"\nlake = "open\n', None, 2),
        ('lake = "a"\nlake = "b"\n', None, None),
    ],
)
def test_a_bad_file_is_named_with_line_and_key(tmp_path, text, key, line):
    path = tmp_path / "lakefolio.toml"
    path.write_text(text)
    with pytest.raises(InvalidInputError) as caught:
        default_lake_uri(tmp_path)
    error = caught.value
    assert (error.kind, error.path, error.key) == ("bad-config", str(path), key)
    assert str(path) in str(error)
    assert "\n" not in str(error)
    if line is not None:
        assert error.line == line


def test_an_unknown_key_names_the_nearest(tmp_path):
    (tmp_path / "lakefolio.toml").write_text('lakes = "x"\n')
    with pytest.raises(InvalidInputError) as caught:
        default_lake_uri(tmp_path)
    assert "'lake'" in caught.value.hint


def test_bytes_that_are_no_text_and_a_table_of_the_wrong_kind(tmp_path):
    (tmp_path / "lakefolio.toml").write_bytes(b"lake = \xff")
    with pytest.raises(InvalidInputError) as caught:
        default_lake_uri(tmp_path)
    assert caught.value.kind == "bad-config"
    (tmp_path / "lakefolio.toml").unlink()
    (tmp_path / "pyproject.toml").write_text('[tool]\nlakefolio = "s3://b/p"\n')
    with pytest.raises(InvalidInputError) as caught:
        default_lake_uri(tmp_path)
    assert caught.value.kind == "bad-config"


def test_a_damaged_foreign_pyproject_does_no_harm(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project\n")
    assert default_lake_uri(tmp_path)[0] == "./lake"


def test_the_author_is_user_and_host_by_default(tmp_path, monkeypatch):
    monkeypatch.setenv("LOGNAME", "ada")
    assert default_author(tmp_path) == f"ada@{socket.gethostname()}"
