"""MLflow's stores on a lake, given anything: MLflow's errors alone leave them, with codes that fit."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from calls import Call, short
from fuzzing import ODD

import lakefolio as lf

mlflow = pytest.importorskip("mlflow", reason="mlflow-skinny is in the extras mlflow and test")

from mlflow.entities import (  # noqa: E402
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    Param,
    RunTag,
)
from mlflow.utils.search_utils import SearchUtils  # noqa: E402

from lakefolio import errors  # noqa: E402
from lakefolio.interop.mlflow.artifacts import LakefolioArtifactRepository  # noqa: E402
from lakefolio.interop.mlflow.boundary import with_mlflow_errors  # noqa: E402
from lakefolio.interop.mlflow.registry import LakefolioModelRegistry  # noqa: E402
from lakefolio.interop.mlflow.tracking import LakefolioTrackingStore  # noqa: E402

HOSTILE: list[Any] = [
    *ODD,
    object(),
    b"\xff",
    "\ud800",
    "x" * 100_000,
    "a/b:c",
    "%00",
    "m-" + "0" * 32,
    SearchUtils.create_page_token(1),
    SearchUtils.create_page_token(-1),
    "bnVsbA==",  # a page token that is null
    "metrics.a > 'x'",
    "tags.x IN ('a'",
    "params.`a` ilike 5",
    ["metrics.`a DESC"],
    ["start_time", 5],
]
THOROUGH = 20


class Stores:
    """A tracking store and a registry on a lake with one of everything, and arguments that fit."""

    def __init__(self, place: Path) -> None:
        uri = f"lakefolio://{place}"
        self.tracking, self.registry = LakefolioTrackingStore(uri), LakefolioModelRegistry(uri, uri)
        self.experiment = self.tracking.create_experiment("e")
        self.run = self.tracking.create_run(self.experiment, "u", 0, [RunTag("k", "v")], "n").info.run_id
        self.tracking.log_batch(self.run, [Metric("m", 1.0, 1, 0)], [Param("p", "1")], [RunTag("t", "1")])
        self.model = self.tracking.create_logged_model(self.experiment, "lm", self.run).model_id
        self.registry.create_registered_model("reg")
        self.registry.create_model_version("reg", "/files", self.run)
        self.artifacts = LakefolioArtifactRepository(f"{uri}!runs/{self.run}:")

    def fitting(self, chance: Random) -> dict[str, list[Any]]:
        """Return arguments by the names of parameters; half of the fields of what is logged are odd."""

        def some(fit: Any) -> Any:
            return fit if chance.random() < 0.5 else chance.choice(HOSTILE)

        def many(make: Callable[[], Any]) -> list[Any]:
            return [make() for _ in range(chance.choice([0, 1, 2]))]

        def dataset() -> DatasetInput:
            named = Dataset(some("d"), some("x"), some("lake"), some("{}"), some("{}"))
            return DatasetInput(named, [InputTag(some("a"), some("b"))])

        model = chance.choice([LoggedModelInput, lambda one: LoggedModelOutput(one, some(0))])
        point, tag = (lambda: Metric(some("m"), some(1.0), some(5), some(0)), lambda: RunTag(some("k"), some("v")))
        return {
            "alias": ["al"],
            "artifact_path": [None, "a"],
            "datasets": [many(dataset)],
            "end_time": [None, 7],
            "experiment_id": [self.experiment, "0"],
            "experiment_ids": [[self.experiment], [some(self.experiment)]],
            "filter_string": [None, "metrics.m > 0", "name = 'e'"],
            "key": ["k", "t"],
            "local_file": [__file__],
            "local_dir": [str(Path(__file__).parent / "nothing")],
            "max_results": [None, 1, 5],
            "metric": [point()],
            "metric_key": ["m"],
            "metrics": [many(point)],
            "model_id": [self.model],
            "models": [many(lambda: model(some(self.model)))],
            "name": ["reg", "new"],
            "order_by": [None, ["name ASC"], ["metrics.m DESC"]],
            "page_token": [None],
            "param": [Param(some("p"), some("1"))],
            "params": [many(lambda: Param(some("p"), some("1")))],
            "path": [None, "a"],
            "run_id": [self.run],
            "run_status": ["RUNNING", "FINISHED", None],
            "run_view_type": [1, 2],
            "source": ["/files", f"models:/{self.model}", "models:/reg/1"],
            "source_run_id": [self.run],
            "stage": ["Staging"],
            "start_time": [0, 2**50],
            "status": [LoggedModelStatus.READY],
            "tag": [tag()],
            "tags": [many(tag), None],
            "version": [1, "1"],
            "view_type": [1, 3],
        }

    def calls(self, seed: int) -> Iterator[Call]:
        """Yield one call of each method of the stores."""
        chance = Random(seed)
        for store in (self.tracking, self.registry, self.artifacts):
            for name in sorted(vars(type(store))):
                method, fitting = getattr(store, name), self.fitting(chance)
                ours = str(getattr(inspect.unwrap(method), "__module__", "")).startswith("lakefolio")
                if not ours or (name[0] == "_" and "_search" not in name):
                    continue
                kwargs = {}
                for one in inspect.signature(method).parameters.values():
                    if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
                        continue
                    if one.default is one.empty or chance.random() < 0.5:
                        kwargs[one.name] = chance.choice(
                            fitting[one.name] if one.name in fitting and chance.random() < 0.6 else HOSTILE
                        )
                yield Call(f"{type(store).__name__}.{name}", method, [], kwargs)


def fuzz(stores: Stores, seeds: range) -> list[str]:
    """Make the calls of some seeds; return what left them that is no error of MLflow for a wrong argument."""
    found = []
    for call in (call for seed in seeds for call in stores.calls(seed)):
        try:
            call.method(**call.kwargs)
        except mlflow.MlflowException as exc:
            if exc.error_code == "INTERNAL_ERROR" and "Invalid artifact path" not in str(exc):  # MLflow's own check
                found.append(f"{call}: {exc}")
        except Exception as exc:
            found.append(f"{call}: {short(exc)} left it")
    return found


def test_any_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stores = Stores(tmp_path / "lake")
    assert fuzz(stores, range(1)) == []
    assert lf.open(tmp_path / "lake").check().ok


@pytest.mark.slow
def test_any_arguments_thoroughly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stores = Stores(tmp_path / "lake")
    assert fuzz(stores, range(1, 1 + int(os.environ.get("LAKEFOLIO_FUZZ", THOROUGH)))) == []
    assert lf.open(tmp_path / "lake").check(read_data=True).ok


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotFoundError("no"), "RESOURCE_DOES_NOT_EXIST"),
        (errors.AlreadyExistsError("no"), "RESOURCE_ALREADY_EXISTS"),
        (errors.ConflictError("no"), "RESOURCE_CONFLICT"),
        (errors.ReadOnlyError("no"), "PERMISSION_DENIED"),
        (errors.InvalidInputError("no"), "INVALID_PARAMETER_VALUE"),
        (errors.StorageError("no"), "TEMPORARILY_UNAVAILABLE"),
        (errors.IntegrityError("no"), "DATA_LOSS"),
        (errors.FormatError("no"), "INTERNAL_ERROR"),
        (TypeError("no"), "INVALID_PARAMETER_VALUE"),
        (NotImplementedError(), "NOT_IMPLEMENTED"),
    ],
    ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)
def test_each_error_has_the_code_that_the_server_answers_with(error: Exception, code: str) -> None:
    @with_mlflow_errors
    class Store:
        def get(self) -> None:
            raise error

    with pytest.raises(mlflow.MlflowException) as caught:
        Store().get()
    assert caught.value.error_code == code
    assert caught.value.__cause__ is error


def test_a_wrong_argument_is_named(tmp_path: Path) -> None:
    store = Stores(tmp_path / "lake").tracking
    for wrong in (lambda: store.get_run(7), lambda: store.log_metric(run_id=7, metric=None)):
        with pytest.raises(TypeError, match="run_id=7, expected str"):  # also MLflow's error
            wrong()


def test_features_that_are_not_kept_say_so(tmp_path: Path) -> None:
    store = Stores(tmp_path / "lake").tracking
    for call in (lambda: store.get_trace_info("1"), lambda: store.list_scorers("0"), lambda: store.get_dataset("d")):
        with pytest.raises(mlflow.MlflowException, match="a lake does not keep that") as caught:
            call()
        assert caught.value.error_code == "NOT_IMPLEMENTED"
        assert isinstance(caught.value, NotImplementedError)


def test_what_mlflow_own_stores_check_is_checked(tmp_path: Path) -> None:
    stores = Stores(tmp_path / "lake")
    with pytest.raises(mlflow.MlflowException, match="Dataset digest cannot be None"):
        stores.tracking.log_inputs(stores.run, [DatasetInput(Dataset("d", None, "local", "{}"), [])])
    with pytest.raises(mlflow.MlflowException, match="default experiment") as caught:
        stores.tracking.delete_experiment("0")
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    found = stores.tracking.search_runs([stores.experiment], None, 1, max_results=None)
    assert [one.info.run_id for one in found] == [stores.run]
    assert found.token is None


def test_a_relative_place_of_artifacts_is_that_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = LakefolioTrackingStore(f"lakefolio://{tmp_path}/lake", "files")
    other = store.get_experiment(store.create_experiment("other", "more"))
    assert store.get_experiment("0").artifact_location == f"{tmp_path}/files/0"
    assert other.artifact_location == f"{tmp_path}/more"


@pytest.mark.parametrize("place", ["s3://user:secret@host/bucket", "https://host/files?token=abc"])
def test_a_place_of_artifacts_with_a_secret_is_refused(tmp_path: Path, place: str) -> None:
    store = LakefolioTrackingStore(f"lakefolio://{tmp_path}/lake")
    with pytest.raises(mlflow.MlflowException, match="can't hold a secret") as caught:
        store.create_experiment("e", place)
    assert "secret@" not in str(caught.value)
    assert store.get_experiment_by_name("e") is None
