"""The result of a search: hits, best first, and facets; as text, as HTML, as a frame (pure: no I/O)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lakefolio.errors import IntegrityError, LakefolioError, NotFoundError
from lakefolio.render import html
from lakefolio.render.report import AsFrames, AsText, Listing
from lakefolio.render.text import counted
from lakefolio.search.facets import FACETS
from lakefolio.terminal import visible

if TYPE_CHECKING:
    import pyarrow as pa

    from lakefolio.search.document import Label

__all__ = ["Details", "Found", "Highlight", "Hit", "SearchResult"]

_FACETS_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Highlight:
    """A piece of a text that was found.

    Attributes:
        field: Where: ``description``, ``column``, …
        text: The piece.
        spans: Where in it each word begins and ends.
    """

    field: str
    text: str
    spans: tuple[tuple[int, int], ...]

    def marked(self, before: str = "[", after: str = "]") -> str:
        """Return the piece with the words between marks."""
        parts, at = [], 0
        for start, end in self.spans:
            parts += [self.text[at:start], before, self.text[start:end], after]
            at = end
        return "".join([*parts, self.text[at:]])


class Found(NamedTuple):
    """What the texts of a hit say.

    Attributes:
        description: Its description.
        highlights: Where in them it was found.
    """

    description: str | None
    highlights: tuple[Highlight, ...]


class Details:
    """What the texts of hits say: read of all when it is first asked for. Safe to share between threads."""

    def __init__(self, read: Callable[[], Mapping[str, Found]]) -> None:
        """Take what reads it, by reference."""
        self._read = read

    @cached_property
    def known(self) -> Mapping[str, Found]:
        """Reference -> what its texts say."""
        return self._read()

    def __getstate__(self) -> dict[str, Any]:
        return {"known": self.known}  # read by now: nothing that is read from goes along


class Hit:
    """An item or a run that was found.

    In a large lake, whose index is read in parts, its description and highlights are read, for all hits of a search
    together, when they are first asked for. All else is known at once.

    Attributes:
        ref: ``folio:name@version``, or the id of the run.
        type: ``item`` or ``run``.
        name: The name of the item or run.
        folio: The folio of an item, the project of a run.
        kind: The kind of an item; ``run``.
        status: The status of a run.
        score: BM25; hits by name stand above all others whatever theirs is.
        why: Why it was found: its words, as they are searched, and the fields that they stand in.
    """

    def __init__(self, label: Label, score: float, why: str, details: Details | None = None) -> None:
        self.ref, self.type, self.name, self.folio, self.kind, self.status = label
        self.score = score
        self.why = why
        self._label = label
        self._details = details

    def with_details(self, details: Details) -> Hit:
        """Return it with what its texts say."""
        return Hit(self._label, self.score, self.why, details)

    @property
    def _found(self) -> Found:
        return self._details.known[self.ref] if self._details is not None else Found(None, ())

    @property
    def description(self) -> str | None:
        """Its description."""
        return self._found.description

    @property
    def highlights(self) -> tuple[Highlight, ...]:
        """Where in its texts it was found."""
        return self._found.highlights

    def __repr__(self) -> str:
        return f"<Hit {self.ref} {self.score:.2f}: {self.why}>"

    def to_dict(self) -> dict[str, Any]:
        """The hit as JSON-able values."""
        names = ("type", "ref", "name", "folio", "kind", "status", "description", "score", "why")
        shown = [
            {"field": one.field, "text": one.text, "spans": [list(span) for span in one.spans]}
            for one in self.highlights
        ]
        return {name: getattr(self, name) for name in names} | {"highlights": shown}


class SearchResult(AsFrames, AsText, Listing[Hit]):
    """The hits of a search, best first; see ``Lake.search``.

    Of a large lake in a bucket what is printed needs no texts: each is a request of its own. Nor has it the facets that
    more than a megabyte would be read for. ``highlights`` and ``facets`` have all of them.

    Attributes:
        query: The query as it was given.
        version: The lake version that was searched.
        total: The number of all that match; the hits are the best ``limit`` of them.
        facets: ``type``, ``kind``, ``folio``, ``tag``, ``author`` -> value -> number of all that match, largest first;
            the first 100 values.
        search_id: The id of the event that records the search, if searches are recorded.
    """

    def __init__(
        self,
        query: str,
        version: int,
        total: int,
        hits: Sequence[Hit],
        details: Callable[[], Mapping[str, Found]],
        facets: Callable[[Sequence[str]], Mapping[str, Mapping[str, int]]],
        *,
        printed: tuple[str, ...] = FACETS,
        is_near: bool = True,
    ) -> None:
        """Take what was found.

        Args:
            query: The query.
            version: The version of the lake.
            total: How many match.
            hits: The hits.
            details: Reads their texts, when it is first asked for.
            facets: Counts all that match by some facets, when it is first asked for.
            printed: The facets that are printed.
            is_near: Whether texts are read from this computer, so that they are printed.
        """
        self.query = query
        self.version = version
        self.total = total
        self._facets = facets
        self._details = Details(details)
        self.search_id: str | None = None
        super().__init__(one.with_details(self._details) for one in hits)
        self._printed = printed
        self._is_near = is_near

    @cached_property
    def facets(self) -> dict[str, dict[str, int]]:
        """Facet -> value -> number of all that match; counted when it is first asked for."""
        return {name: dict(values) for name, values in self._facets(FACETS).items()}

    @cached_property
    def _printed_facets(self) -> Mapping[str, Mapping[str, int]]:
        return self.facets if "facets" in vars(self) or self._printed == FACETS else self._facets(self._printed)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"facets": self.facets, "_facets": None}

    def or_else(self, instead: Callable[[LakefolioError], SearchResult]) -> SearchResult:
        """Return the same result, of which what can't be read later is taken of another one of the same search.

        Args:
            instead: Gives it, or raises the error that it is given.
        """

        def details() -> Mapping[str, Found]:
            try:
                return self._details.known
            except (IntegrityError, NotFoundError) as exc:
                return instead(exc)._details.known

        def facets(names: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
            try:
                return self._facets(names)
            except (IntegrityError, NotFoundError) as exc:
                return instead(exc)._facets(names)

        return SearchResult(
            self.query,
            self.version,
            self.total,
            self._found,
            details,
            facets,
            printed=self._printed,
            is_near=self._is_near,
        )

    @property
    def refs(self) -> list[str]:
        """The references of the hits: ``folio:name@version``, or the id of a run."""
        return [one.ref for one in self._found]

    def to_dict(self) -> dict[str, Any]:
        """The whole as JSON-able values."""
        return {
            "query": self.query,
            "version": self.version,
            "total": self.total,
            "hits": [one.to_dict() for one in self._found],
            "facets": self.facets,
        }

    def to_arrow(self) -> pa.Table:
        """Return the hits as a pyarrow table.

        Columns: type, ref, name, folio, kind, description (string), score (double), why (string). Grain: one row per
        hit, best first.
        """
        import pyarrow as pa

        names = ("type", "ref", "name", "folio", "kind", "description", "score", "why")
        fields = [(name, pa.float64() if name == "score" else pa.string()) for name in names]
        rows = [{name: getattr(one, name) for name in names} for one in self._found]
        return pa.Table.from_pylist(rows, schema=pa.schema(fields))

    def __str__(self) -> str:
        lines = [self._title()]
        for one in self._found:
            name = one.ref if one.type == "item" else f"run {one.name} ({one.ref})"
            lines.append(f"  {name}  {one.kind or ''}  {one.why}")
            marks = one.highlights[:2] if self._is_near else ()
            lines += [f"      {mark.field}: {' '.join(mark.marked().split())}" for mark in marks]
        for name, values in self._printed_facets.items():
            if len(values) > 1:
                shown = ", ".join(f"{value} {count:,}" for value, count in list(values.items())[:_FACETS_SHOWN])
                lines.append(f"{name}: {shown}" + (", …" if len(values) > _FACETS_SHOWN else ""))
        return visible("\n".join(lines))

    def _repr_html_(self) -> str:
        names = ("ref", "kind", "why", *(("description",) if self._is_near else ()))
        rows = [tuple(getattr(one, name) for name in names) for one in self._found]
        return html.block(html.muted(self._title()), html.row_table(("found", *names[1:]), rows))

    def _title(self) -> str:
        if not self.total:
            return f"nothing found for {self.query!r}"
        more = "" if self.total == len(self) else f", the best {len(self)}"
        return f"{counted(self.total, 'hit')} for {self.query!r}{more}"
