"""Whether a place can keep the promises of a lake: each finding comes with its remedy.

The store is tested by use: doctor creates, races, lists and deletes objects whose keys begin with ``doctor-``, and
removes them.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import InvalidInputError, LakefolioError, NotFoundError, StorageError
from lakefolio.format.layout import JOURNAL, MARKER, log_prefix, log_version
from lakefolio.format.marker import note_unsafe, parse_marker
from lakefolio.maintenance.clock_skew import HINT_DATES, dated_ahead
from lakefolio.maintenance.reports import DoctorReport
from lakefolio.storage import aws, open_store
from lakefolio.storage.conformance import PROBES, race

if TYPE_CHECKING:
    from lakefolio.storage import Store

__all__ = ["doctor"]

_RACERS: Final = 16
_ROUNDS: Final = 3
_SKEW_S: Final = 60.0
_ODD_FILE_SYSTEMS: Final = {
    "nfs": "NFS",
    "nfs4": "NFS",
    "cifs": "a Windows share",
    "smb3": "a Windows share",
    "9p": "a share of a virtual machine",
    "vboxsf": "a share of a virtual machine",
    "fuse.s3fs": "a bucket as a folder",
    "fuse.gcsfuse": "a bucket as a folder",
    "fuse.rclone": "a cloud drive",
    "fuse.sshfs": "SSH",
    "fuse.glusterfs": "GlusterFS",
    "lustre": "Lustre",
}


def doctor(uri: str | Path, storage_options: Mapping[str, object] | None = None, *, write: bool = True) -> DoctorReport:
    """Examine a place, with or without a lake. Leaves nothing behind unless it is killed.

    Args:
        uri: The address, as for ``open``.
        storage_options: As for ``open``.
        write: Whether to try creating, racing and deleting; without it only settings are looked at.

    Returns:
        The findings: ``name``, ``level`` (``ok``, ``note``, ``warning``, ``error``), ``message``, ``hint``. With an
        error the place must not be written to.
    """
    found = _Findings()
    try:
        store = open_store(uri, storage_options)
    except InvalidInputError as exc:
        found.add("settings", "error", exc.message, exc.hint)
        return found.report(str(uri))
    found.add("settings", "ok", "no setting switches safety off")
    _marker(store, found)
    if write:
        _permissions(store, found)
        if not found.errors:
            _race(store, found)
            _listing(store, found)
    if store.scheme == "s3":
        _bucket(store, found)
    if store.local_path is not None:
        _file_system(store, found)
    return found.report(store.uri)


class _Findings:
    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []

    def add(self, name: str, level: str, message: str, hint: str | None = None) -> None:
        self.all.append({"name": name, "level": level, "message": message, "hint": hint})

    @property
    def errors(self) -> bool:
        return any(one["level"] == "error" for one in self.all)

    def report(self, uri: str) -> DoctorReport:
        return DoctorReport(uri=uri, ok=not self.errors, findings=self.all)


def _marker(store: Store, found: _Findings) -> None:
    try:
        body = store.find(MARKER)
        if body is None:
            found.add("lake", "note", f"there is no lake at {store.uri} yet")
        else:
            marker = parse_marker(note_unsafe(body, None), store.uri, writing=True)
            found.add("lake", "ok", f"lake {marker.lake_id}, format {marker.format_version}")
            _dates(store, found)
    except LakefolioError as exc:
        found.add("lake", "error", exc.message, exc.hint)


def _dates(store: Store, found: _Findings) -> None:
    """Compare the time of the newest commit with that of the object that holds it."""
    entries = (info for info in store.list(log_prefix(JOURNAL) + "/") if log_version(info.key))
    newest = deque(entries, maxlen=1)
    ahead = dated_ahead(store.find(newest[0].key), newest[0].modified_at) if newest else None
    if ahead is not None:
        found.add("dates", "warning", f"the newest commit is dated {ahead}", HINT_DATES)


def _permissions(store: Store, found: _Findings) -> None:
    """Do each thing a writer does once, and compare the store's clock with ours on the way."""
    key = f"{PROBES}{uuid.uuid4().hex}"
    steps: list[tuple[str, Callable[[], object]]] = [
        ("create", lambda: store.create(key, b"lakefolio doctor")),
        ("get", lambda: store.get(key)),
        ("list", lambda: list(store.list(f"{key}/"))),
        ("put", lambda: store.put(key, b"lakefolio doctor, again")),
        ("delete", lambda: store.delete([key])),
    ]
    for name, action in steps:
        before = datetime.now(UTC)
        try:
            action()
            if name == "create":
                _clock(store.head(key).modified_at, before, datetime.now(UTC), found)
        except LakefolioError as exc:
            hint = exc.hint or "grant reading, writing, listing and deleting below this prefix"
            found.add(name, "error", f"{name} failed: {exc.message}", hint)
            if name == "create":
                return
        else:
            found.add(name, "ok", f"{name} is allowed")


def _clock(stored: datetime, before: datetime, after: datetime, found: _Findings) -> None:
    late = (stored - after).total_seconds()
    early = (before - stored).total_seconds()
    skew = max(late, early - 1.0, 0.0)  # stores round to whole seconds
    if skew > _SKEW_S:
        found.add(
            "clock",
            "warning",
            f"the clocks of this machine and the store differ by {skew:,.0f} s",
            "set this machine's clock (NTP): nothing is lost, but as-of times and retention go by it",
        )
    else:
        found.add("clock", "ok", f"the clocks of this machine and the store agree within {skew + 1:.0f} s")


def _race(store: Store, found: _Findings) -> None:
    """Let many create one key at the same moment: all safety rests on exactly one of them winning."""
    try:
        worst = max(race(store, _RACERS) for _ in range(_ROUNDS))
    except LakefolioError as exc:
        found.add("race", "error", f"concurrent creates failed: {exc.message}", exc.hint)
        return
    if worst > 1:
        message = f"of {_RACERS} concurrent creates of one key {worst} won"
        found.add(
            "race",
            "error",
            f"{message}: writers here would lose each other's commits",
            "don't write a lake here; use a store that honours If-None-Match, or a local file system. "
            "Opening a lake here for writing is refused until doctor finds the race won by one",
        )
        _refuse(store, message)
    else:
        found.add("race", "ok", f"of {_RACERS} concurrent creates exactly one won, {_ROUNDS} times")
        _refuse(store, None)


def _refuse(store: Store, why: str | None) -> None:
    """Note in the marker that a lake must not be written to here, or take the note away."""
    body = store.find(MARKER)
    if body is not None and (noted := note_unsafe(body, why)) != body:
        store.put(MARKER, noted)


def _listing(store: Store, found: _Findings) -> None:
    """What was written is listed at once, in order, and what was deleted is not."""
    folder = f"{PROBES}{uuid.uuid4().hex}"
    keys = [f"{folder}/{number:020d}.json" for number in range(5)]
    try:
        for key in reversed(keys):
            store.create(key, b"x")
        whole = [info.key for info in store.list(folder + "/")]
        rest = [info.key for info in store.list(folder + "/", after=keys[2])]
        store.delete(keys[:1])
        left = [info.key for info in store.list(folder + "/")]
        good = whole == keys and rest == keys[3:] and left == keys[1:]
        try:
            store.get(keys[0])
            good = False
        except NotFoundError:
            pass
    finally:
        store.delete(keys)
        if store.local_path is not None:
            with suppress(OSError):  # it was never made
                (store.local_path / folder).rmdir()
    if good:
        found.add("listing", "ok", "listings are ordered and up to date")
    else:
        found.add(
            "listing",
            "error",
            "a listing missed what was just written, showed what was deleted, or was out of order",
            "don't write a lake here; the store needs consistent, ordered listings",
        )


def _bucket(store: Store, found: _Findings) -> None:
    """Ask for the settings of a bucket that could remove objects behind our back."""
    bucket, _, prefix = store.uri.removeprefix("s3://").partition("/")
    options = store.options_for_delta()
    try:
        if aws.bucket_versioning(bucket, options):
            found.add("versioning", "ok", "the bucket keeps deleted objects as old versions")
        else:
            found.add(
                "versioning", "note", "the bucket keeps no old versions of objects",
                "switch versioning on if deletions by hand must be reversible; lakefolio does not need it",
            )  # fmt: skip
    except (StorageError, ImportError) as exc:
        found.add("versioning", "note", f"not known: {exc}")
    try:
        rules = aws.lifecycle_rules(bucket, options)
    except (StorageError, ImportError) as exc:
        found.add("lifecycle", "note", f"not known: {exc}", "look for rules that expire objects below this prefix")
        return
    harmful, aborts = judge_rules(rules, prefix)
    for level, message, hint in harmful:
        found.add("lifecycle", level, message, hint)
    if not harmful:
        found.add("lifecycle", "ok", "no lifecycle rule removes or moves objects of the lake")
    if not aborts:
        found.add(
            "uploads", "note", "no lifecycle rule aborts unfinished uploads",
            "add AbortIncompleteMultipartUpload after 7 days; gc aborts them too",
        )  # fmt: skip


def judge_rules(rules: list[dict[str, Any]], prefix: str) -> tuple[list[tuple[str, str, str]], bool]:
    """Return what rules would do to a lake below a prefix as (level, message, hint), and if unfinished uploads go."""
    harmful: list[tuple[str, str, str]] = []
    aborts = False
    prefix = prefix and prefix.rstrip("/") + "/"  # beside lake/ may lie lake-2/
    for rule in rules:
        condition = rule.get("Filter") or {}
        if condition.get("Tag") or (condition.get("And") or {}).get("Tags"):
            continue  # objects of a lake have no tags
        of_rule = condition.get("Prefix", (condition.get("And") or {}).get("Prefix", rule.get("Prefix") or "")) or ""
        if not (of_rule.startswith(prefix) or prefix.startswith(of_rule)):
            continue
        name = rule.get("ID") or of_rule or "without a name"
        expiration = rule.get("Expiration") or {}
        if "Days" in expiration or "Date" in expiration:
            harmful.append(
                (
                    "error",
                    f"lifecycle rule {name!r} expires objects below {of_rule or 'the whole bucket'!r}",
                    "remove it or keep it off this prefix: blobs are shared and old ones are needed; use lakefolio gc",
                )
            )
        for move in rule.get("Transitions") or ():
            storage = str(move.get("StorageClass"))
            if storage in ("GLACIER", "DEEP_ARCHIVE"):
                harmful.append(
                    (
                        "warning",
                        f"lifecycle rule {name!r} moves objects to {storage}, where they can't be read at once",
                        "choose GLACIER_IR or an infrequent-access class",
                    )
                )
        if rule.get("AbortIncompleteMultipartUpload"):
            aborts = True
    return harmful, aborts


def _file_system(store: Store, found: _Findings) -> None:
    assert store.local_path is not None
    kind = _kind_of(store.local_path)
    named = _ODD_FILE_SYSTEMS.get(kind)
    if named is not None:
        found.add(
            "file-system", "warning", f"the folder lies on {named} ({kind}), which may cache or reorder",
            "let one machine write, or use a bucket; the race above tells only what this machine sees",
        )  # fmt: skip
    else:
        found.add("file-system", "ok", f"file system {kind or 'of unknown kind'}")
    if store.options.get("fsync"):
        found.add("fsync", "ok", "a write returns when the disk has it: a power cut loses nothing acknowledged")
    else:
        found.add(
            "fsync", "note", "writes are not flushed one by one: a power cut may lose the last seconds, content too",
            "write fsync = true in lakefolio.toml, set LAKEFOLIO_FSYNC=1, or pass storage_options={'fsync': True} "
            "where that matters; killed processes lose nothing either way",
        )  # fmt: skip


def _kind_of(path: Path) -> str:
    """Return the kind of file system a path lies on, as /proc/mounts tells, or ''."""
    if not sys.platform.startswith("linux"):
        return ""
    place = os.path.realpath(path)
    best, kind = "", ""
    try:
        lines = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) > 2:
            point = fields[1].replace("\\040", " ")
            inside = place == point or place.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(best):
                best, kind = point, fields[2]
    return kind
