"""Common parts of records and runs: maps kept as one field per key, and MLflow's errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST

from lakefolio.errors import LakefolioError

if TYPE_CHECKING:
    from lakefolio.lake import Lake

__all__ = ["absent", "after", "has_run", "invalid", "millis", "taken", "time_of_ms", "under"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def after(prefix: str, fields: Mapping[str, object]) -> dict[str, Any]:
    """Return the part of a record that lies under a prefix: ``tags.x`` is ``x`` under ``tags.``."""
    return {key[len(prefix) :]: value for key, value in fields.items() if key.startswith(prefix) and value is not None}


def under(prefix: str, pairs: Iterable[Any] | None) -> dict[str, str]:
    """Return tags or parameters of MLflow (objects with ``key`` and ``value``) as fields under a prefix."""
    return {f"{prefix}{one.key}": "" if one.value is None else str(one.value) for one in pairs or ()}


def millis(at: datetime | None) -> int | None:
    """Return a time as milliseconds since 1970."""
    return None if at is None else (at - _EPOCH) // timedelta(milliseconds=1)


def time_of_ms(value: int) -> datetime:
    """Return the time of milliseconds since 1970.

    Raises:
        MlflowException: It lies beyond the calendar.
    """
    try:
        return _EPOCH + timedelta(milliseconds=value)
    except (OverflowError, TypeError) as exc:
        raise invalid(f"{value!r} are not milliseconds since 1970 of a year before 10,000") from exc


def has_run(lake: Lake, run_id: str) -> bool:
    """Say whether a lake has a run of that id."""
    try:
        lake.get_run(run_id)
    except LakefolioError:
        return False
    return True


def absent(message: str) -> MlflowException:
    """Make MLflow's error for an object that does not exist."""
    return MlflowException(message, RESOURCE_DOES_NOT_EXIST)


def taken(message: str) -> MlflowException:
    """Make MLflow's error for a name that is taken."""
    return MlflowException(message, RESOURCE_ALREADY_EXISTS)


def invalid(message: str) -> MlflowException:
    """Make MLflow's error for a value that can't be accepted."""
    return MlflowException(message, INVALID_PARAMETER_VALUE)
