"""The provenance of an item as an in-toto statement, whose parts hold each other by their digests (pure: no I/O).

Each entry and each run is a *node*: a JSON object that names its inputs by their nodes, and is named by the SHA-256 of
its own text. So one digest, that of the node of the item, holds all that the item was made from: a file in which
anything of it was changed, left out or added does not verify. The lake and its version lie beside the nodes: only a
signature says that they are true. Source: in-toto Statement v1; docs/provenance.md.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lakefolio.errors import InvalidInputError
from lakefolio.format.names import is_id
from lakefolio.render.text import counted
from lakefolio.terminal import visible

__all__ = [
    "PREDICATE",
    "STATEMENT",
    "Verification",
    "canonical",
    "check_statement",
    "digest_of_node",
    "lines_of",
    "parse",
    "statement_of",
]

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "urn:lakefolio:provenance:1"
_STATEMENT_KEYS: Final = frozenset({"_type", "subject", "predicateType", "predicate"})
_PREDICATE_KEYS: Final = frozenset({"lake_id", "lake_version", "root", "nodes"})
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_SHOWN: Final = 200

Node = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether a file of provenance is whole; prints as lines.

    Attributes:
        subject: The item: ``folio:item@version``; empty if the file does not say it.
        digest: The SHA-256 of its stored bytes in hex, None if it is not known.
        problems: What is wrong; nothing if all of it holds.
        signature: ``valid``, ``none``, ``unchecked`` where no key was given, or ``wrong``: not by the key given.
        sources: The inputs that nothing in the file was made into: references and addresses.
        node_count: How many entries and runs it names.
    """

    subject: str
    digest: str | None
    problems: tuple[str, ...]
    signature: str
    sources: tuple[str, ...] = field(default=())
    node_count: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON-able values."""
        named = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {"ok": self.ok, **named, "problems": list(self.problems), "sources": list(self.sources)}

    def __str__(self) -> str:
        head = f"{self.subject or 'provenance'}: {'verified' if self.ok else 'NOT verified'}"
        signed = {
            "valid": "signed by the key given",
            "none": "none: nothing says whose these digests are",
            "unchecked": "signed, but no key was given to check it with",
            "wrong": "signed, but not by the key given, or not like this",
        }[self.signature]
        lines = [head, *(f"  {one}" for one in self.problems)]
        lines += [
            f"  signature: {signed}",
            f"  made of {counted(len(self.sources), 'source')}, {counted(self.node_count, 'node')} in all",
        ]
        return "\n".join(visible(one, keep="") for one in lines)


def canonical(value: object) -> bytes:
    """Return a JSON value as the bytes that its digest is of: keys sorted, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_of_node(node: Node) -> str:
    """Return the name of a node: the SHA-256 of its text, in hex."""
    return hashlib.sha256(canonical(node)).hexdigest()


def statement_of(lake_id: str, lake_version: int, root: str, nodes: Mapping[str, Node]) -> dict[str, Any]:
    """Return the statement about the item of a node.

    Args:
        lake_id: The lake.
        lake_version: The version it was read at.
        root: The node of the item.
        nodes: All nodes, by their digests.
    """
    predicate = {"lake_id": lake_id, "lake_version": lake_version, "root": root, "nodes": dict(nodes)}
    return {
        "_type": STATEMENT,
        "subject": [_subject(root, nodes[root])],
        "predicateType": PREDICATE,
        "predicate": predicate,
    }


def _subject(root: str, node: Node) -> dict[str, Any]:
    digest = {"lakefolioNode": root}
    bare = str(node.get("blob_digest") or "").removeprefix("sha256:")
    return {"name": node["ref"], "digest": {"sha256": bare, **digest} if _HEX.fullmatch(bare) else digest}


def check_statement(statement: object, signature: str) -> Verification:
    """Verify a statement: every node has its digest, all that it names is there, and the subject is the root's.

    Args:
        statement: The JSON value; not trusted.
        signature: What is known of the signature, to be told with the result.
    """
    problems: list[str] = []
    if not isinstance(statement, dict) or statement.get("_type") != STATEMENT:
        return Verification("", None, ("it is no in-toto statement",), signature)
    predicate = statement.get("predicate")
    if statement.get("predicateType") != PREDICATE or not isinstance(predicate, dict):
        return Verification("", None, (f"its predicate is not {PREDICATE}",), signature)
    nodes, root = predicate.get("nodes"), predicate.get("root")
    if not isinstance(nodes, dict) or not isinstance(root, str) or not isinstance(nodes.get(root), dict):
        return Verification("", None, ("it has no node of the item",), signature)
    seen: dict[str, None] = {}
    waiting = [root]
    sources: dict[str, None] = {}
    while waiting:
        key = waiting.pop()
        if key in seen:
            continue
        seen[key] = None
        node = nodes.get(key)
        if not isinstance(node, dict):
            problems.append(f"node {key[:12]} is not there")
            continue
        try:
            same = digest_of_node(node) == key
        except (TypeError, ValueError, RecursionError):
            same = False
        if not same:
            problems.append(f"{_name(node)} was changed: its digest is not {key[:12]}…")
        inputs = list(_inputs(node))
        waiting += [one["node"] for one in inputs if isinstance(one.get("node"), str)]
        sources |= {str(one["uri"]): None for one in inputs if isinstance(one.get("uri"), str)}
        if not inputs and key != root and node.get("type") == "entry":
            sources[_name(node)] = None
    problems += [f"{_name(nodes[key])} belongs to nothing" for key in nodes if key not in seen]
    try:
        subject = _subject(root, nodes[root])
    except (KeyError, TypeError):
        subject = {"name": "", "digest": {}}
    if statement.get("subject") != [subject]:
        problems.append("its subject is not the item that the nodes tell of")
    for holder, keys in ((statement, _STATEMENT_KEYS), (predicate, _PREDICATE_KEYS)):
        problems += [f"its key {str(key)[:_SHOWN]!r} is none of a statement" for key in sorted(holder.keys() - keys)]
        problems += [f"its key {key!r} is missing" for key in sorted(keys - holder.keys())]
    problems += _of_no_lake(predicate, [nodes[key] for key in seen if isinstance(nodes.get(key), dict)])
    found = subject["digest"].get("sha256")
    return Verification(str(subject["name"]), found, tuple(problems), signature, tuple(sorted(sources)), len(seen))


def _of_no_lake(predicate: Mapping[str, object], nodes: Iterable[Node]) -> Iterator[str]:
    """Give what is wrong with the lake that a predicate names, and with the version of it that was read."""
    lake_id, version = predicate.get("lake_id"), predicate.get("lake_version")
    if "lake_id" in predicate and not (isinstance(lake_id, str) and is_id(lake_id)):
        yield "its lake_id is the id of no lake"
    newest = max((one["version"] for one in nodes if type(one.get("version")) is int), default=0)
    if "lake_version" in predicate and (type(version) is not int or version < newest):
        yield f"its lake_version is not from {newest} on, as what it tells of"


def _inputs(node: Node) -> Iterator[Mapping[str, Any]]:
    inputs = node.get("inputs")
    for one in inputs if isinstance(inputs, list) else ():
        if isinstance(one, dict):
            yield one


def _name(node: object) -> str:
    found = node.get("ref") if isinstance(node, dict) else None
    return str(found)[:_SHOWN] if found else "a node"


def lines_of(root: str, nodes: Mapping[str, Node]) -> list[str]:
    """Return the chain as an indented tree, a node that was shown above without what it was made from."""
    lines: list[str] = []
    shown: set[str] = set()
    stack: list[tuple[Mapping[str, Any], int]] = [({"node": root}, 0)]
    while stack and len(lines) < _SHOWN:
        one, depth = stack.pop()
        key = one.get("node")
        if key is None:
            lines.append(f"{'  ' * depth}{one.get('uri') or one.get('again')}")
            continue
        node = nodes[key]
        digest = str(node.get("digest") or "").removeprefix("sha256:")[:12]
        words = [str(node["ref"]), str(node.get("kind") or node["type"]), digest, str(node.get("author") or "")]
        lines.append(
            "  " * depth + "  ".join(word for word in words if word) + ("  (see above)" if key in shown else "")
        )
        if key not in shown:
            shown.add(key)
            stack += [(each, depth + 1) for each in reversed(list(_inputs(node)))]
    return [visible(line, keep="") for line in lines] + ([f"… {len(nodes):,} nodes in all"] if stack else [])


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; ValueError if it has a key twice: another program would read the other value."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"a key is there twice, of {', '.join(found)[:30]}")
    return found


def parse(text: bytes) -> Any:
    """Return a JSON value of untrusted bytes; InvalidInputError (kind ``bad-provenance``) if it is none."""
    try:
        return json.loads(text.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError) as exc:
        raise InvalidInputError(
            f"it is no JSON: {str(exc)[:60]}", kind="bad-provenance", hint="give a file that lakefolio provenance wrote"
        ) from exc
