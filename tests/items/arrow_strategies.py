"""Random Arrow tables of every type that a table item may hold."""

import datetime as dt
import decimal
import itertools

import pyarrow as pa
from hypothesis import strategies as st

_DAY = dt.date(1970, 1, 1)

LEAVES = {
    pa.null(): st.none(),
    pa.bool_(): st.booleans(),
    pa.int8(): st.integers(-128, 127),
    pa.uint16(): st.integers(0, 2**16 - 1),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float32(): st.floats(width=32),
    pa.float64(): st.floats(),
    pa.string(): st.text(max_size=8),
    pa.large_string(): st.text(max_size=8),
    pa.string_view(): st.text(max_size=20),
    pa.binary(): st.binary(max_size=8),
    pa.large_binary(): st.binary(max_size=8),
    pa.binary_view(): st.binary(max_size=20),
    pa.binary(3): st.binary(min_size=3, max_size=3),
    pa.date32(): st.dates(),
    pa.date64(): st.dates(),
    pa.time32("s"): st.integers(0, 86399).map(lambda s: (dt.datetime(1, 1, 1) + dt.timedelta(seconds=s)).time()),
    pa.time64("us"): st.times(),
    pa.timestamp("s"): st.datetimes().map(lambda moment: moment.replace(microsecond=0)),
    pa.timestamp("us", "Europe/Paris"): st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)),
    pa.timestamp("ms", "+05:30"): st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)).map(
        lambda moment: moment.replace(microsecond=0)
    ),
    pa.duration("s"): st.integers(-(10**6), 10**6).map(lambda s: dt.timedelta(seconds=s)),
    pa.duration("ns"): st.integers(-(10**6), 10**6).map(lambda s: dt.timedelta(microseconds=s)),
    pa.decimal128(10, 2): st.integers(-(10**9), 10**9).map(lambda cents: decimal.Decimal(cents).scaleb(-2)),
    pa.decimal256(50, 1): st.integers(-(10**40), 10**40).map(lambda tenths: decimal.Decimal(tenths).scaleb(-1)),
}


def _nullable(values: st.SearchStrategy) -> st.SearchStrategy:
    return st.one_of(st.none(), values, values, values)


def _dictionary(index: pa.DataType, value: pa.DataType, ordered: bool) -> pa.DataType:
    return pa.dictionary(index, value, ordered)


@st.composite
def types(draw: st.DrawFn, depth: int = 2) -> pa.DataType:
    kind = draw(st.sampled_from(["leaf", "leaf", "leaf", "dictionary", "list", "struct", "map"] if depth else ["leaf"]))
    if kind == "leaf":
        return draw(st.sampled_from(list(LEAVES)))
    if kind == "dictionary":
        value = draw(st.sampled_from([pa.string(), pa.large_string(), pa.int64(), pa.timestamp("us"), pa.binary()]))
        return _dictionary(draw(st.sampled_from([pa.int8(), pa.int32(), pa.uint32()])), value, draw(st.booleans()))
    if kind == "list":
        make = draw(st.sampled_from([pa.list_, pa.large_list, pa.list_view, lambda child: pa.list_(child, 2)]))
        return make(draw(types(depth - 1)))
    if kind == "struct":
        return pa.struct([pa.field(name, draw(types(depth - 1))) for name in ("x", "y")[: draw(st.integers(1, 2))]])
    return pa.map_(draw(st.sampled_from([pa.string(), pa.int8()])), draw(types(depth - 1)))


def values(kind: pa.DataType) -> st.SearchStrategy:
    if kind in LEAVES:
        return _nullable(LEAVES[kind])
    if pa.types.is_dictionary(kind):
        leaf = {pa.timestamp("us"): st.datetimes(), **LEAVES}[kind.value_type]
        return _nullable(leaf)
    if pa.types.is_map(kind):
        key = LEAVES[kind.key_type]
        return _nullable(st.dictionaries(key, values(kind.item_type), max_size=3).map(lambda one: list(one.items())))
    if pa.types.is_struct(kind):
        return _nullable(st.fixed_dictionaries({field.name: values(field.type) for field in kind}))
    if pa.types.is_fixed_size_list(kind):
        return _nullable(st.lists(values(kind.value_type), min_size=2, max_size=2))
    return _nullable(st.lists(values(kind.value_type), max_size=3))


def _array(rows: list, kind: pa.DataType) -> pa.Array:
    """``pa.array`` can't make nested dictionaries; cast can, from the plain type."""
    plain = _plain(kind)
    array = pa.array(rows, plain)
    if plain == kind:
        return array
    return _encoded(array, kind)


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return kind.value_type
    if pa.types.is_map(kind):
        return pa.map_(kind.key_type, _plain(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain(field.type)) for field in kind])
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_plain(kind.value_type), kind.list_size)
    for name in ("list", "large_list", "list_view"):
        if getattr(pa.types, f"is_{name}")(kind):
            return getattr(pa, "list_" if name == "list" else name)(_plain(kind.value_type))
    return kind


def _encoded(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        encoded = array.dictionary_encode()
        return pa.DictionaryArray.from_arrays(
            encoded.indices.cast(kind.index_type), encoded.dictionary, ordered=kind.ordered
        )
    from lakefolio.items.arrow_nested import rebuilt

    return array if array.type == kind else rebuilt(array, kind, _encoded)


@st.composite
def tables(draw: st.DrawFn, max_rows: int = 8) -> pa.Table:
    names = draw(st.lists(st.text(min_size=1, max_size=5), max_size=4, unique=True))
    count = draw(st.integers(0, max_rows))
    columns = []
    for _ in names:
        kind = draw(types())
        rows = draw(st.lists(values(kind), min_size=count, max_size=count))
        columns.append(_array(rows, kind))
    metadata = draw(st.none() | st.dictionaries(st.text(min_size=1, max_size=3), st.text(max_size=3), max_size=2))
    fields = [pa.field(name, column.type) for name, column in zip(names, columns, strict=True)]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata or None))


@st.composite
def rechunked(draw: st.DrawFn, table: pa.Table) -> pa.Table:
    """The same rows in other chunks, cut out of longer arrays."""
    cuts = sorted({0, table.num_rows, *draw(st.lists(st.integers(0, table.num_rows), max_size=3))})
    pieces = [table.slice(start, stop - start) for start, stop in itertools.pairwise(cuts)]
    return pa.concat_tables(pieces) if pieces else table
