"""Every error class is rendered, pickled, and caught by the builtin that people expect."""

from __future__ import annotations

import pickle

import pytest

from lakefolio import errors
from lakefolio.errors import LakefolioError, nearest

CLASSES = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, LakefolioError)]
BUILTINS = {
    "NotFoundError": (KeyError, LookupError),
    "LakeNotFoundError": (KeyError, FileNotFoundError),
    "AlreadyExistsError": (ValueError,),
    "InvalidInputError": (ValueError,),
    "UnsupportedTypeError": (TypeError, ValueError),
    "ReadOnlyError": (RuntimeError,),
    "StorageError": (OSError,),
    "UntrustedContentError": (TypeError,),
}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda one: one.__name__)
def test_every_class_renders_on_one_line(kind: type[LakefolioError]) -> None:
    error = kind("item 'x' of 'f' is odd", hint="do this", item="x", version=3)
    assert str(error) == "item 'x' of 'f' is odd (do this)"
    assert str(kind("plain")) == "plain"
    assert error.item == "x"
    assert error.version == 3
    assert error.kind == kind.default_kind
    assert error.kind == error.kind.lower()
    assert isinstance(error.exit_code, int)
    for builtin in BUILTINS.get(kind.__name__, ()):
        assert isinstance(error, builtin)
    with pytest.raises(AttributeError):
        error.nothing  # noqa: B018


@pytest.mark.parametrize("kind", CLASSES, ids=lambda one: one.__name__)
def test_every_class_crosses_processes(kind: type[LakefolioError]) -> None:
    error = pickle.loads(pickle.dumps(kind("odd", kind="special", hint="do this", key="k")))
    assert type(error) is kind
    assert (error.message, error.kind, error.hint, error.key) == ("odd", "special", "do this", "k")


def test_exit_codes_tell_classes_apart() -> None:
    own = {one.__name__: one.__dict__["exit_code"] for one in CLASSES if "exit_code" in one.__dict__}
    assert len(set(own.values())) == len(own)
    assert 0 not in own.values()


def test_nearest() -> None:
    assert nearest("fligths", ["flights", "planes"]) == "did you mean 'flights'?"
    assert nearest("zzz", ["a", "b"]) == "there are 'a', 'b'"
    assert nearest("zzz", []) is None
    assert nearest("zzz", [f"n{i}" for i in range(9)]).endswith("and 4 more")
