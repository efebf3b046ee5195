"""The public classes are facades: no base class shares their code, and ``help`` tells all of a method."""

from __future__ import annotations

import inspect

import pytest

import lakefolio as lf
from lakefolio.session.session import Session

FACADES = [lf.Folio, lf.Lake, Session]


@pytest.mark.parametrize("facade", FACADES, ids=lambda one: one.__name__)
def test_a_facade_inherits_no_code(facade: type) -> None:
    assert facade.__bases__ == (object,)


def test_help_of_a_bound_method_shows_its_arguments() -> None:
    folio = lf.open("memory://help").folio("f")
    shown = inspect.signature(folio.add)
    assert list(shown.parameters)[:3] == ["name", "obj", "description"]
    assert {"inputs", "tags", "metadata", "overwrite", "keep"} <= shown.parameters.keys()
    assert folio.add.__doc__
