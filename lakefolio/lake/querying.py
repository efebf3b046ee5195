"""Finding items by their facts, walking and comparing runs, and keeping datasets.

Longer than most modules: each method states its whole signature and guarantees, for ``help()``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from lakefolio import items
from lakefolio.errors import InvalidInputError
from lakefolio.runs.liveness import settled
from lakefolio.terminal import shown_value

if TYPE_CHECKING:
    from lakefolio.lake.lake import Lake
    from lakefolio.model.resolve import At
    from lakefolio.query.browse import Folder
    from lakefolio.query.conditions import Condition
    from lakefolio.query.dataset import Dataset, Datasets
    from lakefolio.query.result import QueryResult
    from lakefolio.runs.compare import Comparison
    from lakefolio.search.log import SearchLog
    from lakefolio.search.result import SearchResult
    from lakefolio.status.report import Status

__all__ = [
    "browse",
    "choose",
    "compare",
    "create_dataset",
    "datasets",
    "get_dataset",
    "query",
    "search",
    "searches",
    "similar",
    "status",
    "views",
]

Time = str | date | datetime | None
_ROWS_AT_ONCE: Final = 10_000


def query(
    lake: Lake,
    /,
    *conditions: Condition,
    where: str | None = None,
    between: tuple[Time, Time] | None = None,
    order_by: str | Iterable[str] = (),
    limit: int | None = None,
    offset: int = 0,
    **fields: object,
) -> QueryResult:
    """Find live items by their facts; all conditions must hold.

    >>> lake.query(type="table", tag=["raw", "clean"], metadata={"quality_score": (">=", 0.9)},)
    >>> lake.query(any_of(Q(folio="a"), Q(tag=not_("draft"))), where="row_count > 2 * size_bytes", limit=10)

    A field is given a value to equal, a pair of an operator and a value (``= != < <= > >= in``, ``not in``,
    ``between like startswith contains exists``), a list of which one must equal it, or ``any_of``, ``all_of``,
    ``not_`` of such. Where a field has no value, every comparison is false. ``{">=": 0.5, "<": 0.9}`` asks for
    both. A date, or a text such as ``2026-11-25``, is the whole day, in the local zone if it names none. Numbers
    are compared exactly, by their digits, also across types. A text never equals a number: of
    ``metadata={"fold": "3"}`` that finds nothing where items have the number 3 a warning says so, as one does of a
    key, folio, kind or tag that no item has where another is called nearly so.

    Args:
        *conditions: ``Q(field=…)``, and ``any_of``, ``all_of``, ``not_`` of them.
        where: One SQL expression over the columns of the view ``items``, ``name``, ``type``, ``created_at`` and
            ``metadata`` (JSON: ``(metadata ->> 'key')::double > 1``). It can only read.
        between: From when to when the entries were committed, both included; None leaves an end open.
        order_by: Fields, including ``metadata.<key>``; prefix ``-`` for descending order. Ties go by folio and name.
        limit: Maximum number of results.
        offset: Number of results to skip.
        **fields: ``folio``, ``name``, ``type`` (the kind, or the metadata's ``type``), ``kind``,
            ``tag``, ``source`` (metadata ``source`` or ``source_id``, a reference's address, or an input:
            ``folio:name``, ``folio:name@version`` or a URI), ``metadata`` (a dict of such values; ``a.b`` is also
            ``b`` in ``a``, and a dict within asks for each of its values, whatever else is there), ``author``, ``run``,
            ``fields`` (a dict likewise: the fields of names by the pattern of their folio, ``Folio.set_naming``, as
            they stand in the name), ``description``, ``version``, ``created_at``, ``size_bytes``, ``row_count``,
            ``format``, ``media_type``, ``storage``, ``digest``, ``entry_id``, ``archived`` (False unless it is given;
            None for both).

    Returns:
        The entries, of one version of the lake; members of datasets only if ``folio`` asks for ``datasets/…``,
        the code and environments of runs only if something is asked of ``folio``.
        ``to_polars()``, ``to_pandas()``, ``to_arrow()`` give one row of facts per item, ``content.to_polars()`` and so
        on the rows of the tables among them.

    Raises:
        InvalidInputError: kind ``bad-query`` for a field, operator or value there can't be; ``sql`` for a ``where``
            that is not one reading expression; ``bad-time``.
    """
    from lakefolio.format.json_scalars import plain_scalar
    from lakefolio.format.names import RECORD_FOLIOS
    from lakefolio.query.comparisons import period
    from lakefolio.query.compiler import Compiler
    from lakefolio.query.conditions import Q, any_of, bad_query, names_folio, not_
    from lakefolio.query.dataset import PREFIX
    from lakefolio.query.near_misses import tell_near_misses, tell_unknown_keys, tell_unknown_words
    from lakefolio.query.result import QueryResult
    from lakefolio.views.kept_rows import kept
    from lakefolio.views.sql_guard import about_where, check_expression

    fields.setdefault("archived", False)
    if fields["archived"] is None:
        del fields["archived"]
    asked = Compiler()
    asked.add(Q(**fields))
    for condition in conditions:
        asked.add(condition)
    if between is not None:
        if not isinstance(between, tuple | list) or len(between) != 2:
            raise bad_query(f"between={shown_value(between)} is not two times", "write between=(start, None)")
        start, end = between
        asked.add(Q(**{} if start is None else {"created_at": (">=", start)}))
        asked.add(Q(**{} if end is None else {"created_at": ("<=", end)}))
        if start is not None and end is not None:
            first, last = (period(plain_scalar(one) or one) for one in (start, end))
            if first[0] > last[1]:
                raise bad_query(f"between={shown_value(between)} ends before it begins", "write the earlier time first")
    written = where if isinstance(where, str) else ""
    if not names_folio("datasets", fields, conditions) and PREFIX not in written:
        asked.add(Q(folio=not_(("startswith", PREFIX))))
    if not names_folio("", fields, conditions) and "folio" not in written:
        asked.add(Q(folio=not_(any_of(*RECORD_FOLIOS))))
    if where is not None:
        asked.add_expression(check_expression(where))
    asked.order(order_by)
    if limit is not None or offset:
        asked.limit(2**62 if limit is None else limit, offset)
    reader = lake._session.steady()
    try:
        rows = kept(reader.query(asked.sql, asked.params).to_arrow_reader(_ROWS_AT_ONCE))
    except InvalidInputError as exc:
        if where is None or exc.kind != "sql":
            raise
        raise about_where(exc, where, "the columns of items, name, type, created_at and metadata") from exc
    if not rows.num_rows:

        def words(field: str) -> list[str]:
            column = "unnest(tags)" if field == "tag" else field
            found = reader.query(f"select distinct {column} from items where folio is not null").fetchall()
            return [*(items.kinds() if field == "kind" else ()), *(word for (word,) in found if word)]

        tell_unknown_words({name: fields.get(name) for name in ("folio", "kind", "tag")}, words, "item")
    if not rows.num_rows and asked.keys:

        def count(key: str, operator: str, value: object) -> int:
            like = Compiler()
            like.add(Q(archived=False, metadata={key: (operator, value)}))
            return len(reader.query(like.sql, like.params).fetchall())

        def known(key: str) -> list[str]:
            sql = "select distinct key from item_metadata"
            if key:
                sql = "select distinct unnest(json_keys(try_cast(value as json))) from item_metadata where key = $key"
            return [name for (name,) in reader.query(sql, {"key": key} if key else None).fetchall()]

        tell_near_misses(asked.asked, count)
        tell_unknown_keys(asked.keys, known)
    return QueryResult(reader, rows)


def browse(lake: Lake, /, path: str = "") -> Folder:
    """Walk the runs (or items) as an organisation has them, like folders. Organising moves no byte.

    The organisations are ``by_project``, ``by_date``, ``by_type``, ``by_model``, ``flat``, and each ``.sql`` file
    with a column ``path`` in ``views/`` of the lake or in the configured folder ``views``. Such a file is listed
    by its text and runs when it is walked: one SELECT over the views, in a process without files, network or
    environment, within the configured ``view_seconds`` and ``view_memory_mib``.

    Args:
        path: ``by_project/churn``; by default the folder of all organisations.

    Raises:
        NotFoundError: kind ``organisation-not-found`` or ``folder-not-found``; the hint names the nearest.
        InvalidInputError: kinds ``bad-view``, ``view-limit``, ``view-crashed``: a view file that can't be used.
    """
    from lakefolio.query.browse import browse

    return browse(settled(lake._session).steady(), path)


def views(lake: Lake, /) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return the views that SQL may name, view files of the user and of the lake among them.

    Returns:
        The views, each with ``name``, ``description``, ``grain`` and ``columns`` (``name`` and ``type``; none for
        view files, which are not run for this); and why some files are left out.
    """
    from lakefolio.query.browse import all_views

    return all_views(lake._session.steady())


def compare(lake: Lake, /, *runs: str) -> Comparison:
    """Put runs side by side: parameters, metrics, inputs, and the curves of their metrics.

    ``str()`` gives text, ``plots()`` curves for a terminal, ``to_html()`` a standalone page, ``to_png(path)`` a
    picture.

    Args:
        *runs: Run ids; at most 50, each once.

    Raises:
        NotFoundError: kind ``run-not-found``; the hint names the nearest.
    """
    from lakefolio.runs.compare import compare

    return compare(settled(lake._session).steady(), runs)


def search(
    lake: Lake,
    /,
    query: str,
    *,
    folio: str | None = None,
    kind: str | None = None,
    at: At | None = None,
    limit: int = 20,
    meaning: bool | None = None,
) -> SearchResult:
    """Find items and runs by words, best first: exact as of any version, a commit of this moment included.

    >>> lake.search('"delayed flights" airport -draft tag:clean metadata.owner:ada fli*')

    Searched are names, folios, descriptions, tags, metadata, authors and column names of items that are neither
    archived nor purged, the content of small JSON, the text of files (the first 16,000 characters of txt, md, html,
    source code, cells of notebooks, PDF with the extra ``pdf``; of CSV the header), and of runs their names, projects,
    models, descriptions, tags, parameters and errors. Case, accents, and the s of plurals make no difference. Names
    that are what was asked for, then names that begin so, stand above everything else, which is ranked by BM25. A word
    that stands nowhere is taken for words that begin so, else for those that are spelt alike; ``why`` of a hit says it.
    Members of datasets are copies of items, and left out: unless ``folio`` or a word names the dataset, or nothing else
    is found.

    A question of three or more plain words is searched by meaning too: up to 50 items and runs that mean most alike
    are ranked beside those that have its words, and the two rankings are fused. Nothing is downloaded for it.

    The first search of a handle reads all entries; later ones only what is new. Of a lake of 100,000 to 3,000,000
    entries that has an index (made by ``lake.compact()``) a handle reads what a query needs; without one, from 300,000
    on, a warning says that all entries are read into memory.

    Args:
        query: Words, of which one at least must be there; ``"phrases"``, ``+must``, ``-must_not``, ``AND``, ``OR``,
            ``NOT``, parentheses, prefixes ``fli*``, and ``field:word`` or ``field:"a phrase"``. Empty for everything.
        kind: Only items of this kind; ``run`` for runs.
        limit: How many hits to give at most; ``total`` and ``facets`` count all.
        meaning: Whether the meaning counts too: True for shorter queries and those with operators as well, False for
            words alone.

    Returns:
        The hits, each with ``ref``, ``score``, ``why`` and ``highlights``; ``facets`` counts all hits by type, kind,
        folio, tag and author. In a large lake descriptions and highlights are read when they are first asked for, of
        all hits at once, and facets when they are.

    Raises:
        InvalidInputError: kind ``bad-search``, ``unknown-field`` (the hint names the nearest), ``unknown-kind``,
            ``bad-encoder`` (the user's own encoder fails).
        NotFoundError: kind ``folio-not-found``, or there is no such version.
    """
    from lakefolio.search.log import log_search
    from lakefolio.search.reading import search_of

    reader = settled(lake._session).steady() if at is None else lake._session.at(at)
    found = search_of(reader, query, folio=folio, kind=kind, limit=limit, meaning=meaning)
    log_search(lake._session, found, {"folio": folio, "kind": kind, "meaning": meaning})
    return found


def choose(lake: Lake, /, found: SearchResult, ref: str) -> None:
    """Record that a hit of a search was chosen, where searches are recorded (the setting ``search_log``).

    Args:
        found: The answer of ``lake.search``.
        ref: The reference of the hit, or the id of the run.

    Raises:
        InvalidInputError: kind ``not-recorded`` (the search was not), ``no-such-hit``.
    """
    from lakefolio.search.log import choose

    choose(lake._session, found, ref)


def searches(lake: Lake, /, *, unanswered: bool = False, limit: int = 100) -> SearchLog:
    """Return the recorded queries, those that were asked most first: how often, what was found, what was chosen.

    Searches are recorded as events in the lake while the setting ``search_log`` is true, and by handles that may write.

    Args:
        unanswered: Only queries whose last search found nothing.
        limit: How many queries at most.
    """
    from lakefolio.search.log import searches

    return searches(settled(lake._session), unanswered=unanswered, limit=limit)


def similar(
    lake: Lake,
    /,
    ref: str,
    *,
    folio: str | None = None,
    kind: str | None = None,
    at: At | None = None,
    limit: int = 10,
) -> SearchResult:
    """Find the items and runs that mean most alike an item, nearest first: by its name, texts, tags and columns.

    Args:
        ref: ``folio:name``.
        folio: Only items of this folio.
        kind: Only items of this kind; ``run`` for runs.
        at: As of when; everything is compared as it was then.
        limit: How many hits to give at most.

    Returns:
        The hits; ``score`` is the cosine of the angle between the meanings, 0.3 to 1.

    Raises:
        InvalidInputError: kind ``unknown-kind``, ``not-searched`` (an archived item), ``bad-encoder``.
        NotFoundError: There is no such item, folio or version.
    """
    from lakefolio.search.reading import similar_of

    reader = settled(lake._session).steady() if at is None else lake._session.at(at)
    return similar_of(reader, ref, folio=folio, kind=kind, limit=limit)


def status(lake: Lake, /, folio: str | None = None, *, archived: bool = False, at: At | None = None) -> Status:
    """Return which items are stale: made of inputs that have changed since, or of stale ones.

    An input has changed if its item has other content now than it had when it was used, or is gone. Inputs are those
    that an item's newest entry names, and those of the run that made it. Members of datasets hold versions on purpose
    and are never stale. The answer is exact for one version of the lake, and costs one pass over its entries.

    Args:
        folio: Only this folio; its items are stale for what changed in others too.
        archived: Whether archived items are told of too.

    Returns:
        The stale items, in the order to make them again: a sequence of :class:`~lakefolio.status.staleness.Stale` with
        ``step``, ``causes`` (how many versions and how much time each input is behind) and ``stale_inputs``;
        ``cycles`` names items that are made of each other. ``to_arrow()``, ``to_pandas()``, ``to_polars()`` give
        frames.

    Raises:
        NotFoundError: kind ``folio-not-found``; the hint names the nearest. Or there is no such version.
    """
    from lakefolio.status.reading import status_of

    return status_of(lake._session.steady() if at is None else lake._session.at(at), folio, archived=archived)


def create_dataset(
    lake: Lake,
    /,
    name: str,
    items: Iterable[object] | Mapping[str, object],
    *,
    description: str | None = None,
    tags: str | Iterable[str] | None = None,
    metadata: Mapping[str, object] | None = None,
    overwrite: bool = False,
) -> Dataset:
    """Keep a collection of items under one name, at the versions they have now. One commit; copies no content.

    What happens to the items later does not change the dataset; gc keeps their content as long as it has them.

    Args:
        name: The name; the dataset is the folio ``datasets/<name>``.
        items: References, entries, or what a query found; the members are called like the items, or
            ``folio/name`` if two would be called the same. Or a mapping of the members' names to references,
            entries, or objects, which are stored.
        description: One sentence that describes it.
        tags: Words to find it by.
        metadata: Facts to note of it.
        overwrite: Replace a dataset of that name; its old state stays in the history.

    Raises:
        AlreadyExistsError: kind ``dataset-exists``.
        NotFoundError: An item does not exist.
        InvalidInputError: Two members of one name, no member at all, or something that can't be stored.
    """
    from lakefolio.query.dataset import create

    return create(
        lake._session,
        name,
        items,
        description=description,
        tags=tags,
        metadata=metadata,
        overwrite=overwrite,
    )


def get_dataset(lake: Lake, /, name: str, *, at: At | None = None) -> Dataset:
    """Return a dataset, as of now or of a version, a time or a snapshot.

    Raises:
        NotFoundError: kind ``dataset-not-found``; the hint names the nearest.
    """
    from lakefolio.query.dataset import get

    return get(lake._session.steady() if at is None else lake._session.at(at), name)


def datasets(lake: Lake, /) -> Datasets:
    """Return the datasets: a list with name, description, tags, item count and bytes of each."""
    from lakefolio.query.dataset import listed

    return listed(lake._session.steady())
