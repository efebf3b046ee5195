"""Models whose arrays were changed by somebody: refused, never a crash.

Run as a script, with how many changes of each to try and the names of models, it loads and uses changed copies, each in
a child process, and prints those that ended otherwise than they should.
"""

# ruff: noqa: E402  (scikit-learn may be absent)

import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
from items_support import MemorySource, store

from lakefolio.errors import IntegrityError, LakefolioError
from lakefolio.items import handler_of
from lakefolio.items.sklearn_checks import check_model
from lakefolio.testing.need import need

need("sklearn", "sklearn")
need("skops", "sklearn")

from scipy import sparse
from sklearn.cluster import HDBSCAN, KMeans, MiniBatchKMeans
from sklearn.decomposition import LatentDirichletAllocation
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    IsolationForest,
)
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.neighbors import BallTree, KDTree, KernelDensity, KNeighborsClassifier, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.random_projection import SparseRandomProjection
from sklearn.svm import SVC, SVR, NuSVC, OneClassSVM

RANDOM = np.random.default_rng(0)
X = np.abs(RANDOM.normal(size=(60, 4)))
Y = (X[:, 0] > 0.6).astype(int)
TEXTS = ["aa bb", "cc dd aa"]
WORDS = [{"a": 1, "b": 2}, {"b": 3}]


def sparsified() -> LogisticRegression:
    return LogisticRegression().fit(X, Y).sparsify()


MODELS: dict[str, tuple[Callable[[], object], object]] = {
    "svc": (lambda: SVC().fit(X, Y), X),
    "sparse svc": (lambda: SVC().fit(sparse.csr_matrix(X), Y), sparse.csr_matrix(X)),
    "svr": (lambda: SVR().fit(X, X[:, 1]), X),
    "nu svc": (lambda: NuSVC().fit(X, Y), X),
    "one class": (lambda: OneClassSVM().fit(X), X),
    "svc of a kernel": (lambda: SVC(kernel="precomputed").fit(X @ X.T, Y), X @ X.T),
    "words": (lambda: CountVectorizer().fit(TEXTS), TEXTS),
    "weighted words": (lambda: make_pipeline(TfidfVectorizer()).fit(TEXTS), TEXTS),
    "dicts": (lambda: DictVectorizer().fit(WORDS), WORDS),
    "k means": (lambda: KMeans(3, n_init=1, random_state=0).fit(X), X),
    "mini k means": (lambda: MiniBatchKMeans(3, n_init=1, random_state=0).fit(X), X),
    "neighbours": (lambda: KNeighborsClassifier(algorithm="brute").fit(X, Y), X),
    "indexed neighbours": (lambda: KNeighborsClassifier(algorithm="kd_tree", leaf_size=5).fit(X, Y), X),
    "balls": (lambda: NearestNeighbors(algorithm="ball_tree", leaf_size=5, metric="manhattan").fit(X), X),
    "density": (lambda: KernelDensity(leaf_size=5).fit(X), X),
    "nearest": (lambda: NearestNeighbors(algorithm="brute").fit(X), X),
    "sparse coefficients": (sparsified, X),
    "projection": (lambda: SparseRandomProjection(2, random_state=0).fit(X), X),
    "extra trees": (lambda: ExtraTreesClassifier(2, random_state=0).fit(X, Y), X),
    "isolation": (lambda: IsolationForest(n_estimators=3, random_state=0).fit(X), X),
    "boosting": (lambda: GradientBoostingClassifier(n_estimators=2, random_state=0).fit(X, Y), X),
    "boosting of classes": (
        lambda: GradientBoostingClassifier(n_estimators=2, random_state=0).fit(X, np.arange(60) % 3),
        X,
    ),
    "boosted numbers": (lambda: GradientBoostingRegressor(n_estimators=2, random_state=0).fit(X, X[:, 1]), X),
    "histograms": (
        lambda: HistGradientBoostingClassifier(max_iter=2, categorical_features=[3]).fit(
            np.c_[X[:, :3], np.arange(60) % 5], Y
        ),
        X,
    ),
    "topics": (lambda: LatentDirichletAllocation(2, random_state=0).fit(X), X),
    "one hot": (lambda: OneHotEncoder(handle_unknown="ignore").fit(Y.reshape(-1, 1)), Y.reshape(-1, 1)),
    "clusters": (lambda: HDBSCAN(min_cluster_size=5, copy=True).fit(X), X),
    "descent": (lambda: make_pipeline(StandardScaler(), SGDClassifier(average=True, random_state=0)).fit(X, Y), X),
}
TRUSTED = ["scipy.sparse", "functools.partial", "sklearn.utils.validation.check_array"]
USES = (
    *("predict", "transform", "predict_proba", "decision_function", "score_samples", "kneighbors", "apply"),
    *("decision_path", "staged_predict", "inverse_transform", "partial_fit", "dbscan_clustering"),
)


def members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(parts: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return target.getvalue()


def saved(array: np.ndarray) -> bytes:
    target = io.BytesIO()
    np.save(target, array)
    return target.getvalue()


def changed_arrays(array: np.ndarray) -> list[np.ndarray]:
    found = [array[:0], array[: len(array) // 2], np.concatenate([array] * 50)] if array.ndim else []
    if array.ndim > 1:
        found += [np.ascontiguousarray(array[:, :1]), np.concatenate([array, array], 1), array.reshape(-1)]
    if array.dtype.kind in "iu":
        found += [np.full_like(array, min(10**8, np.iinfo(array.dtype).max)), np.zeros_like(array)]
    if array.dtype.kind == "i":
        found.append(np.full_like(array, -5))
    for field in array.dtype.names or ():
        for value in (10**8, 0, 200):
            made = array.copy()
            made[field] = np.array(value).astype(array.dtype[field])
            found.append(made)
    return found


def numbers_in(schema: object) -> list[dict]:
    if isinstance(schema, dict):
        own = [schema] if schema.get("__loader__") == "JsonNode" and schema["content"].lstrip("-").isdigit() else []
        return own + [one for value in schema.values() for one in numbers_in(value)]
    return [one for value in schema for one in numbers_in(value)] if isinstance(schema, list) else []


def mutations(content: bytes) -> list[bytes]:
    parts = members(content)
    found = []
    for name, data in parts.items():
        if name.endswith(".npy"):
            found += [packed({**parts, name: saved(one)}) for one in changed_arrays(np.load(io.BytesIO(data)))]
        elif name.endswith(".npz"):
            inside = dict(np.load(io.BytesIO(data)))
            for key in ("indices", "indptr"):
                for one in changed_arrays(inside[key]):
                    target = io.BytesIO()
                    np.savez(target, **{**inside, key: one})
                    found.append(packed({**parts, name: target.getvalue()}))
    schema = json.loads(parts["schema.json"])
    for node in numbers_in(schema)[:40]:
        before = node["content"]
        for value in ("-1", "3", "1000000"):
            node["content"] = value
            found.append(packed({**parts, "schema.json": json.dumps(schema).encode()}))
        node["content"] = before
    return found


def used_in_a_child(content: bytes, data: object) -> tuple[str, int]:
    """Load and use a model in a process of its own; return what happened, and the signal that ended it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        outcome = b"used"
        try:
            signal.setitimer(signal.ITIMER_PROF, 2)  # seconds of this process, however busy the machine is
            signal.alarm(60)
            for descriptor in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
            try:
                model = handler_of("model").decode(MemorySource(content), {}, trusted=TRUSTED)
                for name in USES:
                    use(model, name, data)
            except LakefolioError:
                outcome = b"refused"
            except BaseException as exc:
                outcome = f"raised {exc!r}"[:200].encode()
            os.write(writing, outcome)
        finally:
            os._exit(0)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        return pipe.read().decode(), os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def use(model: object, name: str, data: object) -> None:
    method = getattr(model, name, None)
    if method is None:
        return
    try:
        found = (
            method(0.5) if name == "dbscan_clustering" else method(data, Y) if name == "partial_fit" else method(data)
        )
        if hasattr(found, "toarray") and np.prod(found.shape) < 10**7:
            found.toarray()
        elif hasattr(found, "__next__"):
            list(found)
    except Exception:  # any error but one of the library's is as good as a result: the process lives
        return


def failures(name: str, most: int) -> list[str]:
    """Return what went wrong with the changed copies of one model, of which ``most`` are tried."""
    make, data = MODELS[name]
    content = store(make())[0].content
    first = used_in_a_child(content, data)
    found = [] if first == ("used", 0) else [f"{name} itself: {first}"]
    changed = list(enumerate(mutations(content)))
    for number, evil in changed[:: max(len(changed) // most, 1)]:
        outcome, ended = used_in_a_child(evil, data)
        # the timer is no failure: a huge number of loops is slow, not unsafe
        if ended not in (0, signal.SIGPROF) or outcome not in ("used", "refused", ""):
            found.append(f"{name}, change {number}: {outcome}, ended by {ended}")
    return found


@pytest.mark.parametrize("first", range(0, len(MODELS), 5))
def test_no_change_of_one_array_or_number_crashes_the_reader(first: int) -> None:
    names = list(MODELS)[first : first + 5]
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # threads don't outlive a fork
    environment = os.environ | one_thread | {"PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, __file__, "12", *names], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr[-1000:]


def with_array(content: bytes, like: np.ndarray, instead: np.ndarray) -> bytes:
    parts = members(content)
    for name, data in parts.items():
        if name.endswith(".npy") and (one := np.load(io.BytesIO(data))).shape == like.shape and (one == like).all():
            return packed({**parts, name: saved(instead)})
    raise AssertionError("no such array")


@pytest.mark.parametrize(
    "change",
    [
        lambda model: (model.support_vectors_, model.support_vectors_[:1]),
        lambda model: (model.support_vectors_, model.support_vectors_[:, :2]),
        lambda model: (model._dual_coef_, model._dual_coef_[:, :1]),
        lambda model: (model.support_, np.tile(model.support_, 9)),
        lambda model: (model._n_support, model._n_support * 100),
        lambda model: (model._n_support, -model._n_support),
        lambda model: (model._intercept_, model._intercept_[:0]),
    ],
)
def test_support_vectors_that_do_not_fit_each_other_are_refused(change) -> None:
    model = SVC().fit(X, Y)
    before, after = change(model)
    with pytest.raises(IntegrityError) as caught:
        handler_of("model").decode(MemorySource(with_array(store(model)[0].content, before, after)), {})
    assert caught.value.kind == "unsafe-model"


def test_centers_and_neighbours_of_another_width_are_refused() -> None:
    for model, array in (
        (KMeans(3, n_init=1, random_state=0).fit(X), "cluster_centers_"),
        (NearestNeighbors(algorithm="brute").fit(X), "_fit_X"),
    ):
        before = getattr(model, array)
        evil = with_array(store(model)[0].content, before, np.ascontiguousarray(before[:, :2]))
        with pytest.raises(IntegrityError) as caught:
            handler_of("model").decode(MemorySource(evil), {})
        assert caught.value.kind == "unsafe-model"


def test_more_boosted_trees_than_predictions_are_refused() -> None:
    model = GradientBoostingClassifier(n_estimators=2, random_state=0).fit(X, np.arange(60) % 3)
    parts = members(store(model)[0].content)
    schema = json.loads(parts["schema.json"])
    init = schema["content"]["content"]["init_"]["content"]["content"]
    two = GradientBoostingClassifier(n_estimators=2, random_state=0).fit(X, Y).init_
    prior = with_array(packed(parts), model.init_.class_prior_, two.class_prior_)
    parts = members(prior)
    init["n_classes_"]["content"] = "2"
    evil = packed({**parts, "schema.json": json.dumps(schema).encode()})
    with pytest.raises(IntegrityError):
        handler_of("model").decode(MemorySource(evil), {})


@pytest.mark.parametrize("kind", [KDTree, BallTree])
@pytest.mark.parametrize(
    ("place", "change"),
    [
        (0, lambda points: points[:-1].copy()),
        (1, lambda places: places + 60),
        (1, lambda places: places[:-1].copy()),
        (2, lambda nodes: with_field(nodes, "idx_end", 10**9)),
        (2, lambda nodes: with_field(nodes, "idx_start", -1)),
        (2, lambda nodes: with_field(nodes, "is_leaf", 0)),
        (2, lambda nodes: nodes[:-1].copy()),
        (3, lambda bounds: bounds[:, :-1].copy()),
        (6, lambda count: count + 1),
        (11, lambda metric: None),
        (12, lambda weights: np.ones(1)),
    ],
)
def test_an_index_that_leads_outside_of_its_points_is_refused(kind: type, place: int, change: Callable) -> None:
    index = kind(X, leaf_size=5)
    state = list(index.__getstate__())
    state[place] = change(state[place])
    index.__setstate__(tuple(state))
    with pytest.raises(LakefolioError, match="index of neighbours"):
        check_model(index)


def with_field(nodes: np.ndarray, name: str, value: int) -> np.ndarray:
    changed = nodes.copy()
    changed[name] = value
    return changed


if __name__ == "__main__":
    wrong = [one for name in sys.argv[2:] for one in failures(name, int(sys.argv[1]))]
    print(*wrong, sep="\n", end="")
