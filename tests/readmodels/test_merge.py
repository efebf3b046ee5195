"""Rows of read models in their order: sorted only where they are not."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from lakefolio.readmodels.merge import in_order

pairs = st.lists(st.tuples(st.sampled_from(["", "a", "ab", "é", "z"]), st.integers(-3, 3)), max_size=6)


@settings(deadline=None, derandomize=True)
@given(pairs, st.booleans())
def test_rows_are_in_order_exactly_if_sorting_changes_nothing(some: list[tuple[str, int]], made: bool) -> None:
    some = sorted(some) if made else some
    text, number = (pa.array([one[at] for one in some], kind) for at, kind in enumerate((pa.string(), pa.int64())))
    rows = pa.table({"text": text, "number": number})
    assert in_order(rows, ["text", "number"]) == (some == sorted(some))
