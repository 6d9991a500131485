"""The pages are for everyone: axe finds nothing, in any colours and at any size; pictures have words and tables."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import numpy as np
import pytest

from tests.web.browser.conftest import OpenPage
from tests.web.browser.site import COMB, Site, edge_mhz, until
from tests.web.browser.test_flow import waterfall, window_of

PAGES = ("/", "/families", "/nights", "/hit-table", "waterfall", "results", "/waterfall/nothing", "/login")


def address_of(site: Site, page: str) -> str:
    if page == "waterfall":
        return f"{waterfall(site, 'on1', COMB - 100, COMB + 200)}&selected={COMB}-{COMB + 128}#cadence=1"
    if page == "results":
        return f"/results/new?window={site.source('on1')}/{window_of(site)}&on_off=true#threshold=0.95"
    return page


@pytest.mark.parametrize("page_name", PAGES)
def test_axe_finds_no_violation(open_page: OpenPage, site: Site, page_name: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(address_of(site, page_name), color_scheme="light", wait="networkidle")
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    until(page, "document.querySelector('.waiting') === null")
    for scheme, options in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page, options=options)
        assert found.violations_count == 0, f"{page_name}, {scheme}: {found.generate_report()}"


@pytest.mark.parametrize("page_name", ["/", "waterfall", "results", "/hit-table"])
def test_at_200_percent_nothing_is_cut_off(open_page: OpenPage, site: Site, page_name: str) -> None:
    page = open_page(address_of(site, page_name), viewport={"width": 640, "height": 450}, wait="networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= 640
    outside = page.evaluate("""() => [...document.querySelectorAll("button, a, input, h1, p")].filter((one) => {
      const place = one.getBoundingClientRect();
      const scrolls = one.closest(".table-scroll, .visually-hidden, [hidden], .skip");
      return !scrolls && place.width > 1 && (place.right > innerWidth + 1 || place.left < -1);
    }).map((one) => one.outerHTML.slice(0, 80))""")
    assert outside == []


@pytest.mark.parametrize(("motion", "moving"), [("no-preference", 1), ("reduce", 0)])
def test_with_reduced_motion_nothing_moves(open_page: OpenPage, motion: str, moving: int) -> None:
    page = open_page("/hit-table", reduced_motion=motion)
    page.wait_for_selector(".drop-zone")
    page.evaluate("document.querySelector('.lead').classList.add('waiting')")
    running = page.evaluate(
        "document.getAnimations().filter(one => one.effect.getComputedTiming().duration > 0).length")
    assert running == moving


@pytest.mark.parametrize("page_name", ["/", "waterfall", "results"])
def test_each_picture_has_words_and_a_table(open_page: OpenPage, site: Site, page_name: str) -> None:
    page = open_page(address_of(site, page_name), wait="networkidle")
    without = page.evaluate("""() => [...document.querySelectorAll("canvas, svg")].filter((one) =>
      !one.closest(".swatch, [aria-hidden=true]")
      && !(one.getAttribute("role") === "img" && one.getAttribute("aria-label")))
      .map((one) => one.outerHTML.slice(0, 80))""")
    assert without == []
    until(page, "document.querySelectorAll('table').length > 0")


def test_pictures_follow_the_colours_of_the_system(open_page: OpenPage, site: Site) -> None:
    page = open_page(address_of(site, "results"), color_scheme="light", wait="networkidle")
    page.wait_for_selector(".hit .window-stage[aria-busy=false]")
    picture = "document.querySelector('.window-picture').toDataURL()"
    before = page.evaluate(picture)
    page.emulate_media(color_scheme="dark")
    until(page, f"before => {picture} !== before", before)


def test_a_colour_map_rises_in_lightness_for_all_eyes(open_page: OpenPage) -> None:
    page = open_page("/hit-table")
    maps = page.evaluate("""async () => {
      const {MAPS, colours} = await import("/static/js/colours.js");
      return Object.fromEntries(MAPS.map((name) => [name, colours(name)]));
    }""")
    # Viénot, Brettel and Mollon (1999): linear RGB as people without red or green cones see it
    eyes = {"usual": np.eye(3),
            "without red": np.array([[.11238, .88762, 0], [.11238, .88762, 0], [.00401, -.00401, 1]]),
            "without green": np.array([[.29275, .70725, 0], [.29275, .70725, 0], [-.02234, .02234, 1]])}
    for name, colours in maps.items():
        linear = (np.array(colours) / 255) ** 2.2
        for eye, matrix in eyes.items():
            lightness = np.clip(linear @ matrix.T, 0, 1) @ [.2126, .7152, .0722]
            steps = np.diff(lightness) * (-1 if name == "grey on white" else 1)
            assert (steps > -2e-3).all(), (name, eye)
            assert abs(lightness[-1] - lightness[0]) > 0.5, (name, eye)


def test_viridis_is_that_of_matplotlib(open_page: OpenPage) -> None:
    from matplotlib import colormaps

    page = open_page("/hit-table")
    for name in ("viridis", "magma", "inferno"):
        drawn = page.evaluate(f"""async () => (await import("/static/js/colours.js")).colours("{name}")""")
        assert np.abs(np.array(drawn) - 255 * colormaps[name](np.arange(256))[:, :3]).max() < 4


def api(site: Site, state: Any, path: str) -> Any:
    cookies = "; ".join(f"{one['name']}={one['value']}" for one in state["cookies"])
    request = urllib.request.Request(f"{site.address}/api/v1/{path}", headers={"Cookie": cookies})
    return json.load(urllib.request.urlopen(request))


def test_codes_mean_on_the_page_what_they_mean_in_the_api(open_page: OpenPage, site: Site, login_state: Any) -> None:
    source = api(site, login_state, f"sources/{site.source('on1')}")["scale"]
    window = api(site, login_state, f"windows/{site.source('on1')}/{window_of(site)}.json")["scale"]
    page = open_page("/hit-table")
    for function, scale in (("tileScale", source), ("windowScale", window)):
        db = page.evaluate(f"""async (noise) => (await import("/static/js/scales.js")).{function}(noise).db""",
                           scale["noise_spectra"])
        assert [one is None for one in db] == [one is None for one in scale["db"]]
        there = [one for one in scale["db"] if one is not None]
        assert [one for one in db if one is not None] == pytest.approx(there, abs=2e-3)


def test_the_read_out_names_the_channel_under_the_cursor(open_page: OpenPage, site: Site) -> None:
    page = open_page(waterfall(site, "off1", 5000, 5010))
    page.wait_for_selector(".panel[aria-busy=false]")
    box = page.locator(".ink").bounding_box()
    page.mouse.move(box["x"] + 58 + 0.15 * (box["width"] - 72), box["y"] + 20 + 0.5 * 380)
    words = page.locator("#readout").text_content()
    assert "Channel 5,001" in words
    assert f"{edge_mhz(5001.5):.6f} MHz" in words
    assert "MJD 59000.00" in words
    assert "dB" in words
