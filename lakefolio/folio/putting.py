"""What all methods that add items share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from lakefolio.errors import UnsupportedTypeError
from lakefolio.folio.base import FolioBase

__all__ = ["Inputs", "Putting", "Tags", "as_list", "check_is_text", "with_words"]

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
        options: Mapping[str, Any] | None = None,
        **words: Any,
    ) -> Self:
        self._check_writable()
        check_is_text(name)
        self._session.put(
            self._name,
            name,
            obj,
            kind=kind,
            description=description or None,
            inputs=as_list(inputs),
            tags=tags,
            metadata=with_words(metadata, words),
            overwrite=overwrite,
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


def with_words(metadata: Mapping[str, Any] | None, words: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return metadata with the words (``code``, ``hyperparameters``, …) that were given."""
    if metadata is not None and not isinstance(metadata, Mapping):
        return metadata  # refused where metadata are checked
    given = {word: value for word, value in words.items() if value not in (None, "")}
    return {**metadata, **given} if metadata else given or None
