"""What is recorded of a run, gathered from the rows of the lake.

Long because the record's fields and what each is gathered from change together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lakefolio.errors import LakefolioError, NotFoundError, nearest
from lakefolio.format import json_decode
from lakefolio.process.facade import obtained
from lakefolio.render.text import counted
from lakefolio.runs.read_only import read_only
from lakefolio.runs.run_names import display_name, known_names, run_id_of
from lakefolio.terminal import visible

if TYPE_CHECKING:
    from lakefolio.model.entries import Entry, RunInputEdge
    from lakefolio.model.state import State
    from lakefolio.session.session import Session

__all__ = [
    "RunInput",
    "RunManifest",
    "RunOutput",
    "logged",
    "manifest_of",
    "manifests_of",
    "run_ids",
    "time_of",
    "values_of",
]

_KNOWN = [
    "type",
    "status",
    "name",
    "project",
    "model",
    "description",
    "author",
    "folio",
    "parent",
    "started_at",
    "ended_at",
    "tags",
    "organisation",
    "error_type",
    "error",
    "host",
    "user",
    "command",
    "directory",
    "git_commit",
    "git_dirty",
    "git_branch",
    "git_remote",
    "environment",
    "process",
    "memo",
    "memo_values",
    "memo_reads",
]


_CONTAINERS = ("tags", "params", "metrics", "inputs", "outputs", "children", "packages", "storage_modes", "metadata")
_READ = ("op", "entry_id", "details", "folio", "item", "version", "digest", "size_bytes", "kind")


@dataclass(frozen=True, slots=True)
class RunInput:
    """What a run uses: a reference, never a copy.

    Attributes:
        name: The input's name in the run.
        ref: ``folio:item@version``, or the URI of something outside.
        digest: Identity of the content; None for what lies outside.
        size_bytes: Size of the content.
        entry_id: The exact entry.
    """

    name: str
    ref: str
    digest: str | None = None
    size_bytes: int | None = None
    entry_id: str | None = None


@dataclass(frozen=True, slots=True)
class RunOutput:
    """What a run made; attributes as of RunInput, ``name`` is the item's."""

    name: str
    ref: str
    digest: str | None = None
    size_bytes: int | None = None
    entry_id: str | None = None
    kind: str | None = None


@obtained("lake.get_run(run_id) gives one, lake.runs() all")
@dataclass(frozen=True, slots=True, kw_only=True)
class RunManifest:
    """What is recorded of a run at one version of the lake. Light: references to data, never data.

    Its dicts and lists refuse to be changed, as nobody would record that.

    Attributes:
        run_id: The run.
        status: ``running``, ``done``, ``failed`` or ``lost``.
        metrics: The last value of each metric.
        error: The traceback of a failed run.
        parent: The run around this one.
        children: The runs in it.
        metadata: Further facts its user noted.
        version: The lake version this was read at.
    """

    run_id: str
    type: str | None
    status: str | None
    name: str | None = None
    project: str | None = None
    model: str | None = None
    description: str | None = None
    author: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    tags: list[str] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    inputs: list[RunInput] = field(default_factory=list)
    outputs: list[RunOutput] = field(default_factory=list)
    parent: str | None = None
    children: list[str] = field(default_factory=list)
    error_type: str | None = None
    error: str | None = None
    host: str | None = None
    user: str | None = None
    command: str | None = None
    directory: str | None = None
    git_commit: str | None = None
    git_dirty: bool | None = None
    git_branch: str | None = None
    git_remote: str | None = None
    python: str | None = None
    platform: str | None = None
    packages: dict[str, str] = field(default_factory=dict, repr=False)
    storage_modes: list[str] = field(default_factory=list)
    folio: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    version: int = 0

    def __post_init__(self) -> None:
        for name in _CONTAINERS:
            what, hint = f"{name} of run {self.run_id!r}", f"lake.resume_run({self.run_id!r}) gives the run to change"
            object.__setattr__(self, name, read_only(getattr(self, name), what, hint))

    @property
    def run_type(self) -> str | None:
        """``type`` under the name that MLtrack users know."""
        return self.type

    @property
    def duration_s(self) -> float | None:
        """Seconds from start to end; None while it runs."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()

    def __repr__(self) -> str:
        said = ", ".join(str(one) for one in (self.type, self.project, self.model) if one)
        made = f"{counted(len(self.inputs), 'input')}, {counted(len(self.outputs), 'output')}"
        return visible(
            f"<RunManifest {display_name(self.run_id, self.name)} {self.status}: {said + ', ' if said else ''}{made}>",
            keep="",
        )

    def _repr_html_(self) -> str:
        from lakefolio.render.notebook import run_html

        return run_html(self)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able values; times as ISO 8601 texts."""
        found: dict[str, Any] = deepcopy(asdict(self))
        for key in ("started_at", "ended_at"):
            found[key] = None if found[key] is None else found[key].isoformat()
        return {**found, "duration_s": self.duration_s}


@dataclass(frozen=True, slots=True)
class _Gathered:
    """What the manifests of some runs are made of, looked for once for all of them.

    Attributes:
        state: The state that is committed.
        rows: The rows of the journal that each run has, in their order.
        children: The runs in each run.
        texts: The facts of each run as JSON texts.
        inputs: The inputs of each run.
        histories: The entries of the items that are inputs, by their ids, as far as they were asked for.
        environments: What environments hold, by name, as far as they were asked for.
    """

    state: State
    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    children: Mapping[str, list[str]]
    texts: Mapping[str, Mapping[str, str]]
    inputs: Mapping[str, Sequence[RunInputEdge]]
    histories: dict[tuple[str, str], dict[str, Entry]] = field(default_factory=dict)
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)


def manifests_of(session: Session, ids: Sequence[str]) -> list[RunManifest]:
    """Return the manifests of runs that there are, in their order; all of them are asked for at once."""
    state = session.committed()
    children: dict[str, list[str]] = {}
    inner = state.runs_noting("parent", [json.dumps(run_id) for run_id in ids])
    for run_id, facts in state.metadata_of_runs(inner).items():
        children.setdefault(_value(facts.get("parent", "null")), []).append(run_id)
    if session.in_batch:
        texts = {run_id: session.metadata_texts("run", run_id) for run_id in ids}
        inputs = {run_id: session.run_inputs(run_id) for run_id in ids}
    else:
        texts, inputs = state.metadata_of_runs(ids), state.inputs_of_runs(ids)
    gathered = _Gathered(state, _rows_of_runs(state, ids), children, texts, inputs)
    return [_manifest(session, run_id, gathered) for run_id in ids]


def manifest_of(session: Session, run_id: str) -> RunManifest:
    """Return what is recorded of a run at the session's version; in a batch, what it says of it by then.

    The run may be named by its name, or by the beginning or the end of its id; see ``run_names``.

    Raises:
        InvalidInputError: kind ``ambiguous-run``: the text means several.
        NotFoundError: kind ``run-not-found``; the hint names the nearest.
    """
    state = session.committed()
    run_id = run_id_of(state, run_id) if isinstance(run_id, str) else run_id
    children = {run_id: state.runs_noting("parent", [json.dumps(run_id)])}
    texts = {run_id: session.metadata_texts("run", run_id)}
    inputs = {run_id: session.run_inputs(run_id)}
    return _manifest(session, run_id, _Gathered(state, _rows_of_runs(state, [run_id]), children, texts, inputs))


def _manifest(session: Session, run_id: str, gathered: _Gathered) -> RunManifest:
    state = gathered.state
    texts = gathered.texts.get(run_id)
    if not texts:
        raise NotFoundError(
            f"run {run_id!r} not found",
            kind="run-not-found",
            hint=nearest(run_id, known_names(state)) or "no run has been recorded yet",
            run_id=run_id,
        )
    facts = {key: _value(text) for key, text in texts.items()}
    rows = gathered.rows.get(run_id, ())
    metrics = {key.removeprefix("metrics."): value for key, value in facts.items() if key.startswith("metrics.")}
    own = {key: facts[key] for key in _KNOWN if key in facts}
    environment = _environment(session, own.pop("environment", None), gathered.environments)
    for key in ("process", "memo", "memo_values", "memo_reads"):
        own.pop(key, None)
    others = {
        key: value for key, value in facts.items() if key not in _KNOWN and not key.startswith(("params.", "metrics."))
    }
    return RunManifest(
        run_id=run_id,
        type=own.pop("type", None),
        status=_status(session, run_id, own.pop("status", None)),
        started_at=time_of(own.pop("started_at", None)),
        ended_at=time_of(own.pop("ended_at", None)),
        storage_modes=own.pop("organisation", []),
        params={key.removeprefix("params."): value for key, value in facts.items() if key.startswith("params.")},
        metrics=metrics | last_logged(rows),
        inputs=_inputs(run_id, gathered),
        outputs=_outputs(rows),
        children=gathered.children.get(run_id, []),
        metadata=others,
        version=state.version,
        **own,
        **environment,
    )


def _status(session: Session, run_id: str, recorded: object) -> Any:
    return "lost" if recorded == "running" and run_id in session.lost else recorded


def last_logged(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the last value of each metric that the ``metrics`` rows of a run tell, in their order."""
    found: dict[str, float] = {}
    seen: set[str] = set()
    for row in rows:
        if row["op"] != "metrics" or row["entry_id"] in seen:
            continue
        seen.add(row["entry_id"])
        details = _value(row["details"] or "{}")
        found |= values_of(details.get("last") if isinstance(details, dict) else None)
    return found


def values_of(last: object) -> dict[str, float]:
    """Return name -> value of what a ``metrics`` row says is last; what is no number is left out."""
    found = {}
    for name, pair in last.items() if isinstance(last, Mapping) else ():
        try:
            found[name] = float(pair[0])
        except (TypeError, ValueError, IndexError, KeyError):
            continue
    return found


def logged(state: State, run_id: str) -> dict[str, float]:
    """Return the last value of each metric of a run that is committed in a state."""
    return last_logged(_rows_of_runs(state, [run_id]).get(run_id, ()))


def run_ids(session: Session) -> list[str]:
    """Return the ids of all runs, in the order they began."""
    return session.committed().runs_noting("status")


def _rows_of_runs(state: State, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(ids, pa.string())
    found: dict[str, list[dict[str, Any]]] = {}
    for rows in state.rows_about_runs(ids, ["run_id", *_READ]):
        for row in rows.filter(pc.is_in(rows.column("run_id"), value_set=wanted)).to_pylist():
            found.setdefault(row["run_id"], []).append(row)
    return found


def _inputs(run_id: str, gathered: _Gathered) -> list[RunInput]:
    found = []
    for edge in gathered.inputs.get(run_id, ()):
        if edge["input_kind"] != "entry":
            found.append(RunInput(edge["role"] or "", edge["input_uri"] or edge["input_id"] or ""))
            continue
        item = (edge["input_folio"] or "", edge["input_item"] or "")
        if item not in gathered.histories:
            first: dict[str, Entry] = {}
            for one in gathered.state.history(*item):
                first.setdefault(one.entry_id, one)
            gathered.histories[item] = first
        entry = gathered.histories[item].get(edge["input_id"] or "")
        ref = f"{edge['input_folio']}:{edge['input_item']}"
        if entry is None:
            found.append(RunInput(edge["role"] or "", ref, edge["input_digest"], None, edge["input_id"]))
        else:
            ref = f"{ref}@{entry.version}"
            found.append(RunInput(edge["role"] or "", ref, entry.digest, entry.size_bytes, entry.entry_id))
    return found


def _outputs(rows: Sequence[Mapping[str, Any]]) -> list[RunOutput]:
    found: dict[str, RunOutput] = {}
    for row in rows:
        if row["op"] == "put" and row["entry_id"] is not None:
            ref = f"{row['folio']}:{row['item']}@{row['version']}"
            found.setdefault(
                row["entry_id"],
                RunOutput(row["item"], ref, row["digest"], row["size_bytes"], row["entry_id"], row["kind"]),
            )
    return list(found.values())


def _environment(session: Session, name: object, seen: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return Python, platform and packages; nothing if the item is gone: a run is more than where it ran."""
    if not isinstance(name, str):
        return {}
    if name not in seen:
        try:
            found = session.load(session.entry("environments", name))
        except LakefolioError:
            found = {}
        known = ("python", "platform", "packages")
        seen[name] = {key: found[key] for key in known if key in found} if isinstance(found, dict) else {}
    one = dict(seen[name])
    return one | {"packages": dict(one["packages"])} if isinstance(one.get("packages"), dict) else one


def _value(text: str) -> Any:
    try:
        return json_decode.loads_fact(text)
    except LakefolioError:
        return text  # edited by hand: shown as it is, as the views do


def time_of(text: Any) -> datetime | None:
    """Return a time that a run noted, in UTC, or None."""
    try:
        when = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
