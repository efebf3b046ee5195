"""Search by meaning: questions in other words, neighbours of an item, any version, an encoder of one's own."""

from __future__ import annotations

import json
import sys

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.search.answer import answer
from lakefolio.search.index import Document, Index
from lakefolio.search.meaning import StaticEncoder
from lakefolio.search.parse import parse
from lakefolio.search.vectors import Vectors

ITEMS = {
    "storms": "Hurricanes and blizzards of the century",
    "delays": "Late departures of airplanes at each airport",
    "recipes": "How to bake bread and cakes at home",
    "prices": "Stock market quotes by trading day",
    "genes": "Protein sequences of bacteria",
}


@pytest.fixture
def lake(lake_uri):
    lake = lf.open(lake_uri)
    with lake.batch("all"):
        for name, description in ITEMS.items():
            lake.folio("data").add(name, {"n": name}, description=description)
    return lake


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("severe winter weather", "storms"),
        ("flights behind schedule today", "delays"),
        ("cooking flour oven", "recipes"),
        ("share values exchange", "prices"),
        ("microbe biology dna", "genes"),
    ],
)
def test_questions_in_other_words_are_answered(lake, question, name):
    found = lake.search(question)
    assert found[0].name == name
    assert "means alike" in found[0].why
    assert found.total == len(found)
    assert found.facets["folio"] == {"data": found.total}
    assert name not in [one.name for one in lake.search(question, meaning=False)]


def test_short_queries_and_operators_mean_what_they_say(lake):
    for query in ("airplane delay", "airplanes -delay", '"bake bread"', "name:storms", "bake bread +cakes"):
        assert not any("means" in one.why for one in lake.search(query)), query
    assert lake.search("snow").refs == []
    assert lake.search("snow", meaning=True)[0].name == "storms"
    assert lake.search("", meaning=True).total == 5
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.search("snow", meaning="yes")
    assert caught.value.kind == "bad-option"


def test_names_stand_above_meaning(lake):
    lake.folio("data").add("how to cook", {"x": 1})
    found = lake.search("how to cook")
    assert [one.name for one in found][:2] == ["how to cook", "recipes"]
    assert found[0].why.startswith("this is its name")


def test_filters_hold_for_meaning_too(lake):
    lake.folio("other").add("snowfall", pl.DataFrame({"cm": [1]}), description="Snow on the mountains")
    question = "severe weather and snow"
    assert {one.name for one in lake.search(question, folio="other")} == {"snowfall"}
    assert {one.name for one in lake.search(question, kind="table")} == {"snowfall"}


def test_neighbours_of_an_item(lake):
    first = lake.version
    lake.folio("other").add("rain", pl.DataFrame({"x": [1]}), description="Storms, snow and rain of the last century")
    found = lake.similar("data:storms")
    assert (found[0].ref, found.query) == (f"other:rain@{lake.version}", "data:storms@1")
    assert 0.3 <= found[0].score <= 1
    assert found[0].why == f"means alike: {found[0].score:.2f}"
    assert "data:storms@1" not in found.refs
    assert lake.folio("data").similar("storms").refs == found.refs
    assert lake.similar("data:storms", kind="table").refs == [found[0].ref]
    assert found[0].ref not in lake.similar("data:storms", at=first).refs
    assert lake.similar("data:storms", limit=0).refs == []
    done = CliRunner().invoke(cli, ["--lake", lake.uri, "similar", "data:storms", "--json"])
    assert json.loads(done.output)["hits"][0]["name"] == "rain"


def test_neighbours_that_can_not_be_told(lake):
    lake.folio("data").archive("genes")
    for ref, options, error, kind in (
        ("data:genes", {}, lf.InvalidInputError, "not-searched"),
        ("data:storm", {}, lf.NotFoundError, "item-not-found"),
        ("data:storms", {"kind": "tabel"}, lf.InvalidInputError, "unknown-kind"),
        ("data:storms", {"folio": "dat"}, lf.NotFoundError, "folio-not-found"),
        ("data:storms", {"limit": -1}, lf.InvalidInputError, "bad-option"),
    ):
        with pytest.raises(error) as caught:
            lake.similar(ref, **options)
        assert caught.value.kind == kind


def test_meaning_is_exact_as_of_any_version(lake):
    folio = lake.folio("data")
    question = "severe winter weather"
    folio.add("x1", {"n": 1}, description="Blizzards, snow storms and icy winds")
    first = lake.version
    assert lake.search(question)[0].ref == f"data:x1@{first}"
    folio.add("x1", {"n": 1}, description="Chess openings", overwrite=True)
    assert "x1" not in [one.name for one in lake.search(question)]
    assert lake.search(question, at=first)[0].ref == f"data:x1@{first}"
    folio.delete("x1")
    assert "x1" not in [one.name for one in lake.search(question)]


def test_an_encoder_of_ones_own(lake, tmp_path, monkeypatch):
    code = (
        "import numpy as np\nasked = []\n"
        "def encode(texts):\n    asked.extend(texts)\n"
        "    return np.array([[float('bake' in t or 'chess' in t), 1e-3] for t in texts])\n"
        "def fails(texts):\n    raise RuntimeError('no model')\n"
        "def wrong(texts):\n    return np.zeros(3)\n"
        "def nan(texts):\n    return np.full((len(texts), 2), np.nan)\n"
        "number = 7\n"
    )
    (tmp_path / "own_encoder.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("LAKEFOLIO_ENCODER", "own_encoder:encode")
    lake = lf.open(lake.uri)
    assert lake.search("chess of the kings")[0].name == "recipes"
    before = len(sys.modules["own_encoder"].asked)
    lake.search("chess of the kings")
    assert len(sys.modules["own_encoder"].asked) == before  # each text once
    for name in ("fails", "wrong", "nan", "number", "absent"):
        monkeypatch.setenv("LAKEFOLIO_ENCODER", f"own_encoder:{name}")
        with pytest.raises(lf.InvalidInputError) as caught:
            lf.open(lake.uri).search("chess of the kings")
        assert (caught.value.kind, caught.value.objects["encoder"]) == ("bad-encoder", f"own_encoder:{name}")


def test_no_file_that_was_found_names_code_to_run(lake, tmp_path, monkeypatch):
    (tmp_path / "lakefolio.toml").write_text('encoder = "os:system"\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.search("chess of the kings")
    assert caught.value.kind == "untrusted-config"


def test_the_nearest_of_many_are_those_of_all():
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(40_000, 64)).astype(np.float32)
    rows[:50] += 3 * rng.normal(size=64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    vectors = Vectors([rows[:700], rows[700:]], *rows.shape)
    alike = rows @ rows[0]
    found = vectors.nearest(rows[0], np.ones(len(rows), np.bool_), 10, 0.3)
    assert {number for _, number in found} <= set(np.argsort(-alike)[:13].tolist())  # bytes round
    assert [score for score, _ in found] == pytest.approx(np.sort(alike)[::-1][:10].tolist(), abs=0.02)
    some = np.arange(len(rows)) % 2 == 1
    assert all(number % 2 for _, number in vectors.nearest(rows[0], some, 10, -1))
    assert vectors.nearest(rows[0], np.zeros(len(rows), np.bool_), 10, -1) == []


def test_an_index_that_grew_means_the_same_as_one_made_at_once():
    def made(number, text):
        return Document(str(number), "item", f"f:{number}@1", str(number), (("description", text),), "f", "json")

    texts = [*ITEMS.values(), "storms and snow", "", "of", "zq"]
    live = [made(number, text) for number, text in enumerate(texts)]
    grown = Index.of([made(99, "severe weather"), *live[:3]]).with_changes(["f:99"], live[3:])
    query = "severe weather and snow"

    def asked(index):
        found = answer(index, parse(query), query, version=1, limit=9, only={}, purged={}, encoder=StaticEncoder())
        return found.refs, [round(one.score, 6) for one in found], found.total, found.facets

    assert asked(grown) == asked(Index.of(live))
    assert asked(grown)[0][0] == "f:5@1"


def test_tokens_that_the_table_lacks_are_taken_apart():
    encoder = StaticEncoder()
    one, other, unknown = encoder.of_texts(["snowstormwarning", "snow storm warning", "щщщ"])
    assert one @ other > 0.6
    assert not unknown.any()
