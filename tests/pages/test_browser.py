"""The page in a real Chromium: what a person sees, what a screen reader is told, and that data is never a script."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from pages_support import HOSTILE

import lakefolio as lf
from lakefolio.pages import PageServer, freeze
from lakefolio.testing.need import need, need_program

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

CONTRASTS = """() => {
  const parse = text => {
    const parts = text.match(/[\\d.]+/g).map(Number), unit = text.startsWith("color(") ? 255 : 1;
    return [...parts.slice(0, 3).map(part => part * unit), parts[3] ?? 1];
  };
  const linear = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
  const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3]));
  const found = [];
  for (const one of document.querySelectorAll("body *")) {
    if (one.closest("svg, script, .hidden, .skip, [aria-disabled=true]") || !one.getClientRects().length) continue;
    if (![...one.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
    let back = [255, 255, 255], fore = parse(getComputedStyle(one).color);
    const above = [];
    for (let at = one; at; at = at.parentElement) above.unshift(getComputedStyle(at));
    for (const style of above) { back = over(parse(style.backgroundColor), back); fore[3] *= Number(style.opacity); }
    const [high, low] = [light(over(fore, back)), light(back)].sort((a, b) => b - a);
    if ((high + .05) / (low + .05) >= 4.5) continue;
    found.push(`${one.className || one.tagName}: ${one.textContent.slice(0, 30)}`);
  }
  return found;
}"""
"""Texts that stand out less than WCAG's level AA asks (4.5 to 1)."""
EVERY_TINT = """() => {
  const kinds = "table array sparse json timestamp model torch artifact directory figure run external other".split(" ");
  const words = [...kinds.map(kind => "kind kind-" + kind), "muted"];
  const made = (tag, told) => Object.assign(document.createElement(tag), told);
  const backs = ["back", "panel", "raised", "mark"].map(name => made("p", { style: `background: var(--${name})` }));
  for (const back of backs) back.append(...words.map(word => made("span", { className: word, textContent: word })));
  document.body.replaceChildren(...backs);
  return document.querySelectorAll("p > span").length;
}"""
"""Show each kind, and what is muted, on every colour that rows and pages have behind them."""
PAGES = (
    "runs",
    "runs?view=scatter",
    "runs?view=parallel",
    "compare",
    "items",
    "lineage",
    "history",
    "snapshots",
    "storage",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    need("playwright", "test")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=need_program("chromium", "test"), args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def server(shop: Path) -> Iterator[PageServer]:
    with PageServer(lf.open(shop, create=False, read_only=True)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def page(browser: Browser, server: PageServer) -> Iterator[Page]:
    """The page at its first address; whatever it complains of fails the test."""
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    page = context.new_page()
    page.set_default_timeout(20_000)
    said = _listen(page)
    page.goto(server.url)
    yield page
    context.close()
    assert said == []


def _listen(page: Page) -> list[str]:
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    return said


def go(page: Page, path: str) -> None:
    """Go to a page, and return once it is drawn, or says that it waits for the lake."""
    page.evaluate(
        """path => new Promise(done => {
          const before = location.hash, drawn = () => requestAnimationFrame(() => requestAnimationFrame(() => done()));
          location.hash = '#/' + path;
          if (location.hash === before) drawn();
          else addEventListener('hashchange', drawn, { once: true });
        })""",
        path,
    )


def run_ids(page: Page) -> list[str]:
    found: list[str] = page.evaluate(
        "lakefolio.ask('runs').then(data => data.columns.find(one => one.name === 'run_id').values)"
    )
    return found


def names(page: Page) -> list[str]:
    """Return the first cell of each row of the table of runs."""
    page.locator("tbody tr").first.wait_for()
    return page.locator("tbody tr td:nth-child(2)").all_inner_texts()


def test_the_table_of_runs_is_sorted_and_filtered(page: Page) -> None:
    assert names(page)[:3] == ["train-2", "train-1", "train-0"]
    cut = "[...document.querySelectorAll('td:has(> input)')].map(one => one.scrollWidth > one.clientWidth)"
    assert page.evaluate(cut) == [False] * 4  # a box that is cut has an ellipsis beside it
    page.get_by_role("button", name=re.compile("metric auc")).click()
    assert names(page)[1:] == ["train-0", "train-1", "train-2"]
    header = page.locator("th[aria-sort=ascending]")
    assert header.inner_text().startswith("metric auc")
    box = page.get_by_role("searchbox", name="filter runs")
    box.fill("auc>0.905 project:churn")
    page.get_by_text("2 runs of 4").wait_for()
    assert sorted(names(page)) == ["train-1", "train-2"]
    box.fill("no such run")
    page.get_by_role("heading", name="No run matches").wait_for()


def test_the_token_does_not_stay_in_the_address(page: Page, server: PageServer) -> None:
    names(page)
    assert "token" not in page.url
    page.reload()
    names(page)


def test_columns_are_chosen_and_remembered(page: Page) -> None:
    names(page)
    page.get_by_text("Columns", exact=False).first.click()
    page.get_by_label("metrics.loss").uncheck()
    assert page.get_by_role("button", name=re.compile("metric loss")).count() == 0
    page.reload()
    names(page)
    assert page.get_by_role("button", name=re.compile("metric loss")).count() == 0


def test_runs_are_compared_with_curves(page: Page) -> None:
    names(page)
    for row in (0, 1):
        page.get_by_role("checkbox", name="choose ").nth(row).check()
    page.get_by_role("link", name="Compare 2").click()
    page.get_by_role("heading", name="2 runs side by side").wait_for()
    chart = page.locator("figure.plot canvas").first
    chart.wait_for()
    assert page.get_by_role("img", name="curve of loss for train-2, train-1").count() == 1
    until, step = time.monotonic() + 20, page.locator("[data-x]", has_text="step").first
    while (box := chart.bounding_box()) is None or not step.is_visible():  # it is drawn anew when the curve comes
        assert time.monotonic() < until
        if box is not None:
            page.mouse.move(box["x"] + box["width"] / 3, box["y"] + 90)
            page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 80)
        page.wait_for_timeout(50)
    # drag over the first half: the curve is asked for again, of that part
    page.mouse.move(box["x"] + 80, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 90, steps=4)
    page.mouse.up()
    page.get_by_role("button", name="whole range").click()
    page.get_by_label("log scale").check()
    page.get_by_role("slider", name="smoothing").fill("0.8")
    page.get_by_role("row", name=re.compile("metric auc 0.92 0.91")).wait_for()


def test_items_show_previews(page: Page) -> None:
    go(page, "item?ref=shop/eu:raw@1")
    page.get_by_role("cell", name="Oslo", exact=True).wait_for()
    page.get_by_text("This is not the newest").wait_for()
    go(page, "item?ref=shop/eu:grid")
    page.get_by_role("img", name="the array as a picture, 20 by 30 cells").wait_for()
    go(page, "item?ref=shop/eu:wave")
    page.get_by_role("img", name=re.compile("curve of values")).wait_for()
    go(page, "item?ref=shop/eu:pixel")
    picture = page.get_by_role("img", name="picture shop/eu:pixel@6")
    picture.wait_for()
    assert picture.evaluate("one => one.decode().then(() => one.naturalWidth)") == 1


def test_an_address_that_changes_while_the_page_is_being_drawn_is_followed(
    browser: Browser, server: PageServer
) -> None:
    page = browser.new_page()
    # deferred scripts have drawn the page by then, and no frame of it was shown yet
    page.add_init_script("addEventListener('DOMContentLoaded', () => { location.hash = '#/item?ref=shop/eu:raw@1'; })")
    page.goto(server.url)
    page.get_by_role("cell", name="Oslo", exact=True).wait_for()
    page.close()


def test_a_page_that_was_opened_behind_another_is_drawn_and_looks_for_commits_when_it_is_shown(
    browser: Browser, tmp_path: Path
) -> None:
    lake = lf.open(tmp_path / "lake")
    lake.folio("a").add("first", 1)
    with PageServer(lf.open(tmp_path / "lake", read_only=True)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        page = browser.new_page()
        page.add_init_script(
            "Object.defineProperty(document, 'hidden', { value: true, writable: true });"
            "const { setTimeout } = window;"  # the page's next look of its own never comes
            "window.setTimeout = (call, ms, ...more) => ms < 4000 || !ms ? setTimeout(call, ms, ...more) : 0;"
        )
        page.goto(server.url)
        page.get_by_role("link", name="first").wait_for()
        lake.folio("a").add("second", 2)
        page.evaluate("document.hidden = false; document.dispatchEvent(new Event('visibilitychange'))")
        page.get_by_role("link", name="second").wait_for()
        page.close()
        server.shutdown()


@pytest.mark.parametrize("cut", [True, False])
def test_an_answer_that_was_lost_is_asked_for_again(browser: Browser, server: PageServer, cut: bool) -> None:
    page = browser.new_page()
    lost: list[str] = []

    def lose(route: Route) -> None:
        if lost:
            return route.continue_()
        lost.append(route.request.url)
        return route.fulfill(body='{"half', content_type="application/json") if cut else route.abort()

    page.route("**/api/preview?*", lose)
    page.goto(server.url)
    go(page, "item?ref=shop/eu:raw@1")
    page.get_by_role("alert").filter(has_text="the server does not answer").wait_for()
    page.get_by_role("cell", name="Oslo", exact=True).wait_for()
    assert page.get_by_role("alert").count() == 0
    page.close()


def test_what_a_lake_holds_is_never_html(page: Page) -> None:
    title = page.title()
    for path in (*PAGES, "item?ref=shop/eu:config", "item?ref=shop/eu:notes", "item?ref=shop/eu:drawing"):
        go(page, path)
        page.locator("#app:not(:has(.waiting))").wait_for()
        page.wait_for_timeout(50)
        assert page.locator("#app [onerror], #app script, #app img:not(.picture)").count() == 0
    go(page, "item?ref=shop/eu:config")
    page.get_by_role("heading", name="config json").wait_for()
    assert page.locator(".tag").inner_text() == HOSTILE
    assert page.locator(".tag").evaluate("one => getComputedStyle(one).unicodeBidi") == "isolate"
    assert "pwned" not in page.title() + title


def test_lineage_is_walked_with_the_keyboard(page: Page) -> None:
    go(page, "lineage?ref=shop/eu:clean")
    root = page.get_by_role("link", name="clean, shop/eu @2, table, stale")
    root.focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith(
        "raw, shop/eu @1, table, replaced"
    )
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="raw table").wait_for()
    assert page.get_by_text("train-0").count() == 0


def test_the_whole_page_goes_back_in_time(page: Page) -> None:
    go(page, "items")
    page.get_by_role("link", name="blob").wait_for()
    page.get_by_role("slider", name="version").fill("2")
    page.get_by_text("2 items").wait_for()
    assert page.get_by_role("link", name="blob").count() == 0
    go_back = page.get_by_role("link", name="back to now")
    page.get_by_role("link", name="History").click()
    page.get_by_role("heading", name="History").wait_for()
    assert page.locator(".log > li").count() == 2  # links keep the version
    go_back.click()
    page.locator(".log > li").nth(5).wait_for()


def test_history_leads_to_what_changed(page: Page) -> None:
    go(page, "snapshots")
    page.get_by_role("link", name="diff to now").click()
    page.get_by_role("heading", name="Changed 1").wait_for()
    go(page, "storage")
    page.get_by_text("saved by storing equal content once").wait_for()


def test_two_versions_of_an_item_are_compared_by_keys(page: Page) -> None:
    go(page, "item?ref=shop/eu:raw")
    link = page.get_by_role("link", name=re.compile("what changed inside from version"))
    link.focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="What changed inside raw table").wait_for()
    page.get_by_role("region", name="rows that differ").get_by_role("row", name="removed 2").wait_for()
    box = page.get_by_role("textbox", name="columns of the key")
    box.fill("n")
    box.press("Enter")
    page.get_by_text("by key (n)").wait_for()
    assert page.get_by_role("combobox").count() >= 2
    page.get_by_role("button", name="Swap").click()
    page.get_by_role("row", name=re.compile("^added")).wait_for()


def test_a_key_that_is_no_column_is_said(browser: Browser, server: PageServer) -> None:
    page = browser.new_context().new_page()  # the console tells the refusal too, which no other page may
    page.goto(server.url)
    go(page, "inside?ref=shop/eu:raw")
    box = page.get_by_role("textbox", name="columns of the key")
    box.fill("nosuch")
    box.press("Enter")
    page.get_by_role("alert").filter(has_text="no column").wait_for()
    page.context.close()


def test_what_differs_is_shown_by_kind_and_never_run(browser: Browser, tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    folio = lake.folio("a")
    for number, text in enumerate(("one", HOSTILE)):
        folio.add("grid", np.full((50, 90), float(number)), overwrite=True)
        folio.add("notes", f"same\n{text}\n".encode(), overwrite=True)
        folio.add("config", {"text": text, HOSTILE: number}, overwrite=True)
        folio.add("table", pl.DataFrame({"k": [1], HOSTILE: [text]}), overwrite=True)
    folio.add("single", 1)
    with PageServer(lf.open(tmp_path / "lake", read_only=True)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        context = browser.new_context(viewport={"width": 400, "height": 800})
        page = context.new_page()
        said = _listen(page)
        page.goto(server.url)
        go(page, "inside?ref=a:grid")
        page.get_by_role("img", name="where the array differs").wait_for()
        assert page.locator(".heat rect").count() == 24 * 64
        for item in ("notes", "config", "table"):
            go(page, f"inside?ref=a:{item}")
            page.get_by_role("region").get_by_text("onerror").first.wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") <= 400, item
        go(page, "inside?ref=a:single")
        page.get_by_role("heading", name="There is one version only").wait_for()
        go(page, "inside?ref=a:nosuch")
        page.get_by_role("alert").first.wait_for()
        assert page.title() != "pwned"
        assert [one for one in said if "404" not in one] == []
        context.close()
        server.shutdown()


def test_search_is_reached_by_a_key_and_opens_what_it_finds(page: Page) -> None:
    names(page)
    page.keyboard.press("/")
    page.keyboard.type("sales by")
    page.get_by_role("link", name=re.compile("raw shop.eu")).wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="raw table").wait_for()


def test_a_search_shows_where_words_stand_and_is_narrowed_by_a_click(page: Page) -> None:
    names(page)
    page.get_by_role("searchbox", name="search items and runs").fill("city")
    page.locator(".found mark", has_text="city").first.wait_for()
    page.get_by_role("searchbox", name="search items and runs").fill("sales OR train")
    found = page.locator(".found li")
    page.get_by_role("button", name=re.compile("^only kind run, ")).wait_for()
    everything = found.count()
    page.get_by_role("button", name=re.compile("^only kind run, ")).click()
    page.get_by_role("button", name=re.compile("^only kind run, ")).wait_for(state="detached")
    assert page.get_by_role("searchbox", name="search items and runs").input_value() == "(sales OR train) kind:run"
    assert 0 < found.count() < everything
    go(page, "item?ref=shop/eu:raw&at=%231")  # a version of the item
    page.get_by_role("heading", name="raw table").wait_for()
    page.get_by_role("link", name="back to now").wait_for()
    assert page.get_by_role("alert").count() == 0


def test_rows_are_opened_by_keys(page: Page) -> None:
    names(page)
    page.get_by_role("region", name="runs").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press(" ")
    assert page.get_by_role("checkbox", name="choose ").nth(1).is_checked()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=re.compile("^train-1")).wait_for()


def test_errors_are_told_in_the_page(browser: Browser, server: PageServer) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(server.url)
    go(page, "item?ref=shop/eu:rwa")
    page.get_by_role("alert").filter(has_text="not found").wait_for()
    assert "raw" in page.get_by_role("alert").first.inner_text()
    go(page, "nowhere")
    page.get_by_role("alert").filter(has_text="there is no page nowhere").wait_for()
    stranger = browser.new_context().new_page()
    said = stranger.goto(server.url.split("?")[0])
    assert said is not None
    assert said.status == 403
    context.close()


def test_an_item_that_was_deleted_or_renamed_shows_what_it_was(browser: Browser, tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "gone")
    lake.folio("a").add("b", 1).add("b", {"last": 22}, overwrite=True).delete("b").add("c", 3).rename("c", "d")
    with PageServer(lake) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        context = browser.new_context()
        page = context.new_page()
        said = _listen(page)
        page.goto(server.url)
        go(page, "item?ref=a:b")
        page.get_by_text("Deleted at version 3.").wait_for()
        page.get_by_text('lake.folio("a").get("b@2")').wait_for()
        page.locator(".preview").get_by_text("22").wait_for()
        page.get_by_role("heading", name="History 3 changes").wait_for()
        go(page, "item?ref=a:c")
        page.get_by_text("Renamed to a:d at version 5.").wait_for()
        page.get_by_role("link", name="a:d").click()
        page.get_by_text('lake.folio("a").get("d")').wait_for()
        context.close()
        server.shutdown()
    assert said == []


def test_a_commit_shows_by_itself(browser: Browser, tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "live")
    lake.folio("a").add("first", 1)
    with PageServer(lf.open(tmp_path / "live", read_only=True)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.url)
        page.get_by_role("link", name="first").wait_for()
        lake.folio("a").add("second", 2)
        page.get_by_role("link", name="second").wait_for()
        context.close()
        server.shutdown()


def test_a_long_parameter_has_room_beside_its_name(browser: Browser, tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    run = lake.create_run(
        params={"lr": 1e-5, "a/very/long/name/of/a/parameter/with/slashes": "value " * 20}, status="done"
    )
    with PageServer(lf.open(tmp_path / "lake", read_only=True)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        context = browser.new_context(viewport={"width": 400, "height": 800})
        page = context.new_page()
        page.goto(server.url)
        go(page, f"run?id={run.run_id}")
        page.get_by_text("value value").wait_for()
        for name, value in zip(page.locator(".pairs dt").all(), page.locator(".pairs dd").all(), strict=True):
            left, right = name.bounding_box(), value.bounding_box()
            assert left is not None
            assert right is not None
            assert left["x"] + left["width"] <= right["x"]
            assert right["x"] + right["width"] <= 400
        context.close()
        server.shutdown()


def test_plots_draw_powers_of_ten_on_log_axes_and_fill_the_window(browser: Browser, tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    with lake.batch("runs"):
        for number, rate in enumerate((1e-4, 1e-3, 1e-2, 0.1)):
            lake.create_run(params={"lr": rate, "depth": number}, metrics={"loss": 1.0 / (number + 1)}, status="done")
    with PageServer(lf.open(tmp_path / "lake", read_only=True)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        context = browser.new_context(viewport={"width": 1200, "height": 900})
        page = context.new_page()
        page.goto(server.url)
        for view, name in (("scatter", "scatter of "), ("parallel", "parallel coordinates of ")):
            go(page, f"runs?view={view}")
            plot = page.get_by_role("img", name=name)
            plot.wait_for()
            box = plot.bounding_box()
            assert box is not None
            assert 600 < box["y"] + box["height"] <= 900, view
        label = plot.get_attribute("aria-label") or ""
        assert "params.lr (log)" in label
        assert "params.depth (log)" not in label
        context.close()
        server.shutdown()


def test_no_label_of_parallel_coordinates_is_cut_at_an_edge(browser: Browser, tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    with lake.batch("runs"):
        for loss in (0.03125, 0.03226, 0.03333):
            lake.create_run(params={"lr": loss, "seed": loss}, metrics={"loss": loss}, status="done")
    edges = """plot => {
      const pen = plot.getContext("2d");
      const inked = x => pen.getImageData(x, 0, 1, plot.height).data.some(part => part > 0);
      return [inked(Math.floor(plot.width / 2)), inked(0), inked(plot.width - 1)];
    }"""
    with PageServer(lf.open(tmp_path / "lake", read_only=True)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        page = browser.new_page()
        page.goto(server.url)
        go(page, "runs?view=parallel")
        plot = page.get_by_role("img", name="parallel coordinates of ")
        plot.wait_for()
        assert plot.evaluate(edges) == [True, False, False]
        page.close()
        server.shutdown()


def test_runs_side_by_side_name_the_run_around_them(browser: Browser, tmp_path: Path) -> None:
    lake = lf.open(tmp_path / "lake")
    around = lake.create_run(name="sweep", status="done").run_id
    ids = [lake.create_run(name=name, parent=around, status="done").run_id for name in ("low", "high")]
    with PageServer(lf.open(tmp_path / "lake", read_only=True)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        page = browser.new_page()
        page.goto(server.url)
        go(page, f"compare?runs={ids[0]}%0A{ids[1]}%0A{around}")
        page.get_by_role("row", name="parent sweep sweep –").wait_for()
        page.close()
        server.shutdown()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_a_small_screen(browser: Browser, server: PageServer, scheme: Any) -> None:
    context = browser.new_context(viewport={"width": 400, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.goto(server.url)
    for path in (
        *PAGES,
        "inside?ref=shop/eu:raw",
        "item?ref=shop/eu:raw",
        "lineage?ref=shop/eu:clean",
        "run?id=" + run_ids(page)[0],
    ):
        go(page, path)
        page.locator("main *").first.wait_for()
        page.locator("#app:not(:has(.waiting))").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, path
    for link in page.get_by_role("navigation", name="pages").get_by_role("link").all():
        found = link.bounding_box()
        assert found is not None
        assert found["x"] + found["width"] <= 400, link.text_content()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out(browser: Browser, server: PageServer, scheme: Any) -> None:
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    page.goto(server.url)
    for path in (*PAGES, "item?ref=shop/eu:config", "item?ref=shop/eu:raw@1", "inside?ref=shop/eu:raw", "items?at=3"):
        go(page, path)
        page.locator("main *").first.wait_for()
        page.locator("#app:not(:has(.waiting)):not(:has(.refreshing))").wait_for()
        assert page.evaluate(CONTRASTS) == [], path
    assert page.evaluate(EVERY_TINT) == 4 * 14
    assert page.evaluate(CONTRASTS) == []
    context.close()


@pytest.mark.parametrize(
    ("zone", "said"), [("UTC", "00:00Z"), ("Asia/Kolkata", "05:30+05:30"), ("America/New_York", "19:00-05")]
)
def test_every_time_carries_its_zone(browser: Browser, server: PageServer, zone: str, said: str) -> None:
    context = browser.new_context(timezone_id=zone)
    page = context.new_page()
    page.goto(server.url)
    page.get_by_role("cell", name=re.compile(re.escape(said))).first.wait_for()  # the run of 2026-01-01 in UTC
    for path in PAGES:
        go(page, path)
        page.locator("main *").first.wait_for()
        page.locator("#app:not(:has(.waiting))").wait_for()
        times = re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d\S*", page.locator("body").inner_text())
        assert times
        assert [one for one in times if not re.search(r":\d\d(Z|[+-]\d\d(:\d\d)?)$", one)] == [], path
    context.close()


def test_a_scatter_begins_with_columns_that_runs_have_both_of(page: Page) -> None:
    go(page, "runs?view=scatter")
    page.get_by_role("img", name=re.compile("^scatter of metrics.* over params.lr, 3 runs")).wait_for()
    page.get_by_text("3 of 4 runs have both").wait_for()
    page.get_by_role("combobox", name="x").select_option("metrics.loss")
    page.get_by_role("combobox", name="y").select_option("description")  # which one run has, that has no loss
    page.get_by_text("no run has both").wait_for()


def test_every_control_has_a_name(page: Page) -> None:
    ids = run_ids(page)
    for path in (
        *PAGES,
        f"compare?runs={ids[0]}%0A{ids[1]}",
        "item?ref=shop/eu:raw",
        "lineage?ref=shop/eu:clean",
        "diff?a=1",
        "inside?ref=shop/eu:raw",
    ):
        go(page, path)
        page.locator("#app:not(:has(.waiting))").wait_for()
        tree = page.locator("body").aria_snapshot()
        nameless = re.findall(
            r"- (?:link|button|checkbox|combobox|slider|searchbox|textbox|img)(?: \[[^\]]*\])*:?\n", tree
        )
        assert nameless == [], f"{path}: {tree}"
        assert page.get_by_role("navigation", name="pages").count() == 1


def test_a_frozen_page_opens_from_a_file_and_asks_nobody(browser: Browser, shop: Path, tmp_path: Path) -> None:
    frozen = freeze(lf.open(shop, create=False, read_only=True))
    target = tmp_path / "lake.html"
    target.write_bytes(frozen.html)
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    page = context.new_page()
    said, asked = _listen(page), []
    page.on("request", lambda request: asked.append(request.url) if request.url.startswith("http") else None)
    page.goto(target.as_uri())
    assert names(page)[0] == "train-2"
    ids = run_ids(page)
    for path, wanted in (
        (f"compare?runs={ids[0]}%0A{ids[1]}", "2 runs side by side"),
        (f"run?id={ids[2]}", "train-0"),
        ("item?ref=shop/eu:raw", "raw"),
        ("history", "History"),
        ("snapshots", "Snapshots"),
        ("storage", "Storage"),
        ("diff?a=9&b=10", "What changed"),
    ):
        go(page, path)
        page.get_by_role("heading", name=wanted).first.wait_for()
        assert page.get_by_role("alert").count() == 0, path
    go(page, "storage")
    page.get_by_role("link", name="raw shop/eu", exact=True).first.wait_for()  # two words, not one
    go(page, f"compare?runs={ids[0]}%0A{ids[1]}")
    page.get_by_role("img", name="curve of loss for train-2, train-1").wait_for()
    go(page, "lineage?ref=shop/eu:clean&depth=1")
    page.get_by_text("5 nodes").wait_for()
    go(page, "items?kind=array")
    page.get_by_text("2 items").wait_for()
    page.get_by_role("searchbox", name="search items and runs").fill("city")
    page.get_by_role("link", name=re.compile("raw shop.eu")).wait_for()
    box = page.get_by_role("searchbox", name="search items and runs")
    box.fill("shop")
    page.get_by_role("button", name=re.compile("^only kind array, 2 hits")).click()
    page.get_by_text("2 hits", exact=True).wait_for()
    assert box.input_value() == "shop kind:array"
    box.fill("train")
    page.get_by_role("link", name=re.compile("train-2")).first.wait_for()
    go(page, "item?ref=no:such")
    page.get_by_role("alert").filter(has_text="this file holds no answer").wait_for()
    assert (said, asked) == ([], [])
    context.close()


def test_a_comparison_of_runs_that_are_gone_says_so_and_waits_for_nothing(page: Page) -> None:
    go(page, "compare?runs=01nothing")
    page.get_by_role("alert").wait_for()
    page.locator("#app:not(:has(.waiting))").wait_for()
    assert "1 run of 1 not found" in (page.get_by_role("alert").text_content() or "")


def test_runs_are_chosen_by_their_names(page: Page) -> None:
    go(page, "runs")
    page.get_by_role("checkbox", name="choose train-1").check()
    assert page.get_by_role("link", name="Compare 1").count() == 1
