"""Patterns of the names of a folio's items: filled from fields, and read back (pure: no I/O).

``{experiment}/{subject}/{date:%Y%m%d}/{run:03d}`` has four fields: texts, a date or time with digits of ``strftime``,
and a whole number with at least so many digits. A format that has no whole day, such as ``%Y%m``, gives its text back,
for no date is meant by it. A name is given only if it reads back as exactly the fields it was made
of. A pattern is a fact of its folio, ``lakefolio.naming``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Final

from lakefolio.errors import InvalidInputError, LakefolioError, nearest
from lakefolio.format.names import check_item
from lakefolio.model.entries import StateView
from lakefolio.model.item_versions import OWN_FACTS
from lakefolio.terminal import shown_value

__all__ = ["NAMING", "NamePattern", "naming_of"]

NAMING: Final = f"{OWN_FACTS}naming"
_FIELD: Final = re.compile(r"\{([^{}:]*)(?::([^{}]*))?\}")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DIGITS: Final = {"%Y": 4, "%m": 2, "%d": 2, "%j": 3, "%H": 2, "%M": 2, "%S": 2, "%f": 6}
_TIMES: Final = ("%H", "%M", "%S", "%f")
_COUNT: Final = re.compile(r"(?:0([1-9]))?d")
_MOST: Final = 9
"""So many groups can be named in the place of a match by RE2, which SQL reads names with."""
_LONGEST: Final = 255

Value = str | int | date


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    form: str | None

    @property
    def regex(self) -> str:
        if self.form is None:
            return "[^/]+?"
        if (count := _COUNT.fullmatch(self.form)) is not None:
            return f"-?[0-9]{{{int(count[1] or 1)},18}}"
        found, rest = "", self.form
        while rest:
            one = rest[:2] if rest[:2] in _DIGITS else rest[0]
            found += f"[0-9]{{{_DIGITS[one]}}}" if one in _DIGITS else re.escape(one)
            rest = rest[len(one) :]
        return found

    def text(self, value: object) -> str:
        if self.form is None:
            if isinstance(value, str) and value and "/" not in value:
                return value
            if isinstance(value, int) and not isinstance(value, bool):
                return str(value)
            what = "holds a slash" if isinstance(value, str) and value else "is no text"
            raise _bad(f"field {self.name!r}: {shown_value(value)} {what}", "give a word without '/'", self.name)
        if _COUNT.fullmatch(self.form):
            if isinstance(value, int) and not isinstance(value, bool):
                return format(value, self.form)
            raise _bad(f"field {self.name!r}: {shown_value(value)} is no whole number", "give a number", self.name)
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                value = None
        if not isinstance(value, date):
            raise _bad(f"field {self.name!r} is no date", "give a date, or its ISO 8601 text", self.name)
        return value.strftime(self.form.replace("%Y", f"{value.year:04d}"))

    def gives(self, value: object, text: str) -> bool:
        """Say whether a value gives a text."""
        try:
            return self.text(value) == text
        except InvalidInputError:
            return False

    def value(self, text: str) -> Value:
        """Return the value that a text in a name stands for; ValueError if there is no such date or number."""
        if self.form is None:
            return text
        if _COUNT.fullmatch(self.form):
            if format(int(text), self.form) != text:
                raise ValueError(text)  # another name for the same number
            return int(text)
        has_year, has_day = "%Y" in self.form, "%j" in self.form or ("%m" in self.form and "%d" in self.form)
        found = datetime.strptime(text if has_year else f"2000 {text}", self.form if has_year else f"%Y {self.form}")
        if not (has_year and has_day):
            return text
        return found if any(one in self.form for one in _TIMES) else found.date()


@dataclass(frozen=True)
class NamePattern:
    """A pattern, parsed.

    Attributes:
        text: As it was written.
        parts: Texts and fields, in order.
        strict: Whether every new name must fit it.
    """

    text: str
    parts: tuple[str | _Field, ...]
    strict: bool = True

    @classmethod
    def parse(cls, text: object, *, strict: bool = True) -> NamePattern:
        """Read a pattern; InvalidInputError (kind ``bad-naming``) for one that could not be read back."""
        if not isinstance(text, str) or not 0 < len(text) <= _LONGEST:
            raise _bad(f"{shown_value(text)} is no pattern of names", "write '{experiment}/{subject}/{date:%Y%m%d}'")
        parts: list[str | _Field] = []
        end = 0
        for match in _FIELD.finditer(text):
            parts += [text[end : match.start()]] if match.start() > end else []
            parts.append(_Field(match[1], match[2]))
            end = match.end()
        parts += [text[end:]] if end < len(text) else []
        found = cls(text, tuple(parts), strict)
        found._check()
        return found

    def _check(self) -> None:
        names = self.fields
        if not names or len(set(names)) < len(names) or len(names) > _MOST:
            raise _bad(
                f"pattern {shown_value(self.text)} has {len(names)} fields, {len(set(names))} of them different",
                f"name 1 to {_MOST} different fields, as in {{subject}}",
            )
        before: str | _Field | None = None
        for part in self.parts:
            if isinstance(part, str):
                if "{" in part or "}" in part:
                    raise _bad(f"pattern {shown_value(self.text)} has a brace that is not closed", "write {field}")
            else:
                self._check_field(part)
                if isinstance(before, _Field):
                    raise _bad(
                        f"fields {before.name!r} and {part.name!r} of pattern {shown_value(self.text)} stand together",
                        "put a text between them, so that names can be read back",
                    )
            before = part
        sample = "".join(part if isinstance(part, str) else "x" for part in self.parts)
        try:
            check_item(sample)
        except LakefolioError as exc:
            raise _bad(f"pattern {shown_value(self.text)} gives no names: {exc.message}", exc.hint or "") from exc

    def _check_field(self, field: _Field) -> None:
        if not _NAME.fullmatch(field.name):
            raise _bad(
                f"field {field.name!r:.40} of pattern {shown_value(self.text)} is no name", "use letters, digits and _"
            )
        if field.form is None or _COUNT.fullmatch(field.form):
            return
        used = re.findall("%.?", field.form)
        is_known = used and all(one in _DIGITS for one in used) and len(set(used)) == len(used)
        if not is_known or "/" in field.form:
            raise _bad(
                f"format {field.form!r:.40} of field {field.name!r} can't be read back",
                f"use {' '.join(_DIGITS)} for dates and times, each once, or 03d for numbers",
            )

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields, in order."""
        return tuple(part.name for part in self.parts if isinstance(part, _Field))

    @property
    def regex(self) -> str:
        """A regular expression of whole names, one group for each field, that Python and RE2 read alike."""
        return "".join(re.escape(part) if isinstance(part, str) else f"({part.regex})" for part in self.parts)

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.regex)

    def name_of(self, values: Mapping[str, object]) -> str:
        """Return the name that some values give; others than the fields are not looked at.

        Raises:
            InvalidInputError: kind ``bad-naming``: a field is missing, or its value could not be read back.
        """
        texts = {}
        for part in self.parts:
            if isinstance(part, _Field):
                if values.get(part.name) is None:
                    raise _bad(
                        f"field {part.name!r} of pattern {shown_value(self.text)} has no value",
                        (part.name not in values and nearest(part.name, values)) or "give it as metadata",
                        part.name,
                    )
                texts[part.name] = part.text(values[part.name])
        name = check_item("".join(part if isinstance(part, str) else texts[part.name] for part in self.parts))
        match = self._compiled.fullmatch(name)
        back = dict(zip(self.fields, match.groups(), strict=True)) if match is not None else {}
        for field, text in texts.items():
            if back.get(field) != text:
                raise _bad(
                    f"name {name!r} would be read back with {field!r} {back.get(field)!r}, given {text!r}",
                    "leave out what the pattern has between its fields",
                    field,
                )
        return name

    def fields_of(self, name: str) -> dict[str, Value] | None:
        """Return the fields that a name was made of; None if it is not of this pattern."""
        match = self._compiled.fullmatch(name)
        if match is None:
            return None
        parts = [part for part in self.parts if isinstance(part, _Field)]
        try:
            return {part.name: part.value(text) for part, text in zip(parts, match.groups(), strict=True)}
        except ValueError:  # the thirteenth month
            return None

    def check(self, name: str) -> None:
        """Raise InvalidInputError (kind ``bad-naming``) if the pattern is strict and a name is not of it."""
        if self.strict and self.fields_of(name) is None:
            raise _bad(
                f"item name {name!r} does not fit the pattern {shown_value(self.text)} of its folio",
                "name it so, or leave the name out: add(None, …, metadata=…) fills it",
            )

    def denied(self, name: str, values: Mapping[str, object]) -> dict[str, Value]:
        """Return the fields of a name, of a strict pattern, for which some values say another.

        Values that are None, and others than the fields, are not looked at.
        """
        fields = self.fields_of(name) if self.strict else None
        match = self._compiled.fullmatch(name)
        if fields is None or match is None:
            return {}
        parts = [part for part in self.parts if isinstance(part, _Field)]
        told = {part.name: (part, text) for part, text in zip(parts, match.groups(), strict=True)}
        return {
            key: fields[key]
            for key, (part, text) in told.items()
            if (value := values.get(key)) is not None and text != str(value) and not part.gives(value, text)
        }

    def check_agrees(self, name: str, values: Mapping[str, object]) -> None:
        """Raise InvalidInputError (kind ``bad-naming``) if a name denies some values; see :meth:`denied`."""
        for key, value in self.denied(name, values).items():
            raise _bad(
                f"item name {name!r} says {key}={value}, its metadata {shown_value(values[key])}",
                f"give both the same {key}: rename() changes it with the name;"
                " or leave the name out: add(None, …, metadata=…) fills it",
                key,
            )

    def to_fact(self) -> str:
        """Return the text of the fact that holds it; ``regex`` and ``fields`` are for SQL."""
        fact = {"pattern": self.text, "strict": self.strict, "regex": self.regex, "fields": list(self.fields)}
        return json.dumps(fact, ensure_ascii=False, separators=(",", ":"))


def naming_of(view: StateView, folio: str) -> NamePattern | None:
    """Return the pattern of a folio, or None; InvalidInputError (kind ``bad-naming``) if its fact holds none."""
    facts = view.facts("folio", folio)
    if NAMING not in facts:
        return None
    text = facts[NAMING]
    try:
        fact = json.loads(text)
        return NamePattern.parse(fact["pattern"], strict=fact.get("strict") is not False)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidInputError) as exc:
        raise _bad(f"the pattern of names of folio {folio!r} is {text!r:.60}", "set it anew: set_naming") from exc


def _bad(message: str, hint: str | None, field: str | None = None) -> InvalidInputError:
    return InvalidInputError(message, kind="bad-naming", hint=hint or None, field=field)
