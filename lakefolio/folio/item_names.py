"""Patterns of names: set, filled, and asked for by their fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lakefolio.errors import InvalidInputError, nearest
from lakefolio.folio.open_folio import SelfT
from lakefolio.format.json_decode import loads
from lakefolio.model.changes import Annotate
from lakefolio.model.naming import NAMING, NamePattern, naming_of
from lakefolio.terminal import shown_value

if TYPE_CHECKING:
    from lakefolio.folio.folio import Folio
    from lakefolio.model.entries import Entry

__all__ = ["fields_of", "filled_name", "name_of", "naming", "set_naming", "some_items"]


def set_naming(folio: SelfT, /, pattern: str | None, *, strict: bool = True) -> SelfT:
    """Set the pattern of the names of this folio's items, or give it up (None). One commit.

    A field is ``{subject}`` (a text without ``/``), ``{date:%Y%m%d}`` (a date or time, of ``%Y %m %d %j %H %M %S %f``)
    or ``{run:03d}`` (a whole number); there are at most 9, and a text between any two. From then on
    ``add(None, obj, metadata={…})`` fills the name, ``items(where={…})`` and ``lake.query(fields={…})`` find items by
    their fields, and the SQL view ``item_fields`` has them.

    Args:
        pattern: Such as ``{experiment}/{subject}/{date:%Y%m%d}/{kind}``.
        strict: Refuse every new name that does not fit, or that its metadata deny, by whichever way it comes, for all
            writers.

    Raises:
        InvalidInputError: kind ``bad-naming``: names could not be read back; or, with ``strict``, an item that is there
            does not fit.
    """
    folio._core.check_writable()
    found = None if pattern is None else NamePattern.parse(pattern, strict=strict)
    if found is not None:
        for name in folio._core.session.state().names(folio.name):
            found.check(name)
    change = Annotate("folio", folio.name, {NAMING: None if found is None else found.to_fact()})
    folio._core.apply(change, message="naming")
    return folio


def naming(folio: Folio, /) -> str | None:
    """Return the pattern of the names of this folio's items, or None."""
    found = naming_of(folio._core.reading.state(), folio.name)
    return None if found is None else found.text


def name_of(folio: Folio, metadata: Mapping[str, object] | None = None, /, **fields: object) -> str:
    """Return the name that the pattern gives for some fields.

    Args:
        metadata: Values of fields, and others, which are not looked at.
        **fields: Values of fields.

    Raises:
        InvalidInputError: kind ``bad-naming``: there is no pattern, a field is missing or unknown, or a value could not
            be read back from the name (it holds a slash, or what stands between fields).
    """
    pattern = _pattern(folio)
    for name in fields:
        if name not in pattern.fields:
            raise _unknown(name, pattern)
    return pattern.name_of({**(metadata or {}), **fields})


def fields_of(folio: Folio, /, name: str) -> dict[str, Any] | None:
    """Return the fields of an item's name by the pattern: texts, dates and numbers; None if it does not fit.

    Raises:
        InvalidInputError: kind ``bad-naming``: there is no pattern.
    """
    return _pattern(folio).fields_of(name)


def some_items(folio: Folio, where: Mapping[str, object]) -> list[Entry]:
    """Return the entries of the items whose names have some fields; only those entries are read."""
    pattern = _pattern(folio)
    for name in where:
        if name not in pattern.fields:
            raise _unknown(name, pattern)
    view = folio._core.reading.state()
    wanted = {name: value if isinstance(value, list | tuple | set) else [value] for name, value in where.items()}
    found = []
    for name in view.names(folio.name):
        fields = pattern.fields_of(name)
        if fields is not None and all(_is_one_of(fields[key], values) for key, values in wanted.items()):
            found.append(view.entry(folio.name, name))
    return [entry for entry in found if entry is not None]


def filled_name(folio: Folio, metadata: Mapping[str, str]) -> str:
    """Return the name that the metadata of a new item give, as JSON texts."""
    pattern = _pattern(folio)
    return pattern.name_of({key: loads(text.encode()) for key, text in metadata.items()})


def _is_one_of(value: object, wanted: Any) -> bool:
    return any(value == one or str(value) == str(one) for one in wanted)


def _pattern(folio: Folio) -> NamePattern:
    found = naming_of(folio._core.reading.state(), folio.name)
    if found is None:
        raise InvalidInputError(
            f"folio {folio.name!r} has no pattern of names",
            kind="bad-naming",
            hint="give the name, or set a pattern: folio.set_naming('{subject}/{kind}')",
            folio=folio.name,
        )
    return found


def _unknown(name: str, pattern: NamePattern) -> InvalidInputError:
    return InvalidInputError(
        f"pattern {shown_value(pattern.text)} has no field {name!r:.40}",
        kind="bad-naming",
        hint=nearest(name, pattern.fields),
        field=name,
    )
