"""DVC repositories: the files that each git commit tracks by ``.dvc`` files and ``dvc.lock``, from DVC's cache.

Of a repository with git history every commit that changed what is tracked is a step, oldest first; without git there
is one step, of the files that lie there. Tags become snapshots. Content that the cache lacks and git has not either
(metrics and other outputs with ``cache: false``) is said, and imported once ``dvc fetch --all-commits`` has brought it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from lakefolio.errors import InvalidInputError, LakefolioError
from lakefolio.format.names import new_id
from lakefolio.format.quoting import quoted, quoted_path
from lakefolio.interop.importing.plan import NewItem, Plan, Step
from lakefolio.interop.importing.source_files import SourceFolder, digest_of, plain_yaml
from lakefolio.process.git import git_output
from lakefolio.process.scratch import private_folder

__all__ = ["read"]

_MD5: Final = re.compile(r"[0-9a-f]{32}(\.dir)?")
_CACHES: Final = (".dvc/cache/files/md5/{0}/{1}", ".dvc/cache/{0}/{1}")
_TIMEOUT_S: Final = 60
_HELD_BYTES: Final = 16 * 1024**2


@dataclass(frozen=True, slots=True)
class _Tracked:
    """A file or folder that DVC tracks: its path, digest, and the stage that made it."""

    path: str
    md5: str
    inputs: tuple[str, ...] = ()
    stage: str | None = None
    command: str | None = None


def read(source: str, folio: str | None) -> Plan:
    """Plan the import of a DVC repository.

    Args:
        source: The repository.
        folio: The folio; by default the repository's name.

    Raises:
        InvalidInputError: kind ``bad-source``: DVC does not track anything there.
    """
    files = SourceFolder(source)
    plan = Plan(f"dvc:{files.root}")
    if not files.has(".dvc"):
        raise InvalidInputError(f"{source!r} is no DVC repository: it has no .dvc", kind="bad-source", path=source)
    reader = _Reader(files, plan, folio or quoted(files.root.name))
    commits = list(_commits(files.root))
    tags = _tags(files.root) if commits else {}
    known: dict[str, str] = {}
    for commit, message, changes in commits:
        if changes or commit in tags:
            reader.step(commit, message, _tracked(_texts_of(files.root, commit), plan, commit[:8]), known)
        for tag in tags.pop(commit, ()):
            reader.tag(tag, commit)
    for tag in sorted(tag for names in tags.values() for tag in names):
        plan.leave_out(f"tag {tag}", "it is not in the history of what is checked out")
    if not commits:
        texts = _texts_in(files, plan)
        reader.step("", "import the files that DVC tracks", _tracked(texts, plan, "work tree"), known)
    return plan


class _Reader:
    """Turns tracked files into steps."""

    def __init__(self, files: SourceFolder, plan: Plan, folio: str) -> None:
        self._files = files
        self._plan = plan
        self._folio = folio

    def step(self, commit: str, message: str, tracked: Mapping[str, _Tracked], known: dict[str, str]) -> None:
        """Plan the changes of a commit: ``known`` has the folio's files before the step, and after it."""
        items, told = [], []
        for path, one in sorted(tracked.items()):
            if known.get(path) == one.md5:
                continue
            known[path] = one.md5
            told.append(f"{path} {one.md5}")
            items.append(self._item(one, commit))
        gone = [path for path in known if path not in tracked]
        for path in gone:
            known.pop(path)
        if items or gone:
            deletes = [(self._folio, quoted_path(path)) for path in gone]
            key = f"commit {commit}" if commit else "; ".join(told)
            self._plan.steps.append(Step(key, message, items, deletes))

    def tag(self, name: str, commit: str) -> None:
        """Plan the snapshot that a tag becomes."""
        if self._plan.steps:
            taken = (self._folio, name, None, ())
            self._plan.steps.append(Step(f"tag {name} {commit}", f"tag {name}", snapshot=taken))
        else:
            self._plan.leave_out(f"tag {name}", "DVC tracked nothing then")

    def _item(self, one: _Tracked, commit: str) -> NewItem:
        facts = {"imported_from": one.path, "dvc": {"md5": one.md5, "stage": one.stage, "git_commit": commit or None}}
        content: object
        try:
            found = self._cached(one.md5)
            content = (lambda: self._folder(found)) if one.md5.endswith(".dir") else found
        except LakefolioError as exc:
            held = _held(self._files.root, f"{commit}:{one.path}", one.md5) if commit else None
            content = exc if held is None else held
        inputs = [quoted_path(path) for path in one.inputs]
        return NewItem(
            self._folio,
            quoted_path(one.path),
            "artifact",
            content,
            inputs=inputs,
            facts=facts | {"code": one.command},
            origin=f"{one.path} of {commit[:8] or 'the work tree'}",
        )

    def _cached(self, md5: str) -> Path:
        """Return a file of the cache, verified.

        Raises:
            LakefolioError: It is missing, or its digest is another than its name says.
        """
        place = next((one for one in (text.format(md5[:2], md5[2:]) for text in _CACHES) if self._files.has(one)), None)
        if place is None:
            raise InvalidInputError("DVC's cache lacks its content", kind="bad-source", hint="dvc fetch --all-commits")
        path = self._files.file(place)
        if digest_of(path, "md5") != md5.removesuffix(".dir"):
            raise InvalidInputError("its content in DVC's cache is damaged", kind="bad-source")
        return path

    def _folder(self, listing: Path) -> Path:
        """Put a tracked folder together from the cache.

        Raises:
            InvalidInputError: kind ``bad-source``: a name leads out of it, or content is lacking.
        """
        target = private_folder() / new_id()
        target.mkdir()
        for one in json.loads(listing.read_text(encoding="utf-8")):
            relative, md5 = PurePosixPath(_text(one.get("relpath"))), _text(one.get("md5"))
            if relative.is_absolute() or ".." in relative.parts or not relative.parts or not _MD5.fullmatch(md5):
                raise InvalidInputError(f"a tracked folder lists {str(relative)!r}", kind="bad-source")
            place = target.joinpath(*relative.parts)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._cached(md5), place)
        return target


def _tells(path: str) -> bool:
    return path.endswith(".dvc") or PurePosixPath(path).name == "dvc.lock"


def _texts_in(files: SourceFolder, plan: Plan) -> dict[str, str]:
    """Return the texts of the files that lie there and say what DVC tracks."""
    texts = {}
    for relative, _, regular in files.walk():
        if not _tells(relative):
            continue
        try:
            if regular:
                texts[relative] = files.text(relative)
            else:
                plan.leave_out(relative, "a link or no regular file")
        except LakefolioError as exc:
            plan.leave_out(relative, exc.message)
    return texts


def _tracked(texts: Mapping[str, str], plan: Plan, where: str) -> dict[str, _Tracked]:
    """Return the files that ``.dvc`` files and ``dvc.lock`` track, by path."""
    found: dict[str, _Tracked] = {}
    for file, text in sorted(texts.items()):
        try:
            said = plain_yaml(text)
        except LakefolioError as exc:
            if exc.kind == "no-library":
                raise
            plan.leave_out(f"{file} of {where}", str(exc))
            continue
        said = said if isinstance(said, dict) else {}
        base = PurePosixPath(file).parent
        stages = said.get("stages")
        for name, stage in [(None, said), *(stages.items() if isinstance(stages, dict) else ())]:
            if isinstance(stage, dict):
                inputs = tuple(_at(base, one) for one in _listed(stage.get("deps")))
                outs = _listed(stage.get("outs"))
                if len(outs) != len(stage.get("outs") or ()):
                    plan.leave_out(f"outputs in {file} of {where}", "they name no path")
                for one in outs:
                    path, md5 = _at(base, one), _text(one.get("md5") or one.get("hash"))
                    if _MD5.fullmatch(md5) and not path.startswith(("..", "/")):
                        found[path] = _Tracked(path, md5, inputs, name, _command(stage.get("cmd")))
                    else:
                        plan.leave_out(f"{path} of {where}", "not in DVC's cache, or outside of the repository")
    return found


def _listed(value: object) -> list[Mapping[str, object]]:
    listed = value if isinstance(value, list) else []
    return [one for one in listed if isinstance(one, dict) and isinstance(one.get("path"), str) and one["path"]]


def _command(value: object) -> str | None:
    """Return the commands of a stage: one, or several, a line each."""
    lines = value if isinstance(value, list) else [value]
    return "\n".join(one for one in lines if isinstance(one, str)) or None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _at(base: PurePosixPath, one: Mapping[str, object]) -> str:
    return os.path.normpath(base / str(one["path"]))


# -- git -------------------------------------------------------------------------------------------------------


def _commits(root: Path) -> Iterator[tuple[str, str, bool]]:
    """Give the commits, line by line of history, oldest first: hash, subject, whether tracked files changed."""
    if not (root / ".git").exists():
        return
    for place in _git(root, "rev-parse", "--absolute-git-dir", "--git-common-dir").splitlines():
        if not (found := (root / place).resolve()).is_relative_to(root):
            raise InvalidInputError(
                f"the history of {str(root)!r} lies outside of it, in {str(found)!r}",
                kind="bad-source",
                hint="import a clone of it: git clone, then dvc fetch --all-commits",
                path=str(root),
            )
    ordered = ("log", "--reverse", "--topo-order")
    changing = set(_git(root, *ordered, "--full-history", "--format=%H", "--", "*.dvc", "*dvc.lock").splitlines())
    for line in _git(root, *ordered, "--format=%H %s").splitlines():
        commit, _, subject = line.partition(" ")
        yield commit, f"{subject} ({commit[:8]})", commit in changing


def _tags(root: Path) -> dict[str, list[str]]:
    """Return commit -> its tags."""
    found: dict[str, list[str]] = {}
    form = "--format=%(objectname) %(*objectname) %(refname:strip=2)"
    for line in _git(root, "for-each-ref", form, "refs/tags").splitlines():
        tagged, commit, name = line.split(" ")
        found.setdefault(commit or tagged, []).append(name)
    return found


def _texts_of(root: Path, commit: str) -> dict[str, str]:
    names = [one for one in _git(root, "ls-tree", "-r", "-z", "--name-only", commit).split("\0") if _tells(one)]
    return {name: _git(root, "cat-file", "blob", f"{commit}:{name}") for name in names}


def _held(root: Path, name: str, md5: str) -> Path | None:
    """Return the content of an output that git keeps, and not DVC: a text of that digest, else None."""
    size = git_output(root, "cat-file", "-s", name, seconds=_TIMEOUT_S)
    if size is None or int(size) > _HELD_BYTES:
        return None
    text = git_output(root, "cat-file", "blob", name, seconds=_TIMEOUT_S) or ""
    place = private_folder() / new_id()
    place.write_bytes(text.encode())
    return place if digest_of(place, "md5") == md5 else None


def _git(root: Path, *words: str) -> str:
    found = git_output(root, *words, seconds=_TIMEOUT_S)
    if found is None:
        raise InvalidInputError(
            f"git {words[0]} fails in {str(root)!r}",
            kind="bad-source",
            hint="git must be installed and own the folder, and the repository must hold all its objects",
        )
    return found
