"""The annotations of an entry: description, inputs, tags and metadata, checked and in the form that rows take."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lakefolio.errors import InvalidInputError, LakefolioError
from lakefolio.format import json_encode
from lakefolio.format.names import hidden_character, is_uri
from lakefolio.model.item_versions import OWN_FACTS
from lakefolio.model.version_policy import check_bump, check_label
from lakefolio.process.notice import LakefolioWarning, notice
from lakefolio.redaction import MASK, scrub_address, scrub_value
from lakefolio.terminal import has_surrogate, shown_value

__all__ = [
    "Annotations",
    "Inputs",
    "Tags",
    "as_list",
    "check_inputs",
    "check_tags",
    "check_text",
    "check_word",
    "metadata_texts",
    "refuse_own_facts",
    "without_secrets",
]

Inputs = str | Iterable[Any] | None
"""The inputs of an item: names, references ``[folio:]name[@version]``, URIs of things outside, proxies."""
Tags = str | Iterable[str] | None


@dataclass(frozen=True, slots=True)
class Annotations:
    """The annotations of an entry in the form that rows take. Made by :meth:`of`, which checks them.

    Attributes:
        description: One sentence, or None.
        inputs: References and URIs.
        tags: Words, none twice.
        metadata: Key -> JSON text.
        overwrite: Whether an item of that name may be replaced.
        unsaid: Which of ``description``, ``tags`` and ``metadata`` were not given; an empty one is given.
        keep: Which of them the entry that is replaced hands on; see ``Put``.
        inputs_given: Whether inputs were given, even an empty list; else the reads of the run's code are the inputs.
        version: The label of the version, or None.
        bump: The part of the last label that goes up instead, or None.
        input_details: What is said of inputs, by their position; see ``column_sources``.
    """

    description: str | None
    inputs: tuple[str, ...]
    tags: tuple[str, ...]
    metadata: Mapping[str, str]
    overwrite: bool
    unsaid: tuple[str, ...]
    keep: tuple[str, ...]
    inputs_given: bool = True
    version: str | None = None
    bump: str | None = None
    input_details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        description: str | None = None,
        inputs: Inputs = None,
        tags: Tags = None,
        metadata: Mapping[str, object] | None = None,
        facts: Mapping[str, object] | None = None,
        *,
        overwrite: bool = False,
        keep: bool = False,
        version: str | None = None,
        bump: str | None = None,
    ) -> Annotations:
        """Check annotations.

        Args:
            description: One sentence.
            inputs: References, URIs, entries or item proxies; one or several.
            tags: One word or several.
            metadata: JSON-able values.
            facts: Metadata that the library notes of the content; those that are None or empty texts are not given.
            overwrite: Whether an item of that name may be replaced.
            keep: Whether description, tags and metadata that are not given are those of the entry that is replaced.
            version: The label of the version.
            bump: The part of the last label that goes up instead.

        Raises:
            InvalidInputError: Something that can't be stored.
        """
        if version is not None and bump is not None:
            raise InvalidInputError(
                f"both version={shown_value(version)} and bump={shown_value(bump)} are given",
                kind="bad-version",
                hint="give one of them",
            )
        noted = {name: value for name, value in (facts or {}).items() if value not in (None, "")}
        given = {"description": description, "tags": tags, "metadata": metadata}
        unsaid = tuple(name for name, value in given.items() if value is None)
        return cls(
            description=check_text(description, "description") or None,
            inputs=check_inputs(inputs),
            tags=check_tags(tags),
            metadata=(metadata_texts(metadata) if metadata else {}) | (metadata_texts(noted) if noted else {}),
            overwrite=overwrite,
            unsaid=unsaid,
            keep=tuple(dict.fromkeys((*unsaid, "metadata"))) if keep else (),
            inputs_given=inputs is not None,
            version=check_label(version),
            bump=check_bump(bump),
        )

    def or_described(self, description: str | None) -> Annotations:
        """Return these with the object's own description, unless one was given or is kept."""
        if description is None or "description" not in self.unsaid or "description" in self.keep:
            return self
        unsaid = tuple(name for name in self.unsaid if name != "description")
        return replace(self, description=check_text(description, "description"), unsaid=unsaid)


def check_text(text: object, what: str) -> str | None:
    """Return a text that can be stored, or None; InvalidInputError (kind ``bad-text``) otherwise."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise InvalidInputError(
            f"{what} is of type {type(text).__name__}, expected str",
            kind="bad-text",
            hint="give a text; facts of other types go into metadata",
        )
    if has_surrogate(text):
        raise InvalidInputError(
            f"{what} {text!r} holds a lone surrogate, which no UTF-8 text can",
            kind="bad-text",
            hint="decode the bytes it came from with errors='replace'",
        )
    return str(without_secrets(what, text))


def without_secrets(what: str, value: object, *, names: bool = False) -> Any:
    """Return a value to be recorded without the secrets in it, and warn if there were any.

    Args:
        what: What it is called, for the warning.
        value: A text, or values of plain containers.
        names: Whether a name tells a secret, besides shapes and places (:mod:`lakefolio.redaction`).
    """
    found = scrub_value(value, what.rpartition(" ")[2].strip("'") if names else "", shapes_only=not names)
    if found is not value:
        said = f"{what} seems to hold a secret, which is not recorded: {MASK} stands in its place"
        notice(LakefolioWarning(said, kind="secret-left-out", hint="give secrets in the environment"))
    return found


def check_word(word: object, what: str) -> str | None:
    """Return a text that names something, or None: as :func:`check_text`, not blank, without hidden characters.

    One that looks like another (white space at an end, not in the Unicode normal form NFC) is kept as it is, with a
    LakefolioWarning (kind ``looks-like-another``): a query for the other one would not find it.
    """
    text = check_text(word, what)
    if text is None:
        return None
    problem = "is empty" if not text else "is blank" if text.isspace() else None
    if hidden := hidden_character(text):
        problem = f"holds {hidden}"
    if problem is not None:
        raise InvalidInputError(
            f"{what} {ascii(text) if hidden else repr(text)} {problem}",
            kind="bad-text",
            hint="names are one line of printable text; longer texts go into description or metadata",
        )
    if (usual := unicodedata.normalize("NFC", text).strip()) != text:
        spaced = text != text.strip()
        oddity = "has white space at an end" if spaced else "is not in Unicode normal form NFC"
        here, there = (shown_value(text), shown_value(usual)) if spaced else (ascii(text), ascii(usual))
        said = f"{what} {here} {oddity}: queries for {there} don't find it"
        notice(LakefolioWarning(said, kind="looks-like-another", hint=f"write {there}"))
    return text


def check_tags(tags: Tags, *, known: Collection[str] = ()) -> tuple[str, ...]:
    """Return tags without repetition; a single text is one tag. Those that are ``known`` already are as they are."""
    if tags is None:
        return ()
    if isinstance(tags, Mapping):
        facts = ", ".join(f"{shown_value(key)}: {value!r}" for key, value in list(tags.items())[:3])
        raise InvalidInputError(
            "tags is a mapping, expected a list of words",
            kind="bad-text",
            hint=f"facts with a value go into metadata: metadata={{{facts}}}",
        )
    if not isinstance(tags, Iterable):
        raise InvalidInputError(
            f"tags is of type {type(tags).__name__}, expected a list of texts",
            kind="bad-text",
            hint="write tags=['draft', 'paper']",
        )
    found = []
    for tag in [tags] if isinstance(tags, str) else tags:
        text = tag if tag in known else check_word(tag, "tag")
        if text is None:
            raise InvalidInputError("tag None is not a text", kind="bad-text", hint="use a word")
        found.append(text)
    return tuple(dict.fromkeys(found))


def as_list(inputs: Inputs) -> list[Any]:
    """Return inputs as a list; a single name, entry or item proxy is one input."""
    if inputs is None:
        return []
    single = isinstance(inputs, str) or hasattr(inputs, "ref") or not isinstance(inputs, Iterable)
    return [inputs] if single else list(inputs)


def check_inputs(inputs: Inputs) -> tuple[str, ...]:
    """Return inputs as references: texts as they are, entries and item proxies by the reference they carry."""
    found = as_list(inputs)
    texts = [one if isinstance(one, str) else getattr(one, "ref", None) for one in found]
    for text, one in zip(texts, found, strict=True):
        if not isinstance(text, str) or not text:
            raise InvalidInputError(
                f"input {shown_value(one)} is neither a reference, a URI nor an entry",
                kind="bad-input",
                hint="name an item, as in inputs=['raw', 'other/folio:item@3']",
            )
    return tuple(dict.fromkeys(scrub_address(text) if is_uri(text) else text for text in texts if text))


def metadata_texts(values: Mapping[str, object]) -> dict[str, str]:
    """Return metadata as JSON texts; InvalidInputError if a key or value can't be stored."""
    if not isinstance(values, Mapping):
        raise InvalidInputError(
            f"metadata is of type {type(values).__name__}, expected a dict",
            kind="bad-metadata",
            hint="write metadata={'source': 'survey 3'}",
        )
    for key in values:
        if not isinstance(key, str) or check_word(key, "metadata key") is None:
            raise InvalidInputError(
                f"metadata key {shown_value(key)} is not a text", kind="bad-metadata", hint="use words as keys", key=key
            )
    return {key: _metadata_text(key, value) for key, value in values.items()}


def refuse_own_facts(keys: Iterable[str]) -> None:
    """Raise InvalidInputError (kind ``bad-metadata``) for a key of a folio or the lake that is the library's own."""
    for key in keys:
        if key.startswith(OWN_FACTS):
            raise InvalidInputError(
                f"metadata key {shown_value(key)} is one that lakefolio keeps itself",
                kind="bad-metadata",
                hint="set_version_policy, alias and set_naming set what it holds",
                key=key,
            )


def _metadata_text(key: str, value: object) -> str:
    try:
        return json_encode.dumps_fact(without_secrets(f"metadata {shown_value(key)}", value)).decode()
    except LakefolioError as exc:
        raise type(exc)(
            f"metadata {shown_value(key)} can't be stored: {exc.message}", kind=exc.kind, hint=exc.hint, key=key
        ) from exc
