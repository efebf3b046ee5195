"""One change of a record table: what it adds and removes, who made it, and the log entry that says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import InvalidInputError
from lakefolio.records.state import RecordFile, TableState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lakefolio.records.log import RecordLog
    from lakefolio.records.schema import TableSchema

__all__ = ["Change", "Origin", "Written", "log_entry", "once_key"]

_ONCE: Final = "lakefolio:"
_LONGEST_KEY: Final = 200


@dataclass(frozen=True, slots=True)
class Origin:
    """Who writes, why, and what version of the lake the writer has seen (the write is dated after it)."""

    author: str | None = None
    message: str | None = None
    lake_version: int | None = None
    not_before_us: int = 0


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did.

    Attributes:
        version: The version of the table that has it.
        added, updated, deleted: How many rows.
        schema_changed: Whether it changed the schema.
        repeated: Whether an earlier call with the same ``once`` had done it, so that nothing was done now.
    """

    version: int
    added: int = 0
    updated: int = 0
    deleted: int = 0
    repeated: bool = False
    schema_changed: bool = False

    def __str__(self) -> str:
        """The result in words."""
        if self.repeated:
            return f"done before; the table is at version {self.version}"
        counts = {"added": self.added, "updated": self.updated, "deleted": self.deleted}
        said = ", ".join(f"{count} {word}" for word, count in counts.items() if count) or (
            "schema changed" if self.schema_changed else "nothing changed"
        )
        return f"{said}; the table is at version {self.version}"


@dataclass(frozen=True, slots=True)
class Change:
    """The content of the next log entry, planned on one state."""

    operation: str
    added: Sequence[RecordFile] = ()
    removed: Sequence[RecordFile] = ()
    schema: TableSchema | None = None
    rows: Written = field(default_factory=lambda: Written(-1))
    data_change: bool = True
    hashed: Mapping[str, NDArray[np.uint64]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes, so that no version is needed."""
        return not (self.added or self.removed or self.schema)


def log_entry(
    log: RecordLog, change: Change, state: TableState, commit_id: str, origin: Origin, once: str | None, at_us: int
) -> tuple[list[dict[str, Any]], bytes]:
    """Return the actions of a log entry of a time (its ``commitInfo`` among them) and its bytes."""
    ours: dict[str, Any] = {"commit": commit_id, "at": at_us}
    for name, value in (("lake", origin.lake_version), ("author", origin.author), ("message", origin.message)):
        if value is not None:
            ours[name] = value
    now = at_us // 1000
    parameters = {"mode": "Append"} if change.operation == "WRITE" else {}
    blind = change.operation == "WRITE" and not state.schema.key
    info = {
        "timestamp": now,
        "operation": change.operation,
        "operationParameters": parameters,
        "isBlindAppend": blind,
    }
    actions: list[dict[str, Any]] = []
    if once is not None:
        actions.append({"txn": {"appId": once_key(once), "version": 1, "lastUpdated": now}})
    if change.schema is not None:
        needed = _protocol(state.protocol, change.schema.protocol)
        if needed != state.protocol:
            actions.append({"protocol": needed})
        actions.append({"metaData": change.schema.metadata(state.table_id, state.created_ms)})
    actions += [{"remove": one.remove(now, data_change=change.data_change)} for one in change.removed]
    actions += [{"add": one.add(data_change=change.data_change)} for one in change.added]
    body = log.entry(state.version + 1, info, ours, actions)
    return [{"commitInfo": {"lakefolio": ours}}, *actions], body


def _protocol(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the protocol that has all that two have."""
    found: dict[str, Any] = {
        name: max(old.get(name, 1), new.get(name, 1)) for name in ("minReaderVersion", "minWriterVersion")
    }
    for name in ("readerFeatures", "writerFeatures"):
        features = sorted({*(old.get(name) or ()), *(new.get(name) or ())})
        if name == "writerFeatures" and found["minWriterVersion"] >= 7 and old.get("minWriterVersion", 2) == 3:
            features = sorted({*features, "checkConstraints"})
        if features:
            found[name] = features
    return found


def once_key(key: str) -> str:
    """Return the transaction's name of a batch that is to be written once; InvalidInputError for a bad key."""
    if not isinstance(key, str) or not key or len(key.encode()) > _LONGEST_KEY:
        raise InvalidInputError(
            f"once={key!r} is no text of 1 to {_LONGEST_KEY} bytes", kind="bad-arguments", hint="name the batch of rows"
        )
    return _ONCE + key
