"""An argument of a wrong type is named, where a call failed over it; one that a call can use is taken as ever."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import lakefolio as lf
from lakefolio.errors import UnsupportedTypeError
from lakefolio.process.arguments import _fits
from lakefolio.process.keywords import explained


@pytest.fixture
def lake(tmp_path: Path) -> lf.Lake:
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add_json("a", 1)
    return lake


@pytest.mark.parametrize(
    ("act", "named"),
    [
        (lambda lake: lake.log(folio=5), "folio=5"),
        (lambda lake: lake.scan(StopIteration()), "table=StopIteration()"),
        (lambda lake: lake.is_purged(None), "None"),
        (lambda lake: lake.get_event(7), "event_id=7"),
        (lambda lake: lake.run("r").log_params("a"), "params='a'"),
        (lambda lake: lake.lineage("f:a").downstream(depth={}), "depth={}"),
        (lambda lake: lake.runs(model="\ud800"), "with these parameters"),
        (lambda lake: lake.sql("from items where item = $1", 5), "with these parameters"),
    ],
)
def test_the_argument_is_named(lake: lf.Lake, act: Callable[[lf.Lake], object], named: str) -> None:
    with pytest.raises(lf.LakefolioError) as caught:
        act(lake)
    assert named in str(caught.value)


def test_errors_over_arguments_that_fit_stay_what_they_are() -> None:
    @explained
    def failing(name: str, count: int | None = None, *, also: float = 1) -> None:
        raise ValueError("not over the arguments")

    for count in (None, 3, np.int64(3)):
        with pytest.raises(ValueError, match="not over") as caught:
            failing("a", count, also=2)
        assert not isinstance(caught.value, lf.LakefolioError)
    for args in ((5,), ("a", "b"), ("a", 1.5)):
        with pytest.raises(UnsupportedTypeError, match="failing\\(\\) got"):
            failing(*args)


@pytest.mark.parametrize("face", [lf.Folio, lf.Lake, lf.Run], ids=lambda one: one.__name__)
def test_each_default_fits_what_its_parameter_says(face: type) -> None:
    """Else a failure that has nothing to do with it is told as its fault."""
    tried = 0
    for name in dir(face):
        function = inspect.unwrap(getattr(face, name))
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        for parameter in inspect.signature(function).parameters.values():
            if parameter.default is not parameter.empty and isinstance(parameter.annotation, str):
                assert _fits(parameter.annotation, parameter.default), (name, str(parameter))
                tried += 1
    assert tried > 20
