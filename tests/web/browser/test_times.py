"""Time on a waterfall: its direction, and a high scan that is zoomed in time."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from tests.web.browser.site import until
from tests.web.browser.test_flow import HEIGHT, LEFT, RIGHT, TOP, asked, drag, place_of
from tests.web.conftest import BURST_CHANNELS, BURSTS, HIGH_SPECTRA, Served

TSAMP_S = 1.5


@pytest.fixture(scope="module")
def page(browser: Any, high: Served) -> Any:
    """A page that is logged in at the server with the high scan."""
    context = browser.new_context(viewport={"width": 1272, "height": 900})
    context.set_default_timeout(20_000)
    page = context.new_page()
    page.goto(f"{high.address}/login?token={high.parts.access.new_one_time_token()}")
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    context.close()
    assert not faults


def look(page: Any, high: Served, start: float, stop: float) -> None:
    """Open the high scan where its bursts are, and look at some spectra."""
    scan = high.parts.archive.pinned.scans[0]
    first, width = high.parts.archive.pinned.opened.manifest.sources[scan].header, 2.7939677238464355e-06
    low, top = (first.f_min_mhz + channel * width for channel in (BURST_CHANNELS[0] - 50, BURST_CHANNELS[1] + 50))
    page.goto(f"{high.address}/waterfall/{scan}?f_start={low:.9f}&f_stop={top:.9f}&t_start={start * TSAMP_S}"
              f"&t_stop={stop * TSAMP_S}#low=1&high=8&windows=")
    page.wait_for_selector(".panel[aria-busy=false]")


def spectra_in_view(page: Any) -> tuple[float, float]:
    """Return the first spectrum in view, and the end of the last one, as the address has them."""
    query = parse_qs(urlsplit(page.url).query)
    if "t_start" not in query:
        return 0.0, float(HIGH_SPECTRA)
    return float(query["t_start"][0]) / TSAMP_S, float(query["t_stop"][0]) / TSAMP_S


@pytest.mark.parametrize(("start", "stop", "step"),
                         [(0, HIGH_SPECTRA, 5), (100, 250, 2), (30.4, 50.9, 1), (150, 166, 1), (283, HIGH_SPECTRA, 1)])
def test_each_burst_is_painted_where_its_spectrum_is(page: Any, high: Served, start: float, stop: float,
                                                     step: int) -> None:
    look(page, high, start, stop)
    middle = LEFT + (1200 - RIGHT) // 2
    column = page.evaluate("""([left, top, height]) => Array.from(document.querySelector(".picture").getContext("2d")
      .getImageData(left, top, 1, height).data)""", [middle, TOP, HEIGHT])
    is_bright = np.array(column).reshape(-1, 4)[:, 1].astype(int) > 190  # of viridis, green rises with power
    at = stop - (np.arange(HEIGHT) + 0.5) * (stop - start) / HEIGHT  # the spectrum at each dot: time runs upwards
    per_dot = (stop - start) / HEIGHT
    for lit, spectrum in zip(is_bright, at, strict=True):
        row = {int((spectrum + shift * per_dot) // step) for shift in (-0.6, 0, 0.6)}  # edges may be rounded
        bursts = {one // step for one in BURSTS}
        if len(row) == 1:
            assert lit == bool(row & bursts), spectrum
    lit_rows = {one // step for one in BURSTS if start < (one // step + 1) * step and one // step * step < stop}
    lit_spectra = sum(min(stop, (row + 1) * step, HIGH_SPECTRA) - max(start, row * step) for row in lit_rows)
    assert is_bright.sum() * per_dot == pytest.approx(lit_spectra, abs=4 * per_dot)


def test_counts_of_kept_windows_are_told_apart(browser: Any, page: Any, high: Served, served: Served) -> None:
    context = browser.new_context()
    own = context.new_page()
    own.goto(f"{served.address}/login?token={served.parts.access.new_one_time_token()}")
    scan = served.scans[0]
    own.goto(f"{served.address}/waterfall/{scan}")
    words = own.locator("#words-of-counts").text_content(timeout=20_000)
    record = served.get(f"/api/v1/sources/{scan}").json()
    assert f"The {record['kept']} kept windows above" in words
    assert "(f4)" in words
    own.get_by_text(f"{record['kept']} windows kept of {record['windows']}").wait_for()
    count = len(served.get(f"/api/v1/sources/{scan}/windows").json()["windows"])
    own.get_by_text(f"Kept windows in view: {count}", exact=True).wait_for()
    context.close()
    look(page, high, 0, HIGH_SPECTRA)
    assert page.locator("#words-of-counts").count() == 0  # a scan without averaged views


def test_a_drag_asks_for_exactly_the_spectra_under_it(page: Any, high: Served) -> None:
    look(page, high, 150, 166)
    drag(page, (0.2, (10 - 7.5) / 16 + 6 / 16), (0.8, 2.5 / 16))  # from spectrum 157 to 163, counted upwards
    body = asked(page, lambda: page.locator(".go").click())
    assert body["t_start_s"] / TSAMP_S == pytest.approx(157)
    assert body["t_stop_s"] / TSAMP_S == pytest.approx(164)
    look(page, high, 150, 166)
    drag(page, (0.2, 0.5), (0.8, 0.5))  # a flat drag: all spectra that are shown
    assert page.locator(".selection-words").text_content().endswith("16 spectra")
    body = asked(page, lambda: page.keyboard.press("Enter"))
    assert body["t_start_s"] / TSAMP_S == pytest.approx(150)
    assert body["t_stop_s"] / TSAMP_S == pytest.approx(166)


def test_time_is_zoomed_by_wheel_and_keys_and_the_address_keeps_it(page: Any, high: Served) -> None:
    look(page, high, 0, HIGH_SPECTRA)
    assert spectra_in_view(page) == (0, HIGH_SPECTRA)
    page.mouse.move(*place_of(page, 0.5, 0.25))
    page.keyboard.down("Shift")
    page.mouse.wheel(0, -600)
    page.keyboard.up("Shift")
    until(page, "location.search.includes('t_start=') && !location.search.includes('t_start=0.0')")
    start, stop = spectra_in_view(page)
    assert stop - start < 0.5 * HIGH_SPECTRA
    assert (0.75 * HIGH_SPECTRA - start) / (stop - start) == pytest.approx(0.75, abs=5e-3)  # it stays at the cursor
    page.mouse.move(0, 0)
    for _ in range(6):
        page.keyboard.press(".")
    length = "() => { const q = new URLSearchParams(location.search); return q.get('t_stop') - q.get('t_start'); }"
    until(page, f"Math.abs(({length})() - 16 * {TSAMP_S}) < 1e-3")
    start, _ = spectra_in_view(page)
    for key, at in (("ArrowUp", start + 0.15 * 16), ("ArrowDown", start)):
        page.keyboard.press(key)
        until(page, f"Math.abs(new URLSearchParams(location.search).get('t_start') - {at * TSAMP_S}) < 1e-3")
    words = page.locator(".ink").get_attribute("aria-label")
    page.reload()
    page.wait_for_selector(".panel[aria-busy=false]")
    until(page, "words => document.querySelector('.ink').getAttribute('aria-label') === words", words)
    assert spectra_in_view(page)[0] == pytest.approx(start, abs=1e-3)
    page.keyboard.press("0")
    until(page, "!location.search.includes('t_start')")
