"""The steps of an import, and doing them once each, in the order of the source's history.

What fails is tried again by the next import, when later steps may have been done: these are done again for the items
that it changes, so that an older version never stays the newest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from lakefolio.errors import InvalidInputError, LakefolioError
from lakefolio.format.quoting import quoted
from lakefolio.lake import Lake
from lakefolio.lake.documents import Documents
from lakefolio.process.places import printable
from lakefolio.render.report import Report
from lakefolio.render.text import counted

__all__ = ["ImportReport", "NewItem", "Plan", "Problem", "Step", "do_steps"]

_RECORDS: Final = "imports"
_AGAIN: Final = "done again"
"""The field of an import's record with the items whose later steps have yet to be done again."""
_Name = tuple[str, str]
"""Folio and name of an item."""


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item to be added, or replaced.

    Attributes:
        folio: Its folio.
        name: Its name.
        kind: ``table``, ``array``, ``json``, ``timestamp``, ``artifact`` or ``reference``.
        content: The file or folder, the value, or the address. A callable gives it when it is needed; an error says
            why there is none.
        description: One sentence that describes it.
        inputs: Names of its inputs in the same folio; those that are not there by then are left out.
        tags: Words to find it by.
        facts: Further facts about it.
        origin: Where in the source it comes from, for people.
    """

    folio: str
    name: str
    kind: str
    content: Any
    description: str | None = None
    inputs: Sequence[str] = ()
    tags: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """The changes of one commit.

    Attributes:
        key: Its identity in the source, the same in every run; a step is done once.
        message: Why, for the log.
        items: The items it adds.
        deletes: The items it removes: folio and name.
        snapshot: A snapshot that it takes at its end: folio, name, message, tags.
        facts: Metadata of folios: folio -> facts.
        action: A further action, for runs and models; called outside of a batch, and has to be safe to repeat.
        joins: Whether it may share a commit with its neighbours: it is no event of the source's history.
    """

    key: str
    message: str
    items: Sequence[NewItem] = ()
    deletes: Sequence[tuple[str, str]] = ()
    snapshot: tuple[str, str, str | None, Sequence[str]] | None = None
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    action: Callable[[Lake], None] | None = None
    joins: bool = False

    @property
    def names(self) -> set[_Name]:
        """The items that it changes."""
        return {(one.folio, one.name) for one in self.items} | set(self.deletes)

    def only(self, names: set[_Name]) -> Step | None:
        """Return its changes of some items, None if there are none."""
        items = [one for one in self.items if (one.folio, one.name) in names]
        deletes = [one for one in self.deletes if one in names]
        return Step(self.key, self.message, items, deletes) if items or deletes else None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something of the source that is not imported, and why."""

    what: str
    why: str


@dataclass(slots=True)
class Plan:
    """The findings of an importer.

    Attributes:
        source: The source, as it is recorded; the same place is the same source.
        steps: The steps, oldest first.
        problems: Data that can't be imported.
    """

    source: str
    steps: list[Step] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def leave_out(self, what: str, why: str) -> None:
        """Note something that is not imported."""
        self.problems.append(Problem(what, why))


class ImportReport(Report):
    """The steps of an import, or of its dry run.

    Its keys: ``source``, ``dry_run``, ``steps``, ``done_before``, ``folios`` (where the items are), ``problems``.
    """

    def __str__(self) -> str:
        verb = "would be done" if self["dry_run"] else "done"
        new = self["steps"]
        lines = [f"  {one}" for one in new[:_SHOWN]]
        if len(new) > _SHOWN:
            lines.append(f"  … and {len(new) - _SHOWN:,} more")
        head = f"{counted(len(new), 'step')} {verb} of {self['source']}, {self['done_before']:,} done before"
        left = [f"not imported: {one['what']}: {one['why']}" for one in self["problems"]]
        folios = self["folios"]
        named = ", ".join(folios[:_NAMED]) + (f" and {len(folios) - _NAMED:,} more" if len(folios) > _NAMED else "")
        where = [f"items {'would be' if self['dry_run'] else 'are'} in: {named}"] if folios else []
        return "\n".join([head, *lines, *left, *where])


_SHOWN: Final = 40
_NAMED: Final = 5
_MOST: Final = 200


def do_steps(
    lake: Lake, plan: Plan, *, dry_run: bool = False, progress: Callable[[str], None] | None = None
) -> ImportReport:
    """Do the steps of a plan that have not been done. One commit each; an error leaves those before it done."""
    records = Documents(lake, _RECORDS)
    name = quoted(plan.source)
    known = records.get(name) or {}
    work = _Work(lake, records, name, known, plan)
    fresh = [step for step in plan.steps if work.rest(step) is not None]
    problems = list(plan.problems)
    if dry_run:
        lacking = [one for step in fresh for one in step.items if isinstance(one.content, LakefolioError)]
        problems += [Problem(_called(one), str(one.content)) for one in lacking]
    elif fresh or known.get(_AGAIN):
        records.create(name, {"source": plan.source})
        done = 0
        for steps in _commits(work.due()):
            if progress is not None:
                progress(f"{min(done + 1, len(fresh)):,} of {len(fresh):,}: {steps[0].message}")
            problems += work.do(steps)
            done += len(steps)
        work.end()
    return ImportReport(
        source=plan.source,
        dry_run=dry_run,
        steps=[printable(one.message) for one in fresh],
        done_before=len(plan.steps) - len(fresh),
        folios=sorted({item.folio for step in plan.steps for item in step.items}),
        problems=[{"what": printable(one.what), "why": printable(one.why)} for one in problems],
    )


def _commits(steps: Iterable[Step]) -> Iterator[list[Step]]:
    """Give the steps of each commit."""
    gathered: list[Step] = []
    for step in steps:
        if not step.joins or len(gathered) == _MOST:
            if gathered:
                yield gathered
            gathered = []
        if step.joins:
            gathered.append(step)
        else:
            yield [step]
    if gathered:
        yield gathered


class _Work:
    """The steps of a plan that are left to do, in one lake."""

    def __init__(self, lake: Lake, records: Documents, name: str, known: Mapping[str, Any], plan: Plan) -> None:
        self._lake = lake
        self._records = records
        self._name = name
        self._known = known
        self._plan = plan
        self._hidden: dict[str, set[_Name]] = {}
        """Of steps that are left, the items that later steps, which are done, changed: a late version hides theirs."""
        self._late: set[str] = set()
        """Snapshots of states that the folio had before steps which are done."""
        settled: set[_Name] = set()
        folios: set[str] = set()
        for step in reversed(plan.steps):
            if step.snapshot is not None and step.snapshot[0] in folios:
                self._late.add(step.key)
            done = self._done(step)
            self._hidden[step.key] = (step.names - done) & settled
            settled |= done
            folios.update(folio for folio, _ in done)
        self._changed = {(one[0], one[1]) for one in known.get(_AGAIN) or ()}
        """Items that an earlier step changed after a later one had been done."""

    def rest(self, step: Step) -> Step | None:
        """Return what is left of a step: all of it, the items that had a problem, or None."""
        said = self._known.get(_recorded(step.key))
        if isinstance(said, str):
            return None
        left = {(one[0], one[1]) for one in said or ()}
        return step.only(left) if left and left <= step.names else step

    def _done(self, step: Step) -> set[_Name]:
        """Return the items that a step has changed in an earlier import."""
        left = self.rest(step)
        return set() if left is step else step.names - (left.names if left is not None else set())

    def due(self) -> Iterator[Step]:
        """Give what is left of each step, and again the changes of later steps to items that it has just changed."""
        for step in self._plan.steps:
            left = self.rest(step)
            if left is not None:
                yield left
            if (again := step.only(self._changed & self._done(step))) is not None:
                yield replace(again, key="")

    def do(self, steps: Sequence[Step]) -> list[Problem]:
        """Do steps as one commit, and note in it what had no problem, so that the rest is tried again."""
        problems: list[Problem] = []
        ready = []
        for step in steps:
            found = [] if step.action is None else _tried(step.message, partial(step.action, self._lake))
            problems += found
            if not found:
                ready.append(step)
        if not ready:
            return problems
        first = printable(ready[0].message)
        with self._lake.batch(first if len(ready) == 1 else f"{first} and {len(ready) - 1:,} more"):
            done: dict[str, object] = {}
            for step in ready:
                failed, found = self._apply(step)
                problems += found
                if step.key and len(failed) == len(found):
                    done[_recorded(step.key)] = [list(one) for one in failed] or printable(step.message)
            if self._changed:
                done[_AGAIN] = [list(one) for one in sorted(self._changed)]
            if new := {key: one for key, one in done.items() if self._known.get(key) != one}:
                self._records.set(self._name, new)
        return problems

    def end(self) -> None:
        """Note that nothing has to be done again."""
        if self._changed:
            self._records.set(self._name, {_AGAIN: None})

    def _apply(self, step: Step) -> tuple[list[_Name], list[Problem]]:
        """Return the items that had a problem, and all problems."""
        problems, failed = [], []
        for item in step.items:
            found = _tried(_called(item), partial(_add, self._lake, item))
            problems += found
            if found:
                failed.append((item.folio, item.name))
        for folio, item_name in step.deletes:
            if item_name in self._lake.folio(folio):
                self._lake.folio(folio).delete(item_name, warn_dependents=False)
        self._changed |= self._hidden.get(step.key, set()) - set(failed)
        for folio, facts in step.facts.items():
            problems += _tried(step.message, partial(self._lake.folio(folio).metadata.update, facts))
        if step.snapshot is not None:
            problems += self._snapshot(step, *step.snapshot)
        return failed, problems

    def _snapshot(self, step: Step, folio: str, name: str, message: str | None, tags: Sequence[str]) -> list[Problem]:
        if any(one.name == name for one in self._lake.snapshots(folio)):
            return []
        if step.key in self._late:
            why = f"the import has gone on since: lakefolio snapshot create {name} --folio {folio} --at VERSION"
            return [Problem(f"snapshot {name}", why)]
        return _tried(step.message, partial(self._lake.snapshot, name, folio, message, list(tags)))


def _called(item: NewItem) -> str:
    return item.origin if isinstance(item.content, LakefolioError) else f"{item.folio}:{item.name}"


def _tried(what: str, do: Callable[[], Any]) -> list[Problem]:
    """Do it; an error that is the source's fault is a problem, and one of the store's ends the import."""
    try:
        do()
    except LakefolioError as exc:
        if exc.exit_code not in (2, 3, 8):
            raise
        return [Problem(what, str(exc))]
    return []


def _recorded(key: str) -> str:
    """Return the key of a step as a key of metadata: characters that it may not have are escaped."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", key)


def _read(item: NewItem) -> Any:
    """Return the content of an item. An array is mapped, so that it is no larger than its file.

    Raises:
        InvalidInputError: kind ``bad-source``: the source's file is damaged.
    """
    if isinstance(item.content, LakefolioError):
        raise item.content
    try:
        content = item.content() if callable(item.content) else item.content
        if item.kind == "json":
            return json.loads(Path(content).read_text(encoding="utf-8"))
        if item.kind == "array":
            import numpy as np

            return np.lib.format.open_memmap(content, mode="r")
    except LakefolioError:
        raise
    except (ValueError, TypeError, AttributeError, OSError, RecursionError) as exc:
        raise InvalidInputError(
            f"its content can't be read: {printable(str(exc))}", kind="bad-source", item=item.name
        ) from exc
    return content


def _add(lake: Lake, item: NewItem) -> None:
    folio = lake.folio(item.folio)
    content = _read(item)
    words: dict[str, Any] = {
        "description": item.description or None,
        "inputs": [one for one in item.inputs if one in folio and one != item.name] or None,
        "tags": list(item.tags) or None,
        "metadata": {
            key: printable(value) if isinstance(value, str) else value
            for key, value in item.facts.items()
            if value is not None
        },
        "overwrite": True,
    }
    if item.kind == "table":
        folio.import_table(item.name, content, **words)
    elif item.kind == "array":
        folio.add_numpy(item.name, content, **words)
    elif item.kind == "json":
        folio.add_json(item.name, content, **words)
    elif item.kind == "timestamp":
        folio.add_timestamp(item.name, content, **words)
    elif item.kind == "reference":
        folio.add_reference(item.name, content, **words)
    else:
        folio.add_artifact(item.name, content, **words)
