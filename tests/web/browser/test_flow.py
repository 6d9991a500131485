"""What a person does: look, drag, find, mark, refine, go back, share, take away."""

from __future__ import annotations

import ast
import csv
import io
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from pipeline.cli.search import search
from pipeline.run import ingest
from tests.web.browser.conftest import OpenPage
from tests.web.browser.site import (
    CHANNELS,
    COMB,
    CONFIG,
    HOSTILE,
    LINES,
    WIDTH_MHZ,
    Site,
    edge_mhz,
    scan_of_cadence,
    until,
)

LEFT, RIGHT, TOP, HEIGHT = 58, 14, 20, 380
"""Where the picture lies in the panel of a waterfall, in dots."""


def waterfall(site: Site, stem: str, first: float, stop: float) -> str:
    return f"/waterfall/{site.source(stem)}?f_start={edge_mhz(first):.9f}&f_stop={edge_mhz(stop):.9f}"


def results(site: Site, number: int, **more: str) -> str:
    query = "&".join(f"{name}={value}" for name, value in more.items())
    return f"/results/new?window={site.source('on1')}/{number}&on_off=true&k=12&{query}"


def place_of(page: Any, share: float, down: float) -> tuple[float, float]:
    """Return the place on the screen of a share of the picture's width and height."""
    box = page.locator(".ink").first.bounding_box()
    return box["x"] + LEFT + share * (box["width"] - LEFT - RIGHT), box["y"] + TOP + down * HEIGHT


def drag(page: Any, start: tuple[float, float], stop: tuple[float, float]) -> None:
    page.wait_for_selector(".panel[aria-busy=false]")
    page.mouse.move(*place_of(page, *start))
    page.mouse.down()
    page.mouse.move(*place_of(page, (start[0] + stop[0]) / 2, (start[1] + stop[1]) / 2))
    page.mouse.move(*place_of(page, *stop))
    page.mouse.up()


def asked(page: Any, act: Any) -> dict[str, Any]:
    """Do something that searches; return the body that was sent."""
    with page.expect_request(lambda request: request.method == "POST" and request.url.endswith("/searches")) as sent:
        act()
    return json.loads(sent.value.post_data)


@pytest.mark.parametrize("stem", ["on1", "off1"])
def test_a_drag_asks_for_exactly_the_channels_under_it(open_page: OpenPage, site: Site, stem: str) -> None:
    page = open_page(waterfall(site, stem, COMB - 16, COMB + 144))
    per = 1 / 160
    drag(page, (10.5 * per, 0.5), (149.5 * per, 0.5))  # from the middle of channel 10 to that of channel 149
    until(page, "document.querySelector('.go') === document.activeElement")
    body = asked(page, lambda: page.keyboard.press("Enter"))
    assert body["file"] == site.source(stem)
    assert body["f_start_mhz"] == pytest.approx(edge_mhz(COMB - 6), abs=2e-9)
    assert body["f_stop_mhz"] == pytest.approx(edge_mhz(COMB + 134), abs=2e-9)
    assert "t_start_s" not in body


def test_a_high_drag_asks_for_times_too(open_page: OpenPage, site: Site) -> None:
    page = open_page(waterfall(site, "on1", COMB, COMB + 128))
    drag(page, (0.2, 0.26), (0.8, 0.49))
    body = asked(page, lambda: page.locator(".go").click())
    assert body["t_start_s"] == pytest.approx(8 * 18.253611008)  # time runs upwards
    assert body["t_stop_s"] == pytest.approx(12 * 18.253611008)


def test_a_typed_range_needs_no_mouse(open_page: OpenPage, site: Site) -> None:
    page = open_page(f"/waterfall/{site.source('on1')}")
    page.wait_for_selector(".panel")
    page.keyboard.press("/")
    page.keyboard.type(f"{edge_mhz(COMB):.9f}")
    page.keyboard.press("Tab")
    page.keyboard.type(f"{edge_mhz(COMB + 128):.9f}")
    body = asked(page, lambda: page.keyboard.press("Enter"))
    assert body["f_start_mhz"] == pytest.approx(edge_mhz(COMB), abs=2e-9)
    assert body["f_stop_mhz"] == pytest.approx(edge_mhz(COMB + 128), abs=2e-9)
    page.wait_for_selector(".hit")


@pytest.mark.parametrize("stem", ["on1", "off1"])
def test_each_line_is_painted_where_its_channel_is(open_page: OpenPage, site: Site, stem: str) -> None:
    page = open_page("/hit-table")
    for channels in (1, 61, 500, 4000, CHANNELS):
        first = min(max(LINES[1] - channels // 3, 0), CHANNELS - channels)
        page.goto(f"{site.address}{waterfall(site, stem, first, first + channels)}#low=1&high=8")
        page.wait_for_selector(".panel[aria-busy=false]")
        row = page.evaluate("""([left, top, right]) => {
            const canvas = document.querySelector(".picture");
            return Array.from(canvas.getContext("2d").getImageData(left, top, canvas.width - left - right, 1).data);
          }""", [LEFT, TOP + 100, RIGHT])
        green = np.array(row).reshape(-1, 4)[:, 1].astype(int)  # of viridis, green rises with power
        check_lines(green > 190, first, channels)


def check_lines(is_bright: np.ndarray, first: int, channels: int) -> None:
    """Check that dots are bright where a line is, and nowhere else but in the comb."""
    dots = len(is_bright)
    at_dot = first + (np.arange(dots) + 0.5) * channels / dots
    cell = 1 if channels <= 4 * dots else 4 * channels / dots  # a cell may be up to four times as wide as a dot
    slack = max(channels / dots, cell if channels > dots else 0)
    lines = [one for one in LINES if first <= one < first + channels]
    for line in lines:
        inside = (at_dot > line) & (at_dot < line + 1) if channels <= dots else np.abs(at_dot - line) <= slack
        assert inside.any()
        assert is_bright[inside].any(), (line, channels)
        if channels <= dots:
            assert is_bright[inside].all(), (line, channels)
    near = np.zeros(dots, bool)
    for line in lines:
        near |= (at_dot > line - slack) & (at_dot < line + 1 + slack)
    near |= (at_dot > COMB - slack) & (at_dot < COMB + 128 + slack)
    assert not (is_bright & ~near).any(), channels


def test_the_wheel_zooms_at_the_cursor(open_page: OpenPage, site: Site) -> None:
    page = open_page(waterfall(site, "on1", 0, CHANNELS))
    page.wait_for_selector(".panel[aria-busy=false]")
    page.mouse.move(*place_of(page, 0.25, 0.5))
    page.mouse.wheel(0, -600)
    until(page, "!location.search.includes('f_start=1400.000000000&')")
    query = parse_qs(urlsplit(page.url).query)
    start, stop = float(query["f_start"][0]), float(query["f_stop"][0])
    assert stop - start < 0.5 * CHANNELS * WIDTH_MHZ
    fixed = edge_mhz(0.25 * CHANNELS)
    assert (fixed - start) / (stop - start) == pytest.approx(0.25, abs=2e-3)


def refined(page: Any) -> dict[str, Any]:
    """Refine a search by its key; return what was sent."""
    with page.expect_request("**/feedback") as sent:
        page.keyboard.press("r")
    return json.loads(sent.value.post_data)


def test_marks_can_be_set_undone_shared_and_refined(open_page: OpenPage, site: Site) -> None:
    page = open_page(waterfall(site, "on1", COMB - 16, COMB + 144))
    drag(page, (16.5 / 160, 0.5), (143.5 / 160, 0.5))
    page.keyboard.press("Enter")
    page.wait_for_selector(".hit")
    first, second = (page.locator(".hit").nth(i).get_attribute("data-window") for i in (0, 1))
    for key in "jynz":
        page.keyboard.press(key)
    page.keyboard.press("n")
    assert page.locator(f'[data-window="{first}"] .yes').get_attribute("aria-pressed") == "true"
    assert page.locator(f'[data-window="{second}"] .no').get_attribute("aria-pressed") == "true"
    page.reload()
    page.wait_for_selector(".hit")
    assert page.locator(f'[data-window="{first}"] .yes').get_attribute("aria-pressed") == "true"
    held: list[Any] = []
    page.route("**/api/v1/windows?*", lambda route: held.append(route))
    assert refined(page) == {"like": [first], "unlike": [second], "on_off": False}
    page.get_by_text("refined with 1 yes and 1 no").wait_for()
    page.wait_for_selector(".hit[data-rank='1']")  # hits are shown at once, examples keep their place
    assert page.locator(".hit").evaluate_all("all => [all[0], all.at(-1)].map(one => one.className)") == [
        "hit coming", "hit coming"]
    for _ in range(100):
        names = [parse_qs(urlsplit(one.request.url).query)["name"] for one in held]
        if [first, second] in names:  # all examples in one request,
            break
        page.wait_for_timeout(100)
    assert [first, second] in names
    assert len(names) <= 2  # and all pictures of hits in one more
    for one in held:
        one.continue_()
    page.unroute("**/api/v1/windows?*")
    page.wait_for_selector(f'[data-window="{second}"]')
    shown = page.locator(".hit").evaluate_all("all => all.map(one => [one.dataset.window, one.dataset.mark])")
    assert shown[0] == [first, "yes"]  # what was marked stays in sight
    assert shown[-1] == [second, "no"]
    assert {first, second}.isdisjoint(name for name, _ in shown[1:-1])
    page.wait_for_selector(f'[data-window="{second}"] .window-stage[aria-busy=false]')
    assert parse_qs(urlsplit(page.url).query)["like"] == [json.dumps([first])]
    page.locator(f'[data-window="{second}"] .no').click()  # a mark can be taken back
    assert refined(page) == {"like": [first], "unlike": [], "on_off": False}
    page.get_by_text("refined with 1 yes and 0 no").wait_for()
    page.go_back()
    page.get_by_text("refined with 1 yes and 1 no").wait_for()
    page.go_back()
    page.wait_for_selector(".hit")
    page.go_back()
    page.wait_for_selector(".range-form")
    assert page.locator(".selection-words").text_content().startswith("128 channels")


def test_more_hits_are_shown_on_request(open_page: OpenPage, site: Site) -> None:
    page = open_page(results(site, window_of(site)).replace("k=12", "k=2"))
    page.wait_for_selector(".hit")
    page.get_by_label("Lowest score that is shown").fill("0.1")
    before = page.locator(".hit").evaluate_all("all => all.map(one => one.dataset.window)")
    assert len(before) == 2
    assert page.locator("input[name=order]").count() == 0  # nothing to choose before examples refine the search
    body = asked(page, page.get_by_role("button", name="Show more hits").click)
    assert body["k"] == 26
    page.wait_for_selector(".hit >> nth=2")
    after = page.locator(".hit").evaluate_all("all => all.map(one => one.dataset.window)")
    assert after[:2] == before
    assert parse_qs(urlsplit(page.url).query)["k"] == ["26"]
    assert "threshold=0.1" in page.url
    until(page, "name => document.activeElement.dataset.window === name", after[2])
    assert page.locator("#more").count() == (1 if len(after) == 26 else 0)


def test_marked_hits_get_a_label_that_can_be_taken_back(open_page: OpenPage, site: Site) -> None:
    page = open_page(results(site, window_of(site)))
    page.wait_for_selector(".hit")
    name = page.locator(".hit").first.get_attribute("data-window")
    page.keyboard.press("j")
    page.keyboard.press("y")
    page.get_by_label("Label for the hits marked yes").fill("a comb")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Take back").wait_for()
    given = site.parts.archive.pinned.corpus.labels.every()
    assert [(one.text, one.place.scan) for one in given] == [("a comb", name.rpartition("/")[0])]
    page.get_by_role("button", name="Take back").click()
    page.locator(".toast", has_text="taken back").wait_for()
    assert list(site.parts.archive.pinned.corpus.labels.every()) == []


def test_a_shared_address_works_after_the_server_has_forgotten_it(open_page: OpenPage, site: Site) -> None:
    page = open_page(results(site, window_of(site)))
    page.wait_for_selector(".hit .on-off:not(.asked)")
    hits = page.locator(".hit").evaluate_all("all => all.map(one => one.dataset.window)")
    parts = urlsplit(page.url)
    forgotten = open_page(f"/results/{'0' * 20}?{parts.query}")
    forgotten.wait_for_selector(".hit .on-off:not(.asked)")
    assert forgotten.locator(".hit").evaluate_all("all => all.map(one => one.dataset.window)") == hits
    assert urlsplit(forgotten.url).path == parts.path


def test_exports_hold_the_hits_that_are_shown(open_page: OpenPage, site: Site) -> None:
    page = open_page(results(site, window_of(site)))
    page.wait_for_selector(".hit")
    page.locator(".exports summary").click()
    with page.expect_download() as loaded:
        page.get_by_role("link", name="CSV").click()
    rows = list(csv.DictReader(line for line in io.StringIO(loaded.value.path().read_text()) if line[0] != "#"))
    shown = page.locator(".hit").evaluate_all("all => all.map(one => one.dataset.window)")
    assert [f"{row['source']}/{row['window']}" for row in rows] == shown
    command = page.locator(".snippet pre").first.text_content()
    assert command.startswith("lookalike search --corpus")
    assert f"--window {site.source('on1')}/{window_of(site)}" in command


def test_the_command_that_is_offered_is_one_that_runs(open_page: OpenPage, site: Site) -> None:
    request = {"file": "a scan.h5", "f_start_mhz": 1400.5, "f_stop_mhz": 1400.6, "t_start_s": 3.0, "k": 24,
               "on_off": True, "q": True, "all_views": True, "per_mhz": 2, "expected_below": 0.1,
               "filters": {"not_mhz": [[1525.0, 1559.0]], "only_target": ["A"], "after_mjd": 59000.5,
                           "only_label": ["a comb"], "not_label": ["clock"]}}
    page = open_page("/")
    said = page.evaluate("async (request) => (await import('/static/js/exports.js')).commandOf(request, 'a corpus')",
                         request)
    program, command, *arguments = shlex.split(said)
    assert (program, command) == ("lookalike", "search")
    given = search.make_context("search", arguments, help_option_names=["-h", "--help"]).params  # click keeps the help
    assert (given["corpus"], given["k"], given["f_stop_mhz"], given["on_off"]) == (Path("a corpus"), 24, 1400.6, True)
    assert (given["not_mhz"], given["only_target"]) == (((1525.0, 1559.0),), ("A",))
    assert (given["only_label"], given["not_label"]) == (("a comb",), ("clock",))


PASTED = "it's \\ \x15\x1b[201~touch x\n\u202e\x85é"
"""Keys of a terminal: the first one deletes the line before it, the second one ends what is pasted."""


def test_what_is_offered_holds_no_keys_and_no_second_command(open_page: OpenPage) -> None:
    """The address of a page holds the request, and anybody may send an address."""
    page = open_page("/")
    request = {"signal": {"amplitudes": [1, None], PASTED: True}, "filters": {
        "only_label": [PASTED], "only_target": ['");import os#'], "only_mhz": [["1;touch x", 2]]}}
    script = "async (request) => (await import('/static/js/exports.js'))"
    command, python = (page.evaluate(f"{script}.{name}(request, 'a')", request) for name in ("commandOf", "pythonOf"))
    assert command.isprintable()
    assert all(map(str.isprintable, python.split("\n")))
    words = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True,
                           env={"LC_ALL": "C.UTF-8"}).stdout.decode().split("\0")
    assert {PASTED, '");import os#', "1;touch x:2"} <= set(words)
    call = ast.parse(python).body[-1].value  # type: ignore[attr-defined]
    given = {one.arg: one.value for one in call.keywords}
    assert ast.literal_eval(given["signal"]) == request["signal"]
    assert ast.literal_eval(given["filters"].keywords[0].value) == [PASTED]


def test_labels_are_filters_of_a_search(open_page: OpenPage, site: Site) -> None:
    page = open_page(results(site, window_of(site)))
    page.wait_for_selector(".hit")
    first = page.locator(".hit").first.get_attribute("data-window")
    labels = site.parts.archive.pinned.corpus.labels
    given = labels.add([first], "a comb")
    try:
        page.locator(".filters summary").click()
        page.get_by_label("Only with label").fill("a comb")
        body = asked(page, lambda: page.get_by_role("button", name="Search with these").click())
        assert body["filters"] == {"only_label": ["a comb"]}
        page.get_by_text("Filters: 1 filter set").wait_for()
        assert page.locator(".hit").evaluate_all("all => all.map(one => one.dataset.window)") == [first]
        assert page.locator(".hit .chip.label").all_text_contents() == ["a comb"]
        page.get_by_label("Only with label").fill("")
        page.get_by_label("Not with label").fill("a comb")
        body = asked(page, lambda: page.get_by_role("button", name="Search with these").click())
        assert body["filters"] == {"not_label": ["a comb"]}
        until(page, "location.href.includes('not_label') && document.querySelector('.hit')")
        assert first not in page.locator(".hit").evaluate_all("all => all.map(one => one.dataset.window)")
    finally:
        labels.undo([one.id for one in given])


def test_hits_are_there_before_on_off(open_page: OpenPage, site: Site) -> None:
    page = open_page("/hit-table")
    held: list[Any] = []
    page.route("**/on-off", lambda route: held.append(route))
    body = asked(page, lambda: page.goto(site.address + results(site, window_of(site))))
    assert "on_off" not in body
    until(page, "document.querySelector('.hit .window-stage[aria-busy=false]')")
    strips = page.locator(".hit .on-off")
    assert set(strips.all_text_contents()) == {"ON/OFF is being asked"}
    page.reload()  # the hits are kept, ON/OFF is asked for again
    held.clear()
    until(page, "document.querySelector('.hit .window-stage[aria-busy=false]')")
    page.get_by_text("Hits as a table").click()
    while not held:
        page.wait_for_timeout(30)
    held[0].continue_()
    until(page, "document.querySelectorAll('.on-off:not(.asked)').length > 0")
    known = page.evaluate("""async (body) => (await fetch("/api/v1/searches", {
        method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)})).json()""",
                          {"window": f"{site.source('on1')}/{window_of(site)}", "on_off": True, "k": 12})
    assert strips.all_text_contents() == [hit["on_off"] for hit in known["hits"]]
    assert "ON/OFF is being asked" not in page.locator("#hit-table").text_content()
    assert page.locator("#hit-table").evaluate("one => one.open")
    assert page.locator(".exports a").first.get_attribute("href").endswith(f"{known['id']}.csv")
    assert "on_off=true" in page.url


def test_a_refined_search_shows_hits_before_on_off(open_page: OpenPage, site: Site) -> None:
    page = open_page(results(site, window_of(site)))
    page.wait_for_selector(".hit .on-off:not(.asked)")
    held: list[Any] = []
    page.route("**/on-off", lambda route: held.append(route))
    page.locator(".hit .yes").first.click()
    refined(page)
    page.get_by_text("refined with 1 yes and 0 no").wait_for()
    until(page, "document.querySelector('.hit[data-rank=\"1\"] .window-stage[aria-busy=false]')")
    assert set(page.locator(".hit .on-off").all_text_contents()) == {"ON/OFF is being asked"}
    while not held:
        page.wait_for_timeout(30)
    held[0].continue_()
    page.wait_for_selector(".hit .on-off:not(.asked, .unknown)")
    assert "on_off=true" in page.url
    assert "like=" in page.url


def test_a_page_names_all_its_modules_at_once(open_page: OpenPage, site: Site) -> None:
    page = open_page("/")
    searched, scan = results(site, window_of(site)), waterfall(site, "on1", 0, 99)
    for address in (searched, scan, "/", "/families", "/nights", "/hit-table"):
        page.goto(site.address + address)
        page.wait_for_load_state("networkidle")
        loaded = page.evaluate("""performance.getEntriesByType("resource").map(one => one.name)
            .filter(one => one.endsWith(".js") && !one.endsWith("/theme.js"))""")
        named = page.locator("link[rel=modulepreload]").evaluate_all("all => all.map(one => one.href)")
        assert len(named) == len(set(named)) > 5
        assert set(named) == set(loaded)


def test_the_search_is_sent_before_the_page_is_loaded(open_page: OpenPage, site: Site) -> None:
    page = open_page("/hit-table")
    page.route("**/js/pages/results.js", lambda route: (page.wait_for_timeout(400), route.continue_()))
    with page.expect_response("**/windows?*"):  # hits and their pictures come, though the page's own script has not
        page.goto(site.address + results(site, window_of(site)), wait_until="commit")
        page.wait_for_selector(".waiting")
    page.wait_for_selector(".hit .window-stage[aria-busy=false]")


def test_hits_stay_if_on_off_cannot_be_asked(open_page: OpenPage, site: Site) -> None:
    page = open_page("/hit-table")
    page.route("**/on-off", lambda route: route.fulfill(status=503, json={
        "error": {"code": "busy", "message": "too many", "hint": "wait"}}))
    page.goto(site.address + results(site, window_of(site)))
    until(page, "document.querySelectorAll('.on-off.unknown').length > 0")
    assert set(page.locator(".hit .on-off").all_text_contents()) == {"ON/OFF unknown"}
    page.get_by_text("too many. Hint: wait").wait_for()


def test_colours_and_threshold_ask_nothing_of_the_server(open_page: OpenPage, site: Site) -> None:
    page = open_page(results(site, window_of(site)))
    page.wait_for_selector(".hit")
    page.wait_for_load_state("networkidle")
    before = page.locator(".window-picture").first.evaluate("one => one.toDataURL()")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.get_by_label("Map").select_option("grey")
    page.get_by_label("Power of the last colour in dB").fill("3")
    page.keyboard.press("Tab")
    page.get_by_label("Lowest score that is shown").fill("0.9")
    until(page, "location.hash.includes('map=grey') && location.hash.includes('threshold=0.9')")
    page.wait_for_timeout(100)
    assert page.locator(".window-picture").first.evaluate("one => one.toDataURL()") != before
    assert requests == []


def test_hits_are_walked_through_by_keys_alone(open_page: OpenPage, site: Site) -> None:
    page = open_page(results(site, window_of(site)))
    page.wait_for_selector(".hit")
    page.keyboard.press("?")
    assert "Mark yes" in page.locator("#keys-list").text_content()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("ArrowRight")
    name = page.evaluate("document.activeElement.dataset.window")
    assert name == page.locator(".hit").nth(1).get_attribute("data-window")
    page.keyboard.press("s")
    until(page, "name => decodeURIComponent(location.search).includes(name)", f"window={name}")


def test_a_cadence_is_stacked_on_one_axis(open_page: OpenPage, site: Site) -> None:
    page = open_page(waterfall(site, "on1", COMB - 200, COMB + 300))
    page.wait_for_selector(".panel")
    page.keyboard.press("o")
    until(page, "document.querySelectorAll('.panel').length === 3")
    assert HOSTILE in page.locator(".panels").text_content()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(400)
    assert "cadence=1" in page.url
    page.reload()
    page.wait_for_selector(".panel >> nth=2")
    assert page.locator(".panel").count() == 3


def test_a_file_can_be_dropped_on_any_page(open_page: OpenPage, site: Site) -> None:
    page = open_page("/")
    page.wait_for_selector(".figures")
    with page.expect_request("**/query-rows?*") as sent:
        page.evaluate("""() => {
          const {fetch} = window;
          window.fetch = async (address, options) => {
            window.sent = Array.from(new Uint8Array(await options.body.arrayBuffer()));
            return fetch(address, options);
          };
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array([1, 2, 3])], "some rows.dat"));
          dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, cancelable: true}));
        }""")
    assert parse_qs(urlsplit(sent.value.url).query) == {"name": ["some rows.dat"]}
    assert page.evaluate("window.sent") == [1, 2, 3]
    page.wait_for_selector(".toast.error")  # three bytes are no table, and the page says so


def window_of(site: Site) -> int:
    """Return the number of the kept window with the comb."""
    source = site.source("on1")
    opened = site.parts.archive.pinned.opened
    windows = {int(number): opened.window(source, int(number)) for number in opened.numbers(source)}
    return next(number for number, one in windows.items() if one.channel_start <= COMB + 64 < one.channel_stop)


def test_the_report_of_a_night_names_files_without_their_folders(open_page: OpenPage, site: Site) -> None:
    folder = site.parts.settings.reports
    folder.mkdir(exist_ok=True)
    scan = str(site.data / "sub" / "on9.h5")
    (folder / "2026-01-02.json").write_text(json.dumps({
        "headline": "1 file failed", "began": "2026-01-02T00:00", "ended": "2026-01-02T01:00", "exit_code": 3,
        "corpus": str(site.parts.archive.root), "data": [str(site.data)], "missing": ["/elsewhere/there"],
        "wrong": [{"path": scan, "message": f"{scan}: truncated"}]}))
    page = open_page("/nights")
    page.get_by_role("link", name="2026-01-02").click()
    page.locator("li", has_text="sub/on9.h5 · sub/on9.h5: truncated").wait_for()
    page.locator("summary").click()
    words = page.locator("main").text_content()
    assert str(site.data.parent) not in words
    assert "elsewhere" not in words


def test_a_night_that_lands_meanwhile_is_offered_and_shown(open_page: OpenPage, site: Site) -> None:
    before = site.parts.archive.pinned.generation
    page = open_page("/")
    page.wait_for_selector(".sources tbody tr")
    assert page.locator(".sources tbody tr").count() == 3
    added = scan_of_cadence(site.data / "later.h5", 3, "LATER")
    ingest([added], site.parts.archive.root, config=CONFIG, serial=True)
    until(page, "async () => (await (await fetch('/api/v1/status')).json()).newer_generation !== null")
    assert site.parts.archive.pinned.generation == before
    page.reload()
    page.get_by_role("button", name="is there: show it").click()
    page.locator(".sources tbody tr", has_text="LATER").wait_for()
    assert site.parts.archive.pinned.generation > before


def test_a_range_that_is_none_is_not_searched_for_as_the_one_before(open_page: OpenPage, site: Site) -> None:
    page = open_page(waterfall(site, "on1", COMB - 16, COMB + 144))
    drag(page, (16.5 / 160, 0.5), (143.5 / 160, 0.5))
    page.locator(".go").wait_for()
    for start, stop, words in (("1600", "1601", "is not in this file. Its band is 1400.000000 to"),
                               ("1400.02", "1400.01", "Give the lower frequency first."),
                               ("", "1400.01", "Drag over a pattern")):
        for field, text in (("#f-start", start), ("#f-stop", stop)):
            page.locator(field).press("Control+a")
            page.keyboard.press("Delete")
            page.keyboard.type(text)
            page.keyboard.press("Tab")
        page.get_by_text(words).wait_for()
        page.locator(".go").wait_for(state="hidden")
        assert page.get_by_role("button", name="Find look-alikes").is_disabled()
        assert page.locator("#f-stop").input_value() == stop
    until(page, "!location.search.includes('selected')")


def test_the_files_of_a_refined_search_are_at_hand_and_say_what_they_hold(open_page: OpenPage, site: Site) -> None:
    page = open_page(results(site, window_of(site)), viewport={"width": 1280, "height": 800})
    page.wait_for_selector(".exports")
    assert page.get_by_role("button", name="Undo").is_disabled()
    page.locator(".hit .yes").first.click()
    assert page.get_by_role("button", name="Undo").is_enabled()
    refined(page)
    page.get_by_text("refined with 1 yes and 0 no").wait_for()
    page.wait_for_selector(".exports", state="attached")
    page.get_by_role("button", name="Export").click()
    until(page, "document.querySelector('.exports summary') === document.activeElement")
    csv_link = page.get_by_role("link", name="CSV")
    until(page, "document.querySelector('.exports a').getBoundingClientRect().bottom <= innerHeight")
    page.get_by_text("The windows that you marked are examples").wait_for()
    with page.expect_download() as loaded:
        csv_link.click()
    text = loaded.value.path().read_text()
    rows = list(csv.DictReader(line for line in io.StringIO(text) if line[0] != "#"))
    held = {f"{row['source']}/{row['window']}" for row in rows}
    example = page.locator(".hit", has_text="Your example").first.get_attribute("data-window")
    assert example not in held
    page.get_by_text(f"The files hold the {len(rows)} hit").wait_for()


def test_a_search_whose_filters_leave_nothing_can_be_sent_without_them(open_page: OpenPage, site: Site) -> None:
    page = open_page(results(site, window_of(site), filters='{"only_target":["nowhere"]}'))
    page.get_by_role("link", name="Search without filters").click()
    page.wait_for_selector(".hit")
    assert "filters" not in page.url
    assert f"{window_of(site)}" in page.url


def test_a_row_of_the_archive_opens_its_scan_wherever_it_is_clicked(open_page: OpenPage, site: Site) -> None:
    page = open_page("/")
    page.get_by_role("link", name="Open a scan").click()
    row = page.locator(".sources tbody tr").nth(1)
    row.locator("td").last.click()
    until(page, "location.pathname.startsWith('/waterfall/')")
    page.wait_for_selector(".panel[aria-busy=false]")
