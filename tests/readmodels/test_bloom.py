"""Bloom filters: the hash is the one of FORMAT.md, one key at a time and many at once; no key is missed."""

from __future__ import annotations

import tracemalloc

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakefolio.readmodels import bloom

keys = st.lists(st.tuples(st.text(max_size=40), st.text(max_size=3)), max_size=30)


def by_the_text(key: tuple[str, ...]) -> int:
    """Return the hash as the specification says it, step by step."""

    def mixed(value: int) -> int:
        value ^= value >> 30
        value = value * 0xBF58476D1CE4E5B9 % 2**64
        value ^= value >> 27
        value = value * 0x94D049BB133111EB % 2**64
        return value ^ value >> 31

    raw = "\0".join(key).encode()
    weights = [mixed((place + 1) * 0x9E3779B97F4A7C15 % 2**64) | 1 for place in range(1024)]
    return mixed((sum((byte + 1) * weights[place % 1024] for place, byte in enumerate(raw)) + len(raw)) % 2**64)


@settings(deadline=None)
@given(keys)
def test_one_key_and_many_have_the_hash_of_the_specification(some: list[tuple[str, str]]) -> None:
    columns = [pa.chunked_array([[key[at] for key in some]], pa.string()) for at in range(2)]
    expected = [by_the_text(key) for key in some]
    assert bloom.hashes(columns).tolist() == expected
    assert [bloom.hash_of(key) for key in some] == expected


def test_long_keys_and_no_key() -> None:
    for key in (("x" * 3000, "y"), ("", ""), ("é" * 1024,)):
        assert bloom.hash_of(key) == by_the_text(key)
        assert bloom.hashes([pa.array([part]) for part in key]).tolist() == [by_the_text(key)]
    assert bloom.hashes([pa.array([], pa.string())]).tolist() == []


@pytest.mark.parametrize("width", [1, 32, 71, 1024, 1025])
def test_keys_of_one_length(width: int) -> None:
    some = [(digit * width,) for digit in "0123456789abcdef"]
    assert bloom.hashes([pa.array([key for (key,) in some])[1:]]).tolist() == [by_the_text(key) for key in some[1:]]


@settings(deadline=None)
@given(keys)
def test_no_key_that_is_there_is_missed(some: list[tuple[str, str]]) -> None:
    columns = [pa.array([key[at] for key in some], pa.string()) for at in range(2)]
    built = bloom.build(bloom.hashes(columns))
    assert all(bloom.may_hold(built, bloom.hash_of(key)) for key in some)


def test_one_key_in_a_hundred_that_is_not_there_passes() -> None:
    built = bloom.build(bloom.hashes([pa.array([f"there-{number}" for number in range(5000)])]))
    passed = sum(bloom.may_hold(built, bloom.hash_of((f"elsewhere-{number}",))) for number in range(5000))
    assert passed < 100
    assert len(built) * 8 < 5000 * bloom.BITS_PER_KEY + 64


@pytest.mark.parametrize("same_width", [True, False])
def test_many_keys_are_hashed_piece_by_piece(same_width: bool) -> None:
    """What is held beside the keys and their hashes does not grow with them."""
    keys = pa.array([f"{number:0128x}" + "x" * (0 if same_width else number % 2) for number in range(80_000)])
    tracemalloc.start()
    try:
        found = bloom.hashes([keys])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50e6 < 8 * keys.nbytes  # a number for each byte of all keys
    assert [int(found[at]) for at in (0, 31_111, 79_999)] == [
        bloom.hash_of((keys[at].as_py(),)) for at in (0, 31_111, 79_999)
    ]
