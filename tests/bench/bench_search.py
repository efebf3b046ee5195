"""How well and how fast search answers, beside SQLite's FTS5, tantivy and DuckDB's fts over the same texts.

Quality: 200 questions about 3,737 summaries of Python packages, as a user would type them, and 181 of them in other
words, without a word of the summary where that could be. They were written from the summaries alone, before anything
was ranked. MRR@10 is the mean of 1 / rank of the package that was meant, hit@10 how often it is among the first ten.

Speed: texts made of words by Zipf's law, as those of people are: a name, a description of a dozen words, two tags.
Times are of a processor, all threads together. A peer whose package is not installed is left out, and it is said.
"""

from __future__ import annotations

import argparse
import random
import re
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lakefolio.search.answer import answer
from lakefolio.search.document import Document
from lakefolio.search.index import Index
from lakefolio.search.meaning import StaticEncoder
from lakefolio.search.parse import parse
from lakefolio.search.words import tokens

DATA = Path(__file__).parent / "data"
LIMIT = 10
Row = tuple[str, str, str]
Ask = Callable[[str], Sequence[str]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="*", default=[100_000])
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--peers", nargs="*", default=["fts5", "tantivy", "duckdb"])
    parser.add_argument("--speed-alone", action="store_true", help="leave the questions about packages out")
    asked = parser.parse_args()
    if not asked.speed_alone:
        quality(asked.peers)
    for count in asked.items:
        speed(count, asked.questions, asked.peers)
    print("done")


# -- quality -----------------------------------------------------------------------------------------------------------


def quality(peers: Sequence[str]) -> None:
    """Print how well each answers."""
    rows = [(name, text, "") for name, text in _read("packages.tsv")]
    asked = list(_read("questions.tsv"))
    index = Index.of([document(number, *row) for number, row in enumerate(rows)])
    encoder = StaticEncoder()
    both: dict[str, Ask] = {
        "lakefolio": lambda query: ask(index, query, encoder if len(query.split()) > 2 else None),
        "lakefolio, words alone": partial(ask, index),
        **{name: made(rows) for name, made in built(peers)},
    }
    for what, questions in (
        ("questions", [(name, one) for name, one, _ in asked]),
        ("questions in other words", [(name, other) for name, _, other in asked if other]),
    ):
        print(f"{len(questions)} {what} about {len(rows):,} packages")
        for name, found in both.items():
            ranks = [
                next((rank for rank, one in enumerate(found(q)[:10]) if one == right), -1) for right, q in questions
            ]
            hits = [rank for rank in ranks if rank >= 0]
            mrr = sum(1 / (rank + 1) for rank in hits) / len(ranks)
            print(f"  {name}: MRR@10 {mrr:.3f}, hit@10 {len(hits) / len(ranks):.3f}")


def _read(name: str) -> Iterator[tuple[str, ...]]:
    with (DATA / name).open() as file:
        for line in file:
            yield tuple(line.rstrip("\n").split("\t"))


# -- speed -------------------------------------------------------------------------------------------------------------


def speed(count: int, question_count: int, peers: Sequence[str]) -> None:
    """Print how long each takes."""
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randrange(3, 10))) for _ in range(50_000)]
    weights = [1 / (rank + 10) for rank in range(len(words))]
    drawn = iter(rng.choices(words, weights, k=count * 16))
    rows = [
        (f"{next(drawn)}_{next(drawn)}", " ".join(next(drawn) for _ in range(12)), f"{next(drawn)} {next(drawn)}")
        for _ in range(count)
    ]
    questions = [" ".join(rng.choices(words[50:20_000], weights[50:20_000], k=3)) for _ in range(question_count)]
    began = time.process_time()
    index = Index.of([document(number, *row) for number, row in enumerate(rows)])
    print(f"{count:,} items: made in {time.process_time() - began:.1f} s")
    told("lakefolio, words", questions, partial(ask, index))
    told("lakefolio, words and meaning", questions, partial(ask, index, encoder=StaticEncoder()))
    typos = [one.split()[0][:2] + one.split()[0][3:2:-1] + one.split()[0][4:] for one in questions]
    told("lakefolio, a word that is misspelt", typos, partial(ask, index))
    pairs = [(one.split()[0], typo) for one, typo in zip(questions, typos, strict=True)]
    pairs = [(tokens(right)[0], tokens(typo)[0]) for right, typo in pairs]  # as a query is read
    pairs = [(right, typo) for right, typo in pairs if len(typo) > 2 and not index.frequency(typo)]
    known = sum(right in dict(index.alike(typo)) for right, typo in pairs)
    print(f"  the third letter left out: the right word is among the first three of {known} of {len(pairs)}")
    del index
    for name, made in built(peers):
        began = time.process_time()
        found = made(rows)
        print(f"  {name}: made in {time.process_time() - began:.1f} s")
        told(name, questions, found)


def document(number: int, name: str, description: str, tags: str) -> Document:
    """Return an item as it is searched."""
    texts = (("name", name), ("description", description), *(("tag", tag) for tag in tags.split()))
    return Document(
        str(number), "item", f"f:{name}", name, texts, "f", "table", "ada", tuple(tags.split()), description
    )


def ask(index: Index, query: str, encoder: StaticEncoder | None = None) -> list[str]:
    """Search by lakefolio; a search also counts facets and says why each hit was found."""
    node = parse(query.replace("-", " ").replace(":", " "))
    found = answer(index, node, query, version=1, limit=LIMIT, only={}, purged={}, encoder=encoder)
    return [one.name for one in found]


def told(what: str, questions: Sequence[str], do: Ask) -> None:
    """Print the median and the 99th percentile."""
    do(questions[0])  # what is made once
    times = []
    for one in questions:
        began = time.process_time()
        do(one)
        times.append((time.process_time() - began) * 1000)
    times.sort()
    print(f"  {what}: p50 {statistics.median(times):.1f} ms, p99 {times[int(len(times) * 0.99)]:.1f} ms")


# -- peers: the best ten, and how many there are -----------------------------------------------------------------------


def built(names: Sequence[str]) -> Iterator[tuple[str, Callable[[Sequence[Row]], Ask]]]:
    """Give the peers that are installed."""
    for name in names:
        make: Callable[[Sequence[Row]], Ask] = {"fts5": fts5, "tantivy": tantivy, "duckdb": duckdb_fts}[name]
        try:
            make([("a", "b", "c")])
        except ImportError as exc:
            print(f"  {name}: left out, {exc}")
        else:
            yield {"fts5": "FTS5 with porter stems", "duckdb": "DuckDB fts"}.get(name, name), make


def words_of(query: str) -> list[str]:
    """Return the plain words of a question."""
    return re.findall(r"\w+", query)


def fts5(rows: Sequence[Row]) -> Ask:
    """Index by SQLite."""
    database = sqlite3.connect(":memory:")
    database.execute("create virtual table found using fts5(name, description, tags, tokenize = 'porter unicode61')")
    database.executemany("insert into found values (?, ?, ?)", rows)

    def found(query: str) -> list[str]:
        words = " OR ".join(f'"{one}"' for one in words_of(query))
        best = f"select name from found where found match ? order by bm25(found) limit {LIMIT}"
        database.execute("select count(*) from found where found match ?", (words,)).fetchall()
        return [name for (name,) in database.execute(best, (words,))]

    return found


def tantivy(rows: Sequence[Row]) -> Ask:
    """Index by tantivy."""
    from tantivy import Document as Doc
    from tantivy import Index as Tantivy
    from tantivy import SchemaBuilder

    schema: Any = SchemaBuilder()
    for field in ("name", "description", "tags"):
        schema.add_text_field(field, stored=field == "name", tokenizer_name="en_stem")
    index = Tantivy(schema.build())
    writer = index.writer(200_000_000, 1)
    for name, description, tags in rows:
        writer.add_document(Doc(name=[name], description=[description], tags=[tags]))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()

    def found(query: str) -> list[str]:
        parsed = index.parse_query(" ".join(words_of(query)), ["name", "description", "tags"])
        return [searcher.doc(address)["name"][0] for _, address in searcher.search(parsed, LIMIT, count=True).hits]

    return found


def duckdb_fts(rows: Sequence[Row]) -> Ask:
    """Index by DuckDB."""
    import duckdb
    import duckdb_extension_fts
    import pyarrow as pa

    folder = Path(duckdb_extension_fts.__file__).parent
    connection = duckdb.connect()
    connection.execute(f"load '{next(folder.rglob('*.duckdb_extension'))}'")
    table = pa.table(dict(zip(("name", "description", "tags"), zip(*rows, strict=True), strict=True)))
    connection.register("given", table)
    connection.execute("create table rows as select row_number() over () as id, * from given")
    connection.execute("pragma create_fts_index('rows', 'id', 'name', 'description', 'tags')")
    ask = f"""
    select name from (select name, fts_main_rows.match_bm25(id, ?) as score from rows)
    where score is not null order by score desc limit {LIMIT}
    """

    def found(query: str) -> list[str]:
        return [name for (name,) in connection.execute(ask, [" ".join(words_of(query))]).fetchall()]

    return found


if __name__ == "__main__":
    main()
