"""Measure the page in a real browser, while other people search, too.

    python -m benchmarks.bench_web [--corpus DIR] [--clients 7] [--rounds 10]

Without --corpus, it simulates the corpus of the demo. One browser and some API clients use one server. Each client
searches for a stored window, then thinks for a second. Times begin at a click and end when the pictures are drawn.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import heading, table
from pipeline.config import Config, ScanConfig
from pipeline.run import ingest
from pipeline.simulate import demo_corpus
from tests.web.browser.site import FLAGS, Site, browser_or_reason, serving

THINKS_S = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="default: that of the demo")
    parser.add_argument("--clients", type=int, default=7, help="API clients beside the browser")
    parser.add_argument("--rounds", type=int, default=10, help="how often each thing is done")
    asked = parser.parse_args()
    path, reason = browser_or_reason()
    if not path:
        raise SystemExit(f"bench_web: {reason}")
    with tempfile.TemporaryDirectory() as folder:
        corpus = asked.corpus or simulated(Path(folder))
        with serving(corpus, Path(folder)) as site, browsing(site, path) as page:
            status = get(site, page, "status")
            sources = get(site, page, "sources")["sources"]
            heading(f"The page: {status['sources']:,} scans, {status['windows_kept']:,} windows kept, "
                    f"{asked.clients} API clients", "fastapi", "uvicorn", "playwright")
            windows = windows_of(site, page, sources)
            search_once(site, page, windows[0])  # loads what the first search loads
            with clients(site, page, windows, asked.clients):
                rows = [row for measure in (first_page, stored_window, range_of_file, overview_tiles, file_tiles)
                        for row in measure(site, page, sources, windows, asked.rounds)]
            table(("with other clients", "median, ms", "95 %, ms", "n"), rows)
            print()
            work = [*frames(site, page, sources), *tiles_drawn(site, page, windows), size()]
            table(("work of the page", "value"), work)


def simulated(folder: Path) -> Path:
    """Make the corpus of the demo, with overviews."""
    demo_corpus(folder / "data")
    ingest([folder / "data"], folder / "corpus", config=Config(ScanConfig(overview=True)), serial=True)
    return folder / "corpus"


@contextmanager
def browsing(site: Site, path: str) -> Iterator[Any]:
    """Open a browser that has logged in."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(120_000)
        page.goto(site.login())
        yield page
        browser.close()


def cookie_of(page: Any) -> str:
    return "; ".join(f"{one['name']}={one['value']}" for one in page.context.cookies())


def get(site: Site, page: Any, path: str) -> Any:
    """Ask the API."""
    request = urllib.request.Request(f"{site.address}/api/v1/{path}", headers={"Cookie": cookie_of(page)})
    return json.load(urllib.request.urlopen(request))


def windows_of(site: Site, page: Any, sources: list[dict[str, Any]]) -> list[str]:
    """Return the names of some kept windows."""
    found = [get(site, page, f"sources/{one['id']}/windows?limit=50")["windows"] for one in sources if one["kept"]]
    return [f"{one['source']}/{one['window']}" for some in found for one in some if not one["view"]]


def post_search(site: Site, cookie: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(f"{site.address}/api/v1/searches", json.dumps(body).encode(), {
        "Cookie": cookie, "Origin": site.address, "Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        answer.read()


def search_once(site: Site, page: Any, window: str) -> None:
    post_search(site, cookie_of(page), {"window": window})


@contextmanager
def clients(site: Site, page: Any, windows: list[str], count: int) -> Iterator[None]:
    """Let some clients search and think."""
    ended, cookie = threading.Event(), cookie_of(page)

    def work(seed: int) -> None:
        chance = random.Random(seed)
        while not ended.wait(THINKS_S * chance.uniform(0.5, 1.5)):
            post_search(site, cookie, {"window": chance.choice(windows), "k": 24})

    threads = [threading.Thread(target=work, args=(seed,), daemon=True) for seed in range(count)]
    for one in threads:
        one.start()
    yield
    ended.set()
    for one in threads:
        one.join(60)


def row_of(name: str, times_s: list[float]) -> tuple[str, str, str, int]:
    return name, *(f"{1e3 * np.quantile(times_s, share):,.0f}" for share in (0.5, 0.95)), len(times_s)


def timed(act: Callable[[], Any]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def shown(page: Any, address: str, selector: str) -> float:
    """Open an address; return the seconds until the pages says that what it shows is drawn."""
    def act() -> None:
        page.goto(address, wait_until="commit")
        page.wait_for_selector(selector)

    return timed(act)


def first_page(site: Site, page: Any, sources: Any, windows: Any, rounds: int) -> list[Any]:
    times = [shown(page, f"{site.address}/", ".window-stage[aria-busy=false]") for _ in range(rounds)]
    return [row_of("first page, with a picture of an example", times)]


def stored_window(site: Site, page: Any, sources: Any, windows: list[str], rounds: int) -> list[Any]:
    times = [shown(page, f"{site.address}/results/new?window={one}&k=24", ".hit .window-stage[aria-busy=false]")
             for one in random.Random(1).sample(windows, min(rounds, len(windows)))]
    return [row_of("search for a stored window, until the first tile", times)]


def range_of_file(site: Site, page: Any, sources: Any, windows: Any, rounds: int) -> list[Any]:
    chance, times = random.Random(2), []
    for _ in range(rounds):
        one = chance.choice(sources)
        start = chance.uniform(one["f_start_mhz"], one["f_stop_mhz"] - 3e-3)
        stop = start + 256e-6 * one["channel_width_hz"]
        asked = f"file={one['id']}&f_start_mhz={start}&f_stop_mhz={stop}&k=24"
        times.append(shown(page, f"{site.address}/results/new?{asked}",
                           ".hit .window-stage[aria-busy=false], .empty, .problem"))
    return [row_of("search for a range of a file, until the first tile", times)]


def _tiles(site: Site, page: Any, sources: list[dict[str, Any]], kind: str, rounds: int) -> list[float]:
    details = [get(site, page, f"sources/{one['id']}") for one in sources[:6]]
    names = [f"sources/{one['id']}/tiles/{level['level']}/{number}" for one in details for level in one["levels"]
             if level["from"] == kind for number in range(min(4, -(-level["columns"] // level["columns_per_tile"])))]
    return [page.evaluate("""async (path) => {
        const began = performance.now();
        await (await fetch(path, {cache: "no-store"})).arrayBuffer();
        return (performance.now() - began) / 1000;
      }""", f"/api/v1/{name}") for name in random.Random(3).sample(names, min(4 * rounds, len(names)))]


def overview_tiles(site: Site, page: Any, sources: Any, windows: Any, rounds: int) -> list[Any]:
    times = _tiles(site, page, sources, "overview", rounds)
    return [row_of("tile of an overview", times)] if times else []


def file_tiles(site: Site, page: Any, sources: Any, windows: Any, rounds: int) -> list[Any]:
    times = _tiles(site, page, sources, "file", rounds)
    return [row_of("tile that is decoded from the file", times)] if times else []


def task_s(page: Any, act: Callable[[], None]) -> float:
    """Return the seconds that the page's main thread works while something is done."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")

    def value() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))

    before = value()
    act()
    return value() - before


def frames(site: Site, page: Any, sources: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Measure the work of a frame while the view moves."""
    page.goto(f"{site.address}/waterfall/{sources[0]['id']}")
    page.wait_for_selector(".panel[aria-busy=false]")
    count = 60

    def pan() -> None:
        page.evaluate("""async (count) => {
          for (let i = 0; i < count; i += 1) {
            dispatchEvent(new KeyboardEvent("keydown", {key: i % 2 ? "ArrowLeft" : "ArrowRight"}));
            await new Promise(requestAnimationFrame);
          }
        }""", count)

    pan()
    return [("work of a frame while the view moves", f"{1e3 * task_s(page, pan) / count:.1f} ms")]


def tiles_drawn(site: Site, page: Any, windows: list[str]) -> list[tuple[str, str]]:
    """Measure how long fifty tiles take to be drawn with other colours."""
    page.goto(f"{site.address}/results/new?window={windows[0]}&k=50")
    page.wait_for_selector(".hit .window-stage[aria-busy=false]")
    count = page.locator(".hit").count()
    page.evaluate("document.querySelectorAll('.hit').forEach(one => one.scrollIntoView())")
    page.wait_for_load_state("networkidle")

    def change() -> None:
        page.get_by_label("Map").select_option("magma")
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    return [(f"{count} tiles drawn with another colour map", f"{1e3 * task_s(page, change):.0f} ms")]


def size() -> tuple[str, str]:
    scripts = sorted(Path(str(resources.files("pipeline.web"))).glob("static/js/**/*.js"))
    total = sum(len(gzip.compress(one.read_bytes())) for one in scripts)
    return "all scripts, each compressed by gzip", f"{total / 1e3:.0f} kB"


if __name__ == "__main__":
    main()
