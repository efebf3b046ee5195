"""How well search answers questions about real texts: the figures of ``bench/bench_search.py`` may not fall."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakefolio.search import meaning
from lakefolio.search.answer import answer
from lakefolio.search.index import Document, Index
from lakefolio.search.meaning import StaticEncoder
from lakefolio.search.parse import parse

DATA = Path(__file__).parent / "bench" / "data"


def rows(name):
    return [line.split("\t") for line in (DATA / name).read_text().splitlines()]


@pytest.fixture(scope="module")
def index():
    texts = [(name, (("name", name), ("description", text))) for name, text in rows("packages.tsv")]
    return Index.of([Document(name, "item", f"f:{name}@1", name, both, "f", "json") for name, both in texts])


def ranks(index, questions, encoder):
    """Return the rank of the right package, from 1, of each question; 0 where it is not among the first ten."""
    found = []
    for right, question in questions:
        node = parse(question.replace("-", " ").replace(":", " "))
        hits = answer(index, node, question, version=1, limit=10, only={}, purged={}, encoder=encoder)
        found.append(next((rank for rank, one in enumerate(hits, start=1) if one.name == right), 0))
    return found


def mean_reciprocal(found):
    return sum(1 / one for one in found if one) / len(found)


def test_questions_find_what_they_mean(index):
    questions = [(name, question) for name, question, _ in rows("questions.tsv")]
    assert len(questions) == 200
    assert mean_reciprocal(ranks(index, questions, None)) >= 0.95
    assert mean_reciprocal(ranks(index, questions, StaticEncoder())) >= 0.97


def test_questions_in_other_words_find_it_more_often_by_meaning(index):
    questions = [(name, other) for name, _, other in rows("questions.tsv") if other]
    by_words = sum(map(bool, ranks(index, questions, None)))
    by_meaning = sum(map(bool, ranks(index, questions, StaticEncoder())))
    assert by_meaning >= max(1.15 * by_words, 0.3 * len(questions))


def test_the_table_of_words_is_small():
    assert meaning._TABLE.stat().st_size <= 8_000_000
