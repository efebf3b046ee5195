"""Registered models: versions under one name, and aliases such as ``production`` that are moved from one to another."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import ConflictError, InvalidInputError, NotFoundError, nearest
from lakefolio.format.names import short_id
from lakefolio.lake.registry import AliasChange, Registry
from lakefolio.process.notice import LakefolioWarning, notice
from lakefolio.render import html
from lakefolio.render.text import counted
from lakefolio.runs.run_names import run_id_of
from lakefolio.terminal import visible

if TYPE_CHECKING:
    from lakefolio.lake.documents import Fields
    from lakefolio.lake.lake import Lake

__all__ = ["Model", "ModelVersion", "check_alias"]

_ALIAS: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_RESERVED: Final = re.compile(r"latest|v?\d+", re.IGNORECASE)
_NUMBER: Final = re.compile(r"v?(\d{1,9})")
_UNSOUND: Final = ("failed", "lost")
"""Statuses of runs that did not come to their end."""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of a registered model.

    Attributes:
        name: The model.
        number: Its number, from 1.
        aliases: The aliases that name it.
        source: The exact item that it was registered from, or the address given to MLflow.
        run_id: The run that made it.
        created_at: When it was registered.
        author: Who registered it.
        description: One sentence that describes it.
        tags: Further facts about it.
        ref: The item that it is; ``lake.get``, ``lake.lineage`` and ``run.add_input`` take it.
        stage: Its stage, for those who use MLflow's; ``None`` if it has none.
    """

    name: str
    number: int
    aliases: tuple[str, ...]
    source: str | None
    run_id: str | None
    created_at: datetime | None
    author: str | None
    description: str | None
    tags: Mapping[str, str] = field(repr=False)
    ref: str
    stage: str | None = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        names = ("name", "number", "source", "run_id", "author", "description", "ref", "stage")
        created = None if self.created_at is None else self.created_at.isoformat()
        return {
            **{one: getattr(self, one) for one in names},
            "aliases": list(self.aliases),
            "created_at": created,
            "tags": dict(self.tags),
        }

    def __repr__(self) -> str:
        aliases = f" ({', '.join(self.aliases)})" if self.aliases else ""
        made = f", by run {short_id(self.run_id)}" if self.run_id else ""
        return visible(f"<ModelVersion {self.name} v{self.number}{aliases}: {self.source}{made}>", keep="")


class Model:
    """A registered model of a lake, as it is at each call. Safe to share between threads and processes.

    Attributes:
        name: Its name.
    """

    def __init__(self, lake: Lake, name: str) -> None:
        self._lake = lake
        self._registry = Registry(lake)
        self.name = name

    def _still(self) -> Registry:
        """Return the registry as it is now, for many questions that ask the store once."""
        session = self._lake._session
        return self._registry if session.in_batch else Registry(type(self._lake)(session.steady()))

    def __repr__(self) -> str:
        versions = self.versions()
        named = sorted((alias, one.number) for one in versions for alias in one.aliases)
        aliases = ", ".join(f"{alias} is v{number}" for alias, number in named)
        said = counted(len(versions), "version") + (f", {aliases}" if aliases else "")
        return visible(f"<Model {self.name}: {said}>", keep="")

    def _repr_html_(self) -> str:
        names = ("version", "aliases", "made from", "run", "registered", "author", "description")
        rows = [
            (
                f"v{one.number}",
                ", ".join(one.aliases) or None,
                one.source,
                None if one.run_id is None else short_id(one.run_id),
                one.created_at,
                one.author,
                one.description,
            )
            for one in reversed(self.versions())
        ]
        return html.block(html.heading("model", self.name, self.description or ""), html.row_table(names, rows))

    def _fields(self) -> Fields:
        found = self._registry.model(self.name)
        if found is None:
            known = self._registry.models()
            raise NotFoundError(
                f"there is no registered model {self.name!r}",
                kind="model-not-found",
                hint=nearest(self.name, known) if known else "lake.register_model(name, 'folio:item') makes one",
                model=self.name,
            )
        return found

    # -- what it has -----------------------------------------------------------------------------------------

    @property
    def description(self) -> str | None:
        """One sentence that describes it."""
        return self._fields().get("description")

    @property
    def aliases(self) -> dict[str, int]:
        """Its aliases, each with the number of the version that it names."""
        registry = self._still()
        there = registry.versions(self.name)
        return {alias: one for alias, one in registry.aliases(self.name).items() if one in there}

    def versions(self) -> list[ModelVersion]:
        """Return its versions, oldest first."""
        registry = self._still()
        aliases = registry.aliases(self.name)
        return [self._version(registry, *one, aliases) for one in registry.versions(self.name).items()]

    def version(self, which: int | str = "latest") -> ModelVersion:
        """Return one version.

        Args:
            which: Its number, an alias, ``latest`` for the newest, or the name or id of the run that made it (of
                several versions of one run the newest).

        Raises:
            NotFoundError: kind ``model-version-not-found``; the hint names the nearest.
            InvalidInputError: kind ``ambiguous-run``: several runs are called so.
        """
        fields, registry = self._fields(), self._still()
        versions, aliases = registry.versions(self.name), registry.aliases(self.name)
        number = self._number(which, versions, aliases)
        if number not in versions and isinstance(which, str):  # the short id of a run may be all digits
            run_id = run_id_of(self._lake._session.committed(), which)
            number = max((one for one, known in versions.items() if known.get("run_id") == run_id), default=0)
        if number not in versions:
            what = f"version {which}" if isinstance(which, int) else f"version, alias or run {which!r}"
            newest = f"the newest of its {counted(len(versions), 'version')} is v{max(versions)}" if versions else ""
            meant = nearest(which, aliases) if isinstance(which, str) and aliases else None
            raise NotFoundError(
                f"model {fields['name']!r} has no {what}",
                kind="model-version-not-found",
                hint="; ".join(filter(None, (meant, newest))) or "it has no versions yet",
                model=self.name,
            )
        return self._version(registry, number, versions[number], aliases)

    @staticmethod
    def _number(which: int | str, versions: Mapping[int, Fields], aliases: Mapping[str, int]) -> int:
        if isinstance(which, int):
            return which
        if isinstance(which, str) and which in aliases:
            return aliases[which]
        if isinstance(which, str) and which.lower() == "latest":
            return max(versions, default=0)
        found = _NUMBER.fullmatch(which) if isinstance(which, str) else None
        return int(found[1]) if found else 0

    def _version(self, registry: Registry, number: int, fields: Fields, aliases: Mapping[str, int]) -> ModelVersion:
        entry = registry.entry(self.name, number)
        created = fields.get("creation_timestamp")
        stage = fields.get("current_stage")
        return ModelVersion(
            name=self.name,
            number=number,
            aliases=tuple(alias for alias, one in aliases.items() if one == number),
            source=fields.get("source"),
            run_id=fields.get("run_id"),
            created_at=datetime.fromtimestamp(created / 1000, UTC) if isinstance(created, int) else None,
            author=fields.get("author"),
            description=fields.get("description"),
            tags={key.removeprefix("tags."): str(one) for key, one in fields.items() if key.startswith("tags.")},
            ref=entry.ref,
            stage=None if stage in (None, "None") else str(stage),
        )

    def load(self, which: int | str = "latest", **options: Any) -> Any:
        """Return the object that a version is, verified, as ``lake.get`` does.

        Args:
            which: As for :meth:`version`.
            **options: What the handler of its kind takes (``trusted``, …).

        Raises:
            NotFoundError: There is no such version.
            InvalidInputError: kind ``model-of-mlflow``: it was registered by MLflow, whose files MLflow loads.
        """
        found = self.version(which)
        if not self.is_item(found.number):
            raise InvalidInputError(
                f"version {found.number} of model {self.name!r} was registered by MLflow from {found.source}",
                kind="model-of-mlflow",
                hint=f"load it with MLflow: mlflow.pyfunc.load_model('models:/{self.name}/{found.number}')",
                model=self.name,
            )
        return self._lake.get(found.ref, **options)

    def is_item(self, number: int) -> bool:
        """Say whether a version is an item with its content, not a record of what MLflow registered."""
        return "registered" in self._registry.entry(self.name, number).facts

    # -- what is done with it --------------------------------------------------------------------------------

    def promote(self, which: int | str, alias: str = "production", *, replacing: int | None = None) -> AliasChange:
        """Let an alias name a version. One commit; of two who promote at once both are recorded, the last one holds.

        A version that a failed or lost run made is promoted too, with a warning.

        Args:
            which: The version, as for :meth:`version`.
            alias: Letters, digits, ``_`` and ``-``; not ``latest``, which is the newest version anyway.
            replacing: Refuse unless the alias names this version until then; 0 for none.

        Raises:
            NotFoundError: There is no such version.
            ConflictError: kind ``alias-moved``: somebody moved it meanwhile; nothing is changed.
        """
        check_alias(alias)
        found = self.version(which)
        expected = None if replacing is None else (replacing or None,)
        moved = self._move(alias, found.number, expected)
        status = json.loads(self._lake._session.committed().metadata("run", found.run_id or "").get("status", "null"))
        if status in _UNSOUND:
            notice(
                LakefolioWarning(
                    f"v{found.number} of model {self.name!r} was made by run {short_id(found.run_id or '')}, "
                    f"whose status is {status}",
                    kind="unsound-run",
                    hint="rollback moves the alias back",
                )
            )
        return moved

    def rollback(self, alias: str = "production") -> AliasChange:
        """Move an alias back to the version before its last promotion; a second call goes further back. One commit.

        Raises:
            NotFoundError: kind ``alias-not-found``: there is no version to go back to.
            ConflictError: kind ``alias-moved``: somebody moved it meanwhile; nothing is changed.
        """
        self._fields()
        moves = [one for one in self._registry.alias_history(self.name) if one.alias == alias]
        if not moves:
            raise NotFoundError(
                f"model {self.name!r} never had an alias {alias!r}",
                kind="alias-not-found",
                hint=nearest(alias, self.aliases) if self.aliases else None,
                model=self.name,
            )
        there = self._registry.versions(self.name)
        before = [one for one in _stacked(moves)[:-1] if one in there]
        if not before:
            raise NotFoundError(
                f"alias {alias!r} of model {self.name!r} named no other version before",
                kind="alias-not-found",
                hint=f"lakefolio models history {self.name}, or model.history(), tells what it named",
                model=self.name,
            )
        return self._move(alias, before[-1], (moves[-1].after,))

    def remove_alias(self, alias: str) -> AliasChange:
        """Remove an alias; the history keeps the versions that it named. One commit.

        Raises:
            NotFoundError: kind ``alias-not-found``.
        """
        known = self._registry.aliases(self.name) if self._fields() else {}
        if alias not in known:
            raise NotFoundError(
                f"model {self.name!r} has no alias {alias!r}",
                kind="alias-not-found",
                hint=nearest(alias, known) if known else None,
                model=self.name,
            )
        return self._move(alias, None, (known[alias],))

    def _move(self, alias: str, number: int | None, expected: tuple[int | None] | None) -> AliasChange:
        self._lake._session.check_writable()
        before = self._registry.aliases(self.name).get(alias)
        try:
            self._registry.set_alias(self.name, alias, number, expected=expected)
        except ConflictError as exc:
            if exc.kind != "facts-changed":
                raise
            now = self._registry.aliases(self.name).get(alias)
            raise ConflictError(
                f"alias {alias!r} of model {self.name!r} names {'nothing' if now is None else f'v{now}'} by now",
                kind="alias-moved",
                hint="see who moved it: lakefolio models history",
                model=self.name,
            ) from exc
        moves = [one for one in self.history(alias) if one.after == number]
        if moves and not self._lake._session.in_batch:
            return moves[0]
        return AliasChange(alias, before, number, self._lake.version, datetime.now(UTC), self._lake.author)

    def history(self, alias: str | None = None) -> list[AliasChange]:
        """Return who moved aliases when, newest first.

        Args:
            alias: Only this one.
        """
        self._fields()
        return [one for one in self._registry.alias_history(self.name) if alias in (None, one.alias)][::-1]


def check_alias(alias: object) -> None:
    """Raise InvalidInputError for a text that can't be an alias."""
    if not isinstance(alias, str) or not _ALIAS.fullmatch(alias) or _RESERVED.fullmatch(alias):
        raise InvalidInputError(
            f"alias {alias!r} can't be used",
            kind="bad-name",
            hint="use letters, digits, _ and -, such as production; latest and numbers name versions anyway",
            name=alias,
        )


def _stacked(moves: Sequence[AliasChange]) -> list[int | None]:
    """Return what an alias named, the last one holding: going back to what stands below takes the top away."""
    found: list[int | None] = []
    for one in moves:
        if len(found) > 1 and found[-2] == one.after:
            found.pop()
        else:
            found.append(one.after)
    return found
