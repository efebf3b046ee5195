"""How fast the page is, in Chromium: table, curves, lineage, and the first rows of lakes of any size.

Times are of the browser (performance.now), from the input to the frame after the one that shows the result, the median
of several. Curves are measured with the points read before, and once as they come from the lake.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import scale_lake
from playwright.sync_api import Browser, Page, sync_playwright

import lakefolio as lf
from lakefolio.pages import PageServer

SETTLED = "new Promise(done => requestAnimationFrame(() => setTimeout(() => done(performance.now()))))"


def make(place: Path, runs: int, points: int, nodes: int) -> lf.Lake:
    """Fill a lake: many runs, five of them with curves, and a graph of items."""
    lake, random = lf.open(place), Random(1)
    began = datetime(2026, 1, 1, tzinfo=UTC)
    with lake.batch("runs"):
        for number in range(runs - 5):
            lake.create_run(
                name=f"train-{number:05}",
                project=random.choice(["churn", "fraud", "pricing"]),
                model=random.choice(["rf", "xgb", "mlp"]),
                params={"lr": 10 ** random.uniform(-5, -1), "depth": random.randint(2, 12), "seed": number},
                metrics={"auc": random.random(), "loss": random.random(), "f1": random.random()},
                status="done",
                started_at=began + timedelta(minutes=number),
                ended_at=began + timedelta(minutes=number + 5),
            )
    for number in range(5):
        with lake.run(f"curve-{number}", project="curves") as run:
            for step in range(points // 5):
                run.log(loss=1 / (1 + step / 1000) + random.random() / 10, step=step)
    folio = lake.folio("graph")
    with lake.batch("a graph"):
        for number in range(nodes):
            before = [f"node-{one:03}" for one in {number // 2, number - 1 - number % 7} if 0 <= one < number]
            folio.add(f"node-{number:03}", number, inputs=before)
    return lake


@contextmanager
def served(lake: lf.Lake, browser: Browser) -> Iterator[tuple[PageServer, Page]]:
    with PageServer(lake) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page(viewport={"width": 1200, "height": 800})
        page.set_default_timeout(120_000)
        yield server, page
        page.close()
        server.shutdown()


def told(what: str, times: list[float]) -> None:
    print(f"{what:<66} {statistics.median(times):8.0f} ms  ({min(times):.0f} to {max(times):.0f})", flush=True)


def measured(page: Page, act: str, repeats: int = 7) -> list[float]:
    """Return the milliseconds from an act to the frame that shows what became of it; ``i`` counts the acts."""
    script = f"async i => {{ const began = performance.now(); await ({act}); return await {SETTLED} - began; }}"
    return [page.evaluate(script, number) for number in range(repeats)]


def table(page: Page, runs: int) -> None:
    typed = (
        "(async () => { const box = document.querySelector('.filter'); box.value = %s; "
        "box.dispatchEvent(new Event('input', { bubbles: true })); })()"
    )
    heading = "document.querySelectorAll('thead button')[i % 7].click()"
    page.locator("tbody tr").first.wait_for()
    told(f"{runs:,} runs sorted by a click on a heading", measured(page, heading))
    told(f"{runs:,} runs filtered by a word", measured(page, typed % "['rf', 'xgb', 'train-0'][i % 3]"))
    told(f"{runs:,} runs filtered by a condition", measured(page, typed % "'auc>0.' + (i + 1)"))
    measured(page, typed % "''", 1)


def curves(page: Page, points: int) -> None:
    runs = page.evaluate(
        "lakefolio.ask('runs').then(data => { const at = name => data.columns.find(one => one.name === name).values;"
        " return at('run_id').filter((_, row) => at('project')[row] === 'curves'); })"
    )
    began = time.perf_counter()
    page.evaluate("runs => { location.hash = lakefolio.href('compare', { runs: runs.join('\\n') }); }", runs)
    page.locator("figure.plot canvas").wait_for()
    told(f"{points:,} points: the first time, read from the lake", [(time.perf_counter() - began) * 1000])
    # another part each time: asked of the server, made smaller there, drawn here
    asked = "lakefolio.ask('curves', { runs: runs.join('\\n'), from: i + 1, to: 1e9 })"
    page.evaluate("runs => { window.runs = runs; }", runs)
    told(f"{points:,} points: asked for", measured(page, asked))
    box = page.locator("figure.plot canvas").bounding_box()
    assert box is not None
    times = []
    for number in range(5):
        page.evaluate(
            "() => { window.zoomed = new Promise(done => addEventListener('mouseup', async () => {"
            " const began = performance.now(), seen = document.querySelector('figure.plot canvas');"
            " while ([seen, null].includes(document.querySelector('figure.plot canvas')))"
            " await new Promise(requestAnimationFrame);"
            f" done(await {SETTLED} - began); }}, {{ once: true, capture: true }})); }}"
        )
        y = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + 70 + 2 * number, y)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 20, y, steps=3)
        page.mouse.up()
        times.append(page.evaluate("window.zoomed"))
    told(f"{points:,} points: zoomed, asked for and drawn", times)


def lineage(page: Page, nodes: int) -> None:
    times = []
    for _ in range(5):
        page.evaluate("location.hash = '#/storage'")
        page.get_by_text("Largest items").wait_for()
        script = (
            "async () => { const began = performance.now(); location.hash = '#/lineage?ref=graph:node-000'; "
            f"while (document.querySelectorAll('.node').length < {nodes}) await new Promise(requestAnimationFrame); "
            f"return await {SETTLED} - began; }}"
        )
        times.append(page.evaluate(script))
    told(f"{nodes} nodes of lineage: the first time", times[:1])
    told(f"{nodes} nodes of lineage: laid out and drawn", times[1:])


def first_rows(browser: Browser, place: Path, entries: int) -> None:
    began = time.perf_counter()
    lake = lf.open(place, create=False, read_only=True)
    print(f"{entries:,} entries: opened in {time.perf_counter() - began:.2f} s", flush=True)
    with served(lake, browser) as (server, page):
        for what in ("first rows, a new server", "first rows", "first rows"):
            began = time.perf_counter()
            page.goto(server.url + "#/items")
            page.locator("tbody tr").first.wait_for()
            told(f"{entries:,} entries: {what}", [(time.perf_counter() - began) * 1000])
            page.goto("about:blank")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--points", type=int, default=500_000)
    parser.add_argument("--nodes", type=int, default=300)
    parser.add_argument("--entries", type=int, default=1_000_000, help="of the lake whose first rows are waited for")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        lake = make(Path(folder) / "lake", given.runs, given.points, given.nodes)
        with served(lake, browser) as (server, page):
            page.goto(server.url + "#/runs")
            table(page, given.runs)
            curves(page, given.points)
            lineage(page, given.nodes)
        if given.entries:
            large = Path(folder) / "large"
            scale_lake.make(str(large), given.entries, max(given.entries // 10, 1))
            first_rows(browser, large, given.entries)
        browser.close()
        print("done")


if __name__ == "__main__":
    main()
