"""What the page says and offers: in the words of its own fields, at any width, and with what can be done next."""

from __future__ import annotations

import ast
import io
import json
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.image import imread

from pipeline.cli.search import search
from pipeline.errors import ParameterError
from pipeline.search.from_signal import signal_of
from pipeline.views import scan_of
from tests.web.browser.conftest import OpenPage
from tests.web.browser.site import COMB, Site, until
from tests.web.browser.test_flow import drag, place_of, results, waterfall, window_of

NARROW = {"width": 600, "height": 800}


@pytest.mark.parametrize("dots", [(2, 0), (1, 60)])
def test_a_drag_that_selects_nothing_says_what_to_do(open_page: OpenPage, site: Site, dots: tuple[int, int]) -> None:
    page = open_page(waterfall(site, "on1", COMB - 16, COMB + 144))
    page.wait_for_selector(".panel[aria-busy=false]")
    x, y = place_of(page, 0.5, 0.5)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.up()  # a click says nothing
    assert page.locator(".selection-words .bad").count() == 0
    page.mouse.down()
    page.mouse.move(x + dots[0], y + dots[1])
    page.mouse.up()
    page.locator(".selection-words").get_by_text("Zoom in with the wheel and drag again").wait_for()
    drag(page, (0.3, 0.5), (0.6, 0.5))
    page.locator(".selection-words").get_by_text("channels").wait_for()
    assert page.locator(".selection-words .bad").count() == 0


@pytest.mark.parametrize(("filters", "words"), [
    ({"only_target": ["nowhere"]}, "“Only target” nowhere: no source has this target"),
    ({"only_target": ["only_target.h5"]}, "“Only target” only_target.h5: no source"),
    ({"only_mhz": [[1400.0, 1400.05]], "not_mhz": [[1400.0, 1400.05]], "not_known": ["*"]},
     "“Not in known interference”"),
    ({"only_label": ["none such"]}, "“Only with label” none such: no window has"),
])
def test_filters_are_named_as_in_their_form(open_page: OpenPage, site: Site, filters: dict[str, Any],
                                            words: str) -> None:
    page = open_page(results(site, window_of(site), filters=quote(json.dumps(filters))))
    said = page.locator(".problem-what")
    said.wait_for()
    assert words in said.text_content()
    assert "not_known" not in said.text_content()


def test_a_picture_without_a_size_is_asked_for_it_as_in_its_form(open_page: OpenPage) -> None:
    from matplotlib.image import imsave

    noise = np.random.default_rng(0).random((300, 500))
    smooth = sum(np.roll(noise, shift, axis) for shift in range(9) for axis in (0, 1))
    framed = np.pad(smooth[40:260, 40:460], 3, constant_values=smooth.min())
    picture = io.BytesIO()
    imsave(picture, np.pad(framed, 40, constant_values=smooth.max()), format="png", cmap="viridis")
    page = open_page("/hit-table")
    page.locator("#choose-rows").set_input_files(
        {"name": "plot-hz.png", "mimeType": "image/png", "buffer": picture.getvalue()})
    said = page.locator("#rows td .bad")
    said.wait_for()
    assert said.text_content().startswith("plot-hz.png: the spectra of the plot cannot be counted")
    assert said.text_content().endswith("give its size with “Duration of the plot, s”")
    page.get_by_label("Colour map, if none is recognised").fill("no such map")
    page.get_by_role("button", name="Read it again").click()
    page.get_by_text("“Colour map, if none is recognised” 'no such map' is no continuous colour map").wait_for()


def test_labels_of_the_coverage_stay_readable_on_a_narrow_page(open_page: OpenPage) -> None:
    page = open_page("/", viewport=NARROW)
    for width in (600, 1280, 420):
        page.set_viewport_size({"width": width, "height": 800})
        until(page, """() => {
          const picture = document.querySelector(".coverage-picture");
          const height = (one) => one.getBoundingClientRect().height;
          const texts = picture ? [...picture.querySelectorAll("text")] : [];
          return texts.length > 1 && texts.every((one) => height(one) >= 11 && height(one) < 24);
        }""")
    ends = page.locator(".coverage-picture text[text-anchor=middle]").evaluate_all(
        "all => all.map(one => [one.getBoundingClientRect().left, one.getBoundingClientRect().right])")
    assert all(before[1] < after[0] for before, after in pairwise(ends)), "labels overlap"
    page.get_by_text("Coverage as a table").click()
    page.set_viewport_size(NARROW)
    page.wait_for_timeout(100)
    assert page.locator(".coverage details").get_attribute("open") is not None, "a new width closes the table"


def shade(page: Any, box: Any, at: int) -> float:
    """Return how bright the brightest dot of a column of a picture is."""
    return float(imread(io.BytesIO(box.screenshot()))[4:-4, at, :3].mean(axis=1).max())


def test_a_table_that_goes_on_shows_a_shadow_on_that_side(open_page: OpenPage) -> None:
    page = open_page("/", viewport=NARROW, color_scheme="light")
    box = page.locator("#sources .table-scroll")
    box.wait_for()
    assert box.evaluate("one => one.scrollWidth > one.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    left, right = shade(page, box, 3), shade(page, box, -4)
    assert right < 0.92 < 0.97 < left
    box.evaluate("one => { one.scrollLeft = one.scrollWidth }")
    page.mouse.move(1, 1)
    left, right = shade(page, box, 3), shade(page, box, -4)
    assert left < 0.92 < 0.97 < right


@pytest.mark.parametrize("size", [(1280, 800), (600, 800)])
def test_refine_stays_in_sight_and_hides_no_hit(open_page: OpenPage, site: Site, size: tuple[int, int]) -> None:
    page = open_page(results(site, window_of(site)), viewport={"width": size[0], "height": size[1]},
                     reduced_motion="reduce")
    page.wait_for_selector(".exports", state="attached")
    cards = page.locator(".hit")
    assert cards.count() > 2
    for _ in range(cards.count()):
        page.keyboard.press("j")
    page.evaluate("scrollBy(0, 400)")
    for name in ("Undo", "Export", "Refine"):
        button = page.get_by_role("button", name=name)
        assert button.evaluate("""one => {
          const {left, top, width, height} = one.getBoundingClientRect();
          return document.elementFromPoint(left + width / 2, top + height / 2) === one;
        }"""), name
    for _ in range(cards.count()):
        page.keyboard.press("k")
    covered = page.evaluate("""() => document.activeElement.getBoundingClientRect().top
      - document.querySelector(".found-head").getBoundingClientRect().bottom""")
    assert covered >= -1
    page.locator(".hit .yes").nth(1).focus()
    assert page.evaluate("""() => document.activeElement.getBoundingClientRect().top
      >= document.querySelector(".found-head").getBoundingClientRect().bottom""")


def test_words_that_a_newcomer_does_not_know_are_explained(open_page: OpenPage, site: Site) -> None:
    page = open_page(f"/waterfall/{site.source('on1')}")
    assert "this page shows one until" in page.locator("#generation[title]").get_attribute("title").lower()
    assert "beside it (OFF)" in page.locator("#cadence").get_attribute("title")
    like = quote(json.dumps([f"{site.source('on1')}/{window_of(site)}"]))
    page = open_page(results(site, window_of(site), like=like))
    page.get_by_text("Borderline shows windows near the border").wait_for()
    page.get_by_text("Random shows windows drawn from the whole corpus").wait_for()


SIGNALS = (
    {"drift_hz_per_s": -0.4, "width_hz": 3.5},
    {"lines": 4, "spacing_hz": 55, "snr": 30},
    {"family": "it's", "drift_hz_per_s": 1e-7},
    {"envelope": {"kind": "pulsed", "period_s": 40.0, "duty": 0.5}, "path": {"kind": "sinusoid"}},
    {"amplitudes": [1, 0.5], "spacing_hz": 20, "drift_hz_per_s": 0.1},
)


def sent_by(command: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what the command line makes of a command that a shell has read: the parameters of the search."""
    shell = f"lookalike() {{ printf '%s\\0' \"$@\"; printf '\\1'; cat; }}\n{command}\n"
    words, _, given = subprocess.run(["bash", "-c", shell], capture_output=True, check=True, stdin=subprocess.DEVNULL,
                                     text=True).stdout.partition("\1")
    name, *arguments = words.split("\0")[:-1]
    assert name == "search"
    asked: dict[str, Any] = {}

    def request(**parameters: Any) -> None:
        asked.update(parameters)
        raise ParameterError("this is all that is needed")

    monkeypatch.setattr("pipeline.search.SearchRequest", request)
    result = CliRunner().invoke(search, arguments, input=given)
    assert "this is all that is needed" in result.output, result.output
    return asked


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_command_for_a_described_signal_describes_it(open_page: OpenPage, signal: dict[str, Any],
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_page("/")
    script = "async (request) => (await import('/static/js/exports.js'))"
    command, python = (page.evaluate(f"{script}.{name}(request, 'c')", {"signal": signal, "k": 24, "view": "f4"})
                       for name in ("commandOf", "pythonOf"))
    asked = sent_by(command, monkeypatch)
    assert (asked["k"], asked["view"]) == (24, "f4")
    assert asked["signal"] == signal or signal_of(asked["signal"]) == signal_of(signal)
    call = ast.parse(python).body[-1].value  # type: ignore[attr-defined]
    assert ast.literal_eval(next(one.value for one in call.keywords if one.arg == "signal")) == signal


def test_the_command_for_an_array_names_a_file(open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_page("/")
    script = "async (request) => (await import('/static/js/exports.js'))"
    filters = {"only_mhz": [[None, 1420.5], [1421, None]]}
    for request, name in (({"upload": "abc", "view": "1x"}, "power"), ({"power_shape": [16, 256]}, "power"),
                          ({"vector": [[0.1, 0.2]]}, "vector")):
        command, python = (page.evaluate(f"{script}.{one}(request, 'c')", {**request, "filters": filters})
                           for one in ("commandOf", "pythonOf"))
        asked = sent_by(command, monkeypatch)
        assert asked[name] == Path("ARRAY.npy")
        assert asked["filters"].only_mhz == ((-np.inf, 1420.5), (1421.0, np.inf))
        assert f'{name}=numpy.load("ARRAY.npy")' in python
        assert 'only_mhz=[[float("-inf"), 1420.5], [1421, float("inf")]]' in python
        ast.parse(python)


def test_a_file_of_windows_says_on_the_page_that_it_may_be_cut(open_page: OpenPage, site: Site) -> None:
    page = open_page(f"/waterfall/{site.source('on1')}")
    page.locator(".exports summary").click()
    page.get_by_text("of more than 100,000, those with the highest SNR").wait_for()


def test_a_plus_in_the_name_of_a_target_is_no_view(open_page: OpenPage) -> None:
    ids = ["GBT_57436_43200_B0329+54_0123456789", *(f"GBT_1_2_J1+f4_0123456789{view}" for view in (
        "", "+f4", "+f16", "+f64t4", "+t16", "+f64t16"))]
    page = open_page("/")
    found = page.evaluate("async (ids) => ids.map((await import('/static/js/address.js')).scanOf)", ids)
    assert found == [scan_of(one) for one in ids] == [ids[0]] + ids[1:2] * 6
