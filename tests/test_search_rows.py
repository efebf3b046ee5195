"""Documents as columns: what an index takes of them is what it would take of each by itself."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from lakefolio.search import document_rows
from lakefolio.search.document import Document, Label
from lakefolio.search.document_rows import documents_of, tables_of
from lakefolio.search.gathering import Gathering
from lakefolio.search.index_making import _labels
from lakefolio.search.parse import FIELDS
from lakefolio.search.text_blocks import Block, BlockMaker
from lakefolio.search.word_group import expanded, shrunk
from lakefolio.search.words import compounds, tokens

ODD = [
    Document("e1", "item", "f:a@1", "a", (("name", "a"), ("tag", "x"), ("tag", "y")), "f", "json", tags=("x", "y")),
    Document("e2", "item", "f:b@c@12", "b@c", (("description", "two\0words"),), "f", "", digest=("d", 3)),
    Document("e3", "item", "g:h:i@1", "i", (), "g:h", "table", "ada", (), "words"),
    Document("e4", "item", "g\0:i@1", "i", (), "g\0", None),
    Document("r1 5", "run", "r1", "train", (("name", "train"), ("param", "lr 0.1")), "p", "run", status="done"),
    Document("r2 5", "run", "p:x@1", "x", (), "p", "run"),
]


def test_documents_are_the_same_as_rows() -> None:
    (rows,) = tables_of(ODD)
    assert list(documents_of(rows)) == ODD
    assert [one for part in (rows.slice(0, 2), rows.slice(2)) for one in documents_of(part)] == ODD
    assert list(map(Label.of, _labels(rows).to_pylist())) == [one.label for one in ODD]
    assert [" " in one for one in _labels(rows.slice(1, 3)).to_pylist()] == [False] * 3


def test_half_a_character_is_replaced() -> None:
    (rows,) = tables_of([ODD[0]._replace(texts=(("column", "a\ud800b"), ("column", "c")))])
    assert next(documents_of(rows)).texts == (("column", "a?b"), ("column", "c"))


def test_tables_hold_about_as_many_bytes_as_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_rows, "_TABLE_BYTES", 100)
    assert [len(one) for one in tables_of(ODD)] == [3, 3]
    assert not list(tables_of([]))


def test_words_are_found_in_bytes_as_in_texts() -> None:
    chance = random.Random(4)
    letters = [
        *"abZ09_-. \0\n",
        "ä",
        "a\u0301",
        "ß",
        "東",
        "京",
        "ﬁ",
        "\u00ad",
        "—",
        "\u2028",
        "😀",
        "ies",
        "us",
        "XMLHttp",
    ]
    documents = []
    for number in range(300):
        texts = tuple(
            (chance.choice(FIELDS), "".join(chance.choices(letters, k=chance.randrange(12))))
            for _ in range(chance.randrange(5))
        )
        documents.append(Document(str(number), "item", f"f:{number:03}@1", "n", texts, "f", "json"))
    gathering = Gathering()
    for rows in tables_of(documents):
        gathering.add(rows.slice(0, 100))
        gathering.add(rows.slice(100))
    table = gathering.done()
    said: dict[str, Counter[int]] = {}
    for number, document in enumerate(documents):
        for _, text in document.texts:
            for word in (*tokens(text), *(token for _, _, token in compounds(text))):
                said.setdefault(word, Counter())[number] += 1
    assert said.keys() == table.numbers.keys()
    for word, counts in said.items():
        postings = table.of(word)
        assert postings is not None
        assert postings.documents.tolist() == sorted(counts)


def test_a_block_that_contradicts_itself_is_refused() -> None:
    (rows,) = tables_of(ODD)
    body = BlockMaker(rows).block(1, 5)
    block = Block(body)
    assert block.count == 4
    assert [block.document(number) for number in range(4)] == [
        one._replace(id=one.ref, digest=None) for one in ODD[1:5]
    ]
    plain = expanded(body)
    for place in range(len(plain)):
        for value in (0x80, 0xFF, 0x01):
            damaged = bytes(plain[:place]) + bytes([plain[place] ^ value]) + bytes(plain[place + 1 :])
            try:
                found = Block(shrunk(damaged))
                assert all(isinstance(found.document(number).ref, str) for number in range(found.count))
            except ValueError:
                continue
    for some in (b"", plain[:11], plain[:40], plain[:-1], plain + b"x"):
        with pytest.raises(ValueError, match=r"too short|another length"):
            Block(shrunk(some))
