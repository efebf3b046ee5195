"""MLtrack's flexible store: ``manifests/<run>.json``, ``data/<2 digits>/<hash>/data.<format>``, ``models/``.

Data becomes items of ``mltrack/data`` under their hash, stored once as they were; manifests become runs that refer to
them. The views ``runs/by_…`` hold nothing of their own: the lake has them by itself. Models are pickles: their files
are kept and never loaded.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from lakefolio.errors import InvalidInputError, LakefolioError
from lakefolio.format.quoting import quoted, quoted_path
from lakefolio.interop.importing.plan import NewItem, Plan, Step
from lakefolio.interop.importing.recorded_run import RecordedRun, record
from lakefolio.interop.importing.source_files import SourceFolder, mapping
from lakefolio.lake import Lake

__all__ = ["read"]

_KINDS: Final = {"parquet": "table", "npy": "array", "json": "json"}
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_MODES: Final = ("by_project", "by_date", "by_type", "by_model")
_SETTINGS: Final = {
    "default_run_type": 'default_run_type = "{}"',
    "default_storage_mode": 'default_organisation = "{}"',
    "data_deduplication": "deduplication = {}",
}
"""What stands in ``.mltrack.yml``, and the line of ``lakefolio.toml`` that says the same."""


def read(source: str, folio: str | None) -> Plan:
    """Plan the import of a store of MLtrack that lies in a folder (``aws s3 sync`` brings one there).

    Args:
        source: The folder with ``manifests``, or the one around it.
        folio: The folio for data; by default ``mltrack/data``.

    Raises:
        InvalidInputError: kind ``bad-source``: there are no manifests.
    """
    files = SourceFolder(source)
    base = next((one for one in ("", "mltrack/") if files.has(f"{one}manifests")), None)
    if base is None:
        raise InvalidInputError(f"{source!r} holds no manifests/ of MLtrack", kind="bad-source", path=source)
    plan = Plan(f"mltrack:{files.root}")
    _settings(files, plan)
    data = folio or "mltrack/data"
    for relative, path, regular in files.walk():
        if not relative.startswith(f"{base}models/"):
            continue
        if not regular:
            plan.leave_out(relative, "a link or no regular file")
            continue
        name = quoted_path(relative.removeprefix(f"{base}models/"))
        item = NewItem("mltrack/models", name, "artifact", path, facts={"imported_from": relative})
        plan.steps.append(Step(f"file {relative}", f"import {relative}", [item], joins=True))
    manifests = []
    for path in sorted(files.file(f"{base}manifests").glob("*.json")):
        try:
            found = files.json(f"{base}manifests/{path.name}")
            manifests.append(found if isinstance(found, dict) else {})
        except LakefolioError as exc:
            plan.leave_out(path.name, str(exc))
    planned: set[str] = set()
    for one in sorted(manifests, key=lambda found: str(found.get("created_at"))):
        _run(files, base, plan, data, one, planned)
    return plan


def _settings(files: SourceFolder, plan: Plan) -> None:
    if not files.has(".mltrack.yml"):
        return
    for line in files.text(".mltrack.yml").splitlines():
        key, mark, value = line.partition(":")
        if mark and key.strip() in _SETTINGS:
            text = value.split("#")[0].strip().strip("'\"")
            line = _SETTINGS[key.strip()].format(text)
            plan.leave_out(f"{key.strip()} of .mltrack.yml", f"write {line} into lakefolio.toml")


def _run(files: SourceFolder, base: str, plan: Plan, data: str, one: Mapping[str, object], planned: set[str]) -> None:
    run_id, made_at = one.get("run_id"), _time(one.get("created_at"))
    if not isinstance(run_id, str) or not run_id:
        plan.leave_out("a manifest", "it names no run")
        return
    read, made = (_data(files, base, plan, data, one.get(side), planned) for side in ("inputs", "outputs"))
    inputs = {quoted(name): f"{data}:{ref}" for name, ref, _ in read}
    outputs = [(quoted_path(name), path) for name, _, path in made]
    tags, metrics = mapping(one.get("tags")), mapping(one.get("metrics"))
    locations = one.get("storage_locations")
    locations = locations if isinstance(locations, list | dict) else ()
    places = " ".join(str(place) for place in locations)
    facts = {key: one[key] for key in ("model_path", "model_hash", "model_metadata") if one.get(key)}
    run_type = str(one.get("run_type") or "experiment")
    told = RecordedRun(
        quoted(run_id),
        plan.source,
        {
            "name": run_id,
            "run_type": run_type,
            "project": one.get("project"),
            "metrics": {key: value for key, value in metrics.items() if isinstance(value, int | float)},
            "inputs": inputs,
            "storage_modes": [mode for mode in _MODES if mode in places],
            "metadata": facts | {f"tags.{key}": value for key, value in tags.items()},
        },
        made_at,
        None,
        outputs=lambda: outputs,
    )

    def run(lake: Lake) -> None:
        if run_type not in lake.run_types():
            lake.add_run_type(run_type)
        record(lake, told)

    plan.steps.append(Step(f"run {run_id}", f"import run {run_id}", action=run))


def _data(
    files: SourceFolder, base: str, plan: Plan, data: str, refs: object, planned: set[str]
) -> list[tuple[str, str, Path]]:
    """Plan the data that a manifest refers to, and return name, hash and file of each that is there."""
    found = []
    for name, one in mapping(refs).items():
        digest = one.get("hash") if isinstance(one, dict) else None
        form = str(one.get("format")) if isinstance(one, dict) else ""
        if not isinstance(digest, str) or not _HASH.fullmatch(digest):
            plan.leave_out(name, "the manifest gives no hash of it")
            continue
        try:
            path = files.file(f"{base}data/{digest[:2]}/{digest}/data.{form}")
            _check(path, one, form)
        except (LakefolioError, ValueError, RecursionError) as exc:
            plan.leave_out(f"{name} ({digest[:12]})", str(exc))
            continue
        if digest not in planned:
            planned.add(digest)
            facts = {"imported_from": path.name, "mltrack": {key: one[key] for key in ("shape", "dtype") if key in one}}
            item = NewItem(data, digest, _KINDS.get(form, "artifact"), path, facts=facts)
            plan.steps.append(Step(f"data {digest}", f"import data {digest[:12]}", [item], joins=True))
        found.append((name, digest, path))
    return found


def _check(path: Path, one: Mapping[str, object], form: str) -> None:
    size = path.stat().st_size
    said = one.get("size_bytes")
    if isinstance(said, int) and size != said:
        raise InvalidInputError(f"its file has {size} bytes, the manifest says {said}", kind="bad-source")
    if form == "json":
        text = json.dumps(json.loads(path.read_text(encoding="utf-8")), sort_keys=True, default=str)
        if hashlib.sha256(text.encode()).hexdigest() != one["hash"]:
            raise InvalidInputError("its content has another hash than the manifest says", kind="bad-source")


def _time(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)  # MLtrack writes UTC without saying so
