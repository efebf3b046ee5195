"""Kind model: adding proves that the model comes back, or refuses it and names the part that would not."""

# ruff: noqa: E402  (scikit-learn may be absent)

import collections
import datetime as dt
import decimal
import enum
import fractions
import functools
import pathlib
import re
import subprocess
import sys
import textwrap
import typing
import uuid

import numpy as np
import pytest
from items_support import roundtrip, store

import lakefolio as lf
from lakefolio.errors import InvalidInputError, LakefolioError, UnsupportedTypeError, UntrustedContentError
from lakefolio.items.round_trip import first_difference
from lakefolio.testing.need import need

need("sklearn", "sklearn")
need("skops", "sklearn")
pd = need("pandas", "pandas")

import scipy.stats
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, StackingClassifier, VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, RationalQuadratic, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, TweedieRegressor
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

HERE = __name__


class Holder(BaseEstimator):
    def __init__(self, value: object = None) -> None:
        self.value = value

    def fit(self, x: object, y: object = None) -> "Holder":
        return self

    def predict(self, x: object) -> object:
        return x


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


class OwnList(list):
    pass


class OwnDict(dict):
    pass


class Pair(typing.NamedTuple):
    a: int
    b: int


class Plain:
    def __init__(self) -> None:
        self.numbers = [1, 2]


class Slotted:
    __slots__ = ("a",)

    def __init__(self) -> None:
        self.a = 1


def own_list_with_an_attribute() -> OwnList:
    made = OwnList([1])
    made.unit = "m"
    return made


SHARED = [1, 2]
CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)

COME_BACK = {
    "random state": np.random.RandomState(0),
    "generator": np.random.default_rng(0),
    "philox": np.random.Generator(np.random.Philox(1)),
    "object array": np.array([1, "a", None, [2]], object),
    "object matrix": np.array([[1, "a"], [None, 2.0]], object),
    "masked array": np.ma.MaskedArray([1.0, 2.0], [False, True]),
    "Fortran order": np.asfortranarray(np.ones((2, 3))),
    "records": np.array([(1, 2.0)], [("a", "i1"), ("b", "f8")]),
    "dates": np.array(["2020-01-01"], "M8[D]"),
    "empty": np.zeros((0, 3)),
    "no dimension": np.array(3),
    "big endian": np.array([1], ">i4"),
    "matrix": np.matrix([[1]]),
    "csr": sparse.csr_matrix(np.eye(3)),
    "csc array": sparse.csc_array(np.eye(3)),
    "own list": OwnList([1]),
    "own dict": OwnDict(a=1),
    "defaultdict": collections.defaultdict(list, a=[1]),
    "OrderedDict": collections.OrderedDict(b=1, a=2),
    "Counter": collections.Counter("aab"),
    "namedtuple": Pair(1, 2),
    "set": {1, 2},
    "frozenset": frozenset([1]),
    "range": range(3),
    "slice": slice(1, 2),
    "bytes": b"x",
    "bytearray": bytearray(b"x"),
    "Decimal": decimal.Decimal("1.10"),
    "Fraction": fractions.Fraction(1, 3),
    "date": dt.date(2020, 1, 1),
    "datetime": dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
    "timedelta": dt.timedelta(1),
    "nan": float("nan"),
    "infinity": float("-inf"),
    "minus zero": -0.0,
    "large int": 10**400,
    "int keys": {1: "a", 2: "b"},
    "partial": functools.partial(np.add, 1),
    "path": pathlib.Path("a"),
    "uuid": uuid.UUID(int=7),
    "numpy number": np.float64(1.5),
    "numpy text": np.str_("a"),
    "numpy date": np.datetime64("2020"),
    "dtype": np.dtype("f4"),
    "records' dtype": np.dtype([("a", "i4")]),
    "type": int,
    "function": np.mean,
    "method": Ridge().fit,
    "shared list": [SHARED, SHARED],
    "equal lists": [[1, 2], [1, 2]],
    "own class": Plain(),
    "estimator": LogisticRegression().fit([[0.0], [1.0]], [0, 1]),
    "surrogate": "\ud800",
}

REFUSED = {
    "deque": (collections.deque([1.0, 2.0], maxlen=3), ".value", "collections.deque"),
    "deque inside": ({"a": {"b": collections.deque([1])}}, ".value['a']['b']", "collections.deque"),
    "pattern": (re.compile("a"), ".value", "re.Pattern"),
    "pandas time": (pd.Timestamp("2020"), ".value", "Timestamp"),
    "Enum": (Colour.RED, ".value", "Colour"),
    "IntEnum": (Level.LOW, ".value", "Level"),
    "method of a type": (str.split, ".value", "method_descriptor"),
    "bit generator": (np.random.PCG64(1), ".value", "PCG64"),
    "frame": (pd.DataFrame({"a": [1]}), ".value", None),
    "series in a list": ([1, pd.Series([1, 2])], ".value[1]", None),
    "dtype's metadata": (np.zeros(2, np.dtype("f8", metadata={"unit": "m"})), ".value", "ndarray"),
    "aligned records": (np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True)), ".value", "ndarray"),
    "fill value": (np.ma.MaskedArray([1, 2], [0, 1], fill_value=7), ".value", "MaskedArray"),
    "defaultdict of int keys": (collections.defaultdict(list, {1: [1]}), ".value", "defaultdict"),
    "complex": (1 + 2j, ".value", "complex"),
    "tuple keys": ({(1, 2): 3}, ".value", "dict"),
    "None key": ({None: 1}, ".value", "dict"),
    "bool keys": ({True: 1, False: 2}, ".value", "dict"),
    "keys equal as text": ({1: "a", "1": "b"}, ".value", "dict"),
    "a property in a dict": ({"a": property(id)}, ".value", "dict"),
    "attribute of a list": (own_list_with_an_attribute(), ".value", "OwnList"),
    "slots": (Slotted(), ".value", "Slotted"),
    "recarray": (np.rec.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]), ".value", "recarray"),
    "Ellipsis": (..., ".value", "ellipsis"),
    "module": (np, ".value", "module"),
    "circle": (CIRCLE, ".value", "list"),
    "lil": (sparse.lil_matrix(np.eye(3)), ".value", "lil_matrix"),
    "generator": ((one for one in ()), ".value", "generator"),
}


@pytest.mark.parametrize("name", COME_BACK)
def test_what_an_estimator_holds_comes_back(name: str) -> None:
    model = Holder(COME_BACK[name])
    back = roundtrip(model, trusted=[HERE, "numpy", "sklearn", "scipy", "builtins", *_STANDARD])
    assert first_difference(model, back) is None


_STANDARD = ["collections", "datetime", "decimal", "fractions", "functools", "pathlib", "uuid", "copyreg", "_decimal"]


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("nested", [False, True])
def test_what_would_not_come_back_is_refused_by_its_path(name: str, nested: bool) -> None:
    value, path, kind = REFUSED[name]
    model: BaseEstimator = Holder(value)
    if nested:
        model, path = make_pipeline(StandardScaler(), model), f".steps[1][1]{path}"
    with pytest.raises(UnsupportedTypeError) as caught:
        store(model)
    assert caught.value.kind == "unsupported-model"
    assert caught.value.path == path
    assert kind is None or caught.value.type.endswith(kind)
    assert path.lstrip(".") in str(caught.value)


def test_a_tokenizer_that_is_a_method_of_str_is_refused() -> None:
    with pytest.raises(UnsupportedTypeError) as caught:
        store(TfidfVectorizer(tokenizer=str.split))
    assert caught.value.path == ".tokenizer"


def test_a_lambda_is_refused_by_its_path() -> None:
    with pytest.raises(InvalidInputError) as caught:
        store(make_pipeline(StandardScaler(), FunctionTransformer(lambda x: x)))
    assert caught.value.kind == "unreachable-class"
    assert caught.value.path == ".steps[1][1].func"


def test_shared_parts_stay_shared_and_equal_ones_apart() -> None:
    scaler = StandardScaler()
    model = FeatureUnion([("a", scaler), ("b", scaler), ("c", clone(scaler))])
    back = roundtrip(model)
    (_, first), (_, second), (_, third) = back.transformer_list
    assert first is second
    assert third is not first


def test_a_memmap_comes_back_as_an_array(tmp_path: pathlib.Path) -> None:
    mapped = np.memmap(tmp_path / "x", "f8", "w+", shape=(3,))
    mapped[:] = [1, 2, 3]
    back = roundtrip(Holder(mapped), trusted=[HERE, "numpy"])
    assert np.array_equal(back.value, mapped)


@pytest.mark.parametrize(
    "owner",
    [
        VotingClassifier(
            [("a", LogisticRegression()), ("b", RandomForestClassifier(3, random_state=0))], voting="soft"
        ),
        StackingClassifier([("a", LogisticRegression()), ("b", RandomForestClassifier(3, random_state=0))], cv=2),
        BaggingClassifier(RandomForestClassifier(2, random_state=0), n_estimators=2, random_state=0),
        VotingClassifier(
            [
                ("a", make_pipeline(StandardScaler(), LogisticRegression())),
                ("b", BaggingClassifier(n_estimators=2, random_state=0)),
            ],
            voting="soft",
        ),
    ],
    ids=["voting", "stacking", "bagging", "sequences"],
)
def test_an_ensemble_of_members_that_are_sequences_comes_back(owner: BaseEstimator) -> None:
    x = np.random.default_rng(0).normal(size=(40, 3))
    model = clone(owner).fit(x, x[:, 0] > 0)
    back = roundtrip(model)
    assert np.array_equal(back.predict_proba(x), model.predict_proba(x))


ORDINARY = {
    "search": GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=2),
    "search by a score": GridSearchCV(LogisticRegression(), {"C": [0.1]}, cv=StratifiedKFold(2), scoring="f1"),
    "search by scores": GridSearchCV(Ridge(), {"alpha": [1]}, cv=2, scoring=["r2", "neg_max_error"], refit="r2"),
    "random search": RandomizedSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=2, n_iter=1, random_state=0),
    "votes": VotingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier(random_state=0))]),
    "neighbours": make_pipeline(StandardScaler(), KNeighborsClassifier(algorithm="kd_tree")),
    "balls": KNeighborsRegressor(algorithm="ball_tree", metric="manhattan"),
    "process": GaussianProcessRegressor(ConstantKernel() * RBF() + WhiteKernel(), random_state=0),
    "process of classes": GaussianProcessClassifier(RationalQuadratic() + Matern()),
    "calibrated": CalibratedClassifierCV(LogisticRegression(), cv=2),
    "network": MLPClassifier((3,), max_iter=2, random_state=0),
    "chosen": make_pipeline(SimpleImputer(), SelectKBest(k=2), LogisticRegression()),
    "Tweedie": TweedieRegressor(),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ORDINARY)
def test_what_scikit_learn_makes_of_its_own_parts_needs_no_trust(name: str) -> None:
    x = np.random.default_rng(0).normal(size=(40, 3))
    model = clone(ORDINARY[name]).fit(x, (x[:, 0] > 0).astype(float))
    assert np.array_equal(roundtrip(model).predict(x), model.predict(x))


def test_no_score_of_scikit_learn_needs_trust() -> None:
    scores = [get_scorer(name) for name in get_scorer_names()]
    assert repr(roundtrip(GridSearchCV(Ridge(), {"alpha": [1]}, scoring=scores)).scoring) == repr(scores)


def test_parts_that_make_code_of_texts_need_trust() -> None:
    search = RandomizedSearchCV(LogisticRegression(), {"C": scipy.stats.loguniform(0.1, 1)})
    with pytest.raises(UntrustedContentError) as caught:
        roundtrip(search)
    assert "scipy.stats._distn_infrastructure.rv_continuous_frozen" in caught.value.objects["types"]


def test_a_refused_model_leaves_nothing_behind(tmp_path: pathlib.Path) -> None:
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("f")
    for add in (folio.add, folio.add_model, folio.add_sklearn, folio.add_data):
        with pytest.raises(LakefolioError) as caught:
            add("m", Holder(collections.deque([1.0, 2.0], maxlen=3)))
        assert caught.value.item == "m"
    assert lake.version == 0


@pytest.mark.parametrize("kind", [DeprecationWarning])
def test_every_estimator_of_scikit_learn_that_skops_writes_is_stored(kind: type[Warning]) -> None:
    """In a process of its own: what crashes must be a failure, not the end of the tests."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(_EVERY_ESTIMATOR)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    stored, _, refused = done.stdout.strip().splitlines()[-1].partition(" ")
    assert int(stored) > 150
    assert refused == "Birch"


_EVERY_ESTIMATOR = """
    import sys, tempfile, pathlib
    import numpy as np
    from lakefolio.errors import LakefolioError
    from lakefolio.items import handler_of
    from sklearn.utils import all_estimators

    handler, scratch = handler_of("model"), pathlib.Path(tempfile.gettempdir())
    x = np.abs(np.random.default_rng(0).normal(size=(30, 4)))
    y = (x[:, 0] > 0.6).astype(int)
    tries = ((x, y), (x,), (x[:, 0], y), (["a b", "c d a"],), ([{"a": 1}, {"b": 2}],), (np.c_[y, y],), (x, np.c_[y, y]))
    stored, refused = 0, []
    for name, kind in all_estimators():
        try:
            model = kind()
        except TypeError:
            continue
        for arguments in tries:
            try:
                model.fit(*arguments)
                break
            except Exception:
                continue
        else:
            continue
        try:
            handler.encode(model, scratch=scratch)
            stored += 1
        except LakefolioError as exc:
            refused.append(name)
    print(stored, *refused)
"""


def test_a_large_forest_is_proved_in_the_time_that_writing_takes() -> None:
    x = np.random.default_rng(0).normal(size=(500, 8))
    model = RandomForestClassifier(50, random_state=0).fit(x, x[:, 0] > 0)
    assert np.array_equal(roundtrip(model).predict(x), model.predict(x))
