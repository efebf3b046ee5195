"""What may leave MLflow's stores on a lake: MLflow's errors, each with the code that MLflow's server answers with."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Final, TypeVar

from mlflow.exceptions import MlflowException, MlflowNotImplementedException
from mlflow.protos.databricks_pb2 import (
    DATA_LOSS,
    INTERNAL_ERROR,
    INVALID_PARAMETER_VALUE,
    PERMISSION_DENIED,
    RESOURCE_ALREADY_EXISTS,
    RESOURCE_CONFLICT,
    RESOURCE_DOES_NOT_EXIST,
    TEMPORARILY_UNAVAILABLE,
)

from lakefolio.errors import (
    AlreadyExistsError,
    ConflictError,
    IntegrityError,
    InvalidInputError,
    LakefolioError,
    NotFoundError,
    ReadOnlyError,
    StorageError,
    one_line,
)
from lakefolio.process.arguments import misfit

__all__ = ["BadArgumentError", "NotKeptError", "with_mlflow_errors"]

C = TypeVar("C", bound=type[Any])

_CODES: Final = {
    NotFoundError: RESOURCE_DOES_NOT_EXIST,
    AlreadyExistsError: RESOURCE_ALREADY_EXISTS,
    ConflictError: RESOURCE_CONFLICT,
    ReadOnlyError: PERMISSION_DENIED,  # before what it is a kind of
    InvalidInputError: INVALID_PARAMETER_VALUE,
    StorageError: TEMPORARILY_UNAVAILABLE,
    IntegrityError: DATA_LOSS,
}
_RAW: Final = (TypeError, ValueError, AttributeError, OverflowError)
"""What MLflow's checks and searches raise that are given something they do not expect."""
_SHOWN: Final = 300


class BadArgumentError(MlflowException, TypeError):
    """An argument that a store can't take; also the TypeError that MLflow's own stores raise for some. Check it."""


class NotKeptError(MlflowNotImplementedException, NotImplementedError):
    """A feature of MLflow that a lake has no place for; also the error that MLflow looks for. Use another store."""


def with_mlflow_errors(owner: C) -> C:
    """Decorate a store: its methods, but for those that begin with ``__``, raise MLflow's errors alone.

    An error of the lake gets the code for its class. What is given in a wrong type is INVALID_PARAMETER_VALUE, which a
    client does not try again; a method that MLflow declares and the store lacks is NOT_IMPLEMENTED.
    """
    for name in dir(owner):
        found = inspect.getattr_static(owner, name)
        if inspect.isfunction(found) and not name.startswith("__"):
            setattr(owner, name, _translated(found))
    return owner


def _translated(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*args: object, **kwargs: object) -> Any:
        try:
            return method(*args, **kwargs)
        except LakefolioError as exc:
            code = next((code for kind, code in _CODES.items() if isinstance(exc, kind)), INTERNAL_ERROR)
            raise MlflowException(str(exc), code) from exc
        except NotImplementedError as exc:
            raise NotKeptError(f"{method.__name__}(): a lake does not keep that; use a database-backed store") from exc
        except _RAW as exc:
            wrong = misfit(method, args, kwargs)
            said = f"got {wrong}" if wrong else f"can't take what it was given: {one_line(str(exc), _SHOWN)}"
            raise BadArgumentError(f"{method.__name__}() {said}", INVALID_PARAMETER_VALUE) from exc

    return call
