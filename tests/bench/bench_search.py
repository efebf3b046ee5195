"""What a search costs beside SQLite's FTS5 over the same texts, at so many items.

The texts are made of words by Zipf's law, as those of people are: a name, a description of a dozen words, tags.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

from lakefolio.search.answer import answer
from lakefolio.search.index import Document, Index
from lakefolio.search.parse import parse


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[100_000])
    parser.add_argument("--questions", type=int, default=200)
    asked = parser.parse_args()
    for count in asked.items:
        rng = random.Random(1)
        words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randrange(3, 10))) for _ in range(50_000)]
        weights = [1 / (rank + 10) for rank in range(len(words))]
        drawn = iter(rng.choices(words, weights, k=count * 16))
        rows = [
            (f"{next(drawn)}_{next(drawn)}", " ".join(next(drawn) for _ in range(12)), f"{next(drawn)} {next(drawn)}")
            for _ in range(count)
        ]
        questions = [" ".join(rng.choices(words[50:20_000], weights[50:20_000], k=3)) for _ in range(asked.questions)]
        began = time.process_time()
        index = Index.of([document(number, *row) for number, row in enumerate(rows)])
        print(f"{count:,} items: made in {time.process_time() - began:.1f} s of a processor", end="; ")
        began = time.process_time()
        database = sqlite3.connect(":memory:")
        database.execute("create virtual table found using fts5(name, description, tags)")
        database.executemany("insert into found values (?, ?, ?)", rows)
        print(f"FTS5 {time.process_time() - began:.1f} s")
        told("lakefolio", questions, partial(ask, index))
        told("FTS5", questions, partial(match, database))
        typos = [one.split()[0][:2] + one.split()[0][3:2:-1] + one.split()[0][4:] for one in questions]
        told("lakefolio, a word that is misspelt", typos, partial(ask, index))
    print("done")


def document(number: int, name: str, description: str, tags: str) -> Document:
    """Return an item as it is searched."""
    texts = (("name", name), ("description", description), *(("tag", tag) for tag in tags.split()))
    return Document(
        str(number), "item", f"f:{name}", name, texts, "f", "table", "ada", tuple(tags.split()), description
    )


def ask(index: Index, query: str) -> None:
    """Search."""
    answer(index, parse(query), query, version=1, limit=20, only={}, purged={})


def match(database: sqlite3.Connection, query: str) -> None:
    """Search by FTS5: the best 20, and how many there are."""
    words = " OR ".join(query.split())
    database.execute("select name from found where found match ? order by bm25(found) limit 20", (words,)).fetchall()
    database.execute("select count(*) from found where found match ?", (words,)).fetchall()


def told(what: str, questions: Sequence[str], do: Callable[[str], None]) -> None:
    """Print the median and the 99th percentile."""
    do(questions[0])  # what is made once
    times = []
    for one in questions:
        began = time.process_time()
        do(one)
        times.append((time.process_time() - began) * 1000)
    times.sort()
    print(f"  {what}: p50 {statistics.median(times):.1f} ms, p99 {times[int(len(times) * 0.99)]:.1f} ms of a processor")


if __name__ == "__main__":
    main()
