"""Adding models, of scikit-learn and torch. None is ever pickled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakefolio.errors import UnsupportedTypeError
from lakefolio.folio.adding import put
from lakefolio.folio.open_folio import SelfT
from lakefolio.items import handler_of
from lakefolio.session.annotations import Annotations, Inputs, Tags

__all__ = ["add_model", "add_pytorch", "add_sklearn"]


def add_sklearn(
    folio: SelfT,
    /,
    name: str | None,
    model: object,
    description: str | None = None,
    overwrite: bool = False,
    inputs: Inputs = None,
    hyperparameters: Mapping[str, object] | None = None,
    code: str | None = None,
    custom: bool = False,
    *,
    tags: Tags = None,
    metadata: Mapping[str, object] | None = None,
    keep: bool = False,
    version: str | None = None,
    bump: str | None = None,
) -> SelfT:
    """Add a scikit-learn estimator or pipeline, in the skops format, which runs no code on loading.

    Args:
        model: The estimator.
        hyperparameters: Parameters to note.
        custom: Accepted for DataFolio, where it asks for skops.
    """
    facts = {"hyperparameters": dict(hyperparameters or {}) or None, "code": code}
    annotations = Annotations.of(
        description, inputs, tags, metadata, facts, overwrite=overwrite, keep=keep, version=version, bump=bump
    )
    return put(folio, name, model, annotations, kind="model")


def add_model(
    folio: SelfT,
    /,
    name: str | None,
    model: object,
    description: str | None = None,
    overwrite: bool = False,
    custom: bool = False,
    *,
    inputs: Inputs = None,
    hyperparameters: Mapping[str, object] | None = None,
    init_args: Mapping[str, object] | None = None,
    save_class: bool = False,
    code: str | None = None,
    tags: Tags = None,
    metadata: Mapping[str, object] | None = None,
    keep: bool = False,
    version: str | None = None,
    bump: str | None = None,
) -> SelfT:
    """Add a model, of torch or scikit-learn; which one is found out.

    Args:
        model: The model.
        custom: Accepted for DataFolio, where it asks for skops.
        hyperparameters: Parameters to note.
        init_args: Of a torch module only; see ``add_pytorch``.
        save_class: Of a torch module only; see ``add_pytorch``.
    """
    annotations: dict[str, Any] = {
        "inputs": inputs,
        "hyperparameters": hyperparameters,
        "code": code,
        "tags": tags,
        "metadata": metadata,
        "keep": keep,
        "version": version,
        "bump": bump,
    }
    if handler_of("torch").accepts(model):
        return folio.add_pytorch(
            name, model, description, overwrite, init_args=init_args, save_class=save_class, **annotations
        )
    if init_args or save_class:
        raise UnsupportedTypeError(
            f"init_args and save_class are for torch modules, got a {type(model).__qualname__}",
            kind="wrong-kind",
            hint="leave them out, or pass an instance of torch.nn.Module",
        )
    return folio.add_sklearn(name, model, description, overwrite, **annotations)


def add_pytorch(
    folio: SelfT,
    /,
    name: str | None,
    model: object,
    description: str | None = None,
    overwrite: bool = False,
    inputs: Inputs = None,
    hyperparameters: Mapping[str, object] | None = None,
    init_args: Mapping[str, object] | None = None,
    save_class: bool = False,
    code: str | None = None,
    *,
    tags: Tags = None,
    metadata: Mapping[str, object] | None = None,
    keep: bool = False,
    version: str | None = None,
    bump: str | None = None,
) -> SelfT:
    """Add a torch module or a state dict: its tensors as safetensors, and how to build it again.

    Args:
        model: The module, a state dict, or a tensor. Tensors that stand alone or in a dict come back with their values
            and dtype, on the CPU, without ``requires_grad``; a module's parameters keep theirs.
        hyperparameters: Parameters to note.
        init_args: The arguments that build the module again; JSON values. A module is refused if an attribute or a
            non-persistent buffer of it, or of a module inside, would come back different.
        save_class: Keep the source of the class for people to read. It is never run.
    """
    given = {"init_args": dict(init_args) if init_args else None, "save_class": save_class or None}
    options = {key: value for key, value in given.items() if value is not None}
    facts = {"hyperparameters": dict(hyperparameters or {}) or None, "code": code}
    annotations = Annotations.of(
        description, inputs, tags, metadata, facts, overwrite=overwrite, keep=keep, version=version, bump=bump
    )
    return put(folio, name, model, annotations, kind="torch", options=options)
