"""What the command line says about itself, and what that costs."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from cli_reference import reference

import lakefolio
from lakefolio.cli import cli
from lakefolio.cli.app import _OTHER_WORDS, Command
from lakefolio.cli.command_list import COMMANDS, EXIT_CODES
from lakefolio.errors import LakefolioError

HEAVY = ["pandas", "polars", "deltalake", "duckdb", "pyarrow", "numpy", "boto3", "obstore", "rich", "sklearn"]


def every_command() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(cli)
    for name in COMMANDS:
        found = cli.get_command(context, name)
        assert found is not None
        yield name, found
        if isinstance(found, click.Group):
            yield from ((f"{name} {sub}", one) for sub, one in found.commands.items())


@pytest.mark.parametrize(("name", "found"), list(every_command()), ids=lambda one: one if isinstance(one, str) else "")
def test_help_shows_a_summary_and_an_example(run, name: str, found: click.Command) -> None:
    assert isinstance(found, Command)
    assert found.example.startswith("lakefolio ")
    shown = run(*name.split(), "--help").stdout
    assert found.example.splitlines()[0] in shown
    assert run(*name.split(), "-h").stdout == shown
    first = (found.help or "").split("\n\n")[0]
    assert " ".join(first.split()) in " ".join(shown.split())
    if name in COMMANDS:
        assert first == COMMANDS[name]


RUN_ELSEWHERE = {
    "demo": "the gate, from the built wheel",
    "ui": "pages/test_server.py, in a process that ends at Ctrl-C",
}


@pytest.mark.parametrize("example", [one.example for name, one in every_command() if name not in RUN_ELSEWHERE])
def test_every_example_runs(run, stocked: str, example: str) -> None:
    if example.startswith("lakefolio get"):
        (Path(stocked).parent / "scores.csv").unlink()
    if example.startswith("lakefolio snapshot create"):
        run("snapshot", "drop", "paper-v1")
    if example.startswith("lakefolio repair"):
        shutil.copytree(stocked, Path(stocked).parent / "copy")
    if example.startswith("lakefolio add"):
        lakefolio.open(stocked).folio("experiments/clf").delete("scores", warn_dependents=False)
    if example.startswith("lakefolio datasets show"):
        lakefolio.open(stocked).create_dataset("paper", ["experiments/clf:scores"])
    if example.startswith("lakefolio verify"):
        run("provenance", "experiments/clf:scores", "--out", "scores.provenance.json")
    if "trust" in example:
        (Path(stocked).parent / "lakefolio.toml").write_text('author = "ada"\n')
    if "runs" in example or "run " in example or "compare" in example:
        for number in ("prod_001", "prod_002"):
            lakefolio.open(stocked).create_run(
                run_id=number, run_type="production", status="done", metrics={"val/loss": 0.5}
            )
    if example.startswith("lakefolio records") and " create " not in example:
        made = lakefolio.open(stocked).folio("lab").create_table("scores", {"id": "int64", "score": "double"}, key="id")
        made.append({"id": 1, "score": 0.75})
        (Path(stocked).parent / "new.csv").write_text("id,score\n2,0.5\n")
    if example.startswith("lakefolio models"):
        lake = lakefolio.open(stocked)
        lake.folio("experiments/clf").add_json("model", {"w": 1})
        for _ in range(3):
            lake.register_model("churn", "experiments/clf:model", alias="production")
    run(*shlex.split(example)[1:])


def test_help_lists_commands_and_exit_codes(run) -> None:
    shown = run("--help").stdout
    for name, summary in COMMANDS.items():
        assert name in shown
        assert summary in shown
    for code, meaning in EXIT_CODES.items():
        assert f"{code} " in shown
        assert meaning in shown


def test_every_exit_code_of_an_error_is_explained() -> None:
    waiting = [LakefolioError]
    codes = set()
    while waiting:
        one = waiting.pop()
        codes.add(one.exit_code)
        waiting += one.__subclasses__()
    assert codes <= EXIT_CODES.keys()


def test_version(run) -> None:
    assert run("--version").stdout == f"lakefolio {lakefolio.__version__}\n"


def test_the_reference_has_every_command() -> None:
    text = reference()
    for name, found in every_command():
        if not isinstance(found, click.Group):
            assert f"`lakefolio {name}" in text
            assert f"`{found.example}`" in text


def loaded(*commands: list[str]) -> str:
    """Return the heavy libraries that one process has loaded after all these commands."""
    code = f"""
import sys
from lakefolio.cli import main
for words in {list(commands)!r}:
    sys.argv = ["lakefolio", *words]
    try:
        main()
    except SystemExit as end:
        assert end.code == 0
print("loaded", [name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(("word", "ours"), [("delete", "rm"), ("rename", "mv"), ("list", "ls"), ("publish", "export")])
def test_the_words_of_other_programs_lead_to_the_command(run, word: str, ours: str) -> None:
    assert f"did you mean '{ours}'?" in run(word, code=2).stderr


def test_every_hint_for_a_word_of_other_programs_is_a_command() -> None:
    assert set(_OTHER_WORDS.values()) <= set(COMMANDS)
    assert not set(_OTHER_WORDS) & set(COMMANDS)


def test_help_loads_no_library() -> None:
    assert loaded(["--help"], ["get", "--help"]) == "loaded []"


def test_getting_a_dict_loads_no_frames_and_a_table_after_it_is_one(stocked: str) -> None:
    dicts = ["get", "experiments/clf:config"], ["show", "experiments/clf:config"]
    assert not [one for one in ("pandas", "polars", "deltalake", "duckdb") if one in loaded(*dicts)]
    assert "pandas" in loaded(*dicts, ["get", "experiments/clf:scores"])


def test_listing_loads_no_frames(run, stocked: str) -> None:
    every = (["log"], ["diff", "paper-v1"], ["snapshot", "list"], ["ls", "experiments/clf"], ["ls"])
    found = loaded(*(["--lake", stocked, *words] for words in every))
    assert not [name for name in ("pandas", "polars", "deltalake", "duckdb", "boto3", "sklearn") if name in found]


UNNEEDED = ["pandas", "polars", "deltalake", "duckdb", "boto3", "sklearn", "pyarrow.parquet", "pyarrow.dataset"]
UNNEEDED += ["pyarrow.compute", "obstore", "numpy"]
UNNEEDED += ["importlib.metadata", "importlib.resources", "email.message", "asyncio", "http.client", "ssl"]
LIBRARIES = ("pyarrow", "numpy", "rich", "click", "dateutil", "encodings")


TYPED = ["lakefolio ", "lakefolio s", "lakefolio get ", "lakefolio show ", "lakefolio get experiments/clf:"]


def waited_for(lake: str, typed: str | None) -> tuple[str, list[str], list[str]]:
    """List a lake, or complete a line, in a process; return what it prints, its modules, and the files it reads.

    Files of a lake are opened by their names in a folder that is open already; other files by their whole paths.
    """
    code = """
import sys
opened = []
def heard(event, args):
    if event == "open" and isinstance(args[0], str) and "/" not in args[0] and "." in args[0]:
        opened.append(args[0])
sys.addaudithook(heard)
from lakefolio.cli import main
sys.argv = ["lakefolio", "ls"]
try:
    main()
except SystemExit as end:
    assert not end.code
print("\\n".join(["", "opened:", *opened, "imported:", *sys.modules]))
"""
    environment = {**os.environ, "LAKEFOLIO_LAKE": lake}
    if typed is not None:
        environment |= {"_LAKEFOLIO_COMPLETE": "bash_complete", "COMP_LINE": typed}
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    shown, _, rest = printed.rpartition("\nopened:\n")
    opened, _, imported = rest.partition("imported:\n")
    return shown, imported.split(), opened.split()


@pytest.mark.parametrize("typed", [None, *TYPED])
def test_what_people_wait_for_imports_little(stocked: str, typed: str | None) -> None:
    """Listing and completion take as long as their imports: these are counted, since times differ by machine."""
    printed, found, _ = waited_for(stocked, typed)
    assert "experiments/clf" in printed or "raw" in printed or "\tsearch" in printed
    assert not set(UNNEEDED) & set(found)
    packages = [name.partition(".")[0] for name in found]
    assert packages.count("lakefolio") <= 84
    if typed in ("lakefolio ", "lakefolio s"):
        assert not {"numpy", "pyarrow", "lakefolio.cli.show", "lakefolio.cli.sql"} & set(found)
    assert len([name for name in packages if name not in ("lakefolio", *LIBRARIES)]) <= 190  # of Python itself


@pytest.fixture
def aged(tmp_path: Path) -> str:
    """A lake with runs, of which read models were made, and with later commits."""
    lake = lakefolio.open(tmp_path / "aged")
    for number in range(3):
        with lake.run(f"train-{number}", params={"lr": number}) as run:
            run.log(loss=0.5, step=1)
            lake.folio("lab/a").add_json(f"item-{number}", number)
    lake.compact()
    lake.folio("lab/b").add_json("late", 1)
    with lake.run("after") as run:
        run.log(loss=0.25, step=1)
    return str(tmp_path / "aged")


@pytest.mark.parametrize(("typed", "models"), [(None, 1), ("lakefolio get ", 1), ("lakefolio get lab/a:", 1)])
def test_a_lake_with_runs_and_read_models_costs_little_more(aged: str, typed: str | None, models: int) -> None:
    printed, found, opened = waited_for(aged, typed)
    assert {"lab/a", "lab/b"} <= set(re.split(r"[\s:]+", printed)) or "item-2" in printed
    assert set(UNNEEDED) & set(found) == {"pyarrow.parquet", "ssl"}  # the one imports the other
    assert [name.partition(".")[0] for name in found].count("lakefolio") <= 97
    files = [one for one in opened if one.endswith(".parquet")]
    assert len([one for one in files if one.endswith(".checkpoint.parquet")]) == 1
    assert len(files) == 1 + models  # no data file of the journal
    assert len([one for one in opened if one.endswith(".json")]) <= 10  # the marker, and entries since the checkpoint
    assert len(opened) == len(set(opened))


def test_a_lake_is_listed_without_its_read_models(run, aged: str) -> None:
    expected = run("--lake", aged, "ls").stdout
    shutil.rmtree(Path(aged, "tables", "folios"))
    for damaged in Path(aged, "tables", "entries").glob("*.parquet"):
        damaged.write_bytes(damaged.read_bytes()[::-1])
    printed, found, _ = waited_for(aged, None)
    assert printed == expected
    assert "numpy" not in found


def test_help_lists_the_pages_and_prints_each(run) -> None:
    package = Path(lakefolio.__file__).parent
    pages = {page.stem: page for page in (package / "docs").glob("*.md")}
    pages |= {"format": package / "FORMAT.md", "design": package / "DESIGN.md"}
    listed = run("help").stdout
    assert {line.split("  ")[0] for line in listed.partition("\n\n")[0].splitlines()} == set(pages)
    for topic, page in pages.items():
        assert run("help", topic).stdout.strip() == page.read_text(encoding="utf-8").strip()


def test_help_of_a_command_is_what_its_option_prints(run) -> None:
    for name in ("gc", "import", "snapshot"):
        assert run("help", name).stdout == run(name, "--help").stdout


def test_help_of_an_unknown_topic_names_the_nearest(run) -> None:
    failed = run("help", "mlfow", code=3)
    assert "mlflow" in failed.stderr
    assert "lakefolio help" in failed.stderr


def test_the_pages_that_commands_send_to_exist(run) -> None:
    topics = [topic for _, found in every_command() for topic in re.findall(r"lakefolio help (\w+)", found.help or "")]
    assert {"importing", "publishing", "pages", "settings"} <= set(topics)
    for topic in topics:
        assert run("help", topic).stdout.startswith("# ")


def test_lists_of_commands_show_sentences_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for name, found in every_command():
        if isinstance(found, click.Group):
            with click.Context(found, info_name=name) as ctx:
                assert [
                    line for line in found.get_help(ctx).splitlines() if line.startswith("  ") and line.endswith("...")
                ] == []


@pytest.mark.parametrize("name", ["models", "datasets", "snapshot"])
def test_a_group_that_lists_does_so_without_a_command(run, stocked: str, name: str) -> None:
    alone = run("--lake", stocked, name)
    listed = run("--lake", stocked, name, "list")
    assert (alone.stdout, alone.stderr) == (listed.stdout, listed.stderr)
