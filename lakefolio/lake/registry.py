"""The registry: names of models, their versions and aliases, also for MLflow (FORMAT.md, "Registry").

The record of a model is the item ``registry:<name>``; what holds of it, its aliases among it, are facts of that. A
version is the item ``registry:<name>/v<number>``: its number is taken by making it, so that two who register at once
get two numbers. Each change of an alias is an entry of the model's record, so that its history tells who moved it when.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from lakefolio.errors import AlreadyExistsError
from lakefolio.format.names import new_id
from lakefolio.format.quoting import quoted
from lakefolio.lake.documents import Documents, Fields, fields_of
from lakefolio.model.changes import Put, Update
from lakefolio.process.clock import now_ms
from lakefolio.session.annotations import metadata_texts
from lakefolio.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from lakefolio.lake.lake import Lake
    from lakefolio.model.entries import Entry

__all__ = ["DELETED", "REGISTRY", "AliasChange", "Registry"]

REGISTRY: Final = "registry"
"""The folio of the records."""
DELETED: Final = "deleted"
"""The stage of a version that was deleted: its number is not given again."""


@dataclass(frozen=True, slots=True)
class AliasChange:
    """A move of an alias.

    Attributes:
        alias: The alias.
        before: The number of the version it named until then; None for none.
        after: The number of the version it names from then on; None where it was removed.
        version: The lake version in which it was moved.
        moved_at: When.
        author: Who moved it.
        message: Why, as the commit says.
        run_id: The run in whose block that was.
    """

    alias: str
    before: int | None
    after: int | None
    version: int
    moved_at: datetime
    author: str | None = None
    message: str | None = None
    run_id: str | None = None

    def __repr__(self) -> str:
        before, after = ("nothing" if one is None else f"v{one}" for one in (self.before, self.after))
        author = f" by {self.author}" if self.author else ""
        return visible(f"<AliasChange {self.alias}: {before} to {after} at @{self.version}{author}>", keep="")


class Registry:
    """The records of a lake. Safe to share between threads and processes."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._known = Documents(lake, REGISTRY)

    # -- models ----------------------------------------------------------------------------------------------

    def models(self) -> dict[str, Fields]:
        """Return the fields of every model, by its name."""
        every = self._known.all().values()
        return {one["name"]: one for one in every if "name" in one and "version" not in one}

    def model(self, name: str) -> Fields | None:
        """Return the fields of a model; None if there is none of that name."""
        return self._known.get(quoted(name))

    def create(self, name: str, fields: Mapping[str, object]) -> bool:
        """Make a model; say whether it was made, or there was one of that name. One commit, atomic."""
        now = now_ms()
        made = {"name": name, "creation_timestamp": now, "last_updated_timestamp": now}
        return self._known.create(quoted(name), made | dict(fields))

    def set(self, name: str, fields: Mapping[str, object]) -> None:
        """Change fields of a model; None removes one. One commit."""
        self._known.set(quoted(name), {**fields, "last_updated_timestamp": now_ms()})

    def rename(self, name: str, new_name: str) -> bool:
        """Rename a model with its versions; say whether that was done, or the name is taken. One commit."""
        fields, now = self.model(name) or {}, {"name": new_name, "last_updated_timestamp": now_ms()}
        was: Fields = {"renamed_from": name}
        folio = self._lake.folio(REGISTRY)
        if self.model(new_name) is not None:
            return False
        with self._lake.batch(f"rename model {name} to {new_name}"):
            if not self._known.create(quoted(new_name), fields | now | was):
                return False
            for number in self.versions(name, deleted=True):
                item = _item(new_name, number)
                folio.rename(_item(name, number), item)
                self._known.set(item, now)
            self._known.delete(quoted(name))
        return True

    def delete(self, name: str) -> None:
        """Remove a model with its versions; the history keeps them. One commit."""
        self._known.delete(quoted(name), *self._known.all(f"{quoted(name)}/v"))

    # -- versions --------------------------------------------------------------------------------------------

    def versions(self, name: str, *, deleted: bool = False) -> dict[int, Fields]:
        """Return the fields of the versions of a model, by number; those deleted only if they are asked for."""
        found = self._known.all(f"{quoted(name)}/v").values()
        wanted = [one for one in found if deleted or one.get("current_stage") != DELETED]
        return {one["version"]: one for one in sorted(wanted, key=lambda one: int(one["version"]))}

    def version(self, name: str, number: int) -> Fields | None:
        """Return the fields of a version; None if there is none, or it was deleted."""
        found = self._known.get(_item(name, number))
        return None if found is None or found.get("current_stage") == DELETED else found

    def entry(self, name: str, number: int) -> Entry:
        """Return the item that a version is."""
        return self._lake.item(f"{REGISTRY}:{_item(name, number)}")

    def add_version(
        self,
        name: str,
        fields: Mapping[str, object],
        *,
        content: Entry | None = None,
        inputs: Sequence[str] = (),
    ) -> int:
        """Make the next version of a model and return its number. One commit for it.

        Args:
            name: The model.
            fields: What is known of the version.
            content: The item that it is; nothing is copied. By default it is a record without content.
            inputs: References of what such a record was made from.
        """
        now = now_ms()
        made = {"name": name, "creation_timestamp": now, "last_updated_timestamp": now, "current_stage": "None"}
        while True:
            number = max(self.versions(name, deleted=True), default=0) + 1
            known = {**made, **fields, "version": number}
            if content is None:
                if self._known.create(_item(name, number), known, inputs=inputs):
                    return number
            elif self._put(_item(name, number), known, content):
                return number

    def _put(self, item: str, fields: Mapping[str, object], content: Entry) -> bool:
        known = {key: value for key, value in fields.items() if value is not None}
        session = self._lake._session
        put = Put(
            folio=REGISTRY,
            item=item,
            stored=session.stored(content),
            entry_id=new_id(),
            description=None if known.get("description") is None else str(known["description"]),
            inputs=(content.ref,),
            metadata=metadata_texts({**known, "registered": new_id()}),  # no two are equal, so that one is refused
        )
        try:
            session.apply(put, message=f"register {item}")
        except AlreadyExistsError:
            return False
        return True

    def set_version(self, name: str, number: int, fields: Mapping[str, object], now: int | None = None) -> None:
        """Change fields of a version; None removes one. One commit."""
        self._known.set(_item(name, number), {**fields, "last_updated_timestamp": now or now_ms()})

    def delete_version(self, name: str, number: int) -> None:
        """Mark a version as deleted, and remove the aliases that name it. One commit."""
        with self._lake.batch(f"delete model {name} v{number}"):
            self.set_version(name, number, {"current_stage": DELETED})
            self.set(name, {f"aliases.{alias}": None for alias, one in self.aliases(name).items() if one == number})

    # -- aliases ---------------------------------------------------------------------------------------------

    def aliases(self, name: str) -> dict[str, int]:
        """Return the aliases of a model, each with the number of the version that it names."""
        return _aliases(self.model(name) or {})

    def set_alias(
        self, name: str, alias: str, number: int | None, *, expected: tuple[int | None] | None = None
    ) -> None:
        """Let an alias name a version, or nothing. One commit; the history keeps what it named.

        Args:
            name: The model.
            alias: The alias.
            number: The version, None to remove the alias.
            expected: Refuse unless it names this version now.

        Raises:
            ConflictError: kind ``facts-changed``: it names another one.
        """
        key = f"aliases.{alias}"
        texts: dict[str, str | None] = {key: None if number is None else json.dumps(number)}
        texts["last_updated_timestamp"] = json.dumps(now_ms())
        only_if = {} if expected is None else {key: None if expected[0] is None else json.dumps(expected[0])}
        what = f"model {name}: {alias} removed" if number is None else f"model {name}: {alias} is v{number}"
        update = Update(REGISTRY, quoted(name), metadata=texts, only_if=only_if)
        self._lake._session.apply(update, message=what)

    def alias_history(self, name: str) -> list[AliasChange]:
        """Return every move of an alias of a model, oldest first, also under the names it had before."""
        found: list[AliasChange] = []
        before: dict[str, int] = {}
        for entry in self._entries(name):
            after = _aliases(fields_of(entry))
            for alias in sorted({*before, *after}):
                old, new = before.get(alias), after.get(alias)
                if old != new:
                    said = (entry.version, entry.committed_at, entry.author, entry.message, entry.run_id)
                    found.append(AliasChange(alias, old, new, *said))
            before = after
        return found

    def _entries(self, name: str) -> list[Entry]:
        """Return the entries of a model's record, oldest first; those under the names it had before come first."""
        state = self._lake._session.state()
        found: list[Entry] = []
        called: str | None = name
        while called is not None:
            entries = state.history(REGISTRY, quoted(called))
            older = [one for one in entries if not found or one.version < found[-1].version]
            newest: tuple[tuple[str | None, object], Iterable[Entry]] = ((None, None), ())
            (called, _), own = next(groupby(reversed(older), _life), newest)
            found += own
        return found[::-1]


def _life(entry: Entry) -> tuple[str | None, object]:
    """Return what is equal for the entries of one model under one name; another may have had the name before."""
    fields = fields_of(entry)
    return fields.get("renamed_from"), fields.get("creation_timestamp")


def _aliases(fields: Fields) -> dict[str, int]:
    prefix = "aliases."
    return {key.removeprefix(prefix): int(one) for key, one in fields.items() if key.startswith(prefix) and one}


def _item(name: str, number: int) -> str:
    return f"{quoted(name)}/v{number}"
