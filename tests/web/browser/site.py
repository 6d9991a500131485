"""A small cadence with lines in known channels, a server that shows its corpus, and a browser that looks at it."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import Config, ScanConfig
from pipeline.filterbank import write_filterbank
from pipeline.model import Header
from pipeline.run import ingest
from pipeline.web import ServeSettings, parts_of
from pipeline.web.server import listening, server_of

CHANNELS = 16_384
COARSE = 8192
WIDTH_MHZ = 2.7939677238464355e-06
F_MIN_MHZ = 1400.0
SPECTRA = 16
CONFIG = Config(ScanConfig(coarse_width=COARSE, views=(), overview=True))
LINES = (1000, 5001, 12_345)
"""Channels, in ascending frequency, with a steady line."""
COMB = 9000
"""First channel of a comb of lines that are 16 channels apart."""
HOSTILE = "<img src=x onerror=alert(1)>"
"""Target of one of the scans: its name must stay a text."""
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")
REQUIRED = "LOOKALIKE_BROWSER_REQUIRED"


def edge_mhz(channel: float) -> float:
    """Return the lower edge of a channel."""
    return F_MIN_MHZ + channel * WIDTH_MHZ


def scan_of_cadence(path: Path, number: int, target: str, *, ascending: bool = False) -> Path:
    """Write a scan with noise, and lines and a comb in known channels."""
    rng = np.random.default_rng(number)
    power = rng.gamma(102, 1 / 102, (SPECTRA, CHANNELS))
    power[:, list(LINES)] += 6
    power[number % 3 :: 3, COMB : COMB + 128 : 16] += 3
    sign = 1 if ascending else -1
    first = edge_mhz(0.5) if ascending else edge_mhz(CHANNELS - 0.5)
    header = Header(fch1_mhz=first, foff_mhz=sign * WIDTH_MHZ, nchans=CHANNELS, nifs=1, nbits=32, tsamp_s=18.253611008,
                    nsamples=SPECTRA, tstart_mjd=59_000 + number * 300 / 86_400, source_name=target, telescope_id=6)
    return write_filterbank(path, (1e9 * power).astype(np.float32), header)


def cadence(folder: Path) -> Path:
    """Write the scans of the cadence."""
    folder.mkdir()
    scan_of_cadence(folder / "on1.h5", 0, "TARGET")
    scan_of_cadence(folder / "off1.fil", 1, HOSTILE, ascending=True)
    scan_of_cadence(folder / "on2.h5", 2, "TARGET")
    return folder


@dataclass
class Site:
    """A server on loopback."""

    address: str
    parts: Any
    data: Path

    def source(self, stem: str) -> str:
        """Return the id of the scan in a file."""
        sources = self.parts.archive.pinned.opened.manifest.sources
        return next(scan_id for scan_id, entry in sources.items()
                    if Path(entry.path).stem == stem and "+" not in scan_id)

    def login(self) -> str:
        """Return an address that logs a browser in."""
        return listening(self.parts).login


@contextmanager
def serving(corpus: Path, data: Path, port: int = 0, key: bytes = b"k" * 32) -> Iterator[Site]:
    """Serve a corpus from a thread of this process. Another key knows no cookie of before."""
    parts = parts_of(ServeSettings(corpus=corpus, data_roots=(data,), port=port), key=key)
    server, listener = server_of(parts)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not server.started and time.monotonic() < until:
        time.sleep(0.02)
    try:
        yield Site(f"http://127.0.0.1:{parts.port}", parts, data)
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()


def ingested(folder: Path) -> tuple[Path, Path]:
    """Make the corpus of the cadence; return its folder and that of the data."""
    data = cadence(folder / "data")
    ingest([data], folder / "corpus", config=CONFIG, serial=True)
    return folder / "corpus", data


def browser_or_reason() -> tuple[str, str]:
    """Return the path of a chromium; or why there is no browser for these tests."""
    try:
        import axe_playwright_python.sync_playwright  # noqa: F401
        import playwright.sync_api  # noqa: F401
    except ImportError as error:
        return "", f"{error.name} is not installed: make setup installs it"
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    return (path, "") if path else ("", "there is no chromium on the path: make browser installs it")


def executable() -> str:
    """Return the path of a chromium. Skip the test where there is none, or fail if it is required."""
    path, reason = browser_or_reason()
    if path:
        return path
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{REQUIRED} is set, and {reason}")
    pytest.skip(reason)


def until(page: Any, condition: str, argument: Any = None, limit_s: float = 20) -> None:
    """Wait until an expression is true. The pages forbid the ``eval`` that playwright's own function needs."""
    end = time.monotonic() + limit_s
    while not _is_true(page, condition, argument):
        assert time.monotonic() < end, f"{page.url}: never became true: {condition}"
        page.wait_for_timeout(30)


def _is_true(page: Any, condition: str, argument: Any) -> bool:
    from playwright.sync_api import Error

    try:
        return bool(page.evaluate(condition, argument))
    except Error:  # the page is being left for another one
        return False
