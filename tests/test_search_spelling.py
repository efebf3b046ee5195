"""Words that are spelt like another one: which are found, and in which order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lakefolio.search.spelling import Spelling


def like(token: str, counts: dict[str, int]) -> list[str]:
    return [word for word, _, _ in Spelling(pa.array(counts), np.array(list(counts.values()), np.int64)).like(token)]


@pytest.mark.parametrize("typo", ["fgo", "fig", "dog", "fogg", "fo0"])
def test_a_short_word_is_found_by_one_letter_that_is_wrong_or_at_another_place(typo: str) -> None:
    assert like(typo, {"hail": 9, "snow": 9, "fog": 2}) == ["fog"]


def test_of_many_words_that_are_equally_alike_the_most_frequent_come_first() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = {f"a{one}{other}": 1 for one in letters for other in letters if one != "b"}
    assert like("abz", words | {"abx": 9, "aby": 8, "xbz": 7})[:4] == ["abx", "aby", "xbz", "aaz"]
