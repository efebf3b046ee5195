"""The class of a stored torch module: its source when it is added, and the class a reader allows when it is got."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from lakefolio.errors import InvalidInputError, UntrustedContentError
from lakefolio.format.json_decode import find_class

__all__ = ["class_of", "source_of"]


def source_of(cls: type) -> str:
    """Return the code of a class."""
    try:
        return inspect.getsource(cls)
    except (OSError, TypeError) as exc:
        raise InvalidInputError(
            f"the source of the class {cls.__qualname__} can't be found: {exc}",
            kind="no-source",
            hint="define it in a file or notebook cell, or leave save_class out",
        ) from exc


def class_of(details: Mapping[str, object], names: frozenset[str], torch: Any, *, trust_source: bool) -> Any:
    """Return the class of a stored module that the reader's process has or trusts."""
    name = str(details.get("class", ""))
    found = _from_source(details, torch) if trust_source else find_class(name, names)
    if found is None:
        module, _, qualname = name.partition(":")
        raise UntrustedContentError(
            f"the model is a {module}.{qualname}, which this process has not imported",
            hint=f"import it first, or pass model_class=…, trusted=[{module!r}], or reconstruct=False",
            types=[f"{module}.{qualname}"],
        )
    if not issubclass(found, torch.nn.Module):
        raise UntrustedContentError(
            f"{name} is no torch.nn.Module, so it is not called",
            hint="pass model_class=… if you know what it is, or reconstruct=False for the tensors",
            types=[name],
        )
    return found


def _from_source(details: Mapping[str, Any], torch: Any) -> type | None:
    text = details.get("class_source")
    if not isinstance(text, str):
        raise InvalidInputError(
            "the model was stored without the source of its class",
            kind="no-source",
            hint="pass model_class=…, or reconstruct=False",
        )
    namespace: dict[str, Any] = {"__name__": "lakefolio_trusted_source", "torch": torch, "nn": torch.nn}
    namespace["F"] = torch.nn.functional
    exec(inspect.cleandoc(text) if text[:1].isspace() else text, namespace)
    found = namespace.get(str(details.get("class", "")).rpartition(":")[2].rpartition(".")[2])
    return found if isinstance(found, type) else None
