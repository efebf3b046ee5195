"""Whatever is added comes back equal, or add refuses it with an error of the library; nothing else happens."""

import collections
import datetime as dt
import decimal
import enum
import zoneinfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from items_support import roundtrip
from thoroughness import examples

from lakefolio.errors import InvalidInputError, LakefolioError, UnsupportedTypeError
from lakefolio.items import handler_for
from lakefolio.items.round_trip import first_difference
from lakefolio.testing.need import need

pd = need("pandas", "pandas")
pl = need("polars", "polars")

FEW = settings(deadline=None, max_examples=examples(150), suppress_health_check=list(HealthCheck))


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


Pair = collections.namedtuple("Pair", "a b")
ZONES = st.sampled_from([None, dt.UTC, zoneinfo.ZoneInfo("Europe/Paris"), dt.timezone(dt.timedelta(hours=-12))])
MOMENTS = st.datetimes(timezones=ZONES, allow_imaginary=False) | st.sampled_from([dt.datetime.max, dt.datetime.min])
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.sampled_from([10**310, -(10**305)]),
    st.floats(),
    st.decimals(),
    st.fractions(),
    st.complex_numbers(),
    st.booleans(),
)
SCALARS = st.one_of(
    NUMBERS,
    st.none(),
    st.text(max_size=5),
    st.text(st.characters(categories=["Cs", "Lu"]), max_size=2),
    st.binary(max_size=5),
    MOMENTS,
    st.dates(),
    st.times(timezones=ZONES),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from([Colour.RED, Level.LOW, range(3), ..., int, pd.NaT, pd.NA, pd.Timestamp("2020"), np.float64(0.1)]),
    nps.from_dtype(np.dtype("M8[ns]")),
    nps.from_dtype(np.dtype("f4")),
)
HASHABLE = st.one_of(st.integers(-(2**70), 2**70), st.text(max_size=3), st.booleans(), st.dates(), st.none())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(HASHABLE | st.tuples(HASHABLE, HASHABLE), inner, max_size=3),
        st.sets(HASHABLE, max_size=3),
        st.frozensets(HASHABLE, max_size=3),
        st.builds(collections.deque, st.lists(inner, max_size=3), st.sampled_from([None, 5])),
        st.builds(collections.OrderedDict, st.dictionaries(st.text(max_size=2), inner, max_size=2)),
        st.builds(collections.defaultdict, st.sampled_from([list, None]), st.dictionaries(HASHABLE, inner, max_size=2)),
        st.builds(Pair, inner, inner),
    ),
    max_leaves=8,
)


def comes_back_or_is_refused(value: object, kind: str | None = None) -> object:
    """Return what came back, or None if adding was refused."""
    try:
        back = roundtrip(value, kind)
    except LakefolioError as exc:
        assert isinstance(exc, (InvalidInputError, UnsupportedTypeError)), repr(exc)
        assert exc.message
        return None
    return back


@given(VALUES)
@FEW
def test_values(value: object) -> None:
    try:
        handler_for(value)
    except UnsupportedTypeError:
        return
    back = comes_back_or_is_refused(value, "json")
    if back is None:
        return
    found = first_difference(value, back)
    assert found is None or isinstance(found[0].value, (dt.datetime, dt.time, dt.tzinfo)), found


@given(
    st.one_of(
        nps.arrays(nps.scalar_dtypes(), nps.array_shapes(min_dims=0, max_side=3)),
        nps.arrays(nps.array_dtypes(max_size=3), nps.array_shapes(max_dims=2, max_side=2)),
    )
)
@FEW
def test_arrays(array: np.ndarray) -> None:
    back = comes_back_or_is_refused(array)
    assert back is None or first_difference(array, back) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "a.b", "a[]", "", 1, None, ("x", 1), dt.date(2020, 1, 1)]),
            st.one_of(
                st.lists(SCALARS, min_size=3, max_size=3),
                st.lists(NUMBERS, min_size=3, max_size=3),
                st.lists(st.integers(-(2**70), 2**70) | st.none(), min_size=3, max_size=3),
                st.lists(MOMENTS, min_size=3, max_size=3),
                st.lists(st.lists(st.integers(-(2**63), 2**63 - 1) | st.none(), max_size=2), min_size=3, max_size=3),
                st.lists(VALUES, min_size=3, max_size=3),
            ),
            st.booleans(),
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda column: str(column[0]),
    )
)
@FEW
def test_frames_of_objects(columns: list) -> None:
    made = {}
    for label, cells, as_object in columns:
        try:
            made[label] = pd.Series(_objects(cells)) if as_object else pd.Series(cells)
        except (ValueError, TypeError, OverflowError, AttributeError):
            made[label] = pd.Series(_objects(cells))
    frame = pd.DataFrame(made)
    back = comes_back_or_is_refused(frame)
    if back is None:
        return
    assert list(map(str, back.dtypes)) == list(map(str, frame.dtypes))
    for place in range(frame.shape[1]):
        for before, after in zip(frame.iloc[:, place], back.iloc[:, place], strict=True):
            assert _same(before, after), (before, after)


def _objects(cells: list) -> np.ndarray:
    made = np.empty(len(cells), object)
    for place, cell in enumerate(cells):
        made[place] = cell
    return made


def _same(before: object, after: object) -> bool:
    if isinstance(before, decimal.Decimal):
        return before == after or before.is_nan()
    if isinstance(before, (dt.datetime, dt.time)) and before is not pd.NaT:
        return before == after
    return first_difference(before, after) is None or repr(before) == repr(after)


@given(st.dictionaries(st.text(max_size=3), st.lists(st.none() | NUMBERS, min_size=2, max_size=2), max_size=3))
@FEW
def test_polars_frames(columns: dict) -> None:
    try:
        frame = pl.DataFrame(columns, strict=False)
    except BaseException as exc:  # polars may panic
        if isinstance(exc, (KeyboardInterrupt, SystemExit)):
            raise
        return
    back = comes_back_or_is_refused(frame)
    if back is not None:
        assert back.schema == frame.schema
        assert repr(back.rows()) == repr(frame.rows())


class Sub(pd.DataFrame):
    @property
    def _constructor(self):
        return Sub


class WithUnit(np.ndarray):
    pass


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Sub({"a": [1]}), "frame-subclass"),
        (np.arange(3).view(WithUnit), "array-subclass"),
        (np.char.array(["a"]), "array-subclass"),
        (np.ma.MaskedArray([1], hard_mask=True), "array-subclass"),
    ],
)
def test_subclasses_that_would_lose_something_are_refused(value: object, kind: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        roundtrip(value)
    assert caught.value.kind == kind


def test_integers_of_any_size_and_flags_come_back_in_a_frame() -> None:
    frame = pd.DataFrame(
        {
            "id": np.array([2**70, None, -1], dtype=object),
            "unsigned": np.array([2**64 - 1, 0, 1], dtype="uint64"),
            "nullable": pd.array([1582218195625938945, None, 1], dtype="Int64"),
        },
        index=pd.Index([2**80, 1, 2], dtype=object),
    ).set_flags(allows_duplicate_labels=False)
    back = roundtrip(frame)
    pd.testing.assert_frame_equal(back, frame, check_flags=True)
    assert back["id"].tolist() == [2**70, None, -1]
    assert back.index.tolist() == [2**80, 1, 2]
