"""What things look like: escaped, complete, standalone; and runs side by side."""

from __future__ import annotations

import math
import re
import uuid
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thoroughness import examples

import lakefolio as lf
from lakefolio.maintenance.check_report import CheckReport, Problem
from lakefolio.render import curves, html

EVIL = "<script>alert(1)</script><img src=x onerror='alert(2)'>\"&\x1b[31m"
WORD = EVIL.replace("\x1b", "")  # names, tags and projects are one line of printable text


@pytest.fixture
def told(tmp_path):
    lake = lf.open(tmp_path / "lake")
    with lake.batch():
        for number in range(60):
            lake.folio("exp").add(f"item {number}", number, description="<b>bold</b>", tags=["one"])
    lake.snapshot("paper-v1", message="<i>as</i> submitted")
    lake.folio("exp").add("item 0", 1, overwrite=True, keep=True)
    return lake


@pytest.mark.parametrize(
    ("ask", "line", "cells"),
    [
        (
            lambda lake: lake.snapshots(),
            "1 snapshot\n<Snapshot paper-v1 of the lake, version 2",
            ["paper-v1", "<i>as</i> submitted"],
        ),
        (lambda lake: lake.items("exp"), "60 items\n<Entry exp:item 0@3, json", ["item 1", "json", "one"]),
        (lambda lake: lake.snapshots()[0], "<Snapshot paper-v1", ["paper-v1", "<i>as</i> submitted"]),
        (lambda lake: lake.item("exp:item 1"), "<Entry exp:item 1@1, json", ["exp:item 1@1", "json", "<b>bold</b>"]),
        (
            lambda lake: lake.diff(1, 3),
            "lake, version 1 to 3: 0 added",
            ["lake, version 1 to 3", "what changed", "~exp:item 0json", "1 B"],
        ),
        (lambda lake: lake.log(2), "@3", ["changes", "@3", "~ exp:item 0"]),
        (lambda lake: lake.history("exp:item 0"), "exp:item 0, 2 changes", ["of the item", "#2", "overwrite"]),
        (lambda lake: lake.stats(), "version 3: 60 items", ["60 items", "foliologicalstored", "exp"]),
        (lambda lake: lake.check(), "version 3: no problems", []),
        (lambda lake: lake.gc(), "version 3: would delete 0 blobs", []),
        (lambda lake: lake.storage_savings(), "0 runs with inputs", []),
        (lambda lake: lake.why("exp:item 0"), "exp:item 0 keeps no object", []),
    ],
)
def test_what_is_returned_shows_itself_as_text_and_html(told, ask, line, cells):
    found = ask(told)
    assert repr(found).startswith(line)
    reader = Reader()
    reader.feed(found._repr_html_())
    text = "".join(reader.text)
    assert not reader.open
    assert not {"i", "script"} & reader.tags
    assert all(cell in text for cell in cells)
    if not cells:
        assert text.strip() == str(found).strip()


def test_a_check_shows_its_problems_as_a_table():
    report = CheckReport(3, [Problem("blob-missing", "blobs/sha256/aa", EVIL)] * 60, {"rows": 1}, [f"not read: {EVIL}"])
    found = read(report._repr_html_())
    assert {"table"} <= found.tags
    for word in ("version 3: 60 problems (1 row)", "what is wrong", "blob-missing", "… and 10 more", "note: not read"):
        assert word in found.text
    assert found.text.count("alert(1)") == 51


def test_a_long_list_is_cut_where_it_is_shown_and_a_list_all_the_same(told):
    found = told.items("exp")
    assert found == list(found)
    assert len(found) == 60
    assert repr(found).splitlines()[-1] == "… and 10 more"
    assert "… and 10 more" in found._repr_html_()


class Reader(HTMLParser):
    """Collects tags, attributes and text; fails on what is not closed."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags, self.open, self.text, self.attributes = set(), [], "", set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if (
            tag not in ("meta", "br", "hr", "path", "polyline", "rect", "circle")
            or self.get_starttag_text()[-2:] != "/>"
        ):
            self.open += [] if tag == "meta" else [tag]

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    assert not reader.tags & {"script", "img", "iframe", "link", "object"}
    assert not {name for name in reader.attributes if name.startswith("on")}
    return reader


@pytest.fixture(scope="module")
def lake():
    lake = lf.open(f"memory://faces-{uuid.uuid4().hex}")  # a worker may come back to this module
    lake.folio("exp/a").add("raw", {"n": 1}, description=EVIL, tags=[WORD], metadata={"note": EVIL})
    for number in range(2):
        with lake.run(
            f"{WORD}{number}", run_id=f"r{number}", project=WORD, params={WORD: EVIL, "lr": number / 10}, tags=[WORD]
        ) as run:
            run.add_input("data", "exp/a:raw")
            run.log_points(WORD, [1.0, 0.5, math.nan, 0.25 - number / 10])
            run.log(once=1)
            run.add_output("m", {"i": number})
    lake.create_dataset("d", ["exp/a:raw"], description=EVIL)
    return lake


def test_everything_has_a_face_and_nothing_of_it_runs(lake):
    shown = {
        "lake": (lake, "exp/a"),
        "past": (lake.at(1), "exp/a"),
        "folio": (lake.folio("exp/a"), "raw"),
        "no folio": (lake.folio("nothing"), "no items"),
        "run": (lake.get_run("r0"), "exp/a:raw@1"),
        "found": (lake.query(), "exp/a:raw@1"),
        "nothing": (lake.query(name="x"), "0 items"),
        "dataset": (lake.get_dataset("d"), "datasets/d:raw"),
        "datasets": (lake.datasets(), "d"),
        "folder": (lake.browse("by_project"), "runs"),
        "root": (lake.browse(), "by_project"),
        "comparison": (lake.compare("r0", "r1"), "metrics"),
    }
    for what, (one, expected) in shown.items():
        text = read(one._repr_html_()).text
        assert expected in text, what
        assert "\x1b" not in text
    assert "<script>alert(1)" in read(lake.query()._repr_html_()).text


def test_the_end_of_a_traceback_is_shown():
    lake = lf.open("memory://traceback")
    with pytest.raises(ValueError, match="reason"), lake.run(run_id="r"):
        raise ValueError("x" * 300 + "the reason")
    assert "the reason" in read(lake.get_run("r")._repr_html_()).text


def test_an_empty_lake_and_one_that_is_gone_have_faces(tmp_path):
    lake = lf.open(tmp_path / "lake")
    assert "nothing in it yet" in read(lake._repr_html_()).text


@given(st.recursive(st.text() | st.floats() | st.integers() | st.none() | st.booleans(), st.lists, max_leaves=4))
@settings(max_examples=examples(60), deadline=None)
def test_any_value_is_shown_as_text(value):
    assert read(html.block(html.facts({"value": value}), html.row_table(["x"], [[value]]), str(value))).tags <= {
        "div", "table", "tbody", "thead", "tr", "td", "th", "span"
    }  # fmt: skip


def test_a_long_table_says_how_much_more_there_is():
    assert "… and 950 more" in read(html.row_table(["n"], [[number] for number in range(1000)])).text


# -- curves ----------------------------------------------------------------------------------------------------

points = st.lists(st.tuples(st.integers(-10, 10**6), st.floats()), max_size=30)


@given(st.dictionaries(st.text(max_size=8), points, max_size=4), st.text(max_size=8))
@settings(max_examples=examples(80), deadline=None)
def test_any_curves_can_be_drawn(drawn, title):
    text = curves.as_text(title, drawn)
    assert all(len(line) < 200 for line in text.split("\n")[1:14])
    read(curves.as_svg(title, drawn))


def test_a_run_looks_the_same_in_every_plot():
    lake = lf.open("memory://plots")
    for number in range(2):
        with lake.run(run_id=f"r{number}") as run:
            run.log_points("loss", [1.0, 0.5])
            if number:
                run.log_points("only", [1.0, 0.5])
    compared = lake.compare("r0", "r1")
    assert compared.plots().split("\n\n")[1].endswith("▲ r1")
    assert re.findall(r'<polyline[^>]*stroke="(#\w+)"', compared.to_html()) == ["#4c78a8", "#f58518", "#f58518"]


def test_what_a_curve_says_is_in_the_picture():
    svg = curves.as_svg("loss", {"a": [(0, 1.0), (1, math.inf), (10, 0.5)], "b": [(5, 0.75)]})
    assert "polyline" in read(svg).tags
    assert "circle" in read(svg).tags
    assert {"loss", "a", "b"} <= set(re.findall(r">([^<]+)</text>", svg))
    lines = curves.as_text("loss", {"a": [(0, 1.0), (10, 0.5)]}, width=11, height=3).split("\n")
    assert lines[1].endswith("┤●")
    assert lines[3].endswith("┤          ●")
    assert len(curves.as_svg("x", {"a": [(number, 1.0) for number in range(100_000)]})) < 20_000
    assert "no points" in curves.as_text("x", {"a": [(0, math.nan)]})


def test_a_picture_is_a_png(tmp_path, lake):
    pytest.importorskip("matplotlib")
    path = lake.compare("r0", "r1").to_png(tmp_path / "x.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    curves.as_png({"$x$": {"_hidden": [(0, 1.0)], "a$b": [(0, math.inf), (1, 2.0)]}, "none": {}}, path)
    assert path.read_bytes().startswith(b"\x89PNG")


# -- side by side ----------------------------------------------------------------------------------------------


def test_runs_side_by_side(lake):
    found = lake.compare("r1", "r0")
    assert [run.run_id for run in found.runs] == ["r1", "r0"]
    assert found.params["lr"] == [0.1, 0.0]
    assert found.inputs["data"] == ["exp/a:raw@1"] * 2
    assert found.metrics["once"] == [1, 1]
    assert list(found.curves) == [WORD]
    assert [value for _, value in found.curves[WORD]["r0"]][:2] == [1.0, 0.5]
    assert "lr" in str(found)
    assert "●" in found.plots()


def test_a_page_stands_alone(lake):
    page = lake.compare("r0", "r1").to_html()
    assert "svg" in read(page.partition("\n")[2]).tags
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=", re.sub(r"&lt;.*?&gt;", "", page))


@pytest.mark.parametrize(
    ("runs", "kind"),
    [((), "bad-comparison"), (("r0", "r0"), "bad-comparison"), (("r0", "r9"), "run-not-found")],
)
def test_what_can_not_be_compared(lake, runs, kind):
    with pytest.raises(lf.LakefolioError) as caught:
        lake.compare(*runs)
    assert caught.value.kind == kind


def test_without_curves_there_is_no_picture(tmp_path):
    lake = lf.open("memory://faces-flat")
    lake.create_run(run_id="r", status="done", metrics={"auc": 1.0})
    found = lake.compare("r")
    assert found.curves == {}
    with pytest.raises(lf.InvalidInputError) as caught:
        found.to_png(tmp_path / "x.png")
    assert caught.value.kind == "no-curves"
    assert not list(tmp_path.iterdir())


def test_a_record_table_and_a_provenance_show_themselves(tmp_path):
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("lab")
    scores = folio.create_table("scores", {"id": "int64", "note": "string"}, key="id")
    scores.append([{"id": 1, "note": "<b>x"}])
    assert "1 row:" in repr(scores)
    text = read(scores._repr_html_()).text
    for said in ("record table", "lab:scores", "1 row, version", "id", "int64", "note"):
        assert said in text
    folio.add("raw", 1, description="<script>alert(1)</script>")
    folio.add("made", 2, inputs=["raw"])
    found = folio.provenance("made")
    text = read(found._repr_html_()).text
    for said in ("provenance", "lab:made@", "2 nodes", found.root[:12], "lab:raw@"):
        assert said in text
