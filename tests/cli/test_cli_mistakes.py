"""What people get wrong: one line, a hint, the right exit code, nothing on stdout, nothing changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lakefolio as lf

SCORES = "experiments/clf:scores"

MISTAKES = [
    (["--lake", "nowhere", "ls"], 3, "lake-not-found"),
    (["ls", "experimens/clf"], 3, "folio-not-found"),
    (["ls", "--at", "99"], 3, "version-not-found"),
    (["ls", "--at", "2001-01-01"], 3, "version-not-found"),
    (["ls", "--at", "paper-v2"], 3, "snapshot-not-found"),
    (["show", "experiments/clf:scors"], 3, "item-not-found"),
    (["show", "scores"], 2, "bad-ref"),
    (["get", "scores"], 2, "bad-ref"),
    (["get", "experiments/clf:"], 2, "bad-name"),
    (["get", f"{SCORES}@"], 2, "bad-ref"),
    (["get", f"{SCORES}@nope"], 3, "snapshot-not-found"),
    (["get", f"{SCORES}@1"], 3, "item-not-found"),
    (["add", SCORES, "scores.csv"], 4, "item-exists"),
    (["add", "scores", "scores.csv"], 2, "bad-ref"),
    (["add", f"{SCORES}@3", "scores.csv"], 2, "bad-ref"),
    (["add", "a:../b", "scores.csv"], 2, "bad-name"),
    (["add", "a:b", "scors.csv"], 2, "local-file-not-found"),
    (["add", "a:b", "scors.csv", "--reference"], 2, "local-file-not-found"),
    (["add", "a:b", "s3://bucket/x.csv"], 2, "local-file-not-found"),
    (["add", "a:b", "notes.txt", "--as", "json"], 2, "bad-file"),
    (["add", "a:b", "notes.txt", "--as", "array"], 2, "bad-file"),
    (["add", "a:b", "emb.npy", "--input", "nothing"], 3, "input-not-found"),
    (["add", "a:b", "emb.npy", "--meta", "novalue"], 2, "usage"),
    (["add", "a:b", "-", "--reference"], 2, "usage"),
    (["add", "a:b", "emb.npy", "--as", "array", "--reference"], 2, "usage"),
    (["--at", "paper-v1", "add", "a:b", "emb.npy"], 6, "read-only-version"),
    (["--at", "2", "restore", "1", "--yes"], 6, "read-only-version"),
    (["restore", "paper-v2", "--yes"], 3, "snapshot-not-found"),
    (["restore", "paper-v1"], 2, "usage"),
    (["restore", "paper-v1", "--item", "scores", "--yes"], 2, "bad-ref"),
    (["restore", "paper-v1", "--folio", "nope", "--yes"], 3, "folio-not-found"),
    (["history", "experiments/clf:never"], 3, "item-not-found"),
    (["diff", "paper-v2"], 3, "snapshot-not-found"),
    (["snapshot", "create", "paper-v1"], 4, "snapshot-exists"),
    (["snapshot", "create", "17"], 2, "bad-name"),
    (["snapshot", "drop", "paper-v2"], 3, "snapshot-not-found"),
    (["snapshot", "paper-v2"], 2, "usage"),
    (["sql", "selct 1"], 2, "sql"),
    (["sql", "select * from item"], 2, "sql"),
    (["sql", "drop table manifests"], 2, "sql"),
    (["sql", "select 1; select 2"], 2, "sql"),
    (["sql"], 2, "usage"),
    (["sql", "select 1", "--views"], 2, "usage"),
    (["lineage", "experiments/clf:nothing"], 3, "item-not-found"),
    (["lineage", SCORES, "-o", "scores.csv"], 4, "local-file-exists"),
    (["init", "x", "--lake", "y"], 2, "usage"),
    (["lss"], 2, "usage"),
    (["ls", "--no-such-option"], 2, "usage"),
    (["get"], 2, "usage"),
]


@pytest.mark.parametrize(("args", "code", "kind"), MISTAKES, ids=lambda one: " ".join(one) if type(one) is list else "")
def test_mistakes(run, said, stocked: str, args: list[str], code: int, kind: str) -> None:
    before = lf.open(stocked).version
    error = said(*args, code=code)
    assert (error.kind, error.exit_code) == (kind, code)
    assert error.hint
    result = run(*args, code=code)
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if line.startswith(("error: ", "hint: "))]
    assert [line.split(":")[0] for line in lines] == ["error", "hint"]
    assert "Traceback" not in result.stderr
    assert "=True" not in result.stderr  # the words of the command line, not of Python
    assert lf.open(stocked).version == before


def test_the_nearest_name_is_given(said, stocked: str) -> None:
    assert "'scores'" in said("get", "experiments/clf:scors", code=3).hint
    assert "'ls'" in said("lss", code=2).hint
    assert "snapshot create v9" in said("snapshot", "v9", code=2).hint


def test_a_missing_lake_says_how_to_name_one(said) -> None:
    assert "LAKEFOLIO_LAKE" in said("ls", code=3).hint
    assert "lakefolio init here" in said("ls", "--lake", "here", code=3).hint
    assert not Path("lake").exists()
    assert not Path("here").exists()


def test_a_missing_lake_names_those_that_lie_here(said, run, monkeypatch) -> None:
    assert "found here" not in said("ls", code=3).hint
    run("init", "my first")
    run("init", "second")
    Path("third").mkdir()
    assert said("ls", code=3).hint.endswith("; found here: --lake 'my first', --lake second")
    monkeypatch.chdir("second")
    assert said("ls", code=3).hint.endswith("; found here: --lake .")


def test_a_wrong_address_names_the_lakes_near_it(said, run) -> None:
    run("init", "data/mine")
    mine = Path("data/mine").resolve()
    for wrong in ("data", "data/mien"):
        assert said("ls", "--lake", wrong, code=3).hint.endswith(f"lakefolio init {wrong}; found near: {mine}")


def test_of_many_lakes_near_a_wrong_address_those_most_alike_are_named(said, run) -> None:
    for name in ("a", "b", "c", "mine", "z"):
        run("init", f"data/{name}")
    assert f"; found near: {Path('data/mine').resolve()}, " in said("ls", "--lake", "data/mien", code=3).hint


def test_a_wrong_address_in_a_bucket_names_the_lakes_near_it(said, run, s3_server, monkeypatch) -> None:
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    bucket = s3_server.create_bucket("near")
    run("init", f"{bucket}/team/mine")
    for wrong in (bucket, f"{bucket}/team", f"{bucket}/team/mien"):
        assert said("ls", "--lake", wrong, code=3).hint.endswith(f"; found near: {bucket}/team/mine")
    assert "found near" not in said("ls", "--lake", f"{bucket}/other/place", code=3).hint


def test_an_empty_lake_has_something_to_say(run, said) -> None:
    run("init")
    for args in (["ls"], ["log"], ["snapshot", "list"], ["sql", "select * from items"]):
        assert said(*args) == []
        assert run(*args).output
    assert said("stats")["item_count"] == 0
    assert said("check")["ok"] is True
    assert said("show")["item_count"] == 0
    assert said("diff", "0")["added"] == []
    assert said("restore", "0", "--yes")["changed"] == []


def test_files_that_are_not_what_they_are_called(said, stocked: str) -> None:
    Path("bad.parquet").write_text("no parquet")
    Path("bad.json").write_text("{")
    Path("bad.npy").write_text("")
    Path("empty.csv").write_text("")
    np.save("objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    for name in ("bad.parquet", "bad.json", "bad.npy", "empty.csv", "objects.npy"):
        said("add", "bad:x", name, code=2)
        assert said("add", f"bad:{name}", name, "--as", "artifact")["kind"] == "artifact"


def test_a_restore_can_be_declined(run, stocked: str, monkeypatch) -> None:
    monkeypatch.setattr("lakefolio.cli.restore.asked", lambda: True)
    before = lf.open(stocked).version
    assert run("restore", "paper-v1", stdin="n\n", code=130).stdout == ""
    run("restore", "paper-v1", stdin="", code=130)
    assert lf.open(stocked).version == before
    assert "scores" in run("restore", "paper-v1", stdin="y\n").stdout
    assert lf.open(stocked).version == before + 1
    assert run("restore", "paper-v1").exit_code == 0  # nothing to change, so nothing to ask


def test_an_unknown_failure_keeps_its_traceback(run, stocked: str, monkeypatch) -> None:
    def broken(*args, **options):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("lakefolio.cli.ls._totals", broken)
    with pytest.raises(ZeroDivisionError):
        run("ls")


def test_check_says_how_lost_content_comes_back(run, stocked: str) -> None:
    assert "repair" not in run("check").stderr
    blob = next(one for one in (Path(stocked) / "blobs").rglob("*") if one.is_file())
    blob.unlink()
    failed = run("check", code=8)
    assert "blob-missing" in failed.stdout
    assert "repair --from URI --dry-run" in failed.stderr
    assert run("check", "--json", code=8).stderr == ""


def test_check_sends_nobody_to_a_copy_of_the_lake_for_content_outside_of_it(run, tmp_path) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_text("a\n1\n")
    lf.open("lake").folio("f").reference_table("t", outside)
    outside.unlink()
    checked = run("check", "--read-data", code=8)
    assert "reference-missing" in checked.stdout
    assert "repair" not in checked.stderr


def test_runs_are_asked_for_in_the_words_of_sql(run, said) -> None:
    with lf.open("lake").run("train", run_id="r1") as one:
        one.log(auc=0.5)
    assert "single quotes: 'failed'" in said("runs", "--where", "status = failed", code=2).hint
    assert "-auc falls" in said("runs", "--sort", "auc", "desc", code=2).message


def test_a_wrong_call_is_answered_by_one_that_works(run) -> None:
    wrong = run("get", SCORES, "scores.csv", code=2)
    assert "hint: such as lakefolio get experiments/clf:scores -o scores.csv" in wrong.stderr
    assert "such as" not in run("lss", code=2).stderr


def test_another_word_than_show_says_where_runs_are_listed(run) -> None:
    for word in ("list", "train-7", "{}"):
        result = run("run", word, code=2)
        assert f"there is no command {word!r}" in result.stderr
        assert "lakefolio runs" in result.stderr
