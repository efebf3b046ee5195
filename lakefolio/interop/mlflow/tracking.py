"""MLflow's tracking store on a lake. It checks and searches as MLflow's own stores do; its parts keep the records."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from itertools import chain, compress
from typing import Any, ClassVar, Final

from mlflow.entities import LifecycleStage, LoggedModel, LoggedModelStatus, RunTag, ViewType, _DatasetSummary
from mlflow.entities import Run as MlflowRun
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking import (
    SEARCH_LOGGED_MODEL_MAX_RESULTS_DEFAULT,
    SEARCH_MAX_RESULTS_DEFAULT,
    SEARCH_MAX_RESULTS_THRESHOLD,
)
from mlflow.store.tracking.abstract_store import AbstractStore
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_LOGGED_MODELS, MLFLOW_RUN_NAME
from mlflow.utils.name_utils import _generate_random_name
from mlflow.utils.search_utils import SearchExperimentsUtils, SearchLoggedModelsUtils, SearchUtils
from mlflow.utils.uri import append_to_uri_path
from mlflow.utils.validation import (
    _validate_batch_log_data,
    _validate_batch_log_limits,
    _validate_dataset_inputs,
    _validate_logged_model_name,
    _validate_metric,
    _validate_metric_name,
    _validate_param,
    _validate_param_keys_unique,
    _validate_run_id,
    _validate_tag,
    _validate_tag_name,
)

from lakefolio.interop.mlflow.boundary import with_mlflow_errors
from lakefolio.interop.mlflow.experiments import DEFAULT_ID, Experiments
from lakefolio.interop.mlflow.fields import invalid
from lakefolio.interop.mlflow.logged_models import LoggedModels
from lakefolio.interop.mlflow.places import address_of, lake_of, uri_of
from lakefolio.interop.mlflow.run_entities import status_name
from lakefolio.interop.mlflow.run_pages import first_after, place_of, token_of
from lakefolio.interop.mlflow.runs import Runs

__all__ = ["LakefolioTrackingStore"]

_MOST_DATASETS: Final = 1_000
"""How many datasets a search tells of, as in MLflow's own stores."""


@with_mlflow_errors
class LakefolioTrackingStore(AbstractStore):
    """Experiments, runs and logged models of MLflow in a lake. Safe to share between threads.

    Args:
        store_uri: ``lakefolio:///abs/path`` or ``lakefolio://s3://bucket/prefix``; the lake is made if it is absent.
        artifact_uri: Where artifacts go; by default into the lake, those of a run into the run's own folio.
    """

    DEFAULT_EXPERIMENT_ID: ClassVar[str] = DEFAULT_ID

    def __init__(self, store_uri: str | None = None, artifact_uri: str | None = None) -> None:
        super().__init__()
        self._place = address_of(store_uri or "").lake
        self.lake = lake_of(self._place)
        self._experiments = Experiments(self.lake, artifact_uri, self._stand_in)
        self._runs = Runs(self.lake, lambda run_id: uri_of(self._place, f"runs/{run_id}"))
        self._models = LoggedModels(self.lake, lambda model_id: uri_of(self._place, f"mlflow/models/{model_id}"))

    def _stand_in(self, experiment_id: str) -> str:
        return uri_of(self._place, f"mlflow/artifacts/{experiment_id}")

    def _elsewhere(self, experiment: Any, *below: str) -> str | None:
        """Return where artifacts of an experiment go that names a place of its own, None if they go into folios."""
        if experiment.artifact_location == self._stand_in(experiment.experiment_id):
            return None
        return str(append_to_uri_path(experiment.artifact_location, *below))

    # -- experiments -----------------------------------------------------------------------------------------

    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = SEARCH_MAX_RESULTS_DEFAULT,
        filter_string: str | None = None,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList:
        """Return experiments that match, in MLflow's search syntax."""
        _check_max_results(max_results)
        found = SearchExperimentsUtils.filter(self._experiments.all(view_type), filter_string)
        ordered = SearchExperimentsUtils.sort(found, order_by or ["creation_time DESC", "experiment_id ASC"])
        return PagedList(*SearchUtils.paginate(ordered, page_token, max_results))

    def create_experiment(self, name: str, artifact_location: str | None = None, tags: object = None) -> str:
        """Make an experiment and return its id."""
        return self._experiments.create(name, artifact_location, tags)

    def get_experiment(self, experiment_id: str | None) -> Any:
        """Return an experiment, deleted or not."""
        return self._experiments.get(experiment_id)

    def get_experiment_by_name(self, experiment_name: str) -> Any:
        """Return the experiment of a name, deleted or not, None if there is none."""
        return self._experiments.named(experiment_name)

    def delete_experiment(self, experiment_id: str) -> None:
        """Mark an experiment and its runs as deleted."""
        self._set_experiment_stage(experiment_id, LifecycleStage.DELETED)

    def restore_experiment(self, experiment_id: str) -> None:
        """Take a deleted experiment and its runs back."""
        self._set_experiment_stage(experiment_id, LifecycleStage.ACTIVE)

    def _set_experiment_stage(self, experiment_id: str, stage: str) -> None:
        self._experiments.set_stage(experiment_id, stage)
        for run in chain.from_iterable(self._runs.of([experiment_id], measured=False)):
            if run.info.lifecycle_stage != stage:
                self._runs.set_stage(run.info.run_id, stage)

    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        """Rename an experiment."""
        self._experiments.rename(experiment_id, new_name)

    def set_experiment_tag(self, experiment_id: str, tag: object) -> None:
        """Set a tag of an experiment."""
        self._experiments.set_tag(experiment_id, tag)

    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        """Remove a tag of an experiment."""
        self._experiments.delete_tag(experiment_id, key)

    # -- runs ------------------------------------------------------------------------------------------------

    def create_run(
        self, experiment_id: str | None, user_id: str | None, start_time: int | None, tags: Any, run_name: str | None
    ) -> MlflowRun:
        """Start a run."""
        experiment = self._experiments.active(experiment_id, "create run under")
        tags = list(tags or [])
        named = next((tag.value for tag in tags if tag.key == MLFLOW_RUN_NAME), None)
        if run_name and named and run_name != named:
            raise invalid(
                "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with "
                f"different values (run_name='{run_name}', mlflow.runName='{named}')."
            )
        name = run_name or named or _generate_random_name()
        if not named:
            tags = [tag for tag in tags if tag.key != MLFLOW_RUN_NAME] + [RunTag(MLFLOW_RUN_NAME, name)]
        for tag in tags:
            _validate_tag_name(tag.key)
        run_id = uuid.uuid4().hex
        self._runs.create(
            run_id,
            experiment,
            name=name,
            user=user_id,
            start_time=start_time,
            artifact_uri=self._elsewhere(experiment, run_id, "artifacts"),
            tags=tags,
        )
        return self.get_run(run_id)

    def get_run(self, run_id: str) -> MlflowRun:
        """Return a run, deleted or not."""
        _validate_run_id(run_id)
        return self._runs.get(run_id)

    def update_run_info(self, run_id: str, run_status: object, end_time: int | None, run_name: str | None) -> Any:
        """Change state, end and name of a run."""
        _validate_run_id(run_id)
        self._runs.update(run_id, status_name(run_status), end_time, run_name)
        return self._runs.info(run_id)

    def delete_run(self, run_id: str) -> None:
        """Mark a run as deleted; it stays a run of the lake."""
        _validate_run_id(run_id)
        self._runs.set_stage(run_id, LifecycleStage.DELETED)

    def restore_run(self, run_id: str) -> None:
        """Take a deleted run back."""
        _validate_run_id(run_id)
        self._runs.set_stage(run_id, LifecycleStage.ACTIVE)

    def _search_runs(
        self,
        experiment_ids: list[str],
        filter_string: str | None,
        run_view_type: int,
        max_results: int | None,
        order_by: list[str] | None,
        page_token: str | None,
    ) -> tuple[list[MlflowRun], str | None]:
        limit = SEARCH_MAX_RESULTS_THRESHOLD if max_results is None else max_results
        if limit > SEARCH_MAX_RESULTS_THRESHOLD:
            raise invalid(
                "Invalid value for request parameter max_results. It must be at most "
                f"{SEARCH_MAX_RESULTS_THRESHOLD}, but got value {max_results}"
            )
        asked = {one["type"] for one in SearchUtils.parse_search_filter(filter_string)}
        asked |= {SearchUtils.parse_order_by_for_search_runs(one)[0] for one in order_by or ()}
        measured = "metric" in asked  # else those of the page alone are read
        offset, after = place_of(page_token)
        last = None if after is None else self._runs.get(after)

        def matching() -> Iterator[list[MlflowRun]]:
            for some in self._runs.of(experiment_ids, measured=measured):
                stages = [LifecycleStage.matches_view_type(run_view_type, one.info.lifecycle_stage) for one in some]
                yield SearchUtils.filter(list(compress(some, stages)), filter_string)

        runs = first_after(last, matching(), order_by, limit + 1)
        page = runs[:limit]
        token = token_of(offset + len(page), page[-1].info.run_id) if page and len(runs) > len(page) else None
        return page if measured else self._runs.these([one.info.run_id for one in page]), token

    # -- logging to runs -------------------------------------------------------------------------------------

    def log_metric(self, run_id: str, metric: Any) -> None:
        """Log a point of a metric; it is committed within the second."""
        _validate_run_id(run_id)
        _validate_metric(metric.key, metric.value, metric.timestamp, metric.step)
        self._log_metrics(run_id, [metric])

    def _log_metrics(self, run_id: str, metrics: list[Any]) -> None:
        self._runs.log_metrics(run_id, metrics)
        self._models.log_metrics(run_id, metrics)

    def log_param(self, run_id: str, param: Any) -> None:
        """Log a parameter, which then can't change."""
        _validate_run_id(run_id)
        self._runs.set_params(run_id, [_validate_param(param.key, param.value)])

    def set_tag(self, run_id: str, tag: Any) -> None:
        """Set a tag."""
        _validate_run_id(run_id)
        self._runs.set_tags(run_id, [_validate_tag(tag.key, tag.value)])

    def delete_tag(self, run_id: str, key: str) -> None:
        """Remove a tag."""
        _validate_run_id(run_id)
        self._runs.delete_tag(run_id, key)

    def log_batch(self, run_id: str, metrics: Any, params: Any, tags: Any) -> None:
        """Log parameters, metrics and tags; the parameters all or none."""
        _validate_run_id(run_id)
        metrics, params, tags = _validate_batch_log_data(metrics, params, tags)
        _validate_batch_log_limits(metrics, params, tags)
        _validate_param_keys_unique(params)
        self._runs.check_active(run_id)
        self._runs.set_params(run_id, params)
        self._log_metrics(run_id, metrics)
        self._runs.set_tags(run_id, tags)

    def get_metric_history(
        self, run_id: str, metric_key: str, max_results: int | None = None, page_token: str | None = None
    ) -> PagedList:
        """Return the points of a metric in the order they were logged."""
        _validate_run_id(run_id)
        _validate_metric_name(metric_key)
        self._runs.info(run_id)
        points = self._runs.history(run_id, metric_key)
        if max_results is None:
            return PagedList(points[SearchUtils.parse_start_offset_from_page_token(page_token) :], None)
        return PagedList(*SearchUtils.paginate(points, page_token, max_results))

    def log_inputs(self, run_id: str, datasets: Any = None, models: Any = None) -> None:
        """Note the datasets and logged models that a run uses."""
        _validate_run_id(run_id)
        _validate_dataset_inputs(datasets or [])
        self._runs.add_inputs(run_id, datasets or [], models or [])

    def log_outputs(self, run_id: str, models: Any) -> None:
        """Note the logged models that a run made."""
        _validate_run_id(run_id)
        self._runs.add_outputs(run_id, models or [])

    def record_logged_model(self, run_id: str, mlflow_model: object) -> None:
        """Note a model that was logged in the old way, as a tag of its run."""
        from mlflow.models import Model

        if not isinstance(mlflow_model, Model):
            raise TypeError(f"Argument 'mlflow_model' should be mlflow.models.Model, got '{type(mlflow_model)}'")
        _validate_run_id(run_id)
        known = json.loads(self.get_run(run_id).data.tags.get(MLFLOW_LOGGED_MODELS, "[]"))
        self._runs.set_tags(run_id, [RunTag(MLFLOW_LOGGED_MODELS, json.dumps([*known, mlflow_model.get_tags_dict()]))])

    def _search_datasets(self, experiment_ids: list[str]) -> list[_DatasetSummary]:
        found = {}
        for run in chain.from_iterable(self._runs.of(experiment_ids, measured=False)):
            for used in run.inputs.dataset_inputs:
                context = next((tag.value for tag in used.tags if tag.key == MLFLOW_DATASET_CONTEXT), None)
                key = (run.info.experiment_id, used.dataset.name, used.dataset.digest, context)
                names = ("experiment_id", "name", "digest", "context")
                found[key] = _DatasetSummary(**dict(zip(names, key, strict=True)))
            if len(found) >= _MOST_DATASETS:
                break
        return list(found.values())[:_MOST_DATASETS]

    # -- logged models ---------------------------------------------------------------------------------------

    def create_logged_model(
        self,
        experiment_id: str = DEFAULT_ID,
        name: str | None = None,
        source_run_id: str | None = None,
        tags: object = None,
        params: Any = None,
        model_type: str | None = None,
    ) -> LoggedModel:
        """Make a logged model, which is pending until it is finalized."""
        _validate_logged_model_name(name)
        experiment = self._experiments.active(experiment_id, "create model under")
        for param in params or []:
            _validate_param(param.key, param.value)
        model_id = self._models.create(
            experiment.experiment_id,
            name or _generate_random_name(),
            run_id=source_run_id,
            kind=model_type,
            root=self._elsewhere(experiment, "models"),
            tags=tags,
            params=params,
        )
        return self.get_logged_model(model_id)

    def log_logged_model_params(self, model_id: str, params: Any) -> None:
        """Set parameters of a logged model."""
        for param in params or []:
            _validate_param(param.key, param.value)
        self._models.set_params(model_id, params)

    def finalize_logged_model(self, model_id: str, status: LoggedModelStatus) -> LoggedModel:
        """Set the final state of a logged model."""
        self._models.set(model_id, status=status.to_int())
        return self.get_logged_model(model_id)

    def set_logged_model_tags(self, model_id: str, tags: Any) -> None:
        """Set tags of a logged model."""
        for tag in tags:
            _validate_tag_name(tag.key)
        self._models.set_tags(model_id, tags)

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        """Remove a tag of a logged model."""
        _validate_tag_name(key)
        self._models.delete_tag(model_id, key)

    def get_logged_model(self, model_id: str, allow_deleted: bool = False) -> LoggedModel:
        """Return a logged model."""
        return self._models.get(model_id, deleted=allow_deleted)

    def delete_logged_model(self, model_id: str) -> None:
        """Mark a logged model as deleted."""
        self._models.set(model_id, lifecycle_stage=LifecycleStage.DELETED)

    def search_logged_models(
        self,
        experiment_ids: list[str],
        filter_string: str | None = None,
        datasets: Any = None,
        max_results: int | None = None,
        order_by: object = None,
        page_token: str | None = None,
    ) -> PagedList:
        """Return the logged models that match, in MLflow's search syntax."""
        if datasets and not all(one.get("dataset_name") for one in datasets):
            raise invalid("`dataset_name` in the `datasets` clause must be specified.")
        found = SearchLoggedModelsUtils.filter_logged_models(self._models.of(experiment_ids), filter_string, datasets)
        ordered = SearchLoggedModelsUtils.sort(found, order_by)
        limit = max_results or SEARCH_LOGGED_MODEL_MAX_RESULTS_DEFAULT
        return PagedList(*SearchLoggedModelsUtils.paginate(ordered, page_token, limit))

    # -- traces are not kept ---------------------------------------------------------------------------------

    def search_traces(self, *args: object, **kwargs: object) -> tuple[list[Any], None]:
        """Return no traces: they are not kept in a lake."""
        return [], None

    def link_traces_to_run(self, trace_ids: list[str], run_id: str) -> None:
        """Refuse: traces are not kept in a lake."""
        raise invalid("Traces are not kept in a lake: use a database-backed store for them.")


def _check_max_results(value: object) -> None:
    if not isinstance(value, int) or value < 1:
        raise invalid(f"Invalid value {value} for parameter 'max_results' supplied. It must be a positive integer")
    if value > SEARCH_MAX_RESULTS_THRESHOLD:
        raise invalid(
            f"Invalid value {value} for parameter 'max_results' supplied. It must be at "
            f"most {SEARCH_MAX_RESULTS_THRESHOLD}"
        )
