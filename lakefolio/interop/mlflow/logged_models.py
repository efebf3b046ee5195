"""MLflow's logged models: records in the folio ``mlflow/logged-models``; their files lie in ``mlflow/models/<id>``."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mlflow.entities import LifecycleStage, LoggedModel, LoggedModelStatus, Metric
from mlflow.utils.uri import append_to_uri_path

from lakefolio.interop.mlflow.fields import absent, after, under
from lakefolio.process.clock import now_ms

if TYPE_CHECKING:
    from lakefolio.lake import Lake
    from lakefolio.lake.documents import Fields

__all__ = ["LoggedModels"]


class LoggedModels:
    """The logged models of a lake. Safe to share between threads and processes.

    Args:
        lake: The lake.
        location_of: Returns the address of a model's own folio, by the model's id.
    """

    def __init__(self, lake: Lake, location_of: Callable[[str], str]) -> None:
        from lakefolio.lake.documents import Documents

        self._known = Documents(lake, "mlflow/logged-models")
        self._location_of = location_of

    def create(
        self,
        experiment_id: str,
        name: str,
        *,
        run_id: str | None,
        kind: str | None,
        root: str | None,
        tags: Any,
        params: Any,
    ) -> str:
        """Make a model, which is pending, and return its id; its files go below ``root``, or into its own folio."""
        model_id = f"m-{uuid.uuid4().hex}"
        now = now_ms()
        fields = {
            "experiment_id": experiment_id,
            "name": name,
            "artifact_location": None if root is None else append_to_uri_path(root, model_id, "artifacts"),
            "creation_timestamp": now,
            "last_updated_timestamp": now,
            "source_run_id": run_id,
            "status": LoggedModelStatus.PENDING.to_int(),
            "model_type": kind,
            "lifecycle_stage": LifecycleStage.ACTIVE,
        }
        self._known.create(model_id, fields | under("tags.", tags) | under("params.", params))
        return model_id

    def get(self, model_id: str, *, deleted: bool = False) -> LoggedModel:
        """Return a model; MLflow's error if there is none, or it is deleted and those are not asked for."""
        found = self._known.get(model_id) if "/" not in model_id else None
        if found is None or (not deleted and found.get("lifecycle_stage") == LifecycleStage.DELETED):
            raise absent(f"Logged model with ID '{model_id}' not found.")
        return self._model(model_id, found)

    def of(self, experiment_ids: Iterable[str]) -> list[LoggedModel]:
        """Return the models of some experiments that are not deleted."""
        wanted = {str(one) for one in experiment_ids}
        return [
            self._model(key, fields)
            for key, fields in self._known.all().items()
            if fields.get("experiment_id") in wanted and fields.get("lifecycle_stage") != LifecycleStage.DELETED
        ]

    def set(self, model_id: str, **fields: object) -> None:
        """Change fields of a model that is not deleted."""
        self.get(model_id)
        self._known.set(model_id, {**fields, "last_updated_timestamp": now_ms()})

    def set_tags(self, model_id: str, tags: Any) -> None:
        """Set tags of a model."""
        self.get(model_id)
        self._known.set(model_id, under("tags.", tags))

    def delete_tag(self, model_id: str, key: str) -> None:
        """Remove a tag of a model; MLflow's error if there is none."""
        if key not in self.get(model_id).tags:
            raise absent(f"No tag with key {key!r} found for model with ID {model_id!r}.")
        self._known.set(model_id, {f"tags.{key}": None})

    def set_params(self, model_id: str, params: Any) -> None:
        """Set parameters of a model."""
        self.get(model_id)
        self._known.set(model_id, under("params.", params))

    def log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """Note the last point of each metric and dataset of the models that metrics name."""
        for model_id in dict.fromkeys(one.model_id for one in metrics if one.model_id is not None):
            known = after("metrics.", self._known.get(model_id) or {})
            new: Fields = {}
            for one in metrics:
                if one.model_id != model_id:
                    continue
                key = json.dumps([one.key, one.dataset_name, one.dataset_digest])
                point = [one.step or 0, one.timestamp, float(one.value), run_id]
                if key not in known or point[:3] >= known[key][:3]:
                    new[f"metrics.{key}"] = known[key] = point
            self._known.set(model_id, new)

    def _model(self, model_id: str, fields: Fields) -> LoggedModel:
        metrics = []
        for key, (step, timestamp, value, run_id) in after("metrics.", fields).items():
            name, dataset, digest = json.loads(key)
            metrics.append(
                Metric(
                    key=name,
                    value=value,
                    timestamp=timestamp,
                    step=step,
                    model_id=model_id,
                    dataset_name=dataset,
                    dataset_digest=digest,
                    run_id=run_id,
                )
            )
        own = ("experiment_id", "name", "creation_timestamp", "last_updated_timestamp")
        more = ("model_type", "source_run_id", "status_message")
        return LoggedModel(
            model_id=model_id,
            artifact_location=fields.get("artifact_location") or self._location_of(model_id),
            **{key: fields.get(key) for key in own + more},
            status=LoggedModelStatus.from_int(fields.get("status", LoggedModelStatus.PENDING.to_int())),
            tags=after("tags.", fields),
            params=after("params.", fields),
            metrics=metrics,
        )
