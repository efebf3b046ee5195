"""MLflow's own client, search and autologging work on a lake, and what it logs are runs of the lake."""

from __future__ import annotations

import datetime as dt
import os
import re
import sqlite3
import subprocess
import sys
import threading
import tomllib
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lakefolio as lf
from lakefolio.interop.importing import import_from
from lakefolio.testing.need import need

ROOT = Path(__file__).parents[2]
mlflow = pytest.importorskip("mlflow", reason="mlflow-skinny is in the extras mlflow and test")


@pytest.fixture(scope="session")
def _entry_points(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Declare the entry points as the wheel does, and let MLflow look for them."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    info = tmp_path_factory.mktemp("dist") / "lakefolio_plugins-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lakefolio-plugins\nVersion: 0\n")
    lines = [
        line
        for group, entries in declared.items()
        for line in (f"[{group}]", *(f"{name} = {target}" for name, target in entries.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    sys.path.insert(0, str(info.parent))
    from mlflow.data import dataset_source_registry as sources
    from mlflow.store.artifact import artifact_repository_registry as artifacts
    from mlflow.tracking._model_registry import utils as models
    from mlflow.tracking._tracking_service import utils as tracking

    tracking._tracking_store_registry.register_entrypoints()
    models._get_store_registry().register_entrypoints()
    artifacts._artifact_repository_registry.register_entrypoints()
    sources._dataset_source_registry.register_entrypoints()
    sys.path.remove(str(info.parent))


@pytest.fixture
def place(_entry_points: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mlflow.tracking.fluent._active_experiment_id", None)
    mlflow.set_tracking_uri(f"lakefolio://{tmp_path}/lake")
    mlflow.set_registry_uri(f"lakefolio://{tmp_path}/lake")
    yield tmp_path / "lake"
    while mlflow.active_run():
        mlflow.end_run("KILLED")
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)
    for name in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        os.environ.pop(name, None)  # MLflow tells its children so


@pytest.fixture
def client(place: Path):
    return mlflow.MlflowClient()


def test_a_run_of_mlflow_is_a_run_of_the_lake(place: Path) -> None:
    mlflow.set_experiment("churn")
    with mlflow.start_run(run_name="first", tags={"team": "a"}) as run:
        mlflow.log_params({"lr": 0.1, "layers": 3, "opt": "adam", "exact": "0.10"})
        for step in range(3):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        with mlflow.start_run(run_name="child", nested=True) as child:
            pass
    lake = lf.open(place)
    known = lake.get_run(run.info.run_id)
    assert (known.name, known.project, known.status) == ("first", "churn", "done")
    assert known.params == {"lr": 0.1, "layers": 3, "opt": "adam", "exact": "0.10"}
    assert known.metrics["loss"] == pytest.approx(1 / 3)
    assert known.metadata["tags.team"] == "a"
    assert known.children == [child.info.run_id]
    assert lake.metric_history(known.run_id, "loss").column("step").to_pylist() == [0, 1, 2]
    assert lake.sql("select name from runs where lr = 0.1").fetchall() == [("first",)]
    assert lake.check().ok


def test_what_is_logged_comes_back_exactly(client) -> None:
    run_id = client.create_run("0", start_time=1_700_000_000_123).info.run_id
    client.log_metric(run_id, "m", float("nan"), timestamp=1_700_000_000_999, step=-3)
    client.log_metric(run_id, "m", float("inf"), timestamp=5, step=7)
    client.log_metric(run_id, "m", 2.5, timestamp=4, step=7)
    client.log_param(run_id, "a/b c", "")
    client.log_param(run_id, "big", "123456789012345678901234567890")
    client.log_param(run_id, "truth", "True")
    client.set_tag(run_id, "x:y", "tab\there\nline")
    client.set_terminated(run_id, "KILLED", end_time=1_700_000_001_000)
    run = client.get_run(run_id)
    assert (run.info.start_time, run.info.end_time, run.info.status) == (1_700_000_000_123, 1_700_000_001_000, "KILLED")
    assert run.data.params == {"a/b c": "", "big": "123456789012345678901234567890", "truth": "True"}
    assert run.data.tags["x:y"] == "tab\there\nline"
    assert run.data.metrics == {"m": float("inf")}
    points = [(one.step, one.timestamp) for one in client.get_metric_history(run_id, "m")]
    assert points == [(-3, 1_700_000_000_999), (7, 5), (7, 4)]


def test_parameters_do_not_change_and_ended_runs_take_more(client) -> None:
    run_id = client.create_run("0").info.run_id
    client.log_param(run_id, "lr", 0.1)
    client.log_param(run_id, "lr", 0.1)
    with pytest.raises(mlflow.MlflowException, match="Changing param values"):
        client.log_param(run_id, "lr", 0.2)
    client.set_terminated(run_id, end_time=1_900_000_000_000)
    client.set_tag(run_id, "late", "1")
    client.log_metric(run_id, "late", 4.0)
    client.log_param(run_id, "late", "x")
    client.delete_tag(run_id, "late")
    run = client.get_run(run_id)
    assert (run.info.status, run.info.end_time) == ("FINISHED", 1_900_000_000_000)
    assert run.data.metrics == {"late": 4.0}
    assert run.data.params == {"lr": "0.1", "late": "x"}
    assert "late" not in run.data.tags
    client.update_run(run_id, status="RUNNING", name="again")
    assert client.get_run(run_id).info.status == "RUNNING"
    assert client.get_run(run_id).info.run_name == "again"


def test_search_speaks_the_syntax_of_mlflow(client) -> None:
    first = client.create_experiment("one", tags={"k": "v"})
    for i in range(4):
        run = client.create_run(first, run_name=f"r{i}", start_time=i + 1)
        client.log_param(run.info.run_id, "i", i)
        client.log_metric(run.info.run_id, "acc", i / 10, step=1)
    found = client.search_runs([first], "metrics.acc > 0.05 and params.i != '2'", order_by=["metrics.acc DESC"])
    assert [run.info.run_name for run in found] == ["r3", "r1"]
    page = client.search_runs([first], max_results=3)
    assert [run.info.run_name for run in page] == ["r3", "r2", "r1"]
    assert [run.info.run_name for run in client.search_runs([first], page_token=page.token)] == ["r0"]
    client.delete_run(found[0].info.run_id)
    assert len(client.search_runs([first])) == 3
    assert len(client.search_runs([first], run_view_type=mlflow.entities.ViewType.ALL)) == 4
    client.restore_run(found[0].info.run_id)
    assert [one.name for one in client.search_experiments(filter_string="tags.k = 'v'")] == ["one"]
    client.delete_experiment(first)
    assert client.search_runs([first]) == []
    with pytest.raises(mlflow.MlflowException, match="deleted state"):
        client.create_experiment("one")
    client.restore_experiment(first)
    client.rename_experiment(first, "uno")
    assert client.get_experiment_by_name("uno").experiment_id == first
    assert len(client.search_runs([first])) == 4


def test_an_experiment_is_made_once_however_many_make_it_at_once(place: Path) -> None:
    barrier, ids = threading.Barrier(6), []

    def make() -> None:
        client = mlflow.MlflowClient()
        barrier.wait()
        try:
            ids.append(client.create_experiment("same"))
        except mlflow.MlflowException as exc:
            assert exc.error_code == "RESOURCE_ALREADY_EXISTS"

    threads = [threading.Thread(target=make) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(ids) == 1
    assert [one.name for one in mlflow.search_experiments(filter_string="name = 'same'")] == ["same"]


def test_artifacts_are_items_of_the_run(place: Path, client, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "precision@k: 1.txt").write_text("p")
    (folder / "top.bin").write_bytes(bytes(100_000))
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(folder), "results")
        mlflow.log_text("hello", "notes.txt")
        mlflow.log_dict({"a": 1}, "conf.json")
    run_id = run.info.run_id
    assert [one.path for one in client.list_artifacts(run_id)] == ["conf.json", "notes.txt", "results"]
    assert [(one.path, one.is_dir) for one in client.list_artifacts(run_id, "results")] == [
        ("results/deep", True),
        ("results/top.bin", False),
    ]
    assert client.list_artifacts(run_id, "notes.txt") == []
    assert [one.path for one in client.list_artifacts(run_id, "results/deep")] == ["results/deep/precision@k: 1.txt"]
    local = Path(client.download_artifacts(run_id, "results", str(tmp_path)))
    assert (local / "deep" / "precision@k: 1.txt").read_text() == "p"
    assert (local / "top.bin").stat().st_size == 100_000
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/notes.txt") == "hello"
    client.log_text(run_id, "late", "late.txt")  # after its end
    lake = lf.open(place)
    outputs = {one.name for one in lake.get_run(run_id).outputs}
    assert {"conf.json", "notes.txt", "results/top.bin"} <= outputs
    assert lake.get(f"runs/{run_id}:late.txt").read_text() == "late"
    with pytest.raises(mlflow.MlflowException, match="please ensure that the path is correct"):
        client.download_artifacts(run_id, "nothing.txt", str(tmp_path))
    with pytest.raises(mlflow.MlflowException, match="Invalid"):
        client.log_text(run_id, "x", "../up.txt")


def test_the_registry_keeps_models_versions_and_aliases(client) -> None:
    client.create_registered_model("my model", tags={"t": "1"}, description="d")
    with pytest.raises(mlflow.MlflowException, match="already exists"):
        client.create_registered_model("my model")
    for source in ("s3://a/1", "s3://a/2"):
        client.create_model_version("my model", source, tags={"s": source})
    client.set_registered_model_alias("my model", "champion", "1")
    assert client.get_model_version_by_alias("my model", "champion").source == "s3://a/1"
    client.set_registered_model_alias("my model", "champion", "2")
    assert client.get_registered_model("my model").aliases == {"champion": 2}
    assert [one.version for one in client.search_model_versions("name = 'my model'")] == [2, 1]
    client.transition_model_version_stage("my model", "1", "Production")
    client.transition_model_version_stage("my model", "2", "Production", archive_existing_versions=True)
    assert client.get_model_version("my model", "1").current_stage == "Archived"
    client.rename_registered_model("my model", "other")
    assert client.get_model_version_by_alias("other", "champion").tags == {"s": "s3://a/2"}
    client.delete_model_version("other", "2")
    assert client.get_registered_model("other").aliases == {}
    assert client.create_model_version("other", "s3://a/3").version == 3
    client.delete_registered_model("other")
    assert client.search_registered_models() == []
    with pytest.raises(mlflow.MlflowException, match="not found"):
        client.get_registered_model("other")


def test_sklearn_is_logged_by_itself_and_loads_from_the_registry(place: Path) -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="in the extra test")
    mlflow.sklearn.autolog(log_input_examples=False, log_model_signatures=False)
    try:
        with mlflow.start_run() as run:
            model = linear.LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
    finally:
        mlflow.sklearn.autolog(disable=True)
    (logged,) = mlflow.search_logged_models(output_format="list")
    assert str(logged.status) == "READY"
    assert logged.source_run_id == run.info.run_id
    mlflow.register_model(logged.model_uri, "line")
    again = mlflow.sklearn.load_model("models:/line/1")
    assert again.predict([[2.0]]) == pytest.approx(model.predict([[2.0]]))
    lake = lf.open(place)
    known = lake.get_run(run.info.run_id)
    assert known.params["fit_intercept"] is True
    assert known.metrics["training_r2_score"] == pytest.approx(1.0)
    assert "MLmodel" in {one.name for one in known.outputs}


def test_lightgbm_is_logged_by_itself_and_loads_again(place: Path) -> None:
    lightgbm = need("lightgbm", "test")
    mlflow.lightgbm.autolog(log_input_examples=False, log_model_signatures=False)
    rows = np.random.default_rng(0).normal(size=(200, 3))
    data = lightgbm.Dataset(rows, rows[:, 0] > 0)
    settings = {"objective": "binary", "metric": "binary_logloss", "verbose": -1, "num_threads": 1}
    try:
        with mlflow.start_run() as run:
            model = lightgbm.train(settings, data, 5, valid_sets=[data], valid_names=["train"])
    finally:
        mlflow.lightgbm.autolog(disable=True)
    (logged,) = mlflow.search_logged_models(output_format="list")
    assert mlflow.lightgbm.load_model(logged.model_uri).predict(rows) == pytest.approx(model.predict(rows))
    lake = lf.open(place)
    known = lake.get_run(run.info.run_id)
    assert (known.params["objective"], known.params["num_boost_round"]) == ("binary", 5)
    loss = lake.metric_history(known.run_id, "train-binary_logloss").column("value").to_pylist()
    assert len(loss) == 5
    assert loss == sorted(loss, reverse=True)
    assert {"feature_importance_gain.png", "feature_importance_gain.json", "MLmodel"} <= {
        one.name for one in known.outputs
    }


def test_datasets_and_models_of_a_run(client) -> None:
    run_id = client.create_run("0").info.run_id
    data = mlflow.entities.Dataset("flights", "abc", "local", '{"uri": "x"}')
    tag = mlflow.entities.InputTag("mlflow.data.context", "train")
    for _ in range(2):
        client.log_inputs(run_id, [mlflow.entities.DatasetInput(data, [tag])])
    model = client.create_logged_model("0", name="m", source_run_id=run_id)
    client.log_outputs(run_id, [mlflow.entities.LoggedModelOutput(model.model_id, 2)])
    client.log_metric(run_id, "auc", 0.5, model_id=model.model_id)
    run = client.get_run(run_id)
    assert [one.dataset.name for one in run.inputs.dataset_inputs] == ["flights"]
    assert [one.model_id for one in run.outputs.model_outputs] == [model.model_id]
    assert [one.value for one in client.get_logged_model(model.model_id).metrics] == [0.5]


def test_a_dataset_that_is_an_item_is_an_input_of_the_run(place: Path, client) -> None:
    lake = lf.open(place)
    frame = pd.DataFrame({"a": [1, 2]})
    lake.folio("flights").add_table("clean", frame)
    entry = lake.item("flights:clean")
    dataset = mlflow.data.from_pandas(frame, source=f"lake://{place}!flights:clean", name="clean")
    with mlflow.start_run() as run:
        mlflow.log_input(dataset, "training")
        mlflow.log_input(dataset, "training")
    (used,) = lake.get_run(run.info.run_id).inputs
    assert used.ref == entry.ref
    lake.folio("flights").add_table("clean", frame[:1], overwrite=True)
    (logged,) = client.get_run(run.info.run_id).inputs.dataset_inputs
    assert len(pd.read_parquet(mlflow.data.get_source(logged.dataset).load())) == 2


def test_a_killed_process_leaves_a_run_that_says_so(place: Path, client) -> None:
    code = f"""
import os
from lakefolio.interop.mlflow.tracking import LakefolioTrackingStore
store = LakefolioTrackingStore("lakefolio://{place}")
print(store.create_run("0", "u", 1, [], "gone").info.run_id, flush=True)
os._exit(9)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    run_id = done.stdout.strip()
    assert client.get_run(run_id).info.status == "KILLED"
    assert client.search_runs(["0"])[0].info.status == "KILLED"
    client.log_metric(run_id, "m", 1.0)  # another process goes on with it
    assert client.get_run(run_id).info.status == "RUNNING"


def test_a_bucket_is_as_good_as_a_folder(place: Path, s3_uri: str) -> None:
    mlflow.set_tracking_uri(f"lakefolio://{s3_uri}")
    with mlflow.start_run() as run:
        mlflow.log_metric("m", 1.0)
        mlflow.log_text("hello", "a/b.txt")
    assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/a/b.txt") == "hello"
    assert mlflow.get_run(run.info.run_id).data.metrics == {"m": 1.0}


def test_databases_whose_experiments_have_the_same_numbers_come_side_by_side(place: Path, tmp_path: Path) -> None:
    lake, runs = lf.open(place), {}
    for name in ("a", "b"):
        old = mlflow.MlflowClient(f"sqlite:///{tmp_path}/{name}.db", f"sqlite:///{tmp_path}/{name}.db")
        assert old.create_experiment(f"exp-{name}") == "1"
        runs[name] = [old.create_run(one).info.run_id for one in ("0", "1")]
    for name in ("a", "b", "a"):
        import_from(lake, "mlflow", str(tmp_path / f"{name}.db"))
    found = mlflow.MlflowClient(f"lakefolio://{place}")
    ids = {one.name: one.experiment_id for one in found.search_experiments()}
    assert (set(ids), ids["Default"], ids["exp-a"]) == ({"Default", "exp-a", "exp-b"}, "0", "1")
    for name, (default, own) in runs.items():
        assert [one.info.run_id for one in found.search_runs([ids[f"exp-{name}"]])] == [own]
        assert found.get_run(default).info.experiment_id == "0"


def test_a_folder_of_mlflow_is_imported_as_it_was(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    old = mlflow.MlflowClient(f"file://{tmp_path}/mlruns", f"file://{tmp_path}/mlruns")
    experiment = old.create_experiment("churn", tags={"k": "v"})
    parent = old.create_run(experiment, run_name="parent", start_time=1_700_000_000_000).info.run_id
    child = old.create_run(experiment, start_time=1_700_000_000_500, tags={"mlflow.parentRunId": parent}).info.run_id
    old.log_param(parent, "lr", 0.1)
    for step in range(3):
        old.log_metric(parent, "loss", 1 / (step + 1), timestamp=1_700_000_000_000 + step, step=step)
    old.log_text(parent, "hello", "deep/a@b.txt")
    old.set_terminated(parent, "FAILED", end_time=1_700_000_009_000)
    model = old.create_logged_model(experiment, name="m", source_run_id=parent)
    old.create_registered_model("reg")
    files = f"{tmp_path}/mlruns/{experiment}/{parent}/artifacts/deep"
    old.create_model_version("reg", f"file://{files}", run_id=parent)
    old.set_registered_model_alias("reg", "champion", 1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret.txt").write_text("secret")
    meta = tmp_path / "mlruns" / experiment / child / "meta.yaml"
    meta.write_text(re.sub("artifact_uri: .*", f"artifact_uri: file://{elsewhere}", meta.read_text()))

    lake = lf.open(place)
    before = lake.version
    planned = import_from(lake, "mlflow", str(tmp_path / "mlruns"), dry_run=True)
    assert lake.version == before
    report = import_from(lake, "mlflow", str(tmp_path / "mlruns"))
    assert report.steps == planned.steps
    assert [one["what"] for one in report.problems] == [f"artifacts of run {child}"]
    client = mlflow.MlflowClient()
    assert client.get_experiment_by_name("churn").tags == {"k": "v"}
    run = client.get_run(parent)
    assert (run.info.status, run.info.start_time, run.info.end_time) == ("FAILED", 1_700_000_000_000, 1_700_000_009_000)
    assert run.data.params == {"lr": "0.1"}
    points = [(one.step, one.timestamp) for one in client.get_metric_history(parent, "loss")]
    assert points == [(step, 1_700_000_000_000 + step) for step in range(3)]
    assert mlflow.artifacts.load_text(f"runs:/{parent}/deep/a@b.txt") == "hello"
    assert client.get_run(child).info.status == "KILLED"
    assert client.get_model_version_by_alias("reg", "champion").run_id == parent
    assert client.get_logged_model(model.model_id).name == "m"
    assert Path(mlflow.artifacts.download_artifacts("models:/reg/1"), "a@b.txt").read_text() == "hello"
    known = lake.get_run(parent)
    assert (known.name, known.project, known.status, known.children) == ("parent", "churn", "failed", [child])
    assert (known.host, known.git_commit, known.packages) == (None, None, {})
    before = lake.version
    assert import_from(lake, "mlflow", str(tmp_path / "mlruns")).steps == []
    assert lake.version == before
    assert lake.check().ok


def test_a_sqlite_file_of_mlflow_is_imported_and_left_as_it_was(
    place: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    need("sqlalchemy", "test")
    alembic = need("alembic", "test")
    need("alembic.command", "test")
    need("mlflow.store.db.utils", "test")
    address = f"sqlite:///{tmp_path}/mlflow.db"
    old = mlflow.MlflowClient(address, address)
    experiment = old.create_experiment("churn", artifact_location=f"{tmp_path}/files")
    run_id = old.create_run(experiment, run_name="first", start_time=1_700_000_000_000).info.run_id
    old.log_param(run_id, "lr", 0.1)
    for step in range(3):
        old.log_metric(run_id, "loss", 1 / (step + 1), timestamp=1_700_000_000_000 + step, step=step)
    old.log_text(run_id, "hello", "note.txt")
    old.set_terminated(run_id, end_time=1_700_000_009_000)
    old.create_registered_model("reg")
    old.create_model_version("reg", f"{tmp_path}/files", run_id=run_id)
    old.set_registered_model_alias("reg", "champion", 1)
    # a version behind: bringing its copy up to date would run the trigger
    alembic.command.downgrade(mlflow.store.db.utils._get_alembic_config(address), "-1")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as changed:
        changed.execute(
            'create trigger "a "" b" before update on alembic_version begin select raise(abort, \'it ran\'); end'
        )
    before = (tmp_path / "mlflow.db").read_bytes()

    lake = lf.open(place)
    caplog.clear()
    planned = import_from(lake, "mlflow", str(tmp_path / "mlflow.db"), dry_run=True)
    assert "database" not in caplog.text  # it is not the user's that is updated
    report = import_from(lake, "mlflow", address)
    assert report.steps == planned.steps
    assert report.problems == []
    known = lake.get_run(run_id)
    assert (known.name, known.project, known.status, known.params) == ("first", "churn", "done", {"lr": 0.1})
    assert lake.metric_history(run_id, "loss").column("value").to_pylist() == [1.0, 1 / 2, 1 / 3]
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/note.txt") == "hello"
    assert mlflow.MlflowClient().get_model_version_by_alias("reg", "champion").run_id == run_id
    assert import_from(lake, "mlflow", str(tmp_path / "mlflow.db")).steps == []
    assert (tmp_path / "mlflow.db").read_bytes() == before
    with closing(sqlite3.connect(tmp_path / "mine.db")) as other:
        other.execute("create table alembic_version (version_num varchar(32) not null)")
    with pytest.raises(lf.InvalidInputError, match=r"MLflow can't read 'mine\.db'") as caught:
        import_from(lake, "mlflow", str(tmp_path / "mine.db"))
    assert "\n" not in caught.value.message


def test_a_folder_of_mlflow_is_not_trusted_nor_written_to(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    source = tmp_path / "mlruns"
    old = mlflow.MlflowClient(f"file://{source}", f"file://{source}")
    run_id = old.create_run(old.create_experiment("churn")).info.run_id
    old.log_param(run_id, "lr", 0.1)
    for made in (".trash", "models"):
        if (source / made).exists():
            (source / made).rmdir()
    before = sorted(source.rglob("*"))
    lake = lf.open(place)
    assert import_from(lake, "mlflow", str(source)).problems == []
    assert sorted(source.rglob("*")) == before
    (tmp_path / "secret.txt").write_text("secret")
    (param,) = source.glob("*/*/params/lr")
    param.unlink()
    param.symlink_to(tmp_path / "secret.txt")
    with pytest.raises(lf.InvalidInputError, match="is a link"):
        import_from(lake, "mlflow", str(source))
    with pytest.raises(lf.InvalidInputError, match="no tracking store"):
        import_from(lake, "mlflow", str(tmp_path))


@pytest.mark.usefixtures("_entry_points")
def test_a_relative_place_is_refused() -> None:
    mlflow.set_tracking_uri("lakefolio:lake")
    try:
        with pytest.raises(lf.InvalidInputError, match="names no lake"):
            mlflow.search_experiments()
    finally:
        mlflow.set_tracking_uri(None)


def test_a_search_holds_a_page_and_a_part_of_the_runs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the order and the page, it finds what MLflow finds when it has all runs before it."""
    from mlflow.entities import ViewType
    from mlflow.utils.search_utils import SearchUtils

    from lakefolio.interop.mlflow import runs as runs_module
    from lakefolio.interop.mlflow.tracking import LakefolioTrackingStore

    store = LakefolioTrackingStore(f"lakefolio://{place}")
    experiment, other = store.create_experiment("many"), store.create_experiment("other")
    with store.lake.batch():
        for number in range(60):
            facts = {
                "mlflow.experiment_id": other if number % 10 == 7 else experiment,
                "mlflow.lifecycle_stage": "deleted" if number % 11 == 5 else "active",
                "mlflow.user_id": "ada",
                "tags.color": ("red", "blue", None)[number % 3],
            }
            run = store.lake.create_run(
                f"{number * 7919 % 100_000:032x}",
                started_at=dt.datetime.fromtimestamp(1_000 + number // 4, dt.UTC),  # four begin at the same time
                params={"size": number % 5} if number % 4 else {},
                metadata={key: value for key, value in facts.items() if value is not None},
            )
            metrics = {} if number % 6 == 1 else {"acc": float("nan") if number % 6 == 2 else number % 8 / 8}
            if metrics:
                run.log_metrics(metrics, 1)
            run.finish("done")
    parts = list(store._runs.of([experiment]))
    everything = [run for part in parts for run in part]
    assert [len(part) for part in parts] == [54]

    monkeypatch.setattr(runs_module, "_AT_ONCE", 20)
    read, held = [], []
    these, sort = store._runs.these, SearchUtils.sort

    def counted(run_ids: list[str], *, measured: bool = True) -> list[object]:
        read.append(len(run_ids))
        return these(run_ids, measured=measured)

    def counted_sort(runs: list[object], order_by: object) -> list[object]:
        held.append(len(runs))
        return sort(runs, order_by)

    monkeypatch.setattr(store._runs, "these", counted)
    searches = [
        (None, None, ViewType.ACTIVE_ONLY),
        (["metrics.acc DESC"], None, ViewType.ALL),
        (["metrics.acc", "params.size DESC"], "metrics.acc > 0.2", ViewType.ACTIVE_ONLY),
        (["tags.color DESC"], "params.size != '3'", ViewType.ALL),
        (["attributes.status", "start_time ASC"], None, ViewType.DELETED_ONLY),
    ]
    for order, text, view in searches:
        stages = {"active", "deleted"} if view == ViewType.ALL else {ViewType.to_string(view).partition("_")[0]}
        shown = [one for one in everything if one.info.lifecycle_stage in stages]
        expected = [dict(one) for one in sort(SearchUtils.filter(shown, text), order)]
        found, token = [], None
        with monkeypatch.context() as patched:
            patched.setattr(SearchUtils, "sort", counted_sort)
            while True:
                page = store.search_runs([experiment], text, view, 14, order, token)
                assert SearchUtils.parse_start_offset_from_page_token(token) == len(found)
                found += [dict(one) for one in page]
                token = page.token
                if token is None:
                    break
                assert len(page) == 14
        assert repr(found) == repr(expected), (order, text)
        assert len(found) > 3
    assert max(read) == 20
    assert max(held) <= 1 + 15 + 20  # the last run of the page before, a page and one more, a part
    for token in ("no token", SearchUtils.create_page_token(3)):
        with pytest.raises(mlflow.MlflowException, match="Invalid page token"):
            store.search_runs([experiment], None, ViewType.ALL, page_token=token)
