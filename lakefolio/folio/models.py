"""The part of a folio that adds models. None is ever pickled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from lakefolio.errors import UnsupportedTypeError
from lakefolio.folio.putting import Inputs, Putting, Tags
from lakefolio.items import handler_of

__all__ = ["AddingModels"]


class AddingModels(Putting):
    """Adds models; see ``Adding`` for what all methods have in common."""

    def add_sklearn(
        self,
        name: str,
        model: Any,
        description: str | None = None,
        overwrite: bool = False,
        inputs: Inputs = None,
        hyperparameters: Mapping[str, Any] | None = None,
        code: str | None = None,
        custom: bool = False,
        *,
        tags: Tags = None,
        metadata: Mapping[str, Any] | None = None,
        keep: bool = False,
    ) -> Self:
        """Add a scikit-learn estimator or pipeline, in the skops format, which runs no code on loading.

        Args:
            name: The name; ``/`` may group names.
            model: The estimator.
            description: One sentence on what it is.
            overwrite: Replace an item of that name; its old entry stays in the history.
            inputs: What it was made from: names, references ``[folio:]name[@version]``, or URIs of things
                outside.
            hyperparameters: Parameters to note.
            code: The code that made it, for people to read.
            custom: Accepted for DataFolio, where it asks for skops.
            tags: Words to find it by.
            metadata: Facts to note of it; JSON values.
            keep: With ``overwrite``, carry description, tags and metadata over where none are given here.
        """
        return self._put(
            name,
            model,
            "model",
            description,
            inputs,
            tags,
            metadata,
            overwrite,
            keep,
            hyperparameters=dict(hyperparameters) if hyperparameters else None,
            code=code,
        )

    def add_model(
        self,
        name: str,
        model: Any,
        description: str | None = None,
        overwrite: bool = False,
        custom: bool = False,
        *,
        inputs: Inputs = None,
        hyperparameters: Mapping[str, Any] | None = None,
        init_args: Mapping[str, Any] | None = None,
        save_class: bool = False,
        code: str | None = None,
        tags: Tags = None,
        metadata: Mapping[str, Any] | None = None,
        keep: bool = False,
    ) -> Self:
        """Add a model, of torch or scikit-learn; which one is found out.

        Args:
            name: The name; ``/`` may group names.
            model: The model.
            description: One sentence on what it is.
            overwrite: Replace an item of that name; its old entry stays in the history.
            custom: Accepted for DataFolio, where it asks for skops.
            inputs: What it was made from: names, references ``[folio:]name[@version]``, or URIs of things
                outside.
            hyperparameters: Parameters to note.
            init_args: Of a torch module only; see ``add_pytorch``.
            save_class: Of a torch module only; see ``add_pytorch``.
            code: The code that made it, for people to read.
            tags: Words to find it by.
            metadata: Facts to note of it; JSON values.
            keep: With ``overwrite``, carry description, tags and metadata over where none are given here.
        """
        said: dict[str, Any] = {
            "inputs": inputs,
            "hyperparameters": hyperparameters,
            "code": code,
            "tags": tags,
            "metadata": metadata,
            "keep": keep,
        }
        if handler_of("torch").accepts(model):
            return self.add_pytorch(
                name, model, description, overwrite, init_args=init_args, save_class=save_class, **said
            )
        if init_args or save_class:
            raise UnsupportedTypeError(
                f"init_args and save_class are for torch modules, got a {type(model).__qualname__}",
                kind="wrong-kind",
                hint="leave them out, or pass an instance of torch.nn.Module",
            )
        return self.add_sklearn(name, model, description, overwrite, **said)

    def add_pytorch(
        self,
        name: str,
        model: Any,
        description: str | None = None,
        overwrite: bool = False,
        inputs: Inputs = None,
        hyperparameters: Mapping[str, Any] | None = None,
        init_args: Mapping[str, Any] | None = None,
        save_class: bool = False,
        code: str | None = None,
        *,
        tags: Tags = None,
        metadata: Mapping[str, Any] | None = None,
        keep: bool = False,
    ) -> Self:
        """Add a torch module or a state dict: its tensors as safetensors, and how to build it again.

        Args:
            name: The name; ``/`` may group names.
            model: The module or state dict.
            description: One sentence on what it is.
            overwrite: Replace an item of that name; its old entry stays in the history.
            inputs: What it was made from: names, references ``[folio:]name[@version]``, or URIs of things
                outside.
            hyperparameters: Parameters to note.
            init_args: The arguments that build the module again; JSON values.
            save_class: Keep the source of the class for people to read. It is never run.
            code: The code that made it, for people to read.
            tags: Words to find it by.
            metadata: Facts to note of it; JSON values.
            keep: With ``overwrite``, carry description, tags and metadata over where none are given here.
        """
        options = {"init_args": dict(init_args) if init_args else None, "save_class": save_class or None}
        return self._put(
            name,
            model,
            "torch",
            description,
            inputs,
            tags,
            metadata,
            overwrite,
            keep,
            {key: value for key, value in options.items() if value is not None},
            hyperparameters=dict(hyperparameters) if hyperparameters else None,
            code=code,
        )
