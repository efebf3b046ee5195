"""Kind json: the same value comes back, as strict JSON that others read."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import json
import math
import pathlib
import sys
import types
import typing
import uuid
import zoneinfo

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from items_support import MemorySource, roundtrip, store
from thoroughness import examples

import lakefolio as lf
from lakefolio.errors import FormatError, IntegrityError, InvalidInputError, UnsupportedTypeError
from lakefolio.format.json_decode import loads
from lakefolio.format.json_encode import MAX_DEPTH, dumps
from lakefolio.items import handler_for, handler_of
from lakefolio.testing.need import need


class Colour(enum.Enum):
    RED = "red"
    POINT = (1, 2)


class Level(enum.IntEnum):
    LOW = 1


class Bits(enum.Flag):
    A = 1
    B = 2


@dataclasses.dataclass
class Config:
    rate: float
    tags: tuple[str, ...] = ()
    nested: "Config | None" = None

    def __post_init__(self) -> None:
        if sys.modules[__name__].FORBID_INIT:
            raise AssertionError("loading must not run methods of the class")


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    name: str


class Pair(typing.NamedTuple):
    left: int
    right: str


FORBID_INIT = False


def same(one: object, other: object) -> bool:
    """Equal, of the same types all the way down, NaN equal to NaN, 0.0 different from -0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    if isinstance(one, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, Config):
        return same(dataclasses.astuple(one), dataclasses.astuple(other))
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            same(key, key2) and same(value, value2)
            for (key, value), (key2, value2) in zip(one.items(), other.items(), strict=True)
        )
    if isinstance(one, (list, tuple, collections.deque)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, (dt.datetime, dt.time)):
        return repr(one) == repr(other)
    if isinstance(one, decimal.Decimal):
        return str(one) == str(other)
    return bool(one == other)


zones = st.sampled_from(
    [None, dt.UTC, dt.timezone(dt.timedelta(hours=-3, minutes=-30)), zoneinfo.ZoneInfo("Europe/Paris")]
)
hashable = (
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats()
    | st.text()
    | st.binary(max_size=20)
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.uuids()
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.datetimes(timezones=zones, allow_imaginary=False)
    | st.complex_numbers()
    | st.sampled_from(
        [Colour.RED, Colour.POINT, Level.LOW, Bits.A, Frozen("x"), Pair(1, "b"), pathlib.PurePosixPath("a/b"), range(3)]
    )
    | st.sampled_from([np.float32(0.1), np.int8(-3), np.bool_(True), np.str_("ä"), np.datetime64("2020-01-01T00", "s")])
)
keys = hashable.filter(lambda key: key == key)
values = st.recursive(
    hashable,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.just("$type"), inner, max_size=4)
        | st.dictionaries(keys, inner, max_size=3)
        | st.lists(inner, max_size=3).map(collections.deque)
        | st.builds(Config, rate=st.floats(), tags=st.tuples(st.text()))
        | st.dictionaries(st.text(), inner, max_size=3).map(collections.OrderedDict)
    ),
    max_leaves=12,
)


@settings(max_examples=examples(300), deadline=None)
@given(values)
def test_the_same_value_comes_back(value: object) -> None:
    text = dumps(value)
    assert same(value, loads(text))
    assert dumps(value) == text
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@settings(max_examples=examples(100), deadline=None)
@given(st.sets(st.integers() | st.text(), max_size=5))
def test_sets_come_back_and_give_the_same_bytes_in_any_order(value: set[object]) -> None:
    assert loads(dumps(value)) == value
    assert dumps(frozenset(value)) == dumps(frozenset(sorted(value, key=repr, reverse=True)))


@pytest.mark.parametrize(
    "value",
    [
        {"$type": "tuple", "value": [1]},
        {"a": {"$type": {"$type": 1}}},
        collections.Counter("abca"),
        collections.defaultdict(list, {"a": [1]}),
        bytearray(b"x"),
        10**5000,
        -(10**400),
        fractions.Fraction(10**400, 3),
        float("inf"),
        Bits.A | Bits.B,
        dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Paris")),
        dt.UTC,
        pathlib.Path("a/b"),
        pathlib.PureWindowsPath("c:\\x"),
        np.longdouble(1) / 3,
        np.complex64(1 + 2j),
        np.timedelta64(3, "ms"),
        np.bytes_(b"ab"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_worth_a_case(value: object) -> None:
    back = loads(dumps(value))
    assert type(back) is type(value)
    assert back == value


def test_the_handler_gives_details_and_the_same_object() -> None:
    _, encoded = store({"a": 1, "b": (1, 2)})
    assert encoded.details == {"type": "dict", "length": 2}
    assert (encoded.format, encoded.media_type) == ("json", "application/json")
    assert roundtrip({"a": 1, "b": (1, 2)}) == {"a": 1, "b": (1, 2)}
    for plain in ("text", 3, 2.5, True, None, [], (), np.float32(3), Colour.RED, Config(1.0), dt.date(2020, 1, 1)):
        assert handler_for(plain).kind == "json"


def test_numpy_scalars_come_back_as_what_they_were() -> None:
    back = roundtrip(np.float32(0.1))
    assert type(back) is np.float32
    assert back == np.float32(0.1)


def test_pandas_scalars_come_back() -> None:
    pd = need("pandas", "pandas")
    value = {
        "t": pd.Timestamp("2020-01-01 01:02:03.123456789", tz="Europe/Paris"),
        "d": pd.Timedelta("1ns"),
        "n": pd.NaT,
        "a": pd.NA,
    }
    back = loads(dumps(value))
    assert back["t"] == value["t"]
    assert str(back["t"].tz) == "Europe/Paris"
    assert back["d"] == value["d"]
    assert back["n"] is pd.NaT
    assert back["a"] is pd.NA


def test_duckdb_reads_the_text() -> None:
    value = {"a": 1, "b": float("nan"), "c": (1, 2), 3: "x", "big": 2**100}
    text = dumps(value).decode()
    valid, digits = duckdb.sql(
        "select json_valid($1), cast(json_extract($1, '$.value[4][1]') as hugeint)", params=[text]
    ).fetchone()
    assert valid
    assert digits == 2**100


class Unknown:
    pass


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": [1, 2, {"b": Unknown()}]}, "$.a[2].b"),
        ({"f": lambda: 1}, "$.f"),
        ({"a": {1: open}}, "$.a[1]"),
        ([sys], "$[0]"),
        ((number for number in ()), "$"),
        (Unknown(), "$"),
        ({"c": Unknown}, "$.c"),
    ],
)
def test_what_json_cannot_hold_is_named_with_its_place(value: object, path: str) -> None:
    with pytest.raises(UnsupportedTypeError) as caught:
        dumps(value)
    assert caught.value.path == path
    assert isinstance(caught.value, TypeError)


def test_cycles_surrogates_arrays_and_depth_are_refused() -> None:
    loop: dict[str, object] = {"a": [1]}
    loop["a"].append(loop)  # type: ignore[attr-defined]
    deep: list[object] = []
    for _ in range(MAX_DEPTH + 5):
        deep = [deep]
    for value, kind, path in (
        (loop, "cycle", "$.a[1]"),
        ({"x": ["ok", "\ud800"]}, "lone-surrogate", "$.x[1]"),
        ({"\udfff": 1}, "lone-surrogate", None),
        ({"x": np.zeros(3)}, "array-in-json", "$.x"),
        (deep, "too-deep", None),
    ):
        with pytest.raises(InvalidInputError) as caught:
            dumps(value)
        assert caught.value.kind == kind
        if path:
            assert caught.value.path == path
    shared = [1]
    assert loads(dumps([shared, shared])) == [[1], [1]]


def test_the_deepest_value_that_is_stored_comes_back() -> None:
    deep: object = 1
    for _ in range(MAX_DEPTH):
        deep = (deep,)
    assert loads(dumps(deep)) == deep


def test_loading_runs_no_method_and_sets_fields() -> None:
    global FORBID_INIT
    text = dumps([Config(1.5, ("a",), Config(2.0)), Frozen("x")])
    FORBID_INIT = True
    try:
        first, frozen = loads(text)
    finally:
        FORBID_INIT = False
    assert type(first) is Config
    assert first.nested.rate == 2.0
    assert frozen == Frozen("x")


def test_a_class_whose_module_is_not_imported_comes_back_plain_until_trusted(tmp_path, monkeypatch) -> None:
    (tmp_path / "lakefolio_strange.py").write_text(
        "import dataclasses, enum\n"
        "@dataclasses.dataclass\nclass Point:\n    x: int\n"
        "class Size(enum.Enum):\n    BIG = 'big'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import lakefolio_strange as strange

    text = dumps([strange.Point(1), strange.Size.BIG])
    monkeypatch.delitem(sys.modules, "lakefolio_strange")
    assert loads(text) == [{"x": 1}, "big"]
    assert "lakefolio_strange" not in sys.modules
    point, size = loads(text, trusted=["lakefolio_strange"])
    assert type(point).__name__ == "Point"
    assert size.name == "BIG"
    monkeypatch.delitem(sys.modules, "lakefolio_strange")


def test_a_class_that_no_longer_fits_gives_the_plain_value() -> None:
    module = types.ModuleType("lakefolio_changed")
    sys.modules["lakefolio_changed"] = module
    try:
        module.Point = dataclasses.make_dataclass("Point", ["x", "y"], namespace={"__module__": "lakefolio_changed"})
        text = dumps(module.Point(1, 2))
        module.Point = dataclasses.make_dataclass("Point", ["x"], namespace={"__module__": "lakefolio_changed"})
        assert loads(text) == {"x": 1, "y": 2}
        module.Point = dataclasses.make_dataclass(
            "Point", ["x", "y", ("z", int, 3)], namespace={"__module__": "lakefolio_changed"}
        )
        assert loads(text) == module.Point(1, 2, 3)
    finally:
        del sys.modules["lakefolio_changed"]


@pytest.mark.parametrize(
    "name", ["os:system", "subprocess:Popen", "builtins:object", "lakefolio.errors:LakefolioError", "no_such:Thing"]
)
def test_a_hand_written_class_name_builds_nothing(name: str) -> None:
    for tag, value in (("dataclass", [["args", "x"]]), ("namedtuple", ["x"]), ("enum", "x")):
        text = json.dumps({"$type": tag, "class": name, "name": None, "value": value}).encode()
        assert loads(text) in ({"args": "x"}, ("x",), "x")


@pytest.mark.parametrize(
    "text", [b"", b"{", b"NaN", b"\xff", b'{"$type": "decimal", "value": "x"}', b'{"$type": "tuple"}']
)
def test_damaged_text_is_an_integrity_error(text: bytes) -> None:
    with pytest.raises(IntegrityError):
        handler_of("json").decode(MemorySource(text), {})


def test_a_type_of_a_newer_library_says_so() -> None:
    with pytest.raises(FormatError) as caught:
        loads(b'{"$type": "hologram", "value": 1}')
    assert caught.value.kind == "unknown-type"


@pytest.mark.parametrize("trusted", [True, "pkg", [1]])
def test_a_trust_list_must_be_a_list_of_names(trusted: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        loads(b'{"$type": "uuid", "value": "x"}', trusted=trusted)
    assert caught.value.kind == "bad-trust-list"


@pytest.mark.parametrize("zone", ["../../etc/passwd", "Mars/Olympus", 10**9])
def test_a_time_zone_that_is_unknown_is_not_taken_for_utc(zone: object) -> None:
    with pytest.raises(IntegrityError):
        loads(json.dumps({"$type": "timezone", "value": zone}).encode())


def test_uuid_and_path_alone() -> None:
    one = uuid.uuid4()
    assert roundtrip(one) == one


@pytest.mark.parametrize(
    "value",
    [
        {10**5000: 1},
        {-(10**5000): {"a": 10**400}},
        [10**4300, 10**300, -(10**299)],
        dt.datetime.max.replace(tzinfo=zoneinfo.ZoneInfo("America/New_York")),
        dt.datetime.min.replace(tzinfo=zoneinfo.ZoneInfo("Asia/Kolkata")),
        dt.datetime.max.replace(tzinfo=dt.timezone(dt.timedelta(hours=-12))),
        {"t": dt.datetime(2020, 10, 25, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Paris"))},
        decimal.Decimal("1.10"),
        decimal.Decimal("1E+999999"),
        decimal.Decimal("-0"),
        0.1 + 0.2,
        5e-324,
        2**63,
        fractions.Fraction(10**50, 3),
    ],
    ids=lambda value: str(type(value)),
)
def test_the_ends_of_the_ranges_come_back(value: object) -> None:
    back = roundtrip(value, "json")
    assert type(back) is type(value)
    if isinstance(value, (dt.datetime, decimal.Decimal, float)):
        assert repr(back) == repr(value)
    assert back == value


def test_the_last_hours_of_9999_are_kept_with_their_zone(tmp_path) -> None:
    folio = lf.open(tmp_path / "lake").folio("f")
    moment = dt.datetime.max.replace(tzinfo=dt.timezone(dt.timedelta(hours=-12)))
    folio.add("last", moment)
    assert folio.get("last") == moment
    with pytest.raises(InvalidInputError) as caught:
        folio.add_timestamp("no", moment)
    assert caught.value.kind == "bad-timestamp"


class Tagged(dict):
    pass


class Named(str):
    pass


class Point(collections.namedtuple("Point", "x")):
    pass


@dataclasses.dataclass
class Settings(dict):
    lr: float = 0.1


@dataclasses.dataclass
class Cached:
    n: int

    @functools.cached_property
    def square(self) -> int:
        return self.n**2


def with_attribute(value: object) -> object:
    value.unit = "m"
    return value


@pytest.mark.parametrize(
    "value",
    [
        with_attribute(Tagged(a=1)),
        with_attribute(Named("a")),
        with_attribute(Point(1)),
        with_attribute(Cached(2)),
        Settings(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_an_object_holds_besides_is_not_lost_in_silence(value: object) -> None:
    with pytest.raises(UnsupportedTypeError) as caught:
        store({"a": [value]})
    assert caught.value.path == "$.a[0]"
    assert caught.value.type.endswith(type(value).__name__)


def test_plain_instances_of_subclasses_and_cached_values_are_stored() -> None:
    assert roundtrip(Tagged(a=1)) == {"a": 1}
    assert roundtrip(Named("a")) == "a"
    cached = Cached(3)
    assert cached.square == 9
    assert roundtrip(cached) == Cached(3)


def test_a_defaultdict_comes_back_with_its_factory_or_is_refused(tmp_path) -> None:
    folio = lf.open(tmp_path / "lake").folio("f")
    folio.add("counts", {"deep": [collections.defaultdict(int, a=1)]})
    assert folio.get("counts")["deep"][0]["other"] == 0
    for factory in (lambda: 0, collections.Counter, pathlib.Path):
        with pytest.raises(lf.UnsupportedTypeError, match=r"\.deep.*defaultdict.*turn it into a dict"):
            folio.add("own", {"deep": collections.defaultdict(factory, a=1)})
    folio.metadata["facts"] = collections.defaultdict(lambda: 0, a=1)
    assert folio.metadata["facts"] == {"a": 1}
