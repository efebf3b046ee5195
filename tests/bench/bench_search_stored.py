"""What a search of a large lake costs that has an index of its own: python tests/bench/bench_search_stored.py

Makes a lake through the format (see scale_lake) whose items have a description of a dozen words and two tags, drawn by
Zipf's law, and its index. Then it is searched cold, by a new handle for each question, and warm. Requests and bytes are
counted at the store, so they are those that a bucket would see; the hits are printed, as those of a lake in a bucket
are. The peers of bench_search index the same texts in the same run, and answer the same questions.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path
from unittest import mock

import bench_search
import numpy as np
import pyarrow as pa
import scale_lake

import lakefolio as lf
from lakefolio.lake.lake import Lake
from lakefolio.search.document_rows import documents_of
from lakefolio.search.documents import all_documents
from lakefolio.search.stored_part import StoredPart
from lakefolio.search.upkeep import make_index, stored_index
from lakefolio.search.words import tokens
from lakefolio.session.session import session_of
from lakefolio.storage import Store

WORDS = 50_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--peers", nargs="*", default=["fts5", "tantivy", "duckdb"])
    parser.add_argument("--lake", help="use this lake, if it is there; else make and keep it")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        uri = asked.lake or f"{folder}/lake"
        words = vocabulary()
        if not Path(uri).exists():
            with_texts(words)
            scale_lake.make(uri, asked.entries, asked.entries // 100)
        session = session_of(lf.open(uri))
        began = time.process_time()
        if make_index(session) is not None:
            size = sum(path.stat().st_size for path in Path(uri, "index").rglob("*") if path.is_file())
            print(f"index made in {time.process_time() - began:.1f} s, {size / asked.entries:.0f} bytes an entry")
        rng = random.Random(2)
        weights = [1 / (rank + 10) for rank in range(len(words))]
        questions = [" ".join(rng.choices(words[50:20_000], weights[50:20_000], k=3)) for _ in range(asked.questions)]
        typos = [one.split()[0][:2] + one.split()[0][3:2:-1] + one.split()[0][4:] for one in questions]
        mixed = [f"{typo} {one.split(maxsplit=1)[1]}" for typo, one in zip(typos, questions, strict=True)]
        for what, some in (
            ("three words", questions),
            ("a word that is misspelt", typos),
            ("three words, one of them misspelt", mixed),
            ("a prefix", [one.split()[0][:4] + "*" for one in questions]),
            ("a name that many items have", ["item", "it", *(f"item-{one:04}" for one in range(0, 1000, 60))]),
        ):
            cold(uri, what, some[:20], 10)
            warm(uri, what, some)
        spelling(uri, questions, typos)
        rows = texts_of(uri)
        for name, made in bench_search.built(asked.peers):
            began = time.process_time()
            found = made(rows)
            print(f"  {name}: made in {time.process_time() - began:.1f} s")
            bench_search.told(name, questions, found)
        print("done")


def vocabulary() -> list[str]:
    """Return the words, the most frequent first."""
    rng = random.Random(1)
    return ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randrange(3, 10))) for _ in range(WORDS)]


def with_texts(words: list[str]) -> None:
    """Let lakes that are made have descriptions and tags."""
    plain = scale_lake.journal_rows
    weights = 1 / (np.arange(len(words)) + 10)
    column = pa.array(words)

    def rows(first: int, count: int, *given: object, **named: object) -> pa.Table:
        found = plain(first, count, *given, **named)  # type: ignore[arg-type]
        drawn = np.random.default_rng(first).choice(len(words), (count, 14), p=weights / weights.sum())
        texts = [" ".join(words[one] for one in row) for row in drawn[:, :12].tolist()]
        ends = pa.array(np.arange(count + 1, dtype=np.int32) * 2)
        tags = pa.ListArray.from_arrays(ends, column.take(pa.array(drawn[:, 12:].reshape(-1))))
        for name, values in (("description", pa.array(texts)), ("tags", tags)):
            at = found.schema.get_field_index(name)
            found = found.set_column(at, found.schema.field(name), values.cast(found.schema.field(name).type))
        return found

    scale_lake.journal_rows = rows


def cold(uri: str, what: str, questions: list[str], limit: int) -> None:
    """Search by new handles and print the hits; tell the requests and bytes of that, without those of the opening."""
    requests, sizes, times = [], [], []
    for question in questions:
        lake = lf.open(uri)
        with Counted(lake) as calls, mock.patch.object(StoredPart, "is_near", False):
            began = time.perf_counter()
            str(lake.search(question, limit=limit))
            times.append((time.perf_counter() - began) * 1e3)
        requests.append(len(calls))
        sizes.append(sum(calls) / 1e6)
    print(
        f"  cold, {what}, {limit} hits: {statistics.median(requests):.0f} requests (at most {max(requests)}), "
        f"{statistics.median(sizes):.2f} MB (at most {max(sizes):.2f}), {statistics.median(times):.0f} ms"
    )


def warm(uri: str, what: str, questions: list[str]) -> None:
    """Search by one handle, and print how long it takes."""
    lake = lf.open(uri)
    lake.search(questions[0])
    times = []
    for question in questions:
        began = time.process_time()
        lake.search(question, limit=10)
        times.append((time.process_time() - began) * 1e3)
    times.sort()
    print(f"  warm, {what}: p50 {statistics.median(times):.1f} ms, p99 {times[int(len(times) * 0.99)]:.1f} ms")


def spelling(uri: str, questions: list[str], typos: list[str]) -> None:
    """Print of how many misspelt words the right one is among the three looked for, and how long that takes."""
    index = stored_index(session_of(lf.open(uri)))
    assert index is not None, "it was made"
    pairs = [(one.split()[0], typo) for one, typo in zip(questions, typos, strict=True)]
    pairs = [(tokens(right)[0], tokens(typo)[0]) for right, typo in pairs]  # as a query is read
    pairs = [(right, typo) for right, typo in pairs if len(typo) > 2 and not index.frequency(typo)]
    known, times = 0, []
    for right, typo in pairs:
        began = time.process_time()
        known += right in dict(index.alike(typo))
        times.append((time.process_time() - began) * 1e3)
    times = sorted(times[1:])  # the first also reads the vocabulary
    told = f"p50 {statistics.median(times):.1f} ms, p99 {times[int(len(times) * 0.99)]:.1f} ms"
    print(f"  the third letter left out: the right word is among the first three of {known} of {len(pairs)}; {told}")


def texts_of(uri: str) -> list[bench_search.Row]:
    """Return the texts of the items that peers are given: the name, the description, and all the rest together."""
    rows = []
    for one in (one for some in all_documents(session_of(lf.open(uri))) for one in documents_of(some)):
        rest = " ".join(text for field, text in one.texts if field not in ("name", "description"))
        rows.append((one.name, one.description or "", rest))
    return rows


class Counted:
    """Counts what a lake's store is asked for, and the bytes that it answers with."""

    def __init__(self, lake: Lake) -> None:
        """Count on a lake."""
        self._store: Store = session_of(lake).store
        self._calls: list[int] = []

    def __enter__(self) -> list[int]:
        """Begin."""
        store, calls = self._store, self._calls
        get_range, find, get, listed = store.get_range, store.find, store.get, store.list

        def noted(body: bytes | memoryview | None) -> bytes | memoryview | None:
            calls.append(0 if body is None else len(body))
            return body

        store.get_range = lambda *given: noted(get_range(*given))  # type: ignore[method-assign]
        store.find = lambda *given: noted(find(*given))  # type: ignore[method-assign]
        store.get = lambda *given: noted(get(*given))  # type: ignore[method-assign]
        store.list = lambda *given, **named: (calls.append(300), listed(*given, **named))[1]  # type: ignore[method-assign]
        return calls

    def __exit__(self, *exc: object) -> None:
        """End."""
        for name in ("get_range", "find", "get", "list"):
            vars(self._store).pop(name, None)


if __name__ == "__main__":
    main()
