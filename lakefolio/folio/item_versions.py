"""The versions of items: aliases, the policy for labels, and whether two versions go together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from lakefolio.errors import InvalidInputError, NotFoundError, nearest
from lakefolio.folio.open_folio import At, SelfT
from lakefolio.format.names import check_item
from lakefolio.model.changes import Annotate
from lakefolio.model.item_versions import Versions, alias_key, aliases_of, check_alias
from lakefolio.model.version_policy import POLICY, policy_of, policy_text

if TYPE_CHECKING:
    from lakefolio.folio.folio import Folio
    from lakefolio.model.compatibility import Compatibility, Level

__all__ = ["alias", "aliases", "compatibility", "drop_alias", "set_version_policy", "version_policy"]


def alias(folio: SelfT, /, name: str, alias: str, version: At = None) -> SelfT:
    """Let an alias name a version of an item; one that names another is moved. One commit, atomic, idempotent.

    ``get(name, at=alias)`` reads it from then on. Of two that move it at once the later decides. The history of the
    folio keeps what it named before, and a restore of the folio takes moves back.

    Args:
        alias: One word, which is neither a version nor a time. A snapshot of that name would come before it.
        version: The version that it is to name, as for ``at=``; by default the present one.

    Raises:
        NotFoundError: There is no such item or version.
        InvalidInputError: kind ``bad-name``: it can't be an alias; ``ambiguous-version``: a snapshot is called so.
    """
    folio._core.check_writable()
    word = check_alias(alias)
    _, entry = folio._core.find(name, version)
    view = folio._core.session.unwatched_state()
    if entry.folio != folio.name:
        raise InvalidInputError(
            f"{name!r} is no item of folio {folio.name!r}", kind="bad-ref", hint=f"open folio {entry.folio!r}"
        )
    if view.snapshot(folio.name, word) is not None or view.snapshot(None, word) is not None:
        raise InvalidInputError(
            f"alias {word!r} is the name of a snapshot, which @{word} means",
            kind="ambiguous-version",
            hint="choose another word",
            snapshot=word,
        )
    number = Versions(view.puts(folio.name, entry.item)).number_of(entry)
    message = f"alias {folio.name}:{entry.item}: {word} is #{number}"
    values: dict[str, str | None] = {alias_key(entry.item, word): json.dumps(number)}
    folio._core.apply(Annotate("folio", folio.name, values), message=message)
    return folio


def drop_alias(folio: SelfT, /, name: str, alias: str) -> SelfT:
    """Remove an alias of an item; the versions stay. One commit.

    Args:
        alias: The alias.

    Raises:
        NotFoundError: The item has no such alias.
    """
    folio._core.check_writable()
    known = folio.aliases(name)
    if alias not in known:
        raise NotFoundError(
            f"item {name!r} of folio {folio.name!r} has no alias {alias!r}",
            kind="alias-not-found",
            hint=nearest(alias, known) or "it has none",
            folio=folio.name,
            item=name,
        )
    values: dict[str, str | None] = {alias_key(name, alias): None}
    folio._core.apply(Annotate("folio", folio.name, values), message=f"drop alias {folio.name}:{name}: {alias}")
    return folio


def aliases(folio: Folio, /, name: str) -> dict[str, int]:
    """Return the aliases of an item, each with the number of the version that it names."""
    return aliases_of(folio._core.reading.metadata_texts("folio", folio.name), check_item(name))


def set_version_policy(
    folio: SelfT,
    /,
    bump: Literal["auto", "major", "minor", "patch"] | None = None,
    compatibility: Level | None = None,
    quality: str | None = None,
    jump: float | None = None,
) -> SelfT:
    """Set the rules for new versions of this folio's items, in place of those it had. One commit.

    They hold from the next commit on, for every writer. Parts that are not given are those of the lake
    (``Lake.set_version_policy``); with none given the folio has no policy of its own.

    Args:
        bump: Give every new version a label: ``auto``, or always this part of the last label.
        compatibility: Refuse a version that is not ``backward`` compatible (all that reads the one it replaces can
            read it: no column is gone, renamed, narrowed or changed), ``forward`` (none is added or widened), or
            ``full`` (both).
        quality: The key of the items' metadata that holds a number for their quality. History shows it, and with
            ``auto`` a jump of it makes a new major version.
        jump: How large a difference is a jump; by default 0.1.

    Raises:
        InvalidInputError: kind ``bad-policy``.
    """
    given = {"bump": bump, "compatibility": compatibility, "quality": quality, "jump": jump}
    text = policy_text(given, f"folio {folio.name!r}")
    folio._core.apply(Annotate("folio", folio.name, {POLICY: text}), message="version policy")
    return folio


def version_policy(folio: Folio, /) -> dict[str, object]:
    """Return the rules that hold for this folio, its own before the lake's: the arguments of ``set_version_policy``."""
    return policy_of(folio._core.reading.state(), folio.name).to_dict()


def compatibility(
    folio: Folio, /, name: str, a: At, b: At = None, *, renamed: Mapping[str, str] | None = None
) -> Compatibility:
    """Return whether what reads version ``a`` of an item can read version ``b``, by default the present one.

    A column that is gone is taken for renamed if a new one has the same type, and the same values in the same order.

    Args:
        a: The older version, as for ``at=``.
        b: The newer one.
        renamed: Old name -> new name of columns that are the same with other values.

    Returns:
        An object with ``level`` (``full``, ``backward``, ``forward`` or ``none``), ``backward``, ``forward``,
        ``changes`` and ``bump``, the part of a semantic version that has to go up. It prints as lines.

    Raises:
        NotFoundError: There is no such version.
        InvalidInputError: kind ``unknown-column``: a column in ``renamed`` is not gone or not new.
    """
    from lakefolio.compare.compatibility import compatibility_of

    return compatibility_of(
        folio._core.steady(), folio.name, check_item(name), 0 if a is None else a, b, renamed=renamed
    )
