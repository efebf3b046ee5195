"""The text of files: what search finds in them, and what it does not choke on."""

from __future__ import annotations

import json
import time

import pytest

import lakefolio as lf
from lakefolio.search import texts, upkeep
from lakefolio.search.texts import LIMIT, text_of


def pdf(text: str) -> bytes:
    """Return a PDF of one page that says something."""
    stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
    parts = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    body, starts = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, start=1):
        starts.append(len(body))
        body += b"%d 0 obj%s endobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % start for start in starts)
    return body + b"xref\n0 6\n0000000000 65535 f \n%strailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (
        table,
        len(body),
    )


NOTEBOOK = {
    "cells": [
        {"cell_type": "code", "source": ["import plankton\n", "x = 1"], "outputs": [{"text": "printed"}]},
        {"cell_type": "markdown", "source": "# Notes on krill"},
    ]
}

TEXTS = [
    ("readme.md", b"# Cavitation\n\nof  blades", "# Cavitation of blades"),
    ("page.html", b"<style>ugly{}</style><p>tur<i>bine</i></p><script>bad()</script>", "tur bine"),
    ("rows.csv", b"station,humidity\n1,private\n", "station humidity"),
    ("rows.tsv", "\ufeffstation\thumidity\n1\t2\n".encode(), "station humidity"),
    ("a.ipynb", json.dumps(NOTEBOOK).encode(), "import plankton x = 1 # Notes on krill"),
    ("A.PDF", pdf("gyroscope drift"), "gyroscope drift"),
    ("latin.txt", b"caf\xe9 au lait", "caf\ufffd au lait"),
    ("long.txt", b"word " * LIMIT, ("word " * LIMIT)[:LIMIT]),
    ("empty.txt", b"", None),
    ("binary.txt", b"a\0b", None),
    ("picture.png", b"text", None),
    ("broken.ipynb", b'{"cells": [{"source": 7}]}', None),
    ("broken.ipynb", b"[" * 100_000, None),
    ("broken.ipynb", b'{"cells": [{"cell_type": "code", "source": 7}]}', None),
    ("broken.pdf", b"%PDF-1.4 nothing else", None),
]


@pytest.mark.parametrize(("name", "body", "expected"), TEXTS)
def test_the_text_of_a_file(name, body, expected):
    assert text_of(body, name) == expected


def test_a_media_type_decides_where_the_name_says_nothing():
    assert text_of(b"<b>a</b>", "page", "text/html") == "a"
    assert text_of(b"<b>a</b>", "page", "text/x-own") == "<b>a</b>"
    assert text_of(b"<b>a</b>", "page", "image/png") is None


def test_a_pdf_that_takes_for_ever_is_given_up(monkeypatch):
    monkeypatch.setattr(texts, "_PDF_S", 0.2)
    monkeypatch.setattr(texts, "_PDF_CODE", "while True: pass")
    began = time.monotonic()
    assert text_of(pdf("a"), "a.pdf") is None
    assert time.monotonic() - began < 60  # it takes for ever


def test_files_in_blobs_are_searched_as_of_each_version(lake_uri):
    lake = lf.open(lake_uri)
    folio = lake.folio("docs")
    filler = b" word" * 2_000  # more than lies inline
    folio.add("notes", b"cavitation" + filler, filename="notes.txt")
    first = lake.version
    folio.add("raw", b"cavitation" + filler)
    assert lake.search("cavitation").refs == ["docs:notes@1"]
    (hit,) = lake.search('content:"cavitation word"')
    assert hit.highlights[0].marked().startswith("[cavitation]")
    folio.add("notes", b"krill" + filler, filename="notes.txt", overwrite=True)
    assert lake.search("cavitation").refs == []
    assert lake.search("krill").refs == [f"docs:notes@{lake.version}"]
    assert lake.search("cavitation", at=first).refs == ["docs:notes@1"]
    assert lf.open(lake.uri).search("krill").refs == [f"docs:notes@{lake.version}"]


def test_a_small_file_is_read_as_its_name_says_with_and_without_an_index(tmp_path, monkeypatch):
    monkeypatch.setattr(upkeep, "INDEXED_FROM", 0)
    words = ("cavitation", "seen", "hidden", "bold")
    lake = lf.open(tmp_path / "lake")
    lake.folio("docs").add("page.html", b"<style>hidden</style><p>seen</p> cavitation")
    lake.folio("docs").add("value.html", {"bold": "<style>cavitation</style>"})
    found = [lake.search(word, meaning=False).refs for word in words]
    assert [len(one) for one in found] == [2, 1, 0, 1]
    lake.compact()
    assert [lf.open(lake.uri).search(word, meaning=False).refs for word in words] == found
    lake.folio("docs").add("later.html", b"<style>hidden</style><p>seen</p>")
    later = lf.open(lake.uri)
    assert [len(later.search(word, meaning=False)) for word in words] == [2, 2, 0, 1]


def test_a_file_that_is_damaged_is_found_by_its_name(tmp_path):
    lake = lf.open(tmp_path / "lake")
    lake.folio("docs").add("notes", b"cavitation" + b" word" * 2_000, filename="notes.txt")
    (blob,) = (one for one in (tmp_path / "lake" / "blobs").rglob("*") if one.is_file())
    blob.chmod(0o644)
    blob.write_bytes(b"krill" + b" word" * 2_001)
    lake = lf.open(lake.uri)
    assert lake.search("cavitation").refs == lake.search("krill").refs == []
    assert lake.search("notes").refs == ["docs:notes@1"]
