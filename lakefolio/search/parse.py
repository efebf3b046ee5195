"""The language of search: words, phrases, fields, negation, AND and OR, prefixes (pure: no I/O).

::

    late flights            either word; both rank higher
    "late flights"          the words one after the other
    +airport -draft         must be there, must not (also NOT draft)
    late AND (fog OR snow)
    fli*                    words that begin so
    tag:clean  kind:table  metadata.owner:"ada l"

A word without a field is looked for everywhere. A word with a field, a ``+`` or quotes must be there, and at least one
of the plain words. Signs that stand alone between words, as in *fog & snow*, are passed over. A query that can't be
read so is one error, which says why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lakefolio.errors import InvalidInputError, nearest
from lakefolio.redaction import scrub
from lakefolio.search.words import tokens

__all__ = ["FIELDS", "All", "AnyOf", "Bag", "Node", "Not", "Term", "parse", "terms"]

FIELDS: Final = (
    "name",
    "folio",
    "kind",
    "tag",
    "description",
    "column",
    "metadata",
    "author",
    "content",
    "param",
    "error",
    "project",
    "model",
    "status",
)
"""The names that may stand before a colon; ``metadata.<key>`` too."""

_LIMIT: Final = 1000
_DEPTH: Final = 30
_PIECE: Final = re.compile(
    r"\s*(?:(?P<open>\()|(?P<close>\))|(?P<sign>[+-])(?=[^\s)])|"
    r'(?:(?P<field>[A-Za-z_][\w.\-]*):(?=\S))?(?:"(?P<phrase>[^"]*)(?P<end>"?)|(?P<word>[^\s()":]+)))'
)


@dataclass(frozen=True)
class Term:
    """Tokens one after the other.

    Attributes:
        text: As it was written.
        tokens: At least one.
        field: Where; None for everywhere.
        key: The key of metadata, if one is named.
        prefix: Whether the last token may go on.
        exact: Whether it stood in quotes: no other word is taken for it.
    """

    text: str
    tokens: tuple[str, ...]
    field: str | None = None
    key: str | None = None
    prefix: bool = False
    exact: bool = False


@dataclass(frozen=True)
class Not:
    """A node that must not match."""

    node: Node


@dataclass(frozen=True)
class All:
    """Nodes that must all match."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class AnyOf:
    """Nodes of which at least one must match."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Bag:
    """Plain words, of which at least one must match."""

    nodes: tuple[Term, ...]


Node = Term | Not | All | AnyOf | Bag


def parse(query: object) -> Node | None:
    """Return the tree of a query; None for an empty one, which everything matches.

    Raises:
        InvalidInputError: kind ``bad-search``; or ``unknown-field``, the hint names the nearest.
    """
    if not isinstance(query, str):
        raise InvalidInputError(f"a search is a text, got {type(query).__name__}", kind="bad-search")
    if len(query) > _LIMIT:
        raise _bad(query, f"it has {len(query):,} characters, more than {_LIMIT:,}")
    parser = _Parser(query)
    found = parser.either(0)
    if parser.place < len(parser.pieces):
        raise _bad(query, "a closing parenthesis has none that opens it", "quote a text with a parenthesis in it")
    return found


def terms(node: Node | None) -> Iterator[Term]:
    """Give the terms of a tree, those that must not match too."""
    match node:
        case Term():
            yield node
        case Not():
            yield from terms(node.node)
        case All() | AnyOf() | Bag():
            for one in node.nodes:
                yield from terms(one)


def _bad(query: str, why: str, hint: str | None = None) -> InvalidInputError:
    query = query[: _LIMIT + 1]
    if scrub(query) != query:
        query, why = scrub(query), "it holds what seems to be a secret, and no query that can be read"
    shown = query if len(query) <= 60 else query[:59] + "…"
    return InvalidInputError(f"search {shown!r} can't be read: {why}", kind="bad-search", hint=hint, query=query)


def _is_sign(piece: re.Match[str]) -> bool:
    """Say whether a piece of a query is a plain word without a letter or digit."""
    word = piece["word"]
    return word is not None and piece["field"] is None and "*" not in word and not tokens(word)


class _Parser:
    def __init__(self, query: str) -> None:
        self.query = query
        self.pieces: list[re.Match[str]] = []
        self.place = 0
        at = 0
        while query[at:].strip():
            piece = _PIECE.match(query, at)
            if piece is None or piece.end() == at:
                rest = query[at:].strip()
                raise _bad(query, f"{rest[:20]!r} is no word", "quote a text with a colon or a sign in it")
            if piece["phrase"] is not None and not piece["end"]:
                raise _bad(query, "a quote is not closed")
            if not _is_sign(piece) or (self.pieces and self.pieces[-1]["sign"]) or not tokens(query):
                self.pieces.append(piece)
            at = piece.end()

    def _next(self) -> re.Match[str] | None:
        return self.pieces[self.place] if self.place < len(self.pieces) else None

    def _take(self, word: str) -> bool:
        piece = self._next()
        if piece is None or piece["word"] != word or piece["field"] is not None:
            return False
        self.place += 1
        return True

    def either(self, depth: int) -> Node | None:
        if depth > _DEPTH:
            raise _bad(self.query, f"its parentheses are nested more than {_DEPTH} deep")
        parts = [self._both(depth)]
        while self._take("OR"):
            parts.append(self._both(depth))
        if len(parts) > 1 and None in parts:
            raise _bad(self.query, "OR stands between two words", 'quote it to look for the word: "OR"')
        found = [one for one in parts if one is not None]
        return found[0] if len(found) == 1 else AnyOf(tuple(found)) if found else None

    def _both(self, depth: int) -> Node | None:
        words: list[Term] = []
        must: list[Node] = []
        joined = False
        while (piece := self._next()) is not None and piece["close"] is None:
            if piece["word"] == "OR" and piece["field"] is None:
                break
            if self._take("AND"):
                if joined or not (words or must):
                    raise _bad(self.query, "AND stands between two words", 'quote it to look for the word: "AND"')
                joined = True
                if words:
                    must.append(words.pop())
                continue
            node, required = self._one(depth)
            if joined or required or not isinstance(node, Term):
                must.append(node)
            else:
                words.append(node)
            joined = False
        if joined:
            raise _bad(self.query, "nothing stands after AND", 'quote it to look for the word: "AND"')
        if words and not any(not isinstance(one, Not) for one in must):
            must.append(words[0] if len(words) == 1 else Bag(tuple(words)))
        elif words:
            must.append(Bag(tuple(words)))
        return None if not must else must[0] if len(must) == 1 else All(tuple(must))

    def _one(self, depth: int) -> tuple[Node, bool]:
        """Return the next thing, and whether it must be there."""
        piece = self._next()
        if piece is None or piece["close"] is not None:
            raise _bad(self.query, "nothing stands where a word is expected")
        if self._take("NOT") or piece["sign"] == "-":
            self.place += piece["sign"] is not None
            return Not(self._one(depth + 1)[0]) if depth <= _DEPTH else self._too_deep(), True
        self.place += 1
        if piece["sign"] == "+":
            return self._one(depth + 1)[0], True
        if piece["open"] is not None:
            inner = self.either(depth + 1)
            closing = self._next()
            if closing is None or closing["close"] is None:
                raise _bad(self.query, "a parenthesis is not closed")
            if inner is None:
                raise _bad(self.query, "nothing stands in a pair of parentheses")
            self.place += 1
            return inner, True
        return self._term(piece)

    def _too_deep(self) -> Node:
        raise _bad(self.query, f"it negates more than {_DEPTH} times")

    def _term(self, piece: re.Match[str]) -> tuple[Node, bool]:
        field, _, key = (piece["field"] or "").partition(".")
        if field and (field not in FIELDS or (key and field != "metadata")):
            raise InvalidInputError(
                f"search {self.query!r} names the field {piece['field']!r}, which does not exist",
                kind="unknown-field",
                hint=f'{nearest(field, FIELDS)}; to look for the text, quote it: "{piece[0].strip()}"',
                field=field,
            )
        text = piece["phrase"] if piece["phrase"] is not None else piece["word"]
        prefix = piece["word"] is not None and text.endswith("*")
        if piece["word"] is not None and "*" in text[:-1].rstrip("*"):
            raise _bad(self.query, f"{text!r} has a * that is not at its end", "quote it to look for the text")
        found = tuple(tokens(text))
        if not found:
            raise _bad(self.query, f"{text!r} has no letter or digit to look for")
        term = Term(text, found, field or None, key or None, prefix, piece["phrase"] is not None)
        return term, bool(field) or term.exact
