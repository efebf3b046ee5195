"""What may be said of a run: its type, state, parameters and metrics, checked before anything is recorded."""

from __future__ import annotations

import math
import numbers
import operator
import traceback
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NoReturn

from lakefolio.errors import InvalidInputError, LakefolioError, nearest
from lakefolio.format import json_encode
from lakefolio.format.names import check_item
from lakefolio.process.notice import LakefolioWarning, notice
from lakefolio.redaction import scrub
from lakefolio.session.annotations import check_word, metadata_texts, without_secrets
from lakefolio.terminal import shown_value

__all__ = [
    "RUN_TYPES",
    "STATUSES",
    "RunType",
    "StorageMode",
    "check_facts",
    "check_metric_name",
    "check_modes",
    "check_status",
    "check_type",
    "error_facts",
    "final_metrics",
    "metric_text",
    "metric_value",
    "param_texts",
    "step_of",
]


class RunType(StrEnum):
    """The types of runs that every lake knows; ``lake.add_run_type`` adds others."""

    EXPERIMENT = "experiment"
    PRODUCTION = "production"
    EVALUATION = "evaluation"
    DEVELOPMENT = "development"
    ANALYSIS = "analysis"

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        check_type(value, ())
        raise AssertionError(f"{value!r} is among the types")


class StorageMode(StrEnum):
    """By what people look for a run. A view each: nothing is stored differently."""

    BY_PROJECT = "by_project"
    BY_DATE = "by_date"
    BY_TYPE = "by_type"
    BY_MODEL = "by_model"
    FLAT = "flat"

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        close = nearest(str(value), [str(one) for one in cls])
        raise InvalidInputError(f"storage mode {shown_value(value)} is not known", kind="bad-storage-mode", hint=close)


RUN_TYPES: Final = tuple(str(one) for one in RunType)
STATUSES: Final = ("running", "done", "failed", "lost")
_INSIDE: Final = str(Path(__file__).parents[1])
_LONGEST_ERROR: Final = 16_384
_RESERVED: Final = (
    "type", "status", "started_at", "ended_at", "parent", "folio", "process", "environment", "memo", "memo_values",
    "memo_reads",
)  # fmt: skip
_LONGEST_PARAM_BYTES: Final = 65_536


def check_type(value: object, known: Iterable[str]) -> str:
    """Return a run type that the lake knows; InvalidInputError (kind ``bad-run-type``) otherwise."""
    names = [*RUN_TYPES, *known]
    if not isinstance(value, str) or value not in names:
        close = nearest(str(value), names)
        raise InvalidInputError(
            f"run type {shown_value(value)} is not known",
            kind="bad-run-type",
            hint=f"{close}; lake.add_run_type(name) adds one",
            run_type=value,
        )
    return str(value)


def check_status(value: object, allowed: Iterable[str] = STATUSES) -> str:
    """Return a state of a run; InvalidInputError (kind ``bad-run-status``) otherwise."""
    names = list(allowed)
    if not isinstance(value, str) or value not in names:
        raise InvalidInputError(
            f"run status {shown_value(value)} is not known",
            kind="bad-run-status",
            hint=f"use one of {', '.join(names)}",
            status=value,
        )
    return str(value)


def check_modes(values: Iterable[object] | str | None) -> list[str]:
    """Return by which views a run wants to be found, as names."""
    given = [values] if isinstance(values, str) else list(values or ())
    return [check_item(str(one)) for one in given]


def param_texts(params: Mapping[str, object] | None) -> dict[str, str]:
    """Return parameters as metadata: ``params.<name>`` -> JSON text.

    Raises:
        InvalidInputError: kind ``bad-params``, naming the parameter, if one can't be kept; then none is.
    """
    if params is None:
        return {}
    if not isinstance(params, Mapping):
        raise InvalidInputError(
            f"params is of type {type(params).__name__}, expected a dict",
            kind="bad-params",
            hint="write params={'lr': 0.1}",
        )
    texts = {}
    for key, value in params.items():
        if not isinstance(key, str) or not check_word(key, "parameter name"):
            raise InvalidInputError(
                f"parameter name {shown_value(key)} is not a text", kind="bad-params", hint="use words"
            )
        try:
            text = json_encode.dumps_fact(without_secrets(f"parameter {shown_value(key)}", value, names=True)).decode()
        except LakefolioError as exc:
            raise InvalidInputError(
                f"parameter {shown_value(key)} can't be kept: {exc.message}",
                kind="bad-params",
                hint="parameters are plain values; data goes into add_input",
                name=key,
            ) from exc
        if len(text) > _LONGEST_PARAM_BYTES:
            raise InvalidInputError(
                f"parameter {shown_value(key)} has {len(text):,} bytes, at most {_LONGEST_PARAM_BYTES:,} are kept",
                kind="bad-params",
                hint="data goes into add_input",
                name=key,
            )
        texts[f"params.{key}"] = text
    return texts


def check_metric_name(name: object) -> str:
    """Return a metric's name; InvalidInputError (kind ``bad-metric``, blank or hidden ``bad-text``) if it is none."""
    if not isinstance(name, str) or not 0 < len(name.encode(errors="replace")) <= 255:
        raise InvalidInputError(
            f"metric name {shown_value(name)} is not a text of 1 to 255 bytes",
            kind="bad-metric",
            hint="use a word",
            name=name,
        )
    check_word(name, "metric name")
    return name


def metric_value(name: str, value: Any) -> float:
    """Return a metric as a float: any real number, a numpy scalar, a tensor of one element.

    A warning names an integer that a float of 64 bits can't hold.

    Raises:
        InvalidInputError: kind ``bad-metric``, if it is none.
    """
    try:
        if not isinstance(value, str | bytes):
            number = float(value)
            if not (math.isinf(number) and abs(value) < math.inf):  # a Decimal beyond all doubles
                if isinstance(value, numbers.Integral) and int(number) != int(value):
                    notice(
                        LakefolioWarning(
                            f"metric {shown_value(name)}: {value} is kept as {int(number)}, since metrics are floats "
                            "of 64 bits",
                            kind="digits-lost",
                            hint="keep exact integers as parameters",
                        )
                    )
                return number
    except (TypeError, ValueError, OverflowError, RuntimeError):
        pass
    raise InvalidInputError(
        f"metric {shown_value(name)} is {shown_value(value)}, expected a number",
        kind="bad-metric",
        hint="texts are parameters, larger things outputs",
        name=name,
    )


def step_of(step: Any) -> int | None:
    """Return a step as an int; InvalidInputError (kind ``bad-metric``) if it is not a whole number of 64 bits."""
    if step is None:
        return None
    try:
        number = operator.index(step)
        if -(2**63) <= number < 2**63:
            return number
    except TypeError:
        pass
    raise InvalidInputError(
        f"step {shown_value(step)} is not a whole number", kind="bad-metric", hint="count steps from 0"
    )


def metric_text(value: float) -> str:
    """Return a metric as the JSON text of its last value."""
    return repr(value) if math.isfinite(value) else metadata_texts({"value": value})["value"]


def check_facts(facts: Mapping[str, object]) -> None:
    """Refuse facts under names that the library itself writes."""
    for key in facts:
        if key in _RESERVED or str(key).startswith(("params.", "metrics.")):
            raise InvalidInputError(
                f"fact {shown_value(key)} of a run is written by the library",
                kind="bad-metadata",
                hint="use another name; parameters are set by set_params, metrics by log",
                key=key,
            )


def error_facts(error: BaseException | str) -> dict[str, Any]:
    """Return what a failed run notes of its error: class and traceback, the end of it if it is long."""
    if isinstance(error, str):
        return {"error": _storable(error)}
    tb = error.__traceback__
    while tb is not None and tb.tb_next is not None and tb.tb_frame.f_code.co_filename.startswith(_INSIDE):
        tb = tb.tb_next  # the user's traceback does not begin in capture
    text = "".join(traceback.format_exception(type(error), error, tb))
    return {"error_type": type(error).__qualname__, "error": _storable(text)}


def _storable(text: str) -> str:
    text = scrub(text)
    cut = text if len(text) <= _LONGEST_ERROR else "…" + text[-_LONGEST_ERROR:]
    return cut.encode(errors="replace").decode()


def final_metrics(values: Mapping[str, float]) -> dict[str, str]:
    """Return metrics as metadata: ``metrics.<name>`` -> JSON text."""
    return {
        f"metrics.{check_metric_name(name)}": metric_text(metric_value(name, value)) for name, value in values.items()
    }
