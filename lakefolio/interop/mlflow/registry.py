"""MLflow's model registry on a lake: the registry of the lake, as MLflow sees it.

What MLflow registers from files of the lake is made from them, so that its lineage leads to the run; what
``lake.register_model`` registered is a file to MLflow.
One class, longer than others: MLflow asks one object for models, versions, tags and aliases.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlparse

from mlflow.entities.model_registry import ModelVersion, ModelVersionTag, RegisteredModel, RegisteredModelAlias
from mlflow.entities.model_registry import RegisteredModelTag as ModelTag
from mlflow.entities.model_registry.model_version_stages import (
    ALL_STAGES,
    DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS,
    STAGE_ARCHIVED,
    STAGE_NONE,
    get_canonical_stage,
)
from mlflow.exceptions import MlflowException
from mlflow.prompt.registry_utils import add_prompt_filter_string, has_prompt_tag
from mlflow.prompt.registry_utils import handle_resource_already_exist_error as refuse_taken
from mlflow.store.artifact.utils.models import _parse_model_uri
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.model_registry import (
    SEARCH_MODEL_VERSION_MAX_RESULTS_DEFAULT,
    SEARCH_MODEL_VERSION_MAX_RESULTS_THRESHOLD,
    SEARCH_REGISTERED_MODEL_MAX_RESULTS_DEFAULT,
    SEARCH_REGISTERED_MODEL_MAX_RESULTS_THRESHOLD,
)
from mlflow.store.model_registry.abstract_store import AbstractStore
from mlflow.utils.search_utils import SearchModelUtils, SearchModelVersionUtils, SearchUtils
from mlflow.utils.validation import (
    _validate_model_alias_name,
    _validate_model_alias_name_reserved,
    _validate_model_name,
    _validate_model_renaming,
    _validate_model_version,
    _validate_model_version_tag,
    _validate_registered_model_tag,
    _validate_tag_name,
)

from lakefolio.errors import InvalidInputError
from lakefolio.format.quoting import quoted
from lakefolio.interop.mlflow.boundary import with_mlflow_errors
from lakefolio.interop.mlflow.fields import absent, after, invalid, taken, under
from lakefolio.interop.mlflow.logged_models import LoggedModels
from lakefolio.interop.mlflow.places import SCHEME, address_of, lake_of, uri_of
from lakefolio.lake.documents import Fields
from lakefolio.lake.registry import REGISTRY, Registry
from lakefolio.process.clock import now_ms

__all__ = ["LakefolioModelRegistry"]

_MODEL_FILE: Final = "MLmodel"
_MOST_INPUTS: Final = 100
_OWN: Final = ("description", "creation_timestamp", "last_updated_timestamp")
_OF_VERSION: Final = (*_OWN, "current_stage", "source", "run_id", "run_link", "model_id")


@with_mlflow_errors
class LakefolioModelRegistry(AbstractStore):
    """Registered models, their versions and aliases in a lake. Safe to share between threads and processes.

    Args:
        store_uri: ``lakefolio:///abs/path`` or ``lakefolio://s3://bucket/prefix``.
        tracking_uri: Where MLflow keeps runs.
    """

    def __init__(self, store_uri: str | None = None, tracking_uri: str | None = None) -> None:
        super().__init__(store_uri, tracking_uri)
        self._runs_uri = tracking_uri
        self._place = address_of(store_uri or "").lake
        self.lake = lake_of(self._place)
        self._registry = Registry(self.lake)
        self._models = LoggedModels(self.lake, lambda model_id: uri_of(self._place, f"mlflow/models/{model_id}"))

    # -- records ---------------------------------------------------------------------------------------------

    def _fields(self, name: str) -> Fields:
        _validate_model_name(name)
        found = self._registry.model(name)
        if found is None:
            raise absent(f"Registered Model with name={name} not found")
        return found

    def _version_fields(self, name: str, version: Any) -> Fields:
        _validate_model_name(name)
        _validate_model_version(version)
        found = self._registry.version(name, int(version))
        if found is None:
            raise absent(f"Model Version (name={name}, version={version}) not found")
        return found

    def _model(self, name: str, fields: Fields) -> RegisteredModel:
        return RegisteredModel(
            name=name,
            **{key: fields.get(key) for key in _OWN},
            latest_versions=self._latest(name, fields, None),
            tags=[ModelTag(key, value) for key, value in after("tags.", fields).items()],
            aliases=[RegisteredModelAlias(key, value) for key, value in after("aliases.", fields).items()],
        )

    def _version(self, fields: Fields, model: Fields) -> ModelVersion:
        logged = self._logged(fields.get("model_id"))
        number = fields["version"]
        return ModelVersion(
            name=fields["name"],
            version=number,
            **{key: fields.get(key) for key in _OF_VERSION},
            tags=[ModelVersionTag(key, value) for key, value in after("tags.", fields).items()],
            aliases=[key for key, value in after("aliases.", model).items() if int(value) == number],
            params=None if logged is None else logged.params,
            metrics=None if logged is None else logged.metrics,
        )

    def _made(self, model_id: str) -> Any:
        """Return a logged model of this lake, else of the store where MLflow keeps runs."""
        try:
            return self._models.get(model_id)
        except MlflowException:
            from mlflow.tracking.client import MlflowClient

            return MlflowClient(tracking_uri=self._runs_uri).get_logged_model(model_id)

    def _logged(self, model_id: str | None) -> Any:
        try:
            return None if model_id is None else self._made(model_id)
        except MlflowException:
            return None

    # -- models ----------------------------------------------------------------------------------------------

    def create_registered_model(
        self, name: str, tags: Any = None, description: str | None = None, deployment_job_id: str | None = None
    ) -> RegisteredModel:
        """Register a model; its name is taken once."""
        _validate_model_name(name)
        for tag in tags or []:
            _validate_registered_model_tag(tag.key, tag.value)
        if not self._registry.create(name, {"description": description, **under("tags.", tags)}):
            known = self.get_registered_model(name)
            refuse_taken(name, has_prompt_tag(known._tags), has_prompt_tag(tags))
            raise taken(f"Registered Model (name={name}) already exists.")
        return self.get_registered_model(name)

    def update_registered_model(
        self, name: str, description: str | None, deployment_job_id: str | None = None
    ) -> RegisteredModel:
        """Change the description of a model."""
        self._fields(name)
        self._registry.set(name, {"description": description})
        return self.get_registered_model(name)

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """Rename a model with its versions. One commit, all or nothing."""
        _validate_model_name(name)
        _validate_model_renaming(new_name)
        self._fields(name)
        if not self._registry.rename(name, new_name):
            raise taken(f"Registered Model (name={new_name}) already exists.")
        return self.get_registered_model(new_name)

    def delete_registered_model(self, name: str) -> None:
        """Remove a model with its versions; the lake's history keeps them. One commit."""
        self._fields(name)
        self._registry.delete(name)

    def get_registered_model(self, name: str) -> RegisteredModel:
        """Return a model with the latest version of each stage."""
        return self._model(name, self._fields(name))

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int | None = SEARCH_REGISTERED_MODEL_MAX_RESULTS_DEFAULT,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList:
        """Return the models that match, in MLflow's search syntax."""
        limit = _limit(max_results, SEARCH_REGISTERED_MODEL_MAX_RESULTS_THRESHOLD)
        found = [self._model(name, one) for name, one in self._registry.models().items()]
        matching = SearchModelUtils.filter(found, add_prompt_filter_string(filter_string, is_prompt=False))
        order = [re.sub(r"^\s*timestamp\b", "last_updated_timestamp", one) for one in order_by or ()]
        return PagedList(*SearchUtils.paginate(SearchModelUtils.sort(matching, order), page_token, limit))

    def get_latest_versions(self, name: str, stages: list[str] | None = None) -> list[ModelVersion]:
        """Return the latest version of each stage."""
        return self._latest(name, self._fields(name), stages)

    def _latest(self, name: str, fields: Fields, stages: list[str] | None) -> list[ModelVersion]:
        wanted = [get_canonical_stage(one) for one in stages or ALL_STAGES]
        latest: dict[str, int] = {}
        versions = self._registry.versions(name)
        for number, one in versions.items():
            stage = one["current_stage"]
            latest[stage] = max(number, latest.get(stage, 0))
        return [self._version(versions[latest[stage]], fields) for stage in wanted if stage in latest]

    def set_registered_model_tag(self, name: str, tag: Any) -> None:
        """Set a tag of a model."""
        _validate_registered_model_tag(tag.key, tag.value)
        self._fields(name)
        self._registry.set(name, under("tags.", [tag]))

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Remove a tag of a model, if there is one."""
        _validate_tag_name(key)
        if f"tags.{key}" in self._fields(name):
            self._registry.set(name, {f"tags.{key}": None})

    # -- versions --------------------------------------------------------------------------------------------

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Any = None,
        run_link: str | None = None,
        description: str | None = None,
        local_model_path: str | None = None,
        model_id: str | None = None,
    ) -> ModelVersion:
        """Make the next version of a model from the files at ``source``."""
        for tag in tags or []:
            _validate_model_version_tag(tag.key, tag.value)
        self._fields(name)
        place, made_by = self._origin(source)
        if not run_id and model_id:
            made_by = self._made(model_id).source_run_id
        fields: dict[str, object] = {
            "description": description,
            "current_stage": STAGE_NONE,
            "source": source,
            "run_id": run_id or made_by,
            "run_link": run_link,
            "model_id": model_id,
        } | under("tags.", tags)
        number = self._registry.add_version(name, fields, inputs=self._files_at(place))
        self._registry.set(name, {})
        return self.get_model_version(name, number)

    def _files_at(self, place: str) -> list[str]:
        """Return the items of this lake that lie at an address: what a version is made from."""
        if urlparse(place).scheme != SCHEME:
            return []
        try:
            address = address_of(place)
        except InvalidInputError:
            return []
        if address.lake != self._place or not address.folio:
            return []
        below = f"{address.path}/" if address.path else ""
        found = [
            one for one in self.lake.items(address.folio) if one.item == address.path or one.item.startswith(below)
        ]
        described = [one for one in found if one.item.rpartition("/")[2] == _MODEL_FILE]
        return [one.ref for one in described or found[:_MOST_INPUTS]]

    def _origin(self, source: str) -> tuple[str, str | None]:
        """Return where files lie that ``source`` names, and the run that made them."""
        if urlparse(source).scheme != "models":
            return source, None
        try:
            parsed = _parse_model_uri(source)
            if parsed.model_id is not None:
                model = self._made(parsed.model_id)
                return model.artifact_location, model.source_run_id
            return self.get_model_version_download_uri(parsed.name, parsed.version), None
        except Exception as exc:
            raise invalid(
                f"Unable to fetch model from model URI source artifact location '{source}'.Error: {exc}"
            ) from exc

    def update_model_version(self, name: str, version: object, description: str | None) -> ModelVersion:
        """Change the description of a version."""
        self._set_version(name, version, {"description": description})
        return self.get_model_version(name, version)

    def _set_version(self, name: str, version: Any, fields: Fields, now: int | None = None) -> None:
        self._version_fields(name, version)
        self._registry.set_version(name, int(version), fields, now)

    def transition_model_version_stage(
        self, name: str, version: Any, stage: str, archive_existing_versions: bool
    ) -> ModelVersion:
        """Move a version to a stage, and if wanted those that are there to Archived. One commit."""
        stage = get_canonical_stage(stage)
        if archive_existing_versions and stage not in DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS:
            raise MlflowException(
                "Model version transition cannot archive existing model versions "
                f"because '{stage}' is not an Active stage. Valid stages are {DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS}"
            )
        self._version_fields(name, version)
        now = now_ms()
        with self.lake.batch(f"model {name} v{version} to {stage}"):
            for number, one in self._registry.versions(name).items():
                if archive_existing_versions and number != int(version) and one["current_stage"] == stage:
                    self._set_version(name, number, {"current_stage": STAGE_ARCHIVED}, now)
            self._set_version(name, version, {"current_stage": stage}, now)
            self._registry.set(name, {})
        return self.get_model_version(name, version)

    def delete_model_version(self, name: str, version: Any) -> None:
        """Mark a version as deleted; its number is not given again, its aliases are removed. One commit."""
        self._version_fields(name, version)
        self._registry.delete_version(name, int(version))

    def get_model_version(self, name: str, version: object) -> ModelVersion:
        """Return a version of a model."""
        found = self._version_fields(name, version)
        return self._version(found, self._fields(name))

    def get_model_version_download_uri(self, name: str, version: Any) -> str:
        """Return where the files of a version lie."""
        found = self._version_fields(name, version)
        if found.get("imported_folio"):
            return uri_of(self._place, found["imported_folio"])
        if "registered" in found:
            return uri_of(self._place, REGISTRY) + f"{quoted(name)}/v{int(version)}"
        return self._origin(str(found.get("source")))[0]

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int | None = SEARCH_MODEL_VERSION_MAX_RESULTS_DEFAULT,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList:
        """Return the versions that match, in MLflow's search syntax."""
        limit = _limit(max_results, SEARCH_MODEL_VERSION_MAX_RESULTS_THRESHOLD)
        found = [
            self._version(one, model)
            for name, model in self._registry.models().items()
            for one in self._registry.versions(name).values()
        ]
        matching = SearchModelVersionUtils.filter(found, add_prompt_filter_string(filter_string, is_prompt=False))
        order = order_by or ["last_updated_timestamp DESC", "name ASC", "version_number DESC"]
        return PagedList(*SearchUtils.paginate(SearchModelVersionUtils.sort(matching, order), page_token, limit))

    def set_model_version_tag(self, name: str, version: Any, tag: Any) -> None:
        """Set a tag of a version."""
        _validate_model_version_tag(tag.key, tag.value)
        self._set_version(name, version, under("tags.", [tag]))

    def delete_model_version_tag(self, name: str, version: object, key: str) -> None:
        """Remove a tag of a version, if there is one."""
        _validate_tag_name(key)
        if f"tags.{key}" in self._version_fields(name, version):
            self._set_version(name, version, {f"tags.{key}": None})

    # -- aliases ---------------------------------------------------------------------------------------------

    def set_registered_model_alias(self, name: str, alias: str, version: Any) -> None:
        """Let an alias name a version."""
        _validate_model_alias_name(alias)
        _validate_model_alias_name_reserved(alias)
        self._version_fields(name, version)
        self._registry.set_alias(name, alias, int(version))

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Remove an alias, if there is one."""
        _validate_model_alias_name(alias)
        if f"aliases.{alias}" in self._fields(name):
            self._registry.set_alias(name, alias, None)

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Return the version that an alias names; ``latest`` is the newest one."""
        fields = self._fields(name)
        if alias.lower() == "latest":
            versions = self._registry.versions(name)
            if not versions:
                raise absent(f"Registered Model with name={name} has no version")
            return self.get_model_version(name, max(versions))
        if f"aliases.{alias}" not in fields:
            raise invalid(f"Registered model alias {alias} not found.")
        return self.get_model_version(name, fields[f"aliases.{alias}"])

    def _await_model_version_creation(self, mv: object, await_creation_for: object) -> None:
        """Wait for nothing: a version is ready when it is made."""


def _limit(value: object, most: int) -> int:
    if not isinstance(value, int) or value < 1:
        raise invalid(f"Invalid value for max_results. It must be a positive integer, but got {value}")
    if value > most:
        raise invalid(
            f"Invalid value for request parameter max_results. It must be at most {most}, but got value {value}"
        )
    return value
