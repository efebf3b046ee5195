"""Kinds array and sparse: every dtype and order but object, zero-copy, never pickle."""

import io
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from items_support import MemorySource, roundtrip, store
from thoroughness import examples

from lakefolio.errors import IntegrityError, InvalidInputError, UnsupportedTypeError
from lakefolio.items import handler_for, handler_of
from lakefolio.items.handler import Buffers
from lakefolio.testing.need import need

dtypes = (
    hnp.boolean_dtypes()
    | hnp.integer_dtypes(endianness="?")
    | hnp.unsigned_integer_dtypes(endianness="?")
    | hnp.floating_dtypes(endianness="?")
    | hnp.complex_number_dtypes(endianness="?")
    | hnp.datetime64_dtypes(endianness="?")
    | hnp.timedelta64_dtypes(endianness="?")
    | hnp.unicode_string_dtypes(endianness="?")
    | hnp.byte_string_dtypes()
    | hnp.array_dtypes()
)
arrays = hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))


@settings(max_examples=examples(200), deadline=None)
@given(arrays, st.sampled_from(["C", "F", "reversed", "transposed", "step"]))
def test_the_same_array_comes_back(array: np.ndarray, layout: str) -> None:
    if layout in ("C", "F"):
        array = np.array(array, order=layout)
    elif layout == "transposed":
        array = array.T
    elif array.ndim:
        array = array[::-1] if layout == "reversed" else array[::2]
    back = roundtrip(array)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()
    assert back.flags.writeable
    if array.flags.f_contiguous != array.flags.c_contiguous:
        assert back.flags.f_contiguous == array.flags.f_contiguous


@settings(max_examples=examples(50), deadline=None)
@given(arrays)
def test_numpy_reads_the_content(array: np.ndarray) -> None:
    source, _ = store(array)
    back = np.load(io.BytesIO(source.content), allow_pickle=False)
    assert back.dtype == array.dtype
    assert back.tobytes() == array.tobytes()


def test_a_contiguous_array_is_not_copied() -> None:
    array = np.arange(10.0)
    payload = handler_for(array).encode(array, scratch=None).payload
    assert isinstance(payload, Buffers)
    assert np.shares_memory(np.frombuffer(payload.parts[1]), array)


def test_details() -> None:
    _, encoded = store(np.zeros((2, 3), "f4", order="F"))
    assert encoded.details == {"shape": [2, 3], "dtype": "float32", "nbytes": 24, "order": "F"}
    assert encoded.format == "npy"


def test_subclasses_masked_and_mapped(tmp_path) -> None:
    assert type(roundtrip(np.matrix([[1, 2]]))) is np.matrix
    records = np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])
    assert type(roundtrip(records)) is np.recarray
    assert roundtrip(records).a[0] == 1
    for mask in ([True, False, False], False):
        masked = np.ma.MaskedArray([1.0, 2.0, 3.0], mask, fill_value=-1)
        back = roundtrip(masked)
        assert type(back) is np.ma.MaskedArray
        assert back.fill_value == -1
        assert np.array_equal(np.ma.getmaskarray(back), np.ma.getmaskarray(masked))
        assert np.array_equal(back.data, masked.data)
    mapped = np.memmap(tmp_path / "m", "i4", "w+", shape=(4,))
    mapped[:] = [1, 2, 3, 4]
    assert np.array_equal(roundtrip(mapped), mapped)
    array = np.arange(6).reshape(2, 3)
    back = roundtrip(array, mmap=True)
    assert isinstance(back, np.memmap)
    assert np.array_equal(back, array)


def test_records_with_long_and_foreign_names() -> None:
    many = np.zeros(2, [(f"field_number_{number}", "i1") for number in range(8000)])
    assert roundtrip(many).dtype == many.dtype
    foreign = np.zeros(2, [("größe", "f4"), ("数", "i2")])
    assert roundtrip(foreign).dtype == foreign.dtype


C_STRUCT = np.dtype([("a", "u1"), ("b", "<i4")], align=True)
METRES = np.dtype("f8", metadata={"unit": "m", "levels": (1, 2.5), 3: b"x"})
RECORD = np.dtype((np.record, [("a", "u1"), ("b", "<i4")]))


def parts_of(dtype: np.dtype) -> list:
    """Return all that ``==`` of dtypes does not compare, of each part."""
    inside = [dtype.base] if dtype.subdtype else [one[0] for one in (dtype.fields or {}).values()]
    told = None if dtype.metadata is None else dict(dtype.metadata)
    return [dtype.str, dtype.isalignedstruct, dtype.type is np.record, told, *map(parts_of, inside)]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    "dtype",
    [
        C_STRUCT,
        METRES,
        RECORD,
        np.dtype("S10", metadata={"h5py_encoding": "ascii"}),
        np.dtype("i1", metadata={}),
        np.dtype([("s", C_STRUCT), ("t", "u1"), ("x", METRES)]),
        np.dtype([("s", C_STRUCT, (2, 3)), ("r", RECORD)]),
        np.dtype({"names": ["a"], "formats": [METRES], "offsets": [4], "titles": ["T"], "itemsize": 16}),
        np.dtype([("a", "u1")], metadata={"whole": True}),
    ],
    ids=str,
)
def test_alignment_record_type_and_metadata_of_a_dtype_come_back(dtype: np.dtype, masked: bool) -> None:
    array = np.zeros((2, 3), dtype, order="F")
    if masked and dtype != RECORD:
        array = np.ma.MaskedArray(array)
    back = roundtrip(array)
    assert type(back) is type(array)
    assert parts_of(back.dtype) == parts_of(array.dtype)
    assert back.dtype == array.dtype
    assert back.flags.writeable
    assert back.flags.f_contiguous
    if not masked:
        assert parts_of(roundtrip(array, mmap=True).dtype) == parts_of(array.dtype)


def test_metadata_of_a_dtype_that_would_not_come_back_is_refused() -> None:
    for told in ({"x": object()}, {"x": {"y": print}}):
        with pytest.raises(InvalidInputError, match="the metadata of the dtype float64 can't be stored") as caught:
            store(np.zeros(2, np.dtype("f8", metadata=told)))
        assert caught.value.kind == "unsupported-dtype"
    sparse = need("scipy.sparse", "test")
    with pytest.raises(InvalidInputError, match="the metadata of the dtype float64 of the sparse matrix"):
        store(sparse.csr_array(np.eye(2).astype(METRES)))


@pytest.mark.parametrize(
    "extras",
    [
        7,
        ["x"],
        [{"at": 3}],
        [{"at": [9], "aligned": True}],
        [{"at": [], "aligned": True}],
        [{"at": [0], "metadata": 5}],
        [{"at": [[]]}],
    ],
)
def test_extras_of_a_dtype_are_not_trusted(extras: object) -> None:
    array = np.zeros(2, [("a", "u1"), ("b", "<i4")])
    source, encoded = store(array)
    with pytest.raises(IntegrityError, match="the stored array can't be read"):
        handler_of("array").decode(source, {**encoded.details, "dtype_extras": extras})


def test_object_and_exotic_dtypes_are_refused() -> None:
    for array in (np.array([1, "a", None], object), np.zeros(2, [("a", "O")])):
        with pytest.raises(InvalidInputError) as caught:
            store(array)
        assert caught.value.kind == "object-array"
    if hasattr(np.dtypes, "StringDType"):
        with pytest.raises(InvalidInputError):
            store(np.array(["a"], np.dtypes.StringDType()))
    with pytest.raises(UnsupportedTypeError):
        store([1, 2], "array")


def test_damaged_content_and_pickles_are_refused() -> None:
    source, encoded = store(np.arange(10))
    for content in (
        source.content[:-1],
        source.content + b"x",
        source.content[:20],
        b"",
        b"\x93NUMPY\x01\x00\x05\x00{}[] ",
    ):
        with pytest.raises(IntegrityError):
            handler_of("array").decode(MemorySource(content), encoded.details)
    buffer = io.BytesIO()
    np.save(buffer, np.array([print], object), allow_pickle=True)
    for content in (buffer.getvalue(), pickle.dumps(np.arange(3))):
        with pytest.raises(IntegrityError):
            handler_of("array").decode(MemorySource(content), {})


@pytest.mark.parametrize("layout", ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"])
@pytest.mark.parametrize("maker", ["matrix", "array"])
def test_sparse_formats_come_back(layout: str, maker: str) -> None:
    sparse = need("scipy.sparse", "test")
    dense = np.array([[0, 1.5, 0], [2, 0, 0]], "f4")
    made = getattr(sparse, f"csr_{maker}")(dense).asformat(layout)
    back = roundtrip(made)
    assert type(back) is type(made)
    assert back.dtype == made.dtype
    assert np.array_equal(back.toarray(), dense)
    assert store(made)[0].content == store(made.copy())[0].content


def test_sparse_details_and_refusals() -> None:
    sparse = need("scipy.sparse", "test")
    source, encoded = store(sparse.csr_array(np.eye(3)))
    assert encoded.details == {"shape": [3, 3], "dtype": "float64", "format": "csr", "nnz": 3}
    objects = sparse.csr_array(np.eye(3))
    objects.data = objects.data.astype(object)
    with pytest.raises(InvalidInputError) as caught:
        store(objects)
    assert caught.value.kind == "object-array"
    with pytest.raises(IntegrityError):
        handler_of("sparse").decode(MemorySource(source.content[:30]), {})


@pytest.mark.parametrize("array", [np.zeros(2, "V0"), np.zeros((1, 1), "V0")])
def test_values_without_bytes_that_numpy_would_make_larger_are_refused(array: np.ndarray) -> None:
    with pytest.raises(InvalidInputError, match="take no bytes"):
        store(array)
