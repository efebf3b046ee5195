"""The provenance of an item: gathered from a lake, shown, written to a file, and verified from that file alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakefolio.errors import InvalidInputError, LocalFileNotFoundError
from lakefolio.model.item_versions import label_of
from lakefolio.process.keywords import explained
from lakefolio.process.local_files import publish
from lakefolio.provenance.envelope import is_envelope, opened, signed
from lakefolio.provenance.statement import (
    Verification,
    canonical,
    check_statement,
    digest_of_node,
    lines_of,
    parse,
    statement_of,
)
from lakefolio.render import html
from lakefolio.render.text import counted

if TYPE_CHECKING:
    from lakefolio.model.entries import Entry
    from lakefolio.session.session import Session

__all__ = ["Provenance", "provenance_of", "verify_provenance"]

_ENTRY: Final = (
    *("entry_id", "version", "commit_id", "author", "message", "reason", "kind", "format", "digest", "blob_digest"),
    *("size_bytes", "row_count", "uri", "description"),
)
_RUN: Final = (
    *("type", "status", "name", "project", "model", "author", "git_commit", "git_dirty", "git_remote", "command"),
    *("environment", "source_code"),
)
"""The facts of a run that say how it was made; params are told too."""
_MOST_BYTES: Final = 256 << 20

Key = tuple[str, str]
"""What a node is of: ``entry`` or ``run``, and its id."""


class Provenance:
    """All that an item was made from, down to its sources; see ``Folio.provenance``. Prints as a tree.

    Attributes:
        ref: The item: ``folio:item@version``.
        root: The SHA-256 that holds all of it, in hex.
        statement: The in-toto statement, a JSON-able dict.
    """

    def __init__(
        self, ref: str, root: str, nodes: Mapping[str, Mapping[str, object]], lake_id: str, version: int
    ) -> None:
        self.ref = ref
        self.root = root
        self.statement = statement_of(lake_id, version, root, nodes)

    def to_dict(self) -> dict[str, Any]:
        """The statement."""
        return self.statement

    @explained
    def save(self, path: str | Path, *, key: str | Path | None = None, overwrite: bool = False) -> Path:
        """Write it to a file that ``verify_provenance`` and ``lakefolio verify`` verify without the lake.

        The file appears when it is complete.

        Args:
            path: The file.
            key: A PEM file with a private Ed25519 key, to sign it with: the file is then a DSSE envelope, else the
                bare in-toto statement.
            overwrite: Replace a file that exists.

        Raises:
            AlreadyExistsError: Something is there already.
            InvalidInputError: kind ``bad-key``.
            StorageError: It can't be written.
        """
        payload = canonical(self.statement)
        text = payload if key is None else json.dumps(signed(payload, key), indent=1).encode()
        target = Path(path).expanduser()
        publish(target, lambda place: place.write_bytes(text + b"\n"), force=overwrite)
        return target

    def __str__(self) -> str:
        return "\n".join(lines_of(self.root, self.statement["predicate"]["nodes"]))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        nodes = self.statement["predicate"]["nodes"]
        title = html.heading("provenance", self.ref, f"{counted(len(nodes), 'node')}, root {self.root[:12]}")
        return html.block(title, html.Markup(html.lines(str(self))))


def provenance_of(session: Session, entry: Entry) -> Provenance:
    """Return all that an entry was made from. The cost grows with that, not with the lake."""
    return _Gathering(session).of(entry)


class _Gathering:
    """The walk from an entry to its sources: a node is made once those of its inputs are."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._state = session.unwatched_committed()
        self._histories: dict[tuple[str, str], dict[str, Entry]] = {}
        self._entries: dict[str, Entry] = {}
        self.nodes: dict[str, dict[str, Any]] = {}
        self._done: dict[Key, str] = {}

    def of(self, entry: Entry) -> Provenance:
        top: Key = ("entry", entry.entry_id)
        self._entries[entry.entry_id] = entry
        stack: list[tuple[Key, list[Mapping[str, Any]] | None]] = [(top, None)]
        open_nodes: set[Key] = set()
        while stack:
            key, edges = stack.pop()
            if edges is None:
                if key in self._done or key in open_nodes:
                    continue
                open_nodes.add(key)
                edges = self._edges(key)
                stack.append((key, edges))
                stack += [(self._key(edge), None) for edge in edges if edge["input_kind"] in ("entry", "run")]
            else:
                self._close(key, edges)
                open_nodes.discard(key)
        root = self._done[top]
        version = self._state.version
        return Provenance(entry.ref, root, self.nodes, self._session.marker.lake_id, version)

    def _key(self, edge: Mapping[str, object]) -> Key:
        return (str(edge["input_kind"]), str(edge["input_id"]))

    def _edges(self, key: Key) -> list[Mapping[str, Any]]:
        kind, one = key
        entry = None if kind == "run" else self._entries.get(one)
        found: list[Mapping[str, Any]] = [] if entry is None else list(entry.inputs)
        if kind == "run":
            found = list(self._session.run_inputs(one))
        for edge in found:
            if edge["input_kind"] == "entry" and edge["input_id"] not in self._entries:
                name = (str(edge["input_folio"]), str(edge["input_item"]))
                if name not in self._histories:
                    self._histories[name] = {each.entry_id: each for each in reversed(self._state.history(*name))}
                if edge["input_id"] in self._histories[name]:
                    self._entries[edge["input_id"]] = self._histories[name][edge["input_id"]]
        return found

    def _close(self, key: Key, edges: list[Mapping[str, Any]]) -> None:
        kind, one = key
        node = self._run(one) if kind == "run" else self._entry(one, edges)
        node["inputs"] = [self._input(edge) for edge in edges]
        digest = digest_of_node(node)
        self.nodes[digest] = node
        self._done[key] = digest

    def _input(self, edge: Mapping[str, object]) -> dict[str, Any]:
        found: dict[str, Any] = {name: edge[name] for name in ("role",) if edge.get(name)}
        if edge["input_kind"] not in ("entry", "run"):
            return {**found, "uri": str(edge["input_uri"] or edge["input_id"]), "digest": edge["input_digest"]}
        key = self._key(edge)
        if key not in self._done:  # it was made of itself: that node can't name its own digest
            return {**found, "again": f"{key[0]} {key[1]}"}
        if edge.get("details"):
            found["details"] = str(edge["details"])
        return {**found, "node": self._done[key]}

    def _entry(self, entry_id: str, edges: list[Mapping[str, Any]]) -> dict[str, Any]:
        entry = self._entries.get(entry_id)
        if entry is None:  # no row of the journal puts it
            return {"type": "entry", "ref": f"entry {entry_id}", "entry_id": entry_id}
        facts = {name: value for name in _ENTRY if (value := getattr(entry, name)) is not None}
        label = label_of(entry.extra)
        facts |= {"version_label": label} if label else {}
        return {"type": "entry", "ref": entry.ref, "committed_at": entry.committed_at.isoformat(), **facts}

    def _run(self, run_id: str) -> dict[str, Any]:
        known = self._state.metadata("run", run_id)
        told = {key: text for key, text in known.items() if key in _RUN or key.startswith("params.")}
        return {"type": "run", "ref": f"run {run_id}", "run_id": run_id, "facts": told}


@explained
def verify_provenance(
    path: str | Path, *, key: str | Path | None = None, content: str | Path | None = None
) -> Verification:
    """Verify a file of provenance. Needs neither the lake nor a network.

    Every entry and run in it must have its digest, all that they name must be there, and nothing else; the subject must
    be the item that they lead to. Whether the lake said so is for the signature to tell: give the key.

    Args:
        path: The file that ``Provenance.save`` wrote.
        key: A PEM file with the public Ed25519 key that must have signed it.
        content: A file that must be the item: its bytes as they are stored, as ``Folio.item_path`` gives them.

    Returns:
        A report: ``ok``, ``problems``, ``signature``, ``subject``, ``sources``. It prints as lines.

    Raises:
        LocalFileNotFoundError: There is no such file.
        InvalidInputError: kind ``bad-provenance``: it is no JSON, or too large; ``bad-key``.
    """
    source = Path(path).expanduser()
    value = parse(_read(source))
    wrong: list[str] = []
    signature = "none"
    if is_envelope(value):
        payload, signature, wrong = opened(value, key)
        value = parse(payload) if payload else None
    elif key is not None:
        wrong = ["it is not signed"]
    found = check_statement(value, signature)
    if content is not None:
        if found.digest is None:
            wrong.append("it names no digest of the item's bytes")
        elif _sha256(Path(content).expanduser()) != found.digest:
            wrong.append(f"the content of {str(content)!r} is not that of the item")
    if not wrong:
        return found
    return Verification(
        found.subject, found.digest, (*wrong, *found.problems), signature, found.sources, found.node_count
    )


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InvalidInputError(f"{str(path)!r} is too large for provenance", kind="bad-provenance")
        return path.read_bytes()
    except OSError as exc:
        raise LocalFileNotFoundError(f"{str(path)!r} can't be read: {exc.strerror}", path=str(path)) from exc


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise LocalFileNotFoundError(f"{str(path)!r} can't be read: {exc.strerror}", path=str(path)) from exc
