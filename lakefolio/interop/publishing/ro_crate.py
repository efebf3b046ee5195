"""A published folio as an RO-Crate: its files, and for each run that made some, an action from inputs to results.

Source: RO-Crate Metadata Specification 1.1, https://www.researchobject.org/ro-crate/specification/1.1/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from lakefolio import __version__
from lakefolio.interop.publishing.description import Description
from lakefolio.interop.publishing.files import PublishedFile, address_of
from lakefolio.runs.record import RunManifest

__all__ = ["ro_crate"]

_CONTEXT: Final = "https://w3id.org/ro/crate/1.1/context"
_SELF: Final = "#lakefolio"


def ro_crate(told: Description) -> dict[str, Any]:
    """Return the content of ``ro-crate-metadata.json``; the RO-Crate validator finds nothing required missing in it."""
    files = {_id(one): one for one in told.files}
    authors: list[dict[str, Any]] = [
        {"@id": _local(one.name), "@type": "Person", "name": one.name}
        | ({"affiliation": {"@id": _organisation(one.affiliation)}} if one.affiliation else {})
        for one in told.authors
    ]
    named = [told.publisher, *(one.affiliation for one in told.authors)]
    organisations = [
        {"@id": _organisation(one), "@type": "Organization", "name": one} for one in dict.fromkeys(filter(None, named))
    ]
    parts: dict[str, list[PublishedFile]] = {}
    made: dict[str | None, list[str]] = {}
    for key, one in files.items():
        parts.setdefault(one.entry.ref, []).append(one)
        made.setdefault(one.entry.run_id, []).append(key)
    actions = [action for run in told.runs for action in _action(run, parts, made.get(run.run_id, []))]
    root: dict[str, Any] = {
        "@id": "./",
        "@type": "Dataset",
        "name": told.name,
        "description": told.description,
        "datePublished": told.published_at.isoformat(),
        "license": {"@id": told.license},
        "version": str(told.version),
        "identifier": told.url,
        "author": _ids(_local(one.name) for one in told.authors),
        "hasPart": _ids(files),
    }
    if told.publisher:
        root["publisher"] = {"@id": _organisation(told.publisher)}
    if actions:
        root["mentions"] = _ids(one["@id"] for one in actions if one["@type"] == "CreateAction")
    graph = [
        {
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
        },
        root,
        {"@id": told.license, "@type": "CreativeWork", "name": told.license.rpartition("/")[2] or told.license},
        *authors,
        *organisations,
        *(_file(key, one) for key, one in files.items()),
        *actions,
    ]
    if actions:
        url = "https://pypi.org/project/lakefolio/"
        software = {"@type": "SoftwareApplication", "name": "lakefolio", "version": __version__, "url": url}
        graph.append({"@id": _SELF, **software})
    return {"@context": _CONTEXT, "@graph": graph}


def _local(name: str) -> str:
    return f"#{quote(name, errors='backslashreplace')}"


def _organisation(name: str) -> str:
    return _local(f"organisation {name}")  # a person may have the same name


def _ids(keys: Iterable[str]) -> Any:
    """Return references to entities; a single one is no list, as the specification recommends."""
    found = [{"@id": one} for one in keys]
    return found[0] if len(found) == 1 else found


def _id(one: PublishedFile) -> str:
    return quote(one.path, safe="/") if one.is_local else one.path


def _file(key: str, one: PublishedFile) -> dict[str, Any]:
    found: dict[str, Any] = {
        "@id": key,
        "@type": "File",
        "name": one.path,
        "encodingFormat": one.media_type,
        "dateModified": one.entry.committed_at.isoformat(),
        "version": str(one.entry.version),
    }
    if one.entry.description:
        found["description"] = one.entry.description
    if one.size_bytes is not None:
        found["contentSize"] = str(one.size_bytes)
    if one.sha256 is not None:
        found["identifier"] = f"sha256:{one.sha256}"
    if one.entry.tags:
        found["keywords"] = ", ".join(one.entry.tags)
    return found


def _action(
    run: RunManifest, parts: Mapping[str, Sequence[PublishedFile]], made: Sequence[str]
) -> list[dict[str, Any]]:
    """Return a run as an action, with the things it names that are not published."""
    used: list[str] = []
    others: list[dict[str, Any]] = []
    for one in run.inputs:
        known = parts.get(one.ref)
        if known:
            used += [_id(file) for file in known]
            continue
        key = address_of(one.ref) if "://" in one.ref else f"#{quote(one.ref)}"
        used.append(key)
        others.append({"@id": key, "@type": "CreativeWork", "name": one.ref})
    action: dict[str, Any] = {
        "@id": f"#run-{run.run_id}",
        "@type": "CreateAction",
        "name": run.name or f"run {run.run_id}",
        "instrument": {"@id": _SELF},
        "result": _ids(made),
    }
    if run.description:
        action["description"] = run.description
    if used:
        action["object"] = _ids(dict.fromkeys(used))
    for key, when in (("startTime", run.started_at), ("endTime", run.ended_at)):
        if when is not None:
            action[key] = when.isoformat()
    if run.status in ("failed", "lost"):
        action["actionStatus"] = {"@id": "http://schema.org/FailedActionStatus"}
    return [action, *others]
