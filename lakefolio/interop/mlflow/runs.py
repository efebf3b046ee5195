"""MLflow's runs as runs of the lake, and back.

| MLflow | the run of the lake |
|---|---|
| run id, run name, experiment's name | run id, name, project |
| parameters | parameters; a text that is exactly a number or a truth value is one |
| metrics with step and timestamp | points with step and time |
| tags | facts ``tags.<key>``; ``mlflow.parentRunId`` is the parent too |
| start, end, RUNNING, FINISHED, FAILED, KILLED | start, end, ``running``, ``done``, ``failed``, ``failed`` |
| experiment id, user, SCHEDULED and KILLED, deleted or not | facts ``mlflow.<name>`` |
| inputs and outputs | facts ``mlflow.input.<id>``, ``mlflow.output.<id>`` |
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from mlflow.entities import (
    LifecycleStage,
    Metric,
    RunInfo,
)
from mlflow.entities import Run as MlflowRun
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME, MLFLOW_USER

from lakefolio.errors import InvalidInputError, NotFoundError
from lakefolio.format.quoting import quoted
from lakefolio.interop.addresses import SCHEME as LAKE
from lakefolio.interop.addresses import Address
from lakefolio.interop.mlflow.fields import absent, has_run, invalid, millis, time_of_ms, under
from lakefolio.interop.mlflow.places import lake_of
from lakefolio.interop.mlflow.run_entities import MARK, entity_of, inputs_of, one_line, typed, value_of
from lakefolio.redaction import MASK

if TYPE_CHECKING:
    from lakefolio.lake import Lake
    from lakefolio.runs.run import Run

__all__ = ["Runs"]

_ENDED: Final = {"FINISHED": "done", "FAILED": "failed", "KILLED": "failed"}
_IDS: Final = """
select subject_id from current_metadata
where subject_kind = 'run' and key = 'mlflow.experiment_id' and list_contains($experiments, value) order by subject_id
"""
_FACTS: Final = """
select subject_id, key, value from current_metadata
where subject_kind = 'run' and subject_id between $first and $last and subject_id in (select unnest($runs))
"""
_LATEST: Final = """
select run_id, name, max(struct_pack(step := coalesce(step, 0), at := epoch_us(logged_at), value := value)) as last
from metrics where run_id between $first and $last and run_id in (select unnest($runs)) group by run_id, name
"""
_AT_ONCE: Final = 1_000
"""How many runs are read at once, so that those of an experiment need not be held together."""


Point = tuple[str, str, int, int, float]
"""A point of a metric: run, name, step, time in milliseconds, value."""
_REMEMBERED: Final = 20_000
"""How many points are remembered, so that one that comes again is told from a new one."""


class Runs:
    """The runs of a lake that MLflow knows. Safe to share between threads.

    Metrics are committed within the second, as those of any run of the lake; all other changes are committed on
    return.

    Args:
        lake: The lake.
        location_of: Returns the address of a run's own folio, by the run's id.
    """

    def __init__(self, lake: Lake, location_of: Callable[[str], str]) -> None:
        self._lake = lake
        self._location_of = location_of
        self._open: dict[str, Run] = {}
        self._lock = Lock()
        self._logged: OrderedDict[Point, None] = OrderedDict()

    # -- reading ---------------------------------------------------------------------------------------------

    def get(self, run_id: str) -> MlflowRun:
        """Return a run, deleted or not; MLflow's error if there is none."""
        facts = self._facts(run_id)
        measured = facts.pop("metrics")
        return self._run(run_id, facts, self._latest([run_id]).get(run_id, []) if measured else [])

    def info(self, run_id: str) -> RunInfo:
        """Return the facts about a run without its data; MLflow's error if there is none."""
        return self._run(run_id, self._facts(run_id), []).info

    def _facts(self, run_id: str) -> dict[str, Any]:
        try:
            known = self._lake.get_run(run_id)
        except (NotFoundError, InvalidInputError):
            known = None
        if known is None or MARK not in known.metadata:
            raise absent(f"Run '{run_id}' not found")
        own = {"name": known.name, "status": known.status, "metrics": known.metrics}
        times = {"started_at": known.started_at, "ended_at": known.ended_at}
        return known.metadata | own | times | {f"params.{key}": value for key, value in known.params.items()}

    def of(self, experiment_ids: Iterable[str], *, measured: bool = True) -> Iterator[list[MlflowRun]]:
        """Yield the runs of some experiments, deleted ones included, sorted by their ids, at most 1,000 at once.

        Args:
            experiment_ids: The experiments.
            measured: Whether they are given their metrics.
        """
        self._lake.flush()
        wanted = [json.dumps(str(one)) for one in experiment_ids]
        ids = self._lake.sql(_IDS, {"experiments": wanted})
        while some := ids.fetchmany(_AT_ONCE):
            yield self.these([run_id for (run_id,) in some], measured=measured)

    def these(self, run_ids: Sequence[str], *, measured: bool = True) -> list[MlflowRun]:
        """Return some runs that there are, in their order, by two queries; see ``of``."""
        if not run_ids:
            return []
        asked = {"runs": list(run_ids), "first": min(run_ids), "last": max(run_ids)}
        facts: dict[str, dict[str, Any]] = {run_id: {} for run_id in run_ids}
        for run_id, key, text in self._lake.sql(_FACTS, asked).fetchall():
            facts[run_id][key] = value_of(text)
        for run_id, known in facts.items():
            if known.get("status") == "running":
                known["status"] = self._lake.get_run(run_id).status
        latest = self._latest(run_ids) if measured else {}
        return [self._run(run_id, known, latest.get(run_id, [])) for run_id, known in facts.items()]

    def _run(self, run_id: str, facts: dict[str, Any], metrics: Sequence[Metric]) -> MlflowRun:
        facts.setdefault("mlflow.artifact_uri", self._location_of(run_id))
        return entity_of(run_id, facts, metrics)

    def _latest(self, run_ids: Sequence[str]) -> dict[str, list[Metric]]:
        """Return the last point of each metric: of the highest step, then time, then value, as MLflow has it."""
        found: dict[str, list[Metric]] = {}
        asked = {"runs": list(run_ids), "first": min(run_ids), "last": max(run_ids)}
        for run_id, name, last in self._lake.sql(_LATEST, asked).fetchall():
            point = Metric(name, last["value"], last["at"] // 1000, last["step"], run_id=run_id)
            found.setdefault(run_id, []).append(point)
        return found

    def history(self, run_id: str, name: str) -> list[Metric]:
        """Return every point of a metric in the order it was logged."""
        rows = self._lake.metric_history(run_id, name).to_pylist()
        return [
            Metric(row["name"], row["value"], millis(row["logged_at"]), row["step"] or 0, run_id=run_id) for row in rows
        ]

    # -- writing ---------------------------------------------------------------------------------------------

    def create(
        self,
        run_id: str,
        experiment: Any,
        *,
        name: str,
        user: str | None,
        start_time: int | None,
        artifact_uri: str | None,
        tags: Any,
    ) -> None:
        """Start a run; ``artifact_uri`` is None where its artifacts go into its own folio."""
        tagged = under("tags.", tags)
        parent = tagged.get(f"tags.{MLFLOW_PARENT_RUN_ID}")
        facts = {
            MARK: experiment.experiment_id,
            "mlflow.user_id": user or tagged.get(f"tags.{MLFLOW_USER}") or "",
            "mlflow.lifecycle_stage": LifecycleStage.ACTIVE,
            "mlflow.artifact_uri": artifact_uri,
        }
        run = self._lake.create_run(
            run_id,
            name=one_line(name),
            project=one_line(experiment.name),
            started_at=None if start_time is None else time_of_ms(start_time),
            parent=parent if parent and has_run(self._lake, parent) else None,
            metadata={key: value for key, value in (facts | tagged).items() if value is not None},
        )
        with self._lock:
            self._open[run_id] = run

    def _active(self, run_id: str) -> Run | None:
        """Return a run that this process holds open, None if it is not; then it is checked not to be deleted."""
        run = self._open.get(run_id)
        if run is not None and not run.ended:
            return run
        stage = self.info(run_id).lifecycle_stage
        if stage != LifecycleStage.ACTIVE:
            raise invalid(f"The run {run_id} must be in the 'active' state. Current state is {stage}.")
        return None

    def check_active(self, run_id: str) -> None:
        """Raise MLflow's error if a run does not exist or is deleted."""
        self._active(run_id)

    @contextmanager
    def _writing(self, run_id: str) -> Iterator[Run]:
        """Give a run to change its facts, in one commit; one that has ended stays ended."""
        run = self._open.get(run_id)
        if run is not None and not run.ended:
            yield run
            return
        known = self._lake.get_run(run_id)
        if known.status in ("running", "lost"):
            yield self._resumed(run_id)
            return
        with self._lake.batch():
            run = self._lake.resume_run(run_id)
            yield run
            run.finish(str(known.status), ended_at=known.ended_at)

    def _resumed(self, run_id: str) -> Run:
        with self._lock:
            run = self._open.get(run_id)
            if run is None or run.ended:
                run = self._open[run_id] = self._lake.resume_run(run_id)
            return run

    def set_params(self, run_id: str, params: Sequence[Any]) -> None:
        """Set parameters; MLflow's error if one has another value. One commit, all or none."""
        if not params:
            return
        run = self._active(run_id)
        known = run.params if run is not None else self._lake.get_run(run_id).params
        new = {}
        for param in params:
            text = "" if param.value is None else str(param.value)
            before = None if param.key not in known else str(known[param.key])
            if before is None:
                new[param.key] = typed(text)
            elif before not in (text, MASK):
                raise invalid(
                    f"Changing param values is not allowed. Param with key='{param.key}' was already logged with "
                    f"value='{before}' for run ID='{run_id}'. Attempted logging new value '{text}'."
                )
        if new:
            with self._writing(run_id) as run:
                run.set_params(new)

    def log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """Log points. Those of a run that goes on are committed within the second, others on return."""
        metrics = self._new_points(run_id, metrics)
        if not metrics:
            return
        run = self._active(run_id)
        if run is not None:
            _log(run, metrics)
            return
        known = self._lake.get_run(run_id)
        run = self._resumed(run_id)
        _log(run, metrics)
        if known.status not in ("running", "lost"):
            run.finish(str(known.status), ended_at=known.ended_at)

    def _new_points(self, run_id: str, metrics: Iterable[Metric]) -> list[Metric]:
        """Leave out the points of a model that were logged of its run just now.

        Autologging makes a model where training ends, and then logs the last points once more, now of the model.
        """
        found = []
        with self._lock:
            for one in metrics:
                point = (run_id, one.key, one.step or 0, one.timestamp, one.value)
                if one.model_id is None or point not in self._logged:
                    found.append(one)
                self._logged[point] = None
            while len(self._logged) > _REMEMBERED:
                self._logged.popitem(last=False)
        return found

    def set_tags(self, run_id: str, tags: Sequence[object]) -> None:
        """Set tags. One commit."""
        if tags:
            self._active(run_id)
            self.note(run_id, under("tags.", tags))

    def delete_tag(self, run_id: str, key: str) -> None:
        """Remove a tag; MLflow's error if there is none."""
        self._active(run_id)
        if self._facts(run_id).get(f"tags.{key}") is None:
            raise absent(f"No tag with name: {key} in run with id {run_id}")
        self.note(run_id, {f"tags.{key}": None})

    def note(self, run_id: str, facts: Mapping[str, Any]) -> None:
        """Set facts of a run, also of one that has ended. One commit."""
        name = facts.get(f"tags.{MLFLOW_RUN_NAME}")
        with self._writing(run_id) as run:
            run.annotate({**facts, **({"name": one_line(name)} if name else {})})

    def update(self, run_id: str, status: str | None, end_time: int | None, name: str | None) -> None:
        """Change state, end and name of a run that is not deleted."""
        self._active(run_id)
        if name:
            self.note(run_id, {f"tags.{MLFLOW_RUN_NAME}": name})
        if status is None:
            return
        before = self._facts(run_id)
        if before.get("mlflow.status") != (said := status if status in ("SCHEDULED", "KILLED") else None):
            self.note(run_id, {"mlflow.status": said})
        if status not in _ENDED:
            if before.get("status") != "running":
                self._resumed(run_id)
            return
        ended_at = None if end_time is None else time_of_ms(end_time)
        self._resumed(run_id).finish(_ENDED[status], ended_at=ended_at)
        with self._lock:
            self._open.pop(run_id, None)

    def set_stage(self, run_id: str, stage: str) -> None:
        """Delete or restore a run: it is marked, and stays a run of the lake."""
        self._facts(run_id)
        self.note(run_id, {"mlflow.lifecycle_stage": stage})
        if stage == LifecycleStage.DELETED:
            with self._lock:
                self._open.pop(run_id, None)

    def add_inputs(self, run_id: str, datasets: Sequence[Any], models: Sequence[Any]) -> None:
        """Record the inputs of a run. One commit."""
        self._active(run_id)
        facts = inputs_of(datasets, models)
        known = self._facts(run_id)
        new = {key: value for key, value in facts.items() if key not in known}
        if not new:
            return
        with self._writing(run_id) as run:
            run.annotate(new)
            for one in datasets:
                ref = self._item_of(one.dataset)
                if ref is not None and f"mlflow.input.{one.dataset.name}#{one.dataset.digest}" in new:
                    run.add_input(quoted(ref), ref, again=True)

    def _item_of(self, dataset: Any) -> str | None:
        """Return the reference of a dataset that is an item of this lake."""
        if dataset.source_type != LAKE:
            return None
        try:
            address = Address.parse(json.loads(dataset.source)["uri"])
        except (ValueError, KeyError, TypeError):
            return None
        if address.at is None or not address.path or lake_of(address.lake) is not self._lake:
            return None
        return f"{address.ref}@{address.at}"

    def add_outputs(self, run_id: str, models: Sequence[Any]) -> None:
        """Record the logged models that a run made. One commit."""
        self._active(run_id)
        known = self._facts(run_id)
        facts = {f"mlflow.output.{one.model_id}": {"step": one.step} for one in models}
        new = {key: value for key, value in facts.items() if key not in known}
        if new:
            self.note(run_id, new)


def _log(run: Run, metrics: Sequence[Metric]) -> None:
    groups: dict[tuple[int, int], list[dict[str, float]]] = {}
    for one in metrics:
        rounds = groups.setdefault((one.step or 0, one.timestamp), [{}])
        if one.key in rounds[-1]:
            rounds.append({})
        rounds[-1][one.key] = one.value
    for (step, timestamp), rounds in groups.items():
        at = time_of_ms(timestamp)
        for values in rounds:
            run.log_metrics(values, step, at=at)
