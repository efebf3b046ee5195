"""Doing the steps of an import once each, in the order of the source's history.

What fails is tried again by the next import, when later steps may have been done: these are done again for the items
that it changes, so that an older version never stays the newest. A snapshot of a state that lacked items is taken
again when they have come: of that state with them, after which the newest state is restored.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from lakefolio.errors import InvalidInputError, LakefolioError
from lakefolio.format.quoting import quoted
from lakefolio.interop.importing.plan import ItemName, NewItem, Plan, Problem, Step
from lakefolio.lake import Lake
from lakefolio.lake.documents import Documents
from lakefolio.model.entries import Snapshot
from lakefolio.process.places import printable
from lakefolio.render.report import Report
from lakefolio.render.text import counted

__all__ = ["ImportReport", "do_steps"]

_RECORDS: Final = "imports"
_AGAIN: Final = "done again"
"""The field of an import's record with the items whose later steps have yet to be done again."""
_BACK: Final = "to restore"
"""The field of an import's record with folio, version and items to restore, while an older state is the newest."""


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
    elif fresh or known.get(_AGAIN) or known.get(_BACK):
        records.create(name, {"source": plan.source})
        work.go_back()
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
        self._hidden: dict[str, set[ItemName]] = {}
        """Of steps that are left, the items that later steps, which are done, changed: a late version hides theirs."""
        self._late: set[str] = set()
        """Snapshots of states that the folio had before steps which are done."""
        settled: set[ItemName] = set()
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
        self._back: tuple[str, int, list[str]] | None = known.get(_BACK)
        """Folio, version and items of the newest state, while that of a snapshot takes its place."""
        self._failed: dict[str, set[ItemName]] = {step.key: self._recorded_failures(step) for step in plan.steps}
        """Step -> the items that had a problem in it."""

    def _recorded_failures(self, step: Step) -> set[ItemName]:
        said = self._known.get(_recorded(step.key))
        return set() if isinstance(said, str) else {(one[0], one[1]) for one in said or ()}

    def rest(self, step: Step) -> Step | None:
        """Return what is left of a step: all of it, the items that had a problem, or None."""
        if isinstance(self._known.get(_recorded(step.key)), str):
            return None
        left = self._recorded_failures(step)
        return step.only(left) if left and left <= step.names else step

    def _done(self, step: Step) -> set[ItemName]:
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
                failed, found, sound = self._apply(step)
                problems += found
                if step.key and sound:
                    self._failed[step.key] = failed
                    done[_recorded(step.key)] = [list(one) for one in sorted(failed)] or printable(step.message)
            if self._back:
                done[_BACK] = list(self._back)
            if self._changed:
                done[_AGAIN] = [list(one) for one in sorted(self._changed)]
            if new := {key: one for key, one in done.items() if self._known.get(key) != one}:
                self._records.set(self._name, new)
        self.go_back()
        return problems

    def go_back(self) -> None:
        """Bring back the newest state, if that of a snapshot has taken its place."""
        if self._back:
            folio, version, names = self._back
            with self._lake.batch(f"restore what the import made before a snapshot of {folio} was completed"):
                self._lake.restore(version, folio, names)
                self._records.set(self._name, {_BACK: None})
            self._back = None

    def end(self) -> None:
        """Note that nothing has to be done again."""
        if self._changed:
            self._records.set(self._name, {_AGAIN: None})

    def _apply(self, step: Step) -> tuple[set[ItemName], list[Problem], bool]:
        """Return the items that had a problem, all problems, and whether those of items are the only ones."""
        problems, failed = [], set()
        for item in step.items:
            found = _tried(_called(item), partial(_add, self._lake, item))
            problems += found
            if found:
                failed.add((item.folio, item.name))
        told = len(problems)
        for folio, item_name in step.deletes:
            if item_name in self._lake.folio(folio):
                self._lake.folio(folio).delete(item_name, warn_dependents=False)
        self._changed |= self._hidden.get(step.key, set()) - failed
        for folio, facts in step.facts.items():
            problems += _tried(step.message, partial(self._lake.folio(folio).metadata.update, facts))
        if step.snapshot is not None:
            failed |= self._lacking(step)
            problems += self._snapshot(step, failed, *step.snapshot)
        return failed, problems, len(problems) == told

    def _lacking(self, upto: Step) -> set[ItemName]:
        """Return the items that the folio of a snapshot lacks, or has an older version of, for problems before it."""
        found: set[ItemName] = set()
        for step in itertools.takewhile(lambda one: one is not upto, self._plan.steps):
            found = (found - step.names) | (self._failed[step.key] & step.names)
        return {one for one in found if upto.snapshot is not None and one[0] == upto.snapshot[0]}

    def _snapshot(
        self, step: Step, lacking: set[ItemName], folio: str, name: str, message: str | None, tags: Sequence[str]
    ) -> list[Problem]:
        take = partial(self._lake.snapshot, name, folio, message, list(tags))
        taken = next((one for one in self._lake.snapshots(folio) if one.name == name), None)
        if taken is not None:
            come = self._failed[step.key] - lacking
            return _tried(step.message, partial(self._complete, taken, folio, come, take)) if come else []
        if step.key in self._late:
            why = f"the import has gone on since: lakefolio snapshot create {name} --folio {folio} --at VERSION"
            return [Problem(f"snapshot {name}", why)]
        return _tried(step.message, take)

    def _complete(self, taken: Snapshot, folio: str, come: set[ItemName], take: Callable[[], object]) -> None:
        """Take a snapshot again: of the state that it has, and of the items that have come since, as they are now."""
        now, then = (
            {one.item: one.entry_id for one in lake.items(folio)}
            for lake in (self._lake, self._lake.at(taken.target_version))
        )
        names = sorted(one for one in now.keys() | then.keys() if now.get(one) != then.get(one))
        names = [one for one in names if (folio, one) not in come]
        if names:
            self._back = folio, self._lake.version, names
            self._lake.restore(taken.target_version, folio, names)
        self._lake.drop_snapshot(taken.name, folio)
        take()


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
