"""The public classes are facades: no base class shares their code, and ``help`` tells all of a method."""

from __future__ import annotations

import inspect
import re

import pytest

import lakefolio as lf
from lakefolio.process.facade import with_arguments
from lakefolio.session.session import Session

FACADES = [lf.Folio, lf.Lake, lf.Run, Session]


@pytest.mark.parametrize("facade", FACADES, ids=lambda one: one.__name__)
def test_a_facade_inherits_no_code(facade: type) -> None:
    assert facade.__bases__ == (object,)


METHODS = [
    (owner, name)
    for owner in (lf.Folio, lf.Lake, lf.Run)
    for name, _ in inspect.getmembers(owner, inspect.isfunction)
    if not name.startswith("_")
]


def test_help_of_a_bound_method_shows_its_arguments() -> None:
    folio = lf.open("memory://help").folio("f")
    shown = inspect.signature(folio.add)
    assert list(shown.parameters)[:3] == ["name", "obj", "description"]
    assert {"inputs", "tags", "metadata", "overwrite", "keep"} <= shown.parameters.keys()


@pytest.mark.parametrize(("owner", "name"), METHODS, ids=[f"{owner.__name__}.{name}" for owner, name in METHODS])
def test_help_says_what_each_argument_is(owner: type, name: str) -> None:
    method = getattr(owner, name)
    text = inspect.getdoc(method) or ""
    assert text.split("\n")[0].endswith((".", ":")), "a sentence that says what it does comes first"
    arguments = list(inspect.signature(method).parameters)[1:]
    entries = re.findall(
        r"^    \*{0,2}(\w+): \S", text.partition("\nReturns:")[0].partition("\nRaises:")[0], re.MULTILINE
    )
    missing = [one for one in arguments if one not in entries and f"``{one}``" not in text]
    assert missing == []
    assert [one for one in entries if one not in arguments] == [], "described, but not taken"
    headers = [line for line in text.split("\n") if line in ("Args:", "Returns:", "Raises:")]
    assert headers == [one for one in ("Args:", "Returns:", "Raises:") if one in headers]


def test_an_entry_of_its_own_comes_before_that_of_the_class() -> None:
    def method(self: object, name: str, at: int, *rest: int, own: str = "") -> None:
        """Do it.

        Args:
            own: What only this one takes,
                on two lines.
            at: Another meaning.

        Raises:
            ValueError: Never.
        """

    shared = {"name": "The name. " * 15, "at": "A time.", "rest": "More.", "else": "Not taken."}
    assert with_arguments(method, shared).split("\n") == [
        "Do it.",
        "",
        "Args:",
        "    name: The name. The name. The name. The name. The name. The name. The name. The name. The name. The name.",
        "        The name. The name. The name. The name. The name.",
        "    at: Another meaning.",
        "    *rest: More.",
        "    own: What only this one takes,",
        "        on two lines.",
        "",
        "Raises:",
        "    ValueError: Never.",
    ]
