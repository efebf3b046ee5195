"""Kind model: scikit-learn estimators as skops; loading builds only what the reader trusts."""

# ruff: noqa: E402  (scikit-learn may be absent)

import io
import json
import pickle
import sys
import zipfile

import numpy as np
import pytest
from items_support import MemorySource, roundtrip, store

from lakefolio.errors import IntegrityError, InvalidInputError, UnsupportedTypeError, UntrustedContentError
from lakefolio.items import handler_for, handler_of
from lakefolio.testing.need import need

need("sklearn", "sklearn")
need("skops", "sklearn")

from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 4))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
HERE = __name__


class Doubler(TransformerMixin, BaseEstimator):
    def __init__(self, factor: float = 2.0) -> None:
        self.factor = factor

    def fit(self, x, y=None):
        self.seen_ = len(x)
        return self

    def transform(self, x):
        return np.asarray(x) * self.factor


class Duck:
    def fit(self, x, y=None):
        self.mean = float(np.mean(y))
        return self

    def predict(self, x):
        return np.full(len(x), self.mean)


def halve(x):
    return x / 2


MODELS = [
    LogisticRegression(),
    Ridge(alpha=0.5),
    SVC(probability=False),
    DecisionTreeClassifier(random_state=0),
    RandomForestClassifier(5, random_state=0),
    RandomForestRegressor(3, random_state=0, max_features=2),
    GradientBoostingClassifier(n_estimators=3, random_state=0),
    HistGradientBoostingClassifier(max_iter=3, random_state=0),
    BaggingClassifier(DecisionTreeClassifier(), 3, max_features=2, random_state=0),
    IsolationForest(n_estimators=5, random_state=0),
    make_pipeline(StandardScaler(), PCA(2), RandomForestClassifier(3, random_state=0)),
    Pipeline([("c", ColumnTransformer([("s", StandardScaler(), [0, 1])])), ("m", LogisticRegression())]),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_fitted_models_come_back_without_asking_for_trust(model: BaseEstimator) -> None:
    model.fit(X, Y)
    assert handler_for(model).kind == "model"
    back = roundtrip(model)
    assert type(back) is type(model)
    assert np.array_equal(back.predict(X), model.predict(X))
    assert str(back.get_params()) == str(model.get_params())


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_the_same_training_gives_the_same_bytes(model: BaseEstimator) -> None:
    from sklearn.base import clone

    first = store(clone(model).fit(X, Y))[0].content
    junk = [bytearray(1000) for _ in range(100)]
    second = store(clone(model).fit(X, Y))[0].content
    assert first == second
    assert len(junk) == 100


def test_metrics_with_arrays_of_their_own_need_the_readers_trust() -> None:
    weights = {"V": np.var(X, axis=0)}
    model = KNeighborsClassifier(metric="seuclidean", metric_params=weights, algorithm="ball_tree").fit(X, Y)
    with pytest.raises(UntrustedContentError) as caught:
        roundtrip(model)
    assert caught.value.objects["types"] == ["sklearn.metrics._dist_metrics.SEuclideanDistance64"]
    for trusted in (caught.value.objects["types"], ["sklearn"]):
        assert np.array_equal(roundtrip(model, trusted=trusted).predict(X), model.predict(X))


def test_unfitted_and_encoders_come_back() -> None:
    assert roundtrip(Ridge(alpha=3)).alpha == 3
    encoder = OneHotEncoder(handle_unknown="ignore").fit([["a"], ["b"]])
    assert roundtrip(encoder).transform([["b"]]).toarray().tolist() == [[0.0, 1.0]]


def test_details() -> None:
    pd = need("pandas", "pandas")
    model = RandomForestClassifier(3, random_state=0).fit(pd.DataFrame(X, columns=list("abcd")), Y)
    _, encoded = store(model, hyperparameters={"depth": 3}, custom=True)
    assert encoded.format == "skops"
    assert encoded.details["class"] == "sklearn.ensemble._forest.RandomForestClassifier"
    assert encoded.details["model_type"] == "RandomForestClassifier"
    assert encoded.details["params"]["n_estimators"] == 3
    assert encoded.details["hyperparameters"] == {"depth": 3}
    assert encoded.details["n_features_in"] == 4
    assert encoded.details["feature_names_in"] == list("abcd")
    assert set(encoded.details["versions"]) == {"sklearn", "skops"}


def test_a_class_of_ones_own_needs_the_readers_trust() -> None:
    pipeline = make_pipeline(Doubler(3.0), FunctionTransformer(halve), LogisticRegression()).fit(X, Y)
    source, encoded = store(pipeline)
    decode = handler_of("model").decode
    with pytest.raises(UntrustedContentError) as caught:
        decode(source, encoded.details)
    assert caught.value.objects["types"] == [f"{HERE}.Doubler", f"{HERE}.halve"]
    assert isinstance(caught.value, TypeError)
    with pytest.raises(UntrustedContentError) as caught:
        decode(source, encoded.details, trusted=[Doubler])
    assert caught.value.objects["types"] == [f"{HERE}.halve"]
    for trusted in ([Doubler, halve], [HERE], [f"{HERE}.Doubler", f"{HERE}.halve"]):
        back = decode(source, encoded.details, trusted=trusted)
        assert np.array_equal(back.predict(X), pipeline.predict(X))
    # what the file's details say about trust is nobody's business
    with pytest.raises(UntrustedContentError):
        decode(source, {**encoded.details, "trusted": [HERE]})
    for wrong in (True, "sklearn", 3):
        with pytest.raises(InvalidInputError) as refused:
            decode(source, encoded.details, trusted=wrong)
        assert refused.value.kind == "bad-trust-list"


def test_something_that_only_looks_like_an_estimator() -> None:
    duck = Duck().fit(X, Y)
    assert handler_for(duck).kind == "model"
    assert roundtrip(duck, trusted=[Duck]).mean == duck.mean
    with pytest.raises(UntrustedContentError):
        roundtrip(duck)


def test_loading_imports_no_module_that_is_not_trusted(tmp_path, monkeypatch) -> None:
    (tmp_path / "lakefolio_evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    source, encoded = store(Doubler())
    evil = rewritten(source.content, lambda text: text.replace(f'"{HERE}"', '"lakefolio_evil"'))
    with pytest.raises(UntrustedContentError) as caught:
        handler_of("model").decode(MemorySource(evil), encoded.details)
    assert caught.value.objects["types"] == ["lakefolio_evil.Doubler"]
    assert "lakefolio_evil" not in sys.modules


def rewritten(content: bytes, change, members=None) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(target, "w") as made:
        for name in archive.namelist():
            data = archive.read(name)
            if name == "schema.json":
                data = change(data.decode()).encode()
            elif members is not None:
                data = members(name, data)
            made.writestr(name, data)
    return target.getvalue()


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


def test_a_pickle_is_never_loaded() -> None:
    for content in (pickle.dumps(Bomb()), b"\x80\x04", b""):
        with pytest.raises(IntegrityError) as caught:
            handler_of("model").decode(MemorySource(content), {"format": "pickle"})
        assert caught.value.kind == "bad-content"


def test_a_file_that_names_a_dangerous_function_is_refused() -> None:
    source, _ = store(make_pipeline(FunctionTransformer(halve)))
    evil = rewritten(source.content, lambda text: text.replace(f'"{HERE}"', '"os"').replace('"halve"', '"system"'))
    with pytest.raises(UntrustedContentError) as caught:
        handler_of("model").decode(MemorySource(evil), {})
    assert "os.system" in caught.value.objects["types"]


def with_index(content: bytes, field: str, value: int) -> bytes:
    """Return a model whose trees have another value in a field of their first node."""

    def change(name: str, data: bytes) -> bytes:
        array = np.load(io.BytesIO(data))
        if array.dtype.names and field in array.dtype.names:
            array[field][0] = value
            buffer = io.BytesIO()
            np.save(buffer, array)
            return buffer.getvalue()
        return data

    return rewritten(content, lambda text: text, change)


@pytest.mark.parametrize("field", ["left_child", "right_child", "feature"])
@pytest.mark.parametrize("value", [10**6, 0, -7])
def test_trees_with_wild_indices_are_refused(field: str, value: int) -> None:
    if field == "feature" and value == 0:
        value = 4
    model = RandomForestClassifier(2, random_state=0).fit(X, Y)
    source, encoded = store(model)

    with pytest.raises(IntegrityError) as caught:
        handler_of("model").decode(MemorySource(with_index(source.content, field, value)), encoded.details)
    assert caught.value.kind == "unsafe-tree"


@pytest.mark.parametrize(("field", "value"), [("left", 10**6), ("right", 0), ("feature_idx", 50)])
def test_histogram_trees_with_wild_indices_are_refused(field: str, value: int) -> None:
    model = HistGradientBoostingClassifier(max_iter=2, random_state=0).fit(X, Y)
    source, _ = store(model)

    with pytest.raises(IntegrityError) as caught:
        handler_of("model").decode(MemorySource(with_index(source.content, field, value)), {})
    assert caught.value.kind == "unsafe-tree"


def test_a_forest_that_promises_fewer_features_than_its_trees_use_is_refused() -> None:
    model = RandomForestClassifier(2, random_state=0).fit(X, Y)
    source, _ = store(model)
    schema = json.loads(zipfile.ZipFile(io.BytesIO(source.content)).read("schema.json"))
    schema["content"]["content"]["n_features_in_"]["content"] = "1"
    evil = rewritten(source.content, lambda text: json.dumps(schema))
    with pytest.raises(IntegrityError) as caught:
        handler_of("model").decode(MemorySource(evil), {})
    assert caught.value.kind == "unsafe-tree"
    model.n_features_in_ = 1
    with pytest.raises(UnsupportedTypeError) as refused:
        store(model)
    assert refused.value.kind == "unsupported-model"


def test_what_cannot_come_back_is_refused_when_it_is_added() -> None:
    with pytest.raises(InvalidInputError) as caught:
        store(make_pipeline(FunctionTransformer(lambda x: x)))
    assert caught.value.kind == "unreachable-class"

    class Local(Doubler):
        pass

    with pytest.raises(InvalidInputError) as caught:
        store(Local())
    assert caught.value.kind == "unreachable-class"
    with pytest.raises(UnsupportedTypeError):
        store(LogisticRegression, "model")
    broken = Ridge()
    broken.handle = (one for one in ())
    with pytest.raises(UnsupportedTypeError) as unsupported:
        store(broken)
    assert unsupported.value.kind == "unsupported-model"
    with pytest.raises(UnsupportedTypeError):
        handler_for(LogisticRegression)


def test_a_class_that_is_gone_says_so() -> None:
    source, _ = store(Doubler())
    gone = rewritten(source.content, lambda text: text.replace('"Doubler"', '"Vanished"'))
    with pytest.raises(UnsupportedTypeError) as caught:
        handler_of("model").decode(MemorySource(gone), {}, trusted=[HERE])
    assert caught.value.kind == "missing-class"


def test_damaged_files_are_integrity_errors() -> None:
    source, _ = store(Ridge().fit(X, Y))
    for content in (source.content[:-30], rewritten(source.content, lambda text: text[:-5])):
        with pytest.raises(IntegrityError):
            handler_of("model").decode(MemorySource(content), {})


def test_skops_itself_reads_the_file() -> None:
    import skops.io

    model = Ridge().fit(X, Y)
    source, _ = store(model)
    assert np.array_equal(skops.io.loads(source.content).predict(X), model.predict(X))
    with zipfile.ZipFile(io.BytesIO(source.content)) as archive:
        assert json.loads(archive.read("schema.json"))["__class__"] == "Ridge"
