"""A page that needs no server: one HTML file that holds scripts, styles and the answers to what may be asked of it.

The file loads nothing, from nowhere: its Content-Security-Policy names its own scripts and styles by their digests, so
that nothing that comes from a lake can be one. Answers lie in a data block, which no browser runs, with ``<`` escaped.
A large lake is frozen in part: the newest runs and items, and what was left out is said in the page and in the report.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import LakefolioError
from lakefolio.pages.answers import Answers
from lakefolio.pages.server import STATIC
from lakefolio.pages.values import plain
from lakefolio.process.keywords import explained
from lakefolio.redaction import scrub
from lakefolio.render.text import counted

if TYPE_CHECKING:
    from lakefolio.lake import Lake

__all__ = ["Frozen", "freeze"]

RUNS: Final = 200
ITEMS: Final = 300
BYTES: Final = 64 * 2**20
_WIDTH: Final = "500"
_SCRIPTS: Final = (
    *("vendor/htm-preact.js", "vendor/uplot.js"),
    *(
        "core.js",
        "frozen.js",
        "table.js",
        "plots.js",
        "runs.js",
        "items.js",
        "lineage.js",
        "history.js",
        "inside.js",
        "models.js",
        "app.js",
    ),
)
_STYLES: Final = ("vendor/uplot.css", "style.css")


@dataclass(frozen=True, slots=True)
class Frozen:
    """A page as one file.

    Attributes:
        html: The whole file.
        version: The version of the lake that it shows.
        runs: How many runs are in it with all that is recorded of them.
        items: How many items are in it with preview, history and lineage.
        left_out: What is not in it, for people; empty if it is all.
    """

    html: bytes
    version: int
    runs: int
    items: int
    left_out: str

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the page, as JSON-able values."""
        return {
            "version": self.version,
            "runs": self.runs,
            "items": self.items,
            "left_out": self.left_out,
            "bytes": len(self.html),
        }


@explained
def freeze(lake: Lake, *, progress: Callable[[str], Any] | None = None) -> Frozen:
    """Return the page of a lake at its version, as one file that opens from a disk.

    The tables of runs and items are whole up to the limits of the page. The newest 200 runs come with everything
    recorded of them and their curves, and 300 items with preview, history and lineage, up to 64 MiB of answers. What
    can't be read is in the page as the error that it is.

    Args:
        lake: The lake; to freeze the past, ``lake.at(…)``.
        progress: Takes what is being done right now.

    Raises:
        LakefolioError: The lake can't be read.
    """
    tell = progress or (lambda _: None)
    version = lake.version
    answers = Answers(lake.at(version))
    kept = _Kept(answers)
    for question in ("lake", "when", "runs", "items", "storage", "log", "models"):
        tell(f"freezing {question}")
        kept.keep(question, must=True)
    for of in ("min", "max", "best"):
        kept.keep("measures", must=True, of=of)
    runs = _column(kept.found["runs?"], "run_id")
    some_runs = runs[:RUNS]
    for number, run_id in enumerate(some_runs):
        tell(f"freezing run {number + 1:,} of {len(some_runs):,}")
        kept.keep("run", id=run_id)
        kept.keep("curves", runs=run_id, width=_WIDTH)
        kept.keep("curves", runs=run_id, width=_WIDTH, x="time")
    kept.keep("items", must=True, all="1")
    items = kept.found["items?all=1"]
    refs = [f"{folio}:{item}" for folio, item in zip(_column(items, "folio"), _column(items, "item"), strict=True)]
    done = 0
    for number, ref in enumerate(refs[:ITEMS]):
        if kept.size > BYTES:
            break
        tell(f"freezing item {number + 1:,} of {min(len(refs), ITEMS):,}")
        exact = kept.keep("item", ref=ref).get("ref", ref)
        for name in {ref, exact}:
            kept.same("item", ref, name)
            kept.keep("around", ref=name)
            kept.keep("lineage", ref=name)
        kept.keep("preview", ref=exact)
        done += 1
    for commit in kept.found["log?"]["commits"]:
        kept.keep("diff", a=str(commit["version"] - 1), b=str(commit["version"]))
    for snapshot in kept.found["lake?"]["snapshots"]:
        kept.keep("diff", a=str(snapshot["version"]), folio=snapshot["folio"] or "")
    left_out = _left_out(kept.found["runs?"]["total"], len(some_runs), items["total"], done)
    data = {"answers": kept.found, "version": version, "made_at": datetime.now(UTC).isoformat(), "left_out": left_out}
    return Frozen(_page(lake.uri, data), version, len(some_runs), done, left_out)


class _Kept:
    """The answers of a frozen page, under the question as the page asks it."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.found: dict[str, Any] = {}
        self.size = 0

    def keep(self, question: str, *, must: bool = False, **asked: str) -> Any:
        """Answer a question once; an error of the lake is the answer, unless there ``must`` be another."""
        key = _key(question, asked)
        if key not in self.found:
            try:
                self.found[key] = plain(self._answers.answer(question, asked))
            except LakefolioError as exc:
                if must:
                    raise
                self.found[key] = {
                    "error": {"kind": exc.kind, "message": scrub(exc.message), "hint": exc.hint and scrub(exc.hint)}
                }
            self.size += len(json.dumps(self.found[key]))
        return self.found[key]

    def same(self, question: str, ref: str, other: str) -> None:
        """Keep the answer about one reference for another that names the same."""
        self.found[_key(question, {"ref": other})] = self.found[_key(question, {"ref": ref})]


def _key(question: str, asked: Mapping[str, str]) -> str:
    """Return a question as ``core.js`` writes it."""
    return f"{question}?" + "&".join(f"{name}={asked[name]}" for name in sorted(asked) if asked[name] != "")


def _column(data: Mapping[str, Any], name: str) -> list[Any]:
    found: list[Any] = next((one["values"] for one in data["columns"] if one["name"] == name), [])
    return found


def _left_out(runs: int, runs_in: int, items: int, items_in: int) -> str:
    parts = []
    if runs_in < runs:
        parts.append(f"details of {counted(runs_in, 'run')} of {runs:,}")
    if items_in < items:
        parts.append(f"previews of {counted(items_in, 'item')} of {items:,}")
    return f"It holds {' and '.join(parts)}." if parts else ""


def _page(uri: str, data: Mapping[str, object]) -> bytes:
    scripts = [(STATIC / name).read_text(encoding="utf-8") for name in _SCRIPTS]
    styles = [(STATIC / name).read_text(encoding="utf-8") for name in _STYLES]
    policy = (
        f"default-src 'none'; img-src data:; script-src {' '.join(map(_digest, scripts))}; "
        f"style-src {' '.join(map(_digest, styles))}; base-uri 'none'; form-action 'none'"
    )
    block = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">',
            "<title>lakefolio</title>",
            *(f"<style>{one}</style>" for one in styles),
            '</head><body><div id="app"><noscript>This page needs JavaScript.</noscript></div>',
            f'<script type="application/json" id="frozen">{block}</script>',
            *(f"<script>{one}</script>" for one in scripts),
            "</body></html>\n",
        ]
    ).encode()


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
