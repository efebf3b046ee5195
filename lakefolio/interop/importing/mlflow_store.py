"""MLflow's tracking stores and registries, read by MLflow itself: ``mlruns`` folders, SQLite files, other addresses.

Imported data looks to MLflow as it did: with ``lakefolio:///path`` as its tracking address the same experiments,
runs, artifacts, logged models and registered models are there (``lakefolio/docs/mlflow.md`` says where each lies). A
SQLite file is read from a copy without triggers, so that MLflow may bring the copy's tables up to date. Only artifacts
that lie below the source, or below ``artifacts``, are read; the addresses of others are kept, for MLflow to follow.

Longer than most modules: the numbers of experiments, runs and models that MLflow gave are told from one another here
alone, so that each that names another finds it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlparse

from lakefolio.errors import InvalidInputError, LakefolioError
from lakefolio.format.names import new_id
from lakefolio.format.quoting import quoted, quoted_path
from lakefolio.interop.importing.plan import NewItem, Plan, Step
from lakefolio.interop.importing.recorded_run import RecordedRun, record
from lakefolio.interop.importing.source_files import SourceFolder, is_lake, plain_yaml, source_path
from lakefolio.lake import Lake
from lakefolio.lake.documents import Documents
from lakefolio.lake.registry import REGISTRY
from lakefolio.process.scratch import private_folder
from lakefolio.redaction import scrub

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["read"]

_EXPERIMENTS: Final = "mlflow/experiments"
_PAGE: Final = 1000
_FIRST_ANSWER: Final = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "15"}
"""How often MLflow asks a server again that did not answer yet, and how many seconds it waits each time."""
_STATUS: Final = {"FINISHED": "done", "FAILED": "failed", "KILLED": "failed"}


def read(source: str, folio: str | None, *, artifacts: str | None = None) -> Plan:
    """Plan the import of a tracking store of MLflow with its registry.

    Args:
        source: A folder ``mlruns``, a SQLite file or ``sqlite:///`` address, or another address that MLflow knows.
        folio: Not used: MLflow's things have their places.
        artifacts: A folder below which artifacts may be read, if not below the source.

    Raises:
        InvalidInputError: kind ``no-library``: MLflow is not installed; ``bad-source``: it can't read the source.
    """
    try:
        import mlflow
    except ImportError as exc:
        raise InvalidInputError(
            "reading a store of MLflow needs MLflow, which is not installed",
            kind="no-library",
            hint="pip install lakefolio[mlflow]; for SQLite files: pip install mlflow",
        ) from exc
    address, root = _opened(source)
    plan = Plan(f"mlflow:{scrub(source) if root is None else _path_of(source)}")
    below = SourceFolder(artifacts).root if artifacts else root
    with _files_allowed():
        try:
            client = mlflow.MlflowClient(tracking_uri=address, registry_uri=address)
            if root is None:
                _check_answers(client, source)
            _Store(client, plan, below).steps()
        except LakefolioError:
            raise
        except Exception as exc:  # of MLflow, of YAML, or of Python where a file lacks what MLflow expects
            said = exc.message if isinstance(exc, mlflow.MlflowException) else f"{type(exc).__name__}: {exc}"
            raise InvalidInputError(
                f"MLflow can't read {source!r}: {' '.join(said.split())}", kind="bad-source", path=source
            ) from exc
    return plan


def _path_of(source: str) -> Path:
    return source_path(source.removeprefix("sqlite:///"))


def _opened(source: str) -> tuple[str, Path | None]:
    """Return the address for MLflow, and the local folder that the source is or lies in."""
    if "://" in source.removeprefix("sqlite:///"):
        return source, None
    path = _path_of(source)
    if path.is_dir():
        return _view_of(path).as_uri(), path
    copy = private_folder() / f"{new_id()}.db"
    for ending in ("", "-wal", "-journal"):  # a part of what was committed may lie in the one, the other undoes a part
        beside = path.with_name(path.name + ending)
        if beside.is_file():
            shutil.copyfile(beside, copy.with_name(copy.name + ending))
    _without_computing(copy, path.name)
    _bring_up_to_date(f"sqlite:///{copy}", path.name)
    return f"sqlite:///{copy}", path.parent


def _view_of(root: Path) -> Path:
    """Return a folder in which MLflow finds the experiments of ``root``, and may make what it makes on opening.

    Raises:
        InvalidInputError: kind ``bad-source``: it is no folder of MLflow, or files that MLflow would read are links.
    """
    if not any(one.is_file() for one in root.glob("*/meta.yaml")):
        raise InvalidInputError(
            f"{str(root)!r} is no tracking store of MLflow: no experiment in it has a meta.yaml",
            kind="bad-source",
            hint="name the folder mlruns, or the SQLite file",
            path=str(root),
        )
    files = SourceFolder(root)
    for relative, path, regular in files.walk():
        if "artifacts" in Path(relative).parts[:-1] or is_lake(path):
            continue
        if not regular:
            raise InvalidInputError(
                f"{relative!r} in the source is a link or no regular file, and not read",
                kind="bad-source",
                hint="copy the target of the link into the source",
                path=relative,
            )
        if path.suffix in (".yaml", ".yml"):  # MLflow would follow aliases, of any number
            _check_yaml(files, relative)
    view = private_folder() / new_id()
    view.mkdir()
    for one in root.iterdir():
        (view / one.name).symlink_to(one)
    return view


def _check_yaml(files: SourceFolder, relative: str) -> None:
    text = files.text(relative)
    if "*" in text:
        try:
            plain_yaml(text)
        except InvalidInputError as exc:
            raise InvalidInputError(f"{relative!r} in the source: {exc.message}", kind="bad-source") from exc


def _without_computing(copy: Path, name: str) -> None:
    """Drop the triggers of a SQLite file's copy; refuse a file that has views or virtual tables.

    MLflow makes a trigger of its own, which guards rows that are written to. Bringing the copy up to date writes to
    it, and would run any trigger. A view that has the name of a table of MLflow would compute while MLflow reads it.
    """
    try:
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                connection.execute('DROP TRIGGER "{}"'.format(trigger.replace('"', '""')))
            connection.commit()
            found = connection.execute(
                "SELECT name FROM sqlite_master WHERE type NOT IN ('table', 'index') OR sql LIKE 'create virtual%'"
            ).fetchone()
    except (sqlite3.Error, UnicodeError) as exc:
        raise InvalidInputError(f"{name!r} is no SQLite file: {exc}", kind="bad-source") from exc
    if found is not None:
        raise InvalidInputError(
            f"{name!r} is no store of MLflow: its schema has {found[0]!r}, a view or virtual table", kind="bad-source"
        )


def _bring_up_to_date(address: str, name: str) -> None:
    try:
        from mlflow.store.db.utils import _upgrade_db, create_sqlalchemy_engine
    except ImportError as exc:
        raise InvalidInputError(
            "MLflow reads SQLite files with SQLAlchemy and alembic, which are not installed",
            kind="no-library",
            hint="pip install mlflow",
        ) from exc
    engine = create_sqlalchemy_engine(address)
    log = logging.getLogger("mlflow.store.db.utils")  # would say that it updates the database: it is the copy
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        _upgrade_db(engine)
    except Exception as exc:  # of MLflow, SQLAlchemy or alembic, where the tables are not those of MLflow
        said = f"{type(exc).__name__}: {exc}".partition("\n")[0]
        raise InvalidInputError(f"MLflow can't read {name!r}: {said}", kind="bad-source") from exc
    finally:
        log.setLevel(level)
        engine.dispose()


def _check_answers(client: MlflowClient, source: str) -> None:
    """Ask a server for one experiment, and wait less for it than MLflow would, which is minutes without a word.

    Raises:
        InvalidInputError: kind ``bad-source``: no answer came, or a refusal.
    """
    from mlflow import MlflowException

    own = {name: value for name, value in _FIRST_ANSWER.items() if name not in os.environ}
    try:
        with _environment(own):
            client.search_experiments(max_results=1)
    except MlflowException as exc:
        raise InvalidInputError(
            f"MLflow can't read {source!r}: {' '.join(exc.message.split())}",
            kind="bad-source",
            hint="check the address, the network and that the server runs; for a slow one set "
            "MLFLOW_HTTP_REQUEST_TIMEOUT (in seconds) and MLFLOW_HTTP_REQUEST_MAX_RETRIES",
            path=source,
        ) from exc


def _files_allowed() -> AbstractContextManager[None]:
    """Let MLflow read folders, which newer versions refuse unless they are asked to."""
    return _environment({"MLFLOW_ALLOW_FILE_STORE": "true"})


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment, and afterwards to what they were."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class _Store:
    """A store of MLflow on its way into a plan."""

    def __init__(self, client: MlflowClient, plan: Plan, below: Path | None) -> None:
        self._client = client
        self._plan = plan
        self._below = below
        self._ids: dict[str, str] = {}

    def steps(self) -> None:
        """Fill the plan: experiments, runs in the order they began, logged models, registered models."""
        from mlflow.entities import ViewType

        client = self._client
        experiments = _all(partial(client.search_experiments, ViewType.ALL, max_results=_PAGE))
        for one in experiments:
            fields = {
                "name": one.name,
                "artifact_location": _kept(one.artifact_location),
                "lifecycle_stage": one.lifecycle_stage,
                "creation_time": one.creation_time,
                "last_update_time": one.last_update_time,
                "imported_from": [self._plan.source, one.experiment_id],
            } | {f"tags.{key}": value for key, value in one.tags.items()}
            self._experiment(one, fields)
        known = {one.experiment_id: one for one in experiments}
        runs = []
        for experiment_id in known:
            runs += _all(partial(client.search_runs, [experiment_id], run_view_type=ViewType.ALL, max_results=_PAGE))
        for run in sorted(runs, key=lambda one: (one.info.start_time or 0, one.info.run_id)):
            self._run(run, known[run.info.experiment_id])
        self._logged_models(known)
        self._registry()

    def _experiment(self, one: Any, fields: dict[str, Any]) -> None:
        def make(lake: Lake) -> None:
            records, name = Documents(lake, _EXPERIMENTS), self._id_in(lake, one)
            if not records.create(name, fields):
                records.set(name, {key: value for key, value in fields.items() if value is not None})

        step = Step(f"{_EXPERIMENTS} {one.experiment_id}", f"import experiment {one.name}", action=make)
        self._plan.steps.append(step)

    def _id_in(self, lake: Lake, experiment: Any) -> str:
        """Return the id of an experiment in the lake: its own, unless an experiment of another store has that.

        Databases count their experiments from 0 on. Experiments of the same name are one, as they have to be.
        """
        from lakefolio.interop.mlflow.experiments import ids_for

        own: str = experiment.experiment_id
        if own not in self._ids:
            known = Documents(lake, _EXPERIMENTS).all()
            imported = (key for key, one in known.items() if one.get("imported_from") == [self._plan.source, own])
            called = (key for key, one in known.items() if one.get("name") == experiment.name)
            free = (one for one in (own, *ids_for(experiment.name)) if one not in known)
            self._ids[own] = next(chain(imported, called, free))
        return self._ids[own]

    def _document(self, folio: str, name: str, fields: dict[str, Any], what: str, experiment: Any = None) -> None:
        def make(lake: Lake) -> None:
            its = {} if experiment is None else {"experiment_id": self._id_in(lake, experiment)}
            Documents(lake, folio).create(name, fields | its)

        self._plan.steps.append(Step(f"{folio} {name}", f"import {what}", action=make))

    # -- runs ------------------------------------------------------------------------------------------------

    def _run(self, run: Any, experiment: Any) -> None:
        info = run.info
        local = self._local(info.artifact_uri, f"artifacts of run {info.run_id}")

        def do(lake: Lake) -> None:
            record(lake, self._recorded(lake, run, experiment, local))

        self._plan.steps.append(Step(f"run {info.run_id}", f"import run {info.run_name or info.run_id}", action=do))

    def _recorded(self, lake: Lake, run: Any, experiment: Any, local: Path | None) -> RecordedRun:
        from lakefolio.interop.mlflow.fields import has_run, time_of_ms
        from lakefolio.interop.mlflow.run_entities import MARK, facts_of

        info, (words, facts) = run.info, facts_of(run)
        facts[MARK] = self._id_in(lake, experiment)
        parent = run.data.tags.get("mlflow.parentRunId")
        if parent and has_run(lake, parent):
            words["parent"] = parent
        if info.status not in _STATUS:  # nobody goes on with it here
            facts["mlflow.status"] = "KILLED"
        if local is None:
            facts["mlflow.artifact_uri"] = info.artifact_uri
        return RecordedRun(
            run_id=info.run_id,
            source=self._plan.source,
            words={**words, "project": " ".join(experiment.name.split())},
            started_at=None if info.start_time is None else time_of_ms(info.start_time),
            ended_at=None if info.end_time is None else time_of_ms(info.end_time),
            status=_STATUS.get(info.status, "failed"),
            facts=facts,
            points=lambda: self._points(run),
            outputs=lambda: [] if local is None else self._files(local, f"run {info.run_id}"),
        )

    def _points(self, run: Any) -> Iterator[tuple[str, float, int | None, datetime]]:
        from lakefolio.interop.mlflow.fields import time_of_ms

        with _files_allowed():
            for name in run.data.metrics:
                found = self._client.get_metric_history(run.info.run_id, name)
                for one in sorted(found, key=lambda point: (point.step or 0, point.timestamp)):  # the last one is last
                    yield name, one.value, one.step, time_of_ms(one.timestamp)

    def _local(self, uri: str | None, what: str) -> Path | None:
        """Return the local folder of artifacts, if it is there and may be read; say so if it may not."""
        if not uri or _is_remote(uri) or self._below is None:
            return None
        parsed = urlparse(uri)
        path = Path(unquote(parsed.path) if parsed.scheme == "file" else uri)
        found = (path if path.is_absolute() else self._below.parent / path).resolve()
        if not found.is_dir():
            return None
        if not found.is_relative_to(self._below):
            self._plan.leave_out(what, f"they lie outside of the source, in {found}: name that folder with --artifacts")
            return None
        return found

    def _files(self, folder: Path, what: str) -> list[tuple[str, Path]]:
        found = []
        for relative, path, regular in SourceFolder(folder).walk():
            if regular:
                found.append((quoted_path(relative), path))
            else:
                self._plan.leave_out(f"{relative} of {what}", "a link or no regular file")
        return found

    # -- models ----------------------------------------------------------------------------------------------

    def _logged_models(self, experiments: dict[str, Any]) -> None:
        client = self._client
        if not hasattr(client, "search_logged_models"):
            return
        for one in _all(partial(client.search_logged_models, list(experiments), max_results=_PAGE // 20)):
            local = self._local(one.artifact_location, f"files of model {one.name}")
            fields: dict[str, Any] = {
                "name": one.name,
                "artifact_location": one.artifact_location if local is None else None,
                "creation_timestamp": one.creation_timestamp,
                "last_updated_timestamp": one.last_updated_timestamp,
                "source_run_id": one.source_run_id,
                "status": one.status.to_int(),
                "model_type": one.model_type,
                "lifecycle_stage": "active",
            }
            fields |= {f"tags.{key}": value for key, value in one.tags.items()}
            fields |= {f"params.{key}": value for key, value in one.params.items()}
            for metric in one.metrics or ():
                key = json.dumps([metric.key, metric.dataset_name, metric.dataset_digest])
                fields[f"metrics.{key}"] = [metric.step, metric.timestamp, metric.value, metric.run_id]
            if local is not None:
                folio = f"mlflow/models/{one.model_id}"
                items = [NewItem(folio, name, "artifact", path) for name, path in self._files(local, one.model_id)]
                self._plan.steps.append(Step(f"files {one.model_id}", f"import files of model {one.name}", items))
            self._document(
                "mlflow/logged-models", one.model_id, fields, f"model {one.name}", experiments[one.experiment_id]
            )

    def _registry(self) -> None:
        client = self._client
        for one in _all(partial(client.search_registered_models, max_results=_PAGE)):
            own = ("description", "creation_timestamp", "last_updated_timestamp")
            fields = {"name": one.name} | {key: getattr(one, key) for key in own}
            fields |= {f"tags.{key}": value for key, value in one.tags.items()}
            fields |= {f"aliases.{key}": int(value) for key, value in one.aliases.items()}
            self._document(REGISTRY, quoted(one.name), fields, f"registered model {one.name}")
            name = one.name.replace("'", "''")
            versions = _all(partial(client.search_model_versions, f"name = '{name}'", max_results=_PAGE))
            for version in sorted(versions, key=lambda found: int(found.version)):
                more = (*own, "current_stage", "source", "run_id", "run_link", "model_id")
                told = {"name": one.name, "version": int(version.version)}
                told |= {key: getattr(version, key) or None for key in more}
                told |= {f"tags.{key}": value for key, value in version.tags.items()}
                item = f"{quoted(one.name)}/v{int(version.version)}"
                local = self._local(version.source, f"files of model {one.name}")
                if local is not None:
                    folio = f"mlflow/models/{quoted(one.name)}-v{int(version.version)}"
                    items = [NewItem(folio, path, "artifact", file) for path, file in self._files(local, item)]
                    self._plan.steps.append(Step(f"files {item}", f"import files of model {one.name}", items))
                    told["imported_folio"] = folio
                self._document(REGISTRY, item, told, f"version {version.version} of model {one.name}")


def _all(page: Callable[..., Any]) -> list[Any]:
    found: list[Any] = []
    token: str | None = None
    while True:
        some = page(page_token=token)
        found += some
        token = some.token
        if not token:
            return found


def _is_remote(uri: str) -> bool:
    return urlparse(uri).scheme not in ("", "file")


def _kept(uri: str | None) -> str | None:
    """Return an address of artifacts if it leads somewhere else than to local files, which are imported."""
    return uri if uri and _is_remote(uri) else None
