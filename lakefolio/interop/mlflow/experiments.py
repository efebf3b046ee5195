"""MLflow's experiments: records in the folio ``mlflow/experiments``, one item per id."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from mlflow.entities import Experiment, ExperimentTag, LifecycleStage, ViewType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, INVALID_STATE
from mlflow.utils.uri import append_to_uri_path, resolve_uri_if_local
from mlflow.utils.validation import (
    _validate_experiment_artifact_location_length,
    _validate_experiment_id,
    _validate_experiment_name,
    _validate_experiment_tag,
    _validate_tag_name,
)

from lakefolio.interop.mlflow.fields import absent, after, invalid, taken, under
from lakefolio.process.clock import now_ms
from lakefolio.redaction import scrub_value

if TYPE_CHECKING:
    from lakefolio.lake import Lake
    from lakefolio.lake.documents import Fields

__all__ = ["DEFAULT_ID", "Experiments", "ids_for"]

DEFAULT_ID: Final = "0"


def ids_for(name: str) -> Iterator[str]:
    """Yield ids to try for a new experiment.

    They follow from the name, so that two processes that make the same one at once meet; renamed ones leave theirs
    behind.
    """
    for attempt in range(100):
        digest = hashlib.sha256(f"{name}\0{attempt or ''}".encode()).hexdigest()
        yield str(10**17 + int(digest[:14], 16))


class Experiments:
    """The experiments of a lake. Safe to share between threads and processes.

    Args:
        lake: The lake.
        root: Where artifacts go of experiments that name no place; None for the folios of their runs.
        location_of: Returns the address that stands for those folios, by the experiment's id.
    """

    def __init__(self, lake: Lake, root: str | None, location_of: Callable[[str], str]) -> None:
        from lakefolio.lake.documents import Documents

        self._known = Documents(lake, "mlflow/experiments")
        self._root = root
        self._location_of = location_of
        if not lake.read_only and self._known.get(DEFAULT_ID) is None:
            self._make(DEFAULT_ID, Experiment.DEFAULT_EXPERIMENT_NAME, None, None)

    def _make(self, experiment_id: str, name: str, location: str | None, tags: Any) -> bool:
        now = now_ms()
        if location is None and self._root is not None:
            location = append_to_uri_path(resolve_uri_if_local(self._root), experiment_id)
        location = resolve_uri_if_local(location)  # which relative to this process alone would name the same place
        if location and scrub_value(location) != location:
            raise invalid("An artifact location can't hold a secret: it is recorded. Say keys in the environment")
        fields = {
            "name": name,
            "artifact_location": location,  # none of the lake's own, so that the lake can be moved
            "lifecycle_stage": LifecycleStage.ACTIVE,
            "creation_time": now,
            "last_update_time": now,
        }
        return self._known.create(experiment_id, fields | under("tags.", tags))

    def create(self, name: str, location: str | None, tags: Any) -> str:
        """Make an experiment and return its id. Its name is taken once, also if many processes try at the same time."""
        _validate_experiment_name(name)
        if location:
            _validate_experiment_artifact_location_length(location)
        for tag in tags or ():
            _validate_experiment_tag(tag.key, tag.value)
        self._check_free(name)
        for experiment_id in ids_for(name):
            if self._make(experiment_id, name, location, tags):
                return experiment_id
            self._check_free(name)
        raise taken(f"Experiment '{name}' can't be given an id.")

    def _check_free(self, name: str) -> None:
        found = self.named(name)
        if found is None:
            return
        if found.lifecycle_stage == LifecycleStage.DELETED:
            raise taken(f"Experiment {name!r} already exists in deleted state. Restore it to use this name again.")
        raise taken(f"Experiment '{name}' already exists.")

    def get(self, experiment_id: str | None) -> Experiment:
        """Return an experiment, deleted or not; MLflow's error if there is none."""
        experiment_id = DEFAULT_ID if experiment_id is None else str(experiment_id)
        _validate_experiment_id(experiment_id)
        found = self._known.get(experiment_id) if experiment_id else None
        if found is None:
            raise absent(f"Could not find experiment with ID {experiment_id}")
        return self._experiment(experiment_id, found)

    def active(self, experiment_id: str | None, doing: str, code: int = INVALID_STATE) -> Experiment:
        """Return an experiment that is not deleted; MLflow's error otherwise."""
        found = self.get(experiment_id)
        if found.lifecycle_stage != LifecycleStage.ACTIVE:
            raise MlflowException(
                f"Could not {doing} non-active experiment with ID {found.experiment_id}: it must be in the 'active' "
                "lifecycle_stage.",
                code,
            )
        return found

    def named(self, name: str) -> Experiment | None:
        """Return the experiment of a name, deleted or not, None if there is none."""
        return next((one for one in self.all(ViewType.ALL) if one.name == name), None)

    def all(self, view_type: int) -> list[Experiment]:
        """Return all experiments of a view."""
        found = [self._experiment(key, fields) for key, fields in self._known.all().items()]
        stages = LifecycleStage.view_type_to_stages(view_type)
        return [one for one in found if one.lifecycle_stage in stages]

    def set_stage(self, experiment_id: str, stage: str) -> None:
        """Delete or restore an experiment; MLflow's error if it is not in the other stage."""
        if str(experiment_id) == DEFAULT_ID and stage == LifecycleStage.DELETED:
            raise invalid(
                f"Cannot delete the default experiment '{DEFAULT_ID}'. This is an internally reserved experiment."
            )
        found = self.get(experiment_id)
        if found.lifecycle_stage == stage:
            other = "deleted experiment" if stage == LifecycleStage.ACTIVE else "experiment"
            raise absent(f"Could not find {other} with ID {experiment_id}")
        self._known.set(str(experiment_id), {"lifecycle_stage": stage, "last_update_time": now_ms()})

    def rename(self, experiment_id: str, name: str) -> None:
        """Rename an experiment that is not deleted."""
        _validate_experiment_name(name)
        self.active(experiment_id, "rename")
        self._check_free(name)
        self._known.set(str(experiment_id), {"name": name, "last_update_time": now_ms()})

    def set_tag(self, experiment_id: str, tag: Any) -> None:
        """Set a tag of an experiment that is not deleted."""
        _validate_experiment_tag(tag.key, tag.value)
        self.active(experiment_id, "set tags of", INVALID_PARAMETER_VALUE)
        self._known.set(str(experiment_id), under("tags.", [tag]) | {"last_update_time": now_ms()})

    def delete_tag(self, experiment_id: str, key: str) -> None:
        """Remove a tag of an experiment that is not deleted."""
        _validate_tag_name(key)
        found = self.active(experiment_id, "delete tags of", INVALID_PARAMETER_VALUE)
        if key not in found.tags:
            raise absent(f"No tag with name: {key} in experiment with id {experiment_id}")
        self._known.set(str(experiment_id), {f"tags.{key}": None, "last_update_time": now_ms()})

    def _experiment(self, experiment_id: str, fields: Fields) -> Experiment:
        return Experiment(
            experiment_id=experiment_id,
            name=fields.get("name"),
            artifact_location=fields.get("artifact_location") or self._location_of(experiment_id),
            lifecycle_stage=fields.get("lifecycle_stage", LifecycleStage.ACTIVE),
            tags=[ExperimentTag(key, value) for key, value in after("tags.", fields).items()],
            creation_time=fields.get("creation_time"),
            last_update_time=fields.get("last_update_time"),
        )
