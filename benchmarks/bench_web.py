"""Measure the page in a real browser, alone and while other people search, too.

    python -m benchmarks.bench_web [--vectors 1000000] [--folder DIR] [--corpus DIR] [--clients 7] [--rounds 20]

Without --corpus, it makes a synthetic corpus (:mod:`benchmarks.synthetic`) with a search graph, and adds the scans of
the demo, which have files and overviews. A million vectors take 5 GB of --folder. The server is a process of its own,
as `lookalike serve` starts it. Each client searches for a stored window, then thinks for a second. Times begin when an
address is opened and end when the first picture is drawn. CPU is that of the server, while nobody else asks.
"""

from __future__ import annotations

import argparse
import gzip
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import heading, table
from benchmarks.web_site import (
    DRAWN,
    HIT_DRAWN,
    NO_HIT,
    ON_OFF_FILLED,
    Site,
    browsing,
    clients,
    get,
    made,
    search_once,
    serving,
    shown,
    when_shown,
    windows_of,
)
from tests.web.browser.site import browser_or_reason


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=1_000_000, help="vectors of the synthetic corpus")
    parser.add_argument("--folder", type=Path, help="where the corpus is made; default: a temporary folder")
    parser.add_argument("--corpus", type=Path, help="use this corpus, and make none")
    parser.add_argument("--clients", type=int, default=7, help="API clients beside the browser")
    parser.add_argument("--rounds", type=int, default=20, help="how often each thing is done")
    asked = parser.parse_args()
    path, reason = browser_or_reason()
    if not path:
        raise SystemExit(f"bench_web: {reason}")
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        corpus = asked.corpus or made(Path(folder), asked.vectors)
        with serving(corpus) as site, browsing(site, path) as page:
            measure(site, page, asked.clients, asked.rounds)


def measure(site: Site, page: Any, count: int, rounds: int) -> None:
    """Print all tables."""
    status, sources = get(site, page, "status"), get(site, page, "sources?limit=100")["sources"]
    heading(f"The page: {status['windows_kept']:,} windows kept, {status['sources']:,} scans, {count} API clients",
            "fastapi", "uvicorn", "playwright")
    windows = windows_of(site, page, sources)
    search_once(site, page, windows[0])  # loads what the first search loads
    acts = (first_page, stored_window, range_of_file, overview_tiles, file_tiles)
    head = ("", "median, ms", "95 %, ms", "server CPU, ms", "n")
    alone = [row for act in acts for row in act(site, page, sources, windows, rounds)]
    table(("alone", *head[1:]), [row.cells() for row in alone])
    print()
    with clients(site, page, windows, count) as done:
        began, cpu_s = time.perf_counter(), site.cpu_s()
        rows = [row for act in acts for row in act(site, page, sources, windows, rounds)]
        taken_s, cpu_s = time.perf_counter() - began, site.cpu_s() - cpu_s
    table(("with the clients", *head[1:3], "n"), [(*row.cells()[:3], row.cells()[4]) for row in rows])
    if done:
        median_s, late_s = np.quantile(done, (0.5, 0.95))
        print(f"\nThe clients searched {len(done)} times in {taken_s:.0f} s: median {1e3 * median_s:,.0f} ms, 95 % "
              f"{1e3 * late_s:,.0f} ms. The server used {cpu_s / taken_s:.2f} cores.\n")
    table(("work of the page", "value"), [*frames(site, page, sources), *tiles_drawn(site, page, windows), size()])


@dataclass
class Row:
    """Times of one thing that was done several times."""

    name: str
    times_s: list[float]
    cpu_s: list[float]

    def cells(self) -> tuple[str, str, str, str, int]:
        """Return the cells of a table."""
        wall = (f"{1e3 * np.quantile(self.times_s, share):,.0f}" for share in (0.5, 0.95))
        return self.name, *wall, f"{1e3 * statistics.mean(self.cpu_s):,.0f}", len(self.times_s)


def row_of(site: Site, name: str, acts: list[Callable[[], float]]) -> list[Row]:
    """Do some things, each of which returns how long it took; no row if there are none."""
    times_s, cpu_s = [], []
    for act in acts:
        before = site.cpu_s()
        times_s.append(act())
        cpu_s.append(site.cpu_s() - before)
    return [Row(name, times_s, cpu_s)] if acts else []


def first_page(site: Site, page: Any, sources: Any, windows: Any, rounds: int) -> list[Row]:
    return row_of(site, "first page, with a picture of an example",
                  [lambda: shown(page, f"{site.address}/", DRAWN)] * rounds)


def stored_window(site: Site, page: Any, sources: Any, windows: list[str], rounds: int) -> list[Row]:
    filled_s: list[float] = []

    def act(one: str) -> Callable[[], float]:
        def work() -> float:
            first_s = shown(page, f"{site.address}/results/new?window={one}&on_off=true&k=24", HIT_DRAWN)
            filled_s.append(when_shown(page, ON_OFF_FILLED))
            return first_s

        return work

    rows = row_of(site, "search for a stored window, until the first tile",
                  [act(one) for one in random.sample(windows, min(rounds, len(windows)))])
    return [*rows, *(Row("the same, until ON/OFF of all hits is shown", filled_s, one.cpu_s) for one in rows)]


def range_of_file(site: Site, page: Any, sources: Any, windows: Any, rounds: int) -> list[Row]:
    there = [one for one in sources if one["file_there"]]

    def act() -> float:
        one = random.choice(there)
        start = random.uniform(one["f_start_mhz"], one["f_stop_mhz"] - 3e-3)
        asked = f"file={one['id']}&f_start_mhz={start}&f_stop_mhz={start + 256e-6 * one['channel_width_hz']}&k=24"
        return shown(page, f"{site.address}/results/new?{asked}", HIT_DRAWN, NO_HIT)

    return row_of(site, "search for a range of a file, until the first tile", [act] * rounds if there else [])


def _tiles(site: Site, page: Any, sources: list[dict[str, Any]], kind: str, rounds: int) -> list[Callable[[], float]]:
    details = [get(site, page, f"sources/{one['id']}") for one in sources if one["file_there"] or one["overview"]][:6]
    names = [f"sources/{one['id']}/tiles/{level['level']}/{number}" for one in details for level in one["levels"]
             if level["from"] == kind for number in range(min(4, -(-level["columns"] // level["columns_per_tile"])))]

    def act(name: str) -> Callable[[], float]:
        return lambda: page.evaluate("""async (path) => {
            const began = performance.now();
            await (await fetch(path, {cache: "no-store"})).arrayBuffer();
            return (performance.now() - began) / 1000;
          }""", f"/api/v1/{name}")

    return [act(name) for name in random.sample(names, min(2 * rounds, len(names)))]


def overview_tiles(site: Site, page: Any, sources: Any, windows: Any, rounds: int) -> list[Row]:
    return row_of(site, "tile of an overview", _tiles(site, page, sources, "overview", rounds))


def file_tiles(site: Site, page: Any, sources: Any, windows: Any, rounds: int) -> list[Row]:
    return row_of(site, "tile that is decoded from the file", _tiles(site, page, sources, "file", rounds))


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
    shown_one = next((one for one in sources if one["overview"]), sources[0])
    page.goto(f"{site.address}/waterfall/{shown_one['id']}")
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
    page.wait_for_selector(HIT_DRAWN)
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
