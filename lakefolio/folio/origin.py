"""The origin of an item: its author, time, inputs, run and code (``folio.why``)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import LakefolioError
from lakefolio.folio.open_folio import At
from lakefolio.format.times import shown_time
from lakefolio.render import html
from lakefolio.render.report import AsText
from lakefolio.render.text import counted, format_bytes
from lakefolio.runs.record import RunManifest, manifest_of
from lakefolio.runs.run_names import display_name
from lakefolio.terminal import visible

if TYPE_CHECKING:
    from lakefolio.folio.folio import Folio
    from lakefolio.model.entries import Entry, InputEdge
    from lakefolio.session.session import Session

__all__ = ["Origin", "Source", "why"]

_CODE_FOLIO: Final = "code"
_SHOWN_LINES: Final = 24
_LINES_AFTER: Final = 8
_PICTURE_BYTES: Final = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Source:
    """Something that an item was made from.

    Attributes:
        ref: ``folio:item@version``, or the URI of something outside.
        what: Kind and size.
        committed_at: When it was added; None for things outside of the lake.
        newer: The version of the item's newest entry, if that is another one; None also where it is gone.
    """

    ref: str
    what: str = ""
    committed_at: datetime | None = None
    newer: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Origin(AsText):
    """Where an item comes from; ``print`` it, or show it in a notebook.

    Attributes:
        ref: The entry: ``folio:item@version``.
        what: Kind and size.
        description: Its description.
        made_by: The author of the commit.
        made_at: When it was committed.
        sources: Its inputs.
        run: The run that made it, or None: then neither code nor packages are known.
        code: The code of that run, as far as it was recorded.
        picture: An ``<img>`` of it, for figures.
    """

    ref: str
    what: str
    description: str | None
    made_by: str | None
    made_at: datetime
    sources: list[Source] = field(default_factory=list)
    run: RunManifest | None = None
    code: str | None = None
    picture: html.Markup | None = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return it as a dict of plain values."""
        found = {name: getattr(self, name) for name in ("ref", "what", "description", "made_by", "made_at", "code")}
        return found | {
            "sources": [asdict(one) for one in self.sources],
            "run": None if self.run is None else self.run.to_dict(),
        }

    def _facts(self) -> dict[str, str]:
        facts = {"made": f"{shown_time(self.made_at)} by {self.made_by or 'nobody named'}"}
        run = self.run
        if run is None:
            return facts | {"run": "none: lake.track() records the code that adds items"}
        where = next((f"{kind} {run.metadata[kind]}" for kind in ("notebook", "script") if kind in run.metadata), None)
        facts["run"] = f"{display_name(run.run_id, run.name)}, {run.status}"
        tracked = run.metadata.get(
            "tracked"
        )  # the command of a notebook or prompt starts its kernel: no code of its own
        command = f"a {tracked} whose file is not known" if tracked in ("notebook", "prompt") else run.command
        facts["code"] = where or command or "unknown"
        if run.git_commit:
            state = "with changes that are not committed" if run.git_dirty else "clean"
            facts["git"] = f"{run.git_commit[:12]} on {run.git_branch} ({state})"
        if run.python:
            facts["python"] = f"{run.python} with {counted(len(run.packages or {}), 'package')} on {run.platform}"
        return facts

    def __str__(self) -> str:
        """Lines for people."""
        lines = [f"{self.ref}  {self.what}"]
        if self.description:
            lines.append(f"  {self.description}")
        facts = self._facts()
        lines.append(f"  made    {facts.pop('made')}")
        for number, one in enumerate(self.sources):
            lines.append(f"  {'from' if not number else '':<7} {_line(one)}")
        if not self.sources:
            lines.append("  from    nothing that was recorded")
        lines += [f"  {name:<7} {text}" for name, text in facts.items()]
        if self.code:
            lines += ["", *_excerpt(self.code, self.ref)]
        return visible("\n".join(lines))

    def _repr_html_(self) -> str:
        rows = [
            (one.ref, one.what, one.committed_at, "" if one.newer is None else f"newer: @{one.newer}")
            for one in self.sources
        ]
        parts: list[str] = [html.heading("where from", self.ref, self.what)]
        if self.picture is not None:
            parts.append(self.picture)
        if self.description:
            parts.append(html.muted(self.description))
        parts.append(html.facts(self._facts()))
        if rows:
            parts.append(html.row_table(("from", "what", "added", ""), rows))
        if self.code:
            text = html.shown("\n".join(_excerpt(self.code, self.ref)), 1_000_000)
            parts.append(
                html.Markup(f'<details><summary>code</summary><pre style="font-size:.9em">{text}</pre></details>')
            )
        return html.block(*parts)


def why(folio: Folio, /, name: str, *, at: At = None) -> Origin:
    """Return the origin of an item: its author and time, the exact versions of its inputs, its run and code.

    ``lake.why("folio:name")`` answers another question: what keeps its content alive. ``lakefolio why`` answers both.

    Args:
        name: A name or a reference.
        at: Which entry, as of when; its run is told as it is known now.

    Returns:
        A report; printed as text, in a notebook with the picture if the item is a figure.

    Raises:
        NotFoundError: There is no such item; the hint names the nearest.
    """
    reader, entry = folio._core.find(name, at)
    now = folio._core.reading  # the end of its run and newer versions were not known when it was committed
    run = _run(now, entry)
    return Origin(
        ref=entry.ref,
        what=_what(entry),
        description=entry.description,
        made_by=entry.author,
        made_at=entry.committed_at,
        sources=[_source(now, edge) for edge in entry.inputs if edge["input_kind"] != "run"]
        or [Source(one.ref) for one in (run.inputs if run is not None else ())],
        run=run,
        code=_code(now, run),
        picture=_picture(reader, entry),
    )


def _run(reader: Session, entry: Entry) -> RunManifest | None:
    run_id = entry.run_id or next((edge["input_id"] for edge in entry.inputs if edge["input_kind"] == "run"), None)
    if run_id is None:
        return None
    try:
        return manifest_of(reader, run_id)
    except LakefolioError:
        return None


def _source(reader: Session, edge: InputEdge) -> Source:
    folio, item = edge["input_folio"], edge["input_item"]
    if edge["input_kind"] != "entry" or folio is None or item is None:
        return Source(str(edge["input_uri"]))
    state = reader.unwatched_committed()
    found = next((one for one in state.history(folio, item) if one.entry_id == edge["input_id"]), None)
    if found is None:
        return Source(f"{folio}:{item}", "no longer known")
    now = state.entry(folio, item)
    newer = now.version if now is not None and now.entry_id != found.entry_id else None
    return Source(found.ref, _what(found), found.committed_at, newer)


def _code(reader: Session, run: RunManifest | None) -> str | None:
    name = None if run is None else run.metadata.get("source_code")
    if not isinstance(name, str):
        return None
    try:
        entry = reader.entry(_CODE_FOLIO, name)
        return bytes(reader.load(entry, as_="bytes")).decode("utf-8", "replace")
    except LakefolioError:
        return None


def _picture(reader: Session, entry: Entry) -> html.Markup | None:
    if entry.kind != "figure" or entry.format not in ("png", "svg") or (entry.size_bytes or 0) > _PICTURE_BYTES:
        return None
    try:
        return html.Markup(reader.load(entry, as_="picture").to_html())
    except LakefolioError:
        return None


def _what(entry: Entry) -> str:
    parts = [entry.kind]
    if entry.row_count is not None:
        parts.append(counted(entry.row_count, "row"))
    if entry.size_bytes is not None:
        parts.append(format_bytes(entry.size_bytes))
    return ", ".join(parts)


def _line(one: Source) -> str:
    parts = [one.ref, one.what, "" if one.committed_at is None else shown_time(one.committed_at)]
    parts.append("" if one.newer is None else f"(newer: @{one.newer})")
    return "  ".join(part for part in parts if part)


def _excerpt(code: str, ref: str) -> list[str]:
    """Return the lines around the first that names the item in quotes, which is where it was added; else the last."""
    lines = code.rstrip().splitlines()
    name = ref.partition(":")[2].rpartition("@")[0]
    named = (number for number, line in enumerate(lines) if f'"{name}"' in line or f"'{name}'" in line)
    end = next(named, len(lines)) + _LINES_AFTER
    end = min(max(end, _SHOWN_LINES), len(lines))
    start = max(end - _SHOWN_LINES, 0)
    before = [f"… {counted(start, 'line')} before"] if start else []
    after = [f"… {counted(len(lines) - end, 'line')} after"] if end < len(lines) else []
    return [*before, *lines[start:end], *after]
