"""Search: what is found, in which order, why, and as of which version."""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from inside import session_of
from sql.lake_tables import Rows

import lakefolio as lf
from lakefolio.cli import cli
from lakefolio.search import answer as answers
from lakefolio.search import upkeep
from lakefolio.search.answer import answer
from lakefolio.search.document import Document
from lakefolio.search.documents import item_documents
from lakefolio.search.index import Index
from lakefolio.search.parse import All, AnyOf, Bag, Not, Term, parse
from lakefolio.search.reading import _Indexes
from lakefolio.search.words import spans, tokens
from lakefolio.views.engine import Views


@pytest.fixture
def lake(lake_uri):
    lake = lf.open(lake_uri)
    with lake.batch("all"):
        flights = lake.folio("flights/nyc")
        flights.add(
            "delays",
            pl.DataFrame({"airport": ["JFK"], "minutes": [1]}),
            description="Delayed flights by airport",
            tags=["clean"],
            metadata={"owner": "Ada Lovelace", "year": 2013},
        )
        flights.add("delays_by_day", {"note": "fog and snow"}, description="How late the planes were", tags=["draft"])
        flights.add("weather", b"a blizzard in february", description="Weather of each airport")
        lake.folio("other").add("grid", np.zeros(2), description="delays everywhere: delays, delays, delays")
    return lake


def names(found):
    return [one.name for one in found]


FOUND = [
    ("weather", ["weather"]),
    ("delays", ["delays", "delays_by_day", "grid"]),  # the name, a name that begins so, then all others
    ("minutes", ["delays"]),
    ("blizzard", ["weather"]),
    ("snow", ["delays_by_day"]),
    ('"airport delayed"', []),
    ('"by airport"', ["delays"]),
    ("+airport -tag:clean", ["weather"]),
    ("airport NOT clean", ["weather"]),
    ("tag:draft OR kind:array", ["delays_by_day", "grid"]),
    ("folio:flights/nyc AND (snow OR february)", ["weather", "delays_by_day"]),
    ("metadata.owner:lovelace", ["delays"]),
    ("metadata.year:lovelace", []),
    ('metadata.owner:"ada lovelace"', ["delays"]),
    ("metadata:2013", ["delays"]),
    ("column:airport", ["delays"]),
    ("description:airport", ["weather", "delays"]),
    ("bliz*", ["weather"]),
    ("name:del*", ["delays", "delays_by_day"]),
    ("bliz", ["weather"]),
    ("blizard", ["weather"]),
    ("zzzz", []),
    ('"blizard"', []),
    ("BLIZZARDS", ["weather"]),
]


def test_what_is_found(lake):
    for query, expected in FOUND:
        found = lake.search(query)
        assert (query, sorted(names(found))) == (query, sorted(expected))
        assert found.total == len(expected)
    assert names(lake.search("delays")) == ["delays", "delays_by_day", "grid"]


def test_facets_reasons_and_highlights(lake):
    found = lake.search("airports snw")
    assert found.facets["kind"] == {"table": 1, "artifact": 1, "json": 1}
    assert found.facets["tag"] == {"clean": 1, "draft": 1}
    assert found.facets["folio"] == {"flights/nyc": 3}
    table = next(one for one in found if one.kind == "table")
    assert (table.ref, table.folio) == ("flights/nyc:delays@1", "flights/nyc")
    assert "airport in description" in table.why
    marked = {one.field: one.marked() for one in table.highlights}
    assert marked == {"description": "Delayed flights by [airport]", "column": "[airport]"}
    (snow,) = (one for one in found if one.kind == "json")
    assert "'snw' taken for 'snow'" in snow.why
    assert lake.search("delays")[0].why.startswith("this is its name")
    assert found.to_arrow().num_rows == len(found.to_pandas()) == found.to_polars().height == 3
    assert "[airport]" in str(found)
    assert "flights/nyc:delays@1" in found._repr_html_()


def test_limits_folios_and_kinds(lake):
    found = lake.search("delays", limit=1)
    assert (names(found), found.total, found.facets["kind"]) == (["delays"], 3, {"table": 1, "json": 1, "array": 1})
    assert names(lake.search("delays", folio="other")) == ["grid"]
    assert names(lake.search("delays", kind="json")) == ["delays_by_day"]
    assert lake.search("").total == 4
    assert len(lake.search("", limit=0)) == 0


def test_every_version_is_searched_exactly(lake):
    first = lake.version
    folio = lake.folio("flights/nyc")
    assert names(lake.search("hail")) == []
    folio.add("weather", b"hail in march", overwrite=True)
    assert [one.ref for one in lake.search("hail")] == [f"flights/nyc:weather@{lake.version}"]
    assert names(lake.search("blizzard")) == []
    assert names(lake.search("blizzard", at=first)) == ["weather"]
    assert names(lake.at(first).search("hail")) == []
    folio.archive("weather")
    assert names(lake.search("hail")) == []
    folio.unarchive("weather")
    folio.delete("delays")
    assert names(lake.search("hail")) == ["weather"]
    assert names(lake.search("minutes")) == []
    assert names(lf.open(lake.uri).search("hail")) == ["weather"]


def test_what_was_purged_is_found_in_no_version(lake):
    first = lake.version
    lake.folio("flights/nyc").delete("delays")
    assert names(lake.search("minutes", at=first)) == ["delays"]
    lake.gc(dry_run=False, grace=0, keep_days=0)
    assert names(lake.search("minutes", at=first)) == []
    assert names(lf.open(lake.uri).search("minutes", at=first)) == []


def test_runs_are_found_by_what_is_recorded_of_them(lake):
    with lake.run("train forest", project="churn", params={"max_depth": 7, "solver": "saga"}, tags=["nightly"]) as run:
        pass
    with pytest.raises(ValueError, match="singular"), lake.run("fails"):
        raise ValueError("singular matrix")
    assert [(one.type, one.ref, one.status) for one in lake.search("saga")] == [("run", run.run_id, "done")]
    assert names(lake.search("param:max_depth kind:run tag:nightly")) == ["train forest"]
    assert names(lake.search("error:singular")) == ["fails"]
    assert names(lake.search("status:failed")) == ["fails"]
    assert names(lake.search(run.run_id)) == ["train forest"]
    assert lake.search("train").facets["type"] == {"run": 1}


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ('"open', "bad-search"),
        ("(a", "bad-search"),
        ("a)", "bad-search"),
        ("()", "bad-search"),
        ("a AND", "bad-search"),
        ("AND a", "bad-search"),
        ("a OR", "bad-search"),
        ("a OR OR b", "bad-search"),
        ("NOT", "bad-search"),
        ("a AND AND b", "bad-search"),
        ("***", "bad-search"),
        ("& -", "bad-search"),
        ("-- a", "bad-search"),
        ("a & (&)", "bad-search"),
        ("name:", "bad-search"),
        ("tags:clean", "unknown-field"),
        ("name.x:clean", "unknown-field"),
        ("(" * 50 + "a" + ")" * 50, "bad-search"),
        ("-" * 500 + "a", "bad-search"),
        ("NOT " * 200 + "a", "bad-search"),
        ("a" * 2000, "bad-search"),
        ("a:" * 500_000, "bad-search"),
        ("de*ay", "bad-search"),
        ("*ay", "bad-search"),
        (7, "bad-search"),
    ],
)
def test_what_can_not_be_read_is_one_error(query, kind):
    with pytest.raises(lf.InvalidInputError) as caught:
        parse(query)
    assert caught.value.kind == kind
    if query == "tags:clean":
        assert "'tag'" in caught.value.hint


def test_options_that_there_are_not(lake):
    for options, error, kind in (
        ({"folio": "flight/nyc"}, lf.NotFoundError, "folio-not-found"),
        ({"kind": "tabel"}, lf.InvalidInputError, "unknown-kind"),
        ({"limit": -1}, lf.InvalidInputError, "bad-option"),
        ({"limit": True}, lf.InvalidInputError, "bad-option"),
    ):
        with pytest.raises(error) as caught:
            lake.search("delays", **options)
        assert caught.value.kind == kind


def test_how_a_query_is_read():
    late, fog = Term("late", ("late",)), Term("fog", ("fog",))
    assert parse("late fog") == Bag((late, fog))
    assert parse("late AND fog") == All((late, fog))
    assert parse("late OR fog") == AnyOf((late, fog))
    assert parse("late -fog") == All((Not(fog), late))
    assert parse("+late fog") == All((late, fog)) or parse("+late fog") == All((late, Bag((fog,))))
    for query in ("late & fog", "late \u2013 fog", "\U0001f389 late / fog !", "- late fog"):
        assert parse(query) == Bag((late, fog))
    assert parse("late AND & fog") == All((late, fog))
    assert parse("  ") is None
    assert parse("or and not") == Bag(tuple(Term(one, (one,)) for one in ("or", "and", "not")))


@settings(deadline=None, max_examples=100)
@given(st.text(alphabet=st.sampled_from('ab "():+-*.é\n\0') | st.characters(), max_size=30))
def test_any_text_is_read_or_refused(text):
    index = Index.of([Document("1", "item", "f:a@1", "a", (("name", "a"), ("description", text)), "f", "json")])
    try:
        node = parse(text)
    except lf.InvalidInputError as exc:
        assert exc.kind in ("bad-search", "unknown-field")
    else:
        answer(index, node, text, version=1, limit=3, only={}, purged={})


@given(st.text(max_size=60))
def test_spans_say_where_tokens_stand(text):
    assert tuple(tokens(text)) == tuple(token for _, _, token in spans(text))
    assert all(text[start:end] for start, end, _ in spans(text))


def test_marks_and_joiners_belong_to_their_word():
    composed, decomposed = (unicodedata.normalize(form, "École İzmir élèves") for form in ("NFC", "NFD"))
    assert list(tokens(decomposed)) == list(tokens(composed)) == ["ecole", "izmir", "eleve"]
    assert [decomposed[start:end] for start, end, _ in spans(decomposed)] == decomposed.split()
    assert list(tokens("co\u00adoperate \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645")) == [
        "cooperate", "\u0645\u06cc\u062e\u0648\u0627\u0647\u0645"
    ]  # fmt: skip
    assert len(tokens("हिन्दी भाषा")) == 2
    index = Index.of([Document("0", "item", "f:0", decomposed, (("name", decomposed), ("description", "हिन्दी में")))])
    for query in ("école", decomposed, '"ecole izmir"', "हिन्दी", "éco*", "name:élève"):
        (hit,) = answer(index, parse(query), query, version=1, limit=9, only={}, purged={})
        assert "taken for" not in hit.why


def test_other_forms_of_a_word_are_found_and_count_less():
    texts = ["delayed trains", "delay of trains", "trains delaying us", "a relay", "OpenDocument files of SQLAlchemy"]
    index = Index.of(
        [Document(str(at), "item", f"f:i{at}@1", f"i{at}", (("description", text),)) for at, text in enumerate(texts)]
    )

    def found(query):
        return answer(index, parse(query), query, version=1, limit=9, only={}, purged={})

    assert sorted(found("delay").refs) == ["f:i0@1", "f:i1@1", "f:i2@1"]
    assert found("delay").refs[0] == "f:i1@1"
    assert found("delays").refs[0] == "f:i1@1"
    assert found('"delay"').refs == ["f:i1@1"]
    assert found("delay")[1].why == "delayed in description"
    (one,) = found("opendocument")
    assert one.highlights[0].marked() == "[OpenDocument] files of SQLAlchemy"
    assert found("document sqlalchemy")[0].highlights[0].marked() == "Open[Document] files of [SQLAlchemy]"


def test_a_word_is_taken_for_beginnings_that_tell_documents_apart():
    texts = ["generated gear", "generated", "generated", "generated"]
    index = Index.of(
        [Document(str(at), "item", f"f:i{at}@1", f"i{at}", (("description", text),)) for at, text in enumerate(texts)]
    )
    for query, total in (("ge", 1), ("ge*", 4), ("gen", 4)):  # a star asks for all, and so does what else is not there
        assert answer(index, parse(query), query, version=1, limit=9, only={}, purged={}).total == total, query


def test_an_item_is_found_by_its_reference_in_quotes(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("flights/nyc").add("delays", {"x": 1})
    lake.folio("flights/nyc").add("other", {"x": 1})
    for query in ('"flights/nyc:delays"', '"flights/nyc:delays@1"', '+"flights/nyc:delays"'):
        assert names(lake.search(query)) == ["delays"], query
    assert names(lake.search('"nyc:delays"')) == []
    assert names(lake.search('-"flights/nyc:delays"')) == ["other"]


def test_misspelt_words_among_many():
    rng = random.Random(7)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randrange(4, 12))) for _ in range(3_000)]
    index = Index.of(
        [Document(str(at), "item", f"f:{at}", "x", (("description", one),)) for at, one in enumerate(words)]
    )
    for word in (one for one in words[:150] if not one.endswith("s")):
        place = rng.randrange(len(word) - 1)
        typo = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
        if typo != word and typo[-1] != "s" and not index.frequency(typo):
            assert word in dict(index.alike(typo))


@pytest.mark.parametrize("least", [1, 3, 7])
def test_the_highest_of_many_scores(monkeypatch, least):
    monkeypatch.setattr(answers, "_STRETCH", 8)
    chance = np.random.default_rng(least)
    for most in (1, 2, 5, 1_000):
        scores = chance.integers(0, most, 203).astype(float)
        chosen = np.flatnonzero(chance.random(203) < 0.9)
        found = answers._highest(scores, chosen, least)
        best = sorted(chosen.tolist(), key=lambda one: (-scores[one], one))[:least]
        assert sorted(found) == sorted(best)


def test_words_are_taken_apart():
    assert list(tokens("FlightDelays_2013 naïve categories bus HTTPServer")) == [
        "flight", "delay", "2013", "naive", "category", "bus", "http", "server"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "found"),
    [
        *(
            ("東京", "abd"),
            ("都庁", "ab"),
            ("東京都", "a"),
            ('"東京"', "abd"),
            ("京都", "a"),
            ("入門", "c"),
            ("大阪", ""),
        ),
        *(("python", "c"), ("データ", "ce"), ("東", "abd"), ("庁", "ab"), ("name:東京", "d"), ("京", "abd")),
        *(("東京 -都庁", "d"), ("東*", "abd")),
    ],
)
def test_words_of_scripts_without_blanks_are_found_inside_of_texts(query, found):
    named = {"a": "a", "b": "b", "c": "c", "d": "東京", "e": "e"}
    texts = {"a": "昨日は東京都庁へ", "b": "東京 都庁", "c": "Python入門とデータ", "d": "", "e": "ﾃﾞｰﾀ"}
    documents = [
        Document(one, "item", f"f:{one}", name, (("name", name), ("content", texts[one])))
        for one, name in named.items()
    ]
    hits = answer(Index.of(documents), parse(query), query, version=1, limit=9, only={}, purged={})
    assert "".join(sorted(one.ref[2:] for one in hits)) == found
    if query == "東京都":
        assert hits[0].highlights[0].marked() == "昨日は[東京都]庁へ"


def test_tokens_of_a_word_depend_on_the_word_alone():
    for word in ("v2", "sensor7", "Sensor7", "2013", "V2", "HTTPServer", "東京v2", "naïve7"):
        for before in ("of", "Of", "é"):
            assert tokens(f"{before} {word} after")[1:-1] == tokens(word)
    documents = [
        Document(text, "item", f"f:{text}", "x", (("description", text),)) for text in ("a v2", "A v2", "é v2")
    ]
    assert answer(Index.of(documents), parse("v2"), "v2", version=1, limit=9, only={}, purged={}).total == 3


def test_an_index_that_grew_answers_as_one_made_at_once():
    rng = random.Random(3)
    words = ["fog", "snow", "rain", "hail", "sun", "wind"]

    def made(number):
        text = " ".join(rng.choices(words, k=rng.randrange(1, 9)))
        texts = (("name", f"item {number}"), ("description", text))
        return Document(
            str(number), "item", f"f:{number}@1", f"item {number}", texts, "f", rng.choice(["json", "table"])
        )

    live = {str(number): made(number) for number in range(300)}
    index = Index.of(list(live.values()))
    for step in range(40):
        removed = rng.sample(sorted(live), 3)
        added = [made(1000 + 10 * step + number) for number in range(rng.randrange(5))]
        for one in removed:
            del live[one]
        live.update({one.id: one for one in added})
        index = index.with_changes([f"f:{one}" for one in removed], added)
        whole = Index.of(list(live.values()))
        for query in ("fog", "fog -snow", '"snow rain"', "hail kind:json"):
            found, expected = (
                answer(one, parse(query), query, version=1, limit=20, only={}, purged={}) for one in (index, whole)
            )
            assert [(one.ref, round(one.score, 3)) for one in found] == [
                (one.ref, round(one.score, 3)) for one in expected
            ]
            assert (found.total, found.facets) == (expected.total, expected.facets)


def test_rows_that_make_no_sense_are_searched_as_far_as_they_do():
    rows = Rows().put("f", "good", tags=[None, "tag"], description="fine", entry_id="e1", kind="table", details="[")
    rows.put("f", "deep", entry_id="e2", kind="table", details='{"columns":' + "[" * 900 + "]" * 900 + "}")
    rows.put(
        "f", "odd", entry_id="e3", kind="table", details='{"columns": [{"name": 7}, 3, {}]}', content="\0"
    ).commit()
    tables, views = rows.tables(), Views()

    class Reader:
        def query(self, sql, params=None):
            return views.query(tables, sql, params)

    found = {one.name: one for one in item_documents(Reader(), {"e1", "e2", "e3"})}
    assert found.keys() == {"good", "deep", "odd"}
    assert found["good"].tags == ("tag",)
    assert ("column", "7") in found["odd"].texts


def test_threads_share_one_index(lake):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: names(lake.search("delays")), range(16)))
    assert found == [["delays", "delays_by_day", "grid"]] * 16
    assert len(session_of(lake).opened.part(_Indexes, _Indexes)._known) == 1


def test_the_command_line_says_the_same(lake):
    done = CliRunner().invoke(cli, ["--lake", lake.uri, "search", "delays", "--json"])
    found = json.loads(done.output)
    assert [one["name"] for one in found["hits"]] == ["delays", "delays_by_day", "grid"]
    done = CliRunner().invoke(cli, ["--lake", lake.uri, "search", "tags:x"])
    assert done.exit_code == 2


@pytest.mark.parametrize(
    ("query", "kind", "named"),
    [
        ("kind:tabel", "unknown-kind", "'table'"),
        ("+late kind:tabel", "unknown-kind", "'table'"),
        ("-kind:jsn", "unknown-kind", "'json'"),
        ("(kind:table OR kind:aray)", "unknown-kind", "'array'"),
        ('kind:"tabel"', "unknown-kind", "'table'"),
        ("kind:experimnt", "unknown-kind", "'experiment'"),
        ("status:donne", "unknown-status", "'done'"),
        ("NOT status:lots", "unknown-status", "'lost'"),
    ],
)
def test_a_kind_or_status_that_nothing_can_have_is_refused(tmp_path, query, kind, named) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add("late", {"a": 1})
    with pytest.raises(lf.InvalidInputError) as caught:
        lake.search(query)
    assert caught.value.kind == kind
    assert f"did you mean {named}" in str(caught.value.hint)


def test_a_kind_that_nothing_has_yet_finds_nothing(tmp_path) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.add_run_type("nightly")
    lake.folio("f").add("late", {"a": 1})
    for query in ("kind:table", "kind:run", "kind:nightly", "status:lost", "kind:tab*"):
        assert lake.search(query).total == 0
    assert lake.search("", kind="table").total == 0
    assert lake.search("kind:JSON").total == 1


@pytest.mark.parametrize("meaning", [False, True])
def test_what_the_library_keeps_for_itself_stands_last(tmp_path, meaning):
    lake = lf.open(tmp_path / "lake")
    lake.folio("a").add("plan", {"note": "a long text that says once, among much else, late and also the word flights"})
    with lake.run("train") as run:
        run.add_output("notes", {"late": "late flights"})
    lake.folio("inputs").add("6f0c1d", b"late flights: late_flights = late(flights)")
    lake.folio("inputs").add("late flights", b"of that name")
    found = [hit.folio for hit in lake.search("late flights", meaning=meaning) if hit.type == "item"]
    assert (found[:2], sorted(found[2:])) == (["inputs", "a"], ["inputs", f"runs/{run.run_id}"])
    assert [hit.folio for hit in lake.search("late flights", folio="inputs", meaning=meaning)] == ["inputs", "inputs"]


@pytest.mark.parametrize("stored", [False, True])
def test_members_of_datasets_are_not_found_beside_their_originals(tmp_path, monkeypatch, stored):
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("my/datasets").add("late", 1, description="late flights of the year")
    folio.add("fog", 2, description="flights in fog").add("rain", 3, description="no more than rain")
    lake.create_dataset("paper", lake.query(folio="my/datasets"))
    folio.delete("rain", warn_dependents=False)
    if stored:
        monkeypatch.setattr(upkeep, "INDEXED_FROM", 0)
        assert upkeep.make_index(session_of(lake)) is not None
    for query in ("flights", "late flights of the year", "", "fli*"):  # by words and by meaning, all, by beginnings
        found = lake.search(query)
        assert {one.folio for one in found} == set(found.facets["folio"]) == {"my/datasets"}, query
        assert found.total == 2
    # who names the dataset, or finds nothing else, means the members
    assert {one.folio for one in lake.search("paper")} == {"datasets/paper"}
    assert {one.folio for one in lake.search("flights paper")} == {"datasets/paper", "my/datasets"}
    assert lake.search("flights", folio="datasets/paper").total == 2
    assert [one.folio for one in lake.search("rain")] == ["datasets/paper"]
    assert {one.folio for one in lake.similar("my/datasets:late")} <= {"my/datasets"}


def test_what_runs_note_of_themselves_is_found_if_it_is_asked_for_or_nothing_else_is(tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("exp").add("delays", [1], description="late trains")
    lake.folio("my/code").add("delays of mine", [2])
    lake.folio("code").add("8fcd", b"plot(delays, trains, buses)")
    lake.folio("environments").add("bd03", {"python": "buses 3.11"})

    def refs(found: Iterable[Any]) -> set[str]:
        return {one.ref.rpartition("@")[0] for one in found}

    assert refs(lake.search("delays")) == {"exp:delays", "my/code:delays of mine"}
    assert set(lake.search("delays").facets["folio"]) == {"exp", "my/code"}
    assert refs(lake.search("buses")) == {"code:8fcd", "environments:bd03"}
    assert refs(lake.search("delays code")) >= {"code:8fcd", "exp:delays"}
    assert refs(lake.search("delays", folio="code")) == {"code:8fcd"}
    assert refs(lake.query()) == {"exp:delays", "my/code:delays of mine"}
    assert refs(lake.query(folio="code")) == {"code:8fcd"}
    assert refs(lake.query(folio=("startswith", "env"))) == {"environments:bd03"}
    assert "code:8fcd" in refs(lake.query(where="folio = 'code'"))
