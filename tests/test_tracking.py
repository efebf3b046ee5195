"""``lake.track()``: what a process reads and adds is lineage of one run, and ``folio.why`` tells it."""

import html
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from inside import session_of

import lakefolio as lf
from lakefolio.folio.origin import Origin
from lakefolio.session.input_tracking import set_process_run
from lakefolio.testing.need import need

frame = pd.DataFrame({"x": [1, 2, 3]})


@pytest.fixture
def lake(tmp_path):
    lake = lf.open(tmp_path / "lake")
    lake.folio("f").add("raw", frame).add("other", [1])
    yield lake
    set_process_run(session_of(lake).place, None)


def refs(inputs):
    return [one.ref for one in inputs]


def sources(folio, name):
    return [one.ref for one in folio.why(name).sources]


def test_what_is_read_and_added_belongs_to_one_run(lake):
    folio = lake.folio("f")
    with lake.track("analysis", params={"k": 1}, tags=["t"], path="/somewhere/analysis.ipynb") as tracking:
        found = folio.get("raw")
        folio.add("clean", found)
        lf.open(lake.uri).folio("f").add("more", folio.get("clean"))  # through another handle
        thread = threading.Thread(target=lambda: folio.add("threaded", 1))
        thread.start()
        thread.join()
        assert "running" in repr(tracking)
    folio.add("after", folio.get("other"))
    run = lake.get_run(tracking.run.run_id)
    assert (run.name, run.status, run.params, run.tags) == ("analysis", "done", {"k": 1}, ["t"])
    assert refs(run.inputs) == ["f:raw@1"]
    assert [one.name for one in run.outputs] == ["clean", "more", "threaded"]
    assert sources(folio, "clean") == ["f:raw@1"]
    assert sources(folio, "more") == ["f:raw@1", lake.item("f:clean").ref]
    assert (folio.why("after").run, sources(folio, "after")) == (None, [])
    assert "ended" in repr(tracking)
    assert tracking.stop().run_id == run.run_id  # again: nothing


def test_inputs_that_are_given_are_those(lake):
    folio = lake.folio("f")
    with lake.track():
        folio.get("raw")
        folio.add("none", 1, inputs=[]).add("one", 2, inputs="other")
    assert sources(folio, "one") == ["f:other@2"]
    assert not folio.get_inputs("none")[:-1]


def test_an_item_is_made_neither_from_itself_nor_from_what_was_made_of_it(lake):
    folio = lake.folio("f")
    with lake.track():
        folio.add("clean", folio.get("raw"))
        folio.add("figure", folio.get("clean"), "of clean")
        folio.get("figure")
        folio.add("clean", frame * 3, overwrite=True)
    assert sources(folio, "clean") == ["f:raw@1"]


def test_a_cell_that_is_run_again_changes_nothing(lake):
    folio = lake.folio("f")
    with lake.track():
        for _ in range(2):
            folio.add("clean", folio.get("raw"))
            folio.add("figure", [1, 2])
            folio.get("clean")
            folio.get("other")
        entries = {one.item: one.entry_id for one in lake.items("f")}
        version = lake.version
        folio.add("clean", folio.get("raw"))
        assert (lake.version, {one.item: one.entry_id for one in lake.items("f")}) == (version, entries)
    with lake.track():  # Run All: the next run does the same
        folio.add("clean", folio.get("raw"))
    assert {one.item: one.entry_id for one in lake.items("f")} == entries
    folio.add("raw", frame + 1, overwrite=True)
    with lake.track():
        folio.get("raw")
        with pytest.raises(lf.AlreadyExistsError, match="inputs: f:raw"):
            folio.add("clean", frame)


def test_a_run_in_it_is_its_child_and_in_its_block_items_know_their_inputs(lake):
    folio = lake.folio("f")
    with lake.track() as tracking, lake.run("inner") as inner:
        inner.input("f:raw")
        folio.add("model", {"k": 1})
    assert lake.get_run(inner.run_id).parent == tracking.run.run_id
    assert lake.get_run(tracking.run.run_id).outputs == []
    assert sources(folio, "model") == ["f:raw@1"]


def test_the_next_track_ends_the_one_before(lake):
    one = lake.track()
    two = lake.track()
    assert (one.ended, two.ended) == (True, False)
    with pytest.raises(ZeroDivisionError), two:
        1 / 0  # noqa: B018
    assert [run.status for run in lake.runs()] == ["failed", "done"]
    assert lake.get_run(two.run.run_id).error_type == "ZeroDivisionError"


def test_a_lake_of_the_past_is_not_tracked(lake):
    with pytest.raises(lf.ReadOnlyError):
        lake.at(1).track()


SCRIPT = """
import sys
import lakefolio as lf
token = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"
lake = lf.open(sys.argv[1])
lake.track()
folio = lake.folio("f")
folio.add("made", folio.get("raw"), overwrite=True)
if sys.argv[2] == "raise":
    raise ValueError("so it is")
"""


@pytest.mark.parametrize(("way", "status"), [("end", "done"), ("raise", "failed")])
def test_a_script_ends_its_run_and_its_code_is_kept(lake, tmp_path, way, status):
    path = tmp_path / "make it.py"
    path.write_text(SCRIPT)
    done = subprocess.run([sys.executable, path, lake.uri, way], capture_output=True, text=True, timeout=60)
    assert (done.returncode, "so it is" in done.stderr) == (int(way == "raise"), way == "raise")
    assert done.stdout == ""
    [run] = lake.runs()
    assert (run.name, run.status, run.metadata["script"]) == ("make it", status, str(path))
    assert (run.error is not None and "so it is" in run.error) == (way == "raise")
    origin = lake.folio("f").why("made")
    assert 'lake.track()\nfolio = lake.folio("f")' in origin.code
    assert "ghp_" not in origin.code
    text, page = str(origin), origin._repr_html_()
    for part in ("f:raw@1", "table, 3 rows", "make it", str(path), "python"):
        assert part in text
    assert "<details><summary>code" in page
    assert origin.to_dict()["sources"][0]["ref"] == "f:raw@1"


def test_the_page_shows_the_picture_and_what_is_newer(lake):
    need("matplotlib", "plots").use("agg")
    plt = need("matplotlib.pyplot", "plots")
    folio = lake.folio("f")
    figure, axes = plt.subplots()
    axes.set(title="<b>Bold</b>", xlabel="x", ylabel="y")
    with lake.track():
        folio.get("raw")
        folio.add("fig", figure)
    plt.close(figure)
    folio.add("raw", frame * 5, overwrite=True)
    origin = folio.why("fig")
    page = origin._repr_html_()
    assert '<img alt="' in page
    assert "data:image/png;base64," in page
    assert "<b>Bold" not in page
    assert origin.sources[0].newer == lake.item("f:raw").version
    assert f"(newer: @{lake.item('f:raw').version})" in str(origin)
    with pytest.raises(lf.NotFoundError, match="fig"):
        folio.why("fog")


def test_more_than_anyone_can_tell_apart_is_not_named(lake):
    folio = lake.folio("many")
    with folio.batch():
        for number in range(65):
            folio.add(f"i{number}", number)
    with lake.track() as tracking:
        folio.get_many(list(folio))
        folio.add("sum", 1)
    assert folio.get_inputs("sum") == [tracking.run.run_id]
    assert len(lake.get_run(tracking.run.run_id).inputs) == 65


def test_importing_the_library_imports_none_of_this():
    code = "import sys, lakefolio; print([m for m in sys.modules if m.startswith(('lakefolio.recording', 'IPython'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
    assert Path(lf.__file__).exists()


def test_the_run_of_a_past_entry_is_told_as_it_ended(lake):
    with lake.run("train") as run:
        run.add_output("made", 1)
    [output] = lake.runs()[0].outputs
    assert "@" in output.ref
    origin = lake.folio("f").why(output.ref)
    assert (origin.ref, origin.run.status) == (output.ref, "done")


@pytest.mark.parametrize(("kind", "said"), [("notebook", "a notebook whose file is not known"), ("script", "launcher")])
def test_the_command_that_starts_a_kernel_is_no_code(lake, kind, said):
    with lake.run("r", metadata={"tracked": kind}) as run:
        lake.folio("f").add("made", [2])
    facts = replace(lake.folio("f").why("made").run, command="python ipykernel_launcher.py -f kernel.json")
    told = str(replace(lake.folio("f").why("made"), run=facts))
    assert run.run_id[-8:] in told
    assert said in told
    assert ("launcher" in told) == (kind == "script")


def test_the_inputs_of_a_refused_item_are_not_told(lake, monkeypatch):
    told = []
    monkeypatch.setattr("lakefolio.session.inferred_inputs.say", told.append)
    folio = lake.folio("f")
    with lake.track():
        folio.get("raw")
        with pytest.raises(lf.InvalidInputError):
            folio.add("frames", [frame])
        assert told == []
        folio.add("first", 1).add("second", 2)
    assert told == ["f:first was made from f:raw@1, which this run has read (inputs=[] says otherwise)"]


@pytest.mark.parametrize(
    ("first", "shown", "hidden"),
    [
        (60, ["… 44 lines before", "# line 44", "add('fig', plot)", "# line 67", "… 32 lines after"], "get('fig')"),
        (2, ["# line 0", "add('fig', plot)", "# line 23", "… 76 lines after"], "before"),
        (None, ["… 76 lines before", "# line 76", "get('fog')"], "after"),
    ],
)
def test_the_origin_of_an_item_shows_the_code_around_its_add(first, shown, hidden):
    code = [f"# line {number}" for number in range(100)]
    code[99] = "get('fog')" if first is None else "get('fig')"
    if first is not None:
        code[first] = "add('fig', plot)"
    origin = Origin(
        ref="f:fig@3", what="", description=None, made_by="ada", made_at=datetime.now(UTC), code="\n".join(code)
    )
    for text in (str(origin), html.unescape(origin._repr_html_())):
        assert [one for one in shown if one not in text] == []
        assert hidden not in text
