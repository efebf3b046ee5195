"""The git state of a folder is recorded without running anything that its repository names."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import lakefolio as lf
from lakefolio.process import provenance
from lakefolio.process.git import git_state


def git(folder: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always", *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "trunk")
    (folder / "code.py").write_text("x = 1\n")
    (folder / "data.bin").write_text("data\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    return folder


def touched(folder: Path) -> None:
    """Let git look at the content of the files again: their times differ from what its index says."""
    for name in ("code.py", "data.bin"):
        os.utime(folder / name, (1, time.time() + 5))


def command_of(marker: Path) -> str:
    script = marker.with_name("run.sh")
    script.write_text(f"#!/bin/sh\necho ran >> '{marker}'\ncat\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(script)


def fsmonitor(folder: Path, run: str) -> None:
    git(folder, "config", "core.fsmonitor", run)


def fsmonitor_in_an_included_file(folder: Path, run: str) -> None:
    (folder / "more").write_text(f'[core]\n\tfsmonitor = "{run}"\n[filter "x"]\n\tclean = "{run}"\n')
    (folder / ".gitattributes").write_text("* filter=x\n")
    git(folder, "config", "include.path", "../more")


def fsmonitor_of_the_work_tree(folder: Path, run: str) -> None:
    git(folder, "config", "extensions.worktreeConfig", "true")
    git(folder, "config", "--worktree", "core.fsmonitor", run)


def filters(folder: Path, run: str) -> None:
    for key in ("clean", "smudge"):
        git(folder, "config", f"filter.x.{key}", run)
    git(folder, "config", "filter.x.required", "true")
    (folder / ".gitattributes").write_text("* filter=x\n")


def filter_process(folder: Path, run: str) -> None:
    git(folder, "config", "filter.x.process", run)
    (folder / ".git" / "info").mkdir(exist_ok=True)
    (folder / ".git" / "info" / "attributes").write_text("* filter=x\n")


def filters_with_odd_names(folder: Path, run: str) -> None:
    lines = "".join(f'[filter "{name}"]\n\tclean = "{run}"\n' for name in ("a.b=c", "d e", "Ünicode", "x=y.clean"))
    (folder / ".git" / "config").write_text((folder / ".git" / "config").read_text() + lines)
    (folder / ".gitattributes").write_text("code.py filter=a.b=c\ndata.bin filter=Ünicode\n")


def attributes_elsewhere(folder: Path, run: str) -> None:
    (folder / "attributes").write_text("* filter=x diff=x\n")
    git(folder, "config", "core.attributesFile", str(folder / "attributes"))
    git(folder, "config", "filter.x.clean", run)
    git(folder, "config", "diff.x.textconv", run)
    git(folder, "config", "diff.x.command", run)


def external_diff(folder: Path, run: str) -> None:
    git(folder, "config", "diff.external", run)
    git(folder, "config", "core.pager", run)
    git(folder, "config", "pager.status", run)
    git(folder, "config", "pager.config", run)
    git(folder, "config", "interactive.diffFilter", run)


def aliases(folder: Path, run: str) -> None:
    for name in ("status", "config", "rev-parse"):
        git(folder, "config", f"alias.{name}", f"!{run}")


def hooks(folder: Path, run: str) -> None:
    for name in ("post-index-change", "fsmonitor-watchman", "post-checkout", "reference-transaction"):
        for place in (folder / ".git" / "hooks", folder / "hooks"):
            place.mkdir(exist_ok=True)
            shutil.copy(run, place / name)
    git(folder, "config", "core.hooksPath", str(folder / "hooks"))
    git(folder, "config", "core.fsmonitor", ".git/hooks/fsmonitor-watchman")


def a_partial_clone(folder: Path, run: str) -> None:
    for key, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": f"ext::{run} %S",
        "protocol.ext.allow": "always",
        "core.sshCommand": run,
        "core.gitProxy": run,
        "core.askPass": run,
        "credential.helper": f"!{run}",
        "remote.origin.uploadpack": run,
    }.items():
        git(folder, "config", key, value)
    tree = git(folder, "rev-parse", "HEAD^{tree}").strip()
    (folder / ".git" / "objects" / tree[:2] / tree[2:]).unlink()


def a_submodule(folder: Path, run: str) -> None:
    inner = folder / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "a").write_text("a")
    git(inner, "add", "a")
    git(inner, "commit", "-qm", "one")
    git(folder, "submodule", "add", "-q", "./inner", "inner")
    git(folder, "commit", "-qm", "two")
    git(inner, "config", "core.fsmonitor", run)
    git(inner, "config", "filter.x.clean", run)
    (inner / ".gitattributes").write_text("* filter=x\n")
    (inner / "a").write_text("b")
    for key in ("status.submoduleSummary", "submodule.recurse", "diff.submodule"):
        git(folder, "config", key, "log" if key.startswith("diff") else "true")


def another_work_tree(folder: Path, run: str) -> None:
    fsmonitor(folder, run)
    filters(folder, run)
    git(folder, "config", "core.worktree", str(folder.parent))


def a_git_file_that_points_elsewhere(folder: Path, run: str) -> None:
    filters(folder, run)
    fsmonitor(folder, run)
    (folder / ".git").rename(folder.parent / "elsewhere")
    (folder / ".git").write_text(f"gitdir: {folder.parent / 'elsewhere'}\n")


def an_embedded_bare_repository(folder: Path, run: str) -> None:
    shutil.rmtree(folder / ".git")
    git(folder, "init", "-q", "--bare", ".")
    git(folder, "config", "core.bare", "false")
    git(folder, "config", "core.worktree", str(folder))
    git(folder, "config", "core.fsmonitor", run)


def a_git_of_its_own(folder: Path, run: str) -> None:
    shutil.copy(run, folder / "git")


HOSTILE = [
    fsmonitor,
    fsmonitor_in_an_included_file,
    fsmonitor_of_the_work_tree,
    filters,
    filter_process,
    filters_with_odd_names,
    attributes_elsewhere,
    external_diff,
    aliases,
    hooks,
    a_partial_clone,
    a_submodule,
    another_work_tree,
    a_git_file_that_points_elsewhere,
    an_embedded_bare_repository,
    a_git_of_its_own,
]


@pytest.mark.parametrize("poison", HOSTILE, ids=lambda one: one.__name__)
def test_nothing_that_a_repository_names_is_run(
    repository: Path, tmp_path: Path, monkeypatch, poison: Callable[[Path, str], None]
) -> None:
    marker = tmp_path / "ran"
    poison(repository, command_of(marker))
    if (repository / "code.py").exists():
        touched(repository)
    marker.unlink(missing_ok=True)  # making it may have run it
    index = repository / ".git" / "index"
    before = index.read_bytes() if index.exists() else b""
    monkeypatch.chdir(repository)
    if poison is a_git_of_its_own:
        monkeypatch.setenv("PATH", f".{os.pathsep}{os.environ['PATH']}")
    provenance._git.clear()
    lake = lf.open(tmp_path / "lake")
    with lake.run("x"):
        pass
    lake.folio("f").add("x", 1).create_snapshot("s", capture_git=True, capture_environment=True, capture_execution=True)
    assert not marker.exists(), marker.read_text()
    assert (index.read_bytes() if index.exists() else b"") == before


def test_the_commands_would_have_run(repository: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    filters(repository, command_of(marker))
    marker.unlink(missing_ok=True)
    touched(repository)
    git(repository, "status")
    assert marker.exists()


def test_an_included_pipe_does_not_hang(repository: Path) -> None:
    os.mkfifo(repository / "pipe")
    git(repository, "config", "include.path", "../pipe")
    began = time.monotonic()
    assert git_state(repository, untracked=False) is None
    assert time.monotonic() - began < 60  # it would hang for ever


def test_state_of_a_plain_repository(repository: Path, tmp_path: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD").strip()
    git(repository, "remote", "add", "origin", "https://ada:hush@git.example.com/x.git?token=hush")
    clean = git_state(repository, untracked=True)
    assert clean is not None
    assert (clean.commit, clean.branch, clean.dirty) == (commit, "trunk", False)
    assert clean.remote == "https://git.example.com/x.git"
    touched(repository)  # the same content at another time
    assert git_state(repository, untracked=True) == clean
    (repository / "new.py").write_text("y = 1")
    assert [git_state(repository, untracked=one).dirty for one in (True, False)] == [True, False]
    (repository / "code.py").write_text("x = 2\n")
    assert git_state(repository, untracked=False).dirty
    git(repository, "checkout", "-q", "--detach")
    assert git_state(repository, untracked=False).branch == "(detached)"
    assert git_state(tmp_path, untracked=False) is None


@pytest.mark.parametrize("address", ["git@github.com:ada/x.git", "ssh://git@github.com/ada/x.git", "/srv/git/x.git"])
def test_remotes_without_a_secret_stay(repository: Path, address: str) -> None:
    git(repository, "remote", "add", "origin", address)
    assert git_state(repository, untracked=False).remote == address


@pytest.mark.parametrize(
    "address",
    [
        "https://hush@git.example.com/x.git",
        "ssh://ada:hush@git.example.com/x.git",
        "https://git.example.com/x.git?private_token=hush",
        "https://oauth2:ghp_hushhushhushhush@github.com/x.git",
        "ext::sh -c 'curl -H \"Authorization: Bearer hush-hush-1\" x'",
    ],
)
def test_remotes_keep_no_secret(repository: Path, address: str) -> None:
    git(repository, "config", "remote.origin.url", address)
    assert "hush" not in str(git_state(repository, untracked=False).remote)


def test_a_repository_of_another_user_is_left_alone(repository: Path, monkeypatch) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give files away")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for path in (repository, *repository.rglob("*")):
        os.chown(path, 65534, 65534)
    assert git_state(repository, untracked=False) is None
