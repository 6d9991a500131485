"""What each page lets people take away, and what it says if a file cannot be read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.nightly import nightly
from pipeline.run import find_families, ingest
from tests.web.browser.conftest import OpenPage
from tests.web.browser.site import CONFIG, Site, serving, until
from tests.web.conftest import dat


def offered(page: Any) -> dict[str, str]:
    """Open the box of exports of a page, and return the address behind each link, by its words."""
    box = page.locator(".exports")
    box.locator("summary").click()
    return {link.text_content(): link.get_attribute("href") for link in box.locator("a").all()}


@pytest.mark.parametrize("path", ["/", "/waterfall/{scan}", "/families", "/families/F1", "/nights"])
def test_each_page_gives_its_list_as_files(open_page: OpenPage, site: Site, path: str) -> None:
    if "families" in path:
        find_families(site.parts.archive.root)
        site.parts.archive.show_families_now()
    if "nights" in path and not site.parts.settings.reports.exists():
        nightly([site.data], site.parts.archive.root, min_age_s=0, serial=True)
    page = open_page(path.format(scan=site.source("on1")))
    page.wait_for_selector(".exports")
    links = offered(page)
    assert {"CSV", "VOTable", "JSON", "HTML", "Parquet"} <= set(links)
    answers = {words: page.request.get(site.address + address) for words, address in links.items()}
    assert {words: answer.status for words, answer in answers.items()} == dict.fromkeys(links, 200)
    assert len(answers["CSV"].text().splitlines()) > 1
    assert "lookalike" in page.locator(".exports pre").first.text_content() or "nights" in path
    assert ("PNG" in links) == (path == "/families/F1")


def test_the_picture_of_a_waterfall_is_saved_as_it_is_shown(open_page: OpenPage, site: Site, tmp_path: Path) -> None:
    page = open_page(f"/waterfall/{site.source('on1')}")
    page.wait_for_selector(".panel[aria-busy=false]")
    before = offered(page)["CSV"]
    with page.expect_download() as saved:
        page.get_by_role("button", name="PNG of the picture").click()
    saved.value.save_as(tmp_path / "shown.png")
    from matplotlib.image import imread

    drawn = imread(tmp_path / "shown.png")
    assert drawn.shape[0] > 380
    assert drawn.shape[1] > 1000
    assert len({tuple(one) for one in drawn[200, 100:1000]}) > 10  # the picture is in it, not only its frame
    page.get_by_role("button", name="Zoom in (+)").click()
    until(page, "(before) => document.querySelector('.exports a').getAttribute('href') !== before", before)
    assert page.locator(".exports").get_attribute("open") is not None  # it stays open


def test_verdicts_of_a_hit_table_are_given_as_files(open_page: OpenPage, site: Site) -> None:
    source = site.parts.archive.pinned.opened.manifest.sources[site.source("on1")]
    middle = source.header.channel_edge_mhz(5001.5)
    table = dat(source.header.tstart_mjd, middle).replace("down.fil", "on1.h5")
    page = open_page("/hit-table")
    page.set_input_files("#choose-rows", files=[{"name": "mine.dat", "mimeType": "", "buffer": table.encode()}])
    page.get_by_role("button", name="Search for all rows").click()
    page.wait_for_selector(".exports")
    answer = page.request.get(site.address + offered(page)["CSV"])
    assert len(answer.text().splitlines()) == 2
    assert "--hits mine.dat" in page.locator(".exports pre").first.text_content()


def test_a_file_that_became_unreadable_is_shown_from_its_overview(
    browser: Any, site: Site, tmp_path: Path
) -> None:
    data, corpus = tmp_path / "data", tmp_path / "corpus"
    shutil.copytree(site.data, data)
    ingest([data / "on1.h5"], corpus, config=CONFIG, serial=True)
    with (data / "on1.h5").open("r+b") as file:
        file.truncate(20_000)
    with serving(corpus, data) as own:
        context = browser.new_context()
        page = context.new_page()
        page.goto(own.login())
        page.goto(f"{own.address}/waterfall/{own.source('on1')}?f_start=1400.01&f_stop=1400.0103")
        page.wait_for_selector(".panel[aria-busy=false]")
        note = page.locator(".panel .note")
        note.wait_for()
        assert "on1.h5" in note.text_content()
        assert "The rest is shown." in note.text_content()
        page.close()
        context.close()
