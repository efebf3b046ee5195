"""What engineers log in the words of other trackers: single metrics and parameters, files, figures, models, tags."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lakefolio.errors import InvalidInputError
from lakefolio.format.names import check_run_id

if TYPE_CHECKING:
    from lakefolio.runs.record import RunOutput
    from lakefolio.runs.run import Run

__all__ = ["log_artifact", "log_figure", "log_metric", "log_model", "log_param", "log_params", "set_tag"]


def log_metric(run: Run, /, name: str, value: object, step: int | None = None) -> None:
    """Log one metric; see :meth:`log`.

    Args:
        name: The metric.
        value: A number.
        step: A whole number of 64 bits, or none.
    """
    run.log_metrics({name: value}, step)


def log_param(run: Run, /, name: str, value: object) -> None:
    """Set one parameter. One commit.

    Args:
        name: The parameter.
        value: A plain value.
    """
    run.set_params({name: value})


def log_params(run: Run, /, params: Mapping[str, object]) -> None:
    """Set parameters: :meth:`set_params` in the words of other trackers.

    Args:
        params: Name -> plain value.
    """
    run.set_params(params)


def log_artifact(
    run: Run, /, path: str | os.PathLike[str], name: str | None = None, *, description: str | None = None
) -> RunOutput:
    """Store a file or folder as an output of the run. One commit; one of its name is replaced, and stays in history.

    Args:
        path: The file or folder.
        name: The item's name; by default that of the file.
        description: One sentence on what it is.

    Raises:
        LocalFileNotFoundError: There is no such file.
    """
    place = Path(path)
    return run.add_output(name or place.name, place, overwrite=True, description=description)


def log_figure(run: Run, /, figure: object, name: str = "figure", *, description: str | None = None) -> RunOutput:
    """Store a figure as an output of the run. One commit; another of the name is replaced, and stays in the history.

    Args:
        figure: A figure of matplotlib, plotly or altair, or an image of Pillow.
        name: The item's name.
        description: One sentence on what it is.
    """
    return run.add_output(name, figure, overwrite=True, description=description)


def log_model(
    run: Run,
    /,
    model: object,
    name: str = "model",
    *,
    description: str | None = None,
    registered_model_name: str | None = None,
) -> RunOutput:
    """Store a model as an output of the run. One commit; another of the name is replaced, and stays in the history.

    Args:
        model: An estimator of scikit-learn, or a module of torch.
        name: The item's name.
        description: One sentence on what it is.
        registered_model_name: Make it the next version of this registered model too, as ``Lake.register_model`` does
            in commits of its own, once the output is stored.

    Raises:
        InvalidInputError: A name that can't be used; nothing is stored.
    """
    if registered_model_name is not None:
        check_run_id(registered_model_name)
        if run._registrar is None:
            raise InvalidInputError(
                "a run of @capture or track() registers no model itself",
                kind="bad-option",
                hint=f"lake.register_model({registered_model_name!r}, run.log_model(model))",
            )
    made = run.add_output(name, model, overwrite=True, description=description)
    if registered_model_name is not None and run._registrar is not None:
        run._registrar(registered_model_name, made)
    return made


def set_tag(run: Run, /, name: str, value: object = None) -> None:
    """Tag the run with a word, or note a fact of it under a name. One commit.

    Args:
        name: The word, or the name of the fact.
        value: Anything JSON-able; None for a word alone.

    Raises:
        InvalidInputError: A name that can't be used, or that the library writes.
    """
    if not isinstance(name, str):
        raise InvalidInputError(f"tag {name!r} is not a text", kind="bad-text", hint="use a word")
    if value is None:
        run.add_tags(name)
    else:
        run.annotate({name: value})
