"""What all methods that add items share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from lakefolio.errors import UnsupportedTypeError
from lakefolio.folio.base import FolioBase

__all__ = ["Inputs", "Putting", "Tags", "as_list", "check_is_text", "given"]

Inputs = str | Iterable[Any] | None
"""What an item was made from: names, references ``[folio:]name[@version]``, URIs of things outside, proxies."""
Tags = str | Iterable[str] | None


class Putting(FolioBase):
    """The one way in which items are added."""

    def _put(
        self,
        name: str,
        obj: Any,
        kind: str | None,
        description: str | None,
        inputs: Inputs,
        tags: Tags,
        metadata: Mapping[str, Any] | None,
        overwrite: bool,
        keep: bool,
        options: Mapping[str, Any] | None = None,
        **facts: Any,
    ) -> Self:
        self._check_writable()
        check_is_text(name)
        self._session.put(
            self._name,
            name,
            obj,
            kind=kind,
            description=description,
            inputs=as_list(inputs),
            tags=tags,
            metadata=metadata,
            facts=given(facts),
            overwrite=overwrite,
            keep=keep,
            options=options,
        )
        self._move_pin()
        return self


def as_list(inputs: Inputs) -> list[Any]:
    """Return inputs as a list; a single name, entry or item proxy is one input."""
    if inputs is None:
        return []
    single = isinstance(inputs, str) or hasattr(inputs, "ref") or not isinstance(inputs, Iterable)
    return [inputs] if single else list(inputs)


def check_is_text(name: object) -> None:
    """Raise UnsupportedTypeError (a TypeError, kind ``bad-name``) unless ``name`` is a str."""
    if not isinstance(name, str):
        raise UnsupportedTypeError(
            f"item name {name!r} is of type {type(name).__name__}, expected str",
            kind="bad-name",
            hint="the name comes first, then the object",
            name=name,
        )


def given(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts (``code``, ``hyperparameters``, …) that were given."""
    return {name: value for name, value in facts.items() if value not in (None, "")}
