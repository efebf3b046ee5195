"""A read model as a Delta table: its runs, and how new runs replace old ones (FORMAT.md, "Read models").

Each log entry lists all runs of the model at its version, and the journal version that they reach (``through``). So a
reader needs one log entry only; other Delta readers see an ordinary table. A new version is created if it is absent: of
two writers that fold the same rows one wins, and gc removes the files of the other.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from lakefolio.delta.actions import DataFile, Total
from lakefolio.delta.seal import Seals
from lakefolio.delta.table import creation, write_checkpoint
from lakefolio.errors import AlreadyExistsError, IntegrityError, brief
from lakefolio.format.layout import (
    check_key,
    data_file_version,
    log_key,
    log_prefix,
    log_version,
    table_prefix,
)
from lakefolio.process.clock import now_ms
from lakefolio.readmodels.model import Model
from lakefolio.readmodels.run_file import RunFile, counts
from lakefolio.readmodels.runs import Run

if TYPE_CHECKING:
    from lakefolio.storage import Store

__all__ = ["NOTHING", "ModelTable", "Published", "runs_of", "runs_to_plain"]

_CHECKPOINT_EVERY: Final = 10
_NOTED: Final = (
    "path",
    "size_bytes",
    "row_count",
    "sha256",
    "footer_bytes",
    "footer_sha256",
    "first",
    "last",
)


@dataclass(frozen=True, slots=True)
class Published:
    """One version of a read model.

    Attributes:
        version: Of its Delta table; -1 if there is none.
        through: The journal version up to which it goes.
        runs: Its runs, the oldest first.
        gone: Files of the table that are in none of them; the next version takes them away.
        journal: The digest of the journal's log entry ``through``; empty if it is not noted.
    """

    version: int
    through: int
    runs: tuple[Run, ...]
    gone: tuple[RunFile, ...] = ()
    journal: str = ""

    @property
    def files(self) -> list[RunFile]:
        """All its files."""
        return [file for run in self.runs for file in run.files]

    def emptied(self) -> Published:
        """Return it without runs, to be made anew as its next version."""
        return Published(self.version, -1, (), (*self.files, *self.gone))


NOTHING: Final = Published(-1, -1, ())
"""A model that was not made yet."""


class ModelTable:
    """The Delta table of one read model. Safe to share between threads: it holds nothing but names."""

    def __init__(self, store: Store, lake_id: str, model: Model) -> None:
        self.model = model
        self._store = store
        self._lake_id = lake_id
        self._seals = Seals(lake_id, model.name)

    def newest(self) -> Published:
        """Return the newest version: one LIST and one GET. ``NOTHING`` if the table does not exist.

        Raises:
            IntegrityError: If its log entry is damaged.
        """
        listed = self._store.list(log_prefix(self.model.name) + "/")
        versions = [version for info in listed if (version := log_version(info.key)) is not None]
        return self.at(max(versions)) if versions else NOTHING

    def at(self, version: int) -> Published:
        """Return a version, in one request; ``NOTHING`` if it does not exist.

        Raises:
            IntegrityError: If its log entry is damaged.
        """
        key = log_key(self.model.name, version)
        body = self._store.find(key)
        if body is None:
            return NOTHING
        try:
            if not self._seals.is_sealed(version, body):
                raise ValueError("lakefolio did not write it")
            noted = json.loads(body.partition(b"\n")[0])["commitInfo"]["lakefolio"]
            through, journal = counts((noted["through"] + 1,))[0] - 1, noted.get("journal", "")
            return Published(version, through, runs_of(self.model, noted["runs"]), journal=journal)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
            raise IntegrityError(
                f"log entry {key!r} of read model {self.model.name!r} is truncated or damaged: {brief(exc)}",
                kind="log-damaged",
                hint=f"read models are made of the journal: delete {table_prefix(self.model.name)!r}",
                key=key,
                version=version,
            ) from exc

    def named(self, version: int, file: RunFile) -> RunFile:
        """Return a file with a path that nobody else uses, for the log entry of a version to name."""
        return replace(file, path=f"{version:020d}-{uuid.uuid4().hex}.parquet")

    def store_file(self, file: RunFile, body: bytes) -> None:
        """Store the bytes of a file; it counts once a log entry names it."""
        self._store.create_if_absent(f"{table_prefix(self.model.name)}/{file.path}", body)

    def publish(self, before: Published, runs: Iterable[Run], through: int, journal: str = "") -> Published | None:
        """Create the next version, whose files are stored; None if another writer was faster."""
        after = Published(before.version + 1, through, tuple(runs), journal=journal)
        old, new = ({file.path: file for file in (*one.files, *one.gone)} for one in (before, after))
        now = now_ms()
        data = {path: self._data_file(file, now) for path, file in (old | new).items()}
        actions = self._creation() if before.version < 0 else []
        actions += [{"remove": data[path].remove(now)} for path in old if path not in new]
        actions += [{"add": data[path].add(data_change=True)} for path in new if path not in old]
        noted = {
            "through": through,
            "journal": journal,
            "runs": runs_to_plain(after.runs),
            "total": Total().with_changes([data[path] for path in new], ()).to_plain(),
        }
        info = {"timestamp": now, "operation": "WRITE", "operationParameters": {}, "engineInfo": "lakefolio"}
        try:
            body = self._seals.entry(after.version, info, noted, actions)
            self._store.create(log_key(self.model.name, after.version), body)
        except AlreadyExistsError:
            return None
        if after.version and after.version % _CHECKPOINT_EVERY == 0:
            metadata = self._creation()[1]["metaData"]
            write_checkpoint(self._store, self._seals, after.version, metadata, [data[path] for path in new])
        return after

    def _creation(self) -> list[dict[str, Any]]:
        table_id = uuid.uuid5(uuid.NAMESPACE_OID, f"{self._lake_id}/{self.model.name}")
        return creation(self.model.name, self.model.schema, str(table_id))

    def _data_file(self, file: RunFile, now: int) -> DataFile:
        seal = self._seals.of(file.path, file.sha256)
        stats = json.dumps({"numRecords": file.row_count})
        return DataFile(file.path, file.size_bytes, file.row_count, stats, now, seal)


def runs_to_plain(runs: Iterable[Run]) -> list[Any]:
    """Return runs as a log entry holds them."""
    return [[run.after, run.through, [[getattr(file, name) for name in _NOTED] for file in run.files]] for run in runs]


def runs_of(model: Model, noted: Iterable[Any]) -> tuple[Run, ...]:
    """Read what :func:`runs_to_plain` wrote; ValueError, KeyError or TypeError for anything else."""
    runs = tuple(Run(tuple(_file(model, one, after, through) for one in files)) for after, through, files in noted)
    if not all(run.files for run in runs):
        raise ValueError("it has a run without files")
    return runs


def _file(model: Model, noted: Sequence[Any], after: int, through: int) -> RunFile:
    values = dict(zip(_NOTED, noted, strict=True))
    counts(values[name] for name in ("size_bytes", "row_count", "footer_bytes"))
    counts((after + 1, through))
    if values["footer_bytes"] > values["size_bytes"]:
        raise ValueError(f"{values['path']!r} is smaller than its footer")
    check_key(f"{table_prefix(model.name)}/{values['path']}", within=table_prefix(model.name))
    if data_file_version(values["path"]) is None:
        raise ValueError(f"{values['path']!r} is no data file")
    first, last = (model.key_of(values.pop(name)) for name in ("first", "last"))
    return RunFile(**values, first=first, last=last, after=after, through=through)
