"""A run of MLflow as facts of a run of the lake, and such facts as MLflow's entities (pure: no I/O)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LifecycleStage,
    LoggedModelInput,
    LoggedModelOutput,
    Metric,
    Param,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
    RunStatus,
    RunTag,
)
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

from lakefolio.errors import LakefolioError
from lakefolio.format import json_decode
from lakefolio.format.times import parse_time
from lakefolio.interop.mlflow.fields import after, millis

__all__ = ["MARK", "entity_of", "facts_of", "inputs_of", "one_line", "status_name", "typed", "value_of"]

_STATUS: Final = {"running": "RUNNING", "done": "FINISHED", "failed": "FAILED", "lost": "KILLED"}
MARK: Final = "mlflow.experiment_id"
"""The fact by which a run of the lake is known to MLflow."""


def typed(text: str) -> Any:
    """Return the number or truth value that a text says exactly, else the text: ``0.1`` is one, ``0.10`` is not."""
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            found = kind(text)
        except ValueError:
            continue
        if str(found) == text and abs(found) < 2**63:
            return found
    return text


def one_line(text: str | None) -> str | None:
    """Return a name as the one line that names of the lake are."""
    return None if text is None else " ".join(text.split()) or None


def value_of(text: str) -> Any:
    """Return the value of a stored fact; a text that is no JSON as it is."""
    try:
        return json_decode.loads_fact(text)
    except LakefolioError:
        return text  # edited by hand


def _time(value: Any) -> int | None:
    try:
        return millis(parse_time(value)) if isinstance(value, str) else millis(value)
    except LakefolioError:
        return None


def entity_of(run_id: str, facts: Mapping[str, object], metrics: Sequence[Metric]) -> MlflowRun:
    """Return a run as MLflow's entity, from its facts and the last points of its metrics."""
    tags = after("tags.", facts)
    name = tags.get(MLFLOW_RUN_NAME) or facts.get("name")
    info = RunInfo(
        run_id=run_id,
        experiment_id=str(facts.get(MARK)),
        user_id=facts.get("mlflow.user_id"),
        status=facts.get("mlflow.status") or _STATUS.get(str(facts.get("status")), "RUNNING"),
        start_time=_time(facts.get("started_at")),
        end_time=_time(facts.get("ended_at")),
        lifecycle_stage=facts.get("mlflow.lifecycle_stage", LifecycleStage.ACTIVE),
        artifact_uri=facts.get("mlflow.artifact_uri"),
        run_name=name,
    )
    params = [Param(key, str(value)) for key, value in after("params.", facts).items()]
    data = RunData(list(metrics), params, [RunTag(key, value) for key, value in tags.items()])
    datasets = [
        DatasetInput(Dataset.from_dictionary(one["dataset"]), [InputTag(k, v) for k, v in one["tags"].items()])
        for one in after("mlflow.input.", facts).values()
    ]
    used = [LoggedModelInput(one["model_id"]) for one in after("mlflow.input_model.", facts).values()]
    made = [LoggedModelOutput(key, one["step"]) for key, one in after("mlflow.output.", facts).items()]
    return MlflowRun(info, data, RunInputs(dataset_inputs=datasets, model_inputs=used), RunOutputs(model_outputs=made))


def facts_of(run: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a run of MLflow as arguments of ``lake.create_run``, and as further facts."""
    info, data = run.info, run.data
    words = {
        "name": one_line(info.run_name),
        "params": {key: typed(value) for key, value in data.params.items()},
        "metrics": dict(data.metrics),
    }
    facts: dict[str, Any] = {
        MARK: info.experiment_id,
        "mlflow.user_id": info.user_id or "",
        "mlflow.lifecycle_stage": info.lifecycle_stage,
        "mlflow.status": info.status if info.status in ("SCHEDULED", "KILLED") else None,
    }
    facts |= {f"tags.{key}": value for key, value in data.tags.items()}
    facts |= inputs_of(run.inputs.dataset_inputs if run.inputs else (), run.inputs.model_inputs if run.inputs else ())
    outputs = run.outputs.model_outputs if run.outputs else ()
    facts |= {f"mlflow.output.{one.model_id}": {"step": one.step} for one in outputs}
    return words, facts


def inputs_of(datasets: Iterable[Any], models: Iterable[Any]) -> dict[str, Any]:
    """Return the inputs of a run as facts."""
    facts: dict[str, Any] = {}
    for one in datasets or ():
        key = f"mlflow.input.{one.dataset.name}#{one.dataset.digest}"
        facts[key] = {"dataset": dict(one.dataset), "tags": {tag.key: tag.value for tag in one.tags}}
    return facts | {f"mlflow.input_model.{one.model_id}": {"model_id": one.model_id} for one in models or ()}


def status_name(status: object) -> str | None:
    """Return a state of MLflow as its name."""
    if status is None or isinstance(status, str):
        return status
    try:
        return str(RunStatus.to_string(status))
    except Exception as exc:
        raise MlflowException(f"Invalid run status {status!r}", INVALID_PARAMETER_VALUE) from exc
