"""How a run begins, goes on in another process, or is recorded after it is over."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from lakefolio.config.settings import blamed, setting
from lakefolio.errors import InvalidInputError, NotFoundError, nearest
from lakefolio.format import json_encode
from lakefolio.format.digest import sha256_of_bytes
from lakefolio.format.names import check_folio, check_item, check_run_id, new_id
from lakefolio.format.times import parse_time
from lakefolio.model.changes import RUN_OVER, Change, Put, SetRun
from lakefolio.model.resolve import check_run
from lakefolio.process.identity import process
from lakefolio.process.provenance import packages, run_facts
from lakefolio.runs.given_data import reference_of
from lakefolio.runs.liveness import notice
from lakefolio.runs.record import RunManifest, manifest_of
from lakefolio.runs.run import Registrar, Run
from lakefolio.runs.run_names import known_names, run_id_of
from lakefolio.runs.validation import check_facts, check_modes, check_status, check_type, final_metrics, param_texts
from lakefolio.session.annotations import check_tags, check_text, check_word, metadata_texts, without_secrets

if TYPE_CHECKING:
    from lakefolio.session.session import Session

__all__ = ["RUN_TYPES_KEY", "RunSpec", "open_run", "resume", "start", "types_of"]

RUN_TYPES_KEY: Final = "run_types"
"""The lake's metadata that lists the types its users added."""
_ENVIRONMENTS: Final = "environments"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """What a run is to be; see ``Lake.create_run`` for each field.

    Attributes:
        memo: What is equal for captured calls that give the same answer.
    """

    run_id: str | None = None
    name: str | None = None
    run_type: str | None = None
    project: str | None = None
    model: str | None = None
    params: Mapping[str, Any] | None = None
    tags: str | Iterable[str] | None = None
    description: str | None = None
    folio: str | None = None
    parent: str | Run | None = None
    storage_modes: Iterable[object] | str | None = None
    metadata: Mapping[str, Any] | None = None
    inputs: Mapping[str, Any] | None = None
    status: str = "running"
    metrics: Mapping[str, Any] | None = None
    started_at: Any = None
    ended_at: Any = None
    memo: str | None = None


def start(session: Session, spec: RunSpec, registrar: Registrar | None = None) -> Run:
    """Record a new run. One commit, and all or nothing: whatever is wrong with it, nothing is recorded."""
    session.check_writable()
    own_id = new_id() if spec.run_id is None else check_run_id(spec.run_id)
    own_folio = f"runs/{own_id}" if spec.folio is None else check_folio(spec.folio)
    now = datetime.now(UTC)
    began = now if spec.started_at is None else parse_time(spec.started_at)
    facts: dict[str, Any] = {
        "type": _default_type(session) if spec.run_type is None else check_type(spec.run_type, types_of(session)),
        "status": check_status(spec.status),
        "name": check_word(spec.name, "name"),
        "project": check_word(spec.project, "project"),
        "model": check_word(spec.model, "model"),
        "description": check_text(spec.description, "description"),
        "author": session.author,
        "folio": own_folio,
        "parent": _parent(session, spec.parent),
        "started_at": began.isoformat(),
        "tags": list(check_tags(spec.tags)) or None,
        "organisation": check_modes(spec.storage_modes) or None,
        "memo": spec.memo,
    }
    if spec.status == "running":
        if spec.metrics or spec.ended_at is not None:
            raise InvalidInputError(
                "a run that is to go on has neither last metrics nor an end",
                kind="bad-run-status",
                hint="log metrics with run.log, or give the status it ended with",
            )
        facts |= run_facts() | {"process": process()}
    else:
        assumed = max(began, now) if spec.started_at is None else began
        ended = assumed if spec.ended_at is None else parse_time(spec.ended_at)
        if ended < began:
            raise InvalidInputError(
                f"run {own_id!r} ends before it starts", kind="bad-time", hint="check ended_at", run_id=own_id
            )
        facts["ended_at"] = ended.isoformat()
    check_facts(spec.metadata or {})
    noted = {key: without_secrets(f"metadata {key!r}", one, names=True) for key, one in (spec.metadata or {}).items()}
    texts = metadata_texts({key: value for key, value in facts.items() if value is not None} | noted)
    texts |= param_texts(spec.params) | final_metrics(spec.metrics or {})
    changes: list[Change] = []
    if spec.status == "running":
        texts["environment"] = json.dumps(_environment(session, changes))
    names = [check_item(one) for one in spec.inputs or {}]
    refs: tuple[str, ...] = ()
    if spec.inputs:
        check_run(SetRun(run_id=own_id, values={}, new=True), session.metadata_texts("run", own_id))
        with session.batch():
            refs = tuple(reference_of(session, one, data) for one, data in spec.inputs.items())
            change = SetRun(run_id=own_id, values=texts, new=True, input_names=tuple(names), input_refs=refs)
            session.apply(*changes, change)
    else:
        session.apply(*changes, SetRun(run_id=own_id, values=texts, new=True))
    run = Run(session, own_id, own_folio, registrar=registrar)
    if spec.started_at is None:
        run.began(now)
    for one, ref in zip(names, refs, strict=True):
        run._reads.know(one, ref)
    if spec.status != "running":
        run._close()
    else:
        notice(session)
    return run


def resume(session: Session, run_id: str, registrar: Registrar | None = None) -> Run:
    """Go on with a run, whatever became of it. One commit; its status is ``running`` again.

    Raises:
        NotFoundError: kind ``run-not-found``.
    """
    session.check_writable()
    known = manifest_of(session, run_id)
    run_id = known.run_id
    texts: dict[str, str | None] = dict(metadata_texts({"status": "running", **run_facts(), "process": process()}))
    texts |= {"ended_at": None, "error": None, "error_type": None}
    session.apply(SetRun(run_id=run_id, values=texts))
    run = Run(session, run_id, known.folio or f"runs/{run_id}", registrar=registrar)
    for one in known.inputs:
        run._reads.know(one.name, one.ref)
    return run


def open_run(session: Session, run: str | Run | RunManifest) -> Run:
    """Return a handle to record more of a run, given as its id, its manifest or a handle, which is returned.

    Raises:
        NotFoundError: kind ``run-not-found``.
    """
    session.check_writable()
    if isinstance(run, Run):
        return run
    known = manifest_of(session, run if isinstance(run, str) else run.run_id)
    found = Run(session, known.run_id, known.folio or f"runs/{known.run_id}", watched=False)
    if known.status in RUN_OVER:
        found._close()
    return found


def types_of(session: Session) -> list[str]:
    """Return the run types that the lake's users added."""
    found = session.metadata_known("lake", "").get(RUN_TYPES_KEY)
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _default_type(session: Session) -> str:
    try:
        return check_type(setting("default_run_type"), types_of(session))
    except InvalidInputError as exc:
        raise blamed("default_run_type", exc) from None


def _parent(session: Session, parent: str | Run | None) -> str | None:
    if parent is None:
        return session.run_id
    if isinstance(parent, Run):
        return parent.run_id
    if not isinstance(parent, str):
        raise InvalidInputError(
            f"parent is of type {type(parent).__name__}, expected a run", kind="bad-name", hint="or its id or name"
        )
    if session.metadata("run", parent):
        return parent
    run_id = run_id_of(session.committed(), parent)
    if not session.metadata("run", run_id):
        raise NotFoundError(
            f"parent run {run_id!r} not found",
            kind="run-not-found",
            hint=nearest(run_id, known_names(session.committed())),
            run_id=run_id,
        )
    return run_id


def _environment(session: Session, changes: list[Change]) -> str:
    """Return the name of the item that describes Python and its packages, and what adds it if the lake lacks it."""
    found = packages()
    name = sha256_of_bytes(json_encode.dumps(found)).removeprefix("sha256:")[:12]
    if not session.journal.state.live(_ENVIRONMENTS, name):
        changes.append(_put(session, name, found))
    return name


def _put(session: Session, name: str, found: Mapping[str, object]) -> Put:
    from lakefolio.items import handler_of

    encoded = handler_of("json").encode(dict(found), scratch=None)  # type: ignore[arg-type]
    stored = session.blobs.put(encoded, session.journal.state)
    return Put(folio=_ENVIRONMENTS, item=name, stored=stored, entry_id=new_id(), overwrite=True)
