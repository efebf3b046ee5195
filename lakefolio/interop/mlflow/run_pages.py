"""A page of many runs in an order of MLflow's, of which little more than the page is held (pure: no I/O).

A page token names the last run of the page before, not only how many there were: what comes before a page need not be
known to find it, and a run that begins meanwhile moves none to another page.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence

from mlflow.entities import Run as MlflowRun
from mlflow.utils.search_utils import SearchUtils

from lakefolio.interop.mlflow.fields import invalid

__all__ = ["first_after", "place_of", "token_of"]


def first_after(
    last: MlflowRun | None, parts: Iterable[Sequence[MlflowRun]], order_by: list[str] | None, count: int
) -> list[MlflowRun]:
    """Return the first runs behind another one. Held are so many runs and a part.

    Args:
        last: The run that they come behind, which may be among them; None for the very first.
        parts: The runs, in any order.
        order_by: The order, as MLflow's clients write it.
        count: How many.
    """
    found: list[MlflowRun] = []
    for part in parts:
        if last is None:
            found = SearchUtils.sort([*found, *part], order_by)[:count]
        else:
            others = [one for one in part if one.info.run_id != last.info.run_id]
            found = SearchUtils.sort([last, *found, *others], order_by)
            begin = next(at for at, one in enumerate(found, start=1) if one is last)
            found = found[begin : begin + count]
    return found


def token_of(offset: int, run_id: str) -> str:
    """Return the token of the page behind a run, before which there are so many."""
    return base64.b64encode(json.dumps({"offset": offset, "after": run_id}).encode()).decode()


def place_of(token: str | None) -> tuple[int, str | None]:
    """Return how many runs come before a page, and the last of them.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE: it is no token that ``token_of`` made.
    """
    offset: int = SearchUtils.parse_start_offset_from_page_token(token)
    if not token:
        return offset, None
    after = json.loads(base64.b64decode(token)).get("after")
    if not isinstance(after, str):
        raise invalid("Invalid page token: it names no run. Search again from the first page")
    return offset, after
