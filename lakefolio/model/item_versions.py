"""The versions of one item: their numbers, labels and aliases, and what names one of them (pure: no I/O).

Number n of an item is the n-th content that was given to its name (FORMAT.md, "Versions of items"): it follows from the
journal, so that it costs writers nothing, exists for every lake, and never means another content. A label is a
semantic version that the entries of a version carry. An alias is a fact of the folio and can be moved.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lakefolio.errors import IntegrityError, InvalidInputError, NotFoundError, nearest
from lakefolio.format.names import check_snapshot
from lakefolio.format.semver import Range, SemVer, is_range, is_semver
from lakefolio.format.times import is_time
from lakefolio.model.entries import Entry, ItemPut, StateView

__all__ = [
    "ALIAS",
    "LATEST",
    "OWN_FACTS",
    "ItemVersion",
    "Versions",
    "alias_key",
    "aliases_of",
    "check_alias",
    "entry_of",
    "find_version",
    "is_item_version",
    "label_of",
    "names_one_version",
    "numbers",
    "versions_of",
]

OWN_FACTS: Final = "lakefolio."
"""What the keys of facts begin with that the library keeps of a folio or the lake."""
ALIAS: Final = f"{OWN_FACTS}alias:"
LATEST: Final = "latest"
_NUMBER: Final = re.compile(r"#([0-9]{1,18})")
_LAKE_VERSION: Final = re.compile(r"[vV]?\d+|-\d+")


@dataclass(frozen=True, slots=True)
class ItemVersion:
    """One version of an item.

    Attributes:
        number: 1 for the first content of that name.
        label: Its semantic version, or None.
        version: The version of the lake that put the newest of its entries: an update makes another one of the same
            content.
        entry_id: That entry.
        place: Its place among the puts of the item.
    """

    number: int
    label: str | None
    version: int
    entry_id: str
    place: int


def label_of(extra: Mapping[str, object] | str | None) -> str | None:
    """Return the label that the ``extra`` of an entry holds, or None; one that is none is not believed."""
    if isinstance(extra, str):
        try:
            extra = json.loads(extra)
        except (ValueError, RecursionError):
            return None
    found = extra.get("version") if isinstance(extra, Mapping) else None
    return found if isinstance(found, str) and is_semver(found) else None


def numbers(puts: Iterable[tuple[str | None, str | None]]) -> list[int]:
    """Return the number of the version that each put of an item makes or puts again.

    Args:
        puts: ``entry_id`` and ``reason`` of all puts of the item, oldest first.
    """
    numbering = _Numbering()
    return [numbering.of(entry_id, reason) for entry_id, reason in puts]


class _Numbering:
    """The numbers of the versions that the entries of one item belong to, given as they are put."""

    __slots__ = ("count", "known", "last")

    def __init__(self) -> None:
        self.known: dict[str | None, int] = {}
        self.count = self.last = 0

    def of(self, entry_id: str | None, reason: str | None) -> int:
        if entry_id in self.known:
            self.last = self.known[entry_id]
            return self.last
        if reason != "update" or not self.last:
            self.count += 1
            self.last = self.count
        self.known[entry_id] = self.last
        return self.last


class Versions:
    """The versions of one item, by number; each row that puts it is looked at once, oldest first.

    Attributes:
        known: Number n is at place n - 1.
        labels: Their labels, by precedence.
        highest: The greatest label, or None.
        put_count: How many rows were looked at.
    """

    def __init__(self, puts: Iterable[ItemPut] = ()) -> None:
        """Look at some rows."""
        self.known: list[ItemVersion] = []
        self.labels: dict[object, SemVer] = {}
        self.highest: SemVer | None = None
        self.put_count = 0
        self._numbering = _Numbering()
        self.extend(puts)

    def extend(self, puts: Iterable[ItemPut]) -> None:
        """Look at the rows that put the item next."""
        for put in puts:
            number = self._numbering.of(put.entry_id, put.reason)
            before = self.known[number - 1] if number <= len(self.known) else None
            label = label_of(put.extra) or (None if before is None else before.label)
            found = ItemVersion(number, label, put.version, put.entry_id, self.put_count)
            if before is None:
                self.known.append(found)
            else:
                self.known[number - 1] = found
            self.put_count += 1
            if before is not None and before.label not in (None, label):  # in a forged journal alone
                self.labels, self.highest = {}, None
                for one in self.known:
                    self._note(one.label)
            elif before is None or before.label != label:
                self._note(label)

    def number_of(self, entry: Entry) -> int:
        """Return the number of the version that one of the item's entries belongs to."""
        return self._numbering.known[entry.entry_id]

    def _note(self, text: str | None) -> None:
        if text is not None:
            label = SemVer.parse(text)
            self.labels.setdefault(label.key, label)
            if self.highest is None or label.key > self.highest.key:
                self.highest = label


def versions_of(puts: Iterable[ItemPut]) -> list[ItemVersion]:
    """Return the versions of an item, by number, from all rows that put it, oldest first."""
    return Versions(puts).known


def entry_of(view: StateView, folio: str, item: str, wanted: ItemVersion) -> Entry:
    """Return the newest entry of a version: one lookup, unless one commit put the item more than once."""
    found = view.entry_at(folio, item, wanted.version)
    return found if found is not None and found.entry_id == wanted.entry_id else view.history(folio, item)[wanted.place]


# -- aliases ---------------------------------------------------------------------------------------------------


def alias_key(item: str, alias: str) -> str:
    """Return the key of the folio's fact that holds the number of the version that an alias names."""
    return f"{ALIAS}{item}@{alias}"


def aliases_of(facts: Mapping[str, str], item: str) -> dict[str, int]:
    """Return the aliases of an item, each with the number of its version, from the facts of its folio."""
    prefix = alias_key(item, "")
    return {
        key.removeprefix(prefix): number
        for key, text in facts.items()
        if key.startswith(prefix) and (number := _count(text)) is not None
    }


def check_alias(alias: object) -> str:
    """Return ``alias`` if a version may be called so: as a snapshot, so that ``@alias`` is never ambiguous."""
    try:
        found = check_snapshot(alias)
    except InvalidInputError as exc:
        message = exc.message.replace("snapshot name", "alias", 1)
        raise InvalidInputError(message, kind=exc.kind, hint=exc.hint, name=alias) from None
    if "/" in found or re.fullmatch(r"[vV]\d+", found):
        raise InvalidInputError(
            f"alias {found!r} {'holds a slash' if '/' in found else 'could be taken for a version of the lake'}",
            kind="bad-name",
            hint="use one word, such as golden",
            name=found,
        )
    return found


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def is_item_version(name: str) -> bool:
    """Say whether a text can only name a version of one item: ``#3``, ``1.2.0``, a range, ``latest``."""
    return name == LATEST or is_semver(name) or is_range(name) or _NUMBER.fullmatch(name) is not None


def names_one_version(name: str) -> bool:
    """Say whether a text names the same version for ever: a number or a label."""
    name = name.strip().removeprefix("@")
    return is_semver(name) or _NUMBER.fullmatch(name) is not None


# -- finding one -----------------------------------------------------------------------------------------------


def find_version(view: StateView, folio: str, item: str, at: object) -> Entry | None:
    """Return the entry of the version of an item that ``at`` names, or None if it is no name of that kind.

    Looked up as one, in this order, are: ``#3`` (a number), ``1.2.0`` (a label), ``^1.2`` and other ranges (the
    greatest label in it), ``latest`` (the live entry), an alias. A snapshot of that name comes before all of these, and
    versions of the lake and times are none of these.

    Raises:
        NotFoundError: kind ``version-not-found``: the item has no such number or label, or none in the range.
        InvalidInputError: kind ``bad-version``: a range that is none.
    """
    if not isinstance(at, str):
        return None
    name = at.strip().removeprefix("@")
    if view.snapshot(folio, name) is not None or view.snapshot(None, name) is not None:
        return None
    counted = _NUMBER.fullmatch(name)
    if name == LATEST:
        return view.entry(folio, item)
    if not is_item_version(name):
        if _LAKE_VERSION.fullmatch(name) or is_time(name):
            return None
        text = view.metadata("folio", folio).get(alias_key(item, name))
        if text is None:
            return None
        number = _count(text)
        if number is None:
            raise IntegrityError(
                f"alias {name!r} of {folio}:{item} names no version: {text:.40}",
                kind="bad-alias",
                hint="set it anew: folio.alias",
                folio=folio,
                item=item,
            )
    else:
        number = None if counted is None else int(counted[1])
    known = versions_of(view.puts(folio, item))
    if not known:
        return None  # there never was such an item: said where versions of the lake are looked up
    return entry_of(view, folio, item, _chosen(known, name, number, folio, item))


def _chosen(known: Sequence[ItemVersion], name: str, number: int | None, folio: str, item: str) -> ItemVersion:
    """Return the version that has a number, or the label or the greatest one in the range that ``name`` is."""
    if number is not None:
        if 0 < number <= len(known):
            return known[number - 1]
        raise _not_found(folio, item, f"number {number}", f"its numbers are 1 to {known[-1].number}")
    labelled = {one.label: one for one in known if one.label is not None}
    if is_range(name):
        wanted = Range.parse(name)
        fitting = [version for version in map(SemVer.parse, labelled) if version in wanted]
        if fitting:
            return labelled[str(max(fitting, key=lambda one: one.key))]
        raise _not_found(folio, item, f"version in {name}", _labels(list(labelled)))
    if name in labelled:
        return labelled[name]
    hint = nearest(name, labelled) or _labels([])
    raise _not_found(folio, item, f"version {name}", hint)


def _labels(labels: Sequence[str]) -> str:
    if not labels:
        return "none of its versions has a label; add(…, version='1.0.0') gives one"
    newest = sorted(map(SemVer.parse, labels), key=lambda one: one.key)[-5:]
    return f"its versions are {'…, ' if len(labels) > 5 else ''}{', '.join(map(str, newest))}"


def _not_found(folio: str, item: str, what: str, hint: str) -> NotFoundError:
    return NotFoundError(
        f"item {item!r} of folio {folio!r} has no {what}",
        kind="version-not-found",
        hint=hint,
        folio=folio,
        item=item,
    )
