"""The rules that a folio, or the lake, has for versions of its items, and the label that a put gets by them (pure).

A policy is a fact of the folio or of the lake, ``lakefolio.versions``; each of its parts counts for itself, the
folio's before the lake's. Labels are decided where a commit is planned, on the very state it is committed on: of two
writers that bump at once, each gets a label of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, cast

from lakefolio.errors import AlreadyExistsError, InvalidInputError, nearest
from lakefolio.format.semver import Bump, SemVer
from lakefolio.model.changes import Put
from lakefolio.model.compatibility import LEVELS, Level, compare_schemas, levels_of
from lakefolio.model.entries import Entry, StateView
from lakefolio.model.item_versions import OWN_FACTS, Versions, entry_of
from lakefolio.model.pending_state import Overlay

__all__ = [
    "BUMPS",
    "NO_POLICY",
    "POLICY",
    "VersionPolicy",
    "check_bump",
    "check_label",
    "check_new_label",
    "label_for",
    "policy_of",
    "policy_text",
]

POLICY: Final = f"{OWN_FACTS}versions"
BUMPS: Final = ("auto", "major", "minor", "patch")
_FIRST: Final = SemVer(1, 0, 0)
_DEFAULT_JUMP: Final = 0.1


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """Rules for the versions of items; a part that is None is not ruled.

    Attributes:
        bump: Gives every new version a label: ``auto`` by what changed, or always this part of the last label.
        compatibility: What a new version must be towards the one that it replaces.
        quality: The key of the items' metadata that holds a number for their quality.
        jump: By how much quality must have changed to call for a new major version.
    """

    bump: Literal["auto", "major", "minor", "patch"] | None = None
    compatibility: Level | None = None
    quality: str | None = None
    jump: float | None = None

    @classmethod
    def of(cls, values: Mapping[str, object], whose: str) -> VersionPolicy:
        """Check a policy given by its parts; InvalidInputError (kind ``bad-policy``) if it can't be one."""
        for name in values:
            if name not in cls.__dataclass_fields__:
                raise _bad(whose, f"has no part {name!r:.40}", nearest(name, cls.__dataclass_fields__))
        bump, level, quality, jump = (values.get(name) for name in cls.__dataclass_fields__)
        if bump is not None and bump not in BUMPS:
            raise _bad(whose, f"has bump={bump!r:.40}", f"it is one of {', '.join(BUMPS)}")
        if level is not None and level not in LEVELS:
            raise _bad(whose, f"has compatibility={level!r:.40}", f"it is one of {', '.join(LEVELS)}")
        if quality is not None and not (isinstance(quality, str) and quality):
            raise _bad(whose, f"has quality={quality!r:.40}", "it is the key of the metadata that holds the quality")
        is_number = isinstance(jump, int | float) and not isinstance(jump, bool)
        if jump is not None and not (is_number and 0 < cast(float, jump) < float("inf")):
            raise _bad(whose, f"has jump={jump!r:.40}", "it is a number above 0")
        return cls(cast(Any, bump), cast(Any, level), quality, cast(Any, jump))

    def over(self, other: VersionPolicy) -> VersionPolicy:
        """Return the parts of this policy, and those of another where this has none."""
        missing = {name: getattr(other, name) for name in self.__dataclass_fields__ if getattr(self, name) is None}
        return replace(self, **missing)

    def to_dict(self) -> dict[str, object]:
        """The parts that are ruled."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in values.items() if value is not None}


NO_POLICY: Final = VersionPolicy()


def policy_text(values: Mapping[str, object], whose: str) -> str | None:
    """Return a policy as the text of its fact, None for none; InvalidInputError (kind ``bad-policy``) if it is none."""
    ruled = VersionPolicy.of(values, whose).to_dict()
    return json.dumps(ruled, separators=(",", ":")) if ruled else None


def policy_of(view: StateView, folio: str | None = None) -> VersionPolicy:
    """Return the policy that holds for a folio, or that of the lake alone.

    Raises:
        InvalidInputError: kind ``bad-policy``: what the lake holds is none.
    """
    found = NO_POLICY
    if folio is not None and (facts := view.facts("folio", folio)) and POLICY in facts:
        found = _parsed(facts[POLICY], f"folio {folio!r}")
    if (facts := view.facts("lake", "")) and POLICY in facts:
        found = found.over(_parsed(facts[POLICY], "the lake"))
    return found


def _parsed(text: str, whose: str) -> VersionPolicy:
    return VersionPolicy.of(_decoded(text, whose), whose)


def _decoded(text: str, whose: str) -> Mapping[str, object]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _bad(whose, f"is {text!r:.40}", "set it anew: set_version_policy")
    return value


def _bad(whose: str, what: str, hint: str | None) -> InvalidInputError:
    return InvalidInputError(f"the version policy of {whose} {what}", kind="bad-policy", hint=hint)


def check_label(version: object) -> str | None:
    """Return a label that a user gives, or None; InvalidInputError (kind ``bad-version``) if it is none."""
    return None if version is None else str(SemVer.parse(version))


def check_bump(bump: str | None) -> str | None:
    """Return the part of a label that is to go up, or None; InvalidInputError (kind ``bad-version``) for others."""
    if bump is None or bump in BUMPS:
        return bump
    raise InvalidInputError(
        f"bump={bump!r:.40} is no part of a version", kind="bad-version", hint=f"give one of {', '.join(BUMPS)}"
    )


def label_for(view: Overlay, put: Put, policy: VersionPolicy) -> str | None:
    """Return the label that a put gets, on a state; None for none. Asks the state for the item's history.

    Raises:
        AlreadyExistsError: kind ``version-exists``: another version has the label.
        InvalidInputError: kind ``version-backwards``: the label is below one that the item has; ``incompatible``: the
            policy asks for more; ``ambiguous-version``: a snapshot is called so.
    """
    versions = view.versions(put.folio, put.item)
    bump: str | None = "major"
    if versions.known:
        last = view.entry(put.folio, put.item) or entry_of(view, put.folio, put.item, versions.known[-1])
        found = compare_schemas(last, put.stored, ref=f"the new {put.item!r}")
        if policy.compatibility is not None:
            for need in levels_of(policy.compatibility):
                if not getattr(found, need):
                    told = "; ".join(map(str, found.changes[:3]))
                    raise InvalidInputError(
                        f"{put.folio}:{put.item} would not be {need} compatible with {last.ref}: {told}",
                        kind="incompatible",
                        hint="the folio's version policy asks for it; give it another name, or change the policy",
                        folio=put.folio,
                        item=put.item,
                        version=last.version,
                    )
        bump = found.bump if not _jumped(last, put, policy) else "major"
    wanted = put.bump or policy.bump
    if put.version is None and wanted is None:
        return None
    highest = versions.highest
    if put.version is not None:
        label = SemVer.parse(put.version)
    elif highest is None:
        label = _FIRST
    else:
        label = SemVer.parse(str(highest.bumped(cast(Bump, bump if wanted == "auto" else wanted))))  # may be too large
    check_new_label(view, put.folio, put.item, label, versions)
    return str(label)


def check_new_label(view: StateView, folio: str, item: str, label: SemVer, versions: Versions) -> None:
    """Raise unless an item with these versions may get a label; see :func:`label_for`."""
    highest = versions.highest
    about: dict[str, Any] = {"folio": folio, "item": item}
    equal = versions.labels.get(label.key)
    if equal is not None:
        same = "" if equal == label else f" as {equal}: what follows a + orders nothing"
        raise AlreadyExistsError(
            f"item {item!r} of folio {folio!r} has a version {label} already{same}",
            kind="version-exists",
            hint=f"the newest is {highest}; bump='patch' takes the next one",
            **about,
        )
    if highest is not None and label.key < highest.key:
        raise InvalidInputError(
            f"version {label} of {folio}:{item} lies below {highest}, which it has already",
            kind="version-backwards",
            hint="versions only go up; an alias can name any of them",
            **about,
        )
    if view.snapshot(folio, str(label)) is not None or view.snapshot(None, str(label)) is not None:
        raise InvalidInputError(
            f"version {label} of {folio}:{item} is also the name of a snapshot, which @{label} means",
            kind="ambiguous-version",
            hint="choose another version, or drop the snapshot",
            **about,
        )


def _jumped(last: Entry, put: Put, policy: VersionPolicy) -> bool:
    """Say whether the quality that is noted of an item differs much from that of the version before."""
    if policy.quality is None:
        return False
    before, after = (_number(facts.get(policy.quality)) for facts in (last.facts, put.metadata))
    if before is None or after is None:
        return False
    return abs(after - before) >= (_DEFAULT_JUMP if policy.jump is None else policy.jump) - 1e-12


def _number(text: str | None) -> float | None:
    try:
        value = json.loads(text) if text is not None else None
    except (ValueError, RecursionError):
        return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
