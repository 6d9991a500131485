"""A real server on a corpus, a browser that has logged in, and API clients, for :mod:`benchmarks.bench_web`."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.synthetic import KEPT, Synthetic
from pipeline.run import ingest
from pipeline.simulate import demo_corpus
from tests.web.browser.site import FLAGS

THINKS_S = 1.0
WAIT_S = 120
VECTORS_OF_A_SEGMENT = 1_000_000
DRAWN = ".window-stage[aria-busy=false]"
HIT_DRAWN = f".hit {DRAWN}"
NO_HIT = ".empty, .problem"
ON_OFF_FILLED = ".hit .on-off:not(.asked, .unknown)"
NOTES_WHEN_SHOWN = """
  const shown = new Map();  // selector: milliseconds from the start of the navigation to the frame after it matched
  const waiting = new Set(SELECTORS);
  const look = () => {
    for (const selector of waiting) {
      if (!document.querySelector(selector)) continue;
      waiting.delete(selector);
      requestAnimationFrame(() => setTimeout(() => shown.set(selector, performance.now())));
    }
  };
  new MutationObserver(look).observe(document, {subtree: true, childList: true, attributeFilter: ["aria-busy"]});
  window.whenShown = async (selectors) => {
    for (;;) {
      const times = selectors.filter((one) => shown.has(one)).map((one) => shown.get(one));
      if (times.length) return Math.min(...times);
      await new Promise((done) => setTimeout(done, 20));
    }
  };
""".replace("SELECTORS", json.dumps([DRAWN, HIT_DRAWN, NO_HIT, ON_OFF_FILLED]))
"""Script in each page. The driver's own way to wait looks at all elements in each frame: a third of a second in all."""


@dataclass
class Site:
    """A server in a process of its own."""

    address: str
    login: str
    process: psutil.Process

    def cpu_s(self) -> float:
        """Return the CPU seconds that the server and its children have used."""
        used = [self.process.cpu_times(), *(one.cpu_times() for one in self.process.children(recursive=True))]
        return float(sum(one.user + one.system for one in used))


def timed(act: Callable[[], Any]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def made(folder: Path, vectors: int) -> Path:
    """Make a corpus: synthetic windows with a search graph, and the scans of the demo with overviews."""
    corpus = Synthetic(folder / "corpus", vectors, max(4, vectors // KEPT))
    corpus.index(max(1, vectors // VECTORS_OF_A_SEGMENT))
    demo_corpus(folder / "data")
    ingest([folder / "data"], corpus.root, add_overview=True, serial=True)
    return corpus.root


@contextmanager
def serving(corpus: Path) -> Iterator[Site]:
    """Run ``lookalike serve``."""
    command = [sys.executable, "-m", "pipeline", "serve", "--corpus", str(corpus), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            login = process.stdout.readline().removeprefix("open ").strip()
            if not login:
                raise SystemExit("bench_web: the server did not start")
            yield Site(login.partition("/login")[0], login, psutil.Process(process.pid))
        finally:
            process.terminate()


@contextmanager
def browsing(site: Site, path: str) -> Iterator[Any]:
    """Open a browser that has logged in."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(1e3 * WAIT_S)
        page.add_init_script(NOTES_WHEN_SHOWN)
        page.goto(site.login)
        yield page
        browser.close()


def shown(page: Any, address: str, *selectors: str) -> float:
    """Open an address; return the seconds until an element that matches one of the selectors is drawn."""
    page.goto(address, wait_until="commit")
    return when_shown(page, *selectors)


def when_shown(page: Any, *selectors: str) -> float:
    """Return the seconds from the opening of the page until an element that matches one of the selectors is drawn."""
    return float(page.evaluate("(selectors) => whenShown(selectors)", list(selectors))) / 1e3


def cookie_of(page: Any) -> str:
    return "; ".join(f"{one['name']}={one['value']}" for one in page.context.cookies())


def get(site: Site, page: Any, path: str) -> Any:
    """Ask the API."""
    request = urllib.request.Request(f"{site.address}/api/v1/{path}", headers={"Cookie": cookie_of(page)})
    return json.load(urllib.request.urlopen(request, timeout=WAIT_S))


def windows_of(site: Site, page: Any, sources: list[dict[str, Any]]) -> list[str]:
    """Return the names of some kept windows."""
    found = [get(site, page, f"sources/{one['id']}/windows?limit=50")["windows"] for one in sources if one["kept"]]
    return [f"{one['source']}/{one['window']}" for some in found for one in some if not one["view"]]


def post_search(site: Site, cookie: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(f"{site.address}/api/v1/searches", json.dumps(body).encode(), {
        "Cookie": cookie, "Origin": site.address, "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
        answer.read()


def search_once(site: Site, page: Any, window: str) -> None:
    post_search(site, cookie_of(page), {"window": window})


@contextmanager
def clients(site: Site, page: Any, windows: list[str], count: int) -> Iterator[list[float]]:
    """Let some clients search and think; give the list of the seconds that their searches take."""
    ended, cookie, taken_s, failed = threading.Event(), cookie_of(page), [], []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        while not ended.wait(THINKS_S * chance.uniform(0.5, 1.5)):
            try:
                taken_s.append(timed(lambda: post_search(site, cookie, {"window": chance.choice(windows), "k": 24})))
            except OSError as error:
                failed.append(error)

    threads = [threading.Thread(target=work, args=(seed,), daemon=True) for seed in range(count)]
    for one in threads:
        one.start()
    try:
        yield taken_s
    finally:
        ended.set()
        for one in threads:
            one.join(WAIT_S)
    if failed:
        raise SystemExit(f"bench_web: {len(failed)} searches of the clients failed, the first with: {failed[0]}")
