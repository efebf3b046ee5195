"""What a run's code can ask of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakefolio.runs.read_only import read_only
from lakefolio.runs.record import RunInput, RunManifest, RunOutput, manifest_of

if TYPE_CHECKING:
    from lakefolio.runs.log_buffer import Logger
    from lakefolio.session.session import Session

__all__ = ["RunFacts"]


class RunFacts:
    """The part of a run that tells what is recorded of it."""

    _session: Session
    _logger: Logger
    run_id: str

    def manifest(self) -> RunManifest:
        """Return what is recorded of it by now, what was logged up to this call included."""
        if not self._session.in_batch:
            self._logger.flush()
        return manifest_of(self._session, self.run_id)

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest as JSON-able values."""
        return self.manifest().to_dict()

    @property
    def status(self) -> str:
        """``running``, ``done``, ``failed`` or ``lost``, as recorded."""
        return str(self._fact("status"))

    @property
    def type(self) -> str:
        """Its type."""
        return str(self._fact("type"))

    @property
    def run_type(self) -> str:
        """``type`` under the name that MLtrack users know."""
        return str(self._fact("type"))

    @property
    def name(self) -> str | None:
        """Its name, if it was given one."""
        return self._text("name")

    @property
    def project(self) -> str | None:
        """The project it belongs to."""
        return self._text("project")

    @property
    def model(self) -> str | None:
        """The model it makes or uses."""
        return self._text("model")

    @property
    def parent(self) -> str | None:
        """The id of the run around it."""
        return self._text("parent")

    @property
    def tags(self) -> list[str]:
        """Its tags, to be read; :meth:`add_tags` adds some."""
        return read_only(list(self._fact("tags") or []), f"tags of run {self.run_id!r}", "run.add_tags('word')")

    @property
    def params(self) -> dict[str, Any]:
        """Its parameters, to be read; :meth:`set_params` changes them."""
        facts = self._session.metadata("run", self.run_id)
        found = {key.removeprefix("params."): value for key, value in facts.items() if key.startswith("params.")}
        return read_only(found, f"params of run {self.run_id!r}", "run.set_params(lr=0.1)")

    @property
    def inputs(self) -> list[RunInput]:
        """What it uses."""
        return self.manifest().inputs

    @property
    def outputs(self) -> list[RunOutput]:
        """What it made."""
        return self.manifest().outputs

    def _fact(self, key: str) -> Any:
        return self._session.metadata("run", self.run_id).get(key)

    def _text(self, key: str) -> str | None:
        found = self._fact(key)
        return None if found is None else str(found)
