"""Semantic versions and ranges of them (pure: no I/O). Source: semver.org, 2.0.0; ranges as npm and Cargo read them.

A range is one or more comparisons, all of which must hold, separated by commas or spaces; ``||`` stands between
alternatives. ``^1.2`` is ``>=1.2.0,<2.0.0``, ``~1.2`` is ``>=1.2.0,<1.3.0``. A pre-release fits only a range that names
a pre-release of the same three numbers. Own code: ``packaging`` reads other versions, ``semver`` has no such ranges.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from lakefolio.errors import InvalidInputError

__all__ = ["Bump", "Range", "SemVer", "is_range", "is_semver"]

Bump = Literal["major", "minor", "patch"]

_NUMBER: Final = r"(?:0|[1-9][0-9]{0,17})"
_IDENTIFIER: Final = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_TAIL: Final = rf"(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
_WHOLE: Final = re.compile(rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER}){_TAIL}")
_COMPARISON: Final = re.compile(rf"(\^|~|>=|<=|>|<|=)\s*({_NUMBER})(?:\.({_NUMBER}))?(?:\.({_NUMBER}){_TAIL})?")
_LONGEST: Final = 128

_Key = tuple[int, int, int, tuple[tuple[int, int, str], ...]]
_RELEASE: Final = ((2, 0, ""),)
"""Orders a release behind all of its pre-releases."""


@dataclass(frozen=True, slots=True)
class SemVer:
    """A semantic version. Compare versions by ``key``, which leaves the build out, as their precedence does.

    Attributes:
        pre: The identifiers of the pre-release; none of a release.
        build: The build metadata; empty for none.
    """

    major: int
    minor: int
    patch: int
    pre: tuple[str, ...] = ()
    build: str = ""

    @classmethod
    def parse(cls, text: object) -> SemVer:
        """Read a version; InvalidInputError (kind ``bad-version``) for anything but three numbers and what follows."""
        found = _WHOLE.fullmatch(text) if isinstance(text, str) and len(text) <= _LONGEST else None
        if found is None:
            raise InvalidInputError(
                f"version {text!r:.60} is no semantic version",
                kind="bad-version",
                hint="write three numbers, as in 1.2.0 or 2.0.0-rc.1, without a v before them",
            )
        return cls(int(found[1]), int(found[2]), int(found[3]), _identifiers(found[4]), found[5] or "")

    def __str__(self) -> str:
        pre = f"-{'.'.join(self.pre)}" if self.pre else ""
        return f"{self.major}.{self.minor}.{self.patch}{pre}" + (f"+{self.build}" if self.build else "")

    @property
    def key(self) -> _Key:
        """The precedence: greater for a later version."""
        pre = tuple((0, int(one), "") if one.isdecimal() else (1, 0, one) for one in self.pre)
        return (self.major, self.minor, self.patch, pre or _RELEASE)

    def bumped(self, part: Bump) -> SemVer:
        """Return the next version; of a pre-release the release that it leads to, if ``part`` allows for that."""
        if part == "major":
            return SemVer(self.major + (not (self.pre and not self.minor and not self.patch)), 0, 0)
        if part == "minor":
            return SemVer(self.major, self.minor + (not (self.pre and not self.patch)), 0)
        return SemVer(self.major, self.minor, self.patch + (not self.pre))


def is_semver(text: str) -> bool:
    """Say whether a text is a whole semantic version."""
    return len(text) <= _LONGEST and _WHOLE.fullmatch(text) is not None


def is_range(text: str) -> bool:
    """Say whether a text is meant as a range: it begins with an operator."""
    return text.startswith(("^", "~", "<", ">", "="))


@dataclass(frozen=True, slots=True)
class Range:
    """A range of versions: alternatives, each a list of bounds (from, included; to, excluded) that must all hold."""

    text: str
    alternatives: tuple[tuple[_Bounds, ...], ...]

    @classmethod
    def parse(cls, text: str) -> Range:
        """Read a range; InvalidInputError (kind ``bad-version``) if it is none."""
        found = []
        for alternative in text.split("||") if len(text) <= _LONGEST else [""]:
            rest, bounds = alternative.strip(), []
            while rest:
                one = _COMPARISON.match(rest)
                if one is None:
                    break
                bounds.append(_bounds(one))
                after = rest[one.end() :]
                rest = after.lstrip(" ,")
                if rest and rest == after and rest[0] not in "^~<>=":
                    break
            if rest or not bounds:
                raise InvalidInputError(
                    f"{text!r:.60} is no range of versions",
                    kind="bad-version",
                    hint="write ^1.2, ~1.2, >=1.2,<2 or =1.2.0; || stands between alternatives",
                )
            found.append(tuple(bounds))
        return cls(text, tuple(found))

    def __contains__(self, version: SemVer) -> bool:
        return any(
            all(one.admits(version.key) for one in bounds)
            and (not version.pre or any(one.named_pre == version.key[:3] for one in bounds))
            for bounds in self.alternatives
        )


@dataclass(frozen=True, slots=True)
class _Bounds:
    """One comparison: from ``low`` to ``high``, each if it is not None, and whether it is included itself."""

    low: _Key | None
    low_included: bool
    high: _Key | None
    high_included: bool
    named_pre: tuple[int, int, int] | None

    def admits(self, key: _Key) -> bool:
        above = self.low is None or key > self.low or (self.low_included and key == self.low)
        return above and (self.high is None or key < self.high or (self.high_included and key == self.high))


def _identifiers(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(".")) if text else ()


def _bounds(found: re.Match[str]) -> _Bounds:
    operator, major = found[1], int(found[2])
    minor, patch = (None if part is None else int(part) for part in (found[3], found[4]))
    low = SemVer(major, minor or 0, patch or 0, _identifiers(found[5]))
    span = _after(major) if minor is None else _after(major, minor) if patch is None else None
    named = low.key[:3] if low.pre else None
    if operator == "^":
        if major or minor is None:
            high = _after(major)
        else:
            high = _after(0, minor) if minor or patch is None else _after(0, 0, patch)
        return _Bounds(low.key, True, high, False, named)
    if operator == "~":
        return _Bounds(low.key, True, _after(major) if minor is None else _after(major, minor), False, named)
    if operator == ">=":
        return _Bounds(low.key, True, None, False, named)
    if operator == ">":
        return _Bounds(span or low.key, span is not None, None, False, named)
    if operator == "<":
        return _Bounds(None, False, _first(low) if patch is None else low.key, False, named)
    if operator == "<=":
        return _Bounds(None, False, span or low.key, span is None, named)
    return _Bounds(low.key, True, span or low.key, span is None, named)


def _after(major: int, minor: int | None = None, patch: int | None = None) -> _Key:
    """Return the bound behind everything that begins with some numbers: below the next one's first pre-release."""
    if minor is None:
        return _first(SemVer(major + 1, 0, 0))
    return _first(SemVer(major, minor + 1, 0) if patch is None else SemVer(major, minor, patch + 1))


def _first(version: SemVer) -> _Key:
    """Return the bound before a release and all of its pre-releases."""
    return (*version.key[:3], ())
